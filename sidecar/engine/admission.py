"""Let AWS requests through as their quotas allow: callers first, then in the order in which they came.

One turnstile for each account and region. Must not make requests, time them out or retry them: engine.guard does;
nor talk to a fleet's store: engine.leasing does.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from sidecar.core.leases import FleetReading
from sidecar.core.pacing import (
    BURST_CALLS,
    LEASED_BURST_CALLS,
    PENDING_RATE,
    UNTOLD_RATE,
    Bucket,
    Budget,
    Claim,
    Steering,
    Tally,
    burst_of,
    next_turn,
)
from sidecar.core.ports import Priority
from sidecar.core.quotas import Charge, Limits, QuotaReading, Scope

PATIENCE: Final = 9
"""Callers let through while background waits, before one of the background goes first: a flood of callers
must not make every declared value stale."""


DRAIN: Final = 0.25
"""Seconds in which those who wait could be let through: so much rate a daemon says that it needs."""


STILL: Final = 0.5
"""Seconds without a request after which none is expected: others may have the rate."""


class Lessor(Protocol):
    """Who leases a fleet's daemon its rates: engine.leasing, where there is a fleet."""

    def watch(self, turnstile: "Turnstile", quota: "Quota") -> None:
        """Lease this quota from now on, if the account is known."""
        ...

    def poke(self) -> None:
        """Look again soon: somebody waits."""
        ...

    def reading(self) -> FleetReading:
        """Say how this daemon stands with its fleet."""
        ...


class Quota:
    """One of AWS's limits as this daemon uses it."""

    __slots__ = (
        "ahead",
        "answered",
        "blamed",
        "bucket",
        "demand",
        "hoped",
        "leased",
        "limit",
        "name",
        "refused",
        "steering",
        "tally",
        "throttled",
        "waiting",
        "wanted_at",
    )

    def __init__(self, name: str, limit: float, steering: Steering) -> None:
        """Begin at the steering's rate."""
        self.name = name
        self.limit = limit
        self.steering = steering
        self.bucket = Bucket(steering.rate, burst_of(steering.rate))
        self.tally = Tally()
        self.demand = Tally()  # as `tally`, but of what was asked for, when it was
        self.wanted_at = -inf
        self.ahead = [0, 0]  # the amounts waited for, by priority
        self.waiting = self.throttled = self.refused = 0
        self.answered = self.blamed = 0  # amounts, for the fleet: what AWS let through and what it did not
        self.leased: float | None = None  # of the fleet's share; None where there is no fleet
        self.hoped = 0.0  # the rate to be expected in a moment, where it is more than the one there is

    def need(self, now: float) -> float:
        """Say what rate it could use: what was asked for over the last second, if it still is, and what waits."""
        asked = self.demand.per_second(now) if now - self.wanted_at < STILL else 0.0
        return asked + sum(self.ahead) / DRAIN

    def want(self, now: float, amount: int) -> None:
        """Take note that so much is asked for."""
        self.demand.add(now, amount)
        self.wanted_at = now

    def opens(self, now: float, amount: int, ahead: int) -> float:
        """Estimate when `amount` can be had, after `ahead` has been taken."""
        bucket = self.bucket
        wait = bucket.earliest(now, amount, ahead=ahead) - now
        return now + wait * min(1.0, bucket.rate / self.hoped if self.hoped else 1.0)

    def await_lease(self, now: float, phase: float, hoped: float) -> None:
        """Let nothing through before the first lease, and then the first call after a part `phase` of its interval.

        Daemons that start together must not send their first calls together.
        """
        self.rest(now, hoped)
        self.bucket.take(now, phase)

    def lease(self, now: float, rate: float, hoped: float) -> None:
        """Keep to a lease from now on."""
        self.steering.lease(max(rate, PENDING_RATE))
        self.leased, self.hoped = rate, hoped
        self._retune_leased(now)

    def go_alone(self, now: float, rate: float) -> None:
        """Keep to a rate that no lease gives."""
        self.steering.keep(max(rate, PENDING_RATE))
        self.leased, self.hoped = 0.0, 0.0
        self._retune_leased(now)

    def rest(self, now: float, hoped: float) -> None:
        """Let nothing through but what was saved up: there is no lease, as nothing was needed."""
        self.go_alone(now, PENDING_RATE)
        self.hoped = hoped

    def start_alone(self, now: float, ceiling: float) -> None:
        """Begin as without a fleet: from a low start, steered by what AWS answers."""
        self.steering = Steering(ceiling)
        self.leased, self.hoped = 0.0, 0.0
        self.bucket.least_burst = BURST_CALLS
        self.bucket.retune(now, self.steering.rate)

    def _retune_leased(self, now: float) -> None:
        self.bucket.least_burst = LEASED_BURST_CALLS
        self.bucket.reset(now, self.steering.rate, burst_of(self.steering.rate, LEASED_BURST_CALLS))

    def absorb(self, other: "Quota", now: float) -> None:
        """Take over what another counted that turned out to be the same: what it took is taken here too."""
        self.bucket.take(now, other.bucket.owed(now))
        if other.steering.was_cut and other.steering.rate < self.steering.rate:
            self.steering.rate = other.steering.rate
            self.bucket.retune(now, self.steering.rate)
        self.tally.add(now, other.tally.per_second(now))
        self.throttled += other.throttled
        self.refused += other.refused
        self.answered += other.answered
        self.blamed += other.blamed

    def succeeded(self, now: float, sent_at: float, amount: int) -> None:
        """Take note that AWS answered; the rate may rise."""
        self.steering.succeeded(sent_at, amount)
        self.bucket.retune(now, self.steering.rate)

    def slow_down(self, now: float, sent_at: float, amount: int = 1) -> None:
        """Take note that AWS throttled and that it was because of this quota."""
        self.throttled += 1
        self.blamed += amount
        self.steering.throttled(now, sent_at, inf if self.leased else self.tally.per_second(now))
        self.bucket.retune(now, self.steering.rate)

    def adopt(self, now: float, limit: float, ceiling: float) -> None:
        """Go on below other limits."""
        self.limit = limit
        self.steering.limit(ceiling if self.leased is None else min(self.steering.ceiling, ceiling))
        self.bucket.retune(now, self.steering.rate)

    def pressure(self, now: float, amount: int) -> tuple[float, float]:
        """Say how near its limit it is; among unused ones, how much of it one such request takes."""
        return self.tally.per_second(now) / self.limit, amount / self.limit


