/*
 * json - one object a line, for -j/--json.
 *
 * Built on jansson; keys come out in the order in which they were set.  Strings from peers go
 * through json_bytes(), which keeps UTF-8 and writes any other octet as \xHH text, so that a line
 * is always valid JSON.  Setters end the program for lack of memory, as alloc does.
 */
#ifndef MTATLS_JSON_H
#define MTATLS_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

struct fail;

json_t *json_bytes(const char *, size_t);			/* new reference */
void json_set_str(json_t *, const char *key, const char *);	/* NULL: sets null */
void json_set_int(json_t *, const char *key, int64_t);
void json_set_bool(json_t *, const char *key, int);
void json_set_time(json_t *, const char *key, int64_t);		/* 2026-11-21T10:00:00Z */
void json_set(json_t *, const char *key, json_t *);		/* takes the reference */
void json_push(json_t *array, json_t *);			/* takes the reference */

/* Writes the object and a line end.  FAIL_SYS. */
int json_line(FILE *, const json_t *, struct fail *);

#endif
