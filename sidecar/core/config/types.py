"""Give pydantic the types of the configuration: how each is read, printed, and described to editors.

A value comes as text (or None) whether it stands in YAML or in a variable; `units`, `refs` and `names` read it.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from sidecar.core import names, refs, spellings
from sidecar.core.config import units
from sidecar.core.config.units import Unwanted, unwanted
from sidecar.core.errors import BadName, BadRef
from sidecar.core.keys import PATTERN as KEY_PATTERN
from sidecar.core.keys import KeyPattern, parse_pattern
from sidecar.core.ports import Decrypt
from sidecar.core.quotas import QUOTAS
from sidecar.core.refs import Ref, SourceKind, Tree
from sidecar.core.settling import Wait

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def _scalar(want: str, parse: Callable[[str], T], *ready: type) -> PlainValidator:
    """Make a validator of a reader of text; `want` is for what is no text at all.

    What is of a `ready` type was made by code, not read, and is taken as it is.
    """

    def read(value: object) -> object:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, ready):
            return value
        raise unwanted(want, value)

    return PlainValidator(read)


def _text_schema(pattern: str, *examples: str) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string", "pattern": pattern}
    return {**schema, "examples": list(examples)} if examples else schema


# --- durations and numbers -----------------------------------------------------------------------------------------

_SECOND: Final = 1.0


def _at_least_a_second(seconds: float) -> float:
    if seconds < _SECOND:
        raise Unwanted(f"want at least 1s, got {units.duration_text(seconds)}")
    return seconds


Duration = Annotated[
    float,
    _scalar("a duration such as 30s", units.parse_duration, float, int),
    PlainSerializer(units.duration_text),
    WithJsonSchema(_text_schema(units.DURATION_PATTERN, "30s", "5m")),
]
"""Seconds, from 0."""

Interval = Annotated[Duration, AfterValidator(_at_least_a_second)]
"""Seconds, from 1."""

Share = Annotated[
    float,
    _scalar("a part such as 10%", units.parse_share, float, int),
    PlainSerializer(units.share_text),
    WithJsonSchema(
        {
            "anyOf": [
                _text_schema(units.SHARE_PATTERN, "10%"),
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            ]
        }
    ),
]
"""A fraction of something, more than 0 and at most 1."""

Count = Annotated[
    int,
    _scalar("a whole number of at least 1", units.parse_count, int),
    WithJsonSchema({"type": "integer", "minimum": 1}),
]

CountOrNone = Annotated[
    int,
    _scalar("a whole number", units.parse_count_or_none, int),
    WithJsonSchema({"type": "integer", "minimum": 0}),
]
"""A whole number; 0 switches off what it limits."""

Size = Annotated[
    int,
    _scalar("a size such as 100MiB", units.parse_size, int),
    PlainSerializer(units.size_text),
    WithJsonSchema({"anyOf": [_text_schema(units.SIZE_PATTERN, "16MiB", "512KiB"), {"type": "integer", "minimum": 0}]}),
]
"""Bytes."""

Rate = Annotated[
    float,
    _scalar("a number above 0, per second", units.parse_rate, float, int),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]

Budget = Annotated[
    float,
    _scalar("dollars a month such as $5/month", units.parse_budget, float, int),
    PlainSerializer(units.budget_text),
    WithJsonSchema(_text_schema(units.BUDGET_PATTERN, "$5/month")),
]
"""Dollars a month, more than 0."""

Switch = Annotated[bool, _scalar("true or false", units.parse_switch, bool), WithJsonSchema({"type": "boolean"})]


# --- the machine ---------------------------------------------------------------------------------------------------

UnixPath = Annotated[
    str,
    _scalar("the path of a socket", units.parse_unix_path),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": units.MAX_UNIX_PATH}),
]

Mode = Annotated[
    int,
    _scalar('three octal digits such as "0660"', units.parse_mode, int),
    PlainSerializer(units.mode_text),
    WithJsonSchema({"anyOf": [_text_schema(units.MODE_PATTERN, "0660"), {"type": "integer", "minimum": 0}]}),
]

TcpAddress = Annotated[
    units.Address,
    _scalar("host:port such as 127.0.0.1:9102", units.parse_address, units.Address),
    PlainSerializer(str),
    WithJsonSchema(_text_schema(units.ADDRESS_PATTERN, "127.0.0.1:9102", "[::1]:9102")),
]

Account = Annotated[
    int | str,
    _scalar("a number or a name known to the system", units.parse_account, int),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _text_schema(units.ACCOUNT_PATTERN, "app")]}),
]
"""A user or group: its number, or the name that the system has for it."""


# --- the fleet -----------------------------------------------------------------------------------------------------

StoreAddress = Annotated[
    units.StoreUrl,
    _scalar("the address of a store such as redis://host:6379", units.parse_store, units.StoreUrl),
    PlainSerializer(str),
    WithJsonSchema(_text_schema(units.STORE_PATTERN, "redis://redis.internal:6379/0", "dynamodb://sidecar-fleet")),
]
"""Where a fleet's leases are kept; what is wrong is not repeated, and what is right not printed whole."""

