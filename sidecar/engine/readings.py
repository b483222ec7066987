"""Tell how things stand: for readiness, metrics and the status of people. Never a value.

Must not change anything: it reads the store.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.core.errors import Failure, told_of
from sidecar.core.freshness import SERVED, State, state_of
from sidecar.core.names import Name
from sidecar.core.ports import Clock
from sidecar.core.refs import Ref
from sidecar.engine.catalogue import Catalogue, Declared
from sidecar.engine.checks import Checks
from sidecar.engine.store import Entry, Kind, Store
from sidecar.engine.trees import Trees
from sidecar.telemetry import SecretGauge


@dataclass(frozen=True, slots=True)
class SecretReading:
    """How one named (or on-demand) value stands; times are wall seconds, None when there is none."""

    name: str
    ref: Ref
    kind: Kind
    required: bool
    state: State
    version: str | None
    region: str | None
    labels: tuple[str, ...]
    fetched_at: float | None
    confirmed_at: float | None
    expires_at: float | None  # when it becomes stale unless confirmed before
    next_check_at: float | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Unready:
    """A required secret, or a tree, that keeps the daemon from being ready, and the class of the reason."""

    name: str
    reason: str  # an error's label, or "pending"
    mend: str


@dataclass(slots=True)
class Readings:
    """Views of the engine's state."""

    clock: Clock
    store: Store
    catalogue: Catalogue
    checks: Checks
    trees: Trees

    def secrets(self) -> Iterator[SecretReading]:
        """Read every declared name, trees' included, then the values held on demand."""
        for declared in self.catalogue:
            entry = self.store.get(declared.ref.whole)
            if entry:
                yield self.secret(entry, declared)
        for entry in self.store:
            if entry.kind is Kind.ON_DEMAND:
                yield self.secret(entry, None)

    def secret(self, entry: Entry, declared: Declared | None) -> SecretReading:
        """Read one value, under the name that it is asked for by."""
        held, revision = entry.held, entry.held.secret.revision if entry.held else None
        ahead = self.clock.wall() - self.clock.trust()
        return SecretReading(
            name=declared.name if declared else entry.ref.shown,
            ref=declared.ref if declared else entry.ref,
            kind=entry.kind,
            required=declared.required if declared else False,
            state=state_of(entry.look(self.clock.trust())),
            version=revision.version if revision else None,
            region=revision.region if revision else None,
            labels=revision.labels if revision else (),
            fetched_at=held.fetched_at + ahead if held else None,
            confirmed_at=held.confirmed_at + ahead if held else None,
            expires_at=held.confirmed_at + entry.policy.ttl + ahead if held else None,
            next_check_at=self._next_check_at(entry, declared),
            failure=told_of(entry.ref.shown, entry.trouble.failure) if entry.trouble else None,
        )

    def unready(self) -> Iterator[Unready]:
        """Name what is not held yet; a held value, however stale, is no reason."""
        now = self.clock.trust()
        for declared in self.catalogue:
            if declared.required and (reason := self._lacks(declared, now)):
                yield reason
        for tree in self.trees.entries.values():
            if not tree.walked:
                yield _unready(f"{tree.prefix}/", tree.trouble.failure if tree.trouble else None)

    def ready(self) -> bool:
        """Decide whether every required secret is held."""
        return next(self.unready(), None) is None

    def gauges(self) -> Iterator[SecretGauge]:
        """Read what metrics tell of each declared name."""
        now, ahead = self.clock.trust(), self.clock.wall() - self.clock.trust()
        get = self.store.get
        for declared in self.catalogue:
            if entry := get(declared.ref.whole):
                held = entry.held
                yield SecretGauge(declared.name, entry.state(now), held.confirmed_at + ahead if held else None)

    def entries(self) -> dict[str, int]:
        """Count what is held in memory, by why."""
        counts = dict.fromkeys((kind.value for kind in Kind), 0)
        for entry in self.store:
            counts[entry.kind] += 1
        return counts

    def _lacks(self, declared: Declared, now: float) -> Unready | None:
        entry = self.store.get(declared.ref.whole)
        if entry and entry.state(now) in SERVED:
            return None
        trouble = entry.trouble if entry else None
        return _unready(declared.name, trouble.failure if trouble else None)

    def _next_check_at(self, entry: Entry, declared: Declared | None) -> float | None:
        due = self.checks.due(entry)
        if due is None and declared and declared.tree:
            due = self.trees.planned.due(Name(declared.tree))  # its walk is the check of its members
        return None if due is None else due - self.checks.now() + self.clock.wall()


def _unready(name: str, failure: Failure | None) -> Unready:
    return Unready(name, failure.label, failure.mend) if failure else Unready(name, "pending", "It is being fetched.")
