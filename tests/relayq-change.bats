#!/usr/bin/env bats
# relayq changes a spool: through the running relay, beside its deliveries, and without one; and what a relay bears
# on its control socket.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
}

teardown()
{
	relay_end
}

# RCPT…: queues a message to each; IDS has theirs in order.
queue_up()
{
	mailer send "$RELAY_PORT" a@c.example "$@" > "$RELAY/sent"
	mapfile -t IDS < <(cut -d' ' -f1 "$RELAY/sent")
}

q()
{
	run --separate-stderr relayq -c "$RELAY/conf" "$@"
}

# FOLDER: IDs in it.
ids_in()
{
	local f
	for f in "$RELAY_SPOOL/$1"/*; do
		[ ! -e "$f" ] || { f=${f##*/}; echo "${f:0:14}"; }
	done | sort
}

# The life of messages, with a relay or without: hold, release, retry, delete.
change_all()
{
	q hold "${IDS[0]}" "${IDS[1]}"
	[ "$status" -eq 0 ]
	[ "$output" = "${IDS[0]} hold ok"$'\n'"${IDS[1]} hold ok" ] || { echo "$output $stderr"; return 1; }
	[ "$(ids_in hold)" = "$(printf '%s\n' "${IDS[@]:0:2}" | sort)" ]
	q hold "${IDS[0]}"
	[ "$status" -eq 1 ]
	[[ $stderr == *"${IDS[0]}: it is in hold/"* ]]
	q release "${IDS[2]}"
	[ "$status" -eq 1 ]
	[ "$stderr" = "relayq: ${IDS[2]}: it is in queue/, not held" ]
	for verb in hold release retry delete; do
		q $verb --destination nothere.test
		[ "$status" -eq 1 ]
		[[ $stderr == 'relayq: nothere.test: nothing matched'* ]] || { echo "$verb: $stderr"; return 1; }
	done
	q -j release "${IDS[0]}"
	[ "$output" = "{\"id\":\"${IDS[0]}\",\"change\":\"release\",\"answer\":\"ok\",\"error\":null}" ] || { echo "$output"; return 1; }
	ids_in queue | grep -qx "${IDS[0]}"
	q retry "${IDS[0]}"
	[ "$status" -eq 0 ]
	q delete "${IDS[1]}"
	[ "$status" -eq 0 ]
	[ -z "$(ids_in hold)" ]
	q delete "${IDS[1]}"
	[ "$status" -eq 1 ]
	q delete --destination SUB.relay.example
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	q hold --all
	[ "$status" -eq 0 ]
	[ -z "$(ids_in queue)" ]
	q release --all
	[ -z "$(ids_in hold)" ] && [ -n "$(ids_in queue)" ]
	q delete --all
	[ "$status" -eq 0 ]
	[ -z "$(ids_in queue)" ]
	q delete --all
	[ "$status" -eq 1 ] && [ "$stderr" = 'relayq: --all: nothing matched' ]
}

@test "with a relay" {
	relay_start
	queue_up u@relay.example v@relay.example w@relay.example
	relay_conf_has_sub
	change_all
	relay_await 10 grep -q "${IDS[0]} told to=hold answer=ok" "$RELAY_LOG"
}

@test "a copy in hold/ of a message that is in the queue stays there" {
	relay_start
	queue_up u@relay.example
	cp -p "$RELAY_SPOOL/queue/${IDS[0]}",* "$RELAY_SPOOL/hold/${IDS[0]},5,relay.example"
	q release --all
	[ "$status" -eq 2 ]
	[[ $stderr == *"${IDS[0]}: another message in queue/ has its ID"* ]] || { echo "$output $stderr"; return 1; }
	relay_await 10 grep -q "${IDS[0]} told to=release answer=failed reason=\"another message" "$RELAY_LOG"
	[ "$(ids_in hold)" = "${IDS[0]}" ]
	[ "$(ids_in queue)" = "${IDS[0]}" ]
}

# A message to a domain of its own, for --destination; the listener takes .sub.example, so "sub.relay.example" is a route.
relay_conf_has_sub()
{
	relay_stop
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example sub.relay.example"
	relay_start
	mailer send "$RELAY_PORT" a@c.example x@sub.relay.example > /dev/null
}

@test "without one" {
	relay_start
	queue_up u@relay.example v@relay.example w@relay.example
	relay_conf_has_sub
	relay_stop
	change_all
}

@test "while another changes it, without a relay" {
	relay_start
	queue_up u@relay.example
	relay_stop
	flock -F "$RELAY_SPOOL" sleep 100 3>&- &
	pid=$!
	relay_await 10 is_locked
	q hold "${IDS[0]}"
	kill $pid
	[ "$status" -eq 1 ]
	[[ $stderr == *"another process works on this spool"* ]] || { echo "$stderr"; false; }
}

is_locked()
{
	! flock -n "$RELAY_SPOOL" true
}

@test "usage" {
	relay_start
	for args in hold 'hold --all X' 'hold --all --destination x' 'list --all' 'hold --destination' 'delete --destination a..b'; do
		# shellcheck disable=SC2086
		q $args
		[ "$status" -eq 2 ] || { echo "$args: $status $output"; return 1; }
	done
}

