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

# LINE…: a relay for the test's own mail, with a dead host for dead.test, and a sink that takes what is for sender.test.
start()
{
	printf '%s\n' "hostname relay.example" "dir $RELAY/etc" "spool $RELAY_SPOOL" "user news" "queue-user games" \
		"listen in 127.0.0.1@$RELAY_PORT type private" "hosts in 127.0.0.0/8 relay" \
		"route dead.test 127.0.0.1@$RELAY_PORT2" "route sender.test 127.0.0.1@$SINK_PORT" "$@" > "$RELAY/conf"
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
	start
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
