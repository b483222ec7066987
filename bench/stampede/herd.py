"""Run real daemons, side by side, and the Redis that a fleet leases from: for `bench.stampede.real`."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.running import ENTRY, REGION, Daemon, until
from sidecar.fakeaws.wire import DEFAULT_ACCOUNT

REDIS: Final = next((found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))), None)
"""The store's program, None where it is not installed."""


@dataclass(slots=True)
class Redis:
    """One Redis on a Unix socket, with nothing on disk: what it held is lost with it."""

    folder: Path
    process: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Say where it listens."""
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert REDIS is not None
        command = [REDIS, "--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self.folder)
        assert self.process.stdout is not None
        if not any("eady to accept connections" in line for line in self.process.stdout):
            raise ChildProcessError("redis-server ended before it served.")

    def kill(self) -> None:
        """End it without a farewell."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


@dataclass(frozen=True, slots=True)
class Herd:
    """Daemons that run, each with a folder and a configuration of its own."""

    daemons: Sequence[Daemon]

    def want(self, secrets: Mapping[str, str]) -> None:
        """Let all of them want these from now on: a reload, so that they begin in the same moment."""
        for daemon in self.daemons:
            config = json.loads(daemon.config.read_text())
            daemon.config.write_text(json.dumps({**config, "secrets": secrets}))
        for daemon in self.daemons:
            daemon.process.send_signal(signal.SIGHUP)

    def held(self) -> int:
        """Count the secrets that are held."""
        return sum(_held(daemon) for daemon in self.daemons)

    def setbacks(self) -> int:
        """Count the checks that ended without a value."""
        failed = ("sidecar_refreshes_total", frozenset({("result", "failed")}))
        return sum(int(daemon.metrics()[failed]) for daemon in self.daemons)


def _held(daemon: Daemon) -> int:
    status, body = daemon.ask("/v1/secrets")
    return sum(secret["state"] == "fresh" for secret in json.loads(body)["secrets"]) if status == 200 else 0


@contextmanager
def herd(folder: Path, daemons: int, config: Mapping[str, object]) -> Iterator[Herd]:
    """Start daemons that want nothing yet, for the length of a `with` block."""
    with ExitStack() as running:
        started = [_start(folder / str(number), config, running) for number in range(daemons)]
        until(lambda: all(daemon.ready() for daemon in started), within=120, every=0.2)
        yield Herd(started)


def _start(folder: Path, config: Mapping[str, object], running: ExitStack) -> Daemon:
    folder.mkdir()
    path = folder / "sidecar.yaml"
    listen = {"unix": {"path": str(folder / "s")}, "ops": None}
    path.write_text(json.dumps({**config, "listen": listen}))
    environ = {
        "PATH": "",
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": DEFAULT_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": REGION,
    }
    process = subprocess.Popen([sys.executable, *ENTRY, str(path)], env=environ, cwd=folder)
    running.callback(process.wait)
    running.callback(process.terminate)
    return Daemon(process, folder / "s", path)
