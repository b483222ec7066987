"""Polling: as rarely as configured, batch by batch, and never silently stalled."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from sidecar.core.config.models import Cache, TreeSpec
from sidecar.core.errors import Failure, Unreachable
from sidecar.core.freshness import Fresh
from sidecar.core.names import Name
from sidecar.core.pacing import BREAKER_CAP
from sidecar.core.ports import Gate
from sidecar.core.refs import Ref, Tree
from sidecar.core.secret import Secret
from sidecar.engine.refresher import MOST_IN_FLIGHT, OVERDUE, RECOVER_WITHIN
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import SSM, laboratory, spec

DB = ssm("/db")

pytestmark = pytest.mark.looptime


def refs(count: int) -> list[Ref]:
    """Name parameters."""
    return [ssm(f"/p/{n}") for n in range(count)]


async def test_a_hundred_values_cost_ten_calls_an_interval() -> None:
    """Ten to a batch: 6 requests per secret and hour when each is checked each minute, 6.3 at most."""
    async with laboratory() as lab:
        for ref in refs(100):
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(100))}, cache=Cache(refresh=60))
        await asyncio.sleep(120)
        before = len(lab.source.probes)
        await asyncio.sleep(3600)
        assert (len(lab.source.probes) - before) / 100 <= 6.3
        assert len(lab.source.fetches) == 10


async def test_what_the_quota_does_not_allow_stretches_the_interval() -> None:
    """Nothing queues without bound: a few batches wait for their turn, the rest in the schedule; it says how late."""
    async with laboratory() as lab:
        lab.source.batch = 10
        for ref in refs(2_000):
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(2_000))}, cache=Cache(refresh=1))
        await asyncio.sleep(60)
        before = len(lab.source.probes)
        await asyncio.sleep(60)
        waiting = max(reading.waiting for reading in lab.guard.readings())
        assert 0 < waiting <= MOST_IN_FLIGHT
        assert (len(lab.source.probes) - before) / 60 == pytest.approx(40, rel=0.05), "all that the quota allows"
        assert 3 < lab.engine.refresher.behind() < 6, "2,000 values at 400 a second take five seconds, not one"
        assert not lab.engine.refresher.stalled()
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(2_000))}, cache=Cache(refresh=600))
        await asyncio.sleep(60)
        assert lab.engine.refresher.behind() == 0


async def test_batches_spread_over_the_interval() -> None:
    """What started together drifts apart batch by batch, so that AWS sees no wave."""
    shown = itertools.cycle([0.0, 0.25, 0.5, 0.75])
    async with laboratory() as lab:
        lab.engine.checks.dice = lambda: next(shown)
        lab.source.batch = 10
        for ref in refs(40):
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(40))}, cache=Cache(refresh=100))
        await asyncio.sleep(0.1)
        dues = {lab.engine.checks.due(lab.entry(ref)) for ref in refs(40)}
        assert sorted(due for due in dues if due) == pytest.approx([25, 50, 75, 95], abs=6)


async def test_required_secrets_are_fetched_first() -> None:
    """Of one route, those that the app cannot do without come in the first batch."""
    async with laboratory(polling=False) as lab:
        lab.source.batch = 2
        lab.declare({f"p{n}": spec(ref, required=n >= 2) for n, ref in enumerate(refs(4))})
        lab.engine.refresher.send_off()
        await asyncio.sleep(0)
        assert lab.source.fetches[0] == refs(4)[2:]


async def test_an_outage_is_lived_through_and_ended_within_the_backoff() -> None:
    """Values stay, retries back off to 20 s, and all is fresh within that after AWS is back."""
    async with laboratory() as lab:
        for ref in refs(10):
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(10))}, cache=Cache(refresh=60))
        await asyncio.sleep(1)
        lab.source.outage = Unreachable("down")
        await asyncio.sleep(3600)
        assert lab.value(refs(1)[0]) == b"x"
        assert not lab.engine.refresher.stalled()
        lab.source.outage = None
        await asyncio.sleep(60)
        assert all(isinstance(lab.entry(ref).look(lab.clock.trust()), Fresh) for ref in refs(10))
        assert all(lab.entry(ref).setbacks == 0 for ref in refs(10))


async def test_what_failed_is_checked_soon_after_the_endpoint_answers_again() -> None:
    """Whatever backoff each value and tree has come to: a probe finds AWS within seconds, the others follow."""
    async with laboratory(dice=1.0) as lab:
        for ref in refs(40):
            lab.source.put(ref, b"x")
        lab.declare(
            {f"p{n}": ref for n, ref in enumerate(refs(40))},
            {"app": TreeSpec(Tree("/p"), refresh=60)},
            cache=Cache(refresh=60),
        )
        await asyncio.sleep(1)
        lab.source.outage = Unreachable("down")
        await asyncio.sleep(600)
        lab.source.outage = None
        await asyncio.sleep(BREAKER_CAP + RECOVER_WITHIN + 0.5)
        assert all(lab.entry(ref).setbacks == 0 for ref in refs(40))
        assert lab.engine.trees.entries[Name("app")].trouble is None


async def test_a_suspend_makes_what_was_due_meanwhile_due_now() -> None:
    """Loop time stood still; the schedule does not."""
    async with laboratory() as lab:
        lab.source.put(refs(1)[0], b"x")
        lab.declare({"p": refs(1)[0]}, cache=Cache(refresh=300))
        await asyncio.sleep(1)
        lab.clock.suspend(300)
        await asyncio.sleep(2)
        assert len(lab.source.probes) == 1


async def test_nothing_due_is_healthy() -> None:
    """A daemon without secrets does not stall."""
    async with laboratory() as lab:
        lab.declare()
        await asyncio.sleep(1000)
        assert not lab.engine.refresher.stalled()


async def test_a_poller_that_does_not_turn_is_noticed() -> None:
    """Ten seconds without a tick: not healthy."""
    async with laboratory(polling=False) as lab:
        await asyncio.sleep(10)
        assert not lab.engine.refresher.stalled()
        await asyncio.sleep(1)
        assert lab.engine.refresher.stalled()


async def test_a_check_that_hangs_is_noticed() -> None:
    """A source that neither asks AWS nor answers is a stalled poller, however well the loop turns."""

    class Hanging(FakeSource):
        async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:  # noqa: ARG002 -- the port's
            await asyncio.Event().wait()
            return {}

    async with laboratory() as lab:
        lab.sources.by_route[SSM] = Hanging()
        lab.declare({"p": refs(1)[0]})
        await asyncio.sleep(OVERDUE)
        assert not lab.engine.refresher.stalled()
        await asyncio.sleep(2)
        assert lab.engine.refresher.stalled()
        for task in asyncio.all_tasks():
            if task.get_name() == "check":
                task.cancel()


async def test_a_route_that_hangs_leaves_the_others_their_room() -> None:
    """Where every check of one identity waits for its time-out, those of another are made all the same."""
    async with laboratory() as lab:
        far = lab.sources(replace(SSM, identity="far"))
        far.batch, far.latency = 1, 100
        near = ssm("/near")
        lab.source.put(near, b"x")
        lab.declare({f"p{n}": replace(ref, identity="far") for n, ref in enumerate(refs(40))} | {"near": near})
        await asyncio.sleep(1)
        assert lab.value(near) == b"x"


async def test_many_long_walks_leave_the_values_their_room() -> None:
    """Twenty trees at the start do not keep one secret waiting."""
    async with laboratory() as lab:
        lab.source.put(DB, b"x")
        far = lab.sources(replace(SSM, identity="far"))
        far.latency = 5
        trees = {f"t{n}": TreeSpec(Tree(f"/t{n}", identity="far")) for n in range(20)}
        lab.declare({"db": DB}, trees)
        await asyncio.sleep(1)
        assert (len(lab.engine.trees.flights), lab.value(DB)) == (16, b"x")
        await asyncio.sleep(20)
        assert lab.engine.readings.ready()


async def test_a_full_house_of_checks_waits_for_room() -> None:
    """No more than sixteen background checks at once; all are done in the end."""
    async with laboratory() as lab:
        lab.source.batch, lab.source.latency = 1, 1.0
        for ref in refs(40):
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs(40))})
        await asyncio.sleep(0.5)
        assert len(lab.engine.checks.flights) == 16
        await asyncio.sleep(10)
        assert lab.engine.readings.ready()
