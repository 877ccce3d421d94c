/* epoll_crowd.c - see epoll_crowd.h. A list whose links point to where they are pointed from. */
#include "epoll_crowd.h"

void crowd_enter(struct crowd *crowd, struct session *session)
{
    session->number = ++crowd->opened;
    session->next = crowd->sessions;
    session->link = &crowd->sessions;
    if (session->next != NULL)
        session->next->link = &session->next;
    crowd->sessions = session;
    if (++crowd->present > crowd->most_present)
        crowd->most_present = crowd->present;
}

void crowd_leave(struct crowd *crowd, struct session *session)
{
    if (session->next != NULL)
        session->next->link = session->link;
    *session->link = session->next;
    crowd->present--;
    crowd->on_gone(crowd);
}

static void drain(struct session *session, int code)
{
    wsproxy_drain(session->p, code, NULL, 0);
}

static void stop(struct session *session, int code)
{
    wsproxy_stop(session->p, code, NULL, 0);
}

/* The code that was given before counts. */
static void abort_now(struct session *session, int code)
{
    (void)code;
    wsproxy_abort(session->p);
    session_give_up(session);
}

static void tell_all(struct crowd *crowd, void (*tell)(struct session *session, int code), int code)
{
    struct session *session = crowd->sessions, *next;
    for (; session != NULL; session = next) {
        next = session->next; /* this one may go */
        tell(session, code);
        session_heed(session);
    }
}

void crowd_drain(struct crowd *crowd, int code)
{
    tell_all(crowd, drain, code);
}

void crowd_stop(struct crowd *crowd, int code)
{
    tell_all(crowd, stop, code);
}

void crowd_abort(struct crowd *crowd)
{
    tell_all(crowd, abort_now, 0);
}
