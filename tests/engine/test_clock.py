"""The system's clocks, read once each."""

import datetime as dt

from sidecar.engine.clock import SystemClock


def test_trust_never_goes_back() -> None:
    """Two readings of trust time are in order."""
    clock = SystemClock()
    assert clock.trust() <= clock.trust()


def test_wall_is_the_time_of_day() -> None:
    """Wall time is the epoch's."""
    before = dt.datetime.now(dt.UTC).timestamp()
    assert before <= SystemClock().wall() <= before + 60
