/*
 * wsproxy.h - libwsproxy, an embeddable reverse proxy for WebSocket frames.
 *
 * A host hands over a client's connection and names an upstream; libwsproxy performs both handshakes and relays
 * frames both ways. Each frame is shown to the host's hook, which may forward, change or drop it, or end the session.
 *
 *     wsproxy *p = wsproxy_new(NULL);
 *     if (wsproxy_connect(p, client_fd, "wss://upstream.example/") == WSPROXY_OK)
 *         wsproxy_execute(p, on_frame, userdata);
 *     wsproxy_free(p);
 *
 * Or it has the library accept the clients too, with a session and a thread for each:
 *
 *     wsproxy_server *server = wsproxy_server_new(config);
 *     wsproxy_server_set_upstream(server, "wss://upstream.example/");
 *     wsproxy_server_listen(server, "0.0.0.0:8080");
 *     wsproxy_server_run(server, on_frame, userdata);      until wsproxy_server_drain
 *     wsproxy_server_free(server);
 *
 * Or it has sockets and an event loop of its own, and drives the session by pull: bytes in, frames out, verdicts in,
 * bytes out. bindings/c/proxy_epoll.c is such a host.
 *
 *     wsproxy_set_client_head(p, head, head_len);
 *     wsproxy_pull_tick(p, now_ms);
 *     wsproxy_pull_connect(p, "ws://upstream.example/");
 *     ... when a side is readable, and wsproxy_pull_wants_input(p, side):
 *         room = wsproxy_pull_room(p, side, &size);  n = recv(fd[side], room, size, 0);
 *         wsproxy_pull_filled(p, side, n);
 *         for (f = wsproxy_pull_frame(p, side); f; f = wsproxy_pull_verdict(p, side, WSPROXY_FORWARD)) ...
 *     ... when output waits for a side and it takes some:
 *         parts = wsproxy_pull_output(p, side, out, 3);  n = writev(fd[side], ...);  wsproxy_pull_wrote(p, side, n);
 *     ... until wsproxy_pull_is_over(p)
 *
 * ORDER. wsproxy_new; wsproxy_set_client_head or _upgraded and wsproxy_set_on_handshake if wanted; wsproxy_connect, or
 * its two halves in either order; wsproxy_execute once; wsproxy_free. wsproxy_stop, wsproxy_drain, wsproxy_abort,
 * wsproxy_error, wsproxy_stats and the other questions are allowed at any time between wsproxy_new and wsproxy_free.
 * A server: its setters and wsproxy_server_listen; wsproxy_server_run, which may be repeated; wsproxy_server_free. Its
 * sessions are made, connected, executed and freed by it. A session is driven by wsproxy_connect and wsproxy_execute,
 * or by the functions wsproxy_pull_*, not by both. A call out of order is WSPROXY_ERR_STATE.
 *
 * RESULTS. Functions that return int return WSPROXY_OK (0) or a negative WSPROXY_ERR_ code, unless they say
 * otherwise. After WSPROXY_ERR_ARGUMENT and WSPROXY_ERR_STATE nothing was changed. NULL is an error wherever it is not
 * said to be allowed. wsproxy_error, wsproxy_config_error and wsproxy_server_error have the words: whose fault it was,
 * and what was wrong. Results that are pointers or counts are written on success only.
 *
 * MEMORY. What a _new function returns belongs to the host until it calls the _free function. All else that goes in
 * is borrowed for the call, and copied where it is needed longer. What comes out belongs to the library; each
 * function says how long it is good. What is lent to a hook is lent until that returns, and to its thread only. A file
 * descriptor that goes in is duplicated; the host closes its own.
 *
 * THREADS. Different sessions are independent; any thread may use any of them. One configuration may be used by any
 * number of threads, except while it is freed. On one session wsproxy_stop, wsproxy_send and the questions may be
 * called from any thread at any time; wsproxy_connect and wsproxy_execute run on one thread at a time, and so do the
 * functions wsproxy_pull_*, on any thread. wsproxy_free
 * may be called inside a hook and while another thread is in wsproxy_execute; otherwise it is the last call. The same
 * holds for a server, wsproxy_server_run and wsproxy_server_free.
 * The library's threads have names that begin with "wsproxy" and exist only while wsproxy_connect, wsproxy_execute or
 * wsproxy_server_run runs; only the lookup of a name that was given up may last some seconds longer.
 *
 * SIGNALS. The library's threads block all signals, so that the host's handlers run on the host's threads; on those a
 * signal disturbs no call. SIGPIPE is never raised. Of all functions wsproxy_server_drain alone may be called in a
 * signal handler.
 *
 * FORK. Descriptors of the library are closed on exec. A child that was forked while sessions or servers exist may
 * exec or _exit, and call nothing of the library before. One that was forked before there were any, though the library
 * was loaded (a worker of nginx), may use it like any other process.
 *
 * HOOKS. The one on frames runs where the policy says (wsproxy_config_set_policy), once per frame, in order per
 * direction, and only while wsproxy_execute runs. While it runs its direction waits, and what the host sends that way
 * waits with it. The handshake hook runs once per client, before its upstream is dialled, on the thread that connects;
 * it may refuse the client, send it to another upstream, and change headers. No hook may unwind through the library.
 * Whatever they do, both peers see a legal RFC 6455 stream.
 *
 * TLS. "wss://" upstreams are verified against the system's authorities and those of the configuration. A configuration
 * with a certificate for clients makes clients speak TLS. The versions are 1.2 and 1.3, spoken by the OpenSSL of the
 * system.
 *
 * GROWTH. Constants and functions may be added; numbers keep their meaning. Structs may grow at their end, and none is
 * a part of another: of one that is lent, read and copy no more than you know; one that is to be filled goes in with
 * the size that you know. The rest is WSPROXY_ABI, which is also the number in libwsproxy.so's SONAME: it is raised
 * when a compiled host would break.
 */

#ifndef WSPROXY_H
#define WSPROXY_H

/* Generated from src/ffi by cbindgen (WSPROXY_UPDATE=1 cargo test --test header). Do not edit. */

#include <stddef.h>
#include <stdint.h>

/**
 * What the functions that return `int` return: `WSPROXY_OK` (0) or one of the negative codes.
 */
typedef enum wsproxy_result {
    /**
     * It worked.
     */
    WSPROXY_OK = 0,
    /**
     * NULL, or a value that cannot be taken. Nothing was changed.
     */
    WSPROXY_ERR_ARGUMENT = -1,
    /**
     * A call out of order. Nothing was changed.
     */
    WSPROXY_ERR_STATE = -2,
    /**
     * The client's request is no acceptable WebSocket handshake; it was answered with an HTTP error.
     */
    WSPROXY_ERR_REQUEST = -3,
    /**
     * The upstream answered the handshake with something other than a valid 101, or the handshake hook refused the
     * client.
     */
    WSPROXY_ERR_REFUSED = -4,
    /**
     * The upstream, or the HTTP proxy on the way to it, could not be reached or would not connect.
     */
    WSPROXY_ERR_UNREACHABLE = -5,
    /**
     * A deadline passed.
     */
    WSPROXY_ERR_TIMEOUT = -6,
    /**
     * A peer broke RFC 6455.
     */
    WSPROXY_ERR_PROTOCOL = -7,
    /**
     * A peer went over a configured limit.
     */
    WSPROXY_ERR_LIMIT = -8,
    /**
     * A peer went away without a close frame.
     */
    WSPROXY_ERR_GONE = -9,
    /**
     * A hook failed: it returned something that is no verdict.
     */
    WSPROXY_ERR_HOOK = -10,
    /**
     * The operating system refused something.
     */
    WSPROXY_ERR_IO = -11,
    /**
     * The queue of frames sent by the host is full. Try again later.
     */
    WSPROXY_ERR_AGAIN = -12,
    /**
     * Something that this version cannot do.
     */
    WSPROXY_ERR_UNSUPPORTED = -13,
    /**
     * `wsproxy_stop`, `wsproxy_abort` or `wsproxy_free` ended the handshake.
     */
    WSPROXY_ERR_STOPPED = -14,
    /**
     * A bug in this library.
     */
    WSPROXY_ERR_INTERNAL = -15,
    /**
     * TLS failed: a certificate that cannot be trusted, a peer that speaks no TLS, one that refused ours.
     */
    WSPROXY_ERR_TLS = -16,
} wsproxy_result;

/**
 * The two ends of a session.
 */
typedef enum wsproxy_side {
    /**
     * The end that asked for the upgrade.
     */
    WSPROXY_CLIENT = 1,
    /**
     * The end that the library dialled.
     */
    WSPROXY_UPSTREAM = 2,
    /**
     * Both, where a function says that it takes this.
     */
    WSPROXY_BOTH = 3,
} wsproxy_side;

/**
 * The type of a frame; the numbers are the opcodes of RFC 6455.
 */
typedef enum wsproxy_kind {
    /**
     * A later fragment of a message.
     */
    WSPROXY_CONTINUATION = 0,
    /**
     * A text message, or its first fragment.
     */
    WSPROXY_TEXT = 1,
    /**
     * A binary message, or its first fragment.
     */
    WSPROXY_BINARY = 2,
    /**
     * The closing handshake.
     */
    WSPROXY_CLOSE = 8,
    /**
     * A ping.
     */
    WSPROXY_PING = 9,
    /**
     * A pong.
     */
    WSPROXY_PONG = 10,
} wsproxy_kind;

