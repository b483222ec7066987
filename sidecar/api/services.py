"""Hold what the routes work with: the engine's parts, and what the interface adds to them.

Must not do anything by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from sidecar.api.bodies import Bodies
from sidecar.api.patience import Patience
from sidecar.api.permits import Permits
from sidecar.engine.engine import Engine
from sidecar.engine.guard import Guard


@dataclass(slots=True)
class Services:
    """One daemon's; a reload replaces `permits` and `audit`."""

    engine: Engine
    guard: Guard
    registry: CollectorRegistry
    permits: Permits
    boot: str  # differs from start to start: positions of one life mean nothing in the next
    started_at: float  # wall seconds
    audit: bool = False
    bodies: Bodies = field(default_factory=Bodies)
    patience: Patience = field(default_factory=Patience)

    @property
    def wall(self) -> Callable[[], float]:
        """The clock that times are shown by."""
        return self.engine.resolver.clock.wall

    def prune(self) -> None:
        """Drop prepared bodies of plaintexts that the engine has dropped; to be called when it sweeps."""
        self.bodies.prune(self.engine.store)
