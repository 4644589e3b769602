#!/usr/bin/env bats
# smtp-relay and what goes wrong below it: processes killed, disks full or broken.  What was answered 250 is in the
# spool afterwards, whole.  RELAY_CRASH_SECONDS: how long each of the three kinds of kill goes on (7).
# shellcheck disable=SC2034 # RELAY_PREFIX and RELAY_MAY_DIE are for lab/relay.bash

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
	: "${RELAY_CRASH_SECONDS:=7}"
}

teardown()
{
	[ ! -e tmpfs-mounted ] || { relay_stop; umount "$RELAY_SPOOL"; }
	[ -z "${LOAD:-}" ] || kill "$LOAD" 2>/dev/null || true
	relay_end
}

MAIL='MAIL FROM:<a@client.example>\r\n'
RCPT='RCPT TO:<user@relay.example>\r\n'

# ---- deaths ----

# SECONDS: clients in the background, some of them with TLS, some with large messages.
start_load()
{
	smtpload -c 12 -m 20 -d "$1" -L ledger 127.0.0.1 "$RELAY_PORT" > said 3>&- &
	LOAD=$!
	smtpload -c 3 -m 5 -T -l 30000 -d "$1" -L ledger2 127.0.0.1 "$RELAY_PORT" > said2 3>&- &
	LOAD2=$!
}

end_load()
{
	wait "$LOAD"
	wait "$LOAD2"
	LOAD=
	cat said said2
}

# Ends the relay, starts it again, and holds the spool against the ledgers.
judge_spool()
{
	relay_stop
	smtpload -C spool ledger ledger2
	relay_start
	[ -z "$(ls -A spool/new)" ]
	[ -z "$(ls -A spool/bad)" ]
	relayq -s spool list > listed
	smtpload -C spool ledger ledger2
	# Enough was taken for the test to mean something, and some answers were lost.
	[ "$(grep -c '^250' ledger)" -gt 50 ]
}

# A moment, below a second.
doze()
{
	sleep "0.$((RANDOM % 9 + 1))"
}

@test "kill -9 of a worker, at random under load: nothing is lost, the others go on" {
	local until queue
	RELAY_MAY_DIE=1
	relay_start
	queue=$(relay_role queue)
	start_load "$RELAY_CRASH_SECONDS"
	until=$((SECONDS + RELAY_CRASH_SECONDS))
	while [ $SECONDS -lt $until ]; do
		doze
		kill -KILL "$(relay_role "in-$((RANDOM % 2 + 1))")" 2>/dev/null || true
	done
	end_load
	[ "$(relay_role queue)" = "$queue" ]
	relay_await 10 grep -q 'role-died role=in-' log
	run ! grep -q 'role-died role=queue' log
	judge_spool
}

@test "kill -9 of the queue, at random under load: all roles start again, nothing is lost" {
	local until
	RELAY_MAY_DIE=1
	relay_start
	start_load "$RELAY_CRASH_SECONDS"
	until=$((SECONDS + RELAY_CRASH_SECONDS))
	while [ $SECONDS -lt $until ]; do
		doze
		kill -KILL "$(relay_role queue)" 2>/dev/null || true
	done
	end_load
	relay_await 10 grep -q 'role-died role=queue' log
	judge_spool
}

@test "kill -9 of everything, at random under load: nothing is lost" {
	local until
	RELAY_MAY_DIE=1
	relay_start
	start_load "$RELAY_CRASH_SECONDS"
	until=$((SECONDS + RELAY_CRASH_SECONDS))
	while [ $SECONDS -lt $until ]; do
		doze
		# shellcheck disable=SC2046 # pids
		kill -KILL $(relay_pids)
		wait "$RELAY_JOB" || true
		relay_await 5 relay_is_gone
		relay_start
	done
	end_load
	judge_spool
}

@test "kill -9 of the master alone: the roles end by themselves" {
	RELAY_MAY_DIE=1
	relay_start
	start_load 2
	sleep 0.7
	kill -KILL "$RELAY_PID"
	wait "$RELAY_JOB" || true
	relay_await 5 relay_is_gone
	relay_start
	end_load
	judge_spool
}

