"""Curves and bars as SVG that takes its colours from the page around it, light or dark.

A chart is a text to be put into a page; its parts bear classes (axis, grid, s0, s1, …), and no
script is needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 22.0, 14.0, 42.0
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points (x, y) under a name, joined by a line; with `errors` each has a bar of 1.96 to both
    sides."""

    name: str
    points: Sequence[Point]
    errors: Sequence[float] = ()
    marks: bool = True


def lines(
    series: Sequence[Series],
    x: str,
    y: str,
    log: bool = False,
    level: float | None = None,
) -> Markup:
    """Curves with a legend; `log` draws heights by their logarithm, `level` is a dashed line."""
    kept = [
        (number, one, [(a, b) for a, b in one.points if math.isfinite(b) and (b > 0 or not log)])
        for number, one in enumerate(series)
    ]
    across = [a for _, _, points in kept for a, _ in points]
    tall = [b for _, _, points in kept for _, b in points]
    for _, one, points in kept:
        tall += [
            b + s * 1.96 * e for (_, b), e in zip(points, one.errors, strict=False) for s in (-1, 1)
        ]
    tall += [] if level is None else [level]
    frame = Frame.of(across, tall, log)
    parts = [frame.axes(x, y)]
    if level is not None:
        parts.append(_line("level", (LEFT, frame.y(level)), (WIDTH - RIGHT, frame.y(level))))
    for number, one, points in kept:
        placed = [(frame.x(a), frame.y(b)) for a, b in points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
        parts.append(f'<polyline class="s{number} curve" points="{path}"/>')
        for (a, b), error in zip(points, one.errors, strict=False):
            ends = ((frame.x(a), frame.y(b + s * 1.96 * error)) for s in (-1, 1))
            parts.append(_line(f"s{number}", *ends))
        if one.marks:
            dots = (
                f'<circle class="s{number}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in placed
            )
            parts += dots
    return _svg(parts, f"{y} over {x}")


def bars(values: Sequence[tuple[str, float]], x: str, y: str) -> Markup:
    """A bar for each name."""
    frame = Frame.of([0.0, float(len(values))], [0.0, *(value for _, value in values)], False)
    parts = [frame.axes(x, y, names=[name for name, _ in values])]
    for place, (name, value) in enumerate(values):
        left, right, top, base = (
            *(frame.x(place + share) for share in (0.12, 0.88)),
            *(frame.y(end) for end in (max(value, 0.0), min(value, 0.0))),
        )
        parts.append(
            f'<rect class="s0" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{max(base - top, 0.5):.1f}" rx="2"><title>{escape(name)}: {value:.4f}</title>'
            "</rect>"
        )
    return _svg(parts, f"{y} by {x}")


@dataclass(frozen=True)
class Frame:
    """What turns numbers into places on the picture."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float
    log: bool

    @classmethod
    def of(cls, x: Sequence[float], y: Sequence[float], log: bool) -> "Frame":
        """A frame around points, a little higher than they are."""
        heights = [math.log10(b) for b in y if b > 0.0] if log else list(y)
        low, high = min(heights, default=0.0), max(heights, default=1.0)
        room = 0.06 * (high - low) or 0.5
        low = low if low == 0.0 and not log else low - room
        return cls(min(x, default=0.0), max(x, default=1.0), low, high + room, log)

    def x(self, value: float) -> float:
        """From the left."""
        share = (value - self.low_x) / ((self.high_x - self.low_x) or 1.0)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """From the top."""
        value = math.log10(max(value, 1e-300)) if self.log else value
        share = (value - self.low_y) / ((self.high_y - self.low_y) or 1.0)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x: str, y: str, names: Sequence[str] | None = None) -> str:
        """Ticks, grid and what the axes mean."""
        parts = []
        for value in _log_ticks(self) if self.log else _ticks(self.low_y, self.high_y):
            height = self.y(value)
            parts.append(_line("grid", (LEFT, height), (WIDTH - RIGHT, height)))
            parts.append(_text(LEFT - 6, height + 4, f"{value:.4g}", "end"))
        if names is None:
            for value in _ticks(self.low_x, self.high_x):
                parts.append(_text(self.x(value), HEIGHT - BOTTOM + 16, f"{value:,.4g}", "middle"))
        else:
            for place, name in enumerate(names):
                parts.append(_text(self.x(place + 0.5), HEIGHT - BOTTOM + 16, name, "middle"))
        parts.append(_line("axis", (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)))
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x, "middle", "label"))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turned = f'transform="rotate(-90 12 {middle})"'
        parts.append(_text(12.0, middle, y, "middle", "label", turned))
        return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, about five of them."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(unit * k for k in (1, 2, 5, 10) if span / (unit * k) <= TICKS)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(frame: Frame) -> list[float]:
    found = [
        k * 10.0**power
        for power in range(math.floor(frame.low_y), math.ceil(frame.high_y) + 1)
        for k in (1, 2, 5)
    ]
    kept = [value for value in found if frame.low_y <= math.log10(value) <= frame.high_y]
    return kept if len(kept) > 2 else _ticks(10.0**frame.low_y, 10.0**frame.high_y)


def _line(kind: str, start: Point, end: Point) -> str:
    (a, b), (c, d) = start, end
    return f'<line class="{kind}" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>'


def _text(x: float, y: float, said: str, anchor: str, kind: str = "tick", more: str = "") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>'
        f"{escape(said)}</text>"
    )


def _svg(parts: Sequence[str], said: str) -> Markup:
    inside = "".join(parts)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{escape(said)}">{inside}</svg>'
    )
