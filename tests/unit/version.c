#include "version.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "unit.h"

static char *dir;

static int
exists(const char *sub)
{
	char *path = file_join(dir, sub);
	struct stat st;
	int yes = lstat(path, &st) == 0;

	free(path);
	return yes;
}

static int
store(const char *root, const char *name, const char *text, unsigned flags, struct fail *f)
{
	const struct version_file v = { "file", 0600, text, strlen(text) };

	return version_store(root, name, &v, 1, flags, NULL, f);
}

static void
check_text(const char *root, const char *name, const char *want)
{
	char *version = version_current(root, name), *folder = version_folder(root, name, version);
	char *path = file_join(folder, "file");
	struct buf b = BUF_INIT;

	unit_int(file_read(path, 100, &b, NULL), 0, "%s is read", name);
	unit_str(b.p, want, "and has this in it");
	buf_clear(&b);
	free(path);
	free(folder);
	free(version);
}

static void
test_change(void)
{
	char *root = file_join(dir, "r"), *version;
	struct fail f = FAIL_INIT;

	unit_ok(version_current(root, "a") == NULL, "nothing there");
	unit_int(store(root, "a", "one", 0, &f), 0, "stored");
	unit_int(store(root, "a", "two", 0, &f), -1, "a name that is taken");
	unit_int(f.kind, FAIL_POLICY, "is a rule's refusal");
	unit_int(store(root, "a", "two", VERSION_REPLACE, &f), 0, "unless it may be replaced");
	check_text(root, "a", "two");
	version = version_current(root, "a");
	unit_str(version, ".versions/a/2", "by a number that grows");
	free(version);
	unit_int(store(root, "a", "three", VERSION_REPLACE | VERSION_AMEND, &f), 0, "amended");
	unit_int(version_rollback(root, "a", ".versions/a/99", &f), -1, "the version before is another by now");
	unit_int(f.kind, FAIL_POLICY, "a rule refuses");
	f = (struct fail)FAIL_INIT;
	unit_int(version_rollback(root, "a", NULL, &f), 0, "rolled back");
	check_text(root, "a", "one");
	unit_int(version_rename(root, "a", "b", &f), 0, "renamed");
	check_text(root, "b", "one");
	unit_ok(!exists("r/a") && !exists("r/.versions/a"), "and the old name is gone");
	unit_int(version_rollback(root, "b", NULL, &f), 0, "the version before went along");
	check_text(root, "b", "three");
	unit_int(version_remove(root, "b", &f), 0, "removed");
	unit_ok(!exists("r/b") && !exists("r/.versions/b"), "with all its versions");
	free(root);
}

/* Of two versions that are copied to a new name the second cannot be read. */
static void
test_rename_fails(void)
{
	char *root = file_join(dir, "s"), *odd = file_join(dir, "s/.versions/a/2/odd");
	struct fail f = FAIL_INIT;

	store(root, "a", "one", 0, NULL);
	store(root, "a", "two", VERSION_REPLACE, NULL);
	unit_int(mkdir(odd, 0700), 0, "a folder in the place of a file");
	unit_int(version_rename(root, "a", "b", &f), -1, "cannot be copied");
	unit_ok(!exists("s/b") && !exists("s/.versions/b"), "and nothing is left of the new name");
	check_text(root, "a", "two");
	free(odd);
	free(root);
}

/* A store that fails removes what it made; one that waits for it has what it needs all the same. */
static void
test_undo_beside(void)
{
	enum { ROUNDS = 60, OTHERS = 3 };
	int i, n, status, bad = 0;
	struct fail f = FAIL_INIT;

	for (n = 0; n < ROUNDS; n++) {
		char *root = xasprintf("%s/t%d/certs", dir, n), *link = xasprintf("t%d/certs/good", n);

		for (i = 0; i < OTHERS; i++)
			if (fork() == 0) {
				const struct version_file v = { "no/such", 0600, "", 0 };

				_exit(version_store(root, "bad", &v, 1, 0, NULL, NULL) == -1 ? 0 : 1);
			}
		if (store(root, "good", "text", 0, &f) == -1)
			bad++;
		for (i = 0; i < OTHERS; i++)
			if (wait(&status) == -1 || status != 0)
				bad++;
		if (!exists(link))
			bad++;
		free(link);
		free(root);
	}
	unit_int(bad, 0, "stores beside others that fail (%s)", f.text);
}

int
main(void)
{
	char template[] = "/tmp/mtatls-unit-XXXXXX";

	umask(022);
	if ((dir = mkdtemp(template)) == NULL)
		return 1;
	test_change();
	test_rename_fails();
	test_undo_beside();
	unit_int(file_remove_tree(dir, NULL), 0, "cleaned up");
	return unit_done();
}
