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


def monotonic_usec() -> int:
    """Give microseconds of CLOCK_MONOTONIC, for others to compare with theirs: systemd measures a reload by it."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
