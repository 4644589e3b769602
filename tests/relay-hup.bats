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

hup()
{
	local n
	n=$(grep -c 'master reload' "$RELAY_LOG" || true)
	kill -HUP "$RELAY_PID"
	relay_await 10 relay_log_has $((n + 1)) 'master reload'
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
	relay_await 10 logged 'master reloaded conf='
	[ "$(shown)" = "$(stored mine)" ]
	[ "$(stored mine)" != "$old" ]
	ask 'RCPT TO:<user@relay.example>' 250
	ask DATA 354
	printf 'Subject: over the change\r\n\r\nx\r\n' >&5
	ask . '250 2.0.0'
	[ "$(relay_message)" = $'Subject: over the change\r\n\r\nx\r' ]
	# It is one of two processes that stayed; the other had no session, and went.
	relay_await 5 relay_log_has 1 'master retired-ended role=in-'
	[ "$(retired | wc -l)" -eq 1 ]
	ask QUIT 221
	exec 5>&-
	relay_await 5 none_retired
	relay_await 5 relay_log_has 2 'master retired-ended role=in-'
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
	relay_await 10 logged 'master reload-failed reason="listener in: .*key.pem: not the key of cert.pem beside it"'
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
	relay_await 10 relay_log_has 5 'master reloaded'
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

# Six days and a half on: time(3) and, for the hourly look, the monotonic clock.
@test "the demonstration certificate is made, warned of, renewed while the relay runs, and for another hostname" {
	export MTATLS_SYSTEM_CA=/dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred domains relay.example" \
	    "listen own 127.0.0.1@$RELAY_PORT2 type public tls preferred cert mine domains relay.example"
	head -c 4096 /dev/zero > faults
	chmod 666 faults
	export FAULTS_FILE=$RELAY/faults ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0
	RELAY_PREFIX=(env LD_PRELOAD="$BUILD/lab/faults.so")
	[ ! -e etc/certs/_demo ]
	relay_start
	relay_await 10 logged ' master certificate listener=in identity=_demo warning="a demonstration certificate: for trials only"'
	run ! logged 'certificate listener=own'
	openssl x509 -in etc/certs/_demo/cert.pem -noout -checkhost relay.example | grep -q 'does match'
	first=$(stored _demo)
	[ "$(shown)" = "$first" ]
	run -0 --separate-stderr tlscheck --port "$RELAY_PORT" "[127.0.0.1]"
	[[ "$stderr" == *': a demonstration certificate: for trials only'* ]]
	# Of a certificate that was put in by hand nothing is read before its SIGHUP.
	own=$(stored mine)
	mkcert -d etc -f -n mine relay.example > /dev/null
	printf 'clock * 0 ahead=3700 later=561600' | dd of=faults conv=notrunc 2> /dev/null
	relay_await 20 logged ' master renewed identity=_demo'
	[ "$(stored _demo)" != "$first" ]
	[ "$(shown)" = "$(stored _demo)" ]
	openssl s_client -connect "127.0.0.1:$RELAY_PORT2" -starttls smtp < /dev/null 2> /dev/null |
	    openssl x509 -noout -fingerprint -sha256 > out
	[ "$(cat out)" = "$own" ]
	relay_await 10 relay_log_has 2 'master certificate listener=in identity=_demo warning='
	# What cannot be renewed stays, and is told.
	second=$(stored _demo)
	mv etc/certs etc/away
	: > etc/certs
	printf 'clock * 0 ahead=7400 later=1123200' | dd of=faults conv=notrunc 2> /dev/null
	relay_await 20 logged ' master renewal-failed reason='
	rm etc/certs
	mv etc/away etc/certs
	[ "$(shown)" = "$second" ]
	relay_stop
	head -c 4096 /dev/zero > faults
	relay_start
	[ "$(stored _demo)" = "$second" ]
	relay_stop
	sed -i 's/^hostname .*/hostname mx9.example/' conf
	relay_start
	openssl x509 -in etc/certs/_demo/cert.pem -noout -checkhost mx9.example | grep -q 'does match'
	relay_stop
	# What somebody stored under its name stays.
	mkcert -d etc -f -n _demo other.example > /dev/null
	own=$(stored _demo)
	relay_start
	[ "$(stored _demo)" = "$own" ]
	[ "$(shown)" = "$own" ]
}

# FILE: mode and group of a socket.
rights() { stat -c '%F %a %g' "$1"; }

reload_is() { hup; grep 'master reload' "$RELAY_LOG" | tail -n 1 | grep -q "master $1" || { tail "$RELAY_LOG"; return 1; }; }

# Mail that comes in by that socket.
takes()
{
	run say "$1" = 'EHLO c\r\n' = 'MAIL FROM:<me@c.example>\r\n' = 'RCPT TO:<u@relay.example>\r\n' = 'DATA\r\n' = \
	    'Subject: x\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n'
	[ "$output" = '220 250 250 250 354 250 221 closed' ] || { echo "$output"; return 1; }
}

two_paths() { relay_conf "listen a $RELAY/a.sock $1" "listen b $RELAY/b.sock $2" \
    "listen in 127.0.0.1@$RELAY_PORT type public tls no domains relay.example"; }

@test "unix sockets: one that somebody removed is bound anew, another's file is not touched" {
	two_paths 'mode 600' 'mode 600'
	relay_start
	rm b.sock
	two_paths 'mode 660' 'mode 660'
	reload_is reloaded
	[ "$(rights a.sock)" = "socket 660 $(id -g)" ]
	[ "$(rights b.sock)" = "socket 660 $(id -g)" ]
	takes "$RELAY/b.sock"
	relay_await 10 none_retired
	[ "$(rights b.sock)" = "socket 660 $(id -g)" ]
	takes "$RELAY/a.sock"
	takes "$RELAY/b.sock"
	# A file in its place is somebody's.
	rm b.sock
	: > b.sock
	chmod 640 b.sock
	two_paths 'mode 600' 'mode 666'
	reload_is 'reload-failed reason=.*b.sock: Address already in use'
	[ "$(stat -c '%F %a' b.sock)" = 'regular empty file 640' ]
	[ "$(rights a.sock)" = "socket 660 $(id -g)" ]
	rm b.sock
	reload_is reloaded
	takes "$RELAY/b.sock"
	relay_stop
	[ ! -e a.sock ] && [ ! -e b.sock ]
}

@test "unix sockets: a reload that is refused leaves modes, groups and backlogs as they were" {
	[ "$(id -u)" -eq 0 ] || skip "needs root: groups"
	two_paths 'mode 600' 'mode 640 group daemon backlog 7'
	head -c 4096 /dev/zero > faults
	chmod 666 faults
	export FAULTS_FILE=$RELAY/faults ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0
	RELAY_PREFIX=(env LD_PRELOAD="$BUILD/lab/faults.so")
	relay_start
	local a b
	a=$(rights a.sock) b=$(rights b.sock)
	[ "$a" = "socket 600 0" ]
	[ "$b" = "socket 640 $(getent group daemon | cut -d: -f3)" ]
	two_paths 'mode 666' 'group nosuchgroup'
	reload_is 'reload-failed reason="listener b: no group nosuchgroup"'
	[ "$(rights a.sock) $(rights b.sock)" = "$a $b" ]
	# The system refuses the third change: the first two are undone.
	two_paths 'mode 666 group news' 'mode 606 group news backlog 9'
	printf 'chmod b.sock 2 EIO' | dd of=faults conv=notrunc 2> /dev/null
	reload_is 'reload-failed reason=".*b.sock: Input/output error"'
	[ "$(rights a.sock) $(rights b.sock)" = "$a $b" ]
	ss -xl | grep "b.sock" | awk '{ print $4 }' | grep -qx 7
	[ -z "$(retired)" ]
	reload_is reloaded
	[ "$(rights a.sock)" = "socket 666 $(getent group news | cut -d: -f3)" ]
	[ "$(rights b.sock)" = "socket 606 $(getent group news | cut -d: -f3)" ]
	ss -xl | grep "b.sock" | awk '{ print $4 }' | grep -qx 9
	# Without a group in its line it has the one that it was bound with.
	two_paths 'mode 600' 'mode 600'
	reload_is reloaded
	[ "$(rights a.sock) $(rights b.sock)" = "socket 600 0 socket 600 0" ]
}

@test "a reload that is refused makes no demonstration certificate for another hostname" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred domains relay.example" \
	    "listen own 127.0.0.1@$RELAY_PORT2 type public tls preferred cert mine domains relay.example"
	relay_start
	first=$(stored _demo)
	sed -i 's/^hostname .*/hostname mx9.example/; s/cert mine/cert nobody/' conf
	reload_is 'reload-failed reason="listener own: '
	[ "$(stored _demo)" = "$first" ]
	sed -i 's/cert nobody/cert mine/' conf
	reload_is reloaded
	[ "$(stored _demo)" != "$first" ]
}
