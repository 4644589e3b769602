/*
 * publish - the records and the MTA-STS policy that a domain's present servers support.
 *
 * They are made of what was seen: the MX hosts and their certificates.  What is seen is what an attacker on
 * the way may have put there as well: run it where the servers are near, or compare with tlsa-gen.
 */
#ifndef TLSCHECK_PUBLISH_H
#define TLSCHECK_PUBLISH_H

#include "fail.h"
#include "tool.h"

struct inspect;

enum publish_part {
	PUBLISH_ALL,
	PUBLISH_STS_POLICY,
	PUBLISH_STS_TXT,
	PUBLISH_TLSRPT_TXT,
	PUBLISH_TLSA
};

/* FAIL_INPUT lists the words; NULL is all. */
int publish_parse(const char *, enum publish_part *, struct fail *);

/* TOOL_NO where something stands in the way, told on stderr; what can be published is printed. */
enum tool_exit publish_print(const struct inspect *);

#endif
