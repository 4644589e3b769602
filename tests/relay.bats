#!/usr/bin/env bats
# smtp-relay takes mail: what arrives, what is refused, when 250 is said, who may relay, how it starts and ends.
# Deaths and disk errors are in relay-crash.bats, the configuration's words in relay-conf.bats.
# shellcheck disable=SC2034 # RELAY_PREFIX and RELAY_MAY_DIE are for lab/relay.bash

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

# ---- messages ----

# FILE: as it goes over the wire behind DATA.
stuffed()
{
	sed 's/^\./../' "$1"
	printf '.\r\n'
}

make_messages()
{
	mkdir m
	: > m/nothing
	printf '\r\n' > m/empty-line
	printf 'Subject: no body\r\n\r\n' > m/no-body
	printf '.\r\n' > m/one-dot
	printf '..\r\n.\r\n.x\r\n...\r\n\r\n.\r\n' > m/dots
	printf 'Subject: x\r\n\r\n.\r\n..\r\n\r\n.' > m/last-dot
	printf '\r\n' >> m/last-dot
	{ printf 'X: y\r\n\r\n'; head -c 60000 /dev/zero | tr '\0' a; printf '\r\n'; } > m/long-line
	{ printf 'X: y\r\n\r\n'; printf '\377\376\200 \303\266 \001\177\t\v\r\n%.0s' {1..50}; } > m/eight-bit
	{ printf 'X: y\r\n\r\n'; head -c 3000 /dev/urandom | base64 -w 70 | sed 's/$/\r/' | head -c 4088; } > m/4k
	printf '\r\n' >> m/4k
	{ printf 'X: y\r\n\r\n'; head -c 15000000 /dev/urandom | base64 -w 76 | sed 's/$/\r/; s/^a/./'; } > m/20M
}

# Sends message file $1 over one of the four ways and compares what stands in the spool.
arrives()
{
	local file=$1 way=$2 words=("=")
	stuffed "$file" > wire
	case $way in
	tls*) words+=('EHLO c\r\n' "=" 'STARTTLS\r\n' "=" tls) ;;
	esac
	words+=('EHLO c\r\n' "=")
	case $way in
	*pipelined) words+=("$MAIL$RCPT"'DATA\r\n' "=3" @wire "=" 'QUIT\r\n') ;;
	*) words+=("$MAIL" "=" "$RCPT" "=" 'DATA\r\n' "=" @wire "=" 'QUIT\r\n') ;;
	esac
	run say "$RELAY_PORT" "${words[@]}"
	[[ $output == *'250 250 354 250 221 closed' ]] || { echo "$file $way: $output"; return 1; }
	relay_message | cmp - "$file" || { echo "$file, $way"; return 1; }
	relay_forget
}

