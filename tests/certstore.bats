#!/usr/bin/env bats
# certstore, with certificates that openssl's CA signed for requests that csrgen made.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state" MTATLS_SYSTEM_CA="$BATS_TEST_TMPDIR/work/system.pem"
	: > system.pem
	unset SSL_CERT_FILE OPENSSL_CONF
}

certstore() { "$BIN/certstore" "$@"; }
mkcert() { "$BIN/mkcert" "$@"; }
csrgen() { "$BIN/csrgen" "$@"; }

at() { echo "$MTATLS_DIR/certs/$1"; }
sha256() { openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f; }

# All of the store, to see that nothing changed.
state() { find "$MTATLS_DIR" -type l -printf '%p %l\n' -o -type f -exec sha256sum {} + | sort; }

# ca NAME [SIGNER]: a CA of openssl's, self-signed or below another.
ca() {
	mkdir "ca-$1"
	: > "ca-$1/index"
	cat > "ca-$1/conf" <<-END
	[ca]
	default_ca = this
	[this]
	dir = ca-$1
	database = ca-$1/index
	new_certs_dir = ca-$1
	certificate = $1.pem
	private_key = $1.key
	default_md = sha256
	default_days = 90
	rand_serial = yes
	unique_subject = no
	copy_extensions = copy
	policy = any
	x509_extensions = \$ENV::EXT
	[any]
	commonName = optional
	organizationName = optional
	countryName = optional
	[ext_leaf]
	basicConstraints = CA:FALSE
	[ext_bare]
	[ext_ca]
	basicConstraints = critical, CA:TRUE
	keyUsage = critical, keyCertSign, cRLSign
	END
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/O=Test/CN=$1" -out "$1.csr" 2>/dev/null
	if [ $# -gt 1 ]; then
		sign "$2" "$1.csr" "$1.pem" ca
	else
		EXT=ext_ca openssl ca -batch -notext -config "ca-$1/conf" -selfsign -in "$1.csr" -out "$1.pem" 2>/dev/null
	fi
}

# sign CA REQUEST OUT [EXT] [OPTION]...
sign() {
	EXT=ext_${4:-leaf} openssl ca -batch -notext -config "ca-$1/conf" -in "$2" -out "$3" "${@:5}" 2>log || { cat log; return 1; }
}

# A root, two intermediates below each other.
three() {
	ca root
	ca middle root
	ca issuing middle
}

refused() {
	local want=$1 why=$2 before
	shift 2
	before=$(state)
	run "-$want" --separate-stderr certstore "$@"
	[ -z "$output" ]
	[[ "$stderr" == "certstore: "*"$why"* ]] || { echo "$stderr"; false; }
	[ "$(state)" = "$before" ]
}

usage_error() {
	run -2 --separate-stderr certstore "$@"
	[ -z "$output" ]
	[[ "$stderr" == certstore:*$'\nusage: certstore '*$'\ntry -h for the options' ]] || { echo "$stderr"; false; }
}

@test "-h and -V" {
	run -0 --separate-stderr certstore -h
	[ -z "$stderr" ]
	for word in list show install export rename remove rollback check --ca --config --dir --force --hosts \
	    --json --key --output --with-key --within --help --version; do
		[[ "$output" == *" $word"* ]] || { echo "$word"; false; }
	done
	run -0 certstore --version
	[[ "$output" =~ ^certstore\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	usage_error
	usage_error nothing
	usage_error list x
	usage_error show
	usage_error show a b
	usage_error install a
	usage_error export a b
	usage_error rename a
	usage_error remove
	usage_error rollback
	usage_error -k key list
	usage_error -f check
	usage_error --hosts x list
	usage_error --with-key show x
	usage_error -j export x
	usage_error --ca
	run -2 --separate-stderr certstore --within soon check
	[[ "$stderr" == 'certstore: --within: '* ]]
	run -2 --separate-stderr certstore --within 1y check
	[[ "$stderr" == 'certstore: --within: expected a time such as 30s, 5m, 12h or 21d, not "1y"'* ]]
}

@test "an empty -d is no folder, for any tool" {
	export MTATLS_DIR=$PWD/state
	while read -r tool rest; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr "$BIN/$tool" -d '' $rest
		[ -z "$output" ]
		[[ "$stderr" == "$tool: -d: expected a folder, not an empty text"$'\n'usage:* ]] || { echo "$stderr"; false; }
	done <<-END
	castore list
	certstore list
	csrgen mx.example
	mkcert mx.example
	p12export mx.example
	p12import --info system.pem
	relayq list
	relayq -s . list
	tlsa-gen mx.example
	END
	[ ! -e "$MTATLS_DIR" ]
}

@test "an empty store" {
	for command in list check 'list -j' 'check -j'; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr certstore $command
		[ -z "$output" ]
		[ "$stderr" = "certstore: $MTATLS_DIR/certs: there is no such folder; nothing was stored under $MTATLS_DIR yet" ]
	done
	mkdir -p empty/certs
	run -0 --separate-stderr certstore -d empty check
	[ -z "$output$stderr" ]
	run -0 --separate-stderr certstore -d empty list
	[ -z "$output$stderr" ]
	for command in 'show x' 'export x' 'rename x y' 'remove x' 'rollback x' 'check x' 'install x system.pem'; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr certstore $command
		[ "$stderr" = "certstore: no identity \"x\" in $MTATLS_DIR/certs" ] || { echo "$command: $stderr"; false; }
	done
	[ ! -e "$MTATLS_DIR" ]
}

@test "list: a line for each, with who uses it" {
	mkcert b.example
	mkcert -t rsa:2048 '*.example.com'
	csrgen -t ed25519 a.example > a.csr
	cat > "$MTATLS_DIR/smtp-relay.conf" <<-END
	hostname b.example
	spool $PWD/spool
	listen in 127.0.0.1@2525 type public tls preferred cert b.example domains b.example
	listen sub 127.0.0.1@2526 type public tls required cert b.example domains b.example
	END
	run -0 --separate-stderr certstore list
	echo "$output"; echo "$stderr"
	[ -z "$stderr" ]
	day=$(date -u -d "$(openssl x509 -in "$(at b.example)/cert.pem" -noout -enddate | cut -d= -f2)" +%F)
	[ "${#lines[@]}" -eq 3 ]
	[ "${lines[0]}" = "_wildcard.example.com  $day  rsa:2048  -       CN=*.example.com  by itself" ]
	[ "${lines[1]}" = 'a.example              -           ed25519   -       (waits for its certificate)  by -' ]
	[ "${lines[2]}" = "b.example              $day  ec:p256   in,sub  CN=b.example  by itself" ]
	run -0 certstore list -j
	printf '%s\n' "$output" > list.json
	python3 - "$(sha256 "$(at b.example)/cert.pem")" "$(at b.example)" <<-'PY'
	import json, sys
	l = [json.loads(x) for x in open("list.json")]
	keys = ["name", "path", "sha256", "subject", "issuer", "self_issued", "dns", "ip", "key", "spki_sha256", "serial",
	    "not_before", "not_after", "demo", "request", "next", "used"]
	assert all(list(o) == keys for o in l), [list(o) for o in l]
	assert [o["name"] for o in l] == ["_wildcard.example.com", "a.example", "b.example"]
	b = l[2]
	assert b["sha256"] == sys.argv[1] and b["path"] == sys.argv[2] and b["used"] == ["in", "sub"]
	assert b["self_issued"] is True and b["dns"] == ["b.example"] and b["key"] == "ec:p256"
	assert l[1]["sha256"] is None and l[1]["dns"] == ["a.example"] and l[1]["request"] is True
	PY
	[ "$(wc -l < list.json)" -eq 3 ]
}

@test "list, show: a name beyond ASCII stays as it is, and takes a column for each character" {
	mkcert -n 'Ärzte e.V.' mx.example > /dev/null
	mkcert -n 'a.example' mx.example > /dev/null
	run -0 certstore list
	[[ "${lines[0]}" == 'a.example   '[0-9]* ]]
	[[ "${lines[1]}" == 'Ärzte e.V.  '[0-9]* ]]
	run -0 certstore show 'Ärzte e.V.'
	[ "${lines[0]}" = 'name Ärzte e.V.' ]
	[ "${lines[1]}" = "path $(at 'Ärzte e.V.')" ]
	[ "${lines[2]}" = 'version .versions/Ärzte e.V./1' ]
}

@test "a configuration that does not parse is a word on stderr" {
	mkcert b.example > /dev/null
	echo 'nonsense' > "$MTATLS_DIR/smtp-relay.conf"
	run -0 --separate-stderr certstore list
	[[ "$output" == 'b.example  '* ]]
	[[ "$stderr" == "certstore: $MTATLS_DIR/smtp-relay.conf:1: "*'; where identities are used is not known' ]]
	refused 2 'perhaps it is used' remove b.example
	run -0 --separate-stderr certstore -c none list
	[[ "$stderr" == *'none: No such file or directory; where identities are used is not known' ]]
	certstore remove -f b.example
}

@test "a configuration of another root uses nothing here" {
	mkcert b.example > /dev/null
	mkdir other
	printf 'hostname b.example\ndir %s\nspool %s\nlisten in 127.0.0.1@2525 type public tls preferred cert b.example domains b.example\n' \
	    "$PWD/other" "$PWD/spool" > c.conf
	run -0 certstore -c c.conf list
	[[ "$output" == *'  -  CN=b.example'* ]]
	sed -i "s,^dir .*,dir $PWD/../work/state," c.conf
	run -0 certstore -c c.conf list
	[[ "$output" == *'  in  CN=b.example'* ]]
}

@test "list and check go on behind a damaged one" {
	mkcert a.example > /dev/null
	mkcert b.example > /dev/null
	echo junk > "$(at a.example)/cert.pem"
	run -2 --separate-stderr certstore list
	[[ "$output" == 'b.example '* ]]
	[[ "$stderr" == 'certstore: '*'/a.example/1/cert.pem: neither PEM nor DER'* ]]
	run -1 --separate-stderr certstore check
	[[ "${lines[0]}" == 'a.example: damaged: '*'/cert.pem: neither PEM nor DER'* ]]
	[[ "${lines[1]}" == 'b.example: ok: valid until '* ]]
	[ -z "$stderr" ]
	mkcert c.example > /dev/null
	cp "$(at c.example)/key.pem" "$(at b.example)/key.pem"
	run -1 certstore check b.example
	[[ "$output" == 'b.example: damaged: '*'/key.pem: not the key of cert.pem beside it' ]]
}

@test "show" {
	three
	mkcert -a 192.0.2.1 --org 'Öl & Co' mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	certstore install mx.example c.pem issuing.pem middle.pem 2>/dev/null >/dev/null
	csrgen --next -a mx2.example mx.example > n.csr 2>/dev/null
	run -0 --separate-stderr certstore show mx.example
	echo "$output"
	[ -z "$stderr" ]
	has() { [[ $'\n'"$output"$'\n' == *$'\n'"$1"$'\n'* ]] || { echo "no: $1"; false; }; }
	spki() { openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1; }
	cur=$(openssl x509 -in c.pem -noout -pubkey | spki)
	next=$(openssl req -in n.csr -noout -pubkey | spki)
	has 'name mx.example'
	has "path $(at mx.example)"
	has 'issuer O=Test,CN=issuing'
	has 'self-signed no'
	has 'dns mx.example'
	has 'ip 192.0.2.1'
	has "sha256 $(sha256 c.pem)"
	has "sha1 $(openssl x509 -in c.pem -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' | tr A-F a-f)"
	has "serial $(openssl x509 -in c.pem -noout -serial | cut -d= -f2 | tr A-F a-f)"
	has "spki-sha256 $cur"
	has "tlsa _25._tcp.mx.example. IN TLSA 3 1 1 $cur"
	has 'next-request for mx.example 192.0.2.1 mx2.example key ec:p256'
	has "next-spki-sha256 $next"
	has "next-tlsa _25._tcp.mx.example. IN TLSA 3 1 1 $next"
	[[ "$output" == *$'\n''chain 1 O=Test,CN=issuing by O=Test,CN=middle until '*" sha256 $(sha256 issuing.pem)"* ]]
	[[ "$output" == *$'\n''chain 2 O=Test,CN=middle by O=Test,CN=root until '*" sha256 $(sha256 middle.pem)"* ]]
	run -0 certstore show -j mx.example
	[ "${#lines[@]}" -eq 1 ]
	printf '%s' "$output" > s.json
	python3 - "$cur" "$next" <<-'PY'
	import json, sys
	o = json.load(open("s.json"))
	assert o["tlsa"] == "3 1 1 " + sys.argv[1] and o["next_tlsa"] == "3 1 1 " + sys.argv[2]
	assert o["spki_sha256"] == sys.argv[1] and o["next_spki_sha256"] == sys.argv[2]
	assert o["self_signed"] is False and o["ca"] is False and o["next"] is True and o["request"] is False
	assert [c["subject"] for c in o["chain"]] == ["O=Test,CN=issuing", "O=Test,CN=middle"]
	assert o["ip"] == ["192.0.2.1"] and o["version"].startswith(".versions/mx.example/")
	PY
}

@test "install: wrong order, extra certificates, the root left out; verified against the custom list" {
	three
	ca stranger
	mkcert -a mx2.example mx.example > /dev/null
	old=$(cat "$(at mx.example)/cert.pem")
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	cat root.pem stranger.pem middle.pem "$(at mx.example)/cert.pem" > bundle.pem
	run -0 --separate-stderr certstore --ca root.pem install mx.example bundle.pem c.pem issuing.pem
	[ "$stderr" = $'certstore: mx.example: left out, not of its chain: O=Test,CN=stranger\ncertstore: mx.example: left out, not of its chain: CN=mx.example' ] || { echo "$stderr"; false; }
	[ "$output" = "$(at mx.example) $(sha256 c.pem)" ]
	cat issuing.pem middle.pem > want.pem
	cmp "$(at mx.example)/chain.pem" want.pem
	cmp "$(at mx.example)/cert.pem" c.pem
	[ "$(ls "$(at mx.example)/")" = $'cert.pem\nchain.pem\nkey.pem' ]
	openssl verify -x509_strict -CAfile root.pem -untrusted "$(at mx.example)/chain.pem" \
	    -verify_hostname mx2.example "$(at mx.example)/cert.pem"
	certtool --verify --load-ca-certificate root.pem --verify-hostname mx.example < <(certstore export mx.example)
	run -0 --separate-stderr certstore rollback mx.example
	[ "$(cat "$(at mx.example)/cert.pem")" = "$old" ]
	[ -e "$(at mx.example)/request.pem" ]
	certstore rollback mx.example
	cmp "$(at mx.example)/cert.pem" c.pem
}

@test "install: a CA that is not known is a private one, with a warning" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	run -0 --separate-stderr certstore install mx.example c.pem issuing.pem middle.pem
	[[ "$stderr" == 'certstore: mx.example: warning: the chain leads to no trusted CA: '* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
	cat issuing.pem middle.pem | cmp "$(at mx.example)/chain.pem"
	certstore rollback mx.example
	cp "$(at mx.example)/cert.pem" old.pem
	ca stranger
	refused 1 'the chain does not hold (unknown-ca)' --ca stranger.pem install mx.example c.pem issuing.pem middle.pem
	certstore install -f --ca stranger.pem mx.example c.pem issuing.pem middle.pem
	cmp "$(at mx.example)/cert.pem" c.pem
}

# What is wrong with a chain is not hidden by a root that is not known.
@test "install, check: a chain is judged where its CA is unknown" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	cat >> ca-middle/conf <<-END
	[ext_client]
	extendedKeyUsage = clientAuth
	END
	cat >> ca-root/conf <<-END
	[ext_narrow]
	basicConstraints = critical, CA:TRUE
	nameConstraints = critical, permitted;DNS:other.example
	END
	sign middle r.csr client.pem client
	sign middle r.csr good.pem
	sign root middle.csr old.pem ca -startdate 20200101000000Z -enddate 20210101000000Z
	sign root middle.csr narrow-middle.pem narrow
	while read -r why leaf middle; do
		refused 1 "the chain does not hold ($why)" install mx.example "$leaf" "$middle"
		refused 1 "the chain does not hold ($why)" install mx.example "$leaf" "$middle" root.pem
		run -0 --separate-stderr certstore -f install mx.example "$leaf" "$middle"
		[[ "$stderr" == *"warning: mx.example: the chain does not hold ($why)"*'leads to no trusted CA'* ]] || { echo "$stderr"; false; }
		run -1 certstore check mx.example
		[[ "$output" == *$'\n'"mx.example: $why: "* ]] || { echo "$output"; false; }
		certstore rollback mx.example
	done <<-END
	purpose client.pem middle.pem
	expired good.pem old.pem
	name-constraint good.pem narrow-middle.pem
	END
	# Alone, and signed by itself.
	refused 1 'the chain does not hold (purpose)' install mx.example client.pem
	openssl req -x509 -key "$(at mx.example)/key.pem" -subj /CN=mx.example -addext extendedKeyUsage=clientAuth \
	    -addext subjectAltName=DNS:mx.example -addext basicConstraints=CA:FALSE -out self.pem
	refused 1 'the chain does not hold (purpose)' install mx.example self.pem
	certstore install mx.example good.pem middle.pem
	run -0 certstore check mx.example
	"$BIN/castore" distrust "$(sha256 middle.pem)"
	run -1 certstore check mx.example
	[[ "$output" == *$'\nmx.example: distrusted: '* ]]
	certstore rollback mx.example
	refused 1 'the chain does not hold (distrusted)' install mx.example good.pem middle.pem
	run -0 certstore check mx.example
	"$BIN/castore" distrust "$(sha256 "$(at mx.example)/cert.pem")"
	run -1 certstore check mx.example
	[[ "$output" == 'mx.example: distrusted: '* ]]
}

@test "install: intermediates that the CA did not send come from the trusted list" {
	three
	cat middle.pem root.pem > system.pem
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	run -0 --separate-stderr certstore install mx.example c.pem issuing.pem
	[ -z "$stderr" ] || { echo "$stderr"; false; }
	openssl verify -CAfile root.pem -untrusted "$(at mx.example)/chain.pem" "$(at mx.example)/cert.pem"
	cat issuing.pem middle.pem | cmp "$(at mx.example)/chain.pem"
}

@test "install: the stored chain stays where the answer is the leaf alone" {
	three
	ca stranger
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	sign issuing r.csr new.pem
	sign stranger r.csr s.pem
	certstore --ca root.pem install mx.example c.pem issuing.pem middle.pem
	cat issuing.pem middle.pem > chain.pem
	before=$(state)
	run -0 --separate-stderr certstore --ca root.pem install mx.example c.pem
	[ "$stderr" = 'certstore: mx.example: this certificate is installed already' ]
	[ "$(state)" = "$before" ]
	# A newer one of the same CA, verified through what is stored; its CA may be unknown, too.
	run -0 --separate-stderr certstore --ca root.pem install mx.example new.pem
	[ -z "$stderr" ]
	cmp "$(at mx.example)/cert.pem" new.pem
	cmp "$(at mx.example)/chain.pem" chain.pem
	certstore rollback mx.example
	cmp "$(at mx.example)/cert.pem" c.pem
	cmp "$(at mx.example)/chain.pem" chain.pem
	certstore install mx.example new.pem
	cmp "$(at mx.example)/chain.pem" chain.pem
	# Of another CA it is none.
	run -0 --separate-stderr certstore --ca stranger.pem install mx.example s.pem
	[ -z "$stderr" ]
	[ ! -e "$(at mx.example)/chain.pem" ]
}

@test "install: DER, PKCS #7 in both forms, standard input, CRLF" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	openssl x509 -in c.pem -outform DER -out c.der
	openssl crl2pkcs7 -nocrl -certfile root.pem -certfile middle.pem -certfile c.pem -certfile issuing.pem -out c.p7
	openssl pkcs7 -in c.p7 -outform DER -out c.p7.der
	sed 's/$/\r/' c.pem > crlf.pem
	{ echo "The CA's answer:"; cat c.pem issuing.pem middle.pem; } > text.pem
	cp "$(at mx.example)/key.pem" key.pem
	local form
	for form in 'c.der issuing.pem middle.pem' c.p7 c.p7.der 'crlf.pem issuing.pem middle.pem' text.pem; do
		mkcert -f -k key.pem mx.example > /dev/null
		# shellcheck disable=SC2086
		run -0 --separate-stderr certstore --ca root.pem install mx.example $form
		[ "$output" = "$(at mx.example) $(sha256 c.pem)" ] || { echo "$form: $output$stderr"; false; }
		cmp "$(at mx.example)/cert.pem" c.pem
		cat issuing.pem middle.pem | cmp "$(at mx.example)/chain.pem"
	done
	mkcert -f -k key.pem mx.example > /dev/null
	run -0 certstore --ca root.pem install mx.example - < text.pem
	cmp "$(at mx.example)/cert.pem" c.pem
}

@test "install: what is refused, with the store unchanged" {
	three
	mkcert -a mx2.example mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -subj /CN=mx.example -out o.csr 2>/dev/null
	sign issuing o.csr other.pem
	refused 1 "mx.example: wrong key: the certificate is not for the identity's key" install mx.example other.pem
	refused 1 "mx.example: wrong key: none of the 3 certificates is for the identity's key" \
	    install mx.example other.pem issuing.pem middle.pem
	openssl req -new -key "$(at mx.example)/key.pem" -subj /CN=www.example -addext subjectAltName=DNS:www.example -out w.csr
	sign issuing w.csr wrong.pem
	refused 1 'wrong name: the certificate is for none of the names asked for: mx.example, mx2.example' \
	    install mx.example wrong.pem
	sign issuing r.csr old.pem leaf -startdate 20200101000000Z -enddate 20210101000000Z
	refused 1 'mx.example: expired: the certificate was valid until 2021-01-01T00:00:00Z' install mx.example old.pem
	sign issuing r.csr soon.pem leaf -startdate 20400101000000Z -enddate 20410101000000Z
	refused 1 'mx.example: not yet valid: the certificate is valid from 2040-01-01T00:00:00Z' \
	    install mx.example soon.pem
	sign root r.csr isca.pem ca
	refused 1 "the certificate for its key is a CA's" install mx.example isca.pem
	refused 1 "the certificate for its key is a CA's" -f install mx.example isca.pem
	head -c 300 c.pem > cut.pem
	refused 2 'cut.pem: line 6: no -----END CERTIFICATE----- before the end' install mx.example cut.pem
	sed '5s/^./!/' c.pem > bad.pem
	refused 2 'bad.pem: line 5: ' install mx.example c.pem bad.pem
	refused 2 'r.csr: no certificate in it' install mx.example r.csr
	refused 2 'none.pem: No such file or directory' install mx.example none.pem
	: > empty.pem
	refused 2 'empty.pem: ' install mx.example empty.pem
	refused 2 'none.pem: No such file or directory' --ca none.pem install mx.example c.pem
	# An intermediate that its CA cut short.
	sign middle issuing.csr issuing2.pem ca -startdate 20200101000000Z -enddate 20210101000000Z
	refused 1 'the chain does not hold (expired)' --ca root.pem install mx.example c.pem issuing2.pem middle.pem
}

@test "install -f takes what is expired, not yet valid or of another name, with the warning" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr old.pem leaf -startdate 20200101000000Z -enddate 20210101000000Z
	run -0 --separate-stderr certstore -f install mx.example old.pem
	[[ "$stderr" == *'mx.example: warning: mx.example: expired: '* || "$stderr" == *'warning: '*'expired: '* ]]
	cmp "$(at mx.example)/cert.pem" old.pem
	run -1 certstore check mx.example
	[[ "$output" == *'mx.example: expired: was valid until 2021-01-01T00:00:00Z'* ]]
	sign issuing r.csr soon.pem leaf -startdate 20400101000000Z -enddate 20410101000000Z
	run -0 certstore -f install mx.example soon.pem
	run -1 certstore check mx.example
	[[ "$output" == *'mx.example: not-yet-valid: valid from 2040-01-01T00:00:00Z'* ]]
}

@test "install: names that were asked for and are missing are told" {
	ca root
	mkcert -a mx2.example -a 192.0.2.9 mx.example > /dev/null
	csrgen mx.example > r.csr
	openssl req -new -key "$(at mx.example)/key.pem" -subj /CN=mx.example -addext subjectAltName=DNS:mx.example -out few.csr
	sign root few.csr c.pem
	run -0 --separate-stderr certstore --ca root.pem install mx.example c.pem
	[ "$stderr" = 'certstore: mx.example: warning: asked for, but not in the certificate: mx2.example, 192.0.2.9' ]
	# A CA that copies no extensions: the common name alone.
	csrgen -a mx.example mx.example > r2.csr
	sed -i 's/^copy_extensions.*/copy_extensions = none/' ca-root/conf
	sign root r2.csr bare.pem
	why='mx.example: wrong name: the certificate is for none of the names asked for: mx.example; that its common name is one of them helps with few verifiers'
	refused 1 "$why" --ca root.pem install mx.example bare.pem
	run -0 --separate-stderr certstore -f --ca root.pem install mx.example bare.pem
	[ "$stderr" = "certstore: mx.example: warning: $why" ]
	# A wildcard covers what was asked for.
	openssl req -new -key "$(at mx.example)/key.pem" -subj /CN=x -addext 'subjectAltName=DNS:*.example.org' -out wild.csr
	sed -i 's/^copy_extensions.*/copy_extensions = copy/' ca-root/conf
	sign root wild.csr wild.pem
	mkcert -n w -k "$(at mx.example)/key.pem" -a b.example.org a.example.org > /dev/null
	run -0 --separate-stderr certstore --ca root.pem install w wild.pem
	[ -z "$stderr" ]
}

@test "install: twice is once, and the version before stays" {
	ca root
	mkcert mx.example > /dev/null
	cp "$(at mx.example)/cert.pem" self.pem
	csrgen mx.example > r.csr
	sign root r.csr c.pem
	certstore --ca root.pem install mx.example c.pem
	run -0 --separate-stderr certstore --ca root.pem install mx.example c.pem
	[ "$stderr" = 'certstore: mx.example: this certificate is installed already' ]
	[ "$output" = "$(at mx.example) $(sha256 c.pem)" ]
	certstore rollback mx.example
	cmp "$(at mx.example)/cert.pem" self.pem
}

@test "install: an identity that waited for its first certificate" {
	ca root
	csrgen --org Test new.example > r.csr
	run -2 --separate-stderr certstore export new.example
	[[ "$stderr" == *'no certificate for "new.example" yet, only its request: `certstore install` takes the CA'"'s answer" ]]
	run -0 certstore check
	[ "$output" = 'new.example: note: waiting: no certificate yet, only its request' ]
	sign root r.csr c.pem
	certstore --ca root.pem install new.example c.pem
	[ "$(ls "$(at new.example)/")" = $'cert.pem\nkey.pem' ]
	refused 1 'there is no version before this one' rollback new.example
	run -0 --separate-stderr certstore --ca root.pem check new.example
	[[ "$output" == 'new.example: ok: valid until '* ]]
}

@test "install: the certificate of the next key switches to it" {
	ca root
	mkcert mx.example > /dev/null
	cp "$(at mx.example)/key.pem" first.key
	csrgen --next -t ec:p384 mx.example > n.csr 2>/dev/null
	csrgen mx.example > r.csr
	cp "$(at mx.example)/next-key.pem" next.key
	sign root r.csr c.pem
	sign root n.csr n.pem
	# The current key's leaves the next one where it is.
	certstore --ca root.pem install mx.example c.pem
	cmp "$(at mx.example)/next-key.pem" next.key
	run -0 --separate-stderr certstore --ca root.pem install mx.example n.pem
	[ "$stderr" = 'certstore: mx.example: its next key is the current one now' ]
	cmp "$(at mx.example)/key.pem" next.key
	[ "$(ls "$(at mx.example)/")" = $'cert.pem\nkey.pem' ]
	certstore rollback mx.example
	cmp "$(at mx.example)/key.pem" first.key
	cmp "$(at mx.example)/next-key.pem" next.key
}

@test "install -k: the key that comes along" {
	ca root
	openssl req -new -newkey rsa:2048 -nodes -keyout k1.pem -subj /CN=acme.example -addext subjectAltName=DNS:acme.example -out 1.csr 2>/dev/null
	openssl req -new -newkey rsa:2048 -nodes -keyout k2.pem -subj /CN=acme.example -addext subjectAltName=DNS:acme.example -out 2.csr 2>/dev/null
	sign root 1.csr 1.pem
	sign root 2.csr 2.pem
	sign root 1.csr 1b.pem
	run -0 certstore --ca root.pem -k k1.pem install acme.example 1.pem
	[ "$output" = "$(at acme.example) $(sha256 1.pem)" ]
	[ "$(stat -c %a "$(at acme.example)/key.pem")" = 600 ]
	# The same key again needs no force, another one does.
	certstore --ca root.pem -k k1.pem install acme.example 1b.pem
	cmp "$(at acme.example)/cert.pem" 1b.pem
	refused 1 'acme.example: has another key; -f replaces it by the one in k2.pem' --ca root.pem -k k2.pem install acme.example 2.pem
	refused 1 'wrong key: the certificate is not for the key in k2.pem' --ca root.pem -f -k k2.pem install acme.example 1.pem
	certstore --ca root.pem -f -k k2.pem install acme.example 2.pem
	[ "$(openssl pkey -in "$(at acme.example)/key.pem" -pubout)" = "$(openssl pkey -in k2.pem -pubout)" ]
	certstore rollback acme.example
	cmp "$(at acme.example)/cert.pem" 1b.pem
	refused 2 'r.pem: No such file' -k r.pem install acme.example 1.pem
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.pem
	refused 1 'weak.pem: an RSA key of 1024 bits is too weak' -k weak.pem install acme.example 1.pem
	# Nobody asked for names here: a host's name that it is not for is told.
	run -0 --separate-stderr certstore --ca root.pem -k - install other.example 2.pem < k2.pem
	[ "$stderr" = 'certstore: other.example: warning: the certificate is not for other.example' ]
	[ -e "$(at other.example)/cert.pem" ]
	run -0 --separate-stderr certstore --ca root.pem -k k2.pem install '*.acme.example' 2.pem
	[ "$stderr" = 'certstore: _wildcard.acme.example: warning: the certificate is not for *.acme.example' ]
	run -0 --separate-stderr certstore --ca root.pem -k k2.pem install gateway 2.pem
	[ -z "$stderr" ]
}

@test "export" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem
	certstore --ca root.pem install mx.example c.pem issuing.pem middle.pem
	cat c.pem issuing.pem middle.pem > want.pem
	run -0 --separate-stderr bash -c '"$BIN/certstore" export mx.example | cmp - want.pem'
	certstore export -o out.pem mx.example
	cmp out.pem want.pem
	[ "$(stat -c %a out.pem)" = 644 ]
	run -1 --separate-stderr certstore export -o out.pem --with-key mx.example
	[ "$stderr" = 'certstore: out.pem: exists already' ]
	certstore export -f -o out.pem --with-key mx.example
	[ "$(stat -c %a out.pem)" = 600 ]
	cat "$(at mx.example)/key.pem" want.pem | cmp - out.pem
	[ "$(grep -c 'PRIVATE KEY' out.pem)" = 2 ]
	run -2 --separate-stderr bash -c '"$BIN/certstore" export mx.example > /dev/full'
	[ "$stderr" = 'certstore: standard output: No space left on device' ]
}

