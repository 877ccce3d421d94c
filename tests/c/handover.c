/* How a session begins: three ways to hand over a client, both orders of the halves, refusals. */
#include "scene.h"

static int forwarding(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    (void)frame;
    (void)userdata;
    return WSPROXY_FORWARD;
}

static void upstream_joins(struct scene *scene, const char *more)
{
    scene->upstream = accept_local(scene->listener);
    upstream_upgrades(scene->upstream, more);
}

static void client_is_turned_away(struct scene *scene, const char *status)
{
    char head[HEAD_SIZE], line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    recv_head(scene->client, head);
    CHECK_WORDS(head, line);
    client_ends(scene->client);
}

/* ---- handing over -------------------------------------------------------------------------------------------- */

static void without_a_hook_frames_are_relayed(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, NULL, NULL);
    client_sends(&scene, MORE, TEXT, "one");
    upstream_gets(&scene, MORE, TEXT, "one");
    client_sends(&scene, FIN, PING, "two");
    upstream_gets(&scene, FIN, PING, "two");
    client_sends(&scene, FIN, CONTINUATION, "");
    upstream_gets(&scene, FIN, CONTINUATION, "");
    upstream_sends(&scene, FIN, BINARY, "three");
    client_gets(&scene, FIN, BINARY, "three");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK(strcmp(wsproxy_error(scene.p), "") == 0);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_NONE);
    CHECK_INT(wsproxy_http_status(scene.p), 0);
    CHECK(wsproxy_subprotocol(scene.p) == NULL);
    scene_close(&scene);
}

static void a_request_read_by_the_host_is_taken_from_it(wsproxy_config *config)
{
    /* The whole of it, or its first byte only. */
    size_t lengths[] = {strlen(client_request), 1};
    for (int i = 0; i < 2; i++) {
        struct scene scene;
        char head[HEAD_SIZE];
        scene_set(&scene, config);
        client_sends_request(scene.client);
        CHECK(recv_all(scene.client_end, head, lengths[i]));
        CHECK_INT(wsproxy_set_client_upgraded(scene.p, "x", 1), WSPROXY_OK); /* the last call counts */
        CHECK_INT(wsproxy_set_client_head(scene.p, head, lengths[i]), WSPROXY_OK);
        memset(head, 0, sizeof head); /* it was copied */
        scene_start(&scene, forwarding, NULL);
        upstream_joins(&scene, "");
        client_is_upgraded(scene.client);
        client_sends(&scene, FIN, TEXT, "hello");
        upstream_gets(&scene, FIN, TEXT, "hello");
        close_normally(&scene);
        CHECK_INT(scene_result(&scene), WSPROXY_OK);
        scene_close(&scene);
    }
}

