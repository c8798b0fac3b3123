"""One HTML page for a report: figures, distributions and panels, everything inside the file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.evaluate.report import Report, number, table

Pixels = NDArray[np.uint8]
Panel = tuple[str, list[tuple[str, Pixels, Pixels]]]  # title, (caption, coloured, true)

THUMBNAIL_PX = 200
BARS = 30
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse } td, th { padding: .25rem .8rem; text-align: left;
  border-bottom: 1px solid #ddd; vertical-align: top } td.n { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap }
td:first-child { white-space: nowrap }
.panel { display: flex; flex-wrap: wrap; gap: .8rem } figure { margin: 0; width: 13.2rem }
figure div { display: flex; gap: .2rem }
figure img { width: 6.5rem; height: 6.5rem; object-fit: contain; background: #eee }
figcaption { font-size: 12px; overflow-wrap: anywhere } small { color: #666 }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } svg { background: #f6f6f6 }
"""


def page(report: Report, panels: Sequence[Panel]) -> str:
    """The whole page as text."""
    title = f"{report.coloured['name']} on {report.protocol['name']}, n = {report.n}"
    trial = (
        f"<p><strong>A trial on {report.limit} pictures: not comparable with figures of the whole "
        "protocol.</strong></p>"
        if report.limit is not None and report.protocol["count"]
        else ""
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>{trial}",
        _figures(report),
        "<h2>Distributions</h2><div class=plots>",
        *(_histogram(name, values) for name, values in report.each.items()),
        "</div>",
        *(_panel(name, pictures) for name, pictures in panels),
        _record(report),
    ]
    return "\n".join(parts) + "\n"


def _figures(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{escape(value)}</td>"
        f"<td class=n>{escape(interval)}</td><td class=n>{escape(truth)}</td>"
        f"<td>{escape(better)}</td><td><small>{escape(report.metrics[name]['definition'])} "
        f"Input: {escape(report.metrics[name]['preprocessing'])}.</small></td></tr>"
        for name, value, interval, truth, better in table(report)
    )
    return (
        "<table><tr><th>metric<th>value<th>95 % interval<th>truth<th>better<th>definition</tr>"
        f"{rows}</table>"
    )


def _histogram(name: str, values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    counts, _ = np.histogram(values, BARS, (low, high if high > low else low + 1))
    width, height = 300, 90
    bars = "".join(
        f"<rect x='{i * width / BARS:.1f}' y='{height - height * count / counts.max():.1f}' "
        f"width='{width / BARS - 1:.1f}' height='{height * count / counts.max():.1f}' fill='#48c'/>"
        for i, count in enumerate(counts)
    )
    return (
        f"<figure style='width:{width}px'><svg width={width} height={height} role=img "
        f"aria-label='distribution of {escape(name)}'>{bars}</svg>"
        f"<figcaption>{escape(name)}: {number(low)} .. {number(high)}</figcaption></figure>"
    )


def _panel(title: str, pictures: Sequence[tuple[str, Pixels, Pixels]]) -> str:
    figures = "".join(
        f"<figure><div><img alt='coloured' src='{_data(coloured)}'>"
        f"<img alt='true' src='{_data(true)}'></div><figcaption>{escape(caption)}</figcaption>"
        "</figure>"
        for caption, coloured, true in pictures
    )
    return (
        f"<h2>{escape(title)}</h2><p><small>left coloured, right true</small></p>"
        f"<div class=panel>{figures}</div>"
    )


def _record(report: Report) -> str:
    rows = {
        "coloured by": ", ".join(f"{k} {v}" for k, v in report.coloured.items() if v != ""),
        "protocol": ", ".join(f"{k} {v}" for k, v in report.protocol.items() if v),
        "pictures": ", ".join(f"{k} {v}" for k, v in report.data.items()),
        "device": report.device,
        "recolor": report.code,
        "made": f"{report.created}, in {report.seconds:.0f} s",
    }
    cells = "".join(f"<tr><th>{k}<td>{escape(str(v))}</tr>" for k, v in rows.items())
    return f"<h2>How it was measured</h2><table>{cells}</table>"


def _data(pixels: Pixels) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(pixels)).decode()}"


def jpeg(pixels: Pixels, side: int = THUMBNAIL_PX, quality: int = 88) -> bytes:
    """A small copy for looking at, never for measuring."""
    scale = min(1.0, side / max(pixels.shape[:2]))
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
