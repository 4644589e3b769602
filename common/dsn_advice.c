#include "dsn_advice.h"

#include <stddef.h>
#include <string.h>

/* The first that fits; behind those with a detail stand those for what is left of the subject. */
static const struct {
	const char *status;	/* behind the class */
	const char *advice;
} rows[] = {
	{ ".1.1", "There is no mailbox of this name. Look for a typing mistake in the address." },
	{ ".1.2",
	    "There is no mail for what stands behind the @. Look for a typing mistake in the "
	    "address." },
	{ ".1.3",
	    "This is no address to which mail can be sent. Look for a typing mistake in it." },
	{ ".1.6", "The mailbox is no longer there. Ask the recipient for the new address." },
	{ ".1.7",
	    "Your own address, as the sender, was refused. Show this to those who run your mail." },
	{ ".1.8",
	    "Your own address, as the sender, was refused. Show this to those who run your mail." },
	{ ".1.10",
	    "What stands behind the @ takes no mail at all. Look for a typing mistake in the "
	    "address." },
	{ ".1.", "The address was refused. Look for a typing mistake in it." },
	{ ".2.1", "The mailbox takes no mail now. Reach the recipient by other means." },
	{ ".2.2",
	    "The mailbox is full. Reach the recipient by other means, or send the message again "
	    "later." },
	{ ".2.3",
	    "The message is too large for the mailbox. Send a smaller one, say without "
	    "attachments." },
	{ ".2.", "The mailbox did not take the message. Reach the recipient by other means." },
	{ ".3.4",
	    "The message is too large for the recipient's mail system. Send a smaller one, say "
	    "without attachments." },
	{ ".3.",
	    "The recipient's mail system does not work as it should. Send the message again "
	    "later." },
	{ ".4.6",
	    "Mail for this address goes in a circle. Show this to those who run the recipient's "
	    "mail." },
	{ ".4.7",
	    "It was tried again and again, and could not be handed over in the time for which "
	    "mail is kept. Reach the recipient by other means, or send it again later." },
	{ ".4.3",
	    "It could not be found out where mail for this address goes. If the address is right,"
	    " send it again later." },
	{ ".4.4",
	    "No host takes mail for what stands behind the @. Look for a typing mistake in the "
	    "address." },
	{ ".4.",
	    "The recipient's mail system could not be reached, or broke off. Send the message "
	    "again later." },
	{ ".5.",
	    "The recipient's mail system and this one do not understand each other. Show this to "
	    "those who run your mail." },
	{ ".6.7",
	    "The recipient's mail system does not take addresses with letters beyond plain "
	    "English ones." },
	{ ".6.",
	    "The recipient's mail system does not take a message of this form. Send it as plain "
	    "text." },
	{ ".7.30",
	    "You asked that this message travel encrypted all the way, which the recipient's mail"
	    " system cannot do. Nothing of it was sent there." },
	{ ".7.4",
	    "The connection to the recipient's mail system could not be made as safe as is wanted"
	    " here. Show this to those who run your mail." },
	{ ".7.5",
	    "The connection to the recipient's mail system could not be made as safe as is wanted"
	    " here. Show this to those who run your mail." },
	{ ".7.",
	    "The recipient's mail system refused the message by one of its rules. Its words say "
	    "perhaps which; if it was a mistake, reach the recipient by other means." },
};

const char *
dsn_advice(const char *status)
{
	const char *at = status != NULL ? strchr(status, '.') : NULL;
	size_t i, n;

	for (i = 0; at != NULL && i < sizeof rows / sizeof rows[0]; i++) {
		n = strlen(rows[i].status);
		if (strncmp(at, rows[i].status, n) == 0 && (at[n] == '\0' || rows[i].status[n - 1] == '.'))
			return rows[i].advice;
	}
	return "The reason is below. If it does not help you, show this to those who run your mail.";
}

#define NOT_OFFERED "The receiving host offers no encryption, without which no mail goes there from here, so the mail "
#define NOT_SHOWN "The receiving host did not show who it is, or encryption with it failed, so the mail "
#define KEPT "is kept back. You need do nothing."
#define GIVEN_UP "was kept back until its time was over. Reach the recipient by other means, and show this to those who " \
    "run your mail."

const char *
dsn_advice_tls(const char *status, int late)
{
	const char *at = status != NULL ? strchr(status, '.') : NULL;

	if (at != NULL && strcmp(at, ".7.4") == 0)
		return late ? NOT_OFFERED KEPT : NOT_OFFERED GIVEN_UP;
	if (at != NULL && strcmp(at, ".7.5") == 0)
		return late ? NOT_SHOWN KEPT : NOT_SHOWN GIVEN_UP;
	return NULL;
}
