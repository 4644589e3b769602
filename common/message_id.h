/*
 * message_id - the Message-ID of a message (RFC 5322 3.6.4), found in its header while that comes in, piece by piece.
 */
#ifndef MTATLS_MESSAGE_ID_H
#define MTATLS_MESSAGE_ID_H

#include <stddef.h>

#define MESSAGE_ID_MAX 250	/* octets kept; of a longer one the rest is "..." */

/* All zero is the beginning of a message.  The module's own. */
struct message_id {
	char text[MESSAGE_ID_MAX + 4];
	size_t len;
	int state;
	size_t matched;			/* octets of the field's name in the line under way */
};

/* Takes the next octets of the message; the first such field counts.  Behind the header it is done at once. */
void message_id_feed(struct message_id *, const char *, size_t n);

/* As it stands, up to its bound, without line ends and white space around it; NULL: none.  Borrowed. */
const char *message_id_text(struct message_id *);

#endif
