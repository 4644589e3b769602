#!/usr/bin/env bats
# smtp-relay delivers: DANE and what becomes of mail where it fails, the same verdict as tlscheck's, nothing in
# clear where it must not be, what a kill or a restart leaves, messages octet for octet.
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
	SINK_PIDS=() LOAD=
	: "${RELAY_KILL_ROUNDS:=1}"
}

teardown()
{
	local status=0
	relay_end || status=1
	[ -z "$LOAD" ] || kill "$LOAD"
	[ ${#SINK_PIDS[@]} -eq 0 ] || kill "${SINK_PIDS[@]}"
	return $status
}

# RCPT…: a message to each; its ID is ID, where there is one.
mail_to()
{
	mailer send "$RELAY_PORT" a@good.test "$@" > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# REGEX: a line of message ID's says so, now or within 20 s.
await_log()
{
	relay_await "${2:-20}" log_says "$ID $1"
}

# [OPTION…]: a sink at $SINK_ADDR, port $SINK_PORT, with log $RELAY/taken.
start_sink()
{
	: "${SINK_ADDR:=127.0.0.1}" "${SINK_PORT:=$(relay_free_port)}"
	mailer sink "$@" "$RELAY/taken" "$SINK_ADDR" "$SINK_PORT" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	SINK_PIDS+=($!)
	relay_await 10 sink_listens
}

sink_listens()
{
	(exec 9<>"/dev/tcp/$SINK_ADDR/$SINK_PORT") 2>/dev/null
}

queue_is_empty()
{
	[ -z "$(ls -A "$RELAY_SPOOL/queue")" ] && [ -z "$(ls -A "$RELAY_SPOOL/new")" ]
}

# DOMAIN REGEX: Postfix has it in the domain's box.
postfix_has()
{
	lab_postfix_mail "$1" 2>/dev/null | grep -qE -- "$2"
}

# ---- policy ----

@test "DANE holds: delivered to Postfix, logged as verified" {
	relay_conf_to_lab
	relay_start
	mail_to u@good.test
	await_log 'delivered to=u@good.test .*wanted=dane reached=AUTH .*protocol=TLSv1.3 .*tlsa="?3 1 1 '
	relay_await 10 postfix_has good.test "X-Original-To: u@good.test|for <u@good.test>"
	relay_await 10 queue_is_empty
}

@test "a resolver that strips DNSSEC: logged once with the reason, mail waits; and the end of it" {
	relay_conf_to_lab
	sed -i "s/^resolver .*/resolver $LAB_DNS_STRIP/" "$RELAY/conf"
	relay_start
	mail_to u@good.test u@wrong.test u@unsigned.test
	relay_await 20 log_says ' route dns-sick reason="the resolver strips DNSSEC: '
	await_log 'deferred to=u@good.test '
	sleep 3
	relay_logs 1 ' dns-sick '
	run ! log_says delivered
	relay_end
	relay_conf_to_lab
	relay_start
	await_log 'delivered to=u@good.test '
	run ! log_says dns-
}

@test "address literals: that address is asked, and no role dies of them" {
	relay_conf_to_lab
	relay_start
	mail_to 'u@[127.0.0.25]'
	await_log 'connected domain=\[127.0.0.25\] '
	mail_to 'u@[IPv6:::1]'
	await_log '(connected|not-delivered) domain=\[IPv6:::1\]|to=u@\[IPv6:::1\]'
	mail_to u@good.test
	await_log 'delivered to=u@good.test '
	run ! log_says role-died
}

@test "no TLSA, no DNSSEC: encrypted where the host can" {
	relay_conf_to_lab
	relay_start
	mail_to u@unsigned.test
	await_log 'delivered to=u@unsigned.test .*reached=ENC'
	mail_to u@absent-nodata.test
	await_log 'delivered to=u@absent-nodata.test .*reached=ENC'
}

# DOMAIN REASON: a message to it stays queued, and log and relayq say why.
stays_queued()
{
	mail_to "u@$1"
	await_log "(not-delivered|tls-unusable condition=[a-z-]*) domain=$1 .*$2"
	await_log 'waits '
	run ! log_says "$ID delivered to="
	run relayq -s "$RELAY_SPOOL" list
	[[ $output == *"$ID"*"u@$1"* ]]
	run relayq -s "$RELAY_SPOOL" show "$ID"
	grep -qE -- "$2" <<< "$output" || { echo "relayq show: $output"; return 1; }
}

@test "a TLSA record that does not match, or is bogus: queued, with the reason" {
	relay_conf_to_lab
	relay_start
	stays_queued wrong.test 'no TLSA record of mx.wrong.test matches'
	stays_queued bogus-tlsa.test 'the TLSA lookup failed'
	stays_queued no-starttls.dane.test 'STARTTLS is not offered'
	# One domain's trouble is not the resolver's, nor the anchor's.
	mail_to u@bogus-mx.test
	await_log 'deferred to=u@bogus-mx.test .*bogus'
	mail_to u@good.test
	await_log 'delivered to=u@good.test '
	run ! log_says ' dns-sick '
}

@test "put right, the queued message arrives: a TLSA record, a certificate" {
	# Resolvers may keep a record for its time to live.
	sed -i 's/^\$TTL .*/$TTL 1/' "$LAB_DIR/zones/wrong.test.zone"
	lab_tlsa mx.wrong.test "$(lab_rdata other 3 1 1)"
	relay_conf_to_lab
	relay_start
	stays_queued wrong.test 'no TLSA record of mx.wrong.test matches'
	lab_tlsa mx.wrong.test "$(lab_rdata good 3 1 1)"
	await_log 'delivered to=u@wrong.test .*reached=AUTH' 40
	lab_tlsa mx.wrong.test "$(lab_rdata other 3 1 1)"
	relay_await 10 postfix_has wrong.test "for <u@wrong.test>|X-Original-To: u@wrong.test"
	stays_queued mixed-wrong.test 'no TLSA record of mx.mixed-wrong.test matches'
	lab_postfix_cert "$LAB_CERTS/other"
	relay_await 40 log_says "$ID delivered to=.*reached=AUTH" || { lab_postfix_cert "$LAB_CERTS/good"; return 1; }
	lab_postfix_cert "$LAB_CERTS/good"
	relay_await 10 queue_is_empty
}

# DOMAIN STATUS: mail to it comes back with that status, in the three parts of RFC 3464.
comes_back()
{
	mail_to "u@$1"
	await_log "failed to=u@$1 .*$2"
	await_log 'bounced .*as='
	relay_await 20 postfix_has good.test "^Final-Recipient: rfc822; ?u@$1"
	lab_postfix_mail good.test > "$RELAY/box"
	awk -v RS='\nFrom ' -v want="u@$1" 'index($0, "Final-Recipient") && index($0, want)' "$RELAY/box" > "$RELAY/bounce"
	grep -qE '^Content-Type: multipart/report;' "$RELAY/bounce"
	grep -qE 'report-type="?delivery-status' "$RELAY/bounce"
	grep -qE '^Content-Type: message/delivery-status' "$RELAY/bounce"
	grep -qE '^Content-Type: (text/rfc822-headers|message/rfc822)' "$RELAY/bounce"
	grep -qE '^Reporting-MTA: dns; ?relay.example' "$RELAY/bounce"
	grep -qE '^Action: failed' "$RELAY/bounce"
	grep -qE "^Status: $2\$" "$RELAY/bounce"
	grep -qE '^Return-Path: <>|^MAILER-DAEMON' "$RELAY/bounce"
	grep -q "$ID" "$RELAY/bounce"
	relay_await 10 queue_is_empty
}

@test "null MX: a bounce 5.1.10; no such domain: 5.1.2" {
	relay_conf_to_lab
	relay_start
	comes_back null-mx.test 5.1.10
	comes_back nonexistent.test 5.1.2
}

@test "hosts without an address, and an implicit MX without one: a bounce 5.4.4" {
	relay_conf_to_lab
	relay_start
	comes_back mx-noaddr.test 5.4.4
	comes_back mx-nxdomain.test 5.4.4
	comes_back implicit-none.test 5.4.4
}

@test "hosts of which one could not be asked, or has no address: the others count, and mail waits" {
	relay_conf_to_lab
	relay_start
	mail_to u@a-servfail.test
	await_log 'waits .*until='
	mail_to u@multi-noaddr.test
	await_log 'delivered to=u@multi-noaddr.test host=mx2.multi-noaddr.test '
}

@test "an MX host on this machine is not connected to, unless loopback-mx says so" {
	RELAY_LOOPBACK=no
	: > "$LAB_CAPTURE"
	relay_conf_to_lab
	relay_start
	mail_to u@good.test
	await_log 'failed to=u@good.test .*5.4.4 no host to connect to: mx.good.test: its address 127.0.0.25 is loopback'
	mail_to 'u@[127.0.0.25]'
	await_log 'failed to=u@\[127.0.0.25\] .*5.4.4 '
	mail_to 'u@[IPv6:::ffff:127.0.0.25]'
	await_log 'failed to=u@\[IPv6:::ffff:127.0.0.25\] .*5.4.4 '
	run ! grep -q '^127.0.0.25 connect' "$LAB_CAPTURE"
	# A route is taken at its word.
	relay_stop
	relay_conf_to_lab "route good.test [127.0.0.25]@$LAB_PORT" 'destination good.test dane none'
	relay_start
	mail_to u@good.test
	await_log 'delivered to=u@good.test '
}

@test "the relay among the MX hosts: only those before it, and none there is a loop, 5.4.6" {
	relay_conf_to_lab
	sed -i 's/^hostname .*/hostname mx2.multi-down.test/' "$RELAY/conf"
	relay_start
	mail_to u@multi-down.test
	await_log 'not-delivered domain=multi-down.test host=mx1.multi-down.test'
	await_log 'not-delivered domain=multi-down.test host=mx2.multi-down.test rule="RFC 5321 5.1" reason="it is this relay itself"'
	await_log 'waits .*until='
	run ! log_says "$ID delivered to="
	relay_stop
	relay_conf_to_lab 'own-address 192.0.2.1 127.0.0.25'
	relay_start
	mail_to u@good.test
	await_log 'failed to=u@good.test .*5.4.6 '
}

# WANT ADDRESS: smtp-relay -e ends with that status, and OUTPUT has the words of the third.
explained()
{
	run -"$1" smtp-relay -c "$RELAY/conf" -e "$2"
	grep -qE -- "$3" <<< "$output" || { echo "$2: wanted: $3"; echo "$output"; return 1; }
}

# DOMAIN: the trace of -e is, line for line, in what tlscheck says of the same configuration.
same_trace()
{
	smtp-relay -c "$RELAY/conf" -e "u@$1" | sed '1d; /^tried in this order\|^bounced\|^deferred/,$d' > trace || :
	[ "$(wc -l < trace)" -ge 2 ]
	tlscheck -v -c "$RELAY/conf" "$1" > said || :
	awk 'NR == FNR { want[++n] = $0; next } $0 == want[at + 1] { if (++at == n) exit; next } { at = 0 }
		END { exit at != n }' trace said || { echo "$1:"; cat trace; echo "tlscheck:"; cat said; return 1; }
}

@test "-e and tlscheck print the same trace of the same configuration" {
	local domain
	relay_conf_to_lab 'destination unsigned.test dane mandatory' "route routed.test 127.0.0.25@$LAB_PORT" 'destination wrong.test tls required'
	for domain in good.test wrong.test unsigned.test null-mx.test multi-mx.test multi-tlsafail.test alias-secure.test bogus-mx.test \
	    mx-noaddr.test nonexistent.test a-servfail.test routed.test; do
		same_trace $domain
	done
}

@test "-e: 0 where mail would go, 1 where it is bounced or no host may be used, 3 where the DNS fails" {
	relay_conf_to_lab 'destination unsigned.test dane mandatory'
	explained 0 u@good.test '^    10 mx.good.test: dane 127.0.0.25@'
	explained 0 u@multi-tlsafail.test '^    10 mx1.multi-tlsafail.test: skip: the TLSA lookup failed'
	explained 1 u@null-mx.test '^bounced: 5.1.10 .*\[RFC 7505 3\]'
	explained 1 u@nonexistent.test '^bounced: 5.1.2 '
	explained 1 u@mx-noaddr.test '^bounced: 5.4.4 .*the host has no address \[RFC 5321 5.1\]'
	explained 1 u@unsigned.test '^deferred: no host may be used'
	explained 1 u@bogus-tlsa.test '^deferred: no host may be used'
	explained 3 u@bogus-mx.test '^deferred: 4.4.3 the MX lookup failed'
	explained 3 u@a-servfail.test '^deferred: no host can be asked now'
	relay_conf_to_lab 'route default nowhere.good.test'
	explained 3 u@example.org '^deferred: 4.3.5 the route leads nowhere: nowhere.good.test'
	RELAY_LOOPBACK=no
	relay_conf_to_lab
	explained 1 u@good.test '^bounced: 5.4.4 .*127.0.0.25 is loopback'
	explained 1 'u@[127.0.0.25]' '^bounced: 5.4.4 '
	relay_conf_to_lab 'own-address 127.0.0.25'
	explained 1 u@good.test '^bounced: 5.4.6 no host is preferred to mx.good.test, which is this relay'
	grep -qF 'mx.good.test: it is this relay itself [RFC 5321 5.1] -> no connection' <<< "$output"
	# And tlscheck says the same of the same configuration.
	run -1 tlscheck -c "$RELAY/conf" good.test
	[[ ${lines[0]} == 'good.test: SKIP: '*'mail would loop [RFC 5321 5.1]' ]] || { echo "$output"; return 1; }
}

@test "what comes from the null sender is never bounced" {
	relay_conf_to_lab
	relay_start
	mailer send "$RELAY_PORT" '' u@null-mx.test > sent
	ID=$(cut -d' ' -f1 sent)
	await_log 'double-bounce'
	relay_await 10 queue_is_empty
	run ! log_says "$ID bounced"
}

@test "the next MX host or address where the first does not do" {
	local domain
	relay_conf_to_lab
	relay_start
	for domain in multi-down.test multi-mx.test multi-nostarttls.test multi-tlsafail.test; do
		mail_to u@$domain
		await_log "delivered to=u@$domain host=mx2.$domain .*reached=AUTH"
	done
	for domain in multi-addr.test multi-addr-wrong.test; do
		mail_to u@$domain
		await_log "delivered to=u@$domain host=mx.$domain address=127.0.0.25 .*reached=AUTH"
	done
	relay_await 10 queue_is_empty
}

# Hosts that never answer, or never come to an end: for them the clock is set forward.
SLOW='never|silent|stall|trickle|drip|tickets|keyupdates|blackhole'

rows()
{
	grep -v '^#' "$BATS_TEST_DIRNAME/tlscheck.rows" | grep . | sed 's/ *| */|/g'
}

# Every message of `sent` was tried once.
all_tried()
{
	[ -z "$(awk 'NR == FNR { if ($0 ~ / (removed|waits) from=/) for (i = 1; i <= NF; i++) done[$i]; next }
		!($1 in done)' "$RELAY_LOG" "$RELAY/sent")" ]
}

# Beyond the longest wait for a reply (RFC 5321 4.5.3.2); a process that was stopped looks at the clock.
AHEAD=0
outs_wait_in_vain()
{
	local role pid
	AHEAD=$((AHEAD + 400))
	relay_faults "clock * 0 ahead=$AHEAD"
	for role in out-1 out-2; do
		pid=$(relay_role $role)
		freeze "$pid"
		kill -CONT "$pid"
	done
}

tried_with_the_clock_ahead()
{
	all_tried || { outs_wait_in_vain; all_tried; }
}

# All but the slow ones of `sent` were.
quick_ones_tried()
{
	[ -z "$(awk -v slow="$SLOW" 'NR == FNR { if ($0 ~ / (removed|waits) from=/) for (i = 1; i <= NF; i++) done[$i]; next }
		{ domain = $2; sub(/.*@/, "", domain) } !($1 in done) && domain !~ slow' "$RELAY_LOG" "$RELAY/sent")" ]
}

# What the relay did with the message to DOMAIN: its level where it went out, or queued, or failed.
action()
{
	local id
	id=$(awk -v to="u@$1" '$2 == to { print $1 }' sent)
	if grep -q " $id delivered to=" lines; then
		sed -n "s/.* $id delivered .* reached=\([A-Z]*\) .*/\1/p" lines
	elif grep -q " $id failed to=" lines; then
		echo failed
	elif relayq -s "$RELAY_SPOOL" show "$id" > /dev/null; then
		echo queued
	else
		echo lost
	fi
}

@test "tlscheck's verdict and what the relay does agree on every domain; no clear text where DANE asks for TLS" {
	local domain exit word rule hosts first want got wrong=0 lines
	: > "$LAB_CAPTURE"
	RELAY_RETRY=300s
	relay_conf_to_lab
	relay_with_faults
	relay_start
	rows | cut -d'|' -f1 | sed 's/^/u@/' | xargs "$BATS_TEST_DIRNAME/lab/mailer" send "$RELAY_PORT" a@good.test > sent
	relay_await 120 quick_ones_tried
	relay_await 30 tried_with_the_clock_ahead
	sed 's/^/ /' "$RELAY_LOG" > lines
	grep -E ' (not-delivered|tls-unusable condition=handshake) domain=(banner-never|starttls-silent)\..* reason=".*timed out' lines > timed-out
	[ "$(grep -oE 'domain=[^ ]*' timed-out | sort -u | wc -l)" -eq 4 ] || { cat timed-out; return 1; }
	while IFS='|' read -r domain exit word rule hosts first; do
		case "$word $rule" in
		AUTH*|ENC*|CLEAR*) want=$(grep -oE 'AUTH|ENC|CLEAR' <<< "$hosts" | head -n 1) ;;
		NOMAIL*) want=failed ;;
		# Neither the domain nor an address of its hosts is there: nobody to ask (RFC 5321 5.1).
		"SKIP RFC 5321 5.1") want=failed ;;
		*) want=queued ;;
		esac
		# A host that breaks off when its renegotiation is refused: the handshake is right, yet no mail gets through.
		[[ $domain != tls-renegotiate.* ]] || want=queued
		got=$(action "$domain")
		[ "$got" = "$want" ] || { echo "$domain: tlscheck says $word [$rule], the relay: $got, wanted $want"; wrong=1; }
	done < <(rows)
	[ $wrong -eq 0 ]
	# The peers saw no envelope and no message in clear but for domains without TLSA records.
	grep -E 'clear (MAIL|RCPT|DATA|BDAT)' "$LAB_CAPTURE" > clear
	grep -oE 'clear RCPT TO:<[^>]*>' clear | sort -u > rcpts
	cat rcpts
	[ "$(grep -c . rcpts)" -ge 5 ]
	run ! grep -vE '<u@(helo-only|no-starttls|starttls-(454|501|502|554))\.plain\.test>$' rcpts
	run ! grep -E '\.dane\.test' clear
}

# TLS DANE DOMAINS ACTIONS: under these settings for all, what becomes of a message to each domain; and tlscheck says
# the same of the same configuration.
under()
{
	local level="tls $1 dane $2" domain want got said wrong=0 domains wanted
	read -ra domains <<< "$3"
	read -ra wanted <<< "$4"
	: > "$LAB_CAPTURE"
	RELAY_RETRY=300s
	relay_conf_to_lab "destination default $level"
	relay_start
	mailer send "$RELAY_PORT" a@good.test "${domains[@]/#/u@}" > sent
	relay_await 60 all_tried
	sed 's/^/ /' "$RELAY_LOG" > lines
	cat lines >> log.all
	for domain in "${domains[@]}"; do
		want=${wanted[0]} wanted=("${wanted[@]:1}")
		got=$(action "$domain")
		[ "$got" = "$want" ] || { echo "$level: $domain: the relay: $got, wanted $want"; wrong=1; }
		# In clear the envelope went where that was wanted, and nowhere else.
		got=$(grep -cE " clear RCPT TO:<u@$domain>|clear (MAIL|DATA).*$domain" "$LAB_CAPTURE") || :
		[ "$got" -eq "$([ "$want" = CLEAR ] && echo 1 || echo 0)" ] ||
		    { echo "$level: $domain: $got recipients in clear, wanted $want"; wrong=1; }
		said=$(tlscheck -q -c "$RELAY/conf" "$domain" | head -n 1) || :
		[[ $said == "$domain: ${want/queued/SKIP}: "* ]] || { echo "$level: tlscheck says: $said, wanted $want"; wrong=1; }
	done
	got=$(grep -cE ' clear (MAIL|DATA)' "$LAB_CAPTURE") || :
	[ "$got" -eq $((2 * $(grep -o CLEAR <<< "$4" | wc -l))) ] || { echo "$level: $got commands in clear"; wrong=1; }
	relay_stop
	rm -rf "$RELAY_SPOOL"
	return $wrong
}

@test "destination controls: each level of TLS with each of DANE, and nothing in clear but where it may be" {
	local open='ok.plain.test no-starttls.plain.test starttls-454.plain.test helo-only.plain.test tls-alert.plain.test'
	local dane='ok.dane.test no-starttls.dane.test unusable-plain.test swapped.test'
	under no none "$open $dane" 'CLEAR CLEAR CLEAR CLEAR CLEAR CLEAR CLEAR CLEAR CLEAR'
	under preferred none "$open $dane" 'ENC CLEAR CLEAR CLEAR queued ENC CLEAR CLEAR ENC'
	under preferred mandatory "$open $dane" 'queued queued queued queued queued AUTH queued queued queued'
	# Nobody but the three hosts with usable records was connected to, by the relay and by tlscheck.
	[ "$(grep -c ' connect$' "$LAB_CAPTURE")" -eq 6 ]
	under required none "$open $dane" 'ENC queued queued queued queued ENC queued queued ENC'
	under required opportunistic "$open $dane" 'ENC queued queued queued queued AUTH queued queued queued'
	under required mandatory "$open $dane" 'queued queued queued queued queued AUTH queued queued queued'
	# Why TLS was required and could not be used: each of the five reasons, with its detail.
	for reason in 'helo-only.plain.test .*wanted=encrypt reached=SKIP .*reason="TLS is required, but the host knows no ESMTP"' \
	    'no-starttls.plain.test .*wanted=encrypt reached=SKIP .*reason="TLS is required, but STARTTLS is not offered"' \
	    'starttls-454.plain.test .*wanted=encrypt reached=SKIP .*reason="TLS is required, but STARTTLS was answered with an error: .*454 ' \
	    'tls-alert.plain.test .*wanted=encrypt reached=SKIP .*reason="the TLS handshake failed: .*alert' \
	    'swapped.test .*wanted=dane reached=SKIP .*reason="no TLSA record of mx.swapped.test matches: the server shows 3 1 1 '; do
		grep -qE " (not-delivered|tls-unusable condition=[a-z-]*) domain=$reason" log.all || { echo "not in the log: $reason"; return 1; }
	done
}

# ---- connections ----

connects()
{
	grep -c "^$1 connect" "$LAB_CAPTURE"
}

@test "two messages to one host go over one connection; one that needs something else does not" {
	: > "$LAB_CAPTURE"
	relay_conf_to_lab
	relay_start
	mail_to u@ok.dane.test
	await_log 'delivered to='
	mail_to v@ok.dane.test
	await_log 'delivered to='
	[ "$(connects 127.0.1.1)" -eq 1 ]
	[ "$(grep -c '^127.0.1.1 tls MAIL' "$LAB_CAPTURE")" -eq 2 ]
	mail_to u@ok.plain.test
	await_log 'delivered to=.*reached=ENC'
	[ "$(connects 127.0.1.1)" -eq 2 ]
}

@test "a connection is not used for mail that asks more of the host, nor for mail that asks less" {
	start_sink
	: > "$LAB_CAPTURE"
	relay_conf_to_lab "route open.test 127.0.0.1@$SINK_PORT" "route secret.test 127.0.0.1@$SINK_PORT" \
	    'destination secret.test tls required dane none' "route may.test 127.0.1.1@$LAB_PORT" \
	    "route never.test 127.0.1.1@$LAB_PORT" 'destination never.test tls no dane none'
	relay_start
	mail_to u@open.test
	await_log 'delivered to=.*reached=CLEAR'
	mail_to u@secret.test
	await_log 'tls-unusable condition=no-starttls .*wanted=encrypt reached=SKIP .*STARTTLS is not offered'
	run ! log_says ' delivered to=u@secret.test'
	mail_to u@never.test
	await_log 'delivered to=.*reached=CLEAR'
	mail_to u@may.test
	await_log 'delivered to=.*reached=ENC'
	mail_to v@never.test
	await_log 'delivered to=.*reached=CLEAR'
	[ "$(grep -c ' clear RCPT TO:<.@never.test>' "$LAB_CAPTURE")" -eq 2 ]
	[ "$(grep -c ' tls RCPT TO:<u@may.test>' "$LAB_CAPTURE")" -eq 1 ]
}

# ---- many domains, one host ----

# COUNT ZONE: a message to each of so many domains.
mail_to_domains()
{
	# shellcheck disable=SC2046 # words
	mailer send "$RELAY_PORT" a@good.test $(printf "u@d%d.$2 " $(seq "$1")) > "$RELAY/sent"
}

# COUNT: the sink took so many.
sink_took()
{
	[ "$(grep -c ' taken ' "$RELAY/taken")" -ge "$1" ]
}

# The most connections that the sink had open at once.
most_open()
{
	awk '$2 == "connect" { n++ } $2 == "gone" { n-- } n > most { most = n } END { print most + 0 }' "$RELAY/taken"
}

@test "450 domains at one slow host: no more connections than its places, and other mail passes by" {
	SINK_ADDR=127.0.2.24 SINK_PORT=$LAB_PORT
	start_sink -w 0.5
	relay_conf_to_lab
	relay_start
	# shellcheck disable=SC2046 # words
	mailer send "$RELAY_PORT" a@good.test $(printf "u@d%d.many.test " $(seq 450)) > many 3>&- &
	relay_await 60 sink_took 40
	mail_to u@good.test
	await_log 'delivered to=u@good.test '
	run ! sink_took 450
	relay_await 120 sink_took 450
	relay_await 10 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 450 ]
	echo "open at once: $(most_open)"
	[ "$(most_open)" -ge 5 ]
	[ "$(most_open)" -le 20 ]
}

