"""What can go wrong, as exceptions.

Rule: one class for each WSPROXY_ERR_ code; which one says what happened, `fault` whose fault it was, the text what
exactly. Texts hold no payload, cookie or credential.
"""

from __future__ import annotations

import enum
from typing import Callable, Dict, Optional, Tuple, Type

from . import _abi
from ._library import lib


class Fault(enum.Enum):
    """Whose fault a failure was."""

    NONE = _abi.WSPROXY_FAULT_NONE
    HOST = _abi.WSPROXY_FAULT_HOST
    CLIENT = _abi.WSPROXY_FAULT_CLIENT
    UPSTREAM = _abi.WSPROXY_FAULT_UPSTREAM
    SYSTEM = _abi.WSPROXY_FAULT_SYSTEM


class Error(Exception):
    """Whatever the library reports. All others are subclasses."""

    fault: Fault = Fault.HOST
    """Whose fault it was."""

    status: Optional[int] = None
    """The HTTP status that ended a handshake, if one did."""


class ArgumentError(Error, ValueError):
    """A value that cannot be taken. Nothing was changed."""


class StateError(Error, RuntimeError):
    """A call out of order. Nothing was changed."""


class HandshakeError(Error):
    """A handshake failed: the client has had its answer, and the connections are closed."""


class BadRequest(HandshakeError):
    """The client's request is no acceptable WebSocket handshake."""


class HandshakeRefused(HandshakeError):
    """The upstream answered with something other than a valid 101, or the handshake hook refused the client.

    `status` is the HTTP status of the refusal, `headers` its end-to-end header lines, in their order.
    """

    headers: Tuple[Tuple[str, str], ...] = ()


class Unreachable(HandshakeError, ConnectionError):
    """The upstream, or the HTTP proxy on the way to it, could not be reached."""


class TLSError(Error):
    """TLS failed: a certificate that cannot be trusted, a peer that speaks no TLS."""


class Timeout(Error, TimeoutError):
    """A deadline passed."""


class ProtocolError(Error):
    """A peer broke RFC 6455."""


class LimitExceeded(Error):
    """A peer went over a configured limit."""


class PeerGone(Error, ConnectionError):
    """A peer went away without a close frame."""


class HookError(Error):
    """A hook returned something that has no meaning, or that cannot be sent."""


class SystemFailure(Error):
    """The operating system refused something."""


class QueueFull(Error):
    """Too much waits for that side already. Try again later."""


class Unsupported(Error):
    """Something that this version of the library cannot do."""


class Stopped(HandshakeError):
    """`stop`, `abort` or `close` ended the handshake."""


class InternalError(Error):
    """A bug in the library."""


KINDS: Dict[int, Type[Error]] = {
    _abi.WSPROXY_ERR_ARGUMENT: ArgumentError,
    _abi.WSPROXY_ERR_STATE: StateError,
    _abi.WSPROXY_ERR_REQUEST: BadRequest,
    _abi.WSPROXY_ERR_REFUSED: HandshakeRefused,
    _abi.WSPROXY_ERR_UNREACHABLE: Unreachable,
    _abi.WSPROXY_ERR_TIMEOUT: Timeout,
    _abi.WSPROXY_ERR_PROTOCOL: ProtocolError,
    _abi.WSPROXY_ERR_LIMIT: LimitExceeded,
    _abi.WSPROXY_ERR_GONE: PeerGone,
    _abi.WSPROXY_ERR_HOOK: HookError,
    _abi.WSPROXY_ERR_IO: SystemFailure,
    _abi.WSPROXY_ERR_AGAIN: QueueFull,
    _abi.WSPROXY_ERR_UNSUPPORTED: Unsupported,
    _abi.WSPROXY_ERR_STOPPED: Stopped,
    _abi.WSPROXY_ERR_INTERNAL: InternalError,
    _abi.WSPROXY_ERR_TLS: TLSError,
}


def error_of(result: int, words: bytes) -> Error:
    """The exception for a result of the C line; `words` as the library puts them."""
    kind = KINDS.get(result, InternalError)
    text = words.decode("utf-8", "replace") or str(lib.wsproxy_strerror(result).decode())
    return kind(text)


def check(result: int, words: Callable[[], bytes]) -> None:
    """Raises what a call has refused."""
    if result != _abi.WSPROXY_OK:
        raise error_of(result, words())


def session_error(pointer: int, result: int) -> Error:
    """The exception for a call with a session, made on this thread."""
    error = error_of(result, lib.wsproxy_error(pointer))
    error.fault = Fault(lib.wsproxy_error_fault(pointer))
    error.status = lib.wsproxy_http_status(pointer) or None
    if isinstance(error, HandshakeRefused):
        error.headers = _refusal_headers(pointer)
    return error


def _refusal_headers(pointer: int) -> Tuple[Tuple[str, str], ...]:
    count = lib.wsproxy_refusal_header_count(pointer)
    name, value = lib.wsproxy_refusal_header_name, lib.wsproxy_refusal_header_value
    lines = ((name(pointer, index), value(pointer, index)) for index in range(count))
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in lines)
