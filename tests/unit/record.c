/* Records between the relay's roles: what one packs another unpacks, and nonsense is refused. */
#include "../../cmd/smtp-relay/order.h"
#include "../../cmd/smtp-relay/pack.h"
#include "../../cmd/smtp-relay/tried.h"

#include <arpa/inet.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "table.h"
#include "unit.h"

static int pair[2];
static struct order o;

static void
test_order(void)
{
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	unit_int(order_recv(pair[1], &o, &f), 0, "nothing came yet");
	table_put(&b, "deliver", "1", "odd # 100% \xc3\xbc\n\"x\"", "", (char *)NULL);
	buf_puts(&b, "rcpt 0 a@b\nrcpt 1 c@d\n");
	unit_int(order_send(pair[0], b.p, b.len, fd, &f), 1, "sent %s", f.text);
	unit_int(order_recv(pair[1], &o, &f), 1, "came %s", f.text);
	unit_int(o.n, 4, "its words");
	unit_str(o.v[0], "deliver", "the first");
	unit_str(o.v[2], "odd # 100% \xc3\xbc\n\"x\"", "one of odd octets");
	unit_str(o.v[3], "", "an empty one");
	unit_str(o.more, "rcpt 0 a@b\nrcpt 1 c@d", "and the lines behind");
	unit_int(o.more_len, strlen(o.more), "their length");
	unit_ok(o.fd != -1 && fcntl(o.fd, F_GETFD) == FD_CLOEXEC, "and a descriptor");
	close(o.fd);
	close(fd);
	buf_clear(&b);
}

static void
test_bad_orders(void)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = { { "\n", 1 }, { "a %4\n", 5 }, { "# none\n", 7 },
		{ "a 1 2 3 4 5 6 7 8 9 10 11 12\n", 29 } };
	struct fail f = FAIL_INIT;
	char *big = xmalloc(ORDER_MAX);
	size_t i;

	memset(big, 'a', ORDER_MAX);
	unit_int(order_send(pair[0], big, ORDER_MAX, -1, &f), -1, "one too large is not sent: %s", f.text);
	unit_int(order_send(pair[0], "", 0, -1, &f), -1, "nor an empty one");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		unit_int(write(pair[0], bad[i].text, bad[i].len), bad[i].len, "row %zu", i);
		f = (struct fail)FAIL_INIT;
		unit_ok(order_recv(pair[1], &o, &f) == -1 && f.kind == FAIL_INPUT && o.fd == -1,
		    "is refused: %s", f.text);
	}
	unit_int(write(pair[0], big, ORDER_MAX), ORDER_MAX, "more than a record may have");
	unit_ok(order_recv(pair[1], &o, &f) == -1 && f.kind == FAIL_INPUT, "is refused: %s", f.text);
	free(big);
}

/* Several in one datagram, of which the first has the descriptor. */
static void
test_gathered(void)
{
	static const char text[] = "one 1\nmore\0two %00 2\0three";
	struct fail f = FAIL_INIT;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	unit_int(order_send(pair[0], text, sizeof text - 1, fd, &f), 1, "three are sent: %s", f.text);
	unit_int(order_recv(pair[1], &o, &f), 1, "the first came");
	unit_str(o.v[0], "one", "its word");
	unit_str(o.more, "more", "its lines end with it");
	unit_ok(o.fd != -1, "its descriptor");
	close(o.fd);
	close(fd);
	unit_int(order_next(&o, &f), -1, "an octet that cannot be in a word");
	unit_int(order_next(&o, &f), 1, "ends that record alone: %s", f.text);
	unit_str(o.v[0], "three", "the third");
	unit_int(o.n, 1, "words");
	unit_int(o.fd, -1, "no descriptor");
	unit_int(order_next(&o, &f), 0, "that was the last");
	unit_int(order_send(pair[0], "a\0", 2, -1, &f), 1, "a record and an empty one");
	unit_int(order_recv(pair[1], &o, &f), 1, "the first is good");
	unit_int(order_next(&o, &f), -1, "the second is not");
	unit_int(order_recv(pair[1], &o, &f), 0, "and all of it was taken");
}

