"""What goes wrong, decided without a server."""

from sidecar.fakeaws.weather import Caller, Denial, Fault, FaultKind, Subject, Weather, error_of

CALLER = Caller("111111111111", "key", "arn:aws:sts::111111111111:assumed-role/reader/me")
SUBJECT = Subject(CALLER, "ssm", "GetParameter", "eu-west-1", ("/a/b",))


def test_a_quota_is_a_second_worth() -> None:
    """A second's worth goes at once, then it comes back at the rate."""
    weather = Weather(limits={("*", "ssm.get"): 4.0})
    now = [weather.admits("1", "r", "ssm.get", 100.0) for _ in range(5)]
    assert now == [True, True, True, True, False]
    assert [weather.admits("1", "r", "ssm.get", 100.25) for _ in range(2)] == [True, False]
    assert sum(weather.admits("1", "r", "ssm.get", 200.0) for _ in range(9)) == 4


def test_slow_quotas_admit_one() -> None:
    """Less than one a second still admits the first; none at all admits nothing."""
    weather = Weather(rate=0.5)
    assert [weather.admits("1", "r", "q", now) for now in (0.0, 1.0, 2.0)] == [True, False, True]
    assert not Weather(rate=0.0).admits("1", "r", "q", 0.0)


def test_the_nearest_limit_wins() -> None:
    """An account's own limit comes before everybody's, both before the general rate."""
    weather = Weather(rate=1.0)
    weather.limit("*", {"q": 2})
    weather.limit("1", {"*": 3})
    weather.limit("1", {"q": 4})
    taken = {
        key: sum(weather.admits(*key, 0.0) for _ in range(9))
        for key in (("1", "r", "q"), ("1", "r", "x"), ("2", "r", "q"))
    }
    assert taken == {("1", "r", "q"): 4, ("1", "r", "x"): 3, ("2", "r", "q"): 2}
    assert Weather().admits("1", "r", "q", 0.0)


def test_clearing_one_account_keeps_the_others() -> None:
    """`clear` is for the account that it names; everybody's needs `*`."""
    weather = Weather(
        faults=[Fault(FaultKind.OUTAGE, account="1"), Fault(FaultKind.OUTAGE, account="2")],
        denials=[Denial("ssm:*", account="2")],
        limits={("1", "q"): 1.0},
        empty_pages={"1": 1},
    )
    weather.clear("1")
    assert ([fault.account for fault in weather.faults], weather.limits, weather.empty_pages) == (["2"], {}, {})
    weather.clear("*")
    assert (weather.faults, weather.denials) == ([], [])


def test_faults_hit_what_they_are_aimed_at() -> None:
    """Each aim is a glob, and all must match."""
    assert Fault(FaultKind.OUTAGE, service="s*", operation="Get*", name="/a/*", identity="reader").hits(SUBJECT)
    for missed in (
        Fault(FaultKind.OUTAGE, account="2"),
        Fault(FaultKind.OUTAGE, service="kms"),
        Fault(FaultKind.OUTAGE, operation="Put*"),
        Fault(FaultKind.OUTAGE, region="us-*"),
        Fault(FaultKind.OUTAGE, identity="writer"),
        Fault(FaultKind.OUTAGE, name="/b"),
        Fault(FaultKind.OUTAGE, count=0),
    ):
        assert not missed.hits(SUBJECT)


def test_counted_faults_are_used_up() -> None:
    """The next fault comes when the one before is used up."""
    weather = Weather(faults=[Fault(FaultKind.THROTTLE, count=1), Fault(FaultKind.OUTAGE)])
    kinds = [fault.kind for _ in range(2) if (fault := weather.strike(SUBJECT))]
    assert kinds == [FaultKind.THROTTLE, FaultKind.OUTAGE]


def test_bad_luck_follows_the_dice() -> None:
    """Below the probability it is a 500 or a 503, by another throw."""
    weather = Weather(failing=0.2)
    assert weather.misfortune("ssm", iter([0.2]).__next__) is None
    told = [weather.misfortune("ssm", iter(throws).__next__) for throws in ([0.1, 0.1], [0.1, 0.9])]
    assert [error.status for error in told if error] == [500, 503]
    assert Weather().misfortune("ssm", iter(()).__next__) is None


def test_a_fault_may_bring_its_own_words() -> None:
    """The message of a fault replaces AWS's."""
    assert error_of(Fault(FaultKind.ERROR_500, message="made up"), SUBJECT).message == "made up"
