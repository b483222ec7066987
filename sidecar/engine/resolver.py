"""Find the value that a caller asks for: at once when it is held, else by joining or starting its check.

A hit is plain memory. Must not decide who may ask; the interface does.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sidecar.core.freshness import Lookup, Stale, State, state_of, worth_asking
from sidecar.core.ports import Clock, Priority
from sidecar.core.refs import Ref
from sidecar.core.secret import Secret
from sidecar.engine.catalogue import Catalogue, Declared
from sidecar.engine.checks import Checks
from sidecar.engine.guard import Guard, GuardGate
from sidecar.engine.on_demand import OnDemandValues
from sidecar.engine.store import Entry, Kind, Store
from sidecar.engine.trees import TreeEntry, Trees
from sidecar.telemetry import CacheResult, Metrics

WAIT = 10.0
"""How long a caller waits for a value that is not held, unless it says otherwise (seconds)."""

_RESULTS = {
    State.FRESH: CacheResult.HIT,
    State.STALE: CacheResult.STALE,
    State.REFUSED: CacheResult.REFUSED,
    State.ABSENT: CacheResult.NEGATIVE,
    State.PENDING: CacheResult.MISS,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up found, and how: `waited` for AWS, `collapsed` into a check that was under way."""

    entry: Entry
    lookup: Lookup
    waited: bool = False
    collapsed: bool = False


@dataclass(slots=True)
class Resolver:
    """From a name to what is known of its value."""

    clock: Clock
    store: Store
    catalogue: Catalogue
    checks: Checks
    trees: Trees
    guard: Guard
    on_demand: OnDemandValues
    metrics: Metrics
    tasks: asyncio.TaskGroup

    async def find(self, name: str, deadline: float) -> Declared | None:
        """Find what a name stands for; waits (to `deadline`, loop time) only for a tree that was never walked."""
        declared = self.catalogue.get(name)
        tree = self.trees.unwalked_above(name)
        if declared is None and tree and self.trees.worth_walking(tree):
            await ended(self._walk(tree, deadline), deadline)
            declared = self.catalogue.get(name)
        return declared

    def open(self, ref: Ref) -> Entry:
        """Give the entry of a whole ref, made on demand when nobody declared it."""
        return self.on_demand.open(ref)

    def look(self, entry: Entry) -> Lookup:
        """Look at what is held, without waiting; a stale value is checked behind the reader's back."""
        lookup = entry.look(self.clock.trust())
        self.store.touch(entry)
        if isinstance(lookup, Stale) and entry.trouble is None:
            self.checks.hasten(entry)  # where there is trouble, its backoff decides
        return lookup

    async def get(self, entry: Entry, deadline: float) -> Found:
        """Give the value: at once when it is held, else from AWS, waiting no longer than `deadline` (loop time).

        Cancelling it disturbs nobody else who waits for the same value.
        """
        lookup = self.look(entry)
        if not worth_asking(lookup, entry.trouble, entry.policy, self.clock.trust()):
            self.metrics.cache_answered(_RESULTS[state_of(lookup)])
            return Found(entry, lookup)
        self.metrics.cache_answered(CacheResult.MISS)
        collapsed = entry.ref in self.checks.flights
        await self._checked([entry], deadline)
        entry = self.store.get(entry.ref) or entry
        return Found(entry, entry.look(self.clock.trust()), waited=True, collapsed=collapsed)

    async def learn(self, entry: Entry, deadline: float) -> Lookup:
        """Give what is known of a value, asked for where nothing is: for another value's sake, so no look-up counts."""
        lookup = self.look(entry)
        if worth_asking(lookup, entry.trouble, entry.policy, self.clock.trust()):
            await self._checked([entry], deadline)
            entry = self.store.get(entry.ref) or entry
            lookup = entry.look(self.clock.trust())
        return lookup

    async def get_all(self, entries: Sequence[Entry], deadline: float) -> list[Found]:
        """Give several values as they stand at one moment; those that are not held are asked for in batches first."""
        now = self.clock.trust()
        looks = [(entry, self.look(entry)) for entry in entries]
        cold = [entry for entry, lookup in looks if worth_asking(lookup, entry.trouble, entry.policy, now)]
        asked = {id(entry) for entry in cold}
        joined = {id(entry) for entry in cold if entry.ref in self.checks.flights}
        for entry, lookup in looks:
            self.metrics.cache_answered(CacheResult.MISS if id(entry) in asked else _RESULTS[state_of(lookup)])
        await self._checked(cold, deadline)
        now = self.clock.trust()
        present = [self.store.get(entry.ref) or entry for entry in entries]
        return [
            Found(entry, entry.look(now), waited=id(before) in asked, collapsed=id(before) in joined)
            for before, entry in zip(entries, present, strict=True)
        ]

    async def refresh(self, entries: Sequence[Entry], deadline: float) -> list[Entry]:
        """Check these values now, each at most once in its `min_refresh`; give those that changed."""
        now = self.clock.trust()
        before = {entry.ref: entry.generation for entry in entries}
        await self._checked([entry for entry in entries if self._may_be_checked(entry, now)], deadline)
        after = (self.store.get(ref) for ref in before)
        return [entry for entry, was in zip(after, before.values(), strict=True) if entry and entry.generation != was]

    async def refresh_all(self, deadline: float) -> list[Entry]:
        """Check everything that is held, trees included; give what changed."""
        before, now = self.store.generation, self.clock.trust()
        walks = [self._walk(tree, deadline) for tree in self.trees.entries.values() if self._may_be_walked(tree, now)]
        await self.refresh([entry for entry in self.store if entry.kind is not Kind.TREE], deadline)
        for walk in walks:
            await ended(walk, deadline)
        return [entry for entry in self.store if entry.generation > before]

    def previous(self, entry: Entry) -> Secret | None:
        """Give the version before the current one, while it is kept."""
        previous = entry.previous
        return previous.secret if previous and previous.until > self.clock.trust() else None

    def _walk(self, tree: TreeEntry, deadline: float) -> asyncio.Future[None]:
        gate = self._gate(deadline, until=None)  # half a walk is of no use to anybody
        return self.trees.join(tree, gate, deadline, self.tasks).landed

    def _gate(self, deadline: float, *, until: float | None) -> GuardGate:
        """Give the way to AWS of a check that a caller starts: it goes first, but does not end with the caller."""
        gate = self.guard.gate(Priority.BACKGROUND, until)
        gate.promote(deadline)
        return gate

    def _may_be_checked(self, entry: Entry, now: float) -> bool:
        return entry.ref in self.checks.flights or now - entry.checked_at >= entry.policy.min_refresh

    def _may_be_walked(self, tree: TreeEntry, now: float) -> bool:
        return tree.prefix in self.trees.flights or now - tree.checked_at >= tree.policy.min_refresh

    async def _checked(self, entries: Sequence[Entry], deadline: float) -> None:
        # A check is for more than the caller who starts it: one without patience leaves it behind, it does not fail it.
        gate = partial(self._gate, deadline, until=max(deadline, self.checks.now() + WAIT))
        for landed in self.checks.join(entries, gate, deadline, self.tasks):
            await ended(landed, deadline)


async def ended(landed: asyncio.Future[None], deadline: float) -> bool:
    """Wait for a check that others wait for too, no longer than `deadline`; tell whether it has ended."""
    try:
        async with asyncio.timeout_at(deadline):
            await asyncio.shield(landed)
    except TimeoutError:
        return False
    return True
