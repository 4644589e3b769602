/*
 * A fetch resolves its host (A and AAAA at once), waits for a place, and becomes a transfer of libcurl's, which
 * asks for timers and sockets (on_curl_timer, on_curl_socket) and is told what happens to them.  What ended is
 * read off by read_ended(), outside of libcurl's own calls.
 */
#include "fetch.h"

#include <arpa/inet.h>

#include <curl/curl.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "dns.h"
#include "text.h"

/* ---- the library ---- */

/* The macros of curl.h that check types would stand in the way of members with these names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define FUNCTIONS(X)                                                                               \
	X(global_init) X(version_info) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo)   \
	X(easy_strerror) X(multi_init) X(multi_cleanup) X(multi_setopt) X(multi_add_handle)          \
	X(multi_remove_handle) X(multi_socket_action) X(multi_info_read) X(multi_assign)             \
	X(slist_append) X(slist_free_all)

#define MEMBER(name) __typeof__(curl_##name) *(name);
static struct {
	void *library;
	FUNCTIONS(MEMBER)
} curl;

#define VERSION_MIN 0x075500	/* CURLOPT_PROTOCOLS_STR */

static int
find_function(void *library, const char *name, void *where, struct fail *f)
{
	void *p = dlsym(library, name);

	if (p == NULL)
		return fail(f, FAIL_SYS, FETCH_LIBRARY ": it has no %s", name);
	/* As POSIX has it for dlsym(): object and function pointers are alike. */
	memcpy(where, &p, sizeof p);
	return 0;
}

/* The certificates that it shows us are OpenSSL's: so it must use the very library that we do. */
static int
check_library(struct fail *f)
{
	const curl_version_info_data *v = curl.version_info(CURLVERSION_NOW);
	char want[24];

	snprintf(want, sizeof want, "OpenSSL/%u.", OPENSSL_version_major());
	if (v->version_num < VERSION_MIN)
		return fail(f, FAIL_SYS, FETCH_LIBRARY ": version %.32s: expected 7.85 or later", v->version);
	if (v->ssl_version == NULL || strncmp(v->ssl_version, want, strlen(want)) != 0)
		return fail(f, FAIL_SYS, FETCH_LIBRARY ": it uses %.64s for TLS: expected OpenSSL %u",
		    v->ssl_version != NULL ? v->ssl_version : "nothing", OPENSSL_version_major());
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fail(f, FAIL_SYS, FETCH_LIBRARY ": it does not start");
	return 0;
}

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a link of a chain */
#define FIND(name) || find_function(library, "curl_" #name, &curl.name, f) == -1

