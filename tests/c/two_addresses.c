/*
 * For a host that is linked with -Wl,--wrap=getaddrinfo: the name "two.test" has two addresses, and at the first of them
 * nobody listens.
 */
#define _GNU_SOURCE
#include <netdb.h>
#include <stddef.h>
#include <string.h>

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    if (host == NULL || strcmp(host, "two.test") != 0)
        return __real_getaddrinfo(host, port, hints, found);
    int failed = __real_getaddrinfo("127.0.0.2", port, hints, found);
    return failed != 0 ? failed : __real_getaddrinfo("127.0.0.1", port, hints, &(*found)->ai_next);
}
