import click
import pytest

from sidecar.cli.options import read_context, read_seconds

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


def test_an_encryption_context() -> None:
    """Pairs in the order of their names, values as they are."""
    assert read_context(CONTEXT, PARAM, ("b=x=y ", "a=")) == (("a", ""), ("b", "x=y "))
    assert read_context(CONTEXT, PARAM, ()) == ()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(("a",), "want k=v"), (("=x",), "want k=v"), (("a=1", "a=2"), "once"), (("a=\udcff",), "UTF-8")],
)
def test_what_is_no_context(given: tuple[str, ...], wanted: str) -> None:
    """It says what would be right."""
    with pytest.raises(click.BadParameter, match=wanted):
        read_context(CONTEXT, PARAM, given)
