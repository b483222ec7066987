"""Hold what callers ask for without a declaration, as much of it as the configuration allows.

Must not decide who may ask; the interface does.
"""

from dataclasses import dataclass, field

from sidecar.core.config.models import OnDemand
from sidecar.core.ports import Route
from sidecar.core.refs import Ref
from sidecar.engine.checks import Checks
from sidecar.engine.policies import Policies
from sidecar.engine.store import Entry, Kind, Store


@dataclass(slots=True)
class OnDemandValues:
    """The values held on demand: they come when they are asked for, and go when room is needed or nobody asks."""

    store: Store
    checks: Checks
    policies: Policies
    settings: OnDemand = field(default_factory=OnDemand)

    def open(self, ref: Ref) -> Entry:
        """Give the entry of a whole ref, made on demand when nobody declared it."""
        entry = self.store.get(ref)
        if entry is None:
            policy = self.policies.of(None, None, pinned=ref.pinned)
            entry = self.store.adopt(ref, Route(ref.source, ref.identity), policy, Kind.ON_DEMAND)
            self.evict()
        return entry

    def evict(self) -> None:
        """Let the least recently used go where there are too many, and the idle; not those just being fetched."""
        settings = self.settings
        for ref in self.store.crowd(settings.max_entries, settings.idle, settings.max_bytes):
            entry = self.store.get(ref)
            if entry and ref not in self.checks.flights:
                self.checks.drop(entry)
