"""Count what happens, one typed method for each metric, and render it for Prometheus.

Counting is on the path of every cache hit: no lock, no await, well under a microsecond. Must not decide anything.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sidecar import __version__
from sidecar.core import prices
from sidecar.core.config.types import PerSecret
from sidecar.core.ports import Priority
from sidecar.core.prices import KeyKind
from sidecar.core.quotas import Scope
from sidecar.telemetry.counts import HTTP_BUCKETS, REQUEST_BUCKETS, WAIT_BUCKETS, Counts, Gauges, Histogram, Usage
from sidecar.telemetry.exposition import Exposition, usage
from sidecar.telemetry.labels import (
    ON_DEMAND,
    CacheResult,
    DataKeyResult,
    DataKeyUse,
    FileResult,
    HookResult,
    HttpRoute,
    KmsReason,
    Listener,
    Outcome,
    Refreshed,
)


class _Collected(Collector):
    """Families that were made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        """Take them."""
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Give them."""
        return self._families


class Metrics:
    """What the rooms tell of; until it is told where to read gauges, nothing is held and nobody is ready."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric, and the process's own, with `registry`."""
        self._registry = registry
        self._counts = Counts()
        self._exposition = Exposition(self._counts, __version__)
        registry.register(self._exposition)
        ProcessCollector(registry=registry)

    def read(self, gauges: Gauges, per_secret: PerSecret) -> None:
        """Read gauges from there from now on, with series for each secret or not (a reload says it again)."""
        self._exposition.gauges = gauges
        self._exposition.per_secret = per_secret

    def render(self, accept: str) -> tuple[str, bytes]:
        """Give the content type and the text of all series, in the format that the Accept header prefers."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    async def render_in_turns(self, accept: str) -> tuple[str, bytes]:
        """Give the same, and let others have their turn after each family: all of 10,000 secrets would take 30 ms."""
        families = []
        for family in self._registry.collect():
            families.append(family)
            await asyncio.sleep(0)
        encode, content_type = choose_encoder(accept)
        return content_type, encode(_Collected(families))

    def usage(self) -> Sequence[Usage]:
        """Give what each service was asked so far, and what that cost."""
        return usage(self._counts)

    def request_finished(self, service: str, operation: str, outcome: Outcome, seconds: float) -> None:
        """Count one attempt on the wire, `service` and `operation` as botocore spells them."""
        counts = self._counts
        counts.requests[service, operation, outcome] += 1
        histogram = counts.request_seconds.get((service, operation))
        if histogram is None:
            histogram = counts.request_seconds[service, operation] = Histogram(REQUEST_BUCKETS)
        histogram.observe(seconds)

    def kms_charged(self, reason: KmsReason, amount: int = 1) -> None:
        """Count the KMS calls behind the plaintexts that AWS returned."""
        self._counts.kms_charges[reason] += amount

    def pair_used(self, operation: str, key: KeyKind) -> None:
        """Count what one request to KMS cost more than under a symmetric key."""
        self._counts.kms_surcharges += prices.surcharge(operation, key)

    def retried(self, scope: Scope, quota: str, reason: Outcome) -> None:
        """Count one more attempt, and why the one before did not do."""
        self._counts.retries[scope.account, scope.region, quota, reason] += 1

    def quota_waited(self, quota: str, priority: Priority, seconds: float) -> None:
        """Take in how long one request waited to be admitted (0 = it did not)."""
        counts = self._counts
        histogram = counts.quota_waits.get((quota, priority))
        if histogram is None:
            histogram = counts.quota_waits[quota, priority] = Histogram(WAIT_BUCKETS)
        histogram.observe(seconds)

    def account_learnt(self, stand_in: str, account: str) -> None:
        """Count for the account what was counted for the name that stood in for it."""
        refusals, retries = self._counts.quota_refusals, self._counts.retries
        for key in [key for key in refusals if key[0] == stand_in]:
            refusals[account, key[1], key[2]] += refusals.pop(key)
        for told in [told for told in retries if told[0] == stand_in]:
            retries[account, told[1], told[2], told[3]] += retries.pop(told)

    def quota_refused(self, scope: Scope, quota: str) -> None:
        """Count a request that was not sent, as its deadline would have come before its turn."""
        self._counts.quota_refusals[scope.account, scope.region, quota] += 1

    def expect_data_keys(self) -> None:
        """Have the series of data keys from now on, at 0."""
        for key in product(DataKeyUse, DataKeyResult):
            self._counts.data_keys.setdefault(key, 0)

    def data_key_used(self, use: DataKeyUse, result: DataKeyResult) -> None:
        """Count one message that wanted a data key."""
        self._counts.data_keys[use, result] += 1

    def cache_answered(self, result: CacheResult) -> None:
        """Count one look-up by a local caller."""
        self._counts.cache_answers[result] += 1

    def refreshed(self, result: Refreshed) -> None:
        """Count one value checked."""
        self._counts.refreshes[result] += 1

    def file_tried(self, result: FileResult) -> None:
        """Count one try to bring a file up to date."""
        self._counts.files[result] += 1

    def hook_tried(self, result: HookResult) -> None:
        """Count one try to tell somebody of a file."""
        self._counts.hooks[result] += 1

    def secret_changed(self, name: str) -> None:
        """Count a new version; `name` is a declared secret's, or ON_DEMAND."""
        self._counts.changes[name] += 1

    def keep_names(self, names: Collection[str]) -> None:
        """Forget how often others than these have changed: a tree's parameters come and go without end."""
        changes = self._counts.changes
        for name in [name for name in changes if name not in names and name != ON_DEMAND]:
            self._counts.changes_of_gone += changes.pop(name)

    def http_answered(self, listener: Listener, route: HttpRoute, status: int, seconds: float) -> None:
        """Count one local request, and the seconds from its last byte to its answer's first."""
        counts = self._counts
        counts.http_requests[listener, route, status] += 1
        if (listener, route) not in counts.http_seconds:
            counts.http_seconds[listener, route] = Histogram(HTTP_BUCKETS)
        counts.http_seconds[listener, route].observe(seconds)
