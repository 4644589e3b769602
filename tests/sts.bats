#!/usr/bin/env bats
# shellcheck disable=SC2034,SC2154 # stderr is run's, some variables are for lab/relay.bash
# MTA-STS as tlscheck and the relay follow it: every policy host of sts.rows, what is kept and for how long,
# what castore's lists say of policy hosts.  All of it in the lab's namespace, where policy hosts have port 443.

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
	lab_sites
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	export MTATLS_SYSTEM_CA=$LAB_CERTS/ca/cert.pem MTATLS_DIR=$BATS_TEST_TMPDIR/state
	ENFORCE=("version: STSv1" "mode: enforce" "mx: *.absent-nodata.test" "max_age: 604800")
	CACHE=$BATS_TEST_TMPDIR/cache
	RELAY_LOG=/nonexistent RELAY_JOB=
}

teardown() {
	relay_end
}

check() {
	run --separate-stderr lab_ns "$BIN/tlscheck" "${LAB_OPTS[@]}" -t 2 "$@"
}

trim() {
	local s=$1
	s=${s#"${s%%[! ]*}"}
	printf '%s' "${s%"${s##*[! ]}"}"
}

rows() {
	grep -v '^#' "$BATS_TEST_DIRNAME/sts.rows" | grep .
}

# NAME SITE POLICY
set_up_site() {
	local how cert lines
	read -r how cert <<< "$2"
	[ "$how" != - ] || return 0
	if [ "$3" = enforce ]; then
		lines=("${ENFORCE[@]}")
	else
		IFS=/ read -ra lines <<< "$3"
	fi
	lab_site "$1.sts.test" "$how" "$cert" "${lines[@]}"
}

judge_row() {
	local dir=$1 name=$2 line=$3 verdict=$4 got
	got=$(sed -n 's/^[^ ]* MTA-STS: //p' "$dir/$name")
	if [ "$line" = - ]; then
		[ -z "$got" ] || echo "$name: MTA-STS: $got"
	else
		local found=
		while IFS= read -r l; do
			# shellcheck disable=SC2053
			[[ $l != $line ]] || found=1
		done <<< "$got"
		[ -n "$found" ] || echo "$name: wanted $line, got: $got"
	fi
	[[ $(head -n 1 "$dir/$name") == "$name.sts.test: $verdict: "* ]] ||
		echo "$name: wanted $verdict: $(head -n 1 "$dir/$name")"
	[ ! -s "$dir/$name.err" ] || echo "$name: stderr: $(cat "$dir/$name.err")"
}

@test "every policy host and record of sts.rows" {
	local dir=$BATS_TEST_TMPDIR/rows name site policy line verdict wrong
	mkdir "$dir"
	: > "$LAB_CAPTURE"
	while IFS='|' read -r name site policy line verdict; do
		set_up_site "$(trim "$name")" "$(trim "$site")" "$(trim "$policy")"
	done < <(rows)
	lab_ns_prefix
	# shellcheck disable=SC2016
	rows | grep -oE '^[^ |]+' | xargs -P 8 -I '{}' sh -c 'dir=$1 name=$2; shift 2
		"$@" "$name.sts.test" > "$dir/$name" 2> "$dir/$name.err" || :' \
		rows "$dir" '{}' "${LAB_NS[@]}" "$BIN/tlscheck" "${LAB_OPTS[@]}" -t 2
	wrong=$(rows | while IFS='|' read -r name site policy line verdict; do
		judge_row "$dir" "$(trim "$name")" "$(trim "$line")" "$(trim "$verdict")"
	done)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	# One request each, no second one behind a redirect, and no credentials.
	[ "$(grep -c 'https get redirect.sts.test' "$LAB_CAPTURE")" -eq 1 ]
	run ! grep 'https credentials' "$LAB_CAPTURE"
}

@test "no proxy, cookie or password of the environment" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	: > "$LAB_CAPTURE"
	printf 'machine mta-sts.good.sts.test login a password b\n' > "$BATS_TEST_TMPDIR/.netrc"
	HOME=$BATS_TEST_TMPDIR https_proxy=http://127.0.2.20:3128 ALL_PROXY=http://127.0.2.20:3128 check good.sts.test
	[ "$status" -eq 0 ]
	[[ $output == *"MTA-STS: enforce, "* ]]
	run ! grep 'https credentials' "$LAB_CAPTURE"
}

@test "--sts none: neither asked nor fetched" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	: > "$LAB_CAPTURE"
	: > "$LAB_QUERIES"
	check --sts none good.sts.test
	[ "$status" -eq 0 ]
	[[ $output != *MTA-STS* ]]
	run ! grep _mta-sts "$LAB_QUERIES"
	run ! grep ' https ' "$LAB_CAPTURE"
}

