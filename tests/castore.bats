#!/usr/bin/env bats
# castore: what goes into the lists and comes out, what verifies with them, and what is left when a writer is killed, the
# disk is full, or two write at once.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$PWD/state"
	export MTATLS_SYSTEM_CA="$PWD/system.pem"
	unset SSL_CERT_FILE OPENSSL_CONF
	mkcas 5 System > system.pem
	CUSTOM=$MTATLS_DIR/ca/custom.pem
	STATE=$MTATLS_DIR/ca/state
}

teardown() {
	[ ! -e mounted ] || umount "$MTATLS_DIR/ca"
}

castore() { "$BIN/castore" "$@"; }
mkcas() { "$BUILD/lab/mkcas" "$@"; }

# The fingerprint of the first certificate in a file.
fp() {
	openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f
}

# N: certificate number N of a PEM file.
nth() {
	awk -v n="$2" '/^-----BEGIN/ { i++ } i == n; /^-----END/ && i == n { exit }' "$1"
}

# Everything about the state of the lists that counts.
snapshot() {
	cat "$STATE" "$CUSTOM" 2>/dev/null || true
}

# STATUS WHY ARGUMENT...: refused so, and nothing has changed.
refused() {
	local want=$1 why=$2 before
	shift 2
	before=$(snapshot)
	run --separate-stderr castore "$@"
	[ "$status" -eq "$want" ] || { echo "$status: $stderr"; false; }
	[ -z "$output" ]
	[[ "$stderr" == "castore: "*"$why"* ]] || { echo "$stderr"; false; }
	[ "$(snapshot)" = "$before" ]
}

# A CA, an intermediate, and leaves: made by the openssl command, which judges them too.
make_pki() {
	cat > ext.cnf <<-END
	[req]
	distinguished_name = dn
	[dn]
	[root]
	basicConstraints = critical,CA:TRUE
	keyUsage = critical,keyCertSign,cRLSign
	subjectKeyIdentifier = hash
	[inter]
	basicConstraints = critical,CA:TRUE,pathlen:0
	keyUsage = critical,keyCertSign,cRLSign
	subjectKeyIdentifier = hash
	authorityKeyIdentifier = keyid
	[leaf]
	basicConstraints = critical,CA:FALSE
	extendedKeyUsage = serverAuth
	subjectAltName = DNS:mx.example.org,IP:192.0.2.25
	authorityKeyIdentifier = keyid
	[client]
	extendedKeyUsage = clientAuth
	subjectAltName = DNS:mx.example.org
	END
	local ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ext.cnf"
	# shellcheck disable=SC2086 # options
	openssl req -x509 $ec -keyout root.key -out root.pem -subj '/O=Test/CN=Root' -days 400 \
	    -extensions root 2>/dev/null
	# shellcheck disable=SC2086 # options
	openssl req $ec -keyout inter.key -out inter.csr -subj '/O=Test/CN=Inter' 2>/dev/null
	openssl x509 -req -in inter.csr -CA root.pem -CAkey root.key -set_serial 2 -days 300 \
	    -extfile ext.cnf -extensions inter -out inter.pem 2>/dev/null
	# shellcheck disable=SC2086 # options
	openssl req $ec -keyout leaf.key -out leaf.csr -subj '/CN=mail.example.org' 2>/dev/null
	for kind in leaf client; do
		openssl x509 -req -in leaf.csr -CA inter.pem -CAkey inter.key -set_serial 3 -days 200 \
		    -extfile ext.cnf -extensions $kind -out $kind.pem 2>/dev/null
	done
	cat leaf.pem inter.pem > chain.pem
}

# ---- usage ----

