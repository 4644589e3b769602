#!/usr/bin/env bats
# shellcheck disable=SC2154 # stderr is run's
# tlscheck on the lab: every domain and every misbehaviour gives the verdict, the reason and the exit
# status that stand in tlscheck.rows; then the options, the resolvers that fail, the usage.

bats_require_minimum_version 1.5.0

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
}

check() {
	run --separate-stderr "$BIN/tlscheck" "${LAB_OPTS[@]}" "$@"
}

# One run for each domain of tlscheck.rows, eight at a time; what each printed goes to DIR/DOMAIN, what it took to
# DIR/DOMAIN.peak.
run_rows() {
	local dir=$1
	mkdir -p "$dir"
	# shellcheck disable=SC2016
	grep -v '^#' "$BATS_TEST_DIRNAME/tlscheck.rows" | grep -oE '^[^ |]+' |
		xargs -P 8 -I '{}' sh -c 'out=$1 domain=$2; shift 2
			"$BUILD/lab/peak" "$out/$domain.peak" "$@" "$domain" > "$out/$domain" 2> "$out/$domain.err"
			echo $? > "$out/$domain.rc"' \
			rows "$dir" '{}' "$BIN/tlscheck" "${LAB_OPTS[@]}" -t 5
}

trim() {
	local s=$1
	s=${s#"${s%%[! ]*}"}
	printf '%s' "${s%"${s##*[! ]}"}"
}

# The table's rows, without its head.
host_rows() {
	grep -E '^  ([0-9]+|-) +[^ ]+ +[^ ]+ +(AUTH|ENC|CLEAR|SKIP|INCONCLUSIVE) ' "$1"
}

# The verdicts of the hosts' lines, in their order.
host_verdicts() {
	host_rows "$1" | awk '{ print $4 }' | paste -sd' ' -
}

# Says what differs for one row; nothing where all is as wanted.
judge_row() {
	local dir=$1 domain=$2 exit=$3 word=$4 rule=$5 hosts=$6 first=$7 answer reason
	local out=$dir/$domain
	answer=$(head -n 1 "$out")
	reason=$(host_rows "$out" | head -n 1)
	[ "$(cat "$out.rc")" = "$exit" ] || echo "$domain: exit $(cat "$out.rc"), wanted $exit"
	# shellcheck disable=SC2053
	[[ $answer == "$domain: $word: "*\ \[$rule\] ]] || echo "$domain: wanted $word [$rule]: $answer"
	[ "$(host_verdicts "$out")" = "$hosts" ] ||
		echo "$domain: hosts '$(host_verdicts "$out")', wanted '$hosts'"
	# Where there is no host the answer has the reason.
	# shellcheck disable=SC2053
	[[ ${reason:-$answer} == $first ]] || echo "$domain: '${reason:-$answer}' does not say $first"
	[ "$word" = NOMAIL ] || [ "$word" = AUTH ] || [[ $hosts == *SKIP* ]] || [ "$hosts" = ENC ] ||
		grep -q '^  what to do:$' "$out" || echo "$domain: no advice"
	[ ! -s "$out.err" ] || echo "$domain: stderr: $(cat "$out.err")"
}

@test "the advice is about what is wrong" {
	local domain words wrong=''
	lab_opts
	while read -r domain words; do
		run "$BIN/tlscheck" "${LAB_OPTS[@]}" -j "$domain"
		[ "$(jq -r '[.advice[].problem] | join(" ")' <<< "$output")" = "$words" ] || wrong+="$domain: $output"$'\n'
	done <<- 'END'
		ta-wrongname.test tlsa-name
		ta-expired.test tlsa-expired
		ta-pathlen.test tlsa-chain
		ta-eku.test tlsa-chain
		ta-unsent.test tlsa-ca
		agility-bad.test tlsa-agility
		wrong.test tlsa-mismatch
	END
	echo "$wrong"
	[ -z "$wrong" ]
	run "$BIN/tlscheck" --resolver "$LAB_DNS_STRIP" --anchor "$LAB_ANCHOR" good.test
	[[ $output == *'what to do:'*"the fault is not the domain's"*'strips DNSSEC'* ]]
	[[ $output != *'mend the DNS of the domain'* ]]
}

@test "every domain of the lab: verdict, rule, reason, exit status" {
	local dir=$BATS_FILE_TMPDIR/rows domain exit word rule hosts first wrong
	run_rows "$dir"
	wrong=$(grep -v '^#' "$BATS_TEST_DIRNAME/tlscheck.rows" | grep . |
		while IFS='|' read -r domain exit word rule hosts first; do
			judge_row "$dir" "$(trim "$domain")" "$(trim "$exit")" "$(trim "$word")" \
				"$(trim "$rule")" "$(trim "$hosts")" "$(trim "$first")"
		done)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	[ "$(find "$dir" -name '*.rc' | wc -l)" -eq "$(grep -cE '^[a-z]' "$BATS_TEST_DIRNAME/tlscheck.rows")" ]
}

@test "a domain whose host has IPv6 only, or whose A records are broken" {
	[ "${LAB_V6:-0}" = 1 ] || skip "no IPv6 loopback here"
	check bogus-a-only.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "bogus-a-only.test: AUTH: "* ]]
	[[ ${lines[1]} == "bogus-a-only.test: not asked, not counted: mx.bogus-a-only.test: "*"A bogus: "* ]]
	check v6.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "v6.test: AUTH: "* ]]
	[[ ${lines[2]} =~ ^\ +10\ +mx.v6.test\ +::1\ +AUTH\  ]]
}

