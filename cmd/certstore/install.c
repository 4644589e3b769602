/*
 * install: the CA's answer becomes an identity's certificate.
 *
 * Read all certificates that the files hold; the leaf is the one for the identity's key, or for the key
 * that is to follow it.  Then say what speaks against it, put its chain in order, hold that against the
 * trusted CAs, and store.  Nothing is written before all is known.
 */
#include "certstore.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "p12.h"
#include "replace.h"
#include "subject.h"
#include "text.h"
#include "trust.h"
#include "verify.h"

#define HEAP_MAX 10000	/* certificates in all files */

struct install {
	const struct settings *s;
	struct identity id;		/* as it is stored, and in the end as it will be */
	int stored;			/* there is an identity of that name */
	EVP_PKEY *given;		/* -k; NULL: none */
	EVP_PKEY *was;			/* the key before, where it was replaced */
	EVP_PKEY *key;			/* the leaf's; borrowed from id or given */
	STACK_OF(X509) *heap;		/* all certificates there are */
	X509 *leaf;			/* borrowed from the heap */
	STACK_OF(X509) *kept;		/* stored intermediates that stand in; borrowed from id, or NULL */
	STACK_OF(X509) *chain;		/* to be stored behind the leaf */
	STACK_OF(X509) *verified;	/* the chain up to the trusted CA; NULL: there is none */
};

static void
install_clear(struct install *in)
{
	identity_clear(&in->id);
	EVP_PKEY_free(in->given);
	EVP_PKEY_free(in->was);
	cert_chain_free(in->heap);
	cert_chain_free(in->chain);
	cert_chain_free(in->verified);
}

static STACK_OF(X509) *
new_stack(void)
{
	STACK_OF(X509) *stack = sk_X509_new_null();

	if (stack == NULL)
		alloc_failed();
	return stack;
}

static void
push(STACK_OF(X509) *stack, X509 *cert)
{
	if (sk_X509_push(stack, cert) == 0)
		alloc_failed();
	X509_up_ref(cert);
}

/* What speaks against it, in f: refused, or with -f only told. */
static int
object(const struct install *in, const struct fail *f)
{
	if (!in->s->force)
		return -1;
	talk(in->id.name, "warning: %s", f->text);
	return 0;
}

/* ---- what is there ---- */

/* The key and a certificate, or two certificates, cannot both come from standard input. */
static void
check_stdin(const struct install *in, char **files)
{
	int n = in->s->key_file != NULL && strcmp(in->s->key_file, "-") == 0;

	for (; *files != NULL; files++)
		n += strcmp(*files, "-") == 0;
	if (n > 1)
		tool_usage("only one file can be standard input");
}

static int
read_given_key(struct install *in, struct fail *f)
{
	if (in->s->key_file == NULL)
		return 0;
	return (in->given = key_from_file(in->s->key_file, f)) != NULL ? 0 : -1;
}

static int
find_identity(struct install *in, const char *text, struct fail *f)
{
	char *name = identity_find(in->s->dir, text, f);
	int rc = -1;

	in->stored = name != NULL;
	if (name != NULL)
		rc = identity_load(in->s->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &in->id, f);
	else if (in->given != NULL && (in->id.name = name_to_identity(text, f)) != NULL)
		rc = 0;
	free(name);
	return rc;
}

