/*
 * What passes through the relay's control socket: answers of any octets, and the file's name in a question, which is
 * taken only as it would be written.
 */
#include "control.h"

#include <sys/socket.h>

#include <unistd.h>

#include "alloc.h"
#include "fuzz.h"
#include "spool_file.h"

static void
check_answer(const void *data, size_t n)
{
	struct fail f = FAIL_INIT;
	int pair[2], got;

	if (n == 0 || n > CONTROL_RECORD_MAX)
		return;
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[1], data, n, MSG_NOSIGNAL) == (ssize_t)n);
	got = control_ask(pair[0], CONTROL_RETRY, "x", &f);
	MUST(got >= -1 && got <= CONTROL_FAILED);
	MUST((got == -1 || got == CONTROL_FAILED) == (f.kind != FAIL_NONE));
	close(pair[0]);
	close(pair[1]);
}

static void
check_name(const char *name)
{
	struct spool_name parsed;
	char again[SPOOL_NAME_SIZE];
	enum control_verb verb;

	if (control_verb_parse(name, &verb) == 0)
		MUST(strcmp(control_verb_name(verb), name) == 0);
	if (spool_name_parse(name, &parsed) == -1)
		return;
	spool_name_format(again, &parsed);
	MUST(strcmp(again, name) == 0 && strchr(name, '/') == NULL);
	MUST(spool_id_valid(parsed.id) && parsed.due >= 0 && parsed.due <= SPOOL_DUE_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *name = xstrndup((const char *)data, n);

	check_answer(data, n);
	check_name(name);
	free(name);
	return 0;
}
