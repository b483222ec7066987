"""Read the dashboard that ships: its panels, their places and their queries, with the variables filled in."""

import json
from dataclasses import dataclass
from typing import Final

from bench.environment import ROOT

DASHBOARD: Final = ROOT / "helm" / "sidecar" / "files" / "dashboard.json"
RATE_INTERVAL: Final = "15s"
"""What Grafana would fill in for scrapes a second apart is less; this is calmer to look at."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query, and how its series are called."""

    text: str
    legend: str  # with {{label}}; "__auto" where there is one series

    def name(self, labels: dict[str, str]) -> str:
        """Call one series as Grafana would."""
        if self.legend == "__auto":
            return ""
        name = self.legend
        for label, value in labels.items():
            name = name.replace("{{" + label + "}}", value)
        return name


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; its place is in Grafana's grid of 24 columns."""

    title: str
    is_number: bool
    unit: str
    left: int
    top: int
    width: int
    height: int
    queries: tuple[Query, ...]


def panels() -> list[Panel]:
    """Give them all."""
    return [_panel(each) for each in json.loads(DASHBOARD.read_text())["panels"]]


def _panel(told: dict) -> Panel:  # type: ignore[type-arg]  # Grafana's JSON
    place = told["gridPos"]
    return Panel(
        title=str(told["title"]),
        is_number=told["type"] == "stat",
        unit=str(told["fieldConfig"]["defaults"]["unit"]),
        left=int(place["x"]),
        top=int(place["y"]),
        width=int(place["w"]),
        height=int(place["h"]),
        queries=tuple(Query(_fill_in(each["expr"]), each["legendFormat"]) for each in told["targets"]),
    )


def _fill_in(text: str) -> str:
    return text.replace("$__rate_interval", RATE_INTERVAL).replace("$job", ".*").replace("$instance", ".*")
