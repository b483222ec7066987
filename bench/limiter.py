"""What the guard adds to a request that need not wait: admission by all its quotas, and all that is counted.

A time-out around a request is what it would have without a limiter too, so it is not in the figure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop
from prometheus_client import CollectorRegistry

from bench.figures import Figure
from sidecar.core.ports import Call, Priority
from sidecar.core.quotas import Charge, Limits, Scope, charges
from sidecar.engine.guard import CALL_TIMEOUT, Guard
from sidecar.telemetry import Metrics

GOAL: Final = 5.0  # microseconds
TIMES: Final = 20_000
RUNS: Final = 9

SERVICE, OPERATION = "secretsmanager", "GetSecretValue"
SCOPE: Final = Scope("111111111111", "eu-west-1")
FETCH: Final = Call(SERVICE, OPERATION, SCOPE, charges(SERVICE, OPERATION))

PLENTY: Final = 10**15
"""Calls per second: so many that no run uses up a burst."""


def measure() -> list[Figure]:
    """Compare a request through the guard with one that has a time-out only."""
    cost = uvloop.run(_cost())
    return [Figure("an uncontended pass through the limiter", f"< {GOAL:.0f} µs", f"{cost:.1f} µs", cost < GOAL)]


async def _cost() -> float:
    plenty = Limits(1.0, {charge.quota: PLENTY for charge in FETCH.charges})
    guard = Guard(plenty, dice=lambda: 0.5, metrics=Metrics(CollectorRegistry()))
    gate = guard.gate(Priority.BACKGROUND)
    # One answer to a request of such a size raises the rates to what is allowed.
    most = tuple(Charge(charge.quota, PLENTY) for charge in FETCH.charges)
    await gate.send(Call(SERVICE, OPERATION, SCOPE, most), _attempt)

    async def guarded() -> None:
        await gate.send(FETCH, _attempt)

    await guarded()
    return await _quickest(guarded) - await _quickest(_timed)


async def _attempt() -> None:
    return


async def _timed() -> None:
    async with asyncio.timeout(CALL_TIMEOUT):
        await _attempt()


async def _quickest(request: Callable[[], Awaitable[None]]) -> float:
    """Give the processor time of one request (microseconds): what the machine gives to others does not count."""
    runs = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(TIMES):
            await request()
        runs.append(time.process_time() - began)
    return min(runs) / TIMES * 1e6
