#!/usr/bin/env bats
# The hooks in contrib/acme, called as each ACME client calls them, with files as each leaves them.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$PWD/state" CERTSTORE="$BIN/certstore"
	HOOKS="$BATS_TEST_DIRNAME/../contrib/acme"
	unset SSL_CERT_FILE OPENSSL_CONF MTATLS_NAME MTATLS_NEW_KEY MTATLS_PID_FILE
	"$BIN/mkcert" -d ca --ca Root > log
	"$BIN/mkcert" -d ca --ca --signer Root Sub > log
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k1.pem
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k2.pem
	issue k1.pem > 1.pem
	issue k1.pem > 1b.pem
	issue k2.pem > 2.pem
}

# What an ACME server sends for a key: leaf, then the intermediate.
issue() {
	openssl req -new -config /dev/null -key "$1" -subj "/CN=mx.example.org" -out req.pem
	"$BIN/mkcert" -d ca --sign req.pem --signer Sub --days 90
}

# The files of a client: key, certificate, chain, both together.
files() {
	mkdir -p "$1"
	cp "$2" "$1/privkey.pem"
	cp "$3" "$1/fullchain.pem"
	openssl x509 -in "$3" -out "$1/cert.pem"
	sed '1,/END CERT/d' "$3" > "$1/chain.pem"
}

# The identity's key and certificate are these, the intermediate is there, and nothing is left over.
installed() {
	local at=$MTATLS_DIR/certs/$1
	[ "$(openssl pkey -in "$at/key.pem" -pubout)" = "$(openssl pkey -in "$2" -pubout)" ]
	[ "$(openssl x509 -in "$at/cert.pem" -outform DER | sha256sum)" = "$(openssl x509 -in "$3" -outform DER | sha256sum)" ]
	cmp "$at/chain.pem" ca/certs/Sub/cert.pem
	[ "$(stat -c %a "$at/key.pem")" = 600 ]
}

# Calls a hook for a first certificate, a renewal with the same key, one with another: the last is refused
# unless it is meant.  The hook is a function that takes key and certificate.
three_times() {
	local hook=$1 name=${2:-mx.example.org}
	$hook k1.pem 1.pem
	installed "$name" k1.pem 1.pem
	$hook k1.pem 1b.pem
	installed "$name" k1.pem 1b.pem
	run $hook k2.pem 2.pem
	[ "$status" -ne 0 ]
	[[ "$output" == *'has another key; -f replaces it'* ]]
	installed "$name" k1.pem 1b.pem
	MTATLS_NEW_KEY=yes $hook k2.pem 2.pem
	installed "$name" k2.pem 2.pem
}

certbot() {
	files live/mx.example.org "$1" "$2"
	RENEWED_LINEAGE=$PWD/live/mx.example.org RENEWED_DOMAINS='mx.example.org' "$HOOKS/certbot"
}

@test "certbot" {
	three_times certbot
	[ "$(ls "$MTATLS_DIR/certs")" = mx.example.org ]
	run ! "$HOOKS/certbot"
	[[ "$output" == *'not called by certbot' ]]
}

@test "certbot through a link in renewal-hooks, its lineage a link into archive" {
	mkdir hooks
	ln -s "$HOOKS/certbot" hooks/mtatls
	files archive k1.pem 1.pem
	mkdir -p live/mail
	for f in privkey fullchain cert chain; do
		ln -s ../../archive/$f.pem live/mail/$f.pem
	done
	RENEWED_LINEAGE=$PWD/live/mail RENEWED_DOMAINS='mx.example.org' hooks/mtatls
	installed mail k1.pem 1.pem
}

dehydrated() {
	files certs/mx.example.org "$1" "$2"
	"$HOOKS/dehydrated" deploy_cert mx.example.org certs/mx.example.org/privkey.pem certs/mx.example.org/cert.pem \
	    certs/mx.example.org/fullchain.pem certs/mx.example.org/chain.pem 1700000000
}