@test "a worker dies: another's session goes on, its own files in new/ go" {
	local first second
	RELAY_MAY_DIE=1
	relay_start
	# Sessions so many that both workers have one, all of them within a message.
	for i in {1..8}; do
		say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n' until:go '\r\nx\r\n.\r\n' = \
		    'QUIT\r\n' > "said.$i" 3>&- &
	done
	relay_await 30 eval '[ "$(ls spool/new | wc -l)" -eq 8 ]'
	first=$(relay_role in-1) second=$(relay_role in-2)
	kill -KILL "$first"
	relay_await 10 eval '[ -n "$(relay_role in-1)" ] && [ "$(relay_role in-1)" != "'"$first"'" ]'
	[ "$(relay_role in-2)" = "$second" ]
	: > go
	relay_await 30 eval '[ "$(cat said.* | wc -l)" -eq 8 ]'
	relay_await 5 eval '[ -z "$(ls -A spool/new)" ]'
	good=$(cat said.* | grep -c '354 250 221 closed') || :
	lost=$(cat said.* | grep -cE '354 (closed|reset)') || :
	[ $((good + lost)) -eq 8 ]
	[ "$good" -gt 0 ]
	[ "$(relay_ids | wc -l)" -eq "$good" ]
	[ "$lost" -eq 0 ] || grep -q 'queue leftovers-removed' log
}

@test "workers die and nothing else comes: what they left in new/ goes all the same" {
	RELAY_MAY_DIE=1
	relay_start
	say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n' until:go > said 3>&- &
	relay_await 30 eval '[ "$(ls spool/new | wc -l)" -eq 1 ]'
	kill -KILL "$(relay_role in-1)" "$(relay_role in-2)"
	relay_await 10 grep -q 'queue leftovers-removed' log
	[ -z "$(ls -A spool/new)" ]
	: > go
}

@test "what a crash left of ours in new/ is gone after the start; what is no file of a spool goes to bad/" {
	relay_start
	relay_stop
	echo half > spool/new/8QkZ2a1Bc00aaa
	echo strange > spool/new/strange
	echo strange > spool/queue/strange
	relay_start
	[ "$(ls -A spool/new)" = strange ]
	[ "$(ls spool/bad)" = strange ]
	[ -z "$(ls -A spool/queue)" ]
	relay_await 10 grep -q 'unfinished-removed=1 set-aside=1' log
}

@test "what cannot be set aside stays, is named in the log, and no mail waits for it" {
	relay_start
	message_gets '354 250'
	relay_stop
	mkdir -m 0 spool/queue/strange
	touch spool/bad/strange spool/bad/strange.{1..100}
	relay_start
	relay_await 10 grep -q 'queue fault role=queue reason="left in queue: strange: rename to bad: File exists"' log
	relay_await 10 grep -q 'queue started queued=1 .*set-aside=0 left=1' log
	[ -d spool/queue/strange ]
	run ! grep -q role-died log
	rmdir spool/queue/strange
}

