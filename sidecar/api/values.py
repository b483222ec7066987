"""Answer with values: one, several of one moment, with what is known of them, or without.

Must not decide who may read nor how long to wait; `permits` and `lookups` do.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus

from sidecar.api.answers import JSON, Answer, json_answer, timestamp
from sidecar.api.asks import Ask
from sidecar.api.bodies import Body, json_value
from sidecar.api.conditions import names_tag
from sidecar.api.lookups import (
    Shown,
    Target,
    find_name,
    find_ref,
    is_current,
    show,
    show_all,
    show_changed,
    show_previous,
)
from sidecar.api.problems import Several, problem_answer
from sidecar.api.services import Services
from sidecar.core.errors import SidecarError
from sidecar.engine.catalogue import Declared
from sidecar.engine.readings import SecretReading
from sidecar.engine.store import Entry, Kind

_SLICE = 100
"""Secrets described before others get their turn: 10,000 at once would hold the loop for too long."""


async def serve_value(services: Services, ask: Ask) -> Answer:
    """Answer with the bytes of one value."""
    target = await find_name(services, ask, ask.name)
    if ask.flag("previous"):
        shown = show_previous(services, target)
    else:
        shown = await _show_in_time(services, ask, target)
    return _answer(ask, target, shown, lambda body: (body.content, body.content_type))


async def serve_secret(services: Services, ask: Ask) -> Answer:
    """Answer with one value and what is known of it."""
    return await _describe(services, ask, await find_name(services, ask, ask.name))


async def serve_resolve(services: Services, ask: Ask) -> Answer:
    """Answer the same for a reference that need not be declared."""
    return await _describe(services, ask, find_ref(services, ask, ask.query["ref"][0]))


async def serve_values(services: Services, ask: Ask) -> Answer:
    """Answer with several values of one moment, or with what is wrong with each that failed."""
    targets, failed = await _find_all(services, ask)
    shown: dict[str, Shown] = {}
    for name, each in (await show_all(services, ask, targets)).items():
        if isinstance(each, Shown):
            shown[name] = each
        else:
            failed[name] = each
    ask.accesses |= failed
    if failed:
        return problem_answer(Several(failed))
    headers = together(list(shown.values()))
    if (condition := ask.headers.get("If-None-Match")) and names_tag(condition, headers["ETag"]):
        return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
    return json_answer({name: _member(each.body) for name, each in shown.items()}, headers=headers)


async def serve_secrets(services: Services, ask: Ask) -> Answer:
    """Answer with what is known of all that the caller may see, without values."""
    described = [json.dumps(describe(services, reading)) async for reading in readings(services, ask)]
    return Answer(body=f'{{"secrets": [{", ".join(described)}]}}'.encode(), content_type=JSON)


async def readings(services: Services, ask: Ask) -> AsyncIterator[SecretReading]:
    """Read all that the caller may see, and let others have their turn meanwhile."""
    for index, (entry, declared) in enumerate(_visible(services, ask)):
        if index % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        yield services.engine.readings.secret(entry, declared)


def describe(services: Services, reading: SecretReading) -> dict[str, object]:
    """Describe a value without showing it."""
    entry = services.engine.store.get(reading.ref.whole)
    described: dict[str, object] = {
        "name": reading.name,
        "ref": str(reading.ref),
        "kind": str(reading.kind),
        "required": reading.required,
        "state": reading.state.name.lower(),
        "version": reading.version,
        "labels": list(reading.labels),
        "region": reading.region,
        "modified_at": timestamp(entry.held.secret.revision.modified_at) if entry and entry.held else None,
        "fetched_at": timestamp(reading.fetched_at),
        "confirmed_at": timestamp(reading.confirmed_at),
        "expires_at": timestamp(reading.expires_at),
    }
    if reading.failure:
        described |= {"reason": reading.failure.label, "detail": str(reading.failure), "mend": reading.failure.mend}
    return described


def together(shown: Sequence[Shown]) -> dict[str, str]:
    """Make the headers that are true of all of these: a tag of all tags, the oldest's age, the least fresh's status."""
    tags = hashlib.blake2b(" ".join(each.body.etag for each in shown).encode(), digest_size=16)
    oldest = max(shown, key=lambda each: each.age)
    return {**oldest.headers, "ETag": f'"{tags.hexdigest()}"'}


def describe_shown(services: Services, target: Target, body: Body) -> dict[str, object]:
    """Describe a value and show it."""
    reading = services.engine.readings.secret(target.entry, target.declared)
    described = describe(services, reading)
    if target.declared is None:
        described |= {"name": target.label, "ref": str(target.ref)}
    return described | {"etag": body.etag} | json_value(body)


async def _describe(services: Services, ask: Ask, target: Target) -> Answer:
    shown = await _show_in_time(services, ask, target)
    return _answer(ask, target, shown, lambda body: (json.dumps(describe_shown(services, target, body)).encode(), JSON))


async def _show_in_time(services: Services, ask: Ask, target: Target) -> Shown | SidecarError:
    """Show a value; to a caller who has it already and wants to wait, the next one."""
    shown = await show(services, ask, target)
    if isinstance(shown, Shown) and is_current(ask, shown) and (wait := ask.wait):
        return await show_changed(services, ask, target, shown, wait)
    return shown


def _answer(
    ask: Ask, target: Target, shown: Shown | SidecarError, write: Callable[[Body], tuple[bytes, str]]
) -> Answer:
    if isinstance(shown, SidecarError):
        ask.accesses[target.label] = shown
        return problem_answer(shown, name=target.label)
    headers = dict(shown.headers)
    if (wait := ask.wait) is not None:
        headers["Preference-Applied"] = f"wait={wait:.0f}"
    if is_current(ask, shown):
        return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
    body, content_type = write(shown.body)
    return Answer(HTTPStatus.OK, body, content_type, headers)


async def _find_all(services: Services, ask: Ask) -> tuple[dict[str, Target], dict[str, SidecarError]]:
    targets: dict[str, Target] = {}
    failed: dict[str, SidecarError] = {}
    for name in ask.names:
        try:
            targets[name] = await find_name(services, ask, name)
        except SidecarError as error:
            failed[name] = error
    return targets, failed


def _member(body: Body) -> object:
    """Give a value as a member among others: a string, or an object where it is not UTF-8."""
    member = json_value(body)
    return member.get("value", {"base64": member.get("value_base64")})


def _visible(services: Services, ask: Ask) -> Sequence[tuple[Entry, Declared | None]]:
    """List what the caller may see: declared names first, then what is held on demand."""
    permits, store = services.permits, services.engine.store
    named: list[tuple[Entry, Declared | None]] = [
        (entry, declared)
        for declared in services.engine.catalogue
        if permits.access.may_read(ask.caller, declared.name) and (entry := store.get(declared.ref.whole))
    ]
    return named + [
        (entry, None) for entry in store if entry.kind is Kind.ON_DEMAND and permits.may_resolve(ask.caller, entry.ref)
    ]