@test "a [host] has no policy" {
	: > "$LAB_QUERIES"
	check '[mx.absent-nodata.test]'
	[ "$status" -eq 0 ]
	run ! grep -E '_mta-sts|_smtp' "$LAB_QUERIES"
}

@test "castore: both lists off, a custom list, a CA distrusted: who may vouch for a policy host" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	"$BIN/castore" disable system
	check good.sts.test
	[[ $output == *"MTA-STS: none: "*"the certificate of mta-sts.good.sts.test is not good: "* ]]
	MTATLS_SYSTEM_CA=/nonexistent
	"$BIN/castore" import "$LAB_CERTS/ca/cert.pem"
	check good.sts.test
	[[ $output == *"MTA-STS: enforce, "* ]]
	"$BIN/castore" distrust "$(openssl x509 -in "$LAB_CERTS/ca/cert.pem" -noout -fingerprint -sha256 | cut -d= -f2)"
	check good.sts.test
	[[ $output == *"MTA-STS: none: "*"distrust"* ]]
}

@test "kept: used while the id is the same, without a fetch; in force when a fetch fails" {
	lab_site kept.sts.test good sts "${ENFORCE[@]}"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, "* ]]
	[ "$(grep -v fetched "$CACHE/kept.sts.test")" = 'domain kept.sts.test
id 1
max-age 604800
mode enforce
mx *.absent-nodata.test' ]
	: > "$LAB_CAPTURE"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, "* ]]
	run ! grep 'https get' "$LAB_CAPTURE"
	# Another id, and a policy host that fails: RFC 8461 5.1.
	sed -i 's/^id 1/id 0/' "$CACHE/kept.sts.test"
	lab_site kept.sts.test notfound sts
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, "*"status 404; the policy fetched at "*" stays in force (RFC 8461 5.1)"* ]]
	[[ ${lines[0]} == "kept.sts.test: AUTH: "* ]]
	check kept.sts.test
	[[ ${lines[0]} == "kept.sts.test: ENC: "* ]]
	# The same after a policy that is none, and where the certificate is wrong.
	lab_site kept.sts.test good sts nonsense
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"is no policy: line 1: "*" stays in force"* ]]
	lab_site kept.sts.test good wrongname "${ENFORCE[@]}"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"no name is that of "*" stays in force"* ]]
	# The record gone or not to be had takes nothing away either.
	for name in no-txt servfail bogus two; do
		sed "s/^domain.*/domain $name.sts.test/" "$CACHE/kept.sts.test" > "$CACHE/$name.sts.test"
		check --sts-cache "$CACHE" "$name.sts.test"
		[[ $output == *"MTA-STS: enforce, "*" stays in force (RFC 8461 5.1)"* ]]
	done
}

