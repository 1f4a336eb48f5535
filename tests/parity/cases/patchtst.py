"""transformers' PatchTST, as a point forecaster."""

from __future__ import annotations

import numpy as np

from tests.parity.case import Draw, case_of
from weighbridge.bench.core import Arrays


def windows(count: int, steps: int, channels: int) -> Draw:
    """Each channel of each example at a level and of a spread of its own."""

    def draw(rng: np.random.Generator) -> Arrays:
        level, spread = rng.normal(size=(2, count, 1, channels))
        past = 3 * level + np.exp(spread) * rng.normal(size=(count, steps, channels))
        return {"past": past.astype(np.float32)}

    return draw


SMALL = {"d_model": 24, "num_attention_heads": 4, "ffn_dim": 40, "num_hidden_layers": 2, "prediction_length": 7}
OVERLAPPING = {"context_length": 37, "patch_length": 5, "patch_stride": 3}
APART = {"context_length": 30, "patch_length": 4, "patch_stride": 4}
WITH_GAPS = {"context_length": 41, "patch_length": 4, "patch_stride": 6}
CASES = {
    "patchtst": case_of("patchtst", windows(5, 37, 3), num_input_channels=3, **OVERLAPPING, **SMALL),
    "patchtst-flat": case_of(
        "patchtst", windows(7, 30, 2), num_input_channels=2, pooling_type=None, scaling=None, norm_type="layernorm",
        activation_function="silu", **APART, **SMALL,
    ),
    "patchtst-class-token": case_of(
        "patchtst", windows(4, 37, 5), num_input_channels=5, use_cls_token=True, pooling_type=None,
        positional_encoding_type="random", share_embedding=False, pre_norm=False, norm_type="layernorm",
        norm_eps=1e-4, bias=False, scaling="mean", activation_function="relu", **OVERLAPPING, **SMALL,
    ),
    "patchtst-channels": case_of(
        "patchtst", windows(3, 41, 6), num_input_channels=6, channel_attention=True, pooling_type="max", scaling=True,
        activation_function="gelu_new", **WITH_GAPS, **SMALL,
    ),
    "patchtst-post-norm": case_of(
        "patchtst", windows(6, 37, 1), pre_norm=False, channel_attention=True, share_embedding=False,
        **OVERLAPPING, **SMALL,
    ),
}  # fmt: skip
WHERE = {
    "all positions pooled beside a class token": "patchtst-class-token",
    "no attention among channels": "patchtst-channels",
}
