"""The weather, as an unmodified SDK feels it: faults, quotas, bad luck, and the journal of it all."""

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from tests.aws_fixtures import AwsAccount, refusal


@pytest.mark.parametrize(
    ("kind", "service", "code", "status"),
    [
        ("500", "ssm", "InternalServerError", 500),
        ("500", "secretsmanager", "InternalServiceError", 500),
        ("500", "kms", "KMSInternalException", 500),
        ("503", "ssm", "ServiceUnavailable", 503),
        ("throttle", "secretsmanager", "ThrottlingException", 400),
        ("throttle", "sts", "Throttling", 400),
        ("access-denied", "ssm", "AccessDeniedException", 400),
        ("expired-token", "kms", "ExpiredTokenException", 400),
        ("expired-token", "sts", "ExpiredToken", 403),
        ("bad-credentials", "ssm", "UnrecognizedClientException", 400),
        ("bad-credentials", "sts", "InvalidClientTokenId", 403),
        ("clock-skew", "secretsmanager", "InvalidSignatureException", 400),
        ("clock-skew", "sts", "SignatureDoesNotMatch", 403),
    ],
)
def test_faults_wear_awss_words(aws: AwsAccount, kind: str, service: str, code: str, status: int) -> None:
    """Each kind of fault is the error that this service answers."""
    aws.fake.fault(kind, service=service)
    calls = {
        "ssm": lambda: aws.client("ssm").get_parameter(Name="/a"),
        "secretsmanager": lambda: aws.client("secretsmanager").get_secret_value(SecretId="a"),
        "kms": lambda: aws.client("kms").list_keys(),
        "sts": lambda: aws.client("sts").get_caller_identity(),
    }
    told = refusal(calls[service])
    assert (told.code, told.status) == (code, status)


def test_outage_closes_the_connection(aws: AwsAccount) -> None:
    """In an outage no answer comes, and the journal says status 0."""
    aws.fake.fault("outage", service="ssm", count=1)
    with pytest.raises(ConnectionClosedError):
        aws.client("ssm").describe_parameters()
    assert [request.status for request in aws.fake.requests()] == [0]
    assert aws.client("ssm").describe_parameters()["Parameters"] == []


def test_outage_of_one_region(aws: AwsAccount) -> None:
    """A fault for a region leaves the others alone."""
    aws.fake.fault("500", region="eu-west-1")
    assert refusal(aws.client("kms").list_keys).status == 500
    assert aws.client("kms", "us-west-2").list_keys()["Keys"] == []


def test_proxys_page_is_an_answer_without_fields(aws: AwsAccount) -> None:
    """A page of HTML with status 200 is no exception in the SDK, and nothing that was asked for."""
    aws.put_secret("db", "x")
    aws.fake.fault("html-200")
    answer = aws.client("secretsmanager").get_secret_value(SecretId="db")
    assert "SecretString" not in answer


def test_faults_end_after_their_count(aws: AwsAccount) -> None:
    """`count` requests are hit, one operation only."""
    aws.put_parameter("/a", "x", "String")
    aws.fake.fault("throttle", service="ssm", operation="GetParameter", count=2, message="Rate exceeded for made-up")
    ssm = aws.client("ssm")
    assert ssm.get_parameters(Names=["/a"])["Parameters"]
    assert [refusal(ssm.get_parameter, Name="/a").message for _ in range(2)] == ["Rate exceeded for made-up"] * 2
    assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "x"


def test_faults_are_aimed_at_a_name(aws: AwsAccount) -> None:
    """A fault for one secret leaves its neighbours alone."""
    for name in ("good", "bad"):
        aws.put_secret(name, "x")
    aws.fake.fault("500", name="bad")
    get = aws.client("secretsmanager").get_secret_value
    assert get(SecretId="good")["SecretString"] == "x"
    assert refusal(get, SecretId="bad").status == 500


def test_slow_is_answered_late(aws: AwsAccount) -> None:
    """A slow request keeps its client waiting, as long as he likes."""
    aws.fake.fault("slow", seconds=60)
    impatient = aws.client_as("kms", aws.id, config=Config(read_timeout=0.05))
    with pytest.raises(ReadTimeoutError):
        impatient.list_keys()


