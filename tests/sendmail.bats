#!/usr/bin/env bats
# smtp-relay under the names sendmail, mailq and newaliases: the command lines of cron, PHP, git and others, what
# reaches the spool, and what a hostile caller can do.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
	mkdir "$RELAY/links"
	for name in sendmail mailq newaliases; do
		ln -s "$BIN/smtp-relay" "$RELAY/links/$name"
	done
	PATH=$RELAY/links:$PATH
	mkdir -m 755 state
	export MTATLS_DIR=$RELAY/state
	ln -s "$RELAY/conf" state/smtp-relay.conf
}

teardown()
{
	[ -z "${SINK:-}" ] || kill "$SINK"
	relay_end
}

# [LINE…]: a relay that takes mail of this host, with these lines more.
start()
{
	relay_conf "listen local 127.0.0.1@$RELAY_PORT type private" 'hosts local 127.0.0.0/8 relay' "$@"
	relay_start
}

# The message without its CRs, and without what differs from run to run.
message()
{
	relay_message | tr -d '\r' | sed -E 's/^(Date: ).*/\1now/; s/^(Message-ID: <)[0-9]+\.[0-9]+\.[0-9a-f]{16}@/\1unique@/'
}

envelope()
{
	relayq -s "$RELAY_SPOOL" show "$(relay_ids)" | grep -E '^(from|rcpt|body|smtputf8|ret|envid|notify)' | sed 's/: waiting//'
}

