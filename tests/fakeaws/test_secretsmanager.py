"""Secrets Manager, as an unmodified SDK sees it."""

import json

import pytest

from tests.aws_fixtures import REGION, AwsAccount, refusal


def test_stages_move_with_each_value(aws: AwsAccount) -> None:
    """The newest version is AWSCURRENT, the one before it AWSPREVIOUS, older ones are not shown."""
    versions = [aws.put_secret("db", value) for value in ("one", "two", "three")]
    told = aws.client("secretsmanager").describe_secret(SecretId="db")
    assert told["VersionIdsToStages"] == {versions[2]: ["AWSCURRENT"], versions[1]: ["AWSPREVIOUS"]}


def test_value_by_stage_and_version(aws: AwsAccount) -> None:
    """Each version is there by its id, the labelled ones by their stage."""
    versions = [aws.put_secret("db", value) for value in ("one", "two", "three")]
    get = aws.client("secretsmanager").get_secret_value
    assert get(SecretId="db")["SecretString"] == "three"
    assert get(SecretId="db", VersionStage="AWSPREVIOUS")["SecretString"] == "two"
    assert get(SecretId="db", VersionId=versions[0])["SecretString"] == "one"
    assert refusal(get, SecretId="db", VersionStage="AWSPENDING").code == "ResourceNotFoundException"
    assert refusal(get, SecretId="db", VersionId="0" * 32).code == "ResourceNotFoundException"
    told = refusal(get, SecretId="db", VersionId=versions[0], VersionStage="AWSCURRENT")
    assert told.code == "InvalidRequestException"


