/*
 * p12export - an identity as a PKCS#12 file, for programs that take no PEM.
 */
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "fail.h"
#include "file.h"
#include "identity.h"
#include "json.h"
#include "key.h"
#include "log.h"
#include "ossl.h"
#include "p12_write.h"
#include "pbe.h"
#include "progress.h"
#include "secret.h"
#include "text.h"
#include "tool.h"

/* Key, certificates and MAC derive alike; a reader may have our own limit. */
#define ITERATIONS_MAX (PBE_ITERATIONS_MAX / 20)
#define FRIENDLY_MAX 255	/* octets in a friendlyName */

static const char usage[] =
    "usage: p12export [-fj] [-d DIR] [-o FILE|-] [--compat | --pbmac1] [--force-empty]\n"
    "                 [--friendly-name TEXT] [--iterations N]\n"
    "                 [--pass-env VAR | --pass-fd N | --pass-file FILE] NAME | -i FILE|-\n"
    "\n"
    "Write the identity NAME, or the key and certificates in a PEM file, as PKCS#12 (.p12, .pfx)\n"
    "under a passphrase, which is asked for at the terminal where no option says it.\n"
    "\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force           replace a FILE that exists\n"
    "  -i, --input FILE      read key and certificates as PEM from FILE (- for stdin, which\n"
    "                        \"-\" in place of NAME means too)\n"
    "  -j, --json            print one JSON object about what was written; needs -o FILE\n"
    "  -o, --output FILE     write FILE (mode 0600); - or nothing: standard output, unless it is\n"
    "                        a terminal\n"
    "      --compat          triple DES and SHA-1, for readers that know nothing newer\n"
    "      --pbmac1          the MAC of RFC 9579, for readers that know it\n"
    "      --force-empty     an empty passphrase is meant so\n"
    "      --friendly-name TEXT\n"
    "                        what readers show (else the identity's name or the common name)\n"
    "      --iterations N    of key derivation (2048)\n"
    "      --pass-env VAR    the passphrase stands in this environment variable\n"
    "      --pass-fd N       read it from this descriptor\n"
    "      --pass-file FILE  read it from FILE (- for stdin)\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_COMPAT = 256, OPT_PBMAC1, OPT_FORCE_EMPTY, OPT_FRIENDLY, OPT_ITERATIONS };

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, 'V' },
	{ "compat", no_argument, NULL, OPT_COMPAT },
	{ "pbmac1", no_argument, NULL, OPT_PBMAC1 },
	{ "force-empty", no_argument, NULL, OPT_FORCE_EMPTY },
	{ "friendly-name", required_argument, NULL, OPT_FRIENDLY },
	{ "iterations", required_argument, NULL, OPT_ITERATIONS },
	SECRET_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

struct order {
	const char *dir, *input, *name, *output, *friendly;
	struct secret secret;
	enum p12_form form;
	unsigned iterations;
	int force, json, force_empty;
};

/* A BMPString holds characters of the first plane only: in UTF-8 none of four octets. */
static int
is_beyond_plane(char c)
{
	return (unsigned char)c >= 0xf0;
}

static int
set_friendly(struct order *o, const char *arg, struct fail *f)
{
	const char *p;

	if (*arg == '\0' || strlen(arg) > FRIENDLY_MAX || text_utf8_chars(arg) == -1)
		return fail(f, FAIL_INPUT, "--friendly-name: expected 1 to %d octets of UTF-8 without "
		    "control characters", FRIENDLY_MAX);
	for (p = arg; *p != '\0'; p++)
		if (is_beyond_plane(*p))
			return fail(f, FAIL_INPUT, "--friendly-name: a character beyond U+FFFF, which the "
			    "format cannot hold");
	o->friendly = arg;
	return 0;
}

static int
set_iterations(struct order *o, const char *arg, struct fail *f)
{
	long long n;

	if (text_number(arg, 1, ITERATIONS_MAX, "--iterations", &n, f) == -1)
		return -1;
	o->iterations = (unsigned)n;
	return 0;
}

