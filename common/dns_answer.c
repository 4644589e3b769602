#include "dns_answer.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

#define SOA_MINIMUM 6	/* the field of an SOA record's data (RFC 1035 3.3.13) */

const char *
dns_sec_name(enum dns_sec sec)
{
	static const char *const names[] = { [DNS_SECURE] = "secure", [DNS_INSECURE] = "insecure",
		[DNS_BOGUS] = "bogus", [DNS_FAILED] = "failed" };

	return names[sec];
}

const char *
dns_type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A: return "A";
	case DNS_NS: return "NS";
	case DNS_SOA: return "SOA";
	case DNS_CNAME: return "CNAME";
	case DNS_PTR: return "PTR";
	case DNS_MX: return "MX";
	case DNS_TXT: return "TXT";
	case DNS_AAAA: return "AAAA";
	case DNS_DNSKEY: return "DNSKEY";
	case DNS_TLSA: return "TLSA";
	}
	return "?";
}

/* Lower case and without the final dot, as all names are that come out of here. */
struct dns_answer *
dns_answer_new(const char *qname, enum dns_type type)
{
	struct dns_answer *a = xcalloc(1, sizeof *a);
	size_t n = strlen(qname);

	a->qname = xstrndup(qname, n > 1 && qname[n - 1] == '.' ? n - 1 : n);
	text_lower(a->qname);
	a->qtype = type;
	a->sec = DNS_FAILED;
	a->got = DNS_NODATA;
	a->canonical = xstrdup(a->qname);
	return a;
}

void
dns_answer_free(struct dns_answer *a)
{
	size_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->n; i++) {
		free(a->rr[i].name);
		free(a->rr[i].data);
	}
	free(a->rr);
	free(a->qname);
	free(a->canonical);
	free(a->why);
	free(a);
}

struct dns_answer *
dns_answer_copy(const struct dns_answer *from)
{
	struct dns_answer *a = xmemdup(from, sizeof *from);
	size_t i;

	a->qname = xstrdup(from->qname);
	a->canonical = xstrdup(from->canonical);
	a->why = from->why != NULL ? xstrdup(from->why) : NULL;
	a->rr = xcalloc(from->n, sizeof *a->rr);
	for (i = 0; i < from->n; i++) {
		a->rr[i] = from->rr[i];
		if (from->rr[i].name != NULL)
			a->rr[i].name = xstrdup(from->rr[i].name);
		if (from->rr[i].data != NULL)
			a->rr[i].data = xmemdup(from->rr[i].data, from->rr[i].len);
	}
	return a;
}

void
dns_answer_fail(struct dns_answer *a, enum dns_sec sec, const char *why)
{
	a->sec = sec;
	free(a->why);
	a->why = text_escape(why, strlen(why));
}

/* An owner name as lower-case text without its final dot; the root stays ".". */
char *
dns_name_text(const void *rdf)
{
	char *raw = ldns_rdf2str((const ldns_rdf *)rdf), *s;
	size_t n;

	if (raw == NULL)
		alloc_failed();
	s = xstrdup(raw);
	free(raw);
	n = strlen(s);
	if (n > 1 && s[n - 1] == '.')
		s[n - 1] = '\0';
	text_lower(s);
	return s;
}

static char *
rr_name(const ldns_rr *rr, size_t i)
{
	const ldns_rdf *rdf = ldns_rr_rdf(rr, i);

	return rdf != NULL ? dns_name_text(rdf) : xstrdup(".");
}

static void
heed_ttl(struct dns_answer *a, uint32_t ttl)
{
	if (ttl < a->ttl)
		a->ttl = ttl;
}

/* Follows the aliases of the answer section from the question's name. */
static void
follow_aliases(struct dns_answer *a, const ldns_rr_list *list)
{
	size_t i, n = ldns_rr_list_rr_count(list);
	int found = a->qtype != DNS_CNAME;

	while (found && a->aliases < DNS_ALIASES_MAX) {
		found = 0;
		for (i = 0; i < n && !found; i++) {
			const ldns_rr *rr = ldns_rr_list_rr(list, i);
			char *owner;

			if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME)
				continue;
			owner = dns_name_text(ldns_rr_owner(rr));
			if (strcmp(owner, a->canonical) == 0) {
				free(a->canonical);
				a->canonical = rr_name(rr, 0);
				heed_ttl(a, ldns_rr_ttl(rr));
				a->aliases++;
				found = 1;
			}
			free(owner);
		}
	}
}

/* All rdata fields one behind the other, as on the wire; names in them are not compressed. */
static void
rr_wire(const ldns_rr *rr, struct dns_rr *out)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ldns_rr_rd_count(rr); i++)
		buf_add(&b, ldns_rdf_data(ldns_rr_rdf(rr, i)), ldns_rdf_size(ldns_rr_rdf(rr, i)));
	out->len = b.len;
	out->data = (uint8_t *)buf_steal(&b);
}

/* The character-strings of a TXT record joined without a separator (RFC 7208 3.3, 8461 3.1). */
static void
rr_txt(const ldns_rr *rr, struct dns_rr *out)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);

		if (ldns_rdf_size(rdf) > 1)
			buf_add(&b, ldns_rdf_data(rdf) + 1, ldns_rdf_size(rdf) - 1);
	}
	out->len = b.len;
	out->data = (uint8_t *)buf_steal(&b);
}

