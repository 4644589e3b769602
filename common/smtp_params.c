/*
 * Words are taken one by one against a table of names; each function of it takes one value.
 */
#include "smtp_params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "smtp.h"
#include "text.h"

/* Where a parameter goes: one of the two. */
struct target {
	struct smtp_mail_params *mail;
	struct smtp_rcpt_params *rcpt;
	int utf8;			/* the transaction's SMTPUTF8 */
	struct smtp_params_fault *fault;
};

typedef int parameter_fn(struct target *, const char *value);

struct parameter {
	const char *name;
	unsigned cap;		/* SMTP_CAP_* it belongs to; 0: always known */
	parameter_fn *take;
};

static int
refuse(struct target *t, int code, const char *status, const char *text)
{
	t->fault->code = code;
	t->fault->status = status;
	t->fault->text = text;
	return -1;
}

static int
bad_value(struct target *t, const char *text)
{
	return refuse(t, 501, "5.5.4", text);
}

/* RFC 1870 3: up to 20 digits. */
static int
take_size(struct target *t, const char *value)
{
	if (value == NULL || value[0] == '\0' || strspn(value, "0123456789") != strlen(value) ||
	    strlen(value) > 20)
		return bad_value(t, "Expected SIZE=number");
	t->mail->size = strtoull(value, NULL, 10); /* UINT64_MAX where it is more */
	return 0;
}

static int
take_body_type(struct target *t, const char *value)
{
	if (value != NULL && text_case_eq(value, "8BITMIME"))
		t->mail->body8bit = 1;
	else if (value == NULL || !text_case_eq(value, "7BIT"))
		return bad_value(t, "Expected BODY=7BIT or BODY=8BITMIME");
	return 0;
}

static int
take_smtputf8(struct target *t, const char *value)
{
	t->mail->utf8 = 1;
	return value == NULL ? 0 : bad_value(t, "SMTPUTF8 has no value");
}

static int
take_requiretls(struct target *t, const char *value)
{
	t->mail->requiretls = 1;
	return value == NULL ? 0 : bad_value(t, "REQUIRETLS has no value");
}

static int
take_ret(struct target *t, const char *value)
{
	if (value != NULL && text_case_eq(value, "FULL"))
		t->mail->ret = SMTP_RET_FULL;
	else if (value != NULL && text_case_eq(value, "HDRS"))
		t->mail->ret = SMTP_RET_HDRS;
	else
		return bad_value(t, "Expected RET=FULL or RET=HDRS");
	return 0;
}

static int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * RFC 3461 4: xchar, or + and two upper-case digits; what these stand for is held to printable ASCII.
 * Some clients send = unencoded, and it harms nobody.
 */
static int
is_xtext(const char *s)
{
	int high, low, c;

	for (; *s != '\0'; s++) {
		if (*s < 0x21 || *s > 0x7e)
			return 0;
		if (*s != '+')
			continue;
		if ((high = hex_digit(s[1])) == -1 || (low = hex_digit(s[2])) == -1)
			return 0;
		c = high << 4 | low;
		if (c < 0x20 || c > 0x7e)
			return 0;
		s += 2;
	}
	return 1;
}

static int
take_envid(struct target *t, const char *value)
{
	if (value == NULL || value[0] == '\0' || strlen(value) > SMTP_ENVID_MAX || !is_xtext(value))
		return bad_value(t, "Expected ENVID= and up to 100 characters of xtext");
	snprintf(t->mail->envid, sizeof t->mail->envid, "%s", value);
	return 0;
}

/* Who the client says wrote it: checked, and not believed (RFC 4954 5). */
static int
take_auth(struct target *t, const char *value)
{
	if (value == NULL || (strcmp(value, "<>") != 0 && (value[0] == '\0' || !is_xtext(value))))
		return bad_value(t, "Expected AUTH=<> or xtext");
	return 0;
}

