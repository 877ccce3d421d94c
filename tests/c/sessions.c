/* How a session lives and ends: peers that go, limits, stop, send and free from other threads, statistics. */
#include <signal.h>

#include "scene.h"

static int forwarding(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    (void)frame;
    (void)userdata;
    return WSPROXY_FORWARD;
}

static void pause_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

static void upstream_joins(struct scene *scene, const char *more)
{
    scene->upstream = accept_local(scene->listener);
    upstream_upgrades(scene->upstream, more);
}

static void *upstream_thread(void *argument)
{
    upstream_joins(argument, "");
    return NULL;
}

static void client_is_turned_away(struct scene *scene, const char *status)
{
    char head[HEAD_SIZE], line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    recv_head(scene->client, head);
    CHECK_WORDS(head, line);
    client_ends(scene->client);
}

/* ---- peers that go, or misbehave ----------------------------------------------------------------------------- */

static void cut(int fd)
{
    struct linger at_once = {1, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    close(fd);
}

/* SIGPIPE has its default action in this program: one would be the end of it. */
static void a_peer_that_is_gone_raises_no_signal(wsproxy_config *config)
{
    struct scene scene;
    struct sigaction action;
    char *much = calloc(1, 60000);
    CHECK(sigaction(SIGPIPE, NULL, &action) == 0);
    CHECK(action.sa_handler == SIG_DFL);
    CHECK_INT(wsproxy_config_set_close_timeout(config, 300), WSPROXY_OK);
    scene_open(&scene, config, forwarding, NULL);
    cut(scene.client);
    for (int i = 0; i < 20; i++) { /* whatever of it still goes somewhere */
        uint8_t head[4] = {0x82, 126, 60000 >> 8, 60000 & 255};
        if (send(scene.upstream, head, sizeof head, MSG_NOSIGNAL) < 0 ||
            send(scene.upstream, much, 60000, MSG_NOSIGNAL) < 0)
            break;
    }
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_GONE);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    CHECK_WORDS(wsproxy_error(scene.p), "client: ");
    free(much);
    scene.client = -1;
    scene_close(&scene);
}

static void the_other_side_hears_that_a_peer_is_gone(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, forwarding, NULL);
    cut(scene.upstream);
    scene.upstream = -1;
    expect_close(scene.client, 0, 1011, "");
    send_close(scene.client, 1, 1011, "");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_GONE);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_UPSTREAM);
    scene_close(&scene);
}

static void a_frame_over_the_limit_ends_the_session(wsproxy_config *config)
{
    struct scene scene;
    CHECK_INT(wsproxy_config_set_max_frame_size(config, WSPROXY_CLIENT, 5), WSPROXY_OK);
    scene_open(&scene, config, forwarding, NULL);
    upstream_sends(&scene, FIN, TEXT, "longer than that");
    client_gets(&scene, FIN, TEXT, "longer than that");
    client_sends(&scene, FIN, TEXT, "12345");
    upstream_gets(&scene, FIN, TEXT, "12345");
    client_sends(&scene, FIN, TEXT, "123456");
    struct frame frame;
    CHECK(recv_frame(scene.client, &frame));
    CHECK_INT(frame.payload[0] << 8 | frame.payload[1], 1009);
    CHECK(recv_frame(scene.upstream, &frame));
    CHECK_INT(frame.payload[0] << 8 | frame.payload[1], 1001);
    send_close(scene.client, 1, 1009, "");
    client_ends(scene.client);
    send_close(scene.upstream, 0, 1001, "");
    upstream_ends(scene.upstream);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_LIMIT);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    scene_close(&scene);
}

static void an_unmasked_frame_from_the_client_is_a_protocol_error(wsproxy_config *config)
{
    struct scene scene;
    struct frame frame;
    scene_open(&scene, config, forwarding, NULL);
    send_frame(scene.client, 0, FIN, TEXT, "x", 1);
    CHECK(recv_frame(scene.client, &frame));
    CHECK_INT(frame.payload[0] << 8 | frame.payload[1], 1002);
    send_close(scene.client, 1, 1002, "");
    client_ends(scene.client);
    CHECK(recv_frame(scene.upstream, &frame));
    CHECK_INT(frame.payload[0] << 8 | frame.payload[1], 1001);
    send_close(scene.upstream, 0, 1001, "");
    upstream_ends(scene.upstream);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_PROTOCOL);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    scene_close(&scene);
}

