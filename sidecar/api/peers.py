"""Ask the kernel who is at the other end of a Unix socket: once for each connection, when it is made.

Must not decide what the caller may; core.access does.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from sidecar.core.access import Caller

_SO_PEERGROUPS: Final = 59
_MOST_GROUPS: Final = 65_536  # Linux's NGROUPS_MAX
_PYTHONS_LARGEST: Final = 1024  # bytes that `getsockopt` of Python takes
_UCRED: Final = struct.Struct("iII")  # pid, uid, gid; ids are unsigned
_GID: Final = struct.Struct("I")

_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1
_LOCAL_PEERPID: Final = 2
_XUCRED: Final = struct.Struct("IIh2x16I")  # version, uid, number of groups, the groups: the first is the main one


class Connected(Protocol):
    """What is needed of a socket; the loops' own stand-ins have it too."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Read a socket option of at most `size` bytes."""
        ...

    def fileno(self) -> int:
        """Give the descriptor."""
        ...


def peers_known(platform: str = sys.platform) -> bool:
    """Tell whether this system names the process at the other end; without, `access` rules cannot be kept."""
    return platform in _ASK


def caller_of(connection: Connected) -> Caller | None:
    """Give the process that made this connection; None where the system does not tell."""
    ask = _ASK.get(sys.platform)
    try:
        return ask(connection) if ask else None
    except OSError:
        return None  # a system that calls itself Linux but has no SO_PEERCRED


def _ask_linux(connection: Connected) -> Caller:
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Caller(uid=uid, gid=gid, groups=frozenset(_groups(connection)), pid=pid or None)


def _groups(connection: Connected) -> Iterator[int]:
    """Give the supplementary groups; none where the system does not tell them, so that no rule for a group fits."""
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _PYTHONS_LARGEST)
    except OSError as error:
        packed = _many_groups(connection.fileno()) if error.errno == errno.ERANGE else b""
    return (gid for (gid,) in _GID.iter_unpack(packed))


def _many_groups(descriptor: int) -> bytes:
    """Read more groups than fit into the buffer that Python allows."""
    import ctypes  # noqa: PLC0415 -- half a megabyte that hardly any daemon needs

    buffer = ctypes.create_string_buffer(_MOST_GROUPS * _GID.size)
    size = ctypes.c_uint32(len(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getsockopt(descriptor, socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(size)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return buffer.raw[: size.value]


def _ask_macos(connection: Connected) -> Caller:
    credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
    return parse_xucred(credentials, connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, _GID.size))


def parse_xucred(credentials: bytes, pid: bytes) -> Caller:
    """Read what LOCAL_PEERCRED and LOCAL_PEERPID give."""
    _version, uid, count, *groups = _XUCRED.unpack(credentials)
    (number,) = _GID.unpack(pid)
    gid = groups[0] if count else -1  # an empty place reads as 0, which is a group
    return Caller(uid=uid, gid=gid, groups=frozenset(groups[1:count]), pid=number or None)


_ASK: Final[dict[str, Callable[[Connected], Caller]]] = {"linux": _ask_linux, "darwin": _ask_macos}
