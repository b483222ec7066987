"""A running `sidecar dev`, and somebody beside it who pastes what the documents show."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.client import UnixConnection
from tests.e2e.processes import BOUND, PROGRAM, Lines, environment, short_folder


@dataclass
class Playground:
    """A running `sidecar dev` in a folder of its own, with the shell of somebody who reads along."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str) -> str:
        """Give what a command prints, as a terminal would show it."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, stdout=-1, stderr=subprocess.STDOUT, check=False, timeout=BOUND
        )
        return done.stdout.decode().replace("\r", "").rstrip("\n")

    def tag(self, name: str) -> str:
        """Give a value's entity tag."""
        return self._ask(name, {})[1]

    def wait_for_another(self, name: str, tag: str) -> None:
        """Wait until a value is another than the one with this tag."""
        assert self._ask(name, {"If-None-Match": tag, "Prefer": f"wait={BOUND:.0f}"})[0] == 200

    def _ask(self, name: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = UnixConnection(str(self.folder / ".sidecar/sidecar.sock"), 2 * BOUND)
        try:
            connection.request("GET", f"/v1/values/{name}", headers=headers)
            response = connection.getresponse()
            return response.status, response.headers["ETag"] or ""
        finally:
            connection.close()


@contextmanager
def playing() -> Iterator[Playground]:
    """Run `sidecar dev` for the length of the block."""
    with short_folder() as folder:
        (folder / ".curlrc").write_text("silent\n")  # what a terminal would show: no progress bar
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = environment(HOME=str(folder), PATH=path)
        with subprocess.Popen([PROGRAM, "dev"], cwd=folder, env=env, stdout=-1, stderr=-1) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            told, log = Lines(process.stdout), Lines(process.stderr)
            try:
                log.wait_for(lambda line: '"daemon_ready"' in line)
                exports = told.wait_for(lambda line: "AWS_ENDPOINT_URL" in line).split()[1:]
                yield Playground(folder, env | dict(each.split("=", 1) for each in exports))
            finally:
                process.terminate()
                process.wait(BOUND)
                told.join()
                log.join()
