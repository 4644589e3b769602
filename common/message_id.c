/*
 * A machine of octets, since a piece may end anywhere.  Whole lines and values that say nothing are passed over with
 * memchr(), so that a header costs little.
 */
#include "message_id.h"

#include <string.h>

/*
 * START: at the start of a line.  END: there, behind the CR of what may be the empty line.  NAME: in what may be
 * the field's name.  GAP: behind it, before the colon.  SKIP: in another line.  VALUE: behind the colon.  FOLD:
 * behind a line end of the value: white space goes on with it.  DONE.
 */
enum { START, END, NAME, GAP, SKIP, VALUE, FOLD, DONE };

static const char field[] = "message-id";

static void
keep(struct message_id *m, int c)
{
	if (c == '\r' || ((c == ' ' || c == '\t') && (m->len == 0 || m->len == MESSAGE_ID_MAX)))
		return;
	if (m->len < MESSAGE_ID_MAX)
		m->text[m->len++] = (char)c;
	else if (m->len == MESSAGE_ID_MAX)
		memcpy(m->text + m->len++, "...", 4);
}

static int
at_start(struct message_id *m, int c)
{
	m->matched = 0;
	if (c == '\r')
		return END;
	if (c == '\n')
		return DONE;
	if ((c | 0x20) != field[0])
		return SKIP;
	m->matched = 1;
	return NAME;
}

static int
in_name(struct message_id *m, int c)
{
	if (c == '\n')
		return START;
	if (m->state == NAME && field[m->matched] != '\0') {
		if ((field[m->matched] == '-' ? c : c | 0x20) != field[m->matched])
			return SKIP;
		m->matched++;
		return NAME;
	}
	if (c == ':')
		return VALUE;
	return c == ' ' || c == '\t' ? GAP : SKIP;
}

/* The next state. */
static int
step(struct message_id *m, int c)
{
	switch (m->state) {
	case START:
		return at_start(m, c);
	case END:
		return c == '\n' ? DONE : SKIP;
	case NAME:
	case GAP:
		return in_name(m, c);
	case VALUE:
		if (c == '\n')
			return FOLD;
		keep(m, c);
		return VALUE;
	case FOLD:
		if (c != ' ' && c != '\t')
			return DONE;
		keep(m, c);
		return VALUE;
	default:
		return c == '\n' ? START : SKIP;
	}
}

void
message_id_feed(struct message_id *m, const char *p, size_t n)
{
	const char *end = p + n, *lf;

	while (p < end && m->state != DONE) {
		if (m->state == SKIP && (lf = memchr(p, '\n', end - p)) == NULL)
			return;
		if (m->state == SKIP)
			p = lf;
		m->state = step(m, (unsigned char)*p++);
	}
}

const char *
message_id_text(struct message_id *m)
{
	size_t n = strlen(m->text);

	while (n > 0 && (m->text[n - 1] == ' ' || m->text[n - 1] == '\t'))
		m->text[--n] = '\0';
	return n > 0 ? m->text : NULL;
}
