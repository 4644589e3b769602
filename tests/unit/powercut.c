/*
 * Power cuts.  What writer and committer do is recorded: each octet written, each name made, moved and removed, each
 * sync, and when a message was acknowledged.  Then the power goes behind each of these steps: a disk is made of
 * what was synced, with none, all, or a random part of the rest, the spool is recovered from it, and every message
 * that was acknowledged and not removed is looked for and compared.
 *
 * The disk is worse than any that we know: an unsynced write leaves any part of it, a name is on disk only behind
 * a sync of its folder, and of a rename the new name may be there and the old one too.  Only this it does not do: drop
 * the old name of a rename and not make the new one.
 *
 * The record without its syncs must be found out as losing mail, or the judge is blind.
 */
#undef _FORTIFY_SOURCE	/* its inline calls would stand where ours are to be */

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spool.h"

#include "alloc.h"
#include "file.h"
#include "unit.h"

#define OPS_MAX 2000
#define FILES_MAX 100
#define FDS_MAX 256
#define NAMES_MAX 400
#define SEEDS 3	/* disks by chance for each cut; `powercut NUMBER` draws others */

enum kind { WRITE, SYNC_FILE, SYNC_FOLDER, SYNC_ALL, CREATE, RENAME, UNLINK, ACK, GONE };

struct op {
	enum kind kind;
	int file;			/* of WRITE, SYNC_FILE, CREATE */
	int folder, from;		/* of names; from: of RENAME */
	char name[SPOOL_NAME_SIZE], old[SPOOL_NAME_SIZE];
	char *data;			/* WRITE: at offset off; ACK: the message */
	size_t n, off;
};

static struct op ops[OPS_MAX];
static size_t nops;
static int nfiles, recording;
static int file_of[FDS_MAX];	/* 1 and up; 0: not one of ours */
static size_t at_of[FDS_MAX];
static struct spool spool = SPOOL_INIT;
static char top[200], image[200];

/* ---- the recorder ---- */

static struct op *
record(enum kind kind)
{
	if (nops == OPS_MAX)
		abort();
	ops[nops].kind = kind;
	return &ops[nops++];
}

static int
folder_of(int fd)
{
	int i;

	for (i = 0; i < SPOOL_FOLDERS; i++)
		if (fd == spool.dir[i])
			return i;
	return -1;
}

static void
set_name(char *dst, const char *name)
{
	snprintf(dst, SPOOL_NAME_SIZE, "%s", name);
}

int
openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	struct op *op;
	int fd;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	fd = syscall(SYS_openat, dir, name, flags, mode);
	if (fd < 0 || fd >= FDS_MAX || !recording)
		return fd;
	file_of[fd] = 0;
	if (flags & O_CREAT) {
		op = record(CREATE);
		op->file = file_of[fd] = ++nfiles;
		op->folder = folder_of(dir);
		set_name(op->name, name);
		at_of[fd] = 0;
	}
	return fd;
}

static void
record_write(int fd, const void *p, size_t n, size_t off)
{
	struct op *op;

	if (!recording || fd < 0 || fd >= FDS_MAX || file_of[fd] == 0)
		return;
	op = record(WRITE);
	op->file = file_of[fd];
	op->data = xmemdup(p, n);
	op->n = n;
	op->off = off;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t done = syscall(SYS_write, fd, p, n);

	if (done > 0 && fd < FDS_MAX) {
		record_write(fd, p, done, at_of[fd]);
		at_of[fd] += done;
	}
	return done;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t done = syscall(SYS_pwrite64, fd, p, n, off);

	if (done > 0)
		record_write(fd, p, done, off);
	return done;
}

