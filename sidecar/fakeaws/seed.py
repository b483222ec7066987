"""Read the seed file: what the fake AWS holds when it starts, and what each edit of the file changes.

Pure: text in, a Seed or all its problems out; `changes` compares two. `planting` puts them into the stores.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import Final

import yaml

from sidecar.fakeaws.pairs import CURVES, RSA_SIZES, fits
from sidecar.fakeaws.wire import DEFAULT_ACCOUNT, DEFAULT_REGION

_SECTIONS: Final = ("keys", "parameters", "secrets", "objects")
_TYPES: Final = ("String", "StringList", "SecureString")
_STATES: Final = {
    "enabled": "Enabled",
    "disabled": "Disabled",
    "pending-deletion": "PendingDeletion",
    "pending-import": "PendingImport",
    "unavailable": "Unavailable",
}
_SPECS: Final = ("SYMMETRIC_DEFAULT", *RSA_SIZES, *CURVES)
_USAGES: Final = ("ENCRYPT_DECRYPT", "SIGN_VERIFY")


class Kind(StrEnum):
    """What an item is; keys are made first, and go last."""

    KEY = "keys"
    PARAMETER = "parameters"
    SECRET = "secrets"  # noqa: S105 -- the name of a section
    OBJECT = "objects"  # bucket/key


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an item is: one name of one kind in one account and region."""

    account: str
    region: str
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class KeyItem:
    """A KMS key behind an alias."""

    state: str = "Enabled"
    spec: str = "SYMMETRIC_DEFAULT"
    usage: str = "ENCRYPT_DECRYPT"
    shut_out: tuple[str, ...] = ()  # callers whom its policy does not admit


@dataclass(frozen=True, slots=True)
class ParameterItem:
    """A parameter's newest version."""

    value: str = field(repr=False)
    type: str = "String"
    key: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretItem:
    """A secret's current version."""

    value: str | bytes = field(repr=False)
    key: str | None = None
    replicas: tuple[str, ...] = ()
    shared: bool = False  # other accounts may read it


@dataclass(frozen=True, slots=True)
class ObjectItem:
    """An object's newest version, and what it is encrypted with: S3's own key unless it says otherwise."""

    value: bytes = field(repr=False)
    key: str | None = None  # SSE-KMS under this one
    sse_c: bytes | None = field(default=None, repr=False)  # SSE-C under this one, of the customer's
    envelope: str | None = None  # encrypted by the client under this one: an Encryption SDK message


Item = KeyItem | ParameterItem | SecretItem | ObjectItem


@dataclass(frozen=True, slots=True)
class Seed:
    """All that one seed file says, but for the daemon's own configuration."""

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    items: Mapping[Place, Item] = field(default_factory=dict)
    roles: Mapping[str, str | None] = field(default_factory=dict)  # ARN -> the external id it wants


class BadSeed(Exception):
    """The seed file cannot be used; `problems` says why, one line each."""

    def __init__(self, problems: list[str]) -> None:
        """Take every problem that was found."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def example() -> str:
    """Return the seed file that `sidecar dev` writes where there is none."""
    return files("sidecar.fakeaws").joinpath("example.yaml").read_text("utf-8")


def daemon_section(text: str) -> str | None:
    """Return the seed file's `sidecar:` section on the lines where it stands, None without one; raises BadSeed."""
    _load(text)
    document = yaml.compose(text)
    if not isinstance(document, yaml.MappingNode):
        return None
    section = next((value for key, value in document.value if key.value == "sidecar"), None)
    if section is None:
        return None
    start, end = section.start_mark, section.end_mark
    return "\n" * int(start.line) + " " * int(start.column) + text[int(start.index) : int(end.index)]


def parse_seed(text: str) -> Seed:
    """Read a seed file; raises BadSeed with all problems."""
    document = _load(text)
    problems = [f"{key}: there is no such section" for key in document if key not in _KNOWN]
    account, region = str(document.get("account", DEFAULT_ACCOUNT)), str(document.get("region", DEFAULT_REGION))
    items = _items(document, account, region, problems)
    for other, regions in _mapping(document, "accounts", problems).items():
        for place in _mapping({str(other): regions}, str(other), problems):
            sections = _mapping(_mapping({str(other): regions}, str(other), []), str(place), problems)
            items |= _items(sections, str(other), str(place), problems)
    roles = {str(arn): _external_id(told) for arn, told in _mapping(document, "roles", problems).items()}
    if problems:
        raise BadSeed(problems)
    return Seed(account, region, items, roles)


_KNOWN: Final = (*_SECTIONS, "account", "region", "accounts", "roles", "sidecar")


