"""Make a run's best weights the ones that ship: an fp16 file in the package and one entry.

    python tools/ship_weights.py runs/base --name bins-unet.v7 --note "..." [--default]

Several runs of one network, each begun from the one before, are averaged weight by weight (Wortsman
et al. 2022): what only one of them believes fades.

Older embedded files of the same network are removed with --replace, so that they do not pile up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from recolor_cli.checkpoints import load_weights, save_weights
from recolor_cli.color.bins import rebalancing_weights
from recolor_cli.models import create_model
from recolor_cli.weights import find_weights

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "weights.json"
PRETRAINED = ROOT / "recolor_cli" / "pretrained"
LIMIT_BYTES = 32_000_000  # what a package may carry


def main() -> None:
    """Write the file and its entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="run folders or weights files; their mean ships")
    parser.add_argument("--name", required=True, help="network.tag")
    parser.add_argument(
        "--decode",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="how ab is made of the distribution (temperature=0.2), as measured on validation",
    )
    parser.add_argument("--input-size", type=int, help="long side the network sees by default")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the network, where it has no numbers of its own (calm_cells=4.2)",
    )
    parser.add_argument(
        "--class-weights",
        type=float,
        default=0,
        metavar="S",
        help="add S x log of the class weights of training to the head's bias: livelier colours",
    )
    parser.add_argument("--trained-on", default="", help="the photographs, in words")
    parser.add_argument("--metrics", type=Path, help="what benchmarks/validate.py --json wrote")
    parser.add_argument("--note", default="", help="what a user should know")
    parser.add_argument("--default", action="store_true", help="make it the default")
    parser.add_argument("--replace", metavar="NAME", help="embedded entry that goes")
    options = parser.parse_args()

    models = [load_weights(find_weights(run).path) for run in options.runs]
    model = models[-1]
    average(model.network, [other.network for other in models])
    network = model.network
    arguments = dict(model.card.arguments) | {
        name: json.loads(value) for name, _, value in (pair.partition("=") for pair in options.set)
    }
    if options.set:
        network = create_model(model.card.network, **arguments)
        network.load_state_dict(model.network.state_dict())
    if options.class_weights:
        favour_rare_colors(network, Path(options.runs[-1]).parent, options.class_weights)
    color = dict(model.card.color)
    color |= {name: float(value) for name, _, value in (p.partition("=") for p in options.decode)}
    metrics = dict(model.card.metrics)
    if options.metrics:
        figures = json.loads(options.metrics.read_text())["all"]
        metrics = {key: round(float(value), 4) for key, value in figures.items()}
    card = replace(
        model.card,
        arguments=arguments,
        color=color,
        input_size=options.input_size or model.card.input_size,
        trained_on=options.trained_on or model.card.trained_on,
        metrics=metrics,
        license="MIT",
    )

    path = PRETRAINED / f"{options.name}.safetensors"
    sha256 = save_weights(path, network, card, half=True)
    if path.stat().st_size > LIMIT_BYTES:
        path.unlink()
        raise SystemExit(f"{options.name} is over {LIMIT_BYTES} bytes; it cannot be embedded")

    manifest = json.loads(MANIFEST.read_text())
    if options.replace and options.replace != options.name:
        old = manifest["weights"].pop(options.replace)
        (PRETRAINED / old["file"]).unlink()
    entry = {
        "source": "package",
        "file": path.name,
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "network": card.network,
        "arguments": dict(card.arguments),
        "color": color,
        "input_size": card.input_size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "license": card.license,
        "trained_on": card.trained_on,
        "recipe": card.recipe or "base",
        "metrics": metrics,
        "note": options.note,
    }
    manifest["weights"] = {options.name: entry} | {
        name: other for name, other in manifest["weights"].items() if name != options.name
    }
    if options.default:
        manifest["default"] = options.name
    MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    print(f"{options.name}: {path.stat().st_size} bytes, sha256 {sha256}")


def average(network: nn.Module, networks: Sequence[nn.Module]) -> None:
    """Set all of a network's floating-point numbers, norms' statistics too, to the mean."""
    states = [other.state_dict() for other in networks]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0)
        for name, tensor in states[0].items()
        if tensor.is_floating_point()
    }
    network.load_state_dict({**states[-1], **mean})


@torch.no_grad()
def favour_rare_colors(network: nn.Module, run: Path, strength: float) -> None:
    """Multiply each bin's probability by a power of its class weight in the run's training."""
    frequency = torch.tensor(json.loads((run / "bins.json").read_text())["frequency"])
    uniform = json.loads((run / "recipe.json").read_text())["recipe"]["rebalance_uniform"]
    weights = rebalancing_weights(frequency, uniform)
    head = network.get_submodule("head")
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    head.bias += strength * weights.log()


if __name__ == "__main__":
    main()
