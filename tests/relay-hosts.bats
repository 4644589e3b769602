#!/usr/bin/env bats
# Who may do what with smtp-relay, and how much: names and options of the host table, limits of clients and of all,
# listed recipients; the table of who may relay (relay-access.rows).
# shellcheck disable=SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

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
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
}

teardown()
{
	relay_end
}

MAIL='MAIL FROM:<a@client.example>\r\n'
RCPT='RCPT TO:<user@relay.example>\r\n'
OTHER='RCPT TO:<user@other.test>\r\n'

# LINE…: a relay that asks the lab's DNS, with these lines.
start_with()
{
	relay_conf "anchor $LAB_ANCHOR" "resolver $LAB_DNS" "$@"
	relay_start
}

# ADDR WORD…: what a client from there is answered.
from()
{
	local addr=$1
	shift
	say -b "$addr" "$RELAY_PORT" = 'EHLO c.example\r\n' = "$@"
}

# WANT ADDR WORD…
gets()
{
	local want=$1
	shift
	run from "$@"
	[ "$output" = "$want" ] || { echo "$*"; echo "wanted: $want"; echo "got:    $output"; tail -n 5 log; return 1; }
}

# REGEX: is in the log, soon.
logs()
{
	relay_await 10 grep -qE -- "$1" log || { echo "not in the log: $1"; return 1; }
}

# ---- names ----

@test "a name counts where its address records have the client" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    'hosts in one.clients.test relay' 'hosts in liar.clients.test relay' 'hosts in victim.good.test relay' \
	    'hosts in .sub.clients.test relay' 'hosts in one-more.clients.test relay' 'hosts in 127.9.0.1 accept' \
	    'hosts in 127.9.0.0/16 reject text Not from here' 'hosts in default accept'
	# The address by itself goes before the name, the name before a network.
	gets '220 250 250 550 221 closed' 127.9.0.1 "$MAIL" = "$OTHER" = 'QUIT\r\n'
	gets '220 250 250 250 221 closed' 127.9.0.4 "$MAIL" = "$OTHER" = 'QUIT\r\n'
	gets '220 250 250 250 221 closed' 127.9.0.9 "$MAIL" = "$OTHER" = 'QUIT\r\n'
	# Its forward look-up has another address; or there is none.
	for addr in 127.9.0.2 127.9.0.10 127.9.0.5 127.9.0.7; do
		gets '554 closed' $addr
	done
	gets '220 250 250 550 221 closed' 127.0.0.1 "$MAIL" = "$OTHER" = 'QUIT\r\n'
	run say -l -b 127.9.0.2 "$RELAY_PORT" =
	[ "${lines[0]}" = '554 5.7.1 Not from here' ] || { echo "$output"; false; }
	logs ' connect listener=in client=127.9.0.4 port=[0-9]+ name=four.sub.clients.test hosts=.sub.clients.test action=relay$'
	logs ' connect listener=in client=127.9.0.2 port=[0-9]+ look-up=none hosts=127.9.0.0/16 action=reject$'
	logs ' refused client=127.9.0.2 command=connection code=554 status=5.7.1 reason="Not from here"$'
	run ! grep -P '[^\x20-\x7e]' log
}

@test "a name that cannot be looked up now: come again, where it could allow more" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" 'hosts in three.clients.test relay' \
	    "listen prv 127.0.0.1@$RELAY_PORT2 type private" 'hosts prv eight.clients.test accept'
	gets '220 250 250 250 450 221 closed' 127.9.0.3 "$MAIL" = "$RCPT" = "$OTHER" = 'QUIT\r\n'
	logs ' connect listener=in client=127.9.0.3 port=[0-9]+ look-up=failed$'
	logs ' refused client=127.9.0.3 .*code=450 status=4.7.1 reason="your host name cannot be looked up now; try later"'
	run say -b 127.9.0.8 "$RELAY_PORT2" =
	[ "$output" = '421 closed' ]
	run say -b 127.9.0.5 "$RELAY_PORT2" =
	[ "$output" = '554 closed' ]
}

