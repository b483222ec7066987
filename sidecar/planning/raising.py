"""Say how a quota is raised that does not suffice: each of AWS's services has its own way, and one has none.

Service Quotas raises KMS's on request (`core.quota_names` has the codes). Secrets Manager's rates are not adjustable:
docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html. Parameter Store has a setting instead:
docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-throughput.html. Looked up on 2026-11-25.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.core.prices import price
from sidecar.core.quota_names import CODES
from sidecar.core.quotas import QUOTAS, Scope

HIGHER_THROUGHPUT: Final[Mapping[str, float]] = {"ssm.get": 1000.0, "ssm.path": 100.0}
"""Requests per second that Parameter Store's higher throughput gives: to GetParameters, to GetParametersByPath."""

_SETTING: Final = "/ssm/parameter-store/high-throughput-enabled"
_PER_TEN_THOUSAND: Final = 10_000 * price("ssm", "GetParameters", paid_parameters=True).dollars


@dataclass(frozen=True, slots=True)
class Raise:
    """The way to a higher quota."""

    command: str | None  # ready for the shell; None where AWS has no such way
    note: str


def raise_to(scope: Scope, quota: str, limit: float, desired: int) -> Raise:
    """Say how a quota gets from its limit to what is desired, both in requests per second."""
    region = f"--region {scope.region} " if scope.region else ""
    if quota in CODES:
        service, code = CODES[quota]
        return Raise(
            f"aws service-quotas request-service-quota-increase {region}--service-code {service} "
            f"--quota-code {code} --desired-value {desired}",
            "AWS looks at the request first, so ask in time.",
        )
    if quota in HIGHER_THROUGHPUT and limit < HIGHER_THROUGHPUT[quota]:
        return Raise(
            f"aws ssm update-service-setting {region}--setting-id {_SETTING} --setting-value true",
            _of_throughput(quota, desired),
        )
    if quota not in QUOTAS:
        return Raise(None, "This rate is the daemon's own, not the account's: a start with so many takes longer.")
    return Raise(None, "AWS does not raise this quota: check less often, or start fewer copies at once.")


def _of_throughput(quota: str, desired: int) -> str:
    limits = ", ".join(f"{name}: {most:g}" for name, most in HIGHER_THROUGHPUT.items())
    most = HIGHER_THROUGHPUT[quota]
    enough = (
        "" if desired <= most else f" That gives {most:g} a second, of {desired} needed: AWS Support may give more."
    )
    return (
        f"It takes effect at once, and ${_PER_TEN_THOUSAND:.2f} is due for 10,000 parameters read. "
        f"Then set quotas.limits: {{{limits}}}.{enough}"
    )
