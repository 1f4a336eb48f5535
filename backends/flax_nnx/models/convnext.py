"""Twin of timm's ConvNeXt and ConvNeXt V2: patch and overlapping stems, dilated stages, layer scale, response norm.

Channels are last throughout, so that timm's 2-D norms and its channels-last ones are the same here, and so are its
1×1 convolutions and its linear layers but for the rank of their weights. Containers keep timm's indices.
Shapes: B batch, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.layers.basics import vector
from weighbridge.backends.flax_nnx.models import named, settings
from weighbridge.backends.flax_nnx.models._convnext_config import IDLE, NAMES, Config, Plan, plans
from weighbridge.backends.flax_nnx.models._convnext_layers import (
    ACTIVATIONS,
    POOLS,
    DropPath,
    ResponseNorm,
    SimpleNorm,
    identity,
)
from weighbridge.backends.flax_nnx.models._resnet_blocks import run


class Entry(layers.Conv):
    """2×2, with a stride; or dilated, with as much room as keeps the image's size, the odd pixel behind it."""

    def __init__(self, plan: Plan, c: Config, rngs: nnx.Rngs) -> None:
        wide, dilation = plan.width, plan.entry_dilation
        super().__init__(plan.channels, wide, 2, plan.stride, dilation=dilation, bias=c.conv_bias, rngs=rngs)
        room = dilation if plan.dilation > 1 else 0
        self.room = (room // 2, room - room // 2)

    def __call__(self, x_BHWC: Array) -> Array:
        return super().__call__(jnp.pad(x_BHWC, ((0, 0), self.room, self.room, (0, 0))))


class Mlp(nnx.Module):
    def __init__(self, width: int, c: Config, rngs: nnx.Rngs) -> None:
        product = partial(layers.Conv, kernel_size=1) if c.conv_mlp else layers.Linear
        self.fc1 = product(width, 4 * width, rngs=rngs)
        self.act = ACTIVATIONS[c.act_layer]
        self.grn = ResponseNorm(4 * width) if c.use_grn else identity
        self.fc2 = product(4 * width, width, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        return self.fc2(self.grn(self.act(self.fc1(x_BHWC))))


class Depthwise(layers.Conv):
    """An image at a time on a CPU: XLA fuses a batch's shifted views into the norm behind them, at ten times the cost
    (8×56×56×96, 5×5: 101 ms, not 6). It fuses nothing across the edge of a loop."""

    def __init__(self, plan: Plan, bias: bool, rngs: nnx.Rngs) -> None:
        width, padding = plan.width, plan.dilation * (plan.kernel - 1) // 2
        super().__init__(width, width, plan.kernel, 1, padding, plan.dilation, width, bias, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        whole = super().__call__

        def one_by_one(x_BHWC: Array) -> Array:
            return lax.map(lambda x_HWC: whole(x_HWC[None])[0], x_BHWC)

        return lax.platform_dependent(x_BHWC, cpu=one_by_one, default=whole)


class Block(nnx.Module):
    def __init__(self, plan: Plan, drop: float, c: Config, rngs: nnx.Rngs) -> None:
        self.conv_dw = Depthwise(plan, c.conv_bias, rngs)
        self.norm = c.norm(plan.width, rngs)
        self.mlp = Mlp(plan.width, c, rngs)
        self.gamma = None if c.ls_init_value is None else nnx.Param(c.ls_init_value * jnp.ones(plan.width))
        self.drop_path = DropPath(drop, rngs=rngs) if drop > 0 else identity

    def __call__(self, x_BHWC: Array) -> Array:
        y_BHWC = self.mlp(self.norm(self.conv_dw(x_BHWC)))
        y_BHWC = y_BHWC if self.gamma is None else y_BHWC * vector(self.gamma, y_BHWC)
        return x_BHWC + self.drop_path(y_BHWC)


class Stage(nnx.Module):
    def __init__(self, plan: Plan, c: Config, rngs: nnx.Rngs) -> None:
        enters = plan.stride > 1 or plan.dilation > 1
        self.downsample = nnx.List([c.norm(plan.channels, rngs), Entry(plan, c, rngs)] if enters else [])
        self.blocks = nnx.List([Block(plan, drop, c, rngs) for drop in plan.drops])

    def __call__(self, x_BHWC: Array) -> Array:
        return run(self.blocks, run(self.downsample, x_BHWC))


class PreLogits(nnx.Module):
    """Exact GELU whatever the blocks have."""

    def __init__(self, width: int, hidden: int, rngs: nnx.Rngs) -> None:
        self.fc = layers.Linear(width, hidden, rngs=rngs)

    def __call__(self, x_BC: Array) -> Array:
        return layers.gelu(self.fc(x_BC))


class Head(nnx.Module):
    """Pool, norm, linear; the norm is outside, before it, where it comes first."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        width, hidden = c.dims[-1], c.head_hidden_size
        self.global_pool = POOLS[c.global_pool]
        self.norm = identity if c.head_norm_first else c.norm(width, rngs)
        self.pre_logits = PreLogits(width, hidden, rngs) if hidden else identity
        self.drop = layers.Dropout(c.drop_rate, rngs=rngs) if c.drop_rate > 0 else identity
        self.fc = layers.Linear(hidden or width, c.num_classes, rngs=rngs) if c.num_classes > 0 else identity

    def __call__(self, x_BHWC: Array) -> Array:
        return self.fc(self.drop(self.pre_logits(self.norm(self.global_pool(x_BHWC)))))


class ConvNeXt(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.stem = nnx.List(_stem(c, rngs))
        self.stages = nnx.List([Stage(plan, c, rngs) for plan in plans(c)])
        self.norm_pre = c.norm(c.dims[-1], rngs) if c.head_norm_first else identity
        self.head = Head(c, rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        return self.head(self.norm_pre(run(self.stages, run(self.stem, x_BHWC))))


def _stem(c: Config, rngs: nnx.Rngs) -> list[Any]:
    width = c.dims[0]
    if c.stem_type == "patch":
        patches = layers.Conv(c.in_chans, width, c.patch_size, c.patch_size, bias=c.conv_bias, rngs=rngs)
        return [patches, c.norm(width, rngs)]
    halve = partial(layers.Conv, kernel_size=3, stride=2, padding=1, bias=c.conv_bias, rngs=rngs)
    middle = _divisible(width // 2) if c.stem_type == "overlap_tiered" else width
    between = [ACTIVATIONS[c.act_layer]] if c.stem_type == "overlap_act" else []
    return [halve(c.in_chans, middle), *between, halve(middle, width), c.norm(width, rngs)]


def _divisible(width: int) -> int:
    """The nearest multiple of 8, but never a tenth less, as timm's `make_divisible` has it."""
    near = max(8, (width + 4) // 8 * 8)
    return near if near >= 0.9 * width else near + 8


def build(config: dict[str, Any], rngs: nnx.Rngs) -> ConvNeXt:
    """What is None is left out, as `timm.create_model` does: it stands for the default, even of `ls_init_value`."""
    given = {name: value for name, value in config.items() if value is not None}
    return ConvNeXt(settings(Config, named(NAMES, given), IDLE), rngs)


def forward(module: ConvNeXt, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes), or features (B, dims[-1]) where there are no classes."""
    return {"logits": module(inputs["image"])}


def _tanh_gelu(module: Any) -> None:
    for mlp in _parts(module, Mlp):
        mlp.act = layers.gelu_tanh


def _pytorchs_eps(module: Any) -> None:
    for norm in _parts(module, layers.LayerNorm):
        norm.epsilon = 1e-5


def _no_layer_scale(module: Any) -> None:
    for block in _parts(module, Block):
        block.gamma.set_value(np.ones_like(block.gamma.get_value()))


def _windows_transposed(module: Any) -> None:
    for block in _parts(module, Block):
        block.conv_dw.kernel.set_value(np.swapaxes(block.conv_dw.kernel.get_value(), 0, 1))


def _not_dilated(module: Any) -> None:
    for block in _parts(module, Block):
        sides = [size // 2 for size in block.conv_dw.kernel_size]
        block.conv_dw.window = block.conv_dw.window._replace(padding=tuple(sides), dilation=(1, 1))


def _odd_pixel_before(module: Any) -> None:
    for entry in _parts(module, Entry):
        entry.room = entry.room[::-1]


def _response_of_the_batch(module: Any) -> None:
    for norm in _parts(module, ResponseNorm):
        norm.spatial_dim = (0, 1, 2)


def _biased_deviation(module: Any) -> None:
    for norm in _parts(module, SimpleNorm):
        weight = norm.weight.get_value()
        norm.weight.set_value(weight * np.sqrt(weight.size / (weight.size - 1)).astype(weight.dtype))


def _mean_alone(module: Any) -> None:
    module.head.global_pool = POOLS["avg"]


def _parts(module: Any, kind: Any) -> list[Any]:
    return [part for _, part in nnx.iter_modules(module) if isinstance(part, kind)]


MUTANTS: dict[str, Callable[[Any], None]] = {
    "GELU by tanh": _tanh_gelu,
    "PyTorch's own eps": _pytorchs_eps,
    "no layer scale": _no_layer_scale,
    "windows transposed": _windows_transposed,
    "strides gone, blocks not dilated": _not_dilated,
    "odd pixel of room before the image": _odd_pixel_before,
    "response norm over the batch": _response_of_the_batch,
    "biased deviation": _biased_deviation,
    "mean for mean and max": _mean_alone,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
