"""How often AWS is asked when 1,000 callers at once want one value that nobody holds yet."""

import asyncio
import resource
from pathlib import Path
from typing import Final

import aiohttp

from bench.figures import Figure
from bench.running import declared, until, world

CALLERS: Final = 1000
COLD: Final = "/p/1"
_FILES: Final = 4 * CALLERS  # each caller takes a descriptor here, and one in the daemon
_MEANWHILE: Final = 1.0  # seconds that the fake takes, so that all have come before it answers


def measure() -> list[Figure]:
    """Let all of them ask before the answer can be there."""
    _allow_files()
    with world(2) as here, here.daemon(here.configure(declared(1))) as daemon:
        until(daemon.ready, within=20)
        here.fake.fault("slow", service="ssm", seconds=_MEANWHILE)
        answers = asyncio.run(_ask_at_once(daemon.socket))
        fetches = sum(COLD in request.names for request in here.fake.requests())
    same = len(set(answers)) == 1 and answers[0][0] == 200
    measured = f"{fetches} for {len(answers)} answers{'' if same else ', not all alike'}"
    return [Figure("fetches for one cold secret that 1,000 callers want", "1", measured, fetches == 1 and same)]


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


async def _ask_at_once(path: Path) -> list[tuple[int, str]]:
    connector = aiohttp.UnixConnector(str(path), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> tuple[int, str]:
            async with session.get("http://sidecar/v1/resolve", params={"ref": f"ssm:{COLD}"}) as answer:
                return answer.status, (await answer.json())["value"]

        return await asyncio.gather(*(ask() for _ in range(CALLERS)))
