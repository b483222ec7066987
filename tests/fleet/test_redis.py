import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from prometheus_client import CollectorRegistry

from sidecar.core.errors import StoreLost
from sidecar.core.leases import RESTING, Bid
from sidecar.core.ports import Call, LeaseStore, Priority
from sidecar.core.quotas import Limits, charges
from sidecar.engine.guard import Guard
from sidecar.engine.leasing import Leasing
from sidecar.fleet.redis import RedisLeases
from sidecar.telemetry import Metrics
from tests.fleet.conformance import ELSEWHERE, LASTING, POOL, SAFE, SHARE, Hands, LeaseStoreConformance
from tests.fleet.servers import RedisServer, running_redis

_fleets = (f"fleet{number}" for number in itertools.count())


class TestRedisLeases(LeaseStoreConformance):
    """The store in Redis keeps the port's promises, each daemon with a connection of its own."""

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        self.server, self.fleet = redis, next(_fleets)

    async def client(self, clock: Hands, exits: AsyncExitStack) -> LeaseStore:
        """Connect anew."""
        store = RedisLeases(self.server.url, self.fleet, LASTING, clock=clock)
        exits.push_async_callback(store.close)
        return store

    async def flush(self) -> None:
        """Forget everything, scripts too."""
        self.server.ask("FLUSHALL")
        self.server.ask("SCRIPT", "FLUSH")


@pytest.fixture
def own_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start servers that one test has for itself."""
    with ExitStack() as servers:

        def start(*options: str) -> RedisServer:
            folder = Path(servers.enter_context(TemporaryDirectory()))  # pytest's own are too long for a socket
            return servers.enter_context(running_redis(folder, *options))

        yield start


async def lost(store: RedisLeases) -> str:
    """Bid where that fails, and give the reason."""
    try:
        with pytest.raises(StoreLost) as failure:
            await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))
        return str(failure.value)
    finally:
        await store.close()


class TestFailures:
    """Whatever goes wrong is one error of ours, with a reason, and without what must not be told."""

    async def test_down(self, tmp_path: Path) -> None:
        """Nobody listens; to leave fails alike, to close does not."""
        store = RedisLeases(f"unix://{tmp_path}/nobody.sock", "fleet")
        with pytest.raises(StoreLost, match=r"^no connection$"):
            await store.leave(POOL, "daemon")
        assert await lost(store) == "no connection"

    async def test_wrong_password(self, own_redis: Callable[..., RedisServer]) -> None:
        """It is named as the cause, and not told."""
        server = own_redis("--requirepass", "hunter2")
        assert await lost(RedisLeases(server.url, "fleet")) == "it refuses the password"
        wrong = server.url.replace("unix://", "unix://:hunter3@")
        assert await lost(RedisLeases(wrong, "fleet")) == "it refuses the password"

    async def test_password_file(self, own_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        """It is read for each connection, so a rotated one is found; one that is not there is no crash."""
        server = own_redis("--requirepass", "hunter2")
        file = tmp_path / "password"
        store = RedisLeases(server.url, "fleet", password_file=file)
        bid = Bid(10, SHARE, SAFE)
        with pytest.raises(StoreLost, match=r"^no connection$"):
            await store.renew(POOL, "daemon", bid)
        file.write_text("hunter2\n")
        assert (await store.renew(POOL, "daemon", bid)).rate == 10
        await store.close()

    async def test_password_in_the_address(self, own_redis: Callable[..., RedisServer]) -> None:
        """It is taken from there."""
        server = own_redis("--requirepass", "hunter2")
        store = RedisLeases(server.url.replace("unix://", "unix://:hunter2@"), "fleet")
        assert (await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))).rate == 10
        await store.close()

    async def test_read_only(self, own_redis: Callable[..., RedisServer]) -> None:
        """A replica is no store."""
        server = own_redis("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes")
        assert await lost(RedisLeases(server.url, "fleet")) == "it is a read-only replica"

    async def test_not_permitted(self, own_redis: Callable[..., RedisServer]) -> None:
        """A user without the right to scripts is told so."""
        server = own_redis()
        server.ask("ACL", "SETUSER", "default", "-@scripting")
        assert await lost(RedisLeases(server.url, "fleet")) == "its access rules do not allow it"

    async def test_something_else_in_its_place(self, own_redis: Callable[..., RedisServer]) -> None:
        """Keys of another kind or another version's ledger are refused, not misread."""
        server = own_redis()
        store = RedisLeases(server.url, "fleet")
        server.ask("LPUSH", "sidecar:{fleet/111111111111/eu-west-1/kms.symmetric}:ledger", "x")
        assert await lost(store) == "it refuses (WRONGTYPE)"
        store = RedisLeases(server.url, "fleet")
        server.ask("DEL", "sidecar:{fleet/111111111111/eu-west-1/kms.symmetric}:ledger")
        server.ask("SET", "sidecar:{fleet/111111111111/eu-west-1/kms.symmetric}:ledger", "x")
        assert (await lost(store)).startswith("it refuses")

    async def test_connection_that_was_closed(self, redis: RedisServer) -> None:
        """A server that closed an idle connection is asked by a new one, unnoticed."""
        store = RedisLeases(redis.url, next(_fleets))
        await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert (await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))).members == 1
        await store.close()

    async def test_cancelled_bid(self, redis: RedisServer) -> None:
        """A bid that was given up leaves no answer behind for the next one."""
        store = RedisLeases(redis.url, next(_fleets))
        await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))
        redis.stall()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await store.renew(POOL, "daemon", Bid(7, SHARE, SAFE))
        finally:
            redis.go_on()
        assert (await store.renew(ELSEWHERE, "daemon", Bid(3, SHARE, SAFE))).rate == 3
        await store.close()

    async def test_forgets_by_itself(self, redis: RedisServer) -> None:
        """What nobody uses any more expires in the store."""
        fleet = next(_fleets)
        store = RedisLeases(redis.url, fleet)
        await store.renew(POOL, "daemon", Bid(10, SHARE, SAFE))
        await store.close()
        keys = redis.ask("KEYS", f"sidecar:{{{fleet}/*").split()
        assert len(keys) == 2
        assert all(0 < int(redis.ask("TTL", key)) <= 2 * RESTING * 5 for key in keys)


