#!/usr/bin/env bats
# Listeners: sockets of the file system, TLS from the first octet, certificates by name, clients' certificates, tickets,
# balancers, addresses without a domain; and configurations that change while the relay runs.
# shellcheck disable=SC2034 # for lab/relay.bash

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	export MTATLS_SYSTEM_CA=/dev/null
}

teardown()
{
	relay_end
}

# Lines are written when a turn of the loop ends, so that a client may know before.
logged() { relay_await 10 grep -q -- "$@" "$RELAY_LOG"; }

# What the master says of a SIGHUP: reloaded, or reload-failed and why.
hup()
{
	local n
	n=$(grep -c 'master reload' "$RELAY_LOG" || true)
	kill -HUP "$RELAY_PID"
	relay_await 20 relay_log_has $((n + 1)) 'master reload'
	grep -o 'master reload.*' "$RELAY_LOG" | tail -n 1
}

# Whether the listener is the new workers': the old ones stop to take clients a moment later.
settled() { relay_await 10 none_takes; }
none_takes()
{
	[ -z "$(for pid in $(relay_pids); do cat "/proc/$pid/comm" 2> /dev/null || :; done | grep '^in-' | sort | uniq -d)" ] &&
	    ! ss -Hlntp 2> /dev/null | grep -q -- '-old"'
}

# PORT WORD...: a session that begins with banner and EHLO; its codes.
says() { local port=$1; shift; run say "$port" = 'EHLO client.example\r\n' = "$@"; }

# PORT [OPTION…]: openssl's handshake, its words in $output; the session says QUIT.
handshake()
{
	local port=$1
	shift
	run openssl s_client -connect "127.0.0.1:$port" -ign_eof "$@" < <(printf 'QUIT\r\n'; sleep 0.3)
}

subject() { sed -n 's/^subject=.*CN = //p' <<< "$output" | head -n 1; }

# Nothing was said: how the end is seen depends on who was first.
is_reset() { [[ $output == reset || $output == closed || $output == *'reset by peer'* ]]; }

MAIL=('MAIL FROM:<a@client.example>\r\n' '=')
TEXT=('DATA\r\n' '=' 'Subject: x\r\n\r\nx\r\n.\r\n' '=' 'QUIT\r\n')

@test "a unix socket takes what a local user sends to anywhere, and says who it was" {
	relay_conf "listen sub $RELAY/sub.sock mode 622 group daemon default-domain local.example greeting for%20us" \
	    "listen no $RELAY/no.sock" "hosts no default reject" \
	    "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example"
	# What a relay that was killed has left.
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sub.sock")'
	relay_start
	[ "$(stat -c '%a %F' sub.sock)" = '622 socket' ]
	[ "$EUID" -ne 0 ] || [ "$(stat -c %G sub.sock)" = daemon ]
	says "$RELAY/sub.sock" 'MAIL FROM:<me>\r\n' = 'RCPT TO:<you>\r\n' = 'RCPT TO:<x@far.example>\r\n' = "${TEXT[@]}"
	[ "$output" = '220 250 250 250 250 354 250 221 closed' ]
	run say -l "$RELAY/sub.sock" = 'QUIT\r\n'
	[ "${lines[0]}" = '220 relay.example ESMTP for us' ]
	logged "connect listener=sub client=local uid=$EUID gid=$(id -g) pid=[0-9]* *\$"
	relayq -s spool cat "$(relay_ids)" > message
	grep -q '^Received: from client.example' message
	run ! grep -q '\[' message
	relayq -s spool show "$(relay_ids)" > shown
	grep -q 'me@local.example' shown
	grep -q 'you@local.example' shown
	run say "$RELAY/no.sock" =
	[ "$output" = '554 closed' ]
	relay_stop
	[ ! -e sub.sock ]
	# A file, or another's socket, is not ours to remove.
	: > sub.sock
	run -2 "$BIN/smtp-relay" -F -c conf
	[[ $output == *"conf:"*": listen sub: $RELAY/sub.sock is there and is no socket: remove it, or name another path" ]]
	[ -f sub.sock ]
	sed -i 's/group daemon/group nosuchgroup/' conf
	run -1 "$BIN/smtp-relay" -n -c conf
	[[ $output == *'no group nosuchgroup'* ]]
	RELAY_LOG=/nonexistent
}

