#!/usr/bin/env bats
# mkcert as a CA: --ca, --signer and --sign, judged by openssl, certtool and keytool.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state"
	unset SSL_CERT_FILE OPENSSL_CONF
}

mkcert() { "$BIN/mkcert" "$@"; }

cert() { echo "$MTATLS_DIR/certs/$1/cert.pem"; }
chain() { echo "$MTATLS_DIR/certs/$1/chain.pem"; }

ext() {
	openssl x509 -in "$1" -noout -ext "$2" | tail -n +2 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}

critical() {
	openssl x509 -in "$1" -noout -ext "$2" | head -1 | grep -q critical
}

usage_error() {
	local why=$1
	shift
	run -2 --separate-stderr mkcert "$@"
	[ -z "$output" ]
	[[ "${stderr_lines[0]}" == "mkcert: $why"* ]] || { echo "$stderr"; false; }
	[ "${stderr_lines[-1]}" = 'try -h for the options' ]
}

# A rule refuses: exit 1, one line, and the store as it was.
refused() {
	local why=$1 before
	shift
	before=$(find "$MTATLS_DIR" | sort)
	run -1 --separate-stderr mkcert "$@"
	[ -z "$output" ]
	[[ "$stderr" == "mkcert: $why"* ]] || { echo "$stderr"; false; }
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ "$(find "$MTATLS_DIR" | sort)" = "$before" ]
}

# A request by openssl: its subject, then lines for [ req_ext ]; in req.pem, its key in req.key.
request() {
	printf '%s\n' '[ req ]' 'distinguished_name = dn' 'string_mask = utf8only' 'utf8 = yes' \
	    ${2:+'req_extensions = e'} '[ dn ]' '[ e ]' "${@:2}" > req.cnf
	openssl req -new -config req.cnf -subj "$1" -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
	    -nodes -keyout req.key -out req.pem 2>/dev/null
}

@test "--ca: what a CA has, and has not" {
	run -0 --separate-stderr mkcert --ca --org 'Ärzte & Söhne' --country DE 'Example Root'
	[ -z "$stderr" ]
	[[ "$output" == "$MTATLS_DIR/certs/Example Root "* ]]
	c=$(cert 'Example Root')
	[ "$(ext "$c" basicConstraints)" = 'CA:TRUE' ]
	critical "$c" basicConstraints
	[ "$(ext "$c" keyUsage)" = 'Certificate Sign, CRL Sign' ]
	critical "$c" keyUsage
	[ "$(openssl x509 -in "$c" -noout -text | sed -n 's/^ *\(X509v3 .*\):.*/\1/p' | sort | tr '\n' ,)" = \
	    'X509v3 Authority Key Identifier,X509v3 Basic Constraints,X509v3 Key Usage,X509v3 Subject Key Identifier,X509v3 extensions,' ]
	[ "$(openssl x509 -in "$c" -noout -subject -nameopt utf8,sep_comma_plus)" = \
	    'subject=C=DE,O=Ärzte & Söhne,CN=Example Root' ]
	openssl x509 -in "$c" -noout -checkend $((3649 * 86400))
	run -1 openssl x509 -in "$c" -noout -checkend $((3651 * 86400))
	[ "$(stat -c %a "$MTATLS_DIR/certs/Example Root/key.pem")" = 600 ]
	run -0 certtool --certificate-info --infile "$c"
	[[ "$output" == *'Certificate Authority (CA): TRUE'* ]]
}

@test "--pathlen, --permit and --exclude" {
	mkcert --ca --pathlen 0 --permit example.org --permit 2001:DB8::/32 --exclude bad.Example.org \
	    --exclude 192.0.2.0/24 --days 30 CA
	c=$(cert CA)
	[ "$(ext "$c" basicConstraints)" = 'CA:TRUE, pathlen:0' ]
	[ "$(ext "$c" nameConstraints)" = 'Permitted: DNS:example.org IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:0:0:0:0:0:0 Excluded: DNS:bad.example.org IP:192.0.2.0/255.255.255.0' ]
	critical "$c" nameConstraints
	openssl x509 -in "$c" -noout -checkend $((29 * 86400))
	run -0 certtool --certificate-info --infile "$c"
	[[ "$output" == *'Name Constraints (critical)'*'example.org'*'2001:db8::/32'* ]]
}

