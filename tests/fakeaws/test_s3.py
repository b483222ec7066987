"""S3, as an unmodified SDK sees it."""

import hashlib
import secrets
from base64 import b64encode

import pytest

from tests.aws_fixtures import AwsAccount, refusal


def customers(key: bytes) -> dict[str, object]:
    """Give what a request with a customer's key carries."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def test_objects_have_versions_and_markers(aws: AwsAccount) -> None:
    """Each version is there by its id; what is deleted is hidden by a marker."""
    s3, where = aws.client("s3"), {"Bucket": aws.bucket, "Key": "a b/ü"}
    aws.put_object("a b/ü", b"unversioned")
    aws.keep_versions()
    one, two = (aws.put_object("a b/ü", value) for value in (b"one", b"two"))
    assert s3.get_object(**where)["VersionId"] == two
    assert s3.get_object(**where, VersionId=one)["Body"].read() == b"one"
    s3.delete_object(**where)
    assert refusal(s3.get_object, **where).code == "NoSuchKey"
    assert refusal(s3.head_object, **where).status == 404
    assert refusal(s3.get_object, **where, VersionId="nope").code == "NoSuchVersion"


def test_a_head_that_fails_says_nothing_but_a_number(aws: AwsAccount) -> None:
    """As S3's has no body, an SDK makes a code of the status."""
    aws.put_object("db", b"here")
    aws.fake.deny("s3:GetObject")
    told = refusal(aws.client("s3").head_object, Bucket=aws.bucket, Key="db")
    assert (told.code, told.message) == ("403", "Forbidden")
    assert refusal(aws.client("s3").get_object, Bucket=aws.bucket, Key="db").code == "AccessDenied"


