"""Remember beside a file which versions were delivered last, over the daemon's death: `.NAME.sidecar`.

Versions only, as digests of reference and version: never a value, nor a digest of one.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sidecar.outputs.folders import Folder, Ownership
from sidecar.outputs.values import Versions

_FORMAT: Final = 1
_OWNERSHIP: Final = Ownership(0o600)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What whoever is to be told knows of, and whether a change of the file was not told yet."""

    versions: Versions
    owed: bool = False


def owes(before: Remembered | None, *, was_there: bool, same: bool, versions: Versions) -> bool:
    """Decide whether somebody is to be told: of other bytes, and of what was owed; not of a first delivery."""
    if before is not None and before.owed:
        return True
    if same:
        return False
    return was_there or (before is not None and before.versions != versions)


def journal_of(name: str) -> str:
    """Name the file that remembers for another."""
    return f".{name}.sidecar"


def recall(folder: Folder, name: str) -> Remembered | None:
    """Read what is remembered; what cannot be understood is nothing."""
    text = folder.read(journal_of(name))
    with suppress(ValueError, RecursionError):
        return _parsed(json.loads(text)) if text else None
    return None


def remember(folder: Folder, name: str, remembered: Remembered) -> None:
    """Write it down, where it is another than what is there; raises OSError."""
    record = {"format": _FORMAT, "versions": dict(remembered.versions), "owed": remembered.owed}
    text = json.dumps(record, indent=1, sort_keys=True).encode()
    if folder.read(journal_of(name)) != text:
        folder.replace(journal_of(name), text, _OWNERSHIP)


def _parsed(record: object) -> Remembered | None:
    if not isinstance(record, Mapping) or record.get("format") != _FORMAT:
        return None
    versions = record.get("versions")
    if not isinstance(versions, dict) or not all(isinstance(tag, str) for tag in versions.values()):
        return None
    return Remembered(versions, record.get("owed") is True)
