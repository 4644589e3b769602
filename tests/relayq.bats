#!/usr/bin/env bats
# relayq on a spool that tests/lab/mkspool writes from the description of the format.

bats_require_minimum_version 1.5.0

ONE=8QkZ2a1Bc00aaa
TWO=8QkZ2a1Bc00bbb
NONE=8QkZ2a1Bc00zzz

setup()
{
	BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
	BUILD=${BUILD:-$BATS_TEST_DIRNAME/../build}
	MAN=$BATS_TEST_DIRNAME/../man
	PATH=$BIN:$BUILD/lab:$PATH
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p spool/new spool/queue spool/hold spool/bad
	printf 'Subject: one\r\n\r\nbody\r\n' > one
	mkspool "spool/queue/$ONE,1795305700,dest.test" $ONE '<from@example.org>' \
	    '<a@dest.test>,NOTIFY=FAILURE' '<b@dest.test>' < one
}

fails_with()
{
	local want=$1
	shift
	run --separate-stderr "$@"
	[ "$status" -eq "$want" ] || { echo "status $status: $output $stderr"; return 1; }
}

@test "help and version" {
	run --separate-stderr relayq -h
	[ "$status" -eq 0 ]
	[[ $output == usage:* ]]
	[ -z "$stderr" ]
	run relayq --version
	[ "$status" -eq 0 ]
	[[ $output == relayq* ]]
}

@test "usage errors" {
	for args in '' '-x list' '-c' '-d' '-s' 'frob' 'list more' 'show' 'cat' 'cat a b' '-j cat a' '--jsn list'; do
		# shellcheck disable=SC2086
		fails_with 2 relayq $args
		[ -z "$output" ]
		[[ $stderr == relayq:*usage:* ]] || { echo "$args: $stderr"; return 1; }
		[ "$(wc -l <<< "$stderr")" -le 3 ] || { echo "$args: $stderr"; return 1; }
	done
	fails_with 2 relayq release
	diff - <(echo "$stderr") <<- END
		relayq: release takes IDs, or --destination, or --all
		usage: relayq [-j] [-c CONF | -d DIR | -s SPOOL] release ID... | --destination DOMAIN | --all
		try -h for the options
	END
	fails_with 2 relayq -v show $ONE
	[[ $stderr == 'relayq: show has no -v'$'\n''usage: relayq [-j] [-c CONF | -d DIR | -s SPOOL] show ID'$'\n'* ]]
	# Each command is told of, and the long text by -h alone.
	fails_with 2 relayq
	for word in $(relayq -h | sed -nE 's/^  ([a-z]+) .*/\1/p'); do
		[[ $stderr == *" $word "* ]] || { echo "$word: $stderr"; return 1; }
	done
}

@test "the spool is that of the relay's configuration" {
	mkdir -p state other/new other/queue other/hold other/bad
	mkspool "other/queue/$TWO,1,x.test" $TWO '<>' '<c@other.test>' < /dev/null
	printf 'hostname a b c\nno-such-keyword\nspool %s # here\nlisten\n' "$PWD/spool" > state/smtp-relay.conf
	printf 'spool %s/other\n' "$PWD" > other.conf
	want=$(relayq -s spool list)
	[[ $want == $ONE* ]]
	[ "$(relayq -d state list)" = "$want" ]
	[ "$(relayq --dir state list)" = "$want" ]
	[ "$(MTATLS_DIR=state relayq list)" = "$want" ]
	[ "$(MTATLS_DIR=nowhere relayq -d state list)" = "$want" ]
	[ "$(relayq -c state/smtp-relay.conf list)" = "$want" ]
	[[ $(relayq -d state --config other.conf list) == $TWO* ]]
	[[ $(relayq -c state/smtp-relay.conf --spool other list) == $TWO* ]]
	[[ $(relayq -c nowhere -s other list) == $TWO* ]]
}