@test "every key type, as CA and as leaf: openssl, certtool and keytool agree" {
	for type in ec:p256 ec:p384 rsa:2048 rsa:3072 ed25519; do
		mkcert --ca -t $type "Root $type"
		mkcert --ca --signer "Root $type" -t $type "Sub $type"
		mkcert --signer "Sub $type" -t $type -n "leaf $type" -a 2001:db8::1 mx.example.org
		root=$(cert "Root $type") leaf=$(cert "leaf $type")
		openssl verify -x509_strict -purpose sslserver -verify_hostname mx.example.org -CAfile "$root" \
		    -untrusted "$(chain "leaf $type")" "$leaf"
		openssl verify -x509_strict -verify_ip 2001:db8::1 -CAfile "$root" \
		    -untrusted "$(chain "leaf $type")" "$leaf"
		certtool --verify --verify-profile medium --verify-hostname mx.example.org \
		    --load-ca-certificate "$root" --infile <(cat "$leaf" "$(chain "leaf $type")")
		if command -v keytool > /dev/null; then
			for f in "$root" "$leaf"; do
				keytool -printcert -file "$f" | grep -q '^Owner: CN='
			done
		fi
		# The leaf names its CA's key.
		[ "$(ext "$leaf" authorityKeyIdentifier)" = "$(ext "$(chain "leaf $type")" subjectKeyIdentifier)" ]
		[ "$(openssl pkey -in "$MTATLS_DIR/certs/leaf $type/key.pem" -pubout)" = \
		    "$(openssl x509 -in "$leaf" -noout -pubkey)" ]
	done
}

@test "a leaf has the profile of a leaf, and no root in its chain" {
	mkcert --ca Root
	mkcert --signer Root --days 90 -a '*.example.org' mx.example.org
	c=$(cert mx.example.org)
	[ "$(ext "$c" basicConstraints)" = CA:FALSE ]
	[ "$(ext "$c" keyUsage)" = 'Digital Signature' ]
	[ "$(ext "$c" extendedKeyUsage)" = 'TLS Web Server Authentication, TLS Web Client Authentication' ]
	[ "$(ext "$c" subjectAltName)" = 'DNS:mx.example.org, DNS:*.example.org' ]
	[ "$(openssl x509 -in "$c" -noout -issuer)" = 'issuer=CN = Root' ]
	[ ! -e "$(chain mx.example.org)" ]
	mkcert --ca --signer Root Sub
	[ ! -e "$(chain Sub)" ]
	mkcert --ca --signer Sub 'Sub 2'
	mkcert --signer 'Sub 2' --server-only mx2.example.org
	[ "$(ext "$(cert mx2.example.org)" extendedKeyUsage)" = 'TLS Web Server Authentication' ]
	cat "$(cert 'Sub 2')" "$(cert Sub)" | cmp - "$(chain mx2.example.org)"
	openssl verify -x509_strict -CAfile "$(cert Root)" -untrusted "$(chain mx2.example.org)" \
	    "$(cert mx2.example.org)"
}

@test "serial numbers: 20 octets, positive, never twice" {
	mkcert --ca Root
	for _ in {1..40}; do
		mkcert --signer Root -o - mx.example.org | openssl x509 -noout -serial
	done > serials
	[ "$(sort -u serials | wc -l)" -eq 40 ]
	run -1 grep -v '^serial=[4-7][0-9A-F]\{39\}$' serials
}

@test "what the CA may not sign is refused, and nothing is stored" {
	mkcert --ca --pathlen 0 --permit example.org --exclude 192.0.2.0/24 CA
	mkcert plain.example.org
	mkcert --signer CA mx.example.org
	refused "CA: the CA's name constraints do not permit" --signer CA mx.example.com
	refused "CA: the CA's name constraints exclude" --signer CA -a 192.0.2.1 mx2.example.org
	refused 'CA: its path length' --ca --signer CA Sub
	refused 'plain.example.org: not a CA; mkcert --ca makes one' --signer plain.example.org mx2.example.org
	refused 'mx.example.org: not a CA' --signer mx.example.org mx2.example.org
	refused "$MTATLS_DIR/certs/mx.example.org: exists already" --signer CA mx.example.org
	refused "$MTATLS_DIR/certs/CA: a CA cannot be replaced by what it signs" -f -n CA --signer CA x.example.org
	run -2 --separate-stderr mkcert --signer nobody mx2.example.org
	[ "$stderr" = "mkcert: no identity \"nobody\" in $MTATLS_DIR/certs" ]
	# CA:TRUE alone, as --as-ca makes it, is a leaf that may sign: only itself stands in its way.
	mkcert --as-ca as-ca.example.org
	mkcert --signer as-ca.example.org mx3.example.org
	openssl verify -x509_strict -CAfile "$(cert as-ca.example.org)" "$(cert mx3.example.org)"
}

