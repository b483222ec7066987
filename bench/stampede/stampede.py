"""Run one stampede: so many daemons that all start at the same moment and want all their secrets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bench.stampede.cloud import Cloud, Count, Tokens
from bench.stampede.loop import run


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is the same for every strategy."""

    daemons: int
    secrets: int = 20  # of each daemon; each is one call that charges the quota 1, as GetSecretValue does KMS's
    quota: float = 1_000  # calls per second of the account
    strangers: float = 200  # calls per second that others make of it
    round_trip: float = 0.02  # seconds
    saved: float = 1.0  # seconds' worth of the quota that AWS's bucket holds
    seed: int = 5
    patience: float = 3_600  # virtual seconds, after which it is called off

    @property
    def fetches(self) -> int:
        """How many secrets are wanted together."""
        return self.daemons * self.secrets

    @property
    def ideal(self) -> float:
        """The seconds it takes at the rate that strangers leave, not one call wasted."""
        return self.fetches / (self.quota - self.strangers)


@dataclass(slots=True)
class Stampede:
    """One stampede under way: what a daemon needs of it."""

    scenario: Scenario
    cloud: Cloud
    dice: Callable[[], float]
    tasks: asyncio.TaskGroup
    missing: int
    failed: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def gained(self) -> None:
        """Count a secret that a daemon now holds."""
        self.missing -= 1
        if not self.missing:
            self.ended.set()

    def gave_up(self) -> None:
        """Count a fetch that ended in an error for who asked, who will ask again."""
        self.failed += 1


Launch = Callable[[], None]
"""Starts one daemon, in the stampede's task group."""

Prepare = Callable[[Stampede], Launch]
"""Builds what the daemons share, if they share anything, and gives how one of them is started."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    scenario: Scenario
    seconds: float  # until the last secret was held
    missing: int  # secrets that never were
    failed: int  # fetches that ended in an error for who asked
    ours: Count
    strangers: Count

    @property
    def ratio(self) -> float:
        """How many times the ideal time it took."""
        return self.seconds / self.scenario.ideal


class _Over(Exception):
    """No error: how a TaskGroup is ended."""


def stampede(scenario: Scenario, prepare: Prepare) -> Outcome:
    """Run one in virtual time."""
    return run(_stampede(scenario, prepare))


async def _stampede(scenario: Scenario, prepare: Prepare) -> Outcome:
    chance = Random(scenario.seed)
    tokens = Tokens(scenario.quota, scenario.saved * scenario.quota)
    cloud = Cloud(tokens, scenario.round_trip, chance.random)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = Stampede(scenario, cloud, chance.random, tasks, scenario.fetches)
            tasks.create_task(cloud.serve_strangers(scenario.strangers, Random(scenario.seed)))
            launch = prepare(running)
            for _ in range(scenario.daemons):
                launch()
            await _end(running)
    except* _Over:
        pass
    return Outcome(scenario, loop.time(), running.missing, running.failed, cloud.ours, cloud.strangers)


async def _end(running: Stampede) -> None:
    """Wait until all is held, or patience has ended, and then end everything."""
    try:
        async with asyncio.timeout(running.scenario.patience):
            await running.ended.wait()
    except TimeoutError:
        pass
    raise _Over