static int
notify_bit(const char *word)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = { { "NEVER", SMTP_NOTIFY_NEVER }, { "SUCCESS", SMTP_NOTIFY_SUCCESS },
		{ "FAILURE", SMTP_NOTIFY_FAILURE }, { "DELAY", SMTP_NOTIFY_DELAY } };
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		if (text_case_eq(word, words[i].word))
			return words[i].bit;
	return -1;
}

/* RFC 3461 4.1: NEVER stands alone. */
static int
take_notify(struct target *t, const char *value)
{
	char *copy = xstrdup(value != NULL ? value : ""), *rest = copy, *word;
	unsigned all = 0;
	int bit = -1;

	while ((word = strsep(&rest, ",")) != NULL && (bit = notify_bit(word)) != -1)
		all |= bit;
	free(copy);
	if (bit == -1 || ((all & SMTP_NOTIFY_NEVER) && all != SMTP_NOTIFY_NEVER))
		return bad_value(t, "Expected NOTIFY=NEVER, or of SUCCESS, FAILURE and DELAY with commas");
	t->rcpt->notify = all;
	return 0;
}

/* RFC 6533 3: \x{HEXPOINT} and UTF-8 itself, the latter where the transaction is of SMTPUTF8. */
static int
is_utf8_xtext(const char *s, int utf8)
{
	for (; *s != '\0'; s++)
		if (*s == ' ' || *s == 0x7f || (*s >= 0 && *s < 0x20) || (*s < 0 && !utf8))
			return 0;
	return 1;
}

