/*
 * epoll_crowd.h - all sessions: what they have in common, and what is said to each of them.
 */
#ifndef EPOLL_CROWD_H
#define EPOLL_CROWD_H

#include "epoll_linger.h"
#include "epoll_loop.h"
#include "epoll_session.h"
#include "epoll_sockets.h"
#include "epoll_tls.h"
#include "hook.h"

struct crowd {
    struct loop *loop;
    struct lingering *lingering;
    const wsproxy_config *config;
    const char *upstream; /* its URL */
    struct places places;
    SSL_CTX *to_upstreams, *to_clients; /* NULL: without TLS */
    enum hook hook;
    int print;
    struct session *sessions;
    unsigned long opened, present, most_present;
    void (*on_gone)(struct crowd *crowd); /* after each session's end */
};

void crowd_enter(struct crowd *crowd, struct session *session);
void crowd_leave(struct crowd *crowd, struct session *session);

/* For each session wsproxy_drain, wsproxy_stop, wsproxy_abort. */
void crowd_drain(struct crowd *crowd, int code);
void crowd_stop(struct crowd *crowd, int code);
void crowd_abort(struct crowd *crowd);

#endif
