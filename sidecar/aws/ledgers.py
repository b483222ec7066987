"""Keep a ledger of `core.leases` in one record of a store that has no clock.

Pure. A record says how often it was written, never when; each daemon notes on its own clock when it first saw a
version, and what has not moved for a lease time is over. So nothing ends too early: who sees a version later thinks it
younger. Must not know a table, wait or read a clock.
"""

import struct
from dataclasses import dataclass, field
from math import inf
from typing import Final, Self

from sidecar.core.leases import RESTING, UNHEARD, Bid, Fit, Lease, Ledger, Member

_FORMAT: Final = 1
_HEAD: Final = struct.Struct(">BQQdQQ")
_ROW: Final = struct.Struct(">ddddQ")


@dataclass(frozen=True, slots=True)
class Row:
    """One member, as it was when it last bid. Rates are per second."""

    need: float
    share: float
    rate: float
    held: float
    version: int  # the ledger's turn at that bid


@dataclass(frozen=True, slots=True)
class Record:
    """A ledger without any time in it."""

    turn: int = 0  # of the last write: what a writer's condition is about
    learns: int = 0  # the turn at which it began to learn; 0 when it knows
    window: int = 0  # the turn at which it last said how much strangers leave
    fraction: float = 1.0
    answered: int = 0
    throttled: int = 0
    rows: dict[str, Row] = field(default_factory=dict)

    def pack(self) -> bytes:
        """Give all but the turn as bytes: 41 of its own, and 41 and the name's for each member."""
        head = _HEAD.pack(_FORMAT, self.learns, self.window, self.fraction, self.answered, self.throttled)
        return head + b"".join(
            _ROW.pack(row.need, row.share, row.rate, row.held, row.version) + bytes([len(name)]) + name
            for name, row in ((name.encode(), row) for name, row in self.rows.items())
        )

    @classmethod
    def unpack(cls, turn: int, packed: bytes) -> Self:
        """Read what `pack` wrote; raises ValueError for anything else."""
        try:
            version, learns, window, fraction, answered, throttled = _HEAD.unpack_from(packed)
            rows = dict(_rows(packed[_HEAD.size :]))
        except (struct.error, IndexError) as error:
            raise ValueError("a record that ends early") from error
        if version != _FORMAT:
            raise ValueError("a record of another format")
        return cls(turn, learns, window, fraction, answered, throttled, rows)


def _rows(packed: bytes) -> list[tuple[str, Row]]:
    rows, at = [], 0
    while at < len(packed):
        row = Row(*_ROW.unpack_from(packed, at))
        begin = at + _ROW.size + 1
        at = begin + packed[begin - 1]
        rows.append((packed[begin:at].decode(), row))
    if at > len(packed):
        raise IndexError("a name that ends early")
    return rows


@dataclass(slots=True)
class Sight:
    """A version, and when it was first seen."""

    version: int
    since: float


@dataclass(slots=True)
class Observer:
    """What one daemon knows of a ledger's time, by its own clock (seconds)."""

    lasting: float
    _rows: dict[str, Sight] = field(default_factory=dict)
    _learns: Sight = field(default_factory=lambda: Sight(0, -inf))
    _window: Sight = field(default_factory=lambda: Sight(0, -inf))
    _careful_until: float = -inf

    def look(self, record: Record, now: float) -> None:
        """Note what has moved; `now` is not before the record was written."""
        rows = {}
        for name, row in record.rows.items():
            sight = self._rows.get(name)
            rows[name] = sight if sight and sight.version == row.version else Sight(row.version, now)
        self._rows = rows
        if self._learns.version != record.learns:
            self._learns = Sight(record.learns, now)
        if self._window.version != record.window:
            self._window = Sight(record.window, now)

    def renew(self, record: Record, member: str, bid: Bid, now: float) -> tuple[Record, Lease]:
        """Give the record that is to follow this one, which was looked at, and the lease in it."""
        is_forgotten = member not in record.rows and bid.holds > 0
        has_lost = not record.turn or bid.seen > record.turn or is_forgotten
        if bid.is_alone:  # others may be alone as well; each of them finds out by itself
            self._careful_until = now + self.lasting
        ledger = self._ledger(record)
        lease = ledger.renew(member, bid, now)
        still_learns = record.learns if now < self._learns_until(record) else 0
        fit = ledger.fit
        after = Record(
            turn=ledger.turn,
            learns=ledger.turn if has_lost else still_learns,
            window=record.window if fit.since == self._window.since else ledger.turn,
            fraction=fit.fraction,
            answered=fit.answered,
            throttled=fit.throttled,
            rows={
                name: Row(each.need, each.share, each.rate, each.held, _version(record, name, member, ledger.turn))
                for name, each in ledger.members.items()
            },
        )
        return after, lease

    def _ledger(self, record: Record) -> Ledger:
        """Set the ledger on this daemon's clock. All needs are weighed at each bid: they are at hand anyway."""
        ledger = Ledger(self.lasting, record.turn, max(self._learns_until(record), self._careful_until))
        since = self._window.since if record.turn else -inf
        ledger.fit = Fit(record.fraction, since, record.answered, record.throttled)
        for name, row in record.rows.items():
            lasts = self.lasting * (1 if row.need > 0 else RESTING)
            until = self._rows[name].since + lasts
            ledger.members[name] = Member(row.need, row.share, row.rate, row.held, until)
        return ledger

    def _learns_until(self, record: Record) -> float:
        """Say how long the ledger learns: one that only began, until it would have heard of what is held."""
        if not record.learns:
            return -inf
        return self._learns.since + self.lasting * (UNHEARD if record.learns == _FIRST_TURN else 1)


_FIRST_TURN: Final = 1
"""Of a ledger whose first bid came from one that knew of no other: who had a lease would have named a later turn."""


def without(record: Record, member: str) -> Record:
    """Give the record that follows when a member leaves: the same one where it is none.

    A ledger that has lost its memory must not begin with a farewell: it would not know that it has to learn.
    """
    if member not in record.rows:
        return record
    rows = {name: row for name, row in record.rows.items() if name != member}
    return Record(
        record.turn + 1, record.learns, record.window, record.fraction, record.answered, record.throttled, rows
    )


def _version(record: Record, name: str, member: str, turn: int) -> int:
    return turn if name == member else record.rows[name].version
