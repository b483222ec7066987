"""`sidecar list`: what the daemon holds for this user."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from sidecar.cli.options import json_option, socket_option
from sidecar.cli.sockets import connect
from sidecar.cli.tables import secrets_table


@click.command("list", epilog="Example: sidecar list --json | jq -r '.secrets[].name'")
@json_option
@socket_option
def command(*, as_json: bool, socket: Path | None) -> None:
    """List the secrets that this user may see, without values."""
    secrets = connect(socket, os.environ).list()
    if as_json:
        click.echo(json.dumps({"secrets": secrets}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(secrets_table(secrets, datetime.now(UTC))))
