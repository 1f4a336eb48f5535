"""Norms, pools and activations of ConvNeXt, under timm's names, and the layers that no other family has.

Shapes: B batch, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.layers.basics import vector
from weighbridge.backends.flax_nnx.models._resnet_blocks import Step

RESPONSE_EPS = 1e-6
"""Of the response norm; `norm_eps` is not passed on to it."""


class SimpleNorm(nnx.Module):
    """timm's: divides by the unbiased deviation without taking the mean away."""

    def __init__(self, width: int, eps: float, *, rngs: nnx.Rngs) -> None:
        self.weight, self.eps = nnx.Param(jnp.ones(width)), eps

    def __call__(self, x: Array) -> Array:
        wide = layers.at_least_float32(x)
        variance = jnp.var(wide, -1, ddof=1, keepdims=True)
        return (wide * lax.rsqrt(variance + self.eps) * vector(self.weight, wide)).astype(x.dtype)


def identity(x: Array) -> Array:
    return x


def _mean(x_BHWC: Array) -> Array:
    return jnp.mean(x_BHWC, (1, 2))


def _max(x_BHWC: Array) -> Array:
    return jnp.max(x_BHWC, (1, 2))


def _mean_and_max(x_BHWC: Array) -> Array:
    return 0.5 * (_mean(x_BHWC) + _max(x_BHWC))


POOLS: dict[str, Step] = {"avg": _mean, "max": _max, "avgmax": _mean_and_max}
ACTIVATIONS: dict[str, Step] = {
    "gelu": layers.gelu,
    "gelu_tanh": layers.gelu_tanh,
    "relu": layers.relu,
    "silu": layers.silu,
}
NORMS: dict[str, Callable[..., Step]] = {
    "layernorm": layers.LayerNorm,
    "layernorm2d": layers.LayerNorm,
    "rmsnorm": layers.RMSNorm,
    "rmsnorm2d": layers.RMSNorm,
    "simplenorm": SimpleNorm,
    "simplenorm2d": SimpleNorm,
}


class ResponseNorm(nnx.Module):
    """Weighs a channel by its norm over the image beside the mean norm of all channels, and adds that."""

    def __init__(self, width: int) -> None:
        self.weight, self.bias = nnx.Param(jnp.zeros(width)), nnx.Param(jnp.zeros(width))
        self.spatial_dim = (1, 2)

    def __call__(self, x_BHWC: Array) -> Array:
        wide = layers.at_least_float32(x_BHWC)
        norm_B11C = _root(jnp.sum(jnp.square(wide), self.spatial_dim, keepdims=True))
        share_B11C = norm_B11C / (jnp.mean(norm_B11C, -1, keepdims=True) + RESPONSE_EPS)
        gain_B11C = 1.0 + share_B11C * vector(self.weight, wide)
        return (wide * gain_B11C + vector(self.bias, wide)).astype(x_BHWC.dtype)


def _root(x: Array) -> Array:
    """The square root. Its gradient at 0 is 0, as of PyTorch's norm, and not infinite: ReLU leaves channels empty."""
    empty = x == 0
    return jnp.where(empty, 0.0, jnp.sqrt(jnp.where(empty, 1.0, x)))


class DropPath(layers.Dropout):
    """Leaves out an example's whole branch."""

    def __init__(self, rate: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(rate, rngs=rngs)
        self.broadcast_dims = (1, 2, 3)
