#include "log.h"

#include <stdlib.h>

#include "capture.h"
#include "unit.h"

static enum log_level last_level;

static void
keep(enum log_level level, const char *line, void *arg)
{
	struct buf *b = arg;

	last_level = level;
	buf_puts(b, line);
	buf_putc(b, '\n');
}

static void
test_event(void)
{
	struct buf b = BUF_INIT;
	struct log_line l;

	log_set_sink(keep, &b);
	log_event(&l, LOG_LEVEL_INFO, "4Xy", "sent");
	log_key(&l, "peer", "mx.example");
	log_key(&l, "none", NULL);
	log_key(&l, "empty", "");
	log_key(&l, "words", "two words");
	log_key(&l, "quote", "say \"hi\"");
	log_key(&l, "one", "a\"b");
	log_key(&l, "slash", "a\\b");
	log_key_bytes(&l, "raw", "a\0\r\nid fake=1", 13);
	log_key_num(&l, "n", -5);
	log_send(&l);
	unit_str(b.p,
	    "4Xy sent peer=mx.example empty=\"\" words=\"two words\" quote=\"say \\\"hi\\\"\""
	    " one=\"a\\\"b\" slash=a\\\\b raw=\"a\\x00\\x0d\\x0aid fake=1\" n=-5\n",
	    "one event, one line, whatever is in it");
	unit_int(last_level, LOG_LEVEL_INFO, "its level");
	buf_drop(&b, b.len);

	log_event(&l, LOG_LEVEL_DEBUG, "x", "y");
	log_send(&l);
	unit_str(b.p, "", "below the level: dropped");
	log_set_level(LOG_LEVEL_DEBUG);
	log_event(&l, LOG_LEVEL_DEBUG, "x", "y");
	log_send(&l);
	unit_str(b.p, "x y\n", "until the level says otherwise");
	buf_clear(&b);
	log_set_sink(NULL, NULL);
}

static void
test_stderr(void)
{
	const char *text;
	struct log_line l;
	int old;

	log_init("prog");
	unit_str(log_prog(), "prog", "the name");
	old = capture_begin(STDERR_FILENO);
	talk(NULL, "%s %d", "wrong", 1);
	talk("file\n\033", "no \"such\" thing");
	unit_str(capture_end(STDERR_FILENO, old),
	    "prog: wrong 1\nprog: file\\x0a\\x1b: no \"such\" thing\n", "talk: subject escaped");

	old = capture_begin(STDERR_FILENO);
	log_event(&l, LOG_LEVEL_WARN, "-", "start");
	log_send(&l);
	text = capture_end(STDERR_FILENO, old);
	unit_ok(strlen(text) > 21 && text[19] == 'Z' && strcmp(text + 20, " prog: - start\n") == 0,
	    "the default sink puts time and name before the line: %.20s", text);
}

int
main(void)
{
	test_event();
	test_stderr();
	return unit_done();
}
