#!/usr/bin/env bats
# What the README promises of `make demo`: each step does what it says.
# shellcheck disable=SC2154 # BATS_* and run's variables

bats_require_minimum_version 1.5.0

@test "the demonstration: identity, verdicts, a relay under DANE, an impostor who gets nothing" {
	[ "$(id -u)" -eq 0 ] || skip "needs root: the relay and Postfix work as several users"
	run -0 bash "$BATS_TEST_DIRNAME/lab/demo"
	[[ $output == *'Each step did what it says.'* ]]
}
