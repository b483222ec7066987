"""Hold the options that several commands share."""

from pathlib import Path

import click

from sidecar.core.config.units import Unwanted, parse_duration
from sidecar.core.refs import Context


def read_seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read a duration as the configuration writes them; None stays None."""
    try:
        return None if value is None else parse_duration(value)
    except Unwanted as error:
        raise click.BadParameter(str(error)) from error


def read_context(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> Context:
    """Read an encryption context: each pair once."""
    pairs: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter("want k=v, such as app=web")
        if not text.isprintable() and any("\ud800" <= each <= "\udfff" for each in text):
            raise click.BadParameter("want UTF-8 text")
        if name in pairs:
            raise click.BadParameter("want each name once")
        pairs[name] = value
    return tuple(sorted(pairs.items()))


socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    help="The daemon's socket. Else $SIDECAR_SOCKET, the configuration's, .sidecar/sidecar.sock, "
    "/run/sidecar/sidecar.sock.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration. Else $SIDECAR_CONFIG, ./sidecar.yaml, /etc/sidecar/sidecar.yaml.",
)

wait_option = click.option(
    "--wait",
    callback=read_seconds,
    metavar="DURATION",
    default="10s",
    show_default=True,
    help="How long the daemon may wait for AWS where nothing is held.",
)

alone_option = click.option("--alone", is_flag=True, help="Ask KMS straight, even where there is a daemon.")

context_option = click.option(
    "--context",
    multiple=True,
    callback=read_context,
    metavar="K=V",
    help="A pair of the encryption context, which is no secret; as often as there are pairs.",
)
