"""Start the real program, and read what it says."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

SIDECAR = (sys.executable, "-m", "sidecar")

PASSED_ON = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
"""What the program gets of this process's environment; the rest could configure it."""

ENDING = 20.0
"""Seconds after which a program that should have ended has failed the test."""


def clean(env: Mapping[str, str]) -> dict[str, str]:
    """Give an environment with nothing in it that configures, but what is asked for."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(env)


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [*SIDECAR, *arguments], cwd=cwd, env=clean(env or {}), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def running(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run the program for the length of the block, in a process group of its own."""
    with subprocess.Popen(
        [*SIDECAR, *arguments],
        cwd=cwd,
        env=clean(env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, what: str) -> str:
    """Read lines up to the first that holds this, and give all of them; fails when the stream ends before."""
    assert stream is not None
    lines = ""
    for line in stream:
        lines += line
        if what in line:
            return lines
    raise AssertionError(f"it ended before saying {what!r}:\n{lines}")
