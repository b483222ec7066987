"""Open a SecureString ourselves: `decrypt: local` asks Parameter Store for ciphertext and KMS for what is in it."""

import base64
import binascii
from typing import Final

from sidecar.aws.errors import RoleRefused
from sidecar.aws.identities import Identity, Question
from sidecar.core.errors import AccessDenied, Undecryptable
from sidecar.core.ports import Gate
from sidecar.core.refs import Ref

_MESSAGE_V1: Final = b"\x01\x80"  # version 1, type "customer authenticated encrypted data"
_MESSAGE_V2: Final = b"\x02"

_MEND: Final = (
    "Grant the identity kms:Decrypt on the parameter's key. Under alias/aws/ssm only Parameter Store may decrypt: "
    "store the value under a customer managed key, or set decrypt: aws."
)


def decrypt_question(ref: Ref, *, value: str, arn: str, region: str) -> Question[bytes]:
    """Ask for what is in the value of the parameter with this ARN; raises Undecryptable for what is not KMS's."""
    return Question(
        service="kms",
        operation="Decrypt",
        region=region,
        parameters={"CiphertextBlob": _blob(ref, value), "EncryptionContext": {"PARAMETER_ARN": arn}},
        about=str(ref),
        read=lambda answer: answer.blob("Plaintext"),
        plaintexts=1,
    )


async def open_locally(identity: Identity, question: Question[bytes], gate: Gate) -> bytes:
    """Have KMS decrypt; raises SecretError or Transient."""
    try:
        return await identity.ask(question, gate)
    except RoleRefused:
        raise
    except AccessDenied as error:  # for this way of asking there is more to say
        raise AccessDenied(str(error), mend=_MEND) from error


def _blob(ref: Ref, value: str) -> bytes:
    """Give what KMS takes; raises Undecryptable for what it does not."""
    try:
        blob = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Undecryptable(f"{ref}: what Parameter Store gave is no ciphertext") from None
    if blob.startswith((_MESSAGE_V1, _MESSAGE_V2)):
        raise Undecryptable(
            f"{ref}: a parameter of the advanced tier, which decrypt: local does not open in this version",
            mend="Set decrypt: aws, or store the value in the standard tier.",
        )
    return blob
