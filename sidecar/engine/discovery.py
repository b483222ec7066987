"""Learn the request rates that the accounts really have, and again each day.

Nothing waits for it: until AWS has told, and where it does not, the defaults stand. Must not decide what a limit is
used for: the guard does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from sidecar.core.errors import Failure, SecretError, Transient
from sidecar.core.ports import Gate
from sidecar.core.quotas import Scope
from sidecar.core.schedule import jittered, spread
from sidecar.telemetry import events

log = structlog.get_logger()

Rates = Mapping[str, float]
"""Requests per second, by quota."""

AskRates = Callable[[str, Gate], Awaitable[tuple[Scope, Rates]]]
"""Ask AWS as an identity; raises Failure."""

DAY: Final = 86_400.0
"""Seconds that an answer is good for: quotas are raised by people."""

FIRST_WITHIN: Final = 60.0
"""Seconds over which the first questions spread: Service Quotas takes ten a second, and a thousand daemons may start
together."""

AGAIN_WITHIN: Final = 600.0
"""Seconds over which the next question spreads, where AWS did not answer."""


@dataclass(slots=True)
class Discovery:
    """What is known of the accounts' quotas. `run` lasts until cancelled."""

    ask: AskRates
    identities: Iterable[str]
    gate: Callable[[], Gate]
    dice: Callable[[], float]
    on_found: Callable[[Mapping[Scope, Rates]], None]
    found: dict[Scope, Rates] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)  # identities of which it was said that AWS tells nothing

    async def run(self) -> None:
        """Ask for each identity, now and each day."""
        await asyncio.sleep(spread(FIRST_WITHIN, self.dice()))
        async with asyncio.TaskGroup() as tasks:
            for identity in self.identities:
                tasks.create_task(self._follow(identity), name="discover")

    async def _follow(self, identity: str) -> None:
        while True:
            pause = await self._learn(identity)
            await asyncio.sleep(pause)

    async def _learn(self, identity: str) -> float:
        """Ask once; give the seconds to the next time."""
        try:
            scope, rates = await self.ask(identity, self.gate())
        except (SecretError, Transient) as failure:
            self._tell(identity, failure)
            return spread(AGAIN_WITHIN, self.dice()) if isinstance(failure, Transient) else self._in_a_day()
        self._said.discard(identity)
        if self.found.get(scope) != rates:
            for known in (scope, Scope(identity, scope.region)):  # requests may still be charged to its stand-in
                self.found[known] = rates
            log.info(events.QUOTAS_DISCOVERED, account=scope.account, region=scope.region, limits=dict(rates))
            self.on_found(self.found)
        return self._in_a_day()

    def _in_a_day(self) -> float:
        return jittered(DAY, self.dice())

    def _tell(self, identity: str, failure: Failure) -> None:
        if identity not in self._said:
            self._said.add(identity)
            mend = (
                "The defaults stand. Grant servicequotas:ListServiceQuotas, or set quotas.limits and discover: false."
            )
            log.warning(events.QUOTAS_UNKNOWN, identity=identity, why=failure.label, error=str(failure), mend=mend)
