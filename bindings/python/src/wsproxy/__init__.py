"""An embeddable reverse proxy for WebSocket frames.

A client's connection and the URL of an upstream go in; both handshakes are made, and frames are relayed both ways.
Each is shown to a hook, and what the hook returns is what becomes of it.

    import wsproxy

    def on_frame(frame):
        print(frame.kind, "from the", frame.side, len(frame))
        return wsproxy.DROP if frame.kind == "binary" else None

    wsproxy.serve("127.0.0.1:9000", "wss://upstream.example/", on_frame)

`serve` and `Server` accept clients; `Proxy` is one session for programs that accept them themselves; `wsproxy.aio` is
for asyncio. `python -m wsproxy` shows frames as they cross.
"""

from . import _lifetime as _lifetime
from ._config import Config, Forwarded, Policy, TLSVersion
from ._errors import (
    ArgumentError,
    BadRequest,
    Error,
    Fault,
    HandshakeError,
    HandshakeRefused,
    HookError,
    InternalError,
    LimitExceeded,
    PeerGone,
    ProtocolError,
    QueueFull,
    StateError,
    Stopped,
    SystemFailure,
    Timeout,
    TLSError,
    Unreachable,
    Unsupported,
)
from ._frame import DROP, Close, Ends, Fate, Frame, Kind, Side
from ._handshake import Handshake, Refuse
from ._library import lib as _lib
from ._log import attach as _attach
from ._proxy import Proxy
from ._server import Server, serve
from ._session import Session
from ._stats import ServerStats, SideStats, Stats

__all__ = [
    "DROP",
    "ArgumentError",
    "BadRequest",
    "Close",
    "Config",
    "Ends",
    "Error",
    "Fate",
    "Fault",
    "Forwarded",
    "Frame",
    "Handshake",
    "HandshakeError",
    "HandshakeRefused",
    "HookError",
    "InternalError",
    "Kind",
    "LimitExceeded",
    "PeerGone",
    "Policy",
    "ProtocolError",
    "Proxy",
    "QueueFull",
    "Refuse",
    "Server",
    "ServerStats",
    "Session",
    "Side",
    "SideStats",
    "StateError",
    "Stats",
    "Stopped",
    "SystemFailure",
    "TLSError",
    "TLSVersion",
    "Timeout",
    "Unreachable",
    "Unsupported",
    "serve",
]

__version__: str = _lib.wsproxy_version().decode()

_attach()
