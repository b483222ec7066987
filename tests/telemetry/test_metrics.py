import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.core.config.types import PerSecret
from sidecar.core.freshness import State
from sidecar.core.ports import Priority
from sidecar.core.quotas import PAIRS, QUOTAS, QuotaReading, Scope
from sidecar.telemetry import (
    ON_DEMAND,
    CacheResult,
    Gauges,
    HttpRoute,
    KmsReason,
    Listener,
    Metrics,
    Outcome,
    Refreshed,
    SecretGauge,
)

HOME = Scope("111122223333", "eu-west-1")
LABELS = {"account": "111122223333", "region": "eu-west-1", "quota": "ssm.get"}


class Scrape:
    """A registry of one daemon's metrics, and what a scrape of it shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def value(self, series: str, /, **labels: str) -> float | None:
        """Give a sample's value, None when there is no such series."""
        return self.registry.get_sample_value(series, labels)

    def series(self) -> list[str]:
        """Give the lines that are samples."""
        lines = self.metrics.render("")[1].decode().splitlines()
        return [line for line in lines if not line.startswith("#")]

    def read(self, secrets: Iterable[SecretGauge], per_secret: PerSecret = PerSecret.AUTO) -> None:
        """Let these be the declared secrets."""
        known = tuple(secrets)
        self.metrics.read(Gauges(secrets=lambda: known), per_secret)


@pytest.fixture
def scrape() -> Scrape:
    """Give a daemon's metrics before anything has happened."""
    return Scrape()


def reading(quota: str, scope: Scope = HOME) -> QuotaReading:
    """Tell how a quota stands that nobody has used yet."""
    return QuotaReading(
        scope=scope, quota=quota, limit=40, ceiling=4, rate=2.5, used=0, waiting=0, throttled=0, refused=0
    )


def secrets(count: int) -> list[SecretGauge]:
    """Name so many fresh secrets, confirmed one second apart."""
    return [SecretGauge(f"secret-{i}", State.FRESH, 1000.0 + i) for i in range(count)]


class TestSeriesThatExistBeforeAnythingHappens:
    """A rate over a series that appears with its first event misses that event."""

    def test_aws_requests(self, scrape: Scrape) -> None:
        """Every operation and outcome stands at 0."""
        labels = {"service": "ssm", "operation": "GetParameters"}
        shown = [scrape.value("sidecar_aws_requests_total", **labels, outcome=outcome) for outcome in Outcome]
        assert shown == [0] * 6
        assert scrape.value("sidecar_aws_request_seconds_count", **labels) == 0
        assert scrape.value("sidecar_aws_cost_dollars_total", service="kms") == 0

    def test_closed_vocabularies(self, scrape: Scrape) -> None:
        """Cache results, refreshes, charges, waits and entries stand at 0."""
        assert [scrape.value("sidecar_cache_requests_total", result=result) for result in CacheResult] == [0] * 5
        assert [scrape.value("sidecar_refreshes_total", result=result) for result in Refreshed] == [0] * 4
        assert [scrape.value("sidecar_kms_charges_total", reason=reason) for reason in KmsReason] == [0] * 4
        assert [scrape.value("sidecar_cache_entries", kind=kind) for kind in ("declared", "tree", "on-demand")] == [
            0
        ] * 3
        assert scrape.value("sidecar_quota_wait_seconds_count", quota="ssm.get", priority="caller") == 0
        assert scrape.value("sidecar_http_requests_total", listener="ops", route="/metrics", status="200") == 0
        assert scrape.value("sidecar_ready") == 0

    def test_quotas_that_are_known_but_unused(self, scrape: Scrape) -> None:
        """Rate, limit, refusals and retries of a quota are there as soon as its limiter is."""
        scrape.metrics.read(Gauges(quotas=lambda: [reading("ssm.get")]), PerSecret.AUTO)
        assert scrape.value("sidecar_quota_rate_per_second", **LABELS) == 2.5
        assert scrape.value("sidecar_quota_limit_per_second", **LABELS) == 40
        assert scrape.value("sidecar_quota_refused_total", **LABELS) == 0
        assert scrape.value("sidecar_retries_total", **LABELS, reason="throttled") == 0

    def test_build_and_process(self, scrape: Scrape) -> None:
        """The version and the process's memory are among them."""
        assert any(line.startswith("sidecar_build_info{version=") for line in scrape.series())
        assert scrape.value("process_resident_memory_bytes") is not None


