/*
 * tlscheck - would mail go to this destination encrypted, authenticated, in clear, or not at all?
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "conf.h"
#include "file.h"
#include "inspect.h"
#include "lint.h"
#include "log.h"
#include "name.h"
#include "offline.h"
#include "ossl.h"
#include "progress.h"
#include "show.h"
#include "spool.h"
#include "text.h"
#include "tls.h"
#include "tool.h"

#define TIME_MAX 253402300799	/* the end of the year 9999 */
#define DAYS_MAX 36500

static const char usage[] =
    "usage: tlscheck [OPTION]... [--save FILE] DESTINATION...\n"
    "       tlscheck [OPTION]... [--starttls PROTOCOL] [--client NAME] SERVER...\n"
    "       tlscheck [OPTION]... --survey|--publish[=PART] DOMAIN...\n"
    "       tlscheck [OPTION]... --replay FILE [DESTINATION...]\n"
    "       tlscheck [OPTION]... --chain FILE --name REF... [--tlsa RECORD]... [--tlsa-file FILE]\n"
    "       tlscheck [-j] --lint KIND FILE\n"
    "DESTINATION is a domain, [host] or [address] (that host, no MX lookup).\n"
    "SERVER is host:port, [address]:port or host@port, or a host where --starttls says its port.\n"
    "  -c, --config CONF    judge as the relay with this smtp-relay.conf would: its destinations,\n"
    "                       routes, anchor, resolver, port and CAs; not with -l to --tls-min\n"
    "  -l, --level LEVEL    tls level: no, preferred (default), preferred-verify, required,\n"
    "                       required-verify or required-verify-hosted\n"
    "      --dane SETTING   none, opportunistic (default) or mandatory\n"
    "      --sts SETTING    none or follow (default)\n"
    "      --sts-cache DIR  keep MTA-STS policies there, and use those kept (default: none are kept; with -c\n"
    "                       those of that relay are used)\n"
    "      --lint KIND      does FILE (or -) hold a good record or policy?  sts-txt, sts-policy, tlsrpt-txt\n"
    "                       or tlsa; nothing is asked\n"
    "      --fallback WHEN  to clear text: before-220 (default), after-220, both or never\n"
    "      --fqdn-check YESNO  whether certificates' names must be fully qualified to count: no (default)\n"
    "      --tls-min VERSION  lowest version where a CA's word is needed: 1.2 (default), 1.3, 1.1, 1.0\n"
    "  -T, --table          the verdict under every level and DANE setting too\n"
    "      --anchor FILE    DNSSEC trust anchor (default " DNS_ROOT_ANCHOR ")\n"
    "      --resolver WHERE ADDR[@PORT][,...] or recursive (default: /etc/resolv.conf)\n"
    "      --root-hints FILE  root servers for recursive\n"
    "      --port N         SMTP port, also of the TLSA records (default 25)\n"
    "  -t, --timeout TIME   for a connection, a reply, a DNS answer (default 15s)\n"
    "      --ehlo NAME      name to greet with (default: this host's)\n"
    "      --save FILE      keep the evidence: what the DNS said and each connection showed\n"
    "      --replay FILE    judge evidence that was kept, without a network\n"
    "      --chain FILE     judge a certificate chain (PEM, DER, PKCS#7; leaf first), without a network\n"
    "      --name REF       for --chain: a name to hold it against; the first is the host, whose\n"
    "                       TLSA records these are\n"
    "      --tlsa RECORD    for --chain: a TLSA record, \"U S M HEX\"\n"
    "      --tlsa-file FILE for --chain: TLSA records, one a line, as --tlsa or a zone file has them\n"
    "      --ca FILE        trust these CAs in place of castore's lists\n"
    "  -d, --dir DIR        root of all state, with castore's lists (default $MTATLS_DIR or /etc/mtatls)\n"
    "      --starttls PROTOCOL  of a server: smtp (default), lmtp, imap, pop3, ldap, sieve, or none for\n"
    "                       TLS from the first octet\n"
    "      --client NAME    present this identity of the store to servers that ask for a certificate\n"
    "      --survey         of domains too: certificates by kind of key, TLS versions, resumption\n"
    "  -C, --pem            print the chains as they were sent, in PEM: with SERVER and --survey\n"
    "      --publish        print what the domain's servers support, to be published; or only a part,\n"
    "                       as --publish=sts-policy: sts-policy, sts-txt, tlsrpt-txt or tlsa\n"
    "      --time WHEN      judge as of that time: seconds since 1970, 2026-11-21 or\n"
    "                       2026-11-21T10:00:00Z; or now\n"
    "  -w, --warn DAYS[,CRITICAL]  certificates that end so soon are a problem: status 1\n"
    "      --expect VERDICT AUTH, ENC, CLEAR, SKIP or NOMAIL: a weaker one is status 1\n"
    "  -N, --plugin         one line and the status of a monitoring plugin\n"
    "  -j, --json           one JSON object a line for each destination\n"
    "  -q, --quiet          only the short answer and what it does not rest on\n"
    "  -v, --verbose        also the trace, replies, certificates and TLSA records\n"
    "  -h, --help           this text\n"
    "  -V, --version        the version\n";