/* The committer opens the file anew: it is known by its inode. */
static int
find_file(int fd)
{
	struct stat st, other;
	size_t i;
	int folder, found = 0;

	if (fstat(fd, &st) == -1)
		return 0;
	for (i = 0; i < nops; i++)
		for (folder = 0; ops[i].kind == CREATE && folder < SPOOL_FOLDERS; folder++)
			if (fstatat(spool.dir[folder], ops[i].name, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
			    other.st_ino == st.st_ino)
				found = ops[i].file;
	return found;
}

int
fdatasync(int fd)
{
	if (recording)
		record(SYNC_FILE)->file = find_file(fd);
	return syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	int folder = folder_of(fd);

	if (recording && folder != -1)
		record(SYNC_FOLDER)->folder = folder;
	else if (recording)
		record(SYNC_FILE)->file = find_file(fd);
	return syscall(SYS_fsync, fd);
}

int
syncfs(int fd)
{
	(void)fd;
	if (recording)
		record(SYNC_ALL);
	return 0;
}

int
renameat2(int from, const char *old, int to, const char *name, unsigned flags)
{
	int rc = syscall(SYS_renameat2, from, old, to, name, flags);
	struct op *op;

	if (rc == 0 && recording) {
		op = record(RENAME);
		op->from = folder_of(from);
		op->folder = folder_of(to);
		set_name(op->old, old);
		set_name(op->name, name);
	}
	return rc;
}

int
unlinkat(int dir, const char *name, int flags)
{
	int rc = syscall(SYS_unlinkat, dir, name, flags);
	struct op *op;

	if (rc == 0 && recording) {
		op = record(UNLINK);
		op->folder = folder_of(dir);
		set_name(op->name, name);
	}
	return rc;
}

/* ---- what is recorded ---- */

static struct spool_ids ids;

static char *
body_of(const char *id, size_t *n)
{
	char *p;

	/* Some need more than one write(2). */
	*n = id[SPOOL_ID_LEN - 6] % 3 == 0 ? 150000 : 700;
	p = xmalloc(*n + 100);
	memset(p, id[SPOOL_ID_LEN - 7], *n);
	snprintf(p, 40, "Subject: %s\r\n\r", id);
	return p;
}

static void
write_one(struct spool_batch *b)
{
	struct spool_envelope e = { 0 };
	struct fail f = FAIL_INIT;
	struct spool_writer *w;
	struct timespec t;
	size_t n;
	char *body;

	clock_gettime(CLOCK_REALTIME, &t);
	spool_id_next(&ids, t.tv_sec * 1000000LL + t.tv_nsec / 1000, e.id);
	e.arrived = spool_id_time_us(e.id) / 1000000;
	e.from = xstrdup("from@example.org");
	spool_envelope_add_rcpt(&e, "a@dest.test");
	body = body_of(e.id, &n);
	w = spool_writer_begin(spool.dir[SPOOL_NEW], &e, &f);
	if (w == NULL || spool_writer_add(w, body, n, &f) == -1 || spool_writer_finish(w, &f) == -1) {
		printf("Bail out! %s\n", f.text);
		exit(1);
	}
	spool_batch_add(b, e.id, e.arrived, NULL);
	free(body);
	spool_envelope_clear(&e);
}

/* As queue.c does: whoever is ok is answered. */
static void
do_round(struct spool_batch *named, struct spool_batch *next)
{
	struct fail f = FAIL_INIT;
	size_t i;

	unit_int(spool_batch_round(&spool, named, next, &f), 0, "a round of %zu and %zu %s", named->n, next->n, f.text);
	for (i = 0; i < named->n; i++)
		if (named->item[i].ok)
			set_name(record(ACK)->name, named->item[i].name.id);
	spool_batch_clear(named);
	*named = *next;
	*next = (struct spool_batch)SPOOL_BATCH_INIT;
}

/* The first message that was acknowledged and not touched since, as its name stands in queue/. */
static void
some_name(char *file, char *id)
{
	struct fail f = FAIL_INIT;
	struct spool_scan scan;
	struct spool_name name;
	const char *s;

	file[0] = '\0';
	spool_scan_open(&scan, spool.dir[SPOOL_QUEUE], &f);
	while ((s = spool_scan_next(&scan, &f)) != NULL)
		if (spool_name_parse(s, &name) == 0 && (file[0] == '\0' || strcmp(name.id, id) < 0)) {
			set_name(file, s);
			memcpy(id, name.id, SPOOL_ID_SIZE);
		}
	spool_scan_close(&scan);
}

static void
play(void)
{
	static const size_t sizes[] = { 1, 0, 1, 2, 3, 1, 5, 2, 0, 4, 4, 0, 0, 1, 1, 2, 0 };
	struct spool_batch named = SPOOL_BATCH_INIT, next = SPOOL_BATCH_INIT;
	char file[SPOOL_NAME_SIZE], id[SPOOL_ID_SIZE] = "";
	struct spool_name name, later;
	struct fail f = FAIL_INIT;
	size_t i, k;

	recording = 1;
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (k = 0; k < sizes[i]; k++)
			write_one(&next);
		do_round(&named, &next);
	}
	some_name(file, id);
	unit_int(spool_move(&spool, SPOOL_QUEUE, SPOOL_HOLD, file, &f), 0, "one is held %s", f.text);
	unit_int(spool_move(&spool, SPOOL_HOLD, SPOOL_QUEUE, file, &f), 0, "and released %s", f.text);
	spool_name_parse(file, &name);
	later = name;
	later.due += 300;
	unit_int(spool_reschedule(&spool, SPOOL_QUEUE, &name, &later, &f), 0, "and put off %s", f.text);
	some_name(file, id);
	set_name(record(GONE)->name, id);
	unit_int(spool_remove(&spool, SPOOL_QUEUE, file, &f), 0, "one is done %s", f.text);
	write_one(&next);
	do_round(&named, &next);
	do_round(&named, &next);
	recording = 0;
}

