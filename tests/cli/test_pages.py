from sidecar.cli.pages import page, sections
from sidecar.cli.tables import Table

DB = {"name": "db", "ref": "sm:db", "state": "stale", "reason": "throttled", "detail": "AWS throttles", "mend": "Wait."}
STATUS = {
    "version": "1.2.3",
    "now": "2026-11-01T12:00:00Z",
    "started_at": "2026-11-01T11:58:00Z",
    "healthy": True,
    "ready": True,
    "secrets": [DB],
    "start_estimate_seconds": 0.2,
    "budget": {"dollars_per_month": 2, "planned_dollars_per_month": 1, "stretch": 1.0, "kept": True},
    "usage": [{"service": "ssm", "requests": 7, "dollars": 0.0}, {"service": "kms", "requests": 0}],
    "files": [{"path": "/run/db.env", "state": "failed", "reason": "no such name", "mend": "Declare it."}],
    "polling": {"behind_seconds": 61, "waits_for": []},
    "fleet": {"connected": True, "since": "T", "members": 3},
    "quotas": [{"quota": "ssm.get", "account": "1", "region": "eu-west-1", "rate": 1}],
}


def test_the_page() -> None:
    """A headline, the secrets and what troubles them, files and theirs, what AWS is asked; an empty line between."""
    blocks = "\n".join(page(STATUS)).split("\n\n")
    assert [block.split()[0] for block in blocks] == [
        "sidecar",
        "NAME",
        "db:",
        "FILE",
        "/run/db.env:",
        "QUOTA",
        "SERVICE",
        "checks",
        "fleet:",
        "polling",
    ]
    assert blocks[0] == "sidecar 1.2.3, up 2m0s, ready"
    assert blocks[2] == "db: AWS throttles. Wait."
    assert blocks[6].splitlines()[1:] == [
        "ssm      7         -          -       -          -       -          $0.000000"
    ]


def test_tables_and_lines() -> None:
    """The live screen lays tables out by itself: it gets their cells."""
    found = [type(section) for section in sections(STATUS)]
    assert found.count(Table) == 4
    assert all(section.head for section in sections(STATUS) if isinstance(section, Table))


def test_a_page_of_little() -> None:
    """What is not there is not shown; what is wrong is."""
    status = {"version": "1", "healthy": False, "ready": False, "unready": [{"name": "db", "reason": "pending"}]}
    line = "sidecar 1, NOT HEALTHY: its poller is stalled, not ready: db (pending)"
    assert list(page(status)) == [line]
    assert list(page(status | {"start_estimate_seconds": 60, "budget": None})) == [
        line,
        "its share of the quotas makes a start take about 1m0s: `sidecar plan` tells why",
    ]
