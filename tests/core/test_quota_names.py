"""What Service Quotas tells is taken for our quotas where it is sure to be theirs."""

import pytest

from sidecar.core.quota_names import CODES, SERVICES, Told, per_second


def told(name: str, value: float = 50, *, service: str = "secretsmanager", period: float | None = 1.0) -> Told:
    """Make a quota without a code that is known."""
    return Told(service, "L-00000000", name, value, period)


@pytest.mark.parametrize("quota", CODES)
def test_kms_is_known_by_its_codes(quota: str) -> None:
    """Whatever the name, which has changed before."""
    service, code = CODES[quota]
    assert per_second([Told(service, code, "renamed", 5500, None)]) == {quota: 5500}
    assert service in SERVICES


@pytest.mark.parametrize(
    ("name", "quotas"),
    [
        ("Rate of BatchGetSecretValue API requests", {"sm.batch"}),
        ("Rate of DescribeSecret API requests", {"sm.describe"}),
        ("Rate of GetSecretValue API requests", {"sm.get"}),
        ("Combined rate of DescribeSecret and GetSecretValue API requests", {"sm.describe", "sm.get"}),
        ("Combined rate of ListSecrets and ListSecretVersionIds API requests", {"sm.list"}),
        ("Rate of GetRandomPassword API requests", set()),
    ],
)
def test_secrets_manager_is_known_by_its_operations(name: str, quotas: set[str]) -> None:
    """One that several operations share is each one's limit."""
    assert per_second([told(name)]) == dict.fromkeys(quotas, 50)


@pytest.mark.parametrize(
    ("name", "quotas"),
    [
        ("Transactions per second (TPS) for the GetParameters API", {"ssm.get"}),
        ("Transactions per second (TPS) for the GetParametersByPath API", {"ssm.path"}),
        ("GetParameters max throughput (transactions per second)", set()),
        ("GetParameters TPS burst quota", set()),
        ("Start Session Rate", set()),
    ],
)
def test_parameter_store_is_known_by_what_is_in_force(name: str, quotas: set[str]) -> None:
    """What an account could have, or may have for an instant, is no limit of its own."""
    assert per_second([told(name, service="ssm")]) == dict.fromkeys(quotas, 50)


def test_rates_are_by_the_second() -> None:
    """Of several that say something the least counts; what is no rate, or nothing, says nothing."""
    assert per_second([told("GetSecretValue", 6000, period=60.0)]) == {"sm.get": 100}
    assert per_second([told("Rate of GetSecretValue", 70), told("Rate of GetSecretValue", 60)]) == {"sm.get": 60}
    assert per_second([told("Rate of GetSecretValue", period=None)]) == {"sm.get": 50}
    assert per_second([told("GetSecretValue callers", period=None), told("Rate of GetSecretValue", 0)]) == {}
