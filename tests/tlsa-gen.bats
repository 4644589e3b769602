#!/usr/bin/env bats
# tlsa-gen against openssl's digests, ldns' zone reader, and input that nobody should send.

bats_require_minimum_version 1.5.0

setup() {
	# bats has files of its own beside.
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state"
}

tlsa() { "$BIN/tlsa-gen" "$@"; }

identity() { "$BIN/mkcert" "$@" > made; }

# What openssl says the data of a record is: cert selector matching-type.
data() {
	if [ "$2" = 0 ]; then
		openssl x509 -in "$1" -outform DER
	else
		openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER
	fi | case $3 in
		0) cat ;;
		1) openssl dgst -sha256 -binary ;;
		2) openssl dgst -sha512 -binary ;;
	esac | od -An -v -tx1 | tr -d ' \n'
}

usage_error() {
	run -2 --separate-stderr tlsa "$@"
	[ -z "$output" ]
	[[ "$stderr" == tlsa-gen:*$'\nusage: tlsa-gen '*$'\ntry -h for the options' ]]
	[ "${#stderr_lines[@]}" -eq 8 ]
}

refused() {
	local why=$1
	shift
	run -2 --separate-stderr tlsa "$@"
	[ -z "$output" ]
	[[ "$stderr" == "tlsa-gen: "*"$why"* ]] || { echo "$stderr"; false; }
	[ "${#stderr_lines[@]}" -eq 1 ]
}

# A CA, an intermediate and a leaf made by openssl: leaf.pem, int.pem, ca.pem, chain.pem.
chain() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
	    -subj '/CN=Root' -days 30 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout int.key -out int.csr \
	    -subj '/CN=Intermediate' 2>/dev/null
	openssl x509 -req -in int.csr -CA ca.pem -CAkey ca.key -days 30 -out int.pem \
	    -extfile <(echo 'basicConstraints=critical,CA:TRUE') 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr \
	    -subj '/CN=mx.example' -addext 'subjectAltName=DNS:mx.example,DNS:mx2.example' 2>/dev/null
	openssl x509 -req -in leaf.csr -CA int.pem -CAkey int.key -days 30 -out leaf.pem \
	    -extfile <(echo 'subjectAltName=DNS:mx.example,DNS:mx2.example') 2>/dev/null
	cat leaf.pem int.pem > chain.pem
}

