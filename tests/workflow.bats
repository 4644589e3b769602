#!/usr/bin/env bats
# The ways of a certificate from end to end, program behind program, as the manual pages tell them.
# shellcheck disable=SC2034 # for lab/relay.bash

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	export MTATLS_DIR=$RELAY/etc MTATLS_SYSTEM_CA=$RELAY/system.pem
	: > system.pem
	unset SSL_CERT_FILE OPENSSL_CONF
}

teardown()
{
	relay_end
}

at() { echo "$MTATLS_DIR/certs/$1"; }
hex() { openssl "$1" -in "$2" -noout "-$3" | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1; }
shown() { openssl s_client -connect "127.0.0.1:$RELAY_PORT" -starttls smtp -showcerts < /dev/null 2> /dev/null; }
# N: the relay has read its certificates for the Nth time.
hup()
{
	kill -HUP "$RELAY_PID"
	relay_await 10 relay_log_has "$1" 'master reloaded'
}

@test "1: self-signed, as PKCS #12 into another store" {
	mkcert -a mx2.example.org --org Example mx1.example.org
	openssl rand -base64 24 > pass
	p12export --pass-file pass -o mx1.p12 mx1.example.org
	openssl pkcs12 -in mx1.p12 -passin file:pass -nodes -out judged.pem
	[ "$(openssl x509 -in judged.pem)" = "$(cat "$(at mx1.example.org)/cert.pem")" ]
	p12import -d other --pass-file pass mx1.p12
	for file in key.pem cert.pem; do cmp "$(at mx1.example.org)/$file" other/certs/mx1.example.org/$file; done
	[ "$(ls other/certs/mx1.example.org/)" = "$(ls "$(at mx1.example.org)/")" ]
	diff <(certstore list) <(certstore -d other list)
	diff <(certstore show mx1.example.org | grep -v ^path) <(certstore -d other show mx1.example.org | grep -v ^path)
	run -0 --separate-stderr certstore -d other check
	[[ "$output" == 'mx1.example.org: ok: valid until '* ]]
	[ -z "$stderr" ]
}

# What both CAs' certificates go through: install, SIGHUP, roll-back.  $1: the file with the CA, then the files.
takes_over()
{
	local root=$1 self
	shift
	self=$(cat "$(at mx1.example.org)/cert.pem")
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred cert mx1.example.org domains relay.example"
	relay_start
	[ "$(shown | openssl x509)" = "$self" ]
	certstore --ca "$root" install mx1.example.org "$@"
	[ "$(shown | openssl x509)" = "$self" ]
	hup 1
	[ "$(shown | openssl x509)" = "$(cat "$(at mx1.example.org)/cert.pem")" ]
	[ "$(shown | openssl x509)" != "$self" ]
	openssl s_client -connect "127.0.0.1:$RELAY_PORT" -starttls smtp -CAfile "$root" -verify_return_error \
	    -verify_hostname mx2.example.org < /dev/null
	castore --ca "$root" --host mx1.example.org verify <(certstore export mx1.example.org)
	certtool --verify --load-ca-certificate "$root" --verify-hostname mx1.example.org < <(certstore export mx1.example.org)
	certstore --ca "$root" check mx1.example.org
	certstore rollback mx1.example.org
	hup 2
	[ "$(shown | openssl x509)" = "$self" ]
}

@test "2: signed by a CA of ours, intermediates in the wrong order and more than needed" {
	mkcert -a mx2.example.org --org Example --unit Mail --locality Berlin --state Berlin --country DE mx1.example.org
	csrgen mx1.example.org > mx1.csr
	mkcert -d ca --ca --pathlen 2 'Example Root'
	mkcert -d ca --ca --signer 'Example Root' 'Example Middle'
	mkcert -d ca --ca --pathlen 0 --signer 'Example Middle' 'Example Issuing'
	mkcert -d ca --ca 'A Stranger'
	mkcert -d ca --sign mx1.csr --signer 'Example Issuing' > answer.pem
	# As some CAs send it: the root first, and what belongs to others.
	for ca in 'Example Root' 'A Stranger' 'Example Middle' 'Example Issuing'; do
		cat "ca/certs/$ca/cert.pem"
	done > bundle.pem
	openssl x509 -in answer.pem -out leaf.pem
	cp "ca/certs/Example Root/cert.pem" root.pem
	takes_over root.pem bundle.pem leaf.pem
	certstore rollback mx1.example.org
	cat "ca/certs/Example Issuing/cert.pem" "ca/certs/Example Middle/cert.pem" | cmp - "$(at mx1.example.org)/chain.pem"
	[ "$(openssl x509 -in "$(at mx1.example.org)/cert.pem" -noout -subject -nameopt sep_comma_plus)" = \
	    "subject=C=DE,ST=Berlin,L=Berlin,O=Example,OU=Mail,CN=mx1.example.org" ]
}

