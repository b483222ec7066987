"""Ask the daemon and wait for the answer: with the standard library only, from any thread."""

import functools
import inspect
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Concatenate, ParamSpec, TypeVar

from sidecar.client import protocol
from sidecar.client.errors import ClientError, NoDaemon, Unavailable
from sidecar.client.keeping import LastValues
from sidecar.client.protocol import PATIENCE, SILENCE, SOCKET, Change, Question, Readiness, Record, Reply, Value
from sidecar.client.sockets import judge, trusted_owners, unanswered

P = ParamSpec("P")
R = TypeVar("R")


class Client:
    """Asks the daemon that listens at `path`; safe to share among threads, since each call has its own connection.

    A socket owned by neither this user nor root is refused before anything is sent: whoever made it could answer
    anything. `owner` is one more uid to be trusted, such as that of a daemon in a container of its own.

    With `keep`, the last value of each name is given on for so many seconds while nobody can give one: no daemon
    answers, or it was restarted and AWS does not answer it. Such a value is `kept`, and a warning is logged once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = SOCKET,
        *,
        owner: int | None = None,
        keep: float = 0.0,
        pause: Callable[[float], None] = time.sleep,  # noqa: TID251 -- a synchronous client has no loop to wait in
    ) -> None:
        """Remember where to ask; nothing is opened yet."""
        self._path = os.fspath(path)
        self._trusted = trusted_owners(owner)
        self._last = LastValues(keep)
        self._pause = pause

    def get(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> bytes:
        """Give the value's bytes (with `previous`, those before the last change).

        Waits up to `wait` seconds for a value that is not held yet. Raises ClientError.
        """
        return self.value(name, previous=previous, wait=wait).content

    def get_json(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> object:
        """Give what the value's JSON says. Raises ClientError, Unfit where it is no JSON."""
        return self.value(name, previous=previous, wait=wait).json()

    def value(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> Value:
        """Give the value with its version and age."""
        question = protocol.ask_value(name, previous=previous, wait=wait)
        try:
            outcome: Value | ClientError = protocol.value_of(question, self._ask(question))
        except ClientError as error:
            outcome = error
        return self._last.settle(question, outcome)

    def secret(self, name: str, *, wait: float = PATIENCE) -> Record:
        """Give the value with what is known of it."""
        return protocol.record_of(self._content(protocol.ask_secret(name, wait)))

    def resolve(self, ref: str, *, wait: float = PATIENCE) -> Record:
        """Give the same for a reference that need not be declared."""
        return protocol.record_of(self._content(protocol.ask_resolve(ref, wait)))

    def list(self) -> Sequence[Record]:
        """Describe every secret that this user may see, without values."""
        return protocol.records_of(self._content(protocol.LIST))

    def status(self) -> Record:
        """Give all that the daemon tells of itself."""
        return protocol.record_of(self._content(protocol.STATUS))

    def refresh(
        self, names: Sequence[str] = (), *, rejected: str | None = None, wait: float = PATIENCE
    ) -> Sequence[Record]:
        """Have these checked now (none = all), and describe them; `changed` says which have a new version.

        With one name, `rejected` is the ETag of the version that did not work.
        """
        return protocol.records_of(self._content(protocol.ask_refresh(names, rejected, wait)))

    def kms(self, operation: str, /, *, wait: float = PATIENCE, **members: object) -> Record:
        """Have the daemon ask KMS: an operation of the interface, with members as KMS names them.

        In `kms("encrypt", KeyId="alias/app", Plaintext=b"…")` bytes are sent as their base64; in the answer they are
        base64. Raises ClientError.
        """
        return protocol.record_of(self._content(protocol.ask_kms(operation, members, wait)))

    def public_key(self, key_id: str, *, wait: float = PATIENCE) -> Record:
        """Give the public key of a key pair in KMS, in base64 of its DER, with what is known of it."""
        return protocol.record_of(self._content(protocol.ask_public_key(key_id, wait)))

    def ready(self) -> Readiness:
        """Ask whether every required secret is held."""
        return protocol.readiness_of(self._ask(protocol.READY))

    def watch(self, names: Sequence[str] = (), *, since: str | None = None, values: bool = False) -> Iterator[Change]:
        """Give every change from now on (or after the position `since`), of these secrets or of all.

        Lasts until it is closed: once it has begun, it reconnects when the daemon goes away, and goes on where it
        was. A reader that is slow finds the newest version only. Raises ClientError when it cannot begin, or for
        what no reconnecting mends, as for an unknown name.
        """
        question = protocol.ask_watch(names, values=values)
        begun, setbacks = False, 0
        while True:
            try:
                for change in self._changes(question, since):
                    begun, setbacks, since = True, 0, change.position
                    if change.secret:
                        yield change
            except (Unavailable, OSError, HTTPException):
                if not begun:
                    raise
                self._pause(protocol.pause_after(setbacks))
                setbacks += 1

    def retrying(
        self, name: str, *, on: type[Exception] | tuple[type[Exception], ...], wait: float = PATIENCE
    ) -> Callable[[Callable[Concatenate[Value, P], R]], Callable[P, R]]:
        """Call a function with the value, and once more with a newer one where it fails with the first.

        When the function raises one of `on`, the daemon is told that this version was rejected. Where there is
        another one, the function is called a second and last time; else what it raised goes on.
        """

        def decorate(function: Callable[Concatenate[Value, P], R]) -> Callable[P, R]:
            if inspect.iscoroutinefunction(function):
                raise TypeError("an async function fails after it was called: use AsyncClient.retrying")

            @functools.wraps(function)
            def attempt(*args: P.args, **kwargs: P.kwargs) -> R:
                value = self.value(name, wait=wait)
                try:
                    return function(value, *args, **kwargs)
                except on:
                    newer = self._newer(value, wait)
                    if newer is None:
                        raise
                return function(newer, *args, **kwargs)

            return attempt

        return decorate

    def _newer(self, rejected: Value, wait: float) -> Value | None:
        try:
            checked = self.refresh([rejected.name], rejected=rejected.etag, wait=wait)
            return self.value(rejected.name, wait=wait) if protocol.has_newer(rejected, checked) else None
        except ClientError:
            return None  # what the function raised tells more

    def _changes(self, question: Question, since: str | None) -> Iterator[Change]:
        with closing(self._connection(SILENCE)) as connection:
            response = self._answered(connection, question, protocol.watch_headers(since))
            if response.status != protocol.OK:
                raise protocol.problem_of(response.status, response.read())
            reader = protocol.EventReader()
            for line in response:
                yield from reader.feed(line)
        raise NoDaemon("the daemon ended the watch")

    def _content(self, question: Question) -> bytes:
        return protocol.content_of(question, self._ask(question))

    def _ask(self, question: Question) -> Reply:
        with closing(self._connection(question.timeout)) as connection:
            response = self._answered(connection, question, question.headers)
            try:
                content = response.read()
            except (OSError, HTTPException) as error:
                raise unanswered(self._path, error) from error
        return Reply(response.status, response.headers.get, content)

    def _answered(self, connection: "UnixConnection", question: Question, headers: Mapping[str, str]) -> HTTPResponse:
        try:
            connection.request(question.method, question.target, question.body, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise unanswered(self._path, error) from error

    def _connection(self, timeout: float) -> "UnixConnection":
        judge(self._path, self._trusted)
        return UnixConnection(self._path, timeout)


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        """Take where to connect to, and the seconds that each read may take."""
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path; the host is only what the Host header says."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
