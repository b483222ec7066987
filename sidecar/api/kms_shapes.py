"""Read the bodies of requests for KMS: members and base64 as in KMS's own JSON, and nothing else.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html. Must not quote any of what is sent.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.api.asks import parse_object
from sidecar.api.problems import BadRequest
from sidecar.core.keys import SYMMETRIC
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext

MOST_RANDOM: Final = 1024
"""Bytes that one call gives, of random ones and of a data key; as KMS has it."""

_BYTES: Final = {"type": "string", "contentEncoding": "base64"}
_TEXT: Final = {"type": "string"}
MEMBERS: Final[Mapping[str, Mapping[str, object]]] = {
    "KeyId": {**_TEXT, "description": "A key's id or ARN, an alias or its ARN."},
    "Plaintext": {**_BYTES, "description": "At most 4096 bytes; 1 MiB in an envelope."},
    "CiphertextBlob": {**_BYTES, "description": "Of KMS, or an AWS Encryption SDK message."},
    "Message": {**_BYTES, "description": "At most 4096 bytes, or the digest of any."},
    "Signature": _BYTES,
    "EncryptionContext": {"type": "object", "additionalProperties": _TEXT},
    "EncryptionAlgorithm": {**_TEXT, "default": SYMMETRIC},
    "SigningAlgorithm": _TEXT,
    "MessageType": {"enum": ["RAW", "DIGEST"], "default": "RAW"},
    "KeySpec": {"enum": ["AES_256", "AES_128"], "default": "AES_256"},
    "NumberOfBytes": {"type": "integer", "minimum": 1, "maximum": MOST_RANDOM},
    "envelope": {"type": "boolean", "description": "Make an AWS Encryption SDK message.", "default": False},
}
_SIZES: Final = {"AES_256": 32, "AES_128": 16}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a body says; each property raises BadRequest where its member is not what it should be."""

    members: Mapping[str, object]

    @property
    def key_id(self) -> str:
        """The key."""
        return self._text("KeyId")

    @property
    def key_id_or_none(self) -> str | None:
        """The key, where one is named."""
        return self._text("KeyId") if "KeyId" in self.members else None

    @property
    def plaintext(self) -> Plaintext:
        """What is to be encrypted."""
        return Plaintext(self.blob("Plaintext"))

    @property
    def context(self) -> Context:
        """The encryption context."""
        given = self.members.get("EncryptionContext", {})
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise BadRequest("EncryptionContext is not an object of strings")
        if not all(_is_text(text) for pair in given.items() for text in pair):
            raise BadRequest("EncryptionContext holds half a surrogate pair, which is no character")
        return tuple(sorted(given.items()))

    @property
    def encryption_algorithm(self) -> str:
        """How to encrypt or decrypt."""
        return self._text("EncryptionAlgorithm") if "EncryptionAlgorithm" in self.members else SYMMETRIC

    @property
    def signing_algorithm(self) -> str:
        """How to sign or verify."""
        return self._text("SigningAlgorithm")

    @property
    def is_digest(self) -> bool:
        """Whether the message is its digest already."""
        return self._choice("MessageType", "RAW", ("RAW", "DIGEST")) == "DIGEST"

    @property
    def is_envelope(self) -> bool:
        """Whether an Encryption SDK message is wanted."""
        given = self.members.get("envelope", False)
        if not isinstance(given, bool):
            raise BadRequest("envelope is neither true nor false")
        return given

    @property
    def size(self) -> int:
        """How many bytes are wanted, of random ones or of a data key."""
        if "NumberOfBytes" not in self.members:
            return _SIZES[self._choice("KeySpec", "AES_256", tuple(_SIZES))]
        given = self.members["NumberOfBytes"]
        if "KeySpec" in self.members:
            raise BadRequest("NumberOfBytes and KeySpec are both there; give one of them")
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_RANDOM:
            raise BadRequest(f"NumberOfBytes is not a whole number from 1 to {MOST_RANDOM}")
        return given

    def blob(self, member: str) -> bytes:
        """Give the bytes of a member; its name is ours."""
        try:
            return base64.b64decode(self._text(member), validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest(f"{member} is not base64") from None

    def _text(self, member: str) -> str:
        given = self.members.get(member)
        if not isinstance(given, str):
            raise BadRequest(f"{member} is not a string")
        return given

    def _choice(self, member: str, default: str, choices: tuple[str, ...]) -> str:
        given = self.members.get(member, default)
        if not isinstance(given, str) or given not in choices:
            raise BadRequest(f"{member} is none of {', '.join(choices)}")
        return given


def _is_text(text: str) -> bool:
    """Tell whether it can be written in UTF-8: JSON's escapes can say more than that."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Shape:
    """Which members one operation takes."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def read(self, body: bytes) -> Wish:
        """Read a body; raises BadRequest."""
        members = parse_object(body)
        if missing := [name for name in self.required if name not in members]:
            raise BadRequest(f"the body lacks {', '.join(missing)}")
        if members.keys() - {*self.required, *self.optional}:
            raise BadRequest(f"the body has other members than {', '.join((*self.required, *self.optional))}")
        return Wish(members)

    def schema(self) -> dict[str, object]:
        """Describe it in JSON Schema's words."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": list(self.required),
            "properties": {name: dict(MEMBERS[name]) for name in (*self.required, *self.optional)},
        }


_SIZED: Final = ("EncryptionContext", "KeySpec", "NumberOfBytes")
SHAPES: Final[Mapping[str, Shape]] = {
    "KmsEncrypt": Shape(("KeyId", "Plaintext"), ("EncryptionContext", "EncryptionAlgorithm", "envelope")),
    "KmsDecrypt": Shape(("CiphertextBlob",), ("KeyId", "EncryptionContext", "EncryptionAlgorithm")),
    "KmsDataKey": Shape(("KeyId",), _SIZED),
    "KmsRandom": Shape(("NumberOfBytes",)),
    "KmsSign": Shape(("KeyId", "Message", "SigningAlgorithm"), ("MessageType",)),
    "KmsVerify": Shape(("KeyId", "Message", "Signature", "SigningAlgorithm"), ("MessageType",)),
}
"""By the name that the OpenAPI document gives them."""
