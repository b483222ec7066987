"""Say by HTTP what went wrong: one table from our errors to status, type and title (RFC 9457).

An answer names the secret, what happened and what to do. It never holds a value, nor anything of the request.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sidecar.api.answers import UNCACHED, Answer, to_json
from sidecar.core import errors
from sidecar.core.errors import SidecarError, Transient

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:sidecar:problem:"
RETRY_AFTER: Final = 5.0
"""Seconds after which to come back, where neither AWS nor our own queue said."""


class BadRequest(SidecarError):
    """The request cannot be understood: its line, headers, parameters or body."""

    label = "bad_request"
    mend = "Look the request up in /openapi.json."


class NoSuchPath(SidecarError):
    """Nothing is served there."""

    label = "no_such_path"
    mend = "Look the path up in /openapi.json."


class MethodNotAllowed(SidecarError):
    """Something is served there, but not for this method."""

    label = "method_not_allowed"
    mend = "Use one of the methods that the Allow header names."

    def __init__(self, allowed: str) -> None:
        """Take the methods as the Allow header has them."""
        super().__init__("the path does not take this method")
        self.allowed = allowed


class BodyTooLarge(SidecarError):
    """The request's body is larger than any that makes sense."""

    label = "body_too_large"
    mend = "Send a smaller body. Data of more than 1 MiB is for `sidecar encrypt` and `sidecar decrypt`."


class HeadersTooLarge(SidecarError):
    """The request's line and headers are larger than any that make sense."""

    label = "headers_too_large"
    mend = "Send fewer or shorter headers; 16 KiB is the most."


class NoSuchName(SidecarError):
    """No secret of this name is declared."""

    label = "no_such_name"
    mend = "Declare it under `secrets` or `trees`, or ask for a reference by /v1/resolve."


class NotKept(SidecarError):
    """There is no version before the current one, or not any longer."""

    label = "not_kept"
    mend = "Ask without previous=1; cache.keep_previous says how long the old version stays after a change."


class WaitEnded(SidecarError):
    """Nothing is held, and the caller's wait ended before AWS had answered."""

    label = "wait_ended"
    mend = "Ask again, or allow more time by the header Prefer: wait=30."


class Crashed(SidecarError):
    """A fault of the daemon's own."""

    label = "crashed"
    mend = "Report it with the log line request_crashed of this moment."


class Several(SidecarError):
    """Some of the secrets that were asked for together cannot be given."""

    label = "several"
    mend = "See `errors`: each names its secret and what to do."

    def __init__(self, failed: Mapping[str, SidecarError]) -> None:
        """Take what went wrong, by name."""
        super().__init__(f"{len(failed)} of the secrets cannot be given")
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Row:
    """How one class of errors is told."""

    status: HTTPStatus
    title: str


