/* How servers end: by a deadline, freed from anywhere, drained by a signal handler. */
#include <signal.h>

#include "hall.h"

/* ---- ends ---------------------------------------------------------------------------------------------------- */

/* A session that waits long for the answer to a close frame. */
static struct scene enter_patiently(struct hall *hall, wsproxy_config *config)
{
    CHECK_INT(wsproxy_config_set_close_timeout(config, TIME_LIMIT_S * 1000), WSPROXY_OK);
    hall_set(hall, config, forwarding);
    hall_start(hall);
    struct scene scene = enter(hall);
    talk(&scene);
    return scene;
}

/* Nobody answers the close frames. */
static void a_drain_is_over_by_its_deadline(wsproxy_config *config)
{
    struct hall hall;
    struct scene scene = enter_patiently(&hall, config);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, TIME_LIMIT_S * 1000), WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(hall.server, 4000, 200), WSPROXY_OK); /* the earlier deadline, the first code */
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    expect_close(scene.client, 0, 1001, "");
    expect_close(scene.upstream, 1, 1001, "");
    leave(&scene);
    hall_close(&hall);
}

static void free_while_another_thread_runs_the_server_ends_it(wsproxy_config *config)
{
    struct hall hall;
    struct scene scene = enter_patiently(&hall, config);
    wsproxy_server_free(hall.server);
    hall.server = NULL;
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    expect_close(scene.client, 0, 1001, "");
    expect_close(scene.upstream, 1, 1001, "");
    CHECK_INT(hall.ended, 1);
    leave(&scene);
    hall_close(&hall);
}

static int freeing_the_server(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct hall *hall = userdata;
    (void)p;
    if (frame->kind == WSPROXY_TEXT) {
        wsproxy_server_free(hall->server);
        wsproxy_server_free(hall->server); /* does nothing */
        CHECK_INT(wsproxy_server_set_max_connections(hall->server, 0), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_server_error(hall->server), "at least 1");
    }
    return WSPROXY_FORWARD;
}

static void a_hook_frees_the_server(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, freeing_the_server);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    client_sends(&scene, FIN, TEXT, "hello");
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    CHECK_INT(hall.last_result, WSPROXY_OK);
    hall.server = NULL;
    leave(&scene);
    hall_close(&hall);
}

/* ---- freeing in the other hooks ------------------------------------------------------------------------------ */

enum place { IN_OPEN, IN_HANDSHAKE, IN_END };

static struct {
    enum place place;
    int server_too;
} freed;

