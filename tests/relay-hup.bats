#!/usr/bin/env bats
# SIGHUP: new certificates for new sessions, and none that is open is lost.
# shellcheck disable=SC2034 # for lab/relay.bash

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	mkcert -d etc -n mine relay.example > /dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred cert mine domains relay.example" "workers 2" \
	    "listen plain 127.0.0.1@$RELAY_PORT2 type public tls no domains relay.example"
}

teardown()
{
	relay_end
}

stored() { openssl x509 -in "etc/certs/$1/cert.pem" -noout -fingerprint -sha256; }

# What a new session is shown.
shown()
{
	openssl s_client -connect "127.0.0.1:$RELAY_PORT" -starttls smtp < /dev/null 2> /dev/null |
	    openssl x509 -noout -fingerprint -sha256
}

logged() { grep -q "$@" "$RELAY_LOG"; }

# N: so many lines of it.
logged_times() { [ "$(grep -c "$2" "$RELAY_LOG")" -ge "$1" ]; }

hup()
{
	local n
	n=$(grep -c 'master reload' "$RELAY_LOG" || true)
	kill -HUP "$RELAY_PID"
	relay_await 10 logged_times $((n + 1)) 'master reload'
}

# WANT: the reply that comes on descriptor 5 begins with it.
reply()
{
	local line
	while read -r -t 10 line <&5; do
		[[ "$line" == [0-9][0-9][0-9]-* ]] || break
	done
	[[ "$line" == "$1"* ]] || { echo "wanted $1, got: $line"; return 1; }
}

ask() { printf '%s\r\n' "$1" >&5; reply "$2"; }

retired() { grep -l -- '-old$' /proc/[0-9]*/comm 2> /dev/null | cut -d/ -f3 | while read -r p; do
	tr '\0' ' ' < "/proc/$p/cmdline" | grep -F -q "$RELAY/conf" && echo "$p"; done; }

none_retired() { [ -z "$(retired)" ]; }

@test "a session in the clear goes on to deliver, new ones see the new certificate" {
	relay_start
	[ "$(shown)" = "$(stored mine)" ]
	old=$(stored mine)
	exec 5<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
	reply 220
	ask 'EHLO client.example' 250
	ask 'MAIL FROM:<a@client.example>' 250
	mkcert -d etc -f -n mine relay.example > /dev/null
	[ "$(shown)" = "$old" ]
	hup
	logged 'master reloaded conf='
	[ "$(shown)" = "$(stored mine)" ]
	[ "$(stored mine)" != "$old" ]
	ask 'RCPT TO:<user@relay.example>' 250
	ask DATA 354
	printf 'Subject: over the change\r\n\r\nx\r\n' >&5
	ask . '250 2.0.0'
	[ "$(relay_message)" = $'Subject: over the change\r\n\r\nx\r' ]
	# It is one of two processes that stayed; the other had no session, and went.
	relay_await 5 logged_times 1 'master retired-ended role=in-'
	[ "$(retired | wc -l)" -eq 1 ]
	ask QUIT 221
	exec 5>&-
	relay_await 5 none_retired
	relay_await 5 logged_times 2 'master retired-ended role=in-'
}

@test "a session under TLS goes on with what it has" {
	relay_start
	mkfifo to
	openssl s_client -quiet -connect "127.0.0.1:$RELAY_PORT" -starttls smtp < to > from 2> /dev/null 3>&- &
	client=$!
	exec 5> to
	printf 'EHLO c\r\n' >&5
	relay_await 5 grep -q '^250 ' from
	mkcert -d etc -f -n mine relay.example > /dev/null
	hup
	hup
	printf 'MAIL FROM:<a@client.example>\r\n' >&5
	printf 'RCPT TO:<user@relay.example>\r\nDATA\r\n' >&5
	relay_await 5 grep -q '^354 ' from
	printf 'Subject: x\r\n\r\n.\r\n' >&5
	relay_await 5 grep -q '^250 2.0.0 .*[0-9A-Za-z]' from
	printf 'QUIT\r\n' >&5
	exec 5>&-
	wait "$client" || true
	grep -q '^221 ' from
	[ "$(relay_ids | wc -l)" -eq 1 ]
	relay_await 5 none_retired
}

@test "what cannot be read leaves all as it was, with a word in the log" {
	relay_start
	old=$(stored mine)
	in1=$(relay_role in-1)
	cp etc/certs/mine/key.pem key.pem
	openssl genpkey -algorithm ED25519 > etc/certs/mine/key.pem
	hup
	logged 'master reload-failed reason="listener in: .*key.pem: not the key of cert.pem beside it"'
	[ "$(shown)" = "$old" ]
	[ "$(relay_role in-1)" = "$in1" ]
	cp key.pem etc/certs/mine/key.pem
	hup
	[ "$(shown)" = "$old" ]
	relay_await 5 none_retired
	[ -z "$(relay_role in-1)" ]
	[ -n "$(relay_role in-1-1)" ]
}

@test "many clients and many signals: nobody is refused, all mail arrives" {
	relay_start
	smtpload -c 20 -m 3 -n 1500 -L ledger 127.0.0.1 "$RELAY_PORT2" > load.out 2>&1 3>&- &
	load=$!
	for i in 1 2 3 4 5 6; do
		mkcert -d etc -f -n mine relay.example > /dev/null
		hup
		[ "$(shown)" = "$(stored mine)" ]
	done
	wait "$load" || { cat load.out; false; }
	cat load.out
	smtpload -C spool ledger
	[ "$(relay_ids | wc -l)" -ge 1500 ]
	relay_await 15 none_retired
}

@test "sessions that never end: the oldest are asked to go before a sixth generation" {
	sed -i 's/^workers .*/workers 1/' conf
	relay_start
	exec 5<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
	reply 220
	fds=()
	for _ in 1 2 3 4; do
		hup
		exec {fd}<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
		fds+=("$fd")
		read -r -t 10 line <&"$fd"
		[[ "$line" == 220* ]]
	done
	[ "$(retired | wc -l)" -eq 4 ]
	kill -HUP "$RELAY_PID"
	reply 421
	relay_await 10 logged_times 5 'master reloaded'
	[ "$(shown)" = "$(stored mine)" ]
	# The others are as they were.
	printf 'NOOP\r\n' >&"${fds[3]}"
	read -r -t 10 line <&"${fds[3]}"
	[[ "$line" == 250* ]]
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	exec 5>&-
	relay_await 10 none_retired
}

@test "the end of the relay ends those who retired too; the death of one is told" {
	RELAY_MAY_DIE=yes
	relay_start
	exec 5<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
	reply 220
	exec 6<> "/dev/tcp/127.0.0.1/$RELAY_PORT2"
	hup
	relay_await 5 logged 'master reloaded'
	kill -KILL "$(retired | head -1)"
	relay_await 5 logged 'master role-died role=in-. pid=[0-9]* how="signal 9"'
	[ "$(shown)" = "$(stored mine)" ]
	relay_stop
	exec 5>&- 6>&-
}
