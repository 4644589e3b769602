#include "text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "fail.h"

/* Grows by a copy and wipes the old block: buffers hold keys and passphrases too. */
static void
buf_room(struct buf *b, size_t n)
{
	size_t size = b->size > 0 ? b->size : 256;
	char *p;

	if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		alloc_failed();
	while (size < b->len + n + 1)
		size *= 2;
	if (size == b->size)
		return;
	p = xmalloc(size);
	if (b->p != NULL) {
		memcpy(p, b->p, b->len + 1);
		explicit_bzero(b->p, b->len);
	}
	free(b->p);
	b->p = p;
	b->size = size;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	buf_room(b, n);
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	size_t room;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	buf_room(b, 64);
	room = b->size - b->len;
	n = vsnprintf(b->p + b->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	if ((size_t)n >= room) {
		buf_room(b, n);
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	b->len += n;
}

static int
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

void
buf_escape(struct buf *b, const char *s, size_t n)
{
	size_t i, run;

	buf_add(b, "", 0);	/* terminated even where nothing follows */
	for (i = 0; i < n; i++) {
		for (run = i; run < n && is_plain((unsigned char)s[run]); run++)
			;
		buf_add(b, s + i, run - i);
		if ((i = run) == n)
			break;
		if (s[i] == '\\')
			buf_puts(b, "\\\\");
		else
			buf_printf(b, "\\x%02x", (unsigned char)s[i]);
	}
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n > b->len)
		abort();
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len + 1);
}

char *
buf_steal(struct buf *b)
{
	char *p;

	buf_room(b, 0);
	p = b->p;
	p[b->len] = '\0';
	*b = (struct buf)BUF_INIT;
	return p;
}

void
buf_clear(struct buf *b)
{
	free(b->p);
	*b = (struct buf)BUF_INIT;
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->size);
	buf_clear(b);
}

void
text_wipe(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

char *
text_escape(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	buf_escape(&b, s, n);
	return buf_steal(&b);
}

void
text_print(const char *s)
{
	char *escaped = text_escape(s, strlen(s));

	fputs(escaped, stdout);
	free(escaped);
}

void
text_hex(char *dst, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * n] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_unhex(const char *s, uint8_t **out, size_t *n, struct fail *f)
{
	uint8_t *p = xmalloc(strlen(s) / 2 + 1);
	size_t digits = 0, i;
	int d;

	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r')
			continue;
		if ((d = hex_digit(s[i])) == -1) {
			free(p);
			return fail(f, FAIL_INPUT, "offset %zu: expected a hexadecimal digit", i);
		}
		if (digits % 2 == 0)
			p[digits / 2] = d << 4;
		else
			p[digits / 2] |= d;
		digits++;
	}
	if (digits % 2 != 0) {
		free(p);
		return fail(f, FAIL_INPUT, "offset %zu: odd number of hexadecimal digits", i);
	}
	*n = digits / 2;
	if (*n == 0) {
		free(p);
		p = NULL;
	}
	*out = p;
	return 0;
}

static int
lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

int
text_case_eq(const char *a, const char *b)
{
	while (*a != '\0' && lower((unsigned char)*a) == lower((unsigned char)*b))
		a++, b++;
	return lower((unsigned char)*a) == lower((unsigned char)*b);
}

void
text_lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = lower((unsigned char)*s);
}

/* The length of the UTF-8 sequence at s that is no control character; 0: there is none. */
static size_t
utf8_sequence(const unsigned char *s)
{
	static const unsigned long lowest[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	unsigned long c = s[0];
	size_t n, i;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	c &= 0xff >> (n + 1);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

int
text_is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s > 127)
			return 0;
	return 1;
}

int
text_utf8_chars(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	int chars = 0;
	size_t n;

	for (; *u != '\0'; u += n, chars++)
		if ((n = utf8_sequence(u)) == 0)
			return -1;
	return chars;
}

int
text_number(
    const char *s, long long lo, long long hi, const char *what, long long *out, struct fail *f)
{
	long long n;
	char *end;

	errno = 0;
	n = strtoll(s, &end, 10);
	if (!isdigit((unsigned char)s[s[0] == '-']) || *end != '\0')
		return fail(f, FAIL_INPUT, "%s: expected a number, not \"%.64s\"", what, s);
	if (errno == ERANGE || n < lo || n > hi)
		return fail(f, FAIL_INPUT, "%s: %.64s is not within %lld..%lld", what, s, lo, hi);
	*out = n;
	return 0;
}

int
text_size(const char *s, long long lo, long long hi, const char *what, long long *out, struct fail *f)
{
	static const char units[] = "KMG";
	size_t len = strlen(s);
	const char *unit = len > 1 ? strchr(units, s[len - 1]) : NULL;
	int bits = unit != NULL ? 10 * (int)(unit - units + 1) : 0, rc;
	char *digits = xstrndup(s, unit != NULL ? len - 1 : len);
	long long n;

	rc = text_number(digits, (lo + (1LL << bits) - 1) >> bits, hi >> bits, what, &n, NULL);
	if (rc == 0)
		*out = n << bits;
	free(digits);
	return rc == 0 ? 0 : fail(f, FAIL_INPUT,
	    "%s: expected %lld to %lld octets, such as 65536, 50M or 1G, not \"%.64s\"", what, lo, hi, s);
}

static const struct {
	char unit;
	long long seconds;
} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };

