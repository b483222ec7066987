"""What is held on demand: as much as is allowed, as long as somebody asks."""

import asyncio

import pytest

from sidecar.core.config.models import OnDemand
from sidecar.core.freshness import Fresh, Pending
from tests.engine.fakes import ssm
from tests.engine.test_resolver import within
from tests.engine.world import laboratory

pytestmark = pytest.mark.looptime


async def test_on_demand_values_are_bounded() -> None:
    """Beyond max_entries the least recently used go; the idle go too."""
    async with laboratory() as lab:
        lab.declare(on_demand=OnDemand(max_entries=2, idle=600))
        for n in range(3):
            lab.source.put(ssm(f"/{n}"), b"x")
            await lab.engine.resolver.get(lab.engine.resolver.open(ssm(f"/{n}")), within(1))
        await asyncio.sleep(1)
        assert [str(entry.ref) for entry in lab.engine.store] == ["ssm:/1", "ssm:/2"]
        await asyncio.sleep(601)
        assert len(lab.engine.store) == 0
        fetches = len(lab.source.fetches) + len(lab.source.probes)
        await asyncio.sleep(3600)
        assert len(lab.source.fetches) + len(lab.source.probes) == fetches


async def test_large_values_are_bounded() -> None:
    """Beyond max_bytes the least recently used go within a second."""
    async with laboratory() as lab:
        lab.declare(on_demand=OnDemand(max_bytes=250))
        for n in range(4):
            lab.source.put(ssm(f"/{n}"), b"x" * 100)
            await lab.engine.resolver.get(lab.engine.resolver.open(ssm(f"/{n}")), within(1))
        await asyncio.sleep(1)
        assert [str(entry.ref) for entry in lab.engine.store] == ["ssm:/2", "ssm:/3"]


async def test_a_flood_is_bounded_at_once() -> None:
    """A thousand refs in one moment leave no more than fit behind; those being fetched are not taken away."""
    async with laboratory(polling=False) as lab:
        lab.declare(on_demand=OnDemand(max_entries=10))
        first = lab.engine.resolver.open(ssm("/0"))
        lab.source.put(ssm("/0"), b"x")
        lab.source.latency = 1
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(lab.engine.resolver.get(first, within(5)))
            await asyncio.sleep(0.5)
            for n in range(1, 1000):
                lab.engine.resolver.open(ssm(f"/{n}"))
            assert len(lab.engine.store) == 11
        assert isinstance(waiting.result().lookup, Fresh)


async def test_a_reader_may_keep_what_was_evicted() -> None:
    """Somebody who still holds an evicted entry finds nothing in it, and nothing breaks."""
    async with laboratory(polling=False) as lab:
        lab.declare(on_demand=OnDemand(max_entries=1))
        entry = lab.engine.resolver.open(ssm("/old"))
        lab.engine.resolver.open(ssm("/new"))
        assert lab.engine.store.get(ssm("/old")) is None
        assert isinstance(lab.engine.resolver.look(entry), Pending)