@test "dehydrated, with the calls that are for others" {
	for call in startup_hook exit_hook generate_csr this_hookscript_is_broken__dehydrated_is_working_fine \
	    'deploy_challenge mx.example.org file token' 'unchanged_cert mx.example.org k c f h'; do
		# shellcheck disable=SC2086 # words
		run -0 "$HOOKS/dehydrated" $call
		[ -z "$output" ]
	done
	[ ! -e "$MTATLS_DIR" ]
	three_times dehydrated
}

# acme.sh reads the file and calls the function in its own shell.
acme_sh() {
	files acme "$1" "$2"
	MTATLS_DEPLOY=$HOOKS/mtatls-deploy sh -c '. "$1"; mtatls_deploy mx.example.org acme/privkey.pem acme/cert.pem \
	    acme/chain.pem acme/fullchain.pem' sh "$HOOKS/mtatls.sh"
}

@test "acme.sh, by its deploy hook" {
	three_times acme_sh
}

# --reloadcmd is a line for the shell, when key and full chain are in their places.
reloadcmd() {
	files installed "$1" "$2"
	sh -c "'$HOOKS/mtatls-deploy' mx.example.org installed/privkey.pem installed/fullchain.pem"
}

@test "acme.sh, by --reloadcmd" {
	three_times reloadcmd
}

lego() {
	mkdir -p .lego/certificates
	cp "$1" .lego/certificates/mx.example.org.key
	cp "$2" .lego/certificates/mx.example.org.crt
	LEGO_ACCOUNT_EMAIL=a@example.org LEGO_CERT_DOMAIN=mx.example.org \
	    LEGO_CERT_PATH=$PWD/.lego/certificates/mx.example.org.crt \
	    LEGO_CERT_KEY_PATH=$PWD/.lego/certificates/mx.example.org.key "$HOOKS/lego"
}

@test "lego" {
	three_times lego
	run ! "$HOOKS/lego"
	[[ "$output" == *'not called by lego' ]]
}

@test "MTATLS_NAME, and a name for which there was a self-signed certificate" {
	export MTATLS_NAME=mail
	"$BIN/mkcert" -k k1.pem -n mail mx.example.org > log
	three_times lego mail
	[ "$(ls "$MTATLS_DIR/certs")" = mail ]
}

@test "the relay is told, and only when something was installed" {
	export MTATLS_PID_FILE=$PWD/pid
	mkfifo ready
	bash -c 'trap "echo told >> told" HUP; echo > ready; while :; do read -r -t 1 <> <(:); done' 3>&- &
	relay=$!
	echo $relay > pid
	read -r _ < ready
	lego k1.pem 1.pem
	timeout 20 bash -c 'until [ -e told ]; do :; done'
	run lego k2.pem 2.pem
	[ "$status" -eq 1 ]
	kill $relay
	wait $relay || :
	[ "$(wc -l < told)" -eq 1 ]
	: > pid
	run lego k1.pem 1.pem
	[[ "$output" == *"$MTATLS_PID_FILE: no process number in it" ]]
}

@test "what cannot be: usage, files, settings" {
	run -2 "$HOOKS/mtatls-deploy" mx.example.org k1.pem
	[ "$output" = 'usage: mtatls-deploy DOMAIN KEY FULLCHAIN' ]
	run -2 "$HOOKS/mtatls-deploy" mx.example.org none.pem 1.pem
	[ "$output" = 'mtatls-deploy: none.pem: cannot be read' ]
	MTATLS_NEW_KEY=maybe run -2 "$HOOKS/mtatls-deploy" mx.example.org k1.pem 1.pem
	[ "$output" = 'mtatls-deploy: MTATLS_NEW_KEY=maybe: yes or no expected' ]
	run "$HOOKS/mtatls-deploy" -x k1.pem 1.pem
	[ "$status" -ne 0 ]
	run "$HOOKS/mtatls-deploy" mx.example.org k2.pem 1.pem
	[ "$status" -eq 1 ]
	[[ "$output" == *'wrong key'* ]]
	[ ! -e "$MTATLS_DIR/certs/mx.example.org" ]
}
