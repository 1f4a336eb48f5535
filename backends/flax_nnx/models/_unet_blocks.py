"""Blocks of diffusers' UNet2DModel, under its names.

Shapes: B batch, H W image, C channels, T width of the embedded time, S positions of an image, N heads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models._unet_config import ACTIVATIONS, Config

Step = Callable[[Array], Array]
Pair = Callable[[Array, Array], Array]


def same(x: Array) -> Array:
    return x


def norm(width: int, c: Config, rngs: nnx.Rngs) -> layers.GroupNorm:
    return layers.GroupNorm(c.norm_num_groups, width, c.norm_eps, rngs=rngs)


def shifted(x_BHWC: Array, time_B11C: Array, normed: Step) -> Array:
    """Time is added before the norm."""
    return normed(x_BHWC + time_B11C)


def scaled_and_shifted(x_BHWC: Array, time_B112C: Array, normed: Step) -> Array:
    """Time scales and shifts what the norm gives."""
    scale, shift = jnp.split(time_B112C, 2, axis=-1)
    return normed(x_BHWC) * (1 + scale) + shift


def behind(x_BHWC: Array, skipped_BHWC: Array) -> Array:
    """What skipped the deeper levels comes after what went through them."""
    return jnp.concatenate([x_BHWC, skipped_BHWC], axis=-1)


class ResnetBlock(nnx.Module):
    def __init__(self, fan_in: int, fan_out: int, c: Config, rngs: nnx.Rngs, divisor: float = 1.0) -> None:
        self.norm1 = norm(fan_in, c, rngs)
        self.conv1 = layers.Conv(fan_in, fan_out, 3, padding=1, rngs=rngs)
        self.time_emb_proj = layers.Linear(c.time_width, fan_out * (2 if c.scales else 1), rngs=rngs)
        self.norm2 = norm(fan_out, c, rngs)
        self.dropout = layers.Dropout(c.dropout, rngs=rngs) if c.dropout else same
        self.conv2 = layers.Conv(fan_out, fan_out, 3, padding=1, rngs=rngs)
        self.conv_shortcut = layers.Conv(fan_in, fan_out, 1, rngs=rngs) if fan_in != fan_out else same
        self.timed = scaled_and_shifted if c.scales else shifted
        self.act = ACTIVATIONS[c.act_fn]
        self.divisor = divisor

    def __call__(self, x_BHWC: Array, time_BT: Array) -> Array:
        y_BHWC = self.conv1(self.act(self.norm1(x_BHWC)))
        time = self.time_emb_proj(self.act(time_BT))[:, None, None]
        y_BHWC = self.conv2(self.dropout(self.act(self.timed(y_BHWC, time, self.norm2))))
        return (self.conv_shortcut(x_BHWC) + y_BHWC) / self.divisor


class Attention(nnx.Module):
    """Of all pixels to all; `to_out` is a list because diffusers keeps a dropout behind the projection."""

    def __init__(self, width: int, groups: int | None, c: Config, rngs: nnx.Rngs, divisor: float = 1.0) -> None:
        head = c.attention_head_dim or width
        self.heads, inner = width // head, width // head * head
        self.group_norm = layers.GroupNorm(groups, width, c.norm_eps, rngs=rngs) if groups else same
        self.to_q, self.to_k, self.to_v = (layers.Linear(width, inner, rngs=rngs) for _ in range(3))
        self.to_out = nnx.List([layers.Linear(inner, width, rngs=rngs)])
        self.residual: Pair = operator.add
        self.divisor = divisor

    def __call__(self, x_BHWC: Array) -> Array:
        batch, height, width, channels = x_BHWC.shape
        y_BSC = self.group_norm(x_BHWC.reshape(batch, height * width, channels))
        split = (batch, height * width, self.heads, -1)
        q, k, v = (projected(y_BSC).reshape(split) for projected in (self.to_q, self.to_k, self.to_v))
        y_BSC = self.to_out[0](layers.attention(q, k, v).reshape(batch, height * width, -1))
        return self.residual(y_BSC.reshape(x_BHWC.shape), x_BHWC) / self.divisor


class Downsample(nnx.Module):
    """A convolution of stride 2. Without padding diffusers puts a row below and a column to the right."""

    def __init__(self, width: int, c: Config, rngs: nnx.Rngs) -> None:
        self.conv = layers.Conv(width, width, 3, 2, c.downsample_padding, rngs=rngs)
        self.room = (0, 0) if c.downsample_padding else (0, 1)

    def __call__(self, x_BHWC: Array) -> Array:
        return self.conv(jnp.pad(x_BHWC, ((0, 0), self.room, self.room, (0, 0))))


class Upsample(nnx.Module):
    """Every pixel four times, then a convolution."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.conv = layers.Conv(width, width, 3, padding=1, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        return self.conv(jnp.repeat(jnp.repeat(x_BHWC, 2, axis=1), 2, axis=2))