@test "rename, remove, rollback" {
	mkcert a.example > /dev/null
	cp "$(at a.example)/cert.pem" one.pem
	refused 1 'there is no version before this one' rollback a.example
	mkcert -f a.example > /dev/null
	cp "$(at a.example)/cert.pem" two.pem
	run -0 certstore rename a.example b.example
	[ "$output" = "$(at b.example) $(sha256 two.pem)" ]
	[ "$(ls -A "$MTATLS_DIR/certs")" = $'.versions\nb.example' ]
	[ "$(ls -A "$MTATLS_DIR/certs/.versions")" = b.example ]
	run -0 --separate-stderr certstore rollback b.example
	[ "$output" = "$(at b.example) $(sha256 one.pem)" ]
	[ "$stderr" = "certstore: b.example: another key: TLSA records published for the key or certificate before do not match; now: $("$BIN/tlsa-gen" b.example | sed 's/.*TLSA //') (tlsa-gen b.example)" ]
	run -0 --separate-stderr certstore rollback b.example
	[ "$output" = "$(at b.example) $(sha256 two.pem)" ]
	mkcert a.example > /dev/null
	refused 1 'exists already' rename a.example b.example
	refused 2 'cannot be the name of an identity' rename a.example ../c
	printf 'hostname a.example\nspool %s\nlisten in 127.0.0.1@2525 type public tls preferred cert a.example domains a.example\n' \
	    "$PWD/spool" > "$MTATLS_DIR/smtp-relay.conf"
	refused 1 "a.example: used by the relay's listener in; -f does not ask" remove a.example
	refused 1 "a.example: used by the relay's listener in; -f does not ask" rename a.example c.example
	certstore remove b.example
	certstore -f remove a.example
	[ "$(ls -A "$MTATLS_DIR/certs")" = .versions ]
	[ -z "$(ls -A "$MTATLS_DIR/certs/.versions")" ]
	run -2 certstore remove a.example
}

