"""Cut one field out of a JSON value.

Sees plaintext, so it must not log, keep or quote any of it: an error says only that the field is not there.
"""

import json
import re
from contextlib import suppress
from typing import Final

from sidecar.core.errors import BadField

BAD_ESCAPE: Final = re.compile(r"~(?![01])")
"""What a JSON Pointer may not contain (RFC 6901, section 3)."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")  # no value that AWS keeps has room for more elements
_DEEPEST: Final = 100  # levels of one field: far below Python's own limit, which depends on who calls


class _Number(str):
    """A number as it is written: neither 1.10 nor a long integer survives becoming a number and back."""

    __slots__ = ()


def cut(value: bytes, field: str) -> bytes:
    """Give one field of a JSON value: a top-level key, or a JSON Pointer when it begins with `/`.

    A string comes as its text, anything else as compact JSON: numbers as they were written, text outside ASCII
    unescaped. Of duplicate keys the last counts, as it does for ECS and for most parsers. Raises BadField.
    """
    document = _load(value)
    return _text(_follow(document, field) if field.startswith("/") else _key(document, field))


def _load(value: bytes) -> object:
    # Suppressed rather than translated: these exceptions hold the whole value, and `__context__` would keep it.
    with suppress(ValueError, RecursionError):
        return json.loads(
            value.decode("utf-8-sig"),  # a byte order mark may be ignored (RFC 8259, section 8.1)
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
    raise BadField("the value is not JSON, so it has no fields")


def _refuse_constant(_: str) -> None:
    """Refuse NaN and Infinity, which Python reads although JSON has none."""
    raise ValueError


def _follow(document: object, pointer: str) -> object:
    if BAD_ESCAPE.search(pointer):
        raise BadField("the field is no JSON Pointer: '~' stands only in ~0 and ~1")
    found = document
    for step in pointer[1:].split("/"):
        found = _member(found, step.replace("~1", "/").replace("~0", "~"))
    return found


def _member(holder: object, step: str) -> object:
    if not isinstance(holder, list):
        return _key(holder, step)
    if _INDEX.fullmatch(step) and int(step) < len(holder):
        element: object = holder[int(step)]
        return element
    raise BadField("the value has no such field")


def _key(holder: object, key: str) -> object:
    if isinstance(holder, dict) and key in holder:
        member: object = holder[key]
        return member
    raise BadField("the value has no such field")


def _text(found: object) -> bytes:
    if isinstance(found, str):
        with suppress(UnicodeEncodeError):
            return found.encode()
        raise BadField("the field is not text: it holds half of a surrogate pair")
    return _compact(found, _DEEPEST).encode(errors="backslashreplace")  # half a pair stays the escape that it was


def _compact(node: object, levels: int) -> str:
    if not levels:
        raise BadField(f"the field is nested more than {_DEEPEST} levels deep")
    if isinstance(node, dict):
        members = [f"{_compact(key, levels)}:{_compact(member, levels - 1)}" for key, member in node.items()]
        return "{" + ",".join(members) + "}"
    if isinstance(node, list):
        return "[" + ",".join([_compact(element, levels - 1) for element in node]) + "]"
    return node if isinstance(node, _Number) else json.dumps(node, ensure_ascii=False)
