#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

#define HELD_MAX 65536	/* octets of lines that go out together */

static const char *prog = "mtatls";
static enum log_level lowest = LOG_LEVEL_INFO;
static void sink_stderr(enum log_level, const char *, void *);
static log_sink_fn *sink = sink_stderr;
static void *sink_arg;
static struct buf held;		/* lines for stderr */
static int holding;
static const int priority[] = {
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_ERROR] = LOG_ERR,
};

void
log_init(const char *name)
{
	prog = name;
}

const char *
log_prog(void)
{
	return prog;
}

void
talk(const char *subject, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(&b, "%s: ", prog);
	if (subject != NULL) {
		buf_escape(&b, subject, strlen(subject));
		buf_puts(&b, ": ");
	}
	buf_printf(&b, "%s\n", text);
	fflush(stdout);
	progress_hide();
	fwrite(b.p, 1, b.len, stderr);
	buf_clear(&b);
}

static void
write_held(void)
{
	if (held.len > 0)
		fwrite(held.p, 1, held.len, stderr);
	buf_clear(&held);
}

/* systemd.exec(5): the variable names the device and the inode of what it has connected to the journal. */
static int
is_journal(void)
{
	static int known = -1;
	const char *said;
	char real[64];
	struct stat st;

	if (known == -1) {
		known = 0;
		said = getenv("JOURNAL_STREAM");
		if (said != NULL && fstat(STDERR_FILENO, &st) == 0) {
			snprintf(real, sizeof real, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
			known = strcmp(said, real) == 0;
		}
	}
	return known;
}

static void
sink_stderr(enum log_level level, const char *line, void *arg)
{
	char when[TEXT_TIME_MAX];

	(void)arg;
	if (is_journal())
		buf_printf(&held, "<%d>%s\n", priority[level], line);
	else
		buf_printf(&held, "%s %s: %s\n", text_time(when, time(NULL)), prog, line);
	if (!holding || held.len >= HELD_MAX)
		write_held();
}

void
log_hold(void)
{
	holding = 1;
}

void
log_flush(void)
{
	holding = 0;
	write_held();
}

void
log_sink_syslog(enum log_level level, const char *line, void *arg)
{
	(void)arg;
	syslog(LOG_MAIL | priority[level], "%s", line);
}

void
log_set_sink(log_sink_fn *fn, void *arg)
{
	sink = fn != NULL ? fn : sink_stderr;
	sink_arg = arg;
}

void
log_set_level(enum log_level level)
{
	lowest = level;
}

void
log_event(struct log_line *l, enum log_level level, const char *id, const char *verb)
{
	l->level = level;
	l->text = (struct buf)BUF_INIT;
	buf_printf(&l->text, "%s %s", id, verb);
}

static int
wants_quotes(const char *s, size_t n)
{
	return n == 0 || memchr(s, ' ', n) != NULL || memchr(s, '"', n) != NULL;
}

void
log_key_bytes(struct log_line *l, const char *key, const char *s, size_t n)
{
	size_t i;

	buf_printf(&l->text, " %s=", key);
	if (!wants_quotes(s, n)) {
		buf_escape(&l->text, s, n);
		return;
	}
	buf_putc(&l->text, '"');
	for (i = 0; i < n; i++)
		if (s[i] == '"')
			buf_puts(&l->text, "\\\"");
		else
			buf_escape(&l->text, s + i, 1);
	buf_putc(&l->text, '"');
}

void
log_key(struct log_line *l, const char *key, const char *value)
{
	if (value != NULL)
		log_key_bytes(l, key, value, strlen(value));
}

void
log_key_num(struct log_line *l, const char *key, int64_t n)
{
	buf_printf(&l->text, " %s=%" PRId64, key, n);
}

void
log_finished(enum log_level level, const char *line)
{
	if (level >= lowest)
		sink(level, line, sink_arg);
}

void
log_send(struct log_line *l)
{
	log_finished(l->level, l->text.p);
	buf_clear(&l->text);
}
