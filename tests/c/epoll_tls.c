/*
 * TLS of the host with an event loop, both ends of it over a pair of sockets. Arguments: a certificate for "localhost"
 * that vouches for itself, and its key.
 *
 * Rule: the file itself is taken in, so that the peer can do with OpenSSL what the host would not.
 */
#include "../../bindings/c/epoll_tls.c"

#include "check.h"

struct ends {
    int fds[2];
    struct tls *ours, *peer;
};

static SSL_CTX *to_upstreams, *to_clients;

static wsproxy_bytes bytes_of(const void *data, size_t len)
{
    return (wsproxy_bytes){.data = data, .len = len};
}

static void send_all(struct tls *tls, const char *data, size_t len)
{
    wsproxy_bytes part = bytes_of(data, len);
    CHECK_INT(tls_send(tls, &part, 1), len);
    CHECK_INT(tls_flush(tls), 1);
}

/* Ours is the client of TLS. */
static struct ends meet(void)
{
    struct ends ends;
    int ours = 0, peer = 0;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.fds), 0);
    ends.ours = tls_open(to_upstreams, ends.fds[0], "localhost");
    ends.peer = tls_open(to_clients, ends.fds[1], NULL);
    for (int i = 0; i < 10 && (ours == 0 || peer == 0); i++) {
        ours = ours == 1 ? 1 : tls_shake_hands(ends.ours);
        peer = peer == 1 ? 1 : tls_shake_hands(ends.peer);
    }
    CHECK_INT(ours, 1);
    CHECK_INT(peer, 1);
    char none;
    CHECK_INT(tls_recv(ends.ours, &none, 1), -1); /* tickets */
    CHECK_INT(errno, EAGAIN);
    return ends;
}

static void leave(struct ends *ends)
{
    tls_close(ends->ours);
    tls_close(ends->peer);
    close(ends->fds[0]);
    close(ends->fds[1]);
}

static void a_record_that_waits_in_memory_is_no_proof_that_the_socket_is_empty(void)
{
    struct ends ends = meet();
    char room[10];
    send_all(ends.peer, "first", 5);
    send_all(ends.peer, "second", 6);
    CHECK_INT(tls_recv(ends.ours, room, 5), 5); /* with it comes the second, into memory */
    CHECK_INT(tls_is_drained(ends.ours), 0);
    send_all(ends.peer, "third", 5);
    ptrdiff_t count = tls_recv(ends.ours, room, sizeof room);
    CHECK(count >= 6);
    CHECK(memcmp(room, "second", 6) == 0);
    CHECK(count > 6 || !tls_is_drained(ends.ours));
    leave(&ends);
}

static void what_is_there_comes_by_one_call_and_then_there_is_nothing(void)
{
    struct ends ends = meet();
    char room[100];
    send_all(ends.peer, "first", 5);
    send_all(ends.peer, "second", 6);
    CHECK_INT(tls_recv(ends.ours, room, sizeof room), 11);
    CHECK_INT(tls_is_drained(ends.ours), 1);
    CHECK_INT(tls_recv(ends.ours, room, sizeof room), -1);
    CHECK_INT(errno, EAGAIN);
    CHECK_INT(tls_is_drained(ends.ours), 1);
    leave(&ends);
}

/* Of three parts, none of which ends where a record does. */
static void what_the_socket_has_no_room_for_waits_and_arrives_as_it_was(void)
{
    static char sent[1000 * 1000], got[sizeof sent];
    struct ends ends = meet();
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 31 ^ i >> 8);
    wsproxy_bytes parts[] = {bytes_of(sent, 14), bytes_of(sent + 14, 700000),
                             bytes_of(sent + 700014, sizeof sent - 700014)};
    CHECK_INT(tls_send(ends.ours, parts, 3), sizeof sent);
    CHECK_INT(tls_waits(ends.ours), 1);
    CHECK_INT(tls_is_held(ends.ours), 1);
    CHECK_INT(tls_send(ends.ours, parts, 1), -1);
    CHECK_INT(errno, EAGAIN);
    for (size_t total = 0; total < sizeof got;) {
        ptrdiff_t count = tls_recv(ends.peer, got + total, sizeof got - total);
        CHECK(count > 0 || errno == EAGAIN);
        total += count > 0 ? (size_t)count : 0;
        CHECK(tls_flush(ends.ours) >= 0);
    }
    CHECK(memcmp(sent, got, sizeof got) == 0);
    CHECK_INT(tls_waits(ends.ours), 0);
    CHECK(ends.ours->room <= KEPT);
    leave(&ends);
}

static void a_close_notify_is_the_end_and_a_cut_is_told_as_one(void)
{
    struct ends closed = meet(), cut = meet();
    char room[10];
    send_all(closed.peer, "last", 4);
    CHECK_INT(tls_finish(closed.peer), 1);
    CHECK_INT(tls_finish(closed.peer), 1); /* says it once */
    shutdown(closed.fds[1], SHUT_WR);
    CHECK_INT(tls_recv(closed.ours, room, sizeof room), 4);
    CHECK_INT(tls_is_drained(closed.ours), 0);
    CHECK_INT(tls_recv(closed.ours, room, sizeof room), 0);
    send_all(closed.ours, "still", 5); /* the other half is open */
    CHECK_INT(tls_recv(closed.peer, room, sizeof room), 5);
    shutdown(cut.fds[1], SHUT_WR);
    CHECK_INT(tls_recv(cut.ours, room, sizeof room), -1);
    CHECK_INT(errno, EPROTO);
    CHECK_WORDS(tls_words(cut.ours), "close_notify");
    leave(&closed);
    leave(&cut);
}