/* Each field that pack.c knows, in the order of its lines. */
#define RDATA "3%201%201%20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const char plan[] =
    "plan 0 5.0.0 RFC%205321 all%20is%20well\n"
    "facts dest.test 0 0 1 alias.test mail.test\n"
    "sts 20160831085700Z\n"
    "as client.cert isp 192.0.2.9 2001:db8::9\n"
    "controls 7 8 9 10 11 12 13 14 1 60\n"
    "host mx1.dest.test 10 0 5 5 1 mx1.dest.test RFC%207672 its%20records\n"
    "asks 1 2 1 3 3 2 1 1\n"
    "tlsa " RDATA "\n"
    "addr 192.0.2.1\naddr 2001:db8::1\n"
    "host mx2.dest.test 20 0 1 3 0 \"\" local because\n"
    "asks 0 0 0 2 0 0 0 0\n"
    "hop 465 1 \"\"\n"
    "addr 192.0.2.2\n"
    "host unix:/run/lmtp 30 0 0 0 0 \"\" local because\n"
    "asks 0 0 0 2 0 0 0 0\n"
    "hop 0 2 /run/lmtp\n"
    "addr socket\n";

static void
test_plan(void)
{
	struct fail f = FAIL_INIT;
	struct unpacked *u = unpack_plan(plan, strlen(plan), &f);
	struct buf b = BUF_INIT;

	if (u == NULL) {
		unit_ok(0, "the plan is unpacked: %s", f.text);
		return;
	}
	unit_str(u->facts->domain, "dest.test", "domain");
	unit_str(u->plan.why, "all is well", "why");
	unit_int(u->plan.domain_bound, 1, "bound");
	unit_str(u->facts->recipient, "mail.test", "recipient");
	unit_str(u->facts->sts_id, "20160831085700Z", "the policy's id");
	unit_int(u->plan.host[0].names, VERIFY_NAMES_SAN, "names");
	unit_int(u->plan.host[0].tls_min, POLICY_TLS_MIN_1_3, "tls-min");
	unit_int(u->plan.host[0].requiretls, 1, "REQUIRETLS");
	unit_int(u->plan.nhost, 3, "hosts");
	unit_str(u->controls.cert, "client.cert", "the certificate to show");
	unit_str(u->controls.credentials, "isp", "whose password");
	unit_int(u->controls.bind[CONTROLS_V6].family, AF_INET6, "a source address");
	unit_int(u->controls.n[CONTROLS_END_TIME], 14, "a time");
	unit_int(u->facts->host[1].port, 465, "a port");
	unit_int(u->facts->host[1].protocol, FACTS_SMTPS, "a protocol");
	unit_str(u->facts->host[2].path, "/run/lmtp", "a path");
	unit_int(u->facts->host[2].addr[0].family, AF_UNIX, "which is the address");
	unit_int(u->plan.host[0].need, PLAN_DANE, "need");
	unit_int(u->facts->host[0].ntlsa, 1, "TLSA records");
	unit_int(u->facts->host[0].naddr, 2, "addresses");
	unit_ok(u->facts->host[1].tlsa_base == NULL, "no base is none");
	pack_plan(&b, &u->plan, &u->controls);
	unit_str(b.p, plan, "packed again it is the same");
	buf_clear(&b);
	unpacked_free(u);
	unpacked_free(NULL);
}

/* What reports on TLS want to know stands behind the plan, and not for a message that asks for no policy. */
static void
test_report(void)
{
	static const char lines[] = "report mailto:a@b.test https://c.test/x%25\nsts-policy 2 86400 mx.test *.mx.test\nsts-fault 2\n";
	char *both = xasprintf("%s%s", plan, lines);
	struct fail f = FAIL_INIT;
	struct unpacked *u = unpack_plan(both, strlen(both), &f);
	struct buf b = BUF_INIT;
	size_t i;

	unit_ok(u != NULL, "unpacked: %s", f.text);
	unit_int(u->facts->tlsrpt.n, 2, "where reports go");
	unit_str(u->facts->tlsrpt.rua[1].uri, "https://c.test/x%", "a URI");
	unit_int(u->facts->sts.mode, STS_ENFORCE, "the MTA-STS policy");
	pack_report(&b, &u->plan);
	unit_str(b.p, lines, "packed again it is the same");
	b.len = 0;
	u->plan.policy.message = POLICY_MESSAGE_TLS_OPTIONAL;
	pack_report(&b, &u->plan);
	unit_int(b.len, 0, "TLS-Required: No");
	u->plan.policy.message = 0;
	for (i = 0; i < 1000; i++)
		sts_policy_add_mx(&u->facts->sts, "*.quite.a.long.name.of.a.host.that.has.many.labels.test", 55, NULL);
	free(u->facts->tlsrpt.rua[0].uri);
	u->facts->tlsrpt.rua[0].uri = xmalloc(6001);
	memset(u->facts->tlsrpt.rua[0].uri, ' ', 6000);
	u->facts->tlsrpt.rua[0].uri[6000] = '\0';
	b.len = 0;
	pack_report(&b, &u->plan);
	unit_ok(b.len > 0 && b.len <= PACK_REPORT_MAX, "it has a limit: %zu", b.len);
	buf_clear(&b);
	unpacked_free(u);
	free(both);
}

