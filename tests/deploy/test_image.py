"""The Dockerfile, as far as it can be read; `make image` builds it and runs what it gives."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import CHART
from tests.docs_markdown import ROOT, code, doc

FILE = ROOT / "Dockerfile"
TRY = ROOT / "deploy/image/try.sh"
PINS = ROOT / "requirements"

USER = "65532:65532"


@dataclass(frozen=True)
class Stage:
    """One FROM, and what follows it."""

    base: str
    name: str
    steps: tuple[tuple[str, str], ...]

    def having(self, *instructions: str) -> list[str]:
        """Give the arguments of these instructions, in order."""
        return [rest for instruction, rest in self.steps if instruction in instructions]


def _steps() -> Iterator[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", FILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", "")
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, rest = line.split(maxsplit=1)
        yield instruction, re.sub(r"\s+", " ", rest)


def _stages() -> dict[str, Stage]:
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for instruction, rest in _steps():
        if instruction == "FROM":
            base, name = rest.split(" AS ")
            found.append((base, name, []))
        elif found:
            found[-1][2].append((instruction, rest))
    return {name: Stage(base, name, tuple(steps)) for base, name, steps in found}


STAGES = _stages()
BUILDING = ("build", "build-dev")
SHIPPED = ("common", "dev", "run")


def test_hadolint_has_nothing_to_say() -> None:
    """The linter of Dockerfiles, with a shell's own rules for each RUN."""
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


class TestBase:
    """What it is built on."""

    def test_it_has_no_default(self) -> None:
        """Whose images are trusted is the builder's to say."""
        assert next(iter(_steps())) == ("ARG", "BASE")

    def test_all_stages_stand_on_it(self) -> None:
        """And on nothing else: no reference names a registry."""
        outside = {stage.base for stage in STAGES.values()} - STAGES.keys()
        assert outside == {"${BASE}"}
        assert [rest for stage in STAGES.values() for rest in stage.having("COPY") if _source(rest)] == []

    def test_the_last_stage_is_the_daemon(self) -> None:
        """It is what is built unless something else is named."""
        assert list(STAGES)[-1] == "run"


def _source(copied: str) -> str:
    """Give an image that is copied from and that is no stage."""
    found = re.search(r"--from=(\S+)", copied)
    return "" if found is None or found[1] in STAGES else found[1]


class TestWhatShips:
    """The stages that become images."""

    @pytest.mark.parametrize("name", SHIPPED)
    def test_nothing_runs_in_it(self, name: str) -> None:
        """So its base needs no shell; and what starts a program names it, without one."""
        stage = STAGES[name]
        assert stage.having("RUN", "SHELL", "ADD") == []
        assert [each for each in stage.having("ENTRYPOINT", "CMD") if not each.startswith("[")] == []

    def test_it_is_somebody_without_rights(self) -> None:
        """By number, in the group of the same number."""
        assert STAGES["common"].having("USER") == [USER]
        assert [STAGES[name].having("USER") for name in ("dev", "run")] == [[], []]
        chart = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
        assert f"{chart['user']}:{chart['group']}" == USER

    def test_the_volume_is_the_users(self) -> None:
        """It is there, with its owner, before it is declared: what comes later is not in it."""
        steps = STAGES["common"].steps
        copied = ("COPY", f"--from=build --chown={USER} /volume/sidecar /run/sidecar")
        assert steps.index(copied) < steps.index(("VOLUME", "/run/sidecar"))

    def test_it_says_of_itself_how_it_is(self) -> None:
        """Through the program, as the documents tell."""
        assert [each.partition(" CMD ")[2] for each in STAGES["common"].having("HEALTHCHECK")] == [
            '["sidecar", "status", "--ready"]'
        ]

    def test_what_it_starts(self) -> None:
        """The program, by default the daemon or the daemon with its fake."""
        assert STAGES["common"].having("ENTRYPOINT") == ['["sidecar"]']
        assert STAGES["run"].having("CMD") == ['["run"]']
        assert STAGES["dev"].having("CMD")[0].startswith('["dev", ')

    def test_every_label_is_told(self) -> None:
        """In docs/image.md, and no other."""
        labels = re.findall(r"([\w.]+)=", " ".join(STAGES["common"].having("LABEL")))
        assert [code(row[0])[0] for row in doc("image.md").rows("label", "is")] == labels