@test "nothing is said in clear text to a host with usable TLSA records that fails" {
	: > "$LAB_CAPTURE"
	check starttls-454.dane.test no-starttls.dane.test swapped.test inject.dane.test
	[ "$status" -eq 1 ]
	grep -q 'clear EHLO' "$LAB_CAPTURE"
	run bash -c 'grep " clear " "$1" | grep -vE " clear (EHLO|STARTTLS|QUIT)( |$)"' others "$LAB_CAPTURE"
	echo "$output"
	[ -z "$output" ]
}

@test "TLSA records are not asked for where the host is unsigned, nor with --dane none" {
	: > "$LAB_QUERIES"
	check unsigned.test
	run ! grep TLSA "$LAB_QUERIES"
	check --dane none good.test
	grep -q " ENC .*DANE is not used: level preferred applies \[local\]$" <<< "$output"
	run ! grep TLSA "$LAB_QUERIES"
	check good.test
	grep -q 'TLSA' "$LAB_QUERIES"
}

# REGEX: somebody asked the lab's server; it may write that down a moment later.
asked() {
	local i
	for ((i = 0; i < 100; i++)); do
		! grep -qE " $1\$" "$LAB_QUERIES" || return 0
		sleep 0.05
	done
	cat "$LAB_QUERIES"
	return 1
}

# Port 9, which nobody listens at: _9 is behind the lab's port in the zone's order, and no NSEC that came with another
# answer covers it (RFC 8198).
@test "another port: the TLSA record's name has it" {
	: > "$LAB_QUERIES"
	run "$BIN/tlscheck" --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR" --port 9 -t 3 good.test
	[ "$status" -eq 3 ]
	asked '_9\._tcp\.mx\.good\.test\. TLSA'
	run ! grep -E ' _[0-9]+\._tcp\.mx\.good\.test\. TLSA$' <(grep -v ' _9\.' "$LAB_QUERIES")
}