enum { OPT_POLICY = 256, OPT_ANCHOR = OPT_POLICY + POLICY_KEYS, OPT_RESOLVER, OPT_HINTS, OPT_PORT, OPT_EHLO,
	OPT_STS_CACHE, OPT_LINT, OPT_SAVE, OPT_REPLAY, OPT_CHAIN, OPT_NAME, OPT_TLSA, OPT_TLSA_FILE, OPT_CA, OPT_TIME,
	OPT_EXPECT, OPT_STARTTLS, OPT_CLIENT, OPT_SURVEY, OPT_PUBLISH };

#define SHORT_OPTIONS ":c:d:l:t:w:CjNqTvhV"

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "level", required_argument, NULL, 'l' },
	{ "dane", required_argument, NULL, OPT_POLICY + POLICY_KEY_DANE },
	{ "sts", required_argument, NULL, OPT_POLICY + POLICY_KEY_STS },
	{ "fallback", required_argument, NULL, OPT_POLICY + POLICY_KEY_FALLBACK },
	{ "fqdn-check", required_argument, NULL, OPT_POLICY + POLICY_KEY_FQDN_CHECK },
	{ "tls-min", required_argument, NULL, OPT_POLICY + POLICY_KEY_TLS_MIN },
	{ "sts-cache", required_argument, NULL, OPT_STS_CACHE },
	{ "lint", required_argument, NULL, OPT_LINT },
	{ "table", no_argument, NULL, 'T' },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "resolver", required_argument, NULL, OPT_RESOLVER },
	{ "root-hints", required_argument, NULL, OPT_HINTS },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "timeout", required_argument, NULL, 't' },
	{ "ehlo", required_argument, NULL, OPT_EHLO },
	{ "save", required_argument, NULL, OPT_SAVE },
	{ "replay", required_argument, NULL, OPT_REPLAY },
	{ "chain", required_argument, NULL, OPT_CHAIN },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "tlsa", required_argument, NULL, OPT_TLSA },
	{ "tlsa-file", required_argument, NULL, OPT_TLSA_FILE },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "dir", required_argument, NULL, 'd' },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "warn", required_argument, NULL, 'w' },
	{ "expect", required_argument, NULL, OPT_EXPECT },
	{ "plugin", no_argument, NULL, 'N' },
	{ "starttls", required_argument, NULL, OPT_STARTTLS },
	{ "client", required_argument, NULL, OPT_CLIENT },
	{ "survey", no_argument, NULL, OPT_SURVEY },
	{ "pem", no_argument, NULL, 'C' },
	{ "publish", optional_argument, NULL, OPT_PUBLISH },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* A run: destinations in the order of the command line, printed in it as they are done. */
struct run {
	struct check_env env;
	struct show *show;
	char **destination;
	struct check **check;
	size_t n, started, printed, freed, under_way;
	struct progress progress;
	struct fail fail;
};

