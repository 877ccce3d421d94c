/* Sessions that an event loop in C drives by pull: whole ones by bytes, verdicts that come late, ends at any stage. */
#include <pthread.h>

#include "pull.h"

static const wsproxy_frame *waits(struct pulled *s, int side, const char *text)
{
    const wsproxy_frame *frame = wsproxy_pull_frame(s->p, side);
    CHECK(pull_is(frame, text));
    CHECK_INT(frame->from, side);
    CHECK(wsproxy_pull_frame(s->p, side) == frame); /* the same until its verdict */
    return frame;
}

static void forward(struct pulled *s, int side, const char *text)
{
    waits(s, side, text);
    CHECK(wsproxy_pull_verdict(s->p, side, WSPROXY_FORWARD) == NULL);
    pull_take(s);
}

/* The client closes, the upstream answers and ends its stream. */
static void close_both(struct pulled *s)
{
    pull_sends(s, WSPROXY_CLIENT, FIN, CLOSE, "\x03\xe8" "bye", 5);
    const wsproxy_frame *frame = waits(s, WSPROXY_CLIENT, "bye");
    CHECK_INT(frame->kind, WSPROXY_CLOSE);
    CHECK_INT(frame->code, 1000);
    forward(s, WSPROXY_CLIENT, "bye");
    pull_hears_close(s, WSPROXY_UPSTREAM, 1000, "bye");
    CHECK_INT(wsproxy_pull_wants_input(s->p, WSPROXY_CLIENT), 0);
    pull_sends(s, WSPROXY_UPSTREAM, FIN, CLOSE, "\x03\xe8", 2);
    forward(s, WSPROXY_UPSTREAM, "");
    pull_hears_close(s, WSPROXY_CLIENT, 1000, "");
    CHECK_INT(wsproxy_pull_wants_fin(s->p, WSPROXY_CLIENT), 1); /* we are its server, and close first */
    CHECK_INT(wsproxy_pull_wants_fin(s->p, WSPROXY_UPSTREAM), 0);
    CHECK_INT(wsproxy_pull_is_over(s->p), 0);
    CHECK_INT(wsproxy_pull_input_ended(s->p, WSPROXY_UPSTREAM, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_is_over(s->p), 1);
    CHECK_INT(wsproxy_pull_result(s->p), WSPROXY_OK);
}

static void a_whole_session_is_bytes_in_and_bytes_out(void)
{
    struct pulled s;
    wsproxy_side_stats stats;
    size_t len = 0;
    pull_open(&s, NULL);
    const char *head = wsproxy_pull_answer_head(s.p, &len);
    CHECK(head != NULL && len == strlen(upstream_answer) && memcmp(head, upstream_answer, len) == 0);
    pull_says(&s, WSPROXY_CLIENT, "hello");
    forward(&s, WSPROXY_CLIENT, "hello");
    pull_hears_text(&s, WSPROXY_UPSTREAM, "hello");
    pull_says(&s, WSPROXY_UPSTREAM, "hello to you");
    forward(&s, WSPROXY_UPSTREAM, "hello to you");
    pull_hears_text(&s, WSPROXY_CLIENT, "hello to you");
    pull_says(&s, WSPROXY_CLIENT, "dropped");
    CHECK(wsproxy_pull_frame(s.p, WSPROXY_CLIENT) != NULL);
    CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_DROP) == NULL);
    pull_sends(&s, WSPROXY_CLIENT, FIN, PING, "unseen", 6);
    CHECK_INT(wsproxy_pull_pass(s.p, WSPROXY_CLIENT), WSPROXY_OK);
    pull_take(&s);
    pull_hears(&s, WSPROXY_UPSTREAM, FIN, PING, "unseen", 6);
    close_both(&s);
    CHECK_INT(wsproxy_stats(s.p, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(stats.frames[WSPROXY_TEXT], 2);
    CHECK_INT(stats.frames[WSPROXY_PING], 1);
    CHECK_INT(stats.dropped, 1);
    CHECK_INT(stats.close_received, 1000);
    CHECK_INT(stats.closed_first, 1);
    CHECK_INT(wsproxy_stats(s.p, WSPROXY_UPSTREAM, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(stats.frames[WSPROXY_TEXT], 1);
    CHECK_INT(stats.close_sent, 1000);
    CHECK_INT(stats.close_received, 1000);
    wsproxy_free(s.p);
}

/* Statistics are asked on any thread, and between any two calls. */
static void what_was_forwarded_is_counted_at_once(void)
{
    struct pulled s;
    wsproxy_side_stats stats;
    pull_open(&s, NULL);
    for (uint64_t n = 1; n < 4; n++) {
        pull_says(&s, WSPROXY_CLIENT, "x");
        forward(&s, WSPROXY_CLIENT, "x");
        CHECK_INT(wsproxy_stats(s.p, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_OK);
        CHECK_INT(stats.frames[WSPROXY_TEXT], n);
        CHECK_INT(stats.bytes[WSPROXY_TEXT], n);
    }
    CHECK_INT(wsproxy_send(s.p, WSPROXY_UPSTREAM, WSPROXY_TEXT, "mine", 4), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_tick(s.p, 1001), WSPROXY_OK);
    CHECK(wsproxy_pull_frame(s.p, WSPROXY_CLIENT) == NULL);
    CHECK_INT(wsproxy_stats(s.p, WSPROXY_UPSTREAM, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(stats.sent_by_host, 1);
    wsproxy_free(s.p);
}

static void a_late_verdict_holds_up_its_own_direction_only(void)
{
    struct pulled s;
    size_t size;
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "thought about");
    const wsproxy_frame *late = waits(&s, WSPROXY_CLIENT, "thought about");
    for (int n = 0; n < 50; n++) {
        CHECK_INT(wsproxy_pull_tick(s.p, 1000 + 60000 * n), WSPROXY_OK); /* whoever thinks is not idle */
        CHECK(wsproxy_pull_room(s.p, WSPROXY_CLIENT, &size) == NULL);
        pull_says(&s, WSPROXY_UPSTREAM, "meanwhile");
        forward(&s, WSPROXY_UPSTREAM, "meanwhile");
        pull_hears_text(&s, WSPROXY_CLIENT, "meanwhile");
        CHECK(pull_is(late, "thought about")); /* where it was */
    }
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, "decided", 7), WSPROXY_OK);
    CHECK(pull_is(late, "decided"));
    forward(&s, WSPROXY_CLIENT, "decided");
    pull_hears_text(&s, WSPROXY_UPSTREAM, "decided");
    close_both(&s);
    wsproxy_free(s.p);
}

static void frames_of_one_read_are_shown_one_after_the_other(void)
{
    struct pulled s;
    int seen = 0;
    pull_open(&s, NULL);
    pull_bytes(&s, WSPROXY_UPSTREAM, "\x81\x01" "a" "\x01\x01" "b" "\x89\x01" "c" "\x80\x01" "d", 12);
    for (const wsproxy_frame *f = wsproxy_pull_frame(s.p, WSPROXY_UPSTREAM); f != NULL; seen++) {
        CHECK_INT(f->payload[0], "abcd"[seen]);
        CHECK_INT(f->fin, seen != 1);
        CHECK_INT(f->kind, ((const int[]){WSPROXY_TEXT, WSPROXY_TEXT, WSPROXY_PING, WSPROXY_CONTINUATION})[seen]);
        f = wsproxy_pull_verdict(s.p, WSPROXY_UPSTREAM, WSPROXY_FORWARD);
    }
    CHECK_INT(seen, 4);
    pull_take(&s);
    pull_hears_text(&s, WSPROXY_CLIENT, "a");
    pull_hears(&s, WSPROXY_CLIENT, MORE, TEXT, "b", 1);
    pull_hears(&s, WSPROXY_CLIENT, FIN, PING, "c", 1);
    pull_hears(&s, WSPROXY_CLIENT, FIN, CONTINUATION, "d", 1);
    wsproxy_free(s.p);
}

static void a_payload_may_be_replaced_by_a_part_of_itself(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "abcdef");
    const wsproxy_frame *f = waits(&s, WSPROXY_CLIENT, "abcdef");
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, f->payload + 1, f->payload_len - 1), WSPROXY_OK);
    CHECK(pull_is(f, "bcdef"));
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, f->payload + 1, f->payload_len - 2), WSPROXY_OK);
    CHECK(pull_is(f, "cde"));
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, f->payload, f->payload_len), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, "\xff", 1), WSPROXY_ERR_ARGUMENT); /* no UTF-8 */
    CHECK(pull_is(f, "cde"));
    forward(&s, WSPROXY_CLIENT, "cde");
    pull_hears_text(&s, WSPROXY_UPSTREAM, "cde");
    pull_says(&s, WSPROXY_CLIENT, "gone");
    waits(&s, WSPROXY_CLIENT, "gone");
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_CLIENT, NULL, 0), WSPROXY_OK);
    forward(&s, WSPROXY_CLIENT, "");
    pull_hears_text(&s, WSPROXY_UPSTREAM, "");
    wsproxy_free(s.p);
}

