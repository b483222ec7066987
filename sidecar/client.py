"""Ask the daemon from a Python program: `Client().get("db-password")`.

Synchronous, safe to share among threads (each call has its own connection). Must import nothing of the rest of
the project, and only the standard library: an app takes this in without taking the daemon in.
"""

import json
import math
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlencode

SOCKET: Final = "/run/sidecar/sidecar.sock"
"""Where the daemon listens unless it is told otherwise."""

PATIENCE: Final = 10.0
"""Seconds that the daemon waits for AWS on a caller's behalf unless the caller says otherwise."""

MARGIN: Final = 5.0
"""Seconds beyond the daemon's own deadline after which it is taken for dead."""

SILENCE: Final = 45.0
"""Seconds without a word after which a watch reconnects; the daemon gives a sign of life every 15."""

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to reconnect; the last one goes on."""

_SERVER_FAULTS: Final = 500


class ClientError(Exception):
    """No answer, or one that tells of a problem.

    `status` is HTTP's (None when there was no answer), `problem` the members of its RFC 9457 body, `mend` what to do.
    """

    def __init__(
        self, message: str, *, mend: str = "", status: int | None = None, problem: Mapping[str, object] | None = None
    ) -> None:
        """Take what is wrong."""
        super().__init__(message)
        self.mend = mend
        self.status = status
        self.problem = problem or {}


class BadQuestion(ClientError):
    """The daemon does not take the question: a bad name or parameter."""


class Unfit(ClientError):
    """The value is there, but not what was asked of it: the field is missing, it is no JSON, or it does not decrypt."""


class NotFound(ClientError):
    """No secret of this name, or AWS does not know it."""


class Refused(ClientError):
    """The daemon does not let this user read it, or AWS does not let the daemon."""


class Unavailable(ClientError):
    """Nobody knows yet: AWS is out of reach, or it took too long."""


class NoDaemon(Unavailable):
    """Nobody answers at the socket."""


class UntrustedSocket(Refused):
    """The socket belongs to somebody who may not pose as the daemon."""


_BY_STATUS: Final[Mapping[int, type[ClientError]]] = {
    400: BadQuestion,
    403: Refused,
    404: NotFound,
    405: BadQuestion,
    413: BadQuestion,
    422: Unfit,
    429: Unavailable,
    431: BadQuestion,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_UNDECRYPTABLE: Final = "urn:sidecar:problem:undecryptable"  # a 502 that asking again does not mend


@dataclass(frozen=True, slots=True)
class Change:
    """A new version of a secret; `position` resumes a watch right after it."""

    position: str
    secret: dict[str, object]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether every required secret is held, and if not, the daemon's own words on which and why."""

    ready: bool
    detail: dict[str, object]


