"""Parameter Store, as an unmodified SDK sees it."""

import base64
import json

import pytest

from tests.aws_fixtures import AwsAccount, refusal


def _names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return sorted(found["Name"] for found in answer["Parameters"])


def test_encrypted_value_opens_by_kms_with_its_arn_as_context(aws: AwsAccount) -> None:
    """Without decryption a SecureString is KMS ciphertext, bound to the parameter's ARN."""
    key = aws.create_key()
    aws.put_parameter("/prod/api-key", "made-up", KeyId=key)
    found = aws.client("ssm").get_parameter(Name="/prod/api-key")["Parameter"]
    blob = base64.b64decode(found["Value"])
    kms = aws.client("kms")
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext={"PARAMETER_ARN": found["ARN"]})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"made-up", key)
    assert refusal(kms.decrypt, CiphertextBlob=blob).code == "InvalidCiphertextException"
    assert b"made-up" not in blob


def test_encrypted_value_is_the_same_each_time(aws: AwsAccount) -> None:
    """A version is encrypted once, by whatever call it is asked for."""
    aws.put_parameter("/a/b", "made-up")
    ssm = aws.client("ssm")
    one = ssm.get_parameter(Name="/a/b")["Parameter"]["Value"]
    many = ssm.get_parameters(Names=["/a/b"])["Parameters"][0]["Value"]
    path = ssm.get_parameters_by_path(Path="/a")["Parameters"][0]["Value"]
    history = ssm.get_parameter_history(Name="/a/b")["Parameters"][0]["Value"]
    assert one == many == path == history


def test_only_ssm_opens_what_its_own_key_closed(aws: AwsAccount) -> None:
    """Under alias/aws/ssm a caller's own Decrypt is denied, Parameter Store's works."""
    aws.put_parameter("/a", "made-up")
    found = aws.client("ssm").get_parameter(Name="/a")["Parameter"]
    told = refusal(
        aws.client("kms").decrypt,
        CiphertextBlob=base64.b64decode(found["Value"]),
        EncryptionContext={"PARAMETER_ARN": found["ARN"]},
    )
    assert told.code == "AccessDeniedException"
    assert "kms:Decrypt" in told.message
    assert aws.client("ssm").get_parameter(Name="/a", WithDecryption=True)["Parameter"]["Value"] == "made-up"


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion", "PendingImport"])
def test_unusable_key_is_invalid_key_id(aws: AwsAccount, state: str) -> None:
    """A SecureString under a key that does not work answers InvalidKeyId, and opens again with the key."""
    key = aws.create_key()
    aws.put_parameter("/a", "made-up", KeyId=key)
    ssm = aws.client("ssm")
    aws.fake.set_key_state(key, state, region=aws.region)
    for call, asked in (
        (ssm.get_parameter, {"Name": "/a"}),
        (ssm.get_parameters, {"Names": ["/a"]}),
        (ssm.get_parameters_by_path, {"Path": "/"}),
    ):
        told = refusal(call, WithDecryption=True, **asked)
        assert told.code == "InvalidKeyId"
        assert key in told.message
    assert ssm.get_parameter(Name="/a")["Parameter"]["Version"] == 1
    aws.fake.set_key_state(key, "Enabled", region=aws.region)
    assert ssm.get_parameter(Name="/a", WithDecryption=True)["Parameter"]["Value"] == "made-up"


def test_put_under_an_unusable_key_keeps_nothing(aws: AwsAccount) -> None:
    """PutParameter wants a key that exists and works; what it refuses was never there."""
    key = aws.create_key("alias/app")
    aws.fake.set_key_state("alias/app", "Disabled", region=aws.region)
    put = aws.client("ssm").put_parameter
    assert refusal(put, Name="/a", Value="x", Type="SecureString", KeyId=key).code == "InvalidKeyId"
    assert refusal(put, Name="/a", Value="x", Type="SecureString", KeyId="alias/none").code == "InvalidKeyId"
    assert refusal(aws.client("ssm").get_parameter, Name="/a").code == "ParameterNotFound"