int
fetch_load(struct fail *f)
{
	void *library;

	if (curl.library != NULL)
		return 0;
	if ((library = dlopen(FETCH_LIBRARY, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return fail(f, FAIL_SYS, "%.300s", dlerror());
	if (0 FUNCTIONS(FIND) || check_library(f) == -1) {
		dlclose(library);
		return -1;
	}
	curl.library = library;
	return 0;
}

/* ---- fetches ---- */

enum state {
	RESOLVING,
	WAITING,	/* for a place */
	RUNNING,
	ENDING		/* the timer brings the result */
};

struct fetch {
	struct fetch *next, **back;	/* in fetcher->fetches, the oldest first */
	struct fetcher *fr;
	enum state state;
	fetch_fn *fn;
	void *arg;
	char *host, *path;
	struct dns_query *a, *aaaa;
	struct buf addresses;		/* as CURLOPT_RESOLVE has them */
	size_t naddresses;
	char first[INET6_ADDRSTRLEN];	/* the first of them, by which places are counted */
	struct buf why_none;		/* why there is no address, or fewer */
	struct event timer;		/* the deadline; at the end, the way out of the caller's call */
	struct timeval left;		/* of the time, when it waits */
	CURL *easy;
	struct curl_slist *resolve;
	uint16_t port;
	const char *type;		/* of what is sent; NULL: a GET */
	struct buf send;
	struct curl_slist *fields;
	struct buf body;
	size_t header_octets, passed_over;
	struct fail refused;		/* what our callbacks found */
	int untrusted;
	char said[CURL_ERROR_SIZE];
	struct fetch_result result;
	char *why;			/* of the result */
};

struct fetcher {
	struct event_base *base;
	struct dns *dns;
	struct fetch_conf conf;
	CURLM *multi;
	struct event timer;
	struct fetch *fetches, **end;
	size_t running;
};

/* Of a socket of libcurl's. */
struct watch {
	struct event event;
	struct fetcher *fr;
};

static void
fetch_free(struct fetch *h)
{
	struct fetcher *fr = h->fr;

	event_del(&h->timer);
	dns_cancel(h->a);
	dns_cancel(h->aaaa);
	if (h->easy != NULL) {
		curl.multi_remove_handle(fr->multi, h->easy);
		curl.easy_cleanup(h->easy);
		fr->running--;
	}
	curl.slist_free_all(h->resolve);
	curl.slist_free_all(h->fields);
	*h->back = h->next;
	if (h->next != NULL)
		h->next->back = h->back;
	else
		fr->end = h->back;
	buf_clear(&h->addresses);
	buf_clear(&h->why_none);
	buf_clear(&h->body);
	buf_clear(&h->send);
	free(h->host);
	free(h->path);
	free(h->why);
	free(h);
}

static void start_waiting(struct fetcher *);

/* The callback may start and cancel others. */
static void
hand_over(struct fetch *h)
{
	struct fetcher *fr = h->fr;
	fetch_fn *fn = h->fn;
	void *arg = h->arg;
	struct fetch_result result = h->result;
	struct buf body = h->body;
	char *why = h->why;

	h->body = (struct buf)BUF_INIT;
	h->why = NULL;
	fetch_free(h);
	result.body = body.p != NULL ? body.p : "";
	result.len = body.len;
	result.why = why;
	start_waiting(fr);
	fn(arg, &result);
	buf_clear(&body);
	free(why);
}

/* What is said must be escaped already. */
static void
set_result(struct fetch *h, enum fetch_end end, const char *why)
{
	h->result.end = end;
	free(h->why);
	h->why = why != NULL ? xstrdup(why) : NULL;
}

/* Not from within the caller's own call, nor libcurl's. */
static void
end_soon(struct fetch *h, const char *why)
{
	struct timeval now = { 0, 0 };

	h->state = ENDING;
	set_result(h, FETCH_FAILED, why);
	event_del(&h->timer);
	if (event_add(&h->timer, &now) == -1)
		alloc_failed();
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *h = arg;
	char why[80];

	(void)fd;
	(void)what;
	if (h->state != ENDING) {
		snprintf(why, sizeof why, "%s took longer than %g s",
		    h->state == RESOLVING ? "finding its address" :
		    h->state == WAITING ? "others, which it had to wait for," : "the transfer",
		    h->fr->conf.timeout_ms / 1000.0);
		set_result(h, FETCH_FAILED, why);
	}
	hand_over(h);
}

static void
start_clock(struct fetch *h)
{
	if (event_add(&h->timer, &h->left) == -1)
		alloc_failed();
}

/* Waiting for a place takes nothing from the fetch's own time, and has as much once more. */
static void
start_waiting_clock(struct fetch *h)
{
	const struct fetch_conf *conf = &h->fr->conf;
	struct timeval all = { conf->timeout_ms / 1000, conf->timeout_ms % 1000 * 1000 };

	if (event_add(&h->timer, &all) == -1)
		alloc_failed();
}

static void
stop_clock(struct fetch *h)
{
	struct timeval until, now;

	if (!event_pending(&h->timer, EV_TIMEOUT, &until))
		return;
	event_base_gettimeofday_cached(h->fr->base, &now);
	evutil_timersub(&until, &now, &h->left);
	if (h->left.tv_sec < 0)
		evutil_timerclear(&h->left);
	event_del(&h->timer);
}

/* ---- what libcurl calls ---- */

/* Refuses: the transfer ends with an error of libcurl's, ours says why. */
static size_t
refuse(struct fetch *h, const char *why)
{
	fail(&h->refused, FAIL_PEER, "%s", why);
	return 0;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *h = arg;

	(void)p;
	if (size * n > FETCH_SIZE_MAX - h->header_octets)
		return refuse(h, "header fields without end");
	h->header_octets += size * n;
	return size * n;
}

static long
status_of(const struct fetch *h)
{
	long status = 0;

	curl.easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Only the first line of what is no answer is of interest, and that came before. */
static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *h = arg;

	if (h->type != NULL) {
		h->passed_over += size * n;
		return h->passed_over <= FETCH_SIZE_MAX ? size * n : refuse(h, "");
	}
	if (status_of(h) != 200)
		return refuse(h, "");
	if (size * n > FETCH_SIZE_MAX - h->body.len)
		return refuse(h, "the text is longer than 65536 octets");
	buf_add(&h->body, p, size * n);
	return size * n;
}

static int
on_certificates(X509_STORE_CTX *ctx, void *arg)
{
	struct fetch *h = arg;
	const struct fetch_conf *conf = &h->fr->conf;
	struct fail f = FAIL_INIT;

	if (conf->verify(conf->arg, X509_STORE_CTX_get0_untrusted(ctx), h->host, &f) == 0) {
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	}
	h->untrusted = 1;
	h->refused = f;
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static CURLcode
on_ssl_ctx(CURL *easy, void *ssl_ctx, void *arg)
{
	(void)easy;
	SSL_CTX_set_cert_verify_callback(ssl_ctx, on_certificates, arg);
	SSL_CTX_set_security_level(ssl_ctx, 2);
	return CURLE_OK;
}

static void read_ended(struct fetcher *);

static void
act(struct fetcher *fr, curl_socket_t s, int what)
{
	int running;

	curl.multi_socket_action(fr->multi, s, what, &running);
	read_ended(fr);
}

static void
on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	act(w->fr, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	event_del(&w->event);
	free(w);
}

static int
on_curl_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *socket_arg)
{
	struct fetcher *fr = arg;
	struct watch *w = socket_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		watch_free(w);
		curl.multi_assign(fr->multi, s, NULL);
		return 0;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof *w);
		w->fr = fr;
		curl.multi_assign(fr->multi, s, w);
	} else
		event_del(&w->event);
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	event_assign(&w->event, fr->base, s, events, on_socket_event, w);
	if (event_add(&w->event, NULL) == -1)
		alloc_failed();
	return 0;
}

static int
on_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct fetcher *fr = arg;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	(void)multi;
	if (ms < 0)
		event_del(&fr->timer);
	else if (event_add(&fr->timer, &tv) == -1)
		alloc_failed();
	return 0;
}