@test "a look-up that does not end holds the banner up for 5 seconds, and nobody else" {
	local begun=$SECONDS
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" 'hosts in one.clients.test relay' \
	    'hosts in six.clients.test relay' 'hosts in 127.0.0.1 accept'
	# The DNS is silent.
	gets '220 250 250 250 450 221 closed' 127.9.0.6 "$MAIL" = "$RCPT" = "$OTHER" = 'QUIT\r\n'
	# So is route.
	kill -STOP "$(relay_role route)"
	begun=$SECONDS
	from 127.9.0.1 "$MAIL" = "$RCPT" = "$OTHER" = 'QUIT\r\n' > slow 3>&- &
	gets '220 250 221 closed' 127.0.0.1 'QUIT\r\n'
	run ! grep -q 'client=127.9.0.1 ' log
	wait $!
	[ "$(< slow)" = '220 250 250 250 450 221 closed' ] || { cat slow; false; }
	[ $((SECONDS - begun)) -ge 4 ]
	# Who leaves, or talks, before has no session left behind.
	say -b 127.9.0.1 "$RELAY_PORT" + '!' > said
	run say -b 127.9.0.1 "$RELAY_PORT" 'NOOP\r\n' =
	[[ $output == '554 '@(closed|reset) ]] || { echo "$output"; false; }
	relay_await 10 eval '[ "$(grep -c " disconnect client=127.9.0.1 " log)" -eq 3 ]'
	relay_logs 3 ' connect .*client=127.9.0.1 '
	# The answers that come late are nobody's.
	kill -CONT "$(relay_role route)"
	gets '220 250 250 250 221 closed' 127.9.0.1 "$MAIL" = "$OTHER" = 'QUIT\r\n'
}

@test "at the end a client that waits for its name is told, and route may go first" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" 'hosts in one.clients.test relay' \
	    'hosts in 127.0.0.1 accept'
	kill -STOP "$(relay_role route)"
	say -b 127.9.0.1 "$RELAY_PORT" = > waiting 3>&- &
	relay_await 10 eval '[ "$(ss -Htn state established "sport = :$RELAY_PORT" | wc -l)" -ge 1 ]'
	say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'x\r\n' + + + + + + 'y\r\n.\r\n' = > said 3>&- &
	# That one's message has its file once it may send.
	relay_await 10 eval '[ -n "$(ls "$RELAY_SPOOL/new")" ]'
	kill -TERM "$RELAY_PID"
	kill -CONT "$(relay_role route)"
	wait "$RELAY_JOB"
	relay_await 10 grep -q . said
	[[ $(< said) == '220 250 250 250 354 250 '* ]] || { cat said; false; }
	[[ $(< waiting) == '421 '@(closed|reset) ]] || { cat waiting; false; }
	run ! grep -q ' failed ' log
}

@test "client-names: the name in the log, in Received and in the envelope" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public client-names yes domains relay.example"
	gets '220 250 250 250 354 250 221 closed' 127.9.0.1 "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	relayq -s spool cat "$(relay_ids)" | head -n 1 | grep -qF 'Received: from c.example (one.clients.test [127.9.0.1])'
	relayq -s spool show "$(relay_ids)" | grep -q 'one.clients.test'
	relay_forget
	gets '220 250 250 250 354 250 221 closed' 127.9.0.2 "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	run ! grep -rq 'liar' spool/queue
	logs ' connect listener=in client=127.9.0.1 port=[0-9]+ name=one.clients.test$'
}

@test "a name for tcprefuse" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    'hosts in .clients.test tcprefuse' 'hosts in one.clients.test accept'
	gets '220 250 221 closed' 127.9.0.1 'QUIT\r\n'
	run from 127.9.0.4 'QUIT\r\n'
	[[ $output == *reset ]] || { echo "$output"; false; }
	logs ' connect listener=in client=127.9.0.4 .*action=tcprefuse$'
}

# ---- never an open relay ----

