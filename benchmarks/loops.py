"""The loops that public colourisers have, for comparison: one photograph after the other.

Written anew after what their scripts do, step by step, around a network of ours, so that only the
way round the network differs:

    float loop    of DDColor's inference script: OpenCV, the whole photograph as float32, Lab by
                  OpenCV, ab enlarged bilinearly by torch, back, `cv2.imwrite`
    double loop   of the demo script for Zhang et al. 2016 and 2017: Pillow, Lab by scikit-image in
                  float64, ab enlarged bilinearly by torch, back

Both write JPEG of quality 95 with colour at half resolution, as their libraries do by default;
recolor writes it at full resolution, which takes longer.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import color

from recolor_cli.checkpoints import ColorModel

QUALITY = 95


def float_loop(paths: list[Path], out: Path, model: ColorModel) -> None:
    """Colour photographs one by one, with a float32 copy of each at full size."""
    out.mkdir(exist_ok=True)
    for path in paths:
        picture = (cv2.imread(str(path)) / 255.0).astype(np.float32)
        lightness = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)[..., :1]
        seen = cv2.resize(picture, _seen_size(picture, model))
        seen_lightness = cv2.cvtColor(seen, cv2.COLOR_BGR2Lab)[..., 0]
        ab = _enlarged(_answer(model, seen_lightness), picture.shape)
        lab = np.concatenate((lightness, ab), axis=-1)
        colored = cv2.cvtColor(lab, cv2.COLOR_Lab2BGR)
        result = (colored * 255.0).round().astype(np.uint8)
        cv2.imwrite(str(out / path.name), result, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def double_loop(paths: list[Path], out: Path, model: ColorModel) -> None:
    """Colour photographs one by one, with float64 copies of each at full size."""
    out.mkdir(exist_ok=True)
    for path in paths:
        picture = np.asarray(Image.open(path))
        if picture.ndim == 2:
            picture = np.tile(picture[:, :, None], 3)
        width, height = _seen_size(picture, model)
        seen = np.asarray(
            Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        )
        lightness = color.rgb2lab(picture)[:, :, :1]
        seen_lightness = color.rgb2lab(seen)[:, :, 0].astype(np.float32)
        ab = _enlarged(_answer(model, seen_lightness), picture.shape)
        colored = color.lab2rgb(np.concatenate((lightness, ab), axis=2))
        result = Image.fromarray((colored * 255).astype(np.uint8))
        result.save(out / path.name, quality=QUALITY)


def _seen_size(picture: np.ndarray, model: ColorModel) -> tuple[int, int]:
    """Width and height that the network sees: as many pixels as recolor shows it."""
    scale = model.input_size / max(picture.shape[:2])
    height, width = (
        max(1, round(side * scale / model.stride)) * model.stride for side in picture.shape[:2]
    )
    return width, height


def _answer(model: ColorModel, lightness: np.ndarray) -> torch.Tensor:
    """Colours (1, 2, h, w) for a small luminance map (h, w)."""
    with torch.no_grad():
        return model.predict(torch.from_numpy(lightness)[None, None]).ab


def _enlarged(ab: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Colours (H, W, 2) at the photograph's size."""
    large = torch.nn.functional.interpolate(ab.float(), size=shape[:2], mode="bilinear")
    return large[0].numpy().transpose(1, 2, 0)
