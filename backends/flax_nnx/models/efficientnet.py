"""Twin of timm's EfficientNet: versions 1 and 2, Lite, TinyNet and MobileNetV2, from timm's own block strings.

A block is a row of convolutions with a norm behind each, and kinds of blocks differ in that row only: so the row is a
table, and timm's names of layers are set from it. Models that start with `tf_` pad by the size of the image, as
TensorFlow does; the others pad both sides alike.
Shapes: images are NHWC throughout. B batch, H W height and width, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import named, settings
from weighbridge.backends.flax_nnx.models._efficientnet_config import ACTIVATIONS, IDLE, NAMES, Config, Plan, divisible


class Part(NamedTuple):
    """One convolution of a block."""

    name: str
    fan_in: int
    fan_out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


def row(plan: Plan, width: int, out: int) -> list[Part]:
    """The convolutions of a block, in order, under timm's names."""
    mid, window = divisible(width * plan.expansion), (plan.kernel, plan.stride)
    if plan.kind == "ir":
        depthwise = Part("conv_dw", mid, mid, *window, mid)
        return [Part("conv_pw", width, mid), depthwise, Part("conv_pwl", mid, out)]
    if plan.kind == "ds":
        return [Part("conv_dw", width, width, *window, width), Part("conv_pw", width, out)]
    if plan.kind == "er":
        return [Part("conv_exp", width, mid, *window), Part("conv_pwl", mid, out)]
    return [Part("conv", width, out, *window)]


