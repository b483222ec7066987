"""Serve the routes on the listeners, from the first connection to the last.

Each request goes from route to answer in one place, where it is counted, written down and refused.
"""

import asyncio
import socket
import sys
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_writer import HttpVersion10, HttpVersion11

# Not `aiohttp.web`: it brings a framework of 1.5 MB that is not used.
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.api import routes
from sidecar.api.answers import Answer, Reply, Stream
from sidecar.api.asks import Ask, joined, split_target
from sidecar.api.audit import record
from sidecar.api.connections import MOST_HEADER_BYTES, Connection, response_of
from sidecar.api.patience import GRACE
from sidecar.api.problems import BadRequest, BodyTooLarge, HeadersTooLarge, problem_answer
from sidecar.api.routing import Route, Router
from sidecar.api.services import Services
from sidecar.api.sockets import BACKLOG, UnixListener
from sidecar.core.errors import SidecarError
from sidecar.telemetry import HttpRoute, Listener


class Front(Server):
    """One listener's server: its connections, and the way of a request through its routes."""

    def __init__(self, listener: Listener, router: Router, services: Services) -> None:
        """Serve this table on this listener, on the running loop."""
        super().__init__(self._serve, handler_cancellation=True)
        self._listener = listener
        self._router = router
        self._services = services

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self, loop=self._loop, front=self)

    def refuse(self, error: SidecarError) -> Answer:
        """Answer a request that reached no route, and count it."""
        answer = problem_answer(error)
        self._services.metrics.http_answered(self._listener, HttpRoute.OTHER, answer.status, 0.0)
        return answer

    def refuse_method(self, method: str, target: str) -> Answer:
        """Answer a method that the parser does not know: as any other that the path does not take."""
        try:
            self._router.find(method, split_target(target)[0])
        except SidecarError as error:
            return self.refuse(error)
        return self.refuse(BadRequest("this is no valid HTTP request"))

    async def drain(self, grace: float) -> None:
        """Let the requests in flight finish within the grace (seconds), then end the connections."""
        self.pre_shutdown()
        try:
            async with asyncio.timeout(grace):
                await self.shutdown(grace)
        except TimeoutError:
            for connection in self.connections:
                if connection.transport:
                    connection.transport.abort()

    async def _serve(self, request: BaseRequest) -> StreamResponse:
        started = self._loop.time()
        path, query = split_target(request.raw_path)
        try:
            _check_version(request)
            _check_headers(request)
            route, tail = self._router.find(request.method, path)
        except SidecarError as error:
            return response_of(self.refuse(error))
        reply = await self._reply(request, route, tail, query)
        status = reply.status if isinstance(reply, Answer) else 200
        self._services.metrics.http_answered(self._listener, route.label, status, self._loop.time() - started)
        if isinstance(reply, Answer):
            return response_of(reply)
        return await self._stream(request, reply)

    async def _reply(self, request: BaseRequest, route: Route, tail: str, query: str) -> Reply:
        """Answer on a route; what is wrong with the request, or not permitted, is an answer too."""
        ask = Ask(_connection(request).caller, joined(request.headers.items()), tail)
        try:
            ask.query = route.read_query(query)
            if route.body:
                ask.body = await read_body(request, route.most_body)
            reply = await route.serve(self._services, ask)
        except SidecarError as error:
            reply = problem_answer(error)
            ask.blame(error)
        for name, outcome in ask.accesses.items():
            record(self._services, ask.caller, name, outcome)
        return reply

    async def _stream(self, request: BaseRequest, stream: Stream) -> StreamResponse:
        """Send chunks as they come, each when the client has room for it, until one side ends it."""
        if request.method == "HEAD":
            return response_of(Answer(content_type=stream.content_type, headers=stream.headers))
        headers = {**stream.headers, "Content-Type": stream.content_type, "Server": "sidecar"}
        response = StreamResponse(headers=headers)
        with suppress(TimeoutError):  # the daemon stops
            async with aclosing(stream.chunks), self._services.patience.idle():
                await response.prepare(request)
                async for chunk in stream.chunks:
                    await response.write(chunk)
        if request.protocol.writing_paused:
            request.protocol.force_close()  # its end would wait behind what the client does not read
        return response


async def read_body(request: BaseRequest, most: int) -> bytes:
    """Read a body of at most so many bytes; raises BodyTooLarge, BadRequest."""
    if (request.content_length or 0) > most:
        raise _too_large(most)
    expects = request.headers.get("Expect", "").lower() == "100-continue" and request.version == HttpVersion11
    if expects and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > most:
                raise _too_large(most)
    except (RequestPayloadError, HttpProcessingError):
        raise BadRequest("the body is not sent as the headers say") from None
    return bytes(body)


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {most >> 20} MiB")


def _check_version(request: BaseRequest) -> None:
    if request._version not in {HttpVersion10, HttpVersion11}:  # noqa: SLF001 -- to read `version` is to fix it
        request._version = HttpVersion10  # noqa: SLF001 -- else aiohttp answers as though it spoke that version too
        raise BadRequest("nothing is spoken here but HTTP/1.0 and HTTP/1.1")


def _check_headers(request: BaseRequest) -> None:
    if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > MOST_HEADER_BYTES:
        raise HeadersTooLarge("the headers are larger than 16 KiB")


def _connection(request: BaseRequest) -> Connection:
    connection = request.protocol
    assert isinstance(connection, Connection), "every front makes its own"
    return connection


async def _serve_unix(front: Front, listening: socket.socket) -> asyncio.Server:
    """Serve a socket whose file is the listener's to remove; since Python 3.13 event loops would do so themselves."""
    serve = asyncio.get_running_loop().create_unix_server
    if sys.version_info >= (3, 13):
        return await serve(front, sock=listening, backlog=BACKLOG, cleanup_socket=False)
    return await serve(front, sock=listening, backlog=BACKLOG)


@dataclass(slots=True)
class Interface:
    """All that local programs, probes and scrapes can talk to."""

    services: Services
    _fronts: list[tuple[Front, asyncio.Server, UnixListener | None]] = field(default_factory=list)

    async def serve_unix(self, listener: UnixListener) -> None:
        """Serve everything on the app's socket, from now on."""
        front = Front(Listener.UNIX, Router(routes.UNIX), self.services)
        server = await _serve_unix(front, listener.socket)
        self._fronts.append((front, server, listener))

    async def serve_ops(self, listener: socket.socket) -> None:
        """Serve probes and scrapes on a TCP socket, from now on."""
        front = Front(Listener.OPS, Router(routes.OPS), self.services)
        server = await asyncio.get_running_loop().create_server(front, sock=listener, backlog=BACKLOG)
        self._fronts.append((front, server, None))

    async def drain(self, grace: float = GRACE) -> None:
        """Stop: not ready any more, no new connections, watches and long polls end, requests in flight finish."""
        self.services.patience.end()
        for _, server, listener in self._fronts:
            if listener:
                listener.remove()
            server.close()
        await asyncio.gather(*(front.drain(grace) for front, _, _ in self._fronts))
