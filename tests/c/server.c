/* Servers: their hooks, their limit, how they are drained, and what they count. Their other ends: server_ends.c. */
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "hall.h"

/* ---- serving ------------------------------------------------------------------------------------------------- */

static void clients_are_served_until_the_server_is_drained(wsproxy_config *config)
{
    struct hall hall;
    struct scene scenes[3];
    hall_set(&hall, config, forwarding);
    hall_start(&hall);
    for (int i = 0; i < 3; i++)
        scenes[i] = enter(&hall);
    for (int i = 0; i < 3; i++)
        talk(&scenes[i]);
    CHECK_INT(count(&hall).active, 3);
    close_normally(&scenes[0]);
    wait_for_end_of(&hall, 1);
    CHECK_INT(wsproxy_server_run(hall.server, NULL, NULL), WSPROXY_ERR_STATE);
    CHECK_WORDS(wsproxy_server_error(hall.server), "runs already");
    CHECK_INT(wsproxy_server_drain(hall.server, 4001, 60000), WSPROXY_OK);
    both_are_closed(&scenes[1], 4001, "");
    both_are_closed(&scenes[2], 4001, "");
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    wsproxy_server_counters counters = count(&hall);
    CHECK_INT(counters.accepted, 3);
    CHECK_INT(counters.completed, 3);
    CHECK_INT(counters.active + counters.failed + counters.refused + counters.dropped, 0);
    CHECK_INT(hall.opened, 3);
    CHECK_INT(hall.ended, 3);
    for (int i = 0; i < 3; i++)
        leave(&scenes[i]);
    hall_close(&hall);
}

static void a_server_runs_again_after_a_drain(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, NULL);
    for (int i = 0; i < 2; i++) {
        hall_start(&hall);
        struct scene scene = enter(&hall);
        talk(&scene);
        CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
        both_are_closed(&scene, 1001, "");
        CHECK_INT(hall_result(&hall), WSPROXY_OK);
        leave(&scene);
        CHECK_INT(wsproxy_server_run(hall.server, NULL, NULL), WSPROXY_ERR_STATE); /* it listens nowhere */
        CHECK_INT(wsproxy_server_listen(hall.server, "127.0.0.1:0"), WSPROXY_OK);
        hall.port = port_of(wsproxy_server_address(hall.server, (size_t)i + 1));
    }
    CHECK_INT(count(&hall).completed, 2);
    hall_close(&hall);
}

static void whoever_is_one_too_many_is_answered_503(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, forwarding);
    CHECK_INT(wsproxy_server_set_max_connections(hall.server, 1), WSPROXY_OK);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    int second = connect_local(hall.port);
    client_sends_request(second);
    client_is_told(second, "HTTP/1.1 503 ");
    talk(&scene);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    both_are_closed(&scene, 1001, "");
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    CHECK_INT(count(&hall).refused, 1);
    CHECK_INT(hall.opened, 1); /* who is refused has no session */
    CHECK_INT(hall.ended, 1);
    leave(&scene);
    hall_close(&hall);
}

static void a_server_listens_at_several_places(wsproxy_config *config)
{
    struct hall hall;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/wsproxy-server-XXXXXX", place[PATH_MAX];
    int port, own = listen_local(&port);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    snprintf(place, sizeof place, "unix:%s", address.sun_path);
    hall_set(&hall, config, forwarding);
    CHECK_INT(wsproxy_server_listen(hall.server, place), WSPROXY_OK);
    CHECK_INT(wsproxy_server_listen_fd(hall.server, own), WSPROXY_OK);
    close(own);
    CHECK_WORDS(wsproxy_server_address(hall.server, 0), "127.0.0.1:");
    CHECK_WORDS(wsproxy_server_address(hall.server, 1), place);
    CHECK_INT(port_of(wsproxy_server_address(hall.server, 2)), port);
    CHECK(wsproxy_server_address(hall.server, 3) == NULL);
    hall_start(&hall);
    struct scene scenes[2];
    hall.port = port;
    scenes[0] = enter(&hall);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    bound_time(client);
    client_sends_request(client);
    scenes[1].client = client;
    scenes[1].upstream = accept_local(hall.listener);
    upstream_upgrades(scenes[1].upstream, "");
    client_is_upgraded(client);
    for (int i = 0; i < 2; i++) {
        talk(&scenes[i]);
        close_normally(&scenes[i]);
        leave(&scenes[i]);
    }
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    CHECK(access(address.sun_path, F_OK) != 0);
    CHECK(rmdir(folder) == 0);
    hall_close(&hall);
}

