/* epoll_linger.c - see epoll_linger.h. */
#define _GNU_SOURCE

#include "epoll_linger.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "epoll_sockets.h"

enum { LINGER_MS = 1000 };

struct lingerer {
    struct source source;
    struct timer timer;
    struct task task; /* to read on, or to be freed */
    struct lingering *lingering;
    struct lingerer *next, **link;
    int fd; /* -1 when it is over */
};

#define LINGERER(pointer, member) ((struct lingerer *)(void *)((char *)(pointer) - offsetof(struct lingerer, member)))

static void end(struct lingerer *one)
{
    struct lingering *lingering = one->lingering;
    if (one->fd < 0)
        return;
    close(one->fd);
    one->fd = -1;
    timer_close(lingering->loop, &one->timer);
    if (one->next != NULL)
        one->next->link = one->link;
    *one->link = one->next;
    lingering->present--;
    loop_do_later(lingering->loop, &one->task);
    lingering->on_gone(lingering);
}

static void read_on(struct lingerer *one)
{
    enum discarded discarded = discard_input(one->fd);
    if (discarded == DISCARDED_ALL)
        end(one);
    else if (discarded == DISCARDED_SOME)
        loop_do_later(one->lingering->loop, &one->task);
}

static void on_events(struct source *source, uint32_t events)
{
    struct lingerer *one = LINGERER(source, source);
    (void)events;
    if (one->fd >= 0)
        read_on(one);
}

static void on_time(struct timer *timer)
{
    end(LINGERER(timer, timer));
}

static void run(struct task *task)
{
    struct lingerer *one = LINGERER(task, task);
    if (one->fd < 0)
        free(one);
    else
        read_on(one);
}

void linger(struct lingering *lingering, int fd, int is_watched)
{
    struct loop *loop = lingering->loop;
    struct lingerer *one = calloc(1, sizeof *one);
    shutdown(fd, SHUT_WR);
    if (one == NULL || timer_open(loop, &one->timer, on_time) != 0) {
        free(one);
        close(fd);
        return;
    }
    one->source.on_events = on_events;
    one->task.run = run;
    one->lingering = lingering;
    one->fd = fd;
    one->next = lingering->all;
    one->link = &lingering->all;
    if (one->next != NULL)
        one->next->link = &one->next;
    lingering->all = one;
    lingering->present++;
    timer_not_after(loop, &one->timer, loop->now + LINGER_MS);
    if ((is_watched ? loop_watch_instead : loop_watch)(loop, fd, &one->source, EPOLLIN | EPOLLRDHUP) != 0)
        end(one);
}

void linger_no_more(struct lingering *lingering)
{
    while (lingering->all != NULL)
        end(lingering->all);
}
