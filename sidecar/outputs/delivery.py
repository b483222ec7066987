"""Keep one file as its secrets are: wait until changes have settled, make it, write it, tell of it; try again.

Watches levels: what counts is which versions it was made of, and which are held now.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from sidecar.core.files import FileReading, FileState
from sidecar.core.settling import Settling
from sidecar.outputs.contents import Content, Make
from sidecar.outputs.failures import NotYet, Undelivered, Unrendered, Untold, Unwritten
from sidecar.outputs.hooks import Change, Hook
from sidecar.outputs.values import Reading, Used, Values, Versions, differing
from sidecar.outputs.writing import Put
from sidecar.telemetry import FileResult, HookResult, Metrics, events

log = structlog.get_logger()

LOOK: Final = 5.0
"""Seconds after which what is not held yet is looked at again: that AWS refuses it is no change, but worth saying."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all files share."""

    values: Values
    metrics: Metrics
    wall: Callable[[], float]
    dice: Callable[[], float]


class Writing(Protocol):
    """Where a file goes, and what is remembered of it; `writing.Writer` is the real one."""

    async def put(self, content: Content, versions: Versions, *, tells: bool) -> Put:
        """Let it be so, and say whether somebody is to be told, where there is one; raises Unwritten and Unrendered."""
        ...

    async def told(self, versions: Versions) -> None:
        """Remember that whoever is to be told knows of these; raises Unwritten."""
        ...


@dataclass(slots=True)
class Delivery:
    """One file."""

    path: str
    make: Make
    writing: Writing
    hook: Hook | None
    settling: Settling
    around: Around
    _state: FileState = FileState.PENDING
    _trouble: Undelivered | None = None
    _untold: bool = False  # the last try to tell of a change failed
    _written_at: float | None = None
    _seen: Versions = field(default_factory=dict)
    _used: Used = field(default_factory=Used)

    async def run(self) -> None:
        """Keep it so until cancelled; what is being written then is written to its end."""
        while True:
            generation = self.around.values.generation
            self._notice()
            if self._is_due():
                await self._act()
            await self._rest(generation)

    def reading(self) -> FileReading:
        """Say how it stands."""
        trouble = self._trouble
        why, mend = (str(trouble), trouble.mend) if trouble else ("", "")
        return FileReading(self.path, self._state, self._written_at, why, mend)

    # -- when

    def _notice(self) -> None:
        versions = self.around.values.versions(self._used)
        if changed := differing(self._seen, versions):
            self._seen = versions
            self.settling.changed(_now(), *changed)

    def _is_due(self) -> bool:
        if self._state is FileState.PENDING:
            return True
        due = self.settling.due_at
        return due is not None and due <= _now()

    async def _rest(self, generation: int) -> None:
        """Wait for a change, or for what is due."""
        due = _now() + LOOK if self._state is FileState.PENDING else self.settling.due_at
        try:
            async with asyncio.timeout_at(due):
                await self.around.values.changed_since(generation)
        except TimeoutError:
            return

    # -- what

    async def _act(self) -> None:
        self.settling.fired()
        try:
            await self._deliver(*self._made())
        except (NotYet, Unrendered) as failure:
            self._fail(failure)
            self.settling.succeeded()  # to try again helps only when something has changed
        except (Unwritten, Untold) as failure:
            self._fail(failure)
            self.settling.failed(_now(), self.around.dice())
        else:
            self._recover()
            self.settling.succeeded()

    def _made(self) -> tuple[Content, Versions]:
        reading = Reading(self.around.values)
        try:
            content = self.make(reading)
        finally:
            self._used = reading.used
            self._seen = self.around.values.versions(reading.used)
        return content, self._seen

    async def _deliver(self, content: Content, versions: Versions) -> None:
        put = await self.writing.put(content, versions, tells=self.hook is not None)
        self.around.metrics.file_tried(FileResult.WRITTEN if put.written else FileResult.UNCHANGED)
        if put.written:
            self._written_at = self.around.wall()
            log.info(events.FILE_WRITTEN, path=self.path, changed=put.names, told=put.owed)
        if put.owed and self.hook:
            await self._tell(self.hook, put.names)
            await self.writing.told(versions)

    async def _tell(self, hook: Hook, names: tuple[str, ...]) -> None:
        try:
            await hook(Change(self.path, names))
        except Untold:
            self.around.metrics.hook_tried(HookResult.FAILED)
            raise
        self.around.metrics.hook_tried(HookResult.OK)
        log.info(events.HOOK_FIRED, path=self.path, changed=names)

    # -- how it stands

    def _fail(self, failure: Undelivered) -> None:
        """Note what is wrong; it is said once, until it is something else."""
        is_news = str(failure) != str(self._trouble or "")
        failure.__context__ = None
        self._trouble = failure.with_traceback(None)  # its frames would keep plaintext alive
        if isinstance(failure, NotYet):
            return  # the secret itself is told of, where that is wrong
        if isinstance(failure, Untold):
            self._state = FileState.CURRENT
            is_news, self._untold = not self._untold, True
            event = events.HOOK_FAILED
        else:
            self._state = FileState.FAILED
            self.around.metrics.file_tried(FileResult.FAILED)
            event = events.FILE_FAILED
        if is_news:
            log.error(event, path=self.path, why=str(failure), mend=failure.mend)

    def _recover(self) -> None:
        if self._state is FileState.FAILED:
            log.info(events.FILE_RECOVERED, path=self.path)
        if self._untold:
            log.info(events.HOOK_RECOVERED, path=self.path)
        self._state, self._trouble, self._untold = FileState.CURRENT, None, False


def _now() -> float:
    return asyncio.get_running_loop().time()
