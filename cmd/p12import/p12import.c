/*
 * p12import - a key and its certificates out of a PKCS#12 file, into the store.
 *
 * The file is parsed first, which needs no passphrase and is all that --info does.  Then it is opened,
 * a key is chosen (choose()), gets its certificate by the public key and the chain above it by signatures
 * (complete()), and is shown, written or stored.
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
#include "key.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "p12.h"
#include "p12import.h"
#include "pem.h"
#include "progress.h"
#include "replace.h"
#include "secret.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: p12import [-fj] [-d DIR] [-n NAME | -o FILE|-] [--info | --show]\n"
    "                 [--pass-env VAR | --pass-fd N | --pass-file FILE] [--pick KEY] FILE|-\n"
    "\n"
    "Store the key, certificate and chain in the PKCS#12 file (.p12, .pfx) FILE as an identity\n"
    "under DIR/certs.  The passphrase is asked for at the terminal where no option says it.\n"
    "\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force           replace what exists\n"
    "  -i, --input FILE      the file to read, in place of the operand (- for stdin)\n"
    "  -j, --json            print JSON objects\n"
    "  -n, --name NAME       name of the identity (else the certificate's common name)\n"
    "  -o, --output FILE     write key, certificate and chain as PEM to FILE (- for stdout)\n"
    "      --info            print algorithms, MAC, iterations and encoding; no passphrase needed\n"
    "      --show            print what would be imported, and store nothing\n"
    "      --pick KEY        of several keys the one with this friendly name, or of this number\n"
    "      --pass-env VAR    the passphrase stands in this environment variable\n"
    "      --pass-fd N       read it from this descriptor\n"
    "      --pass-file FILE  read it from FILE (- for stdin)\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_INFO = 256, OPT_SHOW, OPT_PICK };

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "name", required_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, 'V' },
	{ "info", no_argument, NULL, OPT_INFO },
	{ "show", no_argument, NULL, OPT_SHOW },
	{ "pick", required_argument, NULL, OPT_PICK },
	SECRET_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

struct order {
	const char *dir, *input, *name, *output, *pick;
	struct secret secret;
	int force, info, json, show;
};

/* The keys of a file, and what belongs to each that was asked for. */
struct picks {
	struct pick *v;
	size_t n;
	STACK_OF(X509) *certs;	/* all of the file */
	unsigned verified;	/* signatures, for all chains together */
};

static int
set_option(struct order *o, int ch, const char *arg, struct fail *f)
{
	int rc = secret_take(&o->secret, ch, arg, f);

	if (rc != 0)
		return rc == 1 ? 0 : -1;
	switch (ch) {
	case 'd':
		o->dir = arg;
		break;
	case 'f':
		o->force = 1;
		break;
	case 'i':
		o->input = arg;
		break;
	case 'j':
		o->json = 1;
		break;
	case 'n':
		o->name = arg;
		break;
	case 'o':
		o->output = arg;
		break;
	case OPT_INFO:
		o->info = 1;
		break;
	case OPT_SHOW:
		o->show = 1;
		break;
	case OPT_PICK:
		o->pick = arg;
		break;
	default:
		abort();
	}
	return 0;
}

static void
check_options(struct order *o, int argc, char **argv)
{
	if (argc - optind + (o->input != NULL) > 1)
		tool_usage("more than one file given");
	if (argc - optind + (o->input != NULL) == 0)
		tool_usage("no file given");
	if (o->input == NULL)
		o->input = argv[optind];
	if (o->info && o->show)
		tool_usage("--info and --show exclude each other");
	if (o->output != NULL && o->name != NULL)
		tool_usage("-o and -n exclude each other: -o stores no identity");
	if ((o->info || o->show) && (o->output != NULL || o->name != NULL))
		tool_usage("--info and --show store nothing: neither -o nor -n belongs to them");
	if (o->info && (o->pick != NULL || secret_given(&o->secret)))
		tool_usage("--info looks into nothing that is encrypted: no --pick, no passphrase");
	if (o->output != NULL && file_is_stdout(o->output) && o->json)
		tool_usage("-o - and -j exclude each other: both write to standard output");
	if (strcmp(o->input, "-") == 0 && secret_is_stdin(&o->secret))
		tool_usage("file and passphrase cannot both come from standard input");
}

