/* The handshake hook: what it sees, what it changes, how it refuses, fails, and ends the session. */
#include "scene.h"

static const char note[] = "GET /room/7?key=secret HTTP/1.1\r\nHost: chat.example:81\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Key: " CLIENT_KEY "\r\n"
                           "Sec-WebSocket-Version: 13\r\nX-Note: one\r\nx-note: t\xe4o\r\nCookie: a=1\r\n\r\n";

static int is(const char *found, const char *wanted)
{
    return found != NULL && strcmp(found, wanted) == 0;
}

/* A scene whose client has sent a request, and whose session asks `hook`. */
static void ask(struct scene *scene, const wsproxy_config *config, wsproxy_on_handshake hook, void *userdata)
{
    scene_set(scene, config);
    CHECK_INT(wsproxy_set_on_handshake(scene->p, hook, userdata), WSPROXY_OK);
    scene_start(scene, NULL, NULL);
    send_all(scene->client, note, strlen(note));
}

/* Reads a refusal, its body too, and goes. `answer` is of HEAD_SIZE. */
static void client_is_refused(struct scene *scene, char *answer)
{
    recv_head(scene->client, answer);
    const char *length = strstr(answer, "\r\nContent-Length: ");
    CHECK(length != NULL);
    size_t head = strlen(answer), body = (size_t)atoi(length + 18);
    CHECK(head + body < HEAD_SIZE);
    CHECK(recv_all(scene->client, answer + head, body));
    answer[head + body] = '\0';
    client_ends(scene->client);
}

static void nobody_was_dialled(struct scene *scene)
{
    CHECK(fcntl(scene->listener, F_SETFL, O_NONBLOCK) == 0);
    CHECK_INT(accept(scene->listener, NULL, NULL), -1);
}

static void is_over(struct scene *scene, int result)
{
    close_normally(scene);
    CHECK_INT(scene_result(scene), result);
    scene_close(scene);
}

/* ---- what it sees -------------------------------------------------------------------------------------------- */

static int looking(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    CHECK(is(wsproxy_handshake_method(handshake), "GET"));
    CHECK(is(wsproxy_handshake_target(handshake), "/room/7?key=secret"));
    CHECK(is(wsproxy_handshake_host(handshake), "chat.example:81"));
    CHECK(is(wsproxy_handshake_peer(handshake), "127.0.0.1"));
    CHECK_INT(wsproxy_handshake_is_secure(handshake), 0);
    CHECK(is(wsproxy_handshake_header(handshake, "X-NOTE"), "one"));
    CHECK(wsproxy_handshake_header(handshake, "X-None") == NULL);
    CHECK(wsproxy_handshake_header(handshake, NULL) == NULL);
    CHECK_INT(wsproxy_handshake_header_count(handshake), 8);
    CHECK(is(wsproxy_handshake_header_name(handshake, 0), "Host"));
    CHECK(is(wsproxy_handshake_header_name(handshake, 6), "x-note"));
    CHECK(is(wsproxy_handshake_header_value(handshake, 6), "t\xe4o"));
    CHECK(wsproxy_handshake_header_name(handshake, 8) == NULL);
    CHECK(wsproxy_handshake_header_value(handshake, SIZE_MAX) == NULL);
    CHECK(wsproxy_handshake_target(handshake) == wsproxy_handshake_target(handshake));
    CHECK(p == *(wsproxy **)userdata);
    return WSPROXY_ACCEPT;
}

static void the_hook_sees_the_request(wsproxy_config *config)
{
    struct scene scene;
    ask(&scene, config, looking, &scene.p);
    scene.upstream = accept_local(scene.listener);
    upstream_upgrades(scene.upstream, "");
    client_is_upgraded(scene.client);
    is_over(&scene, WSPROXY_OK);
}

/* ---- what it changes ----------------------------------------------------------------------------------------- */