static void a_close_frame_gets_another_code_and_reason(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    pull_sends(&s, WSPROXY_UPSTREAM, FIN, CLOSE, "", 0);
    const wsproxy_frame *f = waits(&s, WSPROXY_UPSTREAM, "");
    CHECK_INT(f->code, WSPROXY_CLOSE_ABSENT);
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_UPSTREAM, "why", 3), WSPROXY_ERR_ARGUMENT); /* a code first */
    CHECK_INT(wsproxy_pull_set_code(s.p, WSPROXY_UPSTREAM, 70000), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_code(s.p, WSPROXY_UPSTREAM, 4001), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_set_payload(s.p, WSPROXY_UPSTREAM, "why", 3), WSPROXY_OK);
    CHECK_INT(f->code, 4001);
    forward(&s, WSPROXY_UPSTREAM, "why");
    pull_hears_close(&s, WSPROXY_CLIENT, 4001, "why");
    wsproxy_free(s.p);
}

/* ---- ends ---------------------------------------------------------------------------------------------------- */

static void a_verdict_ends_the_session_with_what_was_said_for_each_side(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "end");
    waits(&s, WSPROXY_CLIENT, "end");
    CHECK_INT(wsproxy_pull_set_end(s.p, WSPROXY_CLIENT, 7, 4001, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_set_end(s.p, WSPROXY_CLIENT, WSPROXY_CLIENT, 4001, "you", 3), WSPROXY_OK);
    CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_END) == NULL);
    pull_take(&s);
    pull_hears_close(&s, WSPROXY_CLIENT, 4001, "you");
    pull_hears_close(&s, WSPROXY_UPSTREAM, 1000, "");
    wsproxy_free(s.p);
}