static void
on_fetcher_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- how a transfer ended ---- */

static int
is_text_plain(const char *type)
{
	size_t n;

	if (type == NULL)
		return 0;
	n = strcspn(type, "; \t");
	return n == 10 && strncasecmp(type, "text/plain", n) == 0;
}

/* RFC 8460 5.4: "typically a 200 or 201 HTTP code". */
static void
judge_post(struct fetch *h)
{
	long status = status_of(h);
	char why[80];

	snprintf(why, sizeof why, "the server answers with status %ld%s", status,
	    status / 100 == 3 ? "; redirects are not followed" : "");
	set_result(h, status / 100 == 2 ? FETCH_GOOD : FETCH_FAILED, why);
}

static void
judge_answer(struct fetch *h)
{
	long status = status_of(h);
	char *type = NULL, *shown, why[400];

	if (h->type != NULL) {
		judge_post(h);
		return;
	}
	if (status != 200) {
		snprintf(why, sizeof why, "the server answers with status %ld%s", status,
		    status / 100 == 3 ? "; redirects are not followed" : "");
		set_result(h, FETCH_FAILED, why);
		return;
	}
	curl.easy_getinfo(h->easy, CURLINFO_CONTENT_TYPE, &type);
	if (is_text_plain(type)) {
		set_result(h, FETCH_GOOD, NULL);
		return;
	}
	shown = text_escape(type != NULL ? type : "missing", type != NULL ? strnlen(type, 80) : 7);
	snprintf(why, sizeof why, "the content type is %s: expected text/plain", shown);
	set_result(h, FETCH_FAILED, why);
	free(shown);
}