struct settings {
	struct check_conf conf;
	struct show_conf show;
	const char *conf_file;
	struct conf *relay;
	const char *lint;	/* a kind; NULL: not asked for */
	const char *dir;	/* -d; NULL: not given */
	unsigned given;		/* settings of the policy, a bit for each key */
	int port_given;
	struct cas cas;
	const char *replay;
	struct offline offline;
	char **name;		/* of offline, which borrows them */
	const char **tlsa;
	struct inspect_conf inspect;
	int survey;		/* one of the options that ask for a close look was given */
};

static long long
number_or_usage(const char *text, long long lo, long long hi, const char *what)
{
	struct fail f = FAIL_INIT;
	long long n;

	if (text_number(text, lo, hi, what, &n, &f) == -1)
		tool_usage("%s", f.text);
	return n;
}

static int
timeout_or_usage(const char *text)
{
	struct fail f = FAIL_INIT;
	long long seconds;

	if (text_duration(text, "timeout", &seconds, &f) == -1)
		tool_usage("%s", f.text);
	if (seconds < 1 || seconds > 3600)
		tool_usage("timeout: expected 1s to 1h");
	return seconds * 1000;
}

static void
take_level(struct settings *s, const char *word)
{
	struct fail f = FAIL_INIT;

	if (policy_parse_level(word, &s->conf.policy.tls, &f) == -1)
		tool_usage("%s", f.text);
	s->given |= 1U << POLICY_KEY_TLS;
}

static void
take_policy(struct settings *s, enum policy_key key, const char *word)
{
	struct fail f = FAIL_INIT;

	if (policy_set(&s->conf.policy, key, word, &f) == -1)
		tool_usage("%s", f.text);
	s->given |= 1U << key;
}

static void
take_lint(struct settings *s, const char *kind)
{
	if (!lint_is_kind(kind))
		tool_usage("lint: expected %s, not \"%.100s\"", LINT_KINDS, kind);
	s->lint = kind;
}

/* --time */
static int64_t
time_or_usage(const char *text)
{
	struct fail f = FAIL_INIT;
	long long seconds;
	int64_t when;

	if (strcmp(text, "now") == 0)
		return time(NULL);
	if (*text != '\0' && text[strspn(text, "0123456789")] == '\0') {
		if (text_number(text, 1, TIME_MAX, "time", &seconds, &f) == -1)
			tool_usage("%s", f.text);
		return seconds;
	}
	if (text_timestamp(text, "time", &when, &f) == -1)
		tool_usage("%s", f.text);
	return when;
}

/* -w DAYS[,CRITICAL] */
static void
take_warn(struct monitor_conf *m, const char *text)
{
	char *copy = xstrdup(text), *critical = copy, *warn = strsep(&critical, ",");

	m->warn_days = number_or_usage(warn, 0, DAYS_MAX, "warn");
	m->critical_days = critical == NULL ? -1 : number_or_usage(critical, 0, m->warn_days, "warn: critical");
	free(copy);
}

static void
take_expect(struct settings *s, const char *text)
{
	int word;

	for (word = VERDICT_AUTH; word <= VERDICT_NOMAIL; word++)
		if (text_case_eq(text, verdict_name(word)))
			break;
	if (word > VERDICT_NOMAIL)
		tool_usage("expect: expected AUTH, ENC, CLEAR, SKIP or NOMAIL");
	s->show.monitor.expect = (enum verdict_word)word;
	s->show.expects = 1;
}

/* --name: as a certificate has it. */
static void
take_name(struct settings *s, const char *text)
{
	struct fail f = FAIL_INIT;
	char *name = text_is_address(text) ? xstrdup(text) : name_to_ascii(text, &f), *shown;

	if (name == NULL || (!text_is_address(name) && !name_is_host(name, NAME_UNDERSCORE))) {
		shown = text_escape(text, strlen(text));
		tool_usage("name: %.300s: expected a host name or an address%s%s", shown,
		    name == NULL ? ": " : "", name == NULL ? f.text : "");
	}
	s->name = xreallocarray(s->name, s->offline.nname + 1, sizeof *s->name);
	s->name[s->offline.nname++] = name;
}

