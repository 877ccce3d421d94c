/*
 * proxy_epoll.c - a WebSocket proxy in C on one thread: an event loop of the host's own, and all sessions on it.
 *
 *     cc -std=c99 proxy_epoll.c epoll_*.c -o proxy-epoll $(pkg-config --cflags --libs wsproxy openssl)
 *     ./proxy-epoll --listen 127.0.0.1:8080 --upstream ws://127.0.0.1:9000 --hook pass --print
 *
 * Rules. Nothing blocks but the start, which looks up names. The loop is in epoll_loop.c, a session in epoll_session.c:
 * here are clients that come, and the end. SIGTERM and SIGINT are read from a descriptor like everything else, so that
 * no handler disturbs anything. TLS is the host's own, in epoll_tls.c. The command line is in flags.h.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wsproxy.h>

#include "epoll_crowd.h"
#include "epoll_linger.h"
#include "epoll_loop.h"
#include "epoll_session.h"
#include "epoll_sockets.h"
#include "flags.h"
#include "process.h"

enum {
    GOING_AWAY = 1001,   /* the close code of a drain */
    AT_A_STRETCH = 64,   /* clients taken before others have their turn */
    QUEUE = 4096,        /* of those who wait when a drain begins, as many are still taken */
    MOST_REFUSALS = 64,  /* clients over the limit that are answered at once; the next are let go without an answer */
    PAUSE_MS = 50,       /* after accepting has failed for want of descriptors or memory */
    LAST_WORDS_MS = 1000 /* before the end of a drain, sessions in the middle of a message are told there */
};

static const struct program program = {
    "proxy-epoll",
    "usage: proxy-epoll --listen HOST:PORT|unix:PATH --upstream URL\n"
    "             [--hook none|pass|upper] [--aggregate] [--origin ORIGIN]...\n"
    "             [--tls-cert FILE --tls-key FILE] [--tls-ca FILE]...\n"
    "             [--max-connections N] [--drain-timeout MS] [--idle-timeout MS]\n"
    "             [--max-frame-size N] [--max-message-size N] [--max-fragments N] [--print] [--help]\n"
    "bindings/c/README.md tells what each is.\n",
    1};

static struct loop loop;
static struct lingering lingering;
static struct crowd crowd;

/* Where clients come. */
static struct {
    struct listener listener;
    struct source source;
    struct task task;   /* to take more of them */
    struct timer pause; /* to try again */
    uint64_t most;
    int is_short; /* of descriptors or memory: that was said already */
    int is_over;
} door;

/* The end. */
static struct {
    int signals;
    struct source source;
    struct timer stop, abort;
    int64_t timeout_ms;
    int is_on;
} drain;

/* ---- clients ------------------------------------------------------------------------------------------------- */

static void turn_away(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 55\r\n"
                                 "Connection: close\r\n\r\n503 Service Unavailable: no more connections are taken\n";
    if (crowd.to_clients != NULL || lingering.present >= MOST_REFUSALS) { /* in the clear it is no answer */
        close(fd);
        return;
    }
    if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) {
        close(fd);
        return;
    }
    linger(&lingering, fd, 0);
}

/* What accept(2) says of one connection, or of its network: the next may be taken. */
static int is_one_clients(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENOPROTOOPT || error == ENETDOWN ||
           error == ENETUNREACH || error == ENONET || error == EHOSTDOWN || error == EHOSTUNREACH || error == EOPNOTSUPP;
}

/* Says so once, however long it lasts; clients wait in the queue meanwhile. */
static void run_short(const char *why)
{
    if (!door.is_short)
        fprintf(stderr, "%s: cannot accept on %s: %s; waiting for sessions to end\n", program.name,
                door.listener.address, why);
    door.is_short = 1;
    timer_not_after(&loop, &door.pause, loop.now + PAUSE_MS);
}