@test "smtps, certificates by name, two kinds of keys, ALPN, versions, no renegotiation" {
	mkcert -d etc -n ec mx.relay.example > /dev/null
	mkcert -d etc -n rsa -t rsa:2048 mx.relay.example > /dev/null
	mkcert -d etc -n wild '*.wild.example' > /dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public protocol smtps cert ec,wild cert rsa domains relay.example" \
	    "listen old 127.0.0.1@$RELAY_PORT2 type public tls preferred cert rsa tls-min 1.0 ciphers ALL domains relay.example"
	relay_start
	local rows=(
		'-servername mx.relay.example|mx.relay.example' '-servername a.wild.example|*.wild.example'
		'-servername a.b.wild.example|mx.relay.example' '-noservername|mx.relay.example'
		'-servername nobody.example|mx.relay.example' '-servername a.wild.example -tls1_2|*.wild.example'
	)
	for row in "${rows[@]}"; do
		# shellcheck disable=SC2086 # words
		handshake "$RELAY_PORT" ${row%|*}
		[ "$(subject)" = "${row#*|}" ] || { echo "$row: $output"; return 1; }
		[[ $output == *'220 relay.example ESMTP'*'221 '* ]]
	done
	logged ' tls client=127.0.0.1 protocol=TLSv1.3 .*name=a.wild.example'
	handshake "$RELAY_PORT" -tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384
	[[ $output == *'Cipher is ECDHE-RSA-AES256-GCM-SHA384'* ]]
	handshake "$RELAY_PORT" -tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384
	[[ $output == *'Cipher is ECDHE-ECDSA-AES256-GCM-SHA384'* ]]
	handshake "$RELAY_PORT" -tls1_2 -cipher kRSA
	[[ $output == *'Cipher is (NONE)'* ]]
	# RFC 7301 3.2: the alert is no_application_protocol.
	handshake "$RELAY_PORT" -alpn http/1.1,imap
	[[ $output == *'alert no application protocol'* ]]
	handshake "$RELAY_PORT" -alpn http/1.1,smtp
	[[ $output == *'ALPN protocol: smtp'* ]]
	relay_await 5 logged 'end=handshake .*another protocol than SMTP (ALPN'
	handshake "$RELAY_PORT" -tls1_1 -cipher ALL:@SECLEVEL=0
	[[ $output == *'alert protocol version'* ]]
	handshake "$RELAY_PORT2" -starttls smtp -tls1 -cipher ALL:@SECLEVEL=0
	[[ $output == *'Protocol  : TLSv1'* || $output == *', TLSv1, Cipher is'* || $output == *'TLSv1.0, Cipher is'* ]]
	# The client asks to renegotiate: refused, and the session goes on or ends, but never negotiates.  It keeps its input
	# open until the answer is there.
	: > renegotiation
	# shellcheck disable=SC2094 # it reads what is written meanwhile
	openssl s_client -connect "127.0.0.1:$RELAY_PORT" -tls1_2 > renegotiation 2>&1 \
	    < <(relay_await 10 grep -q ' ESMTP' renegotiation; printf 'R\n'
		relay_await 10 grep -q 'no renegotiation' renegotiation; printf 'QUIT\r\n') || :
	grep -q RENEGOTIATING renegotiation
	grep -q 'no renegotiation' renegotiation
	# What is no TLS ends without a word in clear text.
	run say "$RELAY_PORT" 'EHLO x\r\n'
	[[ $output != *[0-9]* ]]
}