@test "messages arrive octet for octet: in clear and over TLS, command by command and pipelined" {
	local way file
	make_messages
	[ "$(wc -c < m/20M)" -gt 20000000 ]
	relay_start
	for way in plain pipelined tls tls-pipelined; do
		for file in m/*; do arrives "$file" $way; done
	done
}

@test "a message in segments of one octet" {
	local words=() i text='Subject: x\r\n\r\n..\r\n...\r\n.a\r\n\r\n.\r\n'
	relay_start
	text=$(printf '%b.' "$text")
	for ((i = 0; i < ${#text} - 1; i++)); do
		case ${text:i:1} in
		$'\r') words+=('\r') ;;
		$'\n') words+=('\n') ;;
		*) words+=("${text:i:1}") ;;
		esac
	done
	relay_says '250 250 354 250 221 closed' "$MAIL" "=" "$RCPT" "=" 'DATA\r\n' "=" "${words[@]}" "=" 'QUIT\r\n'
	relay_message | cmp - <(printf 'Subject: x\r\n\r\n.\r\n..\r\na\r\n\r\n')
}

@test "several messages over one connection, one aborted, one reset" {
	relay_start
	relay_says '250 250 354 250 250 250 250 250 250 354 250 221 closed' \
	    "$MAIL" = "$RCPT" = 'DATA\r\n' = 'one\r\n.\r\n' = "$MAIL$RCPT"'RSET\r\n' =3 \
	    "$MAIL$RCPT"'DATA\r\n' =3 'two\r\n.\r\n' = 'QUIT\r\n'
	[ "$(relay_ids | wc -l)" -eq 2 ]
	relay_says '250 250 354 left' "$MAIL$RCPT"'DATA\r\n' =3 'thr' '!'
	relay_await 5 grep -q 'end=lost stage=message' "$RELAY_LOG"
	[ "$(relay_ids | wc -l)" -eq 2 ]
	[ -z "$(ls -A spool/new)" ]
}

@test "the queue ID is in the reply, in the log, in the Received field and in the spool's names" {
	local id
	relay_start
	run say -l "$RELAY_PORT" = 'EHLO client.example\r\n' = 'STARTTLS\r\n' = tls 'EHLO client.example\r\n' = \
	    "$MAIL$RCPT"'DATA\r\n' =3 'x\r\n.\r\n' = 'QUIT\r\n'
	id=$(sed -n 's/^250 2\.0\.0 .*queued as //p' <<< "$output")
	[ "$id" = "$(relay_ids)" ] || { echo "$output"; return 1; }
	[[ $(ls spool/queue) == "$id",*,relay.example ]]
	relay_await 10 grep -q ": $id accepted session=in-[12].1 client=127.0.0.1 from=a@client.example recipients=1 size=3 tls=1" log
	run relayq -s spool cat "$id"
	[[ $output == "Received: from client.example "*127.0.0.1*"by relay.example"*ESMTPS*"id $id"*TLSv1.3* ]] ||
	    { echo "$output"; return 1; }
	run relayq -s spool show "$id"
	[[ $output == *'protocol ESMTPS'*'tls TLSv1.3 TLS_'*'from <a@client.example>'*'rcpt <user@relay.example>: waiting' ]]
}

@test "the Message-ID is in the log, escaped and bounded, where there is one" {
	local long
	relay_start
	long=$(printf 'x%.0s' {1..300})
	run say "$RELAY_PORT" = 'EHLO client.example\r\n' = \
	    'MAIL FROM:<>\r\n' = 'RCPT TO:<b@relay.example>\r\n' = 'DATA\r\n' = \
	    'Subject: x\r\nmessage-id:\r\n <a\x1b"b c@d>\r\n\r\nMessage-ID: <body@d>\r\n.\r\n' = \
	    'MAIL FROM:<>\r\n' = 'RCPT TO:<b@relay.example>\r\n' = 'DATA\r\n' = "Message-ID: <$long@d>\r\n\r\n.\r\n" = \
	    'MAIL FROM:<>\r\n' = 'RCPT TO:<b@relay.example>\r\n' = 'DATA\r\n' = 'Subject: x\r\n\r\nMessage-ID: <y>\r\n.\r\n' = \
	    'MAIL FROM:<>\r\n' = 'RCPT TO:<b@relay.example>\r\n' = 'BDAT 15\r\nMessage-ID: <ch' = \
	    'BDAT 8 LAST\r\nunk>\r\n\r\n' = 'QUIT\r\n'
	relay_logs 4 ' accepted '
	sed -n 's/.* accepted .* size=[0-9]* //p' log > got
	sed "s/LONG/${long::249}/" > want <<- 'END'
		tls=0 message-id="<a\x1b\"b c@d>"
		tls=0 message-id=<LONG...
		tls=0
		tls=0 message-id=<chunk>
	END
	diff want got
}

@test "the envelope: null sender, many recipients, BODY, HELO" {
	local i many=''
	relay_start
	for i in {1..300}; do many+="RCPT TO:<user$i@relay.example>\r\n"; done
	relay_says "250 $(printf '250 %.0s' {1..300})354 250 221 closed" \
	    'MAIL FROM:<> BODY=8BITMIME SIZE=10\r\n' = "$many" =300 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	run relayq -s spool show "$(relay_ids)"
	[[ $output == *'from <> BODY=8BITMIME'* ]] || { echo "$output"; return 1; }
	[ "$(grep -c ': waiting' <<< "$output")" -eq 300 ]
	relay_forget
	run say "$RELAY_PORT" = 'HELO old\r\n' = "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	[ "$output" = '220 250 250 250 354 250 221 closed' ]
	relayq -s spool show "$(relay_ids)" | grep -qx 'protocol SMTP'
}

# ---- when 250 is said ----

# Reads strace -f -y of all roles: for every 250 its file's last write, the sync of its data, the rename, the
# syncs of both folders (or of everything), in this order, each complete before the next begins.  Prints how many were right.
judge_trace()
{
	awk '
		function bad(why) { print NR ": " why ": " $0; failed = 1 }
		function id_in(s) { return match(s, /[0-9A-Za-z]{14}/) ? substr(s, RSTART, 14) : "" }
		# A call begins; its whole text where it is complete at once.
		{
			pid = $1
			text = $0
			sub(/^[0-9]+ +/, "", text)
			begins = ends = 1
			if (text ~ /<unfinished \.\.\.>$/) { open[pid] = text; began[pid] = NR; ends = 0 }
			else if (text ~ /^<\.\.\. [a-z0-9_]+ resumed>/) {
				sub(/^<[^>]*>/, "", text)
				text = open[pid] text
				begins = 0
			} else began[pid] = NR
			good = text ~ / = [0-9]+$/
		}
		ends && good && text ~ /^p?write(64)?\([0-9]+<[^>]*\/new\/[0-9A-Za-z]+>/ {
			match(text, /\/new\/[0-9A-Za-z]+/)
			written[substr(text, RSTART + 5, 14)] = NR
		}
		ends && good && text ~ /^fdatasync\(/ {
			match(text, /\/new\/[0-9A-Za-z]+/)
			id = substr(text, RSTART + 5, 14)
			if (began[pid] > written[id]) synced[id] = NR
		}
		ends && good && text ~ /^syncfs\(/ {
			for (id in written) if (began[pid] > written[id]) synced[id] = NR
			# And of what was renamed before, both names.
			for (id in renamed) if (began[pid] > renamed[id]) {
				if (!named[id]) named[id] = NR
				if (!unnamed[id]) unnamed[id] = NR
			}
		}
		ends && good && text ~ /^renameat2?\(/ {
			match(text, /"[0-9A-Za-z]+"/)
			id = substr(text, RSTART + 1, 14)
			if (!synced[id] || began[pid] < synced[id] || synced[id] < written[id])
				bad("renamed before the sync of its data")
			renamed[id] = NR
		}
		ends && good && text ~ /^fsync\([0-9]+<[^>]*\/queue>/ {
			for (id in renamed) if (!named[id] && began[pid] > renamed[id]) named[id] = NR
		}
		ends && good && text ~ /^fsync\([0-9]+<[^>]*\/new>/ {
			for (id in renamed) if (!unnamed[id] && began[pid] > renamed[id]) unnamed[id] = NR
		}
		begins && text ~ /^(sendto|sendmsg|write)\(.*250 2\.0\.0 .*queued as / {
			sub(/.*queued as /, "", text)
			id = substr(text, 1, 14)
			if (!renamed[id]) bad("250 without a rename")
			else if (!named[id] || !unnamed[id]) bad("250 before the sync of the folders")
			else if (!answered[id]++) n++
		}
		END { print n + 0 " in order"; exit failed }' "$1"
}

@test "strace: data synced, renamed, both folders synced, and only then 250" {
	export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0	# which needs ptrace(2) for itself
	RELAY_PREFIX=(strace -f -y -s 512 -o "$RELAY/trace"
	    -e 'trace=write,pwrite64,fdatasync,fsync,syncfs,rename,renameat,renameat2,sendto,sendmsg' --)
	relay_start
	smtpload -n 5 -L ledger 127.0.0.1 "$RELAY_PORT"
	smtpload -c 12 -n 60 -m 5 -L ledger 127.0.0.1 "$RELAY_PORT"
	relay_stop
	grep -q 'fdatasync' trace
	grep -q 'syncfs' trace
	run judge_trace trace
	[ "$output" = "$(grep -c '^250' ledger) in order" ] || { echo "$output"; return 1; }
	# And the judge sees what is wrong.
	grep -v 'fsync([0-9]*<.*/queue>' trace > worse
	run -1 judge_trace worse
	grep -v '^[0-9]* *syncfs' trace > worse
	run -1 judge_trace worse
	smtpload -C spool ledger
}

