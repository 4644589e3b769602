#!/usr/bin/env bats
# Reports on TLS (RFC 8460) that the relay sends, and the signatures on its mail (RFC 6376): what is counted, what survives
# a restart, what arrives by mail and HTTPS, judged by programs that share no code with it.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay and Postfix work as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_postfix
	lab_peers
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
}

teardown()
{
	local status=0
	relay_end || status=1
	[ -z "${SINK_PID:-}" ] || kill "$SINK_PID"
	return $status
}

# RCPT…: a message to each; its ID is ID, where there is one.
mail_to()
{
	mailer send "$RELAY_PORT" a@good.test "$@" > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
}

log_has()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

sums()
{
	smtp-relay -c "$RELAY/conf" --tlsrpt "$@"
}

# REGEX: the sums say so.
sums_say()
{
	sums 2>/dev/null | tr '\n' '~' | grep -qE -- "$1"
}

queue_is_empty()
{
	[ -z "$(ls -A "$RELAY_SPOOL/queue")" ] && [ -z "$(ls -A "$RELAY_SPOOL/new")" ]
}

# [LINE…]: a relay that counts and reports, with these lines behind.
conf_with_reports()
{
	relay_conf_to_lab "tlsrpt tls@sender.test organization Sender%20Ltd. contact postmaster@sender.test delay 0s" "$@"
}

@test "sessions are counted by policy: DANE that holds and fails, TLS without a policy, none at all" {
	RELAY_RETRY=1h
	conf_with_reports "destination demanding.rpt.test dane mandatory"
	relay_start
	# One after the other, for the order of the sums.
	for name in good wrong plain clear unusable broken demanding down quiet twice; do
		mail_to "x@$name.rpt.test"
		relay_await 20 log_has "$ID (deferred|delivered) to=x@$name.rpt.test"
	done
	relay_await 20 sums_say 'demanding.*dane-required'
	run --separate-stderr sums
	[ "$status" -eq 0 ] && [ -z "$stderr" ]
	sed -E 's/3 1 1 [0-9a-f]{64}/3 1 1 HEX/' <<< "$output" | diff - <(sums_of_all)
	run --separate-stderr sums WRONG.rpt.test
	diff - <(sums_of_all | sed -n '/^wrong/,/^plain/p' | sed '$d') < <(sed -E 's/3 1 1 [0-9a-f]{64}/3 1 1 HEX/' <<< "$output")
	run --separate-stderr sums quiet.rpt.test
	[ "$status" -eq 1 ] && [ -z "$output" ] && [[ $stderr == *"no session was counted today" ]]
	sums -j | jq -es 'length == 7 and all(.policies | length > 0) and .[0].policies[0] == {"policy":
	    {"policy-type":"tlsa","policy-string":.[0].policies[0].policy["policy-string"],"policy-domain":"mx.good.test"},
	    "summary":{"total-successful-session-count":1,"total-failure-session-count":0}}'
}

# As it is printed: good, wrong, ... were each sent one message.
sums_of_all()
{
	cat <<-END
		good.rpt.test: reports to mailto:reports@good.test
		  tlsa mx.good.test: 1 good, 0 failed
		wrong.rpt.test: reports to mailto:reports@good.test, mailto:more@good.test
		  tlsa mx.wrong.test: 0 good, 1 failed
		    1 certificate-not-trusted at mx.wrong.test [127.0.0.25] (mx.good.test) from 127.0.0.1: no TLSA record of mx.wrong.test matches: the server shows 3 1 1 HEX
		plain.rpt.test: reports to mailto:reports@wrong.rpt.test
		  no-policy-found plain.rpt.test: 1 good, 0 failed
		clear.rpt.test: reports to mailto:reports@good.test
		  no-policy-found clear.rpt.test: 0 good, 1 failed
		    1 starttls-not-supported at mx.no-starttls.plain.test [127.0.1.22] (mx.plain.test) from 127.0.0.1: STARTTLS is not offered
		unusable.rpt.test: reports to mailto:reports@good.test
		  tlsa mx.unusable-pkix.test: 0 good, 1 failed
		    1 tlsa-invalid at mx.unusable-pkix.test from 127.0.0.1
		  no-policy-found unusable.rpt.test: 1 good, 0 failed
		broken.rpt.test: reports to mailto:reports@good.test
		  tlsa mx.bogus-tlsa.test: 0 good, 1 failed
		    1 dnssec-invalid at mx.bogus-tlsa.test
		demanding.rpt.test: reports to mailto:reports@good.test
		  tlsa mx.absent-nodata.test: 0 good, 1 failed
		    1 dane-required at mx.absent-nodata.test: it has no TLSA records (proven), and DANE is mandatory
	END
}

