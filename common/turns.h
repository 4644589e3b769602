/*
 * turns - many clients wait for one who serves: a line for each client, and from each line one in turn.
 *
 * However many questions a client brings, another waits for at most one of each client.  There is room for so many
 * in all; where it is used up, a client with few takes a place from the one with most, whose last one it is.
 */
#ifndef MTATLS_TURNS_H
#define MTATLS_TURNS_H

#include <stddef.h>

struct turns;

/* Room for so many items.  The items are the caller's; turns_free() frees the lines alone. */
struct turns *turns_new(size_t room);
void turns_free(struct turns *);

/*
 * Puts an item, not NULL, at the end of the client's line.  Returns the one that has no place now: the item itself, or
 * the last of the longest line, where that stays at least as long as the client's own; NULL: all have one.
 */
void *turns_add(struct turns *, const char *client, void *item);

/* The next one, which is no longer kept; NULL: nobody waits. */
void *turns_next(struct turns *);

size_t turns_waiting(const struct turns *);

#endif
