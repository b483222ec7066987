"""How long anything holds the event loop of a daemon that keeps 10,000 secrets."""

import signal
from typing import Final

from bench.figures import Figure
from bench.running import Daemon, declared, pause, until, world

SECRETS: Final = 10_000
GOAL: Final = 20  # ms
ASKED: Final = ("/readyz", "/healthz", "/metrics", "/v1/values/p1", "/v1/secrets", "/v1/status")
_POLLED: Final = 40  # seconds: some thousand checks, and a sweep, which comes each 30


def measure() -> list[Figure]:
    """Poll, and let people and probes ask everything; the start and a reload are told apart."""
    with world(SECRETS - 1, 1) as here:
        config = here.configure(declared(SECRETS - 1, 1), cache={"refresh": "60s"})
        with here.daemon(config, entry=("-m", "bench.inside")) as daemon:
            until(daemon.ready, within=60)
            start = _hold("start and first fetch", daemon, judged=False)
            pause(_POLLED)
            polling = _hold(f"polling each minute, {_POLLED} s", daemon)
            asked = [_ask(daemon, path) for path in ASKED]
            daemon.process.send_signal(signal.SIGHUP)
            pause(5)
            reload = _hold("a reload", daemon, judged=False)
    return [polling, *asked, start, reload]


def _ask(daemon: Daemon, path: str) -> Figure:
    for _ in range(5):
        assert daemon.ask(path)[0] == 200
    return _hold(f"GET {path}", daemon)


def _hold(what: str, daemon: Daemon, *, judged: bool = True) -> Figure:
    seen = daemon.look_inside()
    measured = f"{seen.work:.1f} ms (wall {seen.wall:.1f} ms)"
    goal, met = (f"<= {GOAL} ms", seen.work <= GOAL) if judged else ("", None)
    return Figure(f"event loop held, {SECRETS:,} secrets: {what}", goal, measured, met)
