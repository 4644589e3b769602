/*
 * Parsing: algorithm() opens an AlgorithmIdentifier, a table says what its parameters are, and one
 * function for each kind reads them.  Deriving: derive() makes octets of one purpose from any KDF;
 * pbe_decrypt() asks it for key and IV, pbe_mac() for the key.
 */
#include "pbe.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ossl.h"

#define SCRYPT_SPARE (16UL * 1024 * 1024)	/* OpenSSL's count of memory has its own blocks in it */

/* Algorithms that say cipher and KDF in one (RFC 7292 C, RFC 8018 6.1). */
static const struct scheme {
	int nid;
	enum pbe_kdf kdf;
	int cipher, md;
} schemes[] = {
	{ NID_pbe_WithSHA1And128BitRC4, PBE_PKCS12, NID_rc4, NID_sha1 },
	{ NID_pbe_WithSHA1And40BitRC4, PBE_PKCS12, NID_rc4_40, NID_sha1 },
	{ NID_pbe_WithSHA1And3_Key_TripleDES_CBC, PBE_PKCS12, NID_des_ede3_cbc, NID_sha1 },
	{ NID_pbe_WithSHA1And2_Key_TripleDES_CBC, PBE_PKCS12, NID_des_ede_cbc, NID_sha1 },
	{ NID_pbe_WithSHA1And128BitRC2_CBC, PBE_PKCS12, NID_rc2_cbc, NID_sha1 },
	{ NID_pbe_WithSHA1And40BitRC2_CBC, PBE_PKCS12, NID_rc2_40_cbc, NID_sha1 },
	{ NID_pbeWithMD2AndDES_CBC, PBE_PBKDF1, NID_des_cbc, NID_md2 },
	{ NID_pbeWithMD5AndDES_CBC, PBE_PBKDF1, NID_des_cbc, NID_md5 },
	{ NID_pbeWithSHA1AndDES_CBC, PBE_PBKDF1, NID_des_cbc, NID_sha1 },
	{ NID_pbeWithMD2AndRC2_CBC, PBE_PBKDF1, NID_rc2_64_cbc, NID_md2 },
	{ NID_pbeWithMD5AndRC2_CBC, PBE_PBKDF1, NID_rc2_64_cbc, NID_md5 },
	{ NID_pbeWithSHA1AndRC2_CBC, PBE_PBKDF1, NID_rc2_64_cbc, NID_sha1 },
};

/* RFC 8018 B.2.3: how many effective bits a version of RC2's parameter means. */
static const struct rc2 {
	unsigned version;
	int cipher;
} rc2_versions[] = {
	{ 58, NID_rc2_cbc },
	{ 120, NID_rc2_64_cbc },
	{ 160, NID_rc2_40_cbc },
};

static OSSL_LIB_CTX *
legacy_context(void)
{
	static OSSL_LIB_CTX *ctx;

	if (ctx != NULL)
		return ctx;
	if ((ctx = OSSL_LIB_CTX_new()) == NULL)
		alloc_failed();
	/* Where the module is not installed its algorithms are not found: said where one is met. */
	(void)OSSL_PROVIDER_load(ctx, "legacy");
	(void)OSSL_PROVIDER_load(ctx, "default");
	ossl_clear();
	return ctx;
}

static int
unsupported_here(const char *what, struct fail *f)
{
	ossl_clear();
	return fail(f, FAIL_INPUT, "unsupported algorithm: %s is not in the OpenSSL that is in use, nor in "
	    "its legacy provider", what);
}

static EVP_CIPHER *
fetch_cipher(int nid, struct fail *f)
{
	const char *name = OBJ_nid2sn(nid);
	EVP_CIPHER *c;

	ossl_clear();
	if ((c = EVP_CIPHER_fetch(NULL, name, NULL)) == NULL &&
	    (c = EVP_CIPHER_fetch(legacy_context(), name, NULL)) == NULL)
		unsupported_here(name, f);
	ossl_clear();
	return c;
}

/* Sets the library context in which it was found, for KDF and HMAC look it up by name once more. */
static EVP_MD *
fetch_md(int nid, OSSL_LIB_CTX **ctx, struct fail *f)
{
	const char *name = OBJ_nid2sn(nid);
	EVP_MD *md;

	ossl_clear();
	*ctx = NULL;
	if ((md = EVP_MD_fetch(NULL, name, NULL)) == NULL &&
	    (md = EVP_MD_fetch(*ctx = legacy_context(), name, NULL)) == NULL)
		unsupported_here(name, f);
	ossl_clear();
	return md;
}