/* Said of a frame that went its way all the same. */
static void what_was_said_for_the_end_does_not_outlive_its_frame(void)
{
    for (int passed = 0; passed < 2; passed++) {
        struct pulled s;
        pull_open(&s, NULL);
        pull_says(&s, WSPROXY_CLIENT, "stays");
        waits(&s, WSPROXY_CLIENT, "stays");
        CHECK_INT(wsproxy_pull_set_end(s.p, WSPROXY_CLIENT, WSPROXY_BOTH, 4001, "no", 2), WSPROXY_OK);
        if (passed)
            CHECK_INT(wsproxy_pull_pass(s.p, WSPROXY_CLIENT), WSPROXY_OK);
        else
            CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_FORWARD) == NULL);
        pull_take(&s);
        pull_hears_text(&s, WSPROXY_UPSTREAM, "stays");
        pull_says(&s, WSPROXY_CLIENT, "ends");
        waits(&s, WSPROXY_CLIENT, "ends");
        CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_END) == NULL);
        pull_take(&s);
        pull_hears_close(&s, WSPROXY_UPSTREAM, 1000, "");
        wsproxy_free(s.p);
    }
}

static void a_failed_hook_is_told_in_its_words(void)
{
    static const int no_verdicts[] = {0, -1, 4, WSPROXY_ACCEPT, INT32_MAX};
    struct pulled s;
    for (size_t i = 0; i < sizeof no_verdicts / sizeof *no_verdicts; i++) {
        pull_open(&s, NULL);
        pull_says(&s, WSPROXY_CLIENT, "x");
        waits(&s, WSPROXY_CLIENT, "x");
        CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, no_verdicts[i]) == NULL);
        pull_take(&s);
        pull_hears_close(&s, WSPROXY_CLIENT, 1011, "");
        pull_hears_close(&s, WSPROXY_UPSTREAM, 1011, "");
        CHECK_INT(wsproxy_pull_result(s.p), WSPROXY_ERR_HOOK);
        CHECK_WORDS(wsproxy_error(s.p), "no verdict");
        wsproxy_free(s.p);
    }
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "x");
    waits(&s, WSPROXY_CLIENT, "x");
    CHECK_INT(wsproxy_pull_fail(s.p, WSPROXY_CLIENT, "\xff", 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_pull_fail(s.p, WSPROXY_UPSTREAM, "why", 3), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_pull_fail(s.p, WSPROXY_CLIENT, "line 7: nil", 11), WSPROXY_OK);
    pull_take(&s);
    pull_hears_close(&s, WSPROXY_CLIENT, 1011, "");
    CHECK_INT(wsproxy_pull_result(s.p), WSPROXY_ERR_HOOK);
    CHECK_WORDS(wsproxy_error(s.p), "line 7: nil");
    wsproxy_free(s.p);
}

