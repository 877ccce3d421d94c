/* epoll_sockets.c - see epoll_sockets.h. */
#define _GNU_SOURCE

#include "epoll_sockets.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    DISCARD_MOST = 64 * 1024, /* as much as the head of a request may have */
    PARTS = 3,                /* more are never handed out */
    KEEPALIVE_IDLE_S = 60,    /* NAT and load balancers forget who is silent for longer */
    KEEPALIVE_EVERY_S = 15,
    KEEPALIVE_PROBES = 4
};

static int fail(struct trouble *trouble, int is_wrong_value, const char *what, const char *why)
{
    trouble->is_wrong_value = is_wrong_value;
    snprintf(trouble->words, sizeof trouble->words, "%s: %s", what, why);
    return -1;
}

/* ---- addresses ----------------------------------------------------------------------------------------------- */

/* Splits HOST[:PORT], `len` bytes of it; a host in brackets loses them. Returns 0, or -1 if it is none. */
static int split_authority(const char *text, size_t len, char host[256], char port[6])
{
    const char *end = text + len, *host_end = end, *digits = NULL;
    if (len > 0 && text[0] == '[') {
        host_end = memchr(text, ']', len);
        if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':'))
            return -1;
        digits = host_end + 1 < end ? host_end + 2 : NULL;
        text++;
    } else if ((digits = memchr(text, ':', len)) != NULL) {
        host_end = digits++;
    }
    size_t host_len = (size_t)(host_end - text), port_len = digits == NULL ? 0 : (size_t)(end - digits);
    if (host_len == 0 || host_len > 255 || port_len > 5)
        return -1;
    for (size_t i = 0; i < port_len; i++)
        if (!isdigit((unsigned char)digits[i]))
            return -1;
    snprintf(host, 256, "%.*s", (int)host_len, text);
    snprintf(port, 6, "%.*s", (int)port_len, port_len == 0 ? "" : digits);
    return strtoul(port, NULL, 10) > 65535 ? -1 : 0;
}

/* Returns 0, or the words why not. */
static const char *look_up(struct addrinfo **found, const char *host, const char *port, int flags)
{
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    int failed = getaddrinfo(host, port, &hints, found);
    return failed == 0 ? NULL : failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed);
}

static int unix_place(struct place *place, const char *path, size_t len)
{
    struct sockaddr_un address;
    if (len == 0 || len >= sizeof address.sun_path)
        return -1;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, len);
    memcpy(&place->address, &address, sizeof address);
    place->len = sizeof address;
    return 0;
}

int places_of_url(struct places *places, const char *url, struct trouble *trouble)
{
    char host[256], port[6];
    struct addrinfo *found, *one;
    *places = (struct places){.each = NULL};
    if (strncasecmp(url, "ws+unix:", 8) == 0) {
        size_t len = strcspn(url + 8, ":?");
        places->each = calloc(places->count = 1, sizeof *places->each);
        if (places->each == NULL || unix_place(places->each, url + 8, len) != 0)
            return fail(trouble, 1, url, "no path that a socket may have");
        snprintf(places->name, sizeof places->name, "%.*s", (int)len, url + 8);
        return 0;
    }
    int is_secure = strncasecmp(url, "wss:", 4) == 0;
    const char *authority = url + (is_secure ? 6 : 5); /* the library has seen to it that there is "//" before it */
    if (split_authority(authority, strcspn(authority, "/?"), host, port) != 0)
        return fail(trouble, 1, url, "no host and port");
    if (port[0] == '\0')
        strcpy(port, is_secure ? "443" : "80");
    const char *why = look_up(&found, host, port, 0);
    if (why != NULL)
        return fail(trouble, 0, host, why);
    snprintf(places->name, sizeof places->name, strchr(host, ':') == NULL ? "%s:%s" : "[%s]:%s", host, port);
    for (one = found; one != NULL; one = one->ai_next)
        places->count++;
    places->each = calloc(places->count, sizeof *places->each);
    size_t number = 0;
    for (one = found; one != NULL && places->each != NULL; one = one->ai_next, number++) {
        memcpy(&places->each[number].address, one->ai_addr, one->ai_addrlen);
        places->each[number].len = one->ai_addrlen;
    }
    freeaddrinfo(found);
    return places->each == NULL ? fail(trouble, 0, host, strerror(ENOMEM)) : 0;
}

void places_free(struct places *places)
{
    free(places->each);
}

/* ---- sockets ------------------------------------------------------------------------------------------------- */

static int stream_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Small writes go at once, and a peer that vanished without a word is noticed in the end. What is accepted inherits it
 * from what listens. It is no worse without any of these. */
