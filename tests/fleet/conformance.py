"""What every lease store promises, whatever keeps its ledgers.

A class for each store names how a daemon's client is made and how the store loses its memory. Time is virtual: stores
take their clock as an argument, and the suite moves it.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from sidecar.core.leases import UNHEARD, Bid, Lease, Pool
from sidecar.core.ports import LeaseStore
from sidecar.core.quotas import Scope

POOL = Pool(Scope("111111111111", "eu-west-1"), "kms.symmetric")
ELSEWHERE = Pool(Scope("111111111111", "us-east-1"), "kms.symmetric")
SHARE = 800.0
SAFE = 100.0
LASTING = 5.0
ROUND = LASTING / 10
"""Seconds between two bids of a daemon here: a store may need a few of them to weigh needs."""


@dataclass
class Hands:
    """A clock that the tests move."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Give the time (seconds)."""
        return self.now


@dataclass
class Daemon:
    """One member of the fleet, which keeps to its leases as a real one does."""

    store: LeaseStore
    clock: Hands
    name: str
    need: float
    share: float = SHARE
    pool: Pool = POOL
    lease: Lease | None = None
    until: float = float("-inf")
    answered: int = 0
    throttled: int = 0
    is_alone: bool = False

    @property
    def rate(self) -> float:
        """What it lets itself take now, apart from safe minimums."""
        return self.lease.rate if self.lease and self.clock() < self.until else 0.0

    @property
    def agreed(self) -> Lease:
        """Its last lease."""
        assert self.lease is not None
        return self.lease

    async def renew(self, *, is_lost: bool = False) -> float:
        """Bid, and give the rate that it may take; where the answer is lost, it keeps to what it had."""
        sent_at = self.clock()
        if self.need == 0:
            self.until = sent_at  # it lets go before it says so
        seen = self.lease.turn if self.lease else 0
        safe = min(SAFE, SHARE / self.lease.members) if self.lease else SAFE
        bid = Bid(self.need, self.share, safe, self.rate, seen, self.answered, self.throttled, self.is_alone)
        lease = await self.store.renew(self.pool, self.name, bid)
        if not is_lost:
            self.lease, self.until = lease, sent_at + lease.lasts
            self.answered = self.throttled = 0
        return lease.rate


@dataclass
class Fleet:
    """Daemons, and the clock that they share."""

    clock: Hands
    daemons: list[Daemon] = field(default_factory=list)

    async def rounds(self, count: int, *, most: float = SHARE) -> None:
        """Let everybody renew so many times, and see that they never hold more than the share together."""
        for _ in range(count):
            for daemon in self.daemons:
                await daemon.renew()
                assert self.taken() <= most + 1e-6
            self.clock.now += ROUND

    def taken(self) -> float:
        """Sum up what all let themselves take."""
        return sum(daemon.rate for daemon in self.daemons)


