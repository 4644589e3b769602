/*
 * certstore - the identities under DIR/certs: look at them, change them, check them.
 */
#include "certstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "pem.h"
#include "replace.h"
#include "text.h"

static const char usage[] =
    "usage: certstore [-j] [-c CONF] [-d DIR] list\n"
    "       certstore [-j] [-c CONF] [-d DIR] show NAME\n"
    "       certstore [-fj] [-c CONF] [-d DIR] [-k FILE] [--ca FILE] install NAME FILE...\n"
    "       certstore [-f] [-d DIR] [-o FILE] [--with-key] export NAME\n"
    "       certstore [-fj] [-c CONF] [-d DIR] rename NAME NEW-NAME\n"
    "       certstore [-f] [-c CONF] [-d DIR] remove NAME\n"
    "       certstore [-fj] [-c CONF] [-d DIR] rollback NAME\n"
    "       certstore [-j] [-c CONF] [-d DIR] [--ca FILE] [--hosts FILE] [--within TIME]\n"
    "                 check [NAME...]\n"
    "\n"
    "  list               a line for each identity: name, end of validity, key, listeners of the\n"
    "                     relay that use it, subject and issuer\n"
    "  show NAME          all of one: names, fingerprints, chain, TLSA record, what waits\n"
    "  install NAME FILE  the CA's answer (PEM, DER or PKCS #7, - for stdin) becomes its\n"
    "                     certificate, intermediates in any order\n"
    "  export NAME        certificate and chain as PEM\n"
    "  rename, remove     an identity that no listener uses\n"
    "  rollback NAME      back to the version before; once more: forward again\n"
    "  check [NAME...]    expiry, key, chain, strength, coverage; of all where none is named\n"
    "\n"
    "  -c, --config CONF  the relay's configuration (DIR/smtp-relay.conf)\n"
    "  -d, --dir DIR      root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -f, --force        what is refused otherwise, and for files: replace what exists\n"
    "  -j, --json         JSON objects, one a line\n"
    "  -k, --key FILE     install: the private key comes along in FILE (- for stdin)\n"
    "  -o, --output FILE  export: write to FILE (- for stdout, as without)\n"
    "      --ca FILE      the CAs to verify against, in place of the trusted lists\n"
    "      --hosts FILE   check: the members of a cluster that identities must cover\n"
    "      --with-key     export: the private key too, before the certificate\n"
    "      --within TIME  check: how long before its end a certificate is due (21d)\n"
    "  -h, --help         print this\n"
    "  -V, --version      print the version\n";

enum { OPT_CA = 256, OPT_HOSTS, OPT_WITH_KEY, OPT_WITHIN };

static const struct option long_options[] = {
	{ "ca", required_argument, NULL, OPT_CA },
	{ "config", required_argument, NULL, 'c' },
	{ "dir", required_argument, NULL, 'd' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "hosts", required_argument, NULL, OPT_HOSTS },
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, 'k' },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, 'V' },
	{ "with-key", no_argument, NULL, OPT_WITH_KEY },
	{ "within", required_argument, NULL, OPT_WITHIN },
	{ NULL, 0, NULL, 0 },
};

#define WITHIN_DEFAULT (21 * 86400)

/* The options that a command may not know; -d and -j are for all but remove and export. */
enum { HAS_CA = 0x1, HAS_CONF = 0x2, HAS_FORCE = 0x4, HAS_HOSTS = 0x8, HAS_JSON = 0x10, HAS_KEY = 0x20,
	HAS_OUTPUT = 0x40, HAS_WITH_KEY = 0x80, HAS_WITHIN = 0x100 };

/* ---- the short commands ---- */

static int
export_pem(const struct settings *s, const char *name, struct buf *b, struct fail *f)
{
	struct identity id;
	int i, rc = identity_load(s->dir, name, s->with_key ? IDENTITY_NEED_KEY : 0, &id, f);

	if (rc == 0 && s->with_key)
		rc = key_to_pem(id.key, b, f);
	if (rc == 0) {
		cert_warn_demo(name, id.cert);
		rc = pem_put_cert(b, id.cert, f);
	}
	for (i = 0; rc == 0 && i < sk_X509_num(id.chain); i++)
		rc = pem_put_cert(b, sk_X509_value(id.chain, i), f);
	identity_clear(&id);
	return rc;
}

