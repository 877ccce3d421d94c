-- The declarations of include/wsproxy.h for ffi.cdef. Generated from src/ffi by cbindgen
-- (WSPROXY_UPDATE=1 cargo test --test header). Do not edit.

return [[
typedef enum wsproxy_result {
    WSPROXY_OK = 0,
    WSPROXY_ERR_ARGUMENT = -1,
    WSPROXY_ERR_STATE = -2,
    WSPROXY_ERR_REQUEST = -3,
    WSPROXY_ERR_REFUSED = -4,
    WSPROXY_ERR_UNREACHABLE = -5,
    WSPROXY_ERR_TIMEOUT = -6,
    WSPROXY_ERR_PROTOCOL = -7,
    WSPROXY_ERR_LIMIT = -8,
    WSPROXY_ERR_GONE = -9,
    WSPROXY_ERR_HOOK = -10,
    WSPROXY_ERR_IO = -11,
    WSPROXY_ERR_AGAIN = -12,
    WSPROXY_ERR_UNSUPPORTED = -13,
    WSPROXY_ERR_STOPPED = -14,
    WSPROXY_ERR_INTERNAL = -15,
    WSPROXY_ERR_TLS = -16,
} wsproxy_result;

typedef enum wsproxy_side {
    WSPROXY_CLIENT = 1,
    WSPROXY_UPSTREAM = 2,
    WSPROXY_BOTH = 3,
} wsproxy_side;

typedef enum wsproxy_kind {
    WSPROXY_CONTINUATION = 0,
    WSPROXY_TEXT = 1,
    WSPROXY_BINARY = 2,
    WSPROXY_CLOSE = 8,
    WSPROXY_PING = 9,
    WSPROXY_PONG = 10,
} wsproxy_kind;

typedef enum wsproxy_verdict {
    WSPROXY_FORWARD = 1,
    WSPROXY_DROP = 2,
    WSPROXY_END = 3,
} wsproxy_verdict;

typedef enum wsproxy_admission {
    WSPROXY_ACCEPT = 4,
    WSPROXY_REFUSE = 5,
} wsproxy_admission;

typedef enum wsproxy_policy {
    WSPROXY_SERIAL = 0,
    WSPROXY_CONCURRENT = 1,
    WSPROXY_CALLER = 2,
} wsproxy_policy;

typedef enum wsproxy_fault {
    WSPROXY_FAULT_NONE = 0,
    WSPROXY_FAULT_HOST = 1,
    WSPROXY_FAULT_CLIENT = 2,
    WSPROXY_FAULT_UPSTREAM = 3,
    WSPROXY_FAULT_SYSTEM = 4,
} wsproxy_fault;

typedef enum wsproxy_forwarded {
    WSPROXY_FORWARDED_NONE = 0,
    WSPROXY_FORWARDED_X = 1,
    WSPROXY_FORWARDED_RFC7239 = 2,
} wsproxy_forwarded;

typedef enum wsproxy_tls_version {
    WSPROXY_TLS_1_2 = 771,
    WSPROXY_TLS_1_3 = 772,
} wsproxy_tls_version;

typedef enum wsproxy_log_level {
    WSPROXY_LOG_OFF = 0,
    WSPROXY_LOG_ERROR = 1,
    WSPROXY_LOG_WARN = 2,
    WSPROXY_LOG_INFO = 3,
    WSPROXY_LOG_DEBUG = 4,
    WSPROXY_LOG_TRACE = 5,
} wsproxy_log_level;

typedef enum wsproxy_close_code {
    WSPROXY_CLOSE_ABSENT = -1,
} wsproxy_close_code;

typedef enum wsproxy_abi_number {
    WSPROXY_ABI = 0,
} wsproxy_abi_number;

typedef struct wsproxy wsproxy;

typedef struct wsproxy_config wsproxy_config;

typedef struct wsproxy_handshake wsproxy_handshake;

typedef struct wsproxy_server wsproxy_server;

typedef void (*wsproxy_log_callback)(int level, const char *message, void *userdata);

typedef int (*wsproxy_on_handshake)(struct wsproxy *p, struct wsproxy_handshake *handshake, void *userdata);

typedef struct wsproxy_frame {
    int32_t from;
    int32_t kind;
    int32_t fin;
    int32_t code;
    const uint8_t *payload;
    size_t payload_len;
} wsproxy_frame;

typedef int (*wsproxy_on_frame)(struct wsproxy *p, struct wsproxy_frame *frame, void *userdata);

typedef struct wsproxy_side_stats {
    uint64_t frames[16];
    uint64_t bytes[16];
    uint64_t dropped;
    uint64_t replaced;
    uint64_t sent_by_host;
    int32_t close_received;
    int32_t close_sent;
    int32_t closed_first;
    int32_t reserved;
} wsproxy_side_stats;

typedef struct wsproxy_bytes {
    const void *data;
    size_t len;
} wsproxy_bytes;

typedef struct wsproxy_turn {
    const void *data;
    size_t len;
    int32_t more;
    int32_t wants_input;
    int32_t back;
    int32_t closing;
} wsproxy_turn;

typedef int (*wsproxy_on_open)(struct wsproxy *p, void *userdata);

typedef void (*wsproxy_on_end)(struct wsproxy *p, int result, void *userdata);

typedef struct wsproxy_server_counters {
    uint64_t accepted;
    uint64_t active;
    uint64_t refused;
    uint64_t dropped;
    uint64_t completed;
    uint64_t failed;
} wsproxy_server_counters;

const char *wsproxy_version(void);

int wsproxy_abi(void);

int wsproxy_check_abi(int abi);

const char *wsproxy_strerror(int result);

const char *wsproxy_side_name(int side);

const char *wsproxy_kind_name(int kind);

int wsproxy_log(int max_level, wsproxy_log_callback callback, void *userdata);

struct wsproxy_config *wsproxy_config_new(void);

void wsproxy_config_free(struct wsproxy_config *config);

const char *wsproxy_config_error(const struct wsproxy_config *config);

int wsproxy_config_set_policy(struct wsproxy_config *config, int policy);

int wsproxy_config_set_aggregate(struct wsproxy_config *config, int side, int on);

int wsproxy_config_set_max_frame_size(struct wsproxy_config *config, int side, uint64_t bytes);

int wsproxy_config_set_max_message_size(struct wsproxy_config *config, int side, uint64_t bytes);

int wsproxy_config_set_max_fragments(struct wsproxy_config *config, int side, uint64_t count);

int wsproxy_config_set_explain_limits(struct wsproxy_config *config, int on);

int wsproxy_config_set_check_utf8(struct wsproxy_config *config, int on);

int wsproxy_config_set_connect_timeout(struct wsproxy_config *config, int64_t ms);

int wsproxy_config_set_idle_timeout(struct wsproxy_config *config, int64_t ms);

int wsproxy_config_set_write_timeout(struct wsproxy_config *config, int64_t ms);

int wsproxy_config_set_close_timeout(struct wsproxy_config *config, int64_t ms);

int wsproxy_config_set_keepalive_interval(struct wsproxy_config *config, int64_t ms);

int wsproxy_config_set_send_queue(struct wsproxy_config *config, uint64_t bytes);

int wsproxy_config_set_thread_stack_size(struct wsproxy_config *config, uint64_t bytes);

int wsproxy_config_set_pass_headers(struct wsproxy_config *config, int on);

int wsproxy_config_add_header(struct wsproxy_config *config, const char *name, const char *value);

int wsproxy_config_set_header(struct wsproxy_config *config, const char *name, const char *value);

int wsproxy_config_remove_header(struct wsproxy_config *config, const char *name);

int wsproxy_config_add_subprotocol(struct wsproxy_config *config, const char *name);

int wsproxy_config_set_forwarded(struct wsproxy_config *config, int which);

int wsproxy_config_set_http_proxy(struct wsproxy_config *config, const char *url);

int wsproxy_config_add_origin(struct wsproxy_config *config, const char *origin);

int wsproxy_config_set_upstream_verify(struct wsproxy_config *config, int on);

int wsproxy_config_add_upstream_ca(struct wsproxy_config *config, const void *pem, size_t len);

int wsproxy_config_add_upstream_ca_file(struct wsproxy_config *config, const char *path);

int wsproxy_config_set_upstream_server_name(struct wsproxy_config *config, const char *name);

int wsproxy_config_set_upstream_certificate(struct wsproxy_config *config,
                                            const void *chain,
                                            size_t chain_len,
                                            const void *key,
                                            size_t key_len);

int wsproxy_config_set_upstream_certificate_file(struct wsproxy_config *config,
                                                 const char *chain_path,
                                                 const char *key_path);

int wsproxy_config_set_client_certificate(struct wsproxy_config *config,
                                          const void *chain,
                                          size_t chain_len,
                                          const void *key,
                                          size_t key_len);

int wsproxy_config_set_client_certificate_file(struct wsproxy_config *config,
                                               const char *chain_path,
                                               const char *key_path);

int wsproxy_config_add_client_ca(struct wsproxy_config *config, const void *pem, size_t len);

int wsproxy_config_add_client_ca_file(struct wsproxy_config *config, const char *path);

int wsproxy_config_set_min_tls_version(struct wsproxy_config *config, int side, int version);

struct wsproxy *wsproxy_new(const struct wsproxy_config *config);

int wsproxy_set_client_head(struct wsproxy *p, const void *data, size_t len);

int wsproxy_set_client_upgraded(struct wsproxy *p, const void *early, size_t len);

int wsproxy_set_on_handshake(struct wsproxy *p, wsproxy_on_handshake on_handshake, void *userdata);

int wsproxy_connect(struct wsproxy *p, int client_fd, const char *url);

int wsproxy_connect_upstream(struct wsproxy *p, const char *url);

int wsproxy_connect_client(struct wsproxy *p, int client_fd);

int wsproxy_execute(struct wsproxy *p, wsproxy_on_frame on_frame, void *userdata);

int wsproxy_stop(struct wsproxy *p, int code, const char *reason, size_t reason_len);

int wsproxy_drain(struct wsproxy *p, int code, const char *reason, size_t reason_len);

int wsproxy_abort(struct wsproxy *p);

int wsproxy_set_userdata(struct wsproxy *p, void *userdata);

void *wsproxy_userdata(const struct wsproxy *p);

int wsproxy_send(struct wsproxy *p, int side, int kind, const void *data, size_t len);

const char *wsproxy_error(const struct wsproxy *p);

int wsproxy_error_fault(const struct wsproxy *p);

int wsproxy_http_status(const struct wsproxy *p);

const char *wsproxy_subprotocol(const struct wsproxy *p);

void wsproxy_free(struct wsproxy *p);

size_t wsproxy_refusal_header_count(const struct wsproxy *p);

const char *wsproxy_refusal_header_name(const struct wsproxy *p, size_t index);

const char *wsproxy_refusal_header_value(const struct wsproxy *p, size_t index);

const char *wsproxy_handshake_method(const struct wsproxy_handshake *handshake);

const char *wsproxy_handshake_target(const struct wsproxy_handshake *handshake);

const char *wsproxy_handshake_host(const struct wsproxy_handshake *handshake);

const char *wsproxy_handshake_peer(const struct wsproxy_handshake *handshake);

int wsproxy_handshake_is_secure(const struct wsproxy_handshake *handshake);

const char *wsproxy_handshake_header(const struct wsproxy_handshake *handshake, const char *name);

size_t wsproxy_handshake_header_count(const struct wsproxy_handshake *handshake);

const char *wsproxy_handshake_header_name(const struct wsproxy_handshake *handshake, size_t index);

const char *wsproxy_handshake_header_value(const struct wsproxy_handshake *handshake, size_t index);

int wsproxy_handshake_set_url(struct wsproxy_handshake *handshake, const char *url);

int wsproxy_handshake_set_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

int wsproxy_handshake_add_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

int wsproxy_handshake_remove_header(struct wsproxy_handshake *handshake, const char *name);

int wsproxy_handshake_add_answer_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

int wsproxy_handshake_refuse(struct wsproxy_handshake *handshake, int status, const void *body, size_t len);

int wsproxy_frame_set_payload(struct wsproxy_frame *frame, const void *data, size_t len);

int wsproxy_frame_set_code(struct wsproxy_frame *frame, int code);

int wsproxy_frame_set_end(struct wsproxy_frame *frame, int side, int code, const char *reason, size_t reason_len);

int wsproxy_stats(const struct wsproxy *p, int side, struct wsproxy_side_stats *out, size_t out_size);

int wsproxy_pull_connect(struct wsproxy *p, const char *url);

int wsproxy_pull_connect_upstream(struct wsproxy *p, const char *url);

int wsproxy_pull_connect_client(struct wsproxy *p);

const char *wsproxy_pull_upstream_host(const struct wsproxy *p);

int wsproxy_pull_upstream_port(const struct wsproxy *p);

int wsproxy_pull_upstream_is_secure(const struct wsproxy *p);

int wsproxy_pull_set_header(struct wsproxy *p, const char *name, const char *value);

int wsproxy_pull_add_header(struct wsproxy *p, const char *name, const char *value);

int wsproxy_pull_remove_header(struct wsproxy *p, const char *name);

int wsproxy_pull_add_subprotocol(struct wsproxy *p, const char *name);

int wsproxy_pull_set_key(struct wsproxy *p, const char *key);

int wsproxy_pull_forget_request(struct wsproxy *p);

int wsproxy_pull_set_peer(struct wsproxy *p, const char *address, int secure);

int wsproxy_pull_is_open(struct wsproxy *p, int side);

const void *wsproxy_pull_answer_head(const struct wsproxy *p, size_t *len);

int wsproxy_pull_wants_input(const struct wsproxy *p, int side);

void *wsproxy_pull_room(struct wsproxy *p, int side, size_t *size);

int wsproxy_pull_filled(struct wsproxy *p, int side, size_t count);

int wsproxy_pull_input(struct wsproxy *p, int side, const void *data, size_t len);

int wsproxy_pull_input_ended(struct wsproxy *p, int side, const char *how, size_t len);

int wsproxy_pull_output(const struct wsproxy *p, int side, struct wsproxy_bytes *out, size_t count);

int wsproxy_pull_wrote(struct wsproxy *p, int side, size_t count);

int wsproxy_pull_output_failed(struct wsproxy *p, int side);

int wsproxy_pull_wants_fin(const struct wsproxy *p, int side);

int wsproxy_pull_is_closed(const struct wsproxy *p, int side);

int wsproxy_pull_tick(struct wsproxy *p, int64_t now_ms);

int64_t wsproxy_pull_deadline(const struct wsproxy *p);

int wsproxy_pull_is_over(const struct wsproxy *p);

int wsproxy_pull_result(struct wsproxy *p);

const struct wsproxy_frame *wsproxy_pull_frame(struct wsproxy *p, int side);

const struct wsproxy_frame *wsproxy_pull_verdict(struct wsproxy *p, int side, int verdict);

int wsproxy_pull_fail(struct wsproxy *p, int side, const char *why, size_t len);

int wsproxy_pull_pass(struct wsproxy *p, int side);

int wsproxy_pull_set_payload(struct wsproxy *p, int side, const void *data, size_t len);

int wsproxy_pull_set_code(struct wsproxy *p, int side, int code);

int wsproxy_pull_set_end(struct wsproxy *p, int side, int to, int code, const char *reason, size_t reason_len);

int wsproxy_pull_end(struct wsproxy *p,
                     int client_code,
                     const char *client_reason,
                     size_t client_reason_len,
                     int upstream_code,
                     const char *upstream_reason,
                     size_t upstream_reason_len);

const struct wsproxy_frame *wsproxy_pull_read(struct wsproxy *p,
                                              int side,
                                              const void *data,
                                              size_t len,
                                              int64_t now_ms);

int wsproxy_pull_turn(struct wsproxy *p, int side, struct wsproxy_turn *out, size_t out_size);

struct wsproxy_server *wsproxy_server_new(const struct wsproxy_config *config);

int wsproxy_server_set_upstream(struct wsproxy_server *server, const char *url);

int wsproxy_server_set_max_connections(struct wsproxy_server *server, uint64_t count);

int wsproxy_server_set_on_open(struct wsproxy_server *server, wsproxy_on_open on_open);

int wsproxy_server_set_on_handshake(struct wsproxy_server *server, wsproxy_on_handshake on_handshake);

int wsproxy_server_set_on_end(struct wsproxy_server *server, wsproxy_on_end on_end);

int wsproxy_server_listen(struct wsproxy_server *server, const char *address);

int wsproxy_server_listen_fd(struct wsproxy_server *server, int fd);

const char *wsproxy_server_address(const struct wsproxy_server *server, size_t index);

int wsproxy_server_run(struct wsproxy_server *server, wsproxy_on_frame on_frame, void *userdata);

int wsproxy_server_drain(struct wsproxy_server *server, int code, int64_t timeout_ms);

int wsproxy_server_stats(const struct wsproxy_server *server, struct wsproxy_server_counters *out, size_t out_size);

const char *wsproxy_server_error(const struct wsproxy_server *server);

void wsproxy_server_free(struct wsproxy_server *server);
]]
