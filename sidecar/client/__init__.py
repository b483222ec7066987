"""Ask the daemon from a Python program: `Client().get("db-password")`, or `await AsyncClient().get(…)`.

Must import nothing of the rest of the project, and at import only the standard library: an app takes this in without
taking the daemon in. `AsyncClient` needs aiohttp, and imports it when it is first named.
"""

from typing import TYPE_CHECKING

from sidecar.client.blocking import Client, UnixConnection
from sidecar.client.errors import (
    BadQuestion,
    ClientError,
    NoDaemon,
    NotFound,
    Refused,
    Unavailable,
    Unfit,
    UntrustedSocket,
)
from sidecar.client.protocol import PATIENCE, SOCKET, Change, Readiness, Value

if TYPE_CHECKING:
    from sidecar.client.asynchronous import AsyncClient

__all__ = [
    "PATIENCE",
    "SOCKET",
    "AsyncClient",
    "BadQuestion",
    "Change",
    "Client",
    "ClientError",
    "NoDaemon",
    "NotFound",
    "Readiness",
    "Refused",
    "Unavailable",
    "Unfit",
    "UnixConnection",
    "UntrustedSocket",
    "Value",
]


def __getattr__(name: str) -> object:
    """Import what needs aiohttp when it is asked for."""
    if name == "AsyncClient":
        from sidecar.client.asynchronous import AsyncClient  # noqa: PLC0415 -- aiohttp, for those who use it

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