/* ---- the disk ---- */

struct content {
	char *p;
	size_t n;
};

struct entry {
	int folder, file, there;
	char name[SPOOL_NAME_SIZE];
};

/* One change of a folder that is not on disk yet. */
struct change {
	int folder, file, add, pair;	/* pair: what a rename adds with this removal; -1 */
	char name[SPOOL_NAME_SIZE];
	int done;
};

static struct content live[FILES_MAX], durable[FILES_MAX];
static struct entry names[NAMES_MAX], seen[NAMES_MAX];	/* on disk; as the programs see it */
static size_t nnames, nseen;
static struct change pending[NAMES_MAX];
static size_t npending;

static uint32_t lots;

static uint32_t
draw(void)
{
	lots ^= lots << 13;
	lots ^= lots >> 17;
	lots ^= lots << 5;
	return lots;
}

static void
put_entry(struct entry *list, size_t *n, int folder, const char *name, int file)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (list[i].folder == folder && strcmp(list[i].name, name) == 0)
			break;
	if (i == *n && ++*n > NAMES_MAX)
		abort();
	list[i].folder = folder;
	list[i].file = file;
	list[i].there = file != 0;
	set_name(list[i].name, name);
}

static int
look_up(int folder, const char *name)
{
	size_t i;

	for (i = 0; i < nseen; i++)
		if (seen[i].there && seen[i].folder == folder && strcmp(seen[i].name, name) == 0)
			return seen[i].file;
	return 0;
}

static void
change(int folder, const char *name, int file, int pair)
{
	struct change *c = &pending[npending++];

	if (npending > NAMES_MAX)
		abort();
	*c = (struct change){ .folder = folder, .file = file, .add = file != 0, .pair = pair };
	set_name(c->name, name);
	put_entry(seen, &nseen, folder, name, file);
}

static void
make_durable(struct change *c)
{
	if (c->done)
		return;
	if (c->pair != -1)
		make_durable(&pending[c->pair]);
	put_entry(names, &nnames, c->folder, c->name, c->file);
	c->done = 1;
}

static void
copy_content(struct content *dst, const struct content *src, size_t n)
{
	if (n > src->n)
		n = src->n;
	dst->p = xreallocarray(dst->p, n + 1, 1);
	memcpy(dst->p, n > 0 ? src->p : "", n);
	dst->n = n;
}

static void
sync_everything(int folder)
{
	size_t i;
	int file;

	for (i = 0; i < npending; i++)
		if (folder == -1 || pending[i].folder == folder)
			make_durable(&pending[i]);
	for (file = 1; folder == -1 && file <= nfiles; file++)
		copy_content(&durable[file], &live[file], live[file].n);
}

