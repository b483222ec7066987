"""The units of deploy/systemd, by systemd's own tools and by what the program says."""

import configparser
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from sidecar.accounts import SystemAccounts
from sidecar.cli import main
from sidecar.cli.exits import Exit
from sidecar.client import SOCKET
from sidecar.core.config.loading import load
from tests.docs_markdown import ROOT, doc
from tests.e2e.processes import PROGRAM

FOLDER = ROOT / "deploy/systemd"
MOST_EXPOSED = 15
"""Of 100, by `systemd-analyze security`: where docs/systemd.md says that it is."""

INSTALLED = "/opt/sidecar/bin/sidecar"


class Unit(configparser.RawConfigParser):
    """A unit; of a setting that stands several times the last is seen."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, comment_prefixes=("#",), delimiters=("=",))
        self.read(FOLDER / name)

    def optionxform(self, optionstr: str) -> str:
        """Leave a setting's case as it is."""
        return optionstr


SERVICE, ACTIVATION = Unit("sidecar.service"), Unit("sidecar.socket")


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Copy the units to where the program is the one that is tested."""
    copies = [tmp_path / "sidecar.service", tmp_path / "sidecar.socket"]
    for copy in copies:
        copy.write_text((FOLDER / copy.name).read_text().replace(INSTALLED, PROGRAM))
    return [str(copy) for copy in copies]


def test_systemd_takes_them(systemd_analyze: str, units: list[str]) -> None:
    """Without a word: every setting is known, every program is there."""
    done = subprocess.run([systemd_analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_little_is_exposed(systemd_analyze: str, units: list[str]) -> None:
    """By systemd's own count, and as the document says."""
    command = [systemd_analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", units[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:]
    assert f"says {MOST_EXPOSED / 10} (OK)" in doc("systemd.md").text
    assert f"exposure level for sidecar.service: {MOST_EXPOSED / 10} OK" in done.stdout


class TestService:
    """What the service says of the program."""

    service = SERVICE["Service"]

    def test_the_command_is_one(self) -> None:
        """With its options."""
        program, name, *options = shlex.split(self.service["ExecStart"])
        command = main.get_command(click.Context(main), name)
        assert program == INSTALLED
        assert command
        assert {option.split("=")[0] for option in options if option.startswith("-")} <= {
            each for param in command.params for each in param.opts
        }

    def test_it_waits_to_be_told(self) -> None:
        """By the program itself, not by its children."""
        assert (self.service["Type"], self.service["NotifyAccess"]) == ("notify", "main")
        assert self.service["WatchdogSec"] == "30s"

    def test_the_reload_is_the_programs(self) -> None:
        """SIGHUP."""
        assert self.service["ExecReload"] == '/bin/sh -c "kill -HUP $MAINPID"'  # /bin/kill is not everywhere

    def test_a_wrong_configuration_is_no_reason_to_start_again(self) -> None:
        """By the exit code of the program."""
        assert self.service["RestartPreventExitStatus"] == str(int(Exit.MISUSED))

    def test_callers_keep_their_users(self) -> None:
        """In a user namespace `access` rules would mean nothing."""
        assert "PrivateUsers" not in self.service

    def test_the_apps_can_get_files(self) -> None:
        """In memory, and of a group that is theirs and the daemon's."""
        assert self.service["SupplementaryGroups"] == ACTIVATION["Socket"]["SocketGroup"]
        assert f"/run/{self.service['RuntimeDirectory']}/" in doc("systemd.md").text
        assert not Path(SOCKET).is_relative_to(f"/run/{self.service['RuntimeDirectory']}")


class TestSocket:
    """What is opened for it."""

    socket = ACTIVATION["Socket"]

    def test_it_is_where_everybody_looks(self) -> None:
        """The default of the commands and clients."""
        assert self.socket["ListenStream"] == SOCKET

    def test_it_is_for_its_group(self) -> None:
        """Root's, whom the commands trust."""
        assert (self.socket["SocketUser"], self.socket["SocketMode"]) == ("root", "0660")

    def test_the_service_cannot_do_without(self) -> None:
        """It would open one in a folder that is not its own."""
        assert SERVICE["Unit"]["Requires"] == "sidecar.socket"
        assert "sidecar.socket" in SERVICE["Unit"]["After"].split()


def test_the_trial_is_a_script() -> None:
    """Bash can read it, and `make systemd` begins it."""
    script = FOLDER / "try.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111
    assert "deploy/systemd/try.sh" in (ROOT / "Makefile").read_text()


def test_the_configuration_of_the_document_is_one() -> None:
    """For users that there are."""
    example = next(block.text for block in doc("systemd.md").blocks if block.mark == "config")
    config = load(file=("example", example.replace("shop", "daemon")), environ={}, accounts=SystemAccounts())
    assert set(config.secrets) == {"db-password"}