# A CA of openssl's, put into the store by hand.
foreign_ca() {
	printf '%s\n' '[ req ]' 'distinguished_name = dn' 'x509_extensions = e' '[ dn ]' '[ e ]' "${@:2}" > ca.cnf
	mkdir -p "$MTATLS_DIR/certs/$1"
	openssl req -x509 -config ca.cnf -subj "/CN=$1" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$MTATLS_DIR/certs/$1/key.pem" -out "$MTATLS_DIR/certs/$1/cert.pem" -days "${DAYS:-10}" 2>/dev/null
}

@test "a CA of another tool: signs where its certificate lets it" {
	foreign_ca Bare basicConstraints=critical,CA:TRUE subjectKeyIdentifier=hash
	mkcert --signer Bare --days 5 mx.example.org
	openssl verify -CAfile "$(cert Bare)" "$(cert mx.example.org)"
	foreign_ca Usage basicConstraints=critical,CA:TRUE subjectKeyIdentifier=hash keyUsage=cRLSign
	refused "Usage: the CA's key usage does not allow to sign certificates" --signer Usage mx2.example.org
	foreign_ca NoId basicConstraints=critical,CA:TRUE subjectKeyIdentifier=none keyUsage=keyCertSign
	refused "NoId: the CA's certificate has no subject key identifier" --signer NoId mx2.example.org
	foreign_ca Full basicConstraints=critical,CA:TRUE subjectKeyIdentifier=hash keyUsage=keyCertSign,cRLSign
	run -0 --separate-stderr mkcert --signer Full mx2.example.org
	[[ "$stderr" == "mkcert: Full: the CA's certificate ends 20"*', and so does what it signs' ]]
	openssl verify -x509_strict -CAfile "$(cert Full)" "$(cert mx2.example.org)"
	[ "$(openssl x509 -in "$(cert mx2.example.org)" -noout -enddate)" = \
	    "$(openssl x509 -in "$(cert Full)" -noout -enddate)" ]
}

@test "-k keeps the key, -o writes key, certificate and chain" {
	mkcert --ca Root
	mkcert --ca --signer Root Sub
	mkcert --signer Sub mx.example.org
	before=$(openssl x509 -in "$(cert mx.example.org)" -noout -pubkey)
	mkcert -f --signer Sub -k "$MTATLS_DIR/certs/mx.example.org/key.pem" mx.example.org
	[ "$(openssl x509 -in "$(cert mx.example.org)" -noout -pubkey)" = "$before" ]
	mkcert --signer Sub -o - mx2.example.org > all.pem
	[ "$(grep -- '-----BEGIN' all.pem)" = $'-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----' ]
	openssl verify -CAfile "$(cert Root)" -untrusted all.pem all.pem
	mkcert --signer Sub -o file.pem mx2.example.org
	[ "$(stat -c %a file.pem)" = 600 ]
}

