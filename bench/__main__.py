"""Measure every figure, or those that are named, and end with 1 when a goal is missed: `python -m bench [NAME ...]`."""

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from bench import crowd, decryptions, envelopes, hold, limiter, memory, polling, start, throughput, verification
from bench.figures import Figure, table

FIGURES: Final[dict[str, Callable[[], list[Figure]]]] = {
    "start": start.measure,
    "memory": memory.measure,
    "crowd": crowd.measure,
    "decryptions": decryptions.measure,
    "polling": polling.measure,
    "hold": hold.measure,
    "limiter": limiter.measure,
    "throughput": throughput.measure,
    "verification": verification.measure,
    "envelopes": envelopes.measure,
}


def main(names: Sequence[str]) -> int:
    """Measure, print, and give the exit code."""
    if unknown := set(names) - FIGURES.keys():
        print(f"bench: there is no {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    figures = [figure for name in names or FIGURES for figure in _measure(name)]
    print(table(figures))
    return int(any(figure.met is False for figure in figures))


def _measure(name: str) -> list[Figure]:
    began = time.perf_counter()
    try:
        figures = FIGURES[name]()
    except Exception:  # noqa: BLE001 -- the other figures are worth having all the same
        traceback.print_exc()
        figures = [Figure(name, "", "failed, see above", met=False)]
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
