/* First, because it stands where functions of libc's headers are. */
#include "../lab/faults.c" // NOLINT(bugprone-suspicious-include)

#include <limits.h>
#include <sys/resource.h>

#include "spool.h"

#include "alloc.h"
#include "file.h"
#include "unit.h"

#define BATCH_MAX 3

static char top[200];
static struct spool spool = SPOOL_INIT;
static struct spool_ids ids;

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void
fresh_spool(void)
{
	struct fail f = FAIL_INIT;

	faults_set("");
	spool_close(&spool);
	if (file_remove_tree(top, &f) == -1 ||
	    spool_make(top, geteuid(), geteuid(), getegid(), &f) == -1 ||
	    spool_open(&spool, top, &f) == -1) {
		printf("Bail out! %s\n", f.text);
		exit(1);
	}
}

/* An envelope with something in every field. */
static void
fill(struct spool_envelope *e)
{
	struct spool_rcpt *r;

	*e = (struct spool_envelope){ 0 };
	spool_id_next(&ids, now_us(), e->id);
	e->arrived = spool_id_time_us(e->id) / 1000000;
	e->listener = xstrdup("in");
	e->client = xstrdup("192.0.2.1");
	e->client_name = xstrdup("client.example");
	e->helo = xstrdup("odd # 100% \x01\xc3\xa9 name");
	e->protocol = xstrdup("ESMTPS");
	e->auth = xstrdup("user");
	spool_words_add(&e->tls, "TLSv1.3");
	spool_words_add(&e->tls, "TLS_AES_256_GCM_SHA384");
	e->from = xstrdup("from@example.org");
	spool_words_add(&e->from_options, "BODY=8BITMIME");
	r = spool_envelope_add_rcpt(e, "a@Dest.test");
	spool_words_add(&r->options, "NOTIFY=FAILURE,DELAY");
	spool_words_add(&r->options, "ORCPT=rfc822;a+3Db@dest.test");
	spool_envelope_add_rcpt(e, "\"b c\"@dest.test");
}

static int
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int
same_words(const struct spool_words *a, const struct spool_words *b)
{
	size_t i;

	if (a->n != b->n)
		return 0;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return 0;
	return 1;
}

static int
same_envelope(const struct spool_envelope *a, const struct spool_envelope *b)
{
	size_t i;

	if (strcmp(a->id, b->id) != 0 || a->arrived != b->arrived || !same(a->listener, b->listener) ||
	    !same(a->client, b->client) || !same(a->client_name, b->client_name) ||
	    !same(a->helo, b->helo) || !same(a->protocol, b->protocol) || !same(a->auth, b->auth) ||
	    !same_words(&a->tls, &b->tls) || !same(a->from, b->from) ||
	    !same_words(&a->from_options, &b->from_options) || a->nrcpts != b->nrcpts)
		return 0;
	for (i = 0; i < a->nrcpts; i++)
		if (!same(a->rcpt[i].address, b->rcpt[i].address) ||
		    !same_words(&a->rcpt[i].options, &b->rcpt[i].options))
			return 0;
	return 1;
}

/* Octets that compress to nothing regular, the same each time. */
static char *
octets(size_t n)
{
	char *p = xmalloc(n + 1);
	uint32_t x = 2463534242U;
	size_t i;

	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = x;
	}
	return p;
}

/* Begin, body in pieces, finish. */
static int
write_message(const struct spool_envelope *e, const char *body, size_t n, struct fail *f)
{
	struct spool_writer *w = spool_writer_begin(spool.dir[SPOOL_NEW], e, f);
	size_t at, part;

	if (w == NULL)
		return -1;
	for (at = 0; at < n; at += part) {
		part = n - at < 10007 ? n - at : 10007;
		if (spool_writer_add(w, body + at, part, f) == -1) {
			spool_writer_abort(w);
			return -1;
		}
	}
	return spool_writer_finish(w, f);
}

static ssize_t
commit_one(const char *id, struct spool_item *item, struct fail *f)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	ssize_t n;

	spool_batch_add(&b, id, 1795305601, NULL);
	n = spool_batch_commit(&spool, &b, f);
	*item = b.item[0];
	spool_batch_clear(&b);
	return n;
}

static int
same_body(const struct spool_message *m, const char *body, size_t n)
{
	char *got = xmalloc(n + 1);
	struct fail f = FAIL_INIT;
	size_t at = 0;
	ssize_t part;
	int ok;

	while ((part = spool_message_pread(m, got + at, n - at, at, &f)) > 0)
		at += part;
	ok = part == 0 && at == n && m->size == (int64_t)n && memcmp(got, body, n) == 0;
	free(got);
	return ok;
}

static size_t
count(enum spool_folder folder)
{
	struct fail f = FAIL_INIT;
	struct spool_scan scan;
	size_t n = 0;

	if (spool_scan_open(&scan, spool.dir[folder], &f) == -1)
		return SIZE_MAX;
	while (spool_scan_next(&scan, &f) != NULL)
		n++;
	spool_scan_close(&scan);
	return f.kind == FAIL_NONE ? n : SIZE_MAX;
}

static void
test_ids(void)
{
	struct spool_ids a, b;
	char id[SPOOL_ID_SIZE], next[SPOOL_ID_SIZE], other[SPOOL_ID_SIZE];

	spool_ids_init(&a, 0);
	spool_ids_init(&b, SPOOL_WORKER_MAX);
	spool_id_next(&a, 1795305600123456, id);
	spool_id_next(&b, 1795305600123456, other);
	unit_int(spool_id_time_us(id), 1795305600123456, "an ID says when");
	unit_ok(spool_id_valid(id) && strlen(id) == SPOOL_ID_LEN, "an ID is valid: %s", id);
	unit_ok(strcmp(id, other) != 0, "workers differ at the same time: %s", other);
	spool_id_next(&a, 1795305600123456, next);
	unit_ok(strcmp(id, next) < 0, "a clock that stands still gives a later ID");
	spool_id_next(&a, 1795305500000000, next + 0);
	unit_ok(strcmp(id, next) < 0, "a clock that goes back gives a later ID");
	spool_id_next(&a, 1795305600999999, other);
	unit_ok(strcmp(next, other) < 0, "IDs sort by time");
	unit_ok(!spool_id_valid("") && !spool_id_valid("../../../etc/x") && !spool_id_valid("-aaaaaaaaaaaaa") &&
	    !spool_id_valid("aaaaaaaaaaaaaaa"), "what is no ID is told");
}

