#!/usr/bin/env bats
# shellcheck disable=SC2154 # stderr is run's
# tlscheck without a network: --chain against names, records, CAs and times; --replay of files that somebody wrote.

bats_require_minimum_version 1.5.0

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	export MTATLS_DIR=$PWD/state MTATLS_SYSTEM_CA=$PWD/ca.pem
	"$BIN/mkcert" --ca -n ca Root > log
	"$BIN/mkcert" --signer ca -n leaf mx.a.test > log
	"$BIN/mkcert" -n self mx.a.test > log
	"$BIN/mkcert" --signer ca -n cn -a other.a.test mx.cn.test > log
	cp state/certs/ca/cert.pem ca.pem
	local name
	for name in leaf self cn; do
		cat "state/certs/$name/cert.pem" > $name.pem
		[ $name = self ] || cat ca.pem >> $name.pem
	done
	openssl x509 -in leaf.pem -outform DER -out leaf.der
	openssl crl2pkcs7 -nocrl -certfile ca.pem -certfile state/certs/leaf/cert.pem -out leaf.p7
	openssl crl2pkcs7 -nocrl -certfile ca.pem -certfile state/certs/leaf/cert.pem -outform DER -out leaf.p7b
	cat ca.pem state/certs/leaf/cert.pem > shuffled.pem
	{ cat state/certs/leaf/key.pem; cat leaf.pem; } > with-key.pem
	ee=$("$BIN/tlsa-gen" --rdata -i state/certs/leaf/cert.pem)
	ta=$("$BIN/tlsa-gen" --rdata -u 2 -s 0 -i ca.pem)
	bad="3 1 1 $(printf '%064d' 0)"
	export ee ta bad
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return 1
	export MTATLS_DIR=$PWD/state MTATLS_SYSTEM_CA=$PWD/ca.pem
}

check() {
	run --separate-stderr "$BIN/tlscheck" "$@"
}

# chain | options | exit | first word | what the line says (a shell pattern)
rows() {
	cat <<- END
		leaf.pem | --name mx.a.test --tlsa EE | 0 | AUTH | *own key \[RFC 7672 3.1.1\]
		leaf.der | --name mx.a.test --tlsa EE | 0 | AUTH | *\[RFC 7672 3.1.1\]
		leaf.p7 | --name mx.a.test --tlsa EE | 0 | AUTH | *\[RFC 7672 3.1.1\]
		leaf.p7b | --name mx.a.test --tlsa EE | 0 | AUTH | *\[RFC 7672 3.1.1\]
		with-key.pem | --name mx.a.test --tlsa EE | 0 | AUTH | *\[RFC 7672 3.1.1\]
		shuffled.pem | --name mx.a.test --tlsa EE | 1 | SKIP | *\[RFC 7672 2.2\]
		leaf.pem | --name other.test --tlsa EE | 0 | AUTH | *\[RFC 7672 3.1.1\]
		leaf.pem | --name mx.a.test --tlsa EE --time 2001-01-01 | 0 | AUTH | *\[RFC 7672 3.1.1\]
		leaf.pem | --name mx.a.test --tlsa BAD | 1 | SKIP | *the server shows 3 1 1 *\[RFC 7672 2.2\]
		leaf.pem | --name mx.a.test --tlsa BAD --tlsa EE | 0 | AUTH | *
		leaf.pem | --name mx.a.test --tlsa BAD --dane none | 0 | ENC | *DANE is not used*
		leaf.pem | --name mx.a.test --tlsa TA | 0 | AUTH | *\[RFC 7672 3.1.2\]
		leaf.pem | --name mx.b.test --tlsa TA | 1 | SKIP | *\[RFC 7672 3.2.2\]
		leaf.pem | --name mx.b.test --name mx.a.test --tlsa TA | 0 | AUTH | *\[RFC 7672 3.1.2\]
		leaf.pem | --name mx.a.test --tlsa TA --time 4000000000 | 1 | SKIP | *expired*\[RFC 7672 3.1.2\]
		leaf.pem | --name mx.a.test --tlsa TA --time 2001-01-01T00:00:00Z | 1 | SKIP | *\[RFC 7672 3.1.2\]
		leaf.pem | --name mx.a.test --tlsa '1 1 1 00' | 0 | ENC | *usable*\[RFC 7672 2.2\]
		leaf.pem | --name mx.a.test --tlsa '1 1 1 00' --dane mandatory | 1 | SKIP | *\[RFC 7672 6\]
		leaf.pem | --name mx.a.test | 0 | ENC | *\[RFC 7672 2.2\]
		leaf.pem | --name mx.a.test --dane mandatory | 1 | SKIP | *\[RFC 7672 6\]
		leaf.pem | --name mx.a.test -l no | 0 | CLEAR | *\[local\]
		leaf.pem | --name mx.a.test -l required | 0 | ENC | *
		leaf.pem | --name mx.a.test -l preferred-verify | 0 | AUTH | *\[RFC 6125 6.4\]
		leaf.pem | --name mx.b.test -l preferred-verify | 0 | ENC | *\[RFC 6125 6.4\]
		leaf.pem | --name mx.a.test -l required-verify | 0 | AUTH | *\[RFC 6125 6.4\]
		leaf.pem | --name MX.A.test. -l required-verify | 0 | AUTH | *\[RFC 6125 6.4\]
		leaf.pem | --name mx.b.test -l required-verify | 1 | SKIP | *\[RFC 6125 6.4\]
		leaf.pem | --name mx.b.test --name a.test --name mx.a.test -l required-verify | 0 | AUTH | *
		leaf.pem | --name mx.a.test -l required-verify --time 4000000000 | 1 | SKIP | *expired*
		leaf.pem | --name mx.a.test -l required-verify-hosted | 0 | AUTH | *
		leaf.pem | --name mx.a.test -l required-verify --ca self.pem | 1 | SKIP | *\[RFC 5280 6.1*\]
		self.pem | --name mx.a.test -l required-verify | 1 | SKIP | *self-signed*\[RFC 5280 6.1*\]
		self.pem | --name mx.a.test -l required-verify --ca self.pem | 0 | AUTH | *
		self.pem | --name mx.a.test -l required-verify --tlsa BAD | 1 | SKIP | *\[RFC 7672 2.2\]
		leaf.pem | --name mx.a.test -l required-verify --tlsa BAD | 1 | SKIP | *\[RFC 7672 2.2\]
		self.pem | --name 192.0.2.1 | 0 | ENC | *\[RFC 6698 3\]
		leaf.pem | --name mx.a.test --expect AUTH | 1 | ENC | *
		leaf.pem | --name mx.a.test --expect ENC | 0 | ENC | *
		leaf.pem | --name mx.a.test --dane mandatory --expect SKIP | 0 | SKIP | *
		leaf.pem | --name mx.a.test -w 30 | 0 | ENC | *
		leaf.pem | --name mx.a.test -w 400 | 1 | ENC | *
	END
}