/**
 * What a hook returns. 0 is not among them, so that a hook that fails halfway never forwards.
 */
typedef enum wsproxy_verdict {
    /**
     * Send the frame on, as the hook left it.
     */
    WSPROXY_FORWARD = 1,
    /**
     * Send nothing. A text message may have been cut into fragments inside a character: when the fragment before
     * such a cut is sent on and the one after it dropped, or the other way round, what is left would not be UTF-8,
     * and the session ends like after a failed hook (1011). `wsproxy_config_set_aggregate` avoids it; without
     * `wsproxy_config_set_check_utf8` nobody looks.
     */
    WSPROXY_DROP = 2,
    /**
     * Close both sides, with 1000 or with what `wsproxy_frame_set_end` said.
     */
    WSPROXY_END = 3,
} wsproxy_verdict;

/**
 * What a handshake hook and the open hook of a server return. Neither 0 nor a verdict on a frame is among them, so
 * that a hook that fails halfway, or is mistaken for another, lets nobody in.
 */
typedef enum wsproxy_admission {
    /**
     * Go on.
     */
    WSPROXY_ACCEPT = 4,
    /**
     * From a handshake hook: answer the client with what `wsproxy_handshake_refuse` said, or with 403, and ask no
     * upstream.
     */
    WSPROXY_REFUSE = 5,
} wsproxy_admission;

/**
 * Where the hook of a session runs.
 */
typedef enum wsproxy_policy {
    /**
     * On two threads of the library, one per direction, never two at once (the default).
     */
    WSPROXY_SERIAL = 0,
    /**
     * On two threads of the library, for both directions at once. For hooks that are thread-safe.
     */
    WSPROXY_CONCURRENT = 1,
    /**
     * On the thread that called `wsproxy_execute`, in a server on the client's own; the library starts no other.
     */
    WSPROXY_CALLER = 2,
} wsproxy_policy;

/**
 * Whose fault a failure was, as `wsproxy_error_fault` tells.
 */
typedef enum wsproxy_fault {
    /**
     * Nothing failed yet.
     */
    WSPROXY_FAULT_NONE = 0,
    /**
     * The program that uses this library.
     */
    WSPROXY_FAULT_HOST = 1,
    /**
     * The WebSocket client.
     */
    WSPROXY_FAULT_CLIENT = 2,
    /**
     * The upstream.
     */
    WSPROXY_FAULT_UPSTREAM = 3,
    /**
     * The operating system, or this library itself.
     */
    WSPROXY_FAULT_SYSTEM = 4,
} wsproxy_fault;

/**
 * How `wsproxy_config_set_forwarded` tells the upstream of the client: flags, to be added up.
 */
typedef enum wsproxy_forwarded {
    /**
     * Not at all.
     */
    WSPROXY_FORWARDED_NONE = 0,
    /**
     * By X-Forwarded-For, -Proto and -Host.
     */
    WSPROXY_FORWARDED_X = 1,
    /**
     * By Forwarded (RFC 7239).
     */
    WSPROXY_FORWARDED_RFC7239 = 2,
} wsproxy_forwarded;

/**
 * A version of TLS; the numbers are those on the wire.
 */
typedef enum wsproxy_tls_version {
    /**
     * RFC 5246.
     */
    WSPROXY_TLS_1_2 = 771,
    /**
     * RFC 8446.
     */
    WSPROXY_TLS_1_3 = 772,
} wsproxy_tls_version;

/**
 * How much the log callback gets to see: its level and those before it. Each line is about one call of
 * `wsproxy_connect`, one of its halves, or `wsproxy_execute`, about TLS that was set up, or about a server as a
 * whole. Payloads, headers and URLs' paths are never logged.
 */
typedef enum wsproxy_log_level {
    /**
     * Nothing.
     */
    WSPROXY_LOG_OFF = 0,
    /**
     * Bugs in this library.
     */
    WSPROXY_LOG_ERROR = 1,
    /**
     * What the host or the system did that ended the call: a hook that failed, a stop in a handshake, no
     * descriptors.
     */
    WSPROXY_LOG_WARN = 2,
    /**
     * What a peer did that ended the call: a refusal, a broken protocol, a limit, a deadline, a lost connection.
     */
    WSPROXY_LOG_INFO = 3,
    /**
     * Calls that went well.
     */
    WSPROXY_LOG_DEBUG = 4,
    /**
     * Nothing yet: reserved.
     */
    WSPROXY_LOG_TRACE = 5,
} wsproxy_log_level;

/**
 * Stands where a close code stands.
 */
typedef enum wsproxy_close_code {
    /**
     * A close frame without a code.
     */
    WSPROXY_CLOSE_ABSENT = -1,
} wsproxy_close_code;

/**
 * The number for `wsproxy_check_abi`.
 */
typedef enum wsproxy_abi_number {
    /**
     * Raised with every change that breaks a compiled host.
     */
    WSPROXY_ABI = 0,
} wsproxy_abi_number;

/**
 * One session. Opaque.
 */
typedef struct wsproxy wsproxy;

/**
 * Settings, shared by any number of sessions and threads. Opaque.
 */
typedef struct wsproxy_config wsproxy_config;

/**
 * A client's handshake, lent to the handshake hook until it returns: the functions `wsproxy_handshake_*` read and
 * change it. Opaque.
 */
typedef struct wsproxy_handshake wsproxy_handshake;

/**
 * Listening sockets, and a session for each client that comes to them. Opaque.
 */
typedef struct wsproxy_server wsproxy_server;

/**
 * Takes one line of the log, without a line end; `message` is good until the callback returns. Called on the
 * threads of the library and on those that call it, never twice at once on one thread. It may call anything but
 * `wsproxy_log`, and may not unwind.
 */
typedef void (*wsproxy_log_callback)(int level, const char *message, void *userdata);

/**
 * Looks at a client's request and returns WSPROXY_ACCEPT, WSPROXY_REFUSE, or what `wsproxy_handshake_refuse`
 * returned; anything else is a failed hook: the client is answered 500, and the call returns WSPROXY_ERR_HOOK.
 *
 * `handshake` is lent until the hook returns; `userdata` is what `wsproxy_set_on_handshake` or `wsproxy_server_run`
 * was given. It runs on the thread that called `wsproxy_connect` or `wsproxy_connect_client`, or on the client's own
 * thread of a server, once, when the request has been found acceptable and before the upstream is dialled. The
 * deadline of the upstream begins after it. It may call whatever a hook on frames may; `wsproxy_stop` and
 * `wsproxy_free` give the handshake up (WSPROXY_ERR_STOPPED). It may not unwind.
 */
typedef int (*wsproxy_on_handshake)(struct wsproxy *p, struct wsproxy_handshake *handshake, void *userdata);

/**
 * A frame, lent to the hook until it returns. Read-only: the functions `wsproxy_frame_*` change it. May grow at
 * its end.
 */
typedef struct wsproxy_frame {
    /**
     * The side it came from: WSPROXY_CLIENT or WSPROXY_UPSTREAM.
     */
    int32_t from;
    /**
     * What it is: WSPROXY_TEXT and so on.
     */
    int32_t kind;
    /**
     * 1 if it is the last or only fragment of its message, else 0; 1 on control frames.
     */
    int32_t fin;
    /**
     * On a close frame its code, or WSPROXY_CLOSE_ABSENT; 0 on others.
     */
    int32_t code;
    /**
     * The payload, unmasked, not NUL-terminated; on a close frame the reason.
     */
    const uint8_t *payload;
    /**
     * Its length in bytes.
     */
    size_t payload_len;
} wsproxy_frame;

/**
 * Looks at one frame and returns WSPROXY_FORWARD, WSPROXY_DROP or WSPROXY_END; anything else is a failed hook:
 * both sides get close 1011 and `wsproxy_execute` returns WSPROXY_ERR_HOOK.
 *
 * `frame` is lent until the hook returns; `userdata` is what `wsproxy_execute` or `wsproxy_server_run` was given.
 * Where the hook runs is told by the policy. It may call `wsproxy_send`, `wsproxy_stop`, `wsproxy_drain`,
 * `wsproxy_abort`, `wsproxy_free`, `wsproxy_set_userdata`, the questions (`wsproxy_stats`, `wsproxy_subprotocol` and so
 * on), the functions `wsproxy_frame_*`, and of a server `wsproxy_server_drain`, `_free` and the questions. It may not
 * unwind (no C++ exception, no longjmp out of it).
 */
typedef int (*wsproxy_on_frame)(struct wsproxy *p, struct wsproxy_frame *frame, void *userdata);

/**
 * The counters of one side, as `wsproxy_stats` fills them. May grow at its end.
 */
