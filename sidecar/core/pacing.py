"""Decide how fast to ask AWS, and when to ask again.

Plain arithmetic on (state, now, dice); times are seconds on whatever clock the caller keeps to.
Must not wait, draw or read a clock; engine.admission and engine.guard do.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

START_RATE: Final = 20.0
"""Calls per second to begin with: one daemon alone has its twenty secrets within a second."""

FLOOR_RATE: Final = 0.1
"""One call in ten seconds, however often AWS throttles: less would not notice that it has stopped."""

FIRST_RISE: Final = 2.0
"""What each answer adds to the rate (per second) before the first throttling: twenty calls of 20 ms are done in 0.4 s,
of 100 ms in 0.6 s. Five would halve that, and make a hundred daemons that start together twice as much throttled."""

RISE: Final = 0.06
"""What each answer adds afterwards, and as much for each second between two answers: who was cut far down must not wait
for minutes. Where many daemons press on one quota, the part of their calls that is throttled settles near
2 x RISE x (1 + 1 / rate) / rate: more would hurt the others, less would take minutes to recover. `make stampede` shows
what comes of it."""

CUT: Final = 0.5
"""What a throttling leaves of the rate, or of what was used of it in the last second where that was less."""

LEAST_USED: Final = 1.0
"""Calls per second that count as used at least: the one that was throttled."""

LEASED_CUT: Final = 0.9
"""What a throttling leaves of a leased rate, until the next lease. The fleet goes slower together, by how much is
throttled of all its calls; this only bridges the seconds until it does."""

LEASED_RISE: Final = 0.002
"""Of the lease: what an answer gives back of such a cut. With the cut it settles where 2 % are throttled, whatever the
rate: one daemon with a thousand calls a second and a thousand daemons with one must not differ."""

UNTOLD_RATE: Final = 1.0
"""Calls per second of a fleet's daemon that does not know its account yet: its first answer tells, and a thousand
daemons that start together ask a thousand times."""

PENDING_RATE: Final = 1e-6
"""Calls per second before the first lease: none, but numbers stay numbers. It lasts for one round trip to the store."""

BURST_SECONDS: Final = 0.1
"""How much rate may be saved up: little, since a thousand daemons that saved as much spend it in the same instant."""

BURST_CALLS: Final = 2.0
"""The least burst: a probe and the fetch that follows it need not wait for each other."""

LEASED_BURST_CALLS: Final = 1.0
"""The least burst under a lease: each of a thousand daemons may save as much."""

BREAKER_AFTER: Final = 10
"""Failures in a row after which an endpoint counts as down: one caller's retries within its ten seconds do not make
it so, sixteen checks at once in an outage do within two."""

BREAKER_BASE: Final = 0.5
"""Seconds: the first pause, at most, before one probe goes through."""

BREAKER_CAP: Final = 4.0
"""Seconds: the longest pause. Recovery is noticed within it, and a probe in four seconds hurts nobody."""

BACKOFF_BASE: Final = 0.1
"""Seconds: the longest first pause; SPEC 9."""

BACKOFF_CAP: Final = 20.0
"""Seconds: the longest pause at all; SPEC 9."""

RETRY_SHARE: Final = 0.2
"""Retries per call, in the long run: an outage makes no more than a fifth more traffic."""

RETRY_RESERVE: Final = 10.0
"""Retries that may be saved up: what twenty calls need where a third of all are throttled, as in the first seconds
after a thousand daemons started together."""

EARLY: Final = 1e-3
"""Seconds by which a loop's timer may fire early: what is due within them is due."""

SLACK: Final = 1e-6
"""Seconds by which a timer may be early: clocks round. The bucket's account stays exact."""


