"""Read kms: references: the value is in the reference itself, KMS only opens it.

A probe costs nothing: such a value never changes. Must not know the format of Encryption SDK messages: whoever was
introduced as Envelopes does.
"""

from collections.abc import Callable, Sequence

from sidecar.aws.each import each
from sidecar.core.ciphertexts import is_message
from sidecar.core.errors import Failure
from sidecar.core.keys import region_of
from sidecar.core.ports import Envelopes, Gate, KeyService, Opened
from sidecar.core.refs import Ref
from sidecar.core.secret import Revision, Secret, Version

BATCH = 10
_VERSION_DIGITS = 32


class Ciphertexts:
    """What one identity may decrypt."""

    batch = BATCH

    def __init__(self, keys: KeyService, envelopes: Callable[[], Envelopes]) -> None:
        """Take KMS, and who opens Encryption SDK messages, asked for when the first one comes."""
        self._keys = keys
        self._envelopes = envelopes

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:  # noqa: ARG002 -- the port's
        """Do what `Source.probe` promises, without a request."""
        return {ref: _revision(ref, self._keys.region) for ref in refs}

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises: one request a ref, none for what can be seen to be wrong."""
        return await each(refs, lambda ref: self._fetch(ref, gate))

    async def _fetch(self, ref: Ref, gate: Gate) -> Secret:
        opened = await self._open(ref, ref.ciphertext, gate)
        return Secret(_revision(ref, region_of(opened.key, self._keys.region)), opened.plaintext)

    async def _open(self, ref: Ref, blob: bytes, gate: Gate) -> Opened:
        if is_message(blob):
            return await self._envelopes().open(blob, self._keys, gate, context=ref.context, about=ref.shown)
        return await self._keys.decrypt(blob, gate, context=ref.context, about=ref.shown)


def _revision(ref: Ref, region: str) -> Revision:
    return Revision(ref=ref, version=Version(ref.fingerprint[:_VERSION_DIGITS]), region=region)
