#!/usr/bin/env bats
# smtp-relay, an out or a sign that lives and does not do its work: it is killed, another takes its place, the mail goes on.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
	mkdir -p "$RELAY/etc" "$RELAY/sink"
	PIDS=() STOPPED=''
	SINK_PORT=$(relay_free_port)
	mailer sink -s "$RELAY/sink" "$RELAY/taken" 127.0.0.1 "$SINK_PORT" </dev/null >"$RELAY/sink.log" 2>&1 3>&- &
	PIDS+=($!)
	relay_await 10 sink_listens
	RELAY_MAY_DIE=1
	relay_with_clock
}

teardown()
{
	local status=0
	[ -z "$STOPPED" ] || kill -CONT "$STOPPED" 2>/dev/null || :
	relay_end || status=1
	kill "${PIDS[@]}" 2>/dev/null || :
	return $status
}

sink_listens()
{
	(exec 9<>"/dev/tcp/127.0.0.1/$SINK_PORT") 2>/dev/null
}

# [LINE…]: one out, all mail goes to the sink.
conf()
{
	RELAY_DELIVER=yes relay_conf "listen in 127.0.0.1@$RELAY_PORT type private" 'hosts in 127.0.0.0/8 relay' 'workers 1' 'delay-notice no' \
	    "route default 127.0.0.1@$SINK_PORT" "$@"
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# ROLE
freeze()
{
	STOPPED=$(relay_role "$1")
	kill -STOP "$STOPPED"
	relay_await 5 grep -q '^State:.T' "/proc/$STOPPED/status"
}

# STEP TIMES REGEX: time goes on by so much, so many times at most, until the log says so.
until_log()
{
	local i
	for ((i = 0; i < $2; i++)); do
		! log_says "$3" || return 0
		relay_clock "$1"
		sleep 0.2
	done
	relay_await 10 log_says "$3"
}

all_taken()
{
	[ "$(find "$RELAY/sink" -type f | wc -l)" -eq "$1" ] && [ -z "$(ls -A "$RELAY_SPOOL/queue")" ]
}

# COUNT: all of them come, each once.
mail_goes_on()
{
	local i
	for ((i = 0; i < 60; i++)); do
		! all_taken "$1" || break
		relay_clock +5s
		sleep 0.2
	done
	all_taken "$1"
	[ "$(grep -c ' taken ' taken)" -eq "$1" ]
}

@test "an out that stands still is killed, and what it had goes by another: all of it, and once" {
	local n
	conf
	relay_start
	freeze out-1
	mailer send "$RELAY_PORT" a@x.test u@a.test v@b.test w@c.test > sent
	until_log +100s 40 ' queue worker-cut out=[0-9]* reason="it has answered nothing for [0-9]* seconds"'
	relay_await 20 log_says 'master role-died role=out-1 pid='"$STOPPED"' how="signal 9"'
	mail_goes_on 3
	# One that is idle for long, and one that works, are left alone.
	n=$(grep -c worker-cut "$RELAY_LOG")
	for _ in {1..20}; do
		relay_clock +100s
		sleep 0.05
	done
	mailer send "$RELAY_PORT" a@x.test u@a.test > sent
	mail_goes_on 4
	relay_logs "$n" worker-cut
}

@test "an out that reads and answers, and ends nothing" {
	local status=0 i
	conf
	relay_start
	freeze out-1
	puppet "$STOPPED" journal switched </dev/null > puppet.out 2>&1 3>&- &
	PIDS+=($!)
	for ((i = 0; i < 200; i++)); do
		! grep -q '^ready' puppet.out || break
		kill -0 "${PIDS[-1]}" 2>/dev/null || { wait "${PIDS[-1]}" || status=$?; break; }
		sleep 0.05
	done
	[ $status -ne 77 ] || { unset 'PIDS[-1]'; skip "no pidfd_getfd here"; }
	mailer send "$RELAY_PORT" a@x.test u@a.test v@b.test > sent
	relay_await 20 eval '[ "$(grep -c ^deliver puppet.out)" -eq 2 ]'
	# Its server may take long for each reply.
	until_log +1h 5 never || :
	run ! log_says worker-cut
	until_log +1h 30 ' queue worker-cut out=[0-9]* reason="it has had an order for [0-9A-Za-z]* for [0-9]* seconds"'
	grep -q '^journal' puppet.out
	relay_await 20 log_says 'master role-died role=out-1 .*how="signal 9"'
	# The puppet has an end of the socket still, as a child of the out would: that is no matter for long.
	until_log +100s 20 'delivered to=u@a.test'
	mail_goes_on 2
}

@test "a sign that stands still is killed, and the mail is signed by another" {
	openssl genpkey -algorithm ed25519 -out ed.pem
	chmod 600 ed.pem
	conf "dkim x.test ed $RELAY/ed.pem"
	relay_start
	freeze sign
	printf 'From: a@x.test\r\nSubject: x\r\n\r\nx\r\n' > message
	mailer send -f message "$RELAY_PORT" a@x.test u@a.test v@b.test > sent
	until_log +100s 40 ' queue worker-cut sign=[0-9]* reason="it has answered nothing for [0-9]* seconds"'
	relay_await 20 log_says 'master role-died role=sign pid='"$STOPPED"' how="signal 9"'
	mail_goes_on 2
	[ "$(grep -l '^DKIM-Signature' sink/* | wc -l)" -eq 2 ]
}
