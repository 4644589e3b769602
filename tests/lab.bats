#!/usr/bin/env bats
# The lab does what its README says: judged by drill, openssl, posttls-finger and plain sockets, not by our tools.

bats_require_minimum_version 1.5.0
load lab/lab.bash

setup_file()
{
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_postfix || [ $? -eq 77 ]
	lab_peers
}

teardown_file()
{
	lab_stop
}

setup()
{
	lab_opts
}

# NAME TYPE: what a validating resolver says: rcode and whether it is authenticated.
asked()
{
	lab_ns drill -D "$1" "$2" @127.0.0.1 | awk '
		/rcode:/ { sub(/.*rcode: /, ""); sub(/,.*/, ""); rcode = $0 }
		/flags:/ && !flags { flags = / ad / ? " ad" : "" }
		END { print rcode flags }'
}

# ADDR [LINE…]: sends the lines, one by one with a pause; prints the answer.
talk()
{
	local addr=$1
	shift
	timeout 5 bash -c 'exec 3<>/dev/tcp/$0/$1 || exit 9; shift
		for line; do sleep 0.1; printf "%s\r\n" "$line" >&3; done; timeout 0.4 cat <&3' "$addr" "$LAB_PORT" "$@" || :
}

# ADDR [ARG…]: openssl s_client with STARTTLS.
starttls()
{
	timeout 5 openssl s_client -starttls smtp -connect "$1:$LAB_PORT" -servername mx.good.test \
	    -cipher DEFAULT:@SECLEVEL=0 "${@:2}" </dev/null 2>&1
}

# The address of a behaviour.
at()
{
	awk -v how="$1" '$2 == how && /^127.0.1/ { print $1 }' "$lab_here/hosts"
}

# BEHAVIOUR TEXT: where the peer says TEXT after EHLO and STARTTLS.
says()
{
	local said
	said=$(talk "$(at "$1")" 'EHLO test' STARTTLS | tr -d '\0')
	case $said in *"$2"*) ;; *) echo "$1 said: $said"; return 1 ;; esac
}

@test "right zones validate from the root's key" {
	local d
	for d in good wrong unusable absent-nodata null-mx alias-target multi-mx plain dane names; do
		run -0 asked $d.test SOA
		[ "$output" = 'NOERROR ad' ]
	done
	run -0 asked "_$LAB_PORT._tcp.mx.good.test" TLSA
	[ "$output" = 'NOERROR ad' ]
}

@test "securely absent records are proved absent" {
	local d
	for d in absent-nodata absent-nsec3 absent-nxdomain; do
		run -0 asked "_$LAB_PORT._tcp.mx.$d.test" TLSA
		case $d in
		absent-nodata) [ "$output" = 'NOERROR ad' ] ;;
		*) [ "$output" = 'NXDOMAIN ad' ] ;;
		esac
	done
	run -0 asked nonexistent.test MX
	[ "$output" = 'NXDOMAIN ad' ]
}

@test "broken signatures are bogus, and only they" {
	local p="_$LAB_PORT._tcp.mx"
	while read -r name type want; do
		run -0 asked "$name" "$type"
		echo "$name $type: $output, wanted $want"
		[ "$output" = "$want" ]
	done <<-EOF
		bogus-mx.test MX SERVFAIL
		mx.bogus-mx.test A NOERROR ad
		mx.bogus-a.test A SERVFAIL
		bogus-a.test MX NOERROR ad
		mx.bogus-aaaa.test A NOERROR ad
		mx.bogus-aaaa.test AAAA SERVFAIL
		$p.bogus-tlsa.test TLSA SERVFAIL
		mx.bogus-tlsa.test A NOERROR ad
		$p.bogus-absent.test TLSA SERVFAIL
		expired.test MX SERVFAIL
		bad-ds.test MX SERVFAIL
	EOF
}

@test "unsigned zones are insecure, not bogus" {
	local d
	for d in unsigned mx-insecure alias-from-unsigned; do
		run -0 asked $d.test MX
		[ "$output" = NOERROR ]
	done
	run -0 asked mx.alias-unsigned.test A
	[ "$output" = NOERROR ]
	run -0 asked mx.alias-secure.test A
	[ "$output" = 'NOERROR ad' ]
	run -0 asked "_$LAB_PORT._tcp.mx.tlsa-alias.test" TLSA
	[ "$output" = 'NOERROR ad' ]
	run -0 asked "_$LAB_PORT._tcp.mx.tlsa-alias-out.test" TLSA
	[ "$output" = NOERROR ]
}

@test "drill itself chases good.test to the root's key, and not with the wrong key" {
	run lab_ns drill -S -k "$LAB_ANCHOR" good.test MX @127.0.0.1
	echo "$output"
	[[ $output == *'|---. (DNSKEY'*'Chase successful'* ]]
	run lab_ns drill -S -k "$LAB_ANCHOR_WRONG" good.test MX @127.0.0.1
	echo "$output"
	[[ $output != *'Chase successful'* ]]
}

