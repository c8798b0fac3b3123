"""Our own recipes: `base` makes the shipped weights, `tiny` shows that training works."""

from __future__ import annotations

from recolor_cli.recipes.recipe import Recipe

BASE = Recipe(
    title="distribution over ab bins, ImageNet encoder, ageing of the input; the shipped weights",
    network="bins-unet",
    encoder_weights="shipped",
    freeze_encoder_to_stride=16,
    encoder_lr_scale=0.15,
    crop_px=128,
    scale_max=1.6,
    age_spectral=0.5,
    age_tone=0.5,
    age_shading=0.15,
    age_blur=0.25,
    age_grain=0.3,
    age_scratches=0.1,
    age_halftone=0.03,
    age_jpeg=0.3,
    objective="bins",
    optimizer="adamw",
    lr=1.5e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_images=6400,
    clip_norm=1.0,
    ema_halflife_images=10_000,
    batch=32,
    epochs=20,
    val_px=192,
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