/* Takes up to `most` of those who wait. Returns 1 if there may be more. */
static int let_in(int most)
{
    for (int i = 0; i < most; i++) {
        struct place peer = {.len = sizeof peer.address};
        int fd = accept4(door.listener.fd, (struct sockaddr *)&peer.address, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return 0;
        if (fd < 0 && is_one_clients(errno))
            continue;
        if (fd < 0) {
            run_short(strerror(errno));
            return 0;
        }
        if (door.most > 0 && crowd.present >= door.most) {
            turn_away(fd);
        } else if (session_open(&crowd, fd, &peer) != 0) {
            run_short(strerror(ENOMEM));
            return 0;
        }
        door.is_short = 0;
    }
    return 1;
}

static void open_door(void)
{
    if (!door.is_over && let_in(AT_A_STRETCH))
        loop_do_later(&loop, &door.task);
}

static void on_clients(struct source *source, uint32_t events)
{
    (void)source, (void)events;
    open_door();
}

static void on_more_clients(struct task *task)
{
    (void)task;
    open_door();
}

static void on_pause_over(struct timer *timer)
{
    (void)timer;
    open_door();
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

static void end_if_nobody_is_left(void)
{
    loop.ended = drain.is_on && crowd.present == 0 && lingering.present == 0;
}

static void on_session_gone(struct crowd *gone)
{
    if (gone->present == 0 && gone->most_present >= CROWD) {
        gone->most_present = 0;
        give_memory_back();
    }
    end_if_nobody_is_left();
}

static void on_lingerer_gone(struct lingering *gone)
{
    (void)gone;
    end_if_nobody_is_left();
}

static void on_stop(struct timer *timer)
{
    (void)timer;
    crowd_stop(&crowd, GOING_AWAY);
}

static void on_abort(struct timer *timer)
{
    (void)timer;
    crowd_abort(&crowd);
    linger_no_more(&lingering);
}

/* Nobody else is taken but those who wait already: for them the connection has been made. */
static void begin_to_drain(void)
{
    int64_t last_words = drain.timeout_ms / 4 < LAST_WORDS_MS ? drain.timeout_ms / 4 : LAST_WORDS_MS;
    int64_t end = drain.timeout_ms > INT64_MAX - loop.now ? INT64_MAX : loop.now + drain.timeout_ms;
    let_in(QUEUE);
    door.is_over = 1;
    listener_close(&door.listener);
    drain.is_on = 1;
    timer_not_after(&loop, &drain.stop, end - last_words);
    timer_not_after(&loop, &drain.abort, end);
    crowd_drain(&crowd, GOING_AWAY);
    end_if_nobody_is_left();
}

/* Whoever asks twice does not want to wait. */
static void on_signal(struct source *source, uint32_t events)
{
    struct signalfd_siginfo info;
    (void)source, (void)events;
    while (read(drain.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (drain.is_on)
            timer_not_after(&loop, &drain.abort, loop.now);
        else
            begin_to_drain();
    }
}

/* ---- all together -------------------------------------------------------------------------------------------- */

/* What ended a session that was no peer's doing. */
static void on_log(int level, const char *message, void *userdata)
{
    (void)level, (void)userdata;
    fprintf(stderr, "%s: %s\n", program.name, message);
}

/* Whether the library takes the URL is asked of a session that does nothing else. */
static int check_upstream(const struct options *options)
{
    wsproxy *p = wsproxy_new(options->config);
    int taken = wsproxy_pull_tick(p, 0) == WSPROXY_OK && wsproxy_pull_connect(p, options->upstream) == WSPROXY_OK;
    if (!taken)
        complain(&program, "bad value:", "--upstream", options->upstream, wsproxy_error(p));
    wsproxy_free(p);
    return taken;
}

/* Returns the status that the program ends with. */
static int tell(const char *flag, const char *value, const struct trouble *trouble)
{
    if (trouble->is_wrong_value) {
        complain(&program, "bad value:", flag, value, trouble->words);
        return 2;
    }
    fprintf(stderr, "%s: %s %s: %s\n", program.name, flag, value, trouble->words);
    return 1;
}

static int watch_everything(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    drain.signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    door.source.on_events = on_clients;
    door.task.run = on_more_clients;
    drain.source.on_events = on_signal;
    return drain.signals >= 0 && timer_open(&loop, &door.pause, on_pause_over) == 0 &&
           timer_open(&loop, &drain.stop, on_stop) == 0 && timer_open(&loop, &drain.abort, on_abort) == 0 &&
           loop_watch(&loop, drain.signals, &drain.source, EPOLLIN) == 0 &&
           loop_watch(&loop, door.listener.fd, &door.source, EPOLLIN) == 0;
}

static int serve(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    wsproxy_log(WSPROXY_LOG_WARN, on_log, NULL);
    if (loop_open(&loop) != 0 || !watch_everything()) {
        perror(program.name);
        return 1;
    }
    printf("listening on %s\n", door.listener.address);
    if (loop_run(&loop) == 0)
        return 0;
    perror(program.name);
    return 1;
}

/* What TLS is spoken with, where it is. Returns 0 or the status that the program ends with. */
static int prepare_tls(const struct options *options)
{
    struct trouble trouble;
    if (strncasecmp(options->upstream, "wss:", 4) == 0) {
        crowd.to_upstreams = tls_to_upstreams(options->tls_ca, options->tls_ca_count, &trouble);
        if (crowd.to_upstreams == NULL)
            return tell("--upstream", options->upstream, &trouble);
    }
    if (options->tls_cert != NULL) {
        crowd.to_clients = tls_to_clients(options->tls_cert, options->tls_key, &trouble);
        if (crowd.to_clients == NULL)
            return tell("--tls-cert", options->tls_cert, &trouble);
    }
    return 0;
}

static int run(struct options *options)
{
    struct trouble trouble;
    if (!check_upstream(options))
        return 2;
    raise_descriptor_limit();
    int status = prepare_tls(options);
    if (status != 0)
        return status;
    if (places_of_url(&crowd.places, options->upstream, &trouble) != 0)
        return tell("--upstream", options->upstream, &trouble);
    if (listener_open(&door.listener, options->listen, &trouble) != 0)
        return tell("--listen", options->listen, &trouble);
    lingering.loop = crowd.loop = &loop;
    lingering.on_gone = on_lingerer_gone;
    crowd.on_gone = on_session_gone;
    crowd.lingering = &lingering;
    crowd.config = options->config;
    crowd.upstream = options->upstream;
    crowd.hook = options->hook;
    crowd.print = options->print;
    door.most = options->max_connections;
    drain.timeout_ms = options->drain_timeout_ms;
    status = serve();
    if (!door.is_over)
        listener_close(&door.listener);
    loop_close(&loop);
    places_free(&crowd.places);
    SSL_CTX_free(crowd.to_upstreams);
    SSL_CTX_free(crowd.to_clients);
    return status;
}

int main(int argc, char **argv)
{
    return run_with_flags(&program, argc, argv, run);
}
