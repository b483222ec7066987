"""Serve the same few bytes as simply as can be, to know what an answer costs: `python -m bench.rivals KIND SOCKET`."""

import asyncio
import sys
from typing import Final, cast

import uvloop
from aiohttp import web

BODY: Final = b"value-0-xxxxxxxxxxxxxxxxxxxxxxxx"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


class Fixed(asyncio.Protocol):
    """Answers each request with the same bytes, without a look at it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write to."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as end here."""
        self.transport.write(_ANSWER * data.count(b"\r\n\r\n"))


async def serve_protocol(path: str) -> None:
    """Serve by a bare protocol of uvloop, until cancelled."""
    server = await asyncio.get_running_loop().create_unix_server(Fixed, path)
    await server.serve_forever()


async def serve_application(path: str) -> None:
    """Serve by an aiohttp application with one route, until cancelled."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="text/plain", charset="utf-8")

    application = web.Application()
    application.router.add_get("/v1/values/{name}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run({"aiohttp": serve_application, "uvloop": serve_protocol}[sys.argv[1]](sys.argv[2]))