class Conv(layers.Conv):
    """Without a bias unless asked for; padded so that only a stride makes an image smaller."""

    def __init__(self, part: Part, c: Config, rngs: nnx.Rngs, bias: bool = False) -> None:
        self.uneven = c.pad_type == "same" and part.stride > 1
        padding = 0 if self.uneven else part.kernel // 2
        super().__init__(
            part.fan_in, part.fan_out, part.kernel, part.stride, padding, groups=part.groups, bias=bias, rngs=rngs
        )

    def __call__(self, x_BHWC: Array) -> Array:
        return super().__call__(self.padded(x_BHWC) if self.uneven else x_BHWC)

    def padded(self, x_BHWC: Array) -> Array:
        """As TensorFlow pads: as little as gives a pixel a stride, an odd one behind."""
        sides = zip(x_BHWC.shape[1:3], self.kernel_size, self.window.strides, strict=True)
        needed = [max((math.ceil(length / stride) - 1) * stride + size - length, 0) for length, size, stride in sides]
        room = [(total // 2, total - total // 2) for total in needed]
        return jnp.pad(x_BHWC, [(0, 0), *room, (0, 0)])


class BatchNormAct(layers.BatchNorm):
    """timm's layer of that name: a norm, and an activation where there is one."""

    def __init__(self, width: int, activation: str | None, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(width, c.bn_eps, c.bn_momentum, rngs=rngs)
        self.act = ACTIVATIONS[activation] if activation else same

    def __call__(self, x_BHWC: Array) -> Array:
        return self.act(super().__call__(x_BHWC))


def same(x: Array) -> Array:
    return x


class SqueezeExcite(nnx.Module):
    """A gate a channel, from the channels' means."""

    def __init__(self, width: int, plan: Plan, c: Config, rngs: nnx.Rngs) -> None:
        narrow, activation = c.squeezed(width, plan)
        self.conv_reduce = Conv(Part("conv_reduce", width, narrow), c, rngs, bias=True)
        self.act1 = ACTIVATIONS[activation]
        self.conv_expand = Conv(Part("conv_expand", narrow, width), c, rngs, bias=True)
        self.gate = c.gate

    def __call__(self, x_BHWC: Array) -> Array:
        mean_B11C = jnp.mean(x_BHWC, (1, 2), keepdims=True)
        return x_BHWC * self.gate(self.conv_expand(self.act1(self.conv_reduce(mean_B11C))))


class Block(nnx.Module):
    """A row of convolutions, the last of several without an activation and behind the squeeze-and-excitation."""

    def __init__(self, plan: Plan, width: int, out: int, c: Config, rngs: nnx.Rngs) -> None:
        parts = row(plan, width, out)
        self.names = tuple(part.name for part in parts)
        for index, part in enumerate(parts, start=1):
            linear = index == len(parts) > 1
            setattr(self, part.name, Conv(part, c, rngs))
            setattr(self, f"bn{index}", BatchNormAct(part.fan_out, None if linear else c.of(plan), c, rngs))
        self.se = SqueezeExcite(parts[-1].fan_in, plan, c, rngs) if plan.squeeze else same
        self.skip = plan.skip and plan.stride == 1 and width == out

    def __call__(self, x_BHWC: Array) -> Array:
        y = x_BHWC
        for index, name in enumerate(self.names, start=1):
            y = self.se(y) if index == len(self.names) else y
            y = getattr(self, f"bn{index}")(getattr(self, name)(y))
        return y + x_BHWC if self.skip else y


class Trunk(nnx.Module):
    """A strided stem, and stages of blocks."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        width = c.rounded(c.stem_size, fixed=c.fix_stem)
        self.conv_stem = Conv(Part("conv_stem", c.in_chans, width, c.stem_kernel_size, 2), c, rngs)
        self.bn1 = BatchNormAct(width, c.act_layer, c, rngs)
        self.blocks = nnx.List[Any]()
        for index in range(len(c.blocks)):
            stage = nnx.List[Block]()
            for plan in c.stage(index):
                out = c.rounded(plan.channels)
                stage.append(Block(plan, width, out, c, rngs))
                width = out
            self.blocks.append(stage)
        self.width = width

    def features(self, x_BHWC: Array) -> Array:
        x_BHWC = self.bn1(self.conv_stem(x_BHWC))
        for stage in self.blocks:
            for block in stage:
                x_BHWC = block(x_BHWC)
        return x_BHWC


class EfficientNet(Trunk):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(c, rngs)
        features = c.rounded(c.num_features, fixed=c.fix_head)
        self.conv_head = Conv(Part("conv_head", self.width, features), c, rngs)
        self.bn2 = BatchNormAct(features, c.act_layer, c, rngs)
        self.classifier = layers.Linear(features, c.num_classes, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        x_BHWC = self.bn2(self.conv_head(self.features(x_BHWC)))
        return self.classifier(jnp.mean(x_BHWC, (1, 2)))


def build(config: dict[str, Any], rngs: nnx.Rngs) -> EfficientNet:
    return EfficientNet(settings(Config, named(NAMES, config), IDLE), rngs)


def forward(module: Trunk, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes)."""
    return {"logits": module(inputs["image"])}


def each(module: Any, kind: type[nnx.Module]) -> list[Any]:
    """Every part of a kind."""
    return [part for _, part in nnx.iter_modules(module) if isinstance(part, kind)]


def tensorflows_eps(module: Any) -> None:
    for norm in each(module, BatchNormAct):
        norm.epsilon = 1e-3


def tensorflows_padding(module: Any) -> None:
    for conv in each(module, Conv):
        if conv.window.strides == (2, 2):
            conv.uneven, conv.window = True, conv.window._replace(padding=(0, 0))


def no_skips(module: Any) -> None:
    for block in each(module, Block):
        block.skip = False


def activated_ends(module: Any) -> None:
    for block in each(module, Block):
        getattr(block, f"bn{len(block.names)}").act = module.bn1.act


def relu_when_squeezed(module: Any) -> None:
    for squeeze in each(module, SqueezeExcite):
        squeeze.act1 = layers.relu


def hard_gates(module: Any) -> None:
    for squeeze in each(module, SqueezeExcite):
        squeeze.gate = jax.nn.hard_sigmoid


def no_squeeze(module: Any) -> None:
    for squeeze in each(module, SqueezeExcite):
        squeeze.gate = jnp.ones_like


def unbounded(module: Any) -> None:
    for norm in each(module, BatchNormAct):
        norm.act = layers.relu if norm.act is jax.nn.relu6 else norm.act


MUTANTS: dict[str, Callable[[Any], None]] = {
    "TensorFlow's eps": tensorflows_eps,
    "TensorFlow's padding": tensorflows_padding,
    "no skips": no_skips,
    "an activation at the end of a block": activated_ends,
    "ReLU when squeezed": relu_when_squeezed,
    "hard gates": hard_gates,
    "no squeeze-and-excitation": no_squeeze,
    "ReLU without a bound": unbounded,
}
"""Mistakes that ports make, each put into a loaded module."""
