/*
 * pump_threads.c - a byte pump with two blocking threads per session: the limit of a threaded proxy.
 *
 * Each client has a thread of its own, as hosts that accept have it; that dials, starts the thread of the other way,
 * and copies its own. A buffer lies on its thread's stack, so that an idle session holds the pages it has touched.
 */
#include "pump.h"

#include <pthread.h>

enum { STACK = BUFFER + 32 * 1024 };

struct way {
    int from, to;
};

static pthread_attr_t small;

/* Copies until the stream ends, and passes its end on. */
static void copy(struct way way)
{
    char buffer[BUFFER];
    ssize_t count;
    while ((count = recv(way.from, buffer, sizeof buffer, 0)) > 0) {
        for (ssize_t done = 0, sent; done < count; done += sent) {
            sent = send(way.to, buffer + done, (size_t)(count - done), 0);
            if (sent < 0) {
                shutdown(way.from, SHUT_RDWR);
                return;
            }
        }
    }
    shutdown(way.to, SHUT_WR);
}

static void *copy_back(void *way)
{
    copy(*(struct way *)way);
    return NULL;
}

static void *serve(void *client)
{
    int from = (int)(intptr_t)client, to = dial();
    pthread_t other;
    struct way back = {to, from};
    if (to >= 0 && pthread_create(&other, &small, copy_back, &back) == 0) {
        copy((struct way){from, to});
        pthread_join(other, NULL);
    }
    close(from);
    if (to >= 0)
        close(to);
    return NULL;
}

int main(int argc, char **argv)
{
    int listener = start(argc, argv);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    pthread_attr_t alone = small;
    pthread_attr_setdetachstate(&alone, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            die("accept");
        }
        without_delay(client);
        pthread_t thread;
        if (pthread_create(&thread, &alone, serve, (void *)(intptr_t)client) != 0)
            close(client);
    }
}
