"""Lay out the whole status of a daemon in sections, lines or tables. Pure; `live` and the plain page show the same."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sidecar.cli.tables import (
    Record,
    Table,
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
    usage_table,
)

Section = Table | Sequence[str]
"""What stands together; an empty line goes before the next."""


def page(status: Record) -> Iterator[str]:
    """Give the lines of all sections."""
    for index, section in enumerate(sections(status)):
        if index:
            yield ""
        yield from section


def sections(status: Record) -> Iterator[Section]:
    """Give what there is to say, the daemon first."""
    now = moment(status, "now") or datetime.now(UTC)
    slow = start_line(status)
    yield [_headline(status, now), *([slow] if slow else [])]
    secrets = records(status, "secrets")
    if secrets:
        yield secrets_table(secrets, now)
    if troubles := list(reasons(secrets)):
        yield troubles
    yield from _files(records(status, "files"), now)
    yield from _asked(status)
    if isinstance(budget := status.get("budget"), dict):
        yield [budget_line(budget)]


def _files(files: Sequence[Record], now: datetime) -> Iterator[Section]:
    if files:
        yield files_table(files, now)
    if troubles := list(file_reasons(files)):
        yield troubles


def _asked(status: Record) -> Iterator[Section]:
    """Say what AWS is asked, and what stands in the way."""
    if quotas := records(status, "quotas"):
        yield quotas_table(quotas)
    if (usage := usage_table(records(status, "usage"))).rows:
        yield usage
    if isinstance(polling := status.get("polling"), dict) and (late := polling_line(polling)):
        yield [late]
    if isinstance(fleet := status.get("fleet"), dict):
        yield [fleet_line(fleet)]


def records(status: Record, key: str) -> Sequence[Record]:
    """Give a member that is a list, empty where there is none."""
    found = status.get(key)
    return found if isinstance(found, list) else []


def _headline(status: Record, now: datetime) -> str:
    started = moment(status, "started_at")
    parts = [f"sidecar {text(status, 'version')}"]
    if started:
        parts.append(f"up {span((now - started).total_seconds())}")
    if not status.get("healthy", True):
        parts.append("NOT HEALTHY: its poller is stalled")
    parts.append("ready" if status.get("ready") else f"not ready: {unready_line(status)}")
    return ", ".join(parts)
