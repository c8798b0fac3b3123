"""Lines and histograms as SVG text, for pages that need no library and no other file.

Colours come from the page's style (`--c1` to `--c4`, `--ink`, `--faint`), so that a chart is right
in light and in dark. Every chart has a title for screen readers and its figures as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 54, 18, 14, 40
BARS = 24
MOST_POINTS = 400  # of one line; more are averaged, no screen shows them
SMOOTHED_FROM = 60  # points; a line of so many is drawn faintly, its moving average over it

Point = tuple[float, float]


def lines(title: str, series: Mapping[str, Sequence[Point]], x_label: str) -> str:
    """One or more lines over a common x.

    Args:
        title: above the chart.
        series: name -> points by rising x; those that are not finite are left out.
        x_label: below the axis.
    """
    cleaned = {name: _thinned(points) for name, points in series.items()}
    everything = [point for points in cleaned.values() for point in points]
    if not everything:
        return ""
    x_ticks = _ticks(min(x for x, _ in everything), max(x for x, _ in everything), 5)
    y_ticks = _ticks(min(y for _, y in everything), max(y for _, y in everything), 4)
    parts = [_frame(x_ticks, y_ticks, x_label)]
    for number, points in enumerate(cleaned.values(), 1):
        placed = [_place(x, y, x_ticks, y_ticks) for x, y in points]
        if len(placed) >= SMOOTHED_FROM:
            parts.append(_path(placed, number, "class=raw"))
            placed = _smoothed(placed)
        parts.append(_path(placed, number, "class=line"))
        if len(placed) < SMOOTHED_FROM:
            parts += [
                f"<circle cx={px:.1f} cy={py:.1f} r=2.5 fill='var(--c{number})'>"
                f"<title>{escape(f'{x:,.0f}: {y:.4g}')}</title></circle>"
                for (px, py), (x, y) in zip(placed, points, strict=True)
            ]
    legend = {name: f"{points[-1][1]:.4g}" for name, points in cleaned.items() if points}
    return _figure(title, "".join(parts), legend)


def histogram(title: str, series: Mapping[str, Sequence[float]], x_label: str = "") -> str:
    """How often each value occurs, for one or more sets over common bars.

    Args:
        title: above the chart.
        series: name -> values; those that are not finite are left out.
        x_label: below the axis.
    """
    cleaned = {n: [v for v in values if math.isfinite(v)] for n, values in series.items()}
    everything = [value for values in cleaned.values() for value in values]
    if not everything:
        return ""
    x_ticks = _ticks(min(everything), max(everything), 5)
    low, high = x_ticks[0], x_ticks[-1]
    counts = {}
    for name, values in cleaned.items():
        bars = [0] * BARS
        for value in values:
            bars[min(BARS - 1, int((value - low) / (high - low) * BARS))] += 1
        counts[name] = bars
    y_ticks = _ticks(0, max(4, *map(max, counts.values())), 4)  # whole numbers
    parts = [_frame(x_ticks, y_ticks, x_label)]
    legend = {}
    for number, (name, bars) in enumerate(counts.items(), 1):
        step = (high - low) / BARS
        corners = [(low, 0.0)]
        for index, count in enumerate(bars):
            corners += [(low + index * step, count), (low + (index + 1) * step, count)]
        placed = [_place(x, y, x_ticks, y_ticks) for x, y in [*corners, (high, 0.0)]]
        shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f"<polygon points='{shape}' class=area style='--c:var(--c{number})'/>")
        mean = sum(cleaned[name]) / len(cleaned[name]) if cleaned[name] else math.nan
        if math.isfinite(mean):
            x, _ = _place(mean, 0, x_ticks, y_ticks)
            parts.append(
                f"<line x1={x:.1f} x2={x:.1f} y1={TOP} y2={HEIGHT - BOTTOM} class=mean "
                f"stroke='var(--c{number})'/>"
            )
        legend[name] = f"mean {mean:.4g}"
    return _figure(title, "".join(parts), legend)


def _figure(title: str, inside: str, legend: Mapping[str, str]) -> str:
    keys = "".join(
        f"<span><i style='background:var(--c{number})'></i>{escape(name)} <b>{escape(text)}</b>"
        "</span>"
        for number, (name, text) in enumerate(legend.items(), 1)
    )
    said = ", ".join(f"{name} {text}" for name, text in legend.items())
    return (
        f"<figure class=chart><figcaption>{escape(title)}</figcaption>"
        f"<div class=legend>{keys}</div>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{escape(f'{title}: {said}')}'>"
        f"{inside}</svg></figure>"
    )


def _frame(x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str) -> str:
    parts = []
    for tick in y_ticks:
        _, y = _place(x_ticks[0], tick, x_ticks, y_ticks)
        parts.append(
            f"<line x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} class=grid />"
            f"<text x={LEFT - 7} y={y + 3.5:.1f} text-anchor=end>{_short(tick)}</text>"
        )
    for tick in x_ticks:
        x, _ = _place(tick, y_ticks[0], x_ticks, y_ticks)
        parts.append(
            f"<text x={x:.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>{_short(tick)}</text>"
        )
    if x_label:
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            f"<text x={middle} y={HEIGHT - 4} text-anchor=middle class=label>{escape(x_label)}"
            "</text>"
        )
    return "".join(parts)


def _path(placed: Sequence[Point], number: int, attributes: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    return f"<polyline points='{points}' {attributes} stroke='var(--c{number})'/>"


def _place(x: float, y: float, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> Point:
    across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
    up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that enclose a range."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    rough = (high - low) / about
    unit = 10 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _short(value: float) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1000:g} k" if abs(value) >= 10_000 else f"{value:g}"


def _thinned(points: Sequence[Point]) -> list[Point]:
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = -(-len(finite) // MOST_POINTS)
    if size <= 1:
        return finite
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _smoothed(placed: Sequence[Point]) -> list[Point]:
    """A moving average over a fifteenth of the line on both sides."""
    reach = max(1, len(placed) // 30)
    averaged = []
    for index, (x, _) in enumerate(placed):
        near = placed[max(0, index - reach) : index + reach + 1]
        averaged.append((x, sum(y for _, y in near) / len(near)))
    return averaged
