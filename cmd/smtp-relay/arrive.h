/*
 * arrive - from accept(2) to the session: who has connected.  A balancer's connection begins with a header that says
 * for whom it is (proxy.h), and nobody else's is taken there; of a unix socket the system says who it is.
 */
#ifndef RELAY_ARRIVE_H
#define RELAY_ARRIVE_H

#include <sys/socket.h>

#include <netinet/in.h>

#include <stddef.h>
#include <stdint.h>

#define ARRIVE_HEADER_S 10	/* for the whole header of a balancer */

struct in;

struct arrival {
	int family;			/* AF_INET, AF_INET6, AF_UNIX */
	uint8_t addr[16];		/* of the client; the first 4 or all */
	uint16_t port;
	char client[INET6_ADDRSTRLEN];	/* the same for the log; "local" on a unix socket */
	char balancer[INET6_ADDRSTRLEN];	/* "": none */
	struct ucred peer;		/* AF_UNIX: process, user, group */
};

/* Takes the socket over; ends in session_start(), now or later, or closes it. */
void arrive(struct in *, size_t listener, int fd, const struct sockaddr_storage *);

/* We go: who has not said its header is let go of. */
void arrive_end(struct in *);

#endif