/* "addr-type;address". */
static int
take_orcpt(struct target *t, const char *value)
{
	static const char atom[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *address = value != NULL ? strchr(value, ';') : NULL;
	int sound = address != NULL && address > value && address[1] != '\0' &&
	    strlen(value) <= SMTP_ORCPT_MAX && strspn(value, atom) == (size_t)(address - value);

	if (sound && strncasecmp(value, "utf-8;", 6) == 0)
		sound = is_utf8_xtext(address + 1, t->utf8) && text_utf8_chars(address + 1) != -1;
	else if (sound)
		sound = is_xtext(address + 1);
	if (!sound)
		return bad_value(t, "Expected ORCPT=type;address in xtext");
	snprintf(t->rcpt->orcpt, sizeof t->rcpt->orcpt, "%s", value);
	return 0;
}

static const struct parameter mail_parameters[] = {
	{ "SIZE", 0, take_size },
	{ "BODY", 0, take_body_type },
	{ "SMTPUTF8", SMTP_CAP_SMTPUTF8, take_smtputf8 },
	{ "REQUIRETLS", SMTP_CAP_REQUIRETLS, take_requiretls },
	{ "RET", SMTP_CAP_DSN, take_ret },
	{ "ENVID", SMTP_CAP_DSN, take_envid },
	{ "AUTH", SMTP_CAP_AUTH, take_auth },
	{ NULL, 0, NULL }
};

static const struct parameter rcpt_parameters[] = {
	{ "NOTIFY", SMTP_CAP_DSN, take_notify },
	{ "ORCPT", SMTP_CAP_DSN, take_orcpt },
	{ NULL, 0, NULL }
};

/* One word "NAME" or "NAME=value"; seen has a bit for each that came already. */
static int
take_word(struct target *t, const struct parameter *table, unsigned offered, char *word, unsigned *seen)
{
	char *value = strchr(word, '=');
	unsigned i;

	if (value != NULL)
		*value++ = '\0';
	for (i = 0; table[i].name != NULL; i++) {
		if (!text_case_eq(word, table[i].name) || (table[i].cap & ~offered))
			continue;
		if (*seen & 1u << i)
			return bad_value(t, "A parameter was given twice");
		*seen |= 1u << i;
		return table[i].take(t, value);
	}
	return refuse(t, 555, "5.5.4", "Parameter not recognized");
}

static int
take_all(struct target *t, const struct parameter *table, const char *text, unsigned offered)
{
	char *copy = xstrdup(text), *rest = copy, *word;
	unsigned seen = 0;
	int rc = 0;

	if (text[0] != '\0' && text[0] != ' ' && text[0] != '\t')
		rc = bad_value(t, "Expected a space behind the address");
	while (rc == 0 && (word = strtok_r(NULL, " \t", &rest)) != NULL)
		rc = take_word(t, table, offered, word, &seen);
	free(copy);
	return rc;
}

int
smtp_mail_params_parse(struct smtp_mail_params *m, const char *text, unsigned offered,
    struct smtp_params_fault *fault)
{
	struct target t = { .mail = m, .fault = fault };

	memset(m, 0, sizeof *m);
	return take_all(&t, mail_parameters, text, offered);
}

int
smtp_rcpt_params_parse(struct smtp_rcpt_params *r, const char *text, unsigned offered, int utf8,
    struct smtp_params_fault *fault)
{
	struct target t = { .rcpt = r, .utf8 = utf8, .fault = fault };

	memset(r, 0, sizeof *r);
	return take_all(&t, rcpt_parameters, text, offered);
}

/* A character of UTF-8 that was checked; its octets. */
static int
take_char(const char *s, unsigned long *c)
{
	const unsigned char *u = (const unsigned char *)s;
	int n = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4, i;

	*c = n == 1 ? u[0] : u[0] & (0xffU >> (n + 1));
	for (i = 1; i < n; i++)
		*c = *c << 6 | (u[i] & 0x3f);
	return n;
}

const char *
smtp_orcpt(char *dst, const char *address)
{
	int utf8 = !text_is_ascii(address), n;
	struct buf b = BUF_INIT;
	unsigned long c;

	dst[0] = '\0';
	if (text_utf8_chars(address) == -1)
		return dst;
	buf_puts(&b, utf8 ? "utf-8;" : "rfc822;");
	for (; *address != '\0'; address += n) {
		n = take_char(address, &c);
		if (c > 0x20 && c < 0x7f && c != '+' && c != '=' && !(utf8 && c == '\\'))
			buf_putc(&b, (char)c);
		else
			buf_printf(&b, utf8 ? "\\x{%02lX}" : "+%02lX", c);
	}
	if (b.len <= SMTP_ORCPT_MAX)
		memcpy(dst, b.p, b.len + 1);
	buf_clear(&b);
	return dst;
}

char *
smtp_xtext_decode(const char *s)
{
	struct buf b = BUF_INIT;
	int high, low;

	for (; *s != '\0'; s++) {
		if (*s == '+' && (high = hex_digit(s[1])) != -1 && (low = hex_digit(s[2])) != -1) {
			buf_putc(&b, (char)(high << 4 | low));
			s += 2;
		} else
			buf_putc(&b, *s);
	}
	return buf_steal(&b);
}

char *
smtp_orcpt_decode(const char *orcpt)
{
	return strncasecmp(orcpt, "utf-8;", 6) == 0 ? xstrdup(orcpt) : smtp_xtext_decode(orcpt);
}

const char *
smtp_notify_text(char *dst, unsigned notify)
{
	snprintf(dst, SMTP_NOTIFY_TEXT_MAX, "%s%s%s%s", notify & SMTP_NOTIFY_NEVER ? ",NEVER" : "",
	    notify & SMTP_NOTIFY_SUCCESS ? ",SUCCESS" : "", notify & SMTP_NOTIFY_FAILURE ? ",FAILURE" : "",
	    notify & SMTP_NOTIFY_DELAY ? ",DELAY" : "");
	return dst[0] == ',' ? dst + 1 : dst;
}

const char *
smtp_ret_text(enum smtp_ret ret)
{
	static const char *const words[] = { [SMTP_RET_NONE] = NULL, [SMTP_RET_FULL] = "FULL",
		[SMTP_RET_HDRS] = "HDRS" };

	return words[ret];
}
