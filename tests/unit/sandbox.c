#include "sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

static char inside[] = "/tmp/mtatls-inside.XXXXXX", outside[] = "/tmp/mtatls-outside.XXXXXX";

/* The first of the things that should be so and is not; 0: all is so. */
static int
confined(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct fail f = FAIL_INIT;
	int before = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char path[200], other[200];

	if (sandbox_tool(&f) == -1 || sandbox_confine(inside, &f) != 1)
		return 1;
	snprintf(path, sizeof path, "%s/a", inside);
	snprintf(other, sizeof other, "%s/sub/b", inside);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) == -1 || write(fd, "x", 1) != 1 || close(fd) == -1)
		return 2;
	if (rename(path, other) == -1 || access(other, F_OK) == -1 || unlink(other) == -1)
		return 3;
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/s", inside);
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 || bind(fd, (struct sockaddr *)&sun, sizeof sun) == -1 ||
	    unlink(sun.sun_path) == -1)
		return 4;
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 5;
	snprintf(other, sizeof other, "%s/a", outside);
	if (open(other, O_WRONLY | O_CREAT, 0600) != -1 || errno != EACCES)
		return 6;
	/* Nor through what was open before. */
	if (before == -1 || openat(before, "there", O_RDONLY) != -1 || errno != EACCES)
		return 7;
	if (unlinkat(before, "there", 0) != -1 || errno != EACCES)
		return 8;
	if (symlink("/etc/passwd", path) != -1 || errno != EACCES)
		return 9;
	return 0;
}

static void
test_confine(void)
{
	struct fail f = FAIL_INIT;
	char path[200];
	int status = 0;
	pid_t pid;

	if (!sandbox_confinable()) {
		unit_int(sandbox_confine("/", &f), 0, "no Landlock: nothing is done");
		return;
	}
	if (mkdtemp(inside) == NULL || mkdtemp(outside) == NULL) {
		perror("mkdtemp");
		exit(1);
	}
	snprintf(path, sizeof path, "%s/sub", inside);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/there", outside);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	if ((pid = fork()) == 0)
		_exit(confined());
	unit_ok(pid != -1 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "a process that is confined ends");
	unit_int(WEXITSTATUS(status), 0, "it sees its folder, and nothing else");
	unit_int(sandbox_confine("/nowhere/at/all", &f), -1, "no such folder");
	unlink(path);
	rmdir(outside);
	snprintf(path, sizeof path, "%s/sub", inside);
	rmdir(path);
	rmdir(inside);
}

int
main(void)
{
	struct fail f = FAIL_INIT;
	struct rlimit core;

	umask(0);
	unit_int(sandbox_tool(&f), 0, "sandbox_tool");
	unit_int(umask(0), 077, "umask");
	unit_ok(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0,
	    "no core");
	unit_int(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0, "not even into a pipe");
	unit_int(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1, "no new privileges");
	unit_int(sandbox_tool(&f), 0, "twice does no harm");
	test_confine();
	return unit_done();
}