void
pbe_clear(struct pbe *pbe)
{
	free(pbe->name);
	free(pbe->unsupported);
	*pbe = (struct pbe){ .name = NULL };
}

static void
set_unsupported(struct pbe *pbe, char *why)
{
	if (pbe->unsupported == NULL)
		pbe->unsupported = why;
	else
		free(why);
}

/* An AlgorithmIdentifier: its object as NID and text (on the heap), and a walk over the rest of it. */
static int
algorithm(struct ber *b, int *nid, char **name, struct ber *rest, struct fail *f)
{
	const uint8_t *p;
	struct ber_item oid;
	ASN1_OBJECT *o;
	char text[128];

	if (ber_need_in(b, BER_SEQUENCE, "an algorithm", rest, f) == -1 ||
	    ber_need(rest, BER_OID, "an algorithm's object identifier", &oid, f) == -1)
		return -1;
	p = oid.whole;
	if ((o = d2i_ASN1_OBJECT(NULL, &p, oid.wholelen)) == NULL) {
		ossl_clear();
		return ber_fail(rest, oid.whole, f, "an object identifier that is none");
	}
	*nid = OBJ_obj2nid(o);
	if (*nid == NID_undef && OBJ_obj2txt(text, sizeof text, o, 1) <= 0)
		strcpy(text, "an unknown algorithm");
	*name = xstrdup(*nid != NID_undef ? OBJ_nid2sn(*nid) : text);
	ASN1_OBJECT_free(o);
	return 0;
}

static int
parse_octets(struct ber *b, const char *what, uint8_t *dst, size_t max, size_t *len, struct fail *f)
{
	struct buf octets = BUF_INIT;
	struct ber_item item;
	int rc = -1;

	if (ber_need(b, BER_OCTETS, what, &item, f) == -1 || ber_octets(b, &item, &octets, f) == -1)
		goto out;
	if (octets.len > max) {
		ber_fail(b, item.whole, f, "%s of %zu octets; expected at most %zu", what, octets.len, max);
		goto out;
	}
	if (octets.len > 0)
		memcpy(dst, octets.p, octets.len);
	*len = octets.len;
	rc = 0;
out:
	buf_clear(&octets);
	return rc;
}

static int
parse_salt(struct ber *b, struct pbe *pbe, struct fail *f)
{
	return parse_octets(b, "a salt", pbe->salt, sizeof pbe->salt, &pbe->saltlen, f);
}

static int
parse_iterations(struct ber *b, struct pbe *pbe, struct fail *f)
{
	const uint8_t *at = b->p;

	if (ber_number(b, "the number of iterations", &pbe->iterations, f) == -1)
		return -1;
	if (pbe->iterations == 0)
		return ber_fail(b, at, f, "no iterations");
	return 0;
}

/* RFC 7292 C, RFC 8018 A.3: salt and iterations. */
static int
parse_simple(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	struct ber params;

	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of an encryption", &params, f) == -1)
		return -1;
	return parse_salt(&params, pbe, f) == -1 ? -1 : parse_iterations(&params, pbe, f);
}

static int
parse_key_length(struct ber *params, struct pbe *pbe, struct fail *f)
{
	uint64_t n;

	if (!ber_is_next(params, BER_INTEGER))
		return 0;
	if (ber_number(params, "the length of a key", &n, f) == -1)
		return -1;
	if (n == 0 || n > PBE_KEY_MAX)
		set_unsupported(pbe, xasprintf("a key of %llu octets; expected at most %d",
		    (unsigned long long)n, PBE_KEY_MAX));
	pbe->keylen = n > PBE_KEY_MAX ? 0 : n;
	return 0;
}

/* The digest of an algorithm such as hmacWithSHA256. */
static int
parse_hmac(struct ber *b, struct pbe *pbe, int *md, struct fail *f)
{
	char *name = NULL;
	struct ber rest;
	int nid = NID_undef;

	if (algorithm(b, &nid, &name, &rest, f) == -1)
		return -1;
	if (EVP_PBE_find(EVP_PBE_TYPE_PRF, nid, NULL, md, NULL) != 1)
		set_unsupported(pbe, xstrdup(name));
	ossl_clear();
	free(name);
	return 0;
}