static int
parse_args(struct order *o, int argc, char **argv, struct fail *f)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":d:fhi:jn:o:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (set_option(o, ch, optarg, f) == -1)
			return -1;
	}
	check_options(o, argc, argv);
	o->dir = tool_dir(o->dir);
	return 0;
}

static const char *
input_name(const struct order *o)
{
	return strcmp(o->input, "-") == 0 ? "standard input" : o->input;
}

static struct p12 *
read_file(const struct order *o, struct fail *f)
{
	struct buf b = BUF_INIT;
	struct p12 *p12 = NULL;

	if (file_read(o->input, P12_FILE_MAX, &b, f) == 0 &&
	    (p12 = p12_parse(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", input_name(o));
	buf_wipe(&b);
	return p12;
}

static int
open_file(struct order *o, struct p12 *p12, struct fail *f)
{
	struct buf pass = BUF_INIT;
	int rc = 0;

	if (p12_needs_pass(p12))
		rc = secret_read_of(&o->secret, input_name(o), &pass, f);
	progress_begin("deriving keys from the passphrase", 0);
	if (rc == 0 && (rc = p12_open(p12, pass.p != NULL ? pass.p : "", pass.len, f)) == -1)
		fail_prefix(f, "%.300s", input_name(o));
	progress_end();
	buf_wipe(&pass);
	secret_clear(&o->secret);
	return rc;
}

static void
picks_clear(struct picks *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		cert_chain_free(p->v[i].chain);
		X509_free(p->v[i].root);
	}
	free(p->v);
	cert_chain_free(p->certs);
}

static void
make_picks(const struct p12 *p12, struct picks *p)
{
	struct pick *pick;
	size_t i;

	*p = (struct picks){ .v = xcalloc(p12->nkey, sizeof *p->v), .n = 0, .certs = p12_all_certs(p12),
		.verified = 0 };
	for (i = 0; i < p12->nbag; i++) {
		if (p12->bag[i].key == NULL)
			continue;
		pick = &p->v[p->n++];
		pick->bag = &p12->bag[i];
		pick->index = (unsigned)p->n;
	}
}

/* What belongs to one key.  Only for those that are used: a file may hold thousands to sort through. */
static void
complete(struct picks *p, struct pick *pick)
{
	if ((pick->cert = cert_of_key(pick->bag->key, p->certs)) == NULL)
		return;
	pick->chain = cert_chain_order(pick->cert, p->certs, NULL, &p->verified);
	pick->root = cert_chain_drop_root(pick->chain);
}

/* A friendly name may look like a number; so names come first. */
static struct pick *
find_pick(const struct picks *p, const char *text, struct fail *f)
{
	struct pick *found = NULL;
	char *shown;
	long long n;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (p->v[i].bag->name == NULL || strcmp(p->v[i].bag->name, text) != 0)
			continue;
		if (found != NULL) {
			fail(f, FAIL_INPUT, "--pick: keys %u and %u both have that name; expected a number",
			    found->index, p->v[i].index);
			return NULL;
		}
		found = &p->v[i];
	}
	if (found != NULL)
		return found;
	if (text_number(text, 1, (long long)p->n, "--pick", &n, NULL) == 0)
		return &p->v[n - 1];
	shown = text_escape(text, strlen(text));
	fail(f, FAIL_INPUT, "--pick: no key with the name \"%.100s\", and it is no number up to %zu",
	    shown, p->n);
	free(shown);
	return NULL;
}

static void
list_keys(const struct picks *p)
{
	char *name, *key, *subject;
	const X509 *cert;
	size_t i;

	for (i = 0; i < p->n; i++) {
		name = show_key_name(p->v[i].bag, p->v[i].index);
		key = key_describe(p->v[i].bag->key);
		cert = cert_of_key(p->v[i].bag->key, p->certs);
		subject = cert != NULL ? cert_subject(cert) : xstrdup("no certificate");
		talk(NULL, "key %s: %s, %s", name, key, subject);
		free(subject);
		free(key);
		free(name);
	}
}

static struct pick *
choose(const struct order *o, const struct picks *p, struct fail *f)
{
	if (p->n == 0) {
		fail(f, FAIL_POLICY, "%.300s: no private key in it; certificates alone are for "
		    "\"castore import\"", input_name(o));
		return NULL;
	}
	if (o->pick != NULL)
		return find_pick(p, o->pick, f);
	if (p->n == 1)
		return &p->v[0];
	list_keys(p);
	fail(f, FAIL_INPUT, "%.300s: %zu keys in it; expected --pick and a friendly name or number",
	    input_name(o), p->n);
	return NULL;
}

static void
warn_time(const X509 *cert, const char *what)
{
	char text[TEXT_TIME_MAX];
	int64_t now = time(NULL);

	if (cert_not_after(cert) < now)
		talk(NULL, "%s: expired %s", what, text_time(text, cert_not_after(cert)));
	else if (cert_not_before(cert) > now)
		talk(NULL, "%s: not valid before %s", what, text_time(text, cert_not_before(cert)));
}

/* What is stored all the same, but should be known. */
static void
warn_of(const struct p12 *p12, const struct pick *p)
{
	char *subject = cert_subject(p->cert);
	struct fail f = FAIL_INIT;
	int i;

	if (!p12->has_mac)
		talk(NULL, "the file has no MAC: nothing shows whether somebody changed it");
	cert_warn_demo(NULL, p->cert);
	warn_time(p->cert, subject);
	if (key_check_strength(p->bag->key, &f) == -1)
		talk(NULL, "%s: %s", subject, f.text);
	free(subject);
	for (i = 0; i < sk_X509_num(p->chain); i++) {
		subject = cert_subject(sk_X509_value(p->chain, i));
		warn_time(sk_X509_value(p->chain, i), subject);
		free(subject);
	}
}

static int
is_of(const struct pick *p, const X509 *cert)
{
	int k;

	if ((p->cert != NULL && X509_cmp(p->cert, cert) == 0) ||
	    (p->root != NULL && X509_cmp(p->root, cert) == 0))
		return 1;
	for (k = 0; k < sk_X509_num(p->chain); k++)
		if (X509_cmp(sk_X509_value(p->chain, k), cert) == 0)
			return 1;
	return 0;
}

static int
is_used(const struct picks *p, const X509 *cert)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (is_of(&p->v[i], cert))
			return 1;
	return 0;
}

