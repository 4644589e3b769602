#include "doctor.h"

#include <stdlib.h>

#include "alloc.h"
#include "clock.h"
#include "log.h"

/* Never 0. */
static int64_t
seconds(void)
{
	return clock_passed() + 1;
}

static void
say(const struct doctor *d, const char *verb, enum log_level level, const char *reason)
{
	struct log_line l;

	log_event(&l, level, d->id, verb);
	log_key(&l, "reason", reason);
	log_send(&l);
}

static void
on_diagnosis(void *arg, enum dns_ill ill, const char *text)
{
	struct doctor *d = arg;

	d->under_way = 0;
	/* That the resolver is well and the domain is not concerns that domain only. */
	if (ill == DNS_WELL)
		return;
	if (ill != d->ill)
		say(d, "dns-sick", LOG_LEVEL_ERROR, text);
	d->ill = ill;
	d->told = -1;
	d->tell(d->arg, 1, text, d->domain);
}

/* Nothing of it could be looked up; what fails further down is a host's own. */
static int
is_failure(const struct facts *f)
{
	return f->mx == FACTS_MX_FAILED ||
	    (f->mx == FACTS_MX_LOCAL && f->nhost == 1 && f->host[0].addrs == FACTS_ADDRS_FAILED);
}

/* An answer that holds, from the DNS: a name given by hand is secure unasked. */
static int
is_validated(const struct facts *f)
{
	return f->mx_sec == DNS_SECURE && f->mx != FACTS_MX_FAILED && f->mx != FACTS_MX_LOCAL;
}

void
doctor_look(struct doctor *d, const struct facts *f)
{
	int64_t now = seconds();

	if (is_validated(f) && d->told != 1) {
		d->told = 1;
		d->tell(d->arg, 0, "", f->domain);
	}
	if (is_validated(f) && d->ill != DNS_WELL) {
		d->ill = DNS_WELL;
		d->asked = 0;
		say(d, "dns-well", LOG_LEVEL_INFO, "answers are validated again");
	}
	if (!is_failure(f) || d->under_way || (d->asked != 0 && now - d->asked < DOCTOR_AGAIN_S))
		return;
	d->asked = now;
	free(d->domain);
	d->domain = xstrdup(f->domain);
	d->under_way = 1;
	dns_diagnose(d->dns, on_diagnosis, d);
}
