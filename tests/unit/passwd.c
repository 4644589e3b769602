/* Files of users in rows; a password's way into a hash and back. */
#include "passwd.h"

#include <sys/stat.h>

#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "unit.h"

/* Of "good", with a cheap setting. */
#define GOOD "$6$rounds=1000$ab$ZWlJ1lbP3aYQ9xgVMeoYl2EYkJUn8lUVIPuBY5S3JpgnUJkz2oKGK5LeqUxOT3HFCXTyXQrhy.kOjQSLuXSEN1"

static char dir[] = "/tmp/passwd.XXXXXX", *path;

static void
collect(void *arg, const char *file, unsigned line, const char *text)
{
	(void)file;
	buf_printf(arg, "%u: %s\n", line, text);
}

static void
reads(const char *name, const char *text, size_t users, const char *errors)
{
	struct buf told = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct passwd_db *db;

	file_write(path, 0600, FILE_REPLACE, text, strlen(text), &f);
	db = passwd_read(path, collect, &told, &f);
	unit_ok((db != NULL) == (errors == NULL), "%s: read or refused", name);
	if (db != NULL)
		unit_int(passwd_count(db), users, "users");
	else
		unit_str(told.p, errors, "and why");
	passwd_free(db);
	buf_clear(&told);
}

static void
test_read(void)
{
	reads("empty", "", 0, NULL);
	reads("three users", "# nobody\n\nann " GOOD "\nbob@example.org *locked\nc%20d " GOOD "\r\n", 3, NULL);
	reads("errors", "ann " GOOD "\nann !\nbob plain\ncarol\n", 0,
	    "3: expected a hash of crypt(5), such as $y$...\n4: carol: expected 1 value, found 0\n"
	    "2: user \"ann\" has two lines\n");
	reads("method", "ann $9$nonsense\n", 0, "1: expected a hash of crypt(5), such as $y$...\n");
	reads("line end", "a%0Ab " GOOD "\n", 0, "1: expected a user's name of 1 to 255 octets of UTF-8\n");
}

static void
test_hash(void)
{
	char hash[PASSWD_HASH_MAX], again[PASSWD_HASH_MAX], *text;
	struct passwd_db *db;
	struct fail f = FAIL_INIT;
	int had;

	unit_int(passwd_hash("s3cret \xc3\xa9", hash, &f), 0, "a hash");
	unit_int(passwd_hash("s3cret \xc3\xa9", again, &f), 0, "another");
	unit_ok(strncmp(hash, "$y$", 3) == 0 && strcmp(hash, again) != 0, "yescrypt, each with a salt of its own");
	unit_int(passwd_hash("", hash, &f), -1, "no empty password");
	text = xasprintf("# kept\nold %s\nlocked *\n", GOOD);
	file_write(path, 0644, FILE_REPLACE, text, strlen(text), NULL);
	free(text);
	unit_ok(passwd_set(path, "new user", again, &had, &f) == 0 && !had, "one more user: %s", f.text);
	unit_ok(passwd_set(path, "old", again, &had, &f) == 0 && had, "another password");
	db = passwd_read(path, NULL, NULL, &f);
	unit_ok(db != NULL && passwd_count(db) == 3, "three users");
	unit_int(passwd_check(db, "new user", "s3cret \xc3\xa9"), 1, "the password");
	unit_int(passwd_check(db, "old", "s3cret \xc3\xa9"), 1, "of the other too");
	unit_int(passwd_check(db, "old", "s3cret"), 0, "a part of it");
	unit_int(passwd_check(db, "nobody", "nobody's"), 0, "an unknown user");
	unit_int(passwd_check(db, "locked", ""), 0, "one without a password");
	passwd_free(db);
	unit_ok(passwd_set(path, "old", NULL, &had, &f) == 0 && had, "taken away");
	unit_ok(passwd_set(path, "old", NULL, &had, &f) == 0 && !had, "once");
	unit_int(passwd_set(path, "", again, &had, &f), -1, "no empty name");
}

static void
test_file(void)
{
	struct buf b = BUF_INIT;
	struct stat st;
	struct fail f = FAIL_INIT;
	int had;

	unit_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "mode 0600, whatever it was");
	unit_ok(file_read(path, 0, &b, &f) == 0 && strncmp(b.p, "# kept\n", 7) == 0, "comments stay");
	buf_clear(&b);
	file_write(path, 0600, FILE_REPLACE, "broken\n", 7, NULL);
	unit_int(passwd_set(path, "a", GOOD, &had, &f), -1, "a file with errors is not written anew");
	unit_ok(file_read(path, 0, &b, NULL) == 0 && strcmp(b.p, "broken\n") == 0, "but left as it is");
	buf_clear(&b);
	unlink(path);
	unit_int(passwd_set(path, "a", GOOD, &had, &f), 0, "an absent one is made");
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	path = file_join(dir, "passwd");
	test_read();
	test_hash();
	test_file();
	file_remove_tree(dir, NULL);
	free(path);
	return unit_done();
}