@test "rollback: an expired certificate, or none, is refused without -f" {
	ca root
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign root r.csr old.pem leaf -startdate 20200101000000Z -enddate 20210101000000Z
	certstore -f --ca root.pem install mx.example old.pem
	cp "$(at mx.example)/key.pem" key.pem
	mkcert -f -k key.pem mx.example > /dev/null
	refused 1 'mx.example: the certificate before has expired: 2021-01-01T00:00:00Z; -f goes back to it' rollback mx.example
	run -0 --separate-stderr certstore -f rollback mx.example
	[ -z "$stderr" ]
	cmp old.pem "$(at mx.example)/cert.pem"
	csrgen new.example > r.csr
	mkcert -f new.example > /dev/null 2>&1
	refused 1 'new.example: the version before has no certificate yet; -f goes back to it' rollback new.example
	certstore -f rollback new.example
	[ ! -e "$(at new.example)/cert.pem" ]
}

@test "another key: the next one stays, and DANE is thought of" {
	ca root
	mkcert mx.example > /dev/null
	csrgen --next mx.example > n.csr 2> /dev/null
	csrgen mx.example > r.csr
	cp "$(at mx.example)/next-key.pem" "$(at mx.example)/next-request.pem" .
	old=$("$BIN/tlsa-gen" mx.example | sed 's/.*TLSA //')
	openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=mx.example -addext subjectAltName=DNS:mx.example -out k.csr 2>/dev/null
	sign root k.csr k.crt
	run -0 --separate-stderr certstore -fj --ca root.pem -k k.pem install mx.example k.crt
	new=$("$BIN/tlsa-gen" mx.example | sed 's/.*TLSA //')
	[ "${stderr_lines[0]}" = 'certstore: mx.example: its next key and request stay' ]
	[ "${stderr_lines[1]}" = 'certstore: mx.example: its request was for the key before, and went with it' ]
	[[ "${stderr_lines[2]}" == "certstore: mx.example: another key: "*" do not match; now: $new (tlsa-gen mx.example)" ]]
	printf '%s' "$output" | python3 -c 'import json, sys
o = json.load(sys.stdin)
assert [o["key_changed"], o["tlsa"], o["old_tlsa"]] == [True] + sys.argv[1:], o' "$new" "$old"
	cmp next-key.pem "$(at mx.example)/next-key.pem"
	cmp next-request.pem "$(at mx.example)/next-request.pem"
	run -0 --separate-stderr certstore -j --ca root.pem -k k.pem install mx.example k.crt
	[[ "$output" == *'"key_changed":false'* ]]
	# As planned: nothing to be warned of.
	sign root n.csr n.pem
	run -0 --separate-stderr certstore -j --ca root.pem install mx.example n.pem
	[ "$stderr" = 'certstore: mx.example: its next key is the current one now' ]
	[[ "$output" == *'"key_changed":true'* ]]
}

