import pytest

from sidecar.core.arns import Arn
from sidecar.core.config.models import IdentitySpec
from sidecar.planning.places import (
    ACCOUNT,
    PARTITION,
    REGION,
    Place,
    World,
    base_of,
    is_same,
    literal,
    members_of,
    place_of,
    place_of_arn,
    plain,
)
from tests.planning.configured import configured

ROLE = "arn:aws-cn:iam::222222222222:role/reader"


def test_an_identity_is_where_it_says_or_where_somebody_said() -> None:
    """Its own region and its role's account come first; a region tells the partition; the rest stays open."""
    assert place_of(IdentitySpec(), World()) == Place(PARTITION, ACCOUNT, REGION)
    assert place_of(IdentitySpec(region="us-gov-west-1"), World("1" * 12)) == Place(
        "aws-us-gov", "1" * 12, "us-gov-west-1"
    )
    assert place_of(IdentitySpec(), World(region="eu-west-1")) == Place("aws", ACCOUNT, "eu-west-1")
    assert place_of(IdentitySpec(), World(partition="aws-cn")) == Place("aws-cn", ACCOUNT, REGION)
    assert place_of(IdentitySpec(role_arn=ROLE), World("1" * 12, "cn-north-1")) == Place(
        "aws-cn", "2" * 12, "cn-north-1"
    )


def test_a_role_begins_somewhere() -> None:
    """Where the credentials are with which it is assumed."""
    config = configured(f"identities: {{billing: {{role_arn: '{ROLE}', external_id: x-1, region: cn-north-1}}}}")
    assert base_of("billing", config, World("1" * 12)) == Place("aws-cn", "1" * 12, "cn-north-1")


def test_what_differs_in_the_region_only_is_one() -> None:
    """Another role or profile is somebody else."""
    config = configured(
        f"identities: {{dr: {{region: us-west-2}}, ops: {{profile: ops}}, billing: {{role_arn: '{ROLE}'}}, "
        f"billing-dr: {{role_arn: '{ROLE}', region: cn-northwest-1}}}}"
    )
    assert members_of("dr", config) == members_of("default", config) == ("default", "dr")
    assert members_of("billing", config) == ("billing", "billing-dr")
    assert members_of("ops", config) == ("ops",)


def test_an_arn_says_where_it_is() -> None:
    """What AWS publishes has no account: it is asked for at home."""
    home = Place("aws", "1" * 12, "eu-west-1")
    assert place_of_arn(Arn.parse("arn:aws:ssm:us-east-1::parameter/aws/x"), home) == Place(
        "aws", "1" * 12, "us-east-1"
    )
    assert place_of_arn(Arn.parse("arn:aws:ssm:us-east-1:222222222222:parameter/x"), home).account == "2" * 12


def test_of_what_was_not_said_nobody_knows_whether_it_is_another() -> None:
    """An open account may be any."""
    assert is_same("1", "1")
    assert is_same(ACCOUNT, "1")
    assert not is_same("1", "2")


@pytest.mark.parametrize(
    ("text", "pattern", "string"),
    [
        ("a*b?c", "a${*}b${?}c", "a*b?c"),
        ("${aws:username}", "${$}{aws:username}", "${$}{aws:username}"),
        ("${account}", "${$}{account}", "${$}{account}"),
        ("$5 {x}", "$5 {x}", "$5 {x}"),
    ],
)
def test_what_a_configuration_holds_is_meant_literally(text: str, pattern: str, string: str) -> None:
    """No wildcard, no variable of IAM's, no token of ours."""
    assert (literal(text), plain(text)) == (pattern, string)


def test_spells_arns_and_services() -> None:
    """As IAM and KMS do."""
    place = Place("aws", "1" * 12, "eu-west-1")
    assert place.arn("ssm", "parameter/x") == "arn:aws:ssm:eu-west-1:111111111111:parameter/x"
    assert place.via("ssm") == "ssm.eu-west-1.amazonaws.com"
    assert (place.where, Place("aws", ACCOUNT, REGION).where) == ("eu-west-1", "the region where it is deployed")
    assert place.root == "arn:aws:iam::111111111111:root"
