"""The programs that docs/clients.md shows, in each language: they print a value, and the one that comes after it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Final

import pytest

from sidecar.client import Client, Value
from tests.aws_fixtures import AwsAccount
from tests.docs_markdown import Block, doc
from tests.e2e.conftest import Start
from tests.e2e.processes import Lines
from tests.playground import Playground, playing

MARK: Final = "meets a change of db-password"
BEFORE: Final = "made-up-password-0001"
AFTER: Final = "made-up-password-0002"

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "bash": ("bash", "ask.sh"),
    "python": (sys.executable, "ask.py"),
    "javascript": ("node", "ask.mjs"),
    "go": ("go", "run", "ask.go"),
    "java": ("java", "Ask.java"),
}
"""What runs a file of each language, and the name that it wants to have."""

COMPILED: Final = 300.0
"""Seconds that Go may take when it compiles its own library first."""

EXAMPLES = [block for block in doc("clients.md").blocks if block.mark == MARK]


@dataclass(frozen=True)
class Program:
    """One example that runs."""

    process: subprocess.Popen[bytes]
    out: Lines
    log: Lines

    def end(self) -> None:
        """Stop it, if it has not ended by itself."""
        with self.process:  # closes its streams
            self.process.kill()
            self.out.join()
            self.log.join()


def started_beside(example: Block, folder: Path, playground: Playground) -> Program:
    """Write an example down and run it beside the daemon."""
    *command, name = COMMANDS[example.language]
    written = folder / name
    written.write_text(example.text)
    cache = Path(tempfile.gettempdir()) / f"sidecar-tests-go-{os.getuid()}"  # compiling HTTP anew takes half a minute
    env = playground.env | {"GOCACHE": str(cache), "GOTOOLCHAIN": "local"}
    if example.language == "go":
        build = ["go", "build", "-o", str(folder / "ask"), str(written)]
        subprocess.run(build, env=env, check=True, timeout=COMPILED, capture_output=True)
    process = subprocess.Popen([*command, written], cwd=playground.folder, env=env, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    return Program(process, Lines(process.stdout), Lines(process.stderr))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[int, Program]]:
    """Run all of them at once, have the value change when each has shown the one before, and let them end."""
    with playing() as playground, ExitStack() as ends:
        started: dict[int, Program] = {}
        for index, example in enumerate(EXAMPLES):
            if shutil.which(COMMANDS[example.language][0]):
                started[index] = started_beside(example, tmp_path_factory.mktemp("example"), playground)
                ends.callback(started[index].end)
        for program in started.values():
            program.out.wait_for(bool)
        seed = playground.folder / "sidecar.dev.yaml"
        seed.write_text(seed.read_text().replace(BEFORE, AFTER))
        yield started


def test_there_is_one_for_each_language() -> None:
    """Python has two: for threads and for an event loop."""
    assert sorted(example.language for example in EXAMPLES) == sorted([*COMMANDS, "python"])


@pytest.mark.parametrize("index", range(len(EXAMPLES)), ids=lambda index: f"{EXAMPLES[index].language}-{index}")
def test_prints_the_value_and_the_next(programs: Mapping[int, Program], index: int) -> None:
    """As it stands in the document, beside a daemon whose value changes."""
    if index not in programs:
        tool = COMMANDS[EXAMPLES[index].language][0]
        pytest.skip(f"{tool} is not on this machine: nothing of the project but this example needs it")
    program = programs[index]
    code = program.process.wait(60)
    program.log.join()
    assert (code, program.log.text) == (0, "")
    program.out.join()
    assert program.out.all == [BEFORE, AFTER]


def test_a_login_gets_the_newer_password_before_the_next_check(aws: AwsAccount, start: Start) -> None:
    """The whole way: the database and AWS have another password already, the daemon looks in an hour only."""
    aws.put_secret("db", BEFORE)
    daemon = start(secrets={"db": "sm:db"}, cache={"refresh": "1h"})
    client, tried = Client(daemon.socket), list[str]()

    @client.retrying("db", on=PermissionError)
    def login(password: Value) -> str:
        """Log in."""
        tried.append(password.text)
        if password.text != AFTER:
            raise PermissionError
        return "in"

    held = daemon.value("db")
    assert daemon.value("db", If_None_Match=held.etag, Prefer="wait=1").status == 304  # so long is min_refresh
    aws.put_secret("db", AFTER)
    assert login() == "in"
    assert tried == [BEFORE, AFTER]
