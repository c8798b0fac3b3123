"""Our own recipes: `base` makes the shipped weights, `tiny` shows that training works."""

from __future__ import annotations

from recolor_cli.recipes.recipe import Recipe

BASE = Recipe(
    title="distribution over ab bins, ImageNet encoders, ageing of the input; the shipped weights",
    network="bins-unet",
    network_arguments={
        "encoder": "resnet18",
        "second_encoder": "mobilenetv2",
        "tail": 384,
        "widths": (320, 256, 128, 96),
        # Surfaces are decided as one, in training as in use (log.md).
        "calm_cells": 7,
        "calm_lightness": 3,
        "calm_near_lightness": 2.5,
    },
    encoder_weights="shipped",
    second_encoder_weights="shipped",
    freeze_encoder_to_stride=32,
    encoder_lr_scale=0.1,
    crop_px=128,
    scale_max=1.3,
    # Gentle on purpose: half of the crops with strong defects cost more than they brought (log.md).
    age_spectral=0.25,
    age_tone=0.2,
    age_shading=0.03,
    age_blur=0.03,
    age_grain=0.05,
    age_scratches=0.02,
    age_jpeg=0.05,
    objective="bins",
    rebalance_uniform=0.75,
    # Wrong colours are broad, and what makes a picture alive is fine (log.md).
    temperature=0.15,
    broad_temperature=0.65,
    fine_gain=1.3,
    second_size=0.625,
    second_weight=0.35,
    optimizer="adamw",
    lr=1.2e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_images=1000,
    clip_norm=1.0,
    ema_halflife_images=4_000,
    batch=32,
    epochs=20,
)

TINY = Recipe(
    title="a small U-Net that beats grey after a minute or two on a laptop; for first steps",
    network="vanilla-unet",
    network_arguments={"base": 16},
    crop_px=64,
    scale_max=1.25,
    objective="huber",
    optimizer="adamw",
    lr=3e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_images=320,
    clip_norm=1.0,
    ema_halflife_images=1000,
    batch=16,
    epochs=40,
    best_by="ab_error",
)