@test "without a word of a spool it is the default one" {
	mkdir state
	echo 'hostname relay.example' > state/smtp-relay.conf
	[ ! -e /var/spool/smtp-relay ] || skip "this machine has one"
	fails_with 2 relayq -d state show 8Qm3yLx0Z00b7K
	[ "$stderr" = 'relayq: /var/spool/smtp-relay: No such file or directory' ]
	[ ! -e /etc/mtatls/smtp-relay.conf ] || return 0
	fails_with 2 env -u MTATLS_DIR relayq show 8Qm3yLx0Z00b7K
	[ "$stderr" = 'relayq: /var/spool/smtp-relay: No such file or directory' ]
}

@test "a configuration that was named has to be there and to make sense" {
	mkdir state
	fails_with 2 relayq -d state list
	[ "$stderr" = 'relayq: state/smtp-relay.conf: No such file or directory' ]
	MTATLS_DIR=state fails_with 2 relayq list
	[ "$stderr" = 'relayq: state/smtp-relay.conf: No such file or directory' ]
	fails_with 2 relayq -c nowhere.conf list
	[ "$stderr" = 'relayq: nowhere.conf: No such file or directory' ]
	printf 'spool\nhostname x\nspool sub/folder\nspool /a /b\n' > bad.conf
	fails_with 2 relayq -c bad.conf list
	diff - <(echo "$stderr") <<- END
		relayq: bad.conf:1: spool: expected 1 value, found 0
		relayq: bad.conf:3: spool stands in line 1 already
		relayq: bad.conf:4: spool stands in line 1 already
		relayq: bad.conf: 3 errors
	END
	echo 'spool sub/folder' > bad.conf
	fails_with 2 relayq -c bad.conf list
	[[ $stderr == 'relayq: bad.conf:1: spool: expected an absolute path, not "sub/folder"'* ]]
}

@test "no spool there" {
	fails_with 2 relayq -s nowhere/spool list
	fails_with 2 relayq -s nowhere show 8Qm3yLx0Z00b7K
	[ "$stderr" = 'relayq: nowhere: No such file or directory' ]
	rmdir spool/hold
	fails_with 2 relayq -s spool list
	[ "$stderr" = 'relayq: spool: hold: No such file or directory' ]
}

@test "a folder that may not be read" {
	local as=()
	# Root may read all: so it asks as somebody else.
	if [ "$(id -u)" -eq 0 ]; then
		as=(setpriv --reuid=nobody --clear-groups)
		cp "$BIN/relayq" .
		chmod 755 . relayq spool
	else
		ln -s "$BIN/relayq" relayq
	fi
	chmod 0 spool/queue
	run --separate-stderr "${as[@]}" ./relayq -s spool list
	chmod 700 spool/queue
	[ "$status" -eq 2 ]
	[[ $stderr == *'Permission denied' ]]
}

@test "list" {
	mkspool "spool/hold/$TWO,1795305700,=0123456789abcdef" $TWO '<>' '<c@other.test>' < /dev/null
	run --separate-stderr relayq -s spool list
	[ "$status" -eq 0 ]
	diff - <(echo "$output") <<- END
		$ONE queue 2026-11-22T00:00:00Z        22 <from@example.org> <a@dest.test> +1
		$TWO hold  2026-11-22T00:00:00Z         0 <> <c@other.test>
	END
	[ -z "$stderr" ]
}

# FILE LINE…: more records for its recipients: number, state, time, text.
record()
{
	local file=$1
	shift
	python3 - "$file" "$@" <<- 'END'
		import sys, zlib
		head = open(sys.argv[1], "rb").readline().split()
		with open(sys.argv[1], "ab") as f:
		    for words in sys.argv[2:]:
		        line = b"result " + words.encode()
		        f.write(b"%s %08x\n" % (line, zlib.crc32(line, int(head[-1], 16))))
	END
}

