"""A run on one page: index.html with curves, samples, best and worst, figures, recipe, commands.

It is made of what lies in the run folder (log.jsonl, validation.json, samples/, panels/), links to
it, and asks for nothing else, so it works from a disk, a web server, or a copy of the folder.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from recolor_cli.evaluate.charts import histogram, lines
from recolor_cli.evaluate.document import document, table
from recolor_cli.evaluate.report import number
from recolor_cli.recipes import Recipe
from recolor_cli.training.plots import PANELS
from recolor_cli.training.run import RunFolder

PAGE, STATUS = "index.html", "status.json"
_HOME = Path(__file__)
FILES = (
    ("recipe.json", "every setting"), ("split.json", "who is in which set, who was left out"),
    ("log.jsonl", "losses and figures, a line each"), ("validation.json", "each photograph"),
    ("curves.png", "the curves as a picture"), ("best/model.safetensors", "the best network"),
    ("last/model.safetensors", "the latest network"), ("samples/", "all panels"),
    ("events/", "for TensorBoard"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        state: "running", "done", "interrupted", or "stopped: why".
        seen: images seen.
        total: images of the whole run.
        train: training photographs.
        written: seconds since 1970.
    """

    state: str
    seen: int
    total: int
    train: int
    written: float


def write_page(run: RunFolder, status: Status) -> None:
    """Write status.json, and index.html from all that the folder holds."""
    run.write(STATUS, json.dumps(dataclasses.asdict(status)) + "\n")
    run.write(PAGE, run_page(run, status))


def refresh_page(folder: Path) -> bool:
    """Write index.html anew after something was added to the folder; whether it is a run's."""
    path = folder / STATUS
    if not path.is_file():
        return False
    run = RunFolder(folder)
    run.write(PAGE, run_page(run, Status(**json.loads(path.read_text(encoding="utf-8")))))
    return True


def run_page(run: RunFolder, status: Status) -> str:
    """The page as text."""
    settings = json.loads(run.file("recipe.json").read_text(encoding="utf-8"))
    entries = run.read_log()
    judged = [entry for entry in entries if "val_ab_error" in entry]
    samples = _samples(run, status)
    running = status.state == "running"
    place = run.path.resolve()
    title = f"{place.name}: {settings['name'] or 'a run'}"
    script = (
        f"const SAMPLES = {_json(samples)}, RUNNING = {_json(running)}, "
        f"WRITTEN = {status.written:.0f};\n{_beside('page.js')}"
    )
    body = [
        _head(place.name, settings, entries, status),
        _cards(judged),
        _commands(run, unfinished=status.state not in ("running", "done")),
        _curves(entries),
        _strip(samples),
        _panels(run),
        _histograms(run),
        _judgements(judged, settings["recipe"]["best_by"], settings["recipe"]["objective"]),
        _recipe(settings),
        _files(run),
        f"<script>{script}</script>",
    ]
    # Without scripts the browser loads the page anew by itself.
    head = "<noscript><meta http-equiv=refresh content=30></noscript>" if running else ""
    return document(title, [part for part in body if part], style=_beside("page.css"), head=head)


def _head(
    name: str, settings: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], status: Status
) -> str:
    state, _, why = status.state.partition(": ")
    share = min(1.0, status.seen / max(status.total, 1))
    rates = [entry["images_per_s"] for entry in entries if "images_per_s" in entry][-20:]
    rate = sum(rates) / len(rates) if rates else 0.0
    seen = min(status.seen, status.total)  # the last batch may reach beyond the end
    facts = [f"{seen:,} of {status.total:,} images ({share:.0%})"]
    if status.train:
        facts.append(f"epoch {status.seen / status.train:.4g}")
    if rate:
        facts.append(f"{rate:.3g} images/s")
    if rate and state == "running":
        facts.append(f"about {_duration((status.total - status.seen) / rate)} left")
    facts.append(f"written {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(status.written))}")
    recipe = settings["recipe"]
    return (
        f"<h1>{escape(name)} <span class='state {escape(state)}'>{escape(state)}</span></h1>"
        f"<p class=soft>Recipe <code>{escape(settings['name'] or '-')}</code>: "
        f"{escape(recipe['title'])}. {status.train:,} training photographs, seed "
        f"{settings['seed']}.</p>"
        + (f"<p><strong>{escape(why)}</strong></p>" if why else "")
        + "<p id=news hidden><b></b> The run may have been killed; <code>recolor train --resume"
        "</code> goes on from its last checkpoint.</p>"
        f"<div class=bar><i style='width:{share:.2%}'></i></div>"
        f"<p class=soft>{escape(' · '.join(facts))}</p>"
    )


