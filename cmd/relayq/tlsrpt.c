/*
 * tlsrpt - what reports that came in say (RFC 8460): read from files, mail or standard input, and summed up by
 * policy domain.  Whoever can send mail can send a report: all sizes are bounded, all text is printed escaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "file.h"
#include "gzip.h"
#include "json.h"
#include "log.h"
#include "relayq.h"
#include "text.h"
#include "tlsrpt_mail.h"
#include "tlsrpt_report.h"

/* A policy of a report, or a failure in it, with who reported it. */
struct piece {
	const struct tlsrpt_report *report;
	const struct tlsrpt_policy *policy;
	const struct tlsrpt_failure *failure;
	uint64_t count;
};

struct pieces {
	struct piece *v;
	size_t n, room;
};

struct reports {
	struct tlsrpt_report *v;
	size_t n, room;
};

/* ---- reading ---- */

static const char *
first_word(const struct buf *b)
{
	const char *s = b->len > 3 && memcmp(b->p, "\xef\xbb\xbf", 3) == 0 ? b->p + 3 : b->p;

	return s + strspn(s, " \t\r\n");
}

static int
unpack(struct buf *b, struct fail *f)
{
	struct buf out = BUF_INIT;

	if (!gzip_is(b->p, b->len))
		return 0;
	if (gzip_unpack(&out, b->p, b->len, TLSRPT_JSON_MAX, f) == -1) {
		buf_clear(&out);
		return -1;
	}
	buf_clear(b);
	*b = out;
	return 0;
}

/* A report, packed or not, or a message with one: 0, and b is the JSON. */
static int
find_report(struct buf *b, struct fail *f)
{
	struct buf out = BUF_INIT;

	if (unpack(b, f) == -1)
		return -1;
	if (b->len == 0)
		return fail(f, FAIL_INPUT, "empty");
	if (*first_word(b) == '{' || !tlsrpt_mail_is(b->p, b->len))
		return 0;
	if (tlsrpt_mail_find(&out, b->p, b->len, TLSRPT_MAIL_MAX, f) == -1) {
		buf_clear(&out);
		return -1;
	}
	buf_clear(b);
	*b = out;
	return unpack(b, f);
}

static int
read_report(const char *path, struct tlsrpt_report *r, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc = -1;

	if (file_read(path, TLSRPT_MAIL_MAX, &b, f) == -1)
		return -1;
	if (find_report(&b, f) == 0 && tlsrpt_report_parse(r, b.p != NULL ? b.p : "", b.len, f) == 0)
		rc = 0;
	else
		fail_prefix(f, "%.300s", file_is_stdout(path) ? "standard input" : path);
	buf_clear(&b);
	return rc;
}

/* ---- sums ---- */

