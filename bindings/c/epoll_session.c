/* epoll_session.c - see epoll_session.h. */
#define _GNU_SOURCE

#include "epoll_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "epoll_carry.h"
#include "epoll_crowd.h"
#include "epoll_tls.h"
#include "lines.h"

enum {
    ROUNDS = 16, /* reads from either side before others have their turn */
    LAST_WORDS_MS = 1000 /* for what TLS has still to write when all is over */
};

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* ---- the end ------------------------------------------------------------------------------------------------- */

static void hang_up(struct side *side)
{
    if (side->fd < 0)
        return;
    tls_finish(side->tls);
    discard_input(side->fd);
    close(side->fd);
    side->fd = -1;
}

/* All is said: the connections go at once, the memory behind this turn's events. */
static void end(struct session *session)
{
    struct crowd *crowd = session->crowd;
    print_failure(session->number, session->p, wsproxy_pull_result(session->p));
    if (!session->open && !session->client.ended) { /* it may have been told why */
        tls_finish(session->client.tls);
        linger(crowd->lingering, session->client.fd, 1);
        session->client.fd = -1;
    }
    hang_up(&session->client);
    hang_up(&session->upstream);
    tls_close(session->client.tls);
    tls_close(session->upstream.tls);
    wsproxy_free(session->p);
    session->p = NULL;
    timer_close(crowd->loop, &session->timer);
    session->over = 1;
    loop_do_later(crowd->loop, &session->task);
    crowd_leave(crowd, session);
}

static void finish(struct side *side)
{
    if (side->finished || side->fd < 0 || !wsproxy_pull_wants_fin(side->session->p, side->name))
        return;
    if (tls_finish(side->tls) == 0) {
        side->blocked = 1;
        return;
    }
    side->finished = 1;
    shutdown(side->fd, SHUT_WR);
}

static int has_last_words(const struct side *side)
{
    return side->fd >= 0 && side->tls != NULL && tls_waits(side->tls);
}

/* The library has nothing more to say, and what it has said is out, or nobody takes it. */
static int is_over(struct session *session)
{
    struct loop *loop = session->crowd->loop;
    if (!wsproxy_pull_is_over(session->p))
        return 0;
    if (!has_last_words(&session->client) && !has_last_words(&session->upstream))
        return 1;
    if (session->last == 0)
        session->last = loop->now + LAST_WORDS_MS;
    timer_not_after(loop, &session->timer, session->last);
    return loop->now >= session->last;
}

/* ---- handshakes ---------------------------------------------------------------------------------------------- */

/* Goes on with the handshake of TLS. */
static void secure(struct side *side)
{
    int done = side->tls == NULL ? -1 : tls_shake_hands(side->tls);
    if (done == 0 && tls_is_paused(side->tls))
        loop_do_later(side->session->crowd->loop, &side->session->task);
    side->securing = done == 0;
    side->blocked = done != 1; /* nor is anything written where it has failed */
    side->readable = done == 1;
    if (done < 0)
        end_input(side, side->tls == NULL ? "lost (out of memory)" : tls_words(side->tls));
    else if (done == 1)
        deliver(other(side));
}

/* Puts TLS on a connection, if there is to be any; `host` as for tls_open. */
static void begin_to_secure(struct side *side, SSL_CTX *context, const char *host)
{
    if (!side->is_secure)
        return;
    side->tls = tls_open(context, side->fd, host);
    secure(side);
}

/* Tries the upstream's addresses, one after the other, from where it was; `error` is what became of the last. */
static void dial_next(struct session *session, int error)
{
    struct side *upstream = &session->upstream;
    const struct places *places = &session->crowd->places;
    while (session->tried < places->count) {
        int fd = dial(&places->each[session->tried++]);
        if (fd >= 0 && loop_watch(session->crowd->loop, fd, &upstream->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP) == 0) {
            upstream->fd = fd;
            upstream->blocked = session->dialling = 1;
            return;
        }
        error = errno;
        if (fd >= 0)
            close(fd);
    }
    char words[400];
    snprintf(words, sizeof words, "cannot connect to %s: %s", places->name,
             error == EAGAIN ? "its queue of connections is full" : strerror(error)); /* a Unix socket's does not wait */
    end_input(upstream, words);
}

static void dialled(struct session *session)
{
    struct side *upstream = &session->upstream;
    int error = dial_outcome(upstream->fd);
    session->dialling = 0;
    if (error == 0) {
        begin_to_secure(upstream, session->crowd->to_upstreams, wsproxy_pull_upstream_host(session->p));
        return;
    }
    close(upstream->fd);
    upstream->fd = -1;
    dial_next(session, error);
}

