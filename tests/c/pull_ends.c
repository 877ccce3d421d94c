/* How sessions end that an event loop in C drives by pull: by a verdict, by a peer, by another thread, freed at any stage. */
#include <pthread.h>

#include "pull.h"

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
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
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
    CHECK_INT(open_descriptors(), before);
    return 0;
}
