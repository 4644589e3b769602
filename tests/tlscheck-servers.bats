#!/usr/bin/env bats
# shellcheck disable=SC2154 # stderr is run's
# tlscheck on single servers: real ones of IMAP, POP3, ManageSieve, LMTP (Dovecot), LDAP (OpenLDAP) and TLS from
# the first octet, scripted ones that misbehave; certificates by kind of key; --client; --publish.

bats_require_minimum_version 1.5.0

# A certificate with RSA beside the lab's own, which are ECDSA.
make_rsa() {
	mkdir "$LAB_DIR/$1"
	openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=mx.good.test -keyout "$LAB_DIR/$1/key.pem" \
		-addext subjectAltName=DNS:mx.good.test -out "$LAB_DIR/$1/cert.pem" 2> /dev/null
}

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	. "$BATS_TEST_DIRNAME/lab/services.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
	make_rsa rsa
	lab_dovecot 127.0.0.25 "$LAB_CERTS/good" "$LAB_DIR/rsa"
	lab_slapd 127.0.0.25 "$LAB_CERTS/good" "$LAB_CERTS/ca/cert.pem"
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	. "$BATS_TEST_DIRNAME/lab/services.bash"
	lab_opts
	export MTATLS_DIR=$BATS_TEST_TMPDIR/state
}

check() {
	run --separate-stderr "$BIN/tlscheck" "${LAB_OPTS[@]}" -t 5 --ca "$LAB_CERTS/ca/cert.pem" "$@"
}

says() {
	[[ $output == *"$1"* ]] || { echo "not said: $1"; echo "$output"; return 1; }
}

@test "real servers of each protocol: STARTTLS, then one certificate for each kind of key" {
	local row proto port answer
	for row in "imap $LAB_IMAP b OK" "pop3 $LAB_POP3 +OK" "sieve $LAB_SIEVE OK" "lmtp $LAB_LMTP 220" \
		"none $LAB_IMAPS"; do
		read -r proto port answer <<< "$row"
		check -v --starttls "$proto" "mx.good.test:$port"
		[ -z "$stderr" ]
		[ -z "$answer" ] || says "    STARTTLS: $answer"
		says "  ECDSA certificate: "
		says "  RSA certificate: "
		says "    versions: TLS 1.3 yes, TLS 1.2 yes, TLS 1.1 no, TLS 1.0 no"
		says "    client certificate: not asked for"
		says "    post-quantum key exchange"
		if [ "$proto" = lmtp ]; then
			[ "$status" -eq 0 ]
			says "mx.good.test:$port: ENC: "
		else
			[ "$status" -eq 1 ]
			says "  ECDSA certificate: AUTH "
			says "  RSA certificate: SKIP "
			says "mx.good.test:$port: SKIP: with its RSA certificate: "
		fi
	done
}

@test "LDAP: StartTLS, and ldaps; a level that the user names counts" {
	check -v --starttls ldap "mx.good.test:$LAB_LDAP"
	says "    STARTTLS: result 0"
	says "  ECDSA certificate:"
	run ! grep -q 'RSA certificate' <<< "$output"
	check -l required --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 0 ]
	says "mx.good.test:$LAB_LDAP: ENC: "
	check --starttls none "mx.good.test@$LAB_LDAPS"
	says "mx.good.test:$LAB_LDAPS: 127.0.0.25: "
}

@test "a server with two certificates of which one has a TLSA record: the other is what counts" {
	local ecdsa rsa
	ecdsa=$(lab_rdata good 3 1 1)
	rsa=$(lab_rdata "$LAB_DIR/rsa/cert.pem" 3 1 1)
	lab_zone_set good.test "_$LAB_IMAP._tcp.mx" TLSA "$ecdsa"
	lab_zone_set good.test "_$LAB_LMTP._tcp.mx" TLSA "$ecdsa" "$rsa"
	check --starttls imap "mx.good.test:$LAB_IMAP"
	[ "$status" -eq 1 ]
	says "  ECDSA certificate: AUTH "
	says "    TLSA $ecdsa: used"
	says "  RSA certificate: SKIP "
	says "    TLSA $ecdsa: dead"
	says "mx.good.test:$LAB_IMAP: SKIP: with its RSA certificate: "
	says "[RFC 7671 "
	check --starttls lmtp "mx.good.test:$LAB_LMTP"
	[ "$status" -eq 0 ]
	says "mx.good.test:$LAB_LMTP: AUTH: "
	check -j --starttls lmtp "mx.good.test:$LAB_LMTP"
	[ "$(jq -r '[.hosts[0].certificates[] | .key, .verdict] | join(" ")' <<< "$output")" = "ECDSA AUTH RSA AUTH" ]
}

