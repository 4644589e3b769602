#include "trust.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "issue.h"
#include "key.h"
#include "unit.h"

static char dir[] = "/tmp/mtatls-trust-XXXXXX";

static void
must(int ok)
{
	if (!ok)
		abort();
}

/* A self-signed certificate whose subject is of these strings; type: MBSTRING_* or V_ASN1_*. */
static X509 *
make_cert(int type, const char *o, int olen, const char *cn)
{
	EVP_PKEY *key = key_generate("ec:p256", NULL);
	X509 *c = X509_new();
	X509_NAME *name = X509_get_subject_name(c);

	must(X509_NAME_add_entry_by_txt(name, "O", type, (const unsigned char *)o, olen, -1, 0));
	must(X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, (const unsigned char *)cn, -1,
	    -1, 0));
	must(X509_set_version(c, X509_VERSION_3) && X509_set_issuer_name(c, name));
	must(X509_gmtime_adj(X509_getm_notBefore(c), 0) != NULL);
	must(X509_gmtime_adj(X509_getm_notAfter(c), 86400) != NULL);
	must(X509_set_pubkey(c, key) && X509_sign(c, key, EVP_sha256()));
	EVP_PKEY_free(key);
	return c;
}

static void
put_file(const char *name, const void *p, size_t len)
{
	char *path = file_join(dir, name);

	must(file_write(path, 0644, FILE_REPLACE, p, len, NULL) == 0);
	free(path);
}

/* How many of the trusted have the subject of this certificate. */
static int
count(const struct trust *t, const X509 *cert)
{
	STACK_OF(X509) *found = trust_by_subject(t, X509_get_subject_name(cert));
	int n = sk_X509_num(found);

	cert_chain_free(found);
	return n;
}

/* Spellings that RFC 5280 7.1 holds to be one name, and some that are others. */
static void
test_names(void)
{
	static const struct {
		const char *what;
		int type;
		const char *o;
		int olen;
		const char *cn;
		int same;
	} rows[] = {
		{ "the same", V_ASN1_UTF8STRING, "Example CA 1", -1, "root", 1 },
		{ "a PrintableString", V_ASN1_PRINTABLESTRING, "Example CA 1", -1, "root", 1 },
		{ "an IA5String", V_ASN1_IA5STRING, "Example CA 1", -1, "root", 1 },
		{ "a TeletexString", V_ASN1_T61STRING, "Example CA 1", -1, "root", 1 },
		{ "a BMPString", V_ASN1_BMPSTRING,
		    "\0E\0x\0a\0m\0p\0l\0e\0 \0C\0A\0 \0001", 24, "root", 1 },
		{ "another case", V_ASN1_UTF8STRING, "EXAMPLE ca 1", -1, "Root", 1 },
		{ "more blanks", V_ASN1_UTF8STRING, "  Example   CA 1 ", -1, "root", 1 },
		{ "another number", V_ASN1_UTF8STRING, "Example CA 2", -1, "root", 0 },
		{ "no blanks", V_ASN1_UTF8STRING, "ExampleCA1", -1, "root", 0 },
		{ "a sign more", V_ASN1_UTF8STRING, "Example CA-1", -1, "root", 0 },
		{ "the parts changed", V_ASN1_UTF8STRING, "root", -1, "Example CA 1", 0 },
		{ "an umlaut", V_ASN1_UTF8STRING, "Ex\xc3\xa4mple CA 1", -1, "root", 0 },
	};
	X509 *root = make_cert(V_ASN1_UTF8STRING, "Example CA 1", -1, "root");
	struct buf b = BUF_INIT;
	struct trust *t;
	size_t i;

	must(pem_put_cert(&b, root, NULL) == 0);
	t = trust_from_pem(b.p, b.len, NULL);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *c = make_cert(rows[i].type, rows[i].o, rows[i].olen, rows[i].cn);

		unit_int(count(t, c), rows[i].same, "%s", rows[i].what);
		unit_int(trust_has(t, c), 0, "%s: another certificate", rows[i].what);
		X509_free(c);
	}
	unit_int(trust_has(t, root), 1, "the very certificate");
	trust_free(t);
	buf_clear(&b);
	X509_free(root);
}

