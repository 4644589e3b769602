/*
 * csrgen - make a certificate request for an identity: for its key, or for the key that is to
 * follow it.
 *
 * The order is what the identity's certificate says (or, before there is one, its request), and
 * what the options say in its place.  The request goes into the identity and to the output.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "fail.h"
#include "file.h"
#include "identity.h"
#include "issue.h"
#include "issue_args.h"
#include "json.h"
#include "key.h"
#include "names_json.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "pem.h"
#include "progress.h"
#include "subject.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: csrgen [-fj] [-a NAME] [-d DIR] [-k FILE] [-n NAME] [-o FILE|-] [-t TYPE]\n"
    "              [--client] [--next] [--org TEXT] [--unit TEXT] [--locality TEXT]\n"
    "              [--state TEXT] [--country CC] NAME|CN\n"
    "\n"
    "Print a certificate request (PKCS #10) for the identity NAME and its key, and keep it with\n"
    "the identity.  Where there is no identity of that name, make a key for the host name or\n"
    "address CN, and an identity that waits for its certificate.\n"
    "\n"
    "  -a, --add NAME        a further host name or address; may be repeated\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force           with --next: another next key in place of the one that is there\n"
    "  -j, --json            print one JSON object\n"
    "  -k, --key FILE        use the private key in FILE (- for stdin), make none\n"
    "  -n, --name NAME       name of the identity; subject and names are then CN's, not its own\n"
    "  -o, --output FILE     write the request to FILE, which may exist (- for stdout, as without)\n"
    "  -t, --type TYPE       type of a new key: ec:p256 (default), ec:p384, rsa:2048, rsa:3072,\n"
    "                        rsa:4096, ed25519; ml-dsa:44, ml-dsa:65, ml-dsa:87 where OpenSSL\n"
    "                        has them\n"
    "      --client          ask for client authentication too\n"
    "      --next            for the key that is to follow the current one, which is made and\n"
    "                        kept beside it\n"
    "      --org, --unit, --locality, --state TEXT, --country CC\n"
    "                        parts of the subject, in place of the identity's own\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_CLIENT = 256, OPT_NEXT };

static const struct option long_options[] = {
	ISSUE_ARGS_OPTIONS,
	{ "client", no_argument, NULL, OPT_CLIENT },
	{ "dir", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, 'k' },
	{ "name", required_argument, NULL, 'n' },
	{ "next", no_argument, NULL, OPT_NEXT },
	{ "output", required_argument, NULL, 'o' },
	{ "type", required_argument, NULL, 't' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

struct job {
	struct issue given;	/* what the options say */
	struct issue issue;	/* what is asked for in the end */
	const char *operand, *dir, *key_file, *name, *output, *type;
	int force, json, next, client;
	struct identity id;
	int stored;		/* there was an identity of that name */
	int made_key;
};

static int
set_option(struct job *j, int ch, const char *arg, struct fail *f)
{
	int rc = issue_args_take(&j->given, ch, arg, f);

	if (rc != 0)
		return rc == 1 ? 0 : -1;
	switch (ch) {
	case 'd':
		j->dir = arg;
		break;
	case 'f':
		j->force = 1;
		break;
	case 'j':
		j->json = 1;
		break;
	case 'k':
		j->key_file = arg;
		break;
	case 'n':
		j->name = arg;
		break;
	case 'o':
		j->output = arg;
		break;
	case 't':
		j->type = arg;
		break;
	case OPT_CLIENT:
		j->client = 1;
		break;
	case OPT_NEXT:
		j->next = 1;
		break;
	default:
		abort();
	}
	return 0;
}

static int
parse_args(struct job *j, int argc, char **argv, struct fail *f)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":a:d:fhjk:n:o:t:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (set_option(j, ch, optarg, f) == -1)
			return -1;
	}
	if (argc - optind != 1)
		tool_usage("expected the name of one identity, or one host name");
	if (j->key_file != NULL && j->type != NULL)
		tool_usage("-k and -t exclude each other");
	if (j->force && !j->next)
		tool_usage("-f is for --next: nothing else is replaced");
	if (j->json && j->output != NULL && file_is_stdout(j->output))
		tool_usage("-o - and -j exclude each other: both write to standard output");
	j->operand = argv[optind];
	j->dir = tool_dir(j->dir);
	return 0;
}

/* ---- the identity ---- */

/* Sets id to the one that is stored, or to an empty one under the name that it will have. */
static int
find_identity(struct job *j, struct fail *f)
{
	char *name = j->name != NULL ? name_to_identity(j->name, f) :
	    identity_find(j->dir, j->operand, NULL);

	if (j->name != NULL && name == NULL)
		return -1;
	if (name != NULL && identity_exists(j->dir, name)) {
		int rc = identity_load(j->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &j->id, f);

		j->stored = 1;
		free(name);
		return rc;
	}
	j->id.name = name;
	return 0;
}

static int
take_given(struct job *j, struct fail *f)
{
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (j->given.field[i] != NULL &&
		    issue_set(&j->issue, (enum issue_field)i, j->given.field[i], f) == -1)
			return -1;
	for (i = 0; i < j->given.nsan; i++)
		if (issue_add_san(&j->issue, j->given.san[i].text, f) == -1)
			return -1;
	j->issue.flags = j->client ? ISSUE_CLIENT : 0;
	return 0;
}