typedef struct wsproxy_side_stats {
    /**
     * Frames that came from this side, by their kind: `frames[WSPROXY_PING]`. The other places stay 0.
     */
    uint64_t frames[16];
    /**
     * Their payload bytes, by their kind.
     */
    uint64_t bytes[16];
    /**
     * How many of them (of the messages, where they are aggregated) the hook dropped.
     */
    uint64_t dropped;
    /**
     * How many of them (of the messages, where they are aggregated) the hook changed.
     */
    uint64_t replaced;
    /**
     * Frames that `wsproxy_send` sent to this side.
     */
    uint64_t sent_by_host;
    /**
     * The code of the close frame that came from this side: 0 if none came, WSPROXY_CLOSE_ABSENT if without code.
     */
    int32_t close_received;
    /**
     * The code of the close frame that went to this side: 0 if none went, WSPROXY_CLOSE_ABSENT if without code.
     */
    int32_t close_sent;
    /**
     * 1 if the first close frame of the session came from this side, else 0.
     */
    int32_t closed_first;
    /**
     * Always 0.
     */
    int32_t reserved;
} wsproxy_side_stats;

/**
 * Some bytes: of output, in the order in which they are to be written. As `struct iovec`, but not to be changed.
 */
typedef struct wsproxy_bytes {
    /**
     * Where they are.
     */
    const void *data;
    /**
     * How many there are.
     */
    size_t len;
} wsproxy_bytes;

/**
 * What `wsproxy_pull_turn` tells. May grow at its end.
 */
typedef struct wsproxy_turn {
    /**
     * What is to be written to the other side; it counts as written.
     */
    const void *data;
    /**
     * How many bytes that is.
     */
    size_t len;
    /**
     * 1 if there is more to be done once that is written: ask for frames and for output again.
     */
    int32_t more;
    /**
     * `wsproxy_pull_wants_input` of the side.
     */
    int32_t wants_input;
    /**
     * 1 if output waits for the side itself.
     */
    int32_t back;
    /**
     * 1 once a close frame has passed anywhere.
     */
    int32_t closing;
} wsproxy_turn;

/**
 * Called for each client of a server that gets a session, before its request is read, on the client's own thread:
 * returns WSPROXY_ACCEPT. Anything else is a failed hook: the client is answered 500, and the session ends with
 * WSPROXY_ERR_HOOK. Here is the place for `wsproxy_set_userdata`.
 *
 * `userdata` is what `wsproxy_server_run` was given. The session is the server's: it is not to be connected or
 * executed by the host, and lives until its end hook has returned. This hook and the end hook may call what a hook on
 * frames may. It may not unwind.
 */
typedef int (*wsproxy_on_open)(struct wsproxy *p, void *userdata);

/**
 * Called for each session of a server as the last thing before it goes, on the client's own thread, when both
 * connections are closed: `result` is what `wsproxy_connect` or `wsproxy_execute` would have returned, and
 * `wsproxy_error` has its words. After it nobody may use `p` any more: not other threads of the host either.
 *
 * `userdata` is what `wsproxy_server_run` was given. The hook may not unwind.
 */
typedef void (*wsproxy_on_end)(struct wsproxy *p, int result, void *userdata);

/**
 * What a server has done so far, as `wsproxy_server_stats` fills it. May grow at its end.
 */
typedef struct wsproxy_server_counters {
    /**
     * Connections accepted, whatever became of them.
     */
    uint64_t accepted;
    /**
     * Sessions there are now, those in their handshakes included.
     */
    uint64_t active;
    /**
     * Connections over the limit, answered 503.
     */
    uint64_t refused;
    /**
     * Connections closed without an answer: too many over the limit at once, or the system had no thread for them.
     */
    uint64_t dropped;
    /**
     * Sessions that have ended in good order.
     */
    uint64_t completed;
    /**
     * Sessions that have ended with an error, those in their handshakes included.
     */
    uint64_t failed;
} wsproxy_server_counters;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, as "0.1.0". Static.
 */
const char *wsproxy_version(void);

/**
 * The number of the library's ABI; WSPROXY_ABI is that of the header.
 */
int wsproxy_abi(void);

/**
 * Whether a host compiled with this WSPROXY_ABI can use the library that it found.
 *
 * Returns WSPROXY_OK, or WSPROXY_ERR_UNSUPPORTED: then call nothing else.
 */
int wsproxy_check_abi(int abi);

/**
 * What a result means, in a few words. Static; "unknown result" for numbers that are none. What exactly went
 * wrong is told by `wsproxy_error`.
 */
const char *wsproxy_strerror(int result);

/**
 * "client" or "upstream"; "unknown" for other numbers. Static.
 */
const char *wsproxy_side_name(int side);

/**
 * "text", "binary", "continuation", "close", "ping" or "pong"; "unknown" for other numbers. Static.
 */
const char *wsproxy_kind_name(int kind);

/**
 * Hands the log of the library, up to `max_level` (WSPROXY_LOG_OFF to WSPROXY_LOG_TRACE), to `callback`, for the
 * whole process. NULL, or WSPROXY_LOG_OFF, silences it; that is the start.
 *
 * `userdata` is handed to the callback and must live until a later call of this function has returned: then the
 * callback before does not run any more. Any thread may call this, except from inside the callback.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for another level; WSPROXY_ERR_STATE from inside the callback, or when
 * the process has another logger (a host in Rust). After a failure nothing was changed.
 */
int wsproxy_log(int max_level, wsproxy_log_callback callback, void *userdata);

/**
 * A new configuration with the defaults.
 *
 * Returns a configuration that `wsproxy_config_free` frees; NULL only if the library failed in itself.
 *
 * All setters: `config` is borrowed, strings are copied. They return WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for
 * NULL and for values that they do not take, or WSPROXY_ERR_IO for a file that cannot be read; then nothing was
 * changed, `wsproxy_config_error` has the words, and everything is still allowed. Any thread may call them. They do
 * not touch sessions and servers that exist.
 */
struct wsproxy_config *wsproxy_config_new(void);

/**
 * Frees a configuration. Sessions made with it keep their settings. NULL is allowed.
 *
 * No other thread may be using `config`, and nothing is allowed with it afterwards.
 */
void wsproxy_config_free(struct wsproxy_config *config);

/**
 * The words of the calling thread's last refused setter of `config`, or, if it had none, of the last refused setter
 * of any thread. "" if none was refused; a fixed text for NULL; never NULL.
 *
 * The text belongs to the configuration and is good until the calling thread's next call with it, or until it is
 * freed. Any thread.
 */
const char *wsproxy_config_error(const struct wsproxy_config *config);

/**
 * Where hooks run: one of the WSPROXY_SERIAL, WSPROXY_CONCURRENT, WSPROXY_CALLER. Default: WSPROXY_SERIAL.
 *
 * Under WSPROXY_SERIAL a direction waits for its turn while the other one's hook runs, under WSPROXY_CALLER for the
 * hook of either; what the host sends to the side that it forwards to waits with it (`wsproxy_send`).
 */
int wsproxy_config_set_policy(struct wsproxy_config *config, int policy);

/**
 * Whether fragments from `side` (or WSPROXY_BOTH) are joined, so that the hook sees whole messages: 1 or 0.
 * Default: 0, each fragment is shown and forwarded at once.
 */
int wsproxy_config_set_aggregate(struct wsproxy_config *config, int side, int on);

/**
 * The largest payload of one frame from `side` (or WSPROXY_BOTH), in bytes, at least 1. Default: 16 MiB.
 * A larger one ends the session with 1009.
 */
int wsproxy_config_set_max_frame_size(struct wsproxy_config *config, int side, uint64_t bytes);

/**
 * The largest message from `side` (or WSPROXY_BOTH), all fragments together, in bytes, at least 1. Default:
 * 64 MiB. A larger one ends the session with 1009.
 */
int wsproxy_config_set_max_message_size(struct wsproxy_config *config, int side, uint64_t bytes);

/**
 * The most fragments of one message from `side` (or WSPROXY_BOTH), at least 1. Default: 1048576. More end the
 * session with 1009.
 */
int wsproxy_config_set_max_fragments(struct wsproxy_config *config, int side, uint64_t count);

/**
 * Whether the close frame 1009 for a side that went over a limit has the reason "Payload Too Large": 1 or 0.
 * Default: 0.
 */
int wsproxy_config_set_explain_limits(struct wsproxy_config *config, int on);

/**
 * Whether text from the peers is checked to be UTF-8: 1 or 0. Default: 1, other text ends the session with 1007.
 */
int wsproxy_config_set_check_utf8(struct wsproxy_config *config, int on);

/**
 * How long the client's request may take; how long the upstream's name, connection and answer together; and how long
 * the client may take to accept its answer: each, in milliseconds, at least 1. Default: 10000.
 */
int wsproxy_config_set_connect_timeout(struct wsproxy_config *config, int64_t ms);

/**
 * How long nothing may cross before the session ends with 1001 on both sides, in milliseconds; 0 is for ever. With
 * `wsproxy_config_set_keepalive_interval` also how long one side may send nothing, not even answers to the pings:
 * then the session ends with 1001 (the client was silent) or 1011 (the upstream). Default: 120000.
 */
int wsproxy_config_set_idle_timeout(struct wsproxy_config *config, int64_t ms);

/**
 * How long a peer may take nothing of what is to be sent to it, in milliseconds; 0 is for ever: a close frame that
 * came behind those bytes then waits with them, until the idle timeout or wsproxy_stop. Default: 30000.
 */