@test "a slow disk: no 250 comes before the three syncs are over, of many the two" {
	relay_with_faults
	relay_start
	relay_faults 'sync /spool 1 delay=50000 *'
	smtpload -n 4 -L ledger 127.0.0.1 "$RELAY_PORT"
	run awk '$1 != 250 || $4 < 150000 { print; bad = 1 } END { exit bad }' ledger
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	smtpload -c 30 -n 200 -m 10 -L ledger 127.0.0.1 "$RELAY_PORT"
	run awk '$1 != 250 || $4 < 100000 { print; bad = 1 } END { exit bad }' ledger
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	smtpload -C spool ledger
}

@test "a client that leaves while its message is synced: the log has what became of it" {
	relay_with_faults
	relay_start
	relay_faults 'sync /spool 1 delay=500000 *'
	run say -l "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' + '!'
	relay_await 10 grep -q 'accepted session=in-[12].1 client=127.0.0.1 from=' log
	relay_await 10 grep -q 'disconnect client=127.0.0.1 ' log
	relay_logs 2 -E ' (accepted|aborted|not-accepted|disconnect) '
	[ "$(relay_ids)" = "$(sed -n 's/^.*: \([0-9A-Za-z]*\) accepted .*/\1/p' log)" ]
	# It had its place until then, and has it no longer.
	relay_faults ''
	relay_says '250 221 closed' "$MAIL" = 'QUIT\r\n'
}

@test "what was refused is logged with HELO name, sender and argument, escaped once" {
	relay_start
	relay_says '250 553 550 221 closed' 'MAIL FROM:<u@my_host.local>\r\n' = 'RCPT TO:<b\xc3\xbc@relay.example>\r\n' = \
	    'RCPT TO:<u@other.example>\r\n' = 'QUIT\r\n'
	relay_await 5 grep -qF ' refused client=127.0.0.1 helo=client.example from=u@my_host.local command=RCPT argument=TO:<b\xc3\xbc@relay.example> code=553 ' log
	relay_await 10 grep -qF ' refused client=127.0.0.1 helo=client.example from=u@my_host.local command=RCPT argument=TO:<u@other.example> code=550 ' log
	say "$RELAY_PORT" = 'RCPT TO:<u@other.example>\r\n'  > said
	relay_await 5 grep -q ' refused client=127.0.0.1 command=RCPT argument=TO:<u@other.example> code=503 ' log
}

# ---- TLS ----

require_tls()
{
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls required domains relay.example"
	relay_start
}

@test "tls required: before STARTTLS nothing but EHLO, NOOP, QUIT is served" {
	local verb
	require_tls
	for verb in "$MAIL" "$RCPT" 'DATA\r\n' 'RSET\r\n' 'VRFY a\r\n' 'HELP\r\n' 'EXPN a\r\n'; do
		relay_says '530 250 221 closed' "$verb" = 'NOOP\r\n' = 'QUIT\r\n'
	done
	run say -l "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL" = 'QUIT\r\n'
	[[ $output == *'530 5.7.0 Must issue a STARTTLS command first'* ]]
	relay_await 5 grep -q 'refused client=127.0.0.1 helo=c command=MAIL .*code=530' log
	relay_await 5 grep -q 'required="TLS was required and not used: closed without a recipient"' log
	relay_says '220 250 250 250 354 250 221 closed' 'STARTTLS\r\n' = tls 'EHLO c\r\n' = \
	    "$MAIL$RCPT"'DATA\r\n' =3 'x\r\n.\r\n' = 'QUIT\r\n'
	[ "$(relay_ids | wc -l)" -eq 1 ]
}

