#!/usr/bin/env bats
# Do others say what tlscheck says?  Postfix's probe, posttls-finger, on every domain of the lab, at each of its
# levels that verify; ldns-dane and danetool on the chains and records of the lab.  They run in a network namespace
# with a validating resolver in resolv.conf, which they have to trust.  Where one differs, posttls-finger.rows or
# dane-tools.rows names the clause of an RFC that it misses.
bats_require_minimum_version 1.5.0

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
	lab_ns true
	"$BIN/castore" -d "$BATS_FILE_TMPDIR/state" import "$LAB_CERTS/ca/cert.pem" > /dev/null
	"$BIN/castore" -d "$BATS_FILE_TMPDIR/state" disable system > /dev/null
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
}

rows() {
	grep -v '^#' "$1" | grep . | sed -E 's/ *\| */|/g; s/ *$//'
}

# Those whose server misbehaves before there is anything to verify stand for every level with one.
domains() {
	rows "$BATS_TEST_DIRNAME/tlscheck.rows" | cut -d'|' -f1
}

well_behaved() {
	domains | grep -vE '\.(dane|plain)\.test$'
}

# LEVEL DIR < DOMAINS: its words for each, in DIR/DOMAIN.
ask_finger() {
	# shellcheck disable=SC2016
	xargs -P 8 -I '{}' bash -c '. "$1/lab/lab.bash"; lab_posttls_finger "$4" "$2" > "$3/$4"' \
		ask "$BATS_TEST_DIRNAME" "$1" "$2" '{}'
}

# DIR OPTION... < DOMAINS: tlscheck's verdict for each, in DIR/DOMAIN.
ask_tlscheck() {
	local dir=$1
	shift
	# shellcheck disable=SC2016
	xargs -P 8 -I '{}' sh -c 'out=$1 domain=$2; shift 2; "$@" "$domain" | jq -r .verdict > "$out/$domain"' \
		ask "$dir" '{}' "$BIN/tlscheck" "${LAB_OPTS[@]}" -j -t 8 -d "$BATS_FILE_TMPDIR/state" --sts none "$@"
}

# Words of posttls-finger that say the same as a verdict of ours, at this level.
same() {
	case $1:$2/$3 in
	*:AUTH/verified | *:NOMAIL/nomail | *:INCONCLUSIVE/temp) ;;
	# It has one word for a host that may not be used, another for a failed handshake or lookup.
	*:SKIP/skip | *:SKIP/temp | *:SKIP/handshake | *:SKIP/failed | *:SKIP/rejected) ;;
	dane:ENC/untrusted | dane:ENC/trusted | dane:CLEAR/none) ;;
	# Whatever is less than verified is not enough for the other levels.
	dane-only:SKIP/untrusted | dane-only:SKIP/trusted | dane-only:SKIP/none) ;;
	verify:SKIP/untrusted | verify:SKIP/none | secure:SKIP/untrusted | secure:SKIP/none) ;;
	# The host is the one that its certificate names, but its name came from MX records without a signature:
	# verify does not mind, secure takes such names only below the domain's own.
	verify:ENC/verified | secure:ENC/verified | secure:ENC/untrusted) ;;
	*) return 1 ;;
	esac
}

# LEVEL DOMAIN VERDICT WORD: what is wrong about them, if anything.
judge() {
	local level=$1 domain=$2 verdict=$3 word=$4 levels wanted clause why
	while IFS='|' read -r _ levels wanted clause why; do
		[[ ",$levels," == *",$level,"* ]] || continue
		[[ ",$wanted," == *",$word,"* ]] || echo "$level $domain: it says $word, the exception has $wanted"
		[[ $clause == 'RFC '* && -n $why ]] || echo "$level $domain: an exception without a clause"
		if same "$level" "$verdict" "${wanted%%,*}"; then echo "$level $domain: the exception is none"; fi
		return
	done < <(rows "$BATS_TEST_DIRNAME/posttls-finger.rows" | grep "^$domain|" || true)
	same "$level" "$verdict" "$word" || echo "$level $domain: tlscheck $verdict, posttls-finger $word"
}

