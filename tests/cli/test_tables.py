from datetime import UTC, datetime

import pytest

from sidecar.cli.tables import (
    Record,
    budget_line,
    change_line,
    columns,
    fleet_line,
    polling_line,
    printable,
    quotas_table,
    reasons,
    secrets_table,
    span,
    start_line,
    unready_line,
    usage_table,
)

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
DB = {
    "name": "db",
    "ref": "sm:prod/db",
    "state": "fresh",
    "version": "9135f19b-736b-4288-945c-306cca5a4f7f",
    "confirmed_at": "2026-11-01T11:59:55.500Z",
    "next_check_at": "2026-11-01T12:04:30Z",
    "fetched_at": "2026-11-01T09:00:00.000Z",
}
API = {"name": "api", "ref": "ssm:/prod/api", "state": "pending", "reason": "throttled", "detail": "AWS throttles"}


def test_a_slow_start_is_said_while_it_lasts() -> None:
    """Not once it is over, nor where it is none."""
    slow: Record = {"ready": False, "start_estimate_seconds": 249.5}
    assert start_line(slow) == "its share of the quotas makes a start take about 4m9s: `sidecar plan` tells why"
    others: list[Record] = [{"ready": True}, {"start_estimate_seconds": 30.0}, {"start_estimate_seconds": None}]
    for other in others:
        assert start_line({**slow, **other}) is None


COSTS = "polling costs $0.50 a month of a budget of $0.60"


@pytest.mark.parametrize(
    ("stretch", "kept", "line"),
    [
        (1.0, True, COSTS),
        (2.5, True, f"{COSTS}: intervals are 2.50 times as long as configured"),
        (9.0, False, f"{COSTS}, which they cannot keep: intervals are 9.00 times as long as configured"),
    ],
)
def test_what_a_budget_does(stretch: float, *, kept: bool, line: str) -> None:
    """What it costs, and by how much the intervals lengthen."""
    budget = {"dollars_per_month": 0.6, "planned_dollars_per_month": 0.5, "stretch": stretch, "kept": kept}
    assert budget_line(budget) == line


def test_columns_align() -> None:
    """Each is as wide as its widest cell; no line ends in spaces."""
    assert list(columns([("A", "B"), ("long", "x"), ("y", "")])) == ["A     B", "long  x", "y"]


def test_secrets() -> None:
    """Age, the next check and a version that can be told from others; a dash for what is not known."""
    assert list(secrets_table([DB, API], NOW)) == [
        "NAME  STATE    AGE   VERSION       NEXT CHECK  REF",
        "db    fresh    4.5s  9135f19b-736  in 4m30s    sm:prod/db",
        "api   pending  -     -             -           ssm:/prod/api",
    ]


def test_quotas() -> None:
    """Numbers as short as they are."""
    quota = {"quota": "ssm.get", "account": "1", "region": "eu-west-1", "rate": 2.5, "ceiling": 4.0, "limit": 40}
    table = list(quotas_table([quota | {"used": 0, "waiting": 3, "throttled": 1}]))
    assert table[1].split() == ["ssm.get", "1", "eu-west-1", "2.5", "4", "40", "0", "3", "1", "-"]


def test_leases() -> None:
    """A column of its own, where anything is leased."""
    quota = {"quota": "ssm.get", "account": "1", "region": "eu-west-1"}
    head, leased, own = quotas_table([quota | {"leased": 12.5}, quota | {"leased": None}])
    assert [line.split()[-1] for line in (head, leased, own)] == ["LEASED/S", "12.5", "-"]


@pytest.mark.parametrize(
    ("fleet", "line"),
    [
        ({"connected": True, "since": "T", "members": 3, "reason": None}, "fleet: connected since T, 3 members"),
        (
            {"connected": False, "since": "T", "members": 0, "reason": "no connection"},
            "fleet: alone since T, members unknown: no connection",
        ),
        ({"connected": False, "since": None, "members": 0, "reason": None}, "fleet: not asked yet"),
    ],
)
def test_the_fleet(fleet: dict[str, object], line: str) -> None:
    """With it or alone, and since when."""
    assert fleet_line(fleet) == line


@pytest.mark.parametrize(
    ("polling", "line"),
    [
        ({"behind_seconds": 4.9, "waits_for": []}, None),
        ({"behind_seconds": None}, None),
        ({"behind_seconds": 90, "waits_for": []}, "checks are 1m30s late: AWS is slow"),
        (
            {"behind_seconds": 40, "waits_for": [{"quota": "ssm.get"}, {"quota": "kms.symmetric"}]},
            "checks are 40s late: they wait for kms.symmetric, ssm.get",
        ),
    ],
)
def test_late_checks(polling: dict[str, object], line: str | None) -> None:
    """By how much, and what they wait for; a moment is not worth a line."""
    assert polling_line(polling) == line


def test_usage() -> None:
    """What was asked of each service; one that was never asked has no row, small sums keep their digits."""
    counted = {"requests": 9, "throttled": 1, "denied": 0, "not_found": 0, "failed": 2, "on_behalf": 0}
    asked = {"service": "ssm", **counted, "dollars": 0.0}
    behind = {"service": "kms", **dict.fromkeys(counted, 0), "on_behalf": 3, "dollars": 0.000009}
    dear = {"service": "secretsmanager", **counted, "dollars": 1234.5}
    _, *rows = usage_table([asked, behind, dear, {"service": "s3", "requests": 0}])
    assert [row.split() for row in rows] == [
        ["ssm", "9", "1", "0", "0", "2", "0", "$0.000000"],
        ["kms", "0", "0", "0", "0", "0", "3", "$0.000009"],
        ["secretsmanager", "9", "1", "0", "0", "2", "0", "$1,234.50"],
    ]
    assert list(usage_table([{"service": "ssm", "requests": 1}]))[1].endswith("-")


@pytest.mark.parametrize(
    ("told", "shown"),
    [("app/ä", "app/ä"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb", "a\\nb"), ("a\u202eb", "a\\u202eb")],
)
def test_what_could_move_a_cursor_is_escaped(told: str, shown: str) -> None:
    """Controls, line ends, and what turns the direction of writing."""
    assert printable(told) == shown


def test_reasons() -> None:
    """Only of those that have trouble, with the mend."""
    lines = list(reasons([DB, API | {"mend": "Wait."}, {"name": "x", "reason": "not_found", "mend": None}]))
    assert lines == ["api: AWS throttles. Wait.", "x: not_found."]


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        (
            {"unready": [{"name": "db", "reason": "throttled"}, {"name": "x", "reason": "pending"}]},
            "db (throttled), x (pending)",
        ),
        ({"unready": [], "reason": "stopping"}, "stopping"),
        ({}, "it does not say why"),
    ],
)
def test_unready(detail: dict[str, object], line: str) -> None:
    """Which are missing, or why none is given any more."""
    assert unready_line(detail) == line


def test_changes() -> None:
    """A new version, or a secret that is gone."""
    assert change_line(DB) == "2026-11-01T09:00:00.000Z  db  fresh  version 9135f19b-736b-4288-945c-306cca5a4f7f"
    assert change_line({"name": "db", "state": "absent", "detail": "AWS has none"}) == "-  db  absent  AWS has none"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (59.9, "59s"),
        (60, "1m0s"),
        (272, "4m32s"),
        (3600, "1h0m"),
        (86399, "23h59m"),
        (90000, "1d1h"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    """The two largest units; tenths only below ten seconds."""
    assert span(seconds) == text
