/* epoll_carry.c - see epoll_carry.h. */
#define _GNU_SOURCE

#include "epoll_carry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "epoll_crowd.h"
#include "epoll_tls.h"
#include "lines.h"

enum { PARTS = 3 }; /* of output: always enough */

struct side *other(struct side *side)
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

/* Where there is to be TLS, nothing crosses before there is, nor if there cannot be. */
static int is_bare(const struct side *side)
{
    return side->is_secure && (side->tls == NULL || side->securing);
}

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

int flush(struct side *to)
{
    wsproxy *p = to->session->p;
    wsproxy_bytes parts[PARTS];
    if (to->fd < 0 || to->blocked || is_bare(to) || !flush_tls(to))
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
    if (to->tls != NULL)
        to->blocked = tls_waits(to->tls);
    else
        to->blocked = sent < 0 || (size_t)sent < all; /* less than all means EAGAIN for the rest (epoll(7)) */
    return !to->blocked;
}

void deliver(struct side *from)
{
    judge(from);
    while (flush(other(from)) && judge(from)) /* some may have been left while much waited */
        continue;
    flush(from);
}

void end_input(struct side *from, const char *how)
{
    if (from->ended)
        return;
    from->ended = 1;
    from->readable = 0;
    wsproxy_pull_input_ended(from->session->p, from->name, how, how == NULL ? 0 : strlen(how));
    deliver(from);
}

int carry(struct side *from)
{
    size_t size;
    void *room;
    if (!from->readable || is_bare(from) || (from->tls != NULL && tls_is_held(from->tls)) ||
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
        from->readable = from->tls != NULL && tls_is_paused(from->tls);
        flush(from); /* what TLS has answered */
        if (from->readable) {
            loop_do_later(from->session->crowd->loop, &from->session->task);
            return 0;
        }
    } else if (errno == EPROTO && from->tls != NULL) {
        end_input(from, tls_words(from->tls));
    } else if (errno != EINTR) {
        char words[100];
        snprintf(words, sizeof words, "lost (%s)", strerror(errno));
        end_input(from, words);
    }
    return 1;
}
