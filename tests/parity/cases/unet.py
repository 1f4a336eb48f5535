"""diffusers' UNet2DModel, at every timestep from first to last, square and oblong."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.case import Draw, case_of
from weighbridge.bench.core import Arrays


def noisy(count: int, height: int, width: int, channels: int, classes: int = 0) -> Draw:
    """Images at timesteps of their own, and labels where there are classes."""

    def draw(rng: np.random.Generator) -> Arrays:
        image = rng.normal(size=(count, height, width, channels)).astype(np.float32)
        timestep = np.linspace(0, 999, count).astype(np.int64)
        label = {"label": rng.integers(0, classes, count)} if classes else {}
        return {"image": image, "timestep": timestep, **label}

    return draw


def levels(*kinds: str) -> dict[str, Any]:
    """`attn` or `plain`, from the widest level down, and the same on the way up."""
    names = [{"attn": "Attn", "plain": ""}[kind] for kind in kinds]
    return {
        "down_block_types": [f"{name}DownBlock2D" for name in names],
        "up_block_types": [f"{name}UpBlock2D" for name in names[::-1]],
    }


SMALL: dict[str, Any] = {
    "in_channels": 2, "out_channels": 2, "block_out_channels": [12, 20, 28], "layers_per_block": 1,
    "norm_num_groups": 4, "attention_head_dim": 5, **levels("plain", "attn", "plain"),
}  # fmt: skip
LABELLED: dict[str, Any] = {**SMALL, "num_class_embeds": 6, "attention_head_dim": 4}
CASES = {
    "unet": case_of("unet", noisy(5, 12, 20, 2), **SMALL),
    "unet-classes": case_of("unet", noisy(7, 8, 8, 2, classes=6), **LABELLED),
    "unet-ddpm": case_of(
        "unet", noisy(3, 10, 6, 3), block_out_channels=[32, 48], layers_per_block=2, norm_num_groups=8,
        attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6,
        **levels("attn", "attn"),
    ),
    "unet-scale-shift": case_of(
        "unet", noisy(4, 16, 8, 1), in_channels=1, out_channels=3, block_out_channels=[15, 30], layers_per_block=1,
        norm_num_groups=3, attn_norm_num_groups=5, attention_head_dim=7, resnet_time_scale_shift="scale_shift",
        act_fn="gelu", center_input_sample=True, mid_block_scale_factor=1.7, time_embedding_dim=22,
        **levels("plain", "attn"),
    ),
    "unet-unnormed-mid": case_of(
        "unet", noisy(6, 7, 9, 1), in_channels=1, out_channels=1, block_out_channels=[24], norm_num_groups=6,
        resnet_time_scale_shift="scale_shift", act_fn="mish", dropout=0.1, **levels("attn"),
    ),
    "unet-plain": case_of(
        "unet", noisy(4, 16, 24, 3), block_out_channels=[8, 8, 16, 16], layers_per_block=1, norm_num_groups=2,
        act_fn="relu", add_attention=False, downsample_type=None, upsample_type=None, norm_eps=1e-3,
        **levels("plain", "plain", "plain", "plain"),
    ),
    "unet-no-mid": case_of(
        "unet", noisy(3, 32, 32, 3), block_out_channels=[64, 64], norm_num_groups=32, attention_head_dim=16,
        mid_block_type=None, act_fn="swish", **levels("plain", "attn"),
    ),
}  # fmt: skip
WHERE = {"downsampling padded above and to the left": "unet-ddpm", "Flax's own eps": "unet-plain"}
"""The case that has what the mutant spoils, where the plain one lacks it."""
