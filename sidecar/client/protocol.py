"""Write questions to the daemon and read its answers, whoever carries them. Pure: no socket, no clock, no waiting."""

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import quote, urlencode

from sidecar.client.errors import (
    BadQuestion,
    ClientError,
    NotFound,
    Refused,
    Unavailable,
    Unfit,
)

SOCKET: Final = "/run/sidecar/sidecar.sock"
"""Where the daemon listens unless it is told otherwise."""

PATIENCE: Final = 10.0
"""Seconds that the daemon waits for AWS on a caller's behalf unless the caller says otherwise."""

MARGIN: Final = 5.0
"""Seconds beyond the daemon's own deadline after which it is taken for dead."""

SILENCE: Final = 45.0
"""Seconds without a word after which a watch reconnects; the daemon gives a sign of life every 15."""

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
OK: Final = 200
_OTHERWISE: Final = 300

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
_UNFIT: Final = frozenset(
    f"urn:sidecar:problem:{each}" for each in ("undecryptable", "bad-ciphertext", "wrong-key", "too-large")
)
"""What is a 502 that asking again does not mend."""

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Value:
    """The bytes of a secret, and which version they are.

    `etag` is what `refresh` takes as rejected, `age` how many seconds ago AWS confirmed the version. `stale` says that
    the daemon could not confirm it in time, `kept` that no daemon gave it now: it is what was given last.
    """

    name: str
    content: bytes = field(repr=False)
    etag: str
    age: float = 0.0
    stale: bool = False
    kept: bool = False

    @property
    def text(self) -> str:
        """Give it as text; raises Unfit where it is none."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            pass  # raised outside, since that error holds the value
        raise Unfit(f"{self.name}: the value is not UTF-8", mend="Ask for its bytes.")

    def json(self) -> object:
        """Give what its JSON says; raises Unfit where it is none."""
        try:
            return cast("object", json.loads(self.content))
        except ValueError:
            pass  # likewise
        raise Unfit(f"{self.name}: the value is not JSON", mend="Ask for its bytes, or store a JSON value.")


@dataclass(frozen=True, slots=True)
class Change:
    """A new version of a secret; `position` resumes a watch right after it."""

    position: str
    secret: Record


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether every required secret is held, and if not, the daemon's own words on which and why."""

    ready: bool
    detail: Record


@dataclass(frozen=True, slots=True)
class Question:
    """One request; `wait` is how many seconds the daemon may wait for AWS, `about` what an error names."""

    target: str
    about: str = ""
    wait: float | None = None
    body: bytes | None = None

    @property
    def method(self) -> str:
        """Give HTTP's verb."""
        return "GET" if self.body is None else "POST"

    @property
    def headers(self) -> Mapping[str, str]:
        """Give the headers; none at all would be a wait of the daemon's choice."""
        return {} if self.wait is None else {"Prefer": f"wait={math.ceil(self.wait)}"}

    @property
    def timeout(self) -> float:
        """Give the seconds after which the daemon is taken for dead."""
        return (self.wait or 0.0) + MARGIN


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came; `header` looks a header up, whatever its case."""

    status: int
    header: Callable[[str], str | None]
    content: bytes = field(repr=False)


STATUS: Final = Question("/v1/status")
LIST: Final = Question("/v1/secrets")
READY: Final = Question("/readyz")


def ask_value(name: str, *, previous: bool, wait: float) -> Question:
    """Ask for a value's bytes."""
    return Question(target("/v1/values", name, previous="1" if previous else None), name, wait)


def ask_secret(name: str, wait: float) -> Question:
    """Ask for a value with what is known of it."""
    return Question(target("/v1/secrets", name), name, wait)


def ask_resolve(ref: str, wait: float) -> Question:
    """Ask for the same by reference; one that is ciphertext itself is not repeated in what is raised."""
    return Question(target("/v1/resolve", ref=ref), "kms:…" if ref.startswith("kms:") else ref, wait)


def ask_refresh(names: Sequence[str], rejected: str | None, wait: float) -> Question:
    """Ask for a check now."""
    wish: Record = {"names": list(names)} | ({"rejected": rejected} if rejected else {})
    return Question("/v1/refresh", names[0] if len(names) == 1 else "", wait, json.dumps(wish).encode())


