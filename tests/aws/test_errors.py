import re
from dataclasses import replace

import pytest
from aiohttp import ClientPayloadError
from botocore import exceptions as sdk
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from sidecar.aws.errors import (
    BODILESS,
    CODES,
    EXCEPTIONS,
    SERVICE_CODES,
    VERDICTS,
    Asked,
    Meaning,
    RoleRefused,
    blames_credentials,
    translate,
    translate_item,
)
from sidecar.aws.models import OPERATIONS
from sidecar.core.errors import (
    AccessDenied,
    Archived,
    BadCiphertext,
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
    WrongRegion,
)

CANARY = "canary-5f2d"
FOREIGN = (
    "User: arn:aws:sts::111111111111:assumed-role/app/x is not authorized to perform: kms:Decrypt on resource: "
    "arn:aws:kms:eu-west-1:222222222222:key/x because no resource-based policy allows the kms:Decrypt action"
)
UNSEEN = (
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
    "or you are not allowed to access."
)


def asked(service: str = "ssm") -> Asked:
    """Make a request that failed."""
    return Asked("ssm:/app/db", service, "GetParameters", "eu-west-1", "default")


def client_error(code: str, message: str = CANARY, status: int = 400, headers: object = None) -> sdk.ClientError:
    """Make what the SDK throws for an error answer."""
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return sdk.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "GetParameters")


def failure(code: str, message: str = CANARY, *, service: str = "ssm", status: int = 400) -> Failure:
    """Translate an error answer."""
    return translate(client_error(code, message, status), asked(service))


@pytest.mark.parametrize("code", CODES)
def test_every_code_means_the_same_from_every_service(code: str) -> None:
    """Each code of the table becomes its verdict, named by ref and code, without AWS's text."""
    for service in ("ssm", "secretsmanager", "kms", "sts"):
        told = failure(code, service=service)
        assert type(told) is VERDICTS[CODES[code]].kind
        assert "ssm:/app/db" in str(told)
        assert code in str(told)
        assert CANARY not in str(told) + told.mend


@pytest.mark.parametrize(("service", "code"), SERVICE_CODES)
def test_every_code_of_a_service_is_its_own(service: str, code: str) -> None:
    """A code of one service becomes its verdict; from another service it is not known, or means what all mean."""
    assert type(failure(code, service=service)) is VERDICTS[SERVICE_CODES[service, code]].kind
    assert type(failure(code, service="sts")) is (VERDICTS[CODES[code]].kind if code in CODES else Transient)


