/* The header alone: nothing before it, and every name used once. Compiled as C99, C11 and C++17. */
#include <wsproxy.h>

static int on_frame(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    int verdict = frame->fin && frame->payload_len == 0 ? WSPROXY_DROP : WSPROXY_FORWARD;
    (void)p;
    (void)userdata;
    return frame->kind == WSPROXY_CLOSE && frame->code == WSPROXY_CLOSE_ABSENT ? (int)WSPROXY_END : verdict;
}

static void on_log(int level, const char *message, void *userdata)
{
    (void)level;
    (void)message;
    (void)userdata;
}

int main(void)
{
    wsproxy_frame_set_payload(NULL, NULL, 0);
    wsproxy_side_stats stats;
    wsproxy_config *config = wsproxy_config_new();
    wsproxy *p = wsproxy_new(config);
    int wrong = wsproxy_check_abi(WSPROXY_ABI) != WSPROXY_OK;
    wrong |= wsproxy_log(WSPROXY_LOG_TRACE, on_log, NULL) != WSPROXY_OK;
    wrong |= wsproxy_execute(p, on_frame, NULL) != WSPROXY_ERR_STATE;
    wrong |= wsproxy_stats(p, WSPROXY_CLIENT, &stats, sizeof stats) != WSPROXY_OK || stats.frames[WSPROXY_PONG] != 0;
    wsproxy_free(p);
    wsproxy_config_free(config);
    return wrong;
}
