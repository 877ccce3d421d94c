"""An upstream made with `websockets`: echoes messages, and does what text messages tell it.

Prints its port, then a line for each connection that was closed: "closed CODE REASON".
"""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def close_without_code(ws):
    async with ws.send_context():
        ws.protocol.send_close()


async def obey(ws, message):
    if message == "ping":
        await (await ws.ping(b"are you there"))
        await ws.send("pong came")
    elif message == "fragments":
        await ws.send(["in ", "", "three ", "parts"])
    elif message == "close":
        await close_without_code(ws)
    elif isinstance(message, str) and message.startswith("close "):
        _, code, reason = message.split(" ", 2)
        await ws.close(int(code), reason)
    else:
        await ws.send(message)


async def handle(ws):
    try:
        async for message in ws:
            await obey(ws, message)
        await ws.wait_closed()
    except ConnectionClosed:
        pass
    rcvd = ws.protocol.close_rcvd
    words = f"{rcvd.code} {rcvd.reason}" if rcvd else "without a close frame"
    print(f"closed {words}", flush=True)


async def main():
    async with serve(handle, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