# The relay's file of today becomes that of yesterday, as if midnight had been behind it; it does not run.
make_yesterday()
{
	local today yesterday
	today=$(date -u +%F) yesterday=$(date -u -d '1 day ago' +%F)
	if [ -e "$RELAY_SPOOL/reports/$today" ]; then
		sed "s/^day .*/day ${yesterday}T00:00:00Z/" "$RELAY_SPOOL/reports/$today" > "$RELAY/yesterday"
		rm "$RELAY_SPOOL/reports/$today"
		install -o games -m 600 "$RELAY/yesterday" "$RELAY_SPOOL/reports/$yesterday"
	fi
	YESTERDAY=$yesterday
}

# BOX REGEX: Postfix has such a message in the box.
postfix_has()
{
	lab_postfix_mail "$1" 2>/dev/null | grep -qE -- "$2"
}


# Keys of sender.test, whose selectors are rsa and ed, and the file of their records, which verify reads.
make_keys()
{
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$RELAY/rsa.pem" 2>/dev/null
	openssl genpkey -algorithm ed25519 -out "$RELAY/ed.pem"
	chmod 600 "$RELAY"/*.pem
}

# FILE TLSRPT: the number of good signatures of the message in the file; dkimpy judges, with the records that --dkim-record prints.
verify()
{
	smtp-relay -c "$RELAY/conf" --dkim-record > "$RELAY/records" || return
	"${RELAY_AT[@]}" /usr/bin/python3 - "$RELAY/records" "$1" "$2" <<-'END'
		import re, sys, dkim
		records = {}
		for line in open(sys.argv[1]):
		    owner, rest = line.split(" ", 1)
		    records[owner.encode()] = "".join(re.findall(r'"([^"]*)"', rest)).encode()
		message = open(sys.argv[2], "rb").read()
		d = dkim.DKIM(message, tlsrpt="strict" if sys.argv[3] == "tlsrpt" else False)
		n = len([h for h in d.headers if h[0].lower() == b"dkim-signature"])
		good = sum(d.verify(i, dnsfunc=lambda name, timeout=5: records.get(name)) for i in range(n))
		print(good, "of", n)
	END
}

# The only message of the folder, with CRLF; it is there.
only_file()
{
	[ "$(find "$1" -type f | wc -l)" -eq 1 ] && cat "$1"/*
}

# A sink at $SINK_PORT, whose messages are files of $RELAY/sink.
start_sink()
{
	SINK_PORT=$(relay_free_port)
	mkdir -p "$RELAY/sink"
	mailer sink -s "$RELAY/sink" "$RELAY/taken" 127.0.0.1 "$SINK_PORT" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	SINK_PID=$!
	relay_await 10 sink_listens
}

sink_listens()
{
	(exec 9<>"/dev/tcp/127.0.0.1/$SINK_PORT") 2>/dev/null
}

sink_has()
{
	[ "$(find "$RELAY/sink" -type f | wc -l)" -ge "$1" ]
}

@test "behind midnight reports go out by mail: signed, whatever TLS fails, none about themselves" {
	make_keys
	relay_with_clock
	RELAY_RETRY=1h
	conf_with_reports "dkim sender.test rsa $RELAY/rsa.pem sign reports" "dkim sender.test ed $RELAY/ed.pem sign reports"
	relay_start
	mail_to x@plain.rpt.test
	relay_await 20 log_has "$ID removed"
	mail_to x@wrong.rpt.test
	relay_await 20 log_has "$ID deferred"
	relay_await 20 sums_say 'plain.*wrong'
	relayq -s "$RELAY_SPOOL" delete "$ID"
	day=$(date -u -d "@$(relay_now)" +%F)
	relay_clock "@$((($(relay_now) / 86400 + 1) * 86400))"
	for to in reports@wrong.rpt.test reports@good.test more@good.test; do
		relay_await 30 log_has "report-sent day=$day .*to=mailto:$to"
		relay_await 30 log_has "delivered to=$to .*wanted=may"
	done
	relay_logs 3 report-sent
	relay_await 20 postfix_has other '^--=_tlsrpt--'
	# The box of all domains that are no zone.
	lab_postfix_mail other | perl -0777 -ne 'print grep { /^TLS-Report-Domain/m } split /^(?=From )/m' > box
	# As others read it: the words behind mbox's "From " line are the message.
	sed 1d box > message
	[ "$(verify message tlsrpt)" = "2 of 2" ]
	run relayq tlsrpt box
	[ "$status" -eq 0 ]
	[ "$output" = "plain.rpt.test no-policy-found: 1 good, 0 failed, in 1 report" ]
	run --separate-stderr relayq -j tlsrpt box
	jq -e --arg day "$day" '.report | .["organization-name"] == "Sender Ltd." and .["contact-info"] == "postmaster@sender.test" and
	    .["report-id"] == $day + ".plain.rpt.test@relay.example" and .["date-range"]["start-datetime"] == $day + "T00:00:00Z" and
	    .["date-range"]["end-datetime"] == $day + "T23:59:59Z"' <<< "$output"
	tr -d '\r' < message > plain
	grep -qx 'TLS-Report-Domain: plain.rpt.test' plain
	grep -qx 'TLS-Report-Submitter: sender.test' plain
	grep -qx 'Content-Type: multipart/report; report-type="tlsrpt";' plain
	grep -qE 'filename="sender.test!plain.rpt.test![0-9]+![0-9]+.json.gz"$' plain
	# That host's DANE fails, and reports went there: not one of their sessions is counted, today neither.
	relay_await 20 queue_is_empty
	sleep 3
	[ ! -e "$RELAY_SPOOL/reports/$day" ]
	run --separate-stderr "${RELAY_AT[@]}" smtp-relay -c "$RELAY/conf" --tlsrpt
	[ "$status" -eq 1 ] && [ -z "$output" ] && [ "$stderr" = 'smtp-relay: nothing was counted today' ] || { echo "$status $stderr"; return 1; }
}

reports_gone()
{
	[ -z "$(ls -A "$RELAY_SPOOL/reports")" ]
}

@test "what was counted survives a restart and a kill; a relay that was down at midnight reports when it is up" {
	RELAY_MAY_DIE=1 RELAY_RETRY=1h
	start_sink
	conf_with_reports "route good.test 127.0.0.1@$SINK_PORT"
	relay_start
	mail_to x@clear.rpt.test
	relay_await 20 log_has "$ID removed"
	relay_await 20 sums_say 'clear.rpt.test: 0 good, 1 failed'
	kill -KILL "$(relay_role queue)"
	relay_await 20 log_has 'queue started'
	relay_await 20 all_started
	mail_to y@clear.rpt.test
	relay_await 20 log_has "$ID removed"
	relay_stop
	sums_say 'clear.rpt.test: 0 good, 2 failed'
	relay_start
	mail_to z@clear.rpt.test
	relay_await 20 log_has "$ID removed"
	relay_stop
	sums_say 'clear.rpt.test: 0 good, 3 failed'
	make_yesterday
	relay_start
	relay_await 30 sink_has 1
	relay_await 20 reports_gone
	run relayq tlsrpt "$RELAY"/sink/*
	[ "$status" -eq 1 ]
	diff - <(echo "$output") <<-END
		clear.rpt.test no-policy-found: 0 good, 3 failed, in 1 report
		  3 starttls-not-supported: the host did not do STARTTLS; at mx.no-starttls.plain.test [127.0.1.22]; says Sender Ltd.: STARTTLS is not offered
	END
	# Once: what was sent is not sent again.
	relay_stop
	relay_start
	mail_to x@good.test
	relay_await 20 log_has "$ID removed"
	[ "$(find "$RELAY/sink" -type f | wc -l)" -eq 2 ]
}

all_started()
{
	[ "$(grep -c 'queue started' "$RELAY_LOG")" -ge 2 ] && [ -n "$(relay_role out-2)" ] && [ -n "$(relay_role route)" ]
}

@test "a file of counts that makes no sense is left, and told of" {
	conf_with_reports
	relay_start
	relay_stop
	echo nonsense > "$RELAY_SPOOL/reports/2026-01-01"
	chown games "$RELAY_SPOOL/reports/2026-01-01"
	relay_start
	relay_await 10 log_has 'queue fault .*reports/2026-01-01: left as it is: 2026-01-01:1: '
	relay_stop
	[ "$(cat "$RELAY_SPOOL/reports/2026-01-01")" = nonsense ]
}

@test "without a tlsrpt line nobody is asked for _smtp._tls, and nothing is counted" {
	relay_conf_to_lab
	relay_start
	mail_to x@good.rpt.test
	relay_await 20 log_has "$ID removed"
	relay_stop
	[ -z "$(ls -A "$RELAY_SPOOL/reports")" ]
	run --separate-stderr sums
	[ "$status" -eq 1 ]
	[[ $stderr == *"there is no tlsrpt line: nothing is counted" ]]
}

# ---- signatures of relayed mail ----

# FILE: a message that is hard to sign: dots, blanks, empty lines, odd fields.
odd_message()
{
	printf '%s\r\n' 'Received: from x' 'From: "A, B" (c) <a@Sender.Test>' 'to:b@c.test,' '	d@e.test ' 'SUBJECT:  two   blanks ' \
	    'X-Other: y' 'Cc: x@y.test' 'Cc: z@y.test' '' '' '.' '..dots' 'blanks  at	 the end 	 ' '' '	begin' '' '' '   ' ''
}

@test "relayed mail is signed for domains that have a key, for clients that may relay" {
	make_keys
	start_sink
	relay_conf_to_lab "dkim sender.test rsa $RELAY/rsa.pem" "dkim sender.test ed $RELAY/ed.pem" \
	    "dkim reports.test ed $RELAY/ed.pem sign reports" "route taker.test 127.0.0.1@$SINK_PORT" "route sender.test 127.0.0.1@$SINK_PORT" \
	    "listen out 127.0.0.1@$RELAY_PORT2 type public domains sender.test"
	relay_start
	odd_message > odd
	sed 's/@Sender.Test/@other.test/' odd > other
	sed 's/@Sender.Test/@reports.test/' odd > reports
	{ printf 'From: x@sender.test\r\n'; cat odd; } > two
	mailer send -f odd "$RELAY_PORT" a@sender.test b@taker.test > sent
	relay_await 20 sink_has 1
	[ "$(verify "$RELAY/sink/1" mail)" = "2 of 2" ]
	# The message behind the signatures is as it came.
	perl -0777 -pe 's/\A(DKIM-Signature: [^\n]*\n([ \t][^\n]*\n)*){2}(Received: [^\n]*\n([ \t][^\n]*\n)*)//' "$RELAY/sink/1" | cmp - odd
	for file in other reports two; do
		mailer send -f $file "$RELAY_PORT" a@sender.test b@taker.test > sent
	done
	# From anywhere: whoever writes to us may claim to be us.
	mailer send -f odd "$RELAY_PORT2" a@sender.test b@sender.test > sent
	relay_await 20 sink_has 5
	[ "$(grep -l '^DKIM-Signature' "$RELAY"/sink/* | wc -l)" -eq 1 ]
}

@test "the keys' process dies, and the keys change: mail is signed by those of now" {
	RELAY_MAY_DIE=1
	make_keys
	start_sink
	relay_conf_to_lab "dkim sender.test ed $RELAY/ed.pem" "route taker.test 127.0.0.1@$SINK_PORT" "route sender.test 127.0.0.1@$SINK_PORT"
	relay_start
	odd_message > odd
	[ -n "$(relay_role sign)" ]
	kill -KILL "$(relay_role sign)"
	mailer send -f odd "$RELAY_PORT" a@sender.test b@taker.test > sent
	relay_await 30 sink_has 1
	[ "$(verify "$RELAY/sink/1" mail)" = "1 of 1" ]
	openssl genpkey -algorithm ed25519 -out ed.pem
	sed -i 's/^dkim .*/&\ndkim sender.test rsa rsa.pem/; s| rsa.pem| '"$RELAY"'/rsa.pem|' conf
	kill -HUP "$RELAY_PID"
	relay_await 20 log_has 'master reloaded'
	mailer send -f odd "$RELAY_PORT" a@sender.test b@taker.test > sent
	relay_await 30 sink_has 2
	[ "$(verify "$RELAY/sink/2" mail)" = "2 of 2" ]
	[ "$(verify "$RELAY/sink/1" mail)" = "0 of 1" ]
	# A file that is no key changes nothing.
	echo x > rsa.pem
	kill -HUP "$RELAY_PID"
	relay_await 20 log_has 'reload-failed .*dkim sender.test rsa'
	sed -i '/^dkim/d' conf
	kill -HUP "$RELAY_PID"
	relay_await 20 log_has 'reload-failed reason="the first dkim line, or none of them any more, needs a restart"'
}

