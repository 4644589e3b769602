/*
 * relayq - what its files share: messages found in the spool, and the commands.
 */
#ifndef RELAYQ_H
#define RELAYQ_H

#include "fail.h"
#include "spool.h"
#include "tool.h"

struct settings {
	const char *conf, *dir, *spool;	/* NULL: not named */
	char *destination;		/* for changes: those with a recipient there; NULL: not named */
	int all;			/* for changes: every message of the folder */
	int json;
	int mailq;			/* called by that name, as by smtp-relay under it: an empty list is told */
	int verbose;			/* for list: all that is known of each recipient who waits */
};

/* A message and where it was found. */
struct found {
	enum spool_folder folder;
	char file[SPOOL_NAME_SIZE];
	struct spool_name name;		/* due is -1 where the file's name says nothing */
	struct spool_message m;
};

/* By ID or file name; NO (told) where there is none.  With YES spool_message_clear(&w->m) is owed. */
enum tool_exit find_message(const struct spool *, const char *id, struct found *w);

/* How many recipients wait, and in first the first of them; where all are done all count. */
size_t list_waiting(const struct spool_envelope *, size_t *first);

/* What list says beneath the line of a message, if anything: when it is due, and why it waits. */
void list_beneath(const struct found *, int verbose);

/* Has it a recipient in the domain?  Reads the file where its name does not say.  -1: f. */
int message_goes_to(const struct spool *, enum spool_folder, const char *file, const char *domain, struct fail *f);

/* hold, release, retry, delete: the messages named, or chosen by the settings. */
enum tool_exit change_hold(const struct spool *, const struct settings *, char **id);
enum tool_exit change_release(const struct spool *, const struct settings *, char **id);
enum tool_exit change_retry(const struct spool *, const struct settings *, char **id);
enum tool_exit change_delete(const struct spool *, const struct settings *, char **id);

/* How much there is, for each destination. */
enum tool_exit stat_spool(const struct spool *, const struct settings *, char **unused);

/* What reports in files say; no spool is looked at. */
enum tool_exit tlsrpt_files(const struct spool *, const struct settings *, char **path);

#endif
