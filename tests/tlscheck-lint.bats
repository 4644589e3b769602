#!/usr/bin/env bats
# shellcheck disable=SC2154 # stderr is run's
# tlscheck --lint: records and policies that a postmaster is about to publish; the grammar itself has its rows in
# tests/unit/sts.c and tlsrpt.c.

bats_require_minimum_version 1.5.0

# STATUS STDOUT STDERR KIND TEXT: the text by way of a file and of stdin; stderr without "tlscheck: FILE".
lint() {
	local want=$1 out=$2 err=$3 kind=$4 file=$BATS_TEST_TMPDIR/file
	printf %b "$5" > "$file"
	run --separate-stderr "$BIN/tlscheck" --lint "$kind" "$file"
	if [ "$status" -ne "$want" ] || [ "$output" != "$out" ] || [ "${stderr#"tlscheck: $file"}" != "$err" ]; then
		printf '%s: %s\nstatus %s\nstdout: %s\nstderr: %s\n' "$kind" "$5" "$status" "$output" "$stderr"
		return 1
	fi
	run --separate-stderr "$BIN/tlscheck" --lint "$kind" - < "$file"
	[ "$status" -eq "$want" ]
	[ "$output" = "$out" ]
	[ "${stderr#tlscheck: stdin}" = "$err" ]
}

@test "sts-txt: the bare record, the zone file's form, several records" {
	lint 0 'id 20160831085700Z' '' sts-txt 'v=STSv1; id=20160831085700Z;\n'
	lint 0 'id 1' '' sts-txt 'v=STSv1; id=1'
	lint 0 'id 1' '' sts-txt 'v=STSv1; id=1;\r\n'
	lint 0 'id 1' '' sts-txt '"v=STSv1; id=1;"\n'
	lint 0 'id 12' '' sts-txt '"v=STSv1; id=1" "2;"\n'
	lint 0 'id 1' '' sts-txt '_mta-sts.example.org. 3600 IN TXT "v=STSv1; id=1;" ; new\n'
	lint 0 'id 12' '' sts-txt '_mta-sts IN TXT ( "v=STSv1\\059 id=1"\n\t"2;" )\n'
	lint 0 'id 1' '' sts-txt 'v=spf1 -all\nv=STSv1; id=1;\n'
	lint 1 '' ':1: offset 13: expected a letter or digit in the id' sts-txt 'v=STSv1; id=1-2;\n'
	lint 1 '' ':1: offset 0: expected v=STSv1;' sts-txt 'v=STSv1 ; id=1;\n'
	lint 1 '' ':2: offset 17: expected "=" behind nonsense' sts-txt '"v=spf1 -all"\n"v=STSv1; nonsense"\n'
	lint 1 '' ': 2 records begin with v=STSv1;: none of them counts' sts-txt 'v=STSv1; id=1\nv=STSv1; id=1\n'
	lint 1 '' ': no record begins with v=STSv1;' sts-txt 'a\nb\n'
	lint 1 '' ': no record in it' sts-txt ''
	lint 1 '' ':1: octet 22 of the line: expected a string in quotes: without them a semicolon begins a comment' \
		sts-txt '_mta-sts 3600 IN TXT  v=STSv1; id=1;\n'
	lint 1 '' ':1: octet 0 of the line: a string without its closing quote' sts-txt '"v=STSv1; id=1;\n'
	lint 1 '' ':1: octet 9 of the line: expected a character or three digits behind the backslash' sts-txt '"v=STSv1;\\9 id=1;"\n'
	lint 1 '' ':1: octet 0 of the line: a string of more than 255 octets: split it' \
		sts-txt "\"v=STSv1; id=1; x=$(printf 'y%.0s' {1..240})\"\n"
}

@test "sts-policy" {
	lint 0 $'mode enforce\nmax_age 604800\nmx mail.example.com\nmx *.example.net' '' sts-policy \
		'version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n'
	lint 0 $'mode none\nmax_age 86400' '' sts-policy 'version: STSv1\nmode: none\nmax_age: 86400\n'
	run --separate-stderr "$BIN/tlscheck" --lint sts-policy - <<< $'version: STSv1\nmode: testing\nmx: *.com\nmax_age: 60'
	[ "$status" -eq 0 ]
	[ "$output" = $'mode testing\nmax_age 60\nmx *.com' ]
	[[ ${stderr_lines[0]} == 'tlscheck: stdin: warning: max_age is less than a day: '* ]]
	[ "${stderr_lines[1]}" = 'tlscheck: stdin: warning: a pattern covers all of a top-level domain' ]
	lint 1 '' ': line 3: max_age: expected 0 to 31557600 seconds' sts-policy \
		'version: STSv1\nmode: none\nmax_age: 1 year\n'
	lint 1 '' ': line 3: no max_age' sts-policy 'version: STSv1\nmode: none\n'
	lint 1 '' ': line 1: no version' sts-policy ''
}

