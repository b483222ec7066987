"""Decide what goes wrong on purpose: faults, denied actions, quotas, bad luck, latency.

Pure: state in memory, `now` and `dice` are arguments. Must not wait, answer or log; server does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from sidecar.fakeaws.wire import AwsError

ANY: Final = "*"


class FaultKind(StrEnum):
    """What can be made to happen to a request."""

    OUTAGE = "outage"  # the connection is closed without an answer
    ERROR_500 = "500"
    ERROR_503 = "503"
    THROTTLE = "throttle"
    HTML_200 = "html-200"  # a proxy's page instead of AWS's answer
    SLOW = "slow"  # answered after `seconds`
    ACCESS_DENIED = "access-denied"
    EXPIRED_TOKEN = "expired-token"  # noqa: S105 -- the name of an error
    BAD_CREDENTIALS = "bad-credentials"
    CLOCK_SKEW = "clock-skew"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request, as AWS would name him."""

    account: str
    access_key: str
    arn: str
    user_id: str = "AIDAFAKEAWSFAKEAWS00"

    def is_like(self, glob: str) -> bool:
        """Tell whether the glob matches the ARN, the role's name or the access key."""
        return any(fnmatchcase(name, glob) for name in (self.arn, self.access_key, *self.arn.split("/")[1:2]))


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a request a fault may be aimed at."""

    caller: Caller
    service: str
    operation: str
    region: str
    names: tuple[str, ...]


@dataclass(slots=True)
class Fault:
    """One fault and what it is aimed at; `count` requests are hit, or all while it is None."""

    kind: FaultKind
    account: str = ANY
    service: str = ANY
    operation: str = ANY
    region: str = ANY
    identity: str = ANY
    name: str = ANY
    count: int | None = None
    seconds: float = 0.0
    message: str = ""

    def hits(self, subject: Subject) -> bool:
        """Tell whether the request is one that this fault is aimed at."""
        return (
            self.count != 0
            and self.account in {ANY, subject.caller.account}
            and fnmatchcase(subject.service, self.service)
            and fnmatchcase(subject.operation, self.operation)
            and fnmatchcase(subject.region, self.region)
            and subject.caller.is_like(self.identity)
            and (self.name == ANY or any(fnmatchcase(name, self.name) for name in subject.names))
        )


@dataclass(frozen=True, slots=True)
class Denial:
    """An action that AWS refuses, as if no policy allowed it."""

    action: str  # glob over "secretsmanager:DescribeSecret"
    resource: str = ANY  # glob over the ARN or the plain name
    account: str = ANY
    identity: str = ANY

    def covers(self, caller: Caller, action: str, resources: Iterable[str]) -> bool:
        """Tell whether the caller may not do this to any of these."""
        return (
            self.account in {ANY, caller.account}
            and fnmatchcase(action, self.action)
            and caller.is_like(self.identity)
            and (self.resource == ANY or any(fnmatchcase(resource, self.resource) for resource in resources))
        )


@dataclass(slots=True)
class Allowance:
    """What is left of one quota: a second's worth at most, refilled at `rate` per second."""

    rate: float
    left: float
    at: float

    def take(self, now: float, *, debt: bool) -> bool:
        """Use one of it, if there is one, or as a debt."""
        self.left = min(max(self.rate, 1.0), self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1 and not debt:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class Weather:
    """All that is wrong with this AWS just now."""

    rate: float | None = None  # of each quota, where none is set for it
    failing: float = 0.0  # probability that a request ends in a 5xx
    latency: float = 0.0  # seconds added to each request
    faults: list[Fault] = field(default_factory=list)
    denials: list[Denial] = field(default_factory=list)
    limits: dict[tuple[str, str], float] = field(default_factory=dict)  # by (account or *, quota)
    empty_pages: dict[str, int] = field(default_factory=dict)  # by account: empty pages before each full one
    _allowances: dict[tuple[str, str, str], Allowance] = field(default_factory=dict)

    def strike(self, subject: Subject) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        fault = next((fault for fault in self.faults if fault.hits(subject)), None)
        if fault is not None and fault.count is not None:
            fault.count -= 1
        return fault

    def denies(self, caller: Caller, action: str, *resources: str) -> bool:
        """Tell whether the caller may not do this to any of these resources."""
        return any(denial.covers(caller, action, resources) for denial in self.denials)

    def admits(self, account: str, region: str, quota: str, now: float, *, debt: bool = False) -> bool:
        """Use one of the quota; False when this second's are gone, unless it may be owed."""
        rate = self._rate_of(account, quota)
        if rate is None:
            return True
        key = (account, region, quota)
        if key not in self._allowances or self._allowances[key].rate != rate:
            self._allowances[key] = Allowance(rate, max(rate, 1.0) if rate else 0.0, now)
        return self._allowances[key].take(now, debt=debt)

    def _rate_of(self, account: str, quota: str) -> float | None:
        return next(
            (self.limits[key] for key in ((account, quota), (account, ANY), (ANY, quota)) if key in self.limits),
            self.rate,
        )

    def limit(self, account: str, rates: Mapping[str, float]) -> None:
        """Set quotas of one account (`*`: of every account), per second."""
        self.limits.update({(account, quota): rate for quota, rate in rates.items()})
        self._allowances.clear()

    def misfortune(self, service: str, dice: Callable[[], float]) -> AwsError | None:
        """Throw the dice for a 5xx."""
        if not self.failing or dice() >= self.failing:
            return None
        return server_error(service) if dice() < 0.5 else unavailable()  # noqa: PLR2004 -- a coin

    def clear(self, account: str) -> None:
        """Make this account's weather fair again; `*`: everybody's."""
        self.faults = [fault for fault in self.faults if not _same(account, fault.account)]
        self.denials = [denial for denial in self.denials if not _same(account, denial.account)]
        self.limits = {key: rate for key, rate in self.limits.items() if not _same(account, key[0])}
        self.empty_pages = {key: count for key, count in self.empty_pages.items() if not _same(account, key)}
        self._allowances = {key: left for key, left in self._allowances.items() if not _same(account, key[0])}


def _same(asked: str, account: str) -> bool:
    return asked in {ANY, account}


_SERVER_ERRORS: Final = {
    "ssm": "InternalServerError",
    "secretsmanager": "InternalServiceError",
    "kms": "KMSInternalException",
    "sts": "InternalFailure",
    "s3": "InternalError",
}


def server_error(service: str) -> AwsError:
    """Return the service's own name of a 500."""
    code = _SERVER_ERRORS.get(service, "InternalFailure")
    return AwsError(code, "An error occurred on the server side.", 500)


def unavailable() -> AwsError:
    """Return a 503."""
    return AwsError("ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503)


def throttled(service: str, message: str = "") -> AwsError:
    """Return what a service answers when its own quota is used up."""
    if service == "s3":
        return AwsError("SlowDown", message or "Please reduce your request rate.", 503)
    code = "Throttling" if service == "sts" else "ThrottlingException"
    return AwsError(code, message or "Rate exceeded")


def not_authorized(caller: Caller, action: str, resource: str) -> AwsError:
    """Return IAM's refusal, in its own words."""
    code, status = ("AccessDenied", 403) if action.startswith(("sts:", "s3:")) else ("AccessDeniedException", 400)
    where = f" on resource: {resource}" if resource != ANY else ""
    return AwsError(
        code,
        f"User: {caller.arn} is not authorized to perform: {action}{where} "
        f"because no identity-based policy allows the {action} action",
        status,
    )


def error_of(fault: Fault, subject: Subject) -> AwsError:
    """Return the error that a fault makes AWS answer, for the kinds that are errors."""
    service, action = subject.service, f"{subject.service}:{subject.operation}"
    spoken = _CREDENTIAL_ERRORS.get(service, _CREDENTIAL_ERRORS[ANY])
    match fault.kind:
        case FaultKind.ERROR_500:
            error = server_error(service)
        case FaultKind.ERROR_503:
            error = unavailable()
        case FaultKind.THROTTLE:
            error = throttled(service)
        case FaultKind.EXPIRED_TOKEN:
            error = expired_token(service)
        case FaultKind.BAD_CREDENTIALS:
            error = AwsError(spoken.unknown, "The security token included in the request is invalid.", spoken.status)
        case FaultKind.CLOCK_SKEW:
            message = (
                "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)"
            )
            error = AwsError(spoken.skewed, message, spoken.status)
        case _:
            error = not_authorized(subject.caller, action, ANY)
    return AwsError(error.code, fault.message or error.message, error.status)


@dataclass(frozen=True, slots=True)
class _CredentialErrors:
    """What a service calls what is wrong with a signature."""

    status: int
    unknown: str
    skewed: str
    expired: str
    expired_status: int


_CREDENTIAL_ERRORS: Final = {
    "s3": _CredentialErrors(403, "InvalidAccessKeyId", "RequestTimeTooSkewed", "ExpiredToken", 400),
    "sts": _CredentialErrors(403, "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", 403),
    ANY: _CredentialErrors(
        400, "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", 400
    ),
}


def expired_token(service: str) -> AwsError:
    """Return what a service answers to credentials whose time is over."""
    spoken = _CREDENTIAL_ERRORS.get(service, _CREDENTIAL_ERRORS[ANY])
    return AwsError(spoken.expired, "The security token included in the request is expired", spoken.expired_status)
