/* Fields found in headers as mailers and others write them. */
#include "header.h"

#include <stdlib.h>

#include "alloc.h"
#include "text.h"
#include "unit.h"

static const struct row {
	const char *header, *name;
	const char *want;	/* "N VALUE" */
} rows[] = {
	{ "A: 1\r\nTLS-Required: No\r\n\r\nTLS-Required: no\r\n", "tls-required", "1 No" },
	{ "A: 1\nTLS-Required:No\n\n", "TLS-Required", "1 No" },
	{ "TLS-Required \t: \r\n\t No \r\n", "TLS-Required", "1 No" },
	{ "TLS-Required:\r\n No\r\n more\r\nB: 2\r\n", "TLS-Required", "1 No\\x0d\\x0a more" },
	{ "X-TLS-Required: No\r\n", "TLS-Required", "0 " },
	{ "A: 1\r\n TLS-Required: No\r\n", "TLS-Required", "0 " },
	{ "TLS-Required: No\r\nTLS-Required: Yes\r\n", "TLS-Required", "2 No" },
	{ "TLS-Required", "TLS-Required", "0 " },
	{ "TLS-Required:", "TLS-Required", "1 " },
	{ "\r\nTLS-Required: No\r\n", "TLS-Required", "0 " },
	{ "", "A", "0 " },
};

int
main(void)
{
	size_t i, n, len;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *value = "";
		char *copy = xmemdup(rows[i].header, strlen(rows[i].header) + 1), *shown, *got;

		len = 0;
		n = header_find(copy, strlen(copy), rows[i].name, &value, &len);
		shown = text_escape(value, len);
		got = xasprintf("%zu %s", n, shown);
		unit_str(got, rows[i].want, "row %zu", i);
		free(got);
		free(shown);
		free(copy);
	}
	unit_int(header_length("A: 1\r\n\r\nbody", 12), 8, "length");
	unit_int(header_length("A: 1\n\nbody", 10), 6, "length with LF");
	unit_int(header_length("\r\nbody", 6), 2, "an empty header");
	unit_int(header_length("A: 1\r\nB: 2\r\n", 12), 0, "no end");
	return unit_done();
}
