#include "sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

int
sandbox_tool(struct fail *f)
{
	struct rlimit none = { 0, 0 };

	umask(077);
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return fail_errno(f, "setrlimit");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return fail_errno(f, "prctl");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return fail_errno(f, "prctl");
	return 0;
}

int
sandbox_user_find(const char *name, struct sandbox_user *u, struct fail *f)
{
	const struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(name)) == NULL) {
		if (errno != 0 && errno != ENOENT)
			return fail_errno(f, "user %.100s", name);
		return fail(f, FAIL_INPUT, "no user \"%.100s\" on this system", name);
	}
	if (pw->pw_uid == 0)
		return fail(f, FAIL_INPUT, "user \"%.100s\" is root, which no role may be", name);
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	return 0;
}

int
sandbox_enter(const char *root, const struct sandbox_user *u, struct fail *f)
{
	if (root != NULL && (chroot(root) == -1 || chdir("/") == -1))
		return fail_errno(f, "%.300s", root);
	if (setgroups(0, NULL) == -1 || setresgid(u->gid, u->gid, u->gid) == -1 ||
	    setresuid(u->uid, u->uid, u->uid) == -1)
		return fail_errno(f, "changing the user");
	/* It must not be possible to go back. */
	if (setuid(0) != -1 || seteuid(0) != -1)
		return fail(f, FAIL_SYS, "changing the user: the process could become root again");
	/* A change of user sets this to what fs.suid_dumpable says, see proc_sys_fs(5). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return fail_errno(f, "prctl");
	return 0;
}
