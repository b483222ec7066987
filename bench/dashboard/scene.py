"""Two real daemons of a fleet, two apps that read from them, and an AWS whose weather changes."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Final

from bench.dashboard.prometheus import free_port
from bench.environment import run_only_python
from bench.running import Daemon, World, declared, pause, until, world
from bench.stampede.herd import Redis

PARAMETERS: Final = 30
SECRETS: Final = 10
NAMES: Final = ("shop-1", "shop-2")
TICK: Final = 0.1
"""Seconds between two rounds of the apps."""


@dataclass
class Scene:
    """What is there while the picture is taken."""

    world: World
    ports: dict[str, int]
    files: Path  # in memory
    store: str
    daemons: dict[str, Daemon] = field(default_factory=dict)
    _ends: dict[str, ExitStack] = field(default_factory=dict)
    _reads: int = 0

    @property
    def targets(self) -> list[str]:
        """Say what Prometheus scrapes."""
        return [f"127.0.0.1:{port}" for port in self.ports.values()]

    def begin(self, name: str) -> None:
        """Start a daemon."""
        folder = self.world.folder / name
        folder.mkdir(exist_ok=True)
        config = replace(self.world, folder=folder).configure(
            declared(PARAMETERS, SECRETS),
            cache={"refresh": "5s", "ttl": "15s", "revoke_after": "15s", "revalidate": "30s"},
            quotas={"share": "20%"},
            fleet={"store": self.store, "name": "shop"},
            files=[{"path": str(self.files / name), "secret": "s1"}],
            log={"level": "error"},
            listen={"unix": {"path": str(folder / "s")}, "ops": f"127.0.0.1:{self.ports[name]}"},
        )
        self._ends[name] = ExitStack()
        of_its_own = replace(self.world, folder=folder)
        self.daemons[name] = self._ends[name].enter_context(of_its_own.daemon(config, python=run_only_python()))
        until(self.daemons[name].ready, within=60)

    def end(self, name: str) -> None:
        """Stop it."""
        self._ends.pop(name).close()
        del self.daemons[name]

    def end_all(self) -> None:
        """Stop all."""
        for name in list(self.daemons):
            self.end(name)

    def restart(self) -> None:
        """Stop one and start it anew, as a rollout would."""
        self.end(NAMES[1])
        self.begin(NAMES[1])

    def read(self) -> None:
        """Let each app read some values, and now and then one on demand."""
        for daemon in self.daemons.values():
            self._reads += 1
            daemon.ask(f"/v1/values/p{self._reads % PARAMETERS}")
            daemon.ask(f"/v1/values/s{self._reads % SECRETS}")
            if not self._reads % 40:
                daemon.ask("/v1/resolve?ref=ssm:/nobody/has/this")

    def rotate(self) -> None:
        """Change a few values."""
        for number in range(3):
            self.world.put(f"/p/{number}", f"changed-{self._reads}")
        self.world.put_secret("s/1", f"changed-{self._reads}")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens, and when: a part of the whole time."""

    at: float
    what: str
    do: Callable[[Scene], None]


def _let_others_in(scene: Scene) -> None:
    scene.world.fake.latency(0)
    scene.world.fake.limit({"ssm.get": 1})


def _end_of(scene: Scene) -> None:
    scene.world.fake.clear()
    scene.rotate()


def _mend(scene: Scene) -> None:
    scene.world.fake.clear()
    scene.restart()


ACTS: Final = (
    Act(0.10, "four values rotate", Scene.rotate),
    Act(0.20, "AWS takes 300 ms", lambda scene: scene.world.fake.latency(0.3)),
    Act(0.30, "AWS is quick again, others use most of the quota", _let_others_in),
    Act(0.45, "an outage", lambda scene: scene.world.fake.fault("503")),
    Act(0.60, "it is over, four values rotate", _end_of),
    Act(0.70, "AWS refuses one secret", lambda scene: scene.world.fake.fault("access-denied", name="s/2")),
    Act(0.85, "it no longer does, and one daemon restarts", _mend),
)


@contextmanager
def scene() -> Iterator[Scene]:
    """Set it, for the length of a `with` block."""
    with world(PARAMETERS, SECRETS) as made, tempfile.TemporaryDirectory(dir="/dev/shm") as files:
        redis = Redis(made.folder)
        redis.start()
        found = Scene(made, {name: free_port() for name in NAMES}, Path(files), redis.url)
        try:
            for name in NAMES:
                found.begin(name)
            yield found
        finally:
            found.end_all()
            redis.kill()


def play(scene: Scene, seconds: float) -> None:
    """Let it all happen."""
    began, acts = perf_counter(), list(ACTS)
    while (passed := perf_counter() - began) < seconds:
        if acts and passed >= acts[0].at * seconds:
            acts.pop(0).do(scene)
        scene.read()
        pause(TICK)
