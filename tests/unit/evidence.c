/* Evidence in a file: read, refused, written again; what it is worth; the words for it. */
#include "../../cmd/tlscheck/advice.h"
#include "../../cmd/tlscheck/answer.h"
#include "../../cmd/tlscheck/evidence.h"
#include "../../cmd/tlscheck/judge.h"
#include "../../cmd/tlscheck/levels.h"
#include "../../cmd/tlscheck/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ossl.h"
#include "unit.h"

#define DIGEST "ee62ddb2775f8fd724bbfd3c914eb7834bfe171bb262138f2561b177e721802a"
#define OTHER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Of mx.a.test, until 2036-11-26. */
#define PEM                                                                                        \
	"pem -----BEGIN CERTIFICATE-----\n"                                                        \
	"pem MIIBkjCCATmgAwIBAgIUYWX44InVNVOQ9SpFGiqFY2ESJu0wCgYIKoZIzj0EAwIw\n"                  \
	"pem FDESMBAGA1UEAwwJbXguYS50ZXN0MB4XDTI2MTEyOTAxNTkwM1oXDTM2MTEyNjAx\n"                  \
	"pem NTkwM1owFDESMBAGA1UEAwwJbXguYS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"                  \
	"pem AQcDQgAE1RRRdCydJan173LoDzzNZ/pVY6qpZVaHqFWTpwvgBgGuS8Kl2QzT42hW\n"                  \
	"pem ZF3QD3OWgDO7wIpJiHodLcgBGE7BLqNpMGcwHQYDVR0OBBYEFMT6DgYHU6I1kWu/\n"                  \
	"pem n3fE+r1/abQGMB8GA1UdIwQYMBaAFMT6DgYHU6I1kWu/n3fE+r1/abQGMA8GA1Ud\n"                  \
	"pem EwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbXguYS50ZXN0MAoGCCqGSM49BAMCA0cA\n"                  \
	"pem MEQCIEol+1Y7vhCX3znqeZ2QsZT6FYHLtsGhGijjZyofovo4AiAi9VxBnf6whaO7\n"                  \
	"pem vACgbvLaYnQh/DeJBIM6KgwLW7+B1w==\n"                                                  \
	"pem -----END CERTIFICATE-----\n"

#define HEAD "evidence 1\n\ndestination a.test\ntime 2027-01-01T00:00:00Z\nport 25\nasked a.test\n"
#define STS "sts not-asked\ntlsrpt not-asked\n"
#define MX HEAD "mx found secure\n" STS
#define HOST MX "host mx.a.test 10\naddresses found secure\naddress 192.0.2.1\n"
#define DANE "tlsa found\ntlsa-base mx.a.test\nrecord 3 1 1 " DIGEST "\n"
#define BAD "tlsa found\ntlsa-base mx.a.test\nrecord 3 1 1 " OTHER "\n"
#define NONE "tlsa absent\n"
#define READY "connection 192.0.2.1 tls ready greeted\n"
#define TLS READY "tls TLSv1.3 TLS_AES_256_GCM_SHA384 256 0 x25519 ECDSA-SHA256 safe\n" PEM
#define END "end\n"

static char first_error[256];

static void
note_error(void *arg, const char *file, unsigned line, const char *text)
{
	(void)arg;
	if (first_error[0] == '\0')
		snprintf(first_error, sizeof first_error, "%s:%u: %s", file, line, text);
}

static size_t
read_text(const char *text, struct evidence_list *list)
{
	first_error[0] = '\0';
	return evidence_read("f", text, strlen(text), list, note_error, NULL);
}

/* ---- the file ---- */

