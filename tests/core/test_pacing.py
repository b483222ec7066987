from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.pacing import (
    BACKOFF_CAP,
    BREAKER_AFTER,
    BREAKER_BASE,
    BREAKER_CAP,
    FIRST_RISE,
    FLOOR_RATE,
    LEASED_CUT,
    RETRY_RESERVE,
    RETRY_SHARE,
    RISE,
    START_RATE,
    Breaker,
    Bucket,
    Budget,
    Claim,
    Steering,
    Tally,
    Turn,
    backoff,
    burst_of,
    next_turn,
    ready_at,
)

rates = st.floats(0.1, 1_000)
amounts = st.integers(1, 30)
gaps = st.floats(0, 5)


def empty(rate: float, *, burst: float = 2, at: float = 0) -> Bucket:
    """Make a bucket that has just been emptied."""
    bucket = Bucket(rate, burst)
    bucket.take(at, burst)
    return bucket


class TestBucket:
    """A bucket grants its burst at once and then its rate."""

    def test_burst_then_rate(self) -> None:
        """Two at once, then one each quarter of a second."""
        bucket = Bucket(rate=4, burst=2)
        granted = []
        now = 100.0
        for _ in range(5):
            now = bucket.earliest(now, 1)
            bucket.take(now, 1)
            granted.append(now)
        assert granted == [100, 100, 100.25, 100.5, 100.75]

    def test_charge_beyond_burst_is_a_debt(self) -> None:
        """Ten from a full bucket of two go at once; the next one waits until they are paid for."""
        bucket = Bucket(rate=4, burst=2)
        assert bucket.earliest(0, 10) == 0
        bucket.take(0, 10)
        assert bucket.earliest(0, 1) == 9 / 4
        assert bucket.earliest(0, 10) == 10 / 4

    def test_those_ahead_come_first(self) -> None:
        """The estimate counts what is taken before."""
        assert Bucket(rate=4, burst=2).earliest(0, 1, ahead=9) == 2
        assert empty(4).earliest(0, 1, ahead=3) == 1

    def test_give_back(self) -> None:
        """What is given back was never taken."""
        bucket = empty(4)
        bucket.give_back(1)
        assert bucket.earliest(0, 1) == 0

    def test_owes(self) -> None:
        """What was taken and is not paid for yet; a full bucket owes nothing."""
        bucket = Bucket(rate=4, burst=2)
        assert bucket.owed(0) == 0
        bucket.take(0, 5)
        assert (bucket.owed(0), bucket.owed(1), bucket.owed(9)) == (5, 1, 0)

    def test_reset_keeps_what_is_saved(self) -> None:
        """Another burst makes no tokens, nor debts of what was rightly taken; a debt stays one."""
        bucket = Bucket(rate=10, burst=8)
        bucket.take(0, 8)
        bucket.reset(0, 2, 1)
        assert bucket.earliest(0, 1) == 0.5
        bucket.reset(0.5, 10, 8)
        assert [bucket.has(0.5, amount) for amount in (1, 2)] == [True, False]
        bucket.take(0.5, 10)
        bucket.reset(0.5, 1, 1)
        assert bucket.earliest(0.5, 1) == 10.5

    def test_retune_keeps_what_was_taken(self) -> None:
        """A debt of ten takes twice as long at half the rate; a full bucket stays full."""
        bucket = Bucket(rate=10, burst=2)
        bucket.retune(0, 4)
        bucket.take(0, 10)
        bucket.retune(0, 2)
        assert bucket.earliest(0, 2) == 5

    @given(rates, st.lists(st.tuples(gaps, amounts), min_size=1, max_size=30))
    def test_never_more_than_burst_and_rate(self, rate: float, asked: list[tuple[float, int]]) -> None:
        """Over any span: at most the burst (or the largest single charge) and rate times span."""
        bucket = Bucket(rate, burst_of(rate))
        now, grants = 0.0, list[tuple[float, int]]()
        for gap, amount in asked:
            now = bucket.earliest(now + gap, amount)
            bucket.take(now, amount)
            grants.append((now, amount))
        for first, (start, _) in enumerate(grants):
            for last in range(first, len(grants)):
                span = grants[first : last + 1]
                most = max(burst_of(rate), span[-1][1])
                assert sum(amount for _, amount in span) <= most + rate * (span[-1][0] - start) + 1e-6

    @given(rates, rates, amounts)
    def test_earliest_is_admitted(self, rate: float, other: float, amount: int) -> None:
        """Waiting until the time given suffices, also at another rate than the bucket began with."""
        bucket = empty(rate)
        bucket.retune(0, other)
        at = bucket.earliest(0, amount)
        assert bucket.earliest(at, amount) == at