# COLUMN ADDR PORT ROWS [WORD…]: every recipient in one session, after these words, compared with that column.
compare_column()
{
	local words=() want=() column=$1 row=() before=("${@:5}") i got first=3
	while IFS=$'\t' read -ra row; do
		words+=("RCPT TO:${row[0]//\\/\\\\}\\r\\n" "=")
		want+=("${row[column]}")
	done < "$4"
	[ ${#want[@]} -gt 80 ]
	for i in "${before[@]}"; do
		[ "$i" != = ] || first=$((first + 1))
	done
	run say -b "$2" "$3" = 'EHLO c\r\n' = "${before[@]}" 'MAIL FROM:<> SMTPUTF8\r\n' = "${words[@]}" 'QUIT\r\n'
	read -ra got <<< "$output"
	[ ${#got[@]} -eq $((${#want[@]} + first + 2)) ] || { echo "$2, $3: $output"; return 1; }
	for ((i = 0; i < ${#want[@]}; i++)); do
		[ "${got[i + first]}" = "${want[i]}" ] ||
		    { echo "$2@$3 ${words[i * 2]}: ${got[i + first]}, not ${want[i]}"; failed=1; }
	done
}

@test "never an open relay: client x recipient x listener" {
	local failed=0 tls right wrong
	right=$(printf '\0ann\0secret' | base64)
	wrong=$(printf '\0ann\0other' | base64)
	grep -v '^#' "$BATS_TEST_DIRNAME/relay-access.rows" > rows
	relay_conf "anchor $LAB_ANCHOR" "resolver $LAB_DNS" 'limit max-errors 10000 max-refused 10000' \
	    "listen pub 127.0.0.1@$RELAY_PORT type public tls preferred auth offered domains relay.example .sub.example bücher.example" \
	    'hosts pub 127.0.2.0/24 accept' 'hosts pub 127.0.3.0/24 relay' 'hosts pub one.clients.test relay' \
	    'hosts pub liar.clients.test relay' 'hosts pub .clients.test accept' \
	    "listen prv 127.0.0.1@$RELAY_PORT2 type private" 'hosts prv 127.0.2.0/24 accept' 'hosts prv 127.0.3.0/24 relay' \
	    'hosts prv four.sub.clients.test relay' 'hosts prv one.clients.test accept'
	echo secret | smtp-relay -c "$RELAY/conf" --passwd ann --pass-file -
	relay_start
	# A stranger, one with accept, one whose name lies, one whose name is accepted.
	for addr in 127.0.0.1 127.0.2.1 127.9.0.2 127.9.0.4; do
		compare_column 1 $addr "$RELAY_PORT" rows
	done
	for addr in 127.0.3.1 127.9.0.1; do
		compare_column 2 $addr "$RELAY_PORT" rows
	done
	for addr in 127.0.2.1 127.9.0.1; do
		compare_column 3 $addr "$RELAY_PORT2" rows
	done
	for addr in 127.0.3.1 127.9.0.4; do
		compare_column 4 $addr "$RELAY_PORT2" rows
	done
	# Who has authenticated may relay, who failed at it is who he was.
	tls=("STARTTLS\\r\\n" "=" tls "EHLO c\\r\\n" "=")
	compare_column 2 127.0.0.1 "$RELAY_PORT" rows "${tls[@]}" "AUTH PLAIN $right\r\n" =
	compare_column 1 127.0.0.1 "$RELAY_PORT" rows "${tls[@]}" "AUTH PLAIN $wrong\r\n" =
	[ $failed -eq 0 ]
	for addr in 127.0.0.1 127.9.0.2; do
		run say -b $addr "$RELAY_PORT2" =
		[ "$output" = '554 closed' ]
	done
}

# ---- options of a line ----

@test "the most specific line says TLS, sizes and numbers; what it leaves open is the listener's" {
	start_with 'limit max-messages 1 max-recipients 3' 'max-size 1M' \
	    "listen in 127.0.0.1@$RELAY_PORT type public tls preferred max-recipients 2 domains relay.example" \
	    'hosts in 127.0.2.0/24 accept tls required' 'hosts in 127.0.3.0/24 accept tls no max-size 64K' \
	    'hosts in 127.0.4.0/24 accept max-recipients 1 max-messages 2'
	gets '220 250 530 221 closed' 127.0.2.1 "$MAIL" = 'QUIT\r\n'
	gets '220 250 220 250 250 221 closed' 127.0.2.1 'STARTTLS\r\n' = tls 'EHLO c\r\n' = "$MAIL" = 'QUIT\r\n'
	gets '220 250 502 552 250 250 250 452 221 closed' 127.0.3.1 'STARTTLS\r\n' = 'MAIL FROM:<> SIZE=65537\r\n' = \
	    'MAIL FROM:<> SIZE=65536\r\n' = "$RCPT" = "$RCPT" = "$RCPT" = 'QUIT\r\n'
	run say -l -b 127.0.3.1 "$RELAY_PORT" = 'EHLO c\r\n' = 'QUIT\r\n'
	[[ $output == *'SIZE 65536'* && $output != *STARTTLS* ]] || { echo "$output"; false; }
	local m=("$MAIL" "=" "$RCPT" "=" 'DATA\r\n' "=" 'x\r\n.\r\n' "=")
	gets '220 250 250 250 354 250 421 closed' 127.0.0.1 "${m[@]}" "$MAIL" =
	gets '220 250 250 250 354 250 250 250 452 354 250 421 closed' 127.0.4.1 "${m[@]}" "$MAIL" = "$RCPT" = "$RCPT" = \
	    'DATA\r\n' = 'x\r\n.\r\n' = "$MAIL" =
	logs ' refused client=127.0.4.1 .*command=RCPT .*code=452 status=4.5.3 '
	logs ' disconnect client=127.0.4.1 end=limit .*too many messages in one session'
}

# ---- limits ----

@test "concurrency of a client, which all workers count" {
	start_with 'workers 4' "listen in 127.0.0.1@$RELAY_PORT type public client-concurrency 3 domains relay.example" \
	    'hosts in 127.0.2.1 accept client-concurrency none'
	mkfifo hold
	smtpload -I 3 127.0.0.1 "$RELAY_PORT" < hold > idle 3>&- &
	exec 8> hold
	relay_await 20 grep -q '^ready 3' idle
	run say "$RELAY_PORT" =
	[ "$output" = '421 closed' ] || { echo "$output"; false; }
	logs ' refused client=127.0.0.1 command=connection code=421 status=4.7.0 reason="too many connections from your address; try later"$'
	gets '220 250 221 closed' 127.0.2.1 'QUIT\r\n'
	gets '220 250 221 closed' 127.0.3.1 'QUIT\r\n'
	exec 8>&-
	wait $!
	relay_await 10 eval '[ "$(grep -c " disconnect client=127.0.0.1" log)" -eq 4 ]'
	gets '220 250 221 closed' 127.0.0.1 'QUIT\r\n'
}

@test "a worker that dies takes its clients' counts with it" {
	RELAY_MAY_DIE=1
	start_with 'workers 1' "listen in 127.0.0.1@$RELAY_PORT type public client-concurrency 2 domains relay.example"
	mkfifo hold
	smtpload -I 2 127.0.0.1 "$RELAY_PORT" < hold > idle 3>&- &
	exec 8> hold
	relay_await 20 grep -q '^ready 2' idle
	run say "$RELAY_PORT" =
	[ "$output" = '421 closed' ]
	kill -KILL "$(relay_role in-1)"
	exec 8>&-
	wait $! || :
	relay_await 20 eval 'say "$RELAY_PORT" = "QUIT\r\n" > said; [ "$(< said)" = "220 221 closed" ]'
}

@test "rates of a client: connections, messages, recipients" {
	local i
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    'hosts in 127.0.2.0/24 accept connection-rate 3/1h' 'hosts in 127.0.3.0/24 accept message-rate 2/1h' \
	    'hosts in 127.0.4.0/24 accept recipient-rate 4/1h'
	for i in 1 2 3; do gets '220 250 221 closed' 127.0.2.1 'QUIT\r\n'; done
	gets '421 closed' 127.0.2.1
	gets '220 250 221 closed' 127.0.2.2 'QUIT\r\n'
	logs ' refused client=127.0.2.1 command=connection code=421 status=4.7.0 reason="your address connects too often; try later"$'
	gets '220 250 250 250 250 221 closed' 127.0.3.1 "$MAIL" = 'RSET\r\n' = "$MAIL" = 'QUIT\r\n'
	gets '220 250 450 221 closed' 127.0.3.1 "$MAIL" = 'QUIT\r\n'
	logs ' refused client=127.0.3.1 .*command=MAIL .*code=450 status=4.7.1 reason="too many messages from your address; try later"$'
	gets '220 250 250 250 250 250 250 450 221 closed' 127.0.4.1 "$MAIL" = "$RCPT" = "$RCPT" = "$RCPT" = "$RCPT" = \
	    "$RCPT" = 'QUIT\r\n'
	logs ' refused client=127.0.4.1 .*command=RCPT .*code=450 status=4.7.1 reason="too many recipients from your address; try later"$'
}

@test "a rate of an hour is not forgotten by SIGHUP, nor by the death of a worker" {
	RELAY_MAY_DIE=1
	start_with 'workers 1' "listen in 127.0.0.1@$RELAY_PORT type public message-rate 2/1h domains relay.example"
	gets '220 250 250 250 250 221 closed' 127.0.2.1 "$MAIL" = 'RSET\r\n' = "$MAIL" = 'QUIT\r\n'
	kill -HUP "$RELAY_PID"
	relay_await 20 grep -q 'retired-ended role=in-1' log
	gets '220 250 450 221 closed' 127.0.2.1 "$MAIL" = 'QUIT\r\n'
	kill -KILL "$(relay_role in-1-1)"
	relay_await 20 eval 'say -b 127.0.2.1 "$RELAY_PORT" = "EHLO c\r\n" = "$MAIL" = "QUIT\r\n" > said; [ "$(< said)" = "220 250 450 221 closed" ]'
}

@test "limits of commands and messages are what the file says" {
	start_with "limit max-errors 3 max-refused 2 max-junk 2 max-line 1000 max-header 16K max-received 10" \
	    "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example"
	gets '220 250 500 500 500 500 421 closed' 127.0.0.1 'FROB\r\n' = 'FROB\r\n' = 'FROB\r\n' = 'FROB\r\n' =2
	gets '220 250 250 550 550 550 421 closed' 127.0.0.1 "$MAIL" = "$OTHER" = "$OTHER" = "$OTHER" =2
	gets '220 250 250 250 250 250 250 421 closed' 127.0.0.1 'NOOP\r\n' = 'NOOP\r\n' = 'NOOP\r\n' = 'NOOP\r\n' = 'NOOP\r\n' =2
	local to=("$MAIL" "=" "$RCPT" "=" 'DATA\r\n' "=")
	{ head -c 998 /dev/zero | tr '\0' a; printf '\r\n.\r\n'; } > fits
	{ head -c 999 /dev/zero | tr '\0' a; printf '\r\n.\r\n'; } > long
	gets '220 250 250 250 354 250 250 250 354 554 221 closed' 127.0.0.1 "${to[@]}" @fits = "${to[@]}" @long = 'QUIT\r\n'
	{ for i in {1..11}; do printf 'Received: from a by b; Sat, 21 Nov 2026 23:38:57 +0000\r\n'; done; printf '\r\n.\r\n'; } > loop
	{ for i in {1..20}; do printf 'X: %0900d\r\n' 1; done; printf '\r\n.\r\n'; } > header
	gets '220 250 250 250 354 554 250 250 354 554 221 closed' 127.0.0.1 "${to[@]}" @loop = "${to[@]}" @header = 'QUIT\r\n'
}

@test "times: a command, a message, a session" {
	start_with "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    'hosts in 127.0.2.1 accept command-time 1s' 'hosts in 127.0.3.1 accept data-time 1s' \
	    'hosts in 127.0.4.1 accept session-time 10s'
	local drip=() begun=$SECONDS
	for i in {1..100}; do drip+=('NOOP\r\n' '=' + +); done
	from 127.0.4.1 "${drip[@]}" > session 3>&- &
	gets '220 250 421 closed' 127.0.2.1 'NO'
	gets '220 250 250 250 354 421 closed' 127.0.3.1 "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x'
	wait $!
	[[ $(< session) == '220 250 250 '*' 250 421 '@(closed|reset) ]] || { cat session; false; }
	[ $((SECONDS - begun)) -ge 9 ]
	relay_logs 2 ' disconnect .* end=timeout '
	logs ' disconnect client=127.0.4.1 end=session-time .*reason="command: the session has lasted too long"'
	logs ' disconnect client=127.0.3.1 end=timeout stage=message '
}

# ---- recipients ----

@test "recipients: who is not in the file is refused at RCPT, postmaster never" {
	printf '%s\n' '# ours' 'User@relay.example' 'with%20space@relay.example' '@all.example' > list
	start_with "recipients $RELAY/list" 'recipient-delimiter +' \
	    "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example all.example" 'hosts in 127.0.2.1 relay'
	relay_says '250 250 250 250 250 250 250 250 550 550 550 221 closed' "$MAIL" = "$RCPT" = \
	    'RCPT TO:<USER@Relay.Example>\r\n' = 'RCPT TO:<user+x@relay.example>\r\n' = \
	    'RCPT TO:<"with space"@relay.example>\r\n' = 'RCPT TO:<who@all.example>\r\n' = 'RCPT TO:<postmaster>\r\n' = \
	    'RCPT TO:<Postmaster@relay.example>\r\n' = 'RCPT TO:<nobody@relay.example>\r\n' = \
	    'RCPT TO:<users@relay.example>\r\n' = "$OTHER" = 'QUIT\r\n'
	logs ' refused .*argument=TO:<nobody@relay.example> code=550 status=5.1.1 reason="no such recipient here"$'
	logs ' refused .*argument=TO:<user@other.test> code=550 status=5.7.1 '
	# Who may relay is told too: mail for our domains comes here anyway.
	gets '220 250 250 250 550 221 closed' 127.0.2.1 "$MAIL" = "$OTHER" = 'RCPT TO:<nobody@relay.example>\r\n' = 'QUIT\r\n'
}

@test "recipients: read anew at SIGHUP; a file with errors changes nothing" {
	echo 'user@relay.example' > list
	start_with "recipients $RELAY/list" "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example"
	relay_says '250 550 221 closed' "$MAIL" = 'RCPT TO:<new@relay.example>\r\n' = 'QUIT\r\n'
	echo 'new@relay.example' >> list
	kill -HUP "$RELAY_PID"
	relay_await 20 eval 'say "$RELAY_PORT" = "EHLO c\r\n" = "$MAIL" = "RCPT TO:<new@relay.example>\r\n" = "QUIT\r\n" > said; [ "$(< said)" = "220 250 250 250 221 closed" ]'
	printf 'bad\nbad\n' >> list
	kill -HUP "$RELAY_PID"
	logs "reload-failed reason=\"$RELAY/conf:[0-9]*: recipients: $RELAY/list:3: expected user@domain or @domain, not .*bad.* \\(errors: 2\\)\"\$"
	relay_says '250 250 221 closed' "$MAIL" = 'RCPT TO:<new@relay.example>\r\n' = 'QUIT\r\n'
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"$RELAY/list:3: expected user@domain"* ]]
}

@test "100000 recipients: quickly read, the last as quickly found" {
	seq -f 'user%.0f@relay.example' 100000 > list
	start_with "recipients $RELAY/list" "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example"
	relay_says '250 250 250 550 221 closed' "$MAIL" = 'RCPT TO:<user1@relay.example>\r\n' = \
	    'RCPT TO:<user100000@relay.example>\r\n' = 'RCPT TO:<user100001@relay.example>\r\n' = 'QUIT\r\n'
}

# ---- -n ----

@test "-n prints the table, the limits and the recipients" {
	echo 'user@relay.example' > list
	relay_conf "recipients $RELAY/list" 'recipient-delimiter +' 'limit max-errors 5 message-rate 60/1h' \
	    'listen in 127.0.0.1@25 type public client-names yes connection-rate 9 domains relay.example' \
	    'hosts in .Bücher.example relay max-size 1M client-concurrency none' 'hosts in 10.0.0.0/8 reject text no, thanks'
	run -0 --separate-stderr smtp-relay -n -c conf
	[ -z "$stderr" ]
	for line in 'limits: max-errors 5, message-rate 60/1h' "recipients in $RELAY/list, extensions behind +" \
	    'listener in on 127.0.0.1@25: public, tls no, 1000 sessions, backlog 511, client names, client-concurrency 100, connection-rate 9/1m' \
	    '    hosts .xn--bcher-kva.example: relay, max-size 1048576, client-concurrency none' \
	    '    hosts 10.0.0.0/8: reject, text "no, thanks"'; do
		grep -qxF -- "$line" <<< "$output" || { echo "$output"; echo "missing: $line"; false; }
	done
}

@test "what a line of the table or a limit may not be" {
	local row
	while IFS='|' read -r row want; do
		relay_conf "listen in 127.0.0.1@25 type public domains relay.example" "$row"
		run -1 --separate-stderr smtp-relay -n -c conf
		[[ $stderr == *"conf:8: $want"* ]] || { echo "$row: $stderr"; false; }
	done <<- 'END'
		hosts in default accept tls required|hosts: tls required on a listener with tls no
		hosts in default accept client-cert required|hosts: client-cert required beside tls no
		hosts in 10.0.0.1/8 accept|hosts: 10.0.0.1/8 has bits behind its prefix
		hosts in host accept|hosts: expected an address, a network, a host name, .domain or default, not "host"
		limit max-frob 3|limit: there is no limit "max-frob"
		limit max-errors 3 max-junk|limit: no value behind "max-junk"
		limit max-errors 3 max-errors 4|limit: max-errors is given twice
		limit max-errors x|limit: max-errors
		recipients relative|recipients: expected an absolute path, not "relative"
		recipient-delimiter ++|recipient-delimiter: expected one of + - _ = # ~, not "++"
		recipient-delimiter @|recipient-delimiter: expected one of
	END
	relay_conf 'listen in 127.0.0.1@25 type public domains relay.example' 'hosts in a.example accept' 'hosts in A.EXAMPLE reject'
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *'conf:9: hosts: a second line for the same hosts'* ]]
	relay_conf 'limit max-size 1M' 'listen in 127.0.0.1@25 type public domains relay.example' 'max-size 2M'
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *'conf:9: max-size is given twice'* ]] || { echo "$stderr"; false; }
}
