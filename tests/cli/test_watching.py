from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.cli.watching import Seen, follow
from sidecar.client import Client, NoDaemon, Refused
from tests.unix_peer import answer, listening, problem


class Minutes:
    """A clock that goes on by a minute each time it is read."""

    read = 0

    def __call__(self) -> datetime:
        """Give the time."""
        self.read += 1
        return datetime(2026, 11, 1, 12, self.read)  # noqa: DTZ001 -- local time, as it is shown


def counted(pauses: list[None]) -> Callable[[], None]:
    """Count the pauses instead of making them."""
    return lambda: pauses.append(None)


def test_a_daemon_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """Its last word stays, with why it is the last and since when; then it speaks again."""
    path, pauses = tmp_path / "s", list[None]()
    seen = follow(Client(path), counted(pauses), Minutes())
    with listening(path, answer({"n": 1})):
        assert next(seen) == Seen({"n": 1})
    first, second = next(seen), next(seen)
    assert first.status == second.status == {"n": 1}
    assert first.trouble.startswith("no daemon answers")
    assert first.since == second.since == "12:01:00"
    with listening(path, answer({"n": 2})):
        assert next(seen) == Seen({"n": 2})
    assert len(pauses) == 3


def test_what_no_waiting_mends(tmp_path: Path) -> None:
    """Nobody there at the start, or a refusal later."""
    path = tmp_path / "s"
    with pytest.raises(NoDaemon):
        next(follow(Client(path), counted([]), Minutes()))
    with listening(path, answer({}), problem(403, "not you")):
        seen = follow(Client(path), counted([]), Minutes())
        next(seen)
        with pytest.raises(Refused):
            next(seen)
