/*
 * mkcert - make a key and its certificate, self-signed or signed by an own CA, and store them as an
 * identity; or sign the request of another.
 *
 * The options fill a struct order.  Then the CA, where there is one, is loaded and asked whether it
 * may sign; the key is made or read; the certificate is made, and goes into the store or into a file.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "fail.h"
#include "file.h"
#include "identity.h"
#include "issue.h"
#include "issue_args.h"
#include "key.h"
#include "log.h"
#include "mkcert.h"
#include "name.h"
#include "ossl.h"
#include "progress.h"
#include "replace.h"
#include "request.h"
#include "signer.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: mkcert [-fj] [-a NAME] [-d DIR] [-k FILE] [-n NAME] [-o FILE|-] [-t TYPE]\n"
    "              [--as-ca] [--days N] [--demo] [--server-only] [--signer CA] [SUBJECT] CN\n"
    "       mkcert --ca [-fj] [-d DIR] [-k FILE] [-n NAME] [-o FILE|-] [-t TYPE] [--days N]\n"
    "              [--exclude NAME] [--pathlen N] [--permit NAME] [--signer CA] [SUBJECT] CN\n"
    "       mkcert --sign FILE|- --signer CA [-fj] [-d DIR] [-o FILE|-] [--days N]\n"
    "              [--server-only] [--ca [--exclude NAME] [--pathlen N] [--permit NAME]]\n"
    "\n"
    "Make a certificate for the host name or address CN, self-signed or signed by an identity\n"
    "that is a CA, and store it with its key as an identity under DIR/certs.  With --ca make\n"
    "a CA; with --sign sign a request and print the certificate and its chain.\n"
    "\n"
    "  -a, --add NAME        a further host name or address; may be repeated\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force           replace what exists\n"
    "  -j, --json            print one JSON object instead of path and fingerprint\n"
    "  -k, --key FILE        use the private key in FILE (- for stdin), make none\n"
    "  -n, --name NAME       name of the identity (else CN)\n"
    "  -o, --output FILE     write key and certificates as PEM to FILE (- for stdout)\n"
    "  -t, --type TYPE       key type: ec:p256 (default), ec:p384, rsa:2048, rsa:3072, rsa:4096,\n"
    "                        ed25519; ml-dsa:44, ml-dsa:65, ml-dsa:87 where OpenSSL has them\n"
    "      --as-ca           CA:TRUE, for verifiers that insist on it\n"
    "      --ca              make a CA, of which CN is the name\n"
    "      --days N          valid for N days (365; a CA 3650)\n"
    "      --demo            demonstration certificate: marked as such, valid for 7 days\n"
    "      --exclude NAME    the CA may not sign for the domain or range of addresses NAME;\n"
    "                        may be repeated\n"
    "      --pathlen N       N further CAs at most below the CA\n"
    "      --permit NAME     the CA may sign only for this domain or range; may be repeated\n"
    "      --server-only     no client authentication\n"
    "      --sign FILE       sign the request in FILE (- for stdin)\n"
    "      --signer CA       the identity that signs, made with --ca\n"
    "      --org, --unit, --locality, --state TEXT, --country CC\n"
    "                        SUBJECT: further parts of it\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_AS_CA = 256, OPT_CA, OPT_DAYS, OPT_DEMO, OPT_EXCLUDE, OPT_PATHLEN, OPT_PERMIT,
	OPT_SERVER_ONLY, OPT_SIGN, OPT_SIGNER };

static const struct option long_options[] = {
	ISSUE_ARGS_OPTIONS,
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
	{ "ca", no_argument, NULL, OPT_CA },
	{ "days", required_argument, NULL, OPT_DAYS },
	{ "demo", no_argument, NULL, OPT_DEMO },
	{ "exclude", required_argument, NULL, OPT_EXCLUDE },
	{ "pathlen", required_argument, NULL, OPT_PATHLEN },
	{ "permit", required_argument, NULL, OPT_PERMIT },
	{ "server-only", no_argument, NULL, OPT_SERVER_ONLY },
	{ "sign", required_argument, NULL, OPT_SIGN },
	{ "signer", required_argument, NULL, OPT_SIGNER },
	{ NULL, 0, NULL, 0 },
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
set_pathlen(struct order *o, const char *arg, struct fail *f)
{
	long long n;

	if (text_number(arg, 0, ISSUE_PATHLEN_MAX, "--pathlen", &n, f) == -1)
		return -1;
	o->issue.pathlen = n;
	return 0;
}

/* Options that can be wrong in themselves; the others only note their argument. */
static int
set_option(struct order *o, int ch, const char *arg, struct fail *f)
{
	int rc = issue_args_take(&o->issue, ch, arg, f);

	if (rc != 0) {
		o->subject_given |= ch != 'a';
		return rc == 1 ? 0 : -1;
	}
	switch (ch) {
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
	case OPT_CA:
		o->issue.flags |= ISSUE_CA;
		break;
	case OPT_DAYS:
		return set_days(o, arg, f);
	case OPT_DEMO:
		o->issue.flags |= ISSUE_DEMO;
		break;
	case OPT_EXCLUDE:
	case OPT_PERMIT:
		return issue_add_limit(&o->issue, ch == OPT_EXCLUDE, arg, f);
	case OPT_PATHLEN:
		return set_pathlen(o, arg, f);
	case OPT_SERVER_ONLY:
		o->issue.flags |= ISSUE_SERVER_ONLY;
		break;
	case OPT_SIGN:
		o->sign = arg;
		break;
	case OPT_SIGNER:
		o->signer = arg;
		break;
	default:
		abort();
	}
	return 0;
}

