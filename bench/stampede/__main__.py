"""Print the table of all stampedes, and with --write put it, and the plot, into the documentation."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import structlog

from bench.stampede.plot import plot
from bench.stampede.stampede import Scenario, stampede
from bench.stampede.strategies import STRATEGIES
from bench.stampede.table import Row, table

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- table: written by make stampede -->\n", "<!-- end of table -->\n"


@click.command()
@click.option("--daemons", type=int, multiple=True, default=(1, 10, 100, 1_000), help="So many start; several times.")
@click.option("--seed", default=5, show_default=True, help="The same seed gives the same table.")
@click.option("--saved", default=1.0, show_default=True, help="Seconds' worth of the quota that AWS's bucket holds.")
@click.option("--round-trip", default=0.02, show_default=True, help="Seconds.")
@click.option("--strangers", default=200.0, show_default=True, help="Calls per second that others make.")
@click.option("--write", is_flag=True, help="Write docs/stampede.svg and the table in docs/stampede.md.")
def main(  # noqa: PLR0913 -- click hands over each option
    *,
    daemons: Sequence[int],
    seed: int,
    saved: float,
    round_trip: float,
    strangers: float,
    write: bool,
) -> None:
    """Let daemons start at once, by each strategy."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    scenario = Scenario(daemons=0, strangers=strangers, round_trip=round_trip, saved=saved, seed=seed)
    rows = list(_rows([replace(scenario, daemons=number) for number in daemons]))
    text = table(rows)
    print(text, end="")
    if write:
        (DOCS / "stampede.svg").write_text(plot(rows), encoding="utf-8")
        _replace_table(DOCS / "stampede.md", text)


def _rows(scenarios: Sequence[Scenario]) -> Iterator[Row]:
    for scenario in scenarios:
        for strategy in STRATEGIES:
            click.echo(f"{scenario.daemons:,} with {strategy.name} …", err=True)
            yield strategy, stampede(scenario, strategy.prepare)


def _replace_table(page: Path, text: str) -> None:
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")


main()
