"""A group of changes is one act, at its time; failing acts come ever more seldom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.settling import RETRY_BASE, RETRY_CAP, Settling, Wait, retry_pause


def test_nothing_is_due_without_a_change() -> None:
    """Neither at the start nor after an act."""
    settling = Settling()
    assert settling.due_at is None
    settling.changed(10.0, "a")
    assert settling.fired() == ("a",)
    settling.succeeded()
    assert settling.due_at is None


def test_a_group_is_due_once_it_is_quiet() -> None:
    """Each change puts it off, and the names come once each, in the order of their first change."""
    settling = Settling(Wait(2.0, 60.0))
    for moment, name in ((10.0, "b"), (11.0, "a"), (12.5, "b")):
        settling.changed(moment, name)
    assert settling.due_at == 14.5
    assert settling.fired() == ("b", "a")


def test_what_never_settles_is_due_at_the_longest() -> None:
    """Changes without end hold nothing up for more than that."""
    settling = Settling(Wait(2.0, 5.0))
    for moment in range(10, 20):
        settling.changed(float(moment), "a")
    assert settling.due_at == 15.0


def test_changes_during_an_act_make_the_next_group() -> None:
    """What changed after the act began is acted on after it."""
    settling = Settling(Wait(2.0, 8.0))
    settling.changed(0.0, "a")
    settling.fired()
    settling.changed(3.0, "a")
    settling.succeeded()
    assert settling.due_at == 5.0
    assert settling.fired() == ("a",)


def test_a_failed_act_is_due_again_later_each_time() -> None:
    """The same names, and what changed meanwhile, which does not shorten the pause; success begins anew."""
    settling = Settling(Wait(0.5, 2.0))
    settling.changed(0.0, "a")
    settling.fired()
    settling.changed(0.5, "b")
    settling.failed(1.0, dice=1.0)
    assert settling.due_at == 1.0 + RETRY_BASE
    settling.changed(2.0, "c")
    assert settling.due_at == 1.0 + RETRY_BASE
    assert settling.fired() == ("a", "b", "c")
    settling.failed(3.0, dice=0.0)
    assert settling.due_at == 3.0 + RETRY_BASE
    settling.fired()
    settling.succeeded()
    settling.changed(10.0, "a")
    settling.fired()
    settling.failed(11.0, dice=1.0)
    assert settling.due_at == 11.0 + RETRY_BASE


def test_nothing_is_due_before_it_may_be() -> None:
    """A moment before which nothing happens outlasts the quiet; an earlier one does not shorten it."""
    settling = Settling(Wait(2.0, 8.0))
    settling.hold_until(30.0)
    settling.hold_until(20.0)
    settling.changed(10.0, "a")
    assert settling.due_at == 30.0


@given(setbacks=st.integers(0, 10_000), dice=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_next_to_none(setbacks: int, dice: float) -> None:
    """Half of it is certain, so no hook runs in a tight loop; and it ends within the cap."""
    most = min(RETRY_CAP, RETRY_BASE * 2.0 ** min(setbacks, 64))
    assert most / 2 <= retry_pause(setbacks, dice) <= most


@given(
    moments=st.lists(st.floats(0, 1000), min_size=1).map(sorted),
    quiet=st.floats(0, 10),
    more=st.floats(0, 50),
)
def test_due_lies_between_the_quiet_and_the_longest(moments: list[float], quiet: float, more: float) -> None:
    """Never sooner than the quiet after the last change, unless the group has grown for too long."""
    settling = Settling(Wait(quiet, quiet + more))
    for moment in moments:
        settling.changed(moment, "a")
    assert settling.due_at == pytest.approx(min(moments[-1] + quiet, moments[0] + quiet + more))
