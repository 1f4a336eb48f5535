"""What of UNet2DModel's options the twin honours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models._unet_schedule import refuse_unknown
from weighbridge.bench.core import WeighbridgeError

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": layers.gelu,
    "mish": jax.nn.mish,
    "relu": layers.relu,
    "silu": layers.silu,
    "swish": layers.silu,
}
_KNOWN: dict[str, Sequence[Any]] = {
    "time_embedding_type": ("positional",),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "mid_block_type": ("UNetMidBlock2D", None),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
    "downsample_type": ("conv", None),
    "upsample_type": ("conv", None),
    "act_fn": tuple(ACTIVATIONS),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "class_embed_type": (None,),
}
"""What an option may be."""
IDLE = frozenset({"sample_size", "num_train_timesteps"})
"""The first says what images to draw; the second is the length of a learned table of times, which is refused."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """With UNet2DModel's defaults; `scheduler` and `sampling` are ours."""

    in_channels: int = 3
    out_channels: int = 3
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: int = 0
    flip_sin_to_cos: bool = True
    down_block_types: Sequence[str] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: Sequence[str] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    block_out_channels: Sequence[int] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1.0
    downsample_padding: int = 1
    downsample_type: str | None = "conv"
    upsample_type: str | None = "conv"
    dropout: float = 0.0
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown(self, _KNOWN, "network")
        levels = len(self.block_out_channels)
        for option in ("down_block_types", "up_block_types"):
            if len(getattr(self, option)) != levels:
                raise WeighbridgeError(f"{option} are as many as block_out_channels, {levels}")

    @property
    def time_width(self) -> int:
        return self.time_embedding_dim or self.block_out_channels[0] * 4

    @property
    def scales(self) -> bool:
        """Whether time scales features beside shifting them."""
        return self.resnet_time_scale_shift == "scale_shift"

    @property
    def mid_groups(self) -> int | None:
        """Groups of the norm before the attention in the middle; None is no norm."""
        return self.attn_norm_num_groups or (None if self.scales else self.norm_num_groups)
