"""`sidecar refresh`: have values checked now."""

import json
import os
from pathlib import Path

import click

from sidecar.cli.exits import Exit, exit_of_reason
from sidecar.cli.options import json_option, socket_option, wait_option
from sidecar.cli.sockets import connect
from sidecar.cli.tables import Record, text


@click.command("refresh", epilog="Example, after a failed login: sidecar refresh db-password")
@click.argument("names", nargs=-1)
@json_option
@wait_option
@socket_option
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], *, as_json: bool, wait: float, socket: Path | None) -> None:
    """Ask AWS now whether NAMES have changed; without names all, which needs the right of an admin.

    Ends with the exit code of the first that could not be confirmed.
    """
    secrets = connect(socket, os.environ).refresh(names, wait=wait)
    if as_json:
        click.echo(json.dumps({"secrets": secrets}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(map(_line, secrets)) or "nothing has changed")
    ctx.exit(next((exit_of_reason(reason) for each in secrets if (reason := text(each, "reason"))), Exit.DONE))


def _line(secret: Record) -> str:
    name = text(secret, "name")
    if secret.get("changed"):
        return f"{name}: changed, version {text(secret, 'version')}"
    if reason := text(secret, "reason"):
        return f"{name}: not confirmed, {text(secret, 'detail') or reason}. {text(secret, 'mend')}".rstrip()
    return f"{name}: unchanged"
