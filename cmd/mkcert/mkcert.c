/*
 * mkcert - make a key and a self-signed certificate, and store them as an identity.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "fail.h"
#include "file.h"
#include "identity.h"
#include "issue.h"
#include "json.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "pem.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: mkcert [-fj] [-a NAME] [-d DIR] [-k FILE] [-n NAME] [-o FILE|-] [-t TYPE]\n"
    "              [--as-ca] [--days N] [--demo] [--server-only] [--org TEXT] [--unit TEXT]\n"
    "              [--locality TEXT] [--state TEXT] [--country CC] CN\n"
    "\n"
    "Make a self-signed certificate for the host name or address CN, and store it with its\n"
    "key as an identity under DIR/certs.\n"
    "\n"
    "  -a, --add NAME        a further host name or address; may be repeated\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force           replace what exists\n"
    "  -j, --json            print one JSON object instead of path and fingerprint\n"
    "  -k, --key FILE        use the private key in FILE (- for stdin), make none\n"
    "  -n, --name NAME       name of the identity (else CN)\n"
    "  -o, --output FILE     write key and certificate as PEM to FILE (- for stdout)\n"
    "  -t, --type TYPE       key type: ec:p256 (default), ec:p384, rsa:2048, rsa:3072, rsa:4096,\n"
    "                        ed25519; ml-dsa:44, ml-dsa:65, ml-dsa:87 where OpenSSL has them\n"
    "      --as-ca           CA:TRUE, for verifiers that insist on it\n"
    "      --days N          valid for N days (365)\n"
    "      --demo            demonstration certificate: marked as such, valid for 7 days\n"
    "      --server-only     no client authentication\n"
    "      --org, --unit, --locality, --state TEXT, --country CC\n"
    "                        further parts of the subject\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_AS_CA = 256, OPT_DAYS, OPT_DEMO, OPT_SERVER_ONLY, OPT_ORG, OPT_UNIT, OPT_LOCALITY,
	OPT_STATE, OPT_COUNTRY };

static const struct option long_options[] = {
	{ "add", required_argument, NULL, 'a' },
	{ "dir", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, 'k' },
	{ "name", required_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "type", required_argument, NULL, 't' },
	{ "version", no_argument, NULL, 'V' },
	{ "as-ca", no_argument, NULL, OPT_AS_CA },
	{ "days", required_argument, NULL, OPT_DAYS },
	{ "demo", no_argument, NULL, OPT_DEMO },
	{ "server-only", no_argument, NULL, OPT_SERVER_ONLY },
	{ "org", required_argument, NULL, OPT_ORG },
	{ "unit", required_argument, NULL, OPT_UNIT },
	{ "locality", required_argument, NULL, OPT_LOCALITY },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "country", required_argument, NULL, OPT_COUNTRY },
	{ NULL, 0, NULL, 0 },
};

struct order {
	struct issue issue;
	const char *cn, *dir, *key_file, *name, *output, *type;
	int days_given, force, json;
};

static int
set_days(struct order *o, const char *arg, struct fail *f)
{
	long long n;

	if (text_number(arg, 1, ISSUE_DAYS_MAX, "--days", &n, f) == -1)
		return -1;
	o->issue.days = n;
	o->days_given = 1;
	return 0;
}

static int
set_subject(struct order *o, int ch, const char *arg, struct fail *f)
{
	static const enum issue_field field[] = {
		[0] = ISSUE_O,
		[OPT_UNIT - OPT_ORG] = ISSUE_OU,
		[OPT_LOCALITY - OPT_ORG] = ISSUE_L,
		[OPT_STATE - OPT_ORG] = ISSUE_ST,
		[OPT_COUNTRY - OPT_ORG] = ISSUE_C,
	};

	return issue_set(&o->issue, field[ch - OPT_ORG], arg, f);
}

/* Options that can be wrong in themselves; the others only note their argument. */
static int
set_option(struct order *o, int ch, const char *arg, struct fail *f)
{
	switch (ch) {
	case 'a':
		return issue_add_san(&o->issue, arg, f);
	case 'd':
		o->dir = arg;
		break;
	case 'f':
		o->force = 1;
		break;
	case 'j':
		o->json = 1;
		break;
	case 'k':
		o->key_file = arg;
		break;
	case 'n':
		o->name = arg;
		break;
	case 'o':
		o->output = arg;
		break;
	case 't':
		o->type = arg;
		break;
	case OPT_AS_CA:
		o->issue.flags |= ISSUE_AS_CA;
		break;
	case OPT_DAYS:
		return set_days(o, arg, f);
	case OPT_DEMO:
		o->issue.flags |= ISSUE_DEMO;
		break;
	case OPT_SERVER_ONLY:
		o->issue.flags |= ISSUE_SERVER_ONLY;
		break;
	case OPT_ORG:
	case OPT_UNIT:
	case OPT_LOCALITY:
	case OPT_STATE:
	case OPT_COUNTRY:
		return set_subject(o, ch, arg, f);
	default:
		abort();
	}
	return 0;
}

/* What cannot be had together. */
static void
check_options(struct order *o)
{
	if (o->key_file != NULL && o->type != NULL)
		tool_usage("-k and -t exclude each other");
	if (o->output != NULL && o->name != NULL)
		tool_usage("-o and -n exclude each other: -o stores no identity");
	if (o->output != NULL && file_is_stdout(o->output) && o->json)
		tool_usage("-o - and -j exclude each other: both write to standard output");
	if (!(o->issue.flags & ISSUE_DEMO))
		return;
	if (o->days_given)
		tool_usage("--demo and --days exclude each other");
	o->issue.days = ISSUE_DEMO_DAYS;
}

