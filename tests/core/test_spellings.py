import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import BadRef
from sidecar.core.refs import Ref, parse
from sidecar.core.spellings import parse_any
from tests.core.strategies import ACCOUNT, REGION, quick, refs

VERSION_ID = "a1b2c3d4-5678-90ab-cdef-0123456789ab"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:prod/db-AbCdEf"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/prod/db"

SAME = {
    f"sm:{SECRET}": [SECRET, f"{SECRET}:::", f"secrets-manager:{SECRET}", f"{{{{resolve:secretsmanager:{SECRET}}}}}"],
    f"sm:{SECRET}#password": [
        f"{SECRET}#password",
        f"{SECRET}:password::",
        f"{SECRET}:password",
        f"{SECRET}:password:AWSCURRENT:",
        f"secrets-manager:{SECRET}:password",
        f"{{{{resolve:secretsmanager:{SECRET}:SecretString:password}}}}",
        f"ref+awssecrets://{SECRET}#/password",
        f"ref+awssecrets://{SECRET}?region={REGION}#/password",
    ],
    f"sm:{SECRET}?stage=AWSPREVIOUS": [f"{SECRET}::AWSPREVIOUS:", f"{SECRET}?stage=AWSPREVIOUS"],
    f"sm:{SECRET}?version_id={VERSION_ID}#a:b": [f"{SECRET}?version_id={VERSION_ID}#a:b"],
    f"sm:{SECRET}?version_id={VERSION_ID}": [f"{SECRET}:::{VERSION_ID}"],
    f"sm:{SECRET}#/~1a~0": [f"{SECRET}:/a~::"],
    "sm:prod/db": [
        "secrets-manager:prod/db",
        "secrets-manager:prod/db:::",
        "{{resolve:secretsmanager:prod/db}}",
        "{{resolve:secretsmanager:prod/db:SecretString}}",
        "{{resolve:secretsmanager:prod/db::::}}",
        "ssm:/aws/reference/secretsmanager/prod/db",
        "parameter-store:/aws/reference/secretsmanager/prod/db",
        "{{resolve:ssm-secure:/aws/reference/secretsmanager/prod/db}}",
        "ref+awsssm://aws/reference/secretsmanager/prod/db",
        "ref+awssecrets://prod/db",
        "ref+awssecrets://prod/db#/",
        "ref+awssecrets://prod/db+",
        "secretref+awssecrets://prod/db",
    ],
    "sm:prod/db?stage=AWSPREVIOUS#password": [
        "secrets-manager:prod/db:password:AWSPREVIOUS",
        "{{resolve:secretsmanager:prod/db:SecretString:password:AWSPREVIOUS}}",
        "ssm:/aws/reference/secretsmanager/prod/db?stage=AWSPREVIOUS#password",
        "ref+awssecrets://prod/db?version_stage=AWSPREVIOUS#/password",
        "ref+awssecrets://prod/db?version_stage=AWSPREVIOUS#password",
    ],
    "sm:prod/db?stage=AWSPREVIOUS": ["parameter-store:/aws/reference/secretsmanager/prod/db:AWSPREVIOUS"],
    f"sm:prod/db?version_id={VERSION_ID}": [
        f"secrets-manager:prod/db:::{VERSION_ID}",
        f"{{{{resolve:secretsmanager:prod/db:SecretString:::{VERSION_ID}}}}}",
        f"parameter-store:/aws/reference/secretsmanager/prod/db:{VERSION_ID}",
        f"ref+awssecrets://prod/db?version_id={VERSION_ID}",
    ],
    "sm:prod/db#/a/b~0c": ["ref+awssecrets://prod/db#/a/b~c", "ref+awssecrets://prod/db#/a/b%7Ec"],
    "sm:/prod/db": ["ref+awssecrets:///prod/db"],
    f"ssm:{PARAMETER}": [PARAMETER, f"parameter-store:{PARAMETER}", f"{{{{resolve:ssm:{PARAMETER}}}}}"],
    f"ssm:{PARAMETER}?version=3": [f"{PARAMETER}:3", f"{PARAMETER}?version=3"],
    "ssm:/prod/db": [
        "parameter-store:/prod/db",
        "{{resolve:ssm:/prod/db}}",
        "{{resolve:ssm-secure:/prod/db}}",
        "ref+awsssm://prod/db",
        "ref+awsssm:///prod/db",
        "ref+awsssm://prod#/db",
        "ref+awsssm://prod/?#/db",
        "ref+awsssm://?recursive=true#/prod/db",
        "secretref+awsssm://prod/db+",
    ],
    "s3://bucket/a:b": ["arn:aws:s3:::bucket/a:b", "s3:arn:aws:s3:::bucket/a:b", "ref+s3://bucket/a:b"],
    "s3://bucket/key?version_id=x#field": ["ref+s3://bucket/key?version_id=x#/field"],
    "ssm:name": ["parameter-store:name", "{{resolve:ssm:name}}"],
    "ssm:/prod/db?version=3": [
        "parameter-store:/prod/db:3",
        "{{resolve:ssm:/prod/db:3}}",
        "{{resolve:ssm-secure:/prod/db:3}}",
        "ref+awsssm://prod/db?version=3",
    ],
    "ssm:/prod/db?label=green": ["parameter-store:/prod/db:green"],
    "ssm:/prod/db?version=3#key": ["ref+awsssm://prod/db?mode=singleparam&version=3#/key"],
}


