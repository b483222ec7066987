"""Make the bytes that answer for a value, once for each version: content, its type and its entity tag.

One of the few places that open plaintexts. Must not decide who may have them, nor log or quote any of them.
"""

import base64
import json
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from sidecar.core.errors import BadField
from sidecar.core.fields import cut
from sidecar.core.refs import Ref
from sidecar.core.secret import Plaintext, Secret, Version
from sidecar.engine.store import Store

_TAG_BYTES: Final = 16
_BINARY: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent for one version of one value, or of one field of it."""

    content: bytes = field(repr=False)
    content_type: str
    etag: str
    cut_from: Plaintext

    @property
    def text(self) -> str | None:
        """The content as text; None where it is not UTF-8."""
        return None if self.content_type == _BINARY else self.content.decode()


def entity_tag(ref: Ref, version: Version) -> str:
    """Give a strong tag, from reference, field and version only: it says nothing about the value."""
    return f'"{blake2b(f"{ref} {version}".encode(), digest_size=_TAG_BYTES).hexdigest()}"'


def content_type(content: bytes) -> str:
    """Tell JSON objects and arrays, other text, and the rest apart."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _BINARY
    return "application/json" if _is_json(text) else "text/plain; charset=utf-8"


def _is_json(text: str) -> bool:
    if not text.lstrip(" \t\r\n").startswith(("{", "[")):
        return False
    with suppress(ValueError, RecursionError):
        # JSON's numbers have any length; NaN and Infinity, which Python reads, are none: `int` refuses them.
        json.loads(text, parse_int=str, parse_constant=int)
        return True
    return False


def make_body(ref: Ref, secret: Secret) -> Body:
    """Open the value and cut the ref's field out of it; raises BadField, which names the ref."""
    content = secret.plaintext.reveal()
    if ref.field is not None:
        content = _cut(ref, content)
    return Body(content, content_type(content), entity_tag(ref, secret.revision.version), secret.plaintext)


def _cut(ref: Ref, content: bytes) -> bytes:
    try:
        return cut(content, ref.field or "")
    except BadField as error:
        raise BadField(f"{ref.whole}: {error}", mend=error.mend) from None


@dataclass(slots=True)
class Bodies:
    """The bodies of current versions, as far as they were asked for."""

    _made: dict[Ref, Body] = field(default_factory=dict)  # by canonical ref with field

    def of(self, ref: Ref, secret: Secret) -> Body:
        """Give the body of a current version, made when it is the first time; raises BadField."""
        body = self._made.get(ref)
        if body is None or body.cut_from is not secret.plaintext:
            body = self._made[ref] = make_body(ref, secret)
        return body

    def prune(self, store: Store) -> None:
        """Drop the bodies of plaintexts that the store does not hold any more."""
        held = {ref: entry.held for ref in self._made if (entry := store.get(ref.whole)) and entry.ref == ref.whole}
        self._made = {
            ref: body
            for ref, body in self._made.items()
            if (now := held.get(ref)) and now.secret.plaintext is body.cut_from
        }


def json_value(body: Body) -> dict[str, object]:
    """Give the value as a member of a JSON object: as text, or in base64 where it is none."""
    text = body.text
    return {"value": text} if text is not None else {"value_base64": base64.b64encode(body.content).decode()}