@test "kept: a new id brings the new mode, mode none ends the policy" {
	lab_site change.sts.test good sts "${ENFORCE[@]}"
	check --sts-cache "$CACHE" change.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, "* ]]
	# A new policy under the old id is not seen before the day is over.
	lab_site change.sts.test good sts "${ENFORCE[0]}" "mode: testing" "${ENFORCE[@]:2}"
	check --sts-cache "$CACHE" change.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, "* ]]
	sed -i 's/^id 1/id 0/' "$CACHE/change.sts.test"
	check --sts-cache "$CACHE" change.sts.test
	[[ $output == *"MTA-STS: testing, id 1, "* ]]
	grep -qx 'id 1' "$CACHE/change.sts.test"
	# RFC 8461 8.3
	sed -i 's/^id 1/id 0/' "$CACHE/change.sts.test"
	lab_site change.sts.test good sts "${ENFORCE[0]}" "mode: none" "max_age: 86400"
	check --sts-cache "$CACHE" change.sts.test
	[[ $output == *"MTA-STS: none, id 1, max_age 86400"* ]]
	[[ ${lines[0]} == "change.sts.test: ENC: "* ]]
	grep -qx 'mode none' "$CACHE/change.sts.test"
}

@test "kept: refreshed after a day, gone after max_age, and max_age 0 keeps nothing" {
	lab_site kept.sts.test good sts "${ENFORCE[@]}"
	check --sts-cache "$CACHE" kept.sts.test
	sed -i "s/^fetched.*/fetched $(date -u -d '25 hours ago' +%FT%TZ)/" "$CACHE/kept.sts.test"
	: > "$LAB_CAPTURE"
	check --sts-cache "$CACHE" kept.sts.test
	grep -q 'https get kept.sts.test' "$LAB_CAPTURE"
	grep -q "^fetched $(date -u +%F)" "$CACHE/kept.sts.test"
	lab_site kept.sts.test notfound sts
	sed -i "s/^fetched.*/fetched $(date -u -d '6 days ago' +%FT%TZ)/" "$CACHE/kept.sts.test"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: enforce, "*" stays in force"* ]]
	sed -i "s/^fetched.*/fetched $(date -u -d '8 days ago' +%FT%TZ)/" "$CACHE/kept.sts.test"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: none: "*"status 404"* ]]
	[ ! -e "$CACHE/kept.sts.test" ]
	lab_site kept.sts.test good sts "${ENFORCE[@]:0:3}" "max_age: 0"
	check --sts-cache "$CACHE" kept.sts.test
	[[ $output == *"MTA-STS: enforce, id 1, max_age 0, "* ]]
	[ ! -e "$CACHE/kept.sts.test" ]
}

@test "kept: a damaged file is told of and replaced; what is none of ours stays" {
	mkdir "$CACHE"
	echo nonsense > "$CACHE/kept.sts.test"
	echo mine > "$CACHE/README"
	lab_site kept.sts.test good sts "${ENFORCE[@]}"
	check --sts-cache "$CACHE" kept.sts.test
	[ "$status" -eq 0 ]
	[[ $stderr == *"warning: $CACHE/kept.sts.test:1: "* ]]
	grep -qx 'mode enforce' "$CACHE/kept.sts.test"
	grep -qx mine "$CACHE/README"
	check --sts-cache "$BATS_TEST_TMPDIR/no/folder" kept.sts.test
	[ "$status" -eq 2 ]
	[[ $stderr == "tlscheck: $BATS_TEST_TMPDIR/no/folder: No such file or directory"* ]]
}

@test "TLS-RPT: what is published, and what is wrong with it; both in JSON" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	lab_site testing.sts.test good sts "${ENFORCE[@]}"
	check good.sts.test testing.sts.test
	[[ $output == *"good.sts.test: TLS-RPT: mailto:reports@good.sts.test https://reports.good.sts.test/v1"* ]]
	[[ $output == *"testing.sts.test: TLS-RPT: none: its record _smtp._tls is not valid: offset 16: expected a URI that begins with mailto: or https: (RFC 8460 3)"* ]]
	check -j good.sts.test
	[ "$(jq -c '.sts | del(.fetched)' <<< "$output")" = '{"state":"found","id":"1","mode":"enforce","max_age":604800,"mx":["*.absent-nodata.test"],"uncovered":[],"reason":null}' ]
	[ "$(jq -c .tlsrpt <<< "$output")" = '{"state":"found","rua":["mailto:reports@good.sts.test","https://reports.good.sts.test/v1"],"reason":null}' ]
	check -j --sts none no-txt.sts.test
	[ "$(jq -c '[.sts, .tlsrpt]' <<< "$output")" = '[null,{"state":"none","rua":[],"reason":null}]' ]
}

