/* Journals: what is written is read, what is torn, damaged or not proven is not, and a replay ends in the files. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

#include "alloc.h"
#include "file.h"
#include "unit.h"

static char top[200];
static struct spool spool = SPOOL_INIT;
static struct spool_ids ids;
static struct journal_key key;

static size_t nread;
static struct {
	char id[SPOOL_ID_SIZE];
	size_t number;
	enum spool_rcpt_state state;
	char text[SPOOL_SAID_MAX + 1];
} got[8];

static void
take(void *arg, const struct journal_result *r)
{
	(void)arg;
	if (nread < sizeof got / sizeof got[0]) {
		snprintf(got[nread].id, sizeof got[nread].id, "%s", r->id);
		got[nread].number = r->number;
		got[nread].state = r->state;
		snprintf(got[nread].text, sizeof got[nread].text, "%s", r->text);
	}
	nread++;
}

static void
problem(void *arg, const char *name, const struct fail *f)
{
	(void)name;
	printf("# %s\n", f->text);
	++*(size_t *)arg;
}

static int
put(struct journal_pen *pen, const char *id, size_t number, enum spool_rcpt_state state, const char *text)
{
	char proof[JOURNAL_PROOF_SIZE];
	struct journal_result r = { .id = id, .number = number, .state = state, .proof = proof, .text = text };
	struct fail f = FAIL_INIT;

	journal_proof(proof, &key, id, number);
	return journal_write(pen, &r, &f);
}

static size_t
count(enum spool_folder folder)
{
	struct spool_scan scan;
	struct fail f = FAIL_INIT;
	size_t n = 0;

	spool_scan_open(&scan, spool.dir[folder], &f);
	while (spool_scan_next(&scan, &f) != NULL)
		n++;
	spool_scan_close(&scan);
	return n;
}

static void
fresh(void)
{
	struct journal_replayed r;
	struct fail f = FAIL_INIT;
	size_t problems = 0;

	spool_close(&spool);
	if (file_remove_tree(top, &f) == -1 || spool_make(top, geteuid(), geteuid(), getegid(), &f) == -1 ||
	    spool_open(&spool, top, &f) == -1 ||
	    journal_replay(&spool, &key, problem, &problems, &r, &f) == -1) {
		printf("Bail out! %s\n", f.text);
		exit(1);
	}
	nread = 0;
}

/* A message to three, in queue/; its name there goes to name. */
static void
queue_message(char id[SPOOL_ID_SIZE], char name[SPOOL_NAME_SIZE])
{
	struct spool_batch b = SPOOL_BATCH_INIT;
	struct spool_envelope e = { .from = xstrdup("a@b.test") };
	struct spool_writer *w;
	struct fail f = FAIL_INIT;

	spool_id_next(&ids, time(NULL) * INT64_C(1000000), id);
	snprintf(e.id, sizeof e.id, "%s", id);
	e.arrived = spool_id_time_us(id) / 1000000;
	spool_envelope_add_rcpt(&e, "x@dest.test");
	spool_envelope_add_rcpt(&e, "y@dest.test");
	spool_envelope_add_rcpt(&e, "z@dest.test");
	w = spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f);
	spool_writer_add(w, "x\r\n", 3, &f);
	spool_writer_finish(w, &f);
	spool_batch_add(&b, id, time(NULL), NULL);
	unit_int(spool_batch_commit(&spool, &b, &f), 1, "a message in queue %s", f.text);
	spool_name_format(name, &b.item[0].name);
	spool_batch_clear(&b);
	spool_envelope_clear(&e);
}

static void
test_round_trip(void)
{
	static const char id[] = "8QkZ2a1Bc00aaa";
	struct journal_pen pen = { .fd = -1 };
	char *text = xmalloc(100001);
	struct fail f = FAIL_INIT;
	size_t damaged = 0;
	struct stat st;

	fresh();
	unit_int(put(&pen, id, 0, SPOOL_RCPT_DELIVERED, "x"), 0, "no journal is no failure");
	unit_ok((pen.fd = journal_make(&spool, "one", &f)) != -1, "made %s", f.text);
	unit_ok(fstat(pen.fd, &st) == 0 && (st.st_mode & 07777) == 0600, "for its owner alone");
	unit_ok(journal_make(&spool, "one", &f) == -1 && f.err == EEXIST, "not twice: %s", f.text);
	memset(text, '\xff', 100000);
	text[100000] = '\0';
	put(&pen, id, 0, SPOOL_RCPT_DELIVERED, "250 2.0.0 a b # %\n c");
	put(&pen, id, 49999, SPOOL_RCPT_FAILED, "");
	put(&pen, id, 3, SPOOL_RCPT_FAILED, text);
	unit_int(journal_read(&spool, "one", &key, take, NULL, &damaged, &f), 0, "read %s", f.text);
	unit_int(nread, 3, "three lines");
	unit_int(damaged, 0, "none damaged");
	unit_str(got[0].id, id, "ID");
	unit_str(got[0].text, "250 2.0.0 a b # %\n c", "text as it was");
	unit_int(got[1].number, 49999, "number");
	unit_int(got[1].state, SPOOL_RCPT_FAILED, "state");
	unit_str(got[1].text, "", "an empty text");
	unit_int(strlen(got[2].text), SPOOL_SAID_MAX, "a long text is cut");
	close(pen.fd);
	free(text);
}

