"""Lease this daemon's rates from its fleet's store, behind the back of all requests.

A request only ever sees the rate that its quota has now. While the store answers, that is the lease; when it does not,
what is held counts until it ends, then the safe minimum. Must not decide who gets how much: `core.leases` does.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from sidecar.core.errors import StoreLost
from sidecar.core.leases import Bid, FleetReading, Lease, Pool
from sidecar.core.pacing import EARLY, backoff
from sidecar.core.ports import LeaseStore
from sidecar.engine.admission import Quota, Turnstile
from sidecar.telemetry import events

log = structlog.get_logger()

STORE_TIMEOUT: Final = 1.0
"""Seconds that a store may take: it answers in one millisecond, and a lease that is asked for in time outlives two such
failures."""

RENEW_AFTER: Final = 1 / 3
"""Of a lease time: when a lease is renewed, so that two renewals may fail."""

SCARCE_AFTER: Final = 1 / 10
"""Of a lease time: when a lease that is less than was needed is renewed at the soonest, to have what others give back.
In a large fleet later, see `MOST_BIDS`."""

MOST_BIDS: Final = 1_000.0
"""Bids a second that a whole fleet makes for one scarce pool, as long as leases are renewed in time; four times as many
for the moment in which parts are found. Redis does a thousand with a few percent of one core."""

REST_FOR: Final = 12.0
"""Lease times: how often one that needs nothing shows that it is still there (1 min)."""

SOONER: Final = 1 / 50
"""Of a lease time: the least time between two bids for one pool, where waiting longer would leave rate unused."""

JITTER: Final = 0.1
"""Renewals are drawn within ±10 %, so that daemons that were started together drift apart."""

MOVED: Final = 1.1
"""A rate that differs by less than this factor is not worth another bid."""


@dataclass(slots=True, eq=False)
class Tenancy:
    """One pool, of which this daemon leases its part."""

    pool: Pool
    turnstile: Turnstile
    quota: Quota
    lease: Lease | None = None
    until: float = float("-inf")  # loop time
    bid: Bid | None = None
    bid_at: float = float("-inf")
    due: float = float("-inf")
    told: tuple[int, int] = (0, 0)  # what was answered and what throttled, as last told
    timer: asyncio.TimerHandle | None = None
    is_alone: bool = False  # at a rate that the store has not granted

    @property
    def share(self) -> float:
        """What the fleet may take together."""
        return self.turnstile.limits.fleet_ceiling(self.quota.name, self.pool.scope.region)

    @property
    def safe(self) -> float:
        """What is taken without a store: an equal part, as far as the members are known, never more than alone."""
        alone = self.turnstile.limits.ceiling(self.quota.name, self.pool.scope.region)
        return min(alone, self.share / self.lease.members) if self.lease else alone

    def holds(self, now: float) -> float:
        """Say what it may take by a lease that has not ended."""
        return self.lease.rate if self.lease and now < self.until else 0.0

    def next_bid(self, now: float) -> Bid:
        """Say what to ask for; what needs nothing lets go of its lease at once."""
        answered, throttled = self.told
        need = self.quota.need(now)
        if need < self.holds(now):
            self._let_go(now, need)
        return Bid(
            need=need,
            share=self.share,
            safe=self.safe,
            holds=self.holds(now),
            seen=self.lease.turn if self.lease else 0,
            answered=self.quota.answered - answered,
            throttled=self.quota.blamed - throttled,
            is_alone=self.is_alone,
        )

    def _let_go(self, now: float, need: float) -> None:
        """Keep to less of the lease before saying so: then others can have the rest at once."""
        assert self.lease is not None, "it holds something"
        self.lease = replace(self.lease, rate=need)
        if need > 0:
            self.quota.lease(now, need, need)
        else:
            self.quota.rest(now, self.safe)

    def take(self, bid: Bid, lease: Lease, sent_at: float, now: float) -> None:
        """Keep to a new lease, or rest where nothing is needed."""
        answered, throttled = self.told
        self.told = (answered + bid.answered, throttled + bid.throttled)
        self.bid, self.lease, self.until = bid, lease, sent_at + lease.lasts
        self.is_alone = False
        if bid.need > 0:
            self.quota.lease(now, lease.rate, lease.part)
        else:
            self.quota.rest(now, self.safe)
        self.turnstile.turn()

    def go_alone(self, now: float) -> None:
        """Take the safe minimum from now on; who was never in a fleet begins as low as one without."""
        if self.is_alone or self.holds(now):
            return
        self.is_alone = True
        if self.lease is None:
            self.quota.start_alone(now, self.safe)
        else:
            self.quota.go_alone(now, self.safe)
        self.turnstile.turn()

    def wants_sooner(self, now: float) -> bool:
        """Decide whether to bid again before the renewal: where waiting would leave rate unused, here or elsewhere."""
        lease, bid = self.lease, self.bid
        if lease is None or bid is None:
            return True
        if lease.part > lease.rate * MOVED or bid.holds > lease.rate * MOVED:
            return True  # others still hold its part, or wait until it shows that it has let go of theirs
        need = self.quota.need(now)
        if need > max(bid.need, lease.rate) * MOVED:
            return True
        return self.is_scarce and need < lease.rate / 2  # others need what it does not any more

    @property
    def is_scarce(self) -> bool:
        """Whether there was no more than it needed: then others may need what it does not need any more."""
        return self.lease is not None and self.bid is not None and 0 < self.lease.rate <= self.bid.need


@dataclass(slots=True)
class Leasing:
    """The tenant of a fleet's store. `run` lasts until cancelled; before it runs, nothing is let through."""

    store: LeaseStore
    member: str  # unlike any other daemon's
    dice: Callable[[], float]
    timeout: float = STORE_TIMEOUT
    lost_at: float | None = None  # loop time since when the store does not answer
    found_at: float | None = None  # since when it does
    _phase: float = field(init=False)  # one for all quotas: a call that needs two waits for the later one
    _why: str = ""
    _tries: int = 0
    _retry_at: float = float("-inf")
    _disagreed: bool = False
    _tenancies: dict[Pool, Tenancy] = field(default_factory=dict)
    _poked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._phase = self.dice()

    def watch(self, turnstile: Turnstile, quota: Quota) -> None:
        """Lease this quota from now on, where the account is known and has a limit to share."""
        pool = Pool(turnstile.scope, quota.name)
        if pool in self._tenancies or not turnstile.scope.is_known or not turnstile.limits.is_shared(quota.name):
            return
        tenancy = self._tenancies[pool] = Tenancy(pool, turnstile, quota)
        now = asyncio.get_running_loop().time()
        if self.lost_at is not None:
            tenancy.go_alone(now)
        elif quota.tally.per_second(now) == 0:
            quota.await_lease(now, self._phase, tenancy.safe)
        self.poke()

    def poke(self) -> None:
        """Look again: a quota is new, or somebody waits for one."""
        self._poked.set()

    def reading(self) -> FleetReading:
        """Say how this daemon stands with its fleet."""
        members = max((tenancy.lease.members for tenancy in self._tenancies.values() if tenancy.lease), default=0)
        is_connected = self.lost_at is None and self.found_at is not None
        since = self.found_at if is_connected else self.lost_at
        seconds = None if since is None else asyncio.get_running_loop().time() - since
        return FleetReading(is_connected, seconds, self._why, members)

    async def run(self) -> None:
        """Keep leases; cancelling it leaves them to end by themselves."""
        while True:
            now = asyncio.get_running_loop().time()
            if due := list(self._due(now)):
                await self._bid(due)
            await self._rest()

    async def _bid(self, due: list[Tenancy]) -> None:
        async with asyncio.TaskGroup() as bids:
            asked = [bids.create_task(self._renew(tenancy), name="lease") for tenancy in due]
        now = asyncio.get_running_loop().time()
        failed = [tenancy for tenancy, task in zip(due, asked, strict=True) if not task.result()]
        if failed:
            self._note_loss(now)
        else:
            self._note_answer(now)
            self._compare(due)
        for tenancy in failed:
            tenancy.go_alone(now)

    async def leave(self) -> None:
        """Give all back: this daemon takes no more. It is a courtesy, so it takes no longer than a time-out."""
        if self.lost_at is not None:
            return
        try:
            async with asyncio.timeout(self.timeout), asyncio.TaskGroup() as partings:
                for pool in self._tenancies:
                    partings.create_task(self._part(pool), name="leave")
        except TimeoutError:
            pass

    async def _part(self, pool: Pool) -> None:
        try:
            await self.store.leave(pool, self.member)
        except StoreLost:
            return

    def _due(self, now: float) -> Iterator[Tenancy]:
        if now < self._retry_at - EARLY:
            return
        for tenancy in self._tenancies.values():
            may_bid = now >= tenancy.bid_at + self._sooner(tenancy) - EARLY
            if now >= tenancy.due - EARLY or (may_bid and tenancy.wants_sooner(now)):
                yield tenancy

    def _sooner(self, tenancy: Tenancy) -> float:
        members = tenancy.lease.members if tenancy.lease else 1
        return max(SOONER * self.store.lasting, members / (4 * MOST_BIDS))

    async def _rest(self) -> None:
        """Wait for the next renewal, or until somebody waits; look often where a bid may be wanted sooner."""
        now = asyncio.get_running_loop().time()
        times = [self._wakes(tenancy, now) for tenancy in self._tenancies.values()]
        try:
            async with asyncio.timeout_at(max(now, self._retry_at, min(times)) if times else None):
                await self._poked.wait()
        except TimeoutError:
            pass
        self._poked.clear()
        pause = self._retry_at - asyncio.get_running_loop().time()
        if pause > 0:
            await asyncio.sleep(pause)

    def _wakes(self, tenancy: Tenancy, now: float) -> float:
        if tenancy.wants_sooner(now):
            return min(tenancy.due, tenancy.bid_at + self._sooner(tenancy))
        return min(tenancy.due, now + self._sooner(tenancy)) if tenancy.is_scarce else tenancy.due

    async def _renew(self, tenancy: Tenancy) -> bool:
        """Bid for one pool, and say whether there is a lease for it."""
        loop = asyncio.get_running_loop()
        sent_at = tenancy.bid_at = loop.time()
        bid = tenancy.next_bid(sent_at)
        try:
            async with asyncio.timeout(self._patience()):
                lease = await self.store.renew(tenancy.pool, self.member, bid)
        except StoreLost as error:
            self._why = str(error)
            return False
        except TimeoutError:
            self._why = f"no answer within {self.timeout:g} s"
            return False
        now = loop.time()
        if now > sent_at + self.timeout:  # a store that is always as slow as this is none
            self._why = f"no answer within {self.timeout:g} s"
            return False
        tenancy.due = sent_at + self._interval(tenancy, bid, lease) * (1 + JITTER * (2 * self.dice() - 1))
        if now >= sent_at + lease.lasts:
            self._why = f"an answer after {now - sent_at:.1f} s, when the lease had ended"
            return False
        tenancy.take(bid, lease, sent_at, now)
        self._watch_end(tenancy)
        return True

    def _patience(self) -> float:
        """Give the seconds after which a bid is broken off: more while the store is lost, when nobody waits for it.

        What must come before the first answer (a walk for credentials, say) may take longer than an answer may, and
        would never end if each was broken off.
        """
        return self.timeout if self.lost_at is None else max(self.timeout, self.store.lasting)

    def _interval(self, tenancy: Tenancy, bid: Bid, lease: Lease) -> float:
        """Give the seconds until this lease is renewed."""
        lasting = self.store.lasting
        if bid.need == 0:
            return REST_FOR * lasting
        if tenancy.lease is None:  # who is new was granted something before its fleet was weighed anew
            return max(SOONER * lasting, lease.members / (4 * MOST_BIDS))
        if lease.rate > bid.need:
            return RENEW_AFTER * lasting
        return min(RENEW_AFTER * lasting, max(SCARCE_AFTER * lasting, lease.members / MOST_BIDS))

    def _note_loss(self, now: float) -> None:
        lasting = self.store.lasting
        pause = backoff(self._tries, base=SOONER * lasting, cap=lasting, dice=self.dice)
        self._retry_at = now + SOONER * lasting + pause
        self._tries += 1
        if self.lost_at is None:
            self.lost_at = now
            log.warning(events.FLEET_STORE_LOST, why=self._why, mend=StoreLost.mend)

    def _note_answer(self, now: float) -> None:
        self._tries, self._retry_at = 0, now
        if self.lost_at is not None or self.found_at is None:
            alone = None if self.lost_at is None else round(now - self.lost_at, 1)
            log.info(events.FLEET_STORE_FOUND, member=self.member, alone_seconds=alone)
            self.lost_at, self.found_at, self._why = None, now, ""

    def _compare(self, asked: list[Tenancy]) -> None:
        """Say once when other members are configured with a smaller share: then that is what counts."""
        less = [each for each in asked if each.lease and each.lease.agreed * MOVED < each.share]
        if less and not self._disagreed:
            first = less[0]
            log.warning(
                events.FLEET_SHARES_DIFFER,
                quota=first.pool.quota,
                ours=round(first.share, 3),
                smallest=round(first.lease.agreed if first.lease else 0.0, 3),
            )
        self._disagreed = bool(less)

    def _watch_end(self, tenancy: Tenancy) -> None:
        if tenancy.timer:
            tenancy.timer.cancel()
        tenancy.timer = asyncio.get_running_loop().call_at(tenancy.until + EARLY, self._end, tenancy)

    @staticmethod
    def _end(tenancy: Tenancy) -> None:
        """Go on without a lease, as no other came in time."""
        if tenancy.bid and tenancy.bid.need > 0:
            tenancy.go_alone(asyncio.get_running_loop().time())
