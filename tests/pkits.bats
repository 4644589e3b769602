#!/usr/bin/env bats
# castore verify against NIST's Public Key Interoperability Test Suite, as Debian packages it.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	CERTS=/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data/certs
	ROWS=$BATS_TEST_DIRNAME/pkits.rows
}

# NAME...: as PEM.
pem() {
	local name
	for name; do
		openssl x509 -inform DER -in "$CERTS/$name.crt"
	done
}

# The chain as a server would send it, the one CA behind the other.
chain() {
	local name
	pem "$1"
	shift
	for name; do printf '%s\n' "$name"; done | tac | while read -r name; do pem "$name"; done
}

# COMMAND that makes a chain: holds every row against what castore says; the last is how many there were.
judge() {
	local section want names word n=0 bad=0
	pem TrustAnchorRootCertificate > ta.pem
	while read -r section want names; do
		[[ "$section" != '#'* ]] || continue
		# shellcheck disable=SC2086 # names
		"$1" $names > chain.pem
		run "$BIN/castore" verify --ca ta.pem --host mx.test --time 2020-01-01 chain.pem
		word=${output%%:*}
		if [ "$word" != "$want" ] || [ "$status" -ne 1 ]; then
			echo "$section: wanted $want, status 1; got $status: $output"
			bad=$((bad + 1))
		fi
		n=$((n + 1))
	done < "$ROWS"
	echo "$n rows, $bad bad"
	[ "$n" -eq 89 ]
	[ "$bad" -eq 0 ]
}

@test "PKITS without policies and CRLs, chains in order" { judge chain; }

@test "the same, issuers in the wrong order" { judge pem; }

@test "the same with every CA of the suite sent along that is good" {
	with_all() {
		pem "$1"
		shift
		pem GoodsubCACert GoodCACert UIDCACert NameOrderingCACert RevokedsubCACert
		[ $# -eq 0 ] || pem "$@"
	}
	judge with_all
}
