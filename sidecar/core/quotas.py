"""AWS's request-rate limits, and what each operation charges to them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose quotas: one account in one region."""

    account: str  # twelve digits, or the identity's name while the account is not known
    region: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A part of one quota that one request uses."""

    quota: str  # "kms.symmetric"
    amount: int = 1
