"""Start what is measured, a fake AWS and a daemon, ask both, and end them: the daemon in its production environment."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import botocore
import botocore.session
from prometheus_client.parser import text_string_to_metric_families

from bench.environment import ROOT, run_only_python
from sidecar.fakeaws.control import FakeAws, running_fake
from sidecar.fakeaws.wire import DEFAULT_ACCOUNT

REGION: Final = "eu-west-1"
ENTRY: Final = ("-c", "from sidecar.cli import main; main()", "run", "--config")
"""How the installed `sidecar run --config` begins."""

_AUTHORITIES: Final = Path(botocore.__file__).with_name("cacert.pem")
_TRIES: Final = 200
Metrics = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def pause(seconds: float) -> None:
    """Let time pass: a benchmark measures what happens meanwhile."""
    time.sleep(seconds)  # noqa: TID251 -- likewise


def until(there: Callable[[], bool], *, within: float, every: float = 0.02) -> float:
    """Wait until something is there; give the seconds that it took, raise TimeoutError when it takes too long."""
    began = time.perf_counter()
    while not there():
        if time.perf_counter() - began > within:
            raise TimeoutError
        pause(every)
    return time.perf_counter() - began


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("sidecar", timeout=30)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class Inside:
    """What a daemon that was started by `bench.inside` tells of itself; times are milliseconds."""

    work: float
    wall: float
    modules: frozenset[str]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that runs."""

    process: subprocess.Popen[bytes]
    socket: Path
    config: Path

    def ask(self, path: str) -> tuple[int, bytes]:
        """Give the status and the body of an answer; status 0 while nobody listens."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def post(self, path: str, body: Mapping[str, object]) -> tuple[int, Mapping[str, object]]:
        """Give the status and the JSON of an answer to a body."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request("POST", path, self.encoded(body))
            answer = connection.getresponse()
            told: Mapping[str, object] = json.loads(answer.read())
            return answer.status, told
        finally:
            connection.close()

    @staticmethod
    def encoded(body: Mapping[str, object]) -> bytes:
        """Write a body."""
        return json.dumps(body).encode()

    def ready(self) -> bool:
        """Tell whether every required secret is held; raises ChildProcessError when the daemon has ended."""
        if self.process.poll() is not None:
            raise ChildProcessError("The daemon ended; its reason is on standard error.")
        return self.ask("/readyz")[0] == 200

    def metrics(self) -> Metrics:
        """Give every sample by its name and labels."""
        families = text_string_to_metric_families(self.ask("/metrics")[1].decode())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def requests(self) -> dict[str, int]:
        """Give how many requests it says it made of AWS, by `service.Operation`."""
        counts: Counter[str] = Counter()
        for (name, labels), value in self.metrics().items():
            if name == "sidecar_aws_requests_total" and value:
                told = dict(labels)
                counts[f"{told['service']}.{told['operation']}"] += int(value)
        return dict(counts)

    def kms_charges(self) -> int:
        """Give how many decryptions it says were asked of KMS."""
        return sum(int(value) for (name, _), value in self.metrics().items() if name == "sidecar_kms_charges_total")

    def look_inside(self) -> Inside:
        """Ask a daemon that was started by `bench.inside`; the next look tells of what comes after this one."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        told = json.loads(self.process.stdout.readline())
        return Inside(told["work"], told["wall"], frozenset(told["modules"]))

    def worked(self) -> float:
        """Give the processor time that it has used (seconds): what the machine gave to others does not count."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)

    def resident(self) -> int:
        """Give its resident memory in KiB (VmRSS)."""
        found = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])


@dataclass(frozen=True, slots=True)
class World:
    """A fake AWS, and a folder for the files of one figure."""

    fake: FakeAws
    folder: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs to find this AWS, and to trust it beside all the authorities that it trusts anyway."""
        bundle = self.folder / "authorities.pem"
        assert self.fake.ca is not None
        bundle.write_bytes(_AUTHORITIES.read_bytes() + Path(self.fake.ca).read_bytes())
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": DEFAULT_ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_CA_BUNDLE": str(bundle),
        }

    def configure(self, secrets: Mapping[str, str], **more: object) -> Path:
        """Write a configuration (YAML is a superset of JSON); the quotas leave room for any pace of a benchmark."""
        config = {
            "secrets": secrets,
            "identities": {"default": {"region": REGION, "endpoint_url": self.fake.url}},
            "listen": {"unix": {"path": str(self.folder / "s")}, "ops": "127.0.0.1:0"},
            "quotas": {"limits": {"ssm.get": 10000}},
            "log": {"level": "warning"},
            **more,
        }
        path = self.folder / "sidecar.yaml"
        path.write_text(json.dumps(config, indent=1))
        return path

    @contextmanager
    def daemon(self, config: Path, *, entry: Sequence[str] = ENTRY, python: Path | None = None) -> Iterator[Daemon]:
        """Run a daemon for the length of a `with` block."""
        command = [str(python or run_only_python()), *entry, str(config)]
        with subprocess.Popen(command, env=self.environ, cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                yield Daemon(process, self.folder / "s", config)
            finally:
                process.terminate()

    def put(self, name: str, value: str) -> None:
        """Change a parameter."""
        self._client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def put_secret(self, name: str, value: str) -> None:
        """Change a secret."""
        self._client("secretsmanager").put_secret_value(SecretId=name, SecretString=value)

    def create_key(self) -> str:
        """Make a symmetric key; give its ARN."""
        return str(self._client("kms").create_key()["KeyMetadata"]["Arn"])

    def create_pair(self, spec: str) -> str:
        """Make a key pair to sign with; give its ARN."""
        return str(self._client("kms").create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])

    def _client(self, service: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- the SDK makes its classes as it runs
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.fake.url,
            aws_access_key_id=DEFAULT_ACCOUNT,
            aws_secret_access_key="made-up",
            verify=self.fake.ca,
        )


@contextmanager
def world(parameters: int, secrets: int = 0) -> Iterator[World]:
    """Run a fake AWS that holds `/p/0` and so on, each encrypted, and the secrets `s/0` and so on."""
    seed = {
        "region": REGION,
        "parameters": {
            f"/p/{number}": {"value": f"value-{number}-{'x' * 24}", "type": "SecureString"}
            for number in range(parameters)
        },
        "secrets": {f"s/{number}": f"secret-{number}-{'x' * 24}" for number in range(secrets)},
    }
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder:
        path = Path(folder, "seed.yaml")
        path.write_text(json.dumps(seed))
        with running_fake(["--seed", str(path), "--tls", "self-signed"]) as fake:
            yield World(fake, Path(folder))


def declared(parameters: int, secrets: int = 0) -> dict[str, str]:
    """Give the `secrets` section for as many of each."""
    return {f"p{number}": f"ssm:/p/{number}" for number in range(parameters)} | {
        f"s{number}": f"sm:s/{number}" for number in range(secrets)
    }


def agreed(fake: Callable[[], object], daemon: Callable[[], object]) -> tuple[object, object]:
    """Give what both count at a moment at which nothing is under way: the fake says the same before and after."""
    before = fake()
    for _ in range(_TRIES):
        told = daemon()
        after = fake()
        if before == after == told:
            break
        before = after
    return after, told
