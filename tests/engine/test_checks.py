"""A check: probe, fetch what moved, settle, plan. Asked as rarely as possible, one at a time for each value."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from sidecar.core.config.models import Cache
from sidecar.core.errors import AccessDenied, Failure, NotFound, Throttled, Unintelligible, Unreachable
from sidecar.core.freshness import Pending, Refused
from sidecar.core.ports import Gate, Priority
from sidecar.core.refs import Ref
from sidecar.core.secret import Secret
from sidecar.engine.guard import GuardGate
from sidecar.telemetry import events
from sidecar.telemetry.logs import hide
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import SSM, Laboratory, laboratory, spec

DB, API = ssm("/db"), ssm("/api")

pytestmark = pytest.mark.looptime


def gate(lab: Laboratory) -> GuardGate:
    """Give a background check's way to AWS."""
    return lab.guard.gate(Priority.BACKGROUND)


async def test_a_first_check_fetches_without_a_probe() -> None:
    """Nothing is held: one call brings all, the version included."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert (lab.source.probes, lab.source.fetches) == ([], [[DB]])
        assert lab.value(DB) == b"hunter2"


async def test_an_unchanged_value_costs_one_probe() -> None:
    """Plaintext, and with it KMS, only when the version moved."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        for _ in range(3):
            await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert (len(lab.source.probes), len(lab.source.fetches)) == (2, 1)


async def test_only_what_moved_is_fetched() -> None:
    """Of a batch, the one whose version moved costs a fetch."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"old")
        lab.source.put(API, b"key")
        lab.declare({"db": DB, "api": API})
        entries = [lab.entry(DB), lab.entry(API)]
        await lab.engine.checks.check(entries, gate(lab))
        lab.source.put(DB, b"new", version="2")
        await lab.engine.checks.check(entries, gate(lab))
        assert lab.source.fetches == [[DB, API], [DB]]
        assert lab.value(DB) == b"new"


async def test_a_probe_that_brings_the_value_needs_no_fetch() -> None:
    """A String parameter comes with its probe."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"old")
        lab.source.plain.add(DB)
        lab.declare({"db": DB})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        lab.source.put(DB, b"new", version="2")
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert (len(lab.source.fetches), lab.value(DB)) == (1, b"new")


async def test_even_an_unchanged_value_is_fetched_each_revalidation() -> None:
    """Once in `revalidate` the plaintext is fetched without a probe: lost permission shows only so."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB}, cache=Cache(revalidate=3600))
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        await asyncio.sleep(3599)
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        await asyncio.sleep(1)
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert (len(lab.source.probes), len(lab.source.fetches)) == (1, 2)


async def test_one_bad_ref_never_fails_its_neighbours() -> None:
    """Each ref of a batch settles by its own answer."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.failures[API] = AccessDenied("no")
        lab.declare({"db": DB, "api": API})
        await lab.engine.checks.check([lab.entry(DB), lab.entry(API)], gate(lab))
        assert lab.value(DB) == b"hunter2"
        assert isinstance(lab.entry(API).look(lab.clock.trust()), Refused)


async def test_an_answer_that_leaves_a_ref_out_is_no_deletion() -> None:
    """What a source does not answer is unintelligible, hence transient."""

    class Forgetful(FakeSource):
        async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:  # noqa: ARG002 -- the port's
            return {}

    async with laboratory(polling=False) as lab:
        lab.sources.by_route[SSM] = Forgetful()
        lab.declare({"db": DB})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        lookup = lab.entry(DB).look(lab.clock.trust())
        assert isinstance(lookup, Pending)
        assert isinstance(lookup.failure, Unintelligible)


async def test_a_fault_in_a_source_stops_neither_the_daemon_nor_the_value() -> None:
    """An exception that no source should raise becomes a transient failure of its refs."""

    class Broken(FakeSource):
        async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:  # noqa: ARG002 -- the port's
            raise ZeroDivisionError

    async with laboratory(polling=False) as lab:
        lab.sources.by_route[SSM] = Broken()
        lab.declare({"db": DB})
        with capture_logs(processors=[hide]) as lines:
            await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert (lines[0]["event"], lines[0]["error"]) == (events.CHECK_CRASHED, "ZeroDivisionError")
        assert "tests.engine.test_checks" in lines[0]["at"]
        lookup = lab.entry(DB).look(lab.clock.trust())
        assert isinstance(lookup, Pending)
        assert "ZeroDivisionError" in str(lookup.failure)
        assert lab.engine.checks.due(lab.entry(DB)) is not None


