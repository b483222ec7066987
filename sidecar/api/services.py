"""Hold what the routes work with: the engine's parts, and what the interface adds to them.

Must not do anything by itself.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.api.bodies import Bodies
from sidecar.api.patience import Patience
from sidecar.api.permits import Permits
from sidecar.core.files import FileReading
from sidecar.core.outlook import Outlook
from sidecar.core.ports import Envelopes, Gate, KeyService
from sidecar.core.refs import Ref
from sidecar.engine.engine import Engine
from sidecar.engine.guard import Guard
from sidecar.telemetry import Metrics

if TYPE_CHECKING:
    from sidecar.envelope.public_keys import LoadedKey  # at run time only once a public key is used

Localise = Callable[[Ref, float], Awaitable[Ref]]
"""Spell a reference canonically; may ask AWS for the account once, no longer than the deadline (loop time)."""


@dataclass(frozen=True, slots=True)
class Kms:
    """KMS as the daemon's default identity sees it, and what is built on it; each is made when it is first called."""

    keys: Callable[[], KeyService]  # raises ConfigError where the identity has no region
    envelopes: Callable[[], Envelopes]
    public_key: Callable[[str, KeyService, Gate], Awaitable["LoadedKey"]]


@dataclass(slots=True)
class Services:
    """One daemon's; a reload replaces `permits`, `audit` and `outlook`."""

    engine: Engine
    guard: Guard
    metrics: Metrics
    permits: Permits
    boot: str  # differs from start to start: positions of one life mean nothing in the next
    started_at: float  # wall seconds
    localise: Localise  # an ARN of one's own becomes the name that rules are written for; raises BadRef
    audit: bool = False
    outlook: Outlook = field(default_factory=Outlook)
    files: Callable[[], Iterable[FileReading]] = tuple
    kms: Kms | None = None
    bodies: Bodies = field(default_factory=Bodies)
    patience: Patience = field(default_factory=Patience)

    def prune(self) -> None:
        """Drop what was prepared or counted for what the engine has dropped; to be called when it sweeps."""
        self.bodies.prune(self.engine.store)
        self.metrics.keep_names({declared.name for declared in self.engine.catalogue})
