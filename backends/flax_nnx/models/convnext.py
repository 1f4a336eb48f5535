"""Twin of timm's ConvNeXt and ConvNeXt V2: patch and overlapping stems, dilated stages, layer scale, response norm.

Channels are last throughout, so that timm's 2-D norms and its channels-last ones are the same here, and so are its
1×1 convolutions and its linear layers but for the rank of their weights. Containers keep timm's indices.
Shapes: B batch, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from backends.flax_nnx import layers
from backends.flax_nnx.layers.basics import vector
from backends.flax_nnx.models import named, settings
from backends.flax_nnx.models.resnet import Step, run
from bench.core import WeighbridgeError

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
KNOWN: dict[str, tuple[Any, ...]] = {
    "global_pool": tuple(POOLS),
    "output_stride": (8, 16, 32),
    "stem_type": ("patch", "overlap", "overlap_tiered", "overlap_act"),
    "act_layer": tuple(ACTIVATIONS),
    "norm_layer": tuple(NORMS),
}
"""What an option may be."""

IDLE = frozenset({"head_init_scale"})
"""Scales weights as they are drawn."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of timm's `ConvNeXt` arguments is honoured, with its defaults. Of `ls_init_value`, whether there is one."""

    in_chans: int = 3
    num_classes: int = 1000
    global_pool: str = "avg"
    output_stride: int = 32
    depths: Sequence[int] = (3, 3, 9, 3)
    dims: Sequence[int] = (96, 192, 384, 768)
    kernel_sizes: int | Sequence[int] = 7
    ls_init_value: float | None = 1e-6
    stem_type: str = "patch"
    patch_size: int = 4
    head_norm_first: bool = False
    head_hidden_size: int | None = None
    conv_mlp: bool = False
    conv_bias: bool = True
    use_grn: bool = False
    act_layer: str = "gelu"
    norm_layer: str = "layernorm"
    norm_eps: float = 1e-6
    drop_rate: float = 0.0
    drop_path_rate: float = 0.0

    def __post_init__(self) -> None:
        for option, known in KNOWN.items():
            if (asked := getattr(self, option)) not in known:
                there = ", ".join(map(str, known))
                raise WeighbridgeError(f"the ConvNeXt twin has no {option} {asked!r}; it has {there}")
        for option, figures in (("depths", self.depths), ("dims", self.dims), ("kernel_sizes", self.kernels)):
            if [type(figure) for figure in figures] != [int] * 4:
                raise WeighbridgeError(f"the ConvNeXt twin has four whole {option}, not {figures!r}")
        if self.head_norm_first and self.head_hidden_size:
            raise WeighbridgeError("the ConvNeXt twin has no head_hidden_size beside head_norm_first, as timm has none")

    @property
    def kernels(self) -> Sequence[int]:
        """Of each stage."""
        return [self.kernel_sizes] * 4 if isinstance(self.kernel_sizes, int) else self.kernel_sizes

    def norm(self, width: int, rngs: nnx.Rngs) -> Step:
        return NORMS[self.norm_layer](width, self.norm_eps, rngs=rngs)


def _size(width: int, *depths: int, **more: Any) -> dict[str, Any]:
    return {"dims": [width, 2 * width, 4 * width, 8 * width], "depths": depths, **more}


