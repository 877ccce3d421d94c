/*
 * A hall: a server that runs on a thread of its own, an upstream that listens, and who comes in.
 *
 * Rule: as in scene.h.
 */
#ifndef HALL_H
#define HALL_H

#include "scene.h"

struct hall {
    wsproxy_server *server;
    wsproxy_on_frame on_frame;
    int listener, port, result;
    int opened, ended, last_result;    /* by the hooks below; changed atomically */
    char last_words[128];              /* by the end hook */
    pthread_t thread;
};

struct guest {
    int number;
};

static inline int opening(wsproxy *p, void *userdata)
{
    struct hall *hall = userdata;
    struct guest *guest = malloc(sizeof *guest);
    CHECK(guest != NULL);
    guest->number = __atomic_add_fetch(&hall->opened, 1, __ATOMIC_SEQ_CST);
    CHECK(wsproxy_userdata(p) == NULL);
    CHECK_INT(wsproxy_set_userdata(p, guest), WSPROXY_OK);
    CHECK_INT(wsproxy_set_client_head(p, "x", 1), WSPROXY_ERR_STATE); /* the client is the server's */
    CHECK_INT(wsproxy_execute(p, NULL, NULL), WSPROXY_ERR_STATE);
    return WSPROXY_ACCEPT;
}

static inline void ending(wsproxy *p, int result, void *userdata)
{
    struct hall *hall = userdata;
    snprintf(hall->last_words, sizeof hall->last_words, "%s", result == WSPROXY_OK ? "" : wsproxy_error(p));
    free(wsproxy_userdata(p));
    hall->last_result = result;
    __atomic_add_fetch(&hall->ended, 1, __ATOMIC_SEQ_CST);
}

static inline int forwarding(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    struct guest *guest = wsproxy_userdata(p);
    (void)userdata;
    CHECK(guest != NULL && guest->number > 0);
    (void)frame;
    return WSPROXY_FORWARD;
}

static inline int port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    CHECK(colon != NULL);
    return atoi(colon + 1);
}

static inline void hall_set(struct hall *hall, const wsproxy_config *config, wsproxy_on_frame on_frame)
{
    char url[64];
    int port;
    memset(hall, 0, sizeof *hall);
    hall->on_frame = on_frame;
    hall->listener = listen_local(&port);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d", port);
    hall->server = wsproxy_server_new(config);
    CHECK(hall->server != NULL);
    CHECK_INT(wsproxy_server_set_upstream(hall->server, url), WSPROXY_OK);
    CHECK_INT(wsproxy_server_set_on_open(hall->server, opening), WSPROXY_OK);
    CHECK_INT(wsproxy_server_set_on_end(hall->server, ending), WSPROXY_OK);
    CHECK_INT(wsproxy_server_listen(hall->server, "127.0.0.1:0"), WSPROXY_OK);
    hall->port = port_of(wsproxy_server_address(hall->server, 0));
}

static inline void *hall_thread(void *argument)
{
    struct hall *hall = argument;
    hall->result = wsproxy_server_run(hall->server, hall->on_frame, hall);
    return NULL;
}

static inline void hall_start(struct hall *hall)
{
    CHECK(pthread_create(&hall->thread, NULL, hall_thread, hall) == 0);
}

static inline int hall_result(struct hall *hall)
{
    CHECK(pthread_join(hall->thread, NULL) == 0);
    return hall->result;
}

static inline void hall_close(struct hall *hall)
{
    wsproxy_server_free(hall->server);
    close(hall->listener);
}

/* A client and its upstream; only their ends of the scene are used. */
static inline struct scene enter(struct hall *hall)
{
    struct scene scene;
    memset(&scene, 0, sizeof scene);
    scene.client = connect_local(hall->port);
    client_sends_request(scene.client);
    scene.upstream = accept_local(hall->listener);
    upstream_upgrades(scene.upstream, "");
    client_is_upgraded(scene.client);
    return scene;
}

static inline void leave(struct scene *scene)
{
    close(scene->client);
    close(scene->upstream);
}

static inline void talk(struct scene *scene)
{
    client_sends(scene, FIN, TEXT, "up");
    upstream_gets(scene, FIN, TEXT, "up");
    upstream_sends(scene, FIN, TEXT, "down");
    client_gets(scene, FIN, TEXT, "down");
}

static inline wsproxy_server_counters count(const struct hall *hall)
{
    wsproxy_server_counters counters;
    CHECK_INT(wsproxy_server_stats(hall->server, &counters, sizeof counters), WSPROXY_OK);
    return counters;
}

/* Nothing announces it. */
static inline void wait_for_end_of(struct hall *hall, int sessions)
{
    while (__atomic_load_n(&hall->ended, __ATOMIC_SEQ_CST) < sessions)
        usleep(1000);
}

static inline void client_is_told(int client, const char *line)
{
    char head[HEAD_SIZE];
    recv_head(client, head);
    CHECK_WORDS(head, line);
    client_ends(client);
    close(client);
}

#endif
