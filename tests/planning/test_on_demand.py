import pytest

from sidecar.core.refs import SourceKind
from sidecar.planning.on_demand import LeftOut, Offer, offers

SM, SSM, S3, KMS = SourceKind.SM, SourceKind.SSM, SourceKind.S3, SourceKind.KMS
SHARED = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:shared/*"


@pytest.mark.parametrize(
    ("glob", "offer"),
    [
        ("sm:prod/*", Offer(SM, "prod/*")),
        ("sm:prod/db?stage=AWSPREVIOUS", Offer(SM, "prod/db")),
        ("sm:prod/db-?#password", Offer(SM, "prod/db-?")),
        ("sm:prod/*?via=billing", Offer(SM, "prod/*", "billing")),
        (f"sm:{SHARED}", Offer(SM, SHARED, is_arn=True)),
        ("ssm:/prod/*", Offer(SSM, "/prod/*")),
        ("ssm:/prod/db?version=*", Offer(SSM, "/prod/db")),
        ("s3://prod-config/app/*", Offer(S3, "prod-config/app/*")),
        ("s3://prod-*", Offer(S3, "prod-*/*")),
        ("s3://b-1/a%2Ab?version_id=*", Offer(S3, "b-1/a${*}b", versioned=True)),
        ("kms:*", Offer(KMS, "")),
        ("kms:AQIC*?via=billing", Offer(KMS, "", "billing")),
    ],
)
def test_a_glob_becomes_a_resource(glob: str, offer: Offer) -> None:
    """Its wildcards are IAM's; fields and queries are not IAM's matter, but who is asked as."""
    assert list(offers((glob,))) == [offer]


@pytest.mark.parametrize(
    ("glob", "why"),
    [
        ("*", "names nothing"),
        ("**", "names nothing"),
        ("sm:*", "names nothing"),
        ("ssm:/*", "names nothing"),
        ("s3://*", "names nothing"),
        ("sm:prod/*?via=*", "names nothing"),
        ("sm:arn:aws:secretsmanager:eu-west-1:222222222222:secret:*", "names nothing"),
        ("ssm:arn:aws:ssm:eu-west-1:222222222222:parameter/*", "names nothing"),
        ("sm:arn:aws:secretsmanager:*:222222222222:secret:x", "names nothing"),
        ("*prod*", "begin the glob with"),
        ("s*:prod/db", "begin the glob with"),
        ("vault:x", "begin the glob with"),
        ("sm:db-[ab]", "no sets"),
        ("s3:prod-config/x", "s3://bucket/"),
        ("s3://prod-config", "s3://bucket/"),
        ("s3://*/app/x", "s3://bucket/"),
    ],
)
def test_what_iam_cannot_be_told_is_left_out_with_the_reason(glob: str, why: str) -> None:
    """Whatever would grant a whole account, or nothing that IAM knows."""
    (left,) = offers((glob,))
    assert isinstance(left, LeftOut)
    assert left.glob == glob
    assert why in left.why