# LEVEL OPTION...: both are asked for each domain, and compared.
agree() {
	local level=$1 theirs=$BATS_TEST_TMPDIR/theirs ours domain wrong
	shift
	# Two levels of theirs stand beside the same of ours, which is asked once.
	ours=$BATS_FILE_TMPDIR/ours-${*//[^a-z]/}
	mkdir "$theirs"
	if [ ! -e "$ours" ]; then
		mkdir "$ours"
		well_behaved | ask_tlscheck "$ours" "$@"
	fi
	well_behaved | ask_finger "$level" "$theirs"
	wrong=$(well_behaved | while read -r domain; do
		judge "$level" "$domain" "$(cat "$ours/$domain")" "$(cat "$theirs/$domain")"
	done)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	[ "$(find "$ours" "$theirs" -type f -size +0 | wc -l)" -eq $((2 * $(well_behaved | wc -l))) ]
}

@test "posttls-finger -l dane agrees with tlscheck.rows on every domain of the lab, or misses a clause" {
	local dir=$BATS_TEST_TMPDIR/words domain verdict wrong
	mkdir "$dir"
	domains | ask_finger dane "$dir"
	wrong=$(rows "$BATS_TEST_DIRNAME/tlscheck.rows" | while IFS='|' read -r domain _ verdict _; do
		judge dane "$domain" "$verdict" "$(cat "$dir/$domain")"
	done)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	[ "$(find "$dir" -type f -size +0 | wc -l)" -eq "$(domains | wc -l)" ]
}

@test "posttls-finger -l dane-only agrees with --dane mandatory" {
	agree dane-only --dane mandatory
}

@test "posttls-finger -l verify agrees with -l required-verify" {
	agree verify -l required-verify --dane none
}

@test "posttls-finger -l secure agrees with -l required-verify" {
	agree secure -l required-verify --dane none
}

# "DOMAIN|HOST|CERTIFICATE|VERDICT" for the domains of the first section of tlscheck.rows: what the zone says of the
# first MX, and what the hosts say of its address.
chains() {
	local domain verdict
	sed -n '/^# --- certificates/,/^# --- DNS/p' "$BATS_TEST_DIRNAME/tlscheck.rows" > "$BATS_TEST_TMPDIR/section"
	rows "$BATS_TEST_TMPDIR/section" | while IFS='|' read -r domain _ verdict _; do
		awk -v domain="$domain" -v verdict="$verdict" '
			FILENAME ~ /hosts$/ { if ($1 !~ /^#/) cert[$1] = $3; next }
			{ owner = $1; sub(/\.$/, "", owner) }
			$2 == "MX" && mx == "" { mx = $4 ~ /\.$/ ? substr($4, 1, length($4) - 1) : $4 "." domain }
			$2 == "A" && owner == mx { print domain "|" mx "|" cert[$3] "|" verdict; exit }' \
			"$lab_here/hosts" "$LAB_DIR/zones/$domain.zone"
	done
}

# "yes" or "no": does the tool find a match of HOST's TLSA records with the chain in FILE?
ldns_dane_says() {
	lab_ns ldns-dane -r 127.0.0.1 -f "$LAB_CERTS/ca/cert.pem" -c "$2" verify "$1" "$LAB_PORT" > "$2.$1" 2>&1 &&
		grep -q 'dane-validated successfully' "$2.$1" && echo yes || echo no
}

# Its resolver holds .test to be its own, empty zone: so the host is asked for below .labs, which a relay turns into
# .test.  The names in signatures do not survive that, and validation is off.
danetool_says() {
	lab_ns unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec danetool "$@"' "$LAB_DIR/resolv.labs" \
		--check "${1%.test}.labs" --port "$LAB_PORT" --local-dns --insecure --load-certificate "$2" \
		> "$2.$1.danetool" 2>&1 && echo yes || echo no
}

start_labs() {
	[ ! -e "$LAB_DIR/pids/ns-labs" ] || return 0
	lab_ns_prefix
	lab_spawn ns-labs "${LAB_NS[@]}" "$BUILD/lab/dnsrelay" -u 127.0.0.1@53 -p 53 127.0.0.9=rename
	lab_await ns-labs lab_is_ready ns-labs
	echo 'nameserver 127.0.0.9' > "$LAB_DIR/resolv.labs"
}

# TOOL DOMAIN VERDICT ANSWER: what is wrong about them, if anything.
judge_tool() {
	local tool=$1 domain=$2 verdict=$3 says=$4 wanted=no domains answer clause why
	[ "$verdict" != AUTH ] || wanted=yes
	while IFS='|' read -r _ domains answer clause why; do
		[[ " $domains " == *" $domain "* ]] || continue
		[ "$says" = "$answer" ] || echo "$tool $domain: it says $says, the exception has $answer"
		[[ $clause == 'RFC '* && -n $why ]] || echo "$tool $domain: an exception without a clause"
		[ "$answer" != $wanted ] || echo "$tool $domain: the exception is none"
		return
	done < <(rows "$BATS_TEST_DIRNAME/dane-tools.rows" | grep "^$tool|")
	[ "$says" = $wanted ] || echo "$tool $domain: tlscheck $verdict, it says $says"
}

@test "ldns-dane and danetool agree on every chain and record of the lab, or miss a clause that is named" {
	local domain host cert verdict file wrong
	start_labs
	chains > "$BATS_TEST_TMPDIR/chains"
	[ "$(wc -l < "$BATS_TEST_TMPDIR/chains")" -ge 50 ]
	wrong=$(while IFS='|' read -r domain host cert verdict; do
		file=$BATS_TEST_TMPDIR/$cert.pem
		cat "$LAB_CERTS/$cert/cert.pem" "$LAB_CERTS/$cert/chain.pem" > "$file" 2> /dev/null || true
		judge_tool ldns-dane "$domain" "$verdict" "$(ldns_dane_says "$host" "$file")"
		judge_tool danetool "$domain" "$verdict" "$(danetool_says "$host" "$file")"
	done < "$BATS_TEST_TMPDIR/chains")
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
}
