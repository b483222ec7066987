"""What is wrong is said in clear lines: in the configuration, in what a caller asks, in where it should listen."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from sidecar.client import UnixConnection
from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend, Start
from tests.e2e.processes import (
    Daemon,
    command,
    configuration,
    environment,
    lines_of,
    read_answer,
    running,
    short_folder,
)

MISTAKES = """\
secrets:
  a: sm:prod/db?stage
  b: {ref: "ssm:/x", refresh: soon}
  "../c": sm:x
  d: sm:x?via=nobody
cache: {refresh: 10}
kms:
  allow_keys: [mine]
fleet: {store: "redis://x"}
listen:
  ops: "9102"
"""


class TestConfiguration:
    """A wrong configuration starts nothing."""

    def test_every_mistake_is_told_at_once(self, aws: AwsAccount, folder: Path) -> None:
        """Each with file, line and key, keys of features to come too; exit code 2, no socket, no request to AWS."""
        (folder / "sidecar.yaml").write_text(MISTAKES)
        environ = environment(aws, SIDECAR_CACHE__TLL="1m", SIDECAR_LISTEN__UNIX__PATH=str(folder / "s"))
        aws.fake.forget_requests()
        ended = command("run", "--config", "sidecar.yaml", environ=environ, folder=folder)
        assert (ended.returncode, ended.stdout) == (2, "")
        places = ("2, secrets.a", "3, secrets.b.refresh", "4, secrets.", "5, secrets.d", "6, cache.refresh")
        for place in (*places, "8, kms.allow_keys.0", "9, fleet", "11, listen.ops"):
            assert f"sidecar.yaml line {place}" in ended.stderr
        assert "SIDECAR_CACHE__TLL, no key has this variable; did you mean SIDECAR_CACHE__TTL?" in ended.stderr
        assert "9 problems" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not (folder / "s").exists()
        assert aws.fake.counts() == {}

    def test_a_profile_that_is_not_there(self, folder: Path) -> None:
        """What the SDK's own files lack is a mistake of the configuration too."""
        (folder / "sidecar.yaml").write_text("identities: {default: {profile: no-such}}\nsecrets: {a: sm:x}")
        environ = environment(SIDECAR_LISTEN__UNIX__PATH=str(folder / "s"), SIDECAR_LISTEN__OPS="")
        ended = command("run", "--config", "sidecar.yaml", environ=environ, folder=folder)
        assert ended.returncode == 2
        assert "identities.default.profile" in ended.stderr
        assert "Traceback" not in ended.stderr


class TestReferences:
    """AWS does not have what the configuration names."""

    def test_a_ref_that_aws_does_not_know(self, aws: AwsAccount, start: Start, folder: Path) -> None:
        """The daemon runs and serves the rest, readyz says which and why, `get` exits 3 with the mend."""
        aws.put_parameter("/there", "v")
        daemon = start(ready=False, secrets={"there": "ssm:/there", "p": "ssm:/no/such", "s": "sm:no-such"})
        for ref in ("ssm:/no/such", "sm:no-such"):
            assert daemon.wait_for("check_failed", ref=ref)["why"] == "not_found"
        assert daemon.value("there").body == b"v"
        ready = daemon.get("/readyz")
        assert ready.status == 503
        unready = [{"name": "p", "reason": "not_found"}, {"name": "s", "reason": "not_found"}]
        assert ready.json["unready"] == unready
        assert daemon.from_ops("/readyz").json["unready"] == unready
        environ = environment(SIDECAR_SOCKET=str(daemon.socket))
        got = command("get", "p", environ=environ, folder=folder)
        assert (got.returncode, got.stdout) == (3, "")
        assert "ssm:/no/such" in got.stderr
        assert "Create it, or correct the reference, the region or the account." in got.stderr
        assert len(lines_of(got.stderr)) == 1
        asked = command("status", "--ready", environ=environ, folder=folder)
        assert asked.returncode == 5
        assert "p" in asked.stdout

    def test_local_decryption_under_the_aws_managed_key(self, aws: AwsAccount, start: Start) -> None:
        """Only Parameter Store may use it: refused, and the mend says what to do."""
        aws.put_parameter("/managed", "v")
        daemon = start(ready=False, secrets={"m": {"ref": "ssm:/managed", "decrypt": "local"}})
        answer = daemon.value("m")
        assert answer.status == 403
        assert "alias/aws/ssm" in answer.json["mend"]

    def test_an_optional_secret_keeps_nobody_from_being_ready(self, aws: AwsAccount, start: Start) -> None:
        """`required: false`: it is missing, the daemon is ready."""
        aws.put_parameter("/there", "v")
        daemon = start(secrets={"there": "ssm:/there", "gone": {"ref": "ssm:/gone", "required": False}})
        assert daemon.value("gone").status == 404
        assert daemon.get("/readyz").status == 200