@test "a host that broke is passed over by the other domains, which go to the next" {
	SINK_ADDR=127.0.2.24 SINK_PORT=$LAB_PORT RELAY_RETRY=30s
	start_sink
	relay_conf_to_lab
	relay_start
	mail_to_domains 60 fall.test
	relay_await 30 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 60 ]
	tries=$(grep -c 'not-delivered .*host=down.fall.test' "$RELAY_LOG")
	echo "tries of the host that is down: $tries"
	[ "$tries" -ge 1 ]
	# Those that were under way before it was known, as many as its first places.
	[ "$tries" -le 10 ]
}

@test "domains whose only host is down wait for it, and one tries: mail arrives when it is there" {
	SINK_ADDR=127.0.2.24 SINK_PORT=$LAB_PORT RELAY_RETRY=3s
	relay_conf_to_lab
	relay_start
	mail_to_domains 40 many.test
	relay_await 20 log_says 'not-delivered .*host=mx.many.test'
	relay_await 20 log_says 'waits from='
	[ "$(grep -c 'not-delivered .*host=mx.many.test' "$RELAY_LOG")" -le 10 ]
	start_sink
	relay_await 40 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 40 ]
}

@test "a message to two domains, one behind a host without a place: the other gets it at once, and once" {
	SINK_ADDR=127.0.2.24 SINK_PORT=$LAB_PORT
	start_sink -w 0.5
	relay_conf_to_lab
	relay_start
	mail_to_domains 60 many.test
	mailer send -o "$RELAY_PORT" a@good.test u@good.test v@late.many.test u@banner-450.plain.test > sent
	ID=$(cut -d' ' -f1 sent)
	await_log 'delivered to=u@good.test '
	run ! sink_took 61
	await_log 'delivered to=v@late.many.test ' 30
	relay_logs 1 "$ID delivered to=u@good.test"
	# The third was not tried each time that the message came and went.
	[ "$(grep -c "$ID not-delivered .*host=mx.banner-450.plain.test" "$RELAY_LOG")" -le 2 ]
}