def test_selectors_choose_versions_and_labels(aws: AwsAccount) -> None:
    """`name:2` and `name:label` work wherever a name does, and are told back."""
    for value in ("one", "two", "three"):
        aws.put_parameter("/a/b", value)
    ssm = aws.client("ssm")
    ssm.label_parameter_version(Name="/a/b", ParameterVersion=1, Labels=["green"])
    second = ssm.get_parameter(Name="/a/b:2", WithDecryption=True)["Parameter"]
    assert (second["Value"], second["Version"], second["Selector"]) == ("two", 2, ":2")
    found = ssm.get_parameters(Names=["/a/b:green", "/a/b"], WithDecryption=True)["Parameters"]
    assert {(one["Value"], one.get("Selector")) for one in found} == {("one", ":green"), ("three", None)}
    assert refusal(ssm.get_parameter, Name="/a/b:9").code == "ParameterVersionNotFound"
    assert refusal(ssm.get_parameter, Name="/a/b:blue").code == "ParameterVersionNotFound"


def test_what_is_unknown_is_listed_as_asked(aws: AwsAccount) -> None:
    """GetParameters tells unknown names, versions and labels beside what it found."""
    aws.put_parameter("/a", "made-up", "String")
    answer = aws.client("ssm").get_parameters(Names=["/a", "/none", "/a:7", "/a:blue"])
    assert _names(answer) == ["/a"]
    assert sorted(answer["InvalidParameters"]) == ["/a:7", "/a:blue", "/none"]


def test_eleven_names_are_too_many(aws: AwsAccount) -> None:
    """GetParameters takes ten names."""
    told = refusal(aws.client("ssm").get_parameters, Names=[f"/{number}" for number in range(11)])
    assert told.code == "ValidationException"


def test_answers_come_in_any_order(aws: AwsAccount) -> None:
    """The order of GetParameters says nothing, as AWS says of its own."""
    names = [f"/{number}" for number in range(10)]
    for name in names:
        aws.put_parameter(name, "x", "String")
    orders = {
        tuple(found["Name"] for found in aws.client("ssm").get_parameters(Names=names)["Parameters"]) for _ in range(5)
    }
    assert len(orders) > 1
    assert {frozenset(order) for order in orders} == {frozenset(names)}


def test_arn_of_a_parameter_is_a_name(aws: AwsAccount) -> None:
    """A full ARN names a parameter, with a selector too, and only in its own region."""
    aws.put_parameter("/a/b", "made-up", "String")
    ssm = aws.client("ssm")
    arn = ssm.get_parameter(Name="/a/b")["Parameter"]["ARN"]
    assert ssm.get_parameter(Name=arn)["Parameter"]["Name"] == "/a/b"
    assert ssm.get_parameter(Name=f"{arn}:1")["Parameter"]["Selector"] == ":1"
    assert refusal(ssm.get_parameter, Name=arn.replace(aws.region, "us-west-2")).code == "ParameterNotFound"


