"""Take over what systemd hands to a service, and tell it how the service fares: sd_listen_fds(3), sd_notify(3).

By hand: it is a few variables and datagrams. Imported only where systemd has set its variables. Must not decide what is
healthy or ready; whoever runs the daemon says so.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import structlog

from sidecar.api.sockets import Handed
from sidecar.core.errors import SidecarError
from sidecar.telemetry import events

log = structlog.get_logger()

FIRST: Final = 3  # SD_LISTEN_FDS_START

VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
)
"""What systemd tells this process and no other: children that saw it would speak in our name."""

REJECTED: Final = "the new configuration is rejected (see the log), the old one serves on"

_LOOK: Final = 5.0  # seconds at most between two looks at how the secrets stand
_LOOK_UNREADY: Final = 1.0  # likewise while a secret is missing: whoever has just started the unit looks at it
_PATIENCE: Final = 1.0  # seconds that systemd may take to accept what is said only once: its queue is hardly ever full
_NAMED: Final = 3  # missing secrets that a status names


class BadHandoverError(SidecarError):
    """What systemd, or somebody in its place, says or hands over cannot be."""

    label = "systemd"
    mend = "Start the daemon by a unit as those in deploy/systemd, or without this variable."


@dataclass(frozen=True, slots=True)
class Health:
    """Where to ask how the daemon stands."""

    healthy: Callable[[], bool]
    states: Callable[[], Iterable[str]]  # of each declared secret
    missing: Callable[[], Iterable[tuple[str, str]]]  # names that keep it from being ready, and why


@dataclass(slots=True)
class Systemd:
    """The one who started us, who may be told and who may have opened sockets for us."""

    address: str  # where to tell; "" = nowhere
    watchdog: float | None  # seconds within which it wants to hear of us
    handed: Handed
    clock: Callable[[], int]  # microseconds of the clock that systemd compares with
    _status: str = ""
    _note: str = ""
    _reached: bool = field(default=True)

    def ready(self) -> None:
        """Say that the sockets serve; what they serve, `keep_told` says."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is read anew."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self.clock()}")

    def reloaded(self, *, is_adopted: bool) -> None:
        """Say that this has ended; that a configuration is rejected is said until there is another."""
        self._note = "" if is_adopted else REJECTED
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1", "STATUS=draining")

    async def keep_told(self, health: Health) -> None:
        """Say how the daemon stands until this is cancelled; within the watchdog's time, as long as it is healthy."""
        while True:
            is_ready = self._look(health)
            pause = _LOOK if is_ready else _LOOK_UNREADY
            await asyncio.sleep(min(self.watchdog / 2, pause) if self.watchdog else pause)

    def _look(self, health: Health) -> bool:
        lines = ["WATCHDOG=1"] if self.watchdog and health.healthy() else []
        status = "; ".join(filter(None, (status_of(health), self._note)))
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        if lines and not self._tell(*lines, patience=0):
            self._status = ""  # to be said again
        return not status.startswith("not ready")

    def _tell(self, *lines: str, patience: float = _PATIENCE) -> bool:
        """Send one datagram; who does not take it is told of in the log, once, and misses it."""
        if not self.address:
            return True
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patience)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if self._reached:
                log.warning(events.SYSTEMD_LOST, why=error.strerror or type(error).__name__)
            self._reached = False
        else:
            self._reached = True
        return self._reached


def status_of(health: Health) -> str:
    """Say in a line how the secrets stand."""
    counts = Counter(health.states())
    told = ", ".join(f"{counts[state]} {state}" for state in sorted(counts)) or "no secret is declared"
    missing = [f"{name} ({reason})" for name, reason in islice(health.missing(), _NAMED + 1)]
    if not missing:
        return f"ready: {told}"
    more = " and more" if len(missing) > _NAMED else ""
    return f"not ready, {', '.join(missing[:_NAMED])}{more}: {told}"


_DIGITS: Final = 19  # no number of 64 bits has more, and int() refuses thousands of them


def take_over(environ: MutableMapping[str, str], clock: Callable[[], int]) -> Systemd:
    """Read what systemd says, and take it out of the environment; raises BadHandoverError."""
    said = {name: environ.pop(name) for name in VARIABLES if name in environ}
    return Systemd(read_address(said), read_watchdog(said), read_sockets(said), clock)


def read_address(said: Mapping[str, str]) -> str:
    """Give where systemd listens: a path or an abstract name; "" where it does not."""
    address = said.get("NOTIFY_SOCKET", "")
    if address and address[0] not in "/@":
        raise BadHandoverError("NOTIFY_SOCKET: want an absolute path or a name that begins with @")
    return address


def read_watchdog(said: Mapping[str, str]) -> float | None:
    """Give the seconds within which systemd wants to hear of us, None where it does not."""
    usec = _number(said, "WATCHDOG_USEC", "a number of microseconds above 0")
    if usec == 0:
        raise BadHandoverError("WATCHDOG_USEC: want a number of microseconds above 0, got 0")
    return usec / 1e6 if usec and _is_for_us(said, "WATCHDOG_PID", anybody=True) else None


def read_sockets(said: Mapping[str, str], first: int = FIRST) -> Handed:
    """Give the sockets that systemd has opened for us, from this descriptor on."""
    count = _number(said, "LISTEN_FDS", "a number of sockets")
    if not count or not _is_for_us(said, "LISTEN_PID", anybody=False):
        return Handed()
    names = dict(enumerate(said.get("LISTEN_FDNAMES", "").split(":")))
    with ExitStack() as refused:
        handed = Handed()
        for number in range(count):
            name = names.get(number) or f"number {number + 1}"
            taken = refused.enter_context(_socket(first + number, name))
            handed = _add(handed, taken, name)
        refused.pop_all()
    return handed


def _number(said: Mapping[str, str], name: str, wanted: str) -> int | None:
    text = said.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise BadHandoverError(f"{name}: want {wanted}, got {text[:40]!r}")
    return int(text)


def _is_for_us(said: Mapping[str, str], name: str, *, anybody: bool) -> bool:
    """Tell whether the message is for this process: variables are inherited by whom they are not meant for."""
    pid = _number(said, name, "the number of a process")
    return anybody if pid is None else pid == os.getpid()


def _socket(descriptor: int, name: str) -> socket.socket:
    """Take a listening stream socket over; no child of ours gets it."""
    try:
        taken = socket.socket(fileno=descriptor)
    except OSError as error:
        raise BadHandoverError(
            f"LISTEN_FDS: descriptor {descriptor} ({name}) is no socket: {error.strerror}"
        ) from error
    taken.set_inheritable(False)
    if taken.type != socket.SOCK_STREAM or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        taken.close()
        raise BadHandoverError(
            f"LISTEN_FDS: the socket {name} does not listen for streams",
            mend="In the socket's unit, have ListenStream= and Accept=no.",
        )
    return taken


def _add(handed: Handed, taken: socket.socket, name: str) -> Handed:
    """Let a Unix socket be the app's, and a TCP one that of probes and scrapes."""
    is_unix = taken.family == socket.AF_UNIX
    if handed.unix if is_unix else handed.ops:
        raise BadHandoverError(
            f"LISTEN_FDS: the socket {name} is a second {'Unix' if is_unix else 'TCP'} one",
            mend="In the socket's unit, have one path and at most one port.",
        )
    return Handed(taken, handed.ops) if is_unix else Handed(handed.unix, taken)
