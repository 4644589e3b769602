#!/usr/bin/env bats
# The programs under valgrind: no error, no leak, on the ways that matter.
bats_require_minimum_version 1.5.0

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	cd "$BATS_TEST_TMPDIR" || return
}

# STATUS PROGRAM...: it ends so, and valgrind finds nothing (99 is valgrind's).
clean() {
	local want=$1
	shift
	# The sanitizers look for the same, and do not run under valgrind.
	if [[ $BIN == */asan/* ]]; then
		run "$BIN/$1" "${@:2}"
	else
		run valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
			--track-fds=no --read-inline-info=no --vex-guest-chase=no "$BIN/$1" "${@:2}"
	fi
	[ "$status" -eq "$want" ] || { echo "$status: $output"; return 1; }
}

@test "mkcert and tlsa-gen" {
	clean 0 mkcert -d state mx.example
	clean 0 mkcert -d state -f -a mail.example --org Example -j mx.example
	clean 1 mkcert -d state mx.example
	clean 0 mkcert -o - -t ed25519 mx.example
	clean 2 mkcert -t rsa:1024 mx.example
	clean 0 mkcert -d state --ca --pathlen 0 --permit example.org --exclude 192.0.2.0/24 CA
	clean 0 mkcert -d state --signer CA mx.example.org
	clean 1 mkcert -d state --signer CA mx.example.com
	clean 1 mkcert -d state --ca --signer CA Sub
	clean 1 mkcert -d state --signer mx.example mx2.example
	openssl req -new -config /dev/null -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
	    -subj /CN=mx.example.org -addext subjectAltName=DNS:a.example.org,IP:2001:db8::1 -out req.pem 2> /dev/null
	clean 0 mkcert -d state --sign req.pem --signer CA
	clean 1 mkcert -d state --sign req.pem --signer CA --ca
	openssl req -in req.pem -outform DER | sed 's/a.example/b.example/' > forged.der
	clean 1 mkcert -d state --sign forged.der --signer CA
	clean 0 tlsa-gen -d state mx.example
	clean 0 tlsa-gen -d state -j -s 0 -m 2 mx.example
	clean 2 tlsa-gen -d state nothing.example
	head -c 300 /dev/urandom > junk
	clean 2 tlsa-gen -i junk
}

@test "csrgen and certstore" {
	clean 0 csrgen -d state -a mx2.example mx.example
	openssl x509 -req -in state/certs/mx.example/request.pem -signkey state/certs/mx.example/key.pem -days 90 \
	    -copy_extensions copy -out c.pem 2> /dev/null
	clean 0 certstore -d state install mx.example c.pem
	clean 0 certstore -d state install mx.example c.pem
	clean 0 csrgen -d state --next -j mx.example
	clean 1 csrgen -d state --next -t rsa:2048 mx.example
	clean 0 certstore -d state list
	clean 0 certstore -d state list -j
	clean 0 certstore -d state show mx.example
	clean 0 certstore -d state show -j mx.example
	clean 0 certstore -d state export --with-key mx.example
	echo 'mx3.example list.json' > members
	"$BIN/certstore" -d state list -j > list.json
	clean 1 certstore -d state check --hosts members
	clean 1 certstore -d state check -j --hosts members mx.example
	clean 1 certstore -d state rollback mx.example
	clean 0 certstore -d state rename mx.example my.example
	openssl genpkey -algorithm ED25519 -out k.pem
	clean 1 certstore -d state -k k.pem install my.example c.pem
	clean 2 certstore -d state install my.example members
	clean 0 certstore -d state remove my.example
}

@test "castore" {
	"$BUILD/lab/mkcas" 3 > three.pem
	export MTATLS_SYSTEM_CA=three.pem
	"$BIN/mkcert" -d state mx.example > /dev/null
	clean 0 castore -d state list -j
	clean 0 castore -d state import three.pem
	clean 0 castore -d state import --append --allow-leaf state/certs/mx.example/cert.pem
	clean 1 castore -d state import state/certs/mx.example/key.pem
	sed '3s/^./!/' three.pem > bad.pem
	clean 2 castore -d state import bad.pem
	clean 0 castore -d state import --append --skip-bad bad.pem
	openssl crl2pkcs7 -nocrl -certfile three.pem -out three.p7
	clean 0 castore -d state import --append three.p7
	openssl pkcs12 -export -nokeys -in three.pem -passout pass:x -out three.p12
	echo x > pass
	clean 0 castore -d state import --append --pass-file pass three.p12
	clean 0 castore -d state export both
	clean 0 castore -d state verify --host mx.example state/certs/mx.example/cert.pem
	clean 1 castore -d state verify -j --host mx2.example state/certs/mx.example/cert.pem
	clean 1 castore -d state verify --host mx.example bad.pem
	clean 2 castore -d state remove 0123456789
	clean 0 castore -d state distrust 0123456789012345678901234567890123456789012345678901234567890123
	clean 0 castore -d state list
	clean 0 castore -d state distrust --undo 0123456789
	clean 0 castore -d state disable system
}

@test "p12export and p12import" {
	printf 'secret\n' > pass
	printf 'wrong\n' > wrong
	clean 0 mkcert -d state mx.example
	for options in '' --compat --pbmac1; do
		# shellcheck disable=SC2086 # nothing or a word
		clean 0 p12export -d state --pass-file pass -f $options -j -o x.p12 mx.example
		clean 0 p12import -d other --pass-file pass -f -j x.p12
	done
	clean 0 p12import --info x.p12
	clean 0 p12import --info -j x.p12
	clean 0 p12import --show --pass-file pass x.p12
	clean 0 p12import -o - --pass-file pass x.p12
	clean 2 p12import -d other --pass-file wrong x.p12
	clean 1 p12import -d other --pass-file pass x.p12
	openssl pkcs12 -export -legacy -in other/certs/mx.example/cert.pem -inkey other/certs/mx.example/key.pem \
	    -certpbe PBE-SHA1-RC2-40 -passout file:pass -out old.p12
	clean 0 p12import -d third --pass-file pass old.p12
	head -c 300 x.p12 > cut.p12
	clean 2 p12import --pass-file pass cut.p12
	head -c 300 /dev/urandom > junk
	clean 2 p12import --pass-file pass junk
	clean 2 p12export -d state --pass-file pass -o y.p12 nothing.example
}

@test "tlscheck" {
	clean 0 tlscheck "${LAB_OPTS[@]}" good.test unsigned.test multi-addr.test
	clean 1 tlscheck "${LAB_OPTS[@]}" -v wrong.test null-mx.test alias-failed.test unusable-plain.test
	clean 0 tlscheck "${LAB_OPTS[@]}" -j ta-cert.test
	clean 3 tlscheck "${LAB_OPTS[@]}" -t 2 bogus-mx.test down.test banner-close.plain.test banner-never.plain.test
	clean 1 tlscheck "${LAB_OPTS[@]}" inject.dane.test ehlo-longline.plain.test banner-endless.plain.test
	clean 1 tlscheck "${LAB_OPTS[@]}" -jC --survey good.test null-mx.test "mx.down.test:$LAB_PORT" "mx.inject.dane.test:$LAB_PORT"
	clean 3 tlscheck --resolver "$LAB_DNS_DEAD" --anchor "$LAB_ANCHOR" -t 2 good.test
}

@test "tlsa-gen on the network" {
	clean 0 tlsa-gen --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR" --connect "mx.good.test@$LAB_PORT" --rdata
	clean 3 tlsa-gen --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR" --connect "mx.no-starttls.dane.test@$LAB_PORT" --rdata
	set -- --resolver "$LAB_DNS" --anchor "$LAB_ANCHOR" --server "$LAB_DNS" -p "$LAB_PORT" --owner mx.good.test \
	    --owner mx.rollover.test -d state
	clean 1 tlsa-gen "$@" --check-published -i "$LAB_CERTS/good/cert.pem"
	clean 1 tlsa-gen "$@" --safe-to-deploy "$LAB_CERTS/good/cert.pem"
	clean 1 tlsa-gen "$@" --update -i "$LAB_CERTS/good/cert.pem" -j
}
