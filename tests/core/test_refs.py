import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.arns import Arn
from sidecar.core.errors import BadRef
from sidecar.core.refs import Pick, Ref, Selector, SourceKind, Tree, localise, named_by_aws, parse, parse_tree
from tests.core.strategies import ACCOUNT, REGION, quick, refs

SM, SSM, KMS, S3 = SourceKind.SM, SourceKind.SSM, SourceKind.KMS, SourceKind.S3
VERSION_ID = "a1b2c3d4-5678-90ab-cdef-0123456789ab"
SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:prod/db-AbCdEf"
PARAMETER_ARN = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/prod/db"


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("ssm:/prod/db", Ref(SSM, "/prod/db")),
        ("ssm:name", Ref(SSM, "name")),
        ("ssm:/name", Ref(SSM, "/name")),
        ("ssm:/prod/db?version=3", Ref(SSM, "/prod/db", Selector(Pick.VERSION, "3"))),
        ("ssm:/prod/db?label=green", Ref(SSM, "/prod/db", Selector(Pick.LABEL, "green"))),
        ("sm:prod/db", Ref(SM, "prod/db")),
        ("sm:/prod/db", Ref(SM, "/prod/db")),
        ("sm:prod/db?stage=AWSPREVIOUS", Ref(SM, "prod/db", Selector(Pick.STAGE, "AWSPREVIOUS"))),
        ("sm:prod/db?stage=my%2Fstage", Ref(SM, "prod/db", Selector(Pick.STAGE, "my/stage"))),
        (f"sm:prod/db?version_id={VERSION_ID}", Ref(SM, "prod/db", Selector(Pick.VERSION_ID, VERSION_ID))),
        ("sm:prod/db#password", Ref(SM, "prod/db", field="password")),
        ("sm:prod/db#/a/0/b~1c", Ref(SM, "prod/db", field="/a/0/b~1c")),
        ("sm:prod/db#what? #1", Ref(SM, "prod/db", field="what? #1")),
        ("sm:prod/db?via=billing", Ref(SM, "prod/db", identity="billing")),
        ("ssm:/p?label=g&via=dr#f", Ref(SSM, "/p", Selector(Pick.LABEL, "g"), "f", "dr")),
        (f"sm:{SECRET_ARN}", Ref(SM, SECRET_ARN)),
        ("kms:AQICAHh+/w==", Ref(KMS, "AQICAHh+/w==")),
        ("kms:AQIC?context=a=1,b=x%2Cy%3D&via=dr#f", Ref(KMS, "AQIC", None, "f", "dr", (("a", "1"), ("b", "x,y=")))),
        ("s3://bucket/path/to/key", Ref(S3, "//bucket/path/to/key")),
        ("s3://my.bucket/a%20b%23?via=dr#f", Ref(S3, "//my.bucket/a%20b%23", None, "f", "dr")),
        ("s3://bucket/k?sse_c=app/key&via=dr#f", Ref(S3, "//bucket/k", None, "f", "dr", sse_c="app/key")),
        ("s3://bucket/k?context=a=1", Ref(S3, "//bucket/k", context=(("a", "1"),))),
        ("s3://bucket/k?version_id=a.b~c", Ref(S3, "//bucket/k", Selector(Pick.VERSION_ID, "a.b~c"))),
        (f"ssm:{PARAMETER_ARN}?version=3", Ref(SSM, PARAMETER_ARN, Selector(Pick.VERSION, "3"))),
    ],
)
def test_reads_and_prints_the_canonical_spelling(text: str, ref: Ref) -> None:
    """Each part has one place, and the ref prints as it was written."""
    assert parse(text) == ref
    assert str(ref) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sm:prod/db?stage=AWSCURRENT", "sm:prod/db"),
        ("arn:aws:s3:::bucket/a:b/c", "s3://bucket/a:b/c"),
        ("s3:arn:aws-cn:s3:::bucket/key#f", "s3://bucket/key#f"),
        ("s3://bucket/ü%c3%bc*".replace("*", "%2A"), "s3://bucket/%C3%BC%C3%BC%2A"),
        ("s3://bucket/%61%2fb", "s3://bucket/a/b"),
        (
            "s3://bucket/k?via=dr&context=b=2,a=1&sse_c=key&version_id=x",
            "s3://bucket/k?version_id=x&sse_c=key&context=a=1,b=2&via=dr",
        ),
        ("sm:prod/db?via=default", "sm:prod/db"),
        ("kms:AQICAHh-_w", "kms:AQICAHh+/w=="),
        ("kms:AQICAHh%2B%2Fw%3D%3D", "kms:AQICAHh+/w=="),
        ("kms:AQIC?via=dr&context=b=2,a=arn%3Aaws%3Assm:x", "kms:AQIC?context=a=arn:aws:ssm:x,b=2&via=dr"),
        ("ssm:/p?via=dr&label=g", "ssm:/p?label=g&via=dr"),
        ("sm:db?stage=%41%42", "sm:db?stage=AB"),
        (SECRET_ARN, f"sm:{SECRET_ARN}"),
        (f"{PARAMETER_ARN}?via=dr#f", f"ssm:{PARAMETER_ARN}?via=dr#f"),
        ("ssm:/aws/reference/secretsmanager/prod/db", "sm:prod/db"),
        ("ssm:/aws/reference/secretsmanager/prod/db?stage=AWSPREVIOUS#f", "sm:prod/db?stage=AWSPREVIOUS#f"),
        (
            f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/aws/reference/secretsmanager/prod/db",
            f"sm:arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:prod/db",
        ),
    ],
)
def test_brings_what_means_the_same_to_one_spelling(text: str, canonical: str) -> None:
    """Defaults are left away, the query has one order, and a value is named where it lies."""
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no scheme"),
        ("prod/db", "no scheme"),
        ("secret://db", "no scheme"),
        ("SM:prod/db", "no scheme"),
        ("kms:", "no base64"),
        ("kms:A", "no base64"),
        ("kms:AQ===", "no base64"),
        ("kms:AQICA*h", "no base64"),
        ("kms:AQIC AHh", "holds a space"),
        ("kms:AQIC?context=a", "not k=v"),
        ("kms:AQIC?context==v", "not k=v"),
        ("kms:AQIC?context=a=1,a=2", "same name twice"),
        ("kms:AQIC?context=", "without a value"),
        ("kms:AQIC?context=a=%zz", "percent-encoded"),
        ("kms:AQIC?context=a=" + 3000 * "%41" + "&context=b=1", "same key twice"),
        ("kms:AQIC?context=a=" + "x" * 8192, "more than 8192"),
        ("kms:AQIC?version=1", "not known here"),
        ("sm:db?context=a=1", "not known here"),
        ("kms:" + "A" * 200_000, "longer than 4096 characters, of a kms: reference 200000"),
        ("s3:bucket/key", "no object of S3"),
        ("s3://bucket", "no object of S3"),
        ("s3://bucket/", "no object of S3"),
        ("s3:///key", "no object of S3"),
        ("s3://b_/key", "no object of S3"),
        ("s3://bu cket/key", "no object of S3"),
        (f"arn:aws:s3:{REGION}:{ACCOUNT}:accesspoint/app/object/key", "no object of S3"),
        ("s3://app--euw1-az1--x-s3/key", "directory buckets"),
        ("s3://bucket/*", "no wildcards"),
        ("s3://bucket/a%zz", "percent-encoded"),
        ("s3://bucket/a%00", "percent-encoded"),
        ("s3://bucket/" + "%C3%BC" * 513, "1024 bytes"),
        ("s3://bucket/key?stage=A", "not known here"),
        ("s3://bucket/key?sse_c=", "without a value"),
        ("s3://bucket/key?sse_c=../x", "no name of a secret"),
        ("s3://bucket/key?sse_c=a&sse_c=b", "same key twice"),
        ("sm:db?sse_c=key", "not known here"),
        ("s3://bucket/key?version_id=null", "the version_id is not one"),
        ("s3://bucket/key?version_id=a%20b", "the version_id is not one"),
        (f"arn:aws:kms:{REGION}:{ACCOUNT}:key/x", "an ARN of a key, which is no value"),
        (f"arn:aws:sqs:{REGION}:{ACCOUNT}:x", "neither Parameter Store, Secrets Manager nor S3"),
        (f"ssm:{SECRET_ARN}", "an ARN of secretsmanager after ssm:"),
        (f"sm:{PARAMETER_ARN}", "an ARN of ssm after sm:"),
        (f"arn:aws:secretsmanager:{REGION}::secret:db", "lacks the account"),
        (f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:db", "no full ARN"),
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-*", "no full ARN"),
        (f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/x", "no ARN of a parameter"),
        ("ssm:", "no name of a parameter"),
        ("ssm:prod/db", "no name of a parameter"),
        ("ssm:/prod//db", "no name of a parameter"),
        ("ssm:/prod/", "no name of a parameter"),
        ("ssm:/prod/*", "no name of a parameter"),
        ("ssm:/prod/db:3", "no name of a parameter"),
        ("ssm:/a b", "no name of a parameter"),
        ("ssm:" + "/a" * 16, "15 levels"),
        ("ssm:/" + "a" * 1011, "1011 characters"),
        ("sm:", "no name of a secret"),
        ("sm://prod/db", "no name of a secret"),
        ("sm:prod/*", "no name of a secret"),
        ("sm:prod/db:password::", "no name of a secret"),
        ("sm:" + "a" * 513, "512 characters"),
        ("sm:" + "a" * 10_240, "4096 characters"),
        ("sm:db\n", "control character"),
        ("sm:d\0b", "control character"),
        ("sm:db#\ud800", "control character"),
        ("sm:db#", "field"),
        ("sm:db#" + "a" * 1025, "field"),
        ("sm:db#/a~", "no JSON Pointer"),
        ("sm:db?", "key that is not known"),
        ("sm:db?version=3", "key that is not known"),
        ("ssm:/p?stage=AWSCURRENT", "key that is not known"),
        ("sm:db?stage=A&stage=A", "same key twice"),
        ("sm:db?stage=", "without a value"),
        ("sm:db?via", "without a value"),
        ("sm:db?via=a/b", "no name of an identity"),
        ("ssm:/p?version=1&label=g", "by version and by label"),
        (f"sm:db?stage=AWSCURRENT&version_id={VERSION_ID}", "by stage and by version_id"),
        ("ssm:/p?version=0", "the version is not one"),
        ("ssm:/p?version=03", "the version is not one"),
        ("ssm:/p?label=3g", "the label is not one"),
        ("ssm:/p?label=AWSx", "the label is not one"),
        ("sm:db?stage=a%20b", "the stage is not one"),
        ("sm:db?stage=*", "the stage is not one"),
        ("sm:db?version_id=1", "the version_id is not one"),
        ("sm:db?stage=%zz", "not percent-encoded"),
        ("sm:db?stage=%ff", "not percent-encoded"),
        ("sm:db?stage=a%0a", "not percent-encoded"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(text: str, told: str) -> None:
    """Every wrong ref is told by its own reason, with a mend, and is not quoted."""
    with pytest.raises(BadRef) as refused:
        parse(text)
    assert told in str(refused.value)
    assert refused.value.mend
    assert "prod/db" not in str(refused.value)


def test_an_identity_may_be_given_beside_the_text() -> None:
    """It is meant where the text names none."""
    assert parse("sm:db", identity="dr") == Ref(SM, "db", identity="dr")
    assert parse("sm:db?via=billing", identity="dr") == Ref(SM, "db", identity="billing")
    assert parse("sm:db?via=default", identity="dr") == Ref(SM, "db")
    assert parse_tree("ssm:/p/", identity="dr") == Tree("/p", "dr")


def test_a_field_belongs_to_a_whole_value() -> None:
    """Dropping the field keeps all else, and a whole ref is its own."""
    whole = parse("sm:db?stage=X&via=dr")
    assert parse("sm:db?stage=X&via=dr#f").whole == whole
    assert whole.whole is whole


def test_only_a_number_or_an_id_pins_a_version() -> None:
    """Labels and stages move."""
    texts = ["ssm:/p?version=3", f"sm:db?version_id={VERSION_ID}", "s3://bucket/k?version_id=x"]
    assert [parse(text).pinned for text in texts] == [True] * 3
    texts = ["ssm:/p?label=g", "sm:db?stage=X", "sm:db", "s3://bucket/k"]
    assert [parse(text).pinned for text in texts] == [False] * 4


def test_an_object_has_a_bucket_and_a_key() -> None:
    """The key is what S3 knows it by, whatever it looks like in a reference."""
    ref = parse("s3://my-bucket/a%20b/c%23d+e")
    assert (ref.bucket, ref.key) == ("my-bucket", "a b/c#d+e")


@quick
@given(refs)
def test_parse_and_str_are_inverse(ref: Ref) -> None:
    """Whatever ref there is, it is read back as it was printed."""
    assert parse(str(ref)) == ref


@quick
@given(st.text() | st.from_regex(r"(ssm|sm|arn|kms|s3|s3://bucket/|arn:aws:s3):[ -~]*", fullmatch=True))
def test_any_text_is_a_ref_or_bad_ref(text: str) -> None:
    """Nothing else is raised, and what is read prints to what reads as the same."""
    for read in (parse, parse_tree):
        try:
            got = read(text)
        except BadRef:
            continue
        assert read(str(got)) == got


@pytest.mark.parametrize("text", ["ssm:/prod/app/", "ssm:/prod/app/?via=dr", "ssm:/p/"])
def test_reads_and_prints_a_tree(text: str) -> None:
    """A tree prints with its last slash, and may be written without."""
    assert str(parse_tree(text)) == text
    assert parse_tree(text.replace("/?", "?").removesuffix("/")) == parse_tree(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prod/app", "a path of Parameter Store"),
        ("sm:prod/", "a path of Parameter Store"),
        ("ssm:app/", "a path of Parameter Store"),
        (PARAMETER_ARN, "a path of Parameter Store"),
        ("ssm:/", "every parameter"),
        ("ssm:/a//", "no name of a parameter"),
        ("ssm:/a/*", "no name of a parameter"),
        ("ssm:/a/#f", "no field"),
        ("ssm:/a/?version=3", "key that is not known"),
        ("ssm:/aws/reference/secretsmanager/", "does not list"),
        ("ssm:/aws/reference/secretsmanager/prod", "does not list"),
    ],
)
def test_says_what_is_wrong_with_a_tree(text: str, told: str) -> None:
    """A tree is one path of at least one level, and no more."""
    with pytest.raises(BadRef, match=told):
        parse_tree(text)


def test_a_tree_knows_what_lies_below_it() -> None:
    """Only a whole level counts."""
    tree = Tree("/prod/app")
    assert tree.rest_of("/prod/app/feature/x") == "feature/x"
    assert tree.rest_of("/prod/apple") is None
    assert tree.rest_of("/prod/app") is None


@pytest.mark.parametrize(
    ("text", "local"),
    [
        (SECRET_ARN, "sm:prod/db"),
        (f"{SECRET_ARN}?stage=X&via=dr#f", "sm:prod/db?stage=X&via=dr#f"),
        (SECRET_ARN.removesuffix("-AbCdEf"), "sm:prod/db"),
        (PARAMETER_ARN, "ssm:/prod/db"),
        (f"arn:aws:ssm:{REGION}::parameter/aws/service/ami", "ssm:/aws/service/ami"),
        ("sm:prod/db-AbCdEf", "sm:prod/db-AbCdEf"),
        (SECRET_ARN.replace(ACCOUNT, "444455556666"), None),
        (PARAMETER_ARN.replace(REGION, "us-east-1"), None),
        (f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/name", None),
    ],
)
def test_names_what_lies_in_the_own_account_and_region(text: str, local: str | None) -> None:
    """An ARN of there becomes the name; others stay, also a parameter's that may or may not begin with a slash."""
    ref = parse(text)
    assert localise(ref, ACCOUNT, REGION) == (ref if local is None else parse(local))


@quick
@given(refs)
def test_a_localised_ref_is_canonical(ref: Ref) -> None:
    """It is read back as it was printed, it is local once and for all, and only the id changed."""
    local = localise(ref, ACCOUNT, REGION)
    assert parse(str(local)) == local
    assert localise(local, ACCOUNT, REGION) == local
    assert (local.selector, local.field, local.identity) == (ref.selector, ref.field, ref.identity)


@pytest.mark.parametrize(
    "text",
    ["sm:prod/db", SECRET_ARN, SECRET_ARN.removesuffix("-AbCdEf"), "ssm:/aws/reference/secretsmanager/prod/db"],
)
def test_aws_names_every_spelling_of_a_secret_alike(text: str) -> None:
    """Name, ARN and partial ARN become one ref: the name at home, the full ARN elsewhere."""
    home = named_by_aws(parse(text), name="prod/db", arn=SECRET_ARN, account=ACCOUNT, region=REGION)
    away = named_by_aws(parse(text), name="prod/db", arn=SECRET_ARN, account="444455556666", region=REGION)
    assert (str(home), str(away)) == ("sm:prod/db", f"sm:{SECRET_ARN}")


def test_aws_names_a_parameter() -> None:
    """By the name that it gives, or by the ARN that it gives as one; selector and identity stay."""
    one_level = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/name"
    asked = parse(f"{one_level}?label=g&via=dr")
    named = named_by_aws(asked, name="name", arn=one_level, account=ACCOUNT, region=REGION)
    assert str(named) == "ssm:name?label=g&via=dr"
    by_arn = named_by_aws(parse(PARAMETER_ARN), name=PARAMETER_ARN, arn=PARAMETER_ARN, account=ACCOUNT, region=REGION)
    assert str(by_arn) == "ssm:/prod/db"


def test_a_ref_that_aws_names_as_asked_is_not_copied() -> None:
    """Ten thousand answers a poll make no new refs."""
    ref = parse("ssm:/prod/db")
    assert named_by_aws(ref, name="/prod/db", arn=PARAMETER_ARN, account=ACCOUNT, region=REGION) is ref


def test_an_answer_without_an_arn_names_nothing() -> None:
    """Whoever asked AWS takes this for an answer that cannot be understood."""
    with pytest.raises(BadRef):
        named_by_aws(parse("ssm:/prod/db"), name="/prod/db", arn="", account=ACCOUNT, region=REGION)


def test_a_ref_gives_its_arn() -> None:
    """Whoever asks AWS needs the region in it; a name has none."""
    assert parse(SECRET_ARN).arn == Arn.parse(SECRET_ARN)
    assert parse("sm:prod/db").arn is None


@given(refs)
def test_what_is_shown_is_short_and_says_which(ref: Ref) -> None:
    """Ciphertext is cut short and told apart by a hash; everything else is shown as it prints."""
    assert (ref.shown == str(ref)) == (ref.source is not KMS)
    assert ref.source is not KMS or ref.id not in ref.shown or len(ref.id) <= 8


def test_a_ciphertext_never_changes_by_itself() -> None:
    """It is pinned, and its fingerprint is of ciphertext and context, not of field or identity."""
    one, other = parse("kms:AQIC?context=a=1#x"), parse("kms:AQIC?context=a=2")
    assert one.pinned
    assert one.ciphertext == b"\x01\x02\x02"
    assert one.fingerprint == parse("kms:AQIC?context=a=1&via=dr").fingerprint != other.fingerprint
    assert one.shown.startswith("kms:AQIC…")
    assert one.shown != other.shown
