"""Decide by how much intervals must lengthen so that polling costs no more than `quotas.budget`."""

from math import inf, sqrt

from sidecar.core.config.models import Cache, Config, Quotas
from sidecar.core.outlook import Lengthened, Stretch
from sidecar.core.quotas import default_limit
from sidecar.engine.policies import Policies
from sidecar.planning.census import Census
from sidecar.planning.flows import Flow, flows

_STEPS = 40
"""Halvings of the range that the factor is looked for in: far more than the price list is exact."""


def stretch(census: Census, config: Config, *, tree_size: int) -> Stretch | None:
    """Find the least factor that keeps the budget, else the most that intervals can lengthen; None without budget."""
    budget = config.quotas.budget
    if budget is None:
        return None

    def cost(factor: float) -> float:
        policies = Policies(config.cache, factor)
        return dollars(flows(census, policies, tree_size=tree_size), config.quotas)

    wanted, most = cost(1.0), _most(census, config.cache)
    if wanted <= budget or most <= 1.0:
        return Stretch(budget, wanted, 1.0, wanted)
    low, high = 1.0, most
    if cost(most) <= budget:
        for _ in range(_STEPS):
            middle = sqrt(low * high)
            low, high = (low, middle) if cost(middle) <= budget else (middle, high)
    return Stretch(budget, wanted, high, cost(high), tuple(_lengthened(census, config.cache, high)))


def dollars(found: list[Flow], quotas: Quotas) -> float:
    """Give what these requests cost in a month, KMS's on our behalf included."""
    paid = pays_for_parameters(quotas)
    return sum(flow.monthly_dollars(paid_parameters=paid) + flow.monthly_dollars_on_behalf() for flow in found)


def pays_for_parameters(quotas: Quotas) -> bool:
    """Decide whether parameters are billed: more than AWS's default throughput is there only for money."""
    return quotas.limits.get("ssm.get", 0.0) > default_limit("ssm.get", "")


def _most(census: Census, cache: Cache) -> float:
    """Give the factor beyond which no interval lengthens any more."""
    return max((each.kept / each.wanted for each in _lengthened(census, cache, inf)), default=1.0)


def _lengthened(census: Census, cache: Cache, factor: float) -> list[Lengthened]:
    """Give the different intervals that become others, the shortest first."""
    before, after = Policies(cache), Policies(cache, factor)
    kinds = {(wish, sort.pinned) for sort in (*census.values, *census.trees) for wish in sort.wishes}
    pairs = {
        (
            before.of(wish.refresh, wish.ttl, pinned=pinned).refresh,
            after.of(wish.refresh, wish.ttl, pinned=pinned).refresh,
        )
        for wish, pinned in kinds
    }
    return [Lengthened(wanted, kept) for wanted, kept in sorted(pairs) if kept > wanted]
