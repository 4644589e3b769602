/*
 * take_piece() takes the next octets that are of one kind: a line's first dot, text, or one control
 * octet, which moves the state.  Everything that is the message passes add_octets(), which counts it.
 */
#include "smtp_data.h"

#include <string.h>

/*
 * START: at the start of a line.  DOT: behind its first dot, which is dropped whatever follows (RFC
 * 5321 4.5.2).  DOT_CR: behind ".\r".  CR: behind a \r elsewhere.
 */
enum { START, DOT, DOT_CR, TEXT, CR };

void
smtp_data_begin(struct smtp_data *d, const struct smtp_data_limits *limits)
{
	smtp_data_clear(d);
	memset(d, 0, sizeof *d);
	d->limits = *limits;
}

void
smtp_data_clear(struct smtp_data *d)
{
	buf_clear(&d->run);
}

const char *
smtp_octet_fault(int c, int after_cr)
{
	if (c == '\0')
		return "NUL";
	if (after_cr && c != '\n')
		return "CR alone";
	if (!after_cr && c == '\n')
		return "LF alone";
	return NULL;
}

static void
find_fault(struct smtp_data *d)
{
	const struct smtp_data_limits *l = &d->limits;

	if (d->fault != SMTP_DATA_SOUND)
		return;
	if (d->octets > l->size)
		d->fault = SMTP_DATA_TOO_LARGE;
	else if (d->received > l->received)
		d->fault = SMTP_DATA_LOOP;
	else if (d->header > l->header)
		d->fault = SMTP_DATA_LONG_HEADER;
	else if (d->line > l->text_line)
		d->fault = SMTP_DATA_LONG_LINE;
	if (d->fault != SMTP_DATA_SOUND)
		buf_clear(&d->run);
}

/* Octets of the line under way that are the message. */
static void
add_octets(struct smtp_data *d, const char *p, size_t n)
{
	d->octets += n;
	d->line += n;
	if (d->line > d->longest)
		d->longest = d->line;
	if (!d->in_body)
		d->header += n;
	find_fault(d);
	if (d->fault == SMTP_DATA_SOUND)
		buf_add(&d->run, p, n);
	else
		d->dropped += n;
}

/* Counts a header line that starts with "Received:"; these are its next octets. */
static void
match_received(struct smtp_data *d, const char *p, size_t n)
{
	static const char field[] = "received:";
	const size_t len = sizeof field - 1;
	size_t i;

	/* matched keeps up with the line's octets for as long as all of them agree. */
	for (i = 0; i < n && d->matched < len && d->matched == d->line + i; i++) {
		if ((p[i] | (field[d->matched] == ':' ? 0 : 0x20)) != field[d->matched])
			return;
		if (++d->matched == len)
			d->received++;
	}
}

/* How many octets of p are text; their high bits are noted. */
static size_t
text_span(struct smtp_data *d, const char *p, size_t n)
{
	unsigned char high = 0;
	size_t i;

	for (i = 0; i < n && p[i] != '\r' && p[i] != '\n' && p[i] != '\0'; i++)
		high |= (unsigned char)p[i];
	if (high & 0x80)
		d->has8bit = 1;
	return i;
}

static void
end_line(struct smtp_data *d)
{
	int empty = d->line == 0;

	add_octets(d, "\r\n", 2);
	if (empty)
		d->in_body = 1;
	d->lines++;
	d->line = d->matched = 0;
	d->state = START;
}

/* One CR, LF or NUL, or the octet behind a CR. */
static enum smtp_data_got
take_control(struct smtp_data *d, int c)
{
	int after_cr = d->state == CR || d->state == DOT_CR;

	if ((d->broken = smtp_octet_fault(c, after_cr)) != NULL)
		return SMTP_DATA_BROKEN;
	if (!after_cr)
		d->state = d->state == DOT ? DOT_CR : CR;
	else if (d->state == DOT_CR)
		return SMTP_DATA_END;
	else
		end_line(d);
	return SMTP_DATA_MORE;
}

/* Adds to *used what it takes. */
static enum smtp_data_got
take_piece(struct smtp_data *d, const char *p, size_t n, size_t *used)
{
	size_t room = SMTP_DATA_RUN_MAX - 2 - d->run.len, len = 0;

	if (d->state == START && p[0] == '.' && !d->chunks) {
		d->state = DOT;
		*used += 1;
		return SMTP_DATA_MORE;
	}
	if (d->state != CR && d->state != DOT_CR)
		len = text_span(d, p, n < room ? n : room);
	if (len == 0) {
		*used += 1;
		return take_control(d, (unsigned char)p[0]);
	}
	if (!d->in_body)
		match_received(d, p, len);
	add_octets(d, p, len);
	d->state = TEXT;
	*used += len;
	return SMTP_DATA_MORE;
}

enum smtp_data_got
smtp_data_feed(struct smtp_data *d, const char *p, size_t n, size_t *used)
{
	enum smtp_data_fault before = d->fault;
	enum smtp_data_got got = SMTP_DATA_MORE;

	*used = 0;
	/* Room for one octet and a line end at least. */
	while (*used < n && got == SMTP_DATA_MORE && d->run.len < SMTP_DATA_RUN_MAX - 2) {
		got = take_piece(d, p + *used, n - *used, used);
		if (d->fault != before)
			return got == SMTP_DATA_MORE ? SMTP_DATA_FAULT : got;
	}
	return got;
}

void
smtp_data_in_chunks(struct smtp_data *d)
{
	d->chunks = 1;
}

enum smtp_data_got
smtp_data_finish(struct smtp_data *d)
{
	enum smtp_data_fault before = d->fault;

	if (d->state == CR) {
		d->broken = "CR alone";
		return SMTP_DATA_BROKEN;
	}
	if (d->line > 0)
		end_line(d);
	return d->fault != before ? SMTP_DATA_FAULT : SMTP_DATA_MORE;
}
