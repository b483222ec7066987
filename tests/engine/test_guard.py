import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from sidecar.core.errors import (
    AccessDenied,
    NotFound,
    Overloaded,
    SidecarError,
    Throttled,
    TimedOut,
    Transient,
    Undecryptable,
    Unintelligible,
    Unreachable,
)
from sidecar.core.pacing import FIRST_RISE, RISE, START_RATE
from sidecar.core.ports import Call, Priority
from sidecar.core.quotas import Limits, QuotaReading, Scope, charges
from sidecar.engine.guard import BACKGROUND_ATTEMPTS, CALL_TIMEOUT, Guard, GuardGate
from sidecar.telemetry import Metrics

pytestmark = pytest.mark.looptime

SCOPE = Scope("111111111111", "eu-west-1")
PROBE = Call("ssm", "GetParameters", SCOPE, charges("ssm", "GetParameters", 0))
FETCH = Call("ssm", "GetParameters", SCOPE, charges("ssm", "GetParameters", 1))
DECRYPT = Call("kms", "Decrypt", SCOPE, charges("kms", "Decrypt"))

ROSE = RISE + RISE / 0.5  # what one answer adds at half a call a second


@dataclass
class World:
    """A guard with quotas of 4 (ssm) and 10 (kms) a second, dice that show their maximum, and what it counted."""

    limits: Limits = field(default_factory=lambda: Limits(1.0, {"ssm.get": 4, "kms.symmetric": 10}))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    log: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the guard."""
        self.guard = Guard(self.limits, dice=lambda: 1.0, metrics=Metrics(self.registry))

    def answer(self, name: str = "", *failures: SidecarError, takes: float = 0.0) -> Callable[[], Awaitable[str]]:
        """Make an attempt that fails like this, one after the other, and then succeeds; it logs when it is made."""
        script = list(failures)

        async def attempt() -> str:
            self.log.append((name, round(asyncio.get_running_loop().time(), 5)))
            await asyncio.sleep(takes)
            if script:
                raise script.pop(0)
            return name

        return attempt

    def caller(self, within: float = 60.0) -> GuardGate:
        """Give a caller's gate."""
        return self.guard.gate(Priority.CALLER, asyncio.get_running_loop().time() + within)

    def background(self) -> GuardGate:
        """Give a gate for which nobody waits."""
        return self.guard.gate(Priority.BACKGROUND)

    def reading(self, quota: str) -> QuotaReading:
        """Say how a quota stands."""
        return next(reading for reading in self.guard.readings() if reading.quota == quota)

    def metric(self, name: str, **labels: str) -> float | None:
        """Read a sample as it would be scraped."""
        return self.registry.get_sample_value(name, labels)

    def requests(self, outcome: str, service: str = "ssm", operation: str = "GetParameters") -> float | None:
        """Read how many attempts ended like this."""
        return self.metric("sidecar_aws_requests_total", service=service, operation=operation, outcome=outcome)


@pytest.fixture
def world() -> World:
    """Give a fresh guard."""
    return World()


async def fill(world: World, *, waiting: int = 0, call: Call = PROBE) -> list[asyncio.Task[str]]:
    """Use up the burst, and let so many of the background wait; each goes a quarter of a second after the other."""
    for _ in range(2):
        await world.background().send(call, world.answer())
    tasks = [asyncio.Task(world.background().send(call, world.answer(f"b{n}"))) for n in range(waiting)]
    await asyncio.sleep(0)
    world.log.clear()
    return tasks