@test "check: what is due, weak, for trials, broken" {
	ca root
	mkcert --days 10 ten.example > /dev/null
	mkcert --demo demo.example > /dev/null 2>&1
	mkcert long.example > /dev/null
	run -1 --separate-stderr certstore check
	echo "$output"; echo "$stderr"
	[[ "${lines[0]}" == 'demo.example: expires: valid until '*' days left' ]]
	[[ "$output" == *'demo.example: demo: a demonstration certificate: for trials only'* ]]
	[[ "$output" == *$'\nlong.example: ok: valid until '* ]]
	[[ "$output" == *$'\nten.example: expires: valid until '*': 9 days left'* || "$output" == *': 10 days left'* ]]
	[ "$stderr" = 'certstore: demo.example: a demonstration certificate: for trials only' ]
	run -0 certstore --within 9d check ten.example long.example
	run -1 certstore --within 400d check long.example
	[[ "$output" == 'long.example: expires: valid until '*' days left' ]]
	# A weak key can only come from elsewhere: not through our tools.
	openssl req -x509 -newkey rsa:1024 -nodes -keyout wk.pem -subj /CN=weak.example -days 90 -out wc.pem 2>/dev/null
	mkdir -p "$MTATLS_DIR/certs/weak.example"
	cp wk.pem "$(at weak.example)/key.pem"
	cp wc.pem "$(at weak.example)/cert.pem"
	run -1 certstore check weak.example
	[[ "$output" == *'weak.example: weak: an RSA key of 1024 bits is too weak'* ]]
	run -1 certstore -j check weak.example
	printf '%s' "$output" | python3 -c 'import json, sys
o = json.load(sys.stdin)
assert list(o) == ["name", "path", "ok", "not_after", "problems", "used"], list(o)
assert o["ok"] is False and o["problems"][0]["problem"] == "weak" and o["problems"][0]["fault"] is True'
}

