"""Plaintext goes nowhere but into answers with values: every other output is searched for planted values."""

import base64
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend
from tests.e2e.processes import Daemon, command, configuration, environment, read_answer, running, send, short_folder

SECURE, SECURE_NEXT = "Canary0secure1x7Qe", "Canary0secure2k3Zp"
FIELD, FIELD_NEXT = "Canary0field1m8Wr", "Canary0field2b5Yt"
BINARY = b"\x00\xff Canary0binary9vJd \xfe"
TREE, LOCAL = "Canary0tree4nHs", "Canary0local6cGa"
CUSTOMERS_KEY, OBJECT = b"Canary0customers-key-of-32-bytes", "Canary0object8sBd"
ACCESS_SECRET, SESSION_TOKEN = "Canary0keyQf2u", "Canary0token/8+Lo="
MISPLACED = "Canary0misplaced3tXi"
"""A secret that somebody sends or configures where a name, a reference or a header should be."""

CANARIES = [
    *(value.encode() for value in (SECURE, SECURE_NEXT, FIELD, FIELD_NEXT, TREE, LOCAL, MISPLACED)),
    *(value.encode() for value in (ACCESS_SECRET, SESSION_TOKEN)),
    OBJECT.encode(),
    CUSTOMERS_KEY,
    BINARY,
    b"Canary0",  # whatever is cut short
]


def shapes(secret: bytes) -> Iterator[bytes]:
    """Give every shape in which a secret might be written, also in the midst of something longer."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield quote(secret).encode()
    yield quote(secret, safe="").encode()
    yield repr(secret)[2:-1].encode()
    yield json.dumps(secret.decode("latin-1"))[1:-1].encode()
    for before in range(3):  # base64 looks different behind one or two other bytes
        encoded = base64.b64encode(b"." * before + secret)[(0, 2, 3)[before] :]
        whole = encoded.rstrip(b"=")[: -1 if (before + len(secret)) % 3 else None]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


@dataclass
class Outputs:
    """All that came out of the program, by where it came from."""

    by_place: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, content: str | bytes) -> None:
        """Keep what came out there."""
        content = content if isinstance(content, bytes) else content.encode()
        self.by_place[place] = self.by_place.get(place, b"") + content

    def holding(self, secret: bytes) -> list[str]:
        """Name the places where the secret can be read, in whatever shape."""
        looked_for = set(shapes(secret))
        return [place for place, content in self.by_place.items() if any(shape in content for shape in looked_for)]


@dataclass
class Scene:
    """A daemon that holds canaries, and what it has put out."""

    aws: AwsAccount
    daemon: Daemon
    outputs: Outputs

    def ask(self, method: str, target: str, body: object = None, **headers: str) -> None:
        """Ask for something that is no value, and keep the whole answer."""
        answer = self.daemon.ask(method, target, body, **headers)
        self.outputs.add(f"{method} {target[:40]} {answer.status}", answer.body + repr(answer.headers).encode())

    def look_everywhere(self) -> None:
        """Ask for all that tells how the daemon stands."""
        for target in ("/v1/status", "/v1/secrets", "/openapi.json", "/readyz", "/healthz", "/metrics"):
            self.ask("GET", target, Accept="application/openmetrics-text")
        for target in ("/metrics", "/readyz", "/healthz", "/v1/values/secure"):
            self.outputs.add(f"ops {target}", self.daemon.from_ops(target).body)

    def write_badly(self) -> None:
        """Send a secret where none belongs."""
        self.ask("GET", f"/v1/values/{MISPLACED}%20")
        self.ask("GET", f"/v1/resolve?ref={MISPLACED}")
        self.ask("GET", f"/v1/resolve?ref=ssm:/x%23{MISPLACED}&{MISPLACED}=1")
        self.ask("GET", f"/{MISPLACED}")
        self.ask("POST", "/v1/refresh", {"names": [f"{MISPLACED} "], MISPLACED: 1})
        self.ask("POST", "/v1/refresh", f'{{"{MISPLACED}'.encode())
        self.ask("GET", "/v1/values/secure?x=1", Authorization=f"Bearer {MISPLACED}", If_None_Match=f'"{MISPLACED}"')
        self.ask(f"GET{MISPLACED}", "/healthz")
        for noise in (
            f"GET /{MISPLACED} HTTP/9\r\n\r\n",
            f"{MISPLACED}\r\n\r\n",
            f"GET / HTTP/1.1\r\n{MISPLACED}\r\n\r\n",
        ):
            connection = self.daemon.connect()
            connection.connect()
            connection.sock.sendall(noise.encode())
            connection.sock.shutdown(1)
            self.outputs.add("noise", connection.sock.makefile("rb").read())

    def reload(self, text: str) -> None:
        """Have a configuration read; what is said of it is in the log."""
        said = self.daemon.reload(text)
        self.daemon.log.wait_for(lambda line: "config_re" in line, skip=said)


SECRETS = {
    "secure": "ssm:/c/secure",
    "local": {"ref": "ssm:/c/local", "decrypt": "local"},
    "field": "sm:c/json#password",
    "no-field": {"ref": "sm:c/json#nothing", "required": False},
    "no-json": {"ref": "ssm:/c/secure#x", "required": False},
    "binary": "sm:c/binary",
}
SECTIONS = {
    "secrets": SECRETS,
    "trees": {"tree": "ssm:/c/tree/"},
    "cache": {"refresh": "1s", "negative_ttl": "1s"},
    "log": {"level": "debug", "format": "json", "audit": True},
}
FILES: dict[str, dict[str, object]] = {
    "env": {"template": "P={{ secret('secure') }}\nF={{ secret('field') | json }}\n", "wait": "0s:1s"},
    "leaves": {"tree": "tree"},
    "broken": {"template": "{{ secret_json('secure').user }}", "on_change": {"exec": ["/bin/false"]}},
    "refused": {"secret": "field", "wait": "0s:1s", "on_change": {"exec": ["/bin/sh", "-c", "cat env >&2; exit 1"]}},
}
"""What is written by the configuration's own wish, and so may hold values; what is told of it may not."""

