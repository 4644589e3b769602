/*
 * Parameters of MAIL and RCPT: what was taken is within its limits, was offered, and xtext that was kept holds no line
 * end when it is undone.  The first octet says what is offered.
 */
#include "smtp_params.h"

#include "alloc.h"
#include "fuzz.h"
#include "smtp.h"

static void
check_fault(const struct smtp_params_fault *t)
{
	MUST(t->code >= 500 && t->code < 600 && t->status != NULL && t->text != NULL && *t->text != '\0');
}

static void
check_plain(char *plain)
{
	const char *p;

	for (p = plain; *p != '\0'; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
	free(plain);
}

static void
check_mail(const char *text, unsigned offered)
{
	struct smtp_mail_params m;
	struct smtp_params_fault fault = { 0 };

	memset(&m, 0, sizeof m);
	if (smtp_mail_params_parse(&m, text, offered, &fault) == -1) {
		check_fault(&fault);
		return;
	}
	MUST(!m.requiretls || offered & SMTP_CAP_REQUIRETLS);
	MUST(!m.utf8 || offered & SMTP_CAP_SMTPUTF8);
	MUST((m.ret == SMTP_RET_NONE && m.envid[0] == '\0') || offered & SMTP_CAP_DSN);
	MUST((m.ret == SMTP_RET_NONE) == (smtp_ret_text(m.ret) == NULL));
	check_plain(smtp_xtext_decode(m.envid));
}

static void
check_rcpt(const char *text, unsigned offered, int utf8)
{
	struct smtp_rcpt_params r;
	struct smtp_params_fault fault = { 0 };
	char notify[SMTP_NOTIFY_TEXT_MAX];

	memset(&r, 0, sizeof r);
	if (smtp_rcpt_params_parse(&r, text, offered, utf8, &fault) == -1) {
		check_fault(&fault);
		return;
	}
	MUST((r.notify == 0 && r.orcpt[0] == '\0') || offered & SMTP_CAP_DSN);
	/* RFC 3461 4.1: NEVER stands alone. */
	MUST(!(r.notify & SMTP_NOTIFY_NEVER) || r.notify == SMTP_NOTIFY_NEVER);
	if (r.notify != 0)
		MUST(strlen(smtp_notify_text(notify, r.notify)) > 0);
	if (r.orcpt[0] == '\0')
		return;
	MUST(strchr(r.orcpt, ';') != NULL);
	check_plain(smtp_orcpt_decode(r.orcpt));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned offered = 0;
	char *text;

	if (n == 0)
		return 0;
	if (data[0] & 1)
		offered |= SMTP_CAP_DSN;
	if (data[0] & 2)
		offered |= SMTP_CAP_SMTPUTF8 | SMTP_CAP_8BITMIME;
	if (data[0] & 4)
		offered |= SMTP_CAP_REQUIRETLS | SMTP_CAP_SIZE;
	if (data[0] & 8)
		offered |= SMTP_CAP_AUTH;
	text = xstrndup((const char *)data + 1, n - 1);
	check_mail(text, offered);
	check_rcpt(text, offered, (data[0] & 16) != 0);
	free(text);
	return 0;
}
