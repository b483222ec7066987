"""Work out which requests one daemon makes: to hold everything once, and every hour from then on.

The arithmetic of what `engine` and `aws` do, with their own policies; tests count against them in virtual time. Left
out, since nobody knows them beforehand: values on demand, changes, failures and their retries, credentials.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from sidecar.core import prices, schedule
from sidecar.core.freshness import Policy, strictest
from sidecar.core.ports import Decrypt, Route
from sidecar.core.prices import HOURS_PER_MONTH, Unit
from sidecar.core.quotas import Scope, charges
from sidecar.core.refs import SourceKind
from sidecar.engine.policies import Policies
from sidecar.planning.census import Census, Sort

HOUR: Final = 3600.0
PARAMETERS: Final = 10  # in one request to Parameter Store
SECRETS: Final = 20  # in one check, and in one BatchGetSecretValue


@dataclass(frozen=True, slots=True)
class Flow:
    """The requests of one operation in one account and region; the first of each pair is for one hour."""

    scope: Scope
    service: str
    operation: str
    hourly: float
    at_start: float  # requests to hold everything once
    hourly_plaintexts: float = 0.0  # decryptions that KMS makes for AWS on our behalf
    plaintexts_at_start: float = 0.0
    hourly_parameters: float = 0.0  # returned by Parameter Store

    def charged(self) -> Iterator[tuple[str, float, float]]:
        """Give what each quota is charged: its name, in an hour, at the start."""
        per_call = charges(self.service, self.operation, plaintexts=0)
        for charge in per_call:
            yield charge.quota, self.hourly, self.at_start
        for charge in charges(self.service, self.operation, plaintexts=1)[len(per_call) :]:
            yield charge.quota, self.hourly_plaintexts, self.plaintexts_at_start

    def monthly_dollars(self, *, paid_parameters: bool) -> float:
        """Give the list price of a month of these requests, without what KMS does on our behalf."""
        price = prices.price(self.service, self.operation, paid_parameters=paid_parameters)
        units = self.hourly_parameters if price.unit is Unit.PARAMETER else self.hourly
        return units * price.dollars * HOURS_PER_MONTH

    def monthly_dollars_on_behalf(self) -> float:
        """Give the list price of what KMS does on our behalf in a month."""
        return self.hourly_plaintexts * prices.KMS_SYMMETRIC * HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Lane:
    """Values that one request can ask for: one way to them, in one region; how many are kept by each policy."""

    route: Route
    scope: Scope
    together: bool
    on_behalf: bool
    counts: Counter[Policy]

    @property
    def size(self) -> int:
        """Count the values."""
        return self.counts.total()

    def checks(self) -> float:
        """Give the values checked in a second."""
        return sum(count / policy.refresh for policy, count in self.counts.items())

    def fetches(self) -> float:
        """Give the values fetched in a second though they are unchanged."""
        return sum(count * revalidations(policy) for policy, count in self.counts.items())


def flows(census: Census, policies: Policies, *, tree_size: int) -> list[Flow]:
    """Give all that one daemon asks for, trees taken to hold so many parameters each."""
    found = [flow for lane in _lanes(census, policies) for flow in _of_lane(lane)]
    for sort, count in census.trees.items():
        found.extend(_of_trees(sort, _policy(sort, policies), count, tree_size))
    return found


def revalidations(policy: Policy) -> float:
    """Give how often in a second an unchanged value is fetched: at the first check after `revalidate`."""
    return 1 / (policy.refresh * ceil(policy.revalidate / policy.refresh))


def batches(counts: Mapping[float, int], most: int) -> float:
    """Give the requests in a second for so many values at each interval (seconds), of which a request takes `most`.

    Each interval fills its own batches. The last one has room, and takes along values of longer intervals that would
    be due within `schedule.COMPANY` of theirs. Exact for one interval; for mixtures, what a simulation of the schedule
    gives within some 15 %.
    """
    total = room = shorter = 0.0  # room: places left in the batches of shorter intervals, in a second
    for interval, count in sorted(counts.items()):
        own = float(ceil(count / most))  # requests in one interval
        wanted = count / interval  # places, in a second
        if room:
            met = _met(interval, shorter)
            own = max((1 - met) * own, ceil(count * max(0.0, 1 - met * room / wanted) / most))
            room = max(0.0, room - met * wanted)
        total += own / interval
        room += max(0.0, own * most - count) / interval
        shorter = interval
    return total


def _met(interval: float, shorter: float) -> float:
    """Give the part of the checks at an interval that one at a shorter interval finds near enough."""
    keep_step = shorter >= interval * (1 - schedule.COMPANY)
    return 1.0 if keep_step else min(1.0, schedule.COMPANY * interval / shorter)


def _policy(sort: Sort, policies: Policies) -> Policy:
    return strictest(policies.of(wish.refresh, wish.ttl, pinned=sort.pinned) for wish in sort.wishes)


def _lanes(census: Census, policies: Policies) -> Iterator[Lane]:
    counts: defaultdict[tuple[Route, Scope, bool, bool], Counter[Policy]] = defaultdict(Counter)
    for sort, count in census.values.items():
        counts[sort.route, sort.scope, sort.together, sort.on_behalf][_policy(sort, policies)] += count
    for (route, scope, together, on_behalf), by_policy in counts.items():
        yield Lane(route, scope, together, on_behalf, by_policy)


def _of_lane(lane: Lane) -> Iterator[Flow]:
    if lane.route.source is SourceKind.KMS:
        return iter([Flow(lane.scope, "kms", "Decrypt", lane.fetches() * HOUR, lane.size)])  # a probe asks nothing
    if lane.route.source is SourceKind.S3:
        return _of_objects(lane)
    return _of_parameters(lane) if lane.route.source is SourceKind.SSM else _of_secrets(lane)


def _of_parameters(lane: Lane) -> Iterator[Flow]:
    by_interval = Counter[float]()
    for policy, count in lane.counts.items():
        by_interval[policy.refresh] += count
    ours = lane.route.decrypt is Decrypt.LOCAL
    fetched = lane.fetches() * HOUR
    yield Flow(
        lane.scope,
        "ssm",
        "GetParameters",
        batches(by_interval, PARAMETERS) * HOUR,
        ceil(lane.size / PARAMETERS),
        hourly_plaintexts=0.0 if ours else fetched,
        plaintexts_at_start=0.0 if ours else lane.size,
        hourly_parameters=lane.checks() * HOUR,
    )
    if ours:
        yield Flow(lane.scope, "kms", "Decrypt", fetched, lane.size)


def _of_secrets(lane: Lane) -> Iterator[Flow]:
    fetched = lane.fetches() * HOUR
    yield Flow(lane.scope, "secretsmanager", "DescribeSecret", max(0.0, round(lane.checks() * HOUR - fetched, 9)), 0)
    batched = lane.size - lane.size % SECRETS if lane.size % SECRETS == 1 else lane.size
    batched = batched if lane.together else 0
    for operation, values, requests in (
        ("BatchGetSecretValue", batched, ceil(batched / SECRETS)),
        ("GetSecretValue", lane.size - batched, lane.size - batched),
    ):
        if values:
            part = values / lane.size
            hourly = fetched * part * requests / values
            yield Flow(lane.scope, "secretsmanager", operation, hourly, requests, fetched * part, values)


def _of_objects(lane: Lane) -> Iterator[Flow]:
    """Take every object for one under a KMS key, since only its headers tell, but those under customers' keys."""
    fetched = lane.fetches() * HOUR
    yield Flow(lane.scope, "s3", "HeadObject", max(0.0, round(lane.checks() * HOUR - fetched, 9)), 0)
    opened = (fetched, lane.size) if lane.on_behalf else (0.0, 0)
    yield Flow(lane.scope, "s3", "GetObject", fetched, lane.size, *opened)


def _of_trees(sort: Sort, policy: Policy, count: int, size: int) -> Iterator[Flow]:
    pages = max(1, ceil(size / PARAMETERS)) * count
    walks, fetches = HOUR / policy.refresh, HOUR * revalidations(policy)
    ours = sort.route.decrypt is Decrypt.LOCAL
    plaintexts = 0 if ours else size * count
    yield Flow(
        sort.scope,
        "ssm",
        "GetParametersByPath",
        pages * walks,
        pages,
        plaintexts_at_start=plaintexts,
        hourly_parameters=size * count * walks,
    )
    yield Flow(
        sort.scope,
        "ssm",
        "GetParameters",
        pages * fetches,
        0,
        hourly_plaintexts=plaintexts * fetches,
        hourly_parameters=size * count * fetches,
    )
    if ours:
        yield Flow(sort.scope, "kms", "Decrypt", size * count * fetches, size * count)
