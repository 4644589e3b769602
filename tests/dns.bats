#!/usr/bin/env bats
# common/dns on the lab: each type of record in each state, aliases, and what becomes of a question on its way.

bats_require_minimum_version 1.5.0

setup_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
}

teardown_file() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup() {
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
}

# "name|type|wanted" of each row, with the port and the record filled in.
rows() {
	local rdata
	rdata=$(lab_rdata good 3 1 1 | tr -d ' ')
	grep -v '^#' "$BATS_TEST_DIRNAME/dns.rows" | grep . |
		sed -E "s/ *\| */|/g; s/ *$//; s/_PORT/_$LAB_PORT/; s/RDATA/030101${rdata:3:4}/g"
}

# RESOLVER TIMEOUT [PREFIX...]: all questions at once; says what differs.
compare() {
	local resolver=$1 ms=$2 name type wanted said wrong=''
	shift 2
	rows | tr '|' ' ' | awk '{ print $1, $2 }' > "$BATS_TEST_TMPDIR/questions"
	"$@" "$BUILD/dnsask" "$resolver" "$LAB_ANCHOR" "$ms" < "$BATS_TEST_TMPDIR/questions" > "$BATS_TEST_TMPDIR/said"
	[ "$(wc -l < "$BATS_TEST_TMPDIR/said")" -eq "$(rows | wc -l)" ]
	while IFS='|' read -r name type wanted <&3 && read -r said <&4; do
		# shellcheck disable=SC2053
		[[ $said == "$name $type "$wanted ]] || wrong+="$said, wanted $wanted"$'\n'
	done 3< <(rows) 4< "$BATS_TEST_TMPDIR/said"
	[ -z "$wrong" ] || { printf '%s' "$wrong"; return 1; }
}

@test "each type in each state, aliases, truncation, answers that are none: as dns.rows has it" {
	compare "$LAB_DNS" 8000
}

@test "what is asked at once is waited for once: the slowest answer, not the sum" {
	local from
	from=$(date +%s)
	yes 'mx-timeout.test MX' | head -n 100 | "$BUILD/dnsask" "$LAB_DNS" "$LAB_ANCHOR" 3000 > "$BATS_TEST_TMPDIR/out"
	[ "$(grep -c 'MX failed' "$BATS_TEST_TMPDIR/out")" -eq 100 ]
	[ $(($(date +%s) - from)) -lt 60 ]
}

@test "a resolver by TCP only, where each answer is truncated" {
	run -0 bash -c 'echo "dns-tcp.test MX" | "$0" "$@"' "$BUILD/dnsask" "$LAB_DNS" "$LAB_ANCHOR" 8000
	[ "$output" = 'dns-tcp.test MX secure data - 10:mx.dns-tcp.test' ]
	# Once by UDP, truncated, and once by TCP.
	[ "$(grep -c '^127.0.0.1 dns-tcp.test. MX$' "$LAB_QUERIES")" -ge 2 ]
}