@pytest.mark.parametrize(("spelt", "canonical"), [(spelt, same) for same, every in SAME.items() for spelt in every])
def test_every_spelling_of_a_value_is_one_ref(spelt: str, canonical: str) -> None:
    """However a value is spelt, it has one ref, which prints canonically."""
    assert parse_any(spelt) == parse(canonical)
    assert str(parse_any(spelt)) == canonical


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{SECRET}::AWSPREVIOUS:{VERSION_ID}", "by stage and by version_id"),
        (f"{SECRET}:a:b:c:d", "more than secret-id:json-key:version-stage:version-id"),
        (f"{PARAMETER}:3:4", "more than name:version"),
        (f"{PARAMETER}:", "without a value"),
        (f"secrets-manager:{PARAMETER}", "an ARN of ssm after sm:"),
        ("secrets-manager:prod/db?stage=X", "no name of a secret"),
        ("parameter-store:prod/db", "no name of a parameter"),
        (f"arn:aws:kms:{REGION}:{ACCOUNT}:key/x:y", "an ARN of a key"),
        ("{{resolve:secretsmanager:prod/db:SecretBinary}}", "not SecretString"),
        ("{{resolve:secretsmanager:prod/db:SecretString:a:b:c:d}}", "more than secret-id"),
        ("{{resolve:s3:x}}", "no dynamic reference"),
        ("{{resolve:ssm:}}", "no dynamic reference"),
        ("{{resolve:ssm:/x}} and more", "no dynamic reference"),
        ("{{resolve:ssm:/x:green:blue}}", "more than name:version"),
        ("ref+vault://bucket/key", "backend of vals"),
        ("ref+s3://bucket", "no object of S3"),
        ("ref+awsssm:/x", "backend of vals"),
        ("ref+awssecrets://a+b", "ends a reference at '+'"),
        ("ref+awssecrets://db?region=eu-west-1", "a parameter that is not read here"),
        (f"ref+awssecrets://{SECRET}?region=us-east-1", "a parameter that is not read here"),
        ("ref+awsssm://p?role_arn=x", "a parameter that is not read here"),
        ("ref+awsssm://p?version=1&version=2", "one twice"),
        ("ref+awsssm://p?version=3#/db", "directly below a path"),
        ("ref+awsssm://p#/a/b", "directly below a path"),
        ("secret://prod/db", "no scheme"),
        ("kms:A", "no base64"),
        ("sm:" + "a" * 10_240, "longer than 4096 characters"),
        ("ref+awssecrets://db\n", "control character"),
    ],
)
def test_says_what_is_wrong_in_the_words_of_the_spelling(text: str, told: str) -> None:
    """What a tool's spelling cannot mean here is refused, with a mend, and not quoted."""
    with pytest.raises(BadRef) as refused:
        parse_any(text)
    assert told in str(refused.value)
    assert refused.value.mend
    assert "prod/db" not in str(refused.value)


def test_an_identity_may_be_given_beside_any_spelling() -> None:
    """Foreign spellings name none of their own."""
    for text in ("secrets-manager:db", "{{resolve:secretsmanager:db}}", "ref+awssecrets://db", "sm:db"):
        assert str(parse_any(text, identity="dr")) == "sm:db?via=dr"


@quick
@given(refs)
def test_the_canonical_spelling_is_one_of_them(ref: Ref) -> None:
    """Whatever `parse` reads, `parse_any` reads alike."""
    assert parse_any(str(ref)) == ref


@quick
@given(st.text("abAB09/_=.@-", min_size=1, max_size=20), st.text("abcd/~ .", max_size=8), st.sampled_from(["", "OLD"]))
def test_aws_own_spellings_of_a_secret_agree(name: str, key: str, stage: str) -> None:
    """ECS, CodeBuild and CloudFormation part a secret's id, key and stage alike, whatever stands in them."""
    ident = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:a{name}-AbCdEf"
    ecs = parse_any(f"{ident}:{key}:{stage}:")
    assert ecs == parse_any(f"secrets-manager:{ident}:{key}:{stage}:")
    assert ecs == parse_any(f"{{{{resolve:secretsmanager:{ident}:SecretString:{key}:{stage}:}}}}")
    assert parse(str(ecs)) == ecs


_noise = st.from_regex(
    r"(arn:aws:(ssm|secretsmanager):|secrets-manager:|parameter-store:|\{\{resolve:ssm:|(secret)?ref\+awss(sm|ecrets)://)"
    r"[ -~]*(\}\})?",
    fullmatch=True,
)


@quick
@given(st.text() | _noise)
def test_any_text_is_a_ref_or_bad_ref(text: str) -> None:
    """Nothing else is raised, and what is read prints to what reads as the same."""
    try:
        got = parse_any(text)
    except BadRef:
        return
    assert parse(str(got)) == got