@test "clients' certificates: asked for, judged, told; mail only from those that are good" {
	mkcert -d etc -n mine relay.example > /dev/null
	mkcert -d etc --ca -n ca 'Test CA' > /dev/null
	mkcert -d etc --signer ca -n good mta.client.example > /dev/null
	mkcert -d etc -n alone alone.example > /dev/null
	castore -d etc import etc/certs/ca/cert.pem > /dev/null 2>&1
	pin=$(openssl x509 -in etc/certs/alone/cert.pem -noout -fingerprint -sha256 | cut -d= -f2)
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls required cert mine client-cert required client-allow sha256:$pin,mta.client.example domains relay.example" \
	    "listen may 127.0.0.1@$RELAY_PORT2 type public tls preferred cert mine client-cert preferred domains relay.example"
	relay_start
	# IDENTITY PORT: a session with that certificate, or with none; its codes in $output.
	session()
	{
		run say "$2" = 'EHLO c\r\n' = 'STARTTLS\r\n' = "tls${1:+:etc/certs/$1}" 'EHLO c\r\n' = 'MAIL FROM:<a@c.example>\r\n' = \
		    'RCPT TO:<u@relay.example>\r\n' = 'DATA\r\n' = 'Subject: x\r\n\r\n.\r\n' = 'QUIT\r\n'
	}
	# IDENTITY|PORT|the reply to MAIL|what log and Received say
	local rows=(
		"good|$RELAY_PORT|250|verified mta.client.example" "alone|$RELAY_PORT|250|verified CN=alone.example"
		"mine|$RELAY_PORT|554|not verified unknown-ca" "|$RELAY_PORT|554|none"
		"good|$RELAY_PORT2|250|verified CN=mta.client.example" "mine|$RELAY_PORT2|250|not verified unknown-ca"
		"|$RELAY_PORT2|250|none"
	)
	for row in "${rows[@]}"; do
		IFS='|' read -r who port want told <<< "$row"
		relay_forget
		session "$who" "$port"
		[[ $output == "220 250 220 250 $want "* ]] || { echo "$row: $output"; return 1; }
		logged "tls .*client-cert=\"\\?$told" || { echo "$row: not in the log"; return 1; }
		if [ "$want" = 250 ]; then
			relayq -s spool cat "$(relay_ids)" | tr -d '\r\n' | tr -s '\t ' ' ' |
			    grep -qF "client certificate $told" || { echo "$row: not in Received"; return 1; }
		else
			[ -z "$(relay_ids)" ]
		fi
	done
	logged 'refused .*command=MAIL .*code=554 status=5.7.1 reason="a client certificate is required"'
	logged 'reason="client certificate not verified: unknown-ca'
	logged 'tls .*client-cert="not verified unknown-ca" subject="\?CN=relay.example.* fingerprint=[0-9a-f]\{64\} reason='
}

@test "tickets: good for all workers of the listener, over SIGHUP and a new secret, and for no other" {
	mkcert -d etc -n mine relay.example > /dev/null
	relay_conf "workers 3" "listen in 127.0.0.1@$RELAY_PORT type public protocol smtps cert mine domains relay.example" \
	    "listen out 127.0.0.1@$RELAY_PORT2 type public protocol smtps cert mine domains relay.example"
	head -c 4096 /dev/zero > faults
	chmod 666 faults
	export FAULTS_FILE=$RELAY/faults ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0
	RELAY_PREFIX=(env LD_PRELOAD="$BUILD/lab/faults.so")
	relay_start
	# PORT WANT [OPTION…]: Reused or New
	resumes()
	{
		local port=$1 want=$2
		shift 2
		handshake "$port" -sess_in "$v" "-${v%.new}" "$@"
		grep -q "^$want, " <<< "$output" || { echo "$v: wanted $want: $output"; return 1; }
	}
	for v in tls1_2 tls1_3; do
		handshake "$RELAY_PORT" -$v -sess_out $v
		[ -s $v ]
		for _ in 1 2 3 4 5 6; do resumes "$RELAY_PORT" Reused; done
		resumes "$RELAY_PORT2" New
	done
	logged ' tls .* resumed=1'
	hup
	for v in tls1_2 tls1_3; do resumes "$RELAY_PORT" Reused; done
	# A secret is an hour old: the next one seals, and it still opens; after two it does not.
	printf 'clock * 0 ahead=3700' | dd of=faults conv=notrunc 2> /dev/null
	sleep 1.5
	for v in tls1_2 tls1_3; do
		resumes "$RELAY_PORT" Reused
		handshake "$RELAY_PORT" -$v -sess_out $v.new
	done
	printf 'clock * 0 ahead=7400' | dd of=faults conv=notrunc 2> /dev/null
	sleep 1.5
	for v in tls1_2 tls1_3; do resumes "$RELAY_PORT" New; done
	for v in tls1_2.new tls1_3.new; do resumes "$RELAY_PORT" Reused; done
	relay_stop
	relay_start
	for v in tls1_2.new tls1_3.new; do resumes "$RELAY_PORT" New; done
}

V2='\r\n\r\n\0\r\nQUIT\n'