class TestRetry:
    """What is transient is tried again; what is definitive is not."""

    async def test_gives_what_the_attempt_gives(self, world: World, looptime: float) -> None:
        """An undisturbed call takes no time and is counted once."""
        assert await world.caller().send(PROBE, world.answer("value")) == "value"
        assert (looptime, world.requests("ok")) == (0, 1)

    async def test_backs_off_and_doubles(self, world: World, looptime: float) -> None:
        """Three failures cost 100, 200 and 400 ms when the dice show their maximum."""
        failures = [Unreachable("no route")] * 3
        assert await world.caller().send(PROBE, world.answer("value", *failures)) == "value"
        assert looptime == 0.7
        assert (world.requests("error"), world.requests("ok")) == (3, 1)

    async def test_counts_retries_by_reason(self, world: World) -> None:
        """A retry is charged to the call's own quota, or to the one that throttled."""
        await world.caller().send(FETCH, world.answer("", Unreachable("x"), Throttled("x", quota="kms.symmetric")))
        where = {"account": SCOPE.account, "region": SCOPE.region}
        assert world.metric("sidecar_retries_total", quota="ssm.get", reason="error", **where) == 1
        assert world.metric("sidecar_retries_total", quota="kms.symmetric", reason="throttled", **where) == 1

    async def test_honours_retry_after(self, world: World, looptime: float) -> None:
        """It stays away as long as AWS wants, and the backoff on top, lest all come back at once."""
        await world.background().send(PROBE, world.answer("", Unreachable("x", retry_after=5)))
        assert looptime == 5.1

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [(AccessDenied("x"), "denied"), (NotFound("x"), "not_found"), (Undecryptable("x"), "error")],
    )
    async def test_definitive_answers_pass(self, world: World, error: SidecarError, outcome: str) -> None:
        """AWS has answered: nothing is tried again."""
        with pytest.raises(type(error)):
            await world.caller().send(PROBE, world.answer("", error))
        assert (len(world.log), world.requests(outcome)) == (1, 1)

    async def test_background_gives_up(self, world: World, looptime: float) -> None:
        """Where nobody waits, four attempts are enough."""
        with pytest.raises(Unreachable):
            await world.background().send(PROBE, world.answer("", *[Unreachable("x")] * 9))
        assert (len(world.log), looptime) == (BACKGROUND_ATTEMPTS, 0.7)

    async def test_background_does_not_sit_out_a_long_pause(self, world: World, looptime: float) -> None:
        """Told to come back in a minute, the background leaves it to the next check."""
        with pytest.raises(Unreachable):
            await world.background().send(PROBE, world.answer("", Unreachable("x", retry_after=60)))
        assert looptime == 0

    async def test_caller_tries_until_its_deadline(self, world: World, looptime: float) -> None:
        """A caller is retried beyond four attempts, but no pause goes beyond its deadline."""
        with pytest.raises(Unreachable):
            await world.caller(within=3.0).send(PROBE, world.answer("", *[Unreachable("x")] * 9))
        assert [at for _, at in world.log] == [0, 0.1, 0.3, 0.7, 1.5]
        assert looptime == 1.5

    async def test_once(self, world: World, looptime: float) -> None:
        """A gate without retries makes one attempt."""
        once = world.caller().once()
        assert once.once() is once
        with pytest.raises(Unreachable):
            await once.send(PROBE, world.answer("", Unreachable("x")))
        assert (len(world.log), looptime) == (1, 0)

    async def test_budget(self, world: World) -> None:
        """While all fails retries soon are a fifth of the calls; another service has a budget of its own."""
        for _ in range(30):
            with pytest.raises(Unintelligible):
                await world.background().send(PROBE, world.answer("", *[Unintelligible("x")] * 4))
        assert len(world.log) == 30 + 10 + 29 * 0.2 // 1
        world.log.clear()
        await world.background().send(DECRYPT, world.answer("", Unreachable("x")))
        assert len(world.log) == 2

    async def test_pause_holds_no_quota(self, world: World) -> None:
        """While one call pauses, another takes the free token at once."""
        limping = asyncio.Task(world.caller().send(PROBE, world.answer("limping", Unreachable("x", retry_after=30))))
        await asyncio.sleep(10)
        await world.caller().send(PROBE, world.answer("quick"))
        await limping
        assert world.log == [("limping", 0), ("quick", 10), ("limping", 30.1)]

    async def test_foreign_errors_are_counted_and_pass(self, world: World) -> None:
        """A fault of our own in a source is not retried, and its attempt is counted."""

        async def crash() -> str:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await world.caller().send(PROBE, crash)
        assert world.requests("error") == 1


class TestTimeOut:
    """No attempt lasts for ever."""

    async def test_call_times_out(self, world: World, looptime: float) -> None:
        """An attempt without an answer ends with the call's time-out, and counts as such."""
        with pytest.raises(TimedOut):
            await world.background().once().send(PROBE, world.answer("", takes=3_600))
        assert (looptime, world.requests("timeout")) == (CALL_TIMEOUT, 1)

    async def test_not_past_the_deadline(self, world: World, looptime: float) -> None:
        """The caller's deadline ends it sooner."""
        with pytest.raises(TimedOut, match=r"GetParameters: no answer within 2.5 s"):
            await world.caller(within=2.5).send(PROBE, world.answer("", takes=3_600))
        assert looptime == 2.5