static void
test_names(void)
{
	static const struct {
		const char *name, *domain;
		int64_t due;
	} good[] = {
		{ "8QkZ2a1Bc00xyz,1795305600,example.org", "example.org", 1795305600 },
		{ "8QkZ2a1Bc00xyz,0,[ipv6:2001:db8::1]", "[ipv6:2001:db8::1]", 0 },
		{ "8QkZ2a1Bc00xyz,99999999999,=0123456789abcdef", "", 99999999999 },
	};
	static const char *const bad[] = {
		"", "8QkZ2a1Bc00xyz", "8QkZ2a1Bc00xy,1,a", "8QkZ2a1Bc00xyz,,a", "8QkZ2a1Bc00xyz,1,",
		"8QkZ2a1Bc00xyz,01,a", "8QkZ2a1Bc00xyz,-1,a", "8QkZ2a1Bc00xyz,123456789012,a",
		"8QkZ2a1Bc00xyz,1,A", "8QkZ2a1Bc00xyz,1,a b", "8QkZ2a1Bc00xyz,1,=0", "8QkZ2a1Bc00xyz 1,a",
		"8QkZ2a1Bc00xyz,1,=0123456789abcdeg", "8QkZ2a1Bc00xyz,1,=0123456789abcdeF",
		"8QkZ2a1Bc00xyz,1,=0123456789abcdef0", "8QkZ2a1Bc00xy/,1,a", ".probe", "8QkZ2a1Bc00xyz,1,a\n",
	};
	char again[SPOOL_NAME_SIZE];
	struct spool_name n;
	size_t i;

	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		unit_int(spool_name_parse(good[i].name, &n), 0, "name parses: %s", good[i].name);
		unit_str(n.domain, good[i].domain, "its domain");
		unit_int(n.due, good[i].due, "its due time");
		spool_name_format(again, &n);
		unit_str(again, good[i].name, "it is formatted as it was");
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		unit_int(spool_name_parse(bad[i], &n), -1, "no name: row %zu", i);
}

static void
test_domains(void)
{
	char label[SPOOL_DOMAIN_MAX + 10], name[SPOOL_NAME_SIZE];
	struct spool_envelope e = { 0 };
	struct spool_name n = { .due = 1 }, other = { .due = 1 }, parsed;

	spool_id_next(&ids, now_us(), n.id);
	spool_envelope_add_rcpt(&e, "a@B.test");
	spool_envelope_add_rcpt(&e, "\"x@y\"@b.TEST");
	spool_name_domains(&n, &e);
	unit_str(n.domain, "b.test", "one domain, in lower case");
	spool_name_format(name, &n);
	unit_ok(spool_name_parse(name, &parsed) == 0 && parsed.hash == n.hash, "hash is of the domain");
	spool_envelope_add_rcpt(&e, "a@c.test");
	spool_name_domains(&n, &e);
	unit_str(n.domain, "", "two domains: none in the name");
	spool_name_format(name, &n);
	unit_ok(spool_name_parse(name, &parsed) == 0 && parsed.hash == n.hash, "hash is in the name");
	e.rcpt[2].state = SPOOL_RCPT_DELIVERED;
	spool_name_domains(&other, &e);
	unit_str(other.domain, "b.test", "who has the message does not count");
	spool_envelope_clear(&e);
	memset(label, 'a', sizeof label - 1);
	label[0] = '@';
	label[sizeof label - 1] = '\0';
	spool_envelope_add_rcpt(&e, label);
	spool_name_domains(&n, &e);
	unit_str(n.domain, "", "a domain too long for the name");
	spool_envelope_clear(&e);
	spool_envelope_add_rcpt(&e, "a@../../etc");
	spool_name_domains(&n, &e);
	unit_str(n.domain, "", "a domain with a slash is not in the name");
	spool_envelope_clear(&e);
	spool_envelope_add_rcpt(&e, "postmaster");
	spool_name_domains(&n, &e);
	spool_name_format(name, &n);
	unit_int(spool_name_parse(name, &parsed), 0, "an address without a domain");
	spool_envelope_clear(&e);
}

static void
test_round_trip(size_t size)
{
	struct spool_envelope e;
	struct spool_message m;
	struct spool_item item;
	struct fail f = FAIL_INIT;
	char name[SPOOL_NAME_SIZE], *body = octets(size);

	fresh_spool();
	fill(&e);
	unit_int(write_message(&e, body, size, &f), 0, "%zu octets: written %s", size, f.text);
	unit_int(commit_one(e.id, &item, &f), 1, "committed %s%s", f.text, item.fail.text);
	unit_ok(item.ok && item.size == (int64_t)size && item.nrcpts == 2, "the item says so");
	unit_str(item.name.domain, "dest.test", "its domain is known");
	spool_name_format(name, &item.name);
	unit_int(spool_read(spool.dir[SPOOL_QUEUE], name, SPOOL_VERIFY, &m, &f), 0, "read %s", f.text);
	unit_ok(same_envelope(&e, &m.env), "the envelope is as it was");
	unit_ok(same_body(&m, body, size), "the message is as it was");
	unit_ok(m.env.rcpt[0].state == SPOOL_RCPT_WAITING && !m.torn, "nobody was tried");
	unit_int(count(SPOOL_NEW), 0, "nothing is left in new");
	spool_message_clear(&m);
	spool_envelope_clear(&e);
	free(body);
}

