/* The header alone: nothing before it, and every name used once. Compiled as C99, C11 and C++17. */
#include <wsproxy.h>

static int on_frame(wsproxy *p, wsproxy_frame *frame, void *userdata)
{
    int verdict = frame->fin && frame->payload_len == 0 ? WSPROXY_DROP : WSPROXY_FORWARD;
    (void)p;
    (void)userdata;
    return frame->kind == WSPROXY_CLOSE && frame->code == WSPROXY_CLOSE_ABSENT ? (int)WSPROXY_END : verdict;
}

static int on_handshake(wsproxy *p, wsproxy_handshake *handshake, void *userdata)
{
    (void)p;
    (void)userdata;
    return wsproxy_handshake_is_secure(handshake) ? (int)WSPROXY_ACCEPT : (int)WSPROXY_REFUSE;
}

static int on_open(wsproxy *p, void *userdata)
{
    return wsproxy_set_userdata(p, userdata) == WSPROXY_OK ? (int)WSPROXY_ACCEPT : 0;
}

static void on_end(wsproxy *p, int result, void *userdata)
{
    (void)p;
    (void)result;
    (void)userdata;
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
    wsproxy_server *server = wsproxy_server_new(config);
    wsproxy_server_counters counters;
    int wrong = wsproxy_check_abi(WSPROXY_ABI) != WSPROXY_OK;
    wrong |= wsproxy_log(WSPROXY_LOG_TRACE, on_log, NULL) != WSPROXY_OK;
    wrong |= wsproxy_execute(p, on_frame, NULL) != WSPROXY_ERR_STATE;
    wrong |= wsproxy_stats(p, WSPROXY_CLIENT, &stats, sizeof stats) != WSPROXY_OK || stats.frames[WSPROXY_PONG] != 0;
    wrong |= wsproxy_config_set_min_tls_version(config, WSPROXY_BOTH, WSPROXY_TLS_1_3) != WSPROXY_OK;
    wrong |= wsproxy_config_set_forwarded(config, WSPROXY_FORWARDED_X | WSPROXY_FORWARDED_RFC7239) != WSPROXY_OK;
    wrong |= wsproxy_set_on_handshake(p, on_handshake, NULL) != WSPROXY_OK;
    wrong |= wsproxy_server_set_on_open(server, on_open) != WSPROXY_OK;
    wrong |= wsproxy_server_set_on_handshake(server, on_handshake) != WSPROXY_OK;
    wrong |= wsproxy_server_set_on_end(server, on_end) != WSPROXY_OK;
    wrong |= wsproxy_server_run(server, on_frame, NULL) != WSPROXY_ERR_STATE;
    wrong |= wsproxy_server_stats(server, &counters, sizeof counters) != WSPROXY_OK || counters.active != 0;
    wsproxy_server_free(server);
    wsproxy_free(p);
    wsproxy_config_free(config);
    return wrong;
}
