"""Ask the daemon from an event loop: the same verbs, over aiohttp."""

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from aiohttp import ClientError as HttpError
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, UnixConnector
from yarl import URL

from sidecar.client import protocol
from sidecar.client.errors import ClientError, NoDaemon, Unavailable
from sidecar.client.keeping import LastValues
from sidecar.client.protocol import PATIENCE, SILENCE, SOCKET, Change, Question, Readiness, Record, Reply, Value
from sidecar.client.sockets import judge, trusted_owners, unanswered

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient:
    """Asks the daemon that listens at `path`, as Client does; `owner` and `keep` are the same.

    Connections are kept and used again, so it belongs to one event loop, and wants to be closed: `async with`, or
    `aclose()`. Cancelling a question ends it and nothing else.
    """

    def __init__(self, path: str | os.PathLike[str] = SOCKET, *, owner: int | None = None, keep: float = 0.0) -> None:
        """Remember where to ask; nothing is opened yet."""
        self._path = os.fspath(path)
        self._trusted = trusted_owners(owner)
        self._last = LastValues(keep)
        self._opened: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what is open; it may be asked again, and opens anew."""
        if self._opened:
            opened, self._opened = self._opened, None
            await opened.close()

    async def get(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> bytes:
        """Give the value's bytes (with `previous`, those before the last change).

        Waits up to `wait` seconds for a value that is not held yet. Raises ClientError.
        """
        return (await self.value(name, previous=previous, wait=wait)).content

    async def get_json(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> object:
        """Give what the value's JSON says. Raises ClientError, Unfit where it is no JSON."""
        return (await self.value(name, previous=previous, wait=wait)).json()

    async def value(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> Value:
        """Give the value with its version and age."""
        question = protocol.ask_value(name, previous=previous, wait=wait)
        try:
            outcome: Value | ClientError = protocol.value_of(question, await self._ask(question))
        except ClientError as error:
            outcome = error
        return self._last.settle(question, outcome)

    async def secret(self, name: str, *, wait: float = PATIENCE) -> Record:
        """Give the value with what is known of it."""
        return protocol.record_of(await self._content(protocol.ask_secret(name, wait)))

    async def resolve(self, ref: str, *, wait: float = PATIENCE) -> Record:
        """Give the same for a reference that need not be declared."""
        return protocol.record_of(await self._content(protocol.ask_resolve(ref, wait)))

    async def list(self) -> Sequence[Record]:
        """Describe every secret that this user may see, without values."""
        return protocol.records_of(await self._content(protocol.LIST))

    async def status(self) -> Record:
        """Give all that the daemon tells of itself."""
        return protocol.record_of(await self._content(protocol.STATUS))

    async def refresh(
        self, names: Sequence[str] = (), *, rejected: str | None = None, wait: float = PATIENCE
    ) -> Sequence[Record]:
        """Have these checked now (none = all), and describe them; `changed` says which have a new version.

        With one name, `rejected` is the ETag of the version that did not work.
        """
        return protocol.records_of(await self._content(protocol.ask_refresh(names, rejected, wait)))

    async def kms(self, operation: str, /, *, wait: float = PATIENCE, **members: object) -> Record:
        """Have the daemon ask KMS: an operation of the interface, with members as KMS names them.

        In `kms("encrypt", KeyId="alias/app", Plaintext=b"…")` bytes are sent as their base64; in the answer they are
        base64. Raises ClientError.
        """
        return protocol.record_of(await self._content(protocol.ask_kms(operation, members, wait)))

    async def public_key(self, key_id: str, *, wait: float = PATIENCE) -> Record:
        """Give the public key of a key pair in KMS, in base64 of its DER, with what is known of it."""
        return protocol.record_of(await self._content(protocol.ask_public_key(key_id, wait)))

    async def ready(self) -> Readiness:
        """Ask whether every required secret is held."""
        return protocol.readiness_of(await self._ask(protocol.READY))

    async def watch(
        self, names: Sequence[str] = (), *, since: str | None = None, values: bool = False
    ) -> AsyncGenerator[Change, None]:
        """Give every change from now on (or after the position `since`), of these secrets or of all.

        Lasts until it is closed or cancelled: once it has begun, it reconnects when the daemon goes away, and goes on
        where it was. A reader that is slow finds the newest version only. Raises ClientError when it cannot begin, or
        for what no reconnecting mends, as for an unknown name.
        """
        question = protocol.ask_watch(names, values=values)
        begun, setbacks = False, 0
        while True:
            try:
                async with aclosing(self._changes(question, since)) as changes:
                    async for change in changes:
                        begun, setbacks, since = True, 0, change.position
                        if change.secret:
                            yield change
            except Unavailable:
                if not begun:
                    raise
                await asyncio.sleep(protocol.pause_after(setbacks))
                setbacks += 1

    def retrying(
        self, name: str, *, on: type[Exception] | tuple[type[Exception], ...], wait: float = PATIENCE
    ) -> Callable[[Callable[Concatenate[Value, P], Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Call an async function with the value, and once more with a newer one where it fails with the first.

        When the function raises one of `on`, the daemon is told that this version was rejected. Where there is
        another one, the function is called a second and last time; else what it raised goes on.
        """

        def decorate(function: Callable[Concatenate[Value, P], Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            @functools.wraps(function)
            async def attempt(*args: P.args, **kwargs: P.kwargs) -> R:
                value = await self.value(name, wait=wait)
                try:
                    return await function(value, *args, **kwargs)
                except on:
                    newer = await self._newer(value, wait)
                    if newer is None:
                        raise
                return await function(newer, *args, **kwargs)

            return attempt

        return decorate

    async def _newer(self, rejected: Value, wait: float) -> Value | None:
        try:
            checked = await self.refresh([rejected.name], rejected=rejected.etag, wait=wait)
            return await self.value(rejected.name, wait=wait) if protocol.has_newer(rejected, checked) else None
        except ClientError:
            return None  # what the function raised tells more

    async def _changes(self, question: Question, since: str | None) -> AsyncGenerator[Change, None]:
        silence = ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
        async with self._response(question, protocol.watch_headers(since), silence) as response:
            if response.status != protocol.OK:
                raise protocol.problem_of(response.status, await response.read())
            reader = protocol.EventReader()
            async for piece in response.content.iter_any():
                for change in reader.feed(piece):
                    yield change
        raise NoDaemon("the daemon ended the watch")

    async def _content(self, question: Question) -> bytes:
        return protocol.content_of(question, await self._ask(question))

    async def _ask(self, question: Question) -> Reply:
        async with self._response(question, question.headers, ClientTimeout(question.timeout)) as response:
            return Reply(response.status, response.headers.get, await response.read())

    @asynccontextmanager
    async def _response(
        self, question: Question, headers: Mapping[str, str], patience: ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        judge(self._path, self._trusted)
        url = URL(f"http://localhost{question.target}", encoded=True)
        try:
            async with self._session().request(
                question.method, url, data=question.body, headers=headers, timeout=patience
            ) as response:
                yield response
        except (HttpError, OSError) as error:  # a TimeoutError is an OSError
            raise unanswered(self._path, error) from error

    def _session(self) -> ClientSession:
        if self._opened is None:  # not before: a session wants a running loop
            connector = UnixConnector(self._path, limit=0)  # watches must not use up the connections of questions
            self._opened = ClientSession(connector=connector, cookie_jar=DummyCookieJar())
        return self._opened
