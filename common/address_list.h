/*
 * address_list - mailboxes in a list of addresses, as header fields (RFC 5322 3.4), aliases and command lines
 * have it: "Name <a@b>", a@b (comment), groups, bare local names, commas between.
 *
 * What is found went through mailbox_parse() and holds what that promises.  Names and comments are passed
 * over.  White space around the dots and the @ (4.4) goes; empty members of a list are none.
 */
#ifndef MTATLS_ADDRESS_LIST_H
#define MTATLS_ADDRESS_LIST_H

#include <stddef.h>

#include "fail.h"
#include "mailbox.h"

struct address_list_item {
	struct mailbox box;	/* domain "": bare */
	size_t end;		/* offset in the text of the octet behind the address: a domain could stand there */
	int literal;		/* a backslash stood before it, as aliases(5) has it: no alias is to be looked up */
};

/* 0 to go on. */
typedef int address_list_fn(void *arg, const struct address_list_item *, struct fail *);

/* Calls the function for each; 0, what it returned, or -1 with FAIL_INPUT and the offset. */
int address_list_parse(const char *, size_t n, address_list_fn *, void *arg, struct fail *);

#endif
