/*
 * OpenSSL makes the file without a MAC, and with the MAC of the PKCS#12 KDF.  PBMAC1, which it has not
 * before 3.4, is put behind what it made: the octets of AuthenticatedSafe are authenticated as they
 * stand there.
 */
#include "p12_write.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>

#include <string.h>

#include "alloc.h"
#include "ber.h"
#include "ossl.h"
#include "pbe.h"

#define SALT_LEN 16
#define MAC_LEN 32

static PKCS12 *
make_pfx(const struct p12_order *o, const char *pass)
{
	int nid = o->form == P12_COMPAT ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : NID_aes_256_cbc;

	return PKCS12_create(pass, o->name, o->key, o->cert, o->chain, nid, nid, (int)o->iterations,
	    -1, 0);
}

static int
add_mac(PKCS12 *pfx, const struct p12_order *o, const char *pass)
{
	uint8_t salt[SALT_LEN];

	if (o->form == P12_PBMAC1)
		return 1;
	if (RAND_bytes(salt, sizeof salt) != 1)
		return 0;
	return PKCS12_set_mac(pfx, pass, -1, salt, sizeof salt, (int)o->iterations,
	    o->form == P12_COMPAT ? EVP_sha1() : EVP_sha256());
}

static void
put_object(struct buf *b, int nid)
{
	const ASN1_OBJECT *o = OBJ_nid2obj(nid);

	ber_put(b, BER_OID, OBJ_get0_data(o), OBJ_length(o));
}

/* Puts the contents into a SEQUENCE and empties them. */
static void
close_sequence(struct buf *b, struct buf *contents)
{
	ber_put(b, BER_SEQUENCE, contents->p, contents->len);
	buf_clear(contents);
}

static void
put_hmac(struct buf *b)
{
	struct buf in = BUF_INIT;

	put_object(&in, NID_hmacWithSHA256);
	ber_put(&in, BER_NULL, NULL, 0);
	close_sequence(b, &in);
}

/* RFC 8018 A.2; RFC 9579 5 wants the length of the key. */
static void
put_pbkdf2(struct buf *b, const struct pbe *pbe)
{
	struct buf in = BUF_INIT, params = BUF_INIT;

	ber_put(&params, BER_OCTETS, pbe->salt, pbe->saltlen);
	ber_put_number(&params, pbe->iterations);
	ber_put_number(&params, pbe->keylen);
	put_hmac(&params);
	put_object(&in, NID_id_pbkdf2);
	close_sequence(&in, &params);
	close_sequence(b, &in);
}

/* RFC 9579 4: the salt and the iterations of MacData itself mean nothing; it says what to put there. */
static void
put_mac_data(struct buf *b, const struct pbe *pbe, const uint8_t *md, size_t len)
{
	struct buf params = BUF_INIT, alg = BUF_INIT, info = BUF_INIT, mac = BUF_INIT;

	put_pbkdf2(&params, pbe);
	put_hmac(&params);
	put_object(&alg, NID_pbmac1);
	close_sequence(&alg, &params);
	close_sequence(&info, &alg);
	ber_put(&info, BER_OCTETS, md, len);
	close_sequence(&mac, &info);
	ber_put(&mac, BER_OCTETS, "NOT USED", 8);
	ber_put_number(&mac, 1);
	close_sequence(b, &mac);
}

/* The octets of AuthenticatedSafe in what OpenSSL made, and the whole of its SEQUENCE. */
static int
find_safe(const uint8_t *der, size_t len, struct ber_item *safe, struct ber *pfx, struct fail *f)
{
	struct ber b, in, info, outer;
	struct ber_item type;
	uint64_t version;

	ber_init(&b, der, len, NULL);
	if (ber_need_in(&b, BER_SEQUENCE, "PFX", pfx, f) == -1)
		return -1;
	in = *pfx;
	if (ber_number(&in, "version", &version, f) == -1 ||
	    ber_need_in(&in, BER_SEQUENCE, "ContentInfo", &info, f) == -1 ||
	    ber_need(&info, BER_OID, "type", &type, f) == -1 ||
	    ber_need_in(&info, BER_CONTEXT | BER_CONSTRUCTED, "contents", &outer, f) == -1)
		return -1;
	return ber_need(&outer, BER_OCTETS, "AuthenticatedSafe", safe, f);
}

static int
add_pbmac1(const struct p12_order *o, const char *pass, const uint8_t *der, size_t len,
    struct buf *out, struct fail *f)
{
	struct pbe pbe = { .kdf = PBE_PBKDF2, .md = NID_sha256, .mac = NID_sha256,
		.saltlen = SALT_LEN, .iterations = o->iterations, .keylen = MAC_LEN };
	uint8_t md[EVP_MAX_MD_SIZE];
	struct buf whole = BUF_INIT;
	struct pbe_pass forms;
	struct ber_item safe;
	struct ber pfx;
	size_t n = 0;
	int rc;

	if (find_safe(der, len, &safe, &pfx, f) == -1)
		return -1;
	if (RAND_bytes(pbe.salt, SALT_LEN) != 1)
		return fail_ossl(f, FAIL_SYS, "no random numbers");
	pbe_pass_init(&forms, pass, strlen(pass));
	if ((rc = pbe_mac(&pbe, &forms, 0, safe.body, safe.len, md, &n, f)) == 0) {
		buf_add(&whole, pfx.p, pfx.end - pfx.p);
		put_mac_data(&whole, &pbe, md, n);
		close_sequence(out, &whole);
	}
	pbe_pass_clear(&forms);
	return rc;
}

int
p12_write(const struct p12_order *o, const char *pass, struct buf *out, struct fail *f)
{
	unsigned char *der = NULL;
	PKCS12 *pfx;
	int n = 0, rc = -1;

	ossl_clear();
	if ((pfx = make_pfx(o, pass)) == NULL || !add_mac(pfx, o, pass) ||
	    (n = i2d_PKCS12(pfx, &der)) <= 0)
		fail_ossl(f, FAIL_SYS, "no PKCS#12 file can be made");
	else if (o->form == P12_PBMAC1)
		rc = add_pbmac1(o, pass, der, n, out, f);
	else {
		buf_add(out, der, n);
		rc = 0;
	}
	OPENSSL_free(der);
	PKCS12_free(pfx);
	return rc;
}
