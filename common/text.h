/*
 * text - counted bytes, escapes, numbers, addresses with a port.
 *
 * Bytes that a peer chose are printed through text_escape*(): printable ASCII stays, a backslash
 * doubles, everything else becomes \xHH, so that a terminal or a log line never sees them raw.
 */
#ifndef MTATLS_TEXT_H
#define MTATLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct fail;

/* A growing byte buffer.  p is NULL or NUL-terminated at p[len]; owned by the struct. */
struct buf {
	char *p;
	size_t len;
	size_t size;
};

#define BUF_INIT { .p = NULL, .len = 0, .size = 0 }

void buf_add(struct buf *, const void *, size_t);
void buf_puts(struct buf *, const char *);
void buf_putc(struct buf *, char);
void buf_printf(struct buf *, const char *, ...) __attribute__((format(printf, 2, 3)));
void buf_escape(struct buf *, const char *, size_t);	/* appends the escaped form */
void buf_drop(struct buf *, size_t);			/* removes bytes from the front */
char *buf_steal(struct buf *); /* never NULL; the caller frees; buffer empty */
void buf_clear(struct buf *);				/* frees */
void buf_wipe(struct buf *);				/* overwrites, then frees: for secrets */
void text_wipe(char *);					/* likewise; NULL is nothing */

/* The escaped form on the heap; the caller frees. */
char *text_escape(const char *, size_t);
void text_print(const char *);				/* likewise, to standard output */

/* Lower-case hexadecimal; dst holds 2 * n + 1 bytes. */
void text_hex(char *dst, const uint8_t *, size_t n);

/*
 * Decodes hexadecimal of either case; white space between digits is allowed (RFC 6698 2.2).
 * Sets *out (caller frees; NULL where *n is 0).  FAIL_INPUT names the offending offset.
 */
int text_unhex(const char *, uint8_t **out, size_t *n, struct fail *);

/* ASCII only, whatever the locale. */
int text_case_eq(const char *, const char *);
void text_lower(char *);

/* No octet above 127. */
int text_is_ascii(const char *);

/* How many characters of UTF-8; -1: it is none, or there is a control character in it. */
int text_utf8_chars(const char *);

/* A decimal number within lo..hi; "what" names it in the error.  FAIL_INPUT. */
int text_number(
    const char *, long long lo, long long hi, const char *what, long long *, struct fail *);

/* A number of octets: K, M and G behind the number are 2 to the 10, 20 and 30.  lo is not negative.  FAIL_INPUT. */
int text_size(const char *, long long lo, long long hi, const char *what, long long *, struct fail *);

/* One of the names, by its place; -1: "WHAT: expected no or yes, not ...". */
int text_word(const char *what, const char *word, const char *const *names, size_t n, struct fail *);

int text_same(const char *, const char *);	/* equal, or both NULL */

/* For hash tables: a seed that nobody foresees (chance64()) keeps others from choosing what collides. */
uint64_t text_hash(uint64_t seed, const char *);

/* A time span: a number with s, m, h, d or w behind it (seconds where nothing is).  In seconds. */
int text_duration(const char *, const char *what, long long *, struct fail *);

/* Writes what text_duration() reads, in the largest unit of which it is a whole number: "4h", "90m". */
#define TEXT_PERIOD_MAX 24
const char *text_period(char *dst, int64_t seconds);

/* seconds since 1970 as 2026-11-21T10:00:00Z; dst holds TEXT_TIME_MAX bytes. */
#define TEXT_TIME_MAX 32
const char *text_time(char *dst, int64_t);

/*
 * Likewise as mail has it (RFC 5322 3.3), in English whatever the locale: "Sat, 21 Nov 2026 23:38:57 +0000".
 * A time before 1970 or behind the year 9999 is shown as 0.  dst holds TEXT_DATE_MAX bytes.
 */
#define TEXT_DATE_MAX 64
const char *text_date(char *dst, int64_t);

/* Reads what text_time() writes, or a date alone (2026-11-21: its first second, UTC). */
int text_timestamp(const char *, const char *what, int64_t *, struct fail *);

#define TEXT_HOST_MAX 256 /* a host name or address with its NUL (RFC 1035 2.3.4: 255 octets) */

struct endpoint {
	char host[TEXT_HOST_MAX];
	uint16_t port;
};

/*
 * ADDR@PORT, or ADDR alone with the default port (0: a port is required).  ADDR may stand in
 * brackets.  Whether host is a name or an address is not looked at.  FAIL_INPUT.
 */
int text_endpoint(const char *, uint16_t defport, struct endpoint *, struct fail *);

/* True where the text is an IPv4 or IPv6 address literal without brackets. */
int text_is_address(const char *);

/* The octets of such a literal, 4 or 16 of them, and 4 or 6; 0: it is none. */
int text_address(const char *, uint8_t dst[16]);

/* Decodes base64 (RFC 4648 4) into at most size octets: how many, or -1 where it is none or more of it. */
long text_unbase64(const char *, uint8_t *dst, size_t size);

/* Appends n octets as base64, in one line. */
void text_base64(struct buf *, const void *, size_t n);

#endif
