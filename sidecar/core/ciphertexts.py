"""Tell ciphertext apart, KMS's, AWS Encryption SDK messages and what is none, and say what a message can hold."""

from typing import Final

from sidecar.core.errors import BadCiphertext, BadContext
from sidecar.core.refs import Context

_MESSAGES: Final = (
    b"\x01\x80",  # version 1, type "customer authenticated encrypted data"
    b"\x02",  # version 2; what KMS makes itself begins with 1
)

RESERVED: Final = "aws-crypto-"
"""How those names begin that the Encryption SDK gives to what it adds: with another's, a message would never open."""

MOST_CONTEXT: Final = 65_535
"""Bytes of a context in a message: its length is written in two bytes."""


def is_message(blob: bytes) -> bool:
    """Decide whether it is an Encryption SDK message, whole or not; else it is for KMS to say what it is."""
    return blob.startswith(_MESSAGES)


def looks_like_message(content: bytes) -> bool:
    """Decide whether bytes of any kind are an Encryption SDK message: by version, type, and an algorithm that there is.

    No text begins so, and of other bytes one in millions.
    """
    if content.startswith(_MESSAGES[0]):
        return content[2:4] in _ALGORITHMS
    return content.startswith(_MESSAGES[1]) and content[1:3] in _COMMITTING


# docs.aws.amazon.com/encryption-sdk/latest/developer-guide/algorithms-reference.html
_ALGORITHMS: Final = frozenset(
    number.to_bytes(2, "big") for number in (0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378)
)
_COMMITTING: Final = frozenset(number.to_bytes(2, "big") for number in (0x0478, 0x0578))


def check_context(context: Context, about: str) -> None:
    """Raise BadContext for an encryption context that no message can have."""
    if any(name.startswith(RESERVED) for name, _ in context):
        raise BadContext(f"{about}: names that begin with {RESERVED} are the Encryption SDK's own")
    size = 2 + sum(4 + len(name.encode()) + len(value.encode()) for name, value in context)
    if size > MOST_CONTEXT:
        raise BadContext(f"{about}: the encryption context is longer than a message can hold")


def check_holds(context: Context, asked: Context, about: str) -> None:
    """Raise BadCiphertext where a message's context does not hold all that is asked for; it may hold more."""
    if not set(asked) <= set(context):
        raise BadCiphertext(f"{about}: the message has another encryption context")
