/* epoll_tls.c - see epoll_tls.h. */
#define _GNU_SOURCE

#include "epoll_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum {
    RECORD = 16 * 1024,   /* of plain text (RFC 8446 section 5.1) */
    OVERHEAD = 256,       /* more than header, tag and padding of one add to it (RFC 5246 section 6.2.3) */
    KEPT = 4 * 1024,      /* of the memory for what waits; more goes when nothing does */
    HELD = 64 * 1024,     /* as much is more than a few answers */
    STRETCH = RECORD      /* of bytes that bring nothing; then others have their turn, where OpenSSL would go on */
};

struct tls {
    SSL *ssl;
    int fd;
    int drained; /* the socket had less than was asked of it, in this call of tls_recv */
    int cut_off; /* it is at its end */
    int secured; /* the handshake is over; OpenSSL forgets that with an error */
    int closed;  /* by a close_notify */
    int failed;  /* in the words below */
    int paused;  /* by us, in the middle of what came */
    size_t taken; /* bytes since OpenSSL has last had something for us */
    char *waiting;
    size_t from, to, room; /* in `waiting` */
    char words[200];
};

/* ---- what OpenSSL reads and writes --------------------------------------------------------------------------- */

static int read_socket(BIO *bio, char *room, int size)
{
    struct tls *tls = BIO_get_data(bio);
    ssize_t count;
    BIO_clear_retry_flags(bio);
    tls->paused = tls->taken >= STRETCH || tls_is_held(tls);
    if (tls->paused) { /* new keys without end, or renegotiations (RFC 8446 section 4.6.3) */
        BIO_set_retry_read(bio);
        return -1;
    }
    do
        count = recv(tls->fd, room, (size_t)size, 0);
    while (count < 0 && errno == EINTR);
    tls->drained = count < size;
    tls->cut_off = count == 0;
    tls->taken += count > 0 ? (size_t)count : 0;
    if (count < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    return (int)count;
}

static int reserve(struct tls *tls, size_t more)
{
    if (tls->room - tls->to >= more)
        return 1;
    size_t room = tls->to + more;
    room = room < 2 * tls->room ? 2 * tls->room : room;
    char *grown = realloc(tls->waiting, room);
    if (grown == NULL)
        return 0;
    tls->waiting = grown;
    tls->room = room;
    return 1;
}

static int write_memory(BIO *bio, const char *bytes, int count)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!reserve(tls, (size_t)count))
        return -1;
    memcpy(tls->waiting + tls->to, bytes, (size_t)count);
    tls->to += (size_t)count;
    return count;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    struct tls *tls = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return tls->cut_off;
    return command == BIO_CTRL_FLUSH;
}

/* Made once, for the life of the process. */
static const BIO_METHOD *method(void)
{
    static BIO_METHOD *made;
    if (made == NULL && (made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loop")) != NULL) {
        BIO_meth_set_read(made, read_socket);
        BIO_meth_set_write(made, write_memory);
        BIO_meth_set_ctrl(made, control);
    }
    return made;
}

/* ---- words --------------------------------------------------------------------------------------------------- */

static const char *reason(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    return words != NULL ? words : errno != 0 ? strerror(errno) : "out of memory";
}

/* Always returns -1, with EPROTO. The first failure counts. */
static int fail(struct tls *tls, const char *what, const char *why)
{
    if (!tls->failed)
        snprintf(tls->words, sizeof tls->words, "%s (%s)", what, why);
    tls->failed = 1;
    errno = EPROTO;
    return -1;
}

/* What has become of a call that did not do what it should: 0 if it waits, 1 if the peer has closed, or fail(). At once,
 * as OpenSSL tells it only once. */
static int judge(struct tls *tls, const char *what, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN) /* not by the alert of a failure, which OpenSSL counts as an end too */
        return tls->closed = 1;
    long verdict = SSL_get_verify_result(tls->ssl);
    if (!tls->secured && verdict != X509_V_OK)
        return fail(tls, "the TLS certificate is not trusted", X509_verify_cert_error_string(verdict));
    if (tls->cut_off)
        return fail(tls, what, tls->secured ? "it ended without a close_notify" : "the connection was closed");
    return fail(tls, what, reason());
}

const char *tls_words(const struct tls *tls)
{
    return tls->words;
}

/* ---- contexts ------------------------------------------------------------------------------------------------ */

