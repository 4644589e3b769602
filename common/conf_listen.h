/*
 * conf_listen - what a listen line of smtp-relay.conf says of TLS, of balancers, of the socket and of addresses.
 * Between conf.c and conf_listen.c: others include conf.h.
 */
#ifndef MTATLS_CONF_LISTEN_H
#define MTATLS_CONF_LISTEN_H

#include "conf.h"
#include "fail.h"
#include "text.h"

/* The defaults. */
void conf_listen_init(struct conf_listen *, const char *name);
void conf_listen_clear(struct conf_listen *);

/* The second word of the line: ADDR@PORT, or a path. */
int conf_listen_at(struct conf_listen *, const char *word, struct fail *);

/* 0 where it is none of this file's options. */
int conf_listen_is_option(const char *key);
int conf_listen_option(struct conf_listen *, const char *key, const char *value, struct fail *);

/* Once all options are read: whether they fit each other.  tls_given: the line says tls. */
int conf_listen_settle(struct conf_listen *, int tls_given, struct fail *);

/* Words of -n behind the listener's level of TLS, each with ", " before; and its further lines. */
void conf_listen_print_words(struct buf *, const struct conf_listen *);
void conf_listen_print_lines(struct buf *, const struct conf_listen *);

/* A line of the domain-map. */
int conf_listen_map(struct conf_listen *, const char *from, const char *to, struct fail *);

#endif
