"""Be AWS, as far as one quota goes: a model, the only one in this simulation.

A token bucket: it holds one second's worth, begins full, is refilled continuously, and each call takes one token or is
throttled and takes none. Strangers, who do not react to anything, call in random order (Poisson) and are throttled
from the same bucket. What is asked travels half a round trip each way.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

JITTER = 0.25
"""Round trips are drawn within ±25 %."""


@dataclass(slots=True)
class Tokens:
    """What is left of the quota."""

    rate: float
    most: float
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, now: float) -> bool:
        """Use one, if there is one."""
        self.left = min(self.most, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class Count:
    """Calls as AWS saw them."""

    calls: int = 0
    throttled: int = 0

    def add(self, *, is_let: bool) -> None:
        """Count one."""
        self.calls += 1
        self.throttled += not is_let

    @property
    def share(self) -> float:
        """The part of the calls that was throttled."""
        return self.throttled / self.calls if self.calls else 0.0


@dataclass(slots=True)
class Cloud:
    """One account's quota and who uses it."""

    tokens: Tokens
    round_trip: float
    dice: Callable[[], float]
    ours: Count = field(default_factory=Count)
    strangers: Count = field(default_factory=Count)

    async def ask(self) -> bool:
        """Make one call; false is AWS's ThrottlingException."""
        one_way = self.round_trip * (1 + JITTER * (2 * self.dice() - 1)) / 2
        await asyncio.sleep(one_way)
        is_let = self.tokens.take(asyncio.get_running_loop().time())
        self.ours.add(is_let=is_let)
        await asyncio.sleep(one_way)
        return is_let

    async def serve_strangers(self, rate: float, chance: Random) -> None:
        """Let strangers call, so many a second, until cancelled."""
        while True:
            await asyncio.sleep(chance.expovariate(rate))
            self.strangers.add(is_let=self.tokens.take(asyncio.get_running_loop().time()))