@test "DNS servers that fail: as told, for that record only" {
	rcode() { drill -p "$LAB_PORT" "$1" "$2" @"${3:-127.0.0.1}" | sed -n 's/.*rcode: \([A-Z]*\).*/\1/p'; }
	[ "$(rcode mx-servfail.test MX)" = SERVFAIL ]
	[ "$(rcode mx-refused.test MX)" = REFUSED ]
	[ "$(rcode "_$LAB_PORT._tcp.mx.tlsa-servfail.test" TLSA)" = SERVFAIL ]
	[ "$(rcode "_$LAB_PORT._tcp.mx.tlsa-notimp.test" TLSA)" = NOTIMPL ]
	[ "$(rcode mx.tlsa-servfail.test A)" = NOERROR ]
	[ "$(rcode good.test MX 127.0.0.6)" = SERVFAIL ]
	[ "$(rcode good.test MX 127.0.0.7)" = REFUSED ]
	run -124 timeout 0.5 drill -p "$LAB_PORT" good.test MX @127.0.0.4
	run -124 timeout 0.5 drill -p "$LAB_PORT" mx-timeout.test MX @127.0.0.1
}

@test "the stripping resolver: the data, no signatures; by TCP as well" {
	local how
	for how in -u -t; do
		run -0 drill $how -D -p "$LAB_PORT" good.test MX @127.0.0.1
		[[ $output == *RRSIG* ]]
		run -0 drill $how -D -p "$LAB_PORT" good.test MX @127.0.0.5
		[[ $output != *RRSIG* ]]
		[[ $output == *mx.good.test* ]]
	done
}

@test "queries are written down" {
	drill -p "$LAB_PORT" MX never-asked-before.test @127.0.0.1 >/dev/null
	grep -qx '127.0.0.1 never-asked-before.test. MX' "$LAB_QUERIES"
}

@test "every TLSA record of good.test and the like is what openssl and sha256sum say of the peer" {
	local shown want
	shown=$(openssl s_client -starttls smtp -connect "127.0.0.25:$LAB_PORT" </dev/null 2>/dev/null |
	    openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum)
	want="3 1 1 ${shown%% *}"
	[ "$(lab_rdata good 3 1 1)" = "$want" ]
	[ "$(lab_rdata "$LAB_CERTS/good/cert.pem" 3 1 1)" = "$want" ]
	run -0 drill -p "$LAB_PORT" "_$LAB_PORT._tcp.mx.good.test" TLSA @127.0.0.1
	[[ $output == *"$want"* ]]
}

@test "certificates are what their names say" {
	cd "$LAB_CERTS"
	verify() { openssl verify -CAfile ca/cert.pem -untrusted inter/cert.pem "$@" 2>&1; }
	verify -verify_hostname mx.good.test good/cert.pem
	verify -verify_hostname ta-nexthop.test good/cert.pem
	run ! verify -verify_hostname mx.good.test wrongname/cert.pem
	run verify expired/cert.pem
	[[ $output == *'certificate has expired'* ]]
	run ! verify self/cert.pem
	openssl x509 -in rsa1024/cert.pem -noout -text | grep -q '1024 bit'
	run ! openssl verify -CAfile other-ca/cert.pem -untrusted inter/cert.pem good/cert.pem
}

@test "chains are sent as their names say" {
	certs() { starttls "$1" -showcerts | grep -c 'BEGIN CERT'; }
	[ "$(certs 127.0.0.25)" = 3 ]
	[ "$(certs 127.0.2.7)" = 2 ]
	[ "$(certs 127.0.2.8)" = 4 ]
	[ "$(certs 127.0.2.9)" = 4 ]
	[ "$(certs 127.0.2.5)" = 1 ]
}

@test "peers that are all right: TLS, and EHLO inside" {
	local how
	for how in ok odd-case no-quit banner-slow banner-junk inject; do
		run starttls "$(at $how)"
		echo "$how: $output"
		[[ $output == *'CN = mx.good.test'* ]]
	done
}

@test "peers that misbehave before STARTTLS" {
	says banner-421 '421 4.3.2'
	says banner-450 '450 4.7.1'
	says banner-554 '554 5.7.1'
	says banner-http 'HTTP/1.1 400'
	says banner-junk $'\e]0;title\a'
	says banner-endless $'220-for ever and ever\r\n220-for ever'
	says ehlo-421 '421 4.3.2'
	says ehlo-450 '450 4.3.2'
	says ehlo-drop $'250-mx.drop.test\r\n250-START'
	says ehlo-endless $'250-X-FOR-EVER\r\n250-X'
	says ehlo-garbage 'hello there'
	says helo-only '502 5.5.1'
	says no-starttls $'8BITMIME\r\n502'
	[ "$(talk "$(at banner-never)" | wc -c)" = 0 ]
	[ "$(talk "$(at banner-close)" | wc -c)" = 0 ]
	[ "$(talk "$(at ehlo-longline)" 'EHLO x' | tr -d '\0' | awk 'length > m { m = length } END { print (m > 1000000) }')" = 1 ]
}

