"""Throw anything at the real server: whatever comes in, HTTP comes out, and the next caller is served."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, quote_from_bytes

import pytest
import structlog
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.api.problems import CONTENT_TYPE
from sidecar.api.routes import UNIX
from sidecar.api.routing import NAME, Route
from tests.api.served import API, DB, served

FENCE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [A-Za-z -]+\r\n")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t\x20-\x7e]*)\r\n")
OWN_WORDS = ("/healthz", "/readyz")  # a probe says no without being a problem
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """Serve two held values from a thread of their own; give the socket's path."""
    opened: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with served({"db": DB, "app/x": API}, polling=True) as one:
            await one.hold(DB)
            await one.hold(API)
            end = asyncio.Event()
            opened.set_result((one.path, asyncio.get_running_loop(), end))
            await end.wait()

    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(uvloop.run, serve())
        where, loop, end = opened.result(10)
        yield where
        loop.call_soon_threadsafe(end.set)
        serving.result(10)


@dataclass(frozen=True)
class Answer:
    """One answer on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(path: str, sent: bytes) -> bytes:
    """Send bytes; give all that the server says to them without more."""
    with socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as other:
        for each in (client, other):
            each.connect(path)
        client.sendall(sent)
        for _ in range(3):  # whatever the loop had to do for the first connection is done by then
            other.sendall(FENCE)
            assert other.recv(4096).startswith(b"HTTP/1.1 200 OK")
        client.settimeout(0)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Read what is there."""
    said = b""
    try:
        while piece := client.recv(1_000_000):
            said += piece
    except (BlockingIOError, ConnectionResetError):
        pass
    return said