/* RFC 8018 A.2.  The salt may come from elsewhere by its grammar, but nobody says how. */
static int
parse_pbkdf2(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	struct ber params;

	pbe->kdf = PBE_PBKDF2;
	pbe->md = NID_sha1;
	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of PBKDF2", &params, f) == -1 ||
	    parse_salt(&params, pbe, f) == -1 || parse_iterations(&params, pbe, f) == -1 ||
	    parse_key_length(&params, pbe, f) == -1)
		return -1;
	if (ber_is_next(&params, BER_SEQUENCE) && parse_hmac(&params, pbe, &pbe->md, f) == -1)
		return -1;
	return ber_end(&params, "the parameters of PBKDF2", f);
}

/* RFC 7914 7. */
static int
parse_scrypt(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	const uint8_t *at = rest->p;
	struct ber params;

	pbe->kdf = PBE_SCRYPT;
	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of scrypt", &params, f) == -1 ||
	    parse_salt(&params, pbe, f) == -1 ||
	    ber_number(&params, "the cost of scrypt", &pbe->n, f) == -1 ||
	    ber_number(&params, "the block size of scrypt", &pbe->r, f) == -1 ||
	    ber_number(&params, "the parallelisation of scrypt", &pbe->p, f) == -1 ||
	    parse_key_length(&params, pbe, f) == -1)
		return -1;
	if (pbe->n < 2 || (pbe->n & (pbe->n - 1)) != 0 || pbe->r == 0 || pbe->p == 0)
		return ber_fail(rest, at, f, "numbers that scrypt cannot have");
	return ber_end(&params, "the parameters of scrypt", f);
}

static int
parse_kdf(struct ber *b, struct pbe *pbe, struct fail *f)
{
	char *name = NULL;
	struct ber rest;
	int nid = NID_undef, rc = 0;

	if (algorithm(b, &nid, &name, &rest, f) == -1)
		return -1;
	if (nid == NID_id_pbkdf2)
		rc = parse_pbkdf2(&rest, pbe, f);
	else if (nid == NID_id_scrypt)
		rc = parse_scrypt(&rest, pbe, f);
	else
		set_unsupported(pbe, xstrdup(name));
	free(name);
	return rc;
}

/* RFC 8018 B.2.3: the version may be left out, which means 32 bits: nobody has that. */
static int
parse_rc2(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	struct ber params;
	uint64_t version = 0;
	size_t i;

	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of RC2", &params, f) == -1)
		return -1;
	if (ber_is_next(&params, BER_INTEGER) &&
	    ber_number(&params, "the version of RC2", &version, f) == -1)
		return -1;
	pbe->cipher = NID_undef;
	for (i = 0; i < sizeof rc2_versions / sizeof rc2_versions[0]; i++)
		if (rc2_versions[i].version == version)
			pbe->cipher = rc2_versions[i].cipher;
	if (pbe->cipher == NID_undef)
		set_unsupported(pbe, xasprintf("RC2 of version %llu", (unsigned long long)version));
	return parse_octets(&params, "an IV", pbe->iv, sizeof pbe->iv, &pbe->ivlen, f);
}

static int
parse_cipher(struct ber *b, struct pbe *pbe, struct fail *f)
{
	char *name = NULL;
	struct ber rest;
	int rc = 0;

	if (algorithm(b, &pbe->cipher, &name, &rest, f) == -1)
		return -1;
	if (pbe->cipher == NID_rc2_cbc)
		rc = parse_rc2(&rest, pbe, f);
	else if (pbe->cipher == NID_undef || !ber_is_next(&rest, BER_OCTETS))
		set_unsupported(pbe, xstrdup(name));
	else
		rc = parse_octets(&rest, "an IV", pbe->iv, sizeof pbe->iv, &pbe->ivlen, f);
	free(name);
	return rc;
}

/* RFC 8018 A.4: a KDF, then a cipher. */
static int
parse_pbes2(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	struct ber params;

	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of PBES2", &params, f) == -1)
		return -1;
	return parse_kdf(&params, pbe, f) == -1 ? -1 : parse_cipher(&params, pbe, f);
}

static const struct scheme *
find_scheme(int nid)
{
	size_t i;

	for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (schemes[i].nid == nid)
			return &schemes[i];
	return NULL;
}

