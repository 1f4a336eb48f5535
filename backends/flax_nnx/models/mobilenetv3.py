"""Twin of timm's MobileNetV3: EfficientNet's stem and blocks, with a head that pools before it widens.

Its squeeze-and-excitation is another: ReLU and a hard gate, and a width that is a share of the expanded channels,
rounded as all channels are.
Shapes: images are NHWC throughout. B batch, H W height and width, C channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import efficientnet, named, settings
from weighbridge.backends.flax_nnx.models._efficientnet_config import ACTIVATIONS, IDLE, TENSORFLOWS, Plan, divisible
from weighbridge.backends.flax_nnx.models._efficientnet_config import Config as EfficientNets
from weighbridge.backends.flax_nnx.models.efficientnet import Conv, Part, forward

__all__ = ["MUTANTS", "Config", "MobileNetV3", "build", "forward"]


@dataclass(frozen=True, kw_only=True)
class Config(EfficientNets):
    """EfficientNet's, with what is another's here."""

    stem_size: int = 16
    act_layer: str = "hard_swish"
    head_bias: bool = True

    @property
    def gate(self) -> Callable[[Array], Array]:
        return jax.nn.hard_sigmoid

    def squeezed(self, width: int, plan: Plan) -> tuple[int, str]:
        return divisible(width * plan.squeeze), "relu"


class MobileNetV3(efficientnet.Trunk):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(c, rngs)
        self.conv_head = Conv(Part("conv_head", self.width, c.num_features), c, rngs, bias=c.head_bias)
        self.act2 = ACTIVATIONS[c.act_layer]
        self.classifier = layers.Linear(c.num_features, c.num_classes, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        mean_B11C = jnp.mean(self.features(x_BHWC), (1, 2), keepdims=True)
        return self.classifier(self.act2(self.conv_head(mean_B11C))[:, 0, 0])


_LARGE = (
    "ds_r1_k3_s1_e1_c16_nre",
    "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
    "ir_r3_k5_s2_e3_c40_se0.25_nre",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se0.25",
    "ir_r3_k5_s2_e6_c160_se0.25",
    "cn_r1_k1_s1_c960",
)
_SMALL = (
    "ds_r1_k3_s2_e1_c16_se0.25_nre",
    "ir_r1_k3_s2_e4.5_c24_nre ir_r1_k3_s1_e3.67_c24_nre",
    "ir_r1_k5_s2_e4_c40_se0.25 ir_r2_k5_s1_e6_c40_se0.25",
    "ir_r2_k5_s1_e3_c48_se0.25",
    "ir_r3_k5_s2_e6_c96_se0.25",
    "cn_r1_k1_s1_c576",
)


def _minimal(blocks: tuple[str, ...]) -> dict[str, Any]:
    """The same blocks without squeeze-and-excitation, windows of five and hard swish."""
    plain = (re.sub("_se0.25|_nre", "", stage).replace("_k5", "_k3") for stage in blocks)
    return {"blocks": tuple(plain), "act_layer": "relu"}


_LARGES = {"blocks": _LARGE}
_SMALLS = {"blocks": _SMALL, "num_features": 1024}
_PORTED: dict[str, dict[str, Any]] = {
    "mobilenetv3_large_075": {**_LARGES, "channel_multiplier": 0.75},
    "mobilenetv3_large_100": _LARGES,
    "mobilenetv3_small_075": {**_SMALLS, "channel_multiplier": 0.75},
    "mobilenetv3_small_100": _SMALLS,
}
_NAMES: dict[str, dict[str, Any]] = {
    **_PORTED,
    **{f"tf_{name}": {**said, **TENSORFLOWS} for name, said in _PORTED.items()},
    "mobilenetv3_large_150d": {**_LARGES, "channel_multiplier": 1.5, "depth_multiplier": 1.2},
    "mobilenetv3_small_050": {**_SMALLS, "channel_multiplier": 0.5, "fix_stem": True},
    "tf_mobilenetv3_large_minimal_100": {**_minimal(_LARGE), **TENSORFLOWS},
    "tf_mobilenetv3_small_minimal_100": {**_minimal(_SMALL), "num_features": 1024, **TENSORFLOWS},
}


def build(config: dict[str, Any], rngs: nnx.Rngs) -> MobileNetV3:
    return MobileNetV3(settings(Config, named(_NAMES, config), IDLE), rngs)


def soft_gates(module: Any) -> None:
    for squeeze in efficientnet.each(module, efficientnet.SqueezeExcite):
        squeeze.gate = jax.nn.sigmoid


def the_blocks_activation_when_squeezed(module: Any) -> None:
    for squeeze in efficientnet.each(module, efficientnet.SqueezeExcite):
        squeeze.act1 = jax.nn.hard_swish


def swish_that_is_not_hard(module: Any) -> None:
    for norm in efficientnet.each(module, efficientnet.BatchNormAct):
        norm.act = layers.silu if norm.act is jax.nn.hard_swish else norm.act


def hard_swish_everywhere(module: Any) -> None:
    for norm in efficientnet.each(module, efficientnet.BatchNormAct):
        norm.act = jax.nn.hard_swish if norm.act is layers.relu else norm.act


def linear_head(module: Any) -> None:
    module.act2 = efficientnet.same


MUTANTS: dict[str, Callable[[Any], None]] = {
    "TensorFlow's eps": efficientnet.tensorflows_eps,
    "TensorFlow's padding": efficientnet.tensorflows_padding,
    "soft gates": soft_gates,
    "the block's activation when squeezed": the_blocks_activation_when_squeezed,
    "a swish that is not hard": swish_that_is_not_hard,
    "hard swish everywhere": hard_swish_everywhere,
    "no activation in the head": linear_head,
}
"""Mistakes that ports make, each put into a loaded module."""