/* ---- from other threads -------------------------------------------------------------------------------------- */

static void stop_from_another_thread_ends_execute(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, forwarding, NULL);
    CHECK_INT(wsproxy_stop(scene.p, 4000, "enough", 6), WSPROXY_OK);
    both_are_closed(&scene, 4000, "enough");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

/* The close frame waits for the end of the message, and what else the client sends waits for ever. */
static void drain_ends_the_session_between_messages(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, forwarding, NULL);
    client_sends(&scene, MORE, TEXT, "half ");
    upstream_gets(&scene, MORE, TEXT, "half ");
    CHECK_INT(wsproxy_drain(scene.p, 1001, "later", 5), WSPROXY_OK);
    pause_ms(50);
    client_sends(&scene, FIN, CONTINUATION, "whole");
    upstream_gets(&scene, FIN, CONTINUATION, "whole");
    both_are_closed(&scene, 1001, "later");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

/* Nobody answers, and the close timeout is long. */
static void abort_waits_for_nobody(wsproxy_config *config)
{
    struct scene scene;
    CHECK_INT(wsproxy_config_set_close_timeout(config, TIME_LIMIT_S * 1000), WSPROXY_OK);
    scene_open(&scene, config, forwarding, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello"); /* so execute runs */
    CHECK_INT(wsproxy_abort(scene.p), WSPROXY_OK);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    expect_close(scene.client, 0, 1001, "");
    expect_close(scene.upstream, 1, 1001, "");
    scene_close(&scene);
}

static void stop_from_another_thread_ends_connect(wsproxy_config *config)
{
    struct scene scene;
    scene_set(&scene, config);
    scene_start(&scene, forwarding, NULL);
    pause_ms(100); /* connect waits for the request by now, or is stopped before it begins: the same */
    CHECK_INT(wsproxy_stop(scene.p, 1001, NULL, 0), WSPROXY_OK);
    client_is_turned_away(&scene, "503");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_STOPPED);
    scene_close(&scene);
}

static void stop_before_connect_holds(wsproxy_config *config)
{
    struct scene scene;
    scene_set(&scene, config);
    CHECK_INT(wsproxy_stop(scene.p, WSPROXY_CLOSE_ABSENT, NULL, 0), WSPROXY_OK);
    scene_start(&scene, forwarding, NULL);
    client_is_turned_away(&scene, "503");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_STOPPED);
    scene_close(&scene);
}

