/* epoll_loop.c - see epoll_loop.h. Deadlines are a binary heap of pointers to where they are embedded. */
#define _GNU_SOURCE

#include "epoll_loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int64_t clock_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int loop_open(struct loop *loop)
{
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .now = clock_ms()};
    loop->last = &loop->first;
    return loop->epoll < 0 ? -1 : 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll);
    free(loop->heap);
}

/* ---- descriptors --------------------------------------------------------------------------------------------- */

static int control(struct loop *loop, int what, int fd, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data = {.ptr = source}};
    return epoll_ctl(loop->epoll, what, fd, &event);
}

int loop_watch(struct loop *loop, int fd, struct source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, fd, source, events);
}

int loop_watch_instead(struct loop *loop, int fd, struct source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, fd, source, events);
}

/* ---- deadlines ----------------------------------------------------------------------------------------------- */

static void put(struct loop *loop, struct timer *timer, size_t place)
{
    loop->heap[place] = timer;
    timer->place = place;
}

/* Moves a timer to where it belongs between the first and its place. */
static void rise(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    for (; place > 1 && loop->heap[place / 2]->at > timer->at; place /= 2)
        put(loop, loop->heap[place / 2], place);
    put(loop, timer, place);
}

/* Moves a timer to where it belongs between its place and the last. */
static void sink(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    for (size_t child; (child = place * 2) <= loop->set; place = child) {
        if (child < loop->set && loop->heap[child + 1]->at < loop->heap[child]->at)
            child++;
        if (loop->heap[child]->at >= timer->at)
            break;
        put(loop, loop->heap[child], place);
    }
    put(loop, timer, place);
}

int timer_open(struct loop *loop, struct timer *timer, void (*on_time)(struct timer *timer))
{
    if (loop->open + 1 >= loop->room) {
        size_t room = loop->room * 2 + 64;
        struct timer **heap = realloc(loop->heap, room * sizeof *heap);
        if (heap == NULL)
            return -1;
        loop->heap = heap;
        loop->room = room;
    }
    loop->open++;
    *timer = (struct timer){.on_time = on_time};
    return 0;
}

void timer_not_after(struct loop *loop, struct timer *timer, int64_t at)
{
    if (at < 0 || (timer->place != 0 && timer->at <= at))
        return;
    if (timer->place == 0)
        put(loop, timer, ++loop->set);
    timer->at = at;
    rise(loop, timer);
}

static void take_out(struct loop *loop, struct timer *timer)
{
    if (timer->place == 0)
        return;
    struct timer *last = loop->heap[loop->set--];
    if (last != timer) {
        put(loop, last, timer->place);
        rise(loop, last);
        sink(loop, last);
    }
    timer->place = 0;
}

void timer_close(struct loop *loop, struct timer *timer)
{
    take_out(loop, timer);
    loop->open--;
}

/* Each once: who sets his again for now waits for the next turn. */
static void strike(struct loop *loop)
{
    for (size_t left = loop->set; left > 0 && loop->set > 0 && loop->heap[1]->at <= loop->now; left--) {
        struct timer *timer = loop->heap[1];
        take_out(loop, timer);
        timer->on_time(timer);
    }
}

/* ---- turns --------------------------------------------------------------------------------------------------- */

void loop_do_later(struct loop *loop, struct task *task)
{
    if (task->queued)
        return;
    task->queued = 1;
    task->next = NULL;
    *loop->last = task;
    loop->last = &task->next;
}

/* Those that they ask for in their turn are for the next one. */
static void do_tasks(struct loop *loop)
{
    struct task *task = loop->first, *next;
    loop->first = NULL;
    loop->last = &loop->first;
    for (; task != NULL; task = next) {
        next = task->next;
        task->queued = 0;
        task->run(task); /* which may free it */
    }
}

static int patience(const struct loop *loop)
{
    if (loop->first != NULL)
        return 0;
    if (loop->set == 0)
        return -1;
    int64_t left = loop->heap[1]->at - loop->now;
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS];
    while (!loop->ended || loop->first != NULL) {
        int count = epoll_wait(loop->epoll, events, EVENTS, patience(loop));
        if (count < 0 && errno != EINTR)
            return -1;
        loop->now = clock_ms();
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            source->on_events(source, events[i].events);
        }
        strike(loop);
        do_tasks(loop);
    }
    return 0;
}
