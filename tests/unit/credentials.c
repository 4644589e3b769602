/* The file of passwords at next hops: its lines, its owner and mode; no word of a password in what is said of it. */
#include "credentials.h"

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void
test_lines(void)
{
	static const char text[] = "# ours\nisp me@isp.test se%20cr%25t\nother bob hush\n";
	static const char *const bad[] = { "isp me\n", "isp me a b\n", "isp me %zz\n", "isp me a\nisp me b\n", "isp \"\" a\n",
		"isp me \"\"\n", "../x me a\n", "isp me " LONG LONG LONG LONG "\n" };
	struct fail f = FAIL_INIT;
	struct credentials *c = credentials_parse("f", text, strlen(text), &f), *again;
	const struct credential *one;
	struct buf b = BUF_INIT;
	size_t i;

	unit_ok(c != NULL, "lines that are right: %s", f.text);
	one = credentials_find(c, "isp");
	unit_str(one->user, "me@isp.test", "the user");
	unit_str(one->password, "se cr%t", "the password");
	unit_ok(credentials_find(c, "is") == NULL, "no other name");
	credentials_print(&b, c);
	again = credentials_parse("f", b.p, b.len, &f);
	unit_str(credentials_find(again, "isp")->password, "se cr%t", "printed and read again");
	buf_wipe(&b);
	credentials_free(again);
	credentials_free(c);
	credentials_free(NULL);
	c = credentials_parse("f", "", 0, &f);
	unit_ok(c != NULL && credentials_find(c, "isp") == NULL, "none");
	credentials_free(c);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		f = (struct fail)FAIL_INIT;
		unit_ok(credentials_parse("f", bad[i], strlen(bad[i]), &f) == NULL && f.kind == FAIL_INPUT &&
		    strstr(f.text, "expected NAME USER PASSWORD") != NULL && strstr(f.text, LONG) == NULL, "row %zu: %s", i,
		    f.text);
	}
}

static void
test_mode(void)
{
	static const struct {
		mode_t mode;
		int good;
	} rows[] = { { 0600, 1 }, { 0640, 1 }, { 0400, 1 }, { 0440, 1 }, { 0644, 0 }, { 0660, 0 }, { 0700, 0 }, { 0604, 0 },
		{ 04600, 0 } };
	char path[] = "/tmp/credentials-XXXXXX";
	int fd = mkstemp(path);
	struct credentials *c;
	struct fail f;
	size_t i;

	unit_int(write(fd, "isp me x\n", 9), 9, "a file");
	close(fd);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		f = (struct fail)FAIL_INIT;
		chmod(path, rows[i].mode);
		c = credentials_read(path, &f);
		unit_int(c != NULL, rows[i].good, "mode 0%o: %s", (unsigned)rows[i].mode, f.text);
		credentials_free(c);
	}
	if (geteuid() == 0) {
		f = (struct fail)FAIL_INIT;
		unit_int(chmod(path, 0600) | chown(path, 65534, 0), 0, "a file of another");
		unit_ok(credentials_read(path, &f) == NULL && f.kind == FAIL_POLICY, "is refused: %s", f.text);
	}
	unlink(path);
	f = (struct fail)FAIL_INIT;
	unit_ok(credentials_read(path, &f) == NULL && f.kind == FAIL_SYS, "no file: %s", f.text);
	unit_ok(credentials_read("/dev/null", &f) == NULL, "a device: %s", f.text);
}

int
main(void)
{
	test_lines();
	test_mode();
	return unit_done();
}