/* Certificates that are of no chain that is used, and bags that mean nothing here. */
static void
report_rest(const struct p12 *p12, const struct picks *p)
{
	const struct p12_bag *bag;
	char *subject;
	size_t i;

	cert_warn_verified(NULL, p->verified);
	for (i = 0; p->n > 0 && i < p12->nbag; i++) {
		bag = &p12->bag[i];
		if (bag->cert != NULL && !is_used(p, bag->cert)) {
			subject = cert_subject(bag->cert);
			talk(NULL, "bag %zu, not of the chain, left out: %s", i + 1, subject);
			free(subject);
		} else if (bag->type >= P12_CRL)
			talk(NULL, "bag %zu, passed over: %s", i + 1, p12_bag_name(bag->type));
	}
}

/* The identity's name where none is given: the common name, else the first of the SAN. */
static char *
default_name(const X509 *cert, struct fail *f)
{
	char *cn = cert_cn(cert), *ascii, *name;
	struct cert_names dns;

	cert_dns_names(cert, &dns);
	if (cn == NULL && dns.n > 0)
		cn = xstrdup(dns.v[0]);
	cert_names_clear(&dns);
	if (cn == NULL) {
		fail(f, FAIL_INPUT, "the certificate has no common name; expected -n NAME");
		return NULL;
	}
	ascii = name_to_ascii(cn, NULL);
	if ((name = name_to_identity(ascii != NULL ? ascii : cn, f)) == NULL)
		fail_prefix(f, "the certificate's common name cannot be an identity's, -n NAME can");
	free(ascii);
	free(cn);
	return name;
}

