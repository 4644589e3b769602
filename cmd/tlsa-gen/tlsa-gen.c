/*
 * tlsa-gen - the TLSA records to publish for an identity, a certificate or a key.
 *
 * read_source() turns whatever was named into a certificate with its chain, or a public key;
 * make_record() describes the one that the usage is about; owners are the names in the certificate.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "fail.h"
#include "file.h"
#include "identity.h"
#include "json.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "pem.h"
#include "text.h"
#include "tlsa.h"
#include "tool.h"

#define PORT_DEFAULT 25
#define NSUPDATE_TTL 3600	/* seconds; an update must say one */
#define TTL_MAX 2147483647	/* RFC 2181 8 */
#define OWNERS_MAX 1000		/* --owner options */

static const char usage[] =
    "usage: tlsa-gen [-j] [-d DIR] [-m TYPE] [-p PORT] [-s SELECTOR] [-u USAGE] [--owner NAME]\n"
    "                [--proto tcp|udp|sctp] [--ttl TIME] [--generic | --nsupdate | --rdata]\n"
    "                [--next] NAME | -i FILE|-\n"
    "\n"
    "Print the TLSA records of the identity NAME, or of what FILE holds: a certificate or\n"
    "chain, a request, a key or a public key.\n"
    "\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -i, --input FILE      read FILE (- for stdin), PEM or DER, in place of an identity\n"
    "  -j, --json            print one JSON object for each record\n"
    "  -m, --matching TYPE   0 Full, 1 SHA2-256 (default), 2 SHA2-512\n"
    "  -p, --port PORT       port of the service (25)\n"
    "  -s, --selector N      0 Cert, 1 SPKI (default)\n"
    "  -u, --usage N         3 DANE-EE (default), 2 DANE-TA; 0 and 1 are not for mail\n"
    "      --generic         print the form of RFC 3597 (TYPE52)\n"
    "      --next            the records of the identity's next key too, behind the current ones\n"
    "      --nsupdate        print a script for nsupdate\n"
    "      --owner NAME      publish for this host, not for the certificate's names; may be\n"
    "                        repeated; a NAME that begins with _ or * is the whole owner\n"
    "      --proto PROTO     tcp (default), udp or sctp\n"
    "      --rdata           print only usage, selector, matching type and data\n"
    "      --ttl TIME        time to live: seconds, or with m, h, d, w behind it\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_GENERIC = 256, OPT_NEXT, OPT_NSUPDATE, OPT_OWNER, OPT_PROTO, OPT_RDATA, OPT_TTL };

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "matching", required_argument, NULL, 'm' },
	{ "port", required_argument, NULL, 'p' },
	{ "selector", required_argument, NULL, 's' },
	{ "usage", required_argument, NULL, 'u' },
	{ "version", no_argument, NULL, 'V' },
	{ "generic", no_argument, NULL, OPT_GENERIC },
	{ "next", no_argument, NULL, OPT_NEXT },
	{ "nsupdate", no_argument, NULL, OPT_NSUPDATE },
	{ "owner", required_argument, NULL, OPT_OWNER },
	{ "proto", required_argument, NULL, OPT_PROTO },
	{ "rdata", no_argument, NULL, OPT_RDATA },
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ NULL, 0, NULL, 0 },
};

enum form { FORM_ZONE, FORM_GENERIC, FORM_NSUPDATE, FORM_RDATA, FORM_JSON };

struct job {
	const char *dir, *input, *name, *proto;
	uint8_t usage, selector, mtype;
	uint16_t port;
	long long ttl;	/* -1: none given */
	enum form form;
	int next;	/* the next key's records too */
	char **owner;	/* in full, with the trailing dot */
	size_t nowner;
};

/* What the record is to be made of: a certificate with its chain, or a public key. */
struct source {
	const char *what;	/* the file or the identity, for talk */
	X509 *leaf;
	STACK_OF(X509) *chain;	/* without the leaf; may be NULL */
	EVP_PKEY *key;		/* where there is no certificate */
	EVP_PKEY *next;		/* that is to follow; NULL: not asked for */
	struct cert_names names;
};

