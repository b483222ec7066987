"""Listen for AWS's clients and for the commands that steer the fake.

One thread: moto's stores need no lock, and requests are answered in the order in which they came.
"""

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sidecar.fakeaws.aws import Aws
from sidecar.fakeaws.controls import PREFIX, BadCommand, Controls
from sidecar.fakeaws.wire import Answer

_KEEP_ALIVE: Final = 75.0  # seconds; longer than clients keep theirs, so that the server never closes first


@dataclass(frozen=True, slots=True)
class Server:
    """The fake's HTTP side."""

    aws: Aws
    controls: Controls

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of either kind."""
        if request.headers.get("Expect", "").lower() == "100-continue":  # else an upload waits a second for it
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = await request.content.read()  # `request.read` takes a mebibyte at most, an object may be larger
        if request.path.startswith(PREFIX):
            return self._steer(request, body)
        answer = await self.aws.serve(dict(request.headers), body, request.method, request.raw_path)
        if answer is None:
            return _hang_up(request)
        return self._as_response(answer)

    def _as_response(self, answer: Answer) -> web.Response:
        headers = {
            "Content-Type": answer.content_type,
            "x-amzn-RequestId": self.aws.request_id(),
            **answer.headers,
        }
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _steer(self, request: web.BaseRequest, body: bytes) -> web.Response:
        asked: dict[str, object] = dict(request.query)
        try:
            asked |= json.loads(body or b"{}")
            return web.json_response(self.controls.obey(request.path.removeprefix(PREFIX), asked))
        except (ValueError, BadCommand) as error:
            return web.json_response({"error": str(error)}, status=400)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never arrives


async def bind(aws: Aws, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[asyncio.Server, str]:
    """Listen; returns the server and its URL. `port` 0 takes a free one."""
    server = Server(aws, Controls(aws))
    protocol = web.Server(server.answer, keepalive_timeout=_KEEP_ALIVE, access_log=None)
    listening = await asyncio.get_running_loop().create_server(protocol, host, port, ssl=tls, backlog=1024)
    taken = listening.sockets[0].getsockname()[1]
    return listening, f"http{'s' if tls else ''}://{host}:{taken}"
