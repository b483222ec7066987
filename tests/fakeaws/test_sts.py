"""The token service, as an unmodified SDK sees it, and whose data its credentials open."""

from datetime import UTC, datetime, timedelta

import pytest

from sidecar.fakeaws.sts import Role, Tokens, utc_now
from sidecar.fakeaws.weather import Caller
from sidecar.fakeaws.wire import AwsError, Params
from tests.aws_fixtures import AwsAccount, SdkClient, refusal

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def _assume(aws: AwsAccount, account: str, role: str = "reader", **more: str) -> dict[str, str]:
    arn = f"arn:aws:iam::{account}:role/{role}"
    answer = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", **more)
    assert isinstance(answer["Credentials"], dict)
    return answer["Credentials"]


def _client(aws: AwsAccount, given: dict[str, str], service: str) -> SdkClient:
    return aws.client_as(service, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def test_twelve_digits_are_an_account(aws: AwsAccount) -> None:
    """An access key of twelve digits belongs to the account of that number."""
    assert aws.client("sts").get_caller_identity()["Account"] == aws.id


def test_any_other_key_is_the_default_account(aws: AwsAccount) -> None:
    """Whatever else a developer has in his environment is the seed's account."""
    client = aws.client_as("sts", "AKIAIOSFODNN7EXAMPLE")
    assert client.get_caller_identity()["Account"] == "123456789012"


def test_role_belongs_to_its_own_account(aws: AwsAccount) -> None:
    """Credentials of a role see the role's account, and nothing of the caller's."""
    other = str(int(aws.id) + 500_000)
    aws.put_secret("db", "mine")
    given = _assume(aws, other)
    identity = _client(aws, given, "sts").get_caller_identity()
    assert identity["Account"] == other
    assert identity["Arn"] == f"arn:aws:sts::{other}:assumed-role/reader/test"
    secrets = _client(aws, given, "secretsmanager")
    assert refusal(secrets.get_secret_value, SecretId="db").code == "ResourceNotFoundException"
    secrets.create_secret(Name="db", SecretString="theirs")
    assert aws.client("secretsmanager").get_secret_value(SecretId="db")["SecretString"] == "mine"


def test_external_id_is_checked(aws: AwsAccount) -> None:
    """A role that wants an external id is given to those only who know it."""
    arn = f"arn:aws:iam::{aws.id}:role/guarded"
    aws.fake.role(arn, external_id="made-up-id")
    assume = aws.client("sts").assume_role
    for asked in ({}, {"ExternalId": "other"}):
        told = refusal(assume, RoleArn=arn, RoleSessionName="test", **asked)
        assert (told.code, told.status) == ("AccessDenied", 403)
    assert _assume(aws, aws.id, "guarded", ExternalId="made-up-id")


def test_a_role_may_be_denied(aws: AwsAccount) -> None:
    """sts:AssumeRole on one role is refused in STS's own format."""
    aws.fake.deny("sts:AssumeRole", "*:role/shut")
    told = refusal(aws.client("sts").assume_role, RoleArn=f"arn:aws:iam::{aws.id}:role/shut", RoleSessionName="test")
    assert (told.code, told.status) == ("AccessDenied", 403)
    assert _assume(aws, aws.id, "open")


def test_what_is_not_mended_is_motos(aws: AwsAccount) -> None:
    """Other operations of STS are answered by moto."""
    assert aws.client("sts").get_session_token()["Credentials"]["AccessKeyId"]


def test_faults_are_aimed_at_a_role(aws: AwsAccount) -> None:
    """A fault for one identity leaves the others alone."""
    given = _assume(aws, aws.id, "unlucky")
    aws.put_parameter("/a", "x", "String")
    aws.fake.fault("expired-token", identity="unlucky")
    assert refusal(_client(aws, given, "ssm").get_parameter, Name="/a").code == "ExpiredTokenException"
    assert aws.client("ssm").get_parameter(Name="/a")["Parameter"]["Value"] == "x"


def test_session_that_is_over_is_refused_everywhere(aws: AwsAccount) -> None:
    """Credentials of a short session are refused as expired, by STS in its own words."""
    aws.fake.role(f"arn:aws:iam::{aws.id}:role/short", session_seconds=1e-6)
    given = _assume(aws, aws.id, "short")
    assert refusal(_client(aws, given, "ssm").get_parameter, Name="/a").code == "ExpiredTokenException"
    assert refusal(_client(aws, given, "sts").get_caller_identity).code == "ExpiredToken"


def test_session_ends_when_it_was_said_to() -> None:
    """A session works to its last moment, not beyond."""
    tokens = Tokens(roles={"arn:aws:iam::222222222222:role/r": Role("arn:aws:iam::222222222222:role/r", None, 60)})
    asked = Params({"RoleArn": "arn:aws:iam::222222222222:role/r", "RoleSessionName": "test"})
    key = tokens.assume(Caller("111111111111", "k", "arn"), asked, lambda: NOW).access_key_id
    tokens.check(key, "ssm", NOW + timedelta(seconds=59))
    with pytest.raises(AwsError):
        tokens.check(key, "ssm", NOW + timedelta(seconds=60))
    tokens.check("another", "ssm", NOW)


def test_wall_time_has_a_zone() -> None:
    """Credentials end in UTC."""
    assert utc_now().tzinfo is UTC
