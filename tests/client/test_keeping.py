from collections.abc import Callable

import pytest

from sidecar.client import ClientError, NoDaemon, NotFound, Refused, Unavailable, Unfit, UntrustedSocket, Value
from sidecar.client.keeping import LastValues, elapsed
from sidecar.client.protocol import ask_value

DB = ask_value("db", previous=False, wait=1)
ONE = Value("db", b"one", '"1"', age=2.0)


class Hours:
    """A clock that stands where it is put."""

    now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Hours:
    """Start at a hundred."""
    return Hours()


@pytest.mark.parametrize("away", [NoDaemon("gone"), Unavailable("AWS is away", status=503)])
def test_given_while_nobody_can_give_one(clock: Hours, away: ClientError) -> None:
    """No daemon, or one that was restarted and has nothing; the age goes on from when AWS confirmed it."""
    last = LastValues(60, clock)
    assert last.settle(DB, ONE) is ONE
    clock.now += 60
    assert last.settle(DB, away) == Value("db", b"one", '"1"', age=62.0, stale=True, kept=True)
    clock.now += 1
    with pytest.raises(type(away)):
        last.settle(DB, away)


@pytest.mark.parametrize(
    "refused", [Refused("no", status=403), NotFound("gone", status=404), Unfit("no field", status=422)]
)
def test_never_after_the_daemons_no(clock: Hours, refused: ClientError) -> None:
    """What was refused once is forgotten: the daemon goes away next, and it is not given."""
    last = LastValues(60, clock)
    last.settle(DB, ONE)
    with pytest.raises(type(refused)):
        last.settle(DB, refused)
    with pytest.raises(NoDaemon):
        last.settle(DB, NoDaemon("gone"))


def test_a_stranger_at_the_socket_says_nothing_of_the_value(clock: Hours) -> None:
    """He is refused, and what was given before stays for when he is gone."""
    last = LastValues(60, clock)
    last.settle(DB, ONE)
    with pytest.raises(UntrustedSocket):
        last.settle(DB, UntrustedSocket("whose is it?"))
    assert last.settle(DB, NoDaemon("gone")).kept


def test_each_version_for_itself(clock: Hours) -> None:
    """The previous version is another question."""
    last = LastValues(60, clock)
    last.settle(DB, ONE)
    with pytest.raises(NoDaemon):
        last.settle(ask_value("db", previous=True, wait=1), NoDaemon("gone"))


def test_told_once_for_each_time_away(clock: Hours, caplog: pytest.LogCaptureFixture) -> None:
    """The log says it when it begins, not at every question; never the value."""
    last = LastValues(60, clock)
    for _ in range(2):
        last.settle(DB, ONE)
        last.settle(DB, NoDaemon("gone"))
        last.settle(DB, NoDaemon("gone"))
    assert [record.getMessage() for record in caplog.records] == ["db: its last value is given on: gone"] * 2


def test_nothing_is_kept_unless_it_is_wanted(clock: Hours) -> None:
    """Zero seconds is never, also at once."""
    last = LastValues(0, clock)
    last.settle(DB, ONE)
    with pytest.raises(NoDaemon):
        last.settle(DB, NoDaemon("gone"))


def test_its_clock_goes_forward() -> None:
    """It is one that nobody sets."""
    clock: Callable[[], float] = elapsed
    assert clock() <= clock()
