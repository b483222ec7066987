"""Draw outcomes as an SVG: a panel for each figure, a line for each strategy, over the number of daemons.

By hand, since a plotting library would weigh more than all that the daemon needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final
from xml.sax.saxutils import escape

from bench.stampede.stampede import Outcome
from bench.stampede.strategies import Strategy
from bench.stampede.table import Row

WIDTH, HEIGHT, TOP = 880, 630, 64  # pixels; below the legend come two rows of two panels
PANEL_WIDTH, PANEL_HEIGHT, GAP_LEFT, GAP_TOP = 372, 222, 56, 44


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure and its scale."""

    title: str
    figure: Callable[[Outcome], float]
    ticks: Sequence[float]
    unit: str = ""
    is_log: bool = False

    def height(self, value: float) -> float:
        """Give where a value stands between the lowest tick (0) and the highest (1)."""
        low, high = self.ticks[0], self.ticks[-1]
        value = min(max(value, low), high)
        return log(value / low) / log(high / low) if self.is_log else (value - low) / (high - low)


PANELS: Final = (
    Panel("time until all is fetched ÷ ideal", lambda outcome: outcome.ratio, (0.5, 1, 2, 4, 8, 16, 32), is_log=True),
    Panel("calls throttled", lambda outcome: 100 * outcome.ours.share, (0, 20, 40, 60, 80), " %"),
    Panel(
        "fetches that ended in an error",
        lambda outcome: 100 * outcome.failed / outcome.scenario.fetches,
        (0, 10, 20, 30, 40),
        " %",
    ),
    Panel("strangers' calls hurt", lambda outcome: 100 * outcome.strangers.share, (0, 20, 40, 60, 80), " %"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one panel stands on the page, and what its axes mean."""

    panel: Panel
    left: float
    top: float
    daemons: Sequence[int]

    def x(self, daemons: int) -> float:
        """Give where a number of daemons stands: even steps, as they are powers of ten."""
        return self.left + PANEL_WIDTH * (self.daemons.index(daemons) + 0.5) / len(self.daemons)

    def y(self, value: float) -> float:
        """Give where a value stands."""
        return self.top + PANEL_HEIGHT * (1 - self.panel.height(value))


def plot(rows: Sequence[Row]) -> str:
    """Give the SVG."""
    daemons = list(dict.fromkeys(outcome.scenario.daemons for _, outcome in rows))
    strategies = list(dict.fromkeys(strategy for strategy, _ in rows))
    parts = [_legend(strategies)]
    for number, panel in enumerate(PANELS):
        left = GAP_LEFT + (number % 2) * (PANEL_WIDTH + GAP_LEFT)
        top = TOP + GAP_TOP / 2 + (number // 2) * (PANEL_HEIGHT + GAP_TOP + 24)
        frame = Frame(panel, left, top, daemons)
        parts += [_axes(frame), *(_curve(frame, each, rows) for each in strategies)]
    return _page("\n".join(parts))


def _page(body: str) -> str:
    font = "font-family='system-ui, sans-serif' font-size='12' fill='#333'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' {font}>\n"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n{body}\n</svg>\n"
    )


def _text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}'>{escape(words)}</text>"


def _legend(strategies: Sequence[Strategy]) -> str:
    step = (WIDTH - GAP_LEFT) / len(strategies)
    parts = []
    for number, strategy in enumerate(strategies):
        x = GAP_LEFT + number * step
        parts.append(f"<circle cx='{x + 5:.1f}' cy='28' r='5' fill='{strategy.colour}'/>")
        parts.append(_text(x + 16, 32, strategy.name))
    return "\n".join(parts)


def _axes(frame: Frame) -> str:
    panel, right = frame.panel, frame.left + PANEL_WIDTH
    parts = [_text(frame.left, frame.top - 12, panel.title, weight="bold")]
    for tick in panel.ticks:
        y = frame.y(tick)
        parts.append(f"<line x1='{frame.left}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='#e4e4e4'/>")
        parts.append(_text(frame.left - 8, y + 4, f"{tick:g}{panel.unit}", "end"))
    bottom = frame.top + PANEL_HEIGHT + 20
    for number in frame.daemons:
        unit = " daemons" if number == frame.daemons[-1] else ""
        parts.append(_text(frame.x(number), bottom, f"{number:,}{unit}", "middle"))
    return "\n".join(parts)


def _curve(frame: Frame, strategy: Strategy, rows: Sequence[Row]) -> str:
    points = [
        (frame.x(outcome.scenario.daemons), frame.y(frame.panel.figure(outcome)))
        for each, outcome in rows
        if each is strategy
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4'/>" for x, y in points)
    line = f"<polyline points='{path}' fill='none' stroke='{strategy.colour}' stroke-width='2'/>"
    return f"<g fill='{strategy.colour}'>{line}{dots}</g>"
