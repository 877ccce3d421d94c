/*
 * hook.h - what the hooks of both hosts do with a frame. How a frame is changed and forwarded is each host's own.
 *
 * Rule: fragments are told by the message that they are in; what is no text stays as it is.
 */
#ifndef HOOK_H
#define HOOK_H

#include <stdint.h>
#include <stdlib.h>

#include <wsproxy.h>

enum hook { HOOK_NONE, HOOK_PASS, HOOK_UPPER };

/* Whether the frame belongs to a text message. `in_text` has, by side, whether the open message is text. */
static inline int is_text(int in_text[3], const wsproxy_frame *frame)
{
    int *open = &in_text[frame->from];
    switch (frame->kind) {
    case WSPROXY_TEXT:
        *open = !frame->fin;
        return 1;
    case WSPROXY_BINARY:
        *open = 0;
        return 0;
    case WSPROXY_CONTINUATION: {
        int text = *open;
        if (frame->fin)
            *open = 0;
        return text;
    }
    default:
        return 0;
    }
}

/* Copies a payload with its ASCII letters in upper case to `copy`, which is to be freed. Returns 1 if there were any,
 * 0 if not, -1 without memory. */
static inline int upper_case(const wsproxy_frame *frame, uint8_t **copy)
{
    int changed = 0;
    *copy = malloc(frame->payload_len + 1); /* never of no bytes */
    if (*copy == NULL)
        return -1;
    for (size_t i = 0; i < frame->payload_len; i++) {
        int byte = frame->payload[i], lower = byte >= 'a' && byte <= 'z';
        (*copy)[i] = (uint8_t)(lower ? byte - 'a' + 'A' : byte);
        changed |= lower;
    }
    return changed;
}

#endif
