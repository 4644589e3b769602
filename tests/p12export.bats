#!/usr/bin/env bats
# p12export judged by those who read its files: openssl, certtool, keytool, and p12import.

bats_require_minimum_version 1.5.0

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout rootkey.pem -out root.pem \
	    -days 30 -subj /CN=root 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out leaf.req \
	    -subj /CN=mx.example 2>/dev/null
	openssl x509 -req -in leaf.req -CA root.pem -CAkey rootkey.pem -CAcreateserial -days 10 -out leaf.pem 2>/dev/null
	printf 'secret\n' > pass
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

p12export() { "$BIN/p12export" "$@"; }

identity() {
	"$BIN/mkcert" "$@" > /dev/null
	certs=$MTATLS_DIR/certs/${!#}
}

# FILE PASS-FILE OPTION...: openssl reads key and certificate of the identity out of it.
openssl_reads() {
	openssl pkcs12 -in "$1" -passin file:"$2" -nodes "${@:3}" -out read.pem
	cmp <(openssl pkey -in read.pem) <(openssl pkey -in "$certs/key.pem")
	cmp <(openssl x509 -in read.pem) "$certs/cert.pem"
}

@test "-h and -V" {
	run -0 --separate-stderr p12export -h
	[[ "$output" == 'usage: p12export '* ]]
	for option in --dir --force --input --json --output --compat --pbmac1 --force-empty --friendly-name \
	    --iterations --pass-env --pass-fd --pass-file; do
		[[ "$output" == *"$option"* ]] || { echo "$option"; false; }
		grep -q "^\.It Fl .*${option#-}" "$BATS_TEST_DIRNAME/../man/p12export.1" || { echo "$option"; false; }
	done
	run -0 p12export -V
	[[ "$output" =~ ^p12export\ \(mtatls\)\ [0-9.]+$ ]]
}

@test "wrong usage" {
	identity mx.example
	for args in '' '-Z x' 'a b' '-i a b' '-j mx.example' '-j -o - mx.example' '--compat --pbmac1 mx.example' \
	    '--iterations 0 mx.example' '--iterations 500001 mx.example' '--pass-file - -' '-i - --pass-file -' \
	    '--friendly-name= mx.example' 'nothing.example' '-i nothing.pem'; do
		# shellcheck disable=SC2086 # words
		run -2 --separate-stderr p12export $args
		[ -z "$output" ]
		[[ "$stderr" == 'p12export: '* ]]
	done
	run -0 find . -name '*.p12'
	[ -z "$output" ]
}

@test "each type of key: openssl, certtool and p12import read it" {
	for type in ec:p256 ec:p384 rsa:2048 ed25519; do
		identity -f -t "$type" mx.example
		p12export --pass-file pass -f -o x.p12 mx.example
		[ "$(stat -c %a x.p12)" = 600 ]
		openssl_reads x.p12 pass
		openssl pkcs12 -in x.p12 -passin file:pass -info -noout 2> info
		grep -q 'MAC: sha256, Iteration 2048' info
		[ "$(grep -c 'PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256' info)" = 2 ]
		certtool --p12-info --inder --password secret --infile x.p12 > certtool.out 2> certtool.err
		grep -q 'MAC: SHA256' certtool.out
		cmp <(sed -n '/BEGIN CERT/,/END CERT/p' certtool.out) "$certs/cert.pem"
		"$BIN/p12import" -d other -f --pass-file pass x.p12
		diff -r "$certs" other/certs/mx.example
	done
}

@test "keytool reads it" {
	command -v keytool > /dev/null || skip 'no keytool'
	identity mx.example
	for options in '' --compat; do
		# shellcheck disable=SC2086 # nothing or a word
		p12export --pass-file pass -f $options -o x.p12 mx.example
		run -0 keytool -list -keystore x.p12 -storepass secret
		[[ "$output" == *'mx.example, '*'PrivateKeyEntry'* ]]
		keytool -exportcert -rfc -keystore x.p12 -storepass secret -alias mx.example 2> /dev/null > java.pem
		cmp <(openssl x509 -in java.pem) "$certs/cert.pem"
	done
}

@test "--compat: triple DES and SHA-1" {
	identity mx.example
	p12export --pass-file pass --compat -o x.p12 mx.example
	openssl_reads x.p12 pass -legacy
	openssl pkcs12 -in x.p12 -passin file:pass -legacy -info -noout 2> info
	grep -q 'MAC: sha1, Iteration 2048' info
	[ "$(grep -c 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048' info)" = 2 ]
	"$BIN/p12import" -d other --pass-file pass x.p12
	diff -r "$certs" other/certs/mx.example
}

@test "--pbmac1: right by another's arithmetic" {
	identity mx.example
	p12export --pass-file utf8 --pbmac1 --iterations 5000 -o x.p12 mx.example
	python3 "$BATS_TEST_DIRNAME/lab/p12" verify-pbmac1 x.p12 "$(cat utf8)"
	run -1 python3 "$BATS_TEST_DIRNAME/lab/p12" verify-pbmac1 x.p12 wrong
	[ "$output" = 'the MAC is not right' ]
	[ "$("$BIN/p12import" --info -j x.p12 | jq -c '[.mac.algorithm, .mac.kdf, .mac.iterations, .mac.key_length, .mac.salt_length]')" = \
	    '["PBMAC1","PBKDF2",5000,32,16]' ]
	"$BIN/p12import" -d other --pass-file utf8 x.p12
	diff -r "$certs" other/certs/mx.example
	# An OpenSSL that knows PBMAC1 (3.4) agrees.
	case $(openssl version) in
	'OpenSSL 3.'[0-3].*) ;;
	*) openssl_reads x.p12 utf8 ;;
	esac
}

