/*
 * epoll_tls.h - TLS on a non-blocking socket, by OpenSSL.
 *
 * Rules. OpenSSL reads the socket itself, so that what it takes is decrypted where it lies; what it writes gathers in
 * memory, and many records go out by one send. What it has taken to be written is written in the end: tls_send takes
 * nothing while anything of that waits, and a peer that asks for answers and does not read them is not read either
 * (tls_is_held). Nor does one that sends what brings nothing, as new keys, keep others from their turn (tls_is_paused).
 * A stream that ends without a close_notify was cut off, which is told from one that was closed.
 */
#ifndef EPOLL_TLS_H
#define EPOLL_TLS_H

#include <stddef.h>

#include <openssl/ssl.h>
#include <wsproxy.h>

#include "epoll_sockets.h"

/* One connection. */
struct tls;

/* For upstreams, which are verified against the system's authorities and those in `ca_files`. NULL if it fails. */
SSL_CTX *tls_to_upstreams(const char *const *ca_files, size_t count, struct trouble *trouble);

/* For clients, who are shown the certificate, with the chain behind it. NULL if it fails. */
SSL_CTX *tls_to_clients(const char *cert_file, const char *key_file, struct trouble *trouble);

/* On a connected socket, which stays the caller's. `host` is who must be there, a name or an IP address; NULL: it is a
 * client, who asks us. NULL without memory. */
struct tls *tls_open(SSL_CTX *context, int fd, const char *host);

/* Goes on with the handshake. Returns 1 when it is over, 0 while it waits for the peer, -1 when it has failed. */
int tls_shake_hands(struct tls *tls);

/* Takes up to `size` bytes. Returns how many; 0 at the end of the stream; -1 with errno, EAGAIN or why: EPROTO stands
 * for what tls_words tells. */
ptrdiff_t tls_recv(struct tls *tls, void *room, size_t size);

/* Whether nothing more can be had until the socket has more. */
int tls_is_drained(const struct tls *tls);

/* Whether the last call has stopped though more is there, as nothing came of what it took: to be called again behind
 * others, by nobody's event. */
int tls_is_paused(const struct tls *tls);

/* Takes all of `parts`, or nothing: -1 with errno. */
ptrdiff_t tls_send(struct tls *tls, const wsproxy_bytes *parts, int count);

/* Writes what waits. Returns 1 when nothing does, 0 when the socket has no room, -1 with errno when it is lost. */
int tls_flush(struct tls *tls);

/* Whether anything waits for the socket to have room. */
int tls_waits(const struct tls *tls);

/* Whether so much waits that the peer is not to be read before it reads. */
int tls_is_held(const struct tls *tls);

/* Says, once, that no more is sent: close_notify (RFC 8446 section 6.1). Results are those of tls_flush; without TLS
 * there is nothing to say. */
int tls_finish(struct tls *tls);

/* What has failed, for people. */
const char *tls_words(const struct tls *tls);

void tls_close(struct tls *tls);

#endif