@test "usages 0 and 1 count where the protocol is not mail's, and then a trusted chain has to be there too" {
	lab_zone_set good.test "_$LAB_LDAP._tcp.mx" TLSA "$(lab_rdata good 1 1 1)"
	check --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 1 ]
	says "SKIP: its TLSA records want a chain to a trusted CA: "
	cat "$LAB_CERTS/ca/cert.pem" "$LAB_CERTS/inter/cert.pem" > "$BATS_TEST_TMPDIR/cas"
	run "$BIN/tlscheck" "${LAB_OPTS[@]}" --ca "$BATS_TEST_TMPDIR/cas" --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 0 ]
	says "AUTH: a TLSA record of usage 1 matches, and "
	lab_zone_set good.test "_$LAB_LDAP._tcp.mx" TLSA "$(lab_rdata other 1 1 1)"
	run "$BIN/tlscheck" "${LAB_OPTS[@]}" --ca "$BATS_TEST_TMPDIR/cas" --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 1 ]
	says "SKIP: no TLSA record matches [RFC 6698 2.1.1]"
	lab_zone_set good.test "_$LAB_LDAP._tcp.mx" TLSA
}

@test "--client: presented where it is asked for, taken or refused" {
	"$BIN/mkcert" -d "$MTATLS_DIR" client.test
	"$BIN/mkcert" -d "$MTATLS_DIR" stranger.test
	lab_end slapd
	lab_slapd 127.0.0.25 "$LAB_CERTS/good" "$MTATLS_DIR/certs/client.test/cert.pem" demand
	check -l required --starttls ldap "mx.good.test:$LAB_LDAP"
	says "client certificate: asked for, none was presented"
	check -l required --client client.test --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 0 ]
	says "client certificate: asked for and presented (the server names 1 CA): the server goes on"
	check -j -l required --client client.test --starttls none "mx.good.test:$LAB_LDAPS"
	[ "$(jq -r '.hosts[0] | [.client_certificate, .client_accepted] | join(" ")' <<< "$output")" = "presented true" ]
	check -l required --client stranger.test --starttls ldap "mx.good.test:$LAB_LDAP"
	says "client certificate: asked for and presented (the server names 1 CA): "
	check -j -l required --client stranger.test --starttls none "mx.good.test:$LAB_LDAPS"
	[ "$(jq -r '.hosts[0] | [.client_certificate, .client_accepted] | join(" ")' <<< "$output")" = "presented false" ]
	[ "$status" -eq 3 ]
	check --client nobody.test --starttls ldap "mx.good.test:$LAB_LDAP"
	[ "$status" -eq 2 ]
	[[ $stderr == *"nobody.test"* ]]
}

@test "SMTP by host:port is that host under the policy, with its other certificates" {
	check "mx.good.test:$LAB_PORT"
	[ "$status" -eq 0 ]
	says "mx.good.test:$LAB_PORT: 127.0.0.25: AUTH (TLSv1.3 "
	check "127.0.0.25@$LAB_PORT" "[127.0.0.25]:$LAB_PORT"
	[ "$(grep -c "^127.0.0.25:$LAB_PORT: ENC: " <<< "$output")" -eq 2 ]
	check user@good.test
	[ "$status" -eq 2 ]
	[[ $stderr == *'of a mail address give the domain alone'* ]]
	check "mx.swapped.test:$LAB_PORT"
	[ "$status" -eq 1 ]
	says "mx.swapped.test:$LAB_PORT: SKIP: "
	check "mx.no-starttls.dane.test:$LAB_PORT" "mx.inject.plain.test:$LAB_PORT" "mx.down.test:$LAB_PORT"
	[ "$status" -eq 1 ]
	says "mx.no-starttls.dane.test:$LAB_PORT: SKIP: "
	says "mx.inject.plain.test:$LAB_PORT: SKIP: clear text behind the 220 to STARTTLS: "
	says "mx.down.test:$LAB_PORT: INCONCLUSIVE: "
}

@test "IPv6: [address]:port" {
	[ "${LAB_V6:-0}" = 1 ] || skip "no IPv6 loopback here"
	check "[::1]:$LAB_PORT"
	[ "$status" -eq 0 ]
	says "[::1]:$LAB_PORT: ENC: "
}

