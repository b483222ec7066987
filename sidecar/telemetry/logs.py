"""Write events as lines, ours and the libraries', and keep out of them what could quote a secret.

An exception is told by its class and, where it is one of ours, its message; never by a foreign text, a traceback
or locals. Bytes and plaintexts are hidden. Must not choose what is told: the rooms do, with names from `events`.
"""

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from sidecar.core.config.types import LogFormat, LogLevel
from sidecar.core.errors import SidecarError
from sidecar.core.secret import Plaintext
from sidecar.telemetry import events

HIDDEN: Final = "***"

LEAST: Final[Mapping[str, int]] = {
    "": logging.DEBUG,
    "aiobotocore": logging.WARNING,
    "aiobotocore.credentials": logging.INFO,  # which of many places they were found in is worth a line
    "aiohttp": logging.WARNING,  # requests are counted and, if wanted, audited by ourselves
    "asyncio": logging.INFO,
    "boto3": logging.INFO,
    "botocore": logging.WARNING,  # its DEBUG lines hold response bodies, plaintext included
    "botocore.credentials": logging.INFO,
    "urllib3": logging.INFO,
}
"""The most talkative that each library may be, whatever level is configured."""

LONGEST_FOREIGN_LINE: Final = 300

MOST_SAID: Final = 256
"""So many lines of libraries are remembered, not to be written twice."""

DEEPEST: Final = 12
"""How many frames say where an exception came from."""


def set_up_logs(level: LogLevel, log_format: LogFormat | None, stream: TextIO) -> None:
    """Send every line to `stream`, as JSON or for the eye; called again (a reload), the new choice holds."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide,
            _renderer(log_format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: Lines(stream),
        cache_logger_on_first_use=False,  # a reload may change all this
    )
    _route_libraries(threshold)


class Lines(structlog.WriteLogger):
    """Writes lines; one that the stream does not take (a full disk, a reader that has gone) is lost.

    Raised, it would end whoever had something to tell, and with it the daemon that others live on.
    """

    def msg(self, message: str) -> None:
        """Write a line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warning = error = critical = msg


def hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make every value of a line printable and harmless, and an exception two harmless values."""
    exc_info = event.pop("exc_info", None)
    error = sys.exception() if exc_info is True else exc_info
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = error
        event["at"] = _way(error.__traceback__)
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return first | {key: _harmless(value) for key, value in event.items()}


def told(error: BaseException) -> str:
    """Tell an exception without what a library may have put into its text."""
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{name}({', '.join(told(part) for part in error.exceptions)})"
    if isinstance(error, SidecarError):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.errno:
        return f"{name}: {os.strerror(error.errno)}"
    return name


def _harmless(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, BaseException):
        return told(value)
    if isinstance(value, Plaintext | bytes | bytearray | memoryview):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _harmless(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_harmless(part) for part in value]
    return str(value)


def _way(traceback: TracebackType | None) -> str:
    steps = []
    while traceback:
        steps.append(f"{traceback.tb_frame.f_globals.get('__name__')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " > ".join(steps[-DEEPEST:])


def _renderer(log_format: LogFormat | None, stream: TextIO) -> Processor:
    if log_format is LogFormat.CONSOLE or (log_format is None and stream.isatty()):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, repr_native_str=True
        )
    return structlog.processors.JSONRenderer()


class LibraryLines(logging.Handler):
    """Takes what libraries log into our own lines: one line, without foreign exception texts."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        super().__init__()
        self._said: set[tuple[str, str]] = set()  # by whom, and what

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, unless it is no news: where credentials were found is said at each look."""
        message, level = _message(record), min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        if level <= logging.INFO and len(self._said) < MOST_SAID:
            if (record.name, message) in self._said:
                return
            self._said.add((record.name, message))
        structlog.get_logger().log(
            level, events.LIBRARY_LOGGED, logger=record.name, message=message, exc_info=record.exc_info
        )


def _message(record: logging.LogRecord) -> str:
    template = str(_harmless(record.msg))
    if record.name == "asyncio":  # it appends reprs of callbacks, tasks and their exceptions
        return template.partition("\n")[0].partition("<")[0].partition("(")[0].strip()
    arguments = _harmless(record.args or ())
    try:
        text = template % (tuple(arguments) if isinstance(arguments, list) else arguments) if arguments else template
    except (TypeError, ValueError, KeyError):
        text = template
    return (text.splitlines() or [""])[0][:LONGEST_FOREIGN_LINE]


def _route_libraries(threshold: int) -> None:
    root = logging.getLogger()
    root.handlers = [LibraryLines()]
    for name, least in LEAST.items():
        logging.getLogger(name).setLevel(max(threshold, least))
    logging.captureWarnings(capture=True)
    sys.unraisablehook = _tell_unraisable


def _tell_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger().error(events.EXCEPTION_IGNORED, exc_info=unraisable.exc_value)