@test "list: when it is due, and why it waits" {
	local soon
	soon=$(($(date +%s) + 3600))
	mv spool/queue/$ONE* "spool/queue/$ONE,$soon,dest.test"
	run -0 relayq -s spool list
	[ "${lines[1]}" = "    due $(date -u -d @$soon +%FT%TZ)" ] || { echo "$output"; return 1; }
	record spool/queue/$ONE* "0 deferred 1795305600 mx.dest.test[192.0.2.9]:%20451%204.3.0%20busy%1B" \
	    "1 deferred 1795305700 mx.dest.test[192.0.2.9]:%20452%204.2.2%20a%20long%20story%20of%20a%20full%20mailbox"
	run -0 relayq -s spool list
	[ "${lines[1]}" = "    due $(date -u -d @$soon +%FT%TZ) (<b@dest.test>: mx.dest.test[192.0.2.9]: 452 4.2.2 a long story of a full mailbox)" ] ||
	    { echo "$output"; return 1; }
	[ "${#lines[@]}" -eq 2 ]
	run -0 relayq -v -s spool list
	[ "${lines[1]}" = "    due $(date -u -d @$soon +%FT%TZ)" ]
	[ "${lines[2]}" = '    <a@dest.test> deferred (mx.dest.test[192.0.2.9]: 451 4.3.0 busy\x1b)' ] || { echo "$output"; return 1; }
	[ "${#lines[@]}" -eq 4 ]
	# On a terminal the reason is one line of it.
	run -0 script -qec "stty cols 50; relayq -s spool list" /dev/null
	[ "${lines[1]%$'\r'}" = "    due $(date -u -d @$soon +%FT%TZ) (<b@dest.test>: mx..." ] || { echo "$output"; return 1; }
	# Who has it waits for nothing; what is held is due never.
	record spool/queue/$ONE* "1 delivered 1795305800 250%20ok"
	mv spool/queue/$ONE* spool/hold/
	run -0 relayq -s spool list
	[[ ${lines[0]} == *' <from@example.org> <a@dest.test>' ]] || { echo "$output"; return 1; }
	[ "${lines[1]}" = '    held (<a@dest.test>: mx.dest.test[192.0.2.9]: 451 4.3.0 busy\x1b)' ] || { echo "$output"; return 1; }
	run -0 relayq -v -s spool list
	[ "${#lines[@]}" -eq 3 ]
}

@test "list: whoever is done is not named" {
	mkspool "spool/hold/$TWO,1795305700" $TWO '<>' '<ok@foo.test>' '<u@down.test>' '<no@foo.test>' '<v@down.test>' < /dev/null
	record spool/hold/$TWO* "0 delivered 1795305600 250%20ok" "2 closed 1795305600 550%20no" \
	    "3 deferred 1795305600 4.4.1%20refused"
	run -0 relayq -s spool list
	[[ ${lines[1]} == *' <> <u@down.test> +1' ]] || { echo "$output"; return 1; }
	[ "${lines[2]}" = '    held (<v@down.test>: 4.4.1 refused)' ] || { echo "$output"; return 1; }
	# All are done: the message is about to go.
	record spool/hold/$TWO* "1 delivered 1795305700 250%20ok" "3 delivered 1795305700 250%20ok"
	run -0 relayq -s spool list
	[[ ${lines[1]} == *' <> <ok@foo.test> +3' ]] || { echo "$output"; return 1; }
}

