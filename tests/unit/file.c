#include "file.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "capture.h"
#include "unit.h"

static char dir[] = "/tmp/unit-file-XXXXXX";

/* dir/name in one of two static buffers. */
static const char *
at(const char *name)
{
	static char path[2][300];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
	return path[turn];
}

/* How many names are in the directory, `.` and `..` left out. */
static int
names(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void
holds(const char *path, const char *want, mode_t mode, const char *what)
{
	struct buf b = BUF_INIT;
	struct stat st;

	unit_int(file_read(path, 0, &b, NULL), 0, "%s: is there", what);
	unit_str(b.p, want, "%s: content", what);
	unit_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == mode, "%s: mode %o", what, mode);
	buf_clear(&b);
}

static void
test_write(void)
{
	struct fail f = FAIL_INIT;

	umask(077);
	unit_int(file_write(at("a"), 0644, 0, "one", 3, &f), 0, "written");
	holds(at("a"), "one", 0644, "whatever the umask");
	unit_int(file_write(at("a"), 0600, 0, "two", 3, &f), -1, "not replaced");
	unit_int(f.kind, FAIL_POLICY, "%s", f.text);
	holds(at("a"), "one", 0644, "not replaced");
	unit_int(file_write(at("a"), 0600, FILE_REPLACE, "two", 3, &f), 0, "replaced");
	holds(at("a"), "two", 0600, "replaced");
	unit_int(file_write(at("empty"), 0600, FILE_REPLACE, NULL, 0, &f), 0, "nothing written");
	holds(at("empty"), "", 0600, "nothing written");
	unit_int(names(dir), 2, "nothing else is left");

	unit_int(file_write(at("no/such"), 0600, 0, "x", 1, &f), -1, "no such directory");
	unit_int(f.err, ENOENT, "%s", f.text);
	mkdir(at("d"), 0700);
	unit_int(file_write(at("d"), 0600, FILE_REPLACE, "x", 1, &f), -1, "a directory in the way");
	unit_int(f.kind, FAIL_SYS, "%s", f.text);
	unit_int(names(dir), 3, "leaves nothing behind");
	rmdir(at("d"));
}

static void
test_stdout(void)
{
	struct fail f = FAIL_INIT;
	int old = capture_begin(STDOUT_FILENO), rc;

	printf("before ");
	rc = file_write_or_stdout("-", 0600, 0, "to stdout", 9, &f);
	unit_str(capture_end(STDOUT_FILENO, old), "before to stdout", "- is stdout, in order");
	unit_int(rc, 0, "and done");
	unit_int(file_write_or_stdout(at("b"), 0600, 0, "file", 4, &f), 0, "else a file");
	holds(at("b"), "file", 0600, "else a file");
}

/* A path that a user names may be more than a file. */
static void
test_named(void)
{
	struct fail f = FAIL_INIT;
	struct stat st;
	char got[16] = "";
	int fd;

	mkdir(at("n"), 0700);
	mkdir(at("n/sub"), 0700);
	mkfifo(at("n/fifo"), 0600);
	fd = open(at("n/fifo"), O_RDWR);
	unit_int(file_write_or_stdout(at("n/fifo"), 0600, 0, "one", 3, &f), 0, "a FIFO");
	unit_int(read(fd, got, sizeof got), 3, "has the bytes");
	(void)!symlink("fifo", at("n/to-fifo"));
	unit_int(file_write_or_stdout(at("n/to-fifo"), 0600, FILE_REPLACE, "two", 3, &f), 0,
	    "a link to a FIFO");
	unit_int(read(fd, got, sizeof got), 3, "has the bytes");
	unit_ok(lstat(at("n/fifo"), &st) == 0 && S_ISFIFO(st.st_mode), "and is one still");
	close(fd);
	unit_int(file_write_or_stdout("/dev/full", 0600, 0, "x", 1, &f), -1, "a device");
	unit_int(f.err, ENOSPC, "which says %s", f.text);
	unit_int(file_write_or_stdout(at("n/sub"), 0600, FILE_REPLACE, "x", 1, &f), -1, "a directory");
	unit_int(f.err, EISDIR, "%s", f.text);

	(void)!symlink("sub/file", at("n/a"));
	(void)!symlink("../a", at("n/sub/b"));
	unit_int(file_write_or_stdout(at("n/sub/b"), 0600, 0, "x", 1, &f), -1, "a dangling link");
	unit_int(f.kind, FAIL_POLICY, "%s", f.text);
	unit_int(file_write_or_stdout(at("n/sub/b"), 0600, FILE_REPLACE, "one", 3, &f), 0,
	    "its end is made");
	holds(at("n/sub/file"), "one", 0600, "the end of two links");
	unit_int(file_write_or_stdout(at("n/sub/b"), 0600, 0, "x", 1, &f), -1, "not replaced");
	unit_int(f.kind, FAIL_POLICY, "%s", f.text);
	unit_int(file_write_or_stdout(at("n/sub/b"), 0600, FILE_REPLACE, "two", 3, &f), 0,
	    "its end is replaced");
	holds(at("n/sub/file"), "two", 0600, "the end of two links");
	unit_ok(lstat(at("n/a"), &st) == 0 && S_ISLNK(st.st_mode), "the links stay");
	unit_ok(lstat(at("n/sub/b"), &st) == 0 && S_ISLNK(st.st_mode), "both");
	unit_int(names(at("n/sub")), 2, "nothing else is left");
	(void)!symlink("loop", at("n/loop"));
	unit_int(file_write_or_stdout(at("n/loop"), 0600, FILE_REPLACE, "x", 1, &f), -1, "a loop");
	unit_int(f.err, ELOOP, "%s", f.text);
	file_remove_tree(at("n"), NULL);
}

