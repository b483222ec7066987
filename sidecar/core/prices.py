"""Say what AWS asks for a request by its price list: an estimate, free tiers left out; the region matters little.

The one table of prices, for the metrics and for `sidecar plan`. Must not count requests: they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PRICED_ON: Final = "2026-11-01"
"""When these numbers were last compared with AWS's own pages."""

HOURS_PER_MONTH: Final = 730.0
"""A twelfth of a year, as AWS's own calculator has it."""


class Unit(StrEnum):
    """What is billed once."""

    CALL = "call"
    PARAMETER = "parameter"  # each one that an answer brings is an interaction


class KeyKind(StrEnum):
    """What the price of a request to KMS depends on."""

    SYMMETRIC = "symmetric"
    RSA_2048 = "rsa-2048"
    ASYMMETRIC = "asymmetric"  # all other pairs of keys


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit."""

    dollars: float
    unit: Unit = Unit.CALL


FREE: Final = Price(0.0)
_CHEAP_KMS: Final = Price(0.03 / 10_000)
_DEAR_KMS: Final = Price(0.15 / 10_000)
_SECRETS_MANAGER: Final = Price(0.05 / 10_000)
_S3_READ: Final = Price(0.004 / 10_000)  # GET and HEAD of S3 Standard
_PARAMETERS: Final = Price(0.05 / 10_000, Unit.PARAMETER)

_SYMMETRIC: Final = (
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateRandom",
)
_ASYMMETRIC: Final = ("Decrypt", "Encrypt", "GetPublicKey", "Sign", "Verify")

_LIST: Final[Mapping[tuple[str, str, KeyKind | None], Price]] = {
    **{("kms", operation, KeyKind.SYMMETRIC): _CHEAP_KMS for operation in _SYMMETRIC},
    **{("kms", operation, KeyKind.RSA_2048): _CHEAP_KMS for operation in _ASYMMETRIC},
    **{("kms", operation, KeyKind.ASYMMETRIC): _DEAR_KMS for operation in _ASYMMETRIC},
    ("s3", "GetObject", None): _S3_READ,
    ("s3", "HeadObject", None): _S3_READ,
    ("secretsmanager", "BatchGetSecretValue", None): _SECRETS_MANAGER,
    ("secretsmanager", "DescribeSecret", None): _SECRETS_MANAGER,
    ("secretsmanager", "GetSecretValue", None): _SECRETS_MANAGER,
    ("secretsmanager", "ListSecrets", None): _SECRETS_MANAGER,
    # Standard parameters at standard throughput are free; advanced ones, and all at higher throughput, are not.
    ("ssm", "GetParameters", None): _PARAMETERS,
    ("ssm", "GetParametersByPath", None): _PARAMETERS,
}

KMS_SYMMETRIC: Final = _CHEAP_KMS.dollars
"""Dollars for each call that another service makes to KMS on our behalf."""


def price(service: str, operation: str, *, key: KeyKind = KeyKind.SYMMETRIC, paid_parameters: bool = False) -> Price:
    """Give the price of an operation, spelt as botocore does; what has no row is free.

    Whether parameters are paid for does not show in an answer: neither the tier nor the account's throughput setting
    does. Whoever does not know takes them for free.
    """
    if service == "ssm" and not paid_parameters:
        return FREE
    return _LIST.get((service, operation, key if service == "kms" else None), FREE)


def of_request(service: str, operation: str) -> float:
    """Give the dollars of one request that AWS answered, under a symmetric key, parameters taken for free."""
    return price(service, operation).dollars


def surcharge(operation: str, key: KeyKind) -> float:
    """Give the dollars of one request to KMS under such a key beyond what `of_request` takes it for."""
    return price("kms", operation, key=key).dollars - of_request("kms", operation)
