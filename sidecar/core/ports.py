"""Name what the engine needs of the world; `aws` and the tests' fakes provide it, `app` introduces them.

Each port has one conformance suite in `tests/`, which every implementation passes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol, TypeVar

from sidecar.core.errors import Failure
from sidecar.core.keys import SYMMETRIC
from sidecar.core.leases import Bid, Lease, Pool
from sidecar.core.quotas import Charge, Scope
from sidecar.core.refs import Context, Ref, SourceKind, Tree
from sidecar.core.secret import Plaintext, Revision, Secret

T = TypeVar("T")


class Priority(IntEnum):
    """Who waits for the answer; a lower number goes first."""

    CALLER = 0
    BACKGROUND = 1


class Decrypt(StrEnum):
    """Who opens a SecureString: AWS on our behalf, or this daemon by kms:Decrypt."""

    AWS = "aws"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a value: refs with one route can share a batch."""

    source: SourceKind
    identity: str
    decrypt: Decrypt = Decrypt.AWS


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS request about to be made, as whoever admits it must know it."""

    service: str  # as botocore spells it: "ssm"
    operation: str  # "GetParameters"
    scope: Scope  # the account and region whose quotas it uses
    charges: tuple[Charge, ...]
    identity: str = ""  # as whom it is sent, which may be to an endpoint of its own


class Gate(Protocol):
    """Where a source's AWS requests are admitted, timed out, retried and counted.

    A gate belongs to one check: it carries that check's priority and deadline, so a source need not know them.
    """

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt` once the quotas admit it, again after a Transient, and give what it gives.

        `attempt` raises SecretError or Transient and nothing else; so does `send`. Cancelling it
        cancels the attempt and gives the quota that was not used back.
        """
        ...

    async def bide(self, turn: Awaitable[T]) -> T:
        """Wait for what somebody else's request must end first; raises TimedOut where this check's own wait ends.

        Cancelling it cancels `turn`.
        """
        ...

    def once(self) -> "Gate":
        """Give the same gate without retries: for a source that has another place to ask."""
        ...


@dataclass(frozen=True, slots=True)
class Lent:
    """The value of a declared secret, for a source that needs it to read another; `field` is cut from it."""

    secret: Secret
    field: str | None


Lend = Callable[[str], Awaitable[Lent]]
"""Lend a declared secret by its name, waiting until it is held.

Raises SecretError or Transient, whose message names no ref. Cancelling it disturbs nobody else.
"""


class Source(Protocol):
    """Read one kind of ref with one identity.

    Refs in, an answer for every ref out: one bad ref never fails its neighbours. Refs are whole
    (without field). Nothing is raised but what cancels.
    """

    batch: int
    """The most refs that one `probe` or `fetch` is given."""

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Revision | Secret | Failure]:
        """Ask which version is current; no KMS. A Secret where the answer brings the value anyway."""
        ...

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
        """Get the current plaintexts; KMS is charged for each that was encrypted."""
        ...


class TreeSource(Protocol):
    """Read everything below a path, page by page, so that the first values are held before the last are asked for.

    Raises Failure from the iteration when the walk cannot go on.
    """

    def probe_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Revision | Secret]]:
        """Ask which versions are current below the path; no KMS."""
        ...

    def fetch_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Secret]]:
        """Get all plaintexts below the path: the cheapest way to a tree of which nothing is held."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """What a ciphertext or message held, and the ARN of the key that opened it."""

    key: str
    plaintext: Plaintext
    context: Context = ()  # all of it: a message may carry more than was asked for


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the ARN of the key that made it."""

    key: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key in the clear and under a KMS key, and that one's ARN."""

    key: str
    plaintext: Plaintext
    blob: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and the ARN of the key that made it."""

    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a pair that anybody may have, as KMS tells it."""

    key: str  # ARN
    der: bytes  # SubjectPublicKeyInfo
    spec: str  # "RSA_2048", "ECC_NIST_P256"
    usage: str  # "SIGN_VERIFY", "ENCRYPT_DECRYPT", "KEY_AGREEMENT"
    algorithms: tuple[str, ...]  # of signing or encryption