@pytest.mark.parametrize(
    ("service", "code", "message", "kind"),
    [
        # The table of errors that come from KMS by way of another service, row by row.
        ("ssm", "InvalidKeyId", "arn:aws:kms:eu-west-1:1:key/x is disabled.", KeyDisabled),
        ("ssm", "InvalidKeyId", "arn:aws:kms:eu-west-1:1:key/x is pending deletion.", KeyPendingDeletion),
        ("ssm", "InvalidKeyId", "arn:aws:kms:eu-west-1:1:key/x is pending import.", KeyPendingImport),
        ("ssm", "InvalidKeyId", "", KeyUnusable),
        ("ssm", "InvalidKeyId", "User: x is not authorized to perform: kms:Decrypt", KeyDenied),
        ("ssm", "AccessDeniedException", "User: x is not authorized to perform: kms:Decrypt", KeyDenied),
        ("ssm", "AccessDeniedException", "KMS key arn:aws:kms:eu-west-1:1:key/x is disabled", KeyDisabled),
        ("ssm", "AccessDeniedException", FOREIGN, KeyOfOtherAccount),
        ("ssm", "ThrottlingException", "Rate exceeded", Throttled),
        ("secretsmanager", "DecryptionFailure", "", KeyUnusable),
        ("secretsmanager", "AccessDeniedException", "Access to KMS is not allowed", KeyDenied),
        ("secretsmanager", "InternalServiceError", "KMS: rate exceeded", Throttled),
        ("secretsmanager", "InternalServiceError", "", Unreachable),
        ("secretsmanager", "InvalidRequestException", "because it was marked for deletion.", NotFound),
        ("secretsmanager", "InvalidRequestException", "the KMS key is disabled", KeyDisabled),
        ("secretsmanager", "InvalidRequestException", "the KMS key is pending import", KeyPendingImport),
        ("secretsmanager", "DecryptionFailure", "the key is unavailable", KeyStoreUnavailable),
        ("secretsmanager", "InvalidRequestException", "another reason", Transient),
        ("kms", "DisabledException", "", KeyDisabled),
        ("kms", "KMSInvalidStateException", "is pending import", KeyPendingImport),
        ("kms", "KMSInvalidStateException", "is pending deletion", KeyPendingDeletion),
        ("kms", "KMSInvalidStateException", "is unavailable", KeyStoreUnavailable),
        ("kms", "KMSInvalidStateException", "is in an invalid state", KeyUnusable),
        ("kms", "AccessDeniedException", "", AccessDenied),
        ("kms", "AccessDeniedException", "may not kms:Decrypt as no resource-based policy allows it", KeyPolicyDenies),
        ("kms", "AccessDeniedException", "may not kms:Decrypt as no identity-based policy allows it", KeyDenied),
        ("kms", "AccessDeniedException", "may not kms:Decrypt: the grant is retired", GrantMissing),
        ("kms", "AccessDeniedException", FOREIGN, KeyOfOtherAccount),
        ("kms", "AccessDeniedException", UNSEEN, KeyElsewhere),
        ("kms", "NotFoundException", "Invalid arn us-east-1", KeyElsewhere),
        ("kms", "NotFoundException", "Key 'arn:aws:kms:eu-west-1:1:key/x' does not exist", KeyNotFound),
        ("kms", "InvalidGrantTokenException", "", GrantMissing),
        ("kms", "InvalidKeyUsageException", "", KeyWrongUsage),
        ("kms", "InvalidCiphertextException", "", BadCiphertext),
        # S3: what it has from KMS, and what it hides.
        ("s3", "KMS.DisabledException", "", KeyDisabled),
        (
            "s3",
            "KMS.KMSInvalidStateException",
            "arn:aws:kms:eu-west-1:1:key/x is pending deletion.",
            KeyPendingDeletion,
        ),
        ("s3", "KMS.NotFoundException", "", KeyNotFound),
        ("s3", "KMS.InvalidKeyUsageException", "", KeyWrongUsage),
        ("s3", "KMS.ThrottlingException", "", Throttled),
        ("s3", "AccessDenied", "User: x is not authorized to perform: kms:Decrypt on this resource", KeyDenied),
        ("s3", "AccessDenied", FOREIGN, KeyOfOtherAccount),
        ("s3", "AccessDenied", "Access Denied", AccessDenied),
        ("s3", "InvalidArgument", "Invalid version id specified", NotFound),
        ("s3", "SlowDown", "Please reduce your request rate.", Throttled),
        ("s3", "ServiceUnavailable", "Reduce your request rate.", Throttled),
        ("ssm", "ServiceUnavailable", "", Unreachable),
        # Credentials and clocks.
        ("ssm", "InvalidSignatureException", "Signature expired: 2026 is now earlier than 2027", Unreachable),
        ("ssm", "ExpiredTokenException", "", Unreachable),
    ],
)
def test_the_message_is_read_where_codes_are_shared(service: str, code: str, message: str, kind: type[Failure]) -> None:
    """The same code can mean different things: then the message decides."""
    assert type(failure(code, message, service=service)) is kind


@pytest.mark.parametrize(
    ("message", "service", "quota"),
    [
        ("Rate exceeded", "ssm", None),
        ("Rate exceeded for KMS", "ssm", "kms.symmetric"),
        ("Rate exceeded (Service: AWSKMS; Status Code: 400; Error Code: ThrottlingException)", "ssm", "kms.symmetric"),
        ("Access to KMS is throttled: rate exceeded", "secretsmanager", "kms.symmetric"),
        ("You have exceeded the rate at which you may call KMS.", "kms", None),
        ("Rate exceeded for /app/kms-password", "ssm", None),
    ],
)
def test_a_throttling_names_its_quota_or_none(message: str, service: str, quota: str | None) -> None:
    """KMS is blamed where another service's message names it; a plain "Rate exceeded" blames nobody.

    KMS itself always says that it is KMS, and charged but one quota: its key's, which may be that of RSA.
    """
    told = failure("ThrottlingException", message, service=service)
    assert isinstance(told, Throttled)
    assert told.quota == quota


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), (None, None)]
)
@pytest.mark.parametrize("code", ["ThrottlingException", "ServiceUnavailable"])
def test_retry_after_is_passed_on(code: str, header: str | None, seconds: float | None) -> None:
    """Seconds after which to come back travel with the failure; anything else is no number of seconds."""
    told = translate(client_error(code, headers={"retry-after": header} if header else None), asked())
    assert isinstance(told, Transient)
    assert told.retry_after == seconds


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("503", 503, Unreachable),
        ("SomethingNew", 500, Unreachable),
        ("SomethingNew", 429, Throttled),
        ("SomethingNew", 400, Transient),
        ("403", 403, Unintelligible),
        ("", 407, Unintelligible),
    ],
)
def test_unknown_codes_are_transient(code: str, status: int, kind: type[Failure]) -> None:
    """What is not recognised is never definitive; the HTTP status says what it can."""
    assert type(failure(code, status=status)) is kind


