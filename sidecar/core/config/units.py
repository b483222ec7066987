"""Read and write the small words of the configuration: durations, parts, modes, addresses, users.

Every reader takes the text as the user wrote it, be it from YAML or from a variable, and raises Unwanted.
"""

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from sidecar.core.settling import LENGTHEN, Wait

_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGEST: Final = 3650 * 86400.0  # ten years: sums of a few such stay exact as floats
_SHOWN: Final = 40  # characters of a wrong value that are worth repeating
_MAX_ID: Final = 2**32 - 2  # the highest uid or gid; the next one means "none" to the system
_MAX_PORT: Final = 65535
MAX_UNIX_PATH: Final = 107  # sockaddr_un holds 108 bytes, one of them the closing NUL

SIGNALS: Final = ("ALRM", "CONT", "HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2", "WINCH")
"""What a program can be told by; each means the same wherever the daemon runs."""

DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
WAIT_PATTERN: Final = rf"{DURATION_PATTERN[:-1]}(:{DURATION_PATTERN[1:-1]})?$"
SIZE_PATTERN: Final = r"^[0-9]+(B|KiB|MiB|GiB)?$"
SHARE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?%$"
BUDGET_PATTERN: Final = r"^\$[0-9]+(\.[0-9]+)?/month$"
MODE_PATTERN: Final = r"^(0o)?0?[0-7]{3}$"
ADDRESS_PATTERN: Final = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
STORE_PATTERN: Final = (
    r"^((rediss?|valkeys?|unix)://[!-~]+|dynamodb://[A-Za-z0-9_.-]{3,255}(\?shards=([1-9]|[1-9][0-9]|1[0-9]{2}))?)$"
)
ACCOUNT_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*\$?$"

_DURATION: Final = re.compile(DURATION_PATTERN)
_SIZE: Final = re.compile(SIZE_PATTERN)
_BYTES: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_LARGEST: Final = 2**50
_SHARE: Final = re.compile(SHARE_PATTERN)
_BUDGET: Final = re.compile(BUDGET_PATTERN)
_MODE: Final = re.compile(MODE_PATTERN)
_ADDRESS: Final = re.compile(ADDRESS_PATTERN)
_ACCOUNT: Final = re.compile(ACCOUNT_PATTERN)
_STORE: Final = re.compile(STORE_PATTERN)
_REDIS_SPELLING: Final = re.compile("^valkey(s?)://")
FLEET_NAME_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
_FLEET_NAME: Final = re.compile(FLEET_NAME_PATTERN)
_DIGITS: Final = re.compile(r"[0-9]+")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?|\.[0-9]+")
_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Unwanted(ValueError):
    """A value that does not fit; the text says what would ("want …, got …")."""


def unwanted(want: str, got: object) -> Unwanted:
    """Say what was wanted and, in few characters, what came instead."""
    return Unwanted(f"want {want}, got {shown(got)}")


def shown(value: object) -> str:
    """Describe a value in a few printable characters."""
    if not isinstance(value, str) or not value:
        return kind_of(value)
    short = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    return short if short.isprintable() else repr(short)


def kind_of(value: object) -> str:
    """Say of what kind a value is, and no more."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "text"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on."""

    host: str  # without brackets
    port: int  # 0: any free one

    def __str__(self) -> str:
        """Spell it as the configuration does."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StoreKind(StrEnum):
    """What keeps a fleet's leases."""

    REDIS = "redis"
    DYNAMODB = "dynamodb"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where a fleet's store is. It may hold a password, so it shows neither that nor a user."""

    kind: StoreKind
    url: str = field(repr=False)  # as the store's library wants it; of a table, its name
    shards: int = 1  # ledgers among which a pool's members are dealt

    def __str__(self) -> str:
        """Spell it without user and password."""
        if self.kind is StoreKind.DYNAMODB:
            return f"dynamodb://{self.url}" + (f"?shards={self.shards}" if self.shards > 1 else "")
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def parse_duration(text: str) -> float:
    """Give the seconds of `250ms`, `30s`, `5m`, `1h` or `7d`."""
    if not _DURATION.fullmatch(text):
        raise unwanted("a duration such as 250ms, 30s, 5m, 1h or 7d", text)
    unit = text.lstrip("0123456789.")
    seconds = float(text.removesuffix(unit)) * _SECONDS[unit]
    if seconds > _LONGEST:
        raise unwanted("at most 3650d", text)
    return seconds