/* The labels that a list may have, and what may stand beside. */
static void
test_forms(void)
{
	X509 *a = make_cert(V_ASN1_UTF8STRING, "A", -1, "a"), *b = make_cert(V_ASN1_UTF8STRING, "B", -1,
	    "b");
	struct buf der = BUF_INIT, text = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct trust *t;

	must(cert_to_der(a, &der, NULL) == 0);
	t = trust_from_pem(der.p, der.len, NULL);
	unit_ok(t != NULL && trust_has(t, a) && trust_size(t) == 1, "DER");
	trust_free(t);
	pem_put(&text, "X509 CERTIFICATE", (const uint8_t *)der.p, der.len);
	buf_puts(&text, "some text\n-----BEGIN X509 CRL-----\nMAMCAQA=\n-----END X509 CRL-----\n");
	/* What openssl x509 -addtrust appends: a SEQUENCE of its own. */
	buf_clear(&der);
	must(cert_to_der(b, &der, NULL) == 0);
	buf_add(&der, "\x30\x0a\x30\x08\x06\x06\x2b\x06\x01\x05\x05\x07", 12);
	pem_put(&text, "TRUSTED CERTIFICATE", (const uint8_t *)der.p, der.len);
	t = trust_from_pem(text.p, text.len, NULL);
	unit_ok(t != NULL && trust_size(t) == 2, "X509 and TRUSTED CERTIFICATE, and no CRL");
	unit_ok(t != NULL && trust_has(t, a) && trust_has(t, b) && count(t, b) == 1, "both are there");
	trust_free(t);
	buf_clear(&text);
	pem_put(&text, "X509 CRL", (const uint8_t *)"\x30\x03\x02\x01\0", 5);
	unit_ok(trust_from_pem(text.p, text.len, &f) == NULL && f.kind == FAIL_INPUT, "no certificate");
	unit_str(f.text, "no certificate in it", "is said");
	pem_put(&text, "CERTIFICATE", (const uint8_t *)"\x30\x03\x02\x01\0", 5);
	unit_ok(trust_from_pem(text.p, text.len, &f) == NULL, "one that is none");
	unit_str(f.text, "line 4: not a certificate", "is said too");
	buf_clear(&text);
	buf_clear(&der);
	X509_free(a);
	X509_free(b);
}

/* ---- the state ---- */

