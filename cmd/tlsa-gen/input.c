/*
 * What the records are to be made of, from an identity or a file.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "file.h"
#include "gen.h"
#include "identity.h"
#include "pem.h"

void
source_clear(struct source *s)
{
	X509_free(s->leaf);
	cert_chain_free(s->chain);
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->next);
	cert_names_clear(&s->names);
}

/* The next key: asked for, or wanted only to be known again among what is published. */
static int
take_next(const struct job *j, const struct identity *id, struct source *s, struct fail *f)
{
	if (id->cert == NULL)
		return fail(f, FAIL_INPUT, "%.200s: no certificate yet, so that there is no current record",
		    id->name);
	if (id->next_request == NULL && !j->next)
		return 0;
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
	int pending = j->next || j->task == TASK_CHECK;
	struct identity id;
	int rc;

	if (name == NULL)
		return -1;
	rc = identity_load(j->dir, name, pending ? IDENTITY_PENDING : 0, &id, f);
	free(name);
	if (rc == -1)
		return -1;
	if (pending && take_next(j, &id, s, f) == -1) {
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
read_input(const char *path, struct source *s, struct fail *f)
{
	struct pem_list list = PEM_LIST_INIT;
	struct buf b = BUF_INIT;
	int rc = -1;

	s->what = strcmp(path, "-") == 0 ? "standard input" : path;
	if (file_read(path, IDENTITY_FILE_MAX, &b, f) == -1)
		return -1;
	if (pem_read(b.p, b.len, &list, f) == 0)
		rc = take_best(&list, &b, s, f);
	if (rc == -1)
		fail_prefix(f, "%.300s", s->what);
	pem_list_clear(&list);
	buf_wipe(&b);
	return rc;
}

int
input_read(const struct job *j, struct source *s, struct fail *f)
{
	const char *path = j->deploy != NULL ? j->deploy : j->input;
	char *cn;
	int rc;

	if (j->connect.host[0] != '\0')
		rc = connect_read(j, s, f);
	else
		rc = path != NULL ? read_input(path, s, f) : read_identity(j, s, f);
	if (rc == -1 || s->leaf == NULL)
		return rc;
	cert_warn_demo(s->what, s->leaf);
	cert_dns_names(s->leaf, &s->names);
	cn = cert_cn(s->leaf);
	cert_names_or_cn(&s->names, cn);
	free(cn);
	return 0;
}
