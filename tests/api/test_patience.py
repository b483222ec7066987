import asyncio

import pytest

from sidecar.api.patience import GRACE, Patience

pytestmark = pytest.mark.looptime


async def wait(patience: Patience, *, busy: bool, deadline: float) -> float:
    """Wait as a request does; give the loop time at which that ended."""
    with pytest.raises(TimeoutError):
        async with patience.busy(deadline) if busy else patience.idle(deadline):
            await asyncio.Event().wait()
    return asyncio.get_running_loop().time()


async def test_waits_end_at_their_deadlines() -> None:
    """Where nobody stops the daemon."""
    assert [await wait(Patience(), busy=busy, deadline=7.0) for busy in (False,)] == [7.0]
    assert await wait(Patience(), busy=True, deadline=9.0) == 9.0


async def test_the_end_comes_at_once_for_the_idle_and_within_the_grace_for_the_busy() -> None:
    """Deadlines that are nearer stay."""
    patience = Patience()
    async with asyncio.TaskGroup() as tasks:
        idle = tasks.create_task(wait(patience, busy=False, deadline=300.0))
        busy = tasks.create_task(wait(patience, busy=True, deadline=60.0))
        soon = tasks.create_task(wait(patience, busy=True, deadline=11.0))
        asyncio.get_running_loop().call_at(10.0, patience.end)
    assert (idle.result(), busy.result(), soon.result()) == (10.0, 14.0, 11.0)
    assert busy.result() < 10.0 + GRACE


async def test_an_endless_wait_ends_too() -> None:
    """A watch has no deadline."""
    patience = Patience()
    asyncio.get_running_loop().call_at(3.0, patience.end)
    with pytest.raises(TimeoutError):
        async with patience.idle():
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 3.0


async def test_what_comes_later_waits_no_longer() -> None:
    """Also one that waits when another ends just then."""
    patience = Patience()
    patience.end()
    assert await wait(patience, busy=False, deadline=300.0) == 0.0
    assert await wait(patience, busy=True, deadline=300.0) == 4.0
    patience.end()


async def test_a_wait_that_is_just_ending_is_left_alone() -> None:
    """Its deadline and the daemon's end may fall together."""
    patience = Patience()
    asyncio.get_running_loop().call_at(5.0, patience.end)
    assert await wait(patience, busy=False, deadline=5.0) == 5.0