# ---- what is kept ----

@test "4 KiB and 20 MB arrive octet for octet" {
	local n
	mkdir got
	{ printf 'Subject: x\r\n\r\n.\r\n..\r\n'; head -c 3000 /dev/urandom | base64 -w 70 | sed 's/$/\r/'; } > 4k
	{ printf 'Subject: x\r\n\r\n'; head -c 15000000 /dev/urandom | base64 -w 76 | sed 's/$/\r/; s/^a/./'; } > 20M
	[ "$(wc -c < 20M)" -gt 20000000 ]
	start_sink -s got
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	n=0
	for file in 4k 20M; do
		mailer send -f $file "$RELAY_PORT" a@good.test u@good.test
		relay_await 30 queue_is_empty
		n=$((n + 1))
		perl -0777 -pe 's/\AReceived: [^\n]*\n([ \t][^\n]*\n)*//' got/$n | cmp - $file
	done
}

@test "the octets decide about 8BITMIME, not what was declared" {
	local mail='MAIL FROM:<a@good.test>' rcpt='RCPT TO:<u@good.test>\r\n'
	mkdir got
	start_sink -7 -s got
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	relay_says '250 250 354 250 221 closed' "$mail BODY=8BITMIME\r\n" = "$rcpt" = 'DATA\r\n' = 'ascii\r\n.\r\n' = 'QUIT\r\n'
	relay_await 10 log_says ' delivered to=u@good.test '
	relay_await 10 queue_is_empty
	tail -n 1 got/1 | grep -qx $'ascii\r'
	relay_says '250 250 354 250 221 closed' "$mail\r\n" = "$rcpt" = 'DATA\r\n' = '\xc3\xbc\r\n.\r\n' = 'QUIT\r\n'
	relay_await 10 log_says ' bounced from=a@good.test '
	relay_await 10 test -e got/2
	grep -q '8BITMIME is not offered' got/2
	run ! grep -rq $'\xc3\xbc' got
}

