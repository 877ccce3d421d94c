/* The log callback: what it is given, what it may do, when it is gone. */
#include "scene.h"

struct log {
    int lines, highest, refused;
    pthread_mutex_t lock;
};

static void taking(int level, const char *message, void *userdata)
{
    struct log *log = userdata;
    pthread_mutex_lock(&log->lock);
    log->lines++;
    if (level > log->highest)
        log->highest = level;
    CHECK(strstr(message, "secret") == NULL); /* no payload, no header */
    CHECK(strchr(message, '\n') == NULL);
    /* Inside the callback it cannot be changed. */
    log->refused += wsproxy_log(WSPROXY_LOG_OFF, NULL, NULL) == WSPROXY_ERR_STATE;
    pthread_mutex_unlock(&log->lock);
}

static void one_session(void)
{
    struct scene scene;
    scene_open(&scene, NULL, NULL, NULL);
    client_sends(&scene, FIN, TEXT, "secret");
    upstream_gets(&scene, FIN, TEXT, "secret");
    close_normally(&scene);
    CHECK_INT(scene_result(&scene), WSPROXY_OK);
    scene_close(&scene);
}

static void one_failure(void)
{
    struct scene scene;
    scene_set(&scene, NULL);
    scene_start(&scene, NULL, NULL);
    send_all(scene.client, "GET /secret HTTP/1.1\r\nCookie: secret\r\n\r\n", 41);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_REQUEST);
    scene_close(&scene);
}

static void one_stop(void)
{
    struct scene scene;
    scene_set(&scene, NULL);
    CHECK_INT(wsproxy_stop(scene.p, 1001, NULL, 0), WSPROXY_OK);
    scene_start(&scene, NULL, NULL);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_STOPPED);
    scene_close(&scene);
}

int main(void)
{
    int descriptors = open_descriptors();
    struct log log = {0, 0, 0, PTHREAD_MUTEX_INITIALIZER};
    alarm(TIME_LIMIT_S);

    CHECK_INT(wsproxy_log(6, taking, &log), WSPROXY_ERR_ARGUMENT);
    CHECK_INT(wsproxy_log(-1, taking, &log), WSPROXY_ERR_ARGUMENT);
    one_session();
    CHECK_INT(log.lines, 0);

    CHECK_INT(wsproxy_log(WSPROXY_LOG_TRACE, taking, &log), WSPROXY_OK);
    one_session();
    one_failure();
    CHECK(log.lines > 0);
    CHECK(log.highest <= WSPROXY_LOG_TRACE);
    CHECK_INT(log.refused, log.lines);

    CHECK_INT(wsproxy_log(WSPROXY_LOG_OFF, NULL, NULL), WSPROXY_OK);
    int before = log.lines;
    one_session();
    one_failure();
    CHECK_INT(log.lines, before);

    /* What goes well is told from DEBUG on, what a peer did from INFO on, what the host did from WARN on. */
    CHECK_INT(log.highest, WSPROXY_LOG_DEBUG);
    CHECK_INT(wsproxy_log(WSPROXY_LOG_INFO, taking, &log), WSPROXY_OK);
    one_session();
    CHECK_INT(log.lines, before);
    one_failure();
    CHECK_INT(log.lines, before + 1);
    CHECK_INT(wsproxy_log(WSPROXY_LOG_WARN, taking, &log), WSPROXY_OK);
    one_failure();
    CHECK_INT(log.lines, before + 1);
    one_stop();
    CHECK_INT(log.lines, before + 2);
    CHECK_INT(wsproxy_log(WSPROXY_LOG_ERROR, taking, &log), WSPROXY_OK);
    one_stop();
    CHECK_INT(log.lines, before + 2);
    CHECK_INT(wsproxy_log(WSPROXY_LOG_OFF, taking, &log), WSPROXY_OK);
    CHECK_INT(open_descriptors(), descriptors);
    return 0;
}
