"""Keep ledgers in this process: for a fleet that is simulated, and for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core.leases import LASTING, Bid, Lease, Ledger, Pool


@dataclass(slots=True)
class MemoryLeases:
    """A LeaseStore without a network; `now` is its clock, in seconds."""

    now: Callable[[], float]
    lasting: float = LASTING
    _ledgers: dict[Pool, Ledger] = field(default_factory=dict)

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Lease a part of the pool anew."""
        ledger = self._ledgers.get(pool)
        if ledger is None:
            ledger = self._ledgers[pool] = Ledger(self.lasting)
        return ledger.renew(member, bid, self.now())

    async def leave(self, pool: Pool, member: str) -> None:
        """Give back what the member holds."""
        if ledger := self._ledgers.get(pool):
            ledger.leave(member)

    async def close(self) -> None:
        """Keep everything: other daemons of the process still use it."""

    def flush(self) -> None:
        """Forget everything, as a server does that is started anew."""
        self._ledgers.clear()