int
pbe_parse(struct ber *b, struct pbe *pbe, struct fail *f)
{
	const struct scheme *s;
	struct ber rest;
	int nid = NID_undef, rc = 0;

	*pbe = (struct pbe){ .name = NULL };
	if (algorithm(b, &nid, &pbe->name, &rest, f) == -1)
		return -1;
	if (nid == NID_pbes2)
		rc = parse_pbes2(&rest, pbe, f);
	else if ((s = find_scheme(nid)) != NULL) {
		pbe->kdf = s->kdf;
		pbe->cipher = s->cipher;
		pbe->md = s->md;
		rc = parse_simple(&rest, pbe, f);
	} else
		set_unsupported(pbe, xstrdup(pbe->name));
	if (rc == -1)
		pbe_clear(pbe);
	return rc;
}

/* RFC 9579 5: the length of the key must be said, and be 20 octets or more. */
static int
parse_pbmac1(struct ber *rest, struct pbe *pbe, struct fail *f)
{
	struct ber params;

	if (ber_need_in(rest, BER_SEQUENCE, "the parameters of PBMAC1", &params, f) == -1 ||
	    parse_kdf(&params, pbe, f) == -1)
		return -1;
	if (pbe->kdf == PBE_SCRYPT)
		set_unsupported(pbe, xstrdup("PBMAC1 with scrypt"));
	if (pbe->keylen < PBE_PBMAC1_KEY_MIN)
		set_unsupported(pbe, pbe->keylen == 0 ?
		    xstrdup("PBMAC1 that does not say how long its key is (RFC 9579 5)") :
		    xasprintf("PBMAC1 with a key of %zu octets; expected %d or more (RFC 9579 5)",
		    pbe->keylen, PBE_PBMAC1_KEY_MIN));
	return parse_hmac(&params, pbe, &pbe->mac, f);
}

int
pbe_parse_mac(struct ber *b, struct pbe *pbe, struct fail *f)
{
	const EVP_MD *md;
	struct ber rest;
	int nid = NID_undef, rc = 0;

	*pbe = (struct pbe){ .name = NULL };
	if (algorithm(b, &nid, &pbe->name, &rest, f) == -1)
		return -1;
	if (nid == NID_pbmac1)
		rc = parse_pbmac1(&rest, pbe, f);
	else if ((md = EVP_get_digestbynid(nid)) != NULL && !(EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF)) {
		pbe->kdf = PBE_PKCS12;
		pbe->md = pbe->mac = nid;
		pbe->keylen = EVP_MD_get_size(md);
	} else
		set_unsupported(pbe, xstrdup(pbe->name));
	ossl_clear();
	if (rc == -1)
		pbe_clear(pbe);
	return rc;
}

static int
add_scrypt(struct pbe_cost *cost, const struct pbe *pbe, struct fail *f)
{
	const uint64_t blocks = PBE_SCRYPT_WORK_MAX / 128;

	if (pbe->r > blocks || pbe->n > blocks || pbe->p > blocks ||
	    (pbe->n + pbe->p) * pbe->r > PBE_SCRYPT_MEMORY_MAX / 128)
		return fail(f, FAIL_INPUT, "scrypt over more than %lu MiB of memory (N %llu, r %llu, "
		    "p %llu): refused", PBE_SCRYPT_MEMORY_MAX >> 20, (unsigned long long)pbe->n,
		    (unsigned long long)pbe->r, (unsigned long long)pbe->p);
	if (pbe->p > blocks / (pbe->n * pbe->r) ||
	    (cost->scrypt += pbe->n * pbe->r * pbe->p) > blocks)
		return fail(f, FAIL_INPUT, "scrypt is to go over more than %lu MiB in all: refused",
		    PBE_SCRYPT_WORK_MAX >> 20);
	return 0;
}

static uint64_t
blocks_of(size_t len, int md)
{
	const EVP_MD *d = EVP_get_digestbynid(md);
	size_t size = d != NULL && EVP_MD_get_size(d) > 0 ? (size_t)EVP_MD_get_size(d) : 16;

	return len > size ? (len + size - 1) / size : 1;
}

/* How many times the iterations run: each block of the digest's size costs them all, and the KDF of
 * PKCS#12 derives key and IV apart.  PBKDF1 has one block. */
