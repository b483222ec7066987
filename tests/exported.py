"""What the daemon exports to Prometheus: for those who write queries, and for those who check them."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from sidecar.core.config.types import PerSecret
from sidecar.core.files import FileReading, FileState
from sidecar.core.freshness import State
from sidecar.core.quotas import QuotaReading, Scope
from sidecar.telemetry import Gauges, Metrics, SecretGauge


@dataclass(frozen=True)
class Family:
    """One family of series, as a scrape shows it."""

    name: str
    kind: str
    labels: frozenset[str]
    samples: tuple[str, ...]


def families() -> list[Family]:
    """Scrape a daemon that has one of everything."""
    metrics = Metrics(CollectorRegistry())
    reading = QuotaReading(Scope("111111111111", "eu-west-1"), "ssm.get", 40, 4, 4, 0, 0, 0, 0, leased=2.5)
    metrics.expect_data_keys()
    file = FileReading("/run/x", FileState.CURRENT, None, "", "")
    gauges = Gauges(lambda: [reading], lambda: [SecretGauge("db", State.FRESH, 1.0)], files=lambda: [file])
    metrics.read(gauges, PerSecret.ON)
    return [
        Family(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels if label != "le"),
            tuple({sample.name for sample in family.samples}),
        )
        for family in text_string_to_metric_families(metrics.render("")[1].decode())
    ]
