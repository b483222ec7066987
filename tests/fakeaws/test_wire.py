"""Reading AWS's wire and writing it."""

import json

import pytest

from sidecar.fakeaws.wire import Answer, AwsError, Params, error_answer, json_answer, parse_request, xml_answer

SIGNED = "AWS4-HMAC-SHA256 Credential=111111111111/20261125/eu-west-1/ssm/aws4_request, SignedHeaders=host, Signature=x"


def _headers(**more: str) -> dict[str, str]:
    return {"Authorization": SIGNED, **{name.replace("_", "-"): value for name, value in more.items()}}


def test_json_request() -> None:
    """Service and region are what was signed for, the operation stands in X-Amz-Target."""
    asked = parse_request(_headers(X_Amz_Target="AmazonSSM.GetParameter"), b'{"Name": "/a"}')
    assert (asked.service, asked.operation, asked.region, asked.access_key) == (
        "ssm",
        "GetParameter",
        "eu-west-1",
        "111111111111",
    )
    assert asked.params.needed("Name") == "/a"
    assert "/a" not in repr(asked)


def test_query_request() -> None:
    """The token service is asked by a form."""
    headers = {"Authorization": SIGNED.replace("/ssm/", "/sts/")}
    asked = parse_request(headers, b"Action=AssumeRole&RoleArn=arn%3Aaws")
    assert (asked.service, asked.operation, asked.params.text("RoleArn")) == ("sts", "AssumeRole", "arn:aws")


@pytest.mark.parametrize(
    ("method", "target", "operation", "names"),
    [
        ("GET", "/", "ListBuckets", ("", "")),
        ("PUT", "/bucket", "CreateBucket", ("bucket", "")),
        ("HEAD", "/bucket", "HeadBucket", ("bucket", "")),
        ("GET", "/bucket?list-type=2&prefix=x", "ListObjects", ("bucket", "")),
        ("PUT", "/bucket?versioning", "PutBucketVersioning", ("bucket", "")),
        ("GET", "/bucket/a%20b/c?x-id=GetObject&versionId=v1", "GetObject", ("bucket", "a b/c")),
        ("HEAD", "/bucket/key", "HeadObject", ("bucket", "key")),
        ("PUT", "/bucket/key", "PutObject", ("bucket", "key")),
        ("DELETE", "/bucket/key", "DeleteObject", ("bucket", "key")),
        ("POST", "/bucket/key?uploads", "PostObjectUploads", ("bucket", "key")),
    ],
)
def test_rest_requests(method: str, target: str, operation: str, names: tuple[str, str]) -> None:
    """S3 is asked by method, path and query."""
    asked = parse_request({"Authorization": SIGNED.replace("/ssm/", "/s3/")}, b"", method, target)
    assert (asked.service, asked.operation) == ("s3", operation)
    assert (asked.params.raw["Bucket"], asked.params.raw["Key"]) == names
    assert asked.params.text("VersionId") == ("v1" if "versionId" in target else None)


def test_a_copy_names_its_source_in_a_header() -> None:
    """Otherwise it looks like an upload."""
    headers = {"Authorization": SIGNED.replace("/ssm/", "/s3/"), "X-Amz-Copy-Source": "/bucket/other"}
    assert parse_request(headers, b"", "PUT", "/bucket/key").operation == "CopyObject"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"{}", "MissingAuthenticationTokenException"),
        (_headers(), b"{}", "UnknownOperationException"),
        (_headers(), b"{", "SerializationException"),
        (_headers(), b"[]", "SerializationException"),
    ],
)
def test_requests_that_are_none(headers: dict[str, str], body: bytes, code: str) -> None:
    """What AWS would not understand is told in its words."""
    with pytest.raises(AwsError) as caught:
        parse_request(headers, body)
    assert caught.value.code == code


def test_params_are_read_leniently_where_optional() -> None:
    """What is absent or of another type reads as nothing."""
    params = Params({"Names": ["a", 1], "Yes": True, "Context": {"a": 1}, "Records": [{"a": 1}, 2]})
    assert (params.text("None"), params.texts("Names"), params.texts("Yes")) == (None, ("a", "1"), ())
    assert (params.flag("Yes"), params.flag("Names")) == (True, False)
    assert (params.context("Context"), params.context("Names")) == ({"a": "1"}, {})
    assert (params.records("Records"), params.records("Yes")) == (({"a": 1},), ())
    assert params.changed(Yes=False).flag("Yes") is False


@pytest.mark.parametrize("raw", [0, 11, "x", 1.5])
def test_numbers_have_bounds(raw: object) -> None:
    """A number outside of what AWS takes is a ValidationException that names the field."""
    with pytest.raises(AwsError, match="ValidationException") as caught:
        Params({"MaxResults": raw}).number("MaxResults", 10, most=10)
    assert "'maxResults'" in caught.value.message
    assert Params({}).number("MaxResults", 10, most=10) == 10


def test_what_is_needed() -> None:
    """What must be there is asked for by name, blobs must be base64."""
    with pytest.raises(AwsError, match="ValidationException"):
        Params({}).needed("Name")
    with pytest.raises(AwsError, match="ValidationException"):
        Params({"Plaintext": "?"}).blob("Plaintext")
    assert Params({"Plaintext": "eA=="}).blob("Plaintext") == b"x"


def test_answers() -> None:
    """JSON services answer JSON, the token service XML, errors too."""
    assert json_answer({"a": 1}).body == b'{"a":1}'
    told = error_answer("ssm", AwsError("Code", "Message"), "id")
    assert (told.status, json.loads(told.body), told.error) == (400, {"__type": "Code", "message": "Message"}, "Code")
    told = error_answer("sts", AwsError("Code", "<&>", 503), "id")
    assert b"<Type>Receiver</Type><Code>Code</Code><Message>&lt;&amp;&gt;</Message>" in told.body
    assert b"<GetXResult><A/></GetXResult>" in xml_answer("GetX", "<A/>", "id").body
    assert "secret" not in repr(Answer(200, b"secret"))