@test "queued mail survives a restart" {
	SINK_PORT=$(relay_free_port)
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	mail_to u@good.test v@good.test
	ID=$(head -n 1 sent | cut -d' ' -f1)
	await_log 'waits '
	relay_stop
	[ "$(relayq -s "$RELAY_SPOOL" list | grep -vc '^ ')" -eq 2 ]
	start_sink
	relay_start
	relay_await 30 queue_is_empty
	[ "$(grep -c taken taken)" -eq 2 ]
}

# PID: stopped, so that what others tell it lies in its sockets.
freeze()
{
	kill -STOP "$1"
	relay_await 5 grep -q '^State:.T' "/proc/$1/status"
}

# Every connection was ended in order, or with its client.
sink_is_idle()
{
	[ "$(grep -c ' connect$' taken)" -eq "$(grep -c ' gone$' taken)" ]
}

# [frozen-]ROLE: each kill leaves a line in `kills`: when it began, and when it was done.  With `frozen` the queue hears
# nothing until all that is under way has got its final reply, so that nothing is in doubt at the kill.
relay_kill()
{
	local pids began frozen=''
	if [[ $1 == frozen-* ]]; then
		frozen=$(relay_role queue)
		freeze "$frozen"
		relay_await 20 sink_is_idle
		set -- "${1#frozen-}"
	fi
	case $1 in
	all) pids=$(relay_pids) || : ;;
	master) pids=$RELAY_PID ;;
	*)
		# It may be on its way back from the kill before.
		relay_await 20 eval '[ -n "$(relay_role '"$1"')" ]'
		pids=$(relay_role "$1") || : ;;
	esac
	began=$EPOCHREALTIME
	# shellcheck disable=SC2086 # pids
	kill -KILL $pids || :
	# It would not see that the master is gone.
	[ -z "$frozen" ] || kill -KILL "$frozen" 2>/dev/null || :
	case $1 in
	all|master)
		wait "$RELAY_JOB" || :
		relay_await 5 relay_is_gone ;;
	queue|route)
		# The master ends the others.
		relay_await 5 log_says "role-died role=$1 pid=${pids:-0}" ;;
	esac
	echo "$began $EPOCHREALTIME" >> kills
	case $1 in
	all|master)
		cat "$RELAY_LOG" >> log.before
		relay_start ;;
	esac
}