@test "--survey: a domain's hosts, and -C their chains in PEM, as they were sent" {
	check --survey -C good.test null-mx.test
	[ "$status" -eq 1 ]
	says "good.test: 10 mx.good.test 127.0.0.25: AUTH "
	says "good.test: AUTH: "
	says "null-mx.test: NOMAIL: "
	[ "$(grep -c 'BEGIN CERTIFICATE' <<< "$output")" -eq 3 ]
	openssl x509 -noout -subject <<< "$output" | grep -q mx.good.test
	check --survey -jC good.test
	[ "$(jq -r '.hosts[0].certificates[0].pem' <<< "$output" | grep -c 'BEGIN CERTIFICATE')" -eq 3 ]
	check tls10.plain.test --survey
	says "    versions: TLS 1.3 no, TLS 1.2 no, TLS 1.1 no, TLS 1.0 yes"
}

@test "servers that misbehave: each protocol's verdict, reason and clause" {
	local row n=100 proto want words
	while IFS='%' read -r proto want words; do
		n=$((n + 1))
		eval "words=($words)"
		lab_scripted 127.0.0.25 $((LAB_PORT + n)) "${words[@]}"
		check -t 2 --starttls "$proto" "127.0.0.25:$((LAB_PORT + n))"
		lab_end "scripted-$((LAB_PORT + n))"
		# shellcheck disable=SC2053
		[[ ${lines[-1]} == "127.0.0.25:$((LAB_PORT + n)): "$want ]] || { echo "$proto $want: $output"; return 1; }
	done <<- 'ROWS'
		imap%SKIP: octets in clear text behind the go-ahead*: * CAPABILITY AUTH=PLAIN*\[RFC 9051 6.2.1\]%'* OK\r\n' '* CAPABILITY STARTTLS\r\na OK\r\n' 'b OK\r\n* CAPABILITY AUTH=PLAIN\r\n'
		pop3%SKIP: octets in clear text behind the go-ahead*\[RFC 2595 4\]%'+OK\r\n' '+OK\r\nSTLS\r\n.\r\n' '+OK\r\n+OK\r\n'
		sieve%SKIP: octets in clear text behind the go-ahead*\[RFC 5804 2.2\]%'"STARTTLS"\r\nOK\r\n' 'OK\r\n"SASL" "PLAIN"\r\n'
		ldap%SKIP: octets in clear text behind the go-ahead*\[RFC 4511 4.14\]%'' '0\x0c\x02\x01\x01x\x07\x0a\x01\x00\x04\x00\x04\x000\x0c'
		imap%SKIP: TLS is required, but STARTTLS is not offered*%'* OK\r\n' '* CAPABILITY IMAP4rev1\r\na OK\r\n' 'z OK\r\n'
		imap%SKIP: the TLS handshake failed*%'* OK\r\n' '* CAPABILITY STARTTLS\r\na OK\r\n' 'b OK\r\n' 'no TLS at all\r\n'
		imap%SKIP: does not speak IMAP: *220 mx ESMTP*\[RFC 9051 6.2.1\]%'220 mx ESMTP\r\n'
		imap%INCONCLUSIVE: *BYE busy*%'* BYE busy\r\n'
		pop3%SKIP: refuses the session: *SYS/PERM*%'-ERR [SYS/PERM] no\r\n'
		none%SKIP: @(does not speak TLS|the TLS handshake failed): *\[RFC 8446 4\]%'220 mx ESMTP\r\n'
	ROWS
}

@test "--publish: what the servers support, and the zone takes it" {
	check --publish good.test
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	says "mode: enforce
mx: mx.good.test
max_age: 1209600"
	says '_mta-sts.good.test. IN TXT "v=STSv1; id='
	says '_smtp._tls.good.test. IN TXT "v=TLSRPTv1; rua=mailto:tlsrpt@good.test"'
	says "_$LAB_PORT._tcp.mx.good.test. IN TLSA $(lab_rdata good 3 1 1)"
	printf '$ORIGIN good.test.\n$TTL 60\n@ SOA ns a 1 1 1 1 1\n%s\n' "$output" |
		grep -vE '^(version|mode|mx|max_age):' > "$BATS_TEST_TMPDIR/zone"
	ldns-read-zone "$BATS_TEST_TMPDIR/zone" > /dev/null
	check --publish=sts-policy good.test
	[ "${lines[0]}" = "version: STSv1" ]
	check --publish=tlsa good.test
	[ "$output" = "_$LAB_PORT._tcp.mx.good.test. IN TLSA $(lab_rdata good 3 1 1)" ]
}

