#!/usr/bin/env bats
# smtp-relay says what is wrong with TLS: a line in the log for each condition, alerts by mail and hook that are
# few, true, and over when the trouble is.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	# Resolvers may keep a record for its time to live.
	sed -i 's/^\$TTL .*/$TTL 1/' "$LAB_DIR/zones/wrong.test.zone"
	lab_tlsa mx.wrong.test "$(lab_rdata other 3 1 1)"
	lab_peers
}

teardown_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	[ -z "${LAB_DIR:-}" ] || lab_stop
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
	SINK_PIDS=()
	RELAY_RETRY=1s
	# What a hook that runs as daemon may write to and read from.
	mkdir -m 1777 "$RELAY/ran"
}

teardown()
{
	local status=0
	relay_end || status=1
	[ ${#SINK_PIDS[@]} -eq 0 ] || kill "${SINK_PIDS[@]}"
	return $status
}

# ADDR PORT NAME: a sink there, of which each message becomes a file of $RELAY/NAME.
start_sink()
{
	mkdir -p "$RELAY/$3"
	mailer sink -s "$RELAY/$3" "$RELAY/$3.log" "$1" "$2" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	SINK_PIDS+=($!)
	relay_await 10 sink_listens "$1" "$2"
}

sink_listens()
{
	(exec 9<>"/dev/tcp/$1/$2") 2>/dev/null
}

# [LINE…]: a relay that delivers to the lab and mails its alerts to a sink; each digest comes at once.
alerting_relay()
{
	local port
	port=$(relay_free_port)
	start_sink 127.0.0.1 "$port" mail
	relay_conf_to_lab "alert ops@alerts.test" "alert-interval 10s" "route alerts.test 127.0.0.1@$port" \
	    "destination alerts.test dane none" "$@"
	relay_start
}

# The lines of a program that writes down how it was called, one file a run.
write_hook()
{
	cat > "$RELAY/hook" <<-END
		#!/bin/bash
		out=$RELAY/ran/\$\$
		{
			printf 'args %s|%s|%s|%s\n' \$# "\$1" "\$2" "\$3"
			echo "uid \$(id -u) \$(id -G)"
			echo "fds \$(ls /proc/self/fd | tr '\n' ' ')"
			env | sort | sed 's/^/env /'
			cat
		} > "\$out.new"
		$*
		mv "\$out.new" "\$out"
	END
	chmod 755 "$RELAY/hook"
}

mail_to()
{
	mailer send "$RELAY_PORT" a@good.test "$@" > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

await_log()
{
	relay_await "${2:-20}" log_says "$1"
}

log_has()
{
	[ "$(grep -cE -- "$2" "$RELAY_LOG")" -ge "$1" ]
}

# N: so many alert mails came.
mails()
{
	[ "$(find "$RELAY/mail" -type f ! -name '*.new' | wc -l)" -ge "$1" ]
}

exactly_mails()
{
	local n
	n=$(find "$RELAY/mail" -type f ! -name '*.new' | wc -l)
	[ "$n" -eq "$1" ] || { echo "$n alert mails:"; cat "$RELAY"/mail/*; return 1; }
}

hook_ran()
{
	[ "$(find "$RELAY/ran" -type f ! -name '*.new' | wc -l)" -ge "$1" ]
}

# FILE LINE…: each is a line of it, or the begin of one.
has_lines()
{
	local file=$1 line
	shift
	for line do
		tr -d '\r' < "$file" | grep -qE -- "^$line" || { echo "not in $file: $line"; cat "$file"; return 1; }
	done
}

# ---- the log ----

@test "a delivery's TLS facts stand in its one line" {
	relay_conf_to_lab "destination .good.pkix.test tls required"
	castore -d "$RELAY/etc" import "$LAB_CERTS/ca/cert.pem" 2> /dev/null
	relay_start
	relay_stop
	# An MTA-STS policy that is kept under the id that the DNS has.
	printf '%s\n' 'domain good.sts.test' 'id 1' "fetched $(date -u +%Y-%m-%dT%H:%M:%SZ)" 'max-age 604800' 'mode enforce' \
	    'mx mx.absent-nodata.test' > "$RELAY_SPOOL/sts/good.sts.test"
	chown --reference="$RELAY_SPOOL/sts" "$RELAY_SPOOL/sts/good.sts.test"
	relay_start
	mail_to u@good.test
	await_log "^[^ ]* smtp-relay: $ID delivered to=u@good.test host=mx.good.test address=127.0.0.25 wanted=dane reached=AUTH rule=\"RFC [0-9. ]*\" protocol=TLSv1.3 cipher=TLS_[A-Z0-9_]* group=[A-Za-z0-9_-]* resumed=no tlsa=\"3 1 1 [0-9a-f]{16}\.\.\.\" reply=\"250 "
	mail_to u@x.good.pkix.test
	await_log "$ID delivered to=u@x.good.pkix.test .*wanted=encrypt reached=ENC rule=\"?[^=]* protocol=.* cipher=.* group=.* resumed=no reply="
	run ! grep -E "$ID delivered .*(tlsa|sts)=" "$RELAY_LOG"
	mail_to u@good.sts.test
	await_log "$ID delivered to=u@good.sts.test host=mx.absent-nodata.test .*wanted=sts reached=AUTH rule=.* protocol=.* group=.* resumed=no sts=1 reply="
}

@test "TLS required and not usable: each condition by its word, with detail, and nothing is sent" {
	local domain condition detail rows=(
		'helo-only.plain.test|no-esmtp|TLS is required, but the host knows no ESMTP'
		'no-starttls.plain.test|no-starttls|TLS is required, but STARTTLS is not offered'
		'starttls-454.plain.test|starttls-refused|TLS is required, but STARTTLS was answered with an error: 454'
		'tls-alert.plain.test|handshake|the TLS handshake failed: .*alert'
		'inject.plain.test|handshake|'
		'wrong.test|verification|no TLSA record of mx.wrong.test matches'
		'x.self.pkix.test|verification|'
	)
	relay_conf_to_lab 'destination .plain.test tls required' 'destination .self.pkix.test tls required-verify'
	castore -d "$RELAY/etc" import "$LAB_CERTS/ca/cert.pem" 2> /dev/null
	castore -d "$RELAY/etc" disable system 2> /dev/null
	relay_start
	for row in "${rows[@]}"; do
		IFS='|' read -r domain condition detail <<< "$row"
		mail_to "u@$domain"
		await_log " $ID tls-unusable condition=$condition domain=$domain host=[a-z0-9.-]* address=127[0-9.]* port=$LAB_PORT wanted=(encrypt|pkix|dane) reached=SKIP rule=.* reason=\"?.*$detail"
		run ! grep -E "$ID not-delivered" "$RELAY_LOG"
	done
	run ! log_says ' delivered '
}

@test "no condition where TLS is not required, or something else is wrong" {
	relay_conf_to_lab
	relay_start
	mail_to u@no-starttls.plain.test
	await_log "$ID delivered to=u@no-starttls.plain.test .*reached=CLEAR"
	mail_to u@banner-554.plain.test u@down.test
	await_log ' not-delivered domain=banner-554.plain.test'
	await_log ' not-delivered domain=down.test'
	run ! log_says 'tls-unusable'
	sleep 2
	run ! log_says ' queue alert '
}

# ---- alerts ----

@test "DANE fails on all MX hosts: one mail, one run of the hook; no more for more failures; put right: told once" {
	local mail run i command
	write_hook
	relay_with_clock
	alerting_relay "alert-hook $RELAY/hook" 'alert-user daemon'
	mail_to u@wrong.test v@wrong.test w@wrong.test
	relay_await 20 mails 1
	mail=$(ls "$RELAY"/mail/*)
	has_lines "$mail" 'From: Mail relay <postmaster@relay.example>$' 'To: <ops@alerts.test>$' 'Auto-Submitted: auto-generated$' \
	    'Subject: relay.example: DANE fails on all hosts: wrong.test$' 'Message-ID: <[0-9A-Za-z]{14}@relay.example>$' \
	    'DANE fails on all hosts: wrong.test$' '  since      [A-Z][a-z][a-z], ' \
	    '  reason     mx.wrong.test \(127.0.0.25\): no TLSA record of mx.wrong.test$' '             matches: the server shows 3 1 1' \
	    '  queued     [1-3] messages? for this domain alone$' '  bounces    [A-Z][a-z][a-z], ' \
	    "  to see it  tlscheck -c $RELAY/conf wrong.test\$" \
	    "  elsewhere  tlscheck --level preferred --dane opportunistic --sts follow --port $LAB_PORT wrong.test\$"
	# The command shows it.
	run -1 tlscheck -c "$RELAY/conf" wrong.test
	[[ $output == *'no TLSA record of mx.wrong.test matches'* ]]
	read -ra command < <(sed -n 's/^  elsewhere  \([^\r]*\)\r*$/\1/p' "$mail")
	run -1 "${command[@]}" --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR"
	[[ $output == *'no TLSA record of mx.wrong.test matches'* ]]
	relay_await 20 hook_ran 1
	await_log ' queue alert kind=dane event=raised name=wrong.test seen=[0-9]+ queued=[1-3] bounces=20[0-9T:Z-]* as=[0-9A-Za-z]{14} reason="mx.wrong.test \(127.0.0.25\)'
	await_log ' hook hook-ran kind=dane name=wrong.test event=raised how="status 0" seconds='
	run=$(ls "$RELAY"/ran/*)
	has_lines "$run" 'args 3\|dane\|wrong.test\|raised$' "uid $(id -u daemon) $(id -g daemon)\$" 'fds 0 1 2 3 $' 'relay relay.example$' \
	    'kind dane$' 'name wrong.test$' 'event raised$' 'since 20' 'seen [0-9]+$' 'queued [1-3]$' 'bounces 20' \
	    'reason mx.wrong.test%20\(127.0.0.25\):' "command tlscheck%20-c%20$RELAY/conf%20wrong.test\$"
	[ "$(grep -cE '^env (PATH|HOME|LC_ALL|PWD|OLDPWD|SHLVL|_)=' "$run")" -eq "$(grep -c '^env ' "$run")" ] || { grep ^env "$run"; return 1; }
	# More messages, and more tries: nothing is said of it any more.
	mail_to x@wrong.test y@wrong.test
	for ((i = 0; i < 40; i++)); do
		! log_has 12 ' tls-unusable condition=verification domain=wrong.test' || break
		relay_clock +40s
		sleep 0.5
	done
	relay_await 10 log_has 12 ' tls-unusable condition=verification domain=wrong.test'
	exactly_mails 1
	[ "$(find "$RELAY/ran" -type f | wc -l)" -eq 1 ]
	lab_tlsa mx.wrong.test "$(lab_rdata good 3 1 1)" "$(lab_rdata other 3 1 1)"
	# Plans are kept for a moment, and so is the record.
	relay_clock +1h
	relay_await 60 mails 2
	lab_tlsa mx.wrong.test "$(lab_rdata other 3 1 1)"
	exactly_mails 2
	mail=$(grep -l 'over: ' "$RELAY"/mail/*)
	has_lines "$mail" 'Subject: relay.example: over: DANE fails on all hosts: wrong.test$' '  since   ' '  until   ' '  was        mx.wrong.test'
	relay_await 20 hook_ran 2
	grep -qh '^args 3|dane|wrong.test|recovered$' "$RELAY"/ran/*
	await_log ' queue alert kind=dane event=recovered name=wrong.test '
}

@test "required-verify fails: an alert of kind tls; a restart does not repeat it, and its end is told behind it" {
	castore -d "$RELAY/etc" import "$LAB_CERTS/ca/cert.pem" 2> /dev/null
	relay_with_clock
	alerting_relay 'destination .unknown.pkix.test tls required-verify'
	mail_to u@x.unknown.pkix.test
	relay_await 20 mails 1
	has_lines "$RELAY"/mail/1 'No host has the TLS that is required: x.unknown.pkix.test$' '  queued     1 message for this domain alone$' \
	    "  elsewhere  tlscheck --level required-verify --dane opportunistic --sts follow --port $LAB_PORT x.unknown.pkix.test\$"
	await_log ' queue alert kind=tls event=raised name=x.unknown.pkix.test '
	relay_stop
	[ "$(stat -c '%a %U' "$RELAY_SPOOL/alerts")" = '600 games' ]
	grep -q '^alert tls x.unknown.pkix.test 1 1 ' "$RELAY_SPOOL/alerts"
	relay_start
	relay_clock_next
	relay_await 60 log_has 1 ' tls-unusable condition=verification domain=x.unknown.pkix.test'
	exactly_mails 1
	# The level is lowered: mail goes, and that is told although it was another process that said it failed.
	relay_stop
	sed -i 's/required-verify$/required/' "$RELAY/conf"
	relay_start
	relay_clock_next
	await_log ' delivered to=u@x.unknown.pkix.test ' 60
	relay_await 20 mails 2
	grep -q 'over: No host has the TLS that is required: x.unknown.pkix.test' "$RELAY/mail/2"
}

# WORD: the password of the credentials `isp`.
password()
{
	(umask 077; echo "isp me $1" > "$RELAY/etc/smtp-relay.credentials")
}

# One whose password is not the one that we have.
smarthost()
{
	mkdir -p etc
	castore -d etc import "$LAB_CERTS/ca/cert.pem"
	castore -d etc disable system
	password wrong
	SMARTHOST_PORT=$(relay_free_port)
	"$BATS_TEST_DIRNAME/lab/hop" -c "$LAB_CERTS/good" -a me:right -t 1 hop.log "127.0.0.25@$SMARTHOST_PORT" \
	    < /dev/null > hop.out 2>&1 3>&- &
	SINK_PIDS+=($!)
	relay_await 20 grep -qs '^ready' hop.out
}

@test "a smarthost refuses the password: one alert of kind auth for all its mail; put right: told once" {
	smarthost
	write_hook
	alerting_relay "route default mx.good.test@$SMARTHOST_PORT credentials isp" "alert-hook $RELAY/hook" "alert-user daemon"
	mail_to u@x.test
	# Not for now is no refusal.
	await_log 'not-delivered domain=.* host=mx.good.test .*rule="RFC 4954 6" .*454'
	run ! log_says 'condition=.*454'
	await_log 'not-delivered condition=password domain=.* host=mx.good.test .*rule="RFC 4954 6" .*535'
	mail_to u@y.test
	await_log 'alert kind=auth event=raised name=isp .*reason="mx.good.test \(127.0.0.25\): AUTH answered with: 535 '
	relay_await 20 mails 1
	has_lines mail/* 'Subject: relay.example: No host takes the password of a route: isp$' '  reason     mx.good.test \(127.0.0.25\):' \
	    "  to see it  smtp-relay -c $RELAY/conf -e postmaster@example.org\$"
	run -0 bash -c "$(tr -d '\r' < mail/* | sed -n 's/^  to see it  //p')"
	[[ $output == *'AUTH with credentials isp'* ]] || { echo "$output"; return 1; }
	# Not that of a domain, and not that of TLS.
	run ! log_says 'tls-unusable|alert kind=(tls|dane)'
	relay_await 20 hook_ran 1
	has_lines ran/* 'args 3\|auth\|isp\|raised$' 'kind auth$' 'name isp$'
	password right
	kill -HUP "$RELAY_PID"
	await_log 'master reloaded'
	await_log 'delivered to=u@x.test'
	await_log 'delivered to=u@y.test'
	await_log 'alert kind=auth event=recovered name=isp' 30
	relay_await 20 mails 2
	exactly_mails 2
}

@test "credentials that no route has any more are not told of as bad for ever" {
	smarthost
	alerting_relay "route x.test mx.good.test@$SMARTHOST_PORT credentials isp"
	mail_to u@x.test
	await_log 'alert kind=auth event=raised name=isp'
	sed -i '/^route x.test/d' conf
	kill -HUP "$RELAY_PID"
	await_log 'master reloaded'
	await_log 'alert kind=auth event=recovered name=isp' 30
}

@test "a message that sets DANE aside ends no alert, and what one alone requires raises none" {
	alerting_relay
	sed -i "s/^listen in .*/& tls preferred/" "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	relay_await 10 log_has 1 'master reloaded'
	mail_to u@wrong.test
	relay_await 20 mails 1
	printf 'From: <a@good.test>\r\nTLS-Required: No\r\nSubject: x\r\n\r\nx\r\n' > message
	mailer send -f message "$RELAY_PORT" a@good.test v@wrong.test > sent
	await_log "$(cut -d' ' -f1 sent) delivered to=v@wrong.test"
	# REQUIRETLS: there is no trusted CA, and the sender is told.
	run say "$RELAY_PORT" = 'EHLO c.example\r\n' = 'STARTTLS\r\n' = tls 'EHLO c.example\r\n' = \
	    'MAIL FROM:<a@good.test> REQUIRETLS\r\n' = 'RCPT TO:<u@unsigned.test>\r\n' = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	[ "${lines[0]}" = "220 250 220 250 250 250 354 250 221 closed" ]
	await_log ' tls-unusable condition=verification domain=unsigned.test .*wanted=pkix'
	await_log ' failed to=u@unsigned.test reason="5.7.30 '
	sleep 3
	relay_logs 1 ' queue alert '
	exactly_mails 1
}

@test "an alert whose own mail cannot go raises nothing more, and is no bounce" {
	relay_conf_to_lab 'alert ops@wrong.test nobody@null-mx.test' 'alert-interval 10s' 'destination no-starttls.plain.test tls required'
	relay_start
	mail_to u@no-starttls.plain.test
	await_log ' queue alert kind=tls event=raised name=no-starttls.plain.test .*as=[0-9A-Za-z]{14}'
	ID=$(sed -n 's/.* event=raised .* as=\([^ ]*\) .*/\1/p' "$RELAY_LOG")
	await_log "$ID tls-unusable condition=verification domain=wrong.test"
	await_log "$ID failed to=nobody@null-mx.test"
	await_log "$ID double-bounce "
	relay_await 60 log_has 3 "$ID tls-unusable "
	run ! log_says ' queue alert .*wrong.test'
	run ! log_says ' bounced '
	relay_logs 1 ' queue alert '
}

@test "an identity nears its end: told, once a day, and at once when it is over; a new one and SIGHUP: recovered" {
	mkcert -d "$RELAY/etc" -n mine --days 20 relay.example > /dev/null
	relay_with_clock
	alerting_relay "listen tls 127.0.0.1@$RELAY_PORT2 type private tls preferred cert mine"
	relay_clock +5d
	sleep 2
	exactly_mails 0
	relay_clock +36h
	relay_await 20 mails 1
	has_lines "$RELAY"/mail/1 'Subject: relay.example: An identity in use nears its end: mine$' \
	    '  reason     its certificate, or one of its chain, ends at$' '             20[0-9TZ:-]*; used by listener tls$' \
	    "  to see it  certstore -d $RELAY/etc --within 14d check mine\$"
	run -1 "${RELAY_AT[@]}" "$BIN/certstore" -d "$RELAY/etc" --within 14d check mine
	await_log ' queue alert kind=identity event=raised name=mine '
	relay_clock +23h
	sleep 2
	exactly_mails 1
	relay_clock +2h
	relay_await 20 mails 2
	grep -q 'still: An identity in use nears its end: mine' "$RELAY/mail/2"
	relay_clock +295h
	relay_await 20 mails 3
	relay_clock +6h
	relay_await 20 mails 4
	grep -q 'still: An identity in use nears its end: mine' "$RELAY/mail/4"
	grep -q ' ended at' "$RELAY/mail/4"
	mkcert -d "$RELAY/etc" -f -n mine --days 200 relay.example > /dev/null
	kill -HUP "$RELAY_PID"
	relay_await 20 mails 5
	grep -q 'over: An identity in use nears its end: mine' "$RELAY/mail/5"
}

@test "what nobody uses, and the demonstration identity, which is made anew by itself, are not told of" {
	mkcert -d "$RELAY/etc" -n mine --days 2 relay.example > /dev/null
	alerting_relay "listen tls 127.0.0.1@$RELAY_PORT2 type private tls preferred cert mine"
	relay_await 20 mails 1
	sed -i 's/ cert mine$//' "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	relay_await 10 log_has 1 'master reloaded'
	relay_await 20 mails 2
	grep -q 'over: An identity in use nears its end: mine' "$RELAY/mail/2"
	[ -e "$RELAY/etc/certs/_demo" ]
	sleep 2
	exactly_mails 2
}

@test "what lasts is told once a day until it bounces, whatever the number of tries" {
	local i
	RELAY_RETRY=1h
	relay_with_clock
	start_sink 127.0.0.1 "$RELAY_PORT2" mail
	relay_conf_to_lab 'alert ops@alerts.test' "route alerts.test 127.0.0.1@$RELAY_PORT2" 'destination .plain.test tls required'
	relay_start
	mail_to u@no-starttls.plain.test
	relay_await 20 log_says ' waits '
	relay_clock +31s
	relay_await 20 mails 1
	for ((i = 0; i < 30; i++)); do
		relay_clock_next || break
		! log_says "$ID bounced" || break
	done
	await_log "$ID bounced"
	relay_await 10 log_has 7 "$ID tls-unusable condition=no-starttls"
	i=$(find "$RELAY/mail" -type f | wc -l)
	[ "$i" -ge 3 ] && [ "$i" -le 6 ] || { echo "$i mails in 5 days"; return 1; }
	[ "$(cat "$RELAY"/mail/* | grep -c '^still: No host has the TLS')" -eq $((i - 1)) ]
}

@test "a resolver that strips DNSSEC: an alert of kind dnssec; and its end" {
	write_hook
	relay_conf_to_lab 'alert-interval 10s' "alert-hook $RELAY/hook" 'alert-user daemon'
	sed -i "s/^resolver .*/resolver $LAB_DNS_STRIP/" "$RELAY/conf"
	relay_start
	mail_to u@good.test
	await_log ' queue alert kind=dnssec event=raised seen=1 reason="the resolver strips DNSSEC: '
	relay_await 20 hook_ran 1
	has_lines "$RELAY"/ran/* 'args 3\|dnssec\|\|raised$' 'name ""$' "command tlscheck%20-c%20$RELAY/conf%20good.test\$"
	sed -i "s/^resolver .*/resolver $LAB_DNS/" "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	await_log ' delivered to=u@good.test ' 60
	await_log ' queue alert kind=dnssec event=recovered '
	relay_await 20 hook_ran 2
}

@test "a storm: hundreds of failures of 70 domains are few mails, which name 50 and count the others" {
	local i n rcpts=()
	write_hook
	start_sink 127.0.2.24 "$LAB_PORT" dest
	alerting_relay 'destination .many.test tls required' "alert-hook $RELAY/hook" 'alert-user daemon'
	sed -i 's/^alert-interval .*/alert-interval 10m/' "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	relay_await 10 log_has 1 'master reloaded'
	for ((i = 0; i < 210; i++)); do rcpts+=("u@d$((i % 70)).many.test"); done
	mail_to "${rcpts[@]}"
	relay_await 60 log_has 300 ' tls-unusable condition=no-starttls domain=d[0-9]*.many.test'
	relay_await 60 mails 1
	n=$(find "$RELAY/mail" -type f | wc -l)
	[ "$n" -le 3 ] || { echo "$n mails"; return 1; }
	[ "$(cat "$RELAY"/mail/* | grep -c '^No host has the TLS that is required: d')" -ge 50 ]
	grep -qE '^  tls        [567][0-9] new, 0 that last, 0 over' "$RELAY/mail/1"
	has_lines "$RELAY"/mail/1 'Subject: relay.example: alerts: [567][0-9] new, 0 that last, 0 over$' 'The first 50 of [567][0-9] stand here'
	[ "$(grep -c '^No host has' "$RELAY/mail/1")" -eq 50 ]
	await_log ' queue alerts-more not-named='
	relay_await 60 grep -qlrs '^args 3|tls||more$' "$RELAY/ran"
	n=$(find "$RELAY/ran" -type f | wc -l)
	[ "$n" -ge 51 ] && [ "$n" -le 72 ] || { echo "$n runs"; return 1; }
	[ -z "$(find "$RELAY_SPOOL/queue" -name '*,alerts.test')" ]
}

@test "what a remote host says is inert wherever it is told: log, mail, hook" {
	write_hook
	scripted 127.0.2.24 "$LAB_PORT" '220 x ESMTP\r\n' '250-x\r\n250 STARTTLS\r\n' \
	    '454-4.7.0 $(touch owned) `touch owned`; \x1b[31m\x07\x80 %0aevent%20evil "\r\n454 4.7.0 kind tls\r\n' '221 x\r\n' \
	    </dev/null >scripted.log 2>&1 3>&- &
	SINK_PIDS+=($!)
	alerting_relay 'destination .many.test tls required' "alert-hook $RELAY/hook" 'alert-user daemon'
	mail_to u@x.many.test
	await_log "$ID tls-unusable condition=starttls-refused domain=x.many.test"
	relay_await 20 mails 1
	relay_await 20 hook_ran 1
	cat mail/1 ran/* "$RELAY_LOG" > all
	run ! grep -aP '[^\x20-\x7e\t\r]' all
	[ "$(grep -c 'touch owned' mail/1)" -ge 1 ]
	[ "$(grep -cE '^(event|kind) ' ran/*)" -eq 2 ]
	grep -q '^event raised$' ran/*
	grep -qE '^reason .*%22' ran/*
	[ ! -e owned ] && [ ! -e ran/owned ] && [ ! -e /owned ]
}

# ---- the hook ----

@test "kill -9 of the hook: it alone is started again, its program ends with it, and is run once more; mail goes on" {
	local first second
	write_hook 'echo $$ >> '"$RELAY"'/ran/pids; [ $(wc -l < '"$RELAY"'/ran/pids) -ge 2 ] || exec sleep 600'
	RELAY_MAY_DIE=1
	relay_conf_to_lab 'alert-interval 10s' "alert-hook $RELAY/hook" 'alert-user daemon'
	relay_start
	mail_to u@wrong.test
	relay_await 20 test -s ran/pids
	first=$(head -n 1 ran/pids)
	relay_await 10 is_sleep "$first"
	kill -KILL "$(relay_role hook)"
	relay_await 10 log_says ' role-died role=hook pid=[0-9]* how="signal 9"'
	relay_await 10 is_gone "$first"
	await_log ' hook hook-ran kind=dane name=wrong.test event=raised how="status 0"'
	[ "$(wc -l < ran/pids)" -eq 2 ]
	mail_to u@good.test
	await_log "$ID delivered to=u@good.test"
	relay_logs 1 ' role-died '
}

is_sleep()
{
	[ "$(cat "/proc/$1/comm" 2> /dev/null)" = sleep ]
}

is_gone()
{
	! lab_is_alive "$1"
}

@test "a program that fails, prints much or cannot be run is logged; one that runs at the end is ended" {
	local pid
	write_hook 'head -c 200000 /dev/zero | tr "\0" x; printf "\nodd \"words\"\n" >&2; exit 7'
	relay_conf_to_lab 'alert-interval 10s' "alert-hook $RELAY/hook" 'alert-user daemon' 'destination .plain.test tls required'
	relay_start
	mail_to u@wrong.test
	await_log ' hook hook-ran kind=dane name=wrong.test event=raised how="status 7" seconds=[0-9]* said=x{500}$'
	printf '#!/nowhere\n' > hook.new
	chmod 755 hook.new
	mv hook.new hook
	mail_to u@tls-alert.plain.test
	await_log ' hook hook-ran kind=tls name=tls-alert.plain.test event=raised how="status 127" .* said="No such file'
	write_hook 'trap "" TERM; (trap "" TERM; exec sleep 600) & echo $! > '"$RELAY"'/ran/child; echo $$ > '"$RELAY"'/ran/pid; wait'
	mail_to u@no-starttls.plain.test
	relay_await 30 test -s ran/pid
	pid=$(< ran/child)
	relay_await 10 is_sleep "$pid"
	relay_stop
	is_gone "$(< ran/pid)"
	is_gone "$pid"
	relay_await 10 log_says ' hook hook-ran kind=tls name=no-starttls.plain.test event=raised how="signal 9"'
}

@test "the program can be replaced with SIGHUP; whether there is one, and its user, need a restart" {
	write_hook
	relay_conf_to_lab 'alert-interval 10s' "alert-hook /bin/false" 'alert-user daemon'
	relay_start
	sed -i "s,/bin/false,$RELAY/hook," "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	relay_await 10 log_has 1 'master reloaded'
	mail_to u@wrong.test
	relay_await 20 hook_ran 1
	sed -i 's/^alert-user .*/alert-user nobody/' "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	await_log 'master reload-failed reason="alert-user has another value: that needs a restart"'
	sed -i '/^alert-/d' "$RELAY/conf"
	kill -HUP "$RELAY_PID"
	await_log 'master reload-failed reason="alert-hook has another value: that needs a restart"'
	run ! log_says role-died
}

@test "-n: who is told of what, and what is wrong with that" {
	local row rows=(
		'alert a@b.test|alerts to a@b.test, within 1h not again, of identities 14d before their end'
		'alert-hook /bin/true\nalert-user daemon|alerts by /bin/true as daemon, within'
		'alert a@b.test\nalert c@b.test\nalert-interval 2h\nalert-before 30d|alerts to a@b.test, c@b.test, within 2h not again, of identities 30d'
		'alert postmaster|!alert: expected an @ behind the local part'
		'alert a@b.test a@B.test|!alert: a@B.test is named twice'
		'alert-hook bin/true\nalert-user daemon|!alert-hook: expected an absolute path'
		'alert-hook /bin/true|!alert-hook needs alert-user'
		'alert-hook /bin/true\nalert-user news|!alert-user, user and queue-user must differ'
		'alert-hook /bin/true\nalert-user root|!is root, which no role may be'
		'alert-hook /etc/passwd\nalert-user daemon|!alert-hook: /etc/passwd is not a program'
		'alert-hook /nowhere\nalert-user daemon|!alert-hook: /nowhere: No such file'
		"alert-hook $RELAY/ran/open\nalert-user daemon|!everybody may write to"
		'alert-interval 9s|!alert-interval: expected 10s to 7d'
		'alert-before 366d|!alert-before: expected 0 to 365d'
	)
	touch ran/open
	chmod 777 ran/open
	for row in "${rows[@]}"; do
		printf 'user news\nqueue-user games\nlisten a 127.0.0.1@25 type private\n%b\n' "${row%%|*}" > conf
		run --separate-stderr smtp-relay -n -c conf
		case ${row#*|} in
		!*) [ "$status" -eq 1 ] && [[ $stderr == *"${row#*|!}"* ]] ;;
		*) [ "$status" -eq 0 ] && [ -z "$stderr" ] && [[ $output == *"${row#*|}"* ]] ;;
		esac || { echo "$row: $status $output $stderr"; return 1; }
	done
}

@test "contrib's program hands an alert on as it is, to syslog and a web address" {
	local script=$BATS_TEST_DIRNAME/../contrib/alerts/mtatls-alert
	mkdir fake
	printf '#!/bin/sh\nprintf "%%s\\n" "$@" > logged\n' > fake/logger
	printf '#!/bin/sh\nprintf "%%s\\n" "$@" > fetched; cat > sent\n' > fake/curl
	chmod 755 fake/*
	printf '%s\n' 'kind dane' 'name $(touch%20owned)' 'reason `touch%20owned`' > lines
	PATH=$PWD/fake:$PATH "$script" dane wrong.test raised < lines
	[ ! -e fetched ]
	[ "$(tail -n 1 logged)" = 'raised dane wrong.test: reason `touch%20owned`' ]
	grep -qx 'mail.warning' logged
	PATH=$PWD/fake:$PATH MTATLS_ALERT_URL=https://hook.example/x "$script" dnssec '' recovered < lines
	diff lines sent
	grep -qx 'mail.notice' logged
	[ "$(tail -n 1 fetched)" = https://hook.example/x ]
	[ ! -e owned ]
	run -2 "$script" < lines
}
