#!/usr/bin/env bats
# SMTP AUTH: passwords are set, users of real mailers are known and may relay, nobody else may, and the role that
# checks is one that may die.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
	mkdir "$RELAY/etc"
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required auth required" \
	    "listen mx 127.0.0.1@$RELAY_PORT2 type public tls preferred auth offered domains relay.example"
}

teardown()
{
	local pid
	pid=$(relay_role auth)
	[ -z "$pid" ] || kill -CONT "$pid"
	relay_end
}

# USER PASSWORD
passwd()
{
	printf '%s\n' "$2" | smtp-relay -c "$RELAY/conf" --passwd "$1" --pass-file -
}

users()
{
	passwd ann 'gr€en & "tea"'
	passwd bob@example.org b
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

plain()
{
	printf '%s\0%s\0%s' "" "$1" "$2" | base64 -w 0
}

# PORT WORD…: said inside TLS, its codes in $CODES; $CODES is followed by "closed".
says()
{
	local port=$1
	shift
	run say "$port" = 'EHLO c\r\n' = 'STARTTLS\r\n' = tls 'EHLO c\r\n' = "$@" '=' 'QUIT\r\n'
	echo "$output"
	[ "${lines[0]}" = "220 250 220 250 $CODES 221 closed" ]
}

@test "the file of passwords" {
	users
	[ "$(stat -c %a "$RELAY/etc/smtp-relay.passwd")" = 600 ]
	grep -q '^ann \$y\$' "$RELAY/etc/smtp-relay.passwd"
	passwd ann other
	[ "$(grep -c '^ann ' "$RELAY/etc/smtp-relay.passwd")" -eq 1 ]
	smtp-relay -c "$RELAY/conf" --no-passwd ann
	run -1 smtp-relay -c "$RELAY/conf" --no-passwd ann
	run ! grep -q '^ann ' "$RELAY/etc/smtp-relay.passwd"
	run -2 passwd ann ''
	run -2 smtp-relay -c "$RELAY/conf" --pass-fd 3
	run -2 smtp-relay -c "$RELAY/conf" --passwd a --no-passwd a
}

@test "without the file, or with a broken one, the relay does not start" {
	run -1 smtp-relay -c "$RELAY/conf" -n
	[[ $output == *smtp-relay.passwd* ]]
	printf 'ann plain\n' > "$RELAY/etc/smtp-relay.passwd"
	run -1 smtp-relay -c "$RELAY/conf" -n
	run -2 smtp-relay -F -c "$RELAY/conf"
}

@test "swaks, curl and Python send mail for anywhere once they are known" {
	users
	relay_start
	swaks --server "127.0.0.1:$RELAY_PORT" --tls --auth PLAIN --auth-user ann --auth-password 'gr€en & "tea"' \
	    --from ann@c.example --to u@far.example --helo c.example > "$RELAY/swaks" 2>&1 || { cat "$RELAY/swaks"; false; }
	swaks --server "127.0.0.1:$RELAY_PORT" --tls --auth LOGIN --auth-user bob@example.org --auth-password b \
	    --from b@c.example --to u@far.example --helo c.example > "$RELAY/swaks" 2>&1 || { cat "$RELAY/swaks"; false; }
	printf 'Subject: x\r\n\r\nx\r\n' | curl -s --ssl-reqd -k "smtp://127.0.0.1:$RELAY_PORT2" --user bob@example.org:b \
	    --mail-from b@c.example --mail-rcpt u@far.example -T -
	python3 - "$RELAY_PORT" <<-'END'
		import smtplib, ssl, sys
		c = ssl._create_unverified_context()
		with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as s:
		    s.starttls(context=c)
		    s.login("bob@example.org", "b")
		    s.sendmail("b@c.example", ["u@far.example"], "Subject: x\r\n\r\nx\r\n")
	END
	[ "$(find "$RELAY_SPOOL/queue" -type f | wc -l)" -eq 4 ]
	relay_await 10 log_says 'auth client=127.0.0.1 user=ann result=yes'
	relay_await 10 log_says 'accepted .*user=ann'
	relayq -c "$RELAY/conf" -j list | grep -q '"protocol":"ESMTPSA","auth":"ann"'
	id=$(relayq -c "$RELAY/conf" list | head -n 1 | cut -d' ' -f1)
	relayq -c "$RELAY/conf" cat "$id" | tr -d '\r\n' | grep -qE 'with[[:space:]]+ESMTPSA[[:space:]]+id'
}

@test "nobody else may relay, nor ask in clear text" {
	users
	relay_start
	CODES="530 535 530 503 503"
	says "$RELAY_PORT" 'MAIL FROM:<a@b.example>\r\n' = "AUTH PLAIN $(plain ann wrong)"'\r\n' = 'MAIL FROM:<a@b.example>\r\n' = \
	    'RCPT TO:<u@far.example>\r\n' = 'DATA\r\n'
	CODES="250 250 550"
	says "$RELAY_PORT2" 'MAIL FROM:<a@b.example>\r\n' = 'RCPT TO:<u@relay.example>\r\n' = 'RCPT TO:<u@far.example>\r\n'
	CODES="235 250 250"
	says "$RELAY_PORT2" "AUTH PLAIN $(plain bob@example.org b)"'\r\n' = 'MAIL FROM:<a@b.example>\r\n' = 'RCPT TO:<u@far.example>\r\n'
	run say "$RELAY_PORT2" = 'EHLO c\r\n' = "AUTH PLAIN $(plain bob@example.org b)"'\r\n' = 'QUIT\r\n'
	[ "${lines[0]}" = "220 250 538 221 closed" ]
	run say -l "$RELAY_PORT2" = 'EHLO c\r\n' = 'QUIT\r\n'
	run ! grep -q AUTH <<< "$output"
	relay_await 10 log_says 'auth client=127.0.0.1 user=ann result=no'
	run ! grep -q "wrong" "$RELAY_LOG"
}

@test "guessing ends the session" {
	users
	relay_start
	bad="AUTH PLAIN $(plain nobody x)\\r\\n"
	run say "$RELAY_PORT" = 'EHLO c\r\n' = 'STARTTLS\r\n' = tls 'EHLO c\r\n' = "$bad" = "$bad" = "$bad" = "$bad" =2
	[ "${lines[0]}" = "220 250 220 250 535 535 535 535 421 closed" ] || { echo "$output"; false; }
}

@test "the role that checks dies alone, and passwords change with SIGHUP" {
	users
	RELAY_MAY_DIE=auth
	relay_start
	kill -9 "$(relay_role auth)"
	relay_await 10 log_says 'role-died role=auth'
	relay_await 10 auth_is_back
	CODES="235"
	relay_await 10 knows bob@example.org b
	passwd bob@example.org new
	kill -HUP "$RELAY_PID"
	relay_await 10 log_says 'master reloaded'
	relay_await 10 knows bob@example.org new
	run ! knows bob@example.org b
	run ! grep -q 'role-died role=in' "$RELAY_LOG"
}

# 220 guesses wait for one who checks, and there is room for 200: the one of another address has its turn.
@test "who guesses from one address keeps another waiting for a hash, not for all of them" {
	users
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required auth required" 'limit max-auth-failures 1000'
	relay_start
	python3 - "$RELAY_PORT" 220 > guesses 3>&- <<-'END' &
		import base64, socket, ssl, sys
		context = ssl._create_unverified_context()
		guess = b"AUTH PLAIN " + base64.b64encode(b"\0ann\0guess") + b"\r\n"
		def connect():
		    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60, ("127.0.0.9", 0))
		    f = s.makefile("rb")
		    f.readline()
		    def say(s, f, line):
		        s.sendall(line)
		        while f.readline()[3:4] == b"-":
		            pass
		    say(s, f, b"EHLO c\r\n")
		    say(s, f, b"STARTTLS\r\n")
		    s = context.wrap_socket(s)
		    f = s.makefile("rb")
		    say(s, f, b"EHLO c\r\n")
		    return s, f
		all = [connect() for i in range(int(sys.argv[2]))]
		for s, f in all:
		    s.sendall(guess)
		print("sent", flush=True)
		codes = [f.readline()[:3].decode() for s, f in all]
		print("busy", codes.count("454"), "no", codes.count("535"), flush=True)
	END
	relay_await 60 grep -q '^sent' guesses || { cat guesses; return 1; }
	knows bob@example.org b
	wait $!
	cat guesses
	[ "$(sed -n '/ auth .*user=bob@example.org result=yes/,$p' "$RELAY_LOG" | grep -c ' auth .*user=ann result=no')" -ge 20 ]
	# Of the newcomers the line's end had no place, nor had the guess that made room.
	relay_await 10 log_says ' auth client=127.0.0.9 user=ann result=busy'
	run ! log_says 'user=bob@example.org result=busy'
}

