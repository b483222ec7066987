from io import StringIO

import pytest
from rich.console import Console, Group

from sidecar.cli.live import FEWEST, fit, screen, show
from sidecar.cli.tables import Table
from sidecar.cli.watching import Seen

MARKUP = {"name": "[red]x[/red]\x1b[2J", "ref": "sm:x", "state": "fresh"}
STATUS = {"version": "1.2.3", "now": "2026-11-01T12:00:00Z", "ready": True, "secrets": [MARKUP]}


def drawn(seen: Seen, *, height: int = 24, width: int = 80) -> list[str]:
    """Draw a screen as text."""
    console = Console(file=StringIO(), width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(Group(*screen(seen, height)))
    return captured.get().splitlines()


def test_names_are_no_markup() -> None:
    """They come from AWS, where others may choose them: shown as they are, controls escaped."""
    assert [line.rstrip() for line in drawn(Seen(STATUS))] == [
        "sidecar 1.2.3, ready",
        "",
        "NAME                 STATE  AGE  VERSION  NEXT CHECK  REF",
        "[red]x[/red]\\x1b[2J  fresh  -    -        -           sm:x",
    ]


def test_what_has_trouble_comes_first() -> None:
    """However many there are, it is on the screen."""
    many = [{"name": f"s{n}", "state": "stale" if n == 90 else "fresh"} for n in range(100)]
    lines = drawn(Seen({**STATUS, "secrets": many}), height=10)
    assert len(lines) == 10
    assert lines[3].startswith("s90")
    assert lines[-1].startswith("… 94 more")


def test_a_daemon_that_is_away() -> None:
    """Why and since when stands above what it said last, within the screen."""
    lines = drawn(Seen(STATUS, "no daemon answers", "12:00:00"))
    assert lines[:4] == ["no daemon answers", "Since 12:00:00; below is what it said last.", "", "sidecar 1.2.3, ready"]


def test_a_status_without_secrets() -> None:
    """A user who may see none still sees the daemon."""
    assert drawn(Seen({"version": "1", "ready": True})) == ["sidecar 1, ready"]


def table(rows: int) -> Table:
    """Make a table of so many rows."""
    return Table(["A", "B"], [[str(row), "x"] for row in range(rows)])


@pytest.mark.parametrize(
    ("sizes", "height", "fitted"),
    [
        ((5, 5), 13, [5, 5]),
        ((20, 5), 13, [5, 5]),
        ((20, 20), 13, [5, 5]),
        ((20,), 2, [FEWEST]),
        ((4,), 1, [4]),
    ],
)
def test_it_fits(sizes: tuple[int, ...], height: int, fitted: list[int]) -> None:
    """The longest are shortened, by a row that counts the rest; a few rows are kept however small it is."""
    parts = [table(size) for size in sizes]
    assert [len(part.rows) for part in fit(parts, height) if isinstance(part, Table)] == fitted


def test_lines_are_shortened_too() -> None:
    """A hundred troubles do not push the tables away."""
    lines = [f"trouble {n}" for n in range(100)]
    assert fit([lines], 10) == [[*lines[:9], "… 91 more"]]


def test_in_place() -> None:
    """It takes the screen for its time, and draws each state over the one before."""
    console = Console(file=(out := StringIO()), width=80, height=24, force_terminal=True)
    show([Seen(STATUS), Seen({**STATUS, "ready": False})], console)
    assert out.getvalue().startswith("\x1b[?1049h")
    assert "not ready" in out.getvalue()
    assert "\x1b[?1049l" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue().replace("\x1b[2J\x1b[H", "")