static void
set_form(struct order *o, enum p12_form form)
{
	if (o->form != P12_MODERN && o->form != form)
		tool_usage("--compat and --pbmac1 exclude each other");
	o->form = form;
}

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
	case 'o':
		o->output = arg;
		break;
	case OPT_COMPAT:
		set_form(o, P12_COMPAT);
		break;
	case OPT_PBMAC1:
		set_form(o, P12_PBMAC1);
		break;
	case OPT_FORCE_EMPTY:
		o->force_empty = 1;
		break;
	case OPT_FRIENDLY:
		return set_friendly(o, arg, f);
	case OPT_ITERATIONS:
		return set_iterations(o, arg, f);
	default:
		abort();
	}
	return 0;
}

static void
check_options(struct order *o, int argc, char **argv)
{
	if (argc - optind > 1)
		tool_usage("more than one identity given");
	if (argc - optind == 1 && o->input != NULL)
		tool_usage("-i and an identity exclude each other");
	if (argc - optind == 0 && o->input == NULL)
		tool_usage("no identity given");
	if (o->input == NULL && strcmp(argv[optind], "-") == 0)
		o->input = "-";
	o->name = o->input == NULL ? argv[optind] : NULL;
	if (o->output == NULL)
		o->output = "-";
	if (file_is_stdout(o->output) && o->json)
		tool_usage("-j needs -o FILE: both write to standard output");
	if (file_is_stdout(o->output) && isatty(STDOUT_FILENO))
		tool_usage("standard output is a terminal; -o FILE says where to write");
	if (o->input != NULL && strcmp(o->input, "-") == 0 && secret_is_stdin(&o->secret))
		tool_usage("certificates and passphrase cannot both come from standard input");
}

