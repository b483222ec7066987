"""What a caller finds, how long it waits, and what that costs AWS."""

import asyncio

import pytest

from sidecar.core.config.models import Cache, TreeSpec
from sidecar.core.errors import AccessDenied, Unreachable
from sidecar.core.freshness import Absent, Fresh, Pending, Refused, Stale
from sidecar.core.refs import Tree
from tests.engine.fakes import ssm
from tests.engine.world import Laboratory, laboratory, spec

DB = ssm("/db")

pytestmark = pytest.mark.looptime


def within(seconds: float) -> float:
    """Give a deadline."""
    return asyncio.get_running_loop().time() + seconds


async def test_a_held_value_is_given_without_waiting(looptime: float) -> None:
    """A hit never waits for AWS."""
    async with laboratory() as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        await asyncio.sleep(1)
        lab.source.latency = 5
        found = await lab.engine.resolver.get(lab.entry(DB), within(10))
        assert isinstance(found.lookup, Fresh)
        assert (found.waited, looptime) == (False, 1)


async def test_a_thousand_callers_of_one_cold_value_cost_one_fetch() -> None:
    """Single flight: those who come while it is fetched join."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.latency = 0.5
        entry = lab.engine.resolver.open(DB)
        found = await asyncio.gather(*(lab.engine.resolver.get(entry, within(10)) for _ in range(1000)))
        assert len(lab.source.fetches) == 1
        assert all(isinstance(each.lookup, Fresh) for each in found)
        assert [each.collapsed for each in found].count(False) == 1


async def test_a_caller_that_goes_away_cancels_nobody_elses_check() -> None:
    """The flight goes on for those who stay."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.latency = 1
        entry = lab.engine.resolver.open(DB)
        async with asyncio.TaskGroup() as tasks:
            leaver = tasks.create_task(lab.engine.resolver.get(entry, within(10)))
            stayer = tasks.create_task(lab.engine.resolver.get(entry, within(10)))
            await asyncio.sleep(0.5)
            leaver.cancel()
        assert isinstance(stayer.result().lookup, Fresh)
        assert len(lab.source.fetches) == 1


async def test_a_caller_waits_no_longer_than_it_said(looptime: float) -> None:
    """The caller's wait ends first: pending, no failure known; the check goes on and is there for the next."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.latency = 5
        entry = lab.engine.resolver.open(DB)
        async with asyncio.TaskGroup() as tasks:
            patient = tasks.create_task(lab.engine.resolver.get(entry, within(10)))
            await asyncio.sleep(0)
            found = await lab.engine.resolver.get(entry, within(2))
            assert (found.lookup, found.collapsed, looptime) == (Pending(None), True, 2)
        assert isinstance(patient.result().lookup, Fresh)
        assert looptime == 5


async def test_callers_without_patience_keep_nobody_from_the_value() -> None:
    """What they ask for is asked of AWS in earnest, and is there for those who come later."""
    async with laboratory() as lab:
        lab.source.latency, lab.source.outage = 1, Unreachable("down")
        lab.declare({"db": DB})
        await asyncio.sleep(30)
        lab.source.put(DB, b"hunter2")
        lab.source.outage = None
        for _ in range(100):
            await lab.engine.resolver.get(lab.entry(DB), within(0))
            await asyncio.sleep(0.3)
        assert lab.value(DB) == b"hunter2"


async def test_an_outage_is_told_after_the_callers_retries() -> None:
    """Nothing held and AWS away: pending, with why."""
    async with laboratory(polling=False, dice=1.0) as lab:
        lab.source.outage = Unreachable("no network")
        found = await lab.engine.resolver.get(lab.engine.resolver.open(DB), within(1))
        assert isinstance(found.lookup, Pending)
        assert found.lookup.failure is lab.source.outage


async def test_a_recent_no_is_answered_from_memory() -> None:
    """What AWS does not know is asked again only after negative_ttl."""
    async with laboratory(polling=False) as lab:
        entry = lab.engine.resolver.open(DB)
        for _ in range(5):
            assert isinstance((await lab.engine.resolver.get(entry, within(1))).lookup, Absent)
        assert len(lab.source.fetches) == 1
        await asyncio.sleep(10)
        lab.source.put(DB, b"hunter2")
        assert isinstance((await lab.engine.resolver.get(entry, within(1))).lookup, Fresh)


async def test_a_no_is_answered_from_memory_in_an_outage_as_well() -> None:
    """Who asks for what does not exist is not made to wait for an AWS that is away, but once in negative_ttl."""
    async with laboratory(polling=False) as lab:
        entry = lab.engine.resolver.open(DB)
        await lab.engine.resolver.get(entry, within(1))
        await asyncio.sleep(10)
        lab.source.outage = Unreachable("down")
        waits = [(await lab.engine.resolver.get(entry, within(1))).waited for _ in range(5)]
        assert waits == [True, False, False, False, False]
        assert isinstance(entry.look(lab.clock.trust()), Absent)


async def test_a_refusal_ends_a_held_value_after_revoke_after() -> None:
    """Lost permission shows at the next fetch; five minutes later the value is gone."""
    async with laboratory() as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": spec(DB, refresh=10)}, cache=Cache(revalidate=60, revoke_after=300))
        await asyncio.sleep(1)
        lab.source.failures[DB] = AccessDenied("no")
        await asyncio.sleep(100)
        assert isinstance((await lab.engine.resolver.get(lab.entry(DB), within(1))).lookup, Stale)
        await asyncio.sleep(300)
        assert isinstance((await lab.engine.resolver.get(lab.entry(DB), within(1))).lookup, Refused)


async def test_a_stale_value_is_served_and_checked_behind_the_reader(looptime: float) -> None:
    """After a suspend the first read is stale and at once; the next is fresh."""
    async with laboratory() as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        await asyncio.sleep(200)
        lab.clock.suspend(3600)
        found = await lab.engine.resolver.get(lab.entry(DB), within(10))
        assert isinstance(found.lookup, Stale)
        assert looptime == 200
        await asyncio.sleep(0.1)
        assert isinstance((await lab.engine.resolver.get(lab.entry(DB), within(10))).lookup, Fresh)


async def test_a_caller_makes_a_background_check_go_first() -> None:
    """Joining a check that waits for quota promotes it; the value is not fetched twice."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.latency = 1
        lab.declare({"db": DB})
        lab.engine.refresher.send_off()
        found = await lab.engine.resolver.get(lab.entry(DB), within(10))
        assert (found.collapsed, len(lab.source.fetches)) == (True, 1)


