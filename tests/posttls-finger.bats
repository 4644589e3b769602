#!/usr/bin/env bats
# Postfix's own probe, posttls-finger -l dane, on every domain of the lab, beside what tlscheck.rows
# wants of tlscheck.  It runs in a network namespace with a validating resolver in resolv.conf, which
# it has to trust.  Where the two differ, posttls-finger.rows names the clause.
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
}

rows() {
	grep -v '^#' "$1" | grep . | sed -E 's/ *\| */|/g; s/ *$//'
}

# Words of posttls-finger that say the same as a verdict of ours.
same() {
	case $1/$2 in
	AUTH/verified | ENC/untrusted | ENC/trusted | CLEAR/none | NOMAIL/nomail | INCONCLUSIVE/temp) ;;
	# It has one word for a host that may not be used, another for a failed handshake or lookup.
	SKIP/skip | SKIP/temp | SKIP/handshake | SKIP/failed | SKIP/rejected) ;;
	*) return 1 ;;
	esac
}

ask_all() {
	local dir=$1 domain
	lab_posttls_finger good.test > "$dir/good.test"
	rows "$BATS_TEST_DIRNAME/tlscheck.rows" | cut -d'|' -f1 | grep -vx good.test |
		# shellcheck disable=SC2016
		xargs -P 6 -I '{}' bash -c '. "$1/lab/lab.bash"; lab_posttls_finger "$3" > "$2/$3"' \
			ask "$BATS_TEST_DIRNAME" "$dir" '{}'
}

# What a domain's word should be: tlscheck's verdict, or the exception.
judge() {
	local domain=$1 word=$2 verdict=$3 exception
	exception=$(rows "$BATS_TEST_DIRNAME/posttls-finger.rows" | grep "^$domain|" || true)
	if [ -n "$exception" ]; then
		IFS='|' read -r _ wanted clause why <<< "$exception"
		[[ ",$wanted," == *",$word,"* ]] || echo "$domain: it says $word, the exception has $wanted"
		[[ $clause == 'RFC '* && -n $why ]] || echo "$domain: an exception without a clause"
		if same "$verdict" "${wanted%%,*}"; then echo "$domain: the exception is none"; fi
	elif ! same "$verdict" "$word"; then
		echo "$domain: tlscheck $verdict, posttls-finger $word"
	fi
}

@test "posttls-finger agrees on every domain of the lab, or misses a clause that is named" {
	local dir=$BATS_TEST_TMPDIR/words domain verdict wrong
	mkdir "$dir"
	ask_all "$dir"
	wrong=$(rows "$BATS_TEST_DIRNAME/tlscheck.rows" | while IFS='|' read -r domain _ verdict _; do
		judge "$domain" "$(cat "$dir/$domain")" "$verdict"
	done)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	[ "$(find "$dir" -type f -size +0 | wc -l)" -eq "$(rows "$BATS_TEST_DIRNAME/tlscheck.rows" | wc -l)" ]
}