int
text_duration(const char *s, const char *what, long long *out, struct fail *f)
{
	size_t i, len = strlen(s);
	long long mul = 1, n = 0;
	char digits[24];

	for (i = 0; len > 0 && i < sizeof units / sizeof units[0]; i++)
		if (s[len - 1] == units[i].unit) {
			mul = units[i].seconds;
			len--;
			break;
		}
	if (len == 0 || len >= sizeof digits || strspn(s, "0123456789") != len)
		return fail(f, FAIL_INPUT,
		    "%s: expected a time such as 30s, 5m, 12h or 21d, not \"%.64s\"", what, s);
	memcpy(digits, s, len);
	digits[len] = '\0';
	if (text_number(digits, 0, LLONG_MAX / mul, what, &n, f) == -1)
		return -1;
	*out = n * mul;
	return 0;
}

const char *
text_period(char *dst, int64_t seconds)
{
	size_t i = 3;	/* days: nobody says weeks */

	while (i > 0 && (seconds == 0 || seconds % units[i].seconds != 0))
		i--;
	snprintf(dst, TEXT_PERIOD_MAX, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
	return dst;
}

const char *
text_time(char *dst, int64_t t)
{
	time_t tt = t;
	struct tm tm;

	if (gmtime_r(&tt, &tm) == NULL ||
	    strftime(dst, TEXT_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(dst, TEXT_TIME_MAX, "@%lld", (long long)t);
	return dst;
}

const char *
text_date(char *dst, int64_t t)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
		"Oct", "Nov", "Dec" };
	time_t tt = t >= 0 && t <= 253402300799 ? t : 0;	/* the last second of the year 9999 */
	struct tm tm = { 0 };

	gmtime_r(&tt, &tm);
	snprintf(dst, TEXT_DATE_MAX, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
	    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return dst;
}

/* Digits where the pattern has 9, and its other characters. */
static int
looks_like(const char *s, const char *pattern)
{
	for (; *pattern != '\0'; s++, pattern++)
		if (*pattern == '9' ? *s < '0' || *s > '9' : *s != *pattern)
			return 0;
	return *s == '\0';
}

int
text_timestamp(const char *s, const char *what, int64_t *out, struct fail *f)
{
	struct tm tm = { .tm_isdst = 0 };
	char again[TEXT_TIME_MAX];
	const char *end;
	int64_t t;

	if (!looks_like(s, "9999-99-99") && !looks_like(s, "9999-99-99T99:99:99Z"))
		return fail(f, FAIL_INPUT,
		    "%s: expected a date such as 2026-11-21 or 2026-11-21T10:00:00Z", what);
	end = strptime(s, s[10] == '\0' ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
	t = timegm(&tm);
	/* The 31st of June would have become the 1st of July. */
	if (end == NULL || *end != '\0' || strncmp(text_time(again, t), s, strlen(s)) != 0)
		return fail(f, FAIL_INPUT, "%s: %.40s: there is no such time", what, s);
	*out = t;
	return 0;
}

int
text_address(const char *s, uint8_t dst[16])
{
	if (inet_pton(AF_INET, s, dst) == 1)
		return 4;
	return inet_pton(AF_INET6, s, dst) == 1 ? 6 : 0;
}

int
text_is_address(const char *s)
{
	uint8_t octets[16];

	return text_address(s, octets) != 0;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
text_base64(struct buf *b, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t bits;
	size_t i, left;

	for (i = 0; i < n; i += 3) {
		left = n - i;
		bits = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
		buf_putc(b, base64_digits[bits >> 18]);
		buf_putc(b, base64_digits[bits >> 12 & 63]);
		buf_putc(b, left > 1 ? base64_digits[bits >> 6 & 63] : '=');
		buf_putc(b, left > 2 ? base64_digits[bits & 63] : '=');
	}
}

long
text_unbase64(const char *s, uint8_t *dst, size_t size)
{
	size_t len = strlen(s), used = strcspn(s, "="), i, n = 0;
	uint32_t bits = 0;
	const char *at;

	/* Groups of four; "=" or "==" stands for what the last one lacks. */
	if (len % 4 != 0 || len - used > 2 || strspn(s + used, "=") != len - used)
		return -1;
	for (i = 0; i < used; i++) {
		if ((at = strchr(base64_digits, s[i])) == NULL)
			return -1;
		bits = bits << 6 | (uint32_t)(at - base64_digits);
		if (i % 4 == 0)
			continue;
		if (n == size)
			return -1;
		dst[n++] = bits >> (6 - i % 4 * 2);
	}
	/* Bits behind the last octet are zero: one text for one content. */
	return used % 4 != 0 && (bits & ((1U << (6 - (used - 1) % 4 * 2)) - 1)) != 0 ? -1 : (long)n;
}

int
text_endpoint(const char *s, uint16_t defport, struct endpoint *e, struct fail *f)
{
	const char *at = strrchr(s, '@');
	size_t len = at != NULL ? (size_t)(at - s) : strlen(s);
	long long port = defport;

	if (at != NULL && text_number(at + 1, 1, 65535, "port", &port, f) == -1)
		return fail_prefix(f, "%.300s", s);
	if (at == NULL && defport == 0)
		return fail(f, FAIL_INPUT, "%.300s: expected ADDR@PORT", s);
	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof e->host)
		return fail(f, FAIL_INPUT, "%.300s: expected an address before the @", s);
	memcpy(e->host, s, len);
	e->host[len] = '\0';
	e->port = port;
	return 0;
}

int
text_word(const char *what, const char *word, const char *const *names, size_t n, struct fail *f)
{
	struct buf list = BUF_INIT;
	char *shown;
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return (int)i;
	for (i = 0; i < n; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", names[i]);
	shown = text_escape(word, strlen(word));
	fail(f, FAIL_INPUT, "%s: expected %s, not \"%.64s\"", what, list.p, shown);
	free(shown);
	buf_clear(&list);
	return -1;
}

int
text_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

uint64_t
text_hash(uint64_t seed, const char *s)
{
	uint64_t h = seed;

	for (; *s != '\0'; s++) {
		h = (h ^ (unsigned char)*s) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	return h;
}