int wsproxy_config_set_write_timeout(struct wsproxy_config *config, int64_t ms);

/**
 * How long the closing handshake may take before the connections are cut, in milliseconds, at least 1. Default:
 * 10000.
 */
int wsproxy_config_set_close_timeout(struct wsproxy_config *config, int64_t ms);

/**
 * How often the library pings each peer by itself, in milliseconds; 0 is never. Default: 0. The answers to
 * these pings are not forwarded.
 */
int wsproxy_config_set_keepalive_interval(struct wsproxy_config *config, int64_t ms);

/**
 * How many bytes of frames given to `wsproxy_send` may wait for one side, at least 1, each frame with 64 besides its
 * payload; a single frame of any size may always wait. Default: 1 MiB.
 */
int wsproxy_config_set_send_queue(struct wsproxy_config *config, uint64_t bytes);

/**
 * The stack of each thread that the library starts, in bytes, at least 65536. Hooks run on it under WSPROXY_SERIAL
 * and WSPROXY_CONCURRENT, and all hooks of a server. Default: 262144.
 */
int wsproxy_config_set_thread_stack_size(struct wsproxy_config *config, uint64_t bytes);

/**
 * Whether the client's end-to-end headers (cookies, authorization, origin ...) go upstream: 1 or 0. Default: 1. Its
 * target and subprotocols do either way.
 */
int wsproxy_config_set_pass_headers(struct wsproxy_config *config, int on);

/**
 * Adds a header to the request that goes upstream, beside any of the same name.
 *
 * CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
 */
int wsproxy_config_add_header(struct wsproxy_config *config, const char *name, const char *value);

/**
 * Sets a header of the request that goes upstream, in place of any of the same name from the client.
 *
 * CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
 */
int wsproxy_config_set_header(struct wsproxy_config *config, const char *name, const char *value);

/**
 * Keeps a header of the client's from going upstream.
 */
int wsproxy_config_remove_header(struct wsproxy_config *config, const char *name);

/**
 * Adds a subprotocol to those offered upstream when there is no client's request to take them from.
 */
int wsproxy_config_add_subprotocol(struct wsproxy_config *config, const char *name);

/**
 * How the upstream is told of the client: WSPROXY_FORWARDED_X, WSPROXY_FORWARDED_RFC7239, both (added up), or
 * WSPROXY_FORWARDED_NONE. Default: WSPROXY_FORWARDED_NONE.
 */
int wsproxy_config_set_forwarded(struct wsproxy_config *config, int which);

/**
 * Reaches upstreams through the HTTP proxy at `url`, `http://[user:password@]host[:port]`, by CONNECT (RFC 9110
 * section 9.3.6); Unix sockets directly. Default: none; the environment (`http_proxy` and the like) is not looked
 * at.
 */
int wsproxy_config_set_http_proxy(struct wsproxy_config *config, const char *url);

/**
 * Adds an origin that clients may come from, as `https://example.com`; others are answered 403. Default: every
 * origin is allowed.
 */
int wsproxy_config_add_origin(struct wsproxy_config *config, const char *origin);

/**
 * Whether the certificate of a `wss://` upstream, and the name in it, are verified: 1 or 0. Default: 1. With 0
 * anybody on the way can read and change everything.
 */
int wsproxy_config_set_upstream_verify(struct wsproxy_config *config, int on);

/**
 * Trusts these certificate authorities for `wss://` upstreams too, besides the system's: `len` bytes of PEM at
 * `pem`, one certificate or more.
 */
int wsproxy_config_add_upstream_ca(struct wsproxy_config *config, const void *pem, size_t len);

/**
 * The same from a file, which is read now.
 */
int wsproxy_config_add_upstream_ca_file(struct wsproxy_config *config, const char *path);

/**
 * The name to ask `wss://` upstreams for (SNI) and to look for in their certificates, instead of the URL's host.
 */
int wsproxy_config_set_upstream_server_name(struct wsproxy_config *config, const char *name);

/**
 * What `wss://` upstreams that ask for a certificate are shown: a certificate with the chain behind it, and its
 * private key; both PEM, the key unencrypted.
 */
int wsproxy_config_set_upstream_certificate(struct wsproxy_config *config,
                                            const void *chain,
                                            size_t chain_len,
                                            const void *key,
                                            size_t key_len);

/**
 * The same from two files, which are read now; they may be one.
 */
int wsproxy_config_set_upstream_certificate_file(struct wsproxy_config *config,
                                                 const char *chain_path,
                                                 const char *key_path);

/**
 * Clients speak TLS from now on, and are shown this: a certificate with the chain behind it, and its private key;
 * both PEM, the key unencrypted. Default: none, clients speak no TLS.
 *
 * Clients are asked for certificates of their own only by `wsproxy_config_add_client_ca`.
 */
int wsproxy_config_set_client_certificate(struct wsproxy_config *config,
                                          const void *chain,
                                          size_t chain_len,
                                          const void *key,
                                          size_t key_len);

/**
 * The same from two files, which are read now; they may be one.
 */
int wsproxy_config_set_client_certificate_file(struct wsproxy_config *config,
                                               const char *chain_path,
                                               const char *key_path);

/**
 * Clients that speak TLS have to show a certificate of one of these authorities: PEM, one or more. May be called
 * several times. Default: clients are asked for none. Without `wsproxy_config_set_client_certificate` no client speaks
 * TLS, and `wsproxy_connect` gives WSPROXY_ERR_ARGUMENT.
 */
int wsproxy_config_add_client_ca(struct wsproxy_config *config, const void *pem, size_t len);

/**
 * The same from a file, which is read now.
 */
int wsproxy_config_add_client_ca_file(struct wsproxy_config *config, const char *path);

/**
 * The lowest version of TLS that is spoken with `side` (or WSPROXY_BOTH): WSPROXY_TLS_1_2 or WSPROXY_TLS_1_3.
 * Default: WSPROXY_TLS_1_2.
 */
int wsproxy_config_set_min_tls_version(struct wsproxy_config *config, int side, int version);

/**
 * A new session with the settings that `config` has now; NULL means the defaults.
 *
 * `config` is borrowed for the call. Returns a session that `wsproxy_free` frees; NULL only if the system has no
 * random numbers or the library failed in itself. Any thread.
 */
struct wsproxy *wsproxy_new(const struct wsproxy_config *config);

/**
 * Gives the library what the host has already read of the client's request, from its first byte. Before
 * `wsproxy_connect` or `wsproxy_connect_client`, which read the rest of it, if any, from the socket.
 *
 * `data` is copied; NULL if `len` is 0. The last call of this or `wsproxy_set_client_upgraded` counts. Returns
 * WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once the client is connected. After a failure nothing was
 * changed.
 */
int wsproxy_set_client_head(struct wsproxy *p, const void *data, size_t len);

/**
 * Says that the host has done the client's handshake itself, its answer included. `early` is what it has read
 * after the request. Before `wsproxy_connect` or `wsproxy_connect_client`, which then send and read no HTTP on the
 * client's side.
 *
 * `early` is copied; NULL if `len` is 0. The last call of this or `wsproxy_set_client_head` counts. Returns
 * WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once the client is connected. After a failure nothing was
 * changed.
 */
int wsproxy_set_client_upgraded(struct wsproxy *p, const void *early, size_t len);

/**
 * Has `on_handshake` asked about the client's request, before the upstream is. Before `wsproxy_connect` or
 * `wsproxy_connect_client`; NULL takes it away again.
 *
 * `userdata` is handed to the hook; neither is used after those have returned. A client that the host has upgraded
 * itself is not asked about. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT (NULL session), or WSPROXY_ERR_STATE once the
 * client is connected. After a failure nothing was changed.
 */
int wsproxy_set_on_handshake(struct wsproxy *p, wsproxy_on_handshake on_handshake, void *userdata);

/**
 * Does both handshakes: reads the client's request, asks the handshake hook, if there is one, connects to the
 * upstream at `url`, and only then answers the client.
 *
 * `url` is `ws://host[:port][/path]`, `wss://host[:port][/path]` (TLS) or `ws+unix:/socket[:/path]` (a Unix socket);
 * an IPv6 address stands in brackets. A path or query in it is used as it stands; without one the client's is.
 * Clients speak TLS if the configuration has a certificate to show them (`wsproxy_config_set_client_certificate`).
 *
 * `client_fd` is duplicated: the host closes its own, best as soon as this has returned. `url` is borrowed for the
 * call. Blocks: up to the connect timeout for the client's request, again for the upstream, and again until the
 * client has taken its answer; a client that is refused has up to a second to read why. `wsproxy_stop` on another
 * thread ends the waiting, but for that second.
 *
 * Returns WSPROXY_OK;
 * WSPROXY_ERR_ARGUMENT (NULL, no open socket, a URL that is none) and WSPROXY_ERR_STATE (connected before): nothing
 * was changed, and the call may be made again;
 * WSPROXY_ERR_REQUEST: the client's request is no handshake, and was answered with an HTTP error;
 * WSPROXY_ERR_REFUSED, WSPROXY_ERR_UNREACHABLE, WSPROXY_ERR_TLS, WSPROXY_ERR_TIMEOUT, WSPROXY_ERR_GONE,
 * WSPROXY_ERR_IO: the client was answered with the refusal of the upstream or of the hook, or with 502 or 504, if it
 * was still there and TLS with it had come about (`wsproxy_http_status`, `wsproxy_error_fault`);
 * WSPROXY_ERR_HOOK: the handshake hook failed, and the client was answered 500;
 * WSPROXY_ERR_STOPPED: `wsproxy_stop` or `wsproxy_free` was called.
 * After those the connections are closed, and nothing is left to do but to read the words and free the session.
 */
