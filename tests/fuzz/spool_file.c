/*
 * A message's file: whatever the disk gives back is refused or is a message, and of one a result that is written is
 * there when it is read again.  The head's checksum is put right, so that the rest of it is reached.
 */
#include "spool_file.h"

#include <ctype.h>

#include "alloc.h"
#include "scratch.h"

#define HEAD 72		/* octets; mtatls-spool(5) */
#define NAME "0RnYZ8q1W01abc"

static int dir = -1;

/* As spool_read() will hold it against the file. */
static void
mend(uint8_t *p, size_t n)
{
	size_t i, offset = 0;
	char check[9];

	if (n < HEAD || memcmp(p, "mtatls-spool 2 ", 15) != 0)
		return;
	memcpy(p + 15, NAME, SPOOL_ID_LEN);
	for (i = 30; i < 38 && isdigit(p[i]); i++)
		offset = offset * 10 + (p[i] - '0');
	if (i < 38 || offset < HEAD || offset > n)
		return;
	snprintf(check, sizeof check, "%08x", (unsigned)spool_crc(spool_crc(0, p + 71, offset - 71), p, 63));
	memcpy(p + 63, check, 8);
}

static void
check_message(const struct spool_message *m)
{
	size_t i;

	MUST(strcmp(m->env.id, NAME) == 0 && m->env.from != NULL);
	MUST(m->env.nrcpts > 0 && m->env.nrcpts <= SPOOL_RCPTS_MAX);
	MUST(m->size >= 0 && m->offset >= HEAD - 2 && m->end >= m->offset + m->size);
	for (i = 0; i < m->env.nrcpts; i++) {
		const struct spool_rcpt *r = &m->env.rcpt[i];

		MUST(r->address != NULL && (unsigned)r->state < SPOOL_RCPT_STATES);
		MUST((r->tries > 0) == (r->state != SPOOL_RCPT_WAITING) || r->tries > 0);
		free(spool_words_text(&r->options));
	}
	(void)spool_is_8bit(m);
	(void)spool_verify(m, NULL);
}

/* A result for the last recipient, and what a start makes of it. */
static void
add_result(struct spool_message *m)
{
	struct spool_message again;
	size_t i = m->env.nrcpts - 1;
	unsigned tries = m->env.rcpt[i].tries;
	struct fail f = FAIL_INIT;

	if (spool_message_result(m, i, SPOOL_RCPT_DEFERRED, 1790000000, "450 later \xff", &f) == -1)
		return;
	MUST(spool_read(dir, NAME, 0, &again, &f) == 0);
	MUST(again.env.nrcpts == m->env.nrcpts && !again.torn);
	MUST(again.env.rcpt[i].tries == tries + 1 && again.env.rcpt[i].state == SPOOL_RCPT_DEFERRED);
	MUST(again.env.rcpt[i].said != NULL && strcmp(again.env.rcpt[i].said, "450 later \xff") == 0);
	spool_message_clear(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct spool_message m;
	struct fail f = FAIL_INIT;
	uint8_t *copy = xmemdup(data, n);

	if (dir == -1)
		MUST((dir = open(scratch_folder(NAME), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1);
	mend(copy, n);
	scratch_put(copy, n);
	free(copy);
	if (spool_read(dir, NAME, SPOOL_WRITE, &m, &f) == -1) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		return 0;
	}
	check_message(&m);
	add_result(&m);
	spool_message_clear(&m);
	return 0;
}
