"""Draw panels as an SVG that looks like what Grafana shows: by hand, as no plotting library is wanted for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

from bench.dashboard.panels import Panel
from bench.dashboard.prometheus import STEP, Series

COLUMN, ROW, GAP, FOOT = 54, 27, 8, 26  # pixels
COLOURS: Final = ("#3274d9", "#56a64b", "#e0752d", "#e02f44", "#8f3bb8", "#c4a000", "#17a2b8", "#7a5c3e", "#777777")
MOST_NAMED: Final = 6
"""Series in a legend; more are drawn without a name."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One series with its name."""

    name: str
    series: Series


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, in seconds since 1970, and the letter by which it is found."""

    at: float
    letter: str
    what: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a panel's curves lie on the page, and the span of time and value."""

    left: float
    top: float
    width: float
    height: float
    begin: float
    end: float
    most: float

    def x(self, at: float) -> float:
        """Give where a moment stands."""
        return self.left + self.width * (at - self.begin) / (self.end - self.begin)

    def y(self, value: float) -> float:
        """Give where a value stands."""
        return self.top + self.height * (1 - min(value, self.most) / self.most)


def draw(filled: Sequence[tuple[Panel, Sequence[Curve]]], moments: Sequence[Moment], begin: float, end: float) -> str:
    """Give the SVG."""
    width = 24 * COLUMN + GAP
    height = max(panel.top + panel.height for panel, _ in filled) * ROW + GAP + FOOT * (1 + ceil(len(moments) / 4))
    parts = [part for panel, curves in filled for part in _panel(panel, curves, moments, begin, end)]
    parts += _told(moments, height)
    font = "font-family='system-ui, sans-serif' font-size='11' fill='#333'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' {font}>\n"
        f"<rect width='{width}' height='{height}' fill='#f4f5f5'/>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _told(moments: Sequence[Moment], height: float) -> Iterator[str]:
    for number, moment in enumerate(moments):
        x = GAP + (number % 4) * 6 * COLUMN
        y = height - FOOT * ceil(len(moments) / 4) + (number // 4) * FOOT
        yield _text(x, y + 4, f"{moment.letter}  {moment.what}")


def _panel(panel: Panel, curves: Sequence[Curve], moments: Sequence[Moment], begin: float, end: float) -> Iterator[str]:
    left, top = panel.left * COLUMN + GAP, panel.top * ROW + GAP
    width, height = panel.width * COLUMN - GAP, panel.height * ROW - GAP
    yield f"<rect x='{left}' y='{top}' width='{width}' height='{height}' rx='2' fill='white' stroke='#dcdde0'/>"
    yield _text(left + 8, top + 17, panel.title, weight="600")
    most = _ceiling(max((value for curve in curves for value in curve.series.points.values()), default=0.0))
    if panel.is_number:
        frame = Frame(left + 1, top + height * 0.55, width - 2, height * 0.45, begin, end, most)
        yield from _number(panel, curves, frame, top)
    else:
        frame = Frame(left + 58, top + 28, width - 72, height - 66, begin, end, most)
        yield from _graph(panel, curves, moments, frame)


def _number(panel: Panel, curves: Sequence[Curve], frame: Frame, top: float) -> Iterator[str]:
    points = curves[0].series.points if curves else {}
    shown = spell(points[max(points)], panel.unit) if points else "No data"
    middle = frame.left + frame.width / 2
    yield f"<g font-size='26' fill='{COLOURS[1]}'>{_text(middle, top + 50, shown, 'middle')}</g>"
    yield from (_line(points, frame, COLOURS[1], width=1),)


def _graph(panel: Panel, curves: Sequence[Curve], moments: Sequence[Moment], frame: Frame) -> Iterator[str]:
    bottom = frame.top + frame.height
    for part in (0, 0.5, 1):
        y = frame.y(part * frame.most)
        yield f"<line x1='{frame.left}' x2='{frame.left + frame.width}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ececec'/>"
        yield _text(frame.left - 6, y + 4, spell(part * frame.most, panel.unit), "end")
    for moment in moments:
        x = frame.x(moment.at)
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{frame.top}' y2='{bottom}' stroke='#bbb' stroke-dasharray='2 3'/>"
        yield f"<g fill='#888' font-size='9'>{_text(x, bottom + 10, moment.letter, 'middle')}</g>"
    if not curves:
        yield _text(frame.left + frame.width / 2, frame.top + frame.height / 2, "No data", "middle")
    for number, curve in enumerate(curves):
        yield _line(curve.series.points, frame, COLOURS[number % len(COLOURS)])
    yield from _legend(curves, frame)


def _legend(curves: Sequence[Curve], frame: Frame) -> Iterator[str]:
    x, y = frame.left, frame.top + frame.height + 26
    for number, curve in enumerate(curves[:MOST_NAMED]):
        if not curve.name or x > frame.left + frame.width - 40:
            continue
        yield f"<rect x='{x:.0f}' y='{y - 6:.0f}' width='10' height='3' fill='{COLOURS[number % len(COLOURS)]}'/>"
        yield f"<g font-size='10'>{_text(x + 14, y, curve.name)}</g>"
        x += 26 + 5.4 * len(curve.name)


def _line(points: Mapping[float, float], frame: Frame, colour: str, width: float = 1.3) -> str:
    """Draw a curve, with gaps where Prometheus has none."""
    path, before = "", None
    for at, value in sorted(points.items()):
        move = "M" if before is None or at - before > 1.5 * STEP else "L"
        path += f"{move}{frame.x(at):.0f} {frame.y(value):.1f}"
        before = at
    return f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='{width}'/>"


def _text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' text-anchor='{anchor}' font-weight='{weight}'>{escape(words)}</text>"


def _ceiling(value: float) -> float:
    """Give a round number that is at least as large."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** floor(log10(value))
    return float(next(step * scale for step in (1, 2, 4, 5, 10) if step * scale >= value * 0.999))


_SCALES: Final[Mapping[str, Sequence[tuple[float, float, str]]]] = {
    "s": ((60, 60, " min"), (1, 1, " s"), (1e-3, 1e-3, " ms"), (0, 1e-6, " µs")),
    "bytes": ((2**20, 2**20, " MiB"), (0, 1, " B")),
    "percentunit": ((0, 0.01, " %"),),
    "reqps": ((0, 1, "/s"),),
    "ops": ((0, 1, "/s"),),
    "currencyUSD": ((0, 1, " $"),),
    "none": ((0, 1, ""),),
}
"""For each unit: from which value on it is divided by what, and called how."""


def spell(value: float, unit: str) -> str:
    """Write a value with its unit."""
    if not value:
        return "0"
    divisor, name = next((divisor, name) for least, divisor, name in _SCALES[unit] if value >= least)
    return f"{value / divisor:.3g}{name}"
