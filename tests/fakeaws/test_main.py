"""The fake as a process: what it prints, how it is told, and that it never outlives its parent."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from sidecar.fakeaws import control
from sidecar.fakeaws.__main__ import main
from tests.aws_fixtures import AwsAccount, refusal


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Run a fake, ended with the test however that ends."""
    with subprocess.Popen(control.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        yield started
        started.kill()


def _serve(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return control.parse_start(process.stdout.readline()).url


def test_ends_on_sigterm(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM ends it well."""
    with urlopen(f"{_serve(process)}/_fake/health") as answer:
        assert answer.read() == b'{"ok": true}'
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_ends_with_its_standard_input(process: subprocess.Popen[bytes]) -> None:
    """When the parent closes the pipe, the fake is gone; what comes on it before is of no interest."""
    _serve(process)
    assert process.stdin is not None
    process.stdin.write(b"hello\n")
    process.stdin.close()
    assert process.wait(10) == 0


def test_ends_when_its_parent_died() -> None:
    """A fake whose parent was killed does not stay behind, even without a pipe."""
    orphan = (
        "import subprocess, sys\n"
        "fake = subprocess.Popen([sys.executable, '-m', 'sidecar.fakeaws'], stdin=subprocess.DEVNULL)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", orphan]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        _serve(parent)
        parent.kill()
        assert parent.stdout is not None
        assert parent.stdout.read() == b""  # the fake held the other end


def test_serves_what_the_seed_says(tmp_path: Path) -> None:
    """The seed is there before the first request, and its edits follow within a second or so."""
    seed = tmp_path / "seed.yaml"
    seed.write_text('{account: "123456789012", region: eu-west-1, parameters: {/a: one}}')
    with control.running_fake(["--seed", str(seed)]) as fake:
        ssm = AwsAccount(fake.of("123456789012")).client("ssm")
        assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "one"
        seed.write_text('{account: "123456789012", region: eu-west-1, parameters: {/a: changed}}')
        while ssm.get_parameter(Name="/a")["Parameter"]["Version"] == 1:
            pass
        assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "changed"


def test_bad_weather_from_the_start() -> None:
    """--throttle and --fail are for every account."""
    with control.running_fake(["--throttle", "1", "--fail", "1", "--latency", "1ms"]) as fake:
        kms = AwsAccount(fake.of("123456789012")).client("kms")
        assert refusal(kms.list_keys).status in {500, 503}
    with control.running_fake(["--throttle", "1"]) as fake:
        kms = AwsAccount(fake.of("123456789012")).client("kms")
        fake.latency(0.001)
        kms.list_keys()
        assert refusal(kms.list_keys).code == "ThrottlingException"


def test_serves_tls() -> None:
    """With --tls self-signed the printed certificate is what clients must trust."""
    with control.running_fake(["--tls", "self-signed"]) as fake:
        assert fake.url.startswith("https://127.0.0.1:")
        assert fake.ca is not None
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{fake.url}/_fake/health")
        fake.forget_requests()
        sts = AwsAccount(fake.of("123456789012")).client("sts")
        assert sts.get_caller_identity()["Account"] == "123456789012"
    assert not Path(fake.ca).exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--latency", "soon"], "want a duration like 100ms or 2s, got soon"),
        (["--fail", "2"], "2.0 is not in the range"),
        (["--seed", "none.yaml"], "does not exist"),
    ],
)
def test_wrong_usage(options: list[str], problem: str) -> None:
    """Wrong options are told with what would be right."""
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert problem in result.output


def test_bad_seed_starts_nothing(tmp_path: Path) -> None:
    """A seed that cannot be read is told, exit 2."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("secrets: [a]")
    result = CliRunner().invoke(main, ["--seed", str(seed)])
    assert result.exit_code == 2
    assert "secrets: want a mapping" in result.output


def test_a_fake_that_never_served() -> None:
    """Whoever waits for the line is told when the process ended first."""
    command = control.command("--seed", "none.yaml")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        with pytest.raises(ChildProcessError):
            control.parse_start(process.stdout.readline())