class Block(nnx.Module):
    """Residual blocks, each followed by an attention where the level has any."""

    def __init__(self, fans: list[tuple[int, int]], attends: bool, c: Config, rngs: nnx.Rngs) -> None:
        self.resnets = nnx.List([ResnetBlock(*fan, c, rngs) for fan in fans])
        kept = [Attention(fan_out, c.norm_num_groups, c, rngs) for _, fan_out in fans] if attends else []
        self.attentions = nnx.List(kept)

    def stage(self, index: int, x_BHWC: Array, time_BT: Array) -> Array:
        x_BHWC = self.resnets[index](x_BHWC, time_BT)
        return self.attentions[index](x_BHWC) if self.attentions else x_BHWC


class DownBlock(Block):
    def __init__(self, fan_in: int, width: int, last: bool, attends: bool, c: Config, rngs: nnx.Rngs) -> None:
        fans = [(width if index else fan_in, width) for index in range(c.layers_per_block)]
        super().__init__(fans, attends, c, rngs)
        self.downsamplers = nnx.List([] if last else [Downsample(width, c, rngs)])

    def __call__(self, x_BHWC: Array, time_BT: Array) -> list[Array]:
        """What each stage gives, which the way up is told; the last goes on."""
        found: list[Array] = []
        for index in range(len(self.resnets)):
            x_BHWC = self.stage(index, x_BHWC, time_BT)
            found.append(x_BHWC)
        return [*found, *(down(x_BHWC) for down in self.downsamplers)]


class MidBlock(nnx.Module):
    def __init__(self, width: int, c: Config, rngs: nnx.Rngs) -> None:
        divisor = c.mid_block_scale_factor
        self.resnets = nnx.List([ResnetBlock(width, width, c, rngs, divisor) for _ in range(2)])
        kept = [Attention(width, c.mid_groups, c, rngs, divisor)] if c.add_attention else []
        self.attentions = nnx.List(kept)

    def __call__(self, x_BHWC: Array, time_BT: Array) -> Array:
        x_BHWC = self.resnets[0](x_BHWC, time_BT)
        for attention in self.attentions:
            x_BHWC = attention(x_BHWC)
        return self.resnets[1](x_BHWC, time_BT)


class UpBlock(Block):
    def __init__(
        self, below: int, skipped: list[int], width: int, last: bool, attends: bool, c: Config, rngs: nnx.Rngs
    ) -> None:
        through = [below, *[width] * (len(skipped) - 1)]
        fans = [(one + other, width) for one, other in zip(through, skipped, strict=True)]
        super().__init__(fans, attends, c, rngs)
        self.upsamplers = nnx.List([] if last else [Upsample(width, rngs)])
        self.joined: Pair = behind

    def __call__(self, x_BHWC: Array, kept: list[Array], time_BT: Array) -> Array:
        """Takes what it joins from the end of `kept`."""
        for index in range(len(self.resnets)):
            x_BHWC = self.stage(index, self.joined(x_BHWC, kept.pop()), time_BT)
        for up in self.upsamplers:
            x_BHWC = up(x_BHWC)
        return x_BHWC
