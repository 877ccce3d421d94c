"""A proxy of messages made with Python's `websockets`, the way its documentation has it.

    websockets_proxy.py LISTEN_PORT UPSTREAM_PORT
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

# Messages of any size, as they are, and nothing of its own between them.
SETTINGS = {"max_size": None, "compression": None, "ping_interval": None}


async def forward(source, sink):
    async for message in source:
        await sink.send(message)
    await sink.close(source.close_code or 1000)


async def main(port, upstream):
    async def handle(client):
        async with connect(f"ws://127.0.0.1:{upstream}/", **SETTINGS) as server:
            await asyncio.gather(forward(client, server), forward(server, client))

    async with serve(handle, "127.0.0.1", port, **SETTINGS):
        await asyncio.get_running_loop().create_future()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
