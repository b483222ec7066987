"""Hold an answer whole before any of it is sent: routes make it, the server writes it.

Must not know of sockets or of aiohttp.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

JSON: Final = "application/json"
UNCACHED: Final = {"Cache-Control": "no-store"}
"""What every answer says: nothing between here and the app may keep it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body; `content_type` is None where there is no body."""

    status: int = int(HTTPStatus.OK)
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: UNCACHED)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on until the client or the daemon ends it; each chunk is made when the last was taken."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=lambda: UNCACHED)


Reply = Answer | Stream


def to_json(value: object) -> str:
    """Write JSON without needless escapes."""
    return json.dumps(value, ensure_ascii=False)


def json_answer(value: object, *, status: int = int(HTTPStatus.OK), headers: Mapping[str, str] = UNCACHED) -> Answer:
    """Answer with JSON."""
    return Answer(status, to_json(value).encode(), JSON, headers)


def timestamp(wall: float | None) -> str | None:
    """Write wall seconds as RFC 3339 has them, in UTC."""
    if wall is None:
        return None
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
