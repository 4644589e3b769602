#include "chance.h"

#include <sys/random.h>

uint64_t
chance64(void)
{
	uint64_t r = 0;

	(void)!getrandom(&r, sizeof r, 0);
	return r;
}

uint32_t
chance32(void)
{
	return (uint32_t)chance64();
}
