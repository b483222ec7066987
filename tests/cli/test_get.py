import io
import json
from pathlib import Path

import pytest

from sidecar.cli.get import value_of, write_value
from tests.cli.conftest import Invoke
from tests.unix_peer import answer, listening, problem


def test_the_bytes_and_nothing_else(invoke: Invoke, folder: Path) -> None:
    """A pipe gets exactly what the secret is."""
    with listening(folder / "s", answer(b"\xff\x00x", content_type="application/octet-stream")) as peer:
        result = invoke("get", "db", "--socket", "s", "--wait", "2m")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, b"\xff\x00x", "")
    assert peer.asked[0].headers["Prefer"] == "wait=120"


@pytest.mark.parametrize(("value", "shown"), [(b"x", b"x\n"), (b"x\n", b"x\n"), (b"", b"\n")])
def test_a_terminal_gets_a_line_end(value: bytes, shown: bytes) -> None:
    """Unless the value has one."""
    screen = Screen()
    write_value(value, screen)
    assert screen.getvalue() == shown


class Screen(io.BytesIO):
    """A stream that people read."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_previous(invoke: Invoke, folder: Path) -> None:
    """The version before the current one."""
    with listening(folder / "s", routes={"/v1/values/db?previous=1": answer(b"old")}):
        assert invoke("get", "db", "--previous", "--socket", "s").stdout == "old"


def test_json(invoke: Invoke, folder: Path) -> None:
    """What is known of it, with the value."""
    with listening(folder / "s", routes={"/v1/secrets/db": answer({"name": "db", "value": "ä"})}):
        result = invoke("get", "db", "--json", "--socket", "s")
    assert json.loads(result.stdout) == {"name": "db", "value": "ä"}


def test_a_reference(invoke: Invoke, folder: Path) -> None:
    """Whatever has a colon is one."""
    with listening(folder / "s", routes={"/v1/resolve?ref=sm%3Adb": answer({"value": "x"})}):
        assert invoke("get", "sm:db", "--socket", "s").stdout == "x"
        assert json.loads(invoke("get", "sm:db", "--json", "--socket", "s").stdout) == {"value": "x"}


def test_a_value_in_json() -> None:
    """As text, or as base64 where it is not UTF-8."""
    assert value_of({"value": "ä"}) == "ä".encode()
    assert value_of({"value_base64": "/wA="}) == b"\xff\x00"


@pytest.mark.parametrize("arguments", [["sm:db", "--previous"], ["db", "--previous", "--json"]])
def test_what_does_not_go_together(invoke: Invoke, arguments: list[str]) -> None:
    """It is told before anything is asked."""
    result = invoke("get", *arguments, "--socket", "s")
    assert result.exit_code == 2
    assert "--previous goes with a name" in result.stderr


@pytest.mark.parametrize(("status", "code"), [(404, 3), (403, 4), (503, 5), (400, 2), (422, 1)])
def test_how_it_ends(invoke: Invoke, folder: Path, status: int, code: int) -> None:
    """One line with the name, what happened and the mend; nothing on standard output."""
    with listening(folder / "s", problem(status, "it is so", "Do this.")):
        result = invoke("get", "db", "--socket", "s")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "sidecar: db: it is so. Do this.\n")