static uint64_t
runs_of(const struct pbe *pbe)
{
	const EVP_CIPHER *cipher = pbe->mac == NID_undef ? EVP_get_cipherbynid(pbe->cipher) : NULL;
	size_t len = pbe->keylen;
	uint64_t runs;

	if (pbe->kdf == PBE_PBKDF1)
		return 1;
	if (len == 0 && cipher != NULL)
		len = EVP_CIPHER_get_key_length(cipher);
	runs = blocks_of(len, pbe->md);
	return pbe->kdf == PBE_PKCS12 && pbe->mac == NID_undef ? runs + 1 : runs;
}

int
pbe_cost_add(struct pbe_cost *cost, const struct pbe *pbe, unsigned forms, struct fail *f)
{
	uint64_t left = PBE_ITERATIONS_MAX - cost->iterations, runs = runs_of(pbe) * forms;

	if (pbe->kdf == PBE_SCRYPT)
		return add_scrypt(cost, pbe, f);
	if (pbe->iterations > left / runs)
		return fail(f, FAIL_INPUT, "more than %d iterations of key derivation in all (here %llu, "
		    "%llu times): refused", PBE_ITERATIONS_MAX, (unsigned long long)pbe->iterations,
		    (unsigned long long)runs);
	cost->iterations += pbe->iterations * runs;
	return 0;
}

const char *
pbe_kdf_name(const struct pbe *pbe)
{
	static const char *const names[] = {
		[PBE_NONE] = NULL,
		[PBE_PKCS12] = "PKCS12",
		[PBE_PBKDF1] = "PBKDF1",
		[PBE_PBKDF2] = "PBKDF2",
		[PBE_SCRYPT] = "scrypt",
	};

	return names[pbe->kdf];
}

const char *
pbe_digest_name(const struct pbe *pbe)
{
	return pbe->md != NID_undef ? OBJ_nid2sn(pbe->md) : NULL;
}

const char *
pbe_cipher_name(const struct pbe *pbe)
{
	return pbe->cipher != NID_undef ? OBJ_nid2sn(pbe->cipher) : NULL;
}

char *
pbe_describe(const struct pbe *pbe)
{
	struct buf b = BUF_INIT;

	if (pbe->mac != NID_undef)
		buf_printf(&b, "HMAC with %s", OBJ_nid2sn(pbe->mac));
	else
		buf_puts(&b, pbe->cipher != NID_undef ? OBJ_nid2sn(pbe->cipher) : pbe->name);
	if (pbe->kdf == PBE_SCRYPT)
		buf_printf(&b, ", scrypt with N %llu, r %llu, p %llu", (unsigned long long)pbe->n,
		    (unsigned long long)pbe->r, (unsigned long long)pbe->p);
	else if (pbe->kdf != PBE_NONE)
		buf_printf(&b, ", %s with %s, %llu iterations", pbe_kdf_name(pbe), OBJ_nid2sn(pbe->md),
		    (unsigned long long)pbe->iterations);
	if (pbe->unsupported != NULL)
		buf_printf(&b, " (unsupported: %s)", pbe->unsupported);
	return buf_steal(&b);
}

