"""Trees: new parameters appear, deleted ones go, and a walk costs what it must."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from structlog.testing import capture_logs

from sidecar.core.config.models import Cache, TreeSpec
from sidecar.core.errors import AccessDenied, KeyUnusable, Throttled, Unreachable
from sidecar.core.freshness import Fresh, Refused, Stale
from sidecar.core.ports import Gate
from sidecar.core.refs import Ref, Tree
from sidecar.core.secret import Secret
from sidecar.engine.store import Kind
from sidecar.engine.trees import MOST_GONE
from sidecar.telemetry import events
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import SSM, Laboratory, laboratory, spec

A, B = ssm("/prod/a"), ssm("/prod/sub/b")
APP = {"app": TreeSpec(Tree("/prod"), refresh=60)}

pytestmark = pytest.mark.looptime


def plant(lab: Laboratory, *refs: Ref) -> None:
    """Make parameters."""
    for ref in refs:
        lab.source.put(ref, b"v1")


def names(lab: Laboratory) -> list[str]:
    """Give the names that an app can ask for."""
    return sorted(declared.name for declared in lab.engine.catalogue)


async def test_a_tree_brings_its_parameters_under_its_name() -> None:
    """`app: ssm:/prod/` gives app/<rest>."""
    async with laboratory() as lab:
        plant(lab, A, B)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert names(lab) == ["app/a", "app/sub/b"]
        assert lab.value(B) == b"v1"


async def test_a_first_walk_fetches_once_and_later_ones_probe() -> None:
    """KMS decryptions = values first held + values changed."""
    async with laboratory() as lab:
        plant(lab, *(ssm(f"/prod/{n}") for n in range(25)))
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert [len(page) for page in lab.source.fetches] == [10, 10, 5]
        await asyncio.sleep(600)
        assert len(lab.source.fetches) == 3
        lab.source.put(ssm("/prod/7"), b"v2", version="2")
        await asyncio.sleep(70)
        assert lab.source.fetches[3:] == [[ssm("/prod/7")]]
        assert lab.value(ssm("/prod/7")) == b"v2"
        assert lab.source.probes == []


async def test_new_parameters_appear_and_deleted_ones_go() -> None:
    """At the next walk, plaintext included."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        plant(lab, B)
        del lab.source.values[A]
        await asyncio.sleep(70)
        assert names(lab) == ["app/sub/b"]
        assert lab.engine.store.get(A) is None


async def test_what_has_gone_is_remembered_for_those_who_watch() -> None:
    """Without its value, the latest thousand; what comes back is there again."""
    async with laboratory() as lab:
        plant(lab, *(ssm(f"/prod/{n}") for n in range(MOST_GONE + 5)))
        lab.declare(trees=APP)
        await asyncio.sleep(30)
        lab.source.values.clear()
        await asyncio.sleep(70)
        gone = lab.engine.trees.gone
        assert (names(lab), len(gone)) == ([], MOST_GONE)
        assert all(each.entry.held is None for each in gone.values())
        assert max(each.entry.generation for each in gone.values()) == lab.engine.store.generation


async def test_a_declared_secret_of_the_same_name_wins() -> None:
    """The tree's parameter is held back, its walk does not disturb the declared one."""
    async with laboratory() as lab:
        other = ssm("/other")
        plant(lab, A, other)
        lab.declare({"app/a": other}, APP)
        await asyncio.sleep(1)
        declared = lab.engine.catalogue.get("app/a")
        assert declared is not None
        assert declared.ref == other
        del lab.source.values[A]
        await asyncio.sleep(70)
        assert names(lab) == ["app/a"]


async def test_a_value_that_is_declared_and_in_a_tree_is_held_once() -> None:
    """Both names, one entry; the tree's end does not take it away."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare({"own": spec(A, refresh=30)}, APP)
        await asyncio.sleep(1)
        assert (len(lab.engine.store), names(lab)) == (1, ["app/a", "own"])
        lab.declare({"own": spec(A, refresh=30)})
        assert (names(lab), lab.value(A)) == (["own"], b"v1")


async def test_a_member_that_is_declared_no_longer_lives_on_with_its_tree() -> None:
    """It is not fetched again, its name stays, and its changes are seen."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare({"own": A}, APP)
        await asyncio.sleep(1)
        fetched = len(lab.source.fetches)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert (names(lab), lab.value(A), len(lab.source.fetches)) == (["app/a"], b"v1", fetched)
        lab.source.put(A, b"v2", version="2")
        await asyncio.sleep(70)
        assert (lab.value(A), lab.entry(A).kind) == (b"v2", Kind.TREE)


