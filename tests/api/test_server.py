import asyncio
import socket

import pytest

from sidecar.core.access import Globs, Rule
from tests.api.served import API, DB, JSON_DB, HeldSource, Response, Served, parse, served
from tests.api.users import as_user, needs_root
from tests.engine.fakes import ssm

_ASK = """
with socket.socket(socket.AF_UNIX) as client:
    client.connect("{path}")
    for target in {targets}:
        client.sendall(f"GET {{target}} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
        answer = client.recv(65536)
        print(answer.split()[1].decode(), answer.partition(b"\\r\\n\\r\\n")[2].decode())
"""


async def ask_as(one: Served, uid: int, *targets: str, groups: tuple[int, ...] = ()) -> list[list[str]]:
    """Give status and body of each answer that a process of this user gets."""
    code = _ASK.format(path=one.path, targets=list(targets))
    printed = await asyncio.to_thread(as_user, uid, code, imports="import socket", groups=groups)
    return [line.split(" ", 1) for line in printed.splitlines()]


def statuses(answers: list[list[str]]) -> list[int]:
    """Give the statuses alone."""
    return [int(answer[0]) for answer in answers]


@needs_root
class TestCallers:
    """Rules, kept towards real processes of several users."""

    async def test_without_rules_everybody_is_admin(self) -> None:
        """Whoever the socket's mode lets in."""
        async with served() as one:
            answers = await ask_as(one, 1001, "/v1/values/db", "/v1/values/nothing", "/v1/status")
        assert statuses(answers) == [200, 404, 200]

    async def test_a_user_reads_what_a_rule_gives(self) -> None:
        """And for the rest it is all the same whether it exists."""
        async with served() as one:
            one.permit(Rule(1001, None, Globs(["db"])))
            mine = await ask_as(one, 1001, "/v1/values/db", "/v1/values/api", "/v1/values/nothing", "/v1/secrets/api")
            other = await ask_as(one, 1002, "/v1/values/db", "/v1/values/nothing")
            assert [API] not in one.source.fetches
        assert statuses(mine) == [200, 403, 403, 403]
        assert mine[1] == mine[2]
        assert mine[0][1] == JSON_DB.decode()
        assert statuses(other) == [403, 403]
        assert other[0] == other[1]

    async def test_groups_count_supplementary_ones_too(self) -> None:
        """The main one and the others."""
        async with served() as one:
            one.permit(Rule(None, 4242, Globs(["*"])))
            assert statuses(await ask_as(one, 1001, "/v1/values/db", groups=(7, 4242))) == [200]
            assert statuses(await ask_as(one, 4242, "/v1/values/db")) == [200]
            assert statuses(await ask_as(one, 1001, "/v1/values/db", groups=(7,))) == [403]

    async def test_lists_show_what_may_be_read(self) -> None:
        """Secrets and status alike; quotas to admins."""
        async with served() as one:
            one.permit(Rule(1001, None, Globs(["db"])), Rule(1002, None, Globs(["*"]), admin=True))
            mine = await ask_as(one, 1001, "/v1/secrets", "/v1/status")
            admins = await ask_as(one, 1002, "/v1/secrets", "/v1/status")
        assert all('"name": "db"' in answer[1] and '"name": "api"' not in answer[1] for answer in mine)
        assert all('"name": "api"' in answer[1] for answer in admins)
        assert ['"quotas"' in answers[1][1] for answers in (mine, admins)] == [False, True]

    async def test_a_reference_of_a_declared_secret_needs_the_right_to_it(self) -> None:
        """Whatever the spelling; other references need the rule's glob."""
        async with served() as one:
            one.source.put(ssm("/open/x"), b"yes")
            one.permit(Rule(1001, None, Globs(["db", "ssm:/open/*"])))
            asked = [
                "ssm:/prod/db",
                "ssm:/prod/db%23user",
                "ssm:/prod/api",
                "{{resolve:ssm:/prod/api}}",
                "ssm:/open/x",
                "ssm:/x",
            ]
            answers = await ask_as(one, 1001, *(f"/v1/resolve?ref={ref}" for ref in asked))
        assert statuses(answers) == [200, 403, 403, 403, 200, 403]