@test "what stands behind STARTTLS in one segment never runs" {
	local behind
	relay_start
	for behind in "$MAIL" 'EHLO x\r\n' 'NOOP\r\n' '\r\n' 'x' "$MAIL$RCPT"'DATA\r\nx\r\n.\r\n'; do
		run say "$RELAY_PORT" = 'EHLO c\r\n' = 'STARTTLS\r\n'"$behind"
		[[ $output == '220 250 '@(reset|closed) ]] || { echo "$behind: $output"; return 1; }
	done
	# In a segment of its own it may come before or behind our 220; either way it is no command.
	run say "$RELAY_PORT" = 'EHLO c\r\n' = 'STARTTLS\r\n' 'NOOP\r\n' "$MAIL"
	[[ $output == '220 250 '?('220 ')@(reset|closed) ]] || { echo "$output"; return 1; }
	# The state before TLS is forgotten.
	relay_says '250 220 503 250 503 221 closed' "$MAIL" = 'STARTTLS\r\n' = tls "$RCPT" = 'EHLO c\r\n' = \
	    "$RCPT" = 'QUIT\r\n'
	[ -z "$(relay_ids)" ]
	relay_await 10 grep -q 'end=injection' log
}

@test "handshakes that fail, twice, or never come" {
	relay_start
	run say "$RELAY_PORT" = 'EHLO c\r\n' = 'STARTTLS\r\n' = '\x16\x03\x01\x00\x05hello'
	[[ $output == '220 250 220 '*@(closed|reset) ]] || { echo "$output"; return 1; }
	relay_says '220 left' 'STARTTLS\r\n' = '!'
	relay_says '220 250 503 221 closed' 'STARTTLS\r\n' = tls 'EHLO c\r\n' = 'STARTTLS\r\n' = 'QUIT\r\n' ||
	    relay_says '220 250 502 221 closed' 'STARTTLS\r\n' = tls 'EHLO c\r\n' = 'STARTTLS\r\n' = 'QUIT\r\n'
	relay_says '250 221 closed' 'NOOP\r\n' = 'QUIT\r\n'
	relay_await 10 grep -q 'end=handshake' log
}

@test "tls no: STARTTLS is neither offered nor served" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls no domains relay.example"
	relay_start
	run say -l "$RELAY_PORT" = 'EHLO c\r\n' = 'STARTTLS\r\n' = "$MAIL" = 'QUIT\r\n'
	[[ $output != *-STARTTLS* && $output == *'220 250 502 250 221 closed' ]] || { echo "$output"; return 1; }
}

# ---- line ends ----

FORMS=('\n.\n' '\n.\r\n' '\r\n.\n' '\r.\r' '\r\n.\r' '\r.\r\n' '\r\n.\r\r\n' '\r\r\n.\r\n' '\n.\r' '\r.\n' '\n\n.\n\n'
    '\r\n.\0\r\n' '\r\n\0.\r\n' '\0' '\n' '\r' '\r\n.\n\r\n')

SMUGGLED="$MAIL$RCPT"'DATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'

@test "ends of data that others take for one: nothing behind them is a second message" {
	local form
	relay_start
	for form in "${FORMS[@]}"; do
		run say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 \
		    'Subject: x\r\n\r\nfirst'"$form$SMUGGLED"'\r\n.\r\nQUIT\r\n'
		[[ $output == '220 250 250 250 354 '?('554 ')@(reset|closed) ]] || { echo "$form: $output"; return 1; }
		[ -z "$(relay_ids)" ] || { echo "$form: taken"; return 1; }
	done
	relay_logs ${#FORMS[@]} 'end=line'
}

@test "the same, split over segments anywhere" {
	local form parts i text
	relay_start
	for form in "${FORMS[@]}"; do
		text=$form parts=()
		while [ -n "$text" ]; do
			case $text in
			\\*) parts+=("${text:0:2}" +) text=${text:2} ;;
			*) parts+=("${text:0:1}" +) text=${text:1} ;;
			esac
		done
		run say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n\r\nfirst' + "${parts[@]}" \
		    "$SMUGGLED"'\r\n.\r\nQUIT\r\n'
		[[ $output == '220 250 250 250 354 '?('554 ')@(reset|closed) ]] || { echo "$form: $output"; return 1; }
		[ -z "$(relay_ids)" ] || { echo "$form: taken"; return 1; }
	done
}

@test "bare line ends and NUL in commands end the session" {
	local line
	relay_start
	for line in 'NOOP\n' 'NOOP\r' 'NO\0OP\r\n' 'NOOP\rNOOP\r\n' 'NOOP\r\r\n' "${MAIL%????}"'\nRCPT TO:<user@relay.example>\r\n' '\n'; do
		run say "$RELAY_PORT" = 'EHLO c\r\n' = "$line"'\r\nNOOP\r\n'
		[[ $output == '220 250 '?('500 '|'521 '|'554 '|'550 ')@(reset|closed) ]] || { echo "$line: $output"; return 1; }
	done
}

@test "talk out of turn: before the banner, behind EHLO, behind DATA" {
	relay_start
	run say "$RELAY_PORT" = 'EHLO c\r\nNOOP\r\n'
	[[ $output == '220 '?('250 ')'554 '@(reset|closed) || $output == '220 '?('250 ')'503 '@(reset|closed) ]] || { echo "$output"; return 1; }
	run say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n'
	[[ $output == '220 250 250 250 5'[0-9][0-9]' '@(reset|closed) ]] || { echo "$output"; return 1; }
	run say "$RELAY_PORT" = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
	[[ $output == '220 '?('5'[0-9][0-9]' ')@(reset|closed) ]] || { echo "$output"; return 1; }
	[ -z "$(relay_ids)" ]
}