int wsproxy_connect(struct wsproxy *p, int client_fd, const char *url);

/**
 * The upstream's half of `wsproxy_connect`. The halves may be called in either order, one at a time; without a
 * client's request at hand the upstream gets the headers and subprotocols of the configuration.
 *
 * Pointers and results are those of `wsproxy_connect`. Blocks up to the connect timeout. After a failure other than
 * WSPROXY_ERR_STOPPED the call may be made again, with another URL too; the client was told nothing.
 */
int wsproxy_connect_upstream(struct wsproxy *p, const char *url);

/**
 * The client's half of `wsproxy_connect`: the client is answered at once, with the upstream's subprotocol if that
 * was connected before. What the handshake hook says of the upstream counts if that is connected later.
 *
 * Pointers, results and what is allowed after a failure are those of `wsproxy_connect`. Blocks up to the connect
 * timeout for the request, and again until the client has taken its answer or, refused, up to a second.
 */
int wsproxy_connect_client(struct wsproxy *p, int client_fd);

/**
 * Relays frames both ways and shows each to `on_frame`, until the session has ended. Once per session, after both
 * handshakes. NULL for `on_frame` relays without a hook.
 *
 * `userdata` is handed to the hook; it and the hook are not used after this has returned. Blocks until the end;
 * then both connections are closed and the library's threads are gone.
 *
 * Returns WSPROXY_OK after an orderly end (a closing handshake, WSPROXY_END, `wsproxy_stop`, `wsproxy_free`);
 * WSPROXY_ERR_ARGUMENT (NULL) and WSPROXY_ERR_STATE (not connected on both sides, or executed before): nothing was
 * changed;
 * WSPROXY_ERR_PROTOCOL, WSPROXY_ERR_LIMIT, WSPROXY_ERR_GONE, WSPROXY_ERR_TIMEOUT, WSPROXY_ERR_TLS, WSPROXY_ERR_IO:
 * what a peer or the system did (`wsproxy_error_fault`);
 * WSPROXY_ERR_HOOK.
 * After those nothing is left to do but to read the words and the statistics and free the session.
 */
int wsproxy_execute(struct wsproxy *p, wsproxy_on_frame on_frame, void *userdata);

/**
 * Ends the session in an orderly way: both sides get a close frame with `code` and `reason`, and `wsproxy_execute`
 * returns within the close timeout. A handshake in progress, or one that is still to come, is given up and returns
 * WSPROXY_ERR_STOPPED.
 *
 * `code` may be WSPROXY_CLOSE_ABSENT; codes that must not be on the wire are mapped: 1005 to no code, others to
 * 1011. `reason` is copied: UTF-8, at most 123 bytes, none without a code (RFC 6455 has no place for it), NULL if
 * `reason_len` is 0. Never blocks. Any thread, inside the hook too, at any time before `wsproxy_free`.
 *
 * Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT (NULL, a number that is no code, another reason): then nothing was
 * changed. The first stop counts. Frames that the hook has seen and that are not written yet may go out before the
 * close frame, or not at all.
 */
int wsproxy_stop(struct wsproxy *p, int code, const char *reason, size_t reason_len);

/**
 * Ends the session as `wsproxy_stop` does, but between messages: neither side gets the close frame in the middle of
 * a message that has begun to cross, and nothing that the hook has let pass is lost. Of both directions the one that
 * is between messages waits for the other, and forwards control frames only. A handshake in progress, or one that is
 * still to come, is completed first; `wsproxy_execute` then ends as soon as it begins.
 *
 * Pointers, codes and results are those of `wsproxy_stop`. It has no time limit of its own: `wsproxy_stop` and
 * `wsproxy_abort` end a session that still drains. Never blocks. Any thread, inside a hook too.
 */
int wsproxy_drain(struct wsproxy *p, int code, const char *reason, size_t reason_len);

/**
 * Ends the session now: as `wsproxy_stop` with the close frame that was asked for before, or 1001; but each side is
 * sent only what it takes at once, and nobody's answer is waited for. `wsproxy_execute` returns as soon as the hook
 * does, if that is at work. Never blocks. Any thread, inside a hook too.
 *
 * Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL.
 */
int wsproxy_abort(struct wsproxy *p);

/**
 * Keeps a pointer of the host's with the session, for `wsproxy_userdata`: what it has for each client of a server,
 * for example. NULL at first. The library does nothing else with it. Any thread.
 *
 * Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for a NULL session.
 */
int wsproxy_set_userdata(struct wsproxy *p, void *userdata);

/**
 * The pointer that `wsproxy_set_userdata` has kept; NULL if none, and for a NULL session. Any thread.
 */
void *wsproxy_userdata(const struct wsproxy *p);

/**
 * Sends a frame of the host's own to `side`: WSPROXY_TEXT, WSPROXY_BINARY, WSPROXY_PING or WSPROXY_PONG. It is not
 * shown to the hook; sent from inside the hook, it goes before the frame that the hook is looking at. Data waits
 * for the end of a message under way, pings and pongs go between fragments. All wait while the direction that
 * forwards to `side` waits: for its hook to return, and for its turn at the hook (`wsproxy_config_set_policy`).
 *
 * `data` is copied; NULL if `len` is 0. Never blocks. Any thread, inside the hook too, while the session runs.
 *
 * Returns WSPROXY_OK: it will be sent, unless the session ends first; WSPROXY_ERR_ARGUMENT (another side or kind,
 * text that is not UTF-8, more than 125 bytes in a ping or pong); WSPROXY_ERR_STATE (not connected, or ended);
 * WSPROXY_ERR_AGAIN (too much is waiting). After a failure nothing was changed.
 */
int wsproxy_send(struct wsproxy *p, int side, int kind, const void *data, size_t len);

/**
 * The words of the calling thread's last failed call with this session, or, if it had none, of the last failed
 * call of any thread: whose fault it was, a colon, what was wrong. "" if nothing failed; a fixed text for NULL;
 * never NULL.
 *
 * The text belongs to the session and is good until the calling thread's next call with this session. Any thread,
 * inside the hook too.
 */
const char *wsproxy_error(const struct wsproxy *p);

/**
 * Whose fault the failure was that `wsproxy_error` tells of: one of the WSPROXY_FAULT_ numbers. For NULL
 * WSPROXY_FAULT_HOST. Any thread.
 */
int wsproxy_error_fault(const struct wsproxy *p);

/**
 * The HTTP status of a handshake that failed: that of the upstream's refusal, or the 4xx or 5xx with which a client
 * that waits for an answer is turned away (`wsproxy_connect_upstream` alone tells the client nothing). 0 if there
 * was none, and again once a handshake has succeeded. Any thread.
 */
int wsproxy_http_status(const struct wsproxy *p);

/**
 * The subprotocol that the upstream chose; NULL if none. Any thread.
 *
 * The text belongs to the session and is good until `wsproxy_free`.
 */
const char *wsproxy_subprotocol(const struct wsproxy *p);

/**
 * Frees a session, in whatever state. NULL is allowed.
 *
 * A call in progress (from inside its hook, or on another thread) is stopped as by `wsproxy_stop` with 1001; the
 * memory goes when it returns. Of a session that was not executed the connections are closed at once; a side that
 * was connected gets a close frame before. No new call with `p` is allowed afterwards, except inside the hook that
 * is running. A server's session belongs to the server: it is stopped with 1001, and goes when its end hook has
 * returned.
 */
void wsproxy_free(struct wsproxy *p);

/**
 * How many header lines the refusal has that `wsproxy_http_status` tells of: the end-to-end ones of an upstream's,
 * those of the library's or the hook's own otherwise. 0 if there was none. Any thread.
 */
size_t wsproxy_refusal_header_count(const struct wsproxy *p);

/**
 * The name of a header line of that refusal; the lines count from 0. NULL beyond the last. Any thread.
 *
 * The texts belong to the session and are good until the next call that connects it.
 */
const char *wsproxy_refusal_header_name(const struct wsproxy *p, size_t index);

/**
 * The value of a header line of that refusal; NULL beyond the last. Else as `wsproxy_refusal_header_name`.
 */
const char *wsproxy_refusal_header_value(const struct wsproxy *p, size_t index);

/**
 * The method of the request: always "GET", the only one that opens a WebSocket. Inside the hook only.
 *
 * The texts of a handshake are good until the hook returns. Outside the hook of this handshake, and for NULL, the
 * questions about it are answered with NULL or 0.
 */
const char *wsproxy_handshake_method(const struct wsproxy_handshake *handshake);

/**
 * The path and query that the client asked for; begins with "/". Inside the hook only.
 */
