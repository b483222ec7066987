"""Hold an answer whole before any of it is sent: routes make it, the server writes it.

Must not know of sockets or of aiohttp.
"""

import json
from collections.abc import Mapping
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


def json_answer(value: object, *, status: int = int(HTTPStatus.OK), headers: Mapping[str, str] = UNCACHED) -> Answer:
    """Answer with JSON, as UTF-8 and without needless escapes."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), JSON, headers)


def timestamp(wall: float | None) -> str | None:
    """Write wall seconds as RFC 3339 has them, in UTC."""
    if wall is None:
        return None
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
