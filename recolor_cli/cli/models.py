"""`recolor models`: what weights there are, where they are, and whether they are sound."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recolor_cli.cli.console import Console
from recolor_cli.cli.options import JsonOpt, OfflineOpt, QuietOpt, examples, weights_names
from recolor_cli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from recolor_cli.weights.catalog import Finding

app = typer.Typer(no_args_is_help=True, help="Weights: list, fetch, verify, publish, export.")

NameArg = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        autocompletion=weights_names,
        help="A name from `recolor models list`, or default.",
    ),
]
AnyArg = Annotated[
    str,
    typer.Argument(
        metavar="NAME|PATH|hf://…",
        autocompletion=weights_names,
        help="A name, a run folder, a file, or hf://owner/repo/file@rev.",
    ),
]


@app.command("list", epilog=examples("recolor models list", "recolor models list --json"))
def list_weights(json: JsonOpt = False) -> None:
    """All weights that have a name: network, size, licence, where they are, measured figures."""
    from recolor_cli.weights import read_manifest
    from recolor_cli.weights.catalog import look_up_all

    console, manifest = Console(json=json), read_manifest()
    rows = []
    for finding in look_up_all(manifest=manifest):
        entry = finding.entry
        console.record({**finding.to_json(), "default": entry.name == manifest.default})
        rows.append(
            (
                entry.name + (" (default)" if entry.name == manifest.default else ""),
                entry.network,
                f"{entry.parameters / 1e6:.1f} M",
                f"{entry.bytes / 1e6:.0f} MB" if entry.bytes else "?",
                entry.license,
                finding.place,
                _figures(entry.metrics) or "-",
            )
        )
    console.table(
        ("name", "network", "parameters", "size", "licence", "where", "measured here"), rows
    )


@app.command(epilog=examples("recolor models info default", "recolor models info runs/tiny"))
def info(name: AnyArg, json: JsonOpt = False) -> None:
    """Everything that is known about weights: their entry, or what a file says of itself."""
    from recolor_cli.weights.catalog import describe

    console, facts = Console(json=json), describe(name)
    console.record(facts)
    for key, value in facts.items():
        if value not in (None, ""):
            text = json_format.dumps(value) if isinstance(value, dict) else str(value)
            console.data(f"{key + ':':<12} {text}")


@app.command(
    epilog=examples(
        "recolor models pull ddcolor.artistic",
        "recolor models pull ddcolor.artistic --from model.safetensors    (brought along)",
    )
)
def pull(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|hf://…", autocompletion=weights_names, help="What to fetch."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Fetch all weights of the list.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Take a file that you brought, for machines offline."
        ),
    ] = None,
    offline: OfflineOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Fetch weights, verify them, and print where they are."""
    from recolor_cli.weights import find_weights, read_manifest

    if (name is None) != everything:
        raise UsageError("pass the name of weights, or --all")
    if source is not None and name is None:
        raise UsageError("--from brings one file; pass the name of the weights that it is")
    console = Console(quiet=quiet)
    if source is not None and name is not None:
        from recolor_cli.weights.download import store_file

        console.data(str(store_file(read_manifest().require(name), source)))
        return
    for each in read_manifest().entries if name is None else [name]:
        found = find_weights(each, offline=offline, progress=None if quiet else console.message)
        console.data(str(found.path))


@app.command(epilog=examples("recolor models verify    (all that are here)"))
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=weights_names,
            help="By default all that are on this machine.",
        ),
    ] = None,
    json: JsonOpt = False,
) -> None:
    """Hash weights again and compare them with their pins; status 3 if one differs."""
    from recolor_cli.weights.catalog import look_up_all

    console = Console(json=json)
    findings = look_up_all(names, verify=True)
    for finding in findings:
        if finding.path is None and finding.problem is None and not names:
            continue
        console.record(
            {"name": finding.entry.name, "path": _text(finding.path), "state": _state(finding)}
            | ({"problem": finding.problem} if finding.problem else {})
        )
        console.data(f"{finding.entry.name:<24} {finding.problem or _state(finding)}")
    broken = [f.entry.name for f in findings if f.problem]
    absent = [f.entry.name for f in findings if names and _state(f) == "absent"]
    if broken:
        raise WeightsError(
            f"{len(broken)} of {len(findings)} weights are not what they should be: "
            f"{', '.join(broken)}; 'recolor models remove NAME', then 'recolor models pull NAME'"
        )
    if absent:
        raise WeightsError(f"not on this machine: {', '.join(absent)}; 'recolor models pull NAME'")


