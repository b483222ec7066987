import pytest

from sidecar.core.arns import Arn, partition_of
from sidecar.core.errors import BadRef

SECRET = Arn("aws", "secretsmanager", "eu-west-1", "111122223333", "secret:prod/db-AbCdEf")


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf",
        "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/prod/db",
        "arn:aws-us-gov:ssm:us-gov-west-1:111122223333:parameter/prod/db",
        "arn:aws:ssm:eu-west-1::parameter/aws/service/ami",
    ],
)
def test_parse_and_str_are_inverse(text: str) -> None:
    """Every partition's ARN prints as it was read, also one that AWS publishes without an account."""
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:ssm:eu-west-1:111122223333",
        "arn:google:ssm:eu-west-1:111122223333:parameter/x",
        "arn:aws:ssm:eu-west-1:1111:parameter/x",
        "arn:aws:ssm:*:111122223333:parameter/x",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-??????",
        "arn:aws:ssm:eu-west-1:111122223333:parameter/x\n",
    ],
)
def test_refuses_what_is_no_full_arn(text: str) -> None:
    """A part missing, an account that is none and the wildcards of policies are refused."""
    with pytest.raises(BadRef):
        Arn.parse(text)


def test_a_secret_is_named_without_its_six_characters() -> None:
    """Full and partial ARN give one name, except where the name itself ends like a full ARN."""
    assert SECRET.secret == "prod/db"
    assert Arn.parse("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db").secret == "prod/db"
    assert Arn.parse("arn:aws:secretsmanager:eu-west-1:111122223333:secret:my-secret").secret == "my"
    assert Arn.parse("arn:aws:secretsmanager:eu-west-1:111122223333:secret:-secret").secret == "-secret"


def test_a_parameter_is_named_with_its_slash() -> None:
    """The slash that the ARN shares with its resource type belongs to the name."""
    assert Arn.parse("arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db").parameter == "/prod/db"


def test_a_name_needs_an_arn_of_its_kind() -> None:
    """Neither kind is taken for the other."""
    with pytest.raises(BadRef):
        _ = SECRET.parameter
    with pytest.raises(BadRef):
        _ = Arn.parse("arn:aws:ssm:eu-west-1:111122223333:parameter").parameter


def test_a_name_is_enough_only_in_the_same_account_and_region() -> None:
    """What AWS publishes without an account is within every account of the region."""
    assert SECRET.is_within("111122223333", "eu-west-1")
    assert not SECRET.is_within("444455556666", "eu-west-1")
    assert not SECRET.is_within("111122223333", "us-east-1")
    assert Arn.parse("arn:aws:ssm:eu-west-1::parameter/aws/x").is_within("111122223333", "eu-west-1")


def test_regions_have_partitions() -> None:
    """China and GovCloud spell their ARNs in their own way."""
    assert [partition_of(region) for region in ("eu-west-1", "cn-north-1", "us-gov-west-1")] == [
        "aws",
        "aws-cn",
        "aws-us-gov",
    ]