@test "balancers: the client is the one that the header names, and nobody else may send one" {
	mkcert -d etc -n mine relay.example > /dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls preferred cert mine proxy 127.0.0.1,::1" \
	    "hosts in 192.0.2.0/24 relay" "hosts in 198.51.100.0/24 tcprefuse" "hosts in 2001:db8::/32 relay" "hosts in 127.0.0.1 relay" \
	    "listen tls 127.0.0.1@$RELAY_PORT2 type public protocol smtps cert mine proxy 127.0.0.0/8 domains relay.example"
	relay_start
	local greeted='220 250 250 250 354 250 221 closed'
	local rows=(
		"PROXY TCP4 192.0.2.1 127.0.0.1 4711 25\\r\\n|192.0.2.1|$greeted"
		"PROXY TCP6 2001:db8::7 ::1 4711 25\\r\\n|2001:db8::7|$greeted"
		"$V2\\x21\\x11\\0\\x0c\\xc0\\0\\x02\\x09\\x7f\\0\\0\\x01\\x12\\x67\\0\\x19|192.0.2.9|$greeted"
		"PROXY UNKNOWN\\r\\n|127.0.0.1|$greeted" "$V2\\x20\\0\\0\\0|127.0.0.1|$greeted"
		"PROXY TCP4 203.0.113.1 127.0.0.1 1 25\\r\\n|203.0.113.1|554 closed" "PROXY TCP4 198.51.100.1 127.0.0.1 1 25\\r\\n||reset"
		'EHLO client.example\r\n||reset' 'PROXY TCP4 1 2 3\r\n||reset' "$V2\\x31\\0\\0\\0||reset"
	)
	for row in "${rows[@]}"; do
		IFS='|' read -r header client want <<< "$row"
		relay_forget
		run say "$RELAY_PORT" "$header" = 'EHLO client.example\r\n' = "${MAIL[@]}" 'RCPT TO:<x@far.example>\r\n' = "${TEXT[@]}"
		[ "$output" = "$want" ] || { [ "$want" = reset ] && is_reset; } || { echo "$row: $output"; return 1; }
		[ -z "$client" ] || logged "connect listener=in client=$client port=" || { echo "$row: not in the log"; return 1; }
		case $want in 220*)
			relayq -s spool cat "$(relay_ids)" | grep -qE "\[(IPv6:)?$client\]" ;;
		esac
	done
	logged 'connect listener=in client=192.0.2.1 port=4711 balancer=127.0.0.1 hosts=192.0.2.0/24 action=relay'
	run ! logged 'connect listener=in client=127.0.0.1 .*balancer='
	logged 'proxy-refused listener=in client=127.0.0.1 reason="PROXY header: expected \\"PROXY \\" or the signature'
	# In pieces, and with what the client says at once behind it.
	run say "$RELAY_PORT" PRO + 'XY TCP4 192.0.2.1 127.0.0.1 4711 25' + '\r' + '\n' = 'QUIT\r\n'
	[ "$output" = '220 221 closed' ]
	run say "$RELAY_PORT" "$V2\\x20" + '\0\0' + '\0' = 'QUIT\r\n'
	[ "$output" = '220 221 closed' ]
	run say -b 127.0.0.2 "$RELAY_PORT" 'PROXY TCP4 192.0.2.1 127.0.0.1 4711 25\r\n' =
	is_reset
	logged 'proxy-refused listener=in client=127.0.0.2 reason="not one of the listener'
	run say -w 0.1 "$RELAY_PORT" 'PROXY TC'
	[ "$output" = open ]
	relay_await 5 logged 'proxy-refused listener=in client=127.0.0.1 reason="closed before its PROXY header'
	run say -w 15 "$RELAY_PORT" 'PROXY TC'
	is_reset
	logged 'proxy-refused listener=in client=127.0.0.1 reason="its PROXY header did not come in time'
	# The ClientHello comes with the header in one segment.
	run python3 - "$RELAY_PORT2" <<-'END'
		import socket, ssl, sys
		c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
		i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
		t, s = c.wrap_bio(i, o), socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		first = b"PROXY TCP4 192.0.2.77 127.0.0.1 4711 465\r\n"
		def step(f, *a):
		    global first
		    while True:
		        try:
		            return f(*a)
		        except ssl.SSLWantReadError:
		            s.sendall(first + o.read())
		            first = b""
		            i.write(s.recv(65536))
		step(t.do_handshake)
		print(step(t.read, 100).decode().strip())
	END
	[ "$output" = '220 relay.example ESMTP' ]
	logged 'connect listener=tls client=192.0.2.77 port=4711 balancer=127.0.0.1'
}