def parse_wait(text: str) -> Wait:
    """Give how long changes take to settle: `2s:30s` is the quiet and the most, `2s` four times as much at most."""
    quiet_text, colon, most_text = text.partition(":")
    try:
        quiet = parse_duration(quiet_text)
        at_most = parse_duration(most_text) if colon else quiet * LENGTHEN
    except Unwanted:
        raise unwanted("a quiet and a longest time such as 2s:30s", text) from None
    if at_most < quiet:
        raise unwanted("a longest time that is no shorter than the quiet", text)
    return Wait(quiet, at_most)


def wait_text(wait: Wait) -> str:
    """Spell it with both."""
    return f"{duration_text(wait.quiet)}:{duration_text(wait.at_most)}"


def duration_text(seconds: float) -> str:
    """Spell seconds in the largest unit that keeps them whole."""
    for unit, length in _SECONDS.items():
        count = round(seconds / length)
        if seconds and count * length == seconds:
            return f"{count}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"


def parse_size(text: str) -> int:
    """Give the bytes of `512B`, `16KiB`, `100MiB` or `1GiB`; a bare number is bytes."""
    if not _SIZE.fullmatch(text):
        raise unwanted("a size such as 512B, 16KiB, 100MiB or 1GiB", text)
    unit = text.lstrip("0123456789") or "B"
    size = int(text.removesuffix(unit)[:20]) * _BYTES[unit]
    if size > _LARGEST:
        raise unwanted("at most 1048576GiB", text)
    return size


def size_text(size: int) -> str:
    """Spell bytes in the largest unit that keeps them whole."""
    unit = next(unit for unit, length in _BYTES.items() if size and size % length == 0) if size else "B"
    return f"{size // _BYTES[unit]}{unit}"


def parse_share(text: str) -> float:
    """Give the fraction of `10%` or `0.1`: more than nothing, at most all."""
    if _SHARE.fullmatch(text):
        fraction = float(text[:-1]) / 100
    elif _DECIMAL.fullmatch(text):
        fraction = float(text)
    else:
        raise unwanted("a part such as 10% or 0.1", text)
    if not 0 < fraction <= 1:
        raise unwanted("more than 0% and at most 100%", text)
    return fraction


def share_text(fraction: float) -> str:
    """Spell a fraction as a percentage."""
    return f"{fraction * 100:.10g}%"


def parse_budget(text: str) -> float:
    """Give the dollars a month of `$5/month`: more than nothing."""
    dollars = float(text[1 : -len("/month")]) if _BUDGET.fullmatch(text) else 0.0
    if dollars <= 0 or not math.isfinite(dollars):
        raise unwanted("dollars a month, more than none, such as $5/month", text)
    return dollars


def budget_text(dollars: float) -> str:
    """Spell dollars a month, with cents where there are some."""
    return f"${dollars:.10g}/month"


def parse_store(text: str) -> StoreUrl:
    """Give the address of a fleet's store; one that is wrong is not repeated, as it may hold a password."""
    if text.startswith("dynamodb://") and _STORE.fullmatch(text):
        table, _, shards = text.removeprefix("dynamodb://").partition("?shards=")
        return StoreUrl(StoreKind.DYNAMODB, table, int(shards or 1))
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.path.strip("/") if parts.scheme == "unix" else parts.hostname) and parts.port != 0
        is_whole = is_whole and not parts.query and not parts.fragment
    except ValueError:
        is_whole = False
    if not is_whole or not _STORE.fullmatch(text) or text.startswith("dynamodb://"):
        raise Unwanted(
            "want redis://host:port/db, rediss:// for TLS, valkey:// or valkeys://, unix:///path, or dynamodb://table"
        )
    return StoreUrl(StoreKind.REDIS, _REDIS_SPELLING.sub(r"redis\1://", text))