static void
test_8bit(void)
{
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	struct spool_writer *w;
	int bits;

	for (bits = 7; bits <= 8; bits++) {
		fresh_spool();
		fill(&e);
		w = spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f);
		spool_writer_add(w, "x\r\n", 3, &f);
		if (bits == 8)
			spool_writer_set_8bit(w);
		spool_writer_finish(w, &f);
		unit_int(spool_read(spool.dir[SPOOL_NEW], e.id, SPOOL_VERIFY, &m, &f), 0, "read %s", f.text);
		unit_int(spool_is_8bit(&m), bits == 8, "%d bits, whatever was declared", bits);
		spool_message_clear(&m);
		spool_envelope_clear(&e);
	}
}

/* Puts octets where spool_read() finds them as "copy". */
static int
read_copy(const char *p, size_t n, struct spool_message *m, struct fail *f)
{
	int fd = openat(spool.dir[SPOOL_NEW], "copy", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t put = write(fd, p, n);

	close(fd);
	if (put != (ssize_t)n)
		abort();
	*f = (struct fail)FAIL_INIT;
	return spool_read(spool.dir[SPOOL_NEW], "copy", SPOOL_VERIFY, m, f);
}

/* What format 1 had: no BITS in the head, so that only the client's word is known. */
static void
test_format_1(void)
{
	static const struct {
		const char *file;
		int has8bit;
	} row[] = {
		{ "mtatls-spool 1 8Qm3yLx0Z00b7K 00000105 000000000003 f0d877a9 2b1f0ca6\n"
		  "arrived 5\nfrom <>\nrcpt <a@b.test>\n\nx\r\n", 0 },
		{ "mtatls-spool 1 8Qm3yLx0Z00b7K 00000119 000000000003 f0d877a9 55e913b7\n"
		  "arrived 5\nfrom <> BODY=8BITMIME\nrcpt <a@b.test>\n\nx\r\n", 1 },
	};
	struct spool_message m;
	struct fail f;
	size_t i;

	fresh_spool();
	for (i = 0; i < sizeof row / sizeof row[0]; i++) {
		unit_int(read_copy(row[i].file, strlen(row[i].file), &m, &f), 0, "format 1: %s", f.text);
		unit_int(spool_is_8bit(&m), row[i].has8bit, "as it was declared");
		unit_ok(m.env.arrived == 5 && m.size == 3, "and the rest of it");
		spool_message_clear(&m);
	}
}

static void
test_null_sender_many_rcpts(void)
{
	struct spool_envelope e = { 0 };
	struct spool_message m;
	struct spool_item item;
	struct fail f = FAIL_INIT;
	char name[SPOOL_NAME_SIZE], address[40];
	int i;

	fresh_spool();
	spool_id_next(&ids, now_us(), e.id);
	e.arrived = spool_id_time_us(e.id) / 1000000;
	e.from = xstrdup("");
	for (i = 0; i < 5000; i++) {
		snprintf(address, sizeof address, "user%d@d%d.test", i, i % 7);
		spool_envelope_add_rcpt(&e, address);
	}
	unit_int(write_message(&e, "x", 1, &f), 0, "null sender, 5000 recipients %s", f.text);
	unit_int(commit_one(e.id, &item, &f), 1, "committed %s", item.fail.text);
	spool_name_format(name, &item.name);
	unit_int(spool_read(spool.dir[SPOOL_QUEUE], name, SPOOL_VERIFY, &m, &f), 0, "read %s", f.text);
	unit_ok(same_envelope(&e, &m.env) && m.env.from[0] == '\0', "as it was");
	spool_message_clear(&m);
	spool_envelope_clear(&e);
}

static void
test_limits(void)
{
	struct spool_envelope e;
	struct fail f = FAIL_INIT;
	char *big = xmalloc(70000);

	fresh_spool();
	memset(big, 'h', 69999);
	big[69999] = '\0';
	fill(&e);
	free(e.helo);
	e.helo = big;
	unit_ok(spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f) == NULL && f.kind == FAIL_INPUT,
	    "a line too long for the grammar is refused: %s", f.text);
	unit_int(count(SPOOL_NEW), 0, "and leaves nothing");
	spool_envelope_clear(&e);
}

static void
test_abort(void)
{
	struct spool_envelope e;
	struct fail f = FAIL_INIT;
	struct spool_writer *w;

	fresh_spool();
	fill(&e);
	w = spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f);
	unit_ok(w != NULL && spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f) == NULL && f.err == EEXIST,
	    "the same ID twice is refused: %s", f.text);
	unit_int(count(SPOOL_NEW), 1, "the first one stays");
	spool_writer_abort(w);
	spool_writer_abort(NULL);
	unit_int(count(SPOOL_NEW), 0, "an aborted one goes");
	spool_envelope_clear(&e);
}

/* The whole of a small file, with two results, in memory. */
static char *
small_file(size_t *len, size_t *message_end, size_t *first_end)
{
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	char path[PATH_MAX];

	fresh_spool();
	fill(&e);
	write_message(&e, "Subject: x\r\n\r\nbody\r\n", 20, &f);
	unit_int(spool_read(spool.dir[SPOOL_NEW], e.id, SPOOL_WRITE, &m, &f), 0, "read to write %s", f.text);
	*message_end = m.end;
	unit_int(spool_message_result(&m, 0, SPOOL_RCPT_DEFERRED, 100, "450 4.2.0 busy", &f), 0, "deferred");
	*first_end = m.end;
	unit_int(spool_message_result(&m, 0, SPOOL_RCPT_DELIVERED, 200, NULL, &f), 0, "delivered %s", f.text);
	spool_message_clear(&m);
	snprintf(path, sizeof path, "%s/new/%s", top, e.id);
	file_read(path, 0, &b, &f);
	*len = b.len;
	spool_envelope_clear(&e);
	return buf_steal(&b);
}

