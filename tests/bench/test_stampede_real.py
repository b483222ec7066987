import pytest

from bench.stampede.real import PLANS, QUOTA, Plan, Run
from sidecar.fakeaws.control import LoggedRequest

ALONE = PLANS[0]


def request(at: float, status: int = 200, error: str = "") -> LoggedRequest:
    """Make a line of the fake's log."""
    return LoggedRequest(
        at,
        "secretsmanager",
        "GetSecretValue",
        "eu-west-1",
        "111111111111",
        "me",
        status,
        error,
        ("s/1",),
        with_decryption=True,
        kms_charges=1,
    )


THROTTLED = request(0.9, 400, "ThrottlingException")


class TestRun:
    """A run is judged by the fake's log."""

    def test_peak_is_any_second(self) -> None:
        """The busiest second need not begin with one, and its end does not belong to it."""
        run = Run(ALONE, [request(at) for at in (0.0, 0.6, 0.9, 1.5, 1.6)], setbacks=0)
        assert run.peak == 3

    def test_throttling_is_no_failure(self) -> None:
        """What was throttled is a part of all calls; any other error is a failure, as is a check given up."""
        run = Run(ALONE, [request(0.0), THROTTLED, request(1.0), request(2.0, 500, "InternalFailure")], setbacks=2)
        assert (run.throttled, run.others, run.seconds) == (0.25, 1, 2)
        assert [figure.met for figure in run.figures()] == [True, False, False, None]

    @pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
    def test_a_perfect_run_meets_every_goal(self, plan: Plan) -> None:
        """At the rate of the quota, without a throttling."""
        run = Run(plan, [request(number / QUOTA) for number in range(600)], setbacks=0)
        assert all(figure.met is not False for figure in run.figures())

    def test_a_fleet_keeps_to_the_quota_in_every_second(self) -> None:
        """Alone nobody knows of the others; a fleet that asks for much more than there is has missed its goal."""
        burst = [request(0.5) for _ in range(2 * QUOTA)]
        assert [Run(plan, burst, setbacks=0).figures()[-1].met for plan in PLANS] == [None, False, False]
