#include "offline.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "log.h"
#include "pem.h"

#define CHAIN_FILE_MAX (4UL * 1024 * 1024)
#define TLSA_FILE_MAX (1024UL * 1024)

/* ---- the chain ---- */

static int
issued_another(const STACK_OF(X509) *chain, int i)
{
	int k;

	for (k = 0; k < sk_X509_num(chain); k++)
		if (k != i && X509_NAME_cmp(X509_get_subject_name(sk_X509_value(chain, i)),
		    X509_get_issuer_name(sk_X509_value(chain, k))) == 0)
			return 1;
	return 0;
}

/* A PKCS#7 message holds a set: its leaf is the one that issued none of the others. */
static void
leaf_to_front(STACK_OF(X509) *chain)
{
	X509 *leaf;
	int i;

	for (i = 0; i < sk_X509_num(chain) && issued_another(chain, i); i++)
		;
	if (i == 0 || i == sk_X509_num(chain))
		return;
	leaf = sk_X509_delete(chain, i);
	if (sk_X509_unshift(chain, leaf) == 0)
		alloc_failed();
}

static int
begins_with_pkcs7(const struct buf *b)
{
	struct pem_list list = PEM_LIST_INIT;
	int yes = pem_read(b->p, b->len, &list, NULL) == 0 && list.n > 0 && pem_is_pkcs7(&list.v[0]);

	pem_list_clear(&list);
	return yes;
}