static void
judge(struct fetch *h, CURLcode code)
{
	const char *text = h->said[0] != '\0' ? h->said : curl.easy_strerror(code);
	char *shown;
	/* Of what is no policy the length is of no interest. */
	int cut = code == CURLE_WRITE_ERROR || code == CURLE_FILESIZE_EXCEEDED;

	if (h->untrusted)
		set_result(h, FETCH_UNTRUSTED, h->refused.text);
	else if (code == CURLE_OK || (cut && (h->type != NULL || status_of(h) != 200)))
		judge_answer(h);
	else if (h->refused.kind != FAIL_NONE)
		set_result(h, FETCH_FAILED, h->refused.text);
	else if (code == CURLE_FILESIZE_EXCEEDED)
		set_result(h, FETCH_FAILED, "the text is longer than 65536 octets");
	else {
		shown = text_escape(text, strlen(text));
		set_result(h, code == CURLE_PEER_FAILED_VERIFICATION ? FETCH_UNTRUSTED : FETCH_FAILED, shown);
		free(shown);
	}
}

static struct fetch *
fetch_of(CURL *easy)
{
	char *h = NULL;

	if (curl.easy_getinfo(easy, CURLINFO_PRIVATE, &h) != CURLE_OK || h == NULL)
		abort();
	return (struct fetch *)(void *)h;
}

static void
read_ended(struct fetcher *fr)
{
	CURLMsg *m;
	int left;

	while ((m = curl.multi_info_read(fr->multi, &left)) != NULL) {
		struct fetch *h;

		if (m->msg != CURLMSG_DONE)
			continue;
		h = fetch_of(m->easy_handle);
		judge(h, m->data.result);
		/* Not now: the callback might free the fetcher, which is at work on the others. */
		event_del(&h->timer);
		h->state = ENDING;
		evutil_timerclear(&h->left);
		start_clock(h);
	}
}

/* ---- how one begins ---- */

static void
add_field(struct fetch *h, const char *text)
{
	struct curl_slist *more = curl.slist_append(h->fields, text);

	if (more == NULL)
		alloc_failed();
	h->fields = more;
}

/* No "100-continue": servers that do not know it would have us wait. */
static void
make_fields(struct fetch *h)
{
	char *type;

	if (h->type == NULL)
		return;
	type = xasprintf("Content-Type: %s", h->type);
	add_field(h, type);
	add_field(h, "Expect:");
	free(type);
}

static int
set_options(struct fetch *h)
{
	char *url = xasprintf("https://%s:%u%s", h->host, h->port, h->path);
	CURL *e = h->easy;
	int bad = 0;

	make_fields(h);
#define SET(option, value) (bad |= curl.easy_setopt(e, option, value) != CURLE_OK)
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PRIVATE, h);
	SET(CURLOPT_ERRORBUFFER, h->said);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_USERAGENT, "mtatls");
	/* Nothing from the environment or the user's files. */
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	/* Each judged by itself: no connection, no TLS session of another. */
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	/* Replaces an older entry and ends, so that the cache does not grow. */
	SET(CURLOPT_RESOLVE, h->resolve);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 60L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, (char *)NULL);
	SET(CURLOPT_CAPATH, (char *)NULL);
	SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	SET(CURLOPT_SSL_CTX_DATA, h);
	SET(CURLOPT_MAXFILESIZE, (long)FETCH_SIZE_MAX);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, h);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, h);
	if (h->type != NULL) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->send.len);
		SET(CURLOPT_POSTFIELDS, h->send.p);
		SET(CURLOPT_HTTPHEADER, h->fields);
	}
#undef SET
	free(url);
	return bad ? -1 : 0;
}

