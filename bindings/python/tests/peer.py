"""A WebSocket peer that speaks frame by frame, legally or not, over a socket that is open already.

Rules: it blocks, but never for longer than `LONG`; what it hears is checked to be legal for a peer of its side.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
from typing import Any, NamedTuple, Optional, Union

LONG = 20.0
"""Seconds in which something that has to happen happens, however busy the machine is."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Heard(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True


class Ended(Exception):
    """The connection is over."""


def frame(opcode: int, payload: bytes = b"", fin: bool = True, mask: Optional[bytes] = None, rsv: int = 0) -> bytes:
    """One frame (RFC 6455 section 5.2)."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = bytes([first, masked | len(payload)])
    elif len(payload) < 1 << 16:
        head = bytes([first, masked | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + len(payload).to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + applied(mask, payload)


def applied(mask: bytes, payload: bytes) -> bytes:
    long = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long, "big")).to_bytes(len(payload), "big")


class Peer:
    """One end of a session."""

    def __init__(self, sock: socket.socket, is_client: bool) -> None:
        self.sock = sock
        self.is_client = is_client
        sock.settimeout(LONG)
        self._buffer = b""

    def send(self, opcode: int, payload: Union[bytes, str] = b"", fin: bool = True) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self.sock.sendall(frame(opcode, data, fin, os.urandom(4) if self.is_client else None))

    def send_text(self, text: str) -> None:
        self.send(TEXT, text)

    def send_close(self, code: Optional[int] = None, reason: str = "") -> None:
        self.send(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())

    def hear(self) -> Heard:
        """The next frame."""
        first, second = self._take(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        # Masked exactly if it comes from a client (RFC 6455 section 5.1): through us, from the proxy's client side.
        assert bool(second & 0x80) is not self.is_client, "a frame is masked as it must not be"
        mask = self._take(4) if second & 0x80 else None
        payload = self._take(size)
        assert not first & 0x70, "reserved bits"
        return Heard(first & 0x0F, payload if mask is None else applied(mask, payload), bool(first & 0x80))

    def hear_text(self) -> str:
        heard = self.hear()
        assert heard.opcode == TEXT and heard.fin, heard
        return heard.payload.decode()

    def hear_close(self) -> tuple[Optional[int], str]:
        heard = self.hear()
        assert heard.opcode == CLOSE, heard
        if not heard.payload:
            return None, ""
        return int.from_bytes(heard.payload[:2], "big"), heard.payload[2:].decode()

    def hear_end(self) -> None:
        """Nothing more comes."""
        try:
            rest = self._buffer + self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            rest = b""
        assert rest == b"", rest

    def answer_close(self) -> tuple[Optional[int], str]:
        """Hears a close and answers it in kind."""
        code, reason = self.hear_close()
        self.send_close(code)
        return code, reason

    def close(self) -> None:
        self.sock.close()

    def __del__(self) -> None:
        self.sock.close()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            more = self.sock.recv(max(65536, size))
            if not more:
                raise Ended
            self._buffer += more
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def read_head(self) -> str:
        """An HTTP head; what comes after it stays for `hear`."""
        while b"\r\n\r\n" not in self._buffer:
            more = self.sock.recv(65536)
            if not more:
                raise Ended
            self._buffer += more
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def rest(self) -> bytes:
        """Everything until the end; then this end closes too, for which the proxy waits a while."""
        parts = [self._buffer]
        while parts[-1] or len(parts) == 1:
            parts.append(self.sock.recv(65536))
        self.close()
        return b"".join(parts)


def request(target: str = "/chat?x=1", **headers: str) -> bytes:
    """A client's handshake."""
    lines = [f"GET {target} HTTP/1.1", "Host: proxy.example", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def accept(head: str, **headers: str) -> bytes:
    """An upstream's answer to a request."""
    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    token = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def header(head: str, name: str) -> Optional[str]:
    """The first header of that name."""
    for line in head.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    return None


def wrapped(sock: Any, context: Optional[ssl.SSLContext], **options: Any) -> Any:
    """Under TLS, if there is any."""
    sock.settimeout(LONG)
    return sock if context is None else context.wrap_socket(sock, **options)
