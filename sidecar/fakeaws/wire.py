"""Read what a request on AWS's wire asks for, and spell answers and errors as AWS does.

Pure: bytes and headers in, values out. Knows no store, no fault and no quota.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, cast
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"

Json = Mapping[str, object]
"""A JSON object as it comes or goes."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_XML_SERVICES = frozenset({"sts"})
_REST = "s3"


class AwsError(Exception):
    """An error as AWS would answer it."""

    def __init__(self, code: str, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        """Take AWS's name of the error, its wording, the HTTP status, and what its headers tell."""
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}


class Params:
    """The parameters of one request, read with AWS's own complaint when they do not fit."""

    def __init__(self, raw: Json) -> None:
        """Take the request's JSON object."""
        self.raw = raw

    def text(self, name: str) -> str | None:
        """Return a string, None when it is absent or empty."""
        value = self.raw.get(name)
        return str(value) if value else None

    def needed(self, name: str) -> str:
        """Return a string that must be there."""
        value = self.text(name)
        if value is None:
            raise _invalid(f"Value null at '{_camel(name)}' failed to satisfy constraint: Member must not be null")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, empty when it is absent."""
        value = self.raw.get(name)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def flag(self, name: str) -> bool:
        """Return a boolean, False when it is absent."""
        return self.raw.get(name) is True

    def number(self, name: str, default: int, *, most: int) -> int:
        """Return an integer between 1 and `most`."""
        value = self.raw.get(name, default)
        if isinstance(value, int) and 1 <= value <= most:
            return value
        raise _invalid(
            f"Value '{value}' at '{_camel(name)}' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )

    def records(self, name: str) -> tuple[Json, ...]:
        """Return a list of objects, empty when it is absent."""
        value = self.raw.get(name)
        return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()

    def blob(self, name: str) -> bytes:
        """Return bytes that came as base64."""
        try:
            return base64.b64decode(self.needed(name), validate=True)
        except binascii.Error as error:
            raise _invalid(f"Value at '{_camel(name)}' is not base64") from error

    def context(self, name: str = "EncryptionContext") -> dict[str, str]:
        """Return an encryption context, empty when it is absent."""
        value = self.raw.get(name)
        return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}

    def changed(self, **values: object) -> Self:
        """Return the same parameters, some of them replaced."""
        return type(self)({**self.raw, **values})


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _invalid(what: str) -> AwsError:
    return AwsError("ValidationException", f"1 validation error detected: {what}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what is asked, by which access key, in which region."""

    service: str
    operation: str
    region: str
    access_key: str
    params: Params = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)  # of a REST service in lower case
    method: str = "POST"
    target: str = "/"  # path and query, as they came


def parse_request(headers: Mapping[str, str], body: bytes, method: str = "POST", target: str = "/") -> Request:
    """Read a signed request; raises AwsError when it is none that AWS would understand."""
    found = _CREDENTIAL.search(headers.get("Authorization", ""))
    if found is None:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    access_key, region, service = found.groups()
    if service == _REST:
        told = {name.lower(): value for name, value in headers.items()}
        operation, asked = _parse_rest(method, target, told)
        return Request(service, operation, region, access_key, Params(asked), body, told, method, target)
    params = _parse_query(body) if service in _XML_SERVICES else _parse_json(body)
    operation = str(params.get("Action", "")) or headers.get("X-Amz-Target", "").rpartition(".")[2]
    if not operation:
        raise AwsError("UnknownOperationException", "The request names no operation", 404)
    return Request(service, operation, region, access_key, Params(params), body, headers)


def _parse_json(body: bytes) -> Json:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", "The request is not JSON") from error
    if not isinstance(parsed, dict):
        raise AwsError("SerializationException", "The request is no JSON object")
    return cast("Json", parsed)


def _parse_query(body: bytes) -> Json:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


_PLAIN_QUERY = frozenset(
    {"delimiter", "encoding-type", "list-type", "max-keys", "partNumber", "prefix", "versionId", "x-id"}
)
_VERBS = {
    (False, "GET"): "ListObjects",
    (False, "PUT"): "CreateBucket",
    (True, "PUT"): "PutObject",
    (True, "POST"): "PostObject",
}


def _parse_rest(method: str, target: str, headers: Mapping[str, str]) -> tuple[str, Json]:
    """Tell what a request to S3 asks for by its method, path and query; buckets stand in the path."""
    path, _, query = target.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    params = {"Bucket": bucket, "Key": key, "VersionId": asked.get("versionId")}
    if not bucket:
        return "ListBuckets", params
    noun = "Object" if key else "Bucket"
    part = next((name for name in asked if name not in _PLAIN_QUERY), None)
    if part is not None:
        return f"{method.capitalize()}{noun}{part[:1].upper()}{part[1:]}", params
    if "x-amz-copy-source" in headers:
        return "CopyObject", params
    return _VERBS.get((bool(key), method), f"{method.capitalize()}{noun}"), params


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: status, body, content type, and AWS's name of the error if it is one."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/x-amz-json-1.1"
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(content: Json) -> Answer:
    """Write a successful answer of a JSON service."""
    return Answer(200, json.dumps(content, separators=(",", ":"), default=_plain).encode())


def _plain(value: object) -> object:
    """Keep moto's own lists and mappings writable."""
    return list(value) if isinstance(value, Sequence) else str(value)


def error_answer(service: str, error: AwsError, request_id: str) -> Answer:
    """Write an error in the service's own format."""
    if service == _REST:
        return Answer(error.status, _rest_error(error, request_id), "application/xml", error.code, error.headers)
    if service in _XML_SERVICES:
        return Answer(error.status, _xml_error(error, request_id), "text/xml", error.code)
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return Answer(error.status, body, error=error.code)


def _xml_error(error: AwsError, request_id: str) -> bytes:
    side = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004 -- HTTP's own border
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<Error><Type>{side}</Type><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _rest_error(error: AwsError, request_id: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{request_id}</RequestId><HostId>fake</HostId></Error>"
    ).encode()


def xml_answer(operation: str, result: str, request_id: str) -> Answer:
    """Write a successful answer of the token service."""
    body = (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Answer(200, body.encode(), "text/xml")
