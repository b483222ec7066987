import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from sidecar.client import (
    AsyncClient,
    BadQuestion,
    Change,
    ClientError,
    NoDaemon,
    NotFound,
    Unavailable,
    UntrustedSocket,
    Value,
)
from sidecar.client.protocol import MARGIN
from tests.unix_peer import answer, events, listening, problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a place for a socket."""
    return tmp_path / "s"


@pytest.fixture
async def client(path: Path) -> AsyncIterator[AsyncClient]:
    """Give a client, closed afterwards."""
    async with AsyncClient(path) as client:
        yield client


class TestQuestions:
    """The same verbs ask the same as the synchronous client's."""

    async def test_values(self, path: Path, client: AsyncClient) -> None:
        """Bytes, JSON, and with the version; a name's slash is escaped, `..` resolves to nothing."""
        with listening(path, answer({"user": "u"}, headers={"ETag": '"1"', "Age": "2"})) as peer:
            assert await client.get("a/../b") == b'{"user": "u"}'
            assert await client.get_json("db", previous=True, wait=60) == {"user": "u"}
            assert await client.value("db") == Value("db", b'{"user": "u"}', '"1"', 2.0)
        assert [asked.line for asked in peer.asked[:2]] == [
            "GET /v1/values/a%2F..%2Fb HTTP/1.1",
            "GET /v1/values/db?previous=1 HTTP/1.1",
        ]
        assert [asked.headers["Prefer"] for asked in peer.asked] == ["wait=10", "wait=60", "wait=10"]
        assert peer.asked[0].headers["Host"] == "localhost"

    async def test_descriptions(self, path: Path, client: AsyncClient) -> None:
        """By name, by reference, of all, of the daemon itself."""
        routes = {
            "/v1/secrets/a": answer({"name": "a"}),
            "/v1/resolve?ref=sm%3Aa%2Bb%23my%20key": answer({"value": "x"}),
            "/v1/secrets": answer({"secrets": [{"name": "a"}]}),
            "/v1/status": answer({"version": "1"}),
        }
        with listening(path, routes=routes):
            assert await client.secret("a") == {"name": "a"}
            assert await client.resolve("sm:a+b#my key") == {"value": "x"}
            assert await client.list() == [{"name": "a"}]
            assert await client.status() == {"version": "1"}

    async def test_refresh(self, path: Path, client: AsyncClient) -> None:
        """One whose version was rejected."""
        with listening(path, answer({"secrets": [{"name": "a", "changed": True}]})) as peer:
            assert await client.refresh(["a"], rejected='"tag"') == [{"name": "a", "changed": True}]
        assert json.loads(peer.asked[0].body) == {"names": ["a"], "rejected": '"tag"'}

    async def test_kms(self, path: Path, client: AsyncClient) -> None:
        """An operation with KMS's own members, bytes as their base64; the public key of a pair."""
        with listening(path, answer({"Plaintext": "/w=="}), answer({"PublicKey": "MA=="})) as peer:
            assert await client.kms("decrypt", CiphertextBlob=b"\x01") == {"Plaintext": "/w=="}
            assert await client.public_key("alias/pair") == {"PublicKey": "MA=="}
        assert json.loads(peer.asked[0].body) == {"CiphertextBlob": "AQ=="}
        assert peer.asked[1].line == "GET /v1/kms/public-key?key_id=alias%2Fpair HTTP/1.1"

    async def test_ready(self, path: Path, client: AsyncClient) -> None:
        """503 is an answer here, no failure."""
        with listening(path, answer({"ready": True}), problem(503, "1 is missing", names=["a"])):
            assert (await client.ready()).ready is True
            assert (await client.ready()).detail["names"] == ["a"]

    async def test_connections_are_used_again(self, path: Path, client: AsyncClient) -> None:
        """A daemon that went away between two questions is no failure of the second."""
        for content in (b"one", b"two"):
            with listening(path, answer(content)):
                assert await client.get("db") == content


class TestProblems:
    """The same failures are told as by the synchronous client."""

    @pytest.mark.parametrize(("status", "kind"), [(400, BadQuestion), (404, NotFound), (503, Unavailable)])
    async def test_by_status(self, path: Path, client: AsyncClient, status: int, kind: type[ClientError]) -> None:
        """What the daemon says, and its mend, are the exception's."""
        with listening(path, problem(status, "it is so", "Do this.")), pytest.raises(kind, match="db: it is so") as got:
            await client.get("db")
        assert (got.value.mend, got.value.status) == ("Do this.", status)

    @pytest.mark.parametrize("reply", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
    async def test_a_server_that_breaks_off(self, path: Path, client: AsyncClient, reply: bytes) -> None:
        """Nothing, no HTTP, or less than promised: nobody answers."""
        with listening(path, reply), pytest.raises(NoDaemon, match="no daemon answers"):
            await client.get("db")

    async def test_no_daemon(self, path: Path, client: AsyncClient) -> None:
        """No socket, and one that nobody serves."""
        with pytest.raises(NoDaemon, match="No such file"):
            await client.get("db")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with pytest.raises(NoDaemon, match="Connection refused"):
            await client.ready()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to somebody else")
    async def test_a_socket_of_somebody_else(self, path: Path, client: AsyncClient) -> None:
        """It is refused before anything is sent, unless its owner is named."""
        with listening(path, answer(b"x")) as peer:
            os.chown(path, 4242, -1)
            with pytest.raises(UntrustedSocket, match="user 4242"):
                await client.get("db")
            assert peer.asked == []
            async with AsyncClient(path, owner=4242) as trusting:
                assert await trusting.get("db") == b"x"

    async def test_silence(self, path: Path) -> None:
        """A daemon that does not answer in time is taken for dead."""
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen()
            async with AsyncClient(path) as client:
                with pytest.raises(NoDaemon, match="in time"):
                    await client.get("db", wait=-MARGIN + 0.01)

    async def test_cancelled(self, path: Path, client: AsyncClient) -> None:
        """Who gives up gets no answer of ours in its place, and leaves nothing open."""
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("db"), 0.01)


