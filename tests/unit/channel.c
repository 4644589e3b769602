/* A channel between roles whose other end reads late, or never: what waits, and when it is cut. */
#include "../../cmd/smtp-relay/channel.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define RECORDS 20000

static struct event_base *base;

/* What the handlers saw. */
struct seen {
	size_t records;
	int gone;
	struct fail why;
	struct channel *answers;	/* each record is answered there; NULL: none is */
};

static void
on_record(void *arg, struct order *o)
{
	struct seen *s = arg;

	(void)o;
	s->records++;
	if (s->answers != NULL)
		channel_send(s->answers, "answer", 6, -1);
}

static void
on_gone(void *arg, const struct fail *f)
{
	struct seen *s = arg;

	s->gone++;
	s->why = *f;
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

static void
turn(int times)
{
	while (times-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static struct channel *
open_pair(int *other, struct seen *s)
{
	struct fail f = FAIL_INIT;
	int pair[2] = { -1, -1 };

	*s = (struct seen){ .records = 0 };
	unit_int(order_pair(pair, &f), 0, "a pair %s", f.text);
	*other = pair[1];
	return channel_new(base, pair[0], &handlers, s);
}

/* A burst below the bound, read late, arrives whole and in order. */
static void
test_late(int gathers)
{
	struct seen mine;
	struct fail f = FAIL_INIT;
	static struct order o;
	int other, i, n = 0, wrong = 0, got = 0;
	struct channel *c = open_pair(&other, &mine);
	char text[64];

	channel_cut_beyond(c, (size_t)RECORDS * 200);
	if (gathers)
		channel_gather(c);
	for (i = 0; i < RECORDS; i++)
		channel_send(c, text, (size_t)snprintf(text, sizeof text, "done %d", i), -1);
	turn(3);
	unit_int(mine.gone, 0, "a burst of %d is no reason to cut", RECORDS);
	while (n < RECORDS) {
		for (got = order_recv(other, &o, &f); got == 1; got = order_next(&o, &f)) {
			snprintf(text, sizeof text, "%d", n++);
			wrong += o.n != 2 || strcmp(o.v[1], text) != 0;
			if (o.rest == NULL)
				break;
		}
		if (got == -1)
			break;
		turn(1);
	}
	unit_int(n, RECORDS, "all arrive, read late%s %s", gathers ? ", gathered" : "", f.text);
	unit_int(wrong, 0, "in their order");
	unit_int(mine.gone, 0, "and the channel is there");
	channel_free(c);
	close(other);
}

/* Behind the bound nothing waits any more, and whoever answers hears of it once, from the loop. */
static void
test_cut(int gathers)
{
	struct seen mine;
	int other, i, fd = dup(STDERR_FILENO);
	struct channel *c = open_pair(&other, &mine);

	channel_cut_beyond(c, 100000);
	if (gathers)
		channel_gather(c);
	for (i = 0; i < RECORDS; i++)
		channel_send(c, "done 1 8QkZ2a1Bc00aaa 451 4.3.0 x", 33, i % 1000 == 7 ? fd : -1);
	unit_int(mine.gone, 0, "not from within a call");
	turn(3);
	unit_int(mine.gone, 1, "cut, and told once");
	unit_int(mine.why.kind, FAIL_POLICY, "as what it is: %s", mine.why.text);
	unit_int(channel_send(c, "done", 4, -1), 0, "what comes later is dropped");
	turn(3);
	unit_int(mine.gone, 1, "and not told again");
	channel_free(c);
	close(other);
	close(fd);
}

/* One who asks and does not read is cut while its questions are read. */
static void
test_asker(void)
{
	struct seen mine;
	struct fail f = FAIL_INIT;
	int other, i, sent = 1;
	struct channel *c = open_pair(&other, &mine);

	mine.answers = c;
	channel_cut_beyond(c, 10000);
	for (i = 0; i < RECORDS && sent != -1 && !mine.gone; i++)
		if ((sent = order_send(other, "ask", 3, -1, &f)) == 0)
			turn(1);
	turn(3);
	unit_int(mine.gone, 1, "cut behind %zu questions", mine.records);
	unit_int(mine.why.kind, FAIL_POLICY, "%s", mine.why.text);
	channel_free(c);
	close(other);
}

/* Without a bound all waits, as it does where both ends are roles that read. */
static void
test_unbound(void)
{
	struct seen mine;
	int other, i;
	struct channel *c = open_pair(&other, &mine);

	for (i = 0; i < RECORDS; i++)
		channel_send(c, "done", 4, -1);
	turn(3);
	unit_int(mine.gone, 0, "no bound, no cut");
	close(other);
	turn(3);
	unit_int(mine.gone, 1, "until the other end is gone");
	unit_ok(mine.why.kind != FAIL_POLICY, "which is told as that: %s", mine.why.text);
	channel_free(c);
}

/* What an onlooker sees of one who does not read, reads, and is given up. */
static void
test_watched(void)
{
	struct seen mine;
	struct fail f = FAIL_INIT;
	static struct order o;
	int other, i;
	struct channel *c = open_pair(&other, &mine);
	size_t sent, waiting;

	for (i = 0; i < RECORDS; i++)
		channel_send(c, "done", 4, -1);
	turn(3);
	sent = channel_sent(c);
	waiting = channel_waiting(c);
	unit_ok(waiting > 0 && sent + waiting == RECORDS, "%zu sent, %zu wait", sent, waiting);
	turn(3);
	unit_int(channel_sent(c), sent, "nothing goes through");
	for (i = 0; i < 2000; i++)
		order_recv(other, &o, &f);
	turn(3);
	unit_ok(channel_sent(c) > sent && channel_waiting(c) < waiting, "some does");
	unit_int(channel_sent(c) + channel_waiting(c), RECORDS, "and none is lost");
	order_send(other, "last", 4, -1, &f);
	channel_shut(c);
	unit_int(mine.gone, 0, "not from within the call");
	turn(3);
	unit_int(mine.records, 1, "what had come is taken");
	unit_int(mine.gone, 1, "then it is gone");
	channel_free(c);
	close(other);
}

int
main(void)
{
	base = event_base_new();
	test_watched();
	test_late(0);
	test_late(1);
	test_cut(0);
	test_cut(1);
	test_asker();
	test_unbound();
	event_base_free(base);
	return unit_done();
}