static void free_while_another_thread_executes_stops_the_session(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, forwarding, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello"); /* so execute runs */
    wsproxy_free(scene.p);
    scene.p = NULL;
    both_are_closed(&scene, 1001, "");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void a_connected_session_may_be_freed_without_executing_it(wsproxy_config *config)
{
    struct scene scene;
    pthread_t upstream;
    scene_set(&scene, config);
    client_sends_request(scene.client);
    CHECK(pthread_create(&upstream, NULL, upstream_thread, &scene) == 0);
    CHECK_INT(wsproxy_connect(scene.p, scene.client_end, scene.url), WSPROXY_OK);
    pthread_join(upstream, NULL);
    close(scene.client_end);
    wsproxy_free(scene.p);
    scene.p = NULL;
    client_is_upgraded(scene.client);
    expect_close(scene.client, 0, 1011, ""); /* each is told that the other is lost */
    expect_close(scene.upstream, 1, 1001, "");
    scene_close(&scene);
}

#define SENDERS 4
#define FRAMES_EACH 25

static void *sending_thread(void *argument)
{
    for (int i = 0; i < FRAMES_EACH; i++) {
        CHECK_INT(wsproxy_send(argument, WSPROXY_CLIENT, WSPROXY_TEXT, "from the host", 13), WSPROXY_OK);
        CHECK_INT(wsproxy_send(argument, WSPROXY_CLIENT, 77, "x", 1), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(argument), "kind is 77");
    }
    return NULL;
}

static void frames_are_sent_from_many_threads(wsproxy_config *config)
{
    struct scene scene;
    pthread_t senders[SENDERS];
    scene_open(&scene, config, forwarding, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello");
    for (int i = 0; i < SENDERS; i++)
        CHECK(pthread_create(&senders[i], NULL, sending_thread, scene.p) == 0);
    for (int i = 0; i < SENDERS * FRAMES_EACH; i++)
        client_gets(&scene, FIN, TEXT, "from the host");
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void a_full_queue_says_again(wsproxy_config *config)
{
    struct scene scene;
    char *much = calloc(1, 1 << 20);
    int result, sent = 0;
    CHECK(much != NULL);
    CHECK_INT(wsproxy_config_set_send_queue(config, 1 << 20), WSPROXY_OK);
    scene_open(&scene, config, forwarding, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello"); /* so execute runs */
    do { /* nobody reads */
        result = wsproxy_send(scene.p, WSPROXY_UPSTREAM, WSPROXY_BINARY, much, 1 << 20);
    } while (result == WSPROXY_OK && ++sent < 1000);
    CHECK_INT(result, WSPROXY_ERR_AGAIN);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_UPSTREAM);
    free(much);
    cut(scene.upstream);
    scene.upstream = -1;
    struct frame frame;
    CHECK(recv_frame(scene.client, &frame));
    CHECK_INT(frame.opcode, CLOSE);
    send_close(scene.client, 1, 1011, "");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_GONE);
    scene_close(&scene);
}

/* ---- statistics ---------------------------------------------------------------------------------------------- */

static void a_host_that_knows_less_or_more_of_the_statistics_is_served(wsproxy_config *config)
{
    struct scene scene;
    struct {
        wsproxy_side_stats stats;
        uint64_t more[4];
    } longer;
    uint64_t shorter[2] = {7, 7};
    scene_open(&scene, config, forwarding, NULL);
    send_frame(scene.client, 1, FIN, TEXT, "12345", 5);
    upstream_gets(&scene, FIN, TEXT, "12345");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    memset(&longer, 0xff, sizeof longer);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_CLIENT, &longer.stats, sizeof longer), WSPROXY_OK);
    CHECK_INT(longer.stats.frames[WSPROXY_TEXT], 1);
    CHECK_INT(longer.stats.bytes[WSPROXY_TEXT], 5);
    CHECK_INT(longer.stats.close_received, 1000);
    CHECK_INT(longer.stats.close_sent, 1000);
    CHECK_INT(longer.stats.closed_first, 1);
    CHECK_INT(longer.more[0] | longer.more[1] | longer.more[2] | longer.more[3], 0);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_UPSTREAM, &longer.stats, sizeof longer.stats), WSPROXY_OK);
    CHECK_INT(longer.stats.frames[WSPROXY_TEXT], 0);
    CHECK_INT(longer.stats.close_sent, 1000);
    CHECK_INT(longer.stats.closed_first, 0);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_CLIENT, (wsproxy_side_stats *)(void *)shorter, 8), WSPROXY_OK);
    CHECK_INT(shorter[0], 0);
    CHECK_INT(shorter[1], 7);
    scene_close(&scene);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(a_peer_that_is_gone_raises_no_signal);
    UNDER_EACH_POLICY(the_other_side_hears_that_a_peer_is_gone);
    UNDER_EACH_POLICY(a_frame_over_the_limit_ends_the_session);
    UNDER_EACH_POLICY(an_unmasked_frame_from_the_client_is_a_protocol_error);
    UNDER_EACH_POLICY(stop_from_another_thread_ends_execute);
    UNDER_EACH_POLICY(drain_ends_the_session_between_messages);
    UNDER_EACH_POLICY(abort_waits_for_nobody);
    UNDER_EACH_POLICY(stop_from_another_thread_ends_connect);
    UNDER_EACH_POLICY(stop_before_connect_holds);
    UNDER_EACH_POLICY(free_while_another_thread_executes_stops_the_session);
    UNDER_EACH_POLICY(a_connected_session_may_be_freed_without_executing_it);
    UNDER_EACH_POLICY(frames_are_sent_from_many_threads);
    UNDER_EACH_POLICY(a_full_queue_says_again);
    UNDER_EACH_POLICY(a_host_that_knows_less_or_more_of_the_statistics_is_served);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
