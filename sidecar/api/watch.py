"""Tell callers of changes as server-sent events, each from the position that it has seen.

Watches levels, not edges: a reader that is slow finds the newest when it comes back, nothing queues for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from sidecar.api.answers import Stream, to_json
from sidecar.api.asks import Ask
from sidecar.api.audit import record
from sidecar.api.bodies import json_value
from sidecar.api.descriptions import describe
from sidecar.api.lookups import Shown, Target, find_name, show_now
from sidecar.api.services import Services
from sidecar.core.names import Name
from sidecar.engine.catalogue import Declared
from sidecar.engine.store import Entry

CONTENT_TYPE: Final = "text/event-stream"
SILENCE: Final = 15.0
"""Seconds without an event after which a comment shows that the connection lives."""

_ALIVE: Final = b": alive\n\n"
_MOST_DIGITS: Final = 18  # of a generation; more is no position of ours


async def serve_watch(services: Services, ask: Ask) -> Stream:
    """Open a stream of changes of the names that are asked for, or of all that the caller may see."""
    with_values = ask.flag("values")
    names = [(await find_name(services, ask, name)).label for name in ask.names]
    seen = seen_by(ask.headers.get("last-event-id"), services.boot, services.engine.store.generation)
    return Stream(Watch(services, ask, frozenset(names), seen, with_values).events(), CONTENT_TYPE)


def seen_by(last_event_id: str | None, boot: str, present: int) -> int:
    """Give the generation that a caller has seen: the present one without an id, with a strange id none."""
    if last_event_id is None:
        return present
    life, _, text = last_event_id.rpartition("-")
    known = life == boot and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if known and int(text) <= present else 0


@dataclass(slots=True)
class Watch:
    """One caller's stream."""

    services: Services
    ask: Ask
    names: frozenset[str]  # none: all
    seen: int  # everything up to this generation has been told
    with_values: bool

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Give a chunk for each change, and for each silence; cancelling it disturbs nobody."""
        store = self.services.engine.store
        yield f": watching\nid: {self._position(self.seen)}\n\n".encode()
        while True:
            present = store.generation
            for generation, names in groupby(self._changed(), key=itemgetter(0)):
                if chunk := self._chunk(generation, [name for _, name in names]):
                    yield chunk
            self.seen = present
            if not await _changed_in_time(self.services, present):
                yield _ALIVE

    def _changed(self) -> list[tuple[int, str]]:
        """List what changed and was not told, in the order in which it changed."""
        if self.services.engine.store.generation == self.seen:
            return []
        return sorted(self._changed_of_names() if self.names else self._changed_of_all())

    def _changed_of_names(self) -> Iterator[tuple[int, str]]:
        for name in self.names:
            found = self._find(name)
            if found and found.generation > self.seen and self._is_told(found.entry):
                yield found.generation, name

    def _changed_of_all(self) -> Iterator[tuple[int, str]]:
        """Go through the values, not the names: of 10,000 it takes a millisecond to see that one has changed."""
        seen, engine = self.seen, self.services.engine
        changed = [entry for entry in engine.store if entry.generation > seen]
        names = {name for entry in changed for name in engine.catalogue.names_of(entry.ref)}
        names.update(name for name, generation in engine.catalogue.moved.items() if generation > seen)
        names.update(name for name, gone in engine.trees.gone.items() if gone.entry.generation > seen)
        for name in names:
            if (found := self._find(name)) and self._is_told(found.entry):
                yield found.generation, name

    def _find(self, name: str) -> "_Found | None":
        """Find what a name stands for, and when that last changed; of a deleted parameter what was last known."""
        engine = self.services.engine
        if declared := engine.catalogue.get(name):
            entry = engine.store.get(declared.ref.whole)
            generation = engine.catalogue.moved.get(declared.name, 0)
            return _Found(declared, entry, max(entry.generation, generation)) if entry else None
        gone = engine.trees.gone.get(Name(name))
        return _Found(gone.declared, gone.entry, gone.entry.generation, is_gone=True) if gone else None

    def _is_told(self, entry: Entry) -> bool:
        """Decide whether a change is one for this caller: what is gone is none for those who never knew of it."""
        return entry.held is not None or self.seen > 0

    def _chunk(self, generation: int, names: list[str]) -> bytes:
        """Make the events of one change; what has changed again since is left for the next round.

        The position stands behind the last of them: whoever breaks off in between gets all of them again.
        """
        events = [event for name in names if (event := self._event(generation, name))]
        if not events:
            return b""
        return ("\n".join(events) + f"id: {self._position(generation)}\n\n").encode()

    def _event(self, generation: int, name: str) -> str:
        found = self._find(name)
        if not found or not self.services.permits.access.may_read(self.ask.caller, name):
            return ""
        return f"event: change\ndata: {to_json(self._data(found))}\n" if found.generation == generation else ""

    def _data(self, found: "_Found") -> dict[str, object]:
        target = Target(found.entry, found.declared.ref.field, found.declared)
        data = describe(self.services, target)
        if found.is_gone or not self.with_values:
            return data
        shown = show_now(self.services, self.ask, target)
        if isinstance(shown, Shown):
            record(self.services, self.ask.caller, target.label, None)
            return data | json_value(shown.body)
        record(self.services, self.ask.caller, target.label, shown)
        return data | {"reason": shown.label, "detail": str(shown), "mend": shown.mend}

    def _position(self, generation: int) -> str:
        return f"{self.services.boot}-{generation}"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a name stands for."""

    declared: Declared
    entry: Entry
    generation: int  # at which that last changed
    is_gone: bool = False


async def _changed_in_time(services: Services, generation: int) -> bool:
    try:
        async with asyncio.timeout(SILENCE):
            await services.engine.store.changed_since(generation)
    except TimeoutError:
        return False
    return True