static const char *const good[] = {
	HOST DANE TLS END,
	HEAD "mx failed bogus\nmx-why no%20signature\nresolver strips it%20strips\n" STS END,
	HEAD "mx null secure\n" STS END,
	HEAD "mx found insecure\nmx-canonical b.test\nleft-out 3 4\nsts none\nsts-why no%20record\ntlsrpt failed\ntlsrpt-why timeout\n" END,
	HEAD "mx implicit secure\nsts found\nsts-id 2026\nsts-fetched 2026-12-31T00:00:00Z\n"
	     "sts-policy enforce 86400 mx.a.test *.b.test\ntlsrpt found\n"
	     "tlsrpt-record v=TLSRPTv1;%20rua=mailto:r@a.test,https://a.test/r\n"
	     "host a.test 0\naddresses none secure\naddresses-why no%20address\ntlsa not-asked\n" END,
	HOST "address 2001:db8::1\ntlsa failed\ntlsa-why timeout\n" END,
	MX "host unix:/run/lmtp 0\nvia 0 lmtp /run/lmtp\naddresses found secure\naddress socket\ntlsa no-name\n"
	   "host mx.a.test 1\nvia 465 smtps\naddresses none secure\ntlsa not-asked\n" END,
	MX "host mx.a.test 10\ncanonical real.b.test\naddresses found insecure\naddresses-why AAAA%20bogus\n"
	   "address 192.0.2.1\ntlsa found\ntlsa-base mx.a.test\ntlsa-damaged 2\ntcp-denied\nrecord 3 1 1 \"\"\n"
	   "record 255 0 9 00ff\nconnection 192.0.2.1 tls starttls-refused greeted\ntext 454%20no\n"
	   "banner 220%20hello\nehlo 250%20x\nstarttls 454%20no\n"
	   "host mx2.a.test 20\naddresses failed bogus\ntlsa not-asked\n" END
	   "\ndestination [192.0.2.9]\ntime 2027-01-01T00:00:01Z\nport 2525\nasked [192.0.2.9]\nmx local secure\n"
	   STS "host 192.0.2.9 0\naddresses found secure\naddress 192.0.2.9\ntlsa no-name\n"
	   "connection 192.0.2.9 not-made no-connection not-greeted\ntext left%20out\n" END,
};

static void
test_good(void)
{
	struct evidence_list list;
	size_t i, k;

	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct buf b = BUF_INIT;

		unit_int(read_text(good[i], &list), 0, "good %zu is read: %s", i, first_error);
		evidence_begin(&b);
		for (k = 0; k < list.n; k++)
			evidence_put(&b, list.v[k]);
		unit_str(b.p, good[i], "good %zu is written as it was", i);
		evidence_list_clear(&list);
		buf_clear(&b);
	}
}

/* A record larger than a line goes on in the next. */
static void
test_large_record(void)
{
	struct evidence_list list, again;
	struct buf b = BUF_INIT;
	struct tlsa *t;

	read_text(good[0], &list);
	t = &list.v[0]->facts->host[0].tlsa[0];
	free(t->data);
	t->len = TLSA_DATA_MAX;
	t->data = xcalloc(1, t->len);
	t->data[t->len - 1] = 0x5a;
	evidence_begin(&b);
	evidence_put(&b, list.v[0]);
	unit_int(read_text(b.p, &again), 0, "a record of 65532 octets: %s", first_error);
	if (again.n == 1)
		unit_ok(tlsa_equal(t, &again.v[0]->facts->host[0].tlsa[0]), "comes back whole");
	evidence_list_clear(&list);
	evidence_list_clear(&again);
	buf_clear(&b);
}