def ask_kms(operation: str, members: Mapping[str, object], wait: float) -> Question:
    """Ask for an operation of KMS, with KMS's own members; what is bytes is sent as their base64."""
    sent = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in members.items()
    }
    return Question(target("/v1/kms", operation), "", wait, json.dumps(sent).encode())


def ask_public_key(key_id: str, wait: float) -> Question:
    """Ask for the public key of a pair."""
    return Question(target("/v1/kms/public-key", key_id=key_id), "", wait)


def ask_watch(names: Sequence[str], *, values: bool) -> Question:
    """Ask for changes."""
    return Question(target("/v1/watch", names=names, values="1" if values else None))


def watch_headers(since: str | None) -> Mapping[str, str]:
    """Say that events are wanted, from a position on where there is one."""
    return {"Accept": "text/event-stream"} | ({"Last-Event-ID": since} if since else {})


def target(path: str, name: str | None = None, *, names: Sequence[str] = (), **parameters: str | None) -> str:
    """Write a request's target; a name's slashes are escaped, lest `..` be resolved on the way."""
    if name is not None:
        path = f"{path}/{quote(name, safe='')}"
    query = [("name", each) for each in names] + [(key, value) for key, value in parameters.items() if value]
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def content_of(question: Question, reply: Reply) -> bytes:
    """Give what was answered; raises what it tells of."""
    if reply.status >= _OTHERWISE:
        raise problem_of(reply.status, reply.content, question.about)
    return reply.content


def value_of(question: Question, reply: Reply) -> Value:
    """Read a value with its version and age; raises what the answer tells of."""
    content = content_of(question, reply)
    age, found = reply.header("Age") or "", reply.header("Cache-Status") or ""
    seconds = float(age) if age.isdecimal() else 0.0
    return Value(question.about, content, reply.header("ETag") or "", seconds, stale="detail=stale" in found)


def readiness_of(reply: Reply) -> Readiness:
    """Read whether the daemon is ready; that it is not is an answer, no failure."""
    try:
        return Readiness(ready=True, detail=record_of(content_of(READY, reply)))
    except Unavailable as error:
        return Readiness(ready=False, detail=dict(error.problem))


def record_of(content: bytes) -> Record:
    """Read a JSON object; raises ClientError where the answer is none."""
    try:
        found: object = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("the answer is not the daemon's", mend="Look at what listens at this socket.")
    return cast("Record", found)


def records_of(content: bytes) -> Sequence[Record]:
    """Read a list of secrets' descriptions."""
    found = record_of(content).get("secrets")
    return cast("Sequence[Record]", found if isinstance(found, list) else [])


def problem_of(status: int, content: bytes, about: str = "") -> ClientError:
    """Make the error of an answer; what was asked about comes first, unless the daemon names it already."""
    try:
        problem = record_of(content)
    except ClientError:
        problem = {}
    kind = Unfit if problem.get("type") in _UNFIT else _BY_STATUS.get(status, ClientError)
    message = str(problem.get("detail") or problem.get("title") or f"the answer is HTTP status {status}")
    about = str(problem.get("name") or about)
    if about not in message:
        message = f"{about}: {message}"
    return kind(message, mend=str(problem.get("mend") or ""), status=status, problem=problem)


def pause_after(setbacks: int) -> float:
    """Give the seconds to wait before the next attempt to reconnect, after so many in vain."""
    return _PAUSES[min(setbacks, len(_PAUSES) - 1)]


def has_newer(rejected: Value, checked: Sequence[Record]) -> bool:
    """Tell from a refresh's answer whether there is another version than the one that did not work."""
    return any(each.get("etag") not in {None, rejected.etag} for each in checked)


class EventReader:
    """Reads server-sent events as they come in, in pieces of any size."""

    def __init__(self) -> None:
        """Begin without a position."""
        self._rest = b""
        self._position = self._told = self._data = ""

    def feed(self, piece: bytes) -> Iterator[Change]:
        """Give what this piece completes; a position that comes without an event has an empty secret."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if change := self._take(line.decode().removesuffix("\r")):
                yield change

    def _take(self, line: str) -> Change | None:
        field_name, _, value = line.partition(":")
        if field_name == "id":
            self._position = value.strip()
        elif field_name == "data":
            self._data += value.removeprefix(" ")
        elif not line and (self._data or self._position != self._told):
            return self._complete()
        return None

    def _complete(self) -> Change:
        secret = record_of(self._data.encode()) if self._data else {}
        self._told, self._data = self._position, ""
        return Change(self._position, secret)
