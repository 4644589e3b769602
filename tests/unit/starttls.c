#include "starttls.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define BYTES(s) (s), sizeof(s) - 1
#define STEPS_MAX 8

struct step {
	const char *p;
	size_t n;
};

/* What was said by the client, "[TLS]" where the handshake was, and how it ended. */
struct told {
	struct buf said;
	struct starttls s;
};

static void
collect(struct told *t)
{
	if (t->s.want == STARTTLS_WANT_TLS) {
		buf_puts(&t->said, "[TLS]");
		starttls_tls_done(&t->s);
	}
	buf_escape(&t->said, t->s.out.p, t->s.out.len);
	buf_drop(&t->s.out, t->s.out.len);
}

static void
play(struct told *t, enum starttls_proto proto, const struct step *steps, size_t piece)
{
	size_t i, at, n;

	memset(t, 0, sizeof *t);
	starttls_init(&t->s, proto);
	starttls_begin(&t->s);
	collect(t);
	for (i = 0; i < STEPS_MAX && steps[i].p != NULL; i++)
		for (at = 0; at < steps[i].n; at += n) {
			n = steps[i].n - at < piece ? steps[i].n - at : piece;
			starttls_feed(&t->s, steps[i].p + at, n);
			collect(t);
		}
	if (t->s.want == STARTTLS_WANT_READY)
		buf_puts(&t->said, "[ready]");
}

static void
told_clear(struct told *t)
{
	buf_clear(&t->said);
	starttls_clear(&t->s);
}

#define LDAP_ASKED "0\\x1d\\x02\\x01\\x01w\\x18\\x80\\x161.3.6.1.4.1.1466.20037"
#define LDAP_SEARCHED \
	"0*\\x02\\x01\\x02c%\\x04\\x00\\x0a\\x01\\x00\\x0a\\x01\\x00\\x02\\x01\\x00\\x02\\x01\\x00\\x01\\x01\\x00" \
	"\\x87\\x0bobjectClass0\\x05\\x04\\x031.1"
#define LDAP_BYE "0\\x05\\x02\\x01\\x03B\\x00"

