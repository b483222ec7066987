"""Be the token service: who a caller is, which roles may be assumed, and until when their credentials work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sidecar.fakeaws import stores
from sidecar.fakeaws.weather import Caller, expired_token
from sidecar.fakeaws.wire import DEFAULT_ACCOUNT, AwsError, Params

_DEFAULT_SECONDS: Final = 3600
_ACCOUNT_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Role:
    """What is expected of those who assume a role."""

    arn: str
    external_id: str | None = None
    session_seconds: float | None = None  # shorter than AWS allows: tests see credentials expire


@dataclass(frozen=True, slots=True)
class _Session:
    caller: Caller
    ends: datetime


@dataclass(slots=True)
class Tokens:
    """The roles that are known, and the credentials that were given out."""

    default_account: str = DEFAULT_ACCOUNT
    roles: dict[str, Role] = field(default_factory=dict)
    _sessions: dict[str, _Session] = field(default_factory=dict)

    def caller_of(self, access_key: str) -> Caller:
        """Return who owns an access key; twelve digits are an account of their own, as other fakes have it."""
        session = self._sessions.get(access_key)
        if session is not None:
            return session.caller
        own = access_key.isdigit() and len(access_key) == _ACCOUNT_DIGITS
        account = access_key if own else self.default_account
        return Caller(account, access_key, f"arn:aws:iam::{account}:user/developer")

    def check(self, access_key: str, service: str, now: datetime) -> None:
        """Raise when these are credentials of a role whose time is over."""
        session = self._sessions.get(access_key)
        if session is not None and session.ends <= now:
            raise expired_token(service)

    def assume(self, caller: Caller, params: Params, now: Callable[[], datetime]) -> stores.AssumedRole:
        """Give out credentials of a role; raises AccessDenied on a wrong external id."""
        arn, name = params.needed("RoleArn"), params.needed("RoleSessionName")
        role = self.roles.get(arn, Role(arn))
        external_id = params.text("ExternalId")
        if role.external_id is not None and role.external_id != external_id:
            message = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            raise AwsError("AccessDenied", message, 403)
        seconds = role.session_seconds or float(params.text("DurationSeconds") or _DEFAULT_SECONDS)
        store = stores.sts_store(caller.account)
        given = store.assume_role("us-east-1", name, arn, "", int(seconds), external_id or "")
        given.expiration = (now() + timedelta(seconds=seconds)).replace(tzinfo=None)
        self._remember(given, now() + timedelta(seconds=seconds))
        return given

    def _remember(self, given: stores.AssumedRole, ends: datetime) -> None:
        caller = Caller(given.account_id, given.access_key_id, given.arn, given.user_id)
        self._sessions[given.access_key_id] = _Session(caller, ends)


def utc_now() -> datetime:
    """Return the wall time: credentials end by it."""
    return datetime.now(UTC)


def assume_role_xml(given: stores.AssumedRole) -> str:
    """Write what AssumeRole answers."""
    return (
        f"<Credentials><AccessKeyId>{given.access_key_id}</AccessKeyId>"
        f"<SecretAccessKey>{given.secret_access_key}</SecretAccessKey>"
        f"<SessionToken>{given.session_token}</SessionToken>"
        f"<Expiration>{given.expiration.isoformat(timespec='seconds')}Z</Expiration></Credentials>"
        f"<AssumedRoleUser><AssumedRoleId>{given.user_id}</AssumedRoleId><Arn>{given.arn}</Arn></AssumedRoleUser>"
    )


def caller_identity_xml(caller: Caller) -> str:
    """Write what GetCallerIdentity answers."""
    return f"<UserId>{caller.user_id}</UserId><Account>{caller.account}</Account><Arn>{caller.arn}</Arn>"
