"""Say what AWS asks for a request by its price list: an estimate, free tiers left out; the region matters little.

The one table of prices. Parameter Store is taken for free, as it is for standard parameters at standard throughput:
neither the tier nor the account's throughput setting shows in an answer.
"""

from collections.abc import Mapping
from typing import Final

PRICED_ON: Final = "2026-11-01"
"""When these numbers were last compared with AWS's own pages."""

KMS_SYMMETRIC: Final = 0.03 / 10_000
SECRETS_MANAGER: Final = 0.05 / 10_000
"""Dollars a request, whatever the key or the secret."""

_REQUESTS: Final[Mapping[tuple[str, str], float]] = {
    ("kms", "Decrypt"): KMS_SYMMETRIC,
    ("secretsmanager", "BatchGetSecretValue"): SECRETS_MANAGER,
    ("secretsmanager", "DescribeSecret"): SECRETS_MANAGER,
    ("secretsmanager", "GetSecretValue"): SECRETS_MANAGER,
    ("secretsmanager", "ListSecrets"): SECRETS_MANAGER,
}


def of_request(service: str, operation: str) -> float:
    """Give the dollars of one request that AWS answered, `service` and `operation` as botocore spells them."""
    return _REQUESTS.get((service, operation), 0.0)
