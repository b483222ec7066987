"""The commands that ask a running daemon, as a shell script uses them: output, exit codes, environment."""

import base64
import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend
from tests.e2e.processes import (
    BOUND,
    PROGRAM,
    Daemon,
    Lines,
    command,
    environment,
    lines_of,
    running,
    short_folder,
    spawned,
)

COMMANDS = ("run", "dev", "get", "list", "status", "refresh", "watch", "encrypt", "decrypt")


@pytest.fixture(scope="module")
def account(lend_account: Lend) -> Iterator[AwsAccount]:
    """Give an account with a few values."""
    with lend_account() as one:
        one.put_secret("db", json.dumps({"password": "hunter2", "odd key": "found"}))
        one.put_secret("blob", b"\x00\xff")
        one.put_parameter("/watched", "one")
        yield one


@pytest.fixture(scope="module")
def daemon(account: AwsAccount) -> Iterator[Daemon]:
    """Run a daemon that is asked."""
    secrets = {"db-password": "sm:db#password", "blob": "sm:blob", "watched": "ssm:/watched"}
    with short_folder() as folder, running(folder, {"secrets": secrets}, environment(account)) as one:
        yield one


def ask(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds the daemon by the environment."""
    return command(*arguments, environ=environment(SIDECAR_SOCKET=str(daemon.socket)), folder=daemon.folder)


def test_get(daemon: Daemon) -> None:
    """Nothing but the value, by name or by reference, also one with a space; as JSON what is known of it."""
    assert ask(daemon, "get", "db-password").stdout == "hunter2"
    assert ask(daemon, "get", "sm:db#odd key").stdout == "found"
    told = json.loads(ask(daemon, "get", "--json", "blob").stdout)
    assert (told["ref"], base64.b64decode(told["value_base64"])) == ("sm:blob", b"\x00\xff")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("get", "nobody"), 3),
        (("get", "sm:nobody"), 3),
        (("get", "a..b/.."), 2),
        (("get", "--previous", "db-password"), 3),
        (("get", "sm:db#nothing"), 1),
        (("refresh", "nobody"), 3),
        (("watch", "nobody"), 3),
        (("get",), 2),
        (("no-such-command",), 2),
    ],
)
def test_exit_codes(daemon: Daemon, arguments: tuple[str, ...], code: int) -> None:
    """3 not found, 2 wrong usage, 1 failed; nothing on standard output, no traceback."""
    ended = ask(daemon, *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr
    assert "Traceback" not in ended.stderr


def test_nobody_at_home(daemon: Daemon) -> None:
    """5, in one line that says what to do."""
    environ = environment(SIDECAR_SOCKET=str(daemon.folder / "nowhere"))
    for arguments in (("get", "x"), ("list",), ("status",), ("status", "--ready"), ("refresh", "x"), ("watch",)):
        ended = command(*arguments, environ=environ, folder=daemon.folder)
        assert ended.returncode == 5
        assert len(lines_of(ended.stderr)) == 1
        assert "sidecar run" in ended.stderr


def test_list_and_status(daemon: Daemon) -> None:
    """A table for people, JSON for programs, never a value."""
    table, listed = ask(daemon, "list").stdout, json.loads(ask(daemon, "list", "--json").stdout)
    names = ("db-password", "blob", "watched")
    assert all(name in table for name in names)
    assert {each["name"] for each in listed["secrets"]} >= set(names)
    page, status = ask(daemon, "status").stdout, json.loads(ask(daemon, "status", "--json").stdout)
    assert ", ready" in page
    assert (status["ready"], status["healthy"], bool(status["quotas"])) == (True, True, True)
    assert "hunter2" not in table + page + json.dumps([listed, status])
    ready = ask(daemon, "status", "--ready")
    assert (ready.returncode, ready.stdout) == (0, "ready\n")


def test_watch_and_refresh(daemon: Daemon, account: AwsAccount) -> None:
    """A watch prints a line for a new version, without the value; Ctrl-C ends it as shells have it."""
    environ = environment(SIDECAR_SOCKET=str(daemon.socket))
    with spawned([PROGRAM, "watch", "watched"], environ, daemon.folder) as (watcher, lines, _):
        values = change_until(daemon, account, lines)
        assert "  watched  " in lines.all[0]
        assert not any(value in lines.all[0] for value in values)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(BOUND) == 130
    assert ask(daemon, "refresh", "watched").stdout == "watched: unchanged\n"
    assert ask(daemon, "get", "--previous", "watched").stdout == (["one", *values])[-2]


def change_until(daemon: Daemon, account: AwsAccount, lines: Lines) -> list[str]:
    """Store one new version after the other until somebody has told of one; give the values."""
    values: list[str] = []
    while not lines.all and len(values) < BOUND:
        etag = daemon.value("watched").etag
        values.append(f"value number {len(values)}")
        account.put_parameter("/watched", values[-1])
        assert daemon.changed("watched", etag).body.decode() == values[-1]
    return values


def test_what_needs_no_daemon(daemon: Daemon) -> None:
    """The version, the help and the schema."""
    assert ask(daemon, "version").stdout.startswith("sidecar ")
    for arguments in ((), *((name,) for name in COMMANDS)):
        assert "Example" in ask(daemon, *arguments, "--help").stdout
    assert json.loads(ask(daemon, "config", "schema").stdout)["properties"]["secrets"]
