"""The alert rules, by promtool and by what the daemon exports."""

import subprocess

import pytest
import yaml

from tests.deploy.charts import CHART
from tests.deploy.queries import ALERTED, ALERTS, unknown
from tests.docs_markdown import ROOT

FOLDER = ROOT / "deploy" / "prometheus"


def test_there_is_one_copy() -> None:
    """What stands in deploy/ points into the chart."""
    assert (FOLDER / "alerts.yaml").resolve() == CHART / "files" / "alerts.yaml"
    assert (FOLDER / "alerts.yaml").is_symlink()


@pytest.mark.parametrize(("alert", "query"), ALERTED, ids=[alert for alert, _ in ALERTED])
def test_every_series_and_label_exists(alert: str, query: str) -> None:
    """An alert on what nobody exports never fires."""
    assert unknown(query) == [], alert


def test_prometheus_takes_them(promtool: str) -> None:
    """Syntax of rules and queries."""
    done = subprocess.run(
        [promtool, "check", "rules", FOLDER / "alerts.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_fires_when_it_should_and_only_then(promtool: str) -> None:
    """As alerts_test.yaml says."""
    done = subprocess.run(
        [promtool, "test", "rules", "alerts_test.yaml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_is_tested_both_ways() -> None:
    """At a time when it fires and at one when it does not."""
    cases = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    checks = [(check["alertname"], bool(check["exp_alerts"])) for case in cases for check in case["alert_rule_test"]]
    assert set(checks) == {(alert, fires) for alert, _ in ALERTED for fires in (True, False)}


def test_each_says_how_bad_and_what_to_do() -> None:
    """In the same words everywhere."""
    for rule in ALERTS["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
