"""Run a daemon that tells from inside how long its event loop was held, and what it has imported.

On SIGUSR1 it prints one line of JSON. `work` is the most time (milliseconds) that the loop worked between two turns of
a clock that wants one each millisecond; `wall` is the same by the clock on the wall, so it counts as well what the
machine gave to other processes meanwhile.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from sidecar.footprint import small_imports

with small_imports():
    import uvloop

    from sidecar.app import App
    from sidecar.cli.configured import load_config
    from sidecar.core.config.models import Config
    from sidecar.telemetry.logs import set_up_logs

EVERY = 0.001  # seconds; a loop's timers are no finer


class Ticker:
    """Sleeps a millisecond at a time, and remembers the most that happened between two times that it woke."""

    def __init__(self) -> None:
        """Begin with nothing noticed."""
        self._work = self._wall = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.tell)
        work, wall = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(EVERY)
            work, wall, work_before, wall_before = time.thread_time(), time.perf_counter(), work, wall
            self._work = max(self._work, work - work_before)
            self._wall = max(self._wall, wall - wall_before - EVERY)

    def tell(self) -> None:
        """Print what was noticed, and begin anew."""
        packages = sorted({name.partition(".")[0] for name in sys.modules})
        print(json.dumps({"work": self._work * 1000, "wall": self._wall * 1000, "modules": packages}), flush=True)
        self._work = self._wall = 0.0


async def run_beside(app: App, ticker: Ticker) -> None:
    """Run both until the daemon is told to end."""
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(ticker.run())
        await app.run()
        ticking.cancel()


def main(path: Path) -> None:
    """Run the daemon that this file configures."""

    def load() -> Config:
        return load_config((str(path), path.read_text("utf-8")), os.environ)

    config = load()
    set_up_logs(config.log.level, config.log.format, sys.stderr)
    uvloop.run(run_beside(App(config, load=load), Ticker()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
