#!/usr/bin/env bats
# Days of a relay in seconds, by the clock of lab/clock.c: when it tries again, when it gives up, what it tells whom then.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	relay_with_clock
	SINK_PID=
	SINK_PORT=$(relay_free_port)
	mkdir "$RELAY/mail"
}

teardown()
{
	local status=0
	relay_end || status=1
	[ -z "$SINK_PID" ] || kill "$SINK_PID"
	return $status
}

# LINE…: a relay for the test's own mail, with dead hosts for dead.test, d1.test ... d5.test (port 1: nobody comes to listen
# there), one for back.test that a test may start, and a sink that takes what is for sender.test.
start()
{
	printf '%s\n' "hostname relay.example" "dir $RELAY/etc" "spool $RELAY_SPOOL" "user news" "queue-user games" \
		"listen in 127.0.0.1@$RELAY_PORT type private" "hosts in 127.0.0.0/8 relay" \
		"route dead.test 127.0.0.1@1" "route d1.test 127.0.1.1@1" "route d2.test 127.0.1.2@1" "route d3.test 127.0.1.3@1" \
		"route d4.test 127.0.1.4@1" "route d5.test 127.0.1.5@1" "route back.test 127.0.0.1@$RELAY_PORT2" "route sender.test 127.0.0.1@$SINK_PORT" "$@" > "$RELAY/conf"
	[ "$(id -u)" -eq 0 ] || sed -i '/^user/d; /^queue-user/d' "$RELAY/conf"
	mailer sink -s "$RELAY/mail" "$RELAY/taken" 127.0.0.1 "$SINK_PORT" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	SINK_PID=$!
	relay_start
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# ID: when it was tried, in seconds behind its arrival, a line each; from the log, whose times are the relay's.
tries_of()
{
	python3 - "$RELAY_LOG" "$1" <<-'PY'
	import sys, datetime
	at = lambda line: datetime.datetime.strptime(line.split()[0], "%Y-%m-%dT%H:%M:%SZ")
	lines = [l for l in open(sys.argv[1]) if " " + sys.argv[2] + " " in l]
	came = next(at(l) for l in lines if " accepted " in l)
	for l in lines:
	    if " deferred " in l:
	        print(int((at(l) - came).total_seconds()))
	PY
}

@test "a message is tried after 5 minutes, then each time after twice as long, up to 4 hours, a fifth more or less" {
	start 'delay-notice no'
	id=$(mailer send "$RELAY_PORT" a@sender.test u@dead.test | cut -d' ' -f1)
	relay_await 20 log_says "$id waits"
	for ((i = 0; i < 12; i++)); do
		relay_clock_next
	done
	tries_of "$id" > tries
	cat tries
	python3 - <<-'PY'
	at = [int(l) for l in open("tries")]
	assert len(at) == 13, at
	waits = [b - a for a, b in zip(at, at[1:])]
	for n, wait in enumerate(waits):
	    middle = min(300 * 2 ** n, 4 * 3600)
	    # The clock has seconds; a try may take one or two itself.
	    assert middle * 0.8 - 1 <= wait <= middle * 1.2 + 3, (n, wait)
	assert len({round(w / min(300 * 2 ** n, 14400), 2) for n, w in enumerate(waits)}) > 3, "no jitter"
	PY
}

# NUMBER: so many reports came, and no more are under way; the last is in the file report.
await_reports()
{
	relay_await 20 reports "$1"
	relay_await 20 relay_is_idle
	[ "$(find "$RELAY/mail" -name '[0-9]*' | wc -l)" -eq "$1" ] || { cat "$RELAY"/mail/*; return 1; }
	[ "$1" -eq 0 ] || cp "$RELAY/mail/$1" report
}

reports()
{
	[ "$(find "$RELAY/mail" -name '[0-9]*' ! -name '*.new' | wc -l)" -ge "$1" ]
}

report_has()
{
	local re
	for re; do
		grep -qE -- "$re" report || { echo "no $re in:"; cat report; return 1; }
	done
}

# FIELD SECONDS: the report's date is so long behind the message's arrival, give or take what a test takes.
report_dates()
{
	python3 - report "$RELAY_LOG" "$1" "$2" <<-'PY'
	import sys, re, datetime, email.utils
	report = open(sys.argv[1]).read()
	at = email.utils.parsedate_to_datetime(re.search("^" + sys.argv[3] + ": (.*)", report, re.M)[1])
	ident = re.search("^X-mtatls-Queue-ID: (.*)", report, re.M)[1]
	came = next(l for l in open(sys.argv[2]) if " " + ident + " accepted " in l).split()[0]
	came = datetime.datetime.strptime(came, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
	behind = (at - came).total_seconds() - int(sys.argv[4])
	assert -2 <= behind <= 60, (sys.argv[3], behind)
	PY
}

# FROM PARAMETERS RCPT [PARAMETERS]
say_mail()
{
	run say "$RELAY_PORT" = 'EHLO c.example\r\n' = "MAIL FROM:<$1> $2\r\n" = "RCPT TO:<$3> ${4:-}\r\n" = 'DATA\r\n' = \
	    'Message-ID: <first@c.example>\r\nSubject: x\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n'
	[ "${lines[0]}" = "220 250 250 250 354 250 221 closed" ] || { echo "$output"; return 1; }
}

# SECONDS: to the next tries, until so much has passed since the test set out.
go_on_for()
{
	local due
	while relay_await 20 relay_is_idle && due=$(relay_next_due) && [ -n "$due" ] && [ "$due" -le $((BEGAN + $1)) ]; do
		relay_clock "@$due"
	done
	[ $((BEGAN + $1)) -le "$(relay_now)" ] || relay_clock "@$((BEGAN + $1))"
	relay_await 20 relay_is_idle
}

@test "six days: one notice at four hours, the end at five days, and nothing else; the order of mail that waits is kept" {
	start
	BEGAN=$(relay_now)
	id=$(mailer send "$RELAY_PORT" a@sender.test u@dead.test | cut -d' ' -f1)
	go_on_for 14300
	await_reports 0
	go_on_for 14460
	await_reports 1
	report_has '^Subject: Delayed mail' '^Action: delayed' '^Final-Recipient: rfc822; u@dead.test' '^Status: 4\.4\.1' \
	    'do not send it again'
	report_dates Date 14400
	report_dates Will-Retry-Until 432000
	report_dates Last-Attempt-Date 14400
	go_on_for 431900
	await_reports 1
	relay_await 10 log_says "$id delay-told "
	go_on_for 518400
	await_reports 2
	report_has '^Subject: Undelivered mail' '^Action: failed' '^Status: 4\.4\.7'
	report_dates Date 432000
	relay_await 10 log_says "$id failed to=u@dead.test reason=\"4\.4\.7 not delivered within 5d; last: .*4\.4\.1 "
	relay_logs 1 "$id failed "
	[ -z "$(relay_ids)" ]
	# Never more than four hours and a fifth between two tries, never less than five minutes less a fifth but for the two
	# that the notice and the end ask for.
	tries_of "$id" > tries
	python3 - <<-'PY'
	at = [int(l) for l in open("tries")]
	waits = [b - a for a, b in zip(at, at[1:])]
	assert max(waits) <= 14400 * 1.2 + 3, waits
	assert sum(w < 240 - 1 for w in waits) <= 2, waits
	assert 430000 < at[-1] <= 432003 and 30 <= len(at) <= 48, at
	PY
}

@test "delays are told to those alone who may hear of them" {
	start 'lifetime 1d' 'bounce-lifetime 12h'
	BEGAN=$(relay_now)
	say_mail a@sender.test '' plain@dead.test
	say_mail a@sender.test 'ENVID=e1 RET=FULL' delay@d1.test 'NOTIFY=DELAY ORCPT=rfc822;first@x.example'
	say_mail a@sender.test '' failure@d2.test NOTIFY=FAILURE
	say_mail a@sender.test '' success@d3.test NOTIFY=SUCCESS
	say_mail a@sender.test '' never@d4.test NOTIFY=NEVER
	say_mail '' '' nobody@d5.test
	go_on_for 15000
	await_reports 2
	cat mail/* > report
	report_has '^Final-Recipient: rfc822; plain@dead.test' '^Final-Recipient: rfc822; delay@d1.test' \
	    '^Original-Recipient: rfc822;first@x.example' '^Original-Envelope-Id: e1' '^In-Reply-To: <first@c.example>'
	# RFC 3461 4.3: all of the message is for failures alone.
	run ! grep -E 'message/rfc822|(failure|success|never|nobody)@d' report
	# In the end only some hear of the failure, and of mail from <> nobody.
	go_on_for 43800
	relay_await 10 log_says ' double-bounce from='
	[ "$(relay_ids | wc -l)" -eq 5 ]
	go_on_for 87000
	await_reports 4
	[ -z "$(relay_ids)" ]
	cat mail/[34] > report
	report_has '^Final-Recipient: rfc822; plain@dead.test' '^Final-Recipient: rfc822; failure@d2.test'
}

@test "lifetime, bounce-lifetime, delay-notice, retry: what is configured holds, for what waits already too" {
	start 'retry 10m 20m'
	BEGAN=$(relay_now)
	id=$(mailer send "$RELAY_PORT" a@sender.test u@dead.test | cut -d' ' -f1)
	go_on_for 7200
	tries_of "$id" > tries
	python3 - <<-'PY'
	at = [int(l) for l in open("tries")]
	waits = [b - a for a, b in zip(at, at[1:])]
	assert 480 - 1 <= waits[0] <= 720 + 3 and all(960 - 1 <= w <= 1440 + 3 for w in waits[1:]), waits
	PY
	printf 'lifetime 6h\nbounce-lifetime 3h\ndelay-notice no\n' >> conf
	kill -HUP "$RELAY_PID"
	relay_await 20 log_says 'master reloaded'
	say_mail '' '' nobody@d5.test
	go_on_for 18300
	await_reports 0
	relay_await 10 log_says ' double-bounce from='
	relay_await 10 log_says ' failed to=nobody@d5.test reason="4\.4\.7 not delivered within 3h; last: '
	go_on_for 22500
	await_reports 1
	report_has '^Action: failed' '^Status: 4\.4\.7'
	report_dates Date 21600
}

@test "mail that waits is tried in the order in which it is due, and a host that is back gets all of it" {
	local first second
	start
	BEGAN=$(relay_now)
	first=$(mailer send "$RELAY_PORT" a@sender.test u@back.test | cut -d' ' -f1)
	go_on_for 3600
	second=$(mailer send "$RELAY_PORT" a@sender.test v@back.test | cut -d' ' -f1)
	relay_await 20 log_says "$second waits"
	relay_await 20 relay_is_idle
	mailer sink "$RELAY/back" 127.0.0.1 "$RELAY_PORT2" </dev/null >"$RELAY/back.log" 2>&1 3>&- &
	BACK_PID=$!
	relay_await 20 sh -c "exec 9<>/dev/tcp/127.0.0.1/$RELAY_PORT2" 2>/dev/null || :
	for name in "$RELAY_SPOOL"/queue/*; do
		echo "${name##*/}" | cut -d, -f2,1 --output-delimiter=' '
	done | sort -k2n | cut -d' ' -f1 > due
	relay_clock_next
	relay_clock_next
	relay_logs "$(wc -l < due)" -E ' delivered to=[uv]@back'
	grep -E ' delivered to=[uv]@back' "$RELAY_LOG" | cut -d' ' -f3 > delivered
	kill "$BACK_PID"
	diff due delivered
	await_reports 0
}

@test "killed between a notice and the word that it was given, a relay tells it twice at worst, and never loses it" {
	RELAY_MAY_DIE=1
	relay_with_faults
	start
	BEGAN=$(relay_now)
	say_mail a@sender.test '' u@dead.test
	go_on_for 14000
	# The notice is not in queue/ yet.
	relay_faults 'rename /queue/ 1 kill'
	relay_clock "@$((BEGAN + 14402))"
	relay_await 20 log_says 'role-died .*queue'
	relay_faults ''
	await_reports 1
	report_has '^Action: delayed'
	go_on_for 50000
	await_reports 1
	# Due in the same minute it would have the place at the host, and the other wait behind its failure.
	[ "$(relay_ids | wc -l)" -eq 1 ]
	relayq -s "$RELAY_SPOOL" delete --all
	say_mail a@sender.test '' v@dead.test
	BEGAN=$(relay_now)
	go_on_for 14000
	# It is, and its record is not: that of the try was the first one.
	relay_faults 'pwrite /queue/ 2 kill'
	relay_clock "@$((BEGAN + 14402))"
	relay_await 20 sh -c "[ \$(grep -c 'role-died .*queue' '$RELAY_LOG') -eq 2 ]"
	relay_faults ''
	relay_await 20 reports 2
	relay_clock_next || :
	relay_await 20 relay_is_idle
	reports=$(find mail -name '[0-9]*' | wc -l)
	[ "$reports" -eq 2 ] || [ "$reports" -eq 3 ]
	go_on_for 50000
	[ "$(find mail -name '[0-9]*' | wc -l)" -eq "$reports" ]
	[ "$(relay_ids | wc -l)" -eq 1 ]
}

@test "a double bounce goes to the postmaster where one is named, and never begets another" {
	start 'bounce-lifetime 12h' 'double-bounce-to post@sender.test'
	BEGAN=$(relay_now)
	say_mail '' '' u@dead.test
	go_on_for 43800
	await_reports 1
	report_has '^To: <post@sender.test>' '^Subject: Mail from <>' '^Final-Recipient: rfc822; u@dead.test' 'reports to the postmaster'
	relay_await 10 log_says ' double-bounce from="" as='
	relay_stop
	sed -i 's/^double-bounce-to .*/double-bounce-to post@dead.test/' conf
	relay_start
	BEGAN=$(relay_now)
	say_mail '' '' v@dead.test
	go_on_for 90000
	relay_logs 2 ' double-bounce '
	relay_logs 1 ' double-bounce .* consequence='
	[ -z "$(relay_ids)" ]
	await_reports 1
}
