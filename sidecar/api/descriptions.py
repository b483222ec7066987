"""Describe values without showing them: one by one, or all that a caller may see."""

import asyncio
from collections.abc import AsyncIterator

from sidecar.api.answers import timestamp
from sidecar.api.asks import Ask
from sidecar.api.bodies import entity_tag
from sidecar.api.lookups import Target
from sidecar.api.services import Services
from sidecar.engine.catalogue import Declared
from sidecar.engine.store import Entry, Kind

_SLICE = 100
"""Secrets described before others get their turn: 10,000 at once would hold the loop for too long."""


def describe(services: Services, target: Target) -> dict[str, object]:
    """Say what is known of a value."""
    reading = services.engine.readings.secret(target.entry, target.declared)
    held, failure = target.entry.held, reading.failure
    revision = held.secret.revision if held else None
    return {
        "name": target.label,
        "ref": str(target.ref),
        "kind": reading.kind.value,
        "required": reading.required,
        "state": reading.state.name.lower(),
        "version": reading.version,
        "etag": entity_tag(target.ref, revision.version) if revision else None,
        "labels": list(reading.labels),
        "region": reading.region,
        "modified_at": timestamp(revision.modified_at) if revision else None,
        "fetched_at": timestamp(reading.fetched_at),
        "confirmed_at": timestamp(reading.confirmed_at),
        "expires_at": timestamp(reading.expires_at),
        "next_check_at": timestamp(reading.next_check_at),
        "reason": failure.label if failure else None,
        "detail": str(failure) if failure else None,
        "mend": failure.mend if failure else None,
    }


async def visible(services: Services, ask: Ask) -> AsyncIterator[Target]:
    """Give all that the caller may see, declared names first, and let others have their turn meanwhile."""
    rows = [*services.engine.catalogue, *services.engine.store]
    for index, row in enumerate(rows):
        if index % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        target = _named(services, ask, row) if isinstance(row, Declared) else _on_demand(services, ask, row)
        if target:
            yield target


def _named(services: Services, ask: Ask, declared: Declared) -> Target | None:
    entry = services.engine.store.get(declared.ref.whole)
    may = entry and services.permits.access.may_read(ask.caller, declared.name)
    return Target(entry, declared.ref.field, declared) if entry and may else None


def _on_demand(services: Services, ask: Ask, entry: Entry) -> Target | None:
    may = entry.kind is Kind.ON_DEMAND and services.permits.may_resolve(ask.caller, entry.ref)
    return Target(entry, None, None) if may else None
