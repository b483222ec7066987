"""Run the program as a user does, read what it writes as it comes, and ask it over its socket.

Waits for the thing itself: a line of output, an answer, the end of a process. Every wait has a generous bound.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from sidecar.client import UnixConnection
from tests.aws_fixtures import AwsAccount

PROGRAM = str(Path(sys.executable).parent / "sidecar")
BOUND = 30.0
"""Seconds after which something has failed to happen: far more than the slowest machine needs."""

MOST_TRIES = 200

Json = Any  # JSON answers are read as they come


class Lines:
    """What a process writes to one of its streams, kept whole and there to wait for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._add(line.decode())
        self._add(None)

    def _add(self, line: str | None) -> None:
        with self._more:
            if line is None:
                self._ended = True
            else:
                self._lines.append(line.rstrip("\n"))
            self._more.notify_all()

    def join(self) -> None:
        """Read to the end."""
        self._reader.join(BOUND)

    @property
    def all(self) -> list[str]:
        """Every line so far."""
        with self._more:
            return list(self._lines)

    @property
    def text(self) -> str:
        """Everything so far."""
        return "\n".join(self.all)

    def wait_for(self, fits: Callable[[str], bool], *, skip: int = 0) -> str:
        """Give the first line that fits, as soon as it is there; `skip` lines are not looked at."""
        with self._more:
            self._more.wait_for(lambda: self._ended or any(map(fits, self._lines[skip:])), BOUND)
            found = next(filter(fits, self._lines[skip:]), None)
        assert found is not None, "\n".join(self.all)
        return found


@dataclass(frozen=True)
class Answer:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """Read the body."""
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        """The version's entity tag."""
        return self.headers["etag"]

    @property
    def stale(self) -> bool:
        """Whether the answer says that its value is stale."""
        return "detail=stale" in self.headers.get("cache-status", "")


def read_answer(connection: HTTPConnection) -> Answer:
    """Read the answer to the request that was sent last on this connection."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


@dataclass(frozen=True)
class Samples:
    """One scrape."""

    by_series: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> "Samples":
        """Read Prometheus's text format."""
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return cls({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples})

    def total(self, series: str, /, **labels: str) -> float:
        """Sum the series of this name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.by_series.items() if each == series and wanted <= has)

    @property
    def requests(self) -> dict[str, int]:
        """AWS requests by `service.Operation`, those that were made."""
        counts: dict[str, int] = {}
        for (name, labels), value in self.by_series.items():
            if name == "sidecar_aws_requests_total" and value:
                of = dict(labels)
                key = f"{of['service']}.{of['operation']}"
                counts[key] = counts.get(key, 0) + int(value)
        return counts


class Watch:
    """One open stream of changes."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._response = connection.getresponse()
        assert self._response.status == 200
        self._connection = connection
        self.position = self.next_event()["id"]  # the position from which it watches: now nothing is missed

    def next_event(self) -> dict[str, str]:
        """Give the fields of the next event; an empty one at the stream's end."""
        fields: dict[str, str] = {}
        for raw in self._response:
            line = raw.decode().rstrip("\n")
            if not line and fields:
                return fields
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        return fields

    def next_change(self) -> Json:
        """Give what the next change event tells."""
        fields = self.next_event()
        assert fields["event"] == "change"
        return json.loads(fields["data"])

    def close(self) -> None:
        """Go away."""
        self._response.close()
        self._connection.close()