@app.command(epilog=examples("recolor models path default"))
def path(name: AnyArg, offline: OfflineOpt = False) -> None:
    """Print where the file of weights is; fetch it if it is not here."""
    from recolor_cli.weights import find_weights

    console = Console()
    console.data(str(find_weights(name, offline=offline, progress=console.message).path))


@app.command(epilog=examples("recolor models remove ddcolor.artistic"))
def remove(name: NameArg, quiet: QuietOpt = False) -> None:
    """Remove downloaded weights from the cache."""
    from recolor_cli.weights import read_manifest
    from recolor_cli.weights.catalog import remove as remove_entry

    entry = read_manifest().require(name)
    freed = remove_entry(entry)
    Console(quiet=quiet).message(f"removed '{entry.name}', {freed / 1e6:.0f} MB")


@app.command(
    epilog=examples(
        "recolor models publish runs/tiny --license MIT --export folder/    (uploads nothing)",
        "recolor models publish runs/tiny --license MIT --repo me/my-colours",
    )
)
def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder or weights file.")],
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="OWNER/NAME", help="On the Hugging Face Hub.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="DIR", help="Write the files here; upload nothing."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NETWORK.TAG", help="Of the entry.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Known failures, in one line.")] = "",
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="SPDX", help="Of the weights; a run does not say it."),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            metavar="TEXT",
            help="Which photographs, on what terms; a run says how many.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    quiet: QuietOpt = False,
) -> None:
    """Publish weights: safetensors, config and model card; prints the entry for weights.json."""
    from recolor_cli.weights.publish import publish as publish_run

    console = Console(quiet=quiet)
    result = publish_run(
        run,
        name=name,
        repo_id=repo,
        export=export,
        private=private,
        note=note,
        licence=licence,
        trained_on=trained_on,
        progress=None if quiet else console.message,
    )
    console.data(json_format.dumps({result.name: result.entry}, indent=2, ensure_ascii=False))
    if result.folder:
        console.message(f"written to {result.folder}")
    if result.entry["source"] == "package":
        console.message(
            f"to ship them, copy model.safetensors to recolor_cli/pretrained/{result.entry['file']}"
        )
    if result.entry.get("revision", "") is None:
        console.message("'revision' is the commit of your upload; fill it in")


@app.command("export", epilog=examples("recolor models export default -o recolor.onnx"))
def export_weights(
    name: AnyArg,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The file; by default NAME.onnx.")
    ] = None,
    format: Annotated[Literal["onnx"], typer.Option("--format", help="What to write.")] = "onnx",
    offline: OfflineOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Write weights for other programs: L (batch, 1, height, width) in, ab out, any size.

    The file is compared with torch on photographs of three shapes before it is kept.
    """
    from recolor_cli.weights import load_model
    from recolor_cli.weights.export import export_onnx

    console = Console(quiet=quiet)
    model = load_model(name, offline=offline, progress=None if quiet else console.message)
    target = out or Path(f"{model.name.replace('/', '-')}.{format}")
    result = export_onnx(model, target)
    for photo, height, width in result.compared:
        console.message(f"compared with torch on '{photo}' at {height} x {width}")
    console.message(f"largest difference in a and b: {result.difference:.2g}")
    if "second_size" in model.card.color:
        console.message("the file looks once; recolor colorize looks twice with these weights")
    console.data(str(result.path))


def _figures(metrics: Any) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())


def _state(finding: Finding) -> str:
    if finding.problem:
        return "broken"
    return "ok" if finding.path else "absent"


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