# ROLE…: each is killed while messages come and go, and some are deferred; then all that was accepted is there, and
# twice only what was between the host's decision and the reading of its reply: mailer says how that is judged.
# RELAY_KILL_ROUNDS: how often one after the other (1).
kill_under_load()
{
	local role n roles=()
	for ((n = 0; n < RELAY_KILL_ROUNDS; n++)); do
		roles+=("$@")
	done
	set -- "${roles[@]}"
	RELAY_MAY_DIE=1
	start_sink -f 3
	RELAY_RETRY=1s
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	: > kills
	mailer load -c 4 -q "$RELAY_SPOOL/queue" -d $(($# * 60)) ledger "$RELAY_PORT" 3>&- &
	LOAD=$!
	for role; do
		sleep 1
		relay_kill "$role"
	done
	end_load
	judge_load
}

# Mail comes a little longer, so that what was killed has to do again.
end_load()
{
	local load=$LOAD
	sleep 1
	LOAD=
	kill -TERM "$load"
	wait "$load"
}

judge_load()
{
	relay_await "${1:-180}" queue_is_empty
	run mailer check ledger taken kills
	printf '# %s\n' "${lines[@]}" >&3
	[ "$status" -eq 0 ]
}

@test "kill -9 of the roles that receive, under load: nothing missing, nothing twice" {
	kill_under_load in-1 in-2
	# A role that receives has no connection to a next host: its death excuses nothing.
	: > kills
	mailer check ledger taken kills
}

@test "kill -9 of a role that sends, under load: nothing missing, twice only what was in doubt" {
	kill_under_load out-1 out-2 out-1 out-2
}

# The death of either restarts all roles.
@test "kill -9 of route and queue, under load: nothing missing, twice only what was in doubt" {
	kill_under_load route queue frozen-route frozen-queue
}

@test "kill -9 of the master, and of all, under load: nothing missing, twice only what was in doubt" {
	kill_under_load master all frozen-master
}

@test "kill -9 of whatever role, in no order, under load: nothing missing, twice only what was in doubt" {
	local all=(in-1 in-2 out-1 out-2 route queue master all) some=() n
	for ((n = 0; n < 6; n++)); do
		some+=("${all[RANDOM % ${#all[@]}]}")
	done
	echo "# ${some[*]}" >&3
	kill_under_load "${some[@]}"
}

# The host's process, and a new one soon.
restart_sink()
{
	local began=$EPOCHREALTIME
	kill -KILL "${SINK_PIDS[0]}"
	wait "${SINK_PIDS[0]}" || :
	echo "$began $EPOCHREALTIME" >> kills
	SINK_PIDS=()
	sleep 0.5
	start_sink -f 3 -x 1
}

# RELAY_STORM_SECONDS: for how long (6).
@test "a host that defers, closes at every stage and is killed, 200 domains: nothing missing, twice only what was lost" {
	local load end=$((SECONDS + ${RELAY_STORM_SECONDS:=6}))
	start_sink -f 3 -x 1
	RELAY_RETRY=1s
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	: > kills
	mailer load -c 4 -D 200 -q "$RELAY_SPOOL/queue" -d "$RELAY_STORM_SECONDS" ledger "$RELAY_PORT" 3>&- &
	load=$!
	while [ $SECONDS -lt $end ]; do
		sleep 2
		restart_sink
	done
	wait $load
	judge_load $((180 + RELAY_STORM_SECONDS))
}

taken_lines()
{
	[ "$(grep -c ' taken ' taken)" -ge "$1" ]
}

# Final results in the journals.
written_lines()
{
	[ "$(cat "$RELAY_SPOOL"/results/* | grep -c ' delivered ')" -eq "$1" ]
}

# The queue hears nothing of deliveries whose replies were read, and is killed then.
@test "results that lie in the socket when the queue is killed are not lost: nothing twice" {
	local queue
	RELAY_MAY_DIE=1
	start_sink -w 1
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	queue=$(relay_role queue)
	mail_to u@good.test v@good.test w@good.test u@unsigned.test
	relay_await 10 taken_lines 4
	freeze "$queue"
	relay_await 10 written_lines 4
	kill -KILL "$queue"
	relay_await 10 log_says 'queue results-recovered results=4 '
	relay_await 30 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 4 ] || { cat taken; return 1; }
}

# More than the socket holds: the rest waits in the process that is killed.
@test "results that an out had still to tell when it was killed are in its journal: nothing twice" {
	local i queue rcpts=()
	RELAY_MAY_DIE=1
	for i in {1..800}; do rcpts+=("u$i@good.test"); done
	start_sink -w 2 -t 380
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT" 'workers 1'
	relay_start
	queue=$(relay_role queue)
	mailer send -o "$RELAY_PORT" a@good.test "${rcpts[@]}" > sent
	relay_await 20 taken_lines 5
	freeze "$queue"
	relay_await 20 written_lines 500
	kill -KILL "$(relay_role out-1)"
	kill -CONT "$queue"
	relay_await 60 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 8 ]
	relay_await 10 log_says 'role-died role=out-1'
}

