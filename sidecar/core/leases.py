"""Share one quota among the daemons of a fleet: who may take how much of it for the next few seconds.

Pure: bids in, leases out, `now` is an argument (seconds on whatever clock the store keeps to). A store carries the
ledger from one bid to the next; `engine.leasing` bids. Must not know a store, wait or read a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from sidecar.core.quotas import Scope

LASTING: Final = 5.0
"""Seconds that a lease lasts: what a daemon that died takes with it is free again after so long."""

COUNT_EVERY: Final = 0.02
"""Of a lease time: how often a ledger weighs all needs against each other (100 ms). In between a renewal costs the
same whether ten daemons share or a thousand."""

UNHEARD: Final = 0.4
"""Of a lease time: for so long a ledger that begins listens for members that hold something (2 s). Each that lives
renews within it; those of whom it hears make it learn for a whole lease time."""

AWAY: Final = 0.5
"""Of a lease time: if nobody bid for so long and then one comes that was alone, all were."""

WINDOW: Final = 0.4
"""Of a lease time: how long answers are gathered before they say how much strangers leave (2 s). Longer than the
time between two bids, so that everybody's answers are in."""

RESTING: Final = 24
"""Lease times for which a member that needs nothing is remembered (2 min): it holds nothing and costs nothing, but it
is one of those among whom the share is divided when the store is lost."""

SPARE: Final = 0.5
"""Of what nobody needs: divided among those who need something, so that they need not ask again for a little more.
The rest stays in the ledger, for whoever needs it first."""

ENOUGH_ANSWERS: Final = 10
"""Fewer in one window say nothing of the whole."""

TOLERATED: Final = 0.004
"""Of the calls: so many may be throttled before the fleet goes slower. AWS's own unevenness makes a few."""

DEEPEST_CUT: Final = 0.5
"""What one window leaves at least of the rate, however much of it was throttled."""

UNEVEN: Final = 2.0
"""Bids do not come evenly: so many times what they told may have been used in truth."""

FIT_FLOOR: Final = 0.02
"""The least part of the share that the fleet keeps to itself, however much strangers take."""

RECOVERY: Final = 0.01
"""Of the share: what a window without throttling gives back. About half of it is throttled again where strangers
stay, so twice as much would throttle one call in a hundred."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What is leased: one quota of one account and region."""

    scope: Scope
    quota: str


@dataclass(frozen=True, slots=True)
class Bid:
    """What one daemon says when it renews its lease of a pool. Rates are per second."""

    need: float  # what it could use; 0 gives its lease back
    share: float  # what the whole fleet may take, as this daemon is configured
    safe: float  # what it takes where there is no store: the most that a ledger without memory grants
    holds: float = 0.0  # what it lets itself take until the answer comes, by a lease that has not ended
    seen: int = 0  # the turn of that lease: a ledger that is behind it has lost its memory
    answered: int = 0  # since the last bid, in units of the quota
    throttled: int = 0  # likewise
    is_alone: bool = False  # it takes its safe minimum, as the store was lost: others may do the same


@dataclass(frozen=True, slots=True)
class Lease:
    """What one daemon may take until its next bid. Rates are per second."""

    rate: float
    part: float  # what it will have once others have let go of it; more than `rate` only for a moment
    lasts: float  # seconds, counted from before the bid was sent
    members: int
    agreed: float  # the least share that any member is configured with
    share: float  # what of that the fleet takes now: strangers may have left less
    turn: int


@dataclass(frozen=True, slots=True)
class FleetReading:
    """How a daemon stands with its fleet, for status."""

    is_connected: bool
    seconds: float | None  # since when; None while the store was not asked yet
    why: str  # what the store last failed with, empty while it answers
    members: int  # as last heard; 0 where nothing was


@dataclass(slots=True)
class Member:
    """One daemon as a ledger knows it."""

    need: float = 0.0
    share: float = inf
    rate: float = 0.0  # leased
    held: float = 0.0  # what it held when it asked: it may not have heard the answer
    until: float = -inf

    @property
    def counted(self) -> float:
        """The most that it may be taking."""
        return max(self.rate, self.held)


def water_level(needs: Iterable[float], share: float) -> float:
    """Say up to where all needs are met when `share` is poured over them (max-min fair); infinite if all are.

    Whoever needs less than the level has all of it, everyone else has the level; nobody could have more
    without taking it from one who has no more than that.
    """
    ascending, left = sorted(needs), share
    for index, need in enumerate(ascending):
        others = len(ascending) - index
        if need * others > left:
            return max(0.0, left / others)
        left -= need
    return inf


@dataclass(frozen=True, slots=True)
class Terms:
    """What every member gets for its need, as last counted."""

    level: float = inf
    spare: float = 0.0

    def part(self, need: float) -> float:
        """Give the fair part of one that needs so much; who needs nothing has nothing."""
        return min(need, self.level) + self.spare if need > 0 else 0.0


