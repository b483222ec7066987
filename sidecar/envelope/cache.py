"""Decide how long a data key serves: by its age, and to encrypt by the messages and bytes under it too.

Pure: takes `now`. Must not ask for keys; messages does.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sidecar.core.config.models import DataKeyCache
from sidecar.core.ports import DataKey
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext

MOST: Final = 1000
"""Data keys kept of each kind; those that were used least recently go first."""


@dataclass(frozen=True, slots=True)
class SealingId:
    """What messages must have in common to share a data key."""

    identity: str
    key_id: str
    context: Context
    algorithm: str


@dataclass(frozen=True, slots=True)
class OpeningId:
    """What tells one encrypted data key from another; KMS authenticates the context with it."""

    identity: str
    key: str
    blob: bytes
    context: Context


@dataclass(slots=True)
class _Sealing:
    data_key: DataKey
    made_at: float
    messages: int = 0
    size: int = 0


def is_off(limits: DataKeyCache) -> bool:
    """Decide whether each message has a data key of its own."""
    return 0 in (limits.max_age, limits.max_bytes, limits.max_messages)


class SealingKeys:
    """Data keys that encrypt several messages each."""

    def __init__(self) -> None:
        """Begin without any."""
        self._held: OrderedDict[SealingId, _Sealing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, asked: SealingId, size: int, limits: DataKeyCache, now: float) -> DataKey | None:
        """Give a data key for a message of `size` bytes and count it; None when there is none that may serve."""
        held = self._held.get(asked)
        if held is None:
            return None
        fits = held.messages < limits.max_messages and held.size + size <= limits.max_bytes
        if is_off(limits) or not fits or now - held.made_at >= limits.max_age:
            del self._held[asked]
            return None
        held.messages += 1
        held.size += size
        self._held.move_to_end(asked)
        return held.data_key

    def put(self, asked: SealingId, data_key: DataKey, size: int, now: float) -> None:
        """Keep a data key that has just encrypted its first message."""
        self._held[asked] = _Sealing(data_key, now, 1, size)
        if len(self._held) > MOST:
            self._held.popitem(last=False)

    def prune(self, limits: DataKeyCache, now: float) -> None:
        """Forget what may not serve any more."""
        for asked, held in tuple(self._held.items()):
            if is_off(limits) or now - held.made_at >= limits.max_age or held.messages >= limits.max_messages:
                del self._held[asked]


class OpeningKeys:
    """Data keys that KMS has decrypted."""

    def __init__(self) -> None:
        """Begin without any."""
        self._held: OrderedDict[OpeningId, tuple[float, Plaintext]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, asked: OpeningId, max_age: float, now: float) -> Plaintext | None:
        """Give a data key that was decrypted less than `max_age` seconds ago."""
        made_at, data_key = self._held.get(asked, (float("-inf"), None))
        if now - made_at >= max_age:
            self._held.pop(asked, None)
            return None
        return data_key

    def put(self, asked: OpeningId, data_key: Plaintext, now: float) -> None:
        """Keep a data key."""
        self._held[asked] = (now, data_key)
        if len(self._held) > MOST:
            self._held.popitem(last=False)

    def prune(self, limits: DataKeyCache, now: float) -> None:
        """Forget what may not serve any more."""
        for asked, (made_at, _) in tuple(self._held.items()):
            if is_off(limits) or now - made_at >= limits.max_age:
                del self._held[asked]
