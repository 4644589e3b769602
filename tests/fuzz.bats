#!/usr/bin/env bats
# What fuzzers have found, and what they start from, is tried again: each harness over its corpus.

setup()
{
	BUILD=${BUILD:-$BATS_TEST_DIRNAME/../build}
}

@test "every harness has a corpus, and bears it" {
	for source in "$BATS_TEST_DIRNAME"/fuzz/*.c; do
		name=$(basename "$source" .c)
		[ "$name" != replay ] || continue
		run timeout 100 "$BUILD/harness/$name" "$BATS_TEST_DIRNAME/fuzz/corpus/$name"
		[ "$status" -eq 0 ] || { echo "$name: $status"; echo "$output" | tail -n 20; return 1; }
		[[ ${lines[-1]} =~ ^[1-9][0-9]*\ inputs$ ]] || { echo "$name: ${lines[-1]}"; return 1; }
	done
}

@test "a harness says so where an input breaks it" {
	printf x > "$BATS_TEST_TMPDIR/input"
	run "$BUILD/harness/text" "$BATS_TEST_TMPDIR/absent"
	[ "$status" -eq 2 ]
	run "$BUILD/harness/text" "$BATS_TEST_TMPDIR/input"
	[ "${lines[-1]}" = "1 inputs" ]
}
