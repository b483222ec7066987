import pytest

from sidecar.core.quotas import OWN_RATE, QUOTAS, Charge, Limits, Scope, charges, default_limit


@pytest.mark.parametrize(
    ("service", "operation", "plaintexts", "expected"),
    [
        ("ssm", "GetParameter", 1, {"ssm.get": 1, "kms.symmetric": 1}),
        ("ssm", "GetParameters", 10, {"ssm.get": 1, "kms.symmetric": 10}),
        ("ssm", "GetParameters", 0, {"ssm.get": 1}),
        ("ssm", "GetParametersByPath", 3, {"ssm.get": 1, "ssm.path": 1, "kms.symmetric": 3}),
        ("secretsmanager", "GetSecretValue", 1, {"sm.get": 1, "kms.symmetric": 1}),
        ("secretsmanager", "BatchGetSecretValue", 20, {"sm.batch": 1, "sm.get": 20, "kms.symmetric": 20}),
        ("secretsmanager", "DescribeSecret", 1, {"sm.describe": 1}),
        ("secretsmanager", "ListSecrets", 1, {"sm.list": 1}),
        ("kms", "Decrypt", 1, {"kms.symmetric": 1}),
        ("kms", "GenerateDataKey", 1, {"kms.symmetric": 1}),
        ("kms", "GetPublicKey", 1, {"kms.GetPublicKey": 1}),
        ("sts", "GetCallerIdentity", 1, {"sts.GetCallerIdentity": 1}),
    ],
)
def test_operation_charges(service: str, operation: str, plaintexts: int, expected: dict[str, int]) -> None:
    """Each operation charges its own quota once and the others for each plaintext; one without a row its own."""
    assert charges(service, operation, plaintexts) == tuple(Charge(*item) for item in expected.items())


def test_one_plaintext_unless_told() -> None:
    """A call that says nothing of its plaintexts is charged for one."""
    assert charges("secretsmanager", "GetSecretValue") == charges("secretsmanager", "GetSecretValue", 1)


@pytest.mark.parametrize(
    ("quota", "region", "limit"),
    [
        ("kms.symmetric", "eu-west-1", 100_000),
        ("kms.symmetric", "eu-central-1", 20_000),
        ("kms.symmetric", "sa-east-1", 10_000),
        ("ssm.get", "eu-west-1", 40),
        ("sm.describe", "sa-east-1", 40_000),
        ("sts.GetCallerIdentity", "eu-west-1", OWN_RATE),
    ],
)
def test_default_limit(quota: str, region: str, limit: float) -> None:
    """KMS's limit depends on the region, others do not, an operation's own is ten."""
    assert default_limit(quota, region) == limit


def test_every_quota_has_a_limit() -> None:
    """Whatever an operation with a row charges can be configured."""
    calls = [("ssm", "GetParametersByPath"), ("secretsmanager", "BatchGetSecretValue"), ("kms", "Decrypt")]
    assert {charge.quota for call in calls for charge in charges(*call)} <= QUOTAS


def test_ceiling_is_a_share_of_what_is_known() -> None:
    """The share applies to AWS's and to configured limits, not to the rate of our own choice."""
    limits = Limits(share=0.25, overrides={"ssm.get": 1_000, "sts.AssumeRole": 100})
    assert [limits.ceiling(quota, "eu-west-1") for quota in ("ssm.get", "sm.list", "sts.AssumeRole", "x.Y")] == [
        250,
        25,
        25,
        OWN_RATE,
    ]
    assert limits.limit("ssm.get", "eu-west-1") == 1_000


def test_what_aws_says_of_an_account_counts_there_and_what_is_configured_everywhere() -> None:
    """Configured, told by AWS, AWS's default: in this order, and each account has its own."""
    here, there = Scope("111111111111", "eu-west-1"), Scope("222222222222", "eu-west-1")
    limits = Limits(0.5, {"sm.get": 10}, discovered={here: {"ssm.get": 100, "sm.get": 20}})
    assert [limits.of(here).limit(quota, here.region) for quota in ("ssm.get", "sm.get", "sm.batch")] == [100, 10, 100]
    assert limits.of(here).ceiling("ssm.get", here.region) == 50
    assert limits.of(there).limit("ssm.get", there.region) == 40


def test_a_fleets_share() -> None:
    """It is taken of what is known, by all daemons together."""
    limits = Limits(overrides={"ssm.get": 1_000}, fleet_share=0.5)
    assert limits.fleet_ceiling("ssm.get", "eu-west-1") == 500
    assert [limits.is_shared(quota) for quota in ("ssm.get", "sm.get", "sts.AssumeRole")] == [True, True, False]


def test_an_account_or_what_stands_in_for_it() -> None:
    """Twelve digits are an account."""
    accounts = ["111111111111", "default", "11111111111", 12 * "\N{DEVANAGARI DIGIT ONE}"]
    assert [Scope(account, "eu-west-1").is_known for account in accounts] == [True, False, False, False]


def test_pairs_of_keys_have_quotas_of_their_own() -> None:
    """What a request with an RSA or ECC key charges is not the symmetric quota."""
    assert charges("kms", "Decrypt", 1, "kms.rsa") == (Charge("kms.rsa"),)
    assert charges("kms", "Sign", 0, "kms.ecc") == (Charge("kms.ecc"),)