class TestQuota:
    """No more than the share, callers first."""

    async def test_burst_then_rate(self, world: World) -> None:
        """Two go at once, the others a quarter of a second apart, in the order in which they came."""
        await asyncio.gather(*(world.background().send(PROBE, world.answer(str(n))) for n in range(5)))
        assert world.log == [("0", 0), ("1", 0), ("2", 0.25), ("3", 0.5), ("4", 0.75)]

    async def test_callers_overtake_background(self, world: World) -> None:
        """A caller that comes last goes first."""
        tasks = await fill(world, waiting=2)
        await world.caller().send(PROBE, world.answer("c"))
        await asyncio.gather(*tasks)
        assert world.log == [("c", 0.25), ("b0", 0.5), ("b1", 0.75)]

    async def test_promote(self, world: World) -> None:
        """A background request that a caller joins goes on among the callers, and then keeps no deadline."""
        tasks = await fill(world, waiting=2)
        gate = world.guard.gate(Priority.BACKGROUND)
        joined = asyncio.Task(gate.send(PROBE, world.answer("joined")))
        await asyncio.sleep(0)
        gate.promote(deadline=0.1)
        await asyncio.gather(*tasks, joined)
        assert world.log == [("joined", 0.25), ("b0", 0.5), ("b1", 0.75)]
        assert (gate.priority, gate.deadline) == (Priority.CALLER, None)

    async def test_promote_before_it_waits(self, world: World) -> None:
        """What a promoted check asks for later is a caller's too, and is retried as long as the caller waits."""
        tasks = await fill(world, waiting=1)
        gate = world.guard.gate(Priority.BACKGROUND)
        gate.promote(deadline=60)
        await gate.send(PROBE, world.answer("joined", *[Unreachable("x")] * 5))
        await asyncio.gather(*tasks)
        assert len([name for name, _ in world.log if name == "joined"]) == 6
        assert world.log[0] == ("joined", 0.25)

    async def test_promote_puts_a_deadline_off(self, world: World) -> None:
        """A later caller's deadline replaces an earlier one's, an earlier one's does not."""
        await fill(world)
        tasks = [asyncio.Task(world.caller().send(PROBE, world.answer())) for _ in range(3)]
        gate = world.guard.gate(Priority.CALLER, 1.1)
        waiting = asyncio.Task(gate.send(PROBE, world.answer("late")))
        await asyncio.sleep(0.1)
        world.guard.adopt(Limits(1.0, {"ssm.get": 1}))  # the rate falls: the old deadline will not do
        gate.promote(deadline=30)
        gate.promote(deadline=10)
        await asyncio.gather(*tasks, waiting)
        assert gate.deadline == 30
        assert world.log[-1] == ("late", 3.7)

    async def test_promote_too_late_for_a_wait(self, world: World) -> None:
        """A wait that has just ended with its deadline stays ended."""
        await fill(world)
        gate = world.guard.gate(Priority.BACKGROUND, 1.0)
        waiting = asyncio.Task(gate.send(PROBE, world.answer()))
        await asyncio.sleep(0)
        world.guard.adopt(Limits(1.0, {"ssm.get": 0.1}))
        asyncio.get_running_loop().call_at(1.0, gate.promote, 30.0)
        with pytest.raises(Overloaded):
            await waiting

    async def test_deadline_that_cannot_be_met(self, world: World, looptime: float) -> None:
        """It is refused at once, with the time after which the queue has passed."""
        await fill(world)
        tasks = [asyncio.Task(world.caller().send(PROBE, world.answer())) for _ in range(7)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match=r"the share of ssm.get is taken for the next 2.0 s") as refusal:
            await world.caller(within=1.5).send(PROBE, world.answer("never"))
        assert (looptime, refusal.value.retry_after) == (0, 2)
        where = {"account": SCOPE.account, "region": SCOPE.region}
        assert world.metric("sidecar_quota_refused_total", quota="ssm.get", **where) == 1
        assert (world.reading("ssm.get").refused, world.reading("ssm.get").waiting) == (1, 7)
        await asyncio.gather(*tasks)
        assert "never" not in dict(world.log)

    async def test_background_in_front_does_not_refuse_callers(self, world: World) -> None:
        """Only those who go before a caller count against its deadline."""
        tasks = await fill(world, waiting=20)
        await world.caller(within=0.5).send(PROBE, world.answer("c"))
        assert world.log == [("c", 0.25)]
        await asyncio.gather(*tasks)

    async def test_deadline_overtaken_by_a_fall_of_the_rate(self, world: World, looptime: float) -> None:
        """Who waits when AWS throttles is refused at its deadline, with the wait as it then is."""
        await fill(world)
        waiting = asyncio.Task(world.caller(within=2).send(PROBE, world.answer()))
        await asyncio.sleep(0)
        world.guard.adopt(Limits(1.0, {"ssm.get": 0.1}))
        with pytest.raises(Overloaded) as refusal:
            await waiting
        assert refusal.value.retry_after == pytest.approx(8)
        assert looptime == 2
        assert not world.guard.waiting

    async def test_deadline_in_the_past(self, world: World) -> None:
        """It is refused without an attempt."""
        with pytest.raises(Overloaded):
            await world.caller(within=0).send(PROBE, world.answer())
        assert world.log == []

    async def test_refusal_is_not_retried(self, world: World) -> None:
        """A retry stands at the end of the line, and is refused where that is too long for its deadline."""
        await fill(world)
        unlucky = asyncio.Task(world.caller(within=10).send(PROBE, world.answer("x", Unreachable("x"))))
        await asyncio.sleep(0)
        others = [asyncio.Task(world.caller().send(PROBE, world.answer())) for _ in range(60)]
        with pytest.raises(Overloaded):
            await unlucky
        assert [at for name, at in world.log if name == "x"] == [0.25]
        await asyncio.gather(*others)

    async def test_waits_for_all_its_quotas_holding_none(self, world: World) -> None:
        """A fetch that waits for KMS lets probes pass and takes its SSM token only when it goes."""
        await world.caller().send(DECRYPT, world.answer())
        await world.caller().send(DECRYPT, world.answer())
        world.guard.adopt(Limits(1.0, {"ssm.get": 4, "kms.symmetric": 0.1}))
        fetch = asyncio.Task(world.caller().send(FETCH, world.answer("fetch")))
        await asyncio.sleep(0)
        world.log.clear()
        for _ in range(3):
            await world.background().send(PROBE, world.answer("probe"))
        await fetch
        assert world.log == [("probe", 0), ("probe", 0), ("probe", 0.25), ("fetch", 10)]

    async def test_background_is_not_starved(self, world: World) -> None:
        """Of a flood of callers every tenth gives way to the background."""
        tasks = await fill(world, waiting=2)
        tasks += [asyncio.Task(world.caller().send(PROBE, world.answer("c"))) for _ in range(25)]
        await asyncio.gather(*tasks)
        assert [place for place, (name, _) in enumerate(world.log) if name != "c"] == [9, 19]

    async def test_debt(self, world: World) -> None:
        """A charge of twenty goes at once where the burst is two; the next one waits for it."""
        many = Call("ssm", "GetParameters", SCOPE, charges("ssm", "GetParameters", 20))
        await world.background().send(many, world.answer("many"))
        await world.background().send(DECRYPT, world.answer("one"))
        assert world.log == [("many", 0), ("one", 1.9)]

    async def test_refused_batch_is_refunded(self, world: World) -> None:
        """A batch that is not permitted has decrypted nothing: the single calls that replace it go at once."""
        service = "secretsmanager"
        batch = Call(service, "BatchGetSecretValue", SCOPE, charges(service, "BatchGetSecretValue", 20))
        single = Call(service, "GetSecretValue", SCOPE, charges(service, "GetSecretValue"))
        with pytest.raises(AccessDenied):
            await world.background().send(batch, world.answer("batch", AccessDenied("x")))
        await world.background().send(single, world.answer("single"))
        assert world.log == [("batch", 0), ("single", 0)]

    async def test_scopes_are_apart(self, world: World, looptime: float) -> None:
        """One account's queue does not hold up another's."""
        tasks = await fill(world, waiting=5)
        elsewhere = Call("ssm", "GetParameters", Scope("222222222222", "eu-west-1"), PROBE.charges)
        await world.background().send(elsewhere, world.answer())
        assert looptime == 0
        await asyncio.gather(*tasks)

    async def test_waits_are_measured(self, world: World) -> None:
        """Each admission is observed once, with the quota that made it wait and for whom."""
        tasks = await fill(world, waiting=1)
        await asyncio.gather(*tasks)
        labels = {"quota": "ssm.get", "priority": "background"}
        assert world.metric("sidecar_quota_wait_seconds_count", **labels) == 3
        assert world.metric("sidecar_quota_wait_seconds_sum", **labels) == pytest.approx(0.25)