/* While it is thought about, the session ends in another way. */
static void a_verdict_that_comes_too_late_changes_nothing(void)
{
    for (int verdict = -1; verdict <= 4; verdict++) {
        struct pulled s;
        pull_open(&s, NULL);
        pull_says(&s, WSPROXY_CLIENT, "x");
        waits(&s, WSPROXY_CLIENT, "x");
        CHECK_INT(wsproxy_stop(s.p, 4000, NULL, 0), WSPROXY_OK);
        CHECK_INT(wsproxy_pull_tick(s.p, 1001), WSPROXY_OK);
        pull_take(&s);
        pull_hears_close(&s, WSPROXY_CLIENT, 4000, "");
        pull_hears_close(&s, WSPROXY_UPSTREAM, 4000, "");
        CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, verdict) == NULL);
        CHECK(wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, verdict) == NULL); /* nor does one for no frame at all */
        CHECK(wsproxy_pull_verdict(s.p, WSPROXY_UPSTREAM, verdict) == NULL);
        pull_take(&s);
        pull_hears_nothing(&s, WSPROXY_CLIENT);
        pull_hears_nothing(&s, WSPROXY_UPSTREAM);
        CHECK_INT(wsproxy_pull_result(s.p), WSPROXY_OK);
        wsproxy_free(s.p);
    }
}

static void a_session_may_be_aborted_while_a_frame_waits(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    pull_says(&s, WSPROXY_CLIENT, "x");
    waits(&s, WSPROXY_CLIENT, "x");
    CHECK_INT(wsproxy_abort(s.p), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_tick(s.p, 1001), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_is_over(s.p), 1);
    pull_take(&s);
    pull_hears_close(&s, WSPROXY_CLIENT, 1001, "");
    wsproxy_pull_verdict(s.p, WSPROXY_CLIENT, WSPROXY_FORWARD);
    pull_take(&s);
    pull_hears_nothing(&s, WSPROXY_CLIENT);
    wsproxy_free(s.p);
}

static void a_side_that_goes_takes_the_other_with_it(void)
{
    struct pulled s;
    pull_open(&s, NULL);
    CHECK_INT(wsproxy_pull_input_ended(s.p, WSPROXY_UPSTREAM, "lost: reset", 11), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_input_ended(s.p, WSPROXY_UPSTREAM, "a second time", 13), WSPROXY_OK);
    pull_take(&s);
    pull_hears_close(&s, WSPROXY_CLIENT, 1011, "");
    CHECK_INT(wsproxy_pull_output_failed(s.p, WSPROXY_CLIENT), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_input_ended(s.p, WSPROXY_CLIENT, NULL, 0), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_is_over(s.p), 1);
    CHECK_INT(wsproxy_pull_result(s.p), WSPROXY_ERR_GONE);
    CHECK_WORDS(wsproxy_error(s.p), "upstream: lost: reset");
    CHECK_INT(wsproxy_error_fault(s.p), WSPROXY_FAULT_UPSTREAM);
    wsproxy_free(s.p);
}

static void a_client_that_is_refused_gets_its_answer_and_the_session_is_over_behind_it(void)
{
    struct pulled s;
    pull_begin(&s, NULL);
    pull_bytes(&s, WSPROXY_CLIENT, "GET / HTTP/1.0\r\n\r\n", 18);
    CHECK_INT(wsproxy_pull_is_over(s.p), 0);
    pull_take(&s);
    CHECK_WORDS((char *)s.to[WSPROXY_CLIENT].bytes, "HTTP/1.1 4");
    CHECK_INT(wsproxy_pull_is_over(s.p), 1);
    CHECK_INT(wsproxy_pull_is_open(s.p, WSPROXY_CLIENT), WSPROXY_ERR_REQUEST);
    CHECK_INT(wsproxy_pull_result(s.p), WSPROXY_ERR_REQUEST);
    wsproxy_free(s.p);
}

/* ---- other threads ------------------------------------------------------------------------------------------- */

