"""`sidecar get`: print one value."""

import base64
import json
import os
import sys
from pathlib import Path
from typing import IO

import click

from sidecar.cli.options import json_option, socket_option, wait_option
from sidecar.cli.sockets import connect


@click.command("get", epilog="Example: PGPASSWORD=$(sidecar get db-password) psql")
@click.argument("name")
@click.option("--previous", is_flag=True, help="The version before the current one, while it is kept.")
@json_option
@wait_option
@socket_option
def command(name: str, *, previous: bool, as_json: bool, wait: float, socket: Path | None) -> None:
    """Print the value of NAME, exactly; on a terminal a line end is added.

    NAME may also be a reference, such as sm:prod/db#password, where the daemon allows those on demand.
    """
    is_ref = ":" in name  # no name has one, every reference does
    if previous and (is_ref or as_json):
        raise click.UsageError("--previous goes with a name, and without --json.")
    client = connect(socket, os.environ)
    if as_json:
        record = client.resolve(name, wait=wait) if is_ref else client.secret(name, wait=wait)
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    value = value_of(client.resolve(name, wait=wait)) if is_ref else client.get(name, previous=previous, wait=wait)
    write_value(value, sys.stdout.buffer)


def value_of(record: dict[str, object]) -> bytes:
    """Give the bytes of a value that came as a member of JSON."""
    if "value_base64" in record:
        return base64.b64decode(str(record["value_base64"]))
    return str(record.get("value", "")).encode()


def write_value(value: bytes, stream: IO[bytes]) -> None:
    """Write the bytes as they are, for people with a line end where there is none."""
    stream.write(value if not stream.isatty() or value.endswith(b"\n") else value + b"\n")
    stream.flush()