class TestSteering:
    """A rate rises by steps while AWS answers and is halved when AWS throttles."""

    def test_starts_low(self) -> None:
        """It begins at the start rate, or at the share where that is less."""
        assert Steering(1_000).rate == START_RATE
        assert Steering(4).rate == 4

    def test_rises_to_the_ceiling(self) -> None:
        """Each answer adds the first step, each plaintext counting; never above the share."""
        steering = Steering(100)
        steering.succeeded(1, 1)
        assert steering.rate == START_RATE + FIRST_RISE
        steering.succeeded(1, 50)
        assert steering.rate == 100

    def test_halves_once_a_round_trip(self) -> None:
        """Calls that were under way at a cut do not cut again, one sent afterwards does."""
        steering = Steering(1_000)
        steering.throttled(now=10.05, sent_at=10)
        steering.throttled(now=10.06, sent_at=10.04)
        assert steering.rate == START_RATE / 2
        steering.throttled(now=10.2, sent_at=10.1)
        assert steering.rate == START_RATE / 4

    def test_careful_after_a_cut(self) -> None:
        """After the first throttling it rises by the small step, and only on calls sent since."""
        steering = Steering(1_000)
        steering.throttled(now=10.05, sent_at=10)
        steering.succeeded(10.01)
        assert steering.rate == START_RATE / 2
        steering.succeeded(10.1)
        assert steering.rate == pytest.approx(10 + RISE + RISE / 10)

    def test_rises_by_the_second_too(self) -> None:
        """At a call in ten seconds each answer stands for ten seconds: three of them, and it calls each second."""
        steering = Steering(1_000)
        for at in range(20):
            steering.throttled(at + 0.05, at)
        rates = [steering.rate]
        for at in (30, 40, 42):
            steering.succeeded(at)
            rates.append(steering.rate)
        assert rates == pytest.approx([FLOOR_RATE, 0.76, 0.899, 1.026], abs=0.001)

    @pytest.mark.parametrize(("used", "left"), [(1_000, START_RATE / 2), (6, 3), (0.5, 0.5)])
    def test_leaves_half_of_what_was_used(self, used: float, left: float) -> None:
        """Of a rate that was not used up half of what was used is left; the throttled call counts as used."""
        steering = Steering(1_000)
        steering.throttled(10.05, 10, used)
        assert steering.rate == left

    @given(st.floats(0.01, 1_000), st.lists(st.booleans(), max_size=100))
    def test_stays_between_floor_and_ceiling(self, ceiling: float, answers: list[bool]) -> None:
        """Whatever happens: at most the share, and at least a call in ten seconds where the share allows one."""
        steering = Steering(ceiling)
        for at, good in enumerate(answers):
            if good:
                steering.succeeded(at)
            else:
                steering.throttled(at + 0.5, at)
            assert min(FLOOR_RATE, ceiling) <= steering.rate <= ceiling

    def test_another_ceiling(self) -> None:
        """A lower ceiling holds at once, a higher one is risen to."""
        steering = Steering(100)
        steering.limit(5)
        assert steering.rate == 5
        steering.limit(1_000)
        assert (steering.rate, steering.ceiling) == (5, 1_000)


class TestLease:
    """A rate that is granted is taken whole, and slowed a little where AWS throttles it."""

    def test_taken_at_once(self) -> None:
        """There is no creeping up, nor any rate above it."""
        steering = Steering(100)
        steering.lease(80)
        assert (steering.rate, steering.ceiling) == (80, 80)
        steering.succeeded(1, 20)
        assert steering.rate == 80

    @pytest.mark.parametrize("rate", [0.5, 800.0])
    def test_settles_where_one_in_fifty_is_throttled(self, rate: float) -> None:
        """Whatever the rate: fifty answers make up for one throttling."""
        steering = Steering(1_000)
        steering.lease(rate)
        steering.throttled(now=1.5, sent_at=1)
        assert steering.rate == pytest.approx(LEASED_CUT * rate)
        for _ in range(50):
            steering.succeeded(2)
        assert steering.rate == pytest.approx(rate)

    def test_the_next_one_counts_whole(self) -> None:
        """The fleet has heard of the throttling meanwhile."""
        steering = Steering(1_000)
        steering.lease(80)
        steering.throttled(now=1.5, sent_at=1)
        steering.lease(75)
        assert steering.rate == 75

    def test_alone_again(self) -> None:
        """Without a lease it keeps to a rate, halves on throttling and comes back by small steps."""
        steering = Steering(1_000)
        assert not steering.was_cut
        steering.lease(80)
        steering.keep(10)
        assert (steering.rate, steering.ceiling) == (10, 10)
        steering.throttled(now=1.5, sent_at=1)
        assert (steering.rate, steering.was_cut) == (5, True)
        steering.succeeded(2)
        assert 5 < steering.rate < 5.5


