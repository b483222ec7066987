"""Put content where it belongs: a file by renaming, a folder by swapping one symbolic link, as Kubernetes does.

A reader sees all of the old or all of the new. Must not know what the bytes are, nor whom to tell.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from sidecar.outputs.contents import ALONE, Content
from sidecar.outputs.failures import Unrendered
from sidecar.outputs.folders import Folder, Ownership, open_folder, own

DATA: Final = "..data"
"""The link that a folder's files are reached by; Kubernetes' own name for it."""


@dataclass(frozen=True, slots=True)
class There:
    """What is there already."""

    anything: bool
    same: bool  # as what is to be there


class Place(Protocol):
    """Where content goes, in a folder that is open."""

    @property
    def name(self) -> str:
        """What it is called there."""
        ...

    def look(self, folder: Folder, content: Content) -> There:
        """Compare what is there with what should be."""
        ...

    def put(self, folder: Folder, content: Content) -> None:
        """Let it be so, at once; raises OSError and Unrendered."""
        ...

    def correct(self, folder: Folder, content: Content) -> None:
        """Give what has the right bytes already the right modes and owners."""
        ...


@dataclass(frozen=True, slots=True)
class SingleFile:
    """One file."""

    name: str
    ownership: Ownership

    def look(self, folder: Folder, content: Content) -> There:
        """Compare the bytes."""
        held = folder.read(self.name)
        return There(held is not None or folder.has(self.name), held == content[ALONE])

    def put(self, folder: Folder, content: Content) -> None:
        """Write a new one and rename it over the old."""
        folder.replace(self.name, content[ALONE], self.ownership)

    def correct(self, folder: Folder, content: Content) -> None:  # noqa: ARG002 -- the place's signature
        """Set its mode and owner."""
        folder.correct(self.name, self.ownership)


@dataclass(frozen=True, slots=True)
class TreeFolder:
    """A folder with a file for each value: `a` is a link to `..data/a`, and `..data` one to the newest folder."""

    name: str
    ownership: Ownership

    def look(self, folder: Folder, content: Content) -> There:
        """Compare all bytes that are reached by `..data`, and the links to them."""
        root = folder.path / self.name
        there = _contents(root / DATA)
        links = {entry.name for entry in _listed(root) if entry.is_symlink()} - {DATA}
        is_same = there == dict(content) and links == set(_tops(content))
        return There(folder.has(self.name), is_same)

    def put(self, folder: Folder, content: Content) -> None:
        """Write a new folder beside the old one, turn the link, and remove the old one."""
        check_names(content)
        root = folder.path / self.name
        root.mkdir(mode=0o700, exist_ok=True)
        self._own(root, is_folder=True)
        fresh = root / f"..{secrets.token_hex(8)}"
        try:
            self._write(fresh, content)
            _turn(root, fresh)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        self._tidy(root, fresh, content)

    def correct(self, folder: Folder, content: Content) -> None:
        """Set the modes and owners of all."""
        root = folder.path / self.name
        newest = (root / DATA).resolve()
        for path in (root, *_folders_of(newest, content)):
            self._own(path, is_folder=True)
        for name in content:
            self._own(newest / name, is_folder=False)

    def _write(self, fresh: Path, content: Content) -> None:
        for path in _folders_of(fresh, content):
            path.mkdir(mode=0o700)
        for name, value in content.items():
            fd = os.open(fresh / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(value)
                file.flush()
                own(fd, self.ownership)
                os.fsync(fd)
        for path in reversed(list(_folders_of(fresh, content))):
            self._own(path, is_folder=True)

    def _tidy(self, root: Path, fresh: Path, content: Content) -> None:
        """Link what is new, and remove what is old or was left by a daemon that was killed."""
        tops = set(_tops(content))
        for top in sorted(tops):
            if not (root / top).is_symlink():
                _link(root, top, f"{DATA}/{top}")
        for entry in list(_listed(root)):
            if entry.is_symlink():
                if entry.name not in {DATA, *tops}:
                    entry.unlink()
            elif entry.name.startswith("..") and entry != fresh:
                shutil.rmtree(entry, ignore_errors=True)
        _sync(root)

    def _own(self, path: Path, *, is_folder: bool) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            own(fd, _for_folders(self.ownership) if is_folder else self.ownership)
            os.fsync(fd)
        finally:
            os.close(fd)


def check_names(content: Content) -> None:
    """Refuse values that cannot lie beside each other as files; raises Unrendered."""
    for name in content:
        if name.startswith(".."):
            raise Unrendered(f"{name}: a file in a folder cannot be called so", mend=_RENAME)
        if inner := next((other for other in content if other.startswith(f"{name}/")), None):
            raise Unrendered(f"{name} is a value, but {inner} wants it to be a folder", mend=_RENAME)


_RENAME: Final = "Rename the parameter, or write this tree with a template."


def _for_folders(ownership: Ownership) -> Ownership:
    readable = ownership.mode & 0o444
    return Ownership(ownership.mode | readable >> 2 | stat.S_IWUSR, ownership.uid, ownership.gid)


def _tops(content: Content) -> Iterator[str]:
    return (name.partition("/")[0] for name in content)


def _folders_of(root: Path, content: Content) -> Iterator[Path]:
    """Give the folders that the content needs, outer ones first."""
    yield root
    inner = {str(parent) for name in content for parent in PurePosixPath(name).parents} - {"."}
    yield from (root / each for each in sorted(inner))


def _contents(root: Path) -> Mapping[str, bytes] | None:
    """Read all files below a folder, None where there is none."""
    try:
        if not root.is_dir():
            return None
        real = root.resolve()
        return {str(path.relative_to(real)): path.read_bytes() for path in real.rglob("*") if path.is_file()}
    except OSError:
        return None


def _listed(root: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        yield from root.iterdir()


def _turn(root: Path, fresh: Path) -> None:
    """Let `..data` be the new folder: the one step that readers see."""
    _link(root, DATA, fresh.name)
    _sync(root)


def _link(root: Path, name: str, target: str) -> None:
    temporary = root / f"..{secrets.token_hex(8)}"
    temporary.symlink_to(target)
    temporary.replace(root / name)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Site:
    """A place, and the folder that it lies in."""

    folder: Path
    place: Place
    allow_disk: bool

    def opened(self) -> AbstractContextManager[Folder]:
        """Open the folder; raises Unwritten, also for whatever fails in it."""
        return open_folder(self.folder, allow_disk=self.allow_disk)