@pytest.fixture(scope="module")
def asked(lend_account: Lend) -> Iterator[Daemon]:
    """Run a daemon that is asked nonsense."""
    with lend_account() as account, short_folder() as folder:
        account.put_parameter("/there", "v")
        with running(folder, {"secrets": {"there": "ssm:/there"}}, environment(account)) as one:
            yield one


class TestRequests:
    """Nonsense is answered as a problem, and leaves the daemon as it was."""

    @pytest.mark.parametrize(
        "name",
        ["a/../b", "%2e%2e", "a%2f..%2fb", "../a", "a%00", "%00", "a" * 10_240, "a//b", "/a", "a/b/", "a b", "ä"],
        ids=lambda name: name[:12],
    )
    def test_a_bad_name(self, asked: Daemon, name: str) -> None:
        """400, and the name is not repeated."""
        target = f"/v1/values/{name if name.isascii() and ' ' not in name else quote(name)}"
        answer = asked.get(target)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert answer.json["type"] == "urn:sidecar:problem:bad-name"
        assert name not in answer.body.decode()

    @pytest.mark.parametrize("ref", ["", "nonsense", "ftp:x", "sm:", "ssm:/x?version=a", "s3://b/k", "kms:A"])
    def test_a_bad_reference(self, asked: Daemon, ref: str) -> None:
        """400, what is to come later too."""
        assert asked.get(f"/v1/resolve?ref={quote(ref)}").status == 400

    @pytest.mark.parametrize(
        ("method", "target", "body", "status"),
        [
            ("GET", "/nowhere", b"", 404),
            ("GET", "/v1/values/unknown", b"", 404),
            ("GET", "/v1/watch?name=unknown", b"", 404),
            ("DELETE", "/v1/values/there", b"", 405),
            ("BREW", "/v1/values/there", b"", 405),
            ("GET", "/v1/values/there?colour=red", b"", 400),
            ("GET", "/v1/values", b"", 400),
            ("POST", "/v1/refresh", b"{", 400),
            ("POST", "/v1/refresh", b'{"names": "there"}', 400),
            ("POST", "/v1/refresh", b"x" * (1024 * 1024 + 1), 413),
        ],
    )
    def test_a_bad_request(self, asked: Daemon, method: str, target: str, body: bytes, status: int) -> None:
        """A problem with what to do about it."""
        answer = asked.ask(method, target, body)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json["mend"]

    def test_headers_beyond_all_measure(self, asked: Daemon) -> None:
        """431."""
        assert asked.get("/healthz", Padding="x" * 20_000).status == 431

    @pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n"])
    def test_what_is_no_http(self, asked: Daemon, noise: bytes) -> None:
        """Answered by a problem, or not at all; never by a text of the library's."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(30)
            plain.connect(str(asked.socket))
            plain.sendall(noise + b"\r\n\r\n")
            plain.shutdown(socket.SHUT_WR)
            received = plain.makefile("rb").read()
        assert received == b"" or b"application/problem+json" in received

    def test_callers_that_go_away_disturb_nobody(self, asked: Daemon) -> None:
        """Half requests, streams and waits are broken off; the next caller is served, and nothing is logged."""
        said = len(asked.log.all)
        for number in range(20):
            going = UnixConnection(str(asked.socket), 30)
            going.connect()
            if number % 2:
                going.sock.sendall(b"GET /v1/values/there HT")
            else:
                going.request("GET", "/v1/watch")
            going.close()
        assert asked.value("there").body == b"v"
        assert asked.log.all[said:] == []


def listen(folder: Path, path: str | Path, ops: str = "127.0.0.1:0") -> None:
    """Configure where to listen."""
    sections = {"listen": {"unix": {"path": str(path)}, "ops": ops}}
    (folder / "sidecar.yaml").write_text(json.dumps(configuration(folder, sections)))


class TestSockets:
    """Where it cannot listen it says so in one line and ends with 1; a path that no socket can have is exit code 2."""

    def refused(self, folder: Path, code: int = 1) -> str:
        """Start it, see it end, give what it said."""
        environ = environment(AWS_REGION="eu-west-1")
        ended = command("run", "--config", "sidecar.yaml", environ=environ, folder=folder)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stderr

    def test_a_path_too_long(self, folder: Path) -> None:
        """More than 107 bytes."""
        listen(folder, folder / ("x" * 108))
        assert "107 bytes" in self.refused(folder, code=2)

    def test_a_directory_that_cannot_be_written(self, folder: Path) -> None:
        """Told with the path."""
        listen(folder, "/proc/no-such/sidecar.sock")
        said = self.refused(folder)
        assert "/proc/no-such" in said
        assert len(lines_of(said)) == 1

    def test_a_port_in_use(self, folder: Path) -> None:
        """Told with the address; no socket is left behind."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            listen(folder, folder / "s", address)
            said = self.refused(folder)
        assert f"{address}: another process is listening there" in said
        assert len(lines_of(said)) == 1
        assert not (folder / "s").exists()

    def test_something_else_in_its_place(self, folder: Path) -> None:
        """A file that is no socket is left alone."""
        (folder / "s").write_text("precious")
        listen(folder, folder / "s")
        assert "no socket" in self.refused(folder)
        assert (folder / "s").read_text() == "precious"

    def test_a_group_that_is_not_there(self, folder: Path) -> None:
        """Part of the configuration's problems."""
        sections = {"listen": {"unix": {"path": str(folder / "s"), "group": "no-such-group"}, "ops": None}}
        (folder / "sidecar.yaml").write_text(json.dumps(configuration(folder, sections)))
        assert "listen.unix.group" in self.refused(folder, code=2)

    def test_a_live_socket_is_respected_a_stale_one_replaced(self, aws: AwsAccount, start: Start, folder: Path) -> None:
        """A second daemon does not start; after kill -9 of the first, one does, on the same path."""
        aws.put_parameter("/there", "v")
        first = start(secrets={"there": "ssm:/there"})
        said = self.refused(folder)
        assert f"{first.socket}: another process is serving on it" in said
        assert len(lines_of(said)) == 1
        assert first.value("there").body == b"v"
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        assert first.socket.exists()
        second = start(secrets={"there": "ssm:/there"})
        assert second.value("there").body == b"v"

    def test_the_folder_is_made_and_the_mode_set(self, folder: Path, aws: AwsAccount) -> None:
        """A missing parent directory is made; mode as configured; the socket answers."""
        path = folder / "deep" / "down" / "s"
        sections = {"listen": {"unix": {"path": str(path), "mode": "0600"}, "ops": None}}
        with running(folder, sections, environment(aws)):
            assert path.stat().st_mode & 0o777 == 0o600
            connection = UnixConnection(str(path), 30)
            connection.request("GET", "/readyz")
            assert read_answer(connection).status == 200
            connection.close()
        assert not path.exists()
