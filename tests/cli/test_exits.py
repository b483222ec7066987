import click
import pytest

from sidecar import client
from sidecar.cli.exits import Exit, exit_of, exit_of_reason, line_of, root_of
from sidecar.core.errors import (
    BadContext,
    BadField,
    BadKeyId,
    BadSize,
    CallerDenied,
    ConfigError,
    KeyDisabled,
    KeyNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Transient,
    WrongKey,
)


def raised(error: Exception) -> Exception:
    """Give the error with a traceback."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    return caught.value


PROBLEMS = ConfigError([Problem("sidecar.yaml line 4", "cache.refresh", "want at least 1s"), Problem("", "x", "no")])

CASES = [
    (client.ClientError("odd"), Exit.FAILED, "odd."),
    (client.Unfit("db: no such field", mend="Mend it."), Exit.FAILED, "db: no such field. Mend it."),
    (client.BadQuestion("this is no name.", mend="Use letters."), Exit.MISUSED, "this is no name. Use letters."),
    (client.NotFound("db: no such secret"), Exit.NOT_FOUND, "db: no such secret."),
    (client.Refused("db: may not"), Exit.REFUSED, "db: may not."),
    (client.UntrustedSocket("not yours"), Exit.REFUSED, "not yours."),
    (client.Unavailable("AWS is away"), Exit.UNAVAILABLE, "AWS is away."),
    (client.NoDaemon("nobody"), Exit.UNAVAILABLE, "nobody."),
    (
        PROBLEMS,
        Exit.MISUSED,
        "2 problems\n  sidecar.yaml line 4, cache.refresh: want at least 1s\n  x: no\n" + ConfigError.mend,
    ),
    (Transient("slow", mend="Wait."), Exit.UNAVAILABLE, "slow. Wait."),
    (BadKeyId("no key", mend=""), Exit.MISUSED, "no key."),
    (BadSize("too short", mend=""), Exit.MISUSED, "too short."),
    (BadContext("too long", mend=""), Exit.MISUSED, "too long."),
    (CallerDenied("not you", mend=""), Exit.REFUSED, "not you."),
    (KeyNotAllowed("not that", mend=""), Exit.REFUSED, "not that."),
    (KeyDisabled("off", mend=""), Exit.REFUSED, "off."),
    (NotFound("gone", mend=""), Exit.NOT_FOUND, "gone."),
    (WrongKey("another", mend=""), Exit.FAILED, "another."),
    (TooLarge("much", mend=""), Exit.FAILED, "much."),
    (BadField("none", mend=""), Exit.FAILED, "none."),
    (click.UsageError("no such thing"), Exit.MISUSED, "no such thing."),
    (click.ClickException("not installed"), Exit.FAILED, "not installed"),
    (ExceptionGroup("many", [ExceptionGroup("more", [PROBLEMS]), ValueError()]), Exit.MISUSED, line_of(PROBLEMS)),
]


@pytest.mark.parametrize(("error", "code", "line"), CASES)
def test_each_error_has_a_code_and_a_line(error: Exception, code: Exit, line: str) -> None:
    """Scripts read the first, people the second."""
    assert exit_of(error) is code
    assert line_of(error) == line


def test_a_fault_of_ours_says_where_but_not_what() -> None:
    """Its text is not ours, and may quote a secret."""
    error = raised(ValueError("canary"))
    assert exit_of(error) is Exit.FAILED
    assert line_of(error).startswith("ValueError at tests.cli.test_exits:")
    assert "canary" not in line_of(error)
    assert line_of(ValueError("canary")).startswith("ValueError at start")


def test_a_group_is_told_by_its_first() -> None:
    """One task failed, and the rest was cancelled for it."""
    first = ValueError()
    assert root_of(ExceptionGroup("many", [first, KeyError()])) is first


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("not_found", Exit.NOT_FOUND),
        ("access_denied", Exit.REFUSED),
        ("key_unusable", Exit.REFUSED),
        ("refused", Exit.REFUSED),
        ("undecryptable", Exit.FAILED),
        ("throttled", Exit.UNAVAILABLE),
        ("pending", Exit.UNAVAILABLE),
    ],
)
def test_a_reason_has_the_code_of_its_error(reason: str, code: Exit) -> None:
    """What the daemon could not confirm ends as if it had been asked for."""
    assert exit_of_reason(reason) is code