class TestCounting:
    """Each method moves its series, and no other."""

    def test_aws_requests(self, scrape: Scrape) -> None:
        """One attempt counts once, with its time."""
        scrape.metrics.request_finished("ssm", "GetParameters", Outcome.THROTTLED, 0.3)
        labels = {"service": "ssm", "operation": "GetParameters"}
        assert scrape.value("sidecar_aws_requests_total", **labels, outcome="throttled") == 1
        assert scrape.value("sidecar_aws_requests_total", **labels, outcome="ok") == 0
        assert scrape.value("sidecar_aws_request_seconds_bucket", **labels, le="0.25") == 0
        assert scrape.value("sidecar_aws_request_seconds_bucket", **labels, le="1.0") == 1
        assert scrape.value("sidecar_aws_request_seconds_sum", **labels) == 0.3

    def test_an_operation_that_nobody_foresaw(self, scrape: Scrape) -> None:
        """It is counted all the same."""
        scrape.metrics.request_finished("sso", "GetRoleCredentials", Outcome.OK, 0.1)
        labels = {"service": "sso", "operation": "GetRoleCredentials"}
        assert scrape.value("sidecar_aws_requests_total", **labels, outcome="ok") == 1
        assert scrape.value("sidecar_aws_request_seconds_count", **labels) == 1

    def test_cost_is_of_what_aws_answered(self, scrape: Scrape) -> None:
        """A denial is billed, a throttled call is not; KMS on behalf costs as KMS, a direct call not twice."""
        for outcome in Outcome:
            scrape.metrics.request_finished("secretsmanager", "GetSecretValue", outcome, 0)
        scrape.metrics.kms_charged(KmsReason.SM, 10_000)
        scrape.metrics.request_finished("kms", "Decrypt", Outcome.OK, 0)
        scrape.metrics.kms_charged(KmsReason.DIRECT)
        billed = scrape.value("sidecar_aws_cost_dollars_total", service="secretsmanager")
        assert billed == pytest.approx(3 * 0.05 / 10_000)
        assert scrape.value("sidecar_aws_cost_dollars_total", service="kms") == pytest.approx(0.03 + 0.03 / 10_000)
        assert scrape.value("sidecar_kms_charges_total", reason="sm") == 10_000
        assert scrape.value("sidecar_kms_charges_total", reason="direct") == 1
        used = {each.service: each for each in scrape.metrics.usage()}
        assert used["secretsmanager"][1:7] == (6, 1, 1, 1, 2, 0)
        assert used["secretsmanager"].dollars == billed
        assert (used["kms"].requests, used["kms"].on_behalf) == (1, 10_000)

    def test_quotas(self, scrape: Scrape) -> None:
        """Waits, refusals and retries name the quota; priorities are words."""
        scrape.metrics.quota_waited("ssm.get", Priority.BACKGROUND, 2.0)
        scrape.metrics.quota_waited("sts.AssumeRole", Priority.CALLER, 0.0)
        scrape.metrics.quota_refused(HOME, "ssm.get")
        scrape.metrics.retried(HOME, "ssm.get", Outcome.TIMEOUT)
        assert scrape.value("sidecar_quota_wait_seconds_sum", quota="ssm.get", priority="background") == 2
        assert scrape.value("sidecar_quota_wait_seconds_count", quota="sts.AssumeRole", priority="caller") == 1
        assert scrape.value("sidecar_quota_refused_total", **LABELS) == 1
        assert scrape.value("sidecar_retries_total", **LABELS, reason="timeout") == 1

    def test_an_account_that_becomes_known(self, scrape: Scrape) -> None:
        """What was counted for its stand-in is the account's, and shown once."""
        stand_in = Scope("default", HOME.region)
        scrape.metrics.quota_refused(HOME, "ssm.get")
        for _ in range(2):
            scrape.metrics.quota_refused(stand_in, "ssm.get")
            scrape.metrics.retried(stand_in, "ssm.get", Outcome.TIMEOUT)
        scrape.metrics.account_learnt("default", HOME.account)
        assert scrape.value("sidecar_quota_refused_total", **LABELS) == 3
        assert scrape.value("sidecar_retries_total", **LABELS, reason="timeout") == 2
        assert not [line for line in scrape.series() if 'account="default"' in line]

    def test_leases(self, scrape: Scrape) -> None:
        """What is leased of the fleet's share; no such series where there is no fleet."""
        readings = [reading("ssm.get"), reading("sts.AssumeRole")]
        scrape.metrics.read(Gauges(quotas=lambda: readings), PerSecret.AUTO)
        assert scrape.value("sidecar_fleet_leases", **LABELS) is None
        readings[0] = replace(readings[0], leased=12.5)
        assert scrape.value("sidecar_fleet_leases", **LABELS) == 12.5
        assert len([line for line in scrape.series() if line.startswith("sidecar_fleet_leases")]) == 1

    def test_local_callers(self, scrape: Scrape) -> None:
        """Look-ups by what they found, requests by where, what and how they ended."""
        scrape.metrics.cache_answered(CacheResult.STALE)
        scrape.metrics.refreshed(Refreshed.FAILED)
        scrape.metrics.http_answered(Listener.UNIX, HttpRoute.VALUE, 404, 0.0005)
        scrape.metrics.http_answered(Listener.OPS, HttpRoute.STATUS, 404, 0.0005)
        assert scrape.value("sidecar_cache_requests_total", result="stale") == 1
        assert scrape.value("sidecar_refreshes_total", result="failed") == 1
        route = {"listener": "unix", "route": "/v1/values/{name}"}
        assert scrape.value("sidecar_http_requests_total", **route, status="404") == 1
        assert scrape.value("sidecar_http_request_seconds_bucket", **route, le="0.001") == 1
        assert scrape.value("sidecar_http_request_seconds_count", listener="ops", route="/v1/status") == 1