static const struct {
	const char *text, *error;
} refused[] = {
	{ "", "f:1: no line with evidence" },
	{ "evidence 1\n", "f:1: no destination in it" },
	{ "evidence 2\n", "f:1: this version reads evidence 1 only" },
	{ "evidence 1\nend\n", "f:2: no destination to end" },
	{ "evidence 1\nnonsense\n", "f:2: unknown keyword \"nonsense\"" },
	{ HEAD, "f:6: the file ends within a destination" },
	{ HEAD END, "f:7: the destination lacks time, port, asked or mx" },
	{ HEAD "time 2027-01-01\n" END, "f:7: time does not belong here" },
	{ "evidence 1\ndestination a\ndestination b\n", "f:3: no end before it" },
	{ "evidence 1\ndestination a%01b\n", "f:2: octet 2 is not printable ASCII" },
	{ "evidence 1\ndestination a%FFb\n", "f:2: octet 2 is not printable ASCII" },
	{ "evidence 1\ndestination a\ntime yesterday\n", NULL },
	{ "evidence 1\ndestination a\ntime 2027-01-01\ntime 2027-01-01\n", "f:4: a second time" },
	{ "evidence 1\ndestination a\nport 0\n", NULL },
	{ HEAD "mx found bogus\n" END, "f:7: mx found cannot be bogus" },
	{ HEAD "mx failed secure\n" END, "f:7: mx failed cannot be secure" },
	{ HEAD "mx perhaps secure\n" END, "f:7: unknown word \"perhaps\"" },
	{ HEAD "mx null secure\nhost a.test 0\naddresses none secure\ntlsa not-asked\n" END,
	    "f:11: mx null has no host" },
	{ HEAD "mx implicit secure\n" END, "f:8: mx implicit has one host" },
	{ HEAD "mx found secure\nsts found\n" END, "f:9: sts found has an sts-policy" },
	{ HEAD "mx found secure\ntlsrpt found\n" END, "f:9: tlsrpt found has a tlsrpt-record" },
	{ HEAD "mx found secure\ntlsrpt-record v=TLSRPTv1;\n" END, "f:8: no \"tlsrpt found\" before it" },
	{ HEAD "mx found secure\ntlsrpt found\ntlsrpt-record x\n" END, NULL },
	{ HEAD "mx found secure\nsts found\nsts-policy enforce 1 a..b\n" END, "f:9: expected a host name or *.domain" },
	{ HEAD "host mx.a.test 10\n" END, "f:7: host does not belong here" },
	{ MX "host mx.a.test 10\n" END, "f:11: the host above lacks addresses or tlsa" },
	{ MX "host mx.a.test 10\naddresses found secure\ntlsa absent\n" END, "f:13: the host above has no address" },
	{ MX "host mx.a.test 10\naddresses found failed\n" END, "f:11: addresses that were found cannot be failed" },
	{ MX "host a%20b 10\naddresses found secure\n" END, "f:11: addresses of a host whose name is none" },
	{ MX "host mx.a.test 10\naddresses none secure\naddress 192.0.2.1\n" END,
	    "f:12: no \"addresses found\" before it" },
	{ MX "host b 10\naddresses none secure\ntlsa absent\nhost a 9\n" END,
	    "f:13: hosts stand in the order of preference" },
	{ HOST "address 192.0.2.1\n" END, "f:13: the same address again" },
	{ HOST "address localhost\n" END, "f:13: expected an address" },
	{ HOST "record 3 1 1 00\n" END, "f:13: no \"tlsa found\" before it" },
	{ HOST "tlsa found\n" END, "f:14: the host above lacks tlsa-base or records" },
	{ HOST "tlsa found\ntlsa-base a..b\n" END, "f:14: expected a host name" },
	{ HOST "tlsa found\ntlsa-base mx.a.test\nrecord 3 1 256 00\n" END, NULL },
	{ HOST "tlsa found\ntlsa-base mx.a.test\nrecord 3 1 1 0\n" END, NULL },
	{ HOST "tlsa found\ntlsa-base mx.a.test\nrecord-more 00\n" END, "f:15: no record before it" },
	{ HOST NONE "text x\n" END, "f:14: text does not belong here" },
	{ HOST NONE "connection 192.0.2.2 tls ready greeted\n" END, "f:14: an address that is not the host's" },
	{ HOST NONE READY READY END, "f:15: a second connection to this address" },
	{ HOST NONE READY "address 192.0.2.2\n" END, "f:15: address does not belong here" },
	{ HOST NONE READY "pem x\n" END, "f:15: no tls before it" },
	{ HOST NONE READY "tls TLSv1.3 c 256 0 g s safe\n" END, NULL },
	{ HOST NONE READY "tls TLSv1.3 c 256 2 g s safe\n" END, NULL },
	{ HOST NONE "connection 192.0.2.1 clear ready greeted\ntls TLSv1.3 c 256 0 g s safe\n" PEM END,
	    "f:27: a connection that did not try TLS cannot tell of it" },
	{ HOST NONE "connection 192.0.2.1 tls handshake-failed greeted\ntls TLSv1.3 c 256 0 g s safe\n" PEM END,
	    "f:27: a connection with TLS cannot have ended so" },
	{ HOST NONE "connection 192.0.2.1 tls ready not-greeted\n" END,
	    "f:15: a connection that was not greeted cannot have ended so" },
	{ HOST NONE "connection 192.0.2.1 clear injection greeted\n" END,
	    "f:15: a connection that did not try TLS cannot tell of it" },
};

static void
test_refused(void)
{
	struct evidence_list list;
	size_t i;

	for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		unit_ok(read_text(refused[i].text, &list) > 0 && list.n == 0, "refused %zu", i);
		if (refused[i].error != NULL)
			unit_str(first_error, refused[i].error, "refused %zu: why", i);
	}
}