# ---- who may relay ----

# WANT ADDRESS…: the code of RCPT for each of them.
rcpt_gets()
{
	local want=$1 address
	shift
	for address; do
		run say "${PORT:-$RELAY_PORT}" = 'EHLO c\r\n' = "$MAIL" = "RCPT TO:$address\r\n" = 'QUIT\r\n'
		[ "$output" = "220 250 250 $want 221 closed" ] || { echo "$address: $output"; return 1; }
	done
}

@test "never an open relay: a public listener takes mail for its domains only" {
	relay_start
	rcpt_gets 250 '<user@relay.example>' '<user@RELAY.Example>' '<u@a.sub.example>' '<u@a.b.SUB.example>' \
	    '<"quoted user"@relay.example>' '<postmaster>' '<PostMaster>' '<postmaster@relay.example>'
	rcpt_gets 550 '<user@other.example>' '<user@sub.example>' '<user@xrelay.example>' '<user@a.relay.example>' \
	    '<user@relay.example.evil.example>' '<user@[127.0.0.1]>' '<user@[IPv6:::1]>' '<user@[192.0.2.1]>' \
	    '<user@localhost>' '<postmaster@other.example>' '<user@xsub.example>'
	# A dot at the end, and underscores, as Postfix has it.
	rcpt_gets 250 '<user@relay.example.>' '<user@RELAY.example.>' '<user@under_score.sub.example>'
	rcpt_gets 550 '<user@other.example.>' '<user@under_score.example>'
	rcpt_gets 501 '<user@relay.example..>' '<user@.>'
	# A source route is left out; the mailbox behind it counts.
	rcpt_gets 550 '<@relay.example:user@other.example>' '<@relay.example,@a.sub.example:user@other.example>'
}

@test "never an open relay: routing inside of a local part" {
	relay_start
	rcpt_gets 550 '<user%other.example@relay.example>' '<"user@other.example"@relay.example>' \
	    '<other.example!user@relay.example>' '<"user%other.example"@relay.example>' \
	    '<"@other.example:user"@relay.example>' '<user%other.example%relay.example@relay.example>'
	rcpt_gets 501 '<user@other.example@relay.example>' '<user@relay.example,user@other.example>' \
	    '<user@relay.example>,<user@other.example>' '<user@relay.example@other.example>' 'user other'
}

@test "hosts: relay, accept, reject, tcprefuse by network" {
	relay_conf "listen in 0.0.0.0@$RELAY_PORT type public domains relay.example" \
	    'hosts in 127.0.0.2 relay' 'hosts in 127.0.3.0/24 reject' 'hosts in 127.0.3.7 accept' \
	    'hosts in 127.0.4.0/24 tcprefuse' 'hosts in default accept'
	relay_start
	PORT=127.0.0.1@$RELAY_PORT rcpt_gets 550 '<user@other.example>'
	run from 127.0.0.2
	[ "$output" = '220 250 250 250 221 closed' ] || { echo "$output"; return 1; }
	run from 127.0.0.3
	[ "$output" = '220 250 250 550 221 closed' ]
	run from 127.0.3.1
	[ "$output" = '554 closed' ]
	run from 127.0.3.7
	[ "$output" = '220 250 250 550 221 closed' ]
	run from 127.0.4.1
	[[ $output == *reset* ]] || { echo "$output"; return 1; }
}

# ADDR: a session from there, that asks for another's domain.
from()
{
	say -b "$1" "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL" = 'RCPT TO:<user@other.example>\r\n' = 'QUIT\r\n'
}

@test "a private listener serves the hosts that it names" {
	relay_conf "listen in 0.0.0.0@$RELAY_PORT type private" 'hosts in 127.0.0.2 relay' 'hosts in 127.0.0.3 accept' \
	    'hosts in 127.0.0.4 tcprefuse' 'hosts in 127.0.0.5 reject'
	relay_start
	run from 127.0.0.1
	[ "$output" = '554 closed' ]
	run from 127.0.0.2
	[ "$output" = '220 250 250 250 221 closed' ]
	run from 127.0.0.3
	[ "$output" = '220 250 250 550 221 closed' ]
	run from 127.0.0.4
	[[ $output == *reset* ]] || { echo "$output"; return 1; }
	run from 127.0.0.5
	[ "$output" = '554 closed' ]
}

# ---- limits ----

@test "an endless command line, many errors, many refused recipients" {
	relay_start
	head -c 3000 /dev/zero | tr '\0' x > long
	run say "$RELAY_PORT" = 'EHLO c\r\n' = @long '\r\n' = 'NOOP\r\n' = 'QUIT\r\n'
	[[ $output == '220 250 500 250 221 closed' || $output == '220 250 '[45]??' '@(closed|reset) ]] || { echo "$output"; return 1; }
	head -c 3000000 /dev/zero | tr '\0' x > long
	run say "$RELAY_PORT" = 'EHLO c\r\n' = @long
	[[ $output == '220 250 '*@(closed|reset) ]] || { echo "$output"; return 1; }
	run say "$RELAY_PORT" = 'EHLO c\r\n' = "$(printf 'FROB\\r\\n%.0s' {1..40})"
	[[ $output == '220 250 5'*' 421 '@(closed|reset) ]] || { echo "$output"; return 1; }
	[ "$(wc -w <<< "$output")" -le 25 ]
	run say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL" = "$(printf 'RCPT TO:<x@other.example>\\r\\n%.0s' {1..150})"
	[[ $output == '220 250 250 550 '*' 421 '@(closed|reset) ]] || { echo "$output"; return 1; }
	[ "$(wc -w <<< "$output")" -le 106 ]
	relay_await 10 grep -q 'end=limit' log
}