/* That the sender was told is no try, and no other state; what was said stays. */
static void
test_told(void)
{
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	int again;

	fresh_spool();
	fill(&e);
	write_message(&e, "Subject: x\r\n\r\nbody\r\n", 20, &f);
	spool_read(spool.dir[SPOOL_NEW], e.id, SPOOL_WRITE, &m, &f);
	spool_message_result(&m, 0, SPOOL_RCPT_DEFERRED, 100, "450 4.2.0 busy", &f);
	unit_int(m.env.rcpt[0].told_late, 0, "not told yet");
	spool_message_result(&m, 0, SPOOL_RCPT_DELAYED, 110, NULL, &f);
	for (again = 0; again < 2; again++) {
		const struct spool_rcpt *r = &m.env.rcpt[0];

		unit_int(r->told_late, 1, "told");
		unit_int(r->state, SPOOL_RCPT_DEFERRED, "deferred as before");
		unit_int(r->tries, 1, "one try");
		unit_int(r->when, 100, "whose time stays");
		unit_str(r->said, "450 4.2.0 busy", "and its text");
		spool_message_clear(&m);
		unit_int(spool_read(spool.dir[SPOOL_NEW], e.id, SPOOL_WRITE, &m, &f), 0, "read again %s", f.text);
	}
	spool_message_result(&m, 0, SPOOL_RCPT_ARRIVED, 200, "lmtp: 250 2.1.5 kept", &f);
	spool_message_result(&m, 0, SPOOL_RCPT_DELIVERED, 210, NULL, &f);
	unit_int(m.env.rcpt[0].state, SPOOL_RCPT_DELIVERED, "arrived, and the sender was told");
	unit_int(m.env.rcpt[0].tries, 2, "two tries");
	unit_str(m.env.rcpt[0].said, "lmtp: 250 2.1.5 kept", "what the host said");
	spool_message_clear(&m);
	spool_envelope_clear(&e);
}

static void
test_truncation(void)
{
	size_t len, message_end, first_end, n, wrong = 0;
	char *p = small_file(&len, &message_end, &first_end);
	struct spool_message m;
	struct fail f;

	for (n = 0; n < message_end; n++)
		if (read_copy(p, n, &m, &f) == 0 || f.kind != FAIL_INPUT || f.text[0] == '\0')
			wrong++;
	unit_int(wrong, 0, "every truncation before the message's end is recognised (%zu)", message_end);
	for (; n <= len; n++) {
		enum spool_rcpt_state want = n == len ? SPOOL_RCPT_DELIVERED :
		    n >= first_end ? SPOOL_RCPT_DEFERRED : SPOOL_RCPT_WAITING;
		int torn = n != message_end && n != first_end && n != len;

		if (read_copy(p, n, &m, &f) == -1 || m.env.rcpt[0].state != want || m.torn != torn)
			wrong++;
		spool_message_clear(&m);
	}
	unit_int(wrong, 0, "a torn tail is ignored from the last good record on");
	free(p);
}

static void
test_flips(void)
{
	size_t len, message_end, first_end, at, missed = 0, odd = 0;
	char *p = small_file(&len, &message_end, &first_end);
	struct spool_message m;
	struct fail f;
	int bit;

	for (at = 0; at < message_end; at++)
		for (bit = 0; bit < 8; bit++) {
			p[at] ^= 1 << bit;
			if (read_copy(p, len, &m, &f) == 0) {
				missed++;
				spool_message_clear(&m);
			} else if (f.kind != FAIL_INPUT)
				odd++;
			p[at] ^= 1 << bit;
		}
	unit_int(missed, 0, "every flipped bit of envelope and message is recognised");
	unit_int(odd, 0, "and is FAIL_INPUT");
	for (missed = 0; at < len; at++)
		for (bit = 0; bit < 8; bit++) {
			p[at] ^= 1 << bit;
			if (read_copy(p, len, &m, &f) == -1 || m.env.rcpt[0].state == SPOOL_RCPT_DELIVERED ||
			    !m.torn)
				missed++;
			spool_message_clear(&m);
			p[at] ^= 1 << bit;
		}
	unit_int(missed, 0, "a flipped bit in a result record ends the results");
	free(p);
}

static void
test_results(void)
{
	size_t len, message_end, first_end;
	char *p = small_file(&len, &message_end, &first_end);
	struct spool_message m;
	struct fail f;

	unit_int(read_copy(p, len, &m, &f), 0, "read %s", f.text);
	unit_int(m.env.rcpt[0].tries, 2, "two records");
	unit_int(m.env.rcpt[0].when, 200, "time of the last one");
	unit_ok(m.env.rcpt[0].said == NULL, "its text is none");
	unit_int(m.env.rcpt[1].tries, 0, "none of the other recipient");
	spool_message_clear(&m);
	free(p);
}

/* Half a record, then a good one: what is torn goes first. */
static void
test_results_after_torn(void)
{
	size_t len, message_end, first_end;
	char *p = small_file(&len, &message_end, &first_end), *text = xmalloc(100001);
	struct spool_message m;
	struct fail f;
	int fd, i;

	unit_int(read_copy(p, len, &m, &f), 0, "read %s", f.text);
	spool_message_clear(&m);
	fd = openat(spool.dir[SPOOL_NEW], "copy", O_WRONLY);
	unit_int(ftruncate(fd, len - 3), 0, "torn");
	close(fd);
	unit_int(spool_read(spool.dir[SPOOL_NEW], "copy", SPOOL_WRITE, &m, &f), 0, "read %s", f.text);
	unit_ok(m.torn, "it is known as torn");
	memset(text, '\xff', 100000);
	text[100000] = '\0';
	unit_int(spool_message_result(&m, 1, SPOOL_RCPT_FAILED, 300, text, &f), 0, "long text %s", f.text);
	unit_ok(!m.torn, "no longer torn");
	for (i = 0; i < 500; i++)
		if (spool_message_result(&m, 0, SPOOL_RCPT_DEFERRED, 400 + i, "a b # %\n c", &f) == -1)
			break;
	spool_message_clear(&m);
	unit_int(spool_read(spool.dir[SPOOL_NEW], "copy", SPOOL_VERIFY, &m, &f), 0, "read %s", f.text);
	unit_int(m.env.rcpt[0].tries, 501, "501 records");
	unit_str(m.env.rcpt[0].said, "a b # %\n c", "text as it was");
	unit_int(m.env.rcpt[1].state, SPOOL_RCPT_FAILED, "the other failed");
	unit_int(strlen(m.env.rcpt[1].said), SPOOL_SAID_MAX, "a long text is cut");
	spool_message_clear(&m);
	free(text);
	free(p);
}