def test_rotation_by_a_pending_version(aws: AwsAccount) -> None:
    """AWSPENDING becomes AWSCURRENT when the label is moved, and the next value pushes it to AWSPREVIOUS."""
    first = aws.put_secret("db", "one")
    secrets = aws.client("secretsmanager")
    pending = secrets.put_secret_value(SecretId="db", SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
    assert secrets.get_secret_value(SecretId="db")["SecretString"] == "one"
    secrets.update_secret_version_stage(
        SecretId="db", VersionStage="AWSCURRENT", MoveToVersionId=pending, RemoveFromVersionId=first
    )
    assert secrets.get_secret_value(SecretId="db")["SecretString"] == "two"
    assert secrets.get_secret_value(SecretId="db", VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    aws.put_secret("db", "three")
    assert secrets.get_secret_value(SecretId="db", VersionStage="AWSPREVIOUS")["SecretString"] == "two"


def test_a_custom_label_leaves_the_current_version_alone(aws: AwsAccount) -> None:
    """Moving another label changes nothing for those who ask for none."""
    first = aws.put_secret("db", "one")
    secrets = aws.client("secretsmanager")
    secrets.update_secret_version_stage(SecretId="db", VersionStage="blue", MoveToVersionId=first)
    assert secrets.get_secret_value(SecretId="db", VersionStage="blue")["VersionId"] == first
    assert secrets.get_secret_value(SecretId="db")["VersionId"] == first


@pytest.mark.parametrize(
    ("value", "kept"),
    [('{"username": "app", "password": "old"}', {"username": "app"}), ("plain", None), ("[1]", None), (b"\x00", None)],
)
def test_rotate_secret_makes_the_next_value(aws: AwsAccount, value: str | bytes, kept: dict[str, str] | None) -> None:
    """RotateSecret leaves a new AWSCURRENT, with what is not the password kept."""
    first = aws.put_secret("db", value)
    secrets = aws.client("secretsmanager")
    rotated = secrets.rotate_secret(SecretId="db", RotationRules={"AutomaticallyAfterDays": 7})["VersionId"]
    told = secrets.describe_secret(SecretId="db")
    assert told["VersionIdsToStages"] == {rotated: ["AWSCURRENT"], first: ["AWSPREVIOUS"]}
    assert told["RotationEnabled"]
    assert told["NextRotationDate"] > told["LastRotatedDate"]
    current = secrets.get_secret_value(SecretId="db")
    if kept is not None:
        fields = json.loads(current["SecretString"])
        assert fields.pop("password").startswith("rotated-")
        assert fields == kept


def test_rotation_may_only_be_scheduled(aws: AwsAccount) -> None:
    """RotateImmediately=False sets the date and leaves the value."""
    first = aws.put_secret("db", "one")
    secrets = aws.client("secretsmanager")
    rules = {"AutomaticallyAfterDays": 7}
    secrets.rotate_secret(SecretId="db", RotateImmediately=False, RotationRules=rules)
    told = secrets.describe_secret(SecretId="db")
    assert list(told["VersionIdsToStages"]) == [first]
    assert "LastRotatedDate" not in told


def test_next_rotation_is_set_at_will(aws: AwsAccount) -> None:
    """Tests say when a secret is due to rotate."""
    aws.put_secret("db", "one")
    aws.fake.set_next_rotation("db", 2_000_000_000, region=aws.region)
    told = aws.client("secretsmanager").describe_secret(SecretId="db")
    assert told["NextRotationDate"].timestamp() == 2_000_000_000
    aws.fake.set_next_rotation("db", None, region=aws.region)
    assert "NextRotationDate" not in aws.client("secretsmanager").describe_secret(SecretId="db")


def test_secret_marked_for_deletion(aws: AwsAccount) -> None:
    """Its value is refused, its description tells the date, and it can be restored."""
    aws.put_secret("db", "one")
    secrets = aws.client("secretsmanager")
    secrets.delete_secret(SecretId="db", RecoveryWindowInDays=7)
    told = refusal(secrets.get_secret_value, SecretId="db")
    assert told.code == "InvalidRequestException"
    assert "marked for deletion" in told.message
    assert "DeletedDate" in secrets.describe_secret(SecretId="db")
    assert refusal(secrets.rotate_secret, SecretId="db").code == "InvalidRequestException"
    secrets.restore_secret(SecretId="db")
    assert secrets.get_secret_value(SecretId="db")["SecretString"] == "one"
    assert "DeletedDate" not in secrets.describe_secret(SecretId="db")


def test_name_arn_and_partial_arn_are_one_secret(aws: AwsAccount) -> None:
    """All three spellings find it, also when one name begins like another's ARN; half a suffix does not."""
    aws.put_secret("db", "one")
    aws.put_secret("db-abcdef", "other")
    get = aws.client("secretsmanager").get_secret_value
    arn = get(SecretId="db")["ARN"]
    for spelling in (arn, arn[:-7]):
        assert get(SecretId=spelling)["SecretString"] == "one"
    assert get(SecretId="db-abcdef")["SecretString"] == "other"
    assert refusal(get, SecretId=arn[:-3]).code == "ResourceNotFoundException"
    assert refusal(get, SecretId=f"{arn[:-6]}zzzzzz").code == "ResourceNotFoundException"


def test_binary_values_come_as_they_went(aws: AwsAccount) -> None:
    """SecretBinary is bytes."""
    aws.put_secret("blob", b"\x00\xff\x80")
    found = aws.client("secretsmanager").get_secret_value(SecretId="blob")
    assert found["SecretBinary"] == b"\x00\xff\x80"
    assert "SecretString" not in found


def test_secret_without_a_value(aws: AwsAccount) -> None:
    """A secret that was made empty is found, its value is not."""
    aws.client("secretsmanager").create_secret(Name="empty")
    told = refusal(aws.client("secretsmanager").get_secret_value, SecretId="empty")
    assert told.code == "ResourceNotFoundException"
    assert "AWSCURRENT" in told.message


def test_batch_answers_for_each(aws: AwsAccount) -> None:
    """BatchGetSecretValue tells what cannot be had beside the rest."""
    for name in ("a", "b", "gone"):
        aws.put_secret(name, name)
    secrets = aws.client("secretsmanager")
    secrets.delete_secret(SecretId="gone")
    arn = secrets.describe_secret(SecretId="b")["ARN"]
    answer = secrets.batch_get_secret_value(SecretIdList=["a", arn[:-7], "gone", "none"])
    assert {found["Name"] for found in answer["SecretValues"]} == {"a", "b"}
    assert {(told["SecretId"], told["ErrorCode"]) for told in answer["Errors"]} == {
        ("gone", "InvalidRequestException"),
        ("none", "ResourceNotFoundException"),
    }


def test_batch_takes_twenty(aws: AwsAccount) -> None:
    """BatchGetSecretValue takes twenty ids, and wants some."""
    batch = aws.client("secretsmanager").batch_get_secret_value
    assert refusal(batch, SecretIdList=[str(number) for number in range(21)]).code == "InvalidParameterException"
    assert refusal(batch, Filters=[{"Key": "all", "Values": ["x"]}]).code == "InvalidParameterException"


def test_batch_needs_two_rights(aws: AwsAccount) -> None:
    """The batch itself may be denied, or one of its secrets."""
    aws.put_secret("open", "x")
    aws.put_secret("shut", "x")
    batch = aws.client("secretsmanager").batch_get_secret_value
    aws.fake.deny("secretsmanager:GetSecretValue", "*:secret:shut-*")
    answer = batch(SecretIdList=["open", "shut"])
    assert [found["Name"] for found in answer["SecretValues"]] == ["open"]
    assert [told["ErrorCode"] for told in answer["Errors"]] == ["AccessDeniedException"]
    aws.fake.deny("secretsmanager:BatchGetSecretValue")
    assert refusal(batch, SecretIdList=["open"]).code == "AccessDeniedException"


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_unusable_key_is_a_decryption_failure(aws: AwsAccount, state: str) -> None:
    """A secret under a key that does not work cannot be read, but described."""
    key = aws.create_key()
    aws.put_secret("db", "one", KmsKeyId=key)
    aws.fake.set_key_state(key, state, region=aws.region)
    secrets = aws.client("secretsmanager")
    assert refusal(secrets.get_secret_value, SecretId="db").code == "DecryptionFailure"
    assert secrets.batch_get_secret_value(SecretIdList=["db"])["Errors"][0]["ErrorCode"] == "DecryptionFailure"
    assert refusal(secrets.put_secret_value, SecretId="db", SecretString="x").code == "EncryptionFailure"
    assert secrets.describe_secret(SecretId="db")["KmsKeyId"] == key
    told = refusal(secrets.create_secret, Name="new", SecretString="x", KmsKeyId=key)
    assert told.code == "EncryptionFailure"


def test_key_that_is_not_there(aws: AwsAccount) -> None:
    """A secret wants a key that exists; one whose key went away cannot be read."""
    secrets = aws.client("secretsmanager")
    told = refusal(secrets.create_secret, Name="new", SecretString="x", KmsKeyId="alias/none")
    assert told.code == "EncryptionFailure"
    aws.create_key("alias/app")
    aws.put_secret("db", "one", KmsKeyId="alias/app")
    aws.client("kms").delete_alias(AliasName="alias/app")
    assert refusal(secrets.get_secret_value, SecretId="db").code == "DecryptionFailure"


def test_denied_and_throttled_key(aws: AwsAccount) -> None:
    """Access to KMS is not allowed, or KMS throttles: Secrets Manager's own words."""
    aws.put_secret("db", "one")
    get = aws.client("secretsmanager").get_secret_value
    aws.fake.limit({"kms.symmetric": 1})
    get(SecretId="db")
    told = refusal(get, SecretId="db")
    assert (told.code, "KMS" in told.message) == ("ThrottlingException", True)
    batch = aws.client("secretsmanager").batch_get_secret_value
    assert refusal(batch, SecretIdList=["db"]).code == "ThrottlingException"
    aws.fake.clear()
    aws.fake.deny("kms:Decrypt")
    told = refusal(get, SecretId="db")
    assert (told.code, told.message) == ("AccessDeniedException", "Access to KMS is not allowed")
    aws.fake.deny("kms:GenerateDataKey")
    assert (
        refusal(aws.client("secretsmanager").create_secret, Name="b", SecretString="x").code == "AccessDeniedException"
    )


def test_replica_has_the_same_versions(aws: AwsAccount) -> None:
    """A replica in another region answers with the same version ids, under its own ARN, and follows changes."""
    aws.put_secret("db", "one", AddReplicaRegions=[{"Region": "us-west-2"}])
    version = aws.put_secret("db", "two")
    replica = aws.client("secretsmanager", "us-west-2")
    found = replica.get_secret_value(SecretId="db")
    assert (found["SecretString"], found["VersionId"]) == ("two", version)
    assert found["ARN"].split(":")[3] == "us-west-2"
    assert replica.get_secret_value(SecretId=found["ARN"][:-7])["VersionId"] == version
    assert replica.describe_secret(SecretId="db")["PrimaryRegion"] == REGION
    assert replica.batch_get_secret_value(SecretIdList=["db"])["SecretValues"][0]["VersionId"] == version
    assert refusal(replica.rotate_secret, SecretId="db").code == "InvalidRequestException"


def test_replica_keeps_its_own_key(aws: AwsAccount) -> None:
    """A disabled key in the first region does not keep the replica from being read."""
    key = aws.create_key()
    aws.put_secret("db", "one", KmsKeyId=key)
    aws.client("secretsmanager").replicate_secret_to_regions(SecretId="db", AddReplicaRegions=[{"Region": "us-west-2"}])
    aws.fake.set_key_state(key, "Disabled", region=aws.region)
    assert aws.client("secretsmanager", "us-west-2").get_secret_value(SecretId="db")["SecretString"] == "one"


def test_replica_can_be_removed(aws: AwsAccount) -> None:
    """After its removal the replica is not found."""
    aws.put_secret("db", "one", AddReplicaRegions=[{"Region": "us-west-2"}])
    aws.client("secretsmanager").remove_regions_from_replication(SecretId="db", RemoveReplicaRegions=["us-west-2"])
    told = refusal(aws.client("secretsmanager", "us-west-2").get_secret_value, SecretId="db")
    assert told.code == "ResourceNotFoundException"


def test_secret_of_another_account(aws: AwsAccount) -> None:
    """It takes the ARN, a resource policy and a key of the customer's own."""
    key = aws.create_key()
    aws.put_secret("shared", "one", KmsKeyId=key)
    arn = aws.client("secretsmanager").describe_secret(SecretId="shared")["ARN"]
    stranger = aws.client_as("secretsmanager", "999999999999").get_secret_value
    assert refusal(stranger, SecretId=arn).code == "AccessDeniedException"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    aws.client("secretsmanager").put_resource_policy(SecretId="shared", ResourcePolicy=policy)
    assert stranger(SecretId=arn)["SecretString"] == "one"
    aws.client("secretsmanager").update_secret(SecretId="shared", KmsKeyId="alias/aws/secretsmanager")
    assert refusal(stranger, SecretId=arn).message == "Access to KMS is not allowed"
    assert refusal(stranger, SecretId=f"{arn}x").code == "ResourceNotFoundException"


def test_denied_description(aws: AwsAccount) -> None:
    """DescribeSecret alone may be denied, by the secret's name too."""
    aws.put_secret("db", "one")
    secrets = aws.client("secretsmanager")
    aws.fake.deny("secretsmanager:DescribeSecret", "db*")
    told = refusal(secrets.describe_secret, SecretId="db")
    assert told.code == "AccessDeniedException"
    assert "is not authorized to perform: secretsmanager:DescribeSecret on resource" in told.message
    assert secrets.get_secret_value(SecretId="db")["SecretString"] == "one"


def test_each_value_is_one_decryption(aws: AwsAccount) -> None:
    """A value costs one decryption, a description none."""
    for name in ("a", "b"):
        aws.put_secret(name, "x")
    aws.fake.forget_requests()
    secrets = aws.client("secretsmanager")
    secrets.describe_secret(SecretId="a")
    assert aws.fake.kms_charges() == 0
    secrets.get_secret_value(SecretId="a")
    secrets.batch_get_secret_value(SecretIdList=["a", "b"])
    assert aws.fake.kms_charges() == 3
