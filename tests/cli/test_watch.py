import json
from pathlib import Path

from tests.cli.conftest import Invoke
from tests.unix_peer import events, listening, problem

CHANGE = {"name": "db", "state": "fresh", "version": "2", "fetched_at": "2026-11-01T12:00:00Z"}
STREAM = f"event: change\ndata: {json.dumps(CHANGE)}\nid: b-2\n\n"


def test_a_line_for_each_change(invoke: Invoke, folder: Path) -> None:
    """Until something ends it that no reconnecting mends."""
    with listening(folder / "s", events(STREAM), problem(404, "gone")) as peer:
        result = invoke("watch", "db", "--socket", "s")
    assert result.stdout == "2026-11-01T12:00:00Z  db  fresh  version 2\n"
    assert result.exit_code == 3
    assert peer.asked[1].headers["Last-Event-ID"] == "b-2"


def test_json_lines(invoke: Invoke, folder: Path) -> None:
    """For programs."""
    with listening(folder / "s", events(STREAM), problem(404, "gone")):
        result = invoke("watch", "--json", "--socket", "s")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [CHANGE]
