import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.aws.ledgers import Observer, Record, Row, without
from sidecar.core.leases import RESTING, UNHEARD, Bid, Lease

LASTING = 5.0
SHARE = 800.0
SAFE = 100.0

rates = st.floats(0, 1e9)
versions = st.integers(0, 2**63)
rows = st.builds(Row, rates, rates, rates, rates, versions)
records = st.builds(
    Record,
    versions,
    versions,
    versions,
    st.floats(0, 1),
    versions,
    versions,
    st.dictionaries(st.text(max_size=40), rows),
)


@given(records)
def test_what_is_packed_is_unpacked(record: Record) -> None:
    """Nothing is lost on the way through the table."""
    assert Record.unpack(record.turn, record.pack()) == record


def test_what_a_member_costs() -> None:
    """41 bytes, and 57 for each member that is named as daemons are: docs/decisions/011 counts with that."""
    fleet = {f"{number:016x}": Row(1, 1, 1, 1, 1) for number in range(25)}
    assert len(Record(1, rows=fleet).pack()) == 41 + 57 * 25


@given(records, st.integers(1, 40))
def test_what_ends_early_is_refused(record: Record, cut: int) -> None:
    """A record that is not whole is no smaller record, unless whole members are missing."""
    packed = record.pack()[:-cut]
    try:
        found = Record.unpack(record.turn, packed)
    except ValueError:
        return
    assert found.pack() == packed


def test_another_format_is_refused() -> None:
    """A record of a later version is not misread."""
    with pytest.raises(ValueError, match="another format"):
        Record.unpack(1, b"\x02" + Record().pack()[1:])


@dataclass
class Daemon:
    """One that bids, with a clock of its own that is far from all others'."""

    name: str
    offset: float
    observer: Observer
    lease: Lease | None = None
    until: float = float("-inf")

    def bid(self, record: Record, now: float, need: float, *, is_alone: bool = False) -> Record:
        """Bid at a moment that all know as `now`, and its own clock as something else."""
        own = now + self.offset
        self.observer.look(record, own)
        holds = self.lease.rate if self.lease and own < self.until else 0.0
        seen = self.lease.turn if self.lease else 0
        after, self.lease = self.observer.renew(
            record, self.name, Bid(need, SHARE, SAFE, holds, seen, is_alone=is_alone), own
        )
        self.until = own + self.lease.lasts
        self.observer.look(after, own)
        return after

    def rate(self, now: float) -> float:
        """Give what it lets itself take."""
        return self.lease.rate if self.lease and now + self.offset < self.until else 0.0


def daemons(*offsets: float) -> list[Daemon]:
    """Give daemons whose clocks are so far off."""
    return [Daemon(f"d{index}", offset, Observer(LASTING)) for index, offset in enumerate(offsets)]


def settled(fleet: list[Daemon], need: float = 1_000) -> tuple[Record, float]:
    """Let a fleet find its balance; gives the record, and the time of the last bids."""
    record, now = Record(), 0.0
    for _ in range(40):
        now += LASTING / 10
        for daemon in fleet:
            record = daemon.bid(record, now, need)
    return record, now


def test_clocks_may_be_anywhere() -> None:
    """Clocks ten minutes or a year apart change nothing: nobody reads another's."""
    fleet = daemons(0, 600, -600, 3e7)
    _, now = settled(fleet)
    assert [daemon.rate(now) for daemon in fleet] == pytest.approx([SHARE / 4] * 4)


def test_what_does_not_move_for_a_lease_time_is_dead() -> None:
    """A lease counts until one lease time after its last bid was seen, not a moment less."""
    dead, one = daemons(0, 600)
    record, now = settled([dead, one])
    record = one.bid(record, now + LASTING - 0.01, 1_000)
    assert one.rate(now + LASTING - 0.01) == pytest.approx(SHARE / 2)
    one.bid(record, now + LASTING, 1_000)
    assert one.rate(now + LASTING) == pytest.approx(SHARE)
    assert set(record.rows) == {"d0", "d1"}


def test_a_newcomer_believes_what_it_finds() -> None:
    """Who has just come cannot know how old a lease is, and lets it be for a whole lease time."""
    one, new = daemons(0, -5)
    record, now = settled([one])
    now += 3 * LASTING  # one is long dead
    record = new.bid(record, now, 1_000)
    assert new.rate(now) == 0
    new.bid(record, now + LASTING, 1_000)
    assert new.rate(now + LASTING) == pytest.approx(SHARE)


