/*
 * A text is looked through before jansson gets it: its nesting and the number of its values are bounded, so that
 * a few megabytes cannot become gigabytes.
 */
#include "tlsrpt_report.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "json.h"

static const char *const type_names[TLSRPT_TYPES] = { [TLSRPT_TLSA] = "tlsa", [TLSRPT_STS] = "sts",
	[TLSRPT_NO_POLICY] = "no-policy-found" };

static const struct {
	const char *name, *words;
} results[TLSRPT_RESULTS] = {
	[TLSRPT_GOOD] = { "good", "TLS was negotiated as the policy asks" },
	[TLSRPT_STARTTLS_NOT_SUPPORTED] = { "starttls-not-supported", "the host did not do STARTTLS" },
	[TLSRPT_CERTIFICATE_HOST_MISMATCH] = { "certificate-host-mismatch",
		"the certificate does not bear the host's name" },
	[TLSRPT_CERTIFICATE_EXPIRED] = { "certificate-expired", "the certificate has expired" },
	[TLSRPT_CERTIFICATE_NOT_TRUSTED] = { "certificate-not-trusted",
		"the certificate is not vouched for by the TLSA records, or by a CA that is trusted" },
	[TLSRPT_VALIDATION_FAILURE] = { "validation-failure", "TLS failed for another reason" },
	[TLSRPT_TLSA_INVALID] = { "tlsa-invalid", "none of the TLSA records can be used" },
	[TLSRPT_DNSSEC_INVALID] = { "dnssec-invalid", "the TLSA records could not be had, or are bogus" },
	[TLSRPT_DANE_REQUIRED] = { "dane-required", "the sender asks for TLSA records, and there are none" },
	[TLSRPT_STS_POLICY_FETCH_ERROR] = { "sts-policy-fetch-error", "the MTA-STS policy could not be fetched" },
	[TLSRPT_STS_POLICY_INVALID] = { "sts-policy-invalid", "the MTA-STS record or policy is not valid" },
	[TLSRPT_STS_WEBPKI_INVALID] = { "sts-webpki-invalid", "the certificate of the MTA-STS policy host is not good" },
};

const char *
tlsrpt_type_name(enum tlsrpt_type type)
{
	return type_names[type];
}

int
tlsrpt_type_find(const char *name)
{
	int i;

	for (i = 0; i < TLSRPT_TYPES; i++)
		if (strcmp(type_names[i], name) == 0)
			return i;
	return -1;
}

const char *
tlsrpt_result_name(enum tlsrpt_result result)
{
	return results[result].name;
}

int
tlsrpt_result_find(const char *name)
{
	int i;

	for (i = 0; i < TLSRPT_RESULTS; i++)
		if (strcmp(results[i].name, name) == 0)
			return i;
	return -1;
}

const char *
tlsrpt_result_words(enum tlsrpt_result result)
{
	return results[result].words;
}

uint64_t
tlsrpt_add(uint64_t a, uint64_t b)
{
	return a > TLSRPT_COUNT_MAX - b ? TLSRPT_COUNT_MAX : a + b;
}

/* ---- memory ---- */

void
tlsrpt_failure_clear(struct tlsrpt_failure *d)
{
	free(d->result);
	free(d->sending_ip);
	free(d->mx);
	free(d->helo);
	free(d->receiving_ip);
	free(d->info);
	free(d->reason);
	memset(d, 0, sizeof *d);
}

static void
strings_clear(char **v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

void
tlsrpt_policy_clear(struct tlsrpt_policy *p)
{
	size_t i;

	for (i = 0; i < p->nfailures; i++)
		tlsrpt_failure_clear(&p->failure[i]);
	free(p->failure);
	strings_clear(p->string, p->nstrings);
	strings_clear(p->mx, p->nmx);
	free(p->type);
	free(p->domain);
	memset(p, 0, sizeof *p);
}

void
tlsrpt_report_clear(struct tlsrpt_report *r)
{
	size_t i;

	for (i = 0; i < r->npolicies; i++)
		tlsrpt_policy_clear(&r->policy[i]);
	free(r->policy);
	free(r->organization);
	free(r->contact);
	free(r->id);
	memset(r, 0, sizeof *r);
}

/* ---- to JSON ---- */

static void
set_if(json_t *o, const char *key, const char *s)
{
	if (s != NULL)
		json_set_str(o, key, s);
}

static json_t *
strings_json(char *const *v, size_t n)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_push(a, json_bytes(v[i], strlen(v[i])));
	return a;
}