const char *wsproxy_handshake_target(const struct wsproxy_handshake *handshake);

/**
 * The value of the header Host. Inside the hook only.
 */
const char *wsproxy_handshake_host(const struct wsproxy_handshake *handshake);

/**
 * The client's address, as "192.0.2.7" or "2001:db8::7"; NULL if its connection has none (a Unix socket). Inside the
 * hook only.
 */
const char *wsproxy_handshake_peer(const struct wsproxy_handshake *handshake);

/**
 * 1 if the client came over TLS, else 0. Inside the hook only.
 */
int wsproxy_handshake_is_secure(const struct wsproxy_handshake *handshake);

/**
 * The value of the first header called `name`, in whatever case; NULL if there is none. A value may have bytes that
 * are not ASCII, but no NUL. Inside the hook only.
 */
const char *wsproxy_handshake_header(const struct wsproxy_handshake *handshake, const char *name);

/**
 * How many header lines the request has. Inside the hook only.
 */
size_t wsproxy_handshake_header_count(const struct wsproxy_handshake *handshake);

/**
 * The name of a header line, as the client has written it; the lines count from 0, in the client's order. NULL
 * beyond the last. Inside the hook only.
 */
const char *wsproxy_handshake_header_name(const struct wsproxy_handshake *handshake, size_t index);

/**
 * The value of a header line; NULL beyond the last. Inside the hook only.
 */
const char *wsproxy_handshake_header_value(const struct wsproxy_handshake *handshake, size_t index);

/**
 * Connects this client to another upstream than the one that was named: a URL as `wsproxy_connect` takes it. Inside
 * the hook only.
 *
 * All that changes a handshake: strings are copied. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL and for values
 * that cannot be taken; WSPROXY_ERR_STATE outside the hook of this handshake, and here when the upstream is
 * connected already. After a failure nothing was changed, and `wsproxy_error` has the words.
 */
int wsproxy_handshake_set_url(struct wsproxy_handshake *handshake, const char *url);

/**
 * Sets a header of the request that goes upstream, in place of any of the same name from the client or from the
 * configuration. Inside the hook only; results as those of `wsproxy_handshake_set_url`.
 *
 * CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own, are refused.
 */
int wsproxy_handshake_set_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

/**
 * Adds a header to the request that goes upstream, beside any of the same name. Else as
 * `wsproxy_handshake_set_header`.
 */
int wsproxy_handshake_add_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

/**
 * Keeps a header of the client's from going upstream. Else as `wsproxy_handshake_set_header`.
 */
int wsproxy_handshake_remove_header(struct wsproxy_handshake *handshake, const char *name);

/**
 * Adds a header to whatever the client is answered, the 101 or a refusal: Set-Cookie, WWW-Authenticate, Location,
 * Retry-After. What describes a body (Content-Type) counts for this hook's own refusal only. Else as
 * `wsproxy_handshake_set_header`.
 */
int wsproxy_handshake_add_answer_header(struct wsproxy_handshake *handshake, const char *name, const char *value);

/**
 * Says with what WSPROXY_REFUSE answers the client: a status from 300 to 599, and a body, plain text unless an
 * answer header says what else. Inside the hook only; the last call counts.
 *
 * `body` is copied; NULL if `len` is 0. Returns WSPROXY_REFUSE, for the hook to return in its turn; or a result as
 * `wsproxy_handshake_set_url`, which is no such answer.
 */
int wsproxy_handshake_refuse(struct wsproxy_handshake *handshake, int status, const void *body, size_t len);

/**
 * Replaces the payload of a frame; on a close frame its reason. Inside the hook only.
 *
 * `data` is copied, and may be a part of the present payload. Afterwards `frame->payload` and
 * `frame->payload_len` tell the new one, and the old pointer is dead.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, for more than 125 bytes in a control frame or 123 in a close
 * reason, for text that is not UTF-8, and for a reason on a close frame without a code, whose code is to be set
 * first (`wsproxy_frame_set_code`); WSPROXY_ERR_STATE outside the hook of this frame. After a failure nothing was
 * changed.
 */
int wsproxy_frame_set_payload(struct wsproxy_frame *frame, const void *data, size_t len);

/**
 * Replaces the code of a close frame; WSPROXY_CLOSE_ABSENT takes it away, and then no reason is sent either. Inside
 * the hook only.
 *
 * Codes that must not be on the wire are mapped: 1005 to no code, others to 1011.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, for other frames and for numbers that are no code;
 * WSPROXY_ERR_STATE outside the hook of this frame. After a failure nothing was changed.
 */
int wsproxy_frame_set_code(struct wsproxy_frame *frame, int code);

/**
 * Says what WSPROXY_END sends to `side` (or WSPROXY_BOTH); without it, 1000 goes to both. Inside the hook only; it
 * ends nothing by itself.
 *
 * `code` may be WSPROXY_CLOSE_ABSENT; codes that must not be on the wire are mapped: 1005 to no code, others to
 * 1011. `reason` is copied: UTF-8, at most 123 bytes, none without a code, NULL if `reason_len` is 0.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, another side, code or reason; WSPROXY_ERR_STATE outside the
 * hook of this frame. After a failure nothing was changed.
 */
int wsproxy_frame_set_end(struct wsproxy_frame *frame, int side, int code, const char *reason, size_t reason_len);

/**
 * Counts what has passed so far on `side`: WSPROXY_CLIENT or WSPROXY_UPSTREAM. Any thread, at any time, inside the
 * hook too.
 *
 * `out` is filled, up to `out_size`, which is `sizeof *out`: of a struct that is longer than this library's the
 * rest is set to 0. Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL, another side and size 0; then nothing was
 * written.
 */
int wsproxy_stats(const struct wsproxy *p, int side, struct wsproxy_side_stats *out, size_t out_size);

/**
 * Begins a session whose host has the sockets and the clock (an event loop), with both handshakes: when the client's
 * request is whole the upstream at `url` is asked, and with its answer the client is answered. Instead of
 * `wsproxy_connect`.
 *
 * The client's request is what `wsproxy_set_client_head` was given before, and what `wsproxy_pull_input` brings. The
 * host dials the upstream (`wsproxy_pull_upstream_host`) as soon as there is output for it (`wsproxy_pull_output`),
 * does TLS itself, and says what comes of it: bytes, or `wsproxy_pull_input_ended`. `wsproxy_pull_is_open` tells how
 * far the handshakes are. A client that is refused gets its answer as output.
 *
 * All functions `wsproxy_pull_*` are called by one thread at a time, with the time told before (`wsproxy_pull_tick`).
 * None of them blocks or calls a hook. `url` is borrowed for the call.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, a URL that is none); WSPROXY_ERR_STATE (begun before, connected by
 * `wsproxy_connect` or one of its halves, or a handshake hook is set). After a failure nothing was changed.
 */
int wsproxy_pull_connect(struct wsproxy *p, const char *url);

/**
 * The upstream's half of `wsproxy_pull_connect`. The halves may begin in either order. If the host has given the
 * client's head (`wsproxy_set_client_head`), or the client's half has begun, the upstream gets the client's headers and
 * subprotocols; the client is answered by `wsproxy_pull_connect_client` only.
 *
 * Pointers and results are those of `wsproxy_pull_connect`. After the handshake has failed (`wsproxy_pull_is_open`) it
 * may be called again, with a new connection and another URL too, unless the session is over; the client was told
 * nothing.
 */
int wsproxy_pull_connect_upstream(struct wsproxy *p, const char *url);

/**
 * The client's half of `wsproxy_pull_connect`: the client is answered as soon as its request is whole, with the
 * upstream's subprotocol and headers if that was connected before. A client that the host has upgraded
 * (`wsproxy_set_client_upgraded`) is taken as it is.
 *
 * Results are those of `wsproxy_pull_connect`.
 */
int wsproxy_pull_connect_client(struct wsproxy *p);

/**
 * The host of the upstream that was named last, which is to be dialled: a name, an address (IPv6 without brackets), or
 * of a Unix socket its path, which begins with "/". NULL if none was named yet.
 *
 * It belongs to the session and is good until another upstream is named or `wsproxy_free`.
 */
const char *wsproxy_pull_upstream_host(const struct wsproxy *p);

/**
 * Its port; 0 for a Unix socket and if none was named yet.
 */
int wsproxy_pull_upstream_port(const struct wsproxy *p);

/**
 * Whether TLS is to be spoken with it (`wss://`): 1 or 0.
 */
int wsproxy_pull_upstream_is_secure(const struct wsproxy *p);

/**
 * Sets a header of this session's next request to an upstream, in place of any of the same name from the client or
 * from the configuration. Before the verb that names the upstream.
 *
 * Strings are copied. CR, LF and other bytes that cannot stand in a header, and names that are the handshake's own,
 * are refused. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once both handshakes are over or the
 * session is none of an event loop's. After a failure nothing was changed.
 */
int wsproxy_pull_set_header(struct wsproxy *p, const char *name, const char *value);

/**
 * Adds a header to this session's next request to an upstream, beside any of the same name. Else as
 * `wsproxy_pull_set_header`.
 */
int wsproxy_pull_add_header(struct wsproxy *p, const char *name, const char *value);

