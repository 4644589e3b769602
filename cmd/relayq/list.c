/*
 * list - beneath the line of a message, when it is tried next and what kept it so far: one reason, as long as the
 * terminal is wide, or with -v of each recipient who waits, whole.
 */
#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "relayq.h"
#include "text.h"

#define INDENT "    "

/* Columns of the terminal that we write to; 0: it is none, and nothing is cut. */
static size_t
width(void)
{
	struct winsize w;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static int
waits(const struct spool_rcpt *r)
{
	return r->state == SPOOL_RCPT_WAITING || r->state == SPOOL_RCPT_DEFERRED;
}

size_t
list_waiting(const struct spool_envelope *e, size_t *first)
{
	size_t i, n = 0;

	*first = 0;
	for (i = 0; i < e->nrcpts; i++)
		if (waits(&e->rcpt[i]) && n++ == 0)
			*first = i;
	return n > 0 ? n : e->nrcpts;
}

/* The newest answer for one who waits; NULL: none. */
static const struct spool_rcpt *
last_answer(const struct spool_envelope *e)
{
	const struct spool_rcpt *last = NULL;
	size_t i;

	for (i = 0; i < e->nrcpts; i++)
		if (waits(&e->rcpt[i]) && e->rcpt[i].said != NULL && (last == NULL || e->rcpt[i].when > last->when))
			last = &e->rcpt[i];
	return last;
}

/* A line of at most room octets, "..." at its end where it is cut; 0: whole. */
static void
put_line(const struct buf *b, size_t room)
{
	if (room == 0 || b->len <= room)
		printf("%s\n", b->p);
	else
		printf("%.*s...\n", (int)(room > 3 ? room - 3 : 0), b->p);
}

static void
add_address(struct buf *b, const char *address)
{
	buf_puts(b, "<");
	buf_escape(b, address, strlen(address));
	buf_puts(b, ">");
}

/* about: NULL where it stands before it. */
static void
add_reason(struct buf *b, const char *about, const char *said)
{
	buf_puts(b, "(");
	if (about != NULL) {
		add_address(b, about);
		buf_puts(b, ": ");
	}
	buf_escape(b, said, strlen(said));
	buf_puts(b, ")");
}

static void
add_due(struct buf *b, const struct found *w)
{
	char when[TEXT_TIME_MAX];

	buf_puts(b, INDENT);
	if (w->folder == SPOOL_HOLD)
		buf_puts(b, "held ");
	else if (w->name.due >= 0)
		buf_printf(b, "due %s ", text_time(when, w->name.due));
}

static void
print_rcpts(const struct spool_envelope *e)
{
	size_t i;

	for (i = 0; i < e->nrcpts; i++) {
		struct buf b = BUF_INIT;

		if (!waits(&e->rcpt[i]))
			continue;
		buf_puts(&b, INDENT);
		add_address(&b, e->rcpt[i].address);
		buf_printf(&b, " %s ", spool_rcpt_state_name(e->rcpt[i].state));
		if (e->rcpt[i].said != NULL)
			add_reason(&b, NULL, e->rcpt[i].said);
		else
			b.p[--b.len] = '\0';
		put_line(&b, 0);
		buf_clear(&b);
	}
}

void
list_beneath(const struct found *w, int verbose)
{
	const struct spool_rcpt *last = last_answer(&w->m.env);
	struct buf b = BUF_INIT;

	if (w->folder == SPOOL_BAD || (!verbose && last == NULL && (w->folder != SPOOL_QUEUE || w->name.due <= time(NULL))))
		return;
	add_due(&b, w);
	if (!verbose && last != NULL) {
		add_reason(&b, last->address, last->said);
		put_line(&b, width());
	} else {
		b.p[--b.len] = '\0';
		put_line(&b, 0);
	}
	if (verbose)
		print_rcpts(&w->m.env);
	buf_clear(&b);
}
