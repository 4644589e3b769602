/*
 * alloc - heap memory that is there or the program ends.
 *
 * Nothing here returns NULL: out of memory prints one line and exits with status 2, which is the
 * only way that library code ends a program.  Every result is the caller's and goes to free(3).
 */
#ifndef MTATLS_ALLOC_H
#define MTATLS_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t);
void *xcalloc(size_t, size_t);
void *xreallocarray(void *, size_t, size_t);
char *xstrdup(const char *);
char *xstrndup(const char *, size_t);
void *xmemdup(const void *, size_t);
char *xasprintf(const char *, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *, va_list) __attribute__((format(printf, 1, 0)));

/* For library calls that can only fail for lack of memory: ends the program as above. */
void alloc_failed(void) __attribute__((noreturn));

#endif