static void
test_read(void)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	int fd, pair[2];

	unit_int(file_read(at("none"), 0, &b, &f), -1, "absent");
	unit_int(f.err, ENOENT, "%s", f.text);
	unit_int(file_read(dir, 0, &b, &f), -1, "a directory");
	unit_int(f.err, EISDIR, "%s", f.text);
	file_write(at("c"), 0600, FILE_REPLACE, "a\0b", 3, NULL);
	unit_int(file_read(at("c"), 3, &b, &f), 0, "as large as may be");
	unit_ok(b.len == 3 && memcmp(b.p, "a\0b", 4) == 0, "NUL and all");
	unit_int(file_read(at("c"), 2, &b, &f), -1, "larger");
	unit_int(f.kind, FAIL_INPUT, "%s", f.text);
	unit_ok(b.p == NULL, "nothing is left in the buffer");
	unit_int(file_read_regular(at("c"), 0, &b, &f), 0, "a regular file");
	unit_int(b.len, 3, "all of it");
	mkfifo(at("fifo"), 0600);
	unit_int(file_read_regular(at("fifo"), 0, &b, &f), -1, "a FIFO that nobody writes into");
	unit_ok(f.kind == FAIL_INPUT && strstr(f.text, "not a regular file") != NULL, "%s", f.text);
	unit_int(file_read_regular("/dev/zero", 0, &b, &f), -1, "a device");
	unit_ok(strcmp(f.text, "/dev/zero: not a regular file") == 0, "%s", f.text);
	unit_int(file_read_regular(dir, 0, &b, &f), -1, "a directory");
	unit_int(f.err, EISDIR, "%s", f.text);
	unlink(at("fifo"));
	fd = open(at("c"), O_RDONLY);
	dup2(fd, STDIN_FILENO);
	close(fd);
	unit_int(file_read("-", 0, &b, &f), 0, "- is stdin");
	unit_int(b.len, 3, "all of it");
	unit_int(file_read("-", 1, &b, &f), 0, "and at its end nothing");
	unit_str(b.p, "", "as an empty string");
	lseek(STDIN_FILENO, 0, SEEK_SET);
	unit_int(file_read_regular("-", 0, &b, &f), 0, "- is stdin");
	unit_int(b.len, 3, "all of it");
	if (pipe(pair) == 0 && write(pair[1], "pq", 2) == 2 && dup2(pair[0], STDIN_FILENO) == STDIN_FILENO)
		close(pair[1]);
	unit_int(file_read_regular("/dev/stdin", 0, &b, &f), 0, "as is /dev/stdin, a pipe too");
	unit_int(b.len, 2, "all of it");
	close(pair[0]);
	buf_clear(&b);
}