@test "tlsrpt-txt" {
	lint 0 $'rua mailto:a@b.example\nrua https://c.example/' '' tlsrpt-txt \
		'_smtp._tls TXT "v=TLSRPTv1; rua=mailto:a@b.example,https://c.example/"\n'
	lint 1 '' ':1: offset 33: "!" is written as %21 in a URI here' tlsrpt-txt 'v=TLSRPTv1;rua=mailto:a@b.example!10m\n'
	lint 1 '' ':1: offset 15: expected a URI that begins with mailto: or https:' tlsrpt-txt 'v=TLSRPTv1;rua=a@b.example\n'
}

@test "tlsa" {
	local hex=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
	lint 0 "3 1 1 $hex: DANE-EE SPKI SHA2-256" '' tlsa "# of mx\n\n3 1 1 $hex ; now\n"
	lint 0 "2 0 1 $hex: DANE-TA Cert SHA2-256" '' tlsa "_25._tcp.mx 3600 IN TLSA 2 0 1 $hex\n"
	lint 1 "3 1 1 $hex: DANE-EE SPKI SHA2-256" ':2: TLSA data: offset 1: expected a hexadecimal digit' \
		tlsa "3 1 1 $hex\n3 1 1 0g\n"
	lint 1 '' ': no record in it' tlsa '# none\n'
	run --separate-stderr "$BIN/tlscheck" --lint tlsa - <<< "1 1 1 $hex"
	[ "$status" -eq 1 ]
	[[ $stderr == "tlscheck: stdin:1: not for SMTP: "* ]]
	run --separate-stderr "$BIN/tlscheck" --lint tlsa - <<< "3 1 1 ${hex:2}"
	[ "$status" -eq 1 ]
	[[ $stderr == "tlscheck: stdin:1: not for SMTP: "* ]]
	run --separate-stderr "$BIN/tlscheck" --lint tlsa - <<< "3 1 1 $hex"$'\n'"3 1 1 $hex"$'\n'"3 1 2 $hex$hex"
	[ "$status" -eq 0 ]
	[ "${stderr_lines[0]}" = 'tlscheck: stdin:2: warning: this record stands above already' ]
	[[ ${stderr_lines[1]} == 'tlscheck: stdin:3: warning: not every client knows SHA2-512'* ]]
	run --separate-stderr "$BIN/tlscheck" --lint tlsa - < <(printf '3 1 1 00\0\n')
	[ "$status" -eq 1 ]
	[ "$stderr" = "tlscheck: stdin: octet 8: a NUL" ]
}

@test "in JSON" {
	run --separate-stderr "$BIN/tlscheck" -j --lint sts-policy - <<< $'version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 9'
	[ "$status" -eq 0 ]
	[ "$(jq -c 'del(.warnings)' <<< "$output")" = '{"lint":"sts-policy","file":"stdin","mode":"enforce","max_age":9,"mx":["a.test"],"valid":true,"reason":null}' ]
	[ "$(jq '.warnings | length' <<< "$output")" -eq 1 ]
	run --separate-stderr "$BIN/tlscheck" -j --lint sts-txt - <<< 'v=STSv1; id=1;'
	[ "$(jq -c . <<< "$output")" = '{"lint":"sts-txt","file":"stdin","id":"1","valid":true,"reason":null}' ]
	run --separate-stderr "$BIN/tlscheck" -j --lint tlsrpt-txt - <<< 'v=TLSRPTv1;'
	[ "$status" -eq 1 ]
	[ "$(jq -c . <<< "$output")" = '{"lint":"tlsrpt-txt","file":"stdin","valid":false,"reason":"stdin:1: offset 11: no rua="}' ]
}

@test "2: no such file, too large, no such kind, no file or two; what cannot be written" {
	run --separate-stderr "$BIN/tlscheck" --lint sts-txt "$BATS_TEST_TMPDIR/none"
	[ "$status" -eq 2 ]
	[ "$stderr" = "tlscheck: $BATS_TEST_TMPDIR/none: No such file or directory" ]
	truncate -s 2M "$BATS_TEST_TMPDIR/large"
	run --separate-stderr "$BIN/tlscheck" --lint sts-policy "$BATS_TEST_TMPDIR/large"
	[ "$status" -eq 2 ]
	run --separate-stderr "$BIN/tlscheck" --lint spf "$BATS_TEST_TMPDIR/large"
	[ "$status" -eq 2 ]
	[ "${stderr_lines[0]}" = 'tlscheck: lint: expected sts-txt, sts-policy, tlsrpt-txt or tlsa, not "spf"' ]
	run --separate-stderr "$BIN/tlscheck" --lint sts-txt
	[ "$status" -eq 2 ]
	run --separate-stderr "$BIN/tlscheck" --lint sts-txt a b
	[ "$status" -eq 2 ]
	run bash -c 'echo "v=STSv1; id=1" | "$0" --lint sts-txt - > /dev/full' "$BIN/tlscheck"
	[ "$status" -eq 2 ]
}
