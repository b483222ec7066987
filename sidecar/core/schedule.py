"""Decide what is checked next, and when.

Pure: a queue in the loop's time (seconds), and the arithmetic of intervals. Must not wait; the engine does.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from sidecar.core.errors import Failure, Transient
from sidecar.core.freshness import Policy
from sidecar.core.pacing import backoff

K = TypeVar("K", bound=Hashable)

JITTER = 0.1
"""Each interval is drawn within ±10 %, so that daemons started together drift apart."""

COMPANY = 0.1
"""A batch takes along what is due within this part of its interval: fewer requests for the same freshness."""

PINNED_REFRESH = 3600.0
"""A pinned version cannot change: so often is enough to notice its deletion (seconds)."""

LEAST_LOOK = 1.0
"""What AWS has refused is looked at again no sooner, though `negative_ttl` may be nothing (seconds)."""

ROTATION_GRACE = 5.0
"""How long after a scheduled rotation is due its result is looked for (seconds)."""


def interval_of(refresh: float, *, pinned: bool) -> float:
    """Give the seconds between two checks of one value."""
    return max(refresh, PINNED_REFRESH) if pinned else refresh


def stretched(interval: float, factor: float, *, revalidate: float, ttl: float | None) -> float:
    """Give the interval that a budget leaves: longer by the factor, but not so long that anything else gives way.

    A value is fetched each `revalidate` in any case, and one whose ttl (seconds, None: it follows the interval) is
    configured must not turn stale between two checks.
    """
    longest = revalidate if ttl is None else min(revalidate, ttl / (1 + JITTER))
    return max(interval, min(interval * factor, longest))


def spread(interval: float, dice: float) -> float:
    """Give the phase of a value just held for the first time: anywhere in its interval."""
    return interval * dice


def jittered(interval: float, dice: float) -> float:
    """Give the seconds to the next check of a value that was confirmed."""
    return interval * (1 - JITTER + 2 * JITTER * dice)


def setback_delay(failure: Failure, policy: Policy, setbacks: int, dice: float) -> float:
    """Give the seconds to the next look at what failed `setbacks` times in a row.

    A transient failure is retried with backoff, never sooner than AWS asked for; a definitive one is looked at
    again after `negative_ttl`, then less and less often; neither less often than a healthy value.
    """
    if isinstance(failure, Transient):
        return max(failure.retry_after or 0.0, min(policy.refresh, backoff(setbacks - 1, dice=lambda: dice)))
    return min(policy.refresh, max(policy.negative_ttl, LEAST_LOOK) * 2.0 ** min(setbacks - 1, 16))


class Schedule(Generic[K]):
    """Keys by when they are due. Moving one costs O(log n); what a move left behind in the heap is skipped."""

    def __init__(self) -> None:
        # Both hold the same tuples: due, number (no two are the same), key, how much earlier it may go as company.
        self._planned: dict[K, tuple[float, int, K, float]] = {}
        self._heap: list[tuple[float, int, K, float]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._planned)

    def put(self, key: K, due: float, *, slack: float = 0.0) -> None:
        """Plan, or plan anew; `slack` is how many seconds before `due` it may be taken along by others."""
        plan = self._planned[key] = (due, next(self._numbers), key, slack)
        heapq.heappush(self._heap, plan)
        if len(self._heap) > 2 * len(self._planned) + 64:
            self._compact()

    def hasten(self, key: K, due: float) -> None:
        """Move forward, never back; a key that is not planned stays so."""
        plan = self._planned.get(key)
        if plan is not None and plan[0] > due:
            self.put(key, due, slack=plan[3])

    def remove(self, key: K) -> None:
        """Forget; unknown keys are fine."""
        self._planned.pop(key, None)

    def due(self, key: K) -> float | None:
        """Tell when a key is due, None when it is not planned."""
        plan = self._planned.get(key)
        return plan[0] if plan else None

    def earliest(self) -> float | None:
        """Tell when the next key is due, None when none is planned."""
        while self._heap and self._planned.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pull(self, by: float) -> None:
        """Bring every key `by` seconds forward: the machine slept, and loop time stood still with it."""
        self._planned = {key: (due - by, number, key, slack) for key, (due, number, _, slack) in self._planned.items()}
        self._compact()

    def take(self, now: float, most: int) -> list[K]:
        """Take out up to `most` keys: those due, and where there is one, the company that soon would be."""
        taken: list[K] = []
        while len(taken) < most and (earliest := self.earliest()) is not None:
            _, _, key, slack = self._heap[0]
            if earliest > now + (slack if taken else 0.0):
                break
            self.remove(key)
            taken.append(key)
        return taken

    def _compact(self) -> None:
        self._heap = list(self._planned.values())
        heapq.heapify(self._heap)