/**
 * Keeps a header of this client's from going upstream with the next request. Else as `wsproxy_pull_set_header`.
 */
int wsproxy_pull_remove_header(struct wsproxy *p, const char *name);

/**
 * Offers a subprotocol with the next request, in place of those of the client and of the configuration. The client is
 * told of the upstream's choice only if it has offered that itself (RFC 6455 section 4.2.2). Else as
 * `wsproxy_pull_set_header`.
 */
int wsproxy_pull_add_subprotocol(struct wsproxy *p, const char *name);

/**
 * Asks with this Sec-WebSocket-Key, 16 bytes in base64, the next time; by default each request has a random one. Else
 * as `wsproxy_pull_set_header`.
 */
int wsproxy_pull_set_key(struct wsproxy *p, const char *key);

/**
 * Forgets the headers, subprotocols and key that were said of the next request, for a host that thought better of it.
 * Results are those of `wsproxy_pull_set_header`.
 */
int wsproxy_pull_forget_request(struct wsproxy *p);

/**
 * Tells the client's IP address, and by 1 or 0 whether it came over TLS, for `wsproxy_config_set_forwarded`. Else as
 * `wsproxy_pull_set_header`.
 */
int wsproxy_pull_set_peer(struct wsproxy *p, const char *address, int secure);

/**
 * Whether the handshake with `side` (WSPROXY_CLIENT or WSPROXY_UPSTREAM) is over: 1 or 0. Frames are looked at when
 * both are.
 *
 * If it has failed, the code with which `wsproxy_connect` would have failed, and `wsproxy_error` has its words. Then
 * the session is over (`wsproxy_pull_is_over`) as soon as its output is written, but for an upstream that was
 * asked by `wsproxy_pull_connect_upstream`. WSPROXY_ERR_ARGUMENT for NULL and another side; WSPROXY_ERR_STATE for a
 * session that is none of an event loop's.
 */
int wsproxy_pull_is_open(struct wsproxy *p, int side);

/**
 * The head of the upstream's answer to the handshake, from its status line to its empty line: of the 101, or of a
 * refusal. NULL if there was none.
 *
 * Its length goes to `len`. It belongs to the session and is good until the upstream is asked again or `wsproxy_free`.
 */
const void *wsproxy_pull_answer_head(const struct wsproxy *p, size_t *len);

/**
 * Whether to read from `side` now: 1 or 0. While it is 0 its bytes are to stay where they are, in its socket: the other
 * side does not take what it is sent, or a frame waits for its verdict. 0 also for NULL and another side.
 */
int wsproxy_pull_wants_input(const struct wsproxy *p, int side);

/**
 * Room to read bytes from `side` into; then `wsproxy_pull_filled` says how many came. NULL unless
 * `wsproxy_pull_wants_input`, and for NULL.
 *
 * Its size goes to `size`. It belongs to the session and is good until the next call with it.
 */
void *wsproxy_pull_room(struct wsproxy *p, int side, size_t *size);

/**
 * `count` bytes from `side` were read into the room that `wsproxy_pull_room` gave. Now frames may wait
 * (`wsproxy_pull_frame`).
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side, more than the room's size); WSPROXY_ERR_STATE (there
 * was no room, or the session is none of an event loop's).
 */
int wsproxy_pull_filled(struct wsproxy *p, int side, size_t count);

/**
 * Gives bytes from `side` that the host has read into memory of its own: all of them are taken. Instead of
 * `wsproxy_pull_room` and `wsproxy_pull_filled`, for a host that cannot read into foreign memory.
 *
 * `data` is copied; NULL if `len` is 0. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side);
 * WSPROXY_ERR_AGAIN unless `wsproxy_pull_wants_input`; WSPROXY_ERR_STATE for a session that is none of an event loop's.
 * After a failure nothing was taken.
 */
int wsproxy_pull_input(struct wsproxy *p, int side, const void *data, size_t len);

/**
 * The stream of `side` has ended, or its connection broke, or that of the upstream could not be made. It counts behind
 * the frames that came before it. The first call for a side counts.
 *
 * `how` completes "client: " or "upstream: " in the words of an error, UTF-8, `len` bytes; NULL stands for "closed the
 * connection". Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL session, another side, no UTF-8); WSPROXY_ERR_STATE for a
 * session that is none of an event loop's.
 */
int wsproxy_pull_input_ended(struct wsproxy *p, int side, const char *how, size_t len);

/**
 * What is to be written to `side` now, in order: fills at most `count` parts at `out`, and returns how many; 0 if
 * nothing waits. Three parts are always enough. What of it was written is told by `wsproxy_pull_wrote`.
 *
 * The bytes belong to the session, and are good until the next call with it. That next call is
 * `wsproxy_pull_wrote`, if any of them were written or copied: other calls may put more before what is left.
 * Returns WSPROXY_ERR_ARGUMENT for NULL and another side.
 */
int wsproxy_pull_output(const struct wsproxy *p, int side, struct wsproxy_bytes *out, size_t count);

/**
 * `count` bytes of the output for `side` were written, or taken over by something that will write them. Frames of the
 * host's own that waited for that are output now. As long as there is output nothing is to be read from the other side:
 * a host that goes on sending faster than `side` reads keeps the other side waiting.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, another side, more than waits); WSPROXY_ERR_STATE for a session that
 * is none of an event loop's. After a failure nothing was changed.
 */
int wsproxy_pull_wrote(struct wsproxy *p, int side, size_t count);

/**
 * The connection of `side` takes no more bytes: what waits for it is forgotten. What it has sent is still to be read to
 * its end.
 *
 * Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE for a session that is none of an event loop's.
 */
int wsproxy_pull_output_failed(struct wsproxy *p, int side);

/**
 * Whether our half of the connection of `side` is to be closed now, so that it sees the end of the stream while it is
 * still read: 1 or 0; 0 also for NULL and another side.
 */
int wsproxy_pull_wants_fin(const struct wsproxy *p, int side);

/**
 * Whether the closing handshake with `side` is over, so that only the end of its stream can still be waited for, which
 * the close timeout bounds: 1 or 0; 0 also for NULL and another side.
 */
int wsproxy_pull_is_closed(const struct wsproxy *p, int side);

/**
 * Tells the time, in milliseconds since any moment that does not change; once in each turn of the host's loop, before
 * its other calls. Does what is due, and what `wsproxy_stop`, `wsproxy_drain`, `wsproxy_abort` and `wsproxy_send` have
 * asked for, on whatever thread: whoever calls those on another one wakes the loop himself. Output may wait afterwards.
 * The first call comes before the handshakes begin, whose deadlines count from it.
 *
 * Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT (NULL, a negative time); WSPROXY_ERR_STATE for a session that was connected
 * by `wsproxy_connect` or one of its halves.
 */
int wsproxy_pull_tick(struct wsproxy *p, int64_t now_ms);

/**
 * The time at which `wsproxy_pull_tick` is to be called at the latest; -1 if there is none, and for NULL. It changes
 * with every other call.
 */
int64_t wsproxy_pull_deadline(const struct wsproxy *p);

/**
 * Whether the session is over: 1 or 0. Then the host writes what still waits as far as it goes at once, closes both
 * connections, and frees the session. 1 also for NULL and for a session that is none of an event loop's.
 */
int wsproxy_pull_is_over(const struct wsproxy *p);

/**
 * How the session went, once it is over: what `wsproxy_connect` or `wsproxy_execute` would have returned;
 * `wsproxy_error` has the words. WSPROXY_ERR_ARGUMENT for NULL; WSPROXY_ERR_STATE for a session that is none of an
 * event loop's.
 */
int wsproxy_pull_result(struct wsproxy *p);

/**
 * The frame from `side` that waits for its verdict, the same one until `wsproxy_pull_verdict`; NULL if none does, and
 * for NULL. To be asked when bytes of `side` were taken, when both handshakes are over, and after each write to the
 * other side.
 *
 * The struct is good until the frame's verdict, which may come at any time: meanwhile nothing is read from `side`, and
 * the other direction goes on.
 */
const struct wsproxy_frame *wsproxy_pull_frame(struct wsproxy *p, int side);

/**
 * Carries out the verdict on the frame from `side` that waits: WSPROXY_FORWARD, WSPROXY_DROP or WSPROXY_END; any other
 * number is a failed hook, and both sides get close 1011. Returns the next frame that waits, as `wsproxy_pull_frame`.
 * If none waits (any more) nothing happens. So one loop goes through all of them:
 * `for (f = wsproxy_pull_frame(p, side); f != NULL; f = wsproxy_pull_verdict(p, side, verdict_on(f)))`.
 */
const struct wsproxy_frame *wsproxy_pull_verdict(struct wsproxy *p, int side, int verdict);

/**
 * The verdict on the frame from `side` that waits is that the hook has failed: both sides get close 1011, and
 * `wsproxy_pull_result` is WSPROXY_ERR_HOOK with these words.
 *
 * `why` is copied: UTF-8, NULL if `len` is 0. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE (no frame
 * waits, or the session is none of an event loop's). After a failure nothing was changed.
 */
int wsproxy_pull_fail(struct wsproxy *p, int side, const char *why, size_t len);