static void
run(struct fetch *h)
{
	struct fetcher *fr = h->fr;
	char *entry = xasprintf("+%s:%u:%s", h->host, h->port, h->addresses.p);

	h->state = RUNNING;
	if ((h->easy = curl.easy_init()) == NULL ||
	    (h->resolve = curl.slist_append(NULL, entry)) == NULL)
		alloc_failed();
	fr->running++;
	free(entry);
	if (set_options(h) == -1)
		end_soon(h, FETCH_LIBRARY " does not know an option that is needed");
	else {
		start_clock(h);
		if (curl.multi_add_handle(fr->multi, h->easy) != CURLM_OK)
			end_soon(h, FETCH_LIBRARY " takes no transfer");
	}
}

static size_t
running_at(const struct fetcher *fr, const char *address)
{
	const struct fetch *h;
	size_t n = 0;

	for (h = fr->fetches; h != NULL; h = h->next)
		n += h->easy != NULL && strcmp(h->first, address) == 0;
	return n;
}

static void
start_waiting(struct fetcher *fr)
{
	struct fetch *h, *next;

	for (h = fr->fetches; h != NULL && fr->running < FETCH_RUNNING_MAX; h = next) {
		next = h->next;
		if (h->state == WAITING && running_at(fr, h->first) < FETCH_AT_ADDRESS_MAX)
			run(h);
	}
}

/* ---- addresses ---- */

/* Between two reasons. */
static const char *
separator(const struct fetch *h)
{
	return h->why_none.len > 0 ? "; " : "";
}

static void
add_address(struct fetch *h, int family, const uint8_t *data)
{
	const struct fetch_conf *conf = &h->fr->conf;
	char text[INET6_ADDRSTRLEN];
	const char *why;

	if (inet_ntop(family, data, text, sizeof text) == NULL)
		abort();
	if (conf->bar != NULL && (why = conf->bar(conf->arg, family, data)) != NULL) {
		buf_printf(&h->why_none, "%sits address %s is %s", separator(h), text, why);
		return;
	}
	if (h->naddresses == FETCH_ADDRESSES_MAX)
		return;
	if (h->naddresses++ == 0)
		memcpy(h->first, text, sizeof text);
	else
		buf_putc(&h->addresses, ',');
	buf_printf(&h->addresses, "%s%s%s", family == AF_INET6 ? "[" : "", text, family == AF_INET6 ? "]" : "");
}

static void
take_addresses(struct fetch *h, const struct dns_answer *a)
{
	size_t want = a->qtype == DNS_A ? 4 : 16, i;

	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED) {
		buf_printf(&h->why_none, "%s%s %s: %s", separator(h), dns_type_name(a->qtype),
		    dns_sec_name(a->sec), a->why != NULL ? a->why : "no reason given");
		return;
	}
	for (i = 0; i < a->n; i++)
		if (a->rr[i].len == want)
			add_address(h, a->qtype == DNS_A ? AF_INET : AF_INET6, a->rr[i].data);
}

static void
resolved(struct fetch *h)
{
	char *why;

	if (h->a != NULL || h->aaaa != NULL)
		return;
	if (h->naddresses == 0) {
		why = xasprintf("%s has no address%s%s%s", h->host, h->why_none.len > 0 ? " (" : "",
		    h->why_none.len > 0 ? h->why_none.p : "", h->why_none.len > 0 ? ")" : "");
		end_soon(h, why);
		free(why);
		return;
	}
	stop_clock(h);
	h->state = WAITING;
	start_waiting_clock(h);
	start_waiting(h->fr);
}

static void
on_a(void *arg, const struct dns_answer *a)
{
	struct fetch *h = arg;

	h->a = NULL;
	take_addresses(h, a);
	resolved(h);
}

static void
on_aaaa(void *arg, const struct dns_answer *a)
{
	struct fetch *h = arg;

	h->aaaa = NULL;
	take_addresses(h, a);
	resolved(h);
}

/* ---- for others ---- */

