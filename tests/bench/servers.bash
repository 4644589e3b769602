# servers.bash - smtp-relay and a real Postfix side by side, for the benchmarks: CPU, start, load, medians.
# Sourced by accept and relay, which set dir, rounds, servers, relay_port, postfix_port, relay_lines,
# postfix_lines and load_one PORT [OPTION...], which prints rate, p50 and p99; errors end them.
# shellcheck shell=bash disable=SC2154

# ---- CPU ----

make_groups()
{
	mkdir "$group.relay" "$group.postfix" 2>/dev/null && [ -e "$group.relay/cpuacct.usage" ] || group=
}

# SERVER: this process, and all that it starts, counts as the server's.
join_group()
{
	[ -z "$group" ] || echo "$BASHPID" > "$group.$1/tasks"
}

remove_groups()
{
	[ -z "$group" ] || rmdir "$group.relay" "$group.postfix" 2>/dev/null || :
}

# The pids of a process and of all below it.
tree()
{
	local pid
	echo "$1"
	# shellcheck disable=SC2013 # words
	for pid in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do tree "$pid"; done
}

# SERVER: microseconds of CPU so far, dead children included.
cpu_of()
{
	local pid pid_name=pid_$1
	if [ -n "$group" ]; then
		echo $(($(< "$group.$1/cpuacct.usage") / 1000))
		return
	fi
	for pid in $(tree "${!pid_name}"); do
		sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null || :
	done | awk -v hz="$(getconf CLK_TCK)" '{ t += $12 + $13 + $14 + $15 } END { printf "%.0f\n", t * 1e6 / hz }'
}

# ---- the servers ----

await_port()
{
	local i
	for ((i = 0; i < 250; i++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.02
	done
	echo "accept: nothing listens on port $1" >&2
	cat "$dir/relay.log" >&2 2>/dev/null || :
	return 1
}

write_conf()
{
	cat > "$dir/relay.conf" <<-EOF
		hostname relay.bench.test
		dir $dir/state
		spool $dir/spool
		user nobody
		queue-user daemon
	EOF
	printf '%s\n' "${relay_lines[@]}" >> "$dir/relay.conf"
}

# Environment words may stand before it: start_relay FAULTS=...
start_relay()
{
	(
		join_group relay
		exec env "$@" "$BIN/smtp-relay" -F -c "$dir/relay.conf" -p "$dir/relay.pid"
	) 2>> "$dir/relay.log" &
	pid_relay=$!
	await_port "$relay_port"
}

start_postfix()
{
	(
		join_group postfix
		exec env "$@" tests/lab/postfix start "$dir/postfix" 127.0.0.1 "$postfix_port" \
		    "$dir/state/certs/relay.bench.test" max_use=100 in_flow_delay=0 \
		    'import_environment=MAIL_CONFIG LANG=C LD_LIBRARY_PATH LD_PRELOAD FAULTS FAULTS_TRACE' \
		    "${postfix_lines[@]}"
	) 2> "$dir/postfix.log"
	pid_postfix=$(< "$dir/postfix/pid")
}

start_both()
{
	start_relay "$@"
	start_postfix "$@"
}

stop_both()
{
	if [ -n "$pid_relay" ]; then
		kill "$pid_relay" 2>/dev/null || :
		wait "$pid_relay" || :
	fi
	[ -z "$pid_postfix" ] || tests/lab/postfix stop "$dir/postfix" || :
	pid_relay='' pid_postfix=''
}

end()
{
	stop_both
	remove_groups
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# ---- the measure ----

# SERVER ARGUMENT...: a load; adds "RATE P50 P99 CPU" to the server's file of results.
load()
{
	local port=${1}_port server=$1 before result
	shift
	before=$(cpu_of "$server")
	result=$(load_one "${!port}" "$@")
	echo "$result $(cpu_of "$server") $before" | awk -v n="$messages" \
	    '{ printf "%s %s %s %.0f\n", $1, $2, $3, ($4 - $5) / n }' >> "$dir/$server.results"
}

# SERVER COLUMN: the median.
median()
{
	sort -n -k "$2,$2" "$dir/$1.results" | awk -v c="$2" '{ v[NR] = $c }
		END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

print_row()
{
	printf '  %-18s %12s %12s %8s\n' "$1" "$2" "$3" "$(awk -v a="$2" -v b="$3" \
	    'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }')"
}

# TITLE MESSAGES ARGUMENT...
compare()
{
	local title=$1 messages=$2 i server
	shift 2
	rm -f "$dir"/*.results
	for server in $servers; do load "$server" -n "$messages" "$@"; done
	rm -f "$dir"/*.results
	for ((i = 0; i < rounds; i++)); do
		for server in $servers; do load "$server" -n "$messages" "$@"; done
	done
	echo "$title"
	printf '  %-18s %12s %12s %8s   (medians of %d rounds of %d messages)\n' '' smtp-relay postfix ratio \
	    "$rounds" "$messages"
	print_row 'messages/s' "$(median relay 1)" "$(median postfix 1)"
	print_row 'p50 ms' "$(median relay 2)" "$(median postfix 2)"
	print_row 'p99 ms' "$(median relay 3)" "$(median postfix 3)"
	print_row 'CPU us/message' "$(median relay 4)" "$(median postfix 4)"
}

# CLIENTS MESSAGES: sync calls of each server, as the interposed library sees them.
count_syncs()
{
	local server port
	for server in $servers; do
		port=${server}_port
		: > "$dir/trace"
		"$BUILD/bench/smtpload" -c "$1" -n "$2" 127.0.0.1 "${!port}" > /dev/null
		awk -v n="$2" '$2 ~ /sync/ { s++ } END { printf "%.3f\n", s / n }' "$dir/trace" > "$dir/$server.syncs"
	done
	print_row "$1 clients" "$(< "$dir/relay.syncs")" "$(< "$dir/postfix.syncs")"
}