static void
take_tlsa(struct settings *s, const char *text)
{
	s->tlsa = xreallocarray(s->tlsa, s->offline.ntlsa + 1, sizeof *s->tlsa);
	s->tlsa[s->offline.ntlsa++] = text;
}

static char *
ehlo_or_usage(const char *name)
{
	struct fail f = FAIL_INIT;
	char *ascii = name_to_ascii(name, &f);

	if (ascii == NULL)
		tool_usage("ehlo: %s", f.text);
	return ascii;
}

/* This host's name where it is one that a server may be told; RFC 5321 4.1.3 has a literal
 * otherwise. */
static char *
own_name(void)
{
	char name[NAME_LEN_MAX + 1];

	if (gethostname(name, sizeof name) == 0 && memchr(name, '\0', sizeof name) != NULL &&
	    name_is_host(name, 0))
		return xstrdup(name);
	return xstrdup("[127.0.0.1]");
}

/* Where mail is judged without a network; -1: no such option. */
static int
read_offline_option(int ch, struct settings *s)
{
	switch (ch) {
	case 'd': s->dir = optarg; break;
	case OPT_REPLAY: s->replay = optarg; break;
	case OPT_CHAIN: s->offline.chain = optarg; break;
	case OPT_NAME: take_name(s, optarg); break;
	case OPT_TLSA: take_tlsa(s, optarg); break;
	case OPT_TLSA_FILE: s->offline.tlsa_file = optarg; break;
	case OPT_CA: s->cas.file = optarg; break;
	case OPT_TIME: s->show.judge.now = time_or_usage(optarg); break;
	default: return -1;
	}
	return 0;
}

static void
take_protocol(struct settings *s, const char *word)
{
	struct fail f = FAIL_INIT;

	if (starttls_parse(word, &s->inspect.proto, &f) == -1)
		tool_usage("%s", f.text);
}

static void
take_publish(struct settings *s, const char *word)
{
	struct fail f = FAIL_INIT;

	if (publish_parse(word, &s->inspect.part, &f) == -1)
		tool_usage("%s", f.text);
	s->inspect.publish = 1;
}

/* Those of a close look; -1: no such option. */
static int
read_inspect_option(int ch, struct settings *s)
{
	switch (ch) {
	case OPT_STARTTLS: take_protocol(s, optarg); break;
	case OPT_CLIENT: s->inspect.client = optarg; break;
	case OPT_SURVEY: break;
	case 'C': s->inspect.pem = 1; break;
	case OPT_PUBLISH: take_publish(s, optarg); break;
	default: return -1;
	}
	s->survey |= ch != OPT_STARTTLS || s->inspect.proto != STARTTLS_SMTP;
	return 0;
}

/* What is printed and what counts; -1: no such option. */
static int
read_show_option(int ch, struct settings *s)
{
	switch (ch) {
	case 'T': s->show.levels = 1; break;
	case 'N': s->show.plugin = 1; break;
	case 'w': take_warn(&s->show.monitor, optarg); break;
	case OPT_EXPECT: take_expect(s, optarg); break;
	case OPT_SAVE: s->show.save = optarg; break;
	case 'j': s->show.out.json = 1; break;
	case 'q': s->show.out.quiet = 1; break;
	case 'v': s->show.out.verbose = 1; break;
	default: return -1;
	}
	return 0;
}

/* A plugin answers as one to its first wrong option too. */
static void
look_for_plugin(int argc, char **argv)
{
	int ch;

	while ((ch = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) != -1)
		if (ch == 'N')
			tool_plugin("TLSCHECK");
	optind = 0;	/* glibc: from the beginning */
}