/* What a peer-facing process might leave where a message should be. */
static void
test_planted(void)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	int new, i, fd;

	fresh_spool();
	new = spool.dir[SPOOL_NEW];
	fill(&e);
	write_message(&e, "x", 1, &f);
	unit_int(linkat(new, e.id, new, "8QkZ2a1Bc00aaa", 0), 0, "a hard link");
	unit_int(symlinkat("/etc/passwd", new, "8QkZ2a1Bc00bbb"), 0, "a symbolic link");
	unit_int(mkdirat(new, "8QkZ2a1Bc00ccc", 0700), 0, "a directory");
	unit_int(mkfifoat(new, "8QkZ2a1Bc00ddd", 0600), 0, "a FIFO");
	close(openat(new, "8QkZ2a1Bc00eee", O_CREAT | O_WRONLY, 0600));
	spool_batch_add(&b, e.id, 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00aaa", 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00bbb", 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00ccc", 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00ddd", 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00eee", 1, NULL);
	spool_batch_add(&b, "8QkZ2a1Bc00fff", 1, NULL);
	spool_batch_add(&b, "../queue/x", 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 0, "none of the planted ones is taken");
	for (i = 0; i < (int)b.n; i++)
		unit_ok(!b.item[i].ok && b.item[i].fail.kind != FAIL_NONE, "%s", b.item[i].fail.text);
	unit_int(count(SPOOL_QUEUE), 0, "nothing in queue");
	unit_int(spool.sick, 0, "and the spool is well");
	unit_ok(spool_read(new, "8QkZ2a1Bc00ccc", 0, &m, &f) == -1 && f.kind == FAIL_INPUT, "%s", f.text);
	spool_batch_clear(&b);
	spool_envelope_clear(&e);

	/* One octet more than the head says. */
	fill(&e);
	write_message(&e, "x", 1, &f);
	fd = openat(new, e.id, O_WRONLY | O_APPEND);
	(void)!write(fd, "y", 1);
	close(fd);
	spool_batch_add(&b, e.id, 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 0, "longer than it says: %s", b.item[0].fail.text);
	unit_ok(strstr(b.item[0].fail.text, "set aside in bad") != NULL, "%s", b.item[0].fail.text);
	unit_int(count(SPOOL_BAD), 1, "a person may look at it");
	spool_batch_clear(&b);
	spool_envelope_clear(&e);
}

/* Records of results, as good as they can be, behind a message that nobody has tried yet: not one is read. */
static void
test_planted_results(void)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	int new, i;

	fresh_spool();
	new = spool.dir[SPOOL_NEW];
	fill(&e);
	write_message(&e, "x", 1, &f);
	unit_int(spool_read(new, e.id, SPOOL_WRITE, &m, &f), 0, "read to write %s", f.text);
	for (i = 0; i < 3; i++)
		unit_int(spool_message_result(&m, 0, SPOOL_RCPT_DELIVERED, 100, NULL, &f), 0, "planted %s", f.text);
	spool_message_clear(&m);
	unit_int(spool_read(new, e.id, SPOOL_UNTRIED, &m, &f), 0, "read %s", f.text);
	unit_int(m.env.rcpt[0].state, SPOOL_RCPT_WAITING, "nobody has it yet");
	unit_int(m.end, m.offset + m.size, "it ends where the message does");
	unit_ok(m.torn, "and more octets are there");
	spool_message_clear(&m);
	spool_batch_add(&b, e.id, 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 0, "not taken: %s", b.item[0].fail.text);
	unit_int(count(SPOOL_NEW) + count(SPOOL_QUEUE), 0, "neither in new nor in queue");
	unit_int(count(SPOOL_BAD), 1, "set aside");
	spool_batch_clear(&b);
	spool_envelope_clear(&e);
}

/* Times that a writer may have made up: seconds that its ID and its arrived are ahead; whether that is taken. */
static void
test_times(void)
{
	static const struct {
		int64_t id, arrived;
		int taken;
	} rows[] = {
		{ 0, 0, 1 },
		{ 0, 60, 1 },
		{ 0, -60, 1 },
		{ 0, 61, 0 },
		{ 0, -61, 0 },
		{ 0, -1795305600, 0 },
		{ -10 * 86400, -10 * 86400, 1 },
		{ 3600, 3600, 1 },
		{ 86400 + 100, 86400 + 100, 0 },
		{ 100 * 365 * 86400LL, 100 * 365 * 86400LL, 0 },
	};
	size_t i;

	fresh_spool();
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct spool_batch b = SPOOL_BATCH_INIT;
		struct spool_ids other;
		struct spool_envelope e;
		struct fail f = FAIL_INIT;
		int64_t now = now_us();

		fill(&e);
		spool_ids_init(&other, 7);
		spool_id_next(&other, now + rows[i].id * 1000000, e.id);
		e.arrived = now / 1000000 + rows[i].arrived;
		write_message(&e, "x", 1, &f);
		spool_batch_add(&b, e.id, 1, NULL);
		unit_int(spool_batch_commit(&spool, &b, &f), rows[i].taken, "row %zu %s", i, b.item[0].fail.text);
		unit_int(count(SPOOL_NEW), 0, "row %zu: nothing stays in new", i);
		spool_batch_clear(&b);
		spool_envelope_clear(&e);
	}
}

static void
test_same_twice(void)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool_envelope e;
	struct spool_item item;
	struct fail f = FAIL_INIT;

	fresh_spool();
	fill(&e);
	write_message(&e, "x", 1, &f);
	spool_batch_add(&b, e.id, 1, NULL);
	spool_batch_add(&b, e.id, 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 1, "the same ID twice in a batch is taken once");
	unit_ok(b.item[0].ok && !b.item[1].ok && count(SPOOL_QUEUE) == 1, "%s", b.item[1].fail.text);
	spool_batch_clear(&b);

	/* An ID that is in queue/ already, with the same due time, must not replace what is there. */
	write_message(&e, "other", 5, &f);
	spool_batch_add(&b, e.id, 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 0, "nothing is overwritten: %s", b.item[0].fail.text);
	unit_int(count(SPOOL_QUEUE), 1, "the first one stays");
	spool_batch_clear(&b);
	unit_int(commit_one(e.id, &item, &f), 0, "what was refused is gone: %s", item.fail.text);
	spool_envelope_clear(&e);
}

