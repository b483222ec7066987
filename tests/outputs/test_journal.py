import json
from pathlib import Path

import pytest

from sidecar.outputs.folders import open_folder
from sidecar.outputs.journal import Remembered, owes, recall, remember


def test_what_is_written_down_is_read_again(memory: Path) -> None:
    """In a file that only its owner reads."""
    told = Remembered({"db": "0f"}, owed=True)
    with open_folder(memory, allow_disk=False) as folder:
        assert recall(folder, "x") is None
        remember(folder, "x", told)
        before = (memory / ".x.sidecar").stat()
        remember(folder, "x", told)
        assert recall(folder, "x") == told
    assert (memory / ".x.sidecar").stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"format": 1}', '{"format": 1, "versions": {"a": 1}}', '{"format": 2}', "[" * 9999],
)
def test_what_cannot_be_understood_is_nothing(memory: Path, text: str) -> None:
    """A file of somebody else's, of another version, cut short."""
    (memory / ".x.sidecar").write_text(text)
    with open_folder(memory, allow_disk=False) as folder:
        assert recall(folder, "x") is None


def test_owed_is_only_what_is_said(memory: Path) -> None:
    """Anything but true is not."""
    (memory / ".x.sidecar").write_text(json.dumps({"format": 1, "versions": {}, "owed": "yes"}))
    with open_folder(memory, allow_disk=False) as folder:
        assert recall(folder, "x") == Remembered({})


OLD, NEW = {"db": "1"}, {"db": "2"}


@pytest.mark.parametrize(
    ("before", "was_there", "same", "told"),
    [
        (None, False, False, False),  # a first delivery is no change
        (None, True, False, True),  # somebody else's file, or one from before there was a journal
        (None, True, True, False),
        (Remembered(OLD), True, False, True),
        (Remembered(OLD), True, True, False),  # another version of the same bytes
        (Remembered(OLD), False, False, True),  # changed while the daemon was down, and the file is gone
        (Remembered(NEW), False, False, False),  # only restored
        (Remembered(NEW, owed=True), True, True, True),  # written, but not told
    ],
)
def test_who_is_told(before: Remembered | None, *, was_there: bool, same: bool, told: bool) -> None:
    """Of other bytes, of versions that came while the daemon was down, and of what is owed."""
    assert owes(before, was_there=was_there, same=same, versions=NEW) is told