async def test_a_value_is_planned_within_its_interval() -> None:
    """First anywhere in the interval, then after it, give or take 10 %."""
    async with laboratory(dice=0.25, polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": spec(DB, refresh=100)})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert lab.engine.checks.due(lab.entry(DB)) == 25
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert lab.engine.checks.due(lab.entry(DB)) == 95


async def test_a_scheduled_rotation_is_looked_for_just_after_it() -> None:
    """A secret that rotates in a minute is checked five seconds later, not in its usual five minutes."""
    async with laboratory(polling=False, dice=1.0) as lab:
        lab.source.put(DB, b"hunter2", rotates_at=lab.clock.wall() + 60)
        lab.declare({"db": DB})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert lab.engine.checks.due(lab.entry(DB)) == 65
        await asyncio.sleep(61)
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert lab.engine.checks.due(lab.entry(DB)) == pytest.approx(61 + 330)


async def test_a_rotation_that_only_a_probe_tells_of_outlives_the_fetch_after_it() -> None:
    """GetSecretValue does not say when the next rotation is due; DescribeSecret did."""

    class Silent(FakeSource):
        async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
            fetched = await super().fetch(refs, gate)
            return {
                ref: replace(each, revision=replace(each.revision, rotates_at=None))
                if isinstance(each, Secret)
                else each
                for ref, each in fetched.items()
            }

    async with laboratory(polling=False, dice=1.0) as lab:
        lab.sources.by_route[SSM] = Silent()
        lab.source.put(DB, b"old")
        lab.declare({"db": DB})
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        lab.source.put(DB, b"new", version="2", rotates_at=lab.clock.wall() + 60)
        await lab.engine.checks.check([lab.entry(DB)], gate(lab))
        assert lab.value(DB) == b"new"
        assert lab.engine.checks.due(lab.entry(DB)) == pytest.approx(65)


async def test_a_value_that_is_dropped_between_its_probe_and_a_neighbours_fetch_is_fetched_again() -> None:
    """The probe confirmed what meanwhile became too old to keep: that is no confirmation, and no end of the daemon."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.put(API, b"old")
        lab.declare({"db": DB, "api": API}, cache=Cache(ttl=300, stale_if_error=0))
        entries = [lab.entry(DB), lab.entry(API)]
        await lab.engine.checks.check(entries, gate(lab))
        await asyncio.sleep(299)
        lab.source.put(API, b"new", version="2")
        lab.source.latency = 4
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lab.engine.checks.check(entries, gate(lab)))
            await asyncio.sleep(5)
            lab.engine.store.sweep()
            assert lab.entry(DB).held is None
        assert (lab.entry(DB).held, lab.value(API)) == (None, b"new")
        due = lab.engine.checks.due(lab.entry(DB))
        assert due is not None
        assert due <= lab.engine.checks.now() + 0.1


async def test_setbacks_are_retried_with_backoff() -> None:
    """A transient failure comes again after 0.1 s, 0.2 s …; a throttle not before AWS wants it."""
    async with laboratory(polling=False, dice=1.0) as lab:
        lab.declare({"db": DB})
        entry = lab.entry(DB)
        for failure, delay in (
            (Unreachable("down"), 0.1),
            (Unreachable("down"), 0.2),
            (Throttled("slow", retry_after=7), 7),
        ):
            now = asyncio.get_running_loop().time()
            lab.engine.checks.take(entry, failure, 1.0)
            assert lab.engine.checks.due(entry) == pytest.approx(now + delay)


async def test_what_is_absent_is_looked_for_again() -> None:
    """A declared secret that does not exist yet appears without a restart."""
    async with laboratory() as lab:
        lab.declare({"db": DB})
        await asyncio.sleep(15)
        lab.source.put(DB, b"hunter2")
        await asyncio.sleep(20)
        assert lab.value(DB) == b"hunter2"


async def test_what_is_absent_is_not_looked_for_all_the_time() -> None:
    """Where nothing negative is remembered for callers, the poller still leaves AWS alone between its looks."""
    async with laboratory() as lab:
        lab.declare({"db": DB}, cache=Cache(negative_ttl=0))
        await asyncio.sleep(300)
        assert len(lab.source.fetches) <= 9


async def test_an_absent_on_demand_value_is_not_polled() -> None:
    """Nobody waits for it: the next who asks brings the next check."""
    async with laboratory(polling=False) as lab:
        entry = lab.engine.resolver.open(DB)
        lab.engine.checks.take(entry, NotFound("no"), 0.5)
        assert lab.engine.checks.due(entry) is None
