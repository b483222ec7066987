"""Hold what was measured, and print it beside what was to be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HEAD: Final = ("figure", "goal", "measured", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; without a goal it is told and not judged."""

    what: str
    goal: str
    measured: str
    met: bool | None = None

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The line's cells."""
        return self.what, self.goal, self.measured, {True: "met", False: "MISSED", None: ""}[self.met]


def table(figures: Sequence[Figure]) -> str:
    """Lay the figures out in columns."""
    rows = [_HEAD, *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