static int
parse_args(struct order *o, int argc, char **argv, struct fail *f)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":a:d:fhjk:n:o:t:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (set_option(o, ch, optarg, f) == -1)
			return -1;
	}
	if (argc - optind != 1)
		tool_usage(
		    argc == optind ? "no common name given" : "more than one common name given");
	o->cn = argv[optind];
	check_options(o);
	o->dir = tool_dir(o->dir);
	return issue_set(&o->issue, ISSUE_CN, o->cn, f);
}

static EVP_PKEY *
get_key(const struct order *o, struct fail *f)
{
	const char *type = o->type != NULL ? o->type : KEY_TYPE_DEFAULT;
	struct buf b = BUF_INIT;
	EVP_PKEY *key = NULL;

	if (o->key_file == NULL)
		return key_generate(type, f);
	if (file_read(o->key_file, IDENTITY_FILE_MAX, &b, f) == -1)
		return NULL;
	if ((key = key_from_pem(b.p, b.len, f)) == NULL || key_check_strength(key, f) == -1) {
		fail_prefix(f, "%.300s", o->key_file);
		EVP_PKEY_free(key);
		key = NULL;
	}
	buf_wipe(&b);
	return key;
}

static json_t *
names_json(const struct issue *is, int kind)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < is->nsan; i++)
		if ((int)is->san[i].kind == kind)
			json_push(a, json_bytes(is->san[i].text, strlen(is->san[i].text)));
	return a;
}

static int
print_json(const struct order *o, const char *name, const char *path, const X509 *cert,
    struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE], *subject = cert_subject(cert);
	char *key = cert_key_describe(cert), *serial = cert_serial(cert);
	json_t *j = json_object();
	int rc;

	json_set_str(j, "name", name);
	json_set_str(j, "path", path);
	json_set_str(j, "sha256", cert_fingerprint(fp, cert));
	json_set_str(j, "subject", subject);
	json_set(j, "dns", names_json(&o->issue, ISSUE_DNS));
	json_set(j, "ip", names_json(&o->issue, ISSUE_IP));
	json_set_str(j, "key", key);
	json_set_str(j, "serial", serial);
	json_set_time(j, "not_before", cert_not_before(cert));
	json_set_time(j, "not_after", cert_not_after(cert));
	json_set_bool(j, "ca", cert_is_ca(cert));
	json_set_bool(j, "demo", cert_is_demo(cert));
	rc = json_line(stdout, j, f);
	json_decref(j);
	free(serial);
	free(key);
	free(subject);
	return rc;
}

/* One line for whoever made it: where it is, then what it is. */
static int
report(const struct order *o, const char *name, const char *path, const X509 *cert, struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE];

	cert_warn_demo(path, cert);
	if (o->json)
		return print_json(o, name, path, cert, f);
	printf("%s %s\n", path, cert_fingerprint(fp, cert));
	return 0;
}

static int
write_pem(const struct order *o, EVP_PKEY *key, const X509 *cert, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc = -1;

	if (key_to_pem(key, &b, f) == 0 && pem_put_cert(&b, cert, f) == 0)
		rc = file_write_or_stdout(
		    o->output, 0600, o->force ? FILE_REPLACE : 0, b.p, b.len, f);
	buf_wipe(&b);
	if (rc == -1)
		return -1;
	if (!file_is_stdout(o->output))
		return report(o, NULL, o->output, cert, f);
	cert_warn_demo(NULL, cert);
	return 0;
}

static int
make_file(struct order *o, struct fail *f)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	int rc = -1;

	if ((key = get_key(o, f)) != NULL &&
	    (cert = issue_self_signed(&o->issue, key, time(NULL), f)) != NULL)
		rc = write_pem(o, key, cert, f);
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

/* An identity that exists is found out before a key is made, which may take long; the store asks
 * once more under its lock. */
static int
make_identity(struct order *o, struct fail *f)
{
	const char *text = o->name != NULL ? o->name : o->issue.san[0].text;
	struct identity id = IDENTITY_INIT;
	char *path = NULL;
	int rc = -1;

	if ((id.name = name_to_identity(text, f)) == NULL)
		return -1;
	path = identity_path(o->dir, id.name);
	if (!o->force && identity_exists(o->dir, id.name)) {
		fail(f, FAIL_POLICY, "%.300s: exists already; -f replaces it", path);
		goto out;
	}
	if ((id.key = get_key(o, f)) == NULL ||
	    (id.cert = issue_self_signed(&o->issue, id.key, time(NULL), f)) == NULL)
		goto out;
	if (identity_store(o->dir, &id, o->force ? IDENTITY_REPLACE : 0, f) == 0)
		rc = report(o, id.name, path, id.cert, f);
out:
	free(path);
	identity_clear(&id);
	return rc;
}

int
main(int argc, char **argv)
{
	struct order o = { .cn = NULL };
	struct fail f = FAIL_INIT;
	enum tool_exit status = TOOL_YES;
	int rc;

	tool_init("mkcert", usage);
	ossl_init();
	issue_init(&o.issue);
	if ((rc = parse_args(&o, argc, argv, &f)) == 0)
		rc = o.output != NULL ? make_file(&o, &f) : make_identity(&o, &f);
	if (rc == -1)
		status = tool_failed(&f);
	issue_clear(&o.issue);
	return tool_finish(status);
}
