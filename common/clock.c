#include "clock.h"

#include <time.h>

static int64_t
read_us(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return time(NULL);
}

int64_t
clock_now_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t
clock_passed(void)
{
	return clock_passed_us() / 1000000;
}

int64_t
clock_passed_ms(void)
{
	return clock_passed_us() / 1000;
}

int64_t
clock_passed_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}