static int
store(const struct order *o, const struct pick *p, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	struct replaced r = REPLACED_INIT;
	char *path = NULL;
	int rc;

	id.name = o->name != NULL ? name_to_identity(o->name, f) : default_name(p->cert, f);
	if (id.name == NULL)
		return -1;
	id.key = p->bag->key;
	id.cert = p->cert;
	id.chain = p->chain;
	path = identity_path(o->dir, id.name);
	rc = o->force ? replace_identity(o->dir, &id, &r, f) : identity_store(o->dir, &id, 0, f);
	if (rc == 0) {
		replace_tell(&r, &id);
		rc = show_stored(p, id.name, path, o->json, f);
	}
	/* These are the file's. */
	id.key = NULL;
	id.cert = NULL;
	id.chain = NULL;
	identity_clear(&id);
	replaced_clear(&r);
	free(path);
	return rc;
}

static int
write_pem(const struct order *o, const struct pick *p, struct fail *f)
{
	struct buf b = BUF_INIT;
	int i, rc;

	rc = key_to_pem(p->bag->key, &b, f) == -1 ? -1 : pem_put_cert(&b, p->cert, f);
	for (i = 0; rc == 0 && i < sk_X509_num(p->chain); i++)
		rc = pem_put_cert(&b, sk_X509_value(p->chain, i), f);
	if (rc == 0)
		rc = file_write_or_stdout(o->output, 0600, o->force ? FILE_REPLACE : 0, b.p, b.len, f);
	buf_wipe(&b);
	if (rc == -1 || file_is_stdout(o->output))
		return rc;
	return show_stored(p, NULL, o->output, o->json, f);
}

static int
show_all(const struct order *o, const struct p12 *p12, struct picks *p, struct fail *f)
{
	struct pick *one = NULL;
	size_t i;

	if ((p->n == 0 || o->pick != NULL) && (one = choose(o, p, f)) == NULL)
		return -1;
	for (i = 0; i < p->n; i++)
		if (one == NULL || one == &p->v[i])
			complete(p, &p->v[i]);
	report_rest(p12, p);
	for (i = 0; i < p->n; i++) {
		if (one != NULL && one != &p->v[i])
			continue;
		if (p->v[i].cert != NULL)
			warn_of(p12, &p->v[i]);
		if (show_pick(&p->v[i], o->json, f) == -1)
			return -1;
	}
	return 0;
}

static int
import(const struct order *o, const struct p12 *p12, struct picks *p, struct fail *f)
{
	struct pick *one;

	if (o->show)
		return show_all(o, p12, p, f);
	if ((one = choose(o, p, f)) == NULL)
		return -1;
	complete(p, one);
	report_rest(p12, p);
	if (one->cert == NULL)
		return fail(f, FAIL_POLICY, "%.300s: no certificate of the key in it", input_name(o));
	warn_of(p12, one);
	return o->output != NULL ? write_pem(o, one, f) : store(o, one, f);
}

static int
run(struct order *o, struct fail *f)
{
	struct p12 *p12 = read_file(o, f);
	struct picks picks;
	int rc = -1;

	if (p12 == NULL)
		return -1;
	if (o->info)
		rc = show_info(p12, input_name(o), o->json, f);
	else if (open_file(o, p12, f) == 0) {
		make_picks(p12, &picks);
		rc = import(o, p12, &picks, f);
		picks_clear(&picks);
	}
	p12_free(p12);
	return rc;
}

int
main(int argc, char **argv)
{
	struct order o = { .dir = NULL, .secret = SECRET_INIT };
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;

	tool_init("p12import", usage);
	ossl_init();
	if (parse_args(&o, argc, argv, &f) == -1 || run(&o, &f) == -1)
		status = tool_failed(&f);
	secret_clear(&o.secret);
	return tool_finish(status);
}
