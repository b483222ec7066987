import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.core.errors import Overloaded, StoreLost, Throttled
from sidecar.core.leases import LASTING, UNHEARD, Bid, Lease, Pool
from sidecar.core.ports import Call, Priority
from sidecar.core.quotas import Limits, QuotaReading, Scope, charges
from sidecar.engine.guard import Guard
from sidecar.engine.leasing import REST_FOR, STORE_TIMEOUT, Leasing
from sidecar.fleet.memory import MemoryLeases
from sidecar.telemetry import Metrics, events

pytestmark = pytest.mark.looptime

SCOPE = Scope("111111111111", "eu-west-1")
LIMITS = Limits(0.1, {"ssm.get": 100}, fleet_share=0.8)
PROBE = Call("ssm", "GetParameters", SCOPE, charges("ssm", "GetParameters", 0))
POOL = Pool(SCOPE, "ssm.get")
SHARE, SAFE = 80.0, 10.0


@dataclass
class Store:
    """The store of a fleet in virtual time, which fails as a test wants."""

    lasting: float = LASTING
    takes: float = 0.001
    lost: str = ""
    bids: list[tuple[str, Bid]] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        """Keep the ledgers."""
        self.memory = MemoryLeases(lambda: asyncio.get_running_loop().time(), self.lasting)

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Bid, if it is there."""
        await self._answer()
        self.bids.append((member, bid))
        return await self.memory.renew(pool, member, bid)

    async def leave(self, pool: Pool, member: str) -> None:
        """Leave, if it is there."""
        await self._answer()
        await self.memory.leave(pool, member)

    async def close(self) -> None:
        """Keep everything."""

    async def _answer(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.lost:
            raise StoreLost(self.lost)


@dataclass
class Daemon:
    """A member of the fleet: its guard, and what it asks of AWS."""

    store: Store
    name: str
    limits: Limits = LIMITS
    sent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the guard; its dice show the middle."""
        self.registry = CollectorRegistry()
        self.leasing = Leasing(self.store, self.name, lambda: 0.5)
        self.guard = Guard(self.limits, dice=lambda: 0.5, metrics=Metrics(self.registry), leasing=self.leasing)

    async def attempt(self) -> None:
        """Be answered at once."""
        self.sent.append(asyncio.get_running_loop().time())

    async def ask(self, call: Call = PROBE, attempt: Callable[[], Awaitable[None]] | None = None) -> None:
        """Send one request in the background."""
        await self.guard.gate(Priority.BACKGROUND).send(call, attempt or self.attempt)

    async def ask_all_the_time(self) -> None:
        """Need more than there is, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(self._ask_for_ever())

    async def _ask_for_ever(self) -> None:
        while True:
            await self.ask()

    @property
    def reading(self) -> QuotaReading:
        """Say how its quota stands."""
        return next(reading for reading in self.guard.readings() if reading.quota == "ssm.get")

    def per_second(self, since: float) -> float:
        """Say how many requests a second it has sent since then."""
        now = asyncio.get_running_loop().time()
        return sum(at >= since for at in self.sent) / (now - since)


@dataclass
class Fleet:
    """Daemons that run."""

    store: Store
    tasks: asyncio.TaskGroup
    running: dict[str, list[asyncio.Task[None]]] = field(default_factory=dict)

    def add(self, name: str, *, busy: bool = False, limits: Limits = LIMITS) -> Daemon:
        """Start a daemon, which needs more than there is if it is busy."""
        daemon = Daemon(self.store, name, limits)
        self.running[name] = [self.tasks.create_task(daemon.leasing.run())]
        if busy:
            self.running[name].append(self.tasks.create_task(daemon.ask_all_the_time()))
        return daemon

    def kill(self, name: str) -> None:
        """End a daemon without a word."""
        for task in self.running.pop(name):
            task.cancel()


@asynccontextmanager
async def fleet(store: Store | None = None) -> AsyncIterator[Fleet]:
    """Run a fleet for the block."""
    async with asyncio.TaskGroup() as tasks:
        one = Fleet(store or Store(), tasks)
        yield one
        for name in list(one.running):
            one.kill(name)


def now() -> float:
    """Give the loop's time."""
    return asyncio.get_running_loop().time()


