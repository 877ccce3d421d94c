/*
 * epoll_loop.h - an event loop: descriptors, deadlines, and what is to be done when a turn is over. It knows nothing of
 * WebSocket.
 *
 * Rules. One thread. One reading of the clock per turn (loop.now). Descriptors are watched edge-triggered: epoll tells
 * once that there is something, and whoever is told remembers it until recv or send says EAGAIN or does less than was
 * asked. Against level-triggered watching that saves a look at each socket per turn, and every epoll_ctl where a side
 * is not to be read for a while. What is embedded here (source, timer, task) belongs to whoever embeds it, and is in
 * use until that says otherwise; so memory that events of this turn may still name is freed by a task.
 */
#ifndef EPOLL_LOOP_H
#define EPOLL_LOOP_H

#include <stddef.h>
#include <stdint.h>

/* What a watched descriptor has. */
struct source {
    void (*on_events)(struct source *source, uint32_t events);
};

/* A deadline. */
struct timer {
    void (*on_time)(struct timer *timer);
    int64_t at;
    size_t place; /* in the heap, counted from 1; 0: not set */
};

/* Done once, behind the events of the turn. */
struct task {
    void (*run)(struct task *task);
    struct task *next;
    int queued;
};

struct loop {
    int epoll;
    int64_t now;         /* milliseconds, as of this turn */
    struct timer **heap; /* the earliest is the first; heap[0] is not used */
    size_t set, open, room; /* timers that are set, those that may be, and what the heap has room for */
    struct task *first, **last;
    int ended;
};

/* Returns 0, or -1 with errno. */
int loop_open(struct loop *loop);

/* Turns until loop->ended. Returns 0, or -1 with errno. */
int loop_run(struct loop *loop);

void loop_close(struct loop *loop);

/* Has `source` told of `events` on `fd` until that is closed. Returns 0, or -1 with errno. */
int loop_watch(struct loop *loop, int fd, struct source *source, uint32_t events);

/* Has another source told of what happens to a descriptor that is watched. */
int loop_watch_instead(struct loop *loop, int fd, struct source *source, uint32_t events);

/* Makes a timer, which is not set yet. Returns 0, or -1 if there is no memory; setting it needs none. */
int timer_open(struct loop *loop, struct timer *timer, void (*on_time)(struct timer *timer));

void timer_close(struct loop *loop, struct timer *timer);

/* The timer strikes at `at` or before, once; it stays as it is if that is so already. -1 is never. Whoever is called
 * too early looks at what his deadline is now and sets it again: so deadlines that every frame moves on cost nothing. */
void timer_not_after(struct loop *loop, struct timer *timer, int64_t at);

/* Does it when the events of this turn are dealt with, and what was asked for before; in the next turn, if a task asks
 * for it. */
void loop_do_later(struct loop *loop, struct task *task);

#endif