class Client:
    """Asks the daemon that listens at `path`.

    A socket owned by neither this user nor root is refused before anything is sent: whoever made it could answer
    anything. `owner` is one more uid to be trusted, such as that of a daemon in a container of its own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = SOCKET,
        *,
        owner: int | None = None,
        pause: Callable[[float], None] = time.sleep,  # noqa: TID251 -- a synchronous client has no loop to wait in
    ) -> None:
        """Remember where to ask; nothing is opened yet."""
        self._path = os.fspath(path)
        self._trusted = {0, os.geteuid()} | ({owner} if owner is not None else set())
        self._pause = pause

    def get(self, name: str, *, previous: bool = False, wait: float = PATIENCE) -> bytes:
        """Give the value's bytes (with `previous`, those before the last change).

        Waits up to `wait` seconds for a value that is not held yet. Raises ClientError.
        """
        target = _target("/v1/values", name, previous="1" if previous else None)
        return self._ask("GET", target, wait=wait, about=name)

    def secret(self, name: str, *, wait: float = PATIENCE) -> dict[str, object]:
        """Give the value with what is known of it."""
        return _record(self._ask("GET", _target("/v1/secrets", name), wait=wait, about=name))

    def resolve(self, ref: str, *, wait: float = PATIENCE) -> dict[str, object]:
        """Give the same for a reference that need not be declared."""
        return _record(self._ask("GET", _target("/v1/resolve", ref=ref), wait=wait, about=ref))

    def list(self) -> Sequence[dict[str, object]]:
        """Describe every secret that this user may see, without values."""
        return _records(self._ask("GET", "/v1/secrets"))

    def status(self) -> dict[str, object]:
        """Give all that the daemon tells of itself."""
        return _record(self._ask("GET", "/v1/status"))

    def refresh(
        self, names: Sequence[str] = (), *, rejected: str | None = None, wait: float = PATIENCE
    ) -> Sequence[dict[str, object]]:
        """Have these checked now (none = all), and describe them; `changed` says which have a new version.

        With one name, `rejected` is the ETag of the version that did not work.
        """
        wish: dict[str, object] = {"names": list(names)} | ({"rejected": rejected} if rejected else {})
        about = names[0] if len(names) == 1 else ""
        return _records(self._ask("POST", "/v1/refresh", wait=wait, body=json.dumps(wish).encode(), about=about))

    def ready(self) -> Readiness:
        """Ask whether every required secret is held."""
        try:
            return Readiness(ready=True, detail=_record(self._ask("GET", "/readyz")))
        except Unavailable as error:
            if error.status is None:
                raise
            return Readiness(ready=False, detail=dict(error.problem))

    def watch(self, names: Sequence[str] = (), *, since: str | None = None, values: bool = False) -> Iterator[Change]:
        """Give every change from now on (or after the position `since`), of these secrets or of all.

        Lasts until it is closed: once it has begun, it reconnects when the daemon goes away, and goes on where it
        was. A reader that is slow finds the newest version only. Raises ClientError when it cannot begin, or for
        what no reconnecting mends, as for an unknown name.
        """
        target = _target("/v1/watch", names=names, values="1" if values else None)
        begun, setbacks = False, 0
        while True:
            try:
                for change in self._changes(target, since):
                    begun, setbacks, since = True, 0, change.position
                    if change.secret:
                        yield change
            except (Unavailable, OSError, HTTPException):
                if not begun:
                    raise
                self._pause(PAUSES[min(setbacks, len(PAUSES) - 1)])
                setbacks += 1

    def _changes(self, target: str, since: str | None) -> Iterator[Change]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": since} if since else {})
        with closing(self._connection(SILENCE)) as connection:
            response = self._answered(connection, "GET", target, None, headers)
            if response.status != 200:  # noqa: PLR2004 -- HTTP's own number
                raise _error(response.status, response.read())
            yield from read_events(response)
        raise NoDaemon("the daemon ended the watch")

    def _ask(
        self, method: str, target: str, *, wait: float | None = None, body: bytes | None = None, about: str = ""
    ) -> bytes:
        headers = {} if wait is None else {"Prefer": f"wait={math.ceil(wait)}"}
        with closing(self._connection((wait or 0) + MARGIN)) as connection:
            try:
                response = self._answered(connection, method, target, body, headers)
                content = response.read()
            except (OSError, HTTPException) as error:
                raise self._unanswered(error) from error
        if response.status >= 300:  # noqa: PLR2004 -- HTTP's own number
            raise _error(response.status, content, about)
        return content

    def _answered(
        self, connection: "UnixConnection", method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        try:
            connection.request(method, target, body, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._unanswered(error) from error

    def _connection(self, timeout: float) -> "UnixConnection":
        try:
            found = Path(self._path).stat()
        except OSError as error:
            raise self._unanswered(error) from error
        if not stat.S_ISSOCK(found.st_mode):
            raise NoDaemon(f"{self._path} is no socket", mend="Name the daemon's socket.")
        if found.st_uid not in self._trusted:
            raise UntrustedSocket(
                f"{self._path} belongs to uid {found.st_uid}, who is neither you nor root",
                mend=f"Ask as that user, if it is the daemon's: sudo -u '#{found.st_uid}' …",
            )
        return UnixConnection(self._path, timeout)

    def _unanswered(self, error: OSError | HTTPException) -> ClientError:
        if isinstance(error, TimeoutError):
            return NoDaemon(f"no answer from {self._path} in time", mend="Look at the daemon's log.")
        if isinstance(error, PermissionError):
            mend = "Ask as a user or group that the socket's mode lets in (listen.unix.mode, listen.unix.group)."
            return Refused(f"this user may not open {self._path}", mend=mend)
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is no HTTP server"
        mend = "Start it (`sidecar run`, or `sidecar dev`), or name its socket by --socket or $SIDECAR_SOCKET."
        return NoDaemon(f"no daemon answers at {self._path}: {why}", mend=mend)


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


def read_events(lines: Iterator[bytes] | HTTPResponse) -> Iterator[Change]:
    """Read server-sent events; a position that comes without an event is given with an empty secret."""
    position, told, data = "", "", ""
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        field, _, value = line.partition(":")
        if field == "id":
            position = value.strip()
        elif field == "data":
            data += value.removeprefix(" ")
        elif not line and (data or position != told):
            yield Change(position, _record(data.encode()) if data else {})
            told, data = position, ""


def _target(path: str, name: str | None = None, *, names: Sequence[str] = (), **parameters: str | None) -> str:
    """Write a request's target; a name's slashes are escaped, lest `..` be resolved on the way."""
    if name is not None:
        path = f"{path}/{quote(name, safe='')}"
    query = [("name", each) for each in names] + [(key, value) for key, value in parameters.items() if value]
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def _record(content: bytes) -> dict[str, object]:
    try:
        found: object = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("the answer is not the daemon's", mend="Look at what listens at this socket.")
    return cast("dict[str, object]", found)


def _records(content: bytes) -> Sequence[dict[str, object]]:
    found = _record(content).get("secrets")
    return cast("Sequence[dict[str, object]]", found if isinstance(found, list) else [])


def _error(status: int, content: bytes, about: str = "") -> ClientError:
    """Make the error of an answer; what was asked about comes first, unless the daemon names it already."""
    try:
        problem = _record(content)
    except ClientError:
        problem = {}
    kind = Unfit if problem.get("type") == _UNDECRYPTABLE else _BY_STATUS.get(status, ClientError)
    message = str(problem.get("detail") or problem.get("title") or f"the answer is HTTP status {status}")
    about = str(problem.get("name") or about)
    if about not in message:
        message = f"{about}: {message}"
    return kind(message, mend=str(problem.get("mend") or ""), status=status, problem=problem)
