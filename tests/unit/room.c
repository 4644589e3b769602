/* Rows of file systems, floors and sizes; a real one. */
#include "room.h"

#include <fcntl.h>
#include <unistd.h>

#include "unit.h"

#define M (1024 * 1024ULL)

static const struct {
	uint64_t size, free, inodes, inodes_free;
	struct room_floor floor;
	enum room_state state;
	uint64_t message;
	int fits;
} rows[] = {
	{ 100 * M, 50 * M, 1000, 500, { 10 * M, 0, 100 }, ROOM_ENOUGH, 40 * M, 1 },
	{ 100 * M, 50 * M, 1000, 500, { 10 * M, 0, 100 }, ROOM_ENOUGH, 40 * M + 1, 0 },
	{ 100 * M, 10 * M, 1000, 500, { 10 * M, 0, 100 }, ROOM_SCARCE, 0, 1 },
	{ 100 * M, 10 * M, 1000, 500, { 10 * M, 0, 100 }, ROOM_SCARCE, 1, 0 },
	{ 100 * M, 10 * M - 1, 1000, 500, { 10 * M, 0, 100 }, ROOM_LOW, 0, 0 },
	{ 100 * M, 10 * M + 10 * M / 8, 1000, 500, { 10 * M, 0, 100 }, ROOM_ENOUGH, 1, 1 },
	{ 100 * M, 10 * M + 10 * M / 8 - 1, 1000, 500, { 10 * M, 0, 100 }, ROOM_SCARCE, 1, 1 },
	{ 100 * M, 50 * M, 1000, 99, { 10 * M, 0, 100 }, ROOM_LOW, 0, 1 },
	{ 100 * M, 50 * M, 1000, 100, { 10 * M, 0, 100 }, ROOM_SCARCE, 0, 1 },
	{ 100 * M, 50 * M, 1000, 112, { 10 * M, 0, 100 }, ROOM_ENOUGH, 0, 1 },
	/* Inodes are not counted there. */
	{ 100 * M, 50 * M, 0, 0, { 10 * M, 0, 100 }, ROOM_ENOUGH, 0, 1 },
	{ 100 * M, 5 * M, 1000, 500, { 0, 5, 0 }, ROOM_SCARCE, 0, 1 },
	{ 100 * M, 5 * M - 1, 1000, 500, { 0, 5, 0 }, ROOM_LOW, 0, 0 },
	{ 100 * M, 50 * M, 1000, 500, { 0, 5, 0 }, ROOM_ENOUGH, UINT64_MAX, 0 },
	/* Off: the disk itself says that it is full. */
	{ 100 * M, 0, 1000, 0, { 0, 0, 0 }, ROOM_ENOUGH, UINT64_MAX, 1 },
	{ 0, 0, 0, 0, { 0, 90, 0 }, ROOM_ENOUGH, 1, 1 },
	{ UINT64_MAX, UINT64_MAX, 1, 1, { 0, 90, 1 }, ROOM_SCARCE, 1, 1 },
};

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct room r = { rows[i].size, rows[i].free, rows[i].inodes, rows[i].inodes_free, 1 };

		unit_int(room_state(&r, &rows[i].floor), rows[i].state, "row %zu: state", i);
		unit_int(room_fits(&r, &rows[i].floor, rows[i].message), rows[i].fits, "row %zu: fits", i);
	}
}

static void
test_look(void)
{
	struct room r = { 0 };
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fail f = FAIL_INIT;

	unit_int(room_look(&r, fd, 5000, &f), 1, "a first look");
	unit_int(r.size > 0 && r.free <= r.size && r.inodes_free <= r.inodes, 1, "sizes of some sense");
	unit_int(room_look(&r, -1, 5000 + ROOM_MAX_AGE_MS - 1, &f), 0, "it is good for a second");
	unit_int(room_look(&r, fd, 5000 + ROOM_MAX_AGE_MS, &f), 1, "then it is not");
	unit_int(room_look(&r, fd, 4000, &f), 1, "nor where the clock went back");
	close(fd);
	unit_int(room_look(&r, -1, 9000, &f), -1, "no descriptor: %s", f.text);
	unit_int(f.kind, FAIL_SYS, "which is the system's fault");
}

int
main(void)
{
	test_rows();
	test_look();
	return unit_done();
}