async def test_a_name_that_is_declared_no_longer_is_the_trees_again() -> None:
    """At once: nobody waits for the next walk."""
    async with laboratory() as lab:
        plant(lab, A, ssm("/other"))
        lab.declare({"app/a": ssm("/other")}, APP)
        await asyncio.sleep(1)
        lab.declare(trees=APP)
        declared = lab.engine.catalogue.get("app/a")
        assert declared is not None
        assert (declared.ref, declared.tree) == (A, "app")


async def test_a_parameter_below_two_trees_goes_with_the_last_of_them() -> None:
    """Held once, under both names; the end of one tree takes its name, not the value."""
    async with laboratory() as lab:
        plant(lab, B)
        sub = {"sub": TreeSpec(Tree("/prod/sub"), refresh=60)}
        lab.declare(trees=APP | sub)
        await asyncio.sleep(1)
        assert names(lab) == ["app/sub/b", "sub/b"]
        lab.declare(trees=APP)
        assert (names(lab), lab.value(B)) == (["app/sub/b"], b"v1")
        lab.declare()
        assert len(lab.engine.store) == 0


async def test_two_trees_do_not_fight_for_one_name() -> None:
    """The first that brought it keeps it while it has it."""
    async with laboratory() as lab:
        plant(lab, B, ssm("/more/b"))
        nested = {"app/sub": TreeSpec(Tree("/more"), refresh=60)}
        lab.declare(trees=APP | nested)
        await asyncio.sleep(1)
        first = lab.engine.catalogue.get("app/sub/b")
        await asyncio.sleep(300)
        assert first is not None
        assert lab.engine.catalogue.get("app/sub/b") == first
        del lab.source.values[first.ref]
        await asyncio.sleep(140)
        second = lab.engine.catalogue.get("app/sub/b")
        assert second is not None
        assert second.ref != first.ref


async def test_members_take_the_new_policy_of_a_reload() -> None:
    """Not only those that appear later."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        lab.declare(trees=APP, cache=Cache(ttl=100))
        assert lab.entry(A).policy.ttl == 100


async def test_one_unusable_key_does_not_hide_the_rest() -> None:
    """A page that cannot be decrypted is probed, then fetched one by one."""
    async with laboratory() as lab:
        plant(lab, A, B)
        lab.source.failures[A] = KeyUnusable("disabled")
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert isinstance(lab.entry(B).look(lab.clock.trust()), Fresh)


async def test_an_outage_leaves_the_members_as_they_are_and_is_retried() -> None:
    """They are unconfirmed, hence stale after a while; when AWS is back they are fresh within seconds."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        lab.source.outage = Unreachable("down")
        await asyncio.sleep(240)
        assert isinstance(lab.entry(A).look(lab.clock.trust()), Stale)
        lab.source.outage = None
        await asyncio.sleep(30)
        assert isinstance(lab.entry(A).look(lab.clock.trust()), Fresh)


async def test_a_tree_that_is_refused_revokes_its_members() -> None:
    """Lost permission on the path counts for what lies below it."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        lab.source.outage = AccessDenied("no")  # a whole call can be refused as well
        await asyncio.sleep(400)
        assert isinstance(lab.entry(A).look(lab.clock.trust()), Refused)


async def test_a_tree_is_not_ready_before_its_first_walk() -> None:
    """Readiness waits for the tree, and says why it is late."""
    async with laboratory() as lab:
        lab.source.outage = Unreachable("down")
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert [(each.name, each.reason) for each in lab.engine.readings.unready()] == [("app/", "unreachable")]
        lab.source.outage = None
        await asyncio.sleep(30)
        assert lab.engine.readings.ready()


async def test_a_tree_taken_away_under_way_adopts_nothing() -> None:
    """A reload during a walk: what the walk brings later is dropped."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.source.latency = 5
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        lab.declare()
        await asyncio.sleep(10)
        assert (names(lab), len(lab.engine.store)) == ([], 0)


async def test_a_parameter_that_cannot_have_a_name_is_left_out() -> None:
    """A segment `..` is fine for nobody; the rest is held."""
    async with laboratory() as lab:
        plant(lab, A, ssm("/prod/.."))
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        assert names(lab) == ["app/a"]