static void
test_directories(void)
{
	struct fail f = FAIL_INIT;
	struct stat st;

	unit_int(file_mkdir(at("x/y/z"), 0700, &f), 0, "with parents");
	unit_ok(stat(at("x/y/z"), &st) == 0 && S_ISDIR(st.st_mode), "there");
	unit_int(file_mkdir(at("x/y/z"), 0700, &f), 0, "again");
	unit_int(file_mkdir(at("x/y/"), 0700, &f), 0, "with a slash behind");
	file_write(at("x/f"), 0600, 0, "", 0, NULL);
	unit_int(file_mkdir(at("x/f"), 0700, &f), -1, "a file in the way");
	unit_int(f.err, ENOTDIR, "%s", f.text);
	unit_int(file_mkdir(at("x/f/g"), 0700, &f), -1, "a file for a parent");
	unit_int(file_sync_dir(at("x"), &f), 0, "synced");
	unit_int(file_sync_dir(at("none"), &f), -1, "no such directory: %s", f.text);
}

static void
test_links(void)
{
	struct fail f = FAIL_INIT;
	char target[64] = "";

	unit_int(file_symlink("one", at("x/link"), &f), 0, "made");
	unit_int(file_symlink("two", at("x/link"), &f), 0, "swapped");
	unit_ok(readlink(at("x/link"), target, sizeof target - 1) == 3, "there");
	unit_str(target, "two", "with the new target");
	unit_int(names(at("x")), 3, "nothing else is left");
	unit_int(file_symlink("one", at("none/link"), &f), -1, "no such directory: %s", f.text);
	unit_int(file_symlink("one", at("x/y"), &f), -1, "a directory in the way: %s", f.text);
	unit_int(names(at("x")), 3, "leaves nothing behind");
}

static void
test_remove(void)
{
	struct fail f = FAIL_INIT;
	struct stat st;

	file_mkdir(at("victim"), 0700, NULL);
	file_write(at("victim/file"), 0600, 0, "x", 1, NULL);
	unlink(at("x/link"));
	(void)!symlink("../victim", at("x/link"));
	unit_int(file_remove_tree(at("x"), &f), 0, "removed");
	unit_ok(stat(at("x"), &st) == -1 && errno == ENOENT, "gone");
	unit_ok(stat(at("victim/file"), &st) == 0, "no link was followed");
	unit_int(file_remove_tree(at("x"), &f), 0, "absent is success");
	unit_int(file_remove_tree(at("victim/file"), &f), 0, "a file is a small tree");
	unit_int(names(at("victim")), 0, "gone too");
}

static void
test_put(void)
{
	struct fail f = FAIL_INIT;
	int fd = open("/dev/full", O_WRONLY);
	char *s;

	unit_int(file_put(fd, "x", 1, "disk", &f), -1, "a full disk is noticed");
	unit_int(f.err, ENOSPC, "%s", f.text);
	close(fd);
	s = file_join("/a", "b");
	unit_str(s, "/a/b", "joined");
	free(s);
	s = file_join("/", "b");
	unit_str(s, "/b", "no second slash");
	free(s);
	s = file_join("", "b");
	unit_str(s, "/b", "nothing and a name");
	free(s);
}

/* Whoever may write to the folder has put a FIFO in the place of the key's file. */
static void
test_strange_fifo(void)
{
	struct fail f = FAIL_INIT;
	char got[8];
	int fd;

	if (geteuid() != 0)
		return;
	mkfifo(at("strange"), 0666);
	unit_int(chown(at("strange"), 65534, 65534), 0, "a FIFO of nobody's");
	fd = open(at("strange"), O_RDWR | O_NONBLOCK);
	unit_int(file_write_or_stdout(at("strange"), 0600, 0, "key", 3, &f), -1, "a secret does not go there");
	unit_int(f.kind, FAIL_POLICY, "as a rule says");
	unit_int(read(fd, got, sizeof got), -1, "nothing came");
	unit_int(file_write_or_stdout(at("strange"), 0644, 0, "cert", 4, &f), 0, "what all may read does");
	unit_int(read(fd, got, sizeof got), 4, "and comes");
	unit_int(file_write_or_stdout(at("strange"), 0600, FILE_REPLACE, "key", 3, &f), 0, "so does one by force");
	unit_int(read(fd, got, sizeof got), 3, "and comes");
	close(fd);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	test_write();
	test_stdout();
	test_named();
	test_read();
	test_directories();
	test_links();
	test_strange_fifo();
	test_remove();
	test_put();
	unit_int(file_remove_tree(dir, NULL), 0, "cleaned up");
	return unit_done();
}