@test "stat counts by destination, from the names alone" {
	relay_start
	queue_up u@relay.example v@relay.example w@a.sub.example
	mailer send -o "$RELAY_PORT" a@c.example u@relay.example w@a.sub.example > /dev/null
	q hold "${IDS[1]}"
	q stat
	[ "$status" -eq 0 ]
	printf '%s\n' "${lines[@]:1}" | awk '{ print $1, $2, $NF }' > got
	printf '%s\n' 'queue 1 (several)' 'queue 1 a.sub.example' 'queue 1 relay.example' 'hold 1 relay.example' > want
	diff want got
	q -j stat
	[ "$(printf '%s\n' "${lines[@]}" | jq -r '[.folder, .domain, .messages] | @tsv' | head -n 1)" = "queue		1" ]
}

@test "a message that is being delivered is held, or deleted, behind its try" {
	cat > sink.py <<-'END'
		import socket, sys, time
		s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(5)
		while True:
		    c, _ = s.accept()
		    time.sleep(3)
		    c.sendall(b"421 4.3.2 not now\r\n")
		    c.close()
	END
	port=$(relay_free_port)
	python3 sink.py "$port" 3>&- &
	sink=$!
	relay_await 10 sink_listens "$port"
	RELAY_DELIVER=yes relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example sub.example" \
	    "route default 127.0.0.1@$port" 'retry 1s'
	relay_start
	queue_up u@relay.example w@sub.example x@relay.example
	q hold "${IDS[0]}"
	q delete "${IDS[1]}"
	# What was wished of it can be taken back until then, and of the others nothing is.
	q hold "${IDS[2]}"
	q release "${IDS[2]}"
	[ "$status" -eq 0 ]
	[ "$output" = "${IDS[2]} release ok" ]
	q release "${IDS[2]}"
	[ "$status" -eq 1 ]
	[[ $stderr == *"it is in queue/, not held"* ]]
	kill $sink
	relay_await 10 grep -q "${IDS[1]} told to=delete answer=later" "$RELAY_LOG"
	relay_await 20 grep -q "${IDS[0]} held" "$RELAY_LOG"
	relay_await 20 grep -q "${IDS[1]} removed" "$RELAY_LOG"
	relay_await 20 grep -q "${IDS[2]} waits" "$RELAY_LOG"
	[ "$(ids_in hold)" = "${IDS[0]}" ]
	[ "$(ids_in queue)" = "${IDS[2]}" ]
}

# PORT: without a connection, which would keep the sink busy.
sink_listens()
{
	ss -Hltn "sport = :$1" | grep -q .
}

@test "nobody else may ask, and garbage is borne" {
	relay_start
	queue_up u@relay.example
	[ "$(stat -c '%a %U' "$RELAY_SPOOL/control")" = "600 games" ]
	run ! su -s /bin/sh news -c "$BIN/relayq -s $RELAY_SPOOL hold ${IDS[0]}"
	python3 - "$RELAY_SPOOL/control" <<-'END'
		import os, random, socket, sys
		random.seed(1)
		held = []
		for i in range(60):
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		    s.connect(sys.argv[1])
		    s.settimeout(5)
		    for text in (b"", b"hold", b"hold x y", b"hold " + b"/" * 300, b"delete ../queue/x", b"%00 %zz",
		        os.urandom(random.randrange(1, 2000)), b"x" * 100000):
		        try:
		            s.send(text)
		        except OSError:
		            break
		    if i % 5 == 0 and len(held) < 10:
		        held.append(s)
		    else:
		        s.close()
	END
	q hold "${IDS[0]}"
	[ "$status" -eq 0 ] || { echo "$stderr"; false; }
	run ! grep -q role-died "$RELAY_LOG"
}

# Its answers would lie in the queue's memory: it is read no more until it reads.
@test "who asks without end and reads nothing has to wait, others do not" {
	relay_start
	queue_up u@relay.example
	mkfifo go
	python3 - "$RELAY_SPOOL/control" "${IDS[0]}" > asked 3>&- <<-'END' &
		import select, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		s.setblocking(False)
		sent = 0
		while sent < 50000:
		    try:
		        s.send(b"retry x%d" % sent)
		        sent += 1
		    except BlockingIOError:
		        if not select.select([], [s], [], 3)[1]:
		            break
		print("sent", sent, flush=True)
		open("go").read()
		answers = 0
		while answers < sent and select.select([s], [], [], 20)[0]:
		    answers += s.recv(2000).startswith(b"failed ")
		print("answers", answers, flush=True)
	END
	relay_await 60 grep -q '^sent' asked
	[ "$(cut -d' ' -f2 asked)" -lt 5000 ] || { cat asked; return 1; }
	q hold "${IDS[0]}"
	[ "$status" -eq 0 ]
	: > go
	wait $!
	[ "$(sed -n 's/^sent //p' asked)" = "$(sed -n 's/^answers //p' asked)" ] || { cat asked; return 1; }
}
