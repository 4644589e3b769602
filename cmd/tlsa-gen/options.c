/*
 * The command line, into struct job.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "gen.h"
#include "name.h"
#include "text.h"

static const char usage[] =
    "usage: tlsa-gen [-j] [-d DIR] [-m TYPE] [-p PORT] [-s SELECTOR] [-u USAGE] [--owner NAME]\n"
    "                [--proto tcp|udp|sctp] [--ttl TIME] [--generic | --nsupdate | --rdata]\n"
    "                [--next] NAME | -i FILE|- | --connect HOST@PORT\n"
    "       tlsa-gen --check-published [OPTION...] NAME | -i FILE|- | --connect HOST@PORT\n"
    "       tlsa-gen --safe-to-deploy FILE|- [--since TIME] [OPTION...]\n"
    "       tlsa-gen --update [--add] [--key FILE] [--zone ZONE] [OPTION...] NAME | -i FILE|-\n"
    "\n"
    "Print the TLSA records of the identity NAME, of what FILE holds (a certificate or chain, a\n"
    "request, a key or a public key), or of the server at HOST; or hold them against what is\n"
    "published, say whether FILE can be deployed, or publish them.\n"
    "\n"
    "  -d, --dir DIR         root of all state (else $MTATLS_DIR, else /etc/mtatls)\n"
    "  -i, --input FILE      read FILE (- for stdin), PEM or DER, in place of an identity\n"
    "      --connect HOST@PORT  take the certificate of this server; also HOST:PORT, [v6]:PORT\n"
    "      --starttls PROTO  to it: smtp, or none for TLS from the start (none on 443, 465, 636,\n"
    "                        853, 993 and 995, else smtp)\n"
    "  -j, --json            print one JSON object for each record, or owner\n"
    "  -m, --matching TYPE   0 Full, 1 SHA2-256 (default), 2 SHA2-512; may be repeated, as -s and -u\n"
    "  -p, --port PORT       port of the service (25, with --connect the port there)\n"
    "  -s, --selector N      0 Cert, 1 SPKI (default)\n"
    "  -u, --usage N         3 DANE-EE (default), 2 DANE-TA; 0 and 1 are not for mail\n"
    "      --generic         print the form of RFC 3597 (TYPE52)\n"
    "      --next            the records of the identity's next key too, behind the current ones\n"
    "      --nsupdate        print a script for nsupdate\n"
    "      --owner NAME      publish for this host, not for the certificate's names; may be\n"
    "                        repeated; a NAME that begins with _ or * is the whole owner\n"
    "      --proto PROTO     tcp (default), udp or sctp\n"
    "      --rdata           print only usage, selector, matching type and data\n"
    "      --ttl TIME        time to live: seconds, or with m, h, d, w behind it\n"
    "      --check-published  compare with what each authoritative server answers\n"
    "      --safe-to-deploy FILE  may the certificate or key in FILE be taken into use?\n"
    "      --since TIME      its record has been published everywhere since then (UTC)\n"
    "      --update          publish by dynamic update (RFC 2136), in place of what is there\n"
    "      --add             keep what is there\n"
    "      --key FILE        TSIG key, as tsig-keygen writes it\n"
    "      --zone ZONE       the zone to update (default: found by its SOA record)\n"
    "      --server HOST     ask or update this server, HOST or HOST@PORT, not those of the zone;\n"
    "                        may be repeated with --check-published and --safe-to-deploy\n"
    "      --anchor FILE     DNSSEC trust anchor (default " DNS_ROOT_ANCHOR ")\n"
    "      --resolver WHERE  ADDR[@PORT][,...] or recursive (default: /etc/resolv.conf)\n"
    "      --root-hints FILE  root servers for recursive\n"
    "  -t, --timeout TIME    for a connection, a reply, a DNS answer (15s)\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n";

enum {
	OPT_GENERIC = 256, OPT_NEXT, OPT_NSUPDATE, OPT_OWNER, OPT_PROTO, OPT_RDATA, OPT_TTL, OPT_CONNECT,
	OPT_STARTTLS, OPT_CHECK, OPT_DEPLOY, OPT_SINCE, OPT_UPDATE, OPT_ADD, OPT_KEY, OPT_ZONE, OPT_SERVER,
	OPT_ANCHOR, OPT_RESOLVER, OPT_HINTS
};

static const struct option long_options[] = {
	{ "add", no_argument, NULL, OPT_ADD },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "check-published", no_argument, NULL, OPT_CHECK },
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "dir", required_argument, NULL, 'd' },
	{ "generic", no_argument, NULL, OPT_GENERIC },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "matching", required_argument, NULL, 'm' },
	{ "next", no_argument, NULL, OPT_NEXT },
	{ "nsupdate", no_argument, NULL, OPT_NSUPDATE },
	{ "owner", required_argument, NULL, OPT_OWNER },
	{ "port", required_argument, NULL, 'p' },
	{ "proto", required_argument, NULL, OPT_PROTO },
	{ "rdata", no_argument, NULL, OPT_RDATA },
	{ "resolver", required_argument, NULL, OPT_RESOLVER },
	{ "root-hints", required_argument, NULL, OPT_HINTS },
	{ "safe-to-deploy", required_argument, NULL, OPT_DEPLOY },
	{ "selector", required_argument, NULL, 's' },
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "starttls", required_argument, NULL, OPT_STARTTLS },
	{ "timeout", required_argument, NULL, 't' },
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ "update", no_argument, NULL, OPT_UPDATE },
	{ "usage", required_argument, NULL, 'u' },
	{ "version", no_argument, NULL, 'V' },
	{ "zone", required_argument, NULL, OPT_ZONE },
	{ NULL, 0, NULL, 0 },
};

/* What is looked at when all options are known. */
struct raw {
	const char *owner[OWNERS_MAX];
	size_t nowner;
	int port_given;
};

