"""Be S3 where moto is not: keys of KMS and of customers that matter, regions, owners, refusals without a body.

moto keeps the objects and answers; what stands before it decides whether it is asked.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

from sidecar.fakeaws import kms, stores
from sidecar.fakeaws.kms import KeyTrouble, Trouble
from sidecar.fakeaws.visit import Visit
from sidecar.fakeaws.weather import not_authorized
from sidecar.fakeaws.wire import Answer, AwsError, Request

ARN: Final = "arn:aws:s3:::"
_DEFAULT_KEY: Final = "alias/aws/s3"
_SSE: Final = "x-amz-server-side-encryption"
_CUSTOMER: Final = f"{_SSE}-customer-"
_UNDER_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
_AES_256: Final = 32  # bytes

_customer_keys: WeakKeyDictionary[stores.FakeKey, str] = WeakKeyDictionary()
"""Objects under customers' keys: the MD5 of each one's key, which is all that S3 keeps."""


def perform(visit: Visit, request: Request) -> Answer:
    """Answer one request."""
    operation = _OPERATIONS.get(request.operation, _anything)
    try:
        return operation(visit, request)
    except KeyTrouble as trouble:
        raise _in_s3_words(trouble) from None


def names_asked(request: Request) -> tuple[str, ...]:
    """Return the bucket, or the object as bucket/key, that a request speaks of."""
    name = "/".join(filter(None, (request.params.text("Bucket"), request.params.text("Key"))))
    return (name,) if name else ()


def _demand(visit: Visit, action: str, name: str) -> None:
    """Raise S3's refusal when the caller may not do this."""
    if visit.weather.denies(visit.caller, action, f"{ARN}{name}", name):
        raise not_authorized(visit.caller, action, f"{ARN}{name}")


def _bucket(visit: Visit, name: str) -> stores.FakeBucket:
    """Return a bucket of this name, or raise that it is not there, not here, or not for the caller."""
    found = stores.find_bucket(name)
    if found is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    owner, bucket = found
    if bucket.region_name != visit.region:
        message = "The bucket you are attempting to access must be addressed using the specified endpoint."
        raise AwsError("PermanentRedirect", message, 301, {"x-amz-bucket-region": bucket.region_name})
    if owner != visit.account and bucket.policy is None:  # which is not evaluated
        raise AwsError("AccessDenied", "Access Denied", 403)
    return bucket


def _anything(visit: Visit, request: Request) -> Answer:
    _demand(visit, f"s3:{request.operation}", "/".join(names_asked(request)) or "*")
    return stores.ask_moto_s3(request, visit.account)


def _read(visit: Visit, request: Request) -> Answer:
    """Answer GetObject and HeadObject, which take the same right."""
    action = "s3:GetObjectVersion" if request.params.text("VersionId") else "s3:GetObject"
    _demand(visit, action, "/".join(names_asked(request)))
    bucket, key = _bucket(visit, request.params.needed("Bucket")), request.params.needed("Key")
    found = stores.find_object(bucket, key, request.params.text("VersionId"))
    if found is None:
        _demand_list(visit, bucket.name)
        return stores.ask_moto_s3(request, visit.account)  # it knows all ways to be absent
    told = _check_customer_key(found, request.headers)
    if found.encryption in _UNDER_KMS and request.method == "GET":
        kms.use_key(visit, _key(visit, found.kms_key_id), "kms:Decrypt")
    plain = {_SSE: "AES256"} if found.encryption is None and not told else {}
    return _with(stores.ask_moto_s3(request, visit.account), {**plain, **told})


def _demand_list(visit: Visit, bucket: str) -> None:
    """Hide from those who may not list the bucket that something is not there."""
    if visit.weather.denies(visit.caller, "s3:ListBucket", f"{ARN}{bucket}", bucket):
        raise not_authorized(visit.caller, "s3:ListBucket", f"{ARN}{bucket}")


