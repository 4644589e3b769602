/*
 * fuzz - what the harnesses share.  The Makefile links each with all of common/, and with what it names there of cmd/;
 * `make fuzz` with libFuzzer, otherwise with replay.c.
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