journal_is_another()
{
	local names=("$RELAY_SPOOL/results"/*)
	[ ${#names[@]} -eq 1 ] && [ "${names[0]##*/}" != "$1" ]
}

@test "a journal of 1 MiB is followed by another, and removed" {
	local first i rcpts=()
	for i in {1..800}; do rcpts+=("u$i@good.test"); done
	start_sink -t 380
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT" 'workers 1'
	relay_start
	first=$(ls "$RELAY_SPOOL/results")
	[ "$(wc -w <<< "$first")" -eq 1 ]
	for i in 1 2 3 4; do mailer send -o "$RELAY_PORT" a@good.test "${rcpts[@]}" > sent; done
	relay_await 60 queue_is_empty
	relay_await 5 journal_is_another "$first"
	relay_logs 3200 ' delivered to=u'
	[ "$(cat "$RELAY_SPOOL"/results/* | wc -c)" -lt 1048576 ]
}

@test "a stop in the middle of deliveries: nothing missing, nothing twice" {
	local i
	start_sink -f 3
	RELAY_RETRY=1s
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	: > kills
	mailer load -c 4 -d 180 ledger "$RELAY_PORT" 3>&- &
	LOAD=$!
	for i in 1 2 3; do
		sleep 1
		relay_stop
		cat "$RELAY_LOG" >> log.before
		# What the senders told last was taken: nothing is left for the next start.
		[ -z "$(ls "$RELAY_SPOOL/results")" ]
		relay_start
	done
	end_load
	judge_load
	run ! grep -q results-recovered log.before
}