int
owners_add(struct job *j, char *owner, struct fail *f)
{
	size_t i;

	if (owner == NULL)
		return -1;
	for (i = 0; i < j->nowner; i++)
		if (strcmp(j->owner[i], owner) == 0) {
			free(owner);
			return 0;
		}
	if (j->nowner == OWNERS_MAX) {
		free(owner);
		return fail(f, FAIL_INPUT, "more than %d owners", OWNERS_MAX);
	}
	j->owner = xreallocarray(j->owner, j->nowner + 1, sizeof *j->owner);
	j->owner[j->nowner++] = owner;
	return 0;
}

/* The port and protocol may be given after the owner: so it is looked at when all are known. */
static char *
owner_of_option(const struct job *j, const char *arg, struct fail *f)
{
	char *name = name_to_ascii(arg, f), *owner;

	if (name == NULL)
		return NULL;
	if (name[0] == '_' || name[0] == '*')
		owner = xasprintf("%s.", name);
	else
		owner = tlsa_owner(name, j->port, j->proto, f);
	free(name);
	return owner;
}

static int
set_port(struct job *j, const char *arg, struct fail *f)
{
	long long n;

	if (text_number(arg, 1, 65535, "port", &n, f) == -1)
		return -1;
	j->port = n;
	return 0;
}

static int
set_ttl(struct job *j, const char *arg, struct fail *f)
{
	if (text_duration(arg, "--ttl", &j->ttl, f) == -1)
		return -1;
	if (j->ttl > TTL_MAX)
		return fail(f, FAIL_INPUT, "--ttl: at most %d seconds (RFC 2181 8)", TTL_MAX);
	return 0;
}

static int
set_timeout(struct job *j, const char *arg, struct fail *f)
{
	long long seconds;

	if (text_duration(arg, "timeout", &seconds, f) == -1)
		return -1;
	if (seconds < 1 || seconds > 3600)
		return fail(f, FAIL_INPUT, "timeout: expected 1s to 1h");
	j->dns.timeout_ms = seconds * 1000;
	return 0;
}

static void
set_form(struct job *j, enum form form)
{
	if (j->form != FORM_ZONE && j->form != form)
		tool_usage("-j, --generic, --nsupdate and --rdata exclude each other");
	j->form = form;
}

static void
set_task(struct job *j, enum task task)
{
	if (j->task != TASK_PRINT && j->task != task)
		tool_usage("--check-published, --safe-to-deploy and --update exclude each other");
	j->task = task;
}

/* The numbers that are defined, each once. */
static int
add_number(struct numbers *list, uint8_t n, const char *known, const char *what, const char *expected,
    struct fail *f)
{
	size_t i;

	if (known == NULL)
		return fail(f, FAIL_INPUT, "TLSA %s %u is not defined; expected %s", what, n, expected);
	for (i = 0; i < list->n; i++)
		if (list->v[i] == n)
			return 0;
	list->v[list->n++] = n;
	return 0;
}

