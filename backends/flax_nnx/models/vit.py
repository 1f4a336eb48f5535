"""Twin of timm's plain VisionTransformer, with what its arguments vary: tokens, positions, biases, norms and pools.

What an argument leaves out is a plain function in its place, as timm has an Identity there: no forward pass asks.
Shapes: B batch, H W image, C channels, S positions (class token, registers, patches), D width, N heads, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.layers.basics import vector
from weighbridge.backends.flax_nnx.models import named, settings
from weighbridge.backends.flax_nnx.models._vit_config import ACTIVATIONS, IDLE, NAMES, Config

Step = Callable[[Array], Array]

EPS = 1e-6
"""timm's LayerNorm; PyTorch's own default is 1e-5."""
_POOLS: dict[str, Step] = {
    "avg": lambda x_BSD: jnp.mean(x_BSD, 1),
    "max": lambda x_BSD: jnp.max(x_BSD, 1),
    "avgmax": lambda x_BSD: 0.5 * (jnp.max(x_BSD, 1) + jnp.mean(x_BSD, 1)),
}


def same(x: Array) -> Array:
    return x


def _norm(width: int, rngs: nnx.Rngs, wanted: bool = True) -> Step:
    return layers.LayerNorm(width, EPS, rngs=rngs) if wanted else same


class PatchEmbed(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        # timm leaves the bias to a norm that follows
        self.proj = layers.Conv(c.in_chans, c.embed_dim, c.patch, c.patch, bias=not c.pre_norm, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:
        y = self.proj(x_BHWC)
        return y.reshape(y.shape[0], -1, y.shape[-1])


class Attention(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.qkv = layers.Linear(c.embed_dim, 3 * c.embed_dim, c.qkv_bias, rngs=rngs)
        self.q_norm, self.k_norm = (_norm(c.embed_dim // c.num_heads, rngs, c.qk_norm) for _ in range(2))
        self.norm = _norm(c.embed_dim, rngs, c.scale_attn_norm)
        self.proj = layers.Linear(c.embed_dim, c.embed_dim, c.proj_bias, rngs=rngs)
        self.heads = c.num_heads

    def __call__(self, x_BSD: Array) -> Array:
        q, k, v = (part.reshape(*x_BSD.shape[:2], self.heads, -1) for part in jnp.split(self.qkv(x_BSD), 3, axis=-1))
        y_BSND = layers.attention(self.q_norm(q), self.k_norm(k), v)
        return self.proj(self.norm(y_BSND.reshape(x_BSD.shape)))


class Mlp(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        hidden = int(c.embed_dim * c.mlp_ratio)
        self.fc1 = layers.Linear(c.embed_dim, hidden, c.proj_bias, rngs=rngs)
        self.act: Step = getattr(layers, ACTIVATIONS[c.act_layer])
        self.norm = _norm(hidden, rngs, c.scale_mlp_norm)
        self.fc2 = layers.Linear(hidden, c.embed_dim, c.proj_bias, rngs=rngs)

    def __call__(self, x_BSD: Array) -> Array:
        return self.fc2(self.norm(self.act(self.fc1(x_BSD))))


class LayerScale(nnx.Module):
    def __init__(self, width: int) -> None:
        self.gamma = nnx.Param(jnp.ones(width))

    def __call__(self, x_BSD: Array) -> Array:
        return x_BSD * vector(self.gamma, x_BSD)


class Block(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.norm1 = _norm(c.embed_dim, rngs)
        self.attn = Attention(c, rngs)
        self.norm2 = _norm(c.embed_dim, rngs)
        self.mlp = Mlp(c, rngs)
        self.ls1, self.ls2 = (LayerScale(c.embed_dim) if c.init_values else same for _ in range(2))

    def __call__(self, x_BSD: Array) -> Array:
        x_BSD = x_BSD + self.ls1(self.attn(self.norm1(x_BSD)))
        return x_BSD + self.ls2(self.mlp(self.norm2(x_BSD)))


class VisionTransformer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        def learnt(count: int) -> nnx.Param[Array]:
            return nnx.Param(jnp.zeros((1, count, c.embed_dim)))

        self.cls_token = learnt(1) if c.class_token else None
        self.reg_token = learnt(c.reg_tokens) if c.reg_tokens else None
        self.pos_embed = learnt(c.positions) if c.pos_embed == "learn" else None
        self.patch_embed = PatchEmbed(c, rngs)
        self.norm_pre = _norm(c.embed_dim, rngs, c.pre_norm)
        self.blocks = nnx.List([Block(c, rngs) for _ in range(c.depth)])
        self.norm = _norm(c.embed_dim, rngs, c.final_norm and not c.pools_first)
        self.fc_norm = _norm(c.embed_dim, rngs, c.final_norm and c.pools_first)
        self.head = layers.Linear(c.embed_dim, c.num_classes, rngs=rngs) if c.num_classes > 0 else same
        self.config = c

    def __call__(self, x_BHWC: Array) -> Array:
        x_BSD = self.patch_embed(x_BHWC)
        x_BSD = self.led(self.placed(x_BSD)) if self.config.no_embed_class else self.placed(self.led(x_BSD))
        x_BSD = self.norm_pre(x_BSD)
        for block in self.blocks:
            x_BSD = block(x_BSD)
        return self.head(self.fc_norm(self.pooled(x_BSD)))

    def placed(self, x_BSD: Array) -> Array:
        """With positions."""
        return x_BSD if self.pos_embed is None else x_BSD + self.pos_embed[...]

    def led(self, x_BSD: Array) -> Array:
        """Behind the class token and the registers."""
        tokens = [token[...] for token in (self.cls_token, self.reg_token) if token is not None]
        copies = [jnp.broadcast_to(token_1TD, (x_BSD.shape[0], *token_1TD.shape[1:])) for token_1TD in tokens]
        return jnp.concatenate([*copies, x_BSD], axis=1) if copies else x_BSD

    def pooled(self, x_BSD: Array) -> Array:
        """Normalised; the class token alone where only it counts, for a norm goes by position."""
        pool = self.config.global_pool
        if pool == "token":
            return self.norm(x_BSD[:, 0])
        first = 0 if self.config.pool_include_prefix else self.config.prefix
        return _POOLS[pool](self.norm(x_BSD)[:, first:]) if pool else self.norm(x_BSD)


def build(config: dict[str, Any], rngs: nnx.Rngs) -> VisionTransformer:
    """What is None is left out, as `timm.create_model` does."""
    given = {option: value for option, value in config.items() if value is not None}
    return VisionTransformer(settings(Config, named(NAMES, given), IDLE), rngs)


def forward(module: VisionTransformer, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes); no pool keeps S, (B, S, num_classes); no classes leave D."""
    return {"logits": module(inputs["image"])}


