"""Read objects of S3: HeadObject tells which version is current, without KMS; GetObject brings it.

A HEAD that is refused says nothing but a number: then GetObject is asked, which says why. Must not read more of an
object than the configuration allows, nor know the format of Encryption SDK messages.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from sidecar.aws.answers import Answer
from sidecar.aws.each import each
from sidecar.aws.errors import RoleRefused, Unexplained
from sidecar.aws.identities import Identity, Question
from sidecar.core.ciphertexts import looks_like_message
from sidecar.core.config.units import size_text
from sidecar.core.errors import (
    AccessDenied,
    BadCustomerKey,
    BadField,
    Failure,
    TooLarge,
    Transient,
    Undecryptable,
    Unintelligible,
)
from sidecar.core.fields import cut
from sidecar.core.ports import Envelopes, Gate, KeyService, Lend, Lent
from sidecar.core.refs import Ref
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import KmsReason, Metrics

BATCH: Final = 20
CHUNK: Final = 2**18  # bytes read at once: a large object comes in few steps, each short enough for the loop

_UNDER_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
_UNVERSIONED: Final = "null"
_AES_256: Final = 32  # bytes of a customer's key
_MARK: Final = 8  # hexadecimal digits that tell one version of a customer's key from the next
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


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """The 32 bytes that an object was uploaded with, and a mark of the version of the secret that held them."""

    key: Plaintext
    mark: str


@dataclass(frozen=True, slots=True)
class Way:
    """What some objects need to be opened, each asked for where there is such a one."""

    keys: Callable[[], KeyService]
    envelopes: Callable[[], Envelopes]
    lend: Lend


class Objects:
    """Objects as one identity sees them."""

    batch = BATCH

    def __init__(self, identity: Identity, way: Way, metrics: Metrics, *, most: int) -> None:
        """Take as whom to ask, who opens what S3 does not, where KMS's work is counted, how large an object may be."""
        self._identity = identity
        self._way = way
        self._metrics = metrics
        self._most = most

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:
        """Do what `Source.probe` promises: one request a ref, two where the first is refused."""
        return await each(refs, lambda ref: self._probe(ref, gate))

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises: one request a ref, and one of KMS's for a message."""
        return await each(refs, lambda ref: self._fetch(ref, gate))

    async def _probe(self, ref: Ref, gate: Gate) -> Revision | Secret:
        key = await self._prepare(ref, gate)
        try:
            head = await self._identity.ask(self._head_question(ref, key), gate)
        except Unexplained:
            return await self._get(ref, key, gate)
        return self._revision(ref, head, key)

    async def _fetch(self, ref: Ref, gate: Gate) -> Secret:
        return await self._get(ref, await self._prepare(ref, gate), gate)

    async def _prepare(self, ref: Ref, gate: Gate) -> CustomerKey | None:
        """Have what must be there before S3 is asked: whose quotas are used, and the customer's key."""
        await self._identity.account_if_told(gate)  # no answer of S3's names it
        if not ref.sse_c:
            return None
        try:
            return _customer_key(await self._way.lend(ref.sse_c), ref)
        except (BadCustomerKey, Transient) as failure:
            raise type(failure)(f"{ref}: {failure}", mend=failure.mend) from failure

    async def _get(self, ref: Ref, key: CustomerKey | None, gate: Gate) -> Secret:
        try:
            found = await self._identity.ask(self._object_question(ref, key), gate)
        except RoleRefused:
            raise
        except AccessDenied as error:
            if key is None:
                raise
            mend = f"{error.mend} Or the object was stored under another key than the secret {ref.sse_c} holds now."
            raise type(error)(str(error), mend=mend) from error
        if found.head.under_kms:
            self._metrics.kms_charged(KmsReason.S3)
        if found.head.foreign:
            raise Undecryptable(
                f"{ref}: it was encrypted by the Amazon S3 Encryption Client, whose format is not read",
                mend="Store it under SSE-KMS, or as an AWS Encryption SDK message.",
            )
        return Secret(self._revision(ref, found.head, key), await self._opened(ref, found.plaintext, gate))

    async def _opened(self, ref: Ref, content: Plaintext, gate: Gate) -> Plaintext:
        """Open an Encryption SDK message, and leave anything else as it is."""
        message = content.reveal()
        if looks_like_message(message):
            envelopes, keys = self._way.envelopes(), self._way.keys()
            return (await envelopes.open(message, keys, gate, context=ref.context, about=str(ref))).plaintext
        if ref.context:
            raise Undecryptable(
                f"{ref}: it is no Encryption SDK message, as its context says",
                mend="Encrypt it before it is uploaded, or leave ?context= out.",
            )
        return content

    def _revision(self, ref: Ref, head: Head, key: CustomerKey | None) -> Revision:
        version = Version(f"{head.version}~{key.mark}") if key else head.version
        return Revision(ref=ref, version=version, region=self._identity.region, modified_at=head.modified_at)

    def _head_question(self, ref: Ref, key: CustomerKey | None) -> Question[Head]:
        return Question(
            service="s3",
            operation="HeadObject",
            region=self._identity.region,
            parameters=_parameters(ref, key),
            about=str(ref),
            read=_read_head,
            confidential=key is not None,
        )

    def _object_question(self, ref: Ref, key: CustomerKey | None) -> Question[Object]:
        async def take_in(answer: Mapping[str, object]) -> Mapping[str, object]:
            return {**answer, "Body": await _take_in(Answer(answer, str(ref)), self._most)}

        return Question(
            service="s3",
            operation="GetObject",
            region=self._identity.region,
            parameters=_parameters(ref, key),
            about=str(ref),
            read=_read_object,
            plaintexts=1 if key is None else 0,
            confidential=key is not None,
            take_in=take_in,
        )


def _parameters(ref: Ref, key: CustomerKey | None) -> dict[str, object]:
    version = {"VersionId": ref.selector.value} if ref.selector else {}
    customers = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key.key.reveal()} if key else {}
    return {"Bucket": ref.bucket, "Key": ref.key, **version, **customers}


def _customer_key(lent: Lent, ref: Ref) -> CustomerKey:
    """Read 32 bytes, or their base64, out of the secret that holds them; raises BadCustomerKey."""
    value = lent.secret.plaintext.reveal()
    try:
        value = value if lent.field is None else cut(value, lent.field)
        key = value if len(value) == _AES_256 else base64.b64decode(value.strip(), validate=True)
    except (BadField, binascii.Error):
        key = b""
    if len(key) != _AES_256:
        raise BadCustomerKey(f"the secret {ref.sse_c}, its key by name, holds neither 32 bytes nor their base64")
    mark = hashlib.sha256(lent.secret.revision.version.encode()).hexdigest()[:_MARK]
    return CustomerKey(Plaintext(key), mark)


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
