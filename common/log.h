/*
 * log - one event, one line.
 *
 * Two voices: talk(), for a person at a terminal ("tool: file-or-peer: what is wrong"), and event
 * lines "id verb key=value ..." for daemons.  Values are escaped; one with a space, a quote or
 * nothing in it stands in double quotes.  Neither is for secrets or for message content.
 */
#ifndef MTATLS_LOG_H
#define MTATLS_LOG_H

#include <stdint.h>

#include "text.h"

/* The program's name for talk() and syslog; the string must outlive the program. */
void log_init(const char *prog);
const char *log_prog(void);

/* stderr: "prog: subject: text".  The subject may be NULL; it is escaped, the text is not. */
void talk(const char *subject, const char *, ...) __attribute__((format(printf, 2, 3)));

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/*
 * Where finished event lines go: the default writes them to stderr with a time before each, or, where that is systemd's
 * journal (JOURNAL_STREAM, systemd.exec(5)), which has the time, with the priority (sd-daemon(3): "<6>").
 */
typedef void log_sink_fn(enum log_level, const char *line, void *arg);
void log_set_sink(log_sink_fn *, void *arg);
/* Lines for stderr are kept from here on, and go out together. */
void log_hold(void);
void log_flush(void);
void log_sink_syslog(enum log_level, const char *line, void *arg);

/* Lines below this level are dropped; the default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level);

/* log_event(), any number of log_key*(), log_send().  The struct is the caller's. */
struct log_line {
	enum log_level level;
	struct buf text;
};

void log_event(struct log_line *, enum log_level, const char *id, const char *verb);
void log_key(struct log_line *, const char *key, const char *value);	/* NULL: no such key */
void log_key_bytes(struct log_line *, const char *key, const char *, size_t);
void log_key_num(struct log_line *, const char *key, int64_t);
void log_send(struct log_line *);

/* A line that another process finished: to the sink as it is. */
void log_finished(enum log_level, const char *line);

#endif
