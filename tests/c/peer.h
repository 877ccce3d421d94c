/*
 * Small WebSocket peers over blocking sockets.
 *
 * Rule: nothing of libwsproxy is used to speak or check the protocol here; it is the other opinion.
 */
#ifndef PEER_H
#define PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "check.h"

enum { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };
enum { MORE, FIN };

/* ---- sockets ------------------------------------------------------------------------------------------------- */

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    return address;
}

static inline int listen_local(int *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void bound_time(int fd)
{
    struct timeval limit = {60, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
}

static inline int connect_local(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    bound_time(fd);
    return fd;
}

static inline int accept_local(int listener)
{
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    bound_time(fd);
    return fd;
}

static inline void send_all(int fd, const void *data, size_t length)
{
    const char *next = data;
    while (length > 0) {
        ssize_t sent = send(fd, next, length, MSG_NOSIGNAL);
        CHECK(sent > 0);
        next += sent;
        length -= (size_t)sent;
    }
}

/* Reads exactly so much; returns 0 if the connection ends or is reset before. */
static inline int recv_all(int fd, void *data, size_t length)
{
    char *next = data;
    while (length > 0) {
        ssize_t got = recv(fd, next, length, 0);
        CHECK(got >= 0 || errno == ECONNRESET); /* else nothing came for too long */
        if (got <= 0)
            return 0;
        next += got;
        length -= (size_t)got;
    }
    return 1;
}

static inline void expect_eof(int fd)
{
    char byte;
    CHECK_INT(recv_all(fd, &byte, 1), 0);
}

/* How many descriptors are open: as many at the end as at the start. */
static inline int open_descriptors(void)
{
    int open = 0;
    for (int fd = 0; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

/* ---- handshakes (RFC 6455 section 4) ------------------------------------------------------------------------- */

#define CLIENT_KEY "dGhlIHNhbXBsZSBub25jZQ=="       /* the one of RFC 6455 section 1.3 */
#define CLIENT_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static inline uint32_t rotate(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

static inline void sha1_block(uint32_t *h, const uint8_t *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++)
        w[i] = i < 16 ? (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                            (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3]
                      : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999u
                     : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1u
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu
                              : (b ^ c ^ d) + 0xCA62C1D6u;
        uint32_t next = rotate(a, 5) + f + e + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* SHA-1 of a short text, in base64: what a server answers to a key. `out` has room for 29 characters. */
static inline void accept_of(const char *key, char *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t h[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    uint8_t blocks[128] = {0}, digest[21] = {0};
    int length = snprintf((char *)blocks, 112, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    CHECK(length == 60); /* so there are two blocks */
    blocks[length] = 0x80;
    blocks[126] = (uint8_t)(length * 8 >> 8);
    blocks[127] = (uint8_t)(length * 8);
    sha1_block(h, blocks);
    sha1_block(h, blocks + 64);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 21; i += 3) {
        uint32_t three = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        for (int j = 0; j < 4; j++)
            *out++ = letters[three >> (18 - 6 * j) & 63];
    }
    out[-1] = '=';
    *out = '\0';
}

#define HEAD_SIZE 4096

static inline void recv_head(int fd, char *head)
{
    size_t used = 0;
    do {
        CHECK(used < HEAD_SIZE - 1);
        CHECK(recv_all(fd, head + used, 1));
        head[++used] = '\0';
    } while (used < 4 || strcmp(head + used - 4, "\r\n\r\n") != 0);
}

static const char client_request[] = "GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\nSec-WebSocket-Key: " CLIENT_KEY "\r\n"
                                     "Sec-WebSocket-Protocol: chat\r\n"
                                     "Sec-WebSocket-Version: 13\r\n\r\n";

static inline void client_sends_request(int fd)
{
    send_all(fd, client_request, strlen(client_request));
}

static inline void client_is_upgraded(int fd)
{
    char head[HEAD_SIZE];
    recv_head(fd, head);
    CHECK_WORDS(head, "HTTP/1.1 101 ");
    CHECK_WORDS(head, CLIENT_ACCEPT);
}

/* The key of a request; `key` has room for 25 characters. */
static inline void key_of(const char *head, char *key)
{
    const char *line = head;
    while (strncasecmp(line, "sec-websocket-key: ", 19) != 0) {
        line = strstr(line, "\r\n");
        CHECK(line != NULL);
        line += 2;
    }
    memcpy(key, line + 19, 24);
    key[24] = '\0';
}

/* Reads the request into `head`, of HEAD_SIZE, and answers it; `more` are header lines beyond the usual ones. */
static inline void upstream_reads_and_upgrades(int fd, char *head, const char *more)
{
    char key[25], accept[32], answer[512];
    recv_head(fd, head);
    key_of(head, key);
    accept_of(key, accept);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, more);
    send_all(fd, answer, strlen(answer));
}

static inline void upstream_upgrades(int fd, const char *more)
{
    char head[HEAD_SIZE];
    upstream_reads_and_upgrades(fd, head, more);
}

/* ---- frames (RFC 6455 section 5) ----------------------------------------------------------------------------- */

struct frame {
    int fin, opcode, masked;
    size_t length;
    uint8_t payload[70000];
};

static inline void send_frame(int fd, int masked, int fin, int opcode, const void *payload, size_t length)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t head[14] = {(uint8_t)(fin << 7 | opcode)};
    size_t used = 2;
    CHECK(length <= 65535);
    head[1] = (uint8_t)(length < 126 ? length : 126);
    if (length >= 126) {
        head[used++] = (uint8_t)(length >> 8);
        head[used++] = (uint8_t)length;
    }
    if (masked) {
        head[1] |= 0x80;
        memcpy(head + used, mask, 4);
        used += 4;
    }
    uint8_t *copy = malloc(used + length);
    CHECK(copy != NULL);
    memcpy(copy, head, used);
    for (size_t i = 0; i < length; i++)
        copy[used + i] = (uint8_t)(((const uint8_t *)payload)[i] ^ (masked ? mask[i % 4] : 0));
    send_all(fd, copy, used + length);
    free(copy);
}

/* Reads one frame; returns 0 if the connection ends. */
static inline int recv_frame(int fd, struct frame *frame)
{
    uint8_t head[2], more[8], mask[4] = {0, 0, 0, 0};
    if (!recv_all(fd, head, 2))
        return 0;
    CHECK_INT(head[0] & 0x70, 0);
    frame->fin = head[0] >> 7;
    frame->opcode = head[0] & 15;
    frame->masked = head[1] >> 7;
    frame->length = head[1] & 127;
    if (frame->length >= 126) {
        int bytes = frame->length == 126 ? 2 : 8;
        frame->length = 0;
        CHECK(recv_all(fd, more, (size_t)bytes));
        for (int i = 0; i < bytes; i++)
            frame->length = frame->length << 8 | more[i];
    }
    CHECK(frame->length <= sizeof frame->payload);
    CHECK(!frame->masked || recv_all(fd, mask, 4));
    CHECK(recv_all(fd, frame->payload, frame->length));
    for (size_t i = 0; i < frame->length; i++)
        frame->payload[i] ^= mask[i % 4];
    return 1;
}

static inline void expect_frame(int fd, int masked, int fin, int opcode, const char *text)
{
    struct frame frame;
    CHECK(recv_frame(fd, &frame));
    CHECK_INT(frame.opcode, opcode);
    CHECK_INT(frame.fin, fin);
    CHECK_INT(frame.masked, masked);
    CHECK_INT(frame.length, strlen(text));
    CHECK(memcmp(frame.payload, text, frame.length) == 0);
}

/* A close frame; code -1 for one without. */
static inline void expect_close(int fd, int masked, int code, const char *reason)
{
    struct frame frame;
    CHECK(recv_frame(fd, &frame));
    CHECK_INT(frame.opcode, CLOSE);
    CHECK_INT(frame.masked, masked);
    CHECK_INT(frame.length >= 2 ? frame.payload[0] << 8 | frame.payload[1] : -1, code);
    CHECK_INT(frame.length, code == -1 ? 0 : 2 + strlen(reason));
    CHECK(code == -1 || memcmp(frame.payload + 2, reason, strlen(reason)) == 0);
}

static inline void send_close(int fd, int masked, int code, const char *reason)
{
    uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t length = strlen(reason);
    CHECK(length <= 123);
    memcpy(payload + 2, reason, length);
    send_frame(fd, masked, FIN, CLOSE, payload, length + 2);
}

/* The closing handshake is done: the upstream ends the TCP connection first (RFC 6455 section 7.1.1). */
static inline void upstream_ends(int fd)
{
    shutdown(fd, SHUT_WR);
}

/* The client has read enough, and is gone. */
static inline void client_ends(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

#endif
