"""Stand in for the guard: every request passes at once, and is remembered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.core.ports import Call, Gate

T = TypeVar("T")


@dataclass
class OpenGate:
    """Send everything, once, and note what was sent."""

    calls: list[Call] = field(default_factory=list)
    onces: int = 0  # how often a gate without retries was asked for

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Note the call and do it."""
        self.calls.append(call)
        return await attempt()

    async def bide(self, turn: Awaitable[T]) -> T:
        """Wait as long as it takes."""
        return await turn

    def once(self) -> Gate:
        """Give itself: it never retries."""
        self.onces += 1
        return self

    @property
    def operations(self) -> list[str]:
        """What was sent, in order."""
        return [call.operation for call in self.calls]
