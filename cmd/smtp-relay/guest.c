#include "guest.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "clock.h"
#include "text.h"

static int
refuse(struct guest_refusal *r, int code, const char *status, const char *text)
{
	r->code = code;
	r->status = status;
	r->text = text;
	return 1;
}

/* Behind such an address is the mail of many: filters and programs of this machine, balancers without a header. */
static int
is_loopback(const struct guest *g)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	return (g->family == AF_INET && g->addr[0] == 127) ||
	    (g->family == AF_INET6 && memcmp(g->addr, loopback6, sizeof loopback6) == 0);
}

static void
decide(struct guest *g)
{
	const struct conf_listen *l = g->house->listen;

	g->rule = access_find(l->hosts, l->nhosts, g->family, g->addr, g->name);
	conf_limits(g->house->conf, l, g->rule, &g->limits);
	if (is_loopback(g) && !limits_has(&g->limits, LIMIT_CLIENT_CONCURRENCY))
		g->limits.value[LIMIT_CLIENT_CONCURRENCY] = 0;
}

void
guest_enter(struct guest *g, const struct guest_house *house, int family, const void *addr)
{
	memset(g, 0, sizeof *g);
	g->house = house;
	g->family = family;
	memcpy(g->addr, addr, family == AF_INET ? 4 : 16);
	if (inet_ntop(family, addr, g->client, sizeof g->client) == NULL)
		memcpy(g->client, "local", sizeof "local");
	decide(g);
	clients_enter(house->clients, house->worker, house->listen->name, family, addr, clock_passed_us(), &g->place);
}

void
guest_leave(struct guest *g)
{
	clients_leave(g->house->clients, g->house->worker, &g->place);
	free(g->name);
	g->name = NULL;
}

int
guest_wants_name(const struct guest *g)
{
	const struct conf_listen *l = g->house->listen;

	return g->family != AF_UNIX && (l->client_names || access_wants_name(l->hosts, l->nhosts, g->rule));
}

void
guest_named(struct guest *g, enum names_state state, const char *name)
{
	g->asked = 1;
	g->state = state;
	free(g->name);
	g->name = name != NULL ? xstrdup(name) : NULL;
	if (g->name != NULL)
		text_lower(g->name);
	decide(g);
}

int
guest_is_tcprefused(const struct guest *g)
{
	return g->rule != NULL && g->rule->action == CONF_TCPREFUSE;
}

/*
 * A client that cannot be told from one that may: its name could not be found out, and a line gives more to
 * some name.  It is to come again.
 */
static int
may_be_better(const struct guest *g, enum conf_action than)
{
	const struct conf_listen *l = g->house->listen;
	size_t i;

	if (!g->asked || g->state != NAMES_FAILED || !access_wants_name(l->hosts, l->nhosts, g->rule))
		return 0;
	for (i = 0; i < l->nhosts; i++)
		if (l->hosts[i].name != NULL && (l->hosts[i].action == CONF_RELAY ||
		    (than == CONF_REJECT && l->hosts[i].action == CONF_ACCEPT)))
			return 1;
	return 0;
}

/* Who may write to a private socket was settled by its mode. */
static int
is_local(const struct guest *g)
{
	return g->family == AF_UNIX && g->house->listen->type == CONF_PRIVATE;
}

/* A private listener serves the hosts that its table names, and no other. */
static int
is_rejected(const struct guest *g)
{
	if (g->rule != NULL)
		return g->rule->action == CONF_REJECT;
	/* Those who have to say who they are are not asked where they come from. */
	return g->house->listen->type == CONF_PRIVATE && !is_local(g) &&
	    g->house->listen->auth != SMTP_SERVER_AUTH_REQUIRED;
}

static int
spend(struct guest *g, enum clients_rate rate, enum limit_key key, int64_t now)
{
	return clients_spend(g->house->clients, &g->place, rate, g->limits.value[key], g->limits.per[key], now);
}

int
guest_at_door(struct guest *g, int64_t now, struct guest_refusal *r)
{
	uint64_t most = g->limits.value[LIMIT_CLIENT_CONCURRENCY];

	if (is_rejected(g) && may_be_better(g, CONF_REJECT))
		return refuse(r, 421, "4.7.0", "your host name cannot be looked up now; try later");
	if (is_rejected(g))
		return refuse(r, 554, "5.7.1", g->rule != NULL && g->rule->text != NULL ? g->rule->text :
		    "no service for this host");
	if (most > 0 && clients_sessions(g->house->clients, &g->place) > most)
		return refuse(r, 421, "4.7.0", "too many connections from your address; try later");
	if (!spend(g, CLIENTS_CONNECTIONS, LIMIT_CONNECTION_RATE, now))
		return refuse(r, 421, "4.7.0", "your address connects too often; try later");
	return 0;
}

int
guest_mail(struct guest *g, int64_t now, struct guest_refusal *r)
{
	if (!spend(g, CLIENTS_MESSAGES, LIMIT_MESSAGE_RATE, now))
		return refuse(r, 450, "4.7.1", "too many messages from your address; try later");
	return 0;
}

/*
 * A mailbox of ours whose local part routes on: "user%other.example", "other.example!user".  We would not
 * follow it, but the next hop may, and it trusts us.
 */
static int
is_routed(const struct mailbox *m)
{
	return m->local[strcspn(m->local, "@%!")] != '\0';
}

/* postmaster without a domain is ours (RFC 5321 4.1.1.3). */
static int
is_ours(const struct guest *g, const struct mailbox *m)
{
	return m->domain[0] == '\0' || conf_has_domain(g->house->listen, m->domain);
}

/* The list says who there is in the domains of all listeners, whichever the mail comes in by. */
static int
is_listed_domain(const struct guest *g, const struct mailbox *m)
{
	const struct conf *c = g->house->conf;
	size_t i;

	for (i = 0; i < c->nlisten && m->domain[0] != '\0'; i++)
		if (conf_has_domain(&c->listen[i], m->domain))
			return 1;
	return 0;
}

/* Never an open relay: the listener's own domains, or a host that may relay. */
int
guest_rcpt(struct guest *g, const struct mailbox *m, int authenticated, int64_t now, struct guest_refusal *r)
{
	const struct recipients *list = g->house->recipients;
	int may_relay = authenticated || (g->rule != NULL ? g->rule->action == CONF_RELAY : is_local(g));

	if (!may_relay && !is_ours(g, m) && may_be_better(g, CONF_ACCEPT))
		return refuse(r, 450, "4.7.1", "your host name cannot be looked up now; try later");
	if (!may_relay && (is_routed(m) || !is_ours(g, m)))
		return refuse(r, 550, "5.7.1", "relaying is not allowed");
	if (!spend(g, CLIENTS_RECIPIENTS, LIMIT_RECIPIENT_RATE, now))
		return refuse(r, 450, "4.7.1", "too many recipients from your address; try later");
	if (list != NULL && is_listed_domain(g, m) &&
	    !recipients_has(list, m, g->house->conf->delimiter))
		return refuse(r, 550, "5.1.1", "no such recipient here");
	return 0;
}
