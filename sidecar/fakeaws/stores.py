"""Open moto: its stores for the operations that are mended here, its own answers for all others.

The only module that knows how moto is put together. Must not know what is mended, or why.
"""

import json
import sys
from types import ModuleType
from typing import Final

from sidecar.fakeaws.pairs import Pair
from sidecar.fakeaws.wire import Answer, AwsError, Params, Request

# Parameter Store's module imports EC2 for Run Command: 0.8 s of instance types that nobody asks for here.
if "moto.ec2" not in sys.modules:
    _no_ec2 = ModuleType("moto.ec2")
    vars(_no_ec2)["ec2_backends"] = {}
    sys.modules["moto.ec2"] = _no_ec2

from moto.core.exceptions import JsonRESTError, ServiceException
from moto.core.request import Request as MotoRequest
from moto.core.responses import BaseResponse
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from moto.kms import models as kms_models
from moto.kms.models import Key, KmsBackend, kms_backends
from moto.kms.responses import KmsResponse
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.secretsmanager.models import (
    FakeSecret,
    ReplicaSecret,
    SecretsManagerBackend,
    SecretsStore,
    secretsmanager_backends,
)
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.ssm.models import Parameter, SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.sts.models import AssumedRole, STSBackend, sts_backends
from moto.sts.responses import TokenResponse

_RESPONSES: Final[dict[str, type[BaseResponse]]] = {
    "dynamodb": DynamoHandler,
    "kms": KmsResponse,
    "s3": S3Response,
    "secretsmanager": SecretsManagerResponse,
    "ssm": SimpleSystemManagerResponse,
    "sts": TokenResponse,
}
SERVICES: Final = frozenset(_RESPONSES)


class IndexedSecrets(SecretsStore):
    """moto's store of secrets, found by name at once: moto walks through all of them."""

    def __init__(self) -> None:
        """Begin with no secret."""
        super().__init__()
        self._replicas: dict[str, str] = {}  # name -> ARN; an entry may outlive its replica

    def __getitem__(self, key: str) -> FakeSecret | ReplicaSecret:
        """Return the secret of this name, ARN or partial ARN."""
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        """Tell whether there is a secret of this name, ARN or partial ARN."""
        return isinstance(key, str) and self.get(key) is not None

    def get(self, key: str) -> FakeSecret | ReplicaSecret | None:  # type: ignore[override]  # as moto's own does
        """Return the secret of this name, ARN or partial ARN."""
        name = key.partition(":secret:")[2] if key.startswith("arn:") else key
        for candidate in (name, name[:-7]):  # an ARN ends in "-" and six characters
            found = self._of_name(candidate)
            if found is not None and (key in {found.name, found.arn} or key == found.arn[:-7]):
                return found
        return None

    def __setitem__(self, key: str, value: FakeSecret | ReplicaSecret) -> None:
        """Keep a secret; moto keeps replicas under their ARN."""
        super().__setitem__(key, value)
        if isinstance(value, ReplicaSecret):
            self._replicas[value.name] = key

    def _of_name(self, name: str) -> FakeSecret | ReplicaSecret | None:
        key = name if dict.__contains__(self, name) else self._replicas.get(name, name)
        return dict.__getitem__(self, key) if dict.__contains__(self, key) else None


class _IndexedSecretsManager(SecretsManagerBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.secrets = IndexedSecrets()


secretsmanager_backends.backend = _IndexedSecretsManager


# moto makes each key an RSA key of its own at once, 0.1 s of every new account; ours is made when it is first used.
vars(kms_models)["generate_private_key"] = Pair


def pair_of(key: Key) -> Pair:
    """Return an asymmetric key's pair."""
    pair: object = key.private_key
    assert isinstance(pair, Pair)
    return pair


def kms_store(account: str, region: str) -> KmsBackend:
    """Return the keys of one account and region."""
    return kms_backends[account][region]


def secret_store(account: str, region: str) -> SecretsManagerBackend:
    """Return the secrets of one account and region."""
    return secretsmanager_backends[account][region]


def parameter_store(account: str, region: str) -> SimpleSystemManagerBackend:
    """Return the parameters of one account and region."""
    return ssm_backends[account][region]


_PARTITION: Final = "aws"


def object_store(account: str) -> S3Backend:
    """Return the buckets of one account, in whichever region."""
    return s3_backends[account][_PARTITION]


def find_bucket(name: str) -> tuple[str, FakeBucket] | None:
    """Return whose a bucket is, and the bucket: one name is one bucket in all the world."""
    if name not in s3_backends.bucket_accounts:
        return None
    owner = s3_backends.bucket_accounts[name][1]
    return owner, object_store(owner).buckets[name]


def find_object(bucket: FakeBucket, key: str, version: str | None) -> FakeKey | None:
    """Return an object's newest version, or the one that is named; None too where a delete marker is on top."""
    return object_store(bucket.account_id).get_object(bucket.name, key, version)


def default_encryption(bucket: FakeBucket) -> str | None:
    """Return how the bucket encrypts what does not say it itself."""
    if not bucket.encryption:
        return None
    return str(bucket.encryption["Rule"]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])