/* All in queue/ were acknowledged and are whole; all acknowledged are in queue/. */
static int
queue_is(const struct spool_batch *b)
{
	struct spool_message m;
	char name[SPOOL_NAME_SIZE];
	size_t i, ok = 0;

	for (i = 0; i < b->n; i++) {
		if (!b->item[i].ok)
			continue;
		ok++;
		spool_name_format(name, &b->item[i].name);
		if (spool_read(spool.dir[SPOOL_QUEUE], name, SPOOL_VERIFY, &m, NULL) == -1)
			return 0;
		spool_message_clear(&m);
	}
	return count(SPOOL_QUEUE) == ok;
}

/* n messages written and committed under a rule; the batch is left for the caller to look at. */
static void
run_batch(size_t n, size_t size, const char *rule, struct spool_batch *b)
{
	struct spool_envelope e;
	struct fail f;
	char *body = octets(size);
	size_t i;

	fresh_spool();
	faults_set(rule);
	for (i = 0; i < n; i++) {
		f = (struct fail)FAIL_INIT;
		fill(&e);
		if (write_message(&e, body, size, &f) == 0)
			spool_batch_add(b, e.id, 1, NULL);
		spool_envelope_clear(&e);
	}
	spool_batch_commit(&spool, b, &f);
	free(body);
}

/* What the sick spool takes (nothing), and what a probe does about it. */
static void
check_sick(int *refused, int *healed)
{
	struct spool_envelope e;
	struct spool_item item;
	struct fail f = FAIL_INIT;

	fill(&e);
	write_message(&e, "x", 1, &f);
	*refused += commit_one(e.id, &item, &f) == -1 && !item.ok && count(SPOOL_NEW) == 0;
	*healed += spool_probe(&spool, &f) == 0 && !spool.sick;
	spool_envelope_clear(&e);
}

/* Fails the Nth call of a kind for N = 1, 2 ... until none is hit any more. */
static void
test_faults(const char *call, const char *action, size_t n, size_t size)
{
	int nth, hit = 1, wrong = 0, sick = 0, healed = 0, refused = 0;
	char rule[300];

	for (nth = 1; hit && nth < 1000; nth++) {
		struct spool_batch b = SPOOL_BATCH_INIT;

		snprintf(rule, sizeof rule, "%s %s %d %s", call, top, nth, action);
		run_batch(n, size, rule, &b);
		hit = private_state.seen[0] >= (unsigned)nth;
		faults_set("");
		if (!queue_is(&b) || count(SPOOL_NEW) != 0)
			wrong++;
		if (spool.sick) {
			sick++;
			check_sick(&refused, &healed);
		}
		spool_batch_clear(&b);
	}
	unit_ok(!hit && wrong == 0, "%s at every %s, %zu message%s of %zu: acknowledged and whole, or gone "
	    "(%d places, %d wrong)", action, call, n, n == 1 ? "" : "s", size, nth - 2, wrong);
	unit_ok(refused == sick && healed == sick, "sick %d times: refused %d, healed by a probe %d", sick,
	    refused, healed);
}

/* Two faults: the second may hit the unlink that clears up after the first. */
static void
test_double_faults(void)
{
	static const char *const seconds[] = { "unlink", "fsync", "rename" };
	int nth, wrong = 0;
	char rule[500];
	size_t i;

	for (i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
		for (nth = 1; nth < 40; nth++) {
			struct spool_batch b = SPOOL_BATCH_INIT;
			struct spool_message m;
			char name[SPOOL_NAME_SIZE];
			size_t k;

			snprintf(rule, sizeof rule, "any %s %d EIO; %s %s 1 EIO *", top, nth, seconds[i], top);
			run_batch(3, 100, rule, &b);
			faults_set("");
			/* What could not be unlinked may stay: a duplicate.  None may be missing. */
			for (k = 0; k < b.n; k++)
				if (b.item[k].ok) {
					spool_name_format(name, &b.item[k].name);
					if (spool_read(spool.dir[SPOOL_QUEUE], name, SPOOL_VERIFY, &m, NULL) == -1)
						wrong++;
					else
						spool_message_clear(&m);
				}
			spool_batch_clear(&b);
		}
	unit_int(wrong, 0, "two faults: no acknowledged message is missing");
}

/* A file that was being written while a sync failed may have lost a page: it is not taken later. */
static void
test_probe_discards_writers(void)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool_envelope under_way, e;
	struct spool_writer *w;
	struct spool_item item;
	struct fail f = FAIL_INIT;
	char rule[300];

	snprintf(rule, sizeof rule, "sync %s 1 EIO *", top);
	fresh_spool();
	fill(&under_way);
	w = spool_writer_begin(spool.dir[SPOOL_NEW], &under_way, &f);
	spool_writer_add(w, "half", 4, &f);
	fill(&e);
	write_message(&e, "x", 1, &f);
	faults_set(rule);
	unit_int(commit_one(e.id, &item, &f), -1, "a failed sync: %s", f.text);
	unit_int(f.err, EIO, "with its errno");
	unit_int(spool_probe(&spool, &f), -1, "the probe fails too: %s", f.text);
	unit_int(spool.sick, EIO, "still sick");
	faults_set("");
	unit_int(spool_probe(&spool, &f), 0, "the probe succeeds");
	unit_int(count(SPOOL_NEW), 0, "nothing is left in new");
	unit_int(spool_writer_finish(w, &f), 0, "the writer notices nothing");
	spool_batch_add(&b, under_way.id, 1, NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 0, "its message is not taken: %s", b.item[0].fail.text);
	spool_batch_clear(&b);
	spool_envelope_clear(&e);
	fill(&e);
	write_message(&e, "x", 1, &f);
	unit_int(commit_one(e.id, &item, &f), 1, "a new one is");
	spool_envelope_clear(&e);
	spool_envelope_clear(&under_way);
}

