import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import __version__
from tests.cli.conftest import Invoke
from tests.cli.processes import SIDECAR, clean, running
from tests.unix_peer import answer, events, listening

COMMANDS = ("run", "dev", "get", "list", "status", "refresh", "watch", "encrypt", "decrypt", "config", "version")

HEAVY = (
    "pydantic",
    "aiohttp",
    "aiobotocore",
    "botocore",
    "uvloop",
    "structlog",
    "prometheus_client",
    "asyncio",
    "yaml",
)


def test_help_names_every_command(invoke: Invoke) -> None:
    """With a line on each."""
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [*[[command] for command in COMMANDS if command != "config"], ["config", "schema"]]
)
def test_help_shows_an_example(invoke: Invoke, arguments: list[str]) -> None:
    """Each command's does, and it begins with the program's name."""
    result = invoke(*arguments, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "sidecar " + " ".join(arguments) in result.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "sidecar: No such command 'nope'. Try sidecar --help.\n"),
        (["get"], "sidecar: Missing argument 'NAME'. Try sidecar get --help.\n"),
        (["list", "--wat"], "sidecar: No such option '--wat'. Try sidecar list --help.\n"),
        (
            ["dev", "--fail", "2"],
            "sidecar: Invalid value for '--fail': 2.0 is not in the range 0<=x<=1. Try sidecar dev --help.\n",
        ),
    ],
)
def test_wrong_usage_is_one_line(invoke: Invoke, arguments: list[str], line: str) -> None:
    """It ends with 2, on standard error alone."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


def test_versions(invoke: Invoke) -> None:
    """The option and the command say the same."""
    assert invoke("--version").stdout == invoke("version").stdout == f"sidecar {__version__}\n"


@pytest.mark.parametrize("arguments", [["status", "--ready"], ["get", "db"]])
def test_questions_do_not_pay_for_the_daemon(tmp_path: Path, arguments: list[str]) -> None:
    """A health check imports nothing that the daemon needs: it runs every few seconds in each container."""
    code = (
        "import sys\nfrom sidecar.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"except SystemExit as end:\n    print(end.code, *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    path = tmp_path / "s"
    with listening(path, answer({"ready": True})):
        run = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--socket", str(path)],
            cwd=tmp_path,
            env=clean({}),
            capture_output=True,
            text=True,
            check=True,
        )
    assert run.stdout.splitlines()[-1].endswith("0")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`sidecar watch | head -1` ends without a word."""
    path = tmp_path / "s"
    change = 'event: change\ndata: {"name": "a", "state": "fresh", "version": "1"}\nid: b-1\n\n'
    with listening(path, events(change)):
        watch = [*SIDECAR, "watch", "--socket", str(path)]
        with subprocess.Popen(watch, env=clean({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert b"version 1" in process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == 1


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    """With the exit code that shells know."""
    path = tmp_path / "s"
    with (
        listening(path, events(": watching\nid: b-1\n\n")) as peer,
        running("watch", "--socket", str(path), cwd=tmp_path) as process,
    ):
        peer.wait_for(1)
        process.send_signal(2)
        assert process.wait() == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m sidecar` is the same program."""
    run = subprocess.run([*SIDECAR, "version"], cwd=tmp_path, env=clean({}), capture_output=True, text=True, check=True)
    assert run.stdout == f"sidecar {__version__}\n"
