#!/usr/bin/env bats
# smtp-relay's schedule and what it keeps of its next hops: a destination that takes nothing delays no other, TLS
# sessions are resumed where the plan asks the same.  Judged by the order of events, never by times.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay and Postfix work as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_postfix
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
	HOP=
	: "${RELAY_DEAD_MESSAGES:=3000}"
}

teardown()
{
	local status=0
	# The deliveries to who says nothing would be waited for.
	[ -z "$HOP" ] || kill "$HOP"
	relay_end || status=1
	return $status
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# REGEX COUNT: so many lines at least.
log_has()
{
	[ "$(grep -cE -- "$1" "$RELAY_LOG")" -ge "$2" ]
}

# RCPT…: a message to each.
mail_to()
{
	mailer send "$RELAY_PORT" a@good.test "$@" > sent
}

# A next hop that takes connections and says nothing; a line of `dialled` for each.
start_silent_hop()
{
	HOP_PORT=$(relay_free_port)
	python3 -u -c 'import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(100)
kept = []
print("listens", file=sys.stderr)
while True:
    kept.append(s.accept())
    print("connection")' "$HOP_PORT" > dialled 2> hop.log < /dev/null 3>&- &
	HOP=$!
	relay_await 10 grep -q listens hop.log
}

# Thousands of messages for user@relay.example; COUNT is how many.
fill_queue()
{
	smtpload -c 20 -m 100 -n "$RELAY_DEAD_MESSAGES" -L ledger 127.0.0.1 "$RELAY_PORT" > load.out
	COUNT=$(grep -c '^250' ledger)
	[ "$COUNT" -ge "$RELAY_DEAD_MESSAGES" ]
}

# Messages to twenty that take them: all arrive while the others wait.
others_get_their_mail()
{
	# shellcheck disable=SC2046 # words
	mail_to $(printf 'u%d@good.test ' $(seq 20))
	relay_await 60 log_has ' delivered to=u[0-9]*@good.test ' 20
}

waiting_messages()
{
	relayq -s spool list | grep -c '^[^ ].*relay\.example'
}

@test "thousands of messages for a host that says nothing: it has its places, all others get their mail" {
	start_silent_hop
	relay_conf_to_lab "route relay.example 127.0.0.1@$HOP_PORT"
	relay_start
	fill_queue
	others_get_their_mail
	# Five places at first, which nothing has made more.
	[ "$(wc -l < dialled)" -eq 5 ]
	[ "$(waiting_messages)" -eq "$COUNT" ]
	run ! log_says ' fault | role-died '
	# So many messages are names in memory, and no more: no file of them is open.
	[ "$(find "/proc/$(relay_role queue)/fd" -lname '*/spool/queue/*' | wc -l)" -le 300 ]
	relay_await 20 queue_lets_go
	# After a start, when all are due at once, it is the same.
	kill -KILL "$HOP"
	wait "$HOP" || true
	start_silent_hop
	relay_stop
	relay_conf_to_lab "route relay.example 127.0.0.1@$HOP_PORT"
	relay_start
	: > "$RELAY_LOG"
	others_get_their_mail
	[ "$(waiting_messages)" -eq "$COUNT" ]
	[ "$(wc -l < dialled)" -le 5 ]
}

# Only those that are under way are open.
queue_lets_go()
{
	[ "$(find "/proc/$(relay_role queue)/fd" -lname '*/spool/queue/*' | wc -l)" -le 5 ]
}

@test "thousands of messages for a host that refuses connections: few are tried, all others get their mail" {
	RELAY_RETRY=1h
	relay_conf_to_lab "route relay.example 127.0.0.1@$(relay_free_port)"
	relay_start
	fill_queue
	others_get_their_mail
	tries=$(grep -c 'not-delivered .*domain=\[127\.0\.0\.1\]' "$RELAY_LOG")
	echo "tries: $tries"
	[ "$tries" -ge 1 ]
	# Its first places, and one each time that it wakes, twice a minute.
	[ "$tries" -le 40 ]
	[ "$(waiting_messages)" -eq "$COUNT" ]
	run ! log_says ' fault | role-died '
}

sink_listens()
{
	(exec 9<>"/dev/tcp/127.0.0.1/$HOP_PORT") 2>/dev/null
}

# Every message went, or was put off.
all_were_tried()
{
	[ "$(grep -oE '[0-9A-Za-z]{14} (removed|waits) ' "$RELAY_LOG" | cut -d' ' -f1 | sort -u | wc -l)" -ge "$COUNT" ]
}

@test "a host that closes now and then, at whatever stage: each message is tried all the same, without a pause" {
	HOP_PORT=$(relay_free_port)
	mailer sink -x 1 taken 127.0.0.1 "$HOP_PORT" > hop.log 2>&1 < /dev/null 3>&- &
	HOP=$!
	relay_await 10 sink_listens
	RELAY_RETRY=1h
	relay_conf_to_lab "route relay.example 127.0.0.1@$HOP_PORT"
	relay_start
	RELAY_DEAD_MESSAGES=600
	fill_queue
	relay_await 60 all_were_tried
	# Some were put off, or the host did not do its part.
	relay_await 10 log_says ' waits '
	[ "$(grep -c ' taken ' taken)" -gt 300 ]
	run ! log_says ' fault | role-died '
}

# How many connections Postfix has seen the end of.
ended()
{
	grep -c ' disconnect from ' "$LAB_DIR/postfix/log" || :
}

ended_more_than()
{
	[ "$(ended)" -gt "$1" ]
}

# RCPT: over a connection of its own.
mail_alone()
{
	local before
	before=$(ended)
	mail_to "$1"
	relay_await 20 log_says " delivered to=$1 "
	relay_await 20 ended_more_than "$before"
}

# RCPT: the line about its connection.
connected()
{
	local id
	id=$(sed -nE "s/.* ([0-9A-Za-z]{14}) delivered to=$1 .*/\\1/p" "$RELAY_LOG")
	grep " $id connected " "$RELAY_LOG"
}

@test "a TLS session is resumed, its chain verified all the same; not where the plan asks something else" {
	relay_conf_to_lab "route may.test 127.0.0.25@$LAB_PORT" "route may2.test 127.0.0.25@$LAB_PORT" \
	    "route enc.test 127.0.0.25@$LAB_PORT" 'destination may.test tls preferred dane none' \
	    'destination may2.test tls preferred dane none' 'destination enc.test tls required dane none'
	relay_start
	# One host has one out, so that it is the same process that meets it again.
	mail_alone one@good.test
	mail_alone two@good.test
	connected one@good.test | grep 'reached=AUTH' | grep ' resumed=no'
	connected two@good.test | grep 'reached=AUTH .* tlsa="*3 1 1 ' | grep ' resumed=yes '
	# The same host by its address: no session of the other plan.
	mail_alone one@may.test
	connected one@may.test | grep 'wanted=may reached=ENC' | grep ' resumed=no'
	# Another domain, of which the same is asked.
	mail_alone one@may2.test
	connected one@may2.test | grep 'wanted=may reached=ENC' | grep ' resumed=yes '
	# Encryption is demanded, which makes a plan of its own.
	mail_alone one@enc.test
	connected one@enc.test | grep 'wanted=encrypt reached=ENC' | grep ' resumed=no'
	mail_alone two@enc.test
	connected two@enc.test | grep ' resumed=yes '
}

@test "SIGHUP: no session of before is resumed, for the lists of CAs may be others" {
	relay_conf_to_lab
	relay_start
	mail_alone one@good.test
	kill -HUP "$RELAY_PID"
	relay_await 20 log_says 'master reloaded'
	relay_await 20 log_has 'retired-ended role=out' 2
	mail_alone two@good.test
	connected two@good.test | grep ' resumed=no'
	mail_alone three@good.test
	connected three@good.test | grep ' resumed=yes '
}