# CMD…: within 300 MB of address space, which the sanitizers need for themselves.
bounded()
{
	[[ $BIN == */asan/* ]] || ulimit -v 300000
	"$@"
}

# STATUS CMD…: it ends with that; what it says is in $output.
ends()
{
	local want=$1
	shift
	run "$@"
	[ "$status" -eq "$want" ] || { echo "status $status, not $want: $output"; return 1; }
}

# FILE LINE…: stands there and nothing else.
same()
{
	diff <(printf '%s\n' "${@:2}") "$1" || { echo "^ wanted <, > got"; return 1; }
}

@test "cron, PHP, git and mailers: their command lines" {
	start
	# cron of Debian
	printf 'From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h> job\nContent-Type: text/plain; charset=UTF-8\n\nl\303\244uft\n.\nend' |
	    sendmail -i -FCronDaemon -B8BITMIME -oem root
	message > got
	same got 'Date: now' 'Message-ID: <unique@relay.example>' 'From: root@relay.example (Cron Daemon)' \
	    'To: root@relay.example' 'Subject: Cron <root@h> job' 'Content-Type: text/plain; charset=UTF-8' '' \
	    $'l\303\244uft' . end
	envelope > got
	same got 'from <root@relay.example> BODY=8BITMIME' 'rcpt <root@relay.example>'
	relay_forget
	# PHP: sendmail_path, and -f as mail() adds it
	printf 'To: =?utf-8?B?w7g=?= <a@one.test>, "B, C" <b@two.test>\nSubject: s\nFrom: w@x.test\nBcc: secret@four.test,\n\tother@five.test\nCc: c@three.test\nX-A: 1\n\nbody\n' |
	    sendmail -t -i -fweb@x.test
	message > got
	same got 'Date: now' 'Message-ID: <unique@relay.example>' 'To: =?utf-8?B?w7g=?= <a@one.test>, "B, C" <b@two.test>' \
	    'Subject: s' 'From: w@x.test' 'Cc: c@three.test' 'X-A: 1' '' body
	envelope | sort > got
	same got 'from <web@x.test>' 'rcpt <a@one.test>' 'rcpt <b@two.test>' 'rcpt <c@three.test>' \
	    'rcpt <other@five.test>' 'rcpt <secret@four.test>'
	relay_forget
	# mutt, with the options of DSN; msmtp's way of naming recipients behind --
	printf 'From: m@x.test\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <1@x.test>\n\nhi\n' |
	    sendmail -oem -oi -N 'failure,delay' -R hdrs -V 'my id+1' -f m@x.test -- a@one.test 'B <b@two.test>, c@three.test'
	message > got
	same got 'From: m@x.test' 'Date: now' 'Message-ID: <1@x.test>' '' hi
	relayq -s "$RELAY_SPOOL" show "$(relay_ids)" > got
	[ "$(grep -c '^rcpt.*NOTIFY=FAILURE,DELAY' got)" -eq 3 ] || { cat got; false; }
	grep -q 'RET=HDRS' got
	grep -q 'ENVID=my+20id+2B1' got || { cat got; false; }
	relay_forget
	# Without -i a dot ends it, and what follows is not read.
	printf 'one\n.\ntwo\n' | sendmail -v a@one.test > out 2>&1
	grep -q "a@one.test: 250 2.* $(relay_ids)" out || { cat out; false; }
	[ "$(message | tail -n 2)" = $'\none' ] || { message; false; }
	relay_forget
	# Python
	python3 -c '
import email.message, subprocess
m = email.message.EmailMessage()
m["From"] = "p@x.test"; m["To"] = "a@one.test"; m["Bcc"] = "b@two.test"; m["Subject"] = "h\u00e4"; m.set_content("\u00fc")
subprocess.run(["sendmail", "-t", "-oi"], input=m.as_bytes(), check=True)'
	[ "$(envelope | grep -c '^rcpt')" -eq 2 ]
	[ "$(message | grep -ci bcc)" -eq 0 ]
}

# What mailers do themselves, with their own configuration out of the way.
@test "the programs themselves: git send-email, mutt, mailx, PHP" {
	start
	export HOME=$RELAY GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
	git init -q repo
	cd repo
	git config user.name G
	git config user.email g@x.test
	echo one > file && git add file && git commit -qm first
	git send-email --sendmail-cmd="$RELAY/links/sendmail" --to a@one.test --bcc b@two.test --envelope-sender auto --suppress-cc all --confirm never -1 > ../out 2>&1 || { cat ../out; false; }
	cd "$RELAY"
	envelope > got
	same got 'from <g@x.test>' 'rcpt <a@one.test>' 'rcpt <b@two.test>'
	message | grep -qx 'Subject: \[PATCH\] first'
	relay_forget
	printf 'l\303\244uft\n.\n' | LC_ALL=C.UTF-8 mutt -n -F /dev/null -e "set sendmail='$RELAY/links/sendmail -oem -oi'" -e 'set send_charset=utf-8' -e 'set use_8bitmime' \
	    -e 'set use_envelope_from' -e 'set from=m@x.test' -e 'set dsn_notify=failure' -e 'set copy=no' -s subject -b b@two.test a@one.test > out 2>&1 ||
	    { cat out; false; }
	envelope > got
	same got 'from <m@x.test> BODY=8BITMIME' 'rcpt <a@one.test> NOTIFY=FAILURE' 'rcpt <b@two.test> NOTIFY=FAILURE'
	message | sed '1,/^$/d' > got
	same got $'l\303\244uft' .
	[ "$(message | grep -c '^Bcc')" -eq 0 ]
	relay_forget
	printf 'hello\n' | MAILRC=/dev/null s-nail -n -S "mta=$RELAY/links/sendmail" -r r@x.test -s subject -b b@two.test a@one.test
	envelope > got
	same got 'from <r@x.test>' 'rcpt <a@one.test>' 'rcpt <b@two.test>'
	relay_forget
	php -n -d "sendmail_path=$RELAY/links/sendmail -t -i" -r \
	    'exit(mail("a@one.test", "s", "line\n.\nend", "From: w@x.test\r\nBcc: b@two.test", "-fweb@x.test") ? 0 : 1);'
	envelope > got
	same got 'from <web@x.test>' 'rcpt <a@one.test>' 'rcpt <b@two.test>'
	[ "$(message | tail -n 3)" = $'line\n.\nend' ] || { message; false; }
	relay_forget
	# And each notices when it is not taken.
	relay_stop
	run php -n -d "sendmail_path=$RELAY/links/sendmail -t -i" -r 'exit(mail("a@one.test", "s", "x") ? 0 : 7);'
	[ "$status" -eq 7 ]
	[[ $output == *"the relay does not take mail at 127.0.0.1@$RELAY_PORT"* ]]
	run s-nail -n -S "mta=$RELAY/links/sendmail" -S sendwait -s subject a@one.test <<< hello
	[ "$status" -ne 0 ]
	cd repo
	run git send-email --sendmail-cmd="$RELAY/links/sendmail" --to a@one.test --confirm never -1
	[ "$status" -ne 0 ]
}

@test "cron, logcheck, at, mdadm, smartd, Nagios: what they say, word for word" {
	start
	while IFS='|' read -r args want; do
		# shellcheck disable=SC2086 # options
		printf 'From: root\nTo: ops@one.test\nSubject: x\n\n.\nend\n' | sendmail $args > out 2>&1 || { echo "$args: $?"; cat out; false; }
		[ ! -s out ]
		envelope | tr '\n' ' ' > got
		printf %s "$want" | diff - got || { echo "^ $args"; false; }
		[ "$(message | tail -n 2)" = $'.\nend' ] || { echo "$args:"; message; false; }
		relay_forget
	done <<- 'END'
		-FCronDaemon -i -odi -oem -oi -t -f root|from <root@relay.example> rcpt <ops@one.test> 
		-i -FCronDaemon -B8BITMIME -oem root|from <root@relay.example> rcpt <root@relay.example> 
		-FCronDaemon -odi -oem -oi -or0s root|from <root@relay.example> rcpt <root@relay.example> 
		-i -oem alice@x.test bob|from <root@relay.example> rcpt <alice@x.test> rcpt <bob@relay.example> 
		-i atuser|from <root@relay.example> rcpt <atuser@relay.example> 
		-oi -t|from <root@relay.example> rcpt <ops@one.test> 
		-t -oi -oem -fnagios@x.test|from <nagios@x.test> rcpt <ops@one.test> 
		-oi -em -fmdadm root|from <mdadm@relay.example> rcpt <root@relay.example> 
		-i -f <> -- root|from <> rcpt <root@relay.example> 
		-oi -oem -odb -oee root|from <root@relay.example> rcpt <root@relay.example> 
		-O IgnoreDots=true -O ErrorMode=p -O DeliveryMode=b root|from <root@relay.example> rcpt <root@relay.example> 
		-Am -i -U -G -L tag -p ESMTP:x -X /dev/null root|from <root@relay.example> rcpt <root@relay.example> 
		-i -d0.1 -h 3 -m -s -M x -D /dev/null root|from <root@relay.example> rcpt <root@relay.example> 
	END
}

@test "mail goes out by the relay: recipients and octets" {
	RELAY_DELIVER=yes
	mkdir taken
	mailer sink -s taken taken.log 127.0.0.1 "$RELAY_PORT2" </dev/null >sink.log 2>&1 3>&- &
	SINK=$!
	echo 'root: ops@far.test' > aliases
	start "route default 127.0.0.1@$RELAY_PORT2" "aliases $RELAY/aliases"
	printf 'Subject: job\n\n.one\nl\303\244uft\r\n..\n' | sendmail -i -FCronDaemon -B8BITMIME -oem root
	relay_await 20 arrived
	sed '1,/^\r*$/d' taken/* > got
	[ "$(cat got)" = $'.one\r\nl\303\244uft\r\n..\r' ] || { cat -A got; cat sink.log; false; }
	relay_await 10 grep -q ' delivered to=ops@far.test ' "$RELAY_LOG"
	[ -z "$(relay_ids)" ] || relay_await 10 grep -q ' removed ' "$RELAY_LOG"
}

arrived()
{
	grep -q ' delivered ' "$RELAY_LOG" && [ -n "$(ls taken)" ]
}

@test "aliases: members, files, aliases of aliases, itself, loops, the rest, and what is no address" {
	cat > aliases <<-'END'
		# who gets it
		Root:	admin, Ops <ops@far.test>
		admin:	ann@far.test,
		 \root
		bob: bob, archive@far.test
		a: b
		b: a
		pipe: "|/bin/mail"
		file: /var/mail/x
		mine: :include:RELAY/list, last@far.test
		round: :include:RELAY/round
		absent: :include:RELAY/none
		odd: :include:RELAY/odd
	END
	sed -i "s|RELAY|$RELAY|" aliases
	printf '# a list\none@far.test, two@far.test\n\n":include:%s/third"\nbob\n' "$RELAY" > list
	echo 'three@far.test' > third
	echo ":include:$RELAY/round" > round
	printf 'ok@far.test\n|/bin/sh\n' > odd
	start "aliases $RELAY/aliases"
	ends 0 sendmail -i root postmaster ROOT@localhost 'B <bob@relay.example>' root@other.test < /dev/null
	envelope | grep rcpt > got
	same got 'rcpt <ann@far.test>' 'rcpt <archive@far.test>' 'rcpt <bob@relay.example>' 'rcpt <ops@far.test>' \
	    'rcpt <root@other.test>' 'rcpt <root@relay.example>'
	relay_forget
	ends 0 sendmail -bv mine
	same <(echo "$output") archive@far.test bob@relay.example last@far.test one@far.test three@far.test two@far.test
	ends 0 sendmail -n -bv root
	[ "$output" = root@relay.example ]
	ends 0 sendmail -bv MAILER-DAEMON nobody@relay.example
	same <(echo "$output") ann@far.test nobody@relay.example ops@far.test root@relay.example
	echo '*: fallback@far.test, nobody' >> aliases
	ends 0 sendmail -bv bob x nobody
	same <(echo "$output") archive@far.test bob@relay.example fallback@far.test nobody@relay.example
	while IFS='|' read -r name want; do
		ends 78 sendmail -i "$name" < /dev/null
		[ "$output" = "sendmail: $name: $RELAY/$want" ] || { echo "$name: $output"; false; }
	done <<- END
		a|aliases:7: alias a leads back to itself
		pipe|aliases:8: alias pipe is at fault
		file|aliases:9: alias file is at fault
		round|round:1: $RELAY/round leads back to itself
		absent|aliases:12: $RELAY/none: No such file or directory
		odd|odd:2: a program is no address: none is run
	END
	[ -z "$(relay_ids)" ]
	ends 65 newaliases
	same <(echo "$output") "newaliases: $RELAY/aliases:8: a program is no address: none is run" \
	    "newaliases: $RELAY/aliases:9: a file is no address: none is written" \
	    "newaliases: $RELAY/round:1: $RELAY/round leads back to itself" \
	    "newaliases: $RELAY/aliases:12: $RELAY/none: No such file or directory" \
	    "newaliases: $RELAY/odd:2: a program is no address: none is run"
	rm aliases
	ends 78 sendmail -i bob < /dev/null
	[[ $output == *"conf:9: aliases: $RELAY/aliases: No such file or directory (make it, empty if there are none, or take this \
line out)" ]]
	echo 'root: bob' > aliases
	ends 0 newaliases
	[ -z "$output" ]
}

@test "one alias at fault, and others: these get the message" {
	printf 'bad: "|/bin/mail"\nall: ann@far.test, bob, bad\nteam: bob\nbob: bob@far.test\nworse: /tmp/x\n' > aliases
	start "aliases $RELAY/aliases"
	ends 78 sendmail -i bad carl < <(printf 'Subject: x\n\nx\n')
	same <(echo "$output") "sendmail: bad: $RELAY/aliases:1: alias bad is at fault" "sendmail: 1 of 2 recipients were not taken"
	[ "$(relayq -s "$RELAY_SPOOL" show "$(relay_ids)" | grep -o 'rcpt <.*>')" = 'rcpt <carl@relay.example>' ]
	relay_forget
	# What the line led to before its fault gets nothing by it; by others it does.
	ends 78 sendmail -i -t < <(printf 'To: all, worse\nCc: team\nBcc: dora\n\nx\n')
	same <(echo "$output") "sendmail: all: $RELAY/aliases:1: alias bad is at fault" \
	    "sendmail: worse: $RELAY/aliases:5: alias worse is at fault" "sendmail: 2 of 4 recipients were not taken"
	envelope | grep rcpt > got
	same got 'rcpt <bob@far.test>' 'rcpt <dora@relay.example>'
	relay_forget
	ends 78 sendmail -i all bad < /dev/null
	[ -z "$(relay_ids)" ]
	ends 78 sendmail -bv team bad
	same <(echo "$output") "sendmail: bad: $RELAY/aliases:1: alias bad is at fault" bob@far.test
}

@test "what is wrong with aliases stops no relay: -n, the start and SIGHUP tell it" {
	printf 'ann: ann@far.test\nno colon\nmine: :include:%s\n' "$RELAY/list" > aliases
	echo '|/bin/sh' > list
	start "aliases $RELAY/aliases"
	relay_await 10 grep -q "master conf-warning file=$RELAY/aliases line=2 warning=" "$RELAY_LOG"
	# Whose file it is nobody knows: the relay does not read it.
	run ! grep -q "$RELAY/list" "$RELAY_LOG"
	ends 0 smtp-relay -n -c conf
	[[ $output == *"smtp-relay: $RELAY/aliases:2: warning: expected"*"smtp-relay: $RELAY/list:1: warning: a program"* ]]
	rm aliases
	kill -HUP "$RELAY_PID"
	relay_await 20 grep -q 'master reloaded' "$RELAY_LOG"
	grep -q "master conf-warning file=$RELAY/conf line=9 warning=.aliases: $RELAY/aliases: No such file or directory (make it" \
	    "$RELAY_LOG"
	ends 0 smtp-relay -n -c conf
	[[ $output == *"conf:9: warning: aliases: $RELAY/aliases: No such file"* ]]
	relay_stop
	relay_start
	relay_await 10 grep -q "master conf-warning file=$RELAY/conf line=9 " "$RELAY_LOG"
}

@test "the recipients that there are, and a domain for bare names" {
	echo known@relay.example > recipients
	relay_conf "listen in 127.0.0.1@$RELAY_PORT2 type public domains relay.example" \
	    "listen local 127.0.0.1@$RELAY_PORT type private default-domain here.test" 'hosts local 127.0.0.0/8 relay' \
	    "recipients $RELAY/recipients"
	relay_start
	ends 67 sendmail nobody@relay.example < /dev/null
	[[ $output == *'nobody@relay.example: 550 5.1.1'* ]] || { echo "$output"; false; }
	[ -z "$(relay_ids)" ]
	printf 'To: bare, c@d.test\n\n' | sendmail -f me known@relay.example bare
	envelope > got
	same got 'from <me@here.test>' 'rcpt <bare@here.test>' 'rcpt <known@relay.example>'
	message | grep -qx 'To: bare@here.test, c@d.test'
	message | grep -qx 'From: me@here.test'
	message | grep -q '^Message-ID: <.*@relay.example>'
}

@test "-bs speaks SMTP with the relay; mailq lists" {
	start
	ends 0 mailq
	[ "$output" = 'Mail queue is empty' ]
	printf 'EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n' > in
	# One at a time: the relay takes no pipelining before EHLO's answer.
	python3 - <<-'END'
		import subprocess
		p = subprocess.Popen(["sendmail", "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		def reply():
		    while True:
		        line = p.stdout.readline().decode()
		        assert line, "closed"
		        if line[3] == " ":
		            return line
		assert reply().startswith("220")
		for line in open("in", newline="").read().split("\r\n"):
		    p.stdin.write((line + "\r\n").encode()); p.stdin.flush()
		    if line[:4] in ("EHLO", "MAIL", "RCPT", "DATA", "QUIT") or line == ".":
		        assert reply()[0] in "23", line
		    if line == "QUIT":
		        break
		assert p.wait(timeout=20) == 0
	END
	envelope > got
	same got 'from <a@x.test>' 'rcpt <b@y.test>'
	ends 0 mailq
	[[ $output == "$(relay_ids) queue "* ]]
	ends 0 sendmail -bp
	[[ $output == "$(relay_ids) queue "* ]]
	ends 0 sendmail -q
}

@test "a unix socket comes first, if it may be used; a user without rights" {
	start "listen sock $RELAY/sub.sock mode 666"
	printf 'To: x@y.test\n\nhi\n' > in
	chmod 644 in conf
	as_nobody env TMPDIR=/nowhere sendmail -t < in
	envelope > got
	same got 'from <nobody@relay.example>' 'rcpt <x@y.test>'
	message | grep -qx 'From: nobody <nobody@relay.example>'
	relay_await 10 grep -q " connect listener=sock client=local uid=$(id -u nobody) " "$RELAY_LOG"
	relay_forget
	chmod 600 sub.sock
	as_nobody sendmail -t < in
	relay_await 10 grep -q ' connect listener=local client=127.0.0.1 ' "$RELAY_LOG"
	relay_forget
	# Larger than what is held in memory, from a folder for temporary files that is not there.
	{ cat in; yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -c 3000000; } > big
	chmod 644 big
	as_nobody env TMPDIR=/nowhere sendmail -t < big || :
	as_nobody sendmail -t < big
	[ "$(message | sed '1,/^$/d' | tail -n +2 | head -c 3000000 | md5sum)" = "$(tail -n +4 big | md5sum)" ]
	relay_forget
	# The queue is root's.
	run as_nobody mailq
	[ "$status" -eq 77 ] || { echo "$status $output"; false; }
	[[ $output == *'relayq list'* ]]
	chmod 600 conf
	run as_nobody sendmail -t < in
	[ "$status" -eq 77 ]
	chmod 644 conf
}

as_nobody()
{
	setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

@test "which listener takes it" {
	while IFS='|' read -r want line; do
		relay_conf
		printf '%s\n' "listen none 127.0.0.1@1 type private tls required" "hosts none 127.0.0.0/8 relay" >> conf
		tr ';' '\n' <<< "$line" >> conf
		run sendmail -bs < /dev/null
		[ "$status" -eq 75 ] || [ "$status" -eq 78 ] || [ "$status" -eq 0 ]
		[[ $output == *"$want"* ]] || { echo "$line: $output"; false; }
	done <<- END
		no listener takes mail of this host|listen b 127.0.0.1@2 type private
		no listener takes mail of this host|listen b 127.0.0.1@2 domains x.test;hosts b 127.0.0.1 accept
		at 127.0.0.1@2:|listen b 127.0.0.1@2 domains x.test;hosts b 127.0.0.1 relay
		at 127.0.0.1@2:|listen b 127.9.9.9@2 domains x.test;hosts b 127.0.0.1 relay;submit 127.0.0.1@2
		at 127.0.0.1@2:|listen b 0.0.0.0@2 type private;hosts b 127.0.0.0/8 relay
		at ::1@2:|listen b ::@2 type private;hosts b ::1 relay
		no listener takes mail of this host|listen b 127.0.0.1@2 type private;hosts b 127.0.0.0/8 relay;hosts b 127.0.0.1 reject
		no listener takes mail of this host|listen b 127.0.0.1@2 type private proxy 10.0.0.1;hosts b 127.0.0.1 relay
		no listener takes mail of this host|listen b 127.0.0.1@2 type private tls preferred auth required
		no listener takes mail of this host|listen b 127.0.0.1@2 type private tls preferred;hosts b 127.0.0.1 relay tls required
		no listener takes mail of this host|listen b 127.0.0.1@2 type private protocol smtps;hosts b 127.0.0.1 relay
		at $RELAY/none:|listen b 127.0.0.1@2 type private;hosts b 127.0.0.1 relay;listen c $RELAY/none
		no listener takes mail of this host|listen c $RELAY/none;hosts c default reject
		at $RELAY/other:|submit $RELAY/other
	END
}

@test "status: usage, data, no relay, refused, no configuration" {
	ends 78 sendmail a@x.test < /dev/null
	[[ $output == *smtp-relay.conf* ]]
	relay_conf "listen local 127.0.0.1@$RELAY_PORT type private" 'hosts local 127.0.0.0/8 relay'
	ends 75 sendmail a@x.test < /dev/null
	[[ $output == *"the relay does not take mail at 127.0.0.1@$RELAY_PORT"* ]] || { echo "$output"; false; }
	run sendmail -bs < /dev/null
	[ "$status" -eq 75 ]
	[[ $output == *'421 4.3.2 relay.example'* ]]
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains here.test"
	ends 78 sendmail a@x.test < /dev/null
	[[ $output == *submit* ]]
	echo "submit 127.0.0.1@$RELAY_PORT" >> conf
	relay_start
	ends 77 sendmail a@there.test < /dev/null
	[[ $output == *a@there.test*5.7.1* ]] || { echo "$output"; false; }
	ends 77 sendmail a@there.test b@here.test < /dev/null
	[[ $output == *'1 of 2'* ]]
	relay_forget
	# Quiet.
	ends 77 sendmail -oeq a@there.test < /dev/null
	[ -z "$output" ]
	for args in '' -x '-Bx a@b.test' -bd -bD -bt -bz -bv '-N sometimes a@b.test' '-R some a@b.test' '-O x a@b.test' \
	    '-f a,b c@d.test' '-f'; do
		# shellcheck disable=SC2086
		ends 64 sendmail $args < /dev/null
	done
	ends 64 sendmail -F $'x\nBcc: evil@x.test' a@here.test < /dev/null
	ends 64 sendmail -f $'x@y.test>\r\nRCPT TO:<evil@x.test' a@here.test < /dev/null
	ends 65 sendmail $'a@here.test>\r\nRCPT TO:<evil@x.test' < /dev/null
	ends 65 sendmail -t < /dev/null
	ends 65 sendmail -t < <(printf 'To: a b c\n\n')
	[[ $output == *To:* ]]
	ends 0 sendmail -h
	[[ $output == usage:* ]]
	[ -z "$(relay_ids)" ]
}

@test "hostile input: NUL, CR, no end, too many, closed descriptors" {
	start 'max-size 1M'
	ends 65 sendmail a@x.test < <(printf 'Subject: a\0b\n\n')
	[[ $output == *'octet 11'*NUL* ]] || { echo "$output"; false; }
	ends 65 sendmail a@x.test < <(printf 'Subject: x\rBcc: evil@x.test\n\n')
	[[ $output == *CR* ]]
	ends 65 sendmail a@x.test < /dev/zero
	[[ $output == *'larger than 1048576 octets'* ]]
	ends 74 sh -c 'exec sendmail a@x.test <&-'
	# A header without end, a line without end, recipients without end: refused, within bounded memory.
	yes 'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' | head -c 40000000 > big
	ends 65 bounded sendmail a@x.test < big
	[[ $output == *'header is larger'* ]]
	tr '\0' a < /dev/zero | head -c 1G > >(bounded sendmail a@x.test > out 2>&1 || echo $? > status) || :
	relay_await 20 test -s status
	[ "$(cat status)" -eq 65 ] || { cat out; false; }
	grep -q 'larger than 1048576 octets' out
	{ printf 'Bcc: a@x.test,\n'; seq -f ' r%.0f@x.test,' 1 100001; printf '\nhi\n'; } > big
	ends 65 bounded sendmail -t < big
	[[ $output == *'more than 100000 recipients'* ]]
	[ -z "$(relay_ids)" ]
	# More than one transaction can hold, and more than the relay takes at once.
	{ printf 'Bcc: a@x.test,\n'; seq -f ' r%.0f@x.test,' 1 250; printf '\n\nhi\n'; } | sendmail -t
	[ "$(relay_ids | wc -l)" -eq 3 ]
	relay_forget
	sed -i '$a limit max-recipients 7' conf
	kill -HUP "$RELAY_PID"
	relay_await 20 grep -q ' reloaded ' "$RELAY_LOG"
	{ printf 'Bcc: a@x.test,\n'; seq -f ' r%.0f@x.test,' 1 19; printf '\n\nhi\n'; } > in
	sendmail -t < in
	[ "$(relay_ids | wc -l)" -eq 3 ]
	relay_forget
	# Where that is not known: another configuration names the place.
	printf 'hostname relay.example\nsubmit 127.0.0.1@%s\n' "$RELAY_PORT" > other
	{ printf 'Bcc:\n'; seq -f ' r%.0f@x.test,' 1 12; printf '\nhi\n'; } > in
	sendmail -C other -t < in
	[ "$(relay_ids | wc -l)" -eq 2 ]
	for id in $(relay_ids); do relayq -s "$RELAY_SPOOL" show "$id"; done | sed -n 's/^rcpt <\(.*\)>.*/\1/p' | sort > got
	seq -f 'r%.0f@x.test' 1 12 | sort | diff - got
	relay_forget
	# What cannot be carried is made fit, and that is said: the job that wrote it will not do better next time.
	ends 0 sendmail -i a@x.test < <(printf 'Subject: x\n\na\0b\n.\n%070000d\n' 0)
	same <(echo "$output") 'sendmail: 1 NUL in the message, which mail cannot hold, are ? now' \
	    'sendmail: lines of more than 65533 octets were broken'
	message | sed '1,/^$/d' | awk '{ print length($0), substr($0, 1, 3) }' > got
	same got '3 a?b' '1 .' '65533 000' '4467 000'
	relay_forget
	# A CR alone ends a line of the body, as the relay would refuse it.
	printf '\n10%%\r20%%\r\nend' | sendmail -i a@x.test
	[ "$(relay_message | tail -n 3)" = $'10%\r\n20%\r\nend\r' ]
	relay_forget
	# Lines that end a message for others only.
	printf '\na\r\n.\r\nMAIL FROM:<evil@x.test>\r\n\n.\n..\n' | sendmail -i a@x.test
	[ "$(relay_message | tail -n 6)" = $'a\r\n.\r\nMAIL FROM:<evil@x.test>\r\n\r\n.\r\n..\r' ] || { relay_message; false; }
}

# PAGE TEXT: its literal block with that, as one would type it.
block()
{
	awk -v text="$2" '/^\.Bd -literal/ { on = 1; all = ""; next }
	    /^\.Ed/ { if (on && index(all, text)) printf "%s", all; on = 0 }
	    on { all = all $0 "\n" }' "$BATS_TEST_DIRNAME/../man/$1" | sed 's/\\e/\\/g'
}

@test "the examples of the pages" {
	block mtatls-aliases.5 backup: | sed "s|/etc/mtatls|$RELAY|" > aliases
	echo carl@example.org > ops
	start "aliases $RELAY/aliases"
	ends 0 newaliases
	[ -z "$output" ]
	block mtatls-sendmail.8 -FCronDaemon > lines
	[ "$(wc -l < lines)" -eq 4 ]
	ends 0 sh -e lines
	same <(echo "$output") ann@example.org bob@example.org
	[ "$(relay_ids | wc -l)" -eq 3 ]
	for id in $(relay_ids); do relayq -s "$RELAY_SPOOL" show "$id"; done | sed -n 's/^rcpt <\(.*\)>.*/\1/p' | sort | uniq -c | awk '{ print $1, $2 }' > got
	same got '3 ann@example.org' '1 bob@example.org' '1 carl@example.org'
	ends 0 sendmail -bv backup ops whoever
	same <(echo "$output") ann@example.org bob@example.org carl@example.org storage@example.org
	# The configuration.
	{
		printf 'hostname h.example\nuser news\nqueue-user games\n'
		block smtp-relay.conf.5 /run/mtatls/submit | sed "s|/etc/mtatls|$RELAY|; s|/run/mtatls|$RELAY|"
	} > other
	ends 0 smtp-relay -n -c other
	[[ $output == *"aliases in $RELAY/aliases"*"listener local on $RELAY/submit: private"*'destination default: tls required-verify'* ]] ||
	    { echo "$output"; false; }
	ends 75 sendmail -C other root < /dev/null
	[[ $output == *"at $RELAY/submit: No such file"* ]]
}

@test "make install-sendmail replaces nothing, and uninstall takes its own away" {
	# The programs are not built for this.
	links=(sbin/sendmail bin/mailq bin/newaliases share/man/man8/sendmail.8)
	mk=(make -s -C "$BATS_TEST_DIRNAME/.." "DESTDIR=$RELAY/root" PREFIX=/p)
	"${mk[@]}" install-sendmail
	"${mk[@]}" install-sendmail
	mkdir -p root/p/bin
	cp "$BIN/smtp-relay" root/p/bin/
	cp "$BATS_TEST_DIRNAME/../man/mtatls-sendmail.8" root/p/share/man/man8/
	for at in "${links[@]}"; do
		[ -L "root/p/$at" ] && [ -e "root/p/$at" ] || { ls -lR root; false; }
	done
	ends 0 root/p/sbin/sendmail -h
	[[ $output == 'usage: sendmail'* ]]
	rm root/p/bin/mailq root/p/sbin/sendmail
	ln -s exim4 root/p/bin/mailq
	run "${mk[@]}" install-sendmail
	[ "$status" -ne 0 ]
	[[ $output == *"root/p/bin/mailq is there and not ours"* ]]
	[ ! -e root/p/sbin/sendmail ]
	"${mk[@]}" uninstall > /dev/null
	[ "$(readlink root/p/bin/mailq)" = exim4 ]
	[ ! -L root/p/bin/newaliases ] && [ ! -L root/p/share/man/man8/sendmail.8 ]
}