@test "the configuration: keys of the store, what is refused, what is warned of, and the records" {
	make_keys
	mkdir etc
	mkcert -d etc -t rsa:2048 dkim.sender.test > /dev/null
	mkcert -d etc -t ec:p256 ec.sender.test > /dev/null
	conf_with_reports "dkim sender.test one dkim.sender.test" "dkim sender.test two $RELAY/ed.pem sign reports"
	run --separate-stderr smtp-relay -n -c conf
	[ "$status" -eq 0 ] && [ -z "$stderr" ]
	[[ $output == *"reports on TLS from tls@sender.test (Sender Ltd.), contact postmaster@sender.test, within 0s after midnight UTC"* ]]
	[[ $output == *"DKIM: mail from sender.test is signed with selector one, key dkim.sender.test"* ]]
	[[ $output == *"DKIM: reports from sender.test is signed with selector two, key $RELAY/ed.pem"* ]]
	run --separate-stderr smtp-relay -c conf --dkim-record sender.test
	[ "$status" -eq 0 ]
	rsa=$(openssl pkey -in etc/certs/dkim.sender.test/key.pem -pubout -outform DER | base64 -w 0)
	ed=$(openssl pkey -in ed.pem -pubout -outform DER | tail -c 32 | base64)
	[ "$(tr -d '"' <<< "${lines[0]}" | sed 's/ \([A-Za-z0-9+/=]*\) )$/\1 )/')" = "one._domainkey.sender.test. IN TXT ( v=DKIM1; k=rsa; p=$rsa )" ]
	[ "${lines[1]}" = "two._domainkey.sender.test. IN TXT ( \"v=DKIM1; k=ed25519; s=tlsrpt; p=$ed\" )" ]
	run --separate-stderr smtp-relay -c conf --dkim-record other.test
	[ "$status" -eq 1 ] && [ -z "$output" ]
	conf_with_reports
	run --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"warning: tlsrpt: reports by mail will be ignored: no dkim line for sender.test"* ]]
	while IFS='|' read -r line error; do
		relay_conf_to_lab "$line"
		run --separate-stderr smtp-relay -n -c conf
		[ "$status" -eq 1 ] && [[ $stderr == *"$error"* ]] || { echo "$line: $status $stderr"; return 1; }
	done <<-END
		tlsrpt x|tlsrpt: expected user@domain, not "x"
		tlsrpt a@[192.0.2.1]|tlsrpt: expected user@domain
		tlsrpt a@b.test delay 13h|tlsrpt: delay: expected 0s to 12h
		tlsrpt a@b.test contact|tlsrpt: no value behind "contact"
		tlsrpt a@b.test x y|tlsrpt: expected organization, contact or delay, not "x"
		dkim a.test s ec.sender.test|a key of type ec:p256: DKIM has rsa and ed25519 only
		dkim a.test s absent.test|no identity "absent.test"
		dkim a.test s /absent|/absent
		dkim a.test s $RELAY/ed.pem sign x|dkim: sign: expected
		dkim a.test s $RELAY/ed.pem for x|dkim: expected sign all or sign reports
		dkim a..test s $RELAY/ed.pem|dkim: expected a domain
	END
}

