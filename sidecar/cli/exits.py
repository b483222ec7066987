"""Tell how a command ended: the one table from errors to exit codes, and the line that says what to do."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import click

from sidecar import client
from sidecar.core.errors import (
    BadContext,
    BadKeyId,
    BadSize,
    CallerDenied,
    ConfigError,
    SecretError,
    SidecarError,
    Transient,
)


class Exit(IntEnum):
    """What the exit codes mean, for scripts."""

    DONE = 0
    FAILED = 1
    MISUSED = 2  # wrong usage or configuration
    NOT_FOUND = 3
    REFUSED = 4
    UNAVAILABLE = 5


_EXITS: Final[Mapping[type[Exception], Exit]] = {
    client.BadQuestion: Exit.MISUSED,
    client.NotFound: Exit.NOT_FOUND,
    client.Refused: Exit.REFUSED,
    client.Unavailable: Exit.UNAVAILABLE,
    ConfigError: Exit.MISUSED,
    click.UsageError: Exit.MISUSED,
    BadKeyId: Exit.MISUSED,
    BadSize: Exit.MISUSED,
    BadContext: Exit.MISUSED,
    CallerDenied: Exit.REFUSED,
    Transient: Exit.UNAVAILABLE,
}

_REASONS: Final[Mapping[str, Exit]] = {
    "not_found": Exit.NOT_FOUND,
    "access_denied": Exit.REFUSED,
    "key_unusable": Exit.REFUSED,
    "refused": Exit.REFUSED,
    "undecryptable": Exit.FAILED,
    **dict.fromkeys(
        (
            "archived",
            "bad_customer_key",
            "grant_missing",
            "key_denied",
            "key_disabled",
            "key_not_allowed",
            "key_not_found",
            "key_other_account",
            "key_pending_deletion",
            "key_pending_import",
            "key_policy_denies",
            "key_wrong_region",
            "key_wrong_usage",
            "wrong_region",
        ),
        Exit.REFUSED,
    ),
    **dict.fromkeys(("bad_ciphertext", "too_large", "wrong_key"), Exit.FAILED),
}


def root_of(error: Exception) -> Exception:
    """Give the first error of a group: one task failed, the rest was cancelled for it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def exit_of(error: Exception) -> Exit:
    """Give the exit code for an error."""
    error = root_of(error)
    if isinstance(error, SecretError):
        return _REASONS.get(error.label, Exit.FAILED)
    return next((code for kind, code in _EXITS.items() if isinstance(error, kind)), Exit.FAILED)


def exit_of_reason(reason: str) -> Exit:
    """Give the exit code for why a value could not be confirmed, as the daemon words it."""
    return _REASONS.get(reason, Exit.UNAVAILABLE)


def line_of(error: Exception) -> str:
    """Say what went wrong and what to do; never the text of an exception that is not ours."""
    error = root_of(error)
    if isinstance(error, click.UsageError):
        return _sentences(error.format_message(), f"Try {error.ctx.command_path} --help." if error.ctx else "")
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ConfigError):
        return f"{error}\n{error.mend}"
    if isinstance(error, SidecarError):
        return _sentences(str(error), error.mend)
    if isinstance(error, client.ClientError):
        return _sentences(str(error), error.mend)
    return f"{type(error).__name__} at {_place(error)}: a fault of the program; please report it."


def _sentences(what: str, mend: str) -> str:
    return f"{what.rstrip('.')}. {mend}".rstrip()


def _place(error: Exception) -> str:
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_globals.get('__name__')}:{traceback.tb_lineno}" if traceback else "start"
