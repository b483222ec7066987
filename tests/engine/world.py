"""Run a whole engine in virtual time: real guard, real metrics, fake sources, clock and dice."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from sidecar.core.config.models import Cache, Config, OnDemand, SecretSpec, TreeSpec
from sidecar.core.ports import Decrypt, Route
from sidecar.core.quotas import Limits
from sidecar.core.refs import Ref, SourceKind
from sidecar.engine.engine import Engine, World
from sidecar.engine.guard import Guard
from sidecar.engine.store import Entry
from sidecar.telemetry import Metrics
from tests.engine.fakes import FakeClock, FakeSource, Sources

SSM = Route(SourceKind.SSM, "default")


@dataclass
class Laboratory:
    """An engine and all that it stands on."""

    engine: Engine
    clock: FakeClock
    sources: Sources
    metrics: Metrics
    guard: Guard
    dice: list[float] = field(default_factory=list)

    @property
    def source(self) -> FakeSource:
        """Give the source of plain ssm refs."""
        return self.sources(SSM)

    def declare(
        self,
        secrets: Mapping[str, Ref | SecretSpec] | None = None,
        trees: Mapping[str, TreeSpec] | None = None,
        *,
        cache: Cache | None = None,
        on_demand: OnDemand | None = None,
    ) -> None:
        """Take a configuration in."""
        specs = {
            name: spec if isinstance(spec, SecretSpec) else SecretSpec(spec) for name, spec in (secrets or {}).items()
        }
        sections = {"cache": cache or Cache(), "on_demand": on_demand or OnDemand()}
        self.engine.declare(Config(secrets=specs, trees=dict(trees or {}), **sections))

    def entry(self, ref: Ref) -> Entry:
        """Give what is known of a value that is held."""
        entry = self.engine.store.get(ref)
        assert entry is not None
        return entry

    def value(self, ref: Ref) -> bytes:
        """Give the plaintext that is held."""
        held = self.entry(ref).held
        assert held is not None
        return held.secret.plaintext.reveal()


def spec(
    ref: Ref, *, refresh: float | None = None, required: bool = True, decrypt: Decrypt = Decrypt.AWS
) -> SecretSpec:
    """Make a declaration with settings of its own."""
    return SecretSpec(ref, refresh=refresh, required=required, decrypt=decrypt)


@asynccontextmanager
async def laboratory(*, dice: float = 0.5, polling: bool = True) -> AsyncIterator[Laboratory]:
    """Give an engine that polls until the block ends; every throw of the dice shows the same."""
    metrics, clock, sources = Metrics(CollectorRegistry()), FakeClock(), Sources()
    guard = Guard(Limits(share=1.0), dice=lambda: dice, metrics=metrics)
    async with asyncio.TaskGroup() as tasks:
        engine = Engine(World(sources, sources, guard, clock, lambda: dice, metrics, tasks))
        poller = tasks.create_task(engine.refresher.run()) if polling else None
        yield Laboratory(engine, clock, sources, metrics, guard)
        if poller:
            poller.cancel()
