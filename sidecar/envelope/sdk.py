"""Call the AWS Encryption SDK: synchronous, and with data keys that somebody else has got.

A message is read twice: the first time up to the data keys that it needs, the second time with one of them. What the
SDK throws is told by a table; its texts, which may quote the message, are not repeated.
"""

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Self

from aws_encryption_sdk import EncryptionSDKClient
from aws_encryption_sdk.exceptions import (
    ActionNotAllowedError,
    MaxEncryptedDataKeysExceeded,
    NotSupportedError,
    UnknownIdentityError,
)
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from aws_encryption_sdk.key_providers.base import MasterKeyProvider, MasterKeyProviderConfig
from aws_encryption_sdk.materials_managers import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
)
from aws_encryption_sdk.materials_managers.base import CryptoMaterialsManager
from aws_encryption_sdk.materials_managers.default import DefaultCryptoMaterialsManager
from aws_encryption_sdk.structures import DataKey as SdkDataKey
from aws_encryption_sdk.structures import EncryptedDataKey, MasterKeyInfo

from sidecar.core.errors import BadCiphertext, SidecarError, Undecryptable
from sidecar.core.ports import DataKey
from sidecar.core.refs import Context
from sidecar.envelope.streams import Readable

logging.getLogger("aws_encryption_sdk").setLevel(logging.CRITICAL + 1)
# Here, so that nobody has the SDK without: for a bad message it prints tracebacks, else encryption contexts.

PROVIDER: Final = "aws-kms"
MOST_DATA_KEYS: Final = 10
"""Encrypted data keys of one message: each may cost a request; nobody shares a message with more."""

FRAME: Final = 64 * 1024
"""Bytes of a frame of what we write."""

ALGORITHM: Final = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
"""With key commitment and without a signature: whoever may read is trusted to have been able to write."""

_SECOND_VERSION: Final = 2  # of the format, in a message's first byte
_FRAMED: Final = 2  # the content's type
_LAST_FRAME: Final = 0xFFFFFFFF  # instead of a number

_MEND: Final = "Take the whole message as it was written, by a version of the AWS Encryption SDK that is supported."
_UNREADABLE: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (
        MaxEncryptedDataKeysExceeded,
        f"the message has more than {MOST_DATA_KEYS} data keys",
        "Encrypt it under fewer KMS keys.",
    ),
    (UnknownIdentityError, "the message has a version or algorithm that is not known", _MEND),
    (NotSupportedError, "the message has a version or algorithm that is not supported", _MEND),
    (ActionNotAllowedError, "the message has an algorithm that is not allowed", _MEND),
    (Exception, "this is no whole Encryption SDK message", _MEND),  # struct.error, KeyError: whatever odd bytes bring
)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it stands in a message."""

    key: str  # ARN
    blob: bytes


@dataclass(frozen=True, slots=True)
class Needs:
    """What a message needs to be opened."""

    data_keys: tuple[Wrapped, ...]  # only those of KMS
    context: Context


class _Needed(Exception):
    """No error: ends the first reading at the data keys."""

    def __init__(self, needs: Needs, algorithm: Algorithm) -> None:
        super().__init__()
        self.needs = needs
        self.algorithm = algorithm


def needs_of(message: bytes, about: str) -> Needs:
    """Read which data keys a message needs; raises Undecryptable for what is no whole message that can be opened."""
    source = BytesIO(message)
    needs, algorithm = first_reading(source, about)
    _check_length(message, source.tell(), algorithm, about)
    return needs


def first_reading(source: Readable, about: str) -> tuple[Needs, Algorithm]:
    """Read a stream to the end of its header; raises Undecryptable, and what `source` raises."""
    try:
        _reader().decrypt(source=source, materials_manager=_FirstReading())
    except _Needed as needed:
        return needed.needs, needed.algorithm
    except (SidecarError, OSError):
        raise  # the source's own
    except Exception as error:  # noqa: BLE001 -- odd bytes make the SDK stumble anywhere
        what, mend = next((what, mend) for kind, what, mend in _UNREADABLE if isinstance(error, kind))
        raise Undecryptable(f"{about}: {what}", mend=mend) from None
    raise Undecryptable(f"{about}: this is no whole Encryption SDK message", mend=_MEND)


def _check_length(message: bytes, header: int, algorithm: Algorithm, about: str) -> None:
    """Raise BadCiphertext where a message stops short of its end or goes on behind it: no data key is needed for that.

    `header` is the length of what comes before the header's own authentication.
    """
    try:
        end = _end_of_message(message, header, algorithm)
    except struct.error:
        end = len(message) + 1
    if end > len(message):
        raise BadCiphertext(f"{about}: the message was cut short")
    if end < len(message):  # nobody vouches for what follows
        raise BadCiphertext(f"{about}: something follows the message")


def _end_of_message(message: bytes, header: int, algorithm: Algorithm) -> int:
    """Find where a message ends by the lengths that it tells; raises struct.error where one is not there any more.

    https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
    """
    iv, tag = algorithm.iv_len, algorithm.tag_len
    if message[0] == _SECOND_VERSION:
        content, frame = struct.unpack_from(">BI", message, header - algorithm.algorithm_suite_data_length() - 5)
        at = header + tag
    else:
        content, _, _, frame = struct.unpack_from(">BIBI", message, header - 10)
        at = header + iv + tag
    if content == _FRAMED:
        while struct.unpack_from(">I", message, at)[0] != _LAST_FRAME:
            at += 4 + iv + frame + tag
        (size,) = struct.unpack_from(">I", message, at + 8 + iv)
        at += 12 + iv + size + tag
    else:
        (size,) = struct.unpack_from(">Q", message, at + iv)
        at += iv + 8 + size + tag
    if algorithm.signing_algorithm_info is not None:
        at += 2 + int(struct.unpack_from(">H", message, at)[0])
    return int(at)


def frame_of(header: bytes, algorithm: Algorithm) -> int:
    """Read from a header how long the message's frames are; 0 where it has none."""
    more = algorithm.algorithm_suite_data_length() if header[0] == _SECOND_VERSION else 0
    (frame,) = struct.unpack_from(">I", header, len(header) - more - 4)
    return int(frame)


