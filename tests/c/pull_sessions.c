/* Sessions that an event loop in C drives by pull: whole ones by bytes, verdicts that come late, ends at any stage. */
#include "pull.h"

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
    CHECK_INT(open_descriptors(), descriptors);
    return 0;
}
