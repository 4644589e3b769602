#!/usr/bin/env bats
# What smtp-relay makes of each answer at each stage of a session, recipient by recipient, and what it tells senders:
# failures, delays, receipts, with the fields and forms of RFC 3461, 3464 and 6533, read by a parser that is not ours.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
}

teardown_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	[ -z "${LAB_DIR:-}" ] || lab_stop
}

setup()
{
	relay_setup
	relay_with_clock
	PIDS=() SCRIPT_PID=
	SENDER_PORT=$(relay_free_port)
	mkdir "$RELAY/mail"
}

teardown()
{
	local status=0
	relay_end || status=1
	[ -z "$SCRIPT_PID" ] || kill "$SCRIPT_PID"
	[ ${#PIDS[@]} -eq 0 ] || kill "${PIDS[@]}"
	return $status
}

listens()
{
	(exec 9<>"/dev/tcp/$1/$2") 2>/dev/null
}

# ADDR PORT [OPTION…]: a host that takes mail.
sink()
{
	local addr=$1 port=$2
	shift 2
	mailer sink "$@" "$RELAY/taken-$addr-$port" "$addr" "$port" </dev/null >>"$RELAY/sink.log" 2>&1 3>&- &
	PIDS+=($!)
	relay_await 20 listens "$addr" "$port"
}

# LINE…: a relay; what it says to a@sender.test is in the folder mail.
start()
{
	RELAY_RETRY=6h relay_conf_to_lab "route sender.test 127.0.0.1@$SENDER_PORT" "$@"
	[ "$(id -u)" -eq 0 ] || sed -i '/^user/d; /^queue-user/d' "$RELAY/conf"
	sink 127.0.0.1 "$SENDER_PORT" ${SINK_UTF8:+"$SINK_UTF8"} -s "$RELAY/mail"
	relay_start
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# FROM RCPT…: one message to all; ID.
mail()
{
	mailer send -o ${FILE:+-f "$FILE"} "$RELAY_PORT" "$@" > sent
	ID=$(cut -d' ' -f1 sent)
}

reports()
{
	[ "$(find "$RELAY/mail" -name '[0-9]*' ! -name '*.new' | wc -l)" -ge "$1" ]
}

# NUMBER: there are so many reports, no more come, and they hold together; the last is in the file report.
await_reports()
{
	relay_await 20 reports "$1"
	relay_await 20 relay_is_idle
	[ "$(find "$RELAY/mail" -name '[0-9]*' | wc -l)" -eq "$1" ]
	cp "$RELAY/mail/$1" report
	report_is_sound
}

# The file report by Python's parser (of a client by unix socket with LOCAL): its structure, no defect anywhere, every field as RFC 3464 has it.
report_is_sound()
{
	python3 - report ${LOCAL:+local} <<-'PY'
	import sys, re, email, email.policy, email.utils
	raw = open(sys.argv[1], "rb").read()
	m = email.message_from_bytes(raw, policy=email.policy.default)
	for p in m.walk():
	    assert not p.defects, (p.get_content_type(), p.defects)
	words, status, original = list(m.iter_parts())
	kind = status.get_content_subtype()
	assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == kind, m["Content-Type"]
	assert m["Auto-Submitted"] == "auto-replied" and len(m.get_all("To")) == 1
	assert email.utils.parsedate_to_datetime(str(m["Date"])) and re.fullmatch(r"<\w+@relay\.example>", m["Message-ID"])
	assert words.get_content_type() == "text/plain" and words.get_content().strip()
	assert kind in ("delivery-status", "global-delivery-status"), kind
	assert original.get_content_type() in ("text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")
	body = status.as_bytes().split(b"\n\n", 1)[1] if kind.startswith("global") else None
	groups = body.decode().strip().split("\n\n") if body else \
	    [str(g).strip() for g in email.message_from_bytes(raw).get_payload()[1].get_payload()]
	fields = [dict(re.findall(r"^([\w-]+): *(.*(?:\n[ \t].*)*)", g, re.M)) for g in groups]
	assert set(fields[0]) >= {"Reporting-MTA", "Arrival-Date"}, fields[0]
	assert ("Received-From-MTA" in fields[0]) == (len(sys.argv) == 2), fields[0]
	assert fields[0]["Reporting-MTA"] == "dns; relay.example"
	email.utils.parsedate_to_datetime(fields[0]["Arrival-Date"])
	for f in fields[1:]:
	    assert set(f) >= {"Final-Recipient", "Action", "Status", "Final-Log-ID"}, f
	    assert re.fullmatch(r"(rfc822|utf-8); \S+", f["Final-Recipient"]), f
	    assert {"failed": "[45]", "delayed": "4", "relayed": "2", "delivered": "2"}[f["Action"]].count(f["Status"][0]), f
	    assert re.fullmatch(r"[245](\.\d{1,3}){2}", f["Status"]), f
	    assert re.match(r"(smtp|X-mtatls); ", f.get("Diagnostic-Code", "smtp; ")), f
	    assert ("Will-Retry-Until" in f) == (f["Action"] == "delayed"), f
	    for date in "Last-Attempt-Date", "Will-Retry-Until":
	        if date in f:
	            email.utils.parsedate_to_datetime(f[date])
	assert max(map(len, raw.split(b"\r\n"))) <= 998
	PY
}

report_has()
{
	local re
	for re; do
		grep -qE -- "$re" report || { echo "no $re in:"; cat report; return 1; }
	done
}

# WORD…: mx1.later.test and mx.many.test say these, a line of the client's between them (lab/scripted).
script()
{
	[ -z "$SCRIPT_PID" ] || { kill "$SCRIPT_PID"; wait "$SCRIPT_PID" || :; }
	"$BATS_TEST_DIRNAME/lab/scripted" 127.0.2.24 "$LAB_PORT" "$@" </dev/null 3>&- &
	SCRIPT_PID=$!
	relay_await 20 listens 127.0.2.24 "$LAB_PORT"
}

# ADDRESS: what became of it, and where: "delivered mx2", "failed mx1 550", "deferred 450"; from the log's last word.
fate_of()
{
	grep -E " $ID (delivered|deferred|failed|unknown) to=$1 " "$RELAY_LOG" | tail -n 1 | python3 -c '
import re, sys
line = sys.stdin.read()
print(*re.findall(r" (delivered|deferred|failed|unknown) ", line), *re.findall(r" host=(\w+)\.", line),
    *re.findall(r"reply=\"?(\d\d\d)", line))'
}

# NAME U V STATUS WORD…: what becomes of u and v at later.test, whose second host takes all; and with what status the mail
# of w, who has the first host alone, waits or comes back.
stage()
{
	local name=$1 u=$2 v=$3 status=$4 got text before
	shift 4
	script "$@"
	before=$(find "$RELAY/mail" -name '[0-9]*' | wc -l)
	mail a@sender.test u@later.test v@later.test
	relay_await 30 log_says "$ID (removed|waits)"
	got="$(fate_of u@later.test), $(fate_of v@later.test)"
	[ "$got" = "$u, $v" ] || { echo "$name: got $got, wanted $u, $v"; grep " $ID " "$RELAY_LOG"; return 1; }
	if [[ $got == *failed* ]]; then
		await_reports $((before + 1))
		report_has '^Action: failed' "^Status: $status" '^Remote-MTA: dns; mx1\.later\.test' '^Diagnostic-Code: smtp; 5' \
		    "^X-mtatls-Queue-ID: $ID" 'mx1\.later\.test said:'
		before=$((before + 1))
	fi
	[ -n "$status" ] || return 0
	relay_clock +60s	# past the sleep of a host that broke twice
	mail a@sender.test w@many.test
	relay_await 30 log_says "$ID (removed|waits)"
	if [[ $u$v == *failed* ]]; then
		# The script's answer for the first recipient is for this one.
		await_reports $((before + 1))
		report_has "^Status: $status"
		return
	fi
	text=$(relayq -s "$RELAY_SPOOL" -j show "$ID" | jq -r '.rcpts[0].said')
	# A reply has its status in it, behind the host; our own words have it before them.
	[[ $text == "$status "* || $text =~ ^mx.many.test\[127.0.2.24\]:\ [45][0-9][0-9]\ $status\  ]] ||
	    { echo "$name: $text"; return 1; }
	relayq -s "$RELAY_SPOOL" delete "$ID"
	relay_clock +60s
}

@test "each answer at each stage: whom it concerns, where mail goes then, with which status it waits or comes back" {
	local g='220 x ESMTP\r\n' e='250 x\r\n' ok='250 2.1.0 ok\r\n' go='354 go\r\n' bye='221 2.0.0 bye\r\n'
	start
	sink 127.0.2.25 "$LAB_PORT"
	local mx2='delivered mx2 250' mx1='delivered mx1 250'
	stage banner-421 "$mx2" "$mx2" 4.3.2 '421 4.3.2 busy\r\n'
	stage banner-450 "$mx2" "$mx2" 4.3.9 '450 4.3.9 later\r\n'
	stage banner-554 "$mx2" "$mx2" 4.7.1 '554 5.7.1 no mail from you\r\n' "$bye"
	stage banner-closed "$mx2" "$mx2" 4.4.2 ''
	stage ehlo-421 "$mx2" "$mx2" 4.3.2 "$g" '421 4.3.2 busy\r\n'
	stage ehlo-450 "$mx2" "$mx2" 4.7.9 "$g" '450 4.7.9 later\r\n' "$bye"
	stage helo-550 "$mx2" "$mx2" 4.7.1 "$g" '502 5.5.1 no\r\n' '550 5.7.1 no\r\n' "$bye"
	stage helo "$mx1" "$mx1" '' "$g" '502 5.5.1 no\r\n' "$ok" "$ok" "$ok" "$ok" "$go" "$ok" "$bye"
	stage mail-421 "$mx2" "$mx2" 4.3.2 "$g" "$e" '421 4.3.2 busy\r\n'
	stage mail-451 "$mx2" "$mx2" 4.3.0 "$g" "$e" '451 4.3.0 later\r\n' "$ok"
	stage mail-550 'failed mx1 550' 'failed mx1 550' 5.7.1 "$g" "$e" '550 5.7.1 not you\r\n' "$ok"
	stage rcpt-421 "$mx2" "$mx2" 4.3.2 "$g" "$e" "$ok" '421 4.3.2 busy\r\n'
	stage rcpt-450 "$mx2" "$mx1" 4.2.1 "$g" "$e" "$ok" '450 4.2.1 later\r\n' "$ok" "$go" "$ok" "$bye"
	stage rcpt-550 'failed mx1 550' "$mx1" 5.1.1 "$g" "$e" "$ok" '550 5.1.1 nobody\r\n' "$ok" "$go" "$ok" "$bye"
}

# The same for what one recipient alone shows, since the script's answers go by number.
@test "DATA and the end of the message: 4xx goes to the next host, 5xx comes back, silence is doubt" {
	local g='220 x ESMTP\r\n' e='250 x\r\n' ok='250 2.1.0 ok\r\n' go='354 go\r\n' row name words want
	start
	sink 127.0.2.25 "$LAB_PORT"
	while IFS='|' read -r name want words; do
		eval "script $words"
		mail a@sender.test u@later.test
		relay_await 30 log_says "$ID (removed|waits)"
		[ "$(fate_of u@later.test)" = "$want" ] || { echo "$name: $(fate_of u@later.test), not $want"; grep " $ID " "$RELAY_LOG"; false; }
		! log_says "$ID waits" || relayq -s "$RELAY_SPOOL" delete "$ID"
		relay_clock +60s
	done <<-'END'
	data-421|delivered mx2 250|"$g" "$e" "$ok" "$ok" '421 4.3.2 busy\r\n'
	data-451|delivered mx2 250|"$g" "$e" "$ok" "$ok" '451 4.3.0 later\r\n'
	data-554|failed mx1 554|"$g" "$e" "$ok" "$ok" '554 5.6.0 no\r\n'
	dot-421|delivered mx2 250|"$g" "$e" "$ok" "$ok" "$go" '421 4.3.2 busy\r\n'
	dot-451|delivered mx2 250|"$g" "$e" "$ok" "$ok" "$go" '451 4.3.0 later\r\n'
	dot-552|failed mx1 552|"$g" "$e" "$ok" "$ok" "$go" '552 5.3.4 too large\r\n'
	dot-closed|unknown mx1|"$g" "$e" "$ok" "$ok" "$go" ''
	END
	await_reports 2
	report_has '^Status: 5\.3\.4' 'The message is too large'
}

@test "STARTTLS refused, not offered, broken: the next host, and the status of a session that is not safe" {
	local g='220 x ESMTP\r\n' e='250 x\r\n' tls='250-x\r\n250 STARTTLS\r\n' row words text
	start 'destination many.test tls required'
	while IFS='|' read -r row words; do
		eval "script $words"
		mail a@sender.test w@many.test
		relay_await 30 log_says "$ID waits"
		text=$(relayq -s "$RELAY_SPOOL" -j show "$ID" | jq -r '.rcpts[0].said')
		[[ $text == ${row#* }\ mx.many.test:* ]] || { echo "$row: $text"; return 1; }
		relayq -s "$RELAY_SPOOL" delete "$ID"
		relay_clock +60s
	done <<-'END'
	starttls-454 4.7.4|"$g" "$tls" '454 4.7.0 no\r\n' '221 2.0.0 bye\r\n'
	starttls-421 4.3.2|"$g" "$tls" '421 4.3.2 busy\r\n'
	no-starttls 4.7.4|"$g" "$e" '221 2.0.0 bye\r\n'
	handshake 4.7.5|"$g" "$tls" '220 go\r\n' 'no TLS at all\r\n'
	END
	# In plain words while it waits, and at the end.
	script "$g" "$e" '221 2.0.0 bye\r\n'
	mail a@sender.test w@many.test
	relay_await 30 log_says "$ID waits"
	relay_clock +4h
	await_reports 1
	report_has '^Action: delayed' '^Status: 4\.7\.4' '^    The receiving host offers no encryption, ' 'You need do nothing\.'
	relay_clock +6d
	await_reports 2
	report_has '^Action: failed' '^Status: 4\.4\.7' '^    The receiving host offers no encryption, ' 'until its time was over'
}

# CODES WORD…: a session.
says()
{
	local codes=$1
	shift
	run say "$RELAY_PORT" = 'EHLO c.example\r\n' = "$@" = 'QUIT\r\n'
	[ "${lines[0]}" = "220 250 $codes 221 closed" ] || { echo "$output"; return 1; }
}

# SENDER PARAMETERS BODY: to an address that fails at once.
fails_with()
{
	says '250 250 354 250' "MAIL FROM:<$1> $2\r\n" = 'RCPT TO:<u@null-mx.test>\r\n' = 'DATA\r\n' = \
	    "Subject: sent\r\nMessage-ID: <m1@c.example>\r\n\r\n$3\r\n.\r\n"
}

@test "RET=FULL: all of the message comes back, where it is small enough; else, and with HDRS, its header" {
	start 'bounce-size 2K'
	fails_with a@sender.test RET=FULL 'the body: \xc3\xa9'
	await_reports 1
	report_has '^Content-Type: message/rfc822' '^Content-Transfer-Encoding: 8bit' '^the body: ' '^In-Reply-To: <m1@c.example>' \
	    '^Status: 5\.1\.10' 'takes no mail at all' '^Subject: Undelivered mail'
	fails_with a@sender.test RET=HDRS 'the body'
	await_reports 2
	report_has '^Content-Type: text/rfc822-headers' '^Subject: sent'
	run ! grep 'the body' report
	fails_with a@sender.test '' 'the body'
	await_reports 3
	report_has '^Content-Type: text/rfc822-headers'
	fails_with a@sender.test RET=FULL "the body$(printf '\\r\\nx%.0s' {1..1000})"
	await_reports 4
	report_has '^Content-Type: text/rfc822-headers'
	fails_with a@sender.test RET=FULL "$(printf 'x%.0s' {1..999})"
	await_reports 5
	report_has '^Content-Type: text/rfc822-headers'
}

@test "what a host says is escaped, folded, and adds nothing; a sender who reads UTF-8 gets RFC 6533" {
	start
	script '220 x ESMTP\r\n' '250 x\r\n' '250 2.1.0 ok\r\n' \
	    "550-5.1.1 \x1b[31mr\xc3\xa9d \\r\n550-5.1.1 \r\n550 5.1.1 Bcc: x@y $(printf 'word %.0s' {1..80})$(printf 'x%.0s' {1..300})\r\n" '250 ok\r\n'
	mail a@sender.test u@many.test
	await_reports 1
	report_has '^Remote-MTA: dns; mx\.many\.test' '^Diagnostic-Code: smtp; 550' '\\x1b\[31m'
	run ! grep -E '^Bcc|[^ -~]' <(tr -d '\r\t' < report)
	says '250 250 354 250' 'MAIL FROM:<a@sender.test> SMTPUTF8\r\n' = 'RCPT TO:<\xc3\xbc@null-mx.test>\r\n' = 'DATA\r\n' = \
	    'Subject: \xc3\xbc\r\n\r\nx\r\n.\r\n'
	await_reports 2
	report_has '^Final-Recipient: utf-8; \\x\{FC\}@null-mx\.test' 'charset=utf-8' '<=C3=BC@null-mx.test>'
	run ! grep '[^ -~]' <(tr -d '\r\t' < report)
}

@test "a sender beyond ASCII gets the report of RFC 6533" {
	SINK_UTF8=-u
	start
	says '250 250 354 250' 'MAIL FROM:<\xc3\xa9@sender.test> SMTPUTF8 RET=FULL\r\n' = 'RCPT TO:<\xc3\xbc@null-mx.test>\r\n' = \
	    'DATA\r\n' = 'Subject: \xc3\xbc\r\n\r\nthe body\r\n.\r\n'
	await_reports 1
	report_has '^To: <é@sender.test>' 'report-type=global-delivery-status' '^Content-Type: message/global-delivery-status' \
	    '^Final-Recipient: utf-8; ü@null-mx.test' '^Content-Type: message/global' '^the body'
}

@test "a thousand recipients that fail are one report; what fails at a later try is one more" {
	local i
	start
	for ((i = 0; i < 1000; i++)); do
		echo "u$i@null-mx.test"
	done > rcpts
	mapfile -t rcpts < rcpts
	mail a@sender.test "${rcpts[@]}"
	await_reports 1
	[ "$(grep -c '^Final-Recipient: ' report)" -eq 1000 ]
	script '220 x ESMTP\r\n' '250 x\r\n' '250 2.1.0 ok\r\n' '450 4.2.1 later\r\n' '250 ok\r\n'
	mail a@sender.test u@null-mx.test w@many.test
	await_reports 2
	[ "$(grep -c '^Final-Recipient: ' report)" -eq 1 ]
	relay_clock +4h
	await_reports 3
	report_has '^Action: delayed' '^Status: 4\.2\.1' '^Remote-MTA: dns; mx.many.test' 'mx.many.test said: 450'
	script '220 x ESMTP\r\n' '250 x\r\n' '250 2.1.0 ok\r\n' '550 5.2.1 gone\r\n' '250 ok\r\n'
	relay_clock +16h
	await_reports 4
	report_has '^Final-Recipient: rfc822; w@many.test' '^Status: 5\.2\.1' 'takes no mail now'
}

@test "a client by unix socket has no name in the DNS, and the report names none" {
	start "listen s $RELAY/s.sock"
	fails_with a@sender.test '' x
	await_reports 1
	report_has '^Received-From-MTA: dns; '
	RELAY_PORT=$RELAY/s.sock fails_with a@sender.test '' x
	LOCAL=1 await_reports 2
	run ! grep -E '^Received-From-MTA' report
}

@test "a host of LMTP: receipts say delivered, each recipient's failure comes back, and no path of a socket is told" {
	local port
	port=$(relay_free_port)
	start "route x.test 127.0.0.1@$port protocol lmtp" "route y.test unix:$RELAY/lmtp"
	for place in "127.0.0.1@$port" "$RELAY/lmtp"; do
		"$BATS_TEST_DIRNAME/lab/hop" -d -p lmtp "$RELAY/hop" "$place" </dev/null >"$RELAY/hop.out" 2>&1 3>&- &
		PIDS+=($!)
		relay_await 20 grep -qs ready "$RELAY/hop.out"
	done
	says '250 250 250 250 354 250' 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@x.test> NOTIFY=SUCCESS\r\n' = \
	    'RCPT TO:<at-dot-552@x.test>\r\n' = 'RCPT TO:<v@x.test>\r\n' = 'DATA\r\n' = 'Subject: x\r\n\r\nx\r\n.\r\n'
	await_reports 1
	report_has '^Action: delivered' '^Final-Recipient: rfc822; u@x.test' '^Action: failed' \
	    '^Final-Recipient: rfc822; at-dot-552@x.test' '^Remote-MTA: dns; \[127\.0\.0\.1\]'
	[ "$(grep -c '^Final-Recipient: ' report)" -eq 2 ]
	says '250 250 250 354 250' 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@y.test> NOTIFY=SUCCESS\r\n' = \
	    'RCPT TO:<at-rcpt-550@y.test>\r\n' = 'DATA\r\n' = 'Subject: x\r\n\r\nx\r\n.\r\n'
	await_reports 2
	report_has '^Action: delivered' '^Final-Recipient: rfc822; u@y.test' '^Action: failed' '^Diagnostic-Code: smtp; 550' \
	    'the other host said: 550'
	run ! grep -E '^Remote-MTA|unix:' report
}

@test "arrived: what a host of LMTP took and does not tell of is delivered" {
	local id=8AAAAAAAAAAAAA
	start
	relay_stop
	ARRIVED=$(date +%s) mkspool spool/queue/$id,1,many.test "$id" '<a@sender.test>' \
	    '<u@many.test>,NOTIFY=SUCCESS' '<v@many.test>,NOTIFY=SUCCESS' '<w@many.test>' <<< 'Subject: x'
	python3 - "spool/queue/$id,1,many.test" <<-'PY'
	import sys, zlib
	f = open(sys.argv[1], "r+b")
	check = int(f.readline().split()[-1], 16)
	f.seek(0, 2)
	for line in b"result 0 arrived 1700000000 lmtp.many.test:%20250%202.1.5%20kept", b"result 1 relayed 1700000000 mx:%20250%20ok", \
	    b"result 2 delivered 1700000000 250%20ok":
	    f.write(line + b" %08x\n" % zlib.crc32(line, check))
	PY
	[ "$(id -u)" -ne 0 ] || chown games spool/queue/*
	relay_start
	await_reports 1
	report_has '^Action: delivered' '^Final-Recipient: rfc822; u@many.test' '^Remote-MTA: dns; lmtp.many.test' '^Status: 2\.1\.5' \
	    '^Action: relayed' '^Subject: Delivered mail'
	[ "$(grep -c '^Final-Recipient: ' report)" -eq 2 ]
	[ -z "$(relay_ids)" ]
}
