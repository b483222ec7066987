"""Let a caller have values checked now, as after a failed login, without letting it flood AWS.

Must not decide how often AWS is asked; the engine's `min_refresh` does.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sidecar.api.answers import Answer, json_answer
from sidecar.api.asks import Ask, parse_object
from sidecar.api.bodies import entity_tag
from sidecar.api.conditions import holds_tag, names_tag
from sidecar.api.descriptions import describe, visible
from sidecar.api.lookups import Target, find_name
from sidecar.api.problems import BadRequest
from sidecar.api.services import Services
from sidecar.core.names import Name, parse_name


@dataclass(frozen=True, slots=True)
class Wish:
    """What the body of a refresh says; no names mean all."""

    names: Sequence[Name]
    rejected: str | None  # the entity tag of the version that did not work


def parse_wish(body: bytes) -> Wish:
    """Read the body; raises BadRequest, BadName."""
    wish = parse_object(body)
    if wish.keys() - {"names", "rejected"}:
        raise BadRequest("the body has other members than names and rejected")
    names, rejected = wish.get("names", []), wish.get("rejected")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("names is not a list of strings")
    if not (rejected is None or isinstance(rejected, str)):
        raise BadRequest("rejected is not a string")
    if rejected is not None and not holds_tag(rejected):
        raise BadRequest("rejected is no entity tag; one has its quotes with it")
    if rejected is not None and len(names) != 1:
        raise BadRequest("rejected needs exactly one name")
    return Wish([parse_name(name) for name in dict.fromkeys(names)], rejected)


async def serve_refresh(services: Services, ask: Ask) -> Answer:
    """Check what the caller names, or all, and answer with how it stands and what changed."""
    wish = parse_wish(ask.body)
    if not wish.names:
        return await _refresh_all(services, ask)
    targets = [await find_name(services, ask, name) for name in wish.names]
    if wish.rejected is not None:
        return await _refresh_rejected(services, ask, targets[0], wish.rejected)
    before = [target.entry.generation for target in targets]
    await _checked(services, ask, targets)
    return _told(
        services, [(target, target.entry.generation != was) for target, was in zip(targets, before, strict=True)]
    )


async def _refresh_rejected(services: Services, ask: Ask, target: Target, rejected: str) -> Answer:
    """Check a value that did not work, unless what is held by now is another than the one that did not."""
    if not _differs(target, rejected):
        await _checked(services, ask, [target])
    return _told(services, [(target, _differs(target, rejected))])


async def _refresh_all(services: Services, ask: Ask) -> Answer:
    """Check everything; answer with what changed and with what could not be confirmed."""
    services.permits.check_admin(ask.caller)
    before = services.engine.store.generation
    await _patiently(services, ask, services.engine.resolver.refresh_all)
    outcomes = [(target, target.entry.generation > before) async for target in visible(services, ask)]
    return _told(services, [each for each in outcomes if each[1] or each[0].entry.trouble])


async def _checked(services: Services, ask: Ask, targets: Sequence[Target]) -> None:
    entries = [target.entry for target in targets]
    await _patiently(services, ask, partial(services.engine.resolver.refresh, entries))
    for target in targets:
        target.entry = services.engine.store.get(target.entry.ref) or target.entry


async def _patiently(services: Services, ask: Ask, refresh: Callable[[float], Awaitable[object]]) -> None:
    deadline = ask.deadline
    with suppress(TimeoutError):  # the daemon stops: how it stands is told all the same
        async with services.patience.busy(deadline):
            await refresh(deadline)


def _differs(target: Target, rejected: str) -> bool:
    held = target.entry.held
    return held is not None and not names_tag(rejected, entity_tag(target.ref, held.secret.revision.version))


def _told(services: Services, outcomes: Sequence[tuple[Target, bool]]) -> Answer:
    return json_answer({"secrets": [describe(services, target) | {"changed": changed} for target, changed in outcomes]})