static const struct row {
	const char *what;
	enum starttls_proto proto;
	struct step steps[STEPS_MAX];
	const char *said;
	enum starttls_end end;
	const char *text;	/* of the failure */
	int whole;		/* in one piece only */
} rows[] = {
	/* IMAP: RFC 9051 6.2.1, 7.1 */
	{ "imap", STARTTLS_IMAP,
	    { { BYTES("* OK ready\r\n") }, { BYTES("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK done\r\n") },
	    { BYTES("b OK begin\r\n") }, { BYTES("* CAPABILITY IMAP4rev1\r\nc OK\r\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a[TLS]c CAPABILITY\\x0d\\x0a[ready]", STARTTLS_END_NONE, "", 0 },
	{ "imap: other case, unasked lines, a literal", STARTTLS_IMAP,
	    { { BYTES("* ok [CAPABILITY IMAP4rev1] x\r\n") },
	    { BYTES("* 3 EXISTS\r\n* X {12}\r\na NO x\r\nb OK more\r\n* capability imap4rev1 starttls\r\na ok\r\n") },
	    { BYTES("* FLAGS ()\r\nb ok\r\n") }, { BYTES("c BAD\r\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a[TLS]c CAPABILITY\\x0d\\x0a[ready]", STARTTLS_END_NONE, "", 0 },
	{ "imap: lines that end in LF", STARTTLS_IMAP,
	    { { BYTES("* OK ready\n") }, { BYTES("* CAPABILITY STARTTLS\na OK\n") }, { BYTES("b OK\n") },
	    { BYTES("c OK\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a[TLS]c CAPABILITY\\x0d\\x0a[ready]", STARTTLS_END_NONE, "", 0 },
	{ "imap: not offered", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("* CAPABILITY IMAP4rev1 XSTARTTLS STARTTLSX\r\na OK\r\n") } },
	    "a CAPABILITY\\x0d\\x0az LOGOUT\\x0d\\x0a", STARTTLS_END_NOT_OFFERED, "STARTTLS is not offered", 0 },
	{ "imap: refused", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("* CAPABILITY STARTTLS\r\na OK\r\n") }, { BYTES("b NO not \x1b[1m now\r\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0az LOGOUT\\x0d\\x0a", STARTTLS_END_REFUSED,
	    "b NO not \\x1b[1m now", 0 },
	{ "imap: PREAUTH", STARTTLS_IMAP, { { BYTES("* PREAUTH in\r\n") } }, "z LOGOUT\\x0d\\x0a",
	    STARTTLS_END_NOT_OFFERED,
	    "the session begins authenticated (PREAUTH), where STARTTLS is not allowed", 0 },
	{ "imap: BYE", STARTTLS_IMAP, { { BYTES("* BYE busy\r\n") } }, "", STARTTLS_END_TEMP,
	    "the server ends the session: * BYE busy", 0 },
	{ "imap: BYE in answer to STARTTLS", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("* CAPABILITY STARTTLS\r\na OK\r\n") }, { BYTES("* BYE busy\r\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a", STARTTLS_END_TEMP,
	    "the server ends the session: * BYE busy", 0 },
	{ "imap: SMTP answers", STARTTLS_IMAP, { { BYTES("220 mx ESMTP\r\n") } }, "", STARTTLS_END_PROTOCOL,
	    "no answer of IMAP: 220 mx ESMTP", 0 },
	{ "imap: the tag of another command", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("b OK STARTTLS\r\n") } }, "a CAPABILITY\\x0d\\x0a",
	    STARTTLS_END_PROTOCOL, "no answer of IMAP: b OK STARTTLS", 0 },
	{ "imap: injection", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("* CAPABILITY STARTTLS\r\na OK\r\n") },
	    { BYTES("b OK\r\n* CAPABILITY AUTH=PLAIN\r\n") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a", STARTTLS_END_INJECTION, "* CAPABILITY AUTH=PLAIN", 1 },
	{ "imap: injection of half a line", STARTTLS_IMAP,
	    { { BYTES("* OK\r\n") }, { BYTES("* CAPABILITY STARTTLS\r\na OK\r\n") }, { BYTES("b OK\r\n*") } },
	    "a CAPABILITY\\x0d\\x0ab STARTTLS\\x0d\\x0a", STARTTLS_END_INJECTION, "*", 1 },
	{ "imap: a literal without measure", STARTTLS_IMAP, { { BYTES("* OK {99999999999999999999}\r\n") } }, "",
	    STARTTLS_END_PROTOCOL, "no answer of IMAP: * OK {99999999999999999999}", 0 },
	/* POP3: RFC 2595 4, RFC 2449 */
	{ "pop3", STARTTLS_POP3,
	    { { BYTES("+OK ready {3}\r\n") }, { BYTES("+OK\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n") }, { BYTES("+OK go\r\n") },
	    { BYTES("+OK\r\nSASL PLAIN\r\n.\r\n") } },
	    "CAPA\\x0d\\x0aSTLS\\x0d\\x0a[TLS]CAPA\\x0d\\x0a[ready]", STARTTLS_END_NONE, "", 0 },
	{ "pop3: no CAPA inside TLS", STARTTLS_POP3,
	    { { BYTES("+OK\r\n") }, { BYTES("+OK\r\nstls\r\n.\r\n") }, { BYTES("+OK\r\n") }, { BYTES("-ERR\r\n") } },
	    "CAPA\\x0d\\x0aSTLS\\x0d\\x0a[TLS]CAPA\\x0d\\x0a[ready]", STARTTLS_END_NONE, "", 0 },
	{ "pop3: no CAPA", STARTTLS_POP3, { { BYTES("+OK\r\n") }, { BYTES("-ERR what?\r\n") } },
	    "CAPA\\x0d\\x0aQUIT\\x0d\\x0a", STARTTLS_END_NOT_OFFERED,
	    "STLS is not offered: the server does not know CAPA", 0 },
	{ "pop3: not offered", STARTTLS_POP3, { { BYTES("+OK\r\n") }, { BYTES("+OK\r\nTOP\r\n.\r\n") } },
	    "CAPA\\x0d\\x0aQUIT\\x0d\\x0a", STARTTLS_END_NOT_OFFERED, "STLS is not offered", 0 },
	{ "pop3: refused", STARTTLS_POP3,
	    { { BYTES("+OK\r\n") }, { BYTES("+OK\r\nSTLS\r\n.\r\n") }, { BYTES("-ERR no certificate\r\n") } },
	    "CAPA\\x0d\\x0aSTLS\\x0d\\x0aQUIT\\x0d\\x0a", STARTTLS_END_REFUSED, "-ERR no certificate", 0 },
	{ "pop3: busy", STARTTLS_POP3, { { BYTES("-ERR [SYS/TEMP] later\r\n") } }, "", STARTTLS_END_TEMP,
	    "the server refuses the session: -ERR [SYS/TEMP] later", 0 },
	{ "pop3: for good", STARTTLS_POP3, { { BYTES("-ERR [SYS/PERM] never\r\n") } }, "", STARTTLS_END_DENIED,
	    "the server refuses the session: -ERR [SYS/PERM] never", 0 },
	{ "pop3: injection", STARTTLS_POP3,
	    { { BYTES("+OK\r\n") }, { BYTES("+OK\r\nSTLS\r\n.\r\n") }, { BYTES("+OK\r\n+OK injected\r\n") } },
	    "CAPA\\x0d\\x0aSTLS\\x0d\\x0a", STARTTLS_END_INJECTION, "+OK injected", 1 },
	{ "pop3: HTTP", STARTTLS_POP3, { { BYTES("HTTP/1.1 400 Bad Request\r\n") } }, "", STARTTLS_END_PROTOCOL,
	    "no answer of POP3: HTTP/1.1 400 Bad Request", 0 },
	/* ManageSieve: RFC 5804 1.2, 1.7, 2.2 */
	{ "sieve", STARTTLS_SIEVE,
	    { { BYTES("\"IMPLEMENTATION\" \"x\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\n\"VERSION\" \"1.0\"\r\nOK\r\n") },
	    { BYTES("OK \"begin\"\r\n") }, { BYTES("\"SIEVE\" \"fileinto\"\r\nOK (TAG {3}\r\nx\r\n)\r\n") } },
	    "STARTTLS\\x0d\\x0a[TLS][ready]", STARTTLS_END_NONE, "", 0 },
	{ "sieve: literals", STARTTLS_SIEVE,
	    { { BYTES("{14}\r\nIMPLEMENTATION {4+}\r\nOK\r\n\r\n{8+}\r\nSTARTTLS\r\nOK \"ready\"\r\n") }, { BYTES("ok\r\n") },
	    { BYTES("OK\r\n") } },
	    "STARTTLS\\x0d\\x0a[TLS][ready]", STARTTLS_END_NONE, "", 0 },
	{ "sieve: not offered, but named in a literal", STARTTLS_SIEVE,
	    { { BYTES("\"X\" {12}\r\n\"STARTTLS\"\r\n\r\nOK\r\n") } }, "LOGOUT\\x0d\\x0a",
	    STARTTLS_END_NOT_OFFERED, "STARTTLS is not offered", 0 },
	{ "sieve: refused", STARTTLS_SIEVE,
	    { { BYTES("\"starttls\"\r\nOK\r\n") }, { BYTES("NO \"no certificate\"\r\n") } },
	    "STARTTLS\\x0d\\x0aLOGOUT\\x0d\\x0a", STARTTLS_END_REFUSED, "NO \"no certificate\"", 0 },
	{ "sieve: BYE", STARTTLS_SIEVE, { { BYTES("BYE (TRYLATER) \"x\"\r\n") } }, "", STARTTLS_END_TEMP,
	    "the server ends the session: BYE (TRYLATER) \"x\"", 0 },
	{ "sieve: NO", STARTTLS_SIEVE, { { BYTES("NO \"x\"\r\n") } }, "", STARTTLS_END_DENIED,
	    "the server refuses the session: NO \"x\"", 0 },
	{ "sieve: injection", STARTTLS_SIEVE,
	    { { BYTES("\"STARTTLS\"\r\nOK\r\n") }, { BYTES("OK\r\n\"SASL\" \"PLAIN\"\r\n") } }, "STARTTLS\\x0d\\x0a",
	    STARTTLS_END_INJECTION, "\"SASL\" \"PLAIN\"", 1 },
	/* LDAP: RFC 4511 4.14, 4.4.1 */
	{ "ldap", STARTTLS_LDAP,
	    { { BYTES("0\x24\x02\x01\x01x\x1f\x0a\x01\0\x04\0\x04\0\x8a\x16" "1.3.6.1.4.1.1466.20037") },
	    { BYTES("0\x0c\x02\x01\x02\x65\x07\x0a\x01\0\x04\0\x04\0") } },
	    LDAP_ASKED "[TLS]" LDAP_SEARCHED "[ready]", STARTTLS_END_NONE, "", 0 },
	{ "ldap: a long form of the length", STARTTLS_LDAP,
	    { { BYTES("0\x84\0\0\0\x0c\x02\x01\x01x\x07\x0a\x01\0\x04\0\x04\0") },
	    { BYTES("0\x84\0\0\0\x0c\x02\x01\x02\x65\x07\x0a\x01\x32\x04\0\x04\0") } },
	    LDAP_ASKED "[TLS]" LDAP_SEARCHED "[ready]", STARTTLS_END_NONE, "", 0 },
	{ "ldap: not known", STARTTLS_LDAP,
	    { { BYTES("0\x0f\x02\x01\x01x\x0a\x0a\x01\x02\x04\0\x04\x03" "no\x1b") } }, LDAP_ASKED LDAP_BYE,
	    STARTTLS_END_NOT_OFFERED, "StartTLS is not offered", 0 },
	{ "ldap: not now", STARTTLS_LDAP,
	    { { BYTES("0\x0f\x02\x01\x01x\x0a\x0a\x01\x34\x04\0\x04\x03" "no\x1b") } }, LDAP_ASKED LDAP_BYE,
	    STARTTLS_END_REFUSED, "result 52: no\\x1b", 0 },
	{ "ldap: a notice of disconnection", STARTTLS_LDAP,
	    { { BYTES("0\x24\x02\x01\0x\x1f\x0a\x01\x34\x04\0\x04\0\x8a\x16" "1.3.6.1.4.1.1466.20036") } },
	    LDAP_ASKED, STARTTLS_END_TEMP, "the server ends the session: ", 0 },
	{ "ldap: injection", STARTTLS_LDAP,
	    { { BYTES("0\x0c\x02\x01\x01x\x07\x0a\x01\0\x04\0\x04\0" "0\x0c\x02\x01\x02\x65") } }, LDAP_ASKED,
	    STARTTLS_END_INJECTION, "0\\x0c\\x02\\x01\\x02e", 1 },
	{ "ldap: an answer to another question", STARTTLS_LDAP,
	    { { BYTES("0\x0c\x02\x01\x05x\x07\x0a\x01\0\x04\0\x04\0") } }, LDAP_ASKED, STARTTLS_END_PROTOCOL,
	    "an LDAP message that nobody asked for", 0 },
	{ "ldap: a search entry in place of the answer", STARTTLS_LDAP,
	    { { BYTES("0\x09\x02\x01\x01" "d\x04\x04\0" "0\0") } }, LDAP_ASKED, STARTTLS_END_PROTOCOL,
	    "an LDAP message that nobody asked for", 0 },
	{ "ldap: no BER", STARTTLS_LDAP, { { BYTES("* OK ready\r\n") } }, LDAP_ASKED, STARTTLS_END_PROTOCOL,
	    "no answer of LDAP: * OK ready", 1 },
	{ "ldap: an indefinite length", STARTTLS_LDAP, { { BYTES("0\x80\x02\x01\x01\0\0") } }, LDAP_ASKED,
	    STARTTLS_END_PROTOCOL, "no answer of LDAP: 0\\x80\\x02\\x01\\x01\\x00\\x00", 1 },
	{ "ldap: a length of 4 GiB", STARTTLS_LDAP, { { BYTES("0\x84\xff\xff\xff\xff\x02\x01\x01") } }, LDAP_ASKED,
	    STARTTLS_END_PROTOCOL, "no answer of LDAP: 0\\x84\\xff\\xff\\xff\\xff\\x02\\x01\\x01", 1 },
	{ "ldap: a message without an operation", STARTTLS_LDAP, { { BYTES("0\x03\x02\x01\x01") } }, LDAP_ASKED,
	    STARTTLS_END_PROTOCOL, "no answer of LDAP: LDAPMessage: nothing behind messageID", 0 },
	{ "ldap: a result cut short", STARTTLS_LDAP, { { BYTES("0\x08\x02\x01\x01x\x03\x0a\x01\0") } }, LDAP_ASKED,
	    STARTTLS_END_PROTOCOL,
	    "no answer of LDAP: offset 10: expected matchedDN, found the end", 0 },
};

static void
check_row(const struct row *r, size_t piece)
{
	struct told t;

	play(&t, r->proto, r->steps, piece);
	unit_str(t.said.p != NULL ? t.said.p : "", r->said, "%s by %zu: what was said", r->what, piece);
	unit_int(t.s.end, r->end, "%s by %zu: end", r->what, piece);
	unit_str(t.s.fail.text, r->text, "%s by %zu: in words", r->what, piece);
	told_clear(&t);
}

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		check_row(&rows[i], 100000);
		if (!rows[i].whole)
			check_row(&rows[i], 1);
	}
}

/* No server can make the machine hold or read on without end. */
static void
test_endless(void)
{
	static const struct {
		enum starttls_proto proto;
		const char *first, *again;
	} endless[] = {
		{ STARTTLS_IMAP, "* OK\r\n", "* 1 EXISTS\r\n" },
		{ STARTTLS_IMAP, "* OK ", "x" },
		{ STARTTLS_POP3, "+OK\r\n+OK\r\n", "TOP\r\n" },
		{ STARTTLS_SIEVE, "\"X\" ", "{1}\r\n \r\n" },
		{ STARTTLS_SIEVE, "\"SIEVE\" \"x\"\r\n", "\"X\" \"y\"\r\n" },
	};
	size_t i, fed;

	for (i = 0; i < sizeof endless / sizeof endless[0]; i++) {
		struct starttls s;

		starttls_init(&s, endless[i].proto);
		starttls_begin(&s);
		starttls_feed(&s, endless[i].first, strlen(endless[i].first));
		for (fed = 0; fed < 200000 && s.want == STARTTLS_WANT_INPUT; fed += strlen(endless[i].again))
			starttls_feed(&s, endless[i].again, strlen(endless[i].again));
		unit_int(s.end, STARTTLS_END_PROTOCOL, "endless %zu: ends", i);
		unit_ok(s.in.len <= 2 * STARTTLS_OCTETS_MAX, "endless %zu: holds %zu", i, s.in.len);
		starttls_clear(&s);
	}
}

static void
test_words(void)
{
	static const struct {
		const char *word;
		uint16_t port;
	} words[] = { { "smtp", 25 }, { "lmtp", 24 }, { "imap", 143 }, { "pop3", 110 }, { "ldap", 389 },
		{ "sieve", 4190 }, { "none", 443 } };
	struct fail f = FAIL_INIT;
	enum starttls_proto proto;
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		unit_int(starttls_parse(words[i].word, &proto, &f), 0, "%s", words[i].word);
		unit_str(starttls_name(proto), words[i].word, "%s: its name", words[i].word);
		unit_int(starttls_port(proto), words[i].port, "%s: its port", words[i].word);
	}
	unit_int(starttls_parse("ftp\n", &proto, &f), -1, "ftp");
	unit_str(f.text, "starttls: expected smtp, lmtp, imap, pop3, ldap, sieve or none, not \"ftp\\x0a\"", "ftp");
}

static void
test_lost(void)
{
	struct fail why = FAIL_INIT;
	struct starttls s;

	fail(&why, FAIL_TEMP, "timed out");
	starttls_init(&s, STARTTLS_IMAP);
	unit_int(starttls_lost(&s, &why), STARTTLS_WANT_CLOSE, "lost: close");
	unit_int(s.end, STARTTLS_END_LOST, "lost: end");
	unit_str(s.fail.text, "timed out", "lost: in words");
	unit_int(starttls_feed(&s, "* OK\r\n", 6), STARTTLS_WANT_CLOSE, "lost: what comes later is ignored");
	starttls_clear(&s);
}

int
main(void)
{
	test_rows();
	test_endless();
	test_words();
	test_lost();
	return unit_done();
}
