# relay.bash - starts and ends an smtp-relay for a bats test, looks into its spool and its log.
# shellcheck shell=bash disable=SC2034 # some variables are for the tests
#
# RELAY is its folder ($BATS_TEST_TMPDIR/r), RELAY_PORT the port of listener `in`, RELAY_PORT2 one more that is free,
# RELAY_PID the master, RELAY_LOG its log, RELAY_SPOOL its spool.  Every test that starts one calls relay_end in
# its teardown: it fails where the relay died or left a process, and prints the log.

relay_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${BUILD:=$relay_here/../../build}" "${BIN:=$relay_here/../../bin}" "${ASAN_OPTIONS:=}"
PATH=$BIN:$BUILD/lab:$relay_here:$PATH:/usr/sbin:/sbin

# Ends the lab of a file that started one in its setup_file.
teardown_file()
{
	. "$relay_here/lab.bash"
	[ -n "${LAB_DIR:-}" ] || return 0
	lab_postfix_stop
	lab_stop
}

# The folder, reachable for the roles' users, and ports.
relay_setup()
{
	local dir
	RELAY=$BATS_TEST_TMPDIR/r RELAY_PID='' RELAY_JOB='' RELAY_MAY_DIE=
	RELAY_SPOOL=$RELAY/spool RELAY_LOG=$RELAY/log
	RELAY_PREFIX=() RELAY_PRELOAD=
	mkdir -p "$RELAY"
	for dir in "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR" "$RELAY"; do
		[ ! -d "$dir" ] || chmod 711 "$dir"
	done
	RELAY_PORT=$(relay_free_port)
	RELAY_PORT2=$(relay_free_port)
	cd "$RELAY" || return
}