@test "2: signed by a CA of the openssl program" {
	mkcert -t rsa:2048 -a mx2.example.org mx1.example.org
	csrgen mx1.example.org > mx1.csr
	printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' > ca.ext
	openssl req -x509 -newkey rsa:2048 -nodes -subj '/O=Example/CN=Root' -days 90 -keyout root.key -out root.pem \
	    -addext keyUsage=critical,keyCertSign 2> /dev/null
	openssl req -newkey rsa:2048 -nodes -subj '/O=Example/CN=Issuing' -keyout issuing.key -out issuing.csr 2> /dev/null
	openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -days 90 -extfile ca.ext -out issuing.pem
	openssl x509 -req -in mx1.csr -CA issuing.pem -CAkey issuing.key -days 60 -copy_extensions copy -out leaf.pem
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	openssl crl2pkcs7 -nocrl -certfile root.pem -certfile issuing.pem -out chain.p7b
	takes_over root.pem chain.p7b leaf.der
}

@test "3: another key, published before it is used" {
	mkcert -d ca --ca 'Example CA'
	mkcert mx1.example.org
	current=$(hex x509 "$(at mx1.example.org)/cert.pem" pubkey)
	csrgen --next -o next.csr mx1.example.org
	next=$(hex req next.csr pubkey)
	run -0 --separate-stderr tlsa-gen --next mx1.example.org
	[ "$output" = "_25._tcp.mx1.example.org. IN TLSA 3 1 1 $current
_25._tcp.mx1.example.org. IN TLSA 3 1 1 $next" ]
	run -0 tlsa-gen --next --nsupdate mx1.example.org
	[ "${#lines[@]}" -eq 3 ]
	[ "${lines[2]}" = send ]
	mkcert -d ca --sign next.csr --signer 'Example CA' > answer.pem
	run -0 --separate-stderr certstore --ca 'ca/certs/Example CA/cert.pem' install mx1.example.org answer.pem
	[ "$stderr" = 'certstore: mx1.example.org: its next key is the current one now' ]
	run -0 tlsa-gen --rdata mx1.example.org
	[ "$output" = "3 1 1 $next" ]
	run -2 --separate-stderr tlsa-gen --next mx1.example.org
	[ "$stderr" = 'tlsa-gen: mx1.example.org: no next key: `csrgen --next` makes it' ]
	certstore rollback mx1.example.org
	run -0 tlsa-gen --rdata mx1.example.org
	[ "$output" = "3 1 1 $current" ]
}

@test "4: a cluster under a wildcard and a certificate of many names" {
	mkcert '*.mail.example.org'
	mkcert -a mx2.example.org -a mx3.example.org mx1.example.org
	certstore list -j > mx1.json
	cp -a "$MTATLS_DIR" member
	certstore -d member remove mx1.example.org
	certstore -d member list -j > a.json
	cat > members <<-END
		# who answers for example.org
		mx1.example.org		mx1.json
		mx3.example.org
		a.mail.example.org	a.json
		b.mail.example.org
		mail.example.org
	END
	run -1 --separate-stderr certstore check --hosts members
	[ -z "$stderr" ]
	[ "$(grep -v ': ok: ' <<< "$output")" = 'mx1.example.org: covered by mx1.example.org
mx3.example.org: covered by mx1.example.org
a.mail.example.org: covered by _wildcard.mail.example.org
a.mail.example.org: lacks mx1.example.org
b.mail.example.org: covered by _wildcard.mail.example.org
mail.example.org: no identity covers this name' ]
	sed -i '/^mail/d; s/a.json/mx1.json/' members
	certstore check --hosts members
}