trim() {
	local s=$1
	s=${s#"${s%%[! ]*}"}
	printf '%s' "${s%"${s##*[! ]}"}"
}

judge_row() {
	local chain=$1 options=$2 exit=$3 word=$4 says=$5 args out status=0
	options=${options//EE/"'$ee'"}
	options=${options//TA/"'$ta'"}
	options=${options//BAD/"'$bad'"}
	eval "args=($options)"
	out=$("$BIN/tlscheck" --chain "$chain" "${args[@]}" 2>&1) || status=$?
	[ "$status" = "$exit" ] || echo "$chain $options: exit $status, wanted $exit: $out"
	[ "${out%% *}" = "$word" ] || echo "$chain $options: wanted $word: $out"
	# shellcheck disable=SC2053
	[[ ${out%%$'\n'*} == $says ]] || echo "$chain $options: does not say $says: $out"
	[ "$("$BIN/tlscheck" -j --chain "$chain" "${args[@]}" | jq -r .verdict)" = "$word" ] ||
		echo "$chain $options: JSON has another verdict"
}

@test "a chain, names, records, CAs, a time: verdict, exit status and clause" {
	local wrong n=0
	while IFS='|' read -r chain options exit word says; do
		n=$((n + 1))
		wrong+=$(judge_row "$(trim "$chain")" "$(trim "$options")" "$(trim "$exit")" "$(trim "$word")" "$(trim "$says")")
	done < <(rows)
	[ -z "$wrong" ] || { printf '%s\n' "$wrong"; return 1; }
	[ "$n" -gt 40 ]
}

@test "what cannot be judged: 2, one line on stderr that names it, nothing on stdout" {
	local args
	: > empty
	head -c 1000 /dev/urandom > noise
	printf -- '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' > broken.pem
	while read -r args; do
		eval "check $args"
		echo "$args: $status: $stderr"
		[ "$status" -eq 2 ]
		[ -z "$output" ]
		[[ ${stderr_lines[0]} == 'tlscheck: '* ]]
	done <<- 'END'
		--chain none.pem --name mx.a.test
		--chain empty --name mx.a.test
		--chain noise --name mx.a.test
		--chain broken.pem --name mx.a.test
		--chain state/certs/leaf/key.pem --name mx.a.test
		--chain . --name mx.a.test
		--chain leaf.pem
		--chain leaf.pem --name ''
		--chain leaf.pem --name 'a b'
		--chain leaf.pem --name mx.a.test --tlsa ''
		--chain leaf.pem --name mx.a.test --tlsa '3 1 1 0'
		--chain leaf.pem --name mx.a.test --tlsa '3 1 x 00'
		--chain leaf.pem --name mx.a.test --tlsa '3 1 256 00'
		--chain leaf.pem --name 192.0.2.1 --tlsa "$ee"
		--chain leaf.pem --name mx.a.test --tlsa-file none
		--chain leaf.pem --name mx.a.test --tlsa-file empty
		--chain leaf.pem --name mx.a.test --tlsa-file noise
		--chain leaf.pem --name mx.a.test -l nonsense
		--chain leaf.pem --name mx.a.test -l no --dane mandatory
		--chain leaf.pem --name mx.a.test --time yesterday
		--chain leaf.pem --name mx.a.test --time 2026-13-01
		--chain leaf.pem --name mx.a.test --time 99999999999999999999
		--chain leaf.pem --name mx.a.test example.org
		--chain leaf.pem --name mx.a.test --replay x
		--chain leaf.pem --name mx.a.test --save x
		--chain leaf.pem --name mx.a.test -w x
		--chain leaf.pem --name mx.a.test -w 10,20
		--chain leaf.pem --name mx.a.test --expect GOOD
		--name mx.a.test example.org
		--tlsa "$ee" example.org
		--tlsa-file x example.org
		--replay none
		--replay empty
		--replay noise
		--replay leaf.pem
	END
	# Lists of CAs that cannot be read: the verdict is told, and that it rests on nothing.
	check --chain leaf.pem --name mx.a.test -l required-verify --ca none
	[ "$status" -eq 2 ]
	[[ $output == 'SKIP '* ]]
	[ "$stderr" = 'tlscheck: none: No such file or directory' ]
}

@test "no list of CAs enabled: nothing verifies" {
	"$BIN/castore" -d off disable system
	check -d off --chain leaf.pem --name mx.a.test -l required-verify
	[ "$status" -eq 1 ]
	[[ $output == 'SKIP '* ]]
	check -d off --chain leaf.pem --name mx.a.test -l required-verify --ca ca.pem
	[ "$status" -eq 0 ]
}

@test "--tlsa-file: as --tlsa, as a zone file, as tlsa-gen and dig write it; other owners are passed over" {
	local data=${ee##* }
	{
		echo '; a comment'
		echo "_25._tcp.mx.a.test. 3600 IN TLSA ( 3 1 1 ${data:0:32} ${data:32} ) ; the key"
	} > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file zone
	[ "$status" -eq 0 ]
	[[ $output == 'AUTH '* ]]
	"$BIN/tlsa-gen" leaf > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file - < zone
	[[ $output == 'AUTH '* ]]
	printf '3 1 1 %s\n' "${data^^}" > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file zone
	[[ $output == 'AUTH '* ]]
	printf '_25._tcp.mx.a.test. IN TYPE52 \\# 35 030101%s\r\n' "$data" > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file zone
	[[ $output == 'AUTH '* ]]
	printf '_25._tcp.mx IN TLSA %s\n  IN TLSA 3 1 1 %064d\n_25._tcp.mx2.a.test. IN TLSA %s\n' "$ee" 1 "$bad" > zone
	check -v --chain leaf.pem --name mx.a.test --tlsa-file zone
	[[ $output == 'AUTH '* ]]
	[ "$(grep -c '^    TLSA ' <<< "$output")" -eq 2 ]
	[ "$stderr" = 'tlscheck: zone: 1 record of other names passed over: _25._tcp.mx.a.test. is looked at' ]
	check --chain leaf.pem --name mx.a.test --port 26 --tlsa-file zone
	[ "$status" -eq 2 ]
	[ "$stderr" = 'tlscheck: zone: no TLSA record of _26._tcp.mx.a.test. in it' ]
	printf '%s\n\n3 1 1 xx\n' "$ee" > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file zone
	[ "$status" -eq 2 ]
	[[ $stderr == 'tlscheck: zone:3: '* ]]
	printf '_25._tcp.mx.a.test. IN TYPE52 \\# 34 030101%s\n' "$data" > zone
	check --chain leaf.pem --name mx.a.test --tlsa-file zone
	[ "$stderr" = 'tlscheck: zone:1: its length says 34 octets, there are 35' ]
}

@test "-T: every level and DANE setting of one chain, and JSON has the same" {
	check -T --chain leaf.pem --name mx.a.test --tlsa "$ee"
	[ "$status" -eq 0 ]
	diff - <(tail -n +2 <<< "$output") <<- 'END'
		  under every level:
		  tls                     dane none           dane opportunistic  dane mandatory
		  no                      CLEAR               -                   -
		  preferred               ENC                 AUTH*               AUTH
		  preferred-verify        AUTH                AUTH                AUTH
		  required                ENC                 AUTH                AUTH
		  required-verify         AUTH                AUTH                AUTH
		  required-verify-hosted  AUTH                AUTH                AUTH
	END
	check -T --chain self.pem --name mx.b.test --tlsa "$bad" -l required --dane none
	[ "$status" -eq 0 ]
	diff - <(sed -n 3,9p <<< "$output") <<- 'END'
		  tls                     dane none           dane opportunistic  dane mandatory
		  no                      CLEAR               -                   -
		  preferred               ENC                 SKIP                SKIP
		  preferred-verify        ENC                 SKIP                SKIP
		  required                ENC*                SKIP                SKIP
		  required-verify         SKIP                SKIP                SKIP
		  required-verify-hosted  SKIP                SKIP                SKIP
	END
	check -T -j --chain self.pem --name mx.b.test --tlsa "$bad"
	[ "$(jq -r '.levels[] | [.tls_level, .dane, .verdict] | join(" ")' <<< "$output" | grep -c 'SKIP$')" -eq 12 ]
	[ "$(jq '.levels | length' <<< "$output")" -eq 16 ]
}

@test "-N: the line and the status of a plugin; usage and input errors are UNKNOWN" {
	check -N --chain leaf.pem --name mx.a.test --tlsa "$ee" -w 30,7
	[ "$status" -eq 0 ]
	[[ $output =~ ^TLSCHECK\ OK\ -\ mx.a.test\ AUTH:\ .*\ \|\ \'mx.a.test_auth\'=1\ .*\'mx.a.test_days\'=36[45]\;30:\;7:$ ]]
	check -N --chain leaf.pem --name mx.a.test -w 400
	[ "$status" -eq 1 ]
	[[ $output == 'TLSCHECK WARNING - '*'; a certificate ends in 36'?' days |'* ]]
	check -N --chain leaf.pem --name mx.a.test -w 400,390
	[ "$status" -eq 2 ]
	[[ $output == 'TLSCHECK CRITICAL - '* ]]
	check -N --chain leaf.pem --name mx.a.test --expect AUTH
	[ "$status" -eq 2 ]
	check -N --chain leaf.pem --name mx.a.test --tlsa "$bad"
	[ "$status" -eq 2 ]
	[[ $output == 'TLSCHECK CRITICAL - mx.a.test SKIP: '* ]]
	[ "${#lines[@]}" -eq 1 ]
	check --chain leaf.pem -N
	[ "$status" -eq 3 ]
	[ "$output" = 'TLSCHECK UNKNOWN - --chain needs --name' ]
	check -N --chain none.pem --name mx.a.test
	[ "$status" -eq 3 ]
	[[ $output == 'TLSCHECK UNKNOWN - '* ]]
	check --bogus -N
	[ "$status" -eq 3 ]
	check -Nj --chain leaf.pem --name mx.a.test
	[ "$status" -eq 3 ]
}

@test "colour on a terminal alone, and NO_COLOR" {
	local words="'$BIN/tlscheck' --chain leaf.pem --name mx.a.test"
	run -0 env -u NO_COLOR TERM=xterm script -qec "$words" /dev/null
	[[ $output == $'\e[33mENC\e[0m mx.a.test'* ]]
	run -0 env NO_COLOR=1 TERM=xterm script -qec "$words" /dev/null
	[[ $output == 'ENC mx.a.test'* ]]
	run -0 env -u NO_COLOR TERM=dumb script -qec "$words" /dev/null
	[[ $output == 'ENC mx.a.test'* ]]
	run -0 env -u NO_COLOR TERM=xterm bash -c "$words"
	[[ $output == 'ENC mx.a.test'* ]]
}

# Evidence that somebody wrote -----------------------------------------------------------------------------

evidence() {
	cat <<- END
		evidence 1
		destination a.test
		time 2027-01-01T00:00:00Z
		port 25
		asked a.test
		mx found secure
		sts none
		host mx.a.test 10
		addresses found secure
		address 192.0.2.1
		tlsa found
		tlsa-base mx.a.test
		record $ee
		connection 192.0.2.1 tls ready greeted
		banner 220%20mx
		tls TLSv1.2 ECDHE-ECDSA-AES256-SHA 256 0 x25519 ECDSA-SHA256 safe
		$(sed 's/^/pem /' leaf.pem)
		end
	END
}

@test "--replay: evidence is judged as of its own time, under any policy, or as of --time" {
	evidence > good
	check -v --replay good
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'a.test: AUTH: mail is encrypted and verified by DANE at its MX host ['* ]]
	[[ $output == *'evidence of 2027-01-01T00:00:00Z, judged as of 2027-01-01T00:00:00Z'* ]]
	check --replay good -l required-verify --dane none
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'a.test: AUTH: mail is encrypted and verified by a trusted CA at its MX host ['* ]]
	check --replay good -l required-verify --dane none --time 2060-01-01
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == 'a.test: SKIP: '*'expired'* ]]
	check --replay good -l required-verify --dane none --tls-min 1.3
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == 'a.test: SKIP: '*'its highest version of TLS is too low'* ]]
	sed 's/ECDSA-SHA256 safe/ECDSA-SHA1 safe/' good > weak
	check --replay weak -l required-verify --dane none
	[ "$status" -eq 3 ]
	[[ $output == *'whether it has better was not asked'* ]]
	sed 's/^tls found/tlsa not-asked/; /^tlsa\|^record/d; s/^connection/tlsa not-asked\n&/' good > unasked
	check --replay unasked
	[ "$status" -eq 3 ]
	[[ ${lines[0]} == 'a.test: INCONCLUSIVE: '*'its TLSA records were not asked for'* ]]
	sed 's/^sts none/sts not-asked/' good > unasked
	check -q --dane none --replay unasked
	[ "$status" -eq 0 ]
	[ "${lines[1]}" = 'a.test: not asked: whether the domain has an MTA-STS policy, which may ask for more' ]
}

