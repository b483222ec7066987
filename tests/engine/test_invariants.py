"""Whatever happens, in whatever order: no declared value is ever forgotten, and in the end all is as AWS has it.

Each example is a story told to a whole engine in virtual time: values that come, change and go, failures, reloads,
callers, suspends. What must hold is looked at after every step.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sidecar.core.config.models import Cache, OnDemand, TreeSpec
from sidecar.core.errors import AccessDenied, Failure, KeyUnusable, Throttled, Unintelligible, Unreachable
from sidecar.core.freshness import Absent, Fresh
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import Ref, SourceKind, Tree
from sidecar.engine.store import Entry, Kind
from sidecar.telemetry import events
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import Laboratory, laboratory, spec

T = TypeVar("T")

FAR = replace(ssm("/q/6"), identity="far")
ARN = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/q/7")
REFS = (*(ssm(f"/p/{n}") for n in range(4)), ssm("/p/s/4"), ssm("/p/s/5"), FAR, ssm("/q/7"))
ROUTES = tuple(
    Route(SourceKind.SSM, identity, decrypt)
    for identity in ("default", "far")
    for decrypt in (Decrypt.AWS, Decrypt.LOCAL)
)

SECRETS: tuple[Mapping[str, Ref], ...] = (
    {"a": REFS[0], "far": FAR, "c": ARN},
    {"a": replace(REFS[0], field="user"), "a2": REFS[0], "c": ARN, "d": REFS[7]},
    {"app/1": REFS[7], "app/s/4": REFS[4]},
    {"s": REFS[5], "far": FAR},
    {},
)
TREES: tuple[Mapping[str, TreeSpec], ...] = (
    {"app": TreeSpec(Tree("/p"))},
    {"app": TreeSpec(Tree("/p"), refresh=20), "sub": TreeSpec(Tree("/p/s"), refresh=45)},
    {"app": TreeSpec(Tree("/q")), "app/s": TreeSpec(Tree("/p/s"))},
    {"app": TreeSpec(Tree("/p"), decrypt=Decrypt.LOCAL)},
    {},
)
CACHES = (
    Cache(refresh=30),
    Cache(refresh=50, ttl=80, stale_if_error=0, revoke_after=0, negative_ttl=1, keep_previous=0),
    Cache(refresh=20, revalidate=40, stale_if_error=60, min_refresh=5),
)
FAILURES: tuple[Failure, ...] = (
    AccessDenied("no"),
    KeyUnusable("disabled"),
    Throttled("slow down", retry_after=3),
    Unreachable("down"),
    Unintelligible("a page of a proxy"),
)
WAITS = (0.0, 0.3, 2.0, 10.0)
PAUSES = (0.0, 0.05, 1.0, 7.0, 35.0, 120.0)
LATENCIES = (0.0, 0.1, 4.0, 30.0)

HEALED = 400.0
"""Seconds after which all must be well again: time-outs under way, backoffs, slow rates and two intervals."""


def pick(things: tuple[T, ...], number: int) -> T:
    """Choose by number."""
    return things[number % len(things)]


@dataclass
class Story:
    """An engine, what AWS holds, and all that can befall both; each step takes two numbers."""

    lab: Laboratory
    tasks: asyncio.TaskGroup
    versions: dict[Ref, int] = field(default_factory=dict)
    secrets: Mapping[str, Ref] = field(default_factory=dict)
    trees: Mapping[str, TreeSpec] = field(default_factory=dict)
    cache: Cache = CACHES[0]

    @property
    def sources(self) -> list[FakeSource]:
        """Give all of AWS."""
        return [self.lab.sources(route) for route in ROUTES]

    def seen_by(self, identity: str) -> list[FakeSource]:
        """Give AWS as one identity sees it."""
        return [self.lab.sources(route) for route in ROUTES if route.identity == identity]

    def put(self, n: int, _: int) -> None:
        """Make another version of a value."""
        ref = pick(REFS, n)
        version = self.versions[ref] = self.versions.get(ref, 0) + 1
        for spelling in (ref, ARN) if ref == REFS[7] else (ref,):
            for source in self.seen_by(ref.identity):
                source.put(spelling, value_of(ref, str(version)), str(version), named=ref)

    def delete(self, n: int, _: int) -> None:
        """Take a value away; one made later has another version than all before."""
        ref = pick(REFS, n)
        for source in self.seen_by(ref.identity):
            source.values.pop(ref, None)
            if ref == REFS[7]:
                source.values.pop(ARN, None)

    def hurt(self, n: int, m: int) -> None:
        """Let one value fail."""
        for source in self.sources:
            source.failures[pick(REFS, n)] = pick(FAILURES, m)

    def black_out(self, n: int, m: int) -> None:
        """Let everything fail, or only what a route asks, or only paths."""
        for source in self.sources if n == 0 else [self.lab.sources(pick(ROUTES, n))]:
            source.outage = pick(FAILURES, m)
            source.no_paths = pick(FAILURES, m)

    def heal(self, _n: int, m: int) -> None:
        """Let AWS be well again."""
        for source in self.sources:
            source.failures.clear()
            source.outage = source.no_paths = None
            source.latency = pick(LATENCIES, m)

    def slow(self, n: int, m: int) -> None:
        """Let a route take its time."""
        self.lab.sources(pick(ROUTES, n)).latency = pick(LATENCIES, m)

    def reload(self, n: int, m: int) -> None:
        """Take another configuration in."""
        self.secrets, self.trees, self.cache = pick(SECRETS, n), pick(TREES, m), pick(CACHES, n + m)
        self.declare(OnDemand(max_entries=1 + m, idle=30 + 20 * n))

    def retune(self, n: int, _: int) -> None:
        """Take the same names in with other durations."""
        self.cache = pick(CACHES, n)
        self.declare(OnDemand())

    def become(self, n: int, _: int) -> None:
        """Be another identity from now on."""
        self.lab.engine.declarations.drop_identity(pick(("default", "far"), n))
        self.declare(OnDemand())

    def declare(self, on_demand: OnDemand) -> None:
        """Take in what is to be kept."""
        secrets = {
            name: spec(ref, refresh=10 if name == "d" else None, required=name != "a", decrypt=decrypt_of(name, ref))
            for name, ref in self.secrets.items()
        }
        self.lab.declare(secrets, self.trees, cache=self.cache, on_demand=on_demand)

    def ask(self, n: int, m: int) -> None:
        """Ask for a value by its reference."""
        resolver = self.lab.engine.resolver
        entry = resolver.open(self.lab.engine.store.canonical(pick((*REFS, ARN), n)))
        self.tasks.create_task(resolver.get(entry, self._within(m)))

    def ask_by_name(self, n: int, m: int) -> None:
        """Ask for a name that may or may not be there."""
        self.tasks.create_task(
            self.lab.engine.resolver.find(pick(("app/0", "app/s/4", "sub/5", "nope"), n), self._within(m))
        )

    def ask_for_all(self, n: int, m: int) -> None:
        """Ask for several values at once, or have them checked."""
        resolver = self.lab.engine.resolver
        entries = [
            entry for declared in self.lab.engine.catalogue if (entry := self.lab.engine.store.get(declared.ref.whole))
        ]
        self.tasks.create_task(
            resolver.refresh(entries, self._within(m)) if n % 2 else resolver.get_all(entries, self._within(m))
        )

    def refresh_all(self, _: int, m: int) -> None:
        """Have everything checked."""
        self.tasks.create_task(self.lab.engine.resolver.refresh_all(self._within(m)))

    def suspend(self, n: int, m: int) -> None:
        """Let the machine sleep."""
        self.lab.clock.suspend(20.0 * n * m)

    async def rest(self, n: int) -> None:
        """Let time go by."""
        await asyncio.sleep(pick(PAUSES, n))

    def _within(self, m: int) -> float:
        return asyncio.get_running_loop().time() + pick(WAITS, m)


STEPS: Mapping[str, Callable[[Story, int, int], None]] = {
    step.__name__: step
    for step in (
        Story.put, Story.delete, Story.hurt, Story.black_out, Story.heal, Story.slow, Story.reload, Story.retune,
        Story.become, Story.ask, Story.ask_by_name, Story.ask_for_all, Story.refresh_all, Story.suspend,
    )
}  # fmt: skip


def value_of(ref: Ref, version: str) -> bytes:
    """Make a value that tells what it is of."""
    return f"{ref}@{version}".encode()


def decrypt_of(name: str, ref: Ref) -> Decrypt:
    """Let two declarations of one value differ in who decrypts it."""
    return Decrypt.LOCAL if name == "c" and ref == ARN else Decrypt.AWS


def check(lab: Laboratory) -> None:
    """Look at all that must hold at any moment."""
    engine = lab.engine
    for entry in engine.store:
        assert engine.store.get(entry.ref) is entry
        assert all(engine.store.get(spelling) is entry for spelling in entry.spellings)
        assert is_looked_after(lab, entry), f"{entry.ref}: {entry.kind}, held: {entry.held is not None}, forgotten"
        if entry.held:
            held = entry.held.secret
            assert held.plaintext.reveal() == value_of(entry.ref, held.revision.version)
    for prefix in engine.trees.entries:
        assert engine.trees.planned.due(prefix) is not None or prefix in engine.trees.flights
    for declared in engine.catalogue:
        assert declared.name in engine.catalogue.names_of(declared.ref)
        entry_or_none = engine.store.get(declared.ref.whole)
        assert entry_or_none is not None
        assert entry_or_none.kind is not Kind.ON_DEMAND
    assert {entry.ref for entry in engine.store if entry.kind is Kind.ON_DEMAND} == set(engine.store.crowd(0, 0, 0))
    assert sum(1 for _ in engine.readings.secrets()) >= len(engine.catalogue)
    assert not engine.refresher.stalled()


def is_looked_after(lab: Laboratory, entry: Entry) -> bool:
    """Whether the engine will check this value again, if anybody wants it."""
    engine = lab.engine
    if engine.checks.due(entry) is not None or entry.ref in engine.checks.flights:
        return True
    if entry.kind is Kind.TREE:
        return any(entry.ref in tree.members for tree in engine.trees.entries.values())
    return entry.kind is Kind.ON_DEMAND and entry.held is None


def check_end(story: Story) -> None:
    """Look at what must hold when AWS has been well for a while."""
    lab, now = story.lab, story.lab.clock.trust()
    for entry in lab.engine.store:
        if entry.kind is Kind.ON_DEMAND and entry.held is None:
            continue
        secret = story.seen_by(entry.ref.identity)[0].values.get(entry.ref)
        if secret is None:
            assert isinstance(entry.look(now), Absent), entry.ref
        else:
            assert isinstance(entry.look(now), Fresh), (entry.ref, entry.look(now))
            assert lab.value(entry.ref) == secret.plaintext.reveal()
    expected = set(story.secrets)
    for prefix, tree in story.trees.items():
        below = (ref for ref in lab.source.values if ref != ARN)
        expected |= {f"{prefix}/{rest}" for ref in below if (rest := tree.tree.rest_of(ref.id))}
    assert {declared.name for declared in lab.engine.catalogue} == expected


async def tell_of_costs(steps: list[tuple[str, int, int, int]], seed: int) -> None:
    """Tell a story in which AWS is well, and compare what it decrypted with what that brought."""
    dice = random.Random(seed)
    async with laboratory() as lab, asyncio.TaskGroup() as tasks:
        lab.engine.checks.dice = dice.random
        story = Story(lab, tasks, cache=Cache(refresh=30, revalidate=1e6))
        story.secrets, story.trees = {"far": FAR, "d": REFS[7], "user": replace(REFS[7], field="user")}, TREES[0]
        lab.source.put(ssm("/p/first"), b"x")  # a tree of which nothing is held is fetched as a whole, held or not
        story.declare(OnDemand(max_entries=1 + seed, idle=60))
        await asyncio.sleep(1)
        for name, n, m, pause in steps:
            STEPS[name](story, n, m)
            await story.rest(pause)
        story.heal(0, 1)
        await asyncio.sleep(HEALED)
        check_end(story)
        opened = sum(source.opened for source in story.sources)
        text = lab.metrics.render("")[1].decode()
    assert f'sidecar_refreshes_total{{result="changed"}} {float(opened)}' in text


async def tell(steps: list[tuple[str, int, int, int]], seed: int) -> None:
    """Tell a story to its end."""
    dice = random.Random(seed)
    with capture_logs() as lines:
        async with laboratory() as lab, asyncio.TaskGroup() as tasks:
            lab.engine.checks.dice = dice.random
            story = Story(lab, tasks)
            for number in range(0, 8, 2):
                story.put(number, 0)
            for name, n, m, pause in [("reload", seed, seed, 0), *steps]:
                STEPS[name](story, n, m)
                check(lab)
                await story.rest(pause)
                check(lab)
            story.heal(0, 1)
            await asyncio.sleep(HEALED)
            check(lab)
            check_end(story)
    assert not [line for line in lines if line["event"] == events.CHECK_CRASHED]


def in_virtual_time(story: Coroutine[None, None, None]) -> None:
    """Run a story in a loop of its own, without the idle turns that looptime leaves to threads: there are none."""
    with asyncio.Runner(loop_factory=partial(looptime.new_event_loop, noop_cycles=2)) as runner:
        runner.run(story)


numbers = st.integers(0, 7)


def stories(*steps: Callable[[Story, int, int], None]) -> st.SearchStrategy[list[tuple[str, int, int, int]]]:
    """Make stories of these steps."""
    names = st.sampled_from(sorted(step.__name__ for step in steps))
    return st.lists(st.tuples(names, numbers, numbers, numbers), min_size=10, max_size=25)


@settings(max_examples=20, deadline=None)
@given(stories(*STEPS.values()), numbers)
def test_no_story_ends_badly(steps: list[tuple[str, int, int, int]], seed: int) -> None:
    """Nothing is forgotten, nothing crashes, versions and values stay together; once AWS is well, so are we."""
    in_virtual_time(tell(steps, seed))


CALM = (
    Story.put,
    Story.delete,
    Story.slow,
    Story.ask,
    Story.ask_by_name,
    Story.ask_for_all,
    Story.refresh_all,
    Story.suspend,
)


@settings(max_examples=12, deadline=None)
@given(stories(*CALM), numbers)
def test_aws_decrypts_what_is_first_held_and_what_changed(steps: list[tuple[str, int, int, int]], seed: int) -> None:
    """KMS decryptions = values first held + values changed, whoever asks, however often, however slowly AWS answers."""
    in_virtual_time(tell_of_costs(steps, seed))
