"""Hold what the routes work with: the engine's parts, and what the interface adds to them.

Must not do anything by itself.
"""

from dataclasses import dataclass, field

from sidecar.api.bodies import Bodies
from sidecar.api.patience import Patience
from sidecar.api.permits import Permits
from sidecar.engine.engine import Engine
from sidecar.engine.guard import Guard
from sidecar.telemetry import Metrics


@dataclass(slots=True)
class Services:
    """One daemon's; a reload replaces `permits` and `audit`."""

    engine: Engine
    guard: Guard
    metrics: Metrics
    permits: Permits
    boot: str  # differs from start to start: positions of one life mean nothing in the next
    started_at: float  # wall seconds
    audit: bool = False
    bodies: Bodies = field(default_factory=Bodies)
    patience: Patience = field(default_factory=Patience)

    def prune(self) -> None:
        """Drop prepared bodies of plaintexts that the engine has dropped; to be called when it sweeps."""
        self.bodies.prune(self.engine.store)
