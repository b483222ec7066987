"""What the plan foresees, the daemon says at its start, and goes by."""

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import configuration


def test_a_slow_start_says_so(start: Start) -> None:
    """With the estimate, in the log and in the status; nothing else waits for it."""
    secrets = {f"p{number}": f"ssm:/p/{number}" for number in range(100)}
    daemon = start(ready=False, secrets=secrets, quotas={"limits": {"ssm.get": 1}})
    told = daemon.wait_for("slow_start_expected")
    assert told["seconds"] == 80
    assert "sidecar plan" in told["mend"]
    assert daemon.get("/v1/status").json["start_estimate_seconds"] == 80


def test_a_budget_lengthens_intervals_and_refuses_nobody(aws: AwsAccount, start: Start) -> None:
    """Log, status and metric say by how much; callers get what they ask for; a reload without it ends it."""
    for name in ("a", "b"):
        aws.put_secret(name, f"value of {name}")
    secrets = {"a": "sm:a", "b": "sm:b"}
    daemon = start(secrets=secrets, quotas={"budget": "$0.01/month"})
    told = daemon.wait_for("budget_applied")
    assert (told["budget"], told["as_configured"], told["kept"]) == (0.01, 0.09, True)
    assert told["factor"] == pytest.approx(8.9, rel=0.02)
    budget = daemon.get("/v1/status").json["budget"]
    assert budget["intervals"] == [{"configured": 300, "now": pytest.approx(300 * budget["stretch"])}]
    assert daemon.metrics().total("sidecar_budget_stretch") == budget["stretch"]
    assert daemon.refresh("a", "b").status == 200
    assert daemon.value("a").body == b"value of a"

    said = daemon.reconfigure(configuration(daemon.folder, {"secrets": secrets}))
    daemon.wait_for_next(said, "config_reloaded")
    assert daemon.get("/v1/status").json["budget"] is None
    assert daemon.metrics().total("sidecar_budget_stretch") == 1


def test_discovery_is_no_reason_to_wait(aws: AwsAccount, start: Start) -> None:
    """It begins by itself, begins anew and ends on a reload, and ends with the daemon."""
    aws.put_parameter("/p", "v")
    sections: dict[str, object] = {"secrets": {"p": "ssm:/p"}, "quotas": {"discover": True}}
    daemon = start(**sections)
    assert daemon.value("p").body == b"v"
    for quotas in ({"discover": True, "share": "20%"}, {"discover": False}, {"discover": True}):
        said = daemon.reconfigure(configuration(daemon.folder, {**sections, "quotas": quotas}))
        daemon.wait_for_next(said, "config_reloaded")
    assert daemon.value("p").body == b"v"
    assert daemon.end() == 0