static json_t *
failure_json(const struct tlsrpt_failure *d)
{
	json_t *o = json_object();

	set_if(o, "result-type", d->result);
	set_if(o, "sending-mta-ip", d->sending_ip);
	set_if(o, "receiving-mx-hostname", d->mx);
	set_if(o, "receiving-mx-helo", d->helo);
	set_if(o, "receiving-ip", d->receiving_ip);
	json_set_int(o, "failed-session-count", (int64_t)d->count);
	set_if(o, "additional-information", d->info);
	set_if(o, "failure-reason-code", d->reason);
	return o;
}

json_t *
tlsrpt_policy_json(const struct tlsrpt_policy *p)
{
	json_t *o = json_object(), *policy = json_object(), *summary = json_object(), *details;
	size_t i;

	set_if(policy, "policy-type", p->type);
	if (p->nstrings > 0)
		json_set(policy, "policy-string", strings_json(p->string, p->nstrings));
	set_if(policy, "policy-domain", p->domain);
	if (p->nmx > 0)
		json_set(policy, "mx-host", strings_json(p->mx, p->nmx));
	json_set(o, "policy", policy);
	json_set_int(summary, "total-successful-session-count", (int64_t)p->good);
	json_set_int(summary, "total-failure-session-count", (int64_t)p->failed);
	json_set(o, "summary", summary);
	if (p->nfailures == 0)
		return o;
	details = json_array();
	for (i = 0; i < p->nfailures; i++)
		json_push(details, failure_json(&p->failure[i]));
	json_set(o, "failure-details", details);
	return o;
}

json_t *
tlsrpt_report_json(const struct tlsrpt_report *r)
{
	json_t *o = json_object(), *range = json_object(), *policies = json_array();
	size_t i;

	set_if(o, "organization-name", r->organization);
	if (r->start >= 0)
		json_set_time(range, "start-datetime", r->start);
	if (r->end >= 0)
		json_set_time(range, "end-datetime", r->end);
	json_set(o, "date-range", range);
	set_if(o, "contact-info", r->contact);
	set_if(o, "report-id", r->id);
	for (i = 0; i < r->npolicies; i++)
		json_push(policies, tlsrpt_policy_json(&r->policy[i]));
	json_set(o, "policies", policies);
	return o;
}

void
tlsrpt_report_put(struct buf *b, const struct tlsrpt_report *r)
{
	json_t *o = tlsrpt_report_json(r);
	char *text = json_dumps(o, JSON_INDENT(1));

	if (text == NULL)
		alloc_failed();
	buf_puts(b, text);
	buf_putc(b, '\n');
	free(text);
	json_decref(o);
}

/* ---- from JSON ---- */

/* The bounds, before anything is built: only strings hide brackets and commas. */
static int
check_shape(const char *s, size_t n, struct fail *f)
{
	size_t i, depth = 0, values = 0;
	int in_string = 0;

	for (i = 0; i < n; i++) {
		if (in_string) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				in_string = 0;
			continue;
		}
		if (s[i] == '"')
			in_string = 1;
		else if (s[i] == '[' || s[i] == '{')
			depth++, values++;
		else if ((s[i] == ']' || s[i] == '}') && depth > 0)
			depth--;
		else if (s[i] == ',')
			values++;
		if (depth > TLSRPT_DEPTH_MAX)
			return fail(f, FAIL_INPUT, "offset %zu: nested deeper than %d", i, TLSRPT_DEPTH_MAX);
		if (values > TLSRPT_VALUES_MAX)
			return fail(f, FAIL_INPUT, "offset %zu: more than %d values", i, TLSRPT_VALUES_MAX);
	}
	return 0;
}

/* "KEY: expected WHAT". */
static int
expected(struct fail *f, const char *key, const char *what)
{
	return fail(f, FAIL_INPUT, "%s: expected %s", key, what);
}

