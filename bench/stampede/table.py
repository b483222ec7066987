"""Write outcomes as a table, in Markdown."""

from collections.abc import Iterable, Sequence

from bench.stampede.stampede import Outcome
from bench.stampede.strategies import Strategy

Row = tuple[Strategy, Outcome]

HEAD = ("N", "strategy", "seconds", "÷ ideal", "throttled", "failed", "strangers' calls hurt")


def cells(strategy: Strategy, outcome: Outcome) -> tuple[str, ...]:
    """Give one row's cells."""
    return (
        f"{outcome.scenario.daemons:,}",
        strategy.name,
        f"{outcome.seconds:.2f}" if not outcome.missing else f"never ({outcome.missing:,} missing)",
        f"{outcome.ratio:.2f}",
        f"{outcome.ours.share:.1%}",
        f"{outcome.failed:,}",
        f"{outcome.strangers.share:.1%}",
    )


def table(rows: Iterable[Row]) -> str:
    """Give the whole table; its lines end with a line feed."""
    lines = [HEAD, *(cells(strategy, outcome) for strategy, outcome in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rule = [_rule(column, width) for column, width in enumerate(widths)]
    return "".join(_line(line, widths) for line in (HEAD, rule, *lines[1:]))


def _rule(column: int, width: int) -> str:
    return "-" * width if column == 1 else "-" * (width - 1) + ":"  # numbers to the right


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column == 1 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |\n"