@test "--publish: one TLSA record for each kind of key" {
	lab_zone_set later.test mx1 A 127.0.0.25
	lab_zone_set later.test mx2 A 127.0.0.25
	run "$BIN/tlscheck" "${LAB_OPTS[@]}" --port "$LAB_LMTP" --starttls lmtp --publish=tlsa later.test
	[ "$status" -eq 0 ]
	[ "$(sort -u <<< "$output" | grep -c "^_$LAB_LMTP._tcp.mx[12].later.test. IN TLSA 3 1 1 ")" -eq 4 ]
	check --publish=tlsa multi-addr.test
	[ "$status" -eq 1 ]
	[[ $stderr == *"mx.multi-addr.test 127.0.2.20: no certificate was seen: "* ]]
	[ "$(grep -c 'IN TLSA' <<< "$output")" -eq 1 ]
}

@test "--publish: what stands in the way is said, with status 1" {
	run --separate-stderr "$BIN/tlscheck" "${LAB_OPTS[@]}" --ca "$LAB_CERTS/other-ca/cert.pem" --publish good.test
	[ "$status" -eq 1 ]
	says "mode: testing"
	[[ $stderr == "tlscheck: good.test: MTA-STS: the ECDSA certificate of mx.good.test 127.0.0.25: "* ]]
	check --publish ee-wrongname.test
	[ "$status" -eq 1 ]
	says "mode: testing"
	[[ $stderr == *"elsewhere.invalid"* ]]
	check --publish=tlsa unsigned.test
	[ "$status" -eq 1 ]
	[[ $stderr == *"the zone of mx.unsigned.test is not signed"* ]]
	check --publish null-mx.test
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	check --publish mx-servfail.test
	[ "$status" -eq 3 ]
}

@test "usage: protocols, parts and ports that are none; options of the other forms" {
	local args
	for args in "--starttls ftp x.test:21" "--publish=mx good.test" "mx.good.test:0" "mx.good.test:65536" \
		"mx.good.test:smtp" "a..b:25" "[::1:25" "-T mx.good.test:25" "--save f mx.good.test:25"; do
		# shellcheck disable=SC2086
		run --separate-stderr "$BIN/tlscheck" $args
		[ "$status" -eq 2 ] || { echo "$args: $status"; return 1; }
		[ -z "$output" ]
		[[ $stderr == "tlscheck: "* ]]
	done
	run --separate-stderr "$BIN/tlscheck" --ca /nonexistent mx.good.test:25
	[ "$status" -eq 2 ]
}

@test "what --publish prints is what --lint takes" {
	local part
	for part in sts-policy sts-txt tlsrpt-txt tlsa; do
		check "--publish=$part" good.test
		[ "$status" -eq 0 ]
		printf '%s\n' "$output" > "$BATS_TEST_TMPDIR/$part"
		run -0 "$BIN/tlscheck" --lint "$part" "$BATS_TEST_TMPDIR/$part"
	done
}

# N [OPTION]...: the most memory and descriptors of one run over N times the same destination.
peak() {
	local n=$1 words=()
	shift
	while [ ${#words[@]} -lt "$n" ]; do words+=(good.test); done
	"$BATS_TEST_DIRNAME/lab/peak" "$BIN/tlscheck" "${LAB_OPTS[@]}" "$@" "${words[@]}"
}

@test "memory and descriptors: 200 destinations need what 100 do, 80 surveys what 40 do" {
	local few many room=2048
	# The sanitizers keep what was freed for a while.
	[[ $BIN != */asan/* ]] || room=$((512 * 1024))
	read -r -a few < <(peak 100)
	read -r -a many < <(peak 200)
	echo "${few[*]}, ${many[*]}"
	[ "${many[0]}" -lt $((few[0] + room)) ]
	[ "${many[1]}" -lt $((few[1] + 20)) ]
	read -r -a few < <(peak 40 --survey)
	read -r -a many < <(peak 80 --survey)
	echo "${few[*]}, ${many[*]}"
	[ "${many[0]}" -lt $((few[0] + room)) ]
	[ "${many[1]}" -lt $((few[1] + 20)) ]
}

@test "the libraries of the DNS are loaded by those who ask it" {
	run -0 readelf -d "$BIN/tlscheck"
	says "libssl"
	[[ $output != *@(libunbound|libldns|libidn2|libjansson|libcurl)* ]] || { echo "$output"; return 1; }
}
