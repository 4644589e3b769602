#!/usr/bin/env bats
# Certificates, requests and PKCS#12 of each type of key before judges beside openssl, certtool and keytool:
# dumpasn1, which holds DER against its rules, and NSS, the library of Mozilla's programs.

bats_require_minimum_version 1.5.0

TYPES=(ec:p256 ec:p384 ed25519 rsa:2048 rsa:3072 rsa:4096)

# The long ones of RSA take long to make.
CA_TYPES=(ec:p256 ec:p384 ed25519 rsa:2048)

# For each type a root, a CA below it, a leaf of that and its request.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	export MTATLS_DIR="$BATS_FILE_TMPDIR/state" MTATLS_SYSTEM_CA=/dev/null
	unset SSL_CERT_FILE OPENSSL_CONF
	local type
	for type in "${CA_TYPES[@]}"; do
		"$BIN/mkcert" -t "$type" --ca --days 3000 --exclude 192.0.2.128/25 "Root ${type/:/ }"
		"$BIN/mkcert" -t "$type" --ca --days 2000 --pathlen 0 --permit example.org --signer "Root ${type/:/ }" "Sub ${type/:/ }"
	done
	for type in "${TYPES[@]}"; do
		"$BIN/mkcert" -t "$type" --signer "Sub $(ca_of "$type")" -a '*.mx.example.org' -a 192.0.2.1 -a 2001:db8::1 --org 'Ärzte' \
		    --country DE "${type/:/-}.example.org"
		"$BIN/csrgen" --client -o "${type/:/-}.csr" "${type/:/-}.example.org"
	done
	"$BIN/mkcert" -t rsa:2048 --demo demo.example.org
	"$BIN/mkcert" --as-ca as-ca.example.org
	"$BIN/mkcert" "$(printf 'a%.0s' {1..60}).example.org"
	printf secret > pass
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return 1
	MTATLS_DIR=$BATS_FILE_TMPDIR/state
}

# TYPE: what is behind the names of the CAs that sign it.
ca_of() {
	case $1 in
	rsa:*) echo rsa 2048 ;;
	*) echo "${1/:/ }" ;;
	esac
}

at() { echo "$MTATLS_DIR/certs/$1"; }

# FILE [DEPTH...]: dumpasn1 has nothing to say of this DER, nor of the DER in its OCTET STRINGs at the first depth, nor of that
# in those of these at the next, and so on; a depth is openssl asn1parse's.  Of other OCTET STRINGs, and of a digest behind the
# parameters of its algorithm, it must not judge (-e): it would guess, and salts and keys look like DER now and then.
lint() {
	local file=$1 depth=${2:-} at n=0
	dumpasn1 -a -e "$file" > dumped 2>&1 || true
	[ "$(tail -n 1 dumped)" = '0 warnings, 0 errors.' ] || { echo "$file"; grep -i 'error\|warning' dumped; return 1; }
	[ -n "$depth" ] || return 0
	openssl asn1parse -inform DER -in "$file" > "$file.at"
	while read -r at; do
		openssl asn1parse -inform DER -in "$file" -strparse "$at" -noout -out "$file.$at"
		lint "$file.$at" "${@:3}" || return 1
		n=$((n + 1))
	done < <(awk -F '[: ]+' -v d="d=$depth" '{ sub(/^ +/, "") }
	    $2 == d && / prim: OCTET STRING / && last !~ / NULL / { print $1 } { last = $0 }' "$file.at")
	[ $n -gt 0 ] || { echo "$file: no OCTET STRING at depth $depth"; return 1; }
}

@test "dumpasn1: every certificate and request is DER" {
	local file n=0
	for file in "$MTATLS_DIR"/certs/*/cert.pem; do
		openssl x509 -in "$file" -outform DER -out c.der
		lint c.der 5
		n=$((n + 1))
	done
	[ "$n" -eq 17 ]
	for file in *.csr; do
		openssl req -in "$file" -outform DER -out c.der
		lint c.der 7
	done
	# The judge does look: a BOOLEAN of 1, and an INTEGER with a zero too many, are not DER.
	printf '\060\003\001\001\001' > boolean.der
	run ! lint boolean.der
	printf '\060\004\002\002\000\001' > integer.der
	run ! lint integer.der
	printf '\060\005\004\003\001\001\001' > inside.der
	lint inside.der
	run ! lint inside.der 1
}

@test "dumpasn1: every form of PKCS#12 is DER" {
	local type form
	for type in "${TYPES[@]}"; do
		for form in '' --compat --pbmac1; do
			# shellcheck disable=SC2086 # nothing or a word
			"$BIN/p12export" -f --pass-file pass $form -o x.p12 "${type/:/-}.example.org"
			lint x.p12 3 3
		done
	done
}

# A database with the root, trusted, and the files given.
nss_db() {
	rm -rf db
	mkdir db
	certutil -N -d db --empty-password
	certutil -A -d db -n root -t C,, -i "$(at "$1")/cert.pem"
}

# NSS of Debian 12 has no Ed25519.
@test "NSS: the whole chain holds, for servers; not without its CA, nor too late" {
	local type
	for type in "${TYPES[@]}"; do
		[ "$type" != ed25519 ] || continue
		nss_db "Root $(ca_of "$type")"
		certutil -A -d db -n leaf -t ,, -i "$(at "${type/:/-}.example.org")/cert.pem"
		run ! certutil -V -d db -n leaf -u V -e
		certutil -A -d db -n sub -t ,, -i "$(at "Sub $(ca_of "$type")")/cert.pem"
		run -0 certutil -V -d db -n leaf -u V -e
		[ "$output" = 'certutil: certificate is valid' ]
		run ! certutil -V -d db -n leaf -u V -e -b 350101000000Z
		run -0 certutil -V -d db -n sub -u L -e
	done
}

@test "NSS reads what p12export writes" {
	local type form name
	for type in ec:p256 ec:p384 rsa:2048; do
		name=${type/:/-}.example.org
		for form in '' --compat; do
			# shellcheck disable=SC2086 # nothing or a word
			"$BIN/p12export" -f --pass-file pass $form -o x.p12 "$name"
			nss_db "Root ${type/:/ }"
			printf wrong > other
			run ! pk12util -i x.p12 -d db -w other
			run -0 pk12util -i x.p12 -d db -w pass
			cmp <(certutil -L -d db -n "$name" -a | openssl x509) "$(at "$name")/cert.pem"
			[ "$(certutil -K -d db | grep -c '^< *0>')" -eq 1 ]
			# With the chain that came along it holds.
			certutil -V -d db -n "$name" -u V -e
		done
	done
}

@test "p12import reads what NSS writes" {
	local name=rsa-2048.example.org cipher mac
	"$BIN/p12export" -f --pass-file pass -o x.p12 "$name"
	nss_db 'Root rsa 2048'
	pk12util -i x.p12 -d db -w pass
	while IFS=, read -r cipher mac; do
		pk12util -o n.p12 -n "$name" -d db -w pass -c "$cipher" -C "$cipher" -M "$mac"
		"$BIN/p12import" --pass-file pass -o out.pem -f n.p12
		cmp <(openssl pkey -in out.pem) <(openssl pkey -in "$(at "$name")/key.pem")
		cmp <(openssl x509 -in out.pem) "$(at "$name")/cert.pem"
	done <<-END
	PKCS #12 V2 PBE With SHA-1 And 128 Bit RC4,SHA-1
	PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC,SHA-1
	AES-256-CBC,SHA-256
	CAMELLIA-256-CBC,SHA-512
	END
}
