import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.ports import Priority
from sidecar.core.quotas import Charge, Limits, Scope
from sidecar.engine.admission import PATIENCE, Queue, Ticket, Turnstile

pytestmark = pytest.mark.looptime

SSM, KMS = Charge("ssm.get"), Charge("kms.symmetric")
LIMITS = Limits(1.0, {"ssm.get": 4, "kms.symmetric": 10})
CALLER, BACKGROUND = Priority.CALLER, Priority.BACKGROUND


@pytest.fixture
def turnstile() -> Turnstile:
    """Give a turnstile with 4 reads and 10 decryptions a second."""
    return Turnstile(Scope("111111111111", "eu-west-1"), LIMITS)


def drain(turnstile: Turnstile, *charges: Charge) -> Queue:
    """Use up the burst of these quotas, and give their queue."""
    queue = turnstile.queue(charges)
    while turnstile.pass_at_once(queue, asyncio.get_running_loop().time()):
        pass
    return queue


async def granted_at(*tickets: Ticket) -> list[float]:
    """Wait for all, and say when each was let through."""
    return await asyncio.gather(*(_granted_at(ticket) for ticket in tickets))


async def _granted_at(ticket: Ticket) -> float:
    await ticket.granted
    return round(asyncio.get_running_loop().time(), 5)


async def test_one_queue_for_what_charges_alike(turnstile: Turnstile) -> None:
    """The same charges are one queue, the same quota is one bucket for all queues."""
    both, reads = turnstile.queue((SSM, KMS)), turnstile.queue((SSM,))
    assert turnstile.queue((SSM, KMS)) is both
    assert both.tolls[0][0] is reads.tolls[0][0]


async def test_nobody_passes_those_who_wait(turnstile: Turnstile) -> None:
    """While somebody waits, even a free quota is not taken at the side."""
    ticket = turnstile.join(drain(turnstile, SSM), BACKGROUND)
    decrypt = turnstile.queue((KMS,))
    assert not turnstile.pass_at_once(decrypt, 0)
    assert turnstile.join(decrypt, BACKGROUND).granted.done(), "in line it is its turn at once"
    await granted_at(ticket)
    assert turnstile.pass_at_once(decrypt, 1)


async def test_order_across_queues(turnstile: Turnstile) -> None:
    """Queues that share a quota take turns in the order of coming, callers first."""
    reads, both = drain(turnstile, SSM), turnstile.queue((SSM, KMS))
    first, second = turnstile.join(reads, BACKGROUND), turnstile.join(both, BACKGROUND)
    third, caller = turnstile.join(reads, BACKGROUND), turnstile.join(both, CALLER)
    assert await granted_at(caller, first, second, third) == [0.25, 0.5, 0.75, 1]


async def test_promoted_goes_last_of_the_callers(turnstile: Turnstile) -> None:
    """Among callers the order of joining them counts; to promote twice, or a granted one, changes nothing."""
    queue = drain(turnstile, SSM)
    late, background = turnstile.join(queue, BACKGROUND), turnstile.join(queue, BACKGROUND)
    caller = turnstile.join(queue, CALLER)
    for _ in range(2):
        turnstile.promote(late)
    assert await granted_at(caller, late, background) == [0.25, 0.5, 0.75]
    turnstile.promote(background)
    assert turnstile.waiting == 0


async def test_withdrawn_grant_goes_to_the_next(turnstile: Turnstile) -> None:
    """What was granted and given back lets the next one through at once."""
    queue = drain(turnstile, SSM)
    granted, behind = turnstile.join(queue, BACKGROUND), turnstile.join(queue, BACKGROUND)
    await granted.granted
    turnstile.withdraw(granted)
    assert behind.granted.done()


async def test_estimate_names_the_bottleneck(turnstile: Turnstile) -> None:
    """The estimate is that of the slowest quota, behind those who go before."""
    queue = drain(turnstile, SSM)
    tickets = [turnstile.join(queue, priority) for priority in (BACKGROUND, BACKGROUND, CALLER)]
    both = turnstile.queue((KMS, SSM))
    ssm = turnstile.quota("ssm.get")
    assert turnstile.opens(both, CALLER, 0) == (0.5, ssm)
    assert turnstile.opens(both, BACKGROUND, 0) == (1, ssm)
    await granted_at(*tickets)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([CALLER, BACKGROUND]), min_size=1, max_size=2 * PATIENCE))
async def test_estimate_is_what_comes(priorities: list[Priority]) -> None:
    """Within one queue whoever joins last waits as long as the estimate says."""
    turnstile = Turnstile(Scope("111111111111", "eu-west-1"), LIMITS)
    queue = drain(turnstile, SSM)
    now = asyncio.get_running_loop().time()
    tickets = [turnstile.join(queue, BACKGROUND) for priority in priorities if priority is BACKGROUND]
    estimate, _ = turnstile.opens(queue, BACKGROUND, now)
    (at,) = await granted_at(turnstile.join(queue, BACKGROUND))
    assert at == pytest.approx(estimate, abs=1e-4)
    assert all(ticket.granted.done() for ticket in tickets)


async def test_favour_is_for_the_oldest(turnstile: Turnstile) -> None:
    """After nine callers the oldest of all queues' background goes, then the callers have nine more."""
    reads, both = drain(turnstile, SSM), turnstile.queue((SSM, KMS))
    oldest, other = turnstile.join(both, BACKGROUND), turnstile.join(reads, BACKGROUND)
    for _ in range(3 * PATIENCE):
        turnstile.join(reads, CALLER)
    assert await granted_at(oldest, other) == [(PATIENCE + 1) / 4, 2 * (PATIENCE + 1) / 4]


async def test_floods_elsewhere_favour_nobody(turnstile: Turnstile) -> None:
    """Favour lasts no longer than there is background to show it to."""
    queue = drain(turnstile, SSM)
    background = turnstile.join(queue, BACKGROUND)
    callers = [turnstile.join(queue, CALLER) for _ in range(PATIENCE)]
    await callers[-1].granted
    turnstile.withdraw(background)
    assert await granted_at(turnstile.join(queue, CALLER)) == [(PATIENCE + 1) / 4]