class TestGauges:
    """What is read on each scrape."""

    def test_readiness_and_entries(self, scrape: Scrape) -> None:
        """They are what the daemon says at that moment."""
        scrape.metrics.read(Gauges(entries=lambda: {"tree": 7}, ready=lambda: True), PerSecret.AUTO)
        assert scrape.value("sidecar_ready") == 1
        assert scrape.value("sidecar_cache_entries", kind="tree") == 7
        assert scrape.value("sidecar_cache_entries", kind="declared") == 0

    def test_what_a_budget_does(self, scrape: Scrape) -> None:
        """Nothing, unless there is one."""
        assert scrape.value("sidecar_budget_stretch") == 1
        scrape.metrics.read(Gauges(stretch=lambda: 2.5), PerSecret.AUTO)
        assert scrape.value("sidecar_budget_stretch") == 2.5

    def test_each_declared_secret(self, scrape: Scrape) -> None:
        """Its state is a number, its confirmation a time or 0, its changes are counted even before the first."""
        scrape.read([SecretGauge("db", State.STALE, 1700000000.5), SecretGauge("api", State.PENDING, None)])
        scrape.metrics.secret_changed("db")
        assert scrape.value("sidecar_secret_state", name="db") == 1
        assert scrape.value("sidecar_secret_state", name="api") == 4
        assert scrape.value("sidecar_secret_confirmed_timestamp_seconds", name="db") == 1700000000.5
        assert scrape.value("sidecar_secret_confirmed_timestamp_seconds", name="api") == 0
        assert scrape.value("sidecar_secret_changes_total", name="db") == 1
        assert scrape.value("sidecar_secret_changes_total", name="api") == 0
        assert scrape.value("sidecar_secret_changes_total", name="on-demand") == 0

    def test_totals_are_there_in_any_case(self, scrape: Scrape) -> None:
        """An alert on the oldest confirmation works whether names are labels or not."""
        scrape.read([SecretGauge("db", State.STALE, 5.0), SecretGauge("api", State.FRESH, 9.0)])
        assert scrape.value("sidecar_secret_oldest_confirmed_timestamp_seconds") == 5
        states = [scrape.value("sidecar_secrets", state=state.name.lower()) for state in State]
        assert states == [1, 1, 0, 0, 0]

    @pytest.mark.parametrize(
        ("per_secret", "count", "named"),
        [
            (PerSecret.AUTO, 100, True),
            (PerSecret.AUTO, 101, False),
            (PerSecret.ON, 101, True),
            (PerSecret.OFF, 1, False),
        ],
    )
    def test_names_are_labels_while_they_are_few(
        self, scrape: Scrape, per_secret: PerSecret, count: int, *, named: bool
    ) -> None:
        """Up to 100 by itself, else as configured; changes of all together stay one series."""
        scrape.read(secrets(count), per_secret)
        for name in ("secret-0", "secret-0", ON_DEMAND):
            scrape.metrics.secret_changed(name)
        assert (scrape.value("sidecar_secret_state", name="secret-0") is not None) is named
        assert scrape.value("sidecar_secret_changes_total", name="secret-0" if named else "*") == 2
        assert scrape.value("sidecar_secret_changes_total", name="on-demand") == 1
        assert scrape.value("sidecar_secret_oldest_confirmed_timestamp_seconds") == 1000

    def test_names_that_are_no_more_are_forgotten_but_what_was_counted_is_not(self, scrape: Scrape) -> None:
        """A tree's parameters come and go without end; a counter never shrinks."""
        for name in ("secret-0", "gone", "gone", ON_DEMAND):
            scrape.metrics.secret_changed(name)
        scrape.metrics.keep_names({"secret-0"})
        scrape.read(secrets(1), PerSecret.OFF)
        assert scrape.value("sidecar_secret_changes_total", name="*") == 3
        assert scrape.value("sidecar_secret_changes_total", name="on-demand") == 1
        scrape.read([*secrets(1), SecretGauge("gone", State.FRESH, 0)], PerSecret.ON)
        assert scrape.value("sidecar_secret_changes_total", name="gone") == 0


