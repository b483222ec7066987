"""Work without a daemon: put a household together for as long as one command takes.

Imports all of it, so only commands that may work alone import this.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from prometheus_client import CollectorRegistry

from sidecar.core.config.models import Config
from sidecar.household import Household
from sidecar.telemetry import Metrics


class _Done(Exception):
    """No error: how a TaskGroup is ended."""


def _end() -> NoReturn:
    raise _Done


@asynccontextmanager
async def household(config: Config) -> AsyncIterator[Household]:
    """Give a household that is built, declares nothing and polls nothing yet; it is closed when the block ends.

    What the block starts by the household ends with it. Raises ConfigError where an identity lacks its region.
    """
    house = Household(config, Metrics(CollectorRegistry()))
    try:
        async with asyncio.TaskGroup() as tasks:
            house.build(tasks)
            if house.leasing:
                tasks.create_task(house.leasing.run(), name="leases")
            try:
                yield house
            finally:
                if house.leasing:
                    await house.leasing.leave()
            _end()
    except* _Done:
        pass
    finally:
        await house.close()