# ---- in the lab's namespace: policy hosts at port 443 ----

# RCPT…: a message to each, from inside.
mail_inside()
{
	local rcpt
	for rcpt in "$@"; do
		run lab_ns say "$RELAY_PORT" = 'EHLO client.example\r\n' = 'MAIL FROM:<a@relay.example>\r\n' = \
		    "RCPT TO:<$rcpt>\r\n" = 'DATA\r\n' = 'From: a\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n' =
		[[ $output == *" 354 250"* ]] || { echo "said: $output"; return 1; }
	done
}

@test "MTA-STS is counted: policies that hold, that cannot be had, that do not name the host; the report goes out by HTTPS" {
	local enforce=("version: STSv1" "mode: enforce" "mx: *.absent-nodata.test" "max_age: 604800")
	export MTATLS_SYSTEM_CA=$LAB_CERTS/ca/cert.pem
	lab_sites
	lab_site good.sts.test good sts "${enforce[@]}"
	lab_site unmatched.sts.test good sts "${enforce[@]/absent-nodata/other}"
	lab_site notfound.sts.test notfound sts "${enforce[@]}"
	lab_site unknown-ca.sts.test good sts-unknown "${enforce[@]}"
	lab_site html-text.sts.test good sts '<html>'
	lab_site reports.good.sts.test error sts
	RELAY_RETRY=1h
	make_keys
	conf_with_reports "dkim sender.test ed $RELAY/ed.pem"
	lab_ns_prefix
	RELAY_PREFIX=("${LAB_NS[@]}")
	relay_start
	mail_inside x@{good,unmatched,notfound,unknown-ca,html-text}.sts.test
	for name in good notfound unknown-ca html-text; do
		relay_await 20 log_has "delivered to=x@$name.sts.test"
	done
	relay_await 20 log_has "deferred to=x@unmatched.sts.test"
	relay_stop
	run --separate-stderr sums
	diff <(grep -v '^[^ ]' <<< "$output" | sort) - <<-END
		    1 sts-policy-fetch-error from 127.0.0.1
		    1 sts-policy-invalid from 127.0.0.1
		    1 sts-webpki-invalid from 127.0.0.1
		    1 validation-failure at mx.absent-nodata.test: it has no TLSA records (proven), and no mx pattern of the MTA-STS policy, which is enforced, names it
		  no-policy-found html-text.sts.test: 1 good, 0 failed
		  no-policy-found notfound.sts.test: 1 good, 0 failed
		  no-policy-found unknown-ca.sts.test: 1 good, 0 failed
		  sts good.sts.test: 1 good, 0 failed
		  sts html-text.sts.test: 0 good, 1 failed
		  sts notfound.sts.test: 0 good, 1 failed
		  sts unknown-ca.sts.test: 0 good, 1 failed
		  sts unmatched.sts.test: 0 good, 1 failed
	END
	make_yesterday
	# The server fails; then its certificate does; then all is well.
	sed -i 's/^retry .*/retry 1s/' conf
	relay_start
	relay_await 20 log_has 'report-deferred .*to=https://reports.good.sts.test/v1 reason="the server answers with status 500"'
	lab_site reports.good.sts.test good sts-unknown
	relay_await 20 log_has 'report-deferred .*to=https://reports.good.sts.test/v1 reason=.*neither in the list'
	lab_site reports.good.sts.test good sts
	relay_await 20 log_has 'report-sent .*to=https://reports.good.sts.test/v1 reason="the server answers with status 201"'
	grep -q ' https post /v1 application/tlsrpt+gzip$' "$LAB_CAPTURE"
	run --separate-stderr relayq tlsrpt "$LAB_SITES/posted.0"
	[ "$status" -eq 0 ]
	[ "$output" = "good.sts.test sts: 1 good, 0 failed, in 1 report" ]
	run --separate-stderr relayq -j tlsrpt "$LAB_SITES/posted.0"
	jq -e '.report.policies[0].policy == {"policy-type":"sts","policy-domain":"good.sts.test","mx-host":["*.absent-nodata.test"],
	    "policy-string":["version: STSv1","mode: enforce","mx: *.absent-nodata.test","max_age: 604800"]}' <<< "$output"
	relay_await 20 reports_gone
}