static void free_here(enum place here, wsproxy *p, struct hall *hall)
{
    if (here != freed.place)
        return;
    if (freed.server_too) {
        wsproxy_server_free(hall->server);
        CHECK_INT(wsproxy_server_drain(hall->server, 1001, 0), WSPROXY_OK);
        CHECK_INT(wsproxy_server_run(hall->server, NULL, NULL), WSPROXY_ERR_STATE);
        CHECK(wsproxy_server_address(hall->server, 0) != NULL);
    }
    wsproxy_free(p);
    wsproxy_free(p); /* does nothing */
    CHECK_INT(wsproxy_stop(p, 1000, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_STATE);
    CHECK(wsproxy_subprotocol(p) == NULL && wsproxy_userdata(p) != NULL);
}

static int freeing_opening(wsproxy *p, void *userdata)
{
    int answer = opening(p, userdata);
    free_here(IN_OPEN, p, userdata);
    return answer;
}

static int freeing_asked(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    CHECK_INT(wsproxy_connect_upstream(p, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    free_here(IN_HANDSHAKE, p, userdata);
    CHECK_WORDS(wsproxy_handshake_target(handshake), "/");
    return WSPROXY_ACCEPT;
}

static void freeing_ending(wsproxy *p, int result, void *userdata)
{
    free_here(IN_END, p, userdata);
    ending(p, result, userdata);
}

/* One client of it leaves before its request when the end hook frees; others are given up. */
static void sessions_and_servers_are_freed_in_any_hook(wsproxy_config *config)
{
    for (int round = 0; round < 6; round++) {
        struct hall hall;
        freed.place = (enum place)(round / 2);
        freed.server_too = round % 2;
        hall_set(&hall, config, forwarding);
        wsproxy_server_set_on_open(hall.server, freeing_opening);
        wsproxy_server_set_on_handshake(hall.server, freeing_asked);
        wsproxy_server_set_on_end(hall.server, freeing_ending);
        hall_start(&hall);
        int client = connect_local(hall.port);
        if (freed.place == IN_END) {
            close(client);
        } else {
            client_sends_request(client);
            client_is_told(client, "HTTP/1.1 503 ");
        }
        wait_for_end_of(&hall, 1);
        if (!freed.server_too)
            CHECK_INT(wsproxy_server_drain(hall.server, 1001, 0), WSPROXY_OK);
        CHECK_INT(hall_result(&hall), WSPROXY_OK);
        CHECK_INT(hall.last_result, freed.place == IN_END ? WSPROXY_ERR_GONE : WSPROXY_ERR_STOPPED);
        if (freed.server_too)
            hall.server = NULL;
        hall_close(&hall);
    }
}

static void a_server_that_never_ran_may_be_freed(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, NULL);
    hall_close(&hall);
}

/* ---- a signal amid it all ------------------------------------------------------------------------------------ */

#define LOAD 8

static wsproxy_server *signalled;
static volatile sig_atomic_t drained, allocated;
static __thread volatile sig_atomic_t in_handler;

#ifdef __GLIBC__
/* Whoever allocates in a signal handler may wait for itself. (valgrind brings its own malloc, which does not count.) */
extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    if (in_handler)
        allocated = 1;
    return __libc_malloc(size);
}
#endif

static void draining(int number)
{
    (void)number;
    in_handler = 1;
    drained = wsproxy_server_drain(signalled, 1001, 60000) == WSPROXY_OK;
    in_handler = 0;
}

/* Sends text upon text and hears each, until it is told to go. */
static void *busy_client(void *port)
{
    struct frame *frame = malloc(sizeof *frame);
    int fd = connect_local(*(int *)port);
    CHECK(frame != NULL);
    client_sends_request(fd);
    client_is_upgraded(fd);
    for (;;) {
        send_frame(fd, 1, FIN, TEXT, "again and again", 15);
        CHECK(recv_frame(fd, frame));
        if (frame->opcode == CLOSE)
            break;
        CHECK_INT(frame->length, 15);
    }
    CHECK_INT(frame->payload[0] << 8 | frame->payload[1], 1001);
    send_close(fd, 1, 1001, "");
    client_ends(fd);
    close(fd);
    free(frame);
    return NULL;
}

static void *busy_upstream(void *listener)
{
    struct frame *frame = malloc(sizeof *frame);
    int fd = accept_local(*(int *)listener);
    CHECK(frame != NULL);
    upstream_upgrades(fd, "");
    do {
        CHECK(recv_frame(fd, frame));
        send_frame(fd, 0, FIN, frame->opcode, frame->payload, frame->length);
    } while (frame->opcode != CLOSE);
    CHECK_INT(frame->payload[0] << 8 | frame->payload[1], 1001);
    upstream_ends(fd);
    close(fd);
    free(frame);
    return NULL;
}

static void *signalling(void *hall)
{
    while (__atomic_load_n(&((struct hall *)hall)->opened, __ATOMIC_SEQ_CST) < LOAD)
        usleep(1000);
    usleep(100000); /* they are at it by now */
    CHECK(kill(getpid(), SIGTERM) == 0);
    return NULL;
}

/* The server runs on this thread, and threads of ours block the signal, so that it comes here. */
static void a_signal_handler_drains_a_busy_server(wsproxy_config *config)
{
    struct hall hall;
    struct sigaction action = {.sa_handler = draining}, before;
    pthread_t threads[2 * LOAD + 1];
    sigset_t term;
    hall_set(&hall, config, forwarding);
    signalled = hall.server;
    drained = allocated = 0;
    CHECK(sigaction(SIGTERM, &action, &before) == 0);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    CHECK(pthread_sigmask(SIG_BLOCK, &term, NULL) == 0);
    for (int i = 0; i < LOAD; i++) {
        CHECK(pthread_create(&threads[i], NULL, busy_client, &hall.port) == 0);
        CHECK(pthread_create(&threads[LOAD + i], NULL, busy_upstream, &hall.listener) == 0);
    }
    CHECK(pthread_create(&threads[2 * LOAD], NULL, signalling, &hall) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &term, NULL) == 0);
    CHECK_INT(wsproxy_server_run(hall.server, forwarding, &hall), WSPROXY_OK);
    for (int i = 0; i < 2 * LOAD + 1; i++)
        pthread_join(threads[i], NULL);
    CHECK(sigaction(SIGTERM, &before, NULL) == 0);
    CHECK_INT(drained, 1);
    CHECK_INT(allocated, 0);
    CHECK_INT(count(&hall).completed, LOAD);
    CHECK_INT(hall.ended, LOAD);
    hall_close(&hall);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(a_drain_is_over_by_its_deadline);
    UNDER_EACH_POLICY(free_while_another_thread_runs_the_server_ends_it);
    UNDER_EACH_POLICY(a_hook_frees_the_server);
    UNDER_EACH_POLICY(sessions_and_servers_are_freed_in_any_hook);
    UNDER_EACH_POLICY(a_server_that_never_ran_may_be_freed);
    UNDER_EACH_POLICY(a_signal_handler_drains_a_busy_server);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
