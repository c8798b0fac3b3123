"""Weights files: a network, its card, and the strict way from one to the other.

layout.py   the safetensors layout, byte by byte: what may be wrong with a file, and where
card.py     what a file says about itself: network, colour space, training, licence
files.py    save_weights and load_weights
model.py    ColorModel: a network and its card, ready to predict ab from L
"""

from recolor_cli.checkpoints.card import Card
from recolor_cli.checkpoints.files import load_weights, save_weights
from recolor_cli.checkpoints.model import ColorModel

__all__ = ["Card", "ColorModel", "load_weights", "save_weights"]
