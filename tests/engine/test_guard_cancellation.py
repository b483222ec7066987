import asyncio

import pytest

from sidecar.core.errors import Unreachable
from tests.engine.test_guard import DECRYPT, FETCH, PROBE, World, fill

pytestmark = pytest.mark.looptime


@pytest.fixture
def world() -> World:
    """Give a fresh guard."""
    return World()


async def cancel(task: asyncio.Task[str]) -> None:
    """Cancel, and see that it was obeyed."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiter_leaves_its_place(world: World) -> None:
    """Who leaves the line costs those behind it nothing."""
    first, second = await fill(world, waiting=2)
    await cancel(first)
    await second
    assert world.log == [("b1", 0.25)]
    assert world.reading("ssm.get").waiting == 0


async def test_promoted_waiter_leaves(world: World) -> None:
    """Who was moved to the callers leaves both lines."""
    gate = world.background()
    (behind,) = await fill(world, waiting=1)
    promoted = asyncio.Task(gate.send(PROBE, world.answer("promoted")))
    await asyncio.sleep(0)
    gate.promote(deadline=60)
    await cancel(promoted)
    await behind
    assert world.log == [("b0", 0.25)]
    assert not world.guard.waiting


async def test_granted_but_not_used_is_given_back(world: World) -> None:
    """Cancelled between its grant and its attempt, a request returns all it was granted."""
    await world.background().send(FETCH, world.answer())
    await world.background().send(FETCH, world.answer())
    waiting = asyncio.Task(world.background().send(FETCH, world.answer("granted")))
    await asyncio.sleep(0)
    world.log.clear()
    asyncio.get_running_loop().call_at(0.25, waiting.cancel)  # after the turnstile's own timer of that moment
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await world.background().send(FETCH, world.answer("next"))
    assert world.log == [("next", 0.25)]


async def test_attempt_is_cancelled_and_counted(world: World) -> None:
    """A request under way is cancelled; it was on the wire, so it is counted and its quota stays used."""
    task = asyncio.Task(world.caller().send(PROBE, world.answer("gone", takes=60)))
    await asyncio.sleep(1)
    await cancel(task)
    assert world.requests("error") == 1
    assert world.guard.progressed_at == 1


async def test_pause_is_cancelled(world: World, looptime: float) -> None:
    """A pause before a retry ends at once, and holds nothing."""
    task = asyncio.Task(world.background().send(PROBE, world.answer("", Unreachable("x", retry_after=10))))
    await asyncio.sleep(1)
    await cancel(task)
    assert looptime == 1
    assert not world.guard.waiting


async def test_cancelling_one_wakes_whom_it_held_up(world: World) -> None:
    """A fetch that waits for KMS keeps an SSM token from others; gone, it does not."""
    await world.background().send(DECRYPT, world.answer())
    await world.background().send(DECRYPT, world.answer())
    await world.background().send(PROBE, world.answer())
    fetch = asyncio.Task(world.caller().send(FETCH, world.answer("fetch")))
    probe = asyncio.Task(world.background().send(PROBE, world.answer("probe")))
    await asyncio.sleep(0.05)
    world.log.clear()
    await cancel(fetch)
    await probe
    assert world.log == [("probe", 0.05)]
