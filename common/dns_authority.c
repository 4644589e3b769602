#include "dns_authority.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dns_answer.h"

struct dns_answer *
dns_message_read(const char *qname, enum dns_type type, const uint8_t *p, size_t n)
{
	struct dns_answer *a = dns_answer_new(qname, type);

	dns_answer_read(a, 0, p, n, 0, NULL);
	return a;
}

/* The zone's keys as ldns has them, from rdata. */
static ldns_rr_list *
key_list(const struct dns_answer *keys)
{
	ldns_rr_list *list = ldns_rr_list_new();
	size_t i;

	for (i = 0; list != NULL && i < keys->n; i++) {
		const struct dns_rr *k = &keys->rr[i];
		ldns_rr *rr = ldns_rr_new();

		ldns_rr_set_type(rr, LDNS_RR_TYPE_DNSKEY);
		ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
		ldns_rr_set_owner(rr, ldns_dname_new_frm_str(keys->qname));
		ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16, 2, k->data));
		ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT8, 1, k->data + 2));
		ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_ALG, 1, k->data + 3));
		ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_B64, k->len - 4, k->data + 4));
		ldns_rr_list_push_rr(list, rr);
	}
	if (list == NULL)
		alloc_failed();
	return list;
}

static int
covers(const ldns_rr *sig, enum dns_type type)
{
	const ldns_rdf *covered = ldns_rr_rrsig_typecovered(sig);

	return covered != NULL && (int)ldns_rdf2rr_type(covered) == (int)type;
}

/* Those of the answer section that have this owner: the records, or the signatures over them. */
static ldns_rr_list *
pick(const ldns_pkt *pkt, const char *owner, enum dns_type type, int signatures)
{
	const ldns_rr_list *all = ldns_pkt_answer(pkt);
	ldns_rr_list *list = ldns_rr_list_new();
	size_t i;

	for (i = 0; list != NULL && i < ldns_rr_list_rr_count(all); i++) {
		ldns_rr *rr = ldns_rr_list_rr(all, i);
		char *name = dns_name_text(ldns_rr_owner(rr));
		int fits = signatures ? ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG && covers(rr, type)
		    : (int)ldns_rr_get_type(rr) == (int)type;

		if (fits && strcmp(name, owner) == 0)
			ldns_rr_list_push_rr(list, rr);
		free(name);
	}
	if (list == NULL)
		alloc_failed();
	return list;
}

static int
verify_records(const ldns_rr_list *rrs, const ldns_rr_list *sigs, const struct dns_answer *keys, int64_t now,
    struct fail *f)
{
	ldns_rr_list *known = key_list(keys), *good = ldns_rr_list_new();
	ldns_status s = ldns_rr_list_rr_count(sigs) == 0 ? LDNS_STATUS_CRYPTO_NO_RRSIG
	    : ldns_verify_time(rrs, sigs, known, (time_t)now, good);

	ldns_rr_list_free(good);	/* what is in it belongs to known */
	ldns_rr_list_deep_free(known);
	if (s == LDNS_STATUS_OK)
		return 1;
	return fail(f, FAIL_PEER, "%s", ldns_get_errorstr_by_id(s));
}

int
dns_message_is_signed(const char *owner, enum dns_type type, const uint8_t *p, size_t n,
    const struct dns_answer *keys, int64_t now, struct fail *f)
{
	struct dns_answer *name = dns_answer_new(owner, type);	/* the name as names are here */
	ldns_rr_list *rrs = NULL, *sigs = NULL;
	ldns_pkt *pkt = NULL;
	int rc;

	if (ldns_wire2pkt(&pkt, p, n) != LDNS_STATUS_OK)
		rc = fail(f, FAIL_PEER, "the answer cannot be parsed");
	else {
		rrs = pick(pkt, name->qname, type, 0);
		sigs = pick(pkt, name->qname, type, 1);
		rc = ldns_rr_list_rr_count(rrs) == 0 ? 0 : verify_records(rrs, sigs, keys, now, f);
	}
	ldns_rr_list_free(rrs);
	ldns_rr_list_free(sigs);
	ldns_pkt_free(pkt);
	dns_answer_free(name);
	return rc;
}
