"""TLS settings as Python's `ssl` has them, for the asyncio front, whose connections are asyncio's."""

from __future__ import annotations

import os
import ssl
from typing import Any, Mapping, Optional, Tuple

from ._config import PEM, Config
from ._errors import Unsupported
from ._frame import Side


def upstream_context(config: Config) -> ssl.SSLContext:
    """For `wss://` upstreams; made once per configuration, as many files are read for it."""
    kept: Optional[ssl.SSLContext] = vars(config).get("_upstream_context")
    if kept is None:
        kept = _make_upstream_context(config)
        vars(config)["_upstream_context"] = kept
    return kept


def _make_upstream_context(config: Config) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not config.upstream_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _trust(context, config.upstream_ca)
    _show(context, config.upstream_certificate)
    context.minimum_version = _lowest(config, Side.UPSTREAM)
    return context


def client_context(config: Config) -> Optional[ssl.SSLContext]:
    """For clients, if they are to speak TLS."""
    if config.client_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _show(context, config.client_certificate)
    if config.client_ca is not None:
        _trust(context, config.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = _lowest(config, Side.CLIENT)
    return context


def _trust(context: ssl.SSLContext, authorities: Optional[PEM]) -> None:
    if isinstance(authorities, bytes):
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    elif authorities is not None:
        context.load_verify_locations(cafile=authorities)


def _show(context: ssl.SSLContext, certificate: Optional[Tuple[PEM, PEM]]) -> None:
    if certificate is None:
        return
    chain, key = certificate
    if isinstance(chain, bytes) or isinstance(key, bytes):
        raise Unsupported("for asyncio a certificate and its key have to be files: Python's ssl reads no others")
    context.load_cert_chain(os.fspath(chain), os.fspath(key))


def _lowest(config: Config, side: Side) -> ssl.TLSVersion:
    lowest: Any = config.min_tls_version
    if isinstance(lowest, Mapping):
        lowest = lowest.get(side, lowest.get(side.value, ssl.TLSVersion.TLSv1_2))
    return ssl.TLSVersion(int(lowest))
