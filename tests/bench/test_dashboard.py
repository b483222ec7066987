"""The picture of the dashboard: it asks the shipped queries, and draws what it is told."""

from xml.etree import ElementTree as ET

import pytest

from bench.dashboard.draw import Curve, Moment, draw, spell
from bench.dashboard.panels import Query, panels
from bench.dashboard.prometheus import Series
from tests.deploy.queries import DASHBOARD


def test_every_panel_is_asked() -> None:
    """With its variables filled in, and nothing else changed."""
    found = panels()
    assert [panel.title for panel in found] == [panel["title"] for panel in DASHBOARD["panels"]]
    assert not [query for panel in found for query in panel.queries if "$" in query.text]


def test_series_are_called_as_grafana_calls_them() -> None:
    """By the legend, with its labels; a single one has no name."""
    labels = {"service": "ssm", "operation": "GetParameters", "outcome": "ok"}
    assert Query("", "{{service}} {{operation}}").name(labels) == "ssm GetParameters"
    assert Query("", "__auto").name(labels) == ""


def test_draws_curves_gaps_and_moments() -> None:
    """A curve is broken where there is no point; what has no curve says so; each moment is told below."""
    number, graph, empty = panels()[0], panels()[6], panels()[7]
    points = {0.0: 1.0, 3.0: 0.5, 30.0: 0.25, 33.0: 1.0}
    curve = Curve("ssm GetParameters", Series({}, points))
    picture = draw([(number, [curve]), (graph, [curve]), (empty, [])], [Moment(15, "A", "an outage")], 0, 60)
    root = ET.fromstring(picture)
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {number.title, graph.title, empty.title, "No data", "100 %", "ssm GetParameters", "A  an outage"} <= set(
        words
    )
    paths = [each.attrib["d"] for each in root.iter("{http://www.w3.org/2000/svg}path")]
    assert [path.count("M") for path in paths] == [2, 2]


@pytest.mark.parametrize(
    ("value", "unit", "spelt"),
    [
        (0, "s", "0"),
        (0.0023, "s", "2.3 ms"),
        (90, "s", "1.5 min"),
        (0.125, "percentunit", "12.5 %"),
        (64 * 2**20, "bytes", "64 MiB"),
        (12.345, "reqps", "12.3/s"),
    ],
)
def test_values_have_their_units(value: float, unit: str, spelt: str) -> None:
    """Short, in the unit that suits."""
    assert spell(value, unit) == spelt
