import pytest

from sidecar.core import prices
from sidecar.core.prices import KeyKind, Unit


@pytest.mark.parametrize(
    ("service", "operation", "dollars"),
    [
        ("kms", "Decrypt", 0.03),
        ("secretsmanager", "BatchGetSecretValue", 0.05),
        ("secretsmanager", "DescribeSecret", 0.05),
        ("secretsmanager", "GetSecretValue", 0.05),
        ("ssm", "GetParameters", 0.0),
        ("s3", "GetObject", 0.004),
        ("s3", "HeadObject", 0.004),
        ("sts", "AssumeRole", 0.0),
    ],
)
def test_ten_thousand_requests_cost_what_the_list_says(service: str, operation: str, dollars: float) -> None:
    """KMS asks 3 cents for ten thousand requests, Secrets Manager 5, S3 a tenth of one, STS nothing."""
    assert 10_000 * prices.of_request(service, operation) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("key", "dollars"), [(KeyKind.SYMMETRIC, 0.03), (KeyKind.RSA_2048, 0.03), (KeyKind.ASYMMETRIC, 0.15)]
)
def test_the_kind_of_key_makes_the_price_of_kms(key: KeyKind, dollars: float) -> None:
    """RSA of 2,048 bits costs what symmetric keys cost; every other pair of keys five times that."""
    assert 10_000 * prices.price("kms", "Decrypt", key=key).dollars == pytest.approx(dollars)


def test_parameters_are_billed_one_by_one_where_they_are_billed() -> None:
    """Advanced parameters and higher throughput cost 5 cents for ten thousand parameters returned, not for requests."""
    paid = prices.price("ssm", "GetParametersByPath", paid_parameters=True)
    assert 10_000 * paid.dollars == pytest.approx(0.05)
    assert paid.unit is Unit.PARAMETER
    assert prices.price("ssm", "GetParametersByPath").unit is Unit.CALL


def test_the_table_says_how_old_it_is() -> None:
    """Prices change: the date of the comparison stands beside them."""
    assert prices.PRICED_ON.startswith("202")


def test_pairs_of_keys_cost_more() -> None:
    """Beyond what a request is taken for; with a symmetric key nothing."""
    assert prices.surcharge("Decrypt", KeyKind.SYMMETRIC) == prices.surcharge("Decrypt", KeyKind.RSA_2048) == 0
    assert prices.surcharge("Sign", KeyKind.ASYMMETRIC) == pytest.approx(0.15 / 10_000)
