"""How fast a value that is held comes over the socket, beside servers that do less: told, not tuned.

Each server has one core and h2load another, where the machine has two. Only the ratio is worth keeping: it was taken
in one run on one machine.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.figures import Figure
from bench.running import declared, until, world

ROUNDS: Final = 3
REQUESTS: Final = 60_000
CONNECTIONS: Final = 16
_RATE: Final = re.compile(r"finished in [^,]+, ([0-9.]+) req/s")
_ALL: Final = f"{REQUESTS} succeeded"


def measure() -> list[Figure]:
    """Let h2load ask all three in turns, so that a slower moment of the machine is everybody's."""
    what = "a held value over the socket, requests/s on one core"
    if shutil.which("h2load") is None:
        return [Figure(what, "", "not measured: h2load is missing (nghttp2-client)")]
    rates = _compare()
    ours = rates["sidecar"]
    told = [Figure(what, "", f"{ours:,.0f}")]
    for name, rate in rates.items():
        if name != "sidecar":
            told.append(Figure(f"… against a bare {name} ({rate:,.0f})", "", f"{ours / rate:.0%}"))
    return told


def _compare() -> dict[str, float]:
    with world(1) as here, ExitStack() as stack:
        daemon = stack.enter_context(here.daemon(here.configure(declared(1))))
        until(daemon.ready, within=20)
        _pin(daemon.process.pid, 0)
        sockets = {"sidecar": daemon.socket}
        for kind, name in (("aiohttp", "aiohttp application"), ("uvloop", "uvloop protocol")):
            sockets[name] = stack.enter_context(_rival(kind, here.folder))
        rounds = [{name: _load(path) for name, path in sockets.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in sockets}


@contextmanager
def _rival(kind: str, folder: Path) -> Iterator[Path]:
    path = folder / kind
    with subprocess.Popen([sys.executable, "-m", "bench.rivals", kind, str(path)]) as process:
        try:
            until(path.exists, within=10)
            _pin(process.pid, 0)
            yield path
        finally:
            process.terminate()


def _load(path: Path) -> float:
    command = ["h2load", "--h1", "-B", f"unix:{path}", f"-c{CONNECTIONS}", f"-n{REQUESTS}", "http://x/v1/values/p0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        _pin(process.pid, 1)
        said, _ = process.communicate(timeout=60)
    rate = _RATE.search(said)
    assert rate is not None
    assert _ALL in said, "each request has an answer, else the rate means nothing"
    return float(rate[1])


def _pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {cores[core % len(cores)]})