@test "-h and -V" {
	run -0 --separate-stderr castore -h
	[[ "$output" == 'usage: castore '* ]]
	[ -z "$stderr" ]
	for word in list enable disable import export remove distrust verify --dir --json --level --output \
	    --after --allow-leaf --append --ca --client --fqdn-check --host --pass-env --pass-fd \
	    --pass-file --skip-bad --time --undo --untrusted --help --version; do
		[[ "$output" == *"$word"* ]] || { echo "$word"; false; }
	done
	run -0 castore -V
	[[ "$output" =~ ^castore\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	local args
	for args in '' nothing 'list both' 'list system custom' enable 'enable both' import 'import a b' export \
	    'export all' remove distrust 'verify chain' 'verify --host a.b' '--append list' '-j export system' \
	    '--host a.b import f' '-o f list' '-Z list' '--after tomorrow distrust 0123456789' \
	    '--undo --after 2026-11-21 distrust 0123456789' '-l required verify --host a.b f' \
	    '--time now verify --host a.b f' 'remove 0123456' 'remove 0123456x' '--host *.a.b verify f' \
	    '--host a..b verify f'; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr castore $args
		[ "$status" -eq 2 ] || { echo "$args: $status"; false; }
		[ -z "$output" ]
		[[ "$stderr" == castore:* ]] || { echo "$args: $stderr"; false; }
	done
	[ ! -e "$CUSTOM" ]
}

# ---- lists ----

@test "at first the system list is on and the custom list off" {
	run -0 --separate-stderr castore list
	[ -z "$stderr" ]
	[ "${lines[0]}" = "system: on, 5 certificates, $MTATLS_SYSTEM_CA" ]
	[ "${#lines[@]}" -eq 7 ]
	[[ "${lines[1]}" =~ ^"$(fp system.pem)"\ [0-9]{4}-[0-9T:-]*Z\ -\ CN=System\ 1$ ]]
	[ "${lines[6]}" = "custom: off, 0 certificates, $CUSTOM" ]
	[ ! -e "$MTATLS_DIR" ]
}

@test "list as JSON" {
	mkcas 1 > one.pem
	castore import one.pem
	castore distrust --after 2026-11-21 "$(fp one.pem)"
	castore list -j > out
	[ "$(jq -s length out)" -eq 8 ]
	[ "$(jq -c 'select(.certificates) | [.list, .enabled, .certificates]' out)" = \
	    $'["system",true,5]\n["custom",true,1]' ]
	[ "$(jq -r 'select(.sha256 and .list == "custom") | [.sha256, .subject, .issuer, .key, .expired,
	    .ca, .demo, .distrusted, .distrusted_after] | join(" ")' out)" = \
	    "$(fp one.pem) CN=CA 1 CN=CA 1 ec:p256 false true false true 2026-11-21T00:00:00Z" ]
	[ "$(jq -r 'select(.sha256 and .list == "system") | .distrusted_after' out | sort -u)" = null ]
	diff <(jq -r 'keys_unsorted[]' out | sort -u) <(sed -n '/^.Ss castore list/,/^.Ss castore import/p' \
	    "$BATS_TEST_DIRNAME/../man/mtatls-json.7" | sed -n 's/^\.It //p' | tr -d ' ' | tr , '\n' | sort -u)
}

@test "enable and disable" {
	castore import system.pem
	castore disable system
	[ "$(cat "$STATE")" = $'list system off\nlist custom on' ]
	run -0 --separate-stderr castore disable custom
	[ "$stderr" = 'castore: both lists are off: no certificate verifies' ]
	castore enable system
	[ "$(cat "$STATE")" = $'list system on\nlist custom off' ]
	castore import system.pem
	[ "$(cat "$STATE")" = $'list system on\nlist custom on' ]
}

@test "a damaged state or list is named with its line, and nothing verifies or changes" {
	make_pki
	castore import root.pem
	castore verify --host mx.example.org chain.pem
	echo 'list custom perhaps' >> "$STATE"
	refused 2 "$STATE:3: list: expected on or off" verify --host mx.example.org chain.pem
	refused 2 "$STATE:3: list: expected on or off" enable system
	refused 2 "$STATE:3: list: expected on or off" import root.pem
	sed -i 3d "$STATE"
	sed -i '5s/.*/!/' "$CUSTOM"
	refused 2 "$CUSTOM: line 5: " verify --host mx.example.org chain.pem
	refused 2 "$CUSTOM: line 5: " import --append root.pem
	castore import root.pem
	castore verify --host mx.example.org chain.pem
}

# ---- import and export ----

@test "export, import and export again: octet for octet" {
	castore export system -o a.pem
	[ "$(grep -c BEGIN a.pem)" -eq 5 ]
	castore import a.pem
	cmp a.pem "$CUSTOM"
	castore export custom > b.pem
	cmp a.pem b.pem
	castore -o c.pem export both
	cmp a.pem c.pem
	[ "$(stat -c %a "$CUSTOM" "$STATE" a.pem | sort -u)" = 644 ]
	[ "$(sed -n 1,3p a.pem | cut -c1-40)" = "# subject: CN=System 1
# expires: $(date -ud "$(openssl x509 -in a.pem -noout -enddate | cut -d= -f2)" +%FT%TZ)
# sha256: $(fp a.pem | cut -c1-30)" ]
}

@test "the machine's own list goes through the same, and openssl finds the same certificates in it" {
	unset MTATLS_SYSTEM_CA
	castore export system -o a.pem
	castore import a.pem
	castore export custom -o b.pem
	cmp a.pem b.pem
	n=$(grep -c BEGIN /etc/ssl/certs/ca-certificates.crt)
	[ "$n" -ge 100 ]
	[ "$(grep -c BEGIN b.pem)" -eq "$n" ]
	for f in /etc/ssl/certs/ca-certificates.crt b.pem; do
		openssl crl2pkcs7 -nocrl -certfile $f | openssl pkcs7 -print_certs | sed -n '/BEGIN/,/END/p' > "${f##*/}.found"
	done
	cmp ca-certificates.crt.found b.pem.found
	run -0 certtool --certificate-info --infile b.pem
	[ "$(grep -c 'X.509 Certificate Information' <<< "$output")" -eq "$n" ]
}

@test "modes are the same under every umask" {
	(umask 777 && castore import system.pem)
	[ "$(stat -c %a "$CUSTOM" "$STATE" | sort -u)" = 644 ]
	[ "$(stat -c %a "$MTATLS_DIR/ca")" = 755 ] || chmod 755 "$MTATLS_DIR" "$MTATLS_DIR/ca"
}

# FILE: it is taken, and is the list of CA 1, CA 2 and CA 3.
takes() {
	rm -rf "$MTATLS_DIR"
	run -0 --separate-stderr castore import "$@"
	[ "$output" = "custom: on, 3 certificates, $CUSTOM" ]
	castore export custom > out.pem
	[ "$(grep -o 'CN=.*' out.pem | tr '\n' ' ')" = 'CN=CA 1 CN=CA 2 CN=CA 3 ' ]
}

@test "every form of a list that people have" {
	mkcas 3 > three.pem
	takes three.pem
	(printf '\xef\xbb\xbf'; cat three.pem) > bom.pem
	takes bom.pem
	sed 's/$/\r/' three.pem > crlf.pem
	takes crlf.pem
	printf %s "$(cat three.pem)" > no-newline.pem
	takes no-newline.pem
	sed 's/^-----BEGIN/Some CA\n=======\n# a comment\n&/' three.pem > comments.pem
	takes comments.pem
	sed 's/CERTIFICATE/X509 &/' three.pem > x509.pem
	takes x509.pem
	for i in 1 2 3; do nth three.pem $i | openssl x509 -trustout -addtrust serverAuth -setalias a; done > trusted.pem
	grep -q 'BEGIN TRUSTED CERTIFICATE' trusted.pem
	takes trusted.pem
	cat three.pem three.pem > twice.pem
	takes twice.pem
	openssl crl2pkcs7 -nocrl -certfile three.pem -out three.p7
	takes three.p7
	openssl crl2pkcs7 -nocrl -certfile three.pem -outform DER -out three.p7b
	takes three.p7b
	nth three.pem 1 | openssl x509 -outform DER -out one.der
	castore import one.der
	[ "$(castore export custom | grep -c BEGIN)" -eq 1 ]
	castore import - < three.pem
	[ "$(castore export custom | grep -c BEGIN)" -eq 3 ]
}

@test "PKCS#12 without a key, its passphrase from everywhere but the command line" {
	mkcas 3 > three.pem
	openssl pkcs12 -export -nokeys -in three.pem -passout pass:geheim -out three.p12
	echo geheim > pass
	takes --pass-file pass three.p12
	takes --pass-fd 9 three.p12 9< pass
	PASS=geheim takes --pass-env PASS three.p12
	echo falsch > wrong
	refused 2 'three.p12: wrong passphrase' import --pass-file wrong three.p12
	run -2 --separate-stderr setsid -w "$BIN/castore" import three.p12
	[[ "$stderr" == *'no terminal to ask for the passphrase'* ]]
	nth three.pem 1 > one.pem
	"$BIN/mkcert" -o id.pem mx.example
	openssl pkcs12 -export -in id.pem -passout pass:geheim -out id.p12
	refused 1 'id.p12: there is a private key in it' import --allow-leaf --pass-file pass id.p12
}

@test "a damaged block is named with its line, and the list in use stays" {
	castore import system.pem
	mkcas 9 > nine.pem
	at=$(grep -n BEGIN nine.pem | sed -n 5p | cut -d: -f1)
	sed "$((at + 2))s/^./!/" nine.pem > bad.pem
	refused 2 "bad.pem: line $((at + 2)): expected base64" import bad.pem
	refused 2 "bad.pem: line $((at + 2)): expected base64" import --append bad.pem
	sed "$((at + 2))d" nine.pem > short.pem
	refused 2 "short.pem: line $at: " import short.pem
	head -n -3 nine.pem > cut.pem
	refused 2 "cut.pem: line $(wc -l < cut.pem): no -----END CERTIFICATE----- before the end" import cut.pem
	# Each of several is named.
	sed "2s/^./!/; $((at + 2))s/^./!/" nine.pem > two.pem
	refused 2 'two.pem: line 2: ' import two.pem
	[[ "$stderr" == *"two.pem: line $((at + 2)): "*'two.pem: 2 damaged; nothing is imported'* ]]
	run -0 --separate-stderr castore import --skip-bad two.pem
	[[ "$stderr" == *"two.pem: line 2: "*"two.pem: line $((at + 2)): "* ]]
	[ "$output" = "custom: on, 7 certificates, $CUSTOM" ]
	[ "$(castore list custom | grep -o 'CN=.*' | tr '\n' ' ')" = \
	    'CN=CA 2 CN=CA 3 CN=CA 4 CN=CA 6 CN=CA 7 CN=CA 8 CN=CA 9 ' ]
	echo nothing > text
	refused 2 'text: neither PEM nor DER' import text
	: > empty
	refused 2 'empty: empty' import empty
	refused 2 'missing: No such file or directory' import missing
}

@test "a private key is refused loudly, whatever the options" {
	castore import system.pem
	"$BIN/mkcert" --as-ca -o both.pem mx.example
	refused 1 'both.pem: there is a PRIVATE KEY in this file' import both.pem
	[[ "$stderr" == *'both.pem: line 1: PRIVATE KEY'* ]]
	refused 1 'PRIVATE KEY' import --skip-bad --allow-leaf --append both.pem
	openssl pkey -in both.pem -aes256 -passout pass:x -out sealed.pem
	cat system.pem sealed.pem > with-sealed.pem
	refused 1 'PRIVATE KEY' import --skip-bad with-sealed.pem
	openssl ec -in both.pem -aes128 -passout pass:x -out old.pem 2>/dev/null
	refused 1 'PRIVATE KEY' import old.pem
	# A damaged one too.
	(cat system.pem; sed '2s/^./!/' sealed.pem) > damaged.pem
	refused 1 'PRIVATE KEY' import --skip-bad damaged.pem
	# Nothing of the key is said.
	run ! grep -q "$(sed -n 2p both.pem | cut -c1-20)" <<< "$stderr"
}

@test "a server's certificate is refused unless it is to be pinned, and issues nothing then" {
	make_pki
	castore import system.pem
	refused 1 'leaf.pem: line 1: CN=mail.example.org: not a CA' import leaf.pem
	cat root.pem leaf.pem > mixed.pem
	refused 1 'mixed.pem: 1 not of a CA' import mixed.pem
	run -0 castore import --skip-bad mixed.pem
	[[ "$output" == *'custom: on, 1 certificate, '* ]]
	castore import --allow-leaf leaf.pem
	castore list custom | grep -q ' leaf CN=mail.example.org$'
	[[ "$(castore verify --host mx.example.org leaf.pem)" == 'ok: '* ]]
	run -1 castore verify --host mx.example.org client.pem
	[[ "$output" == 'unknown-ca: '* ]]
	"$BIN/mkcert" -n self mx.test
	run -1 castore verify --host mx.test "$MTATLS_DIR/certs/self/cert.pem"
	[[ "$output" == 'unknown-ca: "CN=mx.test" is self-signed and not in the list'* ]]
	castore import --append --allow-leaf "$MTATLS_DIR/certs/self/cert.pem"
	castore verify --host mx.test "$MTATLS_DIR/certs/self/cert.pem"
	run -1 castore verify --host mx2.test "$MTATLS_DIR/certs/self/cert.pem"
	[[ "$output" == 'name: '* ]]
}

@test "expired ones are kept and flagged, and append adds" {
	make_pki
	cat > ca.cnf <<-END
	[ca]
	default_ca = x
	[x]
	database = index
	new_certs_dir = .
	serial = serial
	default_md = sha256
	policy = any
	x509_extensions = root
	[any]
	commonName = supplied
	[root]
	basicConstraints = critical,CA:TRUE
	END
	: > index
	echo 01 > serial
	openssl req -new -key root.key -subj /CN=Old -config ext.cnf -out old.csr
	openssl ca -batch -config ca.cnf -selfsign -keyfile root.key -in old.csr -startdate 20100101000000Z \
	    -enddate 20110101000000Z -notext -out old.pem 2>/dev/null
	run -0 --separate-stderr castore import old.pem
	[ "$stderr" = 'castore: old.pem: line 1: CN=Old: expired 2011-01-01T00:00:00Z' ]
	castore list custom | grep -q ' 2011-01-01T00:00:00Z expired CN=Old$'
	castore import --append -j root.pem old.pem && false
	castore import --append -j root.pem > out
	[ "$(jq -c '[.list, .enabled, .certificates, .imported, .duplicates, .expired, .skipped]' out)" = \
	    '["custom",true,2,1,0,0,0]' ]
	cat root.pem root.pem old.pem > more.pem
	castore import --append -j more.pem 2>/dev/null > out
	[ "$(jq -c '[.certificates, .imported, .duplicates, .expired]' out)" = '[2,2,3,1]' ]
	castore list custom | grep -q 'CN=Root,O=Test$'
}

@test "a demonstration certificate is warned of" {
	"$BIN/mkcert" --demo -o - mx.test 2>/dev/null | sed -n '/BEGIN CERT/,$p' > demo.pem
	run -0 --separate-stderr castore import --allow-leaf demo.pem
	[[ "$stderr" == *'demo.pem: a demonstration certificate: for trials only'* ]]
	castore list custom | grep -q ' leaf,demo CN=mx.test$'
	run -0 --separate-stderr castore verify --host mx.test demo.pem
	[[ "$stderr" == *'demo.pem: a demonstration certificate: for trials only'* ]]
}

@test "ten thousand certificates" {
	mkcas 10000 > big.pem
	start=$SECONDS
	timeout 60 "$BIN/castore" import big.pem
	[ "$(timeout 60 "$BIN/castore" list custom | wc -l)" -eq 10001 ]
	timeout 60 "$BIN/castore" remove "$(fp big.pem)"
	timeout 60 "$BIN/castore" export custom -o out.pem
	[ "$(grep -c BEGIN out.pem)" -eq 9999 ]
	echo "$((SECONDS - start)) s"
	# A terminal is told how far it is, and has an empty line at the end; nobody else is.
	run -0 --separate-stderr castore import big.pem
	[ -z "$stderr" ]
	TERM=xterm run -0 /usr/bin/python3 - "$BIN/castore" import big.pem <<-'END'
		import os, pty, sys
		ours, theirs = pty.openpty()
		pid = os.fork()
		if pid == 0:
		    os.dup2(theirs, 2)
		    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
		    os.close(ours)
		    os.execv(sys.argv[1], sys.argv[1:])
		os.close(theirs)
		said = b''
		try:
		    while part := os.read(ours, 1000):
		        said += part
		except OSError:
		    pass
		print(repr(said))
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	# Nothing where it takes less than a second.
	[[ "$output" == "b''" || "$output" == "b'\\r\\x1b[Kcastore: reading certificates ... "*" of 10000"*"\\r\\x1b[K'" ]]
	sed -i "$(grep -n BEGIN big.pem | sed -n 9000p | cut -d: -f1)s/ / x/" big.pem
	refused 2 'big.pem: 1 damaged; nothing is imported' import big.pem
}

# ---- remove, distrust ----

@test "remove" {
	mkcas 3 > three.pem
	castore import three.pem
	one=$(fp three.pem)
	colons=$(openssl x509 -in three.pem -noout -fingerprint -sha256 | sed 's/.*=//')
	refused 1 "$(fp system.pem): it is in the system list, which is not edited here" remove "$(fp system.pem)"
	refused 2 '0123456789: in the custom list is no certificate of that fingerprint' remove 0123456789
	castore remove "$colons"
	run ! grep -q "$one" "$CUSTOM"
	[ "$(grep -c BEGIN "$CUSTOM")" -eq 2 ]
	castore remove "$(nth three.pem 2 > x; fp x | cut -c1-8)"
	castore remove "$(nth three.pem 3 > x; fp x)"
	[ "$(castore list custom)" = "custom: on, 0 certificates, $CUSTOM" ]
	castore export custom > empty.pem
	[ "$(cat empty.pem)" = '# no certificates' ]
	refused 2 'empty.pem: neither PEM nor DER' import empty.pem
	castore import --append three.pem
	[ "$(grep -c BEGIN "$CUSTOM")" -eq 3 ]
}

@test "distrust, also from a date on, and the way back" {
	make_pki
	castore import root.pem
	castore verify --host mx.example.org chain.pem
	root=$(fp root.pem)
	castore distrust "${root:0:8}"
	[[ "$(tail -1 "$STATE")" =~ ^"distrust $root tbs "[0-9a-f]{64}$ ]]
	run -1 castore verify --host mx.example.org chain.pem
	[[ "$output" == 'distrusted: the certificate at depth 2, "CN=Root,O=Test": '*' (local)' ]]
	castore list custom | grep -q ' distrusted CN=Root,O=Test$'
	castore distrust --undo "$root"
	castore verify --host mx.example.org chain.pem
	refused 2 'no distrusted certificate has a fingerprint that begins so' distrust --undo "$root"
	# The leaf is valid from today.
	castore distrust --after "$(date -u -d yesterday +%F)" "$root"
	run -1 castore verify --host mx.example.org chain.pem
	[[ "$output" == distrusted:* ]]
	castore distrust --after "$(date -u -d tomorrow +%F)" "$root"
	castore verify --host mx.example.org chain.pem
	[ "$(grep -c distrust "$STATE")" -eq 1 ]
	# An intermediate that is in no list: only by its whole fingerprint.
	inter=$(fp inter.pem)
	refused 2 "${inter:0:20}: in the lists is no certificate" distrust "${inter:0:20}"
	castore distrust "$inter"
	run -1 castore verify --host mx.example.org chain.pem
	[[ "$output" == 'distrusted: the certificate at depth 1, '* ]]
	castore list | grep -q "^$inter - distrusted in no list$"
	castore distrust --undo "${inter:0:8}"
	castore verify --host mx.example.org chain.pem
}

# ---- verify ----

# WORD ARGUMENT...: what verify says first; the status is 0 for ok and 1 for all others.
says() {
	local want=$1
	shift
	run --separate-stderr castore verify "$@"
	[[ "$output" == "$want: "* ]] || { echo "$status: $output $stderr"; false; }
	[ "$status" -eq "$([ "$want" = ok ] && echo 0 || echo 1)" ]
	[ -z "$stderr" ]
}

@test "verify names the reason, and openssl agrees which chains are good" {
	make_pki
	castore import root.pem
	says ok --host mx.example.org chain.pem
	openssl verify -CAfile root.pem -untrusted inter.pem -purpose sslserver -verify_hostname mx.example.org leaf.pem
	says ok --host 192.0.2.25 chain.pem
	says ok --host MX.Example.ORG. chain.pem
	says ok --host other.test --host mx.example.org chain.pem
	says ok --host mx.example.org --untrusted inter.pem leaf.pem
	says ok --ca root.pem --host mx.example.org chain.pem
	says ok --host mail.example.org chain.pem
	says name --host mail.example.org -l required-verify-hosted chain.pem
	says name --host mail.example.org -l san-only chain.pem
	says ok --host mx.example.org -l san-only chain.pem
	says name --host other.test chain.pem
	run ! openssl verify -CAfile root.pem -untrusted inter.pem -verify_hostname other.test leaf.pem
	says unknown-ca --host mx.example.org leaf.pem
	says unknown-ca --ca system.pem --host mx.example.org chain.pem
	says expired --time "$(date -u -d '+250 days' +%F)" --host mx.example.org chain.pem
	says not-yet-valid --time 2020-01-01T00:00:00Z --host mx.example.org chain.pem
	cat client.pem inter.pem > c.pem
	says purpose --host mx.example.org c.pem
	says ok --client --host mx.example.org c.pem
	says purpose --client --host mx.example.org chain.pem
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	printf x | dd of=leaf.der bs=1 seek=$(($(stat -c %s leaf.der) - 1)) conv=notrunc status=none
	(openssl x509 -inform DER -in leaf.der; cat inter.pem) > forged.pem
	says signature --host mx.example.org forged.pem
	run ! openssl verify -CAfile root.pem -untrusted inter.pem forged.pem
	castore disable custom
	says unknown-ca --host mx.example.org chain.pem
	castore disable system
	says unknown-ca --host mx.example.org chain.pem
	[[ "$output" == *'no list of CAs is enabled'* ]]
}

@test "verify takes DER, PKCS#7 and standard input; damage is parse, no certificate at all is 2" {
	make_pki
	castore import root.pem
	says ok --host mx.example.org - < chain.pem
	castore import --append inter.pem
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	says ok --host mx.example.org leaf.der
	openssl crl2pkcs7 -nocrl -certfile leaf.pem -out leaf.p7
	says ok --host mx.example.org leaf.p7
	head -n -2 leaf.pem > cut.pem
	says parse --host mx.example.org cut.pem
	head -c 200 leaf.der > cut.der
	says parse --host mx.example.org cut.der
	sed '3s/^./!/' leaf.pem > bad.pem
	says parse --host mx.example.org bad.pem
	for file in missing . leaf.key /dev/null; do
		run -2 --separate-stderr castore verify --host mx.example.org $file
		[ -z "$output" ]
	done
	run -2 castore verify --ca missing --host mx.example.org chain.pem
	run -2 castore verify --ca bad.pem --host mx.example.org chain.pem
	run -2 castore verify --untrusted bad.pem --host mx.example.org chain.pem
}

@test "verify as JSON" {
	make_pki
	castore import root.pem
	castore verify -j --host mx.example.org --host 2001:DB8:0::1 chain.pem > out
	[ "$(jq -c '[.file, .hosts, .verified, .reason, .rule, .depth, [.path[].sha256]]' out)" = \
	    "[\"chain.pem\",[\"mx.example.org\",\"2001:db8::1\"],true,null,\"RFC 6125 6.4\",2,\
[\"$(fp leaf.pem)\",\"$(fp inter.pem)\",\"$(fp root.pem)\"]]" ]
	run -1 castore verify -j --host other.test chain.pem
	[ "$(jq -c '[.verified, .reason, .depth, .path]' <<< "$output")" = '[false,"name",0,[]]' ]
	diff <(jq -r 'keys_unsorted[]' out | sort) <(awk '/^\.Ss/ { on = $0 ~ /castore verify/ } on' \
	    "$BATS_TEST_DIRNAME/../man/mtatls-json.7" | sed -n 's/^\.It //p' | sort)
}

@test "what the page's EXAMPLES say works" {
	unset MTATLS_SYSTEM_CA
	make_pki
	cp root.pem corp-ca.pem
	"$BIN/mkcert" -o - partner.test | sed -n '/BEGIN CERT/,$p' > partner.pem
	sed -n '/^.Sh EXAMPLES/,/^.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/castore.1" | grep ^castore |
	    sed "s/2027-03-01/$(date -u -d '+100 days' +%F)/" > examples
	[ "$(wc -l < examples)" -eq 7 ]
	PATH=$BIN:$PATH
	while read -r line; do
		echo "$line"
		bash -c "$line"
	done < examples
	[ "$(grep -c BEGIN lists.pem)" -ge 100 ]
	castore verify --host partner.test partner.pem
	[ "$(cat "$STATE")" = $'list system off\nlist custom on' ]
}

# ---- at once, killed, full ----

@test "two who import at once: the list is of the one or of the other" {
	local i a b
	mkcas 60 A > a.pem
	mkcas 60 B > b.pem
	for i in 1 2 3 4 5 6 7 8; do
		castore import a.pem > /dev/null &
		a=$!
		castore import b.pem > /dev/null &
		b=$!
		wait $a
		wait $b
		[ "$(castore list custom | grep -o 'CN=. ' | sort | uniq -c | wc -l)" -eq 1 ]
		[ "$(grep -c BEGIN "$CUSTOM")" -eq 60 ]
	done
}

@test "many who append, distrust and switch at once: nothing is lost" {
	local i pids=()
	for i in 1 2 3 4 5 6 7 8 9 10; do
		mkcas 1 "Own $i" > $i.pem
		castore import --append $i.pem > /dev/null &
		pids+=($!)
		castore distrust "$(printf '%064d' "$i")" &
		pids+=($!)
	done
	castore disable system &
	pids+=($!)
	for i in "${pids[@]}"; do wait "$i"; done
	[ "$(grep -c BEGIN "$CUSTOM")" -eq 10 ]
	[ "$(grep -c '^distrust' "$STATE")" -eq 10 ]
	grep -qx 'list system off' "$STATE"
	grep -qx 'list custom on' "$STATE"
	[ "$(ls -A "$MTATLS_DIR/ca")" = $'custom.pem\nstate' ]
}

# Runs the program with a fault in its system calls on the folder of the lists.
faulty() {
	local rule=$1
	shift
	LD_PRELOAD=$BUILD/lab/faults.so FAULTS=$rule ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 \
	    "$BIN/castore" "$@"
}

# What would a verification trust?  Which lists are on, and what is in them.
effect() {
	castore list > now
	awk '/^system:|^custom:/ { on = $2 == "on,"; print $1, $2; next } on { print $1, $3 }' now
}

# ACTION ARGUMENT...: done once without a fault, for what is new; then the fault at each call, one after
# the other, from the old state.  What is trusted must be the old or the new each time, and the next writer succeed.
walk() {
	local action=$1 n old new got killed=0 done=0
	shift
	rm -rf saved
	cp -r state saved
	old=$(effect)
	castore "$@" > /dev/null
	new=$(effect)
	[ "$old" != "$new" ]
	for n in $(seq 1 200); do
		rm -rf state
		cp -r saved state
		run faulty "any $MTATLS_DIR/ca $n $action" "$@"
		if [ "$status" -eq 0 ]; then
			[ "$(effect)" = "$new" ] || { echo "call $n: done, and not new"; return 1; }
			done=$((done + 1))
			[ $done -lt 3 ] || break
			continue
		fi
		killed=$((killed + 1))
		got=$(effect)
		[ "$got" = "$old" ] || [ "$got" = "$new" ] || { echo "call $n: $got"; return 1; }
		# What is removed already cannot be removed again.
		castore "$@" > /dev/null || [ "$1 $got" = "remove $new" ] ||
		    { echo "call $n: the next writer failed"; return 1; }
		[ "$(effect)" = "$new" ]
		[ -z "$(find state/ca -name '.tmp-*')" ] || { echo "call $n: left over"; return 1; }
	done
	echo "$*: $killed times"
	[ "$killed" -ge 4 ]
}

@test "kill -9 at any call of import, enable, distrust, remove: the old lists or the new ones, whole" {
	mkcas 3 > a.pem
	mkcas 4 Other > b.pem
	castore import a.pem
	walk kill import b.pem
	rm -rf state
	mkdir state
	walk kill import b.pem
	castore import a.pem
	castore disable custom
	walk kill import b.pem
	walk kill import --append a.pem
	walk kill disable system
	walk kill distrust "$(fp a.pem)"
	walk kill remove "$(fp a.pem)"
}

@test "a disk that is full or fails at any call: an error that says so, the old lists or the new ones" {
	mkcas 3 > a.pem
	mkcas 4 Other > b.pem
	castore import a.pem
	castore disable custom
	walk ENOSPC import b.pem
	walk EIO import --append a.pem
	walk EIO disable system
	castore import a.pem
	before=$(snapshot)
	run --separate-stderr faulty "write $MTATLS_DIR/ca 1 ENOSPC" import b.pem
	[ "$status" -eq 2 ]
	[[ "$stderr" == "castore: $CUSTOM: No space left on device" ]]
	[ "$(snapshot)" = "$before" ]
	[ "$(ls -A "$MTATLS_DIR/ca")" = $'custom.pem\nstate' ]
}

@test "a small disk, really full" {
	mkcas 5 > few.pem
	mkcas 400 > many.pem
	mkdir -p "$MTATLS_DIR/ca"
	mount -t tmpfs -o size=64k,mode=755 none "$MTATLS_DIR/ca" 2>/dev/null || skip 'mount is not allowed here'
	touch mounted
	castore import few.pem
	refused 2 "$CUSTOM: No space left on device" import many.pem
	[ "$(ls -A "$MTATLS_DIR/ca")" = $'custom.pem\nstate' ]
	castore import --append few.pem
}

@test "what castore makes is for all to read, whatever the umask" {
	"$BIN/mkcert" -d cas --ca Root > /dev/null
	umask 077
	"$BIN/castore" -d new/root import cas/certs/Root/cert.pem
	[ "$(stat -c %a new/root new/root/ca new/root/ca/state new/root/ca/custom.pem | xargs)" = '755 755 644 644' ]
}

@test "a missing system bundle: forgiven by all where the custom list is on" {
	mkcas 2 > two.pem
	MTATLS_SYSTEM_CA="$PWD/none.pem"
	run -2 --separate-stderr castore list
	[[ "$stderr" == *'none.pem: No such file or directory' ]]
	castore import two.pem
	run -0 castore list
	[ "${lines[0]}" = "system: on, 0 certificates, $MTATLS_SYSTEM_CA" ]
	print=$(fp two.pem)
	castore distrust "${print:0:16}"
	[[ "$(castore list)" == *"$print "*' distrusted '* ]]
	castore disable system
	castore disable custom
	run -0 castore list
	refused 2 'none.pem: No such file or directory' export system
}

@test "list -j tells what is distrusted and in no list" {
	local far near
	far=$(printf '%064d' 7) near=$(printf '%064d' 8)
	castore distrust "$far"
	castore distrust --after 2026-01-02T00:00:00Z "$near"
	castore list -j | jq -c 'select(.list == null) | [.sha256, .distrusted, .distrusted_after]' > out
	[ "$(cat out)" = "[\"$far\",true,null]
[\"$near\",true,\"2026-01-02T00:00:00Z\"]" ]
}

@test "import: file and passphrase not both from standard input, damage is told with the file" {
	run -2 --separate-stderr castore import - --pass-file - < /dev/null
	[[ "$stderr" == *'certificates and passphrase cannot both come from standard input'* ]]
	printf '0\200\002\001\003xxxxxx' > damaged.p12
	refused 2 'damaged.p12: damaged' import damaged.p12
}
