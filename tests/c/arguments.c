/* Every function with NULL and with bad values: an error with words, nothing changed. Out of order and twice: order.c. */
#include "scene.h"

static const char *const no_text = NULL;

static void null_is_an_error_for_every_function_of_a_configuration(void)
{
    CHECK_INT(wsproxy_config_set_policy(NULL, WSPROXY_SERIAL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_aggregate(NULL, WSPROXY_BOTH, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_max_frame_size(NULL, WSPROXY_BOTH, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_max_message_size(NULL, WSPROXY_BOTH, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_max_fragments(NULL, WSPROXY_BOTH, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_check_utf8(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_connect_timeout(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_idle_timeout(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_write_timeout(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_close_timeout(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_keepalive_interval(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_add_header(NULL, "X-Note", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_header(NULL, "X-Note", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_remove_header(NULL, "X-Note"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_add_subprotocol(NULL, "chat"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_forwarded(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_http_proxy(NULL, "http://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_add_origin(NULL, "https://example.com"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_send_queue(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_thread_stack_size(NULL, 1 << 20), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_upstream_verify(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_add_upstream_ca(NULL, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_add_upstream_ca_file(NULL, "x"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_upstream_server_name(NULL, "x"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_upstream_certificate(NULL, "x", 1, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_upstream_certificate_file(NULL, "x", "x"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_client_certificate(NULL, "x", 1, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_client_certificate_file(NULL, "x", "x"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_config_set_min_tls_version(NULL, WSPROXY_BOTH, WSPROXY_TLS_1_2), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_config_error(NULL), "host: ");
    wsproxy_config_free(NULL);
}

static void null_is_an_error_for_every_function_of_a_session(void)
{
    wsproxy_side_stats stats;
    CHECK_INT(wsproxy_set_client_head(NULL, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_set_client_upgraded(NULL, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_connect(NULL, 0, "ws://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_connect_upstream(NULL, "ws://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_connect_client(NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_execute(NULL, NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_stop(NULL, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_send(NULL, WSPROXY_CLIENT, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_stats(NULL, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_set_on_handshake(NULL, NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_drain(NULL, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_abort(NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_set_userdata(NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK(wsproxy_userdata(NULL) == NULL);
    CHECK_WORDS(wsproxy_error(NULL), "host: ");
    CHECK_INT(wsproxy_error_fault(NULL), WSPROXY_FAULT_HOST);
    CHECK_INT(wsproxy_http_status(NULL), 0);
    CHECK_INT(wsproxy_refusal_header_count(NULL), 0);
    CHECK(wsproxy_refusal_header_name(NULL, 0) == NULL);
    CHECK(wsproxy_refusal_header_value(NULL, 0) == NULL);
    CHECK(wsproxy_subprotocol(NULL) == NULL);
    CHECK_INT(wsproxy_frame_set_payload(NULL, "x", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_code(NULL, 1000), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(NULL, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    wsproxy_free(NULL);
}

static void null_is_an_error_for_every_function_of_a_handshake(void)
{
    CHECK(wsproxy_handshake_method(NULL) == NULL);
    CHECK(wsproxy_handshake_target(NULL) == NULL);
    CHECK(wsproxy_handshake_host(NULL) == NULL);
    CHECK(wsproxy_handshake_peer(NULL) == NULL);
    CHECK_INT(wsproxy_handshake_is_secure(NULL), 0);
    CHECK(wsproxy_handshake_header(NULL, "Host") == NULL);
    CHECK_INT(wsproxy_handshake_header_count(NULL), 0);
    CHECK(wsproxy_handshake_header_name(NULL, 0) == NULL);
    CHECK(wsproxy_handshake_header_value(NULL, 0) == NULL);
    CHECK_INT(wsproxy_handshake_set_url(NULL, "ws://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_set_header(NULL, "X-Note", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_header(NULL, "X-Note", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_remove_header(NULL, "X-Note"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_add_answer_header(NULL, "X-Note", "1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_handshake_refuse(NULL, 403, NULL, 0), WSPROXY_ERR_ARGUMENT);
}

static void null_is_an_error_for_every_function_of_a_server(void)
{
    wsproxy_server_counters counters;
    CHECK_INT(wsproxy_server_set_upstream(NULL, "ws://127.0.0.1"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_set_max_connections(NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_set_on_open(NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_set_on_handshake(NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_set_on_end(NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_listen(NULL, "127.0.0.1:0"), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_listen_fd(NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK(wsproxy_server_address(NULL, 0) == NULL);
    CHECK_INT(wsproxy_server_run(NULL, NULL, NULL), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_drain(NULL, 1001, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_server_stats(NULL, &counters, sizeof counters), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_server_error(NULL), "host: the server is NULL");
    wsproxy_server_free(NULL);
}

#define REFUSED(config, call, words)                              \
    do {                                                          \
        CHECK_INT(call, WSPROXY_ERR_ARGUMENT);                    \
        CHECK_WORDS(wsproxy_config_error(config), "host: ");      \
        CHECK_WORDS(wsproxy_config_error(config), words);         \
    } while (0)

static void bad_values_are_refused_with_words_by_every_setter(void)
{
    wsproxy_config *c = wsproxy_config_new();
    CHECK(strcmp(wsproxy_config_error(c), "") == 0);
    REFUSED(c, wsproxy_config_set_policy(c, 3), "policy is 3");
    REFUSED(c, wsproxy_config_set_policy(c, -1), "policy is -1");
    REFUSED(c, wsproxy_config_set_aggregate(c, 0, 1), "side is 0");
    REFUSED(c, wsproxy_config_set_aggregate(c, WSPROXY_BOTH, 2), "switch is 2");
    REFUSED(c, wsproxy_config_set_max_frame_size(c, 4, 1), "side is 4");
    REFUSED(c, wsproxy_config_set_max_frame_size(c, WSPROXY_CLIENT, 0), "max_frame_size must be at least 1");
    REFUSED(c, wsproxy_config_set_max_message_size(c, -7, 1), "side is -7");
    REFUSED(c, wsproxy_config_set_max_message_size(c, WSPROXY_UPSTREAM, 0), "max_message_size must be at least 1");
    REFUSED(c, wsproxy_config_set_max_fragments(c, 99, 1), "side is 99");
    REFUSED(c, wsproxy_config_set_max_fragments(c, WSPROXY_BOTH, 0), "max_fragments must be at least 1");
    REFUSED(c, wsproxy_config_set_check_utf8(c, -1), "switch is -1");
    REFUSED(c, wsproxy_config_set_connect_timeout(c, 0), "connect_timeout");
    REFUSED(c, wsproxy_config_set_connect_timeout(c, -1), "-1 ms");
    REFUSED(c, wsproxy_config_set_idle_timeout(c, -2), "-2 ms");
    REFUSED(c, wsproxy_config_set_write_timeout(c, INT64_MIN), "negative");
    REFUSED(c, wsproxy_config_set_close_timeout(c, 0), "close_timeout");
    REFUSED(c, wsproxy_config_set_keepalive_interval(c, -3), "-3 ms");
    REFUSED(c, wsproxy_config_set_forwarded(c, 4), "flags are 4");
    REFUSED(c, wsproxy_config_set_forwarded(c, -1), "flags are -1");
    REFUSED(c, wsproxy_config_set_upstream_verify(c, 2), "switch is 2");
    REFUSED(c, wsproxy_config_set_min_tls_version(c, 0, WSPROXY_TLS_1_3), "side is 0");
    REFUSED(c, wsproxy_config_set_min_tls_version(c, WSPROXY_BOTH, 13), "TLS version is 13");
    REFUSED(c, wsproxy_config_set_send_queue(c, 0), "send_queue must be at least 1");
    REFUSED(c, wsproxy_config_set_send_queue(c, UINT64_MAX), "send_queue");
    REFUSED(c, wsproxy_config_set_thread_stack_size(c, 1), "thread_stack_size");
    REFUSED(c, wsproxy_config_set_thread_stack_size(c, UINT64_MAX), "thread_stack_size");
    wsproxy_config_free(c);
}

static void bad_texts_are_refused_with_words_by_every_setter(void)
{
    wsproxy_config *c = wsproxy_config_new();
    REFUSED(c, wsproxy_config_add_header(c, no_text, "1"), "header name is NULL");
    REFUSED(c, wsproxy_config_add_header(c, "X-Note", no_text), "header value is NULL");
    REFUSED(c, wsproxy_config_add_header(c, "X-Note", "a\r\nEvil: 1"), "X-Note");
    REFUSED(c, wsproxy_config_add_header(c, "X Note", "1"), "X Note");
    REFUSED(c, wsproxy_config_add_header(c, "", "1"), "header");
    REFUSED(c, wsproxy_config_set_header(c, no_text, "1"), "header name is NULL");
    REFUSED(c, wsproxy_config_set_header(c, "X-Note", no_text), "header value is NULL");
    REFUSED(c, wsproxy_config_set_header(c, "X-Note", "a\nb"), "X-Note");
    REFUSED(c, wsproxy_config_set_header(c, "X-\xff", "1"), "not UTF-8");
    REFUSED(c, wsproxy_config_set_header(c, "Sec-WebSocket-Key", "1"), "Sec-WebSocket-Key");
    REFUSED(c, wsproxy_config_remove_header(c, no_text), "header name is NULL");
    REFUSED(c, wsproxy_config_remove_header(c, "a:b"), "a:b");
    REFUSED(c, wsproxy_config_add_subprotocol(c, no_text), "subprotocol is NULL");
    REFUSED(c, wsproxy_config_add_subprotocol(c, "a,b"), "a,b");
    REFUSED(c, wsproxy_config_add_subprotocol(c, ""), "subprotocol");
    REFUSED(c, wsproxy_config_add_origin(c, no_text), "origin is NULL");
    REFUSED(c, wsproxy_config_add_origin(c, "example.com"), "not an origin");
    REFUSED(c, wsproxy_config_set_http_proxy(c, no_text), "URL of the HTTP proxy is NULL");
    REFUSED(c, wsproxy_config_set_http_proxy(c, "https://127.0.0.1"), "http://");
    REFUSED(c, wsproxy_config_set_upstream_server_name(c, no_text), "server name is NULL");
    REFUSED(c, wsproxy_config_set_upstream_server_name(c, "a b"), "server name");
    REFUSED(c, wsproxy_config_add_upstream_ca(c, NULL, 1), "certificate authorities is NULL");
    REFUSED(c, wsproxy_config_add_upstream_ca(c, NULL, 0), "no certificate");
    REFUSED(c, wsproxy_config_add_upstream_ca_file(c, no_text), "file of certificate authorities is NULL");
    REFUSED(c, wsproxy_config_set_upstream_certificate(c, NULL, 1, "x", 1), "certificate is NULL");
    REFUSED(c, wsproxy_config_set_upstream_certificate(c, "x", 1, NULL, 1), "private key is NULL");
    REFUSED(c, wsproxy_config_set_upstream_certificate_file(c, no_text, "x"), "certificate file is NULL");
    REFUSED(c, wsproxy_config_set_client_certificate(c, NULL, 1, "x", 1), "certificate is NULL");
    REFUSED(c, wsproxy_config_set_client_certificate(c, "x", SIZE_MAX, "x", 1), "impossible length");
    REFUSED(c, wsproxy_config_set_client_certificate_file(c, no_text, "x"), "certificate file is NULL");
    wsproxy_config_free(c);
}

#define WORDS 200

/* Refused setters, again and again; what this thread reads stays what it was told, whatever others are told. */
static void *refused_thread(void *argument)
{
    wsproxy_config *c = argument;
    CHECK_WORDS(wsproxy_config_error(c), "policy is 9"); /* none of its own yet: the last one */
    for (int i = 0; i < WORDS; i++) {
        CHECK_INT(wsproxy_config_set_connect_timeout(c, -1 - i), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_config_error(c), "ms; it cannot be negative");
    }
    return NULL;
}

static void each_thread_keeps_the_words_of_its_own_refused_setter(void)
{
    wsproxy_config *c = wsproxy_config_new();
    pthread_t thread;
    CHECK_INT(wsproxy_config_set_policy(c, 9), WSPROXY_ERR_ARGUMENT);
    const char *words = wsproxy_config_error(c);
    CHECK(pthread_create(&thread, NULL, refused_thread, c) == 0);
    pthread_join(thread, NULL);
    CHECK_WORDS(words, "policy is 9"); /* the same memory, which nobody has freed */
    CHECK_INT(wsproxy_config_set_policy(c, 9), WSPROXY_ERR_ARGUMENT);
    words = wsproxy_config_error(c);
    CHECK(pthread_create(&thread, NULL, refused_thread, c) == 0);
    for (int i = 0; i < WORDS; i++)
        CHECK_WORDS(words, "policy is 9");
    pthread_join(thread, NULL);
    CHECK(wsproxy_config_error(c) == words);
    wsproxy_config_free(c);
}

static void good_values_are_taken_by_every_setter(void)
{
    wsproxy_config *c = wsproxy_config_new();
    CHECK_INT(wsproxy_config_set_policy(c, WSPROXY_CALLER), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_aggregate(c, WSPROXY_CLIENT, 1), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_max_frame_size(c, WSPROXY_BOTH, UINT64_MAX), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_max_message_size(c, WSPROXY_UPSTREAM, 1), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_max_fragments(c, WSPROXY_BOTH, 10), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_check_utf8(c, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_connect_timeout(c, 1), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_idle_timeout(c, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_write_timeout(c, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_close_timeout(c, INT64_MAX), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_keepalive_interval(c, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_config_add_header(c, "X-Note", "1"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_header(c, "X-Note", "\xe4"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_remove_header(c, "Cookie"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_add_subprotocol(c, "chat"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_forwarded(c, WSPROXY_FORWARDED_X | WSPROXY_FORWARDED_RFC7239), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_forwarded(c, WSPROXY_FORWARDED_RFC7239), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_forwarded(c, WSPROXY_FORWARDED_X), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_forwarded(c, WSPROXY_FORWARDED_NONE), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_http_proxy(c, "http://user:secret@127.0.0.1:3128"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_upstream_verify(c, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_upstream_server_name(c, "example.com"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_min_tls_version(c, WSPROXY_UPSTREAM, WSPROXY_TLS_1_3), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_min_tls_version(c, WSPROXY_BOTH, WSPROXY_TLS_1_2), WSPROXY_OK);
    CHECK_INT(wsproxy_config_add_origin(c, "https://example.com"), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_send_queue(c, 1), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_thread_stack_size(c, 1 << 20), WSPROXY_OK);
    CHECK(strcmp(wsproxy_config_error(c), "") == 0);
    wsproxy_config_free(c);
}

static void bad_values_are_refused_with_words_by_a_session(void)
{
    wsproxy *p = wsproxy_new(NULL);
    wsproxy_side_stats stats;
    CHECK(strcmp(wsproxy_error(p), "") == 0);
    CHECK_INT(wsproxy_error_fault(p), WSPROXY_FAULT_NONE);
    FAILS(p, wsproxy_set_client_head(p, NULL, 1), WSPROXY_ERR_ARGUMENT, "host: the request is NULL");
    FAILS(p, wsproxy_set_client_head(p, "x", SIZE_MAX), WSPROXY_ERR_ARGUMENT, "impossible length");
    FAILS(p, wsproxy_set_client_upgraded(p, NULL, 1), WSPROXY_ERR_ARGUMENT, "early data is NULL");
    FAILS(p, wsproxy_connect(p, 0, NULL), WSPROXY_ERR_ARGUMENT, "URL is NULL");
    FAILS(p, wsproxy_connect(p, 0, "ws://\xff"), WSPROXY_ERR_ARGUMENT, "URL is not UTF-8");
    FAILS(p, wsproxy_connect(p, -1, "ws://127.0.0.1:1"), WSPROXY_ERR_ARGUMENT, "fd -1");
    FAILS(p, wsproxy_connect(p, 999999, "ws://127.0.0.1:1"), WSPROXY_ERR_ARGUMENT, "fd 999999");
    FAILS(p, wsproxy_connect_upstream(p, NULL), WSPROXY_ERR_ARGUMENT, "URL is NULL");
    FAILS(p, wsproxy_connect_upstream(p, "http://127.0.0.1:1"), WSPROXY_ERR_ARGUMENT, "ws://");
    FAILS(p, wsproxy_connect_upstream(p, ""), WSPROXY_ERR_ARGUMENT, "URL");
    FAILS(p, wsproxy_connect_upstream(p, "ws://"), WSPROXY_ERR_ARGUMENT, "URL");
    FAILS(p, wsproxy_connect_upstream(p, "ws://127.0.0.1:99999/"), WSPROXY_ERR_ARGUMENT, "port");
    FAILS(p, wsproxy_connect_upstream(p, "wss://"), WSPROXY_ERR_ARGUMENT, "URL");
    FAILS(p, wsproxy_connect_upstream(p, "ws+unix:"), WSPROXY_ERR_ARGUMENT, "URL");
    FAILS(p, wsproxy_connect_client(p, -1), WSPROXY_ERR_ARGUMENT, "fd -1");
    FAILS(p, wsproxy_stop(p, -2, NULL, 0), WSPROXY_ERR_ARGUMENT, "close code is -2");
    FAILS(p, wsproxy_stop(p, 65536, NULL, 0), WSPROXY_ERR_ARGUMENT, "close code is 65536");
    FAILS(p, wsproxy_stop(p, 1000, NULL, 5), WSPROXY_ERR_ARGUMENT, "close reason is NULL");
    FAILS(p, wsproxy_stop(p, 1000, "\xff", 1), WSPROXY_ERR_ARGUMENT, "not UTF-8");
    FAILS(p, wsproxy_stop(p, WSPROXY_CLOSE_ABSENT, "why", 3), WSPROXY_ERR_ARGUMENT, "without a code");
    FAILS(p, wsproxy_stop(p, 1005, "why", 3), WSPROXY_ERR_ARGUMENT, "without a code");
    char reason[124];
    memset(reason, 'x', sizeof reason);
    FAILS(p, wsproxy_stop(p, 1000, reason, sizeof reason), WSPROXY_ERR_ARGUMENT, "123");
    FAILS(p, wsproxy_drain(p, -2, NULL, 0), WSPROXY_ERR_ARGUMENT, "close code is -2");
    FAILS(p, wsproxy_drain(p, 1000, NULL, 5), WSPROXY_ERR_ARGUMENT, "close reason is NULL");
    FAILS(p, wsproxy_drain(p, 1000, reason, sizeof reason), WSPROXY_ERR_ARGUMENT, "123");
    FAILS(p, wsproxy_send(p, WSPROXY_BOTH, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_ARGUMENT, "side is 3");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, 3, "x", 1), WSPROXY_ERR_ARGUMENT, "kind is 3");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_CLOSE, "x", 1), WSPROXY_ERR_ARGUMENT, "close");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_CONTINUATION, "x", 1), WSPROXY_ERR_ARGUMENT, "message");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, NULL, 1), WSPROXY_ERR_ARGUMENT, "payload is NULL");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "\xff", 1), WSPROXY_ERR_ARGUMENT, "UTF-8");
    FAILS(p, wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_PING, client_request, 126), WSPROXY_ERR_ARGUMENT, "125");
    memset(&stats, 0x77, sizeof stats);
    FAILS(p, wsproxy_stats(p, WSPROXY_CLIENT, NULL, sizeof stats), WSPROXY_ERR_ARGUMENT, "no room");
    FAILS(p, wsproxy_stats(p, WSPROXY_CLIENT, &stats, 0), WSPROXY_ERR_ARGUMENT, "no room");
    FAILS(p, wsproxy_stats(p, WSPROXY_CLIENT, &stats, SIZE_MAX), WSPROXY_ERR_ARGUMENT, "impossible size");
    FAILS(p, wsproxy_stats(p, WSPROXY_BOTH, &stats, sizeof stats), WSPROXY_ERR_ARGUMENT, "side is 3");
    FAILS(p, wsproxy_stats(p, 0, &stats, sizeof stats), WSPROXY_ERR_ARGUMENT, "side is 0");
    CHECK_INT(stats.closed_first, 0x77777777); /* nothing was written */
    wsproxy_free(p);
}

static void the_abi_and_the_names_are_told(void)
{
    CHECK_INT(wsproxy_abi(), WSPROXY_ABI);
    CHECK_INT(wsproxy_check_abi(WSPROXY_ABI), WSPROXY_OK);
    CHECK_INT(wsproxy_check_abi(WSPROXY_ABI + 1), WSPROXY_ERR_UNSUPPORTED);
    CHECK_WORDS(wsproxy_version(), ".");
    CHECK_WORDS(wsproxy_strerror(WSPROXY_ERR_GONE), "went away");
    CHECK_WORDS(wsproxy_strerror(-1000), "unknown");
    CHECK_WORDS(wsproxy_side_name(WSPROXY_UPSTREAM), "upstream");
    CHECK_WORDS(wsproxy_side_name(WSPROXY_BOTH), "unknown");
    CHECK_WORDS(wsproxy_kind_name(WSPROXY_PONG), "pong");
    CHECK_WORDS(wsproxy_kind_name(11), "unknown");
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    null_is_an_error_for_every_function_of_a_configuration();
    null_is_an_error_for_every_function_of_a_session();
    null_is_an_error_for_every_function_of_a_handshake();
    null_is_an_error_for_every_function_of_a_server();
    bad_values_are_refused_with_words_by_every_setter();
    bad_texts_are_refused_with_words_by_every_setter();
    each_thread_keeps_the_words_of_its_own_refused_setter();
    good_values_are_taken_by_every_setter();
    bad_values_are_refused_with_words_by_a_session();
    the_abi_and_the_names_are_told();
    CHECK_INT(open_descriptors(), before);
    return 0;
}
