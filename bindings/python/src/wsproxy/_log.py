"""The library's log, line by line to Python's logger `wsproxy`.

Rule: levels are the logger's affair and may change at any time, so every line is taken, and most are dropped here.
There is a line per handshake and per end of a session, none per frame.
"""

from __future__ import annotations

import logging

from . import _abi
from ._library import lib

logger = logging.getLogger("wsproxy")

_LEVELS = {
    _abi.WSPROXY_LOG_ERROR: logging.ERROR,
    _abi.WSPROXY_LOG_WARN: logging.WARNING,
    _abi.WSPROXY_LOG_INFO: logging.INFO,
    _abi.WSPROXY_LOG_DEBUG: logging.DEBUG,
}


def _take(level: int, message: bytes, _userdata: object) -> None:
    number = _LEVELS.get(level, logging.DEBUG)
    if logger.isEnabledFor(number):
        logger.log(number, "%s", message.decode("utf-8", "replace"))


_callback = _abi.wsproxy_log_callback(_take)  # for as long as the process has this module


def attach() -> None:
    """Takes the log over. A process whose host in Rust has a logger of its own keeps that."""
    lib.wsproxy_log(_abi.WSPROXY_LOG_DEBUG, _callback, None)