@test "--sign: a request by openssl" {
	mkcert --ca Root
	mkcert --ca --signer Root Sub
	request '/C=DE/ST=Bayern/L=München/O=Ärzte/OU=Post/CN=mx.example.org' \
	    'subjectAltName=DNS:MX2.example.org,IP:2001:db8::1' 'keyUsage=digitalSignature'
	run -0 --separate-stderr mkcert --sign req.pem --signer Sub
	[ -z "$stderr" ]
	printf '%s\n' "$output" > out.pem
	[ "$(grep -c -- '-----BEGIN CERTIFICATE-----' out.pem)" -eq 2 ]
	openssl verify -x509_strict -purpose sslserver -verify_hostname mx2.example.org -CAfile "$(cert Root)" \
	    -untrusted out.pem out.pem
	[ "$(ext out.pem subjectAltName)" = 'DNS:mx.example.org, DNS:mx2.example.org, IP Address:2001:DB8:0:0:0:0:0:1' ]
	[ "$(openssl x509 -in out.pem -noout -subject -nameopt utf8,sep_comma_plus)" = \
	    'subject=C=DE,ST=Bayern,L=München,O=Ärzte,OU=Post,CN=mx.example.org' ]
	[ "$(openssl x509 -in out.pem -noout -pubkey)" = "$(openssl req -in req.pem -noout -pubkey)" ]
	mkcert --sign - --signer Sub < req.pem | openssl x509 -noout -checkend $((364 * 86400))
	openssl req -in req.pem -outform DER -out req.der
	run -0 --separate-stderr mkcert -j --sign req.der --signer Sub -o cert.pem --days 10
	[ "$(jq -r '[.name, .path, .subject, .issuer, .ca] | @csv' <<< "$output")" = \
	    ',"cert.pem","CN=mx.example.org,OU=Post,O=\C3\84rzte,L=M\C3\BCnchen,ST=Bayern,C=DE","CN=Sub",false' ]
	[ "$(stat -c %a cert.pem)" = 644 ]
	run -1 --separate-stderr mkcert --sign req.pem --signer Sub -o cert.pem
	[ "$stderr" = 'mkcert: cert.pem: exists already' ]
	[ "$(ls "$MTATLS_DIR/certs")" = $'Root\nSub' ]
}

@test "--sign: every key type, from openssl and certtool" {
	mkcert --ca Root
	for type in ec:P-256 ec:P-384 rsa:2048 ed25519; do
		case $type in
		ec:*) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:${type#ec:} -out k.pem ;;
		rsa:*) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out k.pem ;;
		*) openssl genpkey -algorithm ed25519 -out k.pem ;;
		esac
		openssl req -new -config /dev/null -key k.pem -subj /CN=mx.example.org -out req.pem
		mkcert --sign req.pem --signer Root > out.pem
		openssl verify -x509_strict -verify_hostname mx.example.org -CAfile "$(cert Root)" out.pem
		printf '%s\n' 'cn = mx.example.org' 'dns_name = mx.example.org' signing_key tls_www_server > template
		certtool --generate-request --load-privkey k.pem --template template --outfile req2.pem 2> log
		mkcert --sign req2.pem --signer Root > out2.pem
		certtool --verify --verify-hostname mx.example.org --load-ca-certificate "$(cert Root)" --infile out2.pem
	done
}

@test "--sign: what is not granted is refused by name" {
	mkcert --ca Root
	request /CN=mx.example.org basicConstraints=CA:TRUE
	refused 'req.pem: the request is for a CA: --ca would allow it' --sign req.pem --signer Root
	request /CN=mx.example.org keyUsage=keyCertSign
	refused 'req.pem: the request asks to sign certificates (keyUsage)' --sign req.pem --signer Root
	request /CN=mx.example.org extendedKeyUsage=serverAuth,codeSigning
	refused 'req.pem: the request asks for the purpose Code Signing' --sign req.pem --signer Root
	request /CN=mx.example.org 1.2.3.4.5=ASN1:NULL
	refused 'req.pem: the request asks for the extension 1.2.3.4.5' --sign req.pem --signer Root
	request /CN=mx.example.org/emailAddress=a@example.org
	refused "req.pem: the request's subject has a emailAddress" --sign req.pem --signer Root
	request /CN=mx.example.org subjectAltName=email:a@example.org
	refused 'req.pem: subjectAltName: the request asks for a name of kind 1' --sign req.pem --signer Root
	openssl req -new -config <(printf '%s\n' '[ req ]' distinguished_name=dn attributes=a prompt=no '[ dn ]' \
	    CN=mx.example.org '[ a ]' challengePassword=secret1) -key req.key -out req.pem
	refused 'req.pem: the request has the attribute challengePassword' --sign req.pem --signer Root
	openssl req -new -config /dev/null -subj /CN=mx.example.org -newkey rsa:1024 -nodes -keyout weak.key -out req.pem 2>/dev/null
	refused 'req.pem: an RSA key of 1024 bits is too weak' --sign req.pem --signer Root
	openssl req -new -config /dev/null -subj /CN=mx.example.org -key req.key -sha1 -out req.pem
	refused "req.pem: the request's signature uses sha1, which is broken" --sign req.pem --signer Root
}

