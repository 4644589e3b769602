#include "sums.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "clock.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "name.h"
#include "spool.h"
#include "tlsrpt_sums.h"

static void
put_known(const char *before, const char *s, const char *after)
{
	if (s == NULL)
		return;
	fputs(before, stdout);
	text_print(s);
	fputs(after, stdout);
}

static void
print_policy(const struct tlsrpt_policy *p)
{
	size_t i;

	printf("  %s", p->type);
	put_known(" ", p->domain, "");
	printf(": %" PRIu64 " good, %" PRIu64 " failed\n", p->good, p->failed);
	for (i = 0; i < p->nfailures; i++) {
		const struct tlsrpt_failure *d = &p->failure[i];

		printf("    %" PRIu64 " %s", d->count, d->result);
		put_known(" at ", d->mx, "");
		put_known(" [", d->receiving_ip, "]");
		put_known(" (", d->helo, ")");
		put_known(" from ", d->sending_ip, "");
		put_known(": ", d->reason, "");
		putchar('\n');
	}
}

static void
print_domain(const struct tlsrpt_domain *d)
{
	size_t i;

	text_print(d->name);
	for (i = 0; i < d->ntargets; i++)
		put_known(i == 0 ? ": reports to " : ", ", d->target[i].uri, "");
	putchar('\n');
	for (i = 0; i < d->npolicies; i++)
		print_policy(&d->policy[i]);
}

static int
print_json(const struct tlsrpt_sums *s, const struct tlsrpt_domain *d, struct fail *f)
{
	json_t *o = json_object(), *to = json_array(), *policies = json_array();
	size_t i;
	int rc;

	json_set_time(o, "day", s->day);
	json_set_str(o, "domain", d->name);
	for (i = 0; i < d->ntargets; i++)
		json_push(to, json_bytes(d->target[i].uri, strlen(d->target[i].uri)));
	json_set(o, "to", to);
	for (i = 0; i < d->npolicies; i++)
		json_push(policies, tlsrpt_policy_json(&d->policy[i]));
	json_set(o, "policies", policies);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

static int
print_one(const struct tlsrpt_sums *s, const struct tlsrpt_domain *d, int json, struct fail *f)
{
	if (json)
		return print_json(s, d, f);
	print_domain(d);
	return 0;
}

static enum tool_exit
print_sums(const struct tlsrpt_sums *s, const char *domain, int json)
{
	const struct tlsrpt_domain *d = domain != NULL ? tlsrpt_sums_find(s, domain) : NULL;
	struct fail f = FAIL_INIT;
	size_t i;

	if (domain != NULL && d == NULL) {
		talk(domain, "no session was counted today");
		return TOOL_NO;
	}
	if (d != NULL)
		return print_one(s, d, json, &f) == -1 ? tool_failed(&f) : TOOL_YES;
	for (i = 0; i < s->ndomains; i++)
		if (print_one(s, s->domain[i], json, &f) == -1)
			return tool_failed(&f);
	if (s->ndomains == 0 && s->others == 0) {
		talk(NULL, "nothing was counted today");
		return TOOL_NO;
	}
	if (s->others > 0)
		talk(NULL, "%" PRIu64 " sessions are in no report: there is no room for more domains and policies", s->others);
	return TOOL_YES;
}

enum tool_exit
sums_print(const struct conf *c, const char *domain, int json)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct tlsrpt_sums s;
	char day[TEXT_TIME_MAX], *ascii = NULL, *path;
	enum tool_exit status;

	if (c->tlsrpt.from == NULL) {
		talk(c->file, "there is no tlsrpt line: nothing is counted");
		return TOOL_NO;
	}
	if (domain != NULL && (ascii = name_to_ascii(domain, &f)) == NULL)
		return tool_failed(&f);
	text_time(day, tlsrpt_day(clock_now()));
	day[10] = '\0';
	path = xasprintf("%s/" SPOOL_REPORTS "/%s", c->spool, day);
	if (file_read(path, TLSRPT_SUMS_MAX, &b, &f) == -1 && f.err == ENOENT) {
		tlsrpt_sums_init(&s, 0, 0);
		status = print_sums(&s, ascii, json);
		tlsrpt_sums_clear(&s);
	} else if (f.kind != FAIL_NONE || tlsrpt_sums_parse(&s, 0, path, b.p, b.len, &f) == -1)
		status = tool_failed(&f);
	else {
		status = print_sums(&s, ascii, json);
		tlsrpt_sums_clear(&s);
	}
	buf_clear(&b);
	free(path);
	free(ascii);
	return status;
}
