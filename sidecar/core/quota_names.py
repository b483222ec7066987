"""Know our quotas by the codes and names that AWS's Service Quotas has for them.

Codes: docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html, the table of request quotas. Parameter
Store and Secrets Manager publish no codes there: theirs are known by the operations that their names hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

CODES: Final[Mapping[str, tuple[str, str]]] = {
    "kms.symmetric": ("kms", "L-6E3AF000"),  # Cryptographic operations (symmetric) request rate
    "kms.rsa": ("kms", "L-2AC98190"),  # Cryptographic operations (RSA) request rate
    "kms.ecc": ("kms", "L-DC14942D"),  # Cryptographic operations (ECC & SM2) request rate
}
"""Service and code of a quota: what can be raised by a request to Service Quotas."""

SERVICES: Final = ("kms", "ssm", "secretsmanager")
"""Whose quotas are ours."""

_QUOTAS: Final = {code: quota for quota, code in CODES.items()}

_OPERATIONS: Final[Mapping[tuple[str, str], str]] = {
    ("ssm", "GetParameters"): "ssm.get",
    ("ssm", "GetParametersByPath"): "ssm.path",
    ("secretsmanager", "GetSecretValue"): "sm.get",
    ("secretsmanager", "DescribeSecret"): "sm.describe",
    ("secretsmanager", "BatchGetSecretValue"): "sm.batch",
    ("secretsmanager", "ListSecrets"): "sm.list",
}

_NOT_IN_FORCE: Final = re.compile(r"\b(max|maximum|burst|higher|high)\b", re.IGNORECASE)
"""Parameter Store's higher throughput is listed whether or not it is switched on; a burst is no rate."""

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Told:
    """One quota as Service Quotas tells it."""

    service: str
    code: str
    name: str
    value: float
    period: float | None  # seconds; None where it is no rate, or its name says that it is one


def per_second(told: Iterable[Told]) -> dict[str, float]:
    """Give the limits that are ours, in requests per second; the least where several say something of one."""
    found: dict[str, float] = {}
    for each in told:
        rate = each.value / (each.period or 1.0)
        for quota in _meant(each) if rate > 0 else ():
            found[quota] = min(rate, found.get(quota, rate))
    return found


def _meant(told: Told) -> Iterator[str]:
    if quota := _QUOTAS.get((told.service, told.code)):
        yield quota
    elif _is_rate(told) and not _NOT_IN_FORCE.search(told.name):
        for word in _WORD.findall(told.name):
            if quota := _OPERATIONS.get((told.service, word)):
                yield quota


def _is_rate(told: Told) -> bool:
    return told.period is not None or re.search(r"\brate\b|per second|\bTPS\b", told.name, re.IGNORECASE) is not None