@test "--sign: a signature that is not the key's, damaged and wrong files" {
	mkcert --ca Root
	request /CN=mx.example.org
	# Another name under the same signature: one letter of the subject changes.
	openssl req -in req.pem -outform DER | sed 's/mx.example.org/my.example.org/' > forged.der
	refused "forged.der: the request's signature is not by its own key" --sign forged.der --signer Root
	head -c 200 req.pem > cut.pem
	run -2 --separate-stderr mkcert --sign cut.pem --signer Root
	[[ "$stderr" == 'mkcert: cut.pem: line '*': no -----END CERTIFICATE REQUEST----- before the end' ]]
	run -2 --separate-stderr mkcert --sign "$(cert Root)" --signer Root
	[[ "$stderr" == *'no certificate request in it' ]]
	run -2 --separate-stderr mkcert --sign none.pem --signer Root
	[ "$stderr" = 'mkcert: none.pem: No such file or directory' ]
	request '/CN=not a host'
	run -2 --separate-stderr mkcert --sign req.pem --signer Root
	[[ "$stderr" == 'mkcert: req.pem: '*'not a host name'* ]]
	request /O=Example
	run -2 --separate-stderr mkcert --sign req.pem --signer Root
	[[ "$stderr" == *'a certificate needs a name' ]]
}

@test "--sign: a CA's request with --ca" {
	mkcert --ca Root
	request '/O=Example/CN=Their CA' basicConstraints=critical,CA:TRUE keyUsage=keyCertSign,cRLSign
	mkcert --sign req.pem --signer Root --ca --pathlen 0 --permit example.org > sub.pem
	openssl verify -x509_strict -CAfile "$(cert Root)" sub.pem
	[ "$(ext sub.pem basicConstraints)" = 'CA:TRUE, pathlen:0' ]
	[ "$(ext sub.pem nameConstraints)" = 'Permitted: DNS:example.org' ]
	[ "$(ext sub.pem keyUsage)" = 'Certificate Sign, CRL Sign' ]
	request /CN=mx.example.org subjectAltName=DNS:mx.example.org
	refused 'req.pem: the request asks for names of hosts' --sign req.pem --signer Root --ca
}

@test "options that exclude each other" {
	usage_error '--ca and -a exclude each other' --ca -a mx.example.org CA
	usage_error '--ca excludes --as-ca' --ca --demo CA
	usage_error '--ca excludes --as-ca' --ca --server-only CA
	usage_error '--pathlen, --permit and --exclude are for --ca only' --pathlen 0 mx.example.org
	usage_error '--pathlen, --permit and --exclude are for --ca only' --permit example.org mx.example.org
	usage_error '--signer and --as-ca exclude each other' --signer CA --as-ca mx.example.org
	usage_error '--sign needs --signer' --sign req.pem
	usage_error '--sign and a common name exclude each other' --sign req.pem --signer CA mx.example.org
	usage_error '--sign excludes -a, -k, -t' --sign req.pem --signer CA -t ec:p256
	usage_error '--sign excludes -a, -k, -t' --sign req.pem --signer CA --org Example
	usage_error '--sign and -n exclude each other' --sign req.pem --signer CA -n x
	usage_error '-o - and -j exclude each other' --sign req.pem --signer CA -j
	for bad in -1 17 x; do
		run -2 --separate-stderr mkcert --ca --pathlen=$bad CA
		[[ "$stderr" == *--pathlen* ]]
	done
	for bad in '*.example.org' 10.0.0.1/8 10.0.0.0/33 '' $'a\nb'; do
		run -2 --separate-stderr mkcert --ca --permit="$bad" CA
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
	[ ! -e "$MTATLS_DIR" ]
}

@test "the name of a CA is text: 64 characters, UTF-8, no controls" {
	long=$(printf 'ü%.0s' {1..64})
	mkcert --ca -n long "$long"
	[ "$(openssl x509 -in "$(cert long)" -noout -subject -nameopt utf8,sep_comma_plus)" = "subject=CN=$long" ]
	rm -r "$MTATLS_DIR"
	for bad in "${long}x" '' $'a\nb' $'a\xff'; do
		run -2 --separate-stderr mkcert --ca -n bad "$bad"
		[[ "$stderr" == 'mkcert: the common name '* ]]
	done
	# Its identity's name follows the rules of the store.
	run -2 --separate-stderr mkcert --ca a/b
	[[ "$stderr" == *'cannot be the name of an identity'* ]]
	[ ! -e "$MTATLS_DIR" ]
}

