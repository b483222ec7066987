"""What settling writes, whom it wakes, and how spellings become one value."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.core.errors import AccessDenied, NotFound, Unreachable
from sidecar.core.freshness import Absent, Fresh, Pending, Stale
from sidecar.core.ports import Route
from sidecar.core.refs import Ref, SourceKind
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.store import Entry, Kind, Settled, Store
from tests.core.test_freshness import POLICY
from tests.engine.fakes import FakeClock, ssm

ROUTE = Route(SourceKind.SSM, "default")
DB = ssm("/db")

pytestmark = pytest.mark.looptime


def secret(value: bytes = b"hunter2", version: str = "1", ref: Ref = DB) -> Secret:
    """Make a version."""
    return Secret(Revision(ref, Version(version), "eu-west-1"), Plaintext(value))


@pytest.fixture
def clock() -> FakeClock:
    """Give trust and wall time."""
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    """Give an empty store."""
    return Store(clock)


def hold(store: Store, ref: Ref = DB, kind: Kind = Kind.DECLARED) -> Entry:
    """Adopt a value."""
    return store.adopt(ref, ROUTE, POLICY, kind)


async def test_a_first_version_is_a_change(store: Store) -> None:
    """What is held for the first time is announced, and fresh."""
    entry = hold(store)
    assert store.settle(DB, secret()) is Settled.CHANGED
    assert (entry.generation, store.generation) == (1, 1)
    assert isinstance(entry.look(store.clock.trust()), Fresh)


async def test_the_same_version_again_confirms(store: Store) -> None:
    """A fetch or probe that brings the version held changes nothing but the trust in it."""
    entry = hold(store)
    store.settle(DB, secret())
    await asyncio.sleep(1000)
    assert isinstance(entry.look(store.clock.trust()), Stale)
    assert store.settle(DB, secret()) is Settled.CONFIRMED
    await asyncio.sleep(800)
    newer = replace(secret().revision, labels=("blue",))
    assert store.settle(DB, newer) is Settled.CONFIRMED
    assert entry.held is not None
    assert (entry.held.fetched_at, entry.held.confirmed_at) == (1000, 1800)
    assert entry.held.secret.revision.labels == ("blue",)
    assert store.generation == 1


async def test_a_probe_that_tells_no_date_leaves_the_one_that_is_known(store: Store) -> None:
    """GetSecretValue says when the version was made, DescribeSecret does not."""
    entry = hold(store)
    made = replace(secret(), revision=replace(secret().revision, modified_at=1234.5))
    store.settle(DB, made)
    store.settle(DB, secret().revision)
    assert entry.held is not None
    assert entry.held.secret.revision.modified_at == 1234.5


async def test_the_previous_version_is_kept_for_a_while(store: Store) -> None:
    """After a rotation the old value stays for keep_previous, then it is swept."""
    entry = hold(store)
    store.settle(DB, secret(b"old", "1"))
    store.settle(DB, secret(b"new", "2"))
    assert entry.previous is not None
    assert entry.previous.secret.plaintext.reveal() == b"old"
    await asyncio.sleep(899)
    store.sweep()
    assert entry.previous is not None
    await asyncio.sleep(1)
    store.sweep()
    assert entry.previous is None


async def test_nothing_previous_is_kept_when_that_is_turned_off(store: Store) -> None:
    """`keep_previous: 0s` means no."""
    entry = store.adopt(DB, ROUTE, replace(POLICY, keep_previous=0), Kind.DECLARED)
    store.settle(DB, secret(b"old", "1"))
    store.settle(DB, secret(b"new", "2"))
    assert entry.previous is None


async def test_a_deleted_value_goes_with_its_previous(store: Store) -> None:
    """AWS says it does not exist: nothing of it stays, watchers are told once."""
    entry = hold(store)
    store.settle(DB, secret(b"old", "1"))
    store.settle(DB, secret(b"new", "2"))
    assert store.settle(DB, NotFound("gone")) is Settled.GONE
    assert (entry.held, entry.previous, store.generation) == (None, None, 3)
    assert isinstance(entry.look(store.clock.trust()), Absent)
    store.settle(DB, NotFound("still gone"))
    assert (store.generation, entry.setbacks) == (3, 2)


async def test_a_refused_value_is_dropped_from_memory_after_revoke_after(store: Store) -> None:
    """The sweep drops plaintext that no reader gets any more."""
    entry = hold(store)
    store.settle(DB, secret())
    assert store.settle(DB, AccessDenied("no")) is Settled.GONE
    await asyncio.sleep(300)
    store.sweep()
    assert entry.held is not None
    await asyncio.sleep(1)
    store.sweep()
    assert entry.held is None


async def test_a_failure_keeps_what_is_held(store: Store) -> None:
    """Nobody knows: the value stays, the setbacks are counted until it is confirmed."""
    entry = hold(store)
    store.settle(DB, secret())
    assert store.settle(DB, Unreachable("down")) is Settled.FAILED
    assert (entry.setbacks, entry.held is not None) == (1, True)
    store.settle(DB, secret().revision)
    assert (entry.setbacks, entry.trouble) == (0, None)


async def test_an_answer_for_what_nobody_holds_is_dropped(store: Store) -> None:
    """A check that lands after a reload took the value away writes nothing."""
    assert store.settle(DB, secret()) is Settled.DROPPED
    assert len(store) == 0


async def test_aws_naming_a_value_makes_its_spellings_one(store: Store) -> None:
    """The ARN is asked, AWS names it /db: both refs give one entry from then on."""
    arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
    entry = hold(store, arn)
    store.settle(arn, secret(ref=DB))
    assert store.get(arn) is store.get(DB) is entry
    assert (entry.ref, store.canonical(arn), len(store)) == (DB, DB, 1)


async def test_spellings_held_apart_merge(store: Store) -> None:
    """A declared ARN and the same value held on demand by name become one declared entry."""
    arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
    named = hold(store, DB, Kind.ON_DEMAND)
    hold(store, arn)
    store.settle(arn, secret(ref=DB))
    assert store.get(arn) is named
    assert (named.kind, len(store), store.crowd(most=0, idle=0, room=0)) == (Kind.DECLARED, 1, [])


async def test_the_keenest_of_merged_declarations_decides(store: Store) -> None:
    """Declared by name for 10 s and by ARN for 5 m: checked each 10 s, whichever AWS names last."""
    arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
    keen = replace(POLICY, refresh=10, ttl=30)
    store.adopt(DB, ROUTE, keen, Kind.DECLARED)
    hold(store, arn)
    store.settle(arn, secret(ref=DB))
    entry = store.get(arn)
    assert entry is not None
    assert entry.policy == keen


async def test_spellings_follow_a_value_from_name_to_name(store: Store) -> None:
    """AWS may name a value otherwise once the account is known, and again: every spelling still leads to it."""
    arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
    spelt = ssm("db")
    entry = hold(store, spelt)
    for named in (arn, DB, arn, DB):
        store.settle(spelt, secret(ref=named))
        assert all(store.get(ref) is entry for ref in (spelt, named))
    assert (store.get(arn), store.canonical(arn), len(store)) == (entry, DB, 1)
    assert set(entry.spellings) == {spelt, arn}
    store.remove(spelt)
    assert [store.get(ref) for ref in (spelt, arn, DB)] == [None, None, None]


async def test_removing_a_value_forgets_its_spellings(store: Store) -> None:
    """What is taken away is gone under every name."""
    arn = ssm("arn:aws:ssm:eu-west-1:111111111111:parameter/db")
    hold(store, arn)
    store.settle(arn, secret(ref=DB))
    store.remove(arn)
    assert (store.get(arn), store.get(DB), len(store)) == (None, None, 0)


async def test_the_least_recently_used_goes_first(store: Store) -> None:
    """On-demand values are bounded; a read saves one, declared ones never go."""
    entries = [hold(store, ssm(f"/{n}"), Kind.ON_DEMAND) for n in range(3)]
    hold(store, DB)
    store.touch(entries[0])
    assert store.crowd(most=2, idle=3600, room=99) == [ssm("/1")]


async def test_what_has_no_room_goes(store: Store) -> None:
    """The oldest until the rest fits, the version before counted too; the newest has room whatever its size."""
    for name, value in (("/1", b"x" * 40), ("/2", b"x" * 40), ("/3", b"x" * 50)):
        hold(store, ssm(name), Kind.ON_DEMAND)
        store.settle(ssm(name), secret(value, ref=ssm(name)))
    told = [[str(ref.id) for ref in store.crowd(9, 3600, room)] for room in (130, 129, 90, 89, 50, 10)]
    assert told == [[], ["/1"], ["/1"], ["/1", "/2"], ["/1", "/2"], ["/1", "/2"]]
    store.settle(ssm("/3"), secret(b"y", "2", ref=ssm("/3")))
    assert [str(ref.id) for ref in store.crowd(9, 3600, 90)] == ["/1", "/2"]


async def test_the_idle_go(store: Store) -> None:
    """What nobody asked for in `idle` seconds goes."""
    first = hold(store, ssm("/1"), Kind.ON_DEMAND)
    hold(store, ssm("/2"), Kind.ON_DEMAND)
    await asyncio.sleep(3000)
    store.touch(first)
    await asyncio.sleep(601)
    assert store.crowd(most=10, idle=3600, room=99) == [ssm("/2")]


async def test_a_suspend_ages_what_is_held(store: Store, clock: FakeClock) -> None:
    """A laptop that slept past ttl wakes with a stale value, not a fresh one; past stale_if_error with none."""
    entry = hold(store)
    store.settle(DB, secret())
    clock.suspend(4500)
    assert isinstance(entry.look(clock.trust()), Stale)
    clock.suspend(86400)
    assert isinstance(entry.look(clock.trust()), Pending)


async def test_those_who_wait_for_a_change_are_woken(store: Store, looptime: float) -> None:
    """A waiter sees the newest generation, however many changes it slept through."""
    hold(store)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(store.changed_since(0))
        await asyncio.sleep(5)
        store.settle(DB, secret(version="1"))
        store.settle(DB, secret(version="2"))
    assert (waiting.result(), looptime) == (2, 5)
    assert await store.changed_since(0) == 2
