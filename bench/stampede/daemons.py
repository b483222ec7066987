"""Start our own daemons: the real engine and guard, whose source asks the model of AWS.

Alone, or as a fleet whose lease store is this process's memory, a millisecond away.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from prometheus_client import CollectorRegistry

from bench.stampede.stampede import Launch, Stampede
from sidecar.core.config.models import Cache, Config, OnDemand, SecretSpec
from sidecar.core.errors import Failure, SecretError, Throttled, Transient
from sidecar.core.leases import Bid, Lease, Pool
from sidecar.core.ports import Call, Gate, Route, TreeSource
from sidecar.core.quotas import Charge, Limits, Scope
from sidecar.core.refs import Ref, SourceKind
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.engine import Engine, World
from sidecar.engine.guard import Guard
from sidecar.engine.leasing import Leasing
from sidecar.fleet.memory import MemoryLeases
from sidecar.telemetry import Metrics

QUOTA: Final = "kms.symmetric"
SCOPE: Final = Scope("111111111111", "eu-west-1")
FETCH: Final = Call("secretsmanager", "GetSecretValue", SCOPE, (Charge(QUOTA),))
DESCRIBE: Final = Call("secretsmanager", "DescribeSecret", SCOPE, (Charge("sm.describe"),))
STORE_AWAY: Final = 0.001  # seconds, each way


class VirtualClock:
    """Both clocks follow the loop."""

    def trust(self) -> float:
        """Give the loop's time."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Give seconds since the epoch, from some day in 2026."""
        return 1_770_000_000 + self.trust()


@dataclass(slots=True)
class SecretsManager:
    """A source of one daemon: each value is one call."""

    stampede: Stampede
    batch: int = 1

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Revision | Secret | Failure]:
        """Make one call for the version of what is held; it charges a quota of which there is plenty."""
        (ref,) = refs
        await gate.send(DESCRIBE, self._describe)
        return {ref: _revision(ref)}

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
        """Make one call for one value."""
        (ref,) = refs
        try:
            await gate.send(FETCH, self._attempt)
        except (SecretError, Transient) as failure:
            self.stampede.gave_up()
            return {ref: failure}
        self.stampede.gained()
        return {ref: Secret(_revision(ref), Plaintext(b"value"))}

    async def _describe(self) -> None:
        await asyncio.sleep(self.stampede.scenario.round_trip)

    async def _attempt(self) -> None:
        if not await self.stampede.cloud.ask():
            raise Throttled("Rate exceeded", quota=QUOTA)


def _revision(ref: Ref) -> Revision:
    return Revision(ref, Version("1"), SCOPE.region)


class DistantLeases:
    """A lease store at the other end of a network."""

    def __init__(self, leases: MemoryLeases) -> None:
        self.leases = leases
        self.lasting = leases.lasting

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Ask, and wait for the answer."""
        await asyncio.sleep(STORE_AWAY)
        lease = await self.leases.renew(pool, member, bid)
        await asyncio.sleep(STORE_AWAY)
        return lease

    async def leave(self, pool: Pool, member: str) -> None:
        """Tell, and do not wait."""
        await self.leases.leave(pool, member)

    async def close(self) -> None:
        """Keep nothing open."""


def alone(stampede: Stampede) -> Launch:
    """Start daemons that know nothing of each other; each may take the default share of the quota."""
    ours = _Ours(stampede)
    return lambda: ours.start(None)


def leased(stampede: Stampede) -> Launch:
    """Start daemons that lease their rates from one store; together they may take the fleet's default share."""
    ours = _Ours(stampede)
    store = DistantLeases(MemoryLeases(asyncio.get_running_loop().time))
    numbers = count()

    def start() -> None:
        leasing = Leasing(store, f"daemon-{next(numbers)}", stampede.dice)
        stampede.tasks.create_task(leasing.run())
        ours.start(leasing)

    return start


def _no_trees(_route: Route) -> TreeSource:
    raise LookupError("no daemon here has a tree")


class _Ours:
    """What all our daemons have in common: the configuration, and one place to count."""

    def __init__(self, stampede: Stampede) -> None:
        self.stampede = stampede
        self.metrics = Metrics(CollectorRegistry())
        self.limits = Limits(overrides={QUOTA: stampede.scenario.quota})
        refs = [Ref(SourceKind.SM, f"secret-{number}") for number in range(stampede.scenario.secrets)]
        specs = {ref.id: SecretSpec(ref, refresh=None) for ref in refs}
        self.config = Config(secrets=specs, cache=Cache(), on_demand=OnDemand())

    def start(self, leasing: Leasing | None) -> None:
        """Start one daemon."""
        dice, tasks = self.stampede.dice, self.stampede.tasks
        source = SecretsManager(self.stampede)
        guard = Guard(self.limits, dice=dice, metrics=self.metrics, leasing=leasing)
        engine = Engine(World(lambda _route: source, _no_trees, guard, VirtualClock(), dice, self.metrics, tasks))
        engine.declare(self.config)
        tasks.create_task(engine.refresher.run())
