import errno
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from sidecar.core.config.types import LogFormat, LogLevel
from sidecar.core.errors import Transient
from sidecar.core.secret import Plaintext
from sidecar.telemetry import logs

CANARY = "canary-7f3a"


class Log:
    """What has been written, read back as JSON."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def set_up(self, level: LogLevel = LogLevel.INFO, log_format: LogFormat | None = LogFormat.JSON) -> None:
        """Send lines here from now on."""
        logs.set_up_logs(level, log_format, self.stream)

    @property
    def text(self) -> str:
        """All that was written."""
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """Set logging up to write here, and put everything back as it was."""
    root = logging.getLogger()
    handlers, hook = root.handlers, sys.unraisablehook
    levels = {name: logging.getLogger(name).level for name in logs.LEAST}
    written = Log()
    written.set_up()
    yield written
    root.handlers, sys.unraisablehook = handlers, hook
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def raised(error: BaseException) -> BaseException:
    """Give the error with a traceback."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    return caught.value


class TestOurLines:
    """Events by their names, the rest as keys and values."""

    def test_one_json_object_a_line(self, log: Log) -> None:
        """With level and a UTC time."""
        structlog.get_logger().info("secret_changed", ref="ssm:/a", version="3")
        (line,) = log.lines
        assert line.pop("timestamp").endswith("Z")
        assert line == {"event": "secret_changed", "level": "info", "ref": "ssm:/a", "version": "3"}

    def test_for_the_eye(self, log: Log) -> None:
        """The console format shows the same, without colours where it is no terminal."""
        log.set_up(log_format=LogFormat.CONSOLE)
        structlog.get_logger().warning("check_failed", ref="ssm:/a", pages=2)
        assert "check_failed" in log.text
        assert "pages=2" in log.text
        assert "\x1b" not in log.text

    def test_json_unless_on_a_terminal(self, log: Log) -> None:
        """Where the configuration does not say, a terminal gets the console format, anything else JSON."""
        log.set_up(log_format=None)
        structlog.get_logger().info("daemon_started")
        assert log.lines[0]["event"] == "daemon_started"
        terminal = Terminal()
        logs.set_up_logs(LogLevel.INFO, None, terminal)
        structlog.get_logger().info("daemon_started")
        assert not terminal.getvalue().startswith("{")

    def test_less_urgent_lines_are_not_written(self, log: Log) -> None:
        """The level holds for ours, and for those of libraries."""
        log.set_up(LogLevel.WARNING)
        structlog.get_logger().info("secret_changed")
        logging.getLogger("botocore.credentials").info("found credentials")
        structlog.get_logger().warning("check_failed")
        assert [line["event"] for line in log.lines] == ["check_failed"]

    def test_a_second_set_up_holds_for_loggers_made_before(self, log: Log) -> None:
        """A reload may ask for another level."""
        logger = structlog.get_logger()
        logger.debug("one")
        log.set_up(LogLevel.DEBUG)
        logger.debug("two")
        assert [line["event"] for line in log.lines] == ["two"]


class Terminal(io.StringIO):
    """A stream that says that people read it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class TestWhatIsHidden:
    """Nothing that could quote a secret gets into a line."""

    def test_plaintexts_and_bytes(self, log: Log) -> None:
        """Wherever they stand in a value."""
        secret = Plaintext(CANARY.encode())
        structlog.get_logger().info(
            "oops", a=secret, b=CANARY.encode(), c=[bytearray(CANARY.encode()), {"d": memoryview(CANARY.encode())}]
        )
        assert CANARY not in log.text
        assert log.lines[0]["a"] == log.lines[0]["b"] == "***"
        assert log.lines[0]["c"] == ["***", {"d": "***"}]

    def test_objects_become_their_text(self, log: Log) -> None:
        """A ref prints as itself, nothing fails for want of JSON."""
        structlog.get_logger().info("done", ref=Spelt(), level=LogLevel.INFO, none=None, on=True)
        assert {key: log.lines[0][key] for key in ("ref", "none", "on")} == {"ref": "ssm:/a", "none": None, "on": True}

    def test_foreign_exceptions(self, log: Log) -> None:
        """A foreign text is left out; class and place are told, no traceback, no locals."""
        canary = raised(ValueError(f"bad value {CANARY}"))
        structlog.get_logger().error("check_crashed", exc_info=canary)
        structlog.get_logger().error("check_crashed", error=canary)
        assert CANARY not in log.text
        first, second = log.lines
        assert first["error"] == second["error"] == "ValueError"
        assert first["at"].startswith("tests.telemetry.test_logs:")
        assert "Traceback" not in log.text

    def test_the_exception_being_handled(self, log: Log) -> None:
        """`exc_info=True` and `exception()` tell it in the same way."""
        int_of: dict[str, int] = {}
        try:
            int_of[CANARY]
        except KeyError:
            structlog.get_logger().exception("check_crashed")
            structlog.get_logger().error("check_crashed", exc_info=True)
        structlog.get_logger().error("check_crashed", exc_info=True)
        assert [line.get("error") for line in log.lines] == ["KeyError", "KeyError", None]
        assert CANARY not in log.text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Transient("ssm:/a: nobody answered"), "Transient: ssm:/a: nobody answered"),
        (ConnectionRefusedError(errno.ECONNREFUSED, CANARY), "ConnectionRefusedError: Connection refused"),
        (OSError(CANARY), "OSError"),
        (
            ExceptionGroup(CANARY, [ValueError(CANARY), Transient("slow")]),
            "ExceptionGroup(ValueError, Transient: slow)",
        ),
    ],
)
def test_an_exception_is_told_without_foreign_text(error: BaseException, text: str) -> None:
    """Our own message, the system's word for an error number, or the class alone."""
    assert logs.told(error) == text