STATUSES = {
    HttpRoute.VALUE: (200, 304, 400, 403, 404, 405, 422, 429, 502, 503, 504),
    HttpRoute.VALUES: (200, 400, 403, 404, 405, 503),
    HttpRoute.SECRET: (200, 304, 400, 403, 404, 405, 422, 429, 502, 503, 504),
    HttpRoute.SECRETS: (200, 405),
    HttpRoute.RESOLVE: (200, 304, 400, 403, 404, 405, 422, 429, 502, 503, 504),
    HttpRoute.WATCH: (200, 400, 403, 404, 405),
    HttpRoute.REFRESH: (200, 400, 403, 404, 405, 413),
    HttpRoute.STATUS: (200, 405),
    HttpRoute.OPENAPI: (200, 405),
    HttpRoute.HEALTHZ: (200, 405, 503),
    HttpRoute.READYZ: (200, 405, 503),
    HttpRoute.METRICS: (200, 405),
    HttpRoute.OTHER: (200, 400, 404, 431),
}


def test_a_daemon_with_twenty_secrets_exports_at_most_500_series(scrape: Scrape) -> None:
    """Even after everything that can happen has happened, to the default identity and every quota of it."""
    metrics = scrape.metrics
    metrics.read(
        Gauges(quotas=lambda: [reading(quota) for quota in sorted(QUOTAS - PAIRS)], secrets=lambda: secrets(20)),
        PerSecret.AUTO,
    )
    for route, statuses in STATUSES.items():
        for status in statuses:
            metrics.http_answered(Listener.UNIX, route, status, 0.1)
    for quota, reason in product(QUOTAS - PAIRS, (Outcome.THROTTLED, Outcome.TIMEOUT, Outcome.ERROR)):
        metrics.quota_refused(HOME, quota)
        metrics.retried(HOME, quota, reason)
    series = scrape.series()
    assert len(series) == len(set(series))
    assert len(series) <= 500, len(series)


class TestRendering:
    """Prometheus's text format, and OpenMetrics for those who ask for it."""

    def test_text_by_default(self, scrape: Scrape) -> None:
        """A scraper without an Accept header gets the format that all understand."""
        content_type, body = scrape.metrics.render("")
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert {family.name for family in parse_text(body.decode())} > {"sidecar_aws_requests", "sidecar_ready"}

    def test_openmetrics_when_asked_for(self, scrape: Scrape) -> None:
        """What Prometheus's own header asks for is answered so that a strict parser reads it."""
        scrape.read(secrets(2))
        content_type, body = scrape.metrics.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        assert content_type.startswith("application/openmetrics-text; version=1.0.0")
        families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]  # theirs
        assert families["sidecar_secret_state"].samples[0].labels == {"name": "secret-0"}

    async def test_in_turns_it_is_the_same(self, scrape: Scrape) -> None:
        """A scrape that lets others have their turn shows what one at a stroke does."""
        scrape.read(secrets(2))
        content_type, body = await scrape.metrics.render_in_turns("")
        ours = [line for line in body.decode().splitlines() if line.startswith("sidecar_")]
        assert (content_type, ours) == (
            scrape.metrics.render("")[0],
            [line for line in scrape.series() if line.startswith("sidecar_")],
        )

    def test_names_follow_the_conventions(self, scrape: Scrape) -> None:
        """Counters end in _total, times in _seconds, and everything of ours begins with sidecar_."""
        names = {re.split(r"[{ ]", line)[0] for line in scrape.series()}
        assert all(name.startswith(("sidecar_", "process_")) for name in names)
