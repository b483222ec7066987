"""Speak HTTP on one connection by aiohttp's parser, but refuse in our own words what it cannot parse.

Must not know what is served. Nothing of a request is logged or sent back, and no traceback is written.
"""

import asyncio
import re
from typing import Final, Protocol

import structlog
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong

# Not `aiohttp.web`: it brings a framework of 1.5 MB that is not used.
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

from sidecar.api.answers import Answer
from sidecar.api.peers import caller_of
from sidecar.api.permits import UNKNOWN
from sidecar.api.problems import BadRequest, Crashed, HeadersTooLarge
from sidecar.core.access import Caller
from sidecar.core.errors import SidecarError
from sidecar.telemetry import events

log = structlog.get_logger()

MOST_HEADER_BYTES: Final = 16 * 1024
_MOST_HEADERS: Final = 128
_TOO_MANY_HEADERS: Final = "Too many headers received"  # how aiohttp puts it
_LINGER: Final = 2.0  # seconds in which the rest of a body that nobody wants is read, so that the refusal arrives
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[01]\r?\n")


class Front(Protocol):
    """Whoever answers on this listener."""

    def refuse(self, error: SidecarError) -> Answer:
        """Answer a request that reached no route, and count it."""
        ...

    def refuse_method(self, method: str, target: str) -> Answer:
        """Answer a method that the parser does not know."""
        ...


class Connection(RequestHandler):
    """One client's connection; `caller` is who made it."""

    __slots__ = ("_front", "_last_read", "caller")

    def __init__(self, server: Server, *, loop: asyncio.AbstractEventLoop, front: Front) -> None:
        """Take who answers."""
        super().__init__(
            server,
            loop=loop,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
            max_headers=_MOST_HEADERS,
            lingering_time=_LINGER,
            auto_decompress=False,
            tcp_keepalive=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None, its annotation forgets to say so
        )
        self.caller: Caller = UNKNOWN
        self._front = front
        self._last_read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask who is there, once: a process may hand its connection on, but it answers for it."""
        self.caller = caller_of(transport.get_extra_info("socket")) or UNKNOWN
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Keep what was read last: by it an unknown method is told from noise."""
        self._last_read = data
        super().data_received(data)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,  # noqa: ARG002 -- aiohttp's signature
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- likewise, and it may quote the request
    ) -> StreamResponse:
        """Answer what cannot be parsed, and faults of ours, as problems; the connection ends with it."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has gone: nobody is left to be told, and nothing is wrong
        if request.writer.output_size > 0:
            self.log_exception(exc_info=exc)
            raise ConnectionError("the answer has begun already")
        response = response_of(self._refusal(exc))
        response.force_close()
        return response

    def log_exception(self, *_args: object, exc_info: BaseException | None = None, **_more: object) -> None:
        """Log a fault of ours by its kind only: its text and its traceback may quote what is secret."""
        log.error(events.REQUEST_CRASHED, error=type(exc_info).__name__)

    def _refusal(self, error: BaseException | None) -> Answer:
        if isinstance(error, BadHttpMethod) and (line := _REQUEST_LINE.match(self._last_read)):
            return self._front.refuse_method(line[1].decode(), line[2].decode())
        if isinstance(error, HttpProcessingError):
            return self._front.refuse(unparsable(error))
        self.log_exception(exc_info=error)
        return self._front.refuse(Crashed("the daemon could not answer this"))


def unparsable(error: HttpProcessingError) -> SidecarError:
    """Say in our own words what the parser did not take."""
    if isinstance(error, LineTooLong) or error.message == _TOO_MANY_HEADERS:
        return HeadersTooLarge("the request's line or headers are too large")
    return BadRequest("this is no valid HTTP request")


def response_of(answer: Answer) -> Response:
    """Hand an answer to aiohttp."""
    headers = {**answer.headers, "Server": "sidecar"}
    if answer.content_type is not None:
        headers["Content-Type"] = answer.content_type
    return Response(status=answer.status, body=answer.body, headers=headers)
