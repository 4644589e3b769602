#include "space.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"

static void
log_plain(const struct space *s, enum log_level level, const char *verb, const char *text)
{
	struct log_line l;

	log_event(&l, level, s->role, verb);
	log_key_num(&l, "free", (int64_t)s->room.free);
	log_key_num(&l, "inodes", (int64_t)s->room.inodes_free);
	log_key(&l, "consequence", text);
	log_send(&l);
}

/* Whoever turns the word says so. */
static void
tell(struct space *s)
{
	enum room_state state = room_state(&s->room, s->floor);
	unsigned was = state == ROOM_LOW ? 0 : 1;

	if (state == ROOM_SCARCE || !atomic_compare_exchange_strong(s->low, &was, state == ROOM_LOW))
		return;
	if (state == ROOM_LOW)
		log_plain(s, LOG_LEVEL_ERROR, "spool-low", "no mail is accepted until there is room");
	else
		log_plain(s, LOG_LEVEL_WARN, "spool-room", "mail is accepted again");
}

int
space_allows(struct space *s, uint64_t size)
{
	if (room_look(&s->room, s->fd, clock_passed_ms(), NULL) == 1)
		tell(s);
	return !atomic_load(s->low) && (s->room.looked_ms == 0 || room_fits(&s->room, s->floor, size));
}
