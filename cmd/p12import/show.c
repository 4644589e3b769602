#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "json.h"
#include "key.h"
#include "names_json.h"
#include "p12import.h"
#include "text.h"

char *
show_key_name(const struct p12_bag *bag, unsigned index)
{
	char *name, *text;

	if (bag->name == NULL)
		return xasprintf("%u", index);
	name = text_escape(bag->name, strlen(bag->name));
	text = xasprintf("%u (%s)", index, name);
	free(name);
	return text;
}

/* What is not there is null. */
static void
set_count(json_t *j, const char *key, uint64_t n, int there)
{
	if (there)
		json_set_int(j, key, (int64_t)n);
	else
		json_set(j, key, json_null());
}

static json_t *
pbe_json(const struct pbe *pbe)
{
	json_t *j = json_object();
	int scrypt = pbe->kdf == PBE_SCRYPT;

	json_set_str(j, "algorithm", pbe->name);
	json_set_str(j, "cipher", pbe_cipher_name(pbe));
	json_set_str(j, "kdf", pbe_kdf_name(pbe));
	json_set_str(j, "digest", pbe_digest_name(pbe));
	set_count(j, "iterations", pbe->iterations, pbe->kdf != PBE_NONE && !scrypt);
	set_count(j, "scrypt_n", pbe->n, scrypt);
	set_count(j, "scrypt_r", pbe->r, scrypt);
	set_count(j, "scrypt_p", pbe->p, scrypt);
	set_count(j, "key_length", pbe->keylen, pbe->keylen > 0);
	json_set_int(j, "salt_length", (int64_t)pbe->saltlen);
	json_set_str(j, "unsupported", pbe->unsupported);
	return j;
}

static json_t *
bags_json(const struct p12 *p12, size_t content)
{
	json_t *bags = json_array(), *j;
	size_t i;

	for (i = 0; i < p12->nbag; i++) {
		if (p12->bag[i].content != content)
			continue;
		j = json_object();
		json_set_str(j, "type", p12_bag_name(p12->bag[i].type));
		json_set(j, "encryption", p12->bag[i].type == P12_SHROUDED_KEY ?
		    pbe_json(&p12->bag[i].pbe) : json_null());
		json_push(bags, j);
	}
	return bags;
}

static int
info_json(const struct p12 *p12, const char *file, struct fail *f)
{
	json_t *j = json_object(), *contents = json_array(), *c;
	size_t i;
	int rc;

	for (i = 0; i < p12->ncontent; i++) {
		c = json_object();
		json_set(c, "encryption", p12->content[i].encrypted ? pbe_json(&p12->content[i].pbe) :
		    json_null());
		json_set(c, "bags", p12->content[i].encrypted ? json_null() : bags_json(p12, i));
		json_push(contents, c);
	}
	json_set(j, "file", json_bytes(file, strlen(file)));
	json_set_int(j, "size", (int64_t)p12->size);
	json_set_str(j, "encoding", p12->ber ? "BER" : "DER");
	json_set(j, "mac", p12->has_mac ? pbe_json(&p12->mac) : json_null());
	json_set(j, "contents", contents);
	rc = json_line(stdout, j, f);
	json_decref(j);
	return rc;
}

/* How often each type of bag stands in one of the contents. */
static char *
count_bags(const struct p12 *p12, size_t content)
{
	unsigned count[P12_OTHER + 1] = { 0 }, t;
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].content == content)
			count[p12->bag[i].type]++;
	for (t = 0; t <= P12_OTHER; t++)
		if (count[t] > 0)
			buf_printf(&b, "%s%u %s", b.len > 0 ? ", " : "", count[t], p12_bag_name(t));
	if (b.len == 0)
		buf_puts(&b, "nothing");
	return buf_steal(&b);
}

static void
print_pbe(const char *label, const struct pbe *pbe)
{
	char *text = pbe_describe(pbe), *shown = text_escape(text, strlen(text));

	printf("%s%s\n", label, shown);
	free(shown);
	free(text);
}

static void
print_content(const struct p12 *p12, size_t n)
{
	char *bags, label[64];
	size_t i;

	snprintf(label, sizeof label, "contents %zu: ", n + 1);
	if (p12->content[n].encrypted) {
		print_pbe(label, &p12->content[n].pbe);
		return;
	}
	bags = count_bags(p12, n);
	printf("%snot encrypted: %s\n", label, bags);
	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].content == n && p12->bag[i].type == P12_SHROUDED_KEY)
			print_pbe("  shrouded-key: ", &p12->bag[i].pbe);
	free(bags);
}