static enum tool_exit
cmd_export(const struct settings *s, char **operands)
{
	char *name = NULL;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	int rc = -1;

	if ((name = identity_find(s->dir, operands[0], &f)) != NULL && export_pem(s, name, &b, &f) == 0)
		rc = file_write_or_stdout(s->output != NULL ? s->output : "-", s->with_key ? 0600 : 0644,
		    s->force ? FILE_REPLACE : 0, b.p, b.len, &f);
	buf_wipe(&b);
	free(name);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}

/* The relay would not find it at its next start. */
static int
check_unused(const struct settings *s, const char *name, struct fail *f)
{
	struct used u;
	char *by;
	int rc = 0;

	if (s->force)
		return 0;
	used_read(&u, s);
	by = used_by(&u, name);
	if (u.unknown)
		rc = fail(f, FAIL_INPUT, "%.200s: perhaps it is used, and that cannot be read; -f does not ask",
		    name);
	else if (by[0] != '\0')
		rc = fail(f, FAIL_POLICY, "%.200s: used by the relay's listener %.200s; -f does not ask", name,
		    by);
	free(by);
	used_clear(&u);
	return rc;
}

static enum tool_exit
cmd_rename(const struct settings *s, char **operands)
{
	char *name = NULL, *to = NULL;
	struct fail f = FAIL_INIT;
	enum tool_exit status;

	if ((name = identity_find(s->dir, operands[0], &f)) == NULL ||
	    (to = name_to_identity(operands[1], &f)) == NULL || check_unused(s, name, &f) == -1 ||
	    identity_rename(s->dir, name, to, &f) == -1)
		status = tool_failed(&f);
	else
		status = describe_result(s, to, NULL);
	free(to);
	free(name);
	return status;
}

static enum tool_exit
cmd_remove(const struct settings *s, char **operands)
{
	char *name = NULL;
	struct fail f = FAIL_INIT;
	int rc = -1;

	if ((name = identity_find(s->dir, operands[0], &f)) != NULL && check_unused(s, name, &f) == 0)
		rc = identity_remove(s->dir, name, &f);
	free(name);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}

/* What would be of no use to the relay.  *to: the version that was looked at, caller frees; NULL with -f. */
static int
check_before(const struct settings *s, const char *name, char **to, struct fail *f)
{
	char when[TEXT_TIME_MAX];
	struct identity before;
	int rc;

	if (s->force)
		return 0;
	if ((rc = identity_load_before(s->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &before, f)) == -1)
		return -1;
	if (before.cert == NULL)
		rc = fail(f, FAIL_POLICY, "%.200s: the version before has no certificate yet; -f goes back to it",
		    name);
	else if (cert_not_after(before.cert) < s->now)
		rc = fail(f, FAIL_POLICY, "%.200s: the certificate before has expired: %s; -f goes back to it",
		    name, text_time(when, cert_not_after(before.cert)));
	*to = before.version;
	before.version = NULL;
	identity_clear(&before);
	return rc;
}

static enum tool_exit
roll_back(const struct settings *s, const char *name, struct fail *f)
{
	struct identity was, now = IDENTITY_INIT;
	enum tool_exit status;
	EVP_PKEY *key = NULL;
	char *to = NULL;

	/* What is damaged may be left: then nothing is said of its key. */
	if (identity_load(s->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &was, NULL) == 0)
		key = was.key;
	if (check_before(s, name, &to, f) == -1 || identity_rollback(s->dir, name, to, f) == -1)
		status = tool_failed(f);
	else {
		if (key != NULL && identity_load(s->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &now,
		    NULL) == 0 && !key_same(key, now.key))
			replace_warn_key(name, now.key);
		status = describe_result(s, name, key);
	}
	free(to);
	identity_clear(&now);
	identity_clear(&was);
	return status;
}

static enum tool_exit
cmd_rollback(const struct settings *s, char **operands)
{
	char *name = NULL;
	struct fail f = FAIL_INIT;
	enum tool_exit status;

	if ((name = identity_find(s->dir, operands[0], &f)) == NULL)
		return tool_failed(&f);
	status = roll_back(s, name, &f);
	free(name);
	return status;
}

