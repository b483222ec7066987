"""Decide when to act on changes: once for a group that has settled, and ever more seldom while acting fails.

Pure: times are seconds on whatever clock the caller keeps to. Must not wait, draw or act; whoever runs hooks, writes
files or restarts children does:

    settling = Settling(Wait())              # 2 s of quiet, at most 8 s after the first change
    settling.changed(now, "db-password")     # and so on for each change
    settling.due_at                          # when to act; None while there is nothing to act on
    names = settling.fired()                 # it is due: these have changed; what changes from here on is a new group
    settling.succeeded()                     # ... or it went wrong: the same names are due again, later
    settling.failed(now, dice)
"""

from dataclasses import dataclass, field
from typing import Final

from sidecar.core.pacing import backoff

LENGTHEN: Final = 4.0
"""Of the quiet: how long a group may grow where nothing says so; as consul-template has it."""

RETRY_BASE: Final = 2.0
"""Seconds: the longest first pause after a failure."""

RETRY_CAP: Final = 300.0
"""Seconds: the longest pause at all. A hook that was mended is run again within five minutes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a group of changes takes to settle, in seconds."""

    quiet: float = 2.0  # nothing has changed for so long
    at_most: float = 2.0 * LENGTHEN  # since the first change, however much goes on changing


@dataclass(slots=True)
class Settling:
    """What has changed and not been acted on, and when to act.

    One act at a time: each `fired` is followed by `succeeded` or `failed` before the next.
    """

    wait: Wait = Wait()
    _names: dict[str, None] = field(default_factory=dict)  # in the order in which they changed; each once
    _under_way: tuple[str, ...] = ()
    _first: float | None = None  # when the group's first change came, None while there is no group
    _last: float = 0.0
    _not_before: float = float("-inf")
    _setbacks: int = 0

    def changed(self, now: float, *names: str) -> None:
        """Take in that these changed: the group grows, and is due once it is quiet."""
        self._names.update(dict.fromkeys(names))
        self._first = now if self._first is None else self._first
        self._last = now

    def hold_until(self, moment: float) -> None:
        """Let nothing be due before this moment, as after a restart that is to last for a while."""
        self._not_before = max(self._not_before, moment)

    @property
    def due_at(self) -> float | None:
        """Tell when to act, None while nothing has changed. A change during an act is due no sooner than its end."""
        if self._first is None:
            return None
        settled = min(self._last + self.wait.quiet, self._first + self.wait.at_most)
        return max(settled, self._not_before)

    def fired(self) -> tuple[str, ...]:
        """Say that the act begins; give what it is for."""
        self._under_way, self._names, self._first = tuple(self._names), {}, None
        return self._under_way

    def succeeded(self) -> None:
        """Say that it ended well."""
        self._under_way, self._setbacks = (), 0

    def failed(self, now: float, dice: float) -> None:
        """Say that it failed: it is due again after a pause that doubles with each failure, half of it by chance.

        What changed meanwhile joins it, and does not shorten the pause.
        """
        self._names = dict.fromkeys((*self._under_way, *self._names))
        self._under_way = ()
        if self._first is None:
            self._first = self._last = now
        self.hold_until(now + retry_pause(self._setbacks, dice))
        self._setbacks += 1


def retry_pause(setbacks: int, dice: float) -> float:
    """Give the seconds before another try after so many failures before this one: never next to none."""
    return backoff(setbacks, base=RETRY_BASE, cap=RETRY_CAP, dice=lambda: (1 + dice) / 2)
