/*
 * pump_epoll.c - a byte pump with one thread around one epoll: the limit of a proxy in an event loop.
 *
 * One buffer serves all sessions: what was read is written at once. What the other side does not take is kept by the
 * session, and nothing more is read from where it came until it is gone.
 */
#include "pump.h"

#include <fcntl.h>
#include <sys/epoll.h>

enum { EVENTS = 256 };

struct session;

/* One of the two sockets of a session, and what waits to be written to it. */
struct side {
    struct session *session;
    struct side *other;
    int fd, ended, watched; /* ended: its stream is at its end; watched: the events that epoll knows */
    char *kept;
    size_t kept_start, kept_end;
};

struct session {
    struct side client, upstream;
    struct session *next_dead;
    int dead;
};

static int loop;
static struct session *dead; /* freed after the batch of events that may still name it */

/* Asks epoll for what can be gone on with. */
static void watch(struct side *side)
{
    int wanted = 0;
    if (!side->ended && side->other->kept == NULL)
        wanted |= EPOLLIN;
    if (side->kept != NULL)
        wanted |= EPOLLOUT;
    if (wanted == side->watched)
        return;
    struct epoll_event event = {.events = (uint32_t)wanted, .data = {.ptr = side}};
    epoll_ctl(loop, EPOLL_CTL_MOD, side->fd, &event);
    side->watched = wanted;
}

static void end(struct session *session)
{
    if (session->dead)
        return;
    session->dead = 1;
    close(session->client.fd);
    close(session->upstream.fd);
    session->next_dead = dead;
    dead = session;
}

/* Keeps what `to` did not take. Returns 0 if there is no memory. */
static int keep(struct side *to, const char *bytes, size_t count)
{
    to->kept = malloc(count);
    if (to->kept == NULL)
        return 0;
    memcpy(to->kept, bytes, count);
    to->kept_start = 0;
    to->kept_end = count;
    return 1;
}

/* Returns how many bytes were taken, or -1 if the connection is gone. */
static ssize_t offer(struct side *to, const char *bytes, size_t count)
{
    ssize_t sent = send(to->fd, bytes, count, 0);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static void pass_end(struct side *from)
{
    from->ended = 1;
    if (from->other->ended)
        end(from->session);
    else
        shutdown(from->other->fd, SHUT_WR);
}

static void on_input(struct side *from)
{
    static char buffer[BUFFER];
    ssize_t count = recv(from->fd, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count < 0) {
        end(from->session);
        return;
    }
    if (count == 0) {
        pass_end(from);
        return;
    }
    ssize_t sent = offer(from->other, buffer, (size_t)count);
    if (sent < 0 || (sent < count && !keep(from->other, buffer + sent, (size_t)(count - sent))))
        end(from->session);
}

static void on_output(struct side *to)
{
    ssize_t sent = offer(to, to->kept + to->kept_start, to->kept_end - to->kept_start);
    if (sent < 0) {
        end(to->session);
        return;
    }
    to->kept_start += (size_t)sent;
    if (to->kept_start == to->kept_end) {
        free(to->kept);
        to->kept = NULL;
    }
}

static void on_event(struct side *side, uint32_t events)
{
    struct session *session = side->session;
    if (!session->dead && (events & EPOLLOUT) && side->kept != NULL)
        on_output(side);
    if (!session->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && side->other->kept == NULL) {
        if (side->ended)
            end(session); /* a reset after its end */
        else
            on_input(side);
    }
    if (!session->dead) {
        watch(side);
        watch(side->other);
    }
}

static void add(struct session *session, struct side *side, struct side *other, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = side}};
    *side = (struct side){.session = session, .other = other, .fd = fd, .watched = EPOLLIN};
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

static void on_client(int listener)
{
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    without_delay(client);
    int fd = dial(); /* on the loopback that does not wait */
    struct session *session = fd < 0 ? NULL : calloc(1, sizeof *session);
    if (session == NULL) {
        close(client);
        if (fd >= 0)
            close(fd);
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    add(session, &session->client, &session->upstream, client);
    add(session, &session->upstream, &session->client, fd);
}

static void bury(void)
{
    while (dead != NULL) {
        struct session *session = dead;
        dead = session->next_dead;
        free(session->client.kept);
        free(session->upstream.kept);
        free(session);
    }
}

int main(int argc, char **argv)
{
    int listener = start(argc, argv);
    struct epoll_event events[EVENTS], accepting = {.events = EPOLLIN, .data = {.ptr = NULL}};
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &accepting) != 0)
        die("epoll");
    for (;;) {
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                on_client(listener);
            else
                on_event(events[i].data.ptr, events[i].events);
        }
        bury();
    }
}
