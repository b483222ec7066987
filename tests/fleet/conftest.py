import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.servers import RedisServer, running_redis


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """Run one server for all tests of this worker; each test takes a fleet name of its own."""
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        yield server
