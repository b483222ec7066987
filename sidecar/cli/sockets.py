"""Find the socket of the daemon that a question is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.cli.sources import find_config, read_text
from sidecar.client import SOCKET, Client
from sidecar.core.errors import ConfigError

DEV_SOCKET: Final = Path(".sidecar/sidecar.sock")
"""Where the daemon of `sidecar dev` listens."""

_SETTERS: Final = frozenset({"SIDECAR_CONFIG_YAML", "SIDECAR_LISTEN__UNIX__PATH"})


def connect(option: Path | None, environ: Mapping[str, str]) -> Client:
    """Give a client of the daemon that is meant; nothing is opened yet."""
    return Client(find_socket(option, environ))


def find_socket(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Give the socket that is named, else the configured one, else where one is."""
    if option:
        return option
    if named := environ.get("SIDECAR_SOCKET"):
        return Path(named)
    if configured := _configured(environ):
        return configured
    return DEV_SOCKET if DEV_SOCKET.exists() else Path(SOCKET)


def _configured(environ: Mapping[str, str]) -> Path | None:
    path = find_config(None, environ)
    if path is None and not _SETTERS & environ.keys():
        return None
    from sidecar.core.config.layers import socket_path  # noqa: PLC0415 -- YAML, for those who have a configuration

    found = socket_path(_readable(path), environ)
    return Path(found) if found else None


def _readable(path: Path | None) -> tuple[str, str] | None:
    """Give the file's text where this user may read it: one who may only ask the daemon may not need to."""
    try:
        return read_text(path) if path else None
    except ConfigError:
        return None