static void
add_rr(struct dns_answer *a, const ldns_rr *rr)
{
	struct dns_rr *out = &a->rr[a->n++];

	memset(out, 0, sizeof *out);
	heed_ttl(a, ldns_rr_ttl(rr));
	switch (a->qtype) {
	case DNS_MX:
		out->preference = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
		out->name = rr_name(rr, 1);
		break;
	case DNS_CNAME:
	case DNS_NS:
	case DNS_PTR:
		out->name = rr_name(rr, 0);
		break;
	case DNS_SOA:
		out->name = rr_name(rr, 0);
		rr_wire(rr, out);
		break;
	case DNS_TXT:
		rr_txt(rr, out);
		break;
	default:
		rr_wire(rr, out);
		break;
	}
}

/* Fields that a record of this type has at least (a TLSA record may have no data). */
static size_t
fields_of(enum dns_type type)
{
	switch (type) {
	case DNS_MX:
		return 2;
	case DNS_TLSA:
	case DNS_DNSKEY:
		return 3;
	case DNS_SOA:
		return 7;
	default:
		return 1;
	}
}

/* Returns whether there were records, kept or not: one that cannot be read is no proof of absence.
 */
static int
read_records(struct dns_answer *a, const ldns_pkt *pkt)
{
	const ldns_rr_list *list = ldns_pkt_answer(pkt);
	size_t i, n = ldns_rr_list_rr_count(list);
	int any = 0;

	follow_aliases(a, list);
	a->rr = xcalloc(n < DNS_RRS_MAX ? n : DNS_RRS_MAX, sizeof *a->rr);
	for (i = 0; i < n; i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *owner;

		if ((int)ldns_rr_get_type(rr) != (int)a->qtype)
			continue;
		any = 1;
		owner = dns_name_text(ldns_rr_owner(rr));
		if (ldns_rr_rd_count(rr) < fields_of(a->qtype) || strcmp(owner, a->canonical) != 0)
			;
		else if (a->n < DNS_RRS_MAX)
			add_rr(a, rr);
		else
			a->left_out++;
		free(owner);
	}
	return any;
}

/* RFC 2308 5: how long it holds that there is nothing. */
static void
read_negative_ttl(struct dns_answer *a, const ldns_pkt *pkt)
{
	ldns_rr_list *soa = ldns_pkt_rr_list_by_type(pkt, LDNS_RR_TYPE_SOA, LDNS_SECTION_AUTHORITY);
	const ldns_rr *rr = soa != NULL && ldns_rr_list_rr_count(soa) > 0 ? ldns_rr_list_rr(soa, 0) : NULL;

	if (rr != NULL && ldns_rr_rd_count(rr) == fields_of(DNS_SOA)) {
		heed_ttl(a, ldns_rr_ttl(rr));
		heed_ttl(a, ldns_rdf2native_int32(ldns_rr_rdf(rr, SOA_MINIMUM)));
	} else
		a->ttl = 0;
	ldns_rr_list_deep_free(soa);
}

static void
read_packet(struct dns_answer *a, const ldns_pkt *pkt, enum dns_sec sec)
{
	ldns_pkt_rcode rcode = ldns_pkt_get_rcode(pkt);
	char why[80];

	if (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN) {
		snprintf(why, sizeof why, "the resolver answered with rcode %d", (int)rcode);
		dns_answer_fail(a, DNS_FAILED, why);
		return;
	}
	a->sec = sec;
	a->ttl = UINT32_MAX;
	a->got = read_records(a, pkt)	   ? DNS_DATA
	    : rcode == LDNS_RCODE_NXDOMAIN ? DNS_NXDOMAIN
					   : DNS_NODATA;
	if (a->got != DNS_DATA)
		read_negative_ttl(a, pkt);
	if (a->ttl == UINT32_MAX)
		a->ttl = 0;
}

static const char *
rcode_text(int rcode)
{
	switch (rcode) {
	case LDNS_RCODE_SERVFAIL:
		return "server failure: no server for the name gave a usable answer";
	case LDNS_RCODE_REFUSED:
		return "the resolver refused the question";
	default:
		return "the resolver gave no usable answer";
	}
}

/* The order matters: rcode first (sec and packet mean nothing beside it), then bogus, then the packet's rcode. */
void
dns_answer_read(struct dns_answer *a, int rcode, const void *packet, size_t len, int sec, const char *why)
{
	ldns_pkt *pkt = NULL;

	if (rcode != 0)
		dns_answer_fail(a, DNS_FAILED, rcode_text(rcode));
	else if (sec == 1)
		dns_answer_fail(a, DNS_BOGUS, why != NULL ? why : "validation failure");
	else if (ldns_wire2pkt(&pkt, packet, len) != LDNS_STATUS_OK)
		dns_answer_fail(a, DNS_FAILED, "the answer cannot be parsed");
	else
		read_packet(a, pkt, sec == 2 ? DNS_SECURE : DNS_INSECURE);
	ldns_pkt_free(pkt);
}
