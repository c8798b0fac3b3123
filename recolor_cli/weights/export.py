"""ONNX: L in, ab out, any height and width; held to torch on photographs before it is kept."""

from __future__ import annotations

import importlib.util
import logging
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recolor_cli.checkpoints import ColorModel
from recolor_cli.color.bins import decode
from recolor_cli.color.decoding import Decoding
from recolor_cli.color.lab import small_luminance
from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import MissingExtraError, OutputError, UsageError, WeightsError
from recolor_cli.interrupting import insisting

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 0.1  # in units of a and b; a difference of 1 is about what an eye can just see
PHOTOS = ("astronaut", "coffee", "chelsea")  # scikit-image's, which need no download
SHAPES = ((1.0, 1.0), (0.75, 1.0), (1.0, 0.5))  # height and width in parts of the input size
FEWEST = 2  # strides: the exporter takes a length of one for a constant


@dataclass(frozen=True)
class Export:
    """What was written and how far it is from torch.

    Attributes:
        path: the ONNX file.
        difference: largest |ab - ab of torch| over all photographs and shapes, in ab units.
        compared: (photograph, height, width) of each comparison.
    """

    path: Path
    difference: float
    compared: tuple[tuple[str, int, int], ...]


class LabToAb(nn.Module):
    """The whole way of `ColorModel.predict` as one graph: L (B, 1, H, W) 0..100 -> ab."""

    def __init__(self, model: ColorModel) -> None:
        super().__init__()
        self.network = model.network
        self.space = SPACES[model.card.color["space"]]
        self.decoding = Decoding.of(model.card.color)

    def forward(self, luminance: Tensor) -> Tensor:
        """As `color.spaces.predict`, without its choice of a seed and without its second look."""
        output = self.network(self.space.encode(luminance))
        if self.space.decode is None:
            bins = self.network.bins
            assert isinstance(bins, Tensor)
            return decode(output, bins, self.decoding)
        return self.space.decode(output, luminance)


def export_onnx(model: ColorModel, path: Path, *, opset: int = 18) -> Export:
    """Write an ONNX file and compare it with torch.

    Args:
        model: on the CPU, float32.
        path: of the file; not touched if the new one does not agree with torch.
        opset: ONNX operator set.

    Raises:
        MissingExtraError: a package for ONNX is not installed.
        UsageError: the network cannot be written as ONNX.
        WeightsError: the file differs from torch by more than `TOLERANCE`.
        OutputError: it cannot be written.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"ONNX export needs the package '{package}'; pip install 'recolor-cli[onnx]'"
            )
    graph = LabToAb(model).eval()
    # The smallest example that shows all lengths to be free; it is calculated, not looked at.
    example = torch.full((2, 1, FEWEST * model.stride, (FEWEST + 1) * model.stride), 50.0)
    part = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}.onnx")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(graph, example, model.stride, part, opset)
        _describe(part, model)
        difference, compared = compare(graph, model, part)
        if not difference <= TOLERANCE:
            raise WeightsError(
                f"the ONNX file of '{model.name}' differs from torch by {difference:.3g} in ab, "
                f"more than {TOLERANCE}; it was not kept"
            )
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return Export(path, difference, compared)


def compare(
    graph: nn.Module, model: ColorModel, path: Path
) -> tuple[float, tuple[tuple[str, int, int], ...]]:
    """Run both on photographs of several shapes; the largest difference, and what was run."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest, compared = 0.0, []
    longest = max(FEWEST, round(model.input_size / model.stride))
    for name, (tall, wide) in zip(PHOTOS, SHAPES, strict=True):
        height, width = (int(part * longest) * model.stride for part in (tall, wide))
        luminance = small_luminance(_sample(name), (height, width))[None, None]
        with torch.no_grad():
            wanted = graph(torch.from_numpy(luminance)).numpy()
        (found,) = session.run(None, {"luminance": luminance})
        difference = float(np.abs(found - wanted).max())
        largest = difference if np.isnan(difference) else max(largest, difference)
        compared.append((name, height, width))
    return largest, tuple(compared)


def _write(graph: nn.Module, example: Tensor, stride: int, path: Path, opset: int) -> None:
    rows, columns = torch.export.Dim("rows", min=1), torch.export.Dim("columns", min=1)
    shapes = {
        "luminance": {0: torch.export.Dim("batch"), 2: stride * rows, 3: stride * columns},
    }
    silenced = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the exporter's notes to its own authors
    try:
        with insisting(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                input_names=["luminance"],
                output_names=["ab"],
                dynamic_shapes=shapes,
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:  # whatever fails in it, the exporter wraps
        cause: BaseException = error
        while cause.__cause__ is not None:  # the first error says what, the last only where
            cause = cause.__cause__
        if isinstance(cause, OSError | MemoryError):
            raise cause from None  # that is the machine's fault, not the network's
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0][:200]
        raise UsageError(f"this network cannot be written as ONNX; {reason}") from error
    finally:
        logging.disable(silenced)


def _describe(path: Path, model: ColorModel) -> None:
    """Put the card into the file, so that it explains itself too."""
    import onnx

    graph: Any = onnx.load(path)
    for key, value in {
        **model.card.to_header(),
        "sha256": model.sha256,
        "name": model.name,
    }.items():
        item = graph.metadata_props.add()
        item.key, item.value = key, value
    onnx.save(graph, path)


def _sample(name: str) -> Any:
    from skimage import data

    return getattr(data, name)()
