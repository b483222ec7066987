"""Leave an endpoint alone that does not answer, but for one probe after each pause.

Callers are told at once what is known; one request of the background stands by to probe. Must not send anything:
engine.guard does. When to probe is core.pacing's.
"""

import asyncio
from collections.abc import Callable

import structlog

from sidecar.core.errors import Transient, Unreachable
from sidecar.core.pacing import BACKOFF_BASE, EARLY, Breaker
from sidecar.telemetry import events

log = structlog.get_logger()


class Circuit(Breaker):
    """The way to one endpoint, a service in a region as one identity reaches it, and who waits to probe it."""

    __slots__ = ("_dice", "_failure", "_on_close", "_prober", "_where")

    def __init__(self, where: str, dice: Callable[[], float], on_close: Callable[[], None]) -> None:
        """Take what it is called, a die, and whom to tell when the endpoint answers again."""
        super().__init__()
        self._where = where
        self._dice = dice
        self._on_close = on_close
        self._failure: Transient | None = None
        self._prober: asyncio.Future[None] | None = None

    @property
    def stands_by(self) -> bool:
        """Whether somebody waits to probe."""
        return self._prober is not None

    def answered(self) -> None:
        """Take note that somebody is there; who was held back may go."""
        was_open = self.is_open
        Breaker.answered(self)
        if was_open:
            log.info(events.ENDPOINT_FOUND, endpoint=self._where)
            self._wake()
            self._on_close()

    def silent(self, failure: Transient, now: float, sent_at: float) -> None:
        """Take note that nobody answered."""
        was_open = self.is_open
        self.failed(now, sent_at, self._dice)
        self._failure = failure
        if self.is_open and not was_open:
            log.warning(events.ENDPOINT_LOST, endpoint=self._where, why=failure.label, error=str(failure))
        self._wake()

    def abandoned(self) -> None:
        """Take note that a request ended without saying anything of the endpoint."""
        super().abandoned()
        self._wake()

    def known(self, now: float) -> Unreachable:
        """Give what is known without asking, and when it is worth coming back; not whose request found it out."""
        assert self._failure is not None, "a failure has opened it"
        wait = max(self.until - now, BACKOFF_BASE)
        return Unreachable(f"{self._where} does not answer", mend=self._failure.mend, retry_after=wait)

    async def stand_by(self, deadline: float | None) -> None:
        """Wait until something changes: the pause is over, the endpoint was heard of, or `call_off`."""
        loop = asyncio.get_running_loop()
        prober = self._prober = loop.create_future()
        pause_ends = self.until if self.until - EARLY > loop.time() else None
        try:
            async with asyncio.timeout_at(min((at for at in (pause_ends, deadline) if at is not None), default=None)):
                await prober
        except TimeoutError:
            return
        finally:
            self._prober = None

    def call_off(self) -> None:
        """Let the one that stands by look at its own state again."""
        self._wake()

    def _wake(self) -> None:
        if self._prober and not self._prober.done():
            self._prober.set_result(None)