# CLIENT [PORT]: a session of it, through a balancer, goes on with descriptor fd; what it was greeted with is in $line.
come_as()
{
	exec {fd}<> "/dev/tcp/127.0.0.1/${2:-$RELAY_PORT}"
	[ "$1" = - ] || printf 'PROXY TCP4 %s 127.0.0.1 4711 25\r\n' "$1" >&"$fd"
	read -r -t 10 line <&"$fd"
	line=${line%%[ -]*}
}

@test "one client cannot have all sessions of a public listener, where nothing is said; loopback and relaying hosts can" {
	relay_conf 'workers 2' "listen in 127.0.0.1@$RELAY_PORT type public tls no concurrency 8 proxy 127.0.0.1 domains relay.example" \
	    'hosts in 198.51.100.0/24 relay' 'hosts in 203.0.113.0/24 accept client-concurrency 1' \
	    "listen own 127.0.0.1@$RELAY_PORT2 type public tls no concurrency 5 domains relay.example"
	run -0 smtp-relay -n -c conf
	[[ $output == *"8 sessions, backlog 511, client-concurrency 4"* ]]
	relay_start
	local fd fds=() client
	for client in 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1; do
		come_as "$client"
		[ "$line" = 220 ]
		fds+=("$fd")
	done
	come_as 192.0.2.1
	[ "$line" = 421 ]
	exec {fd}>&-
	logged ' refused client=192.0.2.1 command=connection code=421 .*reason="too many connections from your address'
	come_as 203.0.113.1
	[ "$line" = 220 ]
	fds+=("$fd")
	come_as 203.0.113.1
	[ "$line" = 421 ]
	exec {fd}>&-
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	relay_await 10 relay_log_has 7 ' disconnect client='
	fds=()
	for _ in 1 2 3 4 5 6 7 8; do
		come_as 198.51.100.1
		[ "$line" = 220 ]
		fds+=("$fd")
	done
	for _ in 1 2 3 4 5; do
		come_as - "$RELAY_PORT2"
		[ "$line" = 220 ]
		fds+=("$fd")
	done
	for fd in "${fds[@]}"; do exec {fd}>&-; done
}

@test "addresses without a domain, and the domain-map" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public default-domain relay.example domains relay.example" \
	    "domain-map in @old.example @relay.example" "domain-map in boss@relay.example ceo@relay.example" \
	    "domain-map in @.old.example all@relay.example" "domain-map in @away.example @far.example" \
	    "listen strict 127.0.0.1@$RELAY_PORT2 type public domains relay.example"
	relay_start
	says "$RELAY_PORT" 'MAIL FROM:<me>\r\n' = 'RCPT TO:<u>\r\n' = 'RCPT TO:<postmaster>\r\n' = 'RCPT TO:<x@old.example>\r\n' = \
	    'RCPT TO:<BOSS@relay.example>\r\n' = 'RCPT TO:<y@a.b.old.example>\r\n' = 'RCPT TO:<x@away.example>\r\n' = \
	    'RCPT TO:<x@far.example>\r\n' = 'RCPT TO:<a%b>\r\n' = "${TEXT[@]}"
	[ "$output" = '220 250 250 250 250 250 250 250 550 550 550 354 250 221 closed' ]
	relayq -s spool show "$(relay_ids)" > shown
	for address in me@ u@ postmaster@ x@ ceo@ all@; do
		grep -q "[ <]${address}relay.example" shown || { cat shown; return 1; }
	done
	grep -q '<ceo@relay.example> ORCPT=rfc822;BOSS@relay.example: ' shown
	[ "$(grep -c ORCPT shown)" -eq 3 ]
	says "$RELAY_PORT2" 'MAIL FROM:<me>\r\n' = "${MAIL[@]}" 'RCPT TO:<u>\r\n' = 'QUIT\r\n'
	[ "$output" = '220 250 501 250 501 221 closed' ]
}