@test "friendlyName and localKeyID on key and leaf, leaf first, chain behind it" {
	cat root.pem key.pem leaf.pem > in.pem
	p12export --pass-file pass -i in.pem > x.p12
	openssl pkcs12 -in x.p12 -passin file:pass -nodes -out read.pem
	[ "$(grep -c 'friendlyName: mx.example' read.pem)" = 2 ]
	[ "$(grep 'localKeyID' read.pem | sort -u | wc -l)" = 1 ]
	[ "$(grep -c 'localKeyID' read.pem)" = 2 ]
	# The root is what its readers have.
	[ "$(grep ^subject read.pem)" = 'subject=CN = mx.example' ]
	p12export --pass-file pass --friendly-name $'Post \u20ac' -i - < in.pem > x.p12
	[ "$("$BIN/p12import" --show -j --pass-file pass x.p12 | jq -r .friendly_name)" = $'Post \u20ac' ]
	openssl pkcs12 -in x.p12 -passin file:pass -nokeys | grep -q 'friendlyName: Post'
	run -2 --separate-stderr p12export --pass-file pass --friendly-name $'Post \U0001F4EE' -i in.pem
	[[ "$stderr" == *'a character beyond U+FFFF'* ]]
	"$BIN/mkcert" -n $'Post \U0001F4EE' mx.example > /dev/null
	p12export --pass-file pass $'Post \U0001F4EE' > x.p12
	[ "$("$BIN/p12import" --show -j --pass-file pass x.p12 | jq -r .friendly_name)" = 'Post ?' ]
	# Standard input by its operand, a pipe at each end.
	"$BIN/mkcert" -o - pipe.example | p12export --pass-file pass - | "$BIN/p12import" --pass-file pass -o - - |
	    openssl x509 -noout -subject | grep -qx 'subject=CN = pipe.example'
}

@test "a PEM file without what is needed" {
	run -2 --separate-stderr p12export --pass-file pass -o x.p12 -i leaf.pem
	[[ "$stderr" == *'leaf.pem: no private key in it' ]]
	cat key.pem root.pem > in.pem
	run -2 --separate-stderr p12export --pass-file pass -o x.p12 -i in.pem
	[[ "$stderr" == *'in.pem: no certificate of the private key in it' ]]
	cat key.pem leaf.pem root.pem > in.pem
	"$BIN/mkcert" -o stranger.pem stranger.example > /dev/null
	openssl x509 -in stranger.pem >> in.pem
	run -0 --separate-stderr p12export --pass-file pass -o x.p12 -i in.pem
	[ "$stderr" = 'p12export: not of the chain, left out: CN=stranger.example' ]
}

