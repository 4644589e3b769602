/*
 * Each listener is asked as guest.c of the relay would be: what does the host table say of a client that connects
 * from this machine?
 */
#include "conf_submit.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <string.h>

/* Where one connects to for it: "all addresses" is the loopback one. */
static void
fill_endpoint(const struct conf_listen *l, struct endpoint *at)
{
	*at = l->at;
	if (strcmp(at->host, "0.0.0.0") == 0)
		strcpy(at->host, "127.0.0.1");
	else if (strcmp(at->host, "::") == 0)
		strcpy(at->host, "::1");
}

/* The address from which this host connects there: the same one, but that all of 127/8 is 127.0.0.1 then. */
static int
source_address(const struct endpoint *at, uint8_t addr[16])
{
	int version = text_address(at->host, addr);

	if (version == 4 && addr[0] == 127)
		inet_pton(AF_INET, "127.0.0.1", addr);
	return version;
}

static int
takes_plain(const struct conf_listen *l, const struct conf_hosts *rule)
{
	return l->protocol == CONF_SMTP && l->auth != SMTP_SERVER_AUTH_REQUIRED &&
	    conf_tls(l, rule) != SMTP_SERVER_TLS_REQUIRED && conf_client_cert(l, rule) != CONF_CLIENT_CERT_REQUIRED;
}

/* Fills place; 0: the listener would not relay for us. */
static int
will_do(const struct conf_listen *l, struct conf_place *place)
{
	uint8_t addr[16] = { 0 };
	int version = 0;

	memset(place, 0, sizeof *place);
	place->path = l->path;
	place->listen = l;
	if (l->path == NULL) {
		fill_endpoint(l, &place->at);
		/* Connections to a listener for balancers from elsewhere are reset, those from them want a header. */
		if ((version = source_address(&place->at, addr)) == 0 || l->nproxies > 0)
			return 0;
	}
	place->rule = access_find(l->hosts, l->nhosts, version == 0 ? AF_UNIX : version == 4 ? AF_INET : AF_INET6, addr,
	    NULL);
	if (place->rule == NULL && (l->path == NULL || l->type != CONF_PRIVATE))
		return 0;
	if (place->rule != NULL && place->rule->action != CONF_RELAY)
		return 0;
	return takes_plain(l, place->rule);
}

static int
is_at(const struct conf_place *p, const struct conf *c)
{
	if (c->submit_path != NULL)
		return p->path != NULL && strcmp(p->path, c->submit_path) == 0;
	return p->path == NULL && p->at.port == c->submit.port && strcmp(p->at.host, c->submit.host) == 0;
}

size_t
conf_submit(const struct conf *c, struct conf_place place[CONF_LISTEN_MAX])
{
	int named = c->submit_path != NULL || c->submit.host[0] != '\0', sockets;
	struct conf_place one;
	size_t i, n = 0;

	for (sockets = 1; sockets >= 0; sockets--)
		for (i = 0; i < c->nlisten && n < CONF_LISTEN_MAX; i++)
			if ((c->listen[i].path != NULL) == sockets && will_do(&c->listen[i], &one) &&
			    (!named || is_at(&one, c)))
				place[n++] = one;
	if (!named)
		return n;
	if (n == 0) {
		memset(&place[0], 0, sizeof place[0]);
		place[0].path = c->submit_path;
		place[0].at = c->submit;
	}
	return 1;
}