@test "what no verdict rests on is said, with -q and -j too" {
	local domain
	for domain in bogus-aaaa.test aaaa-servfail.test; do
		check -q "$domain"
		[ "$status" -eq 0 ]
		[[ ${lines[0]} == "$domain: AUTH: "* ]]
		[[ ${lines[1]} == "$domain: not asked, not counted: mx.$domain: perhaps more addresses: AAAA "* ]]
		check -j "$domain"
		[ "$(jq -r '.warnings[] | .kind + " " + .rule' <<< "$output")" = 'not-asked RFC 7672 2.2.2' ]
	done
	check -q multi-down.test
	[ "${lines[1]}" = 'multi-down.test: not asked, not counted: mx1.multi-down.test 127.0.2.20' ]
	check -j good.test
	[ "$(jq -c .warnings <<< "$output")" = '[]' ]
}

@test "a server that denies the empty name above its TLSA records: a warning, and the verdict stands" {
	check parent-denied.test
	[ "$status" -eq 0 ]
	[[ $output == *"parent-denied.test: warning: _tcp.mx.parent-denied.test is answered with NXDOMAIN although _${LAB_PORT}._tcp.mx.parent-denied.test has records: "*"[RFC 8020 2]"* ]]
	[[ ${lines[0]} == "parent-denied.test: AUTH: "* ]]
	check -j parent-denied.test
	[ "$(jq -r '.warnings[] | .kind + " " + .rule' <<< "$output")" = 'denied RFC 8020 2' ]
	# Nobody asks where there is nothing to lose.
	: > "$LAB_QUERIES"
	check absent-nxdomain.test
	run ! grep ' _tcp\.' "$LAB_QUERIES"
	check good.test
	[[ $output != *warning* ]]
	asked '_tcp\.mx\.good\.test\. A'
}

@test "mandatory DANE: no usable TLSA record, no connection" {
	local domain
	for domain in absent-nodata.test unusable.test unsigned.test tlsa-alias-out.test mx-insecure.test; do
		: > "$LAB_CAPTURE"
		check --dane mandatory "$domain"
		[ "$status" -eq 1 ]
		[[ ${lines[0]} == "$domain: SKIP: "*"RFC 7672 "* ]]
		[ ! -s "$LAB_CAPTURE" ]
	done
	check --dane mandatory good.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "good.test: AUTH: "* ]]
}

@test "level required: no clear text without TLSA records either" {
	check -l required no-starttls.plain.test helo-only.plain.test starttls-454.plain.test
	[ "$status" -eq 1 ]
	[ "$(grep -c ' SKIP .* TLS is required, but .* \[local\]' <<< "$output")" -eq 3 ]
	[ "$(grep -c '^[^ ]*: SKIP: ' <<< "$output")" -eq 3 ]
	check -l required ok.plain.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *": ENC: "* ]]
}

@test "level no: STARTTLS is not used, DANE is off" {
	: > "$LAB_CAPTURE"
	check -l no good.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "good.test: CLEAR: "* ]]
	run ! grep -q STARTTLS "$LAB_CAPTURE"
	check -l no --dane opportunistic good.test
	[ "$status" -eq 2 ]
	[[ $stderr == *"contradict"* ]]
}

@test "SNI is the TLSA base domain, behind an alias too" {
	: > "$LAB_CAPTURE"
	check good.test alias-secure.test
	grep -q 'tls-start TLSv1.3 mx.good.test' "$LAB_CAPTURE"
	grep -q 'tls-start TLSv1.3 real.alias-target.test' "$LAB_CAPTURE"
}

@test "[host] and [address] are that host, without MX" {
	check '[mx.good.test]'
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "[mx.good.test]: AUTH: mail is encrypted and verified by DANE at its host ["* ]]
	[[ ${lines[2]} =~ ^\ +-\ +mx.good.test\ +127.0.0.25\ +AUTH\  ]]
	check '[127.0.0.25]'
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "[127.0.0.25]: ENC: "* ]]
	[[ ${lines[2]} =~ ^\ +-\ +127.0.0.25\ +127.0.0.25@$LAB_PORT\ +ENC\  ]]
	check '[MX.Good.Test.]' 'GOOD.test.'
	[ "$status" -eq 0 ]
	[[ ${lines[2]} == *" mx.good.test "*" AUTH "* ]]
	[[ ${lines[3]} == "good.test: AUTH: "* ]]
}

