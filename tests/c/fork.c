/*
 * Processes that fork.
 *
 * Rule: a child says how it went by its status, and ends by exec, as valgrind would count as lost what its parent's
 * threads had.
 */
#include <sys/wait.h>

#include "hall.h"

/* A server, a client, a few frames, the end. */
static void serve_one(const wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, forwarding);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    talk(&scene);
    close_normally(&scene);
    wait_for_end_of(&hall, 1);
    CHECK_INT(hall.last_result, WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    CHECK_INT(count(&hall).completed, 1);
    leave(&scene);
    hall_close(&hall);
}

static void a_child_serves(const wsproxy_config *config)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(TIME_LIMIT_S / 4);
        serve_one(config);
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

/* What the header promises. */
static void a_child_and_its_parent_serve_if_there_was_nothing_before_the_fork(wsproxy_config *config)
{
    a_child_serves(config);
    serve_one(config);
    a_child_serves(config); /* there is nothing any more */
}

/* More than the header promises: that holds whatever the parent's threads are at, and here they rest. Its child then
 * has nothing of theirs: not the thread that watches over a server's sessions, and not its orders. */
static void a_child_of_a_process_whose_sessions_rest_has_threads_of_its_own(wsproxy_config *config)
{
    struct hall hall;
    hall_set(&hall, config, forwarding);
    hall_start(&hall);
    struct scene scene = enter(&hall);
    talk(&scene);
    a_child_serves(config);
    talk(&scene);
    close_normally(&scene);
    wait_for_end_of(&hall, 1);
    CHECK_INT(hall.last_result, WSPROXY_OK);
    CHECK_INT(wsproxy_server_drain(hall.server, 1001, 60000), WSPROXY_OK);
    CHECK_INT(hall_result(&hall), WSPROXY_OK);
    leave(&scene);
    hall_close(&hall);
}

int main(void)
{
    int before = open_descriptors();
    alarm(TIME_LIMIT_S);
    UNDER_EACH_POLICY(a_child_and_its_parent_serve_if_there_was_nothing_before_the_fork);
    UNDER_EACH_POLICY(a_child_of_a_process_whose_sessions_rest_has_threads_of_its_own);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
