"""The residual U-Net's shortcuts: what they compute, and that they stay within their memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from recolor_cli.models.residual_unet import SparseConv2d

TRAIN = """
import torch
from recolor_cli.models import create_model
network = create_model("residual-unet", base=4, levels=1).to(memory_format=torch.channels_last)
for _ in range(10):
    network(torch.rand(2, 1, 32, 32)).sum().backward()
"""


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_shortcut_is_a_convolution_with_a_stride(stride: int) -> None:
    conv = SparseConv2d(3, 5, 1, stride)
    x = torch.rand(2, 3, 7, 8)
    expected = F.conv2d(x, conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(x), expected)


def test_training_survives_a_processor_without_avx512() -> None:
    # The library believes it (oneDNN: "CPU dispatcher control"), so that this strikes anywhere.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    child = [sys.executable, "-c", TRAIN]
    ended = subprocess.run(child, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
