#include "room.h"

#include <sys/statvfs.h>

int
room_look(struct room *r, int fd, int64_t now_ms, struct fail *f)
{
	struct statvfs st;

	if (r->looked_ms != 0 && now_ms >= r->looked_ms && now_ms - r->looked_ms < ROOM_MAX_AGE_MS)
		return 0;
	if (fstatvfs(fd, &st) == -1)
		return fail_errno(f, "space of the spool");
	r->size = (uint64_t)st.f_blocks * st.f_frsize;
	r->free = (uint64_t)st.f_bavail * st.f_frsize;
	r->inodes = st.f_files;
	r->inodes_free = st.f_files > 0 ? st.f_favail : 0;
	r->looked_ms = now_ms;
	return 1;
}

static uint64_t
floor_octets(const struct room *r, const struct room_floor *floor)
{
	return floor->percent > 0 ? r->size / 100 * floor->percent : floor->octets;
}

enum room_state
room_state(const struct room *r, const struct room_floor *floor)
{
	uint64_t octets = floor_octets(r, floor), inodes = r->inodes > 0 ? floor->inodes : 0;

	if (r->free < octets || r->inodes_free < inodes)
		return ROOM_LOW;
	if (r->free - octets < octets / 8 || r->inodes_free - inodes < inodes / 8)
		return ROOM_SCARCE;
	return ROOM_ENOUGH;
}

int
room_fits(const struct room *r, const struct room_floor *floor, uint64_t size)
{
	uint64_t octets = floor_octets(r, floor);

	/* Without a floor nothing is foretold: the disk says itself that it is full. */
	return octets == 0 || (r->free >= octets && size <= r->free - octets);
}
