"""Judge the daemon's socket before anything is sent to it, and say why nobody answers at it."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from sidecar.client.errors import ClientError, NoDaemon, Refused, UntrustedSocket

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


def trusted_owners(owner: int | None) -> AbstractSet[int]:
    """Give the uids whose sockets are asked: root's, this user's, and one more where it is named."""
    return {0, os.geteuid()} | ({owner} if owner is not None else set())


def judge(path: str, trusted: AbstractSet[int]) -> None:
    """Refuse what is no socket, or belongs to somebody who could answer anything. Raises ClientError."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise unanswered(path, error) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise NoDaemon(f"{path} is no socket", mend="Name the daemon's socket.")
    if found.st_uid not in trusted:
        raise UntrustedSocket(
            f"{path} belongs to {_user(found.st_uid)}, who is neither you nor root",
            mend=f"Ask as that user, if it is the daemon's: sudo -u '#{found.st_uid}' …",
        )


def unanswered(path: str, error: Exception) -> ClientError:
    """Say why there is no answer."""
    if isinstance(error, TimeoutError):
        return NoDaemon(f"no answer from {path} in time", mend="Look at the daemon's log.")
    code = error.errno if isinstance(error, OSError) else None
    if code in _DENIED:
        return _shut(path)
    why = os.strerror(code) if code else "it is no HTTP server"
    mend = "Start it (`sidecar run`, or `sidecar dev`), or name its socket by --socket or $SIDECAR_SOCKET."
    return NoDaemon(f"no daemon answers at {path}: {why}", mend=mend)


def _shut(path: str) -> Refused:
    """Say who may open what this user may not: the socket, else the folder that hides it."""
    place, found = _nearest(Path(path).absolute())
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    return Refused(
        f"{_user(os.geteuid())} may not open {path}: {place} has mode {mode} and lets in {lets_in(found)}",
        mend="Ask as one whom it lets in, join that group, or set listen.unix.mode and listen.unix.group.",
    )


def _nearest(path: Path) -> tuple[Path, os.stat_result]:
    """Give the path, or the first folder above that can be looked at: it is the one that hides the rest."""
    try:
        return path, path.stat()
    except OSError:
        return _nearest(path.parent)  # ends at the root, which everybody may look at


def lets_in(found: os.stat_result) -> str:
    """Name who may connect to a socket (write) or enter a folder (search), besides root."""
    bits = (stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)
    if not stat.S_ISDIR(found.st_mode):
        bits = (stat.S_IWUSR, stat.S_IWGRP, stat.S_IWOTH)
    who = (_user(found.st_uid), f"group {_named(found.st_gid, _group_name)}", "everybody else")
    return ", ".join(each for bit, each in zip(bits, who, strict=True) if found.st_mode & bit) or "root only"


def _user(uid: int) -> str:
    return f"user {_named(uid, _user_name)}"


def _named(number: int, name: Callable[[int], str]) -> str:
    """Write a uid or gid with its name, which a container often has none for."""
    try:
        return f"{name(number)} ({number})"
    except KeyError:
        return str(number)


def _user_name(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name


def _group_name(gid: int) -> str:
    return grp.getgrgid(gid).gr_name
