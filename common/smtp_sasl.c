#include "smtp_sasl.h"

#include <stdint.h>
#include <string.h>

#include "text.h"

/* Decoded octets of a line: [authzid] NUL user NUL password. */
#define DECODED_MAX (SMTP_SASL_USER_MAX * 2 + SMTP_SASL_PASSWORD_MAX + 2)

/* The octets of a line into dst with a NUL behind; -1: no base64, or too many. */
static int
decode(const char *line, char *dst, size_t size)
{
	long n = 0;

	if (strcmp(line, "=") != 0)
		n = text_unbase64(line, (uint8_t *)dst, size - 1);
	if (n == -1)
		return -1;
	dst[n] = '\0';
	return (int)n;
}

/* Text that is no empty string and fits; NUL has no place in it. */
static int
keep(char *dst, size_t size, const char *text, size_t len)
{
	if (len == 0 || len >= size || memchr(text, '\0', len) != NULL)
		return -1;
	memcpy(dst, text, len);
	dst[len] = '\0';
	return 0;
}

static int
take_plain(struct smtp_sasl *s, const char *text, size_t n)
{
	const char *end = text + n, *user = memchr(text, '\0', n), *password;

	if (user == NULL || (password = memchr(user + 1, '\0', end - user - 1)) == NULL)
		return -1;
	user++;
	password++;
	if (keep(s->user, sizeof s->user, user, password - 1 - user) == -1 ||
	    keep(s->password, sizeof s->password, password, end - password) == -1)
		return -1;
	/* Nobody acts for another here. */
	return text[0] == '\0' || strcmp(text, s->user) == 0 ? 0 : -1;
}

static enum smtp_sasl_got
ask(struct smtp_sasl *s, enum smtp_sasl_step step)
{
	static const char *const challenge[] = { [SMTP_SASL_AT_PLAIN] = "",
		[SMTP_SASL_AT_USER] = "VXNlcm5hbWU6", [SMTP_SASL_AT_PASSWORD] = "UGFzc3dvcmQ6" };

	s->step = step;
	s->challenge = challenge[step];
	return SMTP_SASL_CHALLENGE;
}

static enum smtp_sasl_got
take(struct smtp_sasl *s, const char *text, size_t n)
{
	switch (s->step) {
	case SMTP_SASL_AT_PLAIN:
		return take_plain(s, text, n) == 0 ? SMTP_SASL_DONE : SMTP_SASL_BAD;
	case SMTP_SASL_AT_USER:
		if (keep(s->user, sizeof s->user, text, n) == -1)
			return SMTP_SASL_BAD;
		return ask(s, SMTP_SASL_AT_PASSWORD);
	case SMTP_SASL_AT_PASSWORD:
		break;
	}
	return keep(s->password, sizeof s->password, text, n) == 0 ? SMTP_SASL_DONE : SMTP_SASL_BAD;
}

enum smtp_sasl_got
smtp_sasl_line(struct smtp_sasl *s, const char *line)
{
	char text[DECODED_MAX + 4];
	enum smtp_sasl_got got = SMTP_SASL_BAD;
	int n;

	if (strcmp(line, "*") == 0)
		got = SMTP_SASL_CANCELLED;
	else if ((n = decode(line, text, sizeof text)) != -1)
		got = take(s, text, n);
	explicit_bzero(text, sizeof text);
	return got;
}

enum smtp_sasl_got
smtp_sasl_start(struct smtp_sasl *s, const char *mechanism, const char *initial)
{
	smtp_sasl_clear(s);
	if (text_case_eq(mechanism, "PLAIN"))
		ask(s, SMTP_SASL_AT_PLAIN);
	else if (text_case_eq(mechanism, "LOGIN"))
		ask(s, SMTP_SASL_AT_USER);
	else
		return SMTP_SASL_UNKNOWN;
	return initial != NULL ? smtp_sasl_line(s, initial) : SMTP_SASL_CHALLENGE;
}

void
smtp_sasl_clear(struct smtp_sasl *s)
{
	explicit_bzero(s, sizeof *s);
}