# PID: sends what makes no sense over each of its sockets to master and queue, as if a client had taken it over.
# Status 77 where this kernel does not hand out descriptors.
take_over()
{
	/usr/bin/python3 - "$1" <<- 'END'
		import array, ctypes, os, socket, sys
		pid = int(sys.argv[1])
		libc = ctypes.CDLL(None, use_errno=True)
		try:
		    pidfd = os.pidfd_open(pid)
		except OSError:
		    sys.exit(77)
		found = []
		for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
		    if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
		        continue
		    mine = libc.syscall(438, pidfd, fd, 0)	# pidfd_getfd
		    if mine == -1:
		        sys.exit(77)
		    s = socket.socket(fileno=mine)
		    if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
		        found.append(s)
		id = b"8QkZ2a1Bc00aaa"
		records = [b"commit", b"commit 1", b"commit 1 2 3", b"commit 99999999999999999999 " + id, b"commit 1 " + id,
		    b"commit 1 ../../../etc/passwd", b"commit %00 %2F%2E%2E", b"commit " + b"9" * 1000 + b" " + id,
		    b"commit 1 " + b"A" * 15000, b"worker 5", b"done 0 " + id + b" 250 2.0.0 x", b"stop x", b"ready", b"log 9 x", b"log 2 %0Ax",
		    b"log 3 " + b"%1B" * 4000, b"log 1", b"# comment", b"\"", b"%zz", b" ", b"\n", b"x" * 16382, b"\0\0\0", b"a b c d e f g h i j"]
		assert len(found) == 3, found  # to master, queue and route
		null = os.open("/dev/null", os.O_RDONLY)
		for record in records * 3:
		    for s in found:
		        s.setblocking(True)
		        for fds in ([], [null], [null] * 20):
		            try:
		                s.sendmsg([record], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
		            except OSError:
		                pass
		        try:
		            s.send(b"y" * 100000)
		        except OSError:
		            pass
	END
}

@test "a worker that a client took over: neither queue nor master nor route believe it" {
	local queue one status
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	RELAY_MAY_DIE=1
	relay_start
	queue=$(relay_role queue)
	for round in 1 2 3; do
		relay_await 10 eval '[ -n "$(relay_role in-1)" ]'
		status=0
		take_over "$(relay_role in-1)" || status=$?
		[ $status -ne 77 ] || skip "no pidfd_getfd here"
		[ $status -eq 0 ]
		relay_await 10 eval '[ -n "$(relay_role in-1)" ]'
		smtpload -c 4 -n 20 -L ledger 127.0.0.1 "$RELAY_PORT"
	done
	[ "$(relay_role queue)" = "$queue" ]
	kill -0 "$RELAY_PID"
	run ! grep -qE 'role=(queue|route)' log
	run -0 find "/proc/$queue/fd" "/proc/$RELAY_PID/fd" -lname /dev/null
	[ "${#lines[@]}" -le 4 ] || { echo "descriptors left open: $output"; return 1; }
	smtpload -C spool ledger
}

# PID RECORD [TIMES]: sends it to the queue, as if the role had. Status 77 as above.
send_as()
{
	/usr/bin/python3 - "$1" "$2" "${3:-1}" <<- 'END'
		import ctypes, os, socket, sys
		pid = int(sys.argv[1])
		libc = ctypes.CDLL(None, use_errno=True)
		try:
		    pidfd = os.pidfd_open(pid)
		except OSError:
		    sys.exit(77)
		found = []
		for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
		    if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
		        continue
		    mine = libc.syscall(438, pidfd, fd, 0)	# pidfd_getfd
		    if mine == -1:
		        sys.exit(77)
		    s = socket.socket(fileno=mine)
		    if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
		        found.append(s)
		assert len(found) == 3, found  # the first is the queue's
		try:
		    for _ in range(int(sys.argv[3])):
		        found[0].send(sys.argv[2].encode())
		except OSError:
		    pass	# cut
	END
}

# FILE ID ARRIVED: a message in new/ as a worker makes it.
plant()
{
	printf 'Subject: x\r\n\r\nx\r\n' | ARRIVED=$3 mkspool "spool/new/$1" "$2" '<a@client.example>' '<other@else.example>'
	chown news:games "spool/new/$1"
	chmod 660 "spool/new/$1"
}

@test "a worker that a client took over: no ID twice" {
	local id in status=0
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	RELAY_MAY_DIE=1
	relay_start
	message_gets '354 250'
	id=$(relay_ids)
	in="in-1"
	grep -q "$id accepted session=in-1" log || in="in-2"
	plant "$id" "$id" "$(date +%s)"
	send_as "$(relay_role $in)" "commit 99 $id" || status=$?
	[ $status -ne 77 ] || skip "no pidfd_getfd here"
	relay_await 10 grep -q "queue worker-nonsense reason=\"$id: the ID of another message\"" log
	[ "$(relay_ids)" = "$id" ]
	relayq -s spool show "$id" | grep -q 'user@relay.example'
	[ -z "$(find spool/new spool/bad -type f)" ]
	# Nor is a copy under another name tried beside its original.
	relay_stop
	cp -p "spool/queue/$id",* "spool/queue/$id,5,copy.example"
	relay_start
	relay_await 10 grep -q 'set aside in bad' log
	[ "$(find spool/bad -type f | wc -l)" -eq 1 ]
	[ "$(find spool/queue -type f | wc -l)" -eq 1 ]
}

# PID RECORD TIMES: the same so often to the one that answers it, until that has closed its end; only the first answer is
# read.
flood_as()
{
	/usr/bin/python3 - "$@" <<- 'END'
		import ctypes, os, select, socket, sys
		libc = ctypes.CDLL(None, use_errno=True)
		try:
		    pidfd = os.pidfd_open(int(sys.argv[1]))
		except OSError:
		    sys.exit(77)
		ends = []
		for fd in os.listdir("/proc/%s/fd" % sys.argv[1]):
		    if not os.readlink("/proc/%s/fd/%s" % (sys.argv[1], fd)).startswith("socket:"):
		        continue
		    mine = libc.syscall(438, pidfd, int(fd), 0)	# pidfd_getfd
		    if mine == -1:
		        sys.exit(77)
		    s = socket.socket(fileno=mine)
		    if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
		        ends.append(s)
		record = sys.argv[2].encode()
		for s in ends:
		    s.send(record)
		s = select.select(ends, [], [], 60)[0][0]
		s.recv(65536)
		for _ in range(int(sys.argv[3])):
		    try:
		        select.select([], [s], [], 60)
		        s.send(record)
		    except BlockingIOError:
		        pass
		    except OSError:
		        sys.exit(0)
		sys.exit(1)
	END
}

# RECORD: a worker that stands still, in whose name that is asked without end, is cut off; the others go on.
floods()
{
	local in1 queue status=0
	in1=$(relay_role in-1)
	queue=$(relay_role queue)
	kill -STOP "$in1"
	flood_as "$in1" "$1" 400000 || status=$?
	[ $status -ne 77 ] || { kill -CONT "$in1"; skip "no pidfd_getfd here"; }
	[ $status -eq 0 ]
	relay_await 20 grep -q 'master role-died role=in-1 .*how="signal 9"' log
	relay_await 20 eval '[ -n "$(relay_role in-1)" ] && [ "$(relay_role in-1)" != '"$in1"' ]'
	[ "$(relay_role queue)" = "$queue" ]
}

@test "a worker that reads no answers of the queue's is cut off, and another started" {
	local number
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	RELAY_MAY_DIE=1
	relay_start
	while message_gets '354 250' && ! grep -q ' accepted session=in-1\.' log; do
		:
	done
	floods "commit 99 $(sed -n 's/.* \([0-9A-Za-z]*\) accepted session=in-1\..*/\1/p' log | head -n 1)"
	relay_await 10 grep -qE ' queue worker-cut worker=[0-9]* reason="(too much waits for it|it asks for more commits)' log
	message_gets '354 250'
}

@test "nor does one stay that reads no answers of auth's or route's" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	RELAY_MAY_DIE=1
	mkdir -p etc
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred auth offered concurrency 10 domains relay.example"
	printf 'secret\n' | smtp-relay -c conf --passwd ann --pass-file -
	relay_start
	floods 'check 1 1 192.0.2.1 ann wrong'
	relay_await 10 grep -q ' auth worker-cut worker=[0-9]* reason=' log
	: > log
	floods 'name 1 1 127.0.0.1'
	relay_await 10 grep -q ' route worker-cut worker=[0-9]* reason=' log
	message_gets '354 250'
}