static void prepare_socket(int fd, int family)
{
    static const int on = 1, idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S, probes = KEEPALIVE_PROBES;
    if (family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* ---- listening ----------------------------------------------------------------------------------------------- */

/* Returns the socket, or -1 with errno. */
static int listen_at(const struct sockaddr *address, socklen_t len)
{
    int on = 1, fd = stream_socket(address->sa_family);
    if (fd < 0)
        return -1;
    if (address->sa_family != AF_UNIX) /* else the connections of the process before would keep the port for a minute */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    prepare_socket(fd, address->sa_family);
    if (bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Removes the socket that a process which was killed has left; not one that somebody listens on, nor any other file. */
static void remove_if_stale(const struct place *place, const char *path)
{
    struct stat file;
    int fd = stream_socket(AF_UNIX);
    if (lstat(path, &file) == 0 && S_ISSOCK(file.st_mode) &&
        connect(fd, (const struct sockaddr *)&place->address, place->len) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int listen_on_unix(struct listener *listener, const char *path, struct trouble *trouble)
{
    struct place place;
    struct stat file;
    if (unix_place(&place, path, strlen(path)) != 0)
        return fail(trouble, 1, path, "no path that a socket may have");
    remove_if_stale(&place, path);
    listener->fd = listen_at((struct sockaddr *)&place.address, place.len);
    if (listener->fd < 0 || lstat(path, &file) != 0)
        return fail(trouble, 0, path, strerror(errno));
    snprintf(listener->path, sizeof listener->path, "%s", path);
    snprintf(listener->address, sizeof listener->address, "unix:%s", path);
    listener->device = file.st_dev;
    listener->inode = file.st_ino;
    return 0;
}

/* Tells the port, too, that the system has chosen. */
static void name_listener(struct listener *listener)
{
    struct place place = {.len = sizeof place.address};
    char host[128] = "?", port[16] = "?";
    getsockname(listener->fd, (struct sockaddr *)&place.address, &place.len);
    getnameinfo((struct sockaddr *)&place.address, place.len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *form = place.address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s";
    snprintf(listener->address, sizeof listener->address, form, host, port);
}

int listener_open(struct listener *listener, const char *text, struct trouble *trouble)
{
    char host[256], port[6];
    struct addrinfo *found, *one;
    memset(listener, 0, sizeof *listener);
    if (strncmp(text, "unix:", 5) == 0)
        return listen_on_unix(listener, text + 5, trouble);
    if (split_authority(text, strlen(text), host, port) != 0 || port[0] == '\0')
        return fail(trouble, 1, text, "it must be HOST:PORT or unix:PATH, an IPv6 address in brackets");
    const char *why = look_up(&found, host, port, AI_PASSIVE);
    if (why != NULL)
        return fail(trouble, 0, text, why);
    listener->fd = -1;
    for (one = found; one != NULL && listener->fd < 0; one = one->ai_next)
        listener->fd = listen_at(one->ai_addr, one->ai_addrlen);
    int error = errno;
    freeaddrinfo(found);
    if (listener->fd < 0)
        return fail(trouble, 0, text, strerror(error));
    name_listener(listener);
    return 0;
}

void listener_close(struct listener *listener)
{
    struct stat file;
    close(listener->fd);
    if (listener->path[0] != '\0' && lstat(listener->path, &file) == 0 && file.st_dev == listener->device &&
        file.st_ino == listener->inode)
        unlink(listener->path);
}

/* ---- connections --------------------------------------------------------------------------------------------- */

int dial(const struct place *place)
{
    int fd = stream_socket(place->address.ss_family);
    if (fd < 0)
        return -1;
    prepare_socket(fd, place->address.ss_family);
    if (connect(fd, (const struct sockaddr *)&place->address, place->len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int dial_outcome(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ? errno : error;
}

/* The one part that there nearly always is costs less by send(2). */
ptrdiff_t send_parts(int fd, const wsproxy_bytes *parts, int count)
{
    if (count == 1)
        return send(fd, parts[0].data, parts[0].len, MSG_NOSIGNAL);
    struct iovec vector[PARTS];
    for (int i = 0; i < count; i++)
        vector[i] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data, .iov_len = parts[i].len};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

enum discarded discard_input(int fd)
{
    char unread[16 * 1024];
    for (size_t total = 0; total < DISCARD_MOST;) {
        ssize_t count = recv(fd, unread, sizeof unread, 0);
        if (count < 0 && errno == EAGAIN)
            return DISCARDED_NOW;
        if (count <= 0 && !(count < 0 && errno == EINTR))
            return DISCARDED_ALL;
        total += count > 0 ? (size_t)count : 0;
    }
    return DISCARDED_SOME;
}
