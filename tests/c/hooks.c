/* How a hook ends, stops, frees or fails a session, and sends frames of its own. Each under every policy. */
#include "scene.h"

/* What the hooks below leave behind for their test. */
struct seen {
    int calls;
    wsproxy *other;
};

static int is(const wsproxy_frame *frame, const char *text)
{
    return frame->payload_len == strlen(text) && memcmp(frame->payload, text, frame->payload_len) == 0;
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

static int recoding(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)userdata;
    if (frame->kind == WSPROXY_CLOSE && frame->from == WSPROXY_CLIENT) {
        CHECK_INT(frame->code, WSPROXY_CLOSE_ABSENT);
        CHECK_INT(wsproxy_frame_set_payload(frame, "too soon", 8), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(p), "set the code first");
        CHECK_INT(wsproxy_frame_set_payload(frame, NULL, 0), WSPROXY_OK);
        CHECK_INT(wsproxy_frame_set_code(frame, 4321), WSPROXY_OK);
        CHECK_INT(wsproxy_frame_set_payload(frame, "mended", 6), WSPROXY_OK);
        CHECK_INT(frame->code, 4321);
    } else if (frame->kind == WSPROXY_CLOSE) {
        CHECK_INT(frame->code, 4000);
        CHECK(is(frame, "reason"));
        CHECK_INT(wsproxy_frame_set_code(frame, WSPROXY_CLOSE_ABSENT), WSPROXY_OK);
        CHECK_INT(frame->code, WSPROXY_CLOSE_ABSENT);
        CHECK_INT(wsproxy_frame_set_payload(frame, "too late", 8), WSPROXY_ERR_ARGUMENT);
    }
    return WSPROXY_FORWARD;
}

static void close_codes_are_changed_and_taken_away(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, recoding, NULL);
    client_sends(&scene, FIN, CLOSE, "");
    expect_close(scene.upstream, 1, 4321, "mended");
    send_close(scene.upstream, 0, 4000, "reason");
    upstream_ends(scene.upstream);
    expect_close(scene.client, 0, -1, "");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static int ending(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    (void)userdata;
    if (is(frame, "end"))
        return WSPROXY_END;
    if (is(frame, "end as said")) {
        CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, 4000, "both", 4), WSPROXY_OK);
        CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_UPSTREAM, WSPROXY_CLOSE_ABSENT, NULL, 0), WSPROXY_OK);
        return WSPROXY_END;
    }
    return WSPROXY_FORWARD;
}

static void the_hook_ends_the_session(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, ending, NULL);
    client_sends(&scene, FIN, TEXT, "end");
    both_are_closed(&scene, 1000, "");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void the_hook_says_what_each_side_is_sent_at_the_end(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, ending, NULL);
    upstream_sends(&scene, FIN, BINARY, "end as said");
    expect_close(scene.client, 0, 4000, "both");
    expect_close(scene.upstream, 1, -1, "");
    send_close(scene.client, 1, 4000, "");
    send_frame(scene.upstream, 0, FIN, CLOSE, "", 0);
    upstream_ends(scene.upstream);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

/* ---- failing ------------------------------------------------------------------------------------------------- */

static int failing(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    return frame->kind == WSPROXY_TEXT ? *(int *)userdata : WSPROXY_FORWARD;
}

static void a_hook_fails_with(wsproxy_config *config, int verdict, const char *words)
{
    struct scene scene;
    scene_open(&scene, config, failing, &verdict);
    client_sends(&scene, FIN, TEXT, "hello");
    both_are_closed(&scene, 1011, "");
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_HOOK);
    CHECK_WORDS(wsproxy_error(scene.p), words);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_HOST);
    scene_close(&scene);
}

static void what_is_no_verdict_is_a_failed_hook(wsproxy_config *config)
{
    a_hook_fails_with(config, 0, "returned 0");
    a_hook_fails_with(config, 99, "returned 99");
    a_hook_fails_with(config, -1, "returned -1");
}

static int halving(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    return frame->kind == *(int *)userdata ? WSPROXY_DROP : WSPROXY_FORWARD;
}

/* Which half of the character is dropped makes no difference. */
static void a_dropped_fragment_that_leaves_half_a_character_is_a_failed_hook(wsproxy_config *config)
{
    int halves[] = {WSPROXY_TEXT, WSPROXY_CONTINUATION};
    for (int i = 0; i < 2; i++) {
        struct scene scene;
        scene_open(&scene, config, halving, &halves[i]);
        client_sends(&scene, MORE, TEXT, "caf\xc3");
        if (halves[i] == WSPROXY_CONTINUATION)
            upstream_gets(&scene, MORE, TEXT, "caf\xc3");
        client_sends(&scene, FIN, CONTINUATION, "\xa9");
        both_are_closed(&scene, 1011, "");
        CHECK_INT(scene_result(&scene), WSPROXY_ERR_HOOK);
        scene_close(&scene);
    }
}

/* ---- stopping, sending, freeing ------------------------------------------------------------------------------ */

static int stopping(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct seen *seen = userdata;
    if (frame->kind == WSPROXY_TEXT) {
        CHECK_INT(wsproxy_stop(p, 4001, "stop", 4), WSPROXY_OK);
        CHECK_INT(wsproxy_stop(p, 4002, "again", 5), WSPROXY_OK);
        seen->calls++;
    }
    return WSPROXY_DROP;
}