_TABLE: Final[Mapping[type[SidecarError], Row]] = {
    BadRequest: Row(HTTPStatus.BAD_REQUEST, "The request cannot be understood"),
    errors.BadRef: Row(HTTPStatus.BAD_REQUEST, "This is no reference"),
    errors.BadKeyId: Row(HTTPStatus.BAD_REQUEST, "This names no KMS key"),
    errors.BadSize: Row(HTTPStatus.BAD_REQUEST, "The length does not fit"),
    errors.BadContext: Row(HTTPStatus.BAD_REQUEST, "The encryption context does not fit"),
    errors.BadName: Row(HTTPStatus.BAD_REQUEST, "This is no name of a secret"),
    errors.CallerDenied: Row(HTTPStatus.FORBIDDEN, "The caller may not"),
    errors.AccessDenied: Row(HTTPStatus.FORBIDDEN, "AWS refuses"),
    errors.KeyDenied: Row(HTTPStatus.FORBIDDEN, "AWS refuses the use of the KMS key"),
    errors.KeyPolicyDenies: Row(HTTPStatus.FORBIDDEN, "The KMS key's policy refuses"),
    errors.GrantMissing: Row(HTTPStatus.FORBIDDEN, "The grant for the KMS key is missing"),
    errors.KeyElsewhere: Row(HTTPStatus.FORBIDDEN, "The KMS key is not in this region"),
    errors.KeyOfOtherAccount: Row(HTTPStatus.FORBIDDEN, "The KMS key is another account's"),
    errors.KeyUnusable: Row(HTTPStatus.FORBIDDEN, "The KMS key cannot be used"),
    errors.KeyDisabled: Row(HTTPStatus.FORBIDDEN, "The KMS key is disabled"),
    errors.KeyPendingDeletion: Row(HTTPStatus.FORBIDDEN, "The KMS key is pending deletion"),
    errors.KeyPendingImport: Row(HTTPStatus.FORBIDDEN, "The KMS key lacks its imported material"),
    errors.KeyWrongUsage: Row(HTTPStatus.FORBIDDEN, "The KMS key is of another kind"),
    errors.KeyNotFound: Row(HTTPStatus.FORBIDDEN, "AWS knows no such KMS key"),
    errors.KeyNotAllowed: Row(HTTPStatus.FORBIDDEN, "The configuration does not allow this KMS key"),
    errors.WrongRegion: Row(HTTPStatus.FORBIDDEN, "The bucket is in another region"),
    errors.BadCustomerKey: Row(HTTPStatus.FORBIDDEN, "The customer's key does not read the object"),
    errors.Archived: Row(HTTPStatus.FORBIDDEN, "The object must be restored first"),
    errors.SecretError: Row(HTTPStatus.FORBIDDEN, "AWS refuses"),
    NoSuchPath: Row(HTTPStatus.NOT_FOUND, "Nothing is served here"),
    NoSuchName: Row(HTTPStatus.NOT_FOUND, "No such secret is declared"),
    NotKept: Row(HTTPStatus.NOT_FOUND, "No previous version is kept"),
    errors.NotFound: Row(HTTPStatus.NOT_FOUND, "AWS knows no such secret"),
    MethodNotAllowed: Row(HTTPStatus.METHOD_NOT_ALLOWED, "The method is not allowed here"),
    BodyTooLarge: Row(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    errors.BadField: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The value has no such field"),
    errors.Overloaded: Row(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests wait for AWS"),
    HeadersTooLarge: Row(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large"),
    errors.TooLarge: Row(HTTPStatus.BAD_GATEWAY, "The object is larger than is allowed"),
    errors.Undecryptable: Row(HTTPStatus.BAD_GATEWAY, "The value cannot be decrypted"),
    errors.BadCiphertext: Row(HTTPStatus.BAD_GATEWAY, "The ciphertext or its context is wrong"),
    errors.WrongKey: Row(HTTPStatus.BAD_GATEWAY, "The ciphertext is of another KMS key"),
    errors.Unintelligible: Row(HTTPStatus.BAD_GATEWAY, "AWS's answer cannot be understood"),
    errors.Throttled: Row(HTTPStatus.SERVICE_UNAVAILABLE, "AWS is throttling"),
    errors.KeyStoreUnavailable: Row(HTTPStatus.SERVICE_UNAVAILABLE, "The KMS key's custom store is away"),
    errors.TimedOut: Row(HTTPStatus.SERVICE_UNAVAILABLE, "AWS did not answer in time"),
    errors.Transient: Row(HTTPStatus.SERVICE_UNAVAILABLE, "AWS cannot be reached"),
    WaitEnded: Row(HTTPStatus.GATEWAY_TIMEOUT, "The wait ended before AWS had answered"),
    SidecarError: Row(HTTPStatus.INTERNAL_SERVER_ERROR, "The daemon has a fault"),
}


def row_of(error: SidecarError) -> Row:
    """Find how an error is told: by its own class, or by the nearest that it descends from."""
    if isinstance(error, Several):
        return Row(min(row_of(each).status for each in error.failed.values()), "Some secrets cannot be given")
    return next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)


def problem(error: SidecarError, *, name: str | None = None) -> Mapping[str, object]:
    """Describe an error by RFC 9457's members and `mend`; `name` is the secret's, where there is one."""
    row = row_of(error)
    members: dict[str, object] = {
        "type": TYPE_PREFIX + error.label.replace("_", "-"),
        "title": row.title,
        "status": int(row.status),
        "detail": str(error),
        "mend": error.mend,
    }
    if name is not None:
        members["name"] = name
    if isinstance(error, Several):
        members["errors"] = [problem(each, name=each_name) for each_name, each in error.failed.items()]
    return members


def problem_answer(error: SidecarError, *, name: str | None = None) -> Answer:
    """Make the answer that tells of an error."""
    headers = dict(UNCACHED)
    if (seconds := _retry_after(error)) is not None:
        headers["Retry-After"] = str(seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allowed
    body = to_json(problem(error, name=name)).encode()
    return Answer(int(row_of(error).status), body, CONTENT_TYPE, headers)


def _retry_after(error: SidecarError) -> int | None:
    """Give whole seconds for what may be better later; RFC 9110 knows no fractions."""
    if isinstance(error, Several):
        waits = [_retry_after(each) for each in error.failed.values()]
        return max((wait for wait in waits if wait is not None), default=None) if None not in waits else None
    if not isinstance(error, Transient):
        return None
    return max(1, math.ceil(RETRY_AFTER if error.retry_after is None else error.retry_after))