static void
test_state_rows(void)
{
#define FP "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const struct {
		const char *text, *error;	/* error: behind the file's name */
		int system, custom;
		size_t n;
	} rows[] = {
		{ "", NULL, 1, 0, 0 },
		{ "# nothing\n", NULL, 1, 0, 0 },
		{ "list system off\n", NULL, 0, 0, 0 },
		{ "list system off\nlist custom on\n", NULL, 0, 1, 0 },
		{ "distrust " FP "\n", NULL, 1, 0, 1 },
		{ "distrust " FP " after 2026-11-21\n", NULL, 1, 0, 1 },
		{ "distrust " FP " after 2026-11-21T10:00:00Z\n", NULL, 1, 0, 1 },
		{ "distrust " FP " tbs " FP "\n", NULL, 1, 0, 1 },
		{ "distrust " FP " after 2026-11-21 tbs " FP "\n", NULL, 1, 0, 1 },
		{ "distrust " FP " tbs\n",
		    ":1: distrust: expected \"tbs\" and 64 hexadecimal digits", 0, 0, 0 },
		{ "distrust " FP " tbs 0123\n",
		    ":1: distrust: expected \"tbs\" and 64 hexadecimal digits", 0, 0, 0 },
		{ "distrust " FP " after 2026-11-21 tbs\n",
		    ":1: distrust: expected \"tbs\" and 64 hexadecimal digits", 0, 0, 0 },
		{ "distrust " FP " tbs " FP " after 2026-11-21\n",
		    ":1: distrust: expected \"tbs\" and 64 hexadecimal digits", 0, 0, 0 },
		{ "list\n", ":1: list: expected 2 values, found 0", 0, 0, 0 },
		{ "list other on\n", ":1: list: expected system or custom", 0, 0, 0 },
		{ "\nlist system maybe\n", ":2: list: expected on or off", 0, 0, 0 },
		{ "trust " FP "\n", ":1: unknown keyword \"trust\"", 0, 0, 0 },
		{ "distrust 0123\n", ":1: distrust: expected 64 hexadecimal digits", 0, 0, 0 },
		{ "distrust " FP " after\n", ":1: distrust: expected \"after\" and a date", 0, 0, 0 },
		{ "distrust " FP " before 2026-11-21\n", ":1: distrust: expected \"after\" and a date", 0,
		    0, 0 },
		{ "distrust " FP " after 2026-11-31\n",
		    ":1: distrust: 2026-11-31: there is no such time", 0, 0, 0 },
		{ "distrust " FP "\ndistrust " FP "\n",
		    ":2: distrust: this certificate has a line already", 0, 0, 0 },
	};
	char *path = file_join(dir, "ca/state");
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct trust_state st;
		int rc;

		put_file("ca/state", rows[i].text, strlen(rows[i].text));
		rc = trust_state_read(dir, &st, &f);
		unit_str(rc == -1 ? f.text + strlen(path) : NULL, rows[i].error, "state %zu", i);
		unit_ok(st.on[TRUST_SYSTEM] == rows[i].system && st.on[TRUST_CUSTOM] == rows[i].custom &&
		    st.n == rows[i].n, "state %zu: what it says", i);
		unit_int(f.kind, rc == -1 ? FAIL_INPUT : FAIL_NONE, "state %zu: kind", i);
		trust_state_clear(&st);
	}
	must(unlink(path) == 0);
	free(path);
}

static void
test_state_again(void)
{
	struct trust_distrust d[2] = { { .fp = FP }, { .dated = 1, .after = 1800000000,
		.tbs = FP } };
	struct trust_state st = { .on = { 0, 1 }, .v = d, .n = 2 }, again;
	char *path = file_join(dir, "ca/state");
	struct stat s;
	mode_t old = umask(077);

	memset(d[1].fp, 'a', 64);
	unit_int(trust_state_write(dir, &st, NULL), 0, "the state is written");
	umask(old);
	unit_ok(stat(path, &s) == 0 && (s.st_mode & 07777) == 0644, "its mode");
	unit_int(trust_state_read(dir, &again, NULL), 0, "and read");
	unit_ok(again.n == 2 && again.on[0] == 0 && again.on[1] == 1, "the same");
	unit_ok(again.n == 2 && !again.v[0].dated && again.v[1].dated &&
	    again.v[1].after == 1800000000, "the same dates");
	unit_str(again.v[0].tbs, "", "nothing where nothing was known");
	unit_str(again.v[1].tbs, FP, "the same fingerprint of what is signed");
	unit_ok(trust_state_find(&again, d[1].fp) == &again.v[1], "found");
	unit_ok(trust_state_find(&again, "") == NULL, "not found");
	trust_state_clear(&again);
	must(unlink(path) == 0);
	free(path);
}

/* ---- the lists ---- */