static void the_hook_stops_the_session(wsproxy_config *config)
{
    struct scene scene;
    struct seen seen = {0};
    scene_open(&scene, config, stopping, &seen);
    client_sends(&scene, FIN, TEXT, "hello");
    both_are_closed(&scene, 4001, "stop");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK_INT(seen.calls, 1);
    scene_close(&scene);
}

static int sending(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)userdata;
    if (!is(frame, "hello"))
        return WSPROXY_FORWARD;
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_TEXT, "to the client", 13), WSPROXY_OK);
    CHECK_INT(wsproxy_send(p, WSPROXY_UPSTREAM, WSPROXY_BINARY, "to the upstream", 15), WSPROXY_OK);
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_CLOSE, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_send(p, WSPROXY_CLIENT, WSPROXY_PING, NULL, 0), WSPROXY_OK);
    return WSPROXY_DROP;
}

static void the_hook_sends_frames_of_its_own(wsproxy_config *config)
{
    struct scene scene;
    struct frame frame;
    wsproxy_side_stats stats;
    int pings = 0, texts = 0;
    scene_open(&scene, config, sending, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, BINARY, "to the upstream");
    for (int i = 0; i < 2; i++) { /* a ping may overtake */
        CHECK(recv_frame(scene.client, &frame));
        pings += frame.opcode == PING && frame.length == 0;
        texts += frame.opcode == TEXT && memcmp(frame.payload, "to the client", 13) == 0;
    }
    CHECK_INT(pings, 1);
    CHECK_INT(texts, 1);
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(stats.sent_by_host, 2);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_UPSTREAM, &stats, sizeof stats), WSPROXY_OK);
    CHECK_INT(stats.sent_by_host, 1);
    scene_close(&scene);
}

static int freeing(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    wsproxy_side_stats stats;
    (void)userdata;
    if (frame->kind == WSPROXY_TEXT) {
        wsproxy_free(p);
        wsproxy_free(p); /* does nothing */
        CHECK_INT(wsproxy_stats(p, WSPROXY_CLIENT, &stats, sizeof stats), WSPROXY_OK);
        CHECK_INT(wsproxy_send(p, 7, WSPROXY_TEXT, "x", 1), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(p), "side is 7");
        CHECK_INT(wsproxy_frame_set_payload(frame, "changed", 7), WSPROXY_OK);
        CHECK(is(frame, "changed"));
    }
    return WSPROXY_DROP;
}

static void the_hook_frees_the_session(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, freeing, NULL);
    client_sends(&scene, FIN, TEXT, "hello");
    both_are_closed(&scene, 1001, "");
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene.p = NULL;
    scene_close(&scene);
}

/* A session that was never connected is freed as well, inside the hook of another. */
static int freeing_another(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct seen *seen = userdata;
    (void)p;
    if (frame->kind == WSPROXY_TEXT) {
        wsproxy_free(seen->other);
        seen->other = NULL;
    }
    return WSPROXY_FORWARD;
}

static void the_hook_frees_another_session(wsproxy_config *config)
{
    struct scene scene;
    struct seen seen = {0};
    seen.other = wsproxy_new(config);
    scene_open(&scene, config, freeing_another, &seen);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK(seen.other == NULL);
    scene_close(&scene);
}

/* ---- where it runs ------------------------------------------------------------------------------------------- */

struct place {
    pthread_t threads[2];
    int calls;
};

static int placing(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct place *place = userdata;
    (void)p;
    place->threads[frame->from == WSPROXY_UPSTREAM] = pthread_self();
    __atomic_add_fetch(&place->calls, 1, __ATOMIC_SEQ_CST);
    return WSPROXY_FORWARD;
}

static void the_policy_says_where_the_hook_runs(void)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct scene scene;
        struct place place;
        wsproxy_config *config = wsproxy_config_new();
        memset(&place, 0, sizeof place);
        wsproxy_config_set_policy(config, policies[i].policy);
        scene_open(&scene, config, placing, &place);
        close_normally(&scene);
        pthread_t caller = scene.thread;
        CHECK_INT(scene_result(&scene), WSPROXY_OK);
        CHECK_INT(place.calls, 2);
        int on_caller = policies[i].policy == WSPROXY_CALLER;
        CHECK_INT(pthread_equal(place.threads[0], caller) != 0, on_caller);
        CHECK_INT(pthread_equal(place.threads[1], caller) != 0, on_caller);
        scene_close(&scene);
        wsproxy_config_free(config);
    }
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(close_codes_are_changed_and_taken_away);
    UNDER_EACH_POLICY(the_hook_ends_the_session);
    UNDER_EACH_POLICY(the_hook_says_what_each_side_is_sent_at_the_end);
    UNDER_EACH_POLICY(what_is_no_verdict_is_a_failed_hook);
    UNDER_EACH_POLICY(a_dropped_fragment_that_leaves_half_a_character_is_a_failed_hook);
    UNDER_EACH_POLICY(the_hook_stops_the_session);
    UNDER_EACH_POLICY(the_hook_sends_frames_of_its_own);
    UNDER_EACH_POLICY(the_hook_frees_the_session);
    UNDER_EACH_POLICY(the_hook_frees_another_session);
    the_policy_says_where_the_hook_runs();
    CHECK_INT(open_descriptors(), before);
    return 0;
}
