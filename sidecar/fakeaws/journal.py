"""Remember each request that reached the fake: the figures of tests and benchmarks are counted here.

Holds names and outcomes; must never hold a value, a ciphertext or a credential.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from sidecar.fakeaws.weather import ANY
from sidecar.fakeaws.wire import Json

KEPT: Final = 500_000  # requests; a long `sidecar dev` must not grow without end


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt on the wire."""

    at: float  # seconds since 1970
    service: str
    operation: str
    region: str
    account: str
    identity: str  # the caller's ARN
    status: int  # 0 = the connection was closed without an answer
    error: str
    names: tuple[str, ...]
    with_decryption: bool
    kms_charges: int  # decryptions that were asked of KMS, on the caller's behalf or by his own call


@dataclass(slots=True)
class Journal:
    """The entries, oldest first."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))

    def of(self, account: str, service: str = ANY, operation: str = ANY) -> list[Entry]:
        """Return the entries of one account (`*`: all), oldest first."""
        return [
            entry
            for entry in self.entries
            if account in {ANY, entry.account}
            and service in {ANY, entry.service}
            and operation in {ANY, entry.operation}
        ]

    def forget(self, account: str) -> None:
        """Drop the entries of one account (`*`: all)."""
        kept = [] if account == ANY else [entry for entry in self.entries if entry.account != account]
        self.entries = deque(kept, maxlen=KEPT)


def counted(entries: Sequence[Entry]) -> Json:
    """Return how many requests there were of each operation, and how many decryptions."""
    counts = Counter(f"{entry.service}.{entry.operation}" for entry in entries)
    return {"counts": dict(counts), "kms_charges": sum(entry.kms_charges for entry in entries)}


def listed(entries: Sequence[Entry]) -> Json:
    """Return the counts and the entries themselves."""
    return {**counted(entries), "requests": [asdict(entry) for entry in entries]}
