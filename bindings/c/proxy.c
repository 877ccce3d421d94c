/*
 * proxy.c - a WebSocket proxy in C: a server, a hook on every frame, and an end that hurts nobody.
 *
 *     cc -std=c99 -pthread proxy.c -o proxy $(pkg-config --cflags --libs wsproxy)
 *     ./proxy --listen 127.0.0.1:8080 --upstream wss://echo.example --hook pass --print
 *
 * Rules. The library accepts, and serves each client on a thread of its own; the hooks run there, several at once, so
 * that what they share is locked. What belongs to one session hangs on it (wsproxy_userdata) from the open hook to the
 * end hook. SIGTERM and SIGINT drain the server: their handler does nothing else. The command line is in flags.h.
 */
#define _XOPEN_SOURCE 700

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <wsproxy.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "flags.h"

enum {
    PREVIEW = 32,             /* characters of a payload that --print shows */
    GOING_AWAY = 1001,        /* the close code of a drain */
    DRAIN_TIMEOUT_MS = 20000, /* the default: more than any closing handshake may take */
    CROWD = 64                /* as many sessions at once leave memory that is worth giving back */
};

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

/* Whether the frame belongs to a text message. Fragments are told by the message that they are in. */
static int is_text(struct session *session, const wsproxy_frame *frame)
{
    int *in_text = &session->in_text[frame->from];
    switch (frame->kind) {
    case WSPROXY_TEXT:
        *in_text = !frame->fin;
        return 1;
    case WSPROXY_BINARY:
        *in_text = 0;
        return 0;
    case WSPROXY_CONTINUATION: {
        int text = *in_text;
        if (frame->fin)
            *in_text = 0;
        return text;
    }
    default:
        return 0;
    }
}

/* Upper-cases the ASCII letters of a frame. Returns 1 if there were any, 0 if not, -1 if it failed. */
static int upper_case(wsproxy_frame *frame)
{
    int changed = 0;
    uint8_t *copy = malloc(frame->payload_len + 1); /* never of no bytes */
    if (copy == NULL)
        return -1;
    for (size_t i = 0; i < frame->payload_len; i++) {
        int byte = frame->payload[i], lower = byte >= 'a' && byte <= 'z';
        copy[i] = (uint8_t)(lower ? byte - 'a' + 'A' : byte);
        changed |= lower;
    }
    if (changed && wsproxy_frame_set_payload(frame, copy, frame->payload_len) != WSPROXY_OK)
        changed = -1;
    free(copy);
    return changed;
}

/* Writes the beginning of a payload as printable text: at most four characters for each of its bytes. */
static void preview(char *out, const wsproxy_frame *frame)
{
    size_t shown = frame->payload_len < PREVIEW ? frame->payload_len : PREVIEW, used = 0;
    for (size_t i = 0; i < shown; i++) {
        int c = frame->payload[i];
        if (c == '"' || c == '\\')
            out[used++] = '\\';
        if (c >= ' ' && c <= '~')
            out[used++] = (char)c;
        else
            used += (size_t)sprintf(out + used, "\\x%02x", c);
    }
    out[used] = '\0';
}

static void print_frame(const struct session *session, const wsproxy_frame *frame, const char *action)
{
    char text[PREVIEW * 4 + 1], code[16] = "";
    preview(text, frame);
    if (frame->kind == WSPROXY_CLOSE && frame->code != WSPROXY_CLOSE_ABSENT)
        snprintf(code, sizeof code, " %d", (int)frame->code);
    printf("#%lu %s %-12s %s %8zu bytes %s%s \"%s\"%s\n", session->number,
           frame->from == WSPROXY_CLIENT ? "client -> upstream" : "client <- upstream",
           wsproxy_kind_name(frame->kind), frame->fin ? "fin " : "more", frame->payload_len, action, code, text,
           frame->payload_len > PREVIEW ? "..." : "");
}

static int on_frame(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    const struct options *options = userdata;
    struct session *session = wsproxy_userdata(p);
    const char *action = "forwarded";
    if (options->hook == HOOK_UPPER && is_text(session, frame)) {
        int changed = upper_case(frame);
        if (changed < 0)
            return 0; /* no verdict: the session ends with 1011 */
        if (changed > 0)
            action = "upper-cased";
    }
    if (options->print)
        print_frame(session, frame, action);
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

/* glibc keeps what was freed, scattered over an arena per core or more, for good. */
static void keep_memory_together(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

static void give_memory_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* What a peer did, in the words of wsproxy_error; what the host or the system did is in the log. */
static int is_worth_a_line(const wsproxy *p, int result)
{
    if (result == WSPROXY_OK)
        return 0;
    int fault = wsproxy_error_fault(p);
    if (fault == WSPROXY_FAULT_CLIENT)
        return result != WSPROXY_ERR_GONE; /* health checks, scans and closed laptops are no failures */
    return fault == WSPROXY_FAULT_UPSTREAM;
}

static void on_end(wsproxy *p, int result, void *userdata)
{
    struct session *session = wsproxy_userdata(p);
    (void)userdata;
    if (session == NULL) /* the open hook had no memory */
        return;
    if (is_worth_a_line(p, result))
        fprintf(stderr, "#%lu %s\n", session->number, wsproxy_error(p));
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

/* A session has up to five descriptors; a thousand sessions are more than the usual limit of 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Returns 0, or the status that the program ends with. */
static int prepare(const struct options *options)
{
    wsproxy_server_set_on_open(server, on_open);
    wsproxy_server_set_on_end(server, on_end);
    if (options->max_connections > 0)
        wsproxy_server_set_max_connections(server, options->max_connections);
    if (wsproxy_server_set_upstream(server, options->upstream) != WSPROXY_OK) {
        complain("bad value:", "--upstream", options->upstream, wsproxy_server_error(server));
        return 2;
    }
    int result = wsproxy_server_listen(server, options->listen);
    if (result == WSPROXY_ERR_ARGUMENT) {
        complain("bad value:", "--listen", options->listen, wsproxy_server_error(server));
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
    if (wsproxy_check_abi(WSPROXY_ABI) != WSPROXY_OK) {
        fprintf(stderr, "proxy: libwsproxy %s has another ABI than the header\n", wsproxy_version());
        return 1;
    }
    keep_memory_together();
    struct options options;
    memset(&options, 0, sizeof options);
    options.drain_timeout_ms = DRAIN_TIMEOUT_MS;
    options.config = wsproxy_config_new();
    if (options.config == NULL) {
        fprintf(stderr, "proxy: out of memory\n");
        return 1;
    }
    int status = 2;
    if (parse_flags(&options, argc, argv))
        status = options.help ? fputs(usage, stdout) == EOF : run(&options);
    wsproxy_config_free(options.config);
    return status;
}