static void
apply(const struct op *op, int with_syncs)
{
	struct content *c = &live[op->file];
	int file;

	switch (op->kind) {
	case WRITE:
		if (op->off + op->n > c->n) {
			c->p = xreallocarray(c->p, op->off + op->n + 1, 1);
			c->n = op->off + op->n;
		}
		memcpy(c->p + op->off, op->data, op->n);
		break;
	case SYNC_FILE:
		if (with_syncs)
			copy_content(&durable[op->file], c, c->n);
		break;
	case SYNC_FOLDER:
	case SYNC_ALL:
		if (with_syncs)
			sync_everything(op->kind == SYNC_ALL ? -1 : op->folder);
		break;
	case CREATE:
		change(op->folder, op->name, op->file, -1);
		break;
	case RENAME:
		file = look_up(op->from, op->old);
		change(op->folder, op->name, file, -1);
		change(op->from, op->old, 0, npending - 1);
		break;
	case UNLINK:
		change(op->folder, op->name, 0, -1);
		break;
	case ACK:
	case GONE:
		break;
	}
}

static void
clear_disk(void)
{
	int i;

	for (i = 0; i < FILES_MAX; i++)
		live[i].n = durable[i].n = 0;
	nnames = nseen = npending = 0;
}

enum luck { NOTHING_MORE, NAMES_ONLY, EVERYTHING, CHANCE };

/* What of the unsynced reached the disk after all. */
static void
let_some_through(enum luck luck)
{
	size_t i;
	int file;

	for (i = 0; i < npending; i++)
		if (luck != NOTHING_MORE && (luck != CHANCE || draw() % 2))
			make_durable(&pending[i]);
	for (file = 1; file <= nfiles; file++)
		if (luck == EVERYTHING || (luck == CHANCE && live[file].n > durable[file].n && draw() % 2))
			copy_content(&durable[file], &live[file],
			    luck == CHANCE ? durable[file].n + draw() % (live[file].n - durable[file].n + 1) : live[file].n);
}

static void
empty_folder(int dir)
{
	struct fail f = FAIL_INIT;
	struct spool_scan scan;
	const char *name;

	spool_scan_open(&scan, dir, &f);
	while ((name = spool_scan_next(&scan, &f)) != NULL)
		unlinkat(dir, name, 0);
	spool_scan_close(&scan);
}

static void
write_disk(const struct spool *s)
{
	size_t i;
	int fd;

	for (i = 0; i < SPOOL_FOLDERS; i++)
		empty_folder(s->dir[i]);
	for (i = 0; i < nnames; i++) {
		const struct content *c = &durable[names[i].file];

		if (!names[i].there)
			continue;
		fd = openat(s->dir[names[i].folder], names[i].name, O_WRONLY | O_CREAT | O_TRUNC, 0660);
		if (fd == -1 || write(fd, c->p, c->n) != (ssize_t)c->n)
			abort();
		close(fd);
	}
}

/* ---- the judge ---- */

struct found {
	struct spool *s;
	char id[FILES_MAX][SPOOL_ID_SIZE];
	size_t n, damaged;
};

static int
is_whole(const struct spool *s, enum spool_folder folder, const char *file, const char *id)
{
	struct spool_message m;
	struct fail f = FAIL_INIT;
	size_t n;
	char *body, *got;
	int ok;

	if (spool_read(s->dir[folder], file, SPOOL_VERIFY, &m, &f) == -1)
		return 0;
	body = body_of(id, &n);
	got = xmalloc(n + 1);
	ok = m.size == (int64_t)n && spool_message_pread(&m, got, n, 0, &f) == (ssize_t)n &&
	    memcmp(got, body, n) == 0 && m.env.nrcpts == 1 && strcmp(m.env.rcpt[0].address, "a@dest.test") == 0;
	free(body);
	free(got);
	spool_message_clear(&m);
	return ok;
}

static void
on_found(void *arg, enum spool_folder folder, const struct spool_name *name)
{
	struct found *found = arg;
	char file[SPOOL_NAME_SIZE];

	spool_name_format(file, name);
	if (!is_whole(found->s, folder, file, name->id))
		found->damaged++;
	else if (found->n < FILES_MAX)
		memcpy(found->id[found->n++], name->id, SPOOL_ID_SIZE);
}

