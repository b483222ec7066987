"""`sidecar dev` as somebody uses it who has nothing: an empty folder, one command, the lines that it prints.

How it ends, and what it does when the fake dies or the seed is broken, is in tests/cli/test_playground.py.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from shutil import which

import pytest

from sidecar.client import Client, UnixConnection
from tests.e2e.processes import BOUND, PROGRAM, Answer, Lines, command, environment, read_answer, send, short_folder


class Dev:
    """A running `sidecar dev`, in a session of its own, as a terminal would have it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [PROGRAM, "dev", *options],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout
        assert self.process.stderr
        self.out, self.log = Lines(self.process.stdout), Lines(self.process.stderr)

    @property
    def seed(self) -> Path:
        """What the fake holds."""
        return self.folder / "sidecar.dev.yaml"

    @property
    def client(self) -> Client:
        """Ask it."""
        return Client(self.folder / ".sidecar" / "sidecar.sock")

    def wait_until_ready(self) -> None:
        """Come back once it has printed everything and holds everything."""
        self.out.wait_for(lambda line: "export AWS_" in line)
        self.log.wait_for(lambda line: "daemon_ready" in line)

    @property
    def sdk(self) -> dict[str, str]:
        """The variables that it prints for SDKs."""
        exported = self.out.wait_for(lambda line: "export AWS_" in line)
        return dict(word.split("=", 1) for word in shlex.split(exported)[1:])

    @property
    def ops(self) -> str:
        """Where it says that its metrics are."""
        line = self.out.wait_for(lambda line: "metrics  http://" in line)
        return line.split("http://")[1].removesuffix("/metrics")

    def long_poll(self, name: str, etag: str) -> Answer:
        """Wait for another version than the one with this tag."""
        connection = UnixConnection(str(self.folder / ".sidecar" / "sidecar.sock"), BOUND)
        send(connection, "GET", f"/v1/values/{name}", If_None_Match=etag, Prefer="wait=30")
        answer = read_answer(connection)
        connection.close()
        return answer

    def end(self, number: int = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal: to the whole foreground, as a terminal does; give the exit code."""
        os.killpg(self.process.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and its last words."""
        code = self.process.wait(BOUND)
        self.out.join()
        self.log.join()
        return code

    def close(self) -> None:
        """End it, whatever its state."""
        if self.process.poll() is None:
            self.process.terminate()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@contextmanager
def developing(*options: str) -> Iterator[Dev]:
    """Run it for the length of the block, in a folder of its own."""
    with short_folder() as folder:
        dev = Dev(folder, *options)
        try:
            yield dev
        finally:
            dev.close()


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    """Run one for the module, in a folder that was empty."""
    with developing() as one:
        one.wait_until_ready()
        yield one


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_the_lines_that_it_prints_work(dev: Dev) -> None:
    """Three curl lines, pasted as they are; the first shows a value of the seed file that it has written."""
    assert dev.seed.exists()
    dev.out.wait_for(lambda line: "wrote sidecar.dev.yaml" in line)
    lines = [line.strip() for line in dev.out.all if line.strip().startswith("curl ")]
    pasted = [subprocess.run(line, shell=True, cwd=dev.folder, capture_output=True, check=True) for line in lines]
    value, secret, listed = (done.stdout.decode() for done in pasted)
    assert value == "made-up-api-key-0001"
    assert json.loads(secret)["value"] == value
    assert {"api-key", "db", "app/log-level"} <= {each["name"] for each in json.loads(listed)["secrets"]}


def test_an_edit_of_the_seed_reaches_the_app(dev: Dev) -> None:
    """Changed values change, new parameters of a tree appear."""
    etag = str(dev.client.secret("token")["etag"])
    text = dev.seed.read_text()
    edited = text.replace("made-up-token-0001", "edited-token").replace("log-level: info", "log-level: debug")
    dev.seed.write_text(edited)
    changed = dev.long_poll("token", etag)
    assert (changed.status, changed.body) == (200, b"edited-token")
    assert dev.client.get("api-key") == b"made-up-api-key-0001"


def test_a_slip_in_the_seed_is_told_and_changes_nothing(dev: Dev) -> None:
    """The fake says which line; what it holds stays, and the next good edit counts."""
    good = dev.seed.read_text()
    dev.seed.write_text(good + "\nnonsense: {\n")
    dev.log.wait_for(lambda line: line.startswith("sidecar.dev.yaml:") and "line" in line)
    etag = str(dev.client.secret("api-key")["etag"])
    dev.seed.write_text(good.replace("made-up-api-key-0001", "mended"))
    assert dev.long_poll("api-key", etag).body == b"mended"


def test_an_unmodified_sdk_can_use_the_fake(dev: Dev) -> None:
    """With the variables that are printed boto3 reads and writes; the app sees what it wrote."""
    etag = str(dev.client.secret("db")["etag"])
    script = (
        "import boto3\n"
        "secrets = boto3.client('secretsmanager')\n"
        "print(secrets.get_secret_value(SecretId='dev/db')['ARN'])\n"
        "secrets.put_secret_value(SecretId='dev/db', SecretString='by boto3')\n"
        "print(boto3.client('ssm').get_parameter(Name='/dev/app/features')['Parameter']['Value'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment(), **dev.sdk}, capture_output=True, text=True, check=True
    )
    arn, features = done.stdout.split()
    assert arn.startswith("arn:aws:secretsmanager:eu-west-1:123456789012:secret:dev/db-")
    assert features == "search,export"
    assert dev.long_poll("db", etag).body == b"by boto3"


def test_commands_find_its_socket_by_themselves(dev: Dev) -> None:
    """In the same folder no option is needed; a second `dev` there is refused in one line."""
    environ = environment()
    assert command("get", "app/greeting", environ=environ, folder=dev.folder).stdout == "Hello from the fake AWS"
    assert command("status", "--ready", environ=environ, folder=dev.folder).returncode == 0
    second = command("dev", environ=environ, folder=dev.folder)
    assert second.returncode == 1
    assert "a daemon answers at .sidecar/sidecar.sock already" in second.stderr
    assert "Traceback" not in second.stderr
    assert dev.client.ready().ready


def test_bad_weather_on_purpose(dev: Dev) -> None:
    """Throttled, failing and slow, a second one beside the first, on another port, gets ready all the same."""
    with developing("--throttle", "5", "--fail", "0.2", "--latency", "50ms") as bad:
        bad.wait_until_ready()
        assert bad.client.get("db-password") == b"made-up-password-0001"
        assert bad.ops != dev.ops
        for ops in (dev.ops, bad.ops):
            connection = HTTPConnection(ops, timeout=BOUND)
            connection.request("GET", "/metrics")
            assert read_answer(connection).status == 200
            connection.close()
        assert bad.end(signal.SIGTERM) == 0
