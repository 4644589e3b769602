/*
 * commit - how many messages a second the spool takes, one writer and one committer in one process.
 *
 *	commit [-n messages] [-s octets] DIR
 *
 * For batches of 1, 20 and 100: begin, add, finish for each message, then one commit for all of them.
 * DIR is made and removed.  What counts is the disk under it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "spool.h"

static struct spool_ids ids;

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
die(const struct fail *f)
{
	fprintf(stderr, "commit: %s\n", f->text);
	exit(1);
}

static void
write_one(struct spool *s, struct spool_batch *b, const char *body, size_t size)
{
	struct spool_envelope e = { .arrived = time(NULL) };
	struct fail f = FAIL_INIT;
	struct spool_writer *w;

	spool_id_next(&ids, (int64_t)(seconds(CLOCK_REALTIME) * 1e6), e.id);
	e.client = xstrdup("192.0.2.1");
	e.helo = xstrdup("client.example");
	e.from = xstrdup("from@example.org");
	spool_envelope_add_rcpt(&e, "to@dest.test");
	if ((w = spool_writer_begin(s->dir[SPOOL_NEW], &e, &f)) == NULL ||
	    spool_writer_add(w, body, size, &f) == -1 || spool_writer_finish(w, &f) == -1)
		die(&f);
	spool_batch_add(b, e.id, e.arrived, NULL);
	spool_envelope_clear(&e);
}

static void
commit(struct spool *s, struct spool_batch *b)
{
	struct fail f = FAIL_INIT;

	if (spool_batch_commit(s, b, &f) != (ssize_t)b->n)
		die(f.kind != FAIL_NONE ? &f : &b->item[0].fail);
	spool_batch_reset(b);
}

static void
measure(const char *dir, size_t messages, size_t batch, const char *body, size_t size)
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool s = SPOOL_INIT;
	struct fail f = FAIL_INIT;
	double wall, cpu;
	size_t done;

	if (spool_make(dir, geteuid(), geteuid(), getegid(), &f) == -1 || spool_open(&s, dir, &f) == -1)
		die(&f);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (done = 0; done < messages;) {
		write_one(&s, &b, body, size);
		if (++done % batch == 0)
			commit(&s, &b);
	}
	if (b.n > 0)
		commit(&s, &b);
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("batch %3zu: %7.0f messages/s, %5.1f us CPU a message, %.3f syncs a message\n", batch,
	    messages / wall, cpu / messages * 1e6, (double)s.syncs / messages);
	fflush(stdout);
	spool_batch_clear(&b);
	spool_close(&s);
	if (file_remove_tree(dir, &f) == -1)
		die(&f);
}

int
main(int argc, char **argv)
{
	static const size_t batches[] = { 1, 20, 100 };
	size_t messages = 10000, size = 4096, i;
	char *body;
	int ch;

	while ((ch = getopt(argc, argv, "n:s:")) != -1)
		switch (ch) {
		case 'n': messages = strtoul(optarg, NULL, 10); break;
		case 's': size = strtoul(optarg, NULL, 10); break;
		default: return 2;
		}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: commit [-n messages] [-s octets] DIR\n");
		return 2;
	}
	spool_ids_init(&ids, 0);
	body = xmalloc(size > 0 ? size : 1);
	memset(body, 'x', size);
	for (i = 0; i < sizeof batches / sizeof batches[0]; i++)
		measure(argv[optind], messages, batches[i], body, size);
	free(body);
	return 0;
}
