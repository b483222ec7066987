"""Hold one version of one secret, and let its plaintext out by one door only."""

from dataclasses import dataclass
from typing import NewType, NoReturn

from sidecar.core.refs import Ref

Version = NewType("Version", str)
"""Opaque identity of one revision; compared for equality, never for order (see docs/aws.md)."""


class Plaintext:
    """Bytes that must not leak: whatever reaches a repr, a format or a pickle reaches a log.

    `reveal()` is the only way to them, and only `sidecar.api` (a body) and `sidecar.outputs` may call it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        """Take ownership of `value`."""
        self._value = value

    def reveal(self) -> bytes:
        """Give the bytes themselves."""
        return self._value

    @property
    def size(self) -> int:
        """How many bytes of memory it takes: to keep within bounds by, to show to nobody."""
        return len(self._value)

    def __repr__(self) -> str:
        """Hide the bytes and their length."""
        return "Plaintext(***)"

    def __format__(self, spec: str) -> str:
        """Hide, whatever the format."""
        return repr(self)

    def __reduce__(self) -> NoReturn:
        """Refuse pickle and copy."""
        msg = "plaintext is not serialisable"
        raise TypeError(msg)

    def __eq__(self, other: object) -> NoReturn:
        """Refuse: `==` is not constant in time, and versions tell whether a value is another."""
        msg = "compare versions, not plaintexts"
        raise TypeError(msg)

    __hash__ = None  # type: ignore[assignment]  # a hash would be an oracle for the value


@dataclass(frozen=True, slots=True)
class Revision:
    """What a source tells of a version without its plaintext; costs no KMS."""

    ref: Ref  # canonical, whole, as AWS named it: differs from the ref asked when that was another spelling
    version: Version
    region: str  # that answered: another than usual after a failover
    labels: tuple[str, ...] = ()  # version stages (Secrets Manager) or labels (Parameter Store)
    modified_at: float | None = None  # wall seconds: when this version was made, where the source says so
    rotates_at: float | None = None  # wall seconds: when the next scheduled rotation is due


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of one secret, as its source gave it."""

    revision: Revision
    plaintext: Plaintext
