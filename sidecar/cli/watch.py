"""`sidecar watch`: tell of changes as they come."""

import json
import os
from pathlib import Path

import click

from sidecar.cli.options import json_option, socket_option
from sidecar.cli.sockets import connect
from sidecar.cli.tables import change_line


@click.command("watch", epilog="Example: sidecar watch db-password | while read -r _; do systemctl reload app; done")
@click.argument("names", nargs=-1)
@json_option
@socket_option
def command(names: tuple[str, ...], *, as_json: bool, socket: Path | None) -> None:
    """Print a line for each new version of NAMES (without names, of all), until it is stopped.

    It outlives the daemon: when that comes back, the watch goes on where it was. Values are never printed.
    """
    for change in connect(socket, os.environ).watch(names):
        click.echo(json.dumps(change.secret, ensure_ascii=False) if as_json else change_line(change.secret))
