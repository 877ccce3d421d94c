/*
 * epoll_session.h - one client and its upstream: two sockets of ours, and between them a session of the library's that
 * is driven by pull. With epoll_carry.h it is the part to copy.
 *
 * Rules of the event-loop face, as they are kept here:
 *  1. wsproxy_pull_tick before all else in a turn, with the loop's time; then wsproxy_pull_deadline says when to come
 *     back. It is asked last, as whatever is done may bring it nearer.
 *  2. A side is read into wsproxy_pull_room, and only while there is any: no room means that the other side does not
 *     take its bytes, or that a frame waits. What is not read stays in the socket, and TCP slows its sender down.
 *  3. After each read, and after each write to the other side, frames are asked for until there is none.
 *  4. Output is written at once, as it is after all frames of a read; EPOLLOUT is waited for only after EAGAIN.
 *  5. Before the handshakes are over too the same things are done: requests and answers are input and output. The
 *     upstream is dialled when there is output for it.
 *  6. The end of a stream, and a connection that breaks or never comes about, go to wsproxy_pull_input_ended. While the
 *     upstream is asked the client is not read, and its leaving is told by EPOLLRDHUP.
 *  7. wsproxy_pull_wants_fin is answered with shutdown(SHUT_WR), once per side.
 *  8. wsproxy_pull_is_over: what waits is written as far as it goes, both connections are closed, and so is the session.
 *     A client that was refused is let read why (epoll_linger.h).
 *  9. TLS is the host's (epoll_tls.h), and lies below all this: bytes are encrypted when the library hands them out, and
 *     are written for the library then; what the socket has no room for waits here, and the end of the session for it.
 */
#ifndef EPOLL_SESSION_H
#define EPOLL_SESSION_H

#include "epoll_loop.h"
#include "epoll_sockets.h"

struct crowd;

/* One of the two connections. */
struct side {
    struct source source;
    struct session *session;
    int name;     /* WSPROXY_CLIENT or WSPROXY_UPSTREAM */
    int fd;       /* -1: none */
    int is_secure; /* TLS is spoken there */
    struct tls *tls; /* NULL: not yet */
    int securing; /* its handshake is under way: the library's bytes wait for that */
    int readable; /* recv may bring something: what epoll has told and recv has not taken back */
    int blocked;  /* send has said EAGAIN, or connect is not through, or TLS: epoll will tell */
    int hung_up;  /* no more is sent from there than has come */
    int ended;    /* the library was told so */
    int finished; /* our half is closed */
};

struct session {
    struct side client, upstream;
    wsproxy *p;
    struct crowd *crowd;
    struct timer timer;
    struct task task; /* to go on, or to be freed */
    int64_t told;     /* the time, as the library knows it */
    int64_t last;     /* when what TLS has still to write is given up; 0: not over yet */
    size_t tried;     /* addresses of the upstream */
    int dialling, open, over;
    int in_text[3]; /* for the hook */
    unsigned long number;
    struct session *next, **link; /* in the crowd */
};

/* Serves a client, whose socket it takes over. Returns 0, or -1 if there is no memory: then the socket is closed. */
int session_open(struct crowd *crowd, int fd, const struct place *peer);

/* What is still to be written is given up. */
void session_give_up(struct session *session);

/* Has the library hear what wsproxy_drain, wsproxy_stop, wsproxy_abort or wsproxy_send have asked of the session, and
 * goes on with what comes of it. Those may be called on any thread, this on the loop's only. */
void session_heed(struct session *session);

#endif