_TIERED: dict[str, Any] = {"stem_type": "overlap_tiered"}
_SECOND: dict[str, Any] = {"use_grn": True, "ls_init_value": None}
_SMALL: dict[str, dict[str, Any]] = {
    "zepto": _size(32, 2, 2, 4, 2, conv_mlp=True),
    "atto": _size(40, 2, 2, 6, 2, conv_mlp=True),
    "femto": _size(48, 2, 2, 6, 2, conv_mlp=True),
    "pico": _size(64, 2, 2, 6, 2, conv_mlp=True),
    "nano": _size(80, 2, 2, 8, 2, conv_mlp=True),
}
_LARGE: dict[str, dict[str, Any]] = {
    "tiny": _size(96, 3, 3, 9, 3),
    "small": _size(96, 3, 3, 27, 3),
    "base": _size(128, 3, 3, 27, 3),
    "large": _size(192, 3, 3, 27, 3),
}
_TEST: dict[str, Any] = {"depths": [1, 1, 1, 1], "dims": [32, 64, 96, 128], "norm_eps": 1e-5, "act_layer": "gelu_tanh"}
_NAMES: dict[str, dict[str, Any]] = {
    "convnext_zepto_rms": {**_SMALL["zepto"], "norm_layer": "simplenorm"},
    "convnext_zepto_rms_ols": {**_SMALL["zepto"], "norm_layer": "simplenorm", "stem_type": "overlap_act"},
    "convnext_atto": _SMALL["atto"],
    "convnext_atto_ols": {**_SMALL["atto"], **_TIERED},
    "convnext_atto_rms": {**_SMALL["atto"], "norm_layer": "rmsnorm2d"},
    "convnext_femto": _SMALL["femto"],
    "convnext_femto_ols": {**_SMALL["femto"], **_TIERED},
    "convnext_pico": _SMALL["pico"],
    "convnext_pico_ols": {**_SMALL["pico"], **_TIERED},
    "convnext_nano": _SMALL["nano"],
    "convnext_nano_ols": {**_SMALL["nano"], "stem_type": "overlap"},
    "convnext_tiny_hnf": {**_LARGE["tiny"], "head_norm_first": True, "conv_mlp": True},
    "convnext_tiny": _LARGE["tiny"],
    "convnext_small": _LARGE["small"],
    "convnext_base": _LARGE["base"],
    "convnext_large": _LARGE["large"],
    "convnext_large_mlp": {**_LARGE["large"], "head_hidden_size": 1536},
    "convnext_xlarge": _size(256, 3, 3, 27, 3),
    "convnext_xxlarge": _size(384, 3, 4, 30, 3, norm_eps=1e-5),
    "convnextv2_atto": {**_SMALL["atto"], **_SECOND},
    "convnextv2_femto": {**_SMALL["femto"], **_SECOND},
    "convnextv2_pico": {**_SMALL["pico"], **_SECOND},
    "convnextv2_nano": {**_SMALL["nano"], **_SECOND},
    "convnextv2_tiny": {**_LARGE["tiny"], **_SECOND},
    "convnextv2_small": {**_LARGE["small"], **_SECOND},
    "convnextv2_base": {**_LARGE["base"], **_SECOND},
    "convnextv2_large": {**_LARGE["large"], **_SECOND},
    "convnextv2_huge": _size(352, 3, 3, 27, 3, **_SECOND),
    "test_convnext": {**_TEST, "depths": [1, 2, 4, 2], "dims": [24, 32, 48, 64]},
    "test_convnext2": _TEST,
    "test_convnext3": {**_TEST, "kernel_sizes": [7, 5, 5, 3], "act_layer": "silu"},
}


class Plan(NamedTuple):
    """A stage. Where it would go below the output stride, its entry and its blocks are dilated in place of a stride."""

    channels: int
    width: int
    kernel: int
    stride: int
    entry_dilation: int
    dilation: int
    drops: list[float]


def _plans(c: Config) -> Iterator[Plan]:
    reached, dilation = c.patch_size if c.stem_type == "patch" else 4, 1
    drops = np.split(np.linspace(0, c.drop_path_rate, sum(c.depths)), np.cumsum(c.depths)[:-1])
    for index, (width, kernel) in enumerate(zip(c.dims, c.kernels, strict=True)):
        stride = 2 if index > 0 or reached == 2 else 1
        if stride > 1 and reached >= c.output_stride:
            stride, dilation = 1, dilation * stride
        reached *= stride
        entry_dilation = 1 if dilation in (1, 2) else 2
        channels = c.dims[max(index - 1, 0)]
        yield Plan(channels, width, kernel, stride, entry_dilation, dilation, drops[index].tolist())


class Entry(layers.Conv):
    """2×2, with a stride; or dilated, with as much room as keeps the image's size, the odd pixel behind it."""

    def __init__(self, plan: Plan, c: Config, rngs: nnx.Rngs) -> None:
        wide, dilation = plan.width, plan.entry_dilation
        super().__init__(plan.channels, wide, 2, plan.stride, dilation=dilation, bias=c.conv_bias, rngs=rngs)
        room = dilation if plan.dilation > 1 else 0
        self.room = (room // 2, room - room // 2)

    def __call__(self, x_BHWC: Array) -> Array:
        return super().__call__(jnp.pad(x_BHWC, ((0, 0), self.room, self.room, (0, 0))))


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


class DropPath(layers.Dropout):
    """Leaves out an example's whole branch."""

    def __init__(self, rate: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(rate, rngs=rngs)
        self.broadcast_dims = (1, 2, 3)


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
        self.stages = nnx.List([Stage(plan, c, rngs) for plan in _plans(c)])
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
    return ConvNeXt(settings(Config, named(_NAMES, given), IDLE), rngs)


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
