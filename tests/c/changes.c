/* How a hook changes frames: what is taken, what is refused, and when. Each under every policy. */
#include "scene.h"

/* What the hooks below leave behind for their test. */
struct seen {
    int calls, result;
    wsproxy_frame *kept;
    wsproxy_frame copy;
};

static int is(const wsproxy_frame *frame, const char *text)
{
    return frame->payload_len == strlen(text) && memcmp(frame->payload, text, frame->payload_len) == 0;
}

/* ---- changing ------------------------------------------------------------------------------------------------ */

static int shouting(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct seen *seen = userdata;
    (void)p;
    if (frame->kind != WSPROXY_TEXT)
        return WSPROXY_FORWARD;
    if (is(frame, "drop me"))
        return WSPROXY_DROP;
    seen->result = wsproxy_frame_set_payload(frame, "HELLO THERE", 11);
    CHECK(is(frame, "HELLO THERE"));
    CHECK_INT(frame->from, WSPROXY_CLIENT);
    CHECK_INT(frame->fin, 1);
    CHECK_INT(frame->code, 0);
    return WSPROXY_FORWARD;
}

static void frames_are_changed_and_dropped(wsproxy_config *config)
{
    struct scene scene;
    struct seen seen = {0};
    wsproxy_side_stats client, upstream;
    scene_open(&scene, config, shouting, &seen);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "HELLO THERE");
    client_sends(&scene, FIN, TEXT, "drop me");
    client_sends(&scene, FIN, BINARY, "left alone");
    upstream_gets(&scene, FIN, BINARY, "left alone");
    upstream_sends(&scene, FIN, PING, "are you there");
    client_gets(&scene, FIN, PING, "are you there");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK_INT(seen.result, WSPROXY_OK);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_CLIENT, &client, sizeof client), WSPROXY_OK);
    CHECK_INT(wsproxy_stats(scene.p, WSPROXY_UPSTREAM, &upstream, sizeof upstream), WSPROXY_OK);
    CHECK_INT(client.frames[WSPROXY_TEXT], 2);
    CHECK_INT(client.bytes[WSPROXY_TEXT], 5 + 7);
    CHECK_INT(client.frames[WSPROXY_BINARY], 1);
    CHECK_INT(client.frames[WSPROXY_CLOSE], 1);
    CHECK_INT(client.dropped, 1);
    CHECK_INT(client.replaced, 1);
    CHECK_INT(client.close_received, 1000);
    CHECK_INT(client.closed_first, 1);
    CHECK_INT(upstream.frames[WSPROXY_PING], 1);
    CHECK_INT(upstream.bytes[WSPROXY_PING], 13);
    CHECK_INT(upstream.dropped, 0);
    CHECK_INT(upstream.closed_first, 0);
    scene_close(&scene);
}

/* The payload that goes in is a part of the payload that is there. */
static int trimming(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    (void)p;
    (void)userdata;
    if (frame->kind == WSPROXY_TEXT) {
        CHECK_INT(wsproxy_frame_set_payload(frame, frame->payload + 1, frame->payload_len - 1), WSPROXY_OK);
        CHECK_INT(wsproxy_frame_set_payload(frame, frame->payload + 1, frame->payload_len - 2), WSPROXY_OK);
        CHECK_INT(wsproxy_frame_set_payload(frame, frame->payload, frame->payload_len), WSPROXY_OK);
        CHECK(is(frame, "cd"));
    }
    return WSPROXY_FORWARD;
}

static void a_part_of_the_payload_may_replace_it(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, trimming, NULL);
    client_sends(&scene, FIN, TEXT, "abcde");
    upstream_gets(&scene, FIN, TEXT, "cd");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static int upper_casing(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    uint8_t copy[64];
    (void)p;
    (void)userdata;
    if (frame->kind > WSPROXY_BINARY)
        return WSPROXY_FORWARD;
    for (size_t i = 0; i < frame->payload_len; i++)
        copy[i] = frame->payload[i] >= 'a' && frame->payload[i] <= 'z' ? frame->payload[i] - 32 : frame->payload[i];
    CHECK_INT(wsproxy_frame_set_payload(frame, copy, frame->payload_len), WSPROXY_OK);
    return WSPROXY_FORWARD;
}

