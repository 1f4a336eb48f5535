"""Twin of timm's ResNet, ResNeXt and SE-ResNet: basic and bottleneck blocks, every stem, dilated stages, any shortcut.

Containers keep timm's indices, layers without weights included, since paths must equal PyTorch's names.
Shapes: images are NHWC throughout, which is what XLA convolves fastest on CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import named, settings
from weighbridge.backends.flax_nnx.models._resnet_blocks import Block, Step, activation, conv, run, same
from weighbridge.backends.flax_nnx.models._resnet_config import IDLE, NAMES, Config, stages


def _mean(x_BHWC: Array) -> Array:
    return jnp.mean(x_BHWC, (1, 2))


def _max(x_BHWC: Array) -> Array:
    return jnp.max(x_BHWC, (1, 2))


_POOLS: dict[str, Step] = {
    "": lambda x_BHWC: x_BHWC.transpose(0, 3, 1, 2),  # timm's maps are NCHW
    "avg": _mean,
    "max": _max,
    "avgmax": lambda x_BHWC: 0.5 * (_mean(x_BHWC) + _max(x_BHWC)),
    "catavgmax": lambda x_BHWC: jnp.concatenate([_mean(x_BHWC), _max(x_BHWC)], -1),
}


class ResNet(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.conv1 = _stem(c, rngs)
        self.bn1 = layers.BatchNorm(c.stem_channels, rngs=rngs)
        self.act = activation(c)
        self.maxpool = nnx.List(_stem_pool(c, rngs))
        places = stages(c)
        for stage, blocks in enumerate(places, start=1):
            setattr(self, f"layer{stage}", nnx.List([Block(at, c, rngs) for at in blocks]))
        self.stages = len(places)
        self.global_pool = _POOLS[c.global_pool]
        self.fc = layers.Linear(c.features, c.num_classes, rngs=rngs) if c.num_classes > 0 else same

    def __call__(self, x: Array) -> Array:
        x = run(self.conv1, x) if isinstance(self.conv1, nnx.List) else self.conv1(x)
        x = run(self.maxpool, self.act(self.bn1(x)))
        for stage in range(1, self.stages + 1):
            x = run(getattr(self, f"layer{stage}"), x)
        return self.fc(self.global_pool(x))


def _stem(c: Config, rngs: nnx.Rngs) -> layers.Conv | nnx.List[Any]:
    if "deep" not in c.stem_type:
        return conv(c.in_chans, c.stem_channels, 7, 2, rngs=rngs)
    first = 3 * (c.stem_width // 4) if "tiered" in c.stem_type else c.stem_width
    entry, middle = _unit(c.in_chans, first, 2, c, rngs), _unit(first, c.stem_width, 1, c, rngs)
    return nnx.List([*entry, *middle, conv(c.stem_width, c.stem_channels, 3, rngs=rngs)])


def _stem_pool(c: Config, rngs: nnx.Rngs) -> list[Any]:
    if c.replace_stem_pool:
        return _unit(c.stem_channels, c.stem_channels, 2, c, rngs)
    return [partial(layers.max_pool, size=3, stride=2, padding=1)]


def _unit(fan_in: int, fan_out: int, stride: int, c: Config, rngs: nnx.Rngs) -> list[Any]:
    return [conv(fan_in, fan_out, 3, stride, rngs=rngs), layers.BatchNorm(fan_out, rngs=rngs), activation(c)]


def build(config: dict[str, Any], rngs: nnx.Rngs) -> ResNet:
    """What is None is left out, as `timm.create_model` does."""
    given = {option: value for option, value in config.items() if value is not None}
    return ResNet(settings(Config, named(NAMES, given), IDLE), rngs)


def forward(module: ResNet, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes); features (B, F) without classes, maps (B, F, h, w) unpooled."""
    return {"logits": module(inputs["image"])}


def _stride_on_the_first(resnet: Any) -> None:
    for block in _blocks(resnet):
        strides = block.conv2.window.strides
        block.conv1.window = block.conv1.window._replace(strides=strides)
        block.conv2.window = block.conv2.window._replace(strides=(1, 1))


def _room_behind_alone(resnet: Any) -> None:
    room = ((0, 0), (0, 1), (0, 1), (0, 0))
    resnet.maxpool[0] = lambda x_BHWC: layers.max_pool(jnp.pad(x_BHWC, room), 3, 2, 0)


def _groups_interleaved(resnet: Any) -> None:
    for block in _blocks(resnet):
        kernel_HWIO = block.conv2.kernel.get_value()
        split = kernel_HWIO.reshape(*kernel_HWIO.shape[:3], block.conv2.window.groups, -1)
        block.conv2.kernel.set_value(split.swapaxes(-1, -2).reshape(kernel_HWIO.shape))


def _not_dilated(resnet: Any) -> None:
    for _, part in nnx.iter_modules(resnet):
        if isinstance(part, layers.Conv) and part.window.dilation != (1, 1):
            part.window = part.window._replace(dilation=(1, 1), padding=(1, 1))


def _edge_counts_in_full(resnet: Any) -> None:
    def pool(x_BHWC: Array) -> Array:
        room = [(0, 0), *((0, side % 2) for side in x_BHWC.shape[1:3]), (0, 0)]
        return layers.avg_pool(jnp.pad(x_BHWC, room), 2)

    for block in _blocks(resnet):
        if len(block.downsample) and block.downsample[0] is not same:
            block.downsample[0] = pool


def _hard_gate(resnet: Any) -> None:
    for block in _blocks(resnet):
        block.se.gate = jax.nn.hard_sigmoid


def _kerass_eps(resnet: Any) -> None:
    for _, part in nnx.iter_modules(resnet):
        if isinstance(part, layers.BatchNorm):
            part.epsilon = 1e-3


def _activated_before_the_sum(resnet: Any) -> None:
    def activated(squeeze: Step, act: Step) -> Step:
        return lambda x_BHWC: act(squeeze(x_BHWC))

    for block in _blocks(resnet):
        block.se = activated(block.se, block.act)


def _shortcut_without_norm(resnet: Any) -> None:
    for block in _blocks(resnet):
        if len(block.downsample):
            block.downsample = nnx.List([*list(block.downsample)[:-1], same])


def _blocks(resnet: Any) -> list[Any]:
    return [part for _, part in nnx.iter_modules(resnet) if isinstance(part, Block)]


MUTANTS: dict[str, Callable[[Any], None]] = {
    "stride on a bottleneck's first convolution": _stride_on_the_first,
    "room of the stem's pool behind alone": _room_behind_alone,
    "channels dealt out to groups in turn": _groups_interleaved,
    "strides gone, windows not dilated": _not_dilated,
    "edge of the pooled shortcut counts in full": _edge_counts_in_full,
    "hard sigmoid": _hard_gate,
    "Keras' eps": _kerass_eps,
    "an activation before the sum, too": _activated_before_the_sum,
    "a projected shortcut without its norm": _shortcut_without_norm,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
