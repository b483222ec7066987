"""Tell the two kinds of ciphertext apart: what KMS makes itself, and AWS Encryption SDK messages."""

from typing import Final

_MESSAGES: Final = (
    b"\x01\x80",  # version 1, type "customer authenticated encrypted data"
    b"\x02",  # version 2; what KMS makes itself begins with 1
)


def is_message(blob: bytes) -> bool:
    """Decide whether it is an Encryption SDK message, whole or not; else it is for KMS to say what it is."""
    return blob.startswith(_MESSAGES)
