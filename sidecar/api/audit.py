"""Write down who asked for which secret and how that ended, where the configuration wants it. Never the value."""

import structlog

from sidecar.api.services import Services
from sidecar.core.access import Caller
from sidecar.core.errors import SidecarError
from sidecar.telemetry import events

log = structlog.get_logger()


def record(services: Services, caller: Caller, name: str, error: SidecarError | None) -> None:
    """Write one access down."""
    if services.audit:
        outcome = error.label if error else "ok"
        log.info(events.SECRET_ACCESSED, uid=caller.uid, gid=caller.gid, pid=caller.pid, name=name, outcome=outcome)
