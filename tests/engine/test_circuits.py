import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.core.errors import NotFound, TimedOut, Unreachable
from sidecar.core.pacing import BREAKER_AFTER, BREAKER_CAP
from sidecar.core.ports import Call, Gate, Priority
from sidecar.core.quotas import Limits, Scope, charges
from sidecar.engine.guard import CALL_TIMEOUT, MOST_PROBES, Guard, GuardGate
from sidecar.telemetry import Metrics, events

pytestmark = pytest.mark.looptime

SCOPE = Scope("111111111111", "eu-west-1")
ASK = Call("ssm", "GetParameters", SCOPE, charges("ssm", "GetParameters", 0), "default")
ELSEWHERE = Call("kms", "Decrypt", SCOPE, charges("kms", "Decrypt"), "default")


@dataclass
class Endpoint:
    """Something that answers or not, the guard before it, and when it was asked."""

    is_up: bool = True
    takes: float = 0.0
    asked: list[float] = field(default_factory=list)
    recoveries: int = 0
    down_at: float = 0.0

    def __post_init__(self) -> None:
        """Build the guard; its dice show their maximum."""
        limits = Limits(1.0, {"ssm.get": 1_000, "kms.symmetric": 1_000})
        self.guard = Guard(limits, dice=lambda: 1.0, metrics=Metrics(CollectorRegistry()))
        self.guard.on_recovery = self.note_recovery

    def note_recovery(self) -> None:
        """Count."""
        self.recoveries += 1

    async def attempt(self) -> str:
        """Answer, if it is up."""
        self.asked.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if not self.is_up:
            raise Unreachable("ssm:/canary: no connection", mend="Look at the network.")
        return "answer"

    def caller(self, within: float = 60.0) -> GuardGate:
        """Give a caller's gate."""
        return self.guard.gate(Priority.CALLER, asyncio.get_running_loop().time() + within)

    def background(self) -> GuardGate:
        """Give a gate for which nobody waits."""
        return self.guard.gate(Priority.BACKGROUND)

    async def go_down(self) -> None:
        """Stop answering until that is known."""
        self.is_up = False
        for _ in range(BREAKER_AFTER):
            with pytest.raises(Unreachable):
                await self.background().once().send(ASK, self.attempt)
        self.asked.clear()
        self.down_at = asyncio.get_running_loop().time()

    @property
    def since(self) -> float:
        """Say how long ago it went down."""
        return round(asyncio.get_running_loop().time() - self.down_at, 3)

    def ask(self, gate: Gate) -> "asyncio.Task[str]":
        """Send one request."""
        return asyncio.Task(gate.send(ASK, self.attempt))


@pytest.fixture
def endpoint() -> Endpoint:
    """Give one that is up."""
    return Endpoint()


