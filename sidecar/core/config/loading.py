"""Make a Config of the file's text and the environment, or say everything that is wrong with them.

Pure: whoever calls has read the file, and passes in what the system knows of users.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from sidecar.core.config.document import Fault, Path, Value, dotted
from sidecar.core.config.layers import Layer, Origin, merged, origin, read_layers, suggestion, value_at
from sidecar.core.config.models import Config
from sidecar.core.config.outline import keys_at, variables
from sidecar.core.config.rules import Accounts, Breach, breaches
from sidecar.core.config.units import kind_of
from sidecar.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SHAPES: Final = {
    "dataclass_type": "a reference, or a mapping with ref",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}
"""What pydantic misses when the shape is wrong already; all else our own types say."""


def load(
    *,
    file: tuple[str, str] | None,
    environ: Mapping[str, str],
    accounts: Accounts | None = None,
    defaults: tuple[str, str] | None = None,
) -> Config:
    """Read the file (its name and text) and the environment; raises ConfigError with every problem.

    With `accounts`, users and groups that are named must exist. `defaults` is a text like the file's, for a command
    that knows better ones; everything else wins over it.
    """
    layers = read_layers([text for text in (defaults, file) if text], environ, variables())
    values = merged(layers)
    unread = {fault.path for layer in layers for fault in layer.faults}
    config, unfit = _parse(values)
    faults = [fault for fault in unfit if not _touched(fault.path, unread)]
    if config is not None:
        unread.update(fault.path for fault in unfit)
        faults += [Fault(breach.path, breach.what) for breach in breaches(config, accounts) if _stands(breach, unread)]
    problems = _problems(layers, values, faults)
    if config is None or problems:
        raise ConfigError(problems)
    return config


def _touched(path: Path, unread: Collection[Path]) -> bool:
    """Tell whether the key at `path`, or something that it is part of, could not be read."""
    return any(path[:length] in unread for length in range(1, len(path) + 1))


def _stands(breach: Breach, unread: Collection[Path]) -> bool:
    return not any(_touched(path, unread) for path in (breach.path, *breach.rests_on))


# --- values to models ----------------------------------------------------------------------------------------------


def _parse(values: dict[str, Value]) -> tuple[Config | None, list[Fault]]:
    """Make a Config of all that can be read, and report the rest."""
    config, faults = _validate(values)
    if config is None:
        config, _ = _validate(_without(values, [fault.path for fault in faults]))
    return config, faults


def _validate(values: dict[str, Value]) -> tuple[Config | None, list[Fault]]:
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    return None, [_fault(detail, values) for detail in details]


def _fault(detail: "ErrorDetails", values: dict[str, Value]) -> Fault:
    path = detail["loc"]
    if path[-1] == "[key]" and _present(values, path) != path:
        path = path[:-1]  # pydantic's way to say that the name of the key is wrong, not its value
    kind = detail["type"]
    if kind == "value_error":
        return Fault(path, str(detail["ctx"]["error"]))  # Unwanted says it all
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return Fault(path, _unknown(path))
    if kind in {"missing", "missing_argument"}:
        return Fault(path, "want this key, it has no default")
    return Fault(path, f"want {_SHAPES.get(kind, 'another value')}, got {kind_of(value_at(values, path))}")


def _unknown(path: Path) -> str:
    known = keys_at(path[:-1])
    hint = suggestion(str(path[-1]), known) or f"; there are {', '.join(known)}"
    return f"there is no such key{hint}"


def _without(values: dict[str, Value], paths: Iterable[Path]) -> dict[str, Value]:
    """Leave out what could not be read, so that the rest can be looked at."""
    rest = deepcopy(values)
    for path in sorted({_present(values, path) for path in paths}, key=len, reverse=True):  # inner keys first
        holder = value_at(rest, path[:-1])
        assert isinstance(holder, dict)
        del holder[str(path[-1])]
    return rest


def _present(values: Value, path: Path) -> Path:
    """Cut a path down to the nearest key that is there; a list counts as one with all its elements."""
    for length, step in enumerate(path):
        if not isinstance(values, dict) or step not in values:
            return path[:length]
        values = values[str(step)]
    return path


# --- faults to problems --------------------------------------------------------------------------------------------


def _problems(layers: Sequence[Layer], values: Value, faults: Iterable[Fault]) -> list[Problem]:
    """Sort all faults as people read: place by place, line by line."""
    found = [
        (Origin(index, fault.line, layer.where(fault.line)), fault)
        for index, layer in enumerate(layers)
        for fault in layer.faults
    ]
    found += [(origin(layers, fault.path), fault) for fault in faults]
    found.sort(key=itemgetter(0))
    return [Problem(place.where, _shown(fault.path, values), fault.what) for place, fault in found]


def _shown(path: Path, values: Value) -> str:
    if path[-1:] == ("ref",) and isinstance(value_at(values, path[:-1]), str):
        path = path[:-1]  # a lone reference stands for the mapping
    return dotted(path)
