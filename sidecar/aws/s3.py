"""Read objects of S3: HeadObject tells which version is current, without KMS; GetObject brings it.

A HEAD that is refused says nothing but a number: then GetObject is asked, which says why. Must not read more of an
object than the configuration allows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from sidecar.aws.answers import Answer
from sidecar.aws.each import each
from sidecar.aws.errors import Unexplained
from sidecar.aws.identities import Identity, Question
from sidecar.core.config.units import size_text
from sidecar.core.errors import Failure, TooLarge, Undecryptable, Unintelligible
from sidecar.core.ports import Gate
from sidecar.core.refs import Ref
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import KmsReason, Metrics

BATCH: Final = 20
CHUNK: Final = 2**18  # bytes read at once: a large object comes in few steps, each short enough for the loop

_UNDER_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
_UNVERSIONED: Final = "null"
_ENCRYPTION_CLIENT: Final = frozenset({"x-amz-key", "x-amz-key-v2", "x-amz-3"})
"""Metadata that the Amazon S3 Encryption Client leaves, by its versions: a format of its own, which is not read."""


@runtime_checkable
class Body(Protocol):
    """What the SDK gives of an object that is on its way."""

    async def read(self, amt: int | None = None) -> bytes:
        """Give the next bytes, at most so many; none at the end."""
        ...

    def close(self) -> None:
        """Read no further."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """One version of an object, as its headers tell."""

    version: Version
    modified_at: float | None
    under_kms: bool
    foreign: bool  # encrypted by a client in a format that is not read


@dataclass(frozen=True, slots=True)
class Object:
    """One version of an object, as GetObject gives it."""

    head: Head
    plaintext: Plaintext


class Objects:
    """Objects as one identity sees them."""

    batch = BATCH

    def __init__(self, identity: Identity, metrics: Metrics, *, most: int) -> None:
        """Take as whom to ask, where KMS's work is counted, and how many bytes an object may have."""
        self._identity = identity
        self._metrics = metrics
        self._most = most

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:
        """Do what `Source.probe` promises: one request a ref, two where the first is refused."""
        return await each(refs, lambda ref: self._probe(ref, gate))

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises: one request a ref."""
        return await each(refs, lambda ref: self._fetch(ref, gate))

    async def _probe(self, ref: Ref, gate: Gate) -> Revision | Secret:
        await self._identity.account_if_told(gate)  # no answer of S3's names it
        try:
            head = await self._identity.ask(self._head_question(ref), gate)
        except Unexplained:
            return await self._fetch(ref, gate)
        return self._revision(ref, head)

    async def _fetch(self, ref: Ref, gate: Gate) -> Secret:
        await self._identity.account_if_told(gate)
        found = await self._identity.ask(self._object_question(ref), gate)
        if found.head.under_kms:
            self._metrics.kms_charged(KmsReason.S3)
        if found.head.foreign:
            raise Undecryptable(
                f"{ref}: it was encrypted by the Amazon S3 Encryption Client, whose format is not read",
                mend="Store it under SSE-KMS, or as an AWS Encryption SDK message (`sidecar encrypt`).",
            )
        return Secret(self._revision(ref, found.head), found.plaintext)

    def _revision(self, ref: Ref, head: Head) -> Revision:
        return Revision(ref=ref, version=head.version, region=self._identity.region, modified_at=head.modified_at)

    def _head_question(self, ref: Ref) -> Question[Head]:
        return Question("s3", "HeadObject", self._identity.region, _parameters(ref), str(ref), _read_head)

    def _object_question(self, ref: Ref) -> Question[Object]:
        async def take_in(answer: Mapping[str, object]) -> Mapping[str, object]:
            return {**answer, "Body": await _take_in(Answer(answer, str(ref)), self._most)}

        return Question(
            service="s3",
            operation="GetObject",
            region=self._identity.region,
            parameters=_parameters(ref),
            about=str(ref),
            read=_read_object,
            plaintexts=1,
            take_in=take_in,
        )


def _parameters(ref: Ref) -> dict[str, object]:
    version = {"VersionId": ref.selector.value} if ref.selector else {}
    return {"Bucket": ref.bucket, "Key": ref.key, **version}


async def _take_in(answer: Answer, most: int) -> bytes:
    """Read the object that is on its way, unless it is too large, of which its length is asked first."""
    body = answer.fields.get("Body")
    if not isinstance(body, Body):
        raise Unintelligible(f"{answer.about}: the answer came without its object")
    taken = bytearray()
    try:
        if answer.has("ContentLength") and answer.number("ContentLength") > most:
            raise _too_large(answer.about, most)
        while chunk := await body.read(CHUNK):
            taken += chunk
            if len(taken) > most:
                raise _too_large(answer.about, most)
    finally:
        body.close()  # the rest never comes; of an object that was read to its end the connection is used again
    return bytes(taken)


def _too_large(about: str, most: int) -> TooLarge:
    return TooLarge(f"{about}: the object is larger than {size_text(most)}")


def _read_head(answer: Answer) -> Head:
    version, etag = answer.optional_text("VersionId"), answer.text("ETag")
    metadata = answer.nested("Metadata").fields
    return Head(
        version=Version(etag.strip('"') if version in {None, _UNVERSIONED} else str(version)),
        modified_at=answer.optional_moment("LastModified"),
        under_kms=answer.optional_text("ServerSideEncryption") in _UNDER_KMS,
        foreign=not _ENCRYPTION_CLIENT.isdisjoint(metadata),
    )


def _read_object(answer: Answer) -> Object:
    return Object(_read_head(answer), Plaintext(answer.blob("Body")))
