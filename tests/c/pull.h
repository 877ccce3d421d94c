/*
 * A session that is driven by pull, with byte strings for peers: what goes out to each side is kept, and taken apart.
 */
#ifndef PULL_H
#define PULL_H

#include <wsproxy.h>

#include "peer.h"

struct kept {
    uint8_t bytes[256 * 1024];
    size_t len;
};

struct pulled {
    wsproxy *p;
    struct kept to[3]; /* by side */
};

/* The upstream's answer to CLIENT_KEY, which sessions ask it with. */
static const char upstream_answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                      "Sec-WebSocket-Accept: " CLIENT_ACCEPT "\r\n\r\n";

/* Takes all output. */
static inline void pull_take(struct pulled *s)
{
    for (int side = WSPROXY_CLIENT; side <= WSPROXY_UPSTREAM; side++) {
        struct kept *kept = &s->to[side];
        wsproxy_bytes parts[3];
        int count;
        while ((count = wsproxy_pull_output(s->p, side, parts, 3)) > 0) {
            for (int i = 0; i < count; i++) {
                CHECK(kept->len + parts[i].len <= sizeof kept->bytes);
                memcpy(kept->bytes + kept->len, parts[i].data, parts[i].len);
                kept->len += parts[i].len;
            }
            size_t all = 0;
            for (int i = 0; i < count; i++)
                all += parts[i].len;
            CHECK_INT(wsproxy_pull_wrote(s->p, side, all), WSPROXY_OK);
        }
        CHECK_INT(count, 0);
    }
}

/* Bytes from a side, read into the room that there is. */
static inline void pull_bytes(struct pulled *s, int side, const void *data, size_t len)
{
    const uint8_t *next = data;
    while (len > 0) {
        size_t size = 0;
        void *room = wsproxy_pull_room(s->p, side, &size);
        CHECK(room != NULL && size > 0);
        size_t part = len < size ? len : size;
        memcpy(room, next, part);
        CHECK_INT(wsproxy_pull_filled(s->p, side, part), WSPROXY_OK);
        next += part;
        len -= part;
    }
}

/* A frame as `from` sends it: masked with zeros if that is the client. */
static inline void pull_sends(struct pulled *s, int from, int fin, int opcode, const void *payload, size_t len)
{
    uint8_t bytes[300] = {(uint8_t)(fin << 7 | opcode)};
    size_t header = from == WSPROXY_CLIENT ? 6 : 2;
    CHECK(len <= 125);
    bytes[1] = (uint8_t)((from == WSPROXY_CLIENT ? 0x80 : 0) | (int)len);
    memcpy(bytes + header, payload, len);
    pull_bytes(s, from, bytes, header + len);
}

static inline void pull_says(struct pulled *s, int from, const char *text)
{
    pull_sends(s, from, FIN, TEXT, text, strlen(text));
}

/* A frame that begins what went to `to`, and is taken off there. */
static inline void pull_hears(struct pulled *s, int to, int fin, int opcode, const void *payload, size_t len)
{
    struct kept *kept = &s->to[to];
    size_t header = to == WSPROXY_UPSTREAM ? 6 : 2;
    CHECK(len <= 125);
    CHECK(kept->len >= header + len);
    CHECK_INT(kept->bytes[0], fin << 7 | opcode);
    CHECK_INT(kept->bytes[1], (to == WSPROXY_UPSTREAM ? 0x80 : 0) | (int)len);
    for (size_t i = 0; i < len; i++) {
        uint8_t mask = to == WSPROXY_UPSTREAM ? kept->bytes[2 + i % 4] : 0;
        CHECK_INT(kept->bytes[header + i] ^ mask, ((const uint8_t *)payload)[i]);
    }
    kept->len -= header + len;
    memmove(kept->bytes, kept->bytes + header + len, kept->len);
}

static inline void pull_hears_text(struct pulled *s, int to, const char *text)
{
    pull_hears(s, to, FIN, TEXT, text, strlen(text));
}

static inline void pull_hears_close(struct pulled *s, int to, int code, const char *reason)
{
    uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
    memcpy(payload + 2, reason, strlen(reason));
    pull_hears(s, to, FIN, CLOSE, payload, 2 + strlen(reason));
}

static inline void pull_hears_nothing(const struct pulled *s, int to)
{
    CHECK_INT(s->to[to].len, 0);
}

/* A session that has begun, at the time 1000. */
static inline void pull_begin(struct pulled *s, const wsproxy_config *config)
{
    memset(s, 0, sizeof *s);
    s->p = wsproxy_new(config);
    CHECK(s->p != NULL);
    CHECK_INT(wsproxy_pull_tick(s->p, 1000), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_set_key(s->p, CLIENT_KEY), WSPROXY_OK);
    CHECK_INT(wsproxy_pull_connect(s->p, "ws://upstream.example"), WSPROXY_OK);
}

/* Both handshakes, and nothing kept of them. */
static inline void pull_open(struct pulled *s, const wsproxy_config *config)
{
    pull_begin(s, config);
    pull_bytes(s, WSPROXY_CLIENT, client_request, strlen(client_request));
    pull_take(s);
    CHECK_WORDS((char *)s->to[WSPROXY_UPSTREAM].bytes, "Sec-WebSocket-Key: " CLIENT_KEY "\r\n");
    pull_bytes(s, WSPROXY_UPSTREAM, upstream_answer, strlen(upstream_answer));
    pull_take(s);
    CHECK_WORDS((char *)s->to[WSPROXY_CLIENT].bytes, "HTTP/1.1 101 ");
    CHECK_INT(wsproxy_pull_is_open(s->p, WSPROXY_CLIENT), 1);
    CHECK_INT(wsproxy_pull_is_open(s->p, WSPROXY_UPSTREAM), 1);
    s->to[WSPROXY_CLIENT].len = s->to[WSPROXY_UPSTREAM].len = 0;
}

static inline int pull_is(const wsproxy_frame *frame, const char *text)
{
    return frame != NULL && frame->payload_len == strlen(text) && memcmp(frame->payload, text, frame->payload_len) == 0;
}

static inline const wsproxy_frame *waits(struct pulled *s, int side, const char *text)
{
    const wsproxy_frame *frame = wsproxy_pull_frame(s->p, side);
    CHECK(pull_is(frame, text));
    CHECK_INT(frame->from, side);
    CHECK(wsproxy_pull_frame(s->p, side) == frame); /* the same until its verdict */
    return frame;
}

static inline void forward(struct pulled *s, int side, const char *text)
{
    waits(s, side, text);
    CHECK(wsproxy_pull_verdict(s->p, side, WSPROXY_FORWARD) == NULL);
    pull_take(s);
}

/* The client closes, the upstream answers and ends its stream. */
static inline void close_both(struct pulled *s)
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

#endif
