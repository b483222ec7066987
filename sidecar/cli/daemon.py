"""Run the daemon: read its configuration and start it. Imports all of it, so only `run` and `dev` import this."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from sidecar import app
from sidecar.api.sockets import allow_connections
from sidecar.app import Bound
from sidecar.cli.configured import read_config
from sidecar.core.config.models import Config
from sidecar.core.errors import SidecarError
from sidecar.hardening import harden
from sidecar.telemetry import events
from sidecar.telemetry.logs import set_up_logs

log = structlog.get_logger()


def run(
    read: Callable[[], Config],
    *,
    any_ops_port: bool = False,
    on_bound: Callable[[Bound, Config], None] = lambda _bound, _config: None,
) -> None:
    """Run the daemon with what `read` gives, again on SIGHUP, until SIGTERM or SIGINT.

    `on_bound` is called once the socket answers. Raises ConfigError when the first reading fails, and BindError.
    """
    weakness = harden()
    allow_connections()
    config = read()
    set_up_logs(config.log.level, config.log.format, sys.stderr)
    if weakness:
        log.warning(events.HARDENING_FAILED, why=weakness)
    try:
        app.main(config, load=read, any_ops_port=any_ops_port, on_bound=lambda bound: on_bound(bound, config))
    except SidecarError:
        raise  # told in one line by the command
    except Exception:
        log.critical(events.DAEMON_CRASHED, exc_info=True)
        raise


def run_configured(option: Path | None) -> None:
    """Run the daemon that the file and the environment configure; a reload looks for the file again."""
    run(lambda: read_config(option, os.environ))