@test "--replay: MTA-STS in the evidence decides as it does online" {
	evidence | sed '/^tlsa\|^record/d; s/^connection/tlsa absent\n&/; s/^sts none/sts found\nsts-policy enforce 86400 MX/' > sts
	sed 's/MX$/*.a.test/' sts > fits
	check --replay fits
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'a.test: AUTH: mail is encrypted and verified by MTA-STS at its MX host ['* ]]
	sed 's/MX$/mx.b.test/' sts > misfit
	check --replay misfit
	[ "$status" -eq 1 ]
	[[ $output == *'what to do:'*'add it to the mx patterns of the domain'* ]]
	check --replay misfit --sts none
	[ "$status" -eq 0 ]
	sed 's/MX$/mx.b.test/; s/enforce/testing/' sts > testing
	check --replay testing
	[ "$status" -eq 0 ]
	[[ $output == *'before the MTA-STS policy leaves mode testing: it would refuse this host: '* ]]
}

@test "--replay: some of the destinations, and one that is not in the file" {
	{ evidence; evidence | sed '1d; s/^destination a.test/destination b.test/'; } > two
	check -q --replay two
	[ "${#lines[@]}" -eq 2 ]
	check -q --replay two B.test
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == 'b.test: '* ]]
	check -q --replay two c.test
	[ "$status" -eq 2 ]
	[ "$stderr" = 'tlscheck: two: no evidence of c.test in it' ]
	check -q --replay - < two
	[ "${#lines[@]}" -eq 2 ]
}