static void
read_options(int argc, char **argv, struct settings *s)
{
	int ch;

	look_for_plugin(argc, argv);
	while ((ch = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) != -1)
		switch (ch) {
		case 'c': s->conf_file = optarg; break;
		case 'l': take_level(s, optarg); break;
		case OPT_POLICY + POLICY_KEY_DANE:
		case OPT_POLICY + POLICY_KEY_STS:
		case OPT_POLICY + POLICY_KEY_FALLBACK:
		case OPT_POLICY + POLICY_KEY_FQDN_CHECK:
		case OPT_POLICY + POLICY_KEY_TLS_MIN:
			take_policy(s, (enum policy_key)(ch - OPT_POLICY), optarg);
			break;
		case OPT_STS_CACHE: s->conf.sts_cache = optarg; break;
		case OPT_LINT: take_lint(s, optarg); break;
		case OPT_ANCHOR: s->conf.dns.anchor = optarg; break;
		case OPT_RESOLVER: s->conf.dns.resolver = optarg; break;
		case OPT_HINTS: s->conf.dns.root_hints = optarg; break;
		case OPT_PORT:
			s->conf.port = number_or_usage(optarg, 1, 65535, "port");
			s->port_given = 1;
			break;
		case 't': s->conf.timeout_ms = timeout_or_usage(optarg); break;
		case OPT_EHLO:
			free(s->conf.ehlo);
			s->conf.ehlo = ehlo_or_usage(optarg);
			break;
		case 'h': tool_help();
		case 'V': tool_version();
		default:
			if (read_offline_option(ch, s) == -1 && read_show_option(ch, s) == -1 &&
			    read_inspect_option(ch, s) == -1)
				tool_bad_option(ch, argv);
		}
}

static void
print_error(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	talk(NULL, "%s:%u: %s", file, line, escaped);
	free(escaped);
}

/* What the options do not say, the relay's configuration does. */
static void
read_relay(struct settings *s)
{
	struct fail f = FAIL_INIT;

	if (s->conf_file == NULL)
		return;
	if (s->given != 0)
		tool_usage("-c says the policy: -l, --dane, --sts, --fallback, --fqdn-check and --tls-min are not "
		    "for use with it");
	if ((s->relay = conf_read(s->conf_file, print_error, NULL, &f)) == NULL)
		tool_die(&f);
	s->conf.relay = s->relay;
	if (s->conf.dns.anchor == NULL)
		s->conf.dns.anchor = s->relay->anchor;
	if (s->conf.dns.resolver == NULL)
		s->conf.dns.resolver = s->relay->resolver;
	if (!s->port_given)
		s->conf.port = s->relay->mx_port;
	if (s->conf.ehlo == NULL)
		s->conf.ehlo = xstrdup(s->relay->hostname);
}

static void
settle(struct settings *s)
{
	struct fail f = FAIL_INIT;

	read_relay(s);
	/* Inherited, DANE goes with TLS; asked for beside -l no, it is a contradiction. */
	if (s->conf.policy.tls == POLICY_TLS_NO && !(s->given & 1U << POLICY_KEY_DANE))
		s->conf.policy.dane = POLICY_DANE_NONE;
	if (s->conf.policy.tls == POLICY_TLS_NO && !(s->given & 1U << POLICY_KEY_STS))
		s->conf.policy.sts = POLICY_STS_NONE;
	if (policy_check(&s->conf.policy, &f) == -1)
		tool_usage("%s", f.text);
	if (s->conf.ehlo == NULL)
		s->conf.ehlo = own_name();
	s->conf.dns.timeout_ms = s->conf.timeout_ms;
	s->cas.dir = s->dir == NULL && s->relay != NULL ? s->relay->dir : tool_dir(s->dir);
	s->show.judge.cas = &s->cas;
}

