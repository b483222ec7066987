"""AWS's request-rate limits, what each operation charges to them, and the part of them that is ours.

The one table of both; numbers and their sources stand in docs/aws.md. Must not pace: core.pacing does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose quotas: one account in one region."""

    account: str  # twelve digits, or the identity's name while the account is not known
    region: str

    @property
    def is_known(self) -> bool:
        """Whether it is an account, not what stands in for one that nobody has told yet."""
        return len(self.account) == _ACCOUNT_DIGITS and self.account.isascii() and self.account.isdigit()


_ACCOUNT_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Charge:
    """A part of one quota that one request uses."""

    quota: str  # "kms.symmetric"
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one operation charges: so much for the call, and so much for each plaintext that it brings."""

    per_call: tuple[str, ...]
    per_plaintext: tuple[str, ...] = ()


KMS_DEFAULT: Final = "kms.symmetric"
"""What an operation of KMS charges unless its algorithm says that the key is of a pair."""

_TARIFFS: Final[Mapping[tuple[str, str], Tariff]] = {
    ("ssm", "GetParameter"): Tariff(("ssm.get",), ("kms.symmetric",)),
    ("ssm", "GetParameters"): Tariff(("ssm.get",), ("kms.symmetric",)),
    # Both, since the account's throughput setting decides which one binds: at the standard one `ssm.get` (40)
    # holds all three operations, with the paid one paths keep a limit of their own (100) below theirs.
    ("ssm", "GetParametersByPath"): Tariff(("ssm.get", "ssm.path"), ("kms.symmetric",)),
    ("secretsmanager", "GetSecretValue"): Tariff(("sm.get",), ("kms.symmetric",)),
    # AWS documents a quota of the batch's own and is silent on whether its items use GetSecretValue's too.
    # It logs and authorises each as a GetSecretValue, so each is charged as one: at 10,000/s erring costs nothing.
    ("secretsmanager", "BatchGetSecretValue"): Tariff(("sm.batch",), ("sm.get", "kms.symmetric")),
    ("secretsmanager", "DescribeSecret"): Tariff(("sm.describe",)),
    ("secretsmanager", "ListSecrets"): Tariff(("sm.list",)),
    # S3 limits requests by prefix, far above OWN_RATE, and asks KMS for what is encrypted under one of its keys.
    ("s3", "GetObject"): Tariff(("s3.GetObject",), ("kms.symmetric",)),
    **{
        ("kms", operation): Tariff((KMS_DEFAULT,))
        for operation in (
            "Decrypt",
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateRandom",
            "Sign",
            "Verify",
        )
    },
}

_LIMITS: Final[Mapping[str, float]] = {
    "kms.ecc": 1_000,
    "kms.rsa": 1_000,
    "kms.symmetric": 10_000,  # where the region has no number of its own, below
    "ssm.get": 40,
    "ssm.path": 100,
    "sm.get": 10_000,
    "sm.describe": 40_000,
    "sm.batch": 100,
    "sm.list": 100,
}

_KMS_SYMMETRIC: Final[Mapping[str, float]] = {
    **dict.fromkeys(("us-east-1", "us-west-2", "eu-west-1"), 100_000),
    **dict.fromkeys(
        ("us-east-2", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "eu-central-1", "eu-west-2"), 20_000
    ),
}

OWN_RATE: Final = 10.0
"""Calls per second of an operation that has no row: far below any limit of AWS's, far above what is needed."""

PAIRS: Final = frozenset({"kms.ecc", "kms.rsa"})
"""Quotas that nothing uses but requests of the app's own."""

QUOTAS: Final = frozenset(_LIMITS)
"""All quotas with a row; any other is an operation's own, `service.Operation`."""


@lru_cache(maxsize=512)  # the same few combinations, for every request
def charges(service: str, operation: str, plaintexts: int = 1, kms_quota: str = KMS_DEFAULT) -> tuple[Charge, ...]:
    """Say what one request uses; `plaintexts` is how many values AWS decrypts for it (a probe: 0).

    `kms_quota` is the one that a request to KMS itself uses by its algorithm.
    """
    tariff = _TARIFFS.get((service, operation))
    if tariff is None:
        return (Charge(f"{service}.{operation}"),)
    per_plaintext = tariff.per_plaintext if plaintexts else ()
    return (
        *(Charge(kms_quota if quota == KMS_DEFAULT else quota) for quota in tariff.per_call),
        *(Charge(quota, plaintexts) for quota in per_plaintext),
    )


def default_limit(quota: str, region: str) -> float:
    """Give AWS's default for an account in this region, in requests per second."""
    if quota == "kms.symmetric":
        return _KMS_SYMMETRIC.get(region, _LIMITS[quota])
    return _LIMITS.get(quota, OWN_RATE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account allows, and the most of it that this daemon takes, or the fleet that it belongs to."""

    share: float = 0.10  # a fraction: nobody knows how many others use the account
    overrides: Mapping[str, float] = field(default_factory=dict)  # `quotas.limits`, for an account with other numbers
    discovered: Mapping[Scope, Mapping[str, float]] = field(default_factory=dict)  # what AWS says of each account
    fleet_share: float = 0.80  # likewise, of all daemons that lease from one store together

    def of(self, scope: Scope) -> "Limits":
        """Give the limits of one account and region: what is configured goes before what AWS says."""
        told = self.discovered.get(scope)
        return self if told is None else replace(self, overrides={**told, **self.overrides}, discovered={})

    def limit(self, quota: str, region: str) -> float:
        """Give the account's requests per second, as far as known."""
        return self.overrides.get(quota) or default_limit(quota, region)

    def ceiling(self, quota: str, region: str) -> float:
        """Give the requests per second that this daemon never exceeds by itself."""
        if self.is_shared(quota):
            return self.share * self.limit(quota, region)
        return OWN_RATE  # a rate of our own choice, not a limit of the account's to take a share of

    def fleet_ceiling(self, quota: str, region: str) -> float:
        """Give the requests per second that a fleet never exceeds together."""
        return self.fleet_share * self.limit(quota, region)

    def is_shared(self, quota: str) -> bool:
        """Decide whether the account has a limit here that is known, so that there is something to share."""
        return quota in QUOTAS or quota in self.overrides


@dataclass(frozen=True, slots=True)
class QuotaReading:
    """How one quota stands now, for status and metrics."""

    scope: Scope
    quota: str
    limit: float  # the account's, per second
    ceiling: float  # the most that this daemon takes of it, per second
    rate: float  # what it allows itself now, per second
    used: float  # what it took over the last second
    waiting: int  # requests
    throttled: int  # since the start, as AWS said
    refused: int  # since the start, by ourselves, because a deadline could not be met
    leased: float | None = None  # of the fleet's share, per second; None where it is not leased