# PYTHON...: with the client's first words said inside TLS, on a relay whose clock is set forward by ahead().
python_in_tls()
{
	/usr/bin/python3 - "$RELAY_PORT" "$RELAY/faults" "$(plain ann 'gr€en & "tea"')" "$1" <<-'END'
		import os, signal, socket, ssl, sys
		port, faults, plain, code = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode(), sys.argv[4]
		def expect(f, code):
		    line = f.readline()
		    while line[3:4] == b"-":
		        line = f.readline()
		    if not line.startswith(code):
		        sys.exit("expected %s, got %s" % (code, line))
		def say(line, code):
		    s.sendall(line + b"\r\n")
		    expect(f, code)
		# Behind the second banner the worker has read what was sent before the first.
		def banners():
		    for i in range(2):
		        with socket.create_connection(("127.0.0.1", port), 20) as other:
		            expect(other.makefile("rb"), b"220")
		def ahead(seconds):
		    banners()
		    with open(faults, "r+b") as f:
		        f.write((b"clock * 0 ahead=%d" % seconds).ljust(4096, b"\0"))
		    banners()
		s = socket.create_connection(("127.0.0.1", port), 20)
		f = s.makefile("rb")
		expect(f, b"220")
		say(b"EHLO c", b"250")
		say(b"STARTTLS", b"220")
		s = ssl._create_unverified_context().wrap_socket(s)
		f = s.makefile("rb")
		say(b"EHLO c", b"250")
		exec(code)
	END
}

