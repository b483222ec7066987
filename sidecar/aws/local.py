"""Open a SecureString ourselves: `decrypt: local` asks Parameter Store for ciphertext and KMS for what is in it."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidecar.core.ciphertexts import is_message
from sidecar.core.errors import KeyDenied, KeyElsewhere, Undecryptable
from sidecar.core.ports import Envelopes, Gate, KeyService, Opened
from sidecar.core.refs import Ref
from sidecar.core.secret import Plaintext

_MEND: Final = (
    "Grant the identity kms:Decrypt on the parameter's key. Under alias/aws/ssm only Parameter Store may decrypt: "
    "store the value under a customer managed key, or set decrypt: aws."
)


@dataclass(frozen=True, slots=True)
class Opener:
    """What opens ciphertext of Parameter Store's: a blob of KMS's (standard tier), or a message (advanced tier)."""

    keys: KeyService
    envelopes: Callable[[], Envelopes]

    async def open(self, ref: Ref, *, value: str, arn: str, gate: Gate) -> Plaintext:
        """Open the value of the parameter with this ARN; raises SecretError or Transient."""
        try:
            return (await self._open(ref, _bytes(ref, value), arn, gate)).plaintext
        except (KeyDenied, KeyElsewhere) as error:  # for this way of asking there is more to say
            raise type(error)(str(error), mend=_MEND) from error

    async def _open(self, ref: Ref, blob: bytes, arn: str, gate: Gate) -> Opened:
        context = (("PARAMETER_ARN", arn),)
        if is_message(blob):
            return await self.envelopes().open(blob, self.keys, gate, context=context, about=ref.shown)
        region = arn.split(":")[3]  # a parameter's key is where the parameter is
        return await self.keys.decrypt(blob, gate, context=context, region=region, about=ref.shown)


def _bytes(ref: Ref, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Undecryptable(f"{ref}: what Parameter Store gave is no ciphertext") from None
