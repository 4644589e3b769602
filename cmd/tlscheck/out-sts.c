/*
 * out-sts - what a domain publishes beside its DNSSEC records: its MTA-STS policy and where it wants
 * reports.
 *
 *	good.test: MTA-STS: enforce, id 1, max_age 604800, mx mail.good.test *.good.test
 *	good.test: MTA-STS: no pattern covers the MX host mx2.other.test
 *	good.test: TLS-RPT: mailto:reports@good.test
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "json.h"
#include "out.h"
#include "text.h"

/* MX hosts to which the policy lets nothing go (RFC 8461 4.1); mode none covers all. */
static int
is_uncovered(const struct facts *f, size_t i)
{
	return f->sts_state == FACTS_STS_FOUND && f->sts.mode != STS_NONE &&
	    !sts_mx_matches(&f->sts, f->host[i].name);
}

static void
print_uncovered(const struct facts *f)
{
	size_t i;

	for (i = 0; i < f->nhost; i++)
		if (is_uncovered(f, i)) {
			char *host = text_escape(f->host[i].name, strlen(f->host[i].name));

			printf("%s: MTA-STS: no pattern covers the MX host %s\n", f->domain, host);
			free(host);
		}
}

static void
print_policy(const struct facts *f)
{
	size_t i;

	printf("%s: MTA-STS: %s, ", f->domain, sts_mode_name(f->sts.mode));
	if (f->sts_id != NULL)
		printf("id %s, ", f->sts_id);
	printf("max_age %u%s", f->sts.max_age, f->sts.nmx > 0 ? ", mx" : "");
	for (i = 0; i < f->sts.nmx; i++)
		printf(" %s", f->sts.mx[i]);
	printf("%s%s\n", f->sts_why != NULL ? ": " : "", f->sts_why != NULL ? f->sts_why : "");
}

void
out_sts(const struct facts *f, int verbose)
{
	size_t i;

	if (f->sts_state == FACTS_STS_FOUND)
		print_policy(f);
	else if (f->sts_state == FACTS_STS_NONE && (verbose || f->sts_why != NULL))
		printf("%s: MTA-STS: none%s%s\n", f->domain, f->sts_why != NULL ? ": " : "",
		    f->sts_why != NULL ? f->sts_why : "");
	print_uncovered(f);
	if (f->tlsrpt_state == FACTS_TLSRPT_FOUND) {
		printf("%s: TLS-RPT:", f->domain);
		for (i = 0; i < f->tlsrpt.n; i++)
			printf(" %s", f->tlsrpt.rua[i].uri);
		printf("\n");
	} else if (f->tlsrpt_state != FACTS_TLSRPT_NOT_ASKED && (verbose || f->tlsrpt_why != NULL))
		printf("%s: TLS-RPT: none%s%s\n", f->domain, f->tlsrpt_why != NULL ? ": " : "",
		    f->tlsrpt_why != NULL ? f->tlsrpt_why : "");
}

static json_t *
object(const char *state)
{
	json_t *o = json_object();

	if (o == NULL)
		alloc_failed();
	json_set_str(o, "state", state);
	return o;
}

static json_t *
array(void)
{
	json_t *a = json_array();

	if (a == NULL)
		alloc_failed();
	return a;
}

json_t *
out_sts_json(const struct facts *f)
{
	int found = f->sts_state == FACTS_STS_FOUND;
	json_t *o, *mx = array(), *uncovered = array();
	size_t i;

	for (i = 0; i < f->sts.nmx; i++)
		json_push(mx, json_bytes(f->sts.mx[i], strlen(f->sts.mx[i])));
	for (i = 0; i < f->nhost; i++)
		if (is_uncovered(f, i))
			json_push(uncovered, json_bytes(f->host[i].name, strlen(f->host[i].name)));
	if (f->sts_state == FACTS_STS_NOT_ASKED) {
		json_decref(mx);
		json_decref(uncovered);
		return json_null();
	}
	o = object(found ? "found" : "none");
	json_set_str(o, "id", f->sts_id);
	json_set_str(o, "mode", found ? sts_mode_name(f->sts.mode) : NULL);
	if (found) {
		json_set_int(o, "max_age", f->sts.max_age);
		json_set_time(o, "fetched", f->sts_fetched);
	} else {
		json_set_str(o, "max_age", NULL);
		json_set_str(o, "fetched", NULL);
	}
	json_set(o, "mx", mx);
	json_set(o, "uncovered", uncovered);
	json_set_str(o, "reason", f->sts_why);
	return o;
}

json_t *
out_tlsrpt_json(const struct facts *f)
{
	static const char *const names[] = { [FACTS_TLSRPT_NONE] = "none", [FACTS_TLSRPT_FOUND] = "found",
		[FACTS_TLSRPT_FAILED] = "failed" };
	json_t *o, *rua;
	size_t i;

	if (f->tlsrpt_state == FACTS_TLSRPT_NOT_ASKED)
		return json_null();
	o = object(names[f->tlsrpt_state]);
	rua = array();
	for (i = 0; i < f->tlsrpt.n; i++)
		json_push(rua, json_bytes(f->tlsrpt.rua[i].uri, strlen(f->tlsrpt.rua[i].uri)));
	json_set(o, "rua", rua);
	json_set_str(o, "reason", f->tlsrpt_why);
	return o;
}
