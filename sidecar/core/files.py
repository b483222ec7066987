"""Say how the files stand that the daemon keeps, for metrics and people. Never a value."""

from dataclasses import dataclass
from enum import StrEnum


class FileState(StrEnum):
    """How one file stands."""

    PENDING = "pending"  # not written yet by this daemon: something in it is not held
    CURRENT = "current"
    FAILED = "failed"  # the last try to make or write it failed; what was there stays


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file, as people see it; times are wall seconds, None when there is none."""

    path: str
    state: FileState
    written_at: float | None  # when this daemon last wrote other bytes
    why: str  # it is pending or failed, or whoever is to be told of it was not; else empty
    mend: str