def _put(visit: Visit, request: Request) -> Answer:
    """Answer PutObject."""
    _demand(visit, "s3:PutObject", "/".join(names_asked(request)))
    bucket = _bucket(visit, request.params.needed("Bucket"))
    customer = _customer_key(request.headers)
    method = request.headers.get(_SSE) or stores.default_encryption(bucket)
    key = _key(visit, request.headers.get(f"{_SSE}-aws-kms-key-id")) if method in _UNDER_KMS else None
    if key is not None:
        kms.use_key(visit, key, "kms:GenerateDataKey")
    answer = stores.ask_moto_s3(request, visit.account)
    stored = stores.find_object(bucket, request.params.needed("Key"), None)
    if answer.error or stored is None:
        return answer
    return _with(answer, _mark(stored, key, customer))


def _mark(stored: stores.FakeKey, key: stores.Key | None, customer: str | None) -> dict[str, str]:
    """Note what an object is encrypted with; returns what an answer tells of it."""
    if key is None and customer is None:
        return {}
    stores.set_etag(stored, secrets.token_hex(16))  # of what is encrypted, an ETag is no MD5
    if key is not None:
        stored.kms_key_id = key.arn
        return {"ETag": stored.etag, f"{_SSE}-aws-kms-key-id": key.arn}
    assert customer is not None
    _customer_keys[stored] = customer
    return {"ETag": stored.etag, **_told_of_customer(customer)}


def _told_of_customer(md5: str) -> dict[str, str]:
    return {f"{_CUSTOMER}algorithm": "AES256", f"{_CUSTOMER}key-md5": md5}


def _key(visit: Visit, key_id: str | None) -> stores.Key:
    return kms.needed_key(visit, key_id or _DEFAULT_KEY)


def _check_customer_key(found: stores.FakeKey, headers: Mapping[str, str]) -> dict[str, str]:
    """Raise unless the request carries the key that the object was stored under, and none where there is none."""
    wanted, given = _customer_keys.get(found), _customer_key(headers)
    if wanted is None and given is not None:
        raise AwsError("InvalidRequest", "The encryption parameters are not applicable to this object.")
    if wanted is not None and given is None:
        message = "The object was stored using a form of Server Side Encryption. "
        raise AwsError("InvalidRequest", f"{message}The correct parameters must be provided to retrieve the object.")
    if wanted != given:
        raise AwsError("AccessDenied", "Access Denied", 403)
    return {} if wanted is None else _told_of_customer(wanted)


def _customer_key(headers: Mapping[str, str]) -> str | None:
    """Return the MD5 of the customer's key that a request carries, None without one; raises where it is none."""
    if f"{_CUSTOMER}algorithm" not in headers:
        return None
    try:
        key = base64.b64decode(headers.get(f"{_CUSTOMER}key", ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _AES_256:
        raise AwsError("InvalidArgument", "The secret key was invalid for the specified algorithm.")
    md5 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    if md5 != headers.get(f"{_CUSTOMER}key-md5"):
        message = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise AwsError("InvalidArgument", message)
    return md5


def _in_s3_words(trouble: KeyTrouble) -> AwsError:
    match trouble.trouble:
        case Trouble.DENIED:
            return AwsError("AccessDenied", trouble.error.message, 403)
        case Trouble.THROTTLED:
            message = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
            return AwsError("ThrottlingException", message)
        case _:
            return AwsError(f"KMS.{trouble.error.code}", trouble.error.message)


def _with(answer: Answer, headers: Mapping[str, str]) -> Answer:
    return replace(answer, headers={**answer.headers, **headers}) if not answer.error else answer


_OPERATIONS: Final[Mapping[str, Callable[[Visit, Request], Answer]]] = {
    "GetObject": _read,
    "HeadObject": _read,
    "PutObject": _put,
}


@dataclass(frozen=True, slots=True)
class Planted:
    """How an object is to be kept that the seed file names."""

    key: stores.Key | None = None  # of KMS
    customer_key: bytes | None = None


def plant(place_bucket: tuple[str, str, str], key: str, content: bytes, how: Planted) -> None:
    """Store an object for the seed file: account, region and bucket, made where there is none."""
    stored = stores.put_object(place_bucket, key, content, "aws:kms" if how.key else None)
    md5 = how.customer_key and hashlib.md5(how.customer_key, usedforsecurity=False).digest()
    _mark(stored, how.key, base64.b64encode(md5).decode() if md5 else None)
