"""Hold what is counted, as plain integers by label values, and say where the rest is read.

Must not know Prometheus: `exposition` turns these into samples when somebody scrapes.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Final, NamedTuple

from sidecar.core.files import FileReading
from sidecar.core.freshness import State
from sidecar.core.ports import Priority
from sidecar.core.quotas import PAIRS, QUOTAS, QuotaReading
from sidecar.telemetry.labels import (
    OPERATIONS,
    SERVED,
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

REQUEST_BUCKETS: Final = (0.05, 0.25, 1.0, 5.0)
WAIT_BUCKETS: Final = (0.1, 1.0, 10.0)
HTTP_BUCKETS: Final = (0.001, 0.1)  # answered from memory; after a quick answer of AWS; after a wait
"""Upper bounds in seconds: few, since each costs a series for every label, and there shall be 500 in all."""

OK: Final = 200


class SecretGauge(NamedTuple):
    """How one declared secret (a tree's members included) stands."""

    name: str
    state: State
    confirmed_at: float | None  # wall seconds; None = never held


class Usage(NamedTuple):
    """What one service of AWS was asked since the start, by end, and its list price."""

    service: str
    requests: int
    throttled: int
    denied: int
    not_found: int
    failed: int  # no answer in time, or none that helps
    on_behalf: int  # calls that other services made to it for us, no requests of ours
    dollars: float


class Gauges(NamedTuple):
    """Where the values that are read, not counted, come from; called on each scrape."""

    quotas: Callable[[], Iterable[QuotaReading]] = tuple
    secrets: Callable[[], Iterable[SecretGauge]] = tuple
    entries: Callable[[], Mapping[str, int]] = dict  # by kind: declared, tree, on-demand
    ready: Callable[[], bool] = bool
    stretch: Callable[[], float] = lambda: 1.0  # of all intervals
    behind: Callable[[], float] = lambda: 0.0  # seconds by which the earliest check is late
    files: Callable[[], Iterable[FileReading]] = tuple


class Histogram:
    """Observations by bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Take the upper bounds, inclusive and ascending; one bucket more is for what is above them."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take one observation in."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """Every counter by its label values; those of closed vocabularies are there, at 0, from the start."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.requests: defaultdict[tuple[str, str, Outcome], int] = defaultdict(int)
        self.requests.update({(*operation, outcome): 0 for operation in OPERATIONS for outcome in Outcome})
        self.request_seconds = {operation: Histogram(REQUEST_BUCKETS) for operation in OPERATIONS}
        self.kms_charges = dict.fromkeys(KmsReason, 0)
        self.kms_surcharges = 0.0  # dollars: requests under pairs of keys cost more
        self.quota_refusals: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.retries: defaultdict[tuple[str, str, str, Outcome], int] = defaultdict(int)
        self.quota_waits = {key: Histogram(WAIT_BUCKETS) for key in product(sorted(QUOTAS - PAIRS), Priority)}
        self.data_keys: dict[tuple[DataKeyUse, DataKeyResult], int] = {}  # none where there are no envelopes
        self.cache_answers = dict.fromkeys(CacheResult, 0)
        self.files = dict.fromkeys(FileResult, 0)
        self.hooks = dict.fromkeys(HookResult, 0)
        self.refreshes = dict.fromkeys(Refreshed, 0)
        self.changes: defaultdict[str, int] = defaultdict(int)
        self.changes_of_gone = 0  # of names that are no more: what is counted never shrinks
        self.http_requests: defaultdict[tuple[Listener, HttpRoute, int], int] = defaultdict(int)
        self.http_requests.update({(*served, OK): 0 for served in SERVED})
        self.http_seconds = {served: Histogram(HTTP_BUCKETS) for served in SERVED}
