"""A small plot as SVG: lines over two logarithmic axes, with the slope of each, that GitHub shows as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 40, 50
COLORS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e")


@dataclass(frozen=True)
class Line:
    """Points (x, y) with a name."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Return b of the line log y = a + b log x with the least squares; there must be two points or more.

    Example: exponent([1, 10, 100], [3, 30, 300]) == 1, to rounding.
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def log_log(title: str, x_name: str, lines: Sequence[Line]) -> str:
    """Return the SVG. Values must be above 0."""
    return "\n".join([*_drawn(title, x_name, lines), "</svg>", ""])


def _drawn(title: str, x_name: str, lines: Sequence[Line]) -> Iterator[str]:
    across = _Axis([x for line in lines for x in line.x], LEFT, WIDTH - RIGHT)
    up = _Axis([y for line in lines for y in line.y], HEIGHT - BOTTOM, TOP)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    yield "<style>text { font: 12px sans-serif }</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield f'<text x="{LEFT}" y="22" style="font: bold 14px sans-serif">{escape(title)}</text>'
    for value in across.ticks():
        at = across.at(value)
        yield f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#d0d7de"/>'
        yield f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(value)}</text>'
    for value in up.ticks():
        at = up.at(value)
        yield f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>'
    for number, (line, color) in enumerate(zip(lines, COLORS, strict=False)):
        points = [(across.at(x), up.at(y)) for x, y in zip(line.x, line.y, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points)
        told = f"{line.name}: exponent {exponent(line.x, line.y):.2f}" if len(line.x) > 1 else line.name
        yield f'<circle cx="{WIDTH - RIGHT + 20}" cy="{TOP + 20 * number + 6}" r="4" fill="{color}"/>'
        yield f'<text x="{WIDTH - RIGHT + 30}" y="{TOP + 20 * number + 10}">{escape(told)}</text>'


class _Axis:
    """Maps values to pixels, from the power of ten below the least to that above the greatest."""

    def __init__(self, values: Sequence[float], start: float, stop: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(values))))
        self._start, self._scale = start, (stop - start) / (self._high - self._low)

    def at(self, value: float) -> float:
        return self._start + (math.log10(value) - self._low) * self._scale

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _short(value: float) -> str:
    """Return a power of ten as people write it. Example: 1e6 is "1M", 0.1 is "0.1"."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"
