"""Play the scene, ask Prometheus for every panel, and with --write put the picture into the documentation."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench.dashboard.draw import Curve, Moment, draw
from bench.dashboard.panels import Panel, panels
from bench.dashboard.prometheus import PROGRAM, Prometheus, scraping
from bench.dashboard.scene import ACTS, play, scene
from bench.stampede.herd import REDIS

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.svg"


@click.command()
@click.option("--seconds", default=300.0, show_default=True, help="How long the scene lasts.")
@click.option("--write", is_flag=True, help="Write docs/dashboard.svg.")
def main(*, seconds: float, write: bool) -> None:
    """Fill the shipped dashboard by real daemons in bad weather."""
    if not (PROGRAM and REDIS):
        raise click.ClickException("prometheus or redis-server is missing: apt-get install prometheus redis-server")
    with scene() as set_, scraping(set_.world.folder, set_.targets) as prometheus:
        begin = datetime.now(UTC).timestamp()
        play(set_, seconds)
        end = datetime.now(UTC).timestamp()
        filled = [(panel, curves(prometheus, panel, begin, end)) for panel in panels()]
    for panel, found in filled:
        print(f"{panel.title}: {', '.join(curve.name or 'one' for curve in found) or 'no data'}", file=sys.stderr)
    picture = draw(filled, moments(begin, seconds), begin, end)
    if write:
        PICTURE.write_text(picture)
    else:
        click.echo(picture)


def curves(prometheus: Prometheus, panel: Panel, begin: float, end: float) -> list[Curve]:
    """Ask for what a panel shows."""
    found = [
        Curve(query.name(series.labels), series)
        for query in panel.queries
        for series in prometheus.ask(query.text, begin, end)
    ]
    return sorted(found, key=lambda curve: curve.name)


def moments(begin: float, seconds: float) -> list[Moment]:
    """Say when what happened."""
    letters = "ABCDEFGHIJ"
    return [Moment(begin + act.at * seconds, letter, act.what) for act, letter in zip(ACTS, letters, strict=False)]


main()
