/*
 * tlscheck - would mail go to this destination encrypted, authenticated, in clear, or not at all?
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "conf.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "text.h"
#include "tls.h"
#include "tool.h"

static const char usage[] =
    "usage: tlscheck [-jqv] [-c CONF] [-d DIR] [-l LEVEL] [--dane SETTING] [--sts SETTING] [--fallback WHEN]\n"
    "                [--fqdn-check YESNO] [--tls-min VERSION] [--anchor FILE] [--resolver WHERE]\n"
    "                [--root-hints FILE] [--port N] [-t TIME] [--ehlo NAME] DESTINATION...\n"
    "DESTINATION is a domain, [host] or [address] (that host, no MX lookup).\n"
    "  -c, --config CONF    judge as the relay with this smtp-relay.conf would: its destinations,\n"
    "                       routes, anchor, resolver, port and CAs; not with -l to --tls-min\n"
    "  -l, --level LEVEL    tls level: no, preferred (default), preferred-verify, required,\n"
    "                       required-verify or required-verify-hosted\n"
    "      --dane SETTING   none, opportunistic (default) or mandatory\n"
    "      --sts SETTING    none or follow (default)\n"
    "      --fallback WHEN  to clear text: before-220 (default), after-220, both or never\n"
    "      --fqdn-check YESNO  whether certificates' names must be fully qualified to count: no (default)\n"
    "      --tls-min VERSION  lowest version where a CA's word is needed: 1.2 (default), 1.3, 1.1, 1.0\n"
    "  -d, --dir DIR        root of all state, with the trusted CAs (default MTATLS_DIR or /etc/mtatls)\n"
    "      --anchor FILE    DNSSEC trust anchor (default " DNS_ROOT_ANCHOR ")\n"
    "      --resolver WHERE ADDR[@PORT][,...] or recursive (default: /etc/resolv.conf)\n"
    "      --root-hints FILE  root servers for recursive\n"
    "      --port N         SMTP port, also of the TLSA records (default 25)\n"
    "  -t, --timeout TIME   for a connection, a reply, a DNS answer (default 15s)\n"
    "      --ehlo NAME      name to greet with (default: this host's)\n"
    "  -j, --json           one JSON object a line for each destination\n"
    "  -q, --quiet          only the destination's verdict and what it does not rest on\n"
    "  -v, --verbose        also the trace, replies, certificates and TLSA records\n"
    "  -h, --help           this text\n"
    "  -V, --version        the version\n";

enum { OPT_POLICY = 256, OPT_ANCHOR = OPT_POLICY + POLICY_KEYS, OPT_RESOLVER, OPT_HINTS, OPT_PORT, OPT_EHLO };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "level", required_argument, NULL, 'l' },
	{ "dane", required_argument, NULL, OPT_POLICY + POLICY_KEY_DANE },
	{ "sts", required_argument, NULL, OPT_POLICY + POLICY_KEY_STS },
	{ "fallback", required_argument, NULL, OPT_POLICY + POLICY_KEY_FALLBACK },
	{ "fqdn-check", required_argument, NULL, OPT_POLICY + POLICY_KEY_FQDN_CHECK },
	{ "tls-min", required_argument, NULL, OPT_POLICY + POLICY_KEY_TLS_MIN },
	{ "dir", required_argument, NULL, 'd' },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "resolver", required_argument, NULL, OPT_RESOLVER },
	{ "root-hints", required_argument, NULL, OPT_HINTS },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "timeout", required_argument, NULL, 't' },
	{ "ehlo", required_argument, NULL, OPT_EHLO },
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
	struct out_conf out;
	char **destination;
	struct check **check;
	size_t n, started, printed, freed, under_way;
	enum tool_exit status;
	struct fail fail;
};

struct settings {
	struct check_conf conf;
	struct out_conf out;
	const char *conf_file;
	struct conf *relay;
	const char *dir;	/* -d; NULL: not given */
	unsigned given;		/* settings of the policy, a bit for each key */
	int port_given;
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

static void
read_options(int argc, char **argv, struct settings *s)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":c:d:l:t:jqvhV", options, NULL)) != -1)
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
		case 'd': s->dir = optarg; break;
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
		case 'j': s->out.json = 1; break;
		case 'q': s->out.quiet = 1; break;
		case 'v': s->out.verbose = 1; break;
		case 'h': tool_help();
		case 'V': tool_version();
		default: tool_bad_option(ch, argv);
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
		exit(tool_failed(&f));
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
	s->conf.dir = s->dir == NULL && s->relay != NULL ? s->relay->dir : tool_dir(s->dir);
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

static enum tool_exit
status_of(enum verdict_word word)
{
	switch (word) {
	case VERDICT_AUTH:
	case VERDICT_ENC:
	case VERDICT_CLEAR:
		return TOOL_YES;
	case VERDICT_SKIP:
	case VERDICT_NOMAIL:
		return TOOL_NO;
	case VERDICT_INCONCLUSIVE:
		break;
	}
	return TOOL_UNSURE;
}

static void
print_check(struct run *r, const struct check *c)
{
	struct fail f = FAIL_INIT;

	r->status = tool_worse(r->status, status_of(c->verdict.word));
	if (!r->out.json)
		out_text(c, &r->out);
	else if (out_json(c, &f) == -1)
		r->status = tool_worse(r->status, tool_failed(&f));
	fflush(stdout);
}

static void
print_ready(struct run *r)
{
	while (r->printed < r->started && r->check[r->printed] != NULL &&
	    r->check[r->printed]->done) {
		print_check(r, r->check[r->printed]);
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
	dns_free(r->env.dns);
	r->env.dns = NULL;
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
			r->status = tool_failed(&r->fail);
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
	dns_free(r->env.dns);
	SSL_CTX_free(r->env.tls);
	SSL_CTX_free(r->env.tls_strict);
	trust_free(r->env.trust);
	event_base_free(r->env.base);
	free(r->env.conf.ehlo);
	free(r->env.ill_text);
}

int
main(int argc, char **argv)
{
	struct settings s = { .conf = {
				  .policy = POLICY_DEFAULT, .port = 25, .timeout_ms = 15000 } };
	struct run r = { .status = TOOL_YES };
	size_t i;

	tool_init("tlscheck", usage);
	ossl_init();
	read_options(argc, argv, &s);
	if (optind == argc)
		tool_usage("no destination");
	settle(&s);
	r.out = s.out;
	r.env.conf = s.conf;
	r.n = argc - optind;
	r.destination = xcalloc(r.n, sizeof *r.destination);
	r.check = xcalloc(r.n, sizeof *r.check);
	for (i = 0; i < r.n; i++)
		r.destination[i] = destination_of(argv[optind + i]);
	if ((r.env.tls = tls_client_ctx(TLS_LAX, &r.fail)) == NULL ||
	    (r.env.tls_strict = tls_client_ctx(TLS_STRICT, &r.fail)) == NULL)
		return tool_failed(&r.fail);
	if ((r.env.base = event_base_new()) == NULL)
		alloc_failed();
	check_env_init(&r.env);
	start_more(&r);
	event_base_dispatch(r.env.base);
	if (r.env.trust_failed)
		r.status = tool_worse(r.status, TOOL_CANNOT);
	run_clear(&r);
	conf_free(s.relay);
	return tool_finish(r.status);
}
