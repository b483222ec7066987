import asyncio

import pytest

from sidecar.aws.each import AT_ONCE, answered, each
from sidecar.core.errors import NotFound, Unreachable, kept
from sidecar.core.refs import Ref, SourceKind

REFS = [Ref(SourceKind.SM, str(number)) for number in range(20)]


async def test_failures_are_answers() -> None:
    """A ref that fails leaves the others alone."""

    async def ask(ref: Ref) -> str:
        if ref == REFS[3]:
            raise NotFound("no such thing")
        return ref.id

    answers = await each(REFS, ask)
    assert isinstance(answers.pop(REFS[3]), NotFound)
    assert answers == {ref: ref.id for ref in REFS if ref != REFS[3]}


@pytest.mark.looptime
async def test_only_some_are_asked_at_once() -> None:
    """Twenty requests of a second each take three rounds of eight."""
    loop, under_way, most = asyncio.get_running_loop(), 0, 0
    began = loop.time()

    async def ask(_: Ref) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1

    await each(REFS, ask)
    assert (most, loop.time() - began) == (AT_ONCE, 3)


@pytest.mark.looptime
async def test_cancelling_ends_what_is_under_way() -> None:
    """Nothing goes on when nobody waits any more."""
    ended: list[Ref] = []

    async def ask(ref: Ref) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(ref)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await each(REFS, ask)
    assert len(ended) == AT_ONCE


async def test_what_is_no_failure_of_ours_is_raised() -> None:
    """A slip in the code is not passed off as an answer."""

    async def ask() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await answered(ask())


def test_a_failure_that_is_kept_holds_no_frames() -> None:
    """What is remembered for hours keeps neither traceback nor the SDK's exception alive."""
    with pytest.raises(Unreachable) as caught:
        raise Unreachable("away") from OSError()
    failure = kept(caught.value)
    assert failure is caught.value
    assert (failure.__traceback__, failure.__cause__, failure.__context__) == (None, None, None)
