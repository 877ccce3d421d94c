"""Every setting, by keyword.

Rules. The defaults are the library's own, but for two: hooks run on the thread that executes (`Policy.CALLER`), which
in Python is many times cheaper than anywhere else, and threads of the library have a stack that fits Python. Times are
in seconds. A setting that differs by side takes one value for both, or a mapping: `{"client": 1024}`.

Theory: a table says for each setting which calls of the C line it stands for.
"""

from __future__ import annotations

import enum
import math
import os
from dataclasses import dataclass, field
from functools import cache
from operator import index
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from . import _abi
from ._errors import ArgumentError
from ._frame import SIDE_NUMBERS, Side
from ._library import lib

T = TypeVar("T")
PerSide = Union[T, Mapping[Union[Side, str], T]]
"""One value for both sides, or one by side."""

File = Union[str, "os.PathLike[str]"]
PEM = Union[File, bytes]
"""A file, or what would be in it."""

STACK = 8 << 20
"""As much as Python's own threads have on Linux; what is not used takes no memory."""


class Policy(enum.Enum):
    """Where hooks run."""

    CALLER = _abi.WSPROXY_CALLER
    """On the thread that executes; in a server on the client's own."""
    SERIAL = _abi.WSPROXY_SERIAL
    """On two threads of the library, never two hooks of a session at once."""
    CONCURRENT = _abi.WSPROXY_CONCURRENT
    """On two threads of the library, both directions at once."""


class Forwarded(enum.Flag):
    """How the upstream is told of the client."""

    NONE = _abi.WSPROXY_FORWARDED_NONE
    X = _abi.WSPROXY_FORWARDED_X
    """`X-Forwarded-For`, `-Proto` and `-Host`."""
    RFC7239 = _abi.WSPROXY_FORWARDED_RFC7239
    """`Forwarded`."""


class TLSVersion(enum.IntEnum):
    """A version of TLS."""

    TLS_1_2 = _abi.WSPROXY_TLS_1_2
    TLS_1_3 = _abi.WSPROXY_TLS_1_3


@dataclass(frozen=True)
class Config:
    """Settings, shared by any number of sessions and threads. `None` stands for the library's default.

    Give them by keyword. `dataclasses.replace` makes a changed copy.
    """

    policy: Policy = Policy.CALLER
    """Where hooks run."""
    aggregate: PerSide[bool] = False
    """Whether fragments are joined, so that the hook sees whole messages."""
    max_frame_size: Optional[PerSide[int]] = None
    """The largest payload of a frame; 16 MiB by default. A larger one ends the session with 1009."""
    max_message_size: Optional[PerSide[int]] = None
    """The largest message, all fragments together; 64 MiB by default."""
    max_fragments: Optional[PerSide[int]] = None
    """The most fragments of a message; 1048576 by default."""
    check_utf8: bool = True
    """Whether text that is not UTF-8 ends the session with 1007."""
    connect_timeout: Optional[float] = None
    """For each of the handshakes; 10 s by default."""
    idle_timeout: Optional[float] = None
    """How long nothing may cross; 120 s by default, 0 is for ever."""
    write_timeout: Optional[float] = None
    """How long a peer may take nothing of what is sent to it; 30 s by default, 0 is for ever."""
    close_timeout: Optional[float] = None
    """For the closing handshake; 10 s by default."""
    keepalive_interval: Optional[float] = None
    """How often the library pings each peer by itself; 0, never, by default."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Set in the request that goes upstream, in place of any of the same name from the client."""
    add_headers: Sequence[Tuple[str, str]] = field(default=(), repr=False)
    """Added to it, beside any of the same name."""
    remove_headers: Sequence[str] = ()
    """Headers of the client's that do not go upstream."""
    subprotocols: Sequence[str] = ()
    """Offered upstream when there is no client's request to take them from."""
    forwarded: Forwarded = Forwarded.NONE
    """How the upstream is told of the client."""
    http_proxy: Optional[str] = field(default=None, repr=False)
    """The HTTP proxy on the way to upstreams: `http://[user:password@]host[:port]`."""
    origins: Sequence[str] = ()
    """The origins that clients may come from; every one by default."""
    send_queue: Optional[int] = None
    """How many bytes of frames given to `send` may wait for one side; 1 MiB by default."""
    thread_stack_size: int = STACK
    """Of the threads that the library starts."""
    upstream_verify: bool = True
    """Whether certificates of `wss://` upstreams are verified."""
    upstream_ca: Optional[PEM] = field(default=None, repr=False)
    """Authorities to trust for them, besides the system's."""
    upstream_server_name: Optional[str] = None
    """The name to ask `wss://` upstreams for and to look for in their certificates, instead of the URL's host."""
    upstream_certificate: Optional[Tuple[PEM, PEM]] = field(default=None, repr=False)
    """The certificate, with its chain, and the key that such upstreams are shown."""
    client_certificate: Optional[Tuple[PEM, PEM]] = field(default=None, repr=False)
    """Clients speak TLS, and are shown this certificate, with its chain; and its key."""
    client_ca: Optional[PEM] = field(default=None, repr=False)
    """Clients that speak TLS have to show a certificate of these authorities."""
    min_tls_version: PerSide[TLSVersion] = TLSVersion.TLS_1_2
    """The lowest version of TLS that is spoken."""

    _pointer: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pointer", lib.wsproxy_config_new())
        for name, calls in _CALLS.items():
            value = getattr(self, name)
            if value is None:
                continue
            for function, *arguments in calls(value):
                if function(self._pointer, *arguments) != _abi.WSPROXY_OK:
                    words = lib.wsproxy_config_error(self._pointer).decode("utf-8", "replace")
                    raise ArgumentError(f"{name}: {words}")

    def __del__(self, free: Callable[[int], None] = lib.wsproxy_config_free) -> None:
        free(getattr(self, "_pointer", 0))


