"""Twin of timm's EfficientNet: versions 1 and 2, Lite, TinyNet and MobileNetV2, from timm's own block strings.

A block is a row of convolutions with a norm behind each, and kinds of blocks differ in that row only: so the row is a
table, and timm's names of layers are set from it. Models that start with `tf_` pad by the size of the image, as
TensorFlow does; the others pad both sides alike.
Shapes: images are NHWC throughout. B batch, H W height and width, C channels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends.flax_nnx import layers
from backends.flax_nnx.models import named, settings
from bench.core import WeighbridgeError

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": layers.gelu,
    "hard_swish": jax.nn.hard_swish,
    "relu": layers.relu,
    "relu6": jax.nn.relu6,
    "silu": layers.silu,
    "swish": layers.silu,
}
IN_BLOCKS = {"nhs": "hard_swish", "nre": "relu", "nr6": "relu6", "nsw": "silu"}
"""What block strings call the activations that are not the model's."""
IDLE = frozenset({"drop_path_rate", "drop_rate"})
"""Arguments that say nothing of a forward pass without dropout."""


class Plan(NamedTuple):
    """What a block string says."""

    kind: str
    repeats: int
    kernel: int
    stride: int
    expansion: float
    channels: int
    squeeze: float
    skip: bool
    activation: str | None

    @classmethod
    def of(cls, text: str) -> Plan:
        """From timm's form, as in `ir_r2_k3_s2_e6_c24_se0.25`."""
        kind, *words = text.split("_")
        said = {found[1]: float(found[2]) for word in words if (found := re.fullmatch(r"([a-z]+)([\d.]+)", word))}
        skip = "skip" in words if kind == "cn" else "noskip" not in words
        activation = next((IN_BLOCKS[word] for word in words if word in IN_BLOCKS), None)
        repeats, kernel, stride, channels = (int(said[letter]) for letter in "rksc")
        return cls(kind, repeats, kernel, stride, said.get("e", 1.0), channels, said.get("se", 0.0), skip, activation)


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of the arguments of timm's models is honoured, with their defaults; `blocks` has a string a stage."""

    blocks: tuple[str, ...]
    channel_multiplier: float = 1.0
    channel_divisor: int = 8
    round_limit: float = 0.9
    depth_multiplier: float = 1.0
    depth_trunc: str = "ceil"
    fix_first_last: bool = False
    stem_size: int = 32
    stem_kernel_size: int = 3
    fix_stem: bool = False
    num_features: int = 1280
    fix_head: bool = False
    num_classes: int = 1000
    in_chans: int = 3
    act_layer: str = "silu"
    bn_eps: float = 1e-5
    bn_momentum: float = 0.1
    pad_type: str = ""

    def __post_init__(self) -> None:
        if self.act_layer not in ACTIVATIONS:
            raise WeighbridgeError(f"the twin has no act_layer {self.act_layer!r}; it has {', '.join(ACTIVATIONS)}")
        if self.pad_type not in ("", "same"):
            raise WeighbridgeError(f"the twin has no pad_type {self.pad_type!r}; it has '' and 'same'")
        if self.num_classes < 1:
            raise WeighbridgeError(f"the twin ends in logits, and num_classes is {self.num_classes}")

    @property
    def gate(self) -> Callable[[Array], Array]:
        """What squeeze-and-excitation ends in."""
        return jax.nn.sigmoid

    def squeezed(self, width: int, plan: Plan) -> tuple[int, str]:
        """How narrow squeeze-and-excitation of `width` channels becomes, and its activation there.

        The share is of what enters the block, and timm rounds it by Python's `round`.
        """
        return round(width * (plan.squeeze / plan.expansion)), self.of(plan)

    def of(self, plan: Plan) -> str:
        """The activation of a block."""
        return plan.activation or self.act_layer

    def rounded(self, channels: int, fixed: bool = False) -> int:
        scaled = channels * self.channel_multiplier
        return channels if fixed else divisible(scaled, self.channel_divisor, self.round_limit)

    def stage(self, index: int) -> list[Plan]:
        """A plan a block. Only the first of a stage may stride."""
        plans = [Plan.of(text) for text in self.blocks[index].split()]
        ends = (0, len(self.blocks) - 1)
        multiplier = 1.0 if self.fix_first_last and index in ends else self.depth_multiplier
        counts = _deepened([plan.repeats for plan in plans], multiplier, self.depth_trunc)
        first, *rest = [plan for plan, count in zip(plans, counts, strict=True) for _ in range(count)]
        return [first, *(plan._replace(stride=1) for plan in rest)]


def divisible(value: float, divisor: int = 8, limit: float = 0.9) -> int:
    """The multiple of `divisor` that is nearest, or the next one where that is below `limit` of the value."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < limit * value else nearest


def _deepened(repeats: Sequence[int], multiplier: float, trunc: str) -> list[int]:
    """The stage's total is what is multiplied; shares are given out from the last, so that the first grows last."""
    left, found = sum(repeats), list[int]()
    total = max(1, round(left * multiplier)) if trunc == "round" else math.ceil(left * multiplier)
    for count in reversed(repeats):
        found.append(max(1, round(count / left * total)))
        left, total = left - count, total - found[-1]
    return found[::-1]


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


