"""The Python binding with a hook on every frame.

    python_host.py LISTEN_PORT UPSTREAM_PORT threads|asyncio
"""

import asyncio
import sys

import wsproxy
import wsproxy.aio

# As large as messages of the benchmark get.
CONFIG = wsproxy.Config(max_frame_size=64 << 20)


def on_frame(frame):
    return None


def main(port, upstream, front):
    listen, url = f"127.0.0.1:{port}", f"ws://127.0.0.1:{upstream}/"
    if front == "asyncio":
        asyncio.run(wsproxy.aio.serve(listen, url, on_frame, config=CONFIG))
    else:
        wsproxy.serve(listen, url, on_frame, config=CONFIG)


main(*sys.argv[1:])
