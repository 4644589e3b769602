/*
 * A file is a head of fixed length, envelope lines, a blank line, the message, and result records.
 *
 * The head says how long the other parts are and holds a checksum over itself and the envelope and one
 * over the message; both are known only when the last octet came.  Until then the head has dashes where
 * the numbers go, so that an unfinished file is recognised by its first line.  A message that fits the
 * writer's buffer is patched there and goes out with one write(2).
 *
 * Result records come after the message and are never synced.  Each carries a checksum that begins with
 * the head's, so that what a power cut left behind the last good one (zeros, half a line, another
 * file's block) is no record of this message.
 */
#include "spool_file.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "alloc.h"
#include "table.h"
#include "text.h"

#define MAGIC "mtatls-spool"
#define BUFFER_SIZE 65536

/*
 * "mtatls-spool 2 ID OFFSET SIZE CRC BITS CHECK\n"; OFFSET is where the message begins, BITS is 7 or 8.
 * Format 1, which is still read, has no BITS.
 */
enum {
	HEAD_ID = sizeof MAGIC + 2,
	HEAD_OFFSET = HEAD_ID + SPOOL_ID_LEN + 1,
	HEAD_SIZE = HEAD_OFFSET + 8 + 1,
	HEAD_CRC = HEAD_SIZE + 12 + 1,
	HEAD_BITS = HEAD_CRC + 8 + 1,
	HEAD_CHECK = HEAD_BITS + 1 + 1,
	HEAD_LEN = HEAD_CHECK + 8 + 1,
	HEAD_CHECK_1 = HEAD_BITS,
	HEAD_LEN_1 = HEAD_CHECK_1 + 8 + 1
};

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

enum { ID_TIME = 9, ID_WORKER = 2, ID_SALT = 3, SALTS = 62 * 62 * 62 };

void
spool_ids_init(struct spool_ids *ids, unsigned worker)
{
	unsigned salt = 0;

	if (worker > SPOOL_WORKER_MAX || getrandom(&salt, sizeof salt, 0) != sizeof salt)
		abort();
	*ids = (struct spool_ids){ .worker = worker, .salt = salt % SALTS };
}

static void
put_base62(char *dst, size_t width, uint64_t n)
{
	while (width-- > 0) {
		dst[width] = base62[n % 62];
		n /= 62;
	}
}

void
spool_id_next(struct spool_ids *ids, int64_t now_us, char id[SPOOL_ID_SIZE])
{
	/* A clock that stands still or goes back must not give an ID twice. */
	ids->last_us = now_us > ids->last_us ? now_us : ids->last_us + 1;
	put_base62(id, ID_TIME, ids->last_us);
	put_base62(id + ID_TIME, ID_WORKER, ids->worker);
	put_base62(id + ID_TIME + ID_WORKER, ID_SALT, ids->salt);
	id[SPOOL_ID_LEN] = '\0';
}

static int
is_id(const char *s)
{
	size_t i;

	for (i = 0; i < SPOOL_ID_LEN; i++)
		if (s[i] == '\0' || strchr(base62, s[i]) == NULL)
			return 0;
	return 1;
}

int
spool_id_valid(const char *id)
{
	return is_id(id) && id[SPOOL_ID_LEN] == '\0';
}

static int64_t
get_base62(const char *p, size_t n)
{
	int64_t value = 0;

	while (n-- > 0)
		value = value * 62 + (strchr(base62, *p++) - base62);
	return value;
}

int64_t
spool_id_time_us(const char *id)
{
	return get_base62(id, ID_TIME);
}

unsigned
spool_id_worker(const char *id)
{
	return get_base62(id + ID_TIME, ID_WORKER);
}

void
spool_words_add(struct spool_words *w, const char *word)
{
	w->v = xreallocarray(w->v, w->n + 1, sizeof *w->v);
	w->v[w->n++] = xstrdup(word);
}

char *
spool_words_text(const struct spool_words *w)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < w->n; i++)
		buf_printf(&b, " %s", w->v[i]);
	return buf_steal(&b);
}

static void
words_clear(struct spool_words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	*w = (struct spool_words){ 0 };
}

static const char *const rcpt_states[] = {
	[SPOOL_RCPT_WAITING] = "waiting",
	[SPOOL_RCPT_DEFERRED] = "deferred",
	[SPOOL_RCPT_DELIVERED] = "delivered",
	[SPOOL_RCPT_FAILED] = "failed",
	[SPOOL_RCPT_CLOSED] = "closed",
	[SPOOL_RCPT_RELAYED] = "relayed",
	[SPOOL_RCPT_ARRIVED] = "arrived",
	[SPOOL_RCPT_DELAYED] = "delayed",
};

const char *
spool_rcpt_state_name(enum spool_rcpt_state state)
{
	return rcpt_states[state];
}