LEASE = 0.1
"""Seconds: what a test can wait for."""


class Member:
    """A daemon of a fleet in real time, which needs more than there is."""

    def __init__(self, server: RedisServer, fleet: str, tasks: asyncio.TaskGroup) -> None:
        self.store = RedisLeases(server.url, fleet, LEASE)
        self.leasing = Leasing(self.store, f"{next(_fleets)}", lambda: 0.5, timeout=LEASE)
        limits = Limits(0.1, {"kms.symmetric": 1_000})
        self.guard = Guard(limits, dice=lambda: 0.5, metrics=Metrics(CollectorRegistry()), leasing=self.leasing)
        self.tasks = [tasks.create_task(self.leasing.run()), tasks.create_task(self._ask_all_the_time())]
        self.sent = 0
        self.asked = asyncio.Event()

    async def _ask_all_the_time(self) -> None:
        call = Call("kms", "Decrypt", POOL.scope, charges("kms", "Decrypt"))
        while True:
            await asyncio.gather(*(self.guard.gate(Priority.BACKGROUND).send(call, self._attempt) for _ in range(50)))

    async def _attempt(self) -> None:
        self.sent += 1
        self.asked.set()

    @property
    def leased(self) -> float:
        """Say what it leases now."""
        readings = self.guard.readings()
        return readings[0].leased or 0.0 if readings else 0.0

    @property
    def is_connected(self) -> bool:
        """Whether the store answers it."""
        return self.leasing.reading().is_connected

    async def until(self, holds: Callable[[], bool]) -> None:
        """Go on asking AWS until something holds."""
        async with asyncio.timeout(10):
            while not holds():  # it never stops: it asks by its lease, or by its safe minimum
                self.asked.clear()
                await self.asked.wait()

    async def end(self) -> None:
        """Stop without a word to the fleet."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        await self.store.close()


class TestInRealTime:
    """By the server's own clock, with leases of a tenth of a second."""

    async def test_shares_and_takes_over(self, redis: RedisServer) -> None:
        """Two have half each; when one is killed with its lease in hand, the other has all."""
        fleet = next(_fleets)
        async with asyncio.TaskGroup() as tasks:
            one, other = Member(redis, fleet, tasks), Member(redis, fleet, tasks)
            await one.until(lambda: one.leased == pytest.approx(400) and other.leased == pytest.approx(400))
            await other.end()
            await one.until(lambda: one.leased == pytest.approx(800))
            await one.end()

    async def test_store_lost_and_found(self, own_redis: Callable[..., RedisServer]) -> None:
        """Started anew, it has forgotten everything; the daemon goes on asking all the while, by its safe minimum."""
        server = own_redis()
        async with asyncio.TaskGroup() as tasks:
            member = Member(server, "fleet", tasks)
            await member.until(lambda: member.leased == pytest.approx(800))
            server.stop()
            await member.until(lambda: not member.is_connected and member.leased == 0)
            assert member.guard.readings()[0].rate <= 100
            server.start()
            await member.until(lambda: member.is_connected and member.leased == pytest.approx(800))
            await member.end()

    async def test_store_that_stalls(self, own_redis: Callable[..., RedisServer]) -> None:
        """It answers nothing for a while, then all at once; nothing that it says late is believed."""
        server = own_redis()
        async with asyncio.TaskGroup() as tasks:
            member = Member(server, "fleet", tasks)
            await member.until(lambda: member.leased == pytest.approx(800))
            server.stall()
            await member.until(lambda: not member.is_connected and member.leased == 0)
            server.go_on()
            await member.until(lambda: member.is_connected and member.leased == pytest.approx(800))
            await member.end()

    async def test_flushed(self, own_redis: Callable[..., RedisServer]) -> None:
        """A flush is no loss: the daemon keeps what it holds."""
        server = own_redis()
        async with asyncio.TaskGroup() as tasks:
            member = Member(server, "fleet", tasks)
            await member.until(lambda: member.leased == pytest.approx(800))
            server.ask("FLUSHALL")
            sent = member.sent
            await member.until(lambda: member.sent >= sent + 200)
            assert member.is_connected
            assert member.leased > 700  # not the safe minimum of 100; a slow machine needs a little less than all
            await member.until(lambda: member.leased == pytest.approx(800))
            await member.end()
