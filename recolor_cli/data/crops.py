"""Which part of a photograph a sample is, and how it is cut out of the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from recolor_cli.data.photos import Pixels
from recolor_cli.recipes import Recipe


@dataclass(frozen=True)
class Crop:
    """A rectangle of a photograph in its own pixels, and what is done to it.

    Attributes:
        top, left, height, width: may be fractions of pixels; inside the photograph.
        flip: left and right exchanged. flip_vertical: top and bottom exchanged.
        degrees: turned counter-clockwise about its middle; edges are mirrored in.
    """

    top: float
    left: float
    height: float
    width: float
    flip: bool = False
    flip_vertical: bool = False
    degrees: float = 0.0


def draw_crop(rng: np.random.Generator, size: tuple[int, int], recipe: Recipe) -> Crop:
    """A random crop of a photograph of that height and width, as the recipe says."""
    height, width = size
    scale, down, across, flip, flip_vertical, turn = rng.random(6)
    if recipe.resize == "squash":
        side_h, side_w = float(height), float(width)
    else:
        zoom = recipe.scale_min + scale * (recipe.scale_max - recipe.scale_min)
        side_h = side_w = min(height, width) / zoom
    return Crop(
        top=down * (height - side_h),
        left=across * (width - side_w),
        height=side_h,
        width=side_w,
        flip=bool(flip < recipe.flip),
        flip_vertical=bool(flip_vertical < recipe.flip_vertical),
        degrees=float((2 * turn - 1) * recipe.rotate_degrees),
    )


def center_crop(pixels: Pixels, recipe: Recipe) -> Crop:
    """The middle square (or the whole picture, where the recipe squashes): for validation."""
    height, width, _ = pixels.shape
    if recipe.resize == "squash":
        return Crop(0.0, 0.0, float(height), float(width))
    side = float(min(height, width))
    return Crop((height - side) / 2, (width - side) / 2, side, side)


def region_of(crop: Crop, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the whole pixels that the crop is made of; never empty."""
    top, left = round(crop.top), round(crop.left)
    bottom = min(size[0], max(top + 1, round(crop.top + crop.height)))
    right = min(size[1], max(left + 1, round(crop.left + crop.width)))
    return top, left, bottom, right


def cut(pixels: Pixels, crop: Crop, side: int) -> Pixels:
    """The crop as (side, side, 3) uint8: area-averaged where it shrinks, cubic where it grows."""
    top, left, bottom, right = region_of(crop, (pixels.shape[0], pixels.shape[1]))
    region = pixels[top:bottom, left:right]
    shrinks = min(region.shape[:2]) >= side
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    result = cv2.resize(region, (side, side), interpolation=interpolation)
    if crop.degrees:
        middle = ((side - 1) / 2, (side - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, crop.degrees, 1.0)
        result = cv2.warpAffine(result, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    if crop.flip:
        result = result[:, ::-1]
    if crop.flip_vertical:
        result = result[::-1]
    return np.ascontiguousarray(result)
