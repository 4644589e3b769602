#!/usr/bin/env bats
# Mail programs of others hand mail to the relay, each in the ways that it has: in clear text, under TLS, with a password,
# through a balancer; and every octet of the body arrives.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	mkdir "$RELAY/etc"
	POSTFIX=
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred auth offered domains relay.example" \
	    "listen behind 127.0.0.1@$RELAY_PORT2 type public proxy 127.0.0.1 tls preferred domains relay.example"
	printf '%s\n' 'gr€en & "tea"' | smtp-relay -c conf --passwd ann --pass-file -
	echo b | smtp-relay -c conf --passwd bob --pass-file -
	# Dots, blanks at the end of lines, a line nearly as long as may be, octets above 127.
	{
		printf 'From: <a@b.example>\nTo: <user@relay.example>\nSubject: body\nDate: Sat, 21 Nov 2026 23:38:57 +0000\n'
		printf 'MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n'
		printf '.\n..\n.dot\n\n  blanks  \nFrom here\nw\303\274rdig \342\202\254\n'
		printf 'x%.0s' {1..900}
		printf '\n\n.\nlast\n'
	} > mail
	sed 's/$/\r/' mail > mail.crlf
	relay_start
}

teardown()
{
	[ -z "$POSTFIX" ] || "$relay_here/postfix" stop "$RELAY/postfix"
	relay_end
}

body() { sed '1,/^\r\{0,1\}$/d' "$@"; }

# WANT...: each stands in what relayq shows of the only message, whose body is that of our mail.  Then the spool is empty.
arrived()
{
	local want
	relay_message > got
	body got | cmp - <(body mail.crlf)
	relayq -s "$RELAY_SPOOL" show "$(relay_ids)" > shown
	for want; do
		grep -q -- "$want" shown || { echo "no $want in:"; cat shown; return 1; }
	done
	relay_forget
}

is_counted() { [ "$(relay_ids | wc -l)" -eq "$1" ]; }

# A client of smtpload sends all of its connection's messages, also where others have sent what was wanted.
are_there() { [ "$(relay_ids | wc -l)" -ge "$1" ]; }

logged() { grep -q -- "$1" "$RELAY_LOG"; }

# PORT OPTION...
by_swaks()
{
	local port=$1
	shift
	swaks --server "127.0.0.1:$port" --helo client.example --from a@b.example --to user@relay.example --timeout 30 \
	    --data "$(< mail)" "$@" > swaks.out 2>&1 || { cat swaks.out; return 1; }
}

@test "swaks: in clear text, pipelined, and under TLS" {
	by_swaks "$RELAY_PORT"
	arrived 'protocol ESMTP$'
	by_swaks "$RELAY_PORT" --protocol SMTP
	arrived 'protocol SMTP$'
	by_swaks "$RELAY_PORT" --tls --pipeline
	arrived 'protocol ESMTPS$' 'tls TLSv1.3'
	by_swaks "$RELAY_PORT" --tls --tls-protocol tlsv1_2
	arrived 'protocol ESMTPS$' 'tls TLSv1.2'
}

@test "swaks: AUTH PLAIN and LOGIN, to anywhere; a wrong password" {
	local how
	for how in PLAIN LOGIN; do
		by_swaks "$RELAY_PORT" --tls --auth "$how" --auth-user ann --auth-password 'gr€en & "tea"' --to u@far.example
		arrived 'protocol ESMTPSA$' 'auth ann' '<u@far.example>'
		run ! by_swaks "$RELAY_PORT" --tls --auth "$how" --auth-user ann --auth-password tea --to u@far.example
		grep -q '535 5.7.8' swaks.out
	done
	is_counted 0
}