@test "check: the chain" {
	three
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign issuing r.csr c.pem leaf -days 60
	certstore --ca root.pem install mx.example c.pem issuing.pem middle.pem
	run -0 certstore check mx.example
	[[ "${lines[0]}" == 'mx.example: note: unknown-ca: '* ]]
	[[ "${lines[1]}" == 'mx.example: ok: '* ]]
	ca stranger
	run -1 certstore --ca stranger.pem check mx.example
	[[ "$output" == 'mx.example: unknown-ca: '* ]]
	run -0 certstore --ca root.pem check mx.example
	# A link of the chain that is missing.
	cp middle.pem "$(at mx.example)/chain.pem"
	run -1 certstore --ca root.pem check mx.example
	[[ "$output" == 'mx.example: unknown-ca: '* ]]
}

@test "check --hosts: wildcards and SANs cover members, listings tell who lacks what" {
	mkcert -a mx2.example.org mx1.example.org > /dev/null
	mkcert '*.cluster.example' > /dev/null
	mkcert -n addr 192.0.2.7 > /dev/null
	mkcert --demo -n trial mx9.example.org > /dev/null 2>&1
	mkdir lists
	certstore list -j 2>/dev/null > lists/full.json
	grep -v '"addr"' lists/full.json > lists/part.json
	cp "$(at addr)/key.pem" addr.key
	mkcert -f -n addr -k addr.key 192.0.2.7 > /dev/null
	certstore list -j 2>/dev/null > lists/now.json
	certstore check --hosts - mx1.example.org _wildcard.cluster.example addr <<-END > out
	# all are covered
	mx1.example.org lists/now.json
	MX2.example.org.
	a.cluster.example	# by the wildcard
	192.0.2.7
	END
	tail -4 out | diff - <(printf '%s\n' 'mx1.example.org: covered by mx1.example.org' 'mx2.example.org: covered by mx1.example.org' \
	    'a.cluster.example: covered by _wildcard.cluster.example' '192.0.2.7: covered by addr')
	cat > lists/members <<-END
	mx1.example.org part.json
	mx3.example.org
	a.b.cluster.example
	mx9.example.org
	mx2.example.org full.json
	END
	run -1 --separate-stderr certstore check --hosts lists/members mx1.example.org _wildcard.cluster.example addr
	printf '%s\n' "${lines[@]:3}" | diff - <(printf '%s\n' 'mx1.example.org: covered by mx1.example.org' 'mx1.example.org: lacks addr' \
	    'mx3.example.org: no identity covers this name' 'a.b.cluster.example: no identity covers this name' \
	    'mx9.example.org: no identity covers this name' 'mx2.example.org: covered by mx1.example.org' \
	    'mx2.example.org: note: has another certificate as addr')
	# A demonstration certificate covers nobody.
	run -1 certstore check -j --hosts lists/members
	printf '%s\n' "${lines[@]}" | grep '"member"' | python3 -c 'import json, sys
m = {o["member"]: o for o in map(json.loads, sys.stdin)}
assert list(m["mx1.example.org"]) == ["member", "ok", "covered_by", "listing", "lacks", "differs", "faults"]
assert m["mx1.example.org"]["lacks"] == ["addr"] and m["mx1.example.org"]["listing"] == "lists/part.json"
assert m["mx9.example.org"]["covered_by"] == [] and m["mx9.example.org"]["ok"] is False
assert m["mx2.example.org"]["differs"] == ["addr"] and m["mx2.example.org"]["ok"] is True'
}