static void
test_bad_plans(void)
{
	static const char *const bad[] = { "", "plan 0 s r w\nfacts d 0 0 1 c \"\"\nsts-policy 3 1 mx.test\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nsts-policy 2 1 no_mx\n", "plan 0 s r w\nfacts d 0 0 1 c \"\"\nsts-fault 9\n",
		"report x\nplan 0 s r w\nfacts d 0 0 1 c \"\"\n", "plan 0 s r w\n", "facts d 0 0 1 c \"\"\n",
		"plan 9 s r w\nfacts d 0 0 1 c \"\"\n", "plan 0 s r w\nfacts d 6 0 1 c \"\"\n",
		"plan 0 s r w\nfacts d 0 0 2 c \"\"\n", "plan 0 s r w\nsts 1\nfacts d 0 0 1 c \"\"\n", "plan 0 s r w\nplan 0 s r w\nfacts d 0 0 1 c \"\"\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\naddr 192.0.2.1\n", "plan 0 s r w\nfacts d 0 0 1 c \"\"\ntlsa 3%201%201%20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		"plan 0 s r w\nhost h 1 0 0 0 0 b r w\nfacts d 0 0 1 c \"\"\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nhost h 65536 0 0 0 0 b r w\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nhost h 1 9 0 0 0 b r w\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nhost h 1 0 9 0 0 b r w\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nhost h 1 0 0 0 0 b r w\naddr nowhere\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\"\nhost h 1 0 0 0 0 b r w\ntlsa zz\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\" \"\"\nhop 1 0 \"\"\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\" \"\"\nhost h 1 0 0 0 0 b r w\nhop 1 3 \"\"\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\" \"\"\nas c i 2001:db8::1 \"\"\n",
		"plan 0 s r w\nfacts d 0 0 1 c \"\" \"\"\ncontrols 1\n" };
	struct fail f;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		f = (struct fail)FAIL_INIT;
		unit_ok(unpack_plan(bad[i], strlen(bad[i]), &f) == NULL && f.kind == FAIL_INPUT, "row %zu", i);
	}
}

static void
test_tried(void)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = { { "tried 7 1 192.0.2.1 SKIP verification RFC%207672%202.2 no%20match\n", 0 },
		{ "tried 7 0 \"\" INCONCLUSIVE none local because\n", 0 },
		{ "tried 7 2 192.0.2.1 SKIP verification local because\n", -1 },
		{ "tried 7 -1 192.0.2.1 SKIP verification local because\n", -1 },
		{ "tried 7 1 192.0.2.1 FROB verification local because\n", -1 },
		{ "tried 7 1 192.0.2.1 SKIP frob local because\n", -1 },
		{ "tried 7 1 192.0.2.1 SKIP verification local\n", -1 } };
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	struct tried t;
	char why[2 * TRIED_WHY_MAX];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		order_send(pair[0], rows[i].text, strlen(rows[i].text), -1, &f);
		unit_int(order_recv(pair[1], &o, &f), 1, "tried, row %zu", i);
		unit_int(tried_unpack(&t, &o, 2, &f), rows[i].rc, "is taken, or not");
		if (rows[i].rc == 0) {
			tried_pack(&b, "7", &t);
			unit_str(b.p, rows[i].text, "packed again it is the same");
		}
		buf_clear(&b);
	}
	unit_int(tried_unpack(&t, &o, 0, &f), -1, "of a plan without hosts nothing is taken");
	memset(why, 'x', sizeof why - 1);
	why[sizeof why - 1] = '\0';
	tried_pack(&b, "7", &(struct tried){ .address = "", .rule = "local", .why = why });
	order_send(pair[0], b.p, b.len, -1, &f);
	unit_int(order_recv(pair[1], &o, &f), 1, "a long reason");
	unit_int(tried_unpack(&t, &o, 1, &f), 0, "is cut");
	buf_clear(&b);
}

int
main(void)
{
	struct fail f = FAIL_INIT;

	if (order_pair(pair, &f) == -1)
		return 1;
	test_order();
	test_bad_orders();
	test_gathered();
	test_plan();
	test_report();
	test_bad_plans();
	test_tried();
	close(pair[0]);
	unit_int(order_recv(pair[1], &o, &f), -1, "the other end is gone");
	close(pair[1]);
	return unit_done();
}