/* The cache that is named; else, for the relay's eyes, what the relay keeps, where we may read it. */
static int
open_sts_cache(const struct settings *s, struct sts_cache **cache, struct fail *f)
{
	char *kept;

	if (s->conf.sts_cache != NULL)
		return (*cache = sts_cache_open(s->conf.sts_cache, time(NULL), f)) != NULL ? 0 : -1;
	if (s->relay == NULL)
		return 0;
	kept = file_join(s->relay->spool, SPOOL_STS);
	if (access(kept, R_OK | X_OK) == 0)
		*cache = sts_cache_read(kept);
	else if (errno != ENOENT)
		talk(kept, "what the relay keeps of MTA-STS cannot be read: %s", strerror(errno));
	free(kept);
	return 0;
}

/* "domain", "[host]", "[address]" in the form that lookup wants; exits where it is none of them. */
static char *
destination_of(const char *word)
{
	struct fail f = FAIL_INIT;
	size_t n = strlen(word);
	char *name, *ascii, *result;
	int bracketed = n > 2 && word[0] == '[' && word[n - 1] == ']';

	name = bracketed ? xstrndup(word + 1, n - 2) : xstrdup(word);
	if (bracketed && text_is_address(name)) {
		free(name);
		return xstrdup(word);
	}
	if (text_is_address(name))
		tool_usage("%.100s: an address stands in brackets: [%.100s]", word, word);
	ascii = name_to_ascii(name, &f);
	if (ascii == NULL || !name_is_host(ascii, NAME_UNDERSCORE)) {
		char *shown = text_escape(word, n);

		tool_usage("%.300s: expected a domain, [host] or [address]%s%s", shown,
		    ascii == NULL ? ": " : "", ascii == NULL ? f.text : "");
	}
	result = bracketed ? xasprintf("[%s]", ascii) : xstrdup(ascii);
	free(ascii);
	free(name);
	return result;
}

static void
print_ready(struct run *r)
{
	while (r->printed < r->started && r->check[r->printed] != NULL &&
	    r->check[r->printed]->done) {
		progress_hide(&r->progress);
		show(r->show, &r->check[r->printed]->judged);
		r->printed++;
	}
}

/*
 * What was printed is freed, but not from within its own calls.  At the end the DNS context goes as
 * well: questions that were given up are still libunbound's, and without it the loop ends once the last
 * connection has said goodbye.
 */
static void
on_printed(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd;
	(void)what;
	for (; r->freed < r->printed; r->freed++) {
		check_free(r->check[r->freed]);
		r->check[r->freed] = NULL;
	}
	if (r->printed < r->n)
		return;
	sts_source_free(r->env.sts);
	r->env.sts = NULL;
	dns_free(r->env.dns);
	r->env.dns = NULL;
	progress_end(&r->progress);
}

static void start_more(struct run *);

static void
on_check(struct check *c, void *arg)
{
	struct run *r = arg;

	(void)c;
	r->under_way--;
	print_ready(r);
	start_more(r);
	if (r->freed < r->printed &&
	    event_base_once(r->env.base, -1, EV_TIMEOUT, on_printed, r, NULL) == -1)
		alloc_failed();
}

/* A check that ends at once calls on_check() from in here, which does no harm. */
static void
start_more(struct run *r)
{
	while (r->started < r->n && r->under_way < CHECKS_MAX && r->fail.kind == FAIL_NONE) {
		size_t i = r->started++;

		r->under_way++;
		r->check[i] = check_start(&r->env, r->destination[i], on_check, r, &r->fail);
		if (r->check[i] == NULL)
			show_failed(r->show, &r->fail);
	}
	print_ready(r);
}

static void
run_clear(struct run *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		check_free(r->check[i]);
		free(r->destination[i]);
	}
	free(r->check);
	free(r->destination);
	sts_source_free(r->env.sts);
	sts_cache_free(r->env.sts_cache);
	dns_free(r->env.dns);
	SSL_CTX_free(r->env.tls);
	SSL_CTX_free(r->env.tls_strict);
	event_base_free(r->env.base);
	free(r->env.ill_text);
}