static int
add_owner(struct job *j, char *owner, struct fail *f)
{
	size_t i;

	if (owner == NULL)
		return -1;
	for (i = 0; i < j->nowner; i++)
		if (strcmp(j->owner[i], owner) == 0) {
			free(owner);
			return 0;
		}
	if (j->nowner == OWNERS_MAX) {
		free(owner);
		return fail(f, FAIL_INPUT, "more than %d owners", OWNERS_MAX);
	}
	j->owner = xreallocarray(j->owner, j->nowner + 1, sizeof *j->owner);
	j->owner[j->nowner++] = owner;
	return 0;
}

/* The port and protocol may be given after the owner: so it is looked at when all are known. */
static char *
owner_of_option(const struct job *j, const char *arg, struct fail *f)
{
	char *name = name_to_ascii(arg, f), *owner;

	if (name == NULL)
		return NULL;
	if (name[0] == '_' || name[0] == '*')
		owner = xasprintf("%s.", name);
	else
		owner = tlsa_owner(name, j->port, j->proto, f);
	free(name);
	return owner;
}

static int
set_number(const char *arg, long long lo, long long hi, const char *what, uint16_t *out,
    struct fail *f)
{
	long long n;

	if (text_number(arg, lo, hi, what, &n, f) == -1)
		return -1;
	*out = n;
	return 0;
}

static int
set_ttl(struct job *j, const char *arg, struct fail *f)
{
	if (text_duration(arg, "--ttl", &j->ttl, f) == -1)
		return -1;
	if (j->ttl > TTL_MAX)
		return fail(f, FAIL_INPUT, "--ttl: at most %d seconds (RFC 2181 8)", TTL_MAX);
	return 0;
}

static void
set_form(struct job *j, enum form form)
{
	if (j->form != FORM_ZONE && j->form != form)
		tool_usage("-j, --generic, --nsupdate and --rdata exclude each other");
	j->form = form;
}

static int
set_option(struct job *j, int ch, const char *arg, struct fail *f)
{
	switch (ch) {
	case 'd':
		j->dir = arg;
		break;
	case 'i':
		j->input = arg;
		break;
	case 'j':
		set_form(j, FORM_JSON);
		break;
	case 'm':
		return tlsa_parse_mtype(arg, &j->mtype, f);
	case 'p':
		return set_number(arg, 1, 65535, "port", &j->port, f);
	case 's':
		return tlsa_parse_selector(arg, &j->selector, f);
	case 'u':
		return tlsa_parse_usage(arg, &j->usage, f);
	case OPT_GENERIC:
		set_form(j, FORM_GENERIC);
		break;
	case OPT_NEXT:
		j->next = 1;
		break;
	case OPT_NSUPDATE:
		set_form(j, FORM_NSUPDATE);
		break;
	case OPT_PROTO:
		j->proto = arg;
		break;
	case OPT_RDATA:
		set_form(j, FORM_RDATA);
		break;
	case OPT_TTL:
		return set_ttl(j, arg, f);
	default:
		abort();
	}
	return 0;
}

static int
check_numbers(const struct job *j, struct fail *f)
{
	if (tlsa_usage_name(j->usage) == NULL)
		return fail(f, FAIL_INPUT,
		    "TLSA usage %u is not defined; expected 3 or 2", j->usage);
	if (tlsa_selector_name(j->selector) == NULL)
		return fail(f, FAIL_INPUT, "TLSA selector %u is not defined; expected 0 or 1",
		    j->selector);
	if (tlsa_mtype_name(j->mtype) == NULL)
		return fail(f, FAIL_INPUT,
		    "TLSA matching type %u is not defined; expected 0, 1 or 2", j->mtype);
	if (strcmp(j->proto, "tcp") != 0 && strcmp(j->proto, "udp") != 0 &&
	    strcmp(j->proto, "sctp") != 0)
		return fail(f, FAIL_INPUT,
		    "--proto: expected tcp, udp or sctp, not \"%.64s\"", j->proto);
	return 0;
}

