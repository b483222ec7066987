"""What a reader gets, at every age and in every trouble."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import AccessDenied, Failure, KeyUnusable, NotFound, Throttled, Unreachable
from sidecar.core.freshness import (
    Absent,
    Fresh,
    Held,
    Pending,
    Policy,
    Refused,
    Stale,
    State,
    Trouble,
    after,
    freshness,
    state_at,
    state_of,
    wants_plaintext,
    worth_asking,
)
from sidecar.core.refs import Ref, SourceKind
from sidecar.core.secret import Plaintext, Revision, Secret, Version

POLICY = Policy(
    refresh=300,
    ttl=900,
    stale_if_error=3600,
    revoke_after=300,
    negative_ttl=10,
    min_refresh=1,
    revalidate=86400,
    keep_previous=900,
)
REF = Ref(SourceKind.SSM, "/db")
SECRET = Secret(Revision(REF, Version("1"), "eu-west-1"), Plaintext(b"hunter2"))
HELD = Held(SECRET, fetched_at=0, confirmed_at=0)
DENIED = AccessDenied("ssm:/db: AWS refuses")
GONE = NotFound("ssm:/db: gone")
DOWN = Unreachable("no network")


def trouble(failure: Failure, since: float = 0, at: float | None = None) -> Trouble:
    """Make a trouble that began at `since`."""
    return Trouble(failure, since=since, at=since if at is None else at)


def test_a_value_is_fresh_up_to_its_ttl() -> None:
    """At exactly ttl it is still fresh, with nothing remaining."""
    assert freshness(HELD, None, POLICY, 900) == Fresh(SECRET, age=900, remaining=0)


def test_a_value_older_than_its_ttl_is_stale() -> None:
    """A second past ttl it is stale, and says by how much."""
    assert freshness(HELD, trouble(DOWN), POLICY, 901) == Stale(SECRET, age=901, remaining=-1, failure=DOWN)


def test_a_stale_value_ends_with_stale_if_error() -> None:
    """Past ttl + stale_if_error nothing is served; what AWS last said is told."""
    assert isinstance(freshness(HELD, trouble(DOWN), POLICY, 4500), Stale)
    assert freshness(HELD, trouble(DOWN), POLICY, 4501) == Pending(DOWN)
    assert freshness(HELD, None, POLICY, 4501) == Pending(None)


def test_no_stale_value_is_served_when_that_is_turned_off() -> None:
    """`stale_if_error: 0s` means never."""
    assert isinstance(freshness(HELD, trouble(DOWN), replace(POLICY, stale_if_error=0), 901), Pending)


def test_a_refused_value_is_served_as_stale_until_revoke_after() -> None:
    """Access that is lost ends the value after revoke_after, however fresh it was."""
    assert freshness(HELD, trouble(DENIED, since=100), POLICY, 400) == Stale(SECRET, 400, 0.0, DENIED)
    assert freshness(HELD, trouble(DENIED, since=100), POLICY, 401) == Refused(DENIED)


def test_a_refusal_does_not_prolong_what_is_too_old() -> None:
    """A value past stale_if_error is not served because AWS has just begun to refuse."""
    assert freshness(HELD, trouble(DENIED, since=4501), POLICY, 4501) == Refused(DENIED)


def test_a_deleted_value_is_absent_at_once() -> None:
    """Deletion is not lived through."""
    assert freshness(HELD, trouble(GONE), POLICY, 1) == Absent(GONE)


@pytest.mark.parametrize(
    ("failure", "state"),
    [(None, State.PENDING), (DOWN, State.PENDING), (DENIED, State.REFUSED), (GONE, State.ABSENT)],
)
def test_without_a_value_the_failure_decides(failure: Failure | None, state: State) -> None:
    """Nothing held: pending while nobody knows, else AWS's word."""
    assert state_of(freshness(None, trouble(failure) if failure else None, POLICY, 5)) is state


@given(st.floats(0, 10_000), st.floats(0, 10_000), st.sampled_from([None, DOWN, DENIED, GONE]))
def test_trust_only_shrinks_with_age(earlier: float, later: float, failure: Failure | None) -> None:
    """As time goes on without news, a value never becomes more trusted."""
    earlier, later = sorted((earlier, later))
    standing = trouble(failure) if failure else None
    order = [Fresh, Stale, Refused, Absent, Pending]
    ranks = [order.index(type(freshness(HELD, standing, POLICY, now))) for now in (earlier, later)]
    assert ranks[0] <= ranks[1]


@given(
    st.sampled_from([None, HELD]),
    st.floats(-10, 10_000) | st.sampled_from([900.0, 4500.0]),
    st.sampled_from([None, DOWN, DENIED, GONE]),
)
def test_the_quick_state_is_the_one_that_is_shown(held: Held | None, now: float, failure: Failure | None) -> None:
    """Walks over all values say of each what a look at it would."""
    standing = trouble(failure) if failure else None
    assert state_at(held, standing, POLICY, now) is state_of(freshness(held, standing, POLICY, now))


def test_the_last_definitive_word_stands() -> None:
    """A throttle after a refusal does not make the refusal forgotten, nor its clock start anew."""
    refused = after(None, DENIED, 10)
    assert after(refused, Throttled("slow down"), 20) == Trouble(DENIED, since=10, at=20)
    assert after(refused, KeyUnusable("disabled"), 30).since == 10


def test_transient_trouble_keeps_its_beginning() -> None:
    """An outage began when the first call failed."""
    outage = after(after(None, DOWN, 10), Throttled("slow down"), 20)
    assert (outage.since, outage.at, outage.failure.label) == (10, 20, "throttled")


def test_a_refusal_after_an_outage_begins_when_it_is_said() -> None:
    """The time of an outage does not count as revoked."""
    assert after(after(None, DOWN, 10), DENIED, 20) == Trouble(DENIED, since=20, at=20)


def test_plaintext_is_wanted_first_and_at_each_revalidation() -> None:
    """Even an unchanged value is fetched once in `revalidate`."""
    assert wants_plaintext(None, POLICY, 0)
    assert not wants_plaintext(HELD, POLICY, 86399)
    assert wants_plaintext(HELD, POLICY, 86400)


def test_a_hit_and_a_recent_no_are_not_worth_asking() -> None:
    """Callers wait for AWS only where its answer could be news."""
    no = trouble(GONE, since=0, at=0)
    assert not worth_asking(freshness(HELD, None, POLICY, 901), None, POLICY, 901)
    assert not worth_asking(Absent(GONE), no, POLICY, 9.9)
    assert worth_asking(Absent(GONE), no, POLICY, 10)
    assert worth_asking(Pending(DOWN), trouble(DOWN), POLICY, 0)