@test "the exit status over several domains: 2, 1, 3, 0" {
	check -q good.test null-mx.test mx-servfail.test
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 3 ]
	check -q good.test mx-servfail.test
	[ "$status" -eq 3 ]
	check -q good.test unsigned.test
	[ "$status" -eq 0 ]
}

@test "a resolver that is down, one that is silent: INCONCLUSIVE, and it says so" {
	local resolver
	for resolver in "$LAB_DNS_DEAD" "$LAB_DNS_SILENT"; do
		run "$BIN/tlscheck" --resolver "$resolver" --anchor "$LAB_ANCHOR" -t 2 good.test
		[ "$status" -eq 3 ]
		[[ $output == "good.test: INCONCLUSIVE: the MX lookup failed (the resolver does not answer"* ]]
		[[ ${lines[-1]} == *"- good.test: the fault is not the domain's, but of this machine or its resolver: "* ]]
	done
}

@test "a resolver that strips DNSSEC: INCONCLUSIVE, and it says so" {
	run --separate-stderr "$BIN/tlscheck" --resolver "$LAB_DNS_STRIP" --anchor "$LAB_ANCHOR" good.test '[mx.good.test]'
	[ "$status" -eq 3 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "tlscheck: warning: the resolver strips DNSSEC: "* ]]
	[[ ${lines[0]} == "good.test: INCONCLUSIVE: the MX lookup failed (the resolver strips DNSSEC"* ]]
	[[ $output == *$'\n'"[mx.good.test]: INCONCLUSIVE: "*"the resolver strips DNSSEC"* ]]
	run --separate-stderr "$BIN/tlscheck" -j --resolver "$LAB_DNS_STRIP" --anchor "$LAB_ANCHOR" good.test
	[ "$(jq -r '.warnings[] | .kind + " " + .rule' <<< "$output")" = 'resolver RFC 4035 3.2.1' ]
}

@test "a resolver that refuses or fails everything: INCONCLUSIVE" {
	local resolver
	for resolver in "$LAB_DNS_SERVFAIL" "$LAB_DNS_REFUSED"; do
		run "$BIN/tlscheck" --resolver "$resolver" --anchor "$LAB_ANCHOR" -t 3 good.test
		[ "$status" -eq 3 ]
		[[ $output == "good.test: INCONCLUSIVE: the MX lookup failed (the resolver does not answer"* ]]
		[[ ${lines[-1]} == *"- good.test: the fault is not the domain's, but of this machine or its resolver: "* ]]
	done
}

@test "a wrong trust anchor: INCONCLUSIVE, and it says so" {
	run --separate-stderr "$BIN/tlscheck" --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR_WRONG" good.test unsigned.test
	[ "$status" -eq 3 ]
	[[ $stderr == "tlscheck: warning: the trust anchor "* ]]
	[[ ${lines[0]} == "good.test: INCONCLUSIVE: the MX lookup failed (the trust anchor "*" is wrong: it matches no key of the root"* ]]
	[[ $output == *$'\n'"unsigned.test: INCONCLUSIVE: "*"trust anchor"* ]]
}

@test "-v: the trace, the certificates, each TLSA record with its use" {
	check -v mixed.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "mixed.test: AUTH: "* ]]
	grep -qx "mixed.test: policy tls preferred dane opportunistic" <<< "$output"
	[[ $output == *"1 MX host (secure) [RFC 7672 2.2.1] -> its hosts in their order"* ]]
	[[ $output == *": used"* ]]
	[[ $output == *": unusable: "* ]]
	[[ $output == *"certificate 0: subject "* ]]
	check -v agility-good.test
	[[ $output == *": used"* ]]
	check -v rollover.test
	[[ $output == *": dead"* ]]
}

