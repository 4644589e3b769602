#!/usr/bin/env bats
# smtp-relay, routes and controls of destinations: where mail goes, by which protocol, as whom, and how much at once.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
	mkdir -p "$RELAY/etc"
	HOP_PIDS=()
	PEER_PID='' PORTS="$RELAY_PORT $RELAY_PORT2"
}

teardown()
{
	local status=0
	[ -z "${STOPPED:-}" ] || kill -CONT "$STOPPED" 2>/dev/null || :
	relay_end || status=1
	# A puppet ends with its sockets.
	[ ${#HOP_PIDS[@]} -eq 0 ] || kill "${HOP_PIDS[@]}" 2>/dev/null || :
	[ -z "$PEER_PID" ] || { kill -TERM "$PEER_PID"; wait "$PEER_PID" || status=1; }
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 40 "$RELAY"/*.hop "$RELAY/peer/log" 2>/dev/null
	return $status
}

# NAME PLACE [OPTION…]: a next hop there; its log is NAME.hop.
hop()
{
	local name=$1 place=$2
	shift 2
	"$BATS_TEST_DIRNAME/lab/hop" "$@" "$RELAY/$name.hop" "$place" </dev/null >"$RELAY/$name.out" 2>&1 3>&- &
	HOP_PIDS+=($!)
	relay_await 20 grep -qs '^ready' "$RELAY/$name.out" || { cat "$RELAY/$name.out"; return 1; }
}

# RCPT…: a message to each; its ID is ID, where there is one.
mail_to()
{
	mailer send "$RELAY_PORT" a@good.test "$@" > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# REGEX: a line of message ID's says so, now or within 30 s.
await_log()
{
	relay_await 30 log_says "$ID $1"
}

# NAME REGEX: the hop was told so.
hop_says()
{
	grep -qE -- "$2" "$RELAY/$1.hop"
}

# Trusts the lab's CA.
trust_lab()
{
	castore -d "$RELAY/etc" import "$LAB_CERTS/ca/cert.pem"
	castore -d "$RELAY/etc" disable system
}

# ROLE [WORD ANSWER]…: the role stands still, and lab/puppet answers in its place.
stand_in()
{
	local i status
	STOPPED=$(relay_role "$1")
	shift
	kill -STOP "$STOPPED"
	puppet "$STOPPED" "$@" </dev/null >"$RELAY/puppet" 2>&1 3>&- &
	HOP_PIDS+=($!)
	for ((i = 0; i < 400; i++)); do
		! grep -q '^ready' "$RELAY/puppet" || return 0
		if ! kill -0 "${HOP_PIDS[-1]}" 2>/dev/null; then
			status=0
			wait "${HOP_PIDS[-1]}" || status=$?
			unset 'HOP_PIDS[-1]'
			[ $status -ne 77 ] || skip "no pidfd_getfd here"
			break
		fi
		sleep 0.05
	done
	cat "$RELAY/puppet"
	return 1
}

# LINE…: the file of passwords.
credentials()
{
	(umask 077; printf '%s\n' "$@" > "$RELAY/etc/smtp-relay.credentials")
}

# NAME FROM: an identity of that name, from a certificate folder of the lab.
identity()
{
	mkdir -p "$RELAY/etc/certs/$1"
	cp "$2"/*.pem "$RELAY/etc/certs/$1/"
}

# NAME…: a free port in each of these variables, no two the same.
ports()
{
	local name port
	for name; do
		while port=$(relay_free_port); [[ " $PORTS " == *" $port "* ]]; do :; done
		PORTS="$PORTS $port"
		printf -v "$name" %s "$port"
	done
}

# ---- where to ----

@test "the most specific route wins; several hosts in their order" {
	local a b c none
	ports a b c none
	hop a "127.0.0.1@$a"; hop b "127.0.0.1@$b"; hop c "127.0.0.1@$c"
	relay_conf_to_lab "route default 127.0.0.1@$none,[127.0.0.1]@$a" "route .corp.test 127.0.0.1@$b" \
	    "route x.corp.test [127.0.0.1]@$c"
	relay_start
	mail_to u@elsewhere.test
	await_log "delivered to=u@elsewhere.test .*host=127.0.0.1 .*reply=\"250"
	hop_says a 'RCPT TO:<u@elsewhere.test>'
	relay_await 10 log_says "$ID not-delivered .*port=.*no connection"
	mail_to u@corp.test
	await_log delivered
	hop_says a 'RCPT TO:<u@corp.test>'
	mail_to u@a.b.corp.test
	await_log delivered
	hop_says b 'RCPT TO:<u@a.b.corp.test>'
	mail_to u@x.corp.test
	await_log delivered
	hop_says c 'RCPT TO:<u@x.corp.test>'
}

@test "a route to an IPv6 address" {
	[ "${LAB_V6:-}" = 1 ] || skip "no IPv6 here"
	local a
	ports a
	hop a "::1@$a"
	relay_conf_to_lab "route default [::1]@$a"
	relay_start
	mail_to u@x.test
	await_log 'delivered .*address=::1'
}

@test "the host's addresses, or its MX records: as mx says" {
	local a
	ports a
	hop a "127.0.0.25@$a"
	relay_conf_to_lab "route direct.test mx.good.test@$a" "route by-mx.test good.test@$a mx yes" \
	    "route no-mx.test good.test@$a"
	relay_start
	mail_to u@direct.test
	await_log 'delivered .*host=mx.good.test'
	mail_to u@by-mx.test
	await_log 'delivered .*host=mx.good.test'
	# good.test has no address itself.
	mail_to u@no-mx.test
	await_log 'deferred .*4.3.5 the route leads nowhere'
	run -0 smtp-relay -c "$RELAY/conf" -e u@by-mx.test
	[[ $output == *"by route to the MX of good.test"*"10 mx.good.test: "*" 127.0.0.25@$a"* ]] || { echo "$output"; return 1; }
}

# ---- protocols ----

@test "smtps: TLS comes first, whatever the level; a server without it gets no mail" {
	local a b
	ports a b
	hop a "127.0.0.25@$a" -p smtps -c "$LAB_CERTS/good"; hop b "127.0.0.25@$b"
	trust_lab
	relay_conf_to_lab "route default mx.good.test@$a protocol smtps" "destination no.test tls no" \
	    "destination strict.test tls required-verify" "route clear.test mx.good.test@$b protocol smtps" \
	    "destination wrong.test tls required-verify-hosted" "route wrong.test 127.0.0.25@$a protocol smtps"
	relay_start
	mail_to u@x.test
	await_log 'connected .*wanted=encrypt reached=ENC .*protocol=TLSv1'
	await_log 'delivered'
	mail_to u@no.test
	await_log 'delivered .*wanted=encrypt reached=ENC'
	mail_to u@strict.test
	await_log 'delivered .*wanted=pkix reached=AUTH'
	# No name of the certificate is the route's.
	mail_to u@wrong.test
	await_log '(not-delivered|tls-unusable) .*wanted=pkix reached=SKIP'
	mail_to u@clear.test
	await_log '(not-delivered|tls-unusable) .*TLS handshake'
	run ! hop_says b MAIL
	run ! hop_says a STARTTLS
	hop_says a '1 tls -'
}

@test "LMTP over TCP: LHLO, an answer for each recipient" {
	local a
	ports a
	hop a "127.0.0.1@$a" -p lmtp -s "$RELAY"
	RELAY_RETRY=1h relay_conf_to_lab "route x.test 127.0.0.1@$a protocol lmtp"
	relay_start
	mailer send -o "$RELAY_PORT" a@good.test u@x.test at-dot-452@x.test at-dot-550@x.test at-rcpt-551@x.test > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
	await_log 'delivered to=u@x.test .*reply="250 2.0.0 taken"'
	await_log 'deferred to=at-dot-452@x.test .*reply="452 4.9.9'
	await_log 'failed to=at-dot-550@x.test .*reply="550 5.9.9'
	await_log 'failed to=at-rcpt-551@x.test .*reply="551 5.9.9'
	await_log 'bounced'
	hop_says a '^1 LHLO relay.example'
	run ! hop_says a EHLO
	# Only who waits is left.
	run relayq -s "$RELAY_SPOOL" show "$ID"
	[[ $output == *at-dot-452@x.test* ]] || { echo "$output"; return 1; }
	grep -q '^Hello' "$RELAY/1"
}

@test "LMTP over a unix socket, which the roles can neither see nor open; it comes and goes" {
	hop a "$RELAY/lmtp" -p lmtp
	RELAY_RETRY=1s relay_conf_to_lab "route x.test unix:$RELAY/lmtp" "destination x.test tls required-verify dane mandatory" \
	    "route y.test unix:$RELAY/none,unix:$RELAY/lmtp" \
	    "listen tls 127.0.0.1@$RELAY_PORT2 type private tls preferred" "hosts tls 127.0.0.1 relay"
	relay_start
	[ "$(stat -c '%a %U' "$RELAY/lmtp")" = '600 root' ]
	mail_to u@x.test
	await_log "delivered to=u@x.test host=unix:$RELAY/lmtp address=socket wanted=clear reached=CLEAR"
	mail_to u@y.test
	await_log "(not-delivered|tls-unusable) .*host=unix:$RELAY/none .*reason=\"connect: No such file"
	await_log 'delivered'
	run ! hop_says a STARTTLS
	# A message that requires TLS is at its end here.
	run say -b 127.0.0.1 "$RELAY_PORT2" = 'EHLO c\r\n' = 'STARTTLS\r\n' = tls 'EHLO c\r\n' = 'MAIL FROM:<a@good.test> REQUIRETLS\r\n' = \
	    'RCPT TO:<tls@x.test>\r\n' = 'DATA\r\n' = 'Subject: x\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n'
	relay_await 30 log_says ' delivered to=tls@x.test '
	run ! hop_says a REQUIRETLS
	run -0 smtp-relay -c "$RELAY/conf" -e u@x.test
	[[ $output == *"unix:$RELAY/lmtp: clear, lmtp: a socket of this machine"* ]] || { echo "$output"; return 1; }
	kill "${HOP_PIDS[0]}"
	HOP_PIDS=()
	rm "$RELAY/lmtp"
	mail_to u@x.test
	await_log 'deferred'
	hop b "$RELAY/lmtp" -p lmtp
	await_log 'delivered'
	hop_says b 'RCPT TO:<u@x.test>'
}

# ---- passwords ----

@test "AUTH at a smarthost, inside verified TLS: PLAIN and LOGIN; the password is nowhere in the log" {
	local a b
	ports a b
	hop a "127.0.0.25@$a" -c "$LAB_CERTS/good" -a 'me@isp.test:s3 cr%t'
	hop b "127.0.0.25@$b" -p smtps -c "$LAB_CERTS/good" -a 'bob:hush' -m LOGIN
	trust_lab
	credentials 'isp me@isp.test s3%20cr%25t' 'other bob hush'
	relay_conf_to_lab "route default mx.good.test@$a credentials isp" \
	    "route b.test mx.good.test@$b protocol smtps credentials other"
	relay_start
	mail_to u@x.test
	# No destination line asks for it: that a password is sent does.
	await_log 'connected .*authenticated=yes wanted=pkix reached=AUTH'
	await_log 'delivered to=u@x.test'
	hop_says a '^1 AUTH PLAIN'
	mail_to u@b.test
	await_log 'delivered to=u@b.test .*reached=AUTH'
	hop_says b '^1 AUTH LOGIN'
	run ! grep -rqE 's3.cr|hush|czMgY3|aHVzaA' "$RELAY_LOG" "$RELAY_SPOOL"
}

@test "a wrong password waits for its operator, and says so" {
	local a
	ports a
	hop a "127.0.0.25@$a" -c "$LAB_CERTS/good" -a me:right
	trust_lab
	credentials 'isp me wrong'
	RELAY_RETRY=1h relay_conf_to_lab "route default mx.good.test@$a credentials isp"
	relay_start
	mail_to u@x.test
	await_log '(not-delivered|tls-unusable) .*rule="RFC 4954 6" .*reason="AUTH answered with: 535 5.7.8 who are you"'
	await_log 'deferred to=u@x.test .*535'
	run ! log_says "$ID (failed|delivered)"
	run ! hop_says a MAIL
	# Put right: SIGHUP is enough.
	credentials 'isp me right'
	kill -HUP "$RELAY_PID"
	relay_await 20 log_says 'master reloaded'
	relayq -s "$RELAY_SPOOL" retry "$ID"
	await_log 'delivered'
}

@test "no password goes out in clear text, to a false name, or without a CA's word" {
	local a b c d
	ports a b c d
	hop a "127.0.0.25@$a" -a me:x
	hop b "127.0.0.25@$b" -a me:x -c "$LAB_CERTS/self"
	hop c "127.0.0.25@$c" -a me:x -c "$LAB_CERTS/wrongname"
	hop d "127.0.0.25@$d" -a me:x -c "$LAB_CERTS/good"
	trust_lab
	credentials 'isp me x'
	RELAY_RETRY=1h relay_conf_to_lab "route a.test mx.good.test@$a credentials isp" "route b.test mx.good.test@$b credentials isp" \
	    "route c.test mx.good.test@$c credentials isp" "route ta-nexthop.test 127.0.0.25@$d credentials isp" \
	    "route no.test mx.good.test@$d credentials isp" "destination no.test tls no" \
	    "route elsewhere.invalid mx.good.test@$c credentials isp" "route mx.test mx-insecure.test@$d mx yes credentials isp"
	relay_start
	for domain in a b c no ta-nexthop mx; do
		mail_to "u@$domain.test"
		await_log '(not-delivered|tls-unusable)'
		await_log 'deferred'
	done
	relay_await 10 log_says "$ID (not-delivered|tls-unusable) .*host=mx.good.test .*authenticated by a name that came without DNSSEC"
	# Whoever has a certificate for the recipient's own domain is not the smarthost.
	mail_to u@elsewhere.invalid
	await_log '(not-delivered|tls-unusable) .*wanted=pkix reached=SKIP'
	run ! grep -q AUTH "$RELAY"/?.hop
	run ! grep -q MAIL "$RELAY"/?.hop
	# The summary knows that it will never work.
	run -0 --separate-stderr smtp-relay -n -c "$RELAY/conf"
	[[ $stderr == *'no mail for no.test can go: its route has credentials'* ]] || { echo "$stderr"; return 1; }
}

# Who took over route says where a password goes: with a certificate of a CA, at a host of its own.
@test "a route that was taken over gets no password: it goes where the configuration leads, or nowhere" {
	local a
	ports a
	hop a "127.0.0.25@$a" -c "$LAB_CERTS/good" -a me:x
	trust_lab
	credentials 'isp me x'
	RELAY_RETRY=1h relay_conf_to_lab "route default smarthost.invalid@$a credentials isp" \
	    "route ours.test mx.good.test@$a credentials isp"
	relay_with_clock
	relay_start
	# A configuration that is new may not be route's yet.
	relay_clock +2m
	stand_in route route "planned {1} $a 300{lf}plan 0 \"\" local \"\"{lf}facts [mx.good.test] 2 0 1 \"\" \"\"{lf}host mx.good.test 0 0 3 3 0 \"\" local \"\"{lf}asks 1 0 0 2 0 0 0 1{lf}as \"\" isp \"\" \"\"{lf}hop $a 0 \"\"{lf}addr 127.0.0.25{lf}"
	mail_to u@theirs.test
	await_log 'route-nonsense domain=theirs.test reason="it is about \[mx.good.test\], which is not the route"'
	await_log 'deferred to=u@theirs.test reason="4.3.5 '
	run ! grep -q . "$RELAY/a.hop"
	# The same plan, where the configuration says so.
	mail_to u@ours.test
	await_log 'delivered to=u@ours.test .*reached=AUTH'
	hop_says a '^1 AUTH PLAIN'
}

@test "the file of passwords: who may read it, and what stands in it" {
	local file=$RELAY/etc/smtp-relay.credentials
	relay_conf_to_lab "route default mx.good.test credentials isp"
	conf_fails()
	{
		run -1 --separate-stderr smtp-relay -n -c "$RELAY/conf"
		[[ $stderr =~ $1 ]] || { echo "wanted $1: $stderr"; return 1; }
		run -2 --separate-stderr smtp-relay -F -c "$RELAY/conf"
		[[ $stderr =~ $1 ]] || { echo "wanted $1: $stderr"; return 1; }
	}
	conf_fails 'smtp-relay.credentials: No such file'
	credentials 'isp me secretword'
	chmod 644 "$file"; conf_fails "credentials: $file: mode must be 0600 or 0640, not 0644 \\(the default path; no line credentials\\)"
	chmod 660 "$file"; conf_fails 'mode must be 0600 or 0640, not 0660'
	chmod 640 "$file"; chown news "$file"; conf_fails 'must belong to root'
	chown root:news "$file"
	credentials 'other me secretword'; conf_fails 'route default: no credentials isp in '
	credentials 'isp me'; conf_fails 'credentials:1: expected NAME USER PASSWORD'
	credentials 'isp me secret%zword'; conf_fails 'credentials:1: expected'
	[[ $stderr != *secret* ]]
	credentials 'isp me x' 'isp me y'; conf_fails 'credentials:2: expected'
	chmod 640 "$file"
	credentials '# ours' 'isp me x'
	trust_lab
	run -0 smtp-relay -n -c "$RELAY/conf"
	[[ $output == *"credentials in $file"*"route default: mx.good.test@25, credentials isp"* ]] || { echo "$output"; return 1; }
}

# Another relay of ours on port $1, with these options of its listener.
peer_relay()
{
	local port=$1
	shift
	mkdir -p "$RELAY/peer/etc/certs/good"
	cp "$LAB_CERTS"/good/*.pem "$RELAY/peer/etc/certs/good/"
	castore -d "$RELAY/peer/etc" import "$LAB_CERTS/ca/cert.pem"
	cat > "$RELAY/peer/conf" <<-END
		hostname peer.example
		deliver no
		dir $RELAY/peer/etc
		spool $RELAY/peer/spool
		user news
		queue-user games
		listen in 127.0.0.25@$port type private tls required cert good $*
	END
	printf 'pass\n' | smtp-relay -c "$RELAY/peer/conf" --passwd user --pass-file - || return
	"$BIN/smtp-relay" -F -c "$RELAY/peer/conf" </dev/null >/dev/null 2>"$RELAY/peer/log" 3>&- &
	PEER_PID=$!
	relay_await 30 grep -qs 'master ready' "$RELAY/peer/log"
}

@test "a relay of ours as smarthost: AUTH and a client certificate" {
	local a
	ports a
	peer_relay "$a" auth required client-cert required
	identity out "$LAB_CERTS/clientonly"
	trust_lab
	credentials 'isp user pass'
	relay_conf_to_lab "route default mx.good.test@$a credentials isp" "out-cert out"
	relay_start
	mail_to u@x.test
	await_log 'delivered to=u@x.test .*reached=AUTH'
	grep -q 'auth .*user=user result=yes' "$RELAY/peer/log"
	grep -q ' tls .*client-cert="verified CN=' "$RELAY/peer/log"
	grep -q ' accepted .*from=a@good.test' "$RELAY/peer/log"
}

# ---- who we are ----

@test "a certificate of our own, where the server asks: that of the destination, or out-cert, or none" {
	local a
	ports a
	mkcert -d "$RELAY/etc" --ca "Our CA" > /dev/null
	mkcert -d "$RELAY/etc" --signer "Our CA" one.example > /dev/null
	mkcert -d "$RELAY/etc" --signer "Our CA" two.example > /dev/null
	hop a "127.0.0.25@$a" -c "$LAB_CERTS/good" -C "$RELAY/etc/certs/Our CA/cert.pem"
	relay_conf_to_lab "route default mx.good.test@$a" "out-cert one.example" "destination two.test cert two.example" \
	    "destination none.test cert none tls required" "destination default tls required"
	relay_start
	mail_to u@x.test
	await_log delivered
	hop_says a '^1 tls one.example'
	# Another identity, another connection.
	mail_to u@two.test
	await_log delivered
	hop_says a '^2 tls two.example'
	mail_to u@none.test
	await_log '(not-delivered|deferred) .*certificate'
	run -0 smtp-relay -n -c "$RELAY/conf"
	[[ $output == *'certificate one.example is shown to servers that ask for one'*'destination two.test: tls required, dane opportunistic, cert two.example'* ]]
	run -0 certstore -d "$RELAY/etc" -c "$RELAY/conf" list
	grep -E '^two.example .*two.test' <<< "$output" || { echo "$output"; return 1; }
	grep -E '^one.example .*out-cert' <<< "$output" || { echo "$output"; return 1; }
}

@test "an identity that is not there, or cannot be used, is told before the start" {
	relay_conf_to_lab "out-cert nobody" "destination x.test cert other"
	run -1 --separate-stderr smtp-relay -n -c "$RELAY/conf"
	[[ $stderr == *nobody* && $stderr == *other* ]]
	run -2 --separate-stderr smtp-relay -F -c "$RELAY/conf"
	[[ $stderr == *nobody* ]]
}

@test "a connection is used again by what asks the same of it, and by nothing else" {
	local a i class lines=() rcpts=()
	ports a
	hop a "127.0.0.25@$a" -c "$LAB_CERTS/good" -a 'me:x'
	identity one "$LAB_CERTS/clientonly"
	identity two "$LAB_CERTS/clientonly"
	trust_lab
	credentials 'isp me x' 'same me x'
	# Each class of domains but the first differs from it in one thing.
	for class in plain name level cert cert2 bind min; do
		lines+=("route .$class.test mx.good.test@$a credentials $([ $class = name ] && echo same || echo isp)")
		rcpts+=("u@x.$class.test" "u@y.$class.test" "u@z.$class.test")
	done
	relay_conf_to_lab "workers 1" "destination default dane none concurrency 1" "${lines[@]}" \
	    "destination .level.test tls required-verify-hosted" "destination .cert.test cert one" \
	    "destination .cert2.test cert two" "destination .bind.test bind-address 127.0.0.9" "destination .min.test tls-min 1.3"
	relay_start
	# On a busy machine the next may come when the connection has been closed already.
	for i in 1 2 3 4 5; do
		: > "$RELAY/a.hop"
		mail_to u@x.plain.test u@y.plain.test u@z.plain.test
		relay_await 30 test_count a ' message ' 3
		! test_count a ' connect ' 1 || break
	done
	test_count a ' connect ' 1
	: > "$RELAY/a.hop"
	for i in 1 2 3; do mailer send -o "$RELAY_PORT" a@good.test "${rcpts[@]}" > /dev/null; done
	relay_await 60 test_count a ' message ' 63
	run awk -F '[ .@>]' '/ RCPT / { if ($1 in class && class[$1] != $5) print $0, class[$1]; class[$1] = $5 } END { for (i in class) n++; print n > "/dev/stderr" }' "$RELAY/a.hop"
	echo "$output"
	[[ $output != *RCPT* ]]
	hop_says a ' connect 127.0.0.9'
	[ "$(grep -c ' RCPT TO:<u@x.bind.test>' "$RELAY/a.hop")" -eq 3 ]
}

# NAME REGEX NUMBER
test_count()
{
	[ "$(grep -cE -- "$2" "$RELAY/$1.hop")" -eq "$3" ]
}

# ---- how much ----

@test "recipients of a transaction, messages of a connection" {
	local a
	ports a
	hop a "127.0.0.1@$a"
	relay_conf_to_lab "workers 1" "route default 127.0.0.1@$a" "destination few.test max-recipients 2" \
	    "destination two.test max-messages 2 concurrency 1"
	relay_start
	mailer send -o "$RELAY_PORT" a@good.test 1@few.test 2@few.test 3@few.test 4@few.test 5@few.test > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
	await_log removed
	test_count a ' message ' 3
	run awk '/ MAIL/ { n[$1] = 0 } / RCPT/ && ++n[$1] > 2 { print }' "$RELAY/a.hop"
	[ -z "$output" ]
	: > "$RELAY/a.hop"
	mail_to 1@two.test 2@two.test 3@two.test 4@two.test 5@two.test
	relay_await 30 test_count a ' message ' 5
	[ "$(awk '/ message / { n[$1]++ } END { for (i in n) if (n[i] > 2) print i }' "$RELAY/a.hop")" = '' ]
}

# The most sessions in the hop's log that were between MAIL and the reply at once.
most_at_once()
{
	awk '/ MAIL/ { on[$1] = 1 } / message / { on[$1] = 0 } { n = 0; for (i in on) n += on[i]; if (n > most) most = n }
	    END { print most + 0 }' "$RELAY/a.hop"
}

@test "concurrency: of a domain, and of all domains behind a route" {
	local a i rcpts=()
	ports a
	hop a "127.0.0.1@$a" -w 0.1
	relay_conf_to_lab "route default 127.0.0.1@$a" "destination default concurrency 2"
	relay_start
	for ((i = 0; i < 12; i++)); do rcpts+=("u@d$((i % 3)).test"); done
	mail_to "${rcpts[@]}"
	relay_await 60 test_count a ' message ' 12
	i=$(awk '/ connect / { n++ } / gone$/ { n-- } n > most { most = n } END { print most }' "$RELAY/a.hop")
	[ "$i" -le 4 ] || { echo "$i connections"; return 1; }
	[ "$(most_at_once)" -le 2 ] || { most_at_once; return 1; }
}

@test "message-rate: so many in a time, the others wait, and none is lost" {
	local a
	ports a
	hop a "127.0.0.1@$a"
	relay_conf_to_lab "route slow.test 127.0.0.1@$a" "destination slow.test message-rate 2/4s"
	relay_start
	mail_to 1@slow.test 2@slow.test 3@slow.test 4@slow.test 5@slow.test
	relay_await 30 test_count a ' message ' 2
	relay_await 60 test_count a ' message ' 5
	relay_logs 5 ' delivered to='
	# Two at once, then one each two seconds: a clock of whole seconds may be one off.
	run awk '/delivered to=/ { split($1, t, "[T:Z]"); s = t[2] * 3600 + t[3] * 60 + t[4]; if (n++ == 0) first = s; last = s } END { print last - first }' "$RELAY_LOG"
	echo "from the first to the last: $output s"
	[ "$output" -ge 4 ]
}

# ---- times ----

# A next hop that stops in the middle: connect (a backlog that is full), greeting, mail, handshake (behind 220 to STARTTLS),
# data (it reads nothing more), end (no reply to the message).  Says "ready"; in the background alone.
stall()
{
	exec python3 - "$1" "$2" <<-'END'
		import signal, socket, sys
		at, port = sys.argv[1], int(sys.argv[2])
		kept = []
		listener = socket.socket()
		listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		if at == "data":
		    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
		listener.bind(("127.0.0.1", port))
		listener.listen(0)
		if at == "connect":
		    # The second of them stays in SYN-SENT, as all do that follow.
		    for _ in range(3):
		        kept.append(socket.socket())
		        kept[-1].setblocking(False)
		        kept[-1].connect_ex(("127.0.0.1", port))
		print("ready", flush=True)
		if at == "connect":
		    signal.pause()
		while True:
		    conn = listener.accept()[0]
		    kept.append(conn)
		    if at == "greeting":
		        continue
		    conn.sendall(b"220 stall.test\r\n")
		    f = conn.makefile("rb", buffering=0)
		    while line := f.readline():
		        word = line[:4].upper()
		        if word == b"EHLO":
		            conn.sendall(b"250-stall.test\r\n250 " + (b"STARTTLS" if at == "handshake" else b"SIZE") + b"\r\n")
		        elif word == b"STAR":
		            conn.sendall(b"220 go\r\n")
		            break
		        elif word == b"MAIL" and at == "mail":
		            break
		        elif word == b"DATA":
		            conn.sendall(b"354 go\r\n")
		            if at == "end":
		                while f.readline() != b".\r\n":
		                    pass
		            break
		        elif word == b"QUIT":
		            conn.close()
		            break
		        else:
		            conn.sendall(b"250 ok\r\n")
	END
}

@test "times: a host that stops, wherever it does, is given up, and the next one has the mail" {
	local stage key place good id rows=(
		'connect|connect-time' 'greeting|command-time' 'mail|command-time' 'handshake|command-time' 'data|data-time'
		'end|end-time'
	)
	ports good
	hop good "127.0.0.1@$good"
	local lines=() row
	for row in "${rows[@]}"; do
		stage=${row%|*} key=${row#*|}
		ports place
		stall "$stage" "$place" > "$RELAY/$stage.out" 2>&1 3>&- &
		HOP_PIDS+=($!)
		relay_await 20 grep -qs ready "$RELAY/$stage.out"
		lines+=("route $stage.test 127.0.0.1@$place,127.0.0.1@$good" "destination $stage.test $key 1s")
	done
	relay_conf_to_lab "${lines[@]}"
	relay_start
	{ printf 'Subject: big\r\n\r\n'; yes $'seventy octets or so of text, time and again, to fill what a socket holds\r' | head -n 100000; } > "$RELAY/big"
	for row in "${rows[@]}"; do
		stage=${row%|*}
		if [ "$stage" = data ]; then
			mailer send -f "$RELAY/big" "$RELAY_PORT" a@good.test "u@$stage.test" > "$RELAY/sent"
		else
			mailer send "$RELAY_PORT" a@good.test "u@$stage.test" > "$RELAY/sent"
		fi
		id=$(cut -d' ' -f1 "$RELAY/sent")
		echo "$stage $id" >> "$RELAY/ids"
	done
	while read -r stage id; do
		ID=$id
		# What became of the message is not known where the last reply is missing: it waits, and goes again later.
		if [ "$stage" = end ]; then
			await_log 'unknown to=u@end.test .*reply="end of message: timed out'
			await_log waits
			continue
		fi
		await_log "delivered to=u@$stage.test" || { echo "$stage"; return 1; }
		relay_await 10 log_says "$id (not-delivered|deferred|tls-unusable) .*timed out" || { echo "$stage"; grep "$id" "$RELAY_LOG"; return 1; }
	done < "$RELAY/ids"
}

# ---- BDAT ----

# OCTETS: a message of that size with dots, odd octets and no trailing line end missing.
big_message()
{
	python3 - "$1" > "$RELAY/big" <<-'END'
		import random, sys
		random.seed(7)
		out = b"Subject: big\r\nX-Tag: 1\r\n\r\n.\r\n..two\r\n"
		while len(out) < int(sys.argv[1]):
		    out += b"." * (random.random() < 0.2) + bytes(random.choice(b"abcdefgh .") for _ in range(random.randrange(70))) + b"\r\n"
		sys.stdout.buffer.write(out)
	END
}

# NAME: what the hop took is what was sent, behind the fields that the relay adds.
took_big()
{
	tail -c "$(stat -c %s "$RELAY/big")" "$RELAY/$1" | cmp - "$RELAY/big"
}

@test "BDAT where it is offered, octet for octet; in LMTP too; not with chunking no" {
	local a b c d
	ports a b c d
	mkdir "$RELAY/a" "$RELAY/b" "$RELAY/c" "$RELAY/d"
	hop a "127.0.0.1@$a" -k -s "$RELAY/a"; hop b "127.0.0.1@$b" -k -n -s "$RELAY/b"
	hop c "127.0.0.1@$c" -k -p lmtp -s "$RELAY/c"; hop d "127.0.0.1@$d" -k -s "$RELAY/d"
	relay_conf_to_lab "route a.test 127.0.0.1@$a" "route b.test 127.0.0.1@$b" "route c.test 127.0.0.1@$c protocol lmtp" \
	    "route d.test 127.0.0.1@$d" "destination d.test chunking no"
	relay_start
	big_message 400000
	mailer send -o -f "$RELAY/big" "$RELAY_PORT" a@good.test u@a.test u@b.test u@c.test at-dot-452@c.test u@d.test > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
	for domain in a b c d; do
		await_log "delivered to=u@$domain.test"
		took_big "$domain/1"
	done
	await_log 'deferred to=at-dot-452@c.test'
	for name in a b c; do
		[ "$(grep -c ' BDAT ' "$RELAY/$name.hop")" -gt 3 ]
		[ "$(grep -c ' BDAT .* LAST' "$RELAY/$name.hop")" -eq 1 ]
		run ! hop_says $name ' DATA'
	done
	run ! hop_says d BDAT
	# A small one is one chunk.
	mail_to u@a.test
	await_log delivered
	[ "$(grep -c ' BDAT .* LAST' "$RELAY/a.hop")" -eq 2 ]
}

@test "a chunk that is refused, first, later or last: told, RSET, and the session goes on" {
	local a b c d
	ports a b c d
	hop a "127.0.0.1@$a" -k -b '1=552 5.3.4 too much'; hop b "127.0.0.1@$b" -k -n -b '2=452 4.3.1 full'
	hop c "127.0.0.1@$c" -k -b '1=554 5.6.0 no'; hop d "127.0.0.1@$d" -k -b '1=502 5.5.1 BDAT is what'
	RELAY_RETRY=1h relay_conf_to_lab "workers 1" "route a.test 127.0.0.1@$a" "route b.test 127.0.0.1@$b" "route c.test 127.0.0.1@$c" \
	    "route d.test 127.0.0.1@$d"
	relay_start
	big_message 400000
	mailer send -o -f "$RELAY/big" "$RELAY_PORT" a@good.test u@a.test u@b.test > "$RELAY/sent"
	ID=$(cut -d' ' -f1 "$RELAY/sent")
	await_log 'failed to=u@a.test .*reply="552 5.3.4 too much"'
	await_log 'deferred to=u@b.test .*reply="452 4.3.1 full"'
	[ "$(grep -c ' BDAT ' "$RELAY/b.hop")" -eq 2 ]
	mail_to u@c.test
	await_log 'failed to=u@c.test .*reply="554 5.6.0 no"'
	mail_to u@d.test
	await_log 'deferred to=u@d.test .*reply="502 5.5.1'
	mail_to v@c.test
	await_log 'delivered to=v@c.test'
	hop_says c '^1 RSET'
	# The message is begun anew, by DATA.
	mail_to v@d.test
	await_log 'delivered to=v@d.test'
	hop_says d '^1 DATA'
	run ! grep -q ' DATA' "$RELAY/a.hop" "$RELAY/b.hop" "$RELAY/c.hop"
}

# ---- the others know ----

@test "tlscheck -c and -e judge by the route" {
	local a
	ports a
	hop a "127.0.0.25@$a" -p smtps -c "$LAB_CERTS/good"
	trust_lab
	credentials 'isp me x'
	relay_conf_to_lab "route default mx.good.test@$a protocol smtps credentials isp" \
	    "destination x.test bind-address 127.0.0.9 max-messages 5" "route l.test unix:$RELAY/lmtp"
	run -0 tlscheck -c "$RELAY/conf" x.test
	[[ $output == *AUTH* ]] || { echo "$output"; return 1; }
	run -0 smtp-relay -c "$RELAY/conf" -e u@x.test
	[[ $output == *'controls: bind-address 127.0.0.9, max-messages 5'*'AUTH with credentials isp'* ]] || { echo "$output"; return 1; }
	[[ $output == *"0 mx.good.test: pkix 127.0.0.25@$a, smtps: "* ]] || { echo "$output"; return 1; }
	hop l "$RELAY/lmtp" -p lmtp
	run -0 tlscheck -c "$RELAY/conf" l.test
	[[ $output == *CLEAR* ]] || { echo "$output"; return 1; }
}

# NAME COUNT: it took so many messages.
hop_took()
{
	[ "$(grep -cE '^[0-9]+ message ' "$RELAY/$1.hop")" -eq "$2" ]
}

@test "relayq(1)'s example: a new route takes what is queued to another host" {
	local port backup
	port=$(relay_free_port)
	RELAY_RETRY=1h
	relay_conf_to_lab "route dest.test 127.0.0.1@$port" "route other.test 127.0.0.1@$port"
	relay_start
	mail_to a@dest.test b@dest.test c@dest.test d@other.test
	relay_await 20 eval '[ "$(grep -cE " waits " "$RELAY_LOG")" -ge 3 ]'
	backup=$(relay_free_port)
	hop backup "127.0.0.1@$backup"
	# The line that is there gives way: two of one domain are an error, which -n tells.
	sed -i '/^route dest/d' "$RELAY/conf"
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/relayq.1" |
	    sed -n '/another host/,/^\.Ed/{/^echo/,/^relayq/p}' |
	    sed "s/backup\.relay\.example/127.0.0.1@$backup/; s,/etc/mtatls/smtp-relay\.conf,$RELAY/conf,
		s/smtp-relay -n/smtp-relay -c conf -n/; s/relayq/relayq -s spool/" |
	    sed -e 's/"$(cat [^)]*)"/PID/' -e "s/PID/$RELAY_PID/" > example
	[ "$(wc -l < example)" -eq 4 ]
	# What the sleep is for, on a machine that may be slower.
	sed -i 's/^sleep 5.*/until grep -q "retired-ended role=out" "$RELAY_LOG"; do sleep 0.1; done/' example
	export RELAY_LOG
	run -0 timeout 60 bash -ec "$(cat example)"
	relay_await 20 hop_took backup 3
	relay_await 20 eval '[ "$(relayq -s spool list | grep -c "^[^ ]")" -eq 1 ]'
	hop_took backup 3
	run ! hop_says backup 'RCPT TO:<d@other'
}
