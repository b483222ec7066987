"""How many AWS requests one secret costs in an hour, when 100 parameters are polled each minute.

An hour is compressed to a minute: values are polled each second, so each second stands for a minute. What does not
shrink with it, the milliseconds of a request and of the loop's timers, only makes intervals longer, by less than 2 %.
"""

import time
from typing import Final

from bench.figures import Figure
from bench.running import agreed, declared, pause, until, world

PARAMETERS: Final = 100
MINUTES: Final = 60
GOAL: Final = 6.3


def measure() -> list[Figure]:
    """Poll for an hour of seconds."""
    with world(PARAMETERS) as here:
        config = here.configure(declared(PARAMETERS), cache={"refresh": "1s"})
        with here.daemon(config) as daemon:
            until(daemon.ready, within=20)
            pause(5)  # the first phases are spread over an interval
            before, began = here.fake.counts(), time.perf_counter()
            pause(MINUTES)
            after, minutes = here.fake.counts(), time.perf_counter() - began
            fake, told = agreed(here.fake.counts, daemon.requests)
    each = (sum(after.values()) - sum(before.values())) / PARAMETERS / minutes * 60
    return [
        Figure("AWS requests per secret and hour, 100 polled each minute", f"<= {GOAL}", f"{each:.2f}", each <= GOAL),
        Figure("… requests counted: by the fake, by the daemon", "equal", f"{fake}, {told}", fake == told),
    ]