# ---- many recipients ----

# The most messages at once of which the sink had not said yet that it took them.
most_at_once()
{
	awk '$2 == "taken" && ++n > most { most = n } $2 == "told" { n-- } END { print most }' taken
}

# The descriptors of PID that lead to the message.
message_descriptors()
{
	find "/proc/$1/fd" -lname "$RELAY_SPOOL/queue/*" | wc -l
}

@test "a message to 120 domains: 50 orders at once, one descriptor of the queue, and all arrive" {
	local i domains=()
	for i in {1..120}; do domains+=("u@d$i.test"); done
	SINK_ADDR=0.0.0.0
	start_sink -w 1
	# So many hosts that their places are no limit.
	relay_conf_to_lab
	for i in {1..120}; do echo "route d$i.test 127.0.3.$((i % 20 + 1))@$SINK_PORT" >> conf; done
	relay_start
	mailer send -o "$RELAY_PORT" a@good.test "${domains[@]}" > sent
	relay_await 20 taken_lines 50
	[ "$(message_descriptors "$(relay_role queue)")" -eq 1 ]
	relay_await 30 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 120 ]
	relay_logs 120 'delivered to='
	[ "$(grep -oE 'delivered to=[^ ]*' "$RELAY_LOG" | sort -u | wc -l)" -eq 120 ]
	[ "$(most_at_once)" -eq 50 ]
}

@test "few descriptors: no more orders than an out can carry, and all arrive" {
	local i domains=()
	for i in {1..60}; do domains+=("u@d$i.test"); done
	RELAY_PREFIX=(bash -c 'ulimit -n 64; exec "$0" "$@"')
	start_sink -w 0.3
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	mailer send -o "$RELAY_PORT" a@good.test "${domains[@]}" > sent
	relay_await 60 queue_is_empty
	[ "$(grep -c ' taken ' taken)" -eq 60 ]
	# (64 - 40) / 3 to each of two.
	[ "$(most_at_once)" -le 16 ]
	run ! log_says ' deferred | waits | fault '
}

# An ID of this moment.
fresh_id()
{
	python3 -c 'import string, time
digits, id = string.digits + string.ascii_uppercase + string.ascii_lowercase, ""
n = int('"${1:-0}"') * 1000000 or time.time_ns() // 1000
for i in range(9):
    id, n = digits[n % 62] + id, n // 62
print(id + "01abc")'
}