@pytest.mark.parametrize("status", BODILESS)
def test_a_head_is_read_by_its_status_if_it_is_s3s(status: str) -> None:
    """With S3's mark each means what the table says; without, it is some proxy's, as are those of other services."""
    headers = {"x-amz-request-id": "1", "x-amz-bucket-region": "us-east-2"}
    for service, marks, kind in (
        ("s3", headers, VERDICTS[BODILESS[status]].kind),
        ("s3", {}, Unreachable if status == "503" else Unintelligible),
        ("ssm", headers, Unreachable if status == "503" else Unintelligible),
    ):
        told = translate(client_error(status, "Forbidden", int(status), marks), asked(service))
        assert type(told) is kind
        assert ("us-east-2" in str(told)) == (type(told) is WrongRegion)


@pytest.mark.parametrize("region", ["us-east-2", "eu-west-1 or so", "canary-5f2d", None])
def test_the_region_of_a_bucket_is_told_if_it_is_one(region: str | None) -> None:
    """It comes in a header or in the error itself, and anything else there is not repeated."""
    metadata = {"HTTPStatusCode": 301, "HTTPHeaders": {"x-amz-bucket-region": region}}
    in_header = sdk.ClientError({"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": metadata}, "GetObject")
    in_error = sdk.ClientError({"Error": {"Code": "AuthorizationHeaderMalformed", "Region": region}}, "GetObject")
    for error in (in_header, in_error):
        told = translate(error, asked("s3"))
        assert isinstance(told, WrongRegion)
        assert ("another region, us-east-2" in str(told)) == (region == "us-east-2")
        assert CANARY not in str(told)


def test_what_s3_throttles_is_its_own() -> None:
    """SlowDown slows the operation's own rate, what KMS says through S3 that of KMS."""
    told = [failure(code, service="s3") for code in ("SlowDown", "KMS.ThrottlingException")]
    assert [each.quota for each in told if isinstance(each, Throttled)] == ["s3.GetParameters", "kms.symmetric"]
    assert issubclass(Archived, SecretError)


def test_a_code_that_is_none_is_not_shown() -> None:
    """A proxy may put anything where the code should be."""
    assert CANARY not in str(failure(f"{CANARY} <html>"))
    assert type(translate(sdk.ClientError({}, "GetParameters"), asked())) is Unintelligible


SAMPLES: dict[type[Exception], Exception] = {
    sdk.ConnectTimeoutError: sdk.ConnectTimeoutError(endpoint_url=CANARY),
    sdk.ReadTimeoutError: sdk.ReadTimeoutError(endpoint_url=CANARY),
    sdk.ProxyConnectionError: sdk.ProxyConnectionError(proxy_url=CANARY, error=CANARY),
    sdk.SSLError: sdk.SSLError(endpoint_url=CANARY, error=CANARY),
    sdk.EndpointConnectionError: sdk.EndpointConnectionError(endpoint_url=CANARY, error=CANARY),
    sdk.HTTPClientError: sdk.ConnectionClosedError(endpoint_url=CANARY, error=CANARY),
    ClientPayloadError: ClientPayloadError(CANARY),
    sdk.FlexibleChecksumError: sdk.FlexibleChecksumError(error_msg=CANARY),
    sdk.IncompleteReadError: sdk.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    sdk.NoCredentialsError: sdk.NoCredentialsError(),
    sdk.PartialCredentialsError: sdk.PartialCredentialsError(provider=CANARY, cred_var=CANARY),
    sdk.CredentialRetrievalError: sdk.CredentialRetrievalError(provider=CANARY, error_msg=CANARY),
    sdk.MetadataRetrievalError: sdk.MetadataRetrievalError(error_msg=CANARY),
    sdk.InvalidConfigError: sdk.InvalidConfigError(error_msg=CANARY),
    sdk.UnknownCredentialError: sdk.UnknownCredentialError(name=CANARY),
    sdk.ProfileNotFound: sdk.ProfileNotFound(profile=CANARY),
    sdk.ConfigParseError: sdk.ConfigParseError(path=CANARY),
    sdk.ConfigNotFound: sdk.ConfigNotFound(path=CANARY),
    sdk.SSOError: sdk.UnauthorizedSSOTokenError(),
    sdk.LoginError: sdk.LoginRefreshRequired(),
    sdk.TokenRetrievalError: sdk.TokenRetrievalError(provider=CANARY, error_msg=CANARY),
    sdk.RefreshWithMFAUnsupportedError: sdk.RefreshWithMFAUnsupportedError(),
    sdk.NoRegionError: sdk.NoRegionError(),
    sdk.InvalidRegionError: sdk.InvalidRegionError(region_name=CANARY),
    sdk.EndpointVariantError: sdk.EndpointVariantError(tags=CANARY, error_msg=CANARY),
    sdk.EndpointProviderError: sdk.EndpointProviderError(msg=CANARY),
    sdk.ParamValidationError: sdk.ParamValidationError(report=CANARY),
    sdk.BotoCoreError: sdk.UnknownServiceStyle(service_style=CANARY),
    ResponseParserError: ResponseParserError(CANARY),
    OSError: FileNotFoundError(CANARY),
    RuntimeError: RuntimeError(CANARY),
    Exception: AttributeError(CANARY),
}


