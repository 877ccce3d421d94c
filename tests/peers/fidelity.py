"""Handshakes made with `websockets`: `upstream` shows what it was asked, `client URL` shows what it was answered.

An upstream prints its port, then for each request the target and the header lines. It chooses the second of the
subprotocols offered, and sets two cookies.
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


def show(first, headers):
    lines = [first] + [f"{name}: {value}" for name, value in headers.raw_items()]
    print("\n".join(lines), end="\n\n", flush=True)


def asked(connection, request):
    show(request.path, request.headers)


def answered(connection, request, response):
    response.headers["Set-Cookie"] = "a=1; Path=/; HttpOnly"
    response.headers["Set-Cookie"] = "b=2"
    response.headers["X-Upstream"] = "yes"


def choose(connection, offers):
    return offers[1] if len(offers) > 1 else None


async def upstream():
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    hooks = {"process_request": asked, "process_response": answered, "select_subprotocol": choose}
    async with serve(echo, "127.0.0.1", 0, subprotocols=["p", "q"], **hooks) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


async def client(url):
    more = [("Cookie", "c=1"), ("Authorization", "Bearer t"), ("X-Twice", "1"), ("x-twice", "2")]
    options = {"origin": "https://o.example", "user_agent_header": "fidelity/1", "additional_headers": more}
    async with connect(url, subprotocols=["p", "q"], **options) as ws:
        show(ws.subprotocol, ws.response.headers)
        await ws.send("through")
        if await ws.recv() != "through":
            sys.exit("no echo")


asyncio.run(upstream() if sys.argv[1] == "upstream" else client(sys.argv[2]))
