"""Twin of timm's plain VisionTransformer: class token, learnt positions, pre-norm blocks, fused qkv.

Shapes: B batch, H W image, C channels, P patches, S = P + 1 positions, D width, N heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends.flax_nnx import layers
from backends.flax_nnx.models import named, settings


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of timm's `VisionTransformer` arguments is honoured, with its defaults."""

    img_size: int = 224
    patch_size: int = 16
    in_chans: int = 3
    num_classes: int = 1000
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0


_NAMES: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"embed_dim": 192, "num_heads": 3},
    "vit_small_patch16_224": {"embed_dim": 384, "num_heads": 6},
    "vit_small_patch32_224": {"embed_dim": 384, "num_heads": 6, "patch_size": 32},
    "vit_base_patch8_224": {"patch_size": 8},
    "vit_base_patch16_224": {},
    "vit_base_patch32_224": {"patch_size": 32},
    "vit_large_patch16_224": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}

EPS = 1e-6
"""timm's LayerNorm; PyTorch's own default is 1e-5."""


class PatchEmbed(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.proj = layers.Conv(c.in_chans, c.embed_dim, c.patch_size, c.patch_size, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        y = self.proj(x_BHWC)
        return y.reshape(y.shape[0], -1, y.shape[-1])


class Attention(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.qkv = layers.Linear(c.embed_dim, 3 * c.embed_dim, rngs=rngs)
        self.proj = layers.Linear(c.embed_dim, c.embed_dim, rngs=rngs)
        self.heads = c.num_heads

    def __call__(self, x_BSD: Array) -> Array:
        q, k, v = (part.reshape(*x_BSD.shape[:2], self.heads, -1) for part in jnp.split(self.qkv(x_BSD), 3, axis=-1))
        return self.proj(layers.attention(q, k, v).reshape(x_BSD.shape))


class Mlp(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        hidden = int(c.embed_dim * c.mlp_ratio)
        self.fc1 = layers.Linear(c.embed_dim, hidden, rngs=rngs)
        self.fc2 = layers.Linear(hidden, c.embed_dim, rngs=rngs)

    def __call__(self, x_BSD: Array) -> Array:
        return self.fc2(layers.gelu(self.fc1(x_BSD)))


class Block(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.norm1 = layers.LayerNorm(c.embed_dim, EPS, rngs=rngs)
        self.attn = Attention(c, rngs)
        self.norm2 = layers.LayerNorm(c.embed_dim, EPS, rngs=rngs)
        self.mlp = Mlp(c, rngs)

    def __call__(self, x_BSD: Array) -> Array:
        x_BSD = x_BSD + self.attn(self.norm1(x_BSD))
        return x_BSD + self.mlp(self.norm2(x_BSD))


class VisionTransformer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        patches = (c.img_size // c.patch_size) ** 2
        self.cls_token = nnx.Param(jnp.zeros((1, 1, c.embed_dim)))
        self.pos_embed = nnx.Param(jnp.zeros((1, patches + 1, c.embed_dim)))
        self.patch_embed = PatchEmbed(c, rngs)
        self.blocks = nnx.List([Block(c, rngs) for _ in range(c.depth)])
        self.norm = layers.LayerNorm(c.embed_dim, EPS, rngs=rngs)
        self.head = layers.Linear(c.embed_dim, c.num_classes, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        patches_BPD = self.patch_embed(x_BHWC)
        token_B1D = jnp.broadcast_to(self.cls_token[...], (patches_BPD.shape[0], 1, patches_BPD.shape[2]))
        x_BSD = jnp.concatenate([token_B1D, patches_BPD], axis=1) + self.pos_embed[...]
        for block in self.blocks:
            x_BSD = block(x_BSD)
        return self.head(self.norm(x_BSD[:, 0]))


def build(config: dict[str, Any], rngs: nnx.Rngs) -> VisionTransformer:
    return VisionTransformer(settings(Config, named(_NAMES, config)), rngs)


def forward(module: VisionTransformer, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes)."""
    return {"logits": module(inputs["image"])}
