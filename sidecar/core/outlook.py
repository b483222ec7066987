"""Hold what is foreseen for one daemon before it asks AWS anything; `planning` works it out, status and log tell it."""

from dataclasses import dataclass
from typing import Final

SLOW_START: Final = 30.0
"""Seconds beyond which a start is called slow: what people and orchestrators wait without a question."""


@dataclass(frozen=True, slots=True)
class Lengthened:
    """An interval as configured, and as a budget leaves it (seconds)."""

    wanted: float
    kept: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a budget does to the intervals of one daemon; money is dollars a month by list prices."""

    budget: float
    wanted: float  # what polling would cost as configured
    factor: float  # by which intervals lengthen, 1 = not at all
    dollars: float  # what it costs then
    intervals: tuple[Lengthened, ...] = ()  # those that lengthen

    @property
    def kept(self) -> bool:
        """Whether it is kept: intervals lengthen only so far."""
        return self.dollars <= self.budget


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one daemon must expect."""

    start_seconds: float = 0.0  # until everything can be held, as far as the share of the quotas makes it
    stretch: Stretch | None = None  # None without a budget

    @property
    def factor(self) -> float:
        """By how much all intervals lengthen."""
        return self.stretch.factor if self.stretch else 1.0