# PID KEYFILE: how often that EC key's number is in the process's memory, in either order of octets or as the file has it.
key_copies()
{
	/usr/bin/python3 - "$1" "$2" <<- 'END'
		import re, subprocess, sys
		text = subprocess.run(["openssl", "pkey", "-in", sys.argv[2], "-noout", "-text"], stdout=subprocess.PIPE, check=True).stdout.decode()
		digits = re.search(r"priv:\s*([0-9a-f:\s]+)pub:", text).group(1)
		key = bytes.fromhex(re.sub(r"[:\s]", "", digits))[-32:]
		assert len(key) == 32
		lines = open(sys.argv[2], "rb").read().split(b"\n")
		pem = lines[lines.index(b"-----BEGIN PRIVATE KEY-----") + 1]
		assert len(pem) == 64
		found = 0
		with open("/proc/%s/maps" % sys.argv[1]) as maps, open("/proc/%s/mem" % sys.argv[1], "rb", 0) as mem:
		    for line in maps:
		        area, rights = line.split()[:2]
		        if not rights.startswith("rw"):
		            continue
		        begin, end = (int(n, 16) for n in area.split("-"))
		        # The address sanitizer's shadow is terabytes.
		        if end - begin > 1 << 31:
		            continue
		        mem.seek(begin)
		        try:
		            octets = mem.read(end - begin)
		        except OSError:
		            continue
		        # Halves: it may lie there in pieces; and as the file has it.
		        found += sum(octets.count(k) for k in (key[:16], key[16:], key[::-1][:16], key[::-1][16:], pem[44:]))
		print(found)
	END
}

