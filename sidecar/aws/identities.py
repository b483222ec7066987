"""Be somebody towards AWS: the one place from which requests are made, and their errors translated.

Must not retry: a request is sent once, through the Gate that it is handed.
"""

import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from aiobotocore.session import AioSession
from botocore import exceptions as sdk
from botocore import xform_name

from sidecar.aws.answers import Answer
from sidecar.aws.errors import Asked, blames_credentials, translate
from sidecar.aws.sessions import Endpoint, Login, Sessions
from sidecar.core.arns import Arn
from sidecar.core.config.models import IdentitySpec
from sidecar.core.endpoints import is_private
from sidecar.core.errors import BadCustomerKey, BadRef, ConfigError, Problem, SecretError, Transient, Unintelligible
from sidecar.core.ports import Call, Gate
from sidecar.core.quotas import KMS_DEFAULT, Scope, charges
from sidecar.core.refs import Ref, named_by_aws

T = TypeVar("T")

_OVER_TLS: Final = "Use an endpoint_url with https://; plain HTTP will do to this machine itself only."


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """One AWS request, and how to read what it brings."""

    service: str
    operation: str
    region: str
    parameters: Mapping[str, object]
    about: str  # the ref, or what stands for several
    read: Callable[[Answer], T]  # raises Unintelligible
    plaintexts: int = 0  # that AWS decrypts for it, at most
    kms_quota: str = KMS_DEFAULT  # of a request to KMS itself: its key's kind decides
    confidential: bool = False  # carries a key, so it goes over TLS, or stays on this machine
    take_in: Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]] | None = None
    """Takes in what follows the answer's headers, where that is not all there at once: an object."""


@dataclass(slots=True)
class Identity:
    """One way to be somebody towards AWS: the only place from which requests are made."""

    name: str
    spec: IdentitySpec
    region: str
    sessions: Sessions
    on_account: Callable[[str, str], None] = lambda _name, _account: None
    """Told this identity's name and its account, once that is known."""
    known_account: str | None = None
    _login: Login = field(init=False)
    _account_asked: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        spec = self.spec
        self._login = Login(spec.profile, spec.role_arn, spec.external_id, spec.endpoint_url)
        self.sessions.introduce(self._endpoint("sts", self.region))
        if spec.role_arn:
            self.known_account = spec.role_arn.split(":")[4]  # arn:partition:iam::account:role/name

    def scope(self, region: str) -> Scope:
        """Say whose quotas a request in this region uses."""
        return Scope(self.known_account or self.name, region)

    def learn(self, arn: str) -> None:
        """Take the account from an ARN of something that is this identity's own."""
        if self.known_account is None:
            try:
                self._know(Arn.parse(arn).account)
            except BadRef:
                return

    def _know(self, account: str) -> None:
        """Take note of the account: what was charged to the name that stood in for it is the account's."""
        if account:
            self.known_account = account
            self.on_account(self.name, account)

    async def ask(self, question: Question[T], gate: Gate) -> T:
        """Send one request through the gate; raises SecretError or Transient."""
        call = Call(
            question.service,
            question.operation,
            self.scope(question.region),
            charges(question.service, question.operation, question.plaintexts, question.kms_quota),
            self.name,
        )
        return await gate.send(call, functools.partial(self._attempt, question))

    async def account(self, gate: Gate) -> str:
        """Give the account's twelve digits, asked of STS once where nothing else told; raises Failure."""
        if self.known_account is None:
            self._account_asked = True
            question = Question(
                "sts",
                "GetCallerIdentity",
                self.region,
                {},
                f"identity {self.name}",
                lambda answer: answer.text("Account"),
            )
            self._know(await self.ask(question, gate))
        return self.known_account or ""

    async def account_if_told(self, gate: Gate) -> str:
        """Give the account, or nothing where STS does not say so at the first time: no secret depends on it."""
        if self.known_account is None and not self._account_asked:
            try:
                await self.account(gate.once())
            except (SecretError, Transient):
                return ""
        return self.known_account or ""

    async def named(self, ref: Ref, *, name: str, arn: str, gate: Gate) -> Ref:
        """Give `ref` the spelling in which AWS's answer makes it canonical; raises Unintelligible for a broken ARN."""
        if ref.arn is None:  # a name means something of one's own
            self.learn(arn)
            account = self.known_account or ""
        else:
            account = await self.account_if_told(gate)
        try:
            return named_by_aws(ref, name=name, arn=arn, account=account, region=self.region)
        except BadRef as error:
            raise Unintelligible(f"{ref}: the answer came with an ARN that is none") from error

    async def _attempt(self, question: Question[T]) -> T:
        asked = Asked(question.about, question.service, question.operation, question.region, self.name)
        wallet = self.sessions.wallet(self._login)
        used = wallet.held
        try:
            client = await self.sessions.client(self._endpoint(question.service, question.region))
            if question.confidential:
                _check_private(client.meta.endpoint_url, question.about)
            answer = await getattr(client, xform_name(question.operation))(**question.parameters)
            if question.take_in:
                answer = await question.take_in(answer)
        except (SecretError, Transient):
            raise
        except Exception as error:  # the SDK lets out whatever an odd answer makes it stumble over
            if blames_credentials(error, question.service):
                wallet.forget(used)
            raise translate(error, asked) from error
        return question.read(Answer(answer, question.about))

    def _endpoint(self, service: str, region: str) -> Endpoint:
        return Endpoint(self._login, service, region, self.spec.use_fips, self.spec.use_dualstack)


def _check_private(url: str, about: str) -> None:
    if not is_private(url):
        raise BadCustomerKey(f"{about}: its key would travel unencrypted", mend=_OVER_TLS)


def region_of(name: str, spec: IdentitySpec, environ: Mapping[str, str] = os.environ) -> str:
    """Find the region of an identity; raises ConfigError that says what to set."""
    region = spec.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    try:
        region = region or AioSession(profile=spec.profile).get_config_variable("region")
    except sdk.BotoCoreError as error:  # the profile, or the file that it should be in
        raise _misconfigured(
            f"identities.{name}.profile", f"{type(error).__name__}: want a profile that is there"
        ) from error
    if not region:
        raise _misconfigured(f"identities.{name}.region", "want a region, got none here, in AWS_REGION or the profile")
    return str(region)


def _misconfigured(key: str, what: str) -> ConfigError:
    return ConfigError([Problem("", key, what)])