@test "1000 recipients and no more" {
	relay_start
	run say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL" = \
	    "$(for i in {1..1010}; do printf 'RCPT TO:<u%s@relay.example>\\r\\n' "$i"; done)" =1010 \
	    'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	[ "$output" = "220 250 250$(printf ' 250%.0s' {1..1000})$(printf ' 452%.0s' {1..10}) 354 250 221 closed" ]
	[ "$(relayq -s spool show "$(relay_ids)" | grep -c waiting)" -eq 1000 ]
}

@test "size: announced and found out" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public domains relay.example" 'max-size 70000'
	relay_start
	run say -l "$RELAY_PORT" = 'EHLO c\r\n' = 'MAIL FROM:<a@b.example> SIZE=70001\r\n' = \
	    'MAIL FROM:<a@b.example> SIZE=70000\r\n' = 'QUIT\r\n'
	[[ $output == *'SIZE 70000'*'220 250 552 250 221 closed' ]] || { echo "$output"; return 1; }
	{ printf 'X: y\r\n\r\n'; head -c 69000 /dev/zero | tr '\0' a | fold -w 70 | sed 's/$/\r/'; printf '\n.\r\n'; } > over
	relay_says '250 250 354 552 250 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = @over = 'NOOP\r\n' = 'QUIT\r\n'
	{ printf 'X: y\r\n\r\n'; head -c 60000 /dev/zero | tr '\0' a | fold -w 70 | sed 's/$/\r/'; printf '\n.\r\n'; } > below
	relay_says '250 250 354 250 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = @below = 'QUIT\r\n'
	[ "$(relay_ids | wc -l)" -eq 1 ]
	[ -z "$(ls -A spool/new)" ]
}

@test "a mail loop" {
	relay_start
	{ printf 'Received: from a by b; Sat, 21 Nov 2026 23:38:57 +0000\r\n%.0s' {1..150}; printf '\r\nx\r\n.\r\n'; } > loop
	relay_says '250 250 354 554 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = @loop = 'QUIT\r\n'
	[ -z "$(relay_ids)" ]
}

@test "concurrency: 421, and room again behind those who left" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public concurrency 4 domains relay.example" 'workers 2'
	relay_start
	mkfifo hold
	smtpload -I 4 127.0.0.1 "$RELAY_PORT" < hold > idle 3>&- &
	exec 8> hold
	relay_await 10 grep -q '^ready 4' idle
	run say "$RELAY_PORT" =
	[ "$output" = '421 closed' ] || { echo "$output"; return 1; }
	exec 8>&-
	wait $!
	relay_await 5 eval '[ "$(grep -c disconnect log)" -eq 5 ]'
	relay_says '221 closed' 'QUIT\r\n'
}

@test "1000 connections that idle, under a usual limit of descriptors" {
	RELAY_PREFIX=(bash -c 'ulimit -Sn 1024; exec "$0" "$@"')
	relay_start
	mkfifo hold
	smtpload -I 1000 127.0.0.1 "$RELAY_PORT" < hold > idle 3>&- &
	exec 8> hold
	relay_await 30 grep -q '^ready 1000' idle || { cat idle; return 1; }
	exec 8>&-
	wait $!
	[ "$(tail -n 1 idle)" = 'answered 1000' ]
	relay_says '250 250 354 250 221 closed' "$MAIL$RCPT"'DATA\r\n' =3 'x\r\n.\r\n' = 'QUIT\r\n'
}

# `make bench` measures 10,000.
@test "400 TLS sessions that say nothing: all are held, and who comes meanwhile is served" {
	RELAY_PREFIX=(bash -c 'ulimit -Sn 256; exec "$0" "$@"')
	relay_start
	mkfifo hold
	smtpload -I 400 -T -S 127.0.0.1 "$RELAY_PORT" < hold > idle 3>&- &
	exec 8> hold
	relay_await 60 grep -q '^ready 400' idle || { cat idle; return 1; }
	echo >&8
	relay_await 20 grep -q '^new [0-9]' idle || { cat idle; return 1; }
	relay_says '250 250 354 250 221 closed' "$MAIL$RCPT"'DATA\r\n' =3 'x\r\n.\r\n' = 'QUIT\r\n'
	exec 8>&-
	wait $!
	[ "$(tail -n 1 idle)" = 'answered 400' ]
	relay_await 10 eval '[ "$(grep -c " disconnect .*end=quit .*tls=1" log)" -eq 401 ]'
}

# ---- slow clients ----

