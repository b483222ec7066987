"""Name what a policy's statements are for, and how values of each kind are read and decrypted.

The table follows what `aws/` asks: a source that asks something else needs another row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sidecar.core.refs import SourceKind


class Purpose(StrEnum):
    """What a statement is for: its Sid, in the order of a policy."""

    READ_SECRETS = "ReadSecrets"
    READ_MANY = "ReadManySecretsAtOnce"
    READ_SECRETS_ON_DEMAND = "ReadSecretsOnDemand"
    READ_PARAMETERS = "ReadParameters"
    WALK_TREES = "WalkTrees"
    READ_TREES = "ReadTrees"
    READ_PARAMETERS_ON_DEMAND = "ReadParametersOnDemand"
    READ_OBJECTS = "ReadObjects"
    READ_OBJECT_VERSIONS = "ReadObjectVersions"
    READ_OBJECTS_ON_DEMAND = "ReadObjectsOnDemand"
    READ_OBJECT_VERSIONS_ON_DEMAND = "ReadObjectVersionsOnDemand"
    DECRYPT_SECRETS = "DecryptSecrets"
    DECRYPT_SECRETS_ON_DEMAND = "DecryptSecretsOnDemand"
    DECRYPT_PARAMETERS = "DecryptParameters"
    DECRYPT_TREES = "DecryptTrees"
    DECRYPT_PARAMETERS_ON_DEMAND = "DecryptParametersOnDemand"
    DECRYPT_OBJECTS = "DecryptObjects"
    DECRYPT_OBJECTS_ON_DEMAND = "DecryptObjectsOnDemand"
    DECRYPT_PARAMETERS_LOCALLY = "DecryptParametersLocally"
    DECRYPT_TREES_LOCALLY = "DecryptTreesLocally"
    OPEN_CIPHERTEXTS = "OpenCiphertexts"
    OPEN_CIPHERTEXTS_ON_DEMAND = "OpenCiphertextsOnDemand"
    OPEN_OBJECTS = "OpenObjects"
    FIND_KEYS = "FindKeys"
    KMS_FOR_THE_APP = "KmsForTheApp"
    RANDOM_FOR_THE_APP = "RandomForTheApp"
    LEASE_WITH_THE_FLEET = "LeaseWithTheFleet"
    DISCOVER_QUOTAS = "DiscoverQuotas"
    ASSUME_ROLES = "AssumeRoles"


@dataclass(frozen=True, slots=True)
class Kind:
    """Values that are read alike: by which actions, and through which service KMS is asked, with which context."""

    read: Purpose
    actions: tuple[str, ...]
    decrypt: Purpose
    service: str
    context: str
    locally: Purpose | None = None  # the purpose of decryption that the daemon asks KMS for itself


SECRETS: Final = Kind(
    Purpose.READ_SECRETS,
    ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
    Purpose.DECRYPT_SECRETS,
    "secretsmanager",
    "SecretARN",
)
PARAMETERS: Final = Kind(
    Purpose.READ_PARAMETERS,
    ("ssm:GetParameters",),
    Purpose.DECRYPT_PARAMETERS,
    "ssm",
    "PARAMETER_ARN",
    Purpose.DECRYPT_PARAMETERS_LOCALLY,
)
TREES: Final = replace(
    PARAMETERS, read=Purpose.READ_TREES, decrypt=Purpose.DECRYPT_TREES, locally=Purpose.DECRYPT_TREES_LOCALLY
)
OBJECTS: Final = Kind(Purpose.READ_OBJECTS, ("s3:GetObject",), Purpose.DECRYPT_OBJECTS, "s3", "aws:s3:arn")
VERSIONS: Final = replace(OBJECTS, read=Purpose.READ_OBJECT_VERSIONS, actions=("s3:GetObjectVersion",))

ON_DEMAND: Final[Mapping[SourceKind, Kind]] = {
    SourceKind.SM: replace(SECRETS, read=Purpose.READ_SECRETS_ON_DEMAND, decrypt=Purpose.DECRYPT_SECRETS_ON_DEMAND),
    SourceKind.SSM: replace(
        PARAMETERS, read=Purpose.READ_PARAMETERS_ON_DEMAND, decrypt=Purpose.DECRYPT_PARAMETERS_ON_DEMAND
    ),
    SourceKind.S3: replace(OBJECTS, read=Purpose.READ_OBJECTS_ON_DEMAND, decrypt=Purpose.DECRYPT_OBJECTS_ON_DEMAND),
}
VERSIONS_ON_DEMAND: Final = replace(
    ON_DEMAND[SourceKind.S3], read=Purpose.READ_OBJECT_VERSIONS_ON_DEMAND, actions=VERSIONS.actions
)

DECRYPT: Final = ("kms:Decrypt",)
KMS_OF_APP: Final[Mapping[str, tuple[str, ...]]] = {
    "decrypt": DECRYPT,
    "encrypt": ("kms:Encrypt", "kms:GenerateDataKey", "kms:GetPublicKey"),
    "generate-data-key": ("kms:GenerateDataKey",),
    "generate-data-key-without-plaintext": ("kms:GenerateDataKeyWithoutPlaintext",),
    "public-key": ("kms:GetPublicKey",),
    "sign": ("kms:Sign",),
    "verify": ("kms:GetPublicKey", "kms:Verify"),
}
"""What the daemon asks KMS for the app's own requests, by the operation that access rules name."""

RANDOM_OF_APP: Final = "generate-random"
"""The one that needs no key."""
