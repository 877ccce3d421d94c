/* Calls out of order and twice, and what is kept between calls: an error with words, nothing changed. */
#include "scene.h"

static void bad_values_and_calls_out_of_order_are_refused_by_a_server(void)
{
    wsproxy_server *s = wsproxy_server_new(NULL);
    wsproxy_server_counters counters;
    int port, listener = listen_local(&port), client = connect_local(port);
    char address[32];
    CHECK(strcmp(wsproxy_server_error(s), "") == 0);
    SERVER_FAILS(s, wsproxy_server_set_upstream(s, NULL), WSPROXY_ERR_ARGUMENT, "host: the URL is NULL");
    SERVER_FAILS(s, wsproxy_server_set_upstream(s, "http://127.0.0.1"), WSPROXY_ERR_ARGUMENT, "ws://");
    SERVER_FAILS(s, wsproxy_server_set_max_connections(s, 0), WSPROXY_ERR_ARGUMENT, "at least 1");
    SERVER_FAILS(s, wsproxy_server_listen(s, NULL), WSPROXY_ERR_ARGUMENT, "address is NULL");
    SERVER_FAILS(s, wsproxy_server_listen(s, "127.0.0.1"), WSPROXY_ERR_ARGUMENT, "127.0.0.1");
    SERVER_FAILS(s, wsproxy_server_listen(s, ""), WSPROXY_ERR_ARGUMENT, "host: ");
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    SERVER_FAILS(s, wsproxy_server_listen(s, address), WSPROXY_ERR_IO, address);
    SERVER_FAILS(s, wsproxy_server_listen(s, "unix:/nowhere/at/all"), WSPROXY_ERR_IO, "/nowhere/at/all");
    SERVER_FAILS(s, wsproxy_server_listen_fd(s, -1), WSPROXY_ERR_ARGUMENT, "fd -1");
    SERVER_FAILS(s, wsproxy_server_listen_fd(s, client), WSPROXY_ERR_ARGUMENT, "listen");
    CHECK(wsproxy_server_address(s, 0) == NULL);
    SERVER_FAILS(s, wsproxy_server_run(s, NULL, NULL), WSPROXY_ERR_STATE, "no upstream");
    CHECK_INT(wsproxy_server_set_upstream(s, "wss://127.0.0.1:1"), WSPROXY_OK);
    SERVER_FAILS(s, wsproxy_server_run(s, NULL, NULL), WSPROXY_ERR_STATE, "nowhere");
    SERVER_FAILS(s, wsproxy_server_drain(s, 65536, 0), WSPROXY_ERR_ARGUMENT, "close code is 65536");
    SERVER_FAILS(s, wsproxy_server_drain(s, 1001, -1), WSPROXY_ERR_ARGUMENT, "-1 ms");
    SERVER_FAILS(s, wsproxy_server_stats(s, NULL, sizeof counters), WSPROXY_ERR_ARGUMENT, "no room");
    SERVER_FAILS(s, wsproxy_server_stats(s, &counters, 0), WSPROXY_ERR_ARGUMENT, "no room");
    SERVER_FAILS(s, wsproxy_server_stats(s, &counters, SIZE_MAX), WSPROXY_ERR_ARGUMENT, "impossible size");
    CHECK_INT(wsproxy_server_set_max_connections(s, UINT64_MAX), WSPROXY_OK);
    CHECK_INT(wsproxy_server_stats(s, &counters, sizeof counters), WSPROXY_OK);
    CHECK_INT(counters.accepted + counters.active, 0);
    wsproxy_server_free(s);
    close(client);
    close(listener);
}

static void a_drain_before_the_run_counts_for_it(void)
{
    wsproxy_server *s = wsproxy_server_new(NULL);
    CHECK_INT(wsproxy_server_set_upstream(s, "ws://127.0.0.1:1"), WSPROXY_OK);
    CHECK_INT(wsproxy_server_listen(s, "127.0.0.1:0"), WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(s, 1001, 1000), WSPROXY_OK);
    CHECK_INT(wsproxy_server_run(s, NULL, NULL), WSPROXY_OK);
    CHECK_INT(wsproxy_server_run(s, NULL, NULL), WSPROXY_ERR_STATE);
    wsproxy_server_free(s);
}