static int changing(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    CHECK_INT(wsproxy_handshake_set_url(handshake, userdata), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_set_header(handshake, "X-Note", "set"), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_add_header(handshake, "X-More", "added"), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_remove_header(handshake, "Cookie"), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_add_answer_header(handshake, "Set-Cookie", "b=2"), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_set_url(handshake, "http://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "host: ");
    CHECK_INT(wsproxy_handshake_set_url(handshake, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_set_header(handshake, "X-Note", "a\r\nEvil: 1"), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "X-Note");
    CHECK_INT(wsproxy_handshake_set_header(handshake, "X-Note", NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_header(handshake, "Upgrade", "h2c"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_header(handshake, NULL, "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_remove_header(handshake, "Host"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_remove_header(handshake, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_answer_header(handshake, "Content-Length", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_answer_header(handshake, "X-Note", NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_refuse(handshake, 200, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "200");
    CHECK_INT(wsproxy_handshake_refuse(handshake, -70000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "-70000");
    CHECK_INT(wsproxy_handshake_refuse(handshake, 403, NULL, 1), WSPROXY_ERR_ARGUMENT);
    return WSPROXY_ACCEPT;
}

static void the_hook_chooses_the_upstream_and_changes_headers_both_ways(wsproxy_config *config)
{
    struct scene scene;
    char url[64], head[HEAD_SIZE];
    int port, other = listen_local(&port);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/elsewhere", port);
    ask(&scene, config, changing, url);
    scene.upstream = accept_local(other);
    upstream_reads_and_upgrades(scene.upstream, head, "");
    CHECK_WORDS(head, "GET /elsewhere HTTP/1.1\r\n");
    CHECK_WORDS(head, "\r\nX-Note: set\r\n");
    CHECK_WORDS(head, "\r\nX-More: added\r\n");
    CHECK(strstr(head, "one") == NULL && strstr(head, "Cookie") == NULL && strstr(head, "Evil") == NULL);
    recv_head(scene.client, head);
    CHECK_WORDS(head, "HTTP/1.1 101 ");
    CHECK_WORDS(head, "\r\nSet-Cookie: b=2\r\n");
    nobody_was_dialled(&scene);
    close(other);
    is_over(&scene, WSPROXY_OK);
}

/* ---- how it refuses and fails -------------------------------------------------------------------------------- */

static int refusing(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    (void)p;
    (void)userdata;
    CHECK_INT(wsproxy_handshake_add_answer_header(handshake, "WWW-Authenticate", "Basic"), WSPROXY_OK);
    CHECK_INT(wsproxy_handshake_refuse(handshake, 403, NULL, 0), WSPROXY_REFUSE);
    return wsproxy_handshake_refuse(handshake, 401, "who are you?", 12); /* the last call counts */
}

static int refusing_without_words(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    (void)p;
    (void)handshake;
    (void)userdata;
    return WSPROXY_REFUSE;
}

static void refused(wsproxy_config *config, wsproxy_on_handshake hook, int status, const char *line, const char *words)
{
    struct scene scene;
    char answer[HEAD_SIZE];
    ask(&scene, config, hook, NULL);
    client_is_refused(&scene, answer);
    CHECK_WORDS(answer, line);
    CHECK_WORDS(answer, words);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_REFUSED);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_HOST);
    CHECK_INT(wsproxy_http_status(scene.p), status);
    nobody_was_dialled(&scene);
    scene_close(&scene);
}

static void the_hook_refuses_with_status_headers_and_body(wsproxy_config *config)
{
    refused(config, refusing, 401, "HTTP/1.1 401 Unauthorized\r\n", "\r\nWWW-Authenticate: Basic\r\n");
    refused(config, refusing, 401, "HTTP/1.1 401 Unauthorized\r\n", "\r\n\r\nwho are you?");
    refused(config, refusing_without_words, 403, "HTTP/1.1 403 Forbidden\r\n", "\r\n\r\n403 Forbidden\n");
}

static int failing(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    (void)p;
    CHECK_INT(wsproxy_handshake_refuse(handshake, 404, NULL, 0), WSPROXY_REFUSE); /* counts with the verdict only */
    return *(int *)userdata;
}

static void what_is_no_verdict_is_a_failed_hook(wsproxy_config *config)
{
    int answers[] = {0, WSPROXY_FORWARD, WSPROXY_ERR_ARGUMENT, 99};
    for (int i = 0; i < 4; i++) {
        struct scene scene;
        char answer[HEAD_SIZE], words[32];
        ask(&scene, config, failing, &answers[i]);
        client_is_refused(&scene, answer);
        CHECK_WORDS(answer, "HTTP/1.1 500 ");
        CHECK_INT(scene_result(&scene), WSPROXY_ERR_HOOK);
        snprintf(words, sizeof words, "returned %d", answers[i]);
        CHECK_WORDS(wsproxy_error(scene.p), words);
        CHECK_INT(wsproxy_http_status(scene.p), 500);
        nobody_was_dialled(&scene);
        scene_close(&scene);
    }
}

/* ---- what it calls ------------------------------------------------------------------------------------------- */

static int stopping(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_connect_upstream(p, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_execute(p, NULL, NULL), WSPROXY_ERR_STATE);
    if (userdata == NULL) {
        CHECK_INT(wsproxy_stop(p, 1001, NULL, 0), WSPROXY_OK);
    } else {
        wsproxy_free(p);
        wsproxy_free(p); /* does nothing */
    }
    CHECK_INT(wsproxy_handshake_set_url(handshake, "nonsense"), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "host: ");
    CHECK(is(wsproxy_handshake_host(handshake), "chat.example:81"));
    return WSPROXY_ACCEPT;
}

static void the_hook_stops_or_frees_the_session(wsproxy_config *config)
{
    for (int free_it = 0; free_it < 2; free_it++) {
        struct scene scene;
        char answer[HEAD_SIZE];
        ask(&scene, config, stopping, free_it ? "" : NULL);
        client_is_refused(&scene, answer);
        CHECK_WORDS(answer, "HTTP/1.1 503 ");
        CHECK_INT(scene_result(&scene), WSPROXY_ERR_STOPPED);
        if (free_it)
            scene.p = NULL;
        scene_close(&scene);
    }
}

/* ---- what is lent -------------------------------------------------------------------------------------------- */

static wsproxy_handshake *kept;

static void *looking_from_another_thread(void *handshake)
{
    CHECK(wsproxy_handshake_target(handshake) == NULL);
    CHECK_INT(wsproxy_handshake_set_header(handshake, "X-Note", "1"), WSPROXY_ERR_STATE);
    return NULL;
}

static int keeping(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    pthread_t thread;
    (void)p;
    (void)userdata;
    kept = handshake;
    CHECK(pthread_create(&thread, NULL, looking_from_another_thread, handshake) == 0);
    pthread_join(thread, NULL);
    CHECK_INT(wsproxy_frame_set_code((wsproxy_frame *)(void *)handshake, 1000), WSPROXY_ERR_STATE);
    return WSPROXY_ACCEPT;
}

static int mistaking(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    (void)userdata;
    CHECK_INT(wsproxy_handshake_header_count((wsproxy_handshake *)(void *)frame), 0);
    CHECK_INT(wsproxy_handshake_set_url(kept, "ws://127.0.0.1"), WSPROXY_ERR_STATE);
    return WSPROXY_FORWARD;
}

static void a_handshake_is_lent_to_its_hook_and_thread_only(wsproxy_config *config)
{
    struct scene scene;
    ask(&scene, config, keeping, NULL);
    scene.on_frame = mistaking; /* before connect returns: nobody has answered it yet */
    scene.upstream = accept_local(scene.listener);
    upstream_upgrades(scene.upstream, "");
    client_is_upgraded(scene.client);
    CHECK(wsproxy_handshake_method(kept) == NULL);
    CHECK_INT(wsproxy_handshake_refuse(kept, 403, NULL, 0), WSPROXY_ERR_STATE);
    is_over(&scene, WSPROXY_OK);
}

/* ---- halves -------------------------------------------------------------------------------------------------- */

static void *upstream_thread(void *argument)
{
    struct scene *scene = argument;
    scene->upstream = accept_local(scene->listener);
    upstream_upgrades(scene->upstream, "");
    return NULL;
}

static int too_late(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    CHECK_INT(wsproxy_handshake_set_url(handshake, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_WORDS(wsproxy_error(p), "connected already");
    ++*(int *)userdata;
    return WSPROXY_ACCEPT;
}

static void the_upstream_cannot_be_chosen_when_it_is_connected(wsproxy_config *config)
{
    struct scene scene;
    pthread_t upstream;
    int asked = 0;
    scene_set(&scene, config);
    CHECK_INT(wsproxy_set_on_handshake(scene.p, failing, NULL), WSPROXY_OK); /* replaced before it runs */
    CHECK_INT(wsproxy_set_on_handshake(scene.p, too_late, &asked), WSPROXY_OK);
    CHECK(pthread_create(&upstream, NULL, upstream_thread, &scene) == 0);
    CHECK_INT(wsproxy_connect_upstream(scene.p, scene.url), WSPROXY_OK);
    pthread_join(upstream, NULL);
    client_sends_request(scene.client);
    CHECK_INT(wsproxy_connect_client(scene.p, scene.client_end), WSPROXY_OK);
    client_is_upgraded(scene.client);
    CHECK_INT(asked, 1);
    close(scene.client_end);
    scene_close(&scene);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(the_hook_sees_the_request);
    UNDER_EACH_POLICY(the_hook_chooses_the_upstream_and_changes_headers_both_ways);
    UNDER_EACH_POLICY(the_hook_refuses_with_status_headers_and_body);
    UNDER_EACH_POLICY(what_is_no_verdict_is_a_failed_hook);
    UNDER_EACH_POLICY(the_hook_stops_or_frees_the_session);
    UNDER_EACH_POLICY(a_handshake_is_lent_to_its_hook_and_thread_only);
    UNDER_EACH_POLICY(the_upstream_cannot_be_chosen_when_it_is_connected);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
