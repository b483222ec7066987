from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main

Invoke = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with nothing of the user's in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("SIDECAR_SOCKET", "SIDECAR_CONFIG", "SIDECAR_CONFIG_YAML"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def invoke(folder: Path) -> Invoke:  # noqa: ARG001 -- it is where we work
    """Run a command within this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="sidecar")

    return run
