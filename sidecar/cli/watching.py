"""Ask a daemon for its status again and again, through its restarts. Must not show anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sidecar.cli.exits import line_of
from sidecar.cli.tables import Record
from sidecar.client import Client, Unavailable


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon said last; and where it does not answer any more, why, and since when (local time)."""

    status: Record
    trouble: str = ""
    since: str = ""


def follow(client: Client, pause: Callable[[], None], now: Callable[[], datetime]) -> Iterator[Seen]:
    """Give how the daemon stands, after each pause anew.

    Raises ClientError where it cannot begin, or is refused; a daemon that goes away is waited for.
    """
    seen = Seen(client.status())
    while True:
        yield seen
        pause()
        try:
            seen = Seen(client.status())
        except Unavailable as error:
            seen = Seen(seen.status, line_of(error), seen.since or f"{now():%H:%M:%S}")
