"""Lay records out for the eye, as the daemon describes secrets and quotas. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sidecar.core.outlook import SLOW_START

Record = Mapping[str, object]

SHORT: Final = 12
"""How many characters of a version are enough to tell it from another."""

LATE: Final = 5.0
"""Seconds by which checks must be late to be worth a line: less is the time that a request takes."""

_CENT: Final = 0.01
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


@dataclass(frozen=True, slots=True)
class Table:
    """Cells under heads, for lines or for a live screen."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __iter__(self) -> Iterator[str]:
        """Give its lines."""
        return columns([self.head, *self.rows])


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Align cells; two spaces between columns."""
    listed = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*listed, strict=True)]
    for row in listed:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def secrets_table(secrets: Iterable[Record], now: datetime) -> Table:
    """Show each secret: how it stands, how old the confirmation is, when the next check is due."""
    head = ("NAME", "STATE", "AGE", "VERSION", "NEXT CHECK", "REF")
    return Table(head, [_secret_row(secret, now) for secret in secrets])


def quotas_table(quotas: Sequence[Record]) -> Table:
    """Show what is allowed of each quota and what is used."""
    numbers = ["rate", "ceiling", "limit", "used", "waiting", "throttled", "refused"]
    head = ["QUOTA", "ACCOUNT", "REGION", "RATE/S", "MOST/S", "LIMIT/S", "USED/S", "WAITING", "THROTTLED", "REFUSED"]
    if any(quota.get("leased") is not None for quota in quotas):
        numbers.append("leased")
        head.append("LEASED/S")
    named = ("quota", "account", "region")
    rows = [(*(text(quota, key) for key in named), *(_number(quota, key) for key in numbers)) for quota in quotas]
    return Table(head, rows)


def usage_table(usage: Iterable[Record]) -> Table:
    """Show what each service was asked since the start, how that ended, and what it cost by list prices."""
    numbers = ("requests", "throttled", "denied", "not_found", "failed", "on_behalf")
    head = ("SERVICE", "REQUESTS", "THROTTLED", "DENIED", "NOT FOUND", "FAILED", "ON BEHALF", "COST")
    rows = [
        (text(each, "service"), *(_number(each, key) for key in numbers), _dollars(each))
        for each in usage
        if any(each.get(key) for key in numbers)
    ]
    return Table(head, rows)


def polling_line(polling: Record) -> str | None:
    """Say that checks are late, and why, where they are."""
    behind = polling.get("behind_seconds")
    if not isinstance(behind, int | float) or behind < LATE:
        return None
    waits = polling.get("waits_for")
    quotas = sorted({text(each, "quota") for each in waits}) if isinstance(waits, list) else []
    return f"checks are {span(behind)} late: {'they wait for ' + ', '.join(quotas) if quotas else 'AWS is slow'}"


def files_table(files: Iterable[Record], now: datetime) -> Table:
    """Show each file that is kept: how it stands, and how long ago it was written."""
    return Table(("FILE", "STATE", "WRITTEN"), [_file_row(file, now) for file in files])


def file_reasons(files: Iterable[Record]) -> Iterator[str]:
    """Say of each file that has trouble what it is and what to do."""
    for file in files:
        if reason := text(file, "reason"):
            yield f"{text(file, 'path')}: {reason}. {text(file, 'mend')}".rstrip()


def start_line(status: Record) -> str | None:
    """Say that a start takes long by itself, while it does."""
    seconds = status.get("start_estimate_seconds")
    if status.get("ready") or not isinstance(seconds, int | float) or seconds <= SLOW_START:
        return None
    return f"its share of the quotas makes a start take about {span(seconds)}: `sidecar plan` tells why"


def budget_line(budget: Record) -> str:
    """Say what a budget does to the intervals."""
    told = {key: value for key, value in budget.items() if isinstance(value, int | float)}
    costs = f"${told['planned_dollars_per_month']:,.2f} a month of a budget of ${told['dollars_per_month']:,.2f}"
    if told["stretch"] <= 1:
        return f"polling costs {costs}"
    kept = "" if told["kept"] else ", which they cannot keep"
    return f"polling costs {costs}{kept}: intervals are {told['stretch']:.2f} times as long as configured"


def fleet_line(fleet: Record) -> str:
    """Say in one line whether the daemon shares with its fleet, and since when."""
    members = f"{text(fleet, 'members')} members" if fleet.get("members") else "members unknown"
    if fleet.get("connected"):
        return f"fleet: connected since {text(fleet, 'since')}, {members}"
    if since := text(fleet, "since"):
        return f"fleet: alone since {since}, {members}: {text(fleet, 'reason')}"
    return "fleet: not asked yet"


def reasons(secrets: Iterable[Record]) -> Iterator[str]:
    """Say of each secret that has trouble what it is and what to do."""
    for secret in secrets:
        if reason := text(secret, "reason"):
            yield f"{text(secret, 'name')}: {text(secret, 'detail') or reason}. {text(secret, 'mend')}".rstrip()


def unready_line(detail: Record) -> str:
    """Say in one line why the daemon is not ready, from what /readyz or the status tells."""
    missing = detail.get("unready")
    names = [f"{text(each, 'name')} ({text(each, 'reason')})" for each in missing] if isinstance(missing, list) else []
    return ", ".join(names) or text(detail, "reason") or "it does not say why"


def change_line(secret: Record) -> str:
    """Say in one line what a watch told."""
    when, name = text(secret, "fetched_at") or "-", text(secret, "name")
    if secret.get("version") is None:
        return f"{when}  {name}  {text(secret, 'state')}  {text(secret, 'detail')}".rstrip()
    return f"{when}  {name}  {text(secret, 'state')}  version {text(secret, 'version')}"


def text(record: Record, key: str) -> str:
    """Give a member as text, empty where there is none."""
    value = record.get(key)
    return "" if value is None else printable(str(value))


def printable(told: str) -> str:
    """Escape what could move a terminal's cursor or hide: names come from AWS, where others may choose them."""
    if told.isprintable():
        return told
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in told)


def moment(record: Record, key: str) -> datetime | None:
    """Give a member that is a time."""
    value = record.get(key)
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def span(seconds: float) -> str:
    """Write seconds as people do: 4.2s, 3m12s, 5h3m, 2d4h."""
    if seconds < 10:  # noqa: PLR2004 -- below it, tenths matter
        return f"{max(seconds, 0):.1f}s"
    rest = int(seconds)
    for index, (size, unit) in enumerate(_UNITS):
        if rest >= size:
            smaller, name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            return f"{rest // size}{unit}{rest % size // smaller}{name}"
    return f"{rest}s"


def _secret_row(secret: Record, now: datetime) -> Sequence[str]:
    confirmed, due = moment(secret, "confirmed_at"), moment(secret, "next_check_at")
    return (
        text(secret, "name"),
        text(secret, "state"),
        span((now - confirmed).total_seconds()) if confirmed else "-",
        text(secret, "version")[:SHORT] or "-",
        f"in {span((due - now).total_seconds())}" if due else "-",
        text(secret, "ref"),
    )


def _file_row(file: Record, now: datetime) -> Sequence[str]:
    written = moment(file, "written_at")
    ago = f"{span((now - written).total_seconds())} ago" if written else "-"
    return (text(file, "path"), text(file, "state"), ago)


def _dollars(record: Record) -> str:
    value = record.get("dollars")
    if not isinstance(value, int | float):
        return "-"
    return f"${value:,.2f}" if value >= _CENT else f"${value:.6f}"


def _number(record: Record, key: str) -> str:
    value = record.get(key)
    return f"{value:g}" if isinstance(value, int | float) else "-"
