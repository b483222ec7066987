from sidecar.core import prices


def test_ten_thousand_requests_cost_what_the_list_says() -> None:
    """KMS asks 3 cents for ten thousand requests, Secrets Manager 5, Parameter Store and STS nothing."""
    asked = {
        operation: round(10_000 * prices.of_request(*operation), 9)
        for operation in (
            ("kms", "Decrypt"),
            ("secretsmanager", "DescribeSecret"),
            ("secretsmanager", "GetSecretValue"),
            ("ssm", "GetParameters"),
            ("sts", "AssumeRole"),
        )
    }
    assert list(asked.values()) == [0.03, 0.05, 0.05, 0.0, 0.0]


def test_the_table_says_how_old_it_is() -> None:
    """Prices change: the date of the comparison stands beside them."""
    assert prices.PRICED_ON.startswith("202")