@test "a worker that a client took over: it cannot fill the queue while the disk is slow" {
	local id in=in-1 queue status=0
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	RELAY_MAY_DIE=1
	relay_with_faults
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls no concurrency 40 domains relay.example .sub.example"
	relay_start
	queue=$(relay_role queue)
	message_gets '354 250'
	id=$(relay_ids)
	grep -q "$id accepted session=in-1" log || in="in-2"
	relay_faults 'sync /spool 1 delay=3000000 *'
	# A round that takes so long, of an honest message; the others come meanwhile.
	say "$RELAY_PORT" = 'EHLO c\r\n' = "$MAIL$RCPT"'DATA\r\n' =3 'Subject: x\r\n\r\nx\r\n.\r\n' = 'QUIT\r\n' > said 3>&- &
	relay_await 20 eval '[ -n "$(ls spool/new)" ]'
	sleep 0.3
	send_as "$(relay_role $in)" "commit 99 $id" 100 || status=$?
	[ $status -ne 77 ] || skip "no pidfd_getfd here"
	relay_await 20 grep -q 'queue worker-cut .*it asks for more commits than it may have sessions' log
	relay_faults ''
	relay_await 10 grep -qE "role-died role=$in" log
	[ "$(relay_role queue)" = "$queue" ]
	relay_await 20 eval '[ -n "$(relay_role '"$in"')" ]'
	message_gets '354 250'
}

@test "the listener's key is in the memory of those that receive, and of no other role" {
	local key role
	[ "$(id -u)" -eq 0 ] || skip "needs root, to look into memory"
	RELAY_MAY_DIE=1
	relay_start
	key=$(grep -rl 'PRIVATE KEY' etc | head -n 1)
	[ "$(key_copies "$(relay_role in-1)" "$key")" -gt 0 ]
	for role in queue route out-1 out-2; do
		[ "$(key_copies "$(relay_role $role)" "$key")" -eq 0 ] || { echo "the key is in $role"; return 1; }
	done
	# Nor in one that was started again.
	kill -KILL "$(relay_role queue)"
	relay_await 10 grep -q 'role-died role=queue' log
	relay_await 10 eval '[ -n "$(relay_role out-2)" ] && [ -n "$(relay_role in-2)" ]'
	relay_says '221 closed' 'QUIT\r\n'
	[ "$(key_copies "$(relay_role queue)" "$key")" -eq 0 ]
}

# ---- disks ----

# WANT: what the end of a message gets now: a code, or 250.
message_gets()
{
	local words=('DATA\r\n' "=" 'Subject: x\r\n\r\nx\r\n.\r\n' "=")
	[[ $1 == 354* ]] || words=('DATA\r\n' "=")
	run say -l "$RELAY_PORT" "=" 'EHLO c\r\n' "=" "$MAIL" "=" "$RCPT" "=" "${words[@]}" 'QUIT\r\n'
	[ "${lines[-1]}" = "220 250 250 250 $1 221 closed" ] || { echo "wanted $1: $output"; return 1; }
}

