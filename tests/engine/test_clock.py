"""The system's clocks, read once each."""

import datetime as dt
import time

from sidecar.engine.clock import SystemClock, monotonic_usec


def test_trust_never_goes_back() -> None:
    """Two readings of trust time are in order."""
    clock = SystemClock()
    assert clock.trust() <= clock.trust()


def test_wall_is_the_time_of_day() -> None:
    """Wall time is the epoch's."""
    before = dt.datetime.now(dt.UTC).timestamp()
    assert before <= SystemClock().wall() <= before + 60


def test_microseconds_of_the_monotonic_clock() -> None:
    """As others read it."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= monotonic_usec() <= before + 60_000_000