@test "swaks: PROXY protocol 1 and 2, of both families, and with TLS behind it" {
	local v4=(--proxy-source 192.0.2.77 --proxy-source-port 4711 --proxy-dest 127.0.0.1 --proxy-dest-port 25)
	local v6=(--proxy-source 2001:db8::77 --proxy-source-port 4711 --proxy-dest ::1 --proxy-dest-port 25)
	by_swaks "$RELAY_PORT2" --proxy-version 1 --proxy-family TCP4 "${v4[@]}"
	arrived 'client 192.0.2.77'
	by_swaks "$RELAY_PORT2" --proxy-version 1 --proxy-family TCP6 "${v6[@]}" --tls
	arrived 'client 2001:db8::77' 'tls TLSv1.3'
	by_swaks "$RELAY_PORT2" --proxy-version 2 --proxy-family AF_INET --proxy-protocol STREAM "${v4[@]}" --tls
	arrived 'client 192.0.2.77' 'tls TLSv1.3'
	by_swaks "$RELAY_PORT2" --proxy-version 2 --proxy-family AF_INET6 --proxy-protocol STREAM "${v6[@]}"
	arrived 'client 2001:db8::77'
	run ! by_swaks "$RELAY_PORT" --proxy-version 1 --proxy-family TCP4 "${v4[@]}"
	is_counted 0
}

@test "Python's smtplib: in clear text, under TLS, with each mechanism" {
	local how
	for how in clear tls PLAIN LOGIN; do
		/usr/bin/python3 - "$RELAY_PORT" "$how" <<- 'END'
			import smtplib, ssl, sys
			how = sys.argv[2]
			with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=30) as s:
			    if how != "clear":
			        context = ssl.create_default_context()
			        context.check_hostname = False
			        context.verify_mode = ssl.CERT_NONE
			        s.starttls(context=context)
			        s.ehlo()
			    s.user, s.password = "bob", "b"
			    if how == "PLAIN":
			        s.auth("PLAIN", s.auth_plain)
			    if how == "LOGIN":
			        s.auth("LOGIN", s.auth_login)
			    with open("mail.crlf", "rb") as f:
			        s.sendmail("a@b.example", ["user@relay.example"], f.read(), ["BODY=8BITMIME"])
		END
		case $how in
		clear) arrived 'protocol ESMTP$' BODY=8BITMIME ;;
		tls) arrived 'protocol ESMTPS$' ;;
		*) arrived 'protocol ESMTPSA$' 'auth bob' ;;
		esac
	done
}

# OPTION...
by_curl()
{
	curl -sS --max-time 30 "smtp://127.0.0.1:$RELAY_PORT/client.example" --mail-from a@b.example \
	    --mail-rcpt user@relay.example -T "${MAIL:-mail.crlf}" "$@"
}

@test "curl: in clear text, line ends of its own, under TLS, with a password; a recipient that is refused" {
	by_curl
	arrived 'protocol ESMTP$'
	MAIL=mail by_curl --crlf
	arrived 'protocol ESMTP$'
	by_curl --ssl-reqd -k --mail-rcpt b@relay.example
	arrived 'protocol ESMTPS$' 'tls TLSv1.3' '<b@relay.example>'
	by_curl --ssl-reqd -k --user 'ann:gr€en & "tea"' --login-options AUTH=PLAIN
	arrived 'protocol ESMTPSA$' 'auth ann'
	by_curl --ssl-reqd -k --user 'ann:gr€en & "tea"' --login-options AUTH=LOGIN
	arrived 'protocol ESMTPSA$' 'auth ann'
	run ! by_curl --mail-rcpt user@other.example
	[[ $output == *550* ]] || { echo "$output"; false; }
	is_counted 0
}

# OPTION...
by_msmtp()
{
	msmtp --host=127.0.0.1 --port="$RELAY_PORT" --from=a@b.example --timeout=30 "$@" < mail
}

@test "msmtp: in clear text, under TLS, with DSN, with each mechanism" {
	local how tls=(--tls --tls-starttls --tls-certcheck=off)
	by_msmtp -t
	arrived 'protocol ESMTP$'
	by_msmtp "${tls[@]}" --dsn-notify=failure --dsn-return=headers user@relay.example
	arrived 'protocol ESMTPS$' 'tls TLSv1.3' RET=HDRS NOTIFY=FAILURE
	for how in plain login; do
		by_msmtp "${tls[@]}" --auth="$how" --user=ann --passwordeval='printf "%s\n" "gr€en & \"tea\""' u@far.example
		arrived 'protocol ESMTPSA$' 'auth ann' '<u@far.example>'
	done
}