static int
set_numbers(struct job *j, int ch, const char *arg, struct fail *f)
{
	uint8_t n;

	switch (ch) {
	case 'm':
		if (tlsa_parse_mtype(arg, &n, f) == -1)
			return -1;
		return add_number(&j->mtype, n, tlsa_mtype_name(n), "matching type", "0, 1 or 2", f);
	case 's':
		if (tlsa_parse_selector(arg, &n, f) == -1)
			return -1;
		return add_number(&j->selector, n, tlsa_selector_name(n), "selector", "0 or 1", f);
	default:
		if (tlsa_parse_usage(arg, &n, f) == -1)
			return -1;
		return add_number(&j->usage, n, tlsa_usage_name(n), "usage", "3 or 2", f);
	}
}

/* HOST@PORT, HOST:PORT or [ADDRESS]:PORT; an address with colons needs brackets or the @. */
static int
parse_host(const char *arg, uint16_t port, const char *what, struct endpoint *e, struct fail *f)
{
	const char *colon = strrchr(arg, ':');
	char *copy = xstrdup(arg), *name;
	int rc, plain = colon != NULL && strchr(arg, '@') == NULL;

	if (plain && (strchr(arg, ':') == colon || (arg[0] == '[' && colon > arg && colon[-1] == ']')))
		copy[colon - arg] = '@';
	rc = text_endpoint(copy, port, e, f);
	free(copy);
	if (rc == -1)
		return fail_prefix(f, "%s", what);
	if (text_is_address(e->host))
		return 0;
	if ((name = name_to_ascii(e->host, f)) == NULL)
		return fail_prefix(f, "%s", what);
	if (!name_is_host(name, NAME_UNDERSCORE))
		rc = fail(f, FAIL_INPUT, "%s: %.260s: neither a host name nor an address", what, name);
	else
		memcpy(e->host, name, strlen(name) + 1);
	free(name);
	return rc;
}

static int
add_server(struct job *j, const char *arg, struct fail *f)
{
	if (j->nserver == SERVERS_MAX)
		return fail(f, FAIL_INPUT, "more than %d --server options", SERVERS_MAX);
	return parse_host(arg, 53, "--server", &j->server[j->nserver++], f);
}

static int
set_starttls(struct job *j, const char *arg, struct fail *f)
{
	if (strcmp(arg, "smtp") != 0 && strcmp(arg, "none") != 0)
		return fail(f, FAIL_INPUT, "--starttls: expected smtp or none, not \"%.64s\"", arg);
	j->starttls = arg[0] == 's';
	return 0;
}

static int
set_dns(struct job *j, int ch, const char *arg, struct fail *f)
{
	switch (ch) {
	case OPT_ANCHOR: j->dns.anchor = arg; return 0;
	case OPT_HINTS: j->dns.root_hints = arg; return 0;
	case OPT_KEY: j->key_file = arg; return 0;
	case OPT_RESOLVER: j->dns.resolver = arg; return 0;
	case OPT_SERVER: return add_server(j, arg, f);
	case OPT_SINCE: return text_timestamp(arg, "--since", &j->since, f);
	case OPT_ZONE: j->zone = arg; return 0;
	default: return set_timeout(j, arg, f);
	}
}

static int
set_option(struct job *j, struct raw *raw, int ch, const char *arg, struct fail *f)
{
	switch (ch) {
	case 'd': j->dir = arg; break;
	case 'i': j->input = arg; break;
	case 'j': set_form(j, FORM_JSON); break;
	case 'm': case 's': case 'u': return set_numbers(j, ch, arg, f);
	case 'p': raw->port_given = 1; return set_port(j, arg, f);
	case OPT_ADD: j->add = 1; break;
	case OPT_CHECK: set_task(j, TASK_CHECK); break;
	case OPT_CONNECT: return parse_host(arg, 0, "--connect", &j->connect, f);
	case OPT_DEPLOY: j->deploy = arg; set_task(j, TASK_DEPLOY); break;
	case OPT_GENERIC: set_form(j, FORM_GENERIC); break;
	case OPT_NEXT: j->next = 1; break;
	case OPT_NSUPDATE: set_form(j, FORM_NSUPDATE); break;
	case OPT_OWNER:
		if (raw->nowner == OWNERS_MAX)
			tool_usage("more than %d --owner options", OWNERS_MAX);
		raw->owner[raw->nowner++] = arg;
		break;
	case OPT_PROTO: j->proto = arg; break;
	case OPT_RDATA: set_form(j, FORM_RDATA); break;
	case OPT_STARTTLS: return set_starttls(j, arg, f);
	case OPT_TTL: return set_ttl(j, arg, f);
	case OPT_UPDATE: set_task(j, TASK_UPDATE); break;
	default: return set_dns(j, ch, arg, f);
	}
	return 0;
}