static void
test_sync_counts(void)
{
	static const struct {
		size_t n;
		uint64_t syncs;
	} rows[] = { { 1, 3 }, { 2, 4 }, { 3, 2 }, { 50, 2 } };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct spool_batch b = SPOOL_BATCH_INIT;

		run_batch(rows[i].n, 100, "", &b);
		unit_ok(queue_is(&b) && count(SPOOL_QUEUE) == rows[i].n, "batch of %zu", rows[i].n);
		unit_int(spool.syncs, rows[i].syncs, "costs %d syncs", (int)rows[i].syncs);
		spool_batch_clear(&b);
	}
}

static void
count_found(void *arg, enum spool_folder folder, const struct spool_name *n)
{
	size_t *found = arg;

	(void)folder, (void)n;
	(*found)++;
}

static void
test_iteration(size_t n)
{
	char name[SPOOL_NAME_SIZE];
	struct spool_recovered r;
	struct spool_name sn = { .due = 1795305600, .domain = "example.org" };
	struct fail f = FAIL_INIT;
	struct rusage before, after;
	size_t i, found = 0;

	fresh_spool();
	for (i = 0; i < n; i++) {
		spool_id_next(&ids, now_us(), sn.id);
		spool_name_format(name, &sn);
		close(openat(spool.dir[SPOOL_QUEUE], name, O_CREAT | O_WRONLY, 0600));
	}
	getrusage(RUSAGE_SELF, &before);
	unit_int(spool_recover(&spool, 0, count_found, NULL, &found, &r, &f), 0, "recovery %s", f.text);
	getrusage(RUSAGE_SELF, &after);
	unit_int(found, n, "%zu names are found", n);
	unit_int(r.queued, n, "and counted");
	unit_ok(after.ru_maxrss - before.ru_maxrss < 2048, "in little memory: %ld KiB more",
	    after.ru_maxrss - before.ru_maxrss);
}

static void
test_recovery(void)
{
	char old[SPOOL_ID_SIZE], young[SPOOL_ID_SIZE];
	struct spool_recovered r;
	struct fail f = FAIL_INIT;
	struct stat st;
	int new, queue;

	fresh_spool();
	new = spool.dir[SPOOL_NEW];
	queue = spool.dir[SPOOL_QUEUE];
	spool_id_next(&ids, now_us(), old);
	spool_id_next(&ids, now_us() + 1000000, young);
	close(openat(new, old, O_CREAT | O_WRONLY, 0600));
	close(openat(new, young, O_CREAT | O_WRONLY, 0600));
	close(openat(new, ".hidden", O_CREAT | O_WRONLY, 0600));
	mkdirat(new, "empty", 0700);
	mkdirat(new, "full", 0700);
	mkdirat(new, "full/more", 0700);
	close(openat(queue, "core", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.dir[SPOOL_HOLD], "core", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.dir[SPOOL_BAD], "core", O_CREAT | O_WRONLY, 0600));
	close(openat(queue, ".probe", O_CREAT | O_WRONLY, 0600));
	close(openat(queue, "8QkZ2a1Bc00xyz,1,a", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.dir[SPOOL_HOLD], "8QkZ2a1Bc00xyz,1,b", O_CREAT | O_WRONLY, 0600));
	unit_int(spool_recover(&spool, spool_id_time_us(young), NULL, NULL, NULL, &r, &f), 0, "recover %s", f.text);
	unit_ok(fstatat(new, young, &st, 0) == 0, "what a writer of this start has stays");
	unit_ok(fstatat(new, old, &st, 0) == -1, "what is older goes");
	unit_ok(fstatat(new, ".hidden", &st, 0) == 0, "but nothing that is not named by an ID");
	unit_ok(fstatat(queue, ".probe", &st, 0) == -1, "and a probe");
	unit_int(r.set_aside, 2, "two without a proper name are set aside");
	unit_ok(fstatat(spool.dir[SPOOL_BAD], "core.1", &st, 0) == 0 &&
	    fstatat(spool.dir[SPOOL_BAD], "core.2", &st, 0) == 0, "beside what was there");
	unit_int(r.queued, 1, "one is queued");
	unit_int(r.held, 1, "one is held");
	unit_int(spool_recover(&spool, 0, NULL, NULL, NULL, &r, &f), 0, "again, with no writers");
	unit_ok(fstatat(new, young, &st, 0) == -1, "all go");
}

static void
keep_text(void *text, const struct fail *f)
{
	snprintf(text, FAIL_TEXT_MAX, "%s", f->text);
}

/* Every name that it could get in bad/ is taken: what stays is told of, and the rest goes on. */
static void
test_stray(void)
{
	char name[64], text[FAIL_TEXT_MAX] = "";
	struct spool_recovered r;
	struct fail f = FAIL_INIT;
	struct stat st;
	int i;

	fresh_spool();
	mkdirat(spool.dir[SPOOL_QUEUE], "core", 0);
	close(openat(spool.dir[SPOOL_BAD], "core", O_CREAT | O_WRONLY, 0600));
	for (i = 1; i <= 100; i++) {
		snprintf(name, sizeof name, "core.%d", i);
		close(openat(spool.dir[SPOOL_BAD], name, O_CREAT | O_WRONLY, 0600));
	}
	close(openat(spool.dir[SPOOL_QUEUE], "other", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.dir[SPOOL_QUEUE], "8QkZ2a1Bc00xyz,1,a", O_CREAT | O_WRONLY, 0600));
	unit_int(spool_recover(&spool, 0, NULL, keep_text, text, &r, &f), 0, "recover %s", f.text);
	unit_ok(fstatat(spool.dir[SPOOL_QUEUE], "core", &st, 0) == 0, "what cannot be set aside stays");
	unit_str(text, "left in queue: core: rename to bad: File exists", "and is told of");
	unit_int(r.left, 1, "and counted");
	unit_int(r.set_aside, 1, "another is set aside");
	unit_int(r.queued, 1, "the message is queued");
}

