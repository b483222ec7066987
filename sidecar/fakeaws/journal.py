"""Remember each request that reached the fake: the figures of tests and benchmarks are counted here.

Holds names and outcomes; must never hold a value, a ciphertext or a credential.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, NamedTuple

from sidecar.fakeaws.weather import ANY
from sidecar.fakeaws.wire import Json

KEPT: Final = 50_000  # requests, some 20 MB; a long `sidecar dev` must not grow without end, its counts go on


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


class Kind(NamedTuple):
    """What entries are counted by."""

    account: str
    service: str
    operation: str


@dataclass(slots=True)
class Totals:
    """How many requests there were, and how many decryptions they asked of KMS."""

    requests: int = 0
    kms_charges: int = 0


@dataclass(slots=True)
class Journal:
    """The last entries, oldest first, and the counts of all that were ever written."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    totals: defaultdict[Kind, Totals] = field(default_factory=lambda: defaultdict(Totals))

    def write(self, entry: Entry) -> None:
        """Take one attempt in; the oldest makes room."""
        self.entries.append(entry)
        totals = self.totals[Kind(entry.account, entry.service, entry.operation)]
        totals.requests += 1
        totals.kms_charges += entry.kms_charges

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
        for kind in [kind for kind in self.totals if account in {ANY, kind.account}]:
            del self.totals[kind]

    def counted(self, account: str, service: str = ANY, operation: str = ANY) -> Json:
        """Return how many requests there were of each operation, and how many decryptions; exact, however many."""
        counts: Counter[str] = Counter()
        kms_charges = 0
        for kind, totals in self.totals.items():
            if account in {ANY, kind.account} and service in {ANY, kind.service} and operation in {ANY, kind.operation}:
                counts[f"{kind.service}.{kind.operation}"] += totals.requests
                kms_charges += totals.kms_charges
        return {"counts": dict(counts), "kms_charges": kms_charges}


def listed(entries: Iterable[Entry]) -> list[Json]:
    """Return the entries as they are told to programs."""
    return [asdict(entry) for entry in entries]