static int
was_found(const struct found *found, const char *id)
{
	size_t i;

	for (i = 0; i < found->n; i++)
		if (strcmp(found->id[i], id) == 0)
			return 1;
	return 0;
}

static int
was_done(const char *id, size_t cut)
{
	size_t i;

	for (i = 0; i < cut; i++)
		if (ops[i].kind == GONE && strcmp(ops[i].name, id) == 0)
			return 1;
	return 0;
}

/* The power goes behind so many steps.  Returns how many messages are lost or damaged. */
static size_t
cut_at(size_t cut, enum luck luck, int with_syncs, size_t *acked)
{
	struct spool s = SPOOL_INIT;
	struct spool_recovered got;
	struct found found = { .s = &s };
	struct fail f = FAIL_INIT;
	size_t i, lost = 0;

	clear_disk();
	for (i = 0; i < cut; i++)
		apply(&ops[i], with_syncs);
	let_some_through(luck);
	if (spool_open(&s, image, &f) == -1)
		abort();
	write_disk(&s);
	if (spool_recover(&s, 0, on_found, NULL, &found, &got, &f) == -1)
		lost++;
	for (i = 0; i < cut; i++)
		if (ops[i].kind == ACK && !was_done(ops[i].name, cut)) {
			lost += !was_found(&found, ops[i].name);
			++*acked;
		}
	/* Data before names: what stands in queue/ is whole, acknowledged or not. */
	lost += found.damaged + got.set_aside;
	spool_close(&s);
	return lost;
}

static size_t
cut_everywhere(int with_syncs, size_t *acked)
{
	size_t cut, lost = 0;
	int seed;

	for (cut = 0; cut <= nops; cut++) {
		lost += cut_at(cut, NOTHING_MORE, with_syncs, acked);
		lost += cut_at(cut, EVERYTHING, with_syncs, acked);
		if (with_syncs)
			lost += cut_at(cut, NAMES_ONLY, with_syncs, acked);
		for (seed = 0; with_syncs && seed < SEEDS; seed++)
			lost += cut_at(cut, CHANCE, with_syncs, acked);
		if (lost > 0 && with_syncs) {
			printf("# first loss: cut behind step %zu, a %d\n", cut, cut > 0 ? (int)ops[cut - 1].kind : -1);
			break;
		}
	}
	return lost;
}

static size_t
count_ops(enum kind kind)
{
	size_t i, n = 0;

	for (i = 0; i < nops; i++)
		n += ops[i].kind == kind;
	return n;
}

int
main(int argc, char **argv)
{
	struct fail f = FAIL_INIT;
	size_t acked = 0, i;

	lots = argc > 1 ? strtoul(argv[1], NULL, 10) | 1 : 2463534242U;
	snprintf(top, sizeof top, "/dev/shm/powercut-XXXXXX");
	if (mkdtemp(top) == NULL)
		return 2;
	snprintf(image, sizeof image, "%.150s/image", top);
	spool_ids_init(&ids, 7);
	if (spool_make(image, geteuid(), geteuid(), getegid(), &f) == -1)
		return 2;
	snprintf(top + strlen(top), 10, "/live");
	if (spool_make(top, geteuid(), geteuid(), getegid(), &f) == -1 || spool_open(&spool, top, &f) == -1)
		return 2;
	play();
	unit_int(count_ops(ACK), 28, "all are acknowledged");
	unit_int(count_ops(SYNC_ALL) > 0 && count_ops(SYNC_FILE) > 0 && count_ops(SYNC_FOLDER) > 0, 1,
	    "%zu steps, with each kind of sync", nops);
	unit_int(cut_everywhere(1, &acked), 0, "nothing acknowledged is lost, nothing in queue is damaged");
	unit_int(acked > nops, 1, "%zu messages were looked for", acked);
	unit_int(cut_everywhere(0, &acked) > 100, 1, "without the syncs it would be");
	for (i = 0; i < nops; i++)
		free(ops[i].data);
	spool_close(&spool);
	*strrchr(top, '/') = '\0';
	unit_int(file_remove_tree(top, &f), 0, "the end %s", f.text);
	return unit_done();
}