DELIVERED = "delivered"


def sections(folder: Path, aws: AwsAccount) -> dict[str, object]:
    """Have an object, and files written there too."""
    (folder / DELIVERED).mkdir(exist_ok=True)
    files = [{"path": str(folder / DELIVERED / name), "allow_disk": True, **spec} for name, spec in FILES.items()]
    ref = f"s3://{aws.bucket}/object?sse_c=customers-key"
    secrets = {**SECRETS, "customers-key": "sm:c/customers-key", "object": ref}
    return {**SECTIONS, "secrets": secrets, "files": files}


def plant(aws: AwsAccount) -> None:
    """Store the canaries."""
    aws.put_parameter("/c/secure", SECURE)
    aws.put_parameter("/c/local", LOCAL, KeyId=aws.create_key("alias/canary"))
    aws.put_parameter("/c/tree/leaf", TREE)
    aws.put_secret("c/json", json.dumps({"password": FIELD}))
    aws.put_secret("c/binary", BINARY)
    aws.put_secret("c/customers-key", CUSTOMERS_KEY)
    aws.put_object("object", OBJECT.encode(), SSECustomerAlgorithm="AES256", SSECustomerKey=CUSTOMERS_KEY)


def live_through(scene: Scene) -> None:
    """Let everything happen that makes a daemon talk: changes, misuse, refusals, outages, reloads."""
    daemon, aws = scene.daemon, scene.aws
    watch = daemon.watch()
    values = {name: daemon.value(name) for name in ("secure", "local", "field", "binary", "tree/leaf", "object")}
    assert [answer.body for answer in values.values()] == [
        value if isinstance(value, bytes) else value.encode() for value in (SECURE, LOCAL, FIELD, BINARY, TREE, OBJECT)
    ]
    scene.outputs.add("headers", repr([answer.headers for answer in values.values()]))
    aws.put_parameter("/c/secure", SECURE_NEXT)
    aws.put_secret("c/json", json.dumps({"password": FIELD_NEXT}))
    assert daemon.changed("secure", values["secure"].etag).body == SECURE_NEXT.encode()
    assert daemon.changed("field", values["field"].etag).body == FIELD_NEXT.encode()
    assert daemon.get("/v1/values/secure?previous=1").body == SECURE.encode()
    scene.outputs.add("watch", repr([watch.next_event(), watch.next_event()]))
    for name in ("no-field", "no-json", "nobody"):
        scene.ask("GET", f"/v1/values/{name}")
        scene.ask("GET", f"/v1/values?name={name}&name=secure")
    scene.look_everywhere()
    scene.write_badly()
    for kind in ("html-200", "access-denied", "expired-token", "outage"):
        said = len(daemon.log.all)
        aws.fake.fault(kind, message=f"AWS quotes {MISPLACED}" if kind == "access-denied" else None)
        daemon.wait_for_next(said, "check_failed", ref="ssm:/c/secure")
        scene.ask("POST", "/v1/refresh", {}, Prefer="wait=1")
        scene.ask("GET", "/v1/resolve?ref=sm:cold", Prefer="wait=1")
        scene.look_everywhere()
        aws.fake.clear()
        daemon.wait_for_next(said, "secret_recovered", ref="ssm:/c/secure")
    scene.reload(f"secrets: {{x: '{MISPLACED}', y: 'sm:{MISPLACED}?x', z: {{ref: 'kms:{MISPLACED}'}}}}")
    scene.reload(f"secrets: [{MISPLACED}")
    scene.reload(json.dumps(configuration(daemon.folder, sections(daemon.folder, aws))))
    scene.look_everywhere()