async def test_a_burst_of_refreshes_costs_one_check() -> None:
    """A refresh reaches AWS at most once in min_refresh, however many ask."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"old")
        entry = lab.engine.resolver.open(DB)
        await lab.engine.resolver.get(entry, within(1))
        lab.source.put(DB, b"new", version="2")
        assert await lab.engine.resolver.refresh([entry], within(1)) == []
        await asyncio.sleep(1)
        changed = await asyncio.gather(*(lab.engine.resolver.refresh([entry], within(1)) for _ in range(50)))
        assert all(each == [entry] for each in changed)
        assert (len(lab.source.probes), lab.value(DB)) == (1, b"new")


async def test_refreshing_many_costs_batches() -> None:
    """A hundred values are checked in ten calls."""
    async with laboratory(polling=False) as lab:
        refs = [ssm(f"/p/{n}") for n in range(100)]
        for ref in refs:
            lab.source.put(ref, b"x")
        lab.declare({f"p{n}": ref for n, ref in enumerate(refs)})
        changed = await lab.engine.resolver.refresh([lab.entry(ref) for ref in refs], within(10))
        assert (len(changed), len(lab.source.fetches)) == (100, 10)


async def test_refreshing_all_walks_the_trees_too() -> None:
    """Values and trees alike."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.put(ssm("/app/x"), b"1")
        lab.declare({"db": DB}, {"app": TreeSpec(Tree("/app"))})
        changed = await lab.engine.resolver.refresh_all(within(10))
        assert {str(entry.ref) for entry in changed} == {"ssm:/db", "ssm:/app/x"}


async def test_a_burst_of_refreshes_of_all_walks_a_tree_once() -> None:
    """A tree too reaches AWS at most once in min_refresh, however often a refresh of all is asked for."""
    async with laboratory(polling=False) as lab:
        lab.source.put(ssm("/app/x"), b"1")
        lab.declare(trees={"app": TreeSpec(Tree("/app"))})
        for _ in range(5):
            await lab.engine.resolver.refresh_all(within(10))
        assert len(lab.source.requests) == 1
        await asyncio.sleep(1)
        await lab.engine.resolver.refresh_all(within(10))
        assert len(lab.source.requests) == 2