static void a_client_upgraded_by_the_host_brings_its_early_bytes(wsproxy_config *config)
{
    static const uint8_t early[] = {0x81, 0x82, 0, 0, 0, 0, 'h'}; /* the last byte is still to come */
    struct scene scene;
    scene_set(&scene, config);
    CHECK_INT(wsproxy_set_client_upgraded(scene.p, early, sizeof early), WSPROXY_OK);
    scene_start(&scene, forwarding, NULL);
    upstream_joins(&scene, "");
    send_all(scene.client, "i", 1);
    upstream_gets(&scene, FIN, TEXT, "hi");
    upstream_sends(&scene, FIN, TEXT, "first of all"); /* no 101 was sent by the library */
    client_gets(&scene, FIN, TEXT, "first of all");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

/* The halves, in both orders; the peers' answers lie ready or are given by a thread. */
static void *upstream_thread(void *argument)
{
    upstream_joins(argument, "");
    return NULL;
}

static void *execute_thread(void *argument)
{
    struct scene *scene = argument;
    scene->result = wsproxy_execute(scene->p, forwarding, NULL);
    return NULL;
}

static void the_halves_of_connect_may_be_called_in_either_order(wsproxy_config *config)
{
    for (int upstream_first = 0; upstream_first < 2; upstream_first++) {
        struct scene scene;
        pthread_t upstream;
        scene_set(&scene, config);
        CHECK_INT(wsproxy_execute(scene.p, NULL, NULL), WSPROXY_ERR_STATE);
        client_sends_request(scene.client);
        CHECK(pthread_create(&upstream, NULL, upstream_thread, &scene) == 0);
        if (upstream_first)
            CHECK_INT(wsproxy_connect_upstream(scene.p, scene.url), WSPROXY_OK);
        else
            CHECK_INT(wsproxy_connect_client(scene.p, scene.client_end), WSPROXY_OK);
        CHECK_INT(wsproxy_execute(scene.p, NULL, NULL), WSPROXY_ERR_STATE);
        if (upstream_first)
            CHECK_INT(wsproxy_connect_client(scene.p, scene.client_end), WSPROXY_OK);
        else
            CHECK_INT(wsproxy_connect_upstream(scene.p, scene.url), WSPROXY_OK);
        close(scene.client_end);
        pthread_join(upstream, NULL);
        client_is_upgraded(scene.client);
        CHECK(pthread_create(&scene.thread, NULL, execute_thread, &scene) == 0);
        client_sends(&scene, FIN, TEXT, "hello");
        upstream_gets(&scene, FIN, TEXT, "hello");
        close_normally(&scene);
        CHECK_INT(scene_result(&scene), WSPROXY_OK);
        scene_close(&scene);
    }
}

static void the_subprotocol_of_the_upstream_is_told(wsproxy_config *config)
{
    struct scene scene;
    char head[HEAD_SIZE];
    scene_set(&scene, config);
    scene_start(&scene, forwarding, NULL);
    client_sends_request(scene.client);
    upstream_joins(&scene, "Sec-WebSocket-Protocol: chat\r\n");
    recv_head(scene.client, head);
    CHECK_WORDS(head, "chat");
    const char *name = wsproxy_subprotocol(scene.p);
    CHECK_WORDS(name, "chat");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK(wsproxy_subprotocol(scene.p) == name);
    scene_close(&scene);
}

/* ---- refusals ------------------------------------------------------------------------------------------------ */

static void the_refusal_of_the_upstream_reaches_the_client(wsproxy_config *config)
{
    static const char refusal[] =
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nRetry-After: 7\r\nConnection: close\r\n\r\nno";
    struct scene scene;
    char head[HEAD_SIZE];
    scene_set(&scene, config);
    scene_start(&scene, forwarding, NULL);
    client_sends_request(scene.client);
    scene.upstream = accept_local(scene.listener);
    recv_head(scene.upstream, head);
    send_all(scene.upstream, refusal, strlen(refusal));
    client_is_turned_away(&scene, "403");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_REFUSED);
    CHECK_INT(wsproxy_http_status(scene.p), 403);
    CHECK_INT(wsproxy_refusal_header_count(scene.p), 1);
    CHECK(strcmp(wsproxy_refusal_header_name(scene.p, 0), "Retry-After") == 0);
    CHECK(strcmp(wsproxy_refusal_header_value(scene.p, 0), "7") == 0);
    CHECK(wsproxy_refusal_header_name(scene.p, 1) == NULL);
    CHECK(wsproxy_refusal_header_value(scene.p, 1) == NULL);
    CHECK_WORDS(wsproxy_error(scene.p), "upstream: ");
    CHECK_WORDS(wsproxy_error(scene.p), "403");
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_UPSTREAM);
    CHECK_INT(wsproxy_execute(scene.p, NULL, NULL), WSPROXY_ERR_STATE);
    scene_close(&scene);
}

