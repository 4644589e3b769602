/*
 * hold, release, retry, delete - asked of the running relay over its socket, message by message; done here,
 * under the spool's lock, where none runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "control.h"
#include "json.h"
#include "log.h"
#include "relayq.h"
#include "text.h"

struct change {
	struct spool spool;		/* ours, with the lock, where no relay runs */
	const struct settings *settings;
	enum control_verb verb;
	int sock;			/* -1: no relay runs */
	size_t n;			/* messages that were looked at */
	enum tool_exit status;
};

/* ---- without a relay ---- */

static int
due_now(struct change *c, enum spool_folder folder, const struct spool_name *n, struct fail *f)
{
	struct spool_name now = *n;

	now.due = time(NULL);
	return now.due < n->due ? spool_reschedule(&c->spool, folder, n, &now, f) : 0;
}

static int
change_here(struct change *c, const struct found *w, struct fail *f)
{
	switch (c->verb) {
	case CONTROL_HOLD:
		return spool_move(&c->spool, SPOOL_QUEUE, SPOOL_HOLD, w->file, f);
	case CONTROL_RELEASE:
		if (spool_move(&c->spool, SPOOL_HOLD, SPOOL_QUEUE, w->file, f) == -1)
			return -1;
		return due_now(c, SPOOL_QUEUE, &w->name, f);
	case CONTROL_RETRY:
		return due_now(c, SPOOL_QUEUE, &w->name, f);
	case CONTROL_DELETE:
		break;
	}
	return spool_remove(&c->spool, w->folder, w->file, f);
}

/* ---- one message ---- */

static void
tell(struct change *c, const char *id, enum control_answer answer, const struct fail *why)
{
	struct fail f = FAIL_INIT;
	json_t *o;

	if (!c->settings->json && answer == CONTROL_FAILED)
		talk(id, "%s", why->text);
	else if (!c->settings->json)
		printf("%s %s %s\n", id, control_verb_name(c->verb), control_answer_name(answer));
	else {
		o = json_object();
		json_set_str(o, "id", id);
		json_set_str(o, "change", control_verb_name(c->verb));
		json_set_str(o, "answer", control_answer_name(answer));
		json_set_str(o, "error", answer == CONTROL_FAILED ? why->text : NULL);
		if (json_line(stdout, o, &f) == -1)
			c->status = tool_worse(c->status, tool_failed(&f));
		json_decref(o);
	}
	/* What is not where it could be changed is as one that is not there. */
	if (answer == CONTROL_FAILED && why->kind != FAIL_POLICY)
		c->status = tool_worse(c->status, TOOL_CANNOT);
	else if (answer == CONTROL_FAILED || answer == CONTROL_ABSENT)
		c->status = tool_worse(c->status, TOOL_NO);
}

/* In queue/ it may be one that is to be held, or deleted, when its delivery ends: the relay knows. */
static int
may_be_wished(const struct change *c, enum spool_folder folder)
{
	return c->verb == CONTROL_RELEASE && folder == SPOOL_QUEUE && c->sock != -1;
}

/* What is damaged is deleted only: it has no place in the queue, nor a recipient that could be asked. */
static int
is_for(const struct change *c, enum spool_folder folder)
{
	if (c->verb == CONTROL_DELETE || may_be_wished(c, folder))
		return 1;
	return folder == (c->verb == CONTROL_RELEASE ? SPOOL_HOLD : SPOOL_QUEUE);
}

static void
tell_not_there(struct change *c, const char *id, enum spool_folder folder)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_POLICY, "it is in %s/%s", spool_folder_name(folder), c->verb == CONTROL_RELEASE ? ", not held" : "");
	tell(c, id, CONTROL_FAILED, &f);
}

/* named: by its ID, not among others. */
static void
change_one(struct change *c, const struct found *w, int named)
{
	char id[SPOOL_ID_SIZE];
	struct fail f = FAIL_INIT;
	int answer;

	c->n++;
	snprintf(id, sizeof id, "%.*s", SPOOL_ID_LEN, w->file);
	if (!is_for(c, w->folder)) {
		tell_not_there(c, id, w->folder);
		return;
	}
	if (c->sock == -1 || w->folder == SPOOL_BAD)
		answer = change_here(c, w, &f) == 0 ? CONTROL_OK : f.err == ENOENT ? CONTROL_ABSENT : CONTROL_FAILED;
	else if ((answer = control_ask(c->sock, c->verb, w->file, &f)) == -1)
		answer = CONTROL_FAILED;
	if (answer != CONTROL_ABSENT || !may_be_wished(c, w->folder))
		tell(c, id, (enum control_answer)answer, &f);
	else if (named)
		tell_not_there(c, id, w->folder);
	else
		c->n--;
}

