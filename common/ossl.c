#include "ossl.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#endif
#ifdef SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

static int wiping = 1;

/* OpenSSL's own decoding of an EC key leaves the number in a block that it frees unwiped. */
static void
wipe_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL && wiping)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
plain_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n > 0 ? malloc(n) : NULL;
}

/* realloc(3) may leave the old octets where they were. */
static void *
wipe_realloc(void *p, size_t n, const char *file, int line)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *q;

	if (!wiping && n > 0)
		return realloc(p, n);
	if (n > 0 && n <= old)
		return p;
	q = plain_malloc(n, file, line);
	if (q == NULL && n > 0)
		return NULL;
	if (q != NULL && old > 0)
		memcpy(q, p, old);
	wipe_free(p, file, line);
	return q;
}

#ifdef SANITIZED
/*
 * The leak sanitizer does not look into mappings that are not malloc's, and what only the secure heap points to, as
 * the ciphers of OpenSSL's random generators, would count as leaked.
 */
static void
show_heap_to_sanitizer(void)
{
	void *p = OPENSSL_secure_malloc(1);
	FILE *fp = fopen("/proc/self/maps", "re");
	uintptr_t begin, end;
	char line[512];

	while (fp != NULL && fgets(line, sizeof line, fp) != NULL)
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2 && begin <= (uintptr_t)p && (uintptr_t)p < end)
			__lsan_register_root_region((void *)begin, end - begin);
	if (fp != NULL)
		fclose(fp);
	OPENSSL_secure_free(p);
}
#endif

void
ossl_init(void)
{
	/* Refused, with no harm, where OpenSSL has allocated before. */
	(void)CRYPTO_set_mem_functions(plain_malloc, wipe_realloc, wipe_free);
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
		alloc_failed();
	/* 2: not locked, or no guard pages; 0: no address space, or done before.  Keys then work too. */
	(void)CRYPTO_secure_malloc_init(OSSL_SECURE_HEAP, OSSL_SECURE_MIN);
#ifdef SANITIZED
	show_heap_to_sanitizer();
#endif
}

void
ossl_init_keyless(void)
{
	const char *conf = getenv("OPENSSL_CONF");
	int named = conf != NULL && *conf != '\0';

	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    (named ? OPENSSL_INIT_LOAD_CONFIG : OPENSSL_INIT_NO_LOAD_CONFIG), NULL) != 1)
		alloc_failed();
}

void
ossl_wipe_end(void)
{
	wiping = 0;
}

void
ossl_wipe_again(void)
{
	wiping = 1;
}

void
ossl_clear(void)
{
	ERR_clear_error();
}

/* The oldest error is the cause; those behind it say who passed it on. */
int
fail_ossl(struct fail *f, enum fail_kind kind, const char *fmt, ...)
{
	const char *data = NULL, *reason;
	char what[FAIL_TEXT_MAX], number[32];
	unsigned long code;
	int flags = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	code = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
	if (code == 0)
		return fail(f, kind, "%s", what);
	if ((reason = ERR_reason_error_string(code)) == NULL) {
		snprintf(number, sizeof number, "OpenSSL error %lx", code);
		reason = number;
	}
	if (data != NULL && *data != '\0' && (flags & ERR_TXT_STRING))
		fail(f, kind, "%s: %s (%s)", what, reason, data);
	else
		fail(f, kind, "%s: %s", what, reason);
	ERR_clear_error();
	return -1;
}
