"""Know the keys themselves: which there are at a path, and which variable sets which.

Reads the models, so that no second list of keys exists.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from types import NoneType
from typing import get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sidecar.core.config.document import Path
from sidecar.core.config.layers import variable
from sidecar.core.config.models import Config, IdentitySpec, SecretSpec, TreeSpec
from sidecar.core.refs import DEFAULT_IDENTITY


def keys_at(path: Path) -> list[str]:
    """Give the keys that the mapping at `path` may have; none where names are free, or there is no mapping."""
    kind: object = Config
    for step in path:
        keys = _keys(kind)
        kind = keys.get(str(step)) if keys else _element(kind)
    return list(_keys(kind))


@cache
def variables() -> Mapping[str, Path]:
    """Give every variable that sets one key, with the path of that key."""
    of_default = _scalars(IdentitySpec, ("identities", DEFAULT_IDENTITY))  # the one name that always exists
    return {variable(path): path for path in (*_scalars(Config, ()), *of_default)}


def _scalars(section: object, prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, kind in _keys(section).items():
        path = (*prefix, key)
        if _keys(kind):
            yield from _scalars(kind, path)
        elif get_origin(kind) not in {dict, tuple}:
            yield path


def _keys(kind: object) -> Mapping[str, object]:
    """Give the keys of a section or a spec, each with the bare type of its value."""
    if not isinstance(kind, type):
        return {}
    if issubclass(kind, BaseModel):
        return {name: _bare(hint) for name, hint in get_type_hints(kind).items() if name in kind.model_fields}
    if kind in {SecretSpec, TreeSpec}:
        names = [field.name for field in fields(kind)]
        hints = get_type_hints(kind, include_extras=True)
        return {_alias(hints[name]) or name: _bare(get_type_hints(kind)[name]) for name in names}
    return {}


def _alias(hint: object) -> str | None:
    return next((extra.alias for extra in get_args(hint) if isinstance(extra, FieldInfo)), None)


def _bare(hint: object) -> object:
    """Take the None away from a type."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else hint


def _element(kind: object) -> object:
    """Give the type of what a mapping with free names, or a list, holds."""
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if get_origin(kind) is tuple else None
