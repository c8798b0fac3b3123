"""`recolor compare`: one photograph in several ways, on a labelled contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recolor_cli.cli.console import Console, printable
from recolor_cli.cli.options import (
    OUTPUT,
    SETTINGS,
    DeviceOpt,
    InputSizeOpt,
    JsonOpt,
    ModelOpt,
    OfflineOpt,
    PrecisionOpt,
    QuietOpt,
)
from recolor_cli.errors import UsageError
from recolor_cli.ranges import parse_list

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor compare grandmother.jpg --sizes 256,384,512",
        "recolor compare grandmother.jpg --models default,ddcolor.artistic -o sheet.jpg",
        "recolor compare grandmother.jpg --saturations 0.6,0.8,1,1.2,1.4",
    )
)

VARIED = "What is varied (one of them)"


def compare(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="One photograph.")],
    models: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Weights, as for --model.", rich_help_panel=VARIED),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…", help="Long sides that the network sees.", rich_help_panel=VARIED
        ),
    ] = None,
    saturations: Annotated[
        str | None,
        typer.Option(metavar="X,X,…", help="Factors on colourfulness.", rich_help_panel=VARIED),
    ] = None,
    warmths: Annotated[
        str | None,
        typer.Option(metavar="W,W,…", help="As many warmths, in mireds.", rich_help_panel=VARIED),
    ] = None,
    temperatures: Annotated[
        str | None,
        typer.Option(metavar="T,T,…", help="Low is vivid, 1 calm.", rich_help_panel=VARIED),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--output",
            "-o",
            help="The sheet, a jpeg; by default PHOTO-sizes.jpg and the like, here.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a file that is no sheet. Sheets are replaced anyway.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    model: ModelOpt = "default",
    input_size: InputSizeOpt = None,
    saturation: Annotated[
        float,
        typer.Option(help="Factor on colourfulness.", rich_help_panel=SETTINGS),
    ] = 1.0,
    warmth: Annotated[
        float,
        typer.Option(
            metavar="-80..80",
            help="Make the light warmer, by so many mireds.",
            rich_help_panel=SETTINGS,
        ),
    ] = 0.0,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="T", help="Low is vivid, 1 calm.", rich_help_panel=SETTINGS),
    ] = None,
    device: DeviceOpt = "auto",
    precision: PrecisionOpt = "auto",
    offline: OfflineOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Colour one photograph in several ways, side by side with labels.

    Exactly one thing is varied; the first picture is the photograph as it was.
    """
    asked = {
        "models": models,
        "sizes": sizes,
        "saturations": saturations,
        "warmths": warmths,
        "temperatures": temperatures,
    }
    axis, values = _axis({name: text for name, text in asked.items() if text is not None})
    from recolor_cli.colorize.settings import Settings

    settings = Settings(
        model=model,
        input_size=input_size,
        saturation=saturation,
        warmth=warmth,
        temperature=temperature,
        device=device,
        precision=precision,
        offline=offline,
    )
    place = out or Path(f"{photo.stem}-{axis}.jpg")
    console = Console(json=json, quiet=quiet)
    from recolor_cli.gallery.sheet import check_place, make_sheet, write_sheet

    check_place(place, photo, overwrite=overwrite)
    with console.progress(len(values), "pictures") as progress:
        sheet = make_sheet(
            photo, axis, values, settings, report=console.message, advance=progress.advance
        )
    write_sheet(place, sheet)
    console.data(printable(place))
    console.record({"event": "sheet", "output": str(place), "labels": list(sheet.labels)})


def _axis(asked: dict[str, str]) -> tuple[str, list[Any]]:
    """The one thing that is varied, and its values.

    Raises:
        UsageError: None or several were asked for, or a value is none.
    """
    options = "--models, --sizes, --saturations, --warmths or --temperatures"
    if len(asked) != 1:
        got = " and ".join(f"--{name}" for name in asked) or "nothing"
        raise UsageError(f"a sheet varies one thing, got {got}; use one of {options}")
    ((name, text),) = asked.items()
    if name == "models":
        return name, [part for part in map(str.strip, text.split(",")) if part]
    return name, parse_list(name, text)