def ask(path: str, sent: bytes) -> bytes:
    """Send one request that closes its connection; give the whole answer, of a watch its beginning."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(sent)
        said = b""
        while b"\r\n: watching\n" not in said and (piece := client.recv(1_000_000)):
            said += piece
        return said


def answers(said: bytes) -> Iterator[Answer]:
    """Take what the server said apart; anything that is no HTTP fails."""
    while said:
        line = STATUS_LINE.match(said)
        assert line, said[:100]
        at, headers = line.end(), {}
        while header := HEADER.match(said, at):
            headers[header[1].decode().lower()] = header[2].decode()
            at = header.end()
        assert said[at : at + 2] == b"\r\n", said[:500]
        status, at = int(line[1]), at + 2
        length = 0 if said.startswith(b"HTTP/1.", at) else int(headers.get("content-length", 0))  # HEAD has none
        if "transfer-encoding" in headers or headers.get("content-type") == "text/event-stream":
            length = len(said) - at  # a watch: it goes on
        body, said = said[at : at + length], said[at + length :]
        if status != 100:
            yield Answer(status, headers, body)


def check(answer: Answer) -> None:
    """Fail for what no request may be answered with."""
    assert answer.status != 500
    assert answer.headers["server"] == "sidecar"
    assert answer.headers["cache-control"] == "no-store"
    if answer.status < 400:
        return
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert b"canary" not in answer.body
    if answer.body:
        problem = json.loads(answer.body)
        assert problem["status"] == answer.status
        assert problem["detail"]
        assert problem["mend"]


METHODS = st.sampled_from([b"GET "] * 4 + [b"POST "] * 4 + [b"HEAD ", b"PUT ", b"CONNECT ", b"BREW "])
TARGETS = st.sampled_from(
    [
        *(b"/v1/values/db", b"/v1/secrets/app%2Fx", b"/v1/values?name=db&name=app/x", b"/v1/resolve?ref=ssm:/prod/db"),
        *([b"/v1/refresh"] * 4 + [b"/v1/watch", b"/healthz", b"//", b"*", b"http://x/v1/values/db", b"/v1/values/%00"]),
    ]
)
VERSIONS = st.sampled_from([b" HTTP/1.1\r\n"] * 9 + [b" HTTP/1.0\r\n", b" HTTP/0.9\r\n", b" HTTP/2.0\r\n", b"\r\n"])
GOOD = st.sampled_from(
    [
        *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: x, upgrade\r\nUpgrade: websocket\r\n"),
        *(b"Upgrade: h2c\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 2\r\n"),
        *(
            b"Content-Length: 99999999\r\n",
            b"Expect: 100-continue\r\n",
            b"If-None-Match: *\r\n",
            b'If-None-Match: "\r\n',
        ),
    ]
)
BAD = st.sampled_from(
    [
        *(
            b"Host: y\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Content-Length: -1\r\n",
            b"Accept: \xff\r\n",
            b"X: a\r\n b\r\n",
        ),
        *(b"X: \x00\r\n", b"X\r\n", b": x\r\n", b"X: a\n", b"X: " + b"a" * 17_000 + b"\r\n"),
    ]
)
BODIES = st.sampled_from([b"", b"", b"{}", b'{"n"}', b"5\r\nabcde\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"zz\r\n"])
REQUESTS = st.tuples(
    st.tuples(METHODS, TARGETS, VERSIONS).map(b"".join),
    st.lists(GOOD, max_size=2).map(b"".join),
    st.just(b"") | st.just(b"") | st.just(b"") | BAD,
    st.sampled_from([b"Host: x\r\nPrefer: wait=0\r\n\r\n"] * 6 + [b"\r\n", b"\n", b""]),
    BODIES,
).map(b"".join)
NOISE = st.lists(REQUESTS, max_size=3).map(b"".join) | st.tuples(REQUESTS, st.binary(max_size=9)).map(b"".join)


class TestBytes:
    """Bytes that are a request, nearly one, or none."""

    @given(sent=NOISE)
    @QUICK
    def test_whatever_comes_in_http_comes_out(self, path: str, sent: bytes) -> None:
        """Each answer is well-formed, an error is a problem, no fault of ours, and others are served meanwhile."""
        with structlog.testing.capture_logs() as logs:
            for answer in answers(exchange(path, sent)):
                check(answer)
        assert not [line for line in logs if line["log_level"] == "error"]


TEXT = st.text(max_size=30) | st.sampled_from(
    ["db", "app/x", "..", "a" * 600, "ssm:/prod/db#user", "sm:x", "1", "0", "*"]
)
HEADERS = st.dictionaries(
    st.sampled_from(["If-None-Match", "Last-Event-ID", "Accept", "X-Forwarded-For", "Cookie"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
    | st.sampled_from(["*", '"a"', "b00t-1"]),
)
OBJECTS = st.dictionaries(
    TEXT | st.sampled_from(["names", "rejected", "KeyId", "Plaintext", "CiphertextBlob", "Message"]),
    TEXT | st.lists(TEXT | st.none(), max_size=3),
)


@st.composite
def requests(draw: st.DrawFn, route: Route) -> bytes:
    """Make a request of this route, in bad taste."""
    segment = draw(TEXT.map(lambda text: quote(text, safe="/%")) | st.binary(max_size=9).map(quote_from_bytes))
    pairs = draw(
        st.lists(st.tuples(st.sampled_from([*(each.name for each in route.parameters), "x"]), TEXT), max_size=4)
    )
    query = "&".join(f"{key}={quote(value)}" for key, value in pairs)
    method = draw(st.sampled_from([route.method, route.method, "HEAD"]))
    body = draw(OBJECTS.map(lambda wish: json.dumps(wish).encode()) | st.binary(max_size=60)) if route.body else b""
    lines = [f"{method} {route.path.removesuffix(NAME)}{segment if route.path.endswith(NAME) else ''}?{query} HTTP/1.1"]
    lines += ["Host: x", "Connection: close", "Prefer: wait=0", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in draw(HEADERS).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("route", UNIX, ids=lambda route: f"{route.method} {route.path}")
@given(data=st.data())
@settings(QUICK, max_examples=25)
def test_a_route_answers_what_its_description_says(path: str, route: Route, data: st.DataObject) -> None:
    """One answer to each request, with a status that /openapi.json has for it."""
    sent = data.draw(requests(route))
    [answer] = answers(ask(path, sent))
    if route.path not in OWN_WORDS:
        check(answer)
    documented = {200, 400, 431, *route.refusals}
    if sent.startswith(b"HEAD ") and route.method != "GET":
        documented = {405}
    assert answer.status in documented
