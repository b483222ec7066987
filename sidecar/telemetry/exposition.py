"""Turn counts and readings into Prometheus families: names, help texts and labels stand here, once.

Must not count: `metrics` does. What is read (gauges) is read here, on each scrape.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import Metric
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from sidecar.core import prices
from sidecar.core.config.types import PerSecret
from sidecar.core.files import FileState
from sidecar.core.freshness import State
from sidecar.core.quotas import QuotaReading
from sidecar.telemetry.counts import Counts, Gauges, Histogram, SecretGauge, Usage
from sidecar.telemetry.labels import ON_DEMAND, RETRIED, KmsReason, Outcome

MOST_NAMES: Final = 100
"""How many declared secrets get series of their own when the configuration leaves it to us."""

EVERY_NAME: Final = "*"
"""The label of the changes of all declared secrets together, where they have no series of their own; no name."""

ENTRY_KINDS: Final = ("declared", "tree", ON_DEMAND)

_DATA_KEY: Final = ("use", "result")
_QUOTA: Final = ("account", "region", "quota")
_Label = TypeVar("_Label", bound=str)

_ANSWERED: Final = frozenset({Outcome.OK, Outcome.DENIED, Outcome.NOT_FOUND})  # what AWS bills


class Exposition(Collector):
    """One pass over everything; it runs in the event loop, so nothing is counted meanwhile."""

    def __init__(self, counts: Counts, version: str) -> None:
        """Take the counts; gauges are empty until they are given."""
        self._counts = counts
        self._version = version
        self.gauges = Gauges()
        self.per_secret = PerSecret.AUTO

    def collect(self) -> Iterator[Metric]:
        """Give every family."""
        secrets = list(self.gauges.secrets())
        yield from self._aws()
        yield from self._quotas(list(self.gauges.quotas()))
        yield from self._cache()
        yield from _totals(secrets)
        if self._names(secrets):
            yield from _each(secrets)
        yield self._changes(secrets)
        yield from self._files()
        yield from self._http()
        yield _scalar("sidecar_ready", "1 once every required declared secret is held.", self.gauges.ready())
        yield InfoMetricFamily("sidecar_build", "The program's version.", value={"version": self._version})

    def _names(self, secrets: Sequence[SecretGauge]) -> bool:
        few = len(secrets) <= MOST_NAMES
        return self.per_secret is PerSecret.ON or (self.per_secret is PerSecret.AUTO and few)

    def _aws(self) -> Iterator[Metric]:
        counts = self._counts
        operation = ("service", "operation")
        ended = (*operation, "outcome")
        yield _counter("sidecar_aws_requests", "Attempts on the wire, by end.", ended, counts.requests.items())
        seconds = counts.request_seconds.items()
        yield _histogram("sidecar_aws_request_seconds", "Time of one attempt.", operation, seconds)
        yield _counter("sidecar_aws_cost_dollars", "List prices; an estimate.", ("service",), _by(dollars(counts)))
        if data_keys := counts.data_keys:
            yield _counter("sidecar_data_keys", "Data keys wanted; a hit asks no KMS.", _DATA_KEY, data_keys.items())
        charges = _by(counts.kms_charges)
        yield _counter("sidecar_kms_charges", "KMS calls behind the plaintexts returned.", ("reason",), charges)

    def _quotas(self, readings: Sequence[QuotaReading]) -> Iterator[Metric]:
        counts = self._counts
        known = [(reading.scope.account, reading.scope.region, reading.quota) for reading in readings]
        rates = zip(known, (reading.rate for reading in readings), strict=True)
        limits = zip(known, (reading.limit for reading in readings), strict=True)
        refusals = dict.fromkeys(known, 0) | counts.quota_refusals
        retries = dict.fromkeys(((*key, reason) for key in known for reason in RETRIED), 0) | counts.retries
        waits = (((quota, priority.name.lower()), waits) for (quota, priority), waits in counts.quota_waits.items())
        yield _gauge("sidecar_quota_rate_per_second", "What the daemon allows itself now.", _QUOTA, rates)
        stretch = self.gauges.stretch()
        yield _scalar("sidecar_budget_stretch", "Intervals are so many times as long for the budget.", stretch)
        leases = [(key, held.leased) for key, held in zip(known, readings, strict=True) if held.leased is not None]
        if leases:
            yield _gauge("sidecar_fleet_leases", "Calls per second leased from the fleet.", _QUOTA, leases)
        waiting = zip(known, (reading.waiting for reading in readings), strict=True)
        yield _gauge("sidecar_quota_waiting", "Requests that wait for their turn now.", _QUOTA, waiting)
        yield _gauge("sidecar_quota_limit_per_second", "What the account allows.", _QUOTA, limits)
        yield _counter("sidecar_quota_refused", "Requests without a turn in time.", _QUOTA, refusals.items())
        yield _counter("sidecar_retries", "Further attempts.", (*_QUOTA, "reason"), retries.items())
        yield _histogram("sidecar_quota_wait_seconds", "Wait for admission.", ("quota", "priority"), waits)

    def _cache(self) -> Iterator[Metric]:
        counts = self._counts
        entries = {**dict.fromkeys(ENTRY_KINDS, 0), **self.gauges.entries()}
        yield _counter("sidecar_cache_requests", "Look-ups by callers.", ("result",), _by(counts.cache_answers))
        yield _gauge("sidecar_cache_entries", "Values held, or known not to be there.", ("kind",), _by(entries))
        yield _scalar("sidecar_refresh_behind_seconds", "How late the earliest check is.", self.gauges.behind())
        yield _counter("sidecar_refreshes", "Values checked.", ("result",), _by(counts.refreshes))

    def _files(self) -> Iterator[Metric]:
        """Give series of files where there are any: there shall be 500 series in all."""
        readings = list(self.gauges.files())
        if not readings:
            return
        states = dict.fromkeys(FileState, 0) | Counter(reading.state for reading in readings)
        yield _gauge("sidecar_files", "Configured files, by state.", ("state",), _by(states))
        yield _counter("sidecar_file_writes", "Tries to bring a file up to date.", ("result",), _by(self._counts.files))
        yield _counter("sidecar_file_hooks", "Tries to tell of a change.", ("result",), _by(self._counts.hooks))

    def _changes(self, secrets: Sequence[SecretGauge]) -> Metric:
        changes = self._counts.changes
        demanded = changes.get(ON_DEMAND, 0)
        if self._names(secrets):
            shown = {secret.name: changes.get(secret.name, 0) for secret in secrets}
        else:
            shown = {EVERY_NAME: sum(changes.values()) - demanded + self._counts.changes_of_gone}
        return _counter("sidecar_secret_changes", "New versions.", ("name",), _by(shown | {ON_DEMAND: demanded}))

    def _http(self) -> Iterator[Metric]:
        counts = self._counts
        route = ("listener", "route")
        answers = (((where, what, str(status)), count) for (where, what, status), count in counts.http_requests.items())
        yield _counter("sidecar_http_requests", "Local requests.", (*route, "status"), answers)
        yield _histogram("sidecar_http_request_seconds", "Time to answer.", route, counts.http_seconds.items())


def dollars(counts: Counts) -> dict[str, float]:
    """Estimate by list prices what the requests so far, and KMS's on our behalf, have cost by service."""
    sums: dict[str, float] = {}
    for (service, operation, outcome), count in counts.requests.items():
        answered = count if outcome in _ANSWERED else 0
        sums[service] = sums.get(service, 0.0) + answered * prices.of_request(service, operation)
    sums["kms"] += on_behalf(counts) * prices.KMS_SYMMETRIC + counts.kms_surcharges
    return sums