static STACK_OF(X509) *
read_chain(const char *path, struct fail *f)
{
	STACK_OF(X509) *chain = NULL;
	struct buf b = BUF_INIT;

	if (file_read(path, CHAIN_FILE_MAX, &b, f) == 0 &&
	    (chain = cert_chain_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%s", path);
	if (chain != NULL && begins_with_pkcs7(&b))
		leaf_to_front(chain);
	buf_wipe(&b);	/* a key may stand beside the chain */
	return chain;
}

/* ---- the records ---- */

static void
keep_record(struct facts_host *fh, const struct tlsa *t)
{
	fh->tlsa = xreallocarray(fh->tlsa, fh->ntlsa + 1, sizeof *fh->tlsa);
	fh->tlsa[fh->ntlsa++] = *t;
	fh->tlsa_state = FACTS_TLSA_FOUND;
}

/* "\# 35 030101..." of RFC 3597. */
static int
parse_generic(struct tlsa *t, const char *text, struct fail *f)
{
	uint8_t *wire = NULL;
	size_t n;
	char *end;
	unsigned long length = strtoul(text, &end, 10);
	int rc = -1;

	if (text_unhex(end, &wire, &n, f) == -1)
		return -1;
	if (length != n)
		fail(f, FAIL_INPUT, "its length says %lu octets, there are %zu", length, n);
	else
		rc = tlsa_from_wire(t, wire, n, f);
	free(wire);
	return rc;
}

/* The owner is the host's: whole, or as far as a zone file writes it below its origin. */
static int
is_owner(const char *owner, const char *wanted)
{
	size_t n = strlen(owner);

	return strncasecmp(owner, wanted, n) == 0 && (wanted[n] == '\0' || wanted[n] == '.');
}

/* Behind this word stands the data; NULL: the line is data alone. */
static char *
find_type(char *line)
{
	char *at = line, *word;

	while (*(at += strspn(at, " \t")) != '\0') {
		word = at;
		at += strcspn(at, " \t");
		if ((at - word == 4 && strncasecmp(word, "TLSA", 4) == 0) ||
		    (at - word == 6 && strncasecmp(word, "TYPE52", 6) == 0)) {
			*word = '\0';
			return at + strspn(at, " \t");
		}
	}
	return NULL;
}

struct records {
	struct facts_host *host;
	char *owner;		/* whose records count */
	const char *last;	/* owner of the line before: a line that begins with a blank has it too */
	size_t others;		/* records of other owners */
};

/* One line without its comment: "U S M HEX", or as in a zone file. */
static int
take_line(struct records *r, char *line, struct fail *f)
{
	struct tlsa t = TLSA_INIT;
	char *data = find_type(line), *p;

	if (data == NULL)
		data = line;
	else if (*line != ' ' && *line != '\t' && *line != '\0') {
		line[strcspn(line, " \t")] = '\0';
		r->last = line;
	}
	for (p = data; *p != '\0'; p++)
		if (*p == '(' || *p == ')')
			*p = ' ';
	data += strspn(data, " \t");
	if ((strncmp(data, "\\#", 2) == 0 ? parse_generic(&t, data + 2, f) : tlsa_parse(&t, data, f)) == -1)
		return -1;
	if (r->last != NULL && data != line && !is_owner(r->last, r->owner)) {
		tlsa_clear(&t);
		r->others++;
	} else
		keep_record(r->host, &t);
	return 0;
}

static int
take_lines(struct records *r, const char *path, char *text, struct fail *f)
{
	unsigned number = 0;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		number++;
		line[strcspn(line, ";\r")] = '\0';
		if (*line == '#')
			*line = '\0';
		if (line[strspn(line, " \t")] == '\0')
			continue;
		if (take_line(r, line, f) == -1)
			return fail_prefix(f, "%s:%u", path, number);
	}
	return 0;
}

int
offline_records(struct facts_host *fh, uint16_t port, const char *path, char *text, struct fail *f)
{
	struct records r = { .host = fh };
	int rc = -1;

	if ((r.owner = tlsa_owner(fh->name, port, "tcp", f)) == NULL || take_lines(&r, path, text, f) == -1)
		goto out;
	if (fh->ntlsa == 0) {
		fail(f, FAIL_INPUT, "%s: no TLSA record of %s in it", path, r.owner);
		goto out;
	}
	if (r.others > 0)
		talk(path, "%zu record%s of other names passed over: %s is looked at", r.others,
		    r.others == 1 ? "" : "s", r.owner);
	rc = 0;
out:
	free(r.owner);
	return rc;
}

static int
read_records(struct facts_host *fh, const char *path, uint16_t port, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc = -1;

	if (file_read(path, TLSA_FILE_MAX, &b, f) == 0) {
		buf_puts(&b, "");
		if (memchr(b.p, '\0', b.len) != NULL)
			fail(f, FAIL_INPUT, "%s: NUL octet", path);
		else
			rc = offline_records(fh, port, path, b.p, f);
	}
	buf_clear(&b);
	return rc;
}

static int
take_options(struct facts_host *fh, const struct offline *o, struct fail *f)
{
	struct tlsa t;
	size_t i;

	for (i = 0; i < o->ntlsa; i++) {
		if (tlsa_parse(&t, o->tlsa[i], f) == -1)
			return fail_prefix(f, "--tlsa");
		keep_record(fh, &t);
	}
	return 0;
}

/* ---- together ---- */

/* A host that the user names counts as one from signed DNS; without records it has none, proven. */
static struct facts_host *
make_facts(struct evidence *ev, const char *name)
{
	struct facts_host *fh;

	ev->facts = facts_new(name);
	ev->facts->mx = FACTS_MX_LOCAL;
	ev->facts->mx_sec = DNS_SECURE;
	fh = facts_add_host(ev->facts, name, 0);
	fh->addrs = FACTS_ADDRS_FOUND;
	fh->addrs_sec = DNS_SECURE;
	fh->tlsa_state = text_is_address(name) ? FACTS_TLSA_NO_NAME : FACTS_TLSA_ABSENT;
	fh->tlsa_base = xstrdup(name);
	return fh;
}

struct evidence *
offline_read(const struct offline *o, int64_t now, struct fail *f)
{
	struct evidence *ev = evidence_new(o->name[0], o->port, now);
	struct facts_host *fh = make_facts(ev, o->name[0]);
	struct shown *s = evidence_add(ev, 0, WITHOUT_ADDR);

	s->asked = SHOWN_STRICT;
	s->end = SEEN_READY;
	s->greeted = s->tls = 1;
	if ((s->info.chain = read_chain(o->chain, f)) != NULL && take_options(fh, o, f) == 0 &&
	    (o->tlsa_file == NULL || read_records(fh, o->tlsa_file, o->port, f) == 0)) {
		s->info.cert = sk_X509_value(s->info.chain, 0);
		if (X509_up_ref(s->info.cert) == 0)
			alloc_failed();
		return ev;
	}
	evidence_free(ev);
	return NULL;
}
