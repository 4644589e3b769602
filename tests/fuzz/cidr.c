/*
 * Networks: what was taken is printed so that it is taken again for the same, has its own address, and not the one that
 * differs in the last bit of the prefix.
 */
#include "cidr.h"

#include "alloc.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *word = xstrndup((const char *)data, n), text[CIDR_TEXT_MAX];
	struct cidr c, again;
	struct fail f = FAIL_INIT;
	uint8_t other[16];
	int at;

	if (cidr_parse(word, "a network", &c, &f) == -1) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		free(word);
		return 0;
	}
	MUST(c.version == 4 || c.version == 6);
	MUST(c.bits >= 0 && c.bits <= (c.version == 4 ? 32 : 128));
	MUST(cidr_has(&c, c.version, c.addr) && !cidr_has(&c, 10 - c.version, c.addr));
	MUST(cidr_parse(cidr_text(text, sizeof text, &c), "a network", &again, &f) == 0);
	MUST(again.version == c.version && again.bits == c.bits &&
	    memcmp(again.addr, c.addr, c.version == 4 ? 4 : 16) == 0);
	MUST(cidr_is_address(&c) == (c.bits == (c.version == 4 ? 32 : 128)));
	if (c.bits > 0) {
		at = c.bits - 1;
		memcpy(other, c.addr, sizeof other);
		other[at / 8] ^= 0x80 >> at % 8;
		MUST(!cidr_has(&c, c.version, other));
	}
	free(word);
	return 0;
}