/* ---- which messages ---- */

static void
change_named(struct change *c, const struct spool *s, const char *id)
{
	struct found w;
	enum tool_exit got = find_message(s, id, &w);

	if (got != TOOL_YES) {
		c->status = tool_worse(c->status, got);
		return;
	}
	change_one(c, &w, 1);
	spool_message_clear(&w.m);
}

static int
is_chosen(const struct change *c, const struct spool *s, enum spool_folder folder, const char *file,
    struct fail *f)
{
	if (c->settings->destination == NULL)
		return 1;
	return message_goes_to(s, folder, file, c->settings->destination, f);
}

static void
change_folder(struct change *c, const struct spool *s, enum spool_folder folder)
{
	struct spool_scan scan;
	struct fail f = FAIL_INIT;
	const char *file;
	struct found w = { .folder = folder };
	int chosen;

	if (spool_scan_open(&scan, s->dir[folder], &f) == -1) {
		c->status = tool_worse(c->status, tool_failed(&f));
		return;
	}
	while ((file = spool_scan_next(&scan, &f)) != NULL) {
		if (spool_name_parse(file, &w.name) == -1)
			continue;
		snprintf(w.file, sizeof w.file, "%s", file);
		if ((chosen = is_chosen(c, s, folder, file, &f)) == 1)
			change_one(c, &w, 0);
		else if (chosen == -1)
			c->status = tool_worse(c->status, tool_failed(&f));
		f = (struct fail)FAIL_INIT;
	}
	spool_scan_close(&scan);
	if (f.kind != FAIL_NONE)
		c->status = tool_worse(c->status, tool_failed(&f));
}

/* The relay's socket; or, where none runs, the lock. */
static int
begin(struct change *c, const struct spool *s, const struct settings *o, struct fail *f)
{
	c->spool = *s;
	c->settings = o;
	c->status = TOOL_YES;
	if ((c->sock = control_connect(s->root, f)) != -1)
		return 0;
	if (f->err != ENOENT && f->err != ECONNREFUSED)
		return -1;
	*f = (struct fail)FAIL_INIT;
	return spool_lock(&c->spool, f);
}

static enum tool_exit
change(const struct spool *s, const struct settings *o, char **id, enum control_verb verb)
{
	struct change c = { .verb = verb };
	struct fail f = FAIL_INIT;

	if (begin(&c, s, o, &f) == -1)
		return tool_failed(&f);
	for (; *id != NULL; id++)
		change_named(&c, s, *id);
	if (o->all || o->destination != NULL) {
		if (verb != CONTROL_RELEASE || c.sock != -1)
			change_folder(&c, s, SPOOL_QUEUE);
		if (verb == CONTROL_RELEASE || verb == CONTROL_DELETE)
			change_folder(&c, s, SPOOL_HOLD);
		if (c.n == 0 && c.status == TOOL_YES) {
			talk(o->all ? "--all" : o->destination, "nothing matched%s",
			    verb == CONTROL_RELEASE ? " in hold/" : "");
			c.status = TOOL_NO;
		}
	}
	if (c.sock != -1)
		close(c.sock);
	return c.status;
}

enum tool_exit
change_hold(const struct spool *s, const struct settings *o, char **id)
{
	return change(s, o, id, CONTROL_HOLD);
}

enum tool_exit
change_release(const struct spool *s, const struct settings *o, char **id)
{
	return change(s, o, id, CONTROL_RELEASE);
}

enum tool_exit
change_retry(const struct spool *s, const struct settings *o, char **id)
{
	return change(s, o, id, CONTROL_RETRY);
}

enum tool_exit
change_delete(const struct spool *s, const struct settings *o, char **id)
{
	return change(s, o, id, CONTROL_DELETE);
}
