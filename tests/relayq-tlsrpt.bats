#!/usr/bin/env bats
# relayq tlsrpt: reports of RFC 8460 as others send them, and as nobody should.
# shellcheck disable=SC2154 # stderr is run's

bats_require_minimum_version 1.5.0

setup()
{
	ROOT=$BATS_TEST_DIRNAME/..
	PATH=${BIN:-$ROOT/bin}:$PATH
	REPORT=$ROOT/tests/fuzz/corpus/tlsrpt_report/rfc
	cd "$BATS_TEST_TMPDIR" || return
}

# TEXT on standard input, WANTED status.
says()
{
	diff <(echo "$output") - || { echo "stderr: $stderr"; return 1; }
}

sums()
{
	cat <<-END
		company-y.example sts: 5326 good, 303 failed, in 1 report
		  200 starttls-not-supported: the host did not do STARTTLS; at mx2.mail.company-y.example [203.0.113.56]; says Company-X
		  100 certificate-expired: the certificate has expired; at mx1.mail.company-y.example; says Company-X
		  3 validation-failure: TLS failed for another reason; at mx-backup.mail.company-y.example [203.0.113.58]; says Company-X: X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED
	END
}

# FILE TYPE: a message with the file in it, base64.
message()
{
	cat <<-END
		From mailer Sat Nov 21 00:00:00 2026
		Subject: Report Domain: company-y.example
		MIME-Version: 1.0
		Content-Type: multipart/report; report-type="tlsrpt";
		 boundary="----a b"

		------a b
		Content-Type: text/plain

		This is a report.
		------a b
		Content-Type: $2
		Content-Transfer-Encoding: base64

		$(base64 "$1")
		------a b--
	END
}

@test "a report: JSON, packed, in a message with either; from files and standard input" {
	gzip -c "$REPORT" > report.json.gz
	message "$REPORT" application/tlsrpt+json > mail-json
	message report.json.gz application/tlsrpt+gzip | sed 's/$/\r/' > mail-gz
	message report.json.gz 'application/gzip; name="a!b!1!2.json.gz"' > mail-name
	for file in "$REPORT" report.json.gz mail-json mail-gz mail-name; do
		run --separate-stderr relayq tlsrpt "$file"
		[ "$status" -eq 1 ] || { echo "$file: $status $stderr"; return 1; }
		sums | says
		run --separate-stderr relayq tlsrpt < "$file"
		[ "$status" -eq 1 ]
		sums | says
	done
	run --separate-stderr relayq tlsrpt mail-gz - < "$REPORT"
	sums | says
	[ "$stderr" = "relayq: -: this report was counted already" ]
}

@test "sums over several reports; without a failure the status is 0" {
	cat > good <<-'END'
		{"organization-name":"Other","report-id":"1","policies":[{"policy":{"policy-type":"tlsa","policy-domain":"mx.company-y.example"},
		"summary":{"total-successful-session-count":7,"total-failure-session-count":0}}]}
	END
	run --separate-stderr relayq tlsrpt good
	[ "$status" -eq 0 ]
	[ "$output" = "mx.company-y.example tlsa: 7 good, 0 failed, in 1 report" ]
	sed 's/5065427c/other/; s/"failed-session-count": 3/"failed-session-count": 500/' "$REPORT" > second
	run --separate-stderr relayq tlsrpt good "$REPORT" second
	[ "$status" -eq 1 ]
	says <<-END
		company-y.example sts: 10652 good, 606 failed, in 2 reports
		  503 validation-failure: TLS failed for another reason; at mx-backup.mail.company-y.example [203.0.113.58]; says Company-X: X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED
		  400 starttls-not-supported: the host did not do STARTTLS; at mx2.mail.company-y.example [203.0.113.56]; says Company-X
		  200 certificate-expired: the certificate has expired; at mx1.mail.company-y.example; says Company-X
		mx.company-y.example tlsa: 7 good, 0 failed, in 1 report
	END
}

@test "as JSON" {
	run --separate-stderr relayq -j tlsrpt "$REPORT"
	[ "$status" -eq 1 ]
	diff <(jq -S .report <<< "$output") <(jq -S . "$REPORT")
	[ "$(jq -r .file <<< "$output")" = "$REPORT" ]
}

# FILE REGEX
refused()
{
	run --separate-stderr timeout 20 relayq tlsrpt "$1"
	if [ "$status" -ne 2 ] || [ -n "$output" ] || ! [[ $stderr =~ $2 ]]; then
		echo "$1: $status $stderr"
		return 1
	fi
}

@test "what is no report, and what is more than one, is refused in a moment" {
	: > empty
	refused empty 'empty: empty$'
	refused absent 'absent: No such file'
	echo hello > words
	refused words 'words: not JSON'
	printf 'Subject: x\n\nhello\n' > mail
	refused mail 'mail: no report in this message'
	head -c 100000000 /dev/zero | gzip -1 > bomb
	refused bomb 'bomb: gzip: it unpacks to more than 16777216 octets'
	gzip -c bomb > twice
	refused twice 'twice: not JSON'
	message bomb application/tlsrpt+gzip > bomb-mail
	refused bomb-mail 'bomb-mail: gzip: it unpacks to more than'
	gzip -c "$REPORT" | head -c 200 > short
	refused short 'short: gzip: cut off'
	head -c 16000000 /dev/zero | tr '\0' '[' > deep
	refused deep 'deep: offset 16: nested deeper than 16'
	{ printf '{"policies":['; yes '1,' | head -n 600000; } > many
	refused many 'many: offset [0-9]+: more than 500000 values'
	head -c 40000000 /dev/zero > large
	refused large 'large: '
	sed 's/5326/1e3/' "$REPORT" > real
	refused real 'policies\[0\]: summary: total-successful-session-count: expected a number of sessions'
	sed 's/5326/-1/' "$REPORT" > negative
	refused negative 'expected a number of sessions'
	sed 's/5326/123456789012345678901234567890/' "$REPORT" > huge
	refused huge 'too big integer'
}

@test "what others wrote is printed escaped" {
	sed 's/Company-X/\\u001b[31mX\\n\\u009b/; s/certificate-expired/\\u001b]0;x/' "$REPORT" > odd
	run --separate-stderr relayq tlsrpt odd
	[ "$status" -eq 1 ]
	[[ $output == *'100 \x1b]0;x; at mx1.mail.company-y.example; says \x1b[31mX\x0a\xc2\x9b'* ]]
	[ "$(LC_ALL=C tr -d '\n -~' <<< "$output" | wc -c)" -eq 0 ]
	run --separate-stderr relayq -j tlsrpt odd
	[ "$(LC_ALL=C tr -d '\n -~' <<< "$output" | wc -c)" -eq 0 ]
}

@test "options that have no meaning there" {
	for words in "-s spool tlsrpt" "-c conf tlsrpt" "--all tlsrpt" "--destination a.test tlsrpt"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr relayq $words "$REPORT"
		[ "$status" -eq 2 ] || { echo "$words: $status"; return 1; }
	done
}