class TestLease:
    """While the store answers, a daemon takes what it leases."""

    async def test_first_request(self, looptime: float) -> None:
        """It waits for one round trip to the store, and for a part of the interval between two."""
        async with fleet() as each:
            daemon = each.add("a")
            await daemon.ask()
            assert 0.001 < looptime < 0.2
            assert daemon.reading.leased == pytest.approx(4 + 0.04, rel=0.3)

    async def test_twenty_secrets_within_a_second(self, looptime: float) -> None:
        """A daemon alone has what it needs at once."""
        limits = Limits(0.1, {"ssm.get": 1_000}, fleet_share=0.8)
        async with fleet() as each:
            daemon = each.add("a", limits=limits)
            await asyncio.gather(*(daemon.ask() for _ in range(20)))
            assert looptime < 0.5

    async def test_all_of_the_share(self) -> None:
        """One that needs all has all of it, after the time in which a new store is careful; never more."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(UNHEARD * LASTING)
            assert daemon.per_second(0) < SAFE + 1
            await asyncio.sleep(1)
            since = now()
            await asyncio.sleep(20)
            assert 0.97 * SHARE < daemon.per_second(since) <= 1.01 * SHARE

    async def test_equal_parts(self) -> None:
        """Three that need all share equally; the late one has its part within one lease time."""
        async with fleet() as each:
            daemons = [each.add(name, busy=True) for name in "ab"]
            await asyncio.sleep(3 * LASTING)
            daemons.append(each.add("late", busy=True))
            await asyncio.sleep(LASTING)
            since = now()
            await asyncio.sleep(10)
            rates = [daemon.per_second(since) for daemon in daemons]
            assert rates == pytest.approx([SHARE / 3] * 3, rel=0.05)

    async def test_unused_rate_goes_back(self) -> None:
        """When one has had enough, the other takes all of the share."""
        async with fleet() as each:
            for name in "ab":
                each.add(name, busy=True)
            await asyncio.sleep(3 * LASTING)
            each.running["a"].pop().cancel()
            await asyncio.sleep(LASTING)
            other = [bid for name, bid in each.store.bids if name == "b"][-1]
            assert other.holds > 0.95 * SHARE

    async def test_killed_with_a_lease_in_hand(self) -> None:
        """Its part is free again after a lease time."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            each.add("dead", busy=True)
            await asyncio.sleep(3 * LASTING)
            each.kill("dead")
            await asyncio.sleep(2 * LASTING)
            assert daemon.reading.leased == pytest.approx(SHARE)

    async def test_leaves(self) -> None:
        """A daemon that ends gives its part back at once."""
        async with fleet() as each:
            daemon, gone = each.add("a", busy=True), each.add("gone", busy=True)
            await asyncio.sleep(3 * LASTING)
            each.kill("gone")
            await gone.leasing.leave()
            await asyncio.sleep(LASTING / 2)
            assert daemon.reading.leased == pytest.approx(SHARE)

    async def test_rests(self) -> None:
        """One that needs nothing gives its lease back, and bids no more than once a minute; the next call goes."""
        async with fleet() as each:
            daemon = each.add("a")
            await daemon.ask()
            await asyncio.sleep(LASTING)
            assert (daemon.reading.leased, each.store.bids[-1][1].need) == (0, 0)
            before = len(each.store.bids)
            await asyncio.sleep(10 * REST_FOR * LASTING)
            assert len(each.store.bids) - before == 10
            called_at = now()
            await daemon.ask()
            assert now() == called_at, "one call was saved up"
            for _ in range(3):
                await daemon.ask()
            assert now() - called_at < 1

    async def test_throttled(self) -> None:
        """A throttled call slows a lease a little, until the next; the fleet hears of it and goes slower together."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(3 * LASTING)

            async def throttle() -> None:
                raise Throttled("x", quota="ssm.get")

            with pytest.raises(Throttled):
                await daemon.guard.gate(Priority.CALLER, now() + 10).once().send(PROBE, throttle)
            assert daemon.reading.rate == pytest.approx(0.9 * SHARE)
            await asyncio.sleep(LASTING / 2)
            assert sum(bid.throttled for _, bid in each.store.bids) == 1
            assert daemon.reading.rate > 0.95 * SHARE

    async def test_own_rates_are_not_leased(self) -> None:
        """An operation without a row has a rate of our own choice, which nobody shares."""
        async with fleet() as each:
            daemon = each.add("a")
            call = Call("sts", "GetCallerIdentity", SCOPE, charges("sts", "GetCallerIdentity"))
            await daemon.ask(call)
            assert (each.store.bids, daemon.guard.readings()[0].leased) == ([], None)

    async def test_unknown_account(self) -> None:
        """Before the account is known nothing is leased, and it begins with one call a second."""
        async with fleet() as each:
            daemon = each.add("a")
            call = Call("ssm", "GetParameters", Scope("default", "eu-west-1"), PROBE.charges)
            waiting = [asyncio.Task(daemon.ask(call)) for _ in range(3)]
            await asyncio.sleep(0.5)
            assert (len(daemon.sent), each.store.bids) == (2, [])
            daemon.guard.merge("default", SCOPE.account)
            await asyncio.sleep(0.5)
            assert [task.done() for task in waiting] == [True] * 3
            assert daemon.reading.leased is not None

    async def test_another_share(self) -> None:
        """A reload's share counts at the next renewal; a smaller one at once."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(3 * LASTING)
            daemon.guard.adopt(Limits(0.1, {"ssm.get": 100}, fleet_share=0.4))
            assert daemon.reading.rate == SHARE / 2
            await asyncio.sleep(LASTING)
            assert daemon.reading.leased == SHARE / 2


