/*
 * order - the records between the relay's processes: the list of them all, and how they are carried.  Each role packs and reads
 * its own.
 *
 * A record is a line of the table grammar, with at most one descriptor; more lines may follow in it.  A
 * SOCK_SEQPACKET datagram is one record, or several with a NUL between them, the descriptor being the first one's.
 *
 *	role -> master	ready			start-up is done
 *			log LEVEL LINE		for syslog or stderr
 *	queue, route, auth -> master	cut worker NUMBER	that in does not read its answers (cut.h): it is to die
 *	queue -> master	cut out NUMBER		that one does not do its work (outlet.h): likewise
 *			cut sign NUMBER		likewise (signer.h)
 *	out -> master	socket SEQ PATH		connect to a unix socket of a route
 *	master -> role	stop			finish what is under way, then end
 *	master -> in	retire			take no more clients, serve those there are, then end
 *			auth		+fd	whom to ask about passwords from now on
 *			ticket SECRET		session tickets are sealed with it from now on
 *	master -> auth	asker NUMBER	+fd	an in's end of that
 *	master -> out	retire			take no more orders, deliver those there are, then end
 *			socket SEQ [WHY]	+fd	it is, or is not and why
 *	master -> route	retire			another comes: answer until the queue lets go, then end
 *			names NUMBER	+fd	a new in, which asks there (names.h)
 *	master -> queue	conf		+fd	a new configuration, the text of it
 *			credentials	+fd	likewise, of the users and passwords at next hops
 *			identities		and a line for each in use: "identity NAME END DEMO USE..."
 *			worker NUMBER	+fd	a new in; the descriptor leads to it
 *			out NUMBER, route NUMBER, hook NUMBER, sign NUMBER	+fd	likewise
 *
 *	in -> auth	check SLOT QUESTION CLIENT USER PASSWORD
 *	auth -> in	checked SLOT QUESTION yes|no|busy
 *	in -> route	name SLOT SERIAL ADDRESS	what is the client called?
 *	route -> in	named SLOT SERIAL STATE NAME
 *	in -> queue	commit SLOT ID		the file ID in new/ is finished
 *	queue -> in	done SLOT ID CODE STATUS TEXT	how that ended: 250, or why not
 *
 *	queue -> route	route SEQ DOMAIN ASKS	what is the plan?
 *			post SEQ URI	+fd	a report on TLS for an HTTPS server
 *	route -> queue	planned SEQ PORT TTL	and the plan's lines (pack.h); TTL: seconds for which its facts hold
 *			dns sick|well WHY DOMAIN	nothing can be looked up, that domain for one; or it can
 *			posted SEQ good|failed WHY
 *	queue -> out	journal		+fd	to write final results to, before they are told (journal.h)
 *			deliver SEQ ID PORT OFFSET SIZE CRC 8BIT HOST FROM	+fd of the message; lines "mail PARAMETERS",
 *						"head FIELDS" where they go in front of the message, "rcpt INDEX ADDRESS
 *						PROOF [PARAMETERS]", "password USER PASSWORD" where the plan's hosts ask
 *						for it; then the plan's
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
 *	queue -> sign	sign SEQ DOMAIN REPORT OFFSET SIZE	+fd of the message
 *	sign -> queue	signed SEQ FIELDS	what goes in front of it
 *			unsigned SEQ WHY	it never can be
 *			unknown SEQ ""		there is no such domain in its configuration
 *	queue -> hook	run SEQ KIND NAME EVENT	and what the program reads
 *	hook -> queue	ran SEQ			it has ended, or could not begin
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