@test "check --hosts: a member is judged by what it listed" {
	mkcert -a mx2.example.org mx1.example.org > /dev/null
	certstore list -j > good.json
	echo 'mx1.example.org l.json' > members
	while IFS='|' read -r edit want; do
		python3 -c 'import json, sys
o = json.load(open("good.json"))
exec(sys.argv[1])
json.dump(o, open("l.json", "w"))' "$edit"
		run -1 certstore check --hosts members mx1.example.org
		[[ "$output" == *$'\n'"mx1.example.org: at fault there: mx1.example.org ($want)"* ]] || { echo "$want: $output"; false; }
	done <<-END
	o["demo"] = True|for demonstration
	o["not_after"] = "2020-01-01T00:00:00Z"|expired
	o["not_before"] = "2099-01-01T00:00:00Z"|not yet valid
	o["sha256"] = None|waits for its certificate
	o["spki_sha256"] = "00"|another key
	o["dns"].pop()|other names
	o["dns"].append("mx3.example.org")|other names
	END
	cp good.json l.json
	certstore check --hosts members mx1.example.org
}

@test "check --hosts: files that are at fault" {
	mkcert mx1.example.org > /dev/null
	printf 'mx1.example.org\nmx..example\nmx1.example.org a b\n' > members
	run -2 --separate-stderr certstore check --hosts members
	[[ "${stderr_lines[0]}" == 'certstore: members:2: '* ]]
	[[ "${stderr_lines[1]}" == 'certstore: members:3: '* ]]
	[ "${stderr_lines[2]}" = 'certstore: members: 2 errors' ]
	: > members
	run -2 --separate-stderr certstore check --hosts members
	[ "$stderr" = 'certstore: members: no host name in it' ]
	run -2 --separate-stderr certstore check --hosts none
	[ "$stderr" = 'certstore: none: No such file or directory' ]
	echo 'mx1.example.org l.json' > members
	run -2 --separate-stderr certstore check --hosts members
	[ "$stderr" = 'certstore: l.json: No such file or directory' ]
	printf '{"name":"a"}\n{"nam\n' > l.json
	run -2 --separate-stderr certstore check --hosts members
	[[ "$stderr" == 'certstore: l.json:2: not JSON: '* ]]
	printf '[]\n' > l.json
	run -2 --separate-stderr certstore check --hosts members
	[ "$stderr" = 'certstore: l.json:1: expected what `certstore list -j` prints: an object with a name' ]
}