/* ---- options ---- */

static const struct command {
	const char *name;
	int min, max;		/* operands; max -1: any number */
	const char *operands;	/* in words */
	unsigned has;
	enum tool_exit (*run)(const struct settings *, char **operands);
} commands[] = {
	{ "list", 0, 0, "no operand", HAS_CONF | HAS_JSON, cmd_list },
	{ "show", 1, 1, "one NAME", HAS_CONF | HAS_JSON, cmd_show },
	{ "install", 2, -1, "a NAME and one FILE or more",
	    HAS_CA | HAS_CONF | HAS_FORCE | HAS_JSON | HAS_KEY, cmd_install },
	{ "export", 1, 1, "one NAME", HAS_FORCE | HAS_OUTPUT | HAS_WITH_KEY, cmd_export },
	{ "rename", 2, 2, "a NAME and a NEW-NAME", HAS_CONF | HAS_FORCE | HAS_JSON, cmd_rename },
	{ "remove", 1, 1, "one NAME", HAS_CONF | HAS_FORCE, cmd_remove },
	{ "rollback", 1, 1, "one NAME", HAS_CONF | HAS_FORCE | HAS_JSON, cmd_rollback },
	{ "check", 0, -1, "any number of NAMEs", HAS_CA | HAS_CONF | HAS_HOSTS | HAS_JSON | HAS_WITHIN,
	    cmd_check },
};

/* Sets one option, and what it belongs to. */
static int
set_option(struct settings *s, int ch, const char *arg, struct fail *f)
{
	long long n;

	switch (ch) {
	case 'c': s->conf = arg; return HAS_CONF;
	case 'd': s->dir = arg; return 0;
	case 'f': s->force = 1; return HAS_FORCE;
	case 'j': s->json = 1; return HAS_JSON;
	case 'k': s->key_file = arg; return HAS_KEY;
	case 'o': s->output = arg; return HAS_OUTPUT;
	case OPT_CA: s->ca = arg; return HAS_CA;
	case OPT_HOSTS: s->hosts = arg; return HAS_HOSTS;
	case OPT_WITH_KEY: s->with_key = 1; return HAS_WITH_KEY;
	case OPT_WITHIN:
		if (text_duration(arg, "--within", &n, f) == -1)
			return -1;
		s->within = n;
		return HAS_WITHIN;
	}
	abort();
}

static const char *
option_name(unsigned has)
{
	static const char *const names[] = { "--ca", "-c", "-f", "--hosts", "-j", "-k", "-o", "--with-key",
		"--within" };
	size_t i;

	for (i = 0; !(has & 1u << i); i++)
		;
	return names[i];
}

static const struct command *
command_or_usage(int n, char **word, unsigned given)
{
	const struct command *c = commands;

	if (n == 0)
		tool_usage("no command");
	while (strcmp(word[0], c->name) != 0)
		if (++c == commands + sizeof commands / sizeof commands[0])
			tool_usage("unknown command %.100s", text_escape(word[0], strlen(word[0])));
	if (n - 1 < c->min || (c->max != -1 && n - 1 > c->max))
		tool_usage("%s takes %s", c->name, c->operands);
	if (given & ~c->has)
		tool_usage("%s has no %s", c->name, option_name(given & ~c->has));
	return c;
}

static const struct command *
parse_args(struct settings *s, int argc, char **argv, struct fail *f)
{
	unsigned given = 0;
	int ch, has;

	while ((ch = getopt_long(argc, argv, ":c:d:fhjk:o:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if ((has = set_option(s, ch, optarg, f)) == -1)
			return NULL;
		given |= (unsigned)has;
	}
	s->dir = tool_dir(s->dir);
	return command_or_usage(argc - optind, argv + optind, given);
}

int
main(int argc, char **argv)
{
	struct settings s = { .within = WITHIN_DEFAULT };
	struct fail f = FAIL_INIT;
	const struct command *c;

	tool_init("certstore", usage);
	ossl_init();
	s.now = time(NULL);
	if ((c = parse_args(&s, argc, argv, &f)) == NULL)
		return tool_finish(tool_failed(&f));
	return tool_finish(c->run(&s, argv + optind + 1));
}