static int
compare(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

static int
by_policy(const struct piece *x, const struct piece *y)
{
	int c = compare(x->policy->domain, y->policy->domain);

	return c != 0 ? c : compare(x->policy->type, y->policy->type);
}

static int
by_policy_only(const void *a, const void *b)
{
	return by_policy(a, b);
}

/* Which of the sender's many addresses it was is of no interest: that is left out. */
static int
by_failure(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int c = by_policy(x, y);

	if (c == 0)
		c = compare(x->failure->result, y->failure->result);
	if (c == 0)
		c = compare(x->failure->mx, y->failure->mx);
	if (c == 0)
		c = compare(x->failure->receiving_ip, y->failure->receiving_ip);
	if (c == 0)
		c = compare(x->failure->reason, y->failure->reason);
	return c != 0 ? c : compare(x->report->organization, y->report->organization);
}

/* The most first, within a policy. */
static int
by_count(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int c = by_policy(x, y);

	if (c == 0 && x->count != y->count)
		c = x->count < y->count ? 1 : -1;
	return c != 0 ? c : by_failure(a, b);
}

static void
add(struct pieces *p, const struct tlsrpt_report *r, const struct tlsrpt_policy *policy,
    const struct tlsrpt_failure *failure)
{
	if (p->n == p->room) {
		p->room = p->room > 0 ? p->room * 2 : 64;
		p->v = xreallocarray(p->v, p->room, sizeof *p->v);
	}
	p->v[p->n++] = (struct piece){ .report = r, .policy = policy, .failure = failure,
		.count = failure != NULL ? failure->count : 0 };
}

static void
sort(struct pieces *p, int (*order)(const void *, const void *))
{
	if (p->n > 1)
		qsort(p->v, p->n, sizeof *p->v, order);
}

static void
collect(const struct reports *all, struct pieces *policies, struct pieces *failures)
{
	size_t i, j, k, to = 0;

	for (i = 0; i < all->n; i++)
		for (j = 0; j < all->v[i].npolicies; j++) {
			const struct tlsrpt_policy *p = &all->v[i].policy[j];

			add(policies, &all->v[i], p, NULL);
			for (k = 0; k < p->nfailures; k++)
				add(failures, &all->v[i], p, &p->failure[k]);
		}
	sort(policies, by_policy_only);
	sort(failures, by_failure);
	for (i = 1; i < failures->n; i++) {
		if (by_failure(&failures->v[to], &failures->v[i]) == 0)
			failures->v[to].count = tlsrpt_add(failures->v[to].count, failures->v[i].count);
		else
			failures->v[++to] = failures->v[i];
	}
	if (failures->n > 0)
		failures->n = to + 1;
	sort(failures, by_count);
}

/* ---- words ---- */

static void
print_failure(const struct piece *p)
{
	const struct tlsrpt_failure *d = p->failure;
	int known = d->result != NULL ? tlsrpt_result_find(d->result) : -1;

	printf("  %" PRIu64 " ", p->count);
	text_print(d->result != NULL ? d->result : "failed");
	if (known > TLSRPT_GOOD)
		printf(": %s", tlsrpt_result_words((enum tlsrpt_result)known));
	if (d->mx != NULL || d->receiving_ip != NULL) {
		printf("; at ");
		text_print(d->mx != NULL ? d->mx : "a host");
	}
	if (d->receiving_ip != NULL) {
		printf(" [");
		text_print(d->receiving_ip);
		putchar(']');
	}
	if (p->report->organization != NULL) {
		printf("; says ");
		text_print(p->report->organization);
	}
	if (d->reason != NULL) {
		printf(": ");
		text_print(d->reason);
	}
	putchar('\n');
}

/* From i on, those of one policy: where the next begins. */
static size_t
print_policy(const struct pieces *policies, size_t i)
{
	const struct piece *first = &policies->v[i];
	uint64_t good = 0, failed = 0;
	size_t reports = 0, begin = i;

	for (; i < policies->n && by_policy(first, &policies->v[i]) == 0; i++) {
		good = tlsrpt_add(good, policies->v[i].policy->good);
		failed = tlsrpt_add(failed, policies->v[i].policy->failed);
		reports += i == begin || policies->v[i].report != policies->v[i - 1].report;
	}
	text_print(first->policy->domain != NULL ? first->policy->domain : "(no domain)");
	putchar(' ');
	text_print(first->policy->type != NULL ? first->policy->type : "(no type)");
	printf(": %" PRIu64 " good, %" PRIu64 " failed, in %zu report%s\n", good, failed, reports, reports == 1 ? "" : "s");
	return i;
}

static void
print_sums(const struct reports *all)
{
	struct pieces policies = { .v = NULL }, failures = { .v = NULL };
	size_t i = 0, k = 0;

	collect(all, &policies, &failures);
	while (i < policies.n) {
		const struct piece *first = &policies.v[i];

		i = print_policy(&policies, i);
		for (; k < failures.n && by_policy(first, &failures.v[k]) == 0; k++)
			print_failure(&failures.v[k]);
	}
	free(policies.v);
	free(failures.v);
}

static int
print_json(const char *path, const struct tlsrpt_report *r, struct fail *f)
{
	json_t *o = json_object(), *report = tlsrpt_report_json(r);
	int rc;

	json_set_str(o, "file", path);
	json_set(o, "report", report);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

/* ---- the command ---- */

static int
has_failures(const struct tlsrpt_report *r)
{
	size_t i;

	for (i = 0; i < r->npolicies; i++)
		if (r->policy[i].failed > 0 || r->policy[i].nfailures > 0)
			return 1;
	return 0;
}

/* A domain may ask for a report at several places. */
static int
is_known(const struct reports *all, const struct tlsrpt_report *r)
{
	size_t i;

	for (i = 0; r->id != NULL && i < all->n; i++)
		if (compare(all->v[i].id, r->id) == 0 && compare(all->v[i].organization, r->organization) == 0 &&
		    all->v[i].start == r->start && all->v[i].npolicies == r->npolicies)
			return 1;
	return 0;
}

static enum tool_exit
take(const char *path, int json, struct reports *all)
{
	struct tlsrpt_report r;
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	int rc = 0;

	if (read_report(path, &r, &f) == -1)
		return tool_failed(&f);
	status = has_failures(&r) ? TOOL_NO : TOOL_YES;
	if (json) {
		rc = print_json(path, &r, &f);
		tlsrpt_report_clear(&r);
		return rc == -1 ? tool_failed(&f) : status;
	}
	if (is_known(all, &r)) {
		talk(path, "this report was counted already");
		tlsrpt_report_clear(&r);
		return status;
	}
	if (all->n == all->room) {
		all->room = all->room > 0 ? all->room * 2 : 16;
		all->v = xreallocarray(all->v, all->room, sizeof *all->v);
	}
	all->v[all->n++] = r;
	return status;
}

enum tool_exit
tlsrpt_files(const struct spool *s, const struct settings *o, char **path)
{
	static char in[] = "-";
	char *nothing[] = { in, NULL };
	struct reports all = { .v = NULL };
	enum tool_exit status = TOOL_YES;
	size_t i;

	(void)s;
	for (path = path[0] == NULL ? nothing : path; *path != NULL; path++)
		status = tool_worse(status, take(*path, o->json, &all));
	print_sums(&all);
	for (i = 0; i < all.n; i++)
		tlsrpt_report_clear(&all.v[i]);
	free(all.v);
	return status;
}
