"""Which pictures, how many, and at which geometry: what two figures must share to be compared.

Each row says how papers prepare their pictures; peers differ more by these choices than by their
networks. Names of files are checked as far as a protocol fixes them; which files were used is in
the report's data hash.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.errors import DataError, UsageError

Pixels = NDArray[np.uint8]
Geometry = Literal["native", "crop", "stretch", "square"]

_FILTERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an evaluation is set up.

    Attributes:
        name: what `--protocol` and reports call it.
        pictures: which pictures it is for, in words.
        geometry: "native" (as they are), "crop" (shorter side scaled to size_px, centre cut out),
            "square" (largest centre square cut out, then scaled), or "stretch" (scaled to the
            square whatever the aspect).
        size_px: side of the square; 0 for "native".
        filter: "area" or "bilinear"; enlarging is always bicubic with "area".
        count: how many pictures it has; 0 for any number.
        files: pattern of the file names; "" for any.
        as_painted: whether networks that paint RGB are measured with the luminance that they
            painted; else with the photograph's own, which is what `recolor colorize` gives.
        source: who uses it.
    """

    name: str
    pictures: str
    geometry: Geometry
    size_px: int = 0
    filter: str = "area"
    count: int = 0
    files: str = ""
    as_painted: bool = False
    source: str = ""

    def frame(self, pixels: Pixels) -> Pixels:
        """Bring one picture (H, W, 3) to the protocol's geometry."""
        height, width = pixels.shape[:2]
        if self.geometry == "native":
            return pixels
        if self.geometry == "stretch":
            return self._resize(pixels, self.size_px, self.size_px)
        if self.geometry == "square":
            side = min(height, width)
            return self._resize(_centre(pixels, side), self.size_px, self.size_px)
        scale = self.size_px / min(height, width)
        sides = (max(self.size_px, round(side * scale)) for side in (height, width))
        return _centre(self._resize(pixels, *sides), self.size_px)

    def check(self, names: list[str], *, limit: int | None = None) -> None:
        """Hold the files to what the protocol says.

        Raises:
            DataError: another number of pictures, or names that do not belong to it.
        """
        pattern = re.compile(self.files)
        strangers = [n for n in names if not pattern.fullmatch(n.rpartition("/")[2])]
        if self.files and strangers:
            raise DataError(
                f"protocol '{self.name}' is for {self.pictures}; {len(strangers)} other files are "
                f"there, such as '{strangers[0]}'; give the folder of those pictures alone"
            )
        if self.count and len(names) != self.count and limit is None:
            raise DataError(
                f"protocol '{self.name}' has {self.count} pictures, and there are {len(names)}; "
                "give the whole set, or --limit N for a trial that is not comparable"
            )

    def to_json(self) -> dict[str, Any]:
        """For the report; a protocol without the last word reads as it did before there was one."""
        fields = asdict(self)
        if not self.as_painted:
            del fields["as_painted"]
        return fields

    def _resize(self, pixels: Pixels, height: int, width: int) -> Pixels:
        if pixels.shape[:2] == (height, width):
            return pixels
        smaller = height <= pixels.shape[0] and width <= pixels.shape[1]
        filter_ = _FILTERS[self.filter]
        if self.filter == "area" and not smaller:
            filter_ = cv2.INTER_CUBIC  # area averaging has nothing to average
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=filter_), np.uint8)


def _centre(pixels: Pixels, side: int) -> Pixels:
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


_VAL = r"ILSVRC2012_val_000[0-5]\d{4}\.(JPEG|png)"
_VAL5K = r"ILSVRC2012_val_0000(0(?!000)\d{3}|[1-4]\d{3}|5000)\.(JPEG|png)"
_COCO = r"\d{12}\.(jpg|png)"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="native256-crop",
            pictures="any photographs",
            geometry="crop",
            size_px=256,
            source="this project's default",
        ),
        Protocol(
            name="native256-stretch",
            pictures="any photographs",
            geometry="stretch",
            size_px=256,
            source="the reports, which resize to squares",
        ),
        Protocol(
            name="native",
            pictures="any photographs, at their own size",
            geometry="native",
            source="photographs as people have them",
        ),
        Protocol(
            name="imagenet-val5k-crop256",
            pictures="the first 5,000 validation pictures of ILSVRC 2012",
            geometry="square",
            size_px=256,
            count=5000,
            files=_VAL5K,
            source="ColTran, CT2, L-CAD; DDColor's paper by its author's word",
        ),
        Protocol(
            name="imagenet-val5k-stretch256",
            pictures="the first 5,000 validation pictures of ILSVRC 2012",
            geometry="stretch",
            size_px=256,
            filter="bilinear",
            count=5000,
            files=_VAL5K,
            source="DDColor's validation code",
        ),
        Protocol(
            name="imagenet-val50k-stretch256",
            pictures="all 50,000 validation pictures of ILSVRC 2012",
            geometry="stretch",
            size_px=256,
            filter="bilinear",
            count=50_000,
            files=_VAL,
            source="ColorFormer, DDColor, MultiColor",
        ),
        Protocol(
            name="coco-val5k-stretch256",
            pictures="the 5,000 pictures of COCO val2017",
            geometry="stretch",
            size_px=256,
            filter="bilinear",
            count=5000,
            files=_COCO,
            source="DDColor (COCO-Stuff)",
        ),
        Protocol(
            name="ade20k-val2k-stretch256",
            pictures="the 2,000 validation pictures of ADE20K",
            geometry="stretch",
            size_px=256,
            filter="bilinear",
            count=2000,
            files=r"ADE_val_\d{8}\.(jpg|png)",
            source="DDColor, ColorFormer",
        ),
        Protocol(
            name="ctest10k",
            pictures="the 10,000 ILSVRC 2012 validation pictures of Larsson's and Zhang's list",
            geometry="stretch",
            size_px=256,
            count=10_000,
            files=_VAL,
            source="Zhang 2017, iColoriT, CtrlColor; papers differ in geometry",
        ),
        Protocol(
            name="paper-000-test",
            pictures="a test set of 3,845 ImageNet pictures, which the report does not list",
            geometry="stretch",
            size_px=256,
            count=3845,
            source="report 000, table 2",
        ),
        Protocol(
            name="paper-001-coco",
            pictures="COCO pictures",
            geometry="stretch",
            size_px=128,
            files=_COCO,
            as_painted=True,
            source="report 001",
        ),
        Protocol(
            name="paper-002-test100",
            pictures="100 COCO pictures, which the report does not list",
            geometry="stretch",
            size_px=256,
            count=100,
            source="report 002, section IV",
        ),
        Protocol(
            name="paper-003-7000",
            pictures="a test set of 1,000 Mini-ImageNet pictures, which the report does not list",
            geometry="stretch",
            size_px=256,
            count=1000,
            as_painted=True,
            source="report 003, table 1, left; it does not give the size",
        ),
        Protocol(
            name="paper-003-27000",
            pictures="a test set of 3,500 Mini-ImageNet pictures, which the report does not list",
            geometry="stretch",
            size_px=256,
            count=3500,
            as_painted=True,
            source="report 003, table 1, right; it does not give the size",
        ),
    )
}
DEFAULT_PROTOCOL = "native256-crop"


def get_protocol(name: str) -> Protocol:
    """Look a protocol up.

    Raises:
        UsageError: there is none of that name.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    close = get_close_matches(name, PROTOCOLS, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise UsageError(f"no protocol '{name}'; {hint}known: {', '.join(PROTOCOLS)}")