def set_etag(stored: FakeKey, etag: str) -> None:
    """Let an object have this ETag: moto always takes the content's MD5."""
    vars(stored)["_etag"] = etag


def put_object(bucket: tuple[str, str, str], key: str, content: bytes, encryption: str | None) -> FakeKey:
    """Store an object in the bucket of an account, a region and a name, made where there is none, with versions."""
    account, region, name = bucket
    store = object_store(account)
    if name not in store.buckets:
        store.create_bucket(name, region)
        store.put_bucket_versioning(name, "Enabled")
    return store.put_object(name, key, content, encryption=encryption)


def sts_store(account: str) -> STSBackend:
    """Return the token service of one account."""
    return sts_backends[account]["aws"]


def accounts_with_keys() -> list[str]:
    """Return the accounts that own a KMS key."""
    return list(kms_backends)


def forget_account(account: str) -> None:
    """Drop all that one account holds."""
    if account in s3_backends:
        object_store(account).reset()  # names of buckets are the whole world's: they must be free again
    for backends in (dynamodb_backends, s3_backends, kms_backends, secretsmanager_backends, ssm_backends, sts_backends):
        backends.pop(account, None)


def check_region(region: str) -> None:
    """Raise what a host that does not exist comes closest to."""
    if region not in kms_backends["000000000000"]:
        raise AwsError("UnrecognizedClientException", f"There is no region {region}", 400)


def ask_moto(request: Request, account: str, params: Params) -> Answer:
    """Let moto answer; raises AwsError for what it does not know."""
    response_class = _RESPONSES[request.service]
    body = json.dumps(params.raw).encode() if params is not request.params else request.body
    try:
        status, headers, content = response_class.dispatch(_as_moto_reads(request, account, body))
    except NotImplementedError as error:
        raise AwsError("UnknownOperationException", f"The fake does not know {request.operation}", 404) from error
    raw = content if isinstance(content, bytes) else str(content).encode()
    content_type = str(headers.get("Content-Type", "application/x-amz-json-1.1"))
    # moto answers 404 where AWS's JSON services answer 400.
    shown = 400 if int(status) == 404 and request.service != "sts" else int(status)  # noqa: PLR2004 -- HTTP's own
    return Answer(shown, raw, content_type, _error_code(shown, raw))


def ask_moto_s3(request: Request, account: str) -> Answer:
    """Let moto answer S3's REST; raises AwsError for what it does not know."""
    host = f"s3.{request.region}.amazonaws.com"
    url = f"https://{host}{request.target}"
    headers = {**request.headers, "host": host, "x-moto-account-id": account}
    asked = MotoRequest.from_primitives(request.method, url, headers, request.body)
    dispatch = S3Response.key_dispatch if request.params.text("Key") else S3Response.bucket_dispatch
    try:
        status, told, content = dispatch(asked, url, headers)
    except NotImplementedError as error:
        raise AwsError("NotImplemented", f"The fake does not know {request.operation}", 501) from error
    raw = content if isinstance(content, bytes) else str(content).encode()
    shown = {str(name): str(value) for name, value in told.items() if name.lower() != "x-amzn-requestid"}
    content_type = shown.pop(next((name for name in shown if name.lower() == "content-type"), ""), "application/xml")
    if request.method != "HEAD":
        shown = {name: value for name, value in shown.items() if name.lower() != "content-length"}
    return Answer(int(status), raw, content_type, _error_code(int(status), raw), shown)


def _as_moto_reads(request: Request, account: str, body: bytes) -> MotoRequest:
    kept = ("Authorization", "Content-Type", "X-Amz-Target")
    headers = {name: request.headers[name] for name in kept if name in request.headers}
    url = f"https://{request.service}.{request.region}.amazonaws.com/"
    return MotoRequest.from_primitives("POST", url, {**headers, "x-moto-account-id": account}, body)


def _error_code(status: int, body: bytes) -> str:
    if status < 400:  # noqa: PLR2004 -- HTTP's own border
        return ""
    try:
        return str(json.loads(body).get("__type", "Error")).rpartition("#")[2]
    except ValueError:
        return body.decode(errors="replace").partition("<Code>")[2].partition("</Code>")[0] or "Error"


def as_aws_error(error: ServiceException | JsonRESTError) -> AwsError:
    """Translate what moto's stores raise."""
    if isinstance(error, ServiceException):
        return AwsError(error.code, error.message)
    return AwsError(error.error_type.rpartition("#")[2], error.message or error.error_type)


__all__ = [
    "SERVICES",
    "AssumedRole",
    "FakeBucket",
    "FakeKey",
    "FakeSecret",
    "JsonRESTError",
    "Key",
    "KmsBackend",
    "Parameter",
    "ReplicaSecret",
    "SecretsManagerBackend",
    "ServiceException",
    "SimpleSystemManagerBackend",
    "accounts_with_keys",
    "as_aws_error",
    "ask_moto",
    "ask_moto_s3",
    "check_region",
    "default_encryption",
    "find_bucket",
    "find_object",
    "forget_account",
    "kms_store",
    "object_store",
    "pair_of",
    "parameter_store",
    "put_object",
    "secret_store",
    "set_etag",
    "sts_store",
]