/* Which forms there are, and what belongs to each. */
static void
check_form(const struct settings *s, int operands)
{
	int offline = s->offline.chain != NULL;

	if (offline && s->replay != NULL)
		tool_usage("--chain and --replay: one of them");
	if (offline && operands > 0)
		tool_usage("--chain judges names, not destinations: --name");
	if (offline && s->offline.nname == 0)
		tool_usage("--chain needs --name");
	if (offline && (s->offline.ntlsa > 0 || s->offline.tlsa_file != NULL) && text_is_address(s->name[0]))
		tool_usage("TLSA records belong to a host: the first --name is an address");
	if (!offline && (s->offline.nname > 0 || s->offline.ntlsa > 0 || s->offline.tlsa_file != NULL))
		tool_usage("--name, --tlsa and --tlsa-file belong to --chain");
	if (offline && (s->conf_file != NULL || s->show.save != NULL))
		tool_usage("-c and --save are not for use with --chain");
	if (s->replay != NULL && s->show.save != NULL)
		tool_usage("--save and --replay: one of them");
	if (s->show.plugin && (s->show.out.json || s->show.levels))
		tool_usage("-N prints one line: not with -j and -T");
	if (!offline && s->replay == NULL && operands == 0)
		tool_usage("no destination");
}

/* Colour is for a terminal whose owner has nothing against it (no-color.org). */
static int
wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

static void
judge_and_show(struct show *show_, const struct evidence *ev, const struct policy *policy)
{
	struct judged j;

	judge(ev, policy, &show_->conf.judge, &j);
	show(show_, &j);
	judged_clear(&j);
}

static void
run_offline(struct settings *s, struct show *sh)
{
	struct fail f = FAIL_INIT;
	struct evidence *ev;

	s->offline.name = (const char *const *)s->name;
	s->offline.tlsa = s->tlsa;
	s->offline.port = s->conf.port;
	if ((ev = offline_read(&s->offline, time(NULL), &f)) == NULL)
		show_failed(sh, &f);
	else
		judge_and_show(sh, ev, &s->conf.policy);
	evidence_free(ev);
}

/* As check has it: the relay's policy for the destination, or that of the options. */
static void
replay(struct settings *s, struct show *sh, const struct evidence *ev)
{
	struct policy policy = s->conf.policy;

	if (s->relay != NULL) {
		conf_policy(s->relay, ev->destination, &policy);
		conf_mark_own(s->relay, ev->destination, ev->port, ev->facts);
	}
	judge_and_show(sh, ev, &policy);
}

static void
replay_named(struct settings *s, struct show *sh, const struct evidence_list *list, const char *word)
{
	char *destination = destination_of(word);
	struct fail f = FAIL_INIT;
	size_t i, found = 0;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->v[i]->destination, destination) == 0) {
			replay(s, sh, list->v[i]);
			found++;
		}
	if (found == 0) {
		fail(&f, FAIL_INPUT, "%s: no evidence of %s in it", s->replay, destination);
		show_failed(sh, &f);
	}
	free(destination);
}

static void
run_replay(struct settings *s, struct show *sh, char **word)
{
	struct fail f = FAIL_INIT;
	struct evidence_list list;
	struct buf b = BUF_INIT;
	size_t i;

	if (file_read(s->replay, EVIDENCE_FILE_MAX, &b, &f) == -1)
		tool_die(&f);
	if (evidence_read(s->replay, b.len > 0 ? b.p : "", b.len, &list, print_error, NULL) > 0) {
		fail(&f, FAIL_INPUT, "%s: not evidence that can be judged", s->replay);
		tool_die(&f);
	}
	buf_clear(&b);
	if (*word == NULL)
		for (i = 0; i < list.n; i++)
			replay(s, sh, list.v[i]);
	for (; *word != NULL; word++)
		replay_named(s, sh, &list, *word);
	evidence_list_clear(&list);
}

