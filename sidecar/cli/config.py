"""`sidecar config`: what the configuration may hold."""

import json

import click


@click.group("config")
def command() -> None:
    """Tell about the configuration."""


@command.command(epilog="Example: sidecar config schema > sidecar.schema.json")
def schema() -> None:
    """Print the configuration's JSON Schema, for editors."""
    from sidecar.core.config.schema import schema as config_schema  # noqa: PLC0415 -- pydantic, only for this

    click.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))
