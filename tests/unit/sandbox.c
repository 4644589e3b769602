#include "sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "unit.h"

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
	return unit_done();
}