/**
 * Forwards every frame from `side` unseen, as far as `wsproxy_pull_frame` would show them.
 *
 * Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT (NULL, another side), or WSPROXY_ERR_STATE for a session that is none of an
 * event loop's.
 */
int wsproxy_pull_pass(struct wsproxy *p, int side);

/**
 * Replaces the payload of the frame from `side` that waits; on a close frame its reason. Its struct then tells the new
 * one.
 *
 * Pointers and results are those of `wsproxy_frame_set_payload`; WSPROXY_ERR_STATE if no frame waits.
 */
int wsproxy_pull_set_payload(struct wsproxy *p, int side, const void *data, size_t len);

/**
 * Replaces the code of the close frame from `side` that waits. Results are those of `wsproxy_frame_set_code`;
 * WSPROXY_ERR_STATE if no frame waits.
 */
int wsproxy_pull_set_code(struct wsproxy *p, int side, int code);

/**
 * Says what WSPROXY_END, as verdict on the frame from `side` that waits, sends to `to` (or WSPROXY_BOTH); without it,
 * 1000 goes to both. Pointers and results are those of `wsproxy_frame_set_end`; WSPROXY_ERR_STATE if no frame waits.
 */
int wsproxy_pull_set_end(struct wsproxy *p, int side, int to, int code, const char *reason, size_t reason_len);

/**
 * Ends the session, whatever waits: each side that was not sent a close frame yet is sent one, and a frame that waits
 * for its verdict goes nowhere. Once both handshakes are over; before, `wsproxy_stop` does.
 *
 * Codes and reasons are those of `wsproxy_stop`, copied. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or
 * WSPROXY_ERR_STATE (not established, or none of an event loop's). After a failure nothing was changed.
 */
int wsproxy_pull_end(struct wsproxy *p,
                     int client_code,
                     const char *client_reason,
                     size_t client_reason_len,
                     int upstream_code,
                     const char *upstream_reason,
                     size_t upstream_reason_len);

/**
 * For a host to which every call is dear (a scripting language): `wsproxy_pull_tick`, `wsproxy_pull_input` and
 * `wsproxy_pull_frame` in one, for bytes that were read because `wsproxy_pull_wants_input` had said so: they are taken
 * even if something has come to wait for the other side since then, because of the time or of another thread. NULL also
 * if they were not taken: nothing that comes from `side` counts any more, or a frame of its waits.
 */
const struct wsproxy_frame *wsproxy_pull_read(struct wsproxy *p,
                                              int side,
                                              const void *data,
                                              size_t len,
                                              int64_t now_ms);

/**
 * For the same: what is to be done when the frames that came from `side` have their verdicts. Takes what waits for the
 * other side out of the session, as written (`wsproxy_pull_output`, `wsproxy_pull_wrote`), for a host that copies it
 * and writes it before it reads on; and says how the session stands.
 *
 * `out` is filled, up to `out_size`, which is `sizeof *out`; what of it points into the session is good until the next
 * call with it. Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for NULL, another side and size 0; WSPROXY_ERR_STATE for a
 * session that is none of an event loop's. Then nothing was written or taken.
 */
int wsproxy_pull_turn(struct wsproxy *p, int side, struct wsproxy_turn *out, size_t out_size);

/**
 * A new server, whose sessions have the settings that `config` has now; NULL means the defaults. It listens nowhere
 * yet.
 *
 * `config` is borrowed for the call. Returns a server that `wsproxy_server_free` frees; NULL only if the system has
 * no descriptor left or the library failed in itself. Any thread.
 */
struct wsproxy_server *wsproxy_server_new(const struct wsproxy_config *config);

/**
 * The upstream of every client that the handshake hook sends to no other: a URL as `wsproxy_connect` takes it.
 *
 * All setters of a server: strings are copied; they count for runs that begin later. They return WSPROXY_OK, or
 * WSPROXY_ERR_ARGUMENT for NULL and for values that they do not take: then nothing was changed. Any thread.
 */
int wsproxy_server_set_upstream(struct wsproxy_server *server, const char *url);

/**
 * How many sessions there may be at once, those in their handshakes included, at least 1. Whoever comes then is
 * answered 503. Default: any number. Counts at once, for those who come.
 */
int wsproxy_server_set_max_connections(struct wsproxy_server *server, uint64_t count);

/**
 * Has `on_open` called for each session before anything else; NULL for none.
 */
int wsproxy_server_set_on_open(struct wsproxy_server *server, wsproxy_on_open on_open);

/**
 * Has `on_handshake` asked about each client's request; NULL for none.
 */
int wsproxy_server_set_on_handshake(struct wsproxy_server *server, wsproxy_on_handshake on_handshake);

/**
 * Has `on_end` called for each session as the last thing; NULL for none.
 */
int wsproxy_server_set_on_end(struct wsproxy_server *server, wsproxy_on_end on_end);

/**
 * Listens on `address`: "HOST:PORT", an IPv6 address in brackets, port 0 for any that is free; or "unix:/path", a
 * socket that is removed at the end. May be called several times, before `wsproxy_server_run`; during a run it counts
 * for the next one, and who connects waits for that. Looking up a name blocks.
 *
 * Returns WSPROXY_OK (`wsproxy_server_address` tells where that is); WSPROXY_ERR_ARGUMENT for NULL and for what is
 * no address; WSPROXY_ERR_IO when it cannot be listened on. After a failure nothing was changed. Any thread.
 */
int wsproxy_server_listen(struct wsproxy_server *server, const char *address);

/**
 * Listens on a socket that listens already, handed down by a service manager for example.
 *
 * `fd` is duplicated: the host closes its own. The socket is set to non-blocking mode. Returns WSPROXY_OK, or
 * WSPROXY_ERR_ARGUMENT for NULL and for what is no listening stream socket. After a failure nothing was changed.
 */
int wsproxy_server_listen_fd(struct wsproxy_server *server, int fd);

/**
 * Where the server listens, or has listened, by the successful calls of `wsproxy_server_listen` and `_listen_fd`,
 * counted from 0: "127.0.0.1:8080", with the port that it really has, or "unix:/path". NULL beyond the last. Any
 * thread.
 *
 * The text belongs to the server and is good until `wsproxy_server_free`.
 */
const char *wsproxy_server_address(const struct wsproxy_server *server, size_t index);

/**
 * Accepts clients and serves each on a thread of its own, as `wsproxy_connect` and `wsproxy_execute` would, until
 * the server is drained and every session has ended. One at a time; the calling thread accepts, and no hook runs on
 * it.
 *
 * NULL for `on_frame` relays without a hook on frames. `userdata` is handed to every hook. The hooks and it are not
 * used after this has returned. Then the server listens nowhere, and may listen and run again.
 *
 * Returns WSPROXY_OK after a drain; WSPROXY_ERR_ARGUMENT (NULL, or clients that have to show certificates and speak
 * no TLS) and WSPROXY_ERR_STATE (it listens nowhere, has no upstream, or runs already): nothing was changed;
 * WSPROXY_ERR_IO when waiting or accepting fails: then all sessions
 * have been ended. What becomes of a single client is told to the end hook and to the log.
 */
int wsproxy_server_run(struct wsproxy_server *server, wsproxy_on_frame on_frame, void *userdata);

/**
 * Ends `wsproxy_server_run`: it stops accepting, lets handshakes under way finish, sends both sides of every session
 * a close frame with `code` between messages, and cuts off what is left when `timeout_ms` have passed; shortly
 * before that, sessions in the middle of a message get their close frames there.
 *
 * `code` is usually 1001 (going away); it is mapped as by `wsproxy_stop`. May be called again: the earliest deadline
 * counts, and the first code. Without a run in progress it counts for the next one. Only a hook that does not return
 * holds up the end.
 *
 * Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL and for values that cannot be taken. Never blocks. Any
 * thread, inside a hook too; and from a signal handler: with values that can be taken it uses nothing that is not
 * safe there, and leaves errno alone. The host sees to it that no handler runs once the server is freed.
 */
int wsproxy_server_drain(struct wsproxy_server *server, int code, int64_t timeout_ms);

/**
 * Counts what the server has done so far. Any thread, at any time.
 *
 * `out` is filled, up to `out_size`, which is `sizeof *out`: of a struct that is longer than this library's the rest
 * is set to 0. Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL and size 0; then nothing was written.
 */
int wsproxy_server_stats(const struct wsproxy_server *server, struct wsproxy_server_counters *out, size_t out_size);

/**
 * The words of the calling thread's last failed call with this server, or, if it had none, of the last failed call
 * of any thread: whose fault it was, a colon, what was wrong. "" if nothing failed; a fixed text for NULL; never
 * NULL.
 *
 * The text belongs to the server and is good until the calling thread's next call with this server. Any thread. What
 * became of a session is told by `wsproxy_error`, in the end hook.
 */
const char *wsproxy_server_error(const struct wsproxy_server *server);

/**
 * Frees a server and closes its listening sockets. NULL is allowed.
 *
 * A run in progress, on another thread or around the hook that this is called in, is drained with 1001 and no time
 * to spare; the memory goes when it returns. No new call with `server` is allowed afterwards, except inside the hook
 * that is running.
 */
void wsproxy_server_free(struct wsproxy_server *server);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WSPROXY_H */
