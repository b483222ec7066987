"""Hold every value in memory, and wake those who wait for a change.

`Store.settle` is the one place that writes. Must not wait, ask AWS or know of HTTP.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from itertools import takewhile

from sidecar.core.errors import Failure, NotFound, SecretError, Transient
from sidecar.core.freshness import (
    SERVED,
    Held,
    Lookup,
    Policy,
    State,
    Trouble,
    after,
    freshness,
    state_at,
    strictest,
)
from sidecar.core.ports import Clock, Route
from sidecar.core.refs import Ref
from sidecar.core.secret import Revision, Secret


class Kind(StrEnum):
    """Why a value is held."""

    DECLARED = "declared"
    TREE = "tree"
    ON_DEMAND = "on-demand"


_STRENGTH = {Kind.ON_DEMAND: 0, Kind.TREE: 1, Kind.DECLARED: 2}


class Settled(Enum):
    """What a check's answer did to an entry."""

    CHANGED = "changed"  # another version than before, or the first
    CONFIRMED = "confirmed"
    GONE = "gone"  # a definitive no
    FAILED = "failed"  # a transient one: nobody knows
    DROPPED = "dropped"  # nobody holds this ref any more


@dataclass(slots=True)
class Previous:
    """The version before the current one, until its time is over (trust time)."""

    secret: Secret
    until: float


@dataclass(slots=True)
class Entry:
    """What is known of one whole value; only the store writes it."""

    ref: Ref
    route: Route
    policy: Policy
    kind: Kind
    held: Held | None = None
    trouble: Trouble | None = None
    previous: Previous | None = None
    generation: int = 0  # of the store when the value last changed; 0 = never held
    checked_at: float = float("-inf")  # trust time at which the last check began
    setbacks: int = 0  # checks in a row that brought no value
    used_at: float = 0.0  # trust time of the last read of an on-demand value
    spellings: tuple[Ref, ...] = ()  # other references that turned out to be this value

    @property
    def size(self) -> int:
        """How many bytes of plaintext it holds."""
        held = self.held.secret.plaintext.size if self.held else 0
        return held + (self.previous.secret.plaintext.size if self.previous else 0)

    def look(self, now: float) -> Lookup:
        """Decide what a reader gets at this trust time."""
        return freshness(self.held, self.trouble, self.policy, now)

    def state(self, now: float) -> State:
        """Name what a reader gets at this trust time: `look` for those who look at everything."""
        return state_at(self.held, self.trouble, self.policy, now)