static int
parse_args(struct job *j, int argc, char **argv, struct fail *f)
{
	const char *given[OWNERS_MAX];
	size_t n = 0, i;
	int ch;

	while ((ch = getopt_long(argc, argv, ":d:hi:jm:p:s:u:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (ch == OPT_OWNER) {
			if (n == OWNERS_MAX)
				tool_usage("more than %d --owner options", OWNERS_MAX);
			given[n++] = optarg;
		} else if (set_option(j, ch, optarg, f) == -1)
			return -1;
	}
	if (argc - optind > 1 || (argc - optind == 1) == (j->input != NULL))
		tool_usage("expected the name of one identity, or -i FILE");
	if (j->next && j->input != NULL)
		tool_usage("--next is for an identity, not for -i");
	if (j->next && (j->usage != TLSA_DANE_EE || j->selector != TLSA_SPKI))
		tool_usage("--next is for usage 3 and selector 1: of the next key there is no certificate yet");
	j->name = argv[optind];
	j->dir = tool_dir(j->dir);
	if (check_numbers(j, f) == -1)
		return -1;
	for (i = 0; i < n; i++)
		if (add_owner(j, owner_of_option(j, given[i], f), f) == -1)
			return -1;
	return 0;
}

static void
source_clear(struct source *s)
{
	X509_free(s->leaf);
	cert_chain_free(s->chain);
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->next);
	cert_names_clear(&s->names);
}

static int
take_next(const struct identity *id, struct source *s, struct fail *f)
{
	if (id->cert == NULL)
		return fail(f, FAIL_INPUT, "%.200s: no certificate yet, so that there is no current record",
		    id->name);
	if (id->next_request == NULL)
		return fail(f, FAIL_INPUT, "%.200s: no next key: `csrgen --next` makes it", id->name);
	if ((s->next = X509_REQ_get_pubkey(id->next_request)) == NULL)
		return fail(f, FAIL_INPUT, "%.200s: the public key in the next request cannot be read",
		    id->name);
	return 0;
}

static int
read_identity(const struct job *j, struct source *s, struct fail *f)
{
	char *name = identity_find(j->dir, j->name, f);
	struct identity id;
	int rc;

	if (name == NULL)
		return -1;
	rc = identity_load(j->dir, name, j->next ? IDENTITY_PENDING : 0, &id, f);
	free(name);
	if (rc == -1)
		return -1;
	if (j->next && take_next(&id, s, f) == -1) {
		identity_clear(&id);
		return -1;
	}
	s->what = j->name;
	s->leaf = id.cert;
	s->chain = id.chain;
	id.cert = NULL;
	id.chain = NULL;
	identity_clear(&id);
	return 0;
}

static int
take_request(const struct pem_item *item, struct source *s, struct fail *f)
{
	X509_REQ *req = pem_get1_request(item, f);
	char *cn;
	int rc = 0;

	if (req == NULL)
		return -1;
	if ((s->key = X509_REQ_get_pubkey(req)) == NULL)
		rc = fail(f, FAIL_INPUT, "the public key in the request cannot be read");
	else {
		cert_request_dns_names(req, &s->names);
		cn = cert_request_cn(req);
		cert_names_or_cn(&s->names, cn);
		free(cn);
	}
	X509_REQ_free(req);
	return rc;
}

static const struct pem_item *
find_item(const struct pem_list *list, int (*is)(const struct pem_item *))
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (is(&list->v[i]))
			return &list->v[i];
	return NULL;
}

/* Certificates say most, then a request (it has names), then keys. */
static int
take_best(const struct pem_list *list, const struct buf *b, struct source *s, struct fail *f)
{
	const struct pem_item *item;

	if (find_item(list, pem_is_cert) != NULL) {
		if ((s->chain = cert_chain_from_pem(b->p, b->len, f)) == NULL)
			return -1;
		s->leaf = sk_X509_shift(s->chain);
		return 0;
	}
	if ((item = find_item(list, pem_is_request)) != NULL)
		return take_request(item, s, f);
	if ((item = find_item(list, pem_is_public_key)) != NULL)
		s->key = pem_get1_public_key(item, f);
	else if ((item = find_item(list, pem_is_key)) != NULL)
		s->key = pem_get1_key(item, f);
	else
		return fail(f, FAIL_INPUT, "neither a certificate, a request nor a key in it");
	return s->key != NULL ? 0 : -1;
}