int
show_info(const struct p12 *p12, const char *file, int json, struct fail *f)
{
	size_t i;

	if (json)
		return info_json(p12, file, f);
	printf("encoding: %s, %zu octets\n", p12->ber ? "BER" : "DER", p12->size);
	if (p12->has_mac)
		print_pbe(p12->mac.mac != p12->mac.md || p12->mac.kdf == PBE_PBKDF2 ? "mac: PBMAC1, " :
		    "mac: ", &p12->mac);
	else
		printf("mac: none\n");
	for (i = 0; i < p12->ncontent; i++)
		print_content(p12, i);
	return 0;
}

static void
set_cert(json_t *j, const X509 *cert)
{
	char fp[CERT_FINGERPRINT_SIZE], *subject = cert_subject(cert), *issuer = cert_issuer(cert);
	struct cert_names dns, ip;

	cert_dns_names(cert, &dns);
	cert_ip_names(cert, &ip);
	json_set_str(j, "sha256", cert_fingerprint(fp, cert));
	json_set_str(j, "subject", subject);
	json_set_str(j, "issuer", issuer);
	json_set(j, "dns", names_json_cert(&dns));
	json_set(j, "ip", names_json_cert(&ip));
	json_set_time(j, "not_before", cert_not_before(cert));
	json_set_time(j, "not_after", cert_not_after(cert));
	json_set_bool(j, "demo", cert_is_demo(cert));
	cert_names_clear(&dns);
	cert_names_clear(&ip);
	free(issuer);
	free(subject);
}

static json_t *
chain_json(const STACK_OF(X509) *chain)
{
	json_t *a = json_array(), *j;
	char fp[CERT_FINGERPRINT_SIZE], *subject;
	int i;

	for (i = 0; i < sk_X509_num(chain); i++) {
		j = json_object();
		subject = cert_subject(sk_X509_value(chain, i));
		json_set_str(j, "subject", subject);
		json_set_str(j, "sha256", cert_fingerprint(fp, sk_X509_value(chain, i)));
		json_push(a, j);
		free(subject);
	}
	return a;
}

/* name and path are null where nothing was stored under one; certificate keys where there is none. */
static int
pick_json(const struct pick *p, const char *name, const char *path, struct fail *f)
{
	json_t *j = json_object();
	char *key = key_describe(p->bag->key);
	int rc;

	json_set_int(j, "index", p->index);
	json_set(j, "friendly_name", p->bag->name != NULL ?
	    json_bytes(p->bag->name, strlen(p->bag->name)) : json_null());
	json_set_str(j, "name", name);
	json_set_str(j, "path", path);
	json_set_str(j, "key", key);
	if (p->cert != NULL)
		set_cert(j, p->cert);
	json_set(j, "chain", chain_json(p->chain));
	rc = json_line(stdout, j, f);
	json_decref(j);
	free(key);
	return rc;
}

static void
print_names(const X509 *cert)
{
	struct cert_names names[2];
	const char *before = "  names: ";
	size_t i, k;
	char *text;

	cert_dns_names(cert, &names[0]);
	cert_ip_names(cert, &names[1]);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < names[k].n; i++, before = ", ") {
			text = text_escape(names[k].v[i], strlen(names[k].v[i]));
			printf("%s%s", before, text);
			free(text);
		}
		cert_names_clear(&names[k]);
	}
	if (*before == ',')
		putchar('\n');
}

static void
print_cert(const X509 *cert)
{
	char *subject = cert_subject(cert), *issuer = cert_issuer(cert);
	char from[TEXT_TIME_MAX], to[TEXT_TIME_MAX], fp[CERT_FINGERPRINT_SIZE];

	printf("  subject: %s\n", subject);
	print_names(cert);
	printf("  issuer: %s\n", issuer);
	printf("  valid: %s to %s\n", text_time(from, cert_not_before(cert)),
	    text_time(to, cert_not_after(cert)));
	printf("  sha256: %s\n", cert_fingerprint(fp, cert));
	free(issuer);
	free(subject);
}

int
show_pick(const struct pick *p, int json, struct fail *f)
{
	char *name, *key, *subject;
	int i;

	if (json)
		return pick_json(p, NULL, NULL, f);
	name = show_key_name(p->bag, p->index);
	key = key_describe(p->bag->key);
	printf("key %s: %s\n", name, key);
	if (p->cert != NULL)
		print_cert(p->cert);
	else
		printf("  no certificate\n");
	for (i = 0; i < sk_X509_num(p->chain); i++) {
		subject = cert_subject(sk_X509_value(p->chain, i));
		printf("  chain: %s\n", subject);
		free(subject);
	}
	free(key);
	free(name);
	return 0;
}

int
show_stored(const struct pick *p, const char *name, const char *path, int json, struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE];

	if (json)
		return pick_json(p, name, path, f);
	printf("%s %s\n", path, cert_fingerprint(fp, p->cert));
	return 0;
}