static void
test_moves(void)
{
	struct spool_envelope e;
	struct spool_item item;
	struct spool_message m;
	struct spool_name later;
	struct fail f = FAIL_INIT;
	char name[SPOOL_NAME_SIZE], rule[300];

	fresh_spool();
	fill(&e);
	write_message(&e, "x", 1, &f);
	commit_one(e.id, &item, &f);
	later = item.name;
	later.due += 300;
	unit_int(spool_reschedule(&spool, SPOOL_QUEUE, &item.name, &later, &f), 0, "rescheduled %s", f.text);
	unit_int(spool_reschedule(&spool, SPOOL_QUEUE, &later, &later, &f), 0, "to the same: nothing to do");
	unit_int(spool_reschedule(&spool, SPOOL_QUEUE, &item.name, &later, &f), -1, "gone: %s", f.text);
	spool_name_format(name, &later);
	unit_int(spool_move(&spool, SPOOL_QUEUE, SPOOL_HOLD, name, &f), 0, "held %s", f.text);
	unit_int(spool_read(spool.dir[SPOOL_HOLD], name, SPOOL_VERIFY, &m, &f), 0, "and there %s", f.text);
	spool_message_clear(&m);
	snprintf(rule, sizeof rule, "fsync %s 1 EIO", top);
	faults_set(rule);
	unit_int(spool_move(&spool, SPOOL_HOLD, SPOOL_QUEUE, name, &f), -1, "not synced: %s", f.text);
	faults_set("");
	unit_int(count(SPOOL_HOLD), 1, "it is where it was");
	unit_int(count(SPOOL_QUEUE), 0, "and not where nobody knows of it");
	unit_int(spool_move(&spool, SPOOL_HOLD, SPOOL_QUEUE, name, &f), 0, "released");
	unit_int(spool_set_aside(&spool, SPOOL_QUEUE, name, &f), 0, "set aside %s", f.text);
	unit_int(count(SPOOL_BAD), 1, "it is in bad");
	unit_int(spool_remove(&spool, SPOOL_BAD, name, &f), 0, "removed");
	unit_ok(spool_read(spool.dir[SPOOL_QUEUE], name, 0, &m, &f) == -1 && f.err == ENOENT, "%s", f.text);
	spool_envelope_clear(&e);
}

static void
test_wrong_name(void)
{
	struct spool_envelope e;
	struct spool_message m;
	struct fail f = FAIL_INIT;

	fresh_spool();
	fill(&e);
	write_message(&e, "x", 1, &f);
	renameat(spool.dir[SPOOL_NEW], e.id, spool.dir[SPOOL_QUEUE], "8QkZ2a1Bc00xyz,1,a");
	unit_ok(spool_read(spool.dir[SPOOL_QUEUE], "8QkZ2a1Bc00xyz,1,a", 0, &m, &f) == -1 &&
	    f.kind == FAIL_INPUT, "another ID inside: %s", f.text);
	spool_envelope_clear(&e);
}

static void
test_lock_and_rights(void)
{
	struct spool other = SPOOL_INIT;
	struct fail f = FAIL_INIT;
	struct stat st;

	fresh_spool();
	unit_int(spool_open(&other, top, &f), 0, "opened twice");
	unit_int(spool_lock(&spool, &f), 0, "locked once");
	unit_ok(spool_lock(&other, &f) == -1 && f.kind == FAIL_POLICY, "not twice: %s", f.text);
	spool_close(&other);
	fstat(spool.dir[SPOOL_NEW], &st);
	unit_int(st.st_mode & 07777, 02770, "mode of new");
	fstat(spool.dir[SPOOL_QUEUE], &st);
	unit_int(st.st_mode & 07777, 0700, "mode of queue");
	unit_ok(spool_make(top, geteuid(), geteuid(), getegid(), &f) == -1 && f.kind == FAIL_POLICY,
	    "rights are not set while another works on it: %s", f.text);
	spool_close(&spool);
	unit_int(spool_make(top, geteuid(), geteuid(), getegid(), &f), 0, "making it again changes nothing");
	rmdir("/nonexistent");
	unit_ok(spool_open(&other, "/nonexistent", &f) == -1 && f.kind == FAIL_SYS, "%s", f.text);
}

int
main(void)
{
	/* In memory where that can be: what others write to the disk would make each sync wait. */
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct fail f = FAIL_INIT;

	if (getenv("SPOOL_TEST_DIR") != NULL)
		tmp = getenv("SPOOL_TEST_DIR");
	snprintf(top, sizeof top, "%.150s/spool-unit-XXXXXX", tmp);
	if (mkdtemp(top) == NULL)
		return 1;
	spool_ids_init(&ids, 7);
	test_ids();
	test_names();
	test_domains();
	test_round_trip(0);
	test_round_trip(1);
	test_round_trip(4096);
	test_round_trip(65536);
	test_round_trip(20 * 1024 * 1024 + 1);
	test_8bit();
	test_format_1();
	test_null_sender_many_rcpts();
	test_limits();
	test_abort();
	test_told();
	test_truncation();
	test_flips();
	test_results();
	test_results_after_torn();
	test_planted();
	test_planted_results();
	test_times();
	test_same_twice();
	test_faults("any", "EIO", 1, 100);
	test_faults("any", "ENOSPC", 3, 100);
	test_faults("sync", "EIO", 2, 100);
	test_faults("write", "EDQUOT", 1, 300000);
	test_faults("pwrite", "EFBIG", 1, 300000);
	test_faults("rename", "ENOSPC", 5, 10);
	test_faults("openat", "EMFILE", 3, 10);
	test_double_faults();
	test_probe_discards_writers();
	test_sync_counts();
	test_iteration(100000);
	test_recovery();
	test_stray();
	test_moves();
	test_wrong_name();
	test_lock_and_rights();
	spool_close(&spool);
	file_remove_tree(top, &f);
	return unit_done();
}