@test "peers that misbehave at STARTTLS" {
	says starttls-454 $'8BITMIME\r\n454 4.7.0'
	says starttls-501 $'8BITMIME\r\n501 5.5.4'
	says starttls-554 $'8BITMIME\r\n554 5.7.3'
	says starttls-421 $'8BITMIME\r\n421 4.7.0'
	says starttls-close $'8BITMIME\r\n220 2.0.0'
	says inject $'220 2.0.0 go ahead\r\n250 injected'
	says tls-garbage $'220 2.0.0 go ahead\r\nthis is no TLS'
	run starttls "$(at tls-alert)"
	[[ $output == *'alert handshake failure'* ]]
	run starttls "$(at tls10)"
	[[ $output == *'TLSv1'* && $output != *TLSv1.2* && $output != *TLSv1.3* ]]
	run starttls "$(at tls10)" -tls1_2
	[[ $output == *'no peer certificate'* ]]
}

@test "peers that cannot be reached" {
	run -9 talk_status 127.0.2.20
	run -124 timeout 1 bash -c "exec 3<>/dev/tcp/127.0.2.22/$LAB_PORT"
}

talk_status()
{
	timeout 5 bash -c "exec 3<>/dev/tcp/$1/$LAB_PORT || exit 9"
}

@test "what peers saw is written down" {
	local addr
	addr=$(at ok)
	starttls "$addr" >/dev/null
	grep -q "^$addr connect$" "$LAB_CAPTURE"
	grep -q "^$addr clear EHLO" "$LAB_CAPTURE"
	grep -q "^$addr tls-start TLSv1.3 mx.good.test$" "$LAB_CAPTURE"
}

@test "every behaviour of peer has a host, and the other way round" {
	diff <("$BUILD/lab/peer" -l | sort) <(awk '!/^#/ { print $2 }' "$lab_here/hosts" | sort -u)
}

@test "records can be exchanged under a running lab" {
	lab_tlsa mx.rollover.test '3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
	run -0 drill -p "$LAB_PORT" "_$LAB_PORT._tcp.mx.rollover.test" TLSA @127.0.0.1
	[ "$(grep -c 'TLSA	3 1 1' <<< "$output")" = 1 ]
	[[ $output == *aaaaaaaa* ]]
	lab_tlsa mx.rollover.test
	run -0 asked "_$LAB_PORT._tcp.mx.rollover.test" TLSA
	[ "$output" = 'NXDOMAIN ad' ]
	lab_zone_set rollover.test @ MX '5 mx.good.test.'
	run -0 asked rollover.test MX
	[ "$output" = 'NOERROR ad' ]
}

@test "a peer can be exchanged under a running lab" {
	lab_peer 127.0.1.1 banner-554
	run talk 127.0.1.1
	[[ $output == 554* ]]
	lab_peer_stop 127.0.1.1
	lab_peers
	run talk 127.0.1.1
	[[ $output == 220* ]]
}

@test "a peer is exchanged in the namespace as well" {
	seen() { lab_ns timeout 5 bash -c "exec 3<>/dev/tcp/$1/$LAB_PORT && head -c 4 <&3"; }
	[ "$(seen 127.0.1.1)" = '220 ' ]
	lab_peer 127.0.1.1 banner-554
	[ "$(seen 127.0.1.1)" = '554 ' ]
	lab_peer 127.0.1.1 banner-421
	[ "$(seen 127.0.1.1)" = '421 ' ]
	lab_peer_stop 127.0.1.1
	run ! seen 127.0.1.1
	lab_peers
	[ "$(seen 127.0.1.1)" = '220 ' ]
}

@test "a peer from before the first lab_ns is in the namespace" {
	run -0 bash -c '. "$1/lab.bash"; lab_start "$2" && lab_peer 127.0.0.25 banner-554 && lab_peers &&
	    lab_ns timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.25/$LAB_PORT && head -c 4 <&3"; lab_stop' \
	    - "$lab_here" "$BATS_TEST_TMPDIR/own"
	[ "$output" = '554 ' ]
}

