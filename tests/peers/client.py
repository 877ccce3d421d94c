"""A client made with `websockets`, given a URL: talks to an upstream that echoes and obeys, and checks all it hears."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
LARGEST = 16 << 20


def check(found, expected):
    if found != expected:
        sys.exit(f"found {str(found)[:100]!r} instead of {str(expected)[:100]!r}")


async def echoes(ws, message, expected=None):
    await ws.send(message)
    check(await ws.recv(), message if expected is None else expected)


async def converse(url):
    # Offers permessage-deflate, as browsers do; nobody may accept it.
    async with connect(url, max_size=None) as ws:
        check(ws.protocol.extensions, [])
        for size in SIZES:
            await echoes(ws, "é" * (size // 2) + "." * (size % 2))
            await echoes(ws, bytes(i % 251 for i in range(min(size, 251))) * (size // 251 or 1))
        await echoes(ws, b"\xa5" * LARGEST)
        await echoes(ws, ["a ", "fragmented ", "", "mess", "age"], "a fragmented message")
        await (await ws.ping(b"from the client"))
        await echoes(ws, "ping", "pong came")
        await echoes(ws, "fragments", "in three parts")


async def close_without_code(ws):
    async with ws.send_context():
        ws.protocol.send_close()


async def closes(url):
    for code, reason in [(4001, "enough"), (1000, ""), (1011, "größe")]:
        ws = await connect(url)
        await ws.close(code, reason)
        check(ws.protocol.close_rcvd.code, code)  # answered in kind
    ws = await connect(url)
    await close_without_code(ws)
    await ws.wait_closed()
    check(ws.protocol.close_rcvd.code, 1005)


async def is_closed(url):
    for order, code, reason in [
        ("close 4002 so be it", 4002, "so be it"),
        ("close 1000 ", 1000, ""),
        ("close", 1005, ""),
    ]:
        async with connect(url) as ws:
            await ws.send(order)
            try:
                check(await ws.recv(), "the close")
            except ConnectionClosed:
                check((ws.protocol.close_rcvd.code, ws.protocol.close_rcvd.reason), (code, reason))


async def main(url):
    await converse(url)
    await closes(url)
    await is_closed(url)


asyncio.run(main(sys.argv[1]))