@test "SIGHUP: listeners come and go and change; what cannot be taken changes nothing, and says so" {
	mkcert -d etc -n mine relay.example > /dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    "listen sub $RELAY/sub.sock mode 600"
	relay_start
	cp conf first
	exec 5<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
	read -r -t 10 line <&5
	# ERRORS: each is refused for its reason, and the relay is as before.
	local rows=(
		's/^listen in/listen in in/|conf: 1 error' 's/^deliver.*/deliver perhaps/|conf: 1 error'
		"s/^spool.*/spool $(printf %s "$RELAY/other" | sed 's,/,\\/,g')/|spool has another value: that needs a restart"
		's/^user.*/user nobody/|user has another value: that needs a restart'
		'$aworkers 3|workers has another value: that needs a restart'
		"\$alisten b 192.0.2.1@$RELAY_PORT2 type private|listener b: 192.0.2.1@$RELAY_PORT2: Cannot assign requested address"
		"\$alisten b 127.0.0.1@$RELAY_PORT2 type private tls required cert nosuch|listener b: no identity"
		"\$alisten b /nonexistent/b.sock|listener b: /nonexistent/b.sock: No such file or directory"
		'$aanchor /nonexistent|/nonexistent'
	)
	for row in "${rows[@]}"; do
		sed "${row%%|*}" first > conf
		run hup
		[[ $output == 'master reload-failed '*"${row#*|}"* ]] || { echo "$row: $output"; return 1; }
		says "$RELAY_PORT" "${MAIL[@]}" 'RCPT TO:<u@relay.example>\r\n' = 'QUIT\r\n'
		[ "$output" = '220 250 250 250 221 closed' ]
		says "$RELAY/sub.sock" 'QUIT\r\n'
		[ "$output" = '220 250 221 closed' ]
	done
	logged 'master conf-error file=.*conf line=[0-9]* reason="deliver: expected no or yes'
	run ss -Hlnt "sport = :$RELAY_PORT2"
	[ -z "$output" ]
	# Another host name, other domains, a listener more, another mode, and TLS where there was none.
	sed "s/^hostname .*/hostname new.example/; s/^listen in .*/listen in 127.0.0.1@$RELAY_PORT type public tls preferred cert mine domains other.example/
	    s/mode 600/mode 660/" first > conf
	echo "listen b 127.0.0.1@$RELAY_PORT2 type public domains relay.example" >> conf
	run hup
	[[ $output == 'master reloaded conf='* ]]
	settled
	run say -l "$RELAY_PORT" = 'EHLO x\r\n' = "${MAIL[@]}" 'RCPT TO:<u@relay.example>\r\n' = 'RCPT TO:<u@other.example>\r\n' = 'QUIT\r\n'
	[ "${lines[0]}" = '220 new.example ESMTP' ]
	[[ $output == *STARTTLS*'220 250 250 550 250 221 closed' ]]
	says "$RELAY_PORT2" "${MAIL[@]}" 'RCPT TO:<u@relay.example>\r\n' = "${TEXT[@]}"
	[ "$output" = '220 250 250 250 354 250 221 closed' ]
	[ "$(stat -c %a sub.sock)" = 660 ]
	# The session that was open is served as it began.
	for command in 'EHLO x' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@relay.example>'; do
		printf '%s\r\n' "$command" >&5
		while read -r -t 10 line <&5 && [[ $line != [0-9][0-9][0-9]\ * ]]; do :; done
		[[ $line == 250* ]]
	done
	exec 5>&-
	# Listeners go, and the socket's name with them.
	grep -v '^listen [bs]' conf > less
	cp less conf
	run hup
	[[ $output == 'master reloaded conf='* ]]
	relay_await 10 eval '[ ! -e sub.sock ]'
	settled
	relay_await 10 eval "! (exec 9<> /dev/tcp/127.0.0.1/$RELAY_PORT2) 2> /dev/null"
	says "$RELAY_PORT" 'QUIT\r\n'
	[ "$output" = '220 250 221 closed' ]
}

