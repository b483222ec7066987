"""Be Parameter Store's advanced tier: SecureStrings as AWS Encryption SDK messages. Imported with the first one."""

import secrets
from collections.abc import Callable, Mapping

from aws_encryption_sdk import EncryptionSDKClient
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from aws_encryption_sdk.materials_managers import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
)
from aws_encryption_sdk.materials_managers.base import CryptoMaterialsManager
from aws_encryption_sdk.structures import DataKey, EncryptedDataKey, MasterKeyInfo

Seal = Callable[[bytes, Mapping[str, str]], bytes]
Unseal = Callable[[bytes, Mapping[str, str]], bytes]


def seal_message(plaintext: bytes, key: str, context: dict[str, str], seal: Seal) -> bytes:
    """Make a message under a data key that KMS's `seal` wraps with the key of this ARN."""
    message, _ = _client().encrypt(
        source=plaintext,
        materials_manager=_Materials(key, seal),
        encryption_context=context,
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    )
    return bytes(message)


def unseal_message(message: bytes, unseal: Unseal) -> bytes:
    """Open a message; `unseal` is KMS's."""
    plaintext, _ = _client().decrypt(source=message, materials_manager=_Unsealed(unseal))
    return bytes(plaintext)


def _client() -> EncryptionSDKClient:
    return EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


class _Materials(CryptoMaterialsManager):
    def __init__(self, key: str, seal: Seal) -> None:
        self._info = MasterKeyInfo("aws-kms", key)
        self._seal = seal

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Make a data key."""
        data_key = secrets.token_bytes(32)
        wrapped = self._seal(data_key, request.encryption_context)
        return EncryptionMaterials(
            algorithm=request.algorithm,
            data_encryption_key=DataKey(self._info, data_key, wrapped),
            encrypted_data_keys={EncryptedDataKey(self._info, wrapped)},
            encryption_context=request.encryption_context,
        )

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Be no way to decrypt."""
        raise NotImplementedError


class _Unsealed(CryptoMaterialsManager):
    def __init__(self, unseal: Unseal) -> None:
        self._unseal = unseal

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Be no way to encrypt."""
        raise NotImplementedError

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Have the data key unwrapped."""
        wrapped = next(iter(request.encrypted_data_keys))
        data_key = self._unseal(wrapped.encrypted_data_key, request.encryption_context)
        return DecryptionMaterials(data_key=DataKey(wrapped.key_provider, data_key, wrapped.encrypted_data_key))
