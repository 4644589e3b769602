#!/usr/bin/env bats
# tlsa-gen on the network: live servers, what is published at each authoritative server, when a certificate may be
# deployed, and dynamic updates to a named.  All of it in the lab's namespace, where servers have port 53.

bats_require_minimum_version 1.5.0

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	. "$BATS_TEST_DIRNAME/lab/named.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_ns true
	named_start
	lab_spawn ns-https "${LAB_NS[@]}" openssl s_server -quiet -accept 127.0.0.25:465 \
	    -cert "$LAB_CERTS/good/cert.pem" -key "$LAB_CERTS/good/key.pem" -cert_chain "$LAB_CERTS/good/chain.pem"
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_ns_prefix
	named=$LAB_DIR/named
	good=$LAB_CERTS/good/cert.pem other=$LAB_CERTS/other/cert.pem
	good311=$(lab_rdata good 3 1 1) other311=$(lab_rdata other 3 1 1)
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR=$PWD/state
}

# In the namespace, with its resolver and the lab's anchor.
tlsa() { "${LAB_NS[@]}" "-w$PWD" "$BIN/tlsa-gen" --anchor "$LAB_ANCHOR" -t 4 "$@"; }

# WANT-STATUS WORDS-OF-STDERR ARG...
said() {
	local want=$1 words=$2
	shift 2
	run "-$want" --separate-stderr tlsa "$@"
	[[ "$stderr" == *"$words"* ]] || { echo "wanted: $words"; echo "$stderr"; false; }
}

