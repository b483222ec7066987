"""What the process is: nothing optional in memory, no core dump, no debugger, a file for its socket and no more."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend
from tests.e2e.processes import (
    BOUND,
    PROGRAM,
    Daemon,
    Lines,
    configuration,
    environment,
    short_folder,
    spawned,
)

OPTIONAL = (
    "aws_encryption_sdk",
    "boto3",
    "cryptography",
    "flask",
    "jinja2",
    "moto",
    "pydantic_settings",
    "redis",
    "s3transfer",
    "sidecar.aws.ciphertexts",
    "sidecar.aws.s3",
    "sidecar.client",
    "sidecar.engine.lending",
    "sidecar.envelope",
    "sidecar.fakeaws",
    "sidecar.fleet",
    "sidecar.outputs",
    "sidecar.settings",
    "sidecar.systemd",
    "werkzeug",
)
"""What a daemon does not need that keeps secrets and parameters fresh: each costs megabytes.

Not `rich`: structlog takes it in by itself where it is installed, as the tools of development have it.
"""

TOLD_BY_ITSELF = """
import ctypes, json, os, resource, sys
from sidecar.cli.configured import load_config
from sidecar.cli.daemon import run
def tell(bound, config):
    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
    print(json.dumps({"dumpable": dumpable, "core": resource.getrlimit(resource.RLIMIT_CORE)}), flush=True)
run(lambda: load_config(None, os.environ), on_bound=tell)
print(json.dumps(sorted(sys.modules)))
"""
"""The daemon as `sidecar run` starts it, that tells of itself once it is bound and once it has ended."""


@pytest.fixture(scope="module")
def told(lend_account: Lend) -> Iterator[tuple[dict[str, object], set[str]]]:
    """Run it until it has read values of both sources and a tree; give what it said of itself, and its modules."""
    with lend_account() as account, short_folder() as folder:
        fill(account)
        environ = environment(account, SIDECAR_CONFIG_YAML=json.dumps(sections(folder)))
        with spawned([sys.executable, "-c", TOLD_BY_ITSELF], environ, folder) as (process, out, log):
            log.wait_for(lambda line: "daemon_ready" in line)
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND) == 0
        yield json.loads(out.all[0]), set(json.loads(out.all[1]))


def fill(account: AwsAccount) -> None:
    """Store a value for each way of reading one."""
    account.put_secret("s", "v")
    account.put_parameter("/p", "v", KeyId=account.create_key("alias/p"))
    account.put_parameter("/tree/leaf", "v")


def sections(folder: Path) -> dict[str, object]:
    """Declare them all."""
    return {
        "secrets": {"s": "sm:s", "p": {"ref": "ssm:/p", "decrypt": "local"}},
        "trees": {"t": "ssm:/tree/"},
        "listen": {"unix": {"path": str(folder / "s")}, "ops": "127.0.0.1:0"},
        "log": {"format": "json"},
    }


@pytest.mark.parametrize("module", OPTIONAL)
def test_what_is_not_configured_is_not_imported(told: tuple[dict[str, object], set[str]], module: str) -> None:
    """After a whole life, with every source used, it is not there."""
    assert not {each for each in told[1] if each == module or each.startswith(f"{module}.")}


def test_its_memory_is_its_own(told: tuple[dict[str, object], set[str]]) -> None:
    """No core dump can be written, no process of the same user can look in."""
    assert told[0] == {"dumpable": 0, "core": [0, 0]}


def test_it_outlives_the_reader_of_its_log(aws: AwsAccount, folder: Path) -> None:
    """When the collector of its lines dies, it goes on serving what changes, reloads and ends in good order."""
    aws.put_parameter("/a", "one")
    text = json.dumps(configuration(folder, {"secrets": {"a": "ssm:/a"}, "cache": {"refresh": "1s"}}))
    (folder / "sidecar.yaml").write_text(text)
    reader, writer = os.pipe()
    with subprocess.Popen(
        [PROGRAM, "run", "--config", "sidecar.yaml"], cwd=folder, env=environment(aws), stderr=writer
    ) as process:
        os.close(writer)
        with os.fdopen(reader, "rb") as lines:
            next(line for line in lines if b"daemon_ready" in line)
        daemon = Daemon(process, Lines(io.BytesIO()), folder)
        held = daemon.value("a")
        aws.put_parameter("/a", "two")
        changed = daemon.value("a", If_None_Match=held.etag)
        aws.fake.fault("outage")
        daemon.reload("nonsense: 1")
        while not daemon.get("/v1/secrets/a").json["reason"]:
            daemon.value("a", If_None_Match=changed.etag, Prefer="wait=1")
        assert daemon.value("a").body == b"two"
        daemon.end()
    assert not (folder / "s").exists()


@pytest.mark.parametrize("command", ["version", "get", "status"])
def test_questions_do_not_pay_for_the_daemon(command: str) -> None:
    """What a health check runs imports neither the SDK nor the HTTP library nor the configuration's."""
    heavy = (
        "aiobotocore",
        "aiohttp",
        "botocore",
        "pydantic",
        "prometheus_client",
        "rich",
        "structlog",
        "uvloop",
        "yaml",
    )
    code = (
        "import json, sys\n"
        "from sidecar.cli import main\n"
        "try:\n"
        f"    main([{command!r}, *{['x'] if command == 'get' else []!r}, '--socket', '/nowhere/s'])\n"
        "except SystemExit:\n"
        "    print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, timeout=BOUND
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert not imported & set(heavy)
