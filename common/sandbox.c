#include "sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Since version 2; in the one before it, a rename from folder to folder always fails. */
#define LANDLOCK_RENAMES 2
/* Whatever can be done with files but to run them. */
#define ALL_BUT_RUN                                                                                             \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |             \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |       \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER)
#define NEVER                                                                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |             \
	    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)

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

int
sandbox_confinable(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= LANDLOCK_RENAMES;
}

int
sandbox_confine(const char *root, struct fail *f)
{
	struct landlock_ruleset_attr rules = { .handled_access_fs = ALL_BUT_RUN | NEVER };
	struct landlock_path_beneath_attr beneath = { .allowed_access = ALL_BUT_RUN, .parent_fd = -1 };
	int set, rc = -1;

	if (!sandbox_confinable())
		return 0;
	if ((set = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0)) == -1)
		return fail_errno(f, "landlock");
	if ((beneath.parent_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1)
		fail_errno(f, "%.300s", root);
	else if (syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == -1 ||
	    syscall(SYS_landlock_restrict_self, set, 0) == -1)
		fail_errno(f, "landlock");
	else
		rc = 1;
	if (beneath.parent_fd != -1)
		close(beneath.parent_fd);
	close(set);
	return rc;
}
