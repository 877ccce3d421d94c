"""A client, a proxy on a thread of its own, and an upstream, each on real sockets; plain, or under TLS on both legs."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from typing import Any, Callable, Dict, List, Optional

import wsproxy
import wsproxy.aio

from peer import LONG, Peer, accept, request, wrapped


class Tls:
    """An authority, a certificate for localhost, and contexts that use them."""

    def __init__(self, folder: Any) -> None:
        import trustme

        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.authority = authority
        self.ca = str(folder / "ca.pem")
        self.cert = str(folder / "cert.pem")
        self.key = str(folder / "key.pem")
        authority.cert_pem.write_to_path(self.ca)
        for index, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(self.cert, append=index > 0)
        issued.private_key_pem.write_to_path(self.key)
        self.for_clients = ssl.create_default_context(cafile=self.ca)
        self.for_servers = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.for_servers.load_cert_chain(self.cert, self.key)

    @property
    def settings(self) -> dict[str, Any]:
        """For a proxy between such a client and such an upstream."""
        return {"upstream_ca": self.ca, "client_certificate": (self.cert, self.key)}


def shared_config(**settings: Any) -> wsproxy.Config:
    """One for all scenes with the same settings: what TLS needs is read once."""
    key = repr(sorted(settings.items()))
    if key not in _configs:
        _configs[key] = wsproxy.Config(**settings)
    return _configs[key]


_configs: Dict[str, wsproxy.Config] = {}


class Outcome:
    """What a call on another thread came to."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._error: Optional[BaseException] = None
        self._value: Any = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    @property
    def thread(self) -> int:
        ident = self._thread.ident
        assert ident is not None
        return ident

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def get(self) -> Any:
        """Its value, or what it has raised."""
        self._thread.join(LONG)
        assert self.is_over, "the call does not return"
        if self._error is not None:
            raise self._error
        return self._value


class Scene:
    """One session, set up step by step; `start` does all of them."""

    def __init__(self, tls: Optional[Tls] = None, front: str = "threads", **settings: Any) -> None:
        self.tls = tls
        settings = {"close_timeout": 2, **(tls.settings if tls else {}), **settings}
        config = shared_config(**settings)
        self.is_async = front == "asyncio"
        self.proxy: Any = wsproxy.aio.Proxy(config) if self.is_async else wsproxy.Proxy(config)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LONG)
        scheme = "ws" if tls is None else "wss"
        self.url = f"{scheme}://localhost:{self.listener.getsockname()[1]}"
        front = socket.create_server(("127.0.0.1", 0))
        self._client_sock = socket.create_connection(front.getsockname())
        self.client_end, _ = front.accept()
        front.close()
        self.outcome: Outcome
        self.client: Peer
        self.upstream: Peer
        self.request_head = ""
        self.answer_head = ""

    def run(self, on_frame: Optional[Any] = None, **connect: Any) -> None:
        """`connect` and `execute`, or the same for asyncio, on a thread of their own."""

        def run() -> None:
            if self.is_async:
                return asyncio.run(self._execute(on_frame, **connect))
            self.proxy.connect(self.client_end, self.url, **connect)
            self.client_end.close()
            self.proxy.execute(on_frame)

        self.outcome = Outcome(run)

    async def _execute(self, on_frame: Any, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self.tls.for_servers if self.tls else None
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, self.client_end, ssl=context)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await self.proxy.execute(reader, writer, self.url, on_frame, **options)

    def join_client(self) -> Peer:
        context = self.tls.for_clients if self.tls else None
        sock = wrapped(self._client_sock, context, **({"server_hostname": "localhost"} if context else {}))
        self.client = Peer(sock, is_client=True)
        return self.client

    def join_upstream(self, **headers: str) -> Peer:
        self.request_head = self.meet_upstream().read_head()
        self.upstream.sock.sendall(accept(self.request_head, **headers))
        return self.upstream

    def meet_upstream(self) -> Peer:
        sock, _ = self.listener.accept()
        context = self.tls.for_servers if self.tls else None
        self.upstream = Peer(wrapped(sock, context, **({"server_side": True} if context else {})), is_client=False)
        return self.upstream

    def start(self, on_frame: Optional[Any] = None, **connect: Any) -> Scene:
        """A session with both ends connected."""
        self.run(on_frame, **connect)
        self.join_client().sock.sendall(request())
        self.join_upstream()
        self.answer_head = self.client.read_head()
        assert " 101 " in self.answer_head, self.answer_head
        return self

    def exchange(self) -> None:
        """A pong each way: the session is under way, and frames of the program's own are taken."""
        self.client.send(10, b"1")
        self.upstream.hear()
        self.upstream.send(10, b"1")
        self.client.hear()

    def result(self) -> Any:
        """What `execute` came to."""
        return self.outcome.get()

    def close_normally(self) -> None:
        """Both ends close in good order, and so does the session."""
        self.client.send_close(1000)
        assert self.upstream.answer_close() == (1000, "")
        self.upstream.close()  # a server closes first (RFC 6455 section 7.1.1)
        assert self.client.hear_close() == (1000, "")
        self.result()

    def close(self) -> None:
        if not self.is_async:
            self.proxy.close()
        for name in ("client", "upstream"):
            peer = getattr(self, name, None)
            if peer is not None:
                peer.close()
        for sock in (self._client_sock, self.client_end, self.listener):
            sock.close()


def collecting(seen: List[Any], fate: Callable[[Any], Any] = lambda frame: None) -> Callable[[Any], Any]:
    """A hook that keeps what it sees."""

    def on_frame(frame: Any) -> Any:
        seen.append((frame.side.value, frame.kind.value, frame.fin, frame.payload))
        return fate(frame)

    return on_frame
