"""Lay the texts that configure over each other, and tell of every key where it was set.

Later wins: the file, $SIDECAR_CONFIG_YAML, $SIDECAR_SECRETS, single scalars. Mappings are merged key by key, all else
is replaced. Must not know what any key means.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from sidecar.core.config.document import Fault, Path, Value, plain, read_document

CONFIG_YAML: Final = "SIDECAR_CONFIG_YAML"
SECRETS: Final = "SIDECAR_SECRETS"
_PREFIX: Final = "SIDECAR_"
_BETWEEN: Final = "__"
_COMPARED: Final = 80  # characters of a wrong name that are worth comparing, which takes quadratic time
_UNIX_PATH: Final = ("listen", "unix", "path")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place sets."""

    name: str  # as people know it: "sidecar.yaml", "$SIDECAR_CACHE__TTL"
    values: dict[str, Value] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)  # of every key; 0 in a place without lines
    faults: tuple[Fault, ...] = ()

    def where(self, line: int) -> str:
        """Tell a person where to look."""
        return f"{self.name} line {line}" if line else self.name


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a key was set; sorts as people read: place by place, line by line."""

    layer: int
    line: int
    where: str


def read_layers(
    texts: Sequence[tuple[str, str]], environ: Mapping[str, str], scalars: Mapping[str, Path]
) -> tuple[Layer, ...]:
    """Read every place, the strongest last: `texts` with their names, then the environment.

    `scalars` are the variables that set one key each.
    """
    if CONFIG_YAML in environ:
        texts = [*texts, (f"${CONFIG_YAML}", environ[CONFIG_YAML])]
    secrets = [_secrets_layer(environ[SECRETS])] if SECRETS in environ else []
    return (*(_text_layer(*text) for text in texts), *secrets, *_scalar_layers(environ, scalars))


def variable(path: Sequence[str]) -> str:
    """Name the variable that sets the key at `path`."""
    return _PREFIX + _BETWEEN.join(path).upper()


def merged(layers: Sequence[Layer]) -> dict[str, Value]:
    """Give what all places together say."""
    return reduce(_merge, (layer.values for layer in layers), {})


def value_at(values: Value, path: Path) -> Value:
    """Give the value at a path, None where there is none."""
    for step in path:
        if isinstance(values, dict) and isinstance(step, str):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            return None
    return values


def origin(layers: Sequence[Layer], path: Path) -> Origin:
    """Tell where the key at `path` was set or, where it was not, the nearest thing around it."""
    best = (0, Origin(0, 0, ""))
    for index in reversed(range(len(layers))):
        layer = layers[index]
        length = next((n for n in range(len(path), 0, -1) if path[:n] in layer.lines), 0)
        if length > best[0]:
            line = layer.lines[path[:length]]
            best = (length, Origin(index, line, layer.where(line)))
        if any(not isinstance(value_at(layer.values, path[:n]), dict) for n in range(1, length + 1)):
            break  # what weaker places say below this was replaced
    return best[1]


def socket_path(file: tuple[str, str] | None, environ: Mapping[str, str]) -> str | None:
    """Give `listen.unix.path` where something sets it; for a client, which does not mind what else is wrong."""
    layers = read_layers([file] if file else [], environ, {variable(_UNIX_PATH): _UNIX_PATH})
    found = value_at(merged(layers), _UNIX_PATH)
    return found if isinstance(found, str) else None


def suggestion(name: str, known: Sequence[str]) -> str:
    """Give "; did you mean …?" where something known looks like it."""
    near = _nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _nearest(name: str, known: Sequence[str]) -> str | None:
    import difflib  # noqa: PLC0415 -- only where something is misspelt: what a daemon imports it keeps

    return next(iter(difflib.get_close_matches(name[:_COMPARED], known, n=1)), None)


def _merge(base: dict[str, Value], over: dict[str, Value]) -> dict[str, Value]:
    if not base:
        return over
    both = dict(base)
    for key, value in over.items():
        below = both.get(key)
        both[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def _text_layer(name: str, text: str) -> Layer:
    document = read_document(text)
    return Layer(name, document.values, document.lines, tuple(document.faults))


def _secrets_layer(text: str) -> Layer:
    """Read `db=sm:prod/db#password;api=ssm:/prod/api`; faults count the entries, as there are no lines."""
    secrets: dict[str, Value] = {}
    lines: dict[Path, int] = {("secrets",): 0}
    faults: list[Fault] = []
    for number, entry in enumerate(text.split(";"), start=1):
        name, equals, ref = (part.strip() for part in entry.partition("="))
        if not name and not equals:
            continue  # a semicolon at the end
        if not name or not ref:
            faults.append(Fault((), f"want name=ref between semicolons, got something else as entry {number}"))
        elif name in secrets:
            faults.append(Fault(("secrets", name), f"want it once, got it again as entry {number}"))
        else:
            secrets[name] = ref
            lines["secrets", name] = 0
    return Layer(f"${SECRETS}", {"secrets": secrets}, lines, tuple(faults))


def _scalar_layers(environ: Mapping[str, str], scalars: Mapping[str, Path]) -> Iterator[Layer]:
    for name in sorted(environ):
        if name.startswith(_PREFIX) and _BETWEEN in name:
            yield _scalar_layer(name, environ[name], scalars)


def _scalar_layer(name: str, text: str, scalars: Mapping[str, Path]) -> Layer:
    path = scalars.get(name)
    if path is None:
        return Layer(f"${name}", faults=(Fault((), f"no key has this variable; {_instead_of(name, scalars)}"),))
    values: Value = plain(text)
    for step in reversed(path):
        values = {str(step): values}
    return Layer(f"${name}", values if isinstance(values, dict) else {}, {path[:n]: 0 for n in range(1, len(path) + 1)})


def _instead_of(name: str, scalars: Iterable[str]) -> str:
    near = _nearest(name.removeprefix(_PREFIX), [known.removeprefix(_PREFIX) for known in scalars])
    return f"did you mean {_PREFIX}{near}?" if near else f"lists and names of your own go into ${CONFIG_YAML}"
