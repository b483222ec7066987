"""The commands that steer the fake, without a server."""

import random

import pytest

from sidecar.fakeaws import stores
from sidecar.fakeaws.aws import Aws
from sidecar.fakeaws.controls import BadCommand, Controls

ACCOUNT = "800000000001"


@pytest.fixture
def controls() -> Controls:
    """Give each test an AWS of its own to steer."""
    return Controls(Aws(random.Random(0)))


@pytest.mark.parametrize(
    ("command", "asked", "problem"),
    [
        ("storm", {}, "Want one of clear, counts, deny"),
        ("fault", {"kind": "flood"}, "flood"),
        ("fault", {"kind": "500", "count": "some"}, "some"),
        ("limit", {}, "limits must be an object"),
        ("key-state", {"account": ACCOUNT, "key": "alias/none", "state": "Disabled"}, "no such key"),
        ("next-rotation", {"secret": "none"}, "no such secret"),
    ],
)
def test_bad_commands(controls: Controls, command: str, asked: dict[str, object], problem: str) -> None:
    """A command that cannot be obeyed says why."""
    with pytest.raises(BadCommand, match=problem):
        controls.obey(command, asked)


def test_commands_without_an_account_are_for_everybody(controls: Controls) -> None:
    """What names no account is meant for all of them."""
    controls.obey("fault", {"kind": "500", "count": 2})
    controls.obey("limit", {"limits": {"ssm.get": 1}})
    controls.obey("latency", {"seconds": 0.5})
    weather = controls.aws.weather
    assert [(fault.account, fault.count) for fault in weather.faults] == [("*", 2)]
    assert (weather.limits, weather.latency) == ({("*", "ssm.get"): 1.0}, 0.5)
    assert controls.obey("health", {}) == {"ok": True}


def test_keys_without_an_account_are_the_default_ones(controls: Controls) -> None:
    """A key that is named without an account is the seed's."""
    controls.aws.tokens.default_account = ACCOUNT
    arn = controls.obey("key-state", {"key": "alias/aws/ssm", "state": "Disabled", "region": "eu-west-1"})["arn"]
    assert str(arn).startswith(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/")
    controls.obey("reset", {"account": ACCOUNT})
    assert ACCOUNT not in stores.accounts_with_keys()
