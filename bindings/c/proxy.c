/*
 * proxy.c - a WebSocket proxy in C: an accept loop, one thread per connection, a hook.
 *
 *     cc -std=c99 -pthread proxy.c -o proxy $(pkg-config --cflags --libs wsproxy)
 *     ./proxy --listen 127.0.0.1:8080 --upstream ws://127.0.0.1:9000 --hook pass --print
 *
 * Rules. The main thread accepts and does nothing that a peer could hold up. A session belongs to its thread, which
 * also frees it; the list of sessions is there to stop them all. Each thread that ends joins the one that ended
 * before it, so that no more than one is ever left over. SIGTERM and SIGINT are only let in while the main thread
 * waits. The command line is in flags.h, the listening socket in listener.h.
 */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <wsproxy.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "flags.h"
#include "listener.h"

enum {
    STACK_SIZE = 256 * 1024,
    PREVIEW = 32,          /* characters of a payload that --print shows */
    ACCEPT_PAUSE_MS = 50,  /* after accept has failed for want of descriptors or memory */
    STOP_TIMEOUT_S = 20,   /* more than any closing handshake may take */
    CROWD = 64             /* as many sessions at once leave memory that is worth giving back */
};

struct session {
    wsproxy *proxy;
    const struct options *options;
    int client; /* -1 once the library has its own copy */
    unsigned long number;
    int in_text[3]; /* by side: whether the open message is text; touched by that side's direction only */
    struct session *previous, *next;
};

/* All sessions, and the thread that ended last. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_ended = PTHREAD_COND_INITIALIZER;
static struct session *sessions;
static unsigned long session_count, most_sessions;
static pthread_t ended_last;
static int has_ended_last;

static volatile sig_atomic_t stopping;

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
    struct session *session = userdata;
    const char *action = "forwarded";
    (void)p;
    if (session->options->hook == HOOK_UPPER && is_text(session, frame)) {
        int changed = upper_case(frame);
        if (changed < 0)
            return 0; /* no verdict: the session ends with 1011 */
        if (changed > 0)
            action = "upper-cased";
    }
    if (session->options->print)
        print_frame(session, frame, action);
    return WSPROXY_FORWARD;
}

/* ---- one session --------------------------------------------------------------------------------------------- */

static void run_session(struct session *session)
{
    const struct options *options = session->options;
    int result = wsproxy_connect(session->proxy, session->client, options->upstream);
    close(session->client);
    session->client = -1;
    if (result == WSPROXY_OK)
        result = wsproxy_execute(session->proxy,
                                 options->hook == HOOK_NONE && !options->print ? NULL : on_frame, session);
    if (result != WSPROXY_OK && result != WSPROXY_ERR_STOPPED)
        fprintf(stderr, "#%lu %s\n", session->number, wsproxy_error(session->proxy));
}

static void enlist(struct session *session)
{
    pthread_mutex_lock(&lock);
    if (++session_count > most_sessions)
        most_sessions = session_count;
    session->next = sessions;
    if (sessions != NULL)
        sessions->previous = session;
    sessions = session;
    pthread_mutex_unlock(&lock);
}

/* The lock is held. */
static void unlist(struct session *session)
{
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        sessions = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    session_count--;
    if (sessions == NULL)
        pthread_cond_signal(&all_ended);
}

static void free_session(struct session *session)
{
    if (session->client >= 0)
        close(session->client);
    wsproxy_free(session->proxy);
    free(session);
}

