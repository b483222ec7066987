"""Run a real Prometheus that scrapes on loopback, and ask it what Grafana would ask."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from bench.running import until

PROGRAM: Final = shutil.which("prometheus")
STEP: Final = 3
"""Seconds between two points of a curve."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: its labels, and its points by time."""

    labels: dict[str, str]
    points: dict[float, float]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    address: str

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def ask(self, query: str, begin: float, end: float) -> list[Series]:
        """Give all curves of a query."""
        asked = urlencode({"query": query, "start": begin, "end": end, "step": STEP})
        with urlopen(f"http://{self.address}/api/v1/query_range?{asked}", timeout=30) as answer:
            found = json.loads(answer.read())["data"]["result"]
        return [Series(each["metric"], _points(each["values"])) for each in found]


def _points(values: Sequence[tuple[float, str]]) -> dict[float, float]:
    """Leave out what is no number, or infinite, as Grafana does: a mean of nothing, or one right after a restart."""
    return {at: float(value) for at, value in values if isfinite(float(value))}


def free_port() -> int:
    """Give a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scraping(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Scrape these each second, for the length of a `with` block."""
    assert PROGRAM is not None
    jobs = [{"job_name": "shop", "static_configs": [{"targets": list(targets)}]}]
    config = folder / "prometheus.yaml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    server = Prometheus(f"127.0.0.1:{free_port()}")
    options = {
        "config.file": config,
        "storage.tsdb.path": folder / "tsdb",
        "web.listen-address": server.address,
        "log.level": "error",
    }
    with subprocess.Popen([PROGRAM, *(f"--{name}={value}" for name, value in options.items())]) as process:
        try:
            until(server.is_ready, within=30)
            yield server
        finally:
            process.terminate()
