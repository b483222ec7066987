"""Open the listeners: the Unix socket exactly as closed as it was asked to be, or not at all, and TCP ones.

Must not speak HTTP. Whatever stands in the way is a BindError of one line, with its mend.
"""

import errno
import fcntl
import grp
import os
import resource
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.core.config.units import Address
from sidecar.core.errors import BindError

_MAX_PATH: Final = 103 if sys.platform == "darwin" else 107  # bytes of sockaddr_un.sun_path, but for the closing NUL
BACKLOG: Final = 1024  # an app that starts may open all its connections at once
_MOST_FILES: Final = 65_536
_NEIGHBOURS: Final = 100  # ports that `bind_next_tcp` tries


def allow_connections() -> None:
    """Raise the limit of open files as far as this process may: each caller's connection is one, and 1,024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(ValueError, OSError):  # a system may promise more than it grants
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


@dataclass(frozen=True, slots=True)
class UnixListener:
    """A bound Unix socket, and which file it is."""

    path: str
    socket: socket.socket
    device: int
    inode: int
    inherited: bool = False  # somebody else has opened it, and keeps it for the next daemon

    def remove(self) -> None:
        """Remove the file unless another has taken its place. To be called before the socket is closed.

        The open socket keeps its inode's number from being given to another file, so that the comparison holds.
        """
        if self.inherited:
            return
        with suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)  # noqa: PTH108 -- beside lstat: the same words for the same file


@dataclass(frozen=True, slots=True)
class Handed:
    """Listening sockets that were opened before we came: they are served as they are."""

    unix: socket.socket | None = None
    ops: socket.socket | None = None


def adopt_unix(listening: socket.socket) -> UnixListener:
    """Serve a socket that somebody else has opened: its file is neither replaced, given another mode, nor removed."""
    name = listening.getsockname()
    path = "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else str(name)
    return UnixListener(path, listening, device=0, inode=0, inherited=True)


def bind_unix(path: str, *, mode: int, group: int | str | None = None) -> UnixListener:
    """Bind and listen on `path`, for nobody but those whom `mode` and `group` name; raises BindError.

    A stale socket file is replaced; a live one, a symbolic link and anything that is no socket are left alone.
    """
    if len(os.fsencode(path)) > _MAX_PATH:
        raise BindError(
            f"listen.unix.path is longer than {_MAX_PATH} bytes, which no Unix socket's path may be",
            mend="Choose a shorter path, such as /run/sidecar/sidecar.sock.",
        )
    gid = None if group is None else _gid(group)
    directory = Path(path).absolute().parent
    _make(directory)
    with _alone_in(directory):
        _clear(path)
        return _listen(path, mode, gid)


def bind_tcp(address: Address) -> socket.socket:
    """Bind and listen on a TCP address; raises BindError."""
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _refused(address, error) from error


def bind_next_tcp(address: Address) -> socket.socket:
    """Bind on the address or, where its port is taken, on the next free one; raises BindError."""
    for port in range(address.port, address.port + _NEIGHBOURS):
        with suppress(AddressTaken):
            return bind_tcp(Address(address.host, port))
    raise AddressTaken(f"{address} and the {_NEIGHBOURS - 1} ports after it are all taken")


class AddressTaken(BindError):
    """Another process listens on the port."""


def _refused(address: Address, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return AddressTaken(f"{address}: another process is listening there")
    return BindError(f"{address}: {error.strerror}")


def _gid(group: int | str) -> int:
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise BindError(
            f"listen.unix.group: this system knows no group {group}",
            mend="Give the group by its number, or add it to /etc/group.",
        ) from None


def _make(directory: Path) -> None:
    with _told(f"{directory}: cannot be made"):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the system's refusal into one line."""
    try:
        yield
    except OSError as error:
        raise BindError(
            f"{what}: {error.strerror}",
            mend="Give this user the right to write there, or choose another listen.unix.path.",
        ) from error


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep two daemons that start at once from removing each other's socket; leaves no lock file behind."""
    with _told(f"{directory}: cannot be opened"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BindError(f"{directory}: another process is opening a socket there at this moment") from error
        yield
    finally:
        os.close(descriptor)


def _clear(path: str) -> None:
    """Remove what a crash left behind; refuse to touch anything else."""
    with _told(f"{path}: cannot be taken over"):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise BindError(f"{path}: something that is no socket is in its place", mend="Move it away.")
        if _is_live(path):
            raise BindError(f"{path}: another process is serving on it", mend="Stop that one, or choose another path.")
        os.unlink(path)  # noqa: PTH108 -- beside lstat: the same words for the same file


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # a full queue must not hold us
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its queue is full
    return True


def _listen(path: str, mode: int, gid: int | None) -> UnixListener:
    """Bind so that nobody may connect, then open up, then verify, and only then accept connections."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener = None
    try:
        listener = _bind(server, path)
        _open_up(path, mode, gid)
        verify(listener, mode, gid)
        server.listen(BACKLOG)
    except BaseException:
        if listener:
            listener.remove()
        server.close()
        raise
    return listener


def _bind(server: socket.socket, path: str) -> UnixListener:
    previous = os.umask(0o777)
    try:
        with _told(f"{path}: cannot be made"):
            server.bind(path)
            made = os.lstat(path)
    finally:
        os.umask(previous)
    return UnixListener(path, server, made.st_dev, made.st_ino)


def _open_up(path: str, mode: int, gid: int | None) -> None:
    if gid is not None:
        try:
            os.chown(path, -1, gid, follow_symlinks=False)
        except OSError as error:
            raise BindError(
                f"{path}: this user may not give it to group {gid}: {error.strerror}",
                mend=f"Let {gid} be among the process's groups; in a pod, in securityContext.supplementalGroups.",
            ) from error
    with _told(f"{path}: its mode cannot be set"):
        Path(path).chmod(mode)


def verify(listener: UnixListener, mode: int, gid: int | None) -> None:
    """Compare the file with what was asked; raises BindError.

    The file system is believed, not the calls: some ignore a chmod, and somebody may have swapped the file.
    """
    with _told(f"{listener.path}: is gone"):
        found = os.lstat(listener.path)
    wanted = (listener.device, listener.inode, os.geteuid(), gid if gid is not None else found.st_gid, mode)
    got = (found.st_dev, found.st_ino, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
    if not stat.S_ISSOCK(found.st_mode) or got != wanted:
        raise BindError(
            f"{listener.path}: its mode and owner are not as asked, so it is not served",
            mend="Choose a listen.unix.path on a file system that keeps modes and owners, such as tmpfs.",
        )
