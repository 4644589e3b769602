/*
 * fuzz - what the harnesses share.  A harness names its modules in a line "fuzz: MODULE ..." of its
 * first comment; tests/fuzz/run compiles it with them.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What must always hold. */
#define MUST(cond) \
	do { \
		if (!(cond)) \
			abort(); \
	} while (0)

#endif
