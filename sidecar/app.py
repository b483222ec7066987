"""Build the daemon, bind its listeners, run it and end it: the only file that knows every room.

Must not hold logic of its own: it wires, and keeps the order of the start and the end.
"""

import asyncio
import functools
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from sidecar import __version__
from sidecar.accounts import SystemAccounts
from sidecar.api.peers import peers_known
from sidecar.api.permits import Permits
from sidecar.api.server import Interface
from sidecar.api.services import Kms, Services
from sidecar.api.sockets import Handed, UnixListener, adopt_unix, bind_next_tcp, bind_tcp, bind_unix
from sidecar.aws import Aws
from sidecar.core.access import Declared, Globs, build_access
from sidecar.core.config.models import Config, Fleet, Listen
from sidecar.core.config.units import duration_text
from sidecar.core.errors import ConfigError, Problem
from sidecar.core.files import FileReading
from sidecar.core.outlook import SLOW_START, Outlook
from sidecar.core.ports import Gate, Priority
from sidecar.core.quotas import Scope
from sidecar.engine.clock import monotonic_usec
from sidecar.footprint import give_back_code, spare_from_collection
from sidecar.household import Household, identities_of, limits_of
from sidecar.planning.plan import foresee
from sidecar.telemetry import Gauges, Metrics, events
from sidecar.telemetry.logs import set_up_logs

if TYPE_CHECKING:
    from sidecar.outputs.files import Files, Prepared  # at run time only where there are files
    from sidecar.systemd import Systemd  # at run time only where it started us

log = structlog.get_logger()