@test "-h and -V" {
	run -0 --separate-stderr tlsa -h
	[[ "$output" == 'usage: tlsa-gen '* ]]
	[ -z "$stderr" ]
	for option in --dir --input --json --matching --port --selector --usage --generic --nsupdate \
	    --owner --proto --rdata --ttl --connect --starttls --check-published --safe-to-deploy --since --update \
	    --add --key --zone --server --anchor --resolver --root-hints --timeout; do
		[[ "$output" == *"$option"* ]] || { echo "$option"; false; }
	done
	run -0 --separate-stderr tlsa --version
	[[ "$output" =~ ^tlsa-gen\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	usage_error
	usage_error -Z name
	usage_error --no-such name
	usage_error -u
	usage_error one two
	usage_error -i file name
	usage_error --rdata -j name
	usage_error --generic --nsupdate name
	usage_error --connect mx@25 name
	usage_error --starttls smtp name
	usage_error --next --connect mx@25
	usage_error --check-published --update name
	usage_error --check-published --rdata name
	usage_error --update --nsupdate name
	usage_error --safe-to-deploy file name
	usage_error --since 2026-01-01 name
	usage_error --key file name
	usage_error --add name
	usage_error --zone x name
	usage_error --server x name
	usage_error --update --server x --server y name
}

@test "the record of an identity" {
	identity -a mx2.example -a 192.0.2.1 mx.example
	c=$MTATLS_DIR/certs/mx.example/cert.pem
	run -0 --separate-stderr tlsa mx.example
	[ -z "$stderr" ]
	[ "$output" = "_25._tcp.mx.example. IN TLSA 3 1 1 $(data "$c" 1 1)
_25._tcp.mx2.example. IN TLSA 3 1 1 $(data "$c" 1 1)" ]
	run -0 tlsa --rdata mx.example
	[ "$output" = "3 1 1 $(data "$c" 1 1)" ]
	run -0 tlsa -d "$MTATLS_DIR" -p 26 --proto udp --ttl 1h --owner Other.Example. mx.example
	[ "$output" = "_26._udp.other.example. 3600 IN TLSA 3 1 1 $(data "$c" 1 1)" ]
}

@test "an identity is found under the name that mkcert was given" {
	for name in bücher.example MX1.Example.org mx2.example. '*.example.net'; do
		identity "$name"
		run -0 --separate-stderr tlsa --rdata "$name"
		[[ "$output" =~ ^3\ 1\ 1\ [0-9a-f]{64}$ ]]
		[ -z "$stderr" ]
	done
	run -0 tlsa BÜCHER.Example.
	[[ "$output" == '_25._tcp.xn--bcher-kva.example. IN TLSA '* ]]
	identity 2001:DB8::25
	run -0 tlsa --rdata 2001:DB8:0::25
	identity -n MX1.Example.org other.example
	run -0 tlsa MX1.Example.org
	[[ "$output" == '_25._tcp.other.example. '* ]]
	refused 'no identity "Mx3.example." in '"$MTATLS_DIR/certs" Mx3.example.
	refused 'no identity "*.example.com" in '"$MTATLS_DIR/certs" '*.example.com'
}

@test "each usage, selector and matching type against openssl" {
	identity --as-ca mx.example
	c=$MTATLS_DIR/certs/mx.example/cert.pem
	for u in 0 1 2 3; do
		for s in 0 1; do
			for m in 0 1 2; do
				run -0 --separate-stderr tlsa --rdata -u $u -s $s -m $m -i "$c"
				[ "$output" = "$u $s $m $(data "$c" $s $m)" ]
			done
		done
	done
	run -0 --separate-stderr tlsa --rdata -u dane-ee -s SPKI -m SHA2-256 mx.example
	[ "$output" = "3 1 1 $(data "$c" 1 1)" ]
}

@test "each type of key against openssl" {
	for type in ec:p256 ec:p384 rsa:2048 ed25519; do
		identity -t $type -n id-$type mx.example
		run -0 tlsa --rdata id-$type
		[ "$output" = "3 1 1 $(data "$MTATLS_DIR/certs/id-$type/cert.pem" 1 1)" ]
	done
}

@test "what ldns reads from the zone lines is what openssl says" {
	identity mx.example
	d=$(data "$MTATLS_DIR/certs/mx.example/cert.pem" 1 1)
	for form in --generic --ttl=3600; do
		{
			echo 'example. 3600 IN SOA ns.example. root.example. 1 2 3 4 5'
			tlsa $form mx.example
		} > zone
		ldns-read-zone zone > out
		[ "$(grep -c "^_25._tcp.mx.example.	3600	IN	TLSA	3 1 1 $d" out)" -eq 1 ] || { cat out; false; }
	done
	run -0 tlsa --generic mx.example
	[ "$output" = "_25._tcp.mx.example. IN TYPE52 \\# 35 030101$d" ]
}

@test "--nsupdate" {
	identity mx.example
	d=$(data "$MTATLS_DIR/certs/mx.example/cert.pem" 1 1)
	run -0 tlsa --nsupdate mx.example
	[ "$output" = "update add _25._tcp.mx.example. 3600 IN TLSA 3 1 1 $d
send" ]
	run -0 tlsa --nsupdate --zone mx.example --server ns.example@5353 mx.example
	[ "$output" = "server ns.example 5353
zone mx.example
update add _25._tcp.mx.example. 3600 IN TLSA 3 1 1 $d
send" ]
	run -0 tlsa --nsupdate --ttl 5m --owner '*._tcp.mx.example' mx.example
	[ "$output" = "update add *._tcp.mx.example. 300 IN TLSA 3 1 1 $d
send" ]
}

@test "several usages, selectors and matching types make a record each" {
	chain
	run -0 --separate-stderr tlsa --rdata -u 3 -u 2 -s 1 -s 0 -s SPKI -m 1 -m 2 -i chain.pem
	want=
	for u in 3 2; do
		c=leaf.pem
		[ $u = 3 ] || c=int.pem
		for s in 1 0; do for m in 1 2; do want+="$u $s $m $(data $c $s $m)"$'\n'; done; done
	done
	[ "$output" = "${want%$'\n'}" ]
	# SHA2-256 is there, so that SHA2-512 is not alone; what is true of several records is said once.
	[[ "$stderr" != *'SHA2-512 alone'* ]]
	[ "$(grep -c '3 0 x changes with each certificate' <<< "$stderr")" -eq 1 ]
	[ "$(grep -c "2 1 x is about a CA's key alone" <<< "$stderr")" -eq 1 ]
	run -0 --separate-stderr tlsa -j -u 3 -s 0 -m 2 --owner mx.example -i leaf.pem
	[ "$(jq -r '.warnings[]' <<< "$output" | cut -c 1-14)" = $'SHA2-512 alone\n3 0 x changes ' ]
	[ "$(grep -c . <<< "$stderr")" -eq 2 ]
}

@test "-j" {
	identity -a mx2.example mx.example
	d=$(data "$MTATLS_DIR/certs/mx.example/cert.pem" 1 1)
	run -0 tlsa -j --ttl 60 mx.example
	want='"ttl":60,"usage":3,"selector":1,"matching":1,"data":"'$d'","rdata":"3 1 1 '$d'","of":"current","warnings":[]}'
	[ "$output" = '{"owner":"_25._tcp.mx.example.",'"$want
"'{"owner":"_25._tcp.mx2.example.",'"$want" ]
}

@test "-i: each form of input gives the same record" {
	chain
	d=$(data leaf.pem 1 1)
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	openssl req -in leaf.csr -outform DER -out leaf.csr.der
	openssl pkey -in leaf.key -pubout -out leaf.pub
	openssl pkey -in leaf.key -pubout -outform DER -out leaf.pub.der
	openssl pkey -in leaf.key -outform DER -out leaf.key.der
	openssl ec -in leaf.key -out leaf.sec1 2>/dev/null
	cat leaf.key chain.pem > all.pem
	sed 's/$/\r/' leaf.pem > crlf.pem
	{ printf '\xef\xbb\xbf'; openssl x509 -in leaf.pem -text; } | head -c -1 > text.pem
	for f in leaf.pem leaf.der chain.pem all.pem crlf.pem text.pem leaf.csr leaf.csr.der; do
		run -0 --separate-stderr tlsa -i $f
		[ "$output" = "_25._tcp.mx.example. IN TLSA 3 1 1 $d
_25._tcp.mx2.example. IN TLSA 3 1 1 $d" ] || { echo "$f: $output $stderr"; false; }
		[ -z "$stderr" ]
	done
	for f in leaf.pub leaf.pub.der leaf.key leaf.key.der leaf.sec1; do
		run -0 --separate-stderr tlsa --owner mx.example -i $f
		[ "$output" = "_25._tcp.mx.example. IN TLSA 3 1 1 $d" ] || { echo "$f: $output $stderr"; false; }
		refused "$f: no host name in it" -i $f
		refused "$f: selector 0 is about a certificate" -s 0 --rdata -i $f
	done
	run -0 --separate-stderr tlsa --rdata -i - < leaf.der
	[ "$output" = "3 1 1 $d" ]
}

@test "a common name stands in where there is no dNSName" {
	key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem)
	for subject in /CN=mx.example /O=x/CN=mx.example; do
		openssl req "${key[@]}" -subj "$subject" -out plain.csr 2>/dev/null
		openssl req -x509 "${key[@]}" -subj "$subject" -out plain.pem 2>/dev/null
		openssl req -x509 "${key[@]}" -subj "$subject" -addext 'subjectAltName=IP:192.0.2.1' \
		    -out address.pem 2>/dev/null
		for f in plain.csr plain.pem address.pem; do
			run -0 --separate-stderr tlsa -i $f
			[[ "$output" == '_25._tcp.mx.example. IN TLSA 3 1 1 '* ]]
			[ "${#lines[@]}" -eq 1 ]
			[ -z "$stderr" ]
		done
	done
	openssl req -x509 "${key[@]}" -subj /CN=mx.example -addext 'subjectAltName=DNS:mx2.example' -out san.pem \
	    2>/dev/null
	run -0 tlsa -i san.pem
	[[ "$output" == '_25._tcp.mx2.example. IN TLSA '* ]]
	[ "${#lines[@]}" -eq 1 ]
	for cn in Root 'Example CA' 192.0.2.1 'mx.example. IN A 192.0.2.1'; do
		openssl req "${key[@]}" -subj "/CN=$cn" -out odd.csr 2>/dev/null
		refused 'odd.csr: no host name in it to publish a record for; --owner names the host' -i odd.csr
	done
	openssl req -x509 "${key[@]}" -subj /CN=mx.example -addext 'subjectAltName=DNS:a b' -out odd.pem 2>/dev/null
	run -2 --separate-stderr tlsa -i odd.pem
	[[ "$stderr" == *'1 names that are no host names left out'*'--owner names the host' ]]
}

@test "usage 2 is about the last certificate of the chain" {
	chain
	run -0 --separate-stderr tlsa --rdata -u 2 -s 0 -m 1 -i chain.pem
	[ "$output" = "2 0 1 $(data int.pem 0 1)" ]
	[ -z "$stderr" ]
	cat leaf.pem int.pem ca.pem > full.pem
	run -0 --separate-stderr tlsa --rdata -u 2 -s 1 -m 1 -i full.pem
	[ "$output" = "2 1 1 $(data ca.pem 1 1)" ]
	[ "$stderr" = "tlsa-gen: full.pem: a digest of a CA only matches if the server sends the CA's \
certificate in its chain (RFC 7671 5.2.2)
tlsa-gen: full.pem: 2 1 x is about a CA's key alone: the limits in the CA's certificate, such as its path length, \
bind nobody; 2 0 x is about all of it" ]
	run -0 --separate-stderr tlsa --rdata -u 2 -s 0 -m 0 -i full.pem
	[ "$output" = "2 0 0 $(data ca.pem 0 0)" ]
	[ -z "$stderr" ]
	cat int.pem leaf.pem > shuffled.pem
	refused 'shuffled.pem: usage 2 is about a CA that issued the certificate, and the last of the chain is none' \
	    -u 2 -i shuffled.pem
}

@test "usage 2 where no CA is known to have issued the certificate" {
	chain
	openssl pkey -in leaf.key -pubout -out leaf.pub
	refused 'leaf.pem: usage 2 is about a CA that issued the certificate, and the only one here is no CA' \
	    -u 2 --owner mx.example -i leaf.pem
	for f in leaf.csr leaf.key leaf.pub; do
		refused "$f: usage 2 is about a CA that issued the certificate, and there is only a key here" \
		    -u 2 --owner mx.example -i $f
	done
	for option in '' --as-ca; do
		identity -f ${option:+"$option"} mx.example
		for u in 0 2; do
			refused "mx.example: usage $u is about a CA that issued the certificate, and the identity has \
none in its chain; a self-signed certificate is published with usage 3" -u $u mx.example
		done
		refused 'usage 2 is about a CA' -u 2 --rdata --owner mx.example mx.example
	done
	run -0 --separate-stderr tlsa -u 2 -s 0 --owner mx.example -i ca.pem
	[ "$output" = "_25._tcp.mx.example. IN TLSA 2 0 1 $(data ca.pem 0 1)" ]
	refused 'ca.pem: usage 2 is about a CA that issued the certificate, and is alone here: --owner names the hosts' \
	    -u 2 -i ca.pem
	# An identity that was given its chain.
	folder=$MTATLS_DIR/certs/mx.example
	cp leaf.pem "$folder/cert.pem"
	cp int.pem "$folder/chain.pem"
	run -0 tlsa --rdata -u 2 -s 0 mx.example
	[ "$output" = "2 0 1 $(data int.pem 0 1)" ]
}

@test "warnings do not change the answer" {
	identity mx.example
	run -0 --separate-stderr tlsa -u 1 mx.example
	[[ "$output" == '_25._tcp.mx.example. IN TLSA 1 1 1 '* ]]
	[[ "$stderr" == *'usage 1 is not used with SMTP (RFC 7672 3.1.3)'* ]]
	run -0 --separate-stderr tlsa -m 2 mx.example
	[[ "$output" == '_25._tcp.mx.example. IN TLSA 3 1 2 '* ]]
	[[ "$stderr" == *'SHA2-512 alone'* ]]
	"$BIN/mkcert" --demo demo.example > made 2> said
	run -0 --separate-stderr tlsa demo.example
	[ "$stderr" = 'tlsa-gen: demo.example: a demonstration certificate: for trials only' ]
}

@test "wildcards get no record by themselves" {
	identity -a mx.example.org '*.example.com'
	run -0 --separate-stderr tlsa _wildcard.example.com
	[[ "$output" == '_25._tcp.mx.example.org. IN TLSA 3 1 1 '* ]]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$stderr" == *'*.example.com: a wildcard cannot stand behind _25._tcp'* ]]
	[[ "$stderr" != *'*.example.com: *.example.com:'* ]]
	identity '*.example.net'
	run -2 --separate-stderr tlsa _wildcard.example.net
	[ -z "$output" ]
	[[ "$stderr" == *'no host name in it to publish a record for; --owner names the host' ]]
	run -0 --separate-stderr tlsa --owner a.example.net --owner b.example.net --owner A.example.net \
	    _wildcard.example.net
	[ "${#lines[@]}" -eq 2 ]
	[ -z "$stderr" ]
}

@test "a hostile certificate's names stay out of the zone" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -days 3 \
	    -subj /CN=x -out evil.pem -config <(printf '%s\n' '[req]' 'distinguished_name=dn' '[dn]') \
	    -addext 'subjectAltName=DNS:mx.example,DNS:a b. IN A 192.0.2.1,DNS:x;INCLUDE y,DNS:../z' \
	    2>/dev/null
	run -0 --separate-stderr tlsa -i evil.pem
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == '_25._tcp.mx.example. IN TLSA 3 1 1 '* ]]
	[[ "$stderr" == *'not a host name'*'names that are no host names left out'* ]]
}

@test "what cannot be read is named" {
	refused 'no identity "mx.example" in '"$MTATLS_DIR/certs" mx.example
	refused '"../x" cannot be the name of an identity' ../x
	refused 'none.pem: No such file or directory' -i none.pem
	identity mx.example
	rm "$MTATLS_DIR/certs/mx.example/cert.pem"
	refused '/mx.example/1/cert.pem: No such file or directory' mx.example
	mkdir folder
	refused 'folder: Is a directory' -i folder
}

@test "hostile, truncated and oversize input" {
	chain
	: > empty
	refused 'empty: empty' -i empty
	echo hello > text
	refused 'text: neither PEM nor DER' -i text
	head -c 200 leaf.pem > cut.pem
	refused 'cut.pem: line 4: no -----END CERTIFICATE----- before the end' -i cut.pem
	openssl x509 -in leaf.pem -outform DER | head -c 200 > cut.der
	refused 'cut.der: neither PEM nor one whole DER' -i cut.der
	{ openssl x509 -in leaf.pem -outform DER; echo; } > long.der
	refused 'long.der: neither PEM nor one whole DER' -i long.der
	printf '\x30\x84\xff\xff\xff\xff' > giant.der
	refused 'giant.der: neither PEM nor one whole DER' -i giant.der
	head -c 4194305 /dev/zero > large
	refused 'large: larger than 4194304 bytes' -i large
	{ cat leaf.pem; sed 's/^MII./!!!!/' int.pem; } > damaged.pem
	refused "damaged.pem: line $(($(wc -l < leaf.pem) + 2)): expected base64" -i damaged.pem
	printf -- '-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n' > wrong.pem
	refused 'wrong.pem: line 1: expected a certificate' -i wrong.pem
	printf -- '-----BEGIN DH PARAMETERS-----\nMAMCAQA=\n-----END DH PARAMETERS-----\n' > other.pem
	refused 'other.pem: neither a certificate, a request nor a key in it' -i other.pem
	openssl pkey -in leaf.key -aes256 -passout pass:x -out sealed.pem
	refused 'sealed.pem: line 1: the private key is encrypted' --owner mx -i sealed.pem
}

# A cut and a flip at every thirteenth octet: an answer or a refusal, never anything else.
@test "cut and flipped certificates end in 0 or 2" {
	chain
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	size=$(stat -c %s leaf.der)
	# (run has a variable i of its own.)
	for at in $(seq 1 13 $((size - 1))); do
		head -c "$at" leaf.der > part
		run -2 tlsa --rdata -i part
		{ head -c $((at - 1)) leaf.der; printf '\xff'; tail -c +$((at + 1)) leaf.der; } > flip
		run tlsa --rdata -i flip
		[ "$status" -eq 0 ] || [ "$status" -eq 2 ] || { echo "$at: $status $output"; false; }
	done
}

@test "numbers and words out of range" {
	identity mx.example
	refused 'TLSA usage 4 is not defined' -u 4 mx.example
	refused 'TLSA usage: expected 0 to 255 or a name such as DANE-EE' -u EE mx.example
	refused 'TLSA selector 2 is not defined' -s 2 mx.example
	refused 'TLSA matching type 3 is not defined' -m 3 mx.example
	refused 'port: 0 is not within 1..65535' -p 0 mx.example
	refused 'port: expected a number' -p smtp mx.example
	refused '--proto: expected tcp, udp or sctp' --proto quic mx.example
	refused '--ttl: expected a time such as 30s' --ttl x mx.example
	refused '--ttl: at most 2147483647 seconds' --ttl 2147483648 mx.example
	refused 'not a host name' --owner 'a b' mx.example
	refused '--connect: ' --connect mx.example
	refused '--connect: a b: not a host name' --connect 'a b@25'
	refused '--connect: ' --connect mx.example@0
	refused '--connect: ' --connect mx.example:smtp
	refused '--starttls: expected smtp or none' --connect mx.example@25 --starttls imap
	refused '--since: ' --safe-to-deploy x --since yesterday
	refused '--server: ' --check-published --server 'x y' mx.example
	refused 'timeout: expected 1s to 1h' -t 0 mx.example
	refused 'none: No such file or directory' --check-published --anchor none mx.example
	refused 'resolver x: expected an IP address' --check-published --resolver x mx.example
	refused 'not a host name' --owner '' mx.example
}

@test "a full standard output is an error" {
	identity mx.example
	run -2 --separate-stderr bash -c '"$BIN"/tlsa-gen mx.example > /dev/full'
	[ "$stderr" = 'tlsa-gen: standard output: No space left on device' ]
}

@test "--next: the next key's records behind the current ones" {
	identity -a mx2.example mx.example
	run -2 --separate-stderr "$BIN/tlsa-gen" --next mx.example
	[ "$stderr" = 'tlsa-gen: mx.example: no next key: `csrgen --next` makes it' ]
	"$BIN/csrgen" --next -o n.csr mx.example 2> /dev/null
	"$BIN/tlsa-gen" mx.example > want
	"$BIN/tlsa-gen" -i n.csr --owner mx.example --owner mx2.example >> want
	"$BIN/tlsa-gen" --next mx.example | diff - want
	run -0 --separate-stderr "$BIN/tlsa-gen" --next --rdata -m 0 mx.example
	[ "${#lines[@]}" -eq 2 ]
	[ "${lines[1]}" = "$("$BIN/tlsa-gen" --rdata -m 0 -i n.csr)" ]
	[ "$("$BIN/tlsa-gen" --next -j mx.example | grep -c '"owner"')" -eq 4 ]
	for wrong in '--next -i n.csr' '--next -s 0 mx.example' '--next -u 2 mx.example'; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr "$BIN/tlsa-gen" $wrong
		[[ "$stderr" == 'tlsa-gen: --next is for '* ]]
	done
	"$BIN/csrgen" wait.example > /dev/null 2>&1
	run -2 --separate-stderr "$BIN/tlsa-gen" --next wait.example
	[ "$stderr" = 'tlsa-gen: wait.example: no certificate yet, so that there is no current record' ]
}

@test "an identity that may not be looked at is not called missing" {
	[ "$(id -u)" -eq 0 ] || skip 'needs root, to be somebody else'
	local dir
	dir=$(mktemp -d)
	"$BIN/mkcert" -d "$dir/state" mx.example > /dev/null
	cp "$BIN/tlsa-gen" "$dir"
	chmod 755 "$dir"
	chmod 700 "$dir/state"
	run -2 --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/tlsa-gen" -d "$dir/state" mx.example
	rm -rf "$dir"
	[ "$stderr" = "tlsa-gen: $dir/state/certs/mx.example: Permission denied" ] || { echo "$stderr"; false; }
}