static SSL_CTX *context_of(const SSL_METHOD *side)
{
    SSL_CTX *context = SSL_CTX_new(side);
    if (context == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* thousands of sessions wait, few have a record under way */
    SSL_CTX_set_read_ahead(context, 1); /* a header and its record come by one recv */
    return context;
}

static SSL_CTX *refuse(SSL_CTX *context, struct trouble *trouble, const char *what)
{
    trouble->is_wrong_value = 1;
    snprintf(trouble->words, sizeof trouble->words, "%s: %s", what, reason());
    SSL_CTX_free(context);
    return NULL;
}

SSL_CTX *tls_to_upstreams(const char *const *ca_files, size_t count, struct trouble *trouble)
{
    static const unsigned char http[] = "\x08http/1.1"; /* a WebSocket over HTTP/2 is another matter (RFC 8441) */
    errno = 0;
    SSL_CTX *context = context_of(TLS_client_method());
    if (context == NULL || SSL_CTX_set_default_verify_paths(context) != 1)
        return refuse(context, trouble, "TLS");
    for (size_t i = 0; i < count; i++)
        if (SSL_CTX_load_verify_locations(context, ca_files[i], NULL) != 1)
            return refuse(context, trouble, ca_files[i]);
    ERR_clear_error(); /* a machine without authorities of its own is no failure */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(context, http, sizeof http - 1);
    return context;
}

SSL_CTX *tls_to_clients(const char *cert_file, const char *key_file, struct trouble *trouble)
{
    errno = 0;
    SSL_CTX *context = context_of(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return refuse(context, trouble, cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(context, trouble, key_file);
    return context;
}

/* ---- a connection -------------------------------------------------------------------------------------------- */

/* Whom we want, and whose certificate it must be. */
static int expect(SSL *ssl, const char *host)
{
    unsigned char address[16];
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    SSL_set_connect_state(ssl);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(wanted, host); /* which is no name to ask for (RFC 6066 section 3) */
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

struct tls *tls_open(SSL_CTX *context, int fd, const char *host)
{
    struct tls *tls = calloc(1, sizeof *tls);
    BIO *bio = method() == NULL ? NULL : BIO_new(method());
    SSL *ssl = SSL_new(context);
    if (tls == NULL || bio == NULL || ssl == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        free(tls);
        return NULL;
    }
    tls->ssl = ssl;
    tls->fd = fd;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (host == NULL) {
        SSL_set_accept_state(ssl);
    } else if (expect(ssl, host) != 1) {
        tls_close(tls);
        return NULL;
    }
    return tls;
}

int tls_shake_hands(struct tls *tls)
{
    ERR_clear_error();
    errno = 0;
    tls->taken = 0;
    tls->paused = 0;
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1 && (result = judge(tls, "the TLS handshake failed", result)) == 1)
        result = fail(tls, "the TLS handshake failed", "the connection was closed");
    else if (result == 1)
        tls->secured = 1;
    if (tls_flush(tls) < 0 && result >= 0) /* an alert goes too */
        return fail(tls, "the TLS handshake failed", strerror(errno));
    return result;
}

ptrdiff_t tls_recv(struct tls *tls, void *room, size_t size)
{
    size_t total = 0;
    tls->taken = 0;
    tls->paused = 0;
    tls->drained = 0; /* since it was asked more may have come, of which the loop has told */
    while (total < size && !tls->closed && !tls->failed) { /* one call brings one record at most */
        size_t rest = size - total;
        ERR_clear_error();
        errno = 0;
        int count = SSL_read(tls->ssl, (char *)room + total, rest > INT_MAX ? INT_MAX : (int)rest);
        if (count <= 0 && judge(tls, "lost", count) == 0)
            break;
        tls->taken = 0;
        total += count > 0 ? (size_t)count : 0;
        if (tls->drained && !SSL_has_pending(tls->ssl))
            break;
    }
    if (total > 0)
        return (ptrdiff_t)total; /* what else there is comes with the next call */
    errno = tls->failed ? EPROTO : EAGAIN;
    return tls->closed ? 0 : -1;
}

int tls_is_drained(const struct tls *tls)
{
    return tls->drained && !tls->closed && !tls->failed && !tls->cut_off && !SSL_has_pending(tls->ssl);
}

int tls_is_paused(const struct tls *tls)
{
    return tls->paused && !tls_is_held(tls); /* else it waits for the peer */
}

static int encrypt(struct tls *tls, const char *bytes, size_t count)
{
    while (count > 0) {
        int taken = count > INT_MAX ? INT_MAX : (int)count;
        if (SSL_write(tls->ssl, bytes, taken) != taken)
            return 0;
        bytes += taken;
        count -= (size_t)taken;
    }
    return 1;
}

/* A record costs a header, a tag and a call: small parts, as headers of frames are, share one. */
static int encrypt_parts(struct tls *tls, const wsproxy_bytes *parts, int count)
{
    char record[RECORD];
    size_t filled = 0;
    for (int i = 0; i < count; i++) {
        const char *bytes = (const char *)parts[i].data;
        size_t len = parts[i].len, shared = filled == 0 ? 0 : RECORD - filled;
        if (filled == 0 && len < RECORD && i + 1 < count)
            shared = RECORD;
        shared = shared < len ? shared : len;
        memcpy(record + filled, bytes, shared);
        filled += shared;
        if (shared == len && i + 1 < count)
            continue;
        if (!encrypt(tls, record, filled) || !encrypt(tls, bytes + shared, len - shared))
            return 0;
        filled = 0;
    }
    return 1;
}

ptrdiff_t tls_send(struct tls *tls, const wsproxy_bytes *parts, int count)
{
    size_t all = 0;
    int flushed = tls_flush(tls);
    if (flushed != 1) {
        errno = flushed == 0 ? EAGAIN : errno;
        return -1;
    }
    for (int i = 0; i < count; i++)
        all += parts[i].len;
    ERR_clear_error();
    errno = 0;
    if (!reserve(tls, all + (all / RECORD + 2) * OVERHEAD) || !encrypt_parts(tls, parts, count))
        return fail(tls, "lost", reason());
    if (tls_flush(tls) < 0)
        return -1;
    return (ptrdiff_t)all;
}

int tls_flush(struct tls *tls)
{
    while (tls->from < tls->to) {
        ssize_t sent = send(tls->fd, tls->waiting + tls->from, tls->to - tls->from, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return 0;
        if (sent < 0)
            break; /* lost, and what waited with it */
        tls->from += (size_t)sent;
    }
    int is_lost = tls->from < tls->to;
    tls->from = tls->to = 0;
    if (tls->room > KEPT) {
        free(tls->waiting);
        tls->waiting = NULL;
        tls->room = 0;
    }
    return is_lost ? -1 : 1;
}

int tls_waits(const struct tls *tls)
{
    return tls->from < tls->to;
}

int tls_is_held(const struct tls *tls)
{
    return tls->to - tls->from > HELD;
}

int tls_finish(struct tls *tls)
{
    if (tls == NULL)
        return 1;
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl) && !(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(tls->ssl);
    return tls_flush(tls);
}

void tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls->waiting);
    free(tls);
}
