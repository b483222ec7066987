"""Configurations taken in one after the other: what is still wanted is not fetched again."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.core.config.models import Cache, TreeSpec
from sidecar.core.config.types import PerSecret
from sidecar.core.freshness import Fresh, Pending
from sidecar.core.ports import Decrypt
from sidecar.core.refs import Pick, Selector, Tree
from sidecar.engine.store import Kind
from sidecar.telemetry import Gauges
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import SSM, Laboratory, laboratory, spec

DB, API = ssm("/db"), ssm("/api")

pytestmark = pytest.mark.looptime


def plant(lab: Laboratory) -> None:
    """Make both values."""
    lab.source.put(DB, b'{"user": "app", "password": "hunter2"}')
    lab.source.put(API, b"key")


async def test_a_reload_fetches_only_what_is_new() -> None:
    """The old value stays held, untouched."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": DB})
        await asyncio.sleep(1)
        lab.declare({"db": DB, "api": API})
        await asyncio.sleep(1)
        assert lab.source.fetches == [[DB], [API]]


async def test_a_reload_that_moves_a_name_wakes_those_who_watch() -> None:
    """Where the value is held already, as nothing will be fetched; what stays where it was is no news."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": DB, "api": API})
        await asyncio.sleep(1)
        store, catalogue = lab.engine.store, lab.engine.catalogue
        before = store.generation
        lab.declare({"db": DB, "api": API})
        assert (store.generation, catalogue.moved) == (before, {})
        lab.declare({"db": API, "api": API})
        assert (store.generation, catalogue.moved) == (before + 1, {"db": before + 1})
        lab.declare({"api": API})
        assert catalogue.moved == {}


async def test_a_reload_drops_what_is_no_longer_wanted() -> None:
    """Its name, its plaintext and its checks."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": DB, "api": API})
        await asyncio.sleep(1)
        lab.declare({"db": DB})
        assert lab.engine.catalogue.get("api") is None
        assert lab.engine.store.get(API) is None
        await asyncio.sleep(3600)
        assert all(API not in probe for probe in lab.source.probes)


async def test_fields_of_one_value_share_one_fetch() -> None:
    """Two names for two fields: one entry."""
    async with laboratory() as lab:
        plant(lab)
        user, password = (spec(type(DB)(DB.source, DB.id, field=field)) for field in ("user", "password"))
        lab.declare({"user": user, "password": password})
        await asyncio.sleep(1)
        assert (lab.source.fetches, len(lab.engine.store)) == ([[DB]], 1)
        assert lab.engine.catalogue.names_of(DB) == {"user", "password"}


async def test_names_follow_a_value_to_the_spelling_that_aws_gives_it() -> None:
    """Declared by ARN, named /db by AWS: found under its name, counted under its name, also after a reload."""
    async with laboratory() as lab:
        arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
        lab.source.put(arn, b"hunter2", named=DB)
        lab.declare({"db": arn})
        await asyncio.sleep(1)
        for _ in range(2):
            declared = lab.engine.catalogue.get("db")
            assert declared is not None
            assert (declared.ref, sorted(lab.engine.catalogue.names_of(DB))) == (DB, ["db"])
            lab.declare({"db": arn})
        assert (lab.source.fetches, lab.value(DB)) == ([[arn]], b"hunter2")
        lab.metrics.read(Gauges(secrets=lab.engine.readings.gauges), PerSecret.ON)
        assert b'sidecar_secret_changes_total{name="db"} 1.0' in lab.metrics.render("")[1]


async def test_another_way_to_decrypt_is_taken_at_once_and_alone() -> None:
    """After a reload the value is checked on the new route, and no longer on the old one."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": spec(DB, refresh=60)})
        await asyncio.sleep(1)
        local = lab.sources(replace(SSM, decrypt=Decrypt.LOCAL))
        local.put(DB, b"hunter2")
        lab.declare({"db": spec(DB, refresh=60, decrypt=Decrypt.LOCAL)})
        await asyncio.sleep(600)
        assert (len(lab.source.requests), lab.source.probes) == (1, [])
        assert len(local.probes) >= 9


async def test_the_keenest_declaration_of_a_value_decides_its_interval() -> None:
    """Declared for 5 m and for 10 s: checked each 10 s."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"slow": DB, "keen": spec(DB, refresh=10)})
        assert lab.entry(DB).policy.refresh == 10


