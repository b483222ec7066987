"""`sidecar status`: how the daemon stands, for people and for health checks."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from sidecar.cli.exits import Exit
from sidecar.cli.options import json_option, read_seconds, socket_option
from sidecar.cli.pages import page
from sidecar.cli.sockets import connect
from sidecar.cli.tables import Record, unready_line
from sidecar.cli.watching import Seen, follow
from sidecar.client import Client

INTERVAL: Final = 2.0
"""Seconds between two looks unless the user says otherwise."""

SHORTEST: Final = 0.1
"""Seconds between two looks: the daemon has other things to do."""


def read_interval(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read how often to look."""
    seconds = read_seconds(ctx, param, value)
    if seconds is not None and seconds < SHORTEST:
        raise click.BadParameter(f"want at least 100ms, got {value}")
    return seconds


@click.command("status", epilog="Example, as a container's health check: sidecar status --ready")
@click.option("--ready", is_flag=True, help="Only whether every required secret is held: exit code 0, else 5.")
@click.option("--watch", is_flag=True, help="Show it again and again, on a terminal in place, until Ctrl-C.")
@click.option("--interval", callback=read_interval, metavar="DURATION", help="How often --watch looks; 2s.")
@json_option
@socket_option
@click.pass_context
def command(  # noqa: PLR0913 -- one for each option
    ctx: click.Context, *, ready: bool, watch: bool, interval: float | None, as_json: bool, socket: Path | None
) -> None:
    """Show how the daemon and its secrets stand."""
    if (ready and watch) or (interval is not None and not watch):
        raise click.UsageError("--ready goes without --watch, and --interval with it.")
    client = connect(socket, os.environ)
    if ready:
        ctx.exit(_ready(client, as_json=as_json))
    if watch:
        _watch(client, interval or INTERVAL, as_json=as_json)
    else:
        status = client.status()
        click.echo(json.dumps(status, indent=2, ensure_ascii=False) if as_json else "\n".join(page(status)))


def _ready(client: Client, *, as_json: bool) -> Exit:
    readiness = client.ready()
    if as_json:
        click.echo(json.dumps(readiness.detail, indent=2))
    else:
        click.echo("ready" if readiness.ready else f"not ready: {unready_line(readiness.detail)}")
    return Exit.DONE if readiness.ready else Exit.UNAVAILABLE


def _watch(client: Client, interval: float, *, as_json: bool) -> None:
    pause = partial(time.sleep, interval)  # noqa: TID251 -- there is nothing else to wait for, and no loop
    seen = follow(client, pause, partial(datetime.now, None))
    with suppress(KeyboardInterrupt):  # the way that a watch ends
        if as_json or not _in_place():
            _print(seen, as_json=as_json)
        else:
            _show(seen)


def _in_place() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _print(seen: Iterable[Seen], *, as_json: bool) -> None:
    """Print one block, or one line of JSON, for each look."""
    for each in seen:
        click.echo(as_line(each) if as_json else "\n".join([*as_lines(each), ""]))


def _show(seen: Iterable[Seen]) -> None:
    from rich.console import Console  # noqa: PLC0415 -- rich, for those who watch on a terminal

    from sidecar.cli.live import show  # noqa: PLC0415 -- likewise

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal wants to be left as it was
    show(seen, Console())


def as_line(seen: Seen) -> str:
    """Give what was seen as JSON in a line: the status, or why there is none."""
    told: Record = {"away": seen.trouble, "since": seen.since} if seen.trouble else seen.status
    return json.dumps(told, ensure_ascii=False)


def as_lines(seen: Seen) -> Iterable[str]:
    """Give what was seen as lines; what a daemon said that is away was printed before."""
    return [f"{seen.trouble} Since {seen.since}."] if seen.trouble else page(seen.status)