# A clock that is set forward, for a client that sends too little to be worth its place.
@test "a client that drips: a command line has 5 minutes, a message 3 for each KiB" {
	relay_with_faults
	relay_start
	/usr/bin/python3 - "$RELAY_PORT" "$RELAY/faults" <<- 'END'
		import select, socket, sys

		def connect():
		    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
		    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		    return s, s.makefile("rb")

		def ahead(seconds):
		    with open(sys.argv[2], "r+b") as f:
		        f.write((b"clock * 0 ahead=%d" % seconds).ljust(4096, b"\0"))

		def expect(f, code):
		    line = f.readline()
		    if not line.startswith(code):
		        sys.exit("expected %s, got %s" % (code, line))

		def command(s, f, line, code):
		    s.sendall(line)
		    expect(f, code)

		# One octet alone may still be read together with what came before, at the old time.
		def drip(s, f):
		    for i in range(100):
		        s.sendall(b"O")
		        if select.select([s], [], [], 0.05)[0]:
		            break
		    expect(f, b"421 4.4.2")

		s, f = connect()
		expect(f, b"220")
		ahead(200)
		command(s, f, b"HELO c\r\n", b"250")
		ahead(450)	# renewed by a whole line
		command(s, f, b"NOOP\r\n", b"250")
		s.sendall(b"N")
		ahead(700)
		s.sendall(b"O")
		ahead(760)
		drip(s, f)
		s, f = connect()
		expect(f, b"220")
		for line in b"HELO c", b"MAIL FROM:<a@x.test>", b"RCPT TO:<u@relay.example>":
		    command(s, f, line + b"\r\n", b"250")
		command(s, f, b"DATA\r\n", b"354")
		ahead(900)
		s.sendall(b"x" * 2000)
		ahead(1000)	# renewed by 2000 octets
		command(s, f, b"\r\n.\r\n", b"250")
		for line in b"MAIL FROM:<a@x.test>", b"RCPT TO:<u@relay.example>":
		    command(s, f, line + b"\r\n", b"250")
		command(s, f, b"DATA\r\n", b"354")
		s.sendall(b"x")
		ahead(1170)
		s.sendall(b"x")
		ahead(1190)
		drip(s, f)
	END
	relay_logs 2 'disconnect .*end=timeout'
	[ "$(relay_ids | wc -l)" -eq 1 ]
}

# ---- processes ----

# With sanitizers, and where the kernel has no seccomp, system calls have no limit.
calls_are_limited()
{
	[[ $BUILD != */asan ]] && grep -qsw kill_process /proc/sys/kernel/seccomp/actions_avail
}

# landlock(7): the version of its interface; 444 is landlock_create_ruleset(2).
landlock()
{
	/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))'
}

# PREFIX…: a relay with all its roles, behind that, each of which tries what it may; their answers in `probes`.
start_probed()
{
	openssl genpkey -quiet -algorithm ed25519 -out ed.pem
	printf '#!/bin/sh\nexit 0\n' > hook
	chmod 755 hook
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required auth offered" "dkim c.example ed $RELAY/ed.pem" \
	    "alert-hook $RELAY/hook" 'alert-user daemon'
	sed -i 's/^deliver .*/deliver yes/' conf
	echo secret | smtp-relay -c conf --passwd ann --pass-file -
	touch probes
	[ $# -eq 0 ] || chown -R nobody "$RELAY"
	relay_preload probe "PROBE_FILE=$RELAY/probes"
	RELAY_PREFIX+=("$@")
	relay_start
	relay_await 10 eval '[ "$(wc -l < probes)" -ge 9 ]'
	sort probes > tried
}

@test "as root, each role does what it has to, and nothing else: files, the network, code in memory" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	start_probed
	if ! calls_are_limited; then
		run ! grep -v ' run=ok' tried
		return
	fi
	diff - tried <<-'END'
		auth folder=ENOSYS make=ENOSYS run=ENOSYS
		hook folder=ok make=EACCES run=ok net=ok
		in-1 folder=ENOSYS make=ok run=ENOSYS
		in-2 folder=ENOSYS make=ok run=ENOSYS
		out-1 folder=ENOSYS make=ENOSYS run=ENOSYS net=ok
		out-2 folder=ENOSYS make=ENOSYS run=ENOSYS net=ok
		queue folder=ok make=ok run=ENOSYS net=ENOSYS
		route folder=ok make=ok run=ENOSYS net=ok
		sign folder=ENOSYS make=ENOSYS run=ENOSYS
	END
}

@test "without root, roles that open files see those of their folders alone" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
	start_probed setpriv --reuid nobody --regid nogroup --clear-groups
	if [ "$(landlock)" -lt 2 ]; then
		relay_logs 1 'master unprivileged consequence="not started as root: all roles share one user and see all its files"$'
		return
	fi
	relay_logs 1 'master unprivileged consequence="not started as root: all roles share one user"$'
	grep -q '^hook folder=ok ' tried
	grep -q '^queue folder=EACCES make=EACCES ' tried
	grep -q '^route folder=EACCES make=EACCES ' tried
	! calls_are_limited || [ "$(grep -c '^[ios].* folder=ENOSYS ' tried)" -eq 5 ]
}

@test "a role that connects where it has nobody to connect to is killed" {
	calls_are_limited || skip "no seccomp here"
	RELAY_MAY_DIE=1
	relay_preload probe "PROBE_FILE=$RELAY/probes"
	RELAY_PREFIX+=(PROBE_CONNECT=in-1)
	relay_spawn
	relay_await 20 grep -q 'master role-died role=in-1 pid=[0-9]* how="signal 31"' log
	run ! grep -q 'role-died role=\(in-2\|queue\)' log
}

