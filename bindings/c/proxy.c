/*
 * proxy.c - a WebSocket proxy in C: a server, a hook on every frame, and an end that hurts nobody.
 *
 *     cc -std=c99 -pthread proxy.c -o proxy $(pkg-config --cflags --libs wsproxy)
 *     ./proxy --listen 127.0.0.1:8080 --upstream wss://echo.example --hook pass --print
 *
 * Rules. The library accepts, and serves each client on a thread of its own; the hooks run there, several at once, so
 * that what they share is locked. What belongs to one session hangs on it (wsproxy_userdata) from the open hook to the
 * end hook. SIGTERM and SIGINT drain the server: their handler does nothing else. The command line is in flags.h, what
 * the hook does with text in hook.h, what is written in lines.h.
 */
#define _XOPEN_SOURCE 700

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsproxy.h>

#include "flags.h"
#include "hook.h"
#include "lines.h"
#include "process.h"

enum { GOING_AWAY = 1001 }; /* the close code of a drain */

static const struct program program = {
    "proxy",
    "usage: proxy --listen HOST:PORT|unix:PATH --upstream URL\n"
    "             [--hook none|pass|upper] [--threads serial|concurrent|caller] [--aggregate]\n"
    "             [--tls-cert FILE --tls-key FILE] [--tls-ca FILE]... [--origin ORIGIN]...\n"
    "             [--max-connections N] [--drain-timeout MS] [--idle-timeout MS]\n"
    "             [--max-frame-size N] [--max-message-size N] [--max-fragments N] [--print] [--help]\n"
    "bindings/c/README.md tells what each is.\n",
    0};

/* What there is for each client. */
struct session {
    unsigned long number;
    int in_text[3]; /* by side: whether the open message is text; touched by that side's direction only */
};

/* What all sessions share. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long opened, present, most_present;

/* What the signal handler needs. */
static wsproxy_server *server;
static int64_t drain_timeout_ms;
static volatile sig_atomic_t draining;

/* ---- the hook ------------------------------------------------------------------------------------------------ */

/* Returns 1 if the frame had letters to change, 0 if not, -1 if that failed. */
static int change(wsproxy_frame *frame)
{
    uint8_t *copy;
    int changed = upper_case(frame, &copy);
    if (changed > 0 && wsproxy_frame_set_payload(frame, copy, frame->payload_len) != WSPROXY_OK)
        changed = -1;
    free(copy);
    return changed;
}

static int on_frame(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    const struct options *options = userdata;
    struct session *session = wsproxy_userdata(p);
    const char *action = "forwarded";
    if (options->hook == HOOK_UPPER && is_text(session->in_text, frame)) {
        int changed = change(frame);
        if (changed < 0)
            return 0; /* no verdict: the session ends with 1011 */
        if (changed > 0)
            action = "upper-cased";
    }
    if (options->print)
        print_frame(session->number, frame, action);
    return WSPROXY_FORWARD;
}

/* ---- sessions ------------------------------------------------------------------------------------------------ */

static int on_open(wsproxy *p, void *userdata)
{
    struct session *session = calloc(1, sizeof *session);
    (void)userdata;
    if (session == NULL)
        return 0; /* not accepted: the client is answered 500 */
    pthread_mutex_lock(&lock);
    session->number = ++opened;
    if (++present > most_present)
        most_present = present;
    pthread_mutex_unlock(&lock);
    wsproxy_set_userdata(p, session);
    return WSPROXY_ACCEPT;
}

/* Whether a crowd has just gone. */
static int leave(void)
{
    pthread_mutex_lock(&lock);
    int crowd_gone = --present == 0 && most_present >= CROWD;
    if (crowd_gone)
        most_present = 0;
    pthread_mutex_unlock(&lock);
    return crowd_gone;
}

static void on_end(wsproxy *p, int result, void *userdata)
{
    struct session *session = wsproxy_userdata(p);
    (void)userdata;
    if (session == NULL) /* the open hook had no memory */
        return;
    print_failure(session->number, p, result);
    free(session);
    if (leave())
        give_memory_back();
}

/* What no session can tell: no descriptors, no threads; and what ended a session that was no peer's doing. */
static void on_log(int level, const char *message, void *userdata)
{
    (void)level, (void)userdata;
    fprintf(stderr, "proxy: %s\n", message);
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

/* Whoever asks twice does not want to wait. Of the library's functions this one alone may be called here. */
static void on_signal(int number)
{
    (void)number;
    wsproxy_server_drain(server, GOING_AWAY, draining ? 0 : drain_timeout_ms);
    draining = 1;
}

static void at_signals(void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGTERM); /* one after the other */
    sigaddset(&action.sa_mask, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* ---- all together -------------------------------------------------------------------------------------------- */

/* Returns 0, or the status that the program ends with. */
static int prepare(const struct options *options)
{
    wsproxy_server_set_on_open(server, on_open);
    wsproxy_server_set_on_end(server, on_end);
    if (options->max_connections > 0)
        wsproxy_server_set_max_connections(server, options->max_connections);
    if (wsproxy_server_set_upstream(server, options->upstream) != WSPROXY_OK) {
        complain(&program, "bad value:", "--upstream", options->upstream, wsproxy_server_error(server));
        return 2;
    }
    int result = wsproxy_server_listen(server, options->listen);
    if (result == WSPROXY_ERR_ARGUMENT) {
        complain(&program, "bad value:", "--listen", options->listen, wsproxy_server_error(server));
        return 2;
    }
    if (result != WSPROXY_OK) {
        fprintf(stderr, "proxy: %s\n", wsproxy_server_error(server));
        return 1;
    }
    return 0;
}

static int serve(struct options *options)
{
    int has_hook = options->hook != HOOK_NONE || options->print;
    raise_descriptor_limit();
    setvbuf(stdout, NULL, _IOLBF, 0);
    wsproxy_log(WSPROXY_LOG_WARN, on_log, NULL);
    at_signals(on_signal);
    printf("listening on %s\n", wsproxy_server_address(server, 0));
    int result = wsproxy_server_run(server, has_hook ? on_frame : NULL, options);
    at_signals(SIG_IGN); /* nothing is left to drain */
    if (result != WSPROXY_OK)
        fprintf(stderr, "proxy: %s\n", wsproxy_server_error(server));
    return result == WSPROXY_OK ? 0 : 1;
}

static int run(struct options *options)
{
    keep_memory_together();
    server = wsproxy_server_new(options->config);
    if (server == NULL) {
        fprintf(stderr, "proxy: no memory or descriptors\n");
        return 1;
    }
    drain_timeout_ms = options->drain_timeout_ms;
    int status = prepare(options);
    if (status == 0)
        status = serve(options);
    wsproxy_server_free(server);
    return status;
}

int main(int argc, char **argv)
{
    return run_with_flags(&program, argc, argv, run);
}