# The relay, whose route role follows MTA-STS in its chroot, without rights.
relay_sts() {
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
	RELAY_RETRY=1h relay_conf_to_lab
	lab_ns_prefix
	RELAY_PREFIX=("${LAB_NS[@]}")
	relay_start
}

send_to() {
	run lab_ns say "$RELAY_PORT" = 'EHLO client.example\r\n' = 'MAIL FROM:<a@relay.example>\r\n' = \
	    "RCPT TO:<b@$1>\r\n" = 'DATA\r\n' = 'From: a\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n' =
	[[ $output == *" 354 250"* ]] || { echo "said: $output"; return 1; }
}

has_logged() {
	grep -qE -- "$1" "$RELAY_LOG"
}

@test "the relay: an enforced policy is followed, kept in its spool, and outlives the policy host and a restart" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	lab_site unmatched.sts.test good sts "${ENFORCE[@]:0:2}" "mx: mx.other.test" "max_age: 86400"
	lab_site redirect.sts.test redirect sts "${ENFORCE[@]}"
	relay_sts
	send_to good.sts.test
	send_to unmatched.sts.test
	send_to redirect.sts.test
	relay_await 20 has_logged ' delivered .*good\.sts\.test'
	relay_await 20 has_logged ' delivered .*redirect\.sts\.test'
	relay_await 20 has_logged ' (deferred|waits) .*unmatched\.sts\.test'
	[ "$(stat -c '%U %a' "$RELAY_SPOOL/sts" "$RELAY_SPOOL/sts/good.sts.test" | tr '\n' ' ')" = 'news 700 news 600 ' ]
	grep -qx 'mode enforce' "$RELAY_SPOOL/sts/good.sts.test"
	[ ! -e "$RELAY_SPOOL/sts/redirect.sts.test" ]
	# Policy host and id lost: what is kept stays in force, for -e and tlscheck -c as well.
	sed -i 's/^id 1/id 0/; s/^mx .*/mx mx.other.test/' "$RELAY_SPOOL/sts/good.sts.test"
	lab_site good.sts.test notfound sts
	relay_stop
	relay_start
	send_to good.sts.test
	relay_await 20 has_logged ' (deferred|waits) .*good\.sts\.test'
	run lab_ns "$BIN/smtp-relay" -c "$RELAY/conf" -e b@good.sts.test
	[[ $output == *"stays in force (RFC 8461 5.1)"* ]]
	run lab_ns "$BIN/tlscheck" -c "$RELAY/conf" good.sts.test
	[[ $output == *"stays in force (RFC 8461 5.1)"* ]]
	[ "$status" -eq 1 ]
}

@test "the relay without root: its roles keep to their folders, and what they do is the same" {
	lab_site good.sts.test good sts "${ENFORCE[@]}"
	[ "$(id -u)" -eq 0 ] || skip "needs root: the lab has names of its own"
	relay_setup
	relay_conf_to_lab
	chown nobody "$RELAY"
	lab_ns_prefix
	RELAY_PREFIX=("${LAB_NS[@]}" setpriv --reuid nobody --regid nogroup --clear-groups)
	relay_start
	relay_await 10 has_logged 'master unprivileged consequence="not started as root: all roles share one user'
	send_to good.sts.test
	relay_await 20 has_logged ' delivered .*good\.sts\.test .*wanted=sts reached=AUTH'
	grep -qx 'mode enforce' "$RELAY_SPOOL/sts/good.sts.test"
	send_to good.test
	relay_await 20 has_logged ' delivered .*good\.test .*wanted=dane reached=AUTH'
	run lab_ns "$BIN/relayq" -s "$RELAY_SPOOL" stat
	[ "$status" -eq 0 ]
}
