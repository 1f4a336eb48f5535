"""What of `PatchTSTConfig` the twin honours, and how a window is scaled.

Shapes: B batch, T time steps, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.bench.core import WeighbridgeError


class Scale(NamedTuple):
    """What a window is shifted and divided by, (B, 1, C) each."""

    loc: Array
    scale: Array


def standard(past_BTC: Array) -> Scale:
    loc_B1C = jnp.mean(past_BTC, 1, keepdims=True)
    variance_B1C = jnp.mean(jnp.square(past_BTC - loc_B1C), 1, keepdims=True)
    return Scale(loc_B1C, jnp.sqrt(variance_B1C + 1e-5))


def mean_absolute(past_BTC: Array) -> Scale:
    scale_B1C = jnp.mean(jnp.abs(past_BTC), 1, keepdims=True)
    return Scale(jnp.zeros_like(scale_B1C), jnp.maximum(scale_B1C, 1e-10))


def unscaled(past_BTC: Array) -> Scale:
    return Scale(jnp.zeros_like(past_BTC[:, :1]), jnp.ones_like(past_BTC[:, :1]))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": layers.gelu,
    "gelu_new": layers.gelu_tanh,
    "gelu_pytorch_tanh": layers.gelu_tanh,
    "relu": layers.relu,
    "silu": layers.silu,
}
SCALERS: dict[Any, Callable[[Array], Scale]] = {
    "std": standard,
    "mean": mean_absolute,
    True: mean_absolute,
    None: unscaled,
    False: unscaled,
}
SUPPORTED: dict[str, tuple[Any, ...]] = {
    "activation_function": tuple(ACTIVATIONS),
    "do_mask_input": (None, False),
    "loss": ("mse",),
    "norm_type": ("batchnorm", "layernorm"),
    "pooling_type": ("mean", "max", None),
    "positional_encoding_type": ("sincos", "random"),
    "scaling": tuple(SCALERS),
    "share_projection": (True,),  # transformers 5.23 itself raises an IndexError over False
}
"""What the twin does of options that have more values."""

IDLE = frozenset(
    {
        "architectures",
        "attention_dropout",
        "channel_consistent_masking",
        "distribution_output",
        "dtype",
        "ff_dropout",
        "head_dropout",
        "init_std",
        "mask_type",
        "mask_value",
        "model_type",
        "num_forecast_mask_patches",
        "num_parallel_samples",
        "num_targets",
        "output_range",
        "path_dropout",
        "positional_dropout",
        "random_mask_ratio",
        "torch_dtype",
        "transformers_version",
        "unmasked_channel_indices",
    }
)
"""Keys of a `config.json` that say nothing of a point forecast without dropout and masking."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of `PatchTSTConfig` shapes the forward pass, with its defaults."""

    num_input_channels: int = 1
    context_length: int = 32
    loss: str | None = "mse"
    patch_length: int = 1
    patch_stride: int = 1
    num_hidden_layers: int = 3
    d_model: int = 128
    num_attention_heads: int = 4
    share_embedding: bool = True
    channel_attention: bool = False
    ffn_dim: int = 512
    norm_type: str = "batchnorm"
    norm_eps: float = 1e-5
    bias: bool = True
    activation_function: str = "gelu"
    pre_norm: bool = True
    positional_encoding_type: str = "sincos"
    use_cls_token: bool = False
    share_projection: bool = True
    scaling: str | bool | None = "std"
    do_mask_input: bool | None = None
    pooling_type: str | None = "mean"
    prediction_length: int = 24

    def __post_init__(self) -> None:
        for name, known in SUPPORTED.items():
            if getattr(self, name) not in known:
                has = " or ".join(map(repr, known))
                raise WeighbridgeError(f"the PatchTST twin has {name} {has}, not {getattr(self, name)!r}")

    @property
    def patches(self) -> int:
        return (self.context_length - self.patch_length) // self.patch_stride + 1

    @property
    def skipped(self) -> int:
        """Time steps that fill no patch: the oldest."""
        return self.context_length - self.patch_length - self.patch_stride * (self.patches - 1)

    @property
    def head_inputs(self) -> int:
        return self.d_model * (1 if self.pooling_type or self.use_cls_token else self.patches)