_READY_LOOK = 0.25  # seconds between two looks at readiness before it is there, for one line in the log
_UNREADY_LOOK = 10.0  # likewise once it is: only a revocation or a very long outage ends it


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the daemon listens."""

    unix: str
    ops: str | None  # host:port


@dataclass(frozen=True, slots=True)
class Listeners:
    """Open sockets: a port in use, or a mode that cannot be set, has failed before anything else began."""

    unix: UnixListener
    ops: socket.socket | None

    @classmethod
    def bind(cls, listen: Listen, *, any_ops_port: bool, handed: Handed) -> "Listeners":
        """Bind both, but those that were opened for us; raises BindError."""
        bind_ops = bind_next_tcp if any_ops_port else bind_tcp
        ops = handed.ops or (bind_ops(listen.ops) if listen.ops else None)
        try:
            if handed.unix:
                return cls(adopt_unix(handed.unix), ops)
            return cls(bind_unix(listen.unix.path, mode=listen.unix.mode, group=listen.unix.group), ops)
        except BaseException:
            if ops:
                ops.close()
            raise

    @property
    def bound(self) -> Bound:
        """Say where."""
        if self.ops is None:
            return Bound(self.unix.path, None)
        host, port = self.ops.getsockname()[:2]
        return Bound(self.unix.path, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


_FASTER = "Take a larger quotas.share (fleet.share in a fleet), or have the quota raised that `sidecar plan` names."

_REPORT = "Restart to take the new configuration in, and report the line."


class _Stopped(Exception):
    """No error: how a TaskGroup is ended (docs.python.org, asyncio-task, "Terminating a task group").

    The daemon has drained, so what is still under way is for nobody.
    """


class App:
    """One daemon, from its first socket to its last answer. `run` it once."""

    def __init__(
        self,
        config: Config,
        *,
        load: Callable[[], Config],
        any_ops_port: bool = False,
        on_bound: Callable[[Bound], None] = lambda _bound: None,
        systemd: "Systemd | None" = None,
    ) -> None:
        """Take the configuration, how to read it anew on SIGHUP, and whom to tell where it listens and how it fares."""
        self._config = config
        self._load = load
        self._any_ops_port = any_ops_port
        self._on_bound = on_bound
        self._systemd = systemd
        self._handed = systemd.handed if systemd else Handed()
        self._stop = asyncio.Event()
        self._reading = asyncio.Lock()  # the last of two reloads wins
        self._discovered: Mapping[Scope, Mapping[str, float]] = {}
        self._discovery: asyncio.Task[None] | None = None
        self._files: Files | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; raises ConfigError or BindError before anything is served."""
        permits, files = build_permits(self._config), prepare_files(self._config)
        metrics = Metrics(CollectorRegistry())  # at zero before anything can be asked
        self._house = Household(self._config, metrics)
        listeners = Listeners.bind(self._config.listen, any_ops_port=self._any_ops_port, handed=self._handed)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._build(metrics, permits)
                self._tasks.create_task(self._serve(listeners, files), name="serve")
        except* _Stopped:
            log.info(events.DAEMON_STOPPED)
        finally:
            listeners.unix.remove()
            await self._house.close()

    def _build(self, metrics: Metrics, permits: Permits) -> None:
        config = self._config
        self._house.build(self._tasks)
        self._leasing, self._guard, self._engine = self._house.leasing, self._house.guard, self._house.engine
        self._services = Services(
            self._engine,
            self._guard,
            metrics,
            permits,
            boot=secrets.token_hex(4),
            started_at=self._house.clock.wall(),
            localise=self._house.localise,
            audit=config.log.audit,
            outlook=foresee(config, self._house.aws.region),
            files=self._read_files,
            kms=Kms(self._house.keys, self._house.envelopes, self._house.public_key),
        )
        self._engine.refresher.on_sweep = self._prune
        metrics.read(self._gauges(), config.metrics.per_secret)

    def _prune(self) -> None:
        self._services.prune()
        self._house.prune()

    async def _serve(self, listeners: Listeners, files: "Sequence[Prepared]") -> None:
        interface = Interface(self._services)
        if listeners.ops:
            await interface.serve_ops(listeners.ops)  # first, so that a failing start can be seen
        await interface.serve_unix(listeners.unix)  # what is held is served while the rest is missing
        self._listen_to_signals()
        where = listeners.bound
        log.info(events.DAEMON_STARTED, version=__version__, socket=where.unix, ops=where.ops)
        tell_inherited(self._handed, where)
        tell_warnings(self._config)
        outlook = self._services.outlook
        if outlook.start_seconds > SLOW_START:
            log.warning(events.SLOW_START_EXPECTED, seconds=round(outlook.start_seconds), mend=_FASTER)
        tell_budget(outlook)
        self._engine.declare(self._config, outlook.factor)
        spare_from_collection()
        leases = self._tasks.create_task(self._leasing.run(), name="leases") if self._leasing else None
        self._tasks.create_task(self._engine.refresher.run(), name="refresher")
        self._tasks.create_task(self._tell_readiness(), name="readiness")
        self._keep_systemd_told()
        await self._keep_files(files)
        self._discover()
        self._on_bound(where)
        await self._stop.wait()
        if self._systemd:
            self._systemd.stopping()
        await interface.drain()
        if self._leasing and leases:
            leases.cancel()
            await self._leasing.leave()
        log.info(events.DAEMON_DRAINED)
        raise _Stopped

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.create_task(self._reload(), name="reload"))

    async def _reload(self) -> None:
        """Read the configuration anew, in a thread: 10,000 secrets take 0.2 s, in which callers are served."""
        async with self._reading:
            if self._systemd:
                self._systemd.reloading()
            is_adopted = await self._read_anew()
            if self._systemd:
                self._systemd.reloaded(is_adopted=is_adopted)

    async def _read_anew(self) -> bool:
        try:
            await self._adopt(await asyncio.to_thread(self._load))
        except ConfigError as error:  # nothing has changed
            problems = [str(problem) for problem in error.problems]
            log.error(events.CONFIG_REJECTED, problems=problems, mend=error.mend)  # noqa: TRY400 -- a slip in a file
        except Exception as error:  # a fault of ours in reading it must not end what apps live on
            problems = [f"a fault of the program in reading it: {type(error).__name__}"]
            log.exception(events.CONFIG_REJECTED, problems=problems, mend=_REPORT)
        else:
            return True
        return False

    def _keep_systemd_told(self) -> None:
        """Say that the sockets serve, and from now on how the secrets stand, where somebody wants to hear it."""
        if self._systemd is None:
            return
        from sidecar.systemd import Health  # noqa: PLC0415 -- only where it started us

        refresher, readings = self._engine.refresher, self._engine.readings
        health = Health(
            healthy=lambda: not refresher.stalled(),
            states=lambda: (gauge.state.name.lower() for gauge in readings.gauges()),
            missing=lambda: ((each.name, each.reason) for each in readings.unready()),
        )
        self._systemd.ready()
        self._tasks.create_task(self._systemd.keep_told(health), name="systemd")

    async def _adopt(self, config: Config) -> None:
        """Take a changed configuration in; raises ConfigError before anything has changed."""
        permits = build_permits(config)
        aws = self._house.way_to_aws(config)
        aws.check_regions(identities_of(config))
        files = await asyncio.to_thread(prepare_files, config)
        outlook = await asyncio.to_thread(foresee, config, aws.region)
        before, self._config = self._config, config
        set_up_logs(config.log.level, config.log.format, sys.stderr)
        tell_warnings(config)
        if config.listen != before.listen:
            log.warning(events.CONFIG_WARNED, what="listen has changed: that takes effect at the next start")
        if not is_same_fleet(config.fleet, before.fleet):
            log.warning(events.CONFIG_WARNED, what="fleet has changed: all but its share is for the next start")
        self._house.adopt(config)
        if ways_to_aws(config) != ways_to_aws(before):
            self._become(aws, changed_identities(before, config))
        if config.kms.allow_keys != before.kms.allow_keys:
            self._engine.declarations.drop_sealed()
        self._services.permits, self._services.audit = permits, config.log.audit
        self._guard.adopt(limits_of(config, self._discovered))
        self._services.metrics.read(self._gauges(), config.metrics.per_secret)
        self._services.outlook = outlook
        tell_budget(outlook)
        self._engine.declare(config, outlook.factor)
        await self._keep_files(files)
        spare_from_collection()
        if asks_of(config) != asks_of(before):
            self._discover()
        log.info(events.CONFIG_RELOADED, secrets=len(config.secrets), trees=len(config.trees))

    async def _keep_files(self, prepared: "Sequence[Prepared]") -> None:
        """Keep these files from now on, those that were kept before no longer."""
        if self._files is None and prepared:
            from sidecar.outputs.delivery import Around  # noqa: PLC0415 -- only where there are files
            from sidecar.outputs.files import Files  # noqa: PLC0415 -- likewise
            from sidecar.outputs.values import Values  # noqa: PLC0415 -- likewise

            clock = self._engine.readings.clock
            around = Around(Values(self._engine), self._services.metrics, clock.wall, random.random)
            self._files = Files(around, SystemAccounts(), self._tasks)
        if self._files:
            await self._files.adopt(prepared)

    def _read_files(self) -> Iterable[FileReading]:
        return self._files.readings() if self._files else ()

    def _gauges(self) -> Gauges:
        """Tell the metrics where to read how things stand."""
        engine, readings = self._engine, self._engine.readings
        return Gauges(
            quotas=self._guard.readings,
            secrets=readings.gauges,
            entries=readings.entries,
            ready=readings.ready,
            stretch=lambda: engine.policies.stretch,
            behind=engine.refresher.behind,
            files=self._read_files,
        )

    def _discover(self) -> None:
        """Learn from now on what the accounts' quotas really are, where that is wanted."""
        if self._discovery:
            self._discovery.cancel()
            self._discovery = None
        if self._config.quotas.discover:
            from sidecar.engine.discovery import Discovery  # noqa: PLC0415 -- only where it is configured

            gate = functools.partial(self._guard.gate, Priority.BACKGROUND)
            identities = sorted(identities_of(self._config))
            discovery = Discovery(self._ask_rates, identities, gate, random.random, self._take_rates)
            self._discovery = self._tasks.create_task(discovery.run(), name="discovery")

    async def _ask_rates(self, identity: str, gate: Gate) -> tuple[Scope, Mapping[str, float]]:
        return await self._house.aws.limits(identity, gate)

    def _take_rates(self, found: Mapping[Scope, Mapping[str, float]]) -> None:
        self._discovered = dict(found)
        self._guard.adopt(limits_of(self._config, self._discovered))

    def _become(self, aws: Aws, changed: Iterable[str]) -> None:
        """Ask AWS by other identities from now on; what is under way ends with the old ones."""
        old, self._house.aws = self._house.aws, aws
        self._tasks.create_task(self._retire(old, self._engine.under_way()), name="retire")
        for identity in changed:
            self._engine.declarations.drop_identity(identity)

    async def _retire(self, aws: Aws, under_way: Sequence[asyncio.Future[None]]) -> None:
        try:
            if under_way:
                await asyncio.wait(under_way)
        finally:
            await aws.close()

    async def _tell_readiness(self) -> None:
        """Say once when the daemon becomes ready, and when it ceases to be."""
        was_ready = False
        while True:
            ready = self._engine.readings.ready()
            if ready != was_ready:
                log.info(events.DAEMON_READY if ready else events.DAEMON_UNREADY)
                spare_from_collection()
                give_back_code()
            was_ready = ready
            await asyncio.sleep(_UNREADY_LOOK if ready else _READY_LOOK)


