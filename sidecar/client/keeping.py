"""Keep the last value of each name for the time when nobody can give one, and decide when it is given.

Given on: while no daemon answers, or while it holds nothing and AWS does not answer it. Never after a refusal, nor
for longer than it was asked to keep.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sidecar.client.errors import ClientError, Unavailable
from sidecar.client.protocol import Question, Value

LOGGER: Final = "sidecar.client"
"""The logger that says when a value is given that nobody gave now."""

_TRUST: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while a laptop sleeps


def elapsed() -> float:
    """Give seconds of a clock that nobody sets."""
    return time.clock_gettime(_TRUST)


@dataclass(frozen=True, slots=True)
class _Last:
    value: Value
    given_at: float
    mourned: bool = False  # that it is given without anybody's word has been told


class LastValues:
    """The last value of each question, at most `keep` seconds after the daemon gave it; 0 keeps nothing."""

    def __init__(self, keep: float, clock: Callable[[], float] = elapsed) -> None:
        """Hold nothing yet."""
        self._keep = keep
        self._clock = clock
        self._held: dict[str, _Last] = {}

    def settle(self, question: Question, outcome: Value | ClientError) -> Value:
        """Give the value that came, else the last one where that is right; raises what came instead."""
        if isinstance(outcome, Value):
            self._remember(question, outcome)
            return outcome
        if not isinstance(outcome, Unavailable):
            self._forget(question, outcome)
            raise outcome
        last = self._last(question)
        if last is None:
            raise outcome
        self._mourn(question, last, outcome)
        age = last.value.age + self._clock() - last.given_at
        return replace(last.value, age=age, stale=True, kept=True)

    def _remember(self, question: Question, value: Value) -> None:
        if self._keep > 0:
            self._held[question.target] = _Last(value, self._clock())

    def _forget(self, question: Question, error: ClientError) -> None:
        if error.status is not None:  # the daemon's word; a socket of the wrong owner says nothing about the value
            self._held.pop(question.target, None)

    def _last(self, question: Question) -> _Last | None:
        last = self._held.get(question.target)
        if last and self._clock() - last.given_at > self._keep:
            self._held.pop(question.target, None)
            return None
        return last

    def _mourn(self, question: Question, last: _Last, error: ClientError) -> None:
        if last.mourned:
            return
        self._held[question.target] = replace(last, mourned=True)
        import logging  # noqa: PLC0415 -- every health check imports this module, few ever log

        logging.getLogger(LOGGER).warning("%s: its last value is given on: %s", question.about, error)