/* The envelope's plain strings, each a line "key value". */
static const struct {
	const char *key;
	size_t at;
} strings[] = {
	{ "listener", offsetof(struct spool_envelope, listener) },
	{ "client", offsetof(struct spool_envelope, client) },
	{ "client-name", offsetof(struct spool_envelope, client_name) },
	{ "helo", offsetof(struct spool_envelope, helo) },
	{ "protocol", offsetof(struct spool_envelope, protocol) },
	{ "auth", offsetof(struct spool_envelope, auth) },
};
#define NSTRINGS (sizeof strings / sizeof strings[0])

static char **
string_of(struct spool_envelope *e, size_t i)
{
	return (char **)(void *)((char *)e + strings[i].at);
}

/* Doubles the room whenever the count is a power of two, so that it needs no field of its own. */
struct spool_rcpt *
spool_envelope_add_rcpt(struct spool_envelope *e, const char *address)
{
	struct spool_rcpt *r;

	if ((e->nrcpts & (e->nrcpts - 1)) == 0)
		e->rcpt = xreallocarray(e->rcpt, e->nrcpts > 0 ? 2 * e->nrcpts : 1, sizeof *e->rcpt);
	r = &e->rcpt[e->nrcpts++];
	*r = (struct spool_rcpt){ .address = xstrdup(address), .state = SPOOL_RCPT_WAITING };
	return r;
}

void
spool_envelope_clear(struct spool_envelope *e)
{
	size_t i;

	for (i = 0; i < NSTRINGS; i++)
		free(*string_of(e, i));
	for (i = 0; i < e->nrcpts; i++) {
		free(e->rcpt[i].address);
		free(e->rcpt[i].said);
		words_clear(&e->rcpt[i].options);
	}
	free(e->rcpt);
	free(e->from);
	words_clear(&e->from_options);
	words_clear(&e->tls);
	*e = (struct spool_envelope){ 0 };
}

/* FNV-1a, continued from h; the NUL counts, so that domains do not run into each other. */
#define HASH_START 0xcbf29ce484222325ULL

static uint64_t
hash_add(uint64_t h, const char *s)
{
	do
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	while (*s++ != '\0');
	return h;
}

/* The octets of host names and of address literals; anything else goes by its hash. */
static int
domain_fits(const char *domain)
{
	size_t n = strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789-._[]:");

	return n > 0 && n <= SPOOL_DOMAIN_MAX && domain[n] == '\0';
}

void
spool_name_format(char dst[SPOOL_NAME_SIZE], const struct spool_name *n)
{
	int len;

	if (n->domain[0] != '\0')
		len = snprintf(dst, SPOOL_NAME_SIZE, "%s,%lld,%s", n->id, (long long)n->due, n->domain);
	else
		len = snprintf(dst, SPOOL_NAME_SIZE, "%s,%lld,=%016llx", n->id, (long long)n->due,
		    (unsigned long long)n->hash);
	if (len < 0 || len >= SPOOL_NAME_SIZE || n->due < 0 || n->due > SPOOL_DUE_MAX)
		abort();
}

/* Exactly n lower-case hexadecimal digits: a flipped case bit must not read as the same number. */
static int
take_hex(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = v << 4 | (s[i] - 'a' + 10);
		else
			return -1;
	*out = v;
	return 0;
}

/* Exactly n decimal digits. */
static int
take_decimal(const char *s, size_t n, int64_t *out)
{
	int64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	*out = v;
	return 0;
}

