import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import BadKeyId
from sidecar.core.keys import (
    Home,
    KeyPattern,
    check_key_id,
    is_allowed,
    key_arn,
    kind_of,
    only_key,
    parse_pattern,
    quota_of,
    region_of,
)
from sidecar.core.prices import KeyKind
from tests.core.strategies import quick

HOME = Home("111122223333", "eu-west-1")
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ALIAS = "arn:aws:kms:eu-west-1:111122223333:alias/app"
FOREIGN = KEY.replace("111122223333", "444455556666")

accounts = st.sampled_from(["111122223333", "444455556666"])
regions = st.sampled_from(["eu-west-1", "us-east-1"])
resources = st.sampled_from(["key/1234", "key/mrk-5", "alias/app"])
arns = st.builds("arn:aws:kms:{}:{}:{}".format, regions, accounts, resources)
patterns = st.builds(
    "arn:aws:kms:{}:{}:{}".format, regions | st.just("*"), accounts, resources | st.sampled_from(["*", "key/*"])
).map(KeyPattern)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        ALIAS,
        "alias/app",
        "alias/aws/ssm",
        "arn:aws:kms:*:111122223333:*",
        "arn:aws:kms:eu-west-1:111122223333:key/*",
        "arn:aws:kms:*:111122223333:key/mrk-1234abcd",
        "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1",
    ],
)
def test_reads_what_can_be_allowed(text: str) -> None:
    """A key, an alias, or all keys of an account."""
    assert parse_pattern(text) == KeyPattern(text)


@pytest.mark.parametrize(
    "text",
    ["", "*", "app", "alias/", "alias/*", "arn:aws:kms:*:*:*", "arn:aws:kms:eu-west-1:111122223333:alias/a*",
     "arn:aws:s3:::bucket", "arn:aws:kms:eu-west-1:1:key/x", f"{KEY}\n"],
)  # fmt: skip
def test_refuses_what_would_allow_anything_or_nothing(text: str) -> None:
    """No wildcard but a whole account's keys."""
    assert parse_pattern(text) is None


@pytest.mark.parametrize("text", [KEY, ALIAS, "alias/app", "1234abcd-12ab", "mrk-1234"])
def test_a_key_id_is_one_of_four(text: str) -> None:
    """An id, an alias, or the ARN of either, as KMS takes it."""
    assert check_key_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "a b", "alias/", "arn:aws:kms:eu-west-1:111122223333:*", "arn:aws:sqs:x:1:y", "arn:"]
)
def test_anything_else_names_no_key(text: str) -> None:
    """And the message does not repeat it."""
    with pytest.raises(BadKeyId) as caught:
        check_key_id(text)
    assert not text or text not in str(caught.value)


def test_a_bare_name_is_of_ones_own_account_and_region() -> None:
    """An ARN says for itself where its key is."""
    assert key_arn("alias/app", HOME) == ALIAS
    assert key_arn("1234", HOME) == "arn:aws:kms:eu-west-1:111122223333:key/1234"
    assert key_arn(FOREIGN, HOME) == FOREIGN
    assert (region_of(ALIAS, "x"), region_of("alias/app", "us-east-1")) == ("eu-west-1", "us-east-1")


@given(arns)
@quick
def test_without_patterns_the_own_account_counts(arn: str) -> None:
    """Its keys in every region, and nobody else's."""
    assert is_allowed(arn, None, HOME) == (":111122223333:" in arn)


@given(arns, st.lists(patterns, max_size=3), patterns)
@quick
def test_more_patterns_allow_more(arn: str, some: list[KeyPattern], more: KeyPattern) -> None:
    """A pattern never forbids, and an empty list allows nothing."""
    assert not is_allowed(arn, [], HOME)
    assert is_allowed(arn, [*some, more], HOME) == (is_allowed(arn, some, HOME) or more.matches(arn, HOME))


@given(arns, patterns)
@quick
def test_a_pattern_never_crosses_accounts(arn: str, pattern: KeyPattern) -> None:
    """Whatever its wildcards, account and partition are as written."""
    if pattern.matches(arn, HOME):
        assert arn.split(":")[4] == pattern.text.split(":")[4]


def test_exactly_one_key_can_be_named_to_kms() -> None:
    """A wildcard, several or none cannot."""
    one, alias, wild = KeyPattern(KEY), KeyPattern("alias/app"), KeyPattern("arn:aws:kms:*:111122223333:*")
    assert (only_key([one]), only_key([alias])) == (KEY, "alias/app")
    assert [only_key(several) for several in ([one, alias], [wild], [], None)] == [None] * 4
    assert alias.matches(ALIAS, HOME)
    assert (one.is_alias, alias.is_alias, KeyPattern(ALIAS).is_alias) == (False, True, True)


@pytest.mark.parametrize(
    ("algorithm", "size", "kind"),
    [
        ("SYMMETRIC_DEFAULT", 256, KeyKind.SYMMETRIC),
        ("RSASSA_PSS_SHA_256", 256, KeyKind.RSA_2048),
        ("RSASSA_PSS_SHA_256", 512, KeyKind.ASYMMETRIC),
        ("ECDSA_SHA_256", 256, KeyKind.ASYMMETRIC),
    ],
)
def test_a_price_depends_on_the_kind_of_key(algorithm: str, size: int, kind: KeyKind) -> None:
    """The bytes of a signature or ciphertext tell how long an RSA key is."""
    assert kind_of(algorithm, size) is kind


@pytest.mark.parametrize(
    ("algorithm", "quota"),
    [
        ("SYMMETRIC_DEFAULT", "kms.symmetric"),
        ("RSAES_OAEP_SHA_256", "kms.rsa"),
        ("RSASSA_PSS_SHA_512", "kms.rsa"),
        ("RSA_2048", "kms.rsa"),
        ("ECDSA_SHA_256", "kms.ecc"),
        ("ECC_NIST_P256", "kms.ecc"),
        ("SM2DSA", "kms.ecc"),
        ("SM2PKE", "kms.ecc"),
        ("ED25519_SHA_512", "kms.ecc"),
        ("HMAC_256", "kms.symmetric"),
        ("ML_DSA_SHAKE_256", None),
    ],
)
def test_the_algorithm_says_whose_quota(algorithm: str, quota: str | None) -> None:
    """Symmetric, RSA and elliptic curves have quotas of their own; another kind of key uses none of these."""
    assert quota_of(algorithm) == quota
