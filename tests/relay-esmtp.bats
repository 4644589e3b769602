#!/usr/bin/env bats
# What clients may ask beyond plain mail: chunks (RFC 3030), DSN (RFC 3461), addresses in UTF-8 (RFC 6531): taken, kept,
# handed on to a real Postfix, and answered where the next host cannot.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay and Postfix work as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_postfix 'smtputf8_enable = yes'
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
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

# [LINE…]: a relay that hands plain.test and sender.test to a sink that knows no extension, all else to Postfix.
start_both()
{
	relay_conf_to_lab "route plain.test 127.0.0.1@$SINK_PORT" "route sender.test 127.0.0.1@$SINK_PORT" \
		"route big.plan 127.0.0.1@$SINK_PORT" "$@"
	mailer sink -7 -s "$RELAY/mail" "$RELAY/taken" 127.0.0.1 "$SINK_PORT" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	SINK_PID=$!
	relay_start
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# WORD…: said to the relay; its codes must be $CODES.
says()
{
	run say "$RELAY_PORT" = 'EHLO c.example\r\n' = "$@" '=' 'QUIT\r\n'
	echo "$output"
	[ "${lines[0]}" = "$CODES closed" ]
}

# REGEX…: each stands in one message of the sink.
sink_has()
{
	local f re
	for f in "$RELAY"/mail/*; do
		[ -f "$f" ] || continue
		for re; do
			grep -qE -- "$re" "$f" || continue 2
		done
		return 0
	done
	return 1
}

sink_shows()
{
	relay_await 20 sink_has "$@" || { cat "$RELAY"/mail/* "$RELAY_LOG"; return 1; }
}

@test "the capabilities" {
	relay_conf
	relay_start
	run say -l "$RELAY_PORT" = 'EHLO c.example\r\n' = 'QUIT\r\n'
	printf '%s\n' "${lines[@]:1:8}" > got
	printf '250%s\n' -relay.example -PIPELINING '-SIZE 52428800' -8BITMIME -STARTTLS -CHUNKING -DSN -SMTPUTF8 > want
	diff want got
}

@test "a message in chunks arrives octet for octet, at Postfix too" {
	start_both
	printf 'Subject: chunks\r\n\r\n.\r\n..dots\r\nno end' > body
	printf 'BDAT 20\r\n' > one
	head -c 20 body >> one
	printf 'BDAT %d LAST\r\n' $(($(wc -c < body) - 20)) > two
	tail -c +21 body >> two
	CODES="220 250 250 250 250 250 221"
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@plain.test>\r\n' = @one = @two
	sink_shows '^Subject: chunks'
	sed '1,/^Subject/!b;/^Subject/!d' "$RELAY"/mail/1 > got
	printf '\r\n' >> body
	cmp body got
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@good.test>\r\n' = @one = @two
	relay_await 20 log_says 'delivered to=u@good.test'
	relay_await 10 postfix_has 'good.test' '^no end'
}

postfix_has()
{
	lab_postfix_mail "$1" 2>/dev/null | grep -aqE -- "$2"
}

# In the order to an out a plan follows the recipients, behind a line that says so.
@test "a recipient whose domain ends in plan is a recipient" {
	start_both
	CODES="220 250 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@big.plan>\r\n' = 'RCPT TO:<"plan x"@big.plan>\r\n' = \
	    'DATA\r\n' = 'Subject: plans\r\n\r\nx\r\n.\r\n'
	relay_await 20 log_says 'delivered to=u@big.plan'
	relay_await 20 log_says 'delivered to=.*plan.*x.*@big.plan'
	run ! log_says 'role-died|role-failed'
}

@test "what DATA brings behind a refused chunk is a message, and no commands" {
	start_both
	CODES="220 250 503 250 250 354 250 221"
	says 'BDAT 6\r\nQUIT\r\n' = 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@plain.test>\r\n' = 'DATA\r\n' = \
	    'RSET\r\nMAIL FROM:<smuggled@sender.test>\r\nRCPT TO:<v@plain.test>\r\n.\r\n'
	sink_shows '^RSET' '^MAIL FROM:<smuggled'
	run ! log_says 'smuggled'
}

@test "a chunk larger than a message may be is refused unread, and holds nobody up" {
	relay_conf
	printf 'max-size 64K\n' >> "$RELAY/conf"
	relay_start
	CODES="220 250 250 250 552"
	says 'MAIL FROM:<>\r\n' = 'RCPT TO:<u@relay.example>\r\n' = 'BDAT 18446744073709551615 LAST\r\nxyz'
	relay_await 5 log_says 'disconnect .*end=chunk'
	[ -z "$(ls -A "$RELAY_SPOOL/new")" ]
	CODES="220 250 250 250 501"
	says 'MAIL FROM:<>\r\n' = 'RCPT TO:<u@relay.example>\r\n' = 'BDAT 5x\r\nRSET\r\n'
}

@test "what was asked with DSN is kept, and shown" {
	relay_conf
	relay_start
	CODES="220 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test> RET=HDRS ENVID=QQ+2B1\r\n' = \
	    'RCPT TO:<u@relay.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@old.example\r\n' = 'DATA\r\n' = 'x\r\n.\r\n'
	id=$(ls "$RELAY_SPOOL/queue")
	run relayq -c "$RELAY/conf" show "${id:0:14}"
	[[ $output == *"from <a@sender.test> RET=HDRS ENVID=QQ+2B1"* ]]
	[[ $output == *"rcpt <u@relay.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@old.example: waiting"* ]]
}

@test "Postfix is told what was asked, and answers the sender itself" {
	start_both
	CODES="220 250 250 250 354 250 221"
	says 'MAIL FROM:<a@good.test> ENVID=own+2B1\r\n' = \
	    'RCPT TO:<u@absent-nodata.test> NOTIFY=SUCCESS ORCPT=rfc822;old@x.example\r\n' = 'DATA\r\n' = 'x\r\n.\r\n'
	relay_await 20 postfix_has good.test '^Original-Envelope-Id: own\+1'
	postfix_has good.test '^Original-Recipient: rfc822;old@x.example'
	postfix_has good.test '^Action: delivered'
}

# RFC 3461 5.2.1: from RCPT as it came, unless the client said itself what was there before.
@test "a recipient that the domain-map replaces keeps its address as ORCPT" {
	start_both 'domain-map in @old.example @absent-nodata.test' 'domain-map in gone@old.example u@null-mx.test'
	CODES="220 250 250 250 250 250 354 250 221"
	says 'MAIL FROM:<a@good.test>\r\n' = 'RCPT TO:<u+x@old.example> NOTIFY=SUCCESS\r\n' = \
	    'RCPT TO:<v@old.example> NOTIFY=SUCCESS ORCPT=rfc822;first@x.example\r\n' = 'RCPT TO:<gone@old.example>\r\n' = \
	    'DATA\r\n' = 'x\r\n.\r\n'
	relay_await 20 postfix_has good.test '^Original-Recipient: rfc822; ?u\+x@old.example'
	relay_await 20 postfix_has good.test '^Original-Recipient: rfc822; ?first@x.example'
	relay_await 20 postfix_has good.test '^Original-Recipient: rfc822; ?gone@old.example'
	postfix_has good.test '^Final-Recipient: rfc822; ?u@null-mx.test'
	run ! postfix_has good.test '^Original-Recipient: rfc822; ?v@old.example'
}

@test "a host without DSN: the relay says that it handed the message on" {
	start_both
	CODES="220 250 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test> ENVID=e1\r\n' = 'RCPT TO:<u@plain.test> NOTIFY=SUCCESS,FAILURE\r\n' = \
	    'RCPT TO:<v@plain.test> NOTIFY=FAILURE\r\n' = 'DATA\r\n' = 'Subject: asked\r\n\r\nx\r\n.\r\n'
	sink_shows '^Action: relayed' '^Original-Envelope-Id: e1' '^Final-Recipient: rfc822; ?u@plain.test' '^Status: 2\.'
	run ! sink_has '^Final-Recipient: rfc822; ?v@plain.test'
	relay_await 10 spool_is_empty
}

spool_is_empty()
{
	[ -z "$(ls -A "$RELAY_SPOOL/queue")" ] && [ -z "$(ls -A "$RELAY_SPOOL/new")" ]
}

@test "failures are told to those alone who want to hear of them" {
	start_both
	CODES="220 250 250 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<never@null-mx.test> NOTIFY=NEVER\r\n' = \
	    'RCPT TO:<success@null-mx.test> NOTIFY=SUCCESS\r\n' = \
	    'RCPT TO:<u@null-mx.test> ORCPT=rfc822;first@x.example\r\n' = 'DATA\r\n' = 'x\r\n.\r\n'
	sink_shows '^Action: failed' '^Final-Recipient: rfc822; ?u@null-mx.test' '^Original-Recipient: rfc822;first@x.example'
	run ! sink_has '(never|success)@null-mx.test'
	relay_await 10 spool_is_empty
	CODES="220 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<never@null-mx.test> NOTIFY=NEVER\r\n' = 'DATA\r\n' = 'x\r\n.\r\n'
	relay_await 10 spool_is_empty
	relay_logs 1 ' bounced '
}

@test "addresses in UTF-8 go to hosts that take them, and come back from others" {
	start_both
	CODES="220 250 250 250 354 250 221"
	says 'MAIL FROM:<é@sender.test> SMTPUTF8\r\n' = 'RCPT TO:<ü@good.test>\r\n' = 'DATA\r\n' = \
	    'Subject: grüße\r\n\r\nx\r\n.\r\n'
	relay_await 20 log_says 'delivered to=.*@good.test'
	relay_await 10 postfix_has good.test 'UTF8SMTP'
	says 'MAIL FROM:<a@sender.test> SMTPUTF8\r\n' = 'RCPT TO:<ü@plain.test>\r\n' = 'DATA\r\n' = 'x\r\n.\r\n'
	sink_shows '^Status: 5\.6\.7' 'SMTPUTF8, which is not offered'
	CODES="220 250 553 221"
	says 'MAIL FROM:<é@sender.test>\r\n'
}

@test "a domain in UTF-8 is the one that its A-labels name" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains bücher.example"
	relay_start
	CODES="220 250 250 250 501 354 250 221"
	says 'MAIL FROM:<> SMTPUTF8\r\n' = 'RCPT TO:<u@bücher.example>\r\n' = 'RCPT TO:<u@\xe2\x80\x8b\xe2\x80\x8b.example>\r\n' = \
	    'DATA\r\n' = 'x\r\n.\r\n'
	id=$(ls "$RELAY_SPOOL/queue")
	run relayq -c "$RELAY/conf" show "${id:0:14}"
	[[ $output == *"rcpt <u@xn--bcher-kva.example>"* ]] || { echo "$output"; false; }
}

# WORD…: as says(), inside TLS; in the codes "220 250" stand for it.
says_in_tls()
{
	run say "$RELAY_PORT" = 'EHLO c.example\r\n' = 'STARTTLS\r\n' = tls 'EHLO c.example\r\n' = "$@" '=' 'QUIT\r\n'
	echo "$output"
	[ "${lines[0]}" = "220 250 220 250 $CODES 221 closed" ]
}

# A second relay, which takes mail for later.test and offers REQUIRETLS; its key is published.
start_next()
{
	mkcert -d "$RELAY/next" mx1.later.test > /dev/null
	lab_tlsa mx1.later.test "$(tlsa-gen -d "$RELAY/next" --rdata mx1.later.test)"
	cat > "$RELAY/next.conf" <<-END
		hostname mx1.later.test
		deliver no
		dir $RELAY/next
		spool $RELAY/next-spool
		user news
		queue-user games
		anchor $LAB_ANCHOR
		listen in 127.0.2.24@$LAB_PORT tls preferred cert mx1.later.test domains later.test
	END
	smtp-relay -F -c "$RELAY/next.conf" -p "$RELAY/next.pid" > "$RELAY/next.log" 2>&1 3>&- &
	NEXT_PID=$!
	relay_await 20 grep -q 'master ready' "$RELAY/next.log"
}

stop_next()
{
	kill "$NEXT_PID"
	wait "$NEXT_PID"
	lab_tlsa mx1.later.test
}

@test "REQUIRETLS goes on to an authenticated host that offers it, and to no other" {
	start_both
	relay_stop
	sed -i "s/^listen .*/listen in 127.0.0.1@$RELAY_PORT type private tls preferred/" "$RELAY/conf"
	relay_start
	start_next
	CODES="250 250 250 354 250"
	says_in_tls 'MAIL FROM:<a@sender.test> REQUIRETLS\r\n' = 'RCPT TO:<u@later.test>\r\n' = 'RCPT TO:<v@good.test>\r\n' = \
	    'DATA\r\n' = 'Subject: required\r\n\r\nx\r\n.\r\n'
	relay_await 20 log_says 'delivered to=u@later.test .*reached=AUTH'
	run relayq -s "$RELAY/next-spool" -j list
	[[ $output == *'"from_options":["REQUIRETLS"]'* ]]
	# Postfix is authenticated, and does not know REQUIRETLS.
	relay_await 20 log_says 'failed to=v@good.test .*5\.7\.30'
	relay_await 20 log_says ' bounced '
	# Nor is the report sent in clear text, where the message was not to go.
	relay_await 20 log_says 'failed to=a@sender.test .*5\.7\.30'
	[ -z "$(ls -A "$RELAY/mail")" ]
	CODES="555"
	run say "$RELAY_PORT" = 'EHLO c\r\n' = 'MAIL FROM:<a@b.example> REQUIRETLS\r\n' = 'QUIT\r\n'
	[ "${lines[0]}" = "220 250 555 221 closed" ]
	stop_next
}

@test "TLS-Required: No sets DANE aside for that message alone" {
	start_both
	CODES="220 250 250 250 354 250 221"
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<no@wrong.test>\r\n' = 'DATA\r\n' = \
	    'Subject: x\r\nTLS-Required: No\r\n\r\nx\r\n.\r\n'
	relay_await 20 log_says 'delivered to=no@wrong.test .*reached=ENC'
	says 'MAIL FROM:<a@sender.test>\r\n' = 'RCPT TO:<u@wrong.test>\r\n' = 'DATA\r\n' = \
	    'Subject: x\r\nTLS-Required: Maybe\r\n\r\nTLS-Required: No\r\n.\r\n'
	relay_await 20 log_says 'deferred to=u@wrong.test'
	run ! log_says 'delivered to=u@wrong.test'
}
