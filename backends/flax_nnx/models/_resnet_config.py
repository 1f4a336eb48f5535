"""What of timm's ResNet arguments the twin honours, what the family's names stand for, and where blocks stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from weighbridge.bench.core import WeighbridgeError

ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
"""timm's names, and those of `layers`."""
_KNOWN: dict[str, Sequence[Any]] = {
    "global_pool": ("avg", "max", "avgmax", "catavgmax", ""),
    "act_layer": tuple(ACTIVATIONS),
    "output_stride": (8, 16, 32),
    "attn_layer": ("", "se"),
}
"""What an option may be."""
IDLE = frozenset({"zero_init_last"})
"""It says how weights are drawn."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of timm's `ResNet` arguments is honoured, with its defaults; names alone say `bottleneck` and `attn_layer`,
    which are classes there."""

    bottleneck: bool
    layers: Sequence[int]
    channels: Sequence[int] = (64, 128, 256, 512)
    num_classes: int = 1000
    in_chans: int = 3
    output_stride: int = 32
    global_pool: str = "avg"
    cardinality: int = 1
    base_width: int = 64
    stem_width: int = 64
    stem_type: str = ""
    replace_stem_pool: bool = False
    block_reduce_first: int = 1
    down_kernel_size: int = 1
    avg_down: bool = False
    act_layer: str = "relu"
    attn_layer: str = ""

    def __post_init__(self) -> None:
        for option, known in _KNOWN.items():
            if (asked := getattr(self, option)) not in known:
                there = ", ".join(map(repr, known))
                raise WeighbridgeError(f"the ResNet twin has no {option} {asked!r}; it has {there}")
        for option, only in (("cardinality", 1), ("base_width", 64)):
            if not self.bottleneck and getattr(self, option) != only:
                raise WeighbridgeError(f"basic blocks have {option} {only} alone: choose a name with bottlenecks")
        for option, figures in (("layers", self.layers), ("channels", self.channels)):
            if len(figures) != 4:
                raise WeighbridgeError(f"{option} are four, one a stage, not {len(figures)}")
        if self.num_classes > 0 and not self.global_pool:
            raise WeighbridgeError("global_pool '' leaves maps, which have no classifier: set num_classes to 0")

    @property
    def stem_channels(self) -> int:
        return self.stem_width * 2 if "deep" in self.stem_type else 64

    @property
    def expansion(self) -> int:
        """Channels that leave a block, in units of its planes."""
        return 4 if self.bottleneck else 1

    @property
    def features(self) -> int:
        """What the classifier is given."""
        return self.channels[-1] * self.expansion * (2 if self.global_pool == "catavgmax" else 1)


class Place(NamedTuple):
    """Where a block stands: what comes in, its planes and stride, and the dilations before it and in its stage."""

    channels: int
    planes: int
    stride: int
    before: int
    dilation: int


def stages(c: Config) -> list[list[Place]]:
    """Where the image is `output_stride` times smaller, windows are dilated in place of strides."""
    found, channels, reduction, before, dilation = list[list[Place]](), c.stem_channels, 4, 1, 1
    for planes, count in zip(c.channels, c.layers, strict=True):
        stride = 2 if found else 1
        if reduction >= c.output_stride:
            stride, dilation = 1, dilation * stride
        reduction, blocks = reduction * stride, list[Place]()
        for index in range(count):
            blocks.append(Place(channels, planes, 1 if index else stride, before, dilation))
            channels, before = planes * c.expansion, dilation
        found.append(blocks)
    return found


_LAYERS = {
    "10": (1, 1, 1, 1), "14": (1, 1, 1, 1), "18": (2, 2, 2, 2), "26": (2, 2, 2, 2), "34": (3, 4, 6, 3),
    "50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3), "154": (3, 8, 36, 3), "200": (3, 24, 36, 3),
}  # fmt: skip
_BASIC = ("10", "18", "34")
_C = {"stem_width": 32, "stem_type": "deep"}
_D = {**_C, "avg_down": True}
_S = {"stem_width": 64, "stem_type": "deep"}
_T = {"stem_width": 32, "stem_type": "deep_tiered", "avg_down": True}
_X = {"cardinality": 32, "base_width": 4}
_SE = {"attn_layer": "se"}
_FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "resnet{}": ({}, "18 26 34 50 101 152 200"),
    "resnet{}c": (_C, "50 101 152"),
    "resnet{}d": (_D, "18 26 34 50 101 152 200"),
    "resnet{}s": (_S, "50 101 152"),
    "resnet{}t": (_T, "10 14 26 50"),
    "wide_resnet{}_2": ({"base_width": 128}, "50 101"),
    "resnext{}_32x4d": (_X, "50 101"),
    "resnext{}d_32x4d": ({**_X, **_D}, "50"),
    "resnext{}_32x8d": ({**_X, "base_width": 8}, "101"),
    "resnext{}_64x4d": ({**_X, "cardinality": 64}, "101"),
    "seresnet{}": (_SE, "18 34 50 101 152"),
    "seresnet{}t": ({**_SE, **_T}, "50"),
    "seresnext{}_32x4d": ({**_SE, **_X}, "50 101"),
    "seresnext{}d_32x4d": ({**_SE, **_X, **_D}, "26"),
    "seresnext{}t_32x4d": ({**_SE, **_X, **_T}, "26"),
    "senet{}": (
        {**_SE, **_X, "cardinality": 64, "stem_type": "deep", "down_kernel_size": 3, "block_reduce_first": 2}, "154",
    ),
}  # fmt: skip
NAMES: dict[str, dict[str, Any]] = {
    family.format(depth): {"bottleneck": depth not in _BASIC, "layers": _LAYERS[depth], **options}
    for family, (options, depths) in _FAMILIES.items()
    for depth in depths.split()
}