@test "started as root: roles of their own users, roots and rights" {
	local pid limit role
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	relay_start
	pid=$(relay_role queue)
	grep -q "^Uid:$(printf '\t%s' {1..4} | sed "s/[1-4]/$(id -u games)/g")\$" "/proc/$pid/status"
	[ "$(readlink "/proc/$pid/root")" = "$RELAY_SPOOL" ]
	for pid in $(relay_role in-1) $(relay_role in-2); do
		grep -q "^Uid:$(printf '\t%s' {1..4} | sed "s/[1-4]/$(id -u news)/g")\$" "/proc/$pid/status"
		grep -q "^Gid:$(printf '\t%s' {1..4} | sed "s/[1-4]/$(id -g news)/g")\$" "/proc/$pid/status"
		[ "$(readlink "/proc/$pid/root")" = "$RELAY_SPOOL/new" ]
	done
	for pid in $(relay_role queue) $(relay_role in-1) $(relay_role in-2); do
		grep -q '^NoNewPrivs:.1$' "/proc/$pid/status"
		grep -q '^Groups:[[:space:]]*$' "/proc/$pid/status"
		grep -q '^Cap\(Eff\|Prm\):.0*$' "/proc/$pid/status"
	done
	limit=2
	calls_are_limited || limit=0
	if [ $limit -eq 0 ]; then
		relay_logs 1 'master unlimited consequence="no seccomp: '
	else
		run ! grep -q 'master unlimited' log
	fi
	for role in queue route in-1 in-2 out-1 out-2; do
		grep -q "^Seccomp:.$limit\$" "/proc/$(relay_role "$role")/status" || { echo "$role"; return 1; }
	done
	grep -q '^Seccomp:.0$' "/proc/$RELAY_PID/status"
	# The same user, but nowhere near the messages that come in.
	for pid in $(relay_role out-1) $(relay_role out-2); do
		[ "$(readlink "/proc/$pid/root")" = "$RELAY_SPOOL/none" ]
	done
	[ "$(stat -c '%U %a' "$RELAY_SPOOL/none")" = 'games 500' ]
	[ -z "$(ls -A "$RELAY_SPOOL/none")" ]
	# The worker holds no file of the spool, the queue no listening socket.
	run -0 find "/proc/$(relay_role in-1)/fd" -lname "$RELAY/*" ! -lname '*/spool/new' ! -lname '*/log' ! -lname '*/out'
	[ -z "$output" ]
	[ "$(ss -Hltnp "sport = :$RELAY_PORT" | grep -c "pid=$(relay_role queue),")" -eq 0 ]
}

@test "works without root, and says that its roles share a user" {
	[ "$(id -u)" -eq 0 ] || skip "the other tests do that"
	relay_conf
	chown nobody "$RELAY"
	chmod o+rx "$RELAY"
	RELAY_PREFIX=(setpriv --reuid nobody --regid nogroup --clear-groups)
	relay_start
	relay_await 10 grep -q 'master unprivileged consequence="not started as root: all roles share one user' log
	smtpload -c 4 -n 40 -L ledger 127.0.0.1 "$RELAY_PORT"
	smtpload -C spool ledger
	[ "$(stat -c %U spool/queue)" = nobody ]
}

@test "where the log says ready, the file with the number is there" {
	relay_conf
	relay_with_faults
	relay_faults 'rename /pid 1 delay=700000'
	relay_spawn
	relay_await 20 grep -q 'master ready' log
	[ "$(< pid)" -eq "$RELAY_JOB" ]
}

@test "SIGTERM: what is under way is finished, then all roles end" {
	relay_start
	say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n' + + + + + + + + 'y\r\n\r\nz\r\n.\r\n' = \
	    'NOOP\r\n' > said 3>&- &
	relay_await 5 grep -q connect log
	sleep 0.5
	relay_stop
	wait $!
	[[ $(< said) == '220 250 250 250 354 250 421 closed' || $(< said) == '220 250 250 250 354 250 421 reset' ]] || { cat said; return 1; }
	[ "$(relay_ids | wc -l)" -eq 1 ]
}

@test "SIGTERM with a silent peer: the port is free at once, and the log says what is waited for" {
	local peer
	/usr/bin/python3 -c 'import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
c = s.accept()
print("silent", flush=True)
time.sleep(600)' "$RELAY_PORT2" > peer 3>&- &
	peer=$!
	relay_await 10 grep -q ready peer
	RELAY_DELIVER=yes relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred domains relay.example" \
	    "route relay.example 127.0.0.1@$RELAY_PORT2"
	relay_start
	relay_says '250 250 354 250 221 closed' "$MAIL" = "$RCPT" = 'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	relay_await 10 grep -q silent peer
	kill -TERM "$RELAY_PID"
	relay_await 5 grep -q 'out-[12] finishing deliveries=1 at-most=30' log
	relay_await 2 /usr/bin/python3 -c 'import socket, sys
socket.create_server(("127.0.0.1", int(sys.argv[1])))' "$RELAY_PORT"
	run ! grep -q 'master stopped' log
	kill "$peer"
	wait "$RELAY_JOB"
	relay_await 10 grep -q 'master stopped' log
	[ "$(relay_ids | wc -l)" -eq 1 ]
}

@test "SIGTERM under load: status 0, every answer is given" {
	local i
	for i in 1 2 3; do
		relay_start
		smtpload -c 20 -d 2 -m 1000 -L ledger 127.0.0.1 "$RELAY_PORT" > said 3>&- &
		sleep 1
		relay_stop
		wait $!
	done
	cut -d' ' -f1 ledger | sort | uniq -c
	run ! grep -q '^lost' ledger
	smtpload -C spool ledger
}
