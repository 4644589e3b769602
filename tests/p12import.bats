#!/usr/bin/env bats
# p12import judged by what others write: openssl, certtool and keytool with each of their algorithms, and
# tests/lab/p12 for what none of them writes.

bats_require_minimum_version 1.5.0

# One key and chain for all: making them takes longer than reading them.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout rootkey.pem -out root.pem \
	    -days 30 -subj /CN=root 2>/dev/null
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout strangerkey.pem \
	    -out stranger.pem -days 30 -subj /CN=stranger 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout interkey.pem -out inter.req \
	    -subj /CN=inter 2>/dev/null
	printf 'basicConstraints=critical,CA:TRUE\n' > ca.ext
	openssl x509 -req -in inter.req -CA root.pem -CAkey rootkey.pem -CAcreateserial -days 20 -extfile ca.ext \
	    -out inter.pem 2>/dev/null
	openssl req -newkey rsa:2048 -nodes -keyout key.pem -out leaf.req -subj /CN=mx.example 2>/dev/null
	printf 'subjectAltName=DNS:mx.example,DNS:mx2.example,IP:192.0.2.1\n' > leaf.ext
	openssl x509 -req -in leaf.req -CA inter.pem -CAkey interkey.pem -CAcreateserial -days 10 -extfile leaf.ext \
	    -out leaf.pem 2>/dev/null
	cat inter.pem root.pem > chain.pem
	cat leaf.pem chain.pem > all.pem
	printf 'secret\n' > pass
	printf 'wrong\n' > wrong
	: > empty
	printf 'pass w\303\266rd \342\202\254 \360\237\230\200' > utf8
}

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	ln -s "$BATS_FILE_TMPDIR"/* .
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state"
	unset OPENSSL_CONF
}

p12import() { "$BIN/p12import" "$@"; }

# What tests/lab/p12 makes of the expression, into made.p12.
make_p12() {
	python3 "$BATS_TEST_DIRNAME/lab/p12" make "$1" > made.p12
}

# FILE PASS-FILE: key, leaf and intermediate come out of it as they are, the root does not.
is_whole() {
	p12import --pass-file "$2" -o - "$1" > out.pem 2> err || { cat err; return 1; }
	cmp <(openssl pkey -in out.pem) <(openssl pkey -in key.pem)
	cmp <(sed -n '/BEGIN CERT/,$p' out.pem) <(openssl x509 -in leaf.pem; cat inter.pem)
}

# FILE PASS-FILE TEXT: exit status 2, that text in the one line, nothing stored.
refused() {
	run -2 --separate-stderr p12import --pass-file "$2" "$1"
	[ -z "$output" ]
	[[ "$stderr" == "p12import: $1: "*"$3"* ]] || { echo "$stderr"; false; }
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ ! -e "$MTATLS_DIR" ]
}

# The same within a second of CPU and little memory (of a program built without sanitizers).
refused_at_once() {
	refused "$@"
	[[ $BIN != */asan/* ]] || return 0
	run -0 python3 - "$BIN/p12import" --pass-file "$2" "$1" <<-'END'
		import resource, subprocess, sys
		subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL, timeout=10)
		usage = resource.getrusage(resource.RUSAGE_CHILDREN)
		used, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
		print(used, memory)
		sys.exit(0 if used < 1 and memory < 65536 else 1)
	END
}

# PASS-FILE OPTION...: openssl's o.p12.
export_openssl() {
	openssl pkcs12 -export -inkey key.pem -in leaf.pem -certfile chain.pem -passout file:"$1" \
	    -out o.p12 "${@:2}" 2> openssl.log
}

@test "-h and -V" {
	run -0 --separate-stderr p12import -h
	[[ "$output" == 'usage: p12import '* ]]
	for option in --dir --force --input --json --name --output --info --show --pick --pass-env --pass-fd \
	    --pass-file; do
		[[ "$output" == *"$option"* ]] || { echo "$option"; false; }
		grep -q "^\.It Fl .*${option#-}" "$BATS_TEST_DIRNAME/../man/p12import.1" || { echo "$option"; false; }
	done
	run -0 p12import -V
	[[ "$output" =~ ^p12import\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	for args in '' '-Z a' 'a b' '-i a b' '--info --show a' '-n x -o y a' '--info -n x a' '--show -o x a' \
	    '--info --pick 1 a' '--info --pass-file pass a' '-o - -j a' '--pass-file - -' \
	    '--pass-file pass --pass-fd 0 a' '--pass-fd x a' '--pass-fd 77 a' '--pass-env NO_SUCH_VARIABLE a'; do
		# shellcheck disable=SC2086 # words
		run -2 --separate-stderr p12import $args
		[ -z "$output" ]
		[[ "$stderr" == 'p12import: '* ]]
	done
	[ ! -e "$MTATLS_DIR" ]
}

@test "what openssl writes by default: stored under the common name, chain in order" {
	export_openssl pass
	run -0 --separate-stderr p12import --pass-file pass o.p12
	[ -z "$stderr" ]
	fp=$(openssl x509 -in leaf.pem -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
	[ "$output" = "$MTATLS_DIR/certs/mx.example ${fp,,}" ]
	cmp "$MTATLS_DIR/certs/mx.example/cert.pem" <(openssl x509 -in leaf.pem)
	cmp "$MTATLS_DIR/certs/mx.example/chain.pem" inter.pem
	cmp <(openssl pkey -in "$MTATLS_DIR/certs/mx.example/key.pem") <(openssl pkey -in key.pem)
	[ "$(stat -c %a "$MTATLS_DIR"/certs/mx.example/key.pem)" = 600 ]
	run -1 --separate-stderr p12import --pass-file pass o.p12
	[[ "$stderr" == *'exists already'* ]]
	run -0 p12import -f --pass-file pass o.p12
	run -0 p12import -n other --pass-file pass - < o.p12
	[ -e "$MTATLS_DIR/certs/other/key.pem" ]
	run -0 p12import --pass-file pass -j -n third -i o.p12
	[ "$(jq -r '[.name, .index, .key, .subject, .issuer, .dns[1], .ip[0], .sha256, (.chain | length), .chain[0].subject] | join(" ")' <<< "$output")" = \
	    "third 1 rsa:2048 CN=mx.example CN=inter mx2.example 192.0.2.1 ${fp,,} 1 CN=inter" ]
}

@test "every cipher and every digest that openssl writes" {
	local done=0 name
	while read -r name; do
		export_openssl utf8 -legacy -keypbe "$name" -certpbe "$name" -iter 16 || continue
		is_whole o.p12 utf8 || { echo "$name"; false; }
		done=$((done + 1))
	done < <(openssl list -cipher-algorithms -provider legacy -provider default | grep -oE '[A-Z0-9]+(-[A-Z0-9]+)+' | sort -u
	    printf 'PBE-%s\n' SHA1-RC2-40 SHA1-RC2-128 SHA1-RC4-40 SHA1-RC4-128 SHA1-2DES SHA1-3DES MD5-DES SHA1-DES \
	    MD5-RC2-64 SHA1-RC2-64)
	echo "$done ciphers"
	[ "$done" -ge 40 ]
	done=0
	for name in md4 md5 ripemd160 sha1 sha224 sha256 sha384 sha512 sha512-224 sha512-256 sha3-256 sha3-512 \
	    blake2s256 whirlpool; do
		export_openssl utf8 -legacy -macalg "$name" -iter 16 || continue
		is_whole o.p12 utf8 || { echo "$name"; false; }
		done=$((done + 1))
	done
	echo "$done digests"
	[ "$done" -ge 10 ]
}

@test "openssl's -descert, -legacy as it is, one iteration, NONE and no MAC" {
	for options in '-descert' '-legacy' '-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1' '-nomaciter -noiter' \
	    '-certpbe NONE' '-keypbe NONE' '-keypbe NONE -certpbe NONE'; do
		# shellcheck disable=SC2086 # words
		export_openssl pass $options
		is_whole o.p12 pass
		[ ! -s err ]
		refused o.p12 wrong 'wrong passphrase'
	done
	export_openssl pass -nomac
	is_whole o.p12 pass
	grep -q 'the file has no MAC' err
	refused o.p12 wrong 'wrong passphrase or damaged: the key in bag 4 does not decrypt'
	export_openssl pass -nomac -keypbe NONE -certpbe NONE
	p12import -o - o.p12 < /dev/null > out.pem
	cmp <(openssl pkey -in out.pem) <(openssl pkey -in key.pem)
}

@test "empty passphrases: as openssl and as certtool mean them" {
	for options in '' -legacy; do
		# shellcheck disable=SC2086 # nothing or a word
		openssl pkcs12 -export $options -inkey key.pem -in leaf.pem -certfile chain.pem -passout pass: -out o.p12
		is_whole o.p12 empty
	done
	for options in --empty-password --null-password; do
		certtool --to-p12 --load-privkey key.pem --load-certificate all.pem \
		    --p12-name x $options --outder --outfile c.p12 2> log
		is_whole c.p12 empty
	done
	# No octet at all into the KDF, neither NUL nor NUL NUL.
	make_p12 'pfx(data(cert("root.pem"), key("key.pem"), cert("inter.pem"), cert("leaf.pem")), mac=mac12("", raw=b""))'
	is_whole made.p12 empty
}

@test "every cipher that certtool writes, DER and PEM" {
	for cipher in 3des 3des-pkcs12 aes-128 aes-192 aes-256 rc2-40 arcfour; do
		# It derives 600,000 times for each certificate: that is what takes long here.
		for form in --outder ''; do
			[ "$cipher$form" = 3des ] || [ -n "$form" ] || continue
			# shellcheck disable=SC2086 # nothing or a word
			certtool --to-p12 --load-privkey key.pem --load-certificate all.pem --p12-name mx --password "$(cat pass)" \
			    --pkcs-cipher "$cipher" $form --outfile c.p12 2> log
			is_whole c.p12 pass || { echo "$cipher $form"; false; }
		done
	done
	for hash in sha1 sha256 sha512; do
		certtool --to-p12 --load-privkey key.pem --load-certificate all.pem --p12-name mx --password "$(cat pass)" --hash "$hash" --outder --outfile c.p12 2> log
		is_whole c.p12 pass || { echo "$hash"; false; }
	done
}

@test "what keytool writes, new and old" {
	command -v keytool > /dev/null || skip 'no keytool'
	for options in '' -J-Dkeystore.pkcs12.legacy; do
		rm -f k.p12
		# shellcheck disable=SC2086 # nothing or a word
		keytool $options -genkeypair -keystore k.p12 -storetype PKCS12 -storepass geheim -alias mx -keyalg EC \
		    -dname CN=java.example 2> /dev/null
		printf geheim > java
		run -0 --separate-stderr p12import -f --pass-file java k.p12
		keytool -exportcert -rfc -keystore k.p12 -storepass geheim -alias mx 2> /dev/null > java.pem
		cmp <(openssl x509 -in java.pem) "$MTATLS_DIR/certs/java.example/cert.pem"
		p12import --show --pass-file java -j k.p12 | jq -e '.friendly_name == "mx"'
	done
}

@test "MACs: the KDF of PKCS#12 with each SHA, and PBMAC1, by another's arithmetic" {
	local bags='data(cert("leaf.pem"), shrouded("key.pem", "secret"), cert("root.pem"), cert("inter.pem"))'
	for digest in sha1 sha224 sha256 sha384 sha512; do
		make_p12 "pfx($bags, mac=mac12('secret', '$digest'))"
		is_whole made.p12 pass
		for prf in sha1 sha256 sha512; do
			make_p12 "pfx($bags, mac=pbmac1('secret', '$prf', '$digest'))"
			is_whole made.p12 pass
		done
		refused made.p12 wrong 'wrong passphrase'
	done
	for keylen in 20 64; do
		make_p12 "pfx($bags, mac=pbmac1('secret', keylen=$keylen))"
		is_whole made.p12 pass
	done
}

@test "PBMAC1 with a key too short, too long or of no said length is refused" {
	local bags='data(cert("leaf.pem"), key("key.pem"))'
	make_p12 "pfx($bags, mac=pbmac1('secret', keylen=19))"
	refused made.p12 pass 'unsupported algorithm: PBMAC1 with a key of 19 octets; expected 20 or more'
	make_p12 "pfx($bags, mac=pbmac1('secret', keylen=65))"
	refused made.p12 pass 'unsupported algorithm: a key of 65 octets; expected at most 64'
	make_p12 "pfx($bags, mac=pbmac1('secret', say=None))"
	refused made.p12 pass 'unsupported algorithm: PBMAC1 that does not say how long its key is'
	make_p12 "pfx($bags, mac=pbmac1('secret', say=0))"
	refused made.p12 pass 'unsupported algorithm: a key of 0 octets'
}

@test "BER, nested SafeContents, any order, scrypt, no localKeyID" {
	local bags='nested(nested(cert("root.pem")), shrouded("key.pem", "secret")), cert("leaf.pem"), cert("inter.pem")'
	make_p12 "pfx(encrypted('secret', $bags), mac=mac12('secret'))"
	is_whole made.p12 pass
	make_p12 "ber(lambda: pfx(encrypted('secret', $bags), mac=mac12('secret')))"
	is_whole made.p12 pass
	p12import --info made.p12 | grep -q '^encoding: BER'
	make_p12 "ber(lambda: pfx(encrypted('secret', $bags, seal=scrypt_sealed), mac=pbmac1('secret')))"
	is_whole made.p12 pass
	make_p12 "pfx(data(shrouded('key.pem', 'secret', seal=scrypt_sealed, n=16384), $bags))"
	[ "$(p12import --info -j made.p12 | jq -c '[.mac, .contents[0].bags[0].encryption.scrypt_n]')" = '[null,16384]' ]
	p12import --info made.p12 | grep -q 'AES-256-CBC, scrypt with N 16384, r 8, p 1'
}

@test "passphrases beyond Latin-1, as the standard and as old writers had them" {
	pass=$(cat utf8)
	make_p12 "pfx(data(key('key.pem'), cert('leaf.pem'), cert('inter.pem'), cert('root.pem')), mac=mac12('$pass'))"
	is_whole made.p12 utf8
	make_p12 "pfx(data(key('key.pem'), cert('leaf.pem'), cert('inter.pem'), cert('root.pem')),
	    mac=mac12('', raw=bmp('$pass'.encode().decode('latin-1'))))"
	is_whole made.p12 utf8
}

@test "passphrases from a descriptor and the environment, which then holds it no more" {
	export_openssl pass
	p12import --pass-fd 7 -o a.pem o.p12 7< pass
	printf 'secret\r\n' | p12import --pass-fd 0 -o b.pem o.p12
	P12_WORD=secret p12import --pass-env P12_WORD -o c.pem o.p12
	cmp a.pem b.pem
	cmp a.pem c.pem
	mkfifo fifo
	P12_WORD=hunter2-hunter2 "$BIN/p12import" --pass-env P12_WORD -o d.pem fifo 3>&- &
	pid=$!
	exec 9> fifo
	# It has parsed its options when it has the FIFO open.
	run -1 grep -ac hunter2 "/proc/$pid/environ" "/proc/$pid/cmdline"
	exec 9>&-
	wait "$pid" || true
	head -c 2000 /dev/zero | tr '\0' x > long
	run -2 --separate-stderr p12import --pass-file long o.p12
	[[ "$stderr" == *'more than 1024 octets'* ]]
	printf 'a\0b' > nul
	run -2 --separate-stderr p12import --pass-file nul o.p12
	[[ "$stderr" == *'a NUL in the passphrase'* ]]
	run -2 --separate-stderr p12import --pass-file nowhere o.p12
	[[ "$stderr" == *'nowhere: No such file'* ]]
}

@test "asked at the terminal, and refused where there is none" {
	export_openssl pass
	run -2 --separate-stderr setsid -w "$BIN/p12import" o.p12 < /dev/null
	[[ "$stderr" == *'no terminal to ask for the passphrase'* ]]
	run -0 python3 - "$BIN/p12import" -o tty.pem o.p12 <<-'END'
		import os, pty, sys
		pid, fd = pty.fork()
		if pid == 0:
		    os.execv(sys.argv[1], sys.argv[1:])
		said = b''
		while b': ' not in said:
		    said += os.read(fd, 1000)
		os.write(fd, b'secret\n')
		try:
		    while True:
		        part = os.read(fd, 1000)
		        if not part:
		            break
		        said += part
		except OSError:
		    pass
		print(said)
		assert b'secret' not in said
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	[[ "$output" == *'Passphrase of o.p12: '* ]]
	[ -s tty.pem ]
}

@test "--info needs no passphrase" {
	export_openssl pass -legacy -keypbe AES-256-CBC -certpbe PBE-SHA1-RC2-40 -macalg sha512
	run -0 --separate-stderr p12import --info o.p12
	[ "$output" = "encoding: DER, $(stat -c %s o.p12) octets
mac: HMAC with SHA512, PKCS12 with SHA512, 2048 iterations
contents 1: RC2-40-CBC, PKCS12 with SHA1, 2048 iterations
contents 2: not encrypted: 1 shrouded-key
  shrouded-key: AES-256-CBC, PBKDF2 with SHA256, 2048 iterations" ]
	run -0 p12import --info -j o.p12
	[ "$(jq -c '[.file, .encoding, .mac.kdf, .mac.digest, .mac.iterations, .mac.salt_length, (.contents | length),
	    .contents[0].encryption.cipher, .contents[0].bags, .contents[1].encryption, .contents[1].bags[0].type,
	    .contents[1].bags[0].encryption.cipher]' <<< "$output")" = \
	    '["o.p12","DER","PKCS12","SHA512",2048,8,2,"RC2-40-CBC",null,null,"shrouded-key","AES-256-CBC"]' ]
	make_p12 'pfx(encrypted_raw(seq(oid("unknown")), b"x"), data(shrouded_raw(pbes2(pbkdf2(iterations=1 << 31)))))'
	run -0 p12import --info made.p12
	[[ "$output" == *'contents 1: 1.3.6.1.4.1.99999.7 (unsupported: 1.3.6.1.4.1.99999.7)'* ]]
	[[ "$output" == *'2147483648 iterations'* ]]
	[ ! -e "$MTATLS_DIR" ]
}

@test "--show stores nothing" {
	export_openssl pass -name 'my mail'
	run -0 --separate-stderr p12import --show --pass-file pass o.p12
	[[ "$output" == 'key 1 (my mail): rsa:2048
  subject: CN=mx.example
  names: mx.example, mx2.example, 192.0.2.1
  issuer: CN=inter
  valid: 20'*'
  sha256: '*'
  chain: CN=inter' ]]
	[ ! -e "$MTATLS_DIR" ]
	run -0 p12import --show -j --pass-file pass o.p12
	[ "$(jq -c '[.friendly_name, .name, .demo]' <<< "$output")" = '["my mail",null,false]' ]
}

@test "several keys: listed, and one is picked by name or number" {
	make_p12 'pfx(data(key("strangerkey.pem", name="2"), key("key.pem", name="mail \U0001F600"), key("rootkey.pem", name="twice"),
	    key("interkey.pem", name="twice"), cert("leaf.pem"), cert("inter.pem"), cert("root.pem"), cert("stranger.pem")))'
	run -2 --separate-stderr p12import made.p12
	[ -z "$output" ]
	[[ "$stderr" == *'key 1 (2): ec:p256, CN=stranger'* ]]
	[[ "$stderr" == *'key 2 (mail \xf0\x9f\x98\x80): rsa:2048, CN=mx.example'* ]]
	[[ "$stderr" == *'made.p12: 4 keys in it; expected --pick'* ]]
	[ ! -e "$MTATLS_DIR" ]
	p12import --pick $'mail \U0001F600' made.p12
	p12import --pick 4 made.p12
	[ ! -e "$MTATLS_DIR/certs/inter/chain.pem" ]
	# A name that looks like a number comes before the number.
	p12import --pick 2 made.p12
	[ -e "$MTATLS_DIR/certs/stranger" ]
	[ "$(ls "$MTATLS_DIR/certs")" = $'inter\nmx.example\nstranger' ]
	run -2 --separate-stderr p12import --pick twice made.p12
	[[ "$stderr" == *'keys 3 and 4 both have that name'* ]]
	run -2 --separate-stderr p12import --pick 5 made.p12
	[[ "$stderr" == *'no key with the name "5", and it is no number up to 4'* ]]
	[ "$(p12import --show -j made.p12 2>/dev/null | jq -r .friendly_name)" = $'2\nmail \U0001F600\ntwice\ntwice' ]
}

@test "certificates of no chain and odd bags are told and left out" {
	make_p12 'pfx(data(cert("stranger.pem"), key("key.pem"), cert("leaf.pem"), bag("crlBag", num(1)), cert("inter.pem"),
	    bag("secretBag", num(1)), cert("root.pem"), bag("certBag", seq(oid("sdsi"), tag(0, octets(b"x"))))), mac=mac12("secret"))'
	is_whole made.p12 pass
	[ "$(cat err)" = 'p12import: bag 1, not of the chain, left out: CN=stranger
p12import: bag 4, passed over: crl
p12import: bag 6, passed over: secret
p12import: bag 8, passed over: other' ]
}

@test "of two certificates for one key the newer, whatever their order" {
	openssl x509 -req -in leaf.req -CA inter.pem -CAkey interkey.pem -set_serial 77 -days 15 -out longer.pem 2>/dev/null
	openssl x509 -req -in leaf.req -key key.pem -days 25 -out self.pem 2>/dev/null
	make_p12 'pfx(data(cert("self.pem"), cert("leaf.pem"), cert("longer.pem"), key("key.pem"), cert("inter.pem")))'
	p12import -o out.pem made.p12
	openssl x509 -in out.pem -noout -serial | grep -qx 'serial=4D'
	cat key.pem self.pem leaf.pem longer.pem inter.pem > in.pem
	"$BIN/p12export" --pass-file pass -i in.pem 2>/dev/null > x.p12
	openssl pkcs12 -in x.p12 -passin file:pass -nokeys -clcerts | openssl x509 -noout -serial | grep -qx 'serial=4D'
}

# A CA's name on thousands of other keys, all valid longer than the CA.
@test "of thousands of false issuers so many are tried, and no more" {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout bigkey.pem -out big.pem -days 30 -subj /CN=big 2>/dev/null
	openssl x509 -req -in leaf.req -CA big.pem -CAkey bigkey.pem -set_serial 1 -days 10 -out under.pem 2>/dev/null
	make_p12 'pfx(data(key("key.pem"), cert("under.pem"), *[cert_raw(d) for d in impostors("big.pem", 2970)], cert("big.pem")))'
	run -0 --separate-stderr p12import -o out.pem made.p12
	[[ "$stderr" == *'stopped after 100 signatures'* ]]
	cmp <(sed -n '/BEGIN CERT/,$p' out.pem) <(openssl x509 -in under.pem)
	# Copies of the true one do no harm.
	make_p12 'pfx(data(key("key.pem"), cert("under.pem"), *[cert_raw(d) for d in 50 * impostors("big.pem", 50)], cert("big.pem")))'
	run -0 --separate-stderr p12import --show -j made.p12
	[[ "$stderr" != *'stopped after'* ]]
	# As PEM, for the others that put chains in order.
	make_p12 'armored(impostors("big.pem", 2970) + [pem("under.pem")])'
	cat made.p12 key.pem > in.pem
	run -0 --separate-stderr timeout 60 "$BIN/p12export" --pass-file pass -o x.p12 -i in.pem
	[[ "$stderr" == *'stopped after 100 signatures'* ]]
	run -0 --separate-stderr timeout 60 "$BIN/certstore" -f -k key.pem install mx.example made.p12
	[[ "$stderr" == *'stopped after 100 signatures'* ]]
}

@test "no key, or none with a certificate: refused with what to do" {
	openssl pkcs12 -export -nokeys -in chain.pem -passout file:pass -out o.p12
	run -1 --separate-stderr p12import --pass-file pass o.p12
	[ "$stderr" = 'p12import: o.p12: no private key in it; certificates alone are for "castore import"' ]
	make_p12 'pfx(data(key("key.pem"), cert("inter.pem")))'
	run -1 --separate-stderr p12import made.p12
	[[ "$stderr" == *'no certificate of the key in it' ]]
	[ ! -e "$MTATLS_DIR" ]
}

@test "expired, not yet valid, weak and demonstration certificates are warned of" {
	openssl req -newkey rsa:1024 -nodes -keyout w.key -out w.req -subj /CN=weak.example 2>/dev/null
	touch index
	printf '%s\n' '[ca]' 'default_ca=a' '[a]' 'database=index' 'new_certs_dir=.' 'rand_serial=yes' \
	    'default_md=sha256' 'policy=p' '[p]' 'commonName=supplied' > ca.cnf
	openssl ca -batch -config ca.cnf -selfsign -keyfile w.key -in w.req -startdate 20200101000000Z \
	    -enddate 20200201000000Z -notext -out w.pem 2>/dev/null
	openssl pkcs12 -export -inkey w.key -in w.pem -passout file:pass -out w.p12
	run -0 --separate-stderr p12import --pass-file pass w.p12
	[[ "$stderr" == *'CN=weak.example: expired 2020-02-01T00:00:00Z'* ]]
	[[ "$stderr" == *'CN=weak.example: an RSA key of 1024 bits is too weak'* ]]
	"$BIN/mkcert" --demo -o d.pem d.example
	openssl pkcs12 -export -in d.pem -passout file:pass -out d.p12
	run -0 --separate-stderr p12import --pass-file pass d.p12
	[[ "$stderr" == *'a demonstration certificate'* ]]
}

@test "no common name: the first name of the SAN, or -n" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout n.key -out n.pem -subj / \
	    -addext subjectAltName=critical,DNS:san.example -days 3 2>/dev/null
	openssl pkcs12 -export -inkey n.key -in n.pem -passout file:pass -out n.p12
	p12import --pass-file pass n.p12
	[ -e "$MTATLS_DIR/certs/san.example" ]
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout n.key -out n.pem -subj /O=x \
	    -days 3 2>/dev/null
	openssl pkcs12 -export -inkey n.key -in n.pem -passout file:pass -out n.p12
	run -2 --separate-stderr p12import --pass-file pass n.p12
	[[ "$stderr" == *'no common name; expected -n NAME' ]]
	p12import -n given --pass-file pass n.p12
	[ -e "$MTATLS_DIR/certs/given" ]
}

@test "wrong passphrase, damaged, unsupported: three messages" {
	local bags='cert("leaf.pem"), key("key.pem")'
	make_p12 "pfx(encrypted('secret', $bags), mac=mac12('secret'))"
	refused made.p12 wrong 'wrong passphrase'
	[ "$stderr" = 'p12import: made.p12: wrong passphrase' ]
	make_p12 "flip(pfx(encrypted('secret', $bags), mac=mac12('secret')), 700)"
	refused made.p12 pass 'damaged: the passphrase decrypts, but the MAC is not right'
	make_p12 "pfx(encrypted('secret', $bags), mac=mac12('secret'))[:-20]"
	refused made.p12 pass 'damaged: offset 0: a length of '
	make_p12 "pfx(encrypted('secret', $bags), mac=mac12('secret')) + b'more'"
	refused made.p12 pass 'damaged: offset '
	make_p12 "pfx(data(cert('leaf.pem'), shrouded('key.pem', 'other')), mac=mac12('secret'))"
	refused made.p12 pass 'damaged, or not all under one passphrase: the key in bag 2 does not decrypt'
	make_p12 "pfx(data(bag('certBag', seq(oid('x509'), tag(0, octets(b'0\\x03\\x02\\x01\\x01')))), key('key.pem')))"
	refused made.p12 pass 'damaged: bag 1: expected a certificate'
	make_p12 "pfx(data(cert('leaf.pem'), bag('keyBag', seq(num(0)))))"
	refused made.p12 pass 'damaged: bag 2: expected a private key'
	make_p12 "pfx(encrypted_raw(seq(oid('unknown')), b'x'))"
	refused made.p12 pass 'unsupported algorithm: 1.3.6.1.4.1.99999.7'
	make_p12 "pfx(encrypted_raw(pbes2(pbkdf2(), 'aes256gcm', IV[:12]), b'x' * 48))"
	refused made.p12 pass 'unsupported algorithm: id-aes256-GCM'
	make_p12 "pfx(data($bags), mac=lambda safe: seq(seq(seq(oid('unknown')), octets(b'x')), octets(b'x')))"
	refused made.p12 pass 'unsupported algorithm: 1.3.6.1.4.1.99999.7'
	make_p12 "pfx(seq(oid('enveloped'), tag(0, seq(num(1)))))"
	refused made.p12 pass 'unsupported algorithm: pkcs7-envelopedData'
	make_p12 "pfx(data($bags), kind='signed')"
	refused made.p12 pass 'unsupported algorithm: pkcs7-signedData in place of a MAC'
	make_p12 "pfx(data($bags), version=4)"
	refused made.p12 pass 'not PKCS#12: version 4 where 3 is expected'
}

@test "what is something else" {
	: > nothing
	refused nothing pass 'not PKCS#12: empty'
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	refused leaf.der pass 'not PKCS#12: offset'
	cp leaf.pem copy.pem
	refused copy.pem pass 'not PKCS#12, but PEM: CERTIFICATE'
	head -c 5000 /dev/urandom | sed '1s/^/x/' > junk
	refused junk pass 'not PKCS#12'
	head -c 4194305 /dev/zero > big
	refused big pass 'larger than 4194304 bytes'
}

@test "hostile files are refused at once" {
	make_p12 'pfx(data(key("key.pem"), cert("leaf.pem")), mac=mac12("secret", claim=1 << 31))'
	refused_at_once made.p12 pass 'more than 10000000 iterations'
	make_p12 'pfx(data(key("key.pem"), cert("leaf.pem")), mac=pbmac1("secret", claim=1 << 31))'
	refused_at_once made.p12 pass 'more than 10000000 iterations'
	make_p12 'pfx(data(shrouded_raw(pbes2(pbkdf2(iterations=1 << 62))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'more than 10000000 iterations'
	make_p12 'pfx(data(shrouded_raw(pbes2(pbkdf2(iterations_octets=tlv(2, b"\x7f" + b"\xff" * 20)))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'more than 63 bits'
	make_p12 'pfx(data(shrouded_raw(pbes2(pbkdf2(iterations_octets=tlv(2, b"\xff")))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'a negative number'
	# Each alone would do; all together they do not.
	make_p12 'pfx(data(*[shrouded_raw(pbes2(pbkdf2(iterations=200000))) for i in range(51)], cert("leaf.pem")))'
	refused_at_once made.p12 pass 'more than 10000000 iterations'
	make_p12 'pfx(data(*[shrouded_raw(pbes2(pbkdf2(iterations=1))) for i in range(101)], cert("leaf.pem")))'
	refused_at_once made.p12 pass 'more than 100 private keys'
	# The same out of sight, in what is encrypted.
	make_p12 'pfx(encrypted("secret", shrouded_raw(pbes2(pbkdf2(iterations=9999001))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'more than 10000000 iterations'
	make_p12 'pfx(data(shrouded_raw(pbes2(scrypt(n=1 << 24))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'scrypt over more than 256 MiB'
	make_p12 'pfx(data(shrouded_raw(pbes2(scrypt(n=1 << 62, r=1 << 61, p=1 << 60))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'scrypt over more than 256 MiB'
	make_p12 'pfx(data(shrouded_raw(pbes2(scrypt(n=1024, r=8, p=1025))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'scrypt is to go over more than 1024 MiB'
	make_p12 'pfx(data(shrouded_raw(pbes2(pbkdf2(salt=b"s" * 1025))), cert("leaf.pem")))'
	refused_at_once made.p12 pass 'a salt of 1025 octets'
	make_p12 'b"\x30\x84\xff\xff\xff\xff\x02\x01\x03" + b"x" * 100'
	refused_at_once made.p12 pass 'a length of 4294967295 octets'
	make_p12 'b"\x30\x89\x01" + b"\xff" * 8 + b"\x02\x01\x03" + b"x" * 100'
	refused_at_once made.p12 pass 'a length beyond all measure'
	make_p12 'pfx(data(__import__("functools").reduce(lambda x, i: nested(x), range(1000), cert("leaf.pem"))))'
	refused_at_once made.p12 pass 'more than 8 SafeContents in one another'
	make_p12 'b"\x30\x80\x02\x01\x03" + b"\x30\x80" * 1000000'
	refused_at_once made.p12 pass 'more than 64 elements in one another'
	make_p12 'b"\x30\x80\x02\x01\x03" + b"\x04\x80" * 5'
	refused_at_once made.p12 pass 'an indefinite length where nothing can stand in it'
	make_p12 'pfx(data(*[cert("leaf.pem")] * 1, *[bag("crlBag", b"\x05\0")] * 10000))'
	refused_at_once made.p12 pass 'more than 10000 bags'
}

@test "every truncation and many flips end in a refusal or the same key" {
	make_p12 'pfx(encrypted("secret", cert("leaf.pem")), data(shrouded("key.pem", "secret")), mac=mac12("secret"))'
	run -0 python3 - "$BIN/p12import" made.p12 <<-'END'
		import subprocess, sys
		whole = open(sys.argv[2], 'rb').read()
		def status(octets):
		    r = subprocess.run([sys.argv[1], '--pass-file', 'pass', '-o', '/dev/null', '-'], input=octets,
		                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10)
		    return r.returncode
		assert status(whole) == 0
		for at in range(0, len(whole), 37):
		    assert status(whole[:at]) == 2, at
		for at in range(0, len(whole), 23):
		    broken = bytearray(whole)
		    broken[at] ^= 0x41
		    assert status(bytes(broken)) == 2, at
	END
}

# The lines of the manual page's EXAMPLES.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/$1" |
	    awk '/^\.Bd/ { on = 1; next } /^\.Ed/ { on = 0 } on'
}

@test "the examples of the manual page, in their order" {
	export_openssl pass
	mv o.p12 mx.p12
	cp pass pass.txt
	examples p12import.1 > run
	[ "$(grep -c ^p12import run)" = 5 ]
	PATH=$BIN:$PATH bash -eu run
	[ "$(ls "$MTATLS_DIR/certs")" = $'mail\nmx.example' ]
	cmp <(openssl pkey -in mx.pem) <(openssl pkey -in key.pem)
}

# All that python3-cryptography-vectors has: 30 files of pyca's, and NIST's PKITS.
@test "the vectors of pyca/cryptography and of PKITS" {
	local dir=/usr/lib/python3/dist-packages/cryptography_vectors file word read=0 keyless=0
	for file in "$dir"/pkcs12/*.p12; do
		case $file in
		*cert-key-aes256cbc*|*rc2*|*none*|*no-key*) word=cryptography ;;
		*/no-password.p12|*-no-pwd.p12) word= ;;
		*) word=password ;;
		esac
		printf %s "$word" > word
		run p12import --show -j --pass-file word "$file"
		case $status in
		0) read=$((read + 1)) ;;
		1) [[ "$output" == *'no private key in it'* ]] && keyless=$((keyless + 1)) ;;
		*) echo "$file: $output"; false ;;
		esac
	done
	echo "$read with a key, $keyless without"
	[ "$read" -eq 19 ]
	[ "$keyless" -eq 11 ]
	printf password > word
	read=0 dsa=0
	for file in "$dir"/x509/PKITS_data/pkcs12/*.p12; do
		# DSA keys are not decoded: a long one would keep us busy for hours.
		case $file in
		*DSA*)
			run -2 p12import --pass-file word -o out.pem -f "$file"
			[[ "$output" == *'unsupported algorithm'*'a private key of type dsaEncryption'* ]]
			dsa=$((dsa + 1))
			continue
			;;
		esac
		p12import --pass-file word -o out.pem -f "$file" > log 2>&1 || { echo "$file"; cat log; false; }
		read=$((read + 1))
	done
	echo "$read taken, $dsa DSA"
	[ "$dsa" -gt 0 ]
	[ $((read + dsa)) -eq 405 ]
}

@test "-f keeps the next key of the identity, and tells of what else changes" {
	export MTATLS_SYSTEM_CA=/dev/null
	"$BIN/mkcert" -a mx2.example mx.example > /dev/null
	"$BIN/csrgen" --next mx.example > /dev/null 2>&1
	cp "$MTATLS_DIR/certs/mx.example/next-key.pem" next.pem
	openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=mx.example \
	    -addext subjectAltName=DNS:mx.example -days 9 -out c.pem 2> /dev/null
	openssl pkcs12 -export -inkey k.pem -in c.pem -passout pass:x -out k.p12
	printf x > pass.x
	run -0 --separate-stderr p12import -f --pass-file pass.x k.p12
	[ "${stderr_lines[0]}" = 'p12import: mx.example: warning: the certificate before was also for: mx2.example' ]
	[ "${stderr_lines[1]}" = 'p12import: mx.example: its next key and request stay' ]
	[ "${stderr_lines[2]}" = "p12import: mx.example: another key: TLSA records published for the key or certificate before do not match; now: $("$BIN/tlsa-gen" mx.example | sed 's/.*TLSA //') (tlsa-gen mx.example)" ]
	cmp next.pem "$MTATLS_DIR/certs/mx.example/next-key.pem"
	# The same once more changes nothing of it.
	run -0 --separate-stderr p12import -f --pass-file pass.x k.p12
	[ "$stderr" = 'p12import: mx.example: its next key and request stay' ]
}