def test_path_pages_through_a_tree(aws: AwsAccount) -> None:
    """Trees come in pages of ten, whole when asked recursively, else one level."""
    for number in range(23):
        aws.put_parameter(f"/app/{number:02}", "x", "String")
    aws.put_parameter("/app/deep/er", "x", "String")
    aws.put_parameter("/apple", "x", "String")
    pages = list(aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/app/", Recursive=True))
    assert [len(page["Parameters"]) for page in pages] == [10, 10, 4]
    names = [name for page in pages for name in _names(page)]
    assert names == [*(f"/app/{number:02}" for number in range(23)), "/app/deep/er"]
    flat = aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/app")
    assert sum(len(page["Parameters"]) for page in flat) == 23


def test_root_holds_names_without_a_slash(aws: AwsAccount) -> None:
    """Path / shows what lies directly at the root, however it is spelt."""
    for name in ("plain", "/rooted", "/deep/er"):
        aws.put_parameter(name, "x", "String")
    assert _names(aws.client("ssm").get_parameters_by_path(Path="/")) == ["/rooted", "plain"]


def test_pages_may_be_empty(aws: AwsAccount) -> None:
    """On demand, empty pages with a token come before each full one."""
    for number in range(11):
        aws.put_parameter(f"/app/{number}", "x", "String")
    aws.fake.empty_pages(2)
    pages = aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/app")
    assert [len(page["Parameters"]) for page in pages] == [0, 0, 10, 0, 0, 1]
    assert refusal(aws.client("ssm").get_parameters_by_path, Path="/app", NextToken="?").code == "InvalidNextToken"


def test_path_filters_by_label_and_type(aws: AwsAccount) -> None:
    """A label filter picks the labelled version; others are moto's."""
    aws.put_parameter("/app/a", "one", "String")
    aws.put_parameter("/app/a", "two", "String")
    aws.put_parameter("/app/b", "x")
    ssm = aws.client("ssm")
    ssm.label_parameter_version(Name="/app/a", ParameterVersion=1, Labels=["green"])
    labelled = ssm.get_parameters_by_path(Path="/app", ParameterFilters=[{"Key": "Label", "Values": ["green"]}])
    assert [found["Value"] for found in labelled["Parameters"]] == ["one"]
    typed = ssm.get_parameters_by_path(Path="/app", ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}])
    assert _names(typed) == ["/app/b"]


def test_history_opens_each_version(aws: AwsAccount) -> None:
    """GetParameterHistory decrypts all versions when asked."""
    aws.put_parameter("/a", "one")
    aws.put_parameter("/a", "two")
    history = aws.client("ssm").get_parameter_history(Name="/a", WithDecryption=True)["Parameters"]
    assert [version["Value"] for version in history] == ["one", "two"]
    assert refusal(aws.client("ssm").get_parameter_history, Name="/none").code == "ParameterNotFound"


def test_version_begins_again_after_deletion(aws: AwsAccount) -> None:
    """A parameter that was deleted and made again is version 1."""
    aws.put_parameter("/a", "one")
    aws.put_parameter("/a", "two")
    aws.client("ssm").delete_parameter(Name="/a")
    assert refusal(aws.client("ssm").get_parameter, Name="/a").code == "ParameterNotFound"
    assert aws.put_parameter("/a", "three") == 1


def test_standard_tier_ends_at_4096_bytes(aws: AwsAccount) -> None:
    """A longer value wants the advanced tier."""
    put = aws.client("ssm").put_parameter
    told = refusal(put, Name="/a", Value="x" * 4097, Type="String")
    assert told.code == "ValidationException"
    put(Name="/a", Value="x" * 4097, Type="String", Tier="Advanced")


def test_advanced_tier_holds_8_kib_encrypted(aws: AwsAccount) -> None:
    """An advanced SecureString opens through SSM, and is no plain KMS ciphertext."""
    key = aws.create_key()
    aws.put_parameter("/big", "x" * 8192, Tier="Advanced", KeyId=key)
    get = aws.client("ssm").get_parameter
    assert get(Name="/big", WithDecryption=True)["Parameter"]["Value"] == "x" * 8192
    message = base64.b64decode(get(Name="/big")["Parameter"]["Value"])
    assert refusal(aws.client("kms").decrypt, CiphertextBlob=message[:6144]).code == "InvalidCiphertextException"


def test_a_batch_may_owe_kms(aws: AwsAccount) -> None:
    """Ten SecureStrings pass a quota of five, and the next request waits for the debt."""
    names = [f"/{number}" for number in range(10)]
    for name in names:
        aws.put_parameter(name, "x")
    aws.fake.limit({"kms.symmetric": 5})
    get = aws.client("ssm").get_parameters
    assert len(get(Names=names, WithDecryption=True)["Parameters"]) == 10
    assert refusal(get, Names=names, WithDecryption=True).code == "ThrottlingException"


