/* chance - numbers for jitter and for what is not to be foreseen in hash tables; no key is made of them.  0 where the kernel has none. */
#ifndef MTATLS_CHANCE_H
#define MTATLS_CHANCE_H

#include <stdint.h>

uint32_t chance32(void);
uint64_t chance64(void);

#endif
