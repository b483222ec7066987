import json
from pathlib import Path

import pytest

from sidecar.cli.status import page
from tests.cli.conftest import Invoke
from tests.unix_peer import answer, listening

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
    "quotas": [{"quota": "ssm.get", "account": "1", "region": "eu-west-1", "rate": 1}],
}


def test_the_page() -> None:
    """A headline, the secrets, what troubles them, the quotas."""
    lines = list(page(STATUS))
    assert lines[0] == "sidecar 1.2.3, up 2m0s, ready"
    assert lines[2].startswith("NAME")
    assert lines[3].startswith("db    stale")
    assert lines[5] == "db: AWS throttles. Wait."
    assert lines[7].startswith("QUOTA")
    assert lines[8].startswith("ssm.get")
    assert lines[10:] == ["polling costs $1.00 a month of a budget of $2.00"]


def test_a_page_of_little() -> None:
    """What is not there is not shown; what is wrong is."""
    status = {"version": "1", "healthy": False, "ready": False, "unready": [{"name": "db", "reason": "pending"}]}
    line = "sidecar 1, NOT HEALTHY: its poller is stalled, not ready: db (pending)"
    assert list(page(status)) == [line]
    assert list(page(status | {"start_estimate_seconds": 60, "budget": None})) == [
        line,
        "its share of the quotas makes a start take about 1m0s: `sidecar plan` tells why",
    ]


def test_status(invoke: Invoke, folder: Path) -> None:
    """For people, or as the interface answers."""
    with listening(folder / "s", routes={"/v1/status": answer(STATUS)}):
        assert invoke("status", "--socket", "s").stdout.startswith("sidecar 1.2.3, up 2m0s, ready\n\nNAME")
        assert json.loads(invoke("status", "--json", "--socket", "s").stdout) == STATUS


@pytest.mark.parametrize(
    ("reply", "code", "line"),
    [
        (answer({"ready": True, "unready": []}), 0, "ready\n"),
        (
            answer({"ready": False, "unready": [{"name": "db", "reason": "throttled"}]}, 503),
            5,
            "not ready: db (throttled)\n",
        ),
    ],
)
def test_ready(invoke: Invoke, folder: Path, reply: bytes, code: int, line: str) -> None:
    """A health check reads the exit code, people the line."""
    with listening(folder / "s", routes={"/readyz": reply}):
        result = invoke("status", "--ready", "--socket", "s")
        as_json = invoke("status", "--ready", "--json", "--socket", "s")
    assert (result.exit_code, result.stdout) == (code, line)
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout)["ready"] is (code == 0)


def test_ready_without_a_daemon(invoke: Invoke) -> None:
    """It is not."""
    assert invoke("status", "--ready", "--socket", "nowhere").exit_code == 5