static struct fetch *
fetch_new(struct fetcher *fr, fetch_fn *fn, void *arg)
{
	struct fetch *h = xcalloc(1, sizeof *h);

	h->fr = fr;
	h->fn = fn;
	h->arg = arg;
	h->port = FETCH_PORT;
	h->back = fr->end;
	*fr->end = h;
	fr->end = &h->next;
	evtimer_assign(&h->timer, fr->base, on_timer, h);
	h->left = (struct timeval){ fr->conf.timeout_ms / 1000, fr->conf.timeout_ms % 1000 * 1000 };
	start_clock(h);
	return h;
}

static void
resolve(struct fetch *h)
{
	h->a = dns_ask(h->fr->dns, h->host, DNS_A, on_a, h);
	h->aaaa = dns_ask(h->fr->dns, h->host, DNS_AAAA, on_aaaa, h);
}

struct fetch *
fetch_start(struct fetcher *fr, const char *host, const char *path, fetch_fn *fn, void *arg)
{
	struct fetch *h = fetch_new(fr, fn, arg);

	h->host = xstrdup(host);
	h->path = xstrdup(path);
	resolve(h);
	return h;
}

/* https://HOST[:PORT][/PATH][?QUERY]; a fragment is nothing to a server (RFC 9110 4.2.5).  -1: another. */
static int
split_uri(struct fetch *h, const char *uri)
{
	const char *host = uri + 8, *path;
	long long port;
	char *colon;

	if (strncasecmp(uri, "https://", 8) != 0)
		return -1;
	path = host + strcspn(host, "/?#");
	h->host = xstrndup(host, (size_t)(path - host));
	h->path = xasprintf("%s%.*s", path[0] == '/' ? "" : "/", (int)strcspn(path, "#"), path);
	if ((colon = strchr(h->host, ':')) != NULL) {
		*colon = '\0';
		if (colon[1] != '\0' && text_number(colon + 1, 1, 65535, "port", &port, NULL) == -1)
			return -1;
		h->port = colon[1] != '\0' ? (uint16_t)port : FETCH_PORT;
	}
	text_lower(h->host);
	return h->host[0] != '\0' && h->host[0] != '[' && !text_is_address(h->host) ? 0 : -1;
}

struct fetch *
fetch_post(struct fetcher *fr, const char *uri, const char *type, const void *body, size_t len, fetch_fn *fn, void *arg)
{
	struct fetch *h = fetch_new(fr, fn, arg);

	h->type = type;
	buf_add(&h->send, body, len);
	if (split_uri(h, uri) == -1)
		end_soon(h, "no URI of an HTTPS server that has a name");
	else
		resolve(h);
	return h;
}

void
fetch_cancel(struct fetch *h)
{
	struct fetcher *fr;

	if (h == NULL)
		return;
	fr = h->fr;
	fetch_free(h);
	start_waiting(fr);
}

struct fetcher *
fetcher_new(struct event_base *base, struct dns *dns, const struct fetch_conf *conf, struct fail *f)
{
	struct fetcher *fr;

	if (fetch_load(f) == -1)
		return NULL;
	fr = xcalloc(1, sizeof *fr);
	fr->base = base;
	fr->dns = dns;
	fr->conf = *conf;
	if (fr->conf.timeout_ms <= 0 || fr->conf.timeout_ms > FETCH_TIME_MAX)
		fr->conf.timeout_ms = FETCH_TIME_MAX;
	fr->end = &fr->fetches;
	evtimer_assign(&fr->timer, base, on_fetcher_timer, fr);
	if ((fr->multi = curl.multi_init()) == NULL)
		alloc_failed();
	curl.multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl.multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
	curl.multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl.multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
	return fr;
}

void
fetcher_free(struct fetcher *fr)
{
	if (fr == NULL)
		return;
	while (fr->fetches != NULL)
		fetch_free(fr->fetches); /* NOLINT(clang-analyzer-unix.Malloc) */
	curl.multi_cleanup(fr->multi);
	event_del(&fr->timer);
	free(fr);
}
