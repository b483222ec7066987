"""How much memory the `run` process takes, alone, in its production environment, over TLS, with both sources in use."""

import sys
from pathlib import Path
from typing import Final

from bench.figures import Figure
from bench.running import Daemon, declared, pause, until, world

GOALS: Final = {100: 64, 10_000: 80}  # MiB
_LOOKS: Final = 15
_ASKED: Final = ("/readyz", "/healthz", "/metrics", "/v1/values/p0", "/v1/values/p1", "/v1/values/s0")
OPTIONAL: Final = frozenset(
    {"aws_encryption_sdk", "boto3", "cryptography", "flask", "jinja2", "moto", "redis", "werkzeug"}
)
"""What a daemon without the features that need them must not import. `rich`, which structlog would, is only installed
with the tests' tools: the environment that is measured has none of these."""


def measure() -> list[Figure]:
    """Weigh few secrets, and many; then look for what should not be there, where it could be."""
    return [*(_weigh(secrets, goal) for secrets, goal in GOALS.items()), _search()]


def _weigh(secrets: int, goal: int) -> Figure:
    with world(secrets - 1, 1) as here, here.daemon(here.configure(declared(secrets - 1, 1))) as daemon:
        until(daemon.ready, within=60)
        resident = max(look(daemon) for _ in range(_LOOKS)) / 1024
    return Figure(f"resident memory, {secrets:,} secrets", f"<= {goal} MiB", f"{resident:.1f} MiB", resident <= goal)


def look(daemon: Daemon) -> int:
    """Look once a second, while probes, scrapes and callers come: what they need must count as well."""
    for path in _ASKED:
        assert daemon.ask(path)[0] == 200
    pause(1)
    return daemon.resident()


def _search() -> Figure:
    """Look into a daemon that runs where optional packages are installed."""
    with (
        world(1, 1) as here,
        here.daemon(
            here.configure(declared(1, 1)), entry=("-m", "bench.inside"), python=Path(sys.executable)
        ) as daemon,
    ):
        until(daemon.ready, within=20)
        found = sorted(OPTIONAL & daemon.look_inside().modules)
    return Figure("optional packages imported", "none", ", ".join(found) or "none", not found)
