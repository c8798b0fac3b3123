"""Where the weights behind fid, kid, is and lpips are: always verified, whoever brought them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from recolor_cli.errors import WeightsError
from recolor_cli.metrics.networks import NETWORKS, Network, PublishedFile
from recolor_cli.weights.download import fetch_url, stored_path
from recolor_cli.weights.manifest import Entry
from recolor_cli.weights.verify import find_difference

Report = Callable[[str], None]


def load_network(
    name: str,
    device: torch.device | str = "cpu",
    *,
    folder: Path | None = None,
    offline: bool = False,
    report: Report = lambda _text: None,
) -> Network:
    """Build one of `NETWORKS` from its verified file.

    Args:
        name: a key of `NETWORKS`.
        device: where it goes.
        folder: look here first; a folder that holds the published files.
        offline: make no request.
        report: receives a line before a download.

    Raises:
        WeightsError: the file is not here and cannot be had, or is another one.
    """
    published, build = NETWORKS[name]
    return build(find_file(published, folder=folder, offline=offline, report=report), device)


def find_file(
    published: PublishedFile,
    *,
    folder: Path | None = None,
    offline: bool = False,
    report: Report = lambda _text: None,
) -> Path:
    """The published file on this machine, its size and hash checked.

    Raises:
        WeightsError: see `load_network`; names the file, its size, its hash and where to put it.
    """
    entry = _entry(published)
    places = [stored_path(entry), Path(torch.hub.get_dir()) / "checkpoints" / published.name]
    if folder is not None:
        places = [folder / published.name]
    for path in places:
        if path.is_file():
            if difference := find_difference(path, published.sha256, published.bytes):
                raise WeightsError(f"'{path}' is not the published file: {difference}; replace it")
            return path
    wanted = (
        f"'{published.name}' ({published.bytes} bytes, sha256 {published.sha256}) from "
        f"{published.url}"
    )
    if folder is not None:
        raise WeightsError(f"'{folder}' does not hold {wanted}; put it there")
    where = f"put it into '{places[0].parent}', or name its folder with --metric-weights"
    if offline or os.environ.get("HF_HUB_OFFLINE"):
        raise WeightsError(f"this metric needs {wanted}, and downloads are off; {where}")
    try:
        return fetch_url(entry, offline=False, progress=report, again="recolor eval")
    except WeightsError as error:
        raise WeightsError(f"this metric needs {wanted}: {error}; {where}") from None


def _entry(published: PublishedFile) -> Entry:
    return Entry(
        name=published.name,
        source="url",
        url=published.url,
        file=published.name,
        sha256=published.sha256,
        bytes=published.bytes,
        network="",
        arguments={},
        color={},
        input_size=0,
        parameters=0,
        license="see its publisher",
        trained_on="ImageNet",
        recipe="",
        metrics={},
        note="",
    )
