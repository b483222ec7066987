"""Answer with values: one, several of one moment, with what is known of them, or without.

Must not decide who may read nor how long to wait; `permits` and `lookups` do.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus

from sidecar.api.answers import JSON, Answer, json_answer, to_json
from sidecar.api.asks import Ask
from sidecar.api.bodies import Body, json_value
from sidecar.api.descriptions import describe, visible
from sidecar.api.lookups import (
    Shown,
    Target,
    changed,
    find_name,
    find_ref,
    show,
    show_all,
    show_now,
    show_previous,
)
from sidecar.api.problems import Several, problem_answer
from sidecar.api.services import Services
from sidecar.core.errors import SidecarError


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
    return await _describe(services, ask, await find_ref(services, ask, ask.query["ref"][0]))


async def serve_values(services: Services, ask: Ask) -> Answer:
    """Answer with several values of one moment, or with what is wrong with each that failed."""
    targets, failed = await _find_all(services, ask)
    found = {**failed, **await show_all(services, ask, targets)}
    if ask.wait and _has_all(ask, found):
        found = await changed(
            services,
            ask,
            lambda: {name: show_now(services, ask, target) for name, target in targets.items()},
            lambda now: _has_all(ask, now),
        )
    ask.accesses |= {name: each for name, each in found.items() if not isinstance(each, Shown)}
    return _answer_all(ask, found)


async def serve_secrets(services: Services, ask: Ask) -> Answer:
    """Answer with what is known of all that the caller may see, without values."""
    described = [to_json(describe(services, target)) async for target in visible(services, ask)]
    return Answer(body=f'{{"secrets": [{", ".join(described)}]}}'.encode(), content_type=JSON)


def tag_of_all(shown: Iterable[Shown]) -> str:
    """Make a tag of all tags."""
    tags = hashlib.blake2b(" ".join(each.body.etag for each in shown).encode(), digest_size=16)
    return f'"{tags.hexdigest()}"'


def together(shown: Sequence[Shown]) -> dict[str, str]:
    """Make the headers that are true of all of these: a tag of all tags, the oldest's age, the least fresh's status."""
    oldest = max(shown, key=lambda each: each.age)
    return {**oldest.headers, "ETag": tag_of_all(shown)}


async def _describe(services: Services, ask: Ask, target: Target) -> Answer:
    shown = await _show_in_time(services, ask, target)
    return _answer(
        ask, target, shown, lambda body: (to_json(describe(services, target) | json_value(body)).encode(), JSON)
    )


async def _show_in_time(services: Services, ask: Ask, target: Target) -> Shown | SidecarError:
    """Show a value; to a caller who has it already and wants to wait, the next one."""
    shown = await show(services, ask, target)
    if ask.wait and _has(ask, shown):
        return await changed(services, ask, lambda: show_now(services, ask, target), lambda now: _has(ask, now))
    return shown


def _answer(
    ask: Ask, target: Target, shown: Shown | SidecarError, write: Callable[[Body], tuple[bytes, str]]
) -> Answer:
    if isinstance(shown, SidecarError):
        ask.blame(shown)
        return problem_answer(shown, name=target.label)
    headers = {**shown.headers, **_applied(ask)}
    if _has(ask, shown):
        return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
    body, content_type = write(shown.body)
    return Answer(HTTPStatus.OK, body, content_type, headers)


def _answer_all(ask: Ask, found: Mapping[str, Shown | SidecarError]) -> Answer:
    if failed := {name: each for name, each in found.items() if not isinstance(each, Shown)}:
        return problem_answer(Several(failed))
    shown = {name: each for name, each in found.items() if isinstance(each, Shown)}
    headers = together(list(shown.values())) | _applied(ask)
    if ask.has(headers["ETag"]):
        return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
    return json_answer({name: _member(each.body) for name, each in shown.items()}, headers=headers)


def _has(ask: Ask, shown: Shown | SidecarError) -> bool:
    return isinstance(shown, Shown) and ask.has(shown.body.etag)


def _has_all(ask: Ask, found: Mapping[str, Shown | SidecarError]) -> bool:
    shown = [each for each in found.values() if isinstance(each, Shown)]
    return len(shown) == len(found) and ask.has(tag_of_all(shown))


def _applied(ask: Ask) -> dict[str, str]:
    """Say which preference was kept to."""
    return {} if ask.wait is None else {"Preference-Applied": f"wait={ask.wait:.0f}"}


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