/* Takes only what spool_name_format() makes, so that a message has one name. */
int
spool_name_parse(const char *s, struct spool_name *n)
{
	const char *due = s + SPOOL_ID_LEN + 1;
	size_t digits;

	if (!is_id(s) || due[-1] != ',')
		return -1;
	digits = strspn(due, "0123456789");
	if (digits == 0 || digits > 11 || (digits > 1 && *due == '0') || due[digits] != ',')
		return -1;
	memset(n, 0, sizeof *n);
	memcpy(n->id, s, SPOOL_ID_LEN);
	take_decimal(due, digits, &n->due);
	s = due + digits + 1;
	if (*s == '=')
		return strlen(s) == 17 ? take_hex(s + 1, 16, &n->hash) : -1;
	if (!domain_fits(s))
		return -1;
	memcpy(n->domain, s, strlen(s));
	n->hash = hash_add(HASH_START, s);
	return 0;
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
is_open(const struct spool_rcpt *r)
{
	return r->state == SPOOL_RCPT_WAITING || r->state == SPOOL_RCPT_DEFERRED;
}

void
spool_name_domains(struct spool_name *n, const struct spool_envelope *e)
{
	char **domain = xcalloc(e->nrcpts, sizeof *domain);
	size_t i, count = 0, distinct = 0;

	for (i = 0; i < e->nrcpts; i++)
		if (is_open(&e->rcpt[i])) {
			const char *at = strrchr(e->rcpt[i].address, '@');

			domain[count] = xstrdup(at != NULL ? at + 1 : "");
			text_lower(domain[count++]);
		}
	qsort(domain, count, sizeof *domain, compare_text);
	n->hash = HASH_START;
	n->domain[0] = '\0';
	for (i = 0; i < count; i++)
		if (i == 0 || strcmp(domain[i], domain[i - 1]) != 0) {
			n->hash = hash_add(n->hash, domain[i]);
			distinct++;
		}
	if (distinct == 1 && domain_fits(domain[0]))
		memcpy(n->domain, domain[0], strlen(domain[0]) + 1);
	for (i = 0; i < count; i++)
		free(domain[i]);
	free(domain);
}

static void
put_address(struct buf *b, const char *key, const char *address, const struct spool_words *options)
{
	char *bracketed = xasprintf("<%s>", address);
	size_t i;

	buf_puts(b, key);
	table_put_word(b, bracketed, strlen(bracketed));
	for (i = 0; i < options->n; i++)
		table_put_word(b, options->v[i], strlen(options->v[i]));
	buf_putc(b, '\n');
	free(bracketed);
}

static void
put_tls(struct buf *b, const struct spool_words *tls)
{
	size_t i;

	if (tls->n == 0)
		return;
	buf_puts(b, "tls");
	for (i = 0; i < tls->n; i++)
		table_put_word(b, tls->v[i], strlen(tls->v[i]));
	buf_putc(b, '\n');
}

/* What is written must be readable: the limits of the table grammar hold for each line. */
static int
check_lines(const struct buf *b, struct fail *f)
{
	const char *at = b->p, *eol;

	if (b->len > SPOOL_ENVELOPE_MAX)
		return fail(f, FAIL_INPUT, "the envelope is larger than %d octets", SPOOL_ENVELOPE_MAX);
	for (; (eol = memchr(at, '\n', b->p + b->len - at)) != NULL; at = eol + 1)
		if (eol - at > TABLE_LINE_MAX)
			return fail(f, FAIL_INPUT, "a line of the envelope is longer than %d octets",
			    TABLE_LINE_MAX);
	return 0;
}

static int
check_envelope(const struct spool_envelope *e, struct fail *f)
{
	size_t i;

	if (!spool_id_valid(e->id) || e->from == NULL || e->nrcpts == 0 || e->arrived < 0)
		abort();
	if (e->nrcpts > SPOOL_RCPTS_MAX)
		return fail(f, FAIL_INPUT, "more than %d recipients", SPOOL_RCPTS_MAX);
	if (e->from_options.n > SPOOL_WORDS_MAX || e->tls.n > SPOOL_WORDS_MAX)
		return fail(f, FAIL_INPUT, "more than %d words in a line", SPOOL_WORDS_MAX);
	for (i = 0; i < e->nrcpts; i++)
		if (e->rcpt[i].options.n > SPOOL_WORDS_MAX)
			return fail(f, FAIL_INPUT, "more than %d options of a recipient",
			    SPOOL_WORDS_MAX);
	return 0;
}

/* Head with dashes, envelope, blank line. */
static int
encode_envelope(struct buf *b, const struct spool_envelope *e, struct fail *f)
{
	char arrived[24], *s;
	size_t i;

	if (check_envelope(e, f) == -1)
		return -1;
	buf_printf(b, MAGIC " %d %s -------- ------------ -------- - --------\n", SPOOL_FORMAT, e->id);
	snprintf(arrived, sizeof arrived, "%lld", (long long)e->arrived);
	table_put(b, "arrived", arrived, (char *)NULL);
	for (i = 0; i < NSTRINGS; i++)
		if ((s = *string_of((struct spool_envelope *)(uintptr_t)e, i)) != NULL && *s != '\0')
			table_put(b, strings[i].key, s, (char *)NULL);
	put_tls(b, &e->tls);
	put_address(b, "from", e->from, &e->from_options);
	for (i = 0; i < e->nrcpts; i++)
		put_address(b, "rcpt", e->rcpt[i].address, &e->rcpt[i].options);
	buf_putc(b, '\n');
	return check_lines(b, f);
}

uint32_t
spool_crc(uint32_t crc, const void *p, size_t n)
{
	return crc32_z(crc, p, n);
}

struct spool_writer {
	int dirfd;
	int fd;			/* -1: failed, and the file is removed */
	struct fail fail;	/* why */
	char id[SPOOL_ID_SIZE];
	size_t offset;		/* of the message in the file */
	uint32_t rest_crc;	/* of all between the head's check and the message */
	uint32_t crc;		/* of the message so far */
	int has8bit;
	int64_t size;		/* message octets so far */
	int64_t written;	/* octets of the file that left the buffer */
	size_t fill;
	char *buffer;
};

/* The first error ends the file. */
static int
writer_failed(struct spool_writer *w, struct fail *f)
{
	if (w->fd != -1) {
		close(w->fd);
		unlinkat(w->dirfd, w->id, 0);
		w->fd = -1;
	}
	if (f != NULL)
		*f = w->fail;
	return -1;
}

/* write(2) at the end of the file, or pwrite(2) where a position is given. */
static int
write_all(struct spool_writer *w, const char *p, size_t n, off_t pos)
{
	ssize_t done;

	while (n > 0) {
		done = pos == -1 ? write(w->fd, p, n) : pwrite(w->fd, p, n, pos);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return fail_errno(&w->fail, "%s", w->id);
		p += done;
		n -= done;
		pos += pos == -1 ? 0 : done;
	}
	return 0;
}

static int
flush(struct spool_writer *w)
{
	if (write_all(w, w->buffer, w->fill, -1) == -1)
		return -1;
	w->written += w->fill;
	w->fill = 0;
	return 0;
}

static int
put(struct spool_writer *w, const char *p, size_t n)
{
	while (n > 0) {
		size_t part = BUFFER_SIZE - w->fill;

		if (part > n)
			part = n;
		memcpy(w->buffer + w->fill, p, part);
		w->fill += part;
		p += part;
		n -= part;
		if (w->fill == BUFFER_SIZE && flush(w) == -1)
			return -1;
	}
	return 0;
}

static struct spool_writer *
writer_new(int dirfd, const struct spool_envelope *e, const struct buf *b)
{
	struct spool_writer *w = xcalloc(1, sizeof *w);

	w->dirfd = dirfd;
	w->fd = -1;
	memcpy(w->id, e->id, sizeof w->id);
	w->offset = b->len;
	w->rest_crc = spool_crc(0, b->p + HEAD_LEN - 1, b->len - (HEAD_LEN - 1));
	w->buffer = xmalloc(BUFFER_SIZE);
	return w;
}

static void
writer_free(struct spool_writer *w)
{
	free(w->buffer);
	free(w);
}

struct spool_writer *
spool_writer_begin(int newfd, const struct spool_envelope *e, struct fail *f)
{
	struct spool_writer *w = NULL;
	struct buf b = BUF_INIT;

	if (encode_envelope(&b, e, f) == -1)
		goto fail;
	w = writer_new(newfd, e, &b);
	w->fd = openat(newfd, w->id, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
	if (w->fd == -1) {
		fail_errno(f, "%s", w->id);
		goto fail;
	}
	if (put(w, b.p, b.len) == -1) {
		writer_failed(w, f);
		goto fail;
	}
	buf_clear(&b);
	return w;
fail:
	if (w != NULL)
		writer_free(w);
	buf_clear(&b);
	return NULL;
}

int
spool_writer_add(struct spool_writer *w, const void *p, size_t n, struct fail *f)
{
	if (w->fd == -1)
		return writer_failed(w, f);
	if (n > (uint64_t)(SPOOL_SIZE_MAX - w->size)) {
		fail(&w->fail, FAIL_INPUT, "%s: the message is larger than %lld octets", w->id,
		    SPOOL_SIZE_MAX);
		return writer_failed(w, f);
	}
	w->crc = spool_crc(w->crc, p, n);
	w->size += n;
	if (put(w, p, n) == -1)
		return writer_failed(w, f);
	return 0;
}

void
spool_writer_set_8bit(struct spool_writer *w)
{
	w->has8bit = 1;
}

int64_t
spool_writer_size(const struct spool_writer *w)
{
	return w->size;
}

/* The check covers what stands behind it and then what stands before it: the latter is known last. */
static void
format_head(const struct spool_writer *w, char head[HEAD_LEN + 1])
{
	uint32_t check;

	snprintf(head, HEAD_LEN + 1, MAGIC " %d %s %08zu %012lld %08x %d ", SPOOL_FORMAT, w->id, w->offset,
	    (long long)w->size, (unsigned)w->crc, w->has8bit ? 8 : 7);
	check = spool_crc(w->rest_crc, head, HEAD_CHECK);
	snprintf(head + HEAD_CHECK, HEAD_LEN + 1 - HEAD_CHECK, "%08x\n", (unsigned)check);
}

static int
complete(struct spool_writer *w)
{
	char head[HEAD_LEN + 1];

	format_head(w, head);
	if (w->written == 0) {
		memcpy(w->buffer, head, HEAD_LEN);
		return flush(w);
	}
	if (flush(w) == -1)
		return -1;
	return write_all(w, head, HEAD_LEN, 0);
}

int
spool_writer_finish(struct spool_writer *w, struct fail *f)
{
	int rc = -1, fd = w->fd;

	if (fd == -1 || complete(w) == -1)
		goto out;
	w->fd = -1;
	if (close(fd) == -1) {
		fail_errno(&w->fail, "%s", w->id);
		unlinkat(w->dirfd, w->id, 0);
		goto out;
	}
	rc = 0;
out:
	if (rc == -1)
		writer_failed(w, f);
	writer_free(w);
	return rc;
}

void
spool_writer_abort(struct spool_writer *w)
{
	if (w == NULL)
		return;
	writer_failed(w, NULL);
	writer_free(w);
}

void
spool_envelope_own(struct spool_envelope *env, struct spool_ids *ids, int64_t now_us)
{
	spool_id_next(ids, now_us, env->id);
	env->arrived = spool_id_time_us(env->id) / 1000000;
}

int
spool_write(int newfd, const struct spool_envelope *env, const void *p, size_t len, int bits8, struct fail *f)
{
	struct spool_writer *w = spool_writer_begin(newfd, env, f);

	if (w == NULL)
		return -1;
	if (bits8)
		spool_writer_set_8bit(w);
	if (spool_writer_add(w, p, len, f) == 0)
		return spool_writer_finish(w, f);
	spool_writer_abort(w);
	return -1;
}

/* A file being read. */
struct reading {
	struct spool_message *m;
	struct fail *f;
	int64_t file_size;
	size_t check_at;	/* in the head, which ends behind it */
	uint32_t check;		/* as the head says */
};

static int
set_nothing(void *ctx, const struct table_line *l, struct fail *f)
{
	(void)ctx, (void)l, (void)f;
	return 0;
}

static int
set_arrived(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	long long n;

	if (text_number(l->v[0], 0, LLONG_MAX, l->key, &n, f) == -1)
		return -1;
	r->m->env.arrived = n;
	return 0;
}

static int
set_string(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	size_t i;

	(void)f;
	for (i = 0; strcmp(strings[i].key, l->key) != 0; i++)
		;
	*string_of(&r->m->env, i) = xstrdup(l->v[0]);
	return 0;
}

static void
take_words(struct spool_words *w, const struct table_line *l, size_t first)
{
	size_t i;

	for (i = first; i < l->n; i++)
		spool_words_add(w, l->v[i]);
}

static int
set_tls(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	(void)f;
	take_words(&r->m->env.tls, l, 0);
	return 0;
}

/* "<address>" without its brackets; the caller frees. */
static char *
bare_address(const struct table_line *l, struct fail *f)
{
	size_t n = strlen(l->v[0]);

	if (n < 2 || l->v[0][0] != '<' || l->v[0][n - 1] != '>') {
		fail(f, FAIL_INPUT, "%s: expected <address>", l->key);
		return NULL;
	}
	return xstrndup(l->v[0] + 1, n - 2);
}

static int
has_word(const struct spool_words *w, const char *word)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (text_case_eq(w->v[i], word))
			return 1;
	return 0;
}

static int
set_from(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	if ((r->m->env.from = bare_address(l, f)) == NULL)
		return -1;
	take_words(&r->m->env.from_options, l, 1);
	if (r->check_at == HEAD_CHECK_1)
		r->m->has8bit = has_word(&r->m->env.from_options, "BODY=8BITMIME");
	return 0;
}

static int
set_rcpt(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	char *address = bare_address(l, f);

	if (address == NULL)
		return -1;
	if (r->m->env.nrcpts == SPOOL_RCPTS_MAX) {
		free(address);
		return fail(f, FAIL_INPUT, "more than %d recipients", SPOOL_RCPTS_MAX);
	}
	take_words(&spool_envelope_add_rcpt(&r->m->env, address)->options, l, 1);
	free(address);
	return 0;
}

static const struct table_row rows[] = {
	{ MAGIC, 6, 7, TABLE_ONCE | TABLE_REQUIRED, set_nothing },
	{ "arrived", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_arrived },
	{ "listener", 1, 1, TABLE_ONCE, set_string },
	{ "client", 1, 1, TABLE_ONCE, set_string },
	{ "client-name", 1, 1, TABLE_ONCE, set_string },
	{ "helo", 1, 1, TABLE_ONCE, set_string },
	{ "protocol", 1, 1, TABLE_ONCE, set_string },
	{ "auth", 1, 1, TABLE_ONCE, set_string },
	{ "tls", 1, SPOOL_WORDS_MAX, TABLE_ONCE, set_tls },
	{ "from", 1, 1 + SPOOL_WORDS_MAX, TABLE_ONCE | TABLE_REQUIRED, set_from },
	{ "rcpt", 1, 1 + SPOOL_WORDS_MAX, TABLE_REQUIRED, set_rcpt },
};

/* Keeps the first error. */
static void
table_error(void *arg, const char *file, unsigned line, const char *text)
{
	struct reading *r = arg;

	(void)file;
	if (r->f == NULL || r->f->kind == FAIL_NONE)
		fail(r->f, FAIL_INPUT, "line %u: %s", line, text);
}

static int
read_all(int fd, char *p, size_t n, int64_t pos, struct fail *f)
{
	ssize_t got;

	while (n > 0) {
		if ((got = pread(fd, p, n, pos)) == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return fail_errno(f, "read");
		if (got == 0)
			return fail(f, FAIL_INPUT, "the file became shorter");
		p += got;
		n -= got;
		pos += got;
	}
	return 0;
}

static size_t
head_len(const struct reading *r)
{
	return r->check_at + 8 + 1;
}

/* The head's separators, line end and version, of which there are two; its numbers are take_head()'s. */
static int
check_magic(struct reading *r, const char *head)
{
	static const size_t spaces[] = { HEAD_ID - 1, HEAD_OFFSET - 1, HEAD_SIZE - 1, HEAD_CRC - 1,
		HEAD_BITS - 1, HEAD_CHECK - 1 };
	size_t i;

	if (memcmp(head, MAGIC " ", sizeof MAGIC) != 0)
		return fail(r->f, FAIL_INPUT, "not a spool file: expected " MAGIC " in its first line");
	if (head[sizeof MAGIC] != '1' && head[sizeof MAGIC] != '0' + SPOOL_FORMAT)
		return fail(r->f, FAIL_INPUT, "not in format 1 to %d", SPOOL_FORMAT);
	r->check_at = head[sizeof MAGIC] == '1' ? HEAD_CHECK_1 : HEAD_CHECK;
	for (i = 0; i < sizeof spaces / sizeof spaces[0] && spaces[i] < r->check_at; i++)
		if (head[spaces[i]] != ' ')
			return fail(r->f, FAIL_INPUT, "line 1 is damaged at offset %zu", spaces[i]);
	if (head[head_len(r) - 1] != '\n')
		return fail(r->f, FAIL_INPUT, "line 1 does not end at offset %zu", head_len(r) - 1);
	return 0;
}

/* "7" or "8"; in format 1 set_from() knows no better than what the client declared. */
static int
take_bits(struct reading *r, const char *head)
{
	if (r->check_at == HEAD_CHECK_1)
		return 0;
	r->m->has8bit = head[HEAD_BITS] == '8';
	return head[HEAD_BITS] == '7' || r->m->has8bit ? 0 : -1;
}

static int
take_head(struct reading *r, const char *head)
{
	struct spool_message *m = r->m;
	uint64_t crc, check;
	int64_t end;

	if (check_magic(r, head) == -1)
		return -1;
	if (head[HEAD_OFFSET] == '-')
		return fail(r->f, FAIL_INPUT, "its writer did not finish it");
	if (!is_id(head + HEAD_ID) || take_decimal(head + HEAD_OFFSET, 8, &m->offset) == -1 ||
	    take_decimal(head + HEAD_SIZE, 12, &m->size) == -1 ||
	    take_hex(head + HEAD_CRC, 8, &crc) == -1 || take_bits(r, head) == -1 ||
	    take_hex(head + r->check_at, 8, &check) == -1)
		return fail(r->f, FAIL_INPUT, "line 1 is damaged: expected numbers of fixed length");
	if (m->offset <= (int64_t)head_len(r) || m->offset > SPOOL_ENVELOPE_MAX)
		return fail(r->f, FAIL_INPUT, "line 1: the message cannot begin at %lld",
		    (long long)m->offset);
	end = m->offset + m->size;
	if (r->file_size < end)
		return fail(r->f, FAIL_INPUT, "truncated: %lld octets, expected at least %lld",
		    (long long)r->file_size, (long long)end);
	memcpy(m->env.id, head + HEAD_ID, SPOOL_ID_LEN);
	m->crc = crc;
	m->seed = r->check = check;
	return 0;
}

/* All of the file before the message is in p. */
static int
take_envelope(struct reading *r, const char *p)
{
	size_t n = r->m->offset, rest = head_len(r) - 1;
	uint32_t crc = spool_crc(spool_crc(0, p + rest, n - rest), p, r->check_at);

	if (crc != r->check)
		return fail(r->f, FAIL_INPUT, "the envelope does not agree with its checksum");
	if (p[n - 1] != '\n' || p[n - 2] != '\n')
		return fail(r->f, FAIL_INPUT, "no blank line before the message");
	if (table_parse("", p, n, rows, sizeof rows / sizeof rows[0], r, table_error, r) != 0)
		return -1;
	return 0;
}

/* Most envelopes fit the first block, so that one pread(2) is enough. */
static int
read_envelope(struct reading *r)
{
	char block[8192], *whole = NULL;
	size_t n = r->file_size < (int64_t)sizeof block ? (size_t)r->file_size : sizeof block;
	int rc = -1;

	if (n < HEAD_LEN)	/* of either form: an envelope stands behind it */
		return fail(r->f, FAIL_INPUT, "truncated: %zu octets", n);
	if (read_all(r->m->fd, block, n, 0, r->f) == -1 || take_head(r, block) == -1)
		return -1;
	if (r->m->offset <= (int64_t)n)
		return take_envelope(r, block);
	whole = xmalloc(r->m->offset);
	memcpy(whole, block, n);
	if (read_all(r->m->fd, whole + n, r->m->offset - n, n, r->f) == 0)
		rc = take_envelope(r, whole);
	free(whole);
	return rc;
}

static void
apply_result(struct spool_rcpt *r, enum spool_rcpt_state state, int64_t when, const char *said)
{
	int told = state == SPOOL_RCPT_CLOSED || (state == SPOOL_RCPT_DELIVERED &&
	    (r->state == SPOOL_RCPT_RELAYED || r->state == SPOOL_RCPT_ARRIVED));

	if (state == SPOOL_RCPT_DELAYED) {
		r->told_late = 1;
		return;
	}
	r->state = state;
	r->when = when;
	/* That the sender was told is no try, and what the host said at the last one stays. */
	if (told)
		return;
	r->tries++;
	free(r->said);
	r->said = said != NULL ? xstrdup(said) : NULL;
}

/* "result INDEX STATE WHEN [TEXT]" whose checksum was right: nonsense in it is no accident. */
static int
take_result(struct spool_message *m, char *line, struct fail *f)
{
	long long i, when;
	size_t state;
	char *v[5];
	int n;

	if ((n = table_split(line, v, 5, f)) == -1)
		return -1;
	if (n < 4 || strcmp(v[0], "result") != 0)
		return fail(f, FAIL_INPUT, "expected a result record");
	if (text_number(v[1], 0, (long long)m->env.nrcpts - 1, "recipient", &i, f) == -1 ||
	    text_number(v[3], 0, LLONG_MAX, "time", &when, f) == -1)
		return -1;
	for (state = 0; state < sizeof rcpt_states / sizeof rcpt_states[0]; state++)
		if (strcmp(v[2], rcpt_states[state]) == 0) {
			apply_result(&m->env.rcpt[i], state, when, n == 5 ? v[4] : NULL);
			return 0;
		}
	return fail(f, FAIL_INPUT, "unknown state of a recipient");
}

/* " CRC" ends a record; sets where that begins. */
static int
record_is_good(const struct spool_message *m, const char *p, size_t n, size_t *end)
{
	uint64_t crc;

	if (n < 9 || n >= SPOOL_RECORD_MAX || p[n - 9] != ' ' || take_hex(p + n - 8, 8, &crc) == -1)
		return 0;
	*end = n - 9;
	return memchr(p, '\0', n) == NULL && crc == spool_crc(m->seed, p, *end);
}

/* Takes good records from the front; how many octets they are, -1 FAIL_INPUT. */
static ssize_t
take_records(struct spool_message *m, char *p, size_t n, struct fail *f)
{
	size_t used = 0, end;
	char *eol;

	while ((eol = memchr(p + used, '\n', n - used)) != NULL &&
	    record_is_good(m, p + used, eol - (p + used), &end)) {
		p[used + end] = '\0';
		if (take_result(m, p + used, f) == -1)
			return -1;
		used = eol + 1 - p;
	}
	return used;
}

/* A block begins where a record does and is longer than any: none in it means that none is left. */
static int
read_results(struct spool_message *m, int64_t file_size, struct fail *f)
{
	char block[4 * SPOOL_RECORD_MAX];
	ssize_t n, used;

	for (; m->end != file_size; m->end += used) {
		while ((n = pread(m->fd, block, sizeof block, m->end)) == -1 && errno == EINTR)
			;
		if (n == -1)
			return fail_errno(f, "read");
		if ((used = take_records(m, block, n, f)) == -1)
			return fail_prefix(f, "behind offset %lld", (long long)m->end);
		if (used == 0) {
			m->torn = n > 0;
			return 0;
		}
	}
	return 0;
}

/* As many octets as there may be behind a message that nobody has tried: none. */
static int
read_rest(struct spool_message *m, unsigned flags, int64_t file_size, struct fail *f)
{
	m->end = m->offset + m->size;
	if (!(flags & SPOOL_UNTRIED))
		return read_results(m, file_size, f);
	m->torn = file_size > m->end;
	return 0;
}

/* Neither a link nor a FIFO that a peer-facing process put there leads anywhere. */
static int
open_file(int dirfd, const char *name, unsigned flags, int64_t *size, struct fail *f)
{
	int mode = flags & SPOOL_WRITE ? O_RDWR : O_RDONLY, fd;
	struct stat st;

	fd = openat(dirfd, name, mode | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 && (errno == ELOOP || errno == ENXIO || errno == EISDIR))
		return fail(f, FAIL_INPUT, "not a regular file");
	if (fd == -1) {
		fail_errno(f, "open");
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*size = st.st_size;
		return fd;
	}
	close(fd);
	return fail(f, FAIL_INPUT, "not a regular file");
}

/* Where the name says an ID, it is the one inside. */
static int
check_id(const struct spool_message *m, const char *name, struct fail *f)
{
	if (is_id(name) && (name[SPOOL_ID_LEN] == '\0' || name[SPOOL_ID_LEN] == ',') &&
	    memcmp(name, m->env.id, SPOOL_ID_LEN) != 0)
		return fail(f, FAIL_INPUT, "line 1: the ID is %s, not the one in the name", m->env.id);
	return 0;
}

int
spool_read(int dirfd, const char *name, unsigned flags, struct spool_message *m, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct reading r = { .m = m, .f = &why };

	*m = (struct spool_message){ .fd = -1 };
	if ((m->fd = open_file(dirfd, name, flags, &r.file_size, &why)) != -1 &&
	    read_envelope(&r) == 0 && check_id(m, name, &why) == 0 && read_rest(m, flags, r.file_size, &why) == 0 &&
	    (!(flags & SPOOL_VERIFY) || spool_verify(m, &why) == 0))
		return 0;
	spool_message_clear(m);
	if (f != NULL) {
		*f = why;
		fail_prefix(f, "%.200s", name);
	}
	return -1;
}

int
spool_is_8bit(const struct spool_message *m)
{
	return m->has8bit;
}

ssize_t
spool_message_pread(const struct spool_message *m, void *p, size_t n, int64_t pos, struct fail *f)
{
	ssize_t got;

	if (pos < 0 || pos > m->size)
		abort();
	if (n > (uint64_t)(m->size - pos))
		n = m->size - pos;
	if (n == 0)
		return 0;
	while ((got = pread(m->fd, p, n, m->offset + pos)) == -1 && errno == EINTR)
		;
	if (got == -1)
		return fail_errno(f, "%s", m->env.id);
	if (got == 0)
		return fail(f, FAIL_INPUT, "%s: the file became shorter", m->env.id);
	return got;
}

int
spool_verify(const struct spool_message *m, struct fail *f)
{
	uint32_t crc = 0;
	char block[16384];
	int64_t pos = 0;
	ssize_t n;

	for (; (n = spool_message_pread(m, block, sizeof block, pos, f)) > 0; pos += n)
		crc = spool_crc(crc, block, n);
	if (n == -1)
		return -1;
	if (crc != m->crc)
		return fail(f, FAIL_INPUT, "the message does not agree with its checksum");
	return 0;
}

void
spool_message_clear(struct spool_message *m)
{
	if (m->fd != -1)
		close(m->fd);
	spool_envelope_clear(&m->env);
	*m = (struct spool_message){ .fd = -1 };
}

static void
encode_result(struct buf *b, const struct spool_message *m, size_t i, enum spool_rcpt_state state,
    int64_t when, const char *said)
{
	buf_printf(b, "result %zu %s %lld", i, rcpt_states[state], (long long)when);
	if (said != NULL)
		table_put_word(b, said, strlen(said));
	buf_printf(b, " %08x\n", (unsigned)spool_crc(m->seed, b->p, b->len));
}

/* A record goes where the last good one ends; what is torn there is cut off first. */
static int
append(struct spool_message *m, const struct buf *b, struct fail *f)
{
	ssize_t n;

	if (m->torn && ftruncate(m->fd, m->end) == -1)
		return fail_errno(f, "%s", m->env.id);
	m->torn = 1;
	while ((n = pwrite(m->fd, b->p, b->len, m->end)) == -1 && errno == EINTR)
		;
	if (n != -1 && (size_t)n < b->len) {
		errno = ENOSPC;
		n = -1;
	}
	if (n == -1)
		return fail_errno(f, "%s", m->env.id);
	m->torn = 0;
	m->end += n;
	return 0;
}

int
spool_message_result(struct spool_message *m, size_t i, enum spool_rcpt_state state, int64_t when,
    const char *text, struct fail *f)
{
	struct buf b = BUF_INIT;
	char *said = NULL;
	int rc;

	if (i >= m->env.nrcpts || when < 0)
		abort();
	if (text != NULL && *text != '\0')
		said = xstrndup(text, SPOOL_SAID_MAX);
	encode_result(&b, m, i, state, when, said);
	if ((rc = append(m, &b, f)) == 0)
		apply_result(&m->env.rcpt[i], state, when, said);
	buf_clear(&b);
	free(said);
	return rc;
}

void
spool_message_note(struct spool_message *m, size_t i, enum spool_rcpt_state state, int64_t when, const char *text)
{
	char *said = text != NULL && *text != '\0' ? xstrndup(text, SPOOL_SAID_MAX) : NULL;

	if (i >= m->env.nrcpts || when < 0)
		abort();
	apply_result(&m->env.rcpt[i], state, when, said);
	free(said);
}

int
spool_message_write(struct spool_message *m, const char *noted, struct fail *f)
{
	struct buf b = BUF_INIT, one = BUF_INIT;
	size_t i;
	int rc;

	for (i = 0; i < m->env.nrcpts; i++) {
		const struct spool_rcpt *r = &m->env.rcpt[i];

		if (!noted[i])
			continue;
		/* Of a try it is that the text tells; the sender's bounce is none. */
		encode_result(&one, m, i, r->state, r->when, r->state != SPOOL_RCPT_CLOSED ? r->said : NULL);
		buf_add(&b, one.p, one.len);
		buf_clear(&one);
	}
	rc = b.len > 0 ? append(m, &b, f) : 0;
	buf_clear(&b);
	return rc;
}