/* ---- hooks --------------------------------------------------------------------------------------------------- */

static int not_opening(wsproxy *p, void *userdata)
{
    (void)p;
    (void)userdata;
    return 0;
}

static void a_client_that_the_open_hook_does_not_accept_is_answered_500(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, forwarding);
    CHECK_INT(wsproxy_server_set_on_open(hall.server, not_opening), WSPROXY_OK);
    hall_start(&hall);
    int client = connect_local(hall.port);
    client_sends_request(client);
    client_is_told(client, "HTTP/1.1 500 ");
    wait_for_end_of(&hall, 1);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    CHECK_INT(hall.last_result, WSPROXY_ERR_HOOK);
    CHECK_WORDS(hall.last_words, "the open hook returned 0");
    CHECK_INT(count(&hall).failed, 1);
    hall_close(&hall);
}

static int choosing(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    struct guest *guest = wsproxy_userdata(p);
    struct hall *hall = userdata;
    CHECK(guest != NULL && guest->number <= hall->opened);
    if (strcmp(wsproxy_handshake_header(handshake, "Sec-WebSocket-Protocol"), "chat") != 0)
        return 0;
    return guest->number == 1 ? WSPROXY_ACCEPT : wsproxy_handshake_refuse(handshake, 404, "not here", 8);
}

static void the_handshake_hook_of_a_server_is_asked_about_each_client(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, forwarding);
    CHECK_INT(wsproxy_server_set_on_handshake(hall.server, choosing), WSPROXY_OK);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    int second = connect_local(hall.port);
    client_sends_request(second);
    client_is_told(second, "HTTP/1.1 404 ");
    wait_for_end_of(&hall, 1);
    CHECK_INT(hall.last_result, WSPROXY_ERR_REFUSED);
    CHECK_WORDS(hall.last_words, "host: ");
    talk(&scene);
    close_normally(&scene);
    wait_for_end_of(&hall, 2);
    CHECK_INT(hall.last_result, WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    leave(&scene);
    hall_close(&hall);
}

static int freeing_the_session(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)userdata;
    if (frame->kind == WSPROXY_TEXT) {
        wsproxy_free(p);
        wsproxy_free(p);
        CHECK(wsproxy_userdata(p) != NULL);
    }
    return WSPROXY_DROP;
}

static void a_servers_session_that_its_hook_frees_is_stopped(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, freeing_the_session);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    client_sends(&scene, FIN, TEXT, "hello");
    both_are_closed(&scene, 1001, "");
    wait_for_end_of(&hall, 1);
    CHECK_INT(hall.last_result, WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    leave(&scene);
    hall_close(&hall);
}

/* ---- statistics ---------------------------------------------------------------------------------------------- */

static void a_host_that_knows_less_or_more_of_the_counters_is_served(wsproxy_config *config)
{
    wsproxy_server *server = wsproxy_server_new(config);
    struct {
        wsproxy_server_counters counters;
        uint64_t more[2];
    } longer;
    uint64_t shorter[2] = {7, 7};
    memset(&longer, 0xff, sizeof longer);
    CHECK_INT(wsproxy_server_stats(server, &longer.counters, sizeof longer), WSPROXY_OK);
    CHECK_INT(longer.counters.accepted | longer.counters.failed | longer.more[0] | longer.more[1], 0);
    CHECK_INT(wsproxy_server_stats(server, (wsproxy_server_counters *)(void *)shorter, 8), WSPROXY_OK);
    CHECK_INT(shorter[0], 0);
    CHECK_INT(shorter[1], 7);
    wsproxy_server_free(server);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(clients_are_served_until_the_server_is_drained);
    UNDER_EACH_POLICY(a_server_runs_again_after_a_drain);
    UNDER_EACH_POLICY(whoever_is_one_too_many_is_answered_503);
    UNDER_EACH_POLICY(a_server_listens_at_several_places);
    UNDER_EACH_POLICY(a_client_that_the_open_hook_does_not_accept_is_answered_500);
    UNDER_EACH_POLICY(the_handshake_hook_of_a_server_is_asked_about_each_client);
    UNDER_EACH_POLICY(a_servers_session_that_its_hook_frees_is_stopped);
    UNDER_EACH_POLICY(a_host_that_knows_less_or_more_of_the_counters_is_served);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
