"""Answer with values: one, several of one moment, with what is known of them, or without.

Must not decide who may read nor how long to wait; `permits` and `lookups` do.
"""

import hashlib
from collections.abc import Callable, Sequence
from http import HTTPStatus

from sidecar.api.answers import JSON, Answer, json_answer, to_json
from sidecar.api.asks import Ask
from sidecar.api.bodies import Body, json_value
from sidecar.api.conditions import names_tag
from sidecar.api.descriptions import describe, visible
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
    described = [to_json(describe(services, target)) async for target in visible(services, ask)]
    return Answer(body=f'{{"secrets": [{", ".join(described)}]}}'.encode(), content_type=JSON)


def together(shown: Sequence[Shown]) -> dict[str, str]:
    """Make the headers that are true of all of these: a tag of all tags, the oldest's age, the least fresh's status."""
    tags = hashlib.blake2b(" ".join(each.body.etag for each in shown).encode(), digest_size=16)
    oldest = max(shown, key=lambda each: each.age)
    return {**oldest.headers, "ETag": f'"{tags.hexdigest()}"'}


async def _describe(services: Services, ask: Ask, target: Target) -> Answer:
    shown = await _show_in_time(services, ask, target)
    return _answer(
        ask, target, shown, lambda body: (to_json(describe(services, target) | json_value(body)).encode(), JSON)
    )


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