static void
check_ca_options(const struct order *o)
{
	const struct issue *is = &o->issue;

	if (is->flags & ISSUE_CA) {
		if (is->nsan > 0)
			tool_usage("--ca and -a exclude each other: a CA is no host");
		if (is->flags & (ISSUE_AS_CA | ISSUE_DEMO | ISSUE_SERVER_ONLY))
			tool_usage("--ca excludes --as-ca, --demo and --server-only");
	} else if (is->pathlen >= 0 || is->nlimits > 0)
		tool_usage("--pathlen, --permit and --exclude are for --ca only");
	if (o->signer != NULL && is->flags & ISSUE_AS_CA)
		tool_usage("--signer and --as-ca exclude each other: --as-ca is for what is self-signed");
}

/* A request brings its own subject, names and key, and no identity comes of it. */
static void
check_sign_options(struct order *o)
{
	if (o->sign == NULL)
		return;
	if (o->signer == NULL)
		tool_usage("--sign needs --signer");
	if (o->issue.nsan > 0 || o->subject_given || o->key_file != NULL || o->type != NULL)
		tool_usage("--sign excludes -a, -k, -t and parts of the subject: the request has its own");
	if (o->name != NULL)
		tool_usage("--sign and -n exclude each other: no identity is stored");
	if (o->issue.flags & (ISSUE_AS_CA | ISSUE_DEMO))
		tool_usage("--sign excludes --as-ca and --demo");
	if (o->output == NULL)
		o->output = "-";
}

/* What cannot be had together. */
static void
check_options(struct order *o)
{
	if (o->key_file != NULL && o->type != NULL)
		tool_usage("-k and -t exclude each other");
	check_ca_options(o);
	check_sign_options(o);
	if (o->output != NULL && o->name != NULL)
		tool_usage("-o and -n exclude each other: -o stores no identity");
	if (o->output != NULL && file_is_stdout(o->output) && o->json)
		tool_usage("-o - and -j exclude each other: both write to standard output");
	if (o->issue.flags & ISSUE_DEMO && o->days_given)
		tool_usage("--demo and --days exclude each other");
	if (o->issue.flags & ISSUE_DEMO)
		o->issue.days = ISSUE_DEMO_DAYS;
	else if (o->issue.flags & ISSUE_CA && !o->days_given)
		o->issue.days = ISSUE_CA_DAYS;
}

static void
check_operands(const struct order *o, int n)
{
	if (o->sign != NULL && n > 0)
		tool_usage("--sign and a common name exclude each other: the request has its own");
	if (o->sign == NULL && n != 1)
		tool_usage(n == 0 ? "no common name given" : "more than one common name given");
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
	check_operands(o, argc - optind);
	check_options(o);
	o->dir = tool_dir(o->dir);
	return o->sign != NULL ? 0 : issue_set(&o->issue, ISSUE_CN, argv[optind], f);
}

static EVP_PKEY *
get_key(const struct order *o, struct fail *f)
{
	EVP_PKEY *key;

	if (o->key_file == NULL) {
		progress_begin("making the key", 0);
		key = key_generate(o->type != NULL ? o->type : KEY_TYPE_DEFAULT, f);
		progress_end();
		return key;
	}
	if ((key = key_from_file(o->key_file, f)) != NULL && file_is_exposed(o->key_file))
		talk(o->key_file, "others than its owner may read this key");
	return key;
}

/* The CA as its users call it; *ca stays empty where the certificate signs itself. */
static int
load_signer(const struct order *o, struct identity *ca, struct fail *f)
{
	char *name;
	int rc = -1;

	if (o->signer == NULL)
		return 0;
	if ((name = identity_find(o->dir, o->signer, f)) == NULL)
		return -1;
	if (identity_load(o->dir, name, IDENTITY_NEED_KEY, ca, f) == 0 &&
	    (rc = signer_check(ca, time(NULL), f)) == -1)
		fail_prefix(f, "%.300s", name);
	cert_warn_demo(name, ca->cert);
	free(name);
	return rc;
}

static X509 *
make_cert(const struct order *o, EVP_PKEY *key, const struct identity *ca, struct fail *f)
{
	int64_t now = time(NULL), end;
	char when[TEXT_TIME_MAX];
	X509 *cert;

	if (ca->cert == NULL)
		return issue_self_signed(&o->issue, key, now, f);
	if ((cert = signer_sign(ca, &o->issue, key, now, f)) == NULL) {
		fail_prefix(f, "%.300s", ca->name);
		return NULL;
	}
	end = cert_not_after(cert);
	if (end < now + (int64_t)o->issue.days * 86400)
		talk(ca->name, "the CA's certificate ends %s, and so does what it signs",
		    text_time(when, end));
	return cert;
}