class TestPins:
    """What is installed."""

    def test_the_daemon_has_no_fake(self) -> None:
        """Nor what only the fake needs."""
        assert not {"moto", "flask", "werkzeug"} & _pins("run").keys()
        assert "moto" in _pins("fake")

    @pytest.mark.parametrize(("one", "other"), [("run", "fake"), ("fake", "dev"), ("build", "dev"), ("run", "dev")])
    def test_what_both_have_is_the_same(self, one: str, other: str) -> None:
        """The tests run with what ships; all of the first is in the second."""
        first, second = _pins(one), _pins(other)
        assert {name: second.get(name) for name in first} == first

    def test_all_is_checked_by_hash(self) -> None:
        """Every pip of every stage: hashes for all, nothing resolved, nothing compiled on the way."""
        settings = STAGES["build"].having("ENV")[0].split()
        assert {"PIP_REQUIRE_HASHES=1", "PIP_NO_DEPS=1", "PIP_ONLY_BINARY=:all:"} <= set(settings)
        for name in BUILDING:
            for asked in re.findall(r"-m pip .*?(?: && |$)", " ".join(STAGES[name].having("RUN"))):
                assert "--requirement" in asked

    def test_the_index_comes_as_a_secret(self) -> None:
        """Whatever asks for packages sees the builder's pip.conf and CA; nothing of them is written down."""
        asking = [
            rest
            for name in BUILDING
            for rest in STAGES[name].having("RUN")
            if re.search(r"pip (download|install)", rest)
        ]
        for rest in asking:
            mounts = set(re.findall(r"--mount=type=secret,id=(\w+)", rest))
            assert mounts == {"pip", "ca"} or rest.count("--no-index") == len(re.findall(r"\binstall\b", rest))
        assert not re.search(r"index-url|PIP_(EXTRA_)?INDEX|https?://", FILE.read_text("utf-8"))


def _pins(name: str) -> dict[str, str]:
    text = (PINS / f"{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))


class TestContext:
    """What the builder is given."""

    patterns = (ROOT / ".dockerignore").read_text("utf-8").split("\n")

    def test_nothing_but_what_is_named(self) -> None:
        """All is left out that is not let in."""
        assert next(each for each in self.patterns if each and each[0] != "#") == "*"

    def test_all_that_is_copied_is_let_in(self) -> None:
        """Each source of a COPY from the context."""
        let_in = [each.removeprefix("!") for each in self.patterns if each.startswith("!")]
        copied = [rest for stage in STAGES.values() for rest in stage.having("COPY") if "--from" not in rest]
        sources = [source for rest in copied for source in rest.split()[:-1]]
        assert sources
        assert [each for each in sources if not any(fnmatch(each.split("/")[0], pattern) for pattern in let_in)] == []


class TestTrying:
    """deploy/image/try.sh."""

    def test_it_is_a_script(self) -> None:
        """Bash can read it."""
        subprocess.run(["bash", "-n", TRY], check=True)
        assert TRY.stat().st_mode & 0o111

    def test_it_is_tried_before_anything_lands(self) -> None:
        """By .ci/run, through make."""
        assert re.search(r"make .*\bimage$", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
        assert TRY.relative_to(ROOT).as_posix() in (ROOT / "Makefile").read_text("utf-8")

    def test_both_targets_are_built(self) -> None:
        """And the daemon's twice, for its layers to be compared."""
        assert re.findall(r"^build (\w+) (\S+)", TRY.read_text("utf-8"), re.MULTILINE) == [
            ("run", "run:try"),
            ("dev", "dev:try"),
            ("run", "run:again"),
        ]
