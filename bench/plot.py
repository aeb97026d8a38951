"""Line charts as SVG, side by side: as much as a document of figures needs, and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN, GAP = 360, 240, 56, 60
COLOURS = ("#555555", "#0b6e99", "#d9730d", "#ad1a72", "#0f7b6c", "#6940a5")
DASHES = ("5 4", "", "", "2 3", "8 3", "1 2")


@dataclass(frozen=True)
class Series:
    """A line: its name and its points, x above 0, y from 0 to 1."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One chart."""

    title: str
    series: Sequence[Series]


def svg(panels: Sequence[Panel], x_label: str, y_label: str, columns: int = 2) -> str:
    """The panels on a grid, x by its logarithm, y as a percentage; the legend once, below."""
    rows = -(-len(panels) // columns)
    width = columns * (WIDTH + GAP) + MARGIN
    height = rows * (HEIGHT + MARGIN + GAP) + MARGIN + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, panel in enumerate(panels):
        left = MARGIN + (index % columns) * (WIDTH + GAP)
        top = MARGIN // 2 + (index // columns) * (HEIGHT + MARGIN + GAP)
        parts += _panel(panel, left, top, x_label, y_label if index % columns == 0 else "")
    for index, series in enumerate(panels[0].series):
        at = MARGIN + index * 130
        base = height - 20
        parts.append(_line([(at, base - 4), (at + 28, base - 4)], index))
        parts.append(f'<text x="{at + 34}" y="{base}">{escape(series.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: int, top: int, x_label: str, y_label: str) -> list[str]:
    xs = [x for series in panel.series for x, _ in series.points]
    low, high = math.log(min(xs)), math.log(max(xs))

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (math.log(x) - low) / ((high - low) or 1) * WIDTH, top + (1 - y) * HEIGHT

    parts = [f'<text x="{left}" y="{top - 8}" font-weight="bold">{escape(panel.title)}</text>']
    for tenth in range(0, 11, 2):
        _, y = place(min(xs), tenth / 10)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10}%</text>')
    for value in sorted(set(xs)):
        x, y = place(value, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{value:.0%}</text>')
    for index, series in enumerate(panel.series):
        parts.append(_line([place(x, y) for x, y in series.points], index))
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLOURS[index % len(COLOURS)]}"/>'
            for x, y in (place(*point) for point in series.points)
        ]
    middle = left + WIDTH / 2
    parts.append(f'<text x="{middle}" y="{top + HEIGHT + 34}" text-anchor="middle">{escape(x_label)}</text>')
    if y_label:
        x, y = left - 42, top + HEIGHT / 2
        parts.append(
            f'<text transform="rotate(-90 {x} {y})" x="{x}" y="{y}" text-anchor="middle">{escape(y_label)}</text>'
        )
    return parts


def _line(points: Sequence[tuple[float, float]], index: int) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{DASHES[index % len(DASHES)]}"' if DASHES[index % len(DASHES)] else ""
    colour = COLOURS[index % len(COLOURS)]
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
