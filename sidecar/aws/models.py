"""Give botocore only those parts of its service models that the daemon uses: they are most of a client's memory.

Trims what the installed botocore ships, when it is loaded; holds no copy of AWS's files. Must not change what a
call means: an operation that is kept is kept whole, but for its documentation.
"""

import contextlib
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, Loader

Json = dict[str, object]

OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "ssm": frozenset({"GetParameters", "GetParametersByPath"}),
    "secretsmanager": frozenset({"DescribeSecret", "GetSecretValue", "BatchGetSecretValue"}),
    "kms": frozenset(
        {
            "Decrypt",
            "DescribeKey",
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateRandom",
            "GetPublicKey",
            "Sign",
            "Verify",
        }
    ),
    "dynamodb": frozenset({"GetItem", "PutItem"}),
    "s3": frozenset({"GetObject", "HeadObject"}),
    "service-quotas": frozenset({"ListServiceQuotas"}),
    "sts": frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"}),
}
"""All that the daemon asks of AWS; a service that is not named here (single sign-on, say) is loaded whole."""


class TrimmedLoader:
    """Load the models of the services in `OPERATIONS` without what is not used; share one among all sessions.

    Takes the place of botocore's own loader, and asks that one for everything else.
    """

    def __init__(self) -> None:
        self._whole = Loader()
        self._trimmed: dict[str, Json] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Json:
        """Give a model by name, and do not walk through the folders of all services to find it."""
        if service_name not in OPERATIONS:
            whole: Json = self._whole.load_service_model(service_name, type_name, api_version)
            return whole
        version = api_version or self._whole.determine_latest_version(service_name, type_name)
        name = f"{service_name}/{version}/{type_name}"
        if name not in self._trimmed:
            self._trimmed[name] = self._load(name)
        return self._trimmed[name]

    def load_data_with_path(self, name: str) -> tuple[Json, str]:
        """Give a data file and where it was found; the table of every service's hosts without other services."""
        if name != "endpoints":
            found: tuple[Json, str] = self._whole.load_data_with_path(name)
            return found
        path = self._find(name)
        if name not in self._trimmed:
            self._trimmed[name] = trimmed_endpoints(_text(path))
        return self._trimmed[name], str(path)

    def load_data(self, name: str) -> Json:
        """Give a data file."""
        return self.load_data_with_path(name)[0]

    def is_builtin_path(self, path: str) -> bool:
        """Tell whether the file is one that botocore ships."""
        builtin: bool = self._whole.is_builtin_path(path)
        return builtin

    def preload(self, service: str) -> None:
        """Read all that a client of this service is made of: some tens of milliseconds, for a thread to spend."""
        for kind in ("service-2", "endpoint-rule-set-1"):
            self.load_service_model(service, kind)
        for name in ("endpoints", "partitions", "sdk-default-configuration"):
            self.load_data(name)

    def _load(self, name: str) -> Json:
        service, _, kind = name.split("/")
        if kind != "service-2":
            return self.load_data(name)
        model = trimmed_model(_text(self._find(name)), OPERATIONS[service])
        with contextlib.suppress(DataNotFoundError):  # most services need no amendment
            ExtrasProcessor().process(model, [self.load_data(f"{name}.sdk-extras")])
        return model

    def _find(self, name: str) -> Path:
        paths = (str(Path(place) / name) for place in self._whole.search_paths)
        return Path(next(path for path in paths if self._whole.file_loader.exists(path)))


def trimmed_model(text: str, operations: frozenset[str]) -> Json:
    """Read a service model: these operations, the shapes that they reach, no documentation."""
    model: Json = {}
    kept: Json = {}
    shapes: dict[str, int] = {}

    def visit(key: str, at: int) -> int:
        if key == "operations":
            return _walk(text, at, _keeping(text, kept, operations))
        if key == "shapes":
            return _walk(text, at, _noting(text, shapes))
        model[key], end = _decode(text, at)
        return end

    _walk(text, 0, visit)
    model.pop("documentation", None)
    _redocument(model.get("clientContextParams"))
    return model | {"operations": kept, "shapes": _reachable(text, kept, shapes)}


def _redocument(parameters: object) -> None:
    """Give the parameters of a client their documentation back, without text: the SDK does not do without."""
    for parameter in parameters.values() if isinstance(parameters, dict) else ():
        parameter["documentation"] = ""


def trimmed_endpoints(text: str) -> Json:
    """Read the table of partitions and their services' hosts: only the services that are used."""
    table: Json = {}
    partitions: list[Json] = []

    def visit(key: str, at: int) -> int:
        if key != "partitions":
            table[key], end = _decode(text, at)
            return end
        while element := _ELEMENT.match(text, at):
            partitions.append({})
            at = _walk(text, element.end(), _partition(text, partitions[-1]))
        return _end(text, at)

    _walk(text, 0, visit)
    return table | {"partitions": partitions}


# What follows reads JSON piece by piece, because a parsed model is ten times what is kept of it, and memory that
# was needed once, in small pieces, does not go back to the system.

Visit = Callable[[str, int], int]
"""Told a member's key and where its value begins; gives where the value ends."""

_MEMBER: Final = re.compile(r'[\s,]*"([^"\\]+)"\s*:\s*')
_ELEMENT: Final = re.compile(r"[\s,\[]*(?=\{)")
_END: Final = re.compile(r"\s*[}\]]")
_decoder: Final = json.JSONDecoder(
    object_pairs_hook=lambda pairs: {key: value for key, value in pairs if key != "documentation" or _is_shape(value)}
)


def _walk(text: str, at: int, visit: Visit) -> int:
    """Visit the members of the object that begins at `at`; give where it ends."""
    at += 1
    while member := _MEMBER.match(text, at):
        at = visit(member[1], member.end())
    return _end(text, at)


def _end(text: str, at: int) -> int:
    match = _END.match(text, at)
    if match is None:
        msg = "a file of botocore's is damaged: install it again"
        raise ValueError(msg)
    return match.end()


def _decode(text: str, at: int) -> tuple[object, int]:
    value: tuple[object, int] = _decoder.raw_decode(text, at)
    return value


def _keeping(text: str, into: Json, names: frozenset[str]) -> Visit:
    def visit(key: str, at: int) -> int:
        value, end = _decode(text, at)
        if key in names:
            into[key] = value
        return end

    return visit


def _noting(text: str, places: dict[str, int]) -> Visit:
    def visit(key: str, at: int) -> int:
        places[key] = at
        return _decode(text, at)[1]

    return visit


def _partition(text: str, into: Json) -> Visit:
    services: Json = {}

    def visit(key: str, at: int) -> int:
        if key == "services":
            into[key] = services
            return _walk(text, at, _keeping(text, services, frozenset(OPERATIONS)))
        into[key], end = _decode(text, at)
        return end

    return visit


def _reachable(text: str, roots: Json, places: Mapping[str, int]) -> Json:
    reached: Json = {}
    waiting = list(_named(roots))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = _decode(text, places[name])[0]
            waiting.extend(_named(reached[name]))
    return reached


def _named(node: object) -> Iterator[str]:
    """Find the names of shapes anywhere below this node."""
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for value in node.values():
            yield from _named(value)
    elif isinstance(node, list):
        for value in node:
            yield from _named(value)


def _is_shape(value: object) -> bool:
    return isinstance(value, dict)  # a member that AWS happens to call "documentation"


def _text(path: Path) -> str:
    plain = path.with_name(path.name + ".json")
    packed = path.with_name(path.name + ".json.gz")
    return (plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())).decode()
