"""Bound how long requests wait, and end the waiting when the daemon stops.

Must not know what is waited for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

GRACE: Final = 5.0
"""Seconds in which requests in flight finish once the daemon stops."""

_FOR_AWS: Final = 4.0
"""Seconds of the grace that may go by in waiting for AWS: the rest is for saying that it did not answer."""


@dataclass(slots=True)
class Patience:
    """Every wait of a request is a block of one of these two kinds; its deadline raises TimeoutError."""

    ended: bool = False
    _idle: set[asyncio.Timeout] = field(default_factory=set)
    _busy: set[asyncio.Timeout] = field(default_factory=set)

    @asynccontextmanager
    async def idle(self, deadline: float | None = None) -> AsyncIterator[None]:
        """Wait for something to happen, at most until `deadline` (loop time); ends at once when the daemon stops."""
        async with asyncio.timeout_at(_now() if self.ended else deadline) as timeout:
            self._idle.add(timeout)
            try:
                yield
            finally:
                self._idle.discard(timeout)

    @asynccontextmanager
    async def busy(self, deadline: float) -> AsyncIterator[None]:
        """Wait for AWS, at most until `deadline` (loop time), and not much longer once the daemon stops."""
        async with asyncio.timeout_at(min(deadline, _now() + _FOR_AWS) if self.ended else deadline) as timeout:
            self._busy.add(timeout)
            try:
                yield
            finally:
                self._busy.discard(timeout)

    def end(self) -> None:
        """Let nobody wait any longer than the grace allows; what comes later does not wait either."""
        self.ended = True
        now = _now()
        for timeout in self._idle:
            _shorten(timeout, now)
        for timeout in self._busy:
            _shorten(timeout, now + _FOR_AWS)


def _shorten(timeout: asyncio.Timeout, deadline: float) -> None:
    when = timeout.when()
    if not timeout.expired() and (when is None or when > deadline):
        timeout.reschedule(deadline)


def _now() -> float:
    return asyncio.get_running_loop().time()