class Queue:
    """Requests that charge alike: they wait in line, callers apart from background."""

    __slots__ = ("claim", "lines", "tolls", "turnstile")

    def __init__(self, turnstile: "Turnstile", tolls: tuple[tuple[Quota, int], ...]) -> None:
        """Take which quotas each of these requests uses, and how much of each."""
        self.turnstile = turnstile
        self.tolls = tolls
        self.claim: Claim = tuple((quota.bucket, amount) for quota, amount in tolls)
        self.lines: tuple[deque[Ticket], deque[Ticket]] = (deque(), deque())

    def head(self, priority: Priority) -> "Ticket | None":
        """Give the first that still waits in this line."""
        line = self.lines[priority]
        while line and not line[0].waits_as(priority):
            line.popleft()
        return line[0] if line else None

    def first(self) -> "Ticket | None":
        """Give whoever of this queue goes next."""
        return self.head(Priority.CALLER) or self.head(Priority.BACKGROUND)

    def answered(self, now: float, sent_at: float) -> None:
        """Take note that AWS gave what was asked for: the rates may rise, so somebody may go sooner."""
        for quota, amount in self.tolls:
            quota.answered += amount
            if quota.steering.rate < quota.steering.ceiling:
                quota.succeeded(now, sent_at, amount)
        if self.turnstile.waiting:
            self.turnstile.turn()

    def refund(self) -> None:
        """Give back what was charged for plaintexts: AWS refused before it decrypted any."""
        for bucket, amount in self.claim[1:]:
            bucket.give_back(amount)

    def amount(self, quota: Quota) -> int:
        """Say how much of a quota each of these requests uses; one that only an error named counts as 1."""
        return next((amount for each, amount in self.tolls if each is quota), 1)

    def move(self, turnstile: "Turnstile") -> None:
        """Charge to another turnstile's quotas of the same names from now on, for those under way too."""
        self.turnstile = turnstile
        self.tolls = tuple((turnstile.quota(quota.name), amount) for quota, amount in self.tolls)
        self.claim = tuple((quota.bucket, amount) for quota, amount in self.tolls)

    def tightest(self, now: float) -> Quota:
        """Give the quota that is nearest its limit: the likeliest cause of a throttling that names none."""
        return max(self.tolls, key=lambda toll: toll[0].pressure(now, toll[1]))[0]


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's place in line; it waits until `granted` is done."""

    queue: Queue
    priority: Priority
    number: int
    granted: asyncio.Future[None]

    def waits_as(self, priority: Priority) -> bool:
        """Whether this is still its place: it was not granted, cancelled or moved to the callers."""
        return self.priority is priority and not self.granted.done()