@dataclass
class Daemon:
    """A running `sidecar run`."""

    process: subprocess.Popen[bytes]
    log: Lines
    folder: Path
    ops: str = ""
    _connections: list[HTTPConnection] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "s"

    @property
    def config(self) -> Path:
        """The file that configures it."""
        return self.folder / "sidecar.yaml"

    # -- what it says

    def events(self, name: str) -> list[Json]:
        """Give the log's lines of this event so far."""
        return [line for line in map(_event, self.log.all) if line.get("event") == name]

    def wait_for(self, event: str, /, **fields: object) -> Json:
        """Wait for a line of this event in the log, with these fields."""
        return json.loads(self.log.wait_for(lambda line: _tells(line, event, fields)))

    def wait_for_next(self, skip: int, event: str, /, **fields: object) -> Json:
        """Wait for a line of this event behind the first `skip` lines of the log."""
        return json.loads(self.log.wait_for(lambda line: _tells(line, event, fields), skip=skip))

    # -- requests

    def connect(self) -> HTTPConnection:
        """Open a connection that stays open until the test ends."""
        connection = UnixConnection(str(self.socket), BOUND)
        self._connections.append(connection)
        return connection

    def ask(self, method: str, target: str, body: object = None, **headers: str) -> Answer:
        """Ask on a connection of its own; underscores in a header's name stand for dashes."""
        connection = UnixConnection(str(self.socket), BOUND)
        try:
            send(connection, method, target, body, **headers)
            return read_answer(connection)
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        """Ask with GET."""
        return self.ask("GET", target, **headers)

    def value(self, name: str, **headers: str) -> Answer:
        """Ask for a value, and wait for AWS as long as it takes."""
        return self.get(f"/v1/values/{quote(name, safe='')}", **({"Prefer": "wait=30"} | headers))

    def resolve(self, ref: str, **headers: str) -> Answer:
        """Ask for a reference."""
        return self.get(f"/v1/resolve?ref={quote(ref, safe='')}", **({"Prefer": "wait=30"} | headers))

    def refresh(self, *names: str) -> Answer:
        """Have these (none: all) checked now."""
        return self.ask("POST", "/v1/refresh", {"names": list(names)}, Prefer="wait=30")

    def watch(self, query: str = "", **headers: str) -> Watch:
        """Open a stream of changes."""
        connection = self.connect()
        send(connection, "GET", f"/v1/watch?{query}", **headers)
        return Watch(connection)

    def from_ops(self, target: str) -> Answer:
        """Ask the listener for probes and scrapes."""
        connection = HTTPConnection(self.ops, timeout=BOUND)
        try:
            connection.request("GET", target)
            return read_answer(connection)
        finally:
            connection.close()

    def metrics(self) -> Samples:
        """Scrape it."""
        return Samples.parse(self.from_ops("/metrics").body.decode())

    # -- waits

    def changed(self, name: str, etag: str) -> Answer:
        """Have a value checked until it is another than the one with this tag; the daemon's own wait paces it."""
        for _ in range(MOST_TRIES):
            self.refresh(name)
            answer = self.value(name, If_None_Match=etag, Prefer="wait=1")
            if answer.status != 304:
                return answer
        raise AssertionError(f"{name} does not change\n{self.log.text}")

    def until(self, name: str, fits: Callable[[Answer], bool]) -> Answer:
        """Ask for a value until the answer fits; in between the daemon waits up to a second for a change."""
        for _ in range(MOST_TRIES):
            answer = self.value(name, Prefer="wait=1")
            if fits(answer):
                return answer
            self.value(name, If_None_Match=answer.headers.get("etag", "*"), Prefer="wait=1")
        raise AssertionError(f"{name} does not become so\n{self.log.text}")

    # -- its life

    def reconfigure(self, sections: Mapping[str, object]) -> int:
        """Write another configuration and have it read; give how many lines the log had before."""
        return self.reload(json.dumps(sections))

    def reload(self, text: str) -> int:
        """Write a text where the configuration is and have it read; give how many lines the log had before."""
        said = len(self.log.all)
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        return said

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and for the log's last line; give the exit code."""
        code = self.process.wait(BOUND)
        self.log.join()
        return code

    def close(self) -> None:
        """End it, whatever its state."""
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(BOUND)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.log.join()


def _event(line: str) -> dict[str, Json]:
    """Read a line of the log; what comes before the log is set up is no JSON, and no event."""
    return json.loads(line) if line.startswith("{") else {}


def _tells(line: str, event: str, fields: Mapping[str, object]) -> bool:
    told = _event(line)
    return told.get("event") == event and all(told.get(key) == value for key, value in fields.items())


def send(connection: HTTPConnection, method: str, target: str, body: object = None, **headers: str) -> None:
    """Send a request and do not wait for its answer; what is no bytes is sent as JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, content, spelt)


def environment(account: AwsAccount | None = None, **more: str) -> dict[str, str]:
    """Give what a process needs to find this account, and nothing of the machine's own AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SIDECAR_"))}
    nowhere = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    return {**kept, **nowhere, **(account.env if account else {}), **more}


def configuration(folder: Path, sections: Mapping[str, object]) -> dict[str, object]:
    """Fill in what every daemon of these tests has in common; a section that is given replaces the default whole."""
    return {
        "listen": {"unix": {"path": str(folder / "s")}, "ops": "127.0.0.1:0"},
        "quotas": {"share": "100%"},
        "log": {"level": "debug", "format": "json"},
        **sections,
    }


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder whose name is short enough for a socket, and that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="sidecar-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def spawn(folder: Path, environ: Mapping[str, str]) -> Daemon:
    """Start a daemon on the configuration that is in the folder already."""
    process = subprocess.Popen(
        [PROGRAM, "run", "--config", str(folder / "sidecar.yaml")],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    return Daemon(process, Lines(process.stderr), folder)


@contextmanager
def running(
    folder: Path, sections: Mapping[str, object], environ: Mapping[str, str], *, ready: bool = True
) -> Iterator[Daemon]:
    """Run a daemon for the length of the block; without `ready` it begins as soon as the socket answers."""
    (folder / "sidecar.yaml").write_text(json.dumps(configuration(folder, sections)))
    daemon = spawn(folder, environ)
    try:
        daemon.ops = daemon.wait_for("daemon_started")["ops"] or ""
        if ready:
            daemon.wait_for("daemon_ready")
        yield daemon
    finally:
        daemon.close()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()
    assert "Traceback" not in daemon.log.text, daemon.log.text


@contextmanager
def spawned(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Lines, Lines]]:
    """Run any program for the length of the block; give it and what it writes to both streams."""
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    with process:
        out, errors = Lines(process.stdout), Lines(process.stderr)
        try:
            yield process, out, errors
        finally:
            process.kill()
            out.join()
            errors.join()


def command(
    *arguments: str, environ: Mapping[str, str], folder: Path, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end."""
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=dict(environ),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )


def lines_of(text: str) -> Sequence[str]:
    """Part a text into its lines, without empty ones."""
    return [line for line in text.splitlines() if line.strip()]
