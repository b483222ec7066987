"""Take a request apart: what is asked for, by whom, under which conditions, until when.

Must not know of aiohttp or sockets. What is wrong with a request is raised without quoting any of it.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from sidecar.api.conditions import names_tag, preferred_wait
from sidecar.api.problems import BadRequest
from sidecar.core.access import Caller
from sidecar.core.errors import BadName, SidecarError
from sidecar.core.names import Name, parse_name
from sidecar.engine.resolver import WAIT

Query = Mapping[str, list[str]]


@dataclass(slots=True)
class Ask:
    """One request."""

    caller: Caller
    headers: Mapping[str, str]  # by name in small letters, several lines of one name as one list
    tail: str = ""  # what stands for {name} in the path, as it was sent
    query: Query = field(default_factory=dict)
    body: bytes = b""
    accesses: dict[str, SidecarError | None] = field(default_factory=dict)
    """Which names and references were asked for and how that ended: for the audit log."""
    _deadline: float | None = None

    @property
    def name(self) -> Name:
        """The name in the path; raises BadName."""
        return decoded_name(self.tail)

    @property
    def names(self) -> list[Name]:
        """Every `name` of the query, each once; raises BadName."""
        return list(dict.fromkeys(parse_name(text) for text in self.query.get("name", ())))

    def flag(self, parameter: str) -> bool:
        """Read a parameter that is 1 or 0."""
        return self.query.get(parameter) == ["1"]

    @property
    def wait(self) -> float | None:
        """How long the caller wants to wait (seconds); None where it does not say."""
        preference = self.headers.get("prefer")
        return None if preference is None else preferred_wait(preference)

    @property
    def deadline(self) -> float:
        """When the caller's wait ends (loop time), of however many waits it is made."""
        if self._deadline is None:
            wait = self.wait
            self._deadline = asyncio.get_running_loop().time() + (WAIT if wait is None else wait)
        return self._deadline

    def has(self, etag: str) -> bool:
        """Decide whether the caller says by If-None-Match that it has this version already."""
        condition = self.headers.get("if-none-match")
        return condition is not None and names_tag(condition, etag)

    def blame(self, error: SidecarError) -> None:
        """Note that what was asked for last is what it went wrong with."""
        if self.accesses:
            self.accesses[next(reversed(self.accesses))] = error


def joined(lines: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Let header lines of one name be one list, as RFC 9110 (section 5.3) has it."""
    fields: dict[str, str] = {}
    for name, value in lines:
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return fields


def split_target(target: str) -> tuple[str, str]:
    """Part a request's target into path and query, both as they were sent."""
    if not target.startswith("/"):  # absolute form, as a client sends it that believes it speaks to a proxy
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def decoded_name(raw: str) -> Name:
    """Read a name from a path, where its `/` may be written `%2F`; raises BadName."""
    try:
        return parse_name(unquote_to_bytes(raw).decode("ascii"))
    except UnicodeDecodeError:
        raise BadName("this is no name of a secret") from None


def parse_query(raw: str) -> Query:
    """Read a query; `+` is itself, since names and references have it; raises BadRequest."""
    query: dict[str, list[str]] = {}
    try:
        for pair in filter(None, raw.split("&")):
            key, _, value = pair.partition("=")
            query.setdefault(unquote_to_bytes(key).decode(), []).append(unquote_to_bytes(value).decode())
    except UnicodeDecodeError:
        raise BadRequest("a parameter is not UTF-8") from None
    return query


def parse_object(body: bytes) -> Mapping[str, object]:
    """Read a body that is a JSON object, or none at all; raises BadRequest."""
    if not body.strip():
        return {}
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value