async def test_a_shorter_interval_takes_effect_at_once() -> None:
    """A reload from 1 h to 10 s does not wait for the hour to end."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": DB}, cache=Cache(refresh=3600))
        await asyncio.sleep(1)
        lab.declare({"db": DB}, cache=Cache(refresh=10))
        await asyncio.sleep(10.1)
        assert len(lab.source.probes) == 1


async def test_an_on_demand_value_that_gets_declared_is_kept() -> None:
    """It is held already: no fetch, and no longer evicted."""
    async with laboratory() as lab:
        plant(lab)
        loop = asyncio.get_running_loop()
        await lab.engine.resolver.get(lab.engine.resolver.open(DB), loop.time() + 1)
        lab.declare({"db": DB})
        assert lab.entry(DB).kind is Kind.DECLARED
        await asyncio.sleep(7200)
        assert isinstance(lab.entry(DB).look(lab.clock.trust()), Fresh)
        assert lab.source.fetches == [[DB]]


async def test_on_demand_values_take_the_new_policy() -> None:
    """Cache settings are for all."""
    async with laboratory() as lab:
        plant(lab)
        lab.engine.resolver.open(DB)
        lab.declare(cache=Cache(refresh=60, ttl=100))
        assert lab.entry(DB).policy.ttl == 100


async def test_a_shorter_interval_takes_effect_on_demand_too() -> None:
    """What callers asked for is checked as often as the section says now."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare(cache=Cache(refresh=3600))
        await lab.engine.resolver.get(lab.engine.resolver.open(DB), lab.engine.checks.now() + 1)
        lab.declare(cache=Cache(refresh=10))
        await asyncio.sleep(10.1)
        assert len(lab.source.probes) == 1


async def test_trees_stay_change_and_go() -> None:
    """The same path is kept as it is, another path is walked anew, a missing one is forgotten."""
    async with laboratory() as lab:
        lab.source.put(ssm("/a/x"), b"1")
        lab.source.put(ssm("/b/y"), b"2")
        lab.declare(trees={"app": TreeSpec(Tree("/a"))})
        await asyncio.sleep(1)
        lab.declare(trees={"app": TreeSpec(Tree("/a"), refresh=30)})
        assert (len(lab.source.fetches), lab.entry(ssm("/a/x")).held is not None) == (1, True)
        lab.declare(trees={"app": TreeSpec(Tree("/b"))})
        await asyncio.sleep(1)
        assert [declared.name for declared in lab.engine.catalogue] == ["app/y"]
        lab.declare()
        assert (len(lab.engine.catalogue), len(lab.engine.store)) == (0, 0)


async def test_an_identity_that_became_another_is_asked_anew() -> None:
    """What the old one was allowed to read says nothing of the new one."""
    async with laboratory() as lab:
        plant(lab)
        lab.source.put(ssm("/a/x"), b"1")
        trees = {"app": TreeSpec(Tree("/a"))}
        lab.declare({"db": DB}, trees)
        await asyncio.sleep(1)
        lab.engine.declarations.drop_identity("default")
        assert len(lab.engine.store) == 0
        lab.declare({"db": DB}, trees)
        await asyncio.sleep(1)
        assert lab.source.fetches.count([DB]) == 2
        assert lab.engine.readings.ready()


async def test_what_the_old_identity_answers_counts_no_more() -> None:
    """A check that is under way while its identity becomes another ends for nobody; the new one is asked at once."""
    async with laboratory() as lab:
        plant(lab)
        lab.source.latency = 5
        lab.declare({"db": DB})
        await asyncio.sleep(1)
        lab.engine.declarations.drop_identity("default")
        lab.sources.by_route[SSM] = FakeSource(latency=7)
        lab.source.put(DB, b"of another account")
        lab.declare({"db": DB})
        await asyncio.sleep(5)
        assert lab.entry(DB).held is None
        await asyncio.sleep(6)
        assert lab.value(DB) == b"of another account"


async def test_a_check_that_finds_its_identity_gone_fails_alone() -> None:
    """It was sent off, and before it began, a reload took its identity away: nothing else notices."""
    async with laboratory(polling=False) as lab:
        plant(lab)
        lab.declare({"bill": replace(DB, identity="billing")})
        lab.engine.refresher.send_off()
        lab.sources.gone.add("billing")
        await asyncio.sleep(1)
        assert isinstance(lab.entry(replace(DB, identity="billing")).look(lab.clock.trust()), Pending)


async def test_an_identity_that_is_gone_is_asked_for_nothing() -> None:
    """Once nothing is read with it, neither its source nor its schedule is looked for."""
    async with laboratory() as lab:
        plant(lab)
        lab.declare({"db": DB, "bill": replace(DB, identity="billing")})
        await asyncio.sleep(1)
        lab.engine.declarations.drop_identity("billing")
        lab.sources.gone.add("billing")
        lab.declare({"db": DB})
        await asyncio.sleep(600)
        assert isinstance(lab.entry(DB).look(lab.clock.trust()), Fresh)


async def test_a_pinned_version_is_trusted_as_long_as_it_is_checked() -> None:
    """Checked each hour, hence fresh for three, whatever the section's ttl."""
    async with laboratory() as lab:
        pinned = type(DB)(DB.source, "/db", selector=Selector(Pick.VERSION, "3"))
        lab.declare({"db": pinned}, cache=Cache(refresh=60, ttl=120))
        assert (lab.entry(pinned).policy.refresh, lab.entry(pinned).policy.ttl) == (3600, 10800)
