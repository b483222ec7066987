"""Find what a caller asks for, wait for it as long as the caller does, and say how it was found.

Failures travel as values here: the engine holds on to them, and raising one would tie it to our frames.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import TypeVar

from sidecar.api.answers import UNCACHED
from sidecar.api.asks import Ask
from sidecar.api.bodies import Body, make_body
from sidecar.api.problems import NoSuchName, NotKept, WaitEnded
from sidecar.api.services import Services
from sidecar.core.errors import BadField, BadRef, SidecarError, told_of
from sidecar.core.freshness import Fresh, Stale
from sidecar.core.names import Name
from sidecar.core.refs import Ref
from sidecar.core.spellings import parse_any
from sidecar.engine.catalogue import Declared
from sidecar.engine.resolver import Found
from sidecar.engine.store import Entry

T = TypeVar("T")


@dataclass(slots=True)
class Target:
    """One value, or one field of it, as somebody asks for it; `declared` is None on demand."""

    entry: Entry
    field: str | None
    declared: Declared | None

    @property
    def ref(self) -> Ref:
        """The canonical reference, as far as AWS has told it."""
        return self.entry.ref if self.field is None else replace(self.entry.ref, field=self.field)

    @property
    def label(self) -> str:
        """What people know it by."""
        return self.declared.name if self.declared else self.ref.shown


@dataclass(frozen=True, slots=True)
class Shown:
    """A value that can be shown, and how it was found."""

    body: Body
    age: float
    cache_status: str

    @property
    def headers(self) -> Mapping[str, str]:
        """What every answer with a value says of it."""
        return {**UNCACHED, "ETag": self.body.etag, "Age": str(floor(self.age)), "Cache-Status": self.cache_status}


async def find_name(services: Services, ask: Ask, name: Name) -> Target:
    """Find what a name stands for; raises CallerDenied, NoSuchName."""
    ask.accesses[name] = None
    services.permits.check_name(ask.caller, name)
    resolver = services.engine.resolver
    declared = services.engine.catalogue.get(name)
    if declared is None:
        declared = await resolver.find(name, ask.deadline)
    if declared is None:
        raise _no_such_name()
    return Target(resolver.open(declared.ref.whole), declared.ref.field, declared)


async def find_ref(services: Services, ask: Ask, text: str) -> Target:
    """Find a reference in any spelling, to be held from now on; raises BadRef, CallerDenied."""
    asked = await _localised(services, ask, parse_any(text))
    ref = replace(services.engine.store.canonical(asked.whole), field=asked.field)
    ask.accesses[ref.shown] = None
    services.permits.check_ref(ask.caller, ref)
    return Target(services.engine.resolver.open(ref.whole), ref.field, None)


async def _localised(services: Services, ask: Ask, asked: Ref) -> Ref:
    try:
        return await services.localise(asked, ask.deadline)
    except BadRef:
        services.permits.check_ref(ask.caller, asked)  # who may not read it does not learn which identities there are
        raise


async def show(services: Services, ask: Ask, target: Target) -> Shown | SidecarError:
    """Give what a target shows: at once when it is held, else after waiting for AWS as long as the caller does."""
    lookup = target.entry.look(services.engine.resolver.clock.trust())
    if isinstance(lookup, Fresh | Stale):
        found = await services.engine.resolver.get(target.entry, 0.0)  # held: does not wait
    else:
        found = await _wait_for(services, target.entry, ask.deadline)
    return _shown(services, ask, target, found)


async def show_all(services: Services, ask: Ask, targets: Mapping[str, Target]) -> Mapping[str, Shown | SidecarError]:
    """Give what all of these show at one moment, after waiting for those that are not held."""
    resolver = services.engine.resolver
    entries = [target.entry for target in targets.values()]
    deadline = ask.deadline
    try:
        async with services.patience.busy(deadline):
            found = await resolver.get_all(entries, deadline)
    except TimeoutError:  # the daemon stops
        now = resolver.clock.trust()
        found = [Found(entry, entry.look(now), waited=True) for entry in entries]
    return {
        name: _shown(services, ask, target, each) for (name, target), each in zip(targets.items(), found, strict=True)
    }


async def changed(services: Services, ask: Ask, look: Callable[[], T], has: Callable[[T], bool]) -> T:
    """Look until the caller has not what is there already, or its wait is over; give what is there then."""
    store = services.engine.store
    try:
        async with services.patience.idle(ask.deadline):
            while has(now := look()):
                await store.changed_since(store.generation)
    except TimeoutError:
        now = look()
    return now


def show_now(services: Services, ask: Ask, target: Target) -> Shown | SidecarError:
    """Give what a target shows without waiting, if the caller may still see it; raises CallerDenied, NoSuchName."""
    _find_again(services, ask, target)
    return _shown(services, ask, target, Found(target.entry, services.engine.resolver.look(target.entry)))


def show_previous(services: Services, target: Target) -> Shown | SidecarError:
    """Give the version before the current one, while it is kept and the value may be shown at all."""
    resolver, entry = services.engine.resolver, target.entry
    now = resolver.clock.trust()
    lookup = entry.look(now)
    if not isinstance(lookup, Fresh | Stale):
        return _why(Found(entry, lookup), target.label)
    secret = resolver.previous(entry)
    if secret is None or entry.previous is None:
        return NotKept(f"{target.label}: no version before the current one is kept")
    try:
        body = make_body(target.ref, secret)
    except BadField as error:
        return error
    remaining = entry.previous.until - now
    age = entry.policy.keep_previous - remaining
    return Shown(body, max(0.0, age), f"sidecar; hit; ttl={floor(remaining)}; detail=previous")


async def _wait_for(services: Services, entry: Entry, deadline: float) -> Found:
    resolver = services.engine.resolver
    try:
        async with services.patience.busy(deadline):
            return await resolver.get(entry, deadline)
    except TimeoutError:  # the daemon stops
        return Found(entry, entry.look(resolver.clock.trust()), waited=True)


def _shown(services: Services, ask: Ask, target: Target, found: Found) -> Shown | SidecarError:
    """Make the body of what was found; raises CallerDenied when AWS's name of it is not the caller's to read."""
    if found.waited or found.entry is not target.entry:
        target.entry = found.entry
        _check(services, ask, target)
    lookup = found.lookup
    if not isinstance(lookup, Fresh | Stale):
        return _why(found, target.label)
    try:
        body = services.bodies.of(target.ref, lookup.secret)
    except BadField as error:
        return error
    return Shown(body, lookup.age, cache_status(found, lookup))


def _find_again(services: Services, ask: Ask, target: Target) -> None:
    """Find what was found before: a reload may have moved the name, or taken it away."""
    _check(services, ask, target)
    if target.declared:
        declared = services.engine.catalogue.get(target.declared.name)
        if declared is None:
            raise _no_such_name()
        target.declared, target.field = declared, declared.ref.field
    ref = target.declared.ref.whole if target.declared else target.entry.ref
    target.entry = services.engine.store.get(ref) or target.entry


def _check(services: Services, ask: Ask, target: Target) -> None:
    """Ask once more whether the caller may: AWS may have named the value, a reload may have changed the rules."""
    if target.declared:
        services.permits.check_name(ask.caller, target.declared.name)
    else:
        services.permits.check_ref(ask.caller, target.ref)


def _no_such_name() -> NoSuchName:
    return NoSuchName("no secret of this name is declared")


def _why(found: Found, label: str) -> SidecarError:
    lookup = found.lookup
    assert not isinstance(lookup, Fresh | Stale), "what is held is shown"
    if lookup.failure is None:
        return WaitEnded(f"{label}: nothing is held yet, and AWS has not answered in time")
    return told_of(found.entry.ref.shown, lookup.failure)


def cache_status(found: Found, lookup: Fresh | Stale) -> str:
    """Say how a value was found, in RFC 9211's words."""
    if found.waited:
        return "sidecar; fwd=miss; collapsed" if found.collapsed else "sidecar; fwd=miss"
    status = f"sidecar; hit; ttl={floor(lookup.remaining)}"
    return f"{status}; detail=stale" if isinstance(lookup, Stale) else status
