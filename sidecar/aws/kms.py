"""Ask KMS: one Question for each operation, charged to the quota of its key's kind."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from sidecar.aws.answers import Answer
from sidecar.aws.identities import Question
from sidecar.core.keys import SYMMETRIC, quota_of
from sidecar.core.ports import DataKey, Opened, PublicKey, Sealed, Signature
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext

T = TypeVar("T")


def _question(  # noqa: PLR0913 -- what a question is made of
    operation: str,
    region: str,
    about: str,
    parameters: Mapping[str, object],
    read: Callable[[Answer], T],
    *,
    algorithm: str = SYMMETRIC,
) -> Question[T]:
    given = {name: value for name, value in parameters.items() if value not in (None, {})}
    quota = quota_of(algorithm) or f"kms.{operation}"
    return Question("kms", operation, region, given, about, read, kms_quota=quota)


def encrypt(  # noqa: PLR0913 -- as many as KMS has
    region: str, about: str, *, key_id: str, plaintext: bytes, context: Context, algorithm: str
) -> Question[Sealed]:
    """Ask for a ciphertext."""
    parameters = {
        "KeyId": key_id,
        "Plaintext": plaintext,
        "EncryptionContext": dict(context),
        "EncryptionAlgorithm": _other_than_default(algorithm),
    }
    return _question("Encrypt", region, about, parameters, _sealed, algorithm=algorithm)


def decrypt(  # noqa: PLR0913 -- as many as KMS has
    region: str, about: str, *, blob: bytes, context: Context, key_id: str | None, algorithm: str
) -> Question[Opened]:
    """Ask for what is in a ciphertext."""
    parameters = {
        "CiphertextBlob": blob,
        "EncryptionContext": dict(context),
        "KeyId": key_id,
        "EncryptionAlgorithm": _other_than_default(algorithm),
    }
    return _question("Decrypt", region, about, parameters, lambda answer: _opened(answer, context), algorithm=algorithm)


def generate_data_key(region: str, about: str, *, key_id: str, context: Context, size: int) -> Question[DataKey]:
    """Ask for a data key."""
    parameters = {"KeyId": key_id, "NumberOfBytes": size, "EncryptionContext": dict(context)}
    return _question("GenerateDataKey", region, about, parameters, _data_key)


def generate_data_key_without_plaintext(
    region: str, about: str, *, key_id: str, context: Context, size: int
) -> Question[Sealed]:
    """Ask for a data key that is not told."""
    parameters = {"KeyId": key_id, "NumberOfBytes": size, "EncryptionContext": dict(context)}
    return _question("GenerateDataKeyWithoutPlaintext", region, about, parameters, _sealed)


def generate_random(region: str, about: str, *, size: int) -> Question[Plaintext]:
    """Ask for random bytes."""
    return _question("GenerateRandom", region, about, {"NumberOfBytes": size}, _plaintext)


def sign(  # noqa: PLR0913 -- as many as KMS has
    region: str, about: str, *, key_id: str, message: bytes, algorithm: str, is_digest: bool
) -> Question[Signature]:
    """Ask for a signature."""
    parameters = {
        "KeyId": key_id,
        "Message": message,
        "MessageType": "DIGEST" if is_digest else "RAW",
        "SigningAlgorithm": algorithm,
    }
    return _question("Sign", region, about, parameters, _signature, algorithm=algorithm)


def verify(  # noqa: PLR0913 -- as many as KMS has
    region: str, about: str, *, key_id: str, message: bytes, signature: bytes, algorithm: str, is_digest: bool
) -> Question[bool]:
    """Ask whether a signature is of this message and key; KMS answers a wrong one with an error."""
    parameters = {
        "KeyId": key_id,
        "Message": message,
        "MessageType": "DIGEST" if is_digest else "RAW",
        "Signature": signature,
        "SigningAlgorithm": algorithm,
    }
    return _question(
        "Verify", region, about, parameters, lambda answer: answer.flag("SignatureValid"), algorithm=algorithm
    )


def public_key(region: str, about: str, *, key_id: str) -> Question[PublicKey]:
    """Ask for the public key of a pair."""
    return _question("GetPublicKey", region, about, {"KeyId": key_id}, _public_key)


def describe_key(region: str, about: str, *, key_id: str) -> Question[str]:
    """Ask for the ARN of the key that an alias names."""
    parameters = {"KeyId": key_id}
    return _question("DescribeKey", region, about, parameters, lambda answer: answer.nested("KeyMetadata").text("Arn"))


def _other_than_default(algorithm: str) -> str | None:
    return None if algorithm == SYMMETRIC else algorithm


def _sealed(answer: Answer) -> Sealed:
    return Sealed(answer.text("KeyId"), answer.blob("CiphertextBlob"))


def _opened(answer: Answer, context: Context) -> Opened:
    return Opened(answer.text("KeyId"), _plaintext(answer), context)


def _plaintext(answer: Answer) -> Plaintext:
    return Plaintext(answer.blob("Plaintext"))


def _data_key(answer: Answer) -> DataKey:
    return DataKey(answer.text("KeyId"), _plaintext(answer), answer.blob("CiphertextBlob"))


def _signature(answer: Answer) -> Signature:
    return Signature(answer.text("KeyId"), answer.blob("Signature"))


def _public_key(answer: Answer) -> PublicKey:
    return PublicKey(
        key=answer.text("KeyId"),
        der=answer.blob("PublicKey"),
        spec=answer.optional_text("KeySpec") or "",
        usage=answer.optional_text("KeyUsage") or "",
        algorithms=answer.texts("SigningAlgorithms") + answer.texts("EncryptionAlgorithms"),
    )
