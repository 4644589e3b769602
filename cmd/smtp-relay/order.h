/*
 * order - the records between the relay's processes, packed and unpacked here and nowhere else.
 *
 * A record is a line of the table grammar, with at most one descriptor; more lines may follow in it.  A
 * SOCK_SEQPACKET datagram is one record, or several with a NUL between them, the descriptor being the first one's.
 *
 *	role -> master	ready			start-up is done
 *			log LEVEL LINE		for syslog or stderr
 *	queue, route, auth -> master	cut NUMBER	that in does not read its answers (cut.h): it is to die
 *	master -> role	stop			finish what is under way, then end
 *	master -> in	retire			take no more clients, serve those there are, then end
 *	master -> in	auth		+fd	whom to ask about passwords from now on
 *	master -> auth	asker NUMBER	+fd	an in's end of that
 *	in -> auth	check SLOT QUESTION CLIENT USER PASSWORD
 *	auth -> in	checked SLOT QUESTION yes|no|busy
 *	master -> out	retire			take no more orders, deliver those there are, then end
 *	out -> master	socket SEQ PATH		connect to a unix socket of a route
 *	master -> out	socket SEQ [WHY]	+fd	it is, or is not and why
 *	master -> route	retire			another comes: answer until the queue lets go, then end
 *	master -> in	ticket SECRET		session tickets are sealed with it from now on
 *	master -> queue	conf		+fd	a new configuration, the text of it
 *			identities		and a line for each in use: "identity NAME END DEMO USE..."
 *			hook NUMBER	+fd	a new hook
 *	master -> queue	credentials	+fd	likewise, of the users and passwords at next hops
 *	master -> queue	worker NUMBER	+fd	a new in; the descriptor leads to it
 *	master -> route	names NUMBER	+fd	a new in, which asks there (names.h)
 *	in -> route	name SLOT SERIAL ADDRESS	what is the client called?
 *	route -> in	named SLOT SERIAL STATE NAME
 *	in -> queue	commit SLOT ID		the file ID in new/ is finished
 *	master -> queue	out NUMBER, route	+fd	likewise
 *	queue -> route	route SEQ DOMAIN ASKS	what is the plan?
 *	route -> queue	planned SEQ PORT TTL	and the plan's lines (pack.h); TTL: seconds for which its facts hold
 *			dns sick|well WHY DOMAIN	nothing can be looked up, that domain for one; or it can
 *	queue -> out	journal		+fd	to write final results to, before they are told (journal.h)
 *			deliver SEQ ID PORT OFFSET SIZE CRC 8BIT HOST FROM	+fd of the message, lines "mail PARAMETERS"
 *						and "rcpt INDEX ADDRESS PROOF [PARAMETERS]", "password USER PASSWORD"
 *						where the plan's hosts ask for it, then the plan's
 *						"head FIELDS" goes in front of the message
 *			retire			that was the last order: the answer to the same word
 *	out -> queue	switched		the journal before is done with
 *			retire			give me no more orders
 *			result SEQ INDEX STATE TEXT [unwritten]	of a recipient; final, and yet not in the journal
 *			tried SEQ HOST ADDRESS VERDICT TROUBLE RULE WHY	what came of a host (tried.h)
 *			session SEQ HOST ADDRESS RESULT LOCAL HELO WHY	of a connection, or of a host that is passed
 *						over: for reports on TLS, where the plan says that they are wanted
 *			moved SEQ HOST OUTCOME	the host did not do; on to that one of the plan, or none
 *			doubt SEQ		a host failed in a way that a newer plan might mend
 *			finished SEQ OUTCOME	of the order
 *	queue -> hook	run SEQ KIND NAME EVENT	and what the program reads
 *	hook -> queue	ran SEQ			it has ended, or could not begin
 *	master -> queue	sign NUMBER	+fd	likewise
 *	queue -> sign	sign SEQ DOMAIN REPORT OFFSET SIZE	+fd of the message
 *	sign -> queue	signed SEQ FIELDS	what goes in front of it
 *			unsigned SEQ WHY	it never can be
 *			unknown SEQ ""		there is no such domain in its configuration
 *	queue -> route	post SEQ URI	+fd	a report on TLS for an HTTPS server
 *	route -> queue	posted SEQ good|failed WHY
 *	queue -> in	done SLOT ID CODE STATUS TEXT	how that ended: 250, or why not
 */
#ifndef RELAY_ORDER_H
#define RELAY_ORDER_H

#include <stddef.h>
#include <sys/types.h>

#include "fail.h"
#include "text.h"

#define ORDER_MAX 131072	/* octets in a record: below what a socket takes at once */
#define ORDER_WORDS_MAX 12

struct order {
	char text[ORDER_MAX];
	char *v[ORDER_WORDS_MAX];	/* the words, into text; v[0] says what it is */
	int n;
	char *more;			/* further lines, into text; "" where there are none */
	size_t more_len;
	int fd;				/* -1: none; the receiver's to close */
	char *rest;			/* records that came with it, into text; NULL: none */
	size_t rest_len;
};

/* Both ends, close-on-exec; non-blocking where a role will use them.  FAIL_SYS. */
int order_pair(int fd[2], struct fail *);

/* 1 sent, 0 would block, -1 FAIL_SYS (EPIPE: the other end is gone).  fd -1: none. */
int order_send(int sock, const char *, size_t, int fd, struct fail *);

/* 1 a record, 0 nothing now, -1 the other end is gone or talks nonsense (FAIL_SYS, FAIL_INPUT). */
int order_recv(int sock, struct order *, struct fail *);

/* The next record that came in the same datagram: 1; 0 it was the last; -1 FAIL_INPUT. */
int order_next(struct order *, struct fail *);

#endif