FleetName = Annotated[
    str,
    _scalar("a name", units.parse_fleet_name),
    WithJsonSchema(_text_schema(units.FLEET_NAME_PATTERN, "prod")),
]

FilePath = Annotated[
    str,
    _scalar("the path of a file", units.parse_absolute_path),
    WithJsonSchema(_text_schema("^/", "/var/run/secrets/redis-password")),
]


# --- secrets -------------------------------------------------------------------------------------------------------


def _parse_name(text: str) -> names.Name:
    try:
        return names.parse_name(text)
    except BadName as error:
        raise Unwanted(f"{error}. {error.mend}") from None


def _parse_ref(text: str) -> Ref:
    try:
        return spellings.parse_any(text)
    except BadRef as error:
        raise Unwanted(f"{error}. {error.mend}") from None


def _parse_tree(text: str) -> Tree:
    try:
        return refs.parse_tree(text)
    except BadRef as error:
        raise Unwanted(f"{error}. {error.mend}") from None


SecretName = Annotated[
    str,
    _scalar("a name", _parse_name),
    WithJsonSchema({"type": "string", "pattern": names.NAME_PATTERN, "maxLength": names.MAX_BYTES}),
]

SecretRef = Annotated[
    Ref,
    _scalar("a reference such as sm:prod/db#password", _parse_ref, Ref),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": refs.MAX_CIPHERTEXT,
            "examples": ["sm:prod/db#password", "ssm:/prod/api-key"],
        }
    ),
]


def _parse_key(text: str) -> KeyPattern:
    pattern = parse_pattern(text)
    if pattern is None:
        raise unwanted(
            "a key's ARN, an alias (alias/name or its ARN), or arn:aws:kms:*:111122223333:* for an account", text
        )
    return pattern


KeyChoice = Annotated[
    KeyPattern,
    _scalar("a key's ARN, an alias or an account's keys", _parse_key, KeyPattern),
    PlainSerializer(lambda pattern: pattern.text),
    WithJsonSchema(
        _text_schema(
            KEY_PATTERN, "arn:aws:kms:eu-west-1:111122223333:key/*", "arn:aws:kms:*:111122223333:*", "alias/app"
        )
    ),
]
"""Which KMS keys may be used."""

TreePath = Annotated[
    Tree,
    _scalar("a path such as ssm:/prod/app/", _parse_tree, Tree),
    PlainSerializer(str),
    WithJsonSchema(_text_schema("^ssm:/", "ssm:/prod/app/")),
]


def ref_as_mapping(value: object) -> object:
    """Let a lone reference stand for `{ref: …}`."""
    return {"ref": value} if isinstance(value, str) else value


# --- files ---------------------------------------------------------------------------------------------------------

OutputPath = Annotated[
    str,
    _scalar("the path of a file", units.parse_output_path),
    WithJsonSchema(_text_schema("^/", "/run/secrets/db.env")),
]


def _parse_named_field(text: str) -> str:
    name, hash_sign, field = text.partition("#")
    if hash_sign and not field:
        raise Unwanted("want a field behind '#', or no '#'")
    return f"{_parse_name(name)}{hash_sign}{field}"


SecretOrField = Annotated[
    str,
    _scalar("a name, or name#field", _parse_named_field),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["db-password", "db#password"]}),
]
"""What is declared by this name, or one field of it."""

Text = Annotated[str, _scalar("text", str), WithJsonSchema({"type": "string"})]

Settle = Annotated[
    Wait,
    _scalar("durations such as 2s:30s", units.parse_wait, Wait),
    PlainSerializer(units.wait_text),
    WithJsonSchema(_text_schema(units.WAIT_PATTERN, "2s:30s")),
]

SignalName = Annotated[
    str,
    _scalar("a signal such as HUP", units.parse_signal),
    WithJsonSchema({"enum": [*units.SIGNALS, *(f"SIG{name}" for name in units.SIGNALS)]}),
]


def none_is_nothing(value: object) -> object:
    """Let the word `none` say that nothing is wanted."""
    if isinstance(value, str) and value != "none":
        raise unwanted("none, or whom to tell: {signal: …}, {exec: …} or {http: …}", value)
    return None if value == "none" else value


# --- text ----------------------------------------------------------------------------------------------------------

_REGION_PATTERN: Final = r"^[a-z]+(-[a-z]+)+-[0-9]+$"
_ROLE_PATTERN: Final = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$"
_EXTERNAL_ID_PATTERN: Final = r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$"  # as sts:AssumeRole has it