/* Absent or null: *out is NULL. */
static int
take_string(json_t *o, const char *key, char **out, struct fail *f)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return expected(f, key, "a string");
	*out = xstrdup(json_string_value(v));
	return 0;
}

static void
add_string(char ***v, size_t *n, const char *s)
{
	*v = xreallocarray(*v, *n + 1, sizeof **v);
	(*v)[(*n)++] = xstrdup(s);
}

/* An array of them; one by itself counts as an array of one. */
static int
take_strings(json_t *o, const char *key, char ***out, size_t *n, struct fail *f)
{
	const json_t *v = json_object_get(o, key);
	size_t i;

	if (v == NULL || json_is_null(v))
		return 0;
	if (json_is_string(v)) {
		add_string(out, n, json_string_value(v));
		return 0;
	}
	if (!json_is_array(v))
		return expected(f, key, "an array of strings");
	for (i = 0; i < json_array_size(v); i++) {
		const char *s = json_string_value(json_array_get(v, i));

		if (s == NULL)
			return expected(f, key, "an array of strings");
		add_string(out, n, s);
	}
	return 0;
}

static int
take_count(json_t *o, const char *key, uint64_t *out, struct fail *f)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || !json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > TLSRPT_COUNT_MAX)
		return expected(f, key, "a number of sessions");
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

/* RFC 3339, with a fraction, which is cut off, and an offset: 2016-04-01T00:00:00.5+02:00. */
static int
read_time(const char *s, int64_t *out)
{
	char head[21];
	size_t n = strlen(s), at = 19;
	int64_t offset;

	if (n < 20 || n > 40)
		return -1;
	snprintf(head, sizeof head, "%.19sZ", s);
	head[10] = head[10] == 't' || head[10] == ' ' ? 'T' : head[10];
	if (text_timestamp(head, "time", out, NULL) == -1)
		return -1;
	if (s[at] == '.')
		for (at++; isdigit((unsigned char)s[at]); at++)
			;
	if ((s[at] == 'Z' || s[at] == 'z') && s[at + 1] == '\0')
		return 0;
	if ((s[at] != '+' && s[at] != '-') || strlen(s + at) != 6 || s[at + 3] != ':' ||
	    strspn(s + at + 1, "0123456789") != 2 || strspn(s + at + 4, "0123456789") != 2)
		return -1;
	offset = ((s[at + 1] - '0') * 10 + s[at + 2] - '0') * 3600 + ((s[at + 4] - '0') * 10 + s[at + 5] - '0') * 60;
	*out -= s[at] == '+' ? offset : -offset;
	return 0;
}

static int
take_time(json_t *o, const char *key, int64_t *out, struct fail *f)
{
	const json_t *v = json_object_get(o, key);

	*out = -1;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v) || read_time(json_string_value(v), out) == -1)
		return expected(f, key, "a time such as 2016-04-01T00:00:00Z");
	return 0;
}

static int
take_range(json_t *root, struct tlsrpt_report *r, struct fail *f)
{
	json_t *o = json_object_get(root, "date-range");

	r->start = r->end = -1;
	if (o == NULL || json_is_null(o))
		return 0;
	if (!json_is_object(o))
		return expected(f, "date-range", "an object");
	if (take_time(o, "start-datetime", &r->start, f) == -1 || take_time(o, "end-datetime", &r->end, f) == -1)
		return fail_prefix(f, "date-range");
	return 0;
}

static int
take_failure(json_t *o, struct tlsrpt_failure *d, struct fail *f)
{
	if (!json_is_object(o))
		return fail(f, FAIL_INPUT, "expected an object");
	if (take_string(o, "result-type", &d->result, f) == -1 ||
	    take_string(o, "sending-mta-ip", &d->sending_ip, f) == -1 ||
	    take_string(o, "receiving-mx-hostname", &d->mx, f) == -1 ||
	    take_string(o, "receiving-mx-helo", &d->helo, f) == -1 ||
	    take_string(o, "receiving-ip", &d->receiving_ip, f) == -1 ||
	    take_string(o, "additional-information", &d->info, f) == -1 ||
	    take_string(o, "failure-reason-code", &d->reason, f) == -1)
		return -1;
	return take_count(o, "failed-session-count", &d->count, f);
}