static void *asking_for_things(void *argument)
{
    wsproxy *p = argument;
    wsproxy_side_stats stats;
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "from afar", 9), WSPROXY_OK);
    CHECK_INT(wsproxy_stats(p, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(wsproxy_drain(p, 1001, NULL, 0), WSPROXY_OK);
    return NULL;
}

static void what_other_threads_ask_for_is_heard_at_the_next_tick(void)
{
    struct pulled s;
    pthread_t thread;
    pull_open(&s, NULL);
    CHECK(pthread_create(&thread, NULL, asking_for_things, s.p) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pull_take(&s);
    pull_hears_nothing(&s, WSPROXY_CLIENT);
    CHECK_INT(wsproxy_pull_tick(s.p, 1001), WSPROXY_OK);
    pull_take(&s);
    pull_hears_text(&s, WSPROXY_CLIENT, "from afar");
    pull_hears_close(&s, WSPROXY_CLIENT, 1001, "");
    pull_hears_close(&s, WSPROXY_UPSTREAM, 1001, "");
    wsproxy_free(s.p);
}

static void asking(int level, const char *message, void *userdata)
{
    wsproxy **p = userdata;
    (void)level, (void)message;
    wsproxy_pull_is_over(*p); /* "It may call anything but wsproxy_log" */
}

static void a_log_callback_may_call_the_session(void)
{
    struct pulled s;
    CHECK_INT(wsproxy_log(WSPROXY_LOG_TRACE, asking, &s.p), WSPROXY_OK);
    pull_open(&s, NULL);
    close_both(&s);
    CHECK_INT(wsproxy_log(WSPROXY_LOG_OFF, NULL, NULL), WSPROXY_OK);
    wsproxy_free(s.p);
}

/* ---- freeing ------------------------------------------------------------------------------------------------- */

/* Goes on with a session as far as `stage` says; returns 0 beyond the last. */
static int go_as_far_as(struct pulled *s, int stage)
{
    size_t size, half = strlen(client_request) / 2;
    if (stage < 4) {
        s->p = wsproxy_new(NULL);
        if (stage > 0)
            CHECK_INT(wsproxy_pull_tick(s->p, 1000), WSPROXY_OK);
        if (stage > 1)
            CHECK_INT(wsproxy_pull_connect(s->p, "ws://h"), WSPROXY_OK);
        if (stage > 2)
            pull_bytes(s, WSPROXY_CLIENT, client_request, half);
        return 1;
    }
    if (stage < 6) {
        pull_begin(s, NULL);
        pull_bytes(s, WSPROXY_CLIENT, client_request, strlen(client_request));
        if (stage > 4)
            pull_bytes(s, WSPROXY_UPSTREAM, upstream_answer, strlen(upstream_answer) / 2);
        return 1;
    }
    pull_open(s, NULL);
    if (stage == 7)
        CHECK(wsproxy_pull_room(s->p, WSPROXY_CLIENT, &size) != NULL);
    if (stage > 7)
        pull_bytes(s, WSPROXY_CLIENT, "\x81\x85\0\0\0\0hel", 9);
    if (stage > 8)
        pull_bytes(s, WSPROXY_CLIENT, "lo", 2);
    if (stage > 9)
        waits(s, WSPROXY_CLIENT, "hello");
    if (stage > 10)
        CHECK_INT(wsproxy_pull_set_payload(s->p, WSPROXY_CLIENT, "another", 7), WSPROXY_OK);
    if (stage > 11)
        CHECK_INT(wsproxy_pull_set_end(s->p, WSPROXY_CLIENT, WSPROXY_BOTH, 4000, "x", 1), WSPROXY_OK);
    if (stage > 12)
        CHECK(wsproxy_pull_verdict(s->p, WSPROXY_CLIENT, WSPROXY_END) == NULL); /* its output waits */
    return stage < 14;
}

static void a_session_may_be_freed_at_any_stage(void)
{
    struct pulled s;
    int more = 1;
    for (int stage = 0; more; stage++) {
        more = go_as_far_as(&s, stage);
        wsproxy_free(s.p);
    }
}

int main(void)
{
    int descriptors = open_descriptors();
    alarm(TIME_LIMIT_S);
    a_whole_session_is_bytes_in_and_bytes_out();
    what_was_forwarded_is_counted_at_once();
    a_late_verdict_holds_up_its_own_direction_only();
    frames_of_one_read_are_shown_one_after_the_other();
    a_payload_may_be_replaced_by_a_part_of_itself();
    a_close_frame_gets_another_code_and_reason();
    a_verdict_ends_the_session_with_what_was_said_for_each_side();
    what_was_said_for_the_end_does_not_outlive_its_frame();
    a_failed_hook_is_told_in_its_words();
    a_verdict_that_comes_too_late_changes_nothing();
    a_session_may_be_aborted_while_a_frame_waits();
    a_side_that_goes_takes_the_other_with_it();
    a_client_that_is_refused_gets_its_answer_and_the_session_is_over_behind_it();
    what_other_threads_ask_for_is_heard_at_the_next_tick();
    a_log_callback_may_call_the_session();
    a_session_may_be_freed_at_any_stage();
    CHECK_INT(open_descriptors(), descriptors);
    return 0;
}
