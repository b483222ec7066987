"""Read what configures: the file, wherever it is found, and the environment."""

from collections.abc import Mapping
from pathlib import Path

from sidecar.accounts import SystemAccounts
from sidecar.cli.sources import find_config, read_text
from sidecar.core.config.loading import load
from sidecar.core.config.models import Config


def load_config(
    file: tuple[str, str] | None, environ: Mapping[str, str], defaults: tuple[str, str] | None = None
) -> Config:
    """Read everything that configures; raises ConfigError with every problem."""
    return load(file=file, environ=environ, accounts=SystemAccounts(), defaults=defaults)


def read_config(option: Path | None, environ: Mapping[str, str]) -> Config:
    """Find the file that configures, and read it with the environment; raises ConfigError."""
    path = find_config(option, environ)
    return load_config(read_text(path) if path else None, environ)
