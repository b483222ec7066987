"""Answer probes, scrapes and people who ask how the daemon stands. Never a value; to strangers never a reference.

Must not decide what is healthy or ready; the engine does.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, TypedDict

from sidecar import __version__
from sidecar.api.answers import JSON, UNCACHED, Answer, json_answer, timestamp, to_json
from sidecar.api.asks import Ask
from sidecar.api.descriptions import describe, visible
from sidecar.api.services import Services
from sidecar.core.files import FileReading
from sidecar.core.leases import FleetReading
from sidecar.core.outlook import Stretch
from sidecar.core.quotas import QuotaReading

_OPENMETRICS: Final = "application/openmetrics-text"


async def serve_healthz(services: Services, _ask: Ask) -> Answer:
    """Answer whether the loop turns and the poller moves."""
    if services.engine.refresher.stalled():
        return json_answer({"healthy": False, "reason": "stalled"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return json_answer({"healthy": True})


async def serve_readyz(services: Services, _ask: Ask) -> Answer:
    """Answer whether every required secret is held, else which are not and the class of reason of each."""
    readiness = _readiness(services)
    return json_answer(readiness, status=HTTPStatus.OK if readiness["ready"] else HTTPStatus.SERVICE_UNAVAILABLE)


async def serve_metrics(services: Services, ask: Ask) -> Answer:
    """Answer with all series, as OpenMetrics to those who can read it."""
    accepts_openmetrics = _OPENMETRICS in ask.headers.get("accept", "")
    content_type, body = await services.metrics.render_in_turns(_OPENMETRICS if accepts_openmetrics else "")
    return Answer(HTTPStatus.OK, body, content_type, UNCACHED)


async def serve_status(services: Services, ask: Ask) -> Answer:
    """Answer with how the daemon and the caller's secrets stand; with the quotas where the caller is admin."""
    access, readiness = services.permits.access, _readiness(services)
    status = {
        "version": __version__,
        "started_at": timestamp(services.started_at),
        "now": timestamp(services.engine.readings.clock.wall()),
        "healthy": not services.engine.refresher.stalled(),
        "start_estimate_seconds": round(services.outlook.start_seconds, 1),
        **readiness,
        "unready": [each for each in readiness["unready"] if access.may_read(ask.caller, each["name"])],
    }
    if access.is_admin(ask.caller):
        readings = services.guard.readings()
        status["quotas"] = [_quota(reading) for reading in readings]
        status["usage"] = [usage._asdict() for usage in services.metrics.usage()]
        status["polling"] = _polling(services.engine.refresher.behind(), readings)
        if leasing := services.guard.leasing:
            status["fleet"] = _fleet(leasing.reading(), services.engine.readings.clock.wall())
        status["files"] = [_file(reading) for reading in services.files()]
        status["budget"] = _budget(services.outlook.stretch)
    secrets = [to_json(describe(services, target)) async for target in visible(services, ask)]
    return Answer(HTTPStatus.OK, f'{to_json(status)[:-1]}, "secrets": [{", ".join(secrets)}]}}'.encode(), JSON)


class Readiness(TypedDict):
    """Whether the daemon is ready, and if not, why."""

    ready: bool
    stopping: bool
    unready: list[dict[str, str]]


def _readiness(services: Services) -> Readiness:
    stopping = services.patience.ended
    unready = [{"name": each.name, "reason": each.reason} for each in services.engine.readings.unready()]
    return {"ready": not unready and not stopping, "stopping": stopping, "unready": unready}


def _polling(behind: float, readings: Sequence[QuotaReading]) -> dict[str, object]:
    """Say by how much intervals stretch, and which quotas checks wait for."""
    waits_for = [
        {"account": each.scope.account, "region": each.scope.region, "quota": each.quota}
        for each in readings
        if each.waiting
    ]
    return {"behind_seconds": round(behind, 1), "waits_for": waits_for}


def _budget(stretch: Stretch | None) -> dict[str, object] | None:
    if stretch is None:
        return None
    return {
        "dollars_per_month": stretch.budget,
        "configured_dollars_per_month": stretch.wanted,
        "planned_dollars_per_month": stretch.dollars,
        "stretch": stretch.factor,
        "kept": stretch.kept,
        "intervals": [{"configured": each.wanted, "now": each.kept} for each in stretch.intervals],
    }


def _quota(reading: QuotaReading) -> dict[str, object]:
    return {
        "account": reading.scope.account,
        "region": reading.scope.region,
        "quota": reading.quota,
        "limit": reading.limit,
        "ceiling": reading.ceiling,
        "rate": reading.rate,
        "used": reading.used,
        "waiting": reading.waiting,
        "throttled": reading.throttled,
        "refused": reading.refused,
        "leased": reading.leased,
    }


def _file(reading: FileReading) -> dict[str, object]:
    return {
        "path": reading.path,
        "state": reading.state.value,
        "written_at": timestamp(reading.written_at),
        "reason": reading.why or None,
        "mend": reading.mend or None,
    }


def _fleet(reading: FleetReading, wall: float) -> dict[str, object]:
    return {
        "connected": reading.is_connected,
        "since": timestamp(wall - reading.seconds) if reading.seconds is not None else None,
        "members": reading.members,
        "reason": reading.why or None,
    }