def parse_fleet_name(text: str) -> str:
    """Give the name of a fleet: a part of the store's keys."""
    if not _FLEET_NAME.fullmatch(text):
        raise unwanted("letters, digits, '.', '_' and '-', 64 at most", text)
    return text


def parse_absolute_path(text: str) -> str:
    """Give the path of a file."""
    if not text.startswith("/") or not text.isprintable():
        raise unwanted("an absolute path", text)
    return text


def parse_output_path(text: str) -> str:
    """Give the path of something that is written: absolute, and plain enough to have a name to be told by."""
    path = parse_absolute_path(text)
    if {"", ".", ".."} & set(path.split("/")[1:]):
        raise unwanted("an absolute path without '.', '..' or a slash at its end", text)
    return path


def parse_signal(text: str) -> str:
    """Give the name of a signal without SIG."""
    name = text.upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise unwanted(f"one of {', '.join(SIGNALS)}", text)
    return name


def parse_mode(text: str) -> int:
    """Give the bits of a file mode in octal digits; YAML's unquoted 0660 comes here as text too."""
    if not _MODE.fullmatch(text):
        raise unwanted('three octal digits such as "0660"', text)
    return int(text, 8)


def mode_text(mode: int) -> str:
    """Spell a mode as chmod does."""
    return f"{mode:04o}"


def parse_address(text: str) -> Address:
    """Give host and port of `127.0.0.1:9102` or `[::1]:9102`."""
    if not _ADDRESS.fullmatch(text):
        raise unwanted("host:port such as 127.0.0.1:9102 or [::1]:9102", text)
    host, _, port = text.rpartition(":")
    if int(port) > _MAX_PORT:
        raise unwanted(f"a port of at most {_MAX_PORT}", text)
    return Address(host.strip("[]"), int(port))


def parse_account(text: str) -> int | str:
    """Give a uid or gid as number, the name of a user or group as text."""
    if _DIGITS.fullmatch(text):
        if len(text) > len(str(_MAX_ID)) or int(text) > _MAX_ID:
            raise unwanted(f"a uid or gid of at most {_MAX_ID}", text)
        return int(text)
    if not _ACCOUNT.fullmatch(text):
        raise unwanted("a number or a name known to the system", text)
    return text


def parse_count(text: str) -> int:
    """Give a whole number of at least 1."""
    if not _WHOLE.fullmatch(text) or int(text) < 1:
        raise unwanted("a whole number of at least 1", text)
    return int(text)


def parse_count_or_none(text: str) -> int:
    """Give a whole number, 0 too."""
    if not _WHOLE.fullmatch(text):
        raise unwanted("a whole number", text)
    return int(text)


def parse_rate(text: str) -> float:
    """Give a number per second, more than nothing."""
    rate = float(text) if _DECIMAL.fullmatch(text) else 0.0
    if rate <= 0 or not math.isfinite(rate):
        raise unwanted("a number above 0, per second", text)
    return rate


def parse_switch(text: str) -> bool:
    """Give true or false, in any of YAML's spellings."""
    if text.lower() not in _WORDS:
        raise unwanted("true or false", text)
    return _WORDS[text.lower()]


def parse_unix_path(text: str) -> str:
    """Take a path that a Unix socket can have."""
    if "\0" in text or not text or text.endswith("/"):
        raise unwanted("the path of a socket", text)
    if (length := len(text.encode(errors="surrogateescape"))) > MAX_UNIX_PATH:
        raise Unwanted(
            f"want a path of at most {MAX_UNIX_PATH} bytes, which is all that a Unix socket can have, got {length}"
        )
    return text
