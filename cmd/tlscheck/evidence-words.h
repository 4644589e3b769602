/*
 * evidence-words - the words of an evidence file, which evidence-put.c and evidence-read.c share.
 */
#ifndef TLSCHECK_EVIDENCE_WORDS_H
#define TLSCHECK_EVIDENCE_WORDS_H

extern const char *const addrs_words[];	/* enum facts_addrs */
extern const char *const asked_words[];	/* enum shown_asked */
extern const char *const end_words[];	/* enum seen_end */

#define ADDRS_WORDS (FACTS_ADDRS_FAILED + 1)
#define ASKED_WORDS (SHOWN_STRICT + 1)
#define END_WORDS (SEEN_PROTOCOL + 1)

#endif
