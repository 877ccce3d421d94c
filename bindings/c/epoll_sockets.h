/*
 * epoll_sockets.h - where clients connect, and where the upstream is.
 *
 * Rules. Every socket is non-blocking and closed on exec. Looking up a name blocks, so that it is done once, at the
 * start: an upstream that moves is found again by a restart. Nothing raises SIGPIPE.
 */
#ifndef EPOLL_SOCKETS_H
#define EPOLL_SOCKETS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <wsproxy.h>

/* Why something could not be done: as a value is wrong, or as the system refuses it. */
struct trouble {
    int is_wrong_value;
    char words[300];
};

struct place {
    struct sockaddr_storage address;
    socklen_t len;
};

/* The addresses of a name, in the resolver's order. */
struct places {
    char name[280]; /* for people: host and port, or a path */
    struct place *each;
    size_t count;
};

struct listener {
    int fd;
    char address[160]; /* with the port that it really has */
    char path[108];    /* of a Unix socket, to be removed at the end */
    dev_t device;      /* which file that is: a successor may have taken the path */
    ino_t inode;
};

/* Listens on "HOST:PORT", with IPv6 addresses in brackets, or "unix:PATH". Returns 0 or -1. */
int listener_open(struct listener *listener, const char *text, struct trouble *trouble);

void listener_close(struct listener *listener);

/* Looks up the host of a URL that the library takes: ws://host[:port]..., wss://... or ws+unix:/socket... Returns 0 or -1. */
int places_of_url(struct places *places, const char *url, struct trouble *trouble);

void places_free(struct places *places);

/* Begins to connect. Returns the socket, which is writable when it has connected or failed; or -1 with errno. */
int dial(const struct place *place);

/* What became of that: 0, or an errno. */
int dial_outcome(int fd);

/* Sends as much of `parts` as fits now, in order. Returns how much that is, or -1 with errno. */
ptrdiff_t send_parts(int fd, const wsproxy_bytes *parts, int count);

/* What there was to be thrown away: nothing more for now; perhaps more, as it is bounded; all up to the end. */
enum discarded { DISCARDED_NOW, DISCARDED_SOME, DISCARDED_ALL };

/* Throws away what has come: a connection that is closed with bytes unread is reset, and what is still on its way to
 * the peer is destroyed (RFC 9112 section 9.6). */
enum discarded discard_input(int fd);

#endif