/* ---- what it is worth ---- */

static const struct {
	const char *text;
	enum policy_tls tls;
	enum policy_dane dane;
	enum verdict_word word;
	const char *answer;	/* how it begins */
	const char *advice;	/* the problems, in their order */
} worth[] = {
	{ HOST DANE TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_AUTH,
	    "mail is encrypted and verified by DANE at its MX host", "" },
	{ HOST DANE TLS END, POLICY_TLS_REQUIRED, POLICY_DANE_NONE, VERDICT_ENC,
	    "mail is encrypted at its MX host, but nothing proves that it reaches the right server", "" },
	{ HOST DANE TLS END, POLICY_TLS_NO, POLICY_DANE_NONE, VERDICT_CLEAR, "mail may go in clear text at its MX host",
	    "" },
	{ HOST BAD TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP,
	    "mail would not be delivered: the certificate of mx.a.test matches none of its TLSA records",
	    "tlsa-mismatch" },
	/* The record that fits counts for nothing beside one of SHA-512: to publish it again does not help. */
	{ HOST DANE "record 3 1 2 " OTHER OTHER "\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC,
	    VERDICT_SKIP, "mail would not be delivered: the certificate of mx.a.test matches none", "tlsa-agility" },
	{ HOST BAD "record 3 1 2 " OTHER OTHER "\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC,
	    VERDICT_SKIP, "mail would not be delivered: the certificate of mx.a.test matches none", "tlsa-mismatch" },
	{ HOST "tlsa found\ntlsa-base mx.a.test\nrecord 2 0 1 " OTHER "\n" TLS END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP, "mail would not be delivered: ", "tlsa-ca" },
	{ HOST BAD "record 2 0 1 " OTHER "\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP,
	    "mail would not be delivered: ", "tlsa-mismatch" },
	{ HOST NONE TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_MANDATORY, VERDICT_SKIP,
	    "mail would not be delivered: ", "no-tlsa" },
	{ HOST NONE TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_ENC, "mail is encrypted",
	    "no-tlsa" },
	{ HOST "tlsa not-asked\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_INCONCLUSIVE,
	    "no host could be asked: its TLSA records were not asked for", "" },
	{ HOST "tlsa not-asked\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_NONE, VERDICT_ENC, "mail is encrypted",
	    "" },
	{ HOST "tlsa failed\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP,
	    "mail would not be delivered: the TLSA lookup failed", "tlsa-failed" },
	{ HOST NONE END, POLICY_TLS_PREFERRED, POLICY_DANE_NONE, VERDICT_INCONCLUSIVE,
	    "no host could be asked: no connection was made", "" },
	{ HOST NONE "connection 192.0.2.1 clear ready greeted\n" END, POLICY_TLS_PREFERRED, POLICY_DANE_NONE,
	    VERDICT_INCONCLUSIVE, "no host could be asked: STARTTLS was not tried", "" },
	{ HOST NONE "connection 192.0.2.1 clear ready greeted\n" END, POLICY_TLS_NO, POLICY_DANE_NONE, VERDICT_CLEAR,
	    "mail may go in clear text at its MX host", "" },
	{ HOST NONE "connection 192.0.2.1 clear refused not-greeted\ntext 554\n" END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_NONE, VERDICT_SKIP, "mail would not be delivered: refuses the session: 554", "refused" },
	{ HOST NONE "connection 192.0.2.1 tls no-starttls greeted\ntext STARTTLS%20is%20not%20offered\n" END,
	    POLICY_TLS_PREFERRED, POLICY_DANE_NONE, VERDICT_CLEAR, "mail may go in clear text at its MX host",
	    "no-starttls" },
	/* What happens behind STARTTLS does not happen to who never says it. */
	{ HOST NONE "connection 192.0.2.1 tls handshake-failed greeted\ntext x\n" END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_NONE, VERDICT_SKIP, "mail would not be delivered: the TLS handshake failed: x",
	    "handshake-failed" },
	{ HOST NONE "connection 192.0.2.1 tls handshake-failed greeted\ntext x\n" END, POLICY_TLS_NO, POLICY_DANE_NONE,
	    VERDICT_CLEAR, "mail may go in clear text at its MX host", "handshake-failed" },
	{ HOST NONE "connection 192.0.2.1 tls injection greeted\ntext x\n" END, POLICY_TLS_NO, POLICY_DANE_NONE,
	    VERDICT_CLEAR, "mail may go in clear text at its MX host", "injection" },
	{ HOST NONE "connection 192.0.2.1 tls temporary not-greeted\ntext 421\n" END, POLICY_TLS_NO, POLICY_DANE_NONE,
	    VERDICT_INCONCLUSIVE, "no host could be asked: no session for now: 421", "temporary" },
	{ HOST DANE TLS "host mx2.a.test 20\naddresses found secure\naddress 192.0.2.2\n" NONE
	    "connection 192.0.2.2 tls no-connection not-greeted\ntext refused\n" END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_OPPORTUNISTIC, VERDICT_AUTH,
	    "mail is encrypted and verified by DANE at 1 of 2 MX hosts; 1 of 2 addresses could not be asked",
	    "no-connection" },
	{ HEAD "mx found insecure\nhost mx.a.test 10\naddresses found secure\naddress 192.0.2.1\n" DANE TLS END,
	    POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_ENC,
	    "mail is encrypted, and verified by DANE at its MX host, but the MX records are not signed",
	    "mx-unsigned" },
	{ HEAD "mx null secure\n" END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_NOMAIL,
	    "null MX: the domain takes no mail", "" },
	{ HEAD "mx no-domain secure\n" END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP,
	    "the domain does not exist", "no-domain" },
	{ HEAD "mx failed bogus\n" END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_INCONCLUSIVE,
	    "the MX lookup failed", "mx-failed" },
	{ HEAD "resolver strips it%20strips\nmx failed bogus\n" END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC,
	    VERDICT_INCONCLUSIVE, "the MX lookup failed", "resolver" },
	{ MX "host mx.a.test 10\naddresses none secure\ntlsa not-asked\n" END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_OPPORTUNISTIC, VERDICT_SKIP, "no host to connect to", "no-address" },
	{ HOST "tlsa insecure\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_ENC,
	    "mail is encrypted", "tlsa-unsigned" },
	{ HOST "tlsa host-unsigned\n" TLS END, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, VERDICT_ENC,
	    "mail is encrypted", "host-unsigned" },
	{ HOST "tlsa found\ntlsa-base mx.a.test\nrecord 1 1 1 " DIGEST "\n" TLS END, POLICY_TLS_PREFERRED,
	    POLICY_DANE_OPPORTUNISTIC, VERDICT_ENC, "mail is encrypted", "tlsa-unusable" },
};

