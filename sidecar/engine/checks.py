"""Check a value: probe it, fetch it when it moved, settle it, and plan the next check.

The one way in which values are asked for, whoever asks: a caller's miss, the poller, a refresh, a reload.
Each value is in one check at a time (single flight). Must not decide who may ask, nor how long a caller waits.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from sidecar.core import schedule
from sidecar.core.errors import Failure, Unintelligible, told_of
from sidecar.core.freshness import Trouble, wants_plaintext
from sidecar.core.ports import Clock, Route, Source
from sidecar.core.refs import Ref
from sidecar.core.schedule import Schedule
from sidecar.core.secret import Revision, Secret
from sidecar.engine.guard import GuardGate
from sidecar.engine.store import Entry, Kind, Settled, Store
from sidecar.telemetry import Metrics, Refreshed, events

log = structlog.get_logger()

Answer = Revision | Secret | Failure


@dataclass(slots=True)
class Flight:
    """A check under way: the gate through which it asks, and the future that is done when it has settled."""

    gate: GuardGate
    landed: asyncio.Future[None]
    started: float  # loop time


@dataclass(slots=True)
class Checks:
    """What is planned, what is in flight, and the way from one to the other."""

    store: Store
    sources: Callable[[Route], Source]
    clock: Clock
    dice: Callable[[], float]
    metrics: Metrics
    lanes: dict[Route, Schedule[Ref]] = field(default_factory=dict)
    flights: dict[Ref, Flight] = field(default_factory=dict)
    on_landing: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Give the loop's time, in which checks are planned (seconds)."""
        return asyncio.get_running_loop().time()

    def plan(self, entry: Entry, delay: float, *, slack: float = 0.0) -> None:
        """Check this value in `delay` seconds, or up to `slack` earlier in others' company."""
        lane = self.lanes.setdefault(entry.route, Schedule())
        lane.put(entry.ref, self.now() + delay, slack=slack)

    def plan_within(self, entry: Entry, delay: float) -> None:
        """Check this value in `delay` seconds at the latest; one that is under way plans itself when it lands."""
        if entry.ref in self.flights:
            return
        if self.due(entry) is None:
            self.plan(entry, delay)
        else:
            self.lanes[entry.route].hasten(entry.ref, self.now() + delay)

    def hasten(self, entry: Entry) -> None:
        """Check this value now; what is not planned (a tree's member, one under way) stays as it is."""
        if lane := self.lanes.get(entry.route):
            lane.hasten(entry.ref, self.now())
            self.on_landing()

    def due(self, entry: Entry) -> float | None:
        """Tell when this value is checked next (loop time), None when that is not planned."""
        lane = self.lanes.get(entry.route)
        return lane.due(entry.ref) if lane else None

    def forget(self, entry: Entry) -> None:
        """Plan no more checks of this value."""
        if lane := self.lanes.get(entry.route):
            lane.remove(entry.ref)

    def drop(self, entry: Entry) -> None:
        """Hold this value no longer; what a check of it that is under way brings is for nobody."""
        self.forget(entry)
        self.flights.pop(entry.ref, None)
        self.store.remove(entry.ref)

    def drop_lanes(self, identity: str) -> None:
        """Plan nothing more that is read with this identity: it may be configured no longer."""
        self.lanes = {route: lane for route, lane in self.lanes.items() if route.identity != identity}

    def join(
        self, entries: Sequence[Entry], gate: Callable[[], GuardGate], deadline: float, tasks: asyncio.TaskGroup
    ) -> list[asyncio.Future[None]]:
        """Wait along with the checks under way, which now go first, and start the others in batches."""
        refs = [entry.ref for entry in entries]
        flights = {id(flight): flight for ref in refs if (flight := self.flights.get(self.store.canonical(ref)))}
        for flight in flights.values():
            flight.gate.promote(deadline)
        landings = [flight.landed for flight in flights.values()]
        return landings + [self.start(batch, gate(), tasks).landed for batch in self.batches(refs)]

    def batches(self, refs: Iterable[Ref]) -> Iterator[list[Entry]]:
        """Group these values, each once and none that is being checked, so that one request can ask for a group."""
        present = {entry.ref: entry for ref in refs if (entry := self.store.get(ref))}
        by_route: dict[Route, list[Entry]] = {}
        for ref, entry in present.items():
            if ref not in self.flights:
                by_route.setdefault(entry.route, []).append(entry)
        for route, same in by_route.items():
            most = self.sources(route).batch
            yield from (same[start : start + most] for start in range(0, len(same), most))

    def start(self, entries: Sequence[Entry], gate: GuardGate, tasks: asyncio.TaskGroup) -> Flight:
        """Send off one check of these values, all of one route; its end is `Flight.landed`."""
        flight = self._take_off(entries, gate)
        tasks.create_task(self._fly(entries, flight, {}), name="check")
        return flight

    async def check(
        self, entries: Sequence[Entry], gate: GuardGate, known: Mapping[Ref, Revision | Secret] | None = None
    ) -> None:
        """Check these values, all of one route, to the end; `known` are probes done already."""
        await self._fly(entries, self._take_off(entries, gate), known or {})

    def _take_off(self, entries: Sequence[Entry], gate: GuardGate) -> Flight:
        loop = asyncio.get_running_loop()
        flight = Flight(gate, loop.create_future(), loop.time())
        now = self.clock.trust()
        for entry in entries:
            self.forget(entry)
            self.flights[entry.ref] = flight
            entry.checked_at = now
        return flight

    async def _fly(self, entries: Sequence[Entry], flight: Flight, known: Mapping[Ref, Revision | Secret]) -> None:
        """Ask for these values, settle what comes and plan the next check."""
        refs = [entry.ref for entry in entries]
        try:
            answers = await self._ask(entries, flight.gate, known)
            dice = self.dice()  # one throw a batch: what was asked for together stays together
            for entry in entries:
                answer = answers.get(entry.ref) or Unintelligible(f"{entry.ref.shown}: the answer left it out")
                self.take(entry, answer, dice)
        finally:
            for ref in refs:
                if self.flights.get(ref) is flight:
                    del self.flights[ref]
            flight.landed.set_result(None)
            self.on_landing()

    async def _ask(
        self, entries: Sequence[Entry], gate: GuardGate, known: Mapping[Ref, Revision | Secret]
    ) -> dict[Ref, Answer]:
        now = self.clock.trust()
        answers: dict[Ref, Answer] = dict(known)
        unprobed = [entry for entry in entries if entry.ref not in known]
        try:
            source = self.sources(entries[0].route)
            if warm := [entry.ref for entry in unprobed if not wants_plaintext(entry.held, entry.policy, now)]:
                answers |= await source.probe(warm, gate)
            if wanted := [entry.ref for entry in entries if wants_fetch(entry, answers.get(entry.ref), now)]:
                fetched = await source.fetch(wanted, gate)
                answers |= {ref: with_rotation(answer, answers.get(ref)) for ref, answer in fetched.items()}
        except Exception as error:  # a fault of ours in one source must not stop all others' refresh
            log.exception(events.CHECK_CRASHED, source=entries[0].route.source)  # told without what it may quote
            answers |= {
                entry.ref: Unintelligible(f"{entry.ref.shown}: {type(error).__name__} in its source")
                for entry in entries
            }
        return answers

    def take(self, asked: Entry, answer: Answer, dice: float) -> None:
        """Settle one answer, say what is worth saying of it, and plan the next check."""
        ref = asked.ref
        if self.store.get(ref) is not asked:
            return  # it was dropped meanwhile; a new entry of this ref may be another identity's
        was_held, told = asked.held is not None, asked.trouble if asked.setbacks else None
        settled = self.store.settle(ref, answer)
        entry = self.store.get(ref)
        assert entry is not None, "settling renames an entry, it never removes it"
        self.metrics.refreshed(_REFRESHED[settled])
        tell(entry, settled, told)
        self._plan_next(entry, settled, dice, was_held=was_held)

    def _plan_next(self, entry: Entry, settled: Settled, dice: float, *, was_held: bool) -> None:
        if entry.kind is Kind.TREE and settled is not Settled.FAILED:
            return  # its tree's walk is its check
        if entry.kind is Kind.ON_DEMAND and entry.held is None:
            return  # nobody waits for it: whoever asks again brings the next check
        if settled in {Settled.GONE, Settled.FAILED}:
            failure = entry.trouble.failure if entry.trouble else None
            assert failure is not None, "a setback leaves its trouble behind"
            self.plan(entry, schedule.setback_delay(failure, entry.policy, entry.setbacks, dice))
            return
        delay = delay_after_success(entry, dice, self.clock.wall(), was_held=was_held)
        self.plan(entry, delay, slack=delay * schedule.COMPANY)