class TestBreaker:
    """An endpoint that does not answer is left alone, but for one probe after each pause."""

    @staticmethod
    def failed(times: int, *, at: float = 0.0) -> Breaker:
        """Make one that saw so many failures in a row."""
        breaker = Breaker()
        for _ in range(times):
            breaker.failed(at, at, lambda: 1.0)
        return breaker

    def test_opens_after_failures_in_a_row(self) -> None:
        """Nine are luck, ten are an outage; an answer between them begins anew."""
        breaker = self.failed(BREAKER_AFTER - 1)
        breaker.answered()
        breaker.failed(1, 1, lambda: 1.0)
        assert breaker.lets(1)
        assert not self.failed(BREAKER_AFTER).lets(0)

    def test_one_probe_after_the_pause(self) -> None:
        """Who begins first; the next pause is twice as long, up to the cap."""
        breaker, pauses = self.failed(BREAKER_AFTER), []
        now = 0.0
        for _ in range(6):
            pauses.append(breaker.until - now)
            now = breaker.until
            assert breaker.lets(now)
            breaker.begin()
            assert not breaker.lets(now)
            breaker.failed(now, now, lambda: 1.0)
        assert pauses == [BREAKER_BASE, 2 * BREAKER_BASE, 4 * BREAKER_BASE, *[BREAKER_CAP] * 3]

    @given(st.floats(0, 1))
    def test_pauses_differ(self, dice: float) -> None:
        """Between half of the pause and all of it: a thousand daemons do not probe together."""
        breaker = Breaker()
        for _ in range(BREAKER_AFTER):
            breaker.failed(0, 0, lambda: dice)
        assert BREAKER_BASE / 2 <= breaker.until <= BREAKER_BASE

    def test_closes_with_an_answer(self) -> None:
        """Then everybody may go, and the next outage begins with a short pause."""
        breaker = self.failed(BREAKER_AFTER)
        breaker.begin()
        breaker.answered()
        breaker.begin()
        assert breaker.lets(1)
        for _ in range(BREAKER_AFTER):
            breaker.failed(2, 2, lambda: 1.0)
        assert breaker.until == 2 + BREAKER_BASE

    def test_what_was_under_way_says_nothing_new(self) -> None:
        """A failure of what was sent before it opened does not lengthen the pause."""
        breaker = self.failed(BREAKER_AFTER, at=1)
        breaker.failed(1.4, 0.9, lambda: 1.0)
        assert breaker.until == 1 + BREAKER_BASE

    def test_an_abandoned_probe(self) -> None:
        """It said nothing, so another may go."""
        breaker = self.failed(BREAKER_AFTER)
        breaker.begin()
        breaker.abandoned()
        assert breaker.lets(breaker.until)


class TestTally:
    """A tally says what was taken over the last second."""

    def test_weighs_two_seconds(self) -> None:
        """The second that runs counts whole, the last one by the part that is less than a second ago."""
        tally = Tally()
        tally.add(10.0, 8)
        tally.add(11.5, 3)
        assert tally.per_second(11.5) == 3 + 8 * 0.5

    def test_forgets(self) -> None:
        """After two seconds nothing is left."""
        tally = Tally()
        tally.add(10.0, 8)
        assert tally.per_second(12.0) == 0


class TestBudget:
    """Retries are a fifth of the calls, and a few."""

    @given(st.lists(st.booleans(), max_size=200))
    def test_bound(self, steps: list[bool]) -> None:
        """However calls and retries mix, retries stay within the share of the calls and the reserve."""
        budget, calls, retries = Budget(), 0, 0
        for is_call in steps:
            if is_call:
                budget.earn()
                calls += 1
            else:
                retries += budget.spend()
            assert retries <= RETRY_SHARE * calls + RETRY_RESERVE + 1e-9

    def test_earns_again(self) -> None:
        """Spent to the end, five calls earn the next retry."""
        budget = Budget()
        assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
        for _ in range(4):
            budget.earn()
        assert not budget.spend()
        budget.earn()
        assert budget.spend()