static int
read_input(const struct job *j, struct source *s, struct fail *f)
{
	struct pem_list list = PEM_LIST_INIT;
	struct buf b = BUF_INIT;
	int rc = -1;

	s->what = strcmp(j->input, "-") == 0 ? "standard input" : j->input;
	if (file_read(j->input, IDENTITY_FILE_MAX, &b, f) == -1)
		return -1;
	if (pem_read(b.p, b.len, &list, f) == 0)
		rc = take_best(&list, &b, s, f);
	if (rc == -1)
		fail_prefix(f, "%.300s", s->what);
	pem_list_clear(&list);
	buf_wipe(&b);
	return rc;
}

static int
read_source(const struct job *j, struct source *s, struct fail *f)
{
	char *cn;

	if ((j->input != NULL ? read_input(j, s, f) : read_identity(j, s, f)) == -1)
		return -1;
	if (s->leaf == NULL)
		return 0;
	cert_warn_demo(s->what, s->leaf);
	cert_dns_names(s->leaf, &s->names);
	cn = cert_cn(s->leaf);
	cert_names_or_cn(&s->names, cn);
	free(cn);
	return 0;
}

static int
is_about_ca(const struct job *j)
{
	return j->usage == TLSA_PKIX_TA || j->usage == TLSA_DANE_TA;
}

/* RFC 7671 5.2: usage 2 (and 0) describes a CA that issued the server's certificate. */
static int
refuse_usage(const struct job *j, const struct source *s, const char *why, struct fail *f)
{
	return fail(f, FAIL_INPUT, "%.200s: usage %u is about a CA that issued the certificate, %s",
	    s->what, j->usage, why);
}

/* One certificate in a file may be the CA that the user means, who then says of which hosts. */
static int
check_lone_ca(const struct job *j, const struct source *s, struct fail *f)
{
	if (j->input == NULL)
		return refuse_usage(j, s, "and the identity has none in its chain; a self-signed "
		    "certificate is published with usage 3", f);
	if (!cert_is_ca(s->leaf))
		return refuse_usage(j, s, "and the only one here is no CA's; a server's own is "
		    "published with usage 3", f);
	if (j->nowner == 0 && j->form != FORM_RDATA)
		return refuse_usage(j, s, "and is alone here: --owner names the hosts", f);
	return 0;
}

/* The certificate that the usage is about; NULL: FAIL_INPUT. */
static const X509 *
subject_of_record(const struct job *j, const struct source *s, struct fail *f)
{
	int n = s->chain != NULL ? sk_X509_num(s->chain) : 0;
	const X509 *ta;

	if (!is_about_ca(j))
		return s->leaf;
	if (n == 0)
		return check_lone_ca(j, s, f) == 0 ? s->leaf : NULL;
	ta = sk_X509_value(s->chain, n - 1);
	if (cert_is_ca(ta))
		return ta;
	refuse_usage(j, s, "and the last of the chain is none", f);
	return NULL;
}

static void
lint(const struct job *j, const struct source *s, const X509 *subject)
{
	if (j->usage == TLSA_PKIX_TA || j->usage == TLSA_PKIX_EE)
		talk(s->what,
		    "usage %u is not used with SMTP (RFC 7672 3.1.3): such a record is unusable",
		    j->usage);
	if (j->mtype == TLSA_SHA512)
		talk(s->what, "SHA2-512 alone: not every client supports it (RFC 7671 9); publish "
		    "SHA2-256 as well");
	if (j->usage == TLSA_DANE_TA && j->mtype != TLSA_FULL &&
	    (subject == NULL || subject == s->leaf || cert_is_self_signed(subject)))
		talk(s->what,
		    "a digest of a CA only matches if the server sends the CA's certificate in "
		    "its chain (RFC 7671 5.2.2)");
}

static int
make_record(const struct job *j, const struct source *s, struct tlsa *t, struct fail *f)
{
	const X509 *subject = NULL;

	if (s->leaf != NULL) {
		if ((subject = subject_of_record(j, s, f)) == NULL)
			return -1;
		if (tlsa_of_cert(t, j->usage, j->selector, j->mtype, subject, f) == -1)
			return fail_prefix(f, "%.300s", s->what);
	} else {
		if (is_about_ca(j))
			return refuse_usage(j, s, "and there is only a key here; a server's own is "
			    "published with usage 3", f);
		if (j->selector == TLSA_CERT)
			return fail(f, FAIL_INPUT,
			    "%.300s: selector 0 is about a certificate, and there is "
			    "only a key",
			    s->what);
		if (tlsa_of_key(t, j->usage, j->mtype, s->key, f) == -1)
			return fail_prefix(f, "%.300s", s->what);
	}
	lint(j, s, subject);
	return 0;
}