class Bucket:
    """A token bucket by virtual scheduling (GCRA): one number, the time at which all that was granted is paid for.

    Over any span it grants at most max(burst, largest charge) + rate x span.
    """

    __slots__ = ("_paid_at", "burst", "least_burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        """Begin full: `burst` tokens, refilled at `rate` per second."""
        self.rate = rate
        self.burst = burst
        self.least_burst = BURST_CALLS
        self._paid_at = -inf

    def earliest(self, now: float, amount: float, *, ahead: float = 0.0) -> float:
        """Say when `amount` may be taken, after `ahead` has been taken by those before.

        An amount beyond the burst would never fit: it waits for a full bucket and is a debt afterwards.
        """
        spare = self.burst - min(amount, self.burst) - ahead
        return max(now, max(now, self._paid_at) - spare / self.rate)

    def has(self, now: float, amount: float) -> bool:
        """Say whether `amount` may be taken now; a full bucket, the usual case, says so at once."""
        return self._paid_at <= now or self.earliest(now, amount) <= now

    def take(self, now: float, amount: float) -> None:
        """Take `amount` now, whether or not it is time."""
        self._paid_at = max(now, self._paid_at) + amount / self.rate

    def give_back(self, amount: float) -> None:
        """Undo a `take` that was not used."""
        self._paid_at -= amount / self.rate

    def owed(self, now: float) -> float:
        """Say how much was taken that is not paid for yet."""
        return max(0.0, self._paid_at - now) * self.rate

    def reset(self, now: float, rate: float, burst: float) -> None:
        """Go on at another rate and burst; neither makes tokens, nor debts of what was rightly taken."""
        saved = self.burst - self.owed(now)
        self.rate, self.burst = rate, burst
        self._paid_at = now + max(0.0, burst - saved) / rate

    def retune(self, now: float, rate: float) -> None:
        """Go on at another rate; what was taken stays taken."""
        if self._paid_at > now:
            self._paid_at = now + (self._paid_at - now) * self.rate / rate
        self.rate = rate
        self.burst = burst_of(rate, self.least_burst)


def burst_of(rate: float, least: float = BURST_CALLS) -> float:
    """Say how many tokens a bucket of this rate may save up, `least` at least."""
    return max(least, BURST_SECONDS * rate)


class Steering:
    """The rate of one bucket: up a step with each answer, down to half of what was used on throttling (AIMD)."""

    __slots__ = ("_cut", "_cut_at", "_step", "_step_per_second", "ceiling", "rate")

    def __init__(self, ceiling: float, start: float = START_RATE) -> None:
        """Begin low, below the share of the quota that is `ceiling`."""
        self.ceiling = ceiling
        self.rate = min(start, ceiling)
        self._step, self._step_per_second = FIRST_RISE, 0.0
        self._cut = CUT
        self._cut_at = -inf

    @property
    def was_cut(self) -> bool:
        """Whether AWS has ever throttled it."""
        return self._cut_at > -inf

    def succeeded(self, sent_at: float, amount: float = 1) -> None:
        """Rise, unless the call was sent before the last cut: it says nothing of the rate since."""
        if sent_at > self._cut_at:
            step = self._step + self._step_per_second / self.rate  # an answer comes each 1 / rate seconds
            self.rate = min(self.ceiling, self.rate + step * amount)

    def throttled(self, now: float, sent_at: float, used: float = inf) -> None:
        """Halve the rate, once for all the calls that were under way together (one round trip).

        `used` is how much of it was taken over the last second: half of what was allowed but not used would not slow
        the calls that AWS has just refused.
        """
        if sent_at > self._cut_at:
            self.rate = max(min(FLOOR_RATE, self.ceiling), self._cut * min(self.rate, max(LEAST_USED, used)))
            if self._cut == CUT:
                self._step, self._step_per_second = min(self._step, RISE), RISE
            self._cut_at = now

    def limit(self, ceiling: float) -> None:
        """Keep below another ceiling from now on."""
        self.ceiling = ceiling
        self.rate = min(self.rate, ceiling)

    def lease(self, rate: float) -> None:
        """Take a rate that is granted: nobody else has it, so there is no creeping up to it."""
        self.ceiling = self.rate = rate
        self._step, self._step_per_second, self._cut = LEASED_RISE * rate, 0.0, LEASED_CUT

    def keep(self, rate: float) -> None:
        """Go on alone at a rate that should be free, and no higher."""
        self.ceiling = self.rate = rate
        self._step, self._step_per_second, self._cut = RISE, RISE, CUT


class Tally:
    """How much was taken over the last second, to within the last second's unevenness."""

    __slots__ = ("_before", "_second", "_since")

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self._second = -inf
        self._since = self._before = 0.0

    def add(self, now: float, amount: float) -> None:
        """Count `amount` as taken now."""
        if now // 1 != self._second:
            self._turn(now)
        self._since += amount

    def per_second(self, now: float) -> float:
        """Weigh this second and the part of the last one that is less than a second ago."""
        self._turn(now)
        return self._since + self._before * (1 - (now - self._second))

    def _turn(self, now: float) -> None:
        second = now // 1
        if second != self._second:
            self._before = self._since if second == self._second + 1 else 0.0
            self._since = 0.0
            self._second = second


class Budget:
    """How many retries are left: a fifth of the calls, plus a few."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        """Begin with the reserve."""
        self.left = RETRY_RESERVE

    def earn(self) -> None:
        """Count one call (not its retries)."""
        self.left = min(RETRY_RESERVE, self.left + RETRY_SHARE)

    def spend(self) -> bool:
        """Take one retry if there is one."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Breaker:
    """Whether an endpoint answers: after failures in a row it is left alone, but for one probe after each pause."""

    __slots__ = ("_failed", "_opened", "_opened_at", "_probing", "is_open", "until")

    def __init__(self) -> None:
        """Begin closed: everybody may ask."""
        self.is_open = False  # whether the endpoint is left alone
        self.until = -inf  # when the next probe may go
        self._opened_at = -inf
        self._failed = self._opened = 0
        self._probing = False

    def lets(self, now: float) -> bool:
        """Decide whether a request may go: any while it is closed, else one when the pause is over."""
        return not self._opened or (now >= self.until - EARLY and not self._probing)

    def begin(self) -> None:
        """Take note that a request goes."""
        self._probing = self._opened > 0

    def answered(self) -> None:
        """Close: whatever the answer was, somebody is there."""
        self._failed = 0
        if self.is_open:
            self._opened = 0
            self.is_open = self._probing = False

    def failed(self, now: float, sent_at: float, dice: Callable[[], float]) -> None:
        """Count a request without an answer; what was sent before it opened says nothing new."""
        if sent_at <= self._opened_at:
            return
        self._failed += 1
        self._probing = False
        if self._failed >= BREAKER_AFTER:
            longest = min(BREAKER_CAP, BREAKER_BASE * 2.0**self._opened)
            self._opened = min(self._opened + 1, 8)
            self.is_open = True
            self._opened_at, self.until = now, now + longest * (1 + dice()) / 2

    def abandoned(self) -> None:
        """Take note that a request was cancelled under way: it said nothing, another may probe."""
        self._probing = False


def backoff(attempt: int, *, base: float = BACKOFF_BASE, cap: float = BACKOFF_CAP, dice: Callable[[], float]) -> float:
    """Give the seconds before retry number `attempt` (from 0): full jitter below an exponential, capped."""
    return dice() * min(cap, base * 2.0 ** min(attempt, 64))


Claim = tuple[tuple[Bucket, int], ...]
"""What one request must take, all at once: an amount from each of these buckets."""


def ready_at(claim: Claim, now: float) -> float:
    """Say when all of it can be taken, if nobody else takes anything."""
    return max((bucket.earliest(now, amount) for bucket, amount in claim), default=now)


@dataclass(frozen=True, slots=True)
class Turn:
    """Who may go now (a position, None for nobody), and when to ask again if nobody may."""

    index: int | None
    again_at: float


def next_turn(claims: Iterable[Claim], now: float) -> Turn:
    """Choose the first of the waiting (in their order) whose whole claim is free now.

    Nobody holds a part of a claim while waiting for the rest. One may pass another that waits for a bucket which it
    does not need itself, but only if that does not make the other wait longer: so nobody starves, and a quota that
    AWS throttles holds up none of the requests that do not use it.
    """
    passed: list[tuple[Claim, float]] = []
    again_at = inf
    for index, claim in enumerate(claims):
        at = ready_at(claim, now)
        if at > now + SLACK:
            again_at = min(again_at, at)
        elif not any(_delays(claim, other, until, now) for other, until in passed):
            return Turn(index, now)
        passed.append((claim, at))
    return Turn(None, again_at)


def _delays(claim: Claim, other: Claim, until: float, now: float) -> bool:
    """Decide whether taking `claim` now makes `other`, which could go at `until`, wait beyond it."""
    return any(
        bucket is shared and bucket.earliest(now, wanted, ahead=amount) > until + SLACK
        for bucket, amount in claim
        for shared, wanted in other
    )