@test "errors at open, write and rename: 451 or 452, and nothing else is disturbed" {
	local call error want n=0
	relay_with_faults
	relay_start
	for call in 'openat /new/' 'write /new/' 'rename /queue/'; do
		for error in 'ENOSPC 452' 'EIO 451' 'EDQUOT 452'; do
			read -r error want <<< "$error"
			[ "$call" = 'openat /new/' ] || want="354 $want"
			relay_faults "$call 1 $error *"
			message_gets "$want"
			[ -z "$(ls -A spool/new)" ]
			[ "$(relay_ids | wc -l)" -eq $n ]
			relay_faults ''
			message_gets '354 250'
			n=$((n + 1))
		done
	done
	run ! grep -q spool-sick log
	[ "$(relay_ids | wc -l)" -eq $n ]
	relay_await 10 grep -q 'not-accepted .*reason=".*No space left on device' log
}

@test "a failed sync: 451, nothing is taken until a probe was synced, then it is again" {
	local call n=0
	relay_with_faults
	relay_start
	for call in 'fdatasync /new/' 'fsync /queue' 'fsync /new'; do
		: > log
		message_gets '354 250'
		n=$((n + 1))
		# The next such sync fails, and all probes until the rule goes.
		relay_faults "$call 1 EIO *"
		message_gets '354 451'
		message_gets '354 451'
		relay_await 5 grep -q 'queue spool-sick .*Input/output error' log
		sleep 2
		run ! grep -q 'queue spool-well' log
		message_gets '354 451'
		[ "$(relay_ids | wc -l)" -eq $n ]
		relay_faults ''
		relay_await 5 grep -q 'queue spool-well' log
		message_gets '354 250'
		n=$((n + 1))
		[ "$(relay_ids | wc -l)" -eq $n ]
	done
}

@test "a batch whose sync fails: all of it is refused, none is there, then all goes on" {
	relay_with_faults
	relay_start
	relay_faults 'syncfs /spool 3 ENOSPC;sync /spool 1 delay=20000 *'
	smtpload -c 20 -m 20 -d 5 -L ledger 127.0.0.1 "$RELAY_PORT"
	grep -q '^452' ledger
	[ "$(grep -c '^250' ledger)" -gt 100 ]
	relay_await 10 grep -q spool-sick log
	relay_await 10 grep -q spool-well log
	relay_stop
	smtpload -C spool ledger
}

@test "random errors of the disk under load: what was answered 250 is there" {
	relay_with_faults
	relay_start
	relay_faults 'write /new/ 40 EIO 3;rename /queue/ 30 EIO 2;rename /queue/ 60 ENOSPC 2;sync /spool 25 EIO;sync /spool 90 EIO 3;openat /new/ 100 ENOSPC 5;write /new/ 200 ENOSPC 9'
	smtpload -c 10 -m 20 -d 8 -L ledger 127.0.0.1 "$RELAY_PORT"
	grep -q '^45' ledger
	[ "$(grep -c '^250' ledger)" -gt 50 ]
	relay_stop
	smtpload -C spool ledger
	[ -z "$(ls -A spool/new)" ]
}

@test "killed at each call on the way of a message: whole where it was answered, and never half" {
	local call
	RELAY_MAY_DIE=1
	relay_with_faults
	for call in 'write /new/' 'pwrite /new/' 'fdatasync /new/' 'rename /queue/' 'fsync /queue' 'fsync /new'; do
		relay_start
		relay_faults "$call 5 kill"
		smtpload -c 2 -m 20 -d 2 -L ledger 127.0.0.1 "$RELAY_PORT"
		relay_faults ''
		relay_stop
		smtpload -C spool ledger
	done
	grep -q '^lost' ledger
}

