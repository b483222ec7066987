"""`sidecar dev`: the daemon and a fake AWS, for a laptop without either."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from sidecar.cli.options import read_seconds
from sidecar.cli.sockets import DEV_SOCKET

SEED: Final = Path("sidecar.dev.yaml")


@click.command("dev", epilog="Example: sidecar dev --throttle 5 --fail 0.2 --latency 100ms")
@click.option(
    "--seed",
    type=click.Path(path_type=Path),
    default=SEED,
    show_default=True,
    help="What the fake AWS holds; written from an example when it is missing. Edits show live.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="The daemon's configuration. Else the seed's `sidecar:` section."
)
@click.option("--socket", type=click.Path(path_type=Path), help=f"Where to listen.  [default: {DEV_SOCKET}]")
@click.option("--throttle", metavar="RATE", type=click.FloatRange(min=0), help="Let AWS's quotas be so many a second.")
@click.option("--fail", metavar="PART", type=click.FloatRange(0, 1), help="Let this part of AWS's answers be 5xx.")
@click.option("--latency", metavar="DURATION", callback=read_seconds, help="Let AWS take so much longer: 100ms.")
def command(  # noqa: PLR0913 -- one for each option
    *,
    seed: Path,
    config: Path | None,
    socket: Path | None,
    throttle: float | None,
    fail: float | None,
    latency: float | None,
) -> None:
    """Run the daemon and a fake AWS beside it: no account, no Docker, no configuration.

    The daemon is configured by the seed's `sidecar:` section, or by --config; ./sidecar.yaml is left alone.
    """
    if find_spec("moto") is None:
        raise click.ClickException("the fake AWS is not installed. pip install 'secrets-sidecar[dev]'")
    from sidecar.cli.playground import Wishes, play  # noqa: PLC0415 -- the whole daemon, only for those who run it

    asked = {"--throttle": throttle, "--fail": fail, "--latency": None if latency is None else f"{latency}s"}
    weather = [text for option, value in asked.items() if value is not None for text in (option, str(value))]
    play(Wishes(seed, config, socket, tuple(weather)))