/* What is to be done before both handshakes are over. */
static void shake_hands(struct session *session)
{
    wsproxy *p = session->p;
    struct side *client = &session->client, *upstream = &session->upstream;
    wsproxy_bytes part;
    if (wsproxy_pull_is_open(p, WSPROXY_CLIENT) == 1 && wsproxy_pull_is_open(p, WSPROXY_UPSTREAM) == 1) {
        session->open = 1;
        deliver(client); /* frames that came with the handshakes */
        deliver(upstream);
        return;
    }
    if (client->hung_up && !client->ended && !wsproxy_pull_wants_input(p, WSPROXY_CLIENT))
        end_input(client, NULL);
    if (client->securing && wsproxy_pull_output(p, WSPROXY_CLIENT, &part, 1) > 0)
        wsproxy_pull_output_failed(p, WSPROXY_CLIENT); /* too slow to be told so */
    if (upstream->fd < 0 && !upstream->ended && wsproxy_pull_output(p, WSPROXY_UPSTREAM, &part, 1) > 0)
        dial_next(session, 0);
}

/* ---- turns --------------------------------------------------------------------------------------------------- */

static void tell_time(struct session *session)
{
    session->told = session->crowd->loop->now;
    wsproxy_pull_tick(session->p, session->told);
    flush(&session->client);
    flush(&session->upstream);
}

/* Everything that can be done now. */
static void go_on(struct session *session)
{
    struct loop *loop = session->crowd->loop;
    int rounds = 0, moved;
    do {
        if (!session->open)
            shake_hands(session);
        moved = carry(&session->client);
        moved |= carry(&session->upstream);
    } while (moved && ++rounds < ROUNDS);
    if (moved)
        loop_do_later(loop, &session->task);
    finish(&session->client);
    finish(&session->upstream);
    if (is_over(session))
        end(session);
    else
        timer_not_after(loop, &session->timer, wsproxy_pull_deadline(session->p));
}

static void on_events(struct source *source, uint32_t events)
{
    struct side *side = CONTAINER(source, struct side, source);
    struct session *session = side->session;
    if (session->over)
        return;
    if (session->told != session->crowd->loop->now)
        tell_time(session);
    if (side == &session->upstream && session->dialling) {
        dialled(session);
        if (session->dialling || side->fd < 0) { /* what was told is of a connection that is no more */
            go_on(session);
            return;
        }
    } else if (side->securing) {
        secure(side);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !side->securing)
        side->readable = !side->ended;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        side->hung_up = 1;
    if (side->blocked && !side->securing && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        side->blocked = 0;
        deliver(other(side)); /* which may have been held back */
    }
    go_on(session);
}

void session_heed(struct session *session)
{
    tell_time(session);
    go_on(session);
}

static void on_time(struct timer *timer)
{
    session_heed(CONTAINER(timer, struct session, timer));
}

static void run(struct task *task)
{
    struct session *session = CONTAINER(task, struct session, task);
    if (session->over) {
        free(session);
        return;
    }
    if (session->told != session->crowd->loop->now)
        tell_time(session);
    if (session->client.securing)
        secure(&session->client);
    if (session->upstream.securing)
        secure(&session->upstream);
    go_on(session);
}

void session_give_up(struct session *session)
{
    session->last = session->crowd->loop->now;
}

/* ---- sessions ------------------------------------------------------------------------------------------------ */

/* Whom the upstream is told of, if wsproxy_config_set_forwarded says so. */
static void name_peer(wsproxy *p, const struct place *peer, int is_secure)
{
    const struct sockaddr_in *v4 = (const void *)&peer->address;
    const struct sockaddr_in6 *v6 = (const void *)&peer->address;
    char text[INET6_ADDRSTRLEN];
    int family = peer->address.ss_family;
    if ((family == AF_INET && inet_ntop(family, &v4->sin_addr, text, sizeof text) != NULL) ||
        (family == AF_INET6 && inet_ntop(family, &v6->sin6_addr, text, sizeof text) != NULL))
        wsproxy_pull_set_peer(p, text, is_secure);
}

int session_open(struct crowd *crowd, int fd, const struct place *peer)
{
    struct session *session = calloc(1, sizeof *session);
    wsproxy *p = session == NULL ? NULL : wsproxy_new(crowd->config);
    if (p == NULL || timer_open(crowd->loop, &session->timer, on_time) != 0) {
        wsproxy_free(p);
        free(session);
        close(fd);
        return -1;
    }
    session->p = p;
    session->crowd = crowd;
    session->task.run = run;
    session->client = (struct side){.session = session, .name = WSPROXY_CLIENT, .fd = fd,
                                    .is_secure = crowd->to_clients != NULL, .source.on_events = on_events};
    session->upstream = (struct side){.session = session, .name = WSPROXY_UPSTREAM, .fd = -1,
                                      .is_secure = crowd->to_upstreams != NULL, .source.on_events = on_events};
    crowd_enter(crowd, session);
    tell_time(session);
    name_peer(p, peer, crowd->to_clients != NULL);
    if (wsproxy_pull_connect(p, crowd->upstream) != WSPROXY_OK ||
        loop_watch(crowd->loop, fd, &session->client.source, EPOLLIN | EPOLLOUT | EPOLLRDHUP) != 0) {
        end(session);
        return -1;
    }
    begin_to_secure(&session->client, crowd->to_clients, NULL);
    go_on(session);
    return 0;
}