_REFRESHED = {
    Settled.CHANGED: Refreshed.CHANGED,
    Settled.CONFIRMED: Refreshed.UNCHANGED,
    Settled.GONE: Refreshed.REFUSED,
    Settled.FAILED: Refreshed.FAILED,
}


def with_rotation(fetched: Secret | Failure, probed: Answer | None) -> Secret | Failure:
    """Keep what only a probe tells, when the next rotation is due, with what the fetch after it brought."""
    if not (isinstance(fetched, Secret) and isinstance(probed, Revision) and fetched.revision.rotates_at is None):
        return fetched
    return replace(fetched, revision=replace(fetched.revision, rotates_at=probed.rotates_at))


def wants_fetch(entry: Entry, probed: Answer | None, now: float) -> bool:
    """Decide whether the plaintext must be fetched, given what the probe (if there was one) brought."""
    if probed is None:
        return True
    if not isinstance(probed, Revision):
        return False
    held = entry.held
    return held is None or wants_plaintext(held, entry.policy, now) or held.secret.revision.version != probed.version


def delay_after_success(entry: Entry, dice: float, wall: float, *, was_held: bool) -> float:
    """Give the seconds to the next check of a value that is held, sooner when a rotation is due before."""
    interval = entry.policy.refresh
    delay = schedule.jittered(interval, dice) if was_held else schedule.spread(interval, dice)
    rotates_at = entry.held.secret.revision.rotates_at if entry.held else None
    if rotates_at is None or rotates_at < wall:
        return delay
    return min(delay, rotates_at - wall + schedule.ROTATION_GRACE)


def tell(entry: Entry, settled: Settled, before: Trouble | None) -> None:
    """Log what an operator wants to know: changes, and trouble where it begins and ends; not each repetition."""
    ref = entry.ref.shown
    if settled is Settled.CHANGED and entry.held:
        log.info(events.SECRET_CHANGED, ref=ref, version=entry.held.secret.revision.version)
    if entry.trouble is None:
        if before is not None:
            log.info(events.SECRET_RECOVERED, ref=ref, after=before.failure.label)
        return
    failure = told_of(ref, entry.trouble.failure)
    if before is None or before.failure.label != failure.label:
        log.warning(events.CHECK_FAILED, ref=ref, why=failure.label, error=str(failure), mend=failure.mend)