static int
parse_args(struct order *o, int argc, char **argv, struct fail *f)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":d:fhi:jo:V", long_options, NULL)) != -1) {
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

/* The certificate that is the key's, and the chain above it; what else is there is left out. */
static int
sort_out(struct identity *id, const STACK_OF(X509) *certs, struct fail *f)
{
	STACK_OF(X509) *rest = NULL;
	unsigned verified = 0;
	char *subject;
	int i;

	if ((id->cert = cert_of_key(id->key, certs)) == NULL)
		return fail(f, FAIL_INPUT, "no certificate of the private key in it");
	X509_up_ref(id->cert);
	id->chain = cert_chain_order(id->cert, certs, &rest, &verified);
	X509_free(cert_chain_drop_root(id->chain));
	cert_warn_verified(NULL, verified);
	for (i = 0; i < sk_X509_num(rest); i++) {
		subject = cert_subject(sk_X509_value(rest, i));
		talk(NULL, "not of the chain, left out: %s", subject);
		free(subject);
	}
	cert_chain_free(rest);
	return 0;
}

static int
read_pem(const char *path, struct identity *id, struct fail *f)
{
	STACK_OF(X509) *certs = NULL;
	struct buf b = BUF_INIT;
	int rc = -1;

	if (file_read(path, IDENTITY_FILE_MAX, &b, f) == -1)
		return -1;
	if ((id->key = key_from_pem(b.p, b.len, f)) != NULL &&
	    (certs = cert_chain_from_pem(b.p, b.len, f)) != NULL)
		rc = sort_out(id, certs, f);
	if (rc == -1)
		fail_prefix(f, "%.300s", strcmp(path, "-") == 0 ? "standard input" : path);
	cert_chain_free(certs);
	buf_wipe(&b);
	return rc;
}

static int
load(const struct order *o, struct identity *id, struct fail *f)
{
	char *name;
	int rc;

	if (o->input != NULL)
		return read_pem(o->input, id, f);
	if ((name = identity_find(o->dir, o->name, f)) == NULL)
		return -1;
	rc = identity_load(o->dir, name, IDENTITY_NEED_KEY, id, f);
	free(name);
	return rc;
}

/* Found out before the passphrase is asked for; the write finds out once more. */
static int
check_output(const struct order *o, struct fail *f)
{
	struct stat st;

	if (file_is_stdout(o->output) || o->force || stat(o->output, &st) == -1 || !S_ISREG(st.st_mode))
		return 0;
	return fail(f, FAIL_POLICY, "%.300s: exists already; -f replaces it", o->output);
}

static int
read_pass(struct order *o, struct buf *pass, struct fail *f)
{
	int rc = secret_read(&o->secret, "Passphrase for the new file", SECRET_CONFIRM, pass, f);

	secret_clear(&o->secret);
	if (rc == -1)
		return -1;
	if (pass->len == 0 && !o->force_empty)
		return fail(f, FAIL_POLICY, "an empty passphrase protects nothing; --force-empty takes it");
	if (pass->len > 0 && text_utf8_chars(pass->p) == -1)
		return fail(f, FAIL_INPUT, "the passphrase is not UTF-8, or has control characters: no two "
		    "programs would read it alike");
	return 0;
}

static int
report(const struct order *o, const struct identity *id, const char *friendly, struct fail *f)
{
	static const char *const forms[] = {
		[P12_MODERN] = "modern",
		[P12_COMPAT] = "compat",
		[P12_PBMAC1] = "pbmac1",
	};
	char fp[CERT_FINGERPRINT_SIZE];
	json_t *j;
	int rc;

	if (!o->json)
		return 0;
	j = json_object();
	json_set_str(j, "name", id->name);
	json_set_str(j, "path", o->output);
	json_set_str(j, "sha256", cert_fingerprint(fp, id->cert));
	json_set(j, "friendly_name", json_bytes(friendly, strlen(friendly)));
	json_set_int(j, "certificates", 1 + (id->chain != NULL ? sk_X509_num(id->chain) : 0));
	json_set_str(j, "form", forms[o->form]);
	json_set_int(j, "iterations", o->iterations);
	rc = json_line(stdout, j, f);
	json_decref(j);
	return rc;
}

/* With a "?" for each character that the format cannot hold. */
static char *
in_first_plane(char *name)
{
	struct buf b = BUF_INIT;
	const char *p;

	for (p = name; *p != '\0'; p++) {
		if (!is_beyond_plane(*p))
			buf_putc(&b, *p);
		else {
			buf_putc(&b, '?');
			p += strnlen(p, 4) - 1;
		}
	}
	free(name);
	return buf_steal(&b);
}

/* The name that readers show: asked for, or the identity's, or the common name. */
static char *
friendly_name(const struct order *o, const struct identity *id)
{
	char *cn;

	if (o->friendly != NULL)
		return xstrdup(o->friendly);
	if (id->name != NULL)
		return in_first_plane(xstrdup(id->name));
	cn = cert_cn(id->cert);
	return in_first_plane(cn != NULL ? cn : xstrdup("certificate"));
}

static int
export(struct order *o, const struct identity *id, struct fail *f)
{
	struct buf pass = BUF_INIT, out = BUF_INIT;
	char *friendly = friendly_name(o, id);
	struct p12_order p12 = { .form = o->form, .iterations = o->iterations, .name = friendly,
		.key = id->key, .cert = id->cert, .chain = id->chain };
	int rc = -1;

	cert_warn_demo(o->name, id->cert);
	if (check_output(o, f) == -1 || read_pass(o, &pass, f) == -1)
		goto out;
	progress_begin("deriving keys from the passphrase", 0);
	rc = p12_write(&p12, pass.p, &out, f);
	progress_end();
	buf_wipe(&pass);
	if (rc == -1)
		goto out;
	rc = file_write_or_stdout(o->output, 0600, o->force ? FILE_REPLACE : 0, out.p, out.len, f);
	if (rc == 0)
		rc = report(o, id, friendly, f);
out:
	buf_wipe(&pass);
	buf_wipe(&out);
	free(friendly);
	return rc;
}

int
main(int argc, char **argv)
{
	struct order o = { .dir = NULL, .secret = SECRET_INIT, .iterations = P12_ITERATIONS_DEFAULT };
	struct identity id = IDENTITY_INIT;
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;

	tool_init("p12export", usage);
	ossl_init();
	if (parse_args(&o, argc, argv, &f) == -1 || load(&o, &id, &f) == -1 ||
	    export(&o, &id, &f) == -1)
		status = tool_failed(&f);
	secret_clear(&o.secret);
	identity_clear(&id);
	return tool_finish(status);
}
