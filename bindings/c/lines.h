/*
 * lines.h - what both hosts write: a line for each frame, a line for each session that a peer has spoilt.
 *
 * Rule: nothing that a peer sends reaches the terminal but printable ASCII.
 */
#ifndef LINES_H
#define LINES_H

#include <stdio.h>

#include <wsproxy.h>

enum { PREVIEW = 32 }; /* characters of a payload that --print shows */

/* Writes the beginning of a payload as printable text: at most four characters for each of its bytes. */
static inline void preview(char *out, const wsproxy_frame *frame)
{
    size_t shown = frame->payload_len < PREVIEW ? frame->payload_len : PREVIEW, used = 0;
    for (size_t i = 0; i < shown; i++) {
        int c = frame->payload[i];
        if (c == '"' || c == '\\')
            out[used++] = '\\';
        if (c >= ' ' && c <= '~')
            out[used++] = (char)c;
        else
            used += (size_t)sprintf(out + used, "\\x%02x", c);
    }
    out[used] = '\0';
}

static inline void print_frame(unsigned long session, const wsproxy_frame *frame, const char *action)
{
    char text[PREVIEW * 4 + 1], code[16] = "";
    preview(text, frame);
    if (frame->kind == WSPROXY_CLOSE && frame->code != WSPROXY_CLOSE_ABSENT)
        snprintf(code, sizeof code, " %d", (int)frame->code);
    printf("#%lu %s %-12s %s %8zu bytes %s%s \"%s\"%s\n", session,
           frame->from == WSPROXY_CLIENT ? "client -> upstream" : "client <- upstream",
           wsproxy_kind_name(frame->kind), frame->fin ? "fin " : "more", frame->payload_len, action, code, text,
           frame->payload_len > PREVIEW ? "..." : "");
}

/* What a peer did, in the words of wsproxy_error; what the host or the system did is in the log. */
static inline int is_worth_a_line(const wsproxy *p, int result)
{
    if (result == WSPROXY_OK)
        return 0;
    int fault = wsproxy_error_fault(p);
    if (fault == WSPROXY_FAULT_CLIENT)
        return result != WSPROXY_ERR_GONE; /* health checks, scans and closed laptops are no failures */
    return fault == WSPROXY_FAULT_UPSTREAM;
}

static inline void print_failure(unsigned long session, const wsproxy *p, int result)
{
    if (is_worth_a_line(p, result))
        fprintf(stderr, "#%lu %s\n", session, wsproxy_error(p));
}

#endif