class KeyService(Protocol):
    """KMS as one identity sees it, and only under keys that it may use.

    Raises SecretError (KeyNotAllowed, before AWS is asked wherever that can be known), Transient or BadKeyId, and
    nothing else. A KeyId is a key's id or ARN, an alias or its ARN; an ARN is asked in its own region. `about` says
    in messages whose request it was. Cancelling cancels the request.
    """

    @property
    def identity(self) -> str:
        """Its name."""
        ...

    @property
    def region(self) -> str:
        """Where a KeyId is that does not say so."""
        ...

    async def admits(self, key_id: str, gate: Gate) -> bool:
        """Decide whether the key may be used; AWS is asked only where an alias must be resolved."""
        ...

    async def encrypt(  # noqa: PLR0913 -- as many as KMS has
        self,
        key_id: str,
        plaintext: Plaintext,
        gate: Gate,
        *,
        context: Context = (),
        algorithm: str = SYMMETRIC,
        about: str = "",
    ) -> Sealed:
        """Encrypt up to 4 KiB."""
        ...

    async def decrypt(  # noqa: PLR0913 -- as many as KMS has
        self,
        blob: bytes,
        gate: Gate,
        *,
        context: Context = (),
        key_id: str | None = None,
        algorithm: str = SYMMETRIC,
        region: str | None = None,
        about: str = "",
    ) -> Opened:
        """Decrypt, without `key_id` in `region` (its own unless given).

        The plaintext of a key that turns out to be none that may be used is dropped, and KeyNotAllowed raised.
        """
        ...

    async def generate_data_key(
        self, key_id: str, gate: Gate, *, context: Context = (), size: int = 32, about: str = ""
    ) -> DataKey:
        """Make a data key of `size` bytes."""
        ...

    async def generate_data_key_without_plaintext(
        self, key_id: str, gate: Gate, *, context: Context = (), size: int = 32, about: str = ""
    ) -> Sealed:
        """Make a data key that nobody sees yet."""
        ...

    async def generate_random(self, size: int, gate: Gate, *, about: str = "") -> Plaintext:
        """Draw `size` bytes, 1 to 1024."""
        ...

    async def sign(  # noqa: PLR0913 -- as many as KMS has
        self, key_id: str, message: bytes, algorithm: str, gate: Gate, *, is_digest: bool = False, about: str = ""
    ) -> Signature:
        """Sign a message of up to 4 KiB, or the digest of any."""
        ...

    async def verify(  # noqa: PLR0913 -- as many as KMS has
        self,
        key_id: str,
        message: bytes,
        signature: bytes,
        algorithm: str,
        gate: Gate,
        *,
        is_digest: bool = False,
        about: str = "",
    ) -> bool:
        """Tell whether the signature is of this message and key."""
        ...

    async def public_key(self, key_id: str, gate: Gate, *, about: str = "") -> PublicKey:
        """Give the public key of a pair."""
        ...


class Envelopes(Protocol):
    """AWS Encryption SDK messages: larger than KMS takes, under data keys that a KeyService seals and opens."""

    async def open(
        self, message: bytes, keys: KeyService, gate: Gate, *, context: Context = (), about: str = ""
    ) -> Opened:
        """Open a message that somebody wrote, with `context` among its own; raises SecretError or Transient.

        What can be seen to be wrong without KMS is refused before it is asked.
        """
        ...

    async def seal(  # noqa: PLR0913 -- what a message is made of
        self,
        plaintext: Plaintext,
        key_id: str,
        keys: KeyService,
        gate: Gate,
        *,
        context: Context = (),
        about: str = "",
    ) -> Sealed:
        """Make a message under a data key of this KMS key, one that serves several messages where that is allowed."""
        ...


class Clock(Protocol):
    """The two clocks that are not the loop's (waiting is the loop's own `time()`)."""

    def trust(self) -> float:
        """Seconds that go on during suspend (CLOCK_BOOTTIME), for asking how old a held value is."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch: only shown, stored or signed; it may jump."""
        ...


class LeaseStore(Protocol):
    """Keep a fleet's ledgers (`core.leases`) where all its daemons reach them: one for each pool.

    Whatever the store, the daemons together never hold more than the share, each has its fair part within one lease
    time, and a store that has lost its memory grants safe minimums until it knows again. Its own requests use no
    leased quota. Nothing is raised but StoreLost and what cancels.
    """

    lasting: float
    """Seconds that a lease lasts."""

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Lease a part of the pool anew, in place of what the member holds.

        Raises StoreLost: then nobody knows whether it was done. Cancelling it leaves as much open.
        """
        ...

    async def leave(self, pool: Pool, member: str) -> None:
        """Give back what the member holds, if it is there; raises StoreLost."""
        ...

    async def close(self) -> None:
        """Close the connections; never raises."""
        ...
