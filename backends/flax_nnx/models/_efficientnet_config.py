"""What of the arguments of timm's EfficientNets the twins honour, its block strings, and what names stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.bench.core import WeighbridgeError

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
NAMES: dict[str, dict[str, Any]] = {
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
