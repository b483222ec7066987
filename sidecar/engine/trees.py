"""Keep whole trees: new parameters appear under their names, deleted ones go.

A walk of the tree is the check of all its members, page by page. Must not plan members one by one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from sidecar.core import schedule
from sidecar.core.errors import BadName, Failure, NotFound, SecretError, Transient, Unintelligible, kept
from sidecar.core.freshness import Policy, Trouble, after
from sidecar.core.names import Name, name_below
from sidecar.core.ports import Route, TreeSource
from sidecar.core.refs import Ref, Tree
from sidecar.core.schedule import Schedule
from sidecar.core.secret import Revision, Secret
from sidecar.engine.catalogue import Catalogue, Declared
from sidecar.engine.checks import Checks, Flight
from sidecar.engine.guard import GuardGate
from sidecar.engine.store import Entry, Kind
from sidecar.telemetry import events

log = structlog.get_logger()


@dataclass(slots=True)
class TreeEntry:
    """What is known of one tree."""

    prefix: Name  # "app": names are app/<rest>
    root: Tree
    route: Route
    policy: Policy
    members: dict[Ref, Name] = field(default_factory=dict)
    nameless: set[Ref] = field(default_factory=set)  # lie below it and cannot be called by any name
    walked: bool = False  # at least once to the end
    checked_at: float = float("-inf")  # trust time at which the last walk began
    trouble: Trouble | None = None
    setbacks: int = 0


MOST_GONE: Final = 1_000
"""Deleted parameters that are remembered, the latest: who was away for longer than that looks at what there is."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A parameter that was deleted: its name, and what was last known of it, without its value."""

    declared: Declared
    entry: Entry