def main(
    config: Config,
    *,
    load: Callable[[], Config],
    any_ops_port: bool = False,
    on_bound: Callable[[Bound], None] = lambda _bound: None,
) -> None:
    """Run a daemon until it is told to end; raises what `App.run` and `under_systemd` raise."""
    systemd = under_systemd(os.environ)
    uvloop.run(App(config, load=load, any_ops_port=any_ops_port, on_bound=on_bound, systemd=systemd).run())


def under_systemd(environ: MutableMapping[str, str]) -> "Systemd | None":
    """Take over what systemd says and hands over, where it started us; raises BadHandoverError."""
    if not environ.keys() & {"NOTIFY_SOCKET", "LISTEN_FDS"}:
        return None
    from sidecar.systemd import take_over  # noqa: PLC0415 -- only where it started us

    return take_over(environ, monotonic_usec)


def tell_inherited(handed: Handed, where: Bound) -> None:
    """Say which sockets were opened for us, as the configuration's do not count then."""
    if handed.unix:
        log.info(events.SOCKET_INHERITED, listener="unix", where=where.unix, ignored="listen.unix")
    if handed.ops:
        log.info(events.SOCKET_INHERITED, listener="ops", where=where.ops, ignored="listen.ops")


def tell_warnings(config: Config) -> None:
    """Say what is allowed but may not be meant."""
    for warning in config.warnings:
        log.warning(events.CONFIG_WARNED, what=warning)


