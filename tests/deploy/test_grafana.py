"""The dashboard: every query means something to Prometheus and names what the daemon exports."""

import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import CHART, Manifest
from tests.deploy.queries import DASHBOARD, PANELS, filled_in, unknown
from tests.docs_markdown import ROOT


def test_there_is_one_copy() -> None:
    """What stands in deploy/ points into the chart."""
    link = ROOT / "deploy" / "grafana" / "dashboard.json"
    assert link.resolve() == CHART / "files" / "dashboard.json"
    assert link.is_symlink()


@pytest.mark.parametrize(("title", "query"), PANELS, ids=[title for title, _ in PANELS])
def test_every_series_and_label_exists(title: str, query: str) -> None:
    """A panel of what nobody exports stays empty."""
    assert unknown(query) == [], title


def test_prometheus_takes_every_query(promtool: str, tmp_path: Path) -> None:
    """As rules, with the dashboard's variables filled in."""
    rules = [{"record": f"panel:{number}", "expr": filled_in(query)} for number, (_, query) in enumerate(PANELS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_only_its_own_variables_are_used() -> None:
    """Datasource, job and instance; the datasource is the reader's."""
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
    assert not [query for _, query in PANELS if "$" in filled_in(query)]
    sources = [target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert set(sources) == {"${datasource}"}


def test_panels_lie_beside_each_other() -> None:
    """Each has a number and a place of its own, within 24 columns."""
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [pair for pair in combinations(places, 2) if _overlap(*pair)]


def _overlap(one: Manifest, other: Manifest) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)
