#include "patience.h"

void
patience_begin(struct patience *p, int64_t now)
{
	*p = (struct patience){ .since = now, .waits = 1 };
}

void
patience_end(struct patience *p)
{
	p->waits = 0;
}

int
patience_over(struct patience *p, int64_t now, int64_t most)
{
	if (!p->waits)
		return 0;
	if (p->looks < PATIENCE_LOOKS)
		p->looks++;
	return p->looks == PATIENCE_LOOKS && now - p->since >= most;
}
