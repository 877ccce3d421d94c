"""`python -m wsproxy`: a proxy with a live view of the frames, and with a hook from a module, if wanted."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from typing import Any, List, Optional

from . import Config, Error, Server, __version__
from ._hooks import OnFrame, not_async
from ._view import FAILED, Lines, Objects, View, fate_in_words


def parser() -> argparse.ArgumentParser:
    """The flags; they are named as those of the C host."""
    flags = argparse.ArgumentParser(prog="python -m wsproxy", description="A WebSocket proxy that shows frames.")
    add = flags.add_argument
    add("--listen", metavar="HOST:PORT", required=True, action="append", help="where clients connect; or unix:PATH")
    add("--upstream", metavar="URL", required=True, help="ws://host[:port][/path], wss://… or ws+unix:/socket")
    add("--print", dest="lines", action="store_true", help="show a line per frame, coloured on a terminal")
    add("--json", dest="objects", action="store_true", help="show a JSON object per frame, with whole payloads")
    add("--hook", metavar="MODULE:FUNCTION", help="the hook on frames")
    add("--aggregate", action="store_true", help="show and forward whole messages instead of fragments")
    add("--tls-cert", metavar="FILE", help="clients speak TLS: the certificate with its chain (PEM)")
    add("--tls-key", metavar="FILE", help="its key (PEM)")
    add("--tls-ca", metavar="FILE", help="trust these authorities for wss:// too, besides the system's")
    add("--origin", metavar="ORIGIN", action="append", default=[], help="let only pages of this origin connect")
    add("--max-connections", metavar="N", type=int, help="sessions at once; whoever comes then is answered 503")
    add("--drain-timeout", metavar="SECONDS", type=float, default=10.0, help="how long sessions may take to end")
    add("--verbose", action="store_true", help="log handshakes and ends of sessions to stderr")
    add("--version", action="version", version=f"wsproxy {__version__}")
    return flags


def load_hook(name: str) -> OnFrame:
    """The function that `MODULE:FUNCTION` names; the current folder counts."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, _, function = name.partition(":")
    hook: Any = importlib.import_module(module)
    for part in function.split("."):
        hook = getattr(hook, part)
    if not callable(hook):
        raise TypeError(f"{name} is not callable")
    not_async(hook)
    found: OnFrame = hook
    return found


def shown(hook: Optional[OnFrame], view: View) -> OnFrame:
    """A hook that shows what `hook` makes of each frame."""

    def on_frame(frame: Any) -> Any:
        try:
            fate = None if hook is None else hook(frame)
        except BaseException:
            view.frame(frame, FAILED)
            raise
        view.frame(frame, fate_in_words(frame, fate))
        return fate

    return on_frame


def build(options: argparse.Namespace, hook: Optional[OnFrame], view: Optional[View]) -> Server:
    """The server that the flags describe."""
    config = Config(
        aggregate=options.aggregate,
        origins=options.origin,
        upstream_ca=options.tls_ca,
        client_certificate=(options.tls_cert, options.tls_key) if options.tls_cert else None,
    )
    return Server(
        options.upstream,
        hook if view is None else shown(hook, view),
        listen=options.listen,
        config=config,
        on_open=None if view is None else view.opened,
        on_end=None if view is None else view.ended,
        max_connections=options.max_connections,
    )


def drain_on_signals(server: Server, seconds: float) -> None:
    """The first signal drains, the second one cuts off what is left."""
    patience: List[float] = [seconds]

    def on_signal(number: int, _frame: object) -> None:
        server.drain(timeout=patience.pop() if patience else 0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def main(arguments: Optional[List[str]] = None) -> int:
    """The command; its status."""
    flags = parser()
    options = flags.parse_args(arguments)
    if bool(options.tls_cert) != bool(options.tls_key):
        flags.error("--tls-cert and --tls-key go together")
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(message)s")
    view = Objects() if options.objects else Lines() if options.lines else None
    try:
        server = build(options, load_hook(options.hook) if options.hook else None, view)
    except (Error, ImportError, AttributeError, TypeError, ValueError) as error:
        flags.error(str(error))
    drain_on_signals(server, options.drain_timeout)
    view = view or Lines()
    view.on_gone = lambda: server.drain(timeout=0)
    for address in server.addresses:
        view.listening(address)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
