#!/usr/bin/env bats
# csrgen judged from outside: by openssl, by certtool, and by what it leaves in the store.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state"
	unset SSL_CERT_FILE OPENSSL_CONF
}

csrgen() { "$BIN/csrgen" "$@"; }
mkcert() { "$BIN/mkcert" "$@"; }

at() { echo "$MTATLS_DIR/certs/$1"; }
key_of() { openssl pkey -in "$1" -pubout; }
public() { openssl req -in "$1" -noout -pubkey; }
subject() { openssl req -in "$1" -noout -subject -nameopt sep_comma_plus | sed 's/^subject=//'; }

# The value of an extension that a request asks for, on one line.
ext() {
	openssl req -in "$1" -noout -text | grep -A1 "X509v3 $2:" | tail -n +2 | sed 's/^ *//; s/ *$//'
}

usage_error() {
	run -2 --separate-stderr csrgen "$@"
	[ -z "$output" ]
	[[ "$stderr" == csrgen:*$'\nusage: csrgen '*$'\ntry -h for the options' ]] || { echo "$stderr"; false; }
	[ ! -e "$MTATLS_DIR" ]
}

# STATUS WHY ARG...: refused, and the store is as it was.
refused() {
	local want=$1 why=$2 before
	shift 2
	before=$(find . -type l -printf '%p %l\n' -o -type f -exec sha256sum {} + | sort)
	run "-$want" --separate-stderr csrgen "$@"
	[ -z "$output" ]
	[[ "$stderr" == "csrgen: "*"$why"* ]] || { echo "$stderr"; false; }
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ "$(find . -type l -printf '%p %l\n' -o -type f -exec sha256sum {} + | sort)" = "$before" ]
}