def test_slow_is_answered_well(aws: AwsAccount) -> None:
    """A slow answer is like any other, when it comes."""
    aws.fake.fault("slow", seconds=0.001)
    assert aws.client("kms").list_keys()["Keys"] == []


def test_one_quota_is_shared_by_its_operations(aws: AwsAccount) -> None:
    """The three reading operations of Parameter Store share ssm.get; others have their own."""
    aws.fake.limit({"ssm.get": 2})
    ssm = aws.client("ssm")
    ssm.get_parameters(Names=["/a"])
    ssm.get_parameters_by_path(Path="/a")
    told = refusal(ssm.get_parameter, Name="/a")
    assert (told.code, told.message, told.status) == ("ThrottlingException", "Rate exceeded", 400)
    assert ssm.describe_parameters()["Parameters"] == []


def test_each_region_has_its_own_quota(aws: AwsAccount) -> None:
    """A quota belongs to one account in one region."""
    aws.fake.limit({"sm.describe": 1})
    for region in ("eu-west-1", "us-west-2"):
        describe = aws.client("secretsmanager", region).describe_secret
        assert refusal(describe, SecretId="x").code == "ResourceNotFoundException"
        assert refusal(describe, SecretId="x").code == "ThrottlingException"


def test_any_quota(aws: AwsAccount) -> None:
    """`*` is each quota that is not named: an operation without one has its own."""
    aws.fake.limit({"*": 1})
    aws.client("sts").get_caller_identity()
    assert refusal(aws.client("sts").get_caller_identity).code == "Throttling"
    aws.client("kms").list_keys()


def test_clear_makes_all_well(aws: AwsAccount) -> None:
    """After `clear` nothing is wrong any more."""
    aws.fake.fault("500")
    aws.fake.deny("kms:*")
    aws.fake.limit({"*": 1})
    aws.fake.clear()
    for _ in range(3):
        aws.client("kms").list_keys()


def test_denied_action_of_motos(aws: AwsAccount) -> None:
    """Operations that moto answers can be denied as well."""
    aws.fake.deny("kms:List*")
    assert refusal(aws.client("kms").list_keys).code == "AccessDeniedException"


def test_journal_tells_who_asked_what(aws: AwsAccount) -> None:
    """Each attempt on the wire is one entry, with names and outcome."""
    aws.put_parameter("/a", "made-up")
    aws.fake.forget_requests()
    ssm = aws.client("ssm")
    ssm.get_parameters(Names=["/a", "/none"], WithDecryption=True)
    refusal(ssm.get_parameter, Name="/none")
    first, second = aws.fake.requests("ssm")
    assert (first.key, first.names, first.with_decryption) == ("ssm.GetParameters", ("/a", "/none"), True)
    assert (first.status, first.error, first.kms_charges, first.region) == (200, "", 1, "eu-west-1")
    assert (second.status, second.error, second.account) == (400, "ParameterNotFound", aws.id)
    assert first.at <= second.at
    assert aws.fake.counts() == {"ssm.GetParameters": 1, "ssm.GetParameter": 1}
    assert aws.fake.requests("ssm", "GetParameter") == [second]


def test_unknown_operations_and_services(aws: AwsAccount) -> None:
    """What the fake does not serve is told plainly."""
    told = refusal(aws.client("ssm").list_nodes)
    assert told.code == "UnknownOperationException"
    told = refusal(aws.client("sqs").list_queues)
    assert "dynamodb, kms, s3, secretsmanager, ssm, sts" in told.message


def test_region_that_is_not_there(aws: AwsAccount) -> None:
    """A region that AWS does not have is refused."""
    assert refusal(aws.client("kms", "eu-nowhere-9").list_keys).code == "UnrecognizedClientException"


def test_motos_errors_have_awss_status(aws: AwsAccount) -> None:
    """Where moto answers 404 for a secret that is not there, AWS answers 400."""
    told = refusal(aws.client("secretsmanager").delete_secret, SecretId="none")
    assert (told.code, told.status) == ("ResourceNotFoundException", 400)


def test_a_slip_is_a_500(aws: AwsAccount) -> None:
    """What breaks moto itself is a 500, as it would be at AWS."""
    told = refusal(aws.client("secretsmanager").list_secret_version_ids, SecretId="none")
    assert told.status == 500