_V1 = (
    "ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24_se0.25", "ir_r2_k5_s2_e6_c40_se0.25", "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25", "ir_r1_k3_s1_e6_c320_se0.25",
)  # fmt: skip
_LITE = tuple(stage.removesuffix("_se0.25") for stage in _V1)
_MOBILE = (
    "ds_r1_k3_s1_c16", "ir_r2_k3_s2_e6_c24", "ir_r3_k3_s2_e6_c32", "ir_r4_k3_s2_e6_c64", "ir_r3_k3_s1_e6_c96",
    "ir_r3_k3_s2_e6_c160", "ir_r1_k3_s1_e6_c320",
)  # fmt: skip
_V2_B = (
    "cn_r1_k3_s1_e1_c16_skip", "er_r2_k3_s2_e4_c32", "er_r2_k3_s2_e4_c48", "ir_r3_k3_s2_e4_c96_se0.25",
    "ir_r5_k3_s1_e6_c112_se0.25", "ir_r8_k3_s2_e6_c192_se0.25",
)  # fmt: skip
_V2_S = (
    "cn_r2_k3_s1_e1_c24_skip", "er_r4_k3_s2_e4_c48", "er_r4_k3_s2_e4_c64", "ir_r6_k3_s2_e4_c128_se0.25",
    "ir_r9_k3_s1_e6_c160_se0.25", "ir_r15_k3_s2_e6_c256_se0.25",
)  # fmt: skip
_V2_RW = ("er_r2_k3_s1_e1_c24", *_V2_S[1:-1], "ir_r15_k3_s2_e6_c272_se0.25")
_V2_M = (
    "cn_r3_k3_s1_e1_c24_skip", "er_r5_k3_s2_e4_c48", "er_r5_k3_s2_e4_c80", "ir_r7_k3_s2_e4_c160_se0.25",
    "ir_r14_k3_s1_e6_c176_se0.25", "ir_r18_k3_s2_e6_c304_se0.25", "ir_r5_k3_s1_e6_c512_se0.25",
)  # fmt: skip
_V2_L = (
    "cn_r4_k3_s1_e1_c32_skip", "er_r7_k3_s2_e4_c64", "er_r7_k3_s2_e4_c96", "ir_r10_k3_s2_e4_c192_se0.25",
    "ir_r19_k3_s1_e6_c224_se0.25", "ir_r25_k3_s2_e6_c384_se0.25", "ir_r7_k3_s1_e6_c640_se0.25",
)  # fmt: skip
_TEST = (
    "cn_r1_k3_s1_e1_c16_skip", "er_r1_k3_s2_e4_c24", "er_r1_k3_s2_e4_c32", "ir_r1_k3_s2_e4_c48_se0.25",
    "ir_r1_k3_s2_e4_c64_se0.25",
)  # fmt: skip
_SCALES = [
    (1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1), (2.2, 3.6),
]  # fmt: skip
"""How much wider and deeper than the first each model of a family is."""
_FIXED = {"fix_stem": True, "fix_head": True}

TENSORFLOWS = {"bn_eps": 1e-3, "pad_type": "same"}
"""What sets timm's ports of TensorFlow's weights apart."""


def _scaled(wider: float, deeper: float, **said: Any) -> dict[str, Any]:
    return {"channel_multiplier": wider, "depth_multiplier": deeper, **said}


def _mobile(wider: float, deeper: float = 1.0, **said: Any) -> dict[str, Any]:
    return _scaled(wider, deeper, blocks=_MOBILE, act_layer="relu6", **said)


def _tiny(wider: float, deeper: float) -> dict[str, Any]:
    return _scaled(wider, deeper, blocks=_V1, depth_trunc="round", **_FIXED)


_LITES = {"blocks": _LITE, "act_layer": "relu6", "fix_first_last": True, **_FIXED}
_EFFICIENT: dict[str, dict[str, Any]] = {
    **{f"efficientnet_b{index}": _scaled(*scale, blocks=_V1) for index, scale in enumerate(_SCALES)},
    **{f"efficientnet_lite{index}": _scaled(*scale, **_LITES) for index, scale in enumerate(_SCALES[:5])},
    "efficientnetv2_s": {"blocks": _V2_S, "stem_size": 24},
    "efficientnetv2_m": {"blocks": _V2_M, "stem_size": 24},
    "efficientnetv2_l": {"blocks": _V2_L},
}
_NAMES: dict[str, dict[str, Any]] = {
    **_EFFICIENT,
    **{f"tf_{name}": {**said, **TENSORFLOWS} for name, said in _EFFICIENT.items()},
    **{
        f"tf_efficientnetv2_b{index}": _scaled(*scale, blocks=_V2_B, round_limit=0.0, **TENSORFLOWS)
        for index, scale in enumerate(_SCALES[:4])
    },
    "efficientnetv2_rw_t": _scaled(0.8, 0.9, blocks=_V2_S, stem_size=24),
    "efficientnetv2_rw_s": {"blocks": _V2_RW, "stem_size": 24, "num_features": 1792},
    "test_efficientnet": {"blocks": _TEST, "stem_size": 24, "num_features": 256, "round_limit": 0.0},
    "tinynet_a": _tiny(1.0, 1.2),
    "tinynet_b": _tiny(0.75, 1.1),
    "tinynet_c": _tiny(0.54, 0.85),
    "tinynet_d": _tiny(0.54, 0.695),
    "tinynet_e": _tiny(0.51, 0.6),
    "mobilenetv2_035": _mobile(0.35, fix_head=True),
    "mobilenetv2_050": _mobile(0.5, fix_head=True),
    "mobilenetv2_075": _mobile(0.75, fix_head=True),
    "mobilenetv2_100": _mobile(1.0),
    "mobilenetv2_140": _mobile(1.4),
    "mobilenetv2_110d": _mobile(1.1, 1.2, fix_first_last=True, **_FIXED),
    "mobilenetv2_120d": _mobile(1.2, 1.4, fix_first_last=True, **_FIXED),
}


def build(config: dict[str, Any], rngs: nnx.Rngs) -> EfficientNet:
    return EfficientNet(settings(Config, named(_NAMES, config), IDLE), rngs)


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