@test "lab_posttls_finger fails with words where there is no posttls-finger" {
	mkdir -p "$BATS_TEST_TMPDIR/top/tests/lab"
	cp -r "$lab_here/." "$BATS_TEST_TMPDIR/top/tests/lab"
	lab_here=$BATS_TEST_TMPDIR/top/tests/lab
	printf '#!/bin/sh\necho "$1: neither installed nor in .peers" >&2\nexit 127\n' > "$lab_here/run-peer"
	lab_ns true
	run -1 --separate-stderr lab_posttls_finger good.test
	[ -z "$output" ]
	[ "$stderr" = 'lab: posttls-finger: neither installed nor in .peers' ]
}

@test "the README's first lines work as they stand" {
	local lines
	lines=$(sed -n '/^    make all aids$/,/^$/p' "$lab_here/README.md")
	[[ "$lines" == *lab_start*lab_peers*lab_stop* ]]
	# What is under test has been built, and perhaps elsewhere.
	lines=$(sed "/^ *make /d; s,\$PWD/build,$BUILD,; s,\$PWD/bin,$BIN," <<< "$lines")
	run -0 bash -c "cd '$BATS_TEST_DIRNAME/..' && $lines"
	echo "$output"
	[[ "$output" == *good.test*AUTH* ]]
}

@test "Postfix takes a message for good.test over TLS and keeps it" {
	[ -e "$LAB_DIR/postfix" ] || skip 'needs root: Postfix works as several users'
	{
		sleep 0.3
		printf 'EHLO test\r\n'
		sleep 0.1
		printf 'MAIL FROM:<>\r\n'
		sleep 0.1
		printf 'RCPT TO:<anyone@good.test>\r\n'
		sleep 0.1
		printf 'DATA\r\n'
		sleep 0.1
		printf 'Subject: lab\r\n\r\nto be kept\r\n.\r\nQUIT\r\n'
	} | timeout 10 openssl s_client -quiet -starttls smtp -connect "127.0.0.25:$LAB_PORT" >/dev/null 2>&1
	for _ in {1..50}; do
		lab_postfix_mail good.test 2>/dev/null | grep -q 'to be kept' && break
		sleep 0.1
	done
	lab_postfix_mail good.test | grep 'to be kept'
	lab_postfix_mail good.test | grep 'using TLSv1.3'
}

@test "Postfix goes on with another certificate" {
	[ -e "$LAB_DIR/postfix" ] || skip 'needs root: Postfix works as several users'
	run starttls 127.0.0.25
	[[ $output == *'CN = mx.good.test'* ]]
	lab_postfix_cert "$LAB_CERTS/other"
	run starttls 127.0.0.25
	[[ $output == *'CN = other.invalid'* ]]
	lab_postfix_cert "$LAB_CERTS/good"
	run starttls 127.0.0.25
	[[ $output == *'CN = mx.good.test'* ]]
}

@test "posttls-finger agrees with the README, in the namespace" {
	while read -r d want; do
		run -0 lab_posttls_finger "$d"
		echo "$d: $output, wanted $want"
		[ "$output" = "$want" ]
	done <<-EOF
		good.test verified
		ta-cert.test verified
		ta-record.test verified
		ta-unsent.test skip
		wrong.test skip
		agility-good.test verified
		agility-bad.test skip
		unusable.test untrusted
		unusable-plain.test skip
		absent-nxdomain.test untrusted
		bogus-tlsa.test skip
		bogus-mx.test temp
		unsigned.test untrusted
		mx-insecure.test trusted
		alias-secure.test verified
		alias-unsigned.test verified
		null-mx.test nomail
		nonexistent.test failed
		tlsa-servfail.test skip
		down.test temp
		no-starttls.plain.test none
		no-starttls.dane.test skip
		starttls-454.dane.test rejected
		banner-421.plain.test temp
		tls-alert.plain.test handshake
		dribble.dane.test verified
	EOF
}

@test "nothing listens on port 53 or 25 of the host for the lab" {
	run ! grep -E ':(53|25) .*(nsd|unbound|dnsrelay|peer|master)' <<< "$(ss -Hltnup)"
}

@test "lab_stop leaves no process and no file" {
	bash -c '. "$1/lab.bash"; lab_start "$2" && lab_peers && lab_ns true && lab_postfix; lab_stop' \
	    - "$lab_here" "$BATS_TEST_TMPDIR/own"
	[ ! -e "$BATS_TEST_TMPDIR/own" ]
	[ -z "$(lab_leftovers "$BATS_TEST_TMPDIR/own")" ]
}

@test "lab_stop says so where a server had died by itself" {
	run -1 bash -c '. "$1/lab.bash"; lab_start "$2" && kill -KILL "$(< "$2/pids/nsd")"; sleep 0.1; lab_stop' \
	    - "$lab_here" "$BATS_TEST_TMPDIR/own"
	[[ $output == *'nsd had ended by itself'* ]]
	[ -z "$(lab_leftovers "$BATS_TEST_TMPDIR/own")" ]
}