def _load(text: str) -> dict[str, object]:
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadSeed([f"{line}{error.problem or 'this is no YAML'}"]) from error
    except yaml.YAMLError as error:
        raise BadSeed(["this is no YAML"]) from error
    except (
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:  # which PyYAML lets out of its readers of dates, numbers
        raise BadSeed(["what looks like a date or a number is none: put text in quotes"]) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadSeed(["want a mapping with parameters:, secrets:, keys:"])
    return {str(key): value for key, value in document.items()}


def _mapping(document: Mapping[str, object], key: str, problems: list[str]) -> dict[str, object]:
    section = document.get(key)
    if section is None:
        return {}
    if not isinstance(section, dict):
        problems.append(f"{key}: want a mapping from names to values")
        return {}
    return {str(name): value for name, value in section.items()}


def _external_id(told: object) -> str | None:
    return str(told["external_id"]) if isinstance(told, dict) and told.get("external_id") else None


def _items(document: Mapping[str, object], account: str, region: str, problems: list[str]) -> dict[Place, Item]:
    readers: dict[Kind, Callable[[object], Item]] = {
        Kind.KEY: _key,
        Kind.PARAMETER: _parameter,
        Kind.SECRET: _secret,
        Kind.OBJECT: _object,
    }
    items: dict[Place, Item] = {}
    for kind, read in readers.items():
        for name, told in _mapping(document, kind.value, problems).items():
            try:
                _check_name(kind, name)
                items[Place(account, region, kind, name)] = read(told)
            except ValueError as error:
                problems.append(f"{kind.value}.{name}: {error}")
    return items


def _check_name(kind: Kind, name: str) -> None:
    if kind is Kind.KEY and not name.startswith("alias/"):
        raise ValueError("want an alias, such as alias/app")
    if kind is Kind.OBJECT and not all(name.partition("/")):
        raise ValueError("want a bucket and a key, such as dev-config/app/cert.pem")


def _key(told: object) -> KeyItem:
    options = told if isinstance(told, dict) else {"state": told or "enabled"}
    _known(options, "state", "spec", "usage", "shut_out")
    state = _one_of(str(options.get("state", "enabled")), tuple(_STATES))
    spec = _one_of(str(options.get("spec", "SYMMETRIC_DEFAULT")), _SPECS)
    usage = _one_of(str(options.get("usage", "SIGN_VERIFY" if spec in CURVES else "ENCRYPT_DECRYPT")), _USAGES)
    if not fits(spec, usage):
        raise ValueError(f"a key of {spec} cannot be one for {usage}")
    return KeyItem(_STATES[state], spec, usage, _texts(options.get("shut_out")))


def _parameter(told: object) -> ParameterItem:
    if isinstance(told, list):
        return ParameterItem(",".join(_text(item) for item in told), "StringList")
    if not isinstance(told, dict):
        return ParameterItem(_text(told))
    _known(told, "value", "type", "key", "labels")
    if "value" not in told:
        raise ValueError("want a value")
    kind = _one_of(str(told.get("type", "String")), _TYPES)
    return ParameterItem(_text(told["value"]), kind, _optional(told.get("key")), _texts(told.get("labels")))


def _secret(told: object) -> SecretItem:
    if isinstance(told, dict) and "value" in told and set(told) <= {"value", "key", "replicas", "shared"}:
        options = (_optional(told.get("key")), _texts(told.get("replicas")), bool(told.get("shared")))
        return SecretItem(_secret_value(told["value"]), *options)
    return SecretItem(_secret_value(told))


def _secret_value(value: object) -> str | bytes:
    if isinstance(value, bytes):  # YAML's own !!binary
        return value
    return json.dumps(value, default=str) if isinstance(value, dict | list) else _text(value)


def _text(value: object) -> str:
    if value is None or value == "":
        raise ValueError("want a value, got nothing")
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(told: object) -> ObjectItem:
    if not isinstance(told, dict) or "value" not in told:
        return ObjectItem(_content(told))
    _known(told, "value", "key", "sse_c", "envelope")
    if sum(name in told for name in ("key", "sse_c", "envelope")) > 1:
        raise ValueError("want at most one of key, sse_c, envelope")
    key, envelope = _optional(told.get("key")), _optional(told.get("envelope"))
    return ObjectItem(_content(told["value"]), key, _customer_key(told.get("sse_c")), envelope)


def _content(told: object) -> bytes:
    if isinstance(told, bytes):
        return told
    return (json.dumps(told) if isinstance(told, dict | list) else _text(told)).encode()


def _customer_key(told: object) -> bytes | None:
    if told is None:
        return None
    try:
        key = base64.b64decode(str(told), validate=True)
    except ValueError:
        key = b""
    if len(key) != _AES_256:
        raise ValueError("sse_c: want 32 bytes in base64")
    return key


_AES_256: Final = 32


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _known(options: Mapping[object, object], *names: str) -> None:
    for name in options:
        if name not in names:
            raise ValueError(f"want one of {', '.join(names)}; got {name}")


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"want one of {', '.join(allowed)}; got {value}")
    return value


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the file says now and did not say before; without `item` it is gone."""

    place: Place
    before: Item | None
    item: Item | None


def changes(before: Seed, after: Seed) -> Iterator[Change]:
    """Yield what differs: keys first, then what is kept under them; what is gone at the end."""
    order = list(Kind)
    for place in sorted(after.items, key=lambda place: (order.index(place.kind), place)):
        if before.items.get(place) != after.items[place]:
            yield Change(place, before.items.get(place), after.items[place])
    for place in sorted(set(before.items) - set(after.items), key=lambda place: (-order.index(place.kind), place)):
        yield Change(place, before.items[place], None)
