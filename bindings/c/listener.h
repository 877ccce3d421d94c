/*
 * listener.h - where proxy.c listens; it alone includes this. After flags.h.
 *
 * Rule: whatever does not work is told on stderr, with the address as it was given.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_listener(const struct addrinfo *address)
{
    int on = 1, listener = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < FD_SETSIZE && bind(listener, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(listener, SOMAXCONN) == 0 && fcntl(listener, F_SETFL, O_NONBLOCK) == 0)
        return listener;
    int error = errno;
    close(listener);
    errno = error;
    return -1;
}

/* Prints where we listen, with the port that the system chose. */
static void announce(int listener)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN + 32], port[8];
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    printf(address.ss_family == AF_INET6 ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
    fflush(stdout);
}

static int listen_on(const char *text)
{
    char host[256];
    const char *port;
    struct addrinfo hints, *found = NULL;
    split_address(text, host, sizeof host, &port); /* looked at before, with the flags */
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "cannot listen on %s: %s\n", text, gai_strerror(error));
        return -1;
    }
    int listener = -1;
    for (struct addrinfo *each = found; each != NULL && listener < 0; each = each->ai_next)
        listener = open_listener(each);
    if (listener < 0)
        fprintf(stderr, "cannot listen on %s: %s\n", text, strerror(errno));
    freeaddrinfo(found);
    return listener;
}
