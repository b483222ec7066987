"""Plan a number of copies of one configuration: requests, dollars, parts of the quotas, and how long a start takes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from sidecar.core.config.models import Config
from sidecar.core.outlook import SLOW_START, Outlook, Stretch
from sidecar.core.pacing import burst_of
from sidecar.core.quotas import OWN_RATE, Limits, Scope
from sidecar.engine.policies import Policies
from sidecar.planning.budget import pays_for_parameters, stretch
from sidecar.planning.census import RegionOf, census
from sidecar.planning.flows import HOUR, Flow, flows
from sidecar.planning.raising import Raise, raise_to

TREE_SIZE: Final = 10
"""Parameters taken to be below each tree's path, unless it is said how many: what one request reads."""

TOGETHER: Final = 0.80
"""The most of a quota that copies without a fleet may add up to: a fifth stays for everybody else."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is planned for."""

    copies: int = 1
    tree_size: int = TREE_SIZE
    start_within: float = SLOW_START  # seconds


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """One operation of all copies."""

    service: str
    operation: str
    hourly: float  # requests
    at_start: float
    monthly_dollars: float
    on_behalf: bool = False  # AWS's own calls to KMS for us: charged and billed, but not our requests


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """One quota, and what all copies take of it."""

    scope: Scope
    quota: str
    limit: float  # the account's, per second
    ours: float  # the most that all copies take, per second
    steady: float  # per second
    at_start: float  # all that a cold start of all copies charges
    start_seconds: float
    start_within: float
    needed: int  # the limit with which it would fit

    @property
    def fits(self) -> bool:
        """Whether the copies find room, from then on and at their start."""
        return self.steady <= self.ours and self.start_seconds <= self.start_within

    @property
    def way_out(self) -> Raise | None:
        """How to raise it, where it does not fit."""
        return None if self.fits else raise_to(self.scope, self.quota, self.limit, self.needed)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it."""

    wishes: Wishes
    secrets: int  # different values, without the trees'
    trees: int
    operations: tuple[OperationPlan, ...]
    quotas: tuple[QuotaPlan, ...]
    stretch: Stretch | None  # of each copy

    @property
    def hourly(self) -> float:
        """Requests an hour that the copies make."""
        return sum(each.hourly for each in self.operations if not each.on_behalf)

    @property
    def monthly_dollars(self) -> float:
        """What they cost in a month, without the free tiers."""
        return sum(each.monthly_dollars for each in self.operations)

    @property
    def start_seconds(self) -> float:
        """How long a cold start of all copies at once takes, as far as the quotas make it."""
        return max((each.start_seconds for each in self.quotas), default=0.0)

    @property
    def fits(self) -> bool:
        """Whether every quota suffices."""
        return all(each.fits for each in self.quotas)


def build_plan(config: Config, region_of: RegionOf, wishes: Wishes) -> Plan:
    """Plan; pure, and without AWS."""
    counted = census(config, region_of)
    lengthened = stretch(counted, config, tree_size=wishes.tree_size)
    policies = Policies(config.cache, lengthened.factor if lengthened else 1.0)
    found = flows(counted, policies, tree_size=wishes.tree_size)
    return Plan(
        wishes,
        secrets=counted.values.total(),
        trees=counted.trees.total(),
        operations=tuple(_operations(found, config, wishes.copies)),
        quotas=tuple(_quotas(found, config, wishes)),
        stretch=lengthened,
    )


def foresee(config: Config, region_of: RegionOf) -> Outlook:
    """Tell one daemon what it must expect."""
    plan = build_plan(config, region_of, Wishes())
    return Outlook(plan.start_seconds, plan.stretch)


def part_of(config: Config, copies: int) -> float:
    """Give the part of a quota that so many copies take together: their fleet's, else each at most its share."""
    if config.fleet is not None:
        return config.fleet.share
    share = config.quotas.share
    return min(copies * share, max(share, TOGETHER))


def _operations(found: Sequence[Flow], config: Config, copies: int) -> Iterator[OperationPlan]:
    paid = pays_for_parameters(config.quotas)
    for service, operation in sorted({(flow.service, flow.operation) for flow in found}):
        same = [flow for flow in found if (flow.service, flow.operation) == (service, operation)]
        yield OperationPlan(
            service,
            operation,
            hourly=copies * sum(flow.hourly for flow in same),
            at_start=copies * sum(flow.at_start for flow in same),
            monthly_dollars=copies * sum(flow.monthly_dollars(paid_parameters=paid) for flow in same),
        )
    if any(flow.plaintexts_at_start for flow in found):
        yield OperationPlan(
            "kms",
            "Decrypt",
            hourly=copies * sum(flow.hourly_plaintexts for flow in found),
            at_start=copies * sum(flow.plaintexts_at_start for flow in found),
            monthly_dollars=copies * sum(flow.monthly_dollars_on_behalf() for flow in found),
            on_behalf=True,
        )


def _quotas(found: Sequence[Flow], config: Config, wishes: Wishes) -> Iterator[QuotaPlan]:
    charged: defaultdict[tuple[Scope, str], list[tuple[float, float]]] = defaultdict(list)
    for flow in found:
        for quota, hourly, at_start in flow.charged():
            charged[flow.scope, quota].append((hourly, at_start))
    limits = Limits(config.quotas.share, config.quotas.limits)
    for (scope, quota), amounts in sorted(charged.items(), key=lambda item: (item[0][0].account, item[0][0].region)):
        hourly, at_start = (wishes.copies * sum(column) for column in zip(*amounts, strict=True))
        if hourly or at_start:
            limit, part = _limit(limits, quota, scope, config, wishes.copies)
            yield _quota(scope, quota, limit, part, steady=hourly / HOUR, at_start=at_start, within=wishes.start_within)


def _limit(limits: Limits, quota: str, scope: Scope, config: Config, copies: int) -> tuple[float, float]:
    """Give a limit, and the part of it that all copies take; a rate of the daemon's own choice is there for each."""
    if not limits.is_shared(quota):
        return copies * OWN_RATE, 1.0
    return limits.limit(quota, scope.region), part_of(config, copies)


def _quota(  # noqa: PLR0913 -- each of another kind, most by name
    scope: Scope, quota: str, limit: float, part: float, *, steady: float, at_start: float, within: float
) -> QuotaPlan:
    ours = part * limit
    paced = max(0.0, at_start - burst_of(ours))  # what is not let through in the first instant
    return QuotaPlan(
        scope,
        quota,
        limit=limit,
        ours=ours,
        steady=steady,
        at_start=at_start,
        start_seconds=paced / ours,
        start_within=within,
        needed=ceil(max(steady, paced / within) / part),
    )