@dataclass(slots=True)
class Trees:
    """All configured trees, when each is due, and those being walked."""

    checks: Checks
    catalogue: Catalogue
    sources: Callable[[Route], TreeSource]
    entries: dict[Name, TreeEntry] = field(default_factory=dict)
    planned: Schedule[Name] = field(default_factory=Schedule)
    flights: dict[Name, Flight] = field(default_factory=dict)
    gone: dict[Name, Gone] = field(default_factory=dict)

    def keep(self, tree: TreeEntry) -> None:
        """Take a tree in, due at once; one that is kept already only takes the new policy, its members too."""
        kept = self.entries.setdefault(tree.prefix, tree)
        kept.policy = tree.policy
        for ref, name in kept.members.items():
            self._hold(kept, ref, name)
        delay = kept.policy.refresh if kept.walked else 0.0
        if self.planned.due(tree.prefix) is None and tree.prefix not in self.flights:
            self.planned.put(tree.prefix, self.checks.now() + delay)
        self.planned.hasten(tree.prefix, self.checks.now() + delay)

    def unwalked_above(self, name: str) -> TreeEntry | None:
        """Find the tree that this name would come from, if it was never walked to its end."""
        return next(
            (tree for tree in self.entries.values() if not tree.walked and name.startswith(f"{tree.prefix}/")), None
        )

    def worth_walking(self, tree: TreeEntry) -> bool:
        """Decide whether a caller should wait for a walk: not where one has just failed."""
        trouble = tree.trouble
        return trouble is None or self.checks.clock.trust() - trouble.at >= tree.policy.negative_ttl

    def join(self, tree: TreeEntry, gate: GuardGate, deadline: float, tasks: asyncio.TaskGroup) -> Flight:
        """Wait along with the walk under way, which now goes first, or start one."""
        flight = self.flights.get(tree.prefix)
        if flight is None:
            return self.start(tree.prefix, gate, tasks)
        flight.gate.promote(deadline)
        return flight

    def remove(self, prefix: Name) -> None:
        """Forget a tree and all its members."""
        tree = self.entries.pop(prefix)
        self.planned.remove(prefix)
        self.flights.pop(prefix, None)  # what is under way ends for nobody, and holds up no other tree of this name
        for ref in list(tree.members):
            if entry := self._let_go(tree, ref):
                self.checks.drop(entry)

    def start(self, prefix: Name, gate: GuardGate, tasks: asyncio.TaskGroup) -> Flight:
        """Send off a walk of this tree; its end, good or bad, is `Flight.landed`."""
        loop = asyncio.get_running_loop()
        flight = Flight(gate, loop.create_future(), loop.time())
        self.planned.remove(prefix)
        self.flights[prefix] = flight
        tree = self.entries[prefix]
        tree.checked_at = self.checks.clock.trust()
        tasks.create_task(self._fly(tree, flight), name="walk")
        return flight

    async def _fly(self, tree: TreeEntry, flight: Flight) -> None:
        try:
            failure = await self._outcome(tree, flight.gate)
            if self.entries.get(tree.prefix) is tree:
                self._end(tree, failure)
        finally:
            if self.flights.get(tree.prefix) is flight:
                del self.flights[tree.prefix]
            flight.landed.set_result(None)
            self.checks.on_landing()

    async def _outcome(self, tree: TreeEntry, gate: GuardGate) -> Failure | None:
        try:
            await self._walk(tree, gate)
        except (SecretError, Transient) as failure:
            return kept(failure)
        except Exception as error:  # a fault of ours in one source must not stop all others' refresh
            log.exception(events.CHECK_CRASHED, tree=tree.prefix)  # told without what it may quote
            return Unintelligible(f"{tree.root}: {type(error).__name__} in its source")
        return None

    async def _walk(self, tree: TreeEntry, gate: GuardGate) -> None:
        source = self.sources(tree.route)
        seen: set[Ref] = set()
        if tree.members:
            await self._adopt_all(tree, source.probe_tree(tree.root, gate), gate, seen)
        else:
            await self._first_walk(tree, source, gate, seen)
        for ref in tree.members.keys() - seen:
            self._bury(tree, ref)

    def _bury(self, tree: TreeEntry, ref: Ref) -> None:
        """Let go of a parameter that is there no more, and remember it for a while for those who watch."""
        declared = self.catalogue.get(tree.members[ref])
        entry = self._let_go(tree, ref)
        if entry is None:
            return
        self.checks.take(entry, NotFound(f"{ref.shown}: it is no longer in its tree"), 0.0)
        self.checks.drop(entry)
        if declared and declared.tree == tree.prefix:
            self.gone.pop(declared.name, None)
            self.gone[declared.name] = Gone(declared, entry)
            if len(self.gone) > MOST_GONE:
                del self.gone[next(iter(self.gone))]

    async def _first_walk(self, tree: TreeEntry, source: TreeSource, gate: GuardGate, seen: set[Ref]) -> None:
        try:
            await self._adopt_all(tree, source.fetch_tree(tree.root, gate), gate, seen)
        except SecretError:  # one unusable key fails a page: look without plaintexts, then fetch each by itself
            await self._adopt_all(tree, source.probe_tree(tree.root, gate), gate, seen)

    async def _adopt_all(
        self, tree: TreeEntry, pages: AsyncIterator[Mapping[Ref, Revision | Secret]], gate: GuardGate, seen: set[Ref]
    ) -> None:
        async for page in pages:
            if self.entries.get(tree.prefix) is not tree:
                return  # a reload took the tree away meanwhile
            seen.update(page)
            known = {entry.ref: answer for ref, answer in page.items() if (entry := self._adopt(tree, ref))}
            for entries in self.checks.batches(known):
                await self.checks.check(entries, gate, known)

    def _adopt(self, tree: TreeEntry, ref: Ref) -> Entry | None:
        """Give the entry of a member, made when it is new; None for one that cannot have a name."""
        name = tree.members.get(ref)
        if name is None and (name := self._name(tree, ref)) is None:
            return None
        entry, named = self._hold(tree, ref, name)
        if not named and ref not in tree.members:
            log.warning(events.MEMBER_SHADOWED, name=name, ref=ref.shown)
        tree.members[ref] = name
        return entry

    def _name(self, tree: TreeEntry, ref: Ref) -> Name | None:
        try:
            return name_below(tree.prefix, tree.root.rest_of(ref.id) or "")
        except BadName as error:
            if ref not in tree.nameless:
                log.warning(events.MEMBER_IGNORED, ref=ref.shown, error=str(error))
            tree.nameless.add(ref)
            return None

    def _hold(self, tree: TreeEntry, ref: Ref, name: Name) -> tuple[Entry, bool]:
        """Hold a member under its name; tell whether it has it, which something else may have already."""
        entry = self.checks.store.adopt(ref, tree.route, tree.policy, Kind.TREE)
        return entry, self.catalogue.add(Declared(name, entry.ref, required=False, tree=tree.prefix))

    def _let_go(self, tree: TreeEntry, ref: Ref) -> Entry | None:
        """Take a member's name away; give its entry where nothing else holds it."""
        name = tree.members.pop(ref)
        declared = self.catalogue.get(name)
        if declared and declared.tree == tree.prefix:
            self.catalogue.remove(name)
        entry = self.checks.store.get(ref)
        elsewhere = any(ref in other.members for other in self.entries.values())
        return entry if entry and entry.kind is Kind.TREE and not elsewhere else None

    def _end(self, tree: TreeEntry, failure: Failure | None) -> None:
        dice = self.checks.dice()
        before, tree.trouble = (
            tree.trouble,
            after(tree.trouble, failure, self.checks.clock.trust()) if failure else None,
        )
        tree.setbacks = tree.setbacks + 1 if failure else 0
        if failure:
            self._doubt_members(tree, failure)
            delay = schedule.setback_delay(failure, tree.policy, tree.setbacks, dice)
        elif tree.walked:
            delay = schedule.jittered(tree.policy.refresh, dice)
        else:
            delay = schedule.spread(tree.policy.refresh, dice)
        tree.walked = tree.walked or failure is None
        tell(tree, before)
        self.planned.put(tree.prefix, self.checks.now() + delay)

    def _doubt_members(self, tree: TreeEntry, failure: Failure) -> None:
        """Hold what befell the walk against those that nothing else confirms."""
        for ref in tree.members:
            entry = self.checks.store.get(ref)
            if entry and entry.kind is Kind.TREE:
                self.checks.store.doubt(entry, failure)


def tell(tree: TreeEntry, before: Trouble | None) -> None:
    """Log where a tree's trouble begins and ends."""
    failure = tree.trouble.failure if tree.trouble else None
    if failure is None and before is not None:
        log.info(events.TREE_RECOVERED, tree=tree.prefix, after=before.failure.label)
    if failure is not None and (before is None or before.failure.label != failure.label):
        log.warning(events.TREE_FAILED, tree=tree.prefix, why=failure.label, error=str(failure), mend=failure.mend)