def ask_by_commands(scene: Scene, environ: dict[str, str]) -> None:
    """Run every command that shows no value, and those that fail."""
    for arguments in (
        ("list",),
        ("list", "--json"),
        ("status",),
        ("status", "--json"),
        ("refresh",),
        ("get", "no-field"),
        ("get", "no-json"),
    ):
        ended = command(*arguments, environ=environ, folder=scene.daemon.folder)
        scene.outputs.add(f"sidecar {arguments[0]}", ended.stdout + ended.stderr)


def drain(scene: Scene) -> None:
    """End it with a caller under way, and keep its log and what it left on disk."""
    waiting = scene.daemon.connect()
    send(waiting, "GET", "/v1/watch")
    assert scene.daemon.end(signal.SIGTERM) == 0
    waiting.close()
    scene.outputs.add("log", scene.daemon.log.text)
    for path in scene.daemon.folder.rglob("*"):
        is_asked_for = DELIVERED in path.parts and not path.name.endswith(".sidecar")
        if path.is_file() and path != scene.daemon.config and not is_asked_for:
            scene.outputs.add(f"file {path}", path.read_bytes())


@pytest.fixture(scope="module")
def outputs(lend_account: Lend) -> Iterator[Outputs]:
    """Let a daemon live through everything, and give all that came out of it."""
    with lend_account() as account, short_folder() as folder:
        plant(account)
        keys = {"AWS_SECRET_ACCESS_KEY": ACCESS_SECRET, "AWS_SESSION_TOKEN": SESSION_TOKEN}
        with running(folder, sections(folder, account), environment(account, **keys)) as daemon:
            scene = Scene(account, daemon, Outputs())
            live_through(scene)
            ask_by_commands(scene, environment(SIDECAR_SOCKET=str(daemon.socket)))
            drain(scene)
        yield scene.outputs


@pytest.mark.parametrize("secret", CANARIES, ids=range(len(CANARIES)))
def test_no_output_holds_a_value(outputs: Outputs, secret: bytes) -> None:
    """Not in plain, base64, hex, URL or JSON escapes: log at debug, metrics, status, errors, commands, files."""
    assert outputs.holding(secret) == []


def test_enough_was_searched(outputs: Outputs) -> None:
    """The search would have found something: what it looks through is long, and the log tells of what happened."""
    log = outputs.by_place["log"].decode()
    for event in ("secret_changed", "check_failed", "secret_recovered", "config_rejected", "secret_accessed"):
        assert event in log
    for event in ("file_written", "hook_failed", "file_failed"):
        assert event in log
    assert any(place.endswith(".sidecar") for place in outputs.by_place)
    assert "sidecar_aws_requests_total" in outputs.by_place["ops /metrics"].decode()
    assert len(outputs.by_place) > 30


@pytest.mark.parametrize("written", [b"x%sy", b"xx%s", b"%s", b"\x00\x01%s\xff"])
def test_the_search_finds_every_shape(written: bytes) -> None:
    """A canary is found in the midst of plain text, hex, base64 of all three alignments, URL and JSON escapes."""
    for secret in (SECURE.encode(), SESSION_TOKEN.encode(), BINARY):
        whole = written.replace(b"%s", secret)
        for content in (
            whole,
            whole.hex().encode(),
            base64.b64encode(whole),
            base64.urlsafe_b64encode(whole),
            quote(whole).encode(),
            json.dumps(whole.decode("latin-1")).encode(),
        ):
            outputs = Outputs()
            outputs.add("here", content)
            assert outputs.holding(secret) == ["here"], content


def test_it_leaves_no_core_dump(aws: AwsAccount, folder: Path) -> None:
    """No core dump could be written, whatever the shell that started it allows."""
    with running(folder, {}, environment(aws)) as daemon:
        limits = Path(f"/proc/{daemon.process.pid}/limits")
        if not limits.exists():
            pytest.skip("this system has no /proc")
        core = next(line for line in limits.read_text().splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        connection = daemon.connect()
        send(connection, "GET", "/healthz")
        assert read_answer(connection).status == 200
