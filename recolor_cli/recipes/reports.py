"""The systems of the five reports, as far as they say; docs/papers.md has the rest and the reasons.

What a report leaves open is as in pix2pix (Isola et al. 2017, appendix 6.2), which all five follow:
batch 4 for colour, Adam 2e-4 (0.5, 0.999), normal(0, 0.02), lambda 100, halved D loss. All squash
whole pictures into a square, and none ages its input.
"""

from __future__ import annotations

from dataclasses import replace

from recolor_cli.recipes.recipe import Recipe

_PIX2PIX = Recipe(
    network="pix2pix-unet",
    discriminator="patchgan",
    initialization="normal",
    crop_px=256,
    resize="squash",
    flip=0.0,
    objective="l1",
    reconstruction_weight=100.0,
    gan="bce",
    optimizer="adam",
    lr=2e-4,
    beta1=0.5,
    batch=4,
    epochs=45,
    best_by="ab_error",
)

# --- 000: Borella, "Image Recoloring with Conditional Adversarial Network" ---

_SIMPLE = replace(
    _PIX2PIX,
    paper="000",
    title="Simple U-Net and Simple patch discriminator, Adam (sections V, VI.A)",
    network="cropped-unet",
    network_arguments={"variant": "simple"},
    discriminator="divisor-critic",
    discriminator_arguments={"variant": "simple"},
    crop_px=200,
    reconstruction_weight=0.005,
    lr=1e-4,  # all that it says of its optimisers; the rest is Adam's own
    beta1=0.9,
    batch=128,
    epochs=30,
)
_BORELLA = {
    "simple-adam": _SIMPLE,
    "simple-sgd": replace(
        _SIMPLE,
        title="the same with SGD (section VI.B)",
        optimizer="sgd",
    ),
    "normal": replace(
        _SIMPLE,
        title="Normal U-Net and Normal patch discriminator (section VI.C)",
        network_arguments={"variant": "normal"},
        discriminator_arguments={"variant": "normal"},
    ),
    "complex": replace(
        _SIMPLE,
        title="the pix2pix U-Net and PatchGAN: its best model (section VI.E, tables 6 and 7)",
        network="pix2pix-unet",
        network_arguments={},
        discriminator="patchgan",
        discriminator_arguments={},
        crop_px=256,
        epochs=60,
    ),
    "wgan-clip": replace(
        _SIMPLE,
        title="Simple networks as WGAN: clipped critic, 5 critic steps (section VI.D)",
        gan="wgan-clip",
        d_loss_scale=1.0,
        critic_steps=5,
        optimizer="rmsprop",
        epochs=10,
    ),
}

# --- 001: Canderle, Merotto, Rossi, "Image Re-coloring using GANs" ---

_UNET128 = replace(
    _PIX2PIX,
    paper="001",
    title="U-Net of 7 levels at 128 px, RGB, PatchGAN with 14 x 14 verdicts",
    network_arguments={"levels": 7, "out_channels": 3},
    crop_px=128,
    flip=0.5,
    flip_vertical=0.5,
    reconstruction_weight=1.0,
    train_images=10_000,
)
_CANDERLE = {
    "unet128-rgb": _UNET128,
    "unet128-lab": replace(
        _UNET128,
        title="the same in Lab",
        network_arguments={"levels": 7, "out_channels": 2},
    ),
    "autoencoder128": replace(
        _UNET128,
        title="a shallower generator with max-pooling and without skips",
        network="autoencoder",
        network_arguments={},
    ),
    "resnet128": replace(
        _UNET128,
        title="a ResNet generator: 7x7 stem, down, residual blocks, up",
        network="resnet-generator",
        network_arguments={},
    ),
}

# --- 002: Barusco and Rampon, "Image Colorization using Conditional GANs" ---

_VANILLA = replace(
    _PIX2PIX,
    paper="002",
    title="U-Net with max-pooling and PatchGAN, L1 + BCE (section V, first solution)",
    network="vanilla-unet",
    lr=1e-3,  # "Adam Optimizer with the default values for its parameters"
    beta1=0.9,
    batch=16,
    epochs=80,
    val_share=0.0025,  # 19,900 to train, 100 to test; 50 of our own to choose by
    test_share=0.005,
)
_BARUSCO = {
    "vanilla": _VANILLA,
    "vanilla-augmented": replace(
        _VANILLA,
        title="the same with horizontal and vertical flips (second solution)",
        flip=0.5,
        flip_vertical=0.5,
    ),
    "vanilla-perceptual": replace(
        _VANILLA,
        title="the same with a VGG loss on pictures whose L is 0 (third solution)",
        perceptual_weight=1.0,
    ),
    "advanced": replace(
        _VANILLA,
        title="U-Net on ResNet18 with PixelShuffle: its best model (fourth solution)",
        network="resnet18-unet",
        encoder_weights="torchvision",
    ),
}

# --- 003: Wahba, Dokanovic, Hamrouni, "Image Recoloring with conditional GANs" ---

_RESIDUAL = replace(
    _PIX2PIX,
    paper="003",
    title="residual U-Net and PatchGAN, L1 + BCE (section V.B)",
    network="residual-unet",
    train_images=5000,  # 5,000 / 900 / 1,000; the larger study: 20000, 3500, 3500
    val_images=900,
    val_share=0.13,
    test_share=0.145,
    epochs=200,  # not stated; pix2pix's for sets of thousands
)
_WAHBA = {
    "pix2pix": _RESIDUAL,
    "pix2pix-lpips": replace(
        _RESIDUAL, title="the same with LPIPS: its best model (section V.C)", lpips_weight=1.0
    ),
    "wgan-gp": replace(
        _RESIDUAL,
        title="the same as WGAN-GP: 3 critic steps, RMSprop (section V.D)",
        discriminator_arguments={"norm": "instance"},
        gan="wgan-gp",
        d_loss_scale=1.0,
        critic_steps=3,
        optimizer="rmsprop",
        lr=5e-5,
    ),
}

# --- 004: Roshana, Joulaei Vijouyeh, Rangrazi Asl, "Image Colorization using Conditional GANs" ---

_CGAN = replace(
    _PIX2PIX,
    paper="004",
    title="the pix2pix U-Net and PatchGAN, L1 + BCE, random rotation (its main model)",
    rotate_degrees=10.0,  # how far is not stated
    train_images=4000,
    val_images=1000,
    val_share=0.2,
    test_share=0.0,
    batch=16,  # of the tutorial that its pretrained model follows
    epochs=45,
)
_ROSHANA = {
    "cgan": _CGAN,
    "cgan-resnet18": replace(
        _CGAN,
        title="U-Net on ResNet18: 20 epochs of L1 alone, then 20 of both (section VI)",
        network="resnet18-unet",
        encoder_weights="torchvision",
        gan_from_epoch=20.0,
        epochs=40,
    ),
}

REPORTS: dict[str, Recipe] = {**_BORELLA, **_CANDERLE, **_BARUSCO, **_WAHBA, **_ROSHANA}
