import asyncio

import pytest
import structlog
from aiohttp.http_exceptions import InvalidURLError

from sidecar.api.connections import unparsable
from sidecar.api.problems import CONTENT_TYPE
from tests.api.served import DB, parse, served

HOST = b"Host: x\r\nConnection: close\r\n"


class TestUnparsable:
    """Requests that never reach a route."""

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"nonsense canary-noise\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00canary-noise\r\n\r\n", 400),
            (b"GET /v1/values/db HTTP/9.9\r\n\r\n", 400),
            (b"GET /v1/values/db HTTP/2.0\r\n" + HOST + b"\r\n", 400),
            (b"GET /v1/values/db HTTP/0.9\r\n" + HOST + b"\r\n", 400),
            (b"GET /v1/values/db HTTP/1.1\r\nbroken canary-noise\r\n\r\n", 400),
            (b"GET /v1/values/db HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n", 400),
            (b"GET /v1/values/db HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
            (b"GET /v1/values/db HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 17_000 + b"\r\n\r\n", 431),
            (b"GET /v1/values/db HTTP/1.1\r\n" + HOST + (b"X: " + b"a" * 8000 + b"\r\n") * 3 + b"\r\n", 431),
            (b"GET /v1/values/db HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200 + b"\r\n", 431),
            (b"GET /v1/values/" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
            (b"BREW /v1/values/db HTTP/1.1\r\n" + HOST + b"\r\n", 405),
            (b"BREW /v1/canary-noise HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"DELETE /v1/values/db HTTP/1.1\r\n" + HOST + b"\r\n", 405),
            (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"GET /canary-noise HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"GET http://x/v1/nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404),
            (b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        ],
    )
    async def test_gets_a_problem_and_no_log_line(
        self, request_: bytes, status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """In our own words, nothing of it repeated, and nothing of it logged."""
        async with served() as one:
            answer = parse(await one.raw(request_))
        assert answer.status == status
        assert answer.headers["content-type"] == CONTENT_TYPE
        assert answer.json["status"] == status
        assert answer.json["mend"]
        assert b"noise" not in answer.body
        assert answer.headers["server"] == "sidecar"
        assert answer.version in {"HTTP/1.0", "HTTP/1.1"}
        assert not caplog.records
        assert "noise" not in "".join(capfd.readouterr())

    async def test_a_method_that_is_not_taken_says_which_are(self) -> None:
        """Allow, for a known and an unknown method alike."""
        async with served() as one:
            for method in ("DELETE", "BREW"):
                assert (await one.ask(method, "/v1/values/db")).headers["allow"] == "GET, HEAD"
            assert (await one.get("/v1/refresh")).headers["allow"] == "POST"

    async def test_the_next_connection_works(self) -> None:
        """Noise on one disturbs nobody else."""
        async with served() as one:
            await one.raw(b"noise\r\n\r\n")
            assert (await one.get("/v1/values/db")).status == 200

    async def test_absolute_targets_are_understood(self) -> None:
        """As a client sends them that believes it speaks to a proxy."""
        async with served() as one:
            assert (await one.get("http://x/v1/values/db")).status == 200

    async def test_many_requests_on_one_connection(self) -> None:
        """Keep-alive and pipelining, each answer in its turn."""
        async with served() as one:
            one_more = b"GET /v1/values/api HTTP/1.1\r\nHost: x\r\n\r\n"
            answer = await one.raw(one_more * 50 + b"GET /v1/values/api HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"canary-api") == 51


class TestBody:
    """Bodies of requests that take one."""

    async def test_more_than_a_mebibyte_is_413(self) -> None:
        """Told by its length, or found out on the way."""
        async with served() as one:
            told = await one.ask("POST", "/v1/refresh", content=b"x" * (1024 * 1024 + 1))
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            head = b"POST /v1/refresh HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
            found = parse(await one.raw(head + chunk * 17 + b"0\r\n\r\n"))
        assert (told.status, found.status) == (413, 413)

    async def test_a_body_that_is_not_as_the_headers_say_is_400(self) -> None:
        """A broken chunk."""
        async with served() as one:
            head = b"POST /v1/refresh HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
            reader, writer = await asyncio.open_unix_connection(one.path)
            writer.write(head)
            await writer.drain()
            writer.write(b"zz\r\n")
            answer = parse(await reader.read())
            writer.close()
        assert answer.status == 400

    async def test_whoever_asks_first_is_told_to_go_on(self) -> None:
        """Expect: 100-continue, as curl sends it."""
        async with served() as one:
            reader, writer = await asyncio.open_unix_connection(one.path)
            writer.write(b"POST /v1/refresh HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}")
            answer = parse(await reader.read())
            writer.close()
        assert answer.status == 200

    async def test_an_old_client_is_told_nothing_before_the_answer(self) -> None:
        """HTTP/1.0 knows no 100 Continue, so it is not sent there (RFC 9110, section 10.1.1)."""
        async with served() as one:
            head = b"POST /v1/refresh HTTP/1.0\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}"
            assert parse(await one.raw(head)).status == 200

    async def test_a_compressed_body_is_not_unpacked(self) -> None:
        """So that no small body becomes a huge one."""
        async with served() as one:
            answer = await one.ask("POST", "/v1/refresh", content=b"\x1f\x8b", Content_Encoding="gzip")
        assert answer.status == 400


class TestFaults:
    """Errors of our own."""

    async def test_a_fault_is_told_and_logged_by_its_kind_alone(self) -> None:
        """500, without the exception's text, which may quote what is secret."""
        async with served() as one:
            one.services.permits = None  # type: ignore[assignment]  # anything that makes a route fail
            with structlog.testing.capture_logs() as logs:
                answer = await one.get("/v1/values/db")
        assert (answer.status, answer.json["type"]) == (500, "urn:sidecar:problem:crashed")
        assert logs == [{"event": "request_crashed", "log_level": "error", "error": "AttributeError"}]

    async def test_a_fault_in_a_stream_ends_it(self) -> None:
        """Its status has gone out already; it is logged all the same."""
        async with served() as one, one.open("/v1/watch") as reader:
            await reader.readuntil(b"\n\n")
            one.services.permits = None  # type: ignore[assignment]  # anything that makes the next event fail
            with structlog.testing.capture_logs() as logs:
                one.change(DB, b"2", "2")
                assert await reader.read() == b""
        assert logs[-1] == {"event": "request_crashed", "log_level": "error", "error": "AttributeError"}

    def test_other_parse_errors_are_bad_requests(self) -> None:
        """Whatever the parser calls them."""
        assert unparsable(InvalidURLError("noise")).label == "bad_request"