class Turnstile:
    """The quotas of one account and region, and everyone who waits for them."""

    def __init__(self, scope: Scope, limits: Limits, lessor: Lessor | None = None) -> None:
        """Begin without quotas: each is made on its first use, and leased where there is a lessor."""
        self.scope = scope
        self.waiting = 0
        self.limits = limits
        self._lessor = lessor
        self._quotas: dict[str, Quota] = {}
        self._queues: dict[tuple[Charge, ...], Queue] = {}
        self._budgets: dict[str, Budget] = {}
        self._busy: dict[Queue, None] = {}  # those with somebody in line
        self._numbers = itertools.count()
        self._passed_over = 0
        self._timer: asyncio.TimerHandle | None = None

    def queue(self, charges: tuple[Charge, ...]) -> Queue:
        """Give the queue of the requests that charge this."""
        queue = self._queues.get(charges)
        if queue is None:
            queue = Queue(self, tuple((self.quota(charge.quota), charge.amount) for charge in charges))
            self._queues[charges] = queue
        return queue

    def quota(self, name: str) -> Quota:
        """Give the quota of this name."""
        quota = self._quotas.get(name)
        if quota is None:
            limits, region = self.limits, self.scope.region
            steering = Steering(limits.ceiling(name, region))
            if self._lessor and not self.scope.is_known:
                steering = Steering(steering.ceiling, UNTOLD_RATE)
            quota = self._quotas[name] = Quota(name, limits.limit(name, region), steering)
            if self._lessor:
                quota.bucket.burst = quota.bucket.least_burst = LEASED_BURST_CALLS
                self._lessor.watch(self, quota)
        return quota

    def budget(self, service: str) -> Budget:
        """Give the retry budget of this service's endpoint."""
        budget = self._budgets.get(service)
        if budget is None:
            budget = self._budgets[service] = Budget()
        return budget

    def pass_at_once(self, queue: Queue, now: float) -> bool:
        """Take the request's charges if nobody waits and all of them are free."""
        if self.waiting:
            return False
        for bucket, amount in queue.claim:
            if not bucket.has(now, amount):
                return False
        _take(queue, now)
        if self._lessor:
            self._tell_need(self._lessor, queue)
        return True

    def opens(self, queue: Queue, priority: Priority, now: float) -> tuple[float, Quota]:
        """Estimate when a request that joins now would be let through, and the quota that makes it wait so long."""
        times = [(quota.opens(now, amount, sum(quota.ahead[: priority + 1])), quota) for quota, amount in queue.tolls]
        return max(times, key=lambda time: time[0])

    def join(self, queue: Queue, priority: Priority) -> Ticket:
        """Stand in line; the ticket may be granted when this returns."""
        ticket = Ticket(queue, priority, next(self._numbers), asyncio.get_running_loop().create_future())
        self._line_up(ticket)
        self.turn()
        if self._lessor:
            self._tell_need(self._lessor, queue)
        return ticket

    def promote(self, ticket: Ticket) -> None:
        """Let a ticket of the background, if it still waits, go on as the last of the callers."""
        if ticket.waits_as(Priority.BACKGROUND):
            self._drop_out(ticket)
            ticket.priority, ticket.number = Priority.CALLER, next(self._numbers)
            self._line_up(ticket)
            self.turn()

    def withdraw(self, ticket: Ticket) -> None:
        """Leave: a place in line costs nothing, and what was granted but not used is given back."""
        if ticket.granted.done() and not ticket.granted.cancelled():
            self.give_back(ticket.queue)
            return
        ticket.granted.cancel()
        self._drop_out(ticket)
        self.turn()

    def give_back(self, queue: Queue) -> None:
        """Undo a grant that was not used."""
        for bucket, amount in queue.claim:
            bucket.give_back(amount)
        self.turn()

    def adopt(self, limits: Limits, now: float) -> None:
        """Keep other limits from now on."""
        self.limits = limits
        region = self.scope.region
        for name, quota in self._quotas.items():
            most = limits.ceiling if quota.leased is None else limits.fleet_ceiling
            quota.adopt(now, limits.limit(name, region), most(name, region))
        self.turn()

    def rename(self, scope: Scope, limits: Limits, now: float) -> None:
        """Charge to the account that has become known; rates, lines and counts stay as they are."""
        self.scope = scope
        self.adopt(limits, now)
        if self._lessor:
            for quota in self._quotas.values():
                self._lessor.watch(self, quota)

    def absorb(self, other: "Turnstile", now: float) -> None:
        """Take over all that was charged to another that turned out to be the same account."""
        for name, quota in other._quotas.items():  # noqa: SLF001 -- of its own class
            self.quota(name).absorb(quota, now)
        for service, budget in other._budgets.items():  # noqa: SLF001 -- likewise
            self._budgets.setdefault(service, budget)
        tickets = other.dissolve()
        for charges, queue in other._queues.items():  # noqa: SLF001 -- likewise
            queue.move(self)
            self._queues.setdefault(charges, queue)
        for ticket in tickets:
            ticket.number = next(self._numbers)
            self._line_up(ticket)
        self.turn()

    def dissolve(self) -> list[Ticket]:
        """Send everybody out of line, and give their tickets in the order in which they came."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines = [line for queue in self._busy for line in queue.lines]
        tickets = {ticket for line in lines for ticket in line if not ticket.granted.done()}
        for line in lines:
            line.clear()
        self._busy.clear()
        self.waiting = 0
        return sorted(tickets, key=lambda ticket: ticket.number)

    def turn(self) -> None:
        """Let through whoever may go now, and wake for the next; after anything that moves a grant's time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting:
            self._let_through()

    def _let_through(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while tickets := self._in_order():
            turn = next_turn((ticket.queue.claim for ticket in tickets), now)
            if turn.index is None:
                self._timer = loop.call_at(turn.again_at, self.turn)
                return
            self._grant(tickets[turn.index], now)
        if self._lessor:
            self._lessor.poke()  # nobody waits any more: what is left of the lease may go back

    def _tell_need(self, lessor: Lessor, queue: Queue) -> None:
        """Count what is asked for, and have it leased where there is no lease for it."""
        now = asyncio.get_running_loop().time()
        for quota, amount in queue.tolls:
            quota.want(now, amount)
        if self.waiting or any(quota.leased == 0 for quota, _ in queue.tolls):
            lessor.poke()

    def readings(self, now: float) -> Iterator[QuotaReading]:
        """Say how each quota stands."""
        for quota in self._quotas.values():
            yield QuotaReading(
                scope=self.scope,
                quota=quota.name,
                limit=quota.limit,
                ceiling=quota.steering.ceiling,
                rate=quota.steering.rate,
                used=quota.tally.per_second(now),
                waiting=quota.waiting,
                throttled=quota.throttled,
                refused=quota.refused,
                leased=quota.leased,
            )

    def _grant(self, ticket: Ticket, now: float) -> None:
        _take(ticket.queue, now)
        ticket.granted.set_result(None)
        self._drop_out(ticket)
        background_waits = any(queue.head(Priority.BACKGROUND) for queue in self._busy)
        self._passed_over = self._passed_over + 1 if background_waits and ticket.priority is Priority.CALLER else 0

    def _in_order(self) -> list[Ticket]:
        """Give the first of every queue: callers, then background, each in the order of coming."""
        tickets = []
        for queue in tuple(self._busy):
            if ticket := queue.first():
                tickets.append(ticket)
            else:
                del self._busy[queue]
        tickets.sort(key=lambda ticket: (ticket.priority, ticket.number))
        return [*self._favoured(), *tickets]

    def _favoured(self) -> list[Ticket]:
        """Give the oldest of the background, where too many callers have gone before it."""
        if self._passed_over < PATIENCE:
            return []
        background = [ticket for queue in self._busy if (ticket := queue.head(Priority.BACKGROUND))]
        return [min(background, key=lambda ticket: ticket.number)] if background else []

    def _line_up(self, ticket: Ticket) -> None:
        self.waiting += 1
        self._busy[ticket.queue] = None
        ticket.queue.lines[ticket.priority].append(ticket)
        for quota, amount in ticket.queue.tolls:
            quota.waiting += 1
            quota.ahead[ticket.priority] += amount

    def _drop_out(self, ticket: Ticket) -> None:
        self.waiting -= 1
        for quota, amount in ticket.queue.tolls:
            quota.waiting -= 1
            quota.ahead[ticket.priority] -= amount


def _take(queue: Queue, now: float) -> None:
    for quota, amount in queue.tolls:
        quota.bucket.take(now, amount)
        quota.tally.add(now, amount)