def _cards(judged: Sequence[Mapping[str, Any]]) -> str:
    if not judged:
        return "<p class=soft>Not validated yet.</p>"
    latest = judged[-1]
    error, grey = latest["val_ab_error"], latest["val_ab_error_gray"]
    best = min(entry["val_ab_error"] for entry in judged)
    beside = (
        f"{abs(1 - error / grey):.0%} {'below' if error < grey else 'above'} leaving it grey"
        if grey
        else ""
    )
    cards = [
        (number(error), "ab error", beside),
        (number(best), "best ab error", f"grey: {number(grey)}"),
        (number(latest["val_colorfulness"]), "colourfulness",
         f"truth: {number(latest['val_colorfulness_truth'])}"),
    ]  # fmt: skip
    if "val_loss" in latest:
        cards.append((number(latest["val_loss"]), "validation loss", ""))
    return "".join(
        ("<div class=cards>", *(f"<div><b>{escape(value)}</b>{escape(name)}<br><small>"
         f"{escape(note)}</small></div>" for value, name, note in cards), "</div>")
    )  # fmt: skip


def _commands(run: RunFolder, *, unfinished: bool) -> str:
    folder = shlex.quote(str(run.path))
    rows = [
        f"recolor colorize photo.jpg -o out --model {folder}",
        f"recolor eval --model {folder} --out {folder}/evaluation",
    ]
    if unfinished:
        rows.insert(0, f"recolor train --resume {folder}")
    shown = "\n".join(escape(row) for row in rows)
    return f"<h2>What to type</h2><pre>{shown}</pre>"


def _curves(entries: Sequence[Mapping[str, Any]]) -> str:
    charts = []
    speed = ("images a second", ("images_per_s",))
    for title, names in (*PANELS, speed):
        series = {
            name: points
            for name in names
            if (points := [(e["images"], e[name]) for e in entries if name in e])
        }
        if series:
            charts.append(lines(title, series, "images seen"))
    return f"<h2>Curves</h2><div class=charts>{''.join(charts)}</div>" if charts else ""


def _samples(run: RunFolder, status: Status) -> list[tuple[str, str]]:
    """(file, after how many images and epochs) of every panel of samples/, in order."""
    found = []
    for path in sorted(run.file("samples").glob("*.png")):
        if match := re.fullmatch(r"(\d+)\.png", path.name):
            seen = int(match[1])
            epochs = f", epoch {seen / status.train:.3g}" if status.train else ""
            found.append((f"samples/{path.name}", f"{seen:,} images{epochs}"))
    return found


def _strip(samples: Sequence[tuple[str, str]]) -> str:
    if not samples:
        return ""
    file, words = samples[-1]
    last = len(samples) - 1
    return (
        "<h2>Samples over time</h2><p class=soft>The same validation photographs, from the start "
        "to now.</p><div class=time>"
        f"<input type=range min=0 max={last} value={last} aria-label='point in the run'>"
        f"<output>{escape(words)}</output></div>"
        "<div class=strip><span><i>grey</i><i>generated</i><i>truth</i></span><div>"
        f"<img id=sample src='{escape(file)}' alt='grey, generated and true, {escape(words)}'>"
        "</div></div>"
    )