@cache
def default() -> Config:
    """The one that stands for none: what TLS needs is set up with a configuration, once."""
    return Config()


Call = Tuple[Any, ...]
Calls = Callable[[Any], Iterator[Call]]


def count(number: Any) -> int:
    """A number of things; ctypes would make an enormous one of a negative one without a word."""
    if not 0 <= index(number) < 1 << 63:
        raise ArgumentError(f"{number} is no size or count")
    return int(number)


def _plain(function: Any, convert: Callable[[Any], Any] = count) -> Calls:
    def calls(value: Any) -> Iterator[Call]:
        yield function, convert(value)

    return calls


def _per_side(function: Any) -> Calls:
    def calls(value: Any) -> Iterator[Call]:
        if not isinstance(value, Mapping):
            yield function, _abi.WSPROXY_BOTH, count(value)
            return
        for side, one in value.items():
            yield function, SIDE_NUMBERS[Side(side)], count(one)

    return calls


def _each(function: Any) -> Calls:
    def calls(values: Any) -> Iterator[Call]:
        if isinstance(values, str):
            raise TypeError("a sequence of words is needed, not one word")
        for value in values.items() if isinstance(values, Mapping) else values:
            words = (value,) if isinstance(value, str) else value
            yield (function, *(_text(word) for word in words))

    return calls


def _pem(from_bytes: Any, from_file: Any) -> Calls:
    """One PEM or several, all of them files or all of them bytes."""

    def calls(value: Any) -> Iterator[Call]:
        parts = value if isinstance(value, tuple) else (value,)
        if all(isinstance(part, bytes) for part in parts):
            yield (from_bytes, *(word for part in parts for word in (part, len(part))))
        else:
            yield (from_file, *(os.fsencode(part) for part in parts))

    return calls


def _text(word: str) -> bytes:
    if "\0" in word:
        raise ValueError("a NUL cannot stand in a setting")
    return word.encode()


def milliseconds(seconds: float) -> int:
    """Rounded up, so that no time becomes none."""
    return count(math.ceil(seconds * 1000))


_CALLS: Dict[str, Calls] = {
    "policy": _plain(lib.wsproxy_config_set_policy, lambda policy: Policy(policy).value),
    "aggregate": _per_side(lib.wsproxy_config_set_aggregate),
    "max_frame_size": _per_side(lib.wsproxy_config_set_max_frame_size),
    "max_message_size": _per_side(lib.wsproxy_config_set_max_message_size),
    "max_fragments": _per_side(lib.wsproxy_config_set_max_fragments),
    "check_utf8": _plain(lib.wsproxy_config_set_check_utf8),
    "connect_timeout": _plain(lib.wsproxy_config_set_connect_timeout, milliseconds),
    "idle_timeout": _plain(lib.wsproxy_config_set_idle_timeout, milliseconds),
    "write_timeout": _plain(lib.wsproxy_config_set_write_timeout, milliseconds),
    "close_timeout": _plain(lib.wsproxy_config_set_close_timeout, milliseconds),
    "keepalive_interval": _plain(lib.wsproxy_config_set_keepalive_interval, milliseconds),
    "headers": _each(lib.wsproxy_config_set_header),
    "add_headers": _each(lib.wsproxy_config_add_header),
    "remove_headers": _each(lib.wsproxy_config_remove_header),
    "subprotocols": _each(lib.wsproxy_config_add_subprotocol),
    "forwarded": _plain(lib.wsproxy_config_set_forwarded, lambda forwarded: Forwarded(forwarded).value),
    "http_proxy": _plain(lib.wsproxy_config_set_http_proxy, _text),
    "origins": _each(lib.wsproxy_config_add_origin),
    "send_queue": _plain(lib.wsproxy_config_set_send_queue),
    "thread_stack_size": _plain(lib.wsproxy_config_set_thread_stack_size),
    "upstream_verify": _plain(lib.wsproxy_config_set_upstream_verify),
    "upstream_ca": _pem(lib.wsproxy_config_add_upstream_ca, lib.wsproxy_config_add_upstream_ca_file),
    "upstream_server_name": _plain(lib.wsproxy_config_set_upstream_server_name, _text),
    "upstream_certificate": _pem(
        lib.wsproxy_config_set_upstream_certificate, lib.wsproxy_config_set_upstream_certificate_file
    ),
    "client_certificate": _pem(
        lib.wsproxy_config_set_client_certificate, lib.wsproxy_config_set_client_certificate_file
    ),
    "client_ca": _pem(lib.wsproxy_config_add_client_ca, lib.wsproxy_config_add_client_ca_file),
    "min_tls_version": _per_side(lib.wsproxy_config_set_min_tls_version),
}