async def test_a_tree_that_becomes_another_while_it_is_walked_is_walked_anew() -> None:
    """The walk of the old path ends for nobody and does not keep the new one waiting."""
    async with laboratory() as lab:
        plant(lab, A, ssm("/test/c"))
        lab.source.latency = 5
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        lab.declare(trees={"app": TreeSpec(Tree("/test"), refresh=60)})
        await asyncio.sleep(6)
        assert (names(lab), lab.engine.readings.ready()) == (["app/c"], True)


async def test_a_fault_in_a_source_of_trees_stops_neither_the_daemon_nor_the_tree() -> None:
    """An exception that no source should raise is a transient failure of the walk."""

    class Broken(FakeSource):
        async def fetch_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Secret]]:
            if not self.requests:
                self.requests.append(("GetParametersByPath", 0))
                raise ZeroDivisionError
            async for page in super().fetch_tree(tree, gate):
                yield page

    async with laboratory() as lab:
        lab.sources.by_route[SSM] = Broken()
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [(each.name, each.reason) for each in lab.engine.readings.unready()] == [("app/", "unintelligible")]
        await asyncio.sleep(30)
        assert (names(lab), lab.engine.readings.ready()) == (["app/a"], True)


async def test_a_walk_that_is_cancelled_is_no_walk_to_the_end() -> None:
    """When the daemon stops, a tree half walked does not count as walked."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.source.latency = 5
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        for task in asyncio.all_tasks():
            if task.get_name() == "walk":
                task.cancel()
        await asyncio.sleep(0)
        assert not lab.engine.readings.ready()


async def test_a_tree_that_is_refused_leaves_what_is_declared_alone() -> None:
    """A declared value has checks of its own: GetParameters may be allowed where GetParametersByPath is not."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare({"own": A}, APP)
        await asyncio.sleep(1)
        lab.source.no_paths = AccessDenied("no")
        await asyncio.sleep(70)
        assert isinstance(lab.entry(A).look(lab.clock.trust()), Fresh)
        assert lab.entry(A).trouble is None


async def test_a_caller_joins_the_walk_that_fetches_a_new_member() -> None:
    """Single flight holds for members as well: one fetch, whoever asks meanwhile."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        plant(lab, B)
        lab.source.latency = 1
        await asyncio.sleep(30.5)
        found = await lab.engine.resolver.get(lab.entry(B), lab.engine.checks.now() + 5)
        assert (found.collapsed, lab.source.fetches[1:]) == (True, [[B]])


async def test_a_walk_leaves_alone_what_is_being_checked() -> None:
    """A declared value that is fetched just now is not fetched by its tree's walk as well."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare({"own": spec(A, refresh=30)}, APP)
        await asyncio.sleep(20)
        fetched = len(lab.source.fetches)
        lab.source.put(A, b"v2", version="2")
        lab.source.latency = 4
        await asyncio.sleep(100)
        assert (lab.source.fetches[fetched:], lab.value(A)) == ([[A]], b"v2")
        assert lab.engine.checks.due(lab.entry(A)) is not None


async def test_a_member_that_could_not_be_fetched_is_fetched_soon() -> None:
    """A transient failure is retried with backoff, not with the next walk; then the walks check it again."""
    async with laboratory() as lab:
        plant(lab, A)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        plant(lab, B)
        lab.source.failures[B] = Throttled("slow down")
        await asyncio.sleep(32)
        assert lab.entry(B).held is None
        del lab.source.failures[B]
        await asyncio.sleep(5)
        assert lab.value(B) == b"v1"
        assert lab.engine.checks.due(lab.entry(B)) is None


async def test_an_outage_of_a_tree_is_told_once_not_for_each_member() -> None:
    """One line where it begins, one where it ends."""
    async with laboratory() as lab:
        plant(lab, A, B)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        with capture_logs() as lines:
            lab.source.outage = Unreachable("down")
            await asyncio.sleep(120)
            lab.source.outage = None
            await asyncio.sleep(60)
        told = [line["event"] for line in lines if "endpoint" not in line]
        assert told == [events.TREE_FAILED, events.TREE_RECOVERED]


async def test_a_tree_that_is_declared_no_longer_is_no_trouble() -> None:
    """Its members go without a word of failure."""
    async with laboratory() as lab:
        plant(lab, A, B)
        lab.declare(trees=APP)
        await asyncio.sleep(1)
        with capture_logs() as lines:
            lab.declare()
        assert lines == []
