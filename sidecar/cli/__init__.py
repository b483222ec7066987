"""Turn arguments into a daemon or into a question to one, and how it ended into an exit code.

A command's module is imported when the command is asked for: `sidecar status --ready` runs in every container's
health check, so it must not pay for the daemon. Must not decide anything that a library would.
"""

from importlib import import_module
from typing import Final

import click

from sidecar import __version__

_MODULES: Final = {
    "run": "sidecar.cli.run",
    "dev": "sidecar.cli.dev",
    "get": "sidecar.cli.get",
    "list": "sidecar.cli.list",
    "status": "sidecar.cli.status",
    "refresh": "sidecar.cli.refresh",
    "watch": "sidecar.cli.watch",
    "encrypt": "sidecar.cli.encrypt",
    "decrypt": "sidecar.cli.decrypt",
    "plan": "sidecar.cli.plan",
    "policy": "sidecar.cli.policy",
    "config": "sidecar.cli.config",
    "version": "sidecar.cli.version",
}
"""Where each command is; it is called `command` there."""

INTERRUPTED: Final = 130
"""The exit code of what Ctrl-C ends, as shells have it."""


class Commands(click.Group):
    """The commands, each imported when it is asked for, all ending in the same way."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Name them, the daemon's first."""
        return [*_MODULES]  # `list` is a command here, once it is imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- likewise
        """Import one."""
        if cmd_name not in _MODULES:
            return None
        command = import_module(_MODULES[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run one; whatever goes wrong becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise  # click ends these as it should: quietly
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 -- a traceback helps nobody and may quote a secret
            from sidecar.cli.exits import exit_of, line_of  # noqa: PLC0415 -- only for what goes wrong

            click.echo(f"sidecar: {line_of(error)}", err=True)
            ctx.exit(exit_of(error))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: sidecar dev",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Keep an app's AWS secrets fresh and serve them on a Unix socket."""
