#!/usr/bin/env bats
# The unit for systemd: that it is one, that the relay can live with what it leaves, and that it is told what it waits for.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay works as several users"
	relay_setup
	UNIT=$BATS_TEST_DIRNAME/../contrib/systemd/mtatls-relay.service
}

teardown()
{
	[ -z "${LISTENER:-}" ] || kill "$LISTENER" 2> /dev/null || :
	relay_end
}

# KEY: its value in the unit.
value_of()
{
	sed -n "s/^$1=//p" "$UNIT"
}

# A port below 1024 that is free.
low_port()
{
	local port
	while :; do
		port=$((600 + RANDOM % 400))
		(exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo $port
}

@test "what make install puts there is a unit, and a list of the users that the manual names" {
	local p=$RELAY/p
	make -s -C "$BATS_TEST_DIRNAME/.." -o "$BUILD/flags" BUILD="$(realpath "$BUILD")" BIN="$(realpath "$BIN")" PREFIX="$p" install > /dev/null
	grep -qx "ExecStart=$p/bin/smtp-relay -F" "$p/share/mtatls/systemd/mtatls-relay.service"
	# The configuration is looked at before the relay is told.
	diff <(sed -n 's/^ExecReload=//p' "$p/share/mtatls/systemd/mtatls-relay.service") - <<-END
		/bin/sh -c 'exec $p/bin/smtp-relay -n > /dev/null'
		/bin/kill -HUP \$MAINPID
	END
	run -0 systemd-analyze verify --man=no "$p/share/mtatls/systemd/mtatls-relay.service"
	[ -z "$output" ] || { echo "$output"; return 1; }
	run -0 systemd-analyze security --offline=yes --threshold=45 "$p/share/mtatls/systemd/mtatls-relay.service"
	# In the text as it is installed the path is that of the prefix.
	grep -qF "$p/share/mtatls/alerts/mtatls-alert" "$p/share/man/man8/smtp-relay.8"
	[ -x "$p/share/mtatls/alerts/mtatls-alert" ]
	run ! grep -q /usr/local/share/mtatls "$p/share/man/man8/smtp-relay.8"
	mkdir -p root/etc root/usr/lib/sysusers.d
	cp "$p/share/mtatls/systemd/mtatls.conf" root/usr/lib/sysusers.d/
	systemd-sysusers --root="$RELAY/root" mtatls.conf
	diff <(cut -d: -f1 root/etc/passwd | sort) \
	    <(sed -nE 's/^(user|queue-user|alert-user) +//p' "$BATS_TEST_DIRNAME/../man/smtp-relay.conf.5" | sort -u)
}

@test "the relay lives with the capabilities and system calls that the unit leaves it" {
	local cap caps='-all' low unknown
	for cap in $(value_of CapabilityBoundingSet); do
		cap=${cap#CAP_}
		caps+=,+${cap,,}
	done
	low=$(low_port)
	export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0	# which needs ptrace(2) for itself
	printf '#!/bin/sh\ncat > /dev/null\n' > hook
	chmod 755 hook
	relay_conf "listen in 127.0.0.1@$low type private tls preferred" 'hosts in 127.0.0.0/8 relay' "listen s $RELAY/s.sock" \
	    "alert-hook $RELAY/hook" 'alert-user daemon'
	RELAY_PREFIX=(strace -f -qq -o "$RELAY/calls" setpriv --no-new-privs --bounding-set="$caps" --inh-caps="$caps")
	relay_start
	grep -q 'CapBnd:.*00000000000404fb' "/proc/$RELAY_PID/status" || { grep CapBnd "/proc/$RELAY_PID/status"; return 1; }
	run say "$low" = 'EHLO c\r\n' = 'STARTTLS\r\n' = tls 'EHLO c\r\n' = 'MAIL FROM:<a@b.test>\r\n' = 'RCPT TO:<c@d.test>\r\n' = \
	    'DATA\r\n' = 'x\r\n.\r\n' = 'QUIT\r\n'
	[[ $output == *'354 250 221 closed' ]] || { echo "$output"; return 1; }
	run -0 strace -f -qq -o "$RELAY/calls-n" setpriv --no-new-privs --bounding-set="$caps" --inh-caps="$caps" \
	    sh -c "exec smtp-relay -n -c conf > /dev/null"
	kill -HUP "$RELAY_PID"
	relay_await 30 grep -q 'master reloaded' "$RELAY_LOG"
	relay_stop
	cat calls-n >> calls
	unknown=$(sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' calls | sort -u |
	    grep -vxF -f <(for set in $(value_of SystemCallFilter); do allowed "$set"; done) || :)
	[ -z "$unknown" ] || { echo "not in the filter: $unknown"; return 1; }
	[ "$(sort -u calls | grep -c chroot)" -gt 0 ]
}

# A system call, or all of a set and of the sets in it.
allowed()
{
	local word
	[[ $1 == @* ]] || { echo "$1"; return; }
	for word in $(systemd-analyze syscall-filter "$1" | sed '1d; s/#.*//'); do allowed "$word"; done
}

@test "the journal gets priorities, and no second time; another file that it is not keeps the time" {
	: > "$RELAY_LOG"
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls preferred" 'hosts in 127.0.0.0/8 relay'
	RELAY_PREFIX=(env "JOURNAL_STREAM=$(stat -c %d:%i "$RELAY_LOG")")
	relay_start
	say "$RELAY_PORT" = 'EHLO c\r\n' = 'QUIT\r\n'
	relay_stop
	cat "$RELAY_LOG"
	relay_await 10 grep -qE '^<6>in-[0-9]+\.1 connect ' "$RELAY_LOG"
	relay_await 10 grep -qE '^<4>master certificate .* warning=' "$RELAY_LOG"
	run ! grep -vE '^<[3-7]>[0-9A-Za-z.-]+ [a-z-]+' "$RELAY_LOG"
	RELAY_PREFIX=(env "JOURNAL_STREAM=1:1")
	relay_start
	relay_stop
	tail -n 1 "$RELAY_LOG" | grep -qE '^[0-9T:-]+Z smtp-relay: master stopped$'
}

# What has come so far.
heard()
{
	[ "$(cat heard)" = "$1" ]
}

@test "who wants to know is told when the relay is ready and when it ends" {
	for name in "$RELAY/told" "@mtatls-test-$$"; do
		rm -f told
		python3 -u - "$name" > heard <<- 'END' 3>&- &
			import socket, sys
			s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
			s.bind(sys.argv[1].replace("@", "\0"))
			print("listening")
			while True:
			    print(s.recv(100).decode())
		END
		LISTENER=$!
		relay_await 20 heard listening
		export NOTIFY_SOCKET=$name
		relay_start
		relay_await 20 heard listening$'\n'READY=1
		relay_stop
		relay_await 20 heard listening$'\n'READY=1$'\n'STOPPING=1
		kill "$LISTENER"
		wait "$LISTENER" || :
	done
	# Nobody there, or nonsense: it starts all the same.
	for name in "$RELAY/told" relative @ "/$(printf 'x%.0s' {1..300})"; do
		NOTIFY_SOCKET=$name relay_start
		relay_stop
	done
}