/* The lock is held. Whether a crowd has just gone. */
static int crowd_has_gone(void)
{
    if (session_count > 0 || most_sessions < CROWD)
        return 0;
    most_sessions = 0;
    return 1;
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

static void *session_thread(void *argument)
{
    struct session *session = argument;
    run_session(session);

    pthread_mutex_lock(&lock);
    unlist(session);
    pthread_t before = ended_last;
    int has_before = has_ended_last;
    ended_last = pthread_self();
    has_ended_last = 1;
    int crowd_gone = crowd_has_gone();
    pthread_mutex_unlock(&lock);

    free_session(session);
    if (has_before)
        pthread_join(before, NULL);
    if (crowd_gone)
        give_memory_back();
    return NULL;
}

static struct session *new_session(const struct options *options, int client)
{
    static unsigned long number;
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->client = client;
    session->number = ++number;
    session->options = options;
    session->proxy = wsproxy_new(options->config);
    if (session->proxy == NULL) {
        free(session);
        return NULL;
    }
    return session;
}

/* Starts a session for a client; closes `client` in every case. */
static void start_session(const struct options *options, const pthread_attr_t *attributes, int client)
{
    struct session *session = new_session(options, client);
    if (session == NULL) {
        close(client);
        fprintf(stderr, "out of memory: a client was turned away\n");
        return;
    }
    enlist(session);
    pthread_t thread;
    int error = pthread_create(&thread, attributes, session_thread, session);
    if (error != 0) {
        fprintf(stderr, "#%lu no thread: %s\n", session->number, strerror(error));
        pthread_mutex_lock(&lock);
        unlist(session);
        pthread_mutex_unlock(&lock);
        free_session(session);
    }
}

/* ---- accepting, stopping ------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

/* Blocks SIGTERM and SIGINT in all threads; `waiting` becomes the mask for the waits of the main thread. */
static void catch_signals(sigset_t *waiting)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    pthread_sigmask(SIG_BLOCK, &blocked, waiting);
    sigdelset(waiting, SIGTERM);
    sigdelset(waiting, SIGINT);
}

static void pause_accepting(const sigset_t *waiting)
{
    struct timespec pause = {0, ACCEPT_PAUSE_MS * 1000000L};
    pselect(0, NULL, NULL, NULL, &pause, waiting);
}

static void accept_clients(const struct options *options, int listener, const sigset_t *waiting)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (!stopping) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(listener, &readable);
        if (pselect(listener + 1, &readable, NULL, NULL, NULL, waiting) < 0)
            continue; /* EINTR */
        int client = accept(listener, NULL, NULL);
        if (client >= 0)
            start_session(options, &attributes, client);
        else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ECONNABORTED && errno != EINTR)
            pause_accepting(waiting); /* no descriptors or memory until sessions end; the client waits in the queue */
    }
    pthread_attr_destroy(&attributes);
}

/* Stops every session, in whatever state, and waits for them. Returns 0 if some would not end. */
static int stop_sessions(void)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += STOP_TIMEOUT_S;

    pthread_mutex_lock(&lock);
    for (struct session *session = sessions; session != NULL; session = session->next)
        wsproxy_stop(session->proxy, 1001, NULL, 0);
    int error = 0;
    while (sessions != NULL && error == 0)
        error = pthread_cond_timedwait(&all_ended, &lock, &deadline);
    int ended = sessions == NULL;
    pthread_mutex_unlock(&lock);
    if (ended && has_ended_last)
        pthread_join(ended_last, NULL);
    return ended;
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

static int serve(const struct options *options)
{
    sigset_t waiting;
    catch_signals(&waiting);
    raise_descriptor_limit();
    setvbuf(stdout, NULL, _IOLBF, 0);
    int listener = listen_on(options->listen);
    if (listener < 0)
        return 1;
    announce(listener);
    accept_clients(options, listener, &waiting);
    close(listener);
    if (stop_sessions())
        return 0;
    fprintf(stderr, "proxy: some sessions did not end\n");
    _exit(1); /* their threads still use what we would free */
}

int main(int argc, char **argv)
{
    if (wsproxy_check_abi(WSPROXY_ABI) != WSPROXY_OK) {
        fprintf(stderr, "proxy: libwsproxy %s has another ABI than the header\n", wsproxy_version());
        return 1;
    }
    keep_memory_together();
    struct options options = {NULL, NULL, HOOK_NONE, 0, wsproxy_config_new()};
    if (options.config == NULL) {
        fprintf(stderr, "proxy: out of memory\n");
        return 1;
    }
    int status = parse_flags(&options, argc, argv) ? serve(&options) : 2;
    wsproxy_config_free(options.config);
    return status;
}
