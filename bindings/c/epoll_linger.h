/*
 * epoll_linger.h - clients that were answered by HTTP and are let read it.
 *
 * Theory (RFC 9112 section 9.6): a connection that is closed while the client still sends is reset, and the reset
 * destroys the answer in the client's buffers. So our half is closed, what the client sends is thrown away until it
 * closes too, and after a second that is given up.
 */
#ifndef EPOLL_LINGER_H
#define EPOLL_LINGER_H

#include "epoll_loop.h"

struct lingerer;

struct lingering {
    struct loop *loop;
    struct lingerer *all;
    unsigned long present;
    void (*on_gone)(struct lingering *lingering);
};

/* Takes over a connection on which all was said. `is_watched`: the loop watches it already. */
void linger(struct lingering *lingering, int fd, int is_watched);

/* Closes all of them. */
void linger_no_more(struct lingering *lingering);

#endif
