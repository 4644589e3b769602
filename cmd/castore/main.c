/*
 * castore - the lists of trusted CAs: what is in them, what goes in and out, whether a chain holds.
 */
#include "castore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ossl.h"

static const char usage[] =
    "usage: castore [-j] [-d DIR] list [system|custom]\n"
    "       castore [-d DIR] enable|disable system|custom\n"
    "       castore [-j] [-d DIR] [--allow-leaf] [--append] [--skip-bad]\n"
    "               [--pass-env VAR | --pass-fd N | --pass-file FILE] import FILE|-\n"
    "       castore [-d DIR] [-o FILE|-] export system|custom|both\n"
    "       castore [-d DIR] remove FINGERPRINT\n"
    "       castore [-d DIR] [--after DATE | --undo] distrust FINGERPRINT\n"
    "       castore [-j] [-d DIR | --ca FILE] [-l LEVEL] [--client] [--fqdn-check]\n"
    "               [--time DATE] [--untrusted FILE] --host NAME ... verify CHAIN|-\n"
    "\n"
    "  list                  the certificates of both lists, or of one\n"
    "  enable, disable       let a list count, or not; with both off nothing verifies\n"
    "  import FILE           replace the custom list, and enable it\n"
    "  export LIST           print a list as PEM with comments\n"
    "  remove FINGERPRINT    take a certificate out of the custom list\n"
    "  distrust FINGERPRINT  let no chain hold that goes through this certificate\n"
    "  verify CHAIN          hold a chain, leaf first, against the lists and a host's name\n"
    "\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -j, --json            one JSON object a line\n"
    "  -l, --level LEVEL     names that count: required-verify (default),\n"
    "                        required-verify-hosted or san-only\n"
    "  -o, --output FILE     export to FILE (- for stdout, the default)\n"
    "      --after DATE      distrust only for leaves that are valid from a later time\n"
    "      --allow-leaf      import certificates of servers too, to be matched exactly\n"
    "      --append          add to the list, do not replace it\n"
    "      --ca FILE         trust the CAs in FILE, not those of the lists\n"
    "      --client          the chain is a client's\n"
    "      --fqdn-check      only fully qualified names in the certificate count\n"
    "      --host NAME       the host's name or address; may be repeated, any may fit\n"
    "      --pass-env VAR    the passphrase of a PKCS#12 file is in this environment variable\n"
    "      --pass-fd N       read it from this descriptor\n"
    "      --pass-file FILE  read it from FILE (- for stdin)\n"
    "      --skip-bad        import the others where a certificate is damaged or refused\n"
    "      --time DATE       verify for that time, not for now\n"
    "      --undo            distrust no more\n"
    "      --untrusted FILE  further certificates for the chain\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum { OPT_AFTER = 256, OPT_ALLOW_LEAF, OPT_APPEND, OPT_CA, OPT_CLIENT, OPT_FQDN_CHECK, OPT_HOST,
	OPT_SKIP_BAD, OPT_TIME, OPT_UNDO, OPT_UNTRUSTED };

static const struct option long_options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "level", required_argument, NULL, 'l' },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, 'V' },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "allow-leaf", no_argument, NULL, OPT_ALLOW_LEAF },
	{ "append", no_argument, NULL, OPT_APPEND },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "client", no_argument, NULL, OPT_CLIENT },
	{ "fqdn-check", no_argument, NULL, OPT_FQDN_CHECK },
	{ "host", required_argument, NULL, OPT_HOST },
	SECRET_OPTIONS,
	{ "skip-bad", no_argument, NULL, OPT_SKIP_BAD },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "undo", no_argument, NULL, OPT_UNDO },
	{ "untrusted", required_argument, NULL, OPT_UNTRUSTED },
	{ NULL, 0, NULL, 0 },
};

/* Options as bits: which of them a command has. */
#define HAS_J 0x1
#define HAS_O 0x2
#define HAS_IMPORT 0x4		/* --allow-leaf, --append, --pass-..., --skip-bad */
#define HAS_DISTRUST 0x8	/* --after, --undo */
#define HAS_VERIFY 0x10		/* -l, --ca, --client, --fqdn-check, --host, --time, --untrusted */

static const struct command {
	const char *name, *operand;
	int min, max;
	unsigned has;
	command_fn *run;
} commands[] = {
	{ "list", "at most one list", 0, 1, HAS_J, cmd_list },
	{ "enable", "one list", 1, 1, 0, cmd_enable },
	{ "disable", "one list", 1, 1, 0, cmd_disable },
	{ "import", "one file", 1, 1, HAS_J | HAS_IMPORT, cmd_import },
	{ "export", "one list, or both", 1, 1, HAS_O, cmd_export },
	{ "remove", "one fingerprint", 1, 1, 0, cmd_remove },
	{ "distrust", "one fingerprint", 1, 1, HAS_DISTRUST, cmd_distrust },
	{ "verify", "one file", 1, 1, HAS_J | HAS_VERIFY, cmd_verify },
};