static void
run_online(struct settings *s, struct show *sh, char **word, size_t n)
{
	struct run r = { .show = sh, .n = n };
	size_t i;

	r.env.conf = s->conf;
	r.destination = xcalloc(n, sizeof *r.destination);
	r.check = xcalloc(n, sizeof *r.check);
	for (i = 0; i < n; i++)
		r.destination[i] = destination_of(word[i]);
	if ((r.env.tls = tls_client_ctx(TLS_LAX, &r.fail)) == NULL)
		tool_die(&r.fail);
	if (open_sts_cache(s, &r.env.sts_cache, &r.fail) == -1)
		tool_die(&r.fail);
	if ((r.env.base = event_base_new()) == NULL)
		alloc_failed();
	check_env_init(&r.env);
	progress_begin(&r.progress, r.env.base, &r.printed, n);
	start_more(&r);
	event_base_dispatch(r.env.base);
	progress_end(&r.progress);
	run_clear(&r);
}

/* Servers, and whatever else stands beside them, get the close look. */
static int
wants_inspection(const struct settings *s, char **word, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (inspect_is_server(word[i]))
			return 1;
	return s->survey;
}

static enum tool_exit
run_inspection(struct settings *s, char **word, size_t n)
{
	struct inspect_conf *conf = &s->inspect;

	if (s->conf_file != NULL || s->show.levels || s->show.plugin || s->show.save != NULL ||
	    s->show.expects || s->show.judge.now != 0 || s->show.monitor.warn_days != -1)
		tool_usage("-c, -T, -N, -w, --save, --expect and --time are for the mail of a domain, not for servers, "
			   "--survey and --publish");
	conf->policy = s->conf.policy;
	conf->dns = s->conf.dns;
	conf->port = s->port_given ? s->conf.port : 0;
	conf->timeout_ms = s->conf.timeout_ms;
	conf->ehlo = s->conf.ehlo;
	conf->dir = tool_dir(s->dir);
	conf->level_given = (s->given & 1U << POLICY_KEY_TLS) != 0;
	conf->cas = s->show.judge.cas;
	conf->json = s->show.out.json;
	conf->quiet = s->show.out.quiet;
	conf->verbose = s->show.out.verbose;
	return inspect_run(conf, word, n);
}

static void
settings_clear(struct settings *s)
{
	size_t i;

	for (i = 0; i < s->offline.nname; i++)
		free(s->name[i]);
	free(s->name);
	free(s->tlsa);
	free(s->conf.ehlo);
	cas_clear(&s->cas);
	conf_free(s->relay);
}

int
main(int argc, char **argv)
{
	struct settings s = { .conf = { .policy = POLICY_DEFAULT, .port = 25, .timeout_ms = 15000 },
		.show.monitor = { .expect = VERDICT_CLEAR, .warn_days = -1, .critical_days = -1 } };
	struct show sh;
	enum tool_exit status;
	int rc;

	tool_init("tlscheck", usage);
	read_options(argc, argv, &s);
	/* Before OpenSSL is used at all. */
	if (s.inspect.client != NULL)
		ossl_init();
	else
		ossl_init_keyless();
	if (s.lint != NULL) {
		if (argc - optind != 1)
			tool_usage("lint: expected one file");
		return tool_finish(lint(s.lint, argv[optind], s.show.out.json));
	}
	check_form(&s, argc - optind);
	settle(&s);
	s.show.out.colour = wants_colour();
	s.show.out.offline = s.offline.chain != NULL;
	s.conf.survey = s.show.levels || s.show.save != NULL;
	if (s.offline.nname > 1) {
		s.show.judge.names = (const char *const *)s.name + 1;
		s.show.judge.nnames = s.offline.nname - 1;
	}
	s.conf.judge = s.show.judge;
	if (s.offline.chain == NULL && s.replay == NULL &&
	    wants_inspection(&s, argv + optind, argc - optind)) {
		status = run_inspection(&s, argv + optind, argc - optind);
		settings_clear(&s);
		return tool_finish(status);
	}
	show_init(&sh, &s.show);
	if (s.offline.chain != NULL)
		run_offline(&s, &sh);
	else if (s.replay != NULL)
		run_replay(&s, &sh, argv + optind);
	else
		run_online(&s, &sh, argv + optind, argc - optind);
	rc = show_finish(&sh);
	settings_clear(&s);
	return rc;
}