/* One character of UTF-8; 0: there is none here (no NUL comes in). */
static unsigned
next_char(const unsigned char *s, size_t len, size_t *used)
{
	unsigned c = s[0], min = 0;
	size_t n = 0, i;

	if (c < 0x80) {
		*used = 1;
		return c;
	}
	if (c >= 0xc2 && c < 0xe0) {
		n = 1, c &= 0x1f, min = 0x80;
	} else if (c >= 0xe0 && c < 0xf0) {
		n = 2, c &= 0x0f, min = 0x800;
	} else if (c >= 0xf0 && c < 0xf5) {
		n = 3, c &= 0x07, min = 0x10000;
	}
	if (n == 0 || n >= len)
		return 0;
	for (i = 1; i <= n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	*used = n + 1;
	return c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : c;
}

static void
put_unit(struct buf *b, unsigned unit)
{
	buf_putc(b, (char)(unit >> 8));
	buf_putc(b, (char)(unit & 0xff));
}

/* Room at once, so that no copy of a passphrase is left behind where a buffer moves. */
static struct buf *
new_form(struct pbe_pass *pass)
{
	struct buf *b = &pass->form[pass->nform++];

	b->size = 2 * pass->len + 16;
	b->p = xmalloc(b->size);
	b->len = 0;
	b->p[0] = '\0';
	return b;
}

/* RFC 7292 B.1: UTF-16BE with a terminator; a character beyond the first plane as a pair.  Not UTF-8:
 * taken away again. */
static void
add_utf16(struct pbe_pass *pass)
{
	const unsigned char *s = (const unsigned char *)pass->utf8;
	struct buf *b = new_form(pass);
	size_t i, used = 0;
	unsigned c;

	for (i = 0; i < pass->len; i += used) {
		if ((c = next_char(s + i, pass->len - i, &used)) == 0) {
			buf_wipe(b);
			pass->nform--;
			return;
		}
		if (c >= 0x10000) {
			put_unit(b, 0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		put_unit(b, c);
	}
	put_unit(b, 0);
}

static void
add_widened(struct pbe_pass *pass)
{
	struct buf *b = new_form(pass);
	size_t i;

	for (i = 0; i < pass->len; i++)
		put_unit(b, (unsigned char)pass->utf8[i]);
	put_unit(b, 0);
}

void
pbe_pass_init(struct pbe_pass *pass, const char *utf8, size_t len)
{
	int ascii = 1;
	size_t i;

	*pass = (struct pbe_pass){ .utf8 = utf8, .len = len, .nform = 0 };
	for (i = 0; i < len; i++)
		if ((unsigned char)utf8[i] >= 0x80)
			ascii = 0;
	add_utf16(pass);
	if (!ascii)
		add_widened(pass);
	if (len == 0)
		(void)new_form(pass);
}

void
pbe_pass_clear(struct pbe_pass *pass)
{
	unsigned i;

	for (i = 0; i < pass->nform; i++)
		buf_wipe(&pass->form[i]);
	pass->nform = 0;
}

unsigned
pbe_forms(const struct pbe *pbe, const struct pbe_pass *pass)
{
	return pbe->kdf == PBE_PKCS12 ? pass->nform : 1;
}

/* What the PKCS#12 KDF derives (RFC 7292 B.3).  For other KDFs key and IV are not apart. */
enum purpose { FOR_KEY = PKCS12_KEY_ID, FOR_IV = PKCS12_IV_ID, FOR_MAC = PKCS12_MAC_ID };

static int
derive_pkcs12(const struct pbe *pbe, const struct buf *form, enum purpose id, uint8_t *out,
    size_t len, struct fail *f)
{
	OSSL_LIB_CTX *ctx;
	EVP_MD *md;
	int ok;

	if ((md = fetch_md(pbe->md, &ctx, f)) == NULL)
		return -1;
	ok = PKCS12_key_gen_uni_ex((unsigned char *)form->p, (int)form->len,
	    (unsigned char *)(uintptr_t)pbe->salt, (int)pbe->saltlen, id, (int)pbe->iterations, (int)len,
	    out, md, ctx, NULL);
	EVP_MD_free(md);
	return ok == 1 ? 0 : fail_ossl(f, FAIL_INPUT, "no key can be derived");
}

/* RFC 8018 5.1: no longer than the digest. */
static int
derive_pbkdf1(const struct pbe *pbe, const struct pbe_pass *pass, uint8_t *out, size_t len,
    struct fail *f)
{
	unsigned char t[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	OSSL_LIB_CTX *ctx;
	EVP_MD *md = NULL;
	unsigned n = 0;
	uint64_t i;
	int rc = -1;

	if (c == NULL)
		alloc_failed();
	if ((md = fetch_md(pbe->md, &ctx, f)) == NULL)
		goto out;
	if (EVP_DigestInit_ex(c, md, NULL) != 1 || EVP_DigestUpdate(c, pass->utf8, pass->len) != 1 ||
	    EVP_DigestUpdate(c, pbe->salt, pbe->saltlen) != 1 || EVP_DigestFinal_ex(c, t, &n) != 1)
		goto bad;
	for (i = 1; i < pbe->iterations; i++)
		if (EVP_DigestInit_ex(c, md, NULL) != 1 || EVP_DigestUpdate(c, t, n) != 1 ||
		    EVP_DigestFinal_ex(c, t, &n) != 1)
			goto bad;
	if (n < len)
		goto bad;
	memcpy(out, t, len);
	rc = 0;
	goto out;
bad:
	fail_ossl(f, FAIL_INPUT, "no key can be derived");
out:
	OPENSSL_cleanse(t, sizeof t);
	EVP_MD_CTX_free(c);
	EVP_MD_free(md);
	return rc;
}

static int
run_pbkdf2(const struct pbe *pbe, const struct pbe_pass *pass, OSSL_LIB_CTX *ctx, uint8_t *out,
    size_t len)
{
	char *digest = (char *)(uintptr_t)OBJ_nid2sn(pbe->md);
	EVP_KDF *kdf = EVP_KDF_fetch(ctx, "PBKDF2", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
	uint64_t iterations = pbe->iterations;
	OSSL_PARAM params[6];
	int plain = 1, ok;

	params[0] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS5, &plain);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD,
	    (void *)(uintptr_t)pass->utf8, pass->len);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
	    (void *)(uintptr_t)pbe->salt, pbe->saltlen);
	params[3] = OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations);
	params[4] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[5] = OSSL_PARAM_construct_end();
	ok = c != NULL && EVP_KDF_derive(c, out, len, params) == 1;
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
	return ok;
}

static int
derive_pbkdf2(const struct pbe *pbe, const struct pbe_pass *pass, uint8_t *out, size_t len,
    struct fail *f)
{
	OSSL_LIB_CTX *ctx;
	EVP_MD *md;

	if ((md = fetch_md(pbe->md, &ctx, f)) == NULL)
		return -1;
	EVP_MD_free(md);
	if (!run_pbkdf2(pbe, pass, ctx, out, len))
		return fail_ossl(f, FAIL_INPUT, "no key can be derived");
	return 0;
}

static int
derive(const struct pbe *pbe, const struct pbe_pass *pass, unsigned form, enum purpose id,
    uint8_t *out, size_t len, struct fail *f)
{
	ossl_clear();
	switch (pbe->kdf) {
	case PBE_PKCS12:
		return derive_pkcs12(pbe, &pass->form[form], id, out, len, f);
	case PBE_PBKDF1:
		return derive_pbkdf1(pbe, pass, out, len, f);
	case PBE_PBKDF2:
		return derive_pbkdf2(pbe, pass, out, len, f);
	case PBE_SCRYPT:
		if (EVP_PBE_scrypt(pass->utf8, pass->len, pbe->salt, pbe->saltlen, pbe->n, pbe->r, pbe->p,
		    PBE_SCRYPT_MEMORY_MAX + SCRYPT_SPARE, out, len) == 1)
			return 0;
		return fail_ossl(f, FAIL_INPUT, "no key can be derived");
	case PBE_NONE:
		break;
	}
	abort();
}

struct keys {
	uint8_t key[EVP_MAX_KEY_LENGTH], iv[EVP_MAX_IV_LENGTH];
	size_t keylen;
};

/* Key and IV; only PBES2 has the IV, and perhaps the key's length, beside it. */
static int
derive_keys(const struct pbe *pbe, const struct pbe_pass *pass, unsigned form,
    const EVP_CIPHER *cipher, struct keys *k, struct fail *f)
{
	size_t ivlen = EVP_CIPHER_get_iv_length(cipher);
	uint8_t both[16];

	k->keylen = pbe->keylen > 0 ? pbe->keylen : (size_t)EVP_CIPHER_get_key_length(cipher);
	if (pbe->kdf == PBE_PBKDF1) {
		if (derive(pbe, pass, form, FOR_KEY, both, sizeof both, f) == -1)
			return -1;
		memcpy(k->key, both, 8);
		memcpy(k->iv, both + 8, 8);
		OPENSSL_cleanse(both, sizeof both);
		return 0;
	}
	if (pbe->kdf != PBE_PKCS12 && pbe->ivlen != ivlen)
		return fail(f, FAIL_INPUT, "damaged: an IV of %zu octets for %s", pbe->ivlen,
		    OBJ_nid2sn(pbe->cipher));
	memcpy(k->iv, pbe->iv, pbe->kdf != PBE_PKCS12 ? ivlen : 0);
	if (pbe->kdf == PBE_PKCS12 && ivlen > 0 &&
	    derive(pbe, pass, form, FOR_IV, k->iv, ivlen, f) == -1)
		return -1;
	return derive(pbe, pass, form, FOR_KEY, k->key, k->keylen, f);
}

static int
check_cipher(const struct pbe *pbe, const EVP_CIPHER *cipher, struct fail *f)
{
	size_t want = EVP_CIPHER_get_key_length(cipher);

	if (EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER)
		return fail(f, FAIL_INPUT, "unsupported algorithm: %s", OBJ_nid2sn(pbe->cipher));
	if (pbe->keylen > 0 && pbe->keylen != want &&
	    !(EVP_CIPHER_get_flags(cipher) & EVP_CIPH_VARIABLE_LENGTH))
		return fail(f, FAIL_INPUT, "damaged: a key of %zu octets for %s", pbe->keylen,
		    OBJ_nid2sn(pbe->cipher));
	return 0;
}

/* 1, 0 as pbe_decrypt(); -1 without words. */
static int
run_cipher(const EVP_CIPHER *cipher, const struct keys *k, const uint8_t *in, size_t len,
    struct buf *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0, last = 0, rc = -1;

	if (c == NULL)
		alloc_failed();
	if (EVP_DecryptInit_ex2(c, cipher, NULL, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_key_length(c, (int)k->keylen) != 1 ||
	    EVP_DecryptInit_ex2(c, NULL, k->key, k->iv, NULL) != 1)
		goto out;
	out->size = len + EVP_MAX_BLOCK_LENGTH + 1;
	out->p = xmalloc(out->size);
	if (EVP_DecryptUpdate(c, (unsigned char *)out->p, &n, in, (int)len) != 1)
		goto out;
	rc = EVP_DecryptFinal_ex(c, (unsigned char *)out->p + n, &last) == 1;
	out->len = n + (rc == 1 ? last : 0);
	out->p[out->len] = '\0';
out:
	EVP_CIPHER_CTX_free(c);
	return rc;
}

int
pbe_decrypt(const struct pbe *pbe, const struct pbe_pass *pass, unsigned form, const uint8_t *in,
    size_t len, struct buf *out, struct fail *f)
{
	struct keys k = { .keylen = 0 };
	EVP_CIPHER *cipher;
	int rc = -1;

	buf_wipe(out);
	if (pbe->unsupported != NULL)
		return fail(f, FAIL_INPUT, "unsupported algorithm: %s", pbe->unsupported);
	if ((cipher = fetch_cipher(pbe->cipher, f)) == NULL)
		return -1;
	if (check_cipher(pbe, cipher, f) == 0 && derive_keys(pbe, pass, form, cipher, &k, f) == 0 &&
	    (rc = run_cipher(cipher, &k, in, len, out)) == -1)
		fail_ossl(f, FAIL_INPUT, "unsupported algorithm: %s", OBJ_nid2sn(pbe->cipher));
	OPENSSL_cleanse(&k, sizeof k);
	EVP_CIPHER_free(cipher);
	ossl_clear();
	if (rc != 1)
		buf_wipe(out);
	return rc;
}

static int
run_hmac(int nid, OSSL_LIB_CTX *ctx, const uint8_t *key, size_t keylen, const void *p, size_t n,
    uint8_t *md, size_t *len)
{
	return EVP_Q_mac(ctx, "HMAC", NULL, OBJ_nid2sn(nid), NULL, key, keylen, p, n, md,
	    EVP_MAX_MD_SIZE, len) != NULL;
}

int
pbe_mac(const struct pbe *pbe, const struct pbe_pass *pass, unsigned form, const void *p, size_t n,
    uint8_t *md, size_t *len, struct fail *f)
{
	uint8_t key[PBE_KEY_MAX];
	OSSL_LIB_CTX *ctx;
	EVP_MD *found;
	int rc = -1;

	if (pbe->unsupported != NULL)
		return fail(f, FAIL_INPUT, "unsupported algorithm: %s", pbe->unsupported);
	if ((found = fetch_md(pbe->mac, &ctx, f)) == NULL)
		return -1;
	EVP_MD_free(found);
	if (derive(pbe, pass, form, FOR_MAC, key, pbe->keylen, f) == -1)
		goto out;
	if (run_hmac(pbe->mac, ctx, key, pbe->keylen, p, n, md, len))
		rc = 0;
	else
		fail_ossl(f, FAIL_INPUT, "unsupported algorithm: HMAC with %s", OBJ_nid2sn(pbe->mac));
out:
	OPENSSL_cleanse(key, sizeof key);
	return rc;
}