def test_keys_of_kms_matter(aws: AwsAccount) -> None:
    """Writing takes GenerateDataKey, reading Decrypt, of the key that is named or of aws/s3; a HEAD takes neither."""
    key, s3 = aws.create_key("alias/app"), aws.client("s3")
    aws.put_object("own", b"own", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/app")
    aws.put_object("awss", b"awss", ServerSideEncryption="aws:kms")
    read = s3.get_object(Bucket=aws.bucket, Key="own")
    assert (read["ServerSideEncryption"], read["SSEKMSKeyId"], read["Body"].read()) == ("aws:kms", key, b"own")
    assert read["ETag"].strip('"') != hashlib.md5(b"own", usedforsecurity=False).hexdigest()
    assert aws.fake.kms_charges() == 1
    aws.fake.set_key_state(key, "Disabled", region=aws.region)
    assert s3.head_object(Bucket=aws.bucket, Key="own")["ETag"] == read["ETag"]
    assert refusal(s3.get_object, Bucket=aws.bucket, Key="own").code == "KMS.DisabledException"
    assert s3.get_object(Bucket=aws.bucket, Key="awss")["Body"].read() == b"awss"
    writing = {"Bucket": aws.bucket, "Key": "own", "Body": b"x", "ServerSideEncryption": "aws:kms"}
    assert refusal(s3.put_object, **writing, SSEKMSKeyId=key).code == "KMS.DisabledException"
    assert refusal(s3.put_object, **writing, SSEKMSKeyId="alias/nobodys").code == "KMS.NotFoundException"
    aws.fake.deny("kms:Decrypt")
    denied = refusal(s3.get_object, Bucket=aws.bucket, Key="awss")
    assert (denied.code, denied.status) == ("AccessDenied", 403)
    assert "kms:Decrypt" in denied.message


def test_a_bucket_may_encrypt_by_itself(aws: AwsAccount) -> None:
    """Its default is used where the upload does not say; without one it is SSE-S3."""
    aws.put_object("before", b"x")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3 = aws.client("s3")
    s3.put_bucket_encryption(Bucket=aws.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    aws.put_object("after", b"x")
    told = [s3.head_object(Bucket=aws.bucket, Key=key)["ServerSideEncryption"] for key in ("before", "after")]
    assert told == ["AES256", "aws:kms"]


def test_customers_keys_matter(aws: AwsAccount) -> None:
    """Only the key that an object was stored under reads it, by HEAD and GET alike."""
    key, s3 = secrets.token_bytes(32), aws.client("s3")
    aws.put_object("own", b"own", **customers(key))
    aws.put_object("plain", b"plain")
    where = {"Bucket": aws.bucket, "Key": "own"}
    assert s3.get_object(**where, **customers(key))["Body"].read() == b"own"
    assert s3.head_object(**where, **customers(key))["SSECustomerKeyMD5"]
    assert refusal(s3.get_object, **where).code == "InvalidRequest"
    assert refusal(s3.get_object, **where, **customers(secrets.token_bytes(32))).code == "AccessDenied"
    assert refusal(s3.head_object, **where).status == 400
    assert refusal(s3.head_object, **where, **customers(secrets.token_bytes(32))).status == 403
    plain = refusal(s3.get_object, Bucket=aws.bucket, Key="plain", **customers(key))
    assert "not applicable" in plain.message
    assert refusal(s3.get_object, **where, **customers(b"short")).code == "InvalidArgument"
    wrong_sum = {**customers(key), "SSECustomerKey": b64encode(key).decode(), "SSECustomerKeyMD5": "AAAA"}
    assert "MD5 hash" in refusal(s3.get_object, **where, **wrong_sum).message


def test_buckets_are_where_and_whose_they_are(aws: AwsAccount) -> None:
    """Asked in another region S3 sends away, and says where; another account needs a policy."""
    aws.put_object("db", b"here")
    far = aws.client("s3", "us-east-1")
    assert far.get_object(Bucket=aws.bucket, Key="db")["Body"].read() == b"here"  # an SDK follows
    assert [entry.error for entry in aws.fake.requests("s3", "GetObject")] == ["PermanentRedirect", ""]
    assert refusal(aws.client("s3").get_object, Bucket="nobodys-bucket", Key="x").code == "NoSuchBucket"
    stranger = aws.client_as("s3", "444455556666")
    assert refusal(stranger.get_object, Bucket=aws.bucket, Key="db").code == "AccessDenied"


@pytest.mark.parametrize(
    ("kind", "code", "status"), [("throttle", "SlowDown", 503), ("expired-token", "ExpiredToken", 400)]
)
def test_faults_are_in_s3s_words(aws: AwsAccount, kind: str, code: str, status: int) -> None:
    """What all services know has its own name here."""
    aws.put_object("db", b"here")
    aws.fake.fault(kind, service="s3", name=f"{aws.bucket}/db")
    told = refusal(aws.client("s3").get_object, Bucket=aws.bucket, Key="db")
    assert (told.code, told.status) == (code, status)


def test_what_is_not_mended_is_motos(aws: AwsAccount) -> None:
    """Lists, copies and deletions work, and may be denied."""
    s3 = aws.client("s3")
    aws.put_object("one", b"1")
    s3.copy_object(Bucket=aws.bucket, Key="two", CopySource={"Bucket": aws.bucket, "Key": "one"})
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=aws.bucket)["Contents"]] == ["one", "two"]
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [aws.bucket]
    aws.fake.deny("s3:DeleteObject")
    assert refusal(s3.delete_object, Bucket=aws.bucket, Key="one").code == "AccessDenied"
    assert aws.fake.counts() == {
        "s3.CreateBucket": 1,
        "s3.PutObject": 2,
        "s3.CopyObject": 1,
        "s3.ListObjects": 1,
        "s3.ListBuckets": 1,
        "s3.DeleteObject": 1,
    }


def test_large_objects_come_and_go(aws: AwsAccount) -> None:
    """Beyond what a request of another service may have."""
    aws.put_object("large", b"x" * 3 * 2**20)
    assert len(aws.client("s3").get_object(Bucket=aws.bucket, Key="large")["Body"].read()) == 3 * 2**20