static void
list_problems(struct buf *b, const struct judged *j)
{
	struct advice advice;
	size_t i;

	buf_puts(b, "");
	advice_make(j, -1, &advice);
	for (i = 0; i < advice.n; i++)
		buf_printf(b, "%s%s", i > 0 ? " " : "", advice.v[i].problem);
	advice_clear(&advice);
}

static void
test_worth(void)
{
	struct judge_conf conf = { .now = 0 };
	struct evidence_list list;
	struct judged j;
	size_t i;

	for (i = 0; i < sizeof worth / sizeof worth[0]; i++) {
		struct policy policy = { .tls = worth[i].tls, .dane = worth[i].dane };
		struct buf problems = BUF_INIT;
		char *text;

		if (read_text(worth[i].text, &list) > 0) {
			unit_ok(0, "worth %zu is read: %s", i, first_error);
			continue;
		}
		judge(list.v[0], &policy, &conf, &j);
		unit_str(verdict_name(j.verdict.word), verdict_name(worth[i].word), "worth %zu", i);
		text = answer(&j);
		if (strncmp(text, worth[i].answer, strlen(worth[i].answer)) != 0)
			unit_str(text, worth[i].answer, "worth %zu: the answer", i);
		list_problems(&problems, &j);
		unit_str(problems.p != NULL ? problems.p : "", worth[i].advice, "worth %zu: problems", i);
		buf_clear(&problems);
		free(text);
		judged_clear(&j);
		evidence_list_clear(&list);
	}
}