/* The subject and the names: the stored ones, unless a name of its own was given for the identity. */
static int
make_order(struct job *j, struct fail *f)
{
	char *left_out = NULL;
	int rc;

	if (!j->stored || j->name != NULL)
		rc = issue_set(&j->issue, ISSUE_CN, j->operand, f);
	else if (j->id.cert != NULL)
		rc = subject_of_cert(&j->issue, j->id.cert, &left_out, f);
	else
		rc = subject_of_request(&j->issue, j->id.request, &left_out, f);
	if (rc == -1 && j->stored && j->name == NULL)
		fail_prefix(f, "%.200s", j->id.name);
	if (left_out != NULL)
		talk(j->id.name, "left out of the request: %s", left_out);
	free(left_out);
	if (rc == -1)
		return -1;
	if (j->id.name == NULL && (j->id.name = name_to_identity(j->issue.san[0].text, f)) == NULL)
		return -1;
	return take_given(j, f);
}

/* ---- the key ---- */

static EVP_PKEY *
new_key(struct job *j, const char *type, struct fail *f)
{
	EVP_PKEY *key;

	j->made_key = 1;
	if (j->key_file != NULL)
		return key_from_file(j->key_file, f);
	progress_begin("making the key", 0);
	key = key_generate(type, f);
	progress_end();
	return key;
}

/* Where no type was asked for, the next key is of the current one's. */
static int
need_next_key(struct job *j, struct fail *f)
{
	char *type = NULL;

	if (j->id.next_key != NULL && !j->force) {
		if (j->key_file == NULL && j->type == NULL)
			return 0;
		return fail(f, FAIL_POLICY, "%.200s: there is a next key already; -f replaces it",
		    j->id.name);
	}
	EVP_PKEY_free(j->id.next_key);
	if (j->type == NULL && key_check_strength(j->id.key, NULL) == 0)
		type = key_describe(j->id.key);
	j->id.next_key = new_key(j, j->type != NULL ? j->type : type != NULL ? type :
	    KEY_TYPE_DEFAULT, f);
	free(type);
	return j->id.next_key != NULL ? 0 : -1;
}

static int
need_key(struct job *j, struct fail *f)
{
	if (j->next && !j->stored)
		return fail(f, FAIL_INPUT, "no identity \"%.200s\": --next is for one that has a key",
		    j->operand);
	if (j->next)
		return need_next_key(j, f);
	if (j->stored && (j->key_file != NULL || j->type != NULL))
		return fail(f, FAIL_POLICY, "%.200s has a key already: --next asks for another",
		    j->id.name);
	if (!j->stored)
		j->id.key = new_key(j, j->type != NULL ? j->type : KEY_TYPE_DEFAULT, f);
	return j->id.key != NULL ? 0 : -1;
}

/* ---- the request ---- */

static int
make_request(struct job *j, struct fail *f)
{
	EVP_PKEY *key = j->next ? j->id.next_key : j->id.key;
	X509_REQ **at = j->next ? &j->id.next_request : &j->id.request;

	X509_REQ_free(*at);
	*at = issue_request(&j->issue, key, f);
	return *at != NULL ? 0 : -1;
}

static int
print_json(const struct job *j, const char *path, const struct buf *pem, struct fail *f)
{
	char *key = key_describe(j->next ? j->id.next_key : j->id.key);
	json_t *o = json_object();
	int rc;

	json_set_str(o, "name", j->id.name);
	json_set_str(o, "path", path);
	json_set_bool(o, "next", j->next);
	json_set_bool(o, "new_key", j->made_key);
	json_set_str(o, "key", key);
	json_set(o, "dns", names_json_issue(&j->issue, ISSUE_DNS));
	json_set(o, "ip", names_json_issue(&j->issue, ISSUE_IP));
	json_set(o, "request", json_bytes(pem->p, pem->len));
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(key);
	return rc;
}

static int
print_request(const struct job *j, const char *path, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc = pem_put_request(&b, j->next ? j->id.next_request : j->id.request, f);

	if (rc == 0 && j->output != NULL)
		rc = file_write_or_stdout(j->output, 0644, FILE_REPLACE, b.p, b.len, f);
	if (rc == 0 && j->json)
		rc = print_json(j, path, &b, f);
	else if (rc == 0 && j->output == NULL)
		rc = file_write_or_stdout("-", 0644, 0, b.p, b.len, f);
	buf_clear(&b);
	return rc;
}

static int
run(struct job *j, struct fail *f)
{
	char *path = NULL;
	int rc = -1;

	if (find_identity(j, f) == -1 || make_order(j, f) == -1 || need_key(j, f) == -1 ||
	    make_request(j, f) == -1)
		return -1;
	path = identity_path(j->dir, j->id.name);
	if (j->id.cert != NULL)
		cert_warn_demo(path, j->id.cert);
	if (identity_store(j->dir, &j->id, j->stored ? IDENTITY_AMEND : 0, f) == 0) {
		if (j->made_key)
			talk(path, j->next ? "a next key is kept beside the current one" :
			    "a new key, which waits for its certificate");
		rc = print_request(j, path, f);
	}
	free(path);
	return rc;
}

int
main(int argc, char **argv)
{
	struct job j = { .id = IDENTITY_INIT };
	struct fail f = FAIL_INIT;
	enum tool_exit status = TOOL_YES;

	tool_init("csrgen", usage);
	ossl_init();
	issue_init(&j.given);
	issue_init(&j.issue);
	if (parse_args(&j, argc, argv, &f) == -1 || run(&j, &f) == -1)
		status = tool_failed(&f);
	issue_clear(&j.given);
	issue_clear(&j.issue);
	identity_clear(&j.id);
	return tool_finish(status);
}
