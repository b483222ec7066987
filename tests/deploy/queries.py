"""Read queries as far as it takes to know which series and labels they name, and whether they exist."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.deploy.charts import CHART
from tests.exported import families

DASHBOARD: Final[dict[str, Any]] = json.loads((CHART / "files" / "dashboard.json").read_text())
ALERTS: Final[dict[str, Any]] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())

_SERIES = re.compile(r"\b((?:sidecar|process|python)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_TARGET: Final = {"job", "instance", "namespace", "le"}  # what Prometheus adds to each series, and buckets have


def _panels() -> Iterator[tuple[str, str]]:
    """Give the title and each query of every panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _alerts() -> Iterator[tuple[str, str]]:
    """Give the name and the query of every alert."""
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


PANELS: Final = tuple(_panels())
ALERTED: Final = tuple(_alerts())


def unknown(query: str) -> list[str]:
    """Give what a query names that no daemon exports: series, and labels in braces that a series does not have."""
    exported = {sample: family.labels for family in families() for sample in (family.name, *family.samples)}
    named = [(series, set(_MATCHER.findall(matchers))) for series, matchers in _SERIES.findall(query)]
    assert named, f"no series in {query}"
    strange = [series for series, _ in named if series not in exported]
    labels = [label for series, has in named if series in exported for label in has - exported[series] - _TARGET]
    return strange + sorted(labels)


def filled_in(query: str) -> str:
    """Write values where Grafana would: the variables of the dashboard."""
    return query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
