"""Finds and loads `libwsproxy.so`, and refuses one that this package does not fit.

Rule: the environment variable WSPROXY_LIB names the library; without it, it is the one inside the package; without
that, the loader's. A `CDLL` lets go of the GIL for each call, and callbacks take it again.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from . import _abi

NAME = "libwsproxy.so.0"


def _place() -> str:
    named = os.environ.get("WSPROXY_LIB")
    if named:
        return named
    packaged = Path(__file__).with_name(NAME)
    return str(packaged) if packaged.exists() else NAME


def _load(place: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(place)
        check = library.wsproxy_check_abi
    except (OSError, AttributeError) as error:
        raise ImportError(f"no libwsproxy at {place}: {error}", name="wsproxy", path=place) from error
    if check(_abi.WSPROXY_ABI) != _abi.WSPROXY_OK:
        raise ImportError(f"{place} has another ABI than {_abi.WSPROXY_ABI}", name="wsproxy", path=place)
    for name, (result, arguments) in _abi.PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise ImportError(f"{place} is older than this package: {error}", name="wsproxy", path=place) from error
        function.restype = result
        function.argtypes = arguments
    return library


lib = _load(_place())
