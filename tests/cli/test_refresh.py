import json
from pathlib import Path

from tests.cli.conftest import Invoke
from tests.unix_peer import answer, listening

CHANGED = {"name": "db", "version": "2", "changed": True}
SAME = {"name": "api", "version": "1", "changed": False}
DENIED = {"name": "x", "changed": False, "reason": "access_denied", "detail": "AWS says no", "mend": "Grant it."}


def test_names(invoke: Invoke, folder: Path) -> None:
    """Each is told, whether it changed or not."""
    with listening(folder / "s", answer({"secrets": [CHANGED, SAME]})) as peer:
        result = invoke("refresh", "db", "api", "--socket", "s")
    assert (result.exit_code, result.stdout) == (0, "db: changed, version 2\napi: unchanged\n")
    assert json.loads(peer.asked[0].body) == {"names": ["db", "api"]}


def test_all(invoke: Invoke, folder: Path) -> None:
    """Only what changed is told; where nothing did, that."""
    with listening(folder / "s", answer({"secrets": []})) as peer:
        assert invoke("refresh", "--socket", "s").stdout == "nothing has changed\n"
    assert json.loads(peer.asked[0].body) == {"names": []}


def test_what_could_not_be_confirmed(invoke: Invoke, folder: Path) -> None:
    """It is told with its mend, and is how the command ends."""
    with listening(folder / "s", answer({"secrets": [CHANGED, DENIED]})):
        result = invoke("refresh", "db", "x", "--socket", "s")
    assert result.exit_code == 4
    assert result.stdout.splitlines()[1] == "x: not confirmed, AWS says no. Grant it."


def test_json(invoke: Invoke, folder: Path) -> None:
    """As the interface answers; the exit code is the same."""
    with listening(folder / "s", answer({"secrets": [DENIED]})):
        result = invoke("refresh", "x", "--json", "--socket", "s")
    assert result.exit_code == 4
    assert json.loads(result.stdout) == {"secrets": [DENIED]}