# Below the ports that the kernel hands to clients.
relay_free_port()
{
	local port given=${BATS_TEST_TMPDIR:+$BATS_TEST_TMPDIR/.ports}
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		# One that was given in this test may still be unused.
		! grep -qsx "$port" "${given:-/dev/null}" || continue
		(exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port" >> "${given:-/dev/null}"
	echo "$port"
}

# [LINE…]: a configuration with these lines for the listeners; unless given: one public listener `in`.
relay_conf()
{
	cat > "$RELAY/conf" <<-END
		hostname relay.example
		deliver ${RELAY_DELIVER:-no}
		dir $RELAY/etc
		spool $RELAY_SPOOL
		user news
		queue-user games
	END
	if [ $# -eq 0 ]; then
		set -- "listen in 127.0.0.1@$RELAY_PORT type public tls preferred domains relay.example .sub.example"
	fi
	printf '%s\n' "$@" >> "$RELAY/conf"
}

# [LINE…]: one that delivers to the lab's hosts, started by lab_start before, with these lines behind it.  RELAY_RETRY: how
# long after a failure it tries again; RELAY_LOOPBACK: whether mail goes to hosts on loopback, as all of the lab's are.
relay_conf_to_lab()
{
	cat > "$RELAY/conf" <<-END
		hostname relay.example
		dir $RELAY/etc
		spool $RELAY_SPOOL
		user news
		queue-user games
		anchor $LAB_ANCHOR
		resolver $LAB_DNS
		mx-port $LAB_PORT
		loopback-mx ${RELAY_LOOPBACK:-yes}
		retry ${RELAY_RETRY:-2s}
		listen in 127.0.0.1@$RELAY_PORT type private
		hosts in 127.0.0.0/8 relay
	END
	[ $# -eq 0 ] || printf '%s\n' "$@" >> "$RELAY/conf"
}

relay_is_ready()
{
	grep -qs 'master ready' "$RELAY_LOG" && [ -s "$RELAY/pid" ]
}

# [OPTION…]: starts it in the foreground, behind RELAY_PREFIX.
relay_spawn()
{
	[ -e "$RELAY/conf" ] || relay_conf
	: > "$RELAY_LOG"
	rm -f "$RELAY/pid"
	"${RELAY_PREFIX[@]}" "$BIN/smtp-relay" -F -c "$RELAY/conf" -p "$RELAY/pid" "$@" \
	    </dev/null >"$RELAY/out" 2>"$RELAY_LOG" 3>&- &
	RELAY_JOB=$!
}

# [OPTION…]: the same, and waits until it is ready.
relay_start()
{
	local i
	relay_spawn "$@"
	for ((i = 0; i < 1500; i++)); do
		! relay_is_ready || break
		kill -0 $RELAY_JOB 2>/dev/null || break
		sleep 0.02
	done
	relay_is_ready || { echo "the relay does not start:"; cat "$RELAY_LOG"; return 1; }
	RELAY_PID=$(< "$RELAY/pid")
}

# The processes of the relay: its roles have its command line.
relay_pids()
{
	grep -alsF "$RELAY/conf" /proc/[0-9]*/cmdline | cut -d/ -f3 | while read -r pid; do
		# The grep above has it in its command line too, and may not have ended yet.
		case "$(cat "/proc/$pid/comm" 2>/dev/null)" in strace|grep|'') continue ;; esac
		! kill -0 "$pid" 2>/dev/null || echo "$pid"
	done
}

# NAME: the pid of a role now: queue, in-1, in-2.
relay_role()
{
	local pid
	for pid in $(relay_pids); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$1" ] || echo "$pid"
	done
}

# Waits up to SECONDS for CMD.
relay_await()
{
	local i n=$(($1 * 20))
	shift
	for ((i = 0; i < n; i++)); do
		! "$@" || return 0
		sleep 0.05
	done
	echo "waited in vain for: $*"
	return 1
}

# N [GREP'S OPTION…] PATTERN: so many lines of the log have it, or more.
relay_log_has()
{
	[ "$(grep -c "${@:2}" "$RELAY_LOG")" -ge "$1" ]
}

# N [GREP'S OPTION…] PATTERN: so many lines of the log have it and no more.  The master writes what the roles tell, so that
# a line may come a moment behind what it tells of.
relay_logs()
{
	relay_await 10 relay_log_has "$@"
	[ "$(grep -c "${@:2}" "$RELAY_LOG")" -eq "$1" ]
}

relay_is_gone()
{
	[ -z "$(relay_pids)" ]
}

# Ends it with SIGTERM and hands on its status.
relay_stop()
{
	local status=0
	[ -n "$RELAY_JOB" ] || return 0
	# Where it did not come to write its number, it is the job.
	kill -TERM "${RELAY_PID:-$RELAY_JOB}" 2>/dev/null
	wait "$RELAY_JOB" || status=$?
	RELAY_JOB='' RELAY_PID=''
	relay_await 5 relay_is_gone || status=1
	return $status
}

# For teardown.  Set RELAY_MAY_DIE where roles are killed by the test.
relay_end()
{
	local status=0 pid
	relay_stop || { status=$?; echo "the relay ended with status $status"; }
	[ -e "$RELAY_LOG" ] || return $status
	if grep -E 'Sanitizer|runtime error|alloc|Assertion' "$RELAY_LOG"; then
		status=1
	elif [ -z "$RELAY_MAY_DIE" ] && grep -E 'role-died|role-failed|makes no sense' "$RELAY_LOG"; then
		status=1
	fi
	# One that did not start may have a role that has not ended yet.
	relay_await 5 relay_is_gone > /dev/null || for pid in $(relay_pids); do
		echo "left running: $(ps -o pid=,args= -p "$pid")"
		kill -KILL "$pid"
		status=1
	done
	if [ $status -ne 0 ] || [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		echo "== the relay's log, its end"
		tail -n 60 "$RELAY_LOG"
	fi
	return $status
}

# The only message in the spool, without the field that the relay put before it; 1 where there is not one.
relay_message()
{
	local ids
	mapfile -t ids < <(relay_ids)
	[ ${#ids[@]} -eq 1 ] || { echo "${#ids[@]} messages" >&2; return 1; }
	relay_cat "${ids[0]}"
}

relay_ids()
{
	relayq -s "$RELAY_SPOOL" list | grep -o '^[^ ]*' | sort
}

relay_cat()
{
	relayq -s "$RELAY_SPOOL" cat "$1" | perl -0777 -pe 's/\AReceived: [^\n]*\n([ \t][^\n]*\n)*//'
}

# Empties the spool of a relay that runs.
relay_forget()
{
	rm -f "$RELAY_SPOOL"/queue/*
}

# WANT [OPTION…] WORD…: what `say` prints for a session that begins with banner and EHLO.
relay_says()
{
	local want=$1
	shift
	run say "$RELAY_PORT" = 'EHLO client.example\r\n' = "$@"
	[ "$output" = "220 250 $want" ] ||
	    { echo "wanted: 220 250 $want"; echo "got:    $output"; printf 'sent:  '; printf ' %q' "$@"; echo; return 1; }
}

# The relay runs behind tests/lab/faults.c from now on.
relay_with_faults()
{
	head -c 8192 /dev/zero > "$RELAY/faults"
	relay_preload faults "FAULTS_FILE=$RELAY/faults"
}

# LIBRARY VARIABLE: the relay runs with it from now on, and with those said before.
relay_preload()
{
	RELAY_PRELOAD=$RELAY_PRELOAD${RELAY_PRELOAD:+:}$BUILD/lab/$1.so
	RELAY_PREFIX+=(env "LD_PRELOAD=$RELAY_PRELOAD" "$2" "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0")
}

# Before relay_start: the relay's time is the test's from then on, and that of commands behind "${RELAY_AT[@]}" too.  Time runs
# as it does, but relay_clock sets it forward, in all processes of the relay at once and as often as wanted, and
# whatever of its timers is due then fires: a day passes in a moment.  A step is an hour-long silence for whoever is
# under way: let sessions end before.  Signatures and certificates of the lab hold for four weeks.
#
#	relay_with_clock; relay_start
#	relay_clock +4h				four hours later
#	relay_clock "@$((($(relay_now) / 86400 + 1) * 86400))"	the next midnight, UTC
#	relay_await 5 log_says '...'		what has to come of it
#	relay_clock_next			to the next try of a message, and until that is over
relay_with_clock()
{
	head -c 8 /dev/zero > "$RELAY/clock"
	RELAY_AHEAD=0
	relay_preload clock "CLOCK_FILE=$RELAY/clock"
	RELAY_AT=(env "LD_PRELOAD=$BUILD/lab/clock.so" "CLOCK_FILE=$RELAY/clock"
	    "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0")
}

# The time there, in seconds since 1970.
relay_now()
{
	echo $((EPOCHSECONDS + RELAY_AHEAD))
}

# +NUMBER[smhd], or @SECONDS since 1970: sets it forward.
relay_clock()
{
	local n=${1#[+@]} unit=1 octets='' octet i
	case $n in
	*s) n=${n%s} ;;
	*m) n=${n%m} unit=60 ;;
	*h) n=${n%h} unit=3600 ;;
	*d) n=${n%d} unit=86400 ;;
	esac
	n=$((n * unit))
	[ "${1:0:1}" != @ ] || n=$((n - EPOCHSECONDS - RELAY_AHEAD))
	RELAY_AHEAD=$((RELAY_AHEAD + n))
	for ((i = 0; i < 64; i += 8)); do
		printf -v octet '\\x%02x' $((RELAY_AHEAD >> i & 255))
		octets+=$octet
	done
	# shellcheck disable=SC2059 # the octets are the format; 1<> overwrites in place, with one write
	printf "$octets" 1<> "$RELAY/clock"
}

# When the next message in queue/ is due; nothing where it is empty.
relay_next_due()
{
	local file due least=
	for file in "$RELAY_SPOOL"/queue/*,*; do
		[ -e "$file" ] || continue
		due=${file##*/} due=${due#*,} due=${due%%,*}
		[ -n "$least" ] && [ "$least" -le "$due" ] || least=$due
	done
	echo "$least"
}

# Is nothing under way, nor due, nor about to be committed, nor to be told in the log, which would have another time
# there if the clock were set forward now?  Several messages for one dead host are not so for long: it sleeps for 30
# seconds behind each two.
relay_is_idle()
{
	local file due until waits=()
	for file in "$RELAY_SPOOL"/new/* "$RELAY_SPOOL"/queue/*,*; do
		case $file in
		*'/*' | *'/*,*') continue ;;
		*/new/*) return 1 ;;
		esac
		due=${file##*/} due=${due#*,} due=${due%%,*}
		[ "$due" -gt $((EPOCHSECONDS + RELAY_AHEAD)) ] || return 1
		file=${file##*/}
		TZ=UTC printf -v until '%(%FT%TZ)T' "$due"
		waits+=("${file%%,*} $until")
	done
	[ ${#waits[@]} -eq 0 ] || printf '%s\n' "${waits[@]}" | relay_log_tells_waits
}

# Lines "ID TIME": each that the log knows, it knows to wait until then.
relay_log_tells_waits()
{
	awk 'NR == FNR { want[$1] = $2; next }
		$3 in want { known[$3] = 1 }
		$3 in want && $4 == "waits" && $0 ~ " until=" want[$3] { told[$3] = 1 }
		END { for (id in known) if (!(id in told)) exit 1 }' - "$RELAY_LOG"
}

# To the time when the next message is due, and until nothing is under way any more; 1: there is none.
relay_clock_next()
{
	local due
	relay_await 20 relay_is_idle || return
	due=$(relay_next_due)
	[ -n "$due" ] || return 1
	relay_clock "@$due"
	relay_await 20 relay_is_idle
}

# RULES: what goes wrong from now on; none: nothing.
relay_faults()
{
	printf '%s' "$1" | dd of="$RELAY/faults" bs=4096 count=1 iflag=fullblock conv=notrunc,sync status=none
	[ -n "$1" ] || head -c 4096 /dev/zero | dd of="$RELAY/faults" bs=4096 conv=notrunc status=none
}