/* The peer asks for new keys again and again (RFC 8446 section 4.6.3), and reads no answer. */
static void a_peer_that_wants_answers_and_does_not_read_them_is_held(void)
{
    struct ends ends = meet();
    char none;
    int asked = 0;
    while (!tls_is_held(ends.ours) && asked < 100000) {
        SSL_key_update(ends.peer->ssl, SSL_KEY_UPDATE_REQUESTED);
        CHECK_INT(SSL_do_handshake(ends.peer->ssl), 1);
        CHECK_INT(tls_flush(ends.peer), 1);
        CHECK_INT(tls_recv(ends.ours, &none, 1), -1);
        CHECK_INT(errno, EAGAIN);
        CHECK(tls_flush(ends.ours) >= 0);
        asked++;
    }
    CHECK(asked < 100000);
    CHECK(ends.ours->to - ends.ours->from < 2 * HELD);
    leave(&ends);
}

/* All at once, and something to read behind it. */
static void a_flood_of_new_keys_is_taken_by_stretches_and_what_is_behind_it_arrives(void)
{
    struct ends ends = meet();
    char got[2];
    size_t most = 0;
    int stretches = 0;
    ptrdiff_t count;
    for (int i = 0; i < 4000; i++) {
        SSL_key_update(ends.peer->ssl, SSL_KEY_UPDATE_REQUESTED);
        CHECK_INT(SSL_do_handshake(ends.peer->ssl), 1);
    }
    wsproxy_bytes part = bytes_of("x", 1);
    CHECK_INT(encrypt_parts(ends.peer, &part, 1), 1);
    while ((count = tls_recv(ends.ours, got, sizeof got)) < 0) {
        CHECK_INT(errno, EAGAIN);
        size_t waiting = ends.ours->to - ends.ours->from;
        most = waiting > most ? waiting : most;
        stretches += tls_is_paused(ends.ours);
        CHECK_INT(tls_is_drained(ends.ours) && !tls_waits(ends.peer), 0);
        CHECK(tls_flush(ends.ours) >= 0 && tls_flush(ends.peer) >= 0);
        CHECK(tls_recv(ends.peer, got, 1) < 0); /* reads the answers */
    }
    CHECK_INT(count, 1);
    CHECK(stretches > 1);
    CHECK(most < 2 * HELD);
    leave(&ends);
}

/* A record that nobody has encrypted. */
static void spoil(struct tls *tls)
{
    static const char garbage[5 + 32] = "\x17\x03\x03\x00\x20";
    CHECK(reserve(tls, sizeof garbage));
    memcpy(tls->waiting + tls->to, garbage, sizeof garbage);
    tls->to += sizeof garbage;
    CHECK_INT(tls_flush(tls), 1);
}

static void what_is_wrong_behind_what_is_good_is_told_by_the_next_call(void)
{
    struct ends ends = meet();
    char room[100];
    wsproxy_bytes part = bytes_of("first", 5);
    CHECK_INT(encrypt_parts(ends.peer, &part, 1), 1);
    spoil(ends.peer);
    CHECK_INT(tls_recv(ends.ours, room, sizeof room), 5);
    CHECK_INT(tls_is_drained(ends.ours), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(tls_recv(ends.ours, room, sizeof room), -1);
        CHECK_INT(errno, EPROTO);
        CHECK_WORDS(tls_words(ends.ours), "record mac");
    }
    leave(&ends);
}

static void an_alert_of_the_peers_is_no_end_but_a_failure(void)
{
    struct ends ends = meet();
    char room[100];
    spoil(ends.ours);
    CHECK_INT(tls_recv(ends.peer, room, sizeof room), -1);
    CHECK_INT(errno, EPROTO);
    CHECK_INT(tls_flush(ends.peer), 1);
    CHECK_INT(tls_recv(ends.ours, room, sizeof room), -1);
    CHECK_INT(errno, EPROTO);
    CHECK_WORDS(tls_words(ends.ours), "alert");
    leave(&ends);
}

int main(int count, char **files)
{
    struct trouble trouble;
    alarm(TIME_LIMIT_S);
    CHECK_INT(count, 3);
    to_upstreams = tls_to_upstreams((const char *const *)&files[1], 1, &trouble);
    to_clients = tls_to_clients(files[1], files[2], &trouble);
    CHECK(to_upstreams != NULL && to_clients != NULL);
    CHECK(tls_to_clients(files[2], files[2], &trouble) == NULL);
    CHECK_WORDS(trouble.words, files[2]);
    a_record_that_waits_in_memory_is_no_proof_that_the_socket_is_empty();
    what_is_there_comes_by_one_call_and_then_there_is_nothing();
    what_the_socket_has_no_room_for_waits_and_arrives_as_it_was();
    a_close_notify_is_the_end_and_a_cut_is_told_as_one();
    a_peer_that_wants_answers_and_does_not_read_them_is_held();
    a_flood_of_new_keys_is_taken_by_stretches_and_what_is_behind_it_arrives();
    what_is_wrong_behind_what_is_good_is_told_by_the_next_call();
    an_alert_of_the_peers_is_no_end_but_a_failure();
    SSL_CTX_free(to_upstreams);
    SSL_CTX_free(to_clients);
    return 0;
}