# A file-size limit of nothing stands for the full disk (the limit also holds for a stderr that is a file).
full_disk() { (trap '' XFSZ; ulimit -f 0; "$BIN/certstore" "$@"); }

@test "a full disk leaves the old state" {
	ca root
	mkcert mx.example > /dev/null
	mkcert -f mx.example > /dev/null
	csrgen mx.example > r.csr
	sign root r.csr c.pem
	before=$(state)
	for command in '--ca root.pem install mx.example c.pem' 'rollback mx.example' 'rename mx.example b.example'; do
		# shellcheck disable=SC2086
		run -2 full_disk $command
		[[ "$output" == *'File too large' ]] || { echo "$command: $output"; false; }
		[ "$(state)" = "$before" ]
	done
	[ "$(ls "$MTATLS_DIR/certs")" = mx.example ]
}

@test "check: a CA below another is no server, and no fault" {
	mkcert --ca Root > /dev/null
	mkcert --ca --signer Root Sub > /dev/null
	run -0 certstore check Root Sub
	[[ "$output" == *'Sub: ok: valid until '* ]]
	certstore export Root > root.pem
	run -0 certstore --ca root.pem check Sub
}

@test "a PKCS #12 file, and a line of members that is too long, are told as what they are" {
	mkcert mx.example > /dev/null
	echo secret > pass
	"$BIN/p12export" -d "$MTATLS_DIR" --pass-file pass -o mx.p12 mx.example
	run -2 --separate-stderr certstore install mx.example mx.p12
	[ "$stderr" = 'certstore: mx.p12: PKCS #12, which p12import takes' ]
	echo 'mx.example a b' > members
	run -2 --separate-stderr certstore check --hosts members
	[[ "$stderr" == 'certstore: members:1: mx.example: expected at most 1 value, found 2'* ]]
}