@dataclass(slots=True)
class Store:
    """Entries by canonical ref; other spellings of the same value are aliases of it."""

    clock: Clock
    on_change: Callable[[Entry], None] = lambda _entry: None
    on_rename: Callable[[Ref, Ref], None] = lambda _before, _after: None
    generation: int = 0
    _entries: dict[Ref, Entry] = field(default_factory=dict)
    _aliases: dict[Ref, Ref] = field(default_factory=dict)
    _on_demand: dict[Ref, None] = field(default_factory=dict)  # in the order of use, oldest first
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, ref: Ref) -> Entry | None:
        """Find an entry by any spelling that has been seen."""
        entry = self._entries.get(ref)
        if entry is None and (canonical := self._aliases.get(ref)):
            return self._entries.get(canonical)
        return entry

    def canonical(self, ref: Ref) -> Ref:
        """Give the spelling under which the value is held."""
        return self._aliases.get(ref, ref)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def adopt(self, ref: Ref, route: Route, policy: Policy, kind: Kind) -> Entry:
        """Give the entry of a value, made when there is none; the strongest reason to hold it wins."""
        entry = self.get(ref)
        if entry is None:
            return self._add(Entry(ref, route, policy, kind))
        if _STRENGTH[kind] >= _STRENGTH[entry.kind]:
            self._on_demand.pop(entry.ref, None)
            entry.route, entry.policy, entry.kind = route, policy, kind
            self._add(entry)
        return entry

    def release(self, entry: Entry) -> None:
        """Hold a value for nobody in particular: whoever adopts it next decides why."""
        entry.kind = Kind.ON_DEMAND
        self._add(entry)

    def remove(self, ref: Ref) -> None:
        """Forget a value, its plaintext and its other spellings."""
        ref = self.canonical(ref)
        entry = self._entries.pop(ref, None)
        self._on_demand.pop(ref, None)
        for alias in entry.spellings if entry else ():
            del self._aliases[alias]

    def touch(self, entry: Entry) -> None:
        """Note that somebody read an on-demand value: it goes last when room is needed."""
        if entry.kind is Kind.ON_DEMAND and entry.ref in self._on_demand:  # a reader may have what was evicted
            entry.used_at = self.clock.trust()
            del self._on_demand[entry.ref]
            self._on_demand[entry.ref] = None

    def crowd(self, most: int, idle: float, room: int) -> list[Ref]:
        """Name the on-demand values that must go: beyond `most`, or `room` bytes, or not asked for in `idle` seconds.

        The newest has room whatever its size: somebody waits for it.
        """
        surplus, limit = max(len(self._on_demand) - most, self._beyond(room)), self.clock.trust() - idle
        oldest_first = enumerate(self._on_demand)
        goes = takewhile(lambda nth: nth[0] < surplus or self._entries[nth[1]].used_at < limit, oldest_first)
        return [ref for _, ref in goes]

    def _beyond(self, room: int) -> int:
        """Count the oldest on-demand values for which there is no room."""
        taken = 0
        for newer, ref in enumerate(reversed(self._on_demand)):
            taken += self._entries[ref].size
            if taken > room and newer:
                return len(self._on_demand) - newer
        return 0

    def settle(self, ref: Ref, answer: Revision | Secret | Failure) -> Settled:
        """Write what a check brought for `ref`; the only place that does.

        A Revision confirms the version that is held; whoever got one of another version fetches it first. Where what
        was held has gone or changed meanwhile, it says nothing, and the check is made again.
        """
        entry = self.get(ref)
        if entry is None:
            return Settled.DROPPED
        if isinstance(answer, Secret):
            entry = self._named(entry, answer.revision.ref)
            return self._take_secret(entry, answer)
        if isinstance(answer, Revision):
            return self._confirm(self._named(entry, answer.ref), answer)
        return self._take_failure(entry, answer)

    async def changed_since(self, generation: int) -> int:
        """Wait until something changed after `generation`, give the new one. Cancelling it is harmless."""
        while self.generation <= generation:
            await self._changed.wait()
        return self.generation

    def sweep(self) -> None:
        """Drop the plaintexts that nobody may be given any more."""
        now = self.clock.trust()
        for entry in self._entries.values():
            if entry.previous and entry.previous.until <= now:
                entry.previous = None
            if entry.held and entry.state(now) not in SERVED:
                entry.held = None

    def _take_secret(self, entry: Entry, secret: Secret) -> Settled:
        now = self.clock.trust()
        before = entry.held
        entry.held = Held(secret, fetched_at=now, confirmed_at=now)
        entry.trouble, entry.setbacks = None, 0
        if before and before.secret.revision.version == secret.revision.version:
            return Settled.CONFIRMED
        if before and entry.policy.keep_previous:
            entry.previous = Previous(before.secret, now + entry.policy.keep_previous)
        self._announce(entry)
        return Settled.CHANGED

    def _confirm(self, entry: Entry, revision: Revision) -> Settled:
        if entry.held is None or entry.held.secret.revision.version != revision.version:
            return self._take_failure(
                entry, Transient(f"{entry.ref.shown}: what was held changed while it was checked")
            )
        held = entry.held
        if revision.modified_at is None:  # DescribeSecret tells of many versions, and of none when it was made
            revision = replace(revision, modified_at=held.secret.revision.modified_at)
        # What AWS says again is not made again: a probe of 10,000 values leaves only so many dates.
        secret = held.secret if held.secret.revision == revision else replace(held.secret, revision=revision)
        entry.held = Held(secret, held.fetched_at, confirmed_at=self.clock.trust())
        entry.trouble, entry.setbacks = None, 0
        return Settled.CONFIRMED

    def doubt(self, entry: Entry, failure: Failure) -> None:
        """Note why a value cannot be confirmed, where that was found out without asking for the value itself."""
        entry.trouble = after(entry.trouble, failure, self.clock.trust())

    def _take_failure(self, entry: Entry, failure: Failure) -> Settled:
        self.doubt(entry, failure)
        entry.setbacks += 1
        if not isinstance(failure, SecretError):
            return Settled.FAILED
        if isinstance(failure, NotFound) and (entry.held or entry.previous):
            entry.held = entry.previous = None
            self._announce(entry)
        return Settled.GONE

    def announce(self) -> int:
        """Wake those who wait for a change; give the generation that is its own."""
        self.generation += 1
        self._changed.set()
        self._changed.clear()
        return self.generation

    def _announce(self, entry: Entry) -> None:
        entry.generation = self.announce()
        self.on_change(entry)

    def _named(self, entry: Entry, ref: Ref) -> Entry:
        """Let AWS's own name of a value be its key, and merge with an entry that has it already."""
        if entry.ref == ref:
            return entry
        self.on_rename(entry.ref, ref)
        twin = self._entries.get(ref)
        self._entries.pop(entry.ref)
        self._on_demand.pop(entry.ref, None)
        spellings = {*entry.spellings, entry.ref} - {ref}
        if twin is None:
            entry.ref = ref
            self._add(entry)
        else:
            entry = self._merge(entry, twin)
        entry.spellings = tuple(spellings.union(entry.spellings) - {ref})
        self._aliases.update(dict.fromkeys(spellings, ref))
        self._aliases.pop(ref, None)
        return entry

    def _merge(self, entry: Entry, twin: Entry) -> Entry:
        """Hold as one what two references stood for, as strictly as the stronger reason wants."""
        if entry.kind is twin.kind:
            twin.policy = strictest([entry.policy, twin.policy])
            return twin
        return self.adopt(twin.ref, entry.route, entry.policy, entry.kind)

    def _add(self, entry: Entry) -> Entry:
        self._entries[entry.ref] = entry
        if entry.kind is Kind.ON_DEMAND:
            entry.used_at = self.clock.trust()
            self._on_demand[entry.ref] = None
        return entry