# The system has both sockets on one port only where both say so.
@test "SIGHUP: a listener moves from all addresses to one, and back, on its port; what is taken is refused" {
	local from to
	relay_conf "listen in 0.0.0.0@$RELAY_PORT type public domains relay.example" \
	    "listen six [::]@$RELAY_PORT type public domains relay.example"
	relay_start
	exec 5<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
	read -r -t 10 line <&5
	for to in 127.0.0.1/::1 127.0.0.2/:: 0.0.0.0/::1 127.0.0.1/:: 0.0.0.0/::; do
		sed -i "s/^listen in .*@/listen in ${to%/*}@/; s/^listen six .*@/listen six [${to#*/}]@/" conf
		run hup
		[[ $output == 'master reloaded conf='* ]] || { echo "$to: $output"; return 1; }
		settled
		from=${to%/*}
		from=${from/0.0.0.0/127.0.0.1}
		exec 6<> "/dev/tcp/$from/$RELAY_PORT"
		read -r -t 10 line <&6
		[[ $line == 220* ]]
		exec 6<&-
		exec 6<> "/dev/tcp/::1/$RELAY_PORT"
		read -r -t 10 line <&6
		[[ $line == 220* ]]
		exec 6<&-
		relay_await 10 eval '[ "$(ss -Hlnt "sport = :$RELAY_PORT" | wc -l)" -eq 2 ]'
		[ "$to" != 127.0.0.2/:: ] || run ! bash -c "exec 6<> /dev/tcp/127.0.0.1/$RELAY_PORT"
	done
	# The first session goes on with its worker.
	printf 'EHLO x\r\n' >&5
	read -r -t 10 line <&5
	[[ $line == 250* ]]
	exec 5<&-
	# The port is another program's there.
	python3 - "$RELAY_PORT2" > bound 3>&- <<-'END' &
		import socket, sys, time
		s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
		print("bound", flush=True)
		time.sleep(60)
	END
	other=$!
	relay_await 20 grep -q bound bound
	cp conf before
	sed -i "s/^listen in .*@$RELAY_PORT/listen in 0.0.0.0@$RELAY_PORT2/" conf
	run hup
	kill "$other"
	[[ $output == *"reload-failed reason=\"listener in: 0.0.0.0@$RELAY_PORT2: Address already in use\"" ]] || { echo "$output"; return 1; }
	says "$RELAY_PORT" 'QUIT\r\n'
	[ "$output" = '220 250 221 closed' ]
}

@test "SIGHUP: queue and route follow: deliver, and routes of what waits already" {
	cat > sink <<-'END'
		import socketserver, sys
		class Sink(socketserver.StreamRequestHandler):
		    def handle(self):
		        self.wfile.write(b"220 sink ESMTP\r\n")
		        body = False
		        for line in self.rfile:
		            if body:
		                body = line != b".\r\n"
		            if not body:
		                body = line[:4].upper() == b"DATA"
		                self.wfile.write(b"354 go on\r\n" if body else b"250 ok\r\n")
		socketserver.ThreadingTCPServer.allow_reuse_address = True
		socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
	END
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" "retry 1h" \
	    "destination default tls no" "route default 127.0.0.1@1"
	relay_start
	says "$RELAY_PORT" "${MAIL[@]}" 'RCPT TO:<u@relay.example>\r\n' = "${TEXT[@]}"
	id=$(relay_ids)
	sed -i 's/^deliver.*/deliver yes/' conf
	run hup
	[[ $output == 'master reloaded conf='* ]]
	relay_await 10 logged "$id waits "
	# The next hop is there now, under another route, and 1 s is long enough.
	python3 sink "$RELAY_PORT2" > sink.out 2>&1 3>&- &
	sink=$!
	sed -i "s/^route.*/route default 127.0.0.1@$RELAY_PORT2/; s/^retry.*/retry 1s/; s/^hostname.*/hostname new.example/" conf
	run hup
	relayq -s spool retry "$id"
	relay_await 20 logged "$id delivered " || { kill "$sink"; return 1; }
	relay_await 10 logged "$id removed "
	kill "$sink"
}

@test "20 clients under load while configurations change: no session is lost, all mail arrives" {
	mkcert -d etc -n mine relay.example > /dev/null
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example"
	relay_start
	smtpload -c 20 -m 3 -n 1500 -L ledger 127.0.0.1 "$RELAY_PORT" > load.out 2>&1 3>&- &
	load=$!
	for i in 1 2 3 4; do
		relay_conf "listen more$i 127.0.0.1@$RELAY_PORT2 type public tls preferred cert mine domains relay.example" \
		    "listen in 127.0.0.1@$RELAY_PORT type public backlog $((100 + i)) greeting number%20$i domains relay.example .x$i.example" \
		    "destination x$i.test tls required" "retry ${i}m"
		run hup
		[[ $output == 'master reloaded conf='* ]] || { echo "$output"; return 1; }
		echo nonsense >> conf
		run hup
		[[ $output == 'master reload-failed reason='*'1 error"' ]] || { echo "$output"; return 1; }
	done
	wait "$load" || { cat load.out; false; }
	smtpload -C spool ledger
	[ "$(relay_ids | wc -l)" -ge 1500 ]
	run say -l "$RELAY_PORT" =
	[ "${lines[0]}" = '220 relay.example ESMTP number 4' ]
}