def build_permits(config: Config) -> Permits:
    """Read the rules; raises ConfigError for unknown users, and where the system tells nothing about peers."""
    if config.access and not peers_known():
        what = "this system does not tell who connects to a socket; remove the rules and rely on listen.unix.mode"
        raise ConfigError([Problem("", "access", what)])
    declared = Declared(
        {name: spec.ref for name, spec in config.secrets.items()},
        {name: spec.tree for name, spec in config.trees.items()},
    )
    return Permits(build_access(config.access, SystemAccounts()), declared, Globs(config.on_demand.allow))


def prepare_files(config: Config) -> "list[Prepared]":
    """Read the templates of files, and look at their folders; raises ConfigError."""
    if not config.files:
        return []
    from sidecar.outputs.files import prepare_files as prepare  # noqa: PLC0415 -- only where there are files

    return prepare(config)


def is_same_fleet(one: Fleet | None, other: Fleet | None) -> bool:
    """Decide whether two configurations mean one fleet, whatever its share."""
    if one is None or other is None:
        return one is other
    return (one.store, one.name, one.password) == (other.store, other.name, other.password)


def asks_of(config: Config) -> tuple[object, ...]:
    """Give all that decides of which accounts the quotas are asked for."""
    return config.quotas.discover, config.identities, identities_of(config)


def tell_budget(outlook: Outlook) -> None:
    """Write down what a budget does to the intervals, where there is one."""
    if stretch := outlook.stretch:
        write = log.info if stretch.kept else log.warning
        write(
            events.BUDGET_APPLIED,
            budget=stretch.budget,
            as_configured=round(stretch.wanted, 2),
            dollars=round(stretch.dollars, 2),
            factor=round(stretch.factor, 2),
            intervals=[f"{duration_text(each.wanted)} -> {each.kept:.0f}s" for each in stretch.intervals],
            kept=stretch.kept,
        )


def ways_to_aws(config: Config) -> tuple[object, ...]:
    """Give what the ways to AWS are made of."""
    return config.identities, config.failover, config.kms.allow_keys, config.s3


def changed_identities(before: Config, after: Config) -> list[str]:
    """Name the identities by which a value may now be another."""
    if before.failover != after.failover:
        return list(before.identities)
    return [name for name, spec in before.identities.items() if after.identities.get(name) != spec]
