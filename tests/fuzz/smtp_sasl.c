/*
 * AUTH: lines of a client, the first with the mechanism and perhaps an initial response behind a blank.  Who is done has
 * a user and a password within their limits, and nothing stays of them behind the end.
 */
#include "smtp_sasl.h"

#include "alloc.h"
#include "fuzz.h"

static int
look(const struct smtp_sasl *s, enum smtp_sasl_got got)
{
	if (got == SMTP_SASL_CHALLENGE) {
		MUST(s->challenge != NULL);
		return 1;
	}
	if (got == SMTP_SASL_DONE) {
		MUST(s->user[0] != '\0' && s->password[0] != '\0');
		MUST(strnlen(s->user, sizeof s->user) <= SMTP_SASL_USER_MAX);
		MUST(strnlen(s->password, sizeof s->password) <= SMTP_SASL_PASSWORD_MAX);
	}
	return 0;
}

static int
is_zero(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == '\0')
		n--;
	return n == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = xstrndup((const char *)data, n), *at = text, *line, *initial;
	struct smtp_sasl s;
	unsigned lines = 0;
	int more;

	memset(&s, 0, sizeof s);
	line = strsep(&at, "\n");
	if ((initial = strchr(line, ' ')) != NULL)
		*initial++ = '\0';
	more = look(&s, smtp_sasl_start(&s, line, initial));
	while (more && (line = strsep(&at, "\n")) != NULL) {
		more = look(&s, smtp_sasl_line(&s, line));
		MUST(++lines <= 2);
	}
	smtp_sasl_clear(&s);
	MUST(is_zero(s.user, sizeof s.user) && is_zero(s.password, sizeof s.password));
	free(text);
	return 0;
}
