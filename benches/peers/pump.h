/*
 * pump.h - what the two byte pumps share: the command line, listening, dialling.
 *
 * A pump takes each client to the upstream and copies bytes both ways. It parses nothing, the handshake neither: what
 * it costs is what a proxy of its shape cannot get below.
 *
 *     pump-threads|pump-epoll LISTEN_PORT UPSTREAM_PORT
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BACKLOG = 4096 };

static struct sockaddr_in upstream;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)atoi(port));
    return address;
}

static void without_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Reads the command line; returns the listening socket. */
static int start(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s LISTEN_PORT UPSTREAM_PORT\n", argv[0]);
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = loopback(argv[1]);
    upstream = loopback(argv[2]);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0)
        die("bind");
    if (listen(listener, BACKLOG) != 0)
        die("listen");
    return listener;
}

/* Returns a socket that is connected to the upstream, or -1. */
static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    without_delay(fd);
    if (connect(fd, (struct sockaddr *)&upstream, sizeof upstream) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}
