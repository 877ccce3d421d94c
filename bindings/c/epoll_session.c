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

#include "epoll_crowd.h"
#include "epoll_tls.h"
#include "lines.h"

enum {
    PARTS = 3,  /* of output: always enough */
    ROUNDS = 16, /* reads from either side before others have their turn */
    LAST_WORDS_MS = 1000 /* for what TLS has still to write when all is over */
};

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static struct side *other(struct side *side)
{
    return side->name == WSPROXY_CLIENT ? &side->session->upstream : &side->session->client;
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

static int look_at(struct session *session, const wsproxy_frame *frame)
{
    const char *action = "forwarded";
    if (session->crowd->hook == HOOK_UPPER && is_text(session->in_text, frame)) {
        uint8_t *copy;
        int changed = upper_case(frame, &copy);
        if (changed > 0)
            changed = wsproxy_pull_set_payload(session->p, frame->from, copy, frame->payload_len) == WSPROXY_OK ? 1 : -1;
        free(copy);
        if (changed < 0)
            return 0; /* no verdict: the session ends with 1011 */
        if (changed > 0)
            action = "upper-cased";
    }
    if (session->crowd->print)
        print_frame(session->number, frame, action); /* which tells the new payload */
    return WSPROXY_FORWARD;
}

/* Every frame from this side that waits. Returns 0 if there was none. */
static int judge(struct side *from)
{
    struct session *session = from->session;
    if (session->crowd->hook == HOOK_NONE && !session->crowd->print) {
        wsproxy_pull_pass(session->p, from->name);
        return 1; /* nobody has seen whether there was one */
    }
    const wsproxy_frame *frame = wsproxy_pull_frame(session->p, from->name);
    if (frame == NULL)
        return 0;
    while (frame != NULL)
        frame = wsproxy_pull_verdict(session->p, from->name, look_at(session, frame));
    return 1;
}

/* ---- bytes --------------------------------------------------------------------------------------------------- */

/* Writes what TLS could not yet. Returns 1 if nothing waits there. */
static int flush_tls(struct side *to)
{
    if (to->tls == NULL)
        return 1;
    int done = tls_flush(to->tls);
    if (done < 0)
        wsproxy_pull_output_failed(to->session->p, to->name);
    to->blocked = done == 0;
    return done == 1;
}

/* Writes what waits for this side. Returns 1 if all of it went, and there was some. */
static int flush(struct side *to)
{
    wsproxy *p = to->session->p;
    wsproxy_bytes parts[PARTS];
    if (to->fd < 0 || to->blocked || !flush_tls(to))
        return 0;
    int count = wsproxy_pull_output(p, to->name, parts, PARTS);
    if (count <= 0)
        return 0;
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += parts[i].len;
    ptrdiff_t sent = to->tls == NULL ? send_parts(to->fd, parts, count) : tls_send(to->tls, parts, count);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        wsproxy_pull_output_failed(p, to->name); /* what it sent before is still read */
        return 0;
    }
    if (sent > 0)
        wsproxy_pull_wrote(p, to->name, (size_t)sent);
    to->blocked = sent < 0 || (size_t)sent < all; /* less than all means EAGAIN for the rest (epoll(7)) */
    if (to->tls != NULL)
        to->blocked = tls_waits(to->tls);
    return !to->blocked;
}

/* Frames from this side, to the other; whatever else has come of them, to this one. */
static void deliver(struct side *from)
{
    judge(from);
    while (flush(other(from)) && judge(from)) /* some may have been left while much waited */
        continue;
    flush(from);
}

/* The stream of this side is over. NULL means that it was closed. */
static void end_input(struct side *from, const char *how)
{
    if (from->ended)
        return;
    from->ended = 1;
    from->readable = 0;
    wsproxy_pull_input_ended(from->session->p, from->name, how, how == NULL ? 0 : strlen(how));
    deliver(from);
}

/* Reads once, and takes what came as far as it goes. Returns 0 if there was nothing to be read, or no room for it. */
static int carry(struct side *from)
{
    size_t size;
    void *room;
    if (!from->readable || (from->tls != NULL && tls_is_held(from->tls)) ||
        (room = wsproxy_pull_room(from->session->p, from->name, &size)) == NULL)
        return 0;
    ptrdiff_t count = from->tls == NULL ? recv(from->fd, room, size, 0) : tls_recv(from->tls, room, size);
    if (count > 0) {
        int is_all = from->tls == NULL ? (size_t)count < size : tls_is_drained(from->tls);
        from->readable = !is_all || from->hung_up; /* less than there was room for is all there is */
        wsproxy_pull_filled(from->session->p, from->name, (size_t)count);
        deliver(from);
    } else if (count == 0) {
        end_input(from, NULL);
    } else if (errno == EAGAIN) {
        from->readable = 0;
        flush(from); /* what TLS has answered */
    } else if (errno == EPROTO && from->tls != NULL) {
        end_input(from, tls_words(from->tls));
    } else if (errno != EINTR) {
        char words[100];
        snprintf(words, sizeof words, "lost (%s)", strerror(errno));
        end_input(from, words);
    }
    return 1;
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

static void hang_up(struct side *side)
{
    if (side->fd < 0)
        return;
    if (side->tls != NULL)
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
        if (session->client.tls != NULL)
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
    if (side->tls != NULL && tls_finish(side->tls) == 0) {
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
    side->securing = done == 0;
    side->blocked = done != 1;
    side->readable = done == 1;
    if (done < 0)
        end_input(side, side->tls == NULL ? "lost (out of memory)" : tls_words(side->tls));
    else if (done == 1)
        deliver(other(side));
}

/* Puts TLS on a connection, if there is to be any; `host` as for tls_open. */
static void begin_to_secure(struct side *side, SSL_CTX *context, const char *host)
{
    if (context == NULL)
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
    if (side == &session->upstream && session->dialling)
        dialled(session);
    else if (side->securing)
        secure(side);
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
    go_on(session);
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
    session->client = (struct side){.session = session, .name = WSPROXY_CLIENT, .fd = fd, .source.on_events = on_events};
    session->upstream = (struct side){.session = session, .name = WSPROXY_UPSTREAM, .fd = -1,
                                      .source.on_events = on_events};
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