@pytest.mark.parametrize(("kind", "verdict"), EXCEPTIONS)
def test_every_exception_of_the_sdk_is_known(kind: type[Exception], verdict: object) -> None:
    """Each row is reached by what the SDK throws, and becomes its verdict, without the SDK's text."""
    told = translate(SAMPLES[kind], asked())
    assert type(told) is getattr(verdict, "kind", None)
    assert "ssm:/app/db" in str(told)
    assert CANARY not in str(told) + told.mend


def test_nothing_of_the_network_is_definitive() -> None:
    """Only a malformed request is, of all that the SDK throws by itself."""
    definitive = [kind for kind, verdict in EXCEPTIONS if issubclass(verdict.kind, SecretError)]
    assert definitive == [sdk.ParamValidationError]


def test_time_outs_are_told_apart() -> None:
    """The metrics know a time-out from other trouble."""
    assert type(translate(SAMPLES[sdk.ReadTimeoutError], asked())) is TimedOut


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (client_error("ExpiredTokenException"), True),
        (client_error("InvalidSignatureException"), True),
        (client_error("InvalidSignatureException", "Signature expired: the clock"), False),
        (client_error("AccessDeniedException"), False),
        (sdk.NoCredentialsError(), False),
    ],
)
def test_only_bad_credentials_are_worth_forgetting(error: Exception, blamed: bool) -> None:  # noqa: FBT001 -- a table
    """Other credentials can mend an expired token, not a wrong clock or a denial."""
    assert blames_credentials(error, "ssm") is blamed


def test_an_item_of_a_batch_is_read_like_an_answer() -> None:
    """What a batch says of one of its items becomes the same error."""
    told = translate_item("InvalidRequestException", "it was marked for deletion", asked("secretsmanager"))
    assert type(told) is NotFound
    assert "being deleted" in str(told)


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDenied", RoleRefused), ("ValidationError", RoleRefused), ("ExpiredToken", Unreachable)]
)
def test_a_role_that_cannot_be_assumed_is_told_as_that(code: str, kind: type[Failure]) -> None:
    """What STS says to a request that is made on the way to another is about the identity, not about the value."""
    error = sdk.ClientError({"Error": {"Code": code, "Message": CANARY}}, "AssumeRole")
    told = translate(error, asked())
    assert type(told) is kind
    assert "from sts AssumeRole in" in str(told)
    assert ("AssumeRole" in told.mend) == (kind is RoleRefused)
    assert type(translate(error, replace(asked("sts"), operation="AssumeRole"))) is not RoleRefused


@pytest.mark.parametrize(("service", "code"), [pair for pair in SERVICE_CODES if pair[0] != "s3"])
def test_a_service_knows_its_codes(service: str, code: str) -> None:
    """Each code that is read from one service only is an error in the SDK's own model of it.

    S3's model leaves out most: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has them.
    """
    shapes = Loader().load_service_model(service, "service-2")["shapes"]
    assert code in {
        shape.get("error", {}).get("code", name) for name, shape in shapes.items() if shape.get("exception")
    }


@pytest.mark.parametrize(
    ("service", "operation"),
    [(service, operation) for service in ("ssm", "secretsmanager") for operation in sorted(OPERATIONS[service])],
)
def test_an_operation_has_no_error_that_is_not_known(service: str, operation: str) -> None:
    """Except for those of parameters that are never sent."""
    model = Loader().load_service_model(service, "service-2")
    declared = {error["shape"] for error in model["operations"][operation].get("errors", ())}
    known = {*CODES, *(code for of, code in SERVICE_CODES if of == service), "InvalidRequestException"}
    assert {code for code in declared - known if not code.startswith(("InvalidFilter", "InvalidNextToken"))} == set()


def test_every_verdict_is_one_line() -> None:
    """Messages and mends are shown to people in logs and terminals."""
    verdicts = [*VERDICTS.values(), *(verdict for _, verdict in EXCEPTIONS)]
    for verdict in verdicts:
        assert not re.search(r"\n|  ", verdict.what + (verdict.mend or ""))
    assert set(VERDICTS) == set(Meaning)