/* From the names of the certificate; those that cannot have a record are named and left out. */
static int
find_owners(struct job *j, const struct source *s, struct fail *f)
{
	struct fail why = FAIL_INIT;
	size_t i;

	if (j->nowner > 0 || j->form == FORM_RDATA)
		return 0;
	for (i = 0; i < s->names.n; i++)
		if (add_owner(j, tlsa_owner(s->names.v[i], j->port, j->proto, &why), &why) == -1)
			/* The reason begins with the name, which may be what the identity is called. */
			talk(strcmp(s->what, s->names.v[i]) == 0 ? NULL : s->what, "%s", why.text);
	if (s->names.odd > 0)
		talk(s->what, "%zu names that are no host names left out", s->names.odd);
	if (j->nowner > 0)
		return 0;
	return fail(f, FAIL_INPUT, "%.300s: no host name in it to publish a record for; --owner "
	    "names the host", s->what);
}

static int
print_json(const struct job *j, const char *owner, const struct tlsa *t, struct fail *f)
{
	char *rdata = tlsa_rdata(t);
	json_t *o = json_object();
	int rc;

	json_set_str(o, "owner", owner);
	json_set(o, "ttl", j->ttl >= 0 ? json_integer(j->ttl) : json_null());
	json_set_int(o, "usage", t->usage);
	json_set_int(o, "selector", t->selector);
	json_set_int(o, "matching", t->mtype);
	json_set_str(o, "data", strrchr(rdata, ' ') + 1);
	json_set_str(o, "rdata", rdata);
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
		    j->ttl >= 0 ? j->ttl : NSUPDATE_TTL, rdata);
	else
		printf("%s %sIN %s %s\n", owner, ttl, j->form == FORM_GENERIC ? "TYPE52" : "TLSA",
		    rdata);
	free(rdata);
}

static int
print_record(const struct job *j, const struct tlsa *t, struct fail *f)
{
	char *rdata;
	size_t i;

	if (j->form == FORM_RDATA) {
		rdata = tlsa_rdata(t);
		puts(rdata);
		free(rdata);
		return 0;
	}
	for (i = 0; i < j->nowner; i++)
		if (j->form != FORM_JSON)
			print_line(j, j->owner[i], t);
		else if (print_json(j, j->owner[i], t, f) == -1)
			return -1;
	return 0;
}

static int
print_records(const struct job *j, const struct source *s, const struct tlsa *t, struct fail *f)
{
	struct tlsa next;
	int rc = print_record(j, t, f);

	if (rc == 0 && s->next != NULL &&
	    (rc = tlsa_of_key(&next, j->usage, j->mtype, s->next, f)) == 0) {
		rc = print_record(j, &next, f);
		tlsa_clear(&next);
	}
	if (rc == 0 && j->form == FORM_NSUPDATE)
		puts("send");
	return rc;
}

int
main(int argc, char **argv)
{
	struct job j = { .usage = TLSA_DANE_EE, .selector = TLSA_SPKI, .mtype = TLSA_SHA256,
		.port = PORT_DEFAULT, .proto = "tcp", .ttl = -1, .form = FORM_ZONE };
	struct source s = { .names = CERT_NAMES_INIT };
	struct fail f = FAIL_INIT;
	struct tlsa t = TLSA_INIT;
	enum tool_exit status = TOOL_YES;
	size_t i;

	tool_init("tlsa-gen", usage);
	ossl_init();
	if (parse_args(&j, argc, argv, &f) == -1 || read_source(&j, &s, &f) == -1 ||
	    make_record(&j, &s, &t, &f) == -1 || find_owners(&j, &s, &f) == -1 ||
	    print_records(&j, &s, &t, &f) == -1)
		status = tool_failed(&f);
	tlsa_clear(&t);
	source_clear(&s);
	for (i = 0; i < j.nowner; i++)
		free(j.owner[i]);
	free(j.owner);
	return tool_finish(status);
}
