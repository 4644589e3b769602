#include "cas.h"

#include <string.h>

#include "file.h"
#include "text.h"
#include "tool.h"

static struct trust *
read_file(const char *path, struct fail *f)
{
	struct trust *trust = NULL;
	struct buf b = BUF_INIT;

	if (file_read(path, 0, &b, f) == 0 && (trust = trust_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%s", path);
	buf_clear(&b);
	return trust;
}

const struct trust *
cas_get(struct cas *c)
{
	struct fail f = FAIL_INIT;

	if (c->tried)
		return c->trust;
	c->tried = 1;
	c->trust = c->file != NULL ? read_file(c->file, &f) : trust_open(c->dir, &f);
	if (c->trust == NULL) {
		c->failed = 1;
		tool_failed(&f);
	}
	return c->trust;
}

void
cas_clear(struct cas *c)
{
	trust_free(c->trust);
	memset(c, 0, sizeof *c);
}
