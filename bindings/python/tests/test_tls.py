"""TLS of the library, on both sides: who is believed, and who is refused."""

from __future__ import annotations

import socket
import ssl

import pytest

import wsproxy
from wsproxy import Fault

from peer import Peer, request


def test_a_connection_under_pythons_tls_cannot_be_handed_over(scenes, tls):
    left, right = socket.socketpair()
    with left, right:
        secured = tls.for_servers.wrap_socket(left, server_side=True, do_handshake_on_connect=False)
        with secured, pytest.raises(TypeError, match="client_certificate"):
            scenes().proxy.connect(secured, "ws://localhost")


def refuses_its_upstream(s, tls):
    """The session hangs up on an upstream with this certificate, and answers its client 502."""
    s.run()
    s.join_client().sock.sendall(request())
    sock, _ = s.listener.accept()
    with sock, pytest.raises((ssl.SSLError, OSError)):
        tls.for_servers.wrap_socket(sock, server_side=True).recv(1)
    assert s.client.rest().startswith(b"HTTP/1.1 502 ")


def test_an_upstream_that_nobody_vouches_for_is_refused(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_ca=None)
        refuses_its_upstream(s, tls)
        with pytest.raises((wsproxy.TLSError, wsproxy.Unreachable)) as caught:
            s.result()
        assert "certificate" in str(caught.value)


def test_verification_is_off_only_when_it_is_turned_off(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_ca=None, upstream_verify=False)
        s.start()
        s.close_normally()


def test_the_name_in_the_certificate_counts(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_server_name="localhost")
        s.url = s.url.replace("localhost", "127.0.0.1")
        s.start()
        s.close_normally()
        s = scenes(tls, front, upstream_server_name="other.example")
        refuses_its_upstream(s, tls)
        with pytest.raises(wsproxy.Error):
            s.result()


def test_certificates_may_be_given_as_bytes(scenes, tls):
    from pathlib import Path

    read = {name: Path(getattr(tls, name)).read_bytes() for name in ("ca", "cert", "key")}
    s = scenes(tls, upstream_ca=read["ca"], client_certificate=(read["cert"], read["key"]))
    s.start()
    s.close_normally()


def test_clients_may_have_to_show_a_certificate(scenes, tls):
    s = scenes(tls, client_ca=tls.ca)
    s.run()
    with pytest.raises((ssl.SSLError, OSError)):
        s.join_client().sock.recv(1)
    with pytest.raises(wsproxy.TLSError):
        s.result()
    s = scenes(tls, client_ca=tls.ca)
    tls.for_clients.load_cert_chain(tls.cert, tls.key)
    s.start()
    s.close_normally()


def test_a_client_that_speaks_no_tls_is_refused(scenes, tls):
    s = scenes(tls)
    s.run()
    peer = Peer(s._client_sock, is_client=True)
    peer.sock.sendall(request())
    with pytest.raises(wsproxy.TLSError) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT
