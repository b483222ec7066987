from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.leases import (
    DEEPEST_CUT,
    ENOUGH_ANSWERS,
    FIT_FLOOR,
    RECOVERY,
    Bid,
    Fit,
    Lease,
    Ledger,
    terms_of,
    water_level,
)

SHARE = 800.0
LASTING = 5.0

needs = st.lists(st.floats(0, 2_000), min_size=1, max_size=12)
shares = st.floats(0.1, 2_000)


class TestWaterLevel:
    """All needs below the level are met, everyone above has the level."""

    @pytest.mark.parametrize(
        ("wanted", "level"),
        [([], inf), ([100, 700], inf), ([500, 500], 400), ([10, 50, 1_000, 5_000], 370), ([0, 0], inf)],
    )
    def test_examples(self, wanted: list[float], level: float) -> None:
        """It is where the needs, cut off at it, are the share."""
        assert water_level(wanted, SHARE) == level

    @given(needs, shares)
    def test_uses_all_and_no_more(self, wanted: list[float], share: float) -> None:
        """Cut off at the level, needs make up the share, or all of them are met."""
        level = water_level(wanted, share)
        assert sum(min(need, level) for need in wanted) == pytest.approx(min(share, sum(wanted)))

    @given(needs, shares, shares)
    def test_monotone(self, wanted: list[float], share: float, other: float) -> None:
        """More to share never gives anybody less; one more who needs never gives anybody more."""
        small, large = sorted((share, other))
        assert water_level(wanted, small) <= water_level(wanted, large) + 1e-9
        assert water_level([*wanted, 5.0], share) <= water_level(wanted, share) + 1e-9


class TestTerms:
    """Everybody has a part that grows with its need."""

    @given(needs, shares)
    def test_never_over_granted(self, wanted: list[float], share: float) -> None:
        """All parts together are at most the share."""
        terms = terms_of(wanted, share)
        assert sum(terms.part(need) for need in wanted) <= share * (1 + 1e-9)

    @given(needs, shares)
    def test_nobody_starves(self, wanted: list[float], share: float) -> None:
        """Who needs something has something; who needs more has no less; equal needs have equal parts."""
        terms = terms_of(wanted, share)
        parts = [terms.part(need) for need in sorted(wanted)]
        assert all(terms.part(need) > 0 for need in wanted if need > 0)
        assert parts == sorted(parts)

    @given(needs, shares)
    def test_scarcity_is_shared_not_met(self, wanted: list[float], share: float) -> None:
        """Whoever has less than its need has as much as anybody."""
        terms = terms_of(wanted, share)
        parts = {need: terms.part(need) for need in wanted}
        assert all(part >= max(parts.values()) - 1e-9 for need, part in parts.items() if part < need)

    def test_spare(self) -> None:
        """Half of what nobody needs is divided, the other half waits for whoever comes."""
        terms = terms_of([100, 300], SHARE)
        assert [terms.part(100), terms.part(300)] == [200, 400]


class TestFit:
    """Throttling anywhere in the fleet lowers what all of it takes."""

    def test_by_what_was_throttled(self) -> None:
        """A fifth throttled: a fifth less would have passed whole."""
        fit = Fit(since=0)
        fit.add(640, 160)
        fit.adjust(1, SHARE, 1)
        assert fit.fraction == pytest.approx(0.8)

    def test_by_what_was_used(self) -> None:
        """A fleet that used a tenth of its share goes down towards what it used, at most by half in one window."""
        fit = Fit(since=0)
        fit.add(40, 40)
        fit.adjust(1, SHARE, 1)
        assert fit.fraction == DEEPEST_CUT

    def test_once_a_window(self) -> None:
        """What comes within one window is judged together."""
        fit = Fit(since=0)
        fit.add(0, 100)
        fit.adjust(0.9, SHARE, 1)
        assert fit.fraction == 1
        fit.add(100, 0)
        fit.adjust(1, SHARE, 1)
        assert (fit.fraction, fit.answered, fit.throttled) == (0.5, 0, 0)

    def test_few_say_nothing(self) -> None:
        """One throttled call of a few is luck, and forgotten."""
        fit = Fit(fraction=0.5, since=0)
        fit.add(1, ENOUGH_ANSWERS - 2)
        fit.adjust(1, SHARE, 1)
        assert (fit.fraction, fit.throttled) == (0.5, 0)

    def test_recovers(self) -> None:
        """Each window without throttling gives a little back, up to all of it."""
        fit = Fit(fraction=1 - 1.5 * RECOVERY, since=0)
        fit.adjust(1, SHARE, 1)
        assert fit.fraction == pytest.approx(1 - 0.5 * RECOVERY)
        fit.adjust(2, SHARE, 1)
        assert fit.fraction == 1

    def test_floor(self) -> None:
        """However much strangers take, the fleet goes on asking."""
        fit = Fit(since=0)
        for second in range(1, 100):
            fit.add(0, 100)
            fit.adjust(second, SHARE, 1)
        assert fit.fraction == FIT_FLOOR