# WORDS: a reply with them has come.
replied() { relay_await 20 grep -qa -- "$1" from || { cat from; return 1; }; }

# PROGRAM...: says all of a session to the relay through it, once it says that the handshake is done.
through()
{
	local program
	mkfifo to
	timeout 60 "$@" < to > from 2>&1 3>&- &
	program=$!
	exec 5> to
	replied "$SHOOK"
	printf 'EHLO client.example\r\n' >&5
	replied '^250-REQUIRETLS'
	printf 'MAIL FROM:<a@b.example>\r\n' >&5
	replied '^250 2.1.0'
	# Not in capitals: R would be a command to s_client without -quiet.
	printf 'rcpt TO:<user@relay.example>\r\n' >&5
	replied '^250 2.1.5'
	printf 'DATA\r\n' >&5
	replied '^354 '
	sed 's/^\./../' mail.crlf >&5
	printf '.\r\n' >&5
	replied '^250 2.0.0 queued as '
	printf 'QUIT\r\n' >&5
	replied '^221 '
	exec 5>&-
	wait "$program" || true
	rm to from
}

@test "openssl s_client and gnutls-cli: a session by hand, of TLS 1.3 and 1.2" {
	SHOOK='verify return:' through openssl s_client -starttls smtp -connect "127.0.0.1:$RELAY_PORT" -quiet
	arrived 'protocol ESMTPS$' 'tls TLSv1.3'
	SHOOK='verify return:' through openssl s_client -starttls smtp -connect "127.0.0.1:$RELAY_PORT" -quiet -tls1_2
	arrived 'tls TLSv1.2'
	SHOOK='Handshake was completed' through gnutls-cli --starttls-proto=smtp --insecure -p "$RELAY_PORT" 127.0.0.1
	arrived 'protocol ESMTPS$' 'tls TLSv1.3'
	SHOOK='Handshake was completed' through gnutls-cli --starttls-proto=smtp --insecure \
	    --priority=NORMAL:-VERS-ALL:+VERS-TLS1.2 -p "$RELAY_PORT" 127.0.0.1
	arrived 'tls TLSv1.2'
}

# PORT LEVEL: relays all mail to us.
start_postfix()
{
	"$relay_here/postfix" start "$RELAY/postfix" 127.0.0.1 "$1" "$RELAY/certs" 'relay_domains = relay.example' \
	    'relay_transport = smtp' "smtp_tls_security_level = $2" "relayhost = [127.0.0.1]:$RELAY_PORT" 3>&-
	POSTFIX=yes
}

stop_postfix()
{
	POSTFIX=
	"$relay_here/postfix" stop "$RELAY/postfix"
}

@test "Postfix relays to us, in clear text and under TLS" {
	local port level
	[ "$(id -u)" -eq 0 ] || skip "Postfix needs root"
	port=$(relay_free_port)
	mkdir certs
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mx.good.test \
	    -keyout certs/key.pem -out certs/cert.pem 2> /dev/null
	for level in none encrypt; do
		start_postfix "$port" "$level"
		RELAY_PORT=$port by_curl
		relay_await 30 is_counted 1 || { cat postfix/log; return 1; }
		if [ "$level" = none ]; then arrived 'protocol ESMTP$'; else arrived 'protocol ESMTPS$' 'tls TLSv1.3'; fi
		if [ "$level" = encrypt ]; then
			smtpload -c 5 -n 20 -m 4 -l 20000 -r user@relay.example -L ledger 127.0.0.1 "$port" || true
			relay_await 30 are_there 20 || { cat postfix/log; return 1; }
		fi
		stop_postfix
	done
	for id in $(relay_ids); do
		[ "$(relayq -s spool cat "$id" | sed -n '/^X-Load/,$p' | wc -c)" -gt 20000 ]
	done
}
