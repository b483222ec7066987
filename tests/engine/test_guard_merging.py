import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from sidecar.core.errors import Overloaded, Throttled
from sidecar.core.ports import Call, Priority
from sidecar.core.quotas import Limits, QuotaReading, Scope, charges
from sidecar.engine.guard import Guard, GuardGate
from sidecar.telemetry import Metrics

pytestmark = pytest.mark.looptime

ACCOUNT, REGION = "111111111111", "eu-west-1"
PROBE = charges("ssm", "GetParameters", 0)
FETCH = charges("ssm", "GetParameters", 1)


def call(account: str, region: str = REGION, *, plaintext: bool = False) -> Call:
    """Make a request charged to this account, or to what stands in for it."""
    return Call("ssm", "GetParameters", Scope(account, region), FETCH if plaintext else PROBE)


@dataclass
class World:
    """A guard with 4 reads and 10 decryptions a second, and when what was sent."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    log: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the guard."""
        limits = Limits(1.0, {"ssm.get": 4, "kms.symmetric": 10})
        self.guard = Guard(limits, dice=lambda: 1.0, metrics=Metrics(self.registry))

    def gate(self, priority: Priority = Priority.BACKGROUND, deadline: float | None = None) -> GuardGate:
        """Give a gate."""
        return self.guard.gate(priority, deadline)

    def attempt(self, name: str, takes: float = 0.0, error: Exception | None = None) -> Callable[[], Awaitable[None]]:
        """Make an attempt that logs when it is made, and ends like this."""

        async def attempt() -> None:
            self.log.append((name, round(asyncio.get_running_loop().time(), 5)))
            await asyncio.sleep(takes)
            if error:
                raise error

        return attempt

    def send(self, name: str, account: str, gate: GuardGate | None = None) -> "asyncio.Task[None]":
        """Send a request, by itself."""
        return asyncio.Task((gate or self.gate()).send(call(account), self.attempt(name)))

    def reading(self, quota: str = "ssm.get", account: str = ACCOUNT) -> QuotaReading:
        """Say how a quota stands."""
        return next(each for each in self.guard.readings() if (each.quota, each.scope.account) == (quota, account))

    def accounts(self) -> set[str]:
        """Name the accounts that are shown."""
        return {reading.scope.account for reading in self.guard.readings()}


@pytest.fixture
def world() -> World:
    """Give a fresh guard."""
    return World()


async def test_first_to_be_known(world: World) -> None:
    """What stood in becomes the account, in all regions: rates, lines and counts go on as though it always had been."""
    waiting = [world.send(str(n), "default") for n in range(4)]
    other = asyncio.Task(world.gate().send(call("default", "us-east-1"), world.attempt("there")))
    await asyncio.sleep(0)
    world.guard.merge("default", ACCOUNT)
    assert world.accounts() == {ACCOUNT}
    assert (world.reading().waiting, world.reading().used) == (2, 2)
    last = world.send("4", ACCOUNT)
    await asyncio.gather(*waiting, other, last)
    assert world.log == [("0", 0), ("1", 0), ("there", 0), ("2", 0.25), ("3", 0.5), ("4", 0.75)]


async def test_into_one_that_is_known(world: World) -> None:
    """Two identities of one account: the second's line stands behind the first's, callers before background."""
    first = [world.send(f"first{n}", ACCOUNT) for n in range(4)]
    second = [world.send(f"second{n}", "billing") for n in range(4)]
    caller = world.send("caller", "billing", world.gate(Priority.CALLER, 60.0))
    await asyncio.sleep(0)
    world.log.clear()
    world.guard.merge("billing", ACCOUNT)
    assert world.accounts() == {ACCOUNT}
    assert (world.reading().waiting, world.reading().used) == (5, 4)
    await asyncio.gather(*first, *second, caller)
    names = [name for name, _ in world.log]
    assert names == ["caller", "first2", "first3", "second2", "second3"]
    times = [at for _, at in world.log]
    assert times == pytest.approx([0.75, 1.0, 1.25, 1.5, 1.75]), "what both had taken is owed"
    assert not world.guard.waiting


async def test_under_way(world: World) -> None:
    """A request that is under way when the account becomes known counts for the account when it is answered."""
    error = Throttled("x", quota="kms.symmetric")
    gate = world.gate().once()
    flight = asyncio.Task(gate.send(call("billing", plaintext=True), world.attempt("x", 1.0, error)))
    await world.send("y", ACCOUNT)
    await asyncio.sleep(0.5)
    world.guard.merge("billing", ACCOUNT)
    with pytest.raises(Throttled):
        await flight
    assert world.reading("kms.symmetric").throttled == 1
    assert world.reading("kms.symmetric").rate < 10


async def test_counts_and_cuts(world: World) -> None:
    """Throttlings and refusals add up, also in the series; the slower of two rates counts where one was cut."""
    await world.send("y", ACCOUNT)
    for _ in range(3):
        with pytest.raises(Throttled):
            await world.gate().once().send(call("billing"), world.attempt("x", 0, Throttled("x")))
    with pytest.raises(Overloaded):
        await world.send("z", "billing", world.gate(Priority.CALLER, asyncio.get_running_loop().time()))
    slow = world.reading(account="billing").rate
    world.guard.merge("billing", ACCOUNT)
    assert (world.reading().throttled, world.reading().refused, world.reading().rate) == (3, 1, slow)
    where = {"region": REGION, "quota": "ssm.get"}
    refused = [
        world.registry.get_sample_value("sidecar_quota_refused_total", {"account": account, **where})
        for account in (ACCOUNT, "billing")
    ]
    assert refused == [1, None]


async def test_retries_move(world: World) -> None:
    """Whoever was retried for the stand-in was retried for the account."""
    errors = [Throttled("x", quota="ssm.get")]

    async def attempt() -> None:
        if errors:
            raise errors.pop()

    await world.gate().send(call("default"), attempt)
    world.guard.merge("default", ACCOUNT)
    where = {"account": ACCOUNT, "region": REGION, "quota": "ssm.get", "reason": "throttled"}
    assert world.registry.get_sample_value("sidecar_retries_total", where) == 1


async def test_those_who_gave_up_stay_gone(world: World) -> None:
    """A cancelled request and a promoted one are moved as they are."""
    gate = world.gate()
    full = [world.send(str(n), "billing") for n in range(2)]
    gone, joined = world.send("gone", "billing"), world.send("joined", "billing", gate)
    behind = world.send("behind", "billing")
    await asyncio.sleep(0)
    gone.cancel()
    gate.promote(60.0)
    await world.send("y", ACCOUNT)
    world.guard.merge("billing", ACCOUNT)
    await asyncio.gather(*full, joined, behind)
    assert [name for name, _ in world.log] == ["0", "1", "y", "joined", "behind"]
    assert world.reading().waiting == 0


async def test_nothing_to_merge(world: World) -> None:
    """An account that is known before the first request changes nothing."""
    world.guard.merge("default", ACCOUNT)
    assert world.guard.readings() == []
