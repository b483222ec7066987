"""References: where a value lives, in one canonical spelling."""

from dataclasses import dataclass, replace
from enum import StrEnum


class SourceKind(StrEnum):
    """Which part of AWS a ref is read from."""

    SSM = "ssm"
    SM = "sm"


class Pick(StrEnum):
    """By what a ref picks a version other than the newest."""

    VERSION = "version"  # ssm: number
    LABEL = "label"  # ssm: parameter label
    STAGE = "stage"  # sm: staging label
    VERSION_ID = "version_id"  # sm: version id


@dataclass(frozen=True, slots=True)
class Selector:
    """Which version of the value is meant."""

    pick: Pick
    value: str

    @property
    def pinned(self) -> bool:
        """Whether the version that it picks can never become another."""
        return self.pick in {Pick.VERSION, Pick.VERSION_ID}


@dataclass(frozen=True, slots=True)
class Ref:
    """One value, or one field of it. `parse` and `str` are inverse."""

    source: SourceKind
    id: str  # a name, or an ARN where the value lies in another account or region than the identity's own
    selector: Selector | None = None
    field: str | None = None
    identity: str = "default"

    @property
    def whole(self) -> "Ref":
        """The value that this is a field of."""
        return self if self.field is None else replace(self, field=None)


@dataclass(frozen=True, slots=True)
class Tree:
    """Every parameter below a path."""

    path: str  # "/prod/app", without trailing slash; "" for everything is refused
    identity: str = "default"