@test "-j: one object a line for each destination, the same facts" {
	check -j good.test null-mx.test mx-servfail.test banner-junk.dane.test
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 4 ]
	printf '%s\n' "${lines[@]}" > "$BATS_TEST_TMPDIR/out"
	run jq -r '[.domain, .verdict, .mx, .rule] | join(" ")' "$BATS_TEST_TMPDIR/out"
	[ "$output" = "good.test AUTH found RFC 7672 3.1.1
null-mx.test NOMAIL null RFC 7505 3
mx-servfail.test INCONCLUSIVE failed RFC 7672 2.1.2
banner-junk.dane.test AUTH found RFC 7672 3.1.1" ]
	run jq -r '.hosts[0] | [.host, .address, .tlsa[0].use, .tls.protocol, .tls.chain[0].key] | join(" ")' \
		<<< "$(head -n 1 "$BATS_TEST_TMPDIR/out")"
	[ "$output" = "mx.good.test 127.0.0.25 used TLSv1.3 ec:p256" ]
}

# Of every domain of tlscheck.rows; those whose server has to time out are left to the rows.
some_domains() {
	grep -v '^#' "$BATS_TEST_DIRNAME/tlscheck.rows" | grep -oE '^[^ |]+' |
		grep -vE 'never|endless|slow|stall|half|drip|dribble|silent|long|timeout|renegotiate'
}

@test "--save and --replay: the same report from the file, under every policy, and in JSON" {
	local kept=$BATS_TEST_TMPDIR/kept args
	mapfile -t domains < <(some_domains)
	[ "${#domains[@]}" -gt 100 ]
	check -t 10 -v --save "$kept" "${domains[@]}"
	[ "$status" -eq 1 ]
	printf '%s\n' "$output" > "$BATS_TEST_TMPDIR/online"
	run -1 "$BIN/tlscheck" -v --replay "$kept"
	diff "$BATS_TEST_TMPDIR/online" - <<< "$output"
	# What was saved and what is judged in one run without it agree.
	"$BIN/tlscheck" -q "${LAB_OPTS[@]}" -t 10 "${domains[@]}" | cut -d' ' -f1,2 > "$BATS_TEST_TMPDIR/plain" || true
	diff "$BATS_TEST_TMPDIR/plain" <("$BIN/tlscheck" -q --replay "$kept" | cut -d' ' -f1,2)
	for args in '-T -l required-verify' '-j -T --dane none' '-l no' '-N'; do
		# shellcheck disable=SC2086
		"$BIN/tlscheck" $args --replay "$kept" > "$BATS_TEST_TMPDIR/once" || true
		# shellcheck disable=SC2086
		"$BIN/tlscheck" $args --replay - < "$kept" | cmp "$BATS_TEST_TMPDIR/once" - || true
		[ -s "$BATS_TEST_TMPDIR/once" ]
	done
}

