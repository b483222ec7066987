"""What is due, in whose company, and how long until the next time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import schedule
from sidecar.core.errors import AccessDenied, Throttled, Unreachable
from sidecar.core.schedule import Schedule
from tests.core.test_freshness import POLICY


def test_what_is_due_comes_in_order() -> None:
    """The longest due goes first, what is not due stays."""
    lane: Schedule[str] = Schedule()
    for key, due in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        lane.put(key, due)
    assert lane.take(2.0, most=10) == ["a", "b"]
    assert (len(lane), lane.earliest()) == (1, 3.0)


def test_neighbours_come_along_within_their_slack() -> None:
    """A batch that goes anyway takes what would soon be due, never more than fits."""
    lane: Schedule[str] = Schedule()
    for key, due, slack in (("due", 10.0, 6.0), ("near", 15.0, 6.0), ("far", 17.0, 6.0)):
        lane.put(key, due, slack=slack)
    assert lane.take(9.9, most=10) == []
    assert lane.take(10.0, most=1) == ["due"]
    lane.put("due", 10.0, slack=6.0)
    assert lane.take(10.0, most=10) == ["due", "near"]


def test_a_moved_key_is_due_once() -> None:
    """Planning anew replaces the old plan; hastening never delays."""
    lane: Schedule[str] = Schedule()
    lane.put("a", 5.0)
    lane.put("a", 9.0)
    lane.hasten("a", 12.0)
    assert lane.take(8.0, most=1) == []
    lane.hasten("a", 7.0)
    assert lane.take(8.0, most=2) == ["a"]
    lane.hasten("a", 1.0)
    assert lane.due("a") is None


def test_a_removed_key_is_never_due() -> None:
    """Forgetting is final, also for what was never planned."""
    lane: Schedule[str] = Schedule()
    lane.put("a", 1.0)
    lane.remove("a")
    lane.remove("b")
    assert (lane.take(9.0, most=1), lane.earliest()) == ([], None)


def test_a_suspend_pulls_everything_forward() -> None:
    """Loop time stood still while the machine slept: what was due in 50 s is due after 50 s of sleep."""
    lane: Schedule[str] = Schedule()
    lane.put("a", 50.0)
    lane.pull(50.0)
    assert lane.due("a") == 0.0
    assert lane.take(0.0, most=1) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 100)), max_size=300))
def test_moves_neither_lose_nor_double_a_key(moves: list[tuple[int, float]]) -> None:
    """However often keys move, each comes out once, at its last due time, in order."""
    lane: Schedule[int] = Schedule()
    for key, due in moves:
        lane.put(key, due)
    last = dict(moves)
    taken = lane.take(100.0, most=1000)
    assert sorted(taken) == sorted(last)
    assert [last[key] for key in taken] == sorted(last.values())


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 270.0), (0.5, 300.0), (1.0, 330.0)])
def test_intervals_vary_by_ten_percent(dice: float, seconds: float) -> None:
    """A refresh of 5 m is drawn between 4.5 and 5.5 m."""
    assert schedule.jittered(300.0, dice) == pytest.approx(seconds)


def test_first_phases_are_spread_over_the_interval() -> None:
    """What was fetched together at the start does not come due together."""
    assert [schedule.spread(300.0, dice) for dice in (0.0, 0.5, 1.0)] == [0.0, 150.0, 300.0]


def test_pinned_versions_are_checked_each_hour() -> None:
    """Often enough to notice deletion; a longer refresh is kept."""
    assert schedule.interval_of(300.0, pinned=True) == 3600.0
    assert schedule.interval_of(7200.0, pinned=True) == 7200.0
    assert schedule.interval_of(300.0, pinned=False) == 300.0


def test_transient_setbacks_back_off() -> None:
    """0.1 s doubles to 20 s at most, and never beyond the value's own refresh."""
    delays = [schedule.setback_delay(Unreachable("down"), POLICY, n, 1.0) for n in (1, 2, 3, 8, 9, 50)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 12.8, 20.0, 20.0])


def test_aws_is_left_alone_as_long_as_it_asks() -> None:
    """Retry-After outranks the dice."""
    assert schedule.setback_delay(Throttled("slow down", retry_after=30.0), POLICY, 1, 0.0) == 30.0


def test_what_is_refused_is_asked_less_and_less() -> None:
    """10 s, 20 s, 40 s … then as often as every other value."""
    delays = [schedule.setback_delay(AccessDenied("no"), POLICY, n, 0.5) for n in (1, 2, 3, 6, 1000)]
    assert delays == [10.0, 20.0, 40.0, 300.0, 300.0]
