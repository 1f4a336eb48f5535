"""Blocks of timm's ResNet and what they are made of. Containers keep timm's indices. Shapes: images are NHWC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models._resnet_config import ACTIVATIONS, Config, Place

Step = Callable[[Array], Array]


def same(x: Array) -> Array:
    return x


def run(steps: Sequence[Step], x: Array) -> Array:
    """PyTorch's Sequential."""
    for step in steps:
        x = step(x)
    return x


def activation(c: Config) -> Step:
    return getattr(layers, ACTIVATIONS[c.act_layer])


def conv(
    fan_in: int, fan_out: int, size: int, stride: int = 1, dilation: int = 1, groups: int = 1, *, rngs: nnx.Rngs
) -> layers.Conv:
    """Without bias, and with timm's padding."""
    padding = (stride - 1 + dilation * (size - 1)) // 2
    return layers.Conv(fan_in, fan_out, size, stride, padding, dilation, groups, bias=False, rngs=rngs)


def still_pool(x_BHWC: Array) -> Array:
    """timm's AvgPool2dSame(2, 1): the mean with the pixels below and to the right; beyond the edge zeros count."""
    padded = jnp.pad(x_BHWC, ((0, 0), (0, 1), (0, 1), (0, 0)))
    pairs = padded[:, :-1] + padded[:, 1:]
    return 0.25 * (pairs[:, :, :-1] + pairs[:, :, 1:])


class SqueezeExcite(nnx.Module):
    """Each channel times a gate, which is made of the means of all."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        reduced = max(8, int(channels / 16 + 4) // 8 * 8)
        self.fc1 = layers.Conv(channels, reduced, 1, rngs=rngs)
        self.fc2 = layers.Conv(reduced, channels, 1, rngs=rngs)
        self.gate = jax.nn.sigmoid

    def __call__(self, x_BHWC: Array) -> Array:
        mean_B11C = jnp.mean(x_BHWC, (1, 2), keepdims=True)
        return x_BHWC * self.gate(self.fc2(layers.relu(self.fc1(mean_B11C))))


class Block(nnx.Module):
    """Two 3×3 convolutions around a shortcut; a bottleneck puts a 1×1 on either side of one."""

    def __init__(self, at: Place, c: Config, rngs: nnx.Rngs) -> None:
        out, plans = at.planes * c.expansion, _plans(at, c)
        self.depth = len(plans)
        for index, plan in enumerate(plans, start=1):
            setattr(self, f"conv{index}", conv(*plan, rngs=rngs))
            setattr(self, f"bn{index}", layers.BatchNorm(plan[1], rngs=rngs))
        self.se = SqueezeExcite(out, rngs) if c.attn_layer else same
        self.downsample = nnx.List(_shortcut(at, out, c, rngs))
        self.act = activation(c)

    def __call__(self, x: Array) -> Array:
        y = x
        for index in range(1, self.depth + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = self.act(y) if index < self.depth else y
        return self.act(self.se(y) + run(self.downsample, x))


def _plans(at: Place, c: Config) -> list[tuple[int, ...]]:
    """The arguments of each convolution."""
    width, out = int(at.planes * (c.base_width / 64)) * c.cardinality, at.planes * c.expansion
    first = width // c.block_reduce_first
    if not c.bottleneck:
        return [(at.channels, first, 3, at.stride, at.before), (first, out, 3, 1, at.dilation)]
    return [(at.channels, first, 1), (first, width, 3, at.stride, at.before, c.cardinality), (width, out, 1)]


def _shortcut(at: Place, out: int, c: Config, rngs: nnx.Rngs) -> list[Any]:
    """Nothing where shapes agree; else a projection, strided or dilated, or a pool and then a projection."""
    if at.stride == 1 and at.channels == out:
        return []
    plain, norm = at.stride == at.dilation == 1, layers.BatchNorm(out, rngs=rngs)
    if c.avg_down:
        pool = same if plain else still_pool if at.dilation > 1 else partial(layers.avg_pool, stride=2)
        return [pool, conv(at.channels, out, 1, rngs=rngs), norm]
    size = 1 if plain else c.down_kernel_size
    return [conv(at.channels, out, size, at.stride, at.before if size > 1 else 1, rngs=rngs), norm]