/* What trust_open() finds: SYSTEM and CUSTOM say whether the certificate of that list counts. */
static void
test_open(void)
{
	static const struct {
		const char *what, *state;
		int system_file, custom_file;
		int system, custom;	/* how many of each; -1: refused */
	} rows[] = {
		{ "at first", NULL, 1, 0, 1, 0 },
		{ "custom is off", NULL, 1, 1, 1, 0 },
		{ "both on", "list custom on\n", 1, 1, 1, 1 },
		{ "custom on, none there", "list custom on\n", 1, 0, 1, 0 },
		{ "system off", "list system off\nlist custom on\n", 1, 1, 0, 1 },
		{ "both off", "list system off\nlist custom off\n", 1, 1, 0, 0 },
		{ "no bundle, custom on", "list custom on\n", 0, 1, 0, 1 },
		{ "no bundle, custom off", NULL, 0, 1, -1, -1 },
		{ "no bundle, and it is off", "list system off\n", 0, 1, 0, 0 },
		{ "a damaged state", "list custom perhaps\n", 1, 1, -1, -1 },
	};
	X509 *sys = make_cert(V_ASN1_UTF8STRING, "System", -1, "root"),
	    *own = make_cert(V_ASN1_UTF8STRING, "Own", -1, "root");
	struct buf a = BUF_INIT, b = BUF_INIT;
	char *bundle = file_join(dir, "bundle.crt");
	size_t i;

	must(pem_put_cert(&a, sys, NULL) == 0 && pem_put_cert(&b, own, NULL) == 0);
	setenv("MTATLS_SYSTEM_CA", bundle, 1);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct trust *t;

		if (rows[i].system_file)
			put_file("bundle.crt", a.p, a.len);
		if (rows[i].custom_file)
			put_file("ca/custom.pem", b.p, b.len);
		if (rows[i].state != NULL)
			put_file("ca/state", rows[i].state, strlen(rows[i].state));
		t = trust_open(dir, &f);
		unit_int(t != NULL ? count(t, sys) : -1, rows[i].system, "%s: system", rows[i].what);
		unit_int(t != NULL ? count(t, own) : -1, rows[i].custom, "%s: custom", rows[i].what);
		unit_ok((t == NULL) == (f.kind != FAIL_NONE), "%s: %s", rows[i].what, f.text);
		trust_free(t);
		unlink(bundle);
		put_file("ca/state", "", 0);
		put_file("ca/custom.pem", "", 0);
	}
	put_file("bundle.crt", a.p, a.len);
	free(bundle);
	buf_clear(&a);
	buf_clear(&b);
	X509_free(sys);
	X509_free(own);
}

static void
test_damaged(void)
{
	struct fail f = FAIL_INIT;
	char *path = file_join(dir, "ca/custom.pem"), *want;
	static const char text[] =
	    "# one\n-----BEGIN CERTIFICATE-----\nMAM!\n-----END CERTIFICATE-----\n";

	put_file("ca/custom.pem", text, sizeof text - 1);
	put_file("ca/state", "list custom on\n", 15);
	want = xasprintf("%s: line 3: expected base64, found a character that is not", path);
	unit_ok(trust_open(dir, &f) == NULL && f.kind == FAIL_INPUT, "a damaged list");
	unit_str(f.text, want, "is named with its line");
	free(want);
	free(path);
	put_file("ca/custom.pem", "# empty\n", 8);
}

/* The certificate with its ECDSA signature's s as n - s, which holds too. */
static X509 *
with_other_s(const X509 *c)
{
	const ASN1_BIT_STRING *bits;
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *s = BN_new();
	X509 *twin = X509_dup((X509 *)(uintptr_t)c);
	const unsigned char *p;
	unsigned char *der = NULL;
	ECDSA_SIG *sig;
	int n;

	X509_get0_signature(&bits, NULL, twin);
	p = ASN1_STRING_get0_data(bits);
	must((sig = d2i_ECDSA_SIG(NULL, &p, ASN1_STRING_length(bits))) != NULL);
	must(BN_sub(s, EC_GROUP_get0_order(group), ECDSA_SIG_get0_s(sig)) == 1);
	must(ECDSA_SIG_set0(sig, BN_dup(ECDSA_SIG_get0_r(sig)), s) == 1);
	must((n = i2d_ECDSA_SIG(sig, &der)) > 0);
	must(ASN1_STRING_set((ASN1_STRING *)(uintptr_t)bits, der, n) == 1);
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EC_GROUP_free(group);
	return twin;
}