/* Lines in a journal, and how many of them are good and damaged. */
static void
test_bad_lines(void)
{
	static const struct {
		const char *line;
		size_t n, good, damaged;
	} rows[] = {
#define ROW(text, good, damaged) { (text), sizeof(text) - 1, (good), (damaged) }
		ROW("", 0, 0),
		ROW("8QkZ2a1Bc00aaa 0 delivered", 0, 0),
		ROW("8QkZ2a1Bc00aaa 0 delivered\n", 0, 1),
		ROW("8QkZ2a1Bc00aaa 0 delivered 0123456789abcdef 250\n", 0, 1),
		ROW("\n\n\n", 0, 0),
		ROW("\0\0\0\0\n", 0, 1),
		ROW("%zz\nx\n# y\n", 0, 3),
	};
	static const char id[] = "8QkZ2a1Bc00aaa";
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct journal_pen pen;
		size_t damaged = 0;

		fresh();
		pen = (struct journal_pen){ .fd = journal_make(&spool, "j", &f) };
		put(&pen, id, 0, SPOOL_RCPT_DELIVERED, "before");
		(void)!write(pen.fd, rows[i].line, rows[i].n);
		unit_int(journal_read(&spool, "j", &key, take, NULL, &damaged, &f), 0, "read %s", f.text);
		unit_int(nread, 1 + rows[i].good, "row %zu: good lines", i);
		unit_int(damaged, rows[i].damaged, "row %zu: damaged lines", i);
		/* The pen is told that its last line was torn: the next one is whole. */
		pen.torn = 1;
		put(&pen, id, 1, SPOOL_RCPT_FAILED, "behind");
		nread = 0;
		journal_read(&spool, "j", &key, take, NULL, &damaged, &f);
		unit_int(nread, 2 + rows[i].good, "row %zu: a line behind it is read", i);
		unit_str(got[nread - 1].text, "behind", "row %zu: as it was", i);
		close(pen.fd);
	}
}

/* A proof is of one message, one recipient and one key. */
static void
test_proofs(void)
{
	static const char id[] = "8QkZ2a1Bc00aaa", other[] = "8QkZ2a1Bc00aab";
	char proof[JOURNAL_PROOF_SIZE];
	struct journal_result r = { .id = id, .number = 1, .state = SPOOL_RCPT_DELIVERED, .proof = proof,
		.text = "" };
	struct journal_pen pen;
	struct journal_key wrong;
	struct fail f = FAIL_INIT;
	size_t damaged = 0;

	fresh();
	pen = (struct journal_pen){ .fd = journal_make(&spool, "j", &f) };
	journal_proof(proof, &key, id, 1);
	journal_write(&pen, &r, &f);
	r.number = 2;
	journal_write(&pen, &r, &f);
	r.number = 1;
	r.id = other;
	journal_write(&pen, &r, &f);
	journal_read(&spool, "j", &key, take, NULL, &damaged, &f);
	unit_int(nread, 1, "its own line is good");
	unit_int(damaged, 2, "another number, another message: not");
	wrong = key;
	wrong.octets[0] ^= 1;
	nread = 0;
	journal_read(&spool, "j", &wrong, take, NULL, &damaged, &f);
	unit_int(nread, 0, "of another key: none");
	r.id = id;
	r.state = SPOOL_RCPT_DEFERRED;
	journal_write(&pen, &r, &f);
	journal_read(&spool, "j", &key, take, NULL, &damaged, &f);
	unit_int(nread, 1, "a state that is not final is not a line");
	r.state = SPOOL_RCPT_DELAYED;
	journal_write(&pen, &r, &f);
	journal_read(&spool, "j", &key, take, NULL, &damaged, &f);
	unit_int(nread, 2, "nor is what only the queue may say");
	r.state = SPOOL_RCPT_ARRIVED;
	journal_write(&pen, &r, &f);
	journal_read(&spool, "j", &key, take, NULL, &damaged, &f);
	unit_int(nread, 4, "arrived is final");
	close(pen.fd);
}

static void
check_states(enum spool_folder folder, const char *name, const char *want)
{
	struct spool_message m;
	struct fail f = FAIL_INIT;
	char states[8] = "";
	size_t i;

	unit_int(spool_read(spool.dir[folder], name, SPOOL_VERIFY, &m, &f), 0, "read %s", f.text);
	for (i = 0; i < m.env.nrcpts && i < sizeof states - 1; i++)
		states[i] = "wrdfc"[m.env.rcpt[i].state];
	unit_str(states, want, "states: waiting, deferRed, delivered, failed, closed");
	spool_message_clear(&m);
}