@test "an empty spool" {
	rm spool/queue/*
	run relayq -s spool list
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	run -0 script -qec "relayq -s spool list" /dev/null
	[ "${output%$'\r'}" = 'Mail queue is empty' ]
	run -0 script -qec "relayq -j -s spool list" /dev/null
	[ -z "$output" ]
}

@test "show" {
	run --separate-stderr relayq -s spool show $ONE
	[ "$status" -eq 0 ]
	diff - <(echo "$output") <<- END
		id $ONE
		folder queue
		due 2026-11-22T00:01:40Z
		arrived 2026-11-22T00:00:00Z
		size 22
		listener in
		client 192.0.2.1
		helo client.example
		protocol ESMTPS
		tls TLSv1.3 TLS_AES_256_GCM_SHA384
		from <from@example.org>
		rcpt <a@dest.test> NOTIFY=FAILURE: waiting
		rcpt <b@dest.test>: waiting
	END
}

@test "JSON, one object a line" {
	run --separate-stderr relayq -j -s spool list
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	list=$output
	run relayq --json --spool spool show $ONE
	[ "$output" = "$list" ]
	diff - <(echo "$output") <<- END
		{"id":"$ONE","folder":"queue","file":"$ONE,1795305700,dest.test","due":"2026-11-22T00:01:40Z","size":22,"arrived":"2026-11-22T00:00:00Z","listener":"in","client":"192.0.2.1","client_name":null,"helo":"client.example","protocol":"ESMTPS","auth":null,"tls":["TLSv1.3","TLS_AES_256_GCM_SHA384"],"from":"from@example.org","from_options":[],"rcpts":[{"address":"a@dest.test","options":["NOTIFY=FAILURE"],"state":"waiting","tries":0},{"address":"b@dest.test","options":[],"state":"waiting","tries":0}]}
	END
}

@test "cat gives the message byte for byte" {
	relayq -s spool cat $ONE > got
	cmp one got
	head -c 3000000 /dev/urandom > big
	mkspool "spool/hold/$TWO,1,x.test" $TWO '<>' '<c@x.test>' < big
	relayq -s spool cat $TWO > got
	cmp big got
}

@test "no such message" {
	fails_with 1 relayq -s spool show $NONE
	[ "$stderr" = "relayq: $NONE: no such message" ]
	fails_with 1 relayq -s spool cat $'../\x1b[31m'
	[ "$stderr" = 'relayq: ../\x1b[31m: no such message' ]
}

@test "output that cannot be written" {
	fails_with 2 sh -c "relayq -s spool list > /dev/full"
	fails_with 2 sh -c "relayq -s spool cat $ONE > /dev/full"
}

@test "addresses are printed escaped" {
	mkspool "spool/queue/$TWO,1,x.test" $TWO '<%1B[2J%0A@x.test>' '<a%FF%20b@x.test>' < one
	run relayq -s spool list
	[[ $output == *'<\x1b[2J\x0a@x.test> <a\xff b@x.test>'* ]]
	run relayq -s spool show $TWO
	[[ $output == *'from <\x1b[2J\x0a@x.test>'* ]]
	relayq -j -s spool list | python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]'
}

@test "damaged files: a message each, status 2, the others are listed" {
	cp spool/queue/$ONE* "spool/queue/$TWO,1,x.test"
	echo garbage > "spool/queue/8QkZ2a1Bc00ccc,1,x.test"
	: > "spool/queue/8QkZ2a1Bc00ddd,1,x.test"
	ln -s /etc/passwd "spool/queue/8QkZ2a1Bc00eee,1,x.test"
	mkdir "spool/queue/8QkZ2a1Bc00fff,1,x.test"
	mkfifo "spool/queue/8QkZ2a1Bc00ggg,1,x.test"
	head -c 100 spool/queue/$ONE* > "spool/queue/8QkZ2a1Bc00hhh,1,x.test"
	head -c 10000000 /dev/zero > "spool/queue/8QkZ2a1Bc00iii,1,x.test"
	fails_with 2 relayq -s spool list
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == $ONE* ]]
	diff - <(sort <<< "$stderr") <<- END
		relayq: queue: $TWO,1,x.test: line 1: the ID is $ONE, not the one in the name
		relayq: queue: 8QkZ2a1Bc00ccc,1,x.test: truncated: 8 octets
		relayq: queue: 8QkZ2a1Bc00ddd,1,x.test: truncated: 0 octets
		relayq: queue: 8QkZ2a1Bc00eee,1,x.test: not a regular file
		relayq: queue: 8QkZ2a1Bc00fff,1,x.test: not a regular file
		relayq: queue: 8QkZ2a1Bc00ggg,1,x.test: not a regular file
		relayq: queue: 8QkZ2a1Bc00hhh,1,x.test: truncated: 100 octets, expected at least 289
		relayq: queue: 8QkZ2a1Bc00iii,1,x.test: not a spool file: expected mtatls-spool in its first line
	END
	fails_with 2 relayq -s spool show 8QkZ2a1Bc00hhh
	fails_with 2 relayq -s spool cat 8QkZ2a1Bc00ccc
}

@test "a message that lost a bit is written out, with status 2" {
	printf X | dd of="$(echo spool/queue/$ONE*)" bs=1 seek=280 conv=notrunc status=none
	run relayq -s spool list
	[ "$status" -eq 0 ]
	fails_with 2 relayq -s spool cat $ONE
	[ "$stderr" = "relayq: $ONE: the message does not agree with its checksum" ]
	[[ $output == Subject* ]]
}

@test "what was set aside is listed with its reason" {
	echo garbage > $'spool/bad/core\x1b'
	run --separate-stderr relayq -s spool list
	[ "$status" -eq 0 ]
	[[ ${lines[1]} == 'core\x1b bad   damaged: bad: core\x1b: truncated'* ]] || { echo "$output"; return 1; }
	run relayq -j -s spool list
	[[ ${lines[1]} == '{"id":null,"folder":"bad",'* ]]
	fails_with 2 relayq -s spool cat $'core\x1b'
}

@test "before the relay's first start nothing waits" {
	mkdir place
	run --separate-stderr relayq -s place/spool list
	[ "$status" -eq 0 ] && [ -z "$output" ]
	[ "$stderr" = 'relayq: place/spool: nothing waits: no relay has used this spool yet' ]
	mkdir place/spool place/spool/lost+found
	run --separate-stderr relayq -j -s place/spool list
	[ "$status" -eq 0 ] && [ -z "$output" ]
	fails_with 2 relayq -s place/spool cat 8Qm3yLx0Z00b7K
	echo mine > place/spool/file
	fails_with 2 relayq -s place/spool list
}

@test "files come and go while it lists" {
	(
		for i in {1..400}; do
			cp spool/queue/$ONE,1795305700,dest.test "spool/queue/$ONE,$i,dest.test"
			rm "spool/queue/$ONE,$i,dest.test"
		done
	) 3>&- &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		relayq -s spool list 2>> errors > /dev/null || true
	done
	# cp writes in place, as no relay does: an unfinished file may be seen, a vanished one must not matter.
	run ! grep -v 'truncated' errors
}

@test "the examples of the man page run" {
	mkspool "spool/queue/8Qm3yLx0Z00b7K,1795305700,dest.test" 8Qm3yLx0Z00b7K '<>' '<c@dest.test>' < one
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/s/^\.Dl //p' "$MAN/relayq.1" | sed 's/\\e/\\/g; s/\\&//g' > examples
	[ "$(wc -l < examples)" -ge 3 ]
	while read -r line; do
		run bash -c "set -o pipefail; ${line/relayq/relayq -s spool}"
		[ "$status" -eq 0 ] || { echo "$line: $status $output"; return 1; }
		[ -n "$output" ] || [ -s message.eml ] || { echo "$line: nothing"; return 1; }
	done < examples
}

@test "the example of mtatls-spool(5) is a file of the format" {
	sed -n '/^\.Sh EXAMPLES/,$p' "$MAN/mtatls-spool.5" | sed -n '/^\.Bd/,/^\.Ed/{/^\.[BE]d/d; p}' |
	    awk '/^result/ { body = 0 } { printf "%s%s\n", $0, body ? "\r" : "" } /^$/ && !seen++ { body = 1 }' \
	    > "spool/queue/8Qm3yLx0Z00b7K,1,dest.test"
	run --separate-stderr relayq -s spool show 8Qm3yLx0Z00b7K
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	[[ $output == *'rcpt <a@dest.test> NOTIFY=FAILURE: deferred, tried 1 time, last '*': 450 4.2.0 busy'* ]]
	relayq -s spool cat 8Qm3yLx0Z00b7K | cmp - one
}
