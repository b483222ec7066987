"""A real redis-server to test against: started on a Unix socket, stopped, stalled and killed as a test wants."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAM = next((found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))), None)


@dataclass
class RedisServer:
    """One server with its socket in `folder`; `options` are its command line's."""

    folder: Path
    options: tuple[str, ...] = ()
    _process: "subprocess.Popen[str] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Say where it listens."""
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM is not None
        command = [PROGRAM, "--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--save", "", *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self.folder)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("redis-server ended at once")

    def stop(self) -> None:
        """Kill it; what it held in memory is lost."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stall(self) -> None:
        """Let it answer nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Send it one command, as people do."""
        client = shutil.which("redis-cli") or shutil.which("valkey-cli")
        assert client is not None
        command = [client, "-s", f"{self.folder}/redis.sock", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run a server for the block; where the program is not installed the test is skipped, except in CI."""
    if PROGRAM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed; .ci/run installs it")
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    server = RedisServer(folder, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