@test "-h and -V" {
	run -0 --separate-stderr csrgen -h
	[ -z "$stderr" ]
	for option in --add --dir --force --json --key --name --output --type --client --next --org --unit --locality \
	    --state --country --help --version; do
		[[ "$output" == *"$option"* ]] || { echo "$option"; false; }
	done
	run -0 csrgen --version
	[[ "$output" =~ ^csrgen\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	usage_error
	usage_error a.example b.example
	usage_error -Z a.example
	usage_error -a
	usage_error -k key.pem -t ec:p256 a.example
	usage_error -j -o - a.example
	usage_error -f a.example
}

@test "of an identity: its key, its subject, its names" {
	mkcert --org 'Öl & Co' --country DE -a mx2.example -a 2001:db8::1 mx.example > /dev/null
	run -0 --separate-stderr csrgen mx.example
	[ -z "$stderr" ]
	printf '%s\n' "$output" > r.csr
	cmp r.csr "$(at mx.example)/request.pem"
	[ "$(stat -c %a "$(at mx.example)/request.pem")" = 644 ]
	run -0 openssl req -in r.csr -noout -verify
	[[ "$output" == *'OK'* ]]
	run -0 certtool --crq-info --infile r.csr
	[[ "$output" == *'Self signature: verified'* ]]
	[ "$(public r.csr)" = "$(key_of "$(at mx.example)/key.pem")" ]
	[ "$(openssl req -in r.csr -noout -subject -nameopt utf8,sep_comma_plus)" = 'subject=C=DE,O=Öl & Co,CN=mx.example' ]
	[ "$(ext r.csr 'Subject Alternative Name')" = 'DNS:mx.example, DNS:mx2.example, IP Address:2001:DB8:0:0:0:0:0:1' ]
	[ "$(ext r.csr 'Extended Key Usage')" = 'TLS Web Server Authentication' ]
	openssl req -in r.csr -noout -text | grep -q 'Version: 1 (0x0)'
}

@test "options add to what the identity says, and replace parts of its subject" {
	mkcert --org Old --unit Mail mx.example > /dev/null
	csrgen -a mx3.example --org New --client mx.example > r.csr
	[ "$(subject r.csr)" = 'O=New,OU=Mail,CN=mx.example' ]
	[ "$(ext r.csr 'Subject Alternative Name')" = 'DNS:mx.example, DNS:mx3.example' ]
	[ "$(ext r.csr 'Extended Key Usage')" = 'TLS Web Server Authentication, TLS Web Client Authentication' ]
	csrgen -n mx.example other.example > r.csr
	[ "$(subject r.csr)" = CN=other.example ]
	[ "$(public r.csr)" = "$(key_of "$(at mx.example)/key.pem")" ]
	[ "$(ls "$MTATLS_DIR/certs")" = mx.example ]
}

@test "without an identity: a key, and an identity that waits" {
	local type
	for type in ec:p256 ec:p384 rsa:2048 ed25519; do
		run -0 --separate-stderr csrgen -t $type "${type/:/-}.example"
		[ "$stderr" = "csrgen: $(at "${type/:/-}.example"): a new key, which waits for its certificate" ]
		printf '%s\n' "$output" > r.csr
		openssl req -in r.csr -noout -verify
		certtool --crq-info --infile r.csr | grep -q 'Self signature: verified'
		[ "$(public r.csr)" = "$(key_of "$(at "${type/:/-}.example")/key.pem")" ]
		[ "$(ls "$(at "${type/:/-}.example")/")" = $'key.pem\nrequest.pem' ]
		[ "$(stat -c %a "$(at "${type/:/-}.example")/key.pem")" = 600 ]
	done
	# A second request is for the same key and says the same.
	csrgen -a b.example --org Test a.example > one.csr
	csrgen a.example > two.csr
	[ "$(public one.csr)" = "$(public two.csr)" ]
	[ "$(subject two.csr)" = 'O=Test,CN=a.example' ]
	[ "$(ext two.csr 'Subject Alternative Name')" = 'DNS:a.example, DNS:b.example' ]
	# Who needs a certificate says what is to be done.
	run -2 --separate-stderr "$BIN/tlsa-gen" a.example
	[[ "$stderr" == *'no certificate for "a.example" yet, only its request: `certstore install` takes the CA'"'s answer" ]]
}

@test "-k: a key that is there" {
	openssl genpkey -algorithm ED25519 -out k.pem
	csrgen -k k.pem a.example > r.csr
	[ "$(public r.csr)" = "$(key_of k.pem)" ]
	csrgen -k - b.example < k.pem > r.csr
	cmp "$(at b.example)/key.pem" "$(at a.example)/key.pem"
	refused 1 'a.example has a key already: --next asks for another' -k k.pem a.example
	refused 1 'a.example has a key already: --next asks for another' -t ec:p384 a.example
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.pem
	refused 1 'weak.pem: an RSA key of 1024 bits is too weak; expected at least 2048' -k weak.pem c.example
	refused 2 'none.pem: No such file or directory' -k none.pem c.example
	refused 2 'rsa:1024: too weak' -t rsa:1024 c.example
}

@test "--next: another key beside the current one, kept until -f" {
	mkcert -t rsa:2048 mx.example > /dev/null
	cp "$(at mx.example)/key.pem" key.pem
	cp "$(at mx.example)/cert.pem" cert.pem
	run -0 --separate-stderr csrgen --next mx.example
	[ "$stderr" = "csrgen: $(at mx.example): a next key is kept beside the current one" ]
	printf '%s\n' "$output" > n.csr
	cmp n.csr "$(at mx.example)/next-request.pem"
	[ "$(stat -c %a "$(at mx.example)/next-key.pem")" = 600 ]
	[ "$(public n.csr)" = "$(key_of "$(at mx.example)/next-key.pem")" ]
	[ "$(public n.csr)" != "$(key_of key.pem)" ]
	openssl req -in n.csr -noout -text | grep -q 'Public-Key: (2048 bit)'
	cmp key.pem "$(at mx.example)/key.pem"
	cmp cert.pem "$(at mx.example)/cert.pem"
	run -0 --separate-stderr csrgen --next -a mx2.example mx.example
	[ -z "$stderr" ]
	printf '%s\n' "$output" > n2.csr
	[ "$(public n2.csr)" = "$(public n.csr)" ]
	[ "$(ext n2.csr 'Subject Alternative Name')" = 'DNS:mx.example, DNS:mx2.example' ]
	refused 1 'mx.example: there is a next key already; -f replaces it' --next -t ec:p256 mx.example
	csrgen -f --next -t ec:p256 mx.example > n3.csr 2> /dev/null
	[ "$(public n3.csr)" != "$(public n.csr)" ]
	openssl req -in n3.csr -noout -text | grep -q 'NIST CURVE: P-256'
	# A request for the current key leaves the next one alone.
	csrgen mx.example > r.csr
	[ "$(public r.csr)" = "$(key_of key.pem)" ]
	[ "$(public n3.csr)" = "$(key_of "$(at mx.example)/next-key.pem")" ]
	# A new current key leaves it alone too, and has no use for the request of the old one.
	cp "$(at mx.example)/next-key.pem" "$(at mx.example)/next-request.pem" .
	run -0 --separate-stderr mkcert -f mx.example
	[ "${stderr_lines[0]}" = 'mkcert: mx.example: its next key and request stay' ]
	[ "${stderr_lines[1]}" = 'mkcert: mx.example: its request was for the key before, and went with it' ]
	[[ "${stderr_lines[2]}" == 'mkcert: mx.example: another key: TLSA records '* ]]
	[ "$(ls "$(at mx.example)/")" = $'cert.pem\nkey.pem\nnext-key.pem\nnext-request.pem' ]
	cmp next-key.pem "$(at mx.example)/next-key.pem"
	cmp next-request.pem "$(at mx.example)/next-request.pem"
	# The next key itself may become the current one so.
	run -0 --separate-stderr mkcert -f -k next-key.pem mx.example
	[ -z "$stderr" ]
	[ "$(ls "$(at mx.example)/")" = $'cert.pem\nkey.pem' ]
	refused 2 'no identity "no.example": --next is for one that has a key' --next no.example
}

@test "requests do not push out what roll-back goes to" {
	mkcert mx.example > /dev/null
	cp "$(at mx.example)/cert.pem" one.pem
	mkcert -f mx.example > /dev/null
	cp "$(at mx.example)/cert.pem" two.pem
	for i in 1 2 3; do csrgen mx.example; csrgen --next mx.example; done > /dev/null 2>&1
	cmp two.pem "$(at mx.example)/cert.pem"
	"$BIN/certstore" rollback mx.example
	cmp one.pem "$(at mx.example)/cert.pem"
}

@test "names: wildcard, IDN, 64 and 65 characters, none" {
	csrgen '*.example.com' > r.csr 2>/dev/null
	[ "$(ls "$MTATLS_DIR/certs")" = _wildcard.example.com ]
	[ "$(ext r.csr 'Subject Alternative Name')" = 'DNS:*.example.com' ]
	csrgen '*.example.com' > again.csr
	[ "$(public again.csr)" = "$(public r.csr)" ]
	csrgen Bücher.Example > r.csr 2>/dev/null
	[ "$(ext r.csr 'Subject Alternative Name')" = DNS:xn--bcher-kva.example ]
	label=abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrst
	csrgen $label.example > r.csr 2>/dev/null
	[ "$(subject r.csr)" = "CN=$label.example" ]
	csrgen u$label.example > r.csr 2>/dev/null
	[ -z "$(subject r.csr)" ]
	openssl req -in r.csr -noout -text | grep -q 'X509v3 Subject Alternative Name: critical'
	refused 2 'the common name is empty' ''
	refused 2 'not a host name' 'a b'
	refused 2 'there is a control character' $'mx\n.example'
	refused 2 'expected two upper-case letters' --country de a.example
	refused 2 'cannot be the name of an identity' --name=../x a.example
}

@test "-o, -j" {
	mkcert mx.example > /dev/null
	run -0 --separate-stderr csrgen -o r.csr mx.example
	[ -z "$output$stderr" ]
	cmp r.csr "$(at mx.example)/request.pem"
	[ "$(stat -c %a r.csr)" = 644 ]
	run -0 --separate-stderr csrgen -j --next -a 192.0.2.1 mx.example
	[ "${#lines[@]}" -eq 1 ]
	printf '%s\n' "$output" > r.json
	python3 - "$(at mx.example)" <<-'PY'
	import json, sys
	o = json.load(open("r.json"))
	assert list(o) == ["name", "path", "next", "new_key", "key", "dns", "ip", "request"], list(o)
	assert o["name"] == "mx.example" and o["path"] == sys.argv[1]
	assert o["next"] is True and o["new_key"] is True and o["key"] == "ec:p256"
	assert o["dns"] == ["mx.example"] and o["ip"] == ["192.0.2.1"]
	assert o["request"] == open(sys.argv[1] + "/next-request.pem").read()
	PY
	run -2 --separate-stderr bash -c '"$BIN/csrgen" mx.example > /dev/full'
	[ "$stderr" = 'csrgen: standard output: No space left on device' ]
}

@test "a demonstration certificate is warned of" {
	mkcert --demo mx.example > /dev/null 2>&1
	run -0 --separate-stderr csrgen mx.example
	[ "$stderr" = "csrgen: $(at mx.example): a demonstration certificate: for trials only" ]
}

# A file-size limit of nothing stands for the full disk.
full_disk() { (trap '' XFSZ; ulimit -f 0; "$BIN/csrgen" "$@"); }

@test "a full disk leaves the old state" {
	run -2 full_disk -d new/deep mx.example
	[[ "$output" == 'csrgen: new/deep/certs/'*': File too large' ]]
	[ -z "$(ls -A)" ]
	mkcert mx.example > /dev/null
	before=$(find state -type f -exec sha256sum {} + | sort; find state | sort)
	run -2 full_disk mx.example
	run -2 full_disk --next mx.example
	[ "$(find state -type f -exec sha256sum {} + | sort; find state | sort)" = "$before" ]
}

@test "two at once: both are done, one after the other, or one is told" {
	mkcert mx.example > /dev/null
	for i in 1 2 3 4 5 6; do
		{ rc=0; csrgen --next mx.example > out.$i 2>&1 || rc=$?; echo $rc > rc.$i; } &
	done
	wait
	grep -qx 0 rc.*
	for i in 1 2 3 4 5 6; do
		[ "$(cat rc.$i)" = 0 ] || grep -q 'another process changed it at the same time; nothing was done' out.$i
	done
	[ "$(public "$(at mx.example)/next-request.pem")" = "$(key_of "$(at mx.example)/next-key.pem")" ]
}

@test "the man page's EXAMPLES" {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/csrgen.1" |
	    sed -n '/^\.Bd/,/^\.Ed/{/^\./!p}' | sed "s,/etc/mtatls,$MTATLS_DIR,g" > examples
	[ "$(wc -l < examples)" -ge 3 ]
	while read -r line; do
		run -0 bash -c "PATH=\$BIN:\$PATH; $line"
	done < examples
	openssl req -in mx1.csr -noout -verify
	[ -e "$(at mx1.example.org)/next-key.pem" ]
}
