/* The functions wsproxy_pull_* with NULL, with bad values, out of order and twice: an error, nothing changed. */
#include "pull.h"
#include "scene.h"

static const int wrong_sides[] = {0, WSPROXY_BOTH, 4, -1, INT32_MAX, INT32_MIN};

static void null_is_an_error_for_every_function_that_begins(void)
{
    size_t len = 7;
    CHECK_INT(wsproxy_pull_tick(NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_connect(NULL, "ws://h"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_connect_upstream(NULL, "ws://h"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_connect_client(NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_header(NULL, "X", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_add_header(NULL, "X", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_remove_header(NULL, "X"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_add_subprotocol(NULL, "x"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_key(NULL, CLIENT_KEY), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_peer(NULL, "192.0.2.7", 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_is_open(NULL, WSPROXY_CLIENT), WSPROXY_ERR_ARGUMENT);
    CHECK(wsproxy_pull_answer_head(NULL, &len) == NULL);
    CHECK_INT(len, 7);
}

static void null_is_an_error_for_every_function_that_goes_on(void)
{
    size_t size = 7;
    wsproxy_bytes parts[3];
    CHECK_INT(wsproxy_pull_wants_input(NULL, WSPROXY_CLIENT), 0);
    CHECK(wsproxy_pull_room(NULL, WSPROXY_CLIENT, &size) == NULL);
    CHECK_INT(size, 7);
    CHECK_INT(wsproxy_pull_filled(NULL, WSPROXY_CLIENT, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_input(NULL, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_input_ended(NULL, WSPROXY_CLIENT, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK(wsproxy_pull_frame(NULL, WSPROXY_CLIENT) == NULL);
    CHECK(wsproxy_pull_verdict(NULL, WSPROXY_CLIENT, WSPROXY_FORWARD) == NULL);
    CHECK_INT(wsproxy_pull_fail(NULL, WSPROXY_CLIENT, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_pass(NULL, WSPROXY_CLIENT), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_payload(NULL, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_code(NULL, WSPROXY_CLIENT, 1000), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_end(NULL, WSPROXY_CLIENT, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_output(NULL, WSPROXY_CLIENT, parts, 3), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_wrote(NULL, WSPROXY_CLIENT, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_output_failed(NULL, WSPROXY_CLIENT), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_wants_fin(NULL, WSPROXY_CLIENT), 0);
    CHECK_INT(wsproxy_pull_deadline(NULL), -1);
    CHECK_INT(wsproxy_pull_is_over(NULL), 1);
    CHECK_INT(wsproxy_pull_result(NULL), WSPROXY_ERR_ARGUMENT);
}

static void other_sides_are_refused_by_every_function(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "x");
    for (size_t i = 0; i < sizeof wrong_sides / sizeof *wrong_sides; i++) {
        int side = wrong_sides[i];
        size_t size = 7;
        wsproxy_bytes parts[3];
        CHECK_INT(wsproxy_pull_is_open(s.p, side), WSPROXY_ERR_ARGUMENT);
        CHECK_INT(wsproxy_pull_wants_input(s.p, side), 0);
        CHECK(wsproxy_pull_room(s.p, side, &size) == NULL && size == 7);
        FAILS(s.p, wsproxy_pull_filled(s.p, side, 0), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_input(s.p, side, "x", 1), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_input_ended(s.p, side, NULL, 0), WSPROXY_ERR_ARGUMENT, "side is");
        CHECK(wsproxy_pull_frame(s.p, side) == NULL);
        CHECK(wsproxy_pull_verdict(s.p, side, WSPROXY_DROP) == NULL);
        FAILS(s.p, wsproxy_pull_fail(s.p, side, NULL, 0), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_pass(s.p, side), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_set_payload(s.p, side, "y", 1), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_set_code(s.p, side, 1000), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_set_end(s.p, side, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT, "side is");
        CHECK_INT(wsproxy_pull_output(s.p, side, parts, 3), WSPROXY_ERR_ARGUMENT);
        FAILS(s.p, wsproxy_pull_wrote(s.p, side, 0), WSPROXY_ERR_ARGUMENT, "side is");
        FAILS(s.p, wsproxy_pull_output_failed(s.p, side), WSPROXY_ERR_ARGUMENT, "side is");
        CHECK_INT(wsproxy_pull_wants_fin(s.p, side), 0);
    }
    CHECK(pull_is(wsproxy_pull_frame(s.p, WSPROXY_CLIENT), "x")); /* as it was */
    wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_FORWARD);
    pull_take(&s);
    pull_hears_text(&s, WSPROXY_UPSTREAM, "x");
    wsproxy_free(s.p);
}

static void bad_values_are_refused_with_words(void)
{
    struct pulled s;
    static const char *const no_text = NULL;
    s.p = wsproxy_new(NULL);
    FAILS(s.p, wsproxy_pull_tick(s.p, -1), WSPROXY_ERR_ARGUMENT, "-1 is negative");
    FAILS(s.p, wsproxy_pull_connect(s.p, no_text), WSPROXY_ERR_ARGUMENT, "URL is NULL");
    FAILS(s.p, wsproxy_pull_connect(s.p, "http://h"), WSPROXY_ERR_ARGUMENT, "ws://");
    FAILS(s.p, wsproxy_pull_connect_upstream(s.p, no_text), WSPROXY_ERR_ARGUMENT, "URL is NULL");
    FAILS(s.p, wsproxy_pull_connect_upstream(s.p, "ws://"), WSPROXY_ERR_ARGUMENT, "host");
    FAILS(s.p, wsproxy_pull_set_header(s.p, no_text, "1"), WSPROXY_ERR_ARGUMENT, "header name is NULL");
    FAILS(s.p, wsproxy_pull_set_header(s.p, "X", no_text), WSPROXY_ERR_ARGUMENT, "header value is NULL");
    FAILS(s.p, wsproxy_pull_add_header(s.p, "X", "a\r\nEvil: 1"), WSPROXY_ERR_ARGUMENT, "X");
    FAILS(s.p, wsproxy_pull_add_header(s.p, "Sec-WebSocket-Key", "1"), WSPROXY_ERR_ARGUMENT, "Sec-WebSocket-Key");
    FAILS(s.p, wsproxy_pull_remove_header(s.p, "a:b"), WSPROXY_ERR_ARGUMENT, "a:b");
    FAILS(s.p, wsproxy_pull_add_subprotocol(s.p, "a,b"), WSPROXY_ERR_ARGUMENT, "a,b");
    FAILS(s.p, wsproxy_pull_set_key(s.p, "short"), WSPROXY_ERR_ARGUMENT, "key");
    FAILS(s.p, wsproxy_pull_set_key(s.p, no_text), WSPROXY_ERR_ARGUMENT, "key is NULL");
    FAILS(s.p, wsproxy_pull_set_peer(s.p, "localhost", 0), WSPROXY_ERR_ARGUMENT, "no IP address");
    FAILS(s.p, wsproxy_pull_set_peer(s.p, "192.0.2.7", 2), WSPROXY_ERR_ARGUMENT, "switch is 2");
    wsproxy_free(s.p);

    pull_open(&s, NULL);
    FAILS(s.p, wsproxy_pull_input(s.p, WSPROXY_CLIENT, NULL, 1), WSPROXY_ERR_ARGUMENT, "NULL");
    FAILS(s.p, wsproxy_pull_input(s.p, WSPROXY_CLIENT, "x", SIZE_MAX), WSPROXY_ERR_ARGUMENT, "impossible length");
    FAILS(s.p, wsproxy_pull_input_ended(s.p, WSPROXY_CLIENT, "\xff", 1), WSPROXY_ERR_ARGUMENT, "UTF-8");
    CHECK(wsproxy_pull_room(s.p, WSPROXY_CLIENT, NULL) == NULL);
    CHECK_INT(wsproxy_pull_output(s.p, WSPROXY_CLIENT, NULL, 3), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_wants_input(s.p, WSPROXY_CLIENT), 1);
    wsproxy_free(s.p);
}

static void counts_larger_than_the_room_or_the_output_are_refused(void)
{
    struct pulled s;
    size_t size = 0;
    wsproxy_bytes parts[3];
    pull_open(&s, NULL);
    FAILS(s.p, wsproxy_pull_filled(s.p, WSPROXY_UPSTREAM, 1), WSPROXY_ERR_STATE, "no room was given");
    CHECK(wsproxy_pull_room(s.p, WSPROXY_CLIENT, &size) != NULL);
    FAILS(s.p, wsproxy_pull_filled(s.p, WSPROXY_CLIENT, size + 1), WSPROXY_ERR_ARGUMENT, "do not fit");
    FAILS(s.p, wsproxy_pull_filled(s.p, WSPROXY_CLIENT, SIZE_MAX), WSPROXY_ERR_ARGUMENT, "do not fit");
    CHECK_INT(wsproxy_pull_filled(s.p, WSPROXY_CLIENT, 0), WSPROXY_OK);
    pull_says(&s, WSPROXY_CLIENT, "one");
    CHECK(pull_is(wsproxy_pull_frame(s.p, WSPROXY_CLIENT), "one"));
    CHECK(wsproxy_pull_room(s.p, WSPROXY_CLIENT, &size) == NULL);
    FAILS(s.p, wsproxy_pull_filled(s.p, WSPROXY_CLIENT, 0), WSPROXY_ERR_STATE, "no room was given");
    CHECK_INT(wsproxy_pull_input(s.p, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_AGAIN); /* the other side's fault */
    CHECK_WORDS(wsproxy_error(s.p), "client");
    FAILS(s.p, wsproxy_pull_wrote(s.p, WSPROXY_UPSTREAM, 1), WSPROXY_ERR_ARGUMENT, "1 bytes were not there, but 0");
    CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_FORWARD) == NULL);
    FAILS(s.p, wsproxy_pull_wrote(s.p, WSPROXY_UPSTREAM, 10), WSPROXY_ERR_ARGUMENT, "10 bytes were not there, but 9");
    FAILS(s.p, wsproxy_pull_wrote(s.p, WSPROXY_UPSTREAM, SIZE_MAX), WSPROXY_ERR_ARGUMENT, "but 9");
    CHECK_INT(wsproxy_pull_output(s.p, WSPROXY_UPSTREAM, parts, 0), 0);
    CHECK_INT(wsproxy_pull_output(s.p, WSPROXY_UPSTREAM, parts, 1), 1);
    CHECK_INT(parts[0].len, 9);
    pull_take(&s);
    pull_hears_text(&s, WSPROXY_UPSTREAM, "one");
    wsproxy_free(s.p);
}

/* The functions that need a session that is an event loop's, on one that is not. */
static void none_of_an_event_loops(wsproxy *p)
{
    size_t size = 7;
    wsproxy_bytes parts[3];
    CHECK_INT(wsproxy_pull_is_open(p, WSPROXY_CLIENT), WSPROXY_ERR_STATE);
    CHECK(wsproxy_pull_answer_head(p, &size) == NULL);
    CHECK_INT(wsproxy_pull_wants_input(p, WSPROXY_CLIENT), 0);
    CHECK(wsproxy_pull_room(p, WSPROXY_CLIENT, &size) == NULL && size == 7);
    FAILS(p, wsproxy_pull_filled(p, WSPROXY_CLIENT, 0), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_input(p, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_input_ended(p, WSPROXY_CLIENT, NULL, 0), WSPROXY_ERR_STATE, "not driven by pull");
    CHECK(wsproxy_pull_frame(p, WSPROXY_CLIENT) == NULL);
    CHECK(wsproxy_pull_verdict(p, WSPROXY_CLIENT, WSPROXY_FORWARD) == NULL);
    FAILS(p, wsproxy_pull_fail(p, WSPROXY_CLIENT, NULL, 0), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_pass(p, WSPROXY_CLIENT), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_set_payload(p, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_set_code(p, WSPROXY_CLIENT, 1000), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_set_end(p, WSPROXY_CLIENT, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_STATE,
          "not driven by pull");
    CHECK_INT(wsproxy_pull_output(p, WSPROXY_CLIENT, parts, 3), 0);
    FAILS(p, wsproxy_pull_wrote(p, WSPROXY_CLIENT, 0), WSPROXY_ERR_STATE, "not driven by pull");
    FAILS(p, wsproxy_pull_output_failed(p, WSPROXY_CLIENT), WSPROXY_ERR_STATE, "not driven by pull");
    CHECK_INT(wsproxy_pull_wants_fin(p, WSPROXY_CLIENT), 0);
    CHECK_INT(wsproxy_pull_deadline(p), -1);
    CHECK_INT(wsproxy_pull_is_over(p), 1);
    FAILS(p, wsproxy_pull_result(p), WSPROXY_ERR_STATE, "not driven by pull");
}

static int never_asked(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    (void)p, (void)handshake, (void)userdata;
    CHECK(0);
    return WSPROXY_ACCEPT;
}

static void calls_out_of_order_are_refused(void)
{
    struct pulled s;
    wsproxy *p = wsproxy_new(NULL);
    none_of_an_event_loops(p);
    CHECK_INT(wsproxy_set_on_handshake(p, never_asked, NULL), WSPROXY_OK);
    FAILS(p, wsproxy_pull_connect(p, "ws://h"), WSPROXY_ERR_STATE, "no handshake hook");
    FAILS(p, wsproxy_pull_connect_client(p), WSPROXY_ERR_STATE, "no handshake hook");
    wsproxy_free(p);

    pull_begin(&s, NULL);
    FAILS(s.p, wsproxy_pull_connect(s.p, "ws://h"), WSPROXY_ERR_STATE, "begun already");
    FAILS(s.p, wsproxy_pull_connect_upstream(s.p, "ws://h"), WSPROXY_ERR_STATE, "begun already");
    FAILS(s.p, wsproxy_pull_connect_client(s.p), WSPROXY_ERR_STATE, "begun already");
    wsproxy_free(s.p);

    pull_open(&s, NULL);
    FAILS(s.p, wsproxy_pull_connect(s.p, "ws://h"), WSPROXY_ERR_STATE, "handshakes are over");
    FAILS(s.p, wsproxy_pull_connect_client(s.p), WSPROXY_ERR_STATE, "handshakes are over");
    FAILS(s.p, wsproxy_pull_set_header(s.p, "X", "1"), WSPROXY_ERR_STATE, "handshakes are over");
    FAILS(s.p, wsproxy_pull_set_key(s.p, CLIENT_KEY), WSPROXY_ERR_STATE, "handshakes are over");
    FAILS(s.p, wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, "x", 1), WSPROXY_ERR_STATE, "no frame");
    FAILS(s.p, wsproxy_pull_set_code(s.p, WSPROXY_CLIENT, 1000), WSPROXY_ERR_STATE, "no frame");
    FAILS(s.p, wsproxy_pull_set_end(s.p, WSPROXY_CLIENT, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_STATE, "no frame");
    FAILS(s.p, wsproxy_pull_fail(s.p, WSPROXY_CLIENT, NULL, 0), WSPROXY_ERR_STATE, "no frame");
    wsproxy_free(s.p);
}

static void a_session_of_an_event_loops_is_not_connected_or_executed(void)
{
    struct pulled s;
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pull_begin(&s, NULL);
    CHECK_INT(wsproxy_connect(s.p, pair[0], "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_connect_upstream(s.p, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_connect_client(s.p, pair[0]), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_execute(s.p, NULL, NULL), WSPROXY_ERR_STATE);
    pull_bytes(&s, WSPROXY_CLIENT, client_request, strlen(client_request)); /* it goes on all the same */
    pull_take(&s);
    CHECK_WORDS((char *)s.to[WSPROXY_UPSTREAM].bytes, "GET /chat?x=1 HTTP/1.1\r\n");
    wsproxy_free(s.p);
    close(pair[0]);
    close(pair[1]);
}

static void a_session_that_was_connected_is_no_event_loops(void)
{
    struct scene scene;
    scene_open(&scene, NULL, NULL, NULL);
    CHECK_INT(wsproxy_pull_tick(scene.p, 1), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_pull_connect(scene.p, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_pull_connect_upstream(scene.p, "ws://127.0.0.1:1"), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_pull_connect_client(scene.p), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_pull_set_key(scene.p, CLIENT_KEY), WSPROXY_ERR_STATE);
    none_of_an_event_loops(scene.p);
    client_sends(&scene, FIN, TEXT, "still here");
    upstream_gets(&scene, FIN, TEXT, "still here");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_tick(scene.p, 2), WSPROXY_ERR_STATE);
    scene_close(&scene);
}

int main(void)
{
    int descriptors = open_descriptors();
    alarm(TIME_LIMIT_S);
    null_is_an_error_for_every_function_that_begins();
    null_is_an_error_for_every_function_that_goes_on();
    other_sides_are_refused_by_every_function();
    bad_values_are_refused_with_words();
    counts_larger_than_the_room_or_the_output_are_refused();
    calls_out_of_order_are_refused();
    a_session_of_an_event_loops_is_not_connected_or_executed();
    a_session_that_was_connected_is_no_event_loops();
    CHECK_INT(open_descriptors(), descriptors);
    return 0;
}
