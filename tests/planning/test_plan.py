"""Whether it fits: requests, dollars and quotas of a number of copies."""

import pytest

from sidecar.core.quotas import Scope
from sidecar.planning.plan import Plan, QuotaPlan, Wishes, build_plan, foresee, part_of
from tests.planning.configured import configured, secrets
from tests.planning.counted import count_start

FLEET = "fleet: {store: 'redis://cache', name: prod}"


def planned(text: str, wishes: Wishes | None = None) -> Plan:
    """Plan a configuration."""
    return build_plan(configured(text), lambda _: "eu-west-1", wishes or Wishes())


def quota(plan: Plan, name: str) -> QuotaPlan:
    """Find one quota."""
    (found,) = (each for each in plan.quotas if each.quota == name)
    return found


def test_copies_multiply_what_one_takes() -> None:
    """A thousand copies of twenty secrets describe 240,000 times an hour, for 875 dollars a month."""
    one, many = (planned(f"secrets:\n{secrets('sm:s', 20)}", Wishes(copies)) for copies in (1, 1000))
    assert many.hourly == pytest.approx(1000 * one.hourly)
    assert many.monthly_dollars == pytest.approx(875, rel=0.01)
    described = quota(many, "sm.describe")
    assert described.steady == pytest.approx(240_000 / 3600, rel=0.01)
    assert (described.limit, described.ours) == (40_000, 32_000)
    assert many.fits


def test_kms_on_our_behalf_is_charged_and_billed_but_not_our_request() -> None:
    """It stands apart."""
    plan = planned(f"secrets:\n{secrets('sm:s', 20)}")
    (behind,) = (each for each in plan.operations if each.on_behalf)
    assert (behind.service, behind.operation, behind.at_start) == ("kms", "Decrypt", 20)
    assert plan.hourly == sum(each.hourly for each in plan.operations) - behind.hourly
    assert quota(plan, "kms.symmetric").at_start == 20


def test_what_does_not_fit_says_what_would() -> None:
    """A thousand copies that start at once need 84 requests a second of Parameter Store's 40."""
    text = f"secrets:\n{secrets('ssm:/p', 20)}\n"
    tight = quota(planned(text, Wishes(1000)), "ssm.get")
    assert not tight.fits
    assert tight.way_out is not None
    assert tight.needed == 84
    wider = planned(text + f"quotas: {{limits: {{ssm.get: {tight.needed}}}}}", Wishes(1000))
    assert quota(wider, "ssm.get").fits
    assert quota(wider, "ssm.get").way_out is None
    assert planned(text, Wishes(1000, start_within=63)).fits


def test_steady_polling_must_fit_the_share_too() -> None:
    """One daemon that checks 1,000 parameters each second needs more than a tenth of 40 a second."""
    plan = planned(f"secrets:\n{secrets('ssm:/p', 100)}\ncache: {{refresh: 1s}}", Wishes(start_within=3600))
    assert quota(plan, "ssm.get").steady == pytest.approx(10)
    assert not plan.fits
    assert quota(plan, "ssm.get").needed == 100


@pytest.mark.parametrize(
    ("share", "copies", "part"), [(0.1, 1, 0.1), (0.1, 5, 0.5), (0.1, 1000, 0.8), (1.0, 1, 1.0), (0.9, 2, 0.9)]
)
def test_copies_add_up_to_four_fifths_at_most(share: float, copies: int, part: float) -> None:
    """Each takes its share; together they leave a fifth to others, unless one alone may take more."""
    assert part_of(configured(f"quotas: {{share: {share:.0%}}}"), copies) == pytest.approx(part)


@pytest.mark.parametrize("copies", [1, 5, 1000])
def test_a_fleet_holds_one_share_however_many_they_are(copies: int) -> None:
    """Four fifths unless configured: what one may have alone, and what a thousand divide."""
    assert part_of(configured(FLEET), copies) == 0.8
    assert part_of(configured(FLEET.replace("}", ", share: 50%}")), copies) == 0.5
    plan = planned(f"secrets:\n{secrets('ssm:/p', 20)}\n{FLEET}", Wishes(copies))
    assert quota(plan, "ssm.get").ours == 32


def test_a_daemon_of_a_fleet_starts_as_fast_as_its_fleet_may() -> None:
    """A thousand parameters take 24.5 seconds under a tenth of 40 requests a second, 3 under four fifths."""
    text = f"secrets:\n{secrets('ssm:/p', 1000)}\n"
    assert foresee(configured(text + FLEET), lambda _: "eu-west-1").start_seconds == pytest.approx(3.0, abs=0.1)


def test_accounts_and_regions_have_quotas_of_their_own() -> None:
    """The region of an ARN and the account of a role tell which."""
    plan = planned(
        "secrets: {a: ssm:/a, b: 'ssm:/b?via=billing', c: 'ssm:arn:aws:ssm:us-west-2:111111111111:parameter/c'}\n"
        "identities: {billing: {role_arn: 'arn:aws:iam::222222222222:role/r'}}"
    )
    assert [each.scope for each in plan.quotas if each.quota == "ssm.get"] == [
        Scope("222222222222", "eu-west-1"),
        Scope("default", "eu-west-1"),
        Scope("default", "us-west-2"),
    ]
    assert {each.limit for each in plan.quotas if each.quota == "kms.symmetric"} == {100_000}


def test_a_budget_shows_in_everything() -> None:
    """What is planned is what the daemon does with it."""
    text = f"secrets:\n{secrets('sm:s', 20)}\n"
    plan = planned(text + "quotas: {budget: $0.10/month}")
    assert plan.monthly_dollars == pytest.approx(0.10, rel=0.06)
    assert plan.stretch is not None
    assert plan.hourly < planned(text).hourly / plan.stretch.factor * 1.1


def test_nothing_declared_takes_nothing() -> None:
    """An empty configuration fits everywhere."""
    plan = planned("{}")
    assert (plan.hourly, plan.monthly_dollars, plan.start_seconds, plan.fits) == (0, 0, 0, True)


def test_one_daemon_is_told_of_its_start_and_its_budget() -> None:
    """A thousand parameters under a tenth of 40 requests a second; the budget's factor, 1 without one."""
    text = f"secrets:\n{secrets('ssm:/p', 1000)}\n"
    outlook = foresee(configured(text), lambda _: "eu-west-1")
    assert outlook.start_seconds == pytest.approx(24.5)
    assert (outlook.stretch, outlook.factor) == (None, 1.0)
    dear = foresee(configured(text + "quotas: {budget: $0.05/month, limits: {ssm.get: 50}}"), lambda _: "eu-west-1")
    assert dear.factor > 1


@pytest.mark.looptime
@pytest.mark.parametrize("number", [10, 200, 1000])
async def test_the_estimate_of_a_start_agrees_with_the_engine(number: int) -> None:
    """Under a tenth of 40 a second, a hundred requests take 24.5 seconds: the guard and the plan agree."""
    text = f"secrets:\n{secrets('ssm:/p', number)}"
    _, took = await count_start(configured(text))
    assert planned(text).start_seconds == pytest.approx(took, rel=0.1, abs=0.1)