def test_who_rests_is_remembered() -> None:
    """Who needs nothing holds nothing, and is a member for many lease times."""
    one, resting = daemons(0, 600)
    record, now = settled([one, resting])
    record = one.bid(resting.bid(record, now, 0), now, 1_000)
    for later in (LASTING, (RESTING - 1) * LASTING):
        record = one.bid(record, now + later, 1_000)
        assert one.lease
        assert one.lease.members == 2
    one.bid(record, now + RESTING * LASTING, 1_000)
    assert one.lease
    assert one.lease.members == 1


def test_learning_ends_for_all_when_one_has_waited() -> None:
    """A new ledger learns for as long as it takes to hear of leases; a newcomer does not begin it anew."""
    one, late = daemons(0, 600)
    heard = UNHEARD * LASTING
    record = one.bid(Record(), 0, 1_000)
    assert one.rate(0) == SAFE
    assert record.learns
    record = one.bid(record, heard / 2, 1_000)
    record = late.bid(record, heard - 0.1, 1_000)
    assert late.rate(heard - 0.1) <= SAFE
    record = one.bid(record, heard, 1_000)
    assert not record.learns
    record = late.bid(record, heard + 0.1, 1_000)
    assert late.rate(heard + 0.1) == pytest.approx(SHARE / 2)


def test_who_is_forgotten_makes_it_learn_for_a_lease_time() -> None:
    """A lease that the new ledger does not know tells that others may have one too, whatever turn it has reached."""
    new, forgotten = daemons(0, 600)
    _, now = settled([forgotten])
    record = new.bid(Record(), now, 1_000)
    for step in range(1, 100):
        record = new.bid(record, now + 0.01 * step, 1_000)
    assert forgotten.lease
    assert record.turn > forgotten.lease.turn
    record = forgotten.bid(record, now + 1, 1_000)
    assert record.learns == record.turn
    for later in (2.0, 4.0, 5.9):
        record = forgotten.bid(new.bid(record, now + later, 1_000), now + later, 1_000)
        assert new.rate(now + later) <= SAFE
    record = forgotten.bid(record, now + 6, 1_000)  # it has seen it begin, and waited
    assert not record.learns


def test_who_was_alone_is_careful_by_itself() -> None:
    """One that comes back holds a safe minimum for a lease time, as others may be alone; those who were not go on."""
    one, two = daemons(0, 600)
    record, now = settled([one])
    record = two.bid(record, now, 1_000, is_alone=True)
    for step in (0.5, 0.8):  # hears of the other, then shows that it has let go
        record = one.bid(record, now + step, 1_000)
    record = two.bid(record, now + 1, 1_000)
    assert two.rate(now + 1) == SAFE
    for step in (1.5, 3, 4.5, 6):
        record = one.bid(record, now + step, 1_000)
        record = two.bid(record, now + step, 1_000)
    assert two.rate(now + 6) == pytest.approx(SHARE / 2)
    assert not record.learns


def test_leaving_frees_at_once() -> None:
    """What one gives back the next bid may have."""
    one, two = daemons(0, 600)
    record, now = settled([one, two])
    after = without(record, "d1")
    assert after.turn == record.turn + 1
    assert set(after.rows) == {"d0"}
    assert without(after, "d1") is after
    one.bid(after, now, 1_000)
    assert one.rate(now) == pytest.approx(SHARE)


def test_never_more_than_the_share() -> None:
    """Whoever bids when, with whatever clock, after whatever pause: together they hold the share at most."""
    dice = random.Random(11)
    fleet = daemons(*(dice.uniform(-1e6, 1e6) for _ in range(8)))
    record, now = Record(), 0.0
    dead: list[Daemon] = []
    for number in range(3_000):
        now += dice.random() * 0.4
        daemon = dice.choice(fleet)
        if dice.random() < 0.02:  # it dies with what it holds, and another begins
            fleet.remove(daemon)
            dead.append(daemon)
            fleet.append(Daemon(f"n{number}", dice.uniform(-1e6, 1e6), Observer(LASTING)))
        else:
            record = daemon.bid(record, now, dice.choice([1, 50, 2_000]))
        assert sum(each.rate(now) for each in fleet + dead) <= SHARE + 1e-6
