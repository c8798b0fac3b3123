"""Every option that two commands share, named once, so that it reads the same everywhere.

Use as an annotation: `def train(device: DeviceOpt = "auto") -> None`. One with an `envvar` means
the same in all commands, and can stand at the top of `recolor.toml`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import typer

T = TypeVar("T")


def typed(ctx: typer.Context, **parameter: T) -> T | None:
    """The value of the one parameter, if it was typed; else None."""
    ((name, value),) = parameter.items()
    return value if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE" else None


def examples(*lines: str) -> str:
    """The end of a command's help: what people type, a line each."""
    return "\n\n".join(("[bold]Examples[/]", *lines))


def weights_names(incomplete: str) -> list[tuple[str, str]]:
    """For shells: the names of weights that begin like this, with what should be known of each."""
    from recolor_cli.weights import read_manifest

    manifest = read_manifest()
    known = {
        "default": manifest.default or "none",
        **{n: e.note for n, e in manifest.entries.items()},
    }
    return [(name, note) for name, note in known.items() if name.startswith(incomplete)]


Precision = Literal["auto", "fp32", "bf16", "fp16"]

SETTINGS, OUTPUT, MACHINE, MESSAGES = "What is made", "Where it goes", "Machine", "Messages"

ModelOpt = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH|hf://…",
        envvar="RECOLOR_MODEL",
        autocompletion=weights_names,
        help="Weights: a name from `recolor models list`, a run folder, a file, or "
        "hf://owner/repo/file@revision.",
        rich_help_panel=SETTINGS,
    ),
]
InputSizeOpt = Annotated[
    int | None,
    typer.Option(
        "--input-size",
        metavar="N",
        help="Long side in pixels that the network sees; by default what the weights name.",
        rich_help_panel=SETTINGS,
    ),
]
DeviceOpt = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="auto|cpu|cuda[:N]|mps",
        envvar="RECOLOR_DEVICE",
        help="Where the network runs; auto takes the fastest that is there.",
        rich_help_panel=MACHINE,
    ),
]
PrecisionOpt = Annotated[
    Precision,
    typer.Option(
        "--precision",
        envvar="RECOLOR_PRECISION",
        help="Number format of the network; auto takes bf16 where it is faster, else fp32.",
        rich_help_panel=MACHINE,
    ),
]
BatchSizeOpt = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        min=1,
        metavar="N",
        envvar="RECOLOR_BATCH_SIZE",
        help="How many photographs go to the network together; by default what the device likes.",
        rich_help_panel=MACHINE,
    ),
]
WorkersOpt = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        envvar="RECOLOR_WORKERS",
        help="Threads that read and write; by default one per processor core.",
        rich_help_panel=MACHINE,
    ),
]
SeedOpt = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Start of all random numbers."),
]
OfflineOpt = Annotated[
    bool,
    typer.Option(
        "--offline",
        envvar="RECOLOR_OFFLINE",
        help="Never use the network; take weights from the package or the cache.",
        rich_help_panel=MACHINE,
    ),
]
DryRunOpt = Annotated[
    bool,
    typer.Option(
        "--dry-run", "-n", help="Say what would happen; do nothing.", rich_help_panel=OUTPUT
    ),
]
OverwriteOpt = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Make everything again and replace files that are already there.",
        rich_help_panel=OUTPUT,
    ),
]
JsonOpt = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Only JSON on stdout, one object a line.",
        rich_help_panel=MESSAGES,
    ),
]
QuietOpt = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        envvar="RECOLOR_QUIET",
        help="Say nothing but what went wrong.",
        rich_help_panel=MESSAGES,
    ),
]
VerboseOpt = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        envvar="RECOLOR_VERBOSE",
        help="Say more: device, precision, threads, notes for each photograph.",
        rich_help_panel=MESSAGES,
    ),
]
