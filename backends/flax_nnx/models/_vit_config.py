"""What of timm's VisionTransformer arguments the twin honours, and what the family's names stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weighbridge.bench.core import WeighbridgeError

ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
"""timm's names, and those of `layers`."""
_OVER_TOKENS = ("avg", "max", "avgmax")
_KNOWN: dict[str, Sequence[str]] = {
    "global_pool": ("token", *_OVER_TOKENS, ""),
    "act_layer": tuple(ACTIVATIONS),
    "pos_embed": ("learn", "none", ""),
}
"""What an option may be."""
IDLE = frozenset({"fix_init", "weight_init"})
"""They say how weights are drawn."""

Sides = int | Sequence[int]
"""One figure stands for rows and columns alike."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of timm's `VisionTransformer` arguments is honoured, with its defaults; of `init_values`, whether any is."""

    img_size: Sides = 224
    patch_size: Sides = 16
    in_chans: int = 3
    num_classes: int = 1000
    global_pool: str = "token"
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    qk_norm: bool = False
    scale_attn_norm: bool = False
    scale_mlp_norm: bool = False
    proj_bias: bool = True
    init_values: float | None = None
    class_token: bool = True
    pos_embed: str = "learn"
    no_embed_class: bool = False
    reg_tokens: int = 0
    pre_norm: bool = False
    final_norm: bool = True
    fc_norm: bool | None = None
    pool_include_prefix: bool = False
    act_layer: str = "gelu"

    def __post_init__(self) -> None:
        for option, known in _KNOWN.items():
            if (asked := getattr(self, option)) not in known:
                raise WeighbridgeError(f"the ViT twin has no {option} {asked!r}; it has {', '.join(map(repr, known))}")
        if self.global_pool == "token" and not self.class_token:
            raise WeighbridgeError("global_pool 'token' takes the class token: set class_token, or pool otherwise")
        if self.embed_dim % self.num_heads:
            raise WeighbridgeError(f"embed_dim {self.embed_dim} does not split among num_heads {self.num_heads}")

    @property
    def patch(self) -> tuple[int, int]:
        return _pair(self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of whole patches."""
        (height, width), (down, across) = _pair(self.img_size), self.patch
        return height // down, width // across

    @property
    def prefix(self) -> int:
        """How many tokens stand before the patches."""
        return int(self.class_token) + self.reg_tokens

    @property
    def positions(self) -> int:
        """How many are learnt."""
        rows, columns = self.grid
        return rows * columns + (0 if self.no_embed_class else self.prefix)

    @property
    def pools_first(self) -> bool:
        """Whether the final norm stands behind the pool."""
        return self.global_pool in _OVER_TOKENS if self.fc_norm is None else self.fc_norm


def _pair(sides: Sides) -> tuple[int, int]:
    rows, columns = (sides, sides) if isinstance(sides, int) else sides
    return rows, columns


_TINY = {"embed_dim": 192, "num_heads": 3}
_SMALL = {"embed_dim": 384, "num_heads": 6}
_LARGE = {"embed_dim": 1024, "depth": 24, "num_heads": 16}
_GAP = {"class_token": False, "global_pool": "avg", "fc_norm": False}
_REG4 = {"reg_tokens": 4, "no_embed_class": True}
_REG4_GAP = {**_REG4, "class_token": False, "global_pool": "avg", "img_size": 256}
_DINOV2 = {"patch_size": 14, "img_size": 518, "num_classes": 0, "init_values": 1e-5}
_DEIT3 = {"no_embed_class": True, "init_values": 1e-6}
NAMES: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": _TINY,
    "vit_tiny_patch16_384": {**_TINY, "img_size": 384},
    "vit_small_patch16_224": _SMALL,
    "vit_small_patch32_224": {**_SMALL, "patch_size": 32},
    "vit_small_patch16_384": {**_SMALL, "img_size": 384},
    "vit_small_patch32_384": {**_SMALL, "patch_size": 32, "img_size": 384},
    "vit_base_patch8_224": {"patch_size": 8},
    "vit_base_patch16_224": {},
    "vit_base_patch32_224": {"patch_size": 32},
    "vit_base_patch16_384": {"img_size": 384},
    "vit_base_patch32_384": {"patch_size": 32, "img_size": 384},
    "vit_large_patch14_224": {**_LARGE, "patch_size": 14},
    "vit_large_patch16_224": _LARGE,
    "vit_large_patch16_384": {**_LARGE, "img_size": 384},
    "vit_huge_patch14_224": {"patch_size": 14, "embed_dim": 1280, "depth": 32, "num_heads": 16, "num_classes": 0},
    "vit_medium_patch16_gap_256": {
        **_GAP, "img_size": 256, "embed_dim": 512, "num_heads": 8, "qkv_bias": False, "init_values": 1e-6,
    },
    "vit_base_patch16_gap_224": {**_GAP, "num_heads": 16},
    "vit_medium_patch16_reg4_gap_256": {**_REG4_GAP, "embed_dim": 512, "num_heads": 8, "init_values": 1e-5},
    "vit_base_patch16_reg4_gap_256": _REG4_GAP,
    "vit_small_patch14_dinov2": {**_DINOV2, **_SMALL},
    "vit_base_patch14_dinov2": _DINOV2,
    "vit_large_patch14_dinov2": {**_DINOV2, **_LARGE},
    "vit_small_patch14_reg4_dinov2": {**_DINOV2, **_REG4, **_SMALL},
    "vit_base_patch14_reg4_dinov2": {**_DINOV2, **_REG4},
    "vit_large_patch14_reg4_dinov2": {**_DINOV2, **_REG4, **_LARGE},
    "deit_tiny_patch16_224": _TINY,
    "deit_small_patch16_224": _SMALL,
    "deit_base_patch16_224": {},
    "deit3_small_patch16_224": {**_DEIT3, **_SMALL},
    "deit3_base_patch16_224": _DEIT3,
    "deit3_large_patch16_224": {**_DEIT3, **_LARGE},
}  # fmt: skip