static int
set_level(struct settings *set, const char *arg, struct fail *f)
{
	static const char *const levels[] = {
		[VERIFY_NAMES_CN_OR_SAN] = "required-verify",
		[VERIFY_NAMES_HOSTED] = "required-verify-hosted",
		[VERIFY_NAMES_SAN] = "san-only",
	};
	size_t i;

	for (i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (strcmp(arg, levels[i]) == 0) {
			set->names = i;
			return 0;
		}
	return fail(f, FAIL_INPUT,
	    "-l: expected required-verify, required-verify-hosted or san-only, not \"%.64s\"", arg);
}

static void
add_host(struct settings *set, const char *arg)
{
	if (set->nhost == HOSTS_MAX)
		tool_usage("more than %d --host options", HOSTS_MAX);
	set->host[set->nhost++] = arg;
}

static int
set_verify_option(struct settings *set, int ch, const char *arg, struct fail *f)
{
	set->given |= HAS_VERIFY;
	switch (ch) {
	case 'l':
		return set_level(set, arg, f);
	case OPT_CA:
		set->ca = arg;
		break;
	case OPT_CLIENT:
		set->client = 1;
		break;
	case OPT_FQDN_CHECK:
		set->fqdn_check = 1;
		break;
	case OPT_HOST:
		add_host(set, arg);
		break;
	case OPT_TIME:
		set->timed = 1;
		return text_timestamp(arg, "--time", &set->now, f);
	case OPT_UNTRUSTED:
		set->untrusted = arg;
		break;
	default:
		abort();
	}
	return 0;
}

static int
set_option(struct settings *set, int ch, const char *arg, struct fail *f)
{
	int rc = secret_take(&set->secret, ch, arg, f);

	if (rc != 0) {
		set->given |= HAS_IMPORT;
		return rc == 1 ? 0 : -1;
	}
	switch (ch) {
	case 'd':
		set->dir = arg;
		break;
	case 'j':
		set->json = 1;
		set->given |= HAS_J;
		break;
	case 'o':
		set->output = arg;
		set->given |= HAS_O;
		break;
	case OPT_AFTER:
		set->dated = 1;
		set->given |= HAS_DISTRUST;
		return text_timestamp(arg, "--after", &set->after, f);
	case OPT_ALLOW_LEAF:
		set->allow_leaf = 1;
		set->given |= HAS_IMPORT;
		break;
	case OPT_APPEND:
		set->append = 1;
		set->given |= HAS_IMPORT;
		break;
	case OPT_SKIP_BAD:
		set->skip_bad = 1;
		set->given |= HAS_IMPORT;
		break;
	case OPT_UNDO:
		set->undo = 1;
		set->given |= HAS_DISTRUST;
		break;
	default:
		return set_verify_option(set, ch, arg, f);
	}
	return 0;
}

static int
parse_options(struct settings *set, int argc, char **argv, struct fail *f)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":d:hjl:o:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (set_option(set, ch, optarg, f) == -1)
			return -1;
	}
	set->dir = tool_dir(set->dir);
	return 0;
}

static const struct command *
find_command(const struct settings *set, char **word, int n)
{
	const struct command *c;

	if (n == 0)
		tool_usage("no command");
	for (c = commands; c < commands + sizeof commands / sizeof commands[0]; c++) {
		if (strcmp(word[0], c->name) != 0)
			continue;
		if (n - 1 < c->min || n - 1 > c->max)
			tool_usage("%s takes %s", c->name, c->operand);
		if (set->given & ~c->has)
			tool_usage("an option that %s does not have", c->name);
		if (c->run == cmd_verify && set->nhost == 0)
			tool_usage("verify needs --host");
		return c;
	}
	tool_usage("unknown command %.100s", text_escape(word[0], strlen(word[0])));
}

int
main(int argc, char **argv)
{
	struct settings set = { .names = VERIFY_NAMES_CN_OR_SAN, .secret = SECRET_INIT };
	const struct command *c;
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	int n;

	tool_init("castore", usage);
	ossl_init();
	if (parse_options(&set, argc, argv, &f) == -1) {
		secret_clear(&set.secret);
		return tool_finish(tool_failed(&f));
	}
	n = argc - optind;
	argv += optind;
	c = find_command(&set, argv, n);
	status = c->run(&set, argv + 1, n - 1);
	secret_clear(&set.secret);
	return tool_finish(status);
}
