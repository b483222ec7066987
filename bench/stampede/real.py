"""Start thirty real daemons at once against the fake AWS, under a strict quota, and judge by the fake's request log.

Three times: alone, as a fleet, and as a fleet whose store is killed in the middle and started anew, empty. As in the
simulation each secret is one `GetSecretValue`: the batch is denied. All daemons run before any of them wants
anything, and then a reload makes all want everything in the same moment.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Figure, table
from bench.running import REGION, pause, until
from bench.stampede.herd import REDIS, Herd, Redis, herd
from sidecar.fakeaws.control import FakeAws, LoggedRequest, running_fake

DAEMONS: Final = 30
SECRETS: Final = 20
FETCHES: Final = DAEMONS * SECRETS
QUOTA: Final = 60  # kms.symmetric, per second: far below what the fake itself can serve
SHARE: Final = 0.8  # of it, for a fleet
WITHIN: Final = 60.0  # seconds that one stampede may take
AWAY: Final = 4.0  # seconds that the store is gone


@dataclass(frozen=True, slots=True)
class Plan:
    """One stampede, and what it may cost."""

    name: str
    watch: Callable[[Herd, Redis], None]
    is_fleet: bool
    most_throttled: float  # of all calls
    slowest: float  # times the ideal
    busiest: float | None = None  # calls in any second, throttled ones too; alone nobody knows how many others ask


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one stampede."""

    plan: Plan
    requests: Sequence[LoggedRequest]
    setbacks: int

    @property
    def seconds(self) -> float:
        """From the first call to the last."""
        times = [request.at for request in self.requests]
        return max(times) - min(times)

    @property
    def throttled(self) -> float:
        """The part of the calls that was throttled."""
        return sum("Throttling" in request.error for request in self.requests) / len(self.requests)

    @property
    def others(self) -> int:
        """How many calls ended in another error."""
        return sum(request.status != 200 and "Throttling" not in request.error for request in self.requests)

    @property
    def peak(self) -> int:
        """The most calls within any second."""
        times = sorted(request.at for request in self.requests)
        first = most = 0
        for last, at in enumerate(times):
            while at - times[first] >= 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    def figures(self) -> list[Figure]:
        """Judge."""
        plan, ratio, failed = self.plan, self.seconds / (FETCHES / QUOTA), self.setbacks + self.others
        took, throttled = f"{ratio:.2f} x ({self.seconds:.1f} s)", f"{self.throttled:.1%} of {len(self.requests)}"
        goal, most = f"≤ {plan.slowest:.2f} x", f"≤ {plan.most_throttled:.0%}"
        return [
            Figure(f"{plan.name}: time until {FETCHES} are held ÷ ideal", goal, took, ratio <= plan.slowest),
            Figure(f"{plan.name}: calls throttled", most, throttled, self.throttled <= plan.most_throttled),
            Figure(f"{plan.name}: fetches failed", "0", str(failed), failed == 0),
            self._busiest(),
        ]

    def _busiest(self) -> Figure:
        what, most = f"{self.plan.name}: calls in the busiest second, quota {QUOTA}", self.plan.busiest
        if most is None:
            return Figure(what, "", str(self.peak))
        return Figure(what, f"≤ {most:.0f}", str(self.peak), self.peak <= most)


def watch(herd: Herd, _redis: Redis) -> None:
    """Wait until all is held."""
    until(lambda: herd.held() == FETCHES, within=WITHIN, every=0.25)


def lose_the_store(herd: Herd, redis: Redis) -> None:
    """Kill the store when a third is held, and start it anew, empty, some seconds later."""
    until(lambda: herd.held() > FETCHES / 3, within=WITHIN, every=0.25)
    redis.kill()
    pause(AWAY)
    redis.start()
    watch(herd, redis)


PLANS: Final = (
    Plan("alone", watch, is_fleet=False, most_throttled=0.2, slowest=1.8),
    Plan("fleet", watch, is_fleet=True, most_throttled=0.01, slowest=1.1 / SHARE, busiest=1.25 * QUOTA),
    Plan("fleet, store lost", lose_the_store, is_fleet=True, most_throttled=0.05, slowest=1.8, busiest=1.25 * QUOTA),
)


def main() -> int:
    """Run all, print the table, and give the exit code."""
    if REDIS is None:
        print("stampede: redis-server is not installed (apt-get install redis-server)", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="stampede-"))
    try:
        figures = [figure for run in _runs(folder) for figure in run.figures()]
    finally:
        shutil.rmtree(folder)
    print(table(figures))
    return int(any(figure.met is False for figure in figures))


def _runs(folder: Path) -> Iterator[Run]:
    seed = folder / "seed.yaml"
    secrets = {f"s/{number}": f"value-{number}" for number in range(SECRETS)}
    seed.write_text(json.dumps({"region": REGION, "secrets": secrets}))
    redis = Redis(folder)
    redis.start()
    try:
        with running_fake(["--seed", str(seed)]) as fake:
            fake.deny("secretsmanager:BatchGetSecretValue")
            for number, plan in enumerate(PLANS):
                print(f"{plan.name} …", file=sys.stderr, flush=True)
                yield _run(plan, folder / str(number), fake, redis)
    finally:
        redis.kill()


def _run(plan: Plan, folder: Path, fake: FakeAws, redis: Redis) -> Run:
    folder.mkdir()
    config: dict[str, object] = {
        "identities": {"default": {"region": REGION, "endpoint_url": fake.url}},
        "quotas": {"limits": {"kms.symmetric": QUOTA}},
        "cache": {"refresh": "1h"},
        "log": {"level": "error"},
    }
    if plan.is_fleet:
        config["fleet"] = {"store": redis.url, "name": folder.name, "share": SHARE}
    with herd(folder, DAEMONS, config) as daemons:
        fake.forget_requests()
        fake.limit({"kms.symmetric": QUOTA})
        daemons.want({f"s{number}": f"sm:s/{number}" for number in range(SECRETS)})
        plan.watch(daemons, redis)
        return Run(plan, fake.requests("secretsmanager", "GetSecretValue"), daemons.setbacks())


if __name__ == "__main__":
    sys.exit(main())