class LeaseStoreConformance(ABC):
    """Promises of the port, many small ones."""

    @abstractmethod
    async def client(self, clock: Hands, exits: AsyncExitStack) -> LeaseStore:
        """Give one daemon its way to the store; `exits` closes it."""

    @abstractmethod
    async def flush(self) -> None:
        """Make the store lose its memory."""

    @pytest.fixture
    def clock(self) -> Hands:
        """Give the clock of the store and of all daemons."""
        return Hands()

    @pytest.fixture
    async def exits(self) -> AsyncIterator[AsyncExitStack]:
        """Close at the end of a test what it opened."""
        async with AsyncExitStack() as exits:
            yield exits

    async def join(self, fleet: Fleet, exits: AsyncExitStack, need: float, share: float = SHARE) -> Daemon:
        """Add a daemon to the fleet."""
        store = await self.client(fleet.clock, exits)
        fleet.daemons.append(Daemon(store, fleet.clock, f"d{len(fleet.daemons)}", need, share))
        return fleet.daemons[-1]

    async def grown(self, clock: Hands, exits: AsyncExitStack, needs: Sequence[float]) -> Fleet:
        """Give a fleet that has found its balance, in a store that knows what it does."""
        fleet = Fleet(clock)
        for need in needs:
            await self.join(fleet, exits, need)
        await fleet.rounds(3 * int(LASTING / ROUND))
        return fleet

    async def test_one_alone_has_what_it_needs(self, clock: Hands, exits: AsyncExitStack) -> None:
        """A lone daemon has its need, and something to spare for callers."""
        fleet = await self.grown(clock, exits, [50])
        assert 50 < fleet.daemons[0].rate <= SHARE
        assert fleet.daemons[0].agreed.lasts == LASTING

    async def test_all_of_the_share_is_used(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Equal needs beyond the share are equal parts of all of it."""
        fleet = await self.grown(clock, exits, [1_000] * 4)
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([SHARE / 4] * 4)
        assert fleet.daemons[0].agreed.members == 4

    async def test_small_needs_are_met_whole(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Max-min fairness: who needs less than an equal part has it all, the others share the rest equally."""
        fleet = await self.grown(clock, exits, [10, 50, 1_000, 5_000])
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([10, 50, 370, 370])

    async def test_who_needs_nothing_rests(self, clock: Hands, exits: AsyncExitStack) -> None:
        """It gives its lease back at once, and is still counted among the members long afterwards."""
        fleet = await self.grown(clock, exits, [100, 5_000])
        fleet.daemons[0].need = 0
        assert await fleet.daemons[0].renew() == 0
        await fleet.daemons[0].renew()
        resting = fleet.daemons.pop(0)
        await fleet.rounds(5 * int(LASTING / ROUND))
        assert fleet.daemons[0].rate == pytest.approx(SHARE)
        assert fleet.daemons[0].agreed.members == 2
        resting.need = 100
        fleet.daemons.append(resting)
        await fleet.rounds(int(LASTING / ROUND))
        assert resting.rate == 100

    async def test_late_joiner(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Whoever comes late has its part within one lease time."""
        fleet = await self.grown(clock, exits, [1_000] * 3)
        late = await self.join(fleet, exits, 1_000)
        await fleet.rounds(int(LASTING / ROUND))
        assert late.rate == pytest.approx(SHARE / 4)

    async def test_unused_rate_goes_back(self, clock: Hands, exits: AsyncExitStack) -> None:
        """What one needs no more the others have within one lease time."""
        fleet = await self.grown(clock, exits, [1_000, 1_000])
        fleet.daemons[0].need = 5
        await fleet.rounds(int(LASTING / ROUND))
        assert fleet.daemons[1].rate == pytest.approx(SHARE - 5)

    async def test_dead_daemon(self, clock: Hands, exits: AsyncExitStack) -> None:
        """A daemon that dies with a lease in hand blocks it until it ends, and no longer than one lease time more."""
        fleet = await self.grown(clock, exits, [1_000, 1_000])
        dead = fleet.daemons.pop()
        while dead.rate:
            await fleet.rounds(1, most=SHARE - dead.rate)
        await fleet.rounds(int(LASTING / ROUND))
        assert fleet.daemons[0].rate == pytest.approx(SHARE)

    async def test_leave(self, clock: Hands, exits: AsyncExitStack) -> None:
        """A daemon that ends gives its lease back at once; to leave twice is no error."""
        fleet = await self.grown(clock, exits, [1_000, 1_000])
        gone = fleet.daemons.pop()
        for _ in range(2):
            await gone.store.leave(POOL, gone.name)
        await fleet.rounds(3)
        assert fleet.daemons[0].rate == pytest.approx(SHARE)

    async def test_smaller_share_wins(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Where daemons disagree on the share, the smallest counts for all, and each hears of it."""
        fleet = await self.grown(clock, exits, [1_000, 1_000])
        await self.join(fleet, exits, 1_000, share=90)
        await fleet.rounds(2 * int(LASTING / ROUND))
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([30, 30, 30])
        assert fleet.daemons[0].agreed.agreed == 90

    async def test_pools_are_apart(self, clock: Hands, exits: AsyncExitStack) -> None:
        """What is leased in one region takes nothing from another."""
        fleet = await self.grown(clock, exits, [1_000, 1_000])
        fleet.daemons[1].pool = ELSEWHERE
        fleet.daemons[1].lease = None
        await fleet.rounds(3 * int(LASTING / ROUND), most=2 * SHARE)
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([SHARE, SHARE])

    async def test_strangers(self, clock: Hands, exits: AsyncExitStack) -> None:
        """When a quarter is throttled, all go slower until it passes, and come back when strangers have gone."""
        fleet = await self.grown(clock, exits, [1_000] * 4)
        left = 600.0
        for _ in range(4 * int(LASTING / ROUND)):
            for daemon in fleet.daemons:
                calls = round(daemon.rate * ROUND)
                daemon.throttled = round(calls * max(0.0, 1 - left / fleet.taken()))
                daemon.answered = calls - daemon.throttled
            await fleet.rounds(1)
        assert 0.85 * left < fleet.taken() < 1.05 * left
        for _ in range(11 * int(LASTING / ROUND)):
            fleet.daemons[0].answered = 100
            await fleet.rounds(1)
            clock.now += 3 * ROUND
        assert fleet.taken() == pytest.approx(SHARE)

    async def test_new_store_is_careful(self, clock: Hands, exits: AsyncExitStack) -> None:
        """A store that knows nothing yet grants safe minimums until it would have heard of leases that it forgot."""
        fleet = Fleet(clock)
        await self.join(fleet, exits, 1_000)
        await fleet.rounds(int(UNHEARD * LASTING / ROUND))
        assert fleet.daemons[0].rate <= SAFE
        await fleet.rounds(2)
        assert fleet.daemons[0].rate == pytest.approx(SHARE), "no longer than that"

    async def test_flushed_store_confirms_what_is_held(self, clock: Hands, exits: AsyncExitStack) -> None:
        """After a loss of memory daemons keep what they hold; a new one has its safe minimum beside it, at most."""
        fleet = await self.grown(clock, exits, [200, 5_000])
        await self.flush()
        await fleet.rounds(1)
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([200, 600])
        await self.flush()
        new = await self.join(fleet, exits, 1_000)
        assert await new.renew() <= SAFE
        await fleet.rounds(int(LASTING / ROUND), most=SHARE + SAFE)
        await fleet.rounds(int(LASTING / ROUND))
        assert [daemon.rate for daemon in fleet.daemons] == pytest.approx([200, 300, 300])

    async def test_back_after_an_outage(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Whoever comes back first finds others alone still: safe minimums for one lease time."""
        fleet = await self.grown(clock, exits, [5_000] * 2)
        clock.now += 2 * LASTING
        first = fleet.daemons[0]
        first.is_alone = True
        assert await first.renew() <= SAFE
        clock.now += ROUND
        first.is_alone = False
        assert await first.renew() <= SAFE
        await fleet.rounds(2 * int(LASTING / ROUND))
        assert first.rate == pytest.approx(SHARE / 2)

    async def test_memory_from_the_past(self, clock: Hands, exits: AsyncExitStack) -> None:
        """A store that was set back, and has forgotten the last leases, learns like one that is new."""
        fleet = await self.grown(clock, exits, [50])
        late = await self.join(fleet, exits, 5_000)
        late.lease = replace(fleet.daemons[0].agreed, turn=1_000_000, members=8)
        await fleet.rounds(1)
        assert late.rate <= SHARE / 8

    async def test_never_more_than_the_share(self, clock: Hands, exits: AsyncExitStack) -> None:
        """Whoever comes, goes, dies, needs or hears nothing back: together they never hold more than the share."""
        dice = random.Random(7)
        fleet = await self.grown(clock, exits, [100, 300, 500])
        for _ in range(150):
            daemon = dice.choice(fleet.daemons)
            daemon.need = dice.choice([0, 1, 50, 2_000])
            await daemon.renew(is_lost=dice.random() < 0.2)
            if dice.random() < 0.1:
                await self.join(fleet, exits, 400)
            clock.now += dice.random() * 0.6
            assert fleet.taken() <= SHARE + 1e-6