class TestBackoff:
    """Full jitter below a capped exponential."""

    @given(st.integers(0, 5_000), st.floats(0, 1))
    def test_within(self, attempt: int, dice: float) -> None:
        """Between nothing and the lesser of cap and base x 2^n."""
        assert 0 <= backoff(attempt, dice=lambda: dice) <= min(BACKOFF_CAP, 0.1 * 2.0 ** min(attempt, 100))

    @pytest.mark.parametrize(("attempt", "most"), [(0, 1), (1, 2), (2, 4), (3, 5)])
    def test_doubles_to_the_cap(self, attempt: int, most: float) -> None:
        """With the dice at their maximum it is the exponential itself."""
        assert backoff(attempt, base=1, cap=5, dice=lambda: 1.0) == most


class TestNextTurn:
    """Whoever waits goes in order, unless passing harms nobody."""

    def test_nobody_waits(self) -> None:
        """Without claims there is no turn."""
        assert next_turn([], 0).index is None

    def test_first_that_is_ready(self) -> None:
        """The first in order goes, though both could."""
        bucket = Bucket(rate=1, burst=2)
        assert next_turn([((bucket, 1),), ((bucket, 1),)], 5) == Turn(0, 5)

    def test_all_of_a_claim_or_nothing(self) -> None:
        """A claim waits for the latest of its buckets and takes nothing meanwhile."""
        free, busy = Bucket(rate=1, burst=2), empty(0.1)
        claim: Claim = ((free, 1), (busy, 1))
        assert next_turn([claim], 0) == Turn(None, 10)
        assert free.earliest(0, 2) == 0

    def test_passes_who_waits_for_another_bucket(self) -> None:
        """A probe passes a fetch that waits for a throttled KMS quota."""
        ssm, kms = Bucket(rate=4, burst=2), empty(0.1)
        assert next_turn([((ssm, 1), (kms, 1)), ((ssm, 1),)], 0) == Turn(1, 0)

    def test_does_not_pass_to_others_harm(self) -> None:
        """It does not pass where the other would then wait longer; it is next when the other has gone."""
        ssm, kms = Bucket(rate=0.1, burst=1), empty(0.5)
        assert next_turn([((ssm, 1), (kms, 1)), ((ssm, 1),), ((ssm, 1),)], 0) == Turn(None, 2)

    def test_order_within_one_bucket(self) -> None:
        """A small charge does not pass a large one that waits for the same bucket."""
        bucket = Bucket(rate=1, burst=5)
        bucket.take(0, 3)
        assert next_turn([((bucket, 4),), ((bucket, 1),)], 0) == Turn(None, 2)


@dataclass
class Crowd:
    """Claims over two buckets, waiting from time 0, let through as `next_turn` says."""

    ssm: Bucket
    kms: Bucket
    granted: list[tuple[int, float]] = field(default_factory=list)

    def run(self, claims: list[Claim]) -> None:
        """Let everybody through in virtual time."""
        waiting, now = list(enumerate(claims)), 0.0
        while waiting:
            turn = next_turn([claim for _, claim in waiting], now)
            if turn.index is None:
                assert turn.again_at > now, "it makes no idle turns"
                now = turn.again_at
                continue
            number, claim = waiting.pop(turn.index)
            for bucket, amount in claim:
                assert bucket.earliest(now, amount) <= now + 1e-5, "nobody goes before its time"
                bucket.take(now, amount)
            self.granted.append((number, now))


@given(
    rates,
    rates,
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)).filter(any), min_size=1, max_size=20),
)
def test_first_never_waits_longer_for_company(rate: float, other: float, wants: list[tuple[int, int]]) -> None:
    """Everybody gets through, and whoever is first goes as early as if it were alone."""
    crowd = Crowd(empty(rate), empty(other))
    claims: list[Claim] = [
        tuple((bucket, amount) for bucket, amount in zip((crowd.ssm, crowd.kms), want, strict=True) if amount)
        for want in wants
    ]
    alone = ready_at(claims[0], 0)
    crowd.run(claims)
    assert sorted(number for number, _ in crowd.granted) == list(range(len(claims)))
    assert dict(crowd.granted)[0] == pytest.approx(alone, abs=1e-4)