static int
take_failures(json_t *o, struct tlsrpt_policy *p, struct fail *f)
{
	json_t *a = json_object_get(o, "failure-details");
	size_t i;

	if (a == NULL || json_is_null(a))
		return 0;
	/* Some write one by itself. */
	if (json_is_object(a)) {
		p->failure = xcalloc(1, sizeof *p->failure);
		p->nfailures = 1;
		return take_failure(a, p->failure, f) == -1 ? fail_prefix(f, "failure-details") : 0;
	}
	if (!json_is_array(a))
		return expected(f, "failure-details", "an array");
	p->nfailures = json_array_size(a);
	p->failure = xcalloc(p->nfailures, sizeof *p->failure);
	for (i = 0; i < p->nfailures; i++)
		if (take_failure(json_array_get(a, i), &p->failure[i], f) == -1)
			return fail_prefix(f, "failure-details[%zu]", i);
	return 0;
}

static int
take_policy(json_t *o, struct tlsrpt_policy *p, struct fail *f)
{
	json_t *policy = json_object_get(o, "policy"), *summary = json_object_get(o, "summary");

	if (!json_is_object(policy))
		return expected(f, "policy", "an object");
	if (!json_is_object(summary))
		return expected(f, "summary", "an object");
	if (take_string(policy, "policy-type", &p->type, f) == -1 ||
	    take_strings(policy, "policy-string", &p->string, &p->nstrings, f) == -1 ||
	    take_string(policy, "policy-domain", &p->domain, f) == -1 ||
	    take_strings(policy, "mx-host", &p->mx, &p->nmx, f) == -1)
		return fail_prefix(f, "policy");
	if (take_count(summary, "total-successful-session-count", &p->good, f) == -1 ||
	    take_count(summary, "total-failure-session-count", &p->failed, f) == -1)
		return fail_prefix(f, "summary");
	return take_failures(o, p, f);
}

static int
take_report(json_t *root, struct tlsrpt_report *r, struct fail *f)
{
	json_t *a = json_object_get(root, "policies");
	size_t i;

	if (!json_is_object(root))
		return fail(f, FAIL_INPUT, "not a report: expected an object");
	if (take_string(root, "organization-name", &r->organization, f) == -1 || take_range(root, r, f) == -1 ||
	    take_string(root, "contact-info", &r->contact, f) == -1 ||
	    take_string(root, "report-id", &r->id, f) == -1)
		return -1;
	if (!json_is_array(a))
		return expected(f, "policies", "an array");
	r->npolicies = json_array_size(a);
	r->policy = xcalloc(r->npolicies, sizeof *r->policy);
	for (i = 0; i < r->npolicies; i++)
		if (take_policy(json_array_get(a, i), &r->policy[i], f) == -1)
			return fail_prefix(f, "policies[%zu]", i);
	return 0;
}

int
tlsrpt_report_parse(struct tlsrpt_report *out, const char *s, size_t n, struct fail *f)
{
	json_error_t why;
	json_t *root;
	char *shown;
	int rc;

	memset(out, 0, sizeof *out);
	if (n > TLSRPT_JSON_MAX)
		return fail(f, FAIL_INPUT, "longer than %d octets", TLSRPT_JSON_MAX);
	/* A byte order mark, which I-JSON has not. */
	if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		n -= 3;
	}
	if (check_shape(s, n, f) == -1)
		return -1;
	if ((root = json_loadb(s, n, JSON_REJECT_DUPLICATES, &why)) == NULL) {
		shown = text_escape(why.text, strlen(why.text));
		fail(f, FAIL_INPUT, "not JSON: line %d: %s", why.line, shown);
		free(shown);
		return -1;
	}
	rc = take_report(root, out, f);
	json_decref(root);
	if (rc == -1)
		tlsrpt_report_clear(out);
	return rc;
}

/* ---- the file's name ---- */

static void
put_name(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		buf_putc(b, isalnum((unsigned char)*s) || strchr(".-_:", *s) != NULL ? *s : '_');
}

void
tlsrpt_report_filename(struct buf *b, const struct tlsrpt_report *r, const char *sender, const char *domain)
{
	put_name(b, sender);
	buf_putc(b, '!');
	put_name(b, domain);
	buf_printf(b, "!%" PRId64 "!%" PRId64, r->start, r->end);
}