class TestClients:
    """Clients that come and go."""

    async def test_one_that_goes_away_disturbs_nobody(self) -> None:
        """Others wait on for the same fetch."""
        source = HeldSource()
        async with served(source=source) as one, asyncio.TaskGroup() as tasks:
            _, gone = await asyncio.open_unix_connection(one.path)
            gone.write(b"GET /v1/values/db HTTP/1.1\r\nHost: x\r\n\r\n")
            await one.waiting()
            other = tasks.create_task(one.get("/v1/values/db"))
            await one.waiting()
            gone.transport.abort()
            source.let.set()
            assert (await other).body == JSON_DB
            assert len(source.fetches) == 1

    async def test_one_that_goes_away_in_its_body_is_no_fault(self) -> None:
        """Half a request, then nothing."""
        async with served() as one:
            _, gone = await asyncio.open_unix_connection(one.path)
            gone.write(b"POST /v1/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            await gone.drain()
            gone.close()
            assert (await one.get("/v1/values/db")).status == 200

    async def test_a_long_poll_of_one_that_goes_away_ends(self) -> None:
        """Nothing goes on waiting for it."""
        async with served() as one:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            _, gone = await asyncio.open_unix_connection(one.path)
            head = f"GET /v1/values/db HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\nPrefer: wait=300\r\n\r\n"
            gone.write(head.encode())
            await one.waiting()
            gone.transport.abort()
            await one.patience.left.acquire()


async def test_many_may_come_at_once() -> None:
    """An app that starts opens all its connections before the daemon has had a turn."""
    async with served() as one:
        callers = [socket.socket(socket.AF_UNIX) for _ in range(300)]
        for caller in callers:
            caller.settimeout(0)
            caller.connect(one.path)
        assert (await one.get("/v1/values/db")).status == 200
        for caller in callers:
            caller.close()


class TestStop:
    """The end, as SIGTERM brings it."""

    async def test_requests_in_flight_finish(self) -> None:
        """A caller that waits for AWS still gets the value; the socket is gone at once."""
        source = HeldSource()
        async with served(source=source) as one, asyncio.TaskGroup() as tasks:
            call = tasks.create_task(one.get("/v1/values/db"))
            await one.waiting()
            stop = tasks.create_task(one.interface.drain())
            source.let.set()
            assert (await call).body == JSON_DB
            await stop
            with pytest.raises(FileNotFoundError):
                await one.raw(b"")

    async def test_long_polls_end_at_once(self) -> None:
        """With 304: nothing has changed."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            poll = tasks.create_task(one.get("/v1/values/db", If_None_Match=etag, Prefer="wait=300"))
            await one.waiting()
            await one.interface.drain()
            assert (await poll).status == 304

    async def test_idle_connections_are_closed(self) -> None:
        """They do not hold the daemon up."""
        async with served() as one:
            reader, writer = await asyncio.open_unix_connection(one.path)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"}")
            await one.interface.drain()
            assert await reader.read() == b""
            writer.close()

    async def test_a_reader_that_does_not_read_holds_nothing_up(self) -> None:
        """A watch with a full buffer is cut off."""
        async with served() as one, one.open("/v1/watch?values=1") as reader:
            await reader.readuntil(b"\n\n")
            one.change(DB, b"x" * 8_000_000, "2")
            await one.get("/healthz")
            await one.interface.drain()

    async def test_a_body_that_does_not_come_is_not_waited_for(self) -> None:
        """Beyond the grace, connections are cut."""
        async with served() as one:
            reader, writer = await asyncio.open_unix_connection(one.path)
            writer.write(b"POST /v1/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await one.interface.drain(grace=0.05)
            assert await reader.read() == b""
            writer.close()


class TestOps:
    """The listener for probes and scrapes."""

    @pytest.mark.parametrize(
        "target", ["/v1/values/db", "/v1/secrets", "/v1/status", "/v1/resolve?ref=ssm:/prod/db", "/v1/watch", "/"]
    )
    async def test_has_no_values_and_no_references(self, target: str) -> None:
        """What the Unix socket has, strangers do not find."""
        async with served() as one:
            await one.hold()
            answer = await ask_ops(one, target)
        assert answer.status == 404
        assert b"canary" not in answer.body

    async def test_has_probes_and_metrics(self) -> None:
        """And they name no reference."""
        async with served({"gone": ssm("/gone")}, polling=True) as one:
            answers = [await ask_ops(one, target) for target in ("/healthz", "/readyz", "/metrics")]
        assert [answer.status for answer in answers] == [200, 503, 200]
        assert not any(b"ssm:/" in answer.body for answer in answers)

    async def test_counts_by_listener_route_and_status(self) -> None:
        """Never by name."""
        async with served(polling=True) as one:
            await one.get("/v1/values/db")
            await one.get("/v1/values/nothing")
            await one.get("/nowhere")
            await ask_ops(one, "/healthz")
            text = (await ask_ops(one, "/metrics")).body.decode()
        for counted in (
            'sidecar_http_requests_total{listener="unix",route="/v1/values/{name}",status="200"} 1.0',
            'sidecar_http_requests_total{listener="unix",route="/v1/values/{name}",status="404"} 1.0',
            'sidecar_http_requests_total{listener="unix",route="other",status="404"} 1.0',
            'sidecar_http_requests_total{listener="ops",route="/healthz",status="200"} 1.0',
        ):
            assert counted in text
        assert "nothing" not in text


async def ask_ops(one: Served, target: str) -> Response:
    """Ask the ops listener."""
    reader, writer = await asyncio.open_connection(*one.ops)
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n".encode()
    )
    answer = parse(await reader.read())
    writer.close()
    return answer
