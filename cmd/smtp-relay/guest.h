/*
 * guest - who a client is and what it may do: address, confirmed name, its line of the host table, its limits, and
 * its place in the counts that all workers share.  session.c asks at each step; the answer is a refusal or none.
 *
 *	guest_enter() -> [guest_wants_name() -> guest_named()] -> guest_at_door() -> guest_mail(), guest_rcpt() ...
 *	-> guest_leave()
 */
#ifndef RELAY_GUEST_H
#define RELAY_GUEST_H

#include <netinet/in.h>
#include <stdint.h>

#include "clients.h"
#include "conf.h"
#include "limit.h"
#include "mailbox.h"
#include "names.h"
#include "recipients.h"

/* What all guests of a listener have in common; outlives them. */
struct guest_house {
	const struct conf *conf;
	const struct conf_listen *listen;
	struct clients *clients;
	const struct recipients *recipients;	/* NULL: not looked at */
	size_t worker;
};

struct guest {
	const struct guest_house *house;
	int family;
	uint8_t addr[16];
	char client[INET6_ADDRSTRLEN];	/* the address in words */
	int asked;			/* for the name; state is what came */
	enum names_state state;
	char *name;			/* confirmed; NULL: none */
	const struct conf_hosts *rule;	/* NULL: no line fits */
	struct limits limits;
	struct clients_place place;
};

/* Codes below 400 do not occur; code 0: none. */
struct guest_refusal {
	int code;
	const char *status, *text;	/* static, or the configuration's */
};

/* Counts it as present, and decides by the address alone.  family is AF_INET, AF_INET6, or AF_UNIX
 * with the user in place of an address. */
void guest_enter(struct guest *, const struct guest_house *, int family, const void *addr);
void guest_leave(struct guest *);

/* Is its name to be asked for, for the table, the log or Received? */
int guest_wants_name(const struct guest *);

/* What came of that; NULL where it is not confirmed.  Decides anew. */
void guest_named(struct guest *, enum names_state, const char *name);

int guest_is_tcprefused(const struct guest *);

/* At the banner, at MAIL, at RCPT: 1 refused, 0 welcome.  Each is asked once: it is counted. */
int guest_at_door(struct guest *, int64_t now_us, struct guest_refusal *);
int guest_mail(struct guest *, int64_t now_us, struct guest_refusal *);
int guest_rcpt(struct guest *, const struct mailbox *, int authenticated, int64_t now_us,
    struct guest_refusal *);

#endif