class TestSteering:
    """AWS's throttling slows what it is about, and nothing else."""

    async def test_named_quota_slows(self, world: World) -> None:
        """KMS throttles behind SSM: half of the one call in its last second is left, ssm.get keeps its rate."""
        await world.background().send(FETCH, world.answer("", Throttled("x", quota="kms.symmetric")))
        assert (world.reading("kms.symmetric").rate, world.reading("ssm.get").rate) == (0.5 + ROSE, 4)
        assert (world.reading("kms.symmetric").throttled, world.reading("ssm.get").throttled) == (1, 0)

    async def test_unnamed_quota_is_the_nearest_to_its_limit(self, world: World) -> None:
        """Of ssm.get (1 of 4 used) and kms.symmetric (1 of 10) the first is to blame."""
        await world.background().send(FETCH, world.answer("", Throttled("x")))
        assert (world.reading("kms.symmetric").throttled, world.reading("ssm.get").throttled) == (0, 1)
        assert world.reading("ssm.get").rate == 0.5 + ROSE

    async def test_named_quota_that_was_not_charged(self, world: World) -> None:
        """A quota that only the error knows is slowed all the same."""
        with pytest.raises(Throttled):
            await world.background().once().send(PROBE, world.answer("", Throttled("x", quota="kms.symmetric")))
        assert (world.reading("kms.symmetric").rate, world.reading("ssm.get").rate) == (0.5, 4)

    async def test_other_failures_do_not_slow(self, world: World) -> None:
        """An outage is no reason to go slower."""
        with pytest.raises(Unreachable):
            await world.background().once().send(PROBE, world.answer("", Unreachable("x")))
        assert world.reading("ssm.get").rate == 4

    async def test_those_who_wait_feel_it(self, world: World) -> None:
        """A cut moves the time of who waits already: a quarter of a second becomes a whole one."""
        await world.background().send(PROBE, world.answer())
        throttled = asyncio.Task(world.caller().once().send(PROBE, world.answer("t", Throttled("x"))))
        waiting = asyncio.Task(world.caller().send(PROBE, world.answer("w")))
        assert isinstance((await asyncio.gather(throttled, waiting, return_exceptions=True))[0], Throttled)
        assert world.log[1:] == [("t", 0), ("w", 1)]

    async def test_rises_to_its_share(self) -> None:
        """A daemon alone makes twenty calls of 50 ms, one after the other's answer or not, within a second."""
        world = World(Limits(0.1))
        call = Call("secretsmanager", "GetSecretValue", SCOPE, charges("secretsmanager", "GetSecretValue"))
        await asyncio.gather(*(world.background().send(call, world.answer(takes=0.05)) for _ in range(20)))
        assert world.log[-1][1] < 0.5
        assert world.reading("sm.get").rate == START_RATE + 20 * FIRST_RISE

    async def test_adopts_other_limits(self, world: World) -> None:
        """After a reload quotas in use keep to the new share, those unused so far too."""
        await world.background().send(PROBE, world.answer())
        world.guard.adopt(Limits(0.5, {"ssm.get": 4, "kms.symmetric": 10}))
        await world.background().send(FETCH, world.answer())
        assert (world.reading("ssm.get").rate, world.reading("kms.symmetric").rate) == (2, 5)


