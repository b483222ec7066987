"""`sidecar run`: the daemon."""

import signal
from pathlib import Path

import click

from sidecar.cli.options import config_option
from sidecar.footprint import small_imports


@click.command("run", epilog="Example: sidecar run --config sidecar.yaml")
@config_option
def command(config: Path | None) -> None:
    """Run the daemon until SIGTERM; SIGHUP reloads its configuration.

    Everything can also be configured by the environment: SIDECAR_SECRETS="db=sm:prod/db#password" is enough.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the daemon listens to it: a start reads the newest file anyway
    with small_imports():
        from sidecar.cli.daemon import run_configured  # noqa: PLC0415 -- the whole daemon, only for those who run it

    run_configured(config)
