#!/usr/bin/env bats
# mkcert judged from outside: by openssl, by certtool, and by what is left on the disk.

bats_require_minimum_version 1.5.0

setup() {
	# bats has files of its own beside.
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state"
	unset SSL_CERT_FILE OPENSSL_CONF
}

mkcert() { "$BIN/mkcert" "$@"; }

cert() { echo "$MTATLS_DIR/certs/$1/cert.pem"; }

# The value of one extension, blanks and line ends squeezed, without its heading.
ext() {
	openssl x509 -in "$1" -noout -ext "$2" | tail -n +2 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}

# Is the extension critical?
critical() {
	openssl x509 -in "$1" -noout -ext "$2" | head -1 | grep -q critical
}

# The ASN.1 string type that follows the object of this name in the subject.
string_type() {
	openssl x509 -in "$1" -outform DER | openssl asn1parse -inform DER |
	    grep -A1 "OBJECT *:$2\$" | tail -1 | sed 's/.*prim: *//; s/ *:.*//'
}

usage_error() {
	run -2 --separate-stderr mkcert "$@"
	[ -z "$output" ]
	[[ "$stderr" == mkcert:*$'\nusage: mkcert '*$'\ntry -h for the options' ]]
	[ "${#stderr_lines[@]}" -eq 8 ]
	[ ! -e "$MTATLS_DIR" ]
}

refused() {
	local why=$1
	shift
	run -2 --separate-stderr mkcert "$@"
	[ -z "$output" ]
	[[ "$stderr" == "mkcert: "*"$why"* ]] || { echo "$stderr"; false; }
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ ! -e "$MTATLS_DIR" ]
}

@test "-h and -V" {
	run -0 --separate-stderr mkcert -h
	[[ "$output" == 'usage: mkcert '* ]]
	[ -z "$stderr" ]
	for option in --add --dir --force --json --key --name --output --type --as-ca --days --demo \
	    --server-only --org --unit --locality --state --country; do
		[[ "$output" == *"$option"* ]] || { echo "$option"; false; }
	done
	run -0 --separate-stderr mkcert --version
	[[ "$output" =~ ^mkcert\ \(mtatls\)\ [0-9.]+$ ]]
	[ -z "$stderr" ]
}

@test "wrong usage" {
	usage_error
	usage_error -Z mx.example
	usage_error --no-such mx.example
	usage_error -t
	usage_error --days
	usage_error mx.example mx2.example
	usage_error -k key.pem -t ec:p256 mx.example
	usage_error -o out.pem -n name mx.example
	usage_error -o - -j mx.example
	usage_error --demo --days 3 mx.example
}

