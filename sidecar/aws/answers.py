"""Read the fields of an answer of AWS's, and notice an answer that lacks what it must have.

botocore makes an empty answer of a proxy's page: what is missing is a fault on the way (transient), never a deletion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sidecar.core.errors import Unintelligible


@dataclass(frozen=True, slots=True)
class Answer:
    """The fields of one structure; `about` is the ref or request for which it came."""

    fields: Mapping[str, object]
    about: str

    def has(self, key: str) -> bool:
        """Tell whether the field is there."""
        return key in self.fields

    def text(self, key: str) -> str:
        """Give a text that must be there."""
        value = self.fields.get(key)
        if not isinstance(value, str):
            raise self._lacks(key)
        return value

    def optional_text(self, key: str) -> str | None:
        """Give a text, None where it is not there."""
        return self.text(key) if key in self.fields else None

    def number(self, key: str) -> int:
        """Give a whole number that must be there."""
        value = self.fields.get(key)
        if not isinstance(value, int):
            raise self._lacks(key)
        return value

    def flag(self, key: str) -> bool:
        """Give a truth that must be there."""
        value = self.fields.get(key)
        if not isinstance(value, bool):
            raise self._lacks(key)
        return value

    def decimal(self, key: str) -> float:
        """Give a number that must be there, whole or not."""
        value = self.fields.get(key)
        if not isinstance(value, int | float):
            raise self._lacks(key)
        return float(value)

    def blob(self, key: str) -> bytes:
        """Give bytes that must be there."""
        value = self.fields.get(key)
        if not isinstance(value, bytes):
            raise self._lacks(key)
        return value

    def moment(self, key: str) -> float:
        """Give a moment that must be there, in wall seconds."""
        value = self.fields.get(key)
        if not isinstance(value, datetime):
            raise self._lacks(key)
        return value.timestamp()

    def optional_moment(self, key: str) -> float | None:
        """Give a moment in wall seconds, None where it is not there."""
        return self.moment(key) if key in self.fields else None

    def items(self, key: str) -> list["Answer"]:
        """Give a list of structures, empty where it is not there."""
        return [Answer(item, self.about) for item in self._list(key) if isinstance(item, dict)]

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of texts, empty where it is not there."""
        return tuple(item for item in self._list(key) if isinstance(item, str))

    def nested(self, key: str) -> "Answer":
        """Give a structure or map, empty where it is not there."""
        value = self.fields.get(key, {})
        if not isinstance(value, dict):
            raise self._lacks(key)
        return Answer(value, self.about)

    def needs_one_of(self, *keys: str) -> None:
        """Raise Unintelligible unless one of these fields is there."""
        if not self.fields.keys() & set(keys):
            raise self._lacks(" and ".join(keys))

    def _list(self, key: str) -> list[object]:
        value = self.fields.get(key, [])
        if not isinstance(value, list):
            raise self._lacks(key)
        return value

    def _lacks(self, key: str) -> Unintelligible:
        return Unintelligible(f"{self.about}: the answer came without {key}")