def test_secret_by_reference(aws: AwsAccount) -> None:
    """Secrets Manager by way of Parameter Store: version 0, and the whole secret in SourceResult."""
    version = aws.put_secret("prod/db", '{"password": "made-up"}')
    found = aws.client("ssm").get_parameter(Name="/aws/reference/secretsmanager/prod/db", WithDecryption=True)
    shown = found["Parameter"]
    arn = aws.client("secretsmanager").describe_secret(SecretId="prod/db")["ARN"]
    assert (shown["Name"], shown["Version"], shown["ARN"]) == ("/aws/reference/secretsmanager/prod/db", 0, arn)
    assert shown["Value"] == '{"password": "made-up"}'
    assert json.loads(shown["SourceResult"])["VersionId"] == version


def test_secret_by_reference_with_a_selector(aws: AwsAccount) -> None:
    """A reference may name a stage or a version id."""
    first = aws.put_secret("db", "one")
    aws.put_secret("db", "two")
    get = aws.client("ssm").get_parameter
    for selector in ("AWSPREVIOUS", first):
        shown = get(Name=f"/aws/reference/secretsmanager/db:{selector}", WithDecryption=True)["Parameter"]
        assert (shown["Value"], shown["Selector"]) == ("one", f":{selector}")


def test_bad_references(aws: AwsAccount) -> None:
    """A reference wants decryption, a secret that is there, and text."""
    aws.put_secret("binary", b"\x00\xff")
    get, reference = aws.client("ssm").get_parameter, "/aws/reference/secretsmanager/"
    assert refusal(get, Name=f"{reference}binary").code == "ValidationException"
    assert refusal(get, Name=f"{reference}binary", WithDecryption=True).code == "ValidationException"
    told = refusal(get, Name=f"{reference}none", WithDecryption=True)
    assert told.code == "ParameterNotFound"
    assert "when referencing Secrets Manager" in told.message
    answer = aws.client("ssm").get_parameters(Names=[f"{reference}none"], WithDecryption=True)
    assert answer["InvalidParameters"] == [f"{reference}none"]


def test_decryptions_are_charged_to_kms(aws: AwsAccount) -> None:
    """Each SecureString that is decrypted counts, nothing else does."""
    for name in ("/a", "/b"):
        aws.put_parameter(name, "made-up")
    aws.put_parameter("/c", "made-up", "String")
    aws.fake.forget_requests()
    aws.client("ssm").get_parameters(Names=["/a", "/b", "/c"])
    assert aws.fake.kms_charges() == 0
    aws.client("ssm").get_parameters(Names=["/a", "/b", "/c"], WithDecryption=True)
    assert aws.fake.kms_charges() == 2


def test_kms_throttles_by_way_of_ssm(aws: AwsAccount) -> None:
    """When KMS's own quota is used up, the message names KMS."""
    aws.put_parameter("/a", "made-up")
    aws.fake.limit({"kms.symmetric": 1})
    get = aws.client("ssm").get_parameters
    get(Names=["/a"], WithDecryption=True)
    told = refusal(get, Names=["/a"], WithDecryption=True)
    assert told.code == "ThrottlingException"
    assert "KMS" in told.message
    assert get(Names=["/a"])["Parameters"]


def test_denied_key_by_way_of_ssm(aws: AwsAccount) -> None:
    """A caller who may not use the key is told so, by SSM, naming kms:Decrypt."""
    key = aws.create_key()
    aws.put_parameter("/a", "made-up", KeyId=key)
    aws.fake.deny("kms:Decrypt", key)
    told = refusal(aws.client("ssm").get_parameter, Name="/a", WithDecryption=True)
    assert told.code == "AccessDeniedException"
    assert "kms:Decrypt" in told.message


def test_denied_action_on_one_parameter(aws: AwsAccount) -> None:
    """GetParameters is refused whole when one of its names is denied."""
    for name in ("/a/open", "/a/shut"):
        aws.put_parameter(name, "x", "String")
    aws.fake.deny("ssm:GetParameters", "*:parameter/a/shut")
    get = aws.client("ssm").get_parameters
    told = refusal(get, Names=["/a/open", "/a/shut"])
    assert told.code == "AccessDeniedException"
    assert (
        f"not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:{aws.region}:{aws.id}" in told.message
    )
    assert _names(get(Names=["/a/open"])) == ["/a/open"]
