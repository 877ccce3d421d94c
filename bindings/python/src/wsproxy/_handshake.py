"""The hook on handshakes: what it sees of a client's request, and what it may answer.

The rule is that of frames: **what the hook returns is what becomes of the client**: `None` lets it go on, a `Refuse`
is its answer. What goes upstream is changed by the methods of the handshake.
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Tuple, Union

from . import _abi
from ._errors import HookError, StateError
from ._hooks import Fail, not_async
from ._library import lib


class Refuse(NamedTuple):
    """Returned by a handshake hook: the client is answered this, and no upstream is asked."""

    status: int = 403
    """300 to 599."""
    body: Union[bytes, str] = b""
    """Plain text, unless a header says what else."""
    headers: Tuple[Tuple[str, str], ...] = ()


class Handshake:
    """A client's request, lent to the handshake hook until that returns.

    Header values are decoded as Latin-1, as WSGI does, since they may hold any byte.
    """

    __slots__ = ("session", "_pointer", "_address")

    def __init__(self, session: Any, pointer: int, address: int) -> None:
        self.session = session
        """The session that it is to become."""
        self._pointer = pointer
        self._address: Optional[int] = address

    @property
    def target(self) -> str:
        """The path and query that the client asked for."""
        return str(self._text(lib.wsproxy_handshake_target))

    @property
    def host(self) -> str:
        """The value of the header Host."""
        return str(self._text(lib.wsproxy_handshake_host))

    @property
    def peer(self) -> Optional[str]:
        """The client's address; `None` if its connection has none."""
        return self._text(lib.wsproxy_handshake_peer)

    @property
    def secure(self) -> bool:
        """Whether the client came over TLS."""
        return bool(lib.wsproxy_handshake_is_secure(self._lent()) == 1)

    @property
    def headers(self) -> List[Tuple[str, str]]:
        """The header lines, in the client's order and spelling."""
        count = lib.wsproxy_handshake_header_count(self._lent())
        name, value = lib.wsproxy_handshake_header_name, lib.wsproxy_handshake_header_value
        return [(str(self._text(name, index)), str(self._text(value, index))) for index in range(count)]

    def header(self, name: str) -> Optional[str]:
        """The value of the first header of this name, in whatever case."""
        return self._text(lib.wsproxy_handshake_header, name.encode("latin-1"))

    def set_upstream(self, url: str) -> None:
        """Connects this client to another upstream than the one that was named."""
        self._change(lib.wsproxy_handshake_set_url, url)

    def set_header(self, name: str, value: str) -> None:
        """Sets a header of the request that goes upstream, in place of any of the same name."""
        self._change(lib.wsproxy_handshake_set_header, name, value)

    def add_header(self, name: str, value: str) -> None:
        """Adds a header to the request that goes upstream, beside any of the same name."""
        self._change(lib.wsproxy_handshake_add_header, name, value)

    def remove_header(self, name: str) -> None:
        """Keeps a header of the client's from going upstream."""
        self._change(lib.wsproxy_handshake_remove_header, name)

    def add_answer_header(self, name: str, value: str) -> None:
        """Adds a header to whatever the client is answered."""
        self._change(lib.wsproxy_handshake_add_answer_header, name, value)

    def __repr__(self) -> str:
        return f"<handshake of {self.peer if self._address else 'a client'}>"

    def _lent(self) -> int:
        if self._address is None:
            raise ReferenceError("the handshake is gone with the hook that it was lent to")
        return self._address

    def _text(self, question: Any, *arguments: Any) -> Optional[str]:
        text: Optional[bytes] = question(self._lent(), *arguments)
        return None if text is None else text.decode("latin-1")

    def _change(self, function: Any, *words: str) -> None:
        result = function(self._lent(), *(word.encode("latin-1") for word in words))
        if result != _abi.WSPROXY_OK:
            text = lib.wsproxy_error(self._pointer).decode("utf-8", "replace")
            raise StateError(text) if result == _abi.WSPROXY_ERR_STATE else HookError(text)

    def _refuse(self, refusal: Refuse) -> int:
        for name, value in refusal.headers:
            self.add_answer_header(name, value)
        body = refusal.body.encode() if isinstance(refusal.body, str) else refusal.body
        answer: int = lib.wsproxy_handshake_refuse(self._lent(), refusal.status, body, len(body))
        if answer != _abi.WSPROXY_REFUSE:
            raise HookError(lib.wsproxy_error(self._pointer).decode("utf-8", "replace"))
        return answer


OnHandshake = Callable[[Handshake], Optional[Refuse]]
"""A hook on handshakes."""


def handshake_callback(hook: Optional[OnHandshake], sessions: Mapping[int, Any], fail: Fail) -> Any:
    """The C function for `hook`; `sessions` says which session a pointer is."""
    if hook is None:
        return _abi.wsproxy_on_handshake()
    not_async(hook)

    def on_handshake(pointer: int, address: int, _userdata: object) -> int:
        session = sessions[pointer]
        handshake = Handshake(session, pointer, address)
        try:
            answer = hook(handshake)
            if answer is None:
                return _abi.WSPROXY_ACCEPT
            if isinstance(answer, Refuse):
                return handshake._refuse(answer)
            raise HookError(f"the hook returned an object of type {type(answer).__name__}, not None or a Refuse")
        except BaseException as error:
            fail(session, error)
            return 0
        finally:
            handshake._address = None

    return _abi.wsproxy_on_handshake(on_handshake)
