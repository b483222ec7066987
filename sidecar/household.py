"""Put the engine, AWS and the fleet together: all that keeps values fresh, without anybody who is served.

Must not listen, nor read a configuration: `app` gives it listeners, `sidecar exec` uses it as it is.
"""

import asyncio
import importlib
import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.aws import Aws, counting
from sidecar.core.config.models import Config, Fleet, IdentitySpec
from sidecar.core.config.units import StoreKind
from sidecar.core.ports import Clock, Gate, KeyService, LeaseStore, Lent, Priority, Route, Source, TreeSource
from sidecar.core.quotas import Limits, Scope
from sidecar.core.refs import DEFAULT_IDENTITY, Ref
from sidecar.engine.clock import SystemClock
from sidecar.engine.engine import Engine, World
from sidecar.engine.guard import Guard
from sidecar.telemetry import Metrics

if TYPE_CHECKING:
    from sidecar.engine.leasing import Leasing  # at run time only where there is a fleet
    from sidecar.envelope.messages import Messages  # at run time only where there is a message
    from sidecar.envelope.public_keys import LoadedKey, PublicKeys  # likewise


class Household:
    """The parts and how they reach each other: `build` them once, `close` at the end."""

    leasing: "Leasing | None" = None
    guard: Guard
    engine: Engine

    def __init__(self, config: Config, metrics: Metrics) -> None:
        """Find the way to AWS; raises ConfigError where an identity lacks its region."""
        self._config = config
        self._metrics = metrics
        self._messages: Messages | None = None
        self._public_keys: PublicKeys | None = None
        self.clock = SystemClock()
        self.aws = self.way_to_aws(config)
        self.aws.check_regions(identities_of(config) | store_identities(config))

    def way_to_aws(self, config: Config) -> Aws:
        """Build a way to AWS by a configuration's identities; nothing is asked yet."""
        keys = config.kms.allow_keys
        return Aws(
            config.identities,
            config.failover,
            self._metrics,
            self._learn_account,
            allow_keys=keys,
            envelopes=self.envelopes,
            max_object=config.s3.max_object,
            lend=self._lend,
        )

    def envelopes(self) -> "Messages":
        """Give who opens and seals Encryption SDK messages, made when there is the first one."""
        if self._messages is None:
            from sidecar.envelope.messages import Messages  # noqa: PLC0415 -- only where there is a message

            self._messages = Messages(self._config.kms.data_key_cache, self.clock, self._metrics)
        return self._messages

    def keys(self) -> KeyService:
        """Give KMS as the default identity sees it; raises ConfigError where it has no region."""
        return self.aws.keys(DEFAULT_IDENTITY)

    async def public_key(self, key_id: str, keys: KeyService, gate: Gate) -> "LoadedKey":
        """Give the public key of a pair that may be used, asked for once; raises SecretError, Transient, BadKeyId."""
        if self._public_keys is None:  # some tenths of a second, which are not the loop's
            await asyncio.to_thread(importlib.import_module, "sidecar.envelope.public_keys")
        if self._public_keys is None:
            from sidecar.envelope.public_keys import PublicKeys  # noqa: PLC0415 -- only where there is one

            self._public_keys = PublicKeys()
        return await self._public_keys.get(key_id, keys, gate)

    def adopt(self, config: Config) -> None:
        """Keep data keys as a changed configuration says, and public keys of which it may say otherwise no more."""
        self._config = config
        self._public_keys = None
        if self._messages is not None:
            self._messages.limits = config.kms.data_key_cache
            self._messages.prune()

    def prune(self) -> None:
        """Forget data keys that may not serve any more."""
        if self._messages is not None:
            self._messages.prune()

    def build(self, tasks: asyncio.TaskGroup) -> None:
        """Build the engine, whose checks are children of `tasks`."""
        self.leasing = build_leasing(self._config, self.clock, self._metrics)
        self.guard = Guard(limits_of(self._config, {}), dice=random.random, metrics=self._metrics, leasing=self.leasing)
        self.engine = Engine(
            World(self._source, self._trees, self.guard, self.clock, random.random, self._metrics, tasks)
        )

    async def localise(self, ref: Ref, deadline: float) -> Ref:
        """Spell a reference as its identity's own account and region do."""
        return await self.aws.localise(ref, self.guard.gate(Priority.CALLER, deadline))

    async def close(self) -> None:
        """Close the connections to AWS and to the fleet's store."""
        if self.leasing:
            await self.leasing.store.close()
        await self.aws.close()

    async def _lend(self, name: str) -> Lent:
        spec = self._config.secrets.get(name)
        return await self.engine.lend(name, spec.ref if spec else None)

    def _learn_account(self, identity: str, account: str) -> None:
        self.guard.merge(identity, account)

    def _source(self, route: Route) -> Source:
        return self.aws.source(route)

    def _trees(self, route: Route) -> TreeSource:
        return self.aws.trees(route)


def limits_of(config: Config, discovered: Mapping[Scope, Mapping[str, float]]) -> Limits:
    """Say how much of the quotas this daemon may take, given what AWS said of them."""
    found = discovered if config.quotas.discover else {}
    if config.fleet is None:
        return Limits(config.quotas.share, config.quotas.limits, found)
    return Limits(config.quotas.share, config.quotas.limits, found, config.fleet.share)


def build_leasing(config: Config, clock: Clock, metrics: Metrics) -> "Leasing | None":
    """Make this daemon a member of its fleet, where it has one."""
    if config.fleet is None:
        return None
    from sidecar.engine.leasing import Leasing  # noqa: PLC0415 -- for those who have a fleet

    store = build_store(config.fleet, config.identities["default"], clock, metrics)
    return Leasing(store, secrets.token_hex(8), random.random)


def build_store(fleet: Fleet, identity: IdentitySpec, clock: Clock, metrics: Metrics) -> LeaseStore:
    """Give the way to a fleet's store: DynamoDB as the default identity, Redis with what its address says."""
    if fleet.store.kind is StoreKind.DYNAMODB:
        from sidecar.aws.dynamodb import DynamoLeases, Table  # noqa: PLC0415 -- only where it is configured

        table = Table(fleet.store.url, fleet.name, fleet.store.shards)
        return DynamoLeases(identity, table, wall=clock.wall, dice=random.random, count=counting(metrics))
    from sidecar.fleet.redis import RedisLeases  # noqa: PLC0415 -- 6 MB, likewise

    password_file = Path(fleet.password.file) if fleet.password else None
    return RedisLeases(fleet.store.url, fleet.name, password_file=password_file)


def identities_of(config: Config) -> set[str]:
    """Name the identities that are used."""
    specs = [spec.ref.identity for spec in config.secrets.values()] + [
        spec.tree.identity for spec in config.trees.values()
    ]
    return set(specs).union(*config.failover.values())


def store_identities(config: Config) -> set[str]:
    """Name the identities that the fleet's store is asked as."""
    is_in_aws = config.fleet is not None and config.fleet.store.kind is StoreKind.DYNAMODB
    return {"default"} if is_in_aws else set()