@test "a demonstration certificate signed by a CA is one too" {
	mkcert --ca Root
	run -0 --separate-stderr mkcert --signer Root --demo mx.example.org
	[ "$stderr" = "mkcert: $MTATLS_DIR/certs/mx.example.org: a demonstration certificate: for trials only" ]
	openssl verify -x509_strict -CAfile "$(cert Root)" "$(cert mx.example.org)"
}

@test "modes, whatever the umask" {
	for mask in 000 077; do
		(umask $mask; mkcert --ca "Root $mask"; mkcert --ca --signer "Root $mask" "Sub $mask"
		    mkcert --signer "Sub $mask" -n "leaf $mask" mx.example.org)
		dir="$MTATLS_DIR/certs/leaf $mask"
		[ "$(stat -L -c %a "$dir" "$dir/key.pem" "$dir/cert.pem" "$dir/chain.pem" "$MTATLS_DIR" | tr '\n' ' ')" = \
		    '755 600 644 644 755 ' ]
	done
}

# Ended by a signal that would make a core, where limits allow one.
aborted() {
	local rc=0
	kill -ABRT "$1"
	wait "$1" || rc=$?
	[ "$rc" -eq 134 ]
}

@test "a crash leaves no core" {
	mkfifo key
	(ulimit -c unlimited; exec "$BIN/mkcert" -k key -o out.pem mx.example.org) &
	mkcert=$!
	exec 9> key	# waits until mkcert opens it
	openssl genpkey -algorithm ed25519 >&9
	[ "$(awk '/^Max core file size/ { print $5, $6 }' /proc/$mkcert/limits)" = '0 0' ]
	aborted $mkcert
	exec 9>&-
	run -1 compgen -G 'core*'
	(ulimit -c unlimited; exec sleep 60) &
	timeout 30 bash -c "until grep -q '^sleep$' /proc/$!/comm; do :; done"
	aborted $!
	# Without this the test above would prove nothing; other patterns put it elsewhere.
	[ "$(cat /proc/sys/kernel/core_pattern)" != core ] || compgen -G 'core*'
}

# With a core of the kind that root can take of anybody: what OpenSSL holds of the key is in memory that
# cores leave out.  (Its PEM text is gone once it is read; the store has not begun.)
@test "a core taken by gdb does not show the key" {
	command -v gcore > /dev/null || skip 'no gcore'
	[[ $BIN != */asan/* ]] || skip 'the memory of the sanitizers is too much for a core'
	mkfifo out.pem
	openssl ecparam -genkey -name prime256v1 -noout -out key.pem
	mkcert --ca -k key.pem CA
	request /CN=mx.example.org
	"$BIN/mkcert" --sign req.pem --signer CA -o out.pem &
	mkcert=$!
	# It sleeps only where it opens the FIFO, which has no reader yet, with the key in memory.
	timeout 30 bash -c "until grep -q '^State:.S' /proc/$mkcert/status; do :; done"
	gcore -o dump $mkcert > log 2>&1 || { cat out.pem > /dev/null; wait $mkcert; skip 'gcore may not attach'; }
	cat out.pem > copy.pem
	wait $mkcert
	openssl x509 -in copy.pem -noout
	python3 - dump.$mkcert <<-'PY'
	import subprocess, sys
	text = subprocess.check_output(["openssl", "ec", "-in", "key.pem", "-noout", "-text"], stderr=subprocess.DEVNULL, text=True)
	d = bytes.fromhex(text.split("priv:")[1].split("pub:")[0].replace(":", "").replace(" ", "").replace("\n", ""))[-32:]
	core = open(sys.argv[1], "rb").read()
	body = "".join(open("key.pem").read().split("-----")[2].split())
	assert b"mx.example.org" in core
	shown = [what for what, needle in (("DER", d[4:28]), ("BIGNUM", d[::-1][4:28]), ("PEM", body[8:32].encode())) if needle in core]
	assert not shown, shown
	PY
}
