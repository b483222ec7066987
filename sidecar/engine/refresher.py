"""Send off what is due, in batches, and notice when that stops.

The one loop that polls: events, refreshes and reloads only move entries forward in the schedule.
Must not ask AWS itself: checks and trees do.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from sidecar.core.errors import Transient
from sidecar.core.names import Name
from sidecar.core.pacing import BACKOFF_CAP
from sidecar.core.ports import Priority, Route
from sidecar.core.refs import Ref
from sidecar.core.schedule import Schedule
from sidecar.engine.checks import Checks
from sidecar.engine.guard import CALL_TIMEOUT, Guard
from sidecar.engine.on_demand import OnDemandValues
from sidecar.engine.store import Entry
from sidecar.engine.trees import Trees
from sidecar.telemetry import events

log = structlog.get_logger()

TICK = 1.0
"""The longest rest (seconds): often enough to notice a suspend and to show that the loop turns."""

SWEEP_EVERY = 30.0
"""Seconds between two searches for plaintexts that nobody may be given any more."""

MOST_IN_FLIGHT = 16
"""Background checks of one route at once, and walks: enough to use any share, few enough that 10,000 secrets do not
make 1,000 tasks."""

OVERDUE = 3 * (CALL_TIMEOUT + BACKOFF_CAP)
"""A check overdue by more than this, with nothing else moving, is a stalled poller (seconds)."""

RECOVER_WITHIN = 2.0
"""Seconds over which what failed is checked anew when an endpoint answers again: its backoff was for an outage."""

NOW = 0.001
"""What is due within this is due now: a loop's timer may fire that much early (seconds)."""

STUCK = 10.0
"""A loop that has not come by for so long does not turn (seconds)."""

SLEPT = 1.0
"""Trust time that ran ahead of loop time by more than this: the machine was suspended (seconds)."""


@dataclass(slots=True)
class Room:
    """The ends of what was sent off together: one route that hangs must not take the room of the others."""

    _landings: set[asyncio.Future[None]] = field(default_factory=set)

    @property
    def free(self) -> bool:
        """Whether one more may be sent off."""
        self._landings = {landed for landed in self._landings if not landed.done()}
        return len(self._landings) < MOST_IN_FLIGHT

    def add(self, landed: asyncio.Future[None]) -> None:
        """Take one in until it has landed."""
        self._landings.add(landed)


@dataclass(slots=True)
class Refresher:
    """The poller. `run` lasts until cancelled."""

    checks: Checks
    trees: Trees
    guard: Guard
    on_demand: OnDemandValues
    tasks: asyncio.TaskGroup
    on_sweep: Callable[[], None] = lambda: None
    ticked_at: float = 0.0
    _swept_at: float = float("-inf")
    _ahead: float | None = None  # how far trust time is ahead of loop time
    _poked: asyncio.Event = field(default_factory=asyncio.Event)
    _walks: Room = field(default_factory=Room)
    _rooms: defaultdict[Route, Room] = field(default_factory=lambda: defaultdict(Room))

    def poke(self) -> None:
        """Look at the schedule again: something landed, or was moved forward."""
        self._poked.set()

    async def run(self) -> None:
        """Poll; cancelling it leaves the checks under way to the task group."""
        while True:
            self._tick()
            self.send_off()
            await self._rest()

    def send_off(self) -> None:
        """Start what is due, as far as there is room."""
        now = self.checks.now() + NOW
        for prefix in self._due_trees(now):
            self._walks.add(self.trees.start(prefix, self.guard.gate(Priority.BACKGROUND), self.tasks).landed)
        for route, entries in self._due_batches(now):
            flight = self.checks.start(entries, self.guard.gate(Priority.BACKGROUND), self.tasks)
            self._rooms[route].add(flight.landed)

    def _due_trees(self, now: float) -> Iterator[Name]:
        while self._walks.free and (prefixes := self.trees.planned.take(now, 1)):
            yield prefixes[0]

    def _due_batches(self, now: float) -> Iterator[tuple[Route, list[Entry]]]:
        for route, lane in self.checks.lanes.items():
            room, most = self._rooms[route], self.checks.sources(route).batch
            while room.free and (refs := lane.take(now, most)):
                for entries in self.checks.batches(refs):
                    yield route, entries

    def recover(self) -> None:
        """Check soon what failed for want of an answer: an endpoint answers again."""
        now, dice = self.checks.now(), self.checks.dice
        for tree in self.trees.entries.values():
            if tree.trouble and isinstance(tree.trouble.failure, Transient):
                self.trees.planned.hasten(tree.prefix, now + RECOVER_WITHIN * dice())
        for entry in self.checks.store:
            lane = self.checks.lanes.get(entry.route)
            if lane and entry.trouble and isinstance(entry.trouble.failure, Transient):
                lane.hasten(entry.ref, now + RECOVER_WITHIN * dice())
        self.poke()

    def earliest(self) -> float | None:
        """Tell when the next check is due (loop time), None when none is planned."""
        return _first(self.trees.planned, *self.checks.lanes.values())

    def _next_departure(self) -> float | None:
        """Tell when the next check is due for which there is room: where there is none, a landing wakes us."""
        lanes = [lane for route, lane in self.checks.lanes.items() if self._rooms[route].free]
        return _first(*lanes, *([self.trees.planned] if self._walks.free else []))

    def stalled(self) -> bool:
        """Decide whether checks have stopped moving: an outage, or waiting for quota, is not that."""
        now = self.checks.now()
        if now - self.ticked_at > STUCK:
            return True
        return self.behind() > OVERDUE and now - self.guard.progressed_at > OVERDUE and not self.guard.waiting

    def behind(self) -> float:
        """Say by how many seconds the earliest check that has not ended is late: so much do intervals stretch.

        No more than so many are under way at once, so what waits for quota waits in the schedule, once for each value.
        """
        now = self.checks.now()
        waiting_since = [flight.started for flight in (*self.checks.flights.values(), *self.trees.flights.values())]
        if (earliest := self.earliest()) is not None:
            waiting_since.append(earliest)
        return max(0.0, now - min(waiting_since, default=now))

    async def _rest(self) -> None:
        now = self.checks.now()
        departure = self._next_departure()
        until = now + TICK if departure is None else min(departure, now + TICK)
        try:
            async with asyncio.timeout_at(until):
                await self._poked.wait()
        except TimeoutError:
            pass
        self._poked.clear()

    def _tick(self) -> None:
        self.ticked_at = self.checks.now()
        self._notice_suspend()
        self.on_demand.evict()
        if self.ticked_at - self._swept_at >= SWEEP_EVERY:
            self._swept_at = self.ticked_at
            self.checks.store.sweep()
            self.on_sweep()

    def _notice_suspend(self) -> None:
        ahead = self.checks.clock.trust() - self.ticked_at
        slept = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if slept > SLEPT:
            log.info(events.SUSPEND_NOTICED, seconds=round(slept, 1))
            self.trees.planned.pull(slept)
            for lane in self.checks.lanes.values():
                lane.pull(slept)


def _first(*schedules: Schedule[Ref] | Schedule[Name]) -> float | None:
    dues = [schedule.earliest() for schedule in schedules]
    return min((due for due in dues if due is not None), default=None)
