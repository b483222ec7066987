"""Hold the sessions, credentials and clients through which AWS is asked, one set for each role.

Built when first needed, used again ever after, closed at the end. Credentials that appear late, expire or turn out
invalid are looked up anew at the next request. Must not retry, nor know of secrets: identities ask.
"""

import asyncio
import functools
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Protocol, Self

from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from aiohttp import ClientSession
from botocore import exceptions as sdk
from botocore.credentials import ReadOnlyCredentials

import sidecar
from sidecar.aws.answers import Answer
from sidecar.aws.errors import Asked, blames_credentials, translate
from sidecar.aws.models import TrimmedLoader
from sidecar.core.errors import AccessDenied, Failure, NotFound, Throttled, TimedOut, Unreachable
from sidecar.telemetry import Metrics, Outcome

CONNECT_TIMEOUT: Final = 3.1  # seconds: two lost SYN packets (1 s + 2 s) may be sent again within it
READ_TIMEOUT: Final = 10.0  # seconds; the guard's own limit for a call is usually shorter
POOL: Final = 16  # connections of one client: what a batch may ask at once, twice
ROLE_SESSION: Final = 3600  # seconds; the longest that a chained role may have
CREDENTIAL_SERVICES: Final = ("sts", "sso", "sso-oidc", "signin")


class Credentials(Protocol):
    """What the SDK signs with."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Give keys that are valid now."""
        ...


class Wallet:
    """The credentials of one role or profile: looked up when first needed, and again once they proved useless.

    Stands in for one of the SDK's own credential objects, which would be looked up once, when a client is made.
    """

    def __init__(self, look: Callable[[], Awaitable[Credentials | None]]) -> None:
        """Take how to look; it gives None where there is nothing."""
        self._look = look
        self._held: Credentials | None = None
        self._looking = asyncio.Lock()
        self._looks = 0
        self._failure: Exception | None = None  # of the last look

    async def load_credentials(self) -> "Wallet":
        """Be a session's credential chain."""
        return self

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Give keys that are valid now; raises what the SDK raises when there are none."""
        return await (await self._get()).get_frozen_credentials()

    async def get_account_id(self) -> None:
        """Know of no account: only other services' endpoints depend on it."""

    def get_deferred_property(self, _name: str) -> Callable[[], Awaitable[None]]:
        """Know of no account, in the way in which the SDK asks first."""
        return self.get_account_id

    @property
    def held(self) -> Credentials | None:
        """What was found last, None before the first look."""
        return self._held

    def forget(self, useless: Credentials | None) -> None:
        """Look anew at the next request, unless others than the useless ones were found meanwhile."""
        if useless is None or useless is self._held:
            self._held = None

    async def _get(self) -> Credentials:
        looks = self._looks
        async with self._looking:  # one walk through the chain, however many wait for it and whatever it finds
            if self._held is None and (self._failure is None or looks == self._looks):
                await self._walk()
        if self._held is None:
            raise (self._failure or sdk.NoCredentialsError()).with_traceback(None)
        return self._held

    async def _walk(self) -> None:
        try:
            self._held = await self._look()
        except Exception as error:  # noqa: BLE001 -- raised by each of those who waited for it
            self._failure = error
        else:
            self._failure = None if self._held else sdk.NoCredentialsError()
        self._looks += 1


class Straight:
    """A session of aiohttp's that sends a request once, and to nobody but whom it was signed for.

    By itself aiohttp sends a GET again when the connection breaks, and follows redirections with all headers but one.
    """

    def __init__(self, session: ClientSession) -> None:
        session._retry_connection = False  # noqa: SLF001 -- it has no other switch
        self.request = functools.partial(session.request, allow_redirects=False)


class SharedTls(AIOHTTPSession):
    """Let all clients use one TLS context: it holds the certificates of all authorities, 2 to 5 MB."""

    async def _get_session(self, proxy_url: str | None) -> Straight:
        return Straight(await super()._get_session(proxy_url))  # type: ignore[no-untyped-call]  # it ships no types

    _contexts: ClassVar[dict[tuple[object, ...], tuple[ssl.SSLContext, ssl.SSLContext | None]]] = {}

    def _build_ssl_contexts(self, proxy_url: str | None) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
        key = (self._verify, self._cert_file, self._key_file, proxy_url)
        if key not in self._contexts:  # two threads may both build the first one; nothing is lost but its time
            made = super()._build_ssl_contexts(proxy_url)  # type: ignore[no-untyped-call]  # it ships no types
            self._contexts[key] = made
        return self._contexts[key]


