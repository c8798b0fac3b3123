"""One HTML page for a report: figures, distributions and panels, everything inside the file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.evaluate.charts import histogram
from recolor_cli.evaluate.document import document
from recolor_cli.evaluate.measure import of_truth
from recolor_cli.evaluate.report import Report, table

Pixels = NDArray[np.uint8]
Panel = tuple[str, list[tuple[str, Pixels, Pixels]]]  # title, (caption, coloured, true)

THUMBNAIL_PX = 200


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
        f"<h1>{escape(title)}</h1>{trial}",
        _figures(report),
        "<h2>Distributions</h2><div class=charts>",
        *(_distribution(report, name) for name in report.metrics if name in report.each),
        "</div>",
        *(_panel(name, pictures) for name, pictures in panels),
        _record(report),
    ]
    return document(title, parts)


def _distribution(report: Report, name: str) -> str:
    """One metric over the pictures, beside the truth's own where it has one."""
    series = {"coloured": report.each[name]}
    if of_truth(name) in report.each:
        series["truth"] = report.each[of_truth(name)]
    return histogram(name, series, report.metrics[name]["unit"])


def _figures(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{escape(value)}</td>"
        f"<td class=n>{escape(interval)}</td><td class=n>{escape(truth)}</td>"
        f"<td>{escape(better)}</td></tr>"
        for name, value, interval, truth, better in table(report)
    )
    # Below the table: a column of sentences would be a word wide on a phone.
    meant = "".join(
        f"<dt>{escape(name)}<dd>{escape(entry['definition'])} "
        f"Input: {escape(entry['preprocessing'])}."
        for name, entry in report.metrics.items()
    )
    return (
        "<div class=wide><table><tr><th>metric<th class=n>value<th class=n>95 % interval"
        f"<th class=n>truth<th>better</tr>{rows}</table></div><dl>{meant}</dl>"
    )


def _panel(title: str, pictures: Sequence[tuple[str, Pixels, Pixels]]) -> str:
    figures = "".join(
        f"<figure><div><img loading=lazy alt='coloured' src='{_data(coloured)}'>"
        f"<img loading=lazy alt='true' src='{_data(true)}'></div>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, coloured, true in pictures
    )
    return (
        f"<h2>{escape(title)}</h2><p><small>left coloured, right true</small></p>"
        f"<div class=panel>{figures}</div>"
    )


def _record(report: Report) -> str:
    rows = {
        "coloured by": _said(report.coloured),
        "protocol": _said({name: value for name, value in report.protocol.items() if value}),
        "pictures": _said(report.data),
        "device": report.device,
        "recolor": report.code,
        "made": f"{report.created}, in {report.seconds:.0f} s",
    }
    cells = "".join(f"<tr><th>{k}<td>{escape(str(v))}</tr>" for k, v in rows.items())
    return f"<h2>How it was measured</h2><table class=record>{cells}</table>"


def _said(values: Mapping[str, object]) -> str:
    """Names and values as text, without those that say nothing."""
    return ", ".join(
        f"{name.replace('_', ' ')} {' '.join(value) if isinstance(value, list) else value}"
        for name, value in values.items()
        if value not in ("", None, [])
    )


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
