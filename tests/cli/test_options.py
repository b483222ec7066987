import click
import pytest

from sidecar.cli.options import read_seconds

CONTEXT = click.Context(click.Command("x"))
PARAM = click.Option(["--wait"])


def test_durations_as_in_the_configuration() -> None:
    """Seconds come out, None stays."""
    assert read_seconds(CONTEXT, PARAM, "1m") == 60
    assert read_seconds(CONTEXT, PARAM, "250ms") == 0.25
    assert read_seconds(CONTEXT, PARAM, None) is None


def test_a_wrong_one_is_wrong_usage() -> None:
    """It says what would be right."""
    with pytest.raises(click.BadParameter, match="want a duration"):
        read_seconds(CONTEXT, PARAM, "soon")