@test "an identity, its path and its fingerprint" {
	run -0 --separate-stderr mkcert mx.example
	[ -z "$stderr" ]
	fp=$(openssl x509 -in "$(cert mx.example)" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
	[ "$output" = "$MTATLS_DIR/certs/mx.example ${fp,,}" ]
	[ "$(ls "$MTATLS_DIR/certs/mx.example/")" = $'cert.pem\nkey.pem' ]
	[ "$(stat -c %a "$MTATLS_DIR"/certs/mx.example/key.pem)" = 600 ]
	[ "$(stat -c %a "$MTATLS_DIR"/certs/mx.example/cert.pem)" = 644 ]
	[ "$(readlink "$MTATLS_DIR/certs/mx.example")" = .versions/mx.example/1 ]
	[ "$(ls -A "$MTATLS_DIR/certs")" = $'.versions\nmx.example' ]
	[ "$(openssl pkey -in "$MTATLS_DIR/certs/mx.example/key.pem" -pubout)" = \
	    "$(openssl x509 -in "$(cert mx.example)" -noout -pubkey)" ]
}

@test "modes are the same under every umask" {
	for mask in 000 077 777; do
		(umask $mask && mkcert "m$mask.example")
		[ "$(stat -c %a "$MTATLS_DIR/certs/m$mask.example/key.pem")" = 600 ]
		[ "$(stat -c %a "$MTATLS_DIR/certs/m$mask.example/cert.pem")" = 644 ]
		[ "$(stat -Lc %a "$MTATLS_DIR/certs/m$mask.example")" = 755 ]
	done
}

# Each type of key: one good certificate to three judges.
judge() {
	mkcert -t "$1" -o "$1.pem" -a mx2.example -a 192.0.2.1 mx.example
	openssl x509 -in "$1.pem" -noout -text | grep -q "$2"
	run -0 openssl verify -x509_strict -check_ss_sig -partial_chain -purpose sslserver \
	    -verify_hostname mx2.example -CAfile "$1.pem" "$1.pem"
	[ "$output" = "$1.pem: OK" ]
	run -0 openssl verify -partial_chain -purpose sslclient -verify_ip 192.0.2.1 -CAfile "$1.pem" "$1.pem"
	run -2 openssl verify -partial_chain -verify_hostname mx3.example -CAfile "$1.pem" "$1.pem"
	openssl x509 -in "$1.pem" -out "$1.crt"
	run -0 certtool --certificate-info --infile "$1.crt"
	# GnuTLS's own verification insists on a CA: what --as-ca is for.
	mkcert -k "$1.pem" --as-ca -o "ca-$1.pem" -a mx2.example mx.example
	openssl x509 -in "ca-$1.pem" -out "ca-$1.crt"
	run -0 certtool --verify --load-ca-certificate "ca-$1.crt" --verify-hostname mx2.example \
	    --verify-profile medium --infile "ca-$1.crt"
	[[ "$output" == *'Chain verification output: Verified. The certificate is trusted.'* ]]
	run -1 certtool --verify --load-ca-certificate "ca-$1.crt" --verify-hostname mx3.example \
	    --infile "ca-$1.crt"
	run -0 certtool --key-info --infile "$1.pem"
}

@test "ec:p256 is good to openssl and certtool" { judge ec:p256 'NIST CURVE: P-256'; }
@test "ec:p384 is good to openssl and certtool" { judge ec:p384 'NIST CURVE: P-384'; }
@test "ed25519 is good to openssl and certtool" { judge ed25519 'Public Key Algorithm: ED25519'; }
@test "rsa:2048 is good to openssl and certtool" { judge rsa:2048 'Public-Key: (2048 bit)'; }
@test "rsa:3072 is good to openssl and certtool" { judge rsa:3072 'Public-Key: (3072 bit)'; }
@test "rsa:4096 is good to openssl and certtool" { judge rsa:4096 'Public-Key: (4096 bit)'; }

@test "other types of key are refused with the reason" {
	refused 'rsa:1024: too weak' -t rsa:1024 mx.example
	refused 'rsa:512: no such key type' -t rsa:512 mx.example
	refused 'dsa: no such key type' -t dsa mx.example
}

@test "ML-DSA exactly where openssl has it" {
	if openssl genpkey -algorithm ML-DSA-65 -out pq.pem 2>/dev/null; then
		mkcert -t ml-dsa:65 mx.example
		openssl x509 -in "$(cert mx.example)" -noout -text | grep -q 'Public Key Algorithm: ML-DSA-65'
	else
		refused 'ml-dsa:65: not in the OpenSSL that is in use' -t ml-dsa:65 mx.example
	fi
}

@test "the profile, field by field" {
	mkcert --org Example --unit Mail --locality Berlin --state Berlin --country DE mx.example
	c=$(cert mx.example)
	openssl x509 -in "$c" -noout -text | grep -q 'Version: 3 (0x2)'
	serial=$(openssl x509 -in "$c" -noout -serial)
	[[ "$serial" =~ ^serial=[4-7][0-9A-F]{39}$ ]]
	[ "$(ext "$c" basicConstraints)" = CA:FALSE ]
	critical "$c" basicConstraints
	[ "$(ext "$c" keyUsage)" = 'Digital Signature' ]
	critical "$c" keyUsage
	[ "$(ext "$c" extendedKeyUsage)" = 'TLS Web Server Authentication, TLS Web Client Authentication' ]
	[ "$(ext "$c" subjectAltName)" = DNS:mx.example ]
	run -1 critical "$c" subjectAltName
	ski=$(ext "$c" subjectKeyIdentifier)
	[[ "$ski" =~ ^([0-9A-F]{2}:){19}[0-9A-F]{2}$ ]]
	aki=$(ext "$c" authorityKeyIdentifier)
	[ "${aki#keyid:}" = "$ski" ]
	[ "$(openssl x509 -in "$c" -noout -text | grep -c '^            X509v3 ')" = 6 ]
	subject='C=DE,ST=Berlin,L=Berlin,O=Example,OU=Mail,CN=mx.example'
	[ "$(openssl x509 -in "$c" -noout -subject -nameopt sep_comma_plus)" = "subject=$subject" ]
	[ "$(openssl x509 -in "$c" -noout -issuer -nameopt sep_comma_plus)" = "issuer=$subject" ]
	[ "$(string_type "$c" countryName)" = PRINTABLESTRING ]
	for part in stateOrProvinceName localityName organizationName organizationalUnitName commonName; do
		[ "$(string_type "$c" "$part")" = UTF8STRING ]
	done
}

@test "options that change the profile" {
	mkcert -t rsa:2048 -n rsa mx.example
	[ "$(ext "$(cert rsa)" keyUsage)" = 'Digital Signature, Key Encipherment' ]
	mkcert --server-only -n server mx.example
	[ "$(ext "$(cert server)" extendedKeyUsage)" = 'TLS Web Server Authentication' ]
	mkcert --as-ca -n ca mx.example
	[ "$(ext "$(cert ca)" basicConstraints)" = CA:TRUE ]
	critical "$(cert ca)" basicConstraints
	[ "$(ext "$(cert ca)" keyUsage)" = 'Digital Signature, Certificate Sign' ]
	openssl verify -x509_strict -CAfile "$(cert ca)" "$(cert ca)"
}

@test "two certificates have two serial numbers and two keys" {
	mkcert -n a mx.example
	mkcert -n b mx.example
	[ "$(openssl x509 -in "$(cert a)" -noout -serial)" != "$(openssl x509 -in "$(cert b)" -noout -serial)" ]
	run -1 cmp "$MTATLS_DIR/certs/a/key.pem" "$MTATLS_DIR/certs/b/key.pem"
}

@test "the time of validity" {
	now=$(date +%s)
	mkcert --days 30 mx.example
	start=$(date -d "$(openssl x509 -in "$(cert mx.example)" -noout -startdate | cut -d= -f2)" +%s)
	end=$(date -d "$(openssl x509 -in "$(cert mx.example)" -noout -enddate | cut -d= -f2)" +%s)
	[ "$((start - now))" -ge -3600 ] && [ "$((start - now))" -le -3540 ]
	[ "$((end - now - 30 * 86400))" -ge 0 ] && [ "$((end - now - 30 * 86400))" -le 60 ]
	mkcert -n long --days 36500 mx.example
	run -0 bash -c "openssl x509 -in '$(cert long)' -outform DER | openssl asn1parse -inform DER"
	[[ "$output" == *'prim: UTCTIME'*'prim: GENERALIZEDTIME'* ]]
	rm -r "$MTATLS_DIR"
	for days in 0 -1 36501 1.5 '' x; do
		refused '--days: ' --days "$days" mx.example
	done
}

@test "names: case, trailing dot, IDN, addresses, duplicates" {
	run -0 mkcert -a MX2.Example. -a mx.example -a münchen.example -a IP:2001:db8:0::1 -a 192.0.2.7 \
	    -a DNS:mx2.example MX.Example.
	[[ "$output" == "$MTATLS_DIR/certs/mx.example "* ]]
	[ "$(ext "$(cert mx.example)" subjectAltName)" = "DNS:mx.example, DNS:mx2.example, \
DNS:xn--mnchen-3ya.example, IP Address:2001:DB8:0:0:0:0:0:1, IP Address:192.0.2.7" ]
	mkcert bücher.example
	[ "$(ext "$(cert xn--bcher-kva.example)" subjectAltName)" = DNS:xn--bcher-kva.example ]
}

@test "an address as the common name" {
	mkcert 2001:DB8::25
	[ "$(ext "$(cert 2001:db8::25)" subjectAltName)" = 'IP Address:2001:DB8:0:0:0:0:0:25' ]
	mkcert 192.0.2.25
	[ "$(ext "$(cert 192.0.2.25)" subjectAltName)" = 'IP Address:192.0.2.25' ]
	openssl verify -partial_chain -verify_ip 192.0.2.25 -CAfile "$(cert 192.0.2.25)" \
	    "$(cert 192.0.2.25)"
}

@test "a common name of 64 and of 65 characters" {
	label=abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrst
	mkcert $label.example
	[ "$(openssl x509 -in "$(cert $label.example)" -noout -subject -nameopt sep_comma_plus)" = \
	    "subject=CN=$label.example" ]
	run -1 critical "$(cert $label.example)" subjectAltName
	mkcert u$label.example
	c=$(cert u$label.example)
	[ "$(openssl x509 -in "$c" -noout -subject -nameopt sep_comma_plus)" = subject= ]
	critical "$c" subjectAltName
	[ "$(ext "$c" subjectAltName)" = DNS:u$label.example ]
	openssl verify -x509_strict -partial_chain -verify_hostname u$label.example -CAfile "$c" "$c"
	run -0 certtool --certificate-info --infile "$c"
	[[ "$output" == *"DNSname: u$label.example"* ]]
}

@test "a UTF-8 subject comes out as it went in" {
	mkcert --org 'Ärzte & Söhne, "A+B" 株式会社' mx.example
	[ "$(openssl x509 -in "$(cert mx.example)" -noout -subject \
	    -nameopt multiline,utf8,-esc_msb | sed -n 's/.*organizationName *= //p')" = \
	    'Ärzte & Söhne, "A+B" 株式会社' ]
	[ "$(string_type "$(cert mx.example)" organizationName)" = UTF8STRING ]
	long=$(printf 'ü%.0s' {1..64})
	mkcert -n long --org "$long" mx.example
	rm -r "$MTATLS_DIR"
	refused 'the organization has 65 characters; expected at most 64' --org "${long}x" mx.example
}

@test "text that cannot stand in a certificate is refused" {
	refused 'the common name is empty' ''
	refused 'not a host name' 'mx example'
	refused 'there is a control character' $'mx\n.example'
	refused 'not UTF-8' $'mx\xff.example'
	refused 'not a host name' .
	refused 'underscore' mx_1.example
	refused 'not a host name' 192.0.2.256
	refused '"*" may only be the whole left-most label' '*'
	refused '"*" may only be the whole left-most label' '*.example'
	refused '"*" may only be the whole left-most label' 'm*.example.com'
	refused '"*" may only be the whole left-most label' 'mx.*.example.com'
	refused '"*" may only be the whole left-most label' -a '*.*.example.com' mx.example
	refused 'expected a host name or an address' -a '' mx.example
	refused 'the organization is empty' --org '' mx.example
	refused 'the organization "a\x0ab"' --org $'a\nb' mx.example
	refused 'the unit "a\x1b[31m"' --unit $'a\e[31m' mx.example
	refused 'expected two upper-case letters' --country de mx.example
	refused 'the country has 3 characters' --country DEU mx.example
	refused 'not an IPv4 or IPv6 address' -a IP:mx.example mx.example
}

@test "names that cannot be an identity's are refused" {
	for name in '' . .. ../x a/b .x -x $'a\nb' "$(printf 'a%.0s' {1..201})"; do
		refused 'cannot be the name of an identity' "--name=$name" mx.example
	done
}

@test "a wildcard is stored as _wildcard" {
	run -0 mkcert '*.example.com'
	[[ "$output" == "$MTATLS_DIR/certs/_wildcard.example.com "* ]]
	[ "$(ext "$(cert _wildcard.example.com)" subjectAltName)" = 'DNS:*.example.com' ]
}

@test "an identity is replaced only with -f, and the previous one stays" {
	mkcert mx.example
	old=$(cat "$MTATLS_DIR/certs/mx.example/key.pem")
	run -1 --separate-stderr mkcert mx.example
	[ "$stderr" = "mkcert: $MTATLS_DIR/certs/mx.example: exists already; -f replaces it" ]
	[ "$(cat "$MTATLS_DIR/certs/mx.example/key.pem")" = "$old" ]
	mkcert -f mx.example
	[ "$(cat "$MTATLS_DIR/certs/mx.example/key.pem")" != "$old" ]
	[ "$(cat "$MTATLS_DIR/certs/.versions/mx.example/1/key.pem")" = "$old" ]
	mkcert -f mx.example
	[ "$(ls "$MTATLS_DIR/certs/.versions/mx.example")" = $'2\n3' ]
}

@test "-k keeps the key, from each form of file" {
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out p8.pem
	openssl rsa -in p8.pem -traditional -out p1.pem
	openssl pkey -in p8.pem -outform DER -out p8.der
	openssl rsa -in p8.pem -traditional -outform DER -out p1.der
	want=$(openssl pkey -in p8.pem -pubout)
	for file in p8.pem p1.pem p8.der p1.der; do
		mkcert -k $file -n $file mx.example
		[ "$(openssl x509 -in "$(cert $file)" -noout -pubkey)" = "$want" ]
	done
	openssl ecparam -genkey -name secp384r1 -out sec1.pem
	mkcert -k - -n stdin mx.example < sec1.pem
	[ "$(openssl x509 -in "$(cert stdin)" -noout -pubkey)" = "$(openssl pkey -in sec1.pem -pubout)" ]
	openssl x509 -in "$(cert stdin)" -noout -text | grep -q 'Signature Algorithm: ecdsa-with-SHA384'
}

@test "-k refuses what is no good key" {
	refused 'none.pem: No such file or directory' -k none.pem mx.example
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.pem
	run -1 --separate-stderr mkcert -k weak.pem mx.example
	[ "$stderr" = 'mkcert: weak.pem: an RSA key of 1024 bits is too weak; expected at least 2048' ]
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out odd.pem
	run -1 --separate-stderr mkcert -k odd.pem mx.example
	[[ "$stderr" == 'mkcert: odd.pem: a key of type ec:secp256k1 is of no use'* ]]
	openssl genpkey -algorithm ED25519 -aes256 -pass pass:x -out sealed.pem
	refused 'sealed.pem: line 1: the private key is encrypted' -k sealed.pem mx.example
	: > empty.pem
	refused 'empty.pem: empty' -k empty.pem mx.example
	head -c 100 weak.pem > cut.pem
	refused 'cut.pem: line 3: no -----END PRIVATE KEY----- before the end' -k cut.pem mx.example
	head -c 5000000 /dev/zero > large.pem
	refused 'large.pem: larger than 4194304 bytes' -k large.pem mx.example
	[ ! -e "$MTATLS_DIR" ]
}

@test "-o - prints key and certificate, and stores nothing" {
	run -0 --separate-stderr mkcert -o - mx.example
	[ -z "$stderr" ]
	[ ! -e "$MTATLS_DIR" ]
	printf '%s\n' "$output" > out.pem
	[ "$(grep -- '-----BEGIN' out.pem)" = $'-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----' ]
	[ "$(openssl pkey -in out.pem -pubout)" = "$(openssl x509 -in out.pem -noout -pubkey)" ]
	run -2 --separate-stderr bash -c '"$BIN"/mkcert -o - mx.example > /dev/full'
	[ "$stderr" = 'mkcert: standard output: No space left on device' ]
}

@test "-o FILE is written with mode 0600, and not over another without -f" {
	run -0 --separate-stderr mkcert -o out.pem mx.example
	fp=$(openssl x509 -in out.pem -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
	[ "$output" = "out.pem ${fp,,}" ]
	[ "$(stat -c %a out.pem)" = 600 ]
	[ "$(ls -A)" = out.pem ]
	run -1 --separate-stderr mkcert -o out.pem mx.example
	[ "$stderr" = 'mkcert: out.pem: exists already' ]
	cp out.pem old.pem
	mkcert -f -o out.pem mx.example
	run -1 cmp out.pem old.pem
	[ "$(ls -A)" = $'old.pem\nout.pem' ]
	run -2 --separate-stderr mkcert -o none/out.pem mx.example
	[ "$stderr" = 'mkcert: none/out.pem: No such file or directory' ]
}

@test "-o FILE where FILE is a device, a FIFO or a link" {
	if mknod nul c 1 3 2>/dev/null && : 2>/dev/null > nul; then
		mkcert -f -o nul mx.example
		[ -c nul ]
	fi
	mkcert -o /dev/null mx.example
	[ -c /dev/null ]
	mkfifo fifo
	cat fifo > out.pem &
	run -0 mkcert -f -o fifo mx.example
	[[ "$output" =~ ^fifo\ [0-9a-f]{64}$ ]]
	wait
	[ -p fifo ]
	openssl x509 -in out.pem -noout
	mkcert -o /dev/stdout mx.example > redirected.pem
	[ "$(grep -c -- -----BEGIN redirected.pem)" = 2 ]
	run -1 grep -v '^[-A-Za-z0-9+/=]*\( [A-Z -]*\)\?$' redirected.pem
	run -0 bash -c '"$BIN"/mkcert -o /dev/stdout mx.example | openssl x509 -noout'
	usage_error -o /dev/stdout -j mx.example

	mkdir deep
	ln -s deep/real.pem link.pem
	run -1 --separate-stderr mkcert -o link.pem mx.example
	[ "$stderr" = 'mkcert: link.pem: exists already' ]
	mkcert -f -o link.pem mx.example
	[ "$(readlink link.pem)" = deep/real.pem ]
	cp deep/real.pem old.pem
	run -1 --separate-stderr mkcert -o link.pem mx.example
	[ "$stderr" = 'mkcert: link.pem: exists already' ]
	mkcert -f -o link.pem mx.example
	[ "$(readlink link.pem)" = deep/real.pem ]
	run -1 cmp deep/real.pem old.pem
	[ "$(stat -c %a deep/real.pem)" = 600 ]
	[ "$(ls -A deep)" = real.pem ]
}

@test "-j" {
	run -0 --separate-stderr mkcert -j -a 192.0.2.1 -a mx2.example mx.example
	[ "${#lines[@]}" -eq 1 ]
	printf '%s\n' "$output" > out.json
	python3 - "$(cert mx.example)" <<-'PY'
	import json, subprocess, sys
	o = json.load(open("out.json"))
	x = lambda *a: subprocess.check_output(("openssl", "x509", "-in", sys.argv[1], "-noout") + a, text=True).strip()
	assert list(o) == ["name", "path", "sha256", "subject", "issuer", "dns", "ip", "key", "serial",
	    "not_before", "not_after", "ca", "demo"], list(o)
	assert o["name"] == "mx.example" and o["path"] + "/cert.pem" == sys.argv[1]
	assert o["sha256"] == x("-fingerprint", "-sha256").split("=")[1].replace(":", "").lower()
	assert o["subject"] == "CN=mx.example" and o["key"] == "ec:p256"
	assert o["dns"] == ["mx.example", "mx2.example"] and o["ip"] == ["192.0.2.1"]
	assert o["serial"] == x("-serial").split("=")[1].lower()
	assert o["not_after"] == x("-enddate", "-dateopt", "iso_8601").split("=")[1].replace(" ", "T")
	assert o["ca"] is False and o["demo"] is False
	PY
}

@test "--demo: seven days, marked, and warned about" {
	run -0 --separate-stderr mkcert --demo mx.example
	[[ "$stderr" == *'a demonstration certificate: for trials only' ]]
	openssl x509 -in "$(cert mx.example)" -noout -checkend 604700
	run -1 openssl x509 -in "$(cert mx.example)" -noout -checkend 604900
	openssl x509 -in "$(cert mx.example)" -outform DER | openssl asn1parse -inform DER |
	    grep -q "OBJECT *:$(sed -n 's/#define CERT_DEMO_OID "\(.*\)"/\1/p' "$BATS_TEST_DIRNAME/../common/cert.h")"
	openssl verify -x509_strict -partial_chain -CAfile "$(cert mx.example)" "$(cert mx.example)"
	# GnuTLS has to read the mark's OID, or its clients end each handshake with a relay that shows it.
	run -0 certtool --certificate-info --infile "$(cert mx.example)"
	[[ "$output" == *'Subject: CN=mx.example'* ]]
}

@test "where nothing can be written, nothing is left behind" {
	run -2 --separate-stderr mkcert -d /proc/mtatls mx.example
	[[ "$stderr" == 'mkcert: /proc/mtatls: '* ]]
	[ -z "$output" ]
	: > file
	run -2 --separate-stderr mkcert -d file mx.example
	[ "$stderr" = 'mkcert: file/certs/mx.example: Not a directory' ] ||
	    [ "$stderr" = 'mkcert: file: Not a directory' ]
	mkdir half
	: > half/certs
	run -2 --separate-stderr mkcert -d half mx.example
	[ "$stderr" = 'mkcert: half/certs: Not a directory' ]
	[ "$(find . | sort | tr '\n' ' ')" = '. ./file ./half ./half/certs ' ]
}

# A file-size limit of nothing stands for the full disk: every write to a file fails.  (The limit
# also holds for a stderr that is a file, so that is left to the pipe of run.)
full_disk() { (trap '' XFSZ; ulimit -f 0; "$BIN/mkcert" "$@"); }

@test "a full disk leaves the old state" {
	run -2 full_disk -d new/deep mx.example
	[[ "$output" == 'mkcert: new/deep/certs/'*': File too large' ]]
	[ -z "$(ls -A)" ]
	mkcert mx.example
	before=$(find state -type f -exec sha256sum {} + | sort; find state | sort)
	run -2 full_disk -f mx.example
	run -2 full_disk -f mx2.example
	run -2 full_disk -o out.pem mx.example
	[ "$(find state -type f -exec sha256sum {} + | sort; find state | sort)" = "$before" ]
	[ "$(ls -A)" = state ]
}

@test "many at once: one wins without -f, all are whole with it" {
	for i in 1 2 3 4 5 6; do
		{ rc=0; mkcert mx.example > out.$i 2>&1 || rc=$?; echo $rc > rc.$i; } &
	done
	wait
	[ "$(cat rc.* | sort | tr -d '\n')" = 011111 ]
	for i in 1 2 3 4 5 6; do
		{ rc=0; mkcert -f mx.example > out.$i 2>&1 || rc=$?; echo $rc > rc.$i; } &
	done
	wait
	[ "$(cat rc.* | tr -d '\n')" = 000000 ]
	[ "$(find "$MTATLS_DIR/certs/.versions/mx.example" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]
	[ "$(openssl pkey -in "$MTATLS_DIR/certs/mx.example/key.pem" -pubout)" = \
	    "$(openssl x509 -in "$(cert mx.example)" -noout -pubkey)" ]
}

@test "the root of all state: -d before MTATLS_DIR" {
	mkcert -d other mx.example
	[ -e other/certs/mx.example/key.pem ]
	[ ! -e "$MTATLS_DIR" ]
}

@test "the man page's EXAMPLES" {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/mkcert.1" |
	    sed -n '/^\.Bd/,/^\.Ed/{/^\./!p}' | sed "s,/etc/mtatls,$MTATLS_DIR,g" > examples
	[ "$(wc -l < examples)" -eq 6 ]
	openssl req -new -config /dev/null -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
	    -subj /CN=mx4.example.org -out request.pem 2> log
	while read -r line; do
		run -0 bash -c "PATH=\$BIN:\$PATH; $line"
	done < examples
	[ -e server.pem ]
	for c in "$(cert mx3.example.org)" answer.pem; do
		openssl verify -x509_strict -CAfile "$MTATLS_DIR/certs/Example CA/cert.pem" "$c"
	done
	[ "$(openssl x509 -in "$(cert mx1.example.org)" -noout -pubkey)" = \
	    "$(openssl pkey -in "$MTATLS_DIR/certs/.versions/mx1.example.org/1/key.pem" -pubout)" ]
}

@test "a key that others may read is told of" {
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out theirs.pem 2> /dev/null
	chmod 644 theirs.pem
	run -0 --separate-stderr mkcert -d exposed -k theirs.pem -n theirs mx.example.org
	[[ $stderr == *'theirs.pem: others than its owner may read this key'* ]] || { echo "$stderr"; return 1; }
	chmod 600 theirs.pem
	run -0 --separate-stderr mkcert -f -d exposed -k theirs.pem -n theirs mx.example.org
	[[ $stderr != *'others than its owner'* ]]
}

@test "-f names what the certificate before was for and this one is not" {
	mkcert -a mx2.example -a 192.0.2.9 -a 'a.sub.example' mx.example
	key=$MTATLS_DIR/certs/mx.example/key.pem
	run -0 --separate-stderr mkcert -f -k "$key" -a '*.sub.example' mx.example
	[ "$stderr" = 'mkcert: mx.example: warning: the certificate before was also for: mx2.example, 192.0.2.9' ]
	run -0 --separate-stderr mkcert -f -k "$key" -a mx2.example -a '*.sub.example' mx.example
	[ -z "$stderr" ]
	# The request of a key that stays, stays.
	"$BIN/csrgen" mx.example > /dev/null
	run -0 --separate-stderr mkcert -f -k "$key" -a mx2.example -a '*.sub.example' mx.example
	[ -z "$stderr" ]
	[ -e "$MTATLS_DIR/certs/mx.example/request.pem" ]
	# What is damaged can be replaced.
	: > "$key"
	run -0 --separate-stderr mkcert -f mx.example
	[[ "$stderr" == 'mkcert: mx.example: nothing is kept of what was there: '*key.pem:* ]]
}