async def test_several_values_at_once_are_of_one_moment() -> None:
    """Cold ones are asked for together; a value held is not asked for."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.source.put(ssm("/api"), b"key")
        resolver, api = lab.engine.resolver, ssm("/api")
        await resolver.get(resolver.open(DB), within(1))
        found = await resolver.get_all([resolver.open(DB), resolver.open(api), resolver.open(ssm("/c"))], within(1))
        assert lab.source.fetches == [[DB], [api, ssm("/c")]]
        assert [each.waited for each in found] == [False, True, True]


async def test_several_values_say_what_was_being_asked_for_already() -> None:
    """One joins the check under way, the other begins one."""
    async with laboratory(polling=False) as lab, asyncio.TaskGroup() as tasks:
        lab.source.put(DB, b"hunter2")
        lab.source.put(ssm("/api"), b"key")
        resolver = lab.engine.resolver
        first = tasks.create_task(resolver.get(resolver.open(DB), within(1)))
        await asyncio.sleep(0)
        found = await resolver.get_all([resolver.open(DB), resolver.open(ssm("/api"))], within(1))
        assert [(each.waited, each.collapsed) for each in found] == [(True, True), (True, False)]
        assert (await first).collapsed is False


async def test_the_previous_version_can_be_had_for_a_while() -> None:
    """For apps that must accept both during a rotation."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"old")
        entry = lab.engine.resolver.open(DB)
        await lab.engine.resolver.get(entry, within(1))
        assert lab.engine.resolver.previous(entry) is None
        await asyncio.sleep(1)
        lab.source.put(DB, b"new", version="2")
        await lab.engine.resolver.refresh([entry], within(1))
        previous = lab.engine.resolver.previous(entry)
        assert previous is not None
        assert previous.plaintext.reveal() == b"old"
        await asyncio.sleep(900)
        assert lab.engine.resolver.previous(entry) is None


async def test_two_fields_of_one_cold_value_cost_one_ref() -> None:
    """AWS is never asked for the same thing twice in one request, however often it is wanted."""
    async with laboratory(polling=False) as lab:
        lab.source.put(DB, b"hunter2")
        lab.declare({"db": DB})
        entry = lab.entry(DB)
        await lab.engine.resolver.get_all([entry, entry], within(1))
        await asyncio.sleep(1)
        await lab.engine.resolver.refresh([entry, entry], within(1))
        assert (lab.source.fetches, lab.source.probes) == ([[DB]], [[DB]])


class TestNames:
    """From a name to what it stands for."""

    async def test_a_declared_name_is_found(self) -> None:
        """Without waiting."""
        async with laboratory(polling=False) as lab:
            lab.declare({"db": DB})
            declared = await lab.engine.resolver.find("db", within(1))
            assert declared is not None
            assert declared.ref == DB

    async def test_an_unknown_name_is_not_waited_for(self, looptime: float) -> None:
        """Nothing could bring it."""
        async with laboratory(polling=False) as lab:
            lab.declare({"db": DB})
            assert await lab.engine.resolver.find("nope", within(5)) is None
            assert looptime == 0

    async def test_a_name_below_a_tree_waits_for_its_first_walk(self, looptime: float) -> None:
        """At the start the names of a tree are not known yet."""
        async with laboratory(polling=False) as lab:
            await self._plant(lab)
            assert await lab.engine.resolver.find("app/x", within(5)) is not None
            assert looptime == 1
            assert await lab.engine.resolver.find("app/y", within(5)) is None
            assert looptime == 1

    async def test_the_wait_for_a_walk_ends_with_the_callers(self, looptime: float) -> None:
        """A slow walk holds nobody longer than it said."""
        async with laboratory(polling=False) as lab:
            await self._plant(lab)
            assert await lab.engine.resolver.find("app/x", within(0.5)) is None
            assert looptime == 0.5

    async def test_a_walk_that_takes_longer_than_its_caller_waits_is_walked_to_its_end(self) -> None:
        """Who comes next finds the name, and the walk has not failed."""
        async with laboratory(polling=False) as lab:
            await self._plant(lab)
            lab.source.batch = 1
            for n in range(5):
                lab.source.put(ssm(f"/prod/{n}"), b"x")
            assert await lab.engine.resolver.find("app/4", within(2)) is None
            assert await lab.engine.resolver.find("app/4", within(10)) is not None
            assert (len(lab.source.requests), lab.engine.readings.ready()) == (6, True)

    async def test_a_walk_that_fails_is_not_waited_for_again(self) -> None:
        """For negative_ttl callers are told at once that there is no such name; then one waits again."""
        async with laboratory(polling=False) as lab:
            await self._plant(lab)
            lab.source.latency, lab.source.outage = 0, Unreachable("down")
            assert await lab.engine.resolver.find("app/x", within(2)) is None
            asked = len(lab.source.requests)
            assert await lab.engine.resolver.find("app/x", within(2)) is None
            assert len(lab.source.requests) == asked
            lab.source.outage = None
            await asyncio.sleep(10)
            assert await lab.engine.resolver.find("app/x", within(2)) is not None

    async def test_callers_join_the_walk_under_way(self) -> None:
        """Two names below one tree cost one walk."""
        async with laboratory(polling=False) as lab:
            await self._plant(lab)
            found = await asyncio.gather(*(lab.engine.resolver.find(f"app/{n}", within(5)) for n in "xyz"))
            assert [each is not None for each in found] == [True, False, False]
            assert len(lab.source.requests) == 1

    async def _plant(self, lab: Laboratory) -> None:
        lab.source.latency = 1
        lab.source.put(ssm("/prod/x"), b"1")
        lab.declare(trees={"app": TreeSpec(Tree("/prod"))})
