"""`sidecar version`."""

import click

from sidecar import __version__


@click.command("version", epilog="Example: sidecar version")
def command() -> None:
    """Print the program's version."""
    click.echo(f"sidecar {__version__}")
