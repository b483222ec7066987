"""Ask for several values one by one, some at a time, and let a failure be an answer like any other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from sidecar.core.errors import Failure, SecretError, Transient, kept
from sidecar.core.refs import Ref

T = TypeVar("T")

AT_ONCE: Final = 8
"""Requests of one batch on the wire: enough to hide the way to AWS, few enough to be no wave."""


async def each(refs: Sequence[Ref], ask: Callable[[Ref], Awaitable[T]]) -> dict[Ref, T | Failure]:
    """Ask for each ref, `AT_ONCE` at a time. Cancelling it cancels what is under way."""
    answers: dict[Ref, T | Failure] = {}
    turns = asyncio.Semaphore(AT_ONCE)

    async def take_turn(ref: Ref) -> None:
        async with turns:
            answers[ref] = await answered(ask(ref))

    async with asyncio.TaskGroup() as tasks:
        for ref in refs:
            tasks.create_task(take_turn(ref), name="ask")
    return answers


async def answered(asking: Awaitable[T]) -> T | Failure:
    """Wait for the answer; a failure is one."""
    try:
        return await asking
    except (SecretError, Transient) as failure:
        return kept(failure)
