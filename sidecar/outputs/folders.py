"""Open the folder that a file lies in, know whether it is memory, and put files into it that appear at once, whole.

Everything happens relative to the open folder: one that is swapped for another meanwhile is no way around the checks.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.outputs.failures import Unwritten, unwritten

MEMORY: Final = frozenset({"tmpfs", "ramfs"})
"""File systems that are gone with the machine's power."""

MOUNTS: Final = Path("/proc/self/mountinfo")

_DEVICE, _MORE = 2, 6  # fields of mountinfo before "-": see proc_pid_mountinfo(5)
_MOST_READ: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a file's inode says: bits, and the numbers of user and group where they are to be others."""

    mode: int
    uid: int = -1  # -1: as it is, for chown(2)
    gid: int = -1


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder."""

    path: Path
    fd: int

    # -- reading

    def read(self, name: str) -> bytes | None:
        """Give the bytes of a plain file; None where there is none, or what is there cannot be read."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(_MOST_READ) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None

    def has(self, name: str) -> bool:
        """Tell whether anything of this name is there."""
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            return True
        return False

    # -- writing

    def replace(self, name: str, content: bytes, ownership: Ownership) -> None:
        """Let a file be these bytes from one moment to the next, for whoever reads and whatever dies meanwhile."""
        self.sweep(name)
        temporary = f"{_stem(name)}{secrets.token_hex(8)}"
        fd = os.open(temporary, _MADE, 0o600, dir_fd=self.fd)
        try:
            with os.fdopen(fd, "wb") as file:
                fcntl.flock(fd, fcntl.LOCK_EX)  # until it is closed: nobody sweeps it away
                file.write(content)
                file.flush()
                own(fd, ownership)
                os.fsync(fd)
                os.replace(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.fd)
            raise
        os.fsync(self.fd)

    def correct(self, name: str, ownership: Ownership) -> None:
        """Give a file that has the right bytes the right mode and owner too."""
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            own(fd, ownership)
        finally:
            os.close(fd)

    def sweep(self, name: str) -> None:
        """Remove what a daemon that was killed has left half-written; what another writes just now is locked."""
        for entry in os.listdir(self.fd):  # noqa: PTH208 -- pathlib has no open folders
            if entry.startswith(_stem(name)):
                with suppress(OSError):
                    self._remove_unlocked(entry)

    def _remove_unlocked(self, entry: str) -> None:
        fd = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(entry, dir_fd=self.fd)
        finally:
            os.close(fd)


_MADE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _stem(name: str) -> str:
    """Give what the names of a file's unfinished versions begin with."""
    return f".{name}.sidecar-"


def own(fd: int, ownership: Ownership) -> None:
    """Set owner and mode where they are others; the owner first, as a change of it takes bits away."""
    now = os.fstat(fd)
    if ownership.uid not in {-1, now.st_uid} or ownership.gid not in {-1, now.st_gid}:
        os.fchown(fd, ownership.uid, ownership.gid)
    if stat.S_IMODE(os.fstat(fd).st_mode) != ownership.mode:
        os.fchmod(fd, ownership.mode)


@contextmanager
def open_folder(path: Path, *, allow_disk: bool, mounts: Path = MOUNTS) -> Iterator[Folder]:
    """Open a folder that secrets may lie in; raises Unwritten."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unwritten(str(path), error) from None
    try:
        if not allow_disk and not is_memory(os.fstat(fd).st_dev, mounts):
            raise Unwritten(f"{path} is not known to be in memory", mend=_TO_MEMORY)
        yield Folder(path, fd)
    except OSError as error:
        raise unwritten(str(path), error) from None
    finally:
        os.close(fd)


_TO_MEMORY: Final = (
    "Put the file on a tmpfs (in Kubernetes an emptyDir with `medium: Memory`), or set `allow_disk: true`."
)


def is_memory(device: int, mounts: Path = MOUNTS) -> bool:
    """Tell whether a device is a file system in memory; where the system does not tell (macOS), it is not."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return any(_kind(line) in MEMORY for line in lines if line.split()[_DEVICE : _DEVICE + 1] == [wanted])


def _kind(mount: str) -> str:
    fields = mount.split()
    return fields[fields.index("-", _MORE) + 1] if "-" in fields[_MORE:] else ""
