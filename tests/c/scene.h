/*
 * A scene: a client, a session on a thread of its own, an upstream; and the policies to play it under.
 *
 * Rule: every wait is bounded, by the peers' sockets and by the alarm of each program.
 */
#ifndef SCENE_H
#define SCENE_H

#include <pthread.h>

#include "peer.h"
#include <wsproxy.h>

struct scene {
    wsproxy *p;
    wsproxy_on_frame on_frame;
    void *userdata;
    int listener, client, client_end, upstream; /* client is the peer's end, client_end the library's */
    char url[64];
    int connected, result; /* what connect and execute returned */
    pthread_t thread;
};

static inline void *scene_thread(void *argument)
{
    struct scene *scene = argument;
    scene->connected = scene->result = wsproxy_connect(scene->p, scene->client_end, scene->url);
    close(scene->client_end);
    if (scene->connected == WSPROXY_OK)
        scene->result = wsproxy_execute(scene->p, scene->on_frame, scene->userdata);
    return NULL;
}

/* Sockets, a session, an upstream that listens. */
static inline void scene_set(struct scene *scene, const wsproxy_config *config)
{
    int port, front = listen_local(&port);
    memset(scene, 0, sizeof *scene);
    scene->upstream = -1;
    scene->client = connect_local(port);
    scene->client_end = accept(front, NULL, NULL);
    CHECK(scene->client_end >= 0);
    close(front);
    scene->listener = listen_local(&port);
    snprintf(scene->url, sizeof scene->url, "ws://127.0.0.1:%d", port);
    scene->p = wsproxy_new(config);
    CHECK(scene->p != NULL);
}

static inline void scene_start(struct scene *scene, wsproxy_on_frame on_frame, void *userdata)
{
    scene->on_frame = on_frame;
    scene->userdata = userdata;
    CHECK(pthread_create(&scene->thread, NULL, scene_thread, scene) == 0);
}

/* All of it, up to both handshakes. */
static inline void scene_open(struct scene *scene, const wsproxy_config *config, wsproxy_on_frame on_frame,
                              void *userdata)
{
    scene_set(scene, config);
    scene_start(scene, on_frame, userdata);
    client_sends_request(scene->client);
    scene->upstream = accept_local(scene->listener);
    upstream_upgrades(scene->upstream, "");
    client_is_upgraded(scene->client);
}

static inline void client_sends(struct scene *scene, int fin, int opcode, const char *text)
{
    send_frame(scene->client, 1, fin, opcode, text, strlen(text));
}

static inline void upstream_sends(struct scene *scene, int fin, int opcode, const char *text)
{
    send_frame(scene->upstream, 0, fin, opcode, text, strlen(text));
}

static inline void client_gets(struct scene *scene, int fin, int opcode, const char *text)
{
    expect_frame(scene->client, 0, fin, opcode, text);
}

static inline void upstream_gets(struct scene *scene, int fin, int opcode, const char *text)
{
    expect_frame(scene->upstream, 1, fin, opcode, text);
}

/* Waits for the end of the session's thread; returns what it returned. The session stays. */
static inline int scene_result(struct scene *scene)
{
    CHECK(pthread_join(scene->thread, NULL) == 0);
    return scene->result;
}

/* Both sides are closed by the library, each with this, and answer it. */
static inline void both_are_closed(struct scene *scene, int code, const char *reason)
{
    expect_close(scene->client, 0, code, reason);
    expect_close(scene->upstream, 1, code, reason);
    send_close(scene->client, 1, code == -1 ? 1000 : code, "");
    send_close(scene->upstream, 0, code == -1 ? 1000 : code, "");
    upstream_ends(scene->upstream);
}

/* The client closes, the upstream answers. */
static inline void close_normally(struct scene *scene)
{
    send_close(scene->client, 1, 1000, "bye");
    expect_close(scene->upstream, 1, 1000, "bye");
    send_close(scene->upstream, 0, 1000, "bye");
    expect_close(scene->client, 0, 1000, "bye");
    upstream_ends(scene->upstream);
}

static inline void scene_close(struct scene *scene)
{
    wsproxy_free(scene->p);
    close(scene->client);
    if (scene->upstream >= 0)
        close(scene->upstream);
    close(scene->listener);
}

/* ---- policies ------------------------------------------------------------------------------------------------ */

static const struct { const char *name; int policy; } policies[] = {
    {"serial", WSPROXY_SERIAL}, {"concurrent", WSPROXY_CONCURRENT}, {"caller", WSPROXY_CALLER}};

/* Runs a test under each policy. */
static inline void under_each_policy(const char *name, void (*test)(wsproxy_config *config))
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        wsproxy_config *config = wsproxy_config_new();
        CHECK_INT(wsproxy_config_set_policy(config, policies[i].policy), WSPROXY_OK);
        CHECK_INT(wsproxy_config_set_close_timeout(config, 5000), WSPROXY_OK);
        printf("%s (%s)\n", name, policies[i].name);
        fflush(stdout);
        test(config);
        wsproxy_config_free(config);
    }
}

#define UNDER_EACH_POLICY(test) under_each_policy(#test, test)

/* That a call is refused, by whom, and in which words. */
#define FAILS(p, call, code, words)                                            \
    do {                                                                       \
        CHECK_INT(call, code);                                                 \
        CHECK_WORDS(wsproxy_error(p), words);                                  \
        CHECK_INT(wsproxy_error_fault(p), WSPROXY_FAULT_HOST);                 \
    } while (0)

#define SERVER_FAILS(server, call, code, words)                                \
    do {                                                                       \
        CHECK_INT(call, code);                                                 \
        CHECK_WORDS(wsproxy_server_error(server), words);                      \
    } while (0)

#endif