def terms_of(needs: Iterable[float], share: float) -> Terms:
    """Weigh all needs against each other and against what there is."""
    needs = [need for need in needs if need > 0]
    level = water_level(needs, share)
    spare = SPARE * (share - sum(needs)) / len(needs) if needs and level == inf else 0.0
    return Terms(level, max(0.0, spare))


@dataclass(slots=True)
class Fit:
    """How much of the share is left by strangers, as far as throttling tells: a fraction, steered for all members.

    One member alone sees too few answers to tell. What fraction was throttled says how much less would have passed,
    so there is no need to halve and creep back.
    """

    fraction: float = 1.0
    since: float = -inf
    answered: int = 0
    throttled: int = 0

    def add(self, answered: int, throttled: int) -> None:
        """Count what a member tells."""
        self.answered += answered
        self.throttled += throttled

    def adjust(self, now: float, share: float, window: float) -> None:
        """Adjust the fraction once a window, by what was gathered meanwhile."""
        passed, calls = now - self.since, self.answered + self.throttled
        if 0 <= passed < window:
            return
        if self.throttled <= TOLERATED * calls:
            self.fraction = min(1.0, self.fraction + RECOVERY)
        elif calls >= ENOUGH_ANSWERS:
            used = UNEVEN * calls / max(passed, window) / share
            passed_on = min(self.fraction, used) * (1 - self.throttled / calls)
            self.fraction = max(FIT_FLOOR, DEEPEST_CUT * self.fraction, passed_on)
        self.since, self.answered, self.throttled = now, 0, 0


@dataclass(slots=True)
class Ledger:
    """Who leases how much of one pool.

    At every moment the members together hold at most the share, whatever was lost on the way: a lease counts until it
    has ended or its holder has bid again, and a member whose lease became smaller counts as before until its next bid
    shows that it knows. A ledger that was out of reach, or finds that it has lost its memory, learns for one lease
    time: meanwhile it confirms what members say they hold, and grants others their safe minimum. One that begins does
    so for as long as it takes to hear of that.
    """

    lasting: float = LASTING
    turn: int = 0
    learns_until: float = -inf
    counted_at: float = -inf
    counted: float = 0.0  # what all members may be taking together; never less than they do
    agreed: float = inf
    terms: Terms = field(default_factory=Terms)
    fit: Fit = field(default_factory=Fit)
    members: dict[str, Member] = field(default_factory=dict)

    def renew(self, name: str, bid: Bid, now: float) -> Lease:
        """Take a bid in, and say what its member may take from now on."""
        is_new = name not in self.members
        self._notice_loss(bid, now, is_new=is_new)
        member = self.members.setdefault(name, Member())
        member.need, member.share = bid.need, bid.share
        member.until = now + self.lasting * (1 if bid.need > 0 else RESTING)
        self.fit.add(bid.answered, bid.throttled)
        if not 0 <= now - self.counted_at < COUNT_EVERY * self.lasting:
            self._count(now)
        self.agreed = min(self.agreed, bid.share)
        share = self.agreed * self.fit.fraction
        part = min(bid.need, self.terms.level) if is_new else self.terms.part(bid.need)
        most = part if now >= self.learns_until else min(part, max(bid.holds, bid.safe))
        self._grant(member, bid.holds, most, share)
        return Lease(member.rate, most, self.lasting, len(self.members), self.agreed, share, self.turn)

    def leave(self, name: str) -> None:
        """Give back what a member held: it takes no more."""
        if member := self.members.pop(name, None):
            self.counted -= member.counted

    def _notice_loss(self, bid: Bid, now: float, *, is_new: bool) -> None:
        was_away = bid.is_alone and now - self.counted_at > AWAY * self.lasting
        if bid.seen > self.turn or was_away or (is_new and bid.holds > 0):
            self.learns_until = now + self.lasting
        elif not self.turn:
            self.learns_until = now + UNHEARD * self.lasting
        self.learns_until = min(self.learns_until, now + self.lasting)  # the clock may have gone back
        self.turn = max(self.turn, bid.seen) + 1

    def _grant(self, member: Member, holds: float, most: float, share: float) -> None:
        """Lease to a member as much as the others leave, or keep: its own part is not to pay for what others hold."""
        others = self.counted - member.counted
        member.rate, member.held = max(0.0, min(most, max(holds, share - others))), holds
        self.counted = others + member.counted

    def _count(self, now: float) -> None:
        """Forget whose lease has ended, and weigh the needs of the rest."""
        for name, member in list(self.members.items()):
            member.until = min(member.until, now + self.lasting * (1 if member.need > 0 else RESTING))
            if member.until <= now:
                del self.members[name]
        members = self.members.values()
        self.counted = sum(member.counted for member in members)
        self.agreed = min(member.share for member in members)
        self.fit.adjust(now, self.agreed, WINDOW * self.lasting)
        self.terms = terms_of((member.need for member in members), self.agreed * self.fit.fraction)
        self.counted_at = now
