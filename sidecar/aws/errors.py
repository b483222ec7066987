"""Turn what AWS and its SDK throw into our own tree of errors, by tables, in one place.

A message names the value and AWS's code; it must never quote AWS's free text, which may quote anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from aiohttp import ClientPayloadError
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from sidecar.core.errors import (
    AccessDenied,
    Archived,
    BadCiphertext,
    BadCustomerKey,
    Failure,
    GrantMissing,
    KeyDenied,
    KeyDisabled,
    KeyElsewhere,
    KeyNotFound,
    KeyOfOtherAccount,
    KeyPendingDeletion,
    KeyPendingImport,
    KeyPolicyDenies,
    KeyStoreUnavailable,
    KeyUnusable,
    KeyWrongUsage,
    NotFound,
    SecretError,
    Throttled,
    TimedOut,
    Transient,
    Unintelligible,
    Unreachable,
    WrongKey,
    WrongRegion,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which request failed: what an error message is made of."""

    about: str  # the ref, or what stands for several
    service: str
    operation: str
    region: str
    identity: str

    def tell(self, what: str, code: str) -> str:
        """Make the one line that says whose request ended how."""
        return f"{self.about}: {what} ({code} from {self.service} {self.operation} in {self.region} as {self.identity})"


class Meaning(Enum):
    """What an answer of AWS's means to us, whatever its code."""

    ABSENT = auto()
    DELETING = auto()
    DENIED = auto()
    HIDDEN = auto()
    UNEXPLAINED = auto()
    ELSEWHERE = auto()
    ARCHIVED = auto()
    CUSTOMER_KEY_WANTED = auto()
    CUSTOMER_KEY_UNWANTED = auto()
    KEY_DENIED = auto()
    KEY_POLICY = auto()
    KEY_GRANT = auto()
    KEY_ELSEWHERE = auto()
    KEY_FOREIGN = auto()
    KEY_UNUSABLE = auto()
    KEY_DISABLED = auto()
    KEY_DELETING = auto()
    KEY_IMPORTING = auto()
    KEY_USAGE = auto()
    KEY_STORE = auto()
    KEY_ABSENT = auto()
    KEY_OTHER = auto()
    CIPHERTEXT = auto()
    SIGNATURE = auto()
    INVALID = auto()
    THROTTLED = auto()
    CREDENTIALS = auto()
    CLOCK = auto()
    REGION = auto()
    OUTRUN = auto()
    DOWN = auto()
    FOREIGN = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The error that it becomes, what the message says, and the mend where the class does not know better."""

    kind: type[SecretError | Transient]
    what: str
    mend: str | None = None


class Outrun(Transient):
    """A conditional write met another version than its writer had read."""


class Unexplained(AccessDenied):
    """A HEAD was refused, or called invalid: S3 says why only to a GET."""


class BadSignature(SecretError):
    """KMS finds that a signature is not of this message and key: an answer, where one asks for verification."""

    label = "bad_signature"


VERDICTS: Final[Mapping[Meaning, Verdict]] = {
    Meaning.ABSENT: Verdict(NotFound, "AWS knows no such value"),
    Meaning.DELETING: Verdict(NotFound, "it is being deleted", "Restore it, or take the reference out."),
    Meaning.DENIED: Verdict(AccessDenied, "AWS refuses"),
    # To those who may not list a bucket, S3 does not tell what is not there from what is refused.
    Meaning.HIDDEN: Verdict(
        AccessDenied,
        "AWS refuses, or there is no such object and the identity may not list the bucket",
        "Grant the identity s3:GetObject on the object (s3:GetObjectVersion for a version_id); with s3:ListBucket on "
        "the bucket AWS says whether the object is there.",
    ),
    Meaning.UNEXPLAINED: Verdict(Unexplained, "AWS refuses"),
    Meaning.ELSEWHERE: Verdict(WrongRegion, "its bucket is in another region"),
    Meaning.ARCHIVED: Verdict(Archived, "it is archived"),
    Meaning.CUSTOMER_KEY_WANTED: Verdict(BadCustomerKey, "it was stored under a customer's key (SSE-C)"),
    Meaning.CUSTOMER_KEY_UNWANTED: Verdict(
        BadCustomerKey,
        "it was not stored under a customer's key (SSE-C)",
        "Leave ?sse_c= out, or upload the object again with the key.",
    ),
    Meaning.KEY_DENIED: Verdict(KeyDenied, "AWS refuses the use of its KMS key"),
    Meaning.KEY_POLICY: Verdict(KeyPolicyDenies, "the policy of its KMS key does not let the identity in"),
    Meaning.KEY_GRANT: Verdict(GrantMissing, "the grant for its KMS key is missing"),
    Meaning.KEY_ELSEWHERE: Verdict(KeyElsewhere, "its KMS key is not in this region, or not to be seen"),
    Meaning.KEY_FOREIGN: Verdict(KeyOfOtherAccount, "its KMS key is another account's, which does not let us use it"),
    Meaning.KEY_UNUSABLE: Verdict(KeyUnusable, "its KMS key is disabled, pending deletion or gone"),
    Meaning.KEY_DISABLED: Verdict(KeyDisabled, "its KMS key is disabled"),
    Meaning.KEY_DELETING: Verdict(KeyPendingDeletion, "its KMS key is pending deletion"),
    Meaning.KEY_IMPORTING: Verdict(KeyPendingImport, "its KMS key lacks its imported material"),
    Meaning.KEY_USAGE: Verdict(KeyWrongUsage, "its KMS key is not for this use"),
    Meaning.KEY_STORE: Verdict(KeyStoreUnavailable, "the custom store of its KMS key is not available"),
    Meaning.KEY_ABSENT: Verdict(KeyNotFound, "AWS knows no such KMS key"),
    Meaning.KEY_OTHER: Verdict(WrongKey, "the ciphertext is of another KMS key"),
    Meaning.CIPHERTEXT: Verdict(BadCiphertext, "the ciphertext is damaged, or its encryption context is another"),
    Meaning.SIGNATURE: Verdict(BadSignature, "the signature is not of this message and key"),
    Meaning.INVALID: Verdict(
        SecretError, "AWS calls the request invalid", "Correct the reference, or what is asked of KMS."
    ),
    Meaning.THROTTLED: Verdict(Throttled, "AWS gets too many requests"),
    Meaning.CREDENTIALS: Verdict(
        Unreachable,
        "the credentials are invalid or expired",
        # A region that the account has not enabled answers the same (UnrecognizedClientException).
        "Renew them, the next try reads them anew; if they are good, check that the account uses this region.",
    ),
    Meaning.CLOCK: Verdict(Unreachable, "AWS finds the time of the request wrong", "Set this machine's clock."),
    Meaning.REGION: Verdict(
        Unreachable, "the account does not use this region", "Correct `region`, or enable the region in the account."
    ),
    Meaning.OUTRUN: Verdict(Outrun, "somebody else wrote meanwhile"),
    Meaning.DOWN: Verdict(Unreachable, "AWS could not answer"),
    Meaning.FOREIGN: Verdict(Unintelligible, "the answer is not one of AWS's"),
    Meaning.UNKNOWN: Verdict(Transient, "AWS answered with an error that this version does not know"),
}

_SPELLINGS: Final[Mapping[Meaning, tuple[str, ...]]] = {
    Meaning.DENIED: (
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "NotAuthorizedException",
        "OptInRequired",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    ),
    Meaning.INVALID: ("ValidationError", "ValidationException"),
    Meaning.THROTTLED: (
        "LimitExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ),
    Meaning.CREDENTIALS: (
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IDPRejectedClaim",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ),
    Meaning.CLOCK: ("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"),
    Meaning.REGION: ("RegionDisabledException",),
    Meaning.DOWN: (
        "IDPCommunicationError",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    ),
}

CODES: Final[Mapping[str, Meaning]] = {code: meaning for meaning, codes in _SPELLINGS.items() for code in codes}
"""What a code means whichever service answers it."""

SERVICE_CODES: Final[Mapping[tuple[str, str], Meaning]] = {
    ("ssm", "InvalidKeyId"): Meaning.KEY_UNUSABLE,
    ("ssm", "ParameterNotFound"): Meaning.ABSENT,
    ("ssm", "ParameterVersionNotFound"): Meaning.ABSENT,
    ("secretsmanager", "DecryptionFailure"): Meaning.KEY_UNUSABLE,
    ("secretsmanager", "InvalidParameterException"): Meaning.INVALID,
    ("secretsmanager", "ResourceNotFoundException"): Meaning.ABSENT,
    ("dynamodb", "ConditionalCheckFailedException"): Meaning.OUTRUN,
    ("dynamodb", "ResourceNotFoundException"): Meaning.ABSENT,
    ("s3", "AllAccessDisabled"): Meaning.DENIED,
    ("s3", "AuthorizationHeaderMalformed"): Meaning.ELSEWHERE,
    ("s3", "BadDigest"): Meaning.DOWN,
    ("s3", "IllegalLocationConstraintException"): Meaning.ELSEWHERE,
    ("s3", "IncompleteBody"): Meaning.DOWN,
    ("s3", "InvalidArgument"): Meaning.INVALID,
    ("s3", "InvalidBucketName"): Meaning.INVALID,
    ("s3", "InvalidObjectState"): Meaning.ARCHIVED,
    ("s3", "InvalidRequest"): Meaning.INVALID,
    ("s3", "KeyTooLongError"): Meaning.INVALID,
    ("s3", "MethodNotAllowed"): Meaning.ABSENT,  # the version that is named is a delete marker
    ("s3", "NoSuchBucket"): Meaning.ABSENT,
    ("s3", "NoSuchKey"): Meaning.ABSENT,
    ("s3", "NoSuchVersion"): Meaning.ABSENT,
    ("s3", "OperationAborted"): Meaning.DOWN,
    ("s3", "PermanentRedirect"): Meaning.ELSEWHERE,
    ("s3", "ServiceUnavailable"): Meaning.THROTTLED,  # "reduce your request rate"
    ("s3", "TemporaryRedirect"): Meaning.DOWN,
    ("kms", "DependencyTimeoutException"): Meaning.DOWN,
    ("kms", "DisabledException"): Meaning.KEY_DISABLED,
    ("kms", "IncorrectKeyException"): Meaning.KEY_OTHER,
    ("kms", "InvalidArnException"): Meaning.INVALID,
    ("kms", "InvalidCiphertextException"): Meaning.CIPHERTEXT,
    ("kms", "InvalidGrantTokenException"): Meaning.KEY_GRANT,
    ("kms", "InvalidKeyUsageException"): Meaning.KEY_USAGE,
    ("kms", "KMSInternalException"): Meaning.DOWN,
    ("kms", "KMSInvalidSignatureException"): Meaning.SIGNATURE,
    ("kms", "KMSInvalidStateException"): Meaning.KEY_UNUSABLE,
    ("kms", "KeyUnavailableException"): Meaning.DOWN,
    ("kms", "NotFoundException"): Meaning.KEY_ABSENT,
    ("kms", "UnsupportedOperationException"): Meaning.KEY_USAGE,
}
"""What a code means from one service only."""

BODILESS: Final[Mapping[str, Meaning]] = {
    "301": Meaning.ELSEWHERE,
    "307": Meaning.DOWN,
    "400": Meaning.UNEXPLAINED,
    "403": Meaning.UNEXPLAINED,
    "404": Meaning.ABSENT,
    "405": Meaning.ABSENT,
    "503": Meaning.THROTTLED,
}
"""What a status means that S3 answers to a HEAD, without a code. A proxy may answer as much, but signs as nobody."""

_OF_KMS: Final = "KMS."
"""What S3 puts before a code that it has from KMS."""

_NO_CREDENTIALS: Final = Verdict(
    Unreachable,
    "there are no credentials",
    "Give the process a role, AWS_ACCESS_KEY_ID and its companions, or a profile; the next try looks again.",
)
_SIGN_IN: Final = Verdict(
    Unreachable, "the sign-in behind the credentials has ended", "Sign in again: aws sso login, or aws login."
)

EXCEPTIONS: Final[tuple[tuple[type[Exception], Verdict], ...]] = (
    (sdk.ConnectTimeoutError, Verdict(TimedOut, "no connection in time", "Check the network, DNS and the region.")),
    (sdk.ReadTimeoutError, Verdict(TimedOut, "no answer in time")),
    (sdk.ProxyConnectionError, Verdict(Unreachable, "the proxy does not answer", "Check HTTPS_PROXY and NO_PROXY.")),
    (
        sdk.SSLError,
        Verdict(Unreachable, "TLS failed", "Check the CA bundle (AWS_CA_BUNDLE), the proxy and this machine's clock."),
    ),
    (
        sdk.EndpointConnectionError,
        Verdict(Unreachable, "it cannot be reached", "Check the network, DNS, and the spelling of the region."),
    ),
    (sdk.HTTPClientError, Verdict(Unreachable, "the connection broke")),
    (sdk.IncompleteReadError, Verdict(Unreachable, "the connection broke")),
    (ClientPayloadError, Verdict(Unreachable, "the connection broke")),  # aiohttp's, within an object
    (sdk.FlexibleChecksumError, Verdict(Unreachable, "the object came damaged")),
    (sdk.NoCredentialsError, _NO_CREDENTIALS),
    (sdk.PartialCredentialsError, _NO_CREDENTIALS),
    (sdk.CredentialRetrievalError, _NO_CREDENTIALS),
    (sdk.MetadataRetrievalError, _NO_CREDENTIALS),
    (sdk.InvalidConfigError, _NO_CREDENTIALS),
    (sdk.UnknownCredentialError, _NO_CREDENTIALS),
    (
        sdk.ProfileNotFound,
        Verdict(Unreachable, "the profile is not there", "Correct `profile` (AWS_PROFILE), or add it to the file."),
    ),
    (sdk.ConfigParseError, Verdict(Unreachable, "the SDK's configuration cannot be read", "Correct ~/.aws/config.")),
    (sdk.ConfigNotFound, Verdict(Unreachable, "the SDK's configuration is not there", "Correct AWS_CONFIG_FILE.")),
    (sdk.SSOError, _SIGN_IN),
    (sdk.LoginError, _SIGN_IN),
    (sdk.TokenRetrievalError, _SIGN_IN),
    (sdk.RefreshWithMFAUnsupportedError, _SIGN_IN),
    (sdk.NoRegionError, Verdict(Unreachable, "no region is set", "Set `identities.….region` or AWS_REGION.")),
    (sdk.InvalidRegionError, Verdict(Unreachable, "there is no such region", "Correct the region.")),
    (
        sdk.EndpointVariantError,
        Verdict(Unreachable, "the region has no such endpoint", "Check use_fips and use_dualstack."),
    ),
    (
        sdk.EndpointProviderError,
        Verdict(Unreachable, "there is no such endpoint", "Check region, endpoint_url, use_fips and use_dualstack."),
    ),
    (sdk.ParamValidationError, VERDICTS[Meaning.INVALID]),
    (sdk.BotoCoreError, Verdict(Transient, "the SDK failed in a way that this version does not know")),
    (ResponseParserError, VERDICTS[Meaning.FOREIGN]),
    (
        OSError,
        Verdict(Unreachable, "a file that the credentials need cannot be read", "Check AWS_WEB_IDENTITY_TOKEN_FILE."),
    ),
    (
        RuntimeError,  # aiobotocore's, when what it renewed has expired already
        Verdict(Unreachable, "the renewed credentials have expired already", "Set this machine's clock."),
    ),
    (Exception, VERDICTS[Meaning.FOREIGN]),  # an answer of another shape than the model's stumbles anywhere in the SDK
)
"""What the SDK throws; the first class that fits counts."""


class RoleRefused(AccessDenied):
    """The identity may not become its role: it can ask for nothing, so no value is to blame."""

    mend = "Let the role's trust policy admit this identity, grant it sts:AssumeRole, compare role_arn and external_id."


def translate(error: Exception, asked: Asked) -> Failure:
    """Give the error of ours that this one of the SDK's is; the caller raises it `from` the other."""
    if isinstance(error, sdk.ClientError):
        if error.operation_name in _ROLE_OPERATIONS and error.operation_name != asked.operation:
            return _without_role(_Refusal.of(error), replace(asked, service="sts", operation=error.operation_name))
        return _answered(_Refusal.of(error), asked)
    verdict = next(verdict for kind, verdict in EXCEPTIONS if isinstance(error, kind))
    return verdict.kind(asked.tell(verdict.what, type(error).__name__), mend=verdict.mend)