def on_behalf(counts: Counts) -> int:
    """Count the calls to KMS that other services made for us."""
    return sum(count for reason, count in counts.kms_charges.items() if reason is not KmsReason.DIRECT)


def usage(counts: Counts) -> Sequence[Usage]:
    """Sum up by service what was asked, how it ended, and what it cost."""
    ends: dict[str, Counter[Outcome]] = {}
    for (service, _, outcome), count in counts.requests.items():
        ends.setdefault(service, Counter())[outcome] += count
    cost = dollars(counts)
    return [
        Usage(
            service,
            ended.total(),
            ended[Outcome.THROTTLED],
            ended[Outcome.DENIED],
            ended[Outcome.NOT_FOUND],
            ended[Outcome.TIMEOUT] + ended[Outcome.ERROR],
            on_behalf(counts) if service == "kms" else 0,
            cost[service],
        )
        for service, ended in ends.items()
    ]


def _totals(secrets: Sequence[SecretGauge]) -> Iterator[Metric]:
    states = dict.fromkeys(State, 0) | Counter(secret.state for secret in secrets)
    by_state = {state.name.lower(): count for state, count in states.items()}
    oldest = min((secret.confirmed_at or 0.0 for secret in secrets), default=0.0)
    yield _gauge("sidecar_secrets", "Declared secrets, by state.", ("state",), _by(by_state))
    yield _scalar(
        "sidecar_secret_oldest_confirmed_timestamp_seconds",
        "The oldest confirmation of a declared secret; 0 = one was never held, or none is declared.",
        oldest,
    )


def _each(secrets: Sequence[SecretGauge]) -> Iterator[Metric]:
    confirmed = {secret.name: secret.confirmed_at or 0.0 for secret in secrets}
    states = {secret.name: float(secret.state) for secret in secrets}
    yield _gauge(
        "sidecar_secret_confirmed_timestamp_seconds", "Last confirmed by AWS; 0 = never.", ("name",), _by(confirmed)
    )
    yield _gauge("sidecar_secret_state", "0 fresh, 1 stale, 2 refused, 3 absent, 4 pending.", ("name",), _by(states))


Labelled = Iterable[tuple[tuple[str, ...], float]]


def _by(values: Mapping[_Label, float]) -> Labelled:
    return (((label,), value) for label, value in values.items())


def _scalar(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _gauge(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[tuple[str, ...], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, histogram in values:
        bounds = [*map(str, histogram.bounds), "+Inf"]
        family.add_metric(key, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family