@dataclass(frozen=True, slots=True)
class Login:
    """Whose credentials: what two identities must have in common to share a session."""

    profile: str | None
    role_arn: str | None
    external_id: str | None
    endpoint_url: str | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Which client: what two requests must have in common to share connections."""

    login: Login
    service: str
    region: str
    use_fips: bool
    use_dualstack: bool


CountRequest = Callable[[str, str, Failure | None, float], None]
"""Told of each request that passed no guard: service, operation, how it failed, seconds."""

_OUTCOMES: Final[Mapping[type[Failure], Outcome]] = {
    Throttled: Outcome.THROTTLED,
    AccessDenied: Outcome.DENIED,
    NotFound: Outcome.NOT_FOUND,
    TimedOut: Outcome.TIMEOUT,
}


def counting(metrics: Metrics) -> CountRequest:
    """Count these requests among all others."""

    def count(service: str, operation: str, failure: Failure | None, seconds: float) -> None:
        outcome = Outcome.OK
        if failure is not None:
            outcome = next((of for kind, of in _OUTCOMES.items() if isinstance(failure, kind)), Outcome.ERROR)
        metrics.request_finished(service, operation, outcome, seconds)

    return count


class Sessions:
    """All sessions and clients of the process; an async context manager that closes them."""

    def __init__(self, count: CountRequest) -> None:
        """Take who counts the requests that the SDK makes by itself."""
        self._count = count
        self._loader = TrimmedLoader()
        self._sessions: dict[Login, AioSession] = {}
        self._wallets: dict[Login, Wallet] = {}
        self._places: dict[Login, list[Endpoint]] = {}
        self._clients: dict[Endpoint, AioBaseClient] = {}
        self._building = asyncio.Lock()
        self._open = AsyncExitStack()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._building:  # a client that is just being made is closed too
            self._closed = True
            self._clients.clear()
            await self._open.aclose()

    def wallet(self, login: Login) -> Wallet:
        """Give the credentials of this login."""
        if login not in self._wallets:
            look = self._look_in_chain if login.role_arn is None else self._assume_role
            self._wallets[login] = Wallet(functools.partial(look, login))
        return self._wallets[login]

    def introduce(self, endpoint: Endpoint) -> None:
        """Note where an identity with this login lives: in which region its role can be assumed."""
        places = self._places.setdefault(endpoint.login, [])
        if endpoint not in places:
            places.append(endpoint)

    async def client(self, endpoint: Endpoint) -> AioBaseClient:
        """Give the client of this endpoint, made when it is asked for first; raises Unreachable after the end.

        Needs no credentials yet.
        """
        if endpoint not in self._clients:
            async with self._building:
                if self._closed:
                    raise Unreachable("the identities were replaced meanwhile", mend="Ask again.")
                self._clients[endpoint] = self._clients.get(endpoint) or await self._make(endpoint)
        return self._clients[endpoint]

    async def _make(self, endpoint: Endpoint) -> AioBaseClient:
        await asyncio.to_thread(self._loader.preload, endpoint.service)
        made: AioBaseClient = await self._open.enter_async_context(self._build(endpoint))
        return made

    def _build(self, endpoint: Endpoint) -> "ClientContext":
        login = endpoint.login
        if login not in self._sessions:
            session = self._new_session(login.profile)
            session.register_component("credential_provider", self.wallet(login))
            self._sessions[login] = session
        config = AioConfig(
            use_fips_endpoint=endpoint.use_fips or None,  # None: what the SDK's own configuration says
            use_dualstack_endpoint=endpoint.use_dualstack or None,
            s3=_addressing(login) if endpoint.service == "s3" else None,
        )
        made: ClientContext = self._sessions[login].create_client(
            endpoint.service, region_name=endpoint.region, endpoint_url=login.endpoint_url, config=config
        )
        return made

    def _new_session(self, profile: str | None) -> AioSession:
        session = AioSession(profile=profile)
        session.user_agent_extra = f"{session.user_agent_extra} sidecar/{sidecar.__version__}"
        session.register_component("data_loader", self._loader)
        session.set_config_variable("sts_regional_endpoints", "regional")
        session.set_default_client_config(
            AioConfig(
                http_session_cls=SharedTls,
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                max_pool_connections=POOL,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
        )
        session.register("before-call.s3", _stay_in_region)
        for service in CREDENTIAL_SERVICES:
            session.register(f"before-call.{service}", _start_watch)
            session.register(f"response-received.{service}", self._stop_watch)
        return session

    async def _look_in_chain(self, login: Login) -> Credentials | None:
        """Walk the SDK's chain with a new session: an old one remembers the files that it has read."""
        session = self._new_session(login.profile)
        session.set_config_variable("region", self._places[login][0].region)
        found: Credentials | None = await session.get_credentials()
        return found

    async def _assume_role(self, login: Login) -> Credentials:
        """Assume the role; the SDK's own object does it again before the credentials expire."""
        assume = functools.partial(self._assume_somewhere, login)
        made: Credentials = AioRefreshableCredentials.create_from_metadata(
            metadata=await assume(), refresh_using=assume, method="sidecar-assume-role"
        )
        return made

    async def _assume_somewhere(self, login: Login) -> Mapping[str, str]:
        """Ask STS in each region in which the role is used, until one answers: a region may be down."""
        *others, last = self._places[login]
        for place in others:
            try:
                return await self._assume(place)
            except (sdk.ConnectionError, sdk.HTTPClientError):
                continue
        return await self._assume(last)

    async def _assume(self, place: Endpoint) -> Mapping[str, str]:
        login = place.login
        source = replace(place, login=replace(login, role_arn=None, external_id=None), service="sts")
        self.introduce(source)
        client, wallet = await self.client(source), self.wallet(source.login)
        external = {"ExternalId": login.external_id} if login.external_id else {}
        used = wallet.held
        try:
            answer = await client.assume_role(
                RoleArn=login.role_arn, RoleSessionName=_session_name(), DurationSeconds=ROLE_SESSION, **external
            )
        except sdk.ClientError as error:
            if blames_credentials(error, "sts"):
                wallet.forget(used)
            raise
        given = Answer(answer, str(login.role_arn)).nested("Credentials")
        return {
            "access_key": given.text("AccessKeyId"),
            "secret_key": given.text("SecretAccessKey"),
            "token": given.text("SessionToken"),
            "expiry_time": answer["Credentials"]["Expiration"].isoformat(),
        }

    def _stop_watch(self, *, event_name: str, context: dict[str, object], **sent: object) -> None:
        """Count a request for credentials: it passes no guard."""
        _, service, operation = event_name.split(".")
        if operation == "GetCallerIdentity":
            return  # ours: it went through a Gate, which counted it
        started = context.get(_STARTED)
        seconds = asyncio.get_running_loop().time() - started if isinstance(started, float) else 0.0
        self._count(service, operation, _failure_of(sent, Asked("credentials", service, operation, "-", "-")), seconds)


