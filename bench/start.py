"""How long it takes from the start of the process, Python's own included, until every secret is held."""

import statistics
import time
from pathlib import Path
from typing import Final

from bench.environment import run_only_python
from bench.figures import Figure
from bench.running import World, declared, until, world

PARAMETERS: Final = 15
SECRETS: Final = 5
RUNS: Final = 7
GOAL: Final = 1.0  # seconds


def measure() -> list[Figure]:
    """Start several times."""
    python = run_only_python()
    with world(PARAMETERS, SECRETS) as here:
        config = here.configure(declared(PARAMETERS, SECRETS))
        _start(here, config, python)  # the first one reads files that no cache holds yet
        times = [_start(here, config, python) for _ in range(RUNS)]
    median = statistics.median(wall for wall, _ in times)
    work = statistics.median(work for _, work in times)
    measured = f"{median:.2f} s, of which {work:.2f} s are the daemon's own work"
    return [Figure(f"start to ready, 20 secrets, median of {RUNS}", f"< {GOAL:.0f} s", measured, median < GOAL)]


def _start(here: World, config: Path, python: Path) -> tuple[float, float]:
    began = time.perf_counter()
    with here.daemon(config, python=python) as daemon:
        until(daemon.ready, within=20, every=0.005)
        return time.perf_counter() - began, daemon.worked()
