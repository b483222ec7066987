"""Name every metric and log event, and keep values out of both.

Must not decide what is counted or told, nor where it is served: the rooms call it, `api` serves what it renders.
"""

from sidecar.telemetry.counts import Gauges, SecretGauge
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
from sidecar.telemetry.metrics import Metrics

__all__ = [
    "ON_DEMAND",
    "CacheResult",
    "DataKeyResult",
    "DataKeyUse",
    "FileResult",
    "Gauges",
    "HookResult",
    "HttpRoute",
    "KmsReason",
    "Listener",
    "Metrics",
    "Outcome",
    "Refreshed",
    "SecretGauge",
]
