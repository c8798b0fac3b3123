"""The residual U-Net's shortcuts stay within their memory on every processor."""

from __future__ import annotations

import os
import subprocess
import sys

TRAIN = """
import torch
from recolor_cli.models import create_model
network = create_model("residual-unet", base=4, levels=1).to(memory_format=torch.channels_last)
for _ in range(10):
    network(torch.rand(2, 1, 32, 32)).sum().backward()
"""


def test_training_survives_a_processor_without_avx512() -> None:
    # The library believes it (oneDNN: "CPU dispatcher control"), so that this strikes anywhere.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    child = [sys.executable, "-c", TRAIN]
    ended = subprocess.run(child, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