class ClientContext(Protocol):
    """What the SDK makes of a client to be opened and closed."""

    async def __aenter__(self) -> AioBaseClient: ...

    async def __aexit__(self, *error: object) -> None: ...


_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def _addressing(login: Login, environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Say how a bucket is named in a URL: within the host's name at AWS, in the path elsewhere.

    A fake, a proxy or a private endpoint has seldom a name for each bucket.
    """
    elsewhere = login.endpoint_url or any(environ.get(name) for name in _ENDPOINTS)
    path = {"addressing_style": "path"} if elsewhere else {}
    return {"us_east_1_regional_endpoint": "regional", **path}


def _stay_in_region(*, context: dict[str, dict[str, object]], **_: object) -> None:
    """Keep the SDK from looking for a bucket in other regions: requests that nobody admitted, with a client half ours.

    Its redirector (botocore.utils.S3RegionRedirectorv2) lets be what was redirected once.
    """
    context["s3_redirect"]["redirected"] = True


_STARTED: Final = "sidecar_started"


def _start_watch(*, context: dict[str, object], **_: object) -> None:
    context[_STARTED] = asyncio.get_running_loop().time()


def _failure_of(sent: Mapping[str, object], asked: Asked) -> Failure | None:
    """Read how a request ended from what the SDK tells its hooks."""
    exception, parsed = sent.get("exception"), sent.get("parsed_response")
    if isinstance(exception, Exception):
        return translate(exception, asked)
    if isinstance(parsed, dict) and "Error" in parsed:
        return translate(sdk.ClientError(parsed, asked.operation), asked)
    return None


def _session_name() -> str:
    """Name this process in CloudTrail."""
    host = re.sub(r"[^\w+=,.@-]", "-", socket.gethostname(), flags=re.ASCII)
    return f"sidecar-{host}"[:64]
