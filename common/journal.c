/*
 * A journal is written by one process with O_APPEND and read by another after the first has ended, or
 * told that it is done with it.  A line is good where it has its end, five words, the ID of a message,
 * a final state and the proof that the queue gave this out with this recipient's order.
 *
 * To replay is to collect all good lines, sort them by ID, and look for the files by the names in queue/ and
 * hold/: a journal says little and a spool may be large.  Doing it twice changes nothing, for a recipient
 * that is final already is left alone; so a crash in the middle costs nothing.
 */
#include "journal.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "alloc.h"
#include "file.h"
#include "table.h"
#include "text.h"

#define KEY SPOOL_KEY
#define WORDS 5

void
journal_proof(char dst[JOURNAL_PROOF_SIZE], const struct journal_key *key, const char *id, size_t number)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	char text[SPOOL_ID_SIZE + 24];
	int n = snprintf(text, sizeof text, "%.*s %zu", SPOOL_ID_LEN, id, number);

	if (HMAC(EVP_sha256(), key->octets, sizeof key->octets, (const unsigned char *)text, n, mac,
	    NULL) == NULL)
		abort();
	text_hex(dst, mac, (JOURNAL_PROOF_SIZE - 1) / 2);
}

/* The lock is that of the open file: it lasts until the last copy of the descriptor is closed. */
int
journal_make(const struct spool *s, const char *name, struct fail *f)
{
	int fd = openat(s->dir[SPOOL_RESULTS], name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);

	if (fd == -1)
		return fail_errno(f, "results/%.200s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	fail_errno(f, "results/%.200s: lock", name);
	close(fd);
	return -1;
}

void
journal_remove(const struct spool *s, const char *name)
{
	unlinkat(s->dir[SPOOL_RESULTS], name, 0);
}

static void
put_line(struct buf *b, const struct journal_result *r)
{
	char number[24], *text = xstrndup(r->text, SPOOL_SAID_MAX);

	snprintf(number, sizeof number, "%zu", r->number);
	table_put(b, r->id, number, spool_rcpt_state_name(r->state), r->proof, text, (char *)NULL);
	free(text);
}

int
journal_write(struct journal_pen *pen, const struct journal_result *r, struct fail *f)
{
	struct buf b = BUF_INIT;
	ssize_t n;

	if (pen->fd == -1)
		return 0;
	/* What a full disk left of the line before must not swallow this one. */
	if (pen->torn)
		buf_putc(&b, '\n');
	put_line(&b, r);
	while ((n = write(pen->fd, b.p, b.len)) == -1 && errno == EINTR)
		;
	if (n != -1 && (size_t)n < b.len)
		errno = ENOSPC;
	pen->torn = n != (ssize_t)b.len && (pen->torn || n > 0);
	if (n != (ssize_t)b.len)
		fail_errno(f, "the journal of results");
	n = n == (ssize_t)b.len ? 0 : -1;
	buf_clear(&b);
	return (int)n;
}

/* ---- reading ---- */

static int
is_final(enum spool_rcpt_state state)
{
	return state == SPOOL_RCPT_DELIVERED || state == SPOOL_RCPT_FAILED || state == SPOOL_RCPT_RELAYED ||
	    state == SPOOL_RCPT_ARRIVED;
}

static int
take_state(const char *word, enum spool_rcpt_state *state)
{
	for (*state = SPOOL_RCPT_WAITING; *state < SPOOL_RCPT_STATES; (*state)++)
		if (is_final(*state) && strcmp(word, spool_rcpt_state_name(*state)) == 0)
			return 0;
	return -1;
}

/* A line without its end; its words are decoded in place.  -1: not good. */
static int
take_line(char *line, size_t len, const struct journal_key *key, char **v, struct journal_result *r)
{
	char proof[JOURNAL_PROOF_SIZE];
	struct fail f = FAIL_INIT;
	long long number;

	if (memchr(line, '\0', len) != NULL || table_split(line, v, WORDS, &f) != WORDS ||
	    !spool_id_valid(v[0]) || take_state(v[2], &r->state) == -1 ||
	    text_number(v[1], 0, SPOOL_RCPTS_MAX - 1, "recipient", &number, &f) == -1)
		return -1;
	journal_proof(proof, key, v[0], number);
	if (strlen(v[3]) != sizeof proof - 1 || CRYPTO_memcmp(v[3], proof, sizeof proof - 1) != 0)
		return -1;
	r->id = v[0];
	r->number = number;
	r->proof = v[3];
	r->text = v[4];
	return 0;
}

static int
read_file(int fd, const char *name, struct buf *b, struct fail *f)
{
	char block[16384];
	ssize_t n;

	while ((n = read(fd, block, sizeof block)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fail_errno(f, "results/%.200s", name);
		if (b->len + (size_t)n > JOURNAL_MAX)
			return fail(f, FAIL_INPUT, "results/%.200s: larger than %d octets", name, JOURNAL_MAX);
		buf_add(b, block, n);
	}
	return 0;
}

static int
open_journal(const struct spool *s, const char *name, struct fail *f)
{
	int fd = openat(s->dir[SPOOL_RESULTS], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		fail_errno(f, "results/%.200s", name);
	return fd;
}

static int
read_lines(int fd, const char *name, const struct journal_key *key, journal_fn *fn, void *arg,
    size_t *damaged, struct fail *f)
{
	struct buf b = BUF_INIT;
	struct journal_result r;
	char *at, *end, *v[WORDS];
	int rc = read_file(fd, name, &b, f);

	for (at = b.p; rc == 0 && at != NULL && (end = memchr(at, '\n', b.p + b.len - at)) != NULL;
	     at = end + 1) {
		*end = '\0';
		if (at == end)
			continue;
		if (take_line(at, end - at, key, v, &r) == 0)
			fn(arg, &r);
		else
			(*damaged)++;
	}
	buf_clear(&b);
	return rc;
}

int
journal_read(const struct spool *s, const char *name, const struct journal_key *key, journal_fn *fn, void *arg,
    size_t *damaged, struct fail *f)
{
	int fd = open_journal(s, name, f), rc;

	if (fd == -1)
		return -1;
	rc = read_lines(fd, name, key, fn, arg, damaged, f);
	close(fd);
	return rc;
}

/* ---- the key ---- */

/* A key that is not there, or not whole, is one that no proof was made with. */
static void
read_key(const struct spool *s, struct journal_key *key)
{
	int fd = openat(s->dir[SPOOL_RESULTS], KEY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1 || read(fd, key->octets, sizeof key->octets) != sizeof key->octets)
		if (RAND_bytes(key->octets, sizeof key->octets) != 1)
			abort();
	if (fd != -1)
		close(fd);
}

static int
write_key(const struct spool *s, const struct journal_key *key, struct fail *f)
{
	int dir = s->dir[SPOOL_RESULTS], fd, rc;

	unlinkat(dir, KEY, 0);
	fd = openat(dir, KEY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return fail_errno(f, "results/" KEY);
	rc = file_put(fd, key->octets, sizeof key->octets, "results/" KEY, f);
	close(fd);
	return rc;
}

static int
new_key(const struct spool *s, struct journal_key *key, struct fail *f)
{
	if (RAND_bytes(key->octets, sizeof key->octets) != 1)
		return fail(f, FAIL_SYS, "no random numbers for the key of results");
	return write_key(s, key, f);
}

/* ---- replay ---- */

struct found {
	char id[SPOOL_ID_SIZE];
	size_t number;
	enum spool_rcpt_state state;
	char *text;
};

struct replay {
	struct spool *s;
	struct found *found;
	size_t n, room;
	char **name;			/* of the journals */
	size_t nnames;
	struct journal_replayed *done;
	journal_problem_fn *problem;
	void *arg;
};

static void
complain(struct replay *r, const char *name, const struct fail *f)
{
	r->done->failed++;
	r->problem(r->arg, name, f);
}

static void
collect(void *arg, const struct journal_result *result)
{
	struct replay *r = arg;
	struct found *at;

	if (r->n == r->room) {
		r->room = r->room > 0 ? 2 * r->room : 64;
		r->found = xreallocarray(r->found, r->room, sizeof *r->found);
	}
	at = &r->found[r->n++];
	snprintf(at->id, sizeof at->id, "%s", result->id);
	at->number = result->number;
	at->state = result->state;
	at->text = xstrdup(result->text);
}

static int
list_journals(struct replay *r, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct spool_scan scan;
	const char *name;

	if (spool_scan_open(&scan, r->s->dir[SPOOL_RESULTS], f) == -1)
		return -1;
	while ((name = spool_scan_next(&scan, &why)) != NULL) {
		r->name = xreallocarray(r->name, r->nnames + 1, sizeof *r->name);
		r->name[r->nnames++] = xstrdup(name);
	}
	spool_scan_close(&scan);
	if (why.kind != FAIL_NONE && f != NULL)
		*f = why;
	return why.kind != FAIL_NONE ? -1 : 0;
}

/* An out whose master died before it ends by itself, but perhaps behind another line. */
static void
wait_for_writer(int fd)
{
	int waited;

	for (waited = 0; flock(fd, LOCK_SH | LOCK_NB) == -1 && waited < JOURNAL_WAIT_MS; waited += 10)
		poll(NULL, 0, 10);
}

static void
read_journals(struct replay *r, const struct journal_key *key)
{
	size_t i;

	for (i = 0; i < r->nnames; i++) {
		struct fail f = FAIL_INIT;
		size_t damaged = 0;
		int fd = open_journal(r->s, r->name[i], &f);

		if (fd != -1) {
			wait_for_writer(fd);
			read_lines(fd, r->name[i], key, collect, r, &damaged, &f);
			close(fd);
		}
		if (f.kind == FAIL_NONE && damaged > 0)
			fail(&f, FAIL_INPUT, "results/%.200s: %zu damaged lines are left out", r->name[i],
			    damaged);
		r->done->damaged += damaged;
		if (f.kind == FAIL_SYS)
			complain(r, r->name[i], &f);
		else if (f.kind != FAIL_NONE)
			r->problem(r->arg, r->name[i], &f);
	}
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->id, ((const struct found *)b)->id);
}

/* Those of one message, which stand side by side. */
static void
append_results(struct replay *r, struct spool_message *m, struct fail *f)
{
	struct found want = { .number = 0 }, *at;

	snprintf(want.id, sizeof want.id, "%s", m->env.id);
	at = bsearch(&want, r->found, r->n, sizeof *at, by_id);
	while (at > r->found && strcmp(at[-1].id, want.id) == 0)
		at--;
	for (; at < r->found + r->n && strcmp(at->id, want.id) == 0; at++) {
		if (at->number >= m->env.nrcpts || is_final(m->env.rcpt[at->number].state) ||
		    m->env.rcpt[at->number].state == SPOOL_RCPT_CLOSED)
			continue;
		if (spool_message_result(m, at->number, at->state, time(NULL), at->text, f) == -1)
			return;
		r->done->results++;
	}
}

static void
look_at_name(struct replay *r, enum spool_folder folder, const char *file)
{
	struct spool_name name;
	struct found want = { .number = 0 };
	struct spool_message m;
	struct fail f = FAIL_INIT;

	if (spool_name_parse(file, &name) == -1)
		return;
	snprintf(want.id, sizeof want.id, "%s", name.id);
	if (bsearch(&want, r->found, r->n, sizeof want, by_id) == NULL)
		return;
	if (spool_read(r->s->dir[folder], file, SPOOL_WRITE, &m, &f) == 0) {
		append_results(r, &m, &f);
		spool_message_clear(&m);
	}
	if (f.kind == FAIL_SYS && f.err != ENOENT)
		complain(r, name.id, &f);
}

static void
apply(struct replay *r, enum spool_folder folder)
{
	struct fail f = FAIL_INIT;
	struct spool_scan scan;
	const char *file;

	if (spool_scan_open(&scan, r->s->dir[folder], &f) == 0) {
		while ((file = spool_scan_next(&scan, &f)) != NULL)
			look_at_name(r, folder, file);
		spool_scan_close(&scan);
	}
	if (f.kind != FAIL_NONE)
		complain(r, spool_folder_name(folder), &f);
}

static void
apply_all(struct replay *r)
{
	struct fail f = FAIL_INIT;

	if (r->n == 0)
		return;
	qsort(r->found, r->n, sizeof *r->found, by_id);
	apply(r, SPOOL_QUEUE);
	apply(r, SPOOL_HOLD);
	if (r->done->results == 0)
		return;
	r->s->syncs++;
	if (syncfs(r->s->root) == -1) {
		fail_errno(&f, "sync of the spool");
		complain(r, "results", &f);
	}
}

static void
replay_free(struct replay *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		free(r->found[i].text);
	for (i = 0; i < r->nnames; i++)
		free(r->name[i]);
	free(r->found);
	free(r->name);
}

int
journal_replay(struct spool *s, struct journal_key *key, journal_problem_fn *problem, void *arg,
    struct journal_replayed *done, struct fail *f)
{
	struct replay r = { .s = s, .done = done, .problem = problem, .arg = arg };
	int rc = -1;
	size_t i;

	*done = (struct journal_replayed){ 0 };
	if (list_journals(&r, f) == -1)
		goto out;
	read_key(s, key);
	read_journals(&r, key);
	apply_all(&r);
	done->journals = r.nnames;
	for (i = 0; i < r.nnames && done->failed == 0; i++)
		journal_remove(s, r.name[i]);
	rc = done->failed == 0 ? new_key(s, key, f) : write_key(s, key, f);
out:
	replay_free(&r);
	return rc;
}