/* Refuses the first to come and upgrades the next. */
static void *wavering_upstream(void *argument)
{
    static const char refusal[] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    struct scene *scene = argument;
    char head[HEAD_SIZE];
    int refused = accept_local(scene->listener);
    recv_head(refused, head);
    send_all(refused, refusal, strlen(refusal));
    close(refused);
    upstream_joins(scene, "");
    return NULL;
}

/* The client, which is connected already, hears nothing of the first try. */
static void the_status_of_a_refusal_is_forgotten_when_another_try_succeeds(wsproxy_config *config)
{
    struct scene scene;
    pthread_t upstream;
    scene_set(&scene, config);
    client_sends_request(scene.client);
    CHECK_INT(wsproxy_connect_client(scene.p, scene.client_end), WSPROXY_OK);
    close(scene.client_end);
    client_is_upgraded(scene.client);
    CHECK(pthread_create(&upstream, NULL, wavering_upstream, &scene) == 0);
    CHECK_INT(wsproxy_connect_upstream(scene.p, scene.url), WSPROXY_ERR_REFUSED);
    CHECK_INT(wsproxy_http_status(scene.p), 403);
    CHECK_INT(wsproxy_connect_upstream(scene.p, scene.url), WSPROXY_OK);
    CHECK_INT(wsproxy_http_status(scene.p), 0);
    CHECK_INT(wsproxy_refusal_header_count(scene.p), 0);
    pthread_join(upstream, NULL);
    CHECK(pthread_create(&scene.thread, NULL, execute_thread, &scene) == 0);
    upstream_sends(&scene, FIN, TEXT, "first of all");
    client_gets(&scene, FIN, TEXT, "first of all");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void an_upstream_that_is_not_there_is_a_502(wsproxy_config *config)
{
    struct scene scene;
    int port;
    scene_set(&scene, config);
    close(listen_local(&port)); /* a port that nobody listens on */
    snprintf(scene.url, sizeof scene.url, "ws://127.0.0.1:%d", port);
    scene_start(&scene, forwarding, NULL);
    client_sends_request(scene.client);
    client_is_turned_away(&scene, "502");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_UNREACHABLE);
    CHECK_INT(wsproxy_http_status(scene.p), 502);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_UPSTREAM);
    scene_close(&scene);
}

static void a_request_that_is_no_handshake_is_answered(wsproxy_config *config)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    struct scene scene;
    scene_set(&scene, config);
    scene_start(&scene, forwarding, NULL);
    send_all(scene.client, request, strlen(request));
    client_is_turned_away(&scene, "4");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_REQUEST);
    CHECK(wsproxy_http_status(scene.p) >= 400);
    CHECK_WORDS(wsproxy_error(scene.p), "client: ");
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    scene_close(&scene);
}

static void a_client_that_says_nothing_is_given_up(wsproxy_config *config)
{
    struct scene scene;
    CHECK_INT(wsproxy_config_set_connect_timeout(config, 100), WSPROXY_OK);
    scene_set(&scene, config);
    scene_start(&scene, forwarding, NULL);
    client_is_turned_away(&scene, "408");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_TIMEOUT);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    scene_close(&scene);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(without_a_hook_frames_are_relayed);
    UNDER_EACH_POLICY(a_request_read_by_the_host_is_taken_from_it);
    UNDER_EACH_POLICY(a_client_upgraded_by_the_host_brings_its_early_bytes);
    UNDER_EACH_POLICY(the_halves_of_connect_may_be_called_in_either_order);
    UNDER_EACH_POLICY(the_subprotocol_of_the_upstream_is_told);
    UNDER_EACH_POLICY(the_refusal_of_the_upstream_reaches_the_client);
    UNDER_EACH_POLICY(the_status_of_a_refusal_is_forgotten_when_another_try_succeeds);
    UNDER_EACH_POLICY(an_upstream_that_is_not_there_is_a_502);
    UNDER_EACH_POLICY(a_request_that_is_no_handshake_is_answered);
    UNDER_EACH_POLICY(a_client_that_says_nothing_is_given_up);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