/* For a file: nothing is stored. */
static int
make_file(const struct order *o, struct fail *f)
{
	struct identity ca = IDENTITY_INIT, id = IDENTITY_INIT;
	int rc = -1;

	if (load_signer(o, &ca, f) == 0 && (id.key = get_key(o, f)) != NULL &&
	    (id.cert = make_cert(o, id.key, &ca, f)) != NULL) {
		id.chain = ca.cert != NULL ? signer_chain(&ca) : NULL;
		rc = report_file(o, &id, f);
	}
	identity_clear(&id);
	identity_clear(&ca);
	return rc;
}

static int
sign_request(const struct order *o, const X509_REQ *req, const struct identity *ca, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	if ((id.cert = make_cert(o, X509_REQ_get0_pubkey((X509_REQ *)(uintptr_t)req), ca, f)) != NULL) {
		id.chain = signer_chain(ca);
		rc = report_file(o, &id, f);
	}
	identity_clear(&id);
	return rc;
}

static X509_REQ *
read_request(struct order *o, struct fail *f)
{
	struct buf b = BUF_INIT;
	X509_REQ *req = NULL;

	if (file_read(o->sign, IDENTITY_FILE_MAX, &b, f) == -1)
		return NULL;
	if ((req = request_from_pem(b.p, b.len, f)) == NULL || request_check(req, f) == -1 ||
	    request_order(req, &o->issue, f) == -1) {
		fail_prefix(f, "%.300s", strcmp(o->sign, "-") == 0 ? "standard input" : o->sign);
		X509_REQ_free(req);
		req = NULL;
	}
	buf_clear(&b);
	return req;
}

static int
make_from_request(struct order *o, struct fail *f)
{
	struct identity ca = IDENTITY_INIT;
	X509_REQ *req = NULL;
	int rc = -1;

	if (load_signer(o, &ca, f) == 0 && (req = read_request(o, f)) != NULL)
		rc = sign_request(o, req, &ca, f);
	X509_REQ_free(req);
	identity_clear(&ca);
	return rc;
}

/* An identity that exists is found out before a key is made, which may take long; the store asks
 * once more under its lock. */
static int
check_place(const struct order *o, const char *name, const char *path, const struct identity *ca,
    struct fail *f)
{
	if (!o->force && identity_exists(o->dir, name))
		return fail(f, FAIL_POLICY, "%.300s: exists already; -f replaces it", path);
	if (ca->name != NULL && strcmp(ca->name, name) == 0)
		return fail(f, FAIL_POLICY, "%.300s: a CA cannot be replaced by what it signs", path);
	return 0;
}

static int
store(const struct order *o, struct identity *id, struct fail *f)
{
	struct replaced r = REPLACED_INIT;
	int rc;

	if (!o->force)
		return identity_store(o->dir, id, 0, f);
	if ((rc = replace_identity(o->dir, id, &r, f)) == 0)
		replace_tell(&r, id);
	replaced_clear(&r);
	return rc;
}

static int
make_identity(const struct order *o, struct fail *f)
{
	const char *cn = o->issue.flags & ISSUE_CA ? o->issue.field[ISSUE_CN] : o->issue.san[0].text;
	struct identity id = IDENTITY_INIT, ca = IDENTITY_INIT;
	char *path = NULL;
	int rc = -1;

	if ((id.name = name_to_identity(o->name != NULL ? o->name : cn, f)) == NULL)
		return -1;
	path = identity_path(o->dir, id.name);
	if (load_signer(o, &ca, f) == -1 || check_place(o, id.name, path, &ca, f) == -1)
		goto out;
	if ((id.key = get_key(o, f)) == NULL || (id.cert = make_cert(o, id.key, &ca, f)) == NULL)
		goto out;
	id.chain = ca.cert != NULL ? signer_chain(&ca) : NULL;
	if (store(o, &id, f) == 0)
		rc = report_made(o, id.name, path, id.cert, f);
out:
	free(path);
	identity_clear(&ca);
	identity_clear(&id);
	return rc;
}

static int
run(struct order *o, struct fail *f)
{
	if (o->sign != NULL)
		return make_from_request(o, f);
	return o->output != NULL ? make_file(o, f) : make_identity(o, f);
}

int
main(int argc, char **argv)
{
	struct order o = { .dir = NULL };
	struct fail f = FAIL_INIT;
	enum tool_exit status = TOOL_YES;

	tool_init("mkcert", usage);
	ossl_init();
	issue_init(&o.issue);
	if (parse_args(&o, argc, argv, &f) == -1 || run(&o, &f) == -1)
		status = tool_failed(&f);
	issue_clear(&o.issue);
	return tool_finish(status);
}
