"""Put the room together: the cache, and all that keeps it fresh."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.core.config.models import Cache, Config
from sidecar.core.ports import Clock, Lent, Route, Source, TreeSource
from sidecar.core.refs import Ref
from sidecar.engine.catalogue import Catalogue
from sidecar.engine.checks import Checks
from sidecar.engine.declarations import Declarations
from sidecar.engine.guard import Guard
from sidecar.engine.on_demand import OnDemandValues
from sidecar.engine.policies import Policies
from sidecar.engine.readings import Readings
from sidecar.engine.refresher import Refresher
from sidecar.engine.resolver import Resolver
from sidecar.engine.store import Entry, Kind, Store
from sidecar.engine.trees import Trees
from sidecar.telemetry import Metrics

if TYPE_CHECKING:
    from sidecar.engine.lending import Lending  # at run time only where something is lent


@dataclass(frozen=True, slots=True)
class World:
    """What the engine needs of the outside."""

    sources: Callable[[Route], Source]
    trees: Callable[[Route], TreeSource]
    guard: Guard
    clock: Clock
    dice: Callable[[], float]
    metrics: Metrics
    tasks: asyncio.TaskGroup  # the parent of all checks


class Engine:
    """The parts that the interface uses: `resolver` for values, `store` for changes, `readings` for the state."""

    def __init__(self, world: World) -> None:
        self._metrics = world.metrics
        self.catalogue = Catalogue()
        self.store = Store(world.clock, self._count_change, self.catalogue.rename)
        self.checks = Checks(self.store, world.sources, world.clock, world.dice, world.metrics)
        self.trees = Trees(self.checks, self.catalogue, world.trees)
        self.policies = Policies(Cache())
        self.on_demand = OnDemandValues(self.store, self.checks, self.policies)
        self.refresher = Refresher(self.checks, self.trees, world.guard, self.on_demand, world.tasks)
        self.checks.on_landing = self.refresher.poke
        world.guard.on_recovery = self.refresher.recover
        self.declarations = Declarations(self.store, self.catalogue, self.checks, self.trees, self.policies)
        self.resolver = Resolver(
            world.clock,
            self.store,
            self.catalogue,
            self.checks,
            self.trees,
            world.guard,
            self.on_demand,
            world.metrics,
            world.tasks,
        )
        self.lending: Lending | None = None
        self.readings = Readings(world.clock, self.store, self.catalogue, self.checks, self.trees)

    def declare(self, config: Config, stretch: float = 1.0) -> None:
        """Keep what the configuration asks for; called again, keep what the new one asks for.

        `stretch` is by how much all intervals lengthen so that polling costs no more than it may.
        """
        self.policies.replace(config.cache, stretch)
        self.on_demand.settings = config.on_demand
        self.declarations.apply(config.secrets, config.trees)
        self.refresher.poke()

    async def lend(self, name: str, undeclared: Ref | None) -> Lent:
        """Lend a declared secret to a source; see `Lending.lend`."""
        if self.lending is None:
            from sidecar.engine.lending import Lending  # noqa: PLC0415 -- only where something is lent

            self.lending = Lending(self.resolver, self.checks)
        return await self.lending.lend(name, undeclared)

    def under_way(self) -> list[asyncio.Future[None]]:
        """Give the ends of the checks and walks under way."""
        return [flight.landed for flight in (*self.checks.flights.values(), *self.trees.flights.values())]

    def _count_change(self, entry: Entry) -> None:
        names = self.catalogue.names_of(entry.ref)
        for name in names or {Kind.ON_DEMAND.value}:
            self._metrics.secret_changed(name)
        if self.lending:
            self.lending.changed(names)