/* Whoever has a distrusted certificate can write another with the same contents. */
static void
test_twin(void)
{
	X509 *c = make_cert(V_ASN1_UTF8STRING, "Own", -1, "root"), *twin = with_other_s(c);
	X509 *other = make_cert(V_ASN1_UTF8STRING, "Own", -1, "root");
	struct trust_distrust d = { .dated = 0 };
	struct trust_state st = { .on = { 0, 1 }, .v = &d, .n = 1 };
	struct trust *t = NULL;

	unit_int(X509_verify(twin, X509_get0_pubkey(c)), 1, "the other signature holds");
	unit_ok(strcmp(cert_fingerprint(d.fp, twin), cert_fingerprint(d.tbs, c)) != 0,
	    "and the fingerprint is another");
	cert_fingerprint(d.fp, c);
	cert_tbs_fingerprint(d.tbs, c);
	must(trust_state_write(dir, &st, NULL) == 0 && (t = trust_open(dir, NULL)) != NULL);
	unit_int(trust_distrusts(t, c, 0), 1, "the certificate");
	unit_int(trust_distrusts(t, twin, 0), 1, "its twin");
	unit_int(trust_distrusts(t, other, 0), 0, "not another");
	trust_free(t);
	X509_free(c);
	X509_free(twin);
	X509_free(other);
}

static void
test_distrust(void)
{
	X509 *c = make_cert(V_ASN1_UTF8STRING, "Own", -1, "root");
	struct trust_distrust d = { .dated = 0 };
	struct trust_state st = { .on = { 0, 1 }, .v = &d, .n = 1 };
	STACK_OF(X509) *listed;
	struct buf b = BUF_INIT;
	struct trust *t = NULL;

	cert_fingerprint(d.fp, c);
	must(pem_put_cert(&b, c, NULL) == 0 && trust_list_write(dir, b.p, b.len, NULL) == 0);
	must(trust_state_write(dir, &st, NULL) == 0 && (t = trust_open(dir, NULL)) != NULL);
	unit_int(count(t, c), 0, "distrusted: not among the trusted");
	listed = trust_listed_by_subject(t, X509_get_subject_name(c));
	unit_int(sk_X509_num(listed), 1, "but listed");
	cert_chain_free(listed);
	unit_int(trust_has(t, c), 1, "and there");
	unit_int(trust_distrusts(t, c, 0), 1, "for any leaf");
	trust_free(t);
	d.dated = 1;
	d.after = 1000;
	must(trust_state_write(dir, &st, NULL) == 0 && (t = trust_open(dir, NULL)) != NULL);
	unit_int(count(t, c), 1, "distrusted after a date: among the trusted");
	unit_int(trust_distrusts(t, c, 1000), 0, "for a leaf of that second");
	unit_int(trust_distrusts(t, c, 1001), 1, "for one of the next");
	trust_free(t);
	buf_clear(&b);
	X509_free(c);
}

/* The lock is one: a second process waits for it. */
static void
test_lock(void)
{
	struct fail f = FAIL_INIT;
	int fd = trust_lock(dir, &f), told[2], status = -1;
	char c = 0;
	pid_t pid = -1;

	must(fd != -1 && pipe(told) == 0 && (pid = fork()) != -1);
	if (pid == 0) {
		/* The lock is of what was opened, which a fork shares. */
		close(fd);
		if (trust_lock(dir, &f) == -1)
			_exit(1);
		_exit(read(told[0], &c, 1) == 1 ? 0 : 2);
	}
	must(write(told[1], "x", 1) == 1);
	unit_int(waitpid(pid, &status, WNOHANG), 0, "the second process waits");
	close(fd);
	must(waitpid(pid, &status, 0) == pid);
	unit_int(status, 0, "and has its turn");
	close(told[0]);
	close(told[1]);
}

int
main(void)
{
	must(mkdtemp(dir) != NULL);
	close(trust_lock(dir, NULL));
	test_names();
	test_forms();
	test_state_rows();
	test_state_again();
	test_open();
	test_damaged();
	test_distrust();
	test_twin();
	test_lock();
	must(file_remove_tree(dir, NULL) == 0);
	return unit_done();
}
