"""Write one file and remember what of: in a thread, to its end, in an order in which a death forgets nothing.

Must not know how content is made, nor tell anybody.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sidecar.outputs.contents import Content
from sidecar.outputs.journal import Remembered, owes, recall, remember
from sidecar.outputs.places import Site
from sidecar.outputs.values import Versions, differing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Put:
    """What writing came to."""

    written: bool
    owed: bool  # somebody is to be told
    names: tuple[str, ...]  # what is of another version than what was told of last


@dataclass(frozen=True, slots=True)
class Writer:
    """Puts one file where it belongs."""

    site: Site

    async def put(self, content: Content, versions: Versions, *, tells: bool) -> Put:
        """Write what differs; cancelled, it ends what it has begun first. Raises Unwritten and Unrendered."""
        return await unbroken(partial(self._put, content, versions, tells=tells))

    async def told(self, versions: Versions) -> None:
        """Remember that nothing is owed any more."""
        await unbroken(partial(self._remember, Remembered(versions)))

    def _put(self, content: Content, versions: Versions, *, tells: bool) -> Put:
        """Write down that somebody is to be told before there is something to tell, lest a death forgets it."""
        name = self.site.place.name
        with self.site.opened() as folder:
            before = recall(folder, name)
            known = before.versions if before else {}
            there = self.site.place.look(folder, content)
            owed = tells and owes(before, was_there=there.anything, same=there.same, versions=versions)
            if owed:
                remember(folder, name, Remembered(known, owed=True))
            if there.same:
                self.site.place.correct(folder, content)
            else:
                self.site.place.put(folder, content)
            if not owed:
                remember(folder, name, Remembered(versions))
        return Put(not there.same, owed, differing(known, versions))

    def _remember(self, remembered: Remembered) -> None:
        with self.site.opened() as folder:
            remember(folder, self.site.place.name, remembered)


async def unbroken(work: Callable[[], T]) -> T:
    """Do work in a thread, to its end even when cancelled: what comes next must not meet it half done."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