@test "many at once: installs and roll-backs leave a whole identity" {
	ca root
	mkcert mx.example > /dev/null
	csrgen mx.example > r.csr
	sign root r.csr a.pem
	sign root r.csr b.pem
	for i in 1 2 3 4 5 6; do
		certstore --ca root.pem install mx.example a.pem > out.a$i 2>&1 &
		certstore --ca root.pem install mx.example b.pem > out.b$i 2>&1 &
		certstore rollback mx.example > out.c$i 2>&1 &
	done
	wait
	run grep -hv '^/\|installed already\|another process changed it\|no version before' out.*
	[ "$status" -eq 1 ] || { echo "$output"; return 1; }
	[ "$(openssl pkey -in "$(at mx.example)/key.pem" -pubout)" = "$(openssl x509 -in "$(at mx.example)/cert.pem" -noout -pubkey)" ]
	[ "$(find "$MTATLS_DIR/certs/.versions/mx.example" -mindepth 1 -maxdepth 1 | wc -l)" -le 2 ]
}

@test "the man page's EXAMPLES" {
	ca root
	mkcert mx1.example.org > /dev/null
	csrgen mx1.example.org > r.csr
	sign root r.csr mx1.pem
	openssl crl2pkcs7 -nocrl -certfile root.pem -out intermediates.p7b
	openssl req -new -newkey rsa:2048 -nodes -keyout privkey.pem -subj /CN=mx1.example.org -addext \
	    subjectAltName=DNS:mx1.example.org,DNS:mx2.example.org -out a.csr 2>/dev/null
	sign root a.csr fullchain.pem
	# The other machine is this one, the relay a shell that waits for its signal.
	mkdir path
	printf '#!/bin/sh\nshift\nexec "$@"\n' > path/ssh
	chmod +x path/ssh
	mkfifo forever
	bash -c 'trap "echo hup > got; exit" HUP; echo $$ > relay.pid; read -r < forever' 3>&- &
	relay=$!
	until [ -s relay.pid ]; do :; done
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/certstore.1" |
	    sed -n '/^\.Bd/,/^\.Ed/{/^\./!p}' | sed "s,/run/smtp-relay.pid,relay.pid," > examples
	[ "$(wc -l < examples)" -eq 10 ]
	while read -r line; do
		run -0 bash -c "PATH=path:\$BIN:\$PATH; $line" < /dev/null
	done < examples
	wait "$relay" || true
	[[ "$output" == 'mx1.example.org: note: unknown-ca: '*'mx2.example.org: covered by mx1.example.org' ]]
	[ "$(cat got)" = hup ]
	[ "$(grep -c PRIVATE mx1-all.pem)" = 2 ]
	openssl x509 -in mx1-all.pem -noout -ext subjectAltName | grep -q mx2.example.org
}

@test "install: only a missing system bundle is passed over" {
	mkcert -o own.pem own.example > /dev/null
	MTATLS_SYSTEM_CA=$PWD/none
	run -0 --separate-stderr certstore -k own.pem install own.example own.pem
	[[ "$stderr" == *'warning: the chain was not verified: '*'none: No such file'* ]]
	certstore remove own.example
	mkdir -p "$MTATLS_DIR/ca/state"
	run -2 --separate-stderr certstore -k own.pem install own.example own.pem
	[[ "$stderr" == *'ca/state: Is a directory' ]]
	[ ! -e "$MTATLS_DIR/certs/own.example" ]
	run -2 --separate-stderr certstore -k - install own.example - < own.pem
	[[ "$stderr" == *'only one file can be standard input'* ]]
}
