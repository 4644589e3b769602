/*
 * Bounces of anything: replies of hosts, parameters and headers of strangers go in, and a message comes out that every
 * host takes: printable ASCII, lines of CRLF within RFC 5322 2.1.1, and the same each time.  The first octet says which
 * strings there are; they stand in lines, the original's header behind.
 */
#include "dsn.h"

#include "alloc.h"
#include "fuzz.h"

static void
check_lines(const struct buf *b)
{
	size_t i, line = 0;

	for (i = 0; i < b->len; i++, line++) {
		if (b->p[i] == '\r') {
			MUST(i + 1 < b->len && b->p[i + 1] == '\n' && line <= 998);
			i++;
			line = (size_t)-1;
			continue;
		}
		MUST(b->p[i] == '\t' || (b->p[i] >= 0x20 && b->p[i] < 0x7f));
	}
	MUST(line == 0);
}

/* The next line, on the heap. */
static char *
take(const uint8_t **p, size_t *n)
{
	const uint8_t *lf = memchr(*p, '\n', *n);
	size_t len = lf == NULL ? *n : (size_t)(lf - *p);
	char *s = xstrndup((const char *)*p, len);

	*p += len + (lf != NULL);
	*n -= len + (lf != NULL);
	return s;
}

/* The fields before the first empty line are ours: no text may add one. */
static void
check_head(const struct buf *b)
{
	static const char *const ours[] = { "From: ", "To: ", "Subject: ", "Date: ", "Message-ID: ", "Auto-Submitted: ",
		"MIME-Version: ", "Content-Type: ", "\t", " " };
	const char *p = b->p, *end = strstr(b->p, "\r\n\r\n");
	size_t i;

	MUST(end != NULL);
	for (; p < end + 2; p = strstr(p, "\r\n") + 2) {
		for (i = 0; i < sizeof ours / sizeof ours[0]; i++)
			if (strncmp(p, ours[i], strlen(ours[i])) == 0)
				break;
		MUST(i < sizeof ours / sizeof ours[0]);
	}
}

#define STRINGS 10

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct dsn_rcpt r[2];
	struct dsn d = { .hostname = "relay.example", .now = 1790000000 };
	char *s[STRINGS];
	unsigned which;
	size_t i;

	if (n < 2)
		return 0;
	which = data[0] | data[1] << 8;
	data += 2;
	n -= 2;
	for (i = 0; i < STRINGS; i++)
		s[i] = take(&data, &n);
	d.to = s[0];
	d.message_id = s[1];
	d.id = s[2];
	d.envid = which & 1 ? s[3] : NULL;
	d.client = which & 2 ? s[4] : NULL;
	d.arrived = which & 4 ? 1780000000 : 0;
	d.header = (const char *)data;
	d.header_len = n;
	for (i = 0; i < 2; i++)
		r[i] = (struct dsn_rcpt){ .address = s[5 + i], .original = which & 8 ? s[7] : NULL,
		    .action = (which >> 6) % 4, .status = which & 16 ? s[8] : NULL,
		    .remote = which & 32 ? s[3] : NULL, .text = s[9], .replied = (which >> 8 & 1) != 0,
		    .attempted = which & 0x200 ? 1789999999 : 0, .retry_until = which & 0x400 ? 1799999999 : 0 };
	d.rcpt = r;
	d.nrcpts = 1 + (which >> 11 & 1);
	dsn_build(&once, &d);
	dsn_build(&twice, &d);
	MUST(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	check_lines(&once);
	check_head(&once);
	buf_clear(&once);
	buf_clear(&twice);
	for (i = 0; i < STRINGS; i++)
		free(s[i]);
	return 0;
}
