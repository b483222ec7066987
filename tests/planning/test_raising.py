"""What is printed to raise a quota is what AWS has for it."""

import pytest

from sidecar.core.quotas import QUOTAS, Scope
from sidecar.planning.raising import raise_to

HERE = Scope("default", "eu-west-1")


def test_kms_is_raised_by_service_quotas() -> None:
    """The command is ready for the shell, region and all."""
    assert raise_to(HERE, "kms.symmetric", 10_000, 12_500).command == (
        "aws service-quotas request-service-quota-increase --region eu-west-1 --service-code kms "
        "--quota-code L-6E3AF000 --desired-value 12500"
    )


def test_a_region_that_is_not_known_is_left_to_the_shell() -> None:
    """The AWS CLI has a region of its own."""
    command = raise_to(Scope("default", ""), "kms.symmetric", 10_000, 1).command
    assert command is not None
    assert "--region" not in command


@pytest.mark.parametrize(("quota", "limit", "enough"), [("ssm.get", 1000, 1200), ("ssm.path", 100, 150)])
def test_parameter_store_has_a_setting(quota: str, limit: int, enough: int) -> None:
    """Not a request but a switch, for money; it is said where even that is too little."""
    way = raise_to(HERE, quota, 40, limit)
    assert way.command == (
        "aws ssm update-service-setting --region eu-west-1 "
        "--setting-id /ssm/parameter-store/high-throughput-enabled --setting-value true"
    )
    assert "$0.05 is due for 10,000 parameters" in way.note
    assert "quotas.limits: {ssm.get: 1000, ssm.path: 100}" in way.note
    assert "AWS Support" not in way.note
    assert f"That gives {limit} a second, of {enough} needed" in raise_to(HERE, quota, 40, enough).note


@pytest.mark.parametrize("quota", sorted(QUOTAS - {"kms.symmetric", "ssm.get", "ssm.path"}))
def test_secrets_manager_has_no_way(quota: str) -> None:
    """AWS says that its rates are not adjustable, so no command pretends otherwise."""
    if quota.startswith("sm."):
        way = raise_to(HERE, quota, 100, 200)
        assert way.command is None
        assert "check less often" in way.note


def test_what_has_been_switched_on_already_is_not_switched_on_again() -> None:
    """An account with higher throughput has no more to switch."""
    assert raise_to(HERE, "ssm.get", 1000, 2000).command is None