@test "--replay: every error of a hostile file with its line, bounded" {
	evidence | sed 's/^port 25/port 70000/; s/^address .*/address ::g/' > wrong
	check --replay wrong
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ ${stderr_lines[0]} == 'tlscheck: wrong:4: port: '* ]]
	[[ ${stderr_lines[1]} == 'tlscheck: wrong:10: expected an address' ]]
	printf 'evidence 1\ndestination \033[2J.test\n' > wrong
	check --replay wrong
	[ "$status" -eq 2 ]
	run ! env LC_ALL=C grep -q '[^[:print:][:space:]]' <<< "$stderr"
	head -n -1 <(evidence) > torn
	check --replay torn
	[ "$status" -eq 2 ]
	[[ $stderr == *': the file ends within a destination'* ]]
	# 64 MiB at most, and no more memory than its size asks for.
	{ echo 'evidence 1'; yes 'destination a' | head -n 3000000; } > many
	local room=700000
	[[ $BIN != */asan/* ]] || room=unlimited
	run --separate-stderr bash -c 'ulimit -v "$1"; shift; exec "$@"' limit $room "$BIN/tlscheck" --replay many
	[ "$status" -eq 2 ]
	[ "${#stderr_lines[@]}" -le 110 ]
	truncate -s 65M large
	check --replay large
	[ "$status" -eq 2 ]
	[[ $stderr == 'tlscheck: large: '* ]]
	rm -f many large
}
