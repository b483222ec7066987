import json
import os
import signal
import socket
from pathlib import Path

from sidecar.client import Client
from tests.aws_fixtures import AwsAccount
from tests.cli.processes import ENDING, read_until, run, running

BROKEN = """\
secrets:
  db: nonsense
cache:
  refresh: soon
extra: 1
"""


def test_every_problem_of_a_configuration(tmp_path: Path) -> None:
    """All at once, each with its line and key; exit 2, and nothing was started."""
    (tmp_path / "sidecar.yaml").write_text(BROKEN)
    ended = run("run", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert lines[0] == "sidecar: 3 problems"
    assert [line.split(":")[0] for line in lines[1:4]] == [
        "  sidecar.yaml line 2, secrets.db",
        "  sidecar.yaml line 4, cache.refresh",
        "  sidecar.yaml line 5, extra",
    ]
    assert "sidecar config schema" in lines[4]
    assert [path.name for path in tmp_path.iterdir()] == ["sidecar.yaml"]


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    """A file that was named must be."""
    ended = run("run", "--config", "missing.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "missing.yaml, it cannot be read: No such file or directory" in ended.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    """One line, and 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("run", cwd=tmp_path, env={"SIDECAR_LISTEN__OPS": address, "SIDECAR_LISTEN__UNIX__PATH": "s"})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"sidecar: {address}: another process is listening there.")
    assert len(ended.stderr.splitlines()) == 1


def test_a_reload_that_is_asked_for_too_early_does_no_harm(tmp_path: Path) -> None:
    """A SIGHUP while the daemon still reads its configuration does not end it."""
    os.mkfifo(tmp_path / "slow.yaml")
    with running("run", "--config", "slow.yaml", cwd=tmp_path, env={"AWS_REGION": "eu-west-1"}) as process:
        with (tmp_path / "slow.yaml").open("w") as writing:  # waits until the daemon has opened it
            process.send_signal(signal.SIGHUP)
            writing.write("listen: {unix: {path: s}, ops: 127.0.0.1:0}")
        read_until(process.stderr, "daemon_started")
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDING) == 0


def test_from_start_to_end(tmp_path: Path, aws: AwsAccount) -> None:
    """The environment alone configures it; it serves, reloads on SIGHUP, drains on SIGTERM and ends with 0."""
    aws.client("secretsmanager").create_secret(Name="prod/db", SecretString="one")
    env = aws.env | {"SIDECAR_LISTEN__UNIX__PATH": "s", "SIDECAR_LISTEN__OPS": "127.0.0.1:0"}
    env["SIDECAR_SECRETS"] = "db=sm:prod/db"
    with running("run", cwd=tmp_path, env=env) as process:
        read_until(process.stderr, "daemon_started")
        client = Client(tmp_path / "s")
        assert client.get("db", wait=30) == b"one"
        assert client.ready().ready
        (tmp_path / "sidecar.yaml").write_text("secrets: {again: sm:prod/db}")
        process.send_signal(signal.SIGHUP)
        read_until(process.stderr, "config_reloaded")
        assert client.get("again") == b"one"
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDING) == 0
        assert process.stderr is not None
        assert json.loads(process.stderr.read().splitlines()[-1])["event"] == "daemon_stopped"
    assert not (tmp_path / "s").exists()