def _matching(pattern: str, want: str) -> PlainValidator:
    """Make a validator of a pattern; a text that does not match is repeated, cut short."""
    matches = re.compile(pattern).fullmatch

    def parse(text: str) -> str:
        if matches(text):
            return text
        raise unwanted(want, text)

    return _scalar(want, parse)


def _parse_url(text: str) -> str:
    # Not repeated when wrong: a URL is where people put passwords.
    try:
        parts = urlsplit(text)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or "@" in text or _NOT_PRINTED.search(text):
        raise Unwanted("want http://host or https://host, with a port where needed and without user or password")
    return text


_NOT_PRINTED: Final = re.compile(r"[^!-~]")

Glob = Annotated[
    str,
    _matching(r"[^\x00-\x1f\x7f]+", 'a glob such as "db-*"'),
    WithJsonSchema({"type": "string", "minLength": 1}),
]

IdentityName = Annotated[
    str,
    _matching(refs.IDENTITY_PATTERN, "letters, digits, '.', '_' and '-', 64 at most"),
    WithJsonSchema({"type": "string", "pattern": refs.IDENTITY_PATTERN}),
]

Region = Annotated[
    str,
    _matching(_REGION_PATTERN, "a region such as eu-west-1"),
    WithJsonSchema(_text_schema(_REGION_PATTERN, "eu-west-1")),
]

Profile = Annotated[
    str,
    _matching(r"[^\x00-\x1f\x7f]+", "the name of a profile"),
    WithJsonSchema({"type": "string", "minLength": 1}),
]

RoleArn = Annotated[
    str,
    _matching(_ROLE_PATTERN, "the ARN of a role, arn:aws:iam::123456789012:role/name"),
    WithJsonSchema(_text_schema(_ROLE_PATTERN, "arn:aws:iam::123456789012:role/reader")),
]


def _parse_external_id(text: str) -> str:
    if not _EXTERNAL_ID.fullmatch(text):
        raise Unwanted("want 2 to 1224 letters, digits and _+=,.@:/-")  # and no word of what it is: some keep it secret
    return text


_EXTERNAL_ID: Final = re.compile(_EXTERNAL_ID_PATTERN)

ExternalId = Annotated[
    str,
    _scalar("text", _parse_external_id),
    WithJsonSchema(_text_schema(_EXTERNAL_ID_PATTERN)),
]

Url = Annotated[
    str,
    _scalar("a URL", _parse_url),
    WithJsonSchema(_text_schema("^https?://", "http://127.0.0.1:4566")),
]


def _parse_quota(text: str) -> str:
    if text not in QUOTAS and not _OPERATION.fullmatch(text):
        raise unwanted(f"one of {', '.join(sorted(QUOTAS))}, or service.Operation", text)
    return text


_OPERATION_PATTERN: Final = r"^[a-z]+\.[A-Z][A-Za-z]+$"
_OPERATION: Final = re.compile(_OPERATION_PATTERN)

QuotaName = Annotated[
    str,
    _scalar("a quota", _parse_quota),
    WithJsonSchema({"anyOf": [{"enum": sorted(QUOTAS)}, _text_schema(_OPERATION_PATTERN, "sts.AssumeRole")]}),
]


# --- choices -------------------------------------------------------------------------------------------------------


class PerSecret(StrEnum):
    """Whether metrics have a series for each declared secret."""

    AUTO = "auto"  # while there are few
    ON = "on"
    OFF = "off"


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least urgent lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _choice(kind: type[E], also: Mapping[str, E] = MappingProxyType({})) -> PlainValidator:
    want = f"one of {', '.join(kind)}"
    choices = {**{choice.value: choice for choice in kind}, **also}

    def parse(text: str) -> E:
        if text not in choices:
            raise unwanted(want, text)
        return choices[text]

    return _scalar(want, parse)


def _choice_schema(kind: type[StrEnum], *, also: tuple[object, ...] = ()) -> WithJsonSchema:
    return WithJsonSchema({"enum": [*(choice.value for choice in kind), *also]})


DecryptChoice = Annotated[Decrypt, _choice(Decrypt), PlainSerializer(str), _choice_schema(Decrypt)]
SourceChoice = Annotated[SourceKind, _choice(SourceKind), PlainSerializer(str), _choice_schema(SourceKind)]
PerSecretChoice = Annotated[
    PerSecret,
    _choice(PerSecret, {"true": PerSecret.ON, "false": PerSecret.OFF}),  # what templates make of an unquoted on
    PlainSerializer(str),
    _choice_schema(PerSecret, also=(True, False)),
]
LogFormatChoice = Annotated[LogFormat, _choice(LogFormat), PlainSerializer(str), _choice_schema(LogFormat)]
LogLevelChoice = Annotated[LogLevel, _choice(LogLevel), PlainSerializer(str), _choice_schema(LogLevel)]
