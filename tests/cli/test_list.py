import json
from pathlib import Path

from tests.cli.conftest import Invoke
from tests.unix_peer import answer, listening

SECRETS = {"secrets": [{"name": "db", "ref": "sm:db", "state": "fresh", "version": "1"}]}


def test_a_table(invoke: Invoke, folder: Path) -> None:
    """One line each."""
    with listening(folder / "s", routes={"/v1/secrets": answer(SECRETS)}):
        result = invoke("list", "--socket", "s")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["NAME", "STATE", "AGE", "VERSION", "NEXT", "CHECK", "REF"],
        ["db", "fresh", "-", "1", "-", "sm:db"],
    ]


def test_json(invoke: Invoke, folder: Path) -> None:
    """As the interface answers."""
    with listening(folder / "s", answer(SECRETS)):
        assert json.loads(invoke("list", "--json", "--socket", "s").stdout) == SECRETS


def test_no_daemon(invoke: Invoke) -> None:
    """One line, and 5."""
    result = invoke("list", "--socket", "nowhere")
    assert result.exit_code == 5
    assert result.stderr.startswith("sidecar: no daemon answers at nowhere: No such file or directory. Start it")
