#include "subject.h"

#include <arpa/inet.h>

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

static const int field_nid[ISSUE_FIELDS] = {
	[ISSUE_C] = NID_countryName,
	[ISSUE_ST] = NID_stateOrProvinceName,
	[ISSUE_L] = NID_localityName,
	[ISSUE_O] = NID_organizationName,
	[ISSUE_OU] = NID_organizationalUnitName,
	[ISSUE_CN] = NID_commonName,
};

static void
leave_out(struct buf *b, const char *what)
{
	if (b->len > 0)
		buf_puts(b, ", ");
	buf_puts(b, what);
}

/* UTF-8 without a NUL, on the heap; NULL: it cannot be told as a string. */
static char *
utf8_of(const ASN1_STRING *s)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, s);
	char *text = NULL;

	if (len > 0 && memchr(utf8, '\0', len) == NULL)
		text = xstrndup((char *)utf8, len);
	OPENSSL_free(utf8);
	return text;
}

static int
field_of(const X509_NAME_ENTRY *e)
{
	int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)), i;

	for (i = 0; i < ISSUE_FIELDS && field_nid[i] != nid; i++)
		;
	return i;
}

/* The common name waits for the end: what the order takes first is its name. */
static void
take_part(struct issue *is, const X509_NAME_ENTRY *e, int seen[ISSUE_FIELDS], char **cn,
    struct buf *left_out)
{
	char *text = utf8_of(X509_NAME_ENTRY_get_data(e));
	const char *sn = OBJ_nid2sn(OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)));
	int field = field_of(e);
	char *another;

	if (field == ISSUE_CN && text != NULL) {
		if (*cn != NULL)
			leave_out(left_out, "another CN");
		free(*cn);
		*cn = text;
		return;
	}
	if (field < ISSUE_FIELDS && seen[field]++) {
		another = xasprintf("another %s", sn);
		leave_out(left_out, another);
		free(another);
	} else if (field == ISSUE_FIELDS || text == NULL ||
	    (is->field[field] == NULL && issue_set(is, (enum issue_field)field, text, NULL) == -1))
		leave_out(left_out, sn != NULL ? sn : "a part of its subject");
	free(text);
}

/* With the prefix: a dNSName that looks like an address is none. */
static char *
dns_of(const ASN1_STRING *s)
{
	char *text = utf8_of(s), *name;

	if (text == NULL)
		return NULL;
	name = xasprintf("DNS:%s", text);
	free(text);
	return name;
}

static char *
name_of(const GENERAL_NAME *gn)
{
	char text[INET6_ADDRSTRLEN + 3] = "IP:";
	const ASN1_STRING *s = gn->d.ia5;
	int len;

	if (gn->type != GEN_DNS && gn->type != GEN_IPADD)
		return NULL;
	len = ASN1_STRING_length(s);
	if (gn->type == GEN_DNS)
		return dns_of(s);
	if (len != 4 && len != 16)
		return NULL;
	inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text + 3, sizeof text - 3);
	return xstrdup(text);
}

/* The first name stands in for a common name that is not there. */
static void
take_names(struct issue *is, const GENERAL_NAMES *names, struct buf *left_out)
{
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char *text = name_of(sk_GENERAL_NAME_value(names, i));

		if (text == NULL)
			leave_out(left_out, "a name that is neither a host nor an address");
		else if ((is->nsan == 0 ? issue_set(is, ISSUE_CN, text, NULL) :
		    issue_add_san(is, text, NULL)) == -1)
			leave_out(left_out, strncmp(text, "DNS:", 4) == 0 ? text + 4 : text);
		free(text);
	}
}

/* crit is what OpenSSL sets beside the names: -1 says that there is no SAN. */
static int
take(struct issue *is, const X509_NAME *subject, const GENERAL_NAMES *names, int crit, char **left_out,
    struct fail *f)
{
	int i, seen[ISSUE_FIELDS] = { 0 };
	struct buf b = BUF_INIT;
	char *cn = NULL;

	for (i = 0; i < X509_NAME_entry_count(subject); i++)
		take_part(is, X509_NAME_get_entry(subject, i), seen, &cn, &b);
	if (cn != NULL && is->nsan == 0 && issue_set(is, ISSUE_CN, cn, NULL) == -1)
		leave_out(&b, "CN");
	free(cn);
	if (names == NULL && crit != -1)
		leave_out(&b, "a SAN that cannot be read");
	take_names(is, names, &b);
	*left_out = b.len > 0 ? text_escape(b.p, b.len) : NULL;
	buf_clear(&b);
	if (is->nsan == 0)
		return fail(f, FAIL_INPUT, "there is no host name or address in its subject and names");
	return 0;
}

int
subject_of_cert(struct issue *is, const X509 *cert, char **left_out, struct fail *f)
{
	int crit = 0, rc;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);

	rc = take(is, X509_get_subject_name(cert), names, crit, left_out, f);
	GENERAL_NAMES_free(names);
	return rc;
}

int
subject_of_request(struct issue *is, X509_REQ *req, char **left_out, struct fail *f)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	int crit = 0, rc;
	GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, &crit, NULL);

	rc = take(is, X509_REQ_get_subject_name(req), names, crit, left_out, f);
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return rc;
}
