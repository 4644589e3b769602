/*
 * Records as they are printed: zone file lines, the form of RFC 3597, a script for nsupdate, data alone, JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "json.h"

static json_t *
warnings_json(const struct record *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < r->nwarning; i++)
		json_push(list, json_string(r->warning[i]));
	return list;
}

static int
print_json(const struct job *j, const char *owner, const struct record *r, struct fail *f)
{
	char *rdata = tlsa_rdata(&r->tlsa);
	json_t *o = json_object();
	int rc;

	json_set_str(o, "owner", owner);
	json_set(o, "ttl", j->ttl >= 0 ? json_integer(j->ttl) : json_null());
	json_set_int(o, "usage", r->tlsa.usage);
	json_set_int(o, "selector", r->tlsa.selector);
	json_set_int(o, "matching", r->tlsa.mtype);
	json_set_str(o, "data", strrchr(rdata, ' ') + 1);
	json_set_str(o, "rdata", rdata);
	json_set_str(o, "of", r->of);
	json_set(o, "warnings", warnings_json(r));
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(rdata);
	return rc;
}

static void
print_line(const struct job *j, const char *owner, const struct tlsa *t)
{
	char *rdata = j->form == FORM_GENERIC ? tlsa_rdata_generic(t) : tlsa_rdata(t);
	char ttl[24] = "";

	if (j->ttl >= 0)
		snprintf(ttl, sizeof ttl, "%lld ", j->ttl);
	if (j->form == FORM_NSUPDATE)
		printf("update add %s %lld IN TLSA %s\n", owner,
		    j->ttl >= 0 ? j->ttl : TTL_DEFAULT, rdata);
	else
		printf("%s %sIN %s %s\n", owner, ttl, j->form == FORM_GENERIC ? "TYPE52" : "TLSA",
		    rdata);
	free(rdata);
}

static int
print_record(const struct job *j, const struct record *r, struct fail *f)
{
	char *rdata;
	size_t i;

	if (j->form == FORM_RDATA) {
		rdata = tlsa_rdata(&r->tlsa);
		puts(rdata);
		free(rdata);
		return 0;
	}
	for (i = 0; i < j->nowner; i++)
		if (j->form != FORM_JSON)
			print_line(j, j->owner[i], &r->tlsa);
		else if (print_json(j, j->owner[i], r, f) == -1)
			return -1;
	return 0;
}

int
output_print(const struct job *j, const struct records *r, struct fail *f)
{
	size_t i;

	if (j->form == FORM_NSUPDATE && j->nserver > 0)
		printf("server %s %u\n", j->server[0].host, j->server[0].port);
	if (j->form == FORM_NSUPDATE && j->zone != NULL)
		printf("zone %s\n", j->zone);
	for (i = 0; i < r->n; i++)
		if (print_record(j, &r->v[i], f) == -1)
			return -1;
	if (j->form == FORM_NSUPDATE)
		puts("send");
	return 0;
}