@test "an order too large for one record is halved until it fits" {
	local i long rcpts=()
	printf -v long '%1500s' ''
	long=${long// /x}
	for i in {1..100}; do rcpts+=("<$long$i@good.test>"); done
	start_sink
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	relay_stop
	ID=$(fresh_id)
	printf 'Subject: x\r\n\r\nx\r\n' | ARRIVED=$(date +%s) mkspool "spool/queue/$ID,1,good.test" "$ID" '<a@good.test>' "${rcpts[@]}"
	chown games "spool/queue/$ID,1,good.test"
	relay_start
	relay_await 20 queue_is_empty
	# An out had each of them: no host is offered addresses so long, which is final.
	relay_logs 100 "$ID failed to=xxx.*host=127.0.0.1"
	run ! log_says "$ID (deferred|waits)"
}

# ---- faults of the disk, and of what is on it ----

taken_once()
{
	[ "$(grep -c ' taken ' taken)" -eq 1 ]
}

faults_logged()
{
	[ "$(grep -c "$ID fault" "$RELAY_LOG")" -ge "$1" ]
}

@test "a disk that takes no results: nobody gets a message twice, and it goes on when there is room" {
	RELAY_RETRY=1s
	start_sink
	relay_conf_to_lab "route d1.test 127.0.0.1@$SINK_PORT"
	relay_with_faults
	relay_start
	relay_faults 'pwrite /queue/ 1 ENOSPC *;write /results/ 1 ENOSPC *'
	mailer send -o "$RELAY_PORT" a@good.test u@d1.test u@banner-450.plain.test > sent
	ID=$(head -1 sent | cut -d' ' -f1)
	await_log 'delivered to=u@d1.test '
	relay_await 20 faults_logged 2
	# Another message shows that the relay does not stand still meanwhile.
	mailer send "$RELAY_PORT" a@good.test u@good.test > sent.2
	relay_await 20 log_says "$(cut -d' ' -f1 sent.2) removed"
	run ! log_says "$ID waits from="
	relay_faults ''
	await_log 'waits from='
	relay_await 20 relayq_says "$ID" 'u@d1.test.*delivered'
	await_log 'deferred to=u@banner-450.plain.test .*450.*'
	taken_once
}

relayq_says()
{
	relayq -s "$RELAY_SPOOL" show "$1" | grep -qE -- "$2"
}

# NAME-OF-FILE…: messages that wait; the first two words of a name are an ID and a due time.
put_message()
{
	printf 'Subject: x\r\n\r\nx\r\n' | ARRIVED=${ARRIVED:-$(date +%s)} mkspool "spool/queue/$1" "${1%%,*}" '<a@good.test>' "$2"
	chown games "spool/queue/$1"
}

@test "a file that the queue may not read delays no other mail, young or expired" {
	local id old
	start_sink
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	relay_stop
	id=$(fresh_id)
	put_message "$id,1,good.test" '<u@good.test>'
	# An ID of 1970: past its lifetime.
	old=00000000000000
	ARRIVED=0 put_message "$old,1,good.test" '<v@good.test>'
	chown root spool/queue/*
	chmod 600 spool/queue/*
	relay_start
	ID=$id relay_await 20 faults_logged 1
	ID=$old relay_await 20 faults_logged 1
	mail_to w@good.test
	await_log 'delivered to=w@good.test '
	relay_await 10 taken_once
	relay_logs 2 -E "($id|$old) fault"
	# Nothing goes round in the queue meanwhile: less than half a second of CPU in two.
	local pid before
	pid=$(relay_role queue)
	before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	sleep 2
	[ $(($(awk '{ print $14 + $15 }' "/proc/$pid/stat") - before)) -lt 50 ]
}

@test "a message that was damaged in the queue reaches nobody, and is set aside" {
	start_sink
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	relay_stop
	ID=$(fresh_id)
	put_message "$ID,1,good.test" '<u@good.test>'
	sed -i 's/^Subject: x/Subject: y/' "spool/queue/$ID,1,good.test"
	chown games spool/queue/*
	relay_start
	await_log 'fault .*set aside in bad.*checksum'
	run ! grep -q ' taken ' taken
	[ -n "$(ls spool/bad)" ]
	[ -z "$(ls spool/queue)" ]
}

@test "a message whose envelope makes no order for an out takes no other delivery with it" {
	local i words=
	start_sink
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	relay_stop
	ID=$(fresh_id)
	# In the spool a line of 65,536 octets at most; in an order its blanks take three each.
	for ((i = 0; i < 500; i++)); do words+=",X$i=$(printf '%0125d' "$i")"; done
	put_message "$ID,1,good.test" "<u@good.test>$words"
	chown games spool/queue/*
	relay_start
	await_log 'fault role=out'
	await_log 'waits '
	ID=
	mail_to other@good.test
	await_log 'removed '
	run ! grep -q role-died "$RELAY_LOG"
}

# SENDER STATE-OF-RECIPIENT…: a message to them, in order; each is told apart in the log, and relayq has who waits.
told_apart()
{
	local sender=$1 word want
	shift
	mailer send -o "$RELAY_PORT" "$sender" "${@%=*}" > sent
	ID=$(cut -d' ' -f1 sent)
	for word; do
		want=${word#*=}
		await_log "${want%:*} to=${word%=*} .*reply=\"${want#*:} ${want:0-3:1}\\..*"
	done
	relay_logs $# -E "$ID (delivered|deferred|failed|unknown) to="
	if [[ $* == *=failed* ]]; then
		await_log 'bounced .*as='
	fi
	if [[ $* == *=deferred* ]]; then
		await_log 'waits '
		[ "$(relayq -s "$RELAY_SPOOL" show "$ID" | grep -c ': deferred, ')" -eq "$(grep -o =deferred <<< "$*" | wc -l)" ]
	else
		await_log 'removed '
	fi
}

@test "4xx and 5xx at each stage, of each recipient alone" {
	local stage
	RELAY_RETRY=300s
	start_sink
	relay_conf_to_lab "route default 127.0.0.1@$SINK_PORT"
	relay_start
	told_apart a@good.test u@good.test=delivered:250 at-rcpt-450@good.test=deferred:450 at-rcpt-550@good.test=failed:550 \
	    v@good.test=delivered:250 at-rcpt-552@good.test=deferred:552 at-rcpt-452@good.test=deferred:452
	told_apart a@good.test at-rcpt-450@good.test=deferred:450 at-rcpt-550@good.test=failed:550
	for stage in mail data dot; do
		told_apart at-$stage-450@good.test u@good.test=deferred:450 v@good.test=deferred:450
		told_apart at-$stage-550@good.test u@good.test=failed:550 v@good.test=failed:550
	done
	# (552 to RCPT: RFC 5321 4.5.3.1.10.)  Taken were the first message and bounces.
	all_taken() { [ "$(grep -c ' taken ' taken)" -eq $((1 + $(grep -c ' bounced ' "$RELAY_LOG"))) ]; }
	relay_await 10 all_taken
}

# TEXT: Postfix has it in a message to good.test, whose lines may be folded.
bounce_says()
{
	lab_postfix_mail good.test | tr -s '\n ' ' ' | grep -qF -- "$1"
}

@test "who is put off by one host is taken to the next, and what expires says what the last one said" {
	SINK_ADDR=127.0.2.24 SINK_PORT=$LAB_PORT RELAY_RETRY=1s
	start_sink -l 127.0.2.24
	SINK_ADDR=127.0.2.25
	start_sink
	relay_conf_to_lab
	relay_start
	mail_to u@later.test
	await_log 'delivered to=u@later.test host=mx2'
	relay_await 10 log_says "$ID deferred to=u@later.test host=mx1.later.test .*450 4.2.1 later"
	relay_stop
	# Five days before, less some seconds.
	ID=$(fresh_id $(($(date +%s) - 5 * 86400 + 6)))
	ARRIVED=$(($(date +%s) - 5 * 86400 + 6)) put_message "$ID,1,many.test" '<u@many.test>'
	relay_start
	await_log 'deferred to=u@many.test .*450 4.2.1 later'
	await_log 'bounced from=.* as='
	relay_await 10 log_says "delivered to=a@good.test"
	relay_await 10 bounce_says 'mx.many.test said last: 450 4.2.1 later'
}