@test "-T: each verdict of the table is that of a run under that policy" {
	local domains=(good.test wrong.test unsigned.test unusable.test ta-expired.test mx-insecure.test null-mx.test
		no-starttls.plain.test starttls-454.plain.test starttls-454.dane.test tls10.plain.test multi-mx.test)
	# Who speaks TLS 1.0 only says so in its own words to a strict client; of unusable records the first is
	# told, and servers rotate them.
	local reason='sub("the TLS handshake failed: .*"; "the TLS handshake failed") | sub(" is usable \\(.*"; "")'
	local tls dane domain
	check -T -j "${domains[@]}"
	jq -r '.domain as $d | .levels[] | [$d, .tls_level, .dane, .verdict, .rule, (.reason | '"$reason"')] | join("|")' <<< "$output" |
		sort > "$BATS_TEST_TMPDIR/table"
	for tls in no preferred preferred-verify required required-verify required-verify-hosted; do
		for dane in none opportunistic mandatory; do
			[ $tls != no ] || [ $dane = none ] || continue
			check -j -l $tls --dane $dane "${domains[@]}"
			jq -r '[.domain, .tls_level, .dane, .verdict, .rule, (.reason | '"$reason"')] | join("|")' <<< "$output"
		done
	done | sort > "$BATS_TEST_TMPDIR/runs"
	[ "$(wc -l < "$BATS_TEST_TMPDIR/runs")" -eq $((16 * ${#domains[@]})) ]
	diff "$BATS_TEST_TMPDIR/table" "$BATS_TEST_TMPDIR/runs"
}

@test "-T and --save make one connection to each address" {
	: > "$LAB_CAPTURE"
	check -T --save "$BATS_TEST_TMPDIR/kept" good.test
	[ "$(grep -c 'tls-start' "$LAB_CAPTURE")" -eq 1 ]
	grep -q 'tls-start TLSv1.3 mx.good.test' "$LAB_CAPTURE"
}

@test "a file of evidence that cannot be written: 2" {
	check --save "$BATS_TEST_TMPDIR/none/kept" good.test
	[ "$status" -eq 2 ]
	[[ ${lines[0]} == 'good.test: AUTH: '* ]]
}

@test "-N over several destinations: the worst counts, and each has its figures" {
	check -N good.test
	[ "$status" -eq 0 ]
	[[ $output == 'TLSCHECK OK - good.test AUTH: mail is encrypted and verified by DANE at its MX host |'* ]]
	check -N --expect AUTH good.test unsigned.test
	[ "$status" -eq 2 ]
	[[ $output == 'TLSCHECK CRITICAL - good.test AUTH: '*'; unsigned.test ENC: '*"'unsigned.test_enc'=1"* ]]
	check -N multi-addr.test
	[ "$status" -eq 1 ]
	check -N mx-servfail.test
	[ "$status" -eq 3 ]
	[[ $output == 'TLSCHECK UNKNOWN - mx-servfail.test INCONCLUSIVE: '* ]]
}

@test "progress on a terminal behind a second, and nowhere else" {
	local words="'$BIN/tlscheck' ${LAB_OPTS[*]} -t 2 banner-never.plain.test"
	run script -qec "$words" /dev/null
	[[ $output == *'tlscheck: 0 of 1 done, 1 s'* ]]
	check -t 2 banner-never.plain.test
	[ -z "$stderr" ]
}

# The examples of the page, a line for each.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\.Dl \$ //p' "$BATS_TEST_DIRNAME/../man/tlscheck.1" | sed 's/\\(dq/"/g'
}

@test "the examples of tlscheck(1)" {
	cd "$BATS_TEST_TMPDIR" || return 1
	"$BIN/tlscheck" "${LAB_OPTS[@]}" --save kept good.test > /dev/null
	sed -n 's/^pem //p' kept > fullchain.pem
	cat > try <<- 'END'
		tlscheck() {
			case " $* " in
			*" --chain "* | *" --replay "* | *" --lint "*) "$BIN/tlscheck" "$@" ;;
			*) "$BIN/tlscheck" $LAB "$@" ;;
			esac
		}
		# Digits in capitals, in two parts: as dig writes them.
		dig() { "$BIN/tlsa-gen" --rdata -i fullchain.pem | sed 's/./\U&/g;s/./& /56'; }
		set -o pipefail
	END
	local wanted=(0 0 0 1 0 0 0 1 1 0 1 0 3 3 1 0 0) line at=0
	while IFS= read -r line; do
		run --separate-stderr env BIN="$BIN" LAB="${LAB_OPTS[*]}" bash -c '. ./try; eval "$1"' example "$line" < /dev/null
		echo "$line: $status: $output $stderr"
		[ "$status" -eq "${wanted[at]}" ]
		at=$((at + 1))
	done < <(examples)
	[ "$at" -eq "${#wanted[@]}" ]
}

@test "what a server says is printed escaped" {
	check -v banner-junk.plain.test ehlo-garbage.plain.test banner-http.plain.test
	run ! env LC_ALL=C grep -q '[^[:print:][:space:]]' <<< "$output"
}

# Of the runs above.  The longest way has seven steps (connect, banner, EHLO, HELO, STARTTLS, handshake, EHLO) of
# -t 3 each, a DNS question before it and a farewell behind.
@test "time and memory are bounded whatever a server sends" {
	local dir=$BATS_FILE_TMPDIR/rows usual file kib ms room=8192
	# The sanitizers keep what was freed for a while.
	[[ $BIN != */asan/* ]] || room=$((512 * 1024))
	[ -s "$dir/good.test.peak" ]
	read -r usual ms < "$dir/good.test.peak"
	for file in "$dir"/*.peak; do
		read -r kib ms < "$file"
		[ "$kib" -le $((usual + room)) ] || { echo "$file: $kib KiB, good.test has $usual"; return 1; }
		[ "$ms" -le 60000 ] || { echo "$file: $ms ms"; return 1; }
	done
}

@test "endless TLS records hold up neither the deadline nor another destination" {
	SECONDS=0
	check -t 2 '[127.0.2.23]' good.test
	[ "$SECONDS" -lt 15 ]
	[[ ${lines[2]} == *" SKIP "*" the TLS handshake failed: timed out"* ]]
	[[ $output == *$'\n'"good.test: AUTH: "* ]]
}

@test "a directory as anchor, a closed standard output: 2" {
	run timeout 10 "$BIN/tlscheck" --anchor "$BATS_TEST_TMPDIR" good.test
	[ "$status" -eq 2 ]
	run bash -c '"$0" "$@" >&-' "$BIN/tlscheck" "${LAB_OPTS[@]}" good.test
	[ "$status" -eq 2 ]
}

@test "usage: -h, -V, wrong options and operands" {
	run --separate-stderr "$BIN/tlscheck" -h
	[ "$status" -eq 0 ]
	[[ $output == "usage: tlscheck "* ]]
	run "$BIN/tlscheck" -V
	[ "$status" -eq 0 ]
	[[ $output == "tlscheck (mtatls) "* ]]
	local args
	for args in "" "-x good.test" "--nonsense good.test" "-l foo good.test" "--dane foo good.test" "--sts foo good.test" "--fallback foo good.test" "--fqdn-check foo good.test" "--tls-min 1 good.test" "-l no --sts follow good.test" \
		"--port 0 good.test" "--port 65536 good.test" "--port 25x good.test" "-t 0 good.test" \
		"-t x good.test" "-l" "127.0.0.1" "a..b" "-dash.test" "[a b]" "--resolver foo good.test"; do
		# shellcheck disable=SC2086
		run --separate-stderr "$BIN/tlscheck" $args
		[ "$status" -eq 2 ] || { echo "$args: $status"; return 1; }
		[ -z "$output" ]
		[[ $stderr == "tlscheck: "* ]]
		[ "${#stderr_lines[@]}" -le 12 ]
	done
	run --separate-stderr "$BIN/tlscheck" -l bogus good.test
	[ "${stderr_lines[0]}" = 'tlscheck: level: expected no, preferred, preferred-verify, required, required-verify or required-verify-hosted, not "bogus"' ]
	[[ ${stderr_lines[1]} == "usage: tlscheck "* ]]
	[ "${stderr_lines[-1]}" = 'try -h for the options' ]
}

@test "levels that verify, and the other settings, without a configuration" {
	local dir=$BATS_TEST_TMPDIR/etc
	"$BIN/castore" -d "$dir" import "$LAB_CERTS/ca/cert.pem"
	"$BIN/castore" -d "$dir" disable system
	# DOMAIN VERDICT-AND-RULE OPTION...: the last line says so.
	says() {
		check -j -d "$dir" "${@:3}" "$1"
		[ "$(jq -r '.hosts[0].verdict + " " + .verdict + " " + .hosts[0].rule' <<< "$output")" = "$2" ] ||
			{ echo "$*"; echo "$output"; return 1; }
	}
	says r.good.pkix.test 'AUTH AUTH RFC 6125 6.4' -l required-verify
	says r.cn.pkix.test 'AUTH AUTH RFC 6125 6.4' -l required-verify
	says r.cn.pkix.test 'SKIP SKIP RFC 6125 6.4' -l required-verify-hosted
	says r.pkix-open.test 'AUTH ENC RFC 6125 6.4' -l required-verify
	says r.name.pkix.test 'ENC ENC RFC 6125 6.4' -l preferred-verify
	says r.refused.pkix.test 'SKIP SKIP RFC 3207 4' --fallback never
	says r.fails.pkix.test 'CLEAR CLEAR RFC 3207 4.1' --fallback after-220
	says r.old.pkix.test 'SKIP SKIP RFC 3207 4.1' -l required-verify
	says r.old.pkix.test 'SKIP SKIP RFC 3207 4.1' -l required-verify --tls-min 1.1
	says r.old.pkix.test 'AUTH AUTH RFC 6125 6.4' -l required-verify --tls-min 1.0
	# A DANE match satisfies every level, also where the CAs would not.
	says ee-self.test 'AUTH AUTH RFC 7672 3.1.1' -l required-verify-hosted
	says swapped.test 'SKIP SKIP RFC 7672 2.2' -l preferred-verify
	# No list: nothing verifies.
	"$BIN/castore" -d "$dir" disable custom
	says r.good.pkix.test 'SKIP SKIP RFC 5280 6.1' -l required-verify
}

@test "an anchor that is missing, empty or no anchor: 2, and the message names it" {
	local f=$BATS_TEST_TMPDIR/anchor
	run --separate-stderr "$BIN/tlscheck" --anchor "$f" good.test
	[ "$status" -eq 2 ]
	[ "$stderr" = "tlscheck: $f: No such file or directory" ]
	: > "$f"
	run --separate-stderr "$BIN/tlscheck" --anchor "$f" good.test
	[ "$status" -eq 2 ]
	[[ $stderr == "tlscheck: $f: no DS or DNSKEY record"* ]]
	head -c 3000 /dev/urandom > "$f"
	run --separate-stderr "$BIN/tlscheck" --anchor "$f" good.test
	[ "$status" -eq 2 ]
	[[ $stderr == "tlscheck: $f: "* ]]
}

@test "root hints that are missing or none: 2, one line that names them" {
	local f=$BATS_TEST_TMPDIR/hints
	run --separate-stderr "$BIN/tlscheck" --resolver recursive --root-hints "$f" --anchor "$LAB_ANCHOR" good.test
	[ "$status" -eq 2 ]
	[ "$stderr" = "tlscheck: $f: No such file or directory" ]
	echo nothing > "$f"
	run --separate-stderr "$BIN/tlscheck" --resolver recursive --root-hints "$f" --anchor "$LAB_ANCHOR" good.test
	[ "$status" -eq 2 ]
	[ "$stderr" = "tlscheck: $f: no address record: expected root hints" ]
}

@test "a server with a demonstration certificate: a warning on stderr" {
	"$BIN/mkcert" -d "$BATS_TEST_TMPDIR/state" --demo mx.good.test
	cp -r "$BATS_TEST_TMPDIR/state/certs/mx.good.test/." "$BATS_TEST_TMPDIR/demo"
	lab_peer 127.0.3.1 good "$BATS_TEST_TMPDIR/demo"
	check '[127.0.3.1]'
	lab_peer_stop 127.0.3.1
	[ "$status" -eq 0 ]
	[ "$stderr" = "tlscheck: 127.0.3.1: a demonstration certificate: for trials only" ]
}

@test "output that cannot be written: 2" {
	run bash -c '"$0" "$@" > /dev/full' "$BIN/tlscheck" "${LAB_OPTS[@]}" good.test
	[ "$status" -eq 2 ]
}
