"""The C line: constants, structs, callbacks and prototypes of `wsproxy.h`; nothing else knows them.

Generated from include/wsproxy.h (WSPROXY_UPDATE=1 pytest tests/test_abi.py). Do not edit.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any

WSPROXY_OK = 0
WSPROXY_ERR_ARGUMENT = -1
WSPROXY_ERR_STATE = -2
WSPROXY_ERR_REQUEST = -3
WSPROXY_ERR_REFUSED = -4
WSPROXY_ERR_UNREACHABLE = -5
WSPROXY_ERR_TIMEOUT = -6
WSPROXY_ERR_PROTOCOL = -7
WSPROXY_ERR_LIMIT = -8
WSPROXY_ERR_GONE = -9
WSPROXY_ERR_HOOK = -10
WSPROXY_ERR_IO = -11
WSPROXY_ERR_AGAIN = -12
WSPROXY_ERR_UNSUPPORTED = -13
WSPROXY_ERR_STOPPED = -14
WSPROXY_ERR_INTERNAL = -15
WSPROXY_ERR_TLS = -16
WSPROXY_CLIENT = 1
WSPROXY_UPSTREAM = 2
WSPROXY_BOTH = 3
WSPROXY_CONTINUATION = 0
WSPROXY_TEXT = 1
WSPROXY_BINARY = 2
WSPROXY_CLOSE = 8
WSPROXY_PING = 9
WSPROXY_PONG = 10
WSPROXY_FORWARD = 1
WSPROXY_DROP = 2
WSPROXY_END = 3
WSPROXY_ACCEPT = 4
WSPROXY_REFUSE = 5
WSPROXY_SERIAL = 0
WSPROXY_CONCURRENT = 1
WSPROXY_CALLER = 2
WSPROXY_FAULT_NONE = 0
WSPROXY_FAULT_HOST = 1
WSPROXY_FAULT_CLIENT = 2
WSPROXY_FAULT_UPSTREAM = 3
WSPROXY_FAULT_SYSTEM = 4
WSPROXY_FORWARDED_NONE = 0
WSPROXY_FORWARDED_X = 1
WSPROXY_FORWARDED_RFC7239 = 2
WSPROXY_TLS_1_2 = 771
WSPROXY_TLS_1_3 = 772
WSPROXY_LOG_OFF = 0
WSPROXY_LOG_ERROR = 1
WSPROXY_LOG_WARN = 2
WSPROXY_LOG_INFO = 3
WSPROXY_LOG_DEBUG = 4
WSPROXY_LOG_TRACE = 5
WSPROXY_CLOSE_ABSENT = -1
WSPROXY_ABI = 0


class wsproxy_frame(Structure):
    _fields_ = [
        ("from", c_int32),
        ("kind", c_int32),
        ("fin", c_int32),
        ("code", c_int32),
        ("payload", c_void_p),
        ("payload_len", c_size_t),
    ]


class wsproxy_side_stats(Structure):
    _fields_ = [
        ("frames", c_uint64 * 16),
        ("bytes", c_uint64 * 16),
        ("dropped", c_uint64),
        ("replaced", c_uint64),
        ("sent_by_host", c_uint64),
        ("close_received", c_int32),
        ("close_sent", c_int32),
        ("closed_first", c_int32),
        ("reserved", c_int32),
    ]


class wsproxy_bytes(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("len", c_size_t),
    ]


class wsproxy_turn(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("len", c_size_t),
        ("more", c_int32),
        ("wants_input", c_int32),
        ("back", c_int32),
        ("closing", c_int32),
    ]


class wsproxy_server_counters(Structure):
    _fields_ = [
        ("accepted", c_uint64),
        ("active", c_uint64),
        ("refused", c_uint64),
        ("dropped", c_uint64),
        ("completed", c_uint64),
        ("failed", c_uint64),
    ]


wsproxy_log_callback = CFUNCTYPE(None, c_int, c_char_p, c_void_p)
wsproxy_on_handshake = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
wsproxy_on_frame = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
wsproxy_on_open = CFUNCTYPE(c_int, c_void_p, c_void_p)
wsproxy_on_end = CFUNCTYPE(None, c_void_p, c_int, c_void_p)

PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "wsproxy_version": (c_char_p, ()),
    "wsproxy_abi": (c_int, ()),
    "wsproxy_check_abi": (c_int, (c_int,)),
    "wsproxy_strerror": (c_char_p, (c_int,)),
    "wsproxy_side_name": (c_char_p, (c_int,)),
    "wsproxy_kind_name": (c_char_p, (c_int,)),
    "wsproxy_log": (c_int, (c_int, wsproxy_log_callback, c_void_p)),
    "wsproxy_config_new": (c_void_p, ()),
    "wsproxy_config_free": (None, (c_void_p,)),
    "wsproxy_config_error": (c_char_p, (c_void_p,)),
    "wsproxy_config_set_policy": (c_int, (c_void_p, c_int)),
    "wsproxy_config_set_aggregate": (c_int, (c_void_p, c_int, c_int)),
    "wsproxy_config_set_max_frame_size": (c_int, (c_void_p, c_int, c_uint64)),
    "wsproxy_config_set_max_message_size": (c_int, (c_void_p, c_int, c_uint64)),
    "wsproxy_config_set_max_fragments": (c_int, (c_void_p, c_int, c_uint64)),
    "wsproxy_config_set_explain_limits": (c_int, (c_void_p, c_int)),
    "wsproxy_config_set_check_utf8": (c_int, (c_void_p, c_int)),
    "wsproxy_config_set_connect_timeout": (c_int, (c_void_p, c_int64)),
    "wsproxy_config_set_idle_timeout": (c_int, (c_void_p, c_int64)),
    "wsproxy_config_set_write_timeout": (c_int, (c_void_p, c_int64)),
    "wsproxy_config_set_close_timeout": (c_int, (c_void_p, c_int64)),
    "wsproxy_config_set_keepalive_interval": (c_int, (c_void_p, c_int64)),
    "wsproxy_config_set_send_queue": (c_int, (c_void_p, c_uint64)),
    "wsproxy_config_set_thread_stack_size": (c_int, (c_void_p, c_uint64)),
    "wsproxy_config_set_pass_headers": (c_int, (c_void_p, c_int)),
    "wsproxy_config_add_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_config_set_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_config_remove_header": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_add_subprotocol": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_set_forwarded": (c_int, (c_void_p, c_int)),
    "wsproxy_config_set_http_proxy": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_add_origin": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_set_upstream_verify": (c_int, (c_void_p, c_int)),
    "wsproxy_config_add_upstream_ca": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_config_add_upstream_ca_file": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_set_upstream_server_name": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_set_upstream_certificate": (c_int, (c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)),
    "wsproxy_config_set_upstream_certificate_file": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_config_set_client_certificate": (c_int, (c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)),
    "wsproxy_config_set_client_certificate_file": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_config_add_client_ca": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_config_add_client_ca_file": (c_int, (c_void_p, c_char_p)),
    "wsproxy_config_set_min_tls_version": (c_int, (c_void_p, c_int, c_int)),
    "wsproxy_new": (c_void_p, (c_void_p,)),
    "wsproxy_set_client_head": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_set_client_upgraded": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_set_on_handshake": (c_int, (c_void_p, wsproxy_on_handshake, c_void_p)),
    "wsproxy_connect": (c_int, (c_void_p, c_int, c_char_p)),
    "wsproxy_connect_upstream": (c_int, (c_void_p, c_char_p)),
    "wsproxy_connect_client": (c_int, (c_void_p, c_int)),
    "wsproxy_execute": (c_int, (c_void_p, wsproxy_on_frame, c_void_p)),
    "wsproxy_stop": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    "wsproxy_drain": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    "wsproxy_abort": (c_int, (c_void_p,)),
    "wsproxy_set_userdata": (c_int, (c_void_p, c_void_p)),
    "wsproxy_userdata": (c_void_p, (c_void_p,)),
    "wsproxy_send": (c_int, (c_void_p, c_int, c_int, c_void_p, c_size_t)),
    "wsproxy_error": (c_char_p, (c_void_p,)),
    "wsproxy_error_fault": (c_int, (c_void_p,)),
    "wsproxy_http_status": (c_int, (c_void_p,)),
    "wsproxy_subprotocol": (c_char_p, (c_void_p,)),
    "wsproxy_free": (None, (c_void_p,)),
    "wsproxy_refusal_header_count": (c_size_t, (c_void_p,)),
    "wsproxy_refusal_header_name": (c_char_p, (c_void_p, c_size_t)),
    "wsproxy_refusal_header_value": (c_char_p, (c_void_p, c_size_t)),
    "wsproxy_handshake_method": (c_char_p, (c_void_p,)),
    "wsproxy_handshake_target": (c_char_p, (c_void_p,)),
    "wsproxy_handshake_host": (c_char_p, (c_void_p,)),
    "wsproxy_handshake_peer": (c_char_p, (c_void_p,)),
    "wsproxy_handshake_is_secure": (c_int, (c_void_p,)),
    "wsproxy_handshake_header": (c_char_p, (c_void_p, c_char_p)),
    "wsproxy_handshake_header_count": (c_size_t, (c_void_p,)),
    "wsproxy_handshake_header_name": (c_char_p, (c_void_p, c_size_t)),
    "wsproxy_handshake_header_value": (c_char_p, (c_void_p, c_size_t)),
    "wsproxy_handshake_set_url": (c_int, (c_void_p, c_char_p)),
    "wsproxy_handshake_set_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_handshake_add_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_handshake_remove_header": (c_int, (c_void_p, c_char_p)),
    "wsproxy_handshake_add_answer_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_handshake_refuse": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_frame_set_payload": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_frame_set_code": (c_int, (c_void_p, c_int)),
    "wsproxy_frame_set_end": (c_int, (c_void_p, c_int, c_int, c_char_p, c_size_t)),
    "wsproxy_stats": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_pull_connect": (c_int, (c_void_p, c_char_p)),
    "wsproxy_pull_connect_upstream": (c_int, (c_void_p, c_char_p)),
    "wsproxy_pull_connect_client": (c_int, (c_void_p,)),
    "wsproxy_pull_upstream_host": (c_char_p, (c_void_p,)),
    "wsproxy_pull_upstream_port": (c_int, (c_void_p,)),
    "wsproxy_pull_upstream_is_secure": (c_int, (c_void_p,)),
    "wsproxy_pull_set_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_pull_add_header": (c_int, (c_void_p, c_char_p, c_char_p)),
    "wsproxy_pull_remove_header": (c_int, (c_void_p, c_char_p)),
    "wsproxy_pull_add_subprotocol": (c_int, (c_void_p, c_char_p)),
    "wsproxy_pull_set_key": (c_int, (c_void_p, c_char_p)),
    "wsproxy_pull_forget_request": (c_int, (c_void_p,)),
    "wsproxy_pull_set_peer": (c_int, (c_void_p, c_char_p, c_int)),
    "wsproxy_pull_is_open": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_answer_head": (c_void_p, (c_void_p, c_void_p)),
    "wsproxy_pull_wants_input": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_room": (c_void_p, (c_void_p, c_int, c_void_p)),
    "wsproxy_pull_filled": (c_int, (c_void_p, c_int, c_size_t)),
    "wsproxy_pull_input": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_pull_input_ended": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    "wsproxy_pull_output": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_pull_wrote": (c_int, (c_void_p, c_int, c_size_t)),
    "wsproxy_pull_output_failed": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_wants_fin": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_is_closed": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_tick": (c_int, (c_void_p, c_int64)),
    "wsproxy_pull_deadline": (c_int64, (c_void_p,)),
    "wsproxy_pull_is_over": (c_int, (c_void_p,)),
    "wsproxy_pull_result": (c_int, (c_void_p,)),
    "wsproxy_pull_frame": (c_void_p, (c_void_p, c_int)),
    "wsproxy_pull_verdict": (c_void_p, (c_void_p, c_int, c_int)),
    "wsproxy_pull_fail": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    "wsproxy_pull_pass": (c_int, (c_void_p, c_int)),
    "wsproxy_pull_set_payload": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_pull_set_code": (c_int, (c_void_p, c_int, c_int)),
    "wsproxy_pull_set_end": (c_int, (c_void_p, c_int, c_int, c_int, c_char_p, c_size_t)),
    "wsproxy_pull_end": (c_int, (c_void_p, c_int, c_char_p, c_size_t, c_int, c_char_p, c_size_t)),
    "wsproxy_pull_read": (c_void_p, (c_void_p, c_int, c_void_p, c_size_t, c_int64)),
    "wsproxy_pull_turn": (c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    "wsproxy_server_new": (c_void_p, (c_void_p,)),
    "wsproxy_server_set_upstream": (c_int, (c_void_p, c_char_p)),
    "wsproxy_server_set_max_connections": (c_int, (c_void_p, c_uint64)),
    "wsproxy_server_set_on_open": (c_int, (c_void_p, wsproxy_on_open)),
    "wsproxy_server_set_on_handshake": (c_int, (c_void_p, wsproxy_on_handshake)),
    "wsproxy_server_set_on_end": (c_int, (c_void_p, wsproxy_on_end)),
    "wsproxy_server_listen": (c_int, (c_void_p, c_char_p)),
    "wsproxy_server_listen_fd": (c_int, (c_void_p, c_int)),
    "wsproxy_server_address": (c_char_p, (c_void_p, c_size_t)),
    "wsproxy_server_run": (c_int, (c_void_p, wsproxy_on_frame, c_void_p)),
    "wsproxy_server_drain": (c_int, (c_void_p, c_int, c_int64)),
    "wsproxy_server_stats": (c_int, (c_void_p, c_void_p, c_size_t)),
    "wsproxy_server_error": (c_char_p, (c_void_p,)),
    "wsproxy_server_free": (None, (c_void_p,)),
}
