from contextlib import AsyncExitStack

import pytest

from sidecar.core.ports import LeaseStore
from sidecar.fleet.memory import MemoryLeases
from tests.fleet.conformance import LASTING, Hands, LeaseStoreConformance


class TestMemoryLeases(LeaseStoreConformance):
    """The store without a network keeps the port's promises."""

    @pytest.fixture(autouse=True)
    def _nothing_kept(self) -> None:
        self.store: MemoryLeases | None = None

    async def client(self, clock: Hands, exits: AsyncExitStack) -> LeaseStore:
        """Give all daemons the same ledgers."""
        if self.store is None:
            self.store = MemoryLeases(clock, LASTING)
            exits.push_async_callback(self.store.close)
        return self.store

    async def flush(self) -> None:
        """Forget everything."""
        assert self.store is not None
        self.store.flush()