class TestReadings:
    """What status and health see."""

    async def test_reading(self, world: World) -> None:
        """A reading tells limit, share, rate, use and who waits."""
        tasks = await fill(world, waiting=3)
        assert world.reading("ssm.get") == QuotaReading(
            SCOPE, "ssm.get", limit=4, ceiling=4, rate=4, used=2, waiting=3, throttled=0, refused=0
        )
        await asyncio.gather(*tasks)
        assert world.reading("ssm.get").waiting == 0

    async def test_progress(self, world: World) -> None:
        """An admission and an outcome are progress; waiting for quota is told apart."""
        assert world.guard.progressed_at == float("-inf")
        assert not world.guard.waiting
        tasks = await fill(world, waiting=1)
        assert (world.guard.progressed_at, world.guard.waiting) == (0, True)
        await asyncio.gather(*tasks)
        assert (world.guard.progressed_at, world.guard.waiting) == (0.25, False)
        with pytest.raises(Transient):
            await world.background().once().send(PROBE, world.answer("", Unreachable("x"), takes=2))  # admitted at 0.5
        assert world.guard.progressed_at == 2.5


class TestBiding:
    """One check behind another's request."""

    async def test_to_its_own_deadline(self, world: World) -> None:
        """It is told then, the request that it waited for goes on, and a gate without retries waits no longer."""
        other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for gate, ends in ((world.caller(within=5), 5), (world.caller(within=7).once(), 7)):
            with pytest.raises(TimedOut):
                await gate.bide(asyncio.shield(other))
            assert asyncio.get_running_loop().time() == ends
        assert not other.done()

    async def test_a_caller_who_joins_puts_it_off(self, world: World) -> None:
        """What is given in time is passed on."""
        gate = world.guard.gate(Priority.BACKGROUND, 5)
        waiting = asyncio.Task(gate.bide(asyncio.sleep(6, "given")))
        await asyncio.sleep(1)
        gate.promote(deadline=20)
        assert await waiting == "given"
