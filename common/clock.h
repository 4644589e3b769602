/*
 * clock - what time it is, and how much has passed.
 *
 * The time of day may be set while we run: what is kept on disk or told goes by it, intervals do not.
 */
#ifndef MTATLS_CLOCK_H
#define MTATLS_CLOCK_H

#include <stdint.h>

/* Since 1970: seconds, microseconds. */
int64_t clock_now(void);
int64_t clock_now_us(void);

/* Of a clock that nobody sets, from a moment of the past that means nothing: seconds, milliseconds, microseconds. */
int64_t clock_passed(void);
int64_t clock_passed_ms(void);
int64_t clock_passed_us(void);

#endif
