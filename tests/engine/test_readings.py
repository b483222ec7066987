"""How things stand, as probes, metrics and people are told."""

import asyncio

import pytest

from sidecar.core.config.models import TreeSpec
from sidecar.core.errors import AccessDenied, Unreachable
from sidecar.core.freshness import State
from sidecar.core.refs import Tree
from tests.engine.fakes import ssm
from tests.engine.world import laboratory, spec

DB, API = ssm("/db"), ssm("/api")

pytestmark = pytest.mark.looptime


async def test_ready_once_every_required_secret_is_held() -> None:
    """An optional one is no reason to wait; each reason is named by its class."""
    async with laboratory() as lab:
        lab.source.failures[DB] = AccessDenied("no")
        lab.declare({"db": DB, "api": spec(API, required=False)})
        assert [(each.name, each.reason) for each in lab.engine.readings.unready()] == [("db", "pending")]
        await asyncio.sleep(1)
        assert [(each.name, each.reason) for each in lab.engine.readings.unready()] == [("db", "access_denied")]
        del lab.source.failures[DB]
        lab.source.put(DB, b"hunter2")
        await asyncio.sleep(30)
        assert lab.engine.readings.ready()


async def test_a_held_value_keeps_the_daemon_ready_through_an_outage() -> None:
    """Stale is ready."""
    async with laboratory() as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        await asyncio.sleep(1)
        lab.source.outage = Unreachable("down")
        await asyncio.sleep(7200)
        (reading,) = lab.engine.readings.secrets()
        assert (reading.state, lab.engine.readings.ready()) == (State.STALE, True)
        assert reading.failure is lab.source.outage


async def test_a_reading_tells_times_as_the_wall_shows_them() -> None:
    """When it was fetched, confirmed, becomes stale and is checked next; a suspend does not shift the past."""
    async with laboratory() as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": spec(DB, refresh=100)})
        await asyncio.sleep(1)
        started = lab.clock.wall() - 1
        (reading,) = lab.engine.readings.secrets()
        assert (reading.name, reading.version, reading.region) == ("db", "1", "eu-west-1")
        assert reading.fetched_at == reading.confirmed_at == pytest.approx(started)
        assert reading.expires_at == pytest.approx(started + 300)
        assert reading.next_check_at == pytest.approx(started + 50)


async def test_a_trees_member_is_checked_with_its_tree() -> None:
    """Its next check is its tree's next walk; what is held is counted by why."""
    async with laboratory() as lab:
        lab.source.put(ssm("/prod/a"), b"1")
        lab.declare(trees={"app": TreeSpec(Tree("/prod"), refresh=100)})
        await asyncio.sleep(1)
        (reading,) = lab.engine.readings.secrets()
        assert (reading.name, reading.kind) == ("app/a", "tree")
        assert reading.next_check_at == pytest.approx(lab.clock.wall() - 1 + 50)
        assert lab.engine.readings.entries() == {"declared": 0, "tree": 1, "on-demand": 0}


async def test_on_demand_values_are_read_by_their_ref() -> None:
    """They have no name."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        await lab.engine.resolver.get(lab.engine.resolver.open(DB), asyncio.get_running_loop().time() + 1)
        (reading,) = lab.engine.readings.secrets()
        assert (reading.name, reading.kind, reading.required) == ("ssm:/db", "on-demand", False)
