/*
 * epoll_carry.h - what crosses: bytes in, frames shown, verdicts, bytes out; over TLS or not.
 *
 * Rules: those of epoll_session.h, 2 to 4 and 9. Nothing here waits or ends anything.
 */
#ifndef EPOLL_CARRY_H
#define EPOLL_CARRY_H

#include "epoll_session.h"

struct side *other(struct side *side);

/* Writes what waits for this side. Returns 1 if all of it went, and there was some. */
int flush(struct side *to);

/* Frames from this side, to the other; whatever else has come of them, to this one. */
void deliver(struct side *from);

/* The stream of this side is over. NULL means that it was closed. */
void end_input(struct side *from, const char *how);

/* Reads once, and takes what came as far as it goes. Returns 0 if there was nothing to be read, or no room for it. */
int carry(struct side *from);

#endif
