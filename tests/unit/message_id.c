/* The Message-ID in headers, whole and in pieces of every size. */
#include "message_id.h"

#include <stdlib.h>

#include "text.h"
#include "unit.h"

static const struct { const char *header, *want; } rows[] = {
	{ "Message-ID: <a@b>\r\nSubject: x\r\n\r\n", "<a@b>" },
	{ "Subject: x\r\nMESSAGE-id : <a@b> \t\r\n\r\nMessage-ID: <no@b>\r\n", "<a@b>" },
	{ "Message-ID:\r\n\t<folded@b>\r\n\r\n", "<folded@b>" },
	{ "Message-ID: <one@b>\r\n <two@b>\r\nTo: x\r\n\r\n", "<one@b> <two@b>" },
	{ "Message-ID: <first@b>\r\nMessage-ID: <second@b>\r\n\r\n", "<first@b>" },
	{ "X-Message-ID: <x@b>\r\nMessage-IDs: <y@b>\r\nMessage: <z@b>\r\nMessageXID: <m@b>\r\n\r\n", NULL },
	{ "Subject: x\r\n Message-ID: <in-a-fold@b>\r\n\r\n", NULL },
	{ "Subject: x\r\n\r\nMessage-ID: <in-the-body@b>\r\n\r\n", NULL },
	{ "Message-ID: \r\n\r\n", NULL },
	{ "Message-ID: <at-the-end@b>\r\n", "<at-the-end@b>" },
	{ "Message-ID\r\nMessage-ID: <a@b>\r\n\r\n", "<a@b>" },
	{ "Message-\r\nMessage-ID \r\nMessage-ID: <\xe4 \x1b@b>\r\n\r\n", "<\xe4 \x1b@b>" },
	{ "", NULL },
};

static const char *
found(struct message_id *m, const char *header, size_t n, size_t piece)
{
	size_t i;

	*m = (struct message_id){ .state = 0 };
	for (i = 0; i < n; i += piece)
		message_id_feed(m, header + i, n - i < piece ? n - i : piece);
	return message_id_text(m);
}

static void
test_rows(void)
{
	struct message_id m;
	size_t i, piece;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (piece = 1; piece <= strlen(rows[i].header) + 1; piece++) {
			const char *got = found(&m, rows[i].header, strlen(rows[i].header), piece);

			if ((got == NULL) != (rows[i].want == NULL) || (got != NULL && strcmp(got, rows[i].want) != 0) ||
			    piece > strlen(rows[i].header))
				unit_str(got, rows[i].want, "row %zu in pieces of %zu", i, piece);
		}
}

/* The bound holds, with a mark behind it where there was more than white space. */
static void
test_length(void)
{
	struct message_id m;
	struct buf b = BUF_INIT;
	size_t n;

	for (n = MESSAGE_ID_MAX - 1; n <= MESSAGE_ID_MAX + 2; n++) {
		const char *got;
		size_t i;

		b.len = 0;
		buf_puts(&b, "Message-ID: ");
		for (i = 0; i < n; i++)
			buf_putc(&b, 'x');
		buf_puts(&b, " \r\nTo: y\r\n\r\n");
		got = found(&m, b.p, b.len, 7);
		unit_int(got != NULL ? (long long)strlen(got) : -1, n > MESSAGE_ID_MAX ? MESSAGE_ID_MAX + 3 : (long long)n, "%zu octets", n);
	}
	buf_clear(&b);
}

int
main(void)
{
	test_rows();
	test_length();
	return unit_done();
}
