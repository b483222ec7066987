"""Files that the daemon keeps: written from memory to memory, told of, and never torn."""

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import Daemon, Json, configuration

FAST = {"refresh": "1s", "negative_ttl": "1s"}


@pytest.fixture
def memory() -> Iterator[Path]:
    """Give a folder in memory."""
    if not Path("/dev/shm").is_dir():
        assert "CI" not in os.environ
        pytest.skip("this system has no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="sidecar-") as made:
        yield Path(made)


def mode(path: Path) -> int:
    """Give a file's bits."""
    return stat.S_IMODE(path.stat().st_mode)


def left(folder: Path) -> list[str]:
    """Name all that lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def reloaded(daemon: Daemon, sections: dict[str, object]) -> None:
    """Have another configuration taken in."""
    said = daemon.reload(json.dumps(configuration(daemon.folder, sections)))
    daemon.wait_for_next(said, "config_reloaded")


def test_a_rotation_reaches_files_and_their_programs(aws: AwsAccount, start: Start, memory: Path) -> None:
    """Value, field, template and tree are written as they are declared; a change is written and told once."""
    aws.put_secret("db", json.dumps({"user": "app", "password": "it's $1"}))
    aws.put_parameter("/app/a", "one")
    aws.put_parameter("/app/sub/b", "two")
    told, template = memory / "told", memory / "t.j2"
    template.write_text("{% for name, value in tree('app').items() %}{{ name }}={{ value | shell }}\n{% endfor %}")
    hook = [sys.executable, "-c", "import os, sys; open(sys.argv[1], 'a').write(os.environ['SIDECAR_CHANGED'] + '\\n')"]
    dotenv = "PGPASSWORD={{ secret('db#password') | dotenv }}\nPGUSER={{ secret_json('db').user }}\n"
    files: list[Json] = [
        {"path": f"{memory}/db.json", "secret": "db"},
        {"path": f"{memory}/password", "secret": "db#password", "mode": "0440"},
        {
            "path": f"{memory}/db.env",
            "template": dotenv,
            "on_change": {"exec": [*hook, str(told)]},
            "wait": "1s",
        },
        {"path": f"{memory}/app.env", "template_file": str(template), "on_change": "none"},
        {"path": f"{memory}/app", "tree": "app", "mode": "0400"},
    ]
    sections = {"secrets": {"db": "sm:db"}, "trees": {"app": "ssm:/app/"}, "cache": FAST, "files": files}
    daemon = start(**sections)
    for file in files:
        daemon.wait_for("file_written", path=file["path"])
    assert (memory / "password").read_bytes() == b"it's $1"
    assert (memory / "db.env").read_text() == 'PGPASSWORD="it\'s \\$1"\nPGUSER=app\n'
    assert (memory / "app.env").read_text() == "a=one\nsub/b=two\n"
    assert ((memory / "app/a").read_text(), (memory / "app/sub/b").read_text()) == ("one", "two")
    assert [mode(memory / name) for name in ("db.json", "password", "app/a", "app")] == [0o400, 0o440, 0o400, 0o700]
    assert not told.exists()  # a first delivery is no change

    said = len(daemon.log.all)
    aws.put_secret("db", json.dumps({"user": "app", "password": "new"}))
    aws.put_parameter("/app/c", "three")
    daemon.wait_for_next(said, "hook_fired", path=f"{memory}/db.env", changed=["db"])
    daemon.wait_for_next(said, "file_written", path=f"{memory}/app")
    assert (memory / "db.env").read_text() == "PGPASSWORD='new'\nPGUSER=app\n"
    assert told.read_text() == "db\n"
    assert {"a", "c", "sub"} < set(left(memory / "app"))

    status = daemon.get("/v1/status").json["files"]
    assert {each["state"] for each in status} == {"current"}
    assert daemon.metrics().total("sidecar_files", state="current") == 5
    assert daemon.metrics().total("sidecar_file_hooks_total", result="ok") == 1
    reloaded(daemon, sections | {"files": [files[0] | {"path": f"{memory}/other"}]})
    daemon.wait_for("file_written", path=f"{memory}/other")
    assert daemon.end() == 0
    assert [name for name in left(memory) if name.startswith(".") and not name.endswith(".sidecar")] == []
    assert all(mode(path) == 0o600 for path in memory.glob(".*.sidecar"))


def test_a_mistake_changes_nothing_and_no_output_holds_a_value(aws: AwsAccount, start: Start, memory: Path) -> None:
    """A reload with a bad template is refused with its line; a deleted secret leaves the old file, told by name."""
    aws.put_secret("db", "Canary0file")
    path = f"{memory}/x"
    files = [{"path": path, "template": "\n{{ secret('db') }}", "on_change": {"exec": ["false"]}}]
    sections = {"secrets": {"db": "sm:db"}, "cache": FAST}
    daemon = start(**sections, files=files)
    daemon.wait_for("file_written", path=path)
    said = daemon.reload(
        json.dumps(configuration(daemon.folder, sections | {"files": [files[0] | {"template": "{{"}]}))
    )
    rejected = daemon.wait_for_next(said, "config_rejected")
    assert f"the template of {path} line 1, files.0.template" in rejected["problems"][0]
    aws.put_secret("db", "Canary0next")
    failed = daemon.wait_for("hook_failed", path=path)
    assert failed["why"] == "false has ended with exit code 1"
    aws.client("secretsmanager").delete_secret(SecretId="db", RecoveryWindowInDays=7)
    told = daemon.wait_for("file_failed", path=path)
    assert told["why"] == f"the template of {path} line 2: db: not_found"
    assert Path(path).read_bytes() == b"\nCanary0next"
    status = daemon.get("/v1/status").body.decode()
    assert daemon.end() == 0
    assert "Canary0" not in daemon.log.text + status + (memory / ".x.sidecar").read_text()
