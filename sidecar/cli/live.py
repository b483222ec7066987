"""Show a daemon's status on a terminal, in place, until it is interrupted. The only importer of rich."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from sidecar.cli.pages import Section, sections
from sidecar.cli.tables import Record, Table
from sidecar.cli.watching import Seen

FEWEST: Final = 4
"""Rows that a table keeps however small the screen is, the one that counts the rest among them."""

_STYLES: Final[Mapping[str, str]] = {
    "fresh": "green",
    "written": "green",
    "stale": "yellow",
    "pending": "cyan",
    "refused": "bold red",
    "absent": "bold red",
    "failed": "bold red",
}


def show(seen: Iterable[Seen], console: Console) -> None:
    """Show each state as it comes, in the place of the one before; the screen is what it was, afterwards."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for each in seen:
            live.update(Group(*screen(each, console.height)), refresh=True)


def screen(seen: Seen, height: int) -> Iterator[RenderableType]:
    """Give what stands on a screen of so many lines."""
    trouble = [[seen.trouble, f"Since {seen.since}; below is what it said last."]] if seen.trouble else []
    for index, section in enumerate(fit([*trouble, *sections(_by_trouble(seen.status))], height)):
        if index:
            yield ""
        style = "bold red" if trouble and not index else ""
        yield _grid(section) if isinstance(section, Table) else _lines(section, style)


def fit(parts: Sequence[Section], height: int) -> Sequence[Section]:
    """Give every section the same most lines, as many as let all fit; what is left out is counted."""
    most = max(height, FEWEST)
    while most > FEWEST and _height([_cut(part, most) for part in parts]) > height:
        most -= 1
    return [_cut(part, most) for part in parts]


def _height(parts: Sequence[Section]) -> int:
    heads = sum(isinstance(part, Table) for part in parts)
    return sum(map(_rows, parts)) + heads + len(parts) - 1


def _rows(part: Section) -> int:
    return len(part.rows if isinstance(part, Table) else part)


def _cut(part: Section, most: int) -> Section:
    if _rows(part) <= most:
        return part
    more = f"… {_rows(part) - most + 1} more"
    if not isinstance(part, Table):
        return [*part[: most - 1], more]
    return Table(part.head, [*part.rows[: most - 1], [more, *[""] * (len(part.head) - 1)]])


def _by_trouble(status: Record) -> Record:
    """Put what is not fresh first, so that it is on the screen however many there are."""
    secrets = status.get("secrets")
    if not isinstance(secrets, list):
        return status
    return {**status, "secrets": sorted(secrets, key=lambda secret: secret.get("state") == "fresh")}


def _lines(lines: Sequence[str], style: str) -> Text:
    """Show lines as they are: nothing in them is markup."""
    return Text("\n".join(lines), style, no_wrap=True, overflow="ellipsis")


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for head in table.head:
        grid.add_column(Text(head), no_wrap=True, overflow="ellipsis")
    state = table.head.index("STATE") if "STATE" in table.head else None
    for row in table.rows:
        grid.add_row(*(Text(cell, _style(cell) if at == state else "") for at, cell in enumerate(row)))
    return grid


def _style(state: str) -> str:
    return _STYLES.get(state, "")