async def seconds(count: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(count)


async def test_callers_are_told_at_once(endpoint: Endpoint) -> None:
    """What is known is told without asking, with the time to come back, and not whose request found it out."""
    await endpoint.go_down()
    for _ in range(100):
        with pytest.raises(Unreachable, match=r"^ssm in eu-west-1 does not answer$") as told:
            await endpoint.caller().send(ASK, endpoint.attempt)
    assert (told.value.retry_after, told.value.mend) == (0.5, "Look at the network.")
    assert (endpoint.asked, endpoint.since) == ([], 0)


async def test_one_probe_after_each_pause(endpoint: Endpoint) -> None:
    """Of a hundred that want to know one goes; pauses double up to their cap."""
    await endpoint.go_down()
    for _ in range(400):
        await asyncio.gather(*(endpoint.ask(endpoint.caller()) for _ in range(100)), return_exceptions=True)
        await seconds(0.1)
    pauses = [round(later - earlier, 1) for earlier, later in zip(endpoint.asked, endpoint.asked[1:], strict=False)]
    assert pauses[:3] == [1, 2, 4]
    assert set(pauses[3:]) == {BREAKER_CAP}


async def test_one_of_the_background_stands_by(endpoint: Endpoint) -> None:
    """It probes when the pause is over, and when that succeeds all may go; the others were told at once."""
    await endpoint.go_down()
    prober, other = endpoint.ask(endpoint.background()), endpoint.ask(endpoint.background())
    with pytest.raises(Unreachable):
        await other
    assert endpoint.guard.waiting
    await seconds(0.4)
    endpoint.is_up = True
    assert await prober == "answer"
    assert (endpoint.since, len(endpoint.asked), endpoint.recoveries) == (0.5, 1, 1)
    assert await endpoint.caller().send(ASK, endpoint.attempt) == "answer"
    assert not endpoint.guard.waiting


async def test_recovery_is_noticed_within_seconds(endpoint: Endpoint) -> None:
    """However long the outage was, the pause is no longer than its cap."""
    await endpoint.go_down()
    prober = endpoint.ask(endpoint.background())
    await seconds(20)
    endpoint.is_up = True
    await prober
    assert endpoint.since <= 20 + BREAKER_CAP


async def test_every_check_ends(endpoint: Endpoint) -> None:
    """Who stands by gives way after some probes."""
    await endpoint.go_down()
    with pytest.raises(Unreachable):
        await endpoint.background().send(ASK, endpoint.attempt)
    assert len(endpoint.asked) == MOST_PROBES


async def test_a_caller_that_joins_is_told_at_once(endpoint: Endpoint) -> None:
    """It does not wait for the probe."""
    await endpoint.go_down()
    gate = endpoint.background()
    prober = endpoint.ask(gate)
    await seconds(0.1)
    gate.promote(60.0)
    with pytest.raises(Unreachable):
        await prober
    assert endpoint.since == 0.1


async def test_a_deadline_ends_the_wait(endpoint: Endpoint) -> None:
    """What is of no use later is told that it failed."""
    await endpoint.go_down()
    with pytest.raises(Unreachable):
        await endpoint.guard.gate(Priority.BACKGROUND, endpoint.down_at + 0.3).send(ASK, endpoint.attempt)
    assert endpoint.since == 0.3


async def test_who_has_another_place_to_ask_does_not_wait(endpoint: Endpoint) -> None:
    """A failover goes on to the next region."""
    await endpoint.go_down()
    with pytest.raises(Unreachable):
        await endpoint.background().once().send(ASK, endpoint.attempt)
    assert (endpoint.asked, endpoint.since) == ([], 0)


async def test_endpoints_are_apart(endpoint: Endpoint) -> None:
    """Another service, and the same one as somebody else, are asked as ever."""
    await endpoint.go_down()
    endpoint.is_up = True
    other = Call("ssm", "GetParameters", SCOPE, ASK.charges, "billing")
    for call in (ELSEWHERE, other):
        assert await endpoint.caller().send(call, endpoint.attempt) == "answer"


async def test_any_answer_closes(endpoint: Endpoint) -> None:
    """A no is an answer too: nine failures, a no and nine failures do not open."""

    async def refuse() -> str:
        raise NotFound("ssm:/x: AWS knows no such parameter")

    endpoint.is_up = False
    for _ in range(2):
        for _ in range(BREAKER_AFTER - 1):
            with pytest.raises(Unreachable):
                await endpoint.background().once().send(ASK, endpoint.attempt)
        with pytest.raises(NotFound):
            await endpoint.background().once().send(ASK, refuse)
    assert await endpoint.caller().send(ASK, lambda: asyncio.sleep(0, "answer")) == "answer"


async def test_what_was_under_way_does_not_prolong_it(endpoint: Endpoint) -> None:
    """Sixteen that fail together are one outage: the first pause is half a second, not eight."""
    endpoint.is_up, endpoint.takes = False, 0.1
    together = [endpoint.ask(endpoint.background().once()) for _ in range(2 * BREAKER_AFTER)]
    await asyncio.gather(*together, return_exceptions=True)
    with pytest.raises(Unreachable) as told:
        await endpoint.caller().send(ASK, endpoint.attempt)
    assert told.value.retry_after is not None
    assert told.value.retry_after <= 0.5


async def test_time_outs_count(endpoint: Endpoint) -> None:
    """Silence for the whole call's time-out is no answer; a caller's shorter patience says nothing."""
    endpoint.takes = 3_600
    for _ in range(BREAKER_AFTER):
        with pytest.raises(TimedOut):
            await endpoint.caller(within=1).once().send(ASK, endpoint.attempt)
    waits = [endpoint.ask(endpoint.background().once()) for _ in range(BREAKER_AFTER)]
    await asyncio.gather(*waits, return_exceptions=True)
    with pytest.raises(Unreachable) as told:
        await endpoint.caller().send(ASK, endpoint.attempt)
    assert told.value.retry_after is not None
    assert told.value.retry_after <= 0.5
    assert len(endpoint.asked) == 2 * BREAKER_AFTER


async def test_a_cancelled_probe_lets_another_go(endpoint: Endpoint) -> None:
    """Whoever leaves while probing says nothing; nor does one whose source crashes."""
    await endpoint.go_down()
    endpoint.is_up, endpoint.takes = True, CALL_TIMEOUT / 2
    await seconds(0.5)
    probe = endpoint.ask(endpoint.caller())
    await seconds(0.1)
    waiting = endpoint.ask(endpoint.background())
    await seconds(0.1)
    probe.cancel()
    assert await waiting == "answer"
    assert [round(at - endpoint.down_at, 3) for at in endpoint.asked] == [0.5, 0.7]


async def test_who_waited_for_quota_meanwhile_is_told(endpoint: Endpoint) -> None:
    """A request that was admitted after the endpoint went down gives its turn back."""
    endpoint.guard.adopt(Limits(1.0, {"ssm.get": 4}))
    while endpoint.guard.readings()[:1] == [] or endpoint.guard.readings()[0].used < 2:
        await endpoint.background().send(ASK, endpoint.attempt)
    endpoint.is_up = False
    before = len(endpoint.asked)
    waiting = [endpoint.ask(endpoint.caller().once()) for _ in range(BREAKER_AFTER + 5)]
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, Unreachable) for error in told)
    assert len(endpoint.asked) - before == BREAKER_AFTER


async def test_told_once(endpoint: Endpoint) -> None:
    """One line when it is lost, one when it is found."""
    with capture_logs() as lines:
        await endpoint.go_down()
        prober = endpoint.ask(endpoint.background())
        await seconds(10)
        endpoint.is_up = True
        await prober
    assert [line["event"] for line in lines] == [events.ENDPOINT_LOST, events.ENDPOINT_FOUND]