def _tanh_gelu(vit: Any) -> None:
    for block in vit.blocks:
        block.mlp.act = layers.gelu_tanh


def _pytorchs_eps(vit: Any) -> None:
    for _, part in nnx.iter_modules(vit):
        if isinstance(part, layers.LayerNorm):
            part.epsilon = 1e-5


def _heads_first(vit: Any) -> None:
    for block in vit.blocks:
        kernel_DO = block.attn.qkv.kernel.get_value()
        split = kernel_DO.reshape(len(kernel_DO), block.attn.heads, 3, -1)
        block.attn.qkv.kernel.set_value(split.swapaxes(1, 2).reshape(kernel_DO.shape))


def _no_layer_scale(vit: Any) -> None:
    for block in vit.blocks:
        block.ls1.gamma.set_value(np.ones_like(block.ls1.gamma.get_value()))


def _registers_first(vit: Any) -> None:
    vit.cls_token, vit.reg_token = vit.reg_token, vit.cls_token


def _prefix_in_the_pool(vit: Any) -> None:
    vit.config = replace(vit.config, pool_include_prefix=True)


def _columns_first(vit: Any) -> None:
    place_1SD = vit.pos_embed.get_value()
    lead, patches = np.split(place_1SD, [place_1SD.shape[1] - int(np.prod(vit.config.grid))], axis=1)
    turned = patches.reshape(*vit.config.grid, -1).swapaxes(0, 1).reshape(patches.shape)
    vit.pos_embed.set_value(np.concatenate([lead, turned], axis=1))


MUTANTS: dict[str, Callable[[Any], None]] = {
    "GELU by tanh": _tanh_gelu,
    "PyTorch's own eps": _pytorchs_eps,
    "fused qkv split heads first": _heads_first,
    "no layer scale": _no_layer_scale,
    "registers before the class token": _registers_first,
    "mean over the prefix, too": _prefix_in_the_pool,
    "patches counted column by column": _columns_first,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