static int
read_file(struct install *in, const char *file, struct fail *f)
{
	STACK_OF(X509) *certs = NULL;
	struct buf b = BUF_INIT;
	int rc = -1;

	if (file_read(file, IDENTITY_FILE_MAX, &b, f) == -1)
		return -1;
	if (p12_is(b.p, b.len))
		fail(f, FAIL_INPUT, "%.300s: PKCS #12, which p12import takes", file);
	else if ((certs = cert_chain_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", file);
	else if (sk_X509_num(in->heap) + sk_X509_num(certs) > HEAP_MAX)
		fail(f, FAIL_INPUT, "%.300s: more than %d certificates", file, HEAP_MAX);
	else
		rc = 0;
	while (rc == 0 && sk_X509_num(certs) > 0)
		if (sk_X509_push(in->heap, sk_X509_shift(certs)) == 0)
			alloc_failed();
	cert_chain_free(certs);
	buf_wipe(&b);
	return rc;
}

static int
read_files(struct install *in, char **files, struct fail *f)
{
	in->heap = new_stack();
	for (; *files != NULL; files++)
		if (read_file(in, *files, f) == -1)
			return -1;
	return 0;
}

/* ---- the leaf and its key ---- */

static int
find_leaf(struct install *in, struct fail *f)
{
	EVP_PKEY *keys[] = { in->given, in->id.key, in->id.next_key };
	int n = sk_X509_num(in->heap);
	char which[64];
	size_t i;

	for (i = 0; i < sizeof keys / sizeof keys[0] && in->leaf == NULL; i++)
		if (keys[i] != NULL && (in->given == NULL || i == 0) &&
		    (in->leaf = cert_of_key(keys[i], in->heap)) != NULL)
			in->key = keys[i];
	if (in->leaf != NULL)
		return 0;
	if (n == 1)
		snprintf(which, sizeof which, "the certificate is not");
	else
		snprintf(which, sizeof which, "none of the %d certificates is", n);
	if (in->given != NULL)
		return fail(f, FAIL_POLICY, "%.200s: wrong key: %s for the key in %.200s", in->id.name, which,
		    in->s->key_file);
	return fail(f, FAIL_POLICY, "%.200s: wrong key: %s for the identity's key%s", in->id.name, which,
	    in->id.next_key != NULL ? " or its next key" : "");
}

/* A key of its own comes with the certificate: it replaces another only with -f. */
static int
may_replace_key(const struct install *in, struct fail *f)
{
	if (!in->stored || in->given == NULL || in->s->force || key_same(in->given, in->id.key))
		return 0;
	if (in->id.next_key != NULL && key_same(in->given, in->id.next_key))
		return 0;
	return fail(f, FAIL_POLICY, "%.200s: has another key; -f replaces it by the one in %.200s",
	    in->id.name, in->s->key_file);
}

static int
is_next(const struct install *in)
{
	return in->id.next_key != NULL && key_same(in->key, in->id.next_key) &&
	    !key_same(in->key, in->id.key);
}

/* ---- what speaks against it ---- */

/* The names that were asked for: the request's, or those of the certificate before.  0: not known. */
static int
asked_names(const struct install *in, struct issue *asked)
{
	X509_REQ *req = is_next(in) ? in->id.next_request : in->id.request;
	char *left_out = NULL;
	int rc = -1;

	if (req != NULL)
		rc = subject_of_request(asked, req, &left_out, NULL);
	else if (in->id.cert != NULL)
		rc = subject_of_cert(asked, in->id.cert, &left_out, NULL);
	free(left_out);
	return rc == 0;
}

/* Nobody asked for names: that of the identity, where it can be one of a host. */
static void
warn_host(const struct install *in)
{
	char *host = names_host_of(in->id.name);

	if (host != NULL && !covers(in->leaf, host, 0))
		talk(in->id.name, "warning: the certificate is not for %s", host);
	free(host);
}

static int
check_names(const struct install *in, struct fail *f)
{
	struct buf missing = BUF_INIT;
	struct issue asked;
	size_t i, fit = 0, cn = 0;
	int rc = 0;

	issue_init(&asked);
	if (!asked_names(in, &asked)) {
		warn_host(in);
		goto out;
	}
	for (i = 0; i < asked.nsan; i++) {
		cn += covers(in->leaf, asked.san[i].text, COVERS_CN);
		if (covers(in->leaf, asked.san[i].text, 0))
			fit++;
		else
			buf_printf(&missing, "%s%s", missing.len > 0 ? ", " : "", asked.san[i].text);
	}
	if (fit == 0) {
		fail(f, FAIL_POLICY, "%.100s: wrong name: the certificate is for none of the names asked "
		    "for: %.300s%s", in->id.name, missing.p, cn > 0 ? "; that its common name is one of "
		    "them helps with few verifiers" : "");
		rc = object(in, f);
	} else if (missing.len > 0)
		talk(in->id.name, "warning: asked for, but not in the certificate: %.300s", missing.p);
out:
	issue_clear(&asked);
	buf_clear(&missing);
	return rc;
}

static int
check_dates(const struct install *in, struct fail *f)
{
	int64_t from = cert_not_before(in->leaf), until = cert_not_after(in->leaf);
	char when[TEXT_TIME_MAX];

	if (until < in->s->now)
		fail(f, FAIL_POLICY, "%.200s: expired: the certificate was valid until %s", in->id.name,
		    text_time(when, until));
	else if (from > in->s->now)
		fail(f, FAIL_POLICY, "%.200s: not yet valid: the certificate is valid from %s",
		    in->id.name, text_time(when, from));
	else
		return 0;
	return object(in, f);
}

static int
check_leaf(const struct install *in, struct fail *f)
{
	cert_warn_demo(in->id.name, in->leaf);
	if (cert_is_ca(in->leaf))
		return fail(f, FAIL_POLICY, "%.200s: the certificate for its key is a CA's: expected one "
		    "for a server", in->id.name);
	if (key_check_strength(X509_get0_pubkey(in->leaf), f) == -1) {
		fail_prefix(f, "%.200s", in->id.name);
		if (object(in, f) == -1)
			return -1;
	}
	if (check_names(in, f) == -1)
		return -1;
	return check_dates(in, f);
}

/* ---- the chain ---- */

/* NULL: it cannot be had; that there is no system bundle (ENOENT) is no reason against the certificate. */
static struct trust *
open_trust(const struct install *in, struct fail *f)
{
	struct trust *t;
	struct buf b = BUF_INIT;

	if (in->s->ca == NULL)
		return trust_open(in->s->dir, f);
	if (file_read(in->s->ca, 0, &b, f) == -1) {
		f->kind = FAIL_INPUT;
		return NULL;
	}
	if ((t = trust_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", in->s->ca);
	buf_clear(&b);
	return t;
}

/* All of it behind the leaf, but no root. */
static void
keep_chain(struct install *in, STACK_OF(X509) *from, int first)
{
	int i;

	in->chain = new_stack();
	for (i = first; i < sk_X509_num(from); i++)
		push(in->chain, sk_X509_value(from, i));
	X509_free(cert_chain_drop_root(in->chain));
}

/* An answer without its issuer is the leaf alone: what is stored leads on from there, if it fits. */
static void
find_kept(struct install *in)
{
	unsigned verified = 0;
	STACK_OF(X509) *brought = cert_chain_order(in->leaf, in->heap, NULL, &verified);

	if (sk_X509_num(brought) == 0 && !cert_is_self_signed(in->leaf))
		in->kept = in->id.chain;
	cert_chain_free(brought);
}

static STACK_OF(X509) *
leaf_first(const struct install *in)
{
	STACK_OF(X509) *all = new_stack();
	int i;

	push(all, in->leaf);
	for (i = 0; i < sk_X509_num(in->heap); i++)
		if (X509_cmp(sk_X509_value(in->heap, i), in->leaf) != 0)
			push(all, sk_X509_value(in->heap, i));
	for (i = 0; i < sk_X509_num(in->kept); i++)
		push(all, sk_X509_value(in->kept, i));
	return all;
}

/* What verify_pkix() found, as a word for or against.  A CA that is not known is a private one, unless the
 * user named the one that it should be. */
static int
judge(const struct install *in, const struct finding *found, struct fail *f)
{
	if (found->result != VERIFY_NO_MATCH)
		return 0;
	if (found->depth == 0 && (found->reason == VERIFY_REASON_EXPIRED ||
	    found->reason == VERIFY_REASON_NOT_YET_VALID))
		return 0;
	if (found->reason == VERIFY_REASON_UNKNOWN_CA && in->s->ca == NULL) {
		if (!cert_is_self_signed(in->leaf))
			talk(in->id.name, "warning: the chain leads to no trusted CA: %s", found->why);
		return 0;
	}
	fail(f, FAIL_POLICY, "%.200s: the chain does not hold (%s): %s", in->id.name,
	    verify_reason_name(found->reason), found->why);
	return object(in, f);
}

static int
verify(struct install *in, const struct trust *t, STACK_OF(X509) *all, struct fail *f)
{
	struct verify_pkix asked = { .trust = t, .names = VERIFY_NAMES_SAN, .now = in->s->now };
	struct finding found = { .result = VERIFY_NOT_ASKED }, rest = { .result = VERIFY_NOT_ASKED };
	int rc = chain_verify(all, &asked, &in->verified, &found, &rest, f);

	if (rc == 0)
		rc = judge(in, &rest, f);
	if (rc == 0)
		rc = judge(in, &found, f);
	finding_clear(&rest);
	finding_clear(&found);
	return rc;
}

static int
make_chain(struct install *in, struct fail *f)
{
	STACK_OF(X509) *ordered, *all;
	struct trust *t = open_trust(in, f);
	unsigned verified = 0;
	int rc = 0;

	if (t == NULL && (f->kind != FAIL_SYS || f->err != ENOENT))
		return -1;
	find_kept(in);
	all = leaf_first(in);
	if (t != NULL)
		rc = verify(in, t, all, f);
	else
		talk(in->id.name, "warning: the chain was not verified: %s", f->text);
	trust_free(t);
	if (in->verified != NULL) {
		keep_chain(in, in->verified, 1);
	} else {
		ordered = cert_chain_order(in->leaf, all, NULL, &verified);
		cert_warn_verified(in->id.name, verified);
		keep_chain(in, ordered, 0);
		cert_chain_free(ordered);
	}
	cert_chain_free(all);
	return rc;
}

/* ---- the end ---- */

static int
is_in(const X509 *cert, STACK_OF(X509) *stack)
{
	int i;

	for (i = 0; i < sk_X509_num(stack); i++)
		if (X509_cmp(cert, sk_X509_value(stack, i)) == 0)
			return 1;
	return 0;
}

/* The root above the chain, which is left out of any. */
static int
is_its_root(const struct install *in, const X509 *cert)
{
	int n = sk_X509_num(in->chain);
	const X509 *top = n > 0 ? sk_X509_value(in->chain, n - 1) : in->leaf;

	return cert_is_self_issued(cert) &&
	    X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(top)) == 0;
}

static void
tell_left_out(const struct install *in)
{
	int i;

	for (i = 0; i < sk_X509_num(in->heap); i++) {
		const X509 *cert = sk_X509_value(in->heap, i);
		char *subject;

		if (X509_cmp(cert, in->leaf) == 0 || is_in(cert, in->chain) || is_in(cert, in->verified) ||
		    is_its_root(in, cert))
			continue;
		subject = cert_subject(cert);
		talk(in->id.name, "left out, not of its chain: %s", subject);
		free(subject);
	}
}

static int
same_chain(STACK_OF(X509) *a, STACK_OF(X509) *b)
{
	int i, n = sk_X509_num(a) > 0 ? sk_X509_num(a) : 0, m = sk_X509_num(b) > 0 ? sk_X509_num(b) : 0;

	for (i = 0; n == m && i < n; i++)
		if (X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) != 0)
			return 0;
	return n == m;
}

/* Does the identity hold the very certificate already?  Then what roll-back goes to stays. */
static int
has_leaf(const struct install *in)
{
	return in->id.cert != NULL && key_same(in->key, in->id.key) && X509_cmp(in->id.cert, in->leaf) == 0;
}

/* The identity as it will be: a request that was answered goes, as does that of a key that is replaced; the
 * next key stays until it is the current one. */
static void
fill_in(struct install *in)
{
	int next = is_next(in);

	if (!in->stored || !key_same(in->key, in->id.key)) {
		EVP_PKEY_up_ref(in->key);
		in->was = in->id.key;
		in->id.key = in->key;
	}
	if (next) {
		EVP_PKEY_free(in->id.next_key);
		in->id.next_key = NULL;
		X509_REQ_free(in->id.next_request);
		in->id.next_request = NULL;
	}
	X509_REQ_free(in->id.request);
	in->id.request = NULL;
	X509_free(in->id.cert);
	in->id.cert = in->leaf;
	X509_up_ref(in->leaf);
	cert_chain_free(in->id.chain);
	in->id.chain = in->chain;
	in->chain = NULL;
}

/* Where there was no certificate there is nothing to go back to. */
static unsigned
store_flags(const struct install *in)
{
	if (!in->stored)
		return 0;
	return in->id.cert == NULL || has_leaf(in) ? IDENTITY_AMEND : IDENTITY_REPLACE;
}

static void
tell_other_key(const struct install *in, int request)
{
	if (in->id.next_key != NULL)
		talk(in->id.name, "its next key%s", in->id.next_request != NULL ? " and request stay" : " stays");
	if (request)
		talk(in->id.name, "its request was for the key before, and went with it");
	replace_warn_key(in->id.name, in->id.key);
}

static int
store(struct install *in, struct fail *f)
{
	int next = is_next(in), request = in->id.request != NULL;
	unsigned flags = store_flags(in);

	if (has_leaf(in) && in->id.request == NULL && same_chain(in->chain, in->id.chain)) {
		talk(in->id.name, "this certificate is installed already");
		return 0;
	}
	fill_in(in);
	if (identity_store(in->s->dir, &in->id, flags, f) == -1)
		return -1;
	if (next)
		talk(in->id.name, "its next key is the current one now");
	else if (in->was != NULL)
		tell_other_key(in, request);
	return 0;
}

static int
run(struct install *in, char **operands, struct fail *f)
{
	check_stdin(in, operands + 1);
	if (read_given_key(in, f) == -1 || find_identity(in, operands[0], f) == -1 ||
	    read_files(in, operands + 1, f) == -1)
		return -1;
	if (find_leaf(in, f) == -1 || may_replace_key(in, f) == -1 || check_leaf(in, f) == -1 ||
	    make_chain(in, f) == -1)
		return -1;
	tell_left_out(in);
	return store(in, f);
}

enum tool_exit
cmd_install(const struct settings *s, char **operands)
{
	struct install in = { .s = s, .id = IDENTITY_INIT };
	struct fail f = FAIL_INIT;
	enum tool_exit status;

	if (run(&in, operands, &f) == -1)
		status = tool_failed(&f);
	else
		status = describe_result(s, in.id.name, in.was != NULL ? in.was : in.id.key);
	install_clear(&in);
	return status;
}