# FILE: a second server of pub.test, with this as its zone; with none it ends.
second() {
	lab_nsd_end ns-second || true
	[ $# -gt 0 ] || return 0
	mkdir -p "$LAB_DIR/second"
	cp "$1" "$LAB_DIR/second/${2:-pub.test}.signed"
	lab_nsd_conf ns-second 127.0.0.56@53 "${2:-pub.test}" | sed "s,$LAB_DIR/zones,$LAB_DIR/second," \
	    > "$LAB_DIR/ns-second.conf"
	lab_spawn ns-second "${LAB_NS[@]}" "$lab_here/run-peer" nsd -d -c "$LAB_DIR/ns-second.conf"
	lab_await ns-second lab_nsd_started ns-second
}

pub() { tlsa --owner mx.pub.test -p "$LAB_PORT" "$@"; }

at_named() { "${LAB_NS[@]}" drill "_25._tcp.$1" TLSA @127.0.0.58 | awk '$4 == "TLSA" && /^_/ { print $5, $6, $7, $8 }' | sort; }

update() { tlsa --update --key "$named/k256.key" "$@"; }

@test "--connect: the certificate of a live server" {
	run -0 --separate-stderr tlsa --connect "mx.good.test@$LAB_PORT" --owner mx.good.test
	[ "$output" = "_$LAB_PORT._tcp.mx.good.test. IN TLSA $good311" ]
	[ "$stderr" = "tlsa-gen: mx.good.test: nobody vouches for this certificate: compare it with the server's own \
before its records are published" ]
	for host in "127.0.0.25:$LAB_PORT" "[127.0.0.25]:$LAB_PORT" "127.0.0.25@$LAB_PORT" "mx.good.test:$LAB_PORT"; do
		run -0 --separate-stderr tlsa --connect "$host" -p 25 --owner mx.good.test -u 3 -u 2 -s 0
		[ "$output" = "_25._tcp.mx.good.test. IN TLSA $(lab_rdata good 3 0 1)
_25._tcp.mx.good.test. IN TLSA $(lab_rdata ca 2 0 1)" ]
	done
	# The names of the certificate, and that the host is none of them.
	said 0 'mx.ok.dane.test: not among the certificate'"'"'s names, so it gets no record: --owner names it' \
	    --connect "mx.ok.dane.test@$LAB_PORT"
	[ "$(grep -c "^_$LAB_PORT._tcp.mx.good.test. IN TLSA $good311" <<< "$output")" -eq 1 ]
	# TLS from the start, by the port or by an option.
	run -0 --separate-stderr tlsa --connect 127.0.0.25@465 --rdata
	[ "$output" = "$good311" ]
	run -0 --separate-stderr tlsa --connect 127.0.0.25@465 --starttls none --rdata
	said 3 '127.0.0.25@465: ' --connect 127.0.0.25@465 --starttls smtp --rdata
	# A CA that the server sends is not missing there, one that it does not send is not found.
	run -0 --separate-stderr tlsa --connect 127.0.0.25@465 --rdata -u 2 -s 0
	[[ "$stderr" != *'digest of a CA'* ]]
	said 2 'and the server sends none; a self-signed certificate is published with usage 3' \
	    --connect "127.0.2.5@$LAB_PORT" --rdata -u 2
}

@test "--connect: servers that do not work out" {
	while read -r status host words; do
		said "$status" "$words" --connect "$host@$LAB_PORT" --rdata -t 2
		[ -z "$output" ]
	done <<-ROWS
		3 mx.no-starttls.dane.test 127.0.1.22@$LAB_PORT: STARTTLS is not offered
		3 mx.banner-421.dane.test answered with: 421 4.3.2 too busy
		3 mx.banner-never.dane.test timed out waiting
		3 mx.starttls-454.dane.test STARTTLS answered with: 454
		3 mx.inject.dane.test clear text behind the 220 to STARTTLS
		3 mx.tls-garbage.dane.test 127.0.1.30
		3 mx.tls-alert.dane.test 127.0.1.3
		3 mx.ehlo-endless.dane.test 127.0.1.1
		3 mx.down.test refused
		2 mx.mx-noaddr.test mx.mx-noaddr.test: has no address
		3 mx.bogus-a.test mx.bogus-a.test: its address cannot be looked up
	ROWS
	# The next address where one does not answer.
	run -0 --separate-stderr tlsa --connect "mx.multi-addr.test@$LAB_PORT" --rdata
	[ "$output" = "$good311" ]
}

@test "--check-published: two servers that agree, and that do not" {
	second "$LAB_DIR/zones/pub.test.signed"
	run -0 --separate-stderr pub --check-published -i "$good"
	[[ "$output" == "_$LAB_PORT._tcp.mx.pub.test.: published
  resolver: secure, 1 record, kept for "*" s more"* ]]
	[ "$(grep -c ': as wanted, ttl 300$' <<< "$output")" -eq 2 ]
	[[ "$output" == *'  ns2.pub.test 127.0.0.56: as wanted'* ]]
	[[ "$output" == *'  ns.nic.test 127.0.0.55: as wanted'* ]]
	# The second one stays behind.
	cp "$LAB_DIR/zones/pub.test.signed" old.signed
	lab_tlsa mx.pub.test "$other311"
	run -1 --separate-stderr pub --check-published -i "$other"
	[[ "$output" == "_$LAB_PORT._tcp.mx.pub.test.: not as wanted"* ]]
	[[ "$output" == *'  ns.nic.test 127.0.0.55: as wanted'* ]]
	[[ "$output" == *"  ns2.pub.test 127.0.0.56: differs, ttl 300
    missing   $other311
    dead      $good311  matches neither the current key nor the next"* ]]
	run -1 pub --check-published -i "$other" -j
	[ "$(jq -c '[.published, .dnssec, .zone, (.servers | sort_by(.server)[] | .server, .as_wanted,
	    [.missing[].rdata], [.dead[].rdata])]' <<< "$output")" = \
	    '[false,"secure","pub.test","ns.nic.test",true,[],[],"ns2.pub.test",false,["'"$other311"'"],["'"$good311"'"]]' ]
	# Asked by itself, with no word of the other.
	run -0 pub --check-published -i "$other" --server 127.0.0.55
	run -1 pub --check-published -i "$other" --server 127.0.0.56@53
	# Without signatures; without the zone; not at all.
	second "$LAB_DIR/zones/pub.test.zone"
	run -1 pub --check-published -i "$other"
	[[ "$output" == *'  ns2.pub.test 127.0.0.56: not validly signed: '* ]]
	second "$LAB_DIR/zones/good.test.signed" good.test
	run -3 pub --check-published -i "$other"
	[[ "$output" == *"pub.test.: not known"* && "$output" == *'ns2.pub.test 127.0.0.56: no answer of use: REFUSED'* ]]
	second
	run -3 pub --check-published -i "$other"
	[[ "$output" == *'ns2.pub.test 127.0.0.56: not asked: UDP: Connection refused'* ]]
	run -1 pub --check-published -i "$good"
	lab_tlsa mx.pub.test "$good311"
}

@test "--check-published: what the resolver says of the zone" {
	check() { run "-$1" tlsa --check-published -i "$good" -p "$LAB_PORT" --owner "mx.$2"; [[ "$output" == *"$3"* ]]; }
	check 0 good.test ': published'
	check 0 tlsa-alias.test 'an alias of _dane.tlsa-alias.test.'
	check 0 tlsa-wildcard.test ': published'
	check 1 unsigned.test 'insecure'
	check 1 bogus-tlsa.test 'bogus'
	check 3 tlsa-servfail.test 'failed'
	check 1 absent-nodata.test 'missing'
	check 1 absent-nxdomain.test 'missing'
	check 1 rollover.test 'dead'
	check 1 mixed.test 'unusable'
	check 1 nonexistent.test 'missing'
	run -3 tlsa --check-published -i "$good" --owner mx.good.test --resolver 127.0.0.3@53 -t 1
	[[ "$output" == *'resolver: failed'* ]]
	# Other forms of the same, and the next key, do no harm.
	lab_tlsa mx.pub.test "$good311" "$(lab_rdata good 3 0 2)" "$(lab_rdata ca 2 0 1)"
	cat "$good" "$LAB_CERTS/good/chain.pem" > chain.pem
	run -0 pub --check-published -i chain.pem --server 127.0.0.55
	[ "$(grep -c '^    also ' <<< "$output")" -eq 2 ]
	run -1 pub --check-published -i "$good" --server 127.0.0.55
	[[ "$output" == *'dead      2 0 1'*'matches no CA of the chain'* ]]
	"$BIN/mkcert" -n mx mx.pub.test > made
	"$BIN/csrgen" --next -o n.csr mx 2> said
	lab_tlsa mx.pub.test "$("$BIN/tlsa-gen" --rdata mx)" "$("$BIN/tlsa-gen" --rdata -i n.csr)"
	run -0 pub --check-published mx --server 127.0.0.55
	[[ "$output" == *'also '*'matches the next key'* ]]
	run -0 pub --check-published --next mx --server 127.0.0.55
	[[ "$output" != *'also '* ]]
	lab_tlsa mx.pub.test "$good311"
}

@test "--check-published: an answer that is too large for UDP" {
	many=()
	for n in $(seq 10 39); do many+=("3 1 2 $(printf %0128d "$n")"); done
	lab_tlsa mx.pub.test "$good311" "${many[@]}"
	run -1 pub --check-published -i "$good" --server 127.0.0.55
	[ "$(grep -c '^    dead ' <<< "$output")" -eq 30 ]
	[[ "$output" != *missing* ]]
	lab_tlsa mx.pub.test "$good311"
}

@test "--safe-to-deploy: from not there to safe" {
	second "$LAB_DIR/zones/pub.test.signed"
	run -1 --separate-stderr pub --safe-to-deploy "$other"
	[[ "$output" == "_$LAB_PORT._tcp.mx.pub.test.: not safe to deploy"* ]]
	[ "$(grep -c ': no record matches, ttl 300$' <<< "$output")" -eq 2 ]
	[[ "$output" == *"publish first, beside what is there: _$LAB_PORT._tcp.mx.pub.test. IN TLSA 3 1 1 "* ]]
	[ -z "$stderr" ]
	# One server has it, and the records there live longer.
	cp "$LAB_DIR/zones/pub.test.signed" old.signed
	lab_tlsa mx.pub.test "$good311" "$other311"
	run -1 pub --safe-to-deploy "$other"
	[[ "$output" == *"not safe to deploy"*'ns2.pub.test 127.0.0.56: no record matches'* ]]
	# Both have it: now it takes 300 s, from the first time that this was seen.
	second "$LAB_DIR/zones/pub.test.signed"
	before=$(date +%s)
	run -1 pub --safe-to-deploy "$other" -j
	until=$(date -d "$(jq -r .until <<< "$output")" +%s)
	[ "$until" -ge $((before + 300)) ]
	[ "$until" -le $(($(date +%s) + 300)) ]
	[ "$(jq -c '[.safe, .rdata, [.servers[].matches]]' <<< "$output")" = '[false,"'"$other311"'",[true,true]]' ]
	first=$(jq -r .since <<< "$output")
	run -1 pub --safe-to-deploy "$other"
	[[ "$output" == *"wait until "*"at all servers since $first, as far as is known; what was there before may be \
cached for 300 s"* ]]
	# Another certificate's question takes nothing away.
	run -1 pub --safe-to-deploy "$LAB_CERTS/self/cert.pem"
	# Six minutes later.
	sed -i "s/$first/$(date -u -d '-301 seconds' +%Y-%m-%dT%H:%M:%SZ)/" state/tlsa-seen
	run -0 pub --safe-to-deploy "$other"
	[[ "$output" == "_$LAB_PORT._tcp.mx.pub.test.: safe to deploy"* ]]
	run -0 pub --safe-to-deploy "$other" -j
	[ "$(jq .safe <<< "$output")" = true ]
	# A longer life of what was there before, which nobody but the user knows.
	run -1 pub --safe-to-deploy "$other" --ttl 1d
	# The record goes away at one server and comes back: all begins anew.
	second old.signed
	run -1 pub --safe-to-deploy "$other"
	second "$LAB_DIR/zones/pub.test.signed"
	run -1 pub --safe-to-deploy "$other"
	[[ "$output" == *"wait until"* ]]
	# The user says since when.
	run -0 pub --safe-to-deploy "$other" --since 2026-01-01
	run -1 pub --safe-to-deploy "$other" --since 2099-01-01
	[[ "$output" == *'wait until 2099-01-01T00:05:00Z'* ]]
	# A key alone, before there is a certificate.
	run -0 pub --safe-to-deploy "$LAB_CERTS/other/key.pem" --since 2026-01-01
	second
	run -3 pub --safe-to-deploy "$other" --since 2026-01-01
	[[ "$output" == *': not known'* ]]
	lab_tlsa mx.pub.test "$good311"
}

@test "--safe-to-deploy: what clients would make of the records" {
	deploy() { run "-$1" tlsa --safe-to-deploy "$2" -p "$LAB_PORT" --owner "mx.$3" --since 2026-01-01; }
	cat "$good" "$LAB_CERTS/good/chain.pem" > chain.pem
	deploy 0 "$good" good.test
	deploy 0 chain.pem ta-cert.test
	deploy 1 "$good" ta-cert.test
	deploy 1 chain.pem ta-unrelated.test
	deploy 0 chain.pem agility-good.test
	deploy 1 "$good" agility-bad.test
	deploy 1 "$LAB_CERTS/good/key.pem" agility-bad.test
	deploy 1 "$good" unusable.test
	deploy 0 "$good" mixed.test
	deploy 0 "$good" ee-exact.test
	deploy 1 "$good" unsigned.test
	deploy 1 "$good" bogus-tlsa.test
	deploy 1 "$good" absent-nodata.test
	deploy 3 "$good" tlsa-servfail.test
	[ "$(grep -c '^first ' state/tlsa-seen)" -ge 4 ]
	echo 'first x y' > state/tlsa-seen
	said 1 "nothing can be remembered, so that the wait begins anew each time: $MTATLS_DIR/tlsa-seen:1: " \
	    --safe-to-deploy "$good" -p "$LAB_PORT" --owner mx.good.test
	[ "$(cat state/tlsa-seen)" = 'first x y' ]
}

@test "--update: replaces, adds, and leaves alone what is right" {
	run -0 --separate-stderr update -i "$good" --owner mx.dyn.test --owner mx2.dyn.test
	[ "$output" = '_25._tcp.mx.dyn.test.: 1 added, 0 removed, ttl 3600
_25._tcp.mx2.dyn.test.: 1 added, 0 removed, ttl 3600' ]
	[ -z "$stderr" ]
	[ "$(at_named mx.dyn.test)" = "$good311" ]
	[ "$(at_named mx2.dyn.test)" = "$good311" ]
	run -0 update -i "$good" --owner mx.dyn.test
	[ "$output" = '_25._tcp.mx.dyn.test.: unchanged' ]
	run -0 tlsa --update --add --key "$named/k384.key" -i "$other" --owner mx.dyn.test
	[ "$(at_named mx.dyn.test)" = "$(printf '%s\n' "$good311" "$other311" | sort)" ]
	run -0 tlsa --update --key "$named/k512.key" -i "$other" --owner mx.dyn.test -m 1 -m 2 --ttl 5m -j
	[ "$(jq -c . <<< "$output")" = '{"owner":"_25._tcp.mx.dyn.test.","zone":"dyn.test","added":1,"removed":1,"ttl":300}' ]
	[ "$(at_named mx.dyn.test)" = "$(printf '%s\n' "$other311" "$(lab_rdata other 3 1 2)" | sort)" ]
	run -0 update -i "$other" --owner mx.dyn.test -m 1 -m 2
	[[ "$output" == *unchanged ]]
	run -0 update -i "$other" --owner mx.dyn.test -m 1 -m 2 --ttl 60
	[[ "$output" == *'0 added, 0 removed, ttl 60' ]]
	# The current key and the next.
	"$BIN/mkcert" mx.dyn.test > made
	"$BIN/csrgen" --next -o n.csr mx.dyn.test 2> said
	run -0 update --next mx.dyn.test
	[ "$(at_named mx.dyn.test)" = "$("$BIN/tlsa-gen" --next --rdata mx.dyn.test | sort)" ]
	# What was published is found so, signed by named, and validated.
	run -0 tlsa --check-published --next mx.dyn.test --server ns.dyn.test
	# To a server by name or address, the zone told or found.
	for to in '--server ns.dyn.test' '--server 127.0.0.58@53' '--zone dyn.test' '--zone DYN.test. --server 127.0.0.58'; do
		# shellcheck disable=SC2086
		run -0 update -i "$good" --owner mx.dyn.test $to
	done
}

@test "--update: many owners take more than one message" {
	owners=()
	for n in $(seq 300); do owners+=(--owner "h$n.dyn.test"); done
	run -0 update -i "$good" -m 0 "${owners[@]}"
	[ "${#lines[@]}" -eq 300 ]
	[ "$(at_named h1.dyn.test)" = "$(at_named h300.dyn.test)" ]
	[ -n "$(at_named h300.dyn.test)" ]
	run -0 update -i "$good" -m 0 "${owners[@]}"
	[ "$(grep -c ': unchanged$' <<< "$output")" -eq 300 ]
}

@test "--update: of many at once none is lost" {
	update -i "$good" --owner mx.dyn.test > said
	pids=()
	for n in 1 2 3 4 5 6; do
		openssl genpkey -algorithm ED25519 -out "k$n.pem"
		update --add -i "k$n.pem" --owner mx.dyn.test > "said$n" 2>&1 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done || { cat said?; false; }
	{ echo "$good311"; for n in 1 2 3 4 5 6; do "$BIN/tlsa-gen" --rdata -i "k$n.pem"; done; } | sort > want
	at_named mx.dyn.test | diff - want
}

@test "--update: what the server refuses, and whom it is not believed" {
	at_named mx.dyn.test > before
	secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' "$named/k256.key")
	(umask 077
	sed 's/"k256"/"unknown"/' "$named/k256.key" > unknown.key
	sed 's/sha256/sha512/' "$named/k256.key" > algorithm.key
	tr 'A-Ya-y' 'B-Zb-z' <<< "$secret" | sed 's/^/key k256 { algorithm hmac-sha256; secret "/; s/$/"; };/' > wrong.key)
	no() { local words=$1 status=$2; shift 2; said "$status" "$words" --update -i "$good" --owner mx.dyn.test -m 2 "$@"; }
	no '127.0.0.58@53: BADKEY: the server does not know the key "unknown" with hmac-sha256' 1 --key unknown.key
	no '127.0.0.58@53: BAD' 1 --key algorithm.key
	no '127.0.0.58@53: BADSIG: the server has another secret or algorithm for the key "k256"' 1 --key wrong.key
	no 'REFUSED: the server does not let the key other change these records' 1 --key "$named/other.key"
	no 'REFUSED: the server does not let requests without a key change these records' 1
	no 'not in the zone good.test' 2 --key "$named/k256.key" --zone good.test
	no 'NOTAUTH: the server is not the primary of the zone mx.dyn.test' 1 --key "$named/k256.key" \
	    --zone mx.dyn.test --server 127.0.0.58
	no 'mx.dyn.test: no zone; the zone is dyn.test' 1 --key "$named/k256.key" --zone mx.dyn.test
	no '127.0.0.59@53: UDP: Connection refused' 3 --key "$named/k256.key" --server 127.0.0.59
	no 'NOTIMP' 1 --key "$named/k256.key" --server 127.0.0.55 --zone dyn.test
	said 1 '_25._tcp.mx.good.test.: 127.0.0.58@53 is authoritative for no zone of it' \
	    --update --key "$named/k256.key" -i "$good" --owner mx.good.test --server 127.0.0.58
	said 1 '_25._tcp.alias.dyn.test.: 127.0.0.58@53: has an alias there' \
	    --update --key "$named/k256.key" -i "$good" --owner alias.dyn.test
	# Clocks that differ.
	gcc -shared -fPIC -o clock.so -x c - <<-'C'
		#include <time.h>
		time_t time(time_t *t) { struct timespec s; clock_gettime(CLOCK_REALTIME, &s); s.tv_sec += 4000;
		    if (t) *t = s.tv_sec; return s.tv_sec; }
	C
	LD_PRELOAD=$PWD/clock.so ASAN_OPTIONS=verify_asan_link_order=0 no 'BADTIME: the clocks differ: ' 1 \
	    --key "$named/k256.key" --zone dyn.test --server 127.0.0.58
	# Somebody who says that it is done.
	cat > liar.py <<-'PY'
		import socket, struct
		u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.61", 53))
		t = socket.socket(); t.bind(("127.0.0.61", 53)); t.listen(5)
		print("ready", flush=True)
		while True:
		    m, a = u.recvfrom(4096)
		    u.sendto(m[:2] + b"\x84\x00" + m[4:6] + b"\0" * 6 + m[12:len(m) - 11], a)
		    if m[-13:-11] == b"\0\x34" or b"\0\x34\0\x01" in m:
		        c, _ = t.accept(); m = c.recv(4096)[2:]
		        r = m[:2] + b"\xa8\x00" + b"\0" * 8
		        c.sendall(struct.pack(">H", len(r)) + r); c.close()
	PY
	lab_spawn ns-liar "${LAB_NS[@]}" "-w$PWD" python3 liar.py
	lab_await ns-liar lab_is_ready ns-liar
	no '127.0.0.61@53: done, says the server, but it cannot be believed: the answer is not signed (no TSIG)' 3 \
	    --key "$named/k256.key" --zone dyn.test --server 127.0.0.61
	lab_end ns-liar
	at_named mx.dyn.test | diff before -
}

@test "--update: the secret is neither in argv nor in what is said" {
	secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' "$named/k256.key")
	cp "$named/k256.key" open.key
	chmod 644 open.key
	said 0 'open.key: others may read this file, and change what its key may change' \
	    --update --key open.key -i "$good" --owner mx.dyn.test
	printf 'key k256 {\n\talgorithm hmac-sha256;\n\tsecret "%s!";\n};\n' "$secret" > broken.key
	said 2 'broken.key: line 3: expected a secret in base64' --update --key broken.key -i "$good" --owner mx.dyn.test
	[[ "$stderr" != *"${secret:0:12}"* ]]
	said 2 'none.key: No such file or directory' --update --key none.key -i "$good" --owner mx.dyn.test
	# The leak checker would need ptrace(2) for itself.
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 run -0 strace -f -e trace=execve,write,sendto -s 4096 -o trace "${LAB_NS[@]}" "-w$PWD" "$BIN/tlsa-gen" --anchor "$LAB_ANCHOR" \
	    --update --key "$named/k256.key" -i "$good" --owner mx.dyn.test --ttl 77
	run -1 grep -F "${secret:0:20}" trace
}

# In an hour of sleep the CA has answered, and what was in caches has gone.
examples_sleep() {
	cat <<-SH
		#!/bin/sh
		[ -s "$PWD/answer.pem" ] || openssl x509 -req -in "$PWD/next.csr" -CA "$LAB_CERTS/ca/cert.pem" \\
		    -CAkey "$LAB_CERTS/ca/key.pem" -days 30 -copy_extensions copy -out "$PWD/answer.pem" 2> "$PWD/log"
		sed -i 's/^\(first [^ ]*\) 20[0-9TZ:-]*/\1 2026-01-01T00:00:00Z/' "$MTATLS_DIR/tlsa-seen"
		echo slept >> "$PWD/slept"
		exec /bin/sleep 0.5
	SH
}

@test "the man page's EXAMPLES" {
	lab_peer_spawn ns-smtp 127.0.0.25@25="good,$LAB_CERTS/good" -- "${LAB_NS[@]}"
	"$BIN/mkcert" mx.dyn.test > made
	openssl genpkey -algorithm ED25519 -out next.pem
	cp "$named/k256.key" tsig.key
	mkdir bin
	examples_sleep > bin/sleep
	printf '#!/bin/sh\nexec "%s/tlsa-gen" --anchor "%s" -t 4 "$@"\n' "$BIN" "$LAB_ANCHOR" > bin/tlsa-gen
	chmod +x bin/*
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$BATS_TEST_DIRNAME/../man/tlsa-gen.1" |
	    sed -n '/^\.Bd/,/^\.Ed/{/^\./!p}' | sed 's/mx1\.example\.org/mx.dyn.test/g' > examples
	[ "$(wc -l < examples)" -eq 13 ]
	while read -r line; do
		status=0
		"${LAB_NS[@]}" "-w$PWD" bash -c "PATH=$PWD/bin:$BIN:\$PATH; $line" > out 2> err < /dev/null || status=$?
		echo "$line: $status"; cat out err
		case $line in
		*--check-published*--connect*) [ "$status" -eq 1 ] ;;	# the lab's certificate is not published there
		tlsa-gen\ --update*) [ "$status" -eq 0 ]; grep -q ' added, ' out; [ ! -s err ] ;;
		until*|*--check-published*) [ "$status" -eq 0 ]; [ ! -s err ] ;;
		tlsa-gen*) [ "$status" -eq 0 ]; grep -qE '3 1 [12] [0-9a-f]{64,}$' out ;;
		*) [ "$status" -eq 0 ] ;;
		esac
	done < examples
	[ -s slept ]
	[ "$(at_named mx.dyn.test)" = "$("$BIN/tlsa-gen" --rdata -i answer.pem)" ]
}
