import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from sidecar.app import Bound
from sidecar.cli.playground import PlaygroundError, Wishes, banner, point_at, read_seeded, running_fake, sdk_environment
from sidecar.client import Client
from sidecar.core.errors import ConfigError
from tests.cli.processes import ENDING, SIDECAR, clean, read_until, run, running

CALM = {"SIDECAR_LOG__LEVEL": "warning"}


class Playground:
    """A running `sidecar dev`, and what it printed when it was ready to be used."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.printed = read_until(process.stdout, "export ")
        self.client = Client(folder / ".sidecar/sidecar.sock")

    @property
    def fake(self) -> int:
        """The process id of the fake AWS."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        return int(found.stdout)


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    """Start `sidecar dev` in an empty folder."""
    with running("dev", cwd=tmp_path, env=CALM) as process:
        yield Playground(process, tmp_path)


def test_a_new_user(playground: Playground) -> None:
    """The printed lines work when pasted, an edit of the seed arrives, Ctrl-C ends everything with 0."""
    assert shutil.which("curl"), "the lines are curl's"
    lines = re.findall(r"^  (curl .*)$", playground.printed, re.MULTILINE)
    assert len(lines) == 3
    pasted = [
        subprocess.run(["sh", "-c", f"{line} -sSf"], cwd=playground.folder, capture_output=True, text=True, check=True)
        for line in lines
    ]
    assert pasted[0].stdout == "made-up-api-key-0001"
    assert '"value": "made-up-api-key-0001"' in pasted[1].stdout
    assert '"db-password"' in pasted[2].stdout
    metrics = re.search(r"http://127\.0\.0\.1:\d+/metrics", playground.printed)
    assert metrics
    scrape = subprocess.run(["curl", "-sSf", metrics[0]], capture_output=True, text=True, check=True)
    assert 'sidecar_aws_requests_total{operation="GetParameters",outcome="ok",service="ssm"}' in scrape.stdout
    check_sdk(playground.printed)
    check_neighbour(playground.folder)
    check_edit(playground)
    fake = playground.fake
    playground.process.send_signal(signal.SIGINT)
    assert playground.process.wait(ENDING) == 0
    assert playground.process.stderr is not None
    assert "Traceback" not in playground.process.stderr.read()
    with pytest.raises(ProcessLookupError):
        os.kill(fake, 0)
    assert sorted(path.name for path in playground.folder.iterdir()) == [".sidecar", "sidecar.dev.yaml"]


def check_sdk(printed: str) -> None:
    """Let an unmodified SDK read what the app reads."""
    environment = dict(re.findall(r"(AWS_\w+)=(\S+)", printed))
    client = botocore.session.Session().create_client(
        "ssm",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    found = client.get_parameter(Name="/dev/api-key", WithDecryption=True)
    assert found["Parameter"]["Value"] == "made-up-api-key-0001"
    client.close()


def check_neighbour(folder: Path) -> None:
    """Let a second one be refused: the first stays."""
    ended = run("dev", cwd=folder)
    assert ended.returncode == 1
    assert ended.stderr.startswith("sidecar: a daemon answers at .sidecar/sidecar.sock already. End it")


def check_edit(playground: Playground) -> None:
    """Let an edit of the seed be told to whoever watches."""
    position = next(iter(playground.client.watch(["token"], since="new"))).position
    seed = playground.folder / "sidecar.dev.yaml"
    seed.write_text(seed.read_text().replace("made-up-token-0001", "made-up-token-0002"))
    next(iter(playground.client.watch(["token"], since=position)))
    assert playground.client.get("token") == b"made-up-token-0002"


def test_when_the_fake_dies(playground: Playground) -> None:
    """The daemon drains, and the last line says why it did."""
    os.kill(playground.fake, signal.SIGKILL)
    assert playground.process.wait(ENDING) == 1
    assert playground.process.stderr is not None
    assert playground.process.stderr.read().splitlines()[-1] == (
        "sidecar: the fake AWS ended by itself, with exit code -9."
    )


@pytest.mark.skipif(sys.platform != "linux", reason="it waits for a process that is no child by a pidfd")
def test_when_the_daemon_is_killed(playground: Playground) -> None:
    """The fake ends by itself: its standard input is closed."""
    fake = playground.fake
    descriptor = os.pidfd_open(fake)
    playground.process.kill()
    assert wait_for_end(descriptor)


def wait_for_end(descriptor: int) -> bool:
    """Wait until the process ends that this descriptor is of."""
    with os.fdopen(descriptor):
        return bool(select.select([descriptor], [], [], ENDING)[0])


def test_bad_weather_and_another_configuration(tmp_path: Path) -> None:
    """The options reach the fake; --config replaces the seed's section, and ./sidecar.yaml is left alone."""
    (tmp_path / "sidecar.yaml").write_text("nonsense: true")
    (tmp_path / "named.yaml").write_text("secrets: {mine: sm:dev/token}")
    arguments = ("--config", "named.yaml", "--socket", "s", "--throttle", "5", "--fail", "1", "--latency", "10ms")
    with running("dev", *arguments, cwd=tmp_path) as process:
        assert "http://localhost/v1/values/mine" in read_until(process.stdout, "export ")
        read_until(process.stderr, "check_failed")
        assert run("status", "--ready", "--socket", "s", cwd=tmp_path).stdout.startswith("not ready: mine (")
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDING) == 0


def test_when_the_terminal_is_closed(tmp_path: Path) -> None:
    """The hangup that would be a reload ends it: nobody is left to use it."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*SIDECAR, "dev"], cwd=tmp_path, env=clean(CALM), stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True
    ) as process:
        os.close(slave)
        read_until(process.stdout, "export ")
        os.close(master)
        process.send_signal(signal.SIGHUP)  # as the system would, were it the terminal's session
        assert process.wait(ENDING) == 0


def test_a_seed_that_becomes_bad_is_a_problem_of_configuration(tmp_path: Path) -> None:
    """A reload reports it, and changes nothing."""
    (tmp_path / "seed.yaml").write_text("{")
    with pytest.raises(ConfigError):
        read_seeded(Wishes(tmp_path / "seed.yaml"), {}, "")


def test_a_seed_without_a_section(tmp_path: Path) -> None:
    """The daemon declares nothing, and does what it does by default."""
    (tmp_path / "seed.yaml").write_text("parameters: {/a: b}")
    assert read_seeded(Wishes(tmp_path / "seed.yaml"), {}, "cache: {refresh: 2s}").cache.refresh == 2


def test_a_fake_that_does_not_start(tmp_path: Path) -> None:
    """It has said why on standard error; the line tells how it ended."""
    with pytest.raises(PlaygroundError, match="did not start, with exit code 2"), running_fake(Wishes(tmp_path / "x")):
        pass


def test_nothing_of_the_users_aws_is_used() -> None:
    """No profile, no session, no other endpoint, no proxy between us and the fake."""
    environ = {"AWS_PROFILE": "prod", "AWS_ENDPOINT_URL_SSM": "https://x", "PATH": "/bin", "no_proxy": "a"}
    point_at(sdk_environment("http://127.0.0.1:1", "eu-west-1"), environ)
    assert environ == {
        "PATH": "/bin",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": "a,127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }


def test_a_banner_without_secrets() -> None:
    """There is something to try all the same; what does not listen is not shown."""
    shown = banner(Bound("a b/s", None), [], Path("seed.yaml"), {})
    assert shown.count("curl --unix-socket 'a b/s' http://localhost/v1/") == 3
    assert "metrics" not in shown
