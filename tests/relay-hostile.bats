#!/usr/bin/env bats
# Hostile clients of smtp-relay: each row of relay-hostile.rows in clear text and after STARTTLS, what others take
# for the end of a message in all segmentations, things planted in the spool.
# shellcheck disable=SC2034 # some variables are for lab/relay.bash

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
}

teardown()
{
	relay_end
}

MAIL='MAIL FROM:<a@client.example>\r\n'
RCPT='RCPT TO:<user@relay.example>\r\n'
SMUGGLED="$MAIL$RCPT"'DATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'

PLAIN=("=" 'EHLO c.example\r\n' "=")
TLS=("=" 'EHLO c.example\r\n' "=" 'STARTTLS\r\n' "=" tls 'EHLO c.example\r\n' "=")

make_files()
{
	head -c 65536 /dev/zero | tr '\0' x > line-64k
	{ printf 'Subject: x\r\n\r\n'; head -c 1048576 /dev/zero | tr '\0' x; printf '\r\n.\r\n'; } > body-1M
	{ yes $'X-Header: y\r' | head -n 100000; printf '\r\nx\r\n.\r\n'; } > headers-100k
	yes $'RCPT TO:<user@relay.example>\r' | head -n 1000000 > rcpt-1M
	yes $'FROB\r' | head -n 1000 > errors
	yes $'RSET\r' | head -n 1000 > rsets
	for i in 1 2; do
		# No header: it would be too large.
		{ printf 'BDAT 1500000\r\n\r\n%046d\r\n' 0; yes "$(printf '%048d\r' 0)" | head -n 29999; } > chunk-$i
	done
}

start_hostile()
{
	make_files
	relay_conf 'max-size 2M' "listen in 127.0.0.1@$RELAY_PORT type public tls preferred domains relay.example" \
	    'hosts in 127.8.0.0/16 accept command-time 2s data-time 2s'
	relay_start
}