/* The table has every pair that does not contradict itself, each as it is judged alone. */
static void
test_levels(void)
{
	struct policy policy = POLICY_DEFAULT;
	struct judge_conf conf = { .now = 0 };
	struct evidence_list list;
	struct levels levels;
	struct judged j;
	size_t i;

	read_text(HOST DANE TLS END, &list);
	levels_judge(list.v[0], &policy, &conf, &levels);
	unit_int(levels.n, LEVELS_TLS * LEVELS_DANE - (LEVELS_DANE - 1), "no contradiction in it");
	for (i = 0; i < levels.n; i++) {
		policy.tls = levels.v[i].tls;
		policy.dane = levels.v[i].dane;
		judge(list.v[0], &policy, &conf, &j);
		unit_str(levels.v[i].verdict.why, j.verdict.why, "level %zu as alone", i);
		judged_clear(&j);
	}
	unit_ok(levels_find(&levels, POLICY_TLS_NO, POLICY_DANE_MANDATORY) == NULL, "no: no DANE");
	levels_clear(&levels);
	evidence_list_clear(&list);
}

/* ---- monitoring ---- */

static const struct {
	const char *text;
	enum verdict_word expect;
	int warn, critical;
	const char *time;	/* as of when; the certificate ends 2036-11-26 */
	enum monitor_state state;
} states[] = {
	{ HOST DANE TLS END, VERDICT_AUTH, -1, -1, NULL, MONITOR_OK },
	{ HOST DANE TLS END, VERDICT_CLEAR, -1, -1, NULL, MONITOR_OK },
	{ HOST DANE TLS END, VERDICT_AUTH, 30, 10, "2036-10-01", MONITOR_OK },
	{ HOST DANE TLS END, VERDICT_AUTH, 30, 10, "2036-11-10", MONITOR_WARNING },
	{ HOST DANE TLS END, VERDICT_AUTH, 30, 10, "2036-11-20", MONITOR_CRITICAL },
	{ HOST DANE TLS END, VERDICT_AUTH, 30, -1, "2037-01-01", MONITOR_WARNING },
	{ HOST NONE TLS END, VERDICT_AUTH, -1, -1, NULL, MONITOR_CRITICAL },
	{ HOST NONE TLS END, VERDICT_ENC, -1, -1, NULL, MONITOR_OK },
	{ HOST BAD TLS END, VERDICT_CLEAR, -1, -1, NULL, MONITOR_CRITICAL },
	{ HOST NONE END, VERDICT_CLEAR, -1, -1, NULL, MONITOR_UNKNOWN },
	{ HEAD "mx null secure\n" END, VERDICT_NOMAIL, -1, -1, NULL, MONITOR_OK },
	{ HEAD "mx null secure\n" END, VERDICT_CLEAR, -1, -1, NULL, MONITOR_CRITICAL },
	{ HEAD "mx failed bogus\n" END, VERDICT_CLEAR, -1, -1, NULL, MONITOR_UNKNOWN },
	{ HOST DANE TLS "host mx2.a.test 20\naddresses found secure\naddress 192.0.2.2\n" NONE
	    "connection 192.0.2.2 tls no-connection not-greeted\ntext refused\n" END, VERDICT_AUTH, -1, -1, NULL,
	    MONITOR_WARNING },
};

static void
test_states(void)
{
	struct policy policy = POLICY_DEFAULT;
	struct evidence_list list;
	struct judged j;
	size_t i;

	for (i = 0; i < sizeof states / sizeof states[0]; i++) {
		struct monitor_conf conf = { .expect = states[i].expect, .warn_days = states[i].warn,
			.critical_days = states[i].critical };
		struct judge_conf jconf = { .now = 0 };

		if (states[i].time != NULL)
			text_timestamp(states[i].time, "time", &jconf.now, NULL);
		if (read_text(states[i].text, &list) > 0) {
			unit_ok(0, "state %zu is read: %s", i, first_error);
			continue;
		}
		judge(list.v[0], &policy, &jconf, &j);
		unit_int(monitor_of(&j, &conf), states[i].state, "state %zu", i);
		judged_clear(&j);
		evidence_list_clear(&list);
	}
	unit_int(monitor_worse(MONITOR_UNKNOWN, MONITOR_WARNING), MONITOR_WARNING, "a warning beats unknown");
	unit_int(monitor_worse(MONITOR_CRITICAL, MONITOR_UNKNOWN), MONITOR_CRITICAL, "critical beats all");
}

int
main(void)
{
	ossl_init();
	test_good();
	test_large_record();
	test_refused();
	test_worth();
	test_levels();
	test_states();
	return unit_done();
}