class TestDisagreement:
    """Two fleets under one name."""

    async def test_the_smaller_share_counts(self) -> None:
        """For all, and whoever is configured with more says so, once."""
        with capture_logs() as lines:
            async with fleet() as each:
                daemons = [
                    each.add("a", busy=True),
                    each.add("b", busy=True, limits=Limits(0.1, {"ssm.get": 100}, fleet_share=0.2)),
                ]
                await asyncio.sleep(6 * LASTING)
                assert [daemon.reading.leased for daemon in daemons] == pytest.approx([10, 10])
        told = [line for line in lines if line["event"] == events.FLEET_SHARES_DIFFER]
        assert [(line["quota"], line["ours"], line["smallest"]) for line in told] == [("ssm.get", 80, 20)]


class TestLoss:
    """A lost store costs speed: what is held counts until it ends, then the safe minimum."""

    async def test_down_at_the_start(self) -> None:
        """The daemon goes on as one without a fleet, within a moment."""
        async with fleet(Store(lost="no connection")) as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(10)
            assert daemon.sent[0] < 0.01
            assert 0.8 * SAFE < daemon.per_second(5) <= SAFE + 0.5
            assert daemon.reading.leased == 0

    async def test_silent_at_the_start(self) -> None:
        """A store that does not answer holds nothing up for longer than its time-out."""
        async with fleet(Store(takes=3_600)) as each:
            daemon = each.add("a")
            await daemon.ask()
            assert daemon.sent == [pytest.approx(STORE_TIMEOUT, abs=0.1)]

    async def test_lost(self) -> None:
        """Until a lease ends it counts; then each takes an equal part of the share, at most its share alone."""
        async with fleet() as each:
            daemons = [each.add(name, busy=True) for name in "abcdefghij"]
            await asyncio.sleep(3 * LASTING)
            each.store.lost = "no connection"
            lost_at = now()
            await asyncio.sleep(LASTING / 2)
            assert [daemon.reading.leased for daemon in daemons] == pytest.approx([8] * 10)
            await asyncio.sleep(2 * LASTING)
            assert [daemon.reading.leased for daemon in daemons] == [0] * 10
            assert [daemon.reading.rate for daemon in daemons] == [8] * 10
            assert sum(daemon.per_second(lost_at) for daemon in daemons) <= 1.05 * SHARE

    async def test_alone_of_two(self) -> None:
        """Its equal part would be more than its share alone: that is the most."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(3 * LASTING)
            each.store.lost = "no connection"
            await asyncio.sleep(2 * LASTING)
            assert daemon.reading.rate == SAFE

    async def test_found_again(self) -> None:
        """Leases go on; nobody takes more than its safe minimum while others may still be alone."""
        async with fleet() as each:
            daemons = [each.add(name, busy=True) for name in "ab"]
            await asyncio.sleep(3 * LASTING)
            each.store.lost = "no connection"
            await asyncio.sleep(4 * LASTING)
            each.store.lost = ""
            found_at = now()
            await asyncio.sleep(LASTING)
            assert all(daemon.per_second(found_at) <= SAFE + 1 for daemon in daemons)
            await asyncio.sleep(2 * LASTING)
            assert [daemon.reading.leased for daemon in daemons] == pytest.approx([SHARE / 2] * 2)

    async def test_slow(self) -> None:
        """Two seconds for an answer is no answer; requests wait for none of it."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(3 * LASTING)
            each.store.takes = 2.0
            since = now()
            await asyncio.sleep(4 * LASTING)
            assert daemon.reading.rate == SAFE
            gaps = [later - earlier for earlier, later in zip(daemon.sent, daemon.sent[1:], strict=False)]
            assert max(gap for gap, at in zip(gaps, daemon.sent, strict=False) if at > since) < 0.2
            reading = daemon.leasing.reading()
            assert (reading.is_connected, reading.why) == (False, "no answer within 1 s")

    async def test_slow_to_begin(self) -> None:
        """A store that must first find its credentials, for longer than an answer may take, is found all the same."""

        @dataclass
        class Begins(Store):
            """Begins anew with each bid that is broken off."""

            begun: bool = False

            async def _answer(self) -> None:
                if not self.begun:
                    await asyncio.sleep(3)
                    self.begun = True
                await super()._answer()

        async with fleet(Begins()) as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(2 * STORE_TIMEOUT)
            assert not daemon.leasing.reading().is_connected
            assert daemon.sent[0] == pytest.approx(STORE_TIMEOUT, abs=0.1), "requests do not wait for it"
            await asyncio.sleep(2 * LASTING)
            assert daemon.leasing.reading().is_connected

    async def test_slow_beyond_the_lease(self) -> None:
        """An answer that comes when its lease has ended is of no use."""
        async with fleet(Store(lasting=0.1, takes=0.2)) as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(5)
            reading = daemon.leasing.reading()
            assert (reading.is_connected, reading.why) == (
                False,
                "an answer after 0.2 s, when the lease had ended",
            )
            assert daemon.reading.rate <= SAFE

    async def test_flushed(self) -> None:
        """A store that forgot everything learns from those that hold; nobody's rate grows meanwhile."""
        async with fleet() as each:
            daemons = [each.add(name, busy=True) for name in "ab"]
            await asyncio.sleep(3 * LASTING)
            each.store.memory.flush()
            since = now()
            await asyncio.sleep(LASTING)
            assert sum(daemon.per_second(since) for daemon in daemons) <= 1.02 * SHARE
            await asyncio.sleep(LASTING)
            assert [daemon.reading.leased for daemon in daemons] == pytest.approx([SHARE / 2] * 2)

    async def test_store_clock_off(self) -> None:
        """A store whose clock is ten minutes off, and jumps, changes nothing for long."""
        ahead = [600.0]
        store = Store()
        store.memory = MemoryLeases(lambda: now() + ahead[0], LASTING)
        async with fleet(store) as each:
            daemons = [each.add(name, busy=True) for name in "ab"]
            await asyncio.sleep(3 * LASTING)
            for ahead[0] in (0.0, 1_200.0):
                since = now()
                await asyncio.sleep(3 * LASTING)
                assert sum(daemon.per_second(since) for daemon in daemons) <= 1.02 * SHARE
                assert [daemon.reading.leased for daemon in daemons] == pytest.approx([SHARE / 2] * 2)

    async def test_told_once(self) -> None:
        """One line when the store is there, one when it is lost, one when it is found; with the reason."""
        with capture_logs() as lines:
            async with fleet() as each:
                daemon = each.add("a", busy=True)
                assert daemon.leasing.reading().seconds is None
                await asyncio.sleep(1)
                each.store.lost = "it refuses the password"
                await asyncio.sleep(60)
                assert daemon.leasing.reading().why == "it refuses the password"
                each.store.lost = ""
                await asyncio.sleep(10)
                assert daemon.leasing.reading().is_connected
        told = [line for line in lines if line["event"].startswith("fleet")]
        assert [line["event"] for line in told] == [
            events.FLEET_STORE_FOUND,
            events.FLEET_STORE_LOST,
            events.FLEET_STORE_FOUND,
        ]
        assert told[1]["why"] == "it refuses the password"

    async def test_bids_back_off(self) -> None:
        """A store that is down is asked about once a lease time, with jitter."""
        async with fleet(Store(lost="no connection")) as each:
            await each.add("a").ask()
            await asyncio.sleep(100 * LASTING)
            assert 100 < each.store.asked < 250

    async def test_what_is_first_used_while_the_store_is_lost(self) -> None:
        """Another quota does not wait for a store that is known to be away."""
        async with fleet() as each:
            daemon = each.add("a", busy=True)
            await asyncio.sleep(1)
            each.store.lost = "no connection"
            await asyncio.sleep(10)
            asked_at = now()
            await daemon.ask(Call("kms", "Decrypt", SCOPE, charges("kms", "Decrypt")))
            assert now() - asked_at < 0.1

    async def test_rests_when_the_store_is_lost(self) -> None:
        """Who needs nothing when the store goes has its safe minimum when it does."""
        async with fleet() as each:
            daemon = each.add("a")
            await daemon.ask()
            await asyncio.sleep(2 * LASTING)
            each.store.lost = "no connection"
            asked_at = now()
            await asyncio.gather(*(daemon.ask() for _ in range(11)))
            assert now() - asked_at < 1.1 + 0.5

    async def test_cannot_leave(self) -> None:
        """A daemon ends in time though the store does not answer, and at once where that is known."""
        async with fleet() as each:
            daemon = each.add("a")
            await daemon.ask()
            for each.store.takes, each.store.lost, most in ((3_600, "", STORE_TIMEOUT), (0, "no connection", 0)):
                ends_at = now()
                await daemon.leasing.leave()
                assert now() - ends_at <= most
            await asyncio.gather(*(daemon.ask() for _ in range(9)))
            assert not daemon.leasing.reading().is_connected
            asked = each.store.asked
            await daemon.leasing.leave()
            assert each.store.asked == asked


class TestCallers:
    """Whoever waits is not refused for want of a lease that is on its way."""

    async def test_before_the_first_lease(self) -> None:
        """A caller's deadline is measured by what is to be expected."""
        async with fleet() as each:
            daemon = each.add("a")
            gate = daemon.guard.gate(Priority.CALLER, now() + 1)
            await gate.send(PROBE, daemon.attempt)
            assert daemon.sent[0] < 1

    async def test_beyond_what_is_to_be_expected(self) -> None:
        """What even its safe minimum would not let through in time is refused at once."""
        async with fleet() as each:
            daemon = each.add("a")
            waiting = [asyncio.Task(daemon.ask()) for _ in range(3)]
            many = [asyncio.Task(self._caller(daemon)) for _ in range(40)]
            refused = [error for error in await asyncio.gather(*many, return_exceptions=True) if error]
            assert all(isinstance(error, Overloaded) for error in refused)
            assert 5 < len(refused) < 35
            await asyncio.gather(*waiting)

    @staticmethod
    async def _caller(daemon: Daemon) -> None:
        await daemon.guard.gate(Priority.CALLER, now() + 1).send(PROBE, daemon.attempt)