# A word of a row with its short forms written out.
expand()
{
	word=$1
	word=${word//'{M}'/$MAIL}
	word=${word//'{R}'/$RCPT}
	word=${word//'{D}'/${MAIL}${RCPT}DATA\\r\\n}
	word=${word//'{S}'/$SMUGGLED}
}

# N: where the client of row N comes from; those that are to time out have less time.
address_of()
{
	local net=1
	[[ ${logs[$1]} != *end=timeout* ]] || net=8
	addr=127.$net.$(($1 / 200)).$(($1 % 200 + 1))
}

# WORD…: the rows behind these words, several at once, into said.N; wants, logs and lines are theirs.
run_all()
{
	local line row=() words word i addr n=0
	wants=() logs=() lines=()
	while IFS= read -r line; do
		case $line in '#'*|'') continue ;; esac
		IFS=$'\t' read -ra row <<< "$line"
		words=()
		for ((i = 2; i < ${#row[@]}; i++)); do
			expand "${row[i]}"
			words+=("$word")
		done
		wants+=("${row[0]//C/@(closed|reset)}") logs+=("${row[1]}") lines+=("$line")
		address_of $n
		[ "$(jobs -rp | wc -l)" -lt 8 ] || wait -n || :
		say -b "$addr" -w 30 "$RELAY_PORT" "$@" "${words[@]}" > "said.$n" 3>&- &
		n=$((n + 1))
	done < "$BATS_TEST_DIRNAME/relay-hostile.rows"
	mapfile -t row < <(jobs -rp | grep -vx "$RELAY_JOB")
	[ ${#row[@]} -eq 0 ] || wait "${row[@]}"
}

# PREFIX-CODES WORD…
run_rows()
{
	local codes=$1 wants logs lines n failed=0 got addr
	shift
	run_all "$@"
	[ ${#wants[@]} -gt 80 ]
	relay_await 10 eval '[ "$(grep -c " disconnect " log)" -eq ${#wants[@]} ]'
	for ((n = 0; n < ${#wants[@]}; n++)); do
		got=$(< "said.$n")
		address_of $n
		# shellcheck disable=SC2053 # a pattern
		if [[ $got != "$codes "${wants[n]} ]]; then
			echo "row: ${lines[n]}"
			echo "got: ${got:0:200}"
			failed=1
		elif [ "${logs[n]}" != - ] && ! grep "client=$addr " log | grep -qE -- "${logs[n]}"; then
			echo "row: ${lines[n]}"
			grep "client=$addr " log | tail -n 5
			failed=1
		fi
	done
	[ $failed -eq 0 ]
	# Nothing of all that is raw in the log, nothing ran, and only what was accepted is there.
	run ! grep -P '[^\x20-\x7e]' log
	[ ! -e ran ]
	relay_await 10 eval '[ -z "$(ls -A spool/new)" ]'
	[ "$(relay_ids | wc -l)" -eq "$(grep -c ' accepted ' log)" ]
	run ! grep -rqs smuggled spool/queue
	relay_says '250 221 closed' 'NOOP\r\n' = 'QUIT\r\n'
}

@test "hostile clients in clear text" {
	start_hostile
	run_rows '220 250' "${PLAIN[@]}"
}

@test "hostile clients after STARTTLS" {
	start_hostile
	run_rows '220 250 220 250' "${TLS[@]}"
}

# ---- the end of a message ----

FORMS=('\n.\n' '\n.\r\n' '\r\n.\n' '\r.\r' '\r\n.\r' '\r.\r\n' '\r\n.\r\r\n' '\r\r\n.\r\n' '\n.\r' '\r.\n' '\n\n.\n\n'
    '\r\n.\0\r\n' '\r\n\0.\r\n' '\0' '\n' '\r' '\r\n.\n\r\n')

# Octet by octet, with a moment between: WORD… in split.
split_form()
{
	local text=$1
	split=()
	while [ -n "$text" ]; do
		case $text in
		\\*) split+=("${text:0:2}" +) text=${text:2} ;;
		*) split+=("${text:0:1}" +) text=${text:1} ;;
		esac
	done
}

@test "ends of data that others take for one, after STARTTLS: in one record and octet by octet" {
	local form split failed=0 n=0 jobs=()
	relay_start
	for form in "${FORMS[@]}"; do
		split_form "$form"
		say "$RELAY_PORT" "${TLS[@]}" "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n\r\nfirst'"$form$SMUGGLED"'\r\n.\r\nQUIT\r\n' \
		    > "said.$n" 3>&- &
		jobs+=($!)
		n=$((n + 1))
		say "$RELAY_PORT" "${TLS[@]}" "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n\r\nfirst' + "${split[@]}" \
		    "$SMUGGLED"'\r\n.\r\nQUIT\r\n' > "said.$n" 3>&- &
		jobs+=($!)
		n=$((n + 1))
	done
	wait "${jobs[@]}"
	[ $n -eq $((2 * ${#FORMS[@]})) ]
	for ((i = 0; i < n; i++)); do
		[[ $(< said.$i) == '220 250 220 250 250 250 354 '?('554 ')@(reset|closed) ]] ||
		    { echo "${FORMS[i / 2]}: $(< said.$i)"; failed=1; }
	done
	[ $failed -eq 0 ]
	[ -z "$(relay_ids)" ]
	relay_await 10 eval '[ "$(grep -c "end=line-end" log)" -eq $((2 * ${#FORMS[@]})) ]'
	relay_await 10 eval '[ -z "$(ls -A spool/new)" ]'
}

# ---- the spool ----

@test "links planted in new/ are not followed, and take nobody's place" {
	local name pid
	[ "$(id -u)" -eq 0 ] || skip "needs root: the folders are of several users"
	relay_start
	echo secret > "$RELAY/secret"
	chmod 644 "$RELAY/secret"
	# What a process of the user could make there; the names are those that IDs may have.
	pid=$(relay_role in-1)
	[ -n "$pid" ]
	setpriv --reuid news --regid news --clear-groups ln -s "$RELAY/secret" spool/new/0123456789ABCD
	setpriv --reuid news --regid news --clear-groups ln -s /etc/passwd spool/new/0123456789ABCE
	setpriv --reuid news --regid news --clear-groups ln -s nowhere spool/new/0123456789ABCF
	ln "$RELAY/secret" spool/new/0123456789ABCG
	mkdir spool/new/0123456789ABCH
	mkfifo spool/new/0123456789ABCI
	relay_says '250 250 354 250 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	[ "$(relay_ids | wc -l)" -eq 1 ]
	relay_stop
	relay_start
	[ "$(relay_ids | wc -l)" -eq 1 ]
	[ "$(< secret)" = secret ]
	[ "$(stat -c %U secret)" = root ]
	run ! grep -rqs 'secret\|root:' spool/queue spool/bad
}

@test "links planted in queue/ and hold/ are no messages, and what they lead to stays" {
	local id file
	relay_start
	relay_says '250 250 354 250 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	id=$(relay_ids)
	file=$(ls spool/queue)
	relay_stop
	mv "spool/queue/$file" "$RELAY/elsewhere"
	ln -s "$RELAY/elsewhere" "spool/queue/$file"
	ln -s /etc/passwd spool/queue/junk
	ln -s /etc spool/hold/junk
	sum=$(md5sum < elsewhere)
	RELAY_DELIVER=yes relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" \
	    "route relay.example 127.0.0.1@$RELAY_PORT2"
	relay_start
	relay_await 20 eval '[ ! -e "spool/queue/$file" ] || grep -q "$id fault" log'
	[ "$(md5sum < elsewhere)" = "$sum" ]
	[ -e /etc/passwd ]
	run ! grep -q ' delivered ' log
	run ! grep -rqs root: spool/queue spool/bad spool/hold --exclude=junk
}

@test "a spool, or a folder of it, that is a link elsewhere is refused" {
	relay_start
	relay_stop
	mkdir -m 711 real
	mv spool/queue real/queue
	ln -s ../real/queue spool/queue
	relay_spawn
	run wait "$RELAY_JOB"
	[ "$status" -ne 0 ] || { cat log; false; }
	RELAY_JOB=
}