def _panels(run: RunFolder) -> str:
    parts = []
    for name in ("best", "worst"):
        if run.file(f"panels/{name}.png").exists():
            parts.append(
                f"<h2>{name.capitalize()} of the validation set</h2><p class=soft>By ab error, at "
                "the latest validation.</p><div class=strip>"
                "<span><i>grey</i><i>generated</i><i>truth</i></span>"
                f"<div><img src='panels/{name}.png' alt='grey, generated and true'></div></div>"
            )
    return "".join(parts)


def _histograms(run: RunFolder) -> str:
    path = run.file("validation.json")
    if not path.exists():
        return ""
    each = json.loads(path.read_text(encoding="utf-8"))["each"]
    charts = [
        histogram(
            "colourfulness",
            {"generated": each["colorfulness"], "truth": each["colorfulness_truth"]},
            "Hasler and Süsstrunk",
        ),
        histogram(
            "ab error",
            {"generated": each["ab_error"], "left grey": each["ab_error_gray"]},
            "Lab units",
        ),
    ]
    return f"<h2>Each photograph</h2><div class=charts>{''.join(charts)}</div>"


def _judgements(judged: Sequence[Mapping[str, Any]], best_by: str, objective: str) -> str:
    if not judged:
        return ""
    by = "val_ab_error" if objective == "none" else f"val_{best_by}"
    names = [name for name in judged[-1] if name.startswith("val_")]
    best = min(range(len(judged)), key=lambda row: float(judged[row][by]))
    rows = [[f"{e['images']:,}", *(number(e.get(name)) for name in names)] for e in judged]
    heads = ["images", *(name.removeprefix("val_").replace("_", " ") for name in names)]
    return (
        f"<h2>Validation</h2><p class=soft><code>best/</code> is kept by {escape(by)}.</p>"
        f"<div class=scroll>{table(heads, rows, best=best)}</div>"
    )


def _recipe(settings: Mapping[str, Any]) -> str:
    values, plain = settings["recipe"], json.loads(Recipe(epochs=1).to_json())
    rows = [
        (f"<b>{escape(k)}</b>" if v != plain[k] else escape(k), escape(_text(v)))
        for k, v in values.items()
    ]
    cells = "".join(f"<tr><td>{name}<td>{value}" for name, value in rows)
    return (
        f"<h2>Recipe</h2>{_changes(settings)}"
        "<details><summary>All fields; bold is not the default</summary>"
        f"<table>{cells}</table></details>"
    )


def _changes(settings: Mapping[str, Any]) -> str:
    """What was changed where the run was resumed."""
    earlier = settings.get("earlier", [])
    held = [entry["recipe"] for entry in earlier] + [settings["recipe"]]
    items = []
    for entry, before, now in zip(earlier, held, held[1:], strict=False):
        changed = [
            f"{name} {_text(before.get(name, ''))} → {_text(value)}"
            for name, value in now.items()
            if before.get(name) != value
        ]
        words = "; ".join(changed) or "other folders of photographs"
        items.append(f"<li>after {entry['until_images']:,} images: {escape(words)}")
    return (
        f"<p class=soft>Changed when it was resumed:</p><ul>{''.join(items)}</ul>" if items else ""
    )


def _files(run: RunFolder) -> str:
    items = [
        f"<li><a href='{name}'>{name}</a> <small>{words}</small>"
        for name, words in FILES
        if run.file(name).exists()
    ]
    reports = sorted(run.path.glob("*/report.html"))
    items += [
        f"<li><a href='{escape(path.parent.name)}/report.html'>{escape(path.parent.name)}</a> "
        "<small>an evaluation</small>"
        for path in reports
    ]
    return f"<h2>Files</h2><ul>{''.join(items)}</ul>"


def _beside(name: str) -> str:
    return _HOME.with_name(name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that cannot end the script that it stands in."""
    return json.dumps(value).replace("<", "\\u003c")


def _text(value: Any) -> str:
    return value or "-" if isinstance(value, str) else json.dumps(value)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min" if minutes else f"{seconds:.0f} s"
    return f"{hours} h {minutes:02} min"
