"""Say of an endpoint's URL whether what is sent there is seen by nobody else."""

from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = "localhost"


def is_private(url: str) -> bool:
    """Decide whether a key may go there: over TLS, or to this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == _LOCAL:
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
