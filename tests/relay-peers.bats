#!/usr/bin/env bats
# smtp-relay delivers to what the world runs: Postfix and Exim under DANE and with their chains verified, OpenSMTPD in clear,
# octet for octet; and not at all to one that shows another key than its records say, or breaks the handshake.
# shellcheck disable=SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: these servers work as several users"
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	. "$BATS_TEST_DIRNAME/lab/services.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	rsa_certificate
	lab_postfix
	lab_mta exim 127.0.1.1 "$LAB_CERTS/rsa"
	lab_mta opensmtpd 127.0.1.4 "$LAB_CERTS/rsa"
	lab_peers
}

rsa_certificate()
{
	mkdir "$LAB_CERTS/rsa"
	cd "$LAB_CERTS/rsa" || return
	printf '[req]\ndistinguished_name = dn\n[dn]\n' > config
	openssl req -x509 -new -config config -subj /CN=rsa -nodes -days 30 -newkey rsa:2048 \
	    -keyout key.pem -out cert.pem -CA ../inter/cert.pem -CAkey ../inter/key.pem \
	    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
	    -addext subjectAltName=DNS:mx.ok.plain.test,DNS:mx.no-quit.plain.test 2>openssl.log
	cat ../inter/cert.pem ../ca/cert.pem > chain.pem
	lab_tlsa mx.ok.dane.test "$(lab_rdata "$LAB_CERTS/rsa/cert.pem" 3 1 1)"
	lab_tlsa mx.no-quit.dane.test "$(lab_rdata "$LAB_CERTS/rsa/cert.pem" 3 1 1)"
}

teardown_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	[ -z "${LAB_DIR:-}" ] || lab_stop
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	. "$BATS_TEST_DIRNAME/lab/services.bash"
	lab_opts
	relay_setup
	castore -d etc import "$LAB_CERTS/ca/cert.pem"
	castore -d etc disable system
}

teardown()
{
	relay_end
}

# SERVER: "DANE-DOMAIN VERIFIED-DOMAIN"
domains_of()
{
	case $1 in
	postfix) echo good.test absent-nodata.test ;;
	exim) echo ok.dane.test ok.plain.test ;;
	esac
}

# SERVER DOMAIN: all that it keeps for it
kept()
{
	case $1 in
	postfix) lab_postfix_mail "$2" 2>/dev/null ;;
	*) lab_mta_mail "$1" ;;
	esac
}

# A message with what breaks on the way, if anything does: dots, octets above 127, a long line, no end.
write_message()
{
	printf 'From: a@good.test\nSubject: %s\n\n' "$1"
	printf '.\n..\n. x\nFrom here\n\303\244\303\266\n'
	printf '%0900d\n' 7
	seq 1 20000
	printf '%s' "the end of $1"
}

# SERVER DOMAIN TAG: the message is there, and its body as it was.
has_message()
{
	kept "$1" "$2" | tr -d '\r' | sed -n "/^Subject: $3\$/,/^the end of $3/ { s/^>From /From /; p; /^the end/q; }" |
	    sed '1,/^$/d' > "$RELAY/body"
	write_message "$3" | sed '1,/^$/d' > "$RELAY/wanted"
	echo >> "$RELAY/wanted"
	cmp -s "$RELAY/body" "$RELAY/wanted"
}

log_says()
{
	grep -qE -- "$1" "$RELAY_LOG"
}

# TAG RCPT…
send()
{
	write_message "$1" | awk '{ printf "%s\r\n", $0 }' > "$RELAY/msg"
	run -0 mailer send -o -f "$RELAY/msg" "$RELAY_PORT" a@good.test "${@:2}"
}

# SERVER
goes_to()
{
	local dane verified
	read -r dane verified < <(domains_of "$1")
	relay_conf_to_lab "destination $verified tls required-verify"
	relay_start
	send "dane-$1" "u@$dane" "v@$dane"
	relay_await 20 log_says "delivered to=u@$dane .*wanted=dane reached=AUTH "
	relay_await 20 log_says "delivered to=v@$dane "
	relay_await 20 has_message "$1" "$dane" "dane-$1"
	send "verified-$1" "u@$verified"
	relay_await 20 log_says "delivered to=u@$verified .*wanted=pkix reached=AUTH "
	relay_await 20 has_message "$1" "$verified" "verified-$1"
	lab_tlsa "mx.$dane" "$(lab_rdata other 3 1 1)"
	relay_stop
	relay_start
	send "wrong-$1" "u@$dane"
	relay_await 20 log_says "(not-delivered|tls-unusable) .*domain=$dane .*TLSA"
	relay_await 20 log_says "deferred to=u@$dane "
	run ! grep -q "wrong-$1" <(kept "$1" "$dane")
}

@test "Postfix" {
	goes_to postfix
}

@test "Exim" {
	goes_to exim
}

# That of Debian 12 (6.8.0p2) offers STARTTLS and fails in every handshake: its keys are in another process, by an engine that
# OpenSSL 3 does not call.  So it is a host with broken TLS.
@test "OpenSMTPD: in clear where that may be, and nothing where it may not" {
	relay_conf_to_lab "destination no-quit.plain.test tls no"
	relay_start
	send clear-opensmtpd u@no-quit.plain.test v@no-quit.plain.test
	relay_await 20 log_says "delivered to=u@no-quit.plain.test .*wanted=clear reached=CLEAR"
	relay_await 20 log_says "delivered to=v@no-quit.plain.test "
	relay_await 20 has_message opensmtpd no-quit.plain.test clear-opensmtpd
	relay_stop
	relay_conf_to_lab "destination no-quit.plain.test tls required-verify"
	relay_start
	send secret-opensmtpd u@no-quit.dane.test
	send secret-opensmtpd u@no-quit.plain.test
	relay_await 20 log_says "(not-delivered|tls-unusable) .*domain=no-quit.dane.test .*the TLS handshake failed"
	relay_await 20 log_says "(not-delivered|tls-unusable) .*domain=no-quit.plain.test .*the TLS handshake failed"
	relay_await 20 log_says "deferred to=u@no-quit.plain.test "
	relay_await 20 log_says "deferred to=u@no-quit.dane.test "
	run ! grep -q secret-opensmtpd <(kept opensmtpd no-quit.dane.test)
}
