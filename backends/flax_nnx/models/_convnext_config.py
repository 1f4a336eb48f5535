"""What of timm's ConvNeXt arguments the twin honours, what the family's names stand for, and the plan of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from weighbridge.backends.flax_nnx.models._convnext_layers import ACTIVATIONS, NORMS, POOLS
from weighbridge.backends.flax_nnx.models._resnet_blocks import Step
from weighbridge.bench.core import WeighbridgeError

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
NAMES: dict[str, dict[str, Any]] = {
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


def plans(c: Config) -> Iterator[Plan]:
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