def translate_item(code: str, message: str, asked: Asked) -> Failure:
    """Give the error that one item of a batch met, told inside an answer that succeeded."""
    return _answered(_Refusal(code, message), asked)


def blames_credentials(error: Exception, service: str) -> bool:
    """Tell whether other credentials could change the answer: those at hand should be forgotten."""
    return isinstance(error, sdk.ClientError) and _meaning(_Refusal.of(error), service) is Meaning.CREDENTIALS


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error answer, as far as it is looked at."""

    code: str
    message: str
    status: int = 400
    retry_after: float | None = None
    region: str = ""  # where S3 says that the bucket is
    from_s3: bool = False  # whether S3 has left its mark

    @classmethod
    def of(cls, error: sdk.ClientError) -> "_Refusal":
        response: Mapping[str, Mapping[str, object]] = error.response
        told, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
        status, given = metadata.get("HTTPStatusCode"), metadata.get("HTTPHeaders")
        headers: Mapping[str, object] = given if isinstance(given, dict) else {}
        return cls(
            str(told.get("Code") or ""),
            str(told.get("Message") or ""),
            status if isinstance(status, int) else 400,
            _seconds(headers.get("retry-after")),
            region=_region(headers.get("x-amz-bucket-region") or told.get("Region")),
            from_s3="x-amz-request-id" in headers,
        )

    @property
    def shown_code(self) -> str:
        """The code, if it is one: a proxy may put anything there."""
        return self.code if _CODE.fullmatch(self.code) else "an unreadable code"


_ROLE_OPERATIONS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity"})
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")
_NAMES_KMS: Final = re.compile(r"\bkms:[A-Z]|\b(?:AWS)?KMS\b(?! *secret)|\barn:aws[a-z-]*:kms:")
_KEY_STATES: Final = (
    (re.compile(r"pending ?deletion", re.IGNORECASE), Meaning.KEY_DELETING),
    (re.compile(r"pending ?import|material.* (expired|deleted)", re.IGNORECASE), Meaning.KEY_IMPORTING),
    (re.compile(r"is disabled|not enabled", re.IGNORECASE), Meaning.KEY_DISABLED),
    (re.compile(r"\bunavailable\b|custom ?key ?store", re.IGNORECASE), Meaning.KEY_STORE),
    (re.compile(r"invalid state", re.IGNORECASE), Meaning.KEY_UNUSABLE),
)
_OF_KEYS: Final = frozenset({Meaning.DENIED, Meaning.KEY_ABSENT, Meaning.KEY_UNUSABLE})
_ELSEWHERE: Final = re.compile(r"does not exist in this region|invalid arn [a-z]{2}-", re.IGNORECASE)
_RESOURCE_POLICY: Final = re.compile(r"resource-based policy", re.IGNORECASE)
_NO_MASTER_KEY: Final = re.compile(r"refers to a (customer master|KMS) key", re.IGNORECASE)
_GRANT: Final = re.compile(r"\bgrant(s|ed)?\b(?! permission)", re.IGNORECASE)
_CALLER: Final = re.compile(r"\barn:[a-z-]+:(?:iam|sts)::([0-9]{12}):")
_KEY_OWNER: Final = re.compile(r"\barn:[a-z-]+:kms:[a-z0-9-]+:([0-9]{12}):")
_VERSION_ID: Final = re.compile(r"invalid version id", re.IGNORECASE)
_CUSTOMER_KEYS: Final = (
    (re.compile(r"stored using a form of server side encryption", re.IGNORECASE), Meaning.CUSTOMER_KEY_WANTED),
    (re.compile(r"encryption parameters are not applicable", re.IGNORECASE), Meaning.CUSTOMER_KEY_UNWANTED),
)
_DELETION: Final = re.compile(r"marked for deletion|scheduled for deletion|marked deleted", re.IGNORECASE)
_TIME: Final = re.compile(r"signature expired|not yet current|time too skewed", re.IGNORECASE)
_RATE: Final = re.compile(r"rate exceeded|throttl|exceeded the rate", re.IGNORECASE)
_NOT_ALLOWED: Final = re.compile(r"kms:Decrypt|not authorized|access ?denied|not allowed", re.IGNORECASE)


def _seconds(header: object) -> float | None:
    return float(header) if isinstance(header, str) and _SECONDS.fullmatch(header) else None


def _region(told: object) -> str:
    return told if isinstance(told, str) and _REGION.fullmatch(told) else ""


def _without_role(refusal: "_Refusal", asked: Asked) -> Failure:
    failure = _answered(refusal, asked)
    return RoleRefused(str(failure)) if isinstance(failure, SecretError) else failure


def _answered(refusal: _Refusal, asked: Asked) -> Failure:
    meaning = _meaning(refusal, asked.service)
    verdict = VERDICTS[meaning]
    where = f", {refusal.region}" if meaning is Meaning.ELSEWHERE and refusal.region else ""
    text = asked.tell(verdict.what + where, refusal.shown_code)
    if meaning is Meaning.THROTTLED:
        return Throttled(text, quota=_blamed_quota(refusal, asked), retry_after=refusal.retry_after)
    if issubclass(verdict.kind, Transient):
        return verdict.kind(text, mend=verdict.mend, retry_after=refusal.retry_after)
    return verdict.kind(text, mend=verdict.mend)


def _blamed_quota(refusal: _Refusal, asked: Asked) -> str | None:
    """Read which quota a throttling is about: KMS's behind another service, where it is named; else S3's own.

    A request to KMS itself charges one quota only, that of its key's kind, which the message does not tell.
    """
    if asked.service == "kms":
        return None
    if refusal.code.startswith(_OF_KMS) or _NAMES_KMS.search(refusal.message):
        return "kms.symmetric"
    return f"s3.{asked.operation}" if asked.service == "s3" else None


def _meaning(refusal: _Refusal, service: str) -> Meaning:
    """Read the code, then the message where the same code says different things."""
    if service == "s3" and (of_s3 := _of_s3(refusal)):
        return of_s3
    meaning = SERVICE_CODES.get((service, refusal.code)) or CODES.get(refusal.code)
    if refusal.code == "InvalidRequestException":
        return _of_invalid_request(refusal.message)
    if meaning in _OF_KEYS:
        return _of_key(meaning, refusal)
    if meaning is Meaning.CREDENTIALS and _TIME.search(refusal.message):
        return Meaning.CLOCK
    if meaning is Meaning.DOWN and _NAMES_KMS.search(refusal.message) and _RATE.search(refusal.message):
        return Meaning.THROTTLED
    return meaning or _of_status(refusal)


def _of_s3(refusal: _Refusal) -> Meaning | None:
    """Read what S3 says in a way of its own; None where it says what all say."""
    if refusal.code.startswith(_OF_KMS):
        return _meaning(replace(refusal, code=refusal.code.removeprefix(_OF_KMS)), "kms")
    if refusal.from_s3 and refusal.code in BODILESS:
        return BODILESS[refusal.code]
    if refusal.code == "InvalidArgument" and _VERSION_ID.search(refusal.message):
        return Meaning.ABSENT
    if refusal.code == "InvalidRequest" and (told := _of_customer_key(refusal.message)):
        return told
    if CODES.get(refusal.code) is Meaning.DENIED:
        told = _of_denial(refusal.message)
        return Meaning.HIDDEN if told is Meaning.DENIED else told
    return None


def _of_customer_key(message: str) -> Meaning | None:
    return next((meaning for pattern, meaning in _CUSTOMER_KEYS if pattern.search(message)), None)


def _of_key(meaning: Meaning, refusal: _Refusal) -> Meaning:
    if meaning is Meaning.DENIED:
        return _of_denial(refusal.message)
    if meaning is Meaning.KEY_ABSENT:
        return Meaning.KEY_ELSEWHERE if _ELSEWHERE.search(refusal.message) else meaning
    if refusal.code == "InvalidKeyId" and _NOT_ALLOWED.search(refusal.message):
        return _of_key_denial(refusal.message)
    return _of_state(refusal.message) or meaning


def _of_invalid_request(message: str) -> Meaning:
    if _DELETION.search(message):
        return Meaning.DELETING
    return (_of_state(message) if _NAMES_KMS.search(message) else None) or Meaning.UNKNOWN


def _of_denial(message: str) -> Meaning:
    if not _NAMES_KMS.search(message) and not _NO_MASTER_KEY.search(message):
        return Meaning.DENIED
    return _of_state(message) or _of_key_denial(message)


def _of_state(message: str) -> Meaning | None:
    """Read in what state a message says that the key is; None when it says nothing of it."""
    return next((meaning for pattern, meaning in _KEY_STATES if pattern.search(message)), None)


def _of_key_denial(message: str) -> Meaning:
    """Read whose rule keeps the caller from a key."""
    caller, owner = _CALLER.search(message), _KEY_OWNER.search(message)
    if caller and owner and caller[1] != owner[1]:
        return Meaning.KEY_FOREIGN
    if _ELSEWHERE.search(message):
        return Meaning.KEY_ELSEWHERE
    if _GRANT.search(message):
        return Meaning.KEY_GRANT
    return Meaning.KEY_POLICY if _RESOURCE_POLICY.search(message) else Meaning.KEY_DENIED


def _of_status(refusal: _Refusal) -> Meaning:
    if refusal.status >= 500:  # noqa: PLR2004  # HTTP's own line between their fault and ours
        return Meaning.DOWN
    if refusal.status == 429:  # noqa: PLR2004  # Too Many Requests
        return Meaning.THROTTLED
    return Meaning.FOREIGN if refusal.code.isdigit() or not refusal.code else Meaning.UNKNOWN
