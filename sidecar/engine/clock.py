"""Read the machine's clocks: the only place that does. Waiting is the event loop's own matter."""

import time
from typing import Final

_TRUST: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: monotonic stands still in sleep


class SystemClock:
    """The two clocks of core.ports.Clock, as the system has them."""

    def trust(self) -> float:
        """Give seconds that go on during suspend, where the system counts them (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(_TRUST)

    def wall(self) -> float:
        """Give seconds since the epoch."""
        return time.clock_gettime(time.CLOCK_REALTIME)