class Full(io.StringIO):
    """A stream that takes no more: a disk that is full, or a pipe whose reader has gone."""

    def write(self, _text: str) -> int:
        """Take nothing."""
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_line_that_cannot_be_written_is_lost(log: Log, log_format: LogFormat) -> None:
    """It is not raised: values are worth more than lines."""
    log.stream = Full()
    log.set_up(log_format=log_format)
    structlog.get_logger().error("check_failed")
    logging.getLogger("lib").error("so does this")
    assert log.text == ""


class Spelt:
    """Something with a text of its own."""

    def __str__(self) -> str:
        return "ssm:/a"


class TestLibraries:
    """What they log comes out in our format, one harmless line each."""

    @pytest.mark.parametrize(
        "name", ["botocore.parsers", "aiobotocore.httpsession", "urllib3.connectionpool", "asyncio"]
    )
    def test_debug_lines_are_never_written(self, log: Log, name: str) -> None:
        """Not even at level debug: botocore prints bodies there."""
        log.set_up(LogLevel.DEBUG)
        logging.getLogger(name).debug("Response body:\n%s", CANARY)
        assert log.text == ""

    def test_a_line(self, log: Log) -> None:
        """Who logged it, and what."""
        logging.getLogger("botocore.credentials").info("Found credentials in %s.", "the environment")
        (line,) = log.lines
        assert line["event"] == "library_logged"
        assert line["logger"] == "botocore.credentials"
        assert line["message"] == "Found credentials in the environment."

    def test_what_is_no_news_is_written_once(self, log: Log) -> None:
        """The same words of the same library are left out later on, but for warnings and what is worse."""
        for name in ("lib", "other", "lib"):
            logging.getLogger(name).info("Found it in %s.", "the environment")
        logging.getLogger("lib").info("Found it in %s.", "a file")
        logging.getLogger("lib").info("Found it in %s.", "the environment")
        for _ in range(2):
            logging.getLogger("lib").warning("careful")
        assert [(line["logger"], line["message"]) for line in log.lines] == [
            ("lib", "Found it in the environment."),
            ("other", "Found it in the environment."),
            ("lib", "Found it in a file."),
            ("lib", "careful"),
            ("lib", "careful"),
        ]

    def test_a_library_that_always_finds_new_words(self, log: Log) -> None:
        """What is remembered has a bound; beyond it every line is written."""
        messages = [*map(str, range(logs.MOST_SAID)), "one more", "one more"]
        for message in messages:
            logging.getLogger("lib").info(message)
        assert [line["message"] for line in log.lines] == messages

    @pytest.mark.parametrize(
        "tell",
        [
            lambda lib, error: lib.error("it failed: %s", error),
            lambda lib, error: lib.error("it failed: %(e)s", {"e": error}),
            lambda lib, error: lib.error(error),
            lambda lib, error: lib.error("it failed", exc_info=error),
            lambda lib, _error: lib.error("it failed: %s", CANARY.encode()),
            lambda lib, _error: lib.error("it failed\n%s", CANARY),
        ],
    )
    def test_what_they_quote_is_left_out(self, log: Log, tell: Callable[[logging.Logger, Exception], None]) -> None:
        """Exceptions among the arguments, as the message, as exc_info; bytes; a second line."""
        tell(logging.getLogger("lib"), ValueError(CANARY))
        assert CANARY not in log.text
        assert len(log.lines) == 1

    def test_asyncio_appends_reprs(self, log: Log) -> None:
        """Of callbacks, tasks and their exceptions; what happened stands before them."""
        error = ValueError(CANARY)
        logging.getLogger("asyncio").error(f"Exception in callback f({CANARY!r})\nhandle: {CANARY}", exc_info=error)  # noqa: G004
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %s", CANARY)
        assert [line["message"] for line in log.lines] == [
            "Exception in callback f",
            "Task exception was never retrieved",
        ]
        assert log.lines[0]["error"] == "ValueError"
        assert CANARY not in log.text

    def test_a_template_that_does_not_fit(self, log: Log) -> None:
        """It is written as it stands; a library's slip stops nothing."""
        record = logging.makeLogRecord({"name": "lib", "msg": "%d left", "args": (ValueError(CANARY),), "levelno": 40})
        logs.LibraryLines().emit(record)
        assert log.lines[0]["message"] == "%d left"

    def test_an_empty_message(self, log: Log) -> None:
        """It is a line all the same."""
        logging.getLogger("lib").error("")
        assert log.lines[0]["message"] == ""

    def test_warnings(self, log: Log) -> None:
        """A deprecation does not break the format."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert log.lines[0]["logger"] == "py.warnings"

    def test_exceptions_that_nobody_can_raise(self, log: Log) -> None:
        """One in a destructor is told like any other."""
        doomed = Doomed()
        del doomed
        (line,) = log.lines
        assert line["event"] == "exception_ignored"
        assert line["error"] == "ValueError"
        assert CANARY not in log.text


class Doomed:
    """Cannot end without complaint."""

    def __del__(self) -> None:
        raise ValueError(CANARY)