static void
check_source(const struct job *j)
{
	int n = (j->name != NULL) + (j->input != NULL) + (j->connect.host[0] != '\0');

	if (j->task == TASK_DEPLOY && n > 0)
		tool_usage("--safe-to-deploy names the certificate itself");
	if (j->task != TASK_DEPLOY && n != 1)
		tool_usage("expected the name of one identity, -i FILE or --connect HOST@PORT");
	if (j->starttls != -1 && j->connect.host[0] == '\0')
		tool_usage("--starttls is for --connect");
	if (j->next && j->name == NULL)
		tool_usage("--next is for an identity, not for -i");
	if (j->next && (j->usage.n != 1 || j->usage.v[0] != TLSA_DANE_EE || j->selector.n != 1 ||
	    j->selector.v[0] != TLSA_SPKI))
		tool_usage("--next is for usage 3 and selector 1: of the next key there is no certificate yet");
}

static void
check_task(const struct job *j)
{
	int update = j->task == TASK_UPDATE || j->form == FORM_NSUPDATE;

	if (j->task != TASK_PRINT && j->form != FORM_ZONE && j->form != FORM_JSON)
		tool_usage("--generic, --nsupdate and --rdata print records, and nothing else is done then");
	if (j->since != -1 && j->task != TASK_DEPLOY)
		tool_usage("--since is for --safe-to-deploy");
	if ((j->add || j->key_file != NULL) && j->task != TASK_UPDATE)
		tool_usage("--add and --key are for --update");
	if (j->zone != NULL && !update)
		tool_usage("--zone is for --update and --nsupdate");
	if (j->nserver > 0 && j->task == TASK_PRINT && j->form != FORM_NSUPDATE)
		tool_usage("--server is for --check-published, --safe-to-deploy, --update and --nsupdate");
	if (j->nserver > 1 && update)
		tool_usage("an update goes to one server");
}

static int
check_words(struct job *j, const struct raw *raw, struct fail *f)
{
	size_t i;

	if (strcmp(j->proto, "tcp") != 0 && strcmp(j->proto, "udp") != 0 && strcmp(j->proto, "sctp") != 0)
		return fail(f, FAIL_INPUT,
		    "--proto: expected tcp, udp or sctp, not \"%.64s\"", j->proto);
	if (j->connect.host[0] != '\0' && !raw->port_given)
		j->port = j->connect.port;
	for (i = 0; i < raw->nowner; i++)
		if (owners_add(j, owner_of_option(j, raw->owner[i], f), f) == -1)
			return -1;
	return 0;
}

static void
set_defaults(struct job *j)
{
	if (j->usage.n == 0)
		j->usage = (struct numbers){ { TLSA_DANE_EE }, 1 };
	if (j->selector.n == 0)
		j->selector = (struct numbers){ { TLSA_SPKI }, 1 };
	if (j->mtype.n == 0)
		j->mtype = (struct numbers){ { TLSA_SHA256 }, 1 };
	j->dir = tool_dir(j->dir);
}

void
options_read(struct job *j, int argc, char **argv)
{
	struct raw raw = { .nowner = 0 };
	struct fail f = FAIL_INIT;
	int ch;

	*j = (struct job){ .port = PORT_DEFAULT, .proto = "tcp", .ttl = -1, .since = -1, .starttls = -1,
		.dns = { .timeout_ms = TIMEOUT_DEFAULT } };
	tool_init("tlsa-gen", usage);
	while ((ch = getopt_long(argc, argv, ":d:hi:jm:p:s:t:u:V", long_options, NULL)) != -1) {
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
		if (ch == 'h')
			tool_help();
		if (ch == 'V')
			tool_version();
		if (set_option(j, &raw, ch, optarg, &f) == -1)
			exit(tool_failed(&f));
	}
	if (argc - optind > 1)
		tool_usage("expected the name of one identity, -i FILE or --connect HOST@PORT");
	j->name = argv[optind];
	set_defaults(j);
	check_source(j);
	check_task(j);
	if (check_words(j, &raw, &f) == -1)
		exit(tool_failed(&f));
}

void
options_clear(struct job *j)
{
	size_t i;

	for (i = 0; i < j->nowner; i++)
		free(j->owner[i]);
	free(j->owner);
}