def open_message(message: bytes, wrapped: Wrapped, data_key: bytes, about: str) -> bytes:
    """Decrypt a message with one of its data keys; raises BadCiphertext when it was altered."""
    try:
        plaintext, _ = _reader().decrypt(source=message, materials_manager=_given(wrapped, data_key))
    except Exception:  # noqa: BLE001 -- as above
        raise BadCiphertext(f"{about}: the message was altered or cut short") from None
    return bytes(plaintext)


def opening(source: Readable, wrapped: Wrapped, data_key: bytes, most_at_once: int) -> Readable:
    """Begin to decrypt a stream, its header included, with one of its data keys.

    Of each frame nothing is given before all of it is authenticated; one larger than `most_at_once` is refused.
    """
    manager = _given(wrapped, data_key)
    stream: Readable = _reader().stream(
        mode="d", source=source, materials_manager=manager, max_body_length=most_at_once
    )
    return stream


def seal_message(plaintext: bytes, data_key: DataKey, context: Context) -> bytes:
    """Make a message under this data key, which was made with the same context."""
    message, _ = _writer().encrypt(
        source=plaintext,
        materials_manager=_Materials(data_key),
        encryption_context=dict(context),
        frame_length=FRAME,
        algorithm=ALGORITHM,
    )
    return bytes(message)


def sealing(source: Readable, data_key: DataKey, context: Context) -> Readable:
    """Begin to make a message of a stream."""
    stream: Readable = _writer().stream(
        mode="e",
        source=source,
        materials_manager=_Materials(data_key),
        encryption_context=dict(context),
        frame_length=FRAME,
        algorithm=ALGORITHM,
    )
    return stream


def _writer() -> EncryptionSDKClient:
    return EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def _reader() -> EncryptionSDKClient:
    return EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT, max_encrypted_data_keys=MOST_DATA_KEYS
    )


def _given(wrapped: Wrapped, data_key: bytes) -> DefaultCryptoMaterialsManager:
    return DefaultCryptoMaterialsManager(_Given(SdkDataKey(_info(wrapped.key), data_key, wrapped.blob)))


def _info(key: str) -> MasterKeyInfo:
    return MasterKeyInfo(PROVIDER, key)


class _FirstReading(CryptoMaterialsManager):
    """Ends the reading where the data keys are known."""

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Be no way to encrypt."""
        raise NotImplementedError

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Tell what is needed."""
        wrapped = [
            Wrapped(_text(each.key_provider.key_info), each.encrypted_data_key)
            for each in request.encrypted_data_keys
            if each.key_provider.provider_id == PROVIDER
        ]
        context: Mapping[str, str] = request.encryption_context
        ordered = tuple(sorted(wrapped, key=lambda each: (each.key, each.blob)))
        raise _Needed(Needs(ordered, tuple(sorted(context.items()))), request.algorithm)


def _text(key_info: bytes) -> str:
    return key_info.decode("ascii", errors="replace")


class _Given(MasterKeyProvider):
    """Gives the one data key that was got already."""

    provider_id = PROVIDER  # type: ignore[assignment]  # the SDK wants either
    _config_class = MasterKeyProviderConfig

    def __new__(cls, _data_key: SdkDataKey) -> Self:
        made: Self = super().__new__(cls)  # type: ignore[no-untyped-call]  # as above
        return made

    def __init__(self, data_key: SdkDataKey) -> None:
        self._data_key = data_key

    def _new_master_key(self, key_id: bytes) -> object:
        raise NotImplementedError

    def decrypt_data_key_from_list(
        self,
        encrypted_data_keys: object,  # noqa: ARG002 -- the SDK's signature
        algorithm: object,  # noqa: ARG002
        encryption_context: object,  # noqa: ARG002
    ) -> SdkDataKey:
        """Give it."""
        return self._data_key


class _Materials(CryptoMaterialsManager):
    """Gives the one data key to encrypt with."""

    def __init__(self, data_key: DataKey) -> None:
        self._data_key = data_key

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Give it."""
        info = _info(self._data_key.key)
        return EncryptionMaterials(
            algorithm=request.algorithm,
            data_encryption_key=SdkDataKey(info, self._data_key.plaintext.reveal(), self._data_key.blob),
            encrypted_data_keys={EncryptedDataKey(info, self._data_key.blob)},
            encryption_context=request.encryption_context,
        )

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Be no way to decrypt."""
        raise NotImplementedError