class TestValues:
    """With `keep`, the last value outlives the daemon."""

    async def test_the_last_value_outlives_the_daemon(self, path: Path) -> None:
        """While nobody answers it is given on, marked; the next daemon's word counts."""
        async with AsyncClient(path, keep=60) as client:
            with listening(path, answer(b"one")):
                assert (await client.value("db")).kept is False
            assert (await client.value("db")).kept is True
            with listening(path, answer(b"two")):
                assert await client.value("db") == Value("db", b"two", "")

    async def test_closed_it_opens_anew(self, path: Path, client: AsyncClient) -> None:
        """Closing drops connections, no more."""
        with listening(path, answer(b"x")):
            await client.aclose()
            assert await client.get("db") == b"x"
            await client.aclose()
            assert await client.get("db") == b"x"


BEGUN = ": watching\nid: b-1\n\n"
TWO = 'event: change\ndata: {"name": "a"}\n\nevent: change\ndata: {"name": "b"}\nid: b-2\n\n: alive\n\n'
THREE = 'event: change\ndata: {"name": "a"}\nid: c-3\n\n'


class TestWatch:
    """A stream of changes that outlives the daemon."""

    async def test_goes_on_where_it_was(self, path: Path, client: AsyncClient) -> None:
        """After the daemon has gone, it asks again from the last position."""
        away = problem(503, "it stops")
        with listening(path, events(BEGUN + TWO), away, events(BEGUN + THREE), events(BEGUN)) as peer:
            async with aclosing(client.watch(["a", "b"])) as changes:
                assert [(await anext(changes)).secret["name"] for _ in range(3)] == ["a", "b", "a"]
        assert peer.asked[0].line == "GET /v1/watch?name=a&name=b HTTP/1.1"
        assert [asked.headers["Last-Event-ID"] for asked in peer.asked[:3]] == [None, "b-2", "b-2"]

    async def test_from_a_position_with_values(self, path: Path, client: AsyncClient) -> None:
        """Both are asked for only on demand; a value of any length comes in one piece."""
        long = "x" * 1_000_000
        with listening(path, events(f'event: change\ndata: {{"value": "{long}"}}\nid: c-3\n\n')) as peer:
            async with aclosing(client.watch(since="b-9", values=True)) as changes:
                assert await anext(changes) == Change("c-3", {"value": long})
        assert peer.asked[0].line == "GET /v1/watch?values=1 HTTP/1.1"
        assert peer.asked[0].headers["Last-Event-ID"] == "b-9"

    async def test_what_no_reconnecting_mends(self, path: Path, client: AsyncClient) -> None:
        """An unknown name ends it, at the start or later."""
        with listening(path, events(BEGUN + THREE), problem(404, "a: no such secret")):
            async with aclosing(client.watch(["a"])) as changes:
                assert (await anext(changes)).secret == {"name": "a"}
                with pytest.raises(NotFound):
                    await anext(changes)

    async def test_without_a_daemon_it_does_not_begin(self, client: AsyncClient) -> None:
        """Whoever starts a watch learns at once that nobody is there."""
        with pytest.raises(NoDaemon):
            await anext(client.watch())


class LoginFailed(Exception):
    """The database does not take the password."""


OLD, NEW = answer(b"old", headers={"ETag": '"1"'}), answer(b"new", headers={"ETag": '"2"'})


class TestRetrying:
    """A login that fails with the cached password is tried once more with a newer one."""

    async def test_with_a_newer_one(self, path: Path, client: AsyncClient) -> None:
        """The daemon hears which version was rejected; the function's own arguments stay."""

        @client.retrying("db", on=LoginFailed)
        async def login(password: Value, user: str) -> str:
            """Log in."""
            await asyncio.sleep(0)
            if password.text == "old":
                raise LoginFailed
            return f"{user}:{password.text}"

        refreshed = answer({"secrets": [{"name": "db", "etag": '"2"'}]})
        with listening(path, OLD, NEW, routes={"/v1/refresh": refreshed}) as peer:
            assert await login("u") == "u:new"
        assert json.loads(peer.asked[1].body) == {"names": ["db"], "rejected": '"1"'}

    @pytest.mark.parametrize("reply", [answer({"secrets": [{"etag": '"1"'}]}), problem(503, "AWS is out of reach")])
    async def test_without_a_newer_one(self, path: Path, client: AsyncClient, reply: bytes) -> None:
        """What the function raised goes on; nothing is tried twice in vain."""
        tried: list[str] = []

        async def login(password: Value) -> None:
            tried.append(password.text)
            raise LoginFailed

        with listening(path, OLD, routes={"/v1/refresh": reply}), pytest.raises(LoginFailed):
            await client.retrying("db", on=LoginFailed)(login)()
        assert tried == ["old"]