@dataclass
class Client:
    """A daemon that keeps to its leases."""

    name: str
    need: float = 0.0
    lease: Lease | None = None
    until: float = -inf

    def rate(self, now: float) -> float:
        """Give what it lets itself take."""
        return self.lease.rate if self.lease and now < self.until else 0.0

    def bid(self, now: float, share: float = SHARE, safe: float = 100.0) -> Bid:
        """Say what it asks for."""
        return Bid(self.need, share, safe, self.rate(now), self.lease.turn if self.lease else 0)

    def take(self, lease: Lease, sent_at: float) -> None:
        """Hear the answer."""
        self.lease, self.until = lease, sent_at + lease.lasts


steps = st.tuples(
    st.integers(0, 5),  # who
    st.sampled_from([0.0, 1.0, 50.0, 900.0]),  # needs what
    st.floats(0, 3),  # so many seconds later
    st.sampled_from(["heard", "heard", "heard", "lost", "leaves"]),
)


class TestLedger:
    """A ledger never leases more than there is."""

    @settings(max_examples=200)
    @given(st.lists(steps, max_size=60), st.booleans())
    def test_never_more_than_the_share(self, script: list[tuple[int, float, float, str]], flush: bool) -> None:  # noqa: FBT001 -- hypothesis draws it
        """Whoever comes, goes, dies or hears nothing back: together they hold at most the share."""
        ledger, now = Ledger(LASTING), 0.0
        clients = [Client(f"d{number}") for number in range(6)]
        for who, need, later, ends in script:
            client, client.need = clients[who], need
            lease = ledger.renew(client.name, client.bid(now), now)
            if ends == "leaves":
                ledger.leave(client.name)
                client.lease = None
            elif ends == "heard":
                client.take(lease, now)
            assert sum(each.rate(now) for each in clients) <= SHARE * (1 + 1e-9)
            now += later
        if flush:
            self._forgets(clients, now)

    @staticmethod
    def _forgets(clients: list[Client], now: float) -> None:
        """After a flush nobody's rate grows beyond its safe minimum for one lease time."""
        ledger = Ledger(LASTING)
        for client in clients:
            before = client.rate(now)
            assert ledger.renew(client.name, client.bid(now), now).rate <= max(before, 100)

    def test_lease_outlives_nothing(self) -> None:
        """The lease of a daemon that died is free after one lease time, counted from its last bid."""
        ledger, dead, other = Ledger(LASTING, turn=1, counted_at=-1), Client("dead", 1_000), Client("other", 1_000)
        dead.take(ledger.renew("dead", dead.bid(0), 0), 0)
        assert dead.rate(0) == SHARE
        assert ledger.renew("other", other.bid(4.9), 4.9).rate == 0
        assert ledger.renew("other", other.bid(5.2), 5.2).rate == SHARE

    def test_smaller_lease_counts_until_it_is_known(self) -> None:
        """Others have what a daemon must let go of only when that daemon's next bid shows that it has heard."""
        ledger, rich, late = Ledger(LASTING, turn=1, counted_at=-1), Client("rich", 1_000), Client("late", 1_000)
        rich.take(ledger.renew("rich", rich.bid(0), 0), 0)
        ledger.renew("late", late.bid(1), 1)
        answer = ledger.renew("rich", rich.bid(2), 2)
        assert answer.rate == SHARE / 2
        assert ledger.renew("late", late.bid(3), 3).rate == 0
        rich.take(answer, 2)
        ledger.renew("rich", rich.bid(4), 4)
        assert ledger.renew("late", late.bid(4), 4).rate == SHARE / 2

    def test_clock_that_jumps(self) -> None:
        """When the store's clock is set back, nothing lasts longer than one lease time from then."""
        ledger, client = Ledger(LASTING), Client("dead", 1_000)
        ledger.renew("dead", client.bid(1_000), 1_000)
        late = Client("late", 1_000)
        for second in range(8):
            late.take(ledger.renew("late", late.bid(second), second), second)
        assert late.rate(7) == SHARE

    def test_tells_the_part_that_is_to_come(self) -> None:
        """Who waits for others to let go is told its part, so that it asks again soon."""
        ledger, rich, late = Ledger(LASTING, turn=1, counted_at=-1), Client("rich", 1_000), Client("late", 1_000)
        rich.take(ledger.renew("rich", rich.bid(0), 0), 0)
        lease = ledger.renew("late", late.bid(1), 1)
        assert (lease.rate, lease.part, lease.members) == (0, SHARE / 2, 2)
