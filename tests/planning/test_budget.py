"""A budget lengthens intervals by the least that keeps it, and never at the cost of trust."""

import pytest

from sidecar.core.config.models import Config
from sidecar.core.outlook import Stretch
from sidecar.core.prices import HOURS_PER_MONTH
from sidecar.engine.policies import Policies
from sidecar.planning.budget import dollars, pays_for_parameters, stretch
from sidecar.planning.census import census
from sidecar.planning.flows import flows
from tests.planning.configured import configured, secrets

TWENTY = f"secrets:\n{secrets('sm:s', 20)}\n"


def stretched(config: Config) -> Stretch | None:
    """Plan the budget of a daemon."""
    return stretch(census(config, lambda _: "eu-west-1"), config, tree_size=10)


def flat(found: Stretch) -> list[float]:
    """List the intervals that lengthen, each as it was and as it is."""
    return [seconds for each in found.intervals for seconds in (each.wanted, each.kept)]


def test_without_a_budget_nothing_is_decided() -> None:
    """Intervals are as configured."""
    assert stretched(configured(TWENTY)) is None


def test_what_costs_less_stays_as_it_is() -> None:
    """Twenty secrets each five minutes: 240 descriptions an hour, 87 cents a month."""
    found = stretched(configured(TWENTY + "quotas: {budget: $1/month}"))
    assert found is not None
    assert (found.factor, found.kept) == (1.0, True)
    assert found.wanted == pytest.approx(240 * HOURS_PER_MONTH * 0.05 / 10_000, rel=0.01)


@pytest.mark.parametrize("budget", [0.5, 0.1, 0.02])
def test_intervals_lengthen_by_the_least_that_keeps_the_budget(budget: float) -> None:
    """With the factor it costs the budget and no more; with a little less it would cost more."""
    config = configured(TWENTY + f"quotas: {{budget: ${budget}/month}}")
    found = stretched(config)
    assert found is not None
    assert found.factor > 1
    assert found.kept
    assert found.dollars == pytest.approx(budget, rel=0.06)
    counted = census(config, lambda _: "eu-west-1")
    closer = flows(counted, Policies(config.cache, found.factor * 0.99), tree_size=10)
    assert dollars(closer, config.quotas) > budget


@pytest.mark.parametrize(
    ("more", "longest"),
    [
        ("", 86_400.0),
        ("cache: {revalidate: 1h}", 3600.0),
        ("cache: {ttl: 11m}", 600.0),
        ("cache: {refresh: 1m, ttl: 1m}", 60.0),
    ],
)
def test_intervals_lengthen_only_so_far(more: str, longest: float) -> None:
    """Neither beyond `revalidate` nor so far that a value would be stale between two checks; then that is said."""
    config = configured(TWENTY + "quotas: {budget: $0.0001/month}\n" + more)
    found = stretched(config)
    assert found is not None
    assert not found.kept
    assert Policies(config.cache, found.factor).of(None, None, pinned=False).refresh == pytest.approx(longest)
    wanted = config.cache.refresh
    assert flat(found) == pytest.approx([] if wanted == longest else [wanted, longest])


def test_which_intervals_lengthen_is_told() -> None:
    """Each once, the shortest first; one that cannot lengthen is not among them."""
    more = secrets("sm:t", 5, first=20, refresh="1m") + "\n" + secrets("sm:u", 1, first=25, refresh="1d")
    found = stretched(configured(f"{TWENTY}{more}\nquotas: {{budget: $1/month}}"))
    assert found is not None
    assert flat(found) == pytest.approx([60, 60 * found.factor, 300, 300 * found.factor])


def test_a_declaration_of_nothing_costs_nothing() -> None:
    """The budget is kept."""
    assert stretched(configured("quotas: {budget: $1/month}")) == Stretch(1.0, 0.0, 1.0, 0.0)


def test_parameters_are_billed_where_the_account_has_more_than_the_default() -> None:
    """More than 40 a second is there only for money; what is not billed needs no budget."""
    few, many = (
        configured(f"secrets:\n{secrets('ssm:/p', 20)}\nquotas: {{budget: $0.10/month, limits: {{ssm.get: {limit}}}}}")
        for limit in (40, 1000)
    )
    assert not pays_for_parameters(few.quotas)
    assert pays_for_parameters(many.quotas)
    before, after = stretched(few), stretched(many)
    assert before is not None
    assert after is not None
    assert before.factor == 1.0
    assert after.wanted == pytest.approx(240 * HOURS_PER_MONTH * 0.05 / 10_000, rel=0.02)
    assert after.factor > 8
