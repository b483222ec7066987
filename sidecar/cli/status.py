"""`sidecar status`: how the daemon stands, for people and for health checks."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from sidecar.cli.exits import Exit
from sidecar.cli.options import json_option, socket_option
from sidecar.cli.sockets import connect
from sidecar.cli.tables import (
    Record,
    budget_line,
    file_reasons,
    files_table,
    fleet_line,
    moment,
    polling_line,
    quotas_table,
    reasons,
    secrets_table,
    span,
    start_line,
    text,
    unready_line,
)
from sidecar.client import Client


@click.command("status", epilog="Example, as a container's health check: sidecar status --ready")
@click.option("--ready", is_flag=True, help="Only whether every required secret is held: exit code 0, else 5.")
@json_option
@socket_option
@click.pass_context
def command(ctx: click.Context, *, ready: bool, as_json: bool, socket: Path | None) -> None:
    """Show how the daemon and its secrets stand."""
    client = connect(socket, os.environ)
    if ready:
        ctx.exit(_ready(client, as_json=as_json))
    status = client.status()
    click.echo(json.dumps(status, indent=2, ensure_ascii=False) if as_json else "\n".join(page(status)))


def _ready(client: Client, *, as_json: bool) -> Exit:
    readiness = client.ready()
    if as_json:
        click.echo(json.dumps(readiness.detail, indent=2))
    else:
        click.echo("ready" if readiness.ready else f"not ready: {unready_line(readiness.detail)}")
    return Exit.DONE if readiness.ready else Exit.UNAVAILABLE


def page(status: Record) -> Iterator[str]:
    """Lay out the whole status."""
    now = moment(status, "now") or datetime.now(UTC)
    yield _headline(status, now)
    if slow := start_line(status):
        yield slow
    if secrets := _records(status, "secrets"):
        yield ""
        yield from secrets_table(secrets, now)
    if troubles := list(reasons(secrets)):
        yield ""
        yield from troubles
    if files := _records(status, "files"):
        yield ""
        yield from files_table(files, now)
        yield from file_reasons(files)
    if quotas := _records(status, "quotas"):
        yield ""
        yield from quotas_table(quotas)
    if isinstance(polling := status.get("polling"), dict) and (late := polling_line(polling)):
        yield ""
        yield late
    if isinstance(fleet := status.get("fleet"), dict):
        yield ""
        yield fleet_line(fleet)
    if isinstance(budget := status.get("budget"), dict):
        yield ""
        yield budget_line(budget)


def _headline(status: Record, now: datetime) -> str:
    started = moment(status, "started_at")
    parts = [f"sidecar {text(status, 'version')}"]
    if started:
        parts.append(f"up {span((now - started).total_seconds())}")
    if not status.get("healthy", True):
        parts.append("NOT HEALTHY: its poller is stalled")
    parts.append("ready" if status.get("ready") else f"not ready: {unready_line(status)}")
    return ", ".join(parts)


def _records(status: Record, key: str) -> Sequence[Record]:
    found = status.get(key)
    return found if isinstance(found, list) else []