@test "a password that is not checked in time: 454, and the session goes on; its own time runs on" {
	local auth
	users
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required auth required" 'workers 1' \
	    'hosts in default relay session-time 5m'
	relay_with_faults
	relay_start
	auth=$(relay_role auth)
	kill -STOP "$auth"
	python_in_tls "if True:
	    s.sendall(b'AUTH PLAIN ' + plain + b'\\r\\n')
	    ahead(50)
	    ahead(70)
	    expect(f, b'454 4.7.0')
	    os.kill($auth, signal.SIGCONT)
	    say(b'MAIL FROM:<a@b.example>', b'530')
	    say(b'AUTH PLAIN ' + plain, b'235')
	    os.kill($auth, signal.SIGSTOP)"
	python_in_tls "if True:
	    ahead(350)
	    s.sendall(b'AUTH PLAIN ' + plain + b'\\r\\n')
	    ahead(380)
	    expect(f, b'421 4.7.0')"
	relay_await 10 log_says ' auth client=127.0.0.1 user=ann result=late'
	relay_logs 1 ' auth .*user=ann result=yes'
	relay_await 10 log_says ' disconnect client=127.0.0.1 end=session-time stage="end of AUTH" .*reason="end of AUTH: the session has lasted too long"'
}

auth_is_back()
{
	[ -n "$(relay_role auth)" ]
}

# USER PASSWORD
knows()
{
	CODES=235
	says "$RELAY_PORT" "AUTH PLAIN $(plain "$1" "$2")"'\r\n'
}

@test "many passwords at once keep nobody else waiting" {
	users
	relay_start
	pids=()
	for i in 1 2 3 4 5 6 7 8; do
		knows ann 'gr€en & "tea"' > "out.$i" 3>&- &
		pids+=($!)
	done
	CODES="250"
	says "$RELAY_PORT2" 'NOOP\r\n'
	wait "${pids[@]}"
	[ "$(cat out.* | grep -c ' 235 ')" -eq 8 ]
}