@test "an empty passphrase only with --force-empty" {
	identity mx.example
	run -1 --separate-stderr p12export --pass-file empty -o x.p12 mx.example
	[[ "$stderr" == *'an empty passphrase protects nothing'* ]]
	[ ! -e x.p12 ]
	for options in '' --compat --pbmac1; do
		# shellcheck disable=SC2086 # nothing or a word
		p12export --pass-file empty --force-empty $options -f -o x.p12 mx.example
		"$BIN/p12import" -d other -f --pass-file empty x.p12
		diff -r "$certs" other/certs/mx.example
	done
	p12export --pass-file empty --force-empty -f -o x.p12 mx.example
	openssl pkcs12 -in x.p12 -passin pass: -nodes -out read.pem
	cmp <(openssl pkey -in read.pem) <(openssl pkey -in "$certs/key.pem")
}

@test "passphrases beyond ASCII read alike; what is not UTF-8 is refused" {
	identity mx.example
	for options in '' --compat; do
		# shellcheck disable=SC2086 # nothing or a word
		p12export --pass-file utf8 $options -f -o x.p12 mx.example
		openssl_reads x.p12 utf8 -legacy
		certtool --p12-info --inder --password "$(cat utf8)" --infile x.p12 | grep -q 'BEGIN CERTIFICATE'
	done
	printf 'w\366rd' > latin1
	run -2 --separate-stderr p12export --pass-file latin1 -f -o y.p12 mx.example
	[[ "$stderr" == *'the passphrase is not UTF-8'* ]]
	[ ! -e y.p12 ]
}

@test "a file that exists stays without -f" {
	identity mx.example
	echo old > x.p12
	run -1 --separate-stderr p12export --pass-file pass -o x.p12 mx.example
	[ "$stderr" = 'p12export: x.p12: exists already; -f replaces it' ]
	[ "$(cat x.p12)" = old ]
	p12export --pass-file pass -f -o x.p12 mx.example
	openssl_reads x.p12 pass
}

