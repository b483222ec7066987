import itertools
from contextlib import AsyncExitStack

import pytest

from sidecar.core.ports import LeaseStore
from sidecar.fleet.redis import RedisLeases
from tests.fleet.conformance import LASTING, Hands, LeaseStoreConformance
from tests.fleet.servers import RedisServer

_fleets = (f"fleet{number}" for number in itertools.count())


class TestRedisLeases(LeaseStoreConformance):
    """The store in Redis keeps the port's promises, each daemon with a connection of its own."""

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        self.server, self.fleet = redis, next(_fleets)

    async def client(self, clock: Hands, exits: AsyncExitStack) -> LeaseStore:
        """Connect anew."""
        store = RedisLeases(self.server.url, self.fleet, LASTING, clock=clock)
        exits.push_async_callback(store.close)
        return store

    async def flush(self) -> None:
        """Forget everything, scripts too."""
        self.server.ask("FLUSHALL")
        self.server.ask("SCRIPT", "FLUSH")