@test "a full file system: 452, nothing accepted is lost, and mail again when there is room" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to mount"
	mkdir spool
	mount -t tmpfs -o size=2m none spool 2>/dev/null || skip "no file system can be mounted here"
	: > tmpfs-mounted
	relay_conf
	echo 'min-free 0' >> conf
	relay_start
	smtpload -c 4 -m 10 -l 60000 -d 3 -L ledger 127.0.0.1 "$RELAY_PORT"
	grep -q '^452' ledger
	[ "$(grep -c '^250' ledger)" -gt 10 ]
	grep -cv -e '^250' -e '^452' ledger && { cat ledger; return 1; }
	smtpload -C spool ledger
	[ -z "$(ls -A spool/new)" ]
	[ "$(relayq -s spool list | grep -vc '^ ')" -eq "$(grep -c '^250' ledger)" ]
	relay_forget
	message_gets '354 250'
}

# SIZE WANT: what MAIL with this SIZE= gets.
mail_gets()
{
	run say -l "$RELAY_PORT" "=" 'EHLO c\r\n' "=" "MAIL FROM:<a@client.example> SIZE=$1\r\n" "=" 'QUIT\r\n'
	[ "${lines[-1]}" = "220 250 $2 221 closed" ] || { echo "wanted $2 for $1: $output"; return 1; }
	[[ $2 = 250 || $output == *'452 4.3.1 no space'* ]]
}

@test "a nearly full file system: 452 at MAIL, told once, and mail again when there is room" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to mount"
	mkdir spool
	mount -t tmpfs -o size=8m,nr_inodes=200 none spool 2>/dev/null || skip "no file system can be mounted here"
	: > tmpfs-mounted
	relay_conf
	echo 'min-free 4M 50' >> conf
	relay_start
	mail_gets 1000 250
	# What is free is enough, but not for such a message.
	mail_gets 5000000 452
	run ! grep -q spool-low log
	# Octets.
	head -c 5000000 /dev/zero > spool/fill
	relay_await 5 mail_gets 1000 452
	mail_gets 0 452
	# Of two workers one says it.
	for i in {1..20}; do mail_gets 1000 452; done
	relay_logs 1 'spool-low free=[0-9]* inodes=[0-9]* consequence='
	[ -z "$(find spool/new spool/queue -type f)" ]
	rm spool/fill
	relay_await 5 mail_gets 1000 250
	relay_logs 1 'spool-room free=[0-9]* inodes=[0-9]* consequence="mail is accepted again"'
	relay_await 5 message_gets '354 250'
	# Inodes.
	mkdir spool/many
	(cd spool/many && touch {1..160})
	relay_await 5 mail_gets 1000 452
	relay_logs 2 spool-low
	rm -r spool/many
	relay_await 5 mail_gets 1000 250
	relay_await 5 message_gets '354 250'
}

@test "it fills up between MAIL and DATA: 452 for DATA" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to mount"
	mkdir spool
	mount -t tmpfs -o size=8m none spool 2>/dev/null || skip "no file system can be mounted here"
	: > tmpfs-mounted
	relay_conf
	echo 'min-free percent 50' >> conf
	relay_start
	mkfifo go
	(
		exec 4<> "/dev/tcp/127.0.0.1/$RELAY_PORT"
		read -r <&4
		printf 'EHLO c\r\n' >&4
		while read -r line <&4 && [[ $line != '250 '* ]]; do :; done
		printf '%s%s' "${MAIL//\\r\\n/$'\r\n'}" "${RCPT//\\r\\n/$'\r\n'}" >&4
		while read -r line <&4 && [[ $line != '250 2.1.5'* ]]; do :; done
		: > mailed
		read -r < go
		printf 'DATA\r\n' >&4
		sleep 0.2
		printf 'QUIT\r\n' >&4
		cat <&4
	) > said 3>&- &
	relay_await 20 [ -e mailed ]
	head -c 5000000 /dev/zero > spool/fill
	sleep 1.1
	echo > go
	wait $!
	grep -q '^452 4.3.1 no space' said
	relay_await 10 grep -q ' spool-low ' log
	[ -z "$(find spool/new -type f)" ]
}

@test "no descriptors left: the connection waits, and is served" {
	RELAY_PREFIX=(bash -c 'ulimit -n 40; exec "$0" "$@"')
	relay_start
	smtpload -c 60 -n 300 -m 1 -L ledger 127.0.0.1 "$RELAY_PORT"
	run ! grep -q '^lost' ledger
	smtpload -C spool ledger
}