static void
test_replay(void)
{
	char id[SPOOL_ID_SIZE], name[SPOOL_NAME_SIZE], held_id[SPOOL_ID_SIZE], held[SPOOL_NAME_SIZE];
	struct journal_pen a, b;
	struct journal_replayed r;
	struct journal_key old;
	struct spool_message m;
	struct fail f = FAIL_INIT;
	size_t problems = 0;

	fresh();
	queue_message(id, name);
	queue_message(held_id, held);
	unit_int(spool_move(&spool, SPOOL_QUEUE, SPOOL_HOLD, held, &f), 0, "one is held");
	spool_read(spool.dir[SPOOL_QUEUE], name, SPOOL_WRITE, &m, &f);
	spool_message_result(&m, 0, SPOOL_RCPT_FAILED, 5, "was", &f);
	spool_message_clear(&m);
	a = (struct journal_pen){ .fd = journal_make(&spool, "a", &f) };
	b = (struct journal_pen){ .fd = journal_make(&spool, "b", &f) };
	put(&a, id, 0, SPOOL_RCPT_DELIVERED, "too late: it is final");
	put(&a, id, 2, SPOOL_RCPT_DELIVERED, "250");
	put(&a, "8QkZ2a1Bc00aaa", 2, SPOOL_RCPT_DELIVERED, "a message that is gone");
	put(&b, held_id, 1, SPOOL_RCPT_FAILED, "550");
	put(&b, held_id, 1, SPOOL_RCPT_FAILED, "550");
	put(&b, held_id, 1000, SPOOL_RCPT_FAILED, "no such recipient");
	(void)!write(b.fd, "nonsense\nhalf", 13);
	close(a.fd);
	close(b.fd);
	old = key;
	unit_int(journal_replay(&spool, &key, problem, &problems, &r, &f), 0, "replay %s", f.text);
	unit_int(r.journals, 2, "two journals");
	unit_int(r.results, 2, "two results are appended");
	unit_int(r.damaged, 1, "one line is damaged");
	unit_int(problems, 1, "and told");
	unit_int(r.failed, 0, "nothing failed");
	check_states(SPOOL_QUEUE, name, "fwd");
	check_states(SPOOL_HOLD, held, "wfw");
	unit_int(count(SPOOL_RESULTS), 0, "no journal is left");
	unit_ok(memcmp(&old, &key, sizeof key) != 0, "and the key is a new one");
	unit_int(journal_replay(&spool, &key, problem, &problems, &r, &f), 0, "again");
	unit_int(r.journals + r.results, 0, "nothing to do");
}

/* What cannot be written stays in the journal, which the next start replays. */
static void
test_replay_fails(void)
{
	char id[SPOOL_ID_SIZE], name[SPOOL_NAME_SIZE];
	struct journal_pen pen;
	struct journal_replayed r;
	struct fail f = FAIL_INIT;
	size_t problems = 0;
	int queue;

	fresh();
	queue_message(id, name);
	pen = (struct journal_pen){ .fd = journal_make(&spool, "a", &f) };
	put(&pen, id, 1, SPOOL_RCPT_DELIVERED, "250");
	close(pen.fd);
	queue = spool.dir[SPOOL_QUEUE];
	spool.dir[SPOOL_QUEUE] = -1;
	unit_int(journal_replay(&spool, &key, problem, &problems, &r, &f), 0, "replay %s", f.text);
	spool.dir[SPOOL_QUEUE] = queue;
	unit_ok(r.failed > 0 && problems > 0, "a folder that cannot be read is told");
	unit_int(count(SPOOL_RESULTS), 1, "the journal stays");
	unit_int(journal_replay(&spool, &key, problem, &problems, &r, &f), 0, "replay %s", f.text);
	unit_int(r.results, 1, "and counts at the next start");
	check_states(SPOOL_QUEUE, name, "wdw");
}

/* Another process still has the journal of before and writes a last line. */
static void
test_writer_lives(void)
{
	char id[SPOOL_ID_SIZE], name[SPOOL_NAME_SIZE];
	struct journal_pen pen;
	struct journal_replayed r;
	struct fail f = FAIL_INIT;
	size_t problems = 0;
	pid_t pid;

	fresh();
	queue_message(id, name);
	pen = (struct journal_pen){ .fd = journal_make(&spool, "a", &f) };
	fflush(NULL);
	if ((pid = fork()) == 0) {
		usleep(200000);
		_exit(put(&pen, id, 0, SPOOL_RCPT_DELIVERED, "at the last moment") != 0);
	}
	close(pen.fd);
	unit_int(journal_replay(&spool, &key, problem, &problems, &r, &f), 0, "replay %s", f.text);
	unit_int(r.results, 1, "it was waited for");
	check_states(SPOOL_QUEUE, name, "dww");
	waitpid(pid, NULL, 0);
}

int
main(void)
{
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct fail f = FAIL_INIT;

	snprintf(top, sizeof top, "%.150s/journal-unit-XXXXXX", tmp);
	if (mkdtemp(top) == NULL)
		return 1;
	spool_ids_init(&ids, 7);
	test_round_trip();
	test_bad_lines();
	test_proofs();
	test_replay();
	test_replay_fails();
	test_writer_lives();
	spool_close(&spool);
	file_remove_tree(top, &f);
	return unit_done();
}