@test "-j tells what was written" {
	identity mx.example
	run -0 --separate-stderr p12export --pass-file pass -j --compat --iterations 100 -o x.p12 mx.example
	fp=$(openssl x509 -in "$certs/cert.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
	[ "$(jq -c . <<< "$output")" = '{"name":"mx.example","path":"x.p12","sha256":"'"${fp,,}"'","friendly_name":"mx.example","certificates":1,"form":"compat","iterations":100}' ]
}

# Types $3... at the terminal, each when it is asked for; prints what was said.
at_terminal() {
	python3 - "$BIN" "$@" <<-'END'
		import os, pty, sys
		bin, command, *lines = sys.argv[1:]
		pid, fd = pty.fork()
		if pid == 0:
		    os.execv('/bin/sh', ['sh', '-c', 'exec ' + bin + '/' + command])
		said, seen = b'', 0
		try:
		    while True:
		        part = os.read(fd, 1000)
		        if not part:
		            break
		        said += part
		        while lines and said.count(b': ', seen) > 0:
		            seen = said.index(b': ', seen) + 2
		            os.write(fd, lines.pop(0).encode() + b'\n')
		except OSError:
		    pass
		print(said.decode())
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
}

@test "at the terminal the passphrase is asked for twice; no key goes there" {
	identity mx.example
	run -0 at_terminal 'p12export -o x.p12 mx.example' secret secret
	[[ "$output" == *'Passphrase for the new file: '*'Once more: '* ]]
	[[ "$output" != *secret* ]]
	openssl_reads x.p12 pass
	run -2 at_terminal 'p12export -o y.p12 mx.example' secret other
	[[ "$output" == *'the two passphrases are not the same'* ]]
	[ ! -e y.p12 ]
	run -2 at_terminal 'p12export --pass-file pass mx.example'
	[[ "$output" == *'standard output is a terminal; -o FILE says where to write'* ]]
}

@test "no passphrase and no key in temporary files or arguments" {
	identity mx.example
	export WORD=swordfish-swordfish
	# The leak checker would need ptrace(2) for itself.
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -s 4096 -e trace=execve,openat,open,creat,rename,write -o trace "$BIN/p12export" --pass-env WORD -o x.p12 mx.example
	# The one file made is the one that becomes x.p12.
	[ "$(grep -c O_CREAT trace)" = 1 ]
	made=$(sed -n 's/.*"\(.*\)".*O_CREAT.*/\1/p' trace)
	[ ! -e "$made" ]
	[ -s x.p12 ]
	run ! grep -F swordfish trace
}

# TOOL ARG...: what a core shows of passphrase and key while the tool waits to write into the FIFO out.
core_shows() {
	local pid
	mkfifo out
	"$@" 3>&- &
	pid=$!
	# It sleeps only where it opens the FIFO, which has no reader yet.
	timeout 30 bash -c "until grep -q '^State:.S' /proc/$pid/status; do :; done"
	gcore -o dump $pid > log 2>&1 || { timeout 10 cat out > /dev/null; wait $pid; cat log; return 1; }
	timeout 10 cat out > copy
	wait $pid
	[ -s copy ]
	/usr/bin/python3 - dump.$pid "$certs/key.pem" <<-'PY'
	import subprocess, sys
	text = subprocess.check_output(["openssl", "ec", "-in", sys.argv[2], "-noout", "-text"], stderr=subprocess.DEVNULL, text=True)
	d = bytes.fromhex("".join(text.split("priv:")[1].split("pub:")[0].replace(":", "").split()))[-32:]
	core = open(sys.argv[1], "rb").read()
	assert b"out" in core
	needles = {"passphrase": b"swordfish-sw", "as BMPString": "swordfish-sw".encode("utf-16-be"), "DER": d[4:28], "BIGNUM": d[::-1][4:28]}
	shown = [what for what, needle in needles.items() if needle in core]
	assert not shown, shown
	PY
	rm -f out dump.*
}

@test "a core taken by gdb shows neither passphrase nor key" {
	command -v gcore > /dev/null || skip 'no gcore'
	[[ $BIN != */asan/* ]] || skip 'the memory of the sanitizers is too much for a core'
	identity mx.example
	WORD=swordfish-swordfish core_shows "$BIN/p12export" --pass-env WORD -o out mx.example
	core_shows "$BIN/p12export" --pass-fd 9 --pbmac1 -o out mx.example 9<<< swordfish-swordfish
	"$BIN/p12export" --pass-fd 9 -o in.p12 mx.example 9<<< swordfish-swordfish
	WORD=swordfish-swordfish core_shows "$BIN/p12import" --pass-env WORD -o out in.p12
	core_shows "$BIN/p12import" --pass-fd 9 -o out in.p12 9<<< swordfish-swordfish
}

@test "a demonstration certificate is warned of" {
	identity --demo mx.example
	run -0 --separate-stderr p12export --pass-file pass -o x.p12 mx.example
	[[ "$stderr" == *'mx.example: a demonstration certificate'* ]]
}

# The lines of the manual page's EXAMPLES.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/$1" |
	    awk '/^\.Bd/ { on = 1; next } /^\.Ed/ { on = 0 } on'
}

@test "the examples of the manual page, in their order" {
	identity mx1.example.org
	rm -f pass
	examples p12export.1 > run
	[ "$(grep -c p12export run)" = 3 ]
	PATH=$BIN:$PATH bash -eu run
	openssl_reads mx.p12 pass.txt
	openssl_reads old.p12 pass.txt -legacy
	openssl pkcs12 -in mx2.p12 -passin file:pass.txt -nokeys | grep -q 'CN = mx2.example.org'
}

@test "there and back again: mkcert, p12export, p12import, the files compare equal" {
	for name in mx.example '*.wild.example' 192.0.2.1; do
		"$BIN/mkcert" "$name" > /dev/null
		p12export --pass-file pass "$name" | "$BIN/p12import" -d other --pass-file pass -
	done
	[ "$(ls other/certs)" = $'192.0.2.1\n_wildcard.wild.example\nmx.example' ]
	for name in mx.example _wildcard.wild.example 192.0.2.1; do
		diff -r "$MTATLS_DIR/certs/$name" "other/certs/$name"
	done
}