static void userdata_is_kept_as_it_is(void)
{
    wsproxy *p = wsproxy_new(NULL);
    int mine;
    CHECK(wsproxy_userdata(p) == NULL);
    CHECK_INT(wsproxy_set_userdata(p, &mine), WSPROXY_OK);
    CHECK(wsproxy_userdata(p) == &mine);
    CHECK_INT(wsproxy_set_userdata(p, NULL), WSPROXY_OK);
    CHECK(wsproxy_userdata(p) == NULL);
    wsproxy_free(p);
}

static void calls_out_of_order_are_refused(void)
{
    wsproxy *p = wsproxy_new(NULL);
    FAILS(p, wsproxy_execute(p, NULL, NULL), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_STATE, "host: ");
    CHECK_INT(wsproxy_http_status(p), 0);
    CHECK(wsproxy_subprotocol(p) == NULL);
    wsproxy_free(p);
}

static void second_calls_are_refused(void)
{
    struct scene scene;
    wsproxy *p;
    scene_open(&scene, NULL, NULL, NULL);
    p = scene.p;
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello");
    /* While it runs. */
    FAILS(p, wsproxy_execute(p, NULL, NULL), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_connect(p, scene.client, scene.url), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_connect_upstream(p, scene.url), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_connect_client(p, scene.client), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_set_client_head(p, "x", 1), WSPROXY_ERR_STATE, "handed over");
    FAILS(p, wsproxy_set_client_upgraded(p, "x", 1), WSPROXY_ERR_STATE, "handed over");
    FAILS(p, wsproxy_set_on_handshake(p, NULL, NULL), WSPROXY_ERR_STATE, "handed over");
    upstream_sends(&scene, FIN, TEXT, "unharmed");
    client_gets(&scene, FIN, TEXT, "unharmed");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    /* When it is over. */
    FAILS(p, wsproxy_execute(p, NULL, NULL), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_connect(p, scene.client, scene.url), WSPROXY_ERR_STATE, "host: ");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_STATE, "host: ");
    CHECK_INT(wsproxy_stop(p, 1000, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_stop(p, 1001, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_drain(p, 1001, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_abort(p), WSPROXY_OK);
    scene_close(&scene);
}

static void a_refused_call_can_be_made_again(void)
{
    struct scene scene;
    scene_set(&scene, NULL);
    CHECK_INT(wsproxy_connect(scene.p, -1, scene.url), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_connect(scene.p, scene.client_end, "http://127.0.0.1/"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_connect(scene.p, scene.client_end, NULL), WSPROXY_ERR_ARGUMENT);
    scene_start(&scene, NULL, NULL);
    client_sends_request(scene.client);
    scene.upstream = accept_local(scene.listener);
    upstream_upgrades(scene.upstream, "");
    client_is_upgraded(scene.client);
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void a_session_keeps_the_settings_that_it_was_made_with(void)
{
    struct scene scene;
    wsproxy_config *config = wsproxy_config_new();
    scene_set(&scene, config);
    CHECK_INT(wsproxy_config_set_max_frame_size(config, WSPROXY_BOTH, 1), WSPROXY_OK);
    wsproxy_config_free(config);
    scene_start(&scene, NULL, NULL);
    client_sends_request(scene.client);
    scene.upstream = accept_local(scene.listener);
    upstream_upgrades(scene.upstream, "");
    client_is_upgraded(scene.client);
    client_sends(&scene, FIN, TEXT, "more than a byte");
    upstream_gets(&scene, FIN, TEXT, "more than a byte");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    bad_values_and_calls_out_of_order_are_refused_by_a_server();
    a_drain_before_the_run_counts_for_it();
    userdata_is_kept_as_it_is();
    calls_out_of_order_are_refused();
    second_calls_are_refused();
    a_refused_call_can_be_made_again();
    a_session_keeps_the_settings_that_it_was_made_with();
    CHECK_INT(open_descriptors(), before);
    return 0;
}