static void a_fragment_may_be_changed_though_it_ends_inside_a_character(wsproxy_config *config)
{
    struct scene scene;
    scene_open(&scene, config, upper_casing, NULL);
    client_sends(&scene, MORE, TEXT, "caf\xc3");
    upstream_gets(&scene, MORE, TEXT, "CAF\xc3");
    client_sends(&scene, FIN, PING, "between");
    upstream_gets(&scene, FIN, PING, "between");
    client_sends(&scene, FIN, CONTINUATION, "\xa9s");
    upstream_gets(&scene, FIN, CONTINUATION, "\xa9S");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

/* ---- refused changes ----------------------------------------------------------------------------------------- */

static int overdoing(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    static const char many[126] = "";
    struct seen *seen = userdata;
    const uint8_t *payload = frame->payload;
    size_t length = frame->payload_len;
    int limit = frame->kind == WSPROXY_CLOSE ? 123 : 125;
    if (frame->kind == WSPROXY_TEXT) {
        CHECK_INT(wsproxy_frame_set_payload(frame, "\xff", 1), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(p), "UTF-8");
        CHECK_INT(wsproxy_frame_set_payload(frame, NULL, 1), WSPROXY_ERR_ARGUMENT);
        CHECK_INT(wsproxy_frame_set_payload(frame, "x", SIZE_MAX), WSPROXY_ERR_ARGUMENT);
        CHECK_INT(wsproxy_frame_set_code(frame, 1000), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(p), "text frame has no close code");
    } else {
        CHECK_INT(wsproxy_frame_set_payload(frame, many, (size_t)limit + 1), WSPROXY_ERR_ARGUMENT);
        CHECK_WORDS(wsproxy_error(p), limit == 123 ? "123" : "125");
        CHECK_INT(wsproxy_error_fault(p), WSPROXY_FAULT_HOST);
    }
    if (frame->kind == WSPROXY_CLOSE) {
        CHECK_INT(wsproxy_frame_set_code(frame, 65536), WSPROXY_ERR_ARGUMENT);
        CHECK_INT(wsproxy_frame_set_code(frame, -2), WSPROXY_ERR_ARGUMENT);
        CHECK_INT(wsproxy_frame_set_payload(frame, "\xff", 1), WSPROXY_ERR_ARGUMENT);
    }
    CHECK_INT(wsproxy_frame_set_end(frame, 0, 1000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, 70000, NULL, 0), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, 1000, many, 124), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, 1000, NULL, 1), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, WSPROXY_CLOSE_ABSENT, "why", 3), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_frame_set_end(frame, WSPROXY_BOTH, 1005, "why", 3), WSPROXY_ERR_ARGUMENT);
    CHECK_WORDS(wsproxy_error(p), "without a code");
    CHECK(frame->payload == payload && frame->payload_len == length);
    __atomic_add_fetch(&seen->calls, 1, __ATOMIC_SEQ_CST);
    return WSPROXY_FORWARD;
}

static void a_refused_change_changes_nothing(wsproxy_config *config)
{
    struct scene scene;
    struct seen seen = {0};
    scene_open(&scene, config, overdoing, &seen);
    client_sends(&scene, FIN, TEXT, "as it was");
    upstream_gets(&scene, FIN, TEXT, "as it was");
    upstream_sends(&scene, FIN, PONG, "as it was");
    client_gets(&scene, FIN, PONG, "as it was");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    CHECK_INT(seen.calls, 4);
    scene_close(&scene);
}

/* Each change is refused outside the hook, for a copy, and on another thread. */
static void *changing_elsewhere(void *argument)
{
    struct seen *seen = argument;
    CHECK_INT(wsproxy_frame_set_payload(seen->kept, "x", 1), WSPROXY_ERR_STATE);
    return NULL;
}

static int keeping(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct seen *seen = userdata;
    pthread_t thread;
    (void)p;
    if (frame->kind == WSPROXY_TEXT) {
        seen->kept = frame;
        seen->copy = *frame;
        CHECK_INT(wsproxy_frame_set_payload(&seen->copy, "x", 1), WSPROXY_ERR_STATE);
        CHECK(pthread_create(&thread, NULL, changing_elsewhere, seen) == 0);
        pthread_join(thread, NULL);
    }
    return WSPROXY_FORWARD;
}

static void a_frame_kept_beyond_its_hook_cannot_be_changed(wsproxy_config *config)
{
    struct scene scene;
    struct seen seen = {0};
    scene_open(&scene, config, keeping, &seen);
    client_sends(&scene, FIN, TEXT, "hello");
    upstream_gets(&scene, FIN, TEXT, "hello");
    CHECK_INT(wsproxy_frame_set_payload(seen.kept, "x", 1), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_frame_set_code(seen.kept, 1000), WSPROXY_ERR_STATE);
    CHECK_INT(wsproxy_frame_set_end(seen.kept, WSPROXY_BOTH, 1000, NULL, 0), WSPROXY_ERR_STATE);
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(frames_are_changed_and_dropped);
    UNDER_EACH_POLICY(a_part_of_the_payload_may_replace_it);
    UNDER_EACH_POLICY(a_fragment_may_be_changed_though_it_ends_inside_a_character);
    UNDER_EACH_POLICY(a_refused_change_changes_nothing);
    UNDER_EACH_POLICY(a_frame_kept_beyond_its_hook_cannot_be_changed);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
