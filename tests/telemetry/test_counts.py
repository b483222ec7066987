from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.telemetry.counts import Histogram


def test_an_observation_on_a_bound_belongs_below_it() -> None:
    """Prometheus's `le` is inclusive; what is above all bounds counts into +Inf."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.100001, 1.0, 2.0):
        histogram.observe(seconds)
    assert histogram.counts == [1, 2, 1]
    assert histogram.total == 0.1 + 0.100001 + 1.0 + 2.0


@settings(max_examples=50)
@given(st.lists(st.floats(0, 100)))
def test_no_observation_is_lost(seconds: list[float]) -> None:
    """The buckets together hold as many as were observed."""
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in seconds:
        histogram.observe(value)
    assert sum(histogram.counts) == len(seconds)
