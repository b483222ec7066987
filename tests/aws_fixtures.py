"""An AWS account of one's own for each test, in a fake that all tests of a worker share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sidecar.fakeaws.control import FakeAws

REGION = "eu-west-1"
_ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=30)
SdkClient = Any  # botocore makes its classes as it reads its models
_SESSION = botocore.session.Session()


@dataclass(frozen=True)
class AwsAccount:
    """A fresh account of the fake AWS: nothing in it, no limits, no faults.

    `client` gives unmodified SDK clients that try once, `fake` steers this account alone,
    `env` is what a process needs to find it.
    """

    fake: FakeAws
    region: str = REGION
    _clients: dict[tuple[str, str], SdkClient] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """The account's number, which is its access key too."""
        return self.fake.account

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return self.fake.url

    @property
    def env(self) -> dict[str, str]:
        """The environment that points any SDK or the CLI at this account."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.id,
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, service: str, region: str | None = None) -> SdkClient:
        """Return the SDK's client of a service."""
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = self.client_as(service, self.id, region=region)
        return self._clients[key]

    def client_as(  # noqa: PLR0913 -- as many as credentials have parts
        self,
        service: str,
        access_key: str,
        secret_key: str = "made-up",
        token: str | None = None,
        *,
        region: str | None = None,
        config: Config | None = None,
    ) -> SdkClient:
        """Return a client with other credentials, as AssumeRole gives them."""
        return _SESSION.create_client(
            service,
            region_name=region or self.region,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            verify=self.fake.ca,
            config=_ONE_TRY.merge(config) if config else _ONE_TRY,
        )

    def put_parameter(self, name: str, value: str, kind: str = "SecureString", **more: object) -> int:
        """Store a new version of a parameter; returns its number."""
        put = self.client("ssm").put_parameter
        return int(put(Name=name, Value=value, Type=kind, Overwrite=True, **more)["Version"])

    def put_secret(self, name: str, value: str | bytes, **more: object) -> str:
        """Store a new current version of a secret, made where there is none; returns the version's id."""
        secrets = self.client("secretsmanager")
        given = {"SecretBinary" if isinstance(value, bytes) else "SecretString": value}
        try:
            return str(secrets.put_secret_value(SecretId=name, **given)["VersionId"])
        except secrets.exceptions.ResourceNotFoundException:
            return str(secrets.create_secret(Name=name, **given, **more)["VersionId"])

    @property
    def bucket(self) -> str:
        """The name of the account's bucket."""
        return f"app-{self.id}"

    def put_object(self, key: str, value: bytes, **more: object) -> str:
        """Store an object in the account's bucket, made where there is none; returns its version's id, or its ETag."""
        s3 = self.client("s3")
        try:
            stored = s3.put_object(Bucket=self.bucket, Key=key, Body=value, **more)
        except s3.exceptions.NoSuchBucket:
            s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": self.region})
            stored = s3.put_object(Bucket=self.bucket, Key=key, Body=value, **more)
        return str(stored.get("VersionId") or stored["ETag"].strip('"'))

    def keep_versions(self) -> None:
        """Let the account's bucket keep every version of its objects."""
        self.client("s3").put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def create_key(self, alias: str | None = None) -> str:
        """Make a KMS key; returns its ARN."""
        kms = self.client("kms")
        arn = str(kms.create_key()["KeyMetadata"]["Arn"])
        if alias is not None:
            kms.create_alias(AliasName=alias, TargetKeyId=arn)
        return arn


@dataclass(frozen=True)
class Refusal:
    """What AWS answered instead of doing it."""

    code: str
    message: str
    status: int


def refusal(call: Callable[..., object], **asked: object) -> Refusal:
    """Make an SDK call that AWS must refuse; returns its error."""
    with pytest.raises(ClientError) as caught:
        call(**asked)
    answer = caught.value.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return Refusal(answer["Error"]["Code"], answer["Error"]["Message"], status)
