/*
 * Records of TLS-RPT: URIs are printable and without what separates them, and give the same record again.
 * fuzz: tlsrpt txtrec mailbox text fail alloc
 */
#include "tlsrpt.h"

#include "fuzz.h"
#include "text.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct txtrec r = { (const char *)data, n };
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct tlsrpt t, u;
	size_t i;

	if (tlsrpt_parse(&t, &r, &f) == -1) {
		MUST(f.kind == FAIL_INPUT && strncmp(f.text, "offset ", 7) == 0 && t.rua == NULL);
		return 0;
	}
	buf_puts(&b, TLSRPT_VERSION "; rua=");
	for (i = 0; i < t.n; i++) {
		const char *s = t.rua[i].uri;

		for (; *s != '\0'; s++)
			MUST(*s > ' ' && *s < 0x7f && *s != ',' && *s != ';' && *s != '!');
		MUST(t.rua[i].mailbox == NULL || strchr(t.rua[i].mailbox, '@') != NULL);
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", t.rua[i].uri);
	}
	r = (struct txtrec){ b.p, b.len };
	MUST(t.n > 0 && tlsrpt_parse(&u, &r, NULL) == 0 && u.n == t.n);
	for (i = 0; i < t.n; i++)
		MUST(strcmp(t.rua[i].uri, u.rua[i].uri) == 0);
	tlsrpt_clear(&t);
	tlsrpt_clear(&u);
	buf_clear(&b);
	return 0;
}
